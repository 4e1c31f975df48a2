//! What the log costs the writer, and how far it lags: charges come at a steady rate, then as fast as they can be taken, with the log kept
//! beside them as `serve` keeps it and without.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use almoner::actor::Actor;
use almoner::attest::integrate::Integrator;
use almoner::directory;
use almoner::store::Store;
use almoner::usage::{self, Incoming};

use crate::scene::Scene;
use crate::{BATCH, median, timed};

/// Charges a second: more than a fleet of 350,000 GPUs metered each minute (5,833).
const RATE: usize = 10_000;
/// How long the log rests where nothing is left to take: as `serve` does unless told otherwise.
const REST: Duration = Duration::from_secs(5);

/// One stretch of charging.
pub struct Stretch {
    /// How long each batch of records took to be durable.
    waits: Vec<Duration>,
    took: Duration,
    /// Entries that the log was behind at most.
    behind: i64,
}

/// Charges these batches, one every so often or as fast as possible, three at a time; with the log kept beside it, or not.
fn charge(store: &Store, scene: &Scene, batches: Vec<Vec<Incoming>>, every: Option<Duration>, log: Option<&mut Integrator>) -> Stretch {
    let (done, most) = (AtomicBool::new(false), AtomicI64::new(0));
    let provider = scene.provider;
    let mut waits = Vec::new();
    let ((), took) = timed(|| {
        std::thread::scope(|scope| {
            if let Some(integrator) = log {
                let (done, most) = (&done, &most);
                scope.spawn(move || follow(integrator, done, most));
            }
            let begun = Instant::now();
            let mut asked = std::collections::VecDeque::new();
            for (number, batch) in (1..).zip(batches) {
                let submitted = store.submit(BATCH, move |work| {
                    let who = directory::person_for(work, &Actor::operator("bench-admin"))?;
                    usage::charge(work, who, provider, &batch)
                });
                asked.push_back((Instant::now(), submitted.expect("a place in the queue")));
                while asked.len() > if every.is_some() { 0 } else { 2 } {
                    let (at, reply) = asked.pop_front().expect("asked");
                    assert!(reply.wait().expect("charged").iter().all(|outcome| outcome.word() == "charged"));
                    waits.push(at.elapsed());
                }
                if let Some(every) = every {
                    sleep((every * number).saturating_sub(begun.elapsed()));
                }
            }
            asked.into_iter().for_each(|(_, reply)| assert!(reply.wait().is_ok()));
            done.store(true, Ordering::Release);
        });
    });
    Stretch { waits, took, behind: most.into_inner() }
}

/// Keeps the log until the charging is done.
fn follow(integrator: &mut Integrator, done: &AtomicBool, most: &AtomicI64) {
    while !done.load(Ordering::Acquire) {
        let progress = integrator.run().expect("integrated");
        most.fetch_max(progress.behind + i64::try_from(progress.taken).expect("entries"), Ordering::Relaxed);
        let rested = Instant::now();
        while progress.behind == 0 && rested.elapsed() < REST && !done.load(Ordering::Acquire) {
            sleep(Duration::from_millis(20));
        }
    }
}

/// Measures, in turns without and with the log, and prints.
pub fn measure(kind: &str, store: &Store, scene: &Scene, integrator: &mut Integrator, seconds: usize, rounds: usize) {
    let batches = |count: usize| (0..count).map(|_| crate::batch(store, scene)).collect::<Vec<_>>();
    let every = Duration::from_micros(1_000_000 * BATCH as u64 / RATE as u64);
    let (mut steady, mut full, mut behind, mut caught) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()], 0, Vec::new());
    for _ in 0..rounds {
        for logged in [false, true] {
            let slow = charge(store, scene, batches(RATE / BATCH * seconds), Some(every), logged.then_some(&mut *integrator));
            steady[usize::from(logged)].extend(slow.waits);
            behind = behind.max(slow.behind);
            while integrator.run().expect("integrated").behind > 0 {}
            let fast = charge(store, scene, batches(RATE / BATCH * seconds), None, logged.then_some(&mut *integrator));
            full[usize::from(logged)].push(fast.took);
            let (taken, took) = timed(|| {
                let mut taken = 0;
                loop {
                    let progress = integrator.run().expect("integrated");
                    taken += progress.taken;
                    if progress.behind == 0 {
                        return taken;
                    }
                }
            });
            if !logged {
                caught.push(taken as f64 / took.as_secs_f64());
            }
        }
    }
    let [plain, beside] = steady.map(|waits| median(waits).as_secs_f64() * 1000.0);
    let rate = |times: Vec<Duration>| (RATE * seconds) as f64 / median(times).as_secs_f64();
    let [alone, with] = full.map(rate);
    caught.sort_by(f64::total_cmp);
    println!(
        "{kind}, {RATE} charges/s: {BATCH} records durable in {plain:.1} ms without the log, {beside:.1} ms with it, which was {:.1} s behind \
         at most; as fast as possible: {alone:.0}/s without, {with:.0}/s with it ({:.2}); after a burst {:.0} leaves/s",
        behind as f64 / RATE as f64,
        with / alone,
        caught[caught.len() / 2],
    );
}
