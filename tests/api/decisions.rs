//! A request, a first look at what its award would post, and the decision on the version that was read.

use serde_json::{Value, json};

use crate::town::{Side, Town, text, usd};

pub fn are_tried_named_and_not_ones_own(town: &Town, own: &Side) {
    let request = town.request(&own.as_researcher, &own.project, "50", &json!({"external_id": "award-1"}));
    let grant = text(&request, "id");
    assert_eq!((&request["state"], &request["awarded"], &request["version"]), (&json!("requested"), &usd("0.000000"), &json!(1)));
    let path = format!("/v1/grants/{grant}/decisions");
    let (officer, approve) =
        (&town.staff.officer, json!({"verdict": "approve", "awarded": usd("40"), "reason": "Most of it.", "no_conflict": true}));
    assert_eq!(town.post(officer, &path, &approve).expect(428).json["code"], "if_match_required");
    let stale = town.post_with(officer, &path, &[("if-match", "\"v7\"")], &approve);
    assert_eq!(stale.expect(412).json["code"], "version_mismatch");
    let read = town.get(officer, &format!("/v1/grants/{grant}")).expect(200);
    let version = read.header("etag").to_owned();
    assert_eq!(version, "\"v1\"");
    let named = [("if-match", version.as_str())];
    let before = town.get(officer, &format!("/v1/lots/{}", own.lot)).expect(200).json["whereabouts"]["available"].clone();
    let tried = town.post_with(officer, &format!("{path}?dry_run=true"), &named, &approve).expect(200);
    assert_eq!((tried.header("location"), tried.header("etag")), ("", ""), "of what is not there");
    let tried = tried.json;
    assert_eq!((&tried["dry_run"], &tried["grant"]["awarded"]), (&json!(true), &usd("40.000000")));
    assert_eq!(town.get(officer, &format!("/v1/grants/{grant}")).expect(200).json["state"], "requested");
    let taken = town.post_with(officer, &path, &named, &approve).expect(201);
    assert_eq!((taken.header("etag"), &taken.json["dry_run"]), ("\"v2\"", &json!(false)));
    assert_eq!((&taken.json["postings"], &taken.json["will_lapse"]), (&tried["postings"], &tried["will_lapse"]));
    assert_eq!(taken.json["postings"][0]["amount"], usd("-40.000000"));
    let after = town.get(officer, &format!("/v1/lots/{}", own.lot)).expect(200).json["whereabouts"]["available"].clone();
    assert_ne!(before, after);
    posted_as_told(town, &taken.json);
    let late = town.post_with(officer, &path, &[("if-match", "\"v2\"")], &approve);
    assert_eq!(late.expect(409).json["code"], "already_decided");
    let decisions = town.get(&own.as_researcher, &path).expect(200).json;
    assert_eq!((decisions["data"].as_array().map(Vec::len), &decisions["data"][0]["verdict"]), (Some(1), &json!("approve")));
    rejected(town, own);
    not_ones_own(town, own);
}

/// The transaction has the postings that were foretold.
fn posted_as_told(town: &Town, taken: &Value) {
    let transaction = text(&taken["decision"], "transaction");
    let posted = town.get(&town.staff.auditor, &format!("/v1/transactions/{transaction}")).expect(200).json;
    let lines = |from: &Value| -> Vec<(Value, Value)> {
        let mut lines: Vec<_> = from.as_array().expect("lines").iter().map(|l| (l["account"].clone(), l["amount"].clone())).collect();
        lines.sort_by_key(|(account, _)| account.to_string());
        lines
    };
    assert_eq!(lines(&posted["postings"]), lines(&taken["postings"]));
    assert_eq!(posted["kind"], "award");
}

fn not_ones_own(town: &Town, own: &Side) {
    let grant = text(&town.request(&town.staff.officer, &own.project, "1", &json!({})), "id");
    let refused = town.decide(&grant, &json!({"verdict": "approve", "reason": "For me."})).expect(403);
    assert_eq!(refused.json["code"], "self_approval");
}

fn rejected(town: &Town, own: &Side) {
    let grant = text(&town.request(&own.as_researcher, &own.project, "1", &json!({})), "id");
    let awarding = town.decide(&grant, &json!({"verdict": "reject", "awarded": usd("1"), "reason": "No."})).expect(422);
    assert_eq!(awarding.json["errors"][0]["pointer"], "/awarded");
    let refused = town.decide(&grant, &json!({"verdict": "reject", "reason": "Too early."})).expect(201).json;
    assert_eq!((&refused["grant"]["state"], &refused["postings"]), (&json!("rejected"), &json!([])));
}
