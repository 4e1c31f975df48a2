//! Processes that take turns: each sees what another one changed before it decides, keys hold across them, and a writer whose turn
//! does not come refuses more than it can hold.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::scope;

use almoner::grants::Overdraft;
use almoner::store::{Conn, QUEUE};
use almoner::usage;
use serde_json::json;

use crate::desk::{Desk, millis};
use crate::support::database::databases;
use crate::support::server::{Answer, Server};

/// What a charge cost, and what it left.
fn told(answer: &Answer) -> (String, String) {
    let value = |of: &str| answer.json[of]["value"].as_str().unwrap_or("none").to_owned();
    (value("amount"), value("balance_after"))
}

fn refund(desk: &Desk<'_>, server: &Server, charge: &str, key: &str, credits: &str) -> Answer {
    let body = json!({"amount": {"value": credits, "unit": "CREDIT"}, "reason": "A node failed."});
    server.post(&format!("/v1/charges/{charge}/refunds"), Some(&desk.provider), &[("Idempotency-Key", key)], &body)
}

fn costs(amount: &str, left: &str) -> (String, String) {
    (amount.into(), left.into())
}

#[test]
fn what_one_process_changed_the_other_knows() {
    for database in databases() {
        let desk = Desk::open(&database, 1000, Overdraft::Reject);
        let (a, b) = (desk.serve(), desk.serve());
        let first = desk.use_hours(&a, "a-1", 10).expect(201);
        assert_eq!(told(&first), costs("10", "990"));
        assert_eq!(told(&desk.use_hours(&b, "b-1", 5).expect(201)), costs("5", "985"));
        assert_eq!(told(&desk.use_hours(&a, "a-2", 1).expect(201)), costs("1", "984"));
        let again = desk.use_hours(&b, "a-1", 10).expect(200);
        assert_eq!((&again.json["id"], again.header("idempotency-replayed")), (&first.json["id"], "true"));
        desk.use_hours(&b, "a-1", 11).expect(409);
        refund(&desk, &b, first.json["id"].as_str().expect("a charge"), "r-1", "4").expect(201);
        assert_eq!(told(&desk.use_hours(&a, "a-3", 1).expect(201)), costs("1", "987"));

        let rate = json!({"meter": "gpu-hour", "price": {"value": "3", "unit": "CREDIT"}, "from": "2026-01-01T00:00:00Z"});
        let path = format!("/v1/resources/{}/rates", desk.resource);
        let rate = b.post(&path, Some(&desk.provider), &[("Idempotency-Key", "rate")], &rate).expect(201);
        assert_eq!(told(&desk.use_hours(&a, "a-4", 1).expect(201)), costs("1", "986"), "a proposed rate is not in force");
        let path = format!("/v1/rates/{}/confirmation", rate.json["id"].as_str().expect("a rate"));
        b.post(&path, Some(&desk.officer), &[("Idempotency-Key", "confirm")], &json!({})).expect(201);
        assert_eq!(told(&desk.use_hours(&a, "a-5", 2).expect(201)), costs("6", "980"));
        assert_eq!(told(&desk.use_hours(&b, "b-2", 1).expect(201)), costs("3", "977"));
        desk.verify().ok();
        drop((a, b));
        assert_eq!(desk.balance().available.minor, 977);
    }
}

#[test]
fn an_import_beside_a_server_and_the_server_know_of_each_other() {
    const MAP: &str = "external_id=id,account=project,started_at=start,ended_at=end,gpu-hour=hours";
    const LINES: usize = 3000;
    for database in databases() {
        let desk = Desk::open(&database, 1_000_000, Overdraft::Reject);
        let server = desk.serve();
        let line = |n: usize| format!("import-{n},p,2026-01-15 10:00:00,2026-01-15 12:00:00,2\n");
        let log: String = std::iter::once("id,project,start,end,hours\n".to_owned()).chain((0..LINES).map(line)).collect();
        let file = database.folder().join("jobs.csv");
        std::fs::write(&file, log).expect("a file");
        let (grant, resource) = (desk.grant.to_string(), desk.resource.to_string());
        let args = ["import", file.to_str().expect("a path"), "--resource", &resource, "--grant", &grant, "--map", MAP, "--json"];
        let mut import = desk.command(&args).stdout(std::process::Stdio::null()).spawn().expect("the program starts");
        let mut posted = 0;
        while import.try_wait().expect("a child of ours").is_none() {
            desk.use_hours(&server, &format!("posted-{posted}"), 1).expect(201);
            posted += 1;
        }
        assert!(import.wait().expect("its end").success());
        assert_eq!(told(&desk.use_hours(&server, "the last", 1).expect(201)).1, (1_000_000 - 2 * LINES as i64 - posted - 1).to_string());
        assert_eq!(desk.charges().len() as i64, LINES as i64 + posted + 1);
        desk.verify().ok();
        println!("{}: {posted} records posted during the import", database.kind);
    }
}

#[test]
fn a_key_is_one_key_for_all_processes() {
    for database in databases() {
        let desk = Desk::open(&database, 1000, Overdraft::Reject);
        let (a, b) = (desk.serve(), desk.serve());
        let charge = desk.use_hours(&a, "a-1", 100).expect(201).json["id"].as_str().expect("a charge").to_owned();
        let first = refund(&desk, &a, &charge, "once", "7").expect(201);
        let again = refund(&desk, &b, &charge, "once", "7").expect(201);
        assert_eq!((&again.text, again.header("idempotency-replayed")), (&first.text, "true"));
        let other = refund(&desk, &b, &charge, "once", "8").expect(422);
        assert_eq!(other.json["code"], "idempotency_key_reused");
        // All at once, through both.
        let texts: Vec<String> = scope(|threads| {
            let asking = [&a, &b].into_iter().cycle().take(16).map(|server| {
                let (desk, charge) = (&desk, &charge);
                threads.spawn(move || refund(desk, server, charge, "race", "1").expect(201).text)
            });
            asking.collect::<Vec<_>>().into_iter().map(|thread| thread.join().expect("an answer")).collect()
        });
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:#?}");
        assert_eq!(desk.look(usage::store::all_refunds).len(), 2);
        assert_eq!(desk.balance().available.minor, 1000 - 100 + 8);
        desk.verify().ok();
    }
}

/// One request on a connection of its own; the answer is read later.
fn ask(server: &Server, desk: &Desk<'_>, name: &str) -> TcpStream {
    let address = server.address.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(millis(60_000))).expect("a patient stream");
    let body = desk.record(name, 1).to_string();
    let head = format!("Host: {address}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json", desk.provider);
    let text = format!("POST /v1/usage HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).expect("a request");
    stream
}

/// Takes the turn and keeps it.
fn hold(conn: &mut Conn) {
    let take = match conn {
        Conn::Sqlite(_) => "BEGIN IMMEDIATE",
        Conn::Postgres(_) => "BEGIN; SELECT seq FROM head FOR UPDATE",
    };
    conn.batch(take).expect("the turn");
}

/// While somebody else keeps the turn, as many as the queue holds wait, the rest is told to come back; all that was accepted is done.
#[test]
fn a_full_queue_refuses_and_keeps_what_it_took() {
    for database in databases() {
        let desk = Desk::open(&database, 1_000_000, Overdraft::Reject);
        let server = desk.serve();
        desk.use_hours(&server, "before", 1).expect(201);
        let mut holder = desk.connect();
        hold(&mut holder);
        let first = ask(&server, &desk, "in hand");
        std::thread::sleep(millis(300));
        let mut asked: Vec<(String, TcpStream)> = vec![("in hand".into(), first)];
        asked.extend((0..QUEUE + 200).map(|n| (format!("q-{n}"), ask(&server, &desk, &format!("q-{n}")))));
        std::thread::sleep(millis(1500));
        holder.batch("ROLLBACK").expect("the turn given back");
        let (mut charged, mut refused) = (Vec::new(), Vec::new());
        for (name, mut stream) in asked {
            let mut text = String::new();
            stream.read_to_string(&mut text).expect("an answer");
            let head = text.split("\r\n\r\n").next().unwrap_or_default().to_ascii_lowercase();
            match head.split(' ').nth(1) {
                Some("201") => charged.push(name),
                Some("503") => {
                    assert!(head.contains("\r\nretry-after: 1"), "{text}");
                    assert!(text.contains("\"code\":\"busy\""), "{text}");
                    refused.push(name);
                }
                _ => panic!("{name}: {text}"),
            }
        }
        println!("{}: {} charged, {} told to come back", database.kind, charged.len(), refused.len());
        // One is in hand while the queue is full; a place in it may be the service's own, which looks for events.
        assert!(charged.len() >= QUEUE && !refused.is_empty(), "{} charged, {} refused", charged.len(), refused.len());
        assert_eq!(desk.charges().len(), charged.len() + 1, "refused means that nothing happened");
        for name in &refused {
            desk.use_hours(&server, name, 1).expect(201);
        }
        assert!(server.terminate().success());
        desk.verify().ok();
    }
}

/// A turn that could not be begun leaves nothing open behind it: once the database is whole again, so is the server.
#[test]
fn a_turn_that_failed_does_not_stand_in_the_way_of_the_next() {
    for database in databases() {
        let desk = Desk::open(&database, 1000, Overdraft::Reject);
        let server = desk.serve();
        desk.use_hours(&server, "before", 1).expect(201);
        let mut other = desk.connect();
        other.batch("ALTER TABLE head RENAME TO head_away").expect("the head taken away");
        desk.use_hours(&server, "during", 1).expect(500);
        other.batch("ALTER TABLE head_away RENAME TO head").expect("the head given back");
        assert_eq!(told(&desk.use_hours(&server, "after", 1).expect(201)), costs("1", "998"), "{}", database.kind);
        desk.verify().ok();
    }
}
