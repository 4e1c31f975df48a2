//! The model's requests: drafted, changed, handed in, taken up, taken back; then decided by as many other persons as the policy asks.

use almoner::refusal::Code;

use super::turns::{DROPPED, FIRST, SECOND, THIRD, VOIDED};
use super::{Account, GRACE, Model, Said};
use crate::command::{NOTHING, Request, Ruling, Step, Verdict};

/// Where a grant stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    Draft,
    Requested,
    InReview,
    Returned,
    Awaiting,
    Active,
    Suspended,
    /// Past its end, and that is booked.
    Ended,
    Closed,
    Rejected,
    Withdrawn,
}

impl Stage {
    pub fn undecided(self) -> bool {
        matches!(self, Stage::Draft | Stage::Returned) || self.decidable()
    }

    pub fn decidable(self) -> bool {
        matches!(self, Stage::Requested | Stage::InReview | Stage::Awaiting)
    }

    pub fn runs(self) -> bool {
        matches!(self, Stage::Active | Stage::Suspended)
    }

    pub fn awarded(self) -> bool {
        self.runs() || matches!(self, Stage::Ended | Stage::Closed)
    }
}

#[derive(Clone, Debug)]
pub struct Grant {
    pub about: Request,
    /// Who began it, changed it or handed it in.
    pub writers: Vec<usize>,
    /// Who stood back from it.
    pub away: Vec<usize>,
    pub stage: Stage,
    pub version: i32,
    pub reject_overdraft: bool,
    pub suspended_at: Option<i64>,
    /// Whether its end is booked.
    pub booked: bool,
    /// Of what is asked for now.
    pub approvals: Vec<Approval>,
    /// Each once.
    pub lots: Vec<usize>,
}

impl Grant {
    /// By the clock, booked or not.
    pub fn stage_at(&self, now: i64) -> Stage {
        if self.stage.runs() && now >= self.about.to + GRACE { Stage::Ended } else { self.stage }
    }

    fn void_approvals(&mut self) -> Option<&'static str> {
        if self.stage == Stage::Awaiting {
            self.stage = Stage::InReview;
        }
        let given = self.approvals.len();
        self.approvals.clear();
        (given > 0).then_some(VOIDED)
    }
}

/// An approval that waits for others, and the terms that bind them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approval {
    pub who: usize,
    pub awarded: i64,
    pub reject_overdraft: bool,
    pub lots: Vec<(usize, i128)>,
    /// When the grant was to end.
    pub end: i64,
}

impl Model {
    pub(super) fn request(&mut self, who: usize, request: &Request, draft: bool) -> Result<Said, Code> {
        self.check_named(request)?;
        if request.name.is_some() && self.grants.iter().any(|g| g.about.name == request.name) {
            return Err(Code::DuplicateExternalId);
        }
        self.grants.push(Grant {
            about: request.clone(),
            writers: vec![who],
            away: Vec::new(),
            stage: if draft { Stage::Draft } else { Stage::Requested },
            version: 1,
            reject_overdraft: false,
            suspended_at: None,
            booked: false,
            approvals: Vec::new(),
            lots: Vec::new(),
        });
        Ok(Said::Done)
    }

    /// A request is for what there is; it renews an awarded grant of its own project.
    fn check_named(&self, about: &Request) -> Result<(), Code> {
        let follows = |before: usize| self.grants.get(before).is_some_and(|g| g.stage.awarded() && g.about.project == about.project);
        let there = about.project != NOTHING && !about.resources.contains(&NOTHING);
        if there && about.renews.is_none_or(follows) { Ok(()) } else { Err(Code::ValidationFailed) }
    }

    pub(super) fn revise(&mut self, who: usize, grant: usize, version: i32, new: &Request) -> Result<Said, Code> {
        self.book_expired();
        let found = self.grants.get(grant).ok_or(Code::NotFound)?;
        if !found.stage.undecided() {
            return Err(Code::AlreadyDecided);
        }
        if found.version != version {
            return Err(Code::VersionMismatch);
        }
        let old = &found.about;
        let about = Request { project: old.project, renews: old.renews, name: old.name, ..new.clone() };
        self.check_named(&about)?;
        let found = &mut self.grants[grant];
        let met = found.void_approvals();
        found.about = about;
        found.writers.push(who);
        found.version += 1;
        self.met.extend(met);
        Ok(Said::Done)
    }

    pub(super) fn step(&mut self, who: usize, grant: usize, step: Step) -> Result<Said, Code> {
        self.book_expired();
        let stage = self.grants.get(grant).ok_or(Code::NotFound)?.stage_at(self.now);
        let allowed = match step {
            Step::Submit => matches!(stage, Stage::Draft | Stage::Returned),
            Step::Review => matches!(stage, Stage::Requested | Stage::Awaiting),
            Step::Withdraw => stage.undecided(),
            Step::Suspend => stage == Stage::Active,
            Step::Resume => stage == Stage::Suspended,
            Step::Close => stage.runs(),
            Step::Recuse => true,
        };
        if !allowed {
            return Err(Code::AlreadyDecided);
        }
        if step == Step::Close {
            self.shut(grant)?;
        }
        let now = self.now;
        let found = &mut self.grants[grant];
        found.version += 1;
        match step {
            Step::Submit => {
                found.stage = Stage::Requested;
                found.writers.push(who);
            }
            Step::Review => {
                let met = found.void_approvals();
                found.stage = Stage::InReview;
                self.met.extend(met);
            }
            Step::Withdraw => found.stage = Stage::Withdrawn,
            Step::Suspend => (found.stage, found.suspended_at) = (Stage::Suspended, Some(now)),
            Step::Resume => (found.stage, found.suspended_at) = (Stage::Active, None),
            Step::Recuse => found.away.push(who),
            Step::Close => {}
        }
        Ok(Said::Done)
    }

    /// Ends a grant now, unless credits are set aside. What it has left goes back when the grace is over.
    pub(super) fn shut(&mut self, grant: usize) -> Result<(), Code> {
        if self.grants[grant].lots.iter().any(|lot| self.balance(Account::Held(grant, *lot)) > 0) {
            return Err(Code::HoldsOpen);
        }
        let now = self.now;
        let found = &mut self.grants[grant];
        found.about.to = now.max(found.about.from + 1).min(found.about.to);
        found.stage = Stage::Closed;
        Ok(())
    }

    /// Nobody decides what they asked for, nor what concerns a project in which they have a part, nor what they stood back from.
    pub fn may_decide(&self, who: usize, grants: &[usize], asker: Option<usize>) -> Result<(), Code> {
        let of = || grants.iter().map(|at| &self.grants[*at]);
        if asker == Some(who) || of().any(|grant| grant.writers.contains(&who)) {
            return Err(Code::SelfApproval);
        }
        let member = |project: usize| crate::command::MEMBERS.contains(&(project, who));
        let part = |project: usize| member(project) || self.conflicts.contains(&(who, project));
        match of().any(|grant| grant.away.contains(&who) || part(grant.about.project)) {
            true => Err(Code::ConflictOfInterest),
            false => Ok(()),
        }
    }

    /// Which of earlier approvals count: not those of persons who have come to have a part in it since.
    pub(super) fn standing(&mut self, given: Vec<Approval>, grants: &[usize], asker: Option<usize>) -> Vec<Approval> {
        let before = given.len();
        let standing: Vec<Approval> = given.into_iter().filter(|a| self.may_decide(a.who, grants, asker).is_ok()).collect();
        self.met.extend((standing.len() < before).then_some(DROPPED));
        standing
    }

    pub(super) fn decide(&mut self, who: usize, grant: usize, ruling: &Ruling) -> Result<Said, Code> {
        self.book_expired();
        let found = self.grants.get(grant).ok_or(Code::NotFound)?;
        if !found.stage.decidable() {
            return Err(Code::AlreadyDecided);
        }
        self.may_decide(who, &[grant], None)?;
        if !ruling.no_conflict {
            return Err(Code::ConflictOfInterest);
        }
        if found.version != ruling.version {
            return Err(Code::VersionMismatch);
        }
        once(&found.approvals, who)?;
        match &ruling.verdict {
            Verdict::Approve { awarded, reject_overdraft, lots } => {
                let given = std::mem::take(&mut self.grants[grant].approvals);
                let given = self.standing(given, &[grant], None);
                self.approve(who, grant, given, (*awarded, *reject_overdraft, lots.as_deref()))
            }
            Verdict::Reject | Verdict::Return => {
                let found = &mut self.grants[grant];
                found.version += 1;
                found.void_approvals();
                found.stage = if ruling.verdict == Verdict::Return { Stage::Returned } else { Stage::Rejected };
                Ok(Said::Done)
            }
        }
    }

    fn approve(&mut self, who: usize, grant: usize, mut given: Vec<Approval>, terms: Terms<'_>) -> Result<Said, Code> {
        let about = self.grants[grant].about.clone();
        let amount = given.first().map(|first| first.awarded).or(terms.0).unwrap_or(about.amount);
        if amount > about.amount {
            return Err(Code::ValidationFailed);
        }
        self.book_ends();
        as_first(&given, terms)?;
        let named = given.first().map(|first| first.lots.clone()).or(terms.2.map(parts));
        let plan = self.fund(grant, amount, named.as_deref())?;
        let reject_overdraft = given.first().map(|first| first.reject_overdraft).or(terms.1).unwrap_or(false);
        given.push(Approval { who, awarded: amount, reject_overdraft, lots: plan.clone(), end: about.to });
        let effective = given.len() >= self.approvers(about.project, amount);
        let carried = if effective { self.carried(grant) } else { Vec::new() };
        let found = &mut self.grants[grant];
        found.version += 1;
        (found.stage, found.reject_overdraft) = (if effective { Stage::Active } else { Stage::Awaiting }, reject_overdraft);
        if !effective {
            found.approvals = given;
            self.met.push(FIRST);
            return Ok(Said::Approved { effective, lots: plan, carried });
        }
        self.met.extend([SECOND, THIRD].get(given.len().wrapping_sub(2)));
        plan.iter().for_each(|(lot, part)| self.bring(Account::Available(*lot), grant, *lot, *part));
        carried.iter().for_each(|(lot, part)| self.bring(Account::Granted(about.renews.unwrap_or(NOTHING), *lot), grant, *lot, *part));
        self.raised.push((self.now, about.project, amount));
        Ok(Said::Approved { effective, lots: plan, carried })
    }

    /// Moves credits of a lot to a grant.
    pub(super) fn bring(&mut self, from: Account, grant: usize, lot: usize, part: i128) {
        self.shift(from, Account::Granted(grant, lot), part);
        if !self.grants[grant].lots.contains(&lot) {
            self.grants[grant].lots.push(lot);
        }
    }
}

/// The terms that an approval names: how much, whether use beyond it is rejected, from which lots.
pub(super) type Terms<'t> = (Option<i64>, Option<bool>, Option<&'t [(usize, i64)]>);

pub(super) fn parts(named: &[(usize, i64)]) -> Vec<(usize, i128)> {
    named.iter().map(|(lot, part)| (*lot, i128::from(*part))).collect()
}

/// Whoever has approved says nothing more of the same.
pub(super) fn once(given: &[Approval], who: usize) -> Result<(), Code> {
    if given.iter().any(|earlier| earlier.who == who) { Err(Code::SameApproverTwice) } else { Ok(()) }
}

/// Whoever approves after the first approves the same.
pub(super) fn as_first(given: &[Approval], (awarded, reject, lots): Terms<'_>) -> Result<(), Code> {
    let Some(first) = given.first() else { return Ok(()) };
    let differs = awarded.is_some_and(|a| a != first.awarded)
        || reject.is_some_and(|r| r != first.reject_overdraft)
        || lots.is_some_and(|l| parts(l) != first.lots);
    if differs { Err(Code::ValidationFailed) } else { Ok(()) }
}
