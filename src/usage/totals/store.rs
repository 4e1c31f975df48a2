//! The SQL of what providers have charged: summed by the database, and the refunds and reversals one by one.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use crate::id::InstitutionId;
use crate::store::{Conn, Fault, on};

/// What jobs on one resource cost one grant, and what of it came back.
#[derive(QueryableByName, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sum {
    /// Stamp of the resource.
    #[diesel(sql_type = BigInt)]
    pub resource: i64,
    /// Stamp of the grant.
    #[diesel(sql_type = BigInt)]
    pub award: i64,
    /// All that was charged, in the grant's unit.
    #[diesel(sql_type = BigInt)]
    pub charged: i64,
    /// All that was refunded or reversed.
    #[diesel(sql_type = BigInt)]
    pub refunded: i64,
}

/// What a provider had charged when the journal ended at an entry. Reads all of the provider's charges.
pub fn sums(conn: &mut Conn, provider: InstitutionId, seq: i64) -> Result<Vec<Sum>, Fault> {
    const SUMS: &str = "SELECT resource, award, CAST(sum(charged) AS BIGINT) AS charged, CAST(sum(refunded) AS BIGINT) AS refunded FROM (
            SELECT resource, award, amount AS charged, 0 AS refunded FROM charges WHERE provider = $1 AND seq <= $2
            UNION ALL
            SELECT c.resource, c.award, 0, r.amount FROM refunds r JOIN charges c ON c.seq = r.charge_seq WHERE c.provider = $1 AND r.seq <= $2
            UNION ALL
            SELECT c.resource, c.award, 0, c.amount FROM reversals v JOIN charges c ON c.seq = v.reverses
            WHERE c.provider = $1 AND v.seq <= $2
        ) moves GROUP BY resource, award ORDER BY resource, award";
    Ok(on!(conn, c => sql_query(SUMS).bind::<BigInt, _>(provider.stamp()).bind::<BigInt, _>(seq).load(c))?)
}

/// A refund or a reversal of a provider's charge.
#[derive(QueryableByName, Clone, PartialEq, Eq, Debug)]
pub struct Back {
    /// Stamp of the refund or of the reversal.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// `refund` or `reversal`.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// Stamp of the charge.
    #[diesel(sql_type = BigInt)]
    pub charge: i64,
    /// Sequence of the charge.
    #[diesel(sql_type = BigInt)]
    pub charge_seq: i64,
    /// Stamp of the charge's resource.
    #[diesel(sql_type = BigInt)]
    pub resource: i64,
    /// Stamp of the charge's grant.
    #[diesel(sql_type = BigInt)]
    pub award: i64,
    /// When it happened.
    #[diesel(sql_type = BigInt)]
    pub effective_at: i64,
    /// How much came back, in the grant's unit.
    #[diesel(sql_type = BigInt)]
    pub amount: i64,
}

/// What came back of a provider's charges by entries after one of the journal up to another, in their order.
pub fn backs(conn: &mut Conn, provider: InstitutionId, after: i64, last: i64) -> Result<Vec<Back>, Fault> {
    const BACKS: &str =
        "SELECT r.id AS id, 'refund' AS kind, c.id AS charge, c.seq AS charge_seq, c.resource AS resource, c.award AS award,
            j.effective_at AS effective_at, r.amount AS amount
        FROM refunds r JOIN charges c ON c.seq = r.charge_seq JOIN entries j ON j.seq = r.seq
        WHERE c.provider = $1 AND r.seq > $2 AND r.seq <= $3
        UNION ALL
        SELECT j.recorded_at, 'reversal', c.id, c.seq, c.resource, c.award, j.effective_at, c.amount
        FROM reversals v JOIN entries j ON j.seq = v.seq JOIN charges c ON c.seq = v.reverses
        WHERE c.provider = $1 AND v.seq > $2 AND v.seq <= $3 AND c.amount > 0
        ORDER BY id";
    let asked = sql_query(BACKS).bind::<BigInt, _>(provider.stamp()).bind::<BigInt, _>(after).bind::<BigInt, _>(last);
    Ok(on!(conn, c => asked.load(c))?)
}
