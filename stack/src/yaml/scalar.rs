//! The core schema of YAML 1.2: what a scalar without quotes is.

/// A plain scalar's type and value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Core {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text,
}

/// `22:22`, `yes`, `0755` with leading zero as decimal 755: YAML 1.2, not 1.1.
pub(crate) fn core(text: &str) -> Core {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Core::Null,
        "true" | "True" | "TRUE" => return Core::Bool(true),
        "false" | "False" | "FALSE" => return Core::Bool(false),
        _ => {}
    }
    if let Some(value) = int(text) {
        return Core::Int(value);
    }
    float(text).map_or(Core::Text, Core::Float)
}

fn int(text: &str) -> Option<i64> {
    if let Some(octal) = text.strip_prefix("0o") {
        return digits(octal, 8);
    }
    if let Some(hexadecimal) = text.strip_prefix("0x") {
        return digits(hexadecimal, 16);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn digits(text: &str, radix: u32) -> Option<i64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    i64::from_str_radix(text, radix).ok()
}

fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => {
            return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        ".nan" | ".NaN" | ".NAN" => return (unsigned == text).then_some(f64::NAN),
        _ => {}
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || !unsigned.bytes().any(|b| b.is_ascii_digit())
        || !text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
    {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_those_of_yaml_1_2() {
        for text in
            ["22:22", "yes", "on", "1_000", "2001-12-14", "0b1", "1.2.3", "-", "+", ".", "e3", "0x", "1e", "NaN"]
        {
            assert_eq!(core(text), Core::Text, "{text}");
        }
        assert_eq!(core("0755"), Core::Int(755));
        assert_eq!(core("0o755"), Core::Int(0o755));
        assert_eq!(core("0xff"), Core::Int(255));
        assert_eq!(core("+1"), Core::Int(1));
        assert_eq!(core("1e3"), Core::Float(1000.0));
        assert_eq!(core(".5"), Core::Float(0.5));
        assert_eq!(core("1."), Core::Float(1.0));
        assert_eq!(core("-.inf"), Core::Float(f64::NEG_INFINITY));
        assert_eq!(core("True"), Core::Bool(true));
        assert_eq!(core("~"), Core::Null);
        // Too large for an integer: a float, as the schema's expressions have it.
        assert!(matches!(core("99999999999999999999"), Core::Float(_)));
    }
}
