//! What jobs used of a grant, lot by lot, by the moment at which each job ended.
//!
//! Net of refunds: what a refund gave back, and what a cover paid later, counts with the charge it belongs to, whenever it was
//! recorded. Reads postings only. Bounds: a thousand postings are held at a time; nothing older than what is asked for is read.

use std::collections::HashMap;

use crate::id::{GrantId, LotId};
use crate::ledger::store::Of;
use crate::ledger::{self, Bucket, Entry, Kind};
use crate::store::{Conn, Fault, Page, Pages};
use crate::time::{TOLERATED_LEAD, Time};
use crate::usage;

/// So much of a lot, or beyond all lots, used by a job that ended then; negative for what came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Use {
    /// When the job ended.
    pub ended_at: Time,
    /// Which lot paid; `None` for what was used beyond the grant and nobody has paid.
    pub lot: Option<LotId>,
    /// In the grant's unit.
    pub amount: i64,
}

/// Postings read at a time.
const PAGE: i64 = 1000;

/// Tells each use of a grant by jobs that ended at `from` or later, newest posting first; all of them without `from`.
pub fn each_use(conn: &mut Conn, grant: GrantId, from: Option<Time>, mut tell: impl FnMut(Use) -> Result<(), Fault>) -> Result<(), Fault> {
    let mut accounts = ledger::store::accounts(conn, Of { grant: Some(grant.stamp()), ..Of::default() }, Page::ALL)?;
    accounts.retain(|account| matches!(account.key.bucket, Bucket::Spent | Bucket::OverdraftSpent));
    let mut pages = Pages::from(Page { after: None, limit: PAGE, descending: true });
    while let Some(lines) = pages.next(|page| ledger::store::lines(conn, &accounts, page), |(posting, _)| *posting)? {
        let mut seqs: Vec<i64> = lines.iter().map(|(posting, _)| ledger::store::seq_of_posting(*posting)).collect();
        seqs.dedup();
        let entries: HashMap<i64, Entry> = ledger::store::entries_of(conn, &seqs)?.into_iter().map(|entry| (entry.seq, entry)).collect();
        let ended = ends(conn, entries.values())?;
        for (posting, line) in &lines {
            let seq = ledger::store::seq_of_posting(*posting);
            let missing = || Fault::Internal(format!("posting {posting} belongs to no entry that tells when a job ended"));
            let ended_at = ended.get(&seq).copied().ok_or_else(missing)?;
            if from.is_none_or(|from| ended_at >= from) {
                tell(Use { ended_at, lot: line.account.lot_id(), amount: line.amount })?;
            }
        }
        // A job is never recorded before it ended, but for what clocks differ.
        let oldest = entries.values().map(|entry| entry.recorded_at).min();
        if let (Some(from), Some(oldest)) = (from, oldest)
            && oldest.plus(TOLERATED_LEAD) < from
        {
            return Ok(());
        }
    }
    Ok(())
}

/// When the jobs ended that these entries are about, by the entry's sequence.
fn ends<'e>(conn: &mut Conn, entries: impl Iterator<Item = &'e Entry>) -> Result<HashMap<i64, Time>, Fault> {
    let mut found = HashMap::new();
    let mut of_charges = Vec::new();
    for entry in entries {
        match (entry.kind, entry.subject) {
            (Kind::Refund | Kind::Cover, Some(charge)) => of_charges.push((entry.seq, charge)),
            _ => {
                found.insert(entry.seq, entry.effective_at);
            }
        }
    }
    let mut ids: Vec<i64> = of_charges.iter().map(|(_, charge)| *charge).collect();
    ids.sort_unstable();
    ids.dedup();
    let of = usage::store::Of { ids: Some(ids), ..usage::store::Of::default() };
    let charges: HashMap<i64, Time> = usage::store::charges(conn, &of, Page::ALL)?.iter().map(|row| (row.id, row.ended_at())).collect();
    found.extend(of_charges.iter().filter_map(|(seq, charge)| Some((*seq, *charges.get(charge)?))));
    Ok(found)
}
