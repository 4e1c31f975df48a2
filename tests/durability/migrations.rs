//! The schema up, down and up again; and what the database itself refuses, whatever program speaks to it.

use almoner::grants::Overdraft;
use almoner::store::guards::{APPEND_ONLY, standing};
use almoner::store::{Conn, Database, Fault, Store, migrate};
use almoner::time::Clock;

use crate::desk::Desk;
use crate::support::Run;
use crate::support::database::databases;

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    n: i64,
}

fn count(conn: &mut Conn, of: &str) -> i64 {
    use diesel::RunQueryDsl;
    let query = diesel::sql_query(format!("SELECT count(*) AS n FROM {of}"));
    let found: Count = almoner::store::on!(conn, c => query.get_result(c)).unwrap_or_else(|e| panic!("{of}: {e}"));
    found.n
}

/// Tables of the books, without the list of the steps taken.
fn tables(conn: &mut Conn) -> i64 {
    let of = match conn {
        Conn::Sqlite(_) => "sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE '\\_\\_diesel%' ESCAPE '\\'",
        Conn::Postgres(_) => "pg_tables WHERE schemaname = current_schema() AND tablename NOT LIKE '\\_\\_diesel%'",
    };
    count(conn, of)
}

#[test]
fn the_schema_goes_up_down_and_up() {
    for database in databases() {
        let conn = &mut Database::parse(&database.url).expect("a URL").connect().expect("a connection");
        let steps = migrate::pending(conn).expect("steps");
        assert!(!steps.is_empty());
        assert_eq!(migrate::up(conn).expect("up"), steps);
        let full = tables(conn);
        assert!(full > 20, "{full} tables");
        assert_eq!(migrate::pending(conn).expect("none").len(), 0);
        assert_eq!(migrate::up(conn).expect("up to date").len(), 0);
        assert!(standing(conn).expect("guards").iter().all(|(_, there)| *there));
        let last_first: Vec<_> = steps.iter().rev().cloned().collect();
        assert_eq!(migrate::down(conn).expect("down"), last_first);
        assert_eq!((tables(conn), migrate::pending(conn).expect("steps")), (0, steps.clone()), "{}", database.kind);
        assert_eq!(migrate::up(conn).expect("up again"), steps);
        assert_eq!(tables(conn), full);
        assert!(standing(conn).expect("guards").iter().all(|(_, there)| *there));
    }
}

/// What another almoner may have left behind: another text of a step, a step that this one does not know, no fingerprints at all.
const OTHERS: [&str; 3] = [
    "UPDATE steps SET fingerprint = 'of another text'",
    "INSERT INTO steps (name, fingerprint) VALUES ('9999_later', 'of a later text')",
    "DROP TABLE steps",
];

#[test]
fn books_of_another_make_are_refused_at_the_door() {
    for database in databases() {
        for other in OTHERS {
            let conn = &mut Database::parse(&database.url).expect("a URL").connect().expect("a connection");
            migrate::up(conn).expect("up");
            migrate::check(conn).expect("its own text");
            conn.batch("BEGIN").expect("a transaction");
            conn.batch(other).expect("another make");
            for refused in [migrate::check(conn).map(drop), migrate::up(conn).map(drop), migrate::down(conn).map(drop)] {
                assert!(matches!(refused, Err(Fault::Schema(_))), "{}, {other}: {refused:?}", database.kind);
            }
            conn.batch("ROLLBACK").expect("as it was");
        }
    }
}

/// Every command says so and ends with the database's own code; the doctor has it among its findings.
#[test]
fn every_command_refuses_books_of_another_make() {
    for database in databases() {
        told(&Desk::open(&database, 100, Overdraft::Reject));
    }
}

fn told(desk: &Desk<'_>) {
    desk.connect().batch(OTHERS[0]).expect("another make");
    for args in [&["verify"][..], &["serve"], &["migrate"], &["export", "--format", "csv"], &["doctor"]] {
        let run = Run::from(desk.command(args).output().expect("the program starts"));
        assert_eq!(run.code, Some(6), "{args:?}: {run:#?}");
        let said = run.stdout + &run.stderr;
        assert!(said.contains("made by another almoner") && said.contains("0001_books"), "{args:?}: {said}");
        assert!(said.contains("Use the almoner that made it"), "{args:?}: {said}");
    }
    let database = Database::parse(&desk.database.url).expect("a URL");
    assert!(matches!(Store::open(&database, Clock::system()).map(drop), Err(Fault::Schema(_))));
}

fn refused(conn: &mut Conn, sql: &str, word: &str) {
    match conn.batch(sql) {
        Ok(()) => panic!("{sql} was let through"),
        Err(fault) => assert!(fault.to_string().to_lowercase().contains(word), "{sql}: {fault}"),
    }
}

/// A row of each of the tables that small books leave empty: on SQLite only a row can be refused.
const ROWS: &str = "
    INSERT INTO reversals (seq, reverses, booked_by, reversed_by, reason) SELECT 1, 1, MIN(id), MAX(id), 'a row' FROM persons;
    INSERT INTO conflicts (id, person, project, reason) SELECT 1, MIN(p.id), MIN(j.id), 'a row' FROM persons p, projects j;
    INSERT INTO refunds (id, seq, charge, charge_seq, award, amount, reason) VALUES (1, 1, 1, 1, 1, 1, 'a row');
    INSERT INTO key_blocks (block, upto) VALUES (1, 1);
    INSERT INTO key_rows (id, entries) VALUES (256, '');
    INSERT INTO readings (id, person, operation) SELECT 1, max(id), 'a row' FROM persons;
    INSERT INTO covers (id, seq, charge, lot, amount) VALUES (1, 1, 1, 1, 1);
    INSERT INTO events (id, kind, subject, mark, at, body) VALUES (1, 'a row', 'a row', 'a row', 1, '{}');
    INSERT INTO statements (id, kind, whom, from_at, to_at, seq, sha256, made_by) SELECT 1, 'donor', 1, 1, 2, 1, 'a row', max(id) FROM persons;
    INSERT INTO amendments (id, award, kind, requester, reason, state, version)
        SELECT 1, id, 'closing', requester, 'a row', 'requested', 1 FROM grants;
    INSERT INTO erasures (id, seq, erased_by, ground, charges, records) SELECT 1, 1, max(id), 'asked', 0, 0 FROM persons;
    INSERT INTO erased (id, seq, metered) VALUES (1, 1, '{}');
    INSERT INTO charges (seq, id, ended_at, actor, award, usage_key, part, digest, provider, resource, amount, overdraft, balance_after, rates, said)
        VALUES (1, 1, 1, 1, 1, '', 0, '', 1, 1, 1, 0, 0, '[]', 'a row');
    INSERT INTO outflows (seq, award, lot, kind, amount) SELECT 1, g.id, l.id, 'lapse', 1 FROM grants g, lots l;";

#[test]
fn what_was_written_stays_written() {
    for database in databases() {
        let desk = Desk::open(&database, 100, Overdraft::Reject);
        let conn = &mut desk.connect();
        conn.batch(ROWS).expect("rows");
        for table in APPEND_ONLY {
            let rows = count(conn, table);
            assert!(rows > 0, "{table} is empty");
            let column = match *table {
                "units" => "name",
                "lots" | "covers" | "outflows" | "refunds" => "amount",
                "accounts" => "no",
                "runs" => "members",
                "key_blocks" => "upto",
                "key_rows" => "entries",
                "readings" => "operation",
                "events" => "body",
                "statements" => "sha256",
                "entries" => "effective_at",
                "grants" | "amendments" => "requester",
                "erasures" => "ground",
                "erased" => "metered",
                "charges" => "amount",
                _ => "reason",
            };
            let word = if *table == "accounts" { "accounts" } else { "append-only" };
            if *table != "accounts" {
                refused(conn, &format!("UPDATE {table} SET {column} = {column}"), word);
            }
            refused(conn, &format!("DELETE FROM {table}"), word);
            match conn {
                Conn::Sqlite(_) => refused(conn, &format!("INSERT OR REPLACE INTO {table} SELECT * FROM {table}"), word),
                Conn::Postgres(_) => refused(conn, &format!("TRUNCATE {table} CASCADE"), "append-only"),
            }
            assert_eq!(count(conn, table), rows, "{table}");
        }
    }
}

#[test]
fn the_database_refuses_what_no_program_may_do() {
    for database in databases() {
        let desk = Desk::open(&database, 100, Overdraft::Reject);
        let conn = &mut desk.connect();
        for bucket in [1, 3, 6, 7] {
            let negative = "INSERT INTO accounts (no, bucket, donation, award, lot, unit, balance, postings)";
            refused(conn, &format!("{negative} VALUES (9{bucket}, {bucket}, 9, 9, 9, 'CREDIT', -1, 1)"), "check");
        }
        refused(conn, "UPDATE accounts SET balance = -1 WHERE bucket = 6", "check");
        assert_eq!(count(conn, "accounts WHERE bucket = 6 AND balance = 100"), 1);
        refused(conn, "UPDATE donations SET accepted_by = proposed_by", "check");
        refused(conn, "UPDATE rates SET confirmed_by = proposed_by", "check");
        refused(conn, "INSERT INTO head (one, seq, stamp) VALUES (2, 0, 0)", "check");
        conn.batch("UPDATE donations SET version = version").expect("what is allowed is allowed");
    }
}
