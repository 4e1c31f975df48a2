//! Forecasts, disclosure, events and webhooks over HTTP: who gets what, in which form.

use serde_json::{Value, json};

use crate::support::database::databases;
use crate::town::{Town, day, text};

#[test]
fn a_project_says_itself_whether_its_funding_is_public() {
    for database in databases() {
        let (town, own, foreign) = Town::settled(database);
        let (inside, outside) =
            (format!("/v1/projects/{}/disclosure", own.project), format!("/v1/public/projects/{}/disclosure", own.project));
        town.server.get(&outside, None, &[]).expect(404);
        let whole = town.get(&own.as_researcher, &inside).expect(200).json;
        let unit = &whole["units"][0];
        assert_eq!((&unit["used"]["value"], &unit["donors"][0]["percent"]), (&"9.000000".into(), &"100.00".into()), "net of the refund");
        assert_eq!(unit["donors"][0]["donations"][0]["lots"][0]["lot"], own.lot);
        assert_eq!(
            (&whole["offered_statements"][0]["asserted"], whole["text"].as_str().map(|t| t.contains("no role"))),
            (&json!(false), Some(false))
        );
        let publish = |token: &str, public: bool| town.post(token, &format!("{inside}/publication"), &json!({"public": public}));
        publish(&foreign.as_researcher, true).expect(404);
        publish(&town.staff.officer, true).expect(403);
        assert_eq!(publish(&own.as_researcher, true).expect(201).json["address"], outside);
        let told = town.server.get(&outside, None, &[]).expect(200);
        assert!(told.json["units"][0]["donors"][0]["donations"].is_null() && !told.text.contains("lot_"), "{}", told.text);
        for (format, kind, begin) in [
            ("text", "text/plain", "The compute used for this work was donated by Example Donor a (100.00 %)."),
            ("text-long", "text/plain", "Funding of compute"),
            ("bibtex", "application/x-bibtex", "@misc{"),
            ("jats", "application/xml", "<funding-group>"),
            ("crossref", "application/xml", "<fr:program"),
            ("datacite", "application/vnd.datacite.datacite+json", "{\"fundingReferences\":[{"),
            ("schema-org", "application/ld+json", "{\"@context\":\"https://schema.org\""),
        ] {
            let answer = town.server.get(&format!("{outside}?format={format}"), None, &[]).expect(200);
            assert!(answer.header("content-type").starts_with(kind) && answer.text.starts_with(begin), "{format}: {}", answer.text);
        }
        let month = |from: &str, to: &str| town.get(&own.as_researcher, &format!("{inside}?from={from}&to={to}"));
        assert_eq!(month(&day(-40), &day(-20)).expect(200).json["units"], json!([]));
        assert_eq!(month(&day(2), &day(1)).expect(400).json["code"], "invalid_parameter");
        publish(&own.as_researcher, false).expect(201);
        town.server.get(&outside, None, &[]).expect(404);
    }
}

#[test]
fn forecasts_without_history_have_words_and_no_figures() {
    for database in databases() {
        let (town, own, _) = Town::settled(database);
        let grant = town.get(&own.as_researcher, &format!("/v1/grants/{}/forecast", own.grant)).expect(200).json;
        assert!(grant["runway"].is_null() && grant["pace"].is_null(), "{grant}");
        assert!(text(&grant, "method").starts_with("Too little history: in the 28 full days"), "{grant}");
        let lot = town.get(&own.as_donor, &format!("/v1/lots/{}/forecast", own.lot)).expect(200).json;
        assert!(lot["projection"].is_null() && text(&lot, "method").contains("no expiry"), "{lot}");
        assert_eq!(
            town.get(&own.as_researcher, &format!("/v1/grants/{}/forecast?window=5", own.grant)).expect(400).json["code"],
            "invalid_parameter"
        );
    }
}

#[test]
fn a_webhook_is_its_owners_and_its_secret_is_told_once() {
    for database in databases() {
        let (town, own, foreign) = Town::settled(database);
        let made = town.server.post(
            "/v1/webhooks",
            Some(&own.as_provider),
            &[],
            &json!({"url": "https://example.org/x", "kinds": ["grant.used"]}),
        );
        let made = made.expect(201).json;
        assert!(text(&made, "secret").starts_with("whsec_"));
        let hook = text(&made["webhook"], "id");
        let path = format!("/v1/webhooks/{hook}");
        let shown = town.get(&own.as_provider, &path).expect(200);
        assert!(!shown.text.contains("whsec_") && shown.json["kinds"] == json!(["grant.used"]), "{}", shown.text);
        town.get(&foreign.as_provider, &path).expect(404);
        town.get(&town.staff.auditor, &path).expect(200);
        assert_eq!(town.post(&town.staff.auditor, &format!("{path}/revocation"), &json!({})).status, 404, "reads and changes nothing");
        let refused =
            |body: Value| town.server.post("/v1/webhooks", Some(&own.as_provider), &[], &body).expect(422).json["errors"][0].clone();
        assert_eq!(refused(json!({"url": "https://example.org/", "kinds": ["charge"]}))["pointer"], "/kinds");
        assert_eq!(refused(json!({"url": "http://127.0.0.1/"}))["code"], "not_allowed", "only where the server was told to");
        assert_eq!(refused(json!({"url": "https://example.org/", "secret": "mine"}))["code"], "unknown_field");
        assert_eq!(town.post(&town.staff.admin, &format!("{path}/revocation"), &json!({})).expect(201).json["state"], "revoked");
        assert_eq!(town.post(&own.as_provider, &format!("{path}/revocation"), &json!({})).expect(409).json["code"], "already_decided");
    }
}
