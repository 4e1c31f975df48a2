//! The real grants, driven as their doors do it: what the clock has ended of holds is booked first, and what comes in covers what is owed.

use almoner::grants::amend::{self, Change as RealChange};
use almoner::grants::life::{self, Revised};
use almoner::grants::policy;
use almoner::grants::separation::{self, Party};
use almoner::grants::{self, NewGrant, Overdraft};
use almoner::id::{AmendmentId, GrantId, LotId, PolicyId, ProjectId};
use almoner::store::{Fault, Work};
use almoner::time::{Period, Time};
use almoner::usage::{hold, refund};

use super::{Driver, Said, Stop, at};
use crate::command::{Change, NewPolicy, Request, Ruling, Step, Verdict};

/// A verdict as it came out: whether it was effective, from which lots, and what is carried along.
type Out = (grants::Decision, Vec<(LotId, almoner::amount::Amount)>);

impl Driver {
    fn asked(&self, request: &Request) -> Result<Revised, Stop> {
        let period = Period::new(Time::from_micros(request.from), Time::from_micros(request.to));
        Ok(Revised {
            requested: self.amount(request.amount),
            period: period.ok_or_else(|| Stop::Fault("an inverted period".into()))?,
            justification: "research".into(),
            purpose: request.teaching.then(|| "teaching".into()),
            resources: request.resources.iter().map(|resource| at(&self.world.resources, *resource)).collect(),
        })
    }

    pub(super) fn request(&mut self, who: usize, request: &Request, draft: bool) -> Result<(), Stop> {
        let Revised { requested, period, justification, purpose, resources } = self.asked(request)?;
        let new = NewGrant {
            project: at(&self.world.projects, request.project),
            requested,
            period,
            justification,
            purpose,
            resources,
            renews: request.renews.map(|before| at(&self.made.grants, before)),
            external_id: request.name.map(|name| format!("{}-grant-{name}", self.tag)),
        };
        let who = self.world.persons[who];
        let begin = if draft { life::draft } else { life::request };
        self.made.grants.push(self.write(move |work| begin(work, who, &new).map(|grant| grant.id))?);
        Ok(())
    }

    pub(super) fn revise(&mut self, who: usize, grant: usize, version: i32, request: &Request) -> Result<(), Stop> {
        let (who, id, new) = (self.world.persons[who], at(&self.made.grants, grant), self.asked(request)?);
        self.write(move |work| {
            hold::book_expired(work)?;
            life::revise(work, who, id, version, &new, "better said").map(|_| ())
        })
    }

    pub(super) fn step(&mut self, who: usize, grant: usize, step: Step) -> Result<(), Stop> {
        let (who, id) = (self.world.persons[who], at(&self.made.grants, grant));
        self.write(move |work| {
            hold::book_expired(work)?;
            let taken = match step {
                Step::Submit => life::submit(work, who, id, "ready"),
                Step::Review => life::review(work, who, id, "taken up"),
                Step::Withdraw => life::withdraw(work, who, id, "not now"),
                Step::Suspend => life::suspend(work, who, id, "a question"),
                Step::Resume => life::resume(work, who, id, "answered"),
                Step::Close => life::close(work, who, id, "done"),
                Step::Recuse => life::recuse(work, who, id, "a part in it"),
            };
            taken.map(|_| ())
        })
    }

    fn ruling(&self, ruling: &Ruling) -> grants::Ruling {
        let verdict = match &ruling.verdict {
            Verdict::Reject => grants::Verdict::Reject,
            Verdict::Return => grants::Verdict::Return,
            Verdict::Approve { awarded, reject_overdraft, lots } => grants::Verdict::Approve {
                awarded: awarded.map(|minor| self.amount(minor)),
                overdraft: reject_overdraft.map(|reject| if reject { Overdraft::Reject } else { Overdraft::Record }),
                lots: lots.as_ref().map(|named| named.iter().map(|(lot, part)| (at(&self.made.lots, *lot), self.amount(*part))).collect()),
            },
        };
        grants::Ruling { no_conflict: ruling.no_conflict, ..grants::Ruling::new(verdict, ruling.version, "as asked") }
    }

    /// Tries a decision before it is taken: both must come to the same.
    fn rule(&self, decide: impl Fn(&mut Work<'_>, bool) -> Result<Out, Fault> + Clone + Send + 'static) -> Result<Out, Stop> {
        let (trial, real) = (decide.clone(), decide);
        let (tried, _) = self.write(move |work| trial(work, true))?;
        let out = self.write(move |work| real(work, false))?;
        let told = |d: &grants::Decision| (d.effective, d.lots.clone(), d.awarded, d.bound.clone());
        match told(&tried) == told(&out.0) {
            true => Ok(out),
            false => Err(Stop::Fault(format!("tried as {tried:?}, taken as {:?}", out.0))),
        }
    }

    fn approved(&self, (decision, carried): &Out) -> Said {
        match decision.verdict.as_str() {
            "approve" => Said::Approved { effective: decision.effective, lots: self.parts(&decision.lots), carried: self.parts(carried) },
            _ => Said::Done,
        }
    }

    pub(super) fn decide(&mut self, who: usize, grant: usize, ruling: &Ruling) -> Result<Said, Stop> {
        let (who, id, ruling) = (self.world.persons[who], at::<almoner::id::Grant>(&self.made.grants, grant), self.ruling(ruling));
        let out = self.rule(move |work, dry_run| {
            hold::book_expired(work)?;
            grants::decide(work, who, id, &ruling, dry_run).map(|decided| (decided.decision, decided.carried))
        })?;
        if out.0.verdict == "approve" && out.0.effective {
            self.made.awards.insert(grant, out.0.id.seen_as());
        }
        Ok(self.approved(&out))
    }

    fn change(&self, change: Change) -> RealChange {
        match change {
            Change::Supplement(minor) => RealChange::Supplement(self.amount(minor)),
            Change::Extension(to) => RealChange::Extension(Time::from_micros(to)),
            Change::Reduction(minor) => RealChange::Reduction(self.amount(minor)),
            Change::Transfer(minor, to) => RealChange::Transfer(self.amount(minor), at(&self.made.grants, to)),
            Change::Closing => RealChange::Closing,
        }
    }

    pub(super) fn amend(&mut self, who: usize, grant: usize, change: Change) -> Result<(), Stop> {
        let (who, id, change): (_, GrantId, _) = (self.world.persons[who], at(&self.made.grants, grant), self.change(change));
        let made = self.write(move |work| amend::propose(work, who, id, change, "as things are").map(|amendment| amendment.id))?;
        self.made.amendments.push(made);
        Ok(())
    }

    pub(super) fn withdraw_amendment(&mut self, who: usize, amendment: usize) -> Result<(), Stop> {
        let (who, id): (_, AmendmentId) = (self.world.persons[who], at(&self.made.amendments, amendment));
        self.write(move |work| amend::withdraw(work, who, id, "not needed").map(|_| ()))
    }

    pub(super) fn decide_amendment(&mut self, who: usize, amendment: usize, ruling: &Ruling) -> Result<Said, Stop> {
        let (who, id): (_, AmendmentId) = (self.world.persons[who], at(&self.made.amendments, amendment));
        let ruling = self.ruling(ruling);
        let out = self.rule(move |work, dry_run| {
            hold::book_expired(work)?;
            let amended = amend::decide(work, who, id, &ruling, dry_run)?;
            let gets = match amended.amendment.change {
                RealChange::Supplement(_) => Some(amended.grant.id),
                RealChange::Transfer(_, to) => Some(to),
                _ => None,
            };
            if let Some(grant) = gets.filter(|_| !dry_run) {
                let now = work.now();
                refund::cover(work, grant, now)?;
            }
            Ok((amended.decision, Vec::new()))
        })?;
        if out.0.effective && out.0.verdict == "approve" {
            self.made.amended.insert(amendment, out.0.id.seen_as());
        }
        Ok(self.approved(&out))
    }

    pub(super) fn set_policy(&mut self, who: usize, new: &NewPolicy) -> Result<(), Stop> {
        let limit = |minor: Option<i64>| minor.map(|minor| self.amount(minor));
        let (two_above, three_above) = (limit(new.two_above), limit(new.three_above));
        let new = policy::NewPolicy { unit: self.world.unit, two_above, three_above, carry_over: new.carry_over, refund_alone: None };
        let who = self.world.persons[who];
        self.made.policies.push(self.write(move |work| policy::set(work, who, &new).map(|policy| policy.id))?);
        Ok(())
    }

    pub(super) fn confirm_policy(&mut self, who: usize, policy: usize) -> Result<(), Stop> {
        let (who, id): (_, PolicyId) = (self.world.persons[who], at(&self.made.policies, policy));
        self.write(move |work| policy::confirm(work, who, id).map(|_| ()))
    }

    pub(super) fn declare(&mut self, who: usize, project: usize) -> Result<(), Stop> {
        let (who, id): (_, ProjectId) = (self.world.persons[who], at(&self.world.projects, project));
        self.write(move |work| separation::declare(work, who, Party::Project(id), "a part in it").map(|_| ()))
    }
}
