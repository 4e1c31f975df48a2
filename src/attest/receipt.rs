//! Receipts: that one charge stands in the log, as a text that is checked offline (C2SP tlog-proof).
//!
//! Beside the proof stands what makes the leaf again: its text, and the disclosures of entry and job. They tell of the job and are not for
//! donors. Of a job that was erased there is no disclosure: the leaf has its digest, which nothing opens any more.

use serde::Serialize;

use super::canon;
use super::compose::Composer;
use super::disclosure::{Salt, disclose};
use super::entry::{self, Names};
use super::integrate::read_batch;
use super::keep;
use super::store;
use crate::ledger::handle::Handles;
use crate::refusal::Refusal;
use crate::store::{Conn, Fault};
use crate::tlog::Note;
use crate::tlog::receipt::Receipt;
use crate::usage::store::ChargeRow;

/// What stands beside the proof; the fields in the order of their names.
#[derive(Serialize)]
struct Beside {
    disclosures: Vec<String>,
    leaf: String,
}

/// What the books say of a charge: the values that its leaf shuts in.
pub struct Values {
    seq: i64,
    entry: String,
    job: Option<String>,
}

/// Reads a charge's values from the books.
pub fn values(books: &mut Conn, row: &ChargeRow) -> Result<Values, Fault> {
    let mut composer = Composer::new(Handles::read(books)?);
    let mut batch = read_batch(books, row.seq - 1, 1, &mut composer)?;
    let entry = batch.entries.pop().ok_or_else(Refusal::not_found)?;
    Ok(Values {
        seq: row.seq,
        entry: entry::whole(&entry, Some(row), &mut Names::default()),
        job: (!row.is_erased()).then(|| entry::job(row)),
    })
}

/// Makes the receipt of a charge. Errors: `not_found` until the log has it and is signed.
pub fn make(log: &mut Conn, values: &Values) -> Result<Receipt, Fault> {
    let place = store::place_of(log, values.seq)?.ok_or_else(Refusal::not_found)?.unsigned_abs();
    let (size, note) = store::last_checkpoint(log)?.filter(|(size, _)| size.unsigned_abs() > place).ok_or_else(Refusal::not_found)?;
    let path = keep::inclusion(log, place, size.unsigned_abs())?.ok_or_else(Refusal::not_found)?;
    let row = store::leaves(log, place, place + 1)?.pop().ok_or_else(|| Fault::Internal(format!("leaf {place} is missing")))?;
    let salt = |bytes: Option<Vec<u8>>| bytes.and_then(|bytes| Salt::try_from(bytes).ok());
    let kept = salt(store::jobs(log, place, place + 1)?.remove(&row.idx));
    let job = kept.zip(values.job.as_ref()).map(|(salt, job)| disclose(&salt, entry::JOB, job));
    let whole = salt(row.salt).map(|salt| disclose(&salt, entry::ENTRY, &values.entry));
    let beside = Beside { disclosures: whole.into_iter().chain(job).collect(), leaf: row.leaf };
    let checkpoint = Note::parse(&note).map_err(|why| Fault::Internal(format!("a kept checkpoint: {why}")))?;
    Ok(Receipt { extra: Some(canon::text(&beside).into_bytes()), index: place, path, checkpoint })
}
