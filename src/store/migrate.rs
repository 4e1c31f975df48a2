//! The schema, embedded: one text for both databases, with two type words replaced and the guards that differ in files of their own.

use diesel::backend::Backend;
use diesel::connection::BoxableConnection;
use diesel::migration::{Migration, MigrationMetadata, MigrationName, MigrationSource, MigrationVersion};
use diesel::pg::Pg;
use diesel::sqlite::Sqlite;
use diesel::{Connection, PgConnection, SqliteConnection};
use diesel_migrations::MigrationHarness;

use super::{Conn, Fault};

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
        let text = self.0.up.replace("{KEY}", D::KEY).replace("{BYTES}", D::BYTES).replace("{CLUSTERED}", D::CLUSTERED);
        conn.batch_execute(&text)?;
        Ok(conn.batch_execute(D::guards(self.0))?)
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
    alone(
        conn,
        |c| Ok(c.run_pending_migrations(Source)?.iter().map(ToString::to_string).collect()),
        |c| Ok(c.run_pending_migrations(Source)?.iter().map(ToString::to_string).collect()),
    )
}

/// Takes the whole schema down again, with everything in it.
pub fn down(conn: &mut Conn) -> Result<Vec<String>, Fault> {
    alone(
        conn,
        |c| Ok(c.revert_all_migrations(Source)?.iter().map(ToString::to_string).collect()),
        |c| Ok(c.revert_all_migrations(Source)?.iter().map(ToString::to_string).collect()),
    )
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
            diesel::RunQueryDsl::execute(diesel::sql_query(TURN), c)?;
            postgres(c).map_err(failed)
        }),
    }
}
