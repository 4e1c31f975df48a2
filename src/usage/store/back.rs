//! The SQL of what comes after a charge: refunds, and covers of what it owed.

use diesel::prelude::*;

use super::tables::{covers, refunds};
use crate::id::{ChargeId, GrantId, RefundId};
use crate::store::{Conn, Fault, Page, on, paged};

/// A refund as the database has it.
#[derive(Queryable, Insertable, Clone, PartialEq, Eq, Debug)]
#[diesel(table_name = refunds)]
pub struct RefundRow {
    /// Stamp of the refund and its transaction.
    pub id: i64,
    /// Sequence of its transaction.
    pub seq: i64,
    /// Stamp of the charge.
    pub charge: i64,
    /// Sequence of the charge.
    pub charge_seq: i64,
    /// Stamp of the grant it was charged to.
    pub award: i64,
    /// How much, in the grant's unit.
    pub amount: i64,
    /// Why.
    pub reason: String,
}

impl RefundRow {
    /// The refund.
    pub fn id(&self) -> RefundId {
        RefundId::from_stamp(self.id)
    }
}

/// The refunds of a charge, a page.
pub fn refunds(conn: &mut Conn, charge: ChargeId, page: Page) -> Result<Vec<RefundRow>, Fault> {
    let own = refunds::table.filter(refunds::charge.eq(charge.stamp()));
    Ok(on!(conn, c => paged!(own, refunds::id, page, c))?)
}

/// One refund.
pub fn refund(conn: &mut Conn, id: RefundId) -> Result<Option<RefundRow>, Fault> {
    Ok(on!(conn, c => refunds::table.find(id.stamp()).first(c).optional())?)
}

/// All refunds of a grant's charges.
pub fn refunds_of_grant(conn: &mut Conn, grant: GrantId) -> Result<Vec<RefundRow>, Fault> {
    let own = refunds::table.filter(refunds::award.eq(grant.stamp()));
    Ok(on!(conn, c => own.order(refunds::id).load(c))?)
}

/// Every refund.
pub fn all_refunds(conn: &mut Conn) -> Result<Vec<RefundRow>, Fault> {
    Ok(on!(conn, c => refunds::table.order(refunds::id).load(c))?)
}

pub(in crate::usage) fn insert_refund(conn: &mut Conn, row: &RefundRow) -> Result<(), Fault> {
    on!(conn, c => diesel::insert_into(refunds::table).values(row).execute(c))?;
    Ok(())
}

/// The sequences of the covers of a charge.
pub(in crate::usage) fn covers(conn: &mut Conn, charge: ChargeId) -> Result<Vec<i64>, Fault> {
    let own = covers::table.filter(covers::charge.eq(charge.stamp())).select(covers::seq).order(covers::seq);
    Ok(on!(conn, c => own.load(c))?)
}

/// One lot's payment of what a charge owed.
#[derive(Queryable, Clone, Copy, PartialEq, Eq, Debug)]
pub struct CoverRow {
    /// Stamp of the cover.
    pub id: i64,
    /// Its journal entry.
    pub seq: i64,
    /// Of which charge.
    pub charge: i64,
    /// From which lot.
    pub lot: i64,
    /// How much.
    pub amount: i64,
}

/// Every cover.
pub fn all_covers(conn: &mut Conn) -> Result<Vec<CoverRow>, Fault> {
    Ok(on!(conn, c => covers::table.order(covers::id).load(c))?)
}

pub(in crate::usage) fn insert_cover(conn: &mut Conn, id: i64, seq: i64, charge: ChargeId, lot: i64, amount: i64) -> Result<(), Fault> {
    let row = (covers::id.eq(id), covers::seq.eq(seq), covers::charge.eq(charge.stamp()), covers::lot.eq(lot), covers::amount.eq(amount));
    on!(conn, c => diesel::insert_into(covers::table).values(row).execute(c))?;
    Ok(())
}
