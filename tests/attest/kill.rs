//! `kill -9` of who integrates, in the middle of it: another goes on where it was, and the log is the one it would have been, without what was
//! erased meanwhile.

use std::process::Stdio;
use std::time::Duration;

use almoner::actor::Actor;
use almoner::attest::keep::Log;
use almoner::attest::store;
use almoner::demo;
use almoner::directory::{self, erasure::Ground};
use almoner::id::ChargeId;
use almoner::store::{Conn, Database, Page, Store};
use almoner::time::Clock;
use almoner::usage;
use almoner::usage::erase::{self, Wanted};

use crate::support::books::time;
use crate::support::database::{TestDatabase, databases};
use crate::support::{Run, almoner, program};

/// The program on these books.
fn args<'a>(database: &'a TestDatabase, data: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [more, &["--data", data, "--database", &database.url]].concat()
}

/// How many leaves are durable.
fn leaves(database: &TestDatabase) -> u64 {
    let books = Database::parse(&database.url).expect("a URL");
    Log::find(&books).expect("readable").map_or(0, |log| log.read(store::extent).expect("a log").0)
}

/// Erases records of jobs from the begin of the year to its end, none of which the log has; how many.
fn erase_some(store: &Store) -> usize {
    let rows = store.read(|conn| usage::store::charges(conn, &usage::Of::default(), Page::ALL)).expect("charges");
    let ids: Vec<ChargeId> = rows.iter().step_by(rows.len() / (3 * erase::MOST) + 1).map(|row| row.id()).collect();
    for some in ids.chunks(erase::MOST) {
        let wanted = Wanted { charges: some.to_vec(), ..Wanted::default() };
        let erased = store.write(move |work| {
            let who = directory::person_for(work, &Actor::operator("who erases"))?;
            erase::erase(work, who, Ground::Retention, &wanted, false)
        });
        assert_eq!(erased.expect("erased").charges.len(), some.len());
    }
    assert!(ids.len() > 2 * erase::MOST);
    ids.len()
}

/// Charges in the log whose job can't be told any more.
fn untold(database: &TestDatabase) -> usize {
    let log = Log::find(&Database::parse(&database.url).expect("a URL")).expect("readable").expect("a log");
    let count = |log: &mut Conn| {
        let size = store::extent(log)?.0;
        let charges = store::leaves(log, 0, size)?.iter().filter(|row| row.leaf.contains("\"t\":\"charge\"")).count();
        Ok(charges - store::jobs(log, 0, size)?.len())
    };
    log.read(count).expect("a log")
}

/// Whether the books keep anything for the log still.
fn waits(database: &TestDatabase) -> bool {
    let mut books = Database::parse(&database.url).expect("a URL").connect().expect("books");
    erase::store::is_waiting(&mut books, i64::MAX).expect("readable")
}

#[test]
fn a_log_that_was_killed_again_and_again_is_whole() {
    for database in databases() {
        let data = database.folder().join("data");
        let data = data.to_str().expect("UTF-8");
        almoner(args(&database, data, &["init"])).ok();
        let until = time("2026-07-01T00:00:00Z");
        let store = Store::open_as_is(&Database::parse(&database.url).expect("a URL"), Clock::held(until)).expect("books");
        demo::make(&store, "https://demo.example", 1, until, &mut |_, _| ()).expect("a year");
        let erased = erase_some(&store);
        drop(store);
        let (mut killed, mut wait) = (0, 40);
        let began = leaves(&database);
        loop {
            let mut child = program()
                .args(args(&database, data, &["log", "integrate"]))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("starts");
            std::thread::sleep(Duration::from_millis(wait));
            if child.try_wait().expect("a child").is_some() {
                break;
            }
            child.kill().expect("a process to kill");
            child.wait().expect("its end");
            killed += 1;
            // Slower and slower, so that some are killed before, some between and some within their batches, and one comes to the end.
            wait += 150;
        }
        assert!(killed >= 3 && leaves(&database) > began, "{}: killed {killed} times", database.kind);
        almoner(args(&database, data, &["log", "integrate"])).ok();
        let found: Run = almoner(args(&database, data, &["verify", "--json"])).ok();
        let told: serde_json::Value = serde_json::from_str(&found.stdout).expect("JSON");
        assert_eq!((&told["holds"], &told["log"]["behind"]), (&true.into(), &0.into()), "{}", database.kind);
        let (leaves, entries) = (told["log"]["leaves"].as_u64(), told["entries"].as_u64());
        assert!(leaves > entries && entries.is_some_and(|entries| entries > 50_000), "{leaves:?}, {entries:?}");
        assert_eq!((untold(&database), waits(&database)), (erased, false), "{}", database.kind);
    }
}
