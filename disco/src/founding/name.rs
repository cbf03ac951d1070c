/// Maximum length of a cluster's name: `<cluster>-<id>` is a node's host name.
const LONGEST: usize = 40;

/// Checks for lower-case letters, digits and `-`, with a letter first: valid in host names, certificates and cloud tags.
pub(crate) fn valid_cluster_name(name: &str) -> Result<(), String> {
    let letters = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if letters && name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with('-') && name.len() <= LONGEST {
        return Ok(());
    }
    Err(format!(
        "invalid cluster name `{name}`: expected lower-case letters, digits and `-`, a letter first, at most {LONGEST} characters"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_host_names() {
        for good in ["heavyobjects", "a", "web-2"] {
            assert_eq!(valid_cluster_name(good), Ok(()));
        }
        for bad in ["", "-a", "a-", "2a", "A", "a_b", "a.b", "a b", &"a".repeat(41)] {
            assert!(valid_cluster_name(bad).is_err(), "`{bad}` was accepted");
        }
    }
}
