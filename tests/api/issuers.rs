//! Tokens of a real OpenID provider: discovered, accepted, refused, its keys rotated while we run, the provider gone.

use std::time::{Duration, Instant};

use almoner::refusal::Code;
use serde_json::json;

use crate::support::database::{databases, sqlite};
use crate::support::oidc::Provider;
use crate::support::server::Answer;
use crate::town::{Side, Town, job};

/// A town whose tokens may come from the provider too, with two sides.
fn town(provider: &Provider, database: crate::support::database::TestDatabase, more: &[&str]) -> (Town, Side) {
    let args = ["--issuer", &provider.issuer, "--insecure-loopback-issuers", "--issuer-pause", "1"];
    let (town, own, _) = Town::settled_with(database, &[&args[..], more].concat());
    (town, own)
}

fn me(town: &Town, token: &str) -> Answer {
    town.get(token, "/v1/me")
}

fn refused(town: &Town, token: &str, code: Code) {
    crate::codes::carries_all(code, &me(town, token));
}

/// Asks until the answer has that status.
fn eventually(town: &Town, token: &str, status: u16) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = me(town, token);
        if answer.status == status {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "never {status}: {}\n{}", answer.text, town.server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_cluster_reports_usage_with_its_own_credentials() {
    let Some(mut provider) = Provider::start() else { return };
    for database in databases() {
        let (town, own) = town(&provider, database, &[]);
        provider.claim(&json!({"roles": ["provider"], "provider": own.centre}));
        // A good token opens nothing that is not bound to its bearer here.
        crate::codes::carries_all(Code::Forbidden, &me(&town, &provider.token("almoner", "RS256")));
        town.bind(&provider.issuer, "cluster", &[json!({"role": "provider", "provider": own.centre})]);
        for algorithm in ["RS256", "ES256", "EdDSA"] {
            let token = provider.token("almoner", algorithm);
            let who = me(&town, &token).expect(200).json;
            assert_eq!(
                (&who["issuer"], &who["subject"], &who["roles"]),
                (&json!(provider.issuer), &json!("cluster"), &json!(["provider"]))
            );
            let record = job(&town.fresh("job"), &own.resource, &json!({"grant": own.grant}));
            town.server.post("/v1/usage", Some(&token), &[], &record).expect(201);
        }
        refused(&town, &provider.token("elsewhere", "RS256"), Code::TokenAudienceInvalid);
        provider.claim(&json!({"roles": ["provider", "uma_authorization"]}));
        assert_eq!(
            me(&town, &provider.token("almoner", "RS256")).expect(200).json["roles"],
            json!(["provider"]),
            "words of others are passed over"
        );
        provider.claim(&json!({}));
        let bare = me(&town, &provider.token("almoner", "RS256")).expect(200).json;
        assert_eq!(
            (&bare["roles"], &bare["provider"]),
            (&json!(["provider"]), &json!(own.centre)),
            "without a ceiling bindings decide alone"
        );
        provider.claim(&json!({"roles": []}));
        crate::codes::carries_all(Code::Forbidden, &me(&town, &provider.token("almoner", "RS256")));
    }
}

#[test]
fn roles_are_mapped_from_where_the_provider_has_them() {
    let Some(mut provider) = Provider::start() else { return };
    let more =
        ["--role-claim", "realm_access.roles", "--role-map", "ledger-staff=officer,ledger-staff=auditor", "--issuer-audience", "books"];
    let (town, _) = town(&provider, sqlite(), &more);
    town.bind(&provider.issuer, "cluster", &[json!({"role": "officer"}), json!({"role": "auditor"}), json!({"role": "admin"})]);
    provider.claim(&json!({"roles": ["admin"], "realm_access": {"roles": ["ledger-staff", "admin", "offline_access"]}}));
    assert_eq!(me(&town, &provider.token("books", "ES256")).expect(200).json["roles"], json!(["officer", "auditor"]));
    refused(&town, &provider.token("almoner", "ES256"), Code::TokenAudienceInvalid);
    assert_eq!(me(&town, &town.staff.admin).status, 200, "the books' own issuer is not asked about either");
}

#[test]
fn keys_change_while_we_run_and_outlast_their_provider_for_a_time() {
    let Some(mut provider) = Provider::start() else { return };
    let (town, _) = town(&provider, sqlite(), &[]);
    town.bind(&provider.issuer, "cluster", &[json!({"role": "auditor"})]);
    provider.claim(&json!({"roles": ["auditor"]}));
    let old = provider.token("almoner", "RS256");
    me(&town, &old).expect(200);

    provider.rotate();
    let new = provider.token("almoner", "RS256");
    me(&town, &old).expect(200);
    refused(&town, &new, Code::TokenIssuerUnknown);
    eventually(&town, &new, 200);
    refused(&town, &old, Code::TokenIssuerUnknown);

    provider.stop();
    // The token's key is gone, so that the provider is asked again, in vain.
    let begun = Instant::now();
    while !town.server.log().contains("can't be had") {
        refused(&town, &old, Code::TokenIssuerUnknown);
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", town.server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    me(&town, &new).expect(200);
    let figures = town.server.get("/metrics", None, &[]).expect(200).text;
    assert!(figures.lines().any(|line| line.starts_with("almoner_issuer_fetches_total{") && line.contains("\"failed\"")), "{figures}");
}

#[test]
fn a_provider_that_is_not_there_yet_keeps_nobody_else_out() {
    let absent = "http://127.0.0.1:9";
    let town = Town::found_with(sqlite(), &["--issuer", absent, "--insecure-loopback-issuers"]);
    me(&town, &town.staff.auditor).expect(200);
}
