//! In process: records become charges through the store's queue, without HTTP and without reading JSON.

use almoner::actor::Actor;
use almoner::directory;
use almoner::reports::{self, balance::Moment};
use almoner::store::Store;
use almoner::usage::{self, Incoming, Record};

use super::scene::Scene;
use super::support::database::TestDatabase;
use super::{Sample, drive, timed};

/// Threads that hand batches to the writer.
const LANES: usize = 3;

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

    /// Reads the balance of one of the grants.
    pub fn read_balance(&self, which: usize) {
        let grant = self.scene.grants[which % self.scene.grants.len()];
        let now = self.store.clock().now();
        self.store.read(|conn| reports::balance::grant_balance(conn, grant, Moment::Now(now))).expect("a balance");
    }

    /// As `charge`, all records to one grant.
    pub fn charge_one_grant(&self, records: usize, batch: usize) -> Sample {
        self.charge_from(records, batch, |scene| scene.record_of(0))
    }

    /// Charges records in batches, each on its own; making them ready (canonical text, key, digest) counts.
    pub fn charge(&self, records: usize, batch: usize) -> Sample {
        self.charge_from(records, batch, |scene| scene.record())
    }

    fn charge_from(&self, records: usize, batch: usize, next: impl Fn(&Scene) -> String) -> Sample {
        let lane = |_| (0..records / batch / LANES).map(|_| (0..batch).map(|_| self.read(&next(&self.scene))).collect()).collect();
        let lanes: Vec<Vec<Vec<Record>>> = (0..LANES).map(lane).collect();
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
        let provider = self.scene.provider;
        let incoming: Vec<Incoming> = records.into_iter().map(|record| Incoming::new(provider, record)).collect();
        let count = incoming.len();
        let command = move |work: &mut almoner::store::Work<'_>| {
            let person = directory::person_for(work, &Actor::operator("bench"))?;
            usage::charge(work, person, provider, &incoming)
        };
        let outcomes = self.store.submit(count, command).and_then(|reply| reply.wait()).expect("a commit");
        assert!(outcomes.len() == count && outcomes.iter().all(|outcome| outcome.word() == "charged"), "not all were charged");
    }
}
