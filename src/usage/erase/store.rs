//! The SQL of what is erased of usage: taken from where it is read, kept apart for the log, and let go.

use std::collections::HashMap;

use diesel::prelude::*;

use crate::store::{Conn, Fault, looked_up, on};
use crate::usage::store::tables::{charges, quarantine};
use crate::usage::store::{ChargeRow, QuarantineRow};

mod tables {
    diesel::table! {
        erased (id) { id -> BigInt, seq -> BigInt, metered -> Text, }
    }
    diesel::table! {
        erasing (id) { id -> BigInt, seq -> BigInt, said -> Text, }
    }
}
use tables::{erased, erasing};

/// Rows that are looked up or changed by one statement.
const LOOKUP: usize = 1000;

/// The records of the quarantine that are closed and not erased: those of these charges' usage, and these.
pub(super) fn closed(conn: &mut Conn, rows: &[ChargeRow], stamps: &[i64]) -> Result<Vec<QuarantineRow>, Fault> {
    let mut found: Vec<QuarantineRow> = Vec::new();
    for some in rows.chunks(LOOKUP) {
        let keys: Vec<&[u8]> = some.iter().map(|row| row.usage_key.as_slice()).collect();
        let theirs: Vec<QuarantineRow> = on!(conn, c => quarantine::table.filter(quarantine::usage_key.eq_any(&keys)).load(c))?;
        let of = |record: &QuarantineRow| some.iter().any(|row| (row.usage_key.as_slice(), row.part) == (&record.usage_key, record.part));
        found.extend(theirs.into_iter().filter(of));
    }
    for some in stamps.chunks(LOOKUP) {
        let these: Vec<QuarantineRow> = on!(conn, c => quarantine::table.filter(quarantine::id.eq_any(some)).load(c))?;
        found.extend(these);
    }
    found.retain(|row| row.state != "open" && !row.is_erased());
    found.sort_by_key(|row| row.id);
    found.dedup_by_key(|row| row.id);
    Ok(found)
}

/// Takes the records away: of charges what the log needs stands apart, and what was metered stays.
pub(super) fn take(conn: &mut Conn, seq: i64, rows: &[(&ChargeRow, &str)], records: &[i64]) -> Result<(), Fault> {
    for some in rows.chunks(LOOKUP) {
        let seqs: Vec<i64> = some.iter().map(|(row, _)| row.seq).collect();
        for (row, metered) in some {
            let apart = (erasing::id.eq(row.id), erasing::seq.eq(seq), erasing::said.eq(&*row.said));
            on!(conn, c => diesel::insert_into(erasing::table).values(apart).execute(c))?;
            let stays = (erased::id.eq(row.id), erased::seq.eq(seq), erased::metered.eq(*metered));
            on!(conn, c => diesel::insert_into(erased::table).values(stays).execute(c))?;
        }
        on!(conn, c => diesel::update(charges::table.filter(charges::seq.eq_any(&seqs))).set(charges::said.eq("")).execute(c))?;
    }
    for some in records.chunks(LOOKUP) {
        for id in some {
            let stays = (erased::id.eq(id), erased::seq.eq(seq), erased::metered.eq(""));
            on!(conn, c => diesel::insert_into(erased::table).values(stays).execute(c))?;
        }
        let nothing = (quarantine::record.eq(""), quarantine::detail.eq(""));
        on!(conn, c => diesel::update(quarantine::table.filter(quarantine::id.eq_any(some))).set(nothing).execute(c))?;
    }
    Ok(())
}

/// What was metered by charges that were erased, by their stamps.
pub fn metered(conn: &mut Conn, stamps: &[i64]) -> Result<HashMap<i64, String>, Fault> {
    Ok(looked_up!(conn, erased, id => metered, stamps))
}

/// All that is erased: stamp, sequence of the entry, what was metered.
pub fn all(conn: &mut Conn) -> Result<Vec<(i64, i64, String)>, Fault> {
    Ok(on!(conn, c => erased::table.order(erased::id).load(c))?)
}

/// What stands apart for the log, by the stamps of the charges.
pub(super) fn erasing(conn: &mut Conn, stamps: &[i64]) -> Result<HashMap<i64, String>, Fault> {
    Ok(looked_up!(conn, erasing, id => said, stamps))
}

/// Of which of these erasures, by the sequences of their entries, something stands apart.
pub fn waiting(conn: &mut Conn, seqs: &[i64]) -> Result<Vec<i64>, Fault> {
    let theirs = erasing::table.filter(erasing::seq.eq_any(seqs)).select(erasing::seq).distinct();
    Ok(on!(conn, c => theirs.load(c))?)
}

/// Whether anything stands apart that was erased by entries up to one of the journal.
pub fn is_waiting(conn: &mut Conn, upto: i64) -> Result<bool, Fault> {
    let some = erasing::table.filter(erasing::seq.le(upto));
    Ok(on!(conn, c => diesel::select(diesel::dsl::exists(some)).get_result(c))?)
}

/// Lets go of it: the log has these entries.
pub fn let_go(conn: &mut Conn, upto: i64) -> Result<(), Fault> {
    conn.overwriting(|conn| {
        on!(conn, c => diesel::delete(erasing::table.filter(erasing::seq.le(upto))).execute(c))?;
        Ok(())
    })
}
