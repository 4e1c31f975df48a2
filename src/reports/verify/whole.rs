//! Books and their log verified together, as of one moment.

use super::{Verification, verify, verify_log};
use crate::attest::audit::{Evidence, Extent};
use crate::attest::keep::Log;
use crate::attest::signer::Keeper;
use crate::attest::store;
use crate::store::{Conn, Database, Fault};

/// What a verification of books and log found.
#[derive(Clone, Debug)]
pub struct Whole {
    /// Law by law; those of the log are there if there is one.
    pub found: Verification,
    /// How far the log has come.
    pub extent: Option<Extent>,
    /// Why nothing is written any more, if that is so.
    pub stopped: Option<String>,
}

/// Recomputes every law of books, and of their log if they have one. What is known beside them must have been read before: the signer goes
/// on meanwhile.
pub fn verify_whole(books: &mut Conn, log: Option<&Log>, evidence: &Evidence) -> Result<Whole, Fault> {
    let Some(log) = log else {
        return books.snapshot(|books| Ok(Whole { found: verify(books)?, extent: None, stopped: books.stopped()? }));
    };
    log.read(|log| {
        // Seen first, so that the books are not older.
        store::extent(log)?;
        books.snapshot(|books| {
            let mut found = verify(books)?;
            let extent = Some(verify_log(books, log, evidence, &mut found)?);
            Ok(Whole { found, extent, stopped: books.stopped()? })
        })
    })
}

/// Who verifies the books of a service, on a connection that is made for it. Clones share the log.
#[derive(Clone)]
pub struct Auditor {
    books: Database,
    log: Log,
    /// The log's key, where this process has it.
    keeper: Option<Keeper>,
}

impl Auditor {
    /// Of these books with their log, and what its signer remembers if that is here.
    pub fn new(books: &Database, log: &Log, keeper: Option<Keeper>) -> Auditor {
        Auditor { books: books.clone(), log: log.clone(), keeper }
    }

    /// Recomputes every law; once more where the log's key was another afterwards. Blocks the calling thread.
    pub fn verify(&self) -> Result<Whole, Fault> {
        let keeper = || self.keeper.as_ref().map(Keeper::again).transpose();
        let keys = |keeper: &Option<Keeper>| keeper.as_ref().map(Keeper::verifiers);
        let mut known = keeper()?;
        loop {
            let whole = verify_whole(&mut self.books.connect()?, Some(&self.log), &Evidence::of(known.as_ref())?)?;
            let now = keeper()?;
            if keys(&now) == keys(&known) {
                return Ok(whole);
            }
            known = now;
        }
    }
}
