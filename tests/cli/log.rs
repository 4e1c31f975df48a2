//! What `almoner doctor` says of the log: its key and signer, how far it is, its witnesses, and what to do.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Desk;
use crate::books::fill;
use crate::support::database::{TestDatabase, databases};
use crate::support::server::Server;
use crate::support::witness::Running;

/// What the doctor says of one thing: the verdict and the detail of each finding, with what to do.
struct Said(Value, Option<i32>);

impl Said {
    fn by(desk: &Desk<'_>, more: &[&str]) -> Said {
        let (found, code) = desk.json(&[&["doctor"], more].concat());
        Said(found, code)
    }

    /// That one finding about this has that verdict and these words, and says what to do unless all is well.
    #[track_caller]
    fn has(&self, check: &str, verdict: &str, words: &str) {
        let all: Vec<&Value> = self.0.as_array().expect("findings").iter().filter(|one| one["check"] == check).collect();
        let fits = |one: &&&Value| one["verdict"] == verdict && one["detail"].as_str().is_some_and(|detail| detail.contains(words));
        let found = all.iter().find(fits).unwrap_or_else(|| panic!("{check} {verdict} {words}: {all:#?}"));
        assert_eq!(found["remedy"] == "", verdict == "OK", "{found}");
    }

    #[track_caller]
    fn ends(self, code: i32) {
        assert_eq!(self.1, Some(code), "{:#}", self.0);
    }
}

/// Serves until the log is shown with a witness's cosignature.
fn cosigned(database: &TestDatabase, data: &Path, policy: &str) {
    let server = Server::start_with(database, data, |command| command.args(["--log-every", "1", "--log-policy", policy]));
    let begun = Instant::now();
    while !server.get("/v1/log/checkpoint", None, &[]).text.contains("witness.example/ours") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_doctor_looks_at_the_log() {
    for database in databases() {
        let desk = Desk::new(&database);
        desk.run(&["init"]).ok();
        desk.run(&["log", "integrate"]).ok();
        let vkey = desk.run(&["log", "vkey"]).ok().stdout.trim().to_owned();
        let begun = Said::by(&desk, &[]);
        begun.has("log key", "OK", &vkey);
        begun.has("log signer", "OK", "leaves of this log");
        begun.has("log", "OK", "every entry");
        begun.has("checkpoint", "OK", "signed 0 s ago");
        begun.ends(0);
        fill(&database);
        Said::by(&desk, &[]).has("log", "OK", "entries behind");
        desk.run(&["log", "integrate"]).ok();

        let witness = Running::start(&database.folder().join("witness"), &vkey, Some("witness.example/ours"));
        let policy = desk.file("policy", &format!("log {vkey}\nwitness ours {} {}\nquorum ours\n", witness.key.text(), witness.address));
        let policy = policy.to_str().expect("UTF-8");
        let unseen = Said::by(&desk, &["--log-policy", policy]);
        unseen.has("witness", "WARN", "answers; it cosigned 0 leaves last, not the newest");
        unseen.has("quorum", "WARN", "0 witnesses");
        unseen.ends(0);
        cosigned(&database, &desk.data, policy);
        let seen = Said::by(&desk, &["--log-policy", policy]);
        seen.has("witness", "OK", "witness.example/ours answers");
        seen.has("quorum", "OK", "1 witnesses");
        drop(witness);
        let gone = Said::by(&desk, &["--log-policy", policy]);
        gone.has("witness", "WARN", "does not answer");
        gone.has("quorum", "OK", "1 witnesses");
        let unread = Said::by(&desk, &["--log-policy", desk.file("unread", "witness\n").to_str().expect("UTF-8")]);
        unread.has("witness", "FAIL", "line 1");
        unread.ends(5);
    }
}

#[test]
fn the_doctor_finds_what_is_wrong_with_the_signer() {
    for database in databases() {
        let desk = Desk::new(&database);
        desk.run(&["init"]).ok();
        desk.run(&["log", "integrate"]).ok();
        let (key, state) = (desk.data.join("keys/log.key"), desk.data.join("keys/log.state"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let set = |mode| std::fs::set_permissions(&key, PermissionsExt::from_mode(mode)).expect("a mode");
            set(0o640);
            let open = Said::by(&desk, &[]);
            open.has("log key", "FAIL", "others than its owner");
            open.ends(5);
            set(0o600);
        }
        let signed = std::fs::read_to_string(&state).expect("a state");
        let lines: Vec<&str> = signed.lines().collect();
        let size: u64 = lines[1].parse().expect("a size");
        let root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        for (size, words) in [(size + 1000, "an older copy"), (size, "that are not these")] {
            std::fs::write(&state, format!("{}\n{size}\n{root}\n", lines[0])).expect("written");
            let other = Said::by(&desk, &[]);
            other.has("log signer", "FAIL", words);
            other.ends(4);
        }
        std::fs::remove_file(&state).expect("removed");
        let lost = Said::by(&desk, &[]);
        lost.has("log signer", "FAIL", "log.state");
        lost.ends(5);
        std::fs::write(&state, &signed).expect("written");
        let (away, kept) = (desk.data.join("away"), std::fs::read(&key).expect("a key"));
        std::fs::rename(&key, &away).expect("renamed");
        let elsewhere = Said::by(&desk, &[]);
        elsewhere.has("log key", "WARN", "it is not in");
        elsewhere.ends(0);
        std::fs::write(&key, [kept.as_slice(), b"more\n"].concat()).expect("written");
        let unread = Said::by(&desk, &[]);
        unread.has("log key", "FAIL", "log.key");
        unread.ends(5);
        assert_eq!(desk.run(&["verify"]).code, Some(5), "nor does anything else go on with it");
        let Some(books) = database.url.strip_prefix("sqlite:") else { continue };
        std::fs::write(&key, kept).expect("written");
        std::fs::remove_file(books.replace("almoner.db", "almoner-log.db")).expect("a file of its own");
        let gone = Said::by(&desk, &[]);
        gone.has("log", "FAIL", "leaves were signed");
        gone.ends(4);
        std::fs::remove_file(&key).expect("removed");
        let none = Said::by(&desk, &[]);
        none.has("log", "WARN", "none yet");
        none.ends(0);
    }
}
