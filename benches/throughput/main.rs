//! How many charges a second: `cargo bench --bench throughput`, or `tests/run --bench` with a PostgreSQL server of its own.
//!
//! In one run, on SQLite and (where `ALMONER_TEST_POSTGRES` holds a superuser's URL, of a server that takes 300 connections) on PostgreSQL, it
//! measures:
//!
//! - **raw**: what the database itself can do at most: one bare row (id, a, b, amount, at, ref; no index) durably inserted per record,
//!   by a prepared insert on SQLite (WAL, `synchronous=FULL`) and by COPY on PostgreSQL, committed in the same batches;
//! - **same rows**: exactly the rows that Almoner wrote, with its indexes and constraints, by plain prepared inserts or COPY, no logic;
//! - **in process**: `usage::charge` through the store's queue: key, digest, price, draw-down, postings, balances, durable commit;
//! - *one by one*: the same, one record a command, 256 of them on their way at once;
//! - **HTTP batch**: `POST /v1/usage/batch` to the release program, token checked, three keep-alive connections; the answer in full (each
//!   charge shown) or minimal (`Prefer: return=minimal`);
//!   *one grant*: the same with all records charged to one grant, whose accounts are then in every transaction;
//! - **HTTP single**: `POST /v1/usage`, one record each, over 1, 64 and 256 keep-alive connections;
//! - **SQL transfers**: what keeping balances in SQL costs, in process too: an insert and two updates in a transaction each, 256 at once
//!   (SQLite takes one at a time);
//! - **balance**: `GET /v1/grants/{id}/balance` over one connection.
//!
//! Every round measures each of them once, so that what disturbs the machine disturbs all alike; shown are medians over the rounds, and
//! in brackets the lowest and highest. The service writes its log beside what is measured of it; the next measurement waits until that is
//! done, and until the disk is idle. *Of raw* is the median of the rates' ratios *within a round* to raw in batches of the same size:
//! compare these, not the rates of different runs. p50 and p99 are of one request (or commit). Client, server and database share the
//! cores. The same figures are written to `throughput.json` in `bench/` in the target folder.
//!
//! After `--`: `--rounds N` (5), `--records N` for each measurement in batches (40,000), `--only TEXT` for measurements whose name
//! and batch, as in `in process, 5000`, contain it (raw and same rows are measured with them). `--growth POSTINGS` measures instead whether
//! the rate holds as the books grow, up to that size (10000, 1000000 or 10000000), with rising and with random job ids, beside the same rows
//! at the same size.

mod floor;
mod growth;
mod inside;
mod outside;
mod report;
mod same;
mod scene;
#[path = "../../tests/support/mod.rs"]
mod support;
mod transfer;

use std::sync::Barrier;
use std::time::{Duration, Instant};

use floor::Floor;
use inside::Inside;
use outside::Outside;
use same::Same;
use support::database::{self, TestDatabase};
use support::log::logged;
use transfer::Transfers;

/// As in the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Records charged one by one in a measurement: so many for each connection, and at least so many. Balances read; transfers made.
const SINGLES: usize = 100;
const SINGLES_AT_LEAST: usize = 400;
const READS: usize = 1000;
/// Records that are on their way at once where they are charged one by one.
const AT_ONCE: usize = 256;
const TRANSFERS: usize = 6400;
/// Raw rows a measurement, as a multiple of its records: they are soon done, and a short time is a bad measure.
const MORE_RAW: usize = 4;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Raw,
    Same,
    InProcess { hot: bool },
    OneByOne,
    Batch { minimal: bool },
    Single { connections: usize },
    Transfers,
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

/// What every round measures, in this order: the same rows are those of the measurement before.
const MEASURES: [Measure; 17] = [
    measure("raw", What::Raw, 1000),
    measure("in process", What::InProcess { hot: false }, 1000),
    measure("same rows", What::Same, 1000),
    measure("HTTP batch, minimal", What::Batch { minimal: true }, 1000),
    measure("HTTP batch, full", What::Batch { minimal: false }, 1000),
    measure("raw", What::Raw, 5000),
    measure("in process", What::InProcess { hot: false }, 5000),
    measure("same rows", What::Same, 5000),
    measure("in process, one grant", What::InProcess { hot: true }, 5000),
    measure("HTTP batch, minimal", What::Batch { minimal: true }, 5000),
    measure("HTTP batch, full", What::Batch { minimal: false }, 5000),
    measure("SQL transfers", What::Transfers, 1),
    measure("in process, one by one", What::OneByOne, 1),
    measure("HTTP single, 1 connection", What::Single { connections: 1 }, 1),
    measure("HTTP single, 64 connections", What::Single { connections: 64 }, 1),
    measure("HTTP single, 256 connections", What::Single { connections: 256 }, 1),
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
    same: Same,
    outside: Outside,
    transfers: Transfers,
    // Dropped last: PostgreSQL drops no database that is in use.
    databases: [TestDatabase; 5],
}

impl Rig {
    fn set_up(make: impl Fn() -> Option<TestDatabase>) -> Option<Rig> {
        let databases = [make()?, make()?, make()?, make()?, make()?];
        let [raw, inner, copy, outer, plain] = &databases;
        let (floor, inside, outside, transfers) = (Floor::open(raw), Inside::open(inner), Outside::start(outer), Transfers::open(plain));
        Some(Rig { floor, inside, same: Same::open(copy, inner), outside, transfers, databases })
    }

    fn run(&mut self, measure: Measure, records: usize) -> Sample {
        match measure.what {
            What::Raw => self.floor.insert(records * MORE_RAW, measure.batch),
            What::InProcess { hot: false } => self.inside.charge(records, measure.batch),
            What::InProcess { hot: true } => {
                let sample = self.inside.charge_one_grant(records, measure.batch);
                // Copied, so that the next copy is of the next measurement alone.
                self.same.write(measure.batch);
                sample
            }
            What::OneByOne => {
                let sample = self.inside.charge_singly(records / 5, AT_ONCE);
                self.same.write(5000);
                sample
            }
            What::Same => self.same.write(measure.batch),
            What::Transfers => self.transfers.make(TRANSFERS),
            What::Batch { minimal } => self.when_logged(|outside| outside.charge(records, measure.batch, minimal)),
            What::Single { connections } => {
                let records = (connections * SINGLES).max(SINGLES_AT_LEAST);
                self.when_logged(|outside| outside.charge_singly(records, connections))
            }
            What::Balance => self.outside.read_balances(READS),
        }
    }

    /// Measures the service, and waits until its log has what was charged: what is measured next would be slowed down by that.
    fn when_logged(&self, measure: impl FnOnce(&Outside) -> Sample) -> Sample {
        let sample = measure(&self.outside);
        let [_, _, _, outer, _] = &self.databases;
        logged(outer);
        sample
    }
}

/// What the command line asks for.
struct Settings {
    rounds: usize,
    records: usize,
    only: String,
    growth: Option<usize>,
}

impl Settings {
    fn read() -> Settings {
        let mut settings = Settings { rounds: 5, records: 40_000, only: String::new(), growth: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
            let number = |text: String| text.parse().ok().filter(|n| *n > 0).unwrap_or_else(|| panic!("{text:?} is no number above 0"));
            match word.as_str() {
                "--rounds" => settings.rounds = number(value()),
                "--records" => settings.records = number(value()),
                "--only" => settings.only = value(),
                "--growth" => settings.growth = Some(number(value())),
                // Cargo says so to every benchmark.
                "--bench" => {}
                _ => panic!("{word} is not understood; there are --rounds N, --records N, --only TEXT and --growth POSTINGS"),
            }
        }
        settings
    }
}

fn main() {
    let settings = Settings::read();
    let machine = report::Machine::look();
    let rigs: [fn() -> Option<TestDatabase>; 2] = [|| Some(database::sqlite()), database::postgres];
    if let Some(upto) = settings.growth {
        let mut growing = report::Growing::begin(&machine);
        for (name, make) in ["SQLite", "PostgreSQL"].into_iter().zip(rigs) {
            growth::measure(make, upto, |size| growing.tell(name, size));
        }
        return growing.save(&machine);
    }
    let mut tables = Vec::new();
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
    let asked = |m: &Measure| m.what == What::Raw || format!("{}, {}", m.name, m.batch).contains(&settings.only);
    let mut rows: Vec<Row> = Vec::new();
    for (place, measure) in MEASURES.iter().enumerate() {
        // The same rows are those of the measurement before.
        let of = if measure.what == What::Same { &MEASURES[place - 1] } else { measure };
        if asked(of) {
            rows.push(Row { measure: *measure, samples: Vec::new() });
        }
    }
    // A first round warms caches, files and branch predictors, and does not count.
    for round in 0..=settings.rounds {
        for row in &mut rows {
            write_back();
            let sample = rig.run(row.measure, settings.records);
            if round > 0 {
                row.samples.push(sample);
            }
        }
    }
    rows
}

/// Has the system write what earlier measurements left in its memory: the disk would be busy with that during the next one.
fn write_back() {
    // Where there is no such program it is written some time.
    let _ = std::process::Command::new("sync").status();
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
