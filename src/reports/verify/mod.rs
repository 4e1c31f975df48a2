//! Verification: every law of the books, recomputed from the postings.
//!
//! Reads the whole journal once, in table order, and believes nothing that it can recompute. What it has read it hands on to whoever verifies the log meanwhile. Bounds: the state of every account and the natural key of every charge are held in memory.

mod aside;
mod balances;
mod charged;
mod duties;
mod erased;
mod returned;
mod rows;
mod told;
mod whole;

use crate::attest::audit::Passed;
use crate::donations;
use crate::ledger;
use crate::ledger::store::Journal;
use crate::store::{Conn, Fault, Page, guards};
use crate::usage::{self, erase};
use aside::Aside;
use balances::Balances;
use charged::Charged;
use duties::Duties;
use erased::Erased;
use returned::Returned;
use told::Told;
pub use whole::{Auditor, Whole, verify_logged, verify_whole};

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

/// The laws as they are being checked.
struct Laws(Vec<Law>);

impl Laws {
    fn law(&mut self, number: u8, holds: bool, finding: impl FnOnce() -> String) {
        if let Some(law) = self.0.get_mut(usize::from(number) - 1) {
            law.checked(holds, finding);
        }
    }

    /// Counts what was checked elsewhere.
    fn told(&mut self, number: u8, held: Result<(), String>) {
        self.law(number, held.is_ok(), || held.err().unwrap_or_default());
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

/// Entries read at a time: so many that few questions are asked, so few that they are still at hand when they are looked at.
const PAGE: i64 = 512;

/// Recomputes every law. `Err` only where the books can't be read at all.
pub fn verify(conn: &mut Conn) -> Result<Verification, Fault> {
    verify_handing_on(conn, None)
}

/// Whoever goes on with what was read.
type Next<'n> = dyn FnMut(Vec<Passed>) + 'n;

/// Recomputes every law, and hands on the entries in their order, each with its usage record.
fn verify_handing_on(conn: &mut Conn, mut next: Option<&mut Next<'_>>) -> Result<Verification, Fault> {
    let head = ledger::store::head(conn)?;
    let mut check = Check::new(conn)?;
    let mut from = 1;
    while from <= head {
        let to = (from + PAGE - 1).min(head);
        let page = page(conn, &check.journal, from, to)?;
        check.laws.law(8, page.len() as i64 == to - from + 1, || format!("entries {from} to {to}: only {} are there", page.len()));
        for passed in &page {
            check.entry(conn, passed)?;
        }
        if let Some(next) = &mut next {
            next(told(conn, page)?);
        }
        from = to + 1;
    }
    check.rest(conn, head)?;
    Ok(Verification { entries: check.entries, postings: check.balances.postings(), laws: check.laws.0 })
}

/// The entries from one sequence to another, both included, those of charges made of their rows: so each row is read once.
fn page(conn: &mut Conn, journal: &Journal, from: i64, to: i64) -> Result<Vec<Passed>, Fault> {
    let own = journal.own_entries(conn, from, to)?.into_iter().map(|entry| Passed { entry, charge: None });
    let mut page: Vec<Passed> = own.collect();
    for row in usage::store::charges_between(conn, from - 1, to, PAGE + 1)? {
        let lines = journal.lines(row.seq, row.lines.as_deref())?;
        page.push(Passed { entry: row.entry(lines), charge: Some(row) });
    }
    page.sort_by_key(|passed| passed.entry.seq);
    Ok(page)
}

/// The entries with their charges as the log was told of them: with their records, where these were erased and are not in the log yet.
fn told(conn: &mut Conn, mut page: Vec<Passed>) -> Result<Vec<Passed>, Fault> {
    let rows = page.iter_mut().filter_map(|passed| passed.charge.take_if(|row| row.is_erased())).collect();
    let mut rows = erase::with_erasing(conn, rows)?.into_iter().peekable();
    for passed in &mut page {
        if let Some(row) = rows.next_if(|row| row.seq == passed.entry.seq) {
            passed.charge = Some(row);
        }
    }
    Ok(page)
}

struct Check {
    laws: Laws,
    entries: u64,
    last_seq: i64,
    last_stamp: i64,
    journal: Journal,
    balances: Balances,
    charged: Charged,
    returned: Returned,
    duties: Duties,
    told: Told,
    aside: Aside,
    erased: Erased,
}

impl Check {
    fn new(conn: &mut Conn) -> Result<Check, Fault> {
        Ok(Check {
            laws: Laws((1u8..).zip(TITLES).map(|(number, title)| Law::new(number, title)).collect()),
            entries: 0,
            last_seq: 0,
            last_stamp: 0,
            journal: Journal::open(conn)?,
            balances: Balances::new(donations::store::lots(conn, &donations::Of::default(), Page::ALL)?),
            charged: Charged::new(conn)?,
            returned: Returned::read(conn)?,
            duties: Duties::default(),
            told: Told::default(),
            aside: Aside::read(conn)?,
            erased: Erased::default(),
        })
    }

    /// Takes the entries in their order.
    fn entry(&mut self, conn: &mut Conn, Passed { entry, charge }: &Passed) -> Result<(), Fault> {
        self.entries += 1;
        let stamp = entry.recorded_at.micros();
        let follows = entry.seq == self.last_seq + 1 && stamp > self.last_stamp;
        self.laws.law(8, follows, || format!("entry {} does not follow its predecessor", entry.seq));
        (self.last_seq, self.last_stamp) = (entry.seq, stamp);
        if let Some(held) = self.duties.pass(entry) {
            self.laws.told(10, held);
        }
        self.told.pass(entry);
        self.aside.pass(entry);
        self.erased.pass(entry);
        self.returned.pass(entry);
        self.balances.pass(entry, &mut self.laws);
        self.charged.pass(conn, entry, charge.as_ref(), &mut self.laws, &mut self.erased)
    }

    /// What can be said once all entries have passed.
    fn rest(&mut self, conn: &mut Conn, head: i64) -> Result<(), Fault> {
        let laws = &mut self.laws;
        self.balances.accounts(conn, &self.journal.accounts(), laws)?;
        self.charged.end(conn, laws)?;
        self.returned.end(laws);
        self.balances.holds(conn, laws)?;
        self.aside.holds(conn, &mut |held| laws.told(7, held))?;
        let mut tell = |kept| laws.told(6, kept);
        self.erased.charges().into_iter().for_each(&mut tell);
        self.aside.records(conn, &mut self.erased, &mut tell)?;
        self.erased.end(conn)?.into_iter().for_each(&mut tell);
        for held in self.duties.rows(conn)? {
            laws.told(10, held);
        }
        for held in std::mem::take(&mut self.told).compare(rows::all(conn)?) {
            laws.told(11, held);
        }
        for (table, guarded) in guards::standing(conn)? {
            laws.law(8, guarded, || format!("the guard of table {table} is missing"));
        }
        let said = ledger::store::recorded_head(conn)?;
        laws.law(8, said == (head, self.last_stamp), || format!("the head says {}, the journal ends at {head}", said.0));
        Ok(())
    }
}
