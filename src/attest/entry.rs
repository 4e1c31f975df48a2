//! Entries as leaves shut them in: the whole of a journal entry, and of a charge, apart, what tells of the job.
//!
//! Pure. The entry's disclosure is for auditors and for whoever compares a database with its log: it binds everything the journal says.
//! The job's binds the usage record; it can be erased and is never handed to donors. Neither is kept as a text: both are written again from
//! the books with the salt that is kept.

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};

use super::canon::{Object, push_decimal, push_id, push_text, push_url64, text, url64};
use crate::ledger::{Entry, Key};
use crate::store::SharedText;
use crate::usage::said::Said;
use crate::usage::store::ChargeRow;

/// The name of an entry's disclosure.
pub const ENTRY: &str = "entry";
/// The name of a job's disclosure.
pub const JOB: &str = "job";

/// The names of accounts and the lists of rates, which are long to write: those met lately are kept.
#[derive(Default)]
pub struct Names {
    accounts: FxHashMap<Key, String>,
    rates: FxHashMap<SharedText, String>,
}

/// Names kept before all are forgotten.
const KEPT: usize = 200_000;

impl Names {
    fn of(&mut self, key: &Key) -> &str {
        self.accounts.entry(*key).or_insert_with(|| key.name())
    }

    /// The rates of a charge, as a list of their identifiers.
    fn of_rates(&mut self, row: &ChargeRow) -> &str {
        if !self.rates.contains_key(&row.rates) {
            self.rates.insert(row.rates.clone(), text(&row.rates()));
        }
        self.rates.get(&row.rates).map_or("", String::as_str)
    }
}

/// An entry's disclosed value: all the journal says of it, and of a charge what its row says beside the record.
pub fn whole(entry: &Entry, charge: Option<&ChargeRow>, names: &mut Names) -> String {
    let mut out = String::new();
    write_whole(&mut out, entry, charge, names);
    out
}

/// Writes [`whole`]; the fields in the order of their names.
pub fn write_whole(out: &mut String, entry: &Entry, charge: Option<&ChargeRow>, names: &mut Names) {
    if names.accounts.len() + names.rates.len() > KEPT {
        *names = Names::default();
    }
    let mut whole = Object::begin(out);
    if let Some(person) = entry.actor {
        whole.id("actor", person);
    }
    if let Some(body) = &entry.body {
        whole.text("body", body);
    }
    if let Some(row) = charge {
        write_priced(whole.member("charge"), row, names);
    }
    whole.time("effective_at", entry.effective_at);
    whole.text("kind", entry.kind.word());
    if !entry.lines.is_empty() {
        let list = whole.member("postings");
        for (place, line) in entry.lines.iter().enumerate() {
            list.push(if place == 0 { '[' } else { ',' });
            let mut posting = Object::begin(list);
            posting.text("account", names.of(&line.account));
            posting.decimal("amount", line.amount.into(), line.unit.scale());
            posting.decimal("balance", line.balance.into(), line.unit.scale());
            posting.number("nth", line.nth);
            posting.text("unit", line.unit.code());
            posting.end();
        }
        list.push(']');
    }
    whole.time("recorded_at", entry.recorded_at);
    whole.number("seq", entry.seq);
    if let Some(stamp) = entry.subject {
        whole.number("subject", stamp);
    }
    whole.end();
}

/// What became of a usage record, without the record. Amounts are as the row has them, in the unit's smallest part: the unit stands beside the
/// postings, and a charge of nothing has none.
fn write_priced(out: &mut String, row: &ChargeRow, names: &mut Names) {
    let mut priced = Object::begin(out);
    priced.number("amount", row.amount);
    priced.number("balance_after", row.balance_after);
    priced.time("ended_at", row.ended_at());
    priced.id("grant", row.grant());
    priced.number("overdraft", row.overdraft);
    priced.number("part", row.part);
    priced.id("provider", row.provider());
    priced.member("rates").push_str(names.of_rates(row));
    priced.id("resource", row.resource());
    priced.end();
}

/// A job's disclosed value: the usage record as it was sent, and what it is found and compared by.
pub fn job(row: &ChargeRow) -> String {
    let mut out = String::new();
    write_job(&mut out, row);
    out
}

/// Writes [`job`]; the fields in the order of their names. Tells the name of the record, if it has one that can be read.
pub fn write_job<'r>(out: &mut String, row: &'r ChargeRow) -> Option<Cow<'r, str>> {
    let mut job = Object::begin(out);
    for (name, bytes) in [("digest", &row.digest), ("key", &row.usage_key)] {
        let out = job.member(name);
        out.push('"');
        push_url64(out, bytes);
        out.push('"');
    }
    let record = job.member("record");
    let said = Said::read(&row.said);
    match said {
        Some(said) => write_record(record, row, said),
        None => record.push_str(&text(&row.record())),
    }
    job.end();
    said.map_or_else(|| row.external_id(), |said| Some(Cow::Borrowed(said.external_id())))
}

/// The fields of a record in the order of their names, each with its place among those that are kept; those that a charge has in columns of
/// its own have none.
const RECORD: [(&str, usize); 13] = [
    ("account", 3),
    ("amount", 6),
    ("ended_at", NONE),
    ("external_id", 0),
    ("grant", 2),
    ("hold", 4),
    ("job", 10),
    ("part", 1),
    ("qos", 7),
    ("quantities", 5),
    ("resource", NONE),
    ("started_at", 8),
    ("user", 9),
];
const NONE: usize = usize::MAX;
const GRANT: usize = 2;

fn write_record(out: &mut String, row: &ChargeRow, said: Said<'_>) {
    let mut record = Object::begin(out);
    for (name, place) in RECORD {
        match (place, said.at(place)) {
            (NONE, _) if name == "resource" => record.id(name, row.resource()),
            (NONE, _) => record.time(name, row.ended_at()),
            // The one that it was charged to.
            (GRANT, Some("true")) => record.id(name, row.grant()),
            (_, Some(written)) => record.member(name).push_str(written),
            (_, None) => {}
        }
    }
    record.end();
}

/// The nullifier of a charge: SHA-256 of a prefix and the receipt `[provider, external id, part, secret]` as canonical JSON, so that no two
/// receipts have one text. `None` where the record was erased.
pub fn nullifier(row: &ChargeRow, secret: &[u8]) -> Option<String> {
    Some(nullifier_of(row, &row.external_id()?, secret))
}

/// The same where the record's name is known.
pub fn nullifier_of(row: &ChargeRow, external_id: &str, secret: &[u8]) -> String {
    let mut receipt = String::with_capacity(192);
    receipt.push_str("almoner/nul/1[");
    push_id(&mut receipt, row.provider());
    receipt.push(',');
    push_text(&mut receipt, external_id);
    receipt.push_str(",\"");
    push_decimal(&mut receipt, row.part.into(), 0);
    receipt.push_str("\",\"");
    push_url64(&mut receipt, secret);
    receipt.push_str("\"]");
    url64(&Sha256::digest(receipt))
}

#[cfg(test)]
mod tests {
    use super::super::canon;
    use super::*;
    use crate::amount::Unit;
    use crate::id::{GrantId, InstitutionId, LotId, PersonId};
    use crate::ledger::{Bucket, Kind, Line};
    use crate::time::Time;
    use crate::usage::said::FIELDS;

    fn row() -> ChargeRow {
        ChargeRow {
            seq: 9,
            id: 1_000_000,
            ended_at: 0,
            actor: 10,
            award: 4_000_000,
            lines: None,
            usage_key: [1; 16],
            part: 0,
            digest: [2; 16],
            provider: 3_000_000,
            resource: 5_000_000,
            amount: 7,
            overdraft: 0,
            balance_after: 8,
            rates: "[6000000]".into(),
            said: r#"{"external_id":"lab:1","user":"u\"1"}"#.into(),
        }
    }

    #[test]
    fn entries_and_jobs_are_canonical() {
        let unit = Unit::new("USD", 6).expect("a unit");
        let account = Key::grant(GrantId::from_stamp(4_000_000), LotId::from_stamp(2_000_000), Bucket::Spent);
        let entry = Entry {
            seq: 9,
            recorded_at: Time::from_micros(1_000_000),
            effective_at: Time::from_micros(0),
            kind: Kind::Charge,
            actor: Some(PersonId::from_stamp(10)),
            subject: Some(11),
            body: Some("{\"b\": \"\\u00e9\t\u{7f}é\"}".into()),
            lines: vec![Line { account, unit, amount: 7, nth: 2, balance: 9 }],
        };
        let mut names = Names::default();
        for value in [whole(&entry, Some(&row()), &mut names), whole(&entry, None, &mut names), job(&row())] {
            assert!(canon::read(&value).is_some(), "{value}");
        }
        let bare = Entry { actor: None, subject: None, body: None, lines: Vec::new(), ..entry };
        assert_eq!(
            whole(&bare, None, &mut names),
            r#"{"effective_at":"1970-01-01T00:00:00.000000Z","kind":"charge","recorded_at":"1970-01-01T00:00:01.000000Z","seq":"9"}"#
        );
    }

    #[test]
    fn a_job_is_the_same_however_its_record_is_read() {
        assert!(RECORD.is_sorted() && RECORD.iter().all(|(name, place)| FIELDS.get(*place).is_none_or(|field| field == name)));
        assert_eq!(RECORD.iter().filter(|(_, place)| *place != NONE).count(), FIELDS.len());
        let said = [
            r#"{"external_id":"lab:1","part":3,"grant":true,"account":"a","hold":"h","quantities":{"a":"1","b":"2"},"amount":{"unit":"X","value":"1"},"qos":"q","started_at":"s","user":"é","job":{"cluster":"c","id":"7","state":"S"}}"#,
            r#"{"external_id":"lab:1","grant":"grt_x","quantities":{"b":"1"},"user":"u"}"#,
            r#"{"external_id":"lab:1"}"#,
            r#"{"external_id":"lab:1","amount":{"value":"1","unit":"X"}}"#,
            r#"{"user":"u","external_id":"lab:1","part":null}"#,
        ];
        for said in said {
            let row = ChargeRow { said: said.into(), ..row() };
            let written = job(&row);
            let value = canon::read(&written).expect("the one form");
            assert_eq!(value["record"], row.record(), "{said}");
        }
    }

    #[test]
    fn the_same_usage_has_one_nullifier_and_other_usage_another() {
        let first = nullifier(&row(), &[7; 16]).expect("a record");
        let text = format!("almoner/nul/1[\"{}\",\"lab:1\",\"0\",\"BwcHBwcHBwcHBwcHBwcHBw\"]", InstitutionId::from_stamp(3_000_000));
        assert_eq!(first, url64(&Sha256::digest(text)));
        let others = [
            ChargeRow { part: 1, ..row() },
            ChargeRow { provider: 3_000_001, ..row() },
            ChargeRow { said: r#"{"external_id":"lab:10"}"#.into(), ..row() },
        ];
        assert!(others.iter().all(|other| nullifier(other, &[7; 16]).is_some_and(|nul| nul != first)));
        assert_ne!(nullifier(&row(), &[8; 16]).as_ref(), Some(&first));
        assert_eq!(nullifier(&ChargeRow { amount: 9, said: r#"{"external_id":"lab:1"}"#.into(), ..row() }, &[7; 16]), Some(first));
        assert_eq!(nullifier(&ChargeRow { said: "".into(), ..row() }, &[7; 16]), None);
    }
}
