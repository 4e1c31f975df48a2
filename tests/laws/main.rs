//! The laws of the books as property tests: random sequences of commands on the real books and on a reference model at once.
//!
//! After every step (in memory) or every few (on databases) all laws are recomputed from the postings, and every account is
//! compared with the model's. A failing sequence is made short and printed with its seed: `ALMONER_LAWS_SEED=N` plays from there.

mod audit;
mod command;
mod control;
mod driver;
mod logged;
mod model;
mod play;
mod rows;
mod statements;
#[path = "../support/mod.rs"]
mod support;
mod tally;
mod world;

use std::io::Write;
use std::time::Instant;

use almoner::ledger::Kind;
use almoner::refusal::Code;

use play::{Failure, Ledger, Step};
use support::dice;
use tally::Tally;

/// Sequences in memory and on each database, and steps of each.
const IN_MEMORY: u64 = 2000;
const ON_DATABASE: u64 = 200;
const STEPS: usize = 64;
/// Steps between two looks at the books of a database.
const EVERY: usize = 8;
/// Sequences that share one ledger before the next is begun.
const SHARING: u64 = 8;
/// One sequence in so many is played again with a sweep before each step.
const SWEPT: u64 = 8;
/// Sequences are played by so many threads, each on ledgers of its own.
const THREADS: u64 = 2;
/// How often each event and each law must be met in memory.
const OFTEN: u64 = 100;
/// How often the log is audited on each database, after whatever was played, without a false alarm.
const CLEAN: u64 = 300;
/// How often each turn that a hold, a job in parts or a grant can take must be met there.
const AT_TIMES: u64 = 25;

/// What the domain can answer, each of which must be met.
const REFUSALS: &[Code] = &[
    Code::SelfApproval,
    Code::NotFound,
    Code::InsufficientCredits,
    Code::GrantNotActive,
    Code::LotExpired,
    Code::TermsNotMet,
    Code::AlreadyDecided,
    Code::RefundExceedsCharge,
    Code::UsageConflict,
    Code::HoldNotOpen,
    Code::DuplicateExternalId,
    Code::AlreadyReversed,
    Code::NotReversible,
    Code::VersionMismatch,
    Code::ValidationFailed,
    Code::RateMissing,
    Code::Unattributed,
    Code::SameApproverTwice,
    Code::ConflictOfInterest,
    Code::HoldsOpen,
];

/// Kinds of entries that move nothing and that no rule of the books asks for: roles, alerts, webhooks, statements. They are tried at their doors.
const ELSEWHERE: std::ops::Range<i32> = 60..80;

fn first_seed() -> u64 {
    std::env::var("ALMONER_LAWS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_260_302)
}

fn steps(seed: u64) -> Vec<Step> {
    dice::steps(seed, STEPS).into_iter().enumerate().collect()
}

/// Past the test runner's capture, so that the counts are seen when all is well.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Plays these sequences; panics with the seed and the shortened commands of the first that fails.
fn play_all(count: u64, make: &(dyn Fn() -> Ledger + Sync), sharing: u64) -> Tally {
    let all = first_seed()..first_seed() + count;
    std::thread::scope(|scope| {
        let seeds = |thread: u64| all.clone().skip(thread as usize).step_by(THREADS as usize);
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || play_some(seeds(thread), make, sharing))).collect();
        threads.into_iter().fold(Tally::default(), |mut all, thread| {
            all.merge(thread.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause)));
            all
        })
    })
}

fn play_some(seeds: impl Iterator<Item = u64>, make: &dyn Fn() -> Ledger, sharing: u64) -> Tally {
    let mut tally = Tally::default();
    let mut ledger: Option<Ledger> = None;
    for (count, seed) in (0u64..).zip(seeds) {
        if count % sharing == 0 {
            ledger.take().map(|full| full.verify()).transpose().unwrap_or_else(|why| panic!("before seed {seed}: {why}"));
        }
        let at = ledger.get_or_insert_with(make);
        if let Err(failure) = play_one(at, &steps(seed), count % SWEPT == 0, &mut tally) {
            report(seed, failure, make);
        }
    }
    ledger.map(|last| last.verify()).transpose().unwrap_or_else(|why| panic!("{why}"));
    tally
}

fn play_one(ledger: &mut Ledger, steps: &[Step], swept: bool, tally: &mut Tally) -> Result<(), Failure> {
    let story = play::play(ledger, steps, tally)?;
    tally.add("commands", "sequences", 1);
    if !swept {
        return Ok(());
    }
    let failed = |why| Failure { played: steps.len(), commands: story.commands.clone(), why };
    play::replay_swept(ledger, &story, tally).map_err(failed)
}

fn report(seed: u64, failure: Failure, make: &dyn Fn() -> Ledger) -> ! {
    let again = |steps: &[Step]| play_one(&mut make(), steps, true, &mut Tally::default()).err();
    let short = play::shorten(steps(seed), again).unwrap_or(failure);
    let commands: Vec<String> = short.commands.iter().map(|command| format!("  {command:?}")).collect();
    panic!("seed {seed} (ALMONER_LAWS_SEED={seed}): {}\n{}", short.why, commands.join("\n"));
}

/// Checks that enough was met, and prints it.
fn account_for(place: &str, sequences: u64, tally: &Tally, begun: Instant) {
    say(&format!("laws {place}, from seed {}, in {:.1} s:\n{tally}", first_seed(), begun.elapsed().as_secs_f64()));
    assert_eq!(tally.of("commands", "sequences"), sequences);
    let (all, refused) = (tally.of("commands", "all"), tally.of("commands", "refused"));
    assert!(all >= sequences * 50, "{all} commands are too few");
    assert!(refused * 5 >= all, "{refused} of {all} commands refused are too few");
}

#[test]
fn the_laws_hold_in_memory() {
    let begun = Instant::now();
    let tally = play_all(IN_MEMORY, &Ledger::in_memory, SHARING);
    account_for("in memory", IN_MEMORY, &tally, begun);
    // The databases play too few sequences to meet the rarest of them every time.
    for code in REFUSALS {
        assert!(tally.of("refusals", code.slug()) > 0, "{code} was never met");
    }
    for kind in Kind::ALL.iter().filter(|kind| !ELSEWHERE.contains(&(**kind as i32))) {
        assert!(tally.of("events", kind.word()) >= OFTEN, "{} was met too seldom", kind.word());
    }
    for outcome in
        ["charged", "charged nothing", "charged to several lots", "overdrawn", "duplicate", "conflict", "quarantined", "rejected"]
    {
        assert!(tally.of("usage records", outcome) >= OFTEN, "{outcome} was met too seldom");
    }
    for turn in model::TURNS {
        assert!(tally.of("turns", turn) >= AT_TIMES, "{turn:?} was met too seldom");
    }
    for law in audit::LAWS.into_iter().chain([audit::APPEND_ONLY, audit::CLOCK, audit::REPEATABLE, audit::MODEL]) {
        assert!(tally.of("laws checked", law) >= OFTEN, "{law:?} was checked too seldom");
    }
}

#[test]
fn the_laws_hold_on_sqlite() {
    let begun = Instant::now();
    let make = || Ledger::on(support::database::sqlite(), EVERY);
    let tally = play_all(ON_DATABASE, &make, ON_DATABASE / 4);
    account_for("on a SQLite file", ON_DATABASE, &tally, begun);
    assert!(tally.of("laws checked", audit::LOGGED) >= CLEAN, "the log was looked at too seldom");
}

#[test]
fn the_laws_hold_on_postgresql() {
    let begun = Instant::now();
    // Says so where there is none, and fails where there must be one.
    if support::database::postgres().is_none() {
        return;
    }
    let make = || Ledger::on(support::database::postgres().expect("a server that was just there"), EVERY);
    let tally = play_all(ON_DATABASE, &make, ON_DATABASE / 4);
    account_for("on PostgreSQL", ON_DATABASE, &tally, begun);
    assert!(tally.of("laws checked", audit::LOGGED) >= CLEAN, "the log was looked at too seldom");
}
