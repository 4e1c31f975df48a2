//! What runs on the demo's machines: jobs with a heavy tail of sizes and the rhythm of days and weeks, made and counted in whole
//! seconds.
//!
//! Pure. It knows what a grant still has only as far as it was told, and keeps its jobs within that.

use rust_decimal::Decimal;

use super::places::{Machine, Place, SITES, Site};
use super::random::Random;
use crate::id::GrantId;
use crate::time::{Period, SECOND, Time};
use crate::usage::{Job, Record, Used};

/// How busy each day of the week is, Monday first, in a hundred parts.
const WEEK: [i64; 7] = [116, 120, 122, 120, 117, 55, 50];

/// How many jobs end in each hour of the day (UTC, a programme on American clocks).
const HOURS: [i64; 24] = [7, 6, 5, 5, 4, 3, 3, 3, 2, 2, 2, 3, 4, 6, 8, 9, 10, 11, 11, 10, 10, 10, 9, 8];

/// How jobs end, with weights in a thousand.
const STATES: [&str; 6] = ["COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "OUT_OF_MEMORY", "NODE_FAIL"];
const ENDINGS: [i64; 6] = [815, 70, 50, 45, 14, 6];

/// The longest a job may run.
const LONGEST: i64 = 48 * 3600;

/// A grant that is being used.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub grant: GrantId,
    pub project: usize,
    pub site: usize,
    pub period: Period,
    /// Jobs a day, in thousandths.
    pub rate: i64,
    /// What a job costs on average, in the unit's smallest part.
    pub mean: i64,
    /// What is left, as far as is known.
    pub left: i64,
}

/// A job as the demo draws it, before its cluster numbers it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub ended_at: Time,
    /// Place among the live grants.
    pub live: usize,
    machine: usize,
    /// GPUs, or processors where there are none.
    width: i64,
    /// Seconds.
    elapsed: i64,
    state: &'static str,
    high: bool,
}

/// All jobs of a grant that end within a day; what they will cost is taken off what is left.
pub(super) fn day(random: &mut Random, live: &mut Live, place: usize, midnight: Time, weekday: usize, until: Time) -> Vec<Run> {
    // Work comes in bursts: three days in ten are seven times as busy as the others.
    let burst = if random.in_thousand(300) { 250 } else { 36 };
    let thousandths = live.rate * WEEK.get(weekday).copied().unwrap_or(100) / 100 * burst / 100;
    let number = (thousandths + random.below(1000)) / 1000;
    let mut runs = Vec::new();
    for _ in 0..number {
        let hour = random.weighted(&HOURS) as i64;
        let second = hour * 3600 + random.below(3600);
        let ended_at = midnight.plus(second * SECOND).plus(random.below(SECOND));
        let cost = (live.mean.saturating_mul(random.tail()) / 1000).max(1);
        // Somebody looks at the balance before submitting.
        let cost = if cost > live.left / 4 * 3 { live.left / 4 } else { cost };
        if ended_at >= until || cost < live.mean / 50 || cost == 0 {
            continue;
        }
        if let Some((run, cost)) = run(random, live, place, ended_at, cost) {
            live.left -= cost;
            runs.push(run);
        }
    }
    runs
}

/// A job that costs about so much, and what it will cost.
fn run(random: &mut Random, live: &Live, place: usize, ended_at: Time, cost: i64) -> Option<(Run, i64)> {
    let site = SITES.get(live.site)?;
    let shares: Vec<i64> = site.machines.iter().map(|machine| machine.share).collect();
    let machine = random.weighted(&shares);
    let about = site.machines.get(machine)?;
    let hourly = hourly(about);
    let seconds = cost.checked_mul(3600)?.checked_div(hourly)?.max(1);
    let wished = random.between(600, 14 * 3600);
    let mut width = 1;
    while width * wished < seconds && width < about.widest {
        width *= 2;
    }
    // Nothing starts before its grant does.
    let since = ended_at.since(live.period.from) / SECOND;
    let elapsed = (seconds / width).clamp(1, LONGEST.min(since.max(1)));
    let state = STATES.get(random.weighted(&ENDINGS)).copied()?;
    // High quality of service costs twice as much: only for what is well within the grant.
    let high = cost < live.left / 10 && random.in_thousand(40);
    let price = width.checked_mul(elapsed)?.checked_mul(hourly)? / 3600 + 1;
    let run = Run { ended_at, live: place, machine, width, elapsed, state, high };
    Some((run, if high { price * 2 } else { price }))
}

/// What a GPU with its processors costs for an hour, or a processor where there are no GPUs.
fn hourly(machine: &Machine) -> i64 {
    match machine.gpu_hour {
        0 => machine.cpu_hour,
        gpu => gpu + machine.cpu_hour * machine.cpus_per_gpu,
    }
}

/// One job that costs more than the grant has left: it did run.
pub(super) fn beyond(live: &Live, place: usize, ended_at: Time) -> Option<Run> {
    let machine = SITES.get(live.site)?.machines.first()?;
    // A third more than is left, at prices that may have fallen by a sixth, in GPU seconds.
    let seconds = (live.left / 10 * 16).checked_mul(3600)?.checked_div(hourly(machine))?;
    let elapsed = (seconds / machine.widest).clamp(3600, LONGEST);
    Some(Run { ended_at, live: place, machine: 0, width: machine.widest, elapsed, state: "COMPLETED", high: false })
}

/// The record that a site sends of a job.
pub(super) fn record(
    site: &Site,
    place: &Place,
    number: i64,
    run: &Run,
    live: &Live,
    external_id: String,
    account: String,
) -> Option<Record> {
    let machine = site.machines.get(run.machine)?;
    let started_at = run.ended_at.plus(-run.elapsed * SECOND);
    let used = run.width * run.elapsed;
    let used = match machine.gpu_hour {
        0 => vec![("cpu-second".to_owned(), Decimal::from(used))],
        // Sorted by meter, as the form of a record has them.
        _ => vec![("cpu-second".to_owned(), Decimal::from(used * machine.cpus_per_gpu)), ("gpu-second".to_owned(), Decimal::from(used))],
    };
    let id = (100_000 + number).to_string();
    Some(Record {
        external_id: format!("{}:{id}:{started_at}", site.cluster),
        grant: site.names_grants.then_some(live.grant),
        account: (!site.names_grants).then_some(if site.own_accounts { account } else { external_id }),
        resource: *place.resources.get(run.machine)?,
        used: Used::Metered(used),
        qos: Some(if run.high { "high" } else { "normal" }.to_owned()),
        started_at: Some(started_at),
        ended_at: run.ended_at,
        user: Some(format!("user{}", live.project * 4 + number.unsigned_abs() as usize % 3)),
        hold: None,
        part: None,
        job: Job { cluster: Some(site.cluster.to_owned()), id: Some(id), state: Some(run.state.to_owned()) },
    })
}
