//! The SQL of amendments.

use diesel::prelude::*;

use super::{Amendment, Change, parts};
use crate::amount::{Amount, Unit};
use crate::id::{AmendmentId, GrantId, PersonId};
use crate::store::{Conn, Fault, Page, narrowed, on, paged};
use crate::time::Time;

mod tables {
    diesel::table! {
        amendments (id) {
            id -> BigInt, award -> BigInt, kind -> Text, amount -> Nullable<BigInt>, ends_at -> Nullable<BigInt>, target -> Nullable<BigInt>,
            requester -> BigInt, reason -> Text, state -> Text, version -> Integer,
        }
    }
}
use tables::amendments;

/// Which amendments to list: `None` means any, an empty list none.
#[derive(Clone, Default, Debug)]
pub struct Of {
    /// Only these.
    pub ids: Option<Vec<i64>>,
    /// Only of these grants.
    pub grants: Option<Vec<i64>>,
    /// Only those in one of these states.
    pub states: Option<Vec<String>>,
}

type Row = (i64, i64, String, Option<i64>, Option<i64>, Option<i64>, i64, String, String, i32);

/// Amendments, a page.
pub fn amendments(conn: &mut Conn, of: &Of, page: Page) -> Result<Vec<Amendment>, Fault> {
    let rows: Vec<Row> = on!(conn, c => {
        let mut query = amendments::table.into_boxed();
        narrowed!(query, amendments::id => of.ids, amendments::award => of.grants, amendments::state => of.states);
        paged!(query, amendments::id, page, c)
    })?;
    let stamps: Vec<i64> = rows.iter().map(|row| row.1).collect();
    let about = crate::grants::Of { ids: Some(stamps), ..crate::grants::Of::default() };
    let grants = crate::grants::store::grants(conn, &about, Page::ALL)?;
    let noun = |row: Row| {
        let unit = grants.iter().find(|grant| grant.id.stamp() == row.1).map(|grant| grant.awarded.unit);
        amendment_of(row, unit)
    };
    rows.into_iter().map(noun).collect()
}

fn amendment_of(row: Row, unit: Option<Unit>) -> Result<Amendment, Fault> {
    let (id, award, kind, amount, ends_at, target, requester, reason, state, version) = row;
    let amount = amount.zip(unit).map(|(minor, unit)| Amount::new(minor, unit));
    let change = match (kind.as_str(), amount, ends_at, target) {
        ("supplement", Some(amount), ..) => Change::Supplement(amount),
        ("reduction", Some(amount), ..) => Change::Reduction(amount),
        ("transfer", Some(amount), _, Some(to)) => Change::Transfer(amount, GrantId::from_stamp(to)),
        ("extension", _, Some(to), _) => Change::Extension(Time::from_micros(to)),
        ("closing", ..) => Change::Closing,
        _ => return Err(Fault::Internal(format!("amendment {id} in the database: {kind}"))),
    };
    let (id, grant, requester) = (AmendmentId::from_stamp(id), GrantId::from_stamp(award), PersonId::from_stamp(requester));
    Ok(Amendment { id, grant, change, requester, reason, state, version })
}

pub(super) fn insert(conn: &mut Conn, amendment: &Amendment) -> Result<(), Fault> {
    let (amount, ends_at, target) = parts(amendment.change);
    let row = (
        amendments::id.eq(amendment.id.stamp()),
        amendments::award.eq(amendment.grant.stamp()),
        amendments::kind.eq(amendment.change.word()),
        amendments::amount.eq(amount.map(|a| a.minor)),
        amendments::ends_at.eq(ends_at.map(Time::micros)),
        amendments::target.eq(target.map(GrantId::stamp)),
        amendments::requester.eq(amendment.requester.stamp()),
        amendments::reason.eq(&amendment.reason),
        amendments::state.eq(&amendment.state),
        amendments::version.eq(amendment.version),
    );
    on!(conn, c => diesel::insert_into(amendments::table).values(row).execute(c))?;
    Ok(())
}

pub(super) fn update(conn: &mut Conn, amendment: &Amendment) -> Result<(), Fault> {
    let changes = (amendments::state.eq(&amendment.state), amendments::version.eq(amendment.version));
    on!(conn, c => diesel::update(amendments::table.find(amendment.id.stamp())).set(changes).execute(c))?;
    Ok(())
}
