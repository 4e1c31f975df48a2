//! Every code of a field, provoked over HTTP, each with the pointer to the field at fault.

use std::collections::BTreeSet;

use almoner::id::ProjectId;
use almoner::refusal::{Code, FieldCode};
use serde_json::{Value, json};

use crate::codes::carries_all;
use crate::support::database::databases;
use crate::town::{Side, Town, day, job, merge, usd};

/// What is sent where, the code and the pointer that must come back.
type Case<'t> = (&'t str, String, Value, FieldCode, &'t str);

#[test]
fn every_code_of_a_field_is_provoked() {
    for database in databases() {
        let (town, own, _) = Town::settled(database);
        let mut provoked = BTreeSet::new();
        for (token, path, body, code, pointer) in amounts(&town, &own).into_iter().chain(others(&town, &own)) {
            let answer = town.post_with(token, &path, &[("if-match", "\"v1\"")], &body);
            carries_all(Code::ValidationFailed, &answer);
            let errors = answer.json["errors"].as_array().expect("errors");
            let found = errors.iter().find(|error| error["code"] == code.slug() && error["pointer"] == pointer);
            assert!(
                found.is_some_and(|error| error["detail"].as_str().is_some_and(|d| !d.is_empty())),
                "{code} at {pointer}: {}",
                answer.text
            );
            provoked.insert(code);
        }
        assert_eq!(provoked, FieldCode::ALL.iter().copied().collect(), "codes of fields that are not provoked");
    }
}

fn with(mut body: Value, more: Value) -> Value {
    merge(&mut body, &more);
    body
}

fn amounts<'t>(town: &'t Town, own: &'t Side) -> Vec<Case<'t>> {
    use FieldCode::*;
    let officer = town.staff.officer.as_str();
    let deliveries = format!("/v1/donations/{}/deliveries", own.donation);
    let of = |amount: Value| json!({"amount": amount, "delivered_at": day(-1)});
    let case = |amount: Value, code, pointer| (officer, deliveries.clone(), of(amount), code, pointer);
    vec![
        case(json!(12.5), AmountNotString, "/amount"),
        case(json!({"value": 12.5, "unit": "USD"}), AmountNotString, "/amount/value"),
        case(usd("1.0000001"), AmountScale, "/amount/value"),
        case(usd("0"), AmountNotPositive, "/amount/value"),
        case(usd("9999999999999.5"), AmountRange, "/amount/value"),
        case(usd("1e3"), Malformed, "/amount/value"),
        case(usd("-1"), Malformed, "/amount/value"),
        case(json!({"value": "1", "unit": "XYZ"}), UnitUnknown, "/amount/unit"),
        case(json!({"value": "1", "unit": "NHR"}), UnitMismatch, "/amount/unit"),
        case(Value::Null, Required, "/amount"),
        case(json!({"value": "1", "unit": "USD", "tax": "0"}), UnknownField, "/amount/tax"),
        case(json!([]), WrongType, "/amount"),
    ]
}

fn others<'t>(town: &'t Town, own: &'t Side) -> Vec<Case<'t>> {
    use FieldCode::*;
    let (officer, admin) = (town.staff.officer.as_str(), town.staff.admin.as_str());
    let (researcher, provider) = (own.as_researcher.as_str(), own.as_provider.as_str());
    let deliveries = format!("/v1/donations/{}/deliveries", own.donation);
    let grant = json!({
        "project": own.project, "requested": usd("1"), "period": {"from": day(-1), "to": day(1)}, "justification": "For the test.",
    });
    let grants = |more: Value, code, pointer| (researcher, "/v1/grants".to_owned(), with(grant.clone(), more), code, pointer);
    let donor = |more: Value, code, pointer| {
        (officer, "/v1/donors".to_owned(), with(json!({"name": "Example", "kind": "industry"}), more), code, pointer)
    };
    let usage = |more: Value, code, pointer| (provider, "/v1/usage".to_owned(), job("fields", &own.resource, &more), code, pointer);
    vec![
        (officer, deliveries, json!({"amount": usd("1"), "delivered_at": day(1)}), TimeInFuture, "/delivered_at"),
        usage(json!({"grant": own.grant, "ended_at": day(1)}), TimeInFuture, "/ended_at"),
        usage(json!({"started_at": day(0)}), PeriodInverted, "/ended_at"),
        usage(json!({"quantities": {"gpu/hour": 1}}), AmountNotString, "/quantities/gpu~1hour"),
        usage(json!({"amount": usd("1")}), NotAllowed, "/amount"),
        usage(json!({"resource": own.grant}), WrongIdType, "/resource"),
        grants(json!({"period": {"from": day(1), "to": day(0)}}), PeriodInverted, "/period"),
        grants(json!({"project": own.project.replace("prj_", "lot_")}), WrongIdType, "/project"),
        grants(json!({"project": ProjectId::from_stamp(1)}), Unknown, "/project"),
        grants(json!({"expires_at": day(9)}), UnknownField, "/expires_at"),
        grants(json!({"period": {"from": "yesterday", "to": day(1)}}), Malformed, "/period/from"),
        grants(json!({"justification": "x".repeat(4001)}), TooLong, "/justification"),
        donor(json!({"kind": "person"}), NotAllowed, "/kind"),
        donor(json!({"name": 7}), WrongType, "/name"),
        donor(json!({"name": "a\u{0}b"}), Malformed, "/name"),
        (admin, "/v1/units".to_owned(), json!({"code": "usd", "scale": 10}), Required, "/name"),
        (admin, "/v1/units".to_owned(), json!({"code": "USD", "scale": 10, "name": "x"}), NotAllowed, "/scale"),
        (admin, "/v1/units".to_owned(), json!([1]), WrongType, ""),
    ]
}
