//! The tests' own support, tried: databases are fresh, apart and gone afterwards; the program runs.

mod support;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};

use support::database::{databases, postgres};

#[test]
fn every_kind_of_database_is_handed_out() {
    let made = databases();
    let kinds: Vec<&str> = made.iter().map(|d| d.kind).collect();
    assert!(kinds == ["SQLite", "PostgreSQL"] || kinds == ["SQLite"], "{kinds:?}");
    assert!(made.iter().all(|d| d.folder().is_dir()));
}

#[test]
fn postgres_databases_are_apart_and_dropped() {
    let Some((one, other)) = postgres().zip(postgres()) else { return };
    assert_ne!(one.url, other.url);
    for database in [&one, &other] {
        let mut connection = PgConnection::establish(&database.url).expect("a database to connect to");
        connection.batch_execute("CREATE TABLE mark (x BIGINT); INSERT INTO mark VALUES (1)").expect("an empty database");
    }
    // Dropped although a connection to it is open.
    let held = PgConnection::establish(&one.url).expect("a connection");
    let url = one.url.clone();
    drop(one);
    assert!(PgConnection::establish(&url).is_err(), "the database is still there");
    drop(held);
}

#[test]
fn the_program_runs() {
    support::almoner(["--help"]).ok();
}
