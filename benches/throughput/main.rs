//! How many charges a second: `cargo bench --bench throughput`, or `tests/run --bench` with a PostgreSQL server of its own.
//!
//! In one run, on SQLite and (where `ALMONER_TEST_POSTGRES` holds a superuser's URL) on PostgreSQL, it measures:
//!
//! - **raw**: what the database itself can do at most: one bare row (id, a, b, amount, at, ref; no index) durably inserted per record,
//!   by a prepared insert on SQLite (WAL, `synchronous=FULL`) and by COPY on PostgreSQL, committed in the same batches;
//! - **in process**: `usage::charge` through the store's queue: key, digest, price, draw-down, postings, balances, durable commit;
//! - **HTTP batch**: `POST /v1/usage/batch` to the release program, token checked, two keep-alive connections; the answer in full (each
//!   charge shown) or minimal (`Prefer: return=minimal`);
//! - **HTTP single**: `POST /v1/usage`, one record each, over 64 keep-alive connections;
//! - **balance**: `GET /v1/grants/{id}/balance` over one connection.
//!
//! Every round measures each of them once, so that what disturbs the machine disturbs all alike; shown are medians over the rounds, and
//! in brackets the lowest and highest. *Of raw* is the median of the rates' ratios *within a round* to raw in batches of the same size:
//! compare these, not the rates of different runs. p50 and p99 are of one request (or commit). Client, server and database share the
//! cores. The same figures are written to `throughput.json` in `bench/` in the target folder.
//!
//! After `--`: `--rounds N` (5), `--records N` for each measurement in batches (40,000), `--only TEXT` for measurements whose name
//! contains it (raw is always measured).

mod floor;
mod inside;
mod outside;
mod report;
mod scene;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::sync::Barrier;
use std::time::{Duration, Instant};

use floor::Floor;
use inside::Inside;
use outside::Outside;
use support::database::{self, TestDatabase};

/// As in the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Records charged one by one in a measurement, and balances read.
const SINGLES: usize = 6400;
const READS: usize = 1000;
/// Raw rows a measurement, as a multiple of its records: they are soon done, and a short time is a bad measure.
const MORE_RAW: usize = 4;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Raw,
    InProcess,
    Batch { minimal: bool },
    Single,
    Balance,
}

/// One measurement: what, and in which batches.
#[derive(Clone, Copy, Debug)]
struct Measure {
    name: &'static str,
    what: What,
    batch: usize,
}

const fn measure(name: &'static str, what: What, batch: usize) -> Measure {
    Measure { name, what, batch }
}

/// What every round measures, in this order.
const MEASURES: [Measure; 10] = [
    measure("raw", What::Raw, 1000),
    measure("in process", What::InProcess, 1000),
    measure("HTTP batch, minimal", What::Batch { minimal: true }, 1000),
    measure("HTTP batch, full", What::Batch { minimal: false }, 1000),
    measure("raw", What::Raw, 5000),
    measure("in process", What::InProcess, 5000),
    measure("HTTP batch, minimal", What::Batch { minimal: true }, 5000),
    measure("HTTP batch, full", What::Batch { minimal: false }, 5000),
    measure("HTTP single, 64 connections", What::Single, 1),
    measure("balance", What::Balance, 1),
];

/// What one measurement gave in one round.
struct Sample {
    records: usize,
    took: Duration,
    waits: Vec<Duration>,
}

/// The rounds of one measurement.
struct Row {
    measure: Measure,
    samples: Vec<Sample>,
}

/// What is measured on one kind of database, each in a database of its own.
struct Rig {
    floor: Floor,
    inside: Inside,
    outside: Outside,
    // Dropped last: PostgreSQL drops no database that is in use.
    _databases: [TestDatabase; 3],
}

impl Rig {
    fn set_up(make: impl Fn() -> Option<TestDatabase>) -> Option<Rig> {
        let databases = [make()?, make()?, make()?];
        let [raw, inner, outer] = &databases;
        Some(Rig { floor: Floor::open(raw), inside: Inside::open(inner), outside: Outside::start(outer), _databases: databases })
    }

    fn run(&mut self, measure: Measure, records: usize) -> Sample {
        match measure.what {
            What::Raw => self.floor.insert(records * MORE_RAW, measure.batch),
            What::InProcess => self.inside.charge(records, measure.batch),
            What::Batch { minimal } => self.outside.charge(records, measure.batch, minimal),
            What::Single => self.outside.charge_singly(SINGLES),
            What::Balance => self.outside.read_balances(READS),
        }
    }
}

/// What the command line asks for.
struct Settings {
    rounds: usize,
    records: usize,
    only: String,
}

impl Settings {
    fn read() -> Settings {
        let mut settings = Settings { rounds: 5, records: 40_000, only: String::new() };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
            let number = |text: String| text.parse().ok().filter(|n| *n > 0).unwrap_or_else(|| panic!("{text:?} is no number above 0"));
            match word.as_str() {
                "--rounds" => settings.rounds = number(value()),
                "--records" => settings.records = number(value()),
                "--only" => settings.only = value(),
                // Cargo says so to every benchmark.
                "--bench" => {}
                _ => panic!("{word} is not understood; there are --rounds N, --records N and --only TEXT"),
            }
        }
        settings
    }
}

fn main() {
    let settings = Settings::read();
    let machine = report::Machine::look();
    let mut tables = Vec::new();
    let rigs: [fn() -> Option<TestDatabase>; 2] = [|| Some(database::sqlite()), database::postgres];
    for make in rigs {
        let Some(mut rig) = Rig::set_up(make) else {
            println!("PostgreSQL is left out: ALMONER_TEST_POSTGRES holds no superuser's URL. `tests/run --bench` starts a server for it.");
            continue;
        };
        let name = rig.floor.version();
        println!("measuring on {name} …");
        tables.push((name, measure_all(&mut rig, &settings)));
    }
    report::print(&machine, &settings, &tables);
    report::save(&machine, &settings, &tables);
}

fn measure_all(rig: &mut Rig, settings: &Settings) -> Vec<Row> {
    let asked = |m: &&Measure| m.what == What::Raw || m.name.contains(&settings.only);
    let mut rows: Vec<Row> = MEASURES.iter().filter(asked).map(|measure| Row { measure: *measure, samples: Vec::new() }).collect();
    // A first round warms caches, files and branch predictors, and does not count.
    for round in 0..=settings.rounds {
        for row in &mut rows {
            let sample = rig.run(row.measure, settings.records);
            if round > 0 {
                row.samples.push(sample);
            }
        }
    }
    rows
}

/// Runs each lane on a thread of its own, all from the same moment on; how long until the last was done, and every wait.
fn drive<T: Send>(records: usize, lanes: Vec<T>, run: impl Fn(T) -> Vec<Duration> + Sync) -> Sample {
    let (start, run) = (Barrier::new(lanes.len() + 1), &run);
    let start = &start;
    std::thread::scope(|scope| {
        let begin = move |lane| {
            start.wait();
            run(lane)
        };
        let threads: Vec<_> = lanes.into_iter().map(|lane| scope.spawn(move || begin(lane))).collect();
        start.wait();
        let began = Instant::now();
        let waits = threads.into_iter().flat_map(|thread| thread.join().expect("a lane that ends well")).collect();
        Sample { records, took: began.elapsed(), waits }
    })
}

/// How long something takes.
fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let began = Instant::now();
    let made = work();
    (began.elapsed(), made)
}
