//! Quotes and holds: set aside, extended, released, expired by the clock, settled by what was used; a job told in parts; an overdraft's life.

use std::time::Duration;

use almoner::time::{Clock, SECOND};
use serde_json::{Value, json};

use crate::support::database::databases;
use crate::support::server::Answer;
use crate::town::{Side, Town, day, job, merge, text, usd};

#[test]
fn credits_are_held_for_jobs() {
    for database in databases() {
        println!("on {}", database.kind);
        let (town, own, foreign) = Town::settled(database);
        a_job_is_quoted(&town, &own, &foreign);
        credits_are_set_aside_and_released(&town, &own, &foreign);
        a_hold_is_settled_whatever_the_door(&town, &own);
        more_than_was_held_is_taken_from_what_is_free(&town, &own);
        the_clock_ends_a_hold(&town, &own);
        a_job_is_told_in_parts(&town, &own);
        an_overdraft_blocks_and_is_covered_first(&town, &own);
        crate::books::the_audit_holds(&town);
    }
}

struct Desk<'t> {
    town: &'t Town,
    own: &'t Side,
    grant: String,
}

impl<'t> Desk<'t> {
    /// A fresh grant for the side's resource.
    fn open(town: &'t Town, own: &'t Side, amount: &str, overdraft: &str) -> Desk<'t> {
        let grant = town.grant(&own.as_researcher, &own.project, amount, &json!({"resources": [own.resource]}), overdraft);
        Desk { town, own, grant }
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        self.town.post(&self.own.as_provider, path, body)
    }

    fn ask(&self, more: &Value) -> Answer {
        let mut new = json!({"grant": self.grant, "expires_at": day(1)});
        merge(&mut new, more);
        self.post("/v1/holds", &new)
    }

    fn hold(&self, value: &str, more: &Value) -> String {
        let mut new = json!({"amount": usd(value)});
        merge(&mut new, more);
        text(&self.ask(&new).expect(201).json, "id")
    }

    fn shown(&self, hold: &str) -> Value {
        self.town.get(&self.own.as_researcher, &format!("/v1/holds/{hold}")).expect(200).json
    }

    fn settle(&self, hold: &str, name: &str, more: &Value) -> Answer {
        self.town.server.post(&format!("/v1/holds/{hold}/settle"), Some(&self.own.as_provider), &[], &job(name, &self.own.resource, more))
    }

    fn report(&self, name: &str, more: &Value) -> Answer {
        self.town.server.post("/v1/usage", Some(&self.own.as_provider), &[], &job(name, &self.own.resource, more))
    }

    /// Available, held, spent and overdraft, whole or with one decimal.
    fn balance(&self) -> [String; 4] {
        let balance = self.town.get(&self.own.as_researcher, &format!("/v1/grants/{}/balance", self.grant)).expect(200).json;
        ["available", "held", "spent", "overdraft"].map(|name| {
            let value = text(&balance[name], "value");
            value.trim_end_matches('0').trim_end_matches('.').to_owned()
        })
    }
}

fn hours(hours: &str) -> Value {
    json!({"quantities": {"gpu-hour": hours}})
}

fn with(mut a: Value, b: &Value) -> Value {
    merge(&mut a, b);
    a
}

fn a_job_is_quoted(town: &Town, own: &Side, foreign: &Side) {
    let desk = Desk::open(town, own, "15", "reject");
    let new = json!({"grant": desk.grant, "resource": own.resource, "quantities": {"gpu-hour": "4"}, "qos": "high"});
    for who in [&own.as_researcher, &own.as_provider, &town.staff.officer] {
        let quote = town.server.post("/v1/quotes", Some(who), &[], &new).expect(200).json;
        assert_eq!((&quote["amount"], &quote["shortfall"]), (&usd("20.000000"), &usd("5.000000")));
        assert_eq!((&quote["available"], &quote["on_shortfall"]), (&usd("15.000000"), &json!("reject")));
        assert_eq!((&quote["lots"], &quote["rates"]), (&json!([{"lot": own.lot, "amount": usd("15.000000")}]), &json!([own.rate])));
    }
    for who in [&foreign.as_researcher, &foreign.as_provider] {
        town.server.post("/v1/quotes", Some(who), &[], &new).expect(404);
    }
    let late = with(new, &json!({"expires_at": day(60)}));
    assert_eq!(town.server.post("/v1/quotes", Some(&own.as_provider), &[], &late).expect(409).json["code"], "grant_not_active");
    let too_late = with(late, &json!({"expires_at": day(91)}));
    town.server.post("/v1/quotes", Some(&own.as_provider), &[], &too_late).expect(422);
    assert_eq!(desk.balance(), ["15", "0", "0", "0"], "a quote moves nothing");
}

fn credits_are_set_aside_and_released(town: &Town, own: &Side, foreign: &Side) {
    let desk = Desk::open(town, own, "100", "reject");
    let name = town.fresh("hold");
    let new =
        json!({"grant": desk.grant, "amount": usd("75"), "expires_at": day(1), "external_id": name, "job": {"cluster": "a", "id": "77"}});
    let key = [("idempotency-key", name.as_str())];
    let first = town.server.post("/v1/holds", Some(&own.as_provider), &key, &new).expect(201);
    let hold = text(&first.json, "id");
    assert_eq!((first.header("location"), first.header("etag")), (format!("/v1/holds/{hold}").as_str(), "\"v1\""));
    assert_eq!(
        (&first.json["state"], &first.json["held"], &first.json["resource"]),
        (&json!("open"), &usd("75.000000"), &json!(own.resource))
    );
    assert_eq!(first.json["lots"], json!([{"lot": own.lot, "amount": usd("75.000000")}]));
    let again = town.server.post("/v1/holds", Some(&own.as_provider), &key, &new).expect(201);
    assert_eq!((again.header("idempotency-replayed"), &again.json), ("true", &first.json));
    assert_eq!(desk.post("/v1/holds", &new).expect(409).json["code"], "duplicate_external_id");
    assert_eq!(desk.balance(), ["25", "75", "0", "0"]);
    let short = desk.ask(&json!({"amount": usd("75")})).expect(409).json;
    assert_eq!((&short["code"], &short["params"]["shortfall"]), (&json!("insufficient_credits"), &json!("50.000000")));
    let priced = desk.ask(&with(hours("4"), &json!({"resource": own.resource, "qos": "high"}))).expect(201).json;
    assert_eq!(priced["amount"], usd("20.000000"));
    let path = |verb: &str| format!("/v1/holds/{hold}/{verb}");
    let later = desk.post(&path("extend"), &json!({"expires_at": day(2)})).expect(201);
    assert_eq!((later.header("etag"), &later.json["version"], &later.json["held"]), ("\"v2\"", &json!(2), &usd("75.000000")));
    for (end, code) in [(day(1), "validation_failed"), (day(91), "validation_failed"), (day(60), "grant_not_active")] {
        assert_eq!(desk.post(&path("extend"), &json!({"expires_at": end})).json["code"], code, "{end}");
    }
    for (more, code) in [
        (json!({"amount": usd("1"), "expires_at": day(-1)}), "validation_failed"),
        (json!({"amount": usd("1"), "expires_at": day(60)}), "grant_not_active"),
        (json!({"amount": usd("1"), "resource": foreign.resource}), "validation_failed"),
        (json!({"amount": usd("1"), "grant": foreign.grant, "resource": own.resource}), "terms_not_met"),
        (hours("0"), "validation_failed"),
    ] {
        assert_eq!(desk.ask(&more).json["code"], code, "{more}");
    }
    let charge = text(&desk.report(&town.fresh("free"), &with(hours("2"), &json!({"grant": desk.grant}))).expect(201).json, "transaction");
    town.make("officer", &format!("/v1/transactions/{charge}/reversal"), &json!({"reason": "A mistake."}));
    town.get(&foreign.as_provider, &format!("/v1/holds/{hold}")).expect(404);
    town.post(&foreign.as_provider, &path("release"), &json!({})).expect(404);
    let listed = town.get(&own.as_researcher, &format!("/v1/holds?grant={}&state=open", desk.grant)).expect(200).json;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2));
    let released = desk.post(&path("release"), &json!({})).expect(201).json;
    assert_eq!((&released["state"], &released["held"], &released["lots"]), (&json!("released"), &usd("0.000000"), &json!([])));
    assert_eq!(desk.post(&path("release"), &json!({})).expect(409).json["code"], "hold_not_open");
    assert_eq!(desk.balance(), ["80", "20", "0", "0"]);
}

fn a_hold_is_settled_whatever_the_door(town: &Town, own: &Side) {
    let desk = Desk::open(town, own, "100", "reject");
    let hold = desk.hold("40", &json!({}));
    let name = town.fresh("settled");
    let charge = desk.settle(&hold, &name, &json!({})).expect(201).json;
    assert_eq!((&charge["amount"], &charge["balance_after"]), (&usd("10.000000"), &usd("90.000000")));
    assert_eq!((&charge["lots"], &charge["grant"]), (&json!([{"lot": own.lot, "amount": usd("10.000000")}]), &json!(desk.grant)));
    let shown = desk.shown(&hold);
    assert_eq!((&shown["state"], &shown["charge"], &shown["held"]), (&json!("settled"), &charge["id"], &usd("0.000000")));
    assert_eq!(desk.balance(), ["90", "0", "10", "0"]);
    for again in [desk.settle(&hold, &name, &json!({})), desk.report(&name, &json!({})), desk.report(&name, &json!({"hold": hold}))] {
        assert_eq!((again.status, &again.json["id"]), (200, &charge["id"]), "{}", again.text);
    }
    assert_eq!(desk.settle(&hold, &name, &hours("5")).expect(409).json["code"], "usage_conflict");
    let other = desk.settle(&hold, &town.fresh("settled"), &json!({})).expect(409).json;
    assert_eq!(other["code"], "hold_not_open");
    let kept = format!("/v1/usage/quarantine/{}/resolve", text(&other["params"], "quarantine"));
    town.make("officer", &kept, &json!({"action": "charge", "grant": desk.grant}));
    let reversal = format!("/v1/transactions/{}/reversal", text(&charge, "transaction"));
    assert_eq!(town.post(&town.staff.officer, &reversal, &json!({"reason": "A mistake."})).expect(409).json["code"], "not_reversible");
    let refund = json!({"reason": "A fault.", "amount": usd("4")});
    town.make("officer", &format!("/v1/charges/{}/refunds", text(&charge, "id")), &refund);
    assert_eq!(desk.balance(), ["84", "0", "16", "0"], "a refund goes back to what is free");
    // An epilog that knows only the job: its hold says whose it is.
    let held = json!({"cluster": "a", "id": town.fresh("job")});
    let by_job = desk.hold("40", &json!({"job": held}));
    let twice = desk.ask(&json!({"amount": usd("1"), "job": held})).expect(409).json;
    assert_eq!((&twice["code"], &twice["params"]["hold"]), (&json!("duplicate_external_id"), &json!(by_job)), "one hold for a job");
    let found = desk.report(&town.fresh("epilog"), &json!({"started_at": null, "ended_at": day(0), "job": held})).expect(201).json;
    assert_eq!((&found["grant"], &desk.shown(&by_job)["charge"]), (&json!(desk.grant), &found["id"]));
    let batch = desk.hold("10", &json!({}));
    let record = job(&town.fresh("batch"), &own.resource, &json!({"hold": batch}));
    let told = town.server.post("/v1/usage/batch", Some(&own.as_provider), &[], &json!({"records": [record]})).expect(207).json;
    assert_eq!((&told["results"][0]["outcome"], &desk.shown(&batch)["state"]), (&json!("charged"), &json!("settled")));
    assert_eq!(desk.balance(), ["64", "0", "36", "0"]);
    // The job came through a door that did not know of its hold: settled afterwards, nothing stays set aside.
    let (dangling, name) = (desk.hold("20", &json!({})), town.fresh("door"));
    let charge = desk.report(&name, &json!({"grant": desk.grant})).expect(201).json;
    let settled = desk.settle(&dangling, &name, &json!({"grant": desk.grant})).expect(200).json;
    assert_eq!((&settled["id"], &desk.shown(&dangling)["state"]), (&charge["id"], &json!("released")));
    assert_eq!(desk.balance(), ["54", "0", "46", "0"]);
}

fn more_than_was_held_is_taken_from_what_is_free(town: &Town, own: &Side) {
    let desk = Desk::open(town, own, "30", "reject");
    let hold = desk.hold("20", &json!({}));
    let charge = desk.settle(&hold, &town.fresh("long"), &hours("10")).expect(201).json;
    assert_eq!((&charge["amount"], &charge["lots"][0]["amount"]), (&usd("25.000000"), &usd("25.000000")));
    let hold = desk.hold("5", &json!({}));
    let short = desk.settle(&hold, &town.fresh("long"), &json!({})).expect(409).json;
    assert_eq!((&short["code"], &short["params"]["shortfall"]), (&json!("insufficient_credits"), &json!("5.000000")));
    assert_eq!((desk.balance(), &desk.shown(&hold)["state"]), (["0", "5", "25", "0"].map(String::from), &json!("open")));
}

fn the_clock_ends_a_hold(town: &Town, own: &Side) {
    let desk = Desk::open(town, own, "30", "record");
    let soon = Clock::system().now().plus(2 * SECOND).to_string();
    let hold = desk.hold("30", &json!({"expires_at": soon, "external_id": town.fresh("hold")}));
    assert_eq!(desk.balance(), ["0", "30", "0", "0"]);
    let entries = town.get(&own.as_researcher, &format!("/v1/grants/{}/entries", desk.grant)).expect(200).json["data"].clone();
    let held_at = entries.as_array().and_then(|lines| lines.iter().filter_map(|line| line["seq"].as_i64()).max()).expect("a line");
    std::thread::sleep(Duration::from_millis(2100));
    assert_eq!((desk.balance(), &desk.shown(&hold)["state"]), (["30", "0", "0", "0"].map(String::from), &json!("expired")));
    let expired = town.get(&own.as_provider, &format!("/v1/holds?grant={}&state=expired", desk.grant)).expect(200).json;
    assert_eq!(expired["data"][0]["id"], hold);
    // After an entry that has nothing to do with it, the books at that entry show the hold ended, before and after that is booked.
    town.make("admin", "/v1/institutions", &json!({"name": "Example Later", "external_id": town.fresh("later")}));
    let audited = town.get(&town.staff.auditor, "/v1/audit").expect(200).json;
    let head = audited["entries"].as_i64().expect("the number of entries");
    let then = || town.get(&own.as_researcher, &format!("/v1/grants/{}/balance?at={head}", desk.grant)).expect(200).json;
    let unbooked = then();
    assert_eq!((&unbooked["available"], &unbooked["held"]), (&usd("30.000000"), &usd("0.000000")));
    let next = desk.hold("25", &json!({}));
    assert_eq!(then(), unbooked);
    let before = town.get(&own.as_researcher, &format!("/v1/grants/{}/balance?at={held_at}", desk.grant)).expect(200).json;
    assert_eq!((&before["available"], &before["held"]), (&usd("0.000000"), &usd("30.000000")));
    assert_eq!(desk.post(&format!("/v1/holds/{hold}/release"), &json!({})).expect(409).json["code"], "hold_not_open");
    let late = desk.settle(&hold, &town.fresh("late"), &json!({})).expect(201).json;
    assert_eq!((&late["overdraft"], &desk.shown(&hold)["state"]), (&usd("5.000000"), &json!("settled")), "the job did run");
    assert_eq!(desk.balance(), ["0", "25", "5", "5"]);
    assert_eq!(desk.settle(&hold, &town.fresh("late"), &json!({})).expect(409).json["code"], "hold_not_open");
    assert_eq!(desk.shown(&next)["state"], "open");
}

fn a_job_is_told_in_parts(town: &Town, own: &Side) {
    let desk = Desk::open(town, own, "100", "reject");
    let hold = desk.hold("50", &json!({}));
    let name = town.fresh("parted");
    let part = |number: i64, used: &str| desk.settle(&hold, &name, &with(hours(used), &json!({"part": number})));
    let first = part(1, "2").expect(201).json;
    assert_eq!((&first["part"], &first["amount"]), (&json!(1), &usd("5.000000")));
    part(2, "2").expect(201);
    assert_eq!(part(1, "2").expect(200).json["id"], first["id"]);
    assert_eq!(part(1, "3").expect(409).json["code"], "usage_conflict");
    assert_eq!((desk.balance(), &desk.shown(&hold)["held"]), (["50", "40", "10", "0"].map(String::from), &usd("40.000000")));
    let totals = || town.get(&own.as_provider, &format!("/v1/usage/totals?grant={}", desk.grant)).expect(200).json;
    assert_eq!((&totals()["records"], &totals()["meters"]), (&json!(2), &json!({"gpu-hour": "4"})));
    let total = desk.settle(&hold, &name, &hours("3")).expect(201).json;
    assert_eq!((&total["part"], &total["amount"], &total["lots"]), (&Value::Null, &usd("0.000000"), &json!([])));
    assert_eq!(total["balance_after"], usd("92.500000"), "with what the parts got back");
    assert_eq!((desk.balance(), &desk.shown(&hold)["charge"]), (["92.5", "0", "7.5", "0"].map(String::from), &total["id"]));
    assert_eq!((&totals()["records"], &totals()["meters"]), (&json!(1), &json!({"gpu-hour": "3"})));
    let late = part(3, "1").expect(409).json;
    assert_eq!((&late["code"], &late["params"]["charge"]), (&json!("usage_conflict"), &total["id"]));
    assert_eq!(part(2, "2").expect(200).json["part"], 2);
    let other = town.fresh("parted");
    desk.report(&other, &with(hours("2"), &json!({"grant": desk.grant, "part": 7}))).expect(201);
    let rest = desk.report(&other, &json!({"grant": desk.grant})).expect(201).json;
    assert_eq!((&rest["amount"], desk.balance()), (&usd("5.000000"), ["82.5", "0", "17.5", "0"].map(String::from)));
}

fn an_overdraft_blocks_and_is_covered_first(town: &Town, own: &Side) {
    let desk = Desk::open(town, own, "20", "record");
    let hold = desk.hold("15", &json!({}));
    let charge = desk.report(&town.fresh("beyond"), &json!({"grant": desk.grant})).expect(201).json;
    assert_eq!((&charge["overdraft"], desk.balance()), (&usd("5.000000"), ["0", "15", "5", "5"].map(String::from)));
    let blocked = desk.ask(&json!({"amount": usd("1")})).expect(409).json;
    assert_eq!((&blocked["code"], &blocked["params"]["overdraft"]), (&json!("insufficient_credits"), &json!("5.000000")));
    let quote = json!({"grant": desk.grant, "resource": own.resource, "quantities": {"gpu-hour": "1"}});
    let quote = town.server.post("/v1/quotes", Some(&own.as_provider), &[], &quote).expect(200).json;
    assert_eq!(quote["overdraft"], usd("5.000000"));
    desk.post(&format!("/v1/holds/{hold}/release"), &json!({})).expect(201);
    assert_eq!(desk.balance(), ["10", "0", "10", "0"], "what is freed covers first");
    desk.hold("10", &json!({}));
}
