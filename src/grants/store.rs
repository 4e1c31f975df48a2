//! The SQL of grants, decisions and outflows.

use std::collections::HashMap;

use diesel::prelude::*;

use super::{Decision, Grant, NewGrant, Overdraft, State};
use crate::amount::{Amount, Unit};
use crate::id::{DecisionId, GrantId, LotId, PersonId, ProjectId, ResourceId};
use crate::ledger::{self, Bucket};
use crate::store::{Conn, Fault, Page, narrowed, on, paged};
use crate::time::{Period, Time};

mod tables {
    diesel::table! {
        grants (id) {
            id -> BigInt, project -> BigInt, requester -> BigInt, unit -> Text, requested -> BigInt, awarded -> BigInt,
            starts_at -> BigInt, ends_at -> BigInt, justification -> Text, purpose -> Nullable<Text>, resources -> Text,
            external_id -> Nullable<Text>, state -> Text, overdraft -> Text, version -> Integer,
        }
    }
    diesel::table! {
        decisions (id) {
            id -> BigInt, award -> BigInt, verdict -> Text, awarded -> BigInt, requester -> BigInt, officer -> BigInt, reason -> Text,
            seq -> BigInt,
        }
    }
    diesel::table! {
        outflows (award, seq, lot) { seq -> BigInt, award -> BigInt, lot -> BigInt, kind -> Text, amount -> BigInt, }
    }
}
use tables::{decisions, grants, outflows};

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

type Row = ((i64, i64, i64, String, i64, i64, i64, i64), (String, Option<String>, String, Option<String>, String, String, i32));

/// Grants, a page.
pub fn grants(conn: &mut Conn, of: &Of, page: Page) -> Result<Vec<Grant>, Fault> {
    let units = ledger::store::units(conn)?;
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
        (grants::justification, grants::purpose, grants::resources, grants::external_id, grants::state, grants::overdraft, grants::version),
    );
    let rows: Vec<Row> = on!(conn, c => {
        let mut query = grants::table.select(columns).into_boxed();
        narrowed!(query, grants::id => of.ids, grants::project => of.projects, grants::state => of.states,
                  grants::external_id => of.external_ids, grants::unit => of.units);
        paged!(query, grants::id, page, c)
    })?;
    rows.into_iter().map(|row| grant_of(row, &units)).collect()
}

fn grant_of(row: Row, units: &HashMap<String, Unit>) -> Result<Grant, Fault> {
    let ((id, project, requester, unit, requested, awarded, starts_at, ends_at), rest) = row;
    let (justification, purpose, resources, external_id, state, overdraft, version) = rest;
    let broken = |what: &str| Fault::Internal(format!("grant {id} in the database: {what}"));
    let unit = ledger::find_unit(units, &unit, "")?;
    let period = Period::new(Time::from_micros(starts_at), Time::from_micros(ends_at)).ok_or_else(|| broken("period"))?;
    let resources: Vec<i64> = serde_json::from_str(&resources).map_err(|_| broken("resources"))?;
    let about = NewGrant {
        project: ProjectId::from_stamp(project),
        requested: Amount::new(requested, unit),
        period,
        justification,
        purpose,
        resources: resources.into_iter().map(ResourceId::from_stamp).collect(),
        external_id,
    };
    Ok(Grant {
        id: GrantId::from_stamp(id),
        about,
        requester: PersonId::from_stamp(requester),
        awarded: Amount::new(awarded, unit),
        state: State::of(&state).ok_or_else(|| broken("state"))?,
        overdraft: Overdraft::of(&overdraft),
        version,
    })
}

pub(super) fn insert_grant(conn: &mut Conn, grant: &Grant) -> Result<(), Fault> {
    let new = &grant.about;
    let resources: Vec<i64> = new.resources.iter().map(|r| r.stamp()).collect();
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
        grants::resources.eq(serde_json::json!(resources).to_string()),
        grants::external_id.eq(&new.external_id),
        grants::state.eq(grant.state.word()),
        grants::overdraft.eq(grant.overdraft.word()),
        grants::version.eq(grant.version),
    );
    on!(conn, c => diesel::insert_into(grants::table).values(row).execute(c))?;
    Ok(())
}

pub(super) fn update_grant(conn: &mut Conn, grant: &Grant) -> Result<(), Fault> {
    let changes = (
        grants::awarded.eq(grant.awarded.minor),
        grants::state.eq(grant.state.word()),
        grants::overdraft.eq(grant.overdraft.word()),
        grants::version.eq(grant.version),
    );
    on!(conn, c => diesel::update(grants::table.find(grant.id.stamp())).set(changes).execute(c))?;
    Ok(())
}

pub(super) fn insert_decision(conn: &mut Conn, decision: &Decision, requester: PersonId, seq: i64) -> Result<(), Fault> {
    let row = (
        decisions::id.eq(decision.id.stamp()),
        decisions::award.eq(decision.grant.stamp()),
        decisions::verdict.eq(&decision.verdict),
        decisions::awarded.eq(decision.awarded.minor),
        decisions::requester.eq(requester.stamp()),
        decisions::officer.eq(decision.officer.stamp()),
        decisions::reason.eq(&decision.reason),
        decisions::seq.eq(seq),
    );
    on!(conn, c => diesel::insert_into(decisions::table).values(row).execute(c))?;
    Ok(())
}

/// The decisions on a grant, a page.
pub fn decisions(conn: &mut Conn, grant: &Grant, page: Page) -> Result<Vec<Decision>, Fault> {
    let columns = (decisions::id, decisions::verdict, decisions::awarded, decisions::officer, decisions::reason, decisions::seq);
    let rows: Vec<(i64, String, i64, i64, String, i64)> = on!(conn, c => {
        let query = decisions::table.filter(decisions::award.eq(grant.id.stamp())).select(columns);
        paged!(query, decisions::id, page, c)
    })?;
    let mut found = Vec::with_capacity(rows.len());
    for (id, verdict, awarded, officer, reason, seq) in rows {
        let entries = ledger::store::entries(conn, seq, seq)?;
        let granted = entries.iter().flat_map(|e| &e.lines).filter(|line| line.account.bucket == Bucket::Granted);
        let lots = granted.filter_map(|line| line.account.lot_id().map(|lot| (lot, Amount::new(line.amount, line.unit)))).collect();
        let awarded = Amount::new(awarded, grant.awarded.unit);
        let (id, officer) = (DecisionId::from_stamp(id), PersonId::from_stamp(officer));
        found.push(Decision { id, grant: grant.id, verdict, awarded, officer, reason, lots });
    }
    Ok(found)
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
    /// `deobligation`, `lapse` or `return`.
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

/// All outflows of a grant.
pub fn outflows(conn: &mut Conn, grant: GrantId) -> Result<Vec<Outflow>, Fault> {
    let own = outflows::table.filter(outflows::award.eq(grant.stamp())).order(outflows::seq);
    let rows: Vec<(i64, i64, i64, String, i64)> = on!(conn, c => own.load(c))?;
    let noun =
        |(seq, award, lot, kind, amount)| Outflow { seq, grant: GrantId::from_stamp(award), lot: LotId::from_stamp(lot), kind, amount };
    Ok(rows.into_iter().map(noun).collect())
}

/// Awarded grants that ended before a moment and are not yet booked as ended.
pub(super) fn overdue(conn: &mut Conn, before: Time) -> Result<Vec<GrantId>, Fault> {
    let due = grants::table.filter(grants::state.eq(State::Active.word()).and(grants::ends_at.le(before.micros())));
    let ids: Vec<i64> = on!(conn, c => due.select(grants::id).order(grants::id).load(c))?;
    Ok(ids.into_iter().map(GrantId::from_stamp).collect())
}
