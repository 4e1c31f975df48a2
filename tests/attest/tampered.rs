//! Tampering by who may do anything in the database, with its guards taken off and put back: each is found, by the law that is about it.

use std::path::Path;

use almoner::attest::audit::Evidence;
use almoner::attest::integrate::Integrator;
use almoner::attest::keep::Log;
use almoner::attest::signer::Keeper;
use almoner::attest::store;
use almoner::reports::verify::Verification;
use almoner::store::{Conn, Database, on};
use almoner::tlog::{Checkpoint, Note};
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::scene::{Scene, verify_with};
use crate::support::database::{TestDatabase, databases};

/// Where something is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Books,
    Log,
}
use At::{Books, Log as InLog};

/// What is done, and a law that is broken then: 11 leaves, 12 lots, 13 tree, 14 checkpoints, 15 what was kept elsewhere.
const TAMPERINGS: &[(&str, At, &str, u8)] = &[
    ("an entry's body", Books, "UPDATE journal SET body = replace(body, 'gpu-hour', 'gpu-year') WHERE body LIKE '%gpu-hour%'", 11),
    ("an entry's actor", Books, "UPDATE journal SET actor = actor + 1 WHERE seq = 9", 11),
    (
        "when a job ended",
        Books,
        "UPDATE journal SET effective_at = effective_at - 1 WHERE seq = (SELECT seq FROM charges ORDER BY id LIMIT 1)",
        11,
    ),
    ("when an entry was taken", Books, "UPDATE journal SET recorded_at = recorded_at + 1 WHERE seq = (SELECT max(seq) FROM journal)", 11),
    (
        "what an entry is about",
        Books,
        "UPDATE journal SET subject = subject + 1 WHERE seq = (SELECT max(seq) FROM journal WHERE subject > 0)",
        11,
    ),
    ("an entry's kind", Books, "UPDATE journal SET kind = 42 WHERE seq = (SELECT max(seq) FROM journal WHERE kind = 41)", 11),
    ("the last entry taken away", Books, "DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)", 11),
    (
        "a posting's amount",
        Books,
        "UPDATE journal SET lines = replace(lines, ',-', ',-1') WHERE seq = (SELECT max(seq) FROM journal WHERE lines LIKE '%,-%')",
        11,
    ),
    (
        "a posting's balance",
        Books,
        "UPDATE journal SET lines = replace(lines, ']]', '1]]') WHERE seq = (SELECT max(seq) FROM journal WHERE lines IS NOT NULL)",
        11,
    ),
    (
        "a transaction's postings taken away",
        Books,
        "UPDATE journal SET lines = NULL WHERE seq = (SELECT max(seq) FROM journal WHERE lines IS NOT NULL)",
        11,
    ),
    ("a usage record", Books, "UPDATE charges SET said = replace(said, 'user-of', 'another') WHERE id = (SELECT min(id) FROM charges)", 11),
    (
        "a usage record's grant",
        Books,
        "UPDATE charges SET award = (SELECT max(id) FROM grants) WHERE id = (SELECT min(id) FROM charges)",
        11,
    ),
    ("what was left after a charge", Books, "UPDATE charges SET balance_after = 1 WHERE id = (SELECT max(id) FROM charges)", 11),
    ("a price", Books, "UPDATE rates SET price = price + 1", 11),
    ("a resource's name", Books, "UPDATE resources SET name = 'Another cluster'", 12),
    ("a leaf's text", InLog, "UPDATE log_leaves SET leaf = replace(leaf, 'charge', 'refund') WHERE idx = 60", 11),
    ("a leaf taken away", InLog, "DELETE FROM log_leaves WHERE idx = 60", 11),
    ("the last leaves taken away", InLog, "DELETE FROM log_leaves WHERE idx >= (SELECT max(seal) FROM log_heads)", 15),
    ("a leaf more", InLog, "INSERT INTO log_leaves (idx, seq, leaf, salt) SELECT max(idx) + 1, NULL, 'more', NULL FROM log_leaves", 12),
    ("a leaf of another entry", InLog, "UPDATE log_leaves SET leaf = (SELECT leaf FROM log_leaves WHERE idx = 61) WHERE idx = 60", 11),
    (
        "which entry a leaf is of",
        InLog,
        "UPDATE log_leaves SET seq = 100000 WHERE idx = (SELECT max(idx) FROM log_leaves WHERE seq > 0)",
        11,
    ),
    ("an entry's salt", InLog, "UPDATE log_leaves SET salt = (SELECT salt FROM log_leaves WHERE idx = 61) WHERE idx = 60", 11),
    ("an entry's salt taken away", InLog, "UPDATE log_leaves SET salt = NULL WHERE idx = 60", 11),
    (
        "a job's salt",
        InLog,
        "UPDATE log_jobs SET salt = (SELECT salt FROM log_jobs ORDER BY idx DESC LIMIT 1) WHERE idx = (SELECT min(idx) FROM log_jobs)",
        11,
    ),
    ("a job's salt taken away", InLog, "DELETE FROM log_jobs WHERE idx = (SELECT min(idx) FROM log_jobs)", 11),
    ("a line's text", InLog, "UPDATE log_lines SET disclosure = replace(disclosure, 'A', 'B') WHERE n = 5", 12),
    (
        "a line of another lot",
        InLog,
        "UPDATE log_lines SET disclosure = (SELECT max(disclosure) FROM log_lines WHERE n = 2) WHERE n = 3",
        12,
    ),
    ("a line taken away", InLog, "DELETE FROM log_lines WHERE n = 3", 12),
    (
        "a line more",
        InLog,
        "INSERT INTO log_lines (lot, n, idx, disclosure) SELECT lot, max(n) + 1, 60, 'x' FROM log_lines GROUP BY lot",
        12,
    ),
    ("a line's leaf", InLog, "UPDATE log_lines SET idx = idx + 1 WHERE n = 3", 12),
    ("a lot's head", InLog, "UPDATE log_heads SET head = replace(head, 'USD', 'EUR') WHERE seal = (SELECT max(seal) FROM log_heads)", 12),
    ("a lot's head taken away", InLog, "DELETE FROM log_heads WHERE seal = (SELECT max(seal) FROM log_heads)", 12),
    ("a lot's stale head", InLog, "UPDATE log_heads SET seal = seal + 1 WHERE seal = (SELECT min(seal) FROM log_heads)", 12),
    ("a lot's edge", InLog, "UPDATE log_heads SET edge = (SELECT edge FROM log_heads ORDER BY seal, lot LIMIT 1)", 12),
    ("a lot's handle", InLog, "UPDATE log_lots SET handle = 'another' WHERE lot = (SELECT max(lot) FROM log_lots)", 12),
    ("what handles are keyed with", InLog, "UPDATE log_secrets SET secret = (SELECT salt FROM log_jobs ORDER BY idx DESC LIMIT 1)", 12),
    ("a provider's secret", InLog, "UPDATE log_providers SET secret = (SELECT salt FROM log_jobs ORDER BY idx DESC LIMIT 1)", 11),
    ("the first leaf", InLog, "UPDATE log_leaves SET leaf = replace(leaf, 'ledger', 'Ledger') WHERE idx = 0", 11),
    (
        "a change of key",
        InLog,
        "UPDATE log_leaves SET leaf = replace(leaf, '\"by\":[\"', '\"by\":[\"A') WHERE leaf LIKE '%\"t\":\"key\"%'",
        11,
    ),
    ("a key", InLog, "UPDATE log_keys SET vkey = 'another'", 11),
    ("a seal", InLog, "UPDATE log_leaves SET leaf = replace(leaf, '\"lots\":\"3\"', '\"lots\":\"2\"') WHERE leaf LIKE '%\"seal\"%'", 12),
    ("a tile", InLog, "UPDATE log_tiles SET hashes = (SELECT hashes FROM log_edge WHERE level = 0)", 13),
    ("a tile taken away", InLog, "DELETE FROM log_tiles", 13),
    ("the edge", InLog, "UPDATE log_edge SET hashes = (SELECT salt FROM log_jobs ORDER BY idx DESC LIMIT 1) WHERE level = 0", 13),
    ("the edge taken away", InLog, "DELETE FROM log_edge", 13),
    ("a checkpoint's size", InLog, "UPDATE log_checkpoints SET size = size + 1 WHERE size = (SELECT max(size) FROM log_checkpoints)", 14),
    ("a checkpoint's text", InLog, "UPDATE log_checkpoints SET note = replace(note, 'ledger', 'Ledger')", 14),
    ("a checkpoint of another", InLog, "UPDATE log_checkpoints SET note = (SELECT max(note) FROM log_checkpoints)", 14),
];

/// A copy of books and log that may be ruined.
struct Copy {
    url: String,
    admin: Option<(String, String)>,
    _folder: tempfile::TempDir,
}

impl Copy {
    fn of(original: &TestDatabase, number: usize) -> Copy {
        let folder = tempfile::tempdir().expect("a folder");
        if original.kind == "SQLite" {
            copy_files(original.folder(), folder.path());
            let url = format!("sqlite:{}", folder.path().join("almoner.db").display());
            return Copy { url, admin: None, _folder: folder };
        }
        let admin = std::env::var("ALMONER_TEST_POSTGRES").expect("a server");
        let (before, name) = original.url.rsplit_once('/').expect("a URL");
        let (name, options) = name.split_once('?').map_or((name, String::new()), |(name, options)| (name, format!("?{options}")));
        let copy = format!("{name}_{number}");
        let mut conn = PgConnection::establish(&admin).expect("a server");
        let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        diesel::sql_query(end).execute(&mut conn).expect("nobody else");
        diesel::sql_query(format!("CREATE DATABASE {copy} TEMPLATE {name}")).execute(&mut conn).expect("a copy");
        Copy { url: format!("{before}/{copy}{options}"), admin: Some((admin, copy)), _folder: folder }
    }

    fn books(&self) -> Database {
        Database::parse(&self.url).expect("a URL")
    }

    fn connect(&self, at: At) -> Conn {
        let books = self.books();
        let of = if at == Books { books } else { books.beside("log") };
        of.connect().expect("a connection")
    }

    /// Does what the guards forbid; they stand again afterwards.
    fn ruin(&self, at: At, sql: &str) -> usize {
        let mut conn = self.connect(at);
        let guards = off(&mut conn);
        let done = on!(&mut conn, c => diesel::sql_query(sql).execute(c)).unwrap_or_else(|error| panic!("{sql}: {error}"));
        back(&mut conn, &guards);
        done
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Some((admin, name)) = &self.admin {
            let dropped =
                PgConnection::establish(admin).map(|mut c| diesel::sql_query(format!("DROP DATABASE {name} WITH (FORCE)")).execute(&mut c));
            assert!(std::thread::panicking() || dropped.is_ok_and(|dropped| dropped.is_ok()));
        }
    }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder").flatten().filter(|entry| entry.path().is_file()) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

#[derive(QueryableByName)]
struct Guard {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    sql: String,
}

fn off(conn: &mut Conn) -> Vec<Guard> {
    match conn {
        Conn::Postgres(_) => {
            conn.batch("SET session_replication_role = replica").expect("a superuser");
            Vec::new()
        }
        Conn::Sqlite(c) => {
            let guards: Vec<Guard> =
                diesel::sql_query("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").load(c).expect("guards");
            for guard in &guards {
                diesel::sql_query(format!("DROP TRIGGER {}", guard.name)).execute(c).expect("taken off");
            }
            diesel::sql_query("PRAGMA foreign_keys=OFF").execute(c).expect("off");
            guards
        }
    }
}

fn back(conn: &mut Conn, guards: &[Guard]) {
    for guard in guards {
        conn.batch(&guard.sql).expect("put back");
    }
}

fn broken(found: &Verification) -> Vec<u8> {
    found.laws.iter().filter(|law| law.broken > 0).map(|law| law.number).collect()
}

/// What is known beside the database.
fn evidence(keys: &Path) -> Evidence {
    let keeper = Keeper::find(keys).expect("readable").expect("a key");
    Evidence { keys: keeper.verifiers(), kept: vec![("the signer".into(), keeper.signed().expect("a state"))] }
}

#[test]
fn each_tampering_is_found() {
    for database in databases() {
        let Scene { database, keys, .. } = Scene::play(database);
        let evidence = evidence(&keys);
        let clean = Copy::of(&database, 0);
        assert_eq!(broken(&verify_with(&clean.books(), &evidence)), [0u8; 0], "{}", database.kind);
        for (number, (what, at, sql, law)) in (1..).zip(TAMPERINGS) {
            let copy = Copy::of(&database, number);
            assert!(copy.ruin(*at, sql) > 0, "{}, {what}: nothing was done", database.kind);
            let found = broken(&verify_with(&copy.books(), &evidence));
            assert!(found.contains(law), "{}, {what}: laws {found:?} are broken, not {law}", database.kind);
        }
    }
}

#[test]
fn guards_that_were_taken_off_are_missed() {
    for database in databases() {
        let Scene { database, keys, .. } = Scene::play(database);
        let copy = Copy::of(&database, 1);
        let mut conn = copy.connect(InLog);
        match &mut conn {
            Conn::Sqlite(_) => drop(off(&mut conn)),
            Conn::Postgres(_) => conn.batch("ALTER TABLE log_leaves DISABLE TRIGGER USER").expect("a superuser"),
        }
        drop(conn);
        assert_eq!(broken(&verify_with(&copy.books(), &evidence(&keys))), [11], "{}", database.kind);
    }
}

#[test]
fn older_books_are_not_signed_again() {
    for database in databases() {
        let mut scene = Scene::play(database);
        let books = Database::parse(&scene.database.url).expect("a URL");
        let (older, signed) = (scene.signed[2], scene.signed[3]);
        // As a restored copy is: the last stretch was never logged.
        let copy = Copy::of(&scene.database, 1);
        for sql in [
            format!("DELETE FROM log_leaves WHERE idx >= {older}"),
            format!("DELETE FROM log_heads WHERE seal >= {older}"),
            format!("DELETE FROM log_jobs WHERE idx >= {older}"),
            format!("DELETE FROM log_lines WHERE idx >= {older}"),
            format!("DELETE FROM log_checkpoints WHERE size > {older}"),
        ] {
            copy.ruin(InLog, &sql);
        }
        let log = Log::find(&copy.books()).expect("readable").expect("a log");
        let mut integrator = Integrator::open(&copy.books(), &log, scene.keeper()).expect("an integrator");
        let refused = integrator.run().expect_err("it is not continued").to_string();
        assert!(refused.contains(&older.to_string()) && refused.contains(&signed.to_string()), "{refused}");
        assert!(broken(&verify_with(&copy.books(), &evidence(&scene.keys))).contains(&15), "{}", scene.database.kind);
        // The true one goes on.
        scene.log = Log::find(&books).expect("readable").expect("a log");
        scene.log_it();
        assert!(scene.verify(Vec::new()).holds());
    }
}

#[test]
fn a_log_written_anew_by_its_own_signer_is_told_by_what_was_kept() {
    for database in databases() {
        let Scene { database, keys, log, .. } = Scene::play(database);
        let (_, note) = log.read(store::last_checkpoint).expect("readable").expect("signed");
        let kept = Checkpoint::parse(Note::parse(&note).expect("a note").text()).expect("a checkpoint");
        drop(log);
        let copy = Copy::of(&database, 1);
        for table in ["leaves", "jobs", "lines", "lots", "providers", "keys", "secrets", "tiles", "edge", "heads", "checkpoints"] {
            copy.ruin(InLog, &format!("DELETE FROM log_{table}"));
        }
        copy.ruin(Books, "UPDATE journal SET actor = NULL WHERE seq = 9");
        // Whoever has the key can forget what it signed.
        let state = format!("{}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n", kept.origin);
        std::fs::write(keys.join("log.state"), state).expect("written");
        let log = Log::find(&copy.books()).expect("readable").expect("a log");
        let mut integrator = Integrator::open(&copy.books(), &log, Keeper::find(&keys).expect("readable").expect("a key")).expect("one");
        while integrator.run().expect("integrated").behind > 0 {}
        let mut evidence = evidence(&keys);
        let laws =
            |evidence: &Evidence| broken(&verify_with(&copy.books(), evidence)).into_iter().filter(|law| *law > 10).collect::<Vec<_>>();
        assert_eq!(laws(&evidence), [0u8; 0], "nothing in it shows it");
        evidence.kept.push(("a donor".into(), kept));
        assert_eq!(laws(&evidence), [15], "{}", database.kind);
    }
}
