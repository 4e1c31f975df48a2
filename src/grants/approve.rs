//! Decisions on requests: reject, return with questions, approve; the last approval that is needed posts the award lot by lot.

use serde_json::json;

use crate::amount::Amount;
use crate::id::{GrantId, LotId, PersonId};
use crate::ledger::{self, Draft, Kind};
use crate::refusal::{Code, Refusal};
use crate::store::{Fault, Work};

use super::decision::{self, Approvals, Decision, Ruling, Verdict};
use super::funding::{self, Plan};
use super::grant::{Grant, Overdraft, State};
use super::store::{self, Outflow};
use super::{grant, life, policy, separation, sweep};

/// What a decision did, or would do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decided {
    /// The grant afterwards.
    pub grant: Grant,
    /// The decision.
    pub decision: Decision,
    /// Approvals, where it is one.
    pub approvals: Option<Approvals>,
    /// What a renewal takes along from its predecessor.
    pub carried: Plan,
    /// The lots of the award that expire before the grant ends: what is left in them then will lapse.
    pub will_lapse: Vec<LotId>,
}

/// Decides a request.
///
/// With `dry_run` everything is decided and nothing written but the ends of grants that are due anyway; the decision then carries the
/// identifier it would have taken. Errors: `already_decided`, `self_approval`, `conflict_of_interest`, `version_mismatch`,
/// `same_approver_twice`, `approval_limit_exceeded`, `insufficient_credits`, `terms_not_met`, `lot_expired`; `not_allowed` for an approval on other terms than the first.
pub fn decide(work: &mut Work<'_>, who: PersonId, id: GrantId, ruling: &Ruling, dry_run: bool) -> Result<Decided, Fault> {
    let asked = grant(work.sql()?, id)?;
    asked.must_be(State::DECIDABLE)?;
    let authors = life::authors(work.sql()?, &asked)?;
    separation::may_decide(work.sql()?, who, &[&asked], &authors, ruling.no_conflict)?;
    asked.expect_version(ruling.version)?;
    let mut before = store::decisions_of(work.sql()?, asked.id, None)?;
    before.retain(|decision| decision.round == asked.round);
    again(&before, who)?;
    let mut decided = match &ruling.verdict {
        Verdict::Approve { awarded, overdraft, lots } => {
            let before = separation::standing(work.sql()?, before, &[&asked], &authors)?;
            approve(work, who, asked, ruling, (*awarded, *overdraft, lots.as_deref()), &before)?
        }
        Verdict::Reject | Verdict::Return => turn_down(work, who, asked, ruling),
    };
    decided.grant.version += 1;
    decided.will_lapse = funding::will_lapse(work, &decided.grant, &decided.decision.lots)?;
    if !dry_run {
        book(work, &decided)?;
    }
    Ok(decided)
}

fn turn_down(work: &Work<'_>, who: PersonId, mut asked: Grant, ruling: &Ruling) -> Decided {
    let mut decision = decision::taken(work.birth().stamp, &asked, ruling, who);
    decision.bound = decision::bound(&asked, decision.awarded, asked.overdraft, &[]);
    if ruling.verdict == Verdict::Return {
        life::void_approvals(&mut asked);
        asked.state = State::Returned;
    } else {
        asked.state = State::Rejected;
    }
    Decided { grant: asked, decision, approvals: None, carried: Vec::new(), will_lapse: Vec::new() }
}

/// The terms that an approval names: how much, what happens beyond it, from which lots.
type Terms<'t> = (Option<Amount>, Option<Overdraft>, Option<&'t [(LotId, Amount)]>);

fn approve(
    work: &mut Work<'_>,
    who: PersonId,
    mut asked: Grant,
    ruling: &Ruling,
    terms: Terms<'_>,
    before: &[Decision],
) -> Result<Decided, Fault> {
    let (awarded, overdraft, lots) = terms;
    let amount = decision::awarded(asked.about.requested, before.first().map(|first| first.awarded).or(awarded))?;
    policy::within_limit(work.sql()?, who, amount)?;
    // By the clock, what ended grants have left is free again, swept or not.
    sweep::book_ends(work)?;
    let plan = match before.first() {
        None => funding::fund(work, &asked, amount, lots)?,
        Some(first) => {
            decision::same_as_first(first, awarded, overdraft, lots)?;
            funding::fund(work, &asked, amount, Some(&first.lots))?
        }
    };
    asked.overdraft = before.first().map(|first| first.overdraft).or(overdraft).unwrap_or(Overdraft::Record);
    let bound = decision::bound(&asked, amount, asked.overdraft, &plan);
    if before.iter().any(|first| first.bound != bound) {
        return Err(Refusal::new(Code::VersionMismatch, "What was approved first is not what is asked for now.").into());
    }
    let approvals = Approvals { given: before.len() + 1, needed: policy::approvers(work, asked.about.project, amount)? };
    let mut carried = Vec::new();
    if approvals.complete() {
        carried = funding::carried(work, &asked)?;
        (asked.state, asked.awarded) = (State::Active, funding::sum(&carried, amount)?);
    } else {
        asked.state = State::AwaitingSecondApproval;
    }
    let mut decision = decision::taken(work.birth().stamp, &asked, ruling, who);
    (decision.awarded, decision.effective, decision.lots, decision.bound) = (amount, approvals.complete(), plan, bound);
    Ok(Decided { grant: asked, decision, approvals: Some(approvals), carried, will_lapse: Vec::new() })
}

/// Refuses whoever has approved already, whatever they say now: `same_approver_twice`. A request is first taken up for review again.
pub(super) fn again(before: &[Decision], who: PersonId) -> Result<(), Refusal> {
    match before.iter().any(|decision| decision.officer == who) {
        true => Err(Refusal::new(Code::SameApproverTwice, Code::SameApproverTwice.title())),
        false => Ok(()),
    }
}

fn book(work: &mut Work<'_>, decided: &Decided) -> Result<(), Fault> {
    let Decided { grant, decision, .. } = decided;
    let kind = match (decision.verdict.as_str(), decision.effective) {
        ("approve", true) => Kind::Award,
        ("approve", false) => Kind::Approval,
        ("return", _) => Kind::Questions,
        _ => Kind::Rejection,
    };
    let at = if kind == Kind::Award { grant.about.period.from } else { work.now() };
    let mut draft = Draft::moving(kind, Some(decision.officer), at, grant.awarded.unit).about(grant.id.stamp());
    let body = json!({
        "verdict": decision.verdict, "awarded": decision.awarded.to_string(), "overdraft": grant.overdraft.word(), "round": decision.round,
        "lots": decision::named(&decision.lots), "bound": decision.bound, "reason": decision::hash(&json!(decision.reason)),
    });
    draft.body = Some(body.to_string());
    if decision.effective {
        funding::award(&mut draft, grant.id, &decision.lots);
        if let Some(before) = grant.about.renews {
            funding::pass_on(&mut draft, before, grant.id, &decided.carried);
        }
    }
    let birth = ledger::post(work, draft)?;
    if let Some(before) = grant.about.renews {
        for (lot, part) in &decided.carried {
            let outflow = Outflow { seq: birth.seq, grant: before, lot: *lot, kind: "transfer".into(), amount: part.minor };
            store::insert_outflow(work.sql_mut()?, &outflow)?;
        }
    }
    store::update_grant(work.sql_mut()?, grant)?;
    let raised = if kind == Kind::Award { decision.awarded.minor } else { 0 };
    store::insert_decision(
        work.sql_mut()?,
        decision,
        &store::Beside { requester: grant.requester, project: grant.about.project, raised, seq: birth.seq },
    )
}
