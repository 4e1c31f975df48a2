//! The model's holds: set aside, extended, released, ended by the clock, and what a record takes from them.

use almoner::refusal::Code;

use super::turns::{EXPIRY_COVERS, OTHER_LOTS, RELEASE_COVERS};
use super::{Account, LEAD, Model, Said, Stage, owner};
use crate::command::{DAY, NewHold, Record};

/// The longest a hold may last, and how long after its expiry its job still finds it.
const LONGEST: i64 = 90 * DAY;
const LATE: i64 = 90 * DAY;

/// Where a hold stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stands {
    Open,
    Settled,
    Released,
    Expired,
}

#[derive(Clone, Debug)]
pub struct Hold {
    pub grant: usize,
    pub provider: usize,
    pub resource: usize,
    /// In draw-down order.
    pub rest: Vec<(usize, i128)>,
    pub made_at: i64,
    pub expires_at: i64,
    pub stands: Stands,
    pub job: Option<usize>,
    pub name: Option<usize>,
}

impl Model {
    pub(super) fn hold(&mut self, provider: usize, new: &NewHold) -> Result<Said, Code> {
        let grant = self.grants.get(new.grant).ok_or(Code::ValidationFailed)?;
        let resource = match new.resource {
            Some(resource) => Some(resource).filter(|resource| owner(*resource) == Some(provider)),
            None => {
                let own: Vec<usize> = grant.about.resources.iter().copied().filter(|resource| owner(*resource) == Some(provider)).collect();
                Some(own).filter(|own| own.len() == 1).map(|own| own[0])
            }
        };
        let resource = resource.ok_or(Code::ValidationFailed)?;
        self.may_last(new.grant, resource, new.expires_at, self.now)?;
        let job = Record {
            key: 0,
            grant: None,
            account: None,
            resource,
            used: new.used,
            high: new.high,
            failed: false,
            ended_at: self.now,
            ran: 0,
            hold: None,
            part: None,
            job: None,
        };
        let amount = self.price(&job)?;
        if amount == 0 {
            return Err(Code::ValidationFailed);
        }
        if new.name.is_some() && self.holds.iter().any(|hold| (hold.provider, hold.name) == (provider, new.name)) {
            return Err(Code::DuplicateExternalId);
        }
        let open = |hold: &Hold| hold.stands == Stands::Open && hold.expires_at > self.now;
        let same = |hold: &Hold| (hold.grant, hold.provider, hold.job) == (new.grant, provider, new.job);
        if new.job.is_some() && self.holds.iter().any(|hold| same(hold) && open(hold)) {
            return Err(Code::DuplicateExternalId);
        }
        self.book_due(new.grant);
        if self.balance(Account::OverdraftSpent(new.grant)) > 0 {
            return Err(Code::InsufficientCredits);
        }
        let rest = self.plan_hold(new.grant, resource, new.expires_at, amount)?;
        rest.iter().for_each(|(lot, part)| self.shift(Account::Granted(new.grant, *lot), Account::Held(new.grant, *lot), *part));
        let (made_at, expires_at, job, name) = (self.now, new.expires_at, new.job, new.name);
        let hold = Hold { grant: new.grant, provider, resource, rest: rest.clone(), made_at, expires_at, stands: Stands::Open, job, name };
        self.holds.push(hold);
        Ok(Said::Held(rest))
    }

    /// A hold ends in the future, within 90 days of its making and within its grant, which is open to its resource.
    fn may_last(&self, grant: usize, resource: usize, until: i64, made_at: i64) -> Result<(), Code> {
        if until <= self.now || until > made_at + LONGEST {
            return Err(Code::ValidationFailed);
        }
        let g = &self.grants[grant];
        if g.stage != Stage::Active || self.now < g.about.from || self.now >= g.about.to || until > g.about.to {
            return Err(Code::GrantNotActive);
        }
        if self.admits(grant, resource) { Ok(()) } else { Err(Code::TermsNotMet) }
    }

    fn outlasts(&self, lot: usize, resource: usize, until: i64) -> bool {
        let l = &self.lots[lot];
        let admits = self.gift_of(lot).resource.is_none_or(|only| only == resource);
        l.delivered_at <= self.now && l.expires_at.is_none_or(|end| end >= until) && admits
    }

    fn plan_hold(&self, grant: usize, resource: usize, until: i64, amount: i128) -> Result<Vec<(usize, i128)>, Code> {
        let (mut rest, mut plan) = (amount, Vec::new());
        for lot in self.in_draw_order(&self.grants[grant].lots) {
            let part = self.balance(Account::Granted(grant, lot)).min(rest);
            if part > 0 && self.outlasts(lot, resource, until) {
                plan.push((lot, part));
                rest -= part;
            }
        }
        if rest > 0 { Err(Code::InsufficientCredits) } else { Ok(plan) }
    }

    /// A provider's own hold, after what the clock has ended on its grant was booked.
    pub(super) fn own_hold(&mut self, provider: usize, hold: usize) -> Result<Hold, Code> {
        let found = self.holds.get(hold).filter(|found| found.provider == provider).ok_or(Code::NotFound)?;
        if matches!(found.stands, Stands::Open | Stands::Expired) {
            self.book_due(found.grant);
        }
        Ok(self.holds[hold].clone())
    }

    pub(super) fn extend(&mut self, provider: usize, hold: usize, expires_at: i64) -> Result<Said, Code> {
        let found = self.own_hold(provider, hold)?;
        if found.stands != Stands::Open {
            return Err(Code::HoldNotOpen);
        }
        if expires_at <= found.expires_at {
            return Err(Code::ValidationFailed);
        }
        self.may_last(found.grant, found.resource, expires_at, found.made_at)?;
        let fits = |lot: &usize| self.outlasts(*lot, found.resource, expires_at);
        let (kept, left): (Vec<_>, Vec<_>) = found.rest.iter().copied().partition(|(lot, _)| fits(lot));
        let moved = left.iter().map(|(_, part)| part).sum();
        let added = self.plan_hold(found.grant, found.resource, expires_at, moved)?;
        left.iter().for_each(|(lot, part)| self.shift(Account::Held(found.grant, *lot), Account::Granted(found.grant, *lot), *part));
        added.iter().for_each(|(lot, part)| self.shift(Account::Granted(found.grant, *lot), Account::Held(found.grant, *lot), *part));
        self.met.extend((!left.is_empty()).then_some(OTHER_LOTS));
        let rest = self.merged(found.grant, &[kept, added].concat());
        (self.holds[hold].rest, self.holds[hold].expires_at) = (rest.clone(), expires_at);
        self.cover(found.grant);
        Ok(Said::Held(rest))
    }

    /// Parts of a grant's lots as one part a lot, in draw-down order.
    pub(super) fn merged(&self, grant: usize, parts: &[(usize, i128)]) -> Vec<(usize, i128)> {
        let sum = |lot: usize| parts.iter().filter(|(of, _)| *of == lot).map(|(_, part)| part).sum::<i128>();
        let mut lots = self.grants[grant].lots.clone();
        lots.sort_unstable();
        lots.dedup();
        self.in_draw_order(&lots).into_iter().map(|lot| (lot, sum(lot))).filter(|(_, part)| *part > 0).collect()
    }

    pub(super) fn release(&mut self, provider: usize, hold: usize) -> Result<Said, Code> {
        let found = self.own_hold(provider, hold)?;
        if found.stands != Stands::Open {
            return Err(Code::HoldNotOpen);
        }
        self.close(hold, Stands::Released);
        let owed = self.balance(Account::OverdraftSpent(found.grant));
        self.cover(found.grant);
        self.met.extend((self.balance(Account::OverdraftSpent(found.grant)) < owed).then_some(RELEASE_COVERS));
        Ok(Said::Held(Vec::new()))
    }

    fn close(&mut self, hold: usize, stands: Stands) {
        let grant = self.holds[hold].grant;
        for (lot, part) in std::mem::take(&mut self.holds[hold].rest) {
            self.shift(Account::Held(grant, lot), Account::Granted(grant, lot), part);
        }
        self.holds[hold].stands = stands;
    }

    /// Expired holds of a grant go back in the order of their expiry; each covers by the rules of that moment.
    pub(super) fn book_due(&mut self, grant: usize) {
        loop {
            let due = |at: &usize| {
                let hold = &self.holds[*at];
                hold.grant == grant && hold.stands == Stands::Open && hold.expires_at <= self.now
            };
            let Some(next) = (0..self.holds.len()).filter(due).min_by_key(|at| (self.holds[*at].expires_at, *at)) else { return };
            self.close(next, Stands::Expired);
            let now = std::mem::replace(&mut self.now, self.holds[next].expires_at);
            let owed = self.balance(Account::OverdraftSpent(grant));
            self.cover(grant);
            self.met.extend((self.balance(Account::OverdraftSpent(grant)) < owed).then_some(EXPIRY_COVERS));
            self.now = now;
        }
    }

    pub(super) fn book_expired(&mut self) {
        (0..self.grants.len()).for_each(|grant| self.book_due(grant));
    }

    /// The oldest hold for a record's job that was made before the job's end; an open one before one that expired lately.
    pub(super) fn hold_of_job(&self, grant: usize, provider: usize, record: &Record) -> Option<usize> {
        let job = record.job?;
        let fits = |at: &usize| {
            let hold = &self.holds[*at];
            let unsettled = match hold.stands {
                Stands::Open => true,
                Stands::Expired => hold.expires_at > self.now - LATE,
                Stands::Settled | Stands::Released => false,
            };
            let same = (hold.grant, hold.provider, hold.job, hold.resource) == (grant, provider, Some(job), record.resource);
            same && hold.made_at < record.ended_at + LEAD && unsettled
        };
        (0..self.holds.len()).filter(fits).min_by_key(|at| (self.holds[*at].stands != Stands::Open, *at))
    }

    /// The grant that the record names or leads to, or on which credits are held for its job; and the hold that it draws on.
    pub(super) fn payer(&mut self, provider: usize, record: &Record, named: Option<usize>) -> Result<(usize, Option<usize>), Code> {
        if let Some(hold) = record.hold {
            let found = self.own_hold(provider, hold).map_err(|_| Code::ValidationFailed)?;
            if named.is_some_and(|grant| grant != found.grant) {
                return Err(Code::ValidationFailed);
            }
            return match found.stands {
                Stands::Open | Stands::Expired => Ok((found.grant, Some(hold))),
                Stands::Settled | Stands::Released => Err(Code::HoldNotOpen),
            };
        }
        let grant = match named {
            Some(grant) if grant < self.grants.len() => grant,
            Some(_) => return Err(Code::Unattributed),
            None => self.find_grant(record).or_else(|code| match code {
                Code::Unattributed | Code::GrantNotActive => self.grant_of_job(provider, record).ok_or(code),
                _ => Err(code),
            })?,
        };
        self.book_due(grant);
        Ok((grant, self.hold_of_job(grant, provider, record)))
    }

    fn grant_of_job(&self, provider: usize, record: &Record) -> Option<usize> {
        let held: Vec<usize> = (0..self.grants.len()).filter(|grant| self.hold_of_job(*grant, provider, record).is_some()).collect();
        Some(held).filter(|held| held.len() == 1).map(|held| held[0])
    }
}
