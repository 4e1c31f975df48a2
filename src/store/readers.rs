//! Connections for reading, shared by the threads of a process.
//!
//! Whether one still works is not asked beforehand, which would cost every look another exchange with PostgreSQL: the beginning of its snapshot
//! shows it, and one that can't begin, or did not come to its end, is replaced. Bounds: [`READERS`] connections, and ten seconds' wait for one.

use std::time::Duration;

use diesel::r2d2::{ManageConnection, Pool, PooledConnection};

use super::{Conn, Database, Fault};

/// Connections that read at the same time.
pub const READERS: u32 = 8;

/// Connections for reading one database. Clones share them.
#[derive(Clone)]
pub struct Readers(Pool<Maker>);

/// One of them.
struct Reader {
    conn: Conn,
    /// Whether it may be in the middle of something, or lost.
    broken: bool,
}

/// Who makes them.
struct Maker(Database);

impl ManageConnection for Maker {
    type Connection = Reader;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Reader, Self::Error> {
        let failed = |f: Fault| diesel::r2d2::Error::ConnectionError(diesel::ConnectionError::BadConnection(f.to_string()));
        Ok(Reader { conn: self.0.connect().map_err(failed)?, broken: false })
    }

    /// Not asked.
    fn is_valid(&self, _: &mut Reader) -> Result<(), Self::Error> {
        Ok(())
    }

    fn has_broken(&self, reader: &mut Reader) -> bool {
        reader.broken
    }
}

impl Readers {
    /// Connections to a database whose schema is known to be up to date.
    pub fn open(database: &Database) -> Result<Readers, Fault> {
        let pool = Pool::builder().max_size(READERS).min_idle(Some(1)).connection_timeout(Duration::from_secs(10)).test_on_check_out(false);
        Ok(Readers(pool.build(Maker(database.clone())).map_err(|e| Fault::Internal(format!("connections for reading: {e}")))?))
    }

    /// Reads in one snapshot of the database. Blocks the calling thread.
    pub fn read<T>(&self, look: impl FnOnce(&mut Conn) -> Result<T, Fault>) -> Result<T, Fault> {
        let mut reader = self.begin()?;
        let seen = look(&mut reader.conn);
        reader.conn.batch("ROLLBACK")?;
        reader.broken = false;
        seen
    }

    /// One that has begun its snapshot. All that are kept may have been lost together, where the database was started anew.
    fn begin(&self) -> Result<PooledConnection<Maker>, Fault> {
        let mut lost = 0;
        loop {
            let mut reader = self.0.get().map_err(|e| Fault::Internal(format!("no connection for reading: {e}")))?;
            // Until it has come to its end.
            reader.broken = true;
            match reader.conn.begin_snapshot() {
                Ok(()) => return Ok(reader),
                Err(fault) if lost == READERS => return Err(fault),
                Err(_) => lost += 1,
            }
        }
    }
}
