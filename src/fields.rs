//! A strict reader of JSON objects that reports everything wrong with them at once.
//!
//! Getters hand out a value or record why not; [`Fields::make`] then gives either the finished noun or one refusal with all errors,
//! each with its JSON Pointer, among them every field that nobody read. It may not know what the nouns mean. When all is well it
//! allocates only what is handed out, since every usage record passes through it.
//!
//! ```
//! # use almoner::{fields::Fields, id::ProjectId, refusal::Refusal};
//! struct Grant { project: ProjectId, justification: String, external_id: Option<String> }
//! fn grant(body: &almoner::json::Value) -> Result<Grant, Refusal> {
//!     let mut f = Fields::of(body)?;
//!     let project = f.id("project");
//!     let justification = f.text("justification", 4000);
//!     let external_id = f.optional().text("external_id", 180);
//!     f.make(|| Some(Grant { project: project?, justification: justification?.into(), external_id: external_id.map(String::from) }))
//! }
//! ```

use std::ops::RangeInclusive;

use rust_decimal::Decimal;

use crate::amount::{Amount, Unit, parse_scaled};
use crate::id::{Id, Kind};
use crate::json::{Entry, Value};
use crate::refusal::{Code, FieldCode, FieldError, Refusal};
use crate::time::{Period, Time};

/// What is wrong with a value, and the particulars.
type Wrong = (FieldCode, String);

/// Looks a unit up by its code.
pub type Units<'u> = &'u dyn Fn(&str) -> Option<Unit>;

/// Where an object stands in the document: a chain on the stack, spelled out only for an error.
#[derive(Clone, Copy)]
enum Place<'p> {
    Root,
    Key(&'p Place<'p>, &'p str),
    Index(&'p Place<'p>, usize),
}

impl Place<'_> {
    /// RFC 6901.
    fn pointer(&self) -> String {
        match self {
            Place::Root => String::new(),
            Place::Key(parent, key) => format!("{}/{}", parent.pointer(), key.replace('~', "~0").replace('/', "~1")),
            Place::Index(parent, index) => format!("{}/{index}", parent.pointer()),
        }
    }
}

/// One JSON object being read.
pub struct Fields<'v, 'p> {
    entries: &'v [Entry<'v>],
    place: Place<'p>,
    /// Bit i: the i-th key was asked for. No noun has as many fields as that has bits, so an object with more keys than bits
    /// has an unknown one among the first.
    seen: u64,
    /// Whether the next getter records an absent field as an error.
    needed: bool,
    errors: Vec<FieldError>,
}

impl<'v> Fields<'v, 'static> {
    /// Begins to read a document that must be an object.
    pub fn of(value: &'v Value<'v>) -> Result<Self, Refusal> {
        let entries = value.as_object().ok_or_else(|| Refusal::field("", FieldCode::WrongType, "A JSON object is wanted here."))?;
        Ok(Fields { entries, place: Place::Root, seen: 0, needed: true, errors: Vec::new() })
    }
}

impl<'v, 'p> Fields<'v, 'p> {
    /// The next getter takes an absent field, or one that is `null`, for `None` without complaint.
    pub fn optional(&mut self) -> &mut Self {
        self.needed = false;
        self
    }

    /// Whether the field is there and not `null`, without reading it.
    pub fn given(&self, name: &str) -> bool {
        self.find(name).is_some_and(|(_, value)| *value != Value::Null)
    }

    /// Records that a field which could be read can't be accepted.
    pub fn refuse(&mut self, name: &str, code: FieldCode, detail: impl Into<String>) {
        self.errors.push(FieldError { pointer: Place::Key(&self.place, name).pointer(), code, detail: detail.into() });
    }

    /// A text of 1 to `max` characters, not blank and without control characters other than tab and newline.
    pub fn text(&mut self, name: &str, max: usize) -> Option<&'v str> {
        self.read(name, |value| text(value, max))
    }

    /// One of the words.
    pub fn one_of(&mut self, name: &str, words: &[&'static str]) -> Option<&'static str> {
        self.read(name, |value| {
            let given = string(value)?;
            let found = words.iter().find(|w| **w == given).copied();
            found.ok_or_else(|| (FieldCode::NotAllowed, format!("It must be one of: {}.", words.join(", "))))
        })
    }

    /// A whole number within the range.
    pub fn whole(&mut self, name: &str, range: RangeInclusive<i64>) -> Option<i64> {
        self.read(name, |value| {
            let number = whole(value)?;
            let bounds = || (FieldCode::NotAllowed, format!("It must lie from {} to {}.", range.start(), range.end()));
            range.contains(&number).then_some(number).ok_or_else(bounds)
        })
    }

    /// `true` or `false`.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        self.read(name, |value| match value {
            Value::Bool(flag) => Ok(*flag),
            _ => Err(wrong_type("boolean")),
        })
    }

    /// An identifier of one kind.
    pub fn id<K: Kind>(&mut self, name: &str) -> Option<Id<K>> {
        self.read(name, |value| Id::parse(string(value)?).map_err(|refusal| (FieldCode::WrongIdType, refusal.detail)))
    }

    /// An instant in RFC 3339.
    pub fn time(&mut self, name: &str) -> Option<Time> {
        self.read(name, |value| string(value)?.parse().map_err(|detail: String| (FieldCode::Malformed, format!("{detail}."))))
    }

    /// `{"from", "to"}`, half-open and not empty.
    pub fn period(&mut self, name: &str) -> Option<Period> {
        let (from, to) = self.object(name, |f| Some((f.time("from"), f.time("to"))))?;
        let period = Period::new(from?, to?);
        if period.is_none() {
            self.refuse(name, FieldCode::PeriodInverted, "The period must end after it begins.");
        }
        period
    }

    /// `{"value", "unit"}`, more than zero.
    pub fn amount(&mut self, name: &str, units: Units<'_>) -> Option<Amount> {
        self.amount_by(name, units, Amount::parse)
    }

    /// An amount that may be zero: what a meter costs.
    pub fn price(&mut self, name: &str, units: Units<'_>) -> Option<Amount> {
        self.amount_by(name, units, |text, unit| Ok(Amount::new(parse_scaled(text, unit.scale())?, unit)))
    }

    fn amount_by(&mut self, name: &str, units: Units<'_>, parse: fn(&str, Unit) -> Result<Amount, FieldCode>) -> Option<Amount> {
        // A bare number is the mistake most often made; name it rather than speak of objects.
        if let Some((_, Value::Number(_))) = self.find(name) {
            let detail = r#"An amount is an object such as {"value":"12.5","unit":"USD"}."#;
            return self.read(name, |_| Err((FieldCode::AmountNotString, detail.into())));
        }
        self.object(name, |f| {
            let unit = f.read("unit", |value| {
                let code = string(value)?;
                units(code).ok_or_else(|| (FieldCode::UnitUnknown, format!("There is no unit {:?} here.", cut(code))))
            });
            f.read("value", |value| {
                let text = decimal_text(value)?;
                // Without its unit the value can be checked for form alone.
                let Some(unit) = unit else { return parse_scaled(text, 9).map(|_| None).or_else(ignore_range) };
                parse(text, unit).map(Some).map_err(|code| amount_wrong(code, unit))
            })?
        })
    }

    /// A list of at most `most` values of any kind, for a reader that judges each on its own.
    pub fn list(&mut self, name: &str, most: usize) -> Option<&'v [Value<'v>]> {
        self.read(name, |value| list(value, most))
    }

    /// A list of at most `most` texts.
    pub fn list_of_texts(&mut self, name: &str, most: usize, max: usize) -> Option<Vec<&'v str>> {
        let items = self.read(name, |value| list(value, most))?;
        let place = self.place;
        let at = Place::Key(&place, name);
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match text(item, max) {
                Ok(read) => texts.push(read),
                Err((code, detail)) => self.errors.push(FieldError { pointer: Place::Index(&at, index).pointer(), code, detail }),
            }
        }
        Some(texts)
    }

    /// An object inside this one; its unknown fields are reported too.
    pub fn object<R>(&mut self, name: &str, with: impl FnOnce(&mut Fields<'v, '_>) -> Option<R>) -> Option<R> {
        let entries = self.read(name, object)?;
        let place = self.place;
        self.descend(entries, Place::Key(&place, name), with)
    }

    /// A list of at most `most` objects.
    pub fn array_of<R>(&mut self, name: &str, most: usize, mut with: impl FnMut(&mut Fields<'v, '_>) -> Option<R>) -> Option<Vec<R>> {
        let items = self.read(name, |value| list(value, most))?;
        let place = self.place;
        let at = Place::Key(&place, name);
        let mut made = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let here = Place::Index(&at, index);
            match object(item) {
                Ok(entries) => made.extend(self.descend(entries, here, &mut with)),
                Err((code, detail)) => self.errors.push(FieldError { pointer: here.pointer(), code, detail }),
            }
        }
        Some(made)
    }

    /// An object of at most `most` strict decimals under names of the sender's own: `{"gpu-hour":"12.5"}`.
    pub fn decimals(&mut self, name: &str, most: usize) -> Option<Vec<(&'v str, Decimal)>> {
        let entries = self.read(name, |value| {
            let entries = object(value)?;
            let many = || (FieldCode::TooLong, format!("At most {most} entries are accepted."));
            (entries.len() <= most).then_some(entries).ok_or_else(many)
        })?;
        let place = self.place;
        let at = Place::Key(&place, name);
        let mut read = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            match decimal(value) {
                Ok(number) => read.push((key.as_ref(), number)),
                Err((code, detail)) => self.errors.push(FieldError { pointer: Place::Key(&at, key).pointer(), code, detail }),
            }
        }
        Some(read)
    }

    /// Ends the reading: `validation_failed` with all errors, or nothing.
    pub fn finish(mut self) -> Result<(), Refusal> {
        self.report_unknown();
        if self.errors.is_empty() { Ok(()) } else { Err(Refusal::fields(self.errors)) }
    }

    /// Ends the reading and makes the noun of what was read. `made` may use `?` on every required value: a value is absent only
    /// where an error was recorded.
    pub fn make<T>(self, made: impl FnOnce() -> Option<T>) -> Result<T, Refusal> {
        self.finish()?;
        made().ok_or_else(|| Refusal::new(Code::Internal, Code::Internal.title()))
    }

    fn descend<'q, R>(
        &mut self,
        entries: &'v [Entry<'v>],
        place: Place<'q>,
        with: impl FnOnce(&mut Fields<'v, 'q>) -> Option<R>,
    ) -> Option<R> {
        let mut inner = Fields { entries, place, seen: 0, needed: true, errors: Vec::new() };
        let made = with(&mut inner);
        inner.report_unknown();
        self.errors.append(&mut inner.errors);
        made
    }

    fn read<T>(&mut self, name: &str, parse: impl FnOnce(&'v Value<'v>) -> Result<T, Wrong>) -> Option<T> {
        let needed = std::mem::replace(&mut self.needed, true);
        let found = self.find(name);
        if let Some((index @ 0..64, _)) = found {
            self.seen |= 1 << index;
        }
        let read = match found.map(|(_, value)| value) {
            None | Some(Value::Null) if needed => Err((FieldCode::Required, "The field is missing.".into())),
            None | Some(Value::Null) => return None,
            Some(value) => parse(value),
        };
        read.map_err(|(code, detail)| self.refuse(name, code, detail)).ok()
    }

    fn find(&self, name: &str) -> Option<(usize, &'v Value<'v>)> {
        self.entries.iter().enumerate().find_map(|(index, (key, value))| (key == name).then_some((index, value)))
    }

    fn report_unknown(&mut self) {
        for (index, (key, _)) in self.entries.iter().take(64).enumerate() {
            if self.seen & (1 << index) == 0 {
                self.refuse(key, FieldCode::UnknownField, "There is no such field here.");
            }
        }
    }
}

fn wrong_type(wanted: &str) -> Wrong {
    (FieldCode::WrongType, format!("A {wanted} is wanted here."))
}

fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

fn string<'v>(value: &'v Value<'_>) -> Result<&'v str, Wrong> {
    value.as_text().ok_or_else(|| wrong_type("string"))
}

fn object<'v>(value: &'v Value<'v>) -> Result<&'v [Entry<'v>], Wrong> {
    value.as_object().ok_or_else(|| wrong_type("JSON object"))
}

fn list<'v>(value: &'v Value<'v>, most: usize) -> Result<&'v [Value<'v>], Wrong> {
    let items = value.as_list().ok_or_else(|| wrong_type("list"))?;
    let many = || (FieldCode::TooLong, format!("At most {most} entries are accepted."));
    (items.len() <= most).then_some(items).ok_or_else(many)
}

fn text<'v>(value: &'v Value<'_>, max: usize) -> Result<&'v str, Wrong> {
    let text = string(value)?;
    // Bytes bound the characters from above, so most texts need no count.
    if text.len() > max && text.chars().count() > max {
        return Err((FieldCode::TooLong, format!("At most {max} characters are accepted.")));
    }
    let control = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.trim().is_empty() || text.contains(control) {
        return Err((FieldCode::Malformed, "A text is wanted that is not blank and has no control characters.".into()));
    }
    Ok(text)
}

fn whole(value: &Value<'_>) -> Result<i64, Wrong> {
    match value {
        Value::Number(number) => number.as_i64(),
        _ => None,
    }
    .ok_or_else(|| wrong_type("whole number"))
}

fn decimal_text<'v>(value: &'v Value<'_>) -> Result<&'v str, Wrong> {
    match value {
        Value::Number(_) => Err((FieldCode::AmountNotString, "Put the number in quotes, so that no digit is lost.".into())),
        _ => string(value),
    }
}

/// Reads `^(0|[1-9][0-9]{0,12})(\.[0-9]{1,9})?$`, keeping the value and not the trailing zeros.
fn decimal(value: &Value<'_>) -> Result<Decimal, Wrong> {
    let text = decimal_text(value)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |s: &str, max: usize| (1..=max).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole, 13) || !digits(fraction, 9) || (whole.len() > 1 && whole.starts_with('0')) {
        return Err(amount_form());
    }
    // Of this form the crate's own reader takes nothing amiss and rounds nothing.
    text.parse::<Decimal>().map(|d| d.normalize()).map_err(|_| amount_form())
}

fn amount_form() -> Wrong {
    (FieldCode::Malformed, "It must look like 12 or 12.5: up to 13 digits, no sign, no exponent, up to 9 decimals.".into())
}

fn amount_wrong(code: FieldCode, unit: Unit) -> Wrong {
    match code {
        FieldCode::Malformed => amount_form(),
        FieldCode::AmountScale => (code, format!("{} has {} decimals.", unit.code(), unit.scale())),
        other => (other, other.title().into()),
    }
}

fn ignore_range(code: FieldCode) -> Result<Option<Amount>, Wrong> {
    if code == FieldCode::Malformed { Err(amount_form()) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Donor, Grant, GrantId};
    use crate::json::parse;
    use serde_json::{Map, Value, json};

    fn units(code: &str) -> Option<Unit> {
        Unit::new(code, 6).filter(|u| u.code() == "USD")
    }

    fn errors(value: &Value, read: impl FnOnce(&mut Fields)) -> Vec<(String, &'static str)> {
        let text = value.to_string();
        let value = parse(text.as_bytes()).expect("JSON");
        let mut f = Fields::of(&value).expect("an object");
        read(&mut f);
        let refused = f.finish().map_err(|r| r.errors.into_iter().map(|e| (e.pointer, e.code.slug())).collect());
        refused.err().unwrap_or_default()
    }

    #[test]
    fn a_good_object_is_read_whole() {
        let grant = GrantId::from_stamp(1_700_000_000_123_456);
        let body = json!({
            "title": "T", "pledged": {"value": "2.5", "unit": "USD"}, "grant": grant, "at": "2026-03-02T10:00:00Z", "kind": "a",
            "period": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}, "fields": ["x", "y"], "priority": 3,
            "quantities": {"gpu-hour": "12.500", "cpu-hour": "0"}, "lots": [{"lot": "1"}, {"lot": "2"}], "part": null, "price": {"value": "0", "unit": "USD"}
        });
        let body = body.to_string();
        let body = parse(body.as_bytes()).expect("JSON");
        let mut f = Fields::of(&body).expect("an object");
        assert_eq!(f.text("title", 200), Some("T"));
        assert_eq!(f.amount("pledged", &units).map(|a| a.minor), Some(2_500_000));
        assert_eq!(f.price("price", &units).map(|a| a.minor), Some(0));
        assert_eq!(f.id::<Grant>("grant"), Some(grant));
        assert!(f.time("at").is_some() && f.period("period").is_some());
        assert_eq!(f.one_of("kind", &["a", "b"]), Some("a"));
        assert_eq!(f.list_of_texts("fields", 5, 9), Some(vec!["x", "y"]));
        assert_eq!(f.whole("priority", 0..=9), Some(3));
        let quantities = f.decimals("quantities", 8).unwrap_or_default();
        let shown: Vec<String> = quantities.iter().map(|(name, number)| format!("{name} {number}")).collect();
        assert_eq!(shown, ["cpu-hour 0", "gpu-hour 12.5"]);
        assert_eq!(f.array_of("lots", 9, |l| l.text("lot", 9)), Some(vec!["1", "2"]));
        assert_eq!(f.optional().text("part", 9), None);
        assert_eq!(f.optional().text("absent", 9), None);
        assert_eq!(f.make(|| Some(1)), Ok(1));
    }

    #[test]
    fn all_errors_come_at_once_with_their_pointers() {
        let body = json!({"title": 1, "terms": {"a/b": 1, "purpose": ""}, "lots": [{"lot": "1"}, 2, {"x~": 1}], "expires_att": 1});
        let found = errors(&body, |f| {
            f.text("title", 5);
            f.text("name", 5);
            f.object("terms", |t| t.text("purpose", 5));
            f.array_of("lots", 5, |l| l.text("lot", 5));
        });
        let expected = [
            ("/title", "wrong_type"),
            ("/name", "required"),
            ("/terms/purpose", "malformed"),
            ("/terms/a~1b", "unknown_field"),
            ("/lots/1", "wrong_type"),
            ("/lots/2/lot", "required"),
            ("/lots/2/x~0", "unknown_field"),
            ("/expires_att", "unknown_field"),
        ];
        assert_eq!(found, expected.map(|(pointer, code)| (pointer.to_string(), code)));
    }

    #[test]
    fn each_value_is_refused_by_its_own_code() {
        type Read = fn(&mut Fields);
        let amount: Read = |f| _ = f.amount("x", &units);
        let decimals: Read = |f| _ = f.decimals("x", 2);
        let cases: [(Value, Read, &str, &str); 20] = [
            (json!(5), amount, "/x", "amount_not_string"),
            (json!("5"), amount, "/x", "wrong_type"),
            (json!({"value": 5, "unit": "USD"}), amount, "/x/value", "amount_not_string"),
            (json!({"value": "0", "unit": "USD"}), amount, "/x/value", "amount_not_positive"),
            (json!({"value": "1e5", "unit": "USD"}), amount, "/x/value", "malformed"),
            (json!({"value": "0.0000001", "unit": "USD"}), amount, "/x/value", "amount_scale"),
            (json!({"value": "1", "unit": "EUR"}), amount, "/x/unit", "unit_unknown"),
            (json!({"value": "1"}), amount, "/x/unit", "required"),
            (json!({"value": "9999999999999", "unit": "EUR"}), amount, "/x/unit", "unit_unknown"),
            (json!({"a": "1_0"}), decimals, "/x/a", "malformed"),
            (json!({"a": 1}), decimals, "/x/a", "amount_not_string"),
            (json!({"a": "1", "b": "1", "c": "1"}), decimals, "/x", "too_long"),
            (json!("ab"), |f| _ = f.text("x", 1), "/x", "too_long"),
            (json!("a\u{0}"), |f| _ = f.text("x", 9), "/x", "malformed"),
            (json!("dnr_1"), |f| _ = f.id::<Donor>("x"), "/x", "wrong_id_type"),
            (json!("2026-03-02"), |f| _ = f.time("x"), "/x", "malformed"),
            (json!({"from": "2026-03-02T00:00:00Z", "to": "2026-03-02T00:00:00Z"}), |f| _ = f.period("x"), "/x", "period_inverted"),
            (json!("c"), |f| _ = f.one_of("x", &["a"]), "/x", "not_allowed"),
            (json!(["a", 1]), |f| _ = f.list_of_texts("x", 9, 9), "/x/1", "wrong_type"),
            (json!(1.5), |f| _ = f.whole("x", 0..=9), "/x", "wrong_type"),
        ];
        for (value, read, pointer, code) in cases {
            assert_eq!(errors(&json!({ "x": value }), read), [(pointer.to_string(), code)], "{value}");
        }
    }

    #[test]
    fn an_object_with_more_keys_than_bits_is_refused() {
        let map: Map<String, Value> = (0..100).map(|i| (format!("k{i:03}"), json!("v"))).collect();
        let found = errors(&Value::Object(map), |f| _ = f.text("k099", 9));
        assert_eq!(found.len(), 64);
    }

    #[test]
    fn the_whole_range_of_64_keys_can_be_known() {
        let map: Map<String, Value> = (0..64).map(|i| (format!("k{i:03}"), json!("v"))).collect();
        let found = errors(&Value::Object(map), |f| (0..64).for_each(|i| _ = f.text(&format!("k{i:03}"), 9)));
        assert_eq!(found, []);
        assert_eq!(errors(&json!({}), |_| ()), []);
    }
}
