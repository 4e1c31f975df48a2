//! The model's reversals: the exact mirror, once, by another person than booked it.

use almoner::refusal::Code;

use super::{Account, Amendment, Model, Said, State};
use crate::command::{Change, Target};

impl Model {
    pub(super) fn reverse(&mut self, who: usize, what: Target) -> Result<Said, Code> {
        match what {
            Target::Delivery(lot) => self.reverse_delivery(who, lot),
            Target::Return(at) => {
                let found = self.returns.get_mut(at).ok_or(Code::NotFound)?;
                once(&mut found.reversed, found.by == who)?;
                let (lot, amount) = (found.lot, found.amount);
                self.shift(Account::Returned(lot), Account::Available(lot), amount);
                Ok(Said::Done)
            }
            Target::Charge(at) => self.reverse_charge(who, at),
            // Undone by verbs of their own.
            Target::Pledge(at) => there(self.donations.get(at).is_some_and(|d| d.accepted)),
            Target::Award(at) => there(self.grants.get(at).is_some_and(|g| g.stage.awarded())),
            Target::Amendment(at) => {
                let moved = |a: &Amendment| a.approved && !matches!(a.change, Change::Extension(_) | Change::Closing);
                there(self.amendments.get(at).is_some_and(moved))
            }
            Target::Refund(at) => there(at < self.refunds),
            Target::ClockReturn => there(self.clock_returned),
        }
    }

    /// Refused where the lot has not got it all any more, by the clock.
    fn reverse_delivery(&mut self, who: usize, lot: usize) -> Result<Said, Code> {
        let found = self.lots.get_mut(lot).ok_or(Code::NotFound)?;
        once(&mut found.reversed, found.by == who)?;
        let (donation, from_pledge, amount) = (found.donation, found.from_pledge, i128::from(found.amount));
        self.sweep();
        self.draw(Account::Available(lot), Account::Receivable(donation), amount)?;
        self.shift(Account::Receivable(donation), Account::Given(donation), amount - from_pledge);
        if self.donations[donation].state == State::Cancelled {
            // Nobody will deliver it any more.
            self.shift(Account::Receivable(donation), Account::Given(donation), self.balance(Account::Receivable(donation)));
        }
        Ok(Said::Done)
    }

    /// Only a charge that nothing has touched since, of a grant that could still be charged; what is freed covers overdrafts first.
    fn reverse_charge(&mut self, who: usize, at: usize) -> Result<Said, Code> {
        let found = self.charges.get(at).ok_or(Code::NotFound)?.clone();
        if found.reversed {
            once(&mut self.charges[at].reversed, found.by == who)?;
        }
        self.book_due(found.grant);
        let found = self.charges[at].clone();
        if found.touched
            || found.of_hold
            || found.amount == 0
            || !self.active(found.grant, self.grants[found.grant].about.from, found.record.ended_at)
        {
            return Err(Code::NotReversible);
        }
        once(&mut self.charges[at].reversed, found.by == who)?;
        for (lot, part) in &found.drawn {
            self.shift(Account::Spent(found.grant, *lot), Account::Granted(found.grant, *lot), *part);
        }
        self.shift(Account::OverdraftSpent(found.grant), Account::OverdraftOwed(found.grant), found.beyond);
        self.charges[at].parts.clear();
        self.charges[at].owed = 0;
        self.cover(found.grant);
        Ok(Said::Done)
    }
}

fn once(reversed: &mut bool, own: bool) -> Result<(), Code> {
    if own {
        return Err(Code::SelfApproval);
    }
    if *reversed {
        return Err(Code::AlreadyReversed);
    }
    *reversed = true;
    Ok(())
}

fn there(exists: bool) -> Result<Said, Code> {
    Err(if exists { Code::NotReversible } else { Code::NotFound })
}
