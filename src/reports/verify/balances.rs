//! Balances, recomputed from the postings: what each account holds after each line, what that comes to for each lot and grant, and what the
//! tables say it is. Bounds: the state of every account is held in memory.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::Laws;
use crate::amount::Unit;
use crate::donations::{GRACE, Lot};
use crate::id::LotId;
use crate::ledger::store::Account;
use crate::ledger::{self, Bucket, Class, Entry, Key, Kind, Line};
use crate::store::runs::Trail;
use crate::store::{Conn, Fault};
use crate::time::Time;
use crate::usage;

#[derive(Default, Clone, Copy)]
struct Seen {
    balance: i64,
    nth: i64,
    postings: Trail,
}

/// What the postings come to.
#[derive(Default)]
pub(super) struct Balances {
    postings: u64,
    lots: FxHashMap<LotId, Lot>,
    accounts: FxHashMap<Key, Seen>,
    units: BTreeMap<Unit, i128>,
    /// What came into a lot from outside: deliveries and their reversals.
    delivered: FxHashMap<i64, i128>,
    /// By (grant, lot): awards less what left otherwise than by use.
    net_in: FxHashMap<(i64, i64), i128>,
}

impl Balances {
    /// Of the lots as their table has them.
    pub fn new(lots: Vec<Lot>) -> Balances {
        Balances { lots: lots.into_iter().map(|lot| (lot.id, lot)).collect(), ..Balances::default() }
    }

    /// How many postings have passed.
    pub fn postings(&self) -> u64 {
        self.postings
    }

    /// Takes the entries in their order.
    pub fn pass(&mut self, entry: &Entry, laws: &mut Laws) {
        if entry.lines.is_empty() && entry.kind != Kind::Charge {
            return;
        }
        // Hardly any entry has more than one unit.
        let mut sums: Vec<(Unit, i128)> = Vec::with_capacity(1);
        for (place, line) in (1i64..).zip(&entry.lines) {
            match sums.iter_mut().find(|(unit, _)| *unit == line.unit) {
                Some((_, sum)) => *sum += i128::from(line.amount),
                None => sums.push((line.unit, line.amount.into())),
            }
            self.line(entry, place, line, laws);
        }
        laws.law(1, sums.iter().all(|(_, sum)| *sum == 0), || format!("entry {} does not sum to zero", entry.seq));
        for (unit, sum) in sums {
            *self.units.entry(unit).or_default() += sum;
        }
    }

    fn line(&mut self, entry: &Entry, place: i64, line: &Line, laws: &mut Laws) {
        self.postings += 1;
        let seen = self.accounts.entry(line.account).or_default();
        let (balance, nth) = (seen.balance.saturating_add(line.amount), seen.nth + 1);
        (seen.balance, seen.nth) = (balance, nth);
        seen.postings.pass(ledger::store::posting(entry.seq, place));
        let name = || line.account.name();
        laws.law(7, (line.balance, line.nth) == (balance, nth), || {
            format!("entry {}: {} says {} after line {}, not {balance} after {nth}", entry.seq, name(), line.balance, line.nth)
        });
        if line.account.bucket.class() == Class::Asset {
            laws.law(4, balance >= 0, || format!("entry {}: {} falls to {balance}", entry.seq, name()));
        }
        let amount = i128::from(line.amount);
        match line.account.bucket {
            // What is used, held, lapsed or returned stays the lot's: only what comes from the donor changes how much there is.
            Bucket::Receivable | Bucket::Given => {
                let lot = entry.lines.iter().find_map(|l| l.account.lot_id());
                *self.delivered.entry(lot.map_or(0, LotId::stamp)).or_default() -= amount;
            }
            Bucket::Granted if !within(entry) => {
                *self.net_in.entry((line.account.grant, line.account.lot)).or_default() += amount;
            }
            Bucket::Spent if entry.kind == Kind::Charge => self.usable(entry, line, laws),
            _ => {}
        }
        self.refund_home(entry, line);
    }

    /// A refund past the grant's end or the lot's expiry leaves the grant: `spent` falls and nothing of the grant's rises.
    fn refund_home(&mut self, entry: &Entry, line: &Line) {
        if entry.kind == Kind::Refund && matches!(line.account.bucket, Bucket::Available | Bucket::Lapsed) {
            let from = entry.lines.iter().find(|l| l.account.bucket == Bucket::Spent && l.account.lot == line.account.lot);
            if let Some(from) = from {
                *self.net_in.entry((from.account.grant, from.account.lot)).or_default() -= i128::from(line.amount);
            }
        }
    }

    fn usable(&self, entry: &Entry, line: &Line, laws: &mut Laws) {
        let (ended, recorded) = (entry.effective_at, entry.recorded_at);
        let lot = line.account.lot_id().and_then(|id| self.lots.get(&id));
        let fits = lot.is_some_and(|lot| in_time(lot, ended, recorded));
        laws.law(9, fits, || format!("entry {}: {} paid for a job that ended at {ended}", entry.seq, line.account.name()));
    }

    /// Whether the accounts, and the lists of what was posted to them, say so, and what they come to.
    pub fn accounts(&mut self, conn: &mut Conn, stored: &[Account], laws: &mut Laws) -> Result<(), Fault> {
        for (unit, sum) in std::mem::take(&mut self.units) {
            laws.law(1, sum == 0, || format!("the ledger's {} add up to {sum}", unit.code()));
        }
        let mut listed = ledger::store::trails(conn)?;
        let mut by_lot: FxHashMap<i64, i128> = FxHashMap::default();
        let mut by_share: FxHashMap<(i64, i64), i128> = FxHashMap::default();
        for account in stored {
            let seen = self.accounts.get(&account.key).copied().unwrap_or_default();
            let same = (account.balance, account.postings) == (seen.balance, seen.nth);
            laws.law(7, same, || format!("{} is stored as {}, recomputed as {}", account.key.name(), account.balance, seen.balance));
            let complete = listed.remove(&account.no).unwrap_or_default() == seen.postings;
            laws.law(7, complete, || format!("the list of what was posted to {} is not what was posted to it", account.key.name()));
            let (key, balance) = (account.key, i128::from(seen.balance));
            if key.lot != 0 {
                *by_lot.entry(key.lot).or_default() += balance;
            }
            if key.lot != 0 && key.grant != 0 {
                *by_share.entry((key.grant, key.lot)).or_default() += balance;
            }
        }
        laws.law(7, listed.is_empty(), || format!("postings are listed for {} accounts that are not there", listed.len()));
        let known: FxHashSet<Key> = stored.iter().map(|a| a.key).collect();
        let unknown: Vec<String> = self.accounts.keys().filter(|key| !known.contains(key)).map(Key::name).collect();
        laws.law(7, unknown.is_empty(), || format!("posted to accounts that are not stored: {}", unknown.join(", ")));
        for (lot, there) in by_lot {
            let delivered = self.delivered.get(&lot).copied().unwrap_or(0);
            laws.law(2, there == delivered, || format!("{}: delivered {delivered}, there {there}", LotId::from_stamp(lot)));
        }
        for ((grant, lot), there) in by_share {
            let came = self.net_in.get(&(grant, lot)).copied().unwrap_or(0);
            laws.law(3, there == came, || format!("grant {grant}, {}: came in {came}, there {there}", LotId::from_stamp(lot)));
        }
        Ok(())
    }

    /// What open holds set aside is what is held, lot by lot.
    pub fn holds(&mut self, conn: &mut Conn, laws: &mut Laws) -> Result<(), Fault> {
        let mut aside = usage::hold::store::set_aside(conn)?;
        let held: Vec<(Key, i64)> =
            self.accounts.iter().filter(|(key, _)| key.bucket == Bucket::Held).map(|(key, seen)| (*key, seen.balance)).collect();
        for (key, balance) in held {
            let told = aside.remove(&(key.grant, key.lot)).unwrap_or(0);
            laws.law(7, told == i128::from(balance), || format!("{} has {balance}, its holds {told}", key.name()));
        }
        let lost = aside.values().filter(|told| **told != 0).count();
        laws.law(7, lost == 0, || format!("{lost} open holds set aside what no account holds"));
        Ok(())
    }
}

/// Whether an entry moves a grant's credits between what is free, held and spent, and none in or out.
fn within(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::Charge | Kind::Refund | Kind::Cover) || entry.kind.sets_aside() || reverses_charge(entry)
}

fn reverses_charge(entry: &Entry) -> bool {
    entry.kind == Kind::Reversal && entry.lines.iter().any(|line| line.account.bucket == Bucket::Spent)
}

fn in_time(lot: &Lot, ended: Time, recorded: Time) -> bool {
    let open = lot.delivered_at <= ended && lot.expires_at.is_none_or(|end| ended < end);
    open && lot.expires_at.is_none_or(|end| recorded < end.plus(GRACE))
}
