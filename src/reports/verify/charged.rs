//! Charges, held to what they posted: each is of usage that is charged once, kept under its own key and found in every list that has to name
//! it.
//!
//! A charge's row is its entry too. Bounds: the natural key of every charge is held in memory.

use rustc_hash::FxHashSet;

use super::Laws;
use super::erased::Erased;
use crate::ledger::{Bucket, Entry, Kind};
use crate::store::runs::Trails;
use crate::store::{Conn, Fault};
use crate::usage::{self, Blocks, ChargeRow};

/// The charges so far.
pub(super) struct Charged {
    keys: FxHashSet<(u128, i32)>,
    blocks: Blocks,
    of_grants: Trails,
    /// Entries that are said to be charges and are no charge's.
    orphans: u64,
}

impl Charged {
    /// None yet.
    pub fn new(conn: &mut Conn) -> Result<Charged, Fault> {
        Ok(Charged { keys: FxHashSet::default(), blocks: Blocks::new(conn)?, of_grants: Trails::default(), orphans: 0 })
    }

    /// Takes the entries in their order, those of charges with their rows.
    pub fn pass(
        &mut self,
        conn: &mut Conn,
        entry: &Entry,
        row: Option<&ChargeRow>,
        laws: &mut Laws,
        erased: &mut Erased,
    ) -> Result<(), Fault> {
        let Some(row) = row else {
            self.orphans += u64::from(entry.kind == Kind::Charge);
            return Ok(());
        };
        self.of_grants.entry(row.award).or_default().pass(row.seq);
        laws.law(6, is_posted(row, entry), || format!("{} is not what its transaction posted", row.id()));
        let once = self.keys.insert((u128::from_ne_bytes(row.usage_key), row.part));
        laws.law(6, once, || format!("the usage of {} is charged twice", row.id()));
        for (block, whole) in self.blocks.pass(conn, row)? {
            laws.law(6, whole, || format!("block {block} of the keys is not the keys of what was charged then"));
        }
        // Whether what is gone was erased is known once all entries have passed.
        if !erased.meets(row) {
            laws.law(6, row.has_own_key(), || format!("{} is not kept under its own key", row.id()));
        }
        Ok(())
    }

    /// After the last: what is left over, and the lists.
    pub fn end(&mut self, conn: &mut Conn, laws: &mut Laws) -> Result<(), Fault> {
        for (block, whole) in self.blocks.end(conn)? {
            laws.law(6, whole, || format!("block {block} of the keys is not the keys of what was charged then"));
        }
        let listed = usage::store::trails(conn)?;
        laws.law(6, listed == self.of_grants, || "the lists of the grants' charges are not complete".into());
        let orphans = self.orphans;
        laws.law(6, orphans == 0, || format!("{orphans} charges were posted without a usage record"));
        Ok(())
    }
}

/// Whether a charge's amounts are those of its postings, to accounts of its grant.
fn is_posted(row: &ChargeRow, entry: &Entry) -> bool {
    let of = |bucket| entry.lines.iter().filter(|l| l.account.bucket == bucket).map(|l| i128::from(l.amount)).sum::<i128>();
    let (spent, beyond) = (of(Bucket::Spent), of(Bucket::OverdraftSpent));
    let amounts = spent + beyond == i128::from(row.amount) && beyond == i128::from(row.overdraft);
    // A charge of nothing posts nothing.
    amounts && entry.lines.first().is_none_or(|line| line.account.grant == row.award)
}
