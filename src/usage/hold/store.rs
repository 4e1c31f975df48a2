//! The SQL of holds.

use std::collections::HashMap;

use diesel::dsl::{not, sql};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bool, Text};

use super::{HeldJob, Hold, State};
use crate::amount::{Amount, Unit};
use crate::grants;
use crate::id::{ChargeId, GrantId, HoldId, InstitutionId, LotId, ResourceId};
use crate::store::{Conn, Fault, Page, narrowed, on, paged};
use crate::time::Time;

mod tables {
    diesel::table! {
        holds (id) {
            id -> BigInt, award -> BigInt, provider -> BigInt, resource -> BigInt, amount -> BigInt, rest -> Text, expires_at -> BigInt,
            state -> Text, cluster -> Nullable<Text>, job -> Nullable<Text>, submitted_at -> Nullable<BigInt>,
            external_id -> Nullable<Text>, closed -> Nullable<BigInt>, charge -> Nullable<BigInt>, version -> Integer,
        }
    }
}
use tables::holds;

/// Which holds to list: `None` means any, an empty list none.
#[derive(Clone, Default, Debug)]
pub struct Of {
    /// Only these.
    pub ids: Option<Vec<i64>>,
    /// Only those on these grants.
    pub grants: Option<Vec<i64>>,
    /// Only those of these providers.
    pub providers: Option<Vec<i64>>,
    /// Only those in one of these states by the clock.
    pub states: Option<(Vec<State>, Time)>,
    /// Only those with one of these external ids.
    pub external_ids: Option<Vec<String>>,
}

type Row = (
    (i64, i64, i64, i64, i64, String, i64, String),
    (Option<String>, Option<String>, Option<i64>, Option<String>, Option<i64>, Option<i64>, i32),
);

/// The conditions of the partial indexes, in their own words: a bound value would not be known to be theirs.
const OPEN: &str = "state = 'open'";
const UNSETTLED: &str = "state IN ('open', 'expired')";

/// The columns of a row, in two parts as tuples are short.
macro_rules! columns {
    () => {
        (
            (holds::id, holds::award, holds::provider, holds::resource, holds::amount, holds::rest, holds::expires_at, holds::state),
            (holds::cluster, holds::job, holds::submitted_at, holds::external_id, holds::closed, holds::charge, holds::version),
        )
    };
}

fn hold_of(row: Row, unit: Unit) -> Result<Hold, Fault> {
    let ((id, award, provider, resource, amount, rest, expires_at, state), more) = row;
    let (cluster, job, submitted_at, external_id, closed, charge, version) = more;
    let broken = |what: &str| Fault::Internal(format!("hold {id} in the database: {what}"));
    let rest: Vec<(i64, i64)> = serde_json::from_str(&rest).map_err(|_| broken("rest"))?;
    Ok(Hold {
        id: HoldId::from_stamp(id),
        grant: GrantId::from_stamp(award),
        provider: InstitutionId::from_stamp(provider),
        resource: ResourceId::from_stamp(resource),
        amount: Amount::new(amount, unit),
        rest: rest.into_iter().map(|(lot, part)| (LotId::from_stamp(lot), part)).collect(),
        expires_at: Time::from_micros(expires_at),
        state: State::of(&state).ok_or_else(|| broken("state"))?,
        job: cluster.zip(job).map(|(cluster, id)| HeldJob { cluster, id, submitted_at: submitted_at.map(Time::from_micros) }),
        external_id,
        closed,
        charge: charge.map(ChargeId::from_stamp),
        version,
    })
}

/// Holds with their grants' units.
fn holds_of(conn: &mut Conn, rows: Vec<Row>) -> Result<Vec<Hold>, Fault> {
    let mut awards: Vec<i64> = rows.iter().map(|((_, award, ..), _)| *award).collect();
    awards.sort_unstable();
    awards.dedup();
    if awards.is_empty() {
        return Ok(Vec::new());
    }
    let found = grants::store::grants(conn, &grants::Of { ids: Some(awards), ..grants::Of::default() }, Page::ALL)?;
    let units: HashMap<i64, Unit> = found.iter().map(|grant| (grant.id.stamp(), grant.awarded.unit)).collect();
    let unit = |award: i64| units.get(&award).copied().ok_or_else(|| Fault::Internal(format!("a hold on no grant ({award})")));
    rows.into_iter().map(|row| unit(row.0.1).and_then(|unit| hold_of(row, unit))).collect()
}

/// Holds, a page.
pub fn holds(conn: &mut Conn, of: &Of, page: Page) -> Result<Vec<Hold>, Fault> {
    let rows: Vec<Row> = on!(conn, c => {
        let mut query = holds::table.select(columns!()).into_boxed();
        narrowed!(query, holds::id => of.ids, holds::award => of.grants, holds::provider => of.providers);
        if let Some((states, now)) = &of.states {
            let words: Vec<&str> = states.iter().map(|state| state.word()).collect();
            let past = || holds::state.eq("open").and(holds::expires_at.le(now.micros()));
            query = match states.contains(&State::Expired) {
                true => query.filter(holds::state.eq_any(words).and(not(past())).or(past())),
                false => query.filter(holds::state.eq_any(words).and(not(past()))),
            };
        }
        if let Some(names) = &of.external_ids { query = query.filter(holds::external_id.eq_any(names)); }
        paged!(query, holds::id, page, c)
    })?;
    holds_of(conn, rows)
}

/// The holds of a grant that may yet be settled: those that are open, and those that expired after a moment.
pub(super) fn unsettled(conn: &mut Conn, grant: GrantId, unit: Unit, after: Time) -> Result<Vec<Hold>, Fault> {
    let own = holds::table.select(columns!()).filter(holds::award.eq(grant.stamp())).filter(sql::<Bool>(UNSETTLED));
    let lately = own.filter(sql::<Bool>(OPEN).or(holds::expires_at.gt(after.micros())));
    let rows: Vec<Row> = on!(conn, c => lately.load(c))?;
    rows.into_iter().map(|row| hold_of(row, unit)).collect()
}

/// The grants with open holds that expired by a moment.
pub(super) fn grants_due(conn: &mut Conn, by: Time) -> Result<Vec<GrantId>, Fault> {
    let due = holds::table.filter(holds::expires_at.le(by.micros())).filter(sql::<Bool>(OPEN));
    let found: Vec<i64> = on!(conn, c => due.select(holds::award).distinct().order(holds::award).load(c))?;
    Ok(found.into_iter().map(GrantId::from_stamp).collect())
}

/// The holds of these grants that expired by a moment and of which that was not yet booked, or not yet at the journal's entry `seq`; in the
/// order of their expiry.
pub(super) fn due(conn: &mut Conn, grants: &[i64], by: Time, seq: Option<i64>) -> Result<Vec<Hold>, Fault> {
    let own = holds::table.select(columns!()).filter(holds::award.eq_any(grants).and(holds::expires_at.le(by.micros())));
    let rows: Vec<Row> = match seq {
        None => on!(conn, c => own.filter(holds::closed.is_null()).order((holds::expires_at, holds::id)).load(c))?,
        Some(seq) => {
            let unbooked = own.filter(holds::closed.is_null().or(holds::closed.gt(seq)));
            on!(conn, c => unbooked.order((holds::expires_at, holds::id)).load(c))?
        }
    };
    holds_of(conn, rows)
}

/// The grants on which a provider holds credits for a job, or lately did.
pub(super) fn grants_of_job(conn: &mut Conn, provider: InstitutionId, cluster: &str, job: &str) -> Result<Vec<GrantId>, Fault> {
    let of_job = holds::provider.eq(provider.stamp()).and(holds::cluster.eq(cluster)).and(holds::job.eq(job));
    let own = holds::table.filter(of_job).filter(sql::<Bool>(UNSETTLED));
    let found: Vec<i64> = on!(conn, c => own.select(holds::award).distinct().order(holds::award).load(c))?;
    Ok(found.into_iter().map(GrantId::from_stamp).collect())
}

fn rest_text(hold: &Hold) -> String {
    let rest: Vec<(i64, i64)> = hold.rest.iter().map(|(lot, part)| (lot.stamp(), *part)).collect();
    serde_json::json!(rest).to_string()
}

pub(super) fn insert(conn: &mut Conn, hold: &Hold) -> Result<(), Fault> {
    let job = hold.job.as_ref();
    let row = (
        (
            holds::id.eq(hold.id.stamp()),
            holds::award.eq(hold.grant.stamp()),
            holds::provider.eq(hold.provider.stamp()),
            holds::resource.eq(hold.resource.stamp()),
            holds::amount.eq(hold.amount.minor),
            holds::rest.eq(rest_text(hold)),
            holds::expires_at.eq(hold.expires_at.micros()),
            holds::state.eq(hold.state.word()),
        ),
        (
            holds::cluster.eq(job.map(|job| &job.cluster)),
            holds::job.eq(job.map(|job| &job.id)),
            holds::submitted_at.eq(job.and_then(|job| job.submitted_at).map(Time::micros)),
            holds::external_id.eq(&hold.external_id),
            holds::closed.eq(hold.closed),
            holds::charge.eq(hold.charge.map(ChargeId::stamp)),
            holds::version.eq(hold.version),
        ),
    );
    on!(conn, c => diesel::insert_into(holds::table).values(row).execute(c))?;
    Ok(())
}

/// Takes the names of their jobs from the holds that these charges settled; which holds they are. Reads all holds.
pub(in crate::usage) fn erase(conn: &mut Conn, charges: &[i64]) -> Result<Vec<HoldId>, Fault> {
    let mut found = Vec::new();
    for some in charges.chunks(1000) {
        let theirs = holds::table.filter(holds::charge.eq_any(some)).select(holds::id);
        let ids: Vec<i64> = on!(conn, c => theirs.load(c))?;
        let none = (
            holds::cluster.eq(None::<String>),
            holds::job.eq(None::<String>),
            holds::submitted_at.eq(None::<i64>),
            holds::external_id.eq(None::<String>),
        );
        on!(conn, c => diesel::update(holds::table.filter(holds::id.eq_any(&ids))).set(none).execute(c))?;
        found.extend(ids.into_iter().map(HoldId::from_stamp));
    }
    Ok(found)
}

/// Writes what has changed of holds, in one statement.
pub(super) fn update(conn: &mut Conn, changed: &[&Hold]) -> Result<(), Fault> {
    const SQLITE: &str = "UPDATE holds SET rest = v.value ->> 1, expires_at = v.value ->> 2, state = v.value ->> 3, closed = v.value ->> 4,
        charge = v.value ->> 5, version = v.value ->> 6 FROM json_each($1) AS v WHERE holds.id = v.value ->> 0";
    const POSTGRES: &str = "UPDATE holds SET rest = v ->> 1, expires_at = (v ->> 2)::bigint, state = v ->> 3, closed = (v ->> 4)::bigint,
        charge = (v ->> 5)::bigint, version = (v ->> 6)::integer FROM json_array_elements($1::json) AS v WHERE holds.id = (v ->> 0)::bigint";
    let row = |hold: &&Hold| {
        let charge = hold.charge.map(ChargeId::stamp);
        let (state, expires_at) = (hold.state.word(), hold.expires_at.micros());
        serde_json::json!([hold.id.stamp(), rest_text(hold), expires_at, state, hold.closed, charge, hold.version])
    };
    let rows = serde_json::Value::Array(changed.iter().map(row).collect()).to_string();
    match conn {
        Conn::Sqlite(c) => sql_query(SQLITE).bind::<Text, _>(rows).execute(c)?,
        Conn::Postgres(c) => sql_query(POSTGRES).bind::<Text, _>(rows).execute(c)?,
    };
    Ok(())
}

/// The charges that settled holds, by their stamps.
pub fn charges(conn: &mut Conn) -> Result<Vec<i64>, Fault> {
    let named = holds::table.filter(holds::charge.is_not_null()).select(holds::charge.assume_not_null());
    Ok(on!(conn, c => named.load(c))?)
}

/// What open holds set aside, by grant and lot.
pub fn set_aside(conn: &mut Conn) -> Result<HashMap<(i64, i64), i128>, Fault> {
    let mut sums: HashMap<(i64, i64), i128> = HashMap::new();
    let rows: Vec<(i64, String)> =
        on!(conn, c => holds::table.filter(holds::closed.is_null()).select((holds::award, holds::rest)).load(c))?;
    for (award, rest) in rows {
        let rest: Vec<(i64, i64)> = serde_json::from_str(&rest).map_err(|_| Fault::Internal("a hold's rest".into()))?;
        for (lot, part) in rest {
            *sums.entry((award, lot)).or_default() += i128::from(part);
        }
    }
    Ok(sums)
}
