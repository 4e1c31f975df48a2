//! A log whose checkpoints go to witnesses: real ones, one that is gone for a while, one that never answers; and what they say to a log that was
//! begun anew from an older copy.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use almoner::actor::Actor;
use almoner::directory;
use almoner::store::{Database, Store};
use almoner::time::Clock;
use almoner::tlog::note::Kind;
use almoner::tlog::{Checkpoint, Note, Signer};
use serde_json::{Value, json};

use crate::scene::Scene;
use crate::support::database::{TestDatabase, databases, postgres, sqlite};
use crate::support::log::logged;
use crate::support::server::Server;
use crate::support::witness::Running;
use crate::support::{Run, program};

/// How long a cosignature may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command on these books.
fn on(database: &TestDatabase, data: &Path, args: &[&str]) -> Command {
    let mut command = program();
    command.args(args).arg("--data").arg(data).args(["--database", &database.url]);
    command
}

fn run(mut command: Command) -> Run {
    Run::from(command.output().expect("it runs"))
}

fn serve(database: &TestDatabase, data: &Path, policy: &Path) -> Server {
    Server::start_with(database, data, |command| command.args(["--log-every", "1", "--audit-every", "0", "--log-policy"]).arg(policy))
}

/// The checkpoint as everybody sees it.
fn shown(server: &Server) -> (Checkpoint, Note) {
    let note = Note::parse(&server.get("/v1/log/checkpoint", None, &[]).expect(200).text).expect("a note");
    (Checkpoint::parse(note.text()).expect("a checkpoint"), note)
}

/// Waits until the checkpoint of all that the books have now is shown, with the cosignatures of exactly these; its size.
fn until(server: &Server, database: &TestDatabase, witnesses: &[&Running]) -> u64 {
    let (begun, least) = (Instant::now(), logged(database));
    loop {
        let (checkpoint, note) = shown(server);
        let keys: Vec<_> = witnesses.iter().map(|witness| witness.key.clone()).collect();
        let found = note.verify(&keys).expect("cosignatures that hold").len();
        let others = note.signatures().iter().filter(|one| one.name.starts_with("witness.")).count();
        if checkpoint.size >= least && (found, others) == (keys.len(), keys.len()) {
            return checkpoint.size;
        }
        assert!(begun.elapsed() < PATIENCE, "{least}: {note:?}\n{}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Something new in the books.
fn write(database: &TestDatabase, name: &str) {
    let store = Store::open(&Database::parse(&database.url).expect("a URL"), Clock::system()).expect("books");
    let actor = Actor::operator(name);
    store.write(move |work| directory::person_for(work, &actor)).expect("written");
}

struct Files {
    folder: PathBuf,
    policies: [PathBuf; 2],
}

impl Files {
    /// The policies of two witnesses and one that is of no account: any of the two, and all of them.
    fn write(folder: &Path, log: &str, known: [&Running; 2], silent: &str) -> Files {
        let lost = Signer::generate("lost.example", Kind::Cosignature).expect("a key").verifier().text();
        let policy = |rule: &str| {
            let lines: String =
                known.iter().zip(["one", "two"]).map(|(w, name)| format!("witness {name} {} {}\n", w.key.text(), w.address)).collect();
            let path = folder.join(format!("{rule}.policy"));
            let text = format!("log {log}\n{lines}witness lost {lost} {silent}\ngroup ours {rule} one two\nquorum ours\n");
            std::fs::write(&path, text).expect("a file");
            path
        };
        Files { policies: [policy("any"), policy("all")], folder: folder.into() }
    }

    /// What `almoner verify` says of a donor's newest bundle by either policy: by whom it was seen, or why it is refused.
    fn bundle(&self, server: &Server, token: &str, donor: &str) -> [Result<Value, Value>; 2] {
        let bundle = self.folder.join("bundle.json");
        let text = server.get(&format!("/v1/donors/{donor}/proof"), Some(token), &[]).expect(200).text;
        std::fs::write(&bundle, text).expect("a file");
        self.policies.each_ref().map(|policy| {
            let kept = tempfile::tempdir().expect("a folder");
            let mut command = program();
            command
                .args(["verify", "--json", "--bundle"])
                .arg(&bundle)
                .arg("--policy")
                .arg(policy)
                .arg("--kept")
                .arg(kept.path().join("kept"));
            let run = run(command);
            let said: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:?}"));
            match run.code {
                Some(0) => Ok(said["witnesses"].clone()),
                code => Err(json!([code, said["reason"]])),
            }
        })
    }
}

#[test]
fn witnesses_cosign_as_they_come_and_none_holds_the_log_up() {
    for database in databases() {
        let scene = Scene::play(database);
        let (database, data) = (&scene.database, scene.database.folder());
        let vkey = scene.keeper().verifier().text();
        let folders = ["one", "two"].map(|name| data.join(name));
        let first = Running::start(&folders[0], &vkey, Some("witness.one"));
        let second = Running::start(&folders[1], &vkey, Some("witness.two"));
        // It takes connections, and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let silent = format!("http://{}", silent.local_addr().expect("an address"));
        let files = Files::write(data, &vkey, [&first, &second], &silent);
        almoner::http::keys::Keys::create_local(&scene.keys.join("local.pk8")).expect("a key");
        let donor = scene.donors[0].to_string();
        let token = run(on(database, data, &["token", "--role", "donor", "--as", "d", "--donor", &donor])).ok().stdout.trim().to_owned();

        let server = serve(database, data, &files.policies[0]);
        until(&server, database, &[&first, &second]);
        let policy = std::fs::read_to_string(&files.policies[0]).expect("a policy");
        assert_eq!(server.get("/v1/log/policy", None, &[]).expect(200).text, policy);
        let both = json!(["witness.one", "witness.two"]);
        assert_eq!(files.bundle(&server, &token, &donor), [Ok(both.clone()), Ok(both.clone())], "{}", database.kind);

        let (key, address) = (second.key.clone(), second.address.clone());
        drop(second);
        write(database, "while it is gone");
        let later = until(&server, database, &[&first]);
        let refused = Err(json!([4, "quorum"]));
        assert_eq!(files.bundle(&server, &token, &donor), [Ok(json!(["witness.one"])), refused], "{}", database.kind);

        for (policy, code) in files.policies.iter().zip([Some(0), Some(4)]) {
            let mut command = program();
            command.args(["verify", &server.address, "--json", "--policy"]).arg(policy).arg("--kept").arg(data.join("outside.json"));
            let outside = run(command);
            assert_eq!((outside.code, outside.stdout.contains("quorum")), (code, code == Some(4)), "{outside:?}");
        }

        let second = Running::start_at(address.trim_start_matches("http://"), &folders[1], &vkey, None);
        assert_eq!((&second.key, &second.address), (&key, &address));
        assert_eq!(until(&server, database, &[&first, &second]), later, "the same checkpoint, cosigned later");
        assert_eq!(files.bundle(&server, &token, &donor), [Ok(both.clone()), Ok(both)], "{}", database.kind);
        let audit = run(on(database, data, &["verify"]));
        assert_eq!(audit.code, Some(0), "{audit:?}");
        drop(server);
        // One that comes back has its cosignatures, and goes on.
        let server = serve(database, data, &files.policies[1]);
        assert_eq!(shown(&server).1.signatures().len(), 4, "two keys of the log's, two of witnesses");
        write(database, "after all");
        assert!(until(&server, database, &[&first, &second]) > later);
    }
}

#[test]
fn a_log_that_was_begun_anew_from_an_older_copy_is_cosigned_by_nobody() {
    for database in databases() {
        let scene = Scene::play(database);
        let (database, data) = (&scene.database, scene.database.folder());
        let vkey = scene.keeper().verifier().text();
        let [first, second] = ["one", "two"].map(|name| Running::start(&data.join(name), &vkey, Some(&format!("witness.{name}"))));
        let files = Files::write(data, &vkey, [&first, &second], "http://127.0.0.1:9");
        let server = serve(database, data, &files.policies[0]);
        until(&server, database, &[&first, &second]);
        // What must never be put back: what the signer remembers, as it was when the books were copied.
        let (copy, state) = (data.join("copy.almoner"), std::fs::read(scene.keys.join("log.state")).expect("a state"));
        run(on(database, data, &["backup", "-o", copy.to_str().expect("UTF-8")])).ok();
        write(database, "seen by all");
        let seen = until(&server, database, &[&first, &second]);
        drop(server);

        let other = if database.kind == "SQLite" { sqlite() } else { postgres().expect("a server") };
        let anew = other.folder().join("data");
        run(on(&other, &anew, &["restore", copy.to_str().expect("UTF-8")])).ok();
        std::fs::copy(scene.keys.join("log.key"), anew.join("keys/log.key")).expect("copied");
        std::fs::write(anew.join("keys/log.state"), state).expect("written");
        for name in ["another story", "that goes on", "and on"] {
            write(&other, name);
        }
        let server = serve(&other, &anew, &files.policies[0]);
        let begun = Instant::now();
        let told = |witness: &str| server.log().lines().any(|line| line.contains("SAW ANOTHER LOG") && line.contains(witness));
        while !(told("witness.one") && told("witness.two") && shown(&server).0.size > seen) {
            assert!(begun.elapsed() < PATIENCE, "{}: {}", database.kind, server.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(shown(&server).1.signatures().iter().all(|one| !one.name.starts_with("witness.")), "unwitnessed");
        for witness in [&first, &second] {
            let last = Note::parse(&witness.last(scene.keeper().origin()).expect(200).text).expect("a note");
            assert_eq!(Checkpoint::parse(last.text()).map(|last| last.size), Ok(seen));
        }
    }
}
