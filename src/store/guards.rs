//! Guards: the triggers by which the database itself refuses that what is in the books is changed.
//!
//! Made with the schema; verification asks here whether all of them stand.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use super::{Conn, Fault};

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    guards: i64,
}

/// The tables that must refuse UPDATE and DELETE, or what matters of them.
pub const APPEND_ONLY: &[&str] = &[
    "entries",
    "runs",
    "key_blocks",
    "key_rows",
    "reversals",
    "units",
    "lots",
    "decisions",
    "grant_steps",
    "conflicts",
    "refunds",
    "covers",
    "outflows",
    "readings",
    "statements",
    "events",
    "erasures",
    "erased",
    "charges",
    "accounts",
    "grants",
    "amendments",
];

/// Those of the log.
pub const LOG: &[&str] =
    &["log_leaves", "log_lines", "log_lots", "log_providers", "log_tiles", "log_heads", "log_checkpoints", "log_cosignatures", "log_jobs"];

/// Those that refuse one of both only: accounts move on, and salts of jobs may be erased.
const ONCE: &[&str] = &["accounts", "log_jobs"];

/// Those of which only what was asked stays as it was, or all but what may be erased.
const ASKED: &[&str] = &["grants", "amendments", "charges"];

/// Which of the books' append-only tables have their guards in place.
pub fn standing(conn: &mut Conn) -> Result<Vec<(&'static str, bool)>, Fault> {
    standing_of(conn, APPEND_ONLY)
}

/// The same of these tables.
pub fn standing_of(conn: &mut Conn, tables: &[&'static str]) -> Result<Vec<(&'static str, bool)>, Fault> {
    const SQLITE: &str = "SELECT count(*) AS guards FROM sqlite_master WHERE type = 'trigger' AND tbl_name = $1";
    const POSTGRES: &str = "SELECT count(*) AS guards FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n
        ON n.oid = c.relnamespace WHERE c.relname = $1 AND n.nspname = current_schema() AND t.tgenabled IN ('O', 'A') AND NOT t.tgisinternal";
    let mut found = Vec::with_capacity(tables.len());
    for table in tables {
        let (have, want): (Count, i64) = match conn {
            Conn::Sqlite(c) => (sql_query(SQLITE).bind::<Text, _>(table).get_result(c)?, if ONCE.contains(table) { 1 } else { 2 }),
            // One refuses all; of those that are changed in part one refuses that they go, one that the rest is changed.
            Conn::Postgres(c) => (sql_query(POSTGRES).bind::<Text, _>(table).get_result(c)?, if ASKED.contains(table) { 2 } else { 1 }),
        };
        found.push((*table, have.guards >= want));
    }
    Ok(found)
}
