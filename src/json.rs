//! Strict JSON: a document in which no object names a key twice, as a tree that borrows its texts from the document.
//!
//! `serde_json` keeps the last of two equal keys, so a reader before us (a proxy, a signer) may have seen another document than we
//! do. Every usage record passes through it, so a text without escapes is never copied and objects are plain lists; who keeps a piece of a
//! document turns it into `serde_json`'s own value. It may not know what the document means. Bounds: nesting 128 deep (`serde_json`'s
//! own limit); size is the caller's to limit, and the time taken grows with it alone.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use crate::refusal::{Code, Refusal};

/// A value in a document that lives at least for `'b`.
#[derive(PartialEq, Debug)]
pub enum Value<'b> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// As it was read; amounts are texts.
    Number(Number),
    /// Borrowed unless it was written with escapes.
    Text(Cow<'b, str>),
    /// Items in their order.
    List(Vec<Value<'b>>),
    /// Entries in the order of the document, each key once.
    Object(Vec<Entry<'b>>),
}

/// A key and its value.
pub type Entry<'b> = (Cow<'b, str>, Value<'b>);

impl<'b> Value<'b> {
    /// What an object holds under a key.
    pub fn get(&self, key: &str) -> Option<&Value<'b>> {
        self.as_object()?.iter().find_map(|(name, value)| (name == key).then_some(value))
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn as_list(&self) -> Option<&[Value<'b>]> {
        match self {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries, if it is an object.
    pub fn as_object(&self) -> Option<&[Entry<'b>]> {
        match self {
            Value::Object(entries) => Some(entries),
            _ => None,
        }
    }
}

impl From<Value<'_>> for serde_json::Value {
    /// For what outlives the document.
    fn from(value: Value<'_>) -> serde_json::Value {
        match value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(flag) => flag.into(),
            Value::Number(number) => number.into(),
            Value::Text(text) => text.into_owned().into(),
            Value::List(items) => items.into_iter().map(serde_json::Value::from).collect(),
            Value::Object(entries) => entries.into_iter().map(|(key, value)| (key.into_owned(), serde_json::Value::from(value))).collect(),
        }
    }
}

/// Reads one document and nothing after it. Error: `malformed_json`, with the place.
pub fn parse(bytes: &[u8]) -> Result<Value<'_>, Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = Strict.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| {
        // The visitor below makes the only error of the category Data.
        let what = if error.is_data() { "An object names a key twice" } else { "The JSON can't be read" };
        Refusal::new(Code::MalformedJson, format!("{what}, at line {} column {}.", error.line(), error.column()))
    })
}

/// Both the seed and the visitor of a value.
#[derive(Clone, Copy)]
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value<'de>, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value.into()))
    }

    // Kept only to be refused by name later: no field of ours is a float.
    fn visit_f64<E>(self, value: f64) -> Result<Value<'de>, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value<'de>, A::Error> {
        let (mut object, mut names) = (Vec::new(), Names::default());
        while let Some(key) = entries.next_key_seed(Key)? {
            if names.have(&object, &key) {
                return Err(A::Error::custom("duplicate key"));
            }
            object.push((key, entries.next_value_seed(Strict)?));
        }
        Ok(Value::Object(object))
    }
}

/// Both the seed and the visitor of a key.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Cow<'de, str>, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

/// So many keys are told apart one by one, which costs less than hashing them.
const FEW: usize = 32;

/// The keys of an object that has more than a [`FEW`]: who sends a million is not to have half a billion pairs compared.
struct Names<K>(HashSet<K>);

impl<K> Default for Names<K> {
    fn default() -> Names<K> {
        Names(HashSet::new())
    }
}

impl<K: Eq + Hash + Clone> Names<K> {
    /// Whether a key is among the entries that came before it, each of which was asked for in its turn.
    fn have<V>(&mut self, before: &[(K, V)], key: &K) -> bool {
        if before.len() < FEW {
            return before.iter().any(|(name, _)| name == key);
        }
        if self.0.is_empty() {
            self.0.extend(before.iter().map(|(name, _)| name.clone()));
        }
        !self.0.insert(key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::hash::Hasher;

    #[test]
    fn reads_what_serde_json_reads() {
        for text in ["null", "-1", "1.5", r#""é""#, r#"{"a":[1,{"b":null}],"c":true,"\u00e9\n":"\"x\""}"#, " [] "] {
            let read = parse(text.as_bytes()).ok().map(serde_json::Value::from);
            assert_eq!(read, serde_json::from_str(text).ok(), "{text}");
        }
    }

    #[test]
    fn refuses_what_two_readers_may_read_differently() {
        let deep = "[".repeat(200);
        for text in [r#"{"a":1,"a":1}"#, r#"[{"x":{"a":1,"\u0061":2}}]"#, "", "{", "1 2", "{'a':1}", "NaN", "{1:2}", &deep] {
            let refused = parse(text.as_bytes()).map_err(|r| r.code);
            assert_eq!(refused, Err(Code::MalformedJson), "{text}");
        }
        assert!(parse(br#"{"a":1,"a":1}"#).is_err_and(|r| r.detail.starts_with("An object names a key twice")));
        assert!(parse(b"\"\xff\"").is_err(), "not UTF-8");
    }

    #[test]
    fn texts_are_borrowed_unless_they_were_escaped() {
        let document = parse(br#"{"plain":"caf\u00e9","esc\u0061ped":"plain","list":["one"]}"#).expect("JSON");
        let [(plain, escape), (escaped, text), (_, list)] = document.as_object().expect("an object") else { panic!("three entries") };
        assert!(matches!((plain, escape), (Cow::Borrowed("plain"), Value::Text(Cow::Owned(cafe))) if cafe == "café"));
        assert!(matches!((escaped, text), (Cow::Owned(key), Value::Text(Cow::Borrowed("plain"))) if key == "escaped"));
        assert_eq!(list.as_list(), Some(&[Value::Text("one".into())][..]));
        assert!(matches!(list.as_list(), Some([Value::Text(Cow::Borrowed("one"))])));
    }

    #[test]
    fn entries_keep_their_order_and_are_found_by_their_keys() {
        let document = parse(br#"{"b":1,"a":null,"\u0063":"x"}"#).expect("JSON");
        let keys: Vec<&str> = document.as_object().into_iter().flatten().map(|(key, _)| key.as_ref()).collect();
        assert_eq!(keys, ["b", "a", "c"]);
        assert_eq!((document.get("a"), document.get("c").and_then(Value::as_text)), (Some(&Value::Null), Some("x")));
        assert_eq!((document.get("d"), Value::Null.get("a")), (None, None));
    }

    #[test]
    fn nesting_ends_at_128() {
        let nested = |deep: usize| format!("{}{}", "[".repeat(deep), "]".repeat(deep));
        assert!(parse(nested(127).as_bytes()).is_ok());
        assert!(parse(nested(128).as_bytes()).is_err());
    }

    #[test]
    fn a_key_is_met_again_wherever_it_stood() {
        let object = |keys: &[String]| keys.iter().map(|key| format!("\"{key}\":0")).collect::<Vec<_>>().join(",");
        for count in [1, FEW - 1, FEW, FEW + 1, 3 * FEW] {
            let mut keys: Vec<String> = (0..count).map(|n| format!("k{n}")).collect();
            assert!(parse(format!("{{{}}}", object(&keys)).as_bytes()).is_ok(), "{count}");
            for place in [0, count / 2, count - 1] {
                keys.push(format!("\\u006b{place}"));
                assert!(parse(format!("{{{}}}", object(&keys)).as_bytes()).is_err(), "{place} of {count}");
                keys.pop();
            }
        }
    }

    thread_local! {
        static COMPARED: Cell<usize> = const { Cell::new(0) };
    }

    /// A key that counts how often it is compared.
    #[derive(Clone, Eq)]
    struct Counted(usize);

    impl PartialEq for Counted {
        fn eq(&self, other: &Counted) -> bool {
            COMPARED.set(COMPARED.get() + 1);
            self.0 == other.0
        }
    }

    impl Hash for Counted {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }

    #[test]
    fn many_keys_are_not_compared_pair_by_pair() {
        const MANY: usize = 100_000;
        let (mut names, mut object) = (Names::default(), Vec::new());
        for key in (0..MANY).map(Counted) {
            assert!(!names.have(&object, &key));
            object.push((key, ()));
        }
        assert!(COMPARED.get() < MANY, "{} comparisons", COMPARED.get());
        assert!(names.have(&object, &Counted(MANY / 2)));
    }
}
