//! In process: records become charges through the store's queue, without HTTP and without reading JSON.

use almoner::actor::Actor;
use almoner::directory;
use almoner::store::Store;
use almoner::usage::{self, Incoming, Record};

use super::scene::Scene;
use super::support::database::TestDatabase;
use super::{Sample, drive, timed};

/// Threads that hand batches to the writer.
const LANES: usize = 2;

/// Books in this process.
pub struct Inside {
    scene: Scene,
    store: Store,
}

impl Inside {
    /// Makes the books.
    pub fn open(made: &TestDatabase) -> Inside {
        let (scene, store) = Scene::set(made);
        Inside { scene, store }
    }

    /// Charges records in batches, each on its own; making them ready (canonical text, key, digest) counts.
    pub fn charge(&self, records: usize, batch: usize) -> Sample {
        let lane = |_| (0..records / batch / LANES).map(|_| (0..batch).map(|_| self.record()).collect()).collect();
        let lanes: Vec<Vec<Vec<Record>>> = (0..LANES).map(lane).collect();
        let charged = records / batch / LANES * LANES * batch;
        drive(charged, lanes, |batches| batches.into_iter().map(|batch| timed(|| self.charge_batch(batch)).0).collect())
    }

    fn record(&self) -> Record {
        let value = serde_json::from_str(&self.scene.record()).expect("JSON");
        Record::read(&value, &|_| None).expect("a record")
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
