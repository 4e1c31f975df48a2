//! The laws, each recomputed from the postings as they are recorded, entry by entry.

use std::collections::{BTreeMap, HashMap, HashSet};

use almoner::ledger::{Bucket, Kind};

use crate::rows::{AccountRow, ChargeRow, EntryRow, HeadRow, OutflowRow, PostingRow, RefundRow, Rows};
use crate::tally::Tally;

/// Every check, by the law it belongs to.
pub const LAWS: [&str; 13] = [SUM, LEDGER, LOT, SHARE, OUTFLOW, ASSET, REFUND, OVERDRAFT_FIRST, MIRROR, ONCE, RUNNING, STORED, ORDER];
pub const SUM: &str = "1 each transaction sums to zero per unit";
pub const LEDGER: &str = "1 the ledger sums to zero per unit";
pub const LOT: &str = "2 delivered = available + grants + lapsed + returned";
pub const SHARE: &str = "3 in - out = available + held + spent";
pub const OUTFLOW: &str = "3 what leaves a grant is recorded as such";
pub const ASSET: &str = "4 no asset below zero";
pub const REFUND: &str = "5 refunds and reversals within the charge, to its own lots";
pub const OVERDRAFT_FIRST: &str = "5 a refund takes the overdraft part first";
pub const MIRROR: &str = "5 a reversal is the exact mirror, once";
pub const ONCE: &str = "6 the same usage is charged once";
pub const RUNNING: &str = "7 running balances and line numbers";
pub const STORED: &str = "7 stored balance = recomputed";
pub const ORDER: &str = "8 sequence gapless, stamps strictly increasing";
/// Checked elsewhere: by attempts to change rows, and against the model.
pub const APPEND_ONLY: &str = "8 journal tables refuse to be changed";
pub const CLOCK: &str = "9 the clock decides: swept or not, the same answers and the same books";
pub const LOGGED: &str = "the log is that of the books, and of what was handed out of it";
pub const REPEATABLE: &str = "balances at a place in the journal are the same for ever";
pub const MODEL: &str = "every account equals the model's";

#[derive(Clone, Copy, Default)]
struct Seen {
    balance: i128,
    nth: i64,
}

#[derive(Clone, Default)]
struct Parts {
    amount: i128,
    lots: BTreeMap<i64, i128>,
    owed: i128,
    given_back: i128,
}

#[derive(Clone)]
struct Past {
    kind: i64,
    lines: Vec<(i64, i64)>,
    reversed: bool,
}

/// What the journal has said so far.
#[derive(Clone, Default)]
pub struct Audit {
    pub head: HeadRow,
    accounts: HashMap<i64, Seen>,
    delivered: BTreeMap<i64, i128>,
    there: BTreeMap<i64, i128>,
    came: BTreeMap<(i64, i64), i128>,
    shares: BTreeMap<(i64, i64), i128>,
    past: HashMap<i64, Past>,
    charges: HashMap<i64, Parts>,
    keys: HashSet<String>,
}

struct Checks<'t>(&'t mut Tally);

impl Checks<'_> {
    fn law(&mut self, law: &'static str, holds: bool, finding: impl FnOnce() -> String) -> Result<(), String> {
        self.0.add("laws checked", law, 1);
        if holds { Ok(()) } else { Err(format!("{law}: {}", finding())) }
    }
}

fn is(kind: i64, one_of: &[Kind]) -> bool {
    one_of.iter().any(|k| *k as i64 == kind)
}

fn is_bucket(bucket: i64, one_of: &[Bucket]) -> bool {
    one_of.iter().any(|b| *b as i64 == bucket)
}

impl Audit {
    /// Checks what was recorded since the last time, and the accounts as they are stored. `Err` names the law that is broken.
    pub fn feed(&mut self, rows: &Rows, tally: &mut Tally) -> Result<(), String> {
        let mut checks = Checks(tally);
        for entry in &rows.entries {
            let from = rows.postings.partition_point(|p| p.id / 1024 < entry.seq);
            let to = rows.postings.partition_point(|p| p.id / 1024 <= entry.seq);
            let lines = &rows.postings[from..to];
            self.order(entry, &mut checks)?;
            self.sums(entry, lines, &mut checks)?;
            self.balances(entry, lines, &mut checks)?;
            self.lots(entry, lines, &mut checks)?;
            self.shares(entry, lines, &mut checks)?;
            outflows(entry, lines, rows, &mut checks)?;
            let refund = rows.refunds.iter().find(|r| r.id == entry.recorded_at);
            self.charge_parts(entry, lines, refund, &mut checks)?;
            self.mirror(entry, lines, &mut checks)?;
        }
        rows.charges.iter().try_for_each(|row| self.charge_row(row, &mut checks))?;
        self.stored(&rows.accounts, rows, &mut checks)
    }

    fn order(&mut self, entry: &EntryRow, checks: &mut Checks) -> Result<(), String> {
        let follows = entry.seq == self.head.seq + 1 && entry.recorded_at > self.head.stamp;
        checks.law(ORDER, follows, || format!("entry {} at {} after {:?}", entry.seq, entry.recorded_at, self.head))?;
        self.head = HeadRow { seq: entry.seq, stamp: entry.recorded_at };
        if let Ok(kind) = Kind::of(entry.kind as i32) {
            checks.0.add("events", kind.word(), 1);
        }
        Ok(())
    }

    fn sums(&self, entry: &EntryRow, lines: &[PostingRow], checks: &mut Checks) -> Result<(), String> {
        let mut sums: BTreeMap<&str, i128> = BTreeMap::new();
        for line in lines {
            *sums.entry(&line.unit).or_default() += i128::from(line.amount);
        }
        checks.law(SUM, sums.values().all(|sum| *sum == 0), || format!("entry {} sums to {sums:?}", entry.seq))
    }

    fn balances(&mut self, entry: &EntryRow, lines: &[PostingRow], checks: &mut Checks) -> Result<(), String> {
        for line in lines {
            let seen = self.accounts.entry(line.no).or_default();
            *seen = Seen { balance: seen.balance + i128::from(line.amount), nth: seen.nth + 1 };
            let same = (i128::from(line.balance), line.nth) == (seen.balance, seen.nth);
            checks.law(RUNNING, same, || format!("entry {}, account {}: {line:?}", entry.seq, line.no))?;
            if is_bucket(line.bucket, &[Bucket::Receivable, Bucket::Available, Bucket::Granted, Bucket::Held]) {
                checks.law(ASSET, seen.balance >= 0, || format!("entry {}: {line:?}", entry.seq))?;
            }
        }
        Ok(())
    }

    /// What a delivery (or its reversal) takes from receivable and given is what the lot then has, wherever it goes.
    fn lots(&mut self, entry: &EntryRow, lines: &[PostingRow], checks: &mut Checks) -> Result<(), String> {
        let undone = self.reverses(entry);
        if is(entry.kind, &[Kind::Delivery]) || undone.is_some_and(|past| is(past.kind, &[Kind::Delivery])) {
            let lot = lines.iter().map(|line| line.lot).max().unwrap_or(0);
            let donor: i128 = lines.iter().filter(|line| line.lot == 0).map(|line| i128::from(line.amount)).sum();
            *self.delivered.entry(lot).or_default() -= donor;
        }
        for line in lines.iter().filter(|line| line.lot != 0) {
            *self.there.entry(line.lot).or_default() += i128::from(line.amount);
        }
        for line in lines.iter().filter(|line| line.lot != 0) {
            let (there, delivered) = (self.there.get(&line.lot), self.delivered.get(&line.lot));
            checks.law(LOT, there == delivered, || format!("entry {}, lot {}: {delivered:?}, {there:?}", entry.seq, line.lot))?;
        }
        Ok(())
    }

    fn shares(&mut self, entry: &EntryRow, lines: &[PostingRow], checks: &mut Checks) -> Result<(), String> {
        let of_lot = |line: &&PostingRow| line.award == 0 && line.lot != 0;
        for line in lines {
            if line.award != 0 && line.lot != 0 {
                *self.shares.entry((line.award, line.lot)).or_default() += i128::from(line.amount);
            }
        }
        let mut moved: Vec<((i64, i64), i64)> = Vec::new();
        if is(entry.kind, &[Kind::Award, Kind::End, Kind::Supplement, Kind::Reduction, Kind::Transfer]) {
            let own = entry.subject.unwrap_or(0);
            moved.extend(lines.iter().filter(of_lot).map(|l| ((own, l.lot), -l.amount)));
            // Between two grants: what the other gets or gives is what this one gives or gets.
            let others = lines.iter().filter(|l| l.award != 0 && l.award != own);
            moved.extend(others.flat_map(|l| [((l.award, l.lot), l.amount), ((own, l.lot), -l.amount)]));
        } else if is(entry.kind, &[Kind::Lapse, Kind::Return]) {
            moved.extend(lines.iter().filter(|l| l.award != 0).map(|l| ((l.award, l.lot), l.amount)));
        } else if is(entry.kind, &[Kind::Refund]) {
            // Past the grant's end or the lot's expiry a refund goes on: it leaves the grant.
            let grant = lines.iter().map(|line| line.award).max().unwrap_or(0);
            moved.extend(lines.iter().filter(of_lot).map(|l| ((grant, l.lot), -l.amount)));
        }
        for (share, amount) in moved {
            *self.came.entry(share).or_default() += i128::from(amount);
        }
        for share in lines.iter().filter(|l| l.award != 0 && l.lot != 0).map(|l| (l.award, l.lot)) {
            let (came, there) = (self.came.get(&share).copied().unwrap_or(0), self.shares.get(&share).copied().unwrap_or(0));
            checks.law(SHARE, came == there, || format!("entry {}, {share:?}: came {came}, there {there}", entry.seq))?;
        }
        Ok(())
    }

    fn reverses(&self, entry: &EntryRow) -> Option<&Past> {
        let reversal = is(entry.kind, &[Kind::Reversal]);
        entry.subject.filter(|_| reversal).and_then(|stamp| self.past.get(&stamp))
    }

    /// A charge's parts: its own lines, covers, refunds and reversal. None falls below zero and together they are what is left of it.
    fn charge_parts(
        &mut self,
        entry: &EntryRow,
        lines: &[PostingRow],
        refund: Option<&RefundRow>,
        checks: &mut Checks,
    ) -> Result<(), String> {
        let charge = match (is(entry.kind, &[Kind::Charge]), is(entry.kind, &[Kind::Refund, Kind::Cover])) {
            (true, _) => entry.recorded_at,
            (_, true) => entry.subject.unwrap_or(0),
            _ if self.reverses(entry).is_some_and(|past| is(past.kind, &[Kind::Charge])) => entry.subject.unwrap_or(0),
            _ => return Ok(()),
        };
        let parts = self.charges.entry(charge).or_default();
        let of = |bucket: Bucket| lines.iter().filter(move |line| is_bucket(line.bucket, &[bucket]));
        of(Bucket::Spent).for_each(|line| *parts.lots.entry(line.lot).or_default() += i128::from(line.amount));
        parts.owed += of(Bucket::OverdraftSpent).map(|line| i128::from(line.amount)).sum::<i128>();
        let left: i128 = parts.lots.values().sum::<i128>() + parts.owed;
        if is(entry.kind, &[Kind::Charge]) {
            parts.amount = left;
        }
        if is(entry.kind, &[Kind::Reversal]) {
            parts.given_back += parts.amount;
        }
        parts.given_back += refund.map_or(0, |r| i128::from(r.amount));
        let named = !is(entry.kind, &[Kind::Refund]) || refund.is_some_and(|r| r.charge == charge);
        let own = parts.owed >= 0 && parts.lots.values().all(|part| *part >= 0);
        let capped = parts.given_back <= parts.amount && left + parts.given_back == parts.amount;
        checks.law(REFUND, named && own && capped, || {
            format!("entry {}, charge {charge}: {:?}, owed {}, given back {}", entry.seq, parts.lots, parts.owed, parts.given_back)
        })?;
        if is(entry.kind, &[Kind::Refund]) {
            let lots_too = of(Bucket::Spent).next().is_some();
            checks.law(OVERDRAFT_FIRST, !lots_too || parts.owed == 0, || format!("entry {}: {} is still owed", entry.seq, parts.owed))?;
        }
        Ok(())
    }

    fn mirror(&mut self, entry: &EntryRow, lines: &[PostingRow], checks: &mut Checks) -> Result<(), String> {
        let mut own: Vec<(i64, i64)> = lines.iter().map(|line| (line.no, line.amount)).collect();
        own.sort_unstable();
        if is(entry.kind, &[Kind::Reversal]) {
            let mut negated: Vec<(i64, i64)> = own.iter().map(|(no, amount)| (*no, -amount)).collect();
            negated.sort_unstable();
            let first = entry.subject.and_then(|stamp| self.past.get_mut(&stamp));
            let exact = first.is_some_and(|past| !std::mem::replace(&mut past.reversed, true) && past.lines == negated);
            checks.law(MIRROR, exact, || format!("entry {}", entry.seq))?;
        }
        if !lines.is_empty() {
            self.past.insert(entry.recorded_at, Past { kind: entry.kind, lines: own, reversed: false });
        }
        Ok(())
    }

    fn charge_row(&mut self, row: &ChargeRow, checks: &mut Checks) -> Result<(), String> {
        let posted = self.charges.get(&row.id).is_some_and(|parts| parts.amount == i128::from(row.amount));
        let once = self.keys.insert(row.usage_key.clone());
        checks.law(ONCE, posted && once && row.overdraft <= row.amount, || format!("{row:?}"))
    }

    fn stored(&self, stored: &[AccountRow], rows: &Rows, checks: &mut Checks) -> Result<(), String> {
        let mut sums: BTreeMap<&str, i128> = BTreeMap::new();
        stored.iter().for_each(|row| *sums.entry(&row.unit).or_default() += i128::from(row.balance));
        checks.law(LEDGER, sums.values().all(|sum| *sum == 0), || format!("the accounts sum to {sums:?}"))?;
        for row in stored {
            let seen = self.accounts.get(&row.no).copied().unwrap_or_default();
            let same = (i128::from(row.balance), row.postings) == (seen.balance, seen.nth);
            checks.law(STORED, same, || format!("{row:?} is recomputed as {}", seen.balance))?;
        }
        let known: HashSet<i64> = stored.iter().map(|row| row.no).collect();
        let lost = rows.postings.iter().find(|line| !known.contains(&line.no));
        checks.law(STORED, lost.is_none(), || format!("{lost:?} is posted to no account"))?;
        let head = (rows.head.seq, rows.head.stamp) == (self.head.seq, self.head.stamp);
        checks.law(ORDER, head, || format!("the head says {:?}, the journal ends at {:?}", rows.head, self.head))
    }
}

/// What leaves a grant otherwise than by use stands beside the journal too, lot by lot.
fn outflows(entry: &EntryRow, lines: &[PostingRow], rows: &Rows, checks: &mut Checks) -> Result<(), String> {
    let mut left: BTreeMap<(i64, i64), i64> = BTreeMap::new();
    if is(entry.kind, &[Kind::End, Kind::Lapse, Kind::Return, Kind::Award, Kind::Reduction, Kind::Transfer]) {
        lines.iter().filter(|l| l.award != 0 && l.amount < 0).for_each(|l| *left.entry((l.award, l.lot)).or_default() -= l.amount);
    } else if is(entry.kind, &[Kind::Refund]) {
        let grant = lines.iter().map(|l| l.award).max().unwrap_or(0);
        lines.iter().filter(|l| l.award == 0).for_each(|l| *left.entry((grant, l.lot)).or_default() += l.amount);
    } else {
        return Ok(());
    }
    let own = |row: &&OutflowRow| row.seq == entry.seq;
    let recorded: BTreeMap<(i64, i64), i64> = rows.outflows.iter().filter(own).map(|r| ((r.award, r.lot), r.amount)).collect();
    checks.law(OUTFLOW, left == recorded, || format!("entry {}: {left:?} left, {recorded:?} recorded", entry.seq))
}
