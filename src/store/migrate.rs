//! The schema, embedded: that of the books and that of their log, one text for both databases, with two type words replaced and the guards that differ in files of their own.
//!
//! Beside each step that was taken stands a fingerprint of its text, so that a program never works on a schema of the same name and
//! another make.

use std::collections::HashMap;

use aws_lc_rs::rand;
use diesel::backend::Backend;
use diesel::connection::BoxableConnection;
use diesel::migration::{Migration, MigrationMetadata, MigrationName, MigrationSource, MigrationVersion};
use diesel::pg::Pg;
use diesel::sqlite::Sqlite;
use diesel::{Connection, PgConnection, RunQueryDsl, SqliteConnection};
use diesel_migrations::MigrationHarness;
use sha2::{Digest, Sha256};

use super::{Conn, Fault, on};

mod tables {
    diesel::table! {
        steps (name) { name -> Text, fingerprint -> Text, }
    }
}
use tables::steps;

/// One step of the schema.
struct Step {
    name: &'static str,
    up: &'static str,
    down: &'static str,
    guards_sqlite: &'static str,
    guards_postgres: &'static str,
}

macro_rules! step {
    ($name:literal) => {
        Step {
            name: $name,
            up: include_str!(concat!("../../migrations/", $name, "/up.sql")),
            down: include_str!(concat!("../../migrations/", $name, "/down.sql")),
            guards_sqlite: include_str!(concat!("../../migrations/", $name, "/guards.sqlite.sql")),
            guards_postgres: include_str!(concat!("../../migrations/", $name, "/guards.postgres.sql")),
        }
    };
}

const BOOKS: &[Step] = &[step!("0001_books")];
const LOG: &[Step] = &[step!("0002_log")];
const ALL: &[Step] = &[step!("0001_books"), step!("0002_log")];

/// What a database is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The books.
    Books,
    /// Their log.
    Log,
}

impl Part {
    /// The steps of its schema: SQLite keeps the log in a file of its own, PostgreSQL both in one database.
    fn steps(self, conn: &Conn) -> &'static [Step] {
        match (conn, self) {
            (Conn::Postgres(_), _) => ALL,
            (_, Part::Books) => BOOKS,
            (_, Part::Log) => LOG,
        }
    }

    /// A table that is there once its first step was taken.
    fn mark(self) -> &'static str {
        match self {
            Part::Books => "head",
            Part::Log => "log_leaves",
        }
    }
}

/// What the words of the common text are called in one database.
trait Dialect: Backend {
    /// `KEY`: a 64-bit primary key; SQLite makes it the row's own number only under this spelling.
    const KEY: &'static str;
    /// `BYTES`.
    const BYTES: &'static str;
    /// Around the hexadecimal digits of a byte string.
    const HEX: (&'static str, &'static str);
    /// `CLUSTERED`: PostgreSQL has no such tables.
    const CLUSTERED: &'static str;
    fn guards(step: &Step) -> &'static str;
}

impl Dialect for Sqlite {
    const KEY: &'static str = "INTEGER PRIMARY KEY";
    const BYTES: &'static str = "BLOB";
    const HEX: (&'static str, &'static str) = ("x'", "'");
    const CLUSTERED: &'static str = " WITHOUT ROWID";
    fn guards(step: &Step) -> &'static str {
        step.guards_sqlite
    }
}

impl Dialect for Pg {
    const KEY: &'static str = "BIGINT PRIMARY KEY";
    const BYTES: &'static str = "BYTEA";
    const HEX: (&'static str, &'static str) = ("'\\x", "'");
    const CLUSTERED: &'static str = "";
    fn guards(step: &Step) -> &'static str {
        step.guards_postgres
    }
}

impl Step {
    /// All that is run in one database.
    fn text<D: Dialect>(&self) -> String {
        self.up.replace("{KEY}", D::KEY).replace("{BYTES}", D::BYTES).replace("{CLUSTERED}", D::CLUSTERED) + D::guards(self)
    }

    /// SHA-256 of that text, in hexadecimal.
    fn fingerprint<D: Dialect>(&self) -> String {
        hexadecimal(&Sha256::digest(self.text::<D>()))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A new secret of the books, in hexadecimal digits.
fn fresh_secret() -> Result<String, Fault> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| Fault::Internal("the system gives no randomness".into()))?;
    Ok(hexadecimal(&bytes))
}

struct Source(&'static [Step]);
struct Bound(&'static Step, Name);
struct Name(&'static str);
struct Metadata;

impl MigrationMetadata for Metadata {}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl MigrationName for Name {
    fn version(&self) -> MigrationVersion<'_> {
        MigrationVersion::from(self.0.split('_').next().unwrap_or(self.0))
    }
}

impl<D: Dialect> MigrationSource<D> for Source {
    fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<D>>>> {
        Ok(self.0.iter().map(|step| Box::new(Bound(step, Name(step.name))) as Box<dyn Migration<D>>).collect())
    }
}

impl<D: Dialect> Migration<D> for Bound {
    fn run(&self, conn: &mut dyn BoxableConnection<D>) -> diesel::migration::Result<()> {
        conn.batch_execute(&self.0.text::<D>())?;
        // Both are words of our own, so they may stand in the statement as they are.
        let (name, fingerprint) = (self.0.name, self.0.fingerprint::<D>());
        conn.batch_execute(&format!("INSERT INTO steps (name, fingerprint) VALUES ('{name}', '{fingerprint}')"))?;
        // The log has its own; a later step leaves the secret that the first has made.
        if !BOOKS.iter().any(|step| step.name == self.0.name) {
            return Ok(());
        }
        let ((before, after), secret) = (D::HEX, fresh_secret()?);
        let insert = format!("INSERT INTO secrets (name, secret) VALUES ('handle', {before}{secret}{after}) ON CONFLICT DO NOTHING");
        Ok(conn.batch_execute(&insert)?)
    }

    fn revert(&self, conn: &mut dyn BoxableConnection<D>) -> diesel::migration::Result<()> {
        Ok(conn.batch_execute(self.0.down)?)
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        &Metadata
    }

    fn name(&self) -> &dyn MigrationName {
        &self.1
    }
}

/// The number by which processes that migrate the same PostgreSQL database at the same time take turns.
const TURN: &str = "SELECT pg_advisory_xact_lock(4775107)";

/// Brings the schema of the books up to date; the names of the steps taken.
pub fn up(conn: &mut Conn) -> Result<Vec<String>, Fault> {
    up_part(conn, Part::Books)
}

/// Brings the schema of one part up to date; the names of the steps taken.
pub fn up_part(conn: &mut Conn, part: Part) -> Result<Vec<String>, Fault> {
    check_part(conn, part)?;
    let steps = part.steps(conn);
    let sqlite = |c: &mut SqliteConnection| Ok(names(c.run_pending_migrations(Source(steps))?));
    let taken = alone(conn, sqlite, |c| Ok(names(c.run_pending_migrations(Source(steps))?)))?;
    // Another make may have come first while this one waited.
    check_part(conn, part)?;
    Ok(taken)
}

/// Takes the whole schema of the books down again, with everything in it; the names of the steps taken back.
pub fn down(conn: &mut Conn) -> Result<Vec<String>, Fault> {
    down_part(conn, Part::Books)
}

/// The same of one part.
pub fn down_part(conn: &mut Conn, part: Part) -> Result<Vec<String>, Fault> {
    check_part(conn, part)?;
    let steps = part.steps(conn);
    let sqlite = |c: &mut SqliteConnection| Ok(names(c.revert_all_migrations(Source(steps))?));
    alone(conn, sqlite, |c| Ok(names(c.revert_all_migrations(Source(steps))?)))
}

/// The whole names of steps, of which the database keeps only the numbers.
fn names(versions: Vec<MigrationVersion<'_>>) -> Vec<String> {
    let whole = |version| ALL.iter().find(|step| Name(step.name).version() == version).map(|step| step.name.to_string());
    versions.into_iter().filter_map(whole).collect()
}

/// Refuses books that were made from another text than this program's: under a schema that only bears the same name it would
/// fail later, in the middle of something.
pub fn check(conn: &mut Conn) -> Result<(), Fault> {
    check_part(conn, Part::Books)
}

/// The same of one part.
pub fn check_part(conn: &mut Conn, part: Part) -> Result<(), Fault> {
    if !conn.has_table(part.mark())? {
        return Ok(());
    }
    let steps = part.steps(conn);
    let texts: Vec<(&str, String)> = match conn {
        Conn::Sqlite(_) => steps.iter().map(|step| (step.name, step.fingerprint::<Sqlite>())).collect(),
        Conn::Postgres(_) => steps.iter().map(|step| (step.name, step.fingerprint::<Pg>())).collect(),
    };
    let kept = if conn.has_table("steps")? { fingerprints(conn)? } else { HashMap::new() };
    let missing = pending_part(conn, part)?;
    // A backup has both parts in one file.
    let unknown = kept.keys().map(String::as_str).filter(|name| !ALL.iter().any(|known| known.name == *name));
    let taken = texts.iter().filter(|(name, _)| !missing.iter().any(|step| step == name));
    let differing = taken.filter(|(name, text)| kept.get(*name) != Some(text)).map(|(name, _)| *name);
    let others: Vec<&str> = differing.chain(unknown).collect();
    if others.is_empty() {
        return Ok(());
    }
    let names = others.join(", ");
    Err(Fault::Schema(format!("the database was made by another almoner: this one has another text of {names}, or none")))
}

fn fingerprints(conn: &mut Conn) -> Result<HashMap<String, String>, Fault> {
    let rows: Vec<(String, String)> = on!(conn, c => steps::table.load(c))?;
    Ok(rows.into_iter().collect())
}

/// The names of the steps of the books' schema not yet taken.
pub fn pending(conn: &mut Conn) -> Result<Vec<String>, Fault> {
    pending_part(conn, Part::Books)
}

fn pending_part(conn: &mut Conn, part: Part) -> Result<Vec<String>, Fault> {
    let steps = part.steps(conn);
    let names = match conn {
        Conn::Sqlite(c) => {
            MigrationHarness::<Sqlite>::pending_migrations(c, Source(steps)).map(|m| m.iter().map(|m| m.name().to_string()).collect())
        }
        Conn::Postgres(c) => {
            MigrationHarness::<Pg>::pending_migrations(c, Source(steps)).map(|m| m.iter().map(|m| m.name().to_string()).collect())
        }
    };
    names.map_err(|e| Fault::Internal(format!("migration: {e}")))
}

type Steps = Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>>;

/// Lets only one process migrate at a time. What the database can't do within a transaction, no step uses.
fn alone(
    conn: &mut Conn,
    sqlite: impl FnOnce(&mut SqliteConnection) -> Steps,
    postgres: impl FnOnce(&mut PgConnection) -> Steps,
) -> Result<Vec<String>, Fault> {
    let failed = |e: Box<dyn std::error::Error + Send + Sync>| Fault::Internal(format!("migration: {e}"));
    match conn {
        Conn::Sqlite(c) => c.immediate_transaction(|c| sqlite(c).map_err(failed)),
        Conn::Postgres(c) => c.transaction(|c| {
            diesel::sql_query(TURN).execute(c)?;
            postgres(c).map_err(failed)
        }),
    }
}
