//! Fresh databases: a SQLite file in a folder of its own, and a PostgreSQL database that is dropped at the end.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use tempfile::TempDir;

use super::skipped;

/// Names the PostgreSQL server, as a superuser's URL.
const POSTGRES: &str = "ALMONER_TEST_POSTGRES";

/// An empty database, gone when this is dropped.
pub struct TestDatabase {
    /// `SQLite` or `PostgreSQL`, to say which one failed.
    pub kind: &'static str,
    /// What `--database` takes.
    pub url: String,
    folder: TempDir,
    server: Option<Made>,
}

struct Made {
    admin: String,
    name: String,
}

/// One database of every kind: each test that touches the store runs on all of them.
pub fn databases() -> Vec<TestDatabase> {
    [Some(sqlite()), postgres()].into_iter().flatten().collect()
}

/// A SQLite file that does not exist yet.
pub fn sqlite() -> TestDatabase {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite:{}", folder.path().join("almoner.db").display());
    TestDatabase { kind: "SQLite", url, folder, server: None }
}

/// A new database on the PostgreSQL server under test; `None` where there is no server, which is said.
pub fn postgres() -> Option<TestDatabase> {
    let Ok(admin) = std::env::var(POSTGRES) else {
        skipped("on PostgreSQL", "ALMONER_TEST_POSTGRES names no server; tests/run starts one");
        return None;
    };
    let name = fresh_name();
    // template0: nobody is ever connected to it, so tests can create databases at the same time.
    command(&admin, &format!("CREATE DATABASE {name} TEMPLATE template0"));
    let url = with_database(&admin, &name);
    let folder = tempfile::tempdir().expect("a temporary folder");
    Some(TestDatabase { kind: "PostgreSQL", url, folder, server: Some(Made { admin, name }) })
}

impl TestDatabase {
    /// A folder that lives as long as the database: the server's data folder, files to import.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Some(made) = &self.server else { return };
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", made.name);
        // Inside a failing test a second panic would hide the first.
        if std::thread::panicking() {
            let _ = PgConnection::establish(&made.admin).map(|mut c| c.batch_execute(&drop));
        } else {
            command(&made.admin, &drop);
        }
    }
}

fn command(url: &str, sql: &str) {
    let mut connection = PgConnection::establish(url).unwrap_or_else(|e| panic!("{url}: {e}"));
    connection.batch_execute(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
}

/// A name that no other test takes, in this process or another.
fn fresh_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock past 1970").as_nanos();
    format!("almoner_{nanos}_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// `postgres://user@host:port/other?x=y` with the database's name exchanged.
fn with_database(url: &str, name: &str) -> String {
    let (address, options) = url.split_once('?').map_or((url, String::new()), |(a, o)| (a, format!("?{o}")));
    let authority = address.find("://").map_or(0, |at| at + 3);
    let end = address[authority..].find('/').map_or(address.len(), |at| authority + at);
    format!("{}/{name}{options}", &address[..end])
}
