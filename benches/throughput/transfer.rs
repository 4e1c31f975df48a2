//! What a ledger costs that keeps its balances in SQL: each transfer a durable transaction of one insert and two balance updates.

use std::sync::Mutex;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use super::support::database::TestDatabase;
use super::{AT_ONCE, Sample, drive, timed};

/// Accounts that money moves between.
const ACCOUNTS: i64 = 64;

const SCHEMA: &str = "CREATE TABLE transfers (id BIGINT PRIMARY KEY, a BIGINT NOT NULL, b BIGINT NOT NULL, amount BIGINT NOT NULL);
    CREATE TABLE balances (account BIGINT PRIMARY KEY, balance BIGINT NOT NULL);";

/// Two tables in a database of their own.
pub struct Transfers {
    url: String,
    next: i64,
}

impl Transfers {
    /// Makes the tables.
    pub fn open(made: &TestDatabase) -> Transfers {
        let mut rows: String = (0..ACCOUNTS).map(|account| format!("INSERT INTO balances VALUES ({account}, 0);")).collect();
        rows.insert_str(0, SCHEMA);
        match made.url.strip_prefix("sqlite:") {
            Some(path) => sqlite(path).execute_batch(&rows).expect("tables"),
            None => PgConnection::establish(&made.url).expect("a connection").batch_execute(&rows).expect("tables"),
        }
        Transfers { url: made.url.clone(), next: 1 }
    }

    /// Makes transfers over as many connections as single charges are on their way. SQLite takes one at a time, so there they share one.
    pub fn make(&mut self, transfers: usize) -> Sample {
        let each = i64::try_from(transfers / AT_ONCE).expect("not that many");
        let first = self.next;
        self.next += each * AT_ONCE as i64;
        let spans: Vec<(i64, i64)> = (0..AT_ONCE as i64).map(|lane| (first + lane * each, first + (lane + 1) * each)).collect();
        match self.url.strip_prefix("sqlite:") {
            Some(path) => {
                let base = Mutex::new(sqlite(path));
                drive(transfers, spans, |(from, to)| {
                    let one =
                        |id| timed(|| base.lock().expect("a turn").execute_batch(&transfer("BEGIN IMMEDIATE", id)).expect("a transfer")).0;
                    (from..to).map(one).collect()
                })
            }
            None => {
                let connect = |span| (span, PgConnection::establish(&self.url).expect("a connection"));
                drive(transfers, spans.into_iter().map(connect).collect(), |((from, to), mut base)| {
                    (from..to).map(|id| timed(|| base.batch_execute(&transfer("BEGIN", id)).expect("a transfer")).0).collect()
                })
            }
        }
    }
}

fn sqlite(path: &str) -> rusqlite::Connection {
    let base = rusqlite::Connection::open(path).expect("a database");
    base.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=60000;").expect("settings");
    base
}

/// The lower account first, so that no two transfers wait for each other.
fn transfer(begin: &str, id: i64) -> String {
    let (a, b) = (id % (ACCOUNTS / 2), ACCOUNTS / 2 + id % 31);
    format!(
        "{begin}; INSERT INTO transfers VALUES ({id}, {a}, {b}, 7); UPDATE balances SET balance = balance - 7 WHERE account = {a};
         UPDATE balances SET balance = balance + 7 WHERE account = {b}; COMMIT"
    )
}
