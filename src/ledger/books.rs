//! What the writer remembers of the ledger: accounts with their balances, units, and the rows not yet written.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use super::account::{Class, Key};
use super::journal::Draft;
use super::{Few, store};
use crate::amount::Unit;
use crate::refusal::{Code, Refusal};
use crate::store::{Birth, Fault, Link, Room, Rows};

/// Postings one transaction may have: a posting's number is its entry's sequence times this, plus its place.
pub const LINES: i64 = 1024;

/// An account's running state.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub no: i64,
    pub unit: Unit,
    pub balance: i64,
    pub postings: i64,
    /// How the row must be written.
    pub change: Change,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    None,
    Moved,
    New,
}

/// A line as it would be posted.
pub(super) struct Decided {
    key: Key,
    amount: i64,
    /// The account's balance after it.
    balance: i64,
}

/// The ledger in the writer's memory.
#[derive(Default)]
pub(super) struct Books {
    accounts: FxHashMap<Key, State>,
    changed: Vec<Key>,
    units: Option<HashMap<String, Unit>>,
    next_no: Option<i64>,
    staged: store::Entries,
}

impl Books {
    /// Remembers all accounts of a grant, in one query.
    pub fn load_grant(&mut self, link: &mut Link, grant: i64) -> Result<Vec<Key>, Fault> {
        let found = store::states_of_grant(link.conn()?, grant)?;
        let keys = found.iter().map(|(key, _)| *key).collect();
        for (key, state) in found {
            self.accounts.entry(key).or_insert(state);
        }
        Ok(keys)
    }

    /// The balance of an account, 0 where there is none yet.
    pub fn balance(&mut self, link: &mut Link, key: Key) -> Result<i64, Fault> {
        Ok(self.state(link, key)?.map_or(0, |state| state.balance))
    }

    /// An account, if there is one; read unless it is remembered.
    fn state(&mut self, link: &mut Link, key: Key) -> Result<Option<State>, Fault> {
        if let Some(state) = self.accounts.get(&key) {
            return Ok(Some(*state));
        }
        let found = store::state(link.conn()?, &key)?;
        self.accounts.extend(found.map(|state| (key, state)));
        Ok(found)
    }

    /// Every unit by its code.
    pub fn units(&mut self, link: &mut Link) -> Result<&HashMap<String, Unit>, Fault> {
        match &mut self.units {
            Some(known) => Ok(known),
            unknown => Ok(unknown.insert(store::units(link.conn()?)?)),
        }
    }

    /// Remembers a unit that was just defined.
    pub fn learn(&mut self, unit: Unit) {
        if let Some(units) = &mut self.units {
            units.insert(unit.code().to_owned(), unit);
        }
    }

    /// The lines of a draft as they would be posted, each with the account's new balance; refused if a law would break.
    pub fn decide(&mut self, link: &mut Link, draft: &Draft) -> Result<Few<Decided>, Fault> {
        let Some(unit) = draft.unit else { return Ok(Few::new()) };
        let mut lines: Few<Decided> = Few::new();
        for (key, amount) in &draft.lines {
            match lines.iter_mut().find(|line| line.key == *key) {
                Some(line) => line.amount = line.amount.checked_add(*amount).ok_or_else(crate::amount::out_of_range)?,
                None => lines.push(Decided { key: *key, amount: *amount, balance: 0 }),
            }
        }
        lines.retain(|line| line.amount != 0);
        if super::journal::total(lines.iter().map(|line| line.amount))? != 0 {
            return Err(Fault::Internal(format!("a {} does not sum to zero", draft.kind.word())));
        }
        if lines.len() >= LINES as usize {
            return Err(Refusal::new(Code::TooLarge, "One transaction can't touch more than 1,023 accounts.").into());
        }
        for line in &mut lines {
            line.balance = self.balance_after(link, line.key, line.amount, unit)?;
        }
        Ok(lines)
    }

    fn balance_after(&mut self, link: &mut Link, key: Key, amount: i64, unit: Unit) -> Result<i64, Fault> {
        let state = self.state(link, key)?;
        if !key.fits() || state.is_some_and(|s| s.unit != unit) {
            return Err(Fault::Internal(format!("{} can't take {}", key.name(), unit.code())));
        }
        let balance = state.map_or(0, |s| s.balance).checked_add(amount).ok_or_else(crate::amount::out_of_range)?;
        if balance < 0 && key.bucket.class() == Class::Asset {
            let shortfall = crate::amount::Amount::new(balance.saturating_neg(), unit);
            let detail = format!("{} lacks {shortfall} {}.", key.name(), unit.code());
            return Err(Refusal::new(Code::InsufficientCredits, detail).with("shortfall", shortfall).into());
        }
        Ok(balance)
    }

    /// Stages the lines decided for an entry; their text, which belongs in the entry's row.
    pub fn stage(&mut self, link: &mut Link, birth: Birth, unit: Option<Unit>, lines: Few<Decided>) -> Result<Option<String>, Fault> {
        let mut written: Few<store::Posted> = Few::new();
        for (place, Decided { key, amount, balance }) in (1i64..).zip(lines) {
            let (account, nth) = self.move_account(link, key, balance, unit)?;
            self.staged.post(account, store::posting(birth.seq, place));
            written.push(store::Posted(account, amount, nth, balance));
        }
        Ok(store::Posted::text(&written))
    }

    /// Stages the row of an entry.
    pub fn enter(&mut self, birth: Birth, draft: Draft, lines: Option<String>) {
        self.staged.enter(store::JournalRow {
            seq: birth.seq,
            recorded_at: birth.stamp,
            effective_at: draft.effective_at.micros(),
            kind: draft.kind as i32,
            actor: draft.actor.map(|p| p.stamp()),
            subject: draft.subject,
            body: draft.body,
            lines,
        });
    }

    /// Gives the account its new balance; its number and the count of its postings.
    fn move_account(&mut self, link: &mut Link, key: Key, balance: i64, unit: Option<Unit>) -> Result<(i64, i64), Fault> {
        let state = match self.accounts.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let unit = unit.ok_or_else(|| Fault::Internal("lines without a unit".into()))?;
                let no = match self.next_no {
                    Some(no) => no,
                    None => store::last_account(link.conn()?)? + 1,
                };
                self.next_no = Some(no + 1);
                self.changed.push(key);
                place.insert(State { no, unit, balance: 0, postings: 0, change: Change::New })
            }
        };
        if state.change == Change::None {
            state.change = Change::Moved;
            self.changed.push(key);
        }
        state.balance = balance;
        state.postings += 1;
        Ok((state.no, state.postings))
    }
}

impl Room for Books {
    fn take_rows(&mut self) -> Option<Rows> {
        if self.staged.is_empty() {
            return None;
        }
        let (mut fresh, mut moved) = (Vec::new(), Vec::new());
        for key in self.changed.drain(..) {
            if let Some(state) = self.accounts.get_mut(&key) {
                let rows = if state.change == Change::New { &mut fresh } else { &mut moved };
                rows.push((key, *state));
                state.change = Change::None;
            }
        }
        let entries = self.staged.take();
        Some(Box::new(move |conn| {
            store::write_accounts(conn, &fresh, &moved)?;
            entries(conn)
        }))
    }

    fn held(&self) -> usize {
        self.accounts.len()
    }
}
