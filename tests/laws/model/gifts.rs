//! The model's donations: proposed, accepted by another person, delivered in lots, cancelled, given back.

use almoner::refusal::Code;

use super::{Account, Donation, LEAD, Lot, Model, Returned, Said, State};
use crate::command::Gift;

impl Model {
    pub(super) fn propose(&mut self, who: usize, gift: &Gift) -> Result<Said, Code> {
        if gift.name.is_some() && self.donations.iter().any(|d| d.about.name == gift.name) {
            return Err(Code::DuplicateExternalId);
        }
        self.donations.push(Donation { about: gift.clone(), state: State::Proposed, accepted: false, proposed_by: who });
        Ok(Said::Done)
    }

    /// Two persons: who proposed it can't accept it.
    pub(super) fn accept(&mut self, who: usize, donation: usize) -> Result<Said, Code> {
        let found = self.donations.get_mut(donation).ok_or(Code::NotFound)?;
        if found.state != State::Proposed {
            return Err(Code::AlreadyDecided);
        }
        if found.proposed_by == who {
            return Err(Code::SelfApproval);
        }
        (found.state, found.accepted) = (State::Accepted, true);
        let pledged = i128::from(found.about.pledged);
        self.shift(Account::Given(donation), Account::Receivable(donation), pledged);
        Ok(Said::Done)
    }

    pub(super) fn cancel(&mut self, donation: usize) -> Result<Said, Code> {
        let found = self.donations.get_mut(donation).ok_or(Code::NotFound)?;
        if found.state == State::Cancelled {
            return Err(Code::AlreadyDecided);
        }
        found.state = State::Cancelled;
        let undelivered = self.balance(Account::Receivable(donation));
        self.shift(Account::Receivable(donation), Account::Given(donation), undelivered);
        Ok(Said::Done)
    }

    /// Receivable goes down to 0, the rest is given beyond the pledge.
    pub(super) fn deliver(
        &mut self,
        who: usize,
        donation: usize,
        amount: i64,
        (delivered_at, expires_at): (i64, Option<i64>),
        wrong_unit: bool,
    ) -> Result<Said, Code> {
        let state = self.donations.get(donation).ok_or(Code::NotFound)?.state;
        if state != State::Accepted {
            return Err(Code::AlreadyDecided);
        }
        if wrong_unit || delivered_at > self.now + LEAD || expires_at.is_some_and(|end| end <= delivered_at) {
            return Err(Code::ValidationFailed);
        }
        let lot = self.lots.len();
        let from_pledge = self.balance(Account::Receivable(donation)).min(i128::from(amount));
        self.lots.push(Lot { donation, amount, from_pledge, delivered_at, expires_at, by: who, reversed: false });
        self.shift(Account::Receivable(donation), Account::Available(lot), from_pledge);
        self.shift(Account::Given(donation), Account::Available(lot), i128::from(amount) - from_pledge);
        Ok(Said::Done)
    }

    /// What is past its expiry is not available any more. By the clock, a lot has back what ended grants had left.
    pub(super) fn give_back(&mut self, who: usize, lot: usize, amount: Option<i64>) -> Result<Said, Code> {
        if lot >= self.lots.len() {
            return Err(Code::NotFound);
        }
        if self.expired(lot) {
            return Err(Code::LotExpired);
        }
        self.book_expired();
        self.book_ends();
        let amount = amount.map_or(self.balance(Account::Available(lot)), i128::from);
        if amount == 0 {
            return Err(Code::InsufficientCredits);
        }
        self.draw(Account::Available(lot), Account::Returned(lot), amount)?;
        self.returns.push(Returned { lot, by: who, amount, reversed: false });
        Ok(Said::Done)
    }
}
