//! The queue of the one writer: every write of this process goes through it, to a desk that decides and a scribe that commits.
//!
//! One commit carries many commands, so hot accounts cost nothing and the disk's flush is shared. A refusal is decided before
//! anything is written, so it spoils no batch; a command that fails otherwise is answered, and the others run again without it.
//! Several processes take turns: a commit begins by taking the lock, and stands only on the head that it was decided on.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};

use super::checkpoint::Checkpoints;
use super::desk::Desk;
use super::link::Link;
use super::scribe::{self, Tray, Way};
use super::{Database, Fault, QUEUE, Work};
use crate::refusal::{Code, Refusal};
use crate::time::Clock;

/// A command on its way through the queue.
pub(super) trait Command: Send {
    /// Whether it runs where writing is stopped.
    fn beside(&self) -> bool;
    fn run(&mut self, work: &mut Work<'_>) -> Result<(), Fault>;
    /// Answers with what the last run gave, or with the fault that kept it from being committed.
    fn answer(self: Box<Self>, committed: Result<(), Fault>);
}

struct Call<T, F> {
    beside: bool,
    verb: F,
    outcome: Option<T>,
    reply: oneshot::Sender<Answered<T>>,
}

/// An answer, with what the command held: thousands of records are let go by who sent them, not by the thread that all wait for.
struct Answered<T> {
    outcome: Result<T, Fault>,
    _held: Box<dyn Any + Send>,
}

impl<T, F> Command for Call<T, F>
where
    T: Send,
    F: FnMut(&mut Work<'_>) -> Result<T, Fault> + Send + 'static,
{
    fn beside(&self) -> bool {
        self.beside
    }

    fn run(&mut self, work: &mut Work<'_>) -> Result<(), Fault> {
        self.outcome = Some((self.verb)(work)?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), Fault>) {
        let Call { verb, outcome, reply, .. } = *self;
        let missing = || Fault::Internal("a command was committed without an outcome".into());
        // Who asked may have gone away; what was committed stays.
        let _ = reply.send(Answered { outcome: committed.and_then(|()| outcome.ok_or_else(missing)), _held: Box::new(verb) });
    }
}

/// A command in the queue, with the number of records it writes.
pub(super) struct Waiting {
    pub command: Box<dyn Command>,
    pub weight: usize,
}

/// The answer to come.
pub struct Reply<T>(oneshot::Receiver<Answered<T>>);

impl<T> Reply<T> {
    /// Waits on a thread of its own.
    pub fn wait(self) -> Result<T, Fault> {
        self.0.blocking_recv().map_or_else(|_| Err(gone()), |answered| answered.outcome)
    }

    /// Waits in a task.
    pub async fn arrive(self) -> Result<T, Fault> {
        self.0.await.map_or_else(|_| Err(gone()), |answered| answered.outcome)
    }
}

fn gone() -> Fault {
    Fault::Internal("the writer has stopped".into())
}

/// What the writer has done so far, and what waits for it.
#[derive(Default)]
pub(super) struct Counts {
    waiting: AtomicUsize,
    commits: AtomicU64,
    commands: AtomicU64,
}

impl Counts {
    /// A command was taken out of the queue.
    pub fn taken(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.commands.fetch_add(1, Ordering::Relaxed);
    }

    /// A batch was committed.
    pub fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }
}

/// The queue's end at which commands are put in. Dropping it lets the writer finish what it accepted, and waits for that.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Waiting>>,
    counts: Arc<Counts>,
    /// The desk's and the scribe's, in the order in which they end.
    threads: Vec<std::thread::JoinHandle<()>>,
    // Dropped after the writer has ended, which may still have much to commit.
    _checkpoints: Checkpoints,
}

impl Writer {
    pub(super) fn start(database: Database, clock: Clock) -> Result<Writer, Fault> {
        let conn = database.connect()?.for_writing()?;
        let (queue, inbox) = mpsc::channel(QUEUE);
        let (jobs, work) = std::sync::mpsc::channel();
        let (returns, returned) = std::sync::mpsc::channel();
        let (tray, counts) = (Arc::new(Tray::default()), Arc::new(Counts::default()));
        let (counted, committed, laid) = (counts.clone(), counts.clone(), tray.clone());
        let checkpoints = Checkpoints::start(&database, move || counted.commits.load(Ordering::Relaxed))?;
        let desk = Desk::new(clock, Link::new(database, conn, returned), Way::new(jobs, tray), counts.clone());
        let desk = spawn("writer", move || desk.serve(inbox))?;
        let scribe = spawn("scribe", move || scribe::serve(work, &laid, &returns, &committed))?;
        Ok(Writer { queue: Some(queue), counts, threads: vec![desk, scribe], _checkpoints: checkpoints })
    }

    pub(super) fn submit<T, F>(&self, weight: usize, beside: bool, verb: F) -> Result<Reply<T>, Fault>
    where
        T: Send + 'static,
        F: FnMut(&mut Work<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let (waiting, reply) = wrap(weight, beside, verb);
        self.counts.waiting.fetch_add(1, Ordering::Relaxed);
        self.queue()?.try_send(waiting).map_err(|_| {
            self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
            Fault::from(Refusal::new(Code::Busy, Code::Busy.title()))
        })?;
        Ok(reply)
    }

    pub(super) fn submit_waiting<T, F>(&self, weight: usize, beside: bool, verb: F) -> Result<Reply<T>, Fault>
    where
        T: Send + 'static,
        F: FnMut(&mut Work<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let (waiting, reply) = wrap(weight, beside, verb);
        self.counts.waiting.fetch_add(1, Ordering::Relaxed);
        self.queue()?.blocking_send(waiting).map_err(|_| gone())?;
        Ok(reply)
    }

    fn queue(&self) -> Result<&mpsc::Sender<Waiting>, Fault> {
        self.queue.as_ref().ok_or_else(gone)
    }

    pub(super) fn waiting(&self) -> usize {
        self.counts.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn written(&self) -> (u64, u64) {
        (self.counts.commits.load(Ordering::Relaxed), self.counts.commands.load(Ordering::Relaxed))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<std::thread::JoinHandle<()>, Fault> {
    let spawned = std::thread::Builder::new().name(name.into()).spawn(run);
    spawned.map_err(|e| Fault::Internal(format!("the thread of the {name}: {e}")))
}

fn wrap<T, F>(weight: usize, beside: bool, verb: F) -> (Waiting, Reply<T>)
where
    T: Send + 'static,
    F: FnMut(&mut Work<'_>) -> Result<T, Fault> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let command = Box::new(Call { beside, verb, outcome: None, reply });
    (Waiting { command, weight }, Reply(answer))
}
