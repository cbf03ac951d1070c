//! "Did you mean".

/// The known name that is nearest to a misspelt one, if any is near: a swapped, missing, added or wrong letter, two in long names.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let wanted: Vec<char> = name.to_lowercase().replace('-', "_").chars().take(64).collect();
    let limit = match wanted.len() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    };
    known
        .iter()
        .map(|candidate| (distance(&wanted, &candidate.chars().collect::<Vec<_>>()), *candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits between two words, two neighbours swapped counting as one.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let changed = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + changed);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_known_name_is_suggested() {
        let known = ["environment", "env_file", "image", "ports", "command", "depends_on"];
        assert_eq!(nearest("enviroment", &known), Some("environment"));
        assert_eq!(nearest("iamge", &known), Some("image"));
        assert_eq!(nearest("port", &known), Some("ports"));
        assert_eq!(nearest("depends-on", &known), Some("depends_on"));
        assert_eq!(nearest("Command", &known), Some("command"));
        assert_eq!(nearest("zebra", &known), None);
        assert_eq!(nearest("", &known), None);
    }
}
