//! `kill -9` of the server, ten times or as often as `ALMONER_KILL_CYCLES` says, in the middle of a load of batches, holds, single records
//! that settle them, and refunds.
//!
//! Every client has one question under way at a time. What was answered is there exactly once, with the identifiers of the answer; what
//! was not answered is asked again with the same keys, and then is there exactly once. All laws hold after every kill.

use std::collections::{BTreeMap, HashSet};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{scope, sleep};
use std::time::Instant;

use almoner::grants::Overdraft;
use almoner::store::Page;
use almoner::usage::{self, hold};
use serde_json::{Value, json};

use crate::desk::{Desk, external_id, millis, next};
use crate::support::database::{TestDatabase, postgres, sqlite};
use crate::support::server::{Answer, Server};

/// Kills on each database, unless `ALMONER_KILL_CYCLES` says another number.
const KILLS: u64 = 10;
const CLIENTS: u64 = 4;
/// Credits of each hold.
const HELD: i64 = 3;

/// One question of a client, and what it was told.
#[derive(Clone, Debug)]
enum Ask {
    /// Records named after a prefix, so many.
    Batch { prefix: String, records: u64 },
    /// Three credits set aside.
    Hold { key: String },
    /// One record, which settles the hold.
    Single { name: String, hold: Option<String> },
    /// One credit back of a charge.
    Refund { charge: String, key: String },
}

/// All that the clients know.
#[derive(Default)]
struct Told {
    /// Charge by the record's name.
    charges: BTreeMap<String, String>,
    /// By key: the hold.
    holds: BTreeMap<String, String>,
    /// Holds that a record has settled, with the charge.
    settled: BTreeMap<String, String>,
    /// By key: the charge, and the answer's text.
    refunds: BTreeMap<String, (String, String)>,
    /// Questions that no answer came to, and how many of them turned out to have been carried out.
    unanswered: u64,
    carried_out: u64,
}

struct Client {
    number: u64,
    asked: u64,
    seed: u64,
    /// A charge that may be refunded next.
    last: Option<String>,
    /// A hold that may be settled next.
    held: Option<String>,
    pending: Option<Ask>,
}

fn hours(name: &str) -> i64 {
    2 + name.bytes().map(i64::from).sum::<i64>() % 5
}

impl Client {
    fn new(number: u64) -> Client {
        Client { number, asked: 0, seed: number + 1, last: None, held: None, pending: None }
    }

    /// The next question: batches, holds, single records that settle them, and a refund of what was charged singly before.
    fn next(&mut self) -> Ask {
        self.asked += 1;
        let name = format!("c{}-{}", self.number, self.asked);
        match (self.asked % 4, self.last.take()) {
            (0, Some(charge)) => Ask::Refund { charge, key: format!("refund-{name}") },
            (1, _) => Ask::Hold { key: format!("hold-{name}") },
            (3, _) => Ask::Single { name, hold: self.held.take() },
            _ => Ask::Batch { prefix: name, records: 200 + next(&mut self.seed) % 301 },
        }
    }

    /// Asks until the server is gone, first again what was not answered.
    fn ask_on(&mut self, desk: &Desk<'_>, server: &Server, told: &Mutex<Told>, answers: &AtomicU32, until: Option<u64>) {
        loop {
            let again = self.pending.is_some();
            if until.is_some_and(|end| !again && self.asked >= end) {
                return;
            }
            let ask = self.pending.take().unwrap_or_else(|| self.next());
            match send(desk, server, &ask) {
                Ok(answer) => {
                    told.lock().expect("told").hear(&ask, &answer, again);
                    let id = answer.json["id"].as_str().map(String::from);
                    match ask {
                        Ask::Hold { .. } => self.held = id,
                        Ask::Single { .. } => self.last = id,
                        Ask::Batch { .. } | Ask::Refund { .. } => {}
                    }
                    answers.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => {
                    told.lock().expect("told").unanswered += 1;
                    self.pending = Some(ask);
                    return;
                }
            }
        }
    }
}

fn names(ask: &Ask) -> Vec<String> {
    match ask {
        Ask::Batch { prefix, records } => (0..*records).map(|n| format!("{prefix}-{n}")).collect(),
        Ask::Single { name, .. } => vec![name.clone()],
        Ask::Hold { .. } | Ask::Refund { .. } => Vec::new(),
    }
}

fn send(desk: &Desk<'_>, server: &Server, ask: &Ask) -> Result<Answer, ureq::Error> {
    let records: Vec<Value> = names(ask).iter().map(|name| desk.record(name, hours(name))).collect();
    let (path, key, body) = match ask {
        Ask::Batch { .. } => ("/v1/usage/batch".to_owned(), None, json!({"records": records})),
        Ask::Single { hold, .. } => {
            let mut record = records[0].clone();
            record["hold"] = json!(hold);
            ("/v1/usage".to_owned(), None, record)
        }
        Ask::Hold { key } => {
            let body = json!({
                "grant": desk.grant.to_string(), "resource": desk.resource.to_string(), "external_id": key,
                "amount": {"value": HELD.to_string(), "unit": "CREDIT"}, "expires_at": desk.expires_at,
            });
            ("/v1/holds".to_owned(), Some(("Idempotency-Key", key.as_str())), body)
        }
        Ask::Refund { charge, key } => {
            let body = json!({"amount": {"value": "1", "unit": "CREDIT"}, "reason": "A node failed."});
            (format!("/v1/charges/{charge}/refunds"), Some(("Idempotency-Key", key.as_str())), body)
        }
    };
    server.call("POST", &path, Some(&desk.provider), key.as_slice(), Some(&body.to_string()))
}

impl Told {
    /// Takes down an answer. Only what was asked before may have been carried out before.
    fn hear(&mut self, ask: &Ask, answer: &Answer, again: bool) {
        let text = &answer.text;
        match ask {
            Ask::Batch { .. } => {
                assert_eq!(answer.status, 207, "{text}");
                let results = answer.json["results"].as_array().expect("results");
                let named: Vec<String> = results.iter().map(|r| r["external_id"].as_str().unwrap_or_default().into()).collect();
                assert_eq!(named, names(ask), "one result for each record, in order");
                let outcomes: HashSet<&str> = results.iter().filter_map(|r| r["outcome"].as_str()).collect();
                let before = outcomes == HashSet::from(["duplicate"]);
                assert!(before || outcomes == HashSet::from(["charged"]), "a batch is committed whole: {outcomes:?}");
                assert!(again || !before, "charged before it was asked for: {text}");
                self.carried_out += u64::from(before);
                for (name, result) in named.into_iter().zip(results) {
                    let id = result["charge"]["id"].as_str().or(result["id"].as_str()).expect("a charge");
                    assert_eq!(self.charges.insert(name, id.into()), None);
                }
            }
            Ask::Single { name, hold } => {
                assert!(answer.status == 201 || (again && answer.status == 200), "{} {text}", answer.status);
                self.carried_out += u64::from(answer.status == 200);
                let id = answer.json["id"].as_str().expect("a charge").to_owned();
                assert_eq!(self.charges.insert(name.clone(), id.clone()), None);
                hold.iter().for_each(|hold| assert_eq!(self.settled.insert(hold.clone(), id.clone()), None));
            }
            Ask::Hold { key } => {
                assert_eq!(answer.status, 201, "{text}");
                let replayed = answer.header("idempotency-replayed") == "true";
                assert!(again || !replayed, "replayed before it was asked for");
                self.carried_out += u64::from(replayed);
                assert_eq!(self.holds.insert(key.clone(), answer.json["id"].as_str().expect("a hold").into()), None);
            }
            Ask::Refund { charge, key } => {
                assert_eq!(answer.status, 201, "{text}");
                let replayed = answer.header("idempotency-replayed") == "true";
                assert!(again || !replayed, "replayed before it was asked for");
                self.carried_out += u64::from(replayed);
                assert_eq!(self.refunds.insert(key.clone(), (charge.clone(), text.clone())), None);
            }
        }
    }
}

/// Kills the server in the middle of what it does, a little later each time, and waits until every client has noticed.
fn round(desk: &Desk<'_>, number: u64, clients: &mut [Client], told: &Mutex<Told>) {
    let server = desk.serve();
    let answers = AtomicU32::new(0);
    scope(|threads| {
        for client in clients.iter_mut() {
            let (server, answers) = (&server, &answers);
            threads.spawn(move || client.ask_on(desk, server, told, answers, None));
        }
        let begun = Instant::now();
        while answers.load(Ordering::Relaxed) == 0 && begun.elapsed() < millis(10_000) {
            sleep(millis(1));
        }
        sleep(millis(number * 37 % 260));
        let killed = Command::new("kill").args(["-9", &server.pid().to_string()]).status().expect("kill runs");
        assert!(killed.success(), "the server was gone before it was killed:\n{}", server.log());
    });
    server.kill9();
}

/// Compares what the clients were told with what is in the books.
fn compare(desk: &Desk<'_>, told: &Told) {
    let rows = desk.charges();
    let mut there: BTreeMap<String, String> = BTreeMap::new();
    for row in &rows {
        let name = external_id(&row.said);
        assert_eq!(row.amount, hours(&name), "{name}");
        assert_eq!(there.insert(name.clone(), row.id().to_string()), None, "{name} is charged twice");
    }
    assert!(there == told.charges, "{} charges in the books, {} were answered", there.len(), told.charges.len());
    let refunds = desk.look(usage::store::all_refunds);
    let refunded: Vec<&str> = told.refunds.values().map(|(charge, _)| charge.as_str()).collect();
    let mut booked: Vec<String> = refunds.iter().map(|row| almoner::id::ChargeId::from_stamp(row.charge).to_string()).collect();
    let mut answered: Vec<String> = refunded.iter().map(ToString::to_string).collect();
    booked.sort();
    answered.sort();
    assert_eq!(booked, answered, "each refund once");
    let holds = desk.look(|conn| hold::store::holds(conn, &hold::Of::default(), Page::ALL));
    let named = |of: &hold::Hold| (of.external_id.clone().expect("a key"), of.id.to_string());
    assert!(holds.iter().map(named).collect::<BTreeMap<_, _>>() == told.holds, "{} holds, {} answered", holds.len(), told.holds.len());
    let settled = holds.iter().filter_map(|hold| hold.charge.map(|charge| (hold.id.to_string(), charge.to_string())));
    assert!(settled.collect::<BTreeMap<_, _>>() == told.settled, "each hold is settled by the charge that its record was answered with");
    let balance = desk.balance();
    let open = holds.iter().filter(|of| of.state == hold::State::Open).count();
    assert_eq!((open, balance.held.minor), (holds.len() - told.settled.len(), HELD * open as i64));
    let charged: i64 = rows.iter().map(|row| row.amount).sum();
    let given_back: i64 = refunds.iter().map(|row| row.amount).sum();
    assert_eq!((balance.spent.minor, balance.refunded.minor), (charged - given_back, given_back));
}

/// Asks everything that can be asked again once more: nothing moves.
fn repeat(desk: &Desk<'_>, told: &Told) {
    let server = desk.serve();
    for (key, (charge, text)) in &told.refunds {
        let ask = Ask::Refund { charge: charge.clone(), key: key.clone() };
        let again = send(desk, &server, &ask).expect("an answer").expect(201);
        assert_eq!((again.header("idempotency-replayed"), &again.text), ("true", text), "{key}");
    }
    for (name, id) in told.charges.iter().step_by(101) {
        let again = desk.use_hours(&server, name, hours(name)).expect(200);
        assert_eq!(again.json["id"].as_str(), Some(id.as_str()), "{name}");
    }
    assert!(server.terminate().success());
}

fn kills() -> u64 {
    std::env::var("ALMONER_KILL_CYCLES").map_or(KILLS, |text| text.parse().expect("ALMONER_KILL_CYCLES is a number"))
}

fn killed_again_and_again(database: &TestDatabase) {
    let kills = kills();
    let desk = Desk::open(database, 1_000_000_000, Overdraft::Reject);
    let mut clients: Vec<Client> = (0..CLIENTS).map(Client::new).collect();
    let told = Mutex::new(Told::default());
    for number in 1..=kills {
        round(&desk, number, &mut clients, &told);
        let found = desk.verify();
        assert_eq!(found.code, Some(0), "{} after kill {number}: {found:#?}", database.kind);
        for (name, id) in desk.charges().iter().map(|row| (external_id(&row.said), row.id().to_string())) {
            let known = told.lock().expect("told").charges.get(&name).is_none_or(|answered| *answered == id);
            assert!(known, "{name} was answered with another charge than {id}");
        }
    }
    let server = desk.serve();
    for client in &mut clients {
        let end = client.asked + 1;
        client.ask_on(&desk, &server, &told, &AtomicU32::new(0), Some(end));
    }
    assert!(server.terminate().success());
    let told = told.into_inner().expect("told");
    compare(&desk, &told);
    repeat(&desk, &told);
    compare(&desk, &told);
    desk.verify().ok();
    println!(
        "{}: {kills} kills, {} charges, {} holds, {} of them settled, {} refunds; {} questions unanswered, {} of them carried out all the same",
        database.kind,
        told.charges.len(),
        told.holds.len(),
        told.settled.len(),
        told.refunds.len(),
        told.unanswered,
        told.carried_out
    );
    assert!(told.unanswered >= kills && !told.refunds.is_empty() && !told.settled.is_empty(), "the kills hit nothing");
}

#[test]
fn what_was_answered_outlives_kills_on_sqlite() {
    killed_again_and_again(&sqlite());
}

#[test]
fn what_was_answered_outlives_kills_on_postgresql() {
    if let Some(database) = postgres() {
        killed_again_and_again(&database);
    }
}
