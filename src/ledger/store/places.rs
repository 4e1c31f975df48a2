//! Where in the journal something was recorded: sequences and stamps grow together, so halving finds one by the other in one statement, and no
//! index is needed for it.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::head;
use crate::store::{Conn, Fault};

/// The first entry at or after a stamp: its sequence, or head + 1, and its own stamp if it is there.
#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = BigInt)]
    stamp: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    at: Option<i64>,
}

/// Stamps that are looked for by one statement.
const LOOKUP: usize = 1000;

/// A step of halving: each row has the stamp that stands in the middle of its range, so that the journal is asked once a step.
macro_rules! halving {
    ($asked:literal) => {
        concat!(
            "WITH RECURSIVE range(stamp, low, high, at) AS (",
            "SELECT CAST(asked.value AS BIGINT), CAST(1 AS BIGINT), $1 + 1, (SELECT recorded_at FROM journal WHERE seq = ($1 + 2) / 2) FROM ",
            $asked,
            " UNION ALL
            SELECT stamp, CASE WHEN at < stamp THEN (low + high) / 2 + 1 ELSE low END, CASE WHEN at < stamp THEN high ELSE (low + high) / 2 END,
                (SELECT recorded_at FROM journal WHERE seq =
                    CASE WHEN at < stamp THEN ((low + high) / 2 + 1 + high) / 2 ELSE (low + (low + high) / 2) / 2 END)
            FROM range WHERE low < high)
            SELECT stamp, low AS seq, at FROM range WHERE low = high"
        )
    };
}

/// For each of these stamps the first entry at or after it, in any order.
fn first_of_each(conn: &mut Conn, stamps: &[i64]) -> Result<Vec<Place>, Fault> {
    const SQLITE: &str = halving!("json_each($2) AS asked");
    const POSTGRES: &str = halving!("json_array_elements_text($2::json) AS asked(value)");
    let last = head(conn)?;
    let mut found = Vec::with_capacity(stamps.len());
    for some in stamps.chunks(LOOKUP) {
        let asked = serde_json::json!(some).to_string();
        let some: Vec<Place> = match conn {
            Conn::Sqlite(c) => sql_query(SQLITE).bind::<BigInt, _>(last).bind::<Text, _>(asked).load(c)?,
            Conn::Postgres(c) => sql_query(POSTGRES).bind::<BigInt, _>(last).bind::<Text, _>(asked).load(c)?,
        };
        found.extend(some);
    }
    Ok(found)
}

/// The first sequence recorded at or after a moment (head + 1 if none).
pub fn first_at(conn: &mut Conn, recorded_at: i64) -> Result<i64, Fault> {
    let found = first_of_each(conn, &[recorded_at])?.pop();
    found.map(|place| place.seq).ok_or_else(|| Fault::Internal("the journal's order is broken".into()))
}

/// The sequence of the entry with exactly this stamp.
pub fn seq_of(conn: &mut Conn, stamp: i64) -> Result<Option<i64>, Fault> {
    Ok(seqs_of(conn, &[stamp])?.pop())
}

/// The sequences of the entries with these stamps, in rising order; a stamp that no entry has is left out.
pub fn seqs_of(conn: &mut Conn, stamps: &[i64]) -> Result<Vec<i64>, Fault> {
    let exact = |place: Place| (place.at == Some(place.stamp)).then_some(place.seq);
    let mut seqs: Vec<i64> = first_of_each(conn, stamps)?.into_iter().filter_map(exact).collect();
    seqs.sort_unstable();
    seqs.dedup();
    Ok(seqs)
}
