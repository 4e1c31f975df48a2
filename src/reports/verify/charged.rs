//! Charges, held to what was posted: each is the charge of one entry, of usage that is charged once, kept under its own key and found in every
//! list that has to name it.
//!
//! The rows are read beside the entries, so that of most charges nothing is held in memory longer than a page. Bounds: the natural key of every
//! charge is, and a few numbers of those that do not stand beside their entries.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::erased::Erased;
use super::{Laws, PAGE};
use crate::id::ChargeId;
use crate::ledger::{Bucket, Entry};
use crate::store::runs::Trails;
use crate::store::{Conn, Fault};
use crate::usage::{self, Blocks, ChargeRow};

/// What a charge's postings say of it.
#[derive(Clone, Copy)]
struct Posted {
    seq: i64,
    spent: i64,
    beyond: i64,
    /// 0 for a charge of nothing, which posts nothing.
    grant: i64,
    /// The entry's place within the page that is being read, as long as it is.
    place: Option<usize>,
}

/// What a charge's row says of its postings.
#[derive(Clone, Copy)]
struct Said {
    seq: i64,
    amount: i64,
    overdraft: i64,
    award: i64,
}

/// The charges so far.
pub(super) struct Charged {
    /// By stamp: those whose row was not met yet.
    posted: FxHashMap<i64, Posted>,
    /// By stamp: rows whose entry was not met yet.
    early: BTreeMap<i64, Said>,
    keys: FxHashSet<(u128, i32)>,
    blocks: Blocks,
    of_grants: Trails,
    /// The last row that was read.
    after: i64,
}

impl Charged {
    /// None yet.
    pub fn new(conn: &mut Conn) -> Result<Charged, Fault> {
        Ok(Charged {
            posted: FxHashMap::default(),
            early: BTreeMap::new(),
            keys: FxHashSet::default(),
            blocks: Blocks::new(conn)?,
            of_grants: Trails::default(),
            after: i64::MIN,
        })
    }

    /// Takes the entries of charges in their order.
    pub fn pass(&mut self, place: usize, entry: &Entry) {
        let of = |bucket| entry.lines.iter().filter(|l| l.account.bucket == bucket).map(|l| l.amount).sum::<i64>();
        let grant = entry.lines.first().map_or(0, |line| line.account.grant);
        let (spent, beyond) = (of(Bucket::Spent), of(Bucket::OverdraftSpent));
        self.posted.insert(entry.recorded_at.micros(), Posted { seq: entry.seq, spent, beyond, grant, place: Some(place) });
    }

    /// Reads the rows up to a stamp, after the entries up to it have passed; those whose entry did, with its place.
    pub fn page(&mut self, conn: &mut Conn, upto: i64, laws: &mut Laws, erased: &mut Erased) -> Result<Vec<(usize, ChargeRow)>, Fault> {
        let mut found = Vec::with_capacity(PAGE as usize);
        loop {
            let rows = usage::store::charges_between(conn, self.after, upto, PAGE)?;
            let last = rows.len() < PAGE as usize;
            for row in rows {
                self.after = row.id;
                if let Some(place) = self.row(conn, &row, laws, erased)? {
                    found.push((place, row));
                }
            }
            if last {
                break;
            }
        }
        self.posted.values_mut().for_each(|posted| posted.place = None);
        Ok(found)
    }

    fn row(&mut self, conn: &mut Conn, row: &ChargeRow, laws: &mut Laws, erased: &mut Erased) -> Result<Option<usize>, Fault> {
        self.of_grants.entry(row.award).or_default().pass(row.id);
        let said = Said { seq: row.seq, amount: row.amount, overdraft: row.overdraft, award: row.award };
        let posted = self.posted.remove(&row.id);
        match posted {
            Some(posted) => said.compare(row.id, Some(posted), laws),
            None => _ = self.early.insert(row.id, said),
        }
        let once = self.keys.insert((u128::from_ne_bytes(row.usage_key), row.part));
        laws.law(6, once, || format!("the usage of {} is charged twice", row.id()));
        for (block, whole) in self.blocks.pass(conn, row)? {
            laws.law(6, whole, || format!("block {block} of the keys is not the keys of what was charged then"));
        }
        // Whether what is gone was erased is known once all entries have passed.
        if !erased.meets(row) {
            laws.law(6, row.has_own_key(), || format!("{} is not kept under its own key", row.id()));
        }
        Ok(posted.and_then(|posted| posted.place))
    }

    /// After the last: what has no counterpart, and the lists.
    pub fn end(&mut self, conn: &mut Conn, laws: &mut Laws) -> Result<(), Fault> {
        for (stamp, said) in std::mem::take(&mut self.early) {
            said.compare(stamp, self.posted.remove(&stamp), laws);
        }
        for (block, whole) in self.blocks.end(conn)? {
            laws.law(6, whole, || format!("block {block} of the keys is not the keys of what was charged then"));
        }
        let listed = usage::store::trails(conn)?;
        laws.law(6, listed == self.of_grants, || "the lists of the grants' charges are not complete".into());
        let orphans = self.posted.len();
        laws.law(6, orphans == 0, || format!("{orphans} charges were posted without a usage record"));
        Ok(())
    }
}

impl Said {
    fn compare(self, stamp: i64, posted: Option<Posted>, laws: &mut Laws) {
        let same = posted.is_some_and(|Posted { seq, spent, beyond, grant, .. }| {
            let amounts = spent.checked_add(beyond) == Some(self.amount) && (seq, beyond) == (self.seq, self.overdraft);
            amounts && (grant == self.award || grant == 0)
        });
        laws.law(6, same, || format!("{} is not what its transaction posted", ChargeId::from_stamp(stamp)));
    }
}
