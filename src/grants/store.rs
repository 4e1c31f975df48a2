//! The SQL of grants, the steps of their life, decisions and outflows.

use diesel::prelude::*;

use super::life::Taken;
use super::{Decision, Grant, NewGrant, Overdraft, State};
use crate::amount::{Amount, Unit};
use crate::id::{AmendmentId, DecisionId, GrantId, LotId, PersonId, ProjectId, ResourceId};
use crate::ledger::store::{unit_of, units};
use crate::store::{Conn, Fault, Page, narrowed, on, paged};
use crate::time::{Period, Time};

mod tables {
    diesel::table! {
        grants (id) {
            id -> BigInt, project -> BigInt, requester -> BigInt, unit -> Text, requested -> BigInt, awarded -> BigInt,
            starts_at -> BigInt, ends_at -> BigInt, justification -> Text, purpose -> Nullable<Text>, resources -> Text,
            external_id -> Nullable<Text>, renews -> Nullable<BigInt>, state -> Text, overdraft -> Text,
            suspended_at -> Nullable<BigInt>, booked -> Nullable<BigInt>, round -> Integer, version -> Integer,
        }
    }
    diesel::table! {
        decisions (id) {
            id -> BigInt, award -> BigInt, amendment -> BigInt, project -> BigInt, unit -> Text, round -> Integer, verdict -> Text,
            overdraft -> Text, awarded -> BigInt, raised -> BigInt, effective -> Integer, plan -> Text, bound -> Text,
            requester -> BigInt, officer -> BigInt, reason -> Text, seq -> BigInt,
        }
    }
    diesel::table! {
        grant_steps (id) {
            id -> BigInt, award -> BigInt, amendment -> BigInt, step -> Text, person -> BigInt, reason -> Nullable<Text>,
            version -> Integer,
        }
    }
    diesel::table! {
        outflows (award, seq, lot) { seq -> BigInt, award -> BigInt, lot -> BigInt, kind -> Text, amount -> BigInt, }
    }
}
use tables::{decisions, grant_steps, grants, outflows};

diesel::joinable!(grants -> units (unit));
diesel::joinable!(decisions -> units (unit));
diesel::allow_tables_to_appear_in_same_query!(grants, units);
diesel::allow_tables_to_appear_in_same_query!(decisions, units);

/// Which grants to list: `None` means any, an empty list none.
#[derive(Clone, Default, Debug)]
pub struct Of {
    /// Only these.
    pub ids: Option<Vec<i64>>,
    /// Only those of these projects.
    pub projects: Option<Vec<i64>>,
    /// Only those in one of these states.
    pub states: Option<Vec<String>>,
    /// Only those with one of these external ids.
    pub external_ids: Option<Vec<String>>,
    /// Only those in one of these units.
    pub units: Option<Vec<String>>,
}

type Row = (
    (i64, i64, i64, String, i64, i64, i64, i64),
    (String, Option<String>, String, Option<i64>, Option<String>),
    (String, String, Option<i64>, Option<i64>, i32, i32),
    Option<i32>,
);

/// Grants, a page.
pub fn grants(conn: &mut Conn, of: &Of, page: Page) -> Result<Vec<Grant>, Fault> {
    let columns = (
        (
            grants::id,
            grants::project,
            grants::requester,
            grants::unit,
            grants::requested,
            grants::awarded,
            grants::starts_at,
            grants::ends_at,
        ),
        (grants::justification, grants::purpose, grants::resources, grants::renews, grants::external_id),
        (grants::state, grants::overdraft, grants::suspended_at, grants::booked, grants::round, grants::version),
        units::scale.nullable(),
    );
    let rows: Vec<Row> = on!(conn, c => {
        let mut query = grants::table.left_join(units::table).select(columns).into_boxed();
        narrowed!(query, grants::id => of.ids, grants::project => of.projects, grants::state => of.states,
                  grants::external_id => of.external_ids, grants::unit => of.units);
        paged!(query, grants::id, page, c)
    })?;
    rows.into_iter().map(grant_of).collect()
}

fn grant_of(row: Row) -> Result<Grant, Fault> {
    let ((id, project, requester, unit, requested, awarded, starts_at, ends_at), asked, stands, scale) = row;
    let (justification, purpose, resources, renews, external_id) = asked;
    let (state, overdraft, suspended_at, booked, round, version) = stands;
    let broken = |what: &str| Fault::Internal(format!("grant {id} in the database: {what}"));
    let unit = unit_of(&unit, scale)?;
    let period = Period::new(Time::from_micros(starts_at), Time::from_micros(ends_at)).ok_or_else(|| broken("period"))?;
    let resources: Vec<i64> = serde_json::from_str(&resources).map_err(|_| broken("resources"))?;
    let about = NewGrant {
        project: ProjectId::from_stamp(project),
        requested: Amount::new(requested, unit),
        period,
        justification,
        purpose,
        resources: resources.into_iter().map(ResourceId::from_stamp).collect(),
        renews: renews.map(GrantId::from_stamp),
        external_id,
    };
    Ok(Grant {
        id: GrantId::from_stamp(id),
        about,
        requester: PersonId::from_stamp(requester),
        awarded: Amount::new(awarded, unit),
        state: State::of(&state).ok_or_else(|| broken("state"))?,
        overdraft: Overdraft::of(&overdraft),
        suspended_at: suspended_at.map(Time::from_micros),
        booked,
        round,
        version,
    })
}

fn resources_text(grant: &Grant) -> String {
    let resources: Vec<i64> = grant.about.resources.iter().map(|r| r.stamp()).collect();
    serde_json::json!(resources).to_string()
}

pub(super) fn insert_grant(conn: &mut Conn, grant: &Grant) -> Result<(), Fault> {
    let new = &grant.about;
    let row = (
        grants::id.eq(grant.id.stamp()),
        grants::project.eq(new.project.stamp()),
        grants::requester.eq(grant.requester.stamp()),
        grants::unit.eq(new.requested.unit.code()),
        grants::requested.eq(new.requested.minor),
        grants::awarded.eq(grant.awarded.minor),
        grants::starts_at.eq(new.period.from.micros()),
        grants::ends_at.eq(new.period.to.micros()),
        grants::justification.eq(&new.justification),
        grants::purpose.eq(&new.purpose),
        grants::resources.eq(resources_text(grant)),
        grants::renews.eq(new.renews.map(GrantId::stamp)),
        grants::external_id.eq(&new.external_id),
        grants::state.eq(grant.state.word()),
        grants::overdraft.eq(grant.overdraft.word()),
        grants::round.eq(grant.round),
        grants::version.eq(grant.version),
    );
    on!(conn, c => diesel::insert_into(grants::table).values(row).execute(c))?;
    Ok(())
}

/// Saves a grant: all but its project, its unit, its name and who asked.
pub(super) fn update_grant(conn: &mut Conn, grant: &Grant) -> Result<(), Fault> {
    let new = &grant.about;
    let changes = (
        grants::requested.eq(new.requested.minor),
        grants::awarded.eq(grant.awarded.minor),
        grants::starts_at.eq(new.period.from.micros()),
        grants::ends_at.eq(new.period.to.micros()),
        grants::justification.eq(&new.justification),
        grants::purpose.eq(&new.purpose),
        grants::resources.eq(resources_text(grant)),
        grants::state.eq(grant.state.word()),
        grants::overdraft.eq(grant.overdraft.word()),
        grants::suspended_at.eq(grant.suspended_at.map(Time::micros)),
        grants::booked.eq(grant.booked),
        grants::round.eq(grant.round),
        grants::version.eq(grant.version),
    );
    on!(conn, c => diesel::update(grants::table.find(grant.id.stamp())).set(changes).execute(c))?;
    Ok(())
}

/// What stands beside a decision: who asked, which project has more by it and how much, and its entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Beside {
    pub requester: PersonId,
    pub project: ProjectId,
    pub raised: i64,
    pub seq: i64,
}

pub(super) fn insert_decision(conn: &mut Conn, decision: &Decision, beside: &Beside) -> Result<(), Fault> {
    let plan: Vec<(i64, i64)> = decision.lots.iter().map(|(lot, part)| (lot.stamp(), part.minor)).collect();
    let row = (
        (
            decisions::id.eq(decision.id.stamp()),
            decisions::award.eq(decision.grant.stamp()),
            decisions::amendment.eq(decision.amendment.map_or(0, AmendmentId::stamp)),
            decisions::project.eq(beside.project.stamp()),
            decisions::unit.eq(decision.awarded.unit.code()),
            decisions::round.eq(decision.round),
            decisions::verdict.eq(&decision.verdict),
            decisions::overdraft.eq(decision.overdraft.word()),
        ),
        (
            decisions::awarded.eq(decision.awarded.minor),
            decisions::raised.eq(beside.raised),
            decisions::effective.eq(i32::from(decision.effective)),
            decisions::plan.eq(serde_json::json!(plan).to_string()),
            decisions::bound.eq(&decision.bound),
            decisions::requester.eq(beside.requester.stamp()),
            decisions::officer.eq(decision.officer.stamp()),
            decisions::reason.eq(&decision.reason),
            decisions::seq.eq(beside.seq),
        ),
    );
    on!(conn, c => diesel::insert_into(decisions::table).values(row).execute(c))?;
    Ok(())
}

type DecisionRow = ((i64, i64, i64, String, i32, String, String), (i64, i32, String, String, i64, String), Option<i32>);

/// The decisions on a grant, or on every grant, and its amendments, a page.
pub fn decisions(conn: &mut Conn, grant: Option<GrantId>, page: Page) -> Result<Vec<Decision>, Fault> {
    let columns = (
        (
            decisions::id,
            decisions::award,
            decisions::amendment,
            decisions::unit,
            decisions::round,
            decisions::verdict,
            decisions::overdraft,
        ),
        (decisions::awarded, decisions::effective, decisions::plan, decisions::bound, decisions::officer, decisions::reason),
        units::scale.nullable(),
    );
    let rows: Vec<DecisionRow> = on!(conn, c => {
        let mut query = decisions::table.left_join(units::table).select(columns).into_boxed();
        if let Some(grant) = grant { query = query.filter(decisions::award.eq(grant.stamp())); }
        paged!(query, decisions::id, page, c)
    })?;
    rows.into_iter().map(decision_of).collect()
}

fn decision_of(row: DecisionRow) -> Result<Decision, Fault> {
    let ((id, award, amendment, unit, round, verdict, overdraft), (awarded, effective, plan, bound, officer, reason), scale) = row;
    let unit = unit_of(&unit, scale)?;
    let plan: Vec<(i64, i64)> = serde_json::from_str(&plan).map_err(|_| Fault::Internal(format!("decision {id} in the database: plan")))?;
    Ok(Decision {
        id: DecisionId::from_stamp(id),
        grant: GrantId::from_stamp(award),
        amendment: (amendment != 0).then(|| AmendmentId::from_stamp(amendment)),
        round,
        verdict,
        overdraft: Overdraft::of(&overdraft),
        awarded: Amount::new(awarded, unit),
        effective: effective != 0,
        officer: PersonId::from_stamp(officer),
        reason,
        lots: plan.into_iter().map(|(lot, minor)| (LotId::from_stamp(lot), Amount::new(minor, unit))).collect(),
        bound,
    })
}

/// The approvals, oldest first, of a grant's request or of one amendment.
pub fn decisions_of(conn: &mut Conn, grant: GrantId, amendment: Option<AmendmentId>) -> Result<Vec<Decision>, Fault> {
    let all = decisions(conn, Some(grant), Page::ALL)?;
    Ok(all.into_iter().filter(|decision| decision.amendment == amendment && decision.verdict == "approve").collect())
}

/// Who asked and who decided, as a decision's row has it; identifiers by their stamps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signed {
    /// The decision.
    pub id: i64,
    /// On which grant.
    pub grant: i64,
    /// On which amendment of it; 0 for the request itself.
    pub amendment: i64,
    /// Who asked.
    pub requester: PersonId,
    /// Who decided.
    pub officer: PersonId,
    /// What the project then had more.
    pub raised: i64,
    /// Its journal entry.
    pub seq: i64,
}

/// Who asked and who decided, of every decision, or of those on one grant and its amendments.
pub fn signed(conn: &mut Conn, grant: Option<GrantId>) -> Result<Vec<Signed>, Fault> {
    let on = (decisions::id, decisions::award, decisions::amendment);
    let columns = (on, decisions::requester, decisions::officer, decisions::raised, decisions::seq);
    type Row = ((i64, i64, i64), i64, i64, i64, i64);
    let rows: Vec<Row> = on!(conn, c => {
        let mut query = decisions::table.select(columns).order(decisions::id).into_boxed();
        if let Some(id) = grant { query = query.filter(decisions::award.eq(id.stamp())); }
        query.load(c)
    })?;
    let noun = |((id, grant, amendment), requester, officer, raised, seq): Row| {
        let (requester, officer) = (PersonId::from_stamp(requester), PersonId::from_stamp(officer));
        Signed { id, grant, amendment, requester, officer, raised, seq }
    };
    Ok(rows.into_iter().map(noun).collect())
}

/// What decisions since a moment have given a project in a unit, each.
pub(super) fn raised_since(conn: &mut Conn, project: ProjectId, unit: Unit, since: Time) -> Result<Vec<i64>, Fault> {
    let recent = decisions::project.eq(project.stamp()).and(decisions::id.ge(since.micros()));
    let raised = decisions::table.filter(recent.and(decisions::unit.eq(unit.code()))).select(decisions::raised);
    Ok(on!(conn, c => raised.load(c))?)
}

type StepRow = (i64, i64, i64, String, i64, Option<String>, i32);

/// The steps of a grant's life, or of every grant's, those of its amendments included, a page.
pub fn steps(conn: &mut Conn, grant: Option<GrantId>, page: Page) -> Result<Vec<Taken>, Fault> {
    let columns = (
        grant_steps::id,
        grant_steps::award,
        grant_steps::amendment,
        grant_steps::step,
        grant_steps::person,
        grant_steps::reason,
        grant_steps::version,
    );
    let rows: Vec<StepRow> = on!(conn, c => {
        let mut query = grant_steps::table.select(columns).into_boxed();
        if let Some(grant) = grant { query = query.filter(grant_steps::award.eq(grant.stamp())); }
        paged!(query, grant_steps::id, page, c)
    })?;
    let noun = |(id, award, amendment, step, person, reason, version)| {
        let (grant, amendment) = (GrantId::from_stamp(award), (amendment != 0).then(|| AmendmentId::from_stamp(amendment)));
        Taken { id, grant, amendment, step, person: PersonId::from_stamp(person), reason, version }
    };
    Ok(rows.into_iter().map(noun).collect())
}

pub(super) fn insert_step(conn: &mut Conn, step: &Taken) -> Result<(), Fault> {
    let row = (
        grant_steps::id.eq(step.id),
        grant_steps::award.eq(step.grant.stamp()),
        grant_steps::amendment.eq(step.amendment.map_or(0, AmendmentId::stamp)),
        grant_steps::step.eq(&step.step),
        grant_steps::person.eq(step.person.stamp()),
        grant_steps::reason.eq(&step.reason),
        grant_steps::version.eq(step.version),
    );
    on!(conn, c => diesel::insert_into(grant_steps::table).values(row).execute(c))?;
    Ok(())
}

/// Which grant a decision is on.
pub fn grant_of_decision(conn: &mut Conn, id: DecisionId) -> Result<Option<GrantId>, Fault> {
    let found: Option<i64> = on!(conn, c => decisions::table.find(id.stamp()).select(decisions::award).first(c).optional())?;
    Ok(found.map(GrantId::from_stamp))
}

/// How credits left a grant otherwise than by use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outflow {
    /// The journal entry.
    pub seq: i64,
    /// Of which grant.
    pub grant: GrantId,
    /// From which lot's share.
    pub lot: LotId,
    /// `deobligation`, `lapse`, `return` or `transfer`.
    pub kind: String,
    /// How much, in the grant's unit.
    pub amount: i64,
}

/// Records how credits left a grant in a journal entry.
pub fn insert_outflow(conn: &mut Conn, outflow: &Outflow) -> Result<(), Fault> {
    let row = (
        outflows::seq.eq(outflow.seq),
        outflows::award.eq(outflow.grant.stamp()),
        outflows::lot.eq(outflow.lot.stamp()),
        outflows::kind.eq(&outflow.kind),
        outflows::amount.eq(outflow.amount),
    );
    on!(conn, c => diesel::insert_into(outflows::table).values(row).execute(c))?;
    Ok(())
}

/// All outflows of a grant, or of every grant.
pub fn outflows(conn: &mut Conn, grant: Option<GrantId>) -> Result<Vec<Outflow>, Fault> {
    let rows: Vec<(i64, i64, i64, String, i64)> = on!(conn, c => {
        let mut query = outflows::table.order(outflows::seq).into_boxed();
        if let Some(grant) = grant { query = query.filter(outflows::award.eq(grant.stamp())); }
        query.load(c)
    })?;
    let noun =
        |(seq, award, lot, kind, amount)| Outflow { seq, grant: GrantId::from_stamp(award), lot: LotId::from_stamp(lot), kind, amount };
    Ok(rows.into_iter().map(noun).collect())
}

/// Awarded grants that ended before a moment and whose end is not yet booked.
pub(super) fn overdue(conn: &mut Conn, before: Time) -> Result<Vec<GrantId>, Fault> {
    let due = grants::table.filter(grants::state.eq_any(State::words(State::AWARDED)).and(grants::booked.is_null()));
    let due = due.filter(grants::ends_at.le(before.micros()));
    let ids: Vec<i64> = on!(conn, c => due.select(grants::id).order(grants::id).load(c))?;
    Ok(ids.into_iter().map(GrantId::from_stamp).collect())
}
