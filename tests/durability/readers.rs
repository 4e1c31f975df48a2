//! Connections for reading that were lost or left in the middle: whoever reads next does not see it.
//!
//! Controls, seen to fail: where a reader was not called broken until its end, the look after a panic found the old snapshot open; where a
//! connection that could not begin was not replaced, the first look after the server had ended it failed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use almoner::actor::Actor;
use almoner::directory;
use almoner::ledger::store::head;
use almoner::store::{Database, Fault, READERS, Store};
use almoner::time::Clock;

use crate::support::database::{databases, postgres};

/// A look that panics leaves its snapshot open, which would be shown for ever after.
#[test]
fn a_look_that_broke_off_is_seen_by_nobody() {
    for database in databases() {
        let store = Store::open(&Database::parse(&database.url).expect("a URL"), Clock::system()).expect("books");
        for round in 0..2 * i64::from(READERS) {
            let broken =
                catch_unwind(AssertUnwindSafe(|| store.read(|conn| -> Result<(), Fault> { panic!("on purpose, at {}", head(conn)?) })));
            assert!(broken.is_err());
            let before = store.read(head).expect("a look");
            let actor = Actor::operator(&format!("in round {round}"));
            store.write(move |work| directory::person_for(work, &actor)).expect("written");
            assert!(store.read(head).expect("a look") > before, "{}: the look before is still there", database.kind);
        }
    }
}

/// A server that was started anew has forgotten every connection that is kept.
#[test]
fn connections_that_the_server_has_ended_are_replaced() {
    let Some(database) = postgres() else { return };
    let place = Database::parse(&database.url).expect("a URL");
    let store = Store::open(&place, Clock::system()).expect("books");
    // As many as there can be.
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| store.read(|conn| conn.batch("SELECT pg_sleep(0.3)")).expect("a look"));
        }
    });
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    place.connect().expect("a connection").batch(end).expect("ended");
    for _ in 0..2 * READERS {
        store.read(head).expect("a look");
    }
}
