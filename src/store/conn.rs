//! One connection type over both databases, and the macro that writes each query once for both.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use super::checkpoint::{LOG_PAGES, PAGE_BYTES};
use super::{Birth, Fault};

/// A connection to either database.
pub enum Conn {
    /// The embedded default.
    Sqlite(SqliteConnection),
    /// For more than one machine or process.
    Postgres(PgConnection),
}

/// Runs one piece of diesel on whichever connection it is: written once, type-checked against both.
#[macro_export]
macro_rules! on {
    ($conn:expr, $c:ident => $body:expr) => {
        match $conn {
            $crate::store::Conn::Sqlite($c) => $body,
            $crate::store::Conn::Postgres($c) => $body,
        }
    };
}

/// What stands in one column beside these keys, by key: some thousand keys a question, since a statement binds no more than so many values.
#[macro_export]
macro_rules! looked_up {
    ($conn:expr, $table:ident, $key:ident => $value:ident, $keys:expr) => {{
        let keys: &[i64] = $keys;
        let mut found = std::collections::HashMap::with_capacity(keys.len());
        for some in keys.chunks(1000) {
            let asked = $table::table.filter($table::$key.eq_any(some)).select(($table::$key, $table::$value));
            let rows: Vec<(i64, String)> = $crate::on!($conn, c => asked.load(c))?;
            found.extend(rows);
        }
        found
    }};
}

/// Where the books are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// A file, or a URI of SQLite's own (`file:books?mode=memory&cache=shared`).
    Sqlite(PathBuf),
    /// A libpq URL.
    Postgres(String),
}

impl Database {
    /// Reads `sqlite:PATH`, `postgres://…` or `postgresql://…`. Anything else is refused: a mistyped PostgreSQL URL must not
    /// open a file of that name.
    pub fn parse(url: &str) -> Result<Database, String> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Database::Postgres(url.into()));
        }
        match url.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => Ok(Database::Sqlite(path.into())),
            _ => Err(format!("{url:?} is no database; use sqlite:PATH or postgres://USER@HOST/NAME")),
        }
    }

    /// The file of that name in a data folder.
    pub fn in_folder(folder: &Path) -> Database {
        Database::Sqlite(folder.join("almoner.db"))
    }

    /// Where what goes with the books but is not theirs is kept: in a SQLite file of its own beside theirs, whose commits never wait for the
    /// writer's lock nor the writer for them; on PostgreSQL in the same database.
    pub fn beside(&self, word: &str) -> Database {
        let Database::Sqlite(path) = self else { return self.clone() };
        let text = path.to_string_lossy();
        // What follows is a URI's own.
        let (file, rest) = text.split_once('?').map_or((text.as_ref(), String::new()), |(file, rest)| (file, format!("?{rest}")));
        let (stem, ending) = file.rsplit_once(".db").map_or((file, ""), |(stem, more)| (stem, if more.is_empty() { ".db" } else { "" }));
        let stem = if ending.is_empty() { file } else { stem };
        Database::Sqlite(format!("{stem}-{word}{ending}{rest}").into())
    }

    /// Where a table stands that goes with the books: in their own database, or in the one beside it. `None` where it was not made.
    pub fn find_beside(&self, word: &str, table: &str) -> Result<Option<Database>, Fault> {
        for database in [self.clone(), self.beside(word)] {
            if let Database::Sqlite(path) = &database
                && !path.exists()
                && !path.to_string_lossy().starts_with("file:")
            {
                continue;
            }
            if database.connect()?.has_table(table)? {
                return Ok(Some(database));
            }
        }
        Ok(None)
    }

    /// Opens a connection, set for durable commits.
    pub fn connect(&self) -> Result<Conn, Fault> {
        let failed = |e: diesel::ConnectionError| Fault::Internal(format!("can't open {self}: {e}"));
        match self {
            Database::Sqlite(path) => {
                let mut conn = SqliteConnection::establish(&path.to_string_lossy()).map_err(failed)?;
                // Waits for other processes' commits; WAL lets readers go on; FULL makes a commit survive a power cut.
                conn.batch_execute(&format!(
                    "PRAGMA busy_timeout=60000; PRAGMA page_size={PAGE_BYTES}; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;
                     PRAGMA wal_autocheckpoint={LOG_PAGES}; PRAGMA cache_size=-{CACHE}; PRAGMA temp_store=MEMORY;
                     PRAGMA recursive_triggers=ON;",
                ))?;
                Ok(Conn::Sqlite(conn))
            }
            Database::Postgres(url) => {
                let mut conn = PgConnection::establish(url).map_err(failed)?;
                conn.batch_execute("SET synchronous_commit=on; SET timezone='UTC'; SET client_min_messages=warning;")?;
                Ok(Conn::Postgres(conn))
            }
        }
    }
}

impl fmt::Display for Database {
    /// Without a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Database::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Database::Postgres(url) => match (url.split_once("://"), url.rsplit_once('@')) {
                (Some((scheme, _)), Some((_, host))) => write!(f, "{scheme}://…@{host}"),
                _ => f.write_str(url),
            },
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// KiB of a SQLite file that a connection keeps in memory, while it reads all of it, and where it is the writer's, which must hold all that
/// one commit changes. There are many connections, and a server is to stay below 300 MiB whatever it is sent.
const CACHE: i32 = 8192;
const SCANNED: i32 = 4096;
const WRITER: i32 = 32_768;

/// How long a writer waits for its turn among the processes.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it sleeps between two tries to get SQLite's lock.
const PAUSE: Duration = Duration::from_micros(200);

/// SQLite's own waiting sleeps up to 100 ms between two tries and so hardly ever meets the short pause between two commits of a busy
/// process, which would keep all others out until it has nothing left to write. Who takes the write lock by `take_lock` does without.
const IMPATIENT: &str = "PRAGMA busy_timeout=0";
const PATIENT: &str = "PRAGMA busy_timeout=60000";

/// Takes SQLite's write lock, on a connection that is impatient.
fn take_lock(c: &mut SqliteConnection, patience: Duration) -> Result<(), Fault> {
    let begun = Instant::now();
    loop {
        match c.batch_execute("BEGIN IMMEDIATE") {
            Err(diesel::result::Error::DatabaseError(_, why)) if why.message().contains("locked") && begun.elapsed() < patience => {
                std::thread::sleep(PAUSE);
            }
            taken => return Ok(taken?),
        }
    }
}

mod tables {
    diesel::table! {
        head (one) { one -> BigInt, seq -> BigInt, stamp -> BigInt, stopped -> Nullable<Text>, }
    }
}
use tables::head;

/// What a turn among the processes finds: whatever is decided in it stands on that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Turn {
    /// Where the journal ends.
    pub head: Birth,
    /// Why nothing is written any more, if that is so.
    pub stopped: Option<String>,
}

impl Conn {
    /// Sets a connection for the writer. It asks PostgreSQL for few rows by their keys, of tables that grow too fast for its statistics:
    /// a plan made while a table was small would read all of it later.
    pub(super) fn for_writing(mut self) -> Result<Conn, Fault> {
        match &mut self {
            Conn::Sqlite(c) => c.batch_execute(&format!("{IMPATIENT}; PRAGMA cache_size=-{WRITER}"))?,
            Conn::Postgres(c) => {
                c.batch_execute("SET enable_seqscan=off; SET enable_hashjoin=off; SET enable_mergejoin=off; SET jit=off;")?;
            }
        }
        Ok(self)
    }

    /// Begins a snapshot, which is to be rolled back.
    pub(super) fn begin_snapshot(&mut self) -> Result<(), Fault> {
        match self {
            Conn::Sqlite(c) => c.batch_execute("BEGIN DEFERRED")?,
            Conn::Postgres(c) => c.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?,
        }
        Ok(())
    }

    /// Runs a look at the books in one snapshot, rolled back afterwards.
    pub fn snapshot<T>(&mut self, look: impl FnOnce(&mut Conn) -> Result<T, Fault>) -> Result<T, Fault> {
        self.begin_snapshot()?;
        let seen = look(self);
        self.batch("ROLLBACK")?;
        seen
    }

    /// The same for who reads whole tables from one end to the other: pages that SQLite has read are soon given up for the next ones, since to
    /// take memory for all of them costs more than to read them.
    pub fn scan<T>(&mut self, look: impl FnOnce(&mut Conn) -> Result<T, Fault>) -> Result<T, Fault> {
        let keep = |conn: &mut Conn, kibibytes: i32| match conn {
            Conn::Sqlite(c) => c.batch_execute(&format!("PRAGMA cache_size=-{kibibytes}")),
            Conn::Postgres(_) => Ok(()),
        };
        keep(self, SCANNED)?;
        let seen = self.snapshot(look);
        keep(self, CACHE)?;
        seen
    }

    /// Begins the writer's transaction, waiting for its turn among the processes, and reads the head.
    pub(super) fn begin_turn(&mut self) -> Result<Turn, Fault> {
        self.begin_turn_within(PATIENCE)
    }

    /// A turn whose head can't be read is given back at once, so that it keeps nobody out.
    fn begin_turn_within(&mut self, patience: Duration) -> Result<Turn, Fault> {
        let asked = head::table.select((head::seq, head::stamp, head::stopped));
        let found: QueryResult<(i64, i64, Option<String>)> = match self {
            Conn::Sqlite(c) => {
                take_lock(c, patience)?;
                asked.get_result(c)
            }
            Conn::Postgres(c) => {
                // The row lock is the turn: who holds it is the one writer until the commit.
                c.batch_execute("BEGIN")?;
                asked.for_update().get_result(c)
            }
        };
        if found.is_err() {
            // If even this fails the connection is broken, and is replaced by who owns it.
            let _ = self.batch("ROLLBACK");
        }
        let (seq, stamp, stopped) = found?;
        Ok(Turn { head: Birth { seq, stamp }, stopped })
    }

    /// Why nothing is written any more, if that is so.
    pub fn stopped(&mut self) -> Result<Option<String>, Fault> {
        Ok(on!(self, c => head::table.select(head::stopped).get_result(c))?)
    }

    /// Stops the writing of every process, or lets it go on. To be called in a turn of the writer.
    pub fn set_stopped(&mut self, why: Option<&str>) -> Result<(), Fault> {
        on!(self, c => diesel::update(head::table).set(head::stopped.eq(why)).execute(c))?;
        Ok(())
    }

    /// Whether the writer's turn can be had within 2 s; it is given back at once. The connection is good for nothing else afterwards.
    pub fn try_turn(&mut self) -> Result<(), Fault> {
        self.batch(if matches!(self, Conn::Sqlite(_)) { IMPATIENT } else { "SET lock_timeout='2s'" })?;
        self.begin_turn_within(Duration::from_secs(2))?;
        self.batch("ROLLBACK")
    }

    /// Ends the writer's transaction with the new head. Durable when it returns.
    pub(super) fn commit_turn(&mut self, to: Birth) -> Result<(), Fault> {
        self.batch(&format!("UPDATE head SET seq = {}, stamp = {}; COMMIT", to.seq, to.stamp))
    }

    /// Runs what writes in one transaction of its own, alone among those who take the same turn: on SQLite by the lock of the file, on
    /// PostgreSQL by a lock of that number, so that the books' writer does not wait. Durable when it returns.
    pub fn alone<T>(&mut self, turn: i64, write: impl FnOnce(&mut Conn) -> Result<T, Fault>) -> Result<T, Fault> {
        match self {
            Conn::Sqlite(c) => {
                c.batch_execute(IMPATIENT)?;
                let taken = take_lock(c, PATIENCE);
                c.batch_execute(PATIENT)?;
                taken?;
            }
            Conn::Postgres(c) => {
                c.batch_execute("BEGIN")?;
                sql_query("SELECT pg_advisory_xact_lock($1)").bind::<BigInt, _>(turn).execute(c)?;
            }
        }
        match write(self) {
            Ok(done) => self.batch("COMMIT").map(|()| done),
            Err(fault) => {
                // If even this fails the connection is broken, and the next use of it says so.
                let _ = self.batch("ROLLBACK");
                Err(fault)
            }
        }
    }

    /// Runs statements without results.
    pub fn batch(&mut self, sql: &str) -> Result<(), Fault> {
        Ok(on!(self, c => c.batch_execute(sql))?)
    }

    /// Writes so that what is taken away is overwritten in the file: SQLite leaves it there otherwise. PostgreSQL lets go of it by VACUUM.
    pub fn overwriting<T>(&mut self, write: impl FnOnce(&mut Conn) -> Result<T, Fault>) -> Result<T, Fault> {
        if let Conn::Postgres(_) = self {
            return write(self);
        }
        self.batch("PRAGMA secure_delete=ON")?;
        let done = write(self);
        self.batch("PRAGMA secure_delete=OFF")?;
        done
    }

    /// Whether the tables exist that a migration would make.
    pub fn has_table(&mut self, name: &str) -> Result<bool, Fault> {
        #[derive(diesel::QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            n: i64,
        }
        let found: Count = match self {
            Conn::Sqlite(c) => sql_query("SELECT count(*) AS n FROM sqlite_master WHERE name = $1").bind::<Text, _>(name).get_result(c)?,
            Conn::Postgres(c) => sql_query("SELECT count(*) AS n FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1")
                .bind::<Text, _>(name)
                .get_result(c)?,
        };
        Ok(found.n > 0)
    }
}
