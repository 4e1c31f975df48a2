//! Books and their log verified together, as of one moment.

use std::sync::mpsc::sync_channel;
use std::thread;

use super::{LOGGED, Law, TITLES, Verification, verify, verify_handing_on};
use crate::attest::audit::{self, Evidence, Extent, Passed};
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
        return books.scan(|books| Ok(Whole { found: verify(books)?, extent: None, stopped: books.stopped()? }));
    };
    log.scan(|log| {
        // Seen first, so that the books are not older.
        store::extent(log)?;
        books.scan(|books| {
            let (found, extent) = verify_logged(books, log, evidence)?;
            Ok(Whole { found, extent: Some(extent), stopped: books.stopped()? })
        })
    })
}

/// Pages of entries that are handed on before the books wait for the log.
const AHEAD: usize = 8;

/// Recomputes every law of books and of their log, each in a thread of its own: the entries that the one has read are handed on to the other, so
/// that each is read once and both see the same. The look at the log must not be newer than that at the books.
pub fn verify_logged(books: &mut Conn, log: &mut Conn, evidence: &Evidence) -> Result<(Verification, Extent), Fault> {
    let first = TITLES.len() as u8 + 1;
    let mut laws: Vec<Law> = (first..).zip(LOGGED).map(|(number, title)| Law::new(number, title)).collect();
    let mut tell = |check: audit::Check, held: Result<(), String>| {
        if let Some(law) = laws.get_mut(check as usize) {
            law.checked(held.is_ok(), || held.err().unwrap_or_default());
        }
    };
    let beside = audit::Books::read(books)?;
    let (pages, coming) = sync_channel::<Vec<Passed>>(AHEAD);
    let (found, extent) = thread::scope(|scope| {
        let auditor = scope.spawn(|| audit::audit(beside, coming.into_iter().flatten(), log, evidence, &mut tell));
        // The log ends where it ends, and its auditor with it: then nobody takes the rest.
        let found = verify_handing_on(books, Some(&mut |page| _ = pages.send(page)));
        drop(pages);
        (found, auditor.join())
    });
    let mut found = found?;
    let extent = extent.map_err(|_| Fault::Internal("the audit of the log broke off".into()))??;
    found.laws.extend(laws);
    Ok((found, extent))
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
