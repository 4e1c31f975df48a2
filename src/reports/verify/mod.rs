//! Verification: every law of the books, recomputed from the postings.
//!
//! Reads the whole journal once, in table order, and believes nothing that it can recompute. Bounds: the state of every account and
//! the natural key of every charge are held in memory.

mod aside;
mod duties;
mod erased;
mod rows;
mod told;
mod whole;

use std::borrow::Cow;
use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Deserialize;

use crate::amount::Unit;
use crate::attest::audit::{self, Evidence, Extent};
use crate::donations::{self, GRACE, Lot};
use crate::id::LotId;
use crate::ledger::store::Of;
use crate::ledger::{self, Bucket, Class, Entry, Key, Kind, Line};
use crate::store::runs::{Trail, Trails};
use crate::store::{Conn, Fault, Page, guards};
use crate::time::Time;
use crate::usage::{self, store::ChargeRow};
use aside::Aside;
use duties::Duties;
use erased::Erased;
use told::Told;
pub use whole::{Auditor, Whole, verify_whole};

/// One law and what was found.
#[derive(Clone, Debug)]
pub struct Law {
    /// Its number in the design of the books.
    pub number: u8,
    /// What it says.
    pub title: &'static str,
    /// How many things were checked.
    pub checked: u64,
    /// How many of them break it.
    pub broken: u64,
    /// The first few, in words.
    pub findings: Vec<String>,
}

/// What a verification found.
#[derive(Clone, Debug)]
pub struct Verification {
    /// Journal entries read.
    pub entries: u64,
    /// Postings read.
    pub postings: u64,
    /// The laws in their order.
    pub laws: Vec<Law>,
}

impl Law {
    fn new(number: u8, title: &'static str) -> Law {
        Law { number, title, checked: 0, broken: 0, findings: Vec::new() }
    }

    /// Counts one thing that was checked.
    fn checked(&mut self, holds: bool, finding: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.broken += 1;
            if self.findings.len() < WORDS {
                self.findings.push(finding());
            }
        }
    }
}

impl Verification {
    /// Whether every law holds.
    pub fn holds(&self) -> bool {
        self.laws.iter().all(|law| law.broken == 0)
    }
}

/// What the laws say, in their order.
const TITLES: [&str; 11] = [
    "every transaction sums to zero per unit, and so does the ledger",
    "of each lot: delivered = available + granted + held + spent + lapsed + returned",
    "of each grant and lot: what came in less what went out = available + held + spent",
    "no asset account is below zero, at any moment",
    "refunds and reversals of a charge together are at most the charge, and go back to its own lots",
    "the same usage is charged once",
    "stored balances are those recomputed; running balances, line numbers and the lists of postings have no gap",
    "the journal has no gap and its tables refuse to be changed",
    "what was drawn was usable when the job ended and reported in time",
    "what was decided was decided by other persons than asked for it, each once",
    "the tables beside the journal say what the journal says",
];

/// What the log adds, in the order of [`audit::Check`].
const LOGGED: [&str; 5] = [
    "every entry of the journal is what was logged of it, in its order, and nothing else was logged",
    "of each lot: its lines are those of its entries, without a gap, counted and summed as sealed",
    "the log's tiles are those of the tree over its leaves",
    "checkpoints are signed by the log's key, and each is the beginning of the log as it is",
    "what was kept of the log elsewhere is its beginning",
];

/// What all laws say, in the order of their numbers.
pub(super) fn titles() -> impl Iterator<Item = (u8, &'static str)> {
    (1..).zip(TITLES.into_iter().chain(LOGGED))
}

/// How many findings of one law are kept in words.
const WORDS: usize = 20;

/// Recomputes every law. `Err` only where the books can't be read at all.
pub fn verify(conn: &mut Conn) -> Result<Verification, Fault> {
    let mut check = Check::new(conn)?;
    let head = ledger::store::head(conn)?;
    let mut from = 1;
    while from <= head {
        let to = (from + PAGE - 1).min(head);
        let entries = ledger::store::entries(conn, from, to)?;
        check.law(8, entries.len() as i64 == to - from + 1, || format!("entries {from} to {to}: only {} are there", entries.len()));
        for entry in &entries {
            check.entry(entry);
        }
        from = to + 1;
    }
    check.accounts(conn)?;
    check.charges(conn)?;
    check.refunds(conn)?;
    check.holds(conn)?;
    let mut aside = std::mem::take(&mut check.aside);
    for held in aside.holds(conn)? {
        check.law(7, held.is_ok(), || held.err().unwrap_or_default());
    }
    let mut erased = std::mem::take(&mut check.erased);
    for kept in aside.records(conn, &mut erased)?.into_iter().chain(erased.end(conn)?) {
        check.law(6, kept.is_ok(), || kept.err().unwrap_or_default());
    }
    for held in std::mem::take(&mut check.duties).rows(conn)? {
        check.law(10, held.is_ok(), || held.err().unwrap_or_default());
    }
    let (told, found) = (std::mem::take(&mut check.told), rows::all(conn)?);
    for held in told.compare(found) {
        check.law(11, held.is_ok(), || held.err().unwrap_or_default());
    }
    for (table, guarded) in guards::standing(conn)? {
        check.law(8, guarded, || format!("the guard of table {table} is missing"));
    }
    let (seq, stamp) = ledger::store::recorded_head(conn)?;
    let (last_seq, last_stamp) = (head, check.last_stamp);
    check.law(8, (seq, stamp) == (last_seq, last_stamp), || format!("the head says {seq}, the journal ends at {last_seq}"));
    Ok(check.done())
}

/// Recomputes the log from the books and adds what was found; how far the log has come. The look at the log must not be newer than that at
/// the books.
pub fn verify_log(books: &mut Conn, log: &mut Conn, evidence: &Evidence, found: &mut Verification) -> Result<Extent, Fault> {
    let first = TITLES.len() as u8 + 1;
    let mut laws: Vec<Law> = (first..).zip(LOGGED).map(|(number, title)| Law::new(number, title)).collect();
    let mut tell = |check: audit::Check, held: Result<(), String>| {
        if let Some(law) = laws.get_mut(check as usize) {
            law.checked(held.is_ok(), || held.err().unwrap_or_default());
        }
    };
    let extent = audit::audit(books, log, evidence, &mut tell)?;
    found.laws.extend(laws);
    Ok(extent)
}

/// Entries read at a time.
const PAGE: i64 = 5000;

#[derive(Default, Clone, Copy)]
struct Seen {
    balance: i64,
    nth: i64,
    postings: Trail,
}

/// What a charge's postings say of it.
#[derive(Clone, Copy)]
struct Charged {
    seq: i64,
    spent: i64,
    beyond: i64,
    /// 0 for a charge of nothing, which posts nothing.
    grant: i64,
}

struct Check {
    laws: Vec<Law>,
    entries: u64,
    postings: u64,
    last_seq: i64,
    last_stamp: i64,
    lots: FxHashMap<LotId, Lot>,
    accounts: FxHashMap<Key, Seen>,
    units: BTreeMap<Unit, i128>,
    /// What came into a lot from outside: deliveries and their reversals.
    delivered: FxHashMap<i64, i128>,
    /// By (grant, lot): awards less what left otherwise than by use.
    net_in: FxHashMap<(i64, i64), i128>,
    /// Charged by stamp: what the postings of the charge say.
    charged: FxHashMap<i64, Charged>,
    duties: Duties,
    told: Told,
    aside: Aside,
    erased: Erased,
}

impl Check {
    fn new(conn: &mut Conn) -> Result<Check, Fault> {
        let lots = donations::store::lots(conn, &donations::Of::default(), Page::ALL)?;
        Ok(Check {
            laws: (1u8..).zip(TITLES).map(|(number, title)| Law::new(number, title)).collect(),
            entries: 0,
            postings: 0,
            last_seq: 0,
            last_stamp: 0,
            lots: lots.into_iter().map(|lot| (lot.id, lot)).collect(),
            accounts: FxHashMap::default(),
            units: BTreeMap::new(),
            delivered: FxHashMap::default(),
            net_in: FxHashMap::default(),
            charged: FxHashMap::default(),
            duties: Duties::default(),
            told: Told::default(),
            aside: Aside::default(),
            erased: Erased::default(),
        })
    }

    fn law(&mut self, number: u8, holds: bool, finding: impl FnOnce() -> String) {
        if let Some(law) = self.laws.get_mut(usize::from(number) - 1) {
            law.checked(holds, finding);
        }
    }

    fn entry(&mut self, entry: &Entry) {
        self.entries += 1;
        let stamp = entry.recorded_at.micros();
        let follows = entry.seq == self.last_seq + 1 && stamp > self.last_stamp;
        self.law(8, follows, || format!("entry {} does not follow its predecessor", entry.seq));
        (self.last_seq, self.last_stamp) = (entry.seq, stamp);
        if let Some(held) = self.duties.pass(entry) {
            self.law(10, held.is_ok(), || held.err().unwrap_or_default());
        }
        self.told.pass(entry);
        self.aside.pass(entry);
        self.erased.pass(entry);
        if entry.lines.is_empty() && entry.kind != Kind::Charge {
            return;
        }
        let mut sums: BTreeMap<Unit, i128> = BTreeMap::new();
        for (place, line) in (1i64..).zip(&entry.lines) {
            *sums.entry(line.unit).or_default() += i128::from(line.amount);
            self.line(entry, place, line);
        }
        self.law(1, sums.values().all(|sum| *sum == 0), || format!("entry {} does not sum to zero", entry.seq));
        if entry.kind == Kind::Charge {
            let of = |bucket| entry.lines.iter().filter(|l| l.account.bucket == bucket).map(|l| l.amount).sum::<i64>();
            let grant = entry.lines.first().map_or(0, |line| line.account.grant);
            self.charged.insert(stamp, Charged { seq: entry.seq, spent: of(Bucket::Spent), beyond: of(Bucket::OverdraftSpent), grant });
        }
    }

    fn line(&mut self, entry: &Entry, place: i64, line: &Line) {
        self.postings += 1;
        *self.units.entry(line.unit).or_default() += i128::from(line.amount);
        let seen = self.accounts.entry(line.account).or_default();
        let (balance, nth) = (seen.balance.saturating_add(line.amount), seen.nth + 1);
        (seen.balance, seen.nth) = (balance, nth);
        seen.postings.pass(ledger::store::posting(entry.seq, place));
        let name = || line.account.name();
        self.law(7, (line.balance, line.nth) == (balance, nth), || {
            format!("entry {}: {} says {} after line {}, not {balance} after {nth}", entry.seq, name(), line.balance, line.nth)
        });
        if line.account.bucket.class() == Class::Asset {
            self.law(4, balance >= 0, || format!("entry {}: {} falls to {balance}", entry.seq, name()));
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
            Bucket::Spent if entry.kind == Kind::Charge => self.usable(entry, line),
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

    fn usable(&mut self, entry: &Entry, line: &Line) {
        let (ended, recorded) = (entry.effective_at, entry.recorded_at);
        let lot = line.account.lot_id().and_then(|id| self.lots.get(&id));
        let fits = lot.is_some_and(|lot| in_time(lot, ended, recorded));
        self.law(9, fits, || format!("entry {}: {} paid for a job that ended at {ended}", entry.seq, line.account.name()));
    }

    fn accounts(&mut self, conn: &mut Conn) -> Result<(), Fault> {
        for (unit, sum) in std::mem::take(&mut self.units) {
            self.law(1, sum == 0, || format!("the ledger's {} add up to {sum}", unit.code()));
        }
        let stored = ledger::store::accounts(conn, Of::default(), Page::ALL)?;
        let mut listed = ledger::store::trails(conn)?;
        let mut by_lot: FxHashMap<i64, i128> = FxHashMap::default();
        let mut by_share: FxHashMap<(i64, i64), i128> = FxHashMap::default();
        for account in &stored {
            let seen = self.accounts.get(&account.key).copied().unwrap_or_default();
            let same = (account.balance, account.postings) == (seen.balance, seen.nth);
            self.law(7, same, || format!("{} is stored as {}, recomputed as {}", account.key.name(), account.balance, seen.balance));
            let complete = listed.remove(&account.no).unwrap_or_default() == seen.postings;
            self.law(7, complete, || format!("the list of what was posted to {} is not what was posted to it", account.key.name()));
            let (key, balance) = (account.key, i128::from(seen.balance));
            if key.lot != 0 {
                *by_lot.entry(key.lot).or_default() += balance;
            }
            if key.lot != 0 && key.grant != 0 {
                *by_share.entry((key.grant, key.lot)).or_default() += balance;
            }
        }
        self.law(7, listed.is_empty(), || format!("postings are listed for {} accounts that are not there", listed.len()));
        let known: FxHashSet<Key> = stored.iter().map(|a| a.key).collect();
        let unknown: Vec<String> = self.accounts.keys().filter(|key| !known.contains(key)).map(Key::name).collect();
        self.law(7, unknown.is_empty(), || format!("posted to accounts that are not stored: {}", unknown.join(", ")));
        for (lot, there) in by_lot {
            let delivered = self.delivered.get(&lot).copied().unwrap_or(0);
            self.law(2, there == delivered, || format!("{}: delivered {delivered}, there {there}", LotId::from_stamp(lot)));
        }
        for ((grant, lot), there) in by_share {
            let came = self.net_in.get(&(grant, lot)).copied().unwrap_or(0);
            self.law(3, there == came, || format!("grant {grant}, {}: came in {came}, there {there}", LotId::from_stamp(lot)));
        }
        Ok(())
    }

    fn charges(&mut self, conn: &mut Conn) -> Result<(), Fault> {
        let mut keys: FxHashSet<([u8; 16], i32)> = FxHashSet::default();
        let mut blocks = usage::Blocks::new(conn)?;
        let mut of_grants = Trails::default();
        let mut page = Page { after: None, limit: PAGE, descending: false };
        loop {
            let rows = usage::store::charges(conn, &usage::Of::default(), page)?;
            for row in &rows {
                of_grants.entry(row.award).or_default().pass(row.id);
                let posted = self.charged.remove(&row.id);
                let same = posted.is_some_and(|Charged { seq, spent, beyond, grant }| {
                    let amounts = spent.checked_add(beyond) == Some(row.amount) && (seq, beyond) == (row.seq, row.overdraft);
                    amounts && (grant == row.award || grant == 0)
                });
                self.law(6, same, || format!("{} is not what its transaction posted", row.id()));
                let once = keys.insert((row.usage_key, row.part));
                self.law(6, once, || format!("the usage of {} is charged twice", row.id()));
                for (block, whole) in blocks.pass(conn, row)? {
                    self.law(6, whole, || format!("block {block} of the keys is not the keys of what was charged then"));
                }
                let kept = self.erased.charge(row).unwrap_or_else(|| key_fits(row));
                self.law(6, kept, || {
                    format!("{} is not kept under its own key, or its record is not what the journal says was erased", row.id())
                });
            }
            match rows.last() {
                Some(last) if rows.len() as i64 == PAGE => page.after = Some(last.id),
                _ => break,
            }
        }
        for (block, whole) in blocks.end(conn)? {
            self.law(6, whole, || format!("block {block} of the keys is not the keys of what was charged then"));
        }
        let listed = usage::store::trails(conn)?;
        self.law(6, listed == of_grants, || "the lists of the grants' charges are not complete".into());
        let orphans = self.charged.len();
        self.law(6, orphans == 0, || format!("{orphans} charges were posted without a usage record"));
        Ok(())
    }

    fn refunds(&mut self, conn: &mut Conn) -> Result<(), Fault> {
        let mut refunded: BTreeMap<i64, i128> = BTreeMap::new();
        for refund in usage::store::all_refunds(conn)? {
            *refunded.entry(refund.charge).or_default() += i128::from(refund.amount);
        }
        for (stamp, sum) in refunded {
            let of = usage::Of { ids: Some(vec![stamp]), ..usage::Of::default() };
            let Some(row) = usage::store::charges(conn, &of, Page::ALL)?.pop() else {
                self.law(5, false, || format!("a refund names no charge ({stamp})"));
                continue;
            };
            let parts = usage::refund::parts(conn, &row)?;
            let own = parts.overdraft >= 0 && parts.lots.values().all(|part| *part >= 0);
            let left: i128 = parts.lots.values().map(|part| i128::from(*part)).sum::<i128>() + i128::from(parts.overdraft);
            let capped = left + sum == i128::from(row.amount) && left >= 0;
            self.law(5, own && capped, || format!("{}: charged {}, refunded {sum}, left {left}", row.id(), row.amount));
        }
        for row in ledger::store::reversals(conn)? {
            let mut entry = |seq| Ok::<_, Fault>(ledger::store::entries(conn, seq, seq)?.pop());
            let both = entry(row.seq)?.zip(entry(row.reverses)?);
            let exact = both.as_ref().is_some_and(|(mirror, first)| is_mirror(mirror, first));
            self.law(5, exact, || format!("entry {} is not the mirror of entry {}", row.seq, row.reverses));
            let told = both.and_then(|(mirror, first)| first.actor.zip(mirror.actor));
            let two = told == Some((row.booked_by, row.reversed_by)) && row.booked_by != row.reversed_by;
            self.law(10, two, || format!("entry {} is not reversed by another person than booked it", row.reverses));
        }
        Ok(())
    }

    /// What open holds set aside is what is held, lot by lot.
    fn holds(&mut self, conn: &mut Conn) -> Result<(), Fault> {
        let mut aside = usage::hold::store::set_aside(conn)?;
        let held: Vec<(Key, i64)> =
            self.accounts.iter().filter(|(key, _)| key.bucket == Bucket::Held).map(|(key, seen)| (*key, seen.balance)).collect();
        for (key, balance) in held {
            let told = aside.remove(&(key.grant, key.lot)).unwrap_or(0);
            self.law(7, told == i128::from(balance), || format!("{} has {balance}, its holds {told}", key.name()));
        }
        let lost = aside.values().filter(|told| **told != 0).count();
        self.law(7, lost == 0, || format!("{lost} open holds set aside what no account holds"));
        Ok(())
    }

    fn done(self) -> Verification {
        Verification { entries: self.entries, postings: self.postings, laws: self.laws }
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

/// What of a record makes its key.
#[derive(Deserialize)]
struct Named<'r> {
    #[serde(borrow)]
    external_id: Cow<'r, str>,
    part: Option<i32>,
}

fn key_fits(row: &ChargeRow) -> bool {
    let fits =
        |named: Named<'_>| named.part.unwrap_or(0) == row.part && usage::record::key(row.provider(), &named.external_id) == row.usage_key;
    serde_json::from_str(&row.said).is_ok_and(fits)
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
