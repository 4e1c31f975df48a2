//! Figures about the process, for Prometheus: requests, the writer's queue, the journal.
//!
//! Floats appear here because Prometheus speaks them; no amount of credits ever passes through.

use std::sync::LazyLock;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Encoder, HistogramVec, IntCounterVec, IntGauge, Registry, TextEncoder, histogram_opts, opts};

use crate::store::Store;
use crate::time::{SECOND, Time};

struct Metrics {
    registry: Registry,
    requests: Option<IntCounterVec>,
    durations: Option<HistogramVec>,
    sweeps: Option<IntCounterVec>,
    booked: Option<IntCounterVec>,
    last_sweep: Option<IntGauge>,
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
    let collectors = [requests.clone().map(boxed), durations.clone().map(boxed), sweeps.clone().map(boxed), booked.clone().map(boxed)];
    for collector in collectors.into_iter().chain([last_sweep.clone().map(boxed)]).flatten() {
        // The names are constants of this file; registering them twice is the only thing that can fail.
        let _ = registry.register(collector);
    }
    Metrics { registry, requests, durations, sweeps, booked, last_sweep }
});

fn boxed(collector: impl Collector + 'static) -> Box<dyn Collector> {
    Box::new(collector)
}

/// Counts one answered request.
pub fn answered(method: &str, route: &str, status: u16, took: Duration) {
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

/// All figures in Prometheus' text format.
pub fn render(store: &Store, journal_head: i64) -> Result<String, String> {
    let (commits, commands) = store.written();
    let figures = [
        ("almoner_journal_seq", "Last sequence of the journal", journal_head),
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
