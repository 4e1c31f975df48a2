//! The journal in other people's formats, so that an auditor can check the books with tools that are not ours.
//!
//! Entries come in the journal's order from an iterator and leave at once: memory grows with the accounts, never with the
//! journal. beancount, hledger and ledger get every balance as an assertion, taken from the running balance that is *stored* with
//! each posting and never summed up here: when their sums agree with it, somebody else has done the arithmetic. The date of a
//! transaction is the day it was recorded, because only in that order do the running balances hold; when it happened is written
//! beside it. This room may not know the database, and mends nothing: what a format can't carry ends the export with the reason.

mod beancount;
mod chart;
mod journal;
mod names;
mod rows;

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::str::FromStr;

use crate::amount::{Amount, Unit};
use crate::time::Time;

pub use names::{account_of, path_of};

/// The side of the books an account stands on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// What there is to use.
    Asset,
    /// What is owed.
    Liability,
    /// What was given back.
    Equity,
    /// What was given.
    Income,
    /// What was used up.
    Expense,
}

impl Class {
    /// Every class, in the order of the books.
    pub const ALL: [Class; 5] = [Class::Asset, Class::Liability, Class::Equity, Class::Income, Class::Expense];

    /// The name in rows: `asset`.
    pub const fn word(self) -> &'static str {
        match self {
            Class::Asset => "asset",
            Class::Liability => "liability",
            Class::Equity => "equity",
            Class::Income => "income",
            Class::Expense => "expense",
        }
    }

    /// The account that all others of the class stand under in the auditor's tools: `Assets`.
    pub const fn heading(self) -> &'static str {
        match self {
            Class::Asset => "Assets",
            Class::Liability => "Liabilities",
            Class::Equity => "Equity",
            Class::Income => "Income",
            Class::Expense => "Expenses",
        }
    }
}

/// An account as the books name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// `grant:grt_…:lot_…:spent`.
    pub name: String,
    /// Its side.
    pub class: Class,
    /// What it counts.
    pub unit: Unit,
}

/// One posting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// The account it moves.
    pub account: Account,
    /// By how much; debit is positive.
    pub amount: Amount,
    /// The account's balance after it, as stored.
    pub balance: Amount,
}

/// One transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its place in the journal.
    pub seq: i64,
    /// When the ledger took it.
    pub recorded_at: Time,
    /// When it happened.
    pub effective_at: Time,
    /// What it is: `charge`.
    pub kind: &'static str,
    /// `txn_…`.
    pub id: String,
    /// Its postings.
    pub lines: Vec<Line>,
}

/// What the journal is written for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// beancount, version 3.
    Beancount,
    /// hledger, with `--strict`. One text serves hledger and ledger.
    Hledger,
    /// ledger, with `--pedantic`.
    Ledger,
    /// One posting a line, comma-separated, with a header.
    Csv,
    /// One posting a line, each a JSON object.
    Ndjson,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 5] = [Format::Beancount, Format::Hledger, Format::Ledger, Format::Csv, Format::Ndjson];

    /// Its name on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Format::Beancount => "beancount",
            Format::Hledger => "hledger",
            Format::Ledger => "ledger",
            Format::Csv => "csv",
            Format::Ndjson => "ndjson",
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        let known = || Format::ALL.map(Format::word).join(", ");
        Format::ALL.into_iter().find(|f| f.word() == text).ok_or_else(|| format!("{text:?} is not one of: {}", known()))
    }
}

/// What was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Transactions written.
    pub transactions: u64,
    /// Postings written.
    pub postings: u64,
    /// Sequence of the first transaction; 0 if there is none.
    pub first: i64,
    /// Sequence of the last transaction; 0 if there is none.
    pub last: i64,
}

/// Why an export ended early; what was written up to there is incomplete.
#[derive(Debug)]
pub enum Failure<E> {
    /// The journal could not be read on.
    Source(E),
    /// The file could not be written on.
    Output(io::Error),
    /// The journal holds something that the format can't carry, or is not in order.
    Unwritable(String),
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Source(e) => write!(f, "reading the journal: {e}"),
            Failure::Output(e) => write!(f, "writing the export: {e}"),
            Failure::Unwritable(why) => f.write_str(why),
        }
    }
}

impl<E: fmt::Display + fmt::Debug> std::error::Error for Failure<E> {}

/// Writes the entries, which come in the journal's order, to `out`. Entries without lines move nothing and are passed over.
pub fn write<E>(format: Format, entries: impl Iterator<Item = Result<Entry, E>>, out: impl Write) -> Result<Summary, Failure<E>> {
    let out = BufWriter::with_capacity(1 << 16, out);
    let mut shape: Box<dyn Shape + '_> = match format {
        Format::Beancount => Box::new(beancount::Beancount::new(out)),
        Format::Hledger | Format::Ledger => Box::new(journal::Journal::new(out)),
        Format::Csv => Box::new(rows::Csv::new(out)),
        Format::Ndjson => Box::new(rows::Ndjson::new(out)),
    };
    let mut order = Order::default();
    shape.begin()?;
    for entry in entries {
        let entry = entry.map_err(Failure::Source)?;
        if entry.lines.is_empty() {
            continue;
        }
        order.admit(&entry)?;
        shape.entry(&entry)?;
    }
    shape.end(&order.summary)?;
    Ok(order.summary)
}

/// One format: told to begin, given each entry, told to end.
trait Shape {
    fn begin(&mut self) -> Result<(), Stop>;
    fn entry(&mut self, entry: &Entry) -> Result<(), Stop>;
    fn end(&mut self, summary: &Summary) -> Result<(), Stop>;
}

/// Why a shape stops: a [`Failure`] before it is known how the journal is read.
#[derive(Debug)]
enum Stop {
    Output(io::Error),
    Unwritable(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Output(error)
    }
}

impl<E> From<Stop> for Failure<E> {
    fn from(stop: Stop) -> Failure<E> {
        match stop {
            Stop::Output(error) => Failure::Output(error),
            Stop::Unwritable(why) => Failure::Unwritable(why),
        }
    }
}

/// Sees that entries come in order and are sound, whatever the format, and counts them.
#[derive(Default)]
struct Order {
    summary: Summary,
    recorded_at: Option<Time>,
}

impl Order {
    fn admit(&mut self, entry: &Entry) -> Result<(), Stop> {
        let unsound = |why: &str| Err(Stop::Unwritable(format!("journal entry {}: {why}", entry.seq)));
        let follows = self.recorded_at.is_none_or(|before| before <= entry.recorded_at && self.summary.last < entry.seq);
        if !follows {
            return unsound("it does not follow the entry before it, in sequence and recorded time");
        }
        if !is_plain(entry.kind) || !is_plain(&entry.id) {
            return unsound("its kind and identifier must be of lower-case letters, digits, dashes and underscores");
        }
        if entry.lines.iter().any(|l| l.amount.unit != l.account.unit || l.balance.unit != l.account.unit) {
            return unsound("a posting counts another unit than its account");
        }
        if self.recorded_at.is_none() {
            self.summary.first = entry.seq;
        }
        self.recorded_at = Some(entry.recorded_at);
        self.summary.last = entry.seq;
        self.summary.transactions += 1;
        self.summary.postings += entry.lines.len() as u64;
        Ok(())
    }
}

/// Whether a text means nothing but itself in every one of the formats.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { transactions, postings, first, last } = self;
        write!(f, "{transactions} transactions, {postings} postings, journal sequence {first} to {last}")
    }
}
