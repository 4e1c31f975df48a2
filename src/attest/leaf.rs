//! Leaves: what stands in the log for everybody, one for each entry of the journal and a few of the log's own.
//!
//! Pure. A leaf is canonical JSON and holds kinds, counts and digests; what it says of anybody is disclosed apart. Bound: 32 KiB.

use serde::Serialize;
use serde_json::Value;

use super::canon::{Object, push_text, read, read_url64, text, url64};
use crate::tlog::Verifier;
use crate::tlog::hash::{Hash, from_base64, to_base64};

/// The most bytes of a leaf.
pub const LONGEST: usize = 32 * 1024;

/// The kind word of the log's first leaf.
pub const ORIGIN: &str = "origin";
/// That of what a provider's nullifiers are salted with.
pub const PROVIDER: &str = "provider";
/// That of a commitment to the heads of all lots.
pub const SEAL: &str = "seal";
/// That of a change of the signer's key.
pub const KEY: &str = "key";

/// The form of leaves.
const VERSION: u8 = 1;

/// The leaf of an entry of the journal, or of a provider; the fields in the order of their names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaf<'l> {
    /// Digests of disclosures, in their own order: it says nothing of what they shut in.
    pub sd: Vec<String>,
    /// Digests of lots' lines, likewise.
    pub lines: Vec<String>,
    /// Of a charge: equal for the same usage, and to be guessed by nobody.
    pub nul: Option<String>,
    /// What happened.
    pub t: &'l str,
}

impl<'l> Leaf<'l> {
    /// A leaf of that kind.
    pub fn new(kind: &'l str, mut sd: Vec<String>, mut lines: Vec<String>, nul: Option<String>) -> Leaf<'l> {
        sd.sort_unstable();
        lines.sort_unstable();
        Leaf { sd, lines, nul, t: kind }
    }

    /// Its canonical text.
    pub fn text(&self) -> String {
        let mut out = String::with_capacity(256);
        let mut leaf = Object::begin(&mut out);
        for (name, digests) in [("_sd", &self.sd), ("lines", &self.lines)] {
            if name == "lines" && digests.is_empty() {
                continue;
            }
            let list = leaf.member(name);
            list.push('[');
            for (place, digest) in digests.iter().enumerate() {
                if place > 0 {
                    list.push(',');
                }
                push_text(list, digest);
            }
            list.push(']');
        }
        if let Some(nul) = &self.nul {
            leaf.text("nul", nul);
        }
        leaf.text("t", self.t);
        leaf.bare("v", VERSION);
        leaf.end();
        out
    }
}

/// The first leaf: whose log it is.
pub fn origin(name: &str, key: &str) -> String {
    #[derive(Serialize)]
    struct Origin<'l> {
        key: &'l str,
        origin: &'l str,
        t: &'static str,
        v: u8,
    }
    text(&Origin { key, origin: name, t: ORIGIN, v: VERSION })
}

/// What both keys sign when one follows the other.
pub fn succession(old: &str, new: &str) -> String {
    format!("almoner/key/1\n{old}\n{new}\n")
}

/// A change of the signer's key: the keys, and what each made of [`succession`].
pub fn key(old: &str, new: &str, by: &[Vec<u8>; 2]) -> String {
    #[derive(Serialize)]
    struct Key<'l> {
        by: [String; 2],
        new: &'l str,
        old: &'l str,
        t: &'static str,
        v: u8,
    }
    let [by_old, by_new] = by;
    text(&Key { by: [url64(by_old), url64(by_new)], new, old, t: KEY, v: VERSION })
}

/// Reads a change of key: old, new, and what each signed.
pub fn read_key(leaf: &str) -> Option<(String, String, [Vec<u8>; 2])> {
    let value = read(leaf)?;
    let fields = value.as_object().filter(|fields| fields.len() == 5)?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let [old, new] = <[Value; 2]>::try_from(fields.get("by")?.as_array()?.clone()).ok()?;
    let by = [read_url64(old.as_str()?)?, read_url64(new.as_str()?)?];
    let form = text("t") == Some(KEY) && fields.get("v")?.as_u64() == Some(VERSION.into());
    form.then_some((text("old")?.into(), text("new")?.into(), by))
}

/// The key that follows another by the word of both; `None` where the leaf is no such change.
pub fn successor(leaf: &str, before: &Verifier) -> Option<Verifier> {
    let (old, new, [by_old, by_new]) = read_key(leaf)?;
    let key = Verifier::parse(&new).ok().filter(|key| key.name() == before.name() && before.text() == old)?;
    let text = succession(&old, &new);
    (before.verify(&text, &by_old).is_ok() && key.verify(&text, &by_new).is_ok()).then_some(key)
}

/// A seal over so many lots' heads.
pub fn seal(root: &Hash, lots: usize) -> String {
    #[derive(Serialize)]
    struct Seal {
        lots: String,
        root: String,
        t: &'static str,
        v: u8,
    }
    text(&Seal { lots: lots.to_string(), root: to_base64(root), t: SEAL, v: VERSION })
}

/// What a reader finds in a leaf of the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// What happened.
    pub kind: String,
    /// Digests of disclosures.
    pub sd: Vec<String>,
    /// Digests of lines.
    pub lines: Vec<String>,
    /// The nullifier.
    pub nul: Option<String>,
}

/// Reads the leaf of an entry. `None` where it is not in the one form, or has anything else in it.
pub fn read_entry(leaf: &str) -> Option<Found> {
    let value = (leaf.len() <= LONGEST).then(|| read(leaf)).flatten()?;
    let fields = value.as_object()?;
    let known = fields.keys().all(|name| ["_sd", "lines", "nul", "t", "v"].contains(&name.as_str()));
    let digests = |name: &str| -> Option<Vec<String>> {
        let Some(list) = fields.get(name) else { return Some(Vec::new()) };
        let texts: Vec<String> = list.as_array()?.iter().map(|one| one.as_str().map(String::from)).collect::<Option<_>>()?;
        texts.is_sorted_by(|a, b| a < b).then_some(texts)
    };
    let (sd, lines) = (digests("_sd")?, digests("lines")?);
    let nul = match fields.get("nul") {
        Some(nul) => Some(nul.as_str()?.to_owned()),
        None => None,
    };
    let kind = fields.get("t")?.as_str()?.to_owned();
    (known && fields.get("v")?.as_u64() == Some(VERSION.into())).then_some(Found { kind, sd, lines, nul })
}

/// What anybody learns of a leaf, whichever it is: its nullifier, if it has one. `None` where it is in none of the forms.
pub fn read_public(leaf: &str) -> Option<Option<String>> {
    if let Some(found) = read_entry(leaf) {
        return Some(found.nul);
    }
    let value = (leaf.len() <= LONGEST).then(|| read(leaf)).flatten()?;
    let own = value.get("t")?.as_str().is_some_and(|kind| [ORIGIN, PROVIDER, SEAL, KEY].contains(&kind));
    own.then_some(None)
}

/// Reads a seal: the root over the lots' heads, and how many there are.
pub fn read_seal(leaf: &str) -> Option<(Hash, u64)> {
    let value = read(leaf)?;
    let fields = value.as_object()?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let form = fields.len() == 4 && text("t") == Some(SEAL) && fields.get("v")?.as_u64() == Some(VERSION.into());
    form.then_some((from_base64(text("root")?)?, super::canon::read_whole(text("lots")?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_are_these_bytes() {
        let leaf = Leaf::new("charge", vec!["e".into(), "a".into()], vec!["l2".into(), "l1".into()], Some("N".into()));
        assert_eq!(leaf.text(), r#"{"_sd":["a","e"],"lines":["l1","l2"],"nul":"N","t":"charge","v":1}"#);
        assert_eq!(Leaf::new("person", vec!["a".into()], Vec::new(), None).text(), r#"{"_sd":["a"],"t":"person","v":1}"#);
        assert_eq!(origin("example.org/log", "K"), r#"{"key":"K","origin":"example.org/log","t":"origin","v":1}"#);
        let zero = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        assert_eq!(seal(&[0; 32], 3), format!(r#"{{"lots":"3","root":"{zero}","t":"seal","v":1}}"#));
        for one in [leaf.text(), origin("o", "k"), seal(&[9; 32], 0)] {
            assert!(read(&one).is_some(), "{one}");
        }
    }

    #[test]
    fn leaves_read_back_and_others_do_not() {
        let found = read_entry(&Leaf::new("charge", vec!["a".into()], vec!["l".into()], Some("N".into())).text()).expect("a leaf");
        assert_eq!((found.kind.as_str(), found.lines, found.nul.as_deref()), ("charge", vec!["l".to_owned()], Some("N")));
        let bad = [
            r#"{"_sd":["b","a"],"t":"person","v":1}"#,
            r#"{"_sd":["a"],"lines":["l","l"],"t":"charge","v":1}"#,
            r#"{"_sd":["a"],"t":"person","v":2}"#,
            r#"{"_sd":["a"],"t":"person","v":1,"x":"y"}"#,
            r#"{"_sd":["a"],"nul":7,"t":"charge","v":1}"#,
            r#"{"t":"person", "v":1}"#,
        ];
        assert!(bad.iter().all(|leaf| read_entry(leaf).is_none()));
        assert_eq!(read_public(&Leaf::new("charge", Vec::new(), Vec::new(), Some("N".into())).text()), Some(Some("N".into())));
        assert!(
            [origin("o", "k"), seal(&[9; 32], 0), Leaf::new("award", Vec::new(), Vec::new(), None).text()].iter().all(|own| read_public(
                own
            ) == Some(
                None
            ))
        );
        assert_eq!((read_public(r#"{"t":"other"}"#), read_public(r#"{"t":"seal", "v":1}"#)), (None, None));
        assert_eq!(read_seal(&seal(&[9; 32], 7)), Some(([9; 32], 7)));
        let changed = key("K", "L", &[vec![1; 64], vec![2; 64]]);
        assert_eq!(read_key(&changed), Some(("K".into(), "L".into(), [vec![1; 64], vec![2; 64]])));
        assert_eq!(read_key(&changed.replace("key", "seal")), None);
        assert_eq!(read_seal(r#"{"lots":"7","root":"","t":"seal","v":1}"#), None);
    }
}
