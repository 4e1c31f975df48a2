//! The service verifies its own books: what it finds, that every process stops writing then, and who lets it go on.

use std::time::Instant;

use almoner::grants::Overdraft;
use almoner::store::Conn;
use serde_json::{Value, json};

use crate::desk::{Desk, millis};
use crate::support::Run;
use crate::support::database::databases;
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

/// Changes a lot past the program, which a superuser can.
fn expires(desk: &Desk<'_>, at: &str) {
    let mut conn = desk.connect();
    let change = format!("UPDATE lots SET expires_at = {at}");
    let sql = match conn {
        Conn::Sqlite(_) => {
            let trigger = "CREATE TRIGGER lots_refuses_update BEFORE UPDATE ON lots BEGIN SELECT RAISE(ABORT, 'lots is append-only'); END";
            format!("DROP TRIGGER lots_refuses_update; {change}; {trigger}")
        }
        Conn::Postgres(_) => format!("SET session_replication_role = replica; {change}; SET session_replication_role = origin"),
    };
    conn.batch(&sql).expect("a change that nothing refuses");
}

#[test]
fn a_broken_law_stops_the_writing_of_every_process_until_the_books_hold() {
    for database in databases() {
        let desk = Desk::open(&database, 1_000_000, Overdraft::Record);
        let (here, there) = (desk.serve_with(&["--audit-every", "1"]), desk.serve_with(&["--audit-every", "0"]));
        let auditor = Run::from(desk.command(&["token", "--role", "auditor", "--as", "reader"]).output().expect("the program starts")).ok();
        let auditor = auditor.stdout.trim();
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
