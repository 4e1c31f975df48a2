//! The schema, embedded: one text for both databases, with two type words replaced and the guards that differ in files of their own.
//!
//! Beside each step that was taken stands a fingerprint of its text, so that a program never works on a schema of the same name and
//! another make.

use std::collections::HashMap;

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

const STEPS: &[Step] = &[Step {
    name: "0001_books",
    up: include_str!("../../migrations/0001_books/up.sql"),
    down: include_str!("../../migrations/0001_books/down.sql"),
    guards_sqlite: include_str!("../../migrations/0001_books/guards.sqlite.sql"),
    guards_postgres: include_str!("../../migrations/0001_books/guards.postgres.sql"),
}];

/// What the words of the common text are called in one database.
trait Dialect: Backend {
    /// `KEY`: a 64-bit primary key; SQLite makes it the row's own number only under this spelling.
    const KEY: &'static str;
    /// `BYTES`.
    const BYTES: &'static str;
    /// `CLUSTERED`: PostgreSQL has no such tables.
    const CLUSTERED: &'static str;
    fn guards(step: &Step) -> &'static str;
}

impl Dialect for Sqlite {
    const KEY: &'static str = "INTEGER PRIMARY KEY";
    const BYTES: &'static str = "BLOB";
    const CLUSTERED: &'static str = " WITHOUT ROWID";
    fn guards(step: &Step) -> &'static str {
        step.guards_sqlite
    }
}

impl Dialect for Pg {
    const KEY: &'static str = "BIGINT PRIMARY KEY";
    const BYTES: &'static str = "BYTEA";
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
        Sha256::digest(self.text::<D>()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

struct Source;
struct Bound(&'static Step);
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
        Ok(STEPS.iter().map(|step| Box::new(Bound(step)) as Box<dyn Migration<D>>).collect())
    }
}

impl Bound {
    const NAMES: [Name; 1] = [Name(STEPS[0].name)];
}

impl<D: Dialect> Migration<D> for Bound {
    fn run(&self, conn: &mut dyn BoxableConnection<D>) -> diesel::migration::Result<()> {
        conn.batch_execute(&self.0.text::<D>())?;
        // Both are words of our own, so they may stand in the statement as they are.
        let (name, fingerprint) = (self.0.name, self.0.fingerprint::<D>());
        Ok(conn.batch_execute(&format!("INSERT INTO steps (name, fingerprint) VALUES ('{name}', '{fingerprint}')"))?)
    }

    fn revert(&self, conn: &mut dyn BoxableConnection<D>) -> diesel::migration::Result<()> {
        Ok(conn.batch_execute(self.0.down)?)
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        &Metadata
    }

    fn name(&self) -> &dyn MigrationName {
        let found = Bound::NAMES.iter().find(|name| name.0 == self.0.name);
        found.unwrap_or(&Bound::NAMES[0])
    }
}

/// The number by which processes that migrate the same PostgreSQL database at the same time take turns.
const TURN: &str = "SELECT pg_advisory_xact_lock(4775107)";

/// Brings the schema up to date; the names of the steps taken.
pub fn up(conn: &mut Conn) -> Result<Vec<String>, Fault> {
    check(conn)?;
    let taken = alone(conn, |c| Ok(names(c.run_pending_migrations(Source)?)), |c| Ok(names(c.run_pending_migrations(Source)?)))?;
    // Another make may have come first while this one waited.
    check(conn)?;
    Ok(taken)
}

/// Takes the whole schema down again, with everything in it; the names of the steps taken back.
pub fn down(conn: &mut Conn) -> Result<Vec<String>, Fault> {
    check(conn)?;
    alone(conn, |c| Ok(names(c.revert_all_migrations(Source)?)), |c| Ok(names(c.revert_all_migrations(Source)?)))
}

/// The whole names of steps, of which the database keeps only the numbers.
fn names(versions: Vec<MigrationVersion<'_>>) -> Vec<String> {
    let whole = |version| STEPS.iter().find(|step| Name(step.name).version() == version).map(|step| step.name.to_string());
    versions.into_iter().filter_map(whole).collect()
}

/// Refuses a database that was made from another text than this program's: under a schema that only bears the same name it would
/// fail later, in the middle of something.
pub fn check(conn: &mut Conn) -> Result<(), Fault> {
    if !conn.has_table("head")? {
        return Ok(());
    }
    let texts: Vec<(&str, String)> = match conn {
        Conn::Sqlite(_) => STEPS.iter().map(|step| (step.name, step.fingerprint::<Sqlite>())).collect(),
        Conn::Postgres(_) => STEPS.iter().map(|step| (step.name, step.fingerprint::<Pg>())).collect(),
    };
    let kept = if conn.has_table("steps")? { fingerprints(conn)? } else { HashMap::new() };
    let missing = pending(conn)?;
    let unknown = kept.keys().map(String::as_str).filter(|name| !texts.iter().any(|(known, _)| known == name));
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

/// The names of the steps not yet taken.
pub fn pending(conn: &mut Conn) -> Result<Vec<String>, Fault> {
    let names = match conn {
        Conn::Sqlite(c) => {
            MigrationHarness::<Sqlite>::pending_migrations(c, Source).map(|m| m.iter().map(|m| m.name().to_string()).collect())
        }
        Conn::Postgres(c) => {
            MigrationHarness::<Pg>::pending_migrations(c, Source).map(|m| m.iter().map(|m| m.name().to_string()).collect())
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
