//! Erasing what tells of jobs and of persons: by whom, what is gone then, what is there still, and that it is said plainly.

use std::time::{Duration, Instant};

use almoner::actor::Role;
use serde_json::{Value, json};

use crate::rights::await_receipt;
use crate::support::almoner;
use crate::support::database::databases;
use crate::support::server::{Answer, Server};
use crate::town::{Side, Town, actor, day, job, keys, text};

const USER: &str = "somebody-who-asked";

fn code(answer: Answer, status: u16) -> String {
    text(&answer.expect(status).json, "code")
}

fn charge(town: &Town, own: &Side, name: &str, user: &str) -> Answer {
    let more = json!({"grant": own.grant, "user": user, "quantities": {"gpu-hour": "0.5"}, "job": {"cluster": "lab", "id": name}});
    town.server.post("/v1/usage", Some(&own.as_provider), &[], &job(name, &own.resource, &more))
}

fn of_user(own: &Side) -> Value {
    json!({"ground": "asked", "user": {"provider": own.centre, "name": USER, "ended_before": day(0)}})
}

fn verify(town: &Town) {
    let data = town.folder().to_str().expect("UTF-8").to_owned();
    almoner(["verify", "--data", &data, "--database", &town.database.url]).ok();
}

/// Everything that a role is shown of these jobs, as text.
fn shown(town: &Town, own: &Side) -> String {
    let lists =
        ["/v1/charges?limit=200", "/v1/usage?limit=200", "/v1/usage/quarantine?limit=200", "/v1/holds?limit=200", "/v1/usage/totals"];
    let asked = |token: &String| lists.map(|path| town.get(token, path).text).concat();
    let csv = ["/v1/charges", "/v1/usage"].map(|path| {
        let accept = [("accept", "text/csv")];
        town.server.get(path, Some(&town.staff.officer), &accept).expect(200).text
    });
    asked(&town.staff.officer) + &asked(&own.as_provider) + &csv.concat()
}

#[test]
fn usage_records_are_erased_by_an_administrator_and_what_they_cost_stays() {
    for database in databases() {
        let (town, own, _) = Town::settled(database);
        let made: Vec<Value> = ["gone:1", "gone:2"].map(|name| charge(&town, &own, name, USER).expect(201).json).into();
        let stays = charge(&town, &own, "stays:1", "somebody-else").expect(201).json;
        for token in [&town.staff.officer, &own.as_researcher, &own.as_provider, &town.staff.auditor, &own.as_donor] {
            assert_eq!(code(town.post(token, "/v1/erasures", &of_user(&own)), 403), "forbidden");
        }
        let admin = &town.staff.admin;
        assert_eq!(code(town.server.post("/v1/erasures", Some(admin), &[], &of_user(&own)), 400), "idempotency_key_missing");
        for wrong in [
            json!({"ground": "asked"}),
            json!({"ground": "because", "charges": [made[0]["id"]]}),
            json!({"ground": "asked", "charges": []}),
            json!({"ground": "asked", "charges": ["chg_1"]}),
            json!({"ground": "asked", "charges": [almoner::id::ChargeId::from_stamp(1)]}),
            json!({"ground": "asked", "charges": [made[0]["id"]], "user": of_user(&own)["user"]}),
        ] {
            assert_eq!(code(town.post(admin, "/v1/erasures", &wrong), 422), "validation_failed", "{wrong}");
        }
        let ids: Vec<&Value> = made.iter().map(|charge| &charge["id"]).collect();
        let plan = town.post(admin, "/v1/erasures?dry_run=true", &of_user(&own)).expect(200).json;
        assert_eq!((&plan["object"], &plan["charges"], &plan["more"]), (&json!("erasure_plan"), &json!(ids), &json!(false)), "{plan}");
        assert!(shown(&town, &own).contains("gone:1"));

        let wanted = of_user(&own);
        let ask = || town.server.post("/v1/erasures", Some(admin), &[("idempotency-key", "erase")], &wanted);
        let done = ask().expect(201);
        assert_eq!(
            (&done.json["erased"]["charges"], &done.json["ground"], &done.json["charges"]),
            (&json!(ids), &json!("asked"), &json!(2))
        );
        let again = ask().expect(201);
        assert_eq!((again.header("idempotency-replayed"), &again.json), ("true", &done.json));
        let nothing = town.post(admin, "/v1/erasures", &of_user(&own)).expect(200).json;
        assert_eq!((&nothing["object"], &nothing["charges"]), (&json!("erasure_plan"), &json!([])), "all of it is gone");

        let told = shown(&town, &own);
        assert!(!told.contains("gone:1") && !told.contains(USER) && told.contains("stays:1") && told.contains("somebody-else"));
        for charge in &made {
            let now = town.get(&own.as_researcher, &format!("/v1/charges/{}", text(charge, "id"))).expect(200).json;
            assert_eq!((&now["erased"], &now["external_id"], &now["amount"]), (&json!(true), &Value::Null, &charge["amount"]), "{now}");
            let stamp = almoner::id::ChargeId::parse(&text(charge, "id")).expect("a charge").stamp();
            let usage = town.get(&own.as_provider, &format!("/v1/usage/{}", almoner::id::UsageId::from_stamp(stamp))).expect(200).json;
            assert_eq!((&usage["erased"], &usage["record"], &usage["state"]), (&json!(true), &Value::Null, &json!("charged")), "{usage}");
        }
        assert_eq!(stays["erased"], false);
        assert_eq!(charge(&town, &own, "gone:1", USER).expect(200).json["id"], *ids[0], "the job is known still");
        assert_eq!(code(charge(&town, &own, "gone:1", "another"), 409), "usage_conflict");
        let place = format!("/v1/erasures/{}", text(&done.json, "id"));
        let begun = Instant::now();
        while town.get(admin, &place).expect(200).json["finished"] != true {
            assert!(begun.elapsed() < Duration::from_secs(60), "the log never takes it");
            std::thread::sleep(Duration::from_millis(100));
        }
        await_receipt(&town, &own);
        let receipt = town.get(&town.staff.officer, &format!("/v1/charges/{}/receipt", text(&made[0], "id"))).expect(200).text;
        assert!(!receipt.is_empty() && !receipt.contains(USER));
        let listed = town.get(&town.staff.auditor, "/v1/erasures").expect(200).json;
        assert_eq!(listed["data"].as_array().map(Vec::len), Some(3), "and the two of the sides: {listed}");
        // One by one, by name.
        let named = town.make("admin", "/v1/erasures", &json!({"ground": "retention", "charges": [stays["id"]]}));
        assert_eq!(named["erased"]["charges"], json!([stays["id"]]));
        assert!(!shown(&town, &own).contains("stays:1"));
        verify(&town);
    }
}

#[test]
fn a_person_without_a_role_is_erased_and_signs_in_no_more() {
    for database in databases() {
        let (town, own, _) = Town::settled(database);
        let there = Server::start(&town.database, town.folder());
        let issuer = keys(town.folder(), "almoner", None).local_issuer().expect("an issuer").to_owned();
        let who = || town.token(&actor("leaver", &[Role::Auditor, Role::Researcher]));
        let new = json!({"name": "Name That Goes", "identities": [{"issuer": issuer, "subject": "leaver"}]});
        let post = |path: &str, key: &str, version: &str, body: &Value| {
            town.server.post(path, Some(&town.staff.admin), &[("idempotency-key", key), ("if-match", version)], body)
        };
        let person = text(&post("/v1/persons", "make", "\"v1\"", &new).expect(201).json, "id");
        let at = |verb: &str| format!("/v1/persons/{person}/{verb}");
        post(&at("revision"), "rename", "\"v1\"", &json!({"name": "Name That Went"})).expect(201);
        let webhook = text(&town.make(&who(), "/v1/webhooks", &json!({"url": "https://goes.example.org/hooks"}))["webhook"], "id");
        let binding =
            text(&town.make("admin", "/v1/role-bindings", &json!({"person": person, "role": "researcher", "project": own.project})), "id");
        let erase = |key: &str, version: &str| post(&at("erasure"), key, version, &json!({"ground": "asked"}));
        assert_eq!(
            code(town.post_with(&town.staff.officer, &at("erasure"), &[("if-match", "\"v2\"")], &json!({"ground": "asked"})), 403),
            "forbidden"
        );
        assert_eq!(code(town.post(&town.staff.admin, &at("erasure"), &json!({"ground": "asked"})), 428), "if_match_required");
        assert_eq!(code(erase("hook", "\"v2\""), 403), "forbidden", "a webhook");
        town.make("admin", &format!("/v1/webhooks/{webhook}/revocation"), &json!({}));
        assert_eq!(code(erase("role", "\"v2\""), 403), "forbidden", "a role");
        town.make("admin", &format!("/v1/role-bindings/{binding}/revocation"), &json!({}));
        assert_eq!(code(erase("stale", "\"v1\""), 412), "version_mismatch");
        town.get(&who(), "/v1/me").expect(403);
        let done = erase("erase", "\"v2\"").expect(201).json;
        assert_eq!((&done["person"], &done["finished"]), (&json!(person), &json!(true)));
        assert_eq!(erase("erase", "\"v2\"").expect(201).json, done, "the same answer");
        assert_eq!(code(erase("again", "\"v3\""), 409), "already_decided");
        assert_eq!(code(post(&at("revision"), "back", "\"v3\"", &json!({"name": "Back"})), 409), "already_decided");

        assert_eq!(code(town.get(&who(), "/v1/me"), 401), "token_revoked");
        let begun = Instant::now();
        while there.get("/v1/me", Some(&who()), &[]).status != 401 {
            assert!(begun.elapsed() < Duration::from_secs(10), "another process never hears of it");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(code(town.post(&town.staff.admin, "/v1/persons", &new), 409), "duplicate_external_id");
        let shown = town.get(&town.staff.admin, &format!("/v1/persons/{person}")).expect(200).json;
        assert_eq!((&shown["name"], &shown["identities"], &shown["erased"]), (&Value::Null, &json!([]), &json!(true)));
        let replayed = post("/v1/persons", "make", "\"v1\"", &new).expect(201);
        assert_eq!((replayed.header("idempotency-replayed"), &replayed.json), ("true", &json!({"object": "erased"})));
        for path in ["/v1/persons?limit=200", "/v1/webhooks?limit=200", "/v1/erasures", "/v1/role-bindings?limit=200"] {
            let told = town.get(&town.staff.admin, path).expect(200).text;
            assert!(!["Name That", "leaver\"", "goes.example"].iter().any(|word| told.contains(word)), "{path}: {told}");
        }
        let me = text(&town.get(&town.staff.admin, "/v1/me").expect(200).json, "person");
        assert_eq!(code(post(&format!("/v1/persons/{me}/erasure"), "self", "\"v1\"", &json!({"ground": "asked"})), 403), "forbidden");
        verify(&town);
    }
}
