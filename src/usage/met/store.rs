//! The SQL of what was met before.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Binary, Integer, Text};

use crate::store::{Conn, Fault, Sixteen, on};
use crate::usage::store::is_part;
use crate::usage::store::tables::{charges, quarantine};

/// Where a natural key was met before.
#[derive(QueryableByName, Clone, Debug)]
pub(super) struct Met {
    #[diesel(sql_type = Binary, deserialize_as = Sixteen)]
    pub usage_key: [u8; 16],
    #[diesel(sql_type = Integer)]
    pub part: i32,
    #[diesel(sql_type = Binary, deserialize_as = Sixteen)]
    pub digest: [u8; 16],
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// The entry of a charge; 0 of what is in quarantine.
    #[diesel(sql_type = BigInt)]
    pub seq: i64,
    /// 1 for a charge, 0 for an open entry of the quarantine.
    #[diesel(sql_type = Integer)]
    pub charged: i32,
}

/// What was charged after an entry.
pub(super) fn charged_after(conn: &mut Conn, seq: i64) -> Result<Vec<Met>, Fault> {
    const AFTER: &str = "SELECT usage_key, part, digest, id, seq, 1 AS charged FROM charges WHERE seq > $1 ORDER BY seq";
    Ok(on!(conn, c => sql_query(AFTER).bind::<BigInt, _>(seq).load(c))?)
}

/// The same of the charges of these entries.
pub(super) fn charged(conn: &mut Conn, seqs: &[i64]) -> Result<Vec<Met>, Fault> {
    const SQLITE: &str =
        "SELECT usage_key, part, digest, id, seq, 1 AS charged FROM charges WHERE seq IN (SELECT value FROM json_each($1))";
    const POSTGRES: &str = "SELECT usage_key, part, digest, id, seq, 1 AS charged FROM charges WHERE seq = ANY($1)";
    match conn {
        Conn::Sqlite(c) => Ok(sql_query(SQLITE).bind::<Text, _>(serde_json::json!(seqs).to_string()).load(c)?),
        Conn::Postgres(c) => Ok(sql_query(POSTGRES).bind::<Array<BigInt>, _>(seqs).load(c)?),
    }
}

/// The keys of what was set aside after a stamp and waits in quarantine.
pub(super) fn waiting_after(conn: &mut Conn, stamp: i64) -> Result<Vec<[u8; 16]>, Fault> {
    let own = quarantine::table.filter(quarantine::id.gt(stamp).and(quarantine::state.eq("open"))).select(quarantine::usage_key);
    let keys: Vec<Sixteen> = on!(conn, c => own.load(c))?;
    Ok(keys.into_iter().map(Into::into).collect())
}

/// What waits in quarantine under these keys, parts included.
pub(super) fn waiting(conn: &mut Conn, keys: &[[u8; 16]]) -> Result<Vec<Met>, Fault> {
    const SQLITE: &str = "SELECT usage_key, part, digest, id, CAST(0 AS BIGINT) AS seq, 0 AS charged FROM quarantine
        WHERE usage_key IN (SELECT unhex(value) FROM json_each($1)) AND state = 'open'";
    const POSTGRES: &str = "SELECT usage_key, part, digest, id, CAST(0 AS BIGINT) AS seq, 0 AS charged FROM quarantine WHERE usage_key = ANY($1) AND state = 'open'";
    match conn {
        Conn::Sqlite(c) => Ok(sql_query(SQLITE).bind::<Text, _>(hex_list(keys)).load(c)?),
        Conn::Postgres(c) => {
            let list: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
            Ok(sql_query(POSTGRES).bind::<Array<Binary>, _>(list).load(c)?)
        }
    }
}

/// Keys that are looked up by one statement.
const LOOKUP: usize = 1000;

/// Which jobs, of these or of all, have parts that are charged: their keys.
pub(super) fn parted(conn: &mut Conn, among: Option<&[[u8; 16]]>) -> Result<Vec<[u8; 16]>, Fault> {
    let mut found: Vec<Sixteen> = Vec::new();
    let parts = || charges::table.filter(is_part()).select(charges::usage_key).distinct();
    match among {
        None => found = on!(conn, c => parts().load(c))?,
        Some(keys) => {
            for some in keys.chunks(LOOKUP) {
                let some: Vec<&[u8]> = some.iter().map(|key| key.as_slice()).collect();
                let own: Vec<Sixteen> = on!(conn, c => parts().filter(charges::usage_key.eq_any(some)).load(c))?;
                found.extend(own);
            }
        }
    }
    Ok(found.into_iter().map(Into::into).collect())
}

/// What was met of these parts, each looked for with its own number, so that a job of many parts costs none of them more.
pub(super) fn met_parts(conn: &mut Conn, asked: &[([u8; 16], i32)]) -> Result<Vec<Met>, Fault> {
    const SQLITE: &str =
        "WITH asked AS (SELECT unhex(k.value) AS k, p.value AS p FROM json_each($1) k JOIN json_each($2) p ON p.key = k.key)
        SELECT usage_key, part, digest, id, seq, 1 AS charged FROM asked JOIN charges ON usage_key = k AND part = p AND part > 0
        UNION ALL
        SELECT usage_key, part, digest, id, CAST(0 AS BIGINT) AS seq, 0 AS charged FROM asked JOIN quarantine ON usage_key = k AND part = p AND state = 'open'";
    const POSTGRES: &str = "WITH asked AS (SELECT k, p FROM unnest($1, $2) AS asked(k, p))
        SELECT usage_key, part, digest, id, seq, 1 AS charged FROM asked JOIN charges ON usage_key = k AND part = p AND part > 0
        UNION ALL
        SELECT usage_key, part, digest, id, CAST(0 AS BIGINT) AS seq, 0 AS charged FROM asked JOIN quarantine ON usage_key = k AND part = p AND state = 'open'";
    let keys: Vec<[u8; 16]> = asked.iter().map(|(key, _)| *key).collect();
    let parts: Vec<i32> = asked.iter().map(|(_, part)| *part).collect();
    let found = match conn {
        Conn::Sqlite(c) => {
            let parts = serde_json::json!(parts).to_string();
            sql_query(SQLITE).bind::<Text, _>(hex_list(&keys)).bind::<Text, _>(parts).load(c)?
        }
        Conn::Postgres(c) => {
            let list: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
            sql_query(POSTGRES).bind::<Array<Binary>, _>(list).bind::<Array<Integer>, _>(parts).load(c)?
        }
    };
    Ok(found)
}

/// Keys as a JSON list of hexadecimal texts.
fn hex_list(keys: &[[u8; 16]]) -> String {
    let texts: Vec<String> = keys.iter().map(|key| format!("{:032x}", u128::from_be_bytes(*key))).collect();
    serde_json::json!(texts).to_string()
}
