//! Twenty at a time want seventy-five of five hundred: six get it, fourteen are told what is missing, and nothing is held twice.
//!
//! The clients stand before several servers on one database, so that the servers race and not only their threads.

use std::sync::Barrier;
use std::thread::scope;

use almoner::grants::Overdraft;
use serde_json::json;

use crate::desk::Desk;
use crate::support::database::{TestDatabase, databases, postgres, sqlite};
use crate::support::server::Server;

const PROCESSES: usize = 2;
const CLIENTS: usize = 20;
const CREDITS: i64 = 500;
const WANTED: i64 = 75;
const WON: usize = 6;

/// Rounds where `ALMONER_RACE_ROUNDS` names no other number.
const ROUNDS: usize = 25;

fn rounds() -> usize {
    std::env::var("ALMONER_RACE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS)
}

/// Everyone asks at once; who got a hold.
fn all_ask(desk: &Desk<'_>, servers: &[Server], round: usize, wanted: i64) -> Vec<Option<String>> {
    let start = Barrier::new(CLIENTS);
    scope(|threads| {
        let start = &start;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                threads.spawn(move || {
                    let server = &servers[client % servers.len()];
                    let key = format!("round-{round}-{client}");
                    let body = json!({
                        "grant": desk.grant.to_string(), "resource": desk.resource.to_string(), "external_id": key,
                        "amount": {"value": wanted.to_string(), "unit": "CREDIT"}, "expires_at": desk.expires_at,
                    });
                    start.wait();
                    let answer = server.post("/v1/holds", Some(&desk.provider), &[("idempotency-key", &key)], &body);
                    let short = answer.status == 409 && answer.json["code"] == "insufficient_credits";
                    assert!(short || answer.status == 201, "{key}: {} {}\n{}", answer.status, answer.text, server.log());
                    assert!(!short || answer.json["params"]["shortfall"].is_string(), "{}", answer.text);
                    answer.json["id"].as_str().filter(|_| !short).map(String::from)
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("a client")).collect()
    })
}

fn held(desk: &Desk<'_>) -> (i64, i64) {
    let balance = desk.balance();
    (balance.held.minor, balance.available.minor)
}

/// Every winner lets go again, so that the next round begins as this one did.
fn let_go(desk: &Desk<'_>, servers: &[Server], holds: &[String]) {
    for (place, hold) in holds.iter().enumerate() {
        let server = &servers[place % servers.len()];
        let key = format!("release-{hold}");
        let path = format!("/v1/holds/{hold}/release");
        server.post(&path, Some(&desk.provider), &[("idempotency-key", &key)], &json!({})).expect(201);
    }
}

/// Each guard was taken out by hand once, and the test then failed in its first round on both databases. What was seen:
/// - without forgetting (`memory.forget()` where the head is another's, in `src/store/writer.rs`): commits fail on the unique number of a
///   posting in its account, and are answered with 500;
/// - without the look at what is missing (`missing > 0` in `plan`, in `src/usage/hold/mod.rs`): all twenty are told that they hold 75, and
///   500 are held.
fn race(database: &TestDatabase) {
    let desk = Desk::open(database, CREDITS, Overdraft::Reject);
    let servers: Vec<Server> = (0..PROCESSES).map(|_| desk.serve()).collect();
    let mut by_process = [0; PROCESSES];
    for round in 0..rounds() {
        let told = all_ask(&desk, &servers, round, WANTED);
        told.iter().enumerate().filter(|(_, won)| won.is_some()).for_each(|(client, _)| by_process[client % PROCESSES] += 1);
        let won: Vec<String> = told.into_iter().flatten().collect();
        assert_eq!((won.len(), held(&desk)), (WON, (450, 50)), "{}, round {round}", database.kind);
        let_go(&desk, &servers, &won);
        assert_eq!(held(&desk), (0, CREDITS), "{}, round {round}", database.kind);
    }
    for server in servers {
        assert!(server.terminate().success());
    }
    let found = desk.verify();
    assert_eq!(found.code, Some(0), "{}: {found:#?}", database.kind);
    println!("{}: {} rounds, holds won by process {by_process:?}", database.kind, rounds());
    assert!(by_process.iter().all(|won| *won > 0), "nobody raced");
}

#[test]
fn six_of_twenty_get_their_hold_on_sqlite() {
    race(&sqlite());
}

#[test]
fn six_of_twenty_get_their_hold_on_postgresql() {
    if let Some(database) = postgres() {
        race(&database);
    }
}

/// The last credits: of each round's twenty, who want one more than the round before, as many win as can be paid, whoever serves them.
fn last_credits(database: &TestDatabase) {
    let desk = Desk::open(database, CREDITS, Overdraft::Reject);
    let servers: Vec<Server> = (0..PROCESSES).map(|_| desk.serve()).collect();
    for round in 0..rounds() * 8 {
        let wanted = 26 + (round as i64 * 7) % 475;
        let won: Vec<String> = all_ask(&desk, &servers, round, wanted).into_iter().flatten().collect();
        let affordable = CREDITS / wanted;
        assert_eq!((won.len() as i64, held(&desk)), (affordable, (affordable * wanted, CREDITS % wanted)), "{wanted} wanted");
        let_go(&desk, &servers, &won);
    }
    assert_eq!(desk.verify().code, Some(0));
}

#[test]
fn the_last_credits_are_held_once_on_postgresql() {
    if let Some(database) = postgres() {
        last_credits(&database);
    }
}

/// The books say what is held and the holds say for whom: where they differ, verify finds it.
#[test]
fn a_hold_that_says_other_than_the_books_is_found() {
    for database in databases() {
        let desk = Desk::open(&database, CREDITS, Overdraft::Reject);
        let server = desk.serve();
        let won: Vec<String> = all_ask(&desk, std::slice::from_ref(&server), 0, WANTED).into_iter().flatten().collect();
        assert_eq!((won.len(), desk.verify().code), (WON, Some(0)));
        desk.connect().batch("UPDATE holds SET rest = '[]' WHERE id = (SELECT min(id) FROM holds)").expect("no guard stands before holds");
        assert_eq!(desk.verify().code, Some(4), "{}", database.kind);
    }
}
