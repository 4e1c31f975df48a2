//! Signing in with a browser by a real OpenID provider, and what a session's cookie opens.

use std::collections::BTreeMap;

use almoner::refusal::Code;
use serde_json::json;
use ureq::http::Request;

use crate::codes::carries_all;
use crate::support::database::sqlite;
use crate::support::oidc::Provider;
use crate::support::server::Answer;
use crate::town::Town;

/// Where the provider sends browsers back to; the test takes it to the server itself.
const OURS: &str = "http://127.0.0.1:1";

/// As much of a browser as signing in takes: cookies by host, no more.
struct Browser<'t> {
    town: &'t Town,
    cookies: BTreeMap<String, String>,
    of_provider: BTreeMap<String, String>,
}

fn jar(cookies: &BTreeMap<String, String>) -> String {
    cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

fn keep(cookies: &mut BTreeMap<String, String>, headers: &ureq::http::HeaderMap) {
    for line in headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok()) {
        let (name, rest) = line.split_once('=').expect("a cookie");
        cookies.insert(name.into(), rest.split(';').next().unwrap_or_default().into());
    }
}

impl Browser<'_> {
    fn new(town: &Town) -> Browser<'_> {
        Browser { town, cookies: BTreeMap::new(), of_provider: BTreeMap::new() }
    }

    fn call(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let cookies = jar(&self.cookies);
        let body = (method == "POST").then_some("{}");
        let answer =
            self.town.server.call(method, path, None, &[&[("cookie", cookies.as_str())], headers].concat(), body).expect("an answer");
        keep(&mut self.cookies, &answer.headers);
        answer
    }

    fn get(&mut self, path: &str) -> Answer {
        self.call("GET", path, &[])
    }

    /// Goes where the provider leads, until it leads back to us: the way back.
    fn follow(&mut self, address: &str) -> String {
        let issuer = address.split('/').take(3).collect::<Vec<_>>().join("/");
        let agent = ureq::Agent::config_builder().max_redirects(0).build().new_agent();
        let mut next = address.to_owned();
        for _ in 0..10 {
            if let Some(path) = next.strip_prefix(OURS) {
                return path.to_owned();
            }
            let address = if next.starts_with('/') { format!("{issuer}{next}") } else { next };
            let request = Request::get(address).header("cookie", jar(&self.of_provider)).body(()).expect("a request");
            let answer = agent.run(request).expect("an answer of the provider");
            keep(&mut self.of_provider, answer.headers());
            next = answer.headers().get("location").and_then(|value| value.to_str().ok()).expect("the way on").to_owned();
        }
        panic!("the provider leads nowhere")
    }

    /// Signs in, as far as the provider's answer.
    fn sign_in(&mut self, return_to: &str) -> String {
        let begun = self.get(&format!("/login?return_to={return_to}")).expect(303);
        let address = begun.header("location").to_owned();
        self.follow(&address)
    }
}

fn town(provider: &Provider) -> Town {
    let args = ["--issuer", &provider.issuer, "--insecure-loopback-issuers", "--login-client-id", "pages"];
    let back = format!("{OURS}/login/callback");
    Town::found_with_env(
        sqlite(),
        &[&args[..], &["--login-redirect", &back]].concat(),
        &[("ALMONER_LOGIN_CLIENT_SECRET", "for the pages: %+/")],
    )
}

#[test]
fn a_person_signs_in_reads_and_leaves() {
    let Some(mut provider) = Provider::start() else { return };
    provider.claim(&json!({"roles": ["officer"]}));
    let town = town(&provider);
    town.bind(&provider.issuer, "ada", &[json!({"role": "officer"})]);
    let mut browser = Browser::new(&town);
    let begun = browser.get("/login?return_to=/docs/").expect(303);
    for part in ["response_type=code", "code_challenge_method=S256", "state=", "nonce=", "scope=openid", "client_id=pages"] {
        assert!(begun.header("location").contains(part), "{part}: {}", begun.header("location"));
    }
    let back = browser.sign_in("/docs/");
    let done = browser.get(&back).expect(303);
    assert_eq!(done.header("location"), "/docs/");
    let set: Vec<&str> = done.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok()).collect();
    let session = set.iter().find(|cookie| cookie.starts_with("almoner=")).expect("a session");
    assert!(["HttpOnly", "SameSite=Lax", "Path=/;", "Max-Age=3600"].iter().all(|part| session.contains(part)), "{session}");

    let me = browser.get("/v1/me").expect(200).json;
    assert_eq!((&me["issuer"], &me["subject"], &me["roles"]), (&json!(provider.issuer), &json!("ada"), &json!(["officer"])));
    let institution = |browser: &mut Browser<'_>, headers: &[(&str, &str)]| {
        let key = town.fresh("key");
        browser.call("POST", "/v1/institutions", &[&[("idempotency-key", key.as_str())], headers].concat())
    };
    for headers in [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "http://127.0.0.1:11")],
        &[("origin", "null")],
    ] {
        carries_all(Code::Forbidden, &institution(&mut browser, headers));
    }
    for headers in [[("sec-fetch-site", "same-origin")], [("origin", OURS)]] {
        carries_all(Code::ValidationFailed, &institution(&mut browser, &headers));
    }
    carries_all(Code::Forbidden, &browser.call("POST", "/logout", &[("sec-fetch-site", "cross-site")]));
    browser.get("/v1/me").expect(200);
    let kept = browser.cookies.clone();
    browser.call("POST", "/logout", &[("origin", OURS)]).expect(204);
    browser.cookies = kept;
    carries_all(Code::TokenExpired, &browser.get("/v1/me"));
    browser.cookies.clear();
    carries_all(Code::TokenMissing, &browser.get("/v1/me"));
}

#[test]
fn a_sign_in_is_of_one_browser_and_happens_once() {
    let Some(mut provider) = Provider::start() else { return };
    provider.claim(&json!({"roles": ["auditor"]}));
    let town = town(&provider);
    town.bind(&provider.issuer, "ada", &[json!({"role": "auditor"})]);
    let (mut browser, mut other) = (Browser::new(&town), Browser::new(&town));
    let back = browser.sign_in("/");
    carries_all(Code::InvalidParameter, &other.get(&back));
    carries_all(Code::InvalidParameter, &browser.get(&back));
    let back = browser.sign_in("/");
    let elsewhere = back.replace("iss=", "iss=https%3A%2F%2Fevil.example&was=");
    assert_ne!(back, elsewhere, "the provider names itself");
    carries_all(Code::TokenIssuerUnknown, &browser.get(&elsewhere));
    let back = browser.sign_in("/");
    let forged: Vec<String> =
        back.split('&').map(|part| if part.contains("code=") { part.replace("code=", "code=x") } else { part.into() }).collect();
    carries_all(Code::Forbidden, &browser.get(&forged.join("&")));
    let back = browser.sign_in("/");
    browser.get(&back).expect(303);
    carries_all(Code::InvalidParameter, &browser.get(&back));
    browser.get("/v1/me").expect(200);
    for away in ["//evil.example", "https://evil.example", "/%5Cevil.example", "evil"] {
        carries_all(Code::InvalidParameter, &browser.get(&format!("/login?return_to={away}")));
    }
    provider.refuse();
    let mut late = Browser::new(&town);
    let back = late.sign_in("/");
    let refused = late.get(&back);
    carries_all(Code::Forbidden, &refused);
    assert!(refused.text.contains("access_denied"), "{}", refused.text);
}

#[test]
fn without_a_client_there_is_no_door_for_browsers() {
    let town = Town::found(sqlite());
    carries_all(Code::NotFound, &town.server.get("/login", None, &[]));
    let cookie = [("cookie", "almoner=AAAA")];
    carries_all(Code::TokenMissing, &town.server.get("/v1/me", None, &cookie));
}
