//! How a run of the program ends: one of seven codes, and what is said when it was not done.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::refusal::Refusal;
use crate::store::Fault;

/// The program's exit codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// All was done.
    Done = 0,
    /// It was not done.
    Error = 1,
    /// The command line can't be read.
    Usage = 2,
    /// It was done, but some records were refused or set aside.
    Rejected = 3,
    /// The books or proofs do not hold.
    Broken = 4,
    /// The settings, the data folder or the keys are not in order.
    Configuration = 5,
    /// The database can't be used.
    Database = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// What to do about a database of another make.
pub const OTHER_SCHEMA: &str =
    "Use the almoner that made it, which can also export it; or make new books with almoner init in another place.";

/// Why a command was not done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The code to end with.
    pub exit: Exit,
    /// What is said on standard error: what is wrong, and in further lines what to do about it.
    pub words: String,
}

impl Failure {
    /// A failure of that kind, in words.
    pub fn new(exit: Exit, words: impl Into<String>) -> Failure {
        Failure { exit, words: words.into() }
    }

    /// `Exit::Error`, in words.
    pub fn error(words: impl Into<String>) -> Failure {
        Failure::new(Exit::Error, words)
    }

    /// A file that can't be read or written.
    pub fn file(path: &std::path::Path, error: &io::Error) -> Failure {
        Failure::error(format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::error(format!("{}\n{}", refusal.detail, refusal.code.remedy()))
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        match fault {
            Fault::Refused(refusal) => Failure::from(*refusal),
            Fault::Database(_) => Failure::new(Exit::Database, fault.to_string()),
            Fault::Schema(text) => Failure::new(Exit::Database, format!("{text}\n{OTHER_SCHEMA}")),
            Fault::Internal(text) => Failure::error(text),
            Fault::Undone | Fault::Overtaken => Failure::error(fault.to_string()),
        }
    }
}

/// Standard output that can't be written to.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::error(format!("standard output: {error}"))
    }
}
