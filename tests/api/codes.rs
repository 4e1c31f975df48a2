//! Every code of a refusal, provoked over HTTP, with all that an answer must carry.

use std::collections::BTreeSet;

use almoner::actor::{Actor, Role};
use almoner::http::problem;
use almoner::id::GrantId;
use almoner::refusal::Code;
use almoner::time::{Clock, SECOND};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::support::database::databases;
use crate::support::server::Answer;
use crate::town::{Side, Town, actor, day, job, keys, text, usd};

/// Codes that no request can provoke here, each with the reason.
const NOT_PROVOKED: [(Code, &str); 3] = [
    (Code::Busy, "the writer's queue would have to be full, which depends on the machine; the store's own tests fill it"),
    (Code::ReadOnly, "the books would have to be broken past the program; tests/durability does so"),
    (Code::Internal, "it takes a fault of ours"),
];

/// Codes and the answers in which they were seen.
pub type Seen = Vec<(Code, Answer)>;

#[test]
fn every_code_is_provoked() {
    for database in databases() {
        let (town, own, foreign) = Town::settled(database);
        let mut seen = tokens(&town);
        seen.extend(doors(&town, &own));
        seen.extend(headers(&town, &own));
        seen.extend(decisions(&town, &own));
        seen.extend(lots(&town, &own));
        seen.extend(usage(&town, &own, &foreign));
        seen.extend(guesses(&town));
        for (code, answer) in &seen {
            carries_all(*code, answer);
        }
        let provoked: BTreeSet<Code> = seen.iter().map(|(code, _)| *code).collect();
        let left: BTreeSet<Code> = Code::ALL.iter().copied().filter(|code| !provoked.contains(code)).collect();
        assert_eq!(left, NOT_PROVOKED.map(|(code, _)| code).into_iter().collect(), "codes that are not provoked");
    }
}

/// What RFC 9457 and our own rules ask of the answer.
pub fn carries_all(code: Code, answer: &Answer) {
    let problem = &answer.json;
    assert_eq!((answer.status, problem["code"].as_str()), (problem::status(code).as_u16(), Some(code.slug())), "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/problem+json", "{code}");
    assert_eq!(problem["status"], answer.status, "{code}");
    assert_eq!(problem["type"], format!("/problems/{code}"));
    assert_eq!((problem["title"].as_str(), problem["remedy"].as_str()), (Some(code.title()), Some(code.remedy())));
    assert_eq!(problem["request_id"], answer.header("x-request-id"), "{code}");
    assert!(!answer.header("x-request-id").is_empty() && problem["detail"].as_str().is_some_and(|d| !d.is_empty()), "{}", answer.text);
    assert!(problem["params"].is_object() && problem["errors"].is_array(), "{}", answer.text);
    let challenged = answer.header("www-authenticate").starts_with("Bearer");
    assert_eq!(challenged, answer.status == 401, "{code}");
    for secret in ["almoner::", "diesel", "src/", "SELECT", "panicked"] {
        assert!(!answer.text.contains(secret), "{}", answer.text);
    }
}

fn tokens(town: &Town) -> Seen {
    let now = Clock::system().now();
    let admin = actor("admin", &[Role::Admin]);
    let me = |token: &str| town.get(token, "/v1/me");
    let signed =
        |audience: &str, issuer: Option<&str>, at, ttl| keys(town.folder(), audience, issuer).issue(&admin, ttl, at, "1").expect("a token");
    let good = signed("almoner", None, now, 60);
    let (message, _) = good.rsplit_once('.').expect("three parts");
    let forged = format!("{message}.{}", URL_SAFE_NO_PAD.encode([7u8; 64]));
    let unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), message.split('.').nth(1).expect("claims"));
    let revoked = town.token(&actor("officer", &[Role::Officer]));
    town.post(&revoked, "/v1/tokens/revocation", &json!({})).expect(200);
    vec![
        (Code::TokenMissing, town.server.get("/v1/me", None, &[])),
        (Code::TokenMalformed, me("no-token")),
        (Code::TokenSignatureInvalid, me(&forged)),
        (Code::TokenAlgNotAllowed, me(&unsigned)),
        (Code::TokenExpired, me(&signed("almoner", None, now.plus(-7200 * SECOND), 60))),
        (Code::TokenNotYetValid, me(&signed("almoner", None, now.plus(3600 * SECOND), 60))),
        (Code::TokenAudienceInvalid, me(&signed("another", None, now, 60))),
        (Code::TokenIssuerUnknown, me(&signed("almoner", Some("https://idp.example"), now, 60))),
        (Code::TokenRevoked, me(&revoked)),
        (Code::Forbidden, town.get(&town.staff.admin, "/v1/audit")),
        (Code::Forbidden, town.server.post("/v1/usage", Some(&town.token(&actor("p", &[Role::Provider]))), &[], &json!({}))),
    ]
}

/// Guesses at a token until no more are looked at. Last, since it closes the door for a while.
fn guesses(town: &Town) -> Seen {
    let guess = || town.get("no-token", "/v1/me");
    let refused = std::iter::repeat_with(guess).take(2000).find(|answer| answer.status == 429);
    vec![(Code::RateLimited, refused.expect("an end of guessing"))]
}

fn doors(town: &Town, own: &Side) -> Seen {
    let officer = &town.staff.officer;
    let raw = |body: &str, kind: &str| {
        let headers = [("content-type", kind), ("idempotency-key", "raw")];
        town.server.call("POST", "/v1/units", Some(&town.staff.admin), &headers, Some(body)).expect("an answer")
    };
    let wide = format!("{{\"name\":\"{}\"}}", "x".repeat(1 << 20));
    let put = town.server.call("PUT", "/v1/me", Some(officer), &[], Some("{}")).expect("an answer");
    assert_eq!(put.header("allow"), "GET");
    vec![
        (Code::MalformedJson, raw("{\"code\":", "application/json")),
        (Code::MalformedJson, raw("{\"code\":\"EUR\",\"code\":\"USD\"}", "application/json")),
        (Code::UnsupportedMediaType, raw("code=EUR", "application/x-www-form-urlencoded")),
        (Code::TooLarge, raw(&wide, "application/json")),
        (Code::ValidationFailed, raw("{}", "application/json")),
        (Code::UnknownParameter, town.get(officer, "/v1/grants?nope=1")),
        (Code::InvalidParameter, town.get(officer, "/v1/grants?limit=many")),
        (Code::WrongIdType, town.get(officer, &format!("/v1/grants/{}", own.lot))),
        (Code::WrongIdType, town.get(officer, &format!("/v1/grants?project={}", own.lot.replace("lot_", "prj_") + "0"))),
        (Code::NotFound, town.get(officer, "/v1/nothing")),
        (Code::NotFound, town.get(officer, &format!("/v1/grants/{}", GrantId::from_stamp(1)))),
        (Code::NotFound, town.server.get("/problems/nothing", None, &[])),
        (Code::MethodNotAllowed, put),
        (Code::NotAcceptable, town.server.get("/v1/grants", Some(officer), &[("accept", "image/png")])),
    ]
}

fn headers(town: &Town, own: &Side) -> Seen {
    let officer = Some(town.staff.officer.as_str());
    let donor = json!({"name": "Example Donor", "kind": "industry", "external_id": "once"});
    town.post(&town.staff.officer, "/v1/donors", &donor).expect(201);
    let key = [("idempotency-key", "used")];
    town.server.post("/v1/institutions", officer, &key, &json!({"name": "Example"})).expect(201);
    let decisions = format!("/v1/grants/{}/decisions", own.grant);
    vec![
        (Code::IdempotencyKeyMissing, town.server.post("/v1/donors", officer, &[], &donor)),
        (Code::IdempotencyKeyReused, town.server.post("/v1/institutions", officer, &key, &json!({"name": "Example Other"}))),
        (Code::DuplicateExternalId, town.post(&town.staff.officer, "/v1/donors", &donor)),
        (Code::DuplicateExternalId, town.post(&town.staff.admin, "/v1/units", &json!({"code": "USD", "scale": 6, "name": "Again"}))),
        (Code::IfMatchRequired, town.post(&town.staff.officer, &decisions, &json!({"verdict": "reject", "reason": "No."}))),
    ]
}

fn decisions(town: &Town, own: &Side) -> Seen {
    let approve = json!({"verdict": "approve", "reason": "Sound.", "no_conflict": true});
    let request = |amount: &str, more| text(&town.request(&own.as_researcher, &own.project, amount, &more), "id");
    let stale = |grant: &str| {
        let path = format!("/v1/grants/{grant}/decisions");
        town.post_with(&town.staff.officer, &path, &[("if-match", "W/\"v1\"")], &approve)
    };
    let own_request = text(&town.request(&town.staff.officer, &own.project, "1", &json!({})), "id");
    let undeclared = json!({"verdict": "approve", "reason": "Sound.", "no_conflict": false});
    // Two must approve what brings the project above what it has.
    town.make("admin", "/v1/policies", &json!({"unit": "USD", "two_above": usd("100")}));
    let twice = text(&town.request(&own.as_researcher, &own.project, "1", &json!({})), "id");
    town.decide(&twice, &approve).expect(201);
    let again = json!({"verdict": "approve", "reason": "Sound.", "no_conflict": true});
    let again = town.post_with(&town.staff.officer, &format!("/v1/grants/{twice}/decisions"), &[("if-match", "\"v2\"")], &again);
    let named = |lot: &str| json!({"verdict": "approve", "reason": "Sound.", "lots": [{"lot": lot, "amount": usd("1")}]});
    let biology = town.donation(&own.donor, "5", &json!({"fields_of_science": ["Biology"]}));
    let (biology, gone) = (town.lot(&biology, "5", None), town.lot(&own.donation, "5", Some(day(-55))));
    let both_sides = json!({"person": own.person, "role": "officer"});
    let limited = town.officer_with_limit("limited", "1");
    let above = format!("/v1/grants/{}/decisions", request("2", json!({})));
    let declared = json!({"verdict": "approve", "reason": "Sound.", "no_conflict": true});
    vec![
        (Code::ApprovalLimitExceeded, town.post_with(&limited, &above, &[("if-match", "\"v1\"")], &declared)),
        (Code::ConflictOfInterest, town.post(&town.staff.admin, "/v1/role-bindings", &both_sides)),
        (Code::VersionMismatch, stale(&request("1", json!({})))),
        (Code::SelfApproval, town.decide(&own_request, &approve)),
        (Code::SameApproverTwice, again),
        (Code::ConflictOfInterest, town.decide(&request("1", json!({})), &undeclared)),
        (Code::HoldsOpen, town.post(&own.as_researcher, &format!("/v1/grants/{}/close", own.grant), &json!({"reason": "Done."}))),
        (Code::AlreadyDecided, town.decide(&own.grant, &approve)),
        (Code::InsufficientCredits, town.decide(&request("999999", json!({})), &approve)),
        (Code::TermsNotMet, town.decide(&request("1", json!({})), &named(&biology))),
        (Code::LotExpired, town.decide(&request("1", json!({})), &named(&gone))),
    ]
}

fn lots(town: &Town, own: &Side) -> Seen {
    let officer = &town.staff.officer;
    let lot = town.lot(&own.donation, "3", None);
    let lines = town.get(officer, &format!("/v1/lots/{lot}/entries")).expect(200).json;
    let delivery = text(&lines["data"][0], "transaction");
    let by = |token: &str, id: &str| town.post(token, &format!("/v1/transactions/{id}/reversal"), &json!({"reason": "A mistake."}));
    let (own_mistake, reverse) = (by(officer, &delivery), |id: &str| by(&town.staff.officer2, id));
    reverse(&delivery).expect(201);
    let award = town.get(officer, &format!("/v1/grants/{}/decisions", own.grant)).expect(200).json;
    vec![
        (Code::SelfApproval, own_mistake),
        (Code::AlreadyReversed, reverse(&delivery)),
        (Code::NotReversible, reverse(&text(&award["data"][0], "transaction"))),
        (Code::InsufficientCredits, town.post(officer, &format!("/v1/lots/{lot}/return"), &json!({}))),
        (Code::AlreadyDecided, town.post(officer, &format!("/v1/rates/{}/confirmation", own.rate), &json!({}))),
    ]
}

fn usage(town: &Town, own: &Side, foreign: &Side) -> Seen {
    let say = |name: &str, more| town.server.post("/v1/usage", Some(&own.as_provider), &[], &job(name, &own.resource, &more));
    let grant = &own.grant;
    let release = || town.post(&own.as_provider, &format!("/v1/holds/{}/release", own.hold), &json!({}));
    release().expect(201);
    let refund = json!({"amount": usd("11"), "reason": "Too much."});
    vec![
        (Code::UsageConflict, say("first-a", json!({"grant": grant, "user": "another"}))),
        (Code::Unattributed, say("x:1", json!({"account": "nobody"}))),
        (Code::Unattributed, say("x:2", json!({}))),
        (Code::GrantNotActive, say("x:3", json!({"grant": grant, "started_at": day(-91), "ended_at": day(-90)}))),
        (Code::RateMissing, say("x:4", json!({"grant": grant, "quantities": {"disk-hour": "1"}}))),
        (Code::InsufficientCredits, say("x:5", json!({"grant": grant, "quantities": {"gpu-hour": "4000"}}))),
        (Code::TermsNotMet, say("x:6", json!({"grant": foreign.grant}))),
        (Code::HoldNotOpen, release()),
        (Code::RefundExceedsCharge, town.post(&own.as_provider, &format!("/v1/charges/{}/refunds", own.charge), &refund)),
        (Code::NotFound, town.post(&own.as_provider, &format!("/v1/charges/{}/refunds", foreign.charge), &refund)),
    ]
}

#[test]
fn every_code_has_its_page() {
    let database = crate::support::database::sqlite();
    let town = Town::found(database);
    for code in Code::ALL {
        let page = town.server.get(&format!("/problems/{code}"), None, &[]).expect(200);
        assert!(page.header("content-type").starts_with("text/html") && page.text.contains(code.slug()), "{code}");
    }
    let me: Actor = actor("admin", &[Role::Admin]);
    assert_eq!(town.get(&town.token(&me), "/v1/me").expect(200).json["subject"], "admin");
}
