//! What was given back, recomputed from the journal: refunds and reversals of a charge, which together are at most the charge and go to its own
//! lots, and reversals, which are the mirror of what they reverse.
//!
//! Which entries touch a charge that was refunded is read beforehand, so that one reading of the journal is enough. Bounds: a few numbers of
//! each such charge, and every entry that was reversed with its mirror, are held in memory.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::Laws;
use crate::id::{ChargeId, LotId};
use crate::ledger::store::Reversal;
use crate::ledger::{self, Bucket, Entry, Key};
use crate::store::{Conn, Fault};
use crate::usage;

/// What was given back.
pub(super) struct Returned {
    /// By stamp: the charges that were refunded.
    charges: BTreeMap<i64, Refunded>,
    /// Which of these an entry touches, by its sequence.
    touched: FxHashMap<i64, Vec<i64>>,
    reversals: Vec<Reversal>,
    /// Entries that were reversed, and their mirrors, by sequence.
    mirrored: FxHashMap<i64, Option<Entry>>,
}

/// A charge that was refunded.
#[derive(Default)]
struct Refunded {
    /// What its row says it was; nothing where there is none.
    amount: Option<i64>,
    /// Whether one of its refunds names another place in the journal.
    lost: bool,
    /// What the rows of its refunds say.
    refunded: i128,
    /// What it still costs, by the postings: of each lot, and beyond the grant.
    lots: BTreeMap<LotId, i128>,
    beyond: i128,
}

impl Returned {
    /// Reads which charges were refunded and which entries reversed.
    pub fn read(conn: &mut Conn) -> Result<Returned, Fault> {
        let reversals = ledger::store::reversals(conn)?;
        let (mut charges, mut touched) = (BTreeMap::<i64, Refunded>::new(), FxHashMap::<i64, Vec<i64>>::default());
        let refunds = usage::store::all_refunds(conn)?;
        let mut seqs: Vec<i64> = refunds.iter().map(|refund| refund.charge_seq).collect();
        seqs.sort_unstable();
        seqs.dedup();
        let rows: FxHashMap<i64, (i64, i64)> =
            usage::store::charges_of_entries(conn, &seqs)?.into_iter().map(|row| (row.seq, (row.id, row.amount))).collect();
        let mirrors: FxHashMap<i64, i64> = reversals.iter().map(|row| (row.reverses, row.seq)).collect();
        for refund in refunds {
            let charge = charges.entry(refund.charge).or_default();
            charge.refunded += i128::from(refund.amount);
            touched.entry(refund.seq).or_default().push(refund.charge);
            match rows.get(&refund.charge_seq).filter(|(id, _)| *id == refund.charge) {
                Some(_) if charge.amount.is_some() => {}
                Some((id, amount)) => {
                    charge.amount = Some(*amount);
                    for seq in [Some(refund.charge_seq), mirrors.get(&refund.charge_seq).copied()].into_iter().flatten() {
                        touched.entry(seq).or_default().push(*id);
                    }
                }
                None => charge.lost = true,
            }
        }
        for cover in usage::store::all_covers(conn)?.into_iter().filter(|cover| charges.contains_key(&cover.charge)) {
            touched.entry(cover.seq).or_default().push(cover.charge);
        }
        let mirrored = reversals.iter().flat_map(|row| [(row.seq, None), (row.reverses, None)]).collect();
        Ok(Returned { charges, touched, reversals, mirrored })
    }

    /// Takes the entries in their order.
    pub fn pass(&mut self, entry: &Entry) {
        for stamp in self.touched.get(&entry.seq).into_iter().flatten() {
            let Some(charge) = self.charges.get_mut(stamp) else { continue };
            for line in &entry.lines {
                match (line.account.bucket, line.account.lot_id()) {
                    (Bucket::Spent, Some(lot)) => *charge.lots.entry(lot).or_default() += i128::from(line.amount),
                    (Bucket::OverdraftSpent, _) => charge.beyond += i128::from(line.amount),
                    _ => {}
                }
            }
        }
        if let Some(kept) = self.mirrored.get_mut(&entry.seq) {
            *kept = Some(entry.clone());
        }
    }

    /// What can be said once all have passed.
    pub fn end(&mut self, laws: &mut Laws) {
        for (stamp, charge) in &self.charges {
            let Some(amount) = charge.amount.filter(|_| !charge.lost) else {
                laws.law(5, false, || format!("a refund names no charge ({stamp})"));
                continue;
            };
            let Refunded { refunded, lots, beyond, .. } = charge;
            let own = *beyond >= 0 && lots.values().all(|part| *part >= 0);
            let left = lots.values().sum::<i128>() + beyond;
            let capped = left + refunded == i128::from(amount) && left >= 0;
            let id = ChargeId::from_stamp(*stamp);
            laws.law(5, own && capped, || format!("{id}: charged {amount}, refunded {refunded}, left {left}"));
        }
        for row in &self.reversals {
            let entry = |seq: i64| self.mirrored.get(&seq).and_then(Option::as_ref);
            let both = entry(row.seq).zip(entry(row.reverses));
            let exact = both.is_some_and(|(mirror, first)| is_mirror(mirror, first));
            laws.law(5, exact, || format!("entry {} is not the mirror of entry {}", row.seq, row.reverses));
            let told = both.and_then(|(mirror, first)| first.actor.zip(mirror.actor));
            let two = told == Some((row.booked_by, row.reversed_by)) && row.booked_by != row.reversed_by;
            laws.law(10, two, || format!("entry {} is not reversed by another person than booked it", row.reverses));
        }
    }
}

/// Whether an entry says that it reverses another, and does.
fn is_mirror(mirror: &Entry, first: &Entry) -> bool {
    let lines = |entry: &Entry, sign: i64| {
        let mut lines: Vec<(Key, i64)> = entry.lines.iter().map(|l| (l.account, l.amount.saturating_mul(sign))).collect();
        lines.sort_unstable();
        lines
    };
    mirror.subject == Some(first.recorded_at.micros()) && lines(mirror, -1) == lines(first, 1)
}
