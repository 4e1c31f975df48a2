//! Reading the journal from one end to the other: the accounts that postings name are read once.

use diesel::prelude::*;
use rustc_hash::FxHashMap;

use super::tables::{entries, journal};
use super::{Account, JournalRow, Of, Posted, accounts, entry_of, lines_of};
use crate::ledger::{Entry, Line};
use crate::store::{Conn, Fault, Page, on};

/// The journal with all accounts as they stand in the snapshot in which it is read. Bound: they are held in memory.
pub struct Journal {
    accounts: FxHashMap<i64, Account>,
}

impl Journal {
    /// Reads the accounts.
    pub fn open(conn: &mut Conn) -> Result<Journal, Fault> {
        Ok(Journal { accounts: accounts(conn, Of::default(), Page::ALL)?.into_iter().map(|account| (account.no, account)).collect() })
    }

    /// Every account, in the order of their making.
    pub fn accounts(&self) -> Vec<Account> {
        let mut all: Vec<Account> = self.accounts.values().copied().collect();
        all.sort_unstable_by_key(|account| account.no);
        all
    }

    /// Entries from one sequence to another, both included, with their lines.
    pub fn entries(&self, conn: &mut Conn, from: i64, to: i64) -> Result<Vec<Entry>, Fault> {
        let rows: Vec<JournalRow> = on!(conn, c => journal::table.filter(journal::seq.between(from, to)).order(journal::seq).load(c))?;
        rows.into_iter().map(|row| self.entry(row)).collect()
    }

    /// The same without those whose rows other rooms write, for who reads these rows beside them.
    pub fn own_entries(&self, conn: &mut Conn, from: i64, to: i64) -> Result<Vec<Entry>, Fault> {
        let rows: Vec<JournalRow> = on!(conn, c => entries::table.filter(entries::seq.between(from, to)).order(entries::seq).load(c))?;
        rows.into_iter().map(|row| self.entry(row)).collect()
    }

    fn entry(&self, row: JournalRow) -> Result<Entry, Fault> {
        let lines = self.lines(row.seq, row.lines.as_deref())?;
        entry_of(row, lines)
    }

    /// The lines of an entry whose row was read elsewhere, from their text.
    pub fn lines(&self, seq: i64, text: Option<&str>) -> Result<Vec<Line>, Fault> {
        lines_of(seq, &Posted::read(seq, text)?, &self.accounts)
    }
}
