//! Playing a sequence on the real books and on the model at once, and making a failing one short.

use std::sync::atomic::{AtomicU32, Ordering};

use almoner::grants;
use almoner::reports::balance::{self, Moment};
use almoner::store::{Conn, Database, Store};
use almoner::time::Clock;

use crate::audit::{self, Audit};
use crate::command::{self, Command, DAY, Target};
use crate::dice::Dice;
use crate::driver::Driver;
use crate::logged::Logged;
use crate::model::{Model, Said};
use crate::rows;
use crate::statements;
use crate::support::database::TestDatabase;
use crate::tally::Tally;
use crate::world;

/// Steps between two looks at the log.
const LOGGED: usize = 32;
/// Steps between two places in the journal whose balances are kept to be asked for again.
const TOLD: usize = 16;

/// A ledger that many sequences share, each in its own corner.
pub struct Ledger {
    store: Store,
    clock: Clock,
    audit: Audit,
    played: usize,
    /// How many steps go by between two looks at all the books.
    every: usize,
    /// The books' log, on databases.
    logged: Option<Logged>,
    _keeper: Option<Conn>,
    _database: Option<TestDatabase>,
}

impl Ledger {
    /// In memory: SQLite's own, shared between connections as long as one is open.
    pub fn in_memory() -> Ledger {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("file:laws-{}?mode=memory&cache=shared", COUNT.fetch_add(1, Ordering::Relaxed));
        let database = Database::Sqlite(name.into());
        let keeper = database.connect().expect("a database in memory");
        Ledger::open(&database, 1, Some(keeper), None)
    }

    /// On a database of its own.
    pub fn on(database: TestDatabase, every: usize) -> Ledger {
        let at = Database::parse(&database.url).expect("a database's URL");
        Ledger::open(&at, every, None, Some(database))
    }

    fn open(database: &Database, every: usize, keeper: Option<Conn>, owned: Option<TestDatabase>) -> Ledger {
        let clock = Clock::held(world::DAWN);
        let store = Store::open(database, clock.clone()).expect("an open store");
        let logged = owned.as_ref().map(|_| Logged::begin(database));
        Ledger { store, clock, audit: Audit::default(), played: 0, every, logged, _keeper: keeper, _database: owned }
    }

    /// The program's own verification of the whole ledger, which must find what the audit found: nothing broken; and statements that add up.
    pub fn verify(&self) -> Result<(), String> {
        let found = self.store.read(almoner::reports::verify::verify).map_err(|fault| fault.to_string())?;
        let broken: Vec<&String> = found.laws.iter().flat_map(|law| &law.findings).collect();
        if !found.holds() {
            return Err(format!("the program's own verification: {broken:?}"));
        }
        let now = self.clock.now();
        let drawn = self.store.read(|conn| Ok(statements::meet(conn, now))).map_err(|fault| fault.to_string())??;
        if drawn > 0 { Ok(()) } else { Err("no statement was drawn".into()) }
    }
}

/// A step of a sequence: its place decides how it opens, its seed the rest.
pub type Step = (usize, u64);

/// A sequence being played.
pub struct Session<'l> {
    ledger: &'l mut Ledger,
    driver: Driver,
    pub model: Model,
    /// Accounts up to this one belong to earlier sequences.
    before: i64,
    steps: usize,
    /// What the balances of so many grants were said to be at a place in the journal.
    told: Vec<(i64, Vec<String>)>,
}

impl<'l> Session<'l> {
    /// Opens a corner of the ledger for one sequence.
    pub fn open(ledger: &'l mut Ledger, tally: &mut Tally) -> Result<Session<'l>, String> {
        ledger.clock.set(ledger.clock.now().plus(DAY));
        let rows = ledger.store.read(|conn| rows::since(conn, ledger.audit.head, 0)).map_err(|fault| fault.to_string())?;
        let before = rows.accounts.last().map_or(0, |account| account.no);
        ledger.audit.feed(&rows, tally)?;
        ledger.played += 1;
        let driver = Driver::begin(&ledger.store, &ledger.clock, &format!("s{}", ledger.played))?;
        let now = ledger.clock.now().micros();
        let model = Model::at(now, world::rates(now));
        Ok(Session { ledger, driver, model, before, steps: 0, told: Vec::new() })
    }

    /// One command on both; the answers must agree, and at every look all laws hold and every account is the model's.
    pub fn step(&mut self, command: &Command, tally: &mut Tally) -> Result<Said, String> {
        if matches!(command, Command::Reverse { what: Target::ClockReturn, .. }) {
            self.look(tally)?;
        }
        let expected = self.model.apply(command);
        self.model.met.drain(..).for_each(|turn| tally.add("turns", turn, 1));
        let said = self.driver.run(command).map_err(|fault| format!("a fault: {fault}"))?;
        if said != expected {
            return Err(format!("the books say {said:?}, the model {expected:?}"));
        }
        tally.add("commands", "all", 1);
        tally.add("commands", "refused", u64::from(said.refused()));
        said.codes().iter().for_each(|code| tally.add("refusals", code.slug(), 1));
        if let Said::Batch(ones) = &said {
            ones.iter().for_each(|one| tally.add("usage records", one.word(), 1));
        }
        self.steps += 1;
        if self.steps.is_multiple_of(self.ledger.every) {
            self.look(tally)?;
        }
        if self.steps.is_multiple_of(LOGGED)
            && let Some(logged) = &mut self.ledger.logged
        {
            logged.follow()?;
            tally.add("laws checked", audit::LOGGED, 1);
        }
        if self.steps.is_multiple_of(TOLD) {
            self.look(tally)?;
            let seq = self.ledger.audit.head.seq;
            self.told.push((seq, self.balances_at(seq, self.driver.grants().len())?));
        }
        Ok(said)
    }

    /// Checks all laws from the postings, and every account against the model.
    pub fn look(&mut self, tally: &mut Tally) -> Result<(), String> {
        let (head, before) = (self.ledger.audit.head, self.before);
        let rows = self.ledger.store.read(|conn| rows::since(conn, head, before)).map_err(|fault| fault.to_string())?;
        rows.entries.iter().for_each(|entry| self.driver.notice(entry.kind, entry.actor, entry.recorded_at));
        self.ledger.audit.feed(&rows, tally)?;
        let (real, expected) = (self.driver.balances(&rows.accounts)?, self.model.balances());
        tally.add("laws checked", audit::MODEL, 1);
        if real == expected {
            return Ok(());
        }
        let differ = |(account, balance): &(&_, &i128)| expected.get(account) != Some(balance);
        let more: Vec<_> = real.iter().filter(differ).collect();
        let less: Vec<_> = expected.iter().filter(|(account, balance)| real.get(account) != Some(balance)).collect();
        Err(format!("{}: the books have {more:?}, the model {less:?}", audit::MODEL))
    }

    /// Lets everything that can expire do so, books it, and looks again; the balances at the end, in the model's words.
    pub fn close(&mut self, tally: &mut Tally) -> Result<String, String> {
        self.step(&Command::Wait(90 * DAY), tally)?;
        self.step(&Command::Sweep, tally)?;
        self.look(tally)?;
        self.ask_again(tally)?;
        tally.add("laws checked", audit::APPEND_ONLY, rows::try_to_change(self.ledger.store.database())? as u64);
        Ok(format!("{:?}", self.model.balances()))
    }

    /// The balances of the first so many grants as they were at a place in the journal.
    fn balances_at(&self, seq: i64, count: usize) -> Result<Vec<String>, String> {
        let look = |conn: &mut Conn| {
            let line = |grant: &almoner::id::GrantId| {
                let grant = grants::grant(conn, *grant)?;
                let b = balance::grant_balance(conn, grant, Moment::At(seq))?;
                let parts = [b.awarded, b.available, b.lapsing, b.held, b.spent, b.refunded, b.lapsed, b.deobligated, b.transferred];
                Ok(format!("{:?} {}", parts.map(|amount| amount.minor), b.overdraft))
            };
            self.driver.grants()[..count].iter().map(line).collect()
        };
        self.ledger.store.read(look).map_err(|fault| fault.to_string())
    }

    /// Asks again for every balance that was told: at a place in the journal it is the same for ever.
    fn ask_again(&self, tally: &mut Tally) -> Result<(), String> {
        for (seq, told) in &self.told {
            tally.add("laws checked", audit::REPEATABLE, 1);
            let now = self.balances_at(*seq, told.len())?;
            if now != *told {
                return Err(format!("{}: at {seq} it was {told:?} and is {now:?}", audit::REPEATABLE));
            }
        }
        Ok(())
    }

    /// What the reports say of every grant and lot by the clock; and whether a grant's parts are the award.
    pub fn reports(&self) -> Result<Vec<String>, String> {
        let now = self.ledger.clock.now();
        let look = |conn: &mut Conn| {
            let mut lines = Vec::new();
            for grant in self.driver.grants() {
                let found = grants::grant(conn, *grant)?;
                let awarded = found.awarded;
                let b = balance::grant_balance(conn, found, Moment::Now(now))?;
                let parts = [b.available, b.lapsing, b.held, b.spent, b.lapsed, b.deobligated, b.transferred].map(|amount| amount.minor);
                lines.push(format!("{parts:?} {} {} {}", b.refunded, b.overdraft, parts.iter().sum::<i64>() == awarded.minor));
            }
            for lot in self.driver.lots() {
                let lot = almoner::donations::lot(conn, *lot)?;
                let w = balance::lot_whereabouts(conn, &lot, now)?;
                let parts = [w.delivered, w.available, w.granted, w.held, w.spent, w.lapsed, w.returned];
                lines.push(format!("{:?}", parts.map(|amount| amount.minor)));
            }
            Ok(lines)
        };
        self.ledger.store.read(look).map_err(|fault| fault.to_string())
    }
}

/// A sequence that did not end well.
#[derive(Debug)]
pub struct Failure {
    /// How many of the steps were played.
    pub played: usize,
    pub commands: Vec<Command>,
    pub why: String,
}

/// Plays a sequence to its end; the commands it came to, the answers, and the balances at the end.
pub fn play(ledger: &mut Ledger, steps: &[Step], tally: &mut Tally) -> Result<Story, Failure> {
    let mut commands = Vec::with_capacity(steps.len());
    let mut answers = Vec::with_capacity(steps.len());
    let outcome = (|| {
        let mut session = Session::open(ledger, tally)?;
        let began = session.model.now;
        for (place, seed) in steps {
            let command = command::choose(*place, &mut Dice::new(*seed), &session.model);
            commands.push(command.clone());
            answers.push(session.step(&command, tally)?);
        }
        session.look(tally)?;
        let reports = session.reports()?;
        let end = session.close(tally)?;
        Ok((began, reports, end))
    })();
    match outcome {
        Ok((began, reports, end)) => Ok(Story { began, commands, answers, reports, end }),
        Err(why) => Err(Failure { played: commands.len(), commands, why }),
    }
}

/// What happened in a sequence.
pub struct Story {
    began: i64,
    pub commands: Vec<Command>,
    answers: Vec<Said>,
    reports: Vec<String>,
    end: String,
}

/// Plays the same commands once more with a sweep before each: the clock decides, so no answer and no balance may differ.
pub fn replay_swept(ledger: &mut Ledger, story: &Story, tally: &mut Tally) -> Result<(), String> {
    let mut session = Session::open(ledger, tally)?;
    let later = session.model.now - story.began;
    for (command, before) in story.commands.iter().zip(&story.answers) {
        session.step(&Command::Sweep, tally)?;
        let said = session.step(&command.shifted(later), tally)?;
        // How much a sweep finds to book depends on the last one, and nothing else may.
        let of_sweeps = matches!(command, Command::Sweep | Command::Reverse { what: Target::ClockReturn, .. });
        tally.add("laws checked", audit::CLOCK, 1);
        if !of_sweeps && said != *before {
            return Err(format!("{}: {command:?} is answered {before:?} unswept and {said:?} swept", audit::CLOCK));
        }
    }
    session.step(&Command::Sweep, tally)?;
    session.look(tally)?;
    let reports = session.reports()?;
    if let Some((unswept, swept)) = story.reports.iter().zip(&reports).find(|(a, b)| a != b) {
        return Err(format!("{}: reported as {unswept} unswept and {swept} swept", audit::CLOCK));
    }
    let end = session.close(tally)?;
    if end != story.end {
        return Err(format!("{}: ends as {} unswept and {end} swept", audit::CLOCK, story.end));
    }
    Ok(())
}

/// Leaves out of a failing sequence whatever it fails without.
pub fn shorten(mut steps: Vec<Step>, mut fails: impl FnMut(&[Step]) -> Option<Failure>) -> Option<Failure> {
    let mut shortest = fails(&steps)?;
    steps.truncate(shortest.played);
    for at in (0..steps.len()).rev() {
        if at >= steps.len() {
            continue;
        }
        let mut without = steps.clone();
        without.remove(at);
        if let Some(failure) = fails(&without) {
            without.truncate(failure.played);
            (steps, shortest) = (without, failure);
        }
    }
    Some(shortest)
}
