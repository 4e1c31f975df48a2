//! The same usage sent to four servers at once, one of which is killed again and again: each record is charged once.
//!
//! No index of the database refuses a second total of the same job, so that this rests on what each writer remembers: what it charged
//! lately, the blocks of keys behind that, and what others wrote meanwhile. More records than a block holds, with names in no order.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};

use almoner::grants::Overdraft;
use almoner::store::keys;
use serde_json::{Value, json};

use crate::desk::{Desk, external_id, millis, next};
use crate::support::database::{TestDatabase, postgres, sqlite};
use crate::support::server::{Answer, Server};

const SERVERS: usize = 4;
/// More than a block holds, in batches.
const RECORDS: u64 = 18_000;
const BATCH: u64 = 500;
const KILLS: u64 = 4;

/// What the clients were told: the charge of each record, and how often somebody made it.
#[derive(Default)]
struct Told {
    charges: BTreeMap<String, String>,
    charged: u64,
    duplicate: u64,
}

impl Told {
    fn hear(&mut self, answer: &Answer, log: &str) {
        assert_eq!(answer.status, 207, "{}\n{log}", answer.text);
        for result in answer.json["results"].as_array().expect("results") {
            match result["outcome"].as_str() {
                Some("charged") => self.charged += 1,
                Some("duplicate") => self.duplicate += 1,
                _ => panic!("{result}"),
            }
            let name = result["external_id"].as_str().expect("a name").to_owned();
            let id = result["charge"]["id"].as_str().or(result["id"].as_str()).expect("a charge");
            let known = self.charges.entry(name).or_insert_with(|| id.to_owned());
            assert_eq!(known, id, "two charges for one record");
        }
    }
}

/// A name that says nothing of its record's place, the same for all who send it.
fn name(n: u64) -> String {
    format!("{:016x}", (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9))
}

fn send(desk: &Desk<'_>, server: &Server, batch: u64) -> Option<Answer> {
    let records: Vec<Value> = (batch * BATCH..(batch + 1) * BATCH).map(|n| desk.record(&name(n), 1)).collect();
    let body = json!({"records": records}).to_string();
    server.call("POST", "/v1/usage/batch", Some(&desk.provider), &[], Some(&body)).ok()
}

/// Sends every batch, in an order of its own; what is not answered is sent again as soon as there is a server to answer.
fn send_all(desk: &Desk<'_>, server: &Mutex<Server>, seed: u64, told: &Mutex<Told>) {
    let mut batches: Vec<u64> = (0..RECORDS / BATCH).collect();
    let mut seed = seed;
    // In about the same order, so that the servers meet each other's records while they are fresh.
    for place in (1..batches.len()).rev() {
        batches.swap(place, place - (next(&mut seed) % 3).min(place as u64) as usize);
    }
    for batch in batches {
        loop {
            let server = server.lock().expect("a server");
            match send(desk, &server, batch) {
                Some(answer) => break told.lock().expect("told").hear(&answer, &server.log()),
                None => {
                    drop(server);
                    sleep(millis(20));
                }
            }
        }
    }
}

/// Kills one server a few times and starts another in its place.
fn kill_now_and_then(desk: &Desk<'_>, server: &Mutex<Server>, pid: &Mutex<u32>, over: &AtomicBool) -> u64 {
    let mut kills = 0;
    while kills < KILLS && !over.load(Ordering::Relaxed) {
        sleep(millis(400 + 170 * kills));
        let killed = Command::new("kill").args(["-9", &pid.lock().expect("a number").to_string()]).status().expect("kill runs");
        assert!(killed.success());
        // Whoever is asking it gets no answer now, and gives it up.
        let mut place = server.lock().expect("a server");
        std::mem::replace(&mut *place, desk.serve()).kill9();
        *pid.lock().expect("a number") = place.pid();
        kills += 1;
    }
    kills
}

/// What was seen to fail it: a block of keys made in a batch of nothing but repeats (`take_rows` in `src/usage/met/mod.rs`, without asking
/// whether anything was charged). Rolled back with such a batch, on both databases, the keys were lost to the process that had made the
/// block, and it charged records a second time. Committed without an entry of the journal, on PostgreSQL, no other process learned of it, and
/// another made the same block again.
fn sent_to_all(database: &TestDatabase) {
    let desk = Desk::open(database, 1_000_000_000, Overdraft::Reject);
    let servers: Vec<Mutex<Server>> = (0..SERVERS).map(|_| Mutex::new(desk.serve())).collect();
    let pid = Mutex::new(servers[0].lock().expect("a server").pid());
    let (told, over) = (Mutex::new(Told::default()), AtomicBool::new(false));
    let kills = scope(|threads| {
        let (desk, servers, told, over, pid) = (&desk, &servers, &told, &over, &pid);
        let killer = threads.spawn(move || kill_now_and_then(desk, &servers[0], pid, over));
        let clients: Vec<_> = (1..).zip(servers).map(|(seed, server)| threads.spawn(move || send_all(desk, server, seed, told))).collect();
        clients.into_iter().for_each(|client| client.join().expect("a client"));
        over.store(true, Ordering::Relaxed);
        killer.join().expect("the killer")
    });
    let told = told.into_inner().expect("told");
    for server in servers {
        assert!(server.into_inner().expect("a server").terminate().success());
    }
    let found = desk.verify();
    assert_eq!(found.code, Some(0), "{}: {found:#?}", database.kind);
    let rows = desk.charges();
    let there: BTreeMap<String, String> = rows.iter().map(|row| (external_id(&row.said), row.id().to_string())).collect();
    assert_eq!((rows.len() as u64, there.len() as u64), (RECORDS, RECORDS), "each record once");
    assert!(there == told.charges, "what was answered is what is there");
    let blocks = desk.look(|conn| keys::blocks(conn, 0)).len();
    println!("{}: {} charged and {} known again, {kills} kills, {blocks} blocks of keys", database.kind, told.charged, told.duplicate);
    assert!(blocks > 0 && kills > 0 && told.duplicate > RECORDS, "nobody met anybody");
}

#[test]
fn the_same_usage_sent_to_four_servers_is_charged_once_on_sqlite() {
    sent_to_all(&sqlite());
}

#[test]
fn the_same_usage_sent_to_four_servers_is_charged_once_on_postgresql() {
    if let Some(database) = postgres() {
        sent_to_all(&database);
    }
}
