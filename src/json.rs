//! Strict JSON: a document in which no object names a key twice.
//!
//! `serde_json` keeps the last of two equal keys, so a reader before us (a proxy, a signer) may have seen another document than we
//! do. It may not know what the document means. Bounds: nesting 128 deep (`serde_json`'s own limit); size is the caller's to limit.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::refusal::{Code, Refusal};

/// Reads one document and nothing after it. Error: `malformed_json`, with the place.
pub fn parse(bytes: &[u8]) -> Result<Value, Refusal> {
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
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    // Kept only to be refused by name later: no field of ours is a float.
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.insert(key, entries.next_value_seed(Strict)?).is_some() {
                return Err(A::Error::custom("duplicate key"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_serde_json_reads() {
        for text in ["null", "-1", "1.5", r#""é""#, r#"{"a":[1,{"b":null}],"c":true}"#, " [] "] {
            assert_eq!(parse(text.as_bytes()).ok(), serde_json::from_str(text).ok(), "{text}");
        }
    }

    #[test]
    fn refuses_what_two_readers_may_read_differently() {
        let deep = "[".repeat(200);
        for text in [r#"{"a":1,"a":1}"#, r#"[{"x":{"a":1,"\u0061":2}}]"#, "", "{", "1 2", "{'a':1}", "NaN", &deep] {
            let refused = parse(text.as_bytes()).map_err(|r| r.code);
            assert_eq!(refused, Err(Code::MalformedJson), "{text}");
        }
        assert!(parse(br#"{"a":1,"a":1}"#).is_err_and(|r| r.detail.starts_with("An object names a key twice")));
    }
}
