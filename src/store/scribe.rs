//! The scribe: a thread that writes and commits the batch that was decided last, while the next one is being decided.
//!
//! One batch at a time, on the connection that comes with it and goes back. It answers the batch's commands once the commit is durable, so
//! answers go out in the order of the commits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::conn::Turn;
use super::work::Rows;
use super::writer::{Command, Counts};
use super::{Birth, Conn, Fault};

/// A command that was run, and its refusal if it refused.
pub(super) struct Decided {
    pub command: Box<dyn Command>,
    pub refusal: Option<Fault>,
}

/// A batch as it was decided: what is to be written and whom to answer.
pub(super) struct Sealed {
    pub rows: Vec<Rows>,
    /// The journal's head after it.
    pub head: Birth,
    /// Whether it changes anything.
    pub wrote: bool,
    pub batch: Vec<Decided>,
}

/// What could not be committed, and why.
pub(super) struct Undone {
    pub batch: Vec<Box<dyn Command>>,
    pub fault: Fault,
}

/// The connection after a commit, and the head that it left.
pub(super) struct Returned {
    pub conn: Conn,
    pub outcome: Result<Birth, Undone>,
}

/// A batch on its way to the scribe.
pub(super) struct Job {
    pub conn: Conn,
    /// Whether the turn is taken already; otherwise it must find `ground`.
    pub begun: bool,
    pub ground: Turn,
    pub sealed: Sealed,
}

impl Sealed {
    /// Writes and commits; the head that is committed then. Nothing is left open, whatever happens.
    ///
    /// Errors: `Overtaken` where another process has moved the head.
    pub fn commit(&mut self, conn: &mut Conn, begun: bool, ground: &Turn) -> Result<Birth, Fault> {
        if !begun && conn.begin_turn()? != *ground {
            conn.batch("ROLLBACK")?;
            return Err(Fault::Overtaken);
        }
        let written = catch_unwind(AssertUnwindSafe(|| self.write(conn)));
        let written = written.unwrap_or_else(|_| Err(Fault::Internal("the scribe panicked".into())));
        written.map(|()| self.head).inspect_err(|_| {
            // If even this fails the connection is broken, and is replaced by who owns it.
            let _ = conn.batch("ROLLBACK");
        })
    }

    fn write(&mut self, conn: &mut Conn) -> Result<(), Fault> {
        for rows in self.rows.drain(..) {
            rows(conn)?;
        }
        match self.wrote {
            true => conn.commit_turn(self.head),
            false => conn.batch("ROLLBACK"),
        }
    }

    /// Answers the commands, whose batch is durable.
    pub fn answer(self) {
        for Decided { command, refusal } in self.batch {
            command.answer(refusal.map_or(Ok(()), Err));
        }
    }

    /// The commands, to be run again.
    pub fn commands(self) -> Vec<Box<dyn Command>> {
        self.batch.into_iter().map(|decided| decided.command).collect()
    }
}

/// Commits what comes until nobody sends any more.
pub(super) fn serve(jobs: std::sync::mpsc::Receiver<Job>, returns: std::sync::mpsc::SyncSender<Returned>, counts: Arc<Counts>) {
    while let Ok(Job { mut conn, begun, ground, mut sealed }) = jobs.recv() {
        // The connection first: the next batch may be waiting for it.
        match sealed.commit(&mut conn, begun, &ground) {
            Ok(head) => {
                counts.committed();
                // Who has gone away needs no connection.
                let _ = returns.send(Returned { conn, outcome: Ok(head) });
                sealed.answer();
            }
            Err(fault) => {
                let undone = Undone { batch: sealed.commands(), fault };
                let _ = returns.send(Returned { conn, outcome: Err(undone) });
            }
        }
    }
}
