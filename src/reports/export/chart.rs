//! The accounts met so far in an export: their paths and their last stored balances. One entry per account, and that is all the
//! memory an export takes.

use std::collections::HashMap;

use super::{Account, Class, Line, Stop, names};
use crate::amount::{Amount, Unit};

/// An account met before.
pub(super) struct Known {
    /// `Assets:Lot:01h…:Available`.
    pub path: String,
    /// As stored with its last posting.
    pub balance: Amount,
    /// Whether it moved since the last time its balance was stated.
    pub moved: bool,
    class: Class,
}

/// The accounts met so far, and the units.
#[derive(Default)]
pub(super) struct Chart {
    places: HashMap<String, usize>,
    known: Vec<Known>,
    units: Vec<Unit>,
}

impl Chart {
    /// The account of this line if it is met for the first time.
    pub fn meet(&mut self, line: &Line) -> Result<Option<&Known>, Stop> {
        let Account { name, class, unit } = &line.account;
        if let Some(known) = self.places.get(name).and_then(|place| self.known.get(*place)) {
            let same = known.class == *class && known.balance.unit == *unit;
            return if same { Ok(None) } else { Err(Stop::Unwritable(format!("{name} changes its class or unit"))) };
        }
        let unnamed = || Stop::Unwritable(format!("{name:?} is not an account name of the books"));
        let path = names::path_of(*class, name).ok_or_else(unnamed)?;
        self.places.insert(name.clone(), self.known.len());
        self.known.push(Known { path, balance: Amount::zero(*unit), moved: false, class: *class });
        Ok(self.known.last())
    }

    /// Whether the unit is met for the first time.
    pub fn meet_unit(&mut self, unit: Unit) -> Result<bool, Stop> {
        match self.units.iter().find(|known| known.code() == unit.code()) {
            Some(known) if *known == unit => Ok(false),
            Some(_) => Err(Stop::Unwritable(format!("{} changes its number of decimals", unit.code()))),
            None => {
                self.units.push(unit);
                Ok(true)
            }
        }
    }

    /// Takes the line's balance for its account's, and answers the account; it was met before.
    pub fn moved(&mut self, line: &Line) -> Result<&Known, Stop> {
        let place = self.places.get(&line.account.name).copied();
        let known = place.and_then(|place| self.known.get_mut(place));
        let known = known.ok_or_else(|| Stop::Unwritable(format!("{} was not declared", line.account.name)))?;
        known.balance = line.balance;
        known.moved = true;
        Ok(known)
    }

    /// The accounts that moved since they were last settled, or all of them, in the order of their paths; they are now settled.
    pub fn settle(&mut self, all: bool) -> Vec<&Known> {
        let mut due = Vec::new();
        for known in &mut self.known {
            if std::mem::take(&mut known.moved) || all {
                due.push(&*known);
            }
        }
        due.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        due
    }
}
