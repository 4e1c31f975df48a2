//! Where a log is kept: beside its books.

use super::store;
use crate::store::migrate::{self, Part};
use crate::store::{Conn, Database, Fault, Readers};
use crate::tlog::proof::{self, Unmade};
use crate::tlog::tile::{Reader, Unread};
use crate::tlog::{Hash, Verifier};

/// The log of some books. Clones share it.
#[derive(Clone)]
pub struct Log {
    database: Database,
    readers: Readers,
}

impl Log {
    /// Opens the log of books, and makes its tables where there are none.
    pub fn open(books: &Database) -> Result<Log, Fault> {
        let database = books.beside("log");
        migrate::up_part(&mut database.connect()?, Part::Log)?;
        Ok(Log { readers: Readers::open(&database)?, database })
    }

    /// Opens the log of books if it was made.
    pub fn find(books: &Database) -> Result<Option<Log>, Fault> {
        let Some(database) = books.find_beside("log", "log_leaves")? else { return Ok(None) };
        migrate::check_part(&mut database.connect()?, Part::Log)?;
        Ok(Some(Log { readers: Readers::open(&database)?, database }))
    }

    /// A connection of its own, for who writes.
    pub fn connect(&self) -> Result<Conn, Fault> {
        self.database.connect()
    }

    /// Reads in one snapshot. Blocks the calling thread.
    pub fn read<T>(&self, look: impl FnOnce(&mut Conn) -> Result<T, Fault>) -> Result<T, Fault> {
        self.readers.read(look)
    }

    /// The same for who reads all of it, on a connection of its own.
    pub fn scan<T>(&self, look: impl FnOnce(&mut Conn) -> Result<T, Fault>) -> Result<T, Fault> {
        self.connect()?.scan(look)
    }
}

/// The hashes of the tree of that size.
pub fn hashes(conn: &mut Conn, size: u64) -> Reader<store::Kept<'_>> {
    Reader::new(store::Kept { conn }, size)
}

/// The root of the tree of that size.
pub fn root(conn: &mut Conn, size: u64) -> Result<Hash, Fault> {
    crate::tlog::tree::root_of(size, &mut hashes(conn, size)).map_err(unread)
}

/// The proof that a leaf is in the tree of that size; `None` if it is not.
pub fn inclusion(conn: &mut Conn, index: u64, size: u64) -> Result<Option<Vec<Hash>>, Fault> {
    made(proof::prove_inclusion(index, size, &mut hashes(conn, size)))
}

/// The proof that the tree of one size is the beginning of that of another; `None` if it can't be.
pub fn consistency(conn: &mut Conn, from: u64, to: u64) -> Result<Option<Vec<Hash>>, Fault> {
    made(proof::prove_consistency(from, to, &mut hashes(conn, to)))
}

/// The cover of leaves in the tree of that size; `None` if they are not in it.
pub fn cover(conn: &mut Conn, wanted: &[u64], size: u64) -> Result<Option<Vec<Hash>>, Fault> {
    made(crate::tlog::cover::prove(wanted, size, &mut hashes(conn, size)))
}

fn made(proof: Result<Vec<Hash>, Unmade<Unread<Fault>>>) -> Result<Option<Vec<Hash>>, Fault> {
    match proof {
        Ok(path) => Ok(Some(path)),
        Err(Unmade::Nothing) => Ok(None),
        Err(Unmade::Hashes(why)) => Err(unread(why)),
    }
}

fn unread(why: Unread<Fault>) -> Fault {
    match why {
        Unread::Keeper(fault) => fault,
        Unread::Short(tile) => Fault::Internal(format!("{} of the log is cut", tile.path())),
        Unread::Beyond(node) => Fault::Internal(format!("the log's tree does not reach {node:?}")),
    }
}

/// The keys that the log is signed with, the newest first.
pub fn vkeys(conn: &mut Conn) -> Result<Vec<String>, Fault> {
    Ok(store::keys(conn)?.into_iter().rev().map(|(_, key)| key).collect())
}

/// The same to verify with.
pub fn verifiers(conn: &mut Conn) -> Result<Vec<Verifier>, Fault> {
    Ok(vkeys(conn)?.iter().filter_map(|key| Verifier::parse(key).ok()).collect())
}
