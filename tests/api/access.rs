//! What somebody with a good token may is decided in the ledger: bindings, two persons, revocation, one person under several names.

use std::time::{Duration, Instant};

use almoner::actor::Role;
use almoner::http::keys::Keys;
use almoner::store::{Conn, Database};
use almoner::time::Clock;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::almoner;
use crate::support::database::databases;
use crate::support::server::{Answer, Server};
use crate::town::{Side, Town, actor, day, job, keys, text, usd};

const ISSUER: &str = "https://idp.example";

/// Another issuer, whose key is in the books' folder: servers started from now on know it.
struct Issuer(Keys);

impl Issuer {
    fn known_to(town: &Town) -> Issuer {
        let path = town.folder().join("another.pk8");
        Keys::create_local(&path).expect("a key");
        let keys = Keys::new("almoner").with_local(&path, Some(ISSUER)).expect("the key");
        let pair = Ed25519KeyPair::from_pkcs8(&std::fs::read(&path).expect("the key's file")).expect("a pair");
        let issuer = Issuer(keys);
        let token = issuer.token("anybody", &[Role::Admin], "first");
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().expect("a header")).expect("base64url");
        let header: Value = serde_json::from_slice(&header).expect("JSON");
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": header["kid"], "x": URL_SAFE_NO_PAD.encode(pair.public_key())});
        let file = json!({"issuer": ISSUER, "keys": [key]}).to_string();
        std::fs::write(town.folder().join("keys/idp.json"), file).expect("the file of its keys");
        issuer
    }

    fn token(&self, subject: &str, roles: &[Role], name: &str) -> String {
        self.0.issue(&actor(subject, roles), 3600, Clock::system().now(), name).expect("a token")
    }
}

fn serve(town: &Town) -> Server {
    Server::start(&town.database, town.folder())
}

fn admin2(town: &Town) -> String {
    town.token(&actor("admin2", &[Role::Admin]))
}

/// Somebody known under these names.
fn person(town: &Town, identities: &[(&str, &str)]) -> String {
    let named = |(issuer, subject): &(&str, &str)| json!({"issuer": issuer, "subject": subject});
    let identities: Vec<Value> = identities.iter().map(named).collect();
    text(&town.make("admin", "/v1/persons", &json!({"name": "Example Person", "identities": identities})), "id")
}

/// A binding in force: proposed by one administrator and, where it takes two, confirmed by another.
fn bind(town: &Town, new: &Value) -> String {
    let made = town.make("admin", "/v1/role-bindings", new);
    let id = text(&made, "id");
    if made["state"] == "proposed" {
        let confirmed = town.make(&admin2(town), &format!("/v1/role-bindings/{id}/confirmation"), &json!({}));
        assert_eq!((&confirmed["state"], confirmed["confirmed_by"].is_string()), (&json!("active"), true));
    }
    id
}

fn code(answer: Answer, status: u16) -> String {
    text(&answer.expect(status).json, "code")
}

/// How long it takes until that is answered with this status.
fn until(server: &Server, token: &str, path: &str, status: u16) -> Duration {
    let begun = Instant::now();
    while server.get(path, Some(token), &[]).status != status {
        assert!(begun.elapsed() < Duration::from_secs(10), "{path} is never answered with {status}");
        std::thread::sleep(Duration::from_millis(10));
    }
    begun.elapsed()
}

#[test]
fn bindings_are_obeyed_at_once_and_by_other_processes_within_a_second() {
    for database in databases() {
        let (town, own, _) = Town::settled(database);
        let issuer = Issuer::known_to(&town);
        let (here, there) = (serve(&town), serve(&town));
        let who = person(&town, &[(ISSUER, "reporter")]);
        let token = issuer.token("reporter", &[Role::Provider, Role::Officer], "one");
        let refused = here.get("/v1/usage", Some(&token), &[]).expect(403).json;
        assert!(text(&refused, "detail").contains("administrator"), "{refused}");
        let post = |server: &Server, name: String| {
            let record = job(&name, &own.resource, &json!({"grant": own.grant, "quantities": {"gpu-hour": "0"}}));
            server.post("/v1/usage", Some(&token), &[], &record)
        };
        let change = |path: &str, body: &Value| {
            let key = town.fresh("change");
            here.post(path, Some(&town.staff.admin), &[("idempotency-key", &key)], body).expect(201).json
        };
        let mut waited = Vec::new();
        for round in 0..3 {
            let binding = text(&change("/v1/role-bindings", &json!({"person": who, "role": "provider", "provider": own.centre})), "id");
            let me = here.get("/v1/me", Some(&token), &[]).expect(200).json;
            assert_eq!((&me["person"], &me["roles"], &me["provider"]), (&json!(who), &json!(["provider"]), &json!(own.centre)), "at once");
            assert_eq!((&me["bindings"][0]["id"], &me["bindings"][0]["role"]), (&json!(binding), &json!("provider")));
            waited.push(until(&there, &token, "/v1/usage", 200));
            post(&there, format!("bound-{round}")).expect(201);
            change(&format!("/v1/role-bindings/{binding}/revocation"), &json!({}));
            // Whether or not it has heard of it: the writer has.
            assert_eq!(code(post(&there, format!("late-{round}")), 403), "forbidden");
            assert_eq!(code(post(&here, format!("late-{round}")), 403), "forbidden", "at once");
            waited.push(until(&there, &token, "/v1/usage", 403));
        }
        waited.sort();
        assert!(waited[waited.len() / 2] < Duration::from_secs(1), "{waited:?}");
        assert!(!here.get("/v1/usage?limit=200", Some(&town.staff.officer), &[]).expect(200).text.contains("late-"));
    }
}

#[test]
fn officers_auditors_and_administrators_are_bound_by_two_others() {
    for database in databases() {
        let (town, own, _) = Town::settled(database);
        let me = |token: &str| text(&town.get(token, "/v1/me").expect(200).json, "person");
        let (one, two) = (&town.staff.admin, admin2(&town));
        let who = person(&town, &[(ISSUER, "second-self"), (&local(&town), "third-admin")]);
        let third = town.token(&actor("third-admin", &[Role::Admin]));
        assert_eq!(code(town.get(&third, "/v1/persons"), 403), "forbidden", "known by another issuer too, and bound to nothing");
        let proposed = town.make("admin", "/v1/role-bindings", &json!({"person": who, "role": "admin"}));
        let (id, proposer) = (text(&proposed, "id"), me(one));
        let confirmation = format!("/v1/role-bindings/{id}/confirmation");
        assert_eq!((&proposed["state"], text(&proposed, "proposed_by")), (&json!("proposed"), proposer.clone()));
        assert_eq!(code(town.post(one, &confirmation, &json!({})), 403), "self_approval");
        assert_eq!(code(town.post(&third, &confirmation, &json!({})), 403), "forbidden", "a proposal gives nothing");
        refused_by_the_database(&town, &proposed);
        town.make(&two, &confirmation, &json!({}));
        assert_eq!(code(town.post(&two, &confirmation, &json!({})), 409), "already_decided");
        town.get(&third, "/v1/persons").expect(200);
        // Nobody gives themselves anything, not even what takes one person.
        let own_role = json!({"person": who, "role": "researcher", "project": own.project});
        assert_eq!(code(town.post(&third, "/v1/role-bindings", &own_role), 403), "self_approval");
        let side = json!({"person": own.person, "role": "officer", "limit": usd("100")});
        assert_eq!(code(town.post(one, "/v1/role-bindings", &side), 403), "conflict_of_interest");
        let officer = person(&town, &[(ISSUER, "decider")]);
        bind(&town, &json!({"person": officer, "role": "officer", "limit": usd("100")}));
        let giver = json!({"person": officer, "role": "donor", "donor": own.donor});
        assert_eq!(code(town.post(one, "/v1/role-bindings", &giver), 403), "conflict_of_interest");
        town.make(&third, &format!("/v1/role-bindings/{id}/revocation"), &json!({}));
        assert_eq!(code(town.get(&third, "/v1/persons"), 403), "forbidden", "frozen, by one, at once");
        let conn = &mut connect(&town);
        let back = format!("UPDATE role_bindings SET state = 'active', revoked_by = NULL WHERE id = {}", stamp(&id));
        assert!(conn.batch(&back).is_err(), "what is revoked stays revoked");
        assert!(conn.batch("DELETE FROM role_bindings").is_err());
        let changes = ["unit_mismatch", "required", "not_allowed", "unknown"].map(|word| badly_bound(&town, &own, &who, word));
        assert!(changes.iter().all(|found| *found), "{changes:?}");
    }
}

/// The name of the books' own issuer.
fn local(town: &Town) -> String {
    keys(town.folder(), "almoner", None).local_issuer().expect("an issuer").to_owned()
}

/// The stamp within an identifier.
fn stamp(id: &str) -> i64 {
    almoner::id::BindingId::parse(id).expect("a binding").stamp()
}

/// A connection as the application has it.
fn connect(town: &Town) -> Conn {
    Database::parse(&town.database.url).expect("a URL").connect().expect("a connection")
}

/// What the domain refuses the database refuses too, whatever program speaks to it.
fn refused_by_the_database(town: &Town, proposed: &Value) {
    let (id, conn) = (stamp(&text(proposed, "id")), &mut connect(town));
    for change in [
        "state = 'active'",
        "state = 'active', confirmed_by = proposed_by",
        "state = 'active', confirmed_by = person",
        "person = proposed_by",
        "proposed_by = person",
        "role = 'researcher', state = 'active'",
        "founding = 1, state = 'active'",
        "state = 'revoked'",
    ] {
        assert!(conn.batch(&format!("UPDATE role_bindings SET {change} WHERE id = {id}")).is_err(), "{change}");
    }
    let insert = |role: &str, rest: &str| {
        format!(
            "INSERT INTO role_bindings (id, person, role, state, proposed_by, confirmed_by) SELECT 1, person, '{role}', {rest} FROM role_bindings WHERE id = {id}"
        )
    };
    for row in [
        insert("officer", "'active', proposed_by, NULL"),
        insert("officer", "'active', proposed_by, proposed_by"),
        insert("auditor", "'active', person, proposed_by"),
        insert("donor", "'active', proposed_by, NULL"),
    ] {
        assert!(conn.batch(&row).is_err(), "{row}");
    }
    assert!(conn.batch("UPDATE identities SET subject = 'another'").is_err(), "an identity stays its person's");
}

/// Whether a binding that makes no sense is refused with this code of a field.
fn badly_bound(town: &Town, own: &Side, who: &str, word: &str) -> bool {
    let new = match word {
        "required" => json!({"person": who, "role": "donor"}),
        "not_allowed" => json!({"person": who, "role": "auditor", "limit": usd("1")}),
        "unknown" => json!({"person": who, "role": "donor", "donor": almoner::id::DonorId::from_stamp(1)}),
        _ => json!({"person": who, "role": "officer", "limit": {"value": "1", "unit": "NONE"}}),
    };
    let answer = town.post(&town.staff.admin, "/v1/role-bindings", &new).expect(422).json;
    let said = text(&answer["errors"][0], "code");
    !own.donor.is_empty() && (said == word || (word == "unit_mismatch" && said == "unit_unknown"))
}

#[test]
fn revoked_tokens_open_nothing() {
    for database in databases() {
        let town = Town::found(database);
        let there = serve(&town);
        let sign = |name: &str| {
            let now = Clock::system().now();
            keys(town.folder(), "almoner", None).issue(&actor("leaver", &[Role::Auditor]), 3600, now, name).expect("a token")
        };
        let (own, named, kept) = (sign("own"), sign("named"), sign("kept"));
        town.post(&own, "/v1/tokens/revocation", &json!({})).expect(200);
        assert_eq!(code(town.get(&own, "/v1/me"), 401), "token_revoked");
        let other = json!({"issuer": local(&town), "jti": "named", "expires_at": day(1)});
        assert_eq!(code(town.post(&kept, "/v1/tokens/revocation", &other), 403), "forbidden", "another's token");
        town.get(&named, "/v1/me").expect(200);
        town.post(&town.staff.admin, "/v1/tokens/revocation", &other).expect(200);
        assert_eq!(code(town.get(&named, "/v1/me"), 401), "token_revoked");
        until(&there, &named, "/v1/me", 401);
        until(&there, &own, "/v1/me", 401);
        let person = text(&town.get(&kept, "/v1/me").expect(200).json, "person");
        let changed = town.make("admin", &format!("/v1/persons/{person}/revocation"), &json!({}));
        assert!(changed["tokens_from"].is_string(), "{changed}");
        assert_eq!(code(town.get(&kept, "/v1/me"), 401), "token_revoked", "all of the person's");
        until(&there, &kept, "/v1/me", 401);
        // Tokens say when they were issued by the second.
        std::thread::sleep(Duration::from_millis(1100));
        town.get(&sign("later"), "/v1/me").expect(200);
        town.get(&town.staff.auditor, "/v1/me").expect(200);
    }
}

#[test]
fn one_person_under_several_names_decides_nothing_of_their_own() {
    for database in databases() {
        let (town, own, _) = Town::settled(database);
        let issuer = Issuer::known_to(&town);
        let here = serve(&town);
        let local = local(&town);
        let who = person(&town, &[(&local, "first-self"), (&local, "second-self")]);
        let [first, second] = ["first-self", "second-self"].map(|name| town.token(&actor(name, &[Role::Officer, Role::Researcher])));
        let donation = json!({"donor": own.donor, "title": "Credits", "pledged": usd("5"), "terms": {}, "on_expiry": "lapse"});
        let donation = text(&town.make(&first, "/v1/donations", &donation), "id");
        let grant = text(&town.request(&first, &own.project, "1", &json!({})), "id");
        let attempts = |token: &str| {
            let post = |path: String, body: &Value| {
                let key = town.fresh("attempt");
                code(here.post(&path, Some(token), &[("idempotency-key", &key), ("if-match", "\"v1\"")], body), 403)
            };
            let approve = json!({"verdict": "approve", "reason": "Sound.", "no_conflict": true});
            [post(format!("/v1/donations/{donation}/acceptance"), &json!({})), post(format!("/v1/grants/{grant}/decisions"), &approve)]
        };
        for token in [&first, &second, &town.token(&actor("first-self", &[Role::Officer]))] {
            assert_eq!(attempts(token), ["self_approval"; 2]);
        }
        let revision = format!("/v1/persons/{who}/revision");
        let stale = town.post_with(&town.staff.admin, &revision, &[("if-match", "\"v9\"")], &json!({"name": "Another Name"}));
        assert_eq!(code(stale, 412), "version_mismatch");
        let renamed = town.post_with(&town.staff.admin, &revision, &[("if-match", "\"v1\"")], &json!({"name": "Another Name"}));
        assert_eq!((renamed.header("etag"), renamed.status), ("\"v2\"", 201), "{}", renamed.text);
        assert_eq!(attempts(&second), ["self_approval"; 2], "renamed");
        let third = json!({"issuer": ISSUER, "subject": "third-self"});
        let identities = format!("/v1/persons/{who}/identities");
        town.make("admin", &identities, &third);
        assert_eq!(code(town.post(&town.staff.admin, &identities, &third), 409), "duplicate_external_id");
        assert_eq!(
            code(town.post(&town.staff.admin, "/v1/persons", &json!({"name": "Twin", "identities": [third]})), 409),
            "duplicate_external_id"
        );
        // Known by another issuer too, the person may only what is bound to them.
        until(&here, &first, "/v1/donations", 403);
        bind(&town, &json!({"person": who, "role": "officer"}));
        let third = issuer.token("third-self", &[Role::Officer], "third");
        until(&here, &third, "/v1/donations", 200);
        assert_eq!(attempts(&third), ["self_approval"; 2], "under a name linked later");
        town.make("officer2", &format!("/v1/donations/{donation}/acceptance"), &json!({}));
        affiliations(&town, &own, &who);
    }
}

/// A person declares for themselves where they belong, an administrator for anybody.
fn affiliations(town: &Town, own: &Side, who: &str) {
    let path = format!("/v1/persons/{who}/affiliations");
    let declared = json!({"institution": own.centre, "since": day(-100)});
    assert_eq!(code(town.post(&town.staff.officer, &path, &declared), 404), "not_found");
    town.make("admin", &path, &declared);
    let own_token = town.token(&actor("first-self", &[Role::Officer]));
    town.make(&own_token, &path, &declared);
    let listed = town.get(&own_token, &path).expect(200).json;
    assert_eq!((listed["data"].as_array().map(Vec::len), &listed["data"][0]["institution"]), (Some(2), &json!(own.centre)));
    assert_eq!(code(town.get(&town.staff.officer, &path), 404), "not_found");
}

#[test]
fn where_bindings_are_required_the_operators_token_opens_nothing_by_itself() {
    for database in databases() {
        let data = database.folder().join("data");
        let place = ["init", "--data", data.to_str().expect("UTF-8"), "--database", &database.url, "--admin", "one", "--admin", "two"];
        almoner(place).ok();
        let server = Server::start_with(&database, &data, |command| command.env("ALMONER_REQUIRE_BINDINGS", "true"));
        let keys = keys(&data, "almoner", None);
        let sign = |name: &str, role| keys.issue(&actor(name, &[role]), 3600, Clock::system().now(), name).expect("a token");
        let [one, two, auditor] =
            [("one", Role::Admin), ("two", Role::Admin), ("reader", Role::Auditor)].map(|(name, role)| sign(name, role));
        let post = |token: &str, path: &str, body: &Value| server.post(path, Some(token), &[("idempotency-key", path)], body);
        assert_eq!(code(server.get("/v1/audit", Some(&auditor), &[]), 403), "forbidden");
        assert_eq!(code(server.get("/v1/persons", Some(&sign("three", Role::Admin)), &[]), 403), "forbidden");
        let issuer = keys.local_issuer().expect("an issuer");
        let new = json!({"name": "Example Reader", "identities": [{"issuer": issuer, "subject": "reader"}]});
        let reader = text(&post(&one, "/v1/persons", &new).expect(201).json, "id");
        let binding = text(&post(&one, "/v1/role-bindings", &json!({"person": reader, "role": "auditor"})).expect(201).json, "id");
        post(&two, &format!("/v1/role-bindings/{binding}/confirmation"), &json!({})).expect(201);
        server.get("/v1/audit", Some(&auditor), &[]).expect(200);
        let me = server.get("/v1/me", Some(&sign("one", Role::Admin)), &[]).expect(200).json;
        assert_eq!((&me["roles"], &me["bindings"][0]["role"]), (&json!(["admin"]), &json!("admin")));
        let again = almoner(["init", "--data", data.to_str().expect("UTF-8"), "--database", &database.url, "--admin", "a", "--admin", "a"]);
        assert_eq!(again.code, Some(2), "{again:?}");
    }
}
