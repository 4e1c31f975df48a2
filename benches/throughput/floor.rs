//! Raw: one bare row per record, durably, as fast as the database takes them from one connection.

use std::time::Instant;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use super::support::database::TestDatabase;
use super::{Sample, timed};

diesel::table! {
    floor (id) { id -> BigInt, a -> BigInt, b -> BigInt, amount -> BigInt, at -> BigInt, reference -> Text, }
}

/// One row.
#[derive(Insertable)]
#[diesel(table_name = floor, treat_none_as_default_value = false)]
struct Bare {
    id: i64,
    a: i64,
    b: i64,
    amount: i64,
    at: i64,
    reference: String,
}

/// A table of bare rows in a database of its own.
pub struct Floor {
    database: Base,
    next: i64,
}

enum Base {
    Sqlite(rusqlite::Connection),
    Postgres(PgConnection),
}

const TABLE: &str = "CREATE TABLE floor (id BIGINT PRIMARY KEY, a BIGINT, b BIGINT, amount BIGINT, at BIGINT, reference TEXT)";

impl Floor {
    /// Makes the empty table; commits are as durable as Almoner's.
    pub fn open(made: &TestDatabase) -> Floor {
        let database = match made.url.strip_prefix("sqlite:") {
            Some(path) => {
                let base = rusqlite::Connection::open(path).expect("a database");
                let settings = "PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=16384; PRAGMA cache_size=-65536;";
                base.execute_batch(settings).expect("settings");
                // An INTEGER PRIMARY KEY is the row's own number: no index beside it.
                base.execute_batch(&TABLE.replace("id BIGINT", "id INTEGER")).expect("a table");
                Base::Sqlite(base)
            }
            None => {
                let mut base = PgConnection::establish(&made.url).expect("a connection");
                // The key would be an index on PostgreSQL.
                base.batch_execute("SET synchronous_commit=on").expect("settings");
                base.batch_execute(&TABLE.replace("PRIMARY KEY", "NOT NULL")).expect("a table");
                Base::Postgres(base)
            }
        };
        Floor { database, next: 1 }
    }

    /// What the database calls itself.
    pub fn version(&mut self) -> String {
        #[derive(diesel::QueryableByName)]
        struct Version {
            #[diesel(sql_type = diesel::sql_types::Text)]
            version: String,
        }
        match &mut self.database {
            Base::Sqlite(_) => format!("SQLite {}", rusqlite::version()),
            Base::Postgres(base) => {
                let asked = "SELECT current_setting('server_version') AS version";
                let found: Version = diesel::sql_query(asked).get_result(base).expect("a version");
                format!("PostgreSQL {}", found.version)
            }
        }
    }

    /// Inserts rows in batches, each committed.
    pub fn insert(&mut self, records: usize, batch: usize) -> Sample {
        let batches: Vec<Vec<Bare>> = (0..records / batch).map(|_| (0..batch).map(|_| self.row()).collect()).collect();
        let began = Instant::now();
        let waits = batches.iter().map(|rows| timed(|| self.commit(rows)).0).collect();
        Sample { records: records / batch * batch, took: began.elapsed(), waits }
    }

    fn row(&mut self) -> Bare {
        let id = self.next;
        self.next += 1;
        Bare { id, a: id % 64, b: id % 61, amount: 1_875_000, at: 1_772_445_600_000_000 + id, reference: format!("bench:{id:012}") }
    }

    fn commit(&mut self, rows: &Vec<Bare>) {
        match &mut self.database {
            Base::Sqlite(base) => {
                base.execute_batch("BEGIN IMMEDIATE").expect("a turn");
                let mut insert = base.prepare("INSERT INTO floor VALUES (?1, ?2, ?3, ?4, ?5, ?6)").expect("an insert");
                for row in rows {
                    insert.execute((row.id, row.a, row.b, row.amount, row.at, &row.reference)).expect("a row");
                }
                base.execute_batch("COMMIT").expect("a commit");
            }
            Base::Postgres(base) => {
                // Outside of a transaction, so COPY is committed when it returns.
                diesel::copy_from(floor::table).from_insertable(rows).execute(base).expect("rows");
            }
        }
    }
}
