//! What a charge keeps of its usage record, read in place: no value is made of it, its fields are pieces of the text.
//!
//! Pure. It reads the form in which this program writes records and nothing else: fields in their order, texts without escapes. Of any other
//! text it says nothing, and who asks reads it as JSON.

/// The fields in the order in which a record is written.
pub const FIELDS: [&str; 11] =
    ["external_id", "part", "grant", "account", "hold", "quantities", "amount", "qos", "started_at", "user", "job"];

/// The fields of a record, each as it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Said<'r>([Option<&'r str>; FIELDS.len()]);

impl<'r> Said<'r> {
    /// Reads a record; `None` where it is written otherwise than this program does, or begins with anything but its name.
    pub fn read(text: &'r str) -> Option<Said<'r>> {
        // All bytes are looked at whatever the first ones are, so that it is done many at a time.
        if text.bytes().fold(false, |escaped, byte| escaped | (byte < b' ') | (byte == b'\\')) {
            return None;
        }
        let mut rest = text.strip_prefix('{')?;
        let (mut said, mut next) = (Said::default(), 0);
        loop {
            let (name, after) = string(rest)?;
            let place = place(unquoted(name)).filter(|place| *place >= next)?;
            let (value, after) = value(after.strip_prefix(':')?)?;
            *said.0.get_mut(place)? = Some(value);
            next = place + 1;
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => return (after == "}" && said.at(0)?.starts_with('"')).then_some(said),
            }
        }
    }

    /// A field by its place in [`FIELDS`] as it is written, in its quotes if it is a text.
    pub fn at(&self, place: usize) -> Option<&'r str> {
        self.0.get(place).copied().flatten()
    }

    /// The provider's name for the record.
    pub fn external_id(&self) -> &'r str {
        self.at(0).map(unquoted).unwrap_or_default()
    }

    /// Which part of the job it states, as it is written.
    pub fn part(&self) -> Option<&'r str> {
        self.at(1)
    }
}

/// The place of a field in [`FIELDS`]; said outright, it is found by a few comparisons of words.
fn place(name: &str) -> Option<usize> {
    Some(match name {
        "external_id" => 0,
        "part" => 1,
        "grant" => 2,
        "account" => 3,
        "hold" => 4,
        "quantities" => 5,
        "amount" => 6,
        "qos" => 7,
        "started_at" => 8,
        "user" => 9,
        "job" => 10,
        _ => return None,
    })
}

/// A text without its quotes.
fn unquoted(text: &str) -> &str {
    text.get(1..text.len() - 1).unwrap_or_default()
}

/// A text with its quotes, and what follows it. That it has no escapes was seen before.
fn string(text: &str) -> Option<(&str, &str)> {
    let end = text.strip_prefix('"')?.find('"')?;
    text.split_at_checked(end + 2)
}

/// A text, a whole number, `true`, or an object of texts in the order of their names; and what follows it.
fn value(text: &str) -> Option<(&str, &str)> {
    match text.as_bytes().first()? {
        b'"' => string(text),
        b'{' => object(text),
        b't' => text.starts_with("true").then(|| text.split_at(4)),
        b'1'..=b'9' => {
            let end = text.bytes().position(|byte| !byte.is_ascii_digit())?;
            (end < 19).then(|| text.split_at(end))
        }
        _ => None,
    }
}

fn object(text: &str) -> Option<(&str, &str)> {
    let mut rest = text.strip_prefix('{')?;
    let mut last = "";
    loop {
        let (name, after) = string(rest)?;
        let (_, after) = string(after.strip_prefix(':')?)?;
        if name <= last {
            return None;
        }
        last = name;
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None => {
                let after = after.strip_prefix('}')?;
                return Some(text.split_at(text.len() - after.len()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const WHOLE: &str = r#"{"external_id":"lab:1","part":2,"grant":true,"quantities":{"cpu-hour":"3","gpu-hour":"12.5"},"user":"é1","job":{"cluster":"c","id":"7"}}"#;

    #[test]
    fn what_this_program_writes_is_read_in_pieces() {
        let said = Said::read(WHOLE).expect("a record");
        let whole: Value = serde_json::from_str(WHOLE).expect("JSON");
        for (at, name) in FIELDS.into_iter().enumerate() {
            assert_eq!(place(name), Some(at));
            let told = said.at(at).map(|text| serde_json::from_str::<Value>(text).expect("JSON"));
            assert_eq!(told.as_ref(), whole.get(name), "{name}");
        }
        assert_eq!((said.external_id(), said.part(), said.at(FIELDS.len())), ("lab:1", Some("2"), None));
        assert_eq!(Said::read(r#"{"external_id":""}"#).map(|said| said.external_id()), Some(""));
    }

    #[test]
    fn of_any_other_text_nothing_is_said() {
        for (from, to) in [
            ("lab:1", r"lab\u003a1"),
            ("lab:1", "lab\n1"),
            (":true", ": true"),
            (":true", ":false"),
            (":true", ":truer"),
            (":2", ":null"),
            (":2", ":02"),
            (":2", ":-2"),
            (":2", ":2.0"),
            (":2", ":22222222222222222222"),
            (r#""part":2"#, r#""part":2,"part":2"#),
            (r#""user""#, r#""ended_at":"x","user""#),
            (r#""user""#, r#""hold":"x","user""#),
            (r#""cpu-hour":"3","gpu-hour""#, r#""gpu-hour":"3","cpu-hour""#),
            (r#""cpu-hour":"3","gpu-hour""#, r#""gpu-hour":"3","gpu-hour""#),
            (r#""3""#, "3"),
            (r#""external_id":"lab:1","#, ""),
            (r#""external_id":"lab:1""#, r#""external_id":1"#),
            ("}}", "}} "),
            ("}}", "}"),
            ("}}", "}},"),
        ] {
            let other = WHOLE.replacen(from, to, 1);
            assert_ne!(other, WHOLE);
            assert_eq!(Said::read(&other), None, "{other}");
        }
        for cut in 0..WHOLE.len() {
            assert_eq!(WHOLE.get(..cut).and_then(Said::read), None, "{cut}");
        }
    }
}
