//! Sizes in bytes: `50m` = `50M` = `50mb` = `50MiB` = 52,428,800. Units are powers of 1,024, in any case.

/// Bytes.
///
/// # Errors
/// What is wrong, and the expected form.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let expected = "expected a size such as `64m`, `1.5g`, or a number of bytes";
    let trimmed = text.trim();
    let digits = number_length(trimmed);
    let (number, unit) = trimmed.split_at(digits);
    let unit = unit.trim_start().to_ascii_lowercase();
    let shift = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ if number.is_empty() => return Err(format!("not a size; {expected}")),
        _ => return Err(format!("unknown unit `{unit}`; {expected}")),
    };
    // Exactly representable up to 2^53, which is 8 petabytes: more than any machine has.
    let value: f64 = number.parse().map_err(|_| format!("not a size; {expected}"))?;
    #[expect(clippy::cast_precision_loss, reason = "powers of two are exact")]
    let bytes = value * (1_u64 << shift) as f64;
    if !(0.0..=9_007_199_254_740_992.0).contains(&bytes) {
        return Err(format!("more than 8 PiB; {expected}"));
    }
    if shift == 0 && bytes.fract() != 0.0 {
        return Err(format!("not a whole number of bytes; {expected}"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Ok(bytes as u64)
}

/// The number at the beginning, with an exponent: `1e9`. The `e` of a unit does not exist.
fn number_length(text: &str) -> usize {
    let plain = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let after = &text[plain..];
    let Some(exponent) = after.strip_prefix(['e', 'E']) else { return plain };
    let signed = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let digits = signed.find(|c: char| !c.is_ascii_digit()).unwrap_or(signed.len());
    if digits == 0 || plain == 0 { plain } else { text.len() - signed.len() + digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_binary_in_any_case() {
        for (text, bytes) in [
            ("50m", 52_428_800),
            ("50M", 52_428_800),
            ("50MB", 52_428_800),
            ("50MiB", 52_428_800),
            ("50 mb", 52_428_800),
            ("1.5g", 1_610_612_736),
            ("1gb", 1_073_741_824),
            ("512k", 524_288),
            ("64000000", 64_000_000),
            ("64b", 64),
            ("1e9", 1_000_000_000),
            ("1073741824.0", 1_073_741_824),
            ("1t", 1_099_511_627_776),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_whole_number_of_bytes_is_refused() {
        for text in ["", "m", "-1", "1.5", "1.5b", "50x", "1e99", "0x10", "1 2", "nan", "inf", "9p"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
