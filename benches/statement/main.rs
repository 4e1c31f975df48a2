//! How long a donor's statement of 10,000 lines takes: `cargo bench --bench statement`.
//!
//! A year's charges on one lot, in batches as they come, logged and signed as `serve` does; then the bundle is made from the log, with all of
//! its lines or those since the checkpoint half way, and checked offline. Shown are medians over the rounds, and what a line takes of the
//! text. Then what keeping the log costs the writer, and how far it lags: see `steady`. On SQLite, and where `ALMONER_TEST_POSTGRES` holds a
//! superuser's URL on PostgreSQL. After `--`: `--rounds N` (5), `--lines N` (10,000), `--seconds N` of steady charging (10).

#[path = "../throughput/scene.rs"]
#[allow(dead_code, reason = "the other benchmark asks for tokens too")]
mod scene;
mod steady;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use almoner::attest::bundle::{self, Asked};
use almoner::attest::check::{Trust, check};
use almoner::attest::integrate::{Integrator, keeper};
use almoner::attest::keep::Log;
use almoner::donations;
use almoner::ledger;
use almoner::store::{Database, Page, Store};
use almoner::tlog::Policy;
use almoner::usage::{self, Incoming, Record};
use scene::Scene;
use support::database::{TestDatabase, databases};

/// As in the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Records charged in one transaction.
const BATCH: usize = 1000;

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let done = work();
    (done, begun.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The next records, made ready.
fn batch(store: &Store, scene: &Scene) -> Vec<Incoming> {
    let units = store.read(ledger::store::units).expect("units");
    let read = |_| {
        let text = scene.record();
        let sent = almoner::json::parse(text.as_bytes()).expect("JSON");
        Incoming::new(scene.provider, Record::read(&sent, &|code| units.get(code).copied()).expect("a record"))
    };
    (0..BATCH).map(read).collect()
}

/// Charges so many records.
fn charge(store: &Store, scene: &Scene, records: usize) {
    for _ in 0..records / BATCH {
        let (batch, provider) = (batch(store, scene), scene.provider);
        let charged = store.write(move |work| {
            let who = almoner::directory::person_for(work, &almoner::actor::Actor::operator("bench-admin"))?;
            usage::charge(work, who, provider, &batch)
        });
        assert!(charged.expect("charged").iter().all(|outcome| outcome.word() == "charged"));
    }
}

fn measure(made: &TestDatabase, lines: usize, rounds: usize, seconds: usize) {
    let (scene, store) = Scene::set(made);
    let books = Database::parse(&made.url).expect("a URL");
    let log = Log::open(&books).expect("a log");
    let keeper = keeper(&log, &made.folder().join("keys"), None).expect("readable").expect("a key");
    let mut integrator = Integrator::open(&books, &log, keeper.clone()).expect("an integrator");
    let mut sizes = Vec::new();
    let mut leaves = Vec::new();
    for _ in 0..2 {
        charge(&store, &scene, lines / 2);
        let (size, took) = timed(|| {
            while integrator.run().expect("integrated").behind > 0 {}
            integrator.sign().expect("signed")
        });
        leaves.push((size - sizes.last().copied().unwrap_or(0)) as f64 / took.as_secs_f64());
        sizes.push(size);
    }
    println!("{}: {:.0} leaves/s into the log", made.kind, leaves[1]);
    let lot = store.read(|conn| donations::store::lots(conn, &donations::Of::default(), Page::ALL)).expect("lots")[0].id;
    let trust = Trust { policy: Policy::none(), keys: vec![keeper.verifier()] };
    for (what, since) in [("whole", None), ("since half way", Some(sizes[0]))] {
        let (mut makes, mut checks, mut size, mut told) = (Vec::new(), Vec::new(), 0, 0);
        for _ in 0..rounds {
            let donor = bundle::Donor { id: "dnr".into(), name: "Example donor".into() };
            let asked = Asked { donor, lots: vec![lot], period: None, since };
            let (text, took) = timed(|| {
                let made = log.read(|conn| bundle::make(conn, &asked)).expect("a bundle");
                serde_json::to_string(&made).expect("JSON")
            });
            makes.push(took);
            let (held, took) = timed(|| check(&text, &trust, None).expect("it holds"));
            checks.push(took);
            (size, told) = (text.len(), held.lines);
        }
        let (made_in, checked_in) = (median(makes), median(checks));
        println!(
            "{}, {what}: {told} lines made in {:.3} s, checked in {:.3} s, {} bytes, {} a line",
            made.kind,
            made_in.as_secs_f64(),
            checked_in.as_secs_f64(),
            size,
            size as u64 / told.max(1)
        );
    }
    steady::measure(made.kind, &store, &scene, &mut integrator, seconds, rounds);
}

fn number(name: &str, otherwise: usize) -> usize {
    let mut args = std::env::args().skip_while(|arg| arg != name).skip(1);
    args.next().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn main() {
    for made in databases() {
        measure(&made, number("--lines", 10_000), number("--rounds", 5).max(1), number("--seconds", 10));
    }
}
