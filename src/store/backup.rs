//! Backups: all the books in one file, from one snapshot, whichever database they are kept in, and their log with them.
//!
//! The file is a SQLite database of this program's own schema, so that it can be verified, exported and looked at like any other books, and
//! so that books move between databases by a backup and a restore. Beside the books it says what it is, and keeps key files where it was
//! told to. It is written under another name and appears whole or not at all. It may not know what the tables hold. Bounds: those of `copy`;
//! while it is made a reader keeps its snapshot, for which SQLite's log grows.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Binary, Text};

use super::copy::{self, Copied};
use super::migrate::{self, Part};
use super::{Conn, Database, Fault};

/// What the file says of itself; the number of its format.
const FORMAT: i64 = 1;
/// Tables of the file alone.
const OWN: &str = "backup_";
const OWN_TABLES: &str = "CREATE TABLE backup_about (format BIGINT NOT NULL, program TEXT NOT NULL, made_at TEXT NOT NULL);
    CREATE TABLE backup_keys (name TEXT NOT NULL PRIMARY KEY, content BLOB NOT NULL);";

/// A key file: its name in the folder of the keys, and what it holds.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub content: Vec<u8>,
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyFile({})", self.name)
    }
}

/// Tables of the log: where SQLite keeps it in a file of its own they are copied apart from the books'.
fn of_log(table: &str) -> bool {
    table.starts_with("log_")
}

fn of_books(table: &str) -> bool {
    !table.starts_with(OWN) && !of_log(table)
}

/// A file that is being written: it has another name until it is whole.
struct Partial {
    path: PathBuf,
    kept: bool,
}

impl Partial {
    /// Beside the file that it will be.
    fn of(file: &Path) -> Partial {
        let mut path = file.as_os_str().to_owned();
        path.push(format!(".{}.partial", std::process::id()));
        Partial { path: path.into(), kept: false }
    }

    /// Gives it its name, never another file's, once it is on the disk.
    fn keep(mut self, file: &Path) -> io::Result<()> {
        File::open(&self.path)?.sync_all()?;
        fs::hard_link(&self.path, file)?;
        self.kept = true;
        fs::remove_file(&self.path)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        for ending in ["", "-wal", "-shm", "-journal"] {
            let mut path = self.path.as_os_str().to_owned();
            path.push(ending);
            if !self.kept || !ending.is_empty() {
                // What is wrong is being said already; a leftover is harmless.
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn failed(file: &Path, error: &io::Error) -> Fault {
    Fault::Internal(format!("{}: {error}", file.display()))
}

/// Refuses a file that is there.
fn expect_none(file: &Path) -> Result<(), Fault> {
    match file.try_exists() {
        Ok(false) => Ok(()),
        Ok(true) => Err(Fault::Internal(format!("{} exists, and nothing is ever overwritten", file.display()))),
        Err(error) => Err(failed(file, &error)),
    }
}

/// Makes a SQLite file of these parts of the program's schema, lets it be filled, and gives it its name when all of it is on the disk.
fn make_file<T>(file: &Path, parts: &[Part], fill: impl FnOnce(&mut Conn) -> Result<T, Fault>) -> Result<T, Fault> {
    expect_none(file)?;
    let partial = Partial::of(file);
    // Made here first, so that nobody else can ever read what is in it.
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&partial.path).map_err(|error| failed(&partial.path, &error))?;
    let mut conn = Database::Sqlite(partial.path.clone()).connect()?;
    // Nothing is lost if this file is: it has no name yet.
    conn.batch("PRAGMA synchronous=OFF; PRAGMA foreign_keys=OFF;")?;
    for part in parts {
        migrate::up_part(&mut conn, *part)?;
    }
    conn.batch("BEGIN IMMEDIATE")?;
    let filled = fill(&mut conn)?;
    conn.batch("COMMIT; PRAGMA journal_mode=DELETE;")?;
    drop(conn);
    partial.keep(file).map_err(|error| failed(file, &error))?;
    Ok(filled)
}

/// Copies the log of books into a backup, as it was before the books are looked at: it says nothing that is not in them.
fn copy_log(from: &Database, to: &mut Conn) -> Result<Copied, Fault> {
    match from.find_beside("log", "log_leaves")? {
        Some(log) => log.connect()?.snapshot(|from| copy::copy(from, to, of_log)),
        // One that has not begun is an empty one.
        None => copy::read(to, of_log),
    }
}

/// Writes books and log to a file, each from one snapshot, with these keys. `check` looks at what was written before it counts.
pub fn write(
    from: &Database,
    file: &Path,
    made_at: &str,
    keys: &[KeyFile],
    check: impl FnOnce(&mut Conn) -> Result<(), Fault>,
) -> Result<Copied, Fault> {
    make_file(file, &[Part::Books, Part::Log], |to| {
        let log = copy_log(from, to)?;
        let copied = from.connect()?.snapshot(|from| copy::copy(from, to, of_books))?.and(log);
        to.batch(OWN_TABLES)?;
        let Conn::Sqlite(c) = &mut *to else { return Err(Fault::Internal("a backup is a file of SQLite".into())) };
        sql_query("INSERT INTO backup_about (format, program, made_at) VALUES ($1, $2, $3)")
            .bind::<BigInt, _>(FORMAT)
            .bind::<Text, _>(env!("CARGO_PKG_VERSION"))
            .bind::<Text, _>(made_at)
            .execute(c)?;
        for key in keys {
            sql_query("INSERT INTO backup_keys (name, content) VALUES ($1, $2)")
                .bind::<Text, _>(&key.name)
                .bind::<Binary, _>(&key.content)
                .execute(c)?;
        }
        check(to)?;
        Ok(copied)
    })
}

/// A backup that was opened.
pub struct Backup {
    /// The books in it, to be read.
    pub conn: Conn,
    /// When it was made.
    pub made_at: String,
    /// The keys in it.
    pub keys: Vec<KeyFile>,
}

#[derive(QueryableByName)]
struct About {
    #[diesel(sql_type = BigInt)]
    format: i64,
    #[diesel(sql_type = Text)]
    made_at: String,
}

#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Binary)]
    content: Vec<u8>,
}

/// Opens a backup for reading; the file stays as it is. Errors: `Fault::Schema` for one of another make; `Fault::Internal` for what is none.
pub fn open(file: &Path) -> Result<Backup, Fault> {
    let none = |why: &dyn std::fmt::Display| Fault::Internal(format!("{} is no backup of almoner: {why}", file.display()));
    if !file.is_file() {
        return Err(none(&"there is no such file"));
    }
    // By SQLite's own name for a file that is only read: percent signs, question marks and hashes have a meaning there.
    let name = file.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let c = SqliteConnection::establish(&format!("file:{name}?mode=ro&immutable=1")).map_err(|error| none(&error))?;
    let mut conn = Conn::Sqlite(c);
    if !conn.has_table("backup_about").map_err(|fault| none(&fault))? {
        return Err(none(&"it does not say so"));
    }
    migrate::check(&mut conn)?;
    let Conn::Sqlite(c) = &mut conn else { return Err(none(&"it is no file")) };
    let about: About = sql_query("SELECT format, made_at FROM backup_about").get_result(c)?;
    if about.format != FORMAT {
        return Err(none(&format!("its format is {}", about.format)));
    }
    let keys: Vec<KeyRow> = sql_query("SELECT name, content FROM backup_keys ORDER BY name").load(c)?;
    let keys = keys.into_iter().map(|KeyRow { name, content }| KeyFile { name, content }).collect();
    Ok(Backup { conn, made_at: about.made_at, keys })
}

/// Puts the books of a backup where there are none: into a file that does not exist with the log in another beside it, or into a PostgreSQL
/// database without books; all of them or none. `check` looks at what was written before it counts.
pub fn restore(backup: &mut Backup, to: &Database, check: impl FnOnce(&mut Conn) -> Result<(), Fault>) -> Result<Copied, Fault> {
    if let (Database::Sqlite(path), Database::Sqlite(log)) = (to, to.beside("log")) {
        return restore_files(backup, path, &log, check);
    }
    let mut fill = |to: &mut Conn, wanted: fn(&str) -> bool| backup.conn.snapshot(|from| copy::copy(from, to, wanted));
    let mut conn = to.connect()?;
    // A restore that broke off has left a schema without books.
    if conn.has_table("head")? && !is_new(&mut conn)? {
        return Err(Fault::Internal(format!("there are books at {to}, and nothing is ever overwritten")));
    }
    migrate::up(&mut conn)?;
    conn.begin_turn()?;
    if !is_new(&mut conn)? {
        return Err(Fault::Internal(format!("there are books at {to}, and nothing is ever overwritten")));
    }
    let log = fill(&mut conn, of_log)?;
    let copied = fill(&mut conn, of_books)?.and(log);
    check(&mut conn)?;
    conn.batch("COMMIT")?;
    Ok(copied)
}

/// The log first: books without theirs would begin another.
fn restore_files(
    backup: &mut Backup,
    books: &Path,
    log: &Path,
    check: impl FnOnce(&mut Conn) -> Result<(), Fault>,
) -> Result<Copied, Fault> {
    expect_none(books)?;
    let found = if log.exists() { Some(left_over(backup, log)?) } else { None };
    let was_there = found.is_some();
    let mut fill = |to: &mut Conn, wanted: fn(&str) -> bool| backup.conn.snapshot(|from| copy::copy(from, to, wanted));
    let logged = found.map_or_else(|| make_file(log, &[Part::Log], |to| fill(to, of_log)), Ok)?;
    let restored = make_file(books, &[Part::Books], |to| {
        let copied = fill(to, of_books)?;
        check(to).map(|()| copied)
    });
    if restored.is_err() && !was_there {
        // A log without books is of no use to anybody.
        let _ = fs::remove_file(log);
    }
    Ok(restored?.and(logged))
}

/// The log that a restore which broke off has left, if it is the backup's.
fn left_over(backup: &mut Backup, log: &Path) -> Result<Copied, Fault> {
    let wanted = backup.conn.snapshot(|conn| copy::read(conn, of_log))?;
    let there = Database::Sqlite(log.into()).connect()?.snapshot(|conn| copy::read(conn, of_log))?;
    if there == wanted { Ok(there) } else { expect_none(log).map(|()| there) }
}

/// Whether nothing was ever written to the books.
fn is_new(conn: &mut Conn) -> Result<bool, Fault> {
    #[derive(QueryableByName)]
    struct Head {
        #[diesel(sql_type = BigInt)]
        seq: i64,
    }
    let head: Head = match conn {
        Conn::Sqlite(c) => sql_query("SELECT seq FROM head").get_result(c)?,
        Conn::Postgres(c) => sql_query("SELECT seq FROM head").get_result(c)?,
    };
    Ok(head.seq == 0)
}
