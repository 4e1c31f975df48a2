//! A service verified from outside: by who has the log's key its whole log, by a donor with a token a statement too, and each time held to what
//! was kept of the last.

use std::path::PathBuf;

use almoner::http::keys::Keys;
use almoner::id::DonorId;
use almoner::store::{Conn, Database, Store};
use almoner::time::Clock;
use almoner::{actor::Actor, directory};
use serde_json::{Value, json};

use crate::ruin::{cut_back, ruin};
use crate::scene::Scene;
use crate::served::forged;
use crate::support::database::databases;
use crate::support::server::Server;
use crate::support::{Run, program};

/// A service, and somebody who looks at it from outside.
struct Desk {
    scene: Scene,
    server: Server,
    vkey: String,
    kept: PathBuf,
}

impl Desk {
    fn open(scene: Scene) -> Desk {
        Keys::create_local(&scene.keys.join("local.pk8")).expect("a key");
        let server = Server::start_with(&scene.database, scene.database.folder(), |command| {
            command.args(["--log-every", "0", "--sweep-every", "0"])
        });
        let (vkey, kept) = (scene.keeper().verifier().text(), scene.database.folder().join("kept.json"));
        Desk { server, vkey, kept, scene }
    }

    /// A token of that role.
    fn token(&self, args: &[&str]) -> String {
        let mut command = program();
        command.args(["token", "--as", "somebody", "--data"]).arg(self.scene.database.folder());
        command.args(["--database", &self.scene.database.url]).args(args);
        Run::from(command.output().expect("it runs")).ok().stdout.trim().to_owned()
    }

    fn donor(&self, donor: DonorId) -> String {
        self.token(&["--role", "donor", "--donor", &donor.to_string()])
    }

    fn verify(&self, token: &str, more: &[&str]) -> Run {
        let mut command = program();
        command.args(["verify", &self.server.address, "--json", "--kept"]).arg(&self.kept).args(more).env("ALMONER_TOKEN", token);
        Run::from(command.output().expect("it runs"))
    }

    /// What holds.
    #[track_caller]
    fn holds(&self, token: &str, more: &[&str]) -> Value {
        read(&self.verify(token, more).ok())
    }

    /// That it does not, for this reason.
    #[track_caller]
    fn broken(&self, token: &str, reason: &str, what: &str) {
        let found = self.verify(token, &[]);
        assert_eq!((found.code, &read(&found)["reason"]), (Some(4), &json!(reason)), "{}: {found:?}", self.scene.database.kind);
        assert!(found.stderr.contains(&format!("THE {what} DOES NOT HOLD: {reason}")), "{found:?}");
    }

    fn log(&self) -> Conn {
        Database::parse(&self.scene.database.url).expect("a URL").beside("log").connect().expect("the log")
    }

    /// Changes a column of the log's rows, looks, and puts back what was there.
    fn changed(&self, table: &str, column: &str, which: &str, to: &str, look: impl FnOnce(&Desk)) {
        let mut log = self.log();
        log.batch(&format!("CREATE TABLE saved AS SELECT {column} AS was FROM {table} WHERE {which}")).expect("saved");
        ruin(&mut log, &format!("UPDATE {table} SET {column} = {to} WHERE {which}"));
        look(self);
        ruin(&mut log, &format!("UPDATE {table} SET {column} = (SELECT was FROM saved) WHERE {which}"));
        log.batch("DROP TABLE saved").expect("dropped");
    }

    /// Something new, logged.
    fn grow(&mut self, name: &str) {
        let store = Store::open(&Database::parse(&self.scene.database.url).expect("a URL"), Clock::system()).expect("books");
        let actor = Actor::operator(name);
        store.write(move |work| directory::person_for(work, &actor)).expect("written");
        self.scene.log_it();
    }
}

fn read(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:?}"))
}

#[test]
fn a_service_is_verified_from_outside_and_held_to_the_last_look() {
    for database in databases() {
        let mut desk = Desk::open(Scene::play(database));
        let unknown = desk.verify("", &[]);
        assert!(unknown.code == Some(2) && unknown.stderr.contains("--vkey"), "whose log it is must be said once: {unknown:?}");
        let vkey = desk.vkey.clone();
        let first = desk.holds("", &["--vkey", &vkey]);
        assert_eq!((first["size"].as_u64(), &first["statement"]), (desk.scene.signed.last().copied(), &Value::Null), "{first}");
        assert!(first["charges"].as_u64() > Some(300), "{first}");

        let donor = desk.scene.donors[0];
        let (token, auditor) = (desk.donor(donor), desk.token(&["--role", "auditor"]));
        let told = desk.holds(&token, &[]);
        let statement = &told["statement"];
        assert_eq!((&statement["size"], statement["lots"].as_array().map(Vec::len)), (&first["size"], Some(1)), "{told}");
        let lines = statement["lines"].as_u64().expect("lines");
        assert!(lines > 100, "{told}");
        desk.grow("somebody new");
        // A look at the log alone does not put the statement on: its next goes on from the last.
        assert_eq!(desk.holds("", &[])["size"].as_u64(), first["size"].as_u64().map(|size| size + 2));
        let later = desk.holds(&token, &[]);
        assert_eq!((&later["statement"]["lines"], &later["size"]), (&json!(0), &later["statement"]["size"]), "{later}");

        let whose = desk.verify(&auditor, &[]);
        assert!(whose.code == Some(2) && whose.stderr.contains("--donor"), "{whose:?}");
        let no_token = desk.verify("", &["--donor", &donor.to_string()]);
        assert!(no_token.code == Some(2) && no_token.stderr.contains("ALMONER_TOKEN"), "{no_token:?}");
        assert_eq!(desk.holds(&auditor, &["--donor", &donor.to_string()])["statement"]["lines"], 0);
        let other = desk.verify(&token, &["--donor", &desk.scene.donors[1].to_string()]);
        assert!(other.code == Some(1) && other.stderr.contains("404"), "{other:?}");
        let nobody = desk.verify("nobody's", &[]);
        assert!(nobody.code == Some(1) && nobody.stderr.contains("401") && !nobody.stderr.contains("nobody's"), "{nobody:?}");
        // From its first line on, for who keeps nothing.
        desk.kept = desk.scene.database.folder().join("another.json");
        let vkey = desk.vkey.clone();
        assert_eq!(desk.holds(&token, &["--vkey", &vkey])["statement"]["lines"], lines);
    }
}

#[test]
fn a_service_that_was_tampered_with_is_refused_by_its_reason() {
    for database in databases() {
        let mut desk = Desk::open(Scene::play(database));
        let token = desk.donor(desk.scene.donors[3]);
        let vkey = desk.vkey.clone();
        desk.holds(&token, &["--vkey", &vkey]);
        desk.grow("somebody new");
        let other_leaf = "(SELECT leaf FROM (SELECT leaf FROM log_leaves WHERE idx = 1) AS other)";
        desk.changed("log_leaves", "leaf", "idx = 2", other_leaf, |desk| desk.broken(&token, "inclusion", "LOG"));
        let nothing = match desk.log() {
            Conn::Sqlite(_) => "zeroblob(8192)",
            Conn::Postgres(_) => "decode(repeat('00', 8192), 'hex')",
        };
        desk.changed("log_tiles", "hashes", "level = 0 AND idx = 0", nothing, |desk| desk.broken("", "inclusion", "LOG"));
        // The log is as it was, and what the donor is told is not of it.
        let lot = desk.scene.lots[3].stamp();
        desk.kept = desk.scene.database.folder().join("another.json");
        desk.changed("log_lines", "disclosure", &format!("lot = {lot} AND n = 1"), "'WyJhIl0'", |desk| {
            desk.holds("", &["--vkey", &vkey]);
            desk.broken(&token, "non-canonical", "STATEMENT");
        });
        desk.holds(&token, &[]);

        let kept = desk.scene.database.folder().join("kept.checkpoint");
        std::fs::write(&kept, forged(&desk.scene.keys, desk.scene.signed[2]).signed()).expect("written");
        let found = desk.verify(&token, &["--checkpoint", kept.to_str().expect("a path")]);
        assert_eq!((found.code, &read(&found)["reason"]), (Some(4), &json!("fork")), "{found:?}");

        let before = desk.scene.signed[desk.scene.signed.len() - 2];
        cut_back(&mut desk.log(), before);
        desk.broken(&token, "rollback", "LOG");
        desk.broken("", "rollback", "LOG");
        // Who kept nothing can't tell.
        desk.kept = desk.scene.database.folder().join("new.json");
        assert_eq!(desk.holds("", &["--vkey", &vkey])["size"], before);
    }
}
