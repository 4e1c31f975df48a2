//! What the books say afterwards: balances of any moment, refunds, overdraft, reversal, and the audit.

use serde_json::{Value, json};

use crate::town::{Side, Town, day, job, text, usd};

fn charge(town: &Town, own: &Side, grant: &str, hours: &str) -> String {
    let record = job(&town.fresh("job"), &own.resource, &json!({"grant": grant, "quantities": {"gpu-hour": hours}}));
    text(&town.make(&own.as_provider, "/v1/usage", &record), "id")
}

fn balance(town: &Town, who: &str, grant: &str, query: &str) -> Value {
    town.get(who, &format!("/v1/grants/{grant}/balance{query}")).expect(200).json
}

pub fn balances_are_told_of_any_moment(town: &Town, own: &Side) {
    let grant = town.grant(&own.as_researcher, &own.project, "30", &json!({"resources": [own.resource]}), "reject");
    let entries =
        |query: &str| town.get(&own.as_researcher, &format!("/v1/grants/{grant}/entries{query}")).expect(200).json["data"].clone();
    let awarded_at = entries("")[0]["seq"].as_i64().expect("a sequence");
    charge(town, own, &grant, "4");
    let now = balance(town, &own.as_researcher, &grant, "");
    assert_eq!((&now["available"], &now["spent"], &now["awarded"]), (&usd("20.000000"), &usd("10.000000"), &usd("30.000000")));
    assert_eq!(now["lots"][0]["available"], usd("20.000000"));
    let at = balance(town, &own.as_provider, &grant, &format!("?at={awarded_at}"));
    assert_eq!((&at["available"], &at["spent"]), (&usd("30.000000"), &usd("0.000000")));
    let before_the_job = balance(town, &town.staff.auditor, &grant, &format!("?as_of={}", day(-10)));
    assert_eq!((&before_the_job["available"], &before_the_job["spent"]), (&usd("30.000000"), &usd("0.000000")));
    let before_it_all = balance(town, &town.staff.auditor, &grant, &format!("?as_of={}", day(-70)));
    assert_eq!((&before_it_all["available"], &before_it_all["spent"]), (&usd("0.000000"), &usd("0.000000")));
    let both = town.get(&own.as_researcher, &format!("/v1/grants/{grant}/balance?at=1&as_of={}", day(-1)));
    assert_eq!(both.expect(400).json["code"], "invalid_parameter");
    let lines = entries("");
    let sums: Vec<&Value> = lines.as_array().expect("lines").iter().map(|line| &line["balance"]["value"]).collect();
    assert_eq!(sums, ["30.000000", "20.000000", "10.000000"], "{lines}");
    let account = text(&lines[0], "account");
    let of_account = |query: &str| town.get(&town.staff.auditor, &format!("/v1/accounts/{account}{query}")).expect(200).json;
    assert_eq!((&of_account("")["balance"], &of_account("")["class"]), (&usd("20.000000"), &json!("asset")));
    assert_eq!(of_account(&format!("?at={awarded_at}"))["balance"], usd("30.000000"));
    assert_eq!(of_account("/entries")["data"][1]["amount"], usd("-10.000000"));
    let listed = town.get(&town.staff.auditor, &format!("/v1/accounts?grant={grant}")).expect(200).json;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2), "{listed}");
}

pub fn refunds_are_capped(town: &Town, own: &Side) {
    let grant = town.grant(&own.as_researcher, &own.project, "10", &json!({"resources": [own.resource]}), "reject");
    let charge = charge(town, own, &grant, "4");
    let path = format!("/v1/charges/{charge}/refunds");
    let part = town.make(&own.as_provider, &path, &json!({"amount": usd("4"), "reason": "A node failed."}));
    assert_eq!((&part["object"], &part["amount"]), (&json!("refund"), &usd("4.000000")));
    assert_eq!(part["lots"], json!([{"lot": own.lot, "amount": usd("4.000000")}]));
    let more = town.post(&own.as_provider, &path, &json!({"amount": usd("6.000001"), "reason": "Too much."})).expect(409).json;
    assert_eq!((&more["code"], &more["params"]["refundable"]), (&json!("refund_exceeds_charge"), &json!("6.000000")));
    let rest = town.make("officer", &path, &json!({"reason": "All of it."}));
    assert_eq!(rest["amount"], usd("6.000000"));
    let listed = town.get(&own.as_researcher, &path).expect(200).json;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2));
    let after = balance(town, &own.as_researcher, &grant, "");
    assert_eq!((&after["available"], &after["refunded"], &after["spent"]), (&usd("10.000000"), &usd("10.000000"), &usd("0.000000")));
}

pub fn overdraft_is_charged_and_covered(town: &Town, own: &Side) {
    let grant = town.grant(&own.as_researcher, &own.project, "10", &json!({"resources": [own.resource]}), "record");
    let first = charge(town, own, &grant, "4");
    let second = charge(town, own, &grant, "1");
    let shown = town.get(&own.as_researcher, &format!("/v1/charges/{second}")).expect(200).json;
    assert_eq!((&shown["overdraft"], &shown["lots"]), (&usd("2.500000"), &json!([])));
    assert_eq!(balance(town, &own.as_researcher, &grant, "")["overdraft"], usd("2.500000"));
    // What the refund frees pays the overdraft first.
    town.make("officer", &format!("/v1/charges/{first}/refunds"), &json!({"amount": usd("3"), "reason": "Cut short."}));
    let after = balance(town, &own.as_researcher, &grant, "");
    assert_eq!((&after["overdraft"], &after["available"], &after["spent"]), (&usd("0.000000"), &usd("0.500000"), &usd("9.500000")));
}

pub fn a_transaction_is_reversed_once(town: &Town, own: &Side) {
    let lot = town.lot(&own.donation, "12", None);
    let lines = town.get(&town.staff.officer, &format!("/v1/lots/{lot}/entries")).expect(200).json;
    let delivery = text(&lines["data"][0], "transaction");
    let path = format!("/v1/transactions/{delivery}/reversal");
    let alone = town.post(&town.staff.officer, &path, &json!({"reason": "Booked on the wrong donation."})).expect(403);
    assert_eq!(alone.json["code"], "self_approval", "who booked it does not take it back alone");
    let mirror = town.make("officer2", &path, &json!({"reason": "Booked on the wrong donation."}));
    let seen = town.get(&town.staff.auditor, &format!("/v1/transactions/{delivery}")).expect(200).json;
    assert_eq!((&seen["reversed_by"], &mirror["kind"]), (&mirror["seq"], &json!("reversal")));
    let amounts = |from: &Value| -> Vec<(String, String)> {
        let postings = from["postings"].as_array().expect("postings");
        postings.iter().map(|p| (text(p, "account"), text(&p["amount"], "value").trim_start_matches('-').to_owned())).collect()
    };
    assert_eq!(amounts(&seen), amounts(&mirror));
    let twice = town.post(&town.staff.officer2, &path, &json!({"reason": "Again."})).expect(409);
    assert_eq!(twice.json["code"], "already_reversed");
    assert_eq!(town.get(&town.staff.officer, &format!("/v1/lots/{lot}")).expect(200).json["whereabouts"]["available"], usd("0.000000"));
}

/// A cancelled pledge counts as far as it was delivered; a delivery reversed later leaves nothing to wait for.
pub fn a_cancelled_pledge_is_what_was_delivered(town: &Town) {
    let donor = text(&town.make("officer", "/v1/donors", &json!({"name": "Example Donor c", "kind": "nonprofit"})), "id");
    let donation = town.donation(&donor, "100", &json!({}));
    let (_, second) = (town.lot(&donation, "40", None), town.lot(&donation, "20", None));
    let summary = || town.get(&town.staff.officer, &format!("/v1/donors/{donor}/summary")).expect(200).json["units"][0].clone();
    let told = || (summary()["pledged"].clone(), summary()["delivered"].clone());
    assert_eq!(told(), (usd("100.000000"), usd("60.000000")));
    town.make("officer", &format!("/v1/donations/{donation}/cancellation"), &json!({}));
    assert_eq!(told(), (usd("60.000000"), usd("60.000000")));
    let lines = town.get(&town.staff.officer, &format!("/v1/lots/{second}/entries")).expect(200).json;
    let path = format!("/v1/transactions/{}/reversal", text(&lines["data"][0], "transaction"));
    town.make("officer2", &path, &json!({"reason": "It never came."}));
    assert_eq!(told(), (usd("40.000000"), usd("40.000000")));
    for (side, balance) in [("receivable", "0.000000"), ("given", "-40.000000")] {
        let account = town.get(&town.staff.auditor, &format!("/v1/accounts/donation:{donation}:{side}")).expect(200).json;
        assert_eq!(account["balance"], usd(balance), "{account}");
    }
    let before_acceptance = json!({"donor": donor, "title": "Never", "pledged": usd("7"), "on_expiry": "lapse"});
    let donation = text(&town.make("officer", "/v1/donations", &before_acceptance), "id");
    assert_eq!(told().0, usd("40.000000"), "a proposal promises nothing");
    town.make("officer", &format!("/v1/donations/{donation}/cancellation"), &json!({}));
    assert_eq!(told().0, usd("40.000000"));
}

pub fn the_audit_holds(town: &Town) {
    let auditor = &town.staff.auditor;
    let audit = town.get(auditor, "/v1/audit").expect(200).json;
    assert_eq!(audit["holds"], true, "{audit}");
    assert!(audit["laws"].as_array().is_some_and(|laws| laws.len() >= 7), "{audit}");
    let trial = town.get(auditor, "/v1/trial-balance").expect(200).json;
    assert_eq!((&trial["balanced"], &trial["units"][0]["unit"]), (&json!(true), &json!("USD")));
    for query in [format!("?as_of={}", day(-20)), "?at=25".to_owned()] {
        assert_eq!(town.get(auditor, &format!("/v1/trial-balance{query}")).expect(200).json["balanced"], true);
    }
    let metrics = town.server.get("/metrics", None, &[]).expect(200);
    assert!(metrics.text.contains("route=\"/v1/audit\"") && !metrics.text.contains("grt_"), "{}", metrics.text);
}
