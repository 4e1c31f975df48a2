//! Where the books are: the data folder with its keys, and the database. The settings that every command shares.
//!
//! It makes nothing by itself: a command that wants books where there are none is told how to make them.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::{Exit, Failure};
use crate::attest::integrate;
use crate::attest::keep::Log;
use crate::attest::signer::Keeper;
use crate::http::keys::Keys;
use crate::store::{Conn, Database, Store, migrate};
use crate::time::Clock;

/// Whom tokens must be made for, unless it is set otherwise.
pub const AUDIENCE: &str = "almoner";

/// The settings that every command shares.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// Folder of the database and the keys
    #[arg(long, global = true, value_name = "DIR", env = "ALMONER_DATA", default_value = "./almoner-data", help_heading = "Everywhere")]
    pub data: PathBuf,
    /// Database: sqlite:PATH or postgres://USER@HOST/NAME [default: almoner.db in the data folder]
    #[arg(long, global = true, value_name = "URL", env = "ALMONER_DATABASE", hide_env_values = true, help_heading = "Everywhere")]
    pub database: Option<String>,
    /// Print data as JSON
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,
}

impl Place {
    /// Which database it is. Fails with `Configuration` when its URL can't be read.
    pub fn database(&self) -> Result<Database, Failure> {
        match &self.database {
            Some(url) => Database::parse(url).map_err(|why| Failure::new(Exit::Configuration, why)),
            None => Ok(Database::in_folder(&self.data)),
        }
    }

    /// The folder of the keys.
    pub fn key_folder(&self) -> PathBuf {
        self.data.join("keys")
    }

    /// The private key of the local issuer.
    pub fn local_key(&self) -> PathBuf {
        self.key_folder().join("local.pk8")
    }

    /// The key files of identity providers: every `.json` beside the local key, in the order of their names.
    pub fn provider_keys(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.key_folder()).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> =
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
        files.sort();
        files
    }

    /// Whom tokens must be made for.
    pub fn audience(&self) -> &'static str {
        AUDIENCE
    }

    /// All keys there are: the local issuer's, if it was made, and those of identity providers.
    pub fn keys(&self) -> Result<Keys, Failure> {
        let wrong = |words: String| Failure::new(Exit::Configuration, words);
        let mut keys = Keys::new(self.audience());
        if self.local_key().exists() {
            keys = keys.with_local(&self.local_key(), None).map_err(wrong)?;
        }
        for path in self.provider_keys() {
            let named = |why: &dyn std::fmt::Display| wrong(format!("{}: {why}", path.display()));
            let text = fs::read(&path).map_err(|e| named(&e))?;
            keys = keys.with_file(&text).map_err(|why| named(&why))?;
        }
        Ok(keys)
    }

    /// A connection to a database that may be empty; one in a file must be there, unless it may be made.
    pub fn connect(&self, make: bool) -> Result<Conn, Failure> {
        let database = self.database()?;
        if let (Database::Sqlite(path), false) = (&database, make)
            && !is_there(path)
        {
            return Err(self.no_books(&database));
        }
        database.connect().map_err(|fault| Failure::new(Exit::Database, fault.to_string()))
    }

    /// A connection to books whose schema is the program's own.
    pub fn books(&self) -> Result<Conn, Failure> {
        let mut conn = self.connect(false)?;
        if !conn.has_table("head")? {
            return Err(self.no_books(&self.database()?));
        }
        migrate::check(&mut conn)?;
        match migrate::pending(&mut conn)?.as_slice() {
            [] => Ok(conn),
            steps => {
                let words = format!("The schema lacks {}.\nRun almoner migrate first.", steps.join(", "));
                Err(Failure::new(Exit::Database, words))
            }
        }
    }

    /// The books, open for reading and writing.
    pub fn open(&self) -> Result<Store, Failure> {
        drop(self.books()?);
        Store::open_as_is(&self.database()?, Clock::system()).map_err(|fault| Failure::new(Exit::Database, fault.to_string()))
    }

    /// The books' log, made if there is none, and the key that keeps it; no key where another data folder has it.
    pub fn log(&self, name: Option<&str>) -> Result<(Log, Option<Keeper>), Failure> {
        let log = Log::open(&self.database()?)?;
        let keeper = integrate::keeper(&log, &self.key_folder(), name)?;
        Ok((log, keeper))
    }

    fn no_books(&self, database: &Database) -> Failure {
        Failure::new(
            Exit::Configuration,
            format!("There are no books at {database}.\nMake them with almoner init, or name others with --data or --database."),
        )
    }
}

/// Whether SQLite would open something that exists; its own URIs are left to it.
fn is_there(path: &Path) -> bool {
    path.exists() || path.to_string_lossy().starts_with("file:")
}
