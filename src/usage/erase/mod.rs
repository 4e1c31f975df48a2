//! Erasing usage records: what tells of a job and who ran it is gone, what it cost stays.
//!
//! A charge keeps its amounts, its postings, its key and the hash of what was sent, so that the job is never charged again, and what was
//! metered, which totals and statements count. The text goes at once from where it is read; what the log's leaf still needs of it stands apart
//! until the log has the entry that erased it (`erasing`), and goes then, with the salt in the log. What stays is hashed into the entry, so
//! that nobody changes it afterwards. It may not know how the log is kept. Bound: [`MOST`] charges and records an erasure.

pub mod store;

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::hold;
use super::store::{ChargeRow, Of, QuarantineRow, charges, quarantine};
use crate::directory::erasure::{self, Erasure, Ground, Named};
use crate::directory::unknown;
use crate::id::{ChargeId, InstitutionId, PersonId, UsageId};
use crate::store::{Conn, Fault, Page, Pages, Work, answers};
use crate::time::Time;

/// Charges and records of the quarantine that one erasure names at most.
pub const MOST: usize = 1000;
/// Rows read at a time.
const PAGE: i64 = 2000;

/// Whose records are to be erased, as their provider names them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OfUser {
    /// Who reported them.
    pub provider: InstitutionId,
    /// The provider's name for the user.
    pub user: String,
    /// Only of jobs that ended before.
    pub ended_before: Time,
}

/// What is to be erased.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// Charges, whose usage record goes wherever it stands.
    pub charges: Vec<ChargeId>,
    /// Stamps of records of the quarantine that are closed.
    pub records: Vec<i64>,
    /// How many more are open: they are to be resolved or dismissed first.
    pub open: u64,
    /// Whether there is more than one erasure takes.
    pub more: bool,
}

/// What an erasure took away, or would.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Erased {
    /// The erasure; nothing where nothing was left to erase, or where it is only tried.
    pub made: Option<Erasure>,
    /// Stamps of the charges.
    pub charges: Vec<i64>,
    /// Stamps of the records of the quarantine.
    pub records: Vec<i64>,
}

/// Whose job a record tells of.
#[derive(Deserialize)]
struct Whose {
    user: Option<String>,
    ended_at: Option<String>,
}

fn whose(record: &str) -> Whose {
    serde_json::from_str(record).unwrap_or(Whose { user: None, ended_at: None })
}

/// Finds the records of a user, the oldest first. Reads all of the provider's.
pub fn find(conn: &mut Conn, of: &OfUser) -> Result<Wanted, Fault> {
    let theirs = Of { providers: Some(vec![of.provider.stamp()]), ..Of::default() };
    let mut found = Wanted::default();
    let mut pages = Pages::of(PAGE);
    while let Some(rows) = pages.next(|page| quarantine(conn, &theirs, page), |row| row.id)? {
        for row in rows {
            let Whose { user, ended_at } = whose(&row.record);
            let early = ended_at.and_then(|text| Time::parse(&text)).is_some_and(|ended| ended < of.ended_before);
            if user.as_deref() == Some(of.user.as_str()) && early {
                let open = row.state == "open";
                found.open += u64::from(open);
                found.records.extend((!open).then_some(row.id));
            }
        }
    }
    let mut pages = Pages::of(PAGE);
    while let Some(rows) = pages.next(|page| charges(conn, &theirs, page), |row| row.id)? {
        for row in rows.iter().filter(|row| row.ended_at() < of.ended_before && !row.is_erased()) {
            if whose(&row.said).user.as_deref() == Some(of.user.as_str()) {
                found.charges.push(row.id());
            }
        }
        if found.charges.len() > MOST.saturating_sub(found.records.len()) {
            break;
        }
    }
    // Each charge may take records of the quarantine along; there are few.
    found.more = found.charges.len() + found.records.len() > MOST;
    found.records.truncate(MOST);
    found.charges.truncate(MOST - found.records.len());
    Ok(found)
}

/// Erases usage records, unless it is only `tried`; those that are erased already stay as they are.
///
/// Errors: `unknown` charge.
pub fn erase(work: &mut Work<'_>, who: PersonId, ground: Ground, wanted: &Wanted, tried: bool) -> Result<Erased, Fault> {
    let ids: Vec<i64> = wanted.charges.iter().map(|id| id.stamp()).collect();
    let conn = work.sql()?;
    let mut rows = charges(conn, &Of { ids: Some(ids), ..Of::default() }, Page::ALL)?;
    if let Some(missing) = wanted.charges.iter().find(|id| !rows.iter().any(|row| row.id() == **id)) {
        return Err(unknown("/charges", missing).into());
    }
    rows.retain(|row| !row.is_erased());
    let records = store::closed(conn, &rows, &wanted.records)?;
    let (charged, recorded) = (rows.iter().map(|row| row.id).collect::<Vec<_>>(), records.iter().map(|row| row.id).collect::<Vec<_>>());
    let found = Erased { made: None, charges: charged.clone(), records: recorded.clone() };
    if tried || (charged.is_empty() && recorded.is_empty()) {
        return Ok(found);
    }
    let metered: Vec<String> = rows.iter().map(|row| metered(&row.said)).collect();
    let parts = rows.iter().zip(&metered).map(|(row, metered)| Kept::of_charge(row, metered));
    let kept = Kept::hash(parts.chain(records.iter().map(Kept::of_record)));
    let made = erasure::record(work, who, ground, &Named { person: None, charges: charged.clone(), records: recorded.clone(), kept })?;
    let conn = work.sql_mut()?;
    let rows: Vec<(&ChargeRow, &str)> = rows.iter().zip(metered.iter().map(String::as_str)).collect();
    conn.overwriting(|conn| {
        store::take(conn, made.seq, &rows, &recorded)?;
        let holds = hold::store::erase(conn, &charged)?;
        let places = charged.iter().map(|stamp| format!("/v1/charges/{}", ChargeId::from_stamp(*stamp)));
        let holds = holds.into_iter().map(|hold| format!("/v1/holds/{hold}"));
        let dismissed = recorded.iter().map(|stamp| format!("/v1/usage/{}", UsageId::from_stamp(*stamp)));
        answers::forget(conn, &places.chain(holds).chain(dismissed).collect::<Vec<_>>())
    })?;
    Ok(Erased { made: Some(made), ..found })
}

/// What was metered, of a record as it was sent: what remains of it.
fn metered(said: &str) -> String {
    let record: Value = serde_json::from_str(said).unwrap_or_default();
    record.get("quantities").map_or_else(|| "{}".to_owned(), Value::to_string)
}

/// What stays of a record that was erased.
pub struct Kept<'k> {
    /// Its stamp.
    pub id: i64,
    /// The narrow natural key.
    pub key: &'k [u8],
    /// What was sent, hashed.
    pub digest: &'k [u8],
    /// What was metered, of a charge.
    pub metered: &'k str,
}

impl<'k> Kept<'k> {
    /// Of a charge.
    pub fn of_charge(row: &'k ChargeRow, metered: &'k str) -> Kept<'k> {
        Kept { id: row.id, key: &row.usage_key, digest: &row.digest, metered }
    }

    /// Of a record of the quarantine.
    pub fn of_record(row: &'k QuarantineRow) -> Kept<'k> {
        Kept { id: row.id, key: &row.usage_key, digest: &row.digest, metered: "" }
    }

    /// The hash of all that stays, in its order, in hexadecimal digits.
    pub fn hash(all: impl Iterator<Item = Kept<'k>>) -> String {
        let add = |hash: Sha256, one: Kept<'_>| {
            let sized = |hash: Sha256, bytes: &[u8]| hash.chain_update((bytes.len() as u64).to_be_bytes()).chain_update(bytes);
            [one.key, one.digest, one.metered.as_bytes()].into_iter().fold(hash.chain_update(one.id.to_be_bytes()), sized)
        };
        all.fold(Sha256::new(), add).finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The charges of a page whose record was erased and is not yet in the log, with their record again: for who makes or checks the log's leaves.
pub fn with_erasing(conn: &mut Conn, mut rows: Vec<ChargeRow>) -> Result<Vec<ChargeRow>, Fault> {
    let gone: Vec<i64> = rows.iter().filter(|row| row.is_erased()).map(|row| row.id).collect();
    let mut said = store::erasing(conn, &gone)?;
    for row in &mut rows {
        if let Some(said) = said.remove(&row.id) {
            row.said = said.into();
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_metered_is_all_that_remains() {
        let said = r#"{"external_id":"lab:1","quantities":{"cpu-hour":"3","gpu-hour":"12.5"},"user":"u1","job":{"id":"1"}}"#;
        assert_eq!(metered(said), r#"{"cpu-hour":"3","gpu-hour":"12.5"}"#);
        assert_eq!(metered(r#"{"external_id":"x","amount":{"value":"1","unit":"USD"}}"#), "{}");
    }

    #[test]
    fn whatever_stays_is_hashed() {
        let kept = |id, key: &'static [u8], metered| Kept { id, key, digest: &[7; 16], metered };
        let hash = |one| Kept::hash(std::iter::once(one));
        let first = hash(kept(1, &[1; 16], "{}"));
        assert_eq!(first.len(), 64);
        for other in [kept(2, &[1; 16], "{}"), kept(1, &[2; 16], "{}"), kept(1, &[1; 16], "")] {
            assert_ne!(hash(other), first);
        }
    }
}
