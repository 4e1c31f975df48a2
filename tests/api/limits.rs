//! How often somebody may ask: what is told, what is refused, whom it counts against.

use almoner::actor::Role;
use almoner::refusal::Code;
use serde_json::json;

use crate::codes::carries_all;
use crate::support::database::sqlite;
use crate::support::server::Answer;
use crate::town::{Town, actor};

fn remaining(answer: &Answer, policy: &str) -> Option<u32> {
    let item = answer.header("ratelimit").split(", ").find_map(|item| item.strip_prefix(&format!("{policy:?};r=")))?;
    item.split(';').next()?.parse().ok()
}

/// What a refusal must carry.
fn too_many(answer: &Answer, policy: &str) {
    carries_all(Code::RateLimited, answer);
    assert!(answer.header("retry-after").parse().is_ok_and(|seconds: u64| seconds >= 1), "{:?}", answer.headers);
    assert_eq!(answer.json["params"]["policy"], policy);
}

#[test]
fn a_person_has_one_burst_whatever_tokens_they_use() {
    let town = Town::found_with(sqlite(), &["--rate-limit-person", "1:5", "--rate-limit-address", "0"]);
    let tokens = [(); 2].map(|()| town.token(&actor("busy", &[Role::Auditor])));
    let seen: Vec<Answer> = (0..9).map(|n| town.get(&tokens[n % 2], "/v1/me")).collect();
    let let_in = seen.iter().filter(|answer| answer.status == 200).count();
    assert!((5..9).contains(&let_in), "{let_in}");
    assert_eq!(seen[0].header("ratelimit-policy"), "\"person\";q=5;w=5");
    assert_eq!((seen[0].header("ratelimit"), remaining(&seen[1], "person")), ("\"person\";r=4;t=1", Some(3)));
    too_many(seen.iter().rfind(|answer| answer.status == 429).expect("one too many"), "person");
    assert_eq!(town.get(&town.staff.auditor, "/v1/me").status, 200, "another person has a burst of their own");
    assert_eq!(town.server.get("/v1/units", None, &[]).header("ratelimit"), "", "nobody in particular has none");
}

#[test]
fn an_address_is_that_of_the_connection_unless_a_trusted_proxy_says_otherwise() {
    let burst = ["--rate-limit-address", "1:20", "--rate-limit-person", "0"];
    let from = |town: &Town, address: &str| town.server.get("/version", None, &[("x-forwarded-for", address)]);
    let town = Town::found_with(sqlite(), &[&burst[..], &["--trusted-proxy", "127.0.0.0/8"]].concat());
    assert_eq!(remaining(&from(&town, "192.0.2.1"), "address"), Some(19));
    let last = (0..30).map(|_| from(&town, "192.0.2.1")).last().expect("answers");
    too_many(&last, "address");
    assert_eq!(last.header("ratelimit-policy"), "\"address\";q=20;w=20");
    assert_eq!(remaining(&from(&town, "192.0.2.2"), "address"), Some(19));

    let town = Town::found_with(sqlite(), &burst);
    let seen: Vec<u16> = (0..30).map(|n| from(&town, &format!("192.0.2.{n}")).status).collect();
    assert!(seen.contains(&429), "a stranger's word is not taken: {seen:?}");
    for path in ["/healthz", "/readyz", "/metrics"] {
        let answer = town.server.get(path, None, &[]).expect(200);
        assert_eq!(answer.header("ratelimit-policy"), "", "{path} is exempt");
    }
    let figures = town.server.get("/metrics", None, &[]).text;
    assert!(figures.contains("almoner_rate_limited_total{policy=\"address\"}"), "{figures}");
}

#[test]
fn refused_tokens_use_up_their_address_but_not_those_who_are_signed_in() {
    let town = Town::found_with(sqlite(), &["--rate-limit-failures", "1:5"]);
    let (known, late) = (town.token(&actor("known", &[Role::Auditor])), town.token(&actor("late", &[Role::Auditor])));
    town.get(&known, "/v1/me").expect(200);
    let guesses: Vec<Answer> = (0..20).map(|n| town.get(&format!("guess.{n}.x"), "/v1/me")).collect();
    assert!(guesses[..5].iter().all(|answer| answer.status == 401));
    too_many(guesses.iter().find(|answer| answer.status == 429).expect("closed"), "failures");
    assert_eq!(town.get(&known, "/v1/me").status, 200, "a token that was found good needs no look");
    let begun = std::time::Instant::now();
    while town.get(&late, "/v1/me").status != 200 {
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "the door never opens again");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(town.server.get("/v1/me", None, &[]).status, 401, "no token is no guess");
}

#[test]
fn whoever_posts_fast_is_not_hindered() {
    let town = Town::found(sqlite());
    for _ in 0..300 {
        town.post(&town.staff.admin, "/v1/donors", &json!({})).expect(422);
    }
    let told = town.get(&town.staff.admin, "/v1/me").expect(200);
    assert_eq!(told.header("ratelimit-policy"), "\"address\";q=100000;w=1, \"person\";q=100000;w=1");
}
