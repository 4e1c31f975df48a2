//! Entries as leaves shut them in: the whole of a journal entry, and of a charge, apart, what tells of the job.
//!
//! Pure. The entry's disclosure is for auditors and for whoever compares a database with its log: it binds everything the journal says.
//! The job's binds the usage record; it can be erased and is never handed to donors. Neither is kept as a text: both are written again from
//! the books with the salt that is kept.

use serde::Serialize;
use sha2::{Digest, Sha256};

use rustc_hash::FxHashMap;

use super::canon::{text, url64};
use crate::amount::Amount;
use crate::id::{GrantId, InstitutionId, RateId, ResourceId};
use crate::ledger::{Entry, Key};
use crate::usage::store::ChargeRow;

/// The name of an entry's disclosure.
pub const ENTRY: &str = "entry";
/// The name of a job's disclosure.
pub const JOB: &str = "job";

/// An entry of the journal; the fields in the order of their names.
#[derive(Serialize)]
struct Whole<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    charge: Option<Priced>,
    effective_at: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    postings: Vec<Posting<'e>>,
    recorded_at: String,
    seq: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
}

#[derive(Serialize)]
struct Posting<'e> {
    account: &'e str,
    amount: String,
    balance: String,
    nth: String,
    unit: &'e str,
}

/// What became of a usage record, without the record.
#[derive(Serialize)]
struct Priced {
    amount: String,
    balance_after: String,
    ended_at: String,
    grant: GrantId,
    overdraft: String,
    part: String,
    provider: InstitutionId,
    rates: Vec<RateId>,
    resource: ResourceId,
}

/// The names of accounts, which are long to write: those met lately are kept.
#[derive(Default)]
pub struct Names(FxHashMap<Key, String>);

/// Names kept before all are forgotten.
const KEPT: usize = 200_000;

impl Names {
    fn learn(&mut self, entry: &Entry) {
        if self.0.len() > KEPT {
            self.0.clear();
        }
        for line in &entry.lines {
            self.0.entry(line.account).or_insert_with(|| line.account.name());
        }
    }

    fn of(&self, key: &Key) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }
}

/// An entry's disclosed value: all the journal says of it, and of a charge what its row says beside the record.
pub fn whole(entry: &Entry, charge: Option<&ChargeRow>, names: &mut Names) -> String {
    names.learn(entry);
    let posting = |line: &'_ crate::ledger::Line| {
        let unit = line.unit;
        let figure = |minor| Amount::new(minor, unit).to_string();
        (figure(line.amount), figure(line.balance), line.nth.to_string())
    };
    let postings = entry.lines.iter().map(|line| {
        let (amount, balance, nth) = posting(line);
        Posting { account: names.of(&line.account), amount, balance, nth, unit: line.unit.code() }
    });
    text(&Whole {
        actor: entry.actor.map(|person| person.to_string()),
        body: entry.body.as_deref(),
        charge: charge.map(priced),
        effective_at: entry.effective_at.to_string(),
        kind: entry.kind.word(),
        postings: postings.collect(),
        recorded_at: entry.recorded_at.to_string(),
        seq: entry.seq.to_string(),
        subject: entry.subject.map(|stamp| stamp.to_string()),
    })
}

/// Amounts as the row has them, in the unit's smallest part: the unit stands beside the postings, and a charge of nothing has none.
fn priced(row: &ChargeRow) -> Priced {
    Priced {
        amount: row.amount.to_string(),
        balance_after: row.balance_after.to_string(),
        ended_at: row.ended_at().to_string(),
        grant: row.grant(),
        overdraft: row.overdraft.to_string(),
        part: row.part.to_string(),
        provider: row.provider(),
        rates: row.rates(),
        resource: row.resource(),
    }
}

/// A job's disclosed value: the usage record as it was sent, and what it is found and compared by.
pub fn job(row: &ChargeRow) -> String {
    #[derive(Serialize)]
    struct Job {
        digest: String,
        key: String,
        record: serde_json::Value,
    }
    text(&Job { digest: url64(&row.digest), key: url64(&row.usage_key), record: row.record() })
}

/// The nullifier of a charge: SHA-256 of a prefix and the receipt `[provider, external id, part, secret]` as canonical JSON, so that no two
/// receipts have one text. `None` where the record was erased.
pub fn nullifier(row: &ChargeRow, secret: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Named<'r> {
        #[serde(borrow)]
        external_id: std::borrow::Cow<'r, str>,
    }
    let named: Named<'_> = serde_json::from_str(&row.said).ok()?;
    let receipt = text(&(row.provider(), named.external_id, row.part.to_string(), url64(secret)));
    Some(url64(&Sha256::new().chain_update("almoner/nul/1").chain_update(receipt).finalize()))
}

#[cfg(test)]
mod tests {
    use super::super::canon;
    use super::*;
    use crate::amount::Unit;
    use crate::id::{LotId, PersonId};
    use crate::ledger::{Bucket, Kind, Line};
    use crate::time::Time;

    fn row() -> ChargeRow {
        ChargeRow {
            id: 1_000_000,
            seq: 9,
            usage_key: [1; 16],
            part: 0,
            digest: [2; 16],
            provider: 3_000_000,
            award: 4_000_000,
            resource: 5_000_000,
            amount: 7,
            overdraft: 0,
            balance_after: 8,
            ended_at: 0,
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
