//! JSON in one form only (RFC 8785): what is hashed is what anybody writes again.
//!
//! Pure. What is written here is written from structures whose fields stand in the order of their names, which is RFC 8785's order as long
//! as the names are ASCII; a test holds it against another's implementation. What is read must be in that form to the byte.

use std::fmt::{Display, Write};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::Value;

use crate::amount::write_decimal;
use crate::id::{Id, Kind};
use crate::time::Time;

/// The text of a structure whose fields are declared in the order of their names.
pub fn text(value: &impl Serialize) -> String {
    // Texts, lists and structures of texts can't fail to be written.
    serde_json::to_string(value).unwrap_or_default()
}

/// An object that is written member by member, in the order of their names: what is hashed of every entry.
pub struct Object<'o> {
    out: &'o mut String,
    first: bool,
}

impl<'o> Object<'o> {
    /// Begins one.
    pub fn begin(out: &'o mut String) -> Object<'o> {
        out.push('{');
        Object { out, first: true }
    }

    /// Names the next member; its value is to be written where this says.
    pub fn member(&mut self, name: &str) -> &mut String {
        self.out.push_str(if self.first { "\"" } else { ",\"" });
        self.first = false;
        self.out.push_str(name);
        self.out.push_str("\":");
        self.out
    }

    /// A text.
    pub fn text(&mut self, name: &str, value: &str) {
        push_text(self.member(name), value);
    }

    /// An identifier.
    pub fn id<K: Kind>(&mut self, name: &str, id: Id<K>) {
        push_id(self.member(name), id);
    }

    /// An instant.
    pub fn time(&mut self, name: &str, at: Time) {
        let out = self.member(name);
        out.push('"');
        at.push_to(out);
        out.push('"');
    }

    /// A value that is no text: a number of this program's own.
    pub fn bare(&mut self, name: &str, value: impl Display) {
        // A string takes whatever is written to it.
        let _ = write!(self.member(name), "{value}");
    }

    /// A whole number, as a text.
    pub fn number(&mut self, name: &str, value: impl Into<i128>) {
        self.decimal(name, value.into(), 0);
    }

    /// A decimal, as a text.
    pub fn decimal(&mut self, name: &str, minor: i128, scale: u8) {
        let out = self.member(name);
        out.push('"');
        push_decimal(out, minor, scale);
        out.push('"');
    }

    /// Ends it.
    pub fn end(self) {
        self.out.push('}');
    }
}

/// Writes a text as a JSON string.
pub fn push_text(out: &mut String, value: &str) {
    // All bytes are looked at whatever the first ones are, so that it is done many at a time.
    if value.bytes().fold(false, |escaped, byte| escaped | (byte < b' ') | (byte == b'"') | (byte == b'\\')) {
        out.push_str(&text(&value));
    } else {
        out.push('"');
        out.push_str(value);
        out.push('"');
    }
}

/// Writes an identifier as a JSON string.
pub fn push_id<K: Kind>(out: &mut String, id: Id<K>) {
    out.push('"');
    id.push_to(out);
    out.push('"');
}

/// Writes a few bytes, a hash at most, in the alphabet of URLs.
pub fn push_url64(out: &mut String, bytes: &[u8]) {
    let mut text = [0; 44];
    // It fits; what did not would be written as nothing and fit no hash.
    let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text).unwrap_or_default();
    out.push_str(std::str::from_utf8(&text[..written]).unwrap_or_default());
}

/// Writes a decimal.
pub fn push_decimal(out: &mut String, minor: i128, scale: u8) {
    // A string takes whatever is written to it.
    let _ = write_decimal(out, minor, scale);
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
    let mut text = String::new();
    push_decimal(&mut text, minor, scale);
    text
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
    use crate::id::LotId;

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
    fn what_is_written_by_hand_is_in_the_one_form() {
        let mut out = String::new();
        let mut object = Object::begin(&mut out);
        object.text("a", "plain \u{e9}\u{7f}");
        object.text("b", "\"\\\n\u{1f}\u{8}");
        object.id("c", LotId::from_stamp(7));
        object.number("d", -7);
        object.decimal("e", -7, 6);
        Object::begin(object.member("f")).end();
        object.end();
        let value = read(&out).expect("the one form");
        assert_eq!((value["b"].as_str(), value["e"].as_str()), (Some("\"\\\n\u{1f}\u{8}"), Some("-0.000007")));
        assert_eq!(out, text(&value));
        let mut coded = String::new();
        push_url64(&mut coded, &[0xff; 32]);
        assert_eq!(coded, url64(&[0xff; 32]));
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
