//! Backups: taken while a load goes on, read into either database, killed in the middle, and never in the place of anything.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};

use almoner::grants::Overdraft;
use serde_json::{Value, json};

use crate::desk::{Desk, millis};
use crate::support::database::{TestDatabase, databases, postgres, sqlite};
use crate::support::server::Server;
use crate::support::{Run, program};

/// Charges so many records of one GPU-hour.
fn charge(desk: &Desk<'_>, server: &Server, prefix: &str, records: usize) {
    let all: Vec<Value> = (0..records).map(|n| desk.record(&format!("{prefix}-{n}"), 1)).collect();
    for some in all.chunks(5000) {
        let answer = server.post("/v1/usage/batch", Some(&desk.provider), &[("prefer", "return=minimal")], &json!({"records": some}));
        assert_eq!(answer.expect(207).json["summary"]["charged"], json!(some.len()));
    }
}

fn backup(desk: &Desk<'_>, file: &Path, more: &[&str]) -> Run {
    let output = file.to_str().expect("UTF-8");
    Run::from(desk.command(&[&["backup", "--json", "-o", output], more].concat()).output().expect("the program starts"))
}

fn said(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:#?}"))
}

/// A command on other books.
fn on(data: &Path, url: &str, args: &[&str]) -> Command {
    let mut command = program();
    command.args(args).arg("--data").arg(data).args(["--database", url]);
    command
}

fn run(mut command: Command) -> Run {
    Run::from(command.output().expect("the program starts"))
}

/// Restores a backup and looks at what is there; the digest that was told.
fn restored(file: &Path, to: &TestDatabase) -> (PathBuf, String) {
    let data = to.folder().join("restored");
    let done = run(on(&data, &to.url, &["restore", file.to_str().expect("UTF-8")])).ok();
    run(on(&data, &to.url, &["verify"])).ok();
    let digest = done.stderr.lines().find_map(|line| line.strip_prefix("SHA-256 of the rows: ")).expect("a digest").to_owned();
    (data, digest)
}

/// Names of what lies in a folder.
fn listed(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn books_move_between_databases_by_a_backup() {
    for database in databases() {
        let desk = Desk::open(&database, 1_000_000, Overdraft::Record);
        let server = desk.serve_with(&["--audit-every", "0", "--log-every", "0"]);
        charge(&desk, &server, "job", 3000);
        Run::from(desk.command(&["log", "integrate"]).output().expect("the program starts")).ok();
        let checkpoint = Run::from(desk.command(&["log", "checkpoint"]).output().expect("the program starts")).ok().stdout;
        let (first, second) = (database.folder().join("first.almoner"), database.folder().join("second.almoner"));
        let done = backup(&desk, &first, &[]).ok();
        assert!(done.stderr.contains("(--with-keys)") && done.stderr.contains("hold"), "{done:#?}");
        let told = said(&done);
        assert_eq!((&told["holds"], &told["keys"], told["rows"].as_u64() > Some(9000)), (&json!(true), &json!(0), true), "{told}");
        // It is a file of books like any other, and the only one.
        run(on(&database.folder().join("data"), &format!("sqlite:{}", first.display()), &["verify"])).ok();
        let beside = |name: &String| name.contains("partial") || (name.starts_with("first") && name != "first.almoner");
        assert!(!listed(database.folder()).iter().any(beside), "{:?}", listed(database.folder()));
        let again = backup(&desk, &first, &[]);
        assert!(again.code == Some(1) && again.stderr.contains("nothing is ever overwritten"), "{again:#?}");
        let with_keys = said(&backup(&desk, &second, &["--with-keys"]).ok());
        assert_eq!((&with_keys["sha256"], &with_keys["keys"]), (&told["sha256"], &json!(1)), "nothing was written meanwhile");
        drop(server);
        for to in [Some(sqlite()), postgres()].into_iter().flatten() {
            let (_, digest) = restored(&first, &to);
            assert_eq!(told["sha256"], json!(digest), "{} to {}", database.kind, to.kind);
            // The log is what it was, and nobody but its signer goes on with it.
            let again = run(on(&to.folder().join("restored"), &to.url, &["log", "checkpoint"])).ok().stdout;
            assert_eq!(again, checkpoint, "{} to {}", database.kind, to.kind);
            let over = run(on(&to.folder().join("restored"), &to.url, &["restore", first.to_str().expect("UTF-8")]));
            assert!(over.code == Some(1) && over.stderr.contains("nothing is ever overwritten"), "{over:#?}");
        }
        for to in [Some(sqlite()), postgres()].into_iter().flatten() {
            let (data, _) = restored(&second, &to);
            // With the keys, the tokens of before are good, and the books go on.
            let server = Server::start_with(&to, &data, |command| command.args(["--log", "warn"]));
            desk.use_hours(&server, "job-1", 1).expect(200);
            desk.use_hours(&server, "after", 1).expect(201);
            drop(server);
            run(on(&data, &to.url, &["verify"])).ok();
        }
    }
}

#[test]
fn what_is_no_backup_or_was_changed_is_not_restored() {
    let database = sqlite();
    let desk = Desk::open(&database, 100, Overdraft::Record);
    let to = sqlite();
    let restore = |file: &Path| run(on(&to.folder().join("restored"), &to.url, &["restore", file.to_str().expect("UTF-8")]));
    let text = database.folder().join("text");
    std::fs::write(&text, "no backup").expect("a file");
    let books = PathBuf::from(database.url.trim_start_matches("sqlite:"));
    for (file, word) in [(text, "is no backup"), (books, "does not say so"), (database.folder().join("none"), "no such file")] {
        let refused = restore(&file);
        assert!(refused.code == Some(1) && refused.stderr.contains(word), "{refused:#?}");
    }
    let file = database.folder().join("changed.almoner");
    backup(&desk, &file, &[]).ok();
    let mut inside = almoner::store::Database::Sqlite(file.clone()).connect().expect("the file");
    inside
        .batch("DROP TRIGGER lots_refuses_update; UPDATE lots SET expires_at = delivered_at + 1; PRAGMA journal_mode=DELETE")
        .expect("a change");
    drop(inside);
    let refused = restore(&file);
    assert!(refused.code == Some(1) && refused.stderr.contains("do not hold") && refused.stderr.contains("expires_at"), "{refused:#?}");
    assert!(!Path::new(to.url.trim_start_matches("sqlite:")).exists(), "nothing is left of it");
    run(on(&to.folder().join("restored"), &to.url, &["restore", "--broken", file.to_str().expect("UTF-8")])).ok();
}

/// Backups beside a load: each is of one moment, and all laws hold in it.
#[test]
fn backups_beside_a_load_are_whole() {
    for database in databases() {
        let desk = Desk::open(&database, 1_000_000_000, Overdraft::Reject);
        let server = desk.serve_with(&["--audit-every", "0"]);
        let over = AtomicBool::new(false);
        let rows = scope(|threads| {
            for client in 0..3 {
                let (desk, server, over) = (&desk, &server, &over);
                threads.spawn(move || {
                    (0..).take_while(|_| !over.load(Ordering::Relaxed)).for_each(|n| charge(desk, server, &format!("c{client}-{n}"), 300));
                });
            }
            let rows: Vec<u64> = (0..4)
                .map(|n| {
                    let told = said(&backup(&desk, &database.folder().join(format!("{n}.almoner")), &[]).ok());
                    assert_eq!(told["holds"], json!(true), "{told}");
                    told["rows"].as_u64().expect("a number")
                })
                .collect();
            over.store(true, Ordering::Relaxed);
            rows
        });
        assert!(rows.is_sorted() && rows[0] < rows[3], "{}: the load went on: {rows:?}", database.kind);
        desk.verify().ok();
        let to = sqlite();
        restored(&database.folder().join("3.almoner"), &to);
    }
}

/// Starts a command and kills it after so long; whether it was still at work.
fn killed(mut command: Command, after: u64) -> bool {
    let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("the program starts");
    sleep(millis(after));
    let at_work = child.try_wait().expect("a child of ours").is_none();
    let _ = child.kill();
    child.wait().expect("its end");
    at_work
}

#[test]
fn a_kill_leaves_no_half_backup_and_no_half_books() {
    for database in databases() {
        let desk = Desk::open(&database, 1_000_000, Overdraft::Record);
        let server = desk.serve_with(&["--audit-every", "0"]);
        charge(&desk, &server, "job", 20_000);
        let (file, mut hit) = (database.folder().join("killed.almoner"), 0);
        for after in [5, 20, 60, 150, 300] {
            let output = file.to_str().expect("UTF-8");
            if killed(desk.command(&["backup", "-o", output]), after) {
                hit += 1;
                assert!(!file.exists(), "{}: half a backup after {after} ms", database.kind);
            } else {
                std::fs::remove_file(&file).expect("a whole one");
            }
        }
        assert!(hit >= 2, "{}: {hit} kills hit", database.kind);
        let told = said(&backup(&desk, &file, &[]).ok());
        drop(server);
        desk.verify().ok();
        for to in [Some(sqlite()), postgres()].into_iter().flatten() {
            let data = to.folder().join("restored");
            let restore = || on(&data, &to.url, &["restore", file.to_str().expect("UTF-8")]);
            let hits = [10, 60, 200].into_iter().filter(|after| killed(restore(), *after)).count();
            assert!(hits >= 2, "{}: {hits} kills hit", to.kind);
            let (_, digest) = restored(&file, &to);
            assert_eq!(told["sha256"], json!(digest), "{}: it is made anew", to.kind);
        }
    }
}
