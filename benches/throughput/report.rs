//! What the rounds gave, as a table and as JSON, with the machine they ran on.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::growth::Size;
use super::{MEASURES, Measure, Row, Sample, Settings, What};

/// Where it was measured.
pub struct Machine {
    cores: usize,
    cpu: String,
    kernel: String,
    /// Of the minute before: what else was running.
    load: String,
}

impl Machine {
    /// Looks at this one.
    pub fn look() -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let cpu = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).and_then(|rest| rest.split_once(": "));
        Machine {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: cpu.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned()),
            kernel: format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim()),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }
}

impl Machine {
    fn json(&self) -> Value {
        json!({"cores": self.cores, "cpu": self.cpu, "kernel": self.kernel, "load": self.load})
    }
}

/// Lowest, median and highest.
#[derive(Clone, Copy)]
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Spread> {
        let mut sorted: Vec<f64> = values.collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { *sorted.get(middle)? } else { (sorted.get(middle.checked_sub(1)?)? + sorted[middle]) / 2.0 };
        Some(Spread { low: *sorted.first()?, median, high: *sorted.last()? })
    }

    fn json(self) -> Value {
        json!({"median": self.median, "low": self.low, "high": self.high})
    }
}

fn rate(sample: &Sample) -> f64 {
    sample.records as f64 / sample.took.as_secs_f64()
}

/// What a measurement is to reach, as a share of a floor; of everything else no more is asked than that it is told.
#[derive(Clone, Copy, Default)]
struct Aim {
    of_raw: Option<f64>,
    of_same: Option<f64>,
}

fn aim(database: &str, measure: Measure) -> Aim {
    let sqlite = database.starts_with("SQLite");
    match (measure.what, measure.batch) {
        (What::InProcess { hot: false }, 5000) => Aim { of_raw: Some(if sqlite { 0.12 } else { 0.20 }), of_same: Some(0.80) },
        (What::Batch { minimal: true }, 5000) => Aim { of_raw: Some(if sqlite { 0.08 } else { 0.12 }), of_same: None },
        _ => Aim::default(),
    }
}

/// An aim as it stands beside a ratio.
fn aimed(aim: Option<f64>) -> String {
    aim.map_or_else(String::new, |aim| format!(" (aim {aim:.2})"))
}

/// How many times as many as SQL transfers are aimed at: without HTTP, as those are.
fn times_aimed(measure: Measure) -> &'static str {
    if matches!(measure.what, What::OneByOne) { " (aim 10)" } else { "" }
}

/// One line of the table.
struct Figures {
    measure: Measure,
    rate: Spread,
    of_raw: Option<Spread>,
    of_same: Option<Spread>,
    /// How many times as many as SQL transfers, of what goes one by one.
    of_transfers: Option<Spread>,
    p50: Duration,
    p99: Duration,
}

fn figures(rows: &[Row]) -> Vec<Figures> {
    rows.iter().map(|row| figures_of(row, rows)).collect()
}

/// The ratios of a measurement to a floor in batches of the same size, round by round.
fn of_floor(row: &Row, rows: &[Row], floor: What) -> Option<Spread> {
    let floor = rows.iter().find(|r| r.measure.what == floor && r.measure.batch == row.measure.batch)?;
    let (own, below) = (&row.samples, &floor.samples);
    // Nothing was copied where nothing was charged in process.
    Spread::of(own.iter().zip(below).filter(|(_, below)| below.records > 0).map(|(own, below)| rate(own) / rate(below)))
}

fn figures_of(row: &Row, rows: &[Row]) -> Figures {
    let is_floor = matches!(row.measure.what, What::Raw);
    let mut waits: Vec<Duration> = row.samples.iter().flat_map(|sample| sample.waits.iter().copied()).collect();
    Figures {
        measure: row.measure,
        rate: Spread::of(row.samples.iter().map(rate)).expect("at least one round"),
        of_raw: of_floor(row, rows, What::Raw).filter(|_| !is_floor),
        of_same: of_floor(row, rows, What::Same).filter(|_| !is_floor && row.measure.what != What::Same),
        of_transfers: of_floor(row, rows, What::Transfers).filter(|_| matches!(row.measure.what, What::OneByOne | What::Single { .. })),
        p50: quantile(&mut waits, 50),
        p99: quantile(&mut waits, 99),
    }
}

fn quantile(waits: &mut [Duration], hundredths: usize) -> Duration {
    waits.sort_unstable();
    waits.get((waits.len() * hundredths / 100).min(waits.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Prints the tables.
pub fn print(machine: &Machine, settings: &Settings, tables: &[(String, Vec<Row>)]) {
    println!("\n{} × {}; {}; load {} at the start", machine.cores, machine.cpu, machine.kernel, machine.load);
    println!("medians of {} rounds [lowest–highest]; {} records a measurement in batches", settings.rounds, settings.records);
    let width = MEASURES.iter().map(|m| m.name.len()).max().unwrap_or(0);
    for (name, rows) in tables {
        println!(
            "\n{name:width$}  {:>5}  {:>28}  {:>33}  {:>16}  {:>9}  {:>9}",
            "batch", "per second", "of raw", "of same rows", "p50 ms", "p99 ms"
        );
        for line in figures(rows) {
            let rate = format!("{:.0} [{:.0}–{:.0}]", line.rate.median, line.rate.low, line.rate.high);
            let aim = aim(name, line.measure);
            let raw = |r: Spread| format!("{:.3} [{:.3}–{:.3}]{}", r.median, r.low, r.high, aimed(aim.of_raw));
            let times = |r: Spread| format!("{:.1} [{:.1}–{:.1}] × transfers{}", r.median, r.low, r.high, times_aimed(line.measure));
            let of_raw = line.of_raw.map(raw).or(line.of_transfers.map(times)).unwrap_or_default();
            let of_same = line.of_same.map_or_else(String::new, |r| format!("{:.3}{}", r.median, aimed(aim.of_same)));
            let Measure { name, batch, .. } = line.measure;
            println!("{name:width$}  {batch:>5}  {rate:>28}  {of_raw:>33}  {of_same:>16}  {:>9.2}  {:>9.2}", ms(line.p50), ms(line.p99));
        }
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The sizes of all databases as they are measured: each line is printed when it is there, since there are minutes between them.
pub struct Growing {
    sizes: Vec<(String, Size)>,
}

/// The median of the windows' rates.
fn median_rate(windows: &[Sample]) -> f64 {
    Spread::of(windows.iter().map(rate)).expect("at least one window").median
}

/// The median of the windows' ratios to the same rows beside each.
fn median_of_same(size: &Size) -> f64 {
    Spread::of(size.charged.iter().zip(&size.same).map(|(own, same)| rate(own) / rate(same))).expect("at least one window").median
}

impl Growing {
    /// Begins to tell.
    pub fn begin(machine: &Machine) -> Growing {
        println!("\n{} × {}; {}; load {} at the start", machine.cores, machine.cpu, machine.kernel, machine.load);
        println!(
            "\n{:10}  {:10}  {:>8}  {:>9}  {:>11}  {:>17}  {:>17}  {:>14}  {:>14}  {:>15}",
            "",
            "",
            "postings",
            "charges/s",
            "same rows/s",
            "of same rows",
            "of 10^6",
            "balance p50 ms",
            "balance p99 ms",
            "SELECT 1 p99 ms"
        );
        Growing { sizes: Vec::new() }
    }

    /// Tells of the next size.
    pub fn tell(&mut self, database: &str, size: Size) {
        let (charged, same) = (median_rate(&size.charged), median_rate(&size.same));
        let (p50, p99) = (quantile(&mut size.balance.clone(), 50), quantile(&mut size.balance.clone(), 99));
        let nothing = quantile(&mut size.nothing.clone(), 99);
        let last = size.postings == 10_000_000;
        let only = |aim: f64| last.then_some(aim);
        println!(
            "{database:10}  {:10}  {:>8}  {charged:>9.0}  {same:>11.0}  {:>17}  {:>17}  {:>14.2}  {:>14}  {:>15.2}",
            size.ids(),
            size.postings,
            format!("{:.3}{}", median_of_same(&size), aimed(only(0.80))),
            self.of_million(database, &size).map_or_else(String::new, |ratio| format!("{ratio:.3}{}", aimed(only(0.70)))),
            ms(p50),
            format!("{:.2}{}", ms(p99), if last { " (aim 2)" } else { "" }),
            ms(nothing),
        );
        self.sizes.push((database.to_owned(), size));
    }

    /// The rate at the last size, of that at a million postings.
    fn of_million(&self, database: &str, size: &Size) -> Option<f64> {
        let million = |(name, other): &&(String, Size)| name == database && other.postings == 1_000_000 && other.random == size.random;
        let (_, other) = self.sizes.iter().find(million).filter(|_| size.postings == 10_000_000)?;
        Some(median_rate(&size.charged) / median_rate(&other.charged))
    }

    /// Writes the same as JSON into the target folder.
    pub fn save(&self, machine: &Machine) {
        let line = |(database, size): &(String, Size)| {
            let [p50, p99] = [50, 99].map(|part| quantile(&mut size.balance.clone(), part).as_micros() as u64);
            json!({
                "database": database, "ids": size.ids(), "postings": size.postings,
                "charges_per_second": median_rate(&size.charged), "same_rows_per_second": median_rate(&size.same),
                "of_same_rows": median_of_same(size), "of_million": self.of_million(database, size),
                "balance_p50_us": p50, "balance_p99_us": p99,
                "select_1_p99_us": quantile(&mut size.nothing.clone(), 99).as_micros() as u64,
            })
        };
        let lines: Vec<Value> = self.sizes.iter().map(line).collect();
        write("growth.json", &json!({"machine": machine.json(), "sizes": lines}));
    }
}

fn write(name: &str, figures: &Value) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    fs::create_dir_all(&folder).expect("a folder for the figures");
    let file = folder.join(name);
    fs::write(&file, format!("{figures:#}\n")).expect("the figures written");
    println!("\nthe same in {}", file.display());
}

/// Writes the same as JSON into the target folder.
pub fn save(machine: &Machine, settings: &Settings, tables: &[(String, Vec<Row>)]) {
    let line = |database: &str, f: Figures| {
        let aim = aim(database, f.measure);
        json!({
            "name": f.measure.name, "batch": f.measure.batch, "per_second": f.rate.json(), "of_raw": f.of_raw.map(Spread::json), "of_same_rows": f.of_same.map(Spread::json),
            "of_transfers": f.of_transfers.map(Spread::json),
            "aim_of_raw": aim.of_raw, "aim_of_same_rows": aim.of_same,
            "p50_us": f.p50.as_micros() as u64, "p99_us": f.p99.as_micros() as u64,
        })
    };
    let table = |(name, rows): &(String, Vec<Row>)| {
        let lines: Vec<Value> = figures(rows).into_iter().map(|f| line(name, f)).collect();
        json!({"database": name, "measures": lines})
    };
    let all = json!({
        "machine": machine.json(),
        "rounds": settings.rounds, "records": settings.records, "tables": tables.iter().map(table).collect::<Vec<_>>(),
    });
    write("throughput.json", &all);
}
