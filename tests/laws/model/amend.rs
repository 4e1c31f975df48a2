//! The model's amendments: asked for by one person, decided by others; and the policies by which it is said how many.

use almoner::refusal::Code;

use super::life::{Approval, Terms, as_first, once, parts};
use super::turns::{CARRIED, COVERS, FIRST, SECOND};
use super::{Account, Model, Said};
use crate::command::{Change, DAY, NewPolicy, PROJECTS, Ruling, Verdict};

/// How long what was awarded to a project is counted together.
const COUNTED: i64 = 30 * DAY;

#[derive(Clone, Debug)]
pub struct Amendment {
    pub grant: usize,
    pub change: Change,
    pub requester: usize,
    /// Neither decided nor taken back.
    pub open: bool,
    pub approved: bool,
    pub version: i32,
    pub approvals: Vec<Approval>,
}

impl Amendment {
    /// The grants that it is about.
    pub fn concerns(&self) -> Vec<usize> {
        match self.change {
            Change::Transfer(_, to) => vec![self.grant, to],
            _ => vec![self.grant],
        }
    }
}

#[derive(Clone, Debug)]
pub struct Policy {
    pub about: NewPolicy,
    pub proposed_by: usize,
    /// Since when it stands.
    pub since: Option<i64>,
}

impl Model {
    fn may_get(&self, from: usize, to: usize) -> Result<(), Code> {
        let runs = self.grants.get(to).is_some_and(|target| target.stage_at(self.now).runs());
        if runs && to != from { Ok(()) } else { Err(Code::ValidationFailed) }
    }

    fn runs(&self, grant: usize) -> Result<(), Code> {
        if self.grants[grant].stage_at(self.now).runs() { Ok(()) } else { Err(Code::AlreadyDecided) }
    }

    pub(super) fn amend(&mut self, who: usize, grant: usize, change: Change) -> Result<Said, Code> {
        let found = self.grants.get(grant).ok_or(Code::NotFound)?;
        self.runs(grant)?;
        match change {
            Change::Extension(to) if to <= found.about.to || to <= self.now => return Err(Code::ValidationFailed),
            Change::Transfer(_, to) => self.may_get(grant, to)?,
            _ => {}
        }
        self.amendments.push(Amendment { grant, change, requester: who, open: true, approved: false, version: 1, approvals: Vec::new() });
        Ok(Said::Done)
    }

    pub(super) fn withdraw_amendment(&mut self, amendment: usize) -> Result<Said, Code> {
        let found = self.amendments.get_mut(amendment).ok_or(Code::NotFound)?;
        if !found.open {
            return Err(Code::AlreadyDecided);
        }
        found.open = false;
        found.version += 1;
        Ok(Said::Done)
    }

    pub(super) fn decide_amendment(&mut self, who: usize, amendment: usize, ruling: &Ruling) -> Result<Said, Code> {
        self.book_expired();
        let found = self.amendments.get(amendment).ok_or(Code::NotFound)?.clone();
        if !found.open {
            return Err(Code::AlreadyDecided);
        }
        self.may_decide(who, &found.concerns(), Some(found.requester))?;
        if !ruling.no_conflict {
            return Err(Code::ConflictOfInterest);
        }
        if found.version != ruling.version {
            return Err(Code::VersionMismatch);
        }
        once(&found.approvals, who)?;
        let said = match &ruling.verdict {
            Verdict::Approve { awarded, reject_overdraft, lots } => {
                let given = self.standing(found.approvals.clone(), &found.concerns(), Some(found.requester));
                self.approve_amendment(who, amendment, given, (*awarded, *reject_overdraft, lots.as_deref()))?
            }
            Verdict::Reject => {
                self.amendments[amendment].open = false;
                Said::Done
            }
            Verdict::Return => return Err(Code::ValidationFailed),
        };
        self.amendments[amendment].version += 1;
        if let Change::Supplement(_) | Change::Transfer(..) = found.change {
            // What came in covers first what is owed.
            let to = *found.concerns().last().unwrap_or(&found.grant);
            let owed = self.balance(Account::OverdraftSpent(to));
            self.cover(to);
            self.met.extend((self.balance(Account::OverdraftSpent(to)) < owed).then_some(COVERS));
        }
        Ok(said)
    }

    fn approve_amendment(&mut self, who: usize, at: usize, mut given: Vec<Approval>, terms: Terms<'_>) -> Result<Said, Code> {
        let Amendment { grant, change, .. } = self.amendments[at];
        let asked = change.amount();
        if terms.1.is_some() || (asked.is_none() && (terms.0.is_some() || terms.2.is_some())) {
            return Err(Code::ValidationFailed);
        }
        self.runs(grant)?;
        if let Change::Transfer(_, to) = change {
            self.may_get(grant, to)?;
        }
        let amount = given.first().map(|first| first.awarded).or(terms.0).or(asked).unwrap_or(0);
        if asked.is_some_and(|asked| amount > asked) {
            return Err(Code::ValidationFailed);
        }
        as_first(&given, terms)?;
        self.book_ends();
        let named = given.first().map(|first| first.lots.clone()).or(terms.2.map(parts));
        let end = self.grants[grant].about.to;
        let plan = match change {
            Change::Supplement(_) => self.fund(grant, amount, named.as_deref())?,
            Change::Reduction(_) => self.unfund(grant, amount, named.as_deref(), None)?,
            Change::Transfer(_, to) => self.unfund(grant, amount, named.as_deref(), Some(to))?,
            Change::Extension(to) if to <= end => return Err(Code::AlreadyDecided),
            Change::Extension(_) | Change::Closing => Vec::new(),
        };
        if given.iter().any(|earlier| earlier.end != end) {
            return Err(Code::VersionMismatch);
        }
        given.push(Approval { who, awarded: amount, reject_overdraft: false, lots: plan.clone(), end });
        let project = |grant: usize| self.grants[grant].about.project;
        let raised = match change {
            Change::Supplement(_) => Some(project(grant)),
            Change::Transfer(_, to) => Some(project(to)),
            _ => None,
        };
        let effective = given.len() >= raised.map_or(1, |project| self.approvers(project, amount));
        if effective {
            self.met.extend((given.len() > 1).then_some(SECOND));
            self.carry_out(grant, change, &plan)?;
            self.raised.extend(raised.map(|project| (self.now, project, amount)));
            (self.amendments[at].open, self.amendments[at].approved) = (false, true);
        } else {
            self.met.push(FIRST);
            self.amendments[at].approvals = given;
        }
        Ok(Said::Approved { effective, lots: plan, carried: Vec::new() })
    }

    fn carry_out(&mut self, grant: usize, change: Change, plan: &[(usize, i128)]) -> Result<(), Code> {
        for (lot, part) in plan {
            match change {
                Change::Supplement(_) => self.bring(Account::Available(*lot), grant, *lot, *part),
                Change::Transfer(_, to) => self.bring(Account::Granted(grant, *lot), to, *lot, *part),
                _ => self.shift(Account::Granted(grant, *lot), Account::Available(*lot), *part),
            }
        }
        match change {
            Change::Extension(to) => self.grants[grant].about.to = to,
            Change::Closing => self.shut(grant)?,
            _ => {}
        }
        Ok(())
    }

    /// The first policy stands at once, later ones wait for another person.
    pub(super) fn set_policy(&mut self, who: usize, new: &NewPolicy) -> Result<Said, Code> {
        if new.three_above.is_some_and(|three| new.two_above.is_none_or(|two| two > three)) {
            return Err(Code::ValidationFailed);
        }
        let since = self.policies.is_empty().then_some(self.now);
        self.policies.push(Policy { about: *new, proposed_by: who, since });
        Ok(Said::Done)
    }

    pub(super) fn confirm_policy(&mut self, who: usize, policy: usize) -> Result<Said, Code> {
        let found = self.policies.get_mut(policy).ok_or(Code::NotFound)?;
        if found.since.is_some() {
            return Err(Code::AlreadyDecided);
        }
        if found.proposed_by == who {
            return Err(Code::SelfApproval);
        }
        found.since = Some(self.now);
        Ok(Said::Done)
    }

    pub(super) fn declare(&mut self, who: usize, project: usize) -> Result<Said, Code> {
        if project >= PROJECTS {
            return Err(Code::ValidationFailed);
        }
        self.conflicts.push((who, project));
        Ok(Said::Done)
    }

    /// The one that was confirmed last.
    fn policy(&self) -> Option<NewPolicy> {
        let standing = self.policies.iter().enumerate().filter(|(_, policy)| policy.since.is_some());
        standing.max_by_key(|(at, policy)| (policy.since, *at)).map(|(_, policy)| policy.about)
    }

    /// All that was awarded to a project within 30 days counts together.
    pub(super) fn approvers(&self, project: usize, amount: i64) -> usize {
        let Some(policy) = self.policy() else { return 1 };
        let lately = self.raised.iter().filter(|(at, to, _)| *to == project && *at >= self.now - COUNTED);
        let sum = amount + lately.map(|(_, _, amount)| amount).sum::<i64>();
        1 + [policy.two_above, policy.three_above].iter().flatten().filter(|limit| sum > **limit).count()
    }

    /// What a renewal takes along of what its predecessor has free: so many hundredths of each lot that may pay for it.
    pub(super) fn carried(&mut self, grant: usize) -> Vec<(usize, i128)> {
        let (Some(before), Some(policy)) = (self.grants[grant].about.renews, self.policy()) else { return Vec::new() };
        if !self.grants[before].stage_at(self.now).runs() {
            return Vec::new();
        }
        let lots = self.in_draw_order(&self.grants[before].lots);
        let part = |lot: usize| self.balance(Account::Granted(before, lot)) * i128::from(policy.carry_over) / 100;
        let fit = lots.into_iter().filter(|lot| self.may_fund(grant, *lot).is_ok());
        let carried: Vec<(usize, i128)> = fit.map(|lot| (lot, part(lot))).filter(|(_, part)| *part > 0).collect();
        self.met.extend((!carried.is_empty()).then_some(CARRIED));
        carried
    }
}
