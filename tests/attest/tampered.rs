//! Tampering by who may do anything in the database, with its guards taken off and put back: each is found, by the law that is about it.

use std::collections::BTreeSet;
use std::path::Path;

use almoner::attest::audit::Evidence;
use almoner::attest::integrate::Integrator;
use almoner::attest::keep::Log;
use almoner::attest::signer::Keeper;
use almoner::attest::store;
use almoner::store::{Conn, Database};
use diesel::prelude::*;

use crate::kinds::{BY_ROWS, OF_BOOKS, OF_LOG};
use crate::ruin::At::{self, Books, Log as InLog};
use crate::ruin::{Act, Deed, Found, Ground, Kind, Law, broken, cut_back, off, ruin};
use crate::scene::{Scene, verify_with};
use crate::support::database::{TestDatabase, databases, postgres, sqlite};
use crate::support::dice::Dice;

/// Tamperings tried of each kind on each database.
const TRIED: usize = 5;

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

    /// Does what the guards forbid, for good; they stand again afterwards.
    fn ruin(&self, at: At, sql: &str) {
        ruin(&mut self.connect(at), sql);
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

/// What is known beside the database.
fn evidence(keys: &Path) -> Evidence {
    let keeper = Keeper::find(keys).expect("readable").expect("a key");
    Evidence { keys: keeper.verifiers(), signer: Some(keeper.signed().expect("a state")), kept: Vec::new() }
}

/// What is wrong with how a tampering was found; nothing where it was.
fn missed(kind: &Kind, found: &Found) -> Option<String> {
    let shown = found.laws.iter().any(|law| *law != Law::Kept);
    let wrong = match found.rows {
        0 => "nothing was done",
        // That only what was kept shows it is said, and so must be true.
        _ if kind.law == Law::Kept && shown => "books and log show it themselves",
        _ if !found.laws.contains(&kind.law) => "it is not found by its law",
        _ => return None,
    };
    Some(format!("{}: {wrong}: {:?}, {:?}", kind.what, found.laws, found.words))
}

/// Every kind, so often, on one database.
fn each_kind_is_found(database: TestDatabase) {
    let (mut ground, mut dice, mut tried, mut wrong) = (Ground::play(database), Dice::new(7), 0, Vec::new());
    let nothing = Kind { what: "nothing", at: Books, rows: "", act: Act::Sql("SELECT 1"), law: Law::Kept };
    let clean = ground.found(&nothing, &Deed::Sql(Vec::new()));
    assert!(clean.laws.is_empty(), "{}: {:?}", ground.database(), clean.words);
    for kind in OF_BOOKS.iter().chain(OF_LOG).chain(BY_ROWS) {
        let deeds = ground.deeds(kind, TRIED, &mut dice);
        assert_eq!(deeds.len(), TRIED, "{}", kind.what);
        for deed in deeds {
            let found = ground.found(kind, &deed);
            tried += 1;
            wrong.extend(missed(kind, &found).map(|why| format!("{why} {deed:?}")));
        }
    }
    assert!(tried >= 60 * TRIED && wrong.is_empty(), "{}, {} of {tried}: {wrong:#?}", ground.database(), wrong.len());
}

#[test]
fn each_kind_of_tampering_is_found_on_sqlite() {
    each_kind_is_found(sqlite());
}

#[test]
fn each_kind_of_tampering_is_found_on_postgresql() {
    if let Some(database) = postgres() {
        each_kind_is_found(database);
    }
}

#[test]
fn guards_that_were_taken_off_are_missed() {
    for database in databases() {
        let Scene { database, keys, .. } = Scene::play(database);
        let copy = Copy::of(&database, 1);
        let mut conn = copy.connect(InLog);
        match &mut conn {
            Conn::Sqlite(_) => drop(off(&mut conn, "log_leaves")),
            Conn::Postgres(_) => conn.batch("ALTER TABLE log_leaves DISABLE TRIGGER USER").expect("a superuser"),
        }
        drop(conn);
        assert_eq!(broken(&verify_with(&copy.books(), &evidence(&keys))), BTreeSet::from([Law::Leaves]), "{}", database.kind);
    }
}

#[test]
fn older_books_are_not_signed_again() {
    for database in databases() {
        let mut scene = Scene::play(database);
        let books = Database::parse(&scene.database.url).expect("a URL");
        let [.., older, signed] = scene.signed[..] else { panic!("{:?}", scene.signed) };
        // As a restored copy is: the last stretch was never logged.
        let copy = Copy::of(&scene.database, 1);
        cut_back(&mut copy.connect(InLog), older);
        let log = Log::find(&copy.books()).expect("readable").expect("a log");
        let mut integrator = Integrator::open(&copy.books(), &log, scene.keeper()).expect("an integrator");
        let refused = integrator.run().expect_err("it is not continued").to_string();
        assert!(refused.contains(&older.to_string()) && refused.contains(&signed.to_string()), "{refused}");
        assert!(broken(&verify_with(&copy.books(), &evidence(&scene.keys))).contains(&Law::Kept), "{}", scene.database.kind);
        // The true one goes on.
        scene.log = Log::find(&books).expect("readable").expect("a log");
        scene.log_it();
        assert!(scene.verify(Vec::new()).holds());
    }
}

/// What is changed of the books before their log is written anew: the books' own laws hold after each.
const EDITS: [&str; TRIED] = [
    "UPDATE entries SET actor = NULL WHERE seq = 9",
    "UPDATE entries SET effective_at = effective_at - 1 WHERE kind = 4",
    "UPDATE entries SET body = replace(body, 'industry', 'government') WHERE kind = 3",
    "UPDATE charges SET said = replace(said, 'user-of-the-job', 'somebody-else') WHERE id = (SELECT min(id) FROM charges)",
    "UPDATE charges SET balance_after = balance_after - 1 WHERE id = (SELECT max(id) FROM charges)",
];

impl Copy {
    /// Takes the log away and has it written anew by this key; what the laws of the log then say.
    fn write_anew(&self, keeper: Keeper) {
        for table in ["leaves", "jobs", "lines", "lots", "providers", "keys", "tiles", "edge", "heads", "cosignatures", "checkpoints"] {
            self.ruin(InLog, &format!("DELETE FROM log_{table}"));
        }
        let log = Log::find(&self.books()).expect("readable").expect("a log");
        let mut integrator = Integrator::open(&self.books(), &log, keeper).expect("an integrator");
        while integrator.run().expect("integrated").behind > 0 {}
    }

    /// The laws of the log that are broken.
    fn of_log(&self, evidence: &Evidence) -> Vec<Law> {
        broken(&verify_with(&self.books(), evidence)).into_iter().filter(|law| !matches!(law, Law::Books(_))).collect()
    }
}

/// A folder with the log's own key, by which nothing was signed yet.
fn forgetful(keys: &Path, origin: &str) -> (tempfile::TempDir, Keeper) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(keys.join("log.key"), folder.path().join("log.key")).expect("copied");
    let state = format!("{origin}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n");
    std::fs::write(folder.path().join("log.state"), state).expect("written");
    let keeper = Keeper::find(folder.path()).expect("readable").expect("a key");
    (folder, keeper)
}

#[test]
fn a_log_written_anew_is_told_by_what_was_kept_and_by_its_key() {
    for database in databases() {
        let scene = Scene::play(database);
        let last = scene.checkpoints().pop().expect("signed");
        let (_, note) = scene.log.read(store::last_checkpoint).expect("readable").expect("signed");
        let Scene { database, keys, log, .. } = scene;
        drop(log);
        for (number, edit) in (1..).zip(EDITS) {
            let copy = Copy::of(&database, number);
            copy.ruin(Books, edit);
            assert!(!copy.of_log(&evidence(&keys)).is_empty(), "{edit}: nothing was done");
            // Whoever has the key can forget what it signed: then only who kept a checkpoint can tell.
            let (folder, keeper) = forgetful(&keys, &last.origin);
            copy.write_anew(keeper);
            assert_eq!(copy.of_log(&evidence(folder.path())), [], "{}, {edit}: nothing in it shows it", database.kind);
            assert_eq!(copy.of_log(&evidence(&keys)), [Law::Kept], "{}, {edit}: what the signer remembers", database.kind);
            let kept = vec![("a donor".to_owned(), last.clone())];
            assert_eq!(copy.of_log(&Evidence { kept, ..evidence(folder.path()) }), [Law::Kept], "{}, {edit}", database.kind);
            // Who has it not can only leave what was signed.
            copy.ruin(InLog, &format!("UPDATE log_checkpoints SET size = {}, note = '{note}'", last.size));
            assert!(copy.of_log(&evidence(folder.path())).contains(&Law::Checkpoints), "{}, {edit}: without the key", database.kind);
            // Or sign it with another.
            let another = tempfile::tempdir().expect("a folder");
            copy.write_anew(Keeper::create(another.path(), Some(&last.origin)).expect("a key"));
            let known = Evidence { signer: None, ..evidence(&keys) };
            assert_eq!(copy.of_log(&known), [Law::Checkpoints], "{}, {edit}: another key", database.kind);
        }
    }
}
