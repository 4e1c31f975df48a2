//! Figures about the process, for Prometheus: requests, the writer's queue, the journal.
//!
//! Floats appear here because Prometheus speaks them; no amount of credits ever passes through.

use std::sync::LazyLock;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Encoder, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder, histogram_opts, opts};

use crate::store::Store;
use crate::time::{SECOND, Time};

struct Metrics {
    registry: Registry,
    requests: Option<IntCounterVec>,
    durations: Option<HistogramVec>,
    sweeps: Option<IntCounterVec>,
    booked: Option<IntCounterVec>,
    last_sweep: Option<IntGauge>,
    issuers: Option<IntCounterVec>,
    keys: Option<IntGaugeVec>,
    limited: Option<IntCounterVec>,
    leaves: Option<IntGauge>,
    behind: Option<IntGauge>,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(|| {
    let registry = Registry::new();
    let requests = IntCounterVec::new(opts!("almoner_http_requests_total", "Requests answered"), &["method", "route", "status"]).ok();
    let buckets = vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
    let options = histogram_opts!("almoner_http_request_seconds", "Time to answer", buckets);
    let durations = HistogramVec::new(options, &["method", "route"]).ok();
    let sweeps = IntCounterVec::new(opts!("almoner_sweeps_total", "Sweeps run by this process"), &["outcome"]).ok();
    let booked = IntCounterVec::new(opts!("almoner_sweep_booked_total", "Ends and expiries booked by this process"), &["what"]).ok();
    let last_sweep = IntGauge::new("almoner_sweep_last_run_seconds", "When the last sweep ended well, in seconds since 1970").ok();
    let issuers =
        IntCounterVec::new(opts!("almoner_issuer_fetches_total", "Times an issuer was asked for its keys"), &["issuer", "outcome"]).ok();
    let keys = IntGaugeVec::new(opts!("almoner_issuer_keys", "Keys an issuer gave when last asked"), &["issuer", "state"]).ok();
    let limited = IntCounterVec::new(opts!("almoner_rate_limited_total", "Requests refused as too many"), &["policy"]).ok();
    let leaves = IntGauge::new("almoner_log_leaves", "Leaves of the verifiable log, as this process last wrote it").ok();
    let behind = IntGauge::new("almoner_log_behind", "Journal entries that were not in the log yet when this process last wrote it").ok();
    let of_log = [leaves.clone().map(boxed), behind.clone().map(boxed)];
    let of_doors = [issuers.clone().map(boxed), keys.clone().map(boxed), limited.clone().map(boxed)];
    let collectors = [requests.clone().map(boxed), durations.clone().map(boxed), sweeps.clone().map(boxed), booked.clone().map(boxed)];
    for collector in collectors.into_iter().chain([last_sweep.clone().map(boxed)]).chain(of_doors).chain(of_log).flatten() {
        // The names are constants of this file; registering them twice is the only thing that can fail.
        let _ = registry.register(collector);
    }
    Metrics { registry, requests, durations, sweeps, booked, last_sweep, issuers, keys, limited, leaves, behind }
});

fn boxed(collector: impl Collector + 'static) -> Box<dyn Collector> {
    Box::new(collector)
}

/// Methods that are told apart.
const METHODS: [&str; 7] = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"];

/// Counts one answered request.
pub fn answered(method: &str, route: &str, status: u16, took: Duration) {
    // Anybody may name a method as they like: what is not known here must not become a label of its own.
    let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
    if let Some(requests) = &METRICS.requests {
        requests.with_label_values(&[method, route, status.to_string().as_str()]).inc();
    }
    if let Some(durations) = &METRICS.durations {
        durations.with_label_values(&[method, route]).observe(took.as_secs_f64());
    }
}

/// Counts one sweep that ended then: how many of what it booked, or nothing where it failed.
pub fn swept(booked: Option<[(&str, usize); 3]>, at: Time) {
    let outcome = if booked.is_some() { "done" } else { "failed" };
    if let Some(sweeps) = &METRICS.sweeps {
        sweeps.with_label_values(&[outcome]).inc();
    }
    let Some(counts) = booked else { return };
    if let Some(last) = &METRICS.last_sweep {
        last.set(at.micros() / SECOND);
    }
    for (what, count) in counts {
        if let Some(booked) = &METRICS.booked {
            booked.with_label_values(&[what]).inc_by(count as u64);
        }
    }
}

/// Counts one question to an issuer: how many keys were taken and how many passed over, or nothing where no answer came.
pub fn issuer_asked(issuer: &str, found: Option<(usize, usize)>) {
    let outcome = if found.is_some() { "done" } else { "failed" };
    if let Some(issuers) = &METRICS.issuers {
        issuers.with_label_values(&[issuer, outcome]).inc();
    }
    let (Some((taken, passed_over)), Some(keys)) = (found, &METRICS.keys) else { return };
    for (state, count) in [("taken", taken), ("passed_over", passed_over)] {
        keys.with_label_values(&[issuer, state]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// Counts one request that was refused as too many, by the policy that refused it.
pub fn limited(policy: &str) {
    if let Some(limited) = &METRICS.limited {
        limited.with_label_values(&[policy]).inc();
    }
}

/// Tells how far the log has come: its leaves, and the journal's entries that it lacks.
pub fn logged(leaves: u64, behind: i64) {
    let figures = [(&METRICS.leaves, i64::try_from(leaves).unwrap_or(i64::MAX)), (&METRICS.behind, behind)];
    for (gauge, value) in figures {
        if let Some(gauge) = gauge {
            gauge.set(value);
        }
    }
}

/// All figures in Prometheus' text format.
pub fn render(store: &Store, journal_head: i64, read_only: bool) -> Result<String, String> {
    let (commits, commands) = store.written();
    let figures = [
        ("almoner_journal_seq", "Last sequence of the journal", journal_head),
        ("almoner_read_only", "Whether nothing is written because an audit found a law broken", i64::from(read_only)),
        ("almoner_writer_waiting", "Commands waiting for the writer", i64::try_from(store.waiting()).unwrap_or(i64::MAX)),
        ("almoner_writer_commits_total", "Commits of this process", i64::try_from(commits).unwrap_or(i64::MAX)),
        ("almoner_writer_commands_total", "Commands of this process", i64::try_from(commands).unwrap_or(i64::MAX)),
    ];
    let now = Registry::new();
    for (name, help, value) in figures {
        let gauge = IntGauge::new(name, help).map_err(|e| e.to_string())?;
        gauge.set(value);
        now.register(Box::new(gauge)).map_err(|e| e.to_string())?;
    }
    let mut out = Vec::new();
    for families in [METRICS.registry.gather(), now.gather()] {
        TextEncoder::new().encode(&families, &mut out).map_err(|e| e.to_string())?;
    }
    String::from_utf8(out).map_err(|e| e.to_string())
}
