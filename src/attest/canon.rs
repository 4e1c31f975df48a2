//! JSON in one form only (RFC 8785): what is hashed is what anybody writes again.
//!
//! Pure. What is written here is written from structures whose fields stand in the order of their names, which is RFC 8785's order as long
//! as the names are ASCII; a test holds it against another's implementation. What is read must be in that form to the byte.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::Value;

/// The text of a structure whose fields are declared in the order of their names.
pub fn text(value: &impl Serialize) -> String {
    // Texts, lists and structures of texts can't fail to be written.
    serde_json::to_string(value).unwrap_or_default()
}

/// Reads JSON that is in the one form; `None` for any other text.
pub fn read(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    (serde_json_canonicalizer::to_string(&value).ok()? == text).then_some(value)
}

/// Bytes in the alphabet of URLs, without padding.
pub fn url64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads [`url64`]: one text for the same bytes, no other.
pub fn read_url64(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A whole number as a text; no other text is read as that number.
pub fn read_whole(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    digits.then(|| text.parse().ok()).flatten()
}

/// A signed decimal with exactly so many places. Wider than an amount, since what came in and went out is added up for ever.
pub fn decimal(minor: i128, scale: u8) -> String {
    let scale = usize::from(scale);
    let sign = if minor < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", minor.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Reads a decimal and how many places it has; no other text is read as the same.
pub fn read_decimal(text: &str) -> Option<(i128, u8)> {
    let (whole, fraction) = text.trim_start_matches('-').split_once('.').unwrap_or((text.trim_start_matches('-'), ""));
    let scale = u8::try_from(fraction.len()).ok()?;
    let minor: i128 = format!("{whole}{fraction}").parse().ok()?;
    let minor = if text.starts_with('-') { minor.checked_neg()? } else { minor };
    (decimal(minor, scale) == text).then_some((minor, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_one_text() {
        for (minor, scale, text) in
            [(0, 0, "0"), (-1, 6, "-0.000001"), (1_250_500_000, 6, "1250.500000"), (i128::from(i64::MIN), 2, "-92233720368547758.08")]
        {
            assert_eq!(decimal(minor, scale), text);
            assert_eq!(read_decimal(text), Some((minor, scale)));
        }
        for bad in
            ["", "-", "--1", "+1", "01", "1.", ".5", "-0", "-0.00", "1e3", " 1", "1_0", "1.-5", "99999999999999999999999999999999999999999"]
        {
            assert_eq!(read_decimal(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_the_one_form_is_read() {
        assert!(read(r#"{"a":"1","b":["x"]}"#).is_some());
        for other in [r#"{"b":1,"a":2}"#, r#"{"a": 1}"#, r#"{"a":1,"a":1}"#, r#"{"a":1.0}"#, r#""\u0041""#, "{\"a\":1}\n", ""] {
            assert!(read(other).is_none(), "{other}");
        }
        assert_eq!(
            [read_whole("0"), read_whole("17"), read_whole("007"), read_whole("+1"), read_whole("")],
            [Some(0), Some(17), None, None, None]
        );
        assert_eq!(read_url64("AB"), None, "bits beyond the last byte are not nothing");
    }
}
