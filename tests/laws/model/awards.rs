//! The model's grants: requested, decided by another person, ended by the clock; and what a sweep books.

use almoner::refusal::Code;

use super::{Account, GRACE, Grant, Model, Said, State};
use crate::command::{NOTHING, Request, Verdict};

impl Model {
    pub(super) fn request(&mut self, who: usize, request: &Request) -> Result<Said, Code> {
        if request.project == NOTHING || request.resources.contains(&NOTHING) {
            return Err(Code::ValidationFailed);
        }
        if request.name.is_some() && self.grants.iter().any(|g| g.about.name == request.name) {
            return Err(Code::DuplicateExternalId);
        }
        self.grants.push(Grant {
            about: request.clone(),
            requester: who,
            state: State::Waiting,
            version: 1,
            reject_overdraft: false,
            lots: Vec::new(),
        });
        Ok(Said::Done)
    }

    pub(super) fn decide(&mut self, who: usize, grant: usize, version: i32, verdict: &Verdict) -> Result<Said, Code> {
        self.book_expired();
        let found = self.grants.get(grant).ok_or(Code::NotFound)?;
        if found.state != State::Waiting {
            return Err(Code::AlreadyDecided);
        }
        if found.requester == who {
            return Err(Code::SelfApproval);
        }
        if found.version != version {
            return Err(Code::VersionMismatch);
        }
        let asked = found.about.amount;
        self.grants[grant].version += 1;
        let Verdict::Approve { awarded, reject_overdraft, lots } = verdict else {
            self.grants[grant].state = State::Closed;
            return Ok(Said::Done);
        };
        let amount = awarded.unwrap_or(asked);
        if amount > asked {
            return Err(Code::ValidationFailed);
        }
        self.book_ends();
        let plan = match lots {
            Some(named) => self.check_named(grant, named, amount)?,
            None => self.plan_award(grant, amount)?,
        };
        for (lot, part) in plan {
            self.draw(Account::Available(lot), Account::Granted(grant, lot), part)?;
            self.grants[grant].lots.push(lot);
        }
        self.grants[grant].state = State::Open;
        self.grants[grant].reject_overdraft = *reject_overdraft;
        Ok(Said::Done)
    }

    /// Lots usable for part of the grant's period and not past their expiry, whose terms admit the grant.
    fn may_fund(&self, grant: usize, lot: usize) -> Result<(), Code> {
        let (about, l, gift) = (&self.grants[grant].about, &self.lots[lot], self.gift_of(lot));
        if self.expired(lot) || l.delivered_at >= about.to || l.expires_at.is_some_and(|end| end <= about.from) {
            return Err(Code::LotExpired);
        }
        let field = gift.field.is_none_or(|only| only == about.project);
        let purpose = !gift.teaching || about.teaching;
        let resource = gift.resource.is_none_or(|only| about.resources.is_empty() || about.resources.contains(&only));
        if field && purpose && resource { Ok(()) } else { Err(Code::TermsNotMet) }
    }

    fn check_named(&self, grant: usize, named: &[(usize, i64)], amount: i64) -> Result<Vec<(usize, i128)>, Code> {
        let twice = named.iter().enumerate().any(|(at, (lot, _))| named[..at].iter().any(|(earlier, _)| earlier == lot));
        if twice || named.iter().map(|(_, part)| part).sum::<i64>() != amount {
            return Err(Code::ValidationFailed);
        }
        for (lot, _) in named {
            if *lot >= self.lots.len() {
                return Err(Code::ValidationFailed);
            }
            self.may_fund(grant, *lot)?;
        }
        Ok(named.iter().map(|(lot, part)| (*lot, i128::from(*part))).collect())
    }

    fn plan_award(&self, grant: usize, amount: i64) -> Result<Vec<(usize, i128)>, Code> {
        let fit: Vec<usize> = (0..self.lots.len()).filter(|lot| self.may_fund(grant, *lot).is_ok()).collect();
        let (mut rest, mut plan) = (i128::from(amount), Vec::new());
        for lot in self.in_draw_order(&fit) {
            let part = self.balance(Account::Available(lot)).min(rest);
            if part > 0 {
                plan.push((lot, part));
                rest -= part;
            }
        }
        if rest > 0 { Err(Code::InsufficientCredits) } else { Ok(plan) }
    }

    /// Where expired credits of a lot go.
    fn after_expiry(&self, lot: usize) -> Account {
        if self.gift_of(lot).returns { Account::Returned(lot) } else { Account::Lapsed(lot) }
    }

    /// Grants past their end and the grace: unexpired lots are deobligated, expired ones follow their donation's rule.
    pub(super) fn book_ends(&mut self) -> usize {
        let due = |g: &Grant| g.state == State::Open && self.now >= g.about.to + GRACE;
        let due: Vec<usize> = (0..self.grants.len()).filter(|at| due(&self.grants[*at])).collect();
        for grant in &due {
            let end = self.grants[*grant].about.to;
            for lot in self.grants[*grant].lots.clone() {
                let expired = self.lots[lot].expires_at.is_some_and(|expiry| expiry <= end);
                let to = if expired { self.after_expiry(lot) } else { Account::Available(lot) };
                let free = self.balance(Account::Granted(*grant, lot));
                self.shift(Account::Granted(*grant, lot), to, free);
            }
            self.grants[*grant].state = State::Ended;
            self.grants[*grant].version += 1;
        }
        due.len()
    }

    /// Ends of grants, then lots past their expiry and the grace, wherever their credits are.
    pub(super) fn sweep(&mut self) -> Said {
        self.book_expired();
        let grants = self.book_ends();
        let mut lots = 0;
        for lot in 0..self.lots.len() {
            if !self.lapsed(lot) {
                continue;
            }
            let places = (0..self.grants.len()).map(|grant| Account::Granted(grant, lot)).chain([Account::Available(lot)]);
            let left: Vec<(Account, i128)> = places.map(|place| (place, self.balance(place))).filter(|(_, free)| *free > 0).collect();
            for (place, free) in &left {
                self.shift(*place, self.after_expiry(lot), *free);
            }
            lots += usize::from(!left.is_empty());
            self.clock_returned |= !left.is_empty() && self.gift_of(lot).returns;
        }
        Said::Swept { grants, lots }
    }
}
