//! The SQL of reversals: which entry mirrors which, and by whom.

use std::collections::HashMap;

use diesel::prelude::*;

use super::tables::reversals;
use crate::id::PersonId;
use crate::store::{Conn, Fault, on};

pub(in crate::ledger) fn insert_reversal(conn: &mut Conn, row: &Reversal, reason: &str) -> Result<(), Fault> {
    let row = (
        reversals::seq.eq(row.seq),
        reversals::reverses.eq(row.reverses),
        reversals::booked_by.eq(row.booked_by.stamp()),
        reversals::reversed_by.eq(row.reversed_by.stamp()),
        reversals::reason.eq(reason),
    );
    on!(conn, c => diesel::insert_into(reversals::table).values(row).execute(c))?;
    Ok(())
}

/// The sequence of the reversal of an entry, if it was reversed.
pub fn reversal_of(conn: &mut Conn, seq: i64) -> Result<Option<i64>, Fault> {
    Ok(reversals_of(conn, &[seq])?.remove(&seq))
}

/// The sequences of the reversals of these entries, by what they reverse.
pub fn reversals_of(conn: &mut Conn, seqs: &[i64]) -> Result<HashMap<i64, i64>, Fault> {
    let found = reversals::table.filter(reversals::reverses.eq_any(seqs)).select((reversals::reverses, reversals::seq));
    let rows: Vec<(i64, i64)> = on!(conn, c => found.load(c))?;
    Ok(rows.into_iter().collect())
}

/// Which entry reverses which, and the two persons.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reversal {
    /// The sequence of the mirror.
    pub seq: i64,
    /// The sequence of what it reverses.
    pub reverses: i64,
    /// Who booked that.
    pub booked_by: PersonId,
    /// Who reversed it.
    pub reversed_by: PersonId,
}

/// Every reversal.
pub fn reversals(conn: &mut Conn) -> Result<Vec<Reversal>, Fault> {
    let columns = (reversals::seq, reversals::reverses, reversals::booked_by, reversals::reversed_by);
    let rows: Vec<(i64, i64, i64, i64)> = on!(conn, c => reversals::table.select(columns).order(reversals::seq).load(c))?;
    let noun = |(seq, reverses, booked_by, reversed_by)| {
        let person = PersonId::from_stamp;
        Reversal { seq, reverses, booked_by: person(booked_by), reversed_by: person(reversed_by) }
    };
    Ok(rows.into_iter().map(noun).collect())
}
