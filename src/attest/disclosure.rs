//! Disclosures: what a leaf keeps shut with a hash, and opens to whoever is handed the text (RFC 9901 §4.2.1).
//!
//! Pure. A digest is the hash of a text that begins with 128 random bits, so nobody can guess what it shuts in; who has the text can check
//! that it is what the leaf holds. Erasing text and salt leaves every hash as it is.

use aws_lc_rs::rand;
use serde_json::Value;
use sha2::{Digest, Sha256};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::canon::{push_url64, read, read_url64, url64};
use crate::store::Fault;

/// What keeps a disclosure from being guessed.
pub type Salt = [u8; 16];

/// Fresh salts, from the system's source of randomness.
#[derive(Default)]
pub struct Salts {
    /// Drawn and not yet used.
    drawn: Vec<Salt>,
}

/// Salts that are drawn at a time.
const DRAWN: usize = 4096;

impl Salts {
    /// One that was never used.
    pub fn fresh(&mut self) -> Result<Salt, Fault> {
        if self.drawn.is_empty() {
            self.drawn = vec![[0; 16]; DRAWN];
            rand::fill(self.drawn.as_flattened_mut()).map_err(|_| Fault::Internal("the system gives no randomness".into()))?;
        }
        self.drawn.pop().ok_or_else(|| Fault::Internal("no salt was drawn".into()))
    }
}

/// The text of a disclosure of a value that is given as canonical JSON.
pub fn disclose(salt: &Salt, name: &str, value: &str) -> String {
    let mut desk = Desk::default();
    desk.open(salt, name).push_str(value);
    desk.end();
    desk.text().to_owned()
}

/// Disclosures one after the other, in memory that is used again: several are made of every entry, and of most only the digest is wanted.
#[derive(Default)]
pub struct Desk {
    value: String,
    coded: Vec<u8>,
}

impl Desk {
    /// Begins the disclosure of that name; its value is to be written, as canonical JSON, where this says.
    pub fn open(&mut self, salt: &Salt, name: &str) -> &mut String {
        self.value.clear();
        self.value.push_str("[\"");
        push_url64(&mut self.value, salt);
        self.value.push_str("\",\"");
        self.value.push_str(name);
        self.value.push_str("\",");
        &mut self.value
    }

    /// Ends it; its digest. The value must have been written.
    pub fn shut(&mut self) -> String {
        self.end();
        url64(&Sha256::digest(&self.coded))
    }

    fn end(&mut self) {
        self.value.push(']');
        self.coded.resize(self.value.len().div_ceil(3) * 4, 0);
        // It fits: four characters for three bytes.
        let written = URL_SAFE_NO_PAD.encode_slice(&self.value, &mut self.coded).unwrap_or_default();
        self.coded.truncate(written);
    }

    /// The text of the one that was ended last.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.coded).unwrap_or_default()
    }
}

/// Characters that a disclosure of any name begins with: two that open it, and its salt.
const BEGINNING: usize = (2 + 22) * 8 / 6;

/// The salt with which a disclosure begins. Whether the rest is in the one form it does not say: that is for who writes it again with this salt
/// and compares.
pub fn salt_of(disclosure: &str) -> Option<Salt> {
    let mut begun = [0; 24];
    let read = URL_SAFE_NO_PAD.decode_slice(disclosure.get(..BEGINNING)?, &mut begun).ok()?;
    let coded = begun.get(..read)?.strip_prefix(b"[\"")?;
    let mut salt = [0; 16];
    let read = URL_SAFE_NO_PAD.decode_slice(coded, &mut salt).ok()?;
    (read == salt.len()).then_some(salt)
}

/// The digest of a disclosure, as a leaf holds it.
pub fn digest(disclosure: &str) -> String {
    url64(&Sha256::digest(disclosure))
}

/// Reads a disclosure of that name: salt and value. `None` for a text that is not in the one form.
pub fn open(disclosure: &str, name: &str) -> Option<(Salt, Value)> {
    let text = String::from_utf8(read_url64(disclosure)?).ok()?;
    let Value::Array(parts) = read(&text)? else { return None };
    let [Value::String(salt), Value::String(named), value] = <[Value; 3]>::try_from(parts).ok()? else { return None };
    let salt = read_url64(&salt)?.try_into().ok()?;
    (named == name).then_some((salt, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_disclosed_reads_back_and_has_the_digest_of_its_text() {
        let text = disclose(&[7; 16], "line", r#"{"n":"1"}"#);
        assert_eq!(text, "WyJCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3IiwibGluZSIseyJuIjoiMSJ9XQ");
        assert_eq!(digest(&text), "IAgip6ZL4ZkegqFofcPwdAvYkbBwKPtjegiA7dJUi2o");
        assert_eq!(open(&text, "line"), Some(([7; 16], serde_json::json!({"n": "1"}))));
        let mut desk = Desk::default();
        for value in ["[1]", r#"{"n":"1"}"#] {
            desk.open(&[7; 16], "line").push_str(value);
            assert_eq!(desk.shut(), digest(&disclose(&[7; 16], "line", value)));
        }
        assert_eq!((desk.text(), salt_of(&text)), (text.as_str(), Some([7; 16])));
        assert_eq!([salt_of(""), salt_of(&text[..31]), salt_of(&text.replace('W', "A")), salt_of("é")], [None; 4]);
        assert_eq!(open(&text, "job"), None);
        assert_eq!(open(&format!("{text}="), "line"), None);
        assert_eq!(open(&url64(br#"["BwcHBwcHBwcHBwcHBwcHBw","line",{"n": "1"}]"#), "line"), None, "another form");
        assert_eq!(open(&url64(br#"["Bwc","line",{"n":"1"}]"#), "line"), None, "a short salt");
    }

    #[test]
    fn salts_differ() {
        let mut salts = Salts::default();
        let drawn: std::collections::HashSet<Salt> = (0..2 * DRAWN).map(|_| salts.fresh().expect("randomness")).collect();
        assert_eq!(drawn.len(), 2 * DRAWN);
    }

    #[test]
    fn the_digest_of_the_standards_own_example_comes_out() {
        // RFC 9901 §4.2.3.
        let text = "WyI2cU1RdlJMNWhhaiIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0";
        assert_eq!(digest(text), "uutlBuYeMDyjLLTpf6Jxi7yNkEF35jdyWMn9U7b_RYY");
    }
}
