//! What can go wrong while reading or writing: a refusal for the caller, or a fault of ours for the log.

use std::fmt;

use crate::refusal::{Code, Refusal};

/// The cause of a failure. Only a refusal's text may reach a caller; the rest is for the log.
#[derive(Debug)]
pub enum Fault {
    /// A rule said no.
    Refused(Box<Refusal>),
    /// The database said no.
    Database(diesel::result::Error),
    /// The database has another schema than this program's.
    Schema(String),
    /// Something that should not happen did.
    Internal(String),
    /// The command chose to leave nothing behind: a rehearsal, or all or nothing. What it found it has handed out itself.
    Undone,
    /// What the command was decided on is no longer there, or never was: it is decided anew, and nobody is told.
    Overtaken,
}

impl Fault {
    /// The refusal to show: that of a rule as it is, anything else as `internal` without its text.
    pub fn into_refusal(self) -> Refusal {
        match self {
            Fault::Refused(refusal) => *refusal,
            fault => {
                tracing::error!(%fault, "internal fault");
                Refusal::new(Code::Internal, Code::Internal.title())
            }
        }
    }

    /// The same fault, a rule's refusal said in other words.
    pub fn refused_as(self, words: impl FnOnce(Refusal) -> Refusal) -> Fault {
        match self {
            Fault::Refused(refusal) => words(*refusal).into(),
            other => other,
        }
    }

    /// The same fault where nothing may be refused any more: a rule's refusal is a fault of ours there.
    pub fn past_refusal(self) -> Fault {
        match self {
            Fault::Refused(refusal) => Fault::Internal(format!("refused after something was written: {refusal}")),
            other => other,
        }
    }

    /// The code, if a rule said no.
    pub fn code(&self) -> Option<Code> {
        match self {
            Fault::Refused(refusal) => Some(refusal.code),
            _ => None,
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::Refused(Box::new(refusal))
    }
}

impl From<diesel::result::Error> for Fault {
    fn from(error: diesel::result::Error) -> Fault {
        Fault::Database(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Refused(refusal) => write!(f, "{refusal}"),
            Fault::Database(error) => write!(f, "database: {error}"),
            Fault::Schema(text) | Fault::Internal(text) => f.write_str(text),
            Fault::Undone => f.write_str("undone by its own choice"),
            Fault::Overtaken => f.write_str("overtaken by another process"),
        }
    }
}

impl std::error::Error for Fault {}
