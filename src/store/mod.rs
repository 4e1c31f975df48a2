//! The database: connections, the one writer, migrations and answers saved under idempotency keys.
//!
//! It may not know what a credit is. Reads take a connection from a pool and see one snapshot; every write goes through the queue
//! of the one writer (`writer`), which commits many commands in one durable transaction. Bounds: the queue holds
//! [`QUEUE`] commands and refuses more (`busy`); a pool holds [`READERS`] connections.

pub mod answers;
pub mod backup;
pub mod bulk;
mod checkpoint;
mod conn;
pub mod copy;
mod desk;
mod fault;
pub mod guards;
pub mod keys;
mod link;
pub mod migrate;
mod page;
mod readers;
pub mod runs;
mod scribe;
mod shared;
mod sixteen;
mod varint;
mod work;
mod writer;

use std::sync::Arc;

pub use crate::{bulk, looked_up, narrowed, on, paged};
pub use bulk::Bulk;
pub use conn::{Conn, Database};
pub use fault::Fault;
pub use link::Link;
pub use page::{Page, Pages};
pub use readers::{READERS, Readers};
pub use shared::SharedText;
pub use sixteen::Sixteen;
pub use work::{Birth, Room, Rows, Work};
pub use writer::Reply;

use crate::time::Clock;
use writer::Writer;

/// Commands that may wait for the writer before more are refused.
pub const QUEUE: usize = 4096;

/// One ledger's database, open. Clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    clock: Clock,
    readers: Readers,
    writer: Writer,
}

impl Store {
    /// Opens the database, brings its schema up to date and starts the writer's thread.
    pub fn open(database: &Database, clock: Clock) -> Result<Store, Fault> {
        migrate::up(&mut database.connect()?)?;
        Store::open_as_is(database, clock)
    }

    /// Opens a database whose schema is known to be up to date.
    pub fn open_as_is(database: &Database, clock: Clock) -> Result<Store, Fault> {
        let readers = Readers::open(database)?;
        let writer = Writer::start(database.clone(), clock.clone())?;
        Ok(Store { inner: Arc::new(Inner { database: database.clone(), clock, readers, writer }) })
    }

    /// The clock that decides what has expired.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Which database this is.
    pub fn database(&self) -> &Database {
        &self.inner.database
    }

    /// Reads in one snapshot of the database. Blocks the calling thread.
    pub fn read<T>(&self, look: impl FnOnce(&mut Conn) -> Result<T, Fault>) -> Result<T, Fault> {
        self.inner.readers.read(look)
    }

    /// Hands a command to the writer; the reply comes when it is durable. `busy` when too many wait.
    ///
    /// The command may run more than once, each time in a fresh transaction: what it leaves in memory must not matter.
    /// `weight` is the number of records it writes, by which commits are kept to a bounded size.
    pub fn submit<T, F>(&self, weight: usize, command: F) -> Result<Reply<T>, Fault>
    where
        T: Send + 'static,
        F: FnMut(&mut Work<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.inner.writer.submit(weight, false, command)
    }

    /// As `submit`, for what is written beside the books: it goes on where their writing is stopped.
    pub fn submit_beside<T, F>(&self, weight: usize, command: F) -> Result<Reply<T>, Fault>
    where
        T: Send + 'static,
        F: FnMut(&mut Work<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.inner.writer.submit(weight, true, command)
    }

    /// Hands a command to the writer and waits until it is durable. Blocks the calling thread, also while the queue is full.
    pub fn write<T, F>(&self, command: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnMut(&mut Work<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.inner.writer.submit_waiting(1, false, command)?.wait()
    }

    /// As `write`, for what is written beside the books: it goes on where their writing is stopped.
    pub fn write_beside<T, F>(&self, command: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnMut(&mut Work<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.inner.writer.submit_waiting(1, true, command)?.wait()
    }

    /// Commands that wait for the writer now.
    pub fn waiting(&self) -> usize {
        self.inner.writer.waiting()
    }

    /// Commits and commands so far, for the metrics.
    pub fn written(&self) -> (u64, u64) {
        self.inner.writer.written()
    }
}
