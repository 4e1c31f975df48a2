//! How the demo's usage gets into the books: sites report what ran, refund what they must, and some records need a human.
//!
//! It draws the jobs of live grants day by day and sends them in batches through the same verb as every provider.

use rust_decimal::Decimal;

use super::jobs::{self, Live, Run};
use super::places::{EAST, NATIONAL, Place, SITES};
use super::programme::{Award, OVERDRAWN, Plan, account, external_id};
use super::random::Random;
use super::stage::{DAYS, Stage, missing};
use crate::amount::Amount;
use crate::id::{ChargeId, GrantId, UsageId};
use crate::store::Fault;
use crate::time::{SECOND, Time};
use crate::usage::{self, Incoming, Job, Outcome, Record, Resolution, Used};

/// Records that one report holds at most.
const REPORT: usize = 2_000;
/// The day on which a job runs beyond its grant.
const BEYOND: i64 = 330;
/// The days of the three records that no grant fits, and what becomes of them.
const RESOLVED: i64 = 150;
const DISMISSED: i64 = 251;
const LEFT_OPEN: i64 = 357;

/// What came of all reports.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Tally {
    pub charges: u64,
    pub overdrawn: u64,
    pub refunds: u64,
    pub quarantined: u64,
}

/// A charge that its site may refund.
#[derive(Clone, Copy)]
struct Candidate {
    charge: ChargeId,
    amount: Amount,
}

/// What runs, and what was not yet reported of it.
pub(super) struct Reporting {
    random: Random,
    /// Jobs a day for each part of weight, in millionths.
    pace: i64,
    live: Vec<Live>,
    waiting: [Vec<Run>; 4],
    numbers: [i64; 4],
    candidates: [Option<Candidate>; 4],
    unresolved: Option<UsageId>,
    pub tally: Tally,
}

impl Reporting {
    /// Paced so that about `jobs` run within the year.
    pub fn new(random: Random, plan: &Plan, jobs: i64) -> Reporting {
        let weighted_days: i64 = plan.asks.iter().map(|ask| ask.weight * ask.active_days()).sum();
        Reporting {
            random,
            pace: jobs.saturating_mul(1_000_000) / weighted_days.max(1),
            live: Vec::new(),
            waiting: Default::default(),
            numbers: [0; 4],
            candidates: [None; 4],
            unresolved: None,
            tally: Tally::default(),
        }
    }

    /// Lets the jobs of a new grant begin.
    pub fn begin(&mut self, plan: &Plan, award: &Award) -> Result<(), Fault> {
        let ask = plan.asks.get(award.ask).ok_or_else(|| missing("a request"))?;
        let rate = (self.pace * ask.weight / 1000).max(1);
        let spending = award.awarded.minor / 100 * ask.used;
        self.live.push(Live {
            grant: award.grant,
            project: ask.project,
            site: ask.site,
            period: award.period,
            rate,
            mean: (spending / ask.days).saturating_mul(1000) / rate,
            left: award.awarded.minor,
        });
        Ok(())
    }

    /// Draws the jobs that end on a day.
    pub fn work(&mut self, stage: &Stage<'_>, day: i64) {
        let (midnight, weekday) = (stage.at(day, 0), stage.weekday(day));
        // Nothing ends in the last two hours of the year, so that all of it can be reported.
        let until = stage.at(DAYS, -120);
        for (place, live) in self.live.iter_mut().enumerate().filter(|(_, live)| live.period.contains(midnight)) {
            let runs = jobs::day(&mut self.random, live, place, midnight, weekday, until);
            self.waiting.get_mut(live.site).into_iter().for_each(|waiting| waiting.extend(&runs));
            if live.project == OVERDRAWN && day == BEYOND {
                let run = jobs::beyond(live, place, stage.at(day, 1435));
                self.waiting.get_mut(live.site).into_iter().for_each(|waiting| waiting.extend(run));
            }
        }
    }

    /// Sends the reports that are due on the morning after a day; all of them after the last.
    pub fn report(&mut self, stage: &Stage<'_>, day: i64, places: &[Place]) -> Result<(), Fault> {
        for (at, (site, place)) in SITES.iter().zip(places).enumerate() {
            let last = day + 1 == DAYS;
            if day % site.every != 0 && !last {
                continue;
            }
            // The sites report one after the other, the last time just before the year is over.
            let minutes = if last { at as i64 * 10 - 60 } else { 120 + at as i64 * 15 };
            stage.turn_to(day + 1, minutes)?;
            let mut runs = std::mem::take(self.waiting.get_mut(at).ok_or_else(|| missing("a site"))?);
            runs.sort_by_key(|run| (run.ended_at, run.live));
            for some in runs.chunks(REPORT) {
                self.send(stage, at, place, some)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, stage: &Stage<'_>, at: usize, place: &Place, runs: &[Run]) -> Result<(), Fault> {
        let (site, number) = SITES.get(at).zip(self.numbers.get_mut(at)).ok_or_else(|| missing("a site"))?;
        let mut batch = Vec::with_capacity(runs.len());
        for run in runs {
            let live = self.live.get(run.live).ok_or_else(|| missing("a grant"))?;
            *number += 1;
            let record = jobs::record(site, place, *number, run, live, external_id(live.project), account(live.project));
            batch.push(Incoming::new(place.institution, record.ok_or_else(|| missing("a machine"))?));
        }
        let (who, provider) = (place.person, place.institution);
        let outcomes = stage.store.write(move |work| usage::charge(work, who, provider, &batch))?;
        for (run, outcome) in runs.iter().zip(outcomes) {
            self.learn(at, run, outcome)?;
        }
        Ok(())
    }

    fn learn(&mut self, at: usize, run: &Run, outcome: Outcome) -> Result<(), Fault> {
        match outcome {
            Outcome::Charged(charge) => {
                self.tally.charges += 1;
                self.tally.overdrawn += u64::from(charge.row.overdraft > 0);
                let live = self.live.get_mut(run.live).ok_or_else(|| missing("a grant"))?;
                live.left = if charge.row.overdraft > 0 { 0 } else { charge.row.balance_after };
                // A site remembers one charge of each report, and never that of the overdrawn project: its debt shall stay.
                let chosen = charge.row.amount > 1 && charge.row.overdraft == 0 && live.project != OVERDRAWN;
                let slot = self.candidates.get_mut(at).filter(|slot| chosen && (slot.is_none() || self.random.in_thousand(50)));
                if let Some(slot) = slot {
                    *slot = Some(Candidate { charge: charge.row.id(), amount: charge.amount() });
                }
                Ok(())
            }
            Outcome::Quarantined(..) => {
                self.tally.quarantined += 1;
                Ok(())
            }
            other => Err(Fault::Internal(format!("a record of the demo was {}", other.word()))),
        }
    }

    /// Twice a week a site gives back a charge, whole or half: its file system failed, not the user.
    pub fn refund(&mut self, stage: &Stage<'_>, day: i64, places: &[Place]) -> Result<(), Fault> {
        if !matches!(stage.weekday(day), 1 | 3) {
            return Ok(());
        }
        let at = usize::try_from(day / 2 % 4).unwrap_or(0);
        let (Some(candidate), Some(place)) = (self.candidates.get_mut(at).and_then(Option::take), places.get(at)) else {
            return Ok(());
        };
        let half = self.random.in_thousand(500);
        let amount = half.then_some(Amount::new(candidate.amount.minor / 2, candidate.amount.unit));
        let who = place.person;
        let reason =
            if half { "Half of the run was lost when the file system failed." } else { "The file system failed; the run is void." };
        stage.store.write(move |work| usage::refund(work, who, candidate.charge, amount, reason))?;
        self.tally.refunds += 1;
        Ok(())
    }

    /// The records that no grant fits: one is charged by an officer two days later, one dismissed, one stays open.
    pub fn stray(&mut self, stage: &Stage<'_>, day: i64, places: &[Place], home: GrantId) -> Result<(), Fault> {
        match day {
            RESOLVED => self.set_aside(stage, day, EAST, "NAIRR-DEMO-999", places),
            DISMISSED => self.set_aside(stage, day, NATIONAL, "maintenance", places),
            LEFT_OPEN => self.set_aside(stage, day, NATIONAL, "demo999", places),
            _ if day == RESOLVED + 2 => self.resolve(stage, Resolution::Charge(Some(home))),
            _ if day == DISMISSED + 2 => {
                self.resolve(stage, Resolution::Dismiss("A test of the site's own (invented for the demo).".into()))
            }
            _ => Ok(()),
        }
    }

    fn set_aside(&mut self, stage: &Stage<'_>, day: i64, at: usize, account: &str, places: &[Place]) -> Result<(), Fault> {
        let (site, place) = SITES.get(at).zip(places.get(at)).ok_or_else(|| missing("a site"))?;
        let ended_at: Time = stage.at(day, 540);
        let started_at = Some(ended_at.plus(-3 * 3600 * SECOND));
        // Eight GPUs for three hours, with twelve processors each.
        let used = [("cpu-second", 12), ("gpu-second", 1)].map(|(meter, times)| (meter.to_owned(), Decimal::from(times * 8 * 3 * 3600)));
        let (cluster, id) = (Some(site.cluster.to_owned()), Some(format!("stray-{day}")));
        let record = Record {
            external_id: format!("{}:stray-{day}", site.cluster),
            grant: None,
            account: Some(account.into()),
            resource: *place.resources.first().ok_or_else(|| missing("a resource"))?,
            used: Used::Metered(used.into()),
            qos: Some("normal".into()),
            started_at,
            ended_at,
            user: Some("user0".into()),
            hold: None,
            part: None,
            job: Job { cluster, id, state: Some("COMPLETED".into()) },
        };
        let (who, provider) = (place.person, place.institution);
        let batch = [Incoming::new(provider, record)];
        let outcome = stage.store.write(move |work| usage::charge(work, who, provider, &batch))?.pop();
        let Some(Outcome::Quarantined(id, _)) = outcome else { return Err(missing("a record without a grant")) };
        self.tally.quarantined += 1;
        self.unresolved = Some(id);
        Ok(())
    }

    fn resolve(&mut self, stage: &Stage<'_>, how: Resolution) -> Result<(), Fault> {
        let (officer, id) = (stage.cast.officer, self.unresolved()?);
        let charged = stage.store.write(move |work| usage::resolve(work, officer, id, &how))?;
        self.tally.charges += u64::from(charged.is_some());
        Ok(())
    }

    /// The record that was set aside last; after the year, the one that is still open.
    pub fn unresolved(&self) -> Result<UsageId, Fault> {
        self.unresolved.ok_or_else(|| missing("a record set aside"))
    }
}
