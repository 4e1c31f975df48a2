//! The log that a server serves, from outside: `almoner monitor` follows it, `almoner witness --follow` cosigns it, and both say so when they
//! are shown another.

use std::path::Path;

use almoner::actor::Actor;
use almoner::directory;
use almoner::store::{Database, Store};
use almoner::time::Clock;
use almoner::tlog::{Checkpoint, Note};
use serde_json::Value;

use crate::scene::{Scene, signer};
use crate::support::database::databases;
use crate::support::server::Server;
use crate::support::{Run, program};

/// Runs the program with a data folder of its own.
fn run(args: &[&str], data: &Path) -> Run {
    Run::from(program().args(args).arg("--data").arg(data).output().expect("the program runs"))
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:?}"))
}

/// A checkpoint of that size and no root of the log's, signed with the log's own key.
pub fn forged(keys: &Path, size: u64) -> Note {
    let key = signer(keys);
    Checkpoint::new(key.name(), size, [7; 32]).expect("a checkpoint").sign(&[key]).expect("signed")
}

#[test]
fn a_served_log_is_followed_cosigned_and_held_to_what_was_seen() {
    for database in databases() {
        let mut scene = Scene::play(database);
        let folder = scene.database.folder().to_owned();
        let server = Server::start_with(&scene.database, &folder, |command| command.args(["--log-every", "0", "--sweep-every", "0"]));
        let vkey = scene.keeper().verifier().text();
        let (watching, witness) = (folder.join("watching"), folder.join("witness"));
        let monitor = |more: &[&str]| run(&[&["monitor", server.address.as_str(), "--json"], more].concat(), &watching);
        let follow = || run(&["witness", "--name", "witness.example/ours", "--vkey", &vkey, "--follow", &server.address], &witness);

        assert_eq!(monitor(&[]).code, Some(5), "whose log it is must be said once");
        let first = json(&monitor(&["--vkey", &vkey]).ok());
        let size = first["size"].as_u64().expect("a size");
        assert!(first["holds"] == true && first["new"] == size && first["charges"].as_u64() > Some(300), "{first}");
        assert_eq!(Some(&size), scene.signed.last());
        let cosigned = follow().ok();
        assert_eq!(cosigned.stdout.lines().filter(|line| line.starts_with("— ")).count(), 2, "{cosigned:?}");

        let store = Store::open(&Database::parse(&scene.database.url).expect("a URL"), Clock::system()).expect("books");
        store.write(|work| directory::person_for(work, &Actor::operator("somebody new"))).expect("written");
        scene.log_it();
        let later = json(&monitor(&[]).ok());
        assert_eq!((later["new"].as_u64(), later["size"].as_u64()), (Some(2), Some(size + 2)), "an entry and a seal: {later}");
        follow().ok();

        // What the donor's own statement was proved against is of the same log; what the log's key signed elsewhere is not.
        let kept = folder.join("kept.checkpoint");
        std::fs::write(&kept, cosigned.stdout).expect("written");
        let kept = kept.to_str().expect("a path");
        monitor(&["--checkpoint", kept]).ok();
        std::fs::write(kept, forged(&scene.keys, size).signed()).expect("written");
        let found = monitor(&["--checkpoint", kept]);
        assert_eq!((found.code, &json(&found)["reason"]), (Some(4), &Value::from("fork")), "{found:?}");
        assert!(found.stderr.contains("THE LOG DOES NOT HOLD: fork"), "{found:?}");
        let evidence = std::fs::read_dir(watching.join("monitor"))
            .expect("a folder")
            .flat_map(|of| std::fs::read_dir(of.expect("one").path()).expect("a folder"));
        let evidence = evidence.filter(|file| file.as_ref().expect("a file").file_name().to_string_lossy().starts_with("evidence-"));
        assert_eq!(evidence.count(), 2);
    }
}
