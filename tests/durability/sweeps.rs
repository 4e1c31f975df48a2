//! What the clock decides and the sweep books: everything once, however many processes sweep, and to the same effect if none does.

use std::collections::BTreeMap;
use std::thread::{scope, sleep};
use std::time::Instant;

use almoner::amount::{Amount, Unit};
use almoner::donations::{self, OnExpiry};
use almoner::grants::sweep::{Swept, sweep_some};
use almoner::grants::{self, Overdraft};
use almoner::id::{GrantId, LotId};
use almoner::ledger::{self, Kind};
use almoner::reports::balance::{Moment, grant_balance, lot_whereabouts};
use almoner::store::{Database, Page, Store, Work};
use almoner::time::{Clock, DAY, Period, SECOND, Time};
use almoner::usage::{self, Incoming, Outcome, Record};
use serde_json::{Value, json};

use crate::desk::{Desk, millis};
use crate::support::books::Pair;
use crate::support::database::{TestDatabase, databases};
use crate::support::server::Server;

/// After its end a thing is due when the grace for late reports is over.
const GRACE: i64 = 7 * DAY;

/// Grants and lots that are due at some moment.
struct Due {
    grants: Vec<GrantId>,
    lots: Vec<LotId>,
}

/// Opens the books of a desk at another time.
fn at(database: &TestDatabase, clock: &Clock) -> Store {
    Store::open_as_is(&Database::parse(&database.url).expect("a URL"), clock.clone()).expect("books")
}

/// Makes so many lots, each with a grant on most of it: the lots and grants become due one after the other around `from`, a step apart;
/// of every two, one grant ends before its lot expires and one after.
fn make_due(desk: &Desk<'_>, count: i64, from: Time, step: i64) -> Due {
    let begun = from.plus(-40 * DAY);
    let (project, unit) = (desk.project, Unit::new("CREDIT", 0).expect("a unit"));
    let store = at(desk.database, &Clock::held(begun));
    let made = store.write(move |work| {
        let pair = Pair::of(work)?;
        let mut due = Due { grants: Vec::new(), lots: Vec::new() };
        for n in 0..count {
            let (early, late) = (from.plus(-GRACE + n * step), from.plus(-GRACE + n * step + step / 2));
            let (ends, expires) = if n % 2 == 0 { (early, late) } else { (late, early) };
            let on_expiry = if n % 3 == 0 { OnExpiry::Return } else { OnExpiry::Lapse };
            let lot = pair.give(work, Amount::new(10, unit), begun, Some(expires), on_expiry)?;
            let period = Period::new(begun, ends).expect("a period");
            due.grants.push(pair.award(work, project, Amount::new(6, unit), period, Overdraft::Record, Some(lot.id))?);
            due.lots.push(lot.id);
        }
        Ok(due)
    });
    made.expect("things to come due")
}

/// How often each end, lapse and return was booked by the clock, by what it is about.
fn booked(desk: &Desk<'_>) -> BTreeMap<(&'static str, i64), usize> {
    let entries = desk.look(|conn| ledger::store::transactions(conn, Page::ALL));
    let mut found = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.actor.is_none()) {
        let what = if entry.kind == Kind::End { "end" } else { "expiry" };
        *found.entry((what, entry.subject.expect("a subject"))).or_default() += 1;
    }
    found
}

/// Waits until so many things are booked.
fn await_booked(desk: &Desk<'_>, things: usize) {
    let begun = Instant::now();
    while booked(desk).len() < things {
        assert!(begun.elapsed() < millis(60_000), "{} of {things} things are booked", booked(desk).len());
        sleep(millis(50));
    }
}

fn serve(desk: &Desk<'_>, every: &str) -> Server {
    desk.serve_with(&["--sweep-every", every])
}

/// A figure of a server's own.
fn figure(server: &Server, name: &str) -> i64 {
    let text = server.get("/metrics", None, &[]).expect(200).text;
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a whole number")
}

#[test]
fn two_processes_book_each_due_thing_once() {
    const COUNT: i64 = 24;
    for database in databases() {
        let desk = Desk::open(&database, 100, Overdraft::Reject);
        // A third is due before anybody sweeps, the rest while both do.
        let step = SECOND * 27 / 100;
        let due = make_due(&desk, COUNT, Clock::system().now().plus(-COUNT / 3 * step), step);
        let first = serve(&desk, "1");
        // Out of step, so that either finds things that the other has not booked.
        sleep(millis(400));
        let servers = [first, serve(&desk, "1")];
        await_booked(&desk, 2 * COUNT as usize);
        let ends = due.grants.iter().map(|grant| (("end", grant.stamp()), 1));
        let expiries = due.lots.iter().map(|lot| (("expiry", lot.stamp()), 1));
        assert_eq!(booked(&desk), ends.chain(expiries).collect(), "{}", database.kind);
        let (head, runs) = (desk.look(ledger::store::head), servers.each_ref().map(|server| figure(server, "almoner_sweeps_total")));
        sleep(millis(2500));
        assert_eq!(desk.look(ledger::store::head), head, "where nothing is due nothing is written");
        let now = Clock::system().now().micros() / SECOND;
        for (server, before) in servers.iter().zip(runs) {
            assert!(figure(server, "almoner_sweeps_total{outcome=\"done\"}") > before, "it goes on");
            assert!((now - 10..=now + 1).contains(&figure(server, "almoner_sweep_last_run_seconds")));
        }
        let sum = |what: &str| {
            servers.iter().map(|server| figure(server, &format!("almoner_sweep_booked_total{{what=\"{what}\"}}"))).sum::<i64>()
        };
        assert_eq!((sum("grants"), sum("lots")), (COUNT, COUNT), "each was booked by one of them");
        println!(
            "{}: booked by each {:?}",
            database.kind,
            servers.each_ref().map(|s| figure(s, "almoner_sweep_booked_total{what=\"lots\"}"))
        );
        desk.verify().ok();
    }
}

#[test]
fn sweeps_that_meet_take_turns() {
    const COUNT: usize = 24;
    for database in databases() {
        let desk = Desk::open(&database, 100, Overdraft::Reject);
        make_due(&desk, COUNT as i64, Clock::system().now().plus(-DAY), SECOND);
        let stores = [(); 3].map(|()| at(&database, &Clock::system()));
        let swept: Vec<[usize; 2]> = scope(|threads| {
            let sweeping = stores.each_ref().map(|store| {
                threads.spawn(|| {
                    let mut all = [0, 0];
                    loop {
                        match store.write(|work| sweep_some(work, 3)).expect("a sweep") {
                            some if some == Swept::default() => return all,
                            Swept { grants, lots } => all = [all[0] + grants, all[1] + lots],
                        }
                    }
                })
            });
            sweeping.into_iter().map(|thread| thread.join().expect("its end")).collect()
        });
        let sum = |of: usize| swept.iter().map(|all| all[of]).sum::<usize>();
        assert_eq!((sum(0), sum(1)), (COUNT, COUNT), "{}: {swept:?}", database.kind);
        assert!(booked(&desk).len() == 2 * COUNT && booked(&desk).values().all(|times| *times == 1));
        println!("{}: grants and lots booked by each {swept:?}", database.kind);
        desk.verify().ok();
    }
}

/// What the API tells of these grants and lots, without the moment it is told at.
fn told(desk: &Desk<'_>, server: &Server, due: &Due) -> Vec<Value> {
    let get = |path: String| server.get(&path, Some(&desk.officer), &[]).expect(200).json;
    let balances = due.grants.iter().map(|grant| get(format!("/v1/grants/{grant}/balance")));
    let balances = balances.map(|mut balance| {
        // Which share of a lot it lapsed from is told until it is booked.
        balance.as_object_mut().expect("a balance").retain(|name, _| !matches!(name.as_str(), "as_of" | "lots"));
        balance
    });
    balances.chain(due.lots.iter().map(|lot| get(format!("/v1/lots/{lot}"))["whereabouts"].clone())).collect()
}

#[test]
fn books_that_nobody_sweeps_tell_the_same() {
    for database in databases() {
        let desk = Desk::open(&database, 100, Overdraft::Reject);
        let due = make_due(&desk, 12, Clock::system().now().plus(-60 * SECOND), SECOND);
        let head = desk.look(ledger::store::head);
        let idle = serve(&desk, "0");
        let unswept = told(&desk, &idle, &due);
        assert_eq!((desk.look(ledger::store::head), booked(&desk).len()), (head, 0), "nobody sweeps");
        let sweeping = serve(&desk, "3600");
        await_booked(&desk, 24);
        assert_eq!(told(&desk, &idle, &due), unswept, "{}", database.kind);
        drop(sweeping);
        desk.verify().ok();
    }
}

/// Charges the desk's grant in process, by the clock of the store.
fn charge(desk: &Desk<'_>, store: &Store, grant: GrantId, name: &str, hours: i64, ended_at: Time) -> usage::Charge {
    let mut record = desk.record(name, hours);
    (record["grant"], record["ended_at"]) = (json!(grant.to_string()), json!(ended_at.to_string()));
    let unit = Unit::new("CREDIT", 0).expect("a unit");
    let record = Record::read(&almoner::json::parse(record.to_string().as_bytes()).expect("JSON"), &|_| Some(unit)).expect("a record");
    let provider = desk.provider_id;
    let charged = store.write(move |work: &mut Work<'_>| {
        let who = Pair::of(work)?.first;
        usage::charge(work, who, provider, &[Incoming::new(provider, record.clone())])
    });
    match charged.expect("an outcome").pop() {
        Some(Outcome::Charged(charge)) => charge,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn a_refund_past_the_end_of_a_grant_pays_its_overdraft_first() {
    for swept in [false, true] {
        for database in databases() {
            let desk = Desk::open(&database, 100, Overdraft::Reject);
            let clock = Clock::held(Clock::system().now());
            let (store, now) = (at(&database, &clock), clock.now());
            let (project, unit) = (desk.project, Unit::new("CREDIT", 0).expect("a unit"));
            let period = Period::new(now.plus(-DAY), now.plus(DAY)).expect("a period");
            let given = store.write(move |work| {
                let pair = Pair::of(work)?;
                let lot = pair.give(work, Amount::new(100, unit), now.plus(-DAY), None, OnExpiry::Lapse)?.id;
                Ok((lot, pair.award(work, project, Amount::new(10, unit), period, Overdraft::Record, Some(lot))?))
            });
            let (lot, grant) = given.expect("a gift and a grant");
            let first = charge(&desk, &store, grant, &format!("first {swept}"), 8, now);
            let second = charge(&desk, &store, grant, &format!("second {swept}"), 5, now);
            assert_eq!((first.row.overdraft, second.row.overdraft), (0, 3));
            clock.set(now.plus(9 * DAY));
            if swept {
                assert_eq!(store.write(grants::sweep::sweep).expect("a sweep").grants, 1);
            }
            let refunded = store.write(move |work| {
                let who = Pair::of(work)?.first;
                usage::refund(work, who, first.row.id(), Some(Amount::new(5, unit)), "A node failed.")
            });
            assert_eq!(refunded.expect("a refund").lots, [(lot, Amount::new(5, unit))]);
            let balance =
                desk.look(|conn| grants::grant(conn, grant).and_then(|grant| grant_balance(conn, grant, Moment::Now(clock.now()))));
            assert_eq!((balance.overdraft.minor, balance.spent.minor, balance.deobligated.minor), (0, 8, 2), "{} {swept}", database.kind);
            let whereabouts = desk.look(|conn| {
                let lot = donations::lot(conn, lot)?;
                lot_whereabouts(conn, &lot, clock.now())
            });
            assert_eq!((whereabouts.available.minor, whereabouts.granted.minor, whereabouts.spent.minor), (92, 0, 8));
            desk.verify().ok();
        }
    }
}
