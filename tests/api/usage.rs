//! Usage records: one by one, by the batch, as a stream, and those that were set aside.

use serde_json::{Value, json};

use crate::support::server::Answer;
use crate::town::{Side, Town, day, is_instant, job, text, usd};

/// A fresh grant of the side's project without overdraft.
fn grant(town: &Town, own: &Side, amount: &str) -> String {
    town.grant(&own.as_researcher, &own.project, amount, &json!({"resources": [own.resource]}), "reject")
}

pub fn single_records_are_charged_once(town: &Town, own: &Side, foreign: &Side) {
    let grant = grant(town, own, "25");
    let record = job("job:1", &own.resource, &json!({"grant": grant, "qos": "high", "user": "u1", "job": {"cluster": "a", "id": "1"}}));
    let first = town.server.post("/v1/usage", Some(&own.as_provider), &[], &record).expect(201);
    let charge = &first.json;
    assert_eq!(first.header("location"), format!("/v1/charges/{}", text(charge, "id")));
    assert_eq!((&charge["amount"], &charge["balance_after"], &charge["overdraft"]), (&usd("20.000000"), &usd("5.000000"), &Value::Null));
    assert_eq!(charge["lots"], json!([{"lot": own.lot, "amount": usd("20.000000")}]));
    assert_eq!((&charge["rate"], &charge["rounding"]), (&json!(own.rate), &json!("half_even")));
    assert!(is_instant(&charge["recorded_at"]));
    let mut same = record.clone();
    same["quantities"] = json!({"gpu-hour": "4.000"});
    let again = town.server.post("/v1/usage", Some(&own.as_provider), &[], &same).expect(200);
    assert_eq!((again.header("idempotency-replayed"), &again.json), ("true", charge));
    same["quantities"] = json!({"gpu-hour": "5"});
    let other = town.server.post("/v1/usage", Some(&own.as_provider), &[], &same).expect(409).json;
    assert_eq!((&other["code"], &other["params"]["charge"]), (&json!("usage_conflict"), &charge["id"]));
    let beyond = town.server.post("/v1/usage", Some(&own.as_provider), &[], &job("job:2", &own.resource, &json!({"grant": grant})));
    let beyond = beyond.expect(409).json;
    assert_eq!((&beyond["code"], &beyond["params"]["shortfall"]), (&json!("insufficient_credits"), &json!("5.000000")));
    let theirs = town.server.post("/v1/usage", Some(&own.as_provider), &[], &job("job:3", &foreign.resource, &json!({"grant": grant})));
    assert_eq!(theirs.expect(422).json["errors"][0]["pointer"], "/resource");
    let seen = town.get(&own.as_researcher, &format!("/v1/charges/{}", text(charge, "id"))).expect(200);
    assert_eq!(&seen.json, charge);
}

fn batch(town: &Town, own: &Side, query: &str, headers: &[(&str, &str)], records: &[Value]) -> Value {
    let sent = town.server.post(&format!("/v1/usage/batch{query}"), Some(&own.as_provider), headers, &json!({"records": records}));
    sent.expect(207).json
}

fn outcomes(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().expect("results").iter().filter_map(|result| result["outcome"].as_str()).collect()
}

pub fn batches_judge_each_record(town: &Town, own: &Side) {
    let (tight, open) = (grant(town, own, "10"), town.grant(&own.as_researcher, &own.project, "10", &json!({}), "record"));
    let record = |name: &str, more: Value| job(name, &own.resource, &more);
    let records = [
        record("b:1", json!({"grant": tight})),
        record("b:1", json!({"grant": tight})),
        record("b:1", json!({"grant": tight, "user": "someone else"})),
        record("b:2", json!({"grant": tight})),
        record("b:3", json!({"grant": open, "quantities": {"gpu-hour": "5"}})),
        record("b:4", json!({"grant": open, "quantity": 1})),
        record("b:5", json!({"account": "unheard-of"})),
        record("b:6", json!({"grant": open, "quantities": {"gpu-hour": "0"}})),
        record("b:7", json!({"grant": open, "ended_at": day(2)})),
    ];
    let answer = batch(town, own, "", &[], &records);
    let expected = ["charged", "duplicate", "conflict", "quarantined", "overdrawn", "rejected", "quarantined", "charged", "rejected"];
    assert_eq!(outcomes(&answer), expected, "{answer}");
    let summary = json!({
        "records": 9, "charged": 2, "duplicate": 1, "conflict": 1, "overdrawn": 1, "rejected": 2, "quarantined": 2, "unprocessed": 0,
        "dry_run": false, "atomic": false,
    });
    assert_eq!((&answer["object"], &answer["summary"]), (&json!("usage_batch"), &summary));
    let result = |n: usize| &answer["results"][n];
    assert_eq!((&result(1)["id"], &result(2)["error"]["code"]), (&result(0)["charge"]["id"], &json!("usage_conflict")));
    assert_eq!(result(4)["charge"]["overdraft"], usd("2.500000"));
    let fault = &result(5)["error"];
    assert_eq!((&fault["code"], &fault["errors"][0]["pointer"]), (&json!("validation_failed"), &json!("/quantity")));
    assert_eq!(result(6)["error"]["code"], "unattributed");
    assert_eq!((&result(7)["charge"]["amount"], &result(7)["charge"]["lots"]), (&usd("0.000000"), &json!([])));
    assert_eq!(result(8)["error"]["errors"][0]["code"], "time_in_future");
}

pub fn batches_can_be_atomic_tried_and_terse(town: &Town, own: &Side) {
    let grant = grant(town, own, "100");
    let good = |name: &str| job(name, &own.resource, &json!({"grant": grant}));
    let charges = || town.get(&own.as_provider, &format!("/v1/charges?grant={grant}")).expect(200).json["data"].as_array().map(Vec::len);
    let spoilt = [good("c:1"), job("c:2", &own.resource, &json!({"account": "unheard-of"})), good("c:3")];
    let answer = batch(town, own, "?atomic=true", &[], &spoilt);
    assert_eq!((outcomes(&answer), charges()), (vec!["unprocessed", "quarantined", "unprocessed"], Some(0)));
    assert_eq!(answer["summary"]["atomic"], true);
    let unreadable = [good("c:1"), json!({"external_id": "c:2"}), json!(7)];
    assert_eq!(outcomes(&batch(town, own, "?atomic=true", &[], &unreadable)), ["unprocessed", "rejected", "rejected"]);
    let pair = [good("c:1"), good("c:3")];
    let tried = batch(town, own, "?dry_run=true", &[], &pair);
    assert_eq!((outcomes(&tried), charges()), (vec!["charged", "charged"], Some(0)));
    assert_eq!(tried["summary"]["dry_run"], true);
    let whole = batch(town, own, "?atomic=true", &[], &pair);
    assert_eq!((outcomes(&whole), charges()), (vec!["charged", "charged"], Some(2)));
    let terse = [good("c:1"), good("c:4"), json!({})];
    let answer = batch(town, own, "", &[("prefer", "return=minimal")], &terse);
    assert_eq!((outcomes(&answer), &answer["summary"]["records"], charges()), (vec!["rejected"], &json!(3), Some(3)), "{answer}");
    let both = town.server.post("/v1/usage/batch", Some(&own.as_provider), &[], &json!({"records": {}})).expect(422);
    assert_eq!(both.json["errors"][0]["pointer"], "/records");
    let many: Vec<Value> = (0..10_001).map(|_| json!({})).collect();
    let many = town.server.post("/v1/usage/batch", Some(&own.as_provider), &[], &json!({"records": many})).expect(422);
    assert_eq!(many.json["errors"][0]["code"], "too_long");
}

fn stream(town: &Town, own: &Side, query: &str, body: &str) -> Answer {
    let headers = [("content-type", "application/x-ndjson")];
    let path = format!("/v1/usage/batch{query}");
    town.server.call("POST", &path, Some(&own.as_provider), &headers, Some(body)).expect("an answer")
}

pub fn streams_are_answered_line_by_line(town: &Town, own: &Side) {
    let grant = grant(town, own, "200");
    let small = json!({"grant": grant, "quantities": {"gpu-hour": "0.01"}});
    let mut lines: Vec<String> = (0..2500).map(|n| job(&format!("d:{n}"), &own.resource, &small).to_string()).collect();
    lines.insert(1200, "{not json".into());
    lines.insert(1300, String::new());
    lines.push(format!("{{\"external_id\":\"{}\"}}", "x".repeat(70_000)));
    let answer = stream(town, own, "", &lines.join("\n")).expect(207);
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let told: Vec<Value> = answer.text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let (last, results) = told.split_last().expect("lines");
    assert_eq!((results.len(), &last["summary"]["charged"], &last["summary"]["rejected"]), (2502, &json!(2500), &json!(2)), "{last}");
    assert!(results.iter().zip(0..).all(|(result, index)| result["index"] == index));
    assert_eq!(results[1200]["error"]["code"], "malformed_json");
    let again = stream(town, own, "?dry_run=true", &lines[..3].join("\n")).expect(207);
    assert!(again.text.lines().take(3).all(|line| line.contains("\"duplicate\"")), "{}", again.text);
    assert_eq!(stream(town, own, "?atomic=true", &lines[0]).expect(400).json["code"], "invalid_parameter");
    let totals = town.get(&own.as_provider, &format!("/v1/usage/totals?grant={grant}")).expect(200).json;
    assert_eq!((&totals["records"], &totals["meters"]), (&json!(2500), &json!({"gpu-hour": "25"})));
}

pub fn quarantine_is_resolved(town: &Town, own: &Side) {
    let grant = grant(town, own, "100");
    let lost = |name: &str| {
        let record = job(name, &own.resource, &json!({"account": "stray"}));
        let refused = town.server.post("/v1/usage", Some(&own.as_provider), &[], &record).expect(409).json;
        assert_eq!(refused["code"], "unattributed");
        text(&refused["params"], "quarantine")
    };
    let (first, second, third) = (lost("e:1"), lost("e:2"), lost("e:3"));
    let open = town.get(&own.as_provider, "/v1/usage/quarantine?state=open&limit=200").expect(200).json;
    let listed: Vec<&str> = open["data"].as_array().expect("rows").iter().filter_map(|row| row["id"].as_str()).collect();
    assert!([&first, &second, &third].iter().all(|id| listed.contains(&id.as_str())), "{open}");
    let path = |id: &str| format!("/v1/usage/quarantine/{id}/resolve");
    let still = town.post(&town.staff.officer, &path(&first), &json!({"action": "charge"})).expect(409);
    assert_eq!(still.json["code"], "unattributed");
    let charged = town.make(&own.as_provider, &path(&first), &json!({"action": "charge", "grant": grant}));
    assert_eq!((&charged["object"], &charged["amount"]), (&json!("charge"), &usd("10.000000")));
    let seen = town.get(&own.as_provider, &format!("/v1/usage/{first}")).expect(200).json;
    assert_eq!((&seen["state"], &seen["charge"]), (&json!("charged"), &charged["id"]));
    let twice = town.post(&own.as_provider, &path(&first), &json!({"action": "charge", "grant": grant})).expect(409);
    assert_eq!(twice.json["code"], "already_decided");
    let gone = town.post(&town.staff.officer, &path(&second), &json!({"action": "dismiss", "reason": "A test job."})).expect(200).json;
    assert_eq!((&gone["state"], &gone["id"]), (&json!("dismissed"), &json!(second)));
    let mapping = json!({"account": "stray", "resource": own.resource});
    town.make(&own.as_researcher, &format!("/v1/projects/{}/account-mappings", own.project), &mapping);
    // Several grants of the project are active now, so the account alone does not tell which.
    let many = town.post(&town.staff.officer, &path(&third), &json!({"action": "charge"})).expect(409).json;
    assert_eq!(many["code"], "unattributed");
}
