//! The same rows: exactly what Almoner has written, written again by plain prepared inserts or COPY, with no logic.
//!
//! The rows are read from the books that were charged in this process, commit by commit, and go into a database with Almoner's own
//! schema: its indexes, constraints and triggers. Reading them is not timed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use almoner::store::{Conn, Database, Store, on};
use almoner::time::Clock;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use rusqlite::params;

use super::support::database::TestDatabase;
use super::{Sample, timed};

/// A table, its rows, and how a row is bound for a plain insert.
macro_rules! rows {
    ($($table:ident $row:ident ($key:ident) { $($column:ident: $sql:ty = $kind:ty,)* })*) => {
        $(
            diesel::table! { $table ($key) { $($column -> $sql,)* } }
            #[derive(Insertable, Queryable)]
            #[diesel(table_name = $table, treat_none_as_default_value = false)]
            struct $row { $($column: $kind,)* }
            impl $row {
                fn insert(rows: &[$row], base: &rusqlite::Connection) {
                    let places = [$(stringify!($column)),*].map(|_| "?").join(", ");
                    let mut insert = base.prepare(&format!("INSERT INTO {} VALUES ({places})", stringify!($table))).expect("an insert");
                    for row in rows {
                        insert.execute(params![$(row.$column),*]).expect("a row");
                    }
                }
            }
        )*
    };
}

rows! {
    charges Charge (seq) {
        seq: diesel::sql_types::BigInt = i64,
        id: diesel::sql_types::BigInt = i64,
        ended_at: diesel::sql_types::BigInt = i64,
        actor: diesel::sql_types::BigInt = i64,
        award: diesel::sql_types::BigInt = i64,
        lines: diesel::sql_types::Nullable<diesel::sql_types::Text> = Option<String>,
        usage_key: diesel::sql_types::Binary = Vec<u8>,
        part: diesel::sql_types::Integer = i32,
        digest: diesel::sql_types::Binary = Vec<u8>,
        provider: diesel::sql_types::BigInt = i64,
        resource: diesel::sql_types::BigInt = i64,
        amount: diesel::sql_types::BigInt = i64,
        overdraft: diesel::sql_types::BigInt = i64,
        balance_after: diesel::sql_types::BigInt = i64,
        rates: diesel::sql_types::Text = String,
        said: diesel::sql_types::Text = String,
    }
    runs Run (first) {
        list: diesel::sql_types::Integer = i32,
        owner: diesel::sql_types::BigInt = i64,
        first: diesel::sql_types::BigInt = i64,
        members: diesel::sql_types::Binary = Vec<u8>,
    }
    key_blocks KeyBlock (block) {
        block: diesel::sql_types::BigInt = i64,
        upto: diesel::sql_types::BigInt = i64,
    }
    key_rows KeyRow (id) {
        id: diesel::sql_types::BigInt = i64,
        entries: diesel::sql_types::Binary = Vec<u8>,
    }
}

diesel::table! {
    accounts (no) {
        no -> BigInt, bucket -> Integer, donation -> BigInt, award -> BigInt, lot -> BigInt, unit -> Text, balance -> BigInt, postings -> BigInt,
    }
}

impl Charge {
    /// The accounts that it moves: each one's number, and its balance and count of postings afterwards.
    fn accounts(&self) -> Vec<(i64, (i64, i64))> {
        let lines: Vec<[i64; 4]> = self.lines.as_deref().map_or_else(Vec::new, |text| serde_json::from_str(text).expect("postings"));
        lines.into_iter().map(|[account, _, nth, balance]| (account, (balance, nth))).collect()
    }
}

/// The rows of one commit, and what the accounts came to.
struct Commit {
    charges: Vec<Charge>,
    runs: Vec<Run>,
    key_blocks: Vec<KeyBlock>,
    key_rows: Vec<KeyRow>,
    accounts: BTreeMap<i64, (i64, i64)>,
}

/// A database of Almoner's schema, and the books whose rows are written into it.
pub struct Same {
    base: Base,
    books: Conn,
    /// The last sequence and the last account that were copied.
    seq: i64,
    account: i64,
}

enum Base {
    Sqlite(rusqlite::Connection),
    Postgres(PgConnection),
}

impl Same {
    /// Makes the schema. What the books have been given before is left out.
    pub fn open(made: &TestDatabase, books: &TestDatabase) -> Same {
        let database = Database::parse(&made.url).expect("a database");
        drop(Store::open(&database, Clock::system()).expect("a schema"));
        let mut books = Database::parse(&books.url).and_then(|found| found.connect().map_err(|e| e.to_string())).expect("books");
        let base = match made.url.strip_prefix("sqlite:") {
            Some(path) => {
                let base = rusqlite::Connection::open(path).expect("a database");
                let settings = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=16384; \
                                PRAGMA cache_size=-65536; PRAGMA foreign_keys=OFF;";
                base.execute_batch(settings).expect("settings");
                Base::Sqlite(base)
            }
            None => {
                let mut base = PgConnection::establish(&made.url).expect("a connection");
                // The accounts come without their units.
                base.batch_execute("ALTER TABLE accounts DROP CONSTRAINT accounts_unit_fkey").expect("a schema");
                Base::Postgres(base)
            }
        };
        let seq = head(&mut books);
        Same { base, books, seq, account: 0 }
    }

    /// Writes what the books have been given since the last time, `batch` charges in a commit.
    pub fn write(&mut self, batch: usize) -> Sample {
        let end = head(&mut self.books);
        self.open_accounts();
        let (mut records, mut took, mut waits) = (0, Duration::ZERO, Vec::new());
        while self.seq < end {
            let upto = (self.seq + i64::try_from(batch).expect("a small batch")).min(end);
            let commit = self.read(self.seq + 1, upto);
            let began = Instant::now();
            let (wait, ()) = timed(|| self.commit(&commit, upto));
            took += began.elapsed();
            waits.push(wait);
            records += commit.charges.len();
            self.seq = upto;
        }
        Sample { records, took, waits }
    }

    /// Accounts of the books that are new here; not timed, since books have few and keep them.
    fn open_accounts(&mut self) {
        type Row = (i64, i32, i64, i64, i64, String, i64, i64);
        let fresh = accounts::table.filter(accounts::no.gt(self.account)).order(accounts::no);
        let rows: Vec<Row> = on!(&mut self.books, c => fresh.load(c)).expect("accounts");
        for (no, bucket, donation, award, lot, unit, balance, postings) in rows {
            let sql = format!("INSERT INTO accounts VALUES ({no}, {bucket}, {donation}, {award}, {lot}, '{unit}', {balance}, {postings})");
            match &mut self.base {
                Base::Sqlite(base) => base.execute_batch(&sql).expect("an account"),
                Base::Postgres(base) => base.batch_execute(&sql).expect("an account"),
            }
            self.account = no;
        }
    }

    fn read(&mut self, from: i64, to: i64) -> Commit {
        let (low, high) = (from * 1024, to * 1024 + 1023);
        on!(&mut self.books, c => {
            let charges: Vec<Charge> = charges::table.filter(charges::seq.between(from, to)).order(charges::seq).load(c).expect("charges");
            let of_accounts = runs::list.eq(1).and(runs::first.between(low, high));
            let of_grants = runs::list.eq(2).and(runs::first.between(from, to));
            let runs: Vec<Run> = runs::table.filter(of_accounts.or(of_grants)).order((runs::list, runs::owner)).load(c).expect("runs");
            let ended = key_blocks::upto.between(from, to);
            let key_blocks: Vec<KeyBlock> = key_blocks::table.filter(ended).order(key_blocks::block).load(c).expect("blocks");
            let rows = key_blocks.first().map_or(0, |b| b.block * 256)..key_blocks.last().map_or(0, |b| (b.block + 1) * 256);
            let of_blocks = key_rows::id.ge(rows.start).and(key_rows::id.lt(rows.end));
            let key_rows: Vec<KeyRow> = key_rows::table.filter(of_blocks).order(key_rows::id).load(c).expect("rows of keys");
            let accounts = charges.iter().flat_map(Charge::accounts).collect();
            Commit { charges, runs, key_blocks, key_rows, accounts }
        })
    }

    fn commit(&mut self, commit: &Commit, head: i64) {
        match &mut self.base {
            Base::Sqlite(base) => {
                base.execute_batch("BEGIN IMMEDIATE").expect("a turn");
                Charge::insert(&commit.charges, base);
                Run::insert(&commit.runs, base);
                KeyBlock::insert(&commit.key_blocks, base);
                KeyRow::insert(&commit.key_rows, base);
                let mut update = base.prepare("UPDATE accounts SET balance = ?2, postings = ?3 WHERE no = ?1").expect("an update");
                for (no, (balance, postings)) in &commit.accounts {
                    update.execute(params![no, balance, postings]).expect("an account");
                }
                base.execute("UPDATE head SET seq = ?1", [head]).expect("the head");
                drop(update);
                base.execute_batch("COMMIT").expect("a commit");
            }
            Base::Postgres(base) => {
                base.batch_execute("BEGIN").expect("a turn");
                diesel::copy_from(charges::table).from_insertable(&commit.charges).execute(base).expect("charges");
                diesel::copy_from(runs::table).from_insertable(&commit.runs).execute(base).expect("runs");
                diesel::copy_from(key_blocks::table).from_insertable(&commit.key_blocks).execute(base).expect("blocks");
                diesel::copy_from(key_rows::table).from_insertable(&commit.key_rows).execute(base).expect("rows of keys");
                let accounts: Vec<_> = commit.accounts.iter().map(|(no, (balance, postings))| (no, balance, postings)).collect();
                diesel::sql_query(
                    "UPDATE accounts SET balance = (v ->> 1)::bigint, postings = (v ->> 2)::bigint
                     FROM json_array_elements($1::json) AS v WHERE no = (v ->> 0)::bigint",
                )
                .bind::<diesel::sql_types::Text, _>(serde_json::json!(accounts).to_string())
                .execute(base)
                .expect("accounts");
                base.batch_execute(&format!("UPDATE head SET seq = {head}; COMMIT")).expect("a commit");
            }
        }
    }
}

fn head(books: &mut Conn) -> i64 {
    let last: Option<i64> = on!(books, c => charges::table.select(diesel::dsl::max(charges::seq)).first(c)).expect("charges");
    last.unwrap_or(0)
}
