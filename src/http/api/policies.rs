//! Policies, declared conflicts of interest and under-used grants over HTTP: what binds those who decide, and what they might decide.

use actix_web::HttpRequest;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::actor::{Actor, Role};
use crate::fields::Fields;
use crate::grants::policy::{self, NewPolicy, Policy};
use crate::grants::separation::{self, Conflict, Party};
use crate::http::body::{Json, PathId};
use crate::http::permit::Permit;
use crate::http::query::{Form, Param, Query};
use crate::id;
use crate::refusal::FieldCode;
use crate::reports::under_used::{self, Rules, USUAL, UnderUsed};
use crate::store::Conn;

use super::decisions::no_donor;
use super::door::{Answered, App, changed, created, expect_empty};
use super::scope::Scope;
use super::view::{Money, MoneyIn, instant};

/// What awards of a unit ask of approvers.
#[derive(Serialize, ToSchema)]
#[schema(as = Policy)]
pub struct PolicyView {
    object: &'static str,
    id: String,
    created_at: String,
    unit: String,
    /// Awards that bring a project above this within 30 days need two approvers; absent for one, whatever the amount.
    two_above: Option<Money>,
    /// Above this, three.
    three_above: Option<Money>,
    /// How much of what its predecessor has left a renewal takes along, in a hundred parts.
    carry_over_percent: i32,
    /// How much of a charge whoever reported it may give back alone; absent for all of it.
    refund_alone: Option<Money>,
    /// `in_force`, `proposed` or `superseded`.
    state: &'static str,
    /// Those who did are told to staff alone.
    proposed_by: Option<String>,
    confirmed_by: Option<String>,
    confirmed_at: Option<String>,
}

/// Whether somebody may know who set a policy: donors are told no persons.
fn is_staff(who: &Actor) -> bool {
    [Role::Officer, Role::Auditor, Role::Admin].into_iter().any(|role| who.has(role))
}

fn policy_view(conn: &mut Conn, policy: Policy, staff: bool) -> Result<PolicyView, crate::store::Fault> {
    let state = match policy.confirmed_at {
        None => "proposed",
        Some(_) if policy::in_force(conn, policy.about.unit)?.is_some_and(|stands| stands.id == policy.id) => "in_force",
        Some(_) => "superseded",
    };
    Ok(PolicyView {
        object: "policy",
        id: policy.id.to_string(),
        created_at: instant(policy.id.created_at()),
        unit: policy.about.unit.code().into(),
        two_above: policy.about.two_above.map(Money::from),
        three_above: policy.about.three_above.map(Money::from),
        carry_over_percent: policy.about.carry_over,
        refund_alone: policy.about.refund_alone.map(Money::from),
        state,
        proposed_by: staff.then(|| policy.proposed_by.to_string()),
        confirmed_by: policy.confirmed_by.filter(|_| staff).map(|id| id.to_string()),
        confirmed_at: policy.confirmed_at.map(instant),
    })
}

/// A policy to be set.
#[derive(ToSchema)]
#[schema(as = NewPolicy)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct PolicyBody {
    #[schema(pattern = "^[A-Z][A-Z0-9'._-]{0,22}[A-Z0-9]$", example = "USD")]
    unit: String,
    two_above: Option<MoneyIn>,
    three_above: Option<MoneyIn>,
    /// None if absent.
    #[schema(minimum = 0, maximum = 100)]
    carry_over_percent: Option<i64>,
    /// How much of a charge whoever reported it may give back alone; of more another person gives it back. All of it if absent.
    refund_alone: Option<MoneyIn>,
}

/// Lists policies.
pub async fn list_policies<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let look = |conn: &mut Conn, _: &Scope, page| policy::store::policies(conn, None, page);
    let staff = is_staff(&who);
    app.list(&who, &request, &query, look, move |conn, policy| Ok((policy.id.stamp(), policy_view(conn, policy, staff)?))).await
}

/// Shows one policy.
pub async fn get_policy<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Policy>, app: Data<App>) -> Answered {
    app.show(move |conn| {
        let policy = policy::policy(conn, id)?;
        policy_view(conn, policy, is_staff(&who))
    })
    .await
}

/// Sets the first policy of a unit, or proposes a later one.
pub async fn create_policy<const R: u8>(who: Permit<R>, request: HttpRequest, body: Json, app: Data<App>) -> Answered {
    let units = app.units().await?;
    let known = |code: &str| units.get(code).copied();
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let unit = f.text("unit", 24).map(known);
    if unit == Some(None) {
        f.refuse("unit", FieldCode::UnitUnknown, "There is no such unit.");
    }
    let two_above = f.optional().amount("two_above", &known);
    let three_above = f.optional().amount("three_above", &known);
    let carry_over = f.optional().whole("carry_over_percent", 0..=100).unwrap_or(0);
    let refund_alone = f.optional().amount("refund_alone", &known);
    let new = f.make(|| {
        let carry_over = i32::try_from(carry_over).ok()?;
        Some(NewPolicy { unit: unit??, two_above, three_above, carry_over, refund_alone })
    })?;
    app.once(&who, &request, &body.raw, move |work, person| {
        let policy = policy::set(work, person, &new)?;
        created("policies", policy.id, &policy_view(work.sql()?, policy, true)?)
    })
    .await
}

/// Confirms a proposed policy.
pub async fn confirm_policy<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Policy>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    no_donor(&who)?;
    expect_empty(&body)?;
    app.once(&who, &request, &body.raw, move |work, person| {
        let policy = policy::confirm(work, person, id)?;
        changed(format!("/v1/policies/{id}"), 1, &policy_view(work.sql()?, policy, true)?)
    })
    .await
}

/// A conflict of interest that an officer declared.
#[derive(Serialize, ToSchema)]
#[schema(as = Conflict)]
pub struct ConflictView {
    object: &'static str,
    id: String,
    created_at: String,
    person: String,
    institution: Option<String>,
    project: Option<String>,
    reason: String,
}

impl From<Conflict> for ConflictView {
    fn from(conflict: Conflict) -> ConflictView {
        let (institution, project) = match conflict.with {
            Party::Institution(id) => (Some(id.to_string()), None),
            Party::Project(id) => (None, Some(id.to_string())),
        };
        ConflictView {
            object: "conflict",
            id: conflict.id.to_string(),
            created_at: instant(conflict.id.created_at()),
            person: conflict.person.to_string(),
            institution,
            project,
            reason: conflict.reason,
        }
    }
}

/// A conflict of interest to be declared: with every project of an institution, or with one project.
#[derive(ToSchema)]
#[schema(as = NewConflict)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct ConflictBody {
    #[schema(pattern = "^ins_[0-9a-hjkmnp-tv-z]{26}$")]
    institution: Option<String>,
    #[schema(pattern = "^prj_[0-9a-hjkmnp-tv-z]{26}$")]
    project: Option<String>,
    #[schema(min_length = 1, max_length = 4000)]
    reason: String,
}

/// Lists declared conflicts of interest.
pub async fn list_conflicts<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let look = |conn: &mut Conn, _: &Scope, page| separation::store::conflicts(conn, None, page);
    app.list(&who, &request, &query, look, |_, conflict| Ok((conflict.id.stamp(), ConflictView::from(conflict)))).await
}

/// Declares a conflict of interest of one's own.
pub async fn declare_conflict<const R: u8>(who: Permit<R>, request: HttpRequest, body: Json, app: Data<App>) -> Answered {
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let (institution, project) = (f.optional().id("institution"), f.optional().id("project"));
    if f.given("institution") == f.given("project") {
        f.refuse("project", FieldCode::NotAllowed, "Name an institution or a project, and not both.");
    }
    let why = f.text("reason", 4000).map(String::from);
    let (with, why) = f.make(|| {
        let with = institution.map(Party::Institution).or(project.map(Party::Project));
        Some((with?, why?))
    })?;
    app.once(&who, &request, &body.raw, move |work, person| {
        let conflict = separation::declare(work, person, with, &why)?;
        super::door::made("/v1/conflicts".into(), &ConflictView::from(conflict))
    })
    .await
}

/// Parameters of the report on under-used grants, in hundredths.
pub const UNDER_USED: &[Param] = &[
    Param::any("unit", Form::Text),
    Param::one("elapsed_at_least", Form::Number(0, 100)),
    Param::one("used_at_most", Form::Number(0, 100)),
    Param::one("take", Form::Number(1, 100)),
];

/// Grants that have used little, by stated rules.
#[derive(Serialize, ToSchema)]
pub struct UnderUsedGrants {
    object: &'static str,
    /// The rules in words.
    rules: String,
    data: Vec<UnderUsedGrant>,
}

/// A grant that has used little of its award, and what might go back.
#[derive(Serialize, ToSchema)]
pub struct UnderUsedGrant {
    grant: String,
    project: String,
    awarded: Money,
    available: Money,
    elapsed_percent: i64,
    used_percent: i64,
    /// What a reduction might give back to the lots.
    proposed: Money,
}

/// Reports grants that have used little, and what might be deobligated; it moves nothing.
pub async fn under_used_grants<const R: u8>(_who: Permit<R>, query: Query, app: Data<App>) -> Answered {
    let number = |name: &str, usual: i64| query.number(name).unwrap_or(usual);
    let rules = Rules {
        elapsed: number("elapsed_at_least", USUAL.elapsed),
        used: number("used_at_most", USUAL.used),
        take: number("take", USUAL.take),
    };
    let (units, now) = (query.texts("unit"), app.store.clock().now());
    app.show(move |conn| {
        let row = |found: UnderUsed| UnderUsedGrant {
            grant: found.balance.grant.id.to_string(),
            project: found.balance.grant.about.project.to_string(),
            awarded: found.balance.grant.awarded.into(),
            available: found.balance.available.into(),
            elapsed_percent: found.elapsed,
            used_percent: found.used,
            proposed: found.proposed.into(),
        };
        let data = under_used::under_used(conn, units, rules, now)?.into_iter().map(row).collect();
        Ok(UnderUsedGrants { object: "under_used_grants", rules: rules.in_words(), data })
    })
    .await
}
