//! The writer's desk: where commands are decided, in the order in which they came, from what the writer remembers.
//!
//! While the scribe commits a batch the next one is decided as if that commit stood, and grows until it does, or until it is worth a commit
//! of its own and nothing else waits: then it is laid ready for the scribe, and one more is begun. Whatever shows that it does not stand (a
//! failed commit, another process's entry) makes the desk forget everything and run the commands again, those of the failed commit first.
//! Where processes take turns the desk decides only within its own turn, so that nothing is decided twice.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use super::link::Link;
use super::scribe::{Decided, Job, Returned, Sealed, Undone, Way};
use super::work::Memory;
use super::writer::{Command, Counts, Waiting};
use super::{Birth, Fault, Work};
use crate::refusal::{Code, Refusal};
use crate::time::Clock;

/// Records that one commit carries at most; a single heavier command still goes alone.
const COMMIT_RECORDS: usize = 10_000;
/// Records that are worth a commit of their own where nothing else waits: the disk's flush is a small part of it.
const WORTH_A_COMMIT: usize = 2_000;
/// How often the desk looks for commands while the scribe is at work. It is not woken for each, however many come one by one; whatever comes
/// waits no longer than this for being decided.
const GLANCE: Duration = Duration::from_micros(500);
/// How long it waits where nothing may be decided meanwhile, before it waits again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the writer sits: the link to its database and all it remembers.
pub(super) struct Desk {
    clock: Clock,
    link: Link,
    memory: Memory,
    /// The head after all that was decided; none where nothing remembered may be trusted.
    head: Option<Birth>,
    /// Whether no other process has moved the head since this one's last turn.
    alone: bool,
    /// What was decided and not yet handed over, how many records that is, and whether it changes anything.
    batch: Vec<Decided>,
    weight: usize,
    wrote: bool,
    scribe: Way,
    counts: Arc<Counts>,
}

/// What the desk has to do next.
enum Next {
    Decide(Waiting),
    Back,
    HandOver,
}

impl Desk {
    pub fn new(clock: Clock, link: Link, scribe: Way, counts: Arc<Counts>) -> Desk {
        let (memory, batch) = (Memory::default(), Vec::new());
        Desk { clock, link, memory, head: None, alone: false, batch, weight: 0, wrote: false, scribe, counts }
    }

    /// Decides what comes until nobody sends any more and all of it is committed.
    pub fn serve(mut self, mut inbox: mpsc::Receiver<Waiting>) {
        while let Some(next) = self.next(&mut inbox) {
            match next {
                Next::Decide(waiting) => self.take(waiting),
                Next::HandOver => self.hand_over(),
                Next::Back => match (self.link.is_overtaken(), self.batch.is_empty()) {
                    (true, _) => self.start_over(Vec::new()),
                    (false, false) if self.link.is_here() => self.hand_over(),
                    (false, _) => {}
                },
            }
        }
    }

    fn next(&mut self, inbox: &mut mpsc::Receiver<Waiting>) -> Option<Next> {
        let full = self.weight >= COMMIT_RECORDS;
        if self.link.is_here() {
            if full {
                return Some(Next::HandOver);
            }
            return match inbox.try_recv() {
                Ok(waiting) => Some(Next::Decide(waiting)),
                Err(_) if !self.batch.is_empty() => Some(Next::HandOver),
                Err(TryRecvError::Empty) => inbox.blocking_recv().map(Next::Decide),
                Err(TryRecvError::Disconnected) => None,
            };
        }
        let more = self.alone && !full;
        loop {
            // The connection first: whoever asks next for a commit waits for it.
            if self.link.hears(Duration::ZERO) {
                return Some(Next::Back);
            }
            if more && let Ok(waiting) = inbox.try_recv() {
                return Some(Next::Decide(waiting));
            }
            if self.weight >= WORTH_A_COMMIT && self.scribe.tray().has_room() {
                return Some(Next::HandOver);
            }
            if self.link.hears(if more { GLANCE } else { PATIENCE }) {
                return Some(Next::Back);
            }
        }
    }

    /// Decides one command as part of the batch in hand.
    fn take(&mut self, Waiting { mut command, weight }: Waiting) {
        self.counts.taken();
        if self.batch.is_empty()
            && let Err(fault) = self.open()
        {
            return self.failed(Undone { batch: vec![command], fault });
        }
        match self.decide(command.as_mut()) {
            Ok(refusal) => {
                self.weight += weight;
                self.batch.push(Decided { command, refusal });
            }
            // Within its turn it was decided on what is committed; what it did is undone, and the others run again without it.
            Err(fault) if self.link.has_begun() && !self.link.is_overtaken() => {
                let others = self.put_down();
                self.roll_back();
                command.answer(Err(fault));
                self.write(others);
            }
            Err(_) => self.start_over(vec![command]),
        }
    }

    /// Begins a batch: in a turn of its own, or on what the scribe is committing.
    fn open(&mut self) -> Result<(), Fault> {
        match self.head {
            Some(head) if !self.link.is_here() => {
                self.link.stand_on(head);
                Ok(())
            }
            _ => self.begin(),
        }
    }

    fn begin(&mut self) -> Result<(), Fault> {
        let found = self.link.begin().inspect_err(|_| self.head = None)?;
        self.alone = self.head == Some(found);
        if !self.alone {
            self.memory.forget();
        }
        self.head = Some(found);
        Ok(())
    }

    /// Runs a command; its refusal, if it refused before it wrote anything.
    ///
    /// Errors: whatever spoils the batch.
    fn decide(&mut self, command: &mut dyn Command) -> Result<Option<Fault>, Fault> {
        let head = self.head.ok_or_else(|| Fault::Internal("a command was run without a head".into()))?;
        if let Some(why) = self.link.stopped().filter(|_| !command.beside()) {
            return Ok(Some(read_only(why).into()));
        }
        let mut work = Work::new(&mut self.link, &mut self.memory, head, self.clock.now());
        let outcome = catch_unwind(AssertUnwindSafe(|| command.run(&mut work)));
        let writes = work.writes();
        self.head = Some(work.head());
        self.wrote |= writes > 0;
        match outcome.unwrap_or_else(|_| Err(Fault::Internal("a command panicked".into()))) {
            _ if self.link.is_overtaken() => Err(Fault::Overtaken),
            Ok(()) => Ok(None),
            Err(Fault::Refused(refusal)) if writes == 0 => Ok(Some(Fault::Refused(refusal))),
            Err(fault) => Err(fault),
        }
    }

    /// The commands of the batch in hand, which is given up.
    fn put_down(&mut self) -> Vec<Box<dyn Command>> {
        (self.weight, self.wrote) = (0, false);
        std::mem::take(&mut self.batch).into_iter().map(|decided| decided.command).collect()
    }

    fn seal(&mut self, head: Birth) -> Sealed {
        let sealed = Sealed { rows: self.memory.take_rows(), head, wrote: self.wrote, batch: std::mem::take(&mut self.batch) };
        (self.weight, self.wrote) = (0, false);
        sealed
    }

    /// Gives the batch in hand to the scribe, or lays it ready where the scribe is at work.
    fn hand_over(&mut self) {
        let Some(head) = self.head else { return };
        let sealed = self.seal(head);
        self.memory.forget_if_large();
        let unlaid = if self.link.is_here() { Some(sealed) } else { self.scribe.tray().lay(sealed) };
        let Some(sealed) = unlaid else { return };
        self.link.wait();
        if self.link.is_overtaken() {
            return self.start_over(sealed.commands());
        }
        let Some((conn, begun, ground)) = self.link.lend() else { return self.start_over(sealed.commands()) };
        if let Some(Job { conn, sealed, .. }) = self.scribe.give(Job { conn, begun, ground, sealed }) {
            let fault = Fault::Internal("the scribe has stopped".into());
            self.link.receive(Some(Returned { conn: Some(conn), outcome: Err(Undone { batch: sealed.commands(), fault }) }));
            self.start_over(Vec::new());
        }
    }

    /// Forgets all and runs everything again that is not committed: what the scribe gave back, the batch in hand, and what came last.
    fn start_over(&mut self, last: Vec<Box<dyn Command>>) {
        let own = self.put_down();
        match self.roll_back() {
            Some(undone) if !matches!(undone.fault, Fault::Overtaken) => self.failed(undone),
            Some(undone) => self.write(undone.batch),
            None => {}
        }
        self.write(own.into_iter().chain(last).collect());
    }

    fn roll_back(&mut self) -> Option<Undone> {
        (self.head, self.alone) = (None, false);
        self.memory.forget();
        self.link.roll_back()
    }

    /// Decides and commits a batch before anything else is done.
    fn write(&mut self, batch: Vec<Box<dyn Command>>) {
        if let Err(undone) = self.attempt(batch) {
            self.failed(undone);
        }
    }

    /// A commit that fails is tried again command by command, so that one can't take the others down.
    fn failed(&mut self, Undone { batch, fault }: Undone) {
        tracing::warn!(%fault, commands = batch.len(), "a commit failed");
        self.link.reconnect_if_broken();
        let alone = batch.len() == 1;
        for command in batch {
            match alone {
                true => command.answer(Err(Fault::Internal(format!("the commit failed: {fault}")))),
                false => self.write(vec![command]),
            }
        }
    }

    /// Decides and commits a batch and answers its commands. What could not be committed comes back with the reason.
    fn attempt(&mut self, mut batch: Vec<Box<dyn Command>>) -> Result<(), Undone> {
        while !batch.is_empty() {
            if let Err(fault) = self.begin() {
                return Err(Undone { batch, fault });
            }
            let mut rest = batch.into_iter();
            let spoiled = rest.by_ref().find_map(|mut command| match self.decide(command.as_mut()) {
                Ok(refusal) => {
                    self.batch.push(Decided { command, refusal });
                    None
                }
                Err(fault) => Some((command, fault)),
            });
            let Some((command, fault)) = spoiled else { return self.commit() };
            batch = self.put_down();
            batch.extend(rest);
            self.roll_back();
            command.answer(Err(fault));
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Undone> {
        let head = self.head.unwrap_or(self.link.committed());
        let mut sealed = self.seal(head);
        match self.link.commit(&mut sealed) {
            Ok(()) => {
                self.counts.committed();
                sealed.answer();
                Ok(())
            }
            Err(fault) => {
                self.roll_back();
                Err(Undone { batch: sealed.commands(), fault })
            }
        }
    }
}

/// The refusal of everything that would be written while writing is stopped.
fn read_only(why: &str) -> Refusal {
    let detail =
        format!("An audit found that {why}. Nothing is written until an operator has run almoner verify and the books hold again.");
    Refusal::new(Code::ReadOnly, detail).with("broken", why)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use diesel::prelude::*;
    use diesel::sql_types::BigInt;

    use crate::refusal::{Code, Refusal};
    use crate::store::{Conn, Database, Fault, Room, Rows, Store, Work, on};
    use crate::time::Clock;

    /// Numbers given out one after the other, each of which the database takes once.
    #[derive(Default)]
    struct Numbers {
        next: Option<i64>,
        staged: Vec<i64>,
    }

    impl Room for Numbers {
        fn take_rows(&mut self) -> Option<Rows> {
            let staged = std::mem::take(&mut self.staged);
            let insert = |n: i64| format!("INSERT INTO numbers VALUES ({n})");
            Some(Box::new(move |conn| staged.into_iter().try_for_each(|n| conn.batch(&insert(n)))))
        }

        fn held(&self) -> usize {
            1
        }
    }

    fn count(conn: &mut Conn) -> Result<i64, Fault> {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            n: i64,
        }
        let found: Count = on!(conn, c => diesel::sql_query("SELECT count(*) AS n FROM numbers").get_result(c))?;
        Ok(found.n)
    }

    fn number(work: &mut Work<'_>) -> Result<i64, Fault> {
        let (numbers, link) = work.room_and_link::<Numbers>()?;
        let n = match numbers.next {
            Some(n) => n,
            None => count(link.conn()?)?,
        };
        numbers.next = Some(n + 1);
        numbers.staged.push(n);
        work.take();
        Ok(n)
    }

    /// One of what commands may do: take a number, with or without a look at the database, refuse, undo, panic, or fail to commit.
    fn command(kind: usize, work: &mut Work<'_>) -> Result<i64, Fault> {
        match kind % 23 {
            3 => Err(Refusal::new(Code::Busy, "refused").into()),
            7 => number(work).and(Err(Fault::Undone)),
            11 => {
                let there = count(work.sql()?)?;
                let n = number(work)?;
                assert_eq!(n, there, "what was staged is seen");
                Ok(n)
            }
            13 => number(work).map(|_| panic!("on purpose")),
            17 => {
                let n = number(work)?;
                work.room::<Numbers>()?.staged.push(n);
                Ok(n)
            }
            _ => number(work),
        }
    }

    fn open(folder: &std::path::Path) -> Store {
        Store::open(&Database::in_folder(folder), Clock::system()).expect("a store")
    }

    /// Everything at once, from several processes' worth of writers: no number is given to two, none is lost.
    #[test]
    fn what_was_answered_is_committed_once_whatever_else_happens() {
        let folder = tempfile::tempdir().expect("a folder");
        open(folder.path()).write(|work| work.sql_mut()?.batch("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")).expect("a table");
        for stores in [1, 3] {
            let stores: Vec<Store> = (0..stores).map(|_| open(folder.path())).collect();
            let before = stores[0].read(count).expect("a count");
            let given = std::thread::scope(|threads| {
                let lanes = stores.iter().flat_map(|store| (0..4).map(move |lane| (store.clone(), lane)));
                let running: Vec<_> = lanes.map(|(store, lane)| threads.spawn(move || lane_of(&store, lane))).collect();
                running.into_iter().flat_map(|lane| lane.join().expect("a lane")).collect::<Vec<i64>>()
            });
            let (mut sorted, there) = (given.clone(), stores[0].read(count).expect("a count"));
            sorted.sort_unstable();
            assert_eq!(sorted, (before..there).collect::<Vec<i64>>(), "{} stores", stores.len());
        }
    }

    /// Asks in bursts, so that commands come while a commit is under way; the numbers given.
    fn lane_of(store: &Store, lane: usize) -> Vec<i64> {
        let mut given = Vec::new();
        for burst in 0..12 {
            let ask = |n: usize| {
                let kind = lane * 5 + burst * 31 + n;
                // Some are worth a commit of their own, and are laid ready while another one is under way.
                let weight = if n.is_multiple_of(4) { super::WORTH_A_COMMIT } else { 1 };
                (kind, store.submit(weight, move |work| command(kind, work)).expect("a place in the queue"))
            };
            for (kind, reply) in (0..20).map(ask).collect::<Vec<_>>() {
                match (kind % 23, reply.wait()) {
                    (3, Err(Fault::Refused(_))) | (7, Err(Fault::Undone)) | (13 | 17, Err(Fault::Internal(_))) => {}
                    // Whoever looks at the database has all rows written that are staged, a bad one of another's among them.
                    (11, Err(Fault::Database(_))) => {}
                    (kind, Ok(n)) if ![3, 7, 13, 17].contains(&kind) => given.push(n),
                    (kind, other) => panic!("{kind}: {other:?}"),
                }
            }
        }
        given
    }

    /// While a commit is under way the next batch is decided and laid ready, and one more is begun. All are carried out, also where that commit
    /// fails. Control: where the scribe let go of what lies ready as its commit failed, the second was never answered.
    #[test]
    fn commands_are_decided_while_a_commit_is_under_way() {
        for fails in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let store = open(folder.path());
            store.write(|work| work.sql_mut()?.batch("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")).expect("a table");
            store.write(number).expect("a number");
            let (slow, written) = std::sync::mpsc::channel();
            let first = store.submit(1, move |work| {
                let n = number(work)?;
                // Written by the scribe, who then waits as a slow disk would make it.
                work.room::<Slow>()?.0 = Some(slow.clone());
                Ok(n)
            });
            let first = first.expect("a place");
            let during: std::sync::mpsc::Sender<bool> = written.recv_timeout(Duration::from_secs(10)).expect("a commit under way");
            let more = [(super::WORTH_A_COMMIT, 2), (1, 3)].map(|(weight, expected)| {
                let (decided, seen) = std::sync::mpsc::channel();
                let reply = store.submit(weight, move |work| number(work).inspect(|n| decided.send(*n).unwrap_or_default()));
                assert_eq!(seen.recv_timeout(Duration::from_secs(10)), Ok(expected), "decided before the first is committed");
                // Long enough for the desk to see that nothing else waits, and to lay it ready.
                std::thread::sleep(Duration::from_millis(20));
                reply.expect("a place")
            });
            drop(written);
            during.send(fails).expect("a scribe that waits");
            // Alone it is answered with its failure, with others it is tried again.
            let given: Vec<i64> = first.wait().into_iter().chain(more.into_iter().map(|reply| reply.wait().expect("a number"))).collect();
            assert!(given == [1, 2, 3] || fails && given == [1, 2], "{given:?}");
        }
    }

    type Told = std::sync::mpsc::Sender<std::sync::mpsc::Sender<bool>>;

    /// A row that is not written until it is told to be, or to fail.
    #[derive(Default)]
    struct Slow(Option<Told>);

    impl Room for Slow {
        fn take_rows(&mut self) -> Option<Rows> {
            let told = self.0.take()?;
            Some(Box::new(move |_| {
                let (hold, held) = std::sync::mpsc::channel();
                let _ = told.send(hold);
                if held.recv() == Ok(true) { Err(Fault::Internal("on purpose".into())) } else { Ok(()) }
            }))
        }

        fn held(&self) -> usize {
            0
        }
    }
}
