//! The scribe: a thread that writes and commits the batch that was decided last, while the next one is being decided.
//!
//! One batch at a time, on the connection that comes with it and goes back. A batch that is worth a commit of its own may be laid in its tray
//! meanwhile: it goes on with that at once, without waiting for the desk to see that the connection is free. It answers the batch's commands
//! once the commit is durable, so answers go out in the order of the commits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// What became of a batch: the head that its commit left, and the connection unless the scribe goes on with the batch in its tray.
pub(super) struct Returned {
    pub conn: Option<Conn>,
    pub outcome: Result<Birth, Undone>,
}

/// Where the desk lays a batch for the scribe while it is at work. Shut while there is no work: nobody would look into it.
#[derive(Default)]
pub(super) struct Tray(Mutex<Laid>);

#[derive(Default)]
enum Laid {
    #[default]
    Shut,
    Nothing,
    Batch(Sealed),
}

impl Tray {
    /// Whether a batch could be laid into it now.
    pub fn has_room(&self) -> bool {
        matches!(*self.laid(), Laid::Nothing)
    }

    /// Lays a batch that stands on the one being committed; given back where the scribe has just ended its work.
    pub fn lay(&self, sealed: Sealed) -> Option<Sealed> {
        let mut laid = self.laid();
        if !matches!(*laid, Laid::Nothing) {
            return Some(sealed);
        }
        *laid = Laid::Batch(sealed);
        None
    }

    /// The batch in it, if there is one; otherwise it is shut.
    fn next(&self) -> Option<Sealed> {
        let mut laid = self.laid();
        let next = std::mem::take(&mut *laid).into_batch();
        if next.is_some() {
            *laid = Laid::Nothing;
        }
        next
    }

    /// Shuts it; the batch that was in it.
    fn shut(&self) -> Option<Sealed> {
        std::mem::take(&mut *self.laid()).into_batch()
    }

    fn laid(&self) -> MutexGuard<'_, Laid> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Laid {
    fn into_batch(self) -> Option<Sealed> {
        if let Laid::Batch(sealed) = self { Some(sealed) } else { None }
    }
}

/// The desk's way to the scribe.
pub(super) struct Way {
    jobs: Sender<Job>,
    tray: Arc<Tray>,
}

impl Way {
    /// To a scribe that takes jobs from the other end and looks into that tray.
    pub fn new(jobs: Sender<Job>, tray: Arc<Tray>) -> Way {
        Way { jobs, tray }
    }

    /// Gives it a batch to commit; given back where the scribe has gone.
    pub fn give(&self, job: Job) -> Option<Job> {
        *self.tray.laid() = Laid::Nothing;
        self.jobs.send(job).err().map(|unsent| unsent.0)
    }

    /// The tray.
    pub fn tray(&self) -> &Tray {
        &self.tray
    }
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
pub(super) fn serve(jobs: Receiver<Job>, tray: &Tray, returns: &Sender<Returned>, counts: &Counts) {
    while let Ok(job) = jobs.recv() {
        let mut next = Some(job);
        while let Some(job) = next {
            next = carry_out(job, tray, returns, counts);
        }
    }
}

/// Commits a batch and answers its commands; the batch to go on with.
fn carry_out(job: Job, tray: &Tray, returns: &Sender<Returned>, counts: &Counts) -> Option<Job> {
    let Job { mut conn, begun, ground, mut sealed } = job;
    // The desk first, which may be waiting for the connection. If it has gone away it needs none.
    match sealed.commit(&mut conn, begun, &ground) {
        Ok(head) => {
            counts.committed();
            let (spare, next) = match tray.next() {
                None => (Some(conn), None),
                Some(sealed) => (None, Some(Job { conn, begun: false, ground: Turn { head, ..ground }, sealed })),
            };
            let _ = returns.send(Returned { conn: spare, outcome: Ok(head) });
            sealed.answer();
            next
        }
        Err(fault) => {
            // What stands on it falls with it.
            let fallen = [Some(sealed), tray.shut()].into_iter().flatten();
            let undone = Undone { batch: fallen.flat_map(Sealed::commands).collect(), fault };
            let _ = returns.send(Returned { conn: Some(conn), outcome: Err(undone) });
            None
        }
    }
}
