//! One story told by the three users and their staff, on both databases; each chapter is a module of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::database::databases;
use crate::support::server::Server;
use crate::town::{Side, Town, day, job, text, usd};
use crate::{books, decisions, lists, usage};

#[test]
fn a_donation_becomes_a_grant_and_pays_for_jobs() {
    for database in databases() {
        let kind = database.kind;
        let (town, own, foreign) = Town::settled(database);
        println!("on {kind}");
        four_eyes_accept(&town, &own);
        decisions::are_tried_named_and_not_ones_own(&town, &own);
        usage::single_records_are_charged_once(&town, &own, &foreign);
        usage::batches_judge_each_record(&town, &own);
        usage::batches_can_be_atomic_tried_and_terse(&town, &own);
        usage::streams_are_answered_line_by_line(&town, &own);
        usage::quarantine_is_resolved(&town, &own);
        books::balances_are_told_of_any_moment(&town, &own);
        books::refunds_are_capped(&town, &own);
        books::overdraft_is_charged_and_covered(&town, &own);
        books::a_transaction_is_reversed_once(&town, &own);
        books::a_cancelled_pledge_is_what_was_delivered(&town);
        lists::are_paged(&town);
        lists::have_other_forms(&town);
        lists::rows_are_told_as_each_alone(&town, &own);
        lists::answers_are_kept(&town);
        foreign_objects_are_not_there(&town, &own, &foreign);
        requests_have_names(&town);
        books::the_audit_holds(&town);
    }
}

fn four_eyes_accept(town: &Town, own: &Side) {
    let new = json!({"donor": own.donor, "title": "More", "pledged": usd("5"), "on_expiry": "return", "terms": {"purpose": "teaching"}});
    let proposed = town.make("officer", "/v1/donations", &new);
    let donation = text(&proposed, "id");
    assert_eq!((&proposed["state"], &proposed["version"], &proposed["pledged"]), (&json!("proposed"), &json!(1), &usd("5.000000")));
    let early = town.post(
        &town.staff.officer,
        &format!("/v1/donations/{donation}/deliveries"),
        &json!({"amount": usd("1"), "delivered_at": day(-1)}),
    );
    assert_eq!(early.expect(409).json["code"], "already_decided");
    let acceptance = format!("/v1/donations/{donation}/acceptance");
    assert_eq!(town.post(&town.staff.officer, &acceptance, &json!({})).expect(403).json["code"], "self_approval");
    let accepted = town.post(&town.staff.officer2, &acceptance, &json!({})).expect(201);
    assert_eq!((accepted.header("etag"), &accepted.json["state"]), ("\"v2\"", &json!("accepted")));
    let lot = town.lot(&donation, "7.5", Some(day(20)));
    let summary = town.get(&own.as_donor, &format!("/v1/donors/{}/summary", own.donor)).expect(200).json;
    let usd_line = &summary["units"][0];
    assert_eq!((&usd_line["delivered"], &usd_line["unit"]), (&usd("1007.500000"), &json!("USD")), "{summary}");
    let returned = town.make("officer", &format!("/v1/lots/{lot}/return"), &json!({"amount": usd("0.5")}));
    assert_eq!(returned["whereabouts"]["returned"], usd("0.500000"));
    let entries = town.get(&town.staff.auditor, &format!("/v1/lots/{lot}/entries")).expect(200).json;
    let kinds: Vec<&str> = entries["data"].as_array().expect("lines").iter().filter_map(|line| line["kind"].as_str()).collect();
    assert_eq!(kinds, ["delivery", "return", "return"], "{entries}");
}

fn foreign_objects_are_not_there(town: &Town, own: &Side, foreign: &Side) {
    let paths = |side: &Side| {
        [
            (&own.as_donor, format!("/v1/donors/{}", side.donor)),
            (&own.as_donor, format!("/v1/donors/{}/summary", side.donor)),
            (&own.as_donor, format!("/v1/donations/{}", side.donation)),
            (&own.as_donor, format!("/v1/donations/{}/deliveries", side.donation)),
            (&own.as_donor, format!("/v1/lots/{}", side.lot)),
            (&own.as_researcher, format!("/v1/projects/{}", side.project)),
            (&own.as_researcher, format!("/v1/grants/{}", side.grant)),
            (&own.as_researcher, format!("/v1/grants/{}/entries", side.grant)),
            (&own.as_researcher, format!("/v1/charges/{}", side.charge)),
            (&own.as_provider, format!("/v1/charges/{}", side.charge)),
            (&own.as_provider, format!("/v1/grants/{}/balance", side.grant)),
            (&own.as_provider, format!("/v1/usage/{}", side.usage)),
        ]
    };
    for (token, path) in paths(own) {
        town.get(token, &path).expect(200);
    }
    for (token, path) in paths(foreign) {
        let refused = town.get(token, &path).expect(404).json;
        assert_eq!(refused["code"], "not_found");
        assert!(!refused.to_string().contains("Example"), "{refused}");
    }
    let seen = |token: &str, path: &str| town.get(token, path).expect(200).json["data"].clone();
    let only =
        |rows: Value, name: &str, id: &str| rows.as_array().is_some_and(|rows| !rows.is_empty() && rows.iter().all(|row| row[name] == id));
    assert!(only(seen(&own.as_donor, "/v1/donations"), "donor", &own.donor));
    assert!(only(seen(&own.as_donor, "/v1/lots"), "donor", &own.donor));
    assert!(only(seen(&own.as_researcher, "/v1/grants"), "project", &own.project));
    assert!(only(seen(&own.as_provider, "/v1/charges"), "resource", &own.resource));
    assert!(only(seen(&own.as_provider, "/v1/usage/quarantine"), "provider", &own.centre));
    assert_eq!(seen(&own.as_donor, &format!("/v1/lots?donor={}", foreign.donor)), json!([]));
}

fn requests_have_names(town: &Town) {
    let named = town.server.get("/v1/me", Some(&town.staff.admin), &[("x-request-id", "night-shift.7")]).expect(200);
    assert_eq!(named.header("x-request-id"), "night-shift.7");
    let refused = town.server.get("/v1/me", None, &[("x-request-id", "night-shift.8")]).expect(401);
    assert_eq!((refused.header("x-request-id"), &refused.json["request_id"]), ("night-shift.8", &json!("night-shift.8")));
    let fresh = town.get(&town.staff.admin, "/v1/me").expect(200);
    assert_eq!(fresh.header("x-request-id").len(), 36);
    assert_eq!((&fresh.json["subject"], &fresh.json["roles"]), (&json!("admin"), &json!(["admin"])));
}

/// A server that is asked to end while a batch is on its way reads and answers it in full first, and all of it is in the books.
#[test]
fn an_accepted_batch_is_finished_before_the_end() {
    for database in databases() {
        let (town, own, _) = Town::settled(database);
        let grant = town.grant(&own.as_researcher, &own.project, "500", &json!({}), "record");
        let small = json!({"grant": grant, "quantities": {"gpu-hour": "0.001"}});
        let records: Vec<Value> = (0..5000).map(|n| job(&format!("last-{n}"), &own.resource, &small)).collect();
        let body = json!({"records": records}).to_string();
        let (mut stream, data) = (accepted(&town.server, &own.as_provider, body.len()), town.folder().to_owned());
        let Town { server, database, .. } = town;
        server.ask_to_end();
        std::thread::sleep(Duration::from_millis(300));
        stream.write_all(body.as_bytes()).expect("the body is taken");
        let mut told = String::new();
        stream.read_to_string(&mut told).expect("an answer");
        let (head, body) = told.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{told}\n{}", server.log()));
        let answer: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {head}\n{body:.300}"));
        assert!(head.starts_with("HTTP/1.1 207 "), "{head}");
        assert_eq!(answer["summary"]["charged"], records.len(), "{}: {}", database.kind, answer["summary"]);
        assert!(server.end().success(), "{}", database.kind);
        let place = ["verify", "--json", "--data", data.to_str().expect("UTF-8"), "--database", &database.url];
        let verified: Value = serde_json::from_str(&crate::support::almoner(place).ok().stdout).expect("JSON");
        assert_eq!(verified["holds"], true, "{verified}");
    }
}

/// A connection on which the server has taken the head of a batch and said that it waits for the body.
fn accepted(server: &Server, token: &str, length: usize) -> TcpStream {
    let address = server.address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a patience");
    let head = format!(
        "POST /v1/usage/batch HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("the head is taken");
    let mut word = [0; 25];
    stream.read_exact(&mut word).expect("a word to go on");
    assert_eq!(&word, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}
