//! SQLite's write-ahead log brought home by a thread of its own, so that less of it is left to the writer.
//!
//! It copies what is committed from the log into the database file while the writer goes on (a passive checkpoint never makes anybody
//! wait). The writer's own checkpoint, at [`LOG_PAGES`], does the rest, and the log begins anew. Bounds: it looks at most ten times a
//! second, and only where the writer has worked since.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Integer;

use super::{Conn, Database, Fault};

/// Bytes of a page of a new database: a commit of thousands of rows writes half as many pages so as at SQLite's own 4 KiB, each of which is a
/// call of the system in the log and another two when it is brought home; at 16 KiB a lone charge would write too much for that.
pub(super) const PAGE_BYTES: i32 = 8192;
/// Pages of the log at which the writer itself brings them home: 128 MiB.
pub(super) const LOG_PAGES: i32 = 16_384;
/// Pages that are worth bringing home before that.
const WORTH: i32 = 2048;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// The thread. It ends when this is dropped.
pub(super) struct Checkpoints {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Starts the thread where there is a log to bring home; `commits` counts the writer's.
    pub fn start(database: &Database, commits: impl Fn() -> u64 + Send + 'static) -> Result<Checkpoints, Fault> {
        let over = Arc::new(AtomicBool::new(false));
        let thread = match database.connect()? {
            Conn::Postgres(_) => None,
            Conn::Sqlite(conn) => {
                let ended = over.clone();
                let run = move || look_after(conn, &ended, commits);
                let spawned = std::thread::Builder::new().name("checkpoints".into()).spawn(run);
                Some(spawned.map_err(|e| Fault::Internal(format!("the thread of checkpoints: {e}")))?)
            }
        };
        Ok(Checkpoints { over, thread })
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn look_after(mut conn: SqliteConnection, over: &AtomicBool, commits: impl Fn() -> u64) {
    let mut seen = 0;
    while !over.load(Ordering::Relaxed) {
        std::thread::park_timeout(PAUSE);
        let now = commits();
        if now == seen {
            continue;
        }
        seen = now;
        if let Err(fault) = bring_home(&mut conn) {
            // The writer's own checkpoint still comes.
            tracing::warn!(%fault, "a checkpoint failed");
        }
    }
}

#[derive(QueryableByName)]
struct Log {
    /// Pages in the log.
    #[diesel(sql_type = Integer)]
    log: i32,
    /// Of them brought home.
    #[diesel(sql_type = Integer)]
    checkpointed: i32,
}

fn bring_home(conn: &mut SqliteConnection) -> Result<(), Fault> {
    let found: Log = sql_query("PRAGMA wal_checkpoint(NOOP)").get_result(conn)?;
    if found.log - found.checkpointed >= WORTH {
        let _: Log = sql_query("PRAGMA wal_checkpoint(PASSIVE)").get_result(conn)?;
    }
    Ok(())
}
