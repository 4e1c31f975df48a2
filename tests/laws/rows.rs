//! The books as the database has them: plain rows, read without the program's own readers.

use almoner::store::{Conn, Database, Fault, on};
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::{QueryableByName, RunQueryDsl, sql_query};

#[derive(QueryableByName, Clone, Debug)]
pub struct EntryRow {
    #[diesel(sql_type = BigInt)]
    pub seq: i64,
    #[diesel(sql_type = BigInt)]
    pub recorded_at: i64,
    #[diesel(sql_type = BigInt)]
    pub kind: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub actor: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub subject: Option<i64>,
}

#[derive(QueryableByName, Clone, Debug)]
pub struct PostingRow {
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    #[diesel(sql_type = BigInt)]
    pub no: i64,
    #[diesel(sql_type = BigInt)]
    pub amount: i64,
    #[diesel(sql_type = BigInt)]
    pub nth: i64,
    #[diesel(sql_type = BigInt)]
    pub balance: i64,
    #[diesel(sql_type = BigInt)]
    pub bucket: i64,
    #[diesel(sql_type = BigInt)]
    pub award: i64,
    #[diesel(sql_type = BigInt)]
    pub lot: i64,
    #[diesel(sql_type = Text)]
    pub unit: String,
}

#[derive(QueryableByName, Clone, Debug)]
pub struct AccountRow {
    #[diesel(sql_type = BigInt)]
    pub no: i64,
    #[diesel(sql_type = BigInt)]
    pub bucket: i64,
    #[diesel(sql_type = BigInt)]
    pub donation: i64,
    #[diesel(sql_type = BigInt)]
    pub award: i64,
    #[diesel(sql_type = BigInt)]
    pub lot: i64,
    #[diesel(sql_type = BigInt)]
    pub balance: i64,
    #[diesel(sql_type = BigInt)]
    pub postings: i64,
    #[diesel(sql_type = Text)]
    pub unit: String,
}

#[derive(QueryableByName, Clone, Debug)]
pub struct ChargeRow {
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    #[diesel(sql_type = Text)]
    pub usage_key: String,
    #[diesel(sql_type = BigInt)]
    pub amount: i64,
    #[diesel(sql_type = BigInt)]
    pub overdraft: i64,
}

#[derive(QueryableByName, Clone, Debug)]
pub struct RefundRow {
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    #[diesel(sql_type = BigInt)]
    pub charge: i64,
    #[diesel(sql_type = BigInt)]
    pub amount: i64,
}

#[derive(QueryableByName, Clone, Debug)]
pub struct OutflowRow {
    #[diesel(sql_type = BigInt)]
    pub seq: i64,
    #[diesel(sql_type = BigInt)]
    pub award: i64,
    #[diesel(sql_type = BigInt)]
    pub lot: i64,
    #[diesel(sql_type = BigInt)]
    pub amount: i64,
}

#[derive(QueryableByName, Clone, Copy, Debug, Default)]
pub struct HeadRow {
    #[diesel(sql_type = BigInt)]
    pub seq: i64,
    #[diesel(sql_type = BigInt)]
    pub stamp: i64,
}

/// What is new in the books, and how the accounts stand.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    pub entries: Vec<EntryRow>,
    pub postings: Vec<PostingRow>,
    pub charges: Vec<ChargeRow>,
    pub refunds: Vec<RefundRow>,
    pub outflows: Vec<OutflowRow>,
    pub accounts: Vec<AccountRow>,
    pub head: HeadRow,
}

/// Reads what was recorded after a place in the journal, and the accounts numbered above one.
pub fn since(conn: &mut Conn, after: HeadRow, account: i64) -> Result<Rows, Fault> {
    let head: HeadRow = on!(conn, c => sql_query("SELECT seq, stamp FROM head").get_result(c))?;
    let mut rows = Rows { head, ..Rows::default() };
    const ACCOUNTS: &str = "SELECT no, CAST(bucket AS BIGINT) AS bucket, donation, award, lot, balance, postings, unit
                            FROM accounts WHERE no > $1 ORDER BY no";
    rows.accounts = on!(conn, c => sql_query(ACCOUNTS).bind::<BigInt, _>(account).load(c))?;
    const ENTRIES: &str = "SELECT seq, recorded_at, CAST(kind AS BIGINT) AS kind, actor, subject FROM journal WHERE seq > $1 ORDER BY seq";
    rows.entries = on!(conn, c => sql_query(ENTRIES).bind::<BigInt, _>(after.seq).load(c))?;
    if rows.entries.is_empty() {
        return Ok(rows);
    }
    const POSTINGS: &str = "SELECT p.id, a.no, p.amount, p.nth, p.balance, CAST(a.bucket AS BIGINT) AS bucket, a.award,
                            a.lot, a.unit FROM postings p JOIN accounts a ON a.no = p.account WHERE p.id >= $1 ORDER BY p.id";
    rows.postings = on!(conn, c => sql_query(POSTINGS).bind::<BigInt, _>((after.seq + 1) * 1024).load(c))?;
    let key = if matches!(conn, Conn::Sqlite(_)) { "hex(usage_key)" } else { "encode(usage_key, 'hex')" };
    let charges = format!("SELECT id, {key} || '/' || part AS usage_key, amount, overdraft FROM charges WHERE id > $1 ORDER BY id");
    rows.charges = on!(conn, c => sql_query(charges).bind::<BigInt, _>(after.stamp).load(c))?;
    const REFUNDS: &str = "SELECT id, charge, amount FROM refunds WHERE id > $1 ORDER BY id";
    rows.refunds = on!(conn, c => sql_query(REFUNDS).bind::<BigInt, _>(after.stamp).load(c))?;
    const OUTFLOWS: &str = "SELECT seq, award, lot, amount FROM outflows WHERE seq > $1 ORDER BY seq";
    rows.outflows = on!(conn, c => sql_query(OUTFLOWS).bind::<BigInt, _>(after.seq).load(c))?;
    Ok(rows)
}

/// Tables whose rows are never changed or removed, with a column to try it on.
const APPEND_ONLY: &[(&str, &str)] = &[
    ("entries", "kind"),
    ("reversals", "reason"),
    ("units", "name"),
    ("lots", "amount"),
    ("decisions", "reason"),
    ("grant_steps", "step"),
    ("conflicts", "reason"),
    ("refunds", "amount"),
    ("covers", "amount"),
    ("outflows", "amount"),
];

/// Tries to change and to remove rows of the journal; how many attempts were refused as they must be.
pub fn try_to_change(database: &Database) -> Result<usize, String> {
    let mut conn = database.connect().map_err(|e| e.to_string())?;
    let mut refused = 0;
    for (table, column) in APPEND_ONLY {
        if !has_rows(&mut conn, table)? {
            continue;
        }
        for sql in [format!("UPDATE {table} SET {column} = {column}"), format!("DELETE FROM {table}")] {
            match conn.batch(&sql) {
                Err(fault) if fault.to_string().contains("append-only") => refused += 1,
                other => return Err(format!("law 8: {sql}: {other:?}")),
            }
        }
    }
    Ok(refused)
}

fn has_rows(conn: &mut Conn, table: &str) -> Result<bool, String> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = BigInt)]
        n: i64,
    }
    let sql = format!("SELECT CAST(count(*) AS BIGINT) AS n FROM (SELECT 1 FROM {table} LIMIT 1) AS found");
    let found: Found = on!(conn, c => sql_query(sql).get_result(c)).map_err(|e| e.to_string())?;
    Ok(found.n > 0)
}
