//! The service verifies its own books: what it finds, that every process stops writing then, and who lets it go on.

use std::time::Instant;

use almoner::grants::Overdraft;
use almoner::store::{Conn, Database};
use serde_json::{Value, json};

use crate::desk::{Desk, millis};
use crate::support::Run;
use crate::support::database::databases;
use crate::support::log::logged;
use crate::support::server::Server;

/// Asks until an audit says so.
fn until(server: &Server, token: &str, said: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let audit = server.get("/v1/audit", Some(token), &[]).expect(200).json;
        if said(&audit) {
            return audit;
        }
        assert!(begun.elapsed() < millis(60_000), "{audit:#}");
        std::thread::sleep(millis(50));
    }
}

/// Changes a table past the program, which a superuser can.
fn change(mut conn: Conn, table: &str, how: &str) {
    let change = format!("UPDATE {table} SET {how}");
    let sql = match conn {
        Conn::Sqlite(_) => {
            let trigger =
                format!("{table}_refuses_update BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END");
            format!("DROP TRIGGER {table}_refuses_update; {change}; CREATE TRIGGER {trigger}")
        }
        Conn::Postgres(_) => format!("SET session_replication_role = replica; {change}; SET session_replication_role = origin"),
    };
    conn.batch(&sql).expect("a change that nothing refuses");
}

/// Changes when lots expire.
fn expires(desk: &Desk<'_>, at: &str) {
    change(desk.connect(), "lots", &format!("expires_at = {at}"));
}

fn auditor(desk: &Desk<'_>) -> String {
    let token = desk.command(&["token", "--role", "auditor", "--as", "reader"]).output().expect("the program starts");
    Run::from(token).ok().stdout.trim().to_owned()
}

#[test]
fn a_broken_law_stops_the_writing_of_every_process_until_the_books_hold() {
    for database in databases() {
        let desk = Desk::open(&database, 1_000_000, Overdraft::Record);
        let (here, there) = (desk.serve_with(&["--audit-every", "1"]), desk.serve_with(&["--audit-every", "0"]));
        let auditor = auditor(&desk);
        let auditor = auditor.as_str();
        desk.use_hours(&here, "before", 1).expect(201);
        let first = until(&there, auditor, |audit| audit["entries"].as_u64() > Some(10));
        assert_eq!((&first["holds"], &first["read_only"], &first["stopped_because"]), (&json!(true), &json!(false), &Value::Null));
        let laws = first["laws"].as_array().expect("laws");
        assert!(laws.iter().all(|law| law["ran_at"].is_string() && law["broken"] == 0), "{first:#}");
        let later = until(&there, auditor, |audit| audit["ran_at"] != first["ran_at"]);
        assert_eq!(later["holds"], true);

        expires(&desk, "delivered_at + 1");
        let found = until(&there, auditor, |audit| audit["read_only"] == true);
        assert!(found["stopped_because"].as_str().is_some_and(|why| why.contains("law") && why.contains("almoner verify")), "{found:#}");
        assert!(found.to_string().contains("expires_at is"), "{found:#}");
        for (number, server) in [&here, &there].into_iter().enumerate() {
            let refused = desk.use_hours(server, &format!("stopped-{number}"), 1).expect(503);
            assert_eq!(refused.json["code"], "read_only", "{}", refused.text);
            assert!(refused.json["detail"].as_str().is_some_and(|why| why.contains("law")), "{}", refused.text);
            // Reads go on, those that are recorded too, and so does the list of what was read.
            server.get(&format!("/v1/grants/{}/balance", desk.grant), Some(auditor), &[]).expect(200);
            server.get("/v1/usage?limit=1", Some(auditor), &[]).expect(200);
        }
        assert!(here.get("/v1/readings", Some(auditor), &[]).expect(200).json["data"].as_array().is_some_and(|rows| rows.len() >= 2));
        assert!(there.get("/metrics", None, &[]).text.contains("almoner_read_only 1"));
        let doctor = Run::from(desk.command(&["doctor"]).output().expect("the program starts"));
        assert!(doctor.code == Some(4) && doctor.stdout.contains("it is stopped"), "{doctor:#?}");
        let still = desk.verify();
        assert!(still.code == Some(4) && still.stderr.contains("It stays so until all laws hold"), "{still:#?}");
        desk.use_hours(&there, "stopped-2", 1).expect(503);

        expires(&desk, "NULL");
        std::thread::sleep(millis(2500));
        desk.use_hours(&there, "stopped-3", 1).expect(503);
        let clean = desk.verify().ok();
        assert!(clean.stderr.contains("It goes on now"), "{clean:#?}");
        for (number, server) in [&here, &there].into_iter().enumerate() {
            desk.use_hours(server, &format!("after-{number}"), 1).expect(201);
        }
        let after = until(&here, auditor, |audit| audit["read_only"] == false && audit["ran_at"] != found["ran_at"]);
        assert_eq!(after["holds"], true);
        assert!(!desk.verify().ok().stderr.contains("goes on"), "there is nothing to let go on");
    }
}

#[test]
fn a_broken_law_of_the_log_stops_the_writing_too() {
    for database in databases() {
        let desk = Desk::open(&database, 1_000_000, Overdraft::Record);
        let server = desk.serve_with(&["--audit-every", "1", "--log-every", "1"]);
        let auditor = auditor(&desk);
        desk.use_hours(&server, "before", 1).expect(201);
        let checked = |audit: &Value, law: u64| {
            let laws = audit["laws"].as_array().expect("laws");
            laws.iter().find(|one| one["number"] == law).and_then(|law| law["checked"].as_u64())
        };
        logged(&database);
        let first = until(&server, &auditor, |audit| checked(audit, 12) > Some(10) && checked(audit, 16) > Some(0));
        let now = server.get("/v1/audit?now=true", Some(&auditor), &[]).expect(200).json;
        for audit in [&first, &now] {
            assert_eq!((&audit["holds"], audit["laws"].as_array().map(Vec::len)), (&json!(true), Some(16)), "{audit:#}");
            assert!(checked(audit, 16) > Some(0), "what the signer signed last is known to the service: {audit:#}");
        }

        let log = || Database::parse(&database.url).expect("a URL").beside("log").connect().expect("the log");
        change(log(), "log_leaves", "leaf = leaf || ' ' WHERE idx = 2");
        let found = until(&server, &auditor, |audit| audit["read_only"] == true);
        assert!(found["stopped_because"].as_str().is_some_and(|why| why.contains("law 12")), "{found:#}");
        let refused = desk.use_hours(&server, "stopped", 1).expect(503);
        assert_eq!(refused.json["code"], "read_only", "{}", refused.text);
        let still = desk.verify();
        assert!(still.code == Some(4) && still.stderr.contains("It stays so until all laws hold"), "{still:#?}");
        change(log(), "log_leaves", "leaf = trim(leaf) WHERE idx = 2");
        assert!(desk.verify().ok().stderr.contains("It goes on now"));
        desk.use_hours(&server, "after", 1).expect(201);
    }
}

#[test]
fn a_new_key_of_the_log_is_taken_up_by_who_serves_and_breaks_no_law() {
    for database in databases() {
        let desk = Desk::open(&database, 1_000_000, Overdraft::Record);
        let server = desk.serve_with(&["--audit-every", "1", "--log-every", "1"]);
        let auditor = auditor(&desk);
        desk.use_hours(&server, "before", 1).expect(201);
        let head = || server.get("/v1/log/checkpoint", None, &[]).expect(200).text;
        let size = |note: &str| note.lines().nth(1).and_then(|size| size.parse::<u64>().ok()).expect("a size");
        logged(&database);
        Run::from(desk.command(&["log", "rotate"]).output().expect("the program starts")).ok();
        let rotated = size(&head());
        desk.use_hours(&server, "after", 1).expect(201);
        let begun = Instant::now();
        while size(&head()) <= rotated {
            assert!(begun.elapsed() < millis(60_000), "{}", server.log());
            std::thread::sleep(millis(50));
        }
        assert_eq!(head().lines().filter(|line| line.starts_with("— ")).count(), 2, "the new key and the one before");
        let signed = until(&server, &auditor, |_| true)["ran_at"].clone();
        let then = until(&server, &auditor, |audit| audit["ran_at"] != signed)["ran_at"].clone();
        // One that began when the new key had signed.
        let audit = until(&server, &auditor, |audit| audit["ran_at"] != signed && audit["ran_at"] != then);
        assert_eq!((&audit["holds"], &audit["read_only"]), (&json!(true), &json!(false)), "{audit:#}");
    }
}
