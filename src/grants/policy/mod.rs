//! Policies: what awards of a unit ask of approvers, and what a renewal takes along.
//!
//! The first policy of a unit stands at once; later ones are proposed until another person confirms them. Without one, a single officer
//! decides, who is another person than whoever asked; that can't be set aside by any policy.

pub mod store;

use serde_json::json;

use crate::amount::{Amount, Unit};
use crate::directory;
use crate::id::{Id, PersonId, PolicyId, ProjectId};
use crate::ledger::{self, Draft, Kind};
use crate::refusal::{Code, FieldCode, Refusal};
use crate::store::{Conn, Fault, Page, Work};
use crate::time::{DAY, Time};

/// How long awards to one project are counted together, so that splitting one does not help.
pub const COUNTED: i64 = 30 * DAY;

/// A policy as it is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewPolicy {
    /// Of which unit.
    pub unit: Unit,
    /// Awards that bring a project above this within 30 days need two approvers.
    pub two_above: Option<Amount>,
    /// Above this, three.
    pub three_above: Option<Amount>,
    /// How much of what its predecessor has left a renewal takes along, in a hundred parts.
    pub carry_over: i32,
    /// How much of a charge whoever reported it may give back alone; of more another person gives it back. All of it if there is none.
    pub refund_alone: Option<Amount>,
}

/// A policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Its identifier.
    pub id: PolicyId,
    /// What it says.
    pub about: NewPolicy,
    /// Who set or proposed it.
    pub proposed_by: PersonId,
    /// Who confirmed it, where that was needed.
    pub confirmed_by: Option<PersonId>,
    /// Since when it stands; `None` while it is only proposed.
    pub confirmed_at: Option<Time>,
}

impl NewPolicy {
    /// How many approvers an award needs that brings the project's awards of the last 30 days to this sum.
    pub fn approvers(&self, sum: i64) -> usize {
        let above = |limit: Option<Amount>| usize::from(limit.is_some_and(|limit| sum > limit.minor));
        1 + above(self.two_above) + above(self.three_above)
    }
}

/// Sets the first policy of a unit, or proposes a later one.
///
/// Errors: `unit_mismatch`; `amount_range` where three approvers would be asked for less than two are.
pub fn set(work: &mut Work<'_>, who: PersonId, new: &NewPolicy) -> Result<Policy, Fault> {
    let limits = [("/two_above/unit", new.two_above), ("/three_above/unit", new.three_above), ("/refund_alone/unit", new.refund_alone)];
    for (pointer, limit) in limits {
        if limit.is_some_and(|limit| limit.unit != new.unit) {
            return Err(Refusal::field(pointer, FieldCode::UnitMismatch, "Thresholds count the policy's own unit.").into());
        }
    }
    if let Some(three) = new.three_above
        && new.two_above.is_none_or(|two| two.minor > three.minor)
    {
        let detail = "Three approvers are asked for from a higher amount than two.";
        return Err(Refusal::field("/three_above", FieldCode::AmountRange, detail).into());
    }
    let first = store::policies(work.sql()?, Some(new.unit), Page::ALL)?.is_empty();
    let now = work.now();
    let text = |limit: Option<Amount>| limit.map(|limit| limit.to_string());
    let body = json!({
        "unit": new.unit.code(), "two_above": text(new.two_above), "three_above": text(new.three_above), "carry_over": new.carry_over,
        "refund_alone": text(new.refund_alone), "state": if first { "in_force" } else { "proposed" },
    });
    let birth = ledger::post(work, Draft::note(Kind::Policy, who, now, &body))?;
    let id = Id::from_stamp(birth.stamp);
    let policy = Policy { id, about: *new, proposed_by: who, confirmed_by: None, confirmed_at: first.then_some(now) };
    store::insert(work.sql_mut()?, &policy)?;
    Ok(policy)
}

/// One policy. Errors: `not_found`.
pub fn policy(conn: &mut Conn, id: PolicyId) -> Result<Policy, Fault> {
    let all = store::policies(conn, None, Page::ALL)?;
    all.into_iter().find(|policy| policy.id == id).ok_or_else(|| Refusal::not_found().into())
}

/// Confirms a proposed policy. Errors: `already_decided`, `self_approval` by who proposed it.
pub fn confirm(work: &mut Work<'_>, who: PersonId, id: PolicyId) -> Result<Policy, Fault> {
    let proposed = policy(work.sql()?, id)?;
    if proposed.confirmed_at.is_some() {
        return Err(Refusal::new(Code::AlreadyDecided, "The policy is confirmed.").into());
    }
    if proposed.proposed_by == who {
        return Err(Refusal::new(Code::SelfApproval, "Who proposed a policy can't confirm it.").into());
    }
    let now = work.now();
    ledger::post(work, Draft::note(Kind::PolicyConfirmation, who, now, &json!({"policy": id})).about(id.stamp()))?;
    store::confirm(work.sql_mut()?, id, who, now)?;
    policy(work.sql()?, id)
}

/// The policy in force for a unit: the one that was confirmed last.
pub fn in_force(conn: &mut Conn, unit: Unit) -> Result<Option<Policy>, Fault> {
    let confirmed = store::policies(conn, Some(unit), Page::ALL)?.into_iter().filter(|policy| policy.confirmed_at.is_some());
    Ok(confirmed.max_by_key(|policy| (policy.confirmed_at, policy.id)))
}

/// How many approvers an award to a project needs: it counts together with all that was awarded to it within 30 days.
pub fn approvers(work: &mut Work<'_>, project: ProjectId, amount: Amount) -> Result<usize, Fault> {
    let now = work.now();
    let conn = work.sql()?;
    let Some(policy) = in_force(conn, amount.unit)? else { return Ok(1) };
    let before = super::store::raised_since(conn, project, amount.unit, now.plus(-COUNTED))?;
    Ok(policy.about.approvers(ledger::journal::total(before.into_iter().chain([amount.minor]))?))
}

/// Refuses an approval of more than the officer's bindings allow: `approval_limit_exceeded`.
pub fn within_limit(conn: &mut Conn, who: PersonId, amount: Amount) -> Result<(), Fault> {
    match directory::approval_limit(conn, who, amount.unit)?.admits(amount.minor) {
        true => Ok(()),
        false => Err(Refusal::new(Code::ApprovalLimitExceeded, Code::ApprovalLimitExceeded.title()).with("amount", amount).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_passed_only_above_them() {
        let unit = Unit::new("USD", 6).expect("a unit");
        let amount = |minor| Some(Amount::new(minor, unit));
        let policy = NewPolicy { unit, two_above: amount(100), three_above: amount(1000), carry_over: 0, refund_alone: None };
        assert_eq!([0, 100, 101, 1000, 1001].map(|sum| policy.approvers(sum)), [1, 1, 2, 2, 3]);
        let none = NewPolicy { two_above: None, three_above: None, ..policy };
        assert_eq!(none.approvers(i64::MAX), 1);
    }
}
