//! In process: records become charges through the store's queue, without HTTP and without reading JSON.

use std::collections::VecDeque;
use std::time::Instant;

use almoner::actor::Actor;
use almoner::directory;
use almoner::grants;
use almoner::reports::{self, balance::Moment};
use almoner::store::{Conn, Reply, Store};
use almoner::usage::{self, Incoming, Outcome, Record};

use super::scene::Scene;
use super::support::database::TestDatabase;
use super::{Sample, drive, timed};

/// Threads that hand batches to the writer: two batches go into one commit, two are decided meanwhile, two are made ready.
pub const LANES: usize = 6;

/// Books in this process.
pub struct Inside {
    scene: Scene,
    store: Store,
    random: bool,
}

impl Inside {
    /// Makes the books.
    pub fn open(made: &TestDatabase) -> Inside {
        let (scene, store) = Scene::set(made);
        Inside { scene, store, random: false }
    }

    /// Whether jobs are to have random ids rather than ids in rising order.
    pub fn with_random_ids(self, random: bool) -> Inside {
        Inside { random, ..self }
    }

    /// A connection of its own to the books.
    pub fn connect(&self) -> Conn {
        self.store.database().connect().expect("a connection")
    }

    /// Reads the balance of one of the grants.
    pub fn read_balance(&self, which: usize) {
        let grant = self.scene.grants[which % self.scene.grants.len()];
        let now = self.store.clock().now();
        let look =
            |conn: &mut Conn| grants::grant(conn, grant).and_then(|grant| reports::balance::grant_balance(conn, grant, Moment::Now(now)));
        self.store.read(look).expect("a balance");
    }

    /// As `charge`, all records to one grant.
    pub fn charge_one_grant(&self, records: usize, batch: usize) -> Sample {
        self.charge_from(records, batch, |scene| scene.record_of(0))
    }

    /// Charges records in batches, each on its own; making them ready (canonical text, key, digest) counts.
    pub fn charge(&self, records: usize, batch: usize) -> Sample {
        self.charge_from(records, batch, |scene| scene.record())
    }

    /// Charges records one by one, so many at once: the next one is sent when the oldest one is answered.
    pub fn charge_singly(&self, records: usize, at_once: usize) -> Sample {
        let mut records: VecDeque<Record> = (0..records).map(|_| self.read(&self.scene.record())).collect();
        let count = records.len();
        let (mut sent, mut waits) = (VecDeque::with_capacity(at_once), Vec::with_capacity(count));
        let began = Instant::now();
        while !(records.is_empty() && sent.is_empty()) {
            while sent.len() < at_once
                && let Some(record) = records.pop_front()
            {
                sent.push_back((Instant::now(), self.send(vec![record])));
            }
            let oldest: Option<(Instant, Reply<Vec<Outcome>>)> = sent.pop_front();
            waits.extend(oldest.map(|(since, reply)| {
                all_charged(reply, 1);
                since.elapsed()
            }));
        }
        Sample { records: count, took: began.elapsed(), waits }
    }

    fn charge_from(&self, records: usize, batch: usize, next: impl Fn(&Scene) -> String + Sync) -> Sample {
        let batches = || (0..records / batch / LANES).map(|_| (0..batch).map(|_| self.read(&next(&self.scene))).collect()).collect();
        let lanes: Vec<Vec<Vec<Record>>> = std::thread::scope(|scope| {
            let making: Vec<_> = (0..LANES).map(|_| scope.spawn(batches)).collect();
            making.into_iter().map(|lane| lane.join().expect("records")).collect()
        });
        let charged = records / batch / LANES * LANES * batch;
        drive(charged, lanes, |batches| batches.into_iter().map(|batch| timed(|| self.charge_batch(batch)).0).collect())
    }

    fn read(&self, text: &str) -> Record {
        let sent = almoner::json::parse(text.as_bytes()).expect("JSON");
        let mut record = Record::read(&sent, &|_| None).expect("a record");
        if self.random {
            // Spread by a bijection, so that no two are the same.
            let digits: u64 = record.external_id.trim_start_matches("bench:").parse().expect("a number");
            record.external_id =
                format!("{:016x}", digits.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9));
        }
        record
    }

    fn charge_batch(&self, records: Vec<Record>) {
        let count = records.len();
        all_charged(self.send(records), count);
    }

    fn send(&self, records: Vec<Record>) -> Reply<Vec<Outcome>> {
        let provider = self.scene.provider;
        let incoming: Vec<Incoming> = records.into_iter().map(|record| Incoming::new(provider, record)).collect();
        let count = incoming.len();
        let command = move |work: &mut almoner::store::Work<'_>| {
            let person = directory::person_for(work, &Actor::operator("bench"))?;
            usage::charge(work, person, provider, &incoming)
        };
        self.store.submit(count, command).expect("a place in the queue")
    }
}

fn all_charged(reply: Reply<Vec<Outcome>>, count: usize) {
    let outcomes = reply.wait().expect("a commit");
    assert!(outcomes.len() == count && outcomes.iter().all(|outcome| outcome.word() == "charged"), "not all were charged");
}
