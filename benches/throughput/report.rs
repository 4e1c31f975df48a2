//! What the rounds gave, as a table and as JSON, with the machine they ran on.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

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

/// One line of the table.
struct Figures {
    measure: Measure,
    rate: Spread,
    of_raw: Option<Spread>,
    p50: Duration,
    p99: Duration,
}

fn figures(rows: &[Row]) -> Vec<Figures> {
    rows.iter().map(|row| figures_of(row, rows)).collect()
}

fn figures_of(row: &Row, rows: &[Row]) -> Figures {
    let raw = rows.iter().find(|r| r.measure.what == What::Raw && r.measure.batch == row.measure.batch);
    let raw = raw.filter(|_| row.measure.what != What::Raw);
    let of_raw = raw.and_then(|raw| Spread::of(row.samples.iter().zip(&raw.samples).map(|(own, raw)| rate(own) / rate(raw))));
    let mut waits: Vec<Duration> = row.samples.iter().flat_map(|sample| sample.waits.iter().copied()).collect();
    waits.sort_unstable();
    let quantile = |hundredths: usize| waits[(waits.len() * hundredths / 100).min(waits.len() - 1)];
    Figures {
        measure: row.measure,
        rate: Spread::of(row.samples.iter().map(rate)).expect("at least one round"),
        of_raw,
        p50: quantile(50),
        p99: quantile(99),
    }
}

/// Prints the tables.
pub fn print(machine: &Machine, settings: &Settings, tables: &[(String, Vec<Row>)]) {
    println!("\n{} × {}; {}; load {} at the start", machine.cores, machine.cpu, machine.kernel, machine.load);
    println!("medians of {} rounds [lowest–highest]; {} records a measurement in batches", settings.rounds, settings.records);
    let width = MEASURES.iter().map(|m| m.name.len()).max().unwrap_or(0);
    for (name, rows) in tables {
        println!("\n{:width$}  {:>5}  {:>28}  {:>22}  {:>9}  {:>9}", name, "batch", "per second", "of raw", "p50 ms", "p99 ms");
        for line in figures(rows) {
            let rate = format!("{:.0} [{:.0}–{:.0}]", line.rate.median, line.rate.low, line.rate.high);
            let of_raw = line.of_raw.map_or_else(String::new, |r| format!("{:.3} [{:.3}–{:.3}]", r.median, r.low, r.high));
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            let Measure { name, batch, .. } = line.measure;
            println!("{name:width$}  {batch:>5}  {rate:>28}  {of_raw:>22}  {:>9.2}  {:>9.2}", ms(line.p50), ms(line.p99));
        }
    }
}

/// Writes the same as JSON into the target folder.
pub fn save(machine: &Machine, settings: &Settings, tables: &[(String, Vec<Row>)]) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    fs::create_dir_all(&folder).expect("a folder for the figures");
    let line = |f: Figures| {
        json!({
            "name": f.measure.name, "batch": f.measure.batch, "per_second": f.rate.json(), "of_raw": f.of_raw.map(Spread::json),
            "p50_us": f.p50.as_micros() as u64, "p99_us": f.p99.as_micros() as u64,
        })
    };
    let table =
        |(name, rows): &(String, Vec<Row>)| json!({"database": name, "measures": figures(rows).into_iter().map(line).collect::<Vec<_>>()});
    let all = json!({
        "machine": {"cores": machine.cores, "cpu": machine.cpu, "kernel": machine.kernel, "load": machine.load},
        "rounds": settings.rounds, "records": settings.records, "tables": tables.iter().map(table).collect::<Vec<_>>(),
    });
    let file = folder.join("throughput.json");
    fs::write(&file, format!("{all:#}\n")).expect("the figures written");
    println!("\nthe same in {}", file.display());
}
