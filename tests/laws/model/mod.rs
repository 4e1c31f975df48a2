//! The reference model: what the books must say, written from the design of the books and not from the program.
//!
//! Plain maps and whole numbers, nothing remembered, nothing staged. A refusal leaves everything as it was.

mod amend;
mod awards;
mod gifts;
mod holds;
mod jobs;
mod life;
mod reversals;
mod turns;

use std::collections::BTreeMap;

use almoner::refusal::Code;

use crate::command::{Command, DAY, Gift, Record};
pub use amend::{Amendment, Policy};
pub use holds::{Hold, Stands};
pub use jobs::One;
pub use life::{Grant, Stage};
pub use turns::TURNS;

/// How long after an end usage may still be reported, and how far ahead of the clock a time may lie.
pub const GRACE: i64 = 7 * DAY;
pub const LEAD: i64 = 300_000_000;

/// An account, by the places of its owners in the order of their making.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Account {
    Receivable(usize),
    Given(usize),
    Available(usize),
    Lapsed(usize),
    Returned(usize),
    Granted(usize, usize),
    Held(usize, usize),
    Spent(usize, usize),
    OverdraftSpent(usize),
    OverdraftOwed(usize),
}

/// Where a donation stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Proposed,
    Accepted,
    Cancelled,
}

#[derive(Clone, Debug)]
pub struct Donation {
    pub about: Gift,
    pub state: State,
    pub accepted: bool,
    pub proposed_by: usize,
}

#[derive(Clone, Debug)]
pub struct Lot {
    pub donation: usize,
    pub amount: i64,
    pub from_pledge: i128,
    pub delivered_at: i64,
    pub expires_at: Option<i64>,
    pub by: usize,
    pub reversed: bool,
}

#[derive(Clone, Debug)]
pub struct Rate {
    pub resource: usize,
    pub meter: usize,
    pub price: i64,
    pub from: i64,
    pub proposed_by: usize,
    pub stands: bool,
}

#[derive(Clone, Debug)]
pub struct Charge {
    pub provider: usize,
    pub by: usize,
    pub record: Record,
    pub grant: usize,
    pub amount: i128,
    /// As it was drawn.
    pub drawn: Vec<(usize, i128)>,
    pub beyond: i128,
    /// As it stands after covers, refunds and reversal.
    pub parts: BTreeMap<usize, i128>,
    pub owed: i128,
    pub touched: bool,
    pub reversed: bool,
    /// Paid from what was set aside, or gave back the rest of it.
    pub of_hold: bool,
}

impl Charge {
    /// What can still be given back.
    pub fn left(&self) -> i128 {
        self.parts.values().sum::<i128>() + self.owed
    }
}

/// A record in quarantine.
#[derive(Clone, Debug)]
pub struct Kept {
    pub provider: usize,
    pub record: Record,
    pub open: bool,
}

#[derive(Clone, Debug)]
pub struct Returned {
    pub lot: usize,
    pub by: usize,
    pub amount: i128,
    pub reversed: bool,
}

/// What is answered to a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    Done,
    Refused(Code),
    /// Record by record.
    Batch(Vec<One>),
    /// What a hold sets aside.
    Held(Vec<(usize, i128)>),
    /// By an approval: whether it was the last that is needed, from which lots, and what a renewal takes along.
    Approved {
        effective: bool,
        lots: Vec<(usize, i128)>,
        carried: Vec<(usize, i128)>,
    },
    /// By a refund: what each lot gets back, and what is taken off the overdraft.
    Refunded {
        lots: Vec<(usize, i128)>,
        overdraft: i128,
    },
    /// By a sweep.
    Swept {
        grants: usize,
        lots: usize,
    },
}

impl Said {
    /// The codes that were answered.
    pub fn codes(&self) -> Vec<Code> {
        match self {
            Said::Refused(code) => vec![*code],
            Said::Batch(ones) => ones.iter().filter_map(One::code).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether nothing of what was asked was done.
    pub fn refused(&self) -> bool {
        match self {
            Said::Refused(_) => true,
            Said::Batch(ones) => ones.iter().all(|one| one.code().is_some()),
            _ => false,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub now: i64,
    pub donations: Vec<Donation>,
    pub lots: Vec<Lot>,
    pub grants: Vec<Grant>,
    pub amendments: Vec<Amendment>,
    pub policies: Vec<Policy>,
    /// Who declared a conflict of interest with which project.
    pub conflicts: Vec<(usize, usize)>,
    /// What was awarded: when, to which project, how much.
    raised: Vec<(i64, usize, i64)>,
    pub rates: Vec<Rate>,
    pub charges: Vec<Charge>,
    pub kept: Vec<Kept>,
    pub returns: Vec<Returned>,
    pub holds: Vec<Hold>,
    pub refunds: usize,
    /// Records sent, to make keys of.
    pub sent: usize,
    /// Turns that a command took, for counting.
    pub met: Vec<&'static str>,
    /// Whether a sweep has booked a return.
    pub clock_returned: bool,
    balances: BTreeMap<Account, i128>,
}

/// The provider that owns a resource.
pub fn owner(resource: usize) -> Option<usize> {
    [0, 0, 1].get(resource).copied()
}

impl Model {
    /// Empty books, with the rates that stand from the beginning.
    pub fn at(now: i64, rates: Vec<Rate>) -> Model {
        Model { now, rates, ..Model::default() }
    }

    /// Carries out a command.
    pub fn apply(&mut self, command: &Command) -> Said {
        let before = self.clone();
        self.run(command).unwrap_or_else(|code| {
            *self = before;
            Said::Refused(code)
        })
    }

    fn run(&mut self, command: &Command) -> Result<Said, Code> {
        match command {
            Command::Propose { who, gift } => self.propose(*who, gift),
            Command::Accept { who, donation } => self.accept(*who, *donation),
            Command::Cancel { donation, .. } => self.cancel(*donation),
            Command::Deliver { who, donation, amount, delivered_at, expires_at, wrong_unit } => {
                self.deliver(*who, *donation, *amount, (*delivered_at, *expires_at), *wrong_unit)
            }
            Command::Return { who, lot, amount } => self.give_back(*who, *lot, *amount),
            Command::Request { who, request, draft } => self.request(*who, request, *draft),
            Command::Revise { who, grant, version, request } => self.revise(*who, *grant, *version, request),
            Command::Step { who, grant, step } => self.step(*who, *grant, *step),
            Command::Decide { who, grant, ruling } => self.decide(*who, *grant, ruling),
            Command::Amend { who, grant, change } => self.amend(*who, *grant, *change),
            Command::WithdrawAmendment { amendment, .. } => self.withdraw_amendment(*amendment),
            Command::DecideAmendment { who, amendment, ruling } => self.decide_amendment(*who, *amendment, ruling),
            Command::SetPolicy { who, policy } => self.set_policy(*who, policy),
            Command::ConfirmPolicy { who, policy } => self.confirm_policy(*who, *policy),
            Command::Declare { who, project } => self.declare(*who, *project),
            Command::AddRate { who, resource, meter, price, from } => self.add_rate(*who, *resource, *meter, *price, *from),
            Command::ConfirmRate { who, rate } => self.confirm_rate(*who, *rate),
            Command::Charge { provider, records } => {
                self.sent += records.len();
                Ok(Said::Batch(records.iter().map(|record| self.charge(*provider, record)).collect()))
            }
            Command::Hold { provider, new } => self.hold(*provider, new),
            Command::Extend { provider, hold, expires_at } => self.extend(*provider, *hold, *expires_at),
            Command::Release { provider, hold } => self.release(*provider, *hold),
            Command::Resolve { who, entry, charge_to } => self.resolve(*who, *entry, *charge_to),
            Command::Refund { charge, amount, .. } => self.refund(*charge, *amount),
            Command::Reverse { who, what } => self.reverse(*who, *what),
            Command::Wait(micros) => {
                self.now += micros;
                Ok(Said::Done)
            }
            Command::Sweep => Ok(self.sweep()),
        }
    }

    pub fn balance(&self, account: Account) -> i128 {
        self.balances.get(&account).copied().unwrap_or(0)
    }

    /// Every account with anything in it.
    pub fn balances(&self) -> BTreeMap<Account, i128> {
        self.balances.iter().filter(|(_, balance)| **balance != 0).map(|(account, balance)| (*account, *balance)).collect()
    }

    fn shift(&mut self, from: Account, to: Account, amount: i128) {
        *self.balances.entry(from).or_default() -= amount;
        *self.balances.entry(to).or_default() += amount;
    }

    /// Takes from an account that may not fall below zero.
    fn draw(&mut self, from: Account, to: Account, amount: i128) -> Result<(), Code> {
        if self.balance(from) < amount {
            return Err(Code::InsufficientCredits);
        }
        self.shift(from, to, amount);
        Ok(())
    }

    /// Whether the lot's expiry has passed, and whether its reporting grace has too.
    fn expired(&self, lot: usize) -> bool {
        self.lots[lot].expires_at.is_some_and(|end| self.now >= end)
    }

    fn lapsed(&self, lot: usize) -> bool {
        self.lots[lot].expires_at.is_some_and(|end| self.now >= end + GRACE)
    }

    fn gift_of(&self, lot: usize) -> &Gift {
        &self.donations[self.lots[lot].donation].about
    }

    /// Sorts lots as they are drawn down: priority, soonest expiry (none last), earliest delivery, order of making.
    fn in_draw_order(&self, lots: &[usize]) -> Vec<usize> {
        let mut lots = lots.to_vec();
        lots.sort_by_key(|at| {
            let lot = &self.lots[*at];
            (self.gift_of(*at).priority, lot.expires_at.is_none(), lot.expires_at, lot.delivered_at, *at)
        });
        lots
    }

    /// Whether a lot pays for a job on this resource that ended then, reported now.
    fn pays(&self, lot: usize, resource: usize, ended_at: i64) -> bool {
        let l = &self.lots[lot];
        let open = l.delivered_at <= ended_at && l.expires_at.is_none_or(|end| ended_at < end);
        open && !self.lapsed(lot) && self.gift_of(lot).resource.is_none_or(|only| only == resource)
    }
}

/// The exact price of a record as a fraction's numerator and denominator is rounded once, half to even.
pub fn half_even(over: i128, under: i128) -> i128 {
    let (whole, rest) = (over.div_euclid(under), over.rem_euclid(under));
    match (rest * 2).cmp(&under) {
        std::cmp::Ordering::Less => whole,
        std::cmp::Ordering::Greater => whole + 1,
        std::cmp::Ordering::Equal => whole + whole % 2,
    }
}
