//! Webhooks against a real receiver: signed, tried again, sent again, given up, switched off, and each once with two processes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use almoner::id::PersonId;
use almoner::time::DAY;
use almoner::{directory, donations};
use serde_json::{Value, json};

use crate::receiver::{Receiver, Sent};
use crate::support::database::databases;
use crate::support::server::Server;
use crate::support::skipped;
use crate::world::{World, named};

const AT_ONCE: Duration = Duration::ZERO;

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

/// Registers a webhook: its path and its secret.
fn register(server: &Server, token: &str, url: &str, kinds: &[&str]) -> (String, String) {
    let made = server.post("/v1/webhooks", Some(token), &[], &json!({"url": url, "kinds": kinds})).expect(201);
    assert_eq!(made.header("cache-control"), "no-store");
    (format!("/v1/webhooks/{}", text(&made.json["webhook"], "id")), text(&made.json, "secret"))
}

fn post(server: &Server, token: &str, path: &str) -> crate::support::server::Answer {
    let key = format!("{path}-{:?}", Instant::now());
    server.post(path, Some(token), &[("idempotency-key", &key.replace(|c: char| !c.is_ascii_graphic(), "-"))], &json!({}))
}

/// Waits until the newest delivery is in that state.
fn await_state(server: &Server, token: &str, hook: &str, state: &str) -> Value {
    let begun = Instant::now();
    loop {
        let listed = server.get(&format!("{hook}/deliveries?order=desc"), Some(token), &[]).expect(200).json;
        if listed["data"][0]["state"] == state {
            return listed["data"][0].clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{listed:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

const VERIFY: &str = "
import json, sys
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
told = json.load(sys.stdin)
Webhook(told['secret']).verify(told['body'], told['headers'])
try:
    Webhook(told['secret']).verify(told['body'] + ' ', told['headers'])
    sys.exit('a changed body verifies')
except WebhookVerificationError:
    pass
";

/// The scheme's own library accepts the signature, and of no other body.
fn verify(sent: &Sent, secret: &str) {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/venv/bin/python");
    if !python.is_file() {
        skipped("signatures with standardwebhooks", "it is not installed; tests/run installs it");
        return;
    }
    let mut child = Command::new(python).args(["-c", VERIFY]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("python starts");
    let told = json!({"secret": secret, "body": sent.body, "headers": sent.headers});
    child.stdin.take().expect("a pipe").write_all(told.to_string().as_bytes()).expect("the message");
    let done = child.wait_with_output().expect("its end");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn what_is_sent_is_signed_tried_again_and_given_up_when_told() {
    for database in databases() {
        let world = World::to_serve(database);
        let (server, officer) = (world.serve(), world.token("officer", "second", &[]));
        let receiver = Receiver::start(|number| (if number == 0 { 500 } else { 204 }, AT_ONCE));
        let (hook, secret) = register(&server, &officer, &receiver.url, &["lot.delivered"]);
        world.lot(&named("Donor A"), 10, None);
        let sent = receiver.wait_for(2);
        assert_eq!(sent[0].id(), sent[1].id(), "the same event, tried again");
        let body: Value = serde_json::from_str(&sent[1].body).expect("JSON");
        assert_eq!((&body["type"], &body["data"]["amount"]["value"]), (&"lot.delivered".into(), &"10".into()));
        verify(&sent[1], &secret);
        let delivery = await_state(&server, &officer, &hook, "delivered");
        assert_eq!((&delivery["attempts"], &delivery["last_status"], &delivery["event"]), (&2.into(), &204.into(), &sent[1].id().into()));
        assert!(!delivery.to_string().contains("secret"), "what was answered is shown to nobody");
        post(&server, &officer, &format!("{hook}/deliveries/{}/redelivery", sent[1].id())).expect(201);
        assert_eq!(receiver.wait_for(3)[2].id(), sent[1].id(), "sent again");
        let rotated = server.post(&format!("{hook}/rotation"), Some(&officer), &[], &json!({})).expect(201);
        post(&server, &officer, &format!("{hook}/test")).expect(201);
        let tested = receiver.wait_for(4).remove(3);
        assert_eq!(tested.headers["webhook-signature"].split(' ').count(), 2);
        verify(&tested, &secret);
        verify(&tested, &text(&rotated.json, "secret"));
        let all = server.log() + &server.get(&hook, Some(&officer), &[]).expect(200).text;
        assert!(!all.contains("whsec_") && !all.contains(&secret[6..]), "told once");
        // Another's is not there.
        let other = world.token("officer", "another", &[]);
        server.get(&hook, Some(&other), &[]).expect(404);
        post(&server, &other, &format!("{hook}/revocation")).expect(404);
        post(&server, &officer, &format!("{hook}/revocation")).expect(201);
        post(&server, &officer, &format!("{hook}/test")).expect(409);
        world.lot(&named("Donor B"), 10, None);
        std::thread::sleep(Duration::from_millis(2500));
        assert_eq!(receiver.sent().len(), 4, "nothing after the revocation");
    }
}

#[test]
fn an_address_that_is_gone_or_takes_nothing_is_switched_off() {
    for database in databases() {
        let world = World::to_serve(database);
        let (server, officer) = (world.serve(), world.token("officer", "second", &[]));
        for (status, tries, reason) in [(410, 1, "gone"), (302, 4, "nothing_taken")] {
            let receiver = Receiver::start(move |_| (status, AT_ONCE));
            let (hook, _) = register(&server, &officer, &receiver.url, &[]);
            post(&server, &officer, &format!("{hook}/test")).expect(201);
            let failed = await_state(&server, &officer, &hook, "failed");
            assert_eq!((&failed["attempts"], &failed["last_status"]), (&tries.into(), &status.into()), "no redirect is followed");
            assert_eq!(server.get(&hook, Some(&officer), &[]).expect(200).json["state"], "switched_off");
            let told = server.get("/v1/events?kind=webhook.switched_off&order=desc", Some(&officer), &[]).expect(200).json;
            assert_eq!(
                (&told["data"][0]["data"]["reason"], format!("/v1/webhooks/{}", text(&told["data"][0], "subject"))),
                (&reason.into(), hook)
            );
        }
        for url in ["http://10.0.0.1/", "https://localhost/", "https://169.254.169.254/latest", "https://[fd00::1]/", "ftp://127.0.0.1/"] {
            let refused = server.post("/v1/webhooks", Some(&officer), &[], &json!({"url": url})).expect(422);
            assert_eq!(refused.json["errors"][0]["pointer"], "/url", "{url}");
        }
    }
}

#[test]
fn two_processes_send_each_event_once() {
    for database in databases() {
        let world = World::to_serve(database);
        let (servers, officer) = ([world.serve(), world.serve()], world.token("officer", "second", &[]));
        let receiver = Receiver::start(|_| (200, Duration::from_millis(30)));
        register(&servers[0], &officer, &receiver.url, &[]);
        for round in 0..20 {
            world.lot(&named(&format!("Donor {round}")), 10, None);
        }
        let sent = receiver.wait_for(60);
        std::thread::sleep(Duration::from_millis(2500));
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        receiver.sent().iter().for_each(|one| *times.entry(one.id().to_owned()).or_default() += 1);
        assert_eq!((times.len(), times.values().max()), (60, Some(&1)), "{}: {}", world.database.kind, sent.len());
    }
}

#[test]
fn what_a_killed_process_had_taken_is_sent_by_the_next() {
    for database in databases() {
        let world = World::to_serve(database);
        let (server, officer) = (world.serve(), world.token("officer", "second", &[]));
        let receiver = Receiver::start(|number| (200, Duration::from_millis(if number < 20 { 700 } else { 1 })));
        let (hook, secret) = register(&server, &officer, &receiver.url, &[]);
        for round in 0..10 {
            world.lot(&named(&format!("Donor {round}")), 10, None);
        }
        receiver.wait_for(5);
        server.kill9();
        let server = world.serve();
        let begun = Instant::now();
        let ids = loop {
            let ids: BTreeSet<String> = receiver.sent().iter().map(|one| one.id().to_owned()).collect();
            let open = server.get(&format!("{hook}/deliveries?limit=200"), Some(&officer), &[]).expect(200).json;
            let delivered = open["data"].as_array().expect("a list").iter().filter(|one| one["state"] == "delivered").count();
            if ids.len() == 30 && delivered == 30 {
                break ids;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{} came, {delivered} are known to have", ids.len());
            std::thread::sleep(Duration::from_millis(100));
        };
        let all = server.get("/v1/events?limit=200", Some(&officer), &[]).expect(200).json;
        let told: BTreeSet<String> = all["data"].as_array().expect("a list").iter().map(|event| text(event, "id")).collect();
        assert_eq!(ids, told, "each event, none lost and none made up");
        verify(receiver.sent().last().expect("one"), &secret);
    }
}

#[test]
fn an_owner_is_sent_what_they_see_when_it_is_sent() {
    for database in databases() {
        let world = World::to_serve(database);
        let (server, officer) = (world.serve(), world.token("officer", "second", &[]));
        let lot = world.lot(&named("Donor A"), 10, None);
        let donor = world.look(|conn, _| Ok(donations::lot(conn, lot)?.donor)).to_string();
        let as_donor = world.token("donor", "gives", &["--donor", &donor]);
        let as_stranger = world.token("researcher", "asks", &[]);
        let receivers = [(); 3].map(|()| Receiver::start(|_| (200, AT_ONCE)));
        let hooks: Vec<String> = [&officer, &as_donor, &as_stranger]
            .into_iter()
            .zip(&receivers)
            .map(|(token, receiver)| register(&server, token, &receiver.url, &[]).0)
            .collect();
        let stranger = text(&server.get(&hooks[2], Some(&as_stranger), &[]).expect(200).json, "owner");
        let stranger = PersonId::parse(&stranger).expect("a person");
        world.lot(&named("Donor B"), 10, None);
        let project = world.project;
        world.write(move |work, pair| directory::add_member(work, pair.first, project, stranger, "member"));
        let from = world.clock.now().plus(-DAY).to_string();
        let to = world.clock.now().plus(90 * DAY).to_string();
        world.grant(5, &from, &to, None);
        let kinds = |receiver: &Receiver| -> BTreeSet<String> {
            let kind = |one: &Sent| text(&serde_json::from_str(&one.body).expect("JSON"), "type");
            receiver.sent().iter().map(kind).collect()
        };
        receivers[0].wait_for(5);
        receivers[2].wait_for(2);
        std::thread::sleep(Duration::from_millis(2500));
        assert_eq!(kinds(&receivers[2]), ["grant.awarded", "grant.requested"].map(String::from).into(), "of the project joined since");
        assert_eq!(kinds(&receivers[0]).len(), 5);
        assert!(receivers[1].sent().is_empty(), "a donor is told when the day is over");
    }
}
