//! Where an award's credits come from: lots whose terms admit the grant, in draw-down order or as an officer names them.

use crate::amount::Amount;
use crate::directory::{self, unknown};
use crate::donations::{self, Lot, Phase, Purpose, phase};
use crate::id::{GrantId, LotId};
use crate::ledger::{self, Bucket, Draft, Key};
use crate::refusal::{Code, Refusal};
use crate::store::{Conn, Fault, Page, Work};

use super::grant::{Grant, State};
use super::{decision, policy};

/// So much of each of some lots.
pub type Plan = Vec<(LotId, Amount)>;

/// What a grant's credits would be used for, as donors' terms ask.
fn purpose(conn: &mut Conn, grant: &Grant) -> Result<Purpose, Fault> {
    let missing = || Fault::Internal(format!("{} has no project", grant.id));
    let project = directory::project(conn, grant.about.project)?.ok_or_else(missing)?;
    let institution = directory::institution(conn, project.about.institution)?.ok_or_else(missing)?;
    Ok(Purpose {
        field_of_science: project.about.field_of_science,
        institution_kind: institution.about.kind,
        purpose: grant.about.purpose.clone(),
    })
}

/// The funding of an award or a supplement: the lots the officer names, or those proposed in draw-down order.
///
/// Errors: `terms_not_met`, `lot_expired` for lots that are named; `insufficient_credits` with the shortfall.
pub(super) fn fund(work: &mut Work<'_>, grant: &Grant, amount: Amount, named: Option<&[(LotId, Amount)]>) -> Result<Plan, Fault> {
    let now = work.now();
    let purpose = purpose(work.sql()?, grant)?;
    if let Some(lots) = named {
        decision::check_named(lots, amount)?;
        for (place, (id, _)) in lots.iter().enumerate() {
            let lot = donations::known_lot(work, *id).map_err(|fault| fault.refused_as(|_| unknown(&format!("/lots/{place}/lot"), id)))?;
            lot.amount.same_unit(amount)?;
            grant.may_draw(&lot, &purpose, now)?;
        }
        for (lot, part) in lots {
            enough(*lot, *part, ledger::balance(work, Key::lot(*lot, Bucket::Available))?)?;
        }
        return Ok(lots.to_vec());
    }
    let of = donations::Of { units: Some(vec![amount.unit.code().into()]), ..donations::Of::default() };
    let mut lots = donations::store::lots(work.sql()?, &of, Page::ALL)?;
    lots.retain(|lot| grant.may_draw(lot, &purpose, now).is_ok());
    let free = ledger::balances(work, lots.iter().map(|lot| Key::lot(lot.id, Bucket::Available)))?;
    Ok(decision::propose(lots.iter().zip(free).collect(), amount)?)
}

/// Refuses a lot that is named for more than it has free: `insufficient_credits` with the lot and the shortfall.
fn enough(lot: LotId, part: Amount, free: i64) -> Result<(), Refusal> {
    if free >= part.minor {
        return Ok(());
    }
    let (free, shortfall) = (Amount::new(free, part.unit), Amount::new(part.minor - free, part.unit));
    let detail = format!("{lot} has {free} {} free; {shortfall} are missing.", part.unit.code());
    let refusal = Refusal::new(Code::InsufficientCredits, detail).with("lot", lot);
    Err(refusal.with("free", free).with("shortfall", shortfall))
}

/// What a grant gives back or passes on: the lots the officer names, or those that would pay last. With a target, only lots whose terms
/// admit it.
///
/// Errors: `insufficient_credits` with the shortfall; `terms_not_met` where what is free would do, and what the target may have would not.
pub(super) fn unfund(
    work: &mut Work<'_>,
    from: GrantId,
    amount: Amount,
    named: Option<&[(LotId, Amount)]>,
    target: Option<&Grant>,
) -> Result<Plan, Fault> {
    let funded = super::funded(work, from)?;
    let now = work.now();
    // By the clock, what has lapsed is not the grant's any more, swept or not.
    let free = ledger::balances(work, funded.lots.iter().map(|lot| Key::grant(from, lot.id, Bucket::Granted)))?;
    let free = funded.lots.iter().zip(free);
    let free = free.map(|(lot, free)| (lot.as_ref(), if phase(lot.expires_at, now) == Phase::Lapsed { 0 } else { free }));
    let all: Vec<(&Lot, i64)> = free.collect();
    if let Some(lots) = named {
        decision::check_named(lots, amount)?;
        for (place, (id, part)) in lots.iter().enumerate() {
            let (own, free) = *all.iter().find(|(lot, _)| lot.id == *id).ok_or_else(|| unknown(&format!("/lots/{place}/lot"), id))?;
            if let Some(target) = target {
                target.may_draw(own, &purpose(work.sql()?, target)?, now)?;
            }
            enough(*id, *part, free)?;
        }
        return Ok(lots.to_vec());
    }
    let Some(target) = target else { return Ok(decision::propose_back(all, amount)?) };
    let purpose = purpose(work.sql()?, target)?;
    let fitting = all.iter().copied().filter(|(lot, _)| target.may_draw(lot, &purpose, now).is_ok()).collect();
    decision::propose_back(fitting, amount).or_else(|refusal| {
        decision::propose_back(all, amount)?;
        let detail = "The donors' terms admit less of what is free for the other grant.";
        Err(Refusal { code: Code::TermsNotMet, detail: detail.into(), ..refusal }.into())
    })
}

/// What a renewal takes along of what its predecessor has free, lot by lot, as the policy says; nothing of lots that may not pay for it.
pub(super) fn carried(work: &mut Work<'_>, renewal: &Grant) -> Result<Plan, Fault> {
    let Some(id) = renewal.about.renews else { return Ok(Vec::new()) };
    let unit = renewal.awarded.unit;
    let percent = policy::in_force(work.sql()?, unit)?.map_or(0, |policy| policy.about.carry_over);
    let before = super::funded(work, id)?;
    let now = work.now();
    if percent == 0 || !State::RUNNING.contains(&before.grant.state) || before.grant.is_over(now) {
        return Ok(Vec::new());
    }
    let purpose = purpose(work.sql()?, renewal)?;
    let mut plan = Vec::new();
    for lot in before.lots.iter().filter(|lot| renewal.may_draw(lot, &purpose, now).is_ok()) {
        let free = ledger::balance(work, Key::grant(id, lot.id, Bucket::Granted))?;
        // A whole number of the unit's smallest part, rounded down; 64 bits hold no hundredfold of the largest amount.
        let part = i64::try_from(i128::from(free) * i128::from(percent) / 100).map_err(|_| crate::amount::out_of_range())?;
        if part > 0 {
            plan.push((lot.id, Amount::new(part, unit)));
        }
    }
    Ok(plan)
}

/// Moves credits from lots to a grant.
pub(super) fn award(draft: &mut Draft, to: GrantId, plan: &Plan) {
    for (lot, part) in plan {
        draft.shift(Key::lot(*lot, Bucket::Available), Key::grant(to, *lot, Bucket::Granted), part.minor);
    }
}

/// Moves credits from a grant back to their lots.
pub(super) fn give_back(draft: &mut Draft, from: GrantId, plan: &Plan) {
    for (lot, part) in plan {
        draft.shift(Key::grant(from, *lot, Bucket::Granted), Key::lot(*lot, Bucket::Available), part.minor);
    }
}

/// Moves credits from a grant to another, lot by lot.
pub(super) fn pass_on(draft: &mut Draft, from: GrantId, to: GrantId, plan: &Plan) {
    for (lot, part) in plan {
        draft.shift(Key::grant(from, *lot, Bucket::Granted), Key::grant(to, *lot, Bucket::Granted), part.minor);
    }
}

/// The lots of a plan that expire before a grant ends: what is left in them then will lapse.
pub(super) fn will_lapse(work: &mut Work<'_>, grant: &Grant, plan: &Plan) -> Result<Vec<LotId>, Fault> {
    let mut found = Vec::new();
    for (id, _) in plan {
        let lot = donations::known_lot(work, *id)?;
        if lot.expires_at.is_some_and(|end| end < grant.about.period.to) {
            found.push(*id);
        }
    }
    Ok(found)
}

/// The sum of a plan.
pub(super) fn sum(plan: &Plan, zero: Amount) -> Result<Amount, Refusal> {
    plan.iter().try_fold(zero, |sum, (_, part)| sum.plus(*part))
}
