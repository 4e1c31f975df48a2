//! The one writer: a thread that takes what waits, decides it in one database transaction, commits, then answers.
//!
//! One commit carries many commands, so hot accounts cost nothing and the disk's flush is shared. A refusal is decided before
//! anything is written, so it spoils no batch; a command that fails otherwise is answered, and the others run again without it.
//! Several processes take turns: each begins by taking the lock and comparing the head with the one it wrote.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};

use super::checkpoint::Checkpoints;
use super::work::Memory;
use super::{Birth, Conn, Database, Fault, QUEUE, Work};
use crate::refusal::{Code, Refusal};
use crate::time::Clock;

/// Records that one commit carries at most; a single heavier command still goes alone.
const COMMIT_RECORDS: usize = 10_000;

/// A command on its way through the queue.
trait Command: Send {
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
    reply: oneshot::Sender<Result<T, Fault>>,
}

impl<T, F> Command for Call<T, F>
where
    T: Send,
    F: FnMut(&mut Work<'_>) -> Result<T, Fault> + Send,
{
    fn beside(&self) -> bool {
        self.beside
    }

    fn run(&mut self, work: &mut Work<'_>) -> Result<(), Fault> {
        self.outcome = Some((self.verb)(work)?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), Fault>) {
        let Call { outcome, reply, .. } = *self;
        let missing = || Fault::Internal("a command was committed without an outcome".into());
        // Who asked may have gone away; what was committed stays.
        let _ = reply.send(committed.and_then(|()| outcome.ok_or_else(missing)));
    }
}

struct Waiting {
    command: Box<dyn Command>,
    weight: usize,
}

/// The answer to come.
pub struct Reply<T>(oneshot::Receiver<Result<T, Fault>>);

impl<T> Reply<T> {
    /// Waits on a thread of its own.
    pub fn wait(self) -> Result<T, Fault> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(gone()))
    }

    /// Waits in a task.
    pub async fn arrive(self) -> Result<T, Fault> {
        self.0.await.unwrap_or_else(|_| Err(gone()))
    }
}

fn gone() -> Fault {
    Fault::Internal("the writer has stopped".into())
}

#[derive(Default)]
struct Counts {
    waiting: AtomicUsize,
    commits: AtomicU64,
    commands: AtomicU64,
}

/// The queue's end at which commands are put in. Dropping it lets the writer finish what it accepted, and waits for that.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Waiting>>,
    counts: Arc<Counts>,
    thread: Option<std::thread::JoinHandle<()>>,
    // Dropped after the writer has ended, which may still have much to commit.
    _checkpoints: Checkpoints,
}

impl Writer {
    pub(super) fn start(database: Database, clock: Clock) -> Result<Writer, Fault> {
        let conn = database.connect()?.for_writing()?;
        let (queue, inbox) = mpsc::channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let counted = counts.clone();
        let checkpoints = Checkpoints::start(&database, move || counted.commits.load(Ordering::Relaxed))?;
        let desk = Desk { database, clock, conn, memory: Memory::default(), head: None, counts: counts.clone() };
        let spawned = std::thread::Builder::new().name("writer".into()).spawn(move || desk.serve(inbox));
        let thread = spawned.map_err(|e| Fault::Internal(format!("the writer's thread: {e}")))?;
        Ok(Writer { queue: Some(queue), counts, thread: Some(thread), _checkpoints: checkpoints })
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
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
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

/// Where the writer sits: its connection and all it remembers.
struct Desk {
    database: Database,
    clock: Clock,
    conn: Conn,
    memory: Memory,
    head: Option<Birth>,
    counts: Arc<Counts>,
}

impl Desk {
    fn serve(mut self, mut inbox: mpsc::Receiver<Waiting>) {
        while let Some(first) = inbox.blocking_recv() {
            let mut weight = first.weight;
            let mut batch = vec![first.command];
            while weight < COMMIT_RECORDS {
                let Ok(next) = inbox.try_recv() else { break };
                weight += next.weight;
                batch.push(next.command);
            }
            self.counts.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
            self.counts.commands.fetch_add(batch.len() as u64, Ordering::Relaxed);
            self.write(batch);
        }
    }

    /// Writes a batch; a commit that fails is tried again command by command, so that one can't take the others down.
    fn write(&mut self, batch: Vec<Box<dyn Command>>) {
        let Some((batch, fault)) = self.attempt(batch) else { return };
        tracing::warn!(%fault, commands = batch.len(), "a commit failed");
        self.reconnect_if_broken();
        let alone = batch.len() == 1;
        for command in batch {
            match alone {
                true => command.answer(Err(Fault::Internal(format!("the commit failed: {fault}")))),
                false => self.write(vec![command]),
            }
        }
    }

    /// Runs and commits a batch and answers its commands. What could not be committed comes back with the reason.
    fn attempt(&mut self, mut batch: Vec<Box<dyn Command>>) -> Option<(Vec<Box<dyn Command>>, Fault)> {
        while !batch.is_empty() {
            match self.transact(&mut batch) {
                Ok(Ran::Committed(refusals)) => {
                    answer_all(batch, refusals);
                    return None;
                }
                Ok(Ran::Spoiled(place, fault)) => batch.remove(place).answer(Err(fault)),
                Err(fault) => return Some((batch, fault)),
            }
        }
        None
    }

    fn transact(&mut self, batch: &mut [Box<dyn Command>]) -> Result<Ran, Fault> {
        let turn = self.conn.begin_turn().inspect_err(|_| self.head = None)?;
        let found = Birth { seq: turn.seq, stamp: turn.stamp };
        if self.head != Some(found) {
            self.memory.forget();
        }
        // Whatever happens before the commit is known to stand, the memory is not to be trusted.
        self.head = None;
        let mut work = Work::new(&mut self.conn, &mut self.memory, found, self.clock.now());
        let mut refusals: Vec<Option<Fault>> = Vec::with_capacity(batch.len());
        for (place, command) in batch.iter_mut().enumerate() {
            if let Some(why) = turn.stopped.as_deref().filter(|_| !command.beside()) {
                refusals.push(Some(read_only(why).into()));
                continue;
            }
            let before = work.writes();
            let outcome = catch_unwind(AssertUnwindSafe(|| command.run(&mut work)));
            match outcome.unwrap_or_else(|_| Err(Fault::Internal("a command panicked".into()))) {
                Ok(()) => refusals.push(None),
                Err(Fault::Refused(refusal)) if work.writes() == before => refusals.push(Some(Fault::Refused(refusal))),
                Err(fault) => {
                    self.roll_back();
                    return Ok(Ran::Spoiled(place, fault));
                }
            }
        }
        let (wrote, head) = (work.writes() > 0, work.head());
        let durable = work.flush().and_then(|()| match wrote {
            true => self.conn.commit_turn(head.seq, head.stamp),
            false => self.conn.batch("ROLLBACK"),
        });
        match durable {
            Ok(()) => {
                self.head = Some(head);
                self.memory.forget_if_large();
                self.counts.commits.fetch_add(1, Ordering::Relaxed);
                Ok(Ran::Committed(refusals))
            }
            Err(fault) => {
                self.roll_back();
                Err(fault)
            }
        }
    }

    /// Leaves the transaction. If even that fails the connection is replaced before the next attempt.
    fn roll_back(&mut self) {
        self.memory.forget();
        if self.conn.batch("ROLLBACK").is_err() {
            self.reconnect();
        }
    }

    fn reconnect_if_broken(&mut self) {
        if self.conn.batch("SELECT 1").is_err() {
            self.reconnect();
        }
    }

    fn reconnect(&mut self) {
        match self.database.connect().and_then(Conn::for_writing) {
            Ok(conn) => self.conn = conn,
            Err(fault) => tracing::error!(%fault, "can't reconnect to the database"),
        }
    }
}

enum Ran {
    /// Durable; the refusals by place in the batch.
    Committed(Vec<Option<Fault>>),
    /// Rolled back because of the command at this place.
    Spoiled(usize, Fault),
}

/// The refusal of everything that would be written while writing is stopped.
fn read_only(why: &str) -> Refusal {
    let detail =
        format!("An audit found that {why}. Nothing is written until an operator has run almoner verify and the books hold again.");
    Refusal::new(Code::ReadOnly, detail).with("broken", why)
}

fn answer_all(batch: Vec<Box<dyn Command>>, refusals: Vec<Option<Fault>>) {
    for (command, refusal) in batch.into_iter().zip(refusals) {
        command.answer(refusal.map_or(Ok(()), Err));
    }
}
