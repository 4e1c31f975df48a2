//! Erasures: what tells of a person or of jobs was taken out of the tables beside the journal.
//!
//! The journal says who did it, on what ground, and of which person, charges or records by their stamps: nothing that would have to be erased
//! again. It may not know what else is to be done with what it names.

pub mod store;

use serde_json::{Value, json};

use crate::id::{ErasureId, Id, PersonId};
use crate::ledger::{self, Draft, Entry, Kind};
use crate::refusal::Refusal;
use crate::store::{Conn, Fault, Page, Work};

/// On what ground something is erased. The words are these alone, since what stands in the journal stands for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ground {
    /// Whom it tells of asked for it.
    Asked,
    /// It need not be kept any longer.
    Retention,
    /// It should never have been sent.
    Mistake,
}

impl Ground {
    /// The words of all.
    pub const WORDS: &'static [&'static str] = &["asked", "retention", "mistake"];

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Ground::Asked => "asked",
            Ground::Retention => "retention",
            Ground::Mistake => "mistake",
        }
    }

    /// From its word.
    pub fn of(word: &str) -> Option<Ground> {
        [Ground::Asked, Ground::Retention, Ground::Mistake].into_iter().find(|ground| ground.word() == word)
    }
}

/// What an entry of the journal says was erased.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Named {
    /// The person, whose name and identities are gone.
    pub person: Option<PersonId>,
    /// Stamps of charges whose usage record is gone.
    pub charges: Vec<i64>,
    /// Stamps of records of the quarantine that are gone.
    pub records: Vec<i64>,
    /// The hash of what stays of these: keys, hashes and what was metered. Nothing where there are none.
    pub kept: String,
}

impl Named {
    /// What an entry names; `None` unless it is of an erasure.
    pub fn of(entry: &Entry) -> Option<Named> {
        if entry.kind != Kind::Erasure {
            return None;
        }
        let body: Value = entry.body.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Some(Named {
            person: body["person"].as_str().and_then(|text| Id::parse(text).ok()),
            charges: stamps::<crate::id::Charge>(&body["charges"]),
            records: stamps::<crate::id::Usage>(&body["records"]),
            kept: body["kept"].as_str().unwrap_or_default().to_owned(),
        })
    }
}

fn stamps<K: crate::id::Kind>(list: &Value) -> Vec<i64> {
    let read = |one: &Value| Id::<K>::parse(one.as_str()?).ok().map(Id::stamp);
    list.as_array().into_iter().flatten().filter_map(read).collect()
}

fn named<K: crate::id::Kind>(stamps: &[i64]) -> Vec<String> {
    stamps.iter().map(|stamp| Id::<K>::from_stamp(*stamp).to_string()).collect()
}

/// An erasure that was recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Erasure {
    /// Its identifier.
    pub id: ErasureId,
    /// Sequence of its entry.
    pub seq: i64,
    /// Who erased.
    pub by: PersonId,
    /// On what ground.
    pub ground: Ground,
    /// The person, where one was erased.
    pub person: Option<PersonId>,
    /// How many charges lost their usage record.
    pub charges: i64,
    /// How many records of the quarantine are gone.
    pub records: i64,
}

/// One erasure. Errors: `not_found`.
pub fn erasure(conn: &mut Conn, id: ErasureId) -> Result<Erasure, Fault> {
    store::erasures(conn, &Some(vec![id.stamp()]), Page::ALL)?.pop().ok_or_else(|| Refusal::not_found().into())
}

/// Records that this was erased. Whoever calls it erases it, in the same commit.
pub fn record(work: &mut Work<'_>, who: PersonId, ground: Ground, what: &Named) -> Result<Erasure, Fault> {
    let body = match what.person {
        Some(person) => json!({"ground": ground.word(), "person": person}),
        None => json!({
            "ground": ground.word(), "charges": named::<crate::id::Charge>(&what.charges),
            "records": named::<crate::id::Usage>(&what.records), "kept": what.kept,
        }),
    };
    let draft = Draft::note(Kind::Erasure, who, work.now(), &body);
    let about = what.person.map(|person| draft.clone().about(person.stamp()));
    let birth = ledger::post(work, about.unwrap_or(draft))?;
    let count = |list: &[i64]| i64::try_from(list.len()).unwrap_or(i64::MAX);
    let (charges, records) = (count(&what.charges), count(&what.records));
    let made = Erasure { id: Id::from_stamp(birth.stamp), seq: birth.seq, by: who, ground, person: what.person, charges, records };
    store::insert(work.sql_mut()?, &made)?;
    Ok(made)
}
