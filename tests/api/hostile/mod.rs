//! Hostile tokens against the running server: each refused with its own code, and what another implementation makes of it.
//!
//! The other one is PyJWT, used as its manual says: the key by its `kid`, the key's one algorithm, audience, issuer and required claims.

mod forge;
mod table;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use almoner::refusal::Code;
use serde_json::{Value, json};

use crate::codes::carries_all;
use crate::support::database::sqlite;
use crate::support::{skipped, tool};
use crate::town::Town;
use forge::{By, Forge};
use table::{Hostile, all};

/// What PyJWT accepts and we don't, each with the reason.
const STRICTER: &[(&str, &str)] = &[
    // RFC 8725 §3.10, RFC 7515 §4.1.2 f.: whoever may bring a key, or an address of one, vouches for himself. PyJWT passes these headers over.
    ("jku", "a foreign address of keys"),
    ("jku at the issuer", "an address of keys within a token"),
    ("x5u", "a foreign address of certificates"),
    ("x5c", "a certificate within a token"),
    // RFC 8725 §3.11: a token made for something else is not one for this door.
    ("typ JOSE", "another type"),
    ("typ a list", "no type at all"),
    ("typ of a logout token", "another type"),
    ("typ of a proof of possession", "another type"),
    ("typ of an event", "another type"),
    ("an ID token", "made for the client that signed in, not for the ledger"),
    ("an event", "tells of something, and bears nobody"),
    // RFC 7519 §4, RFC 8725 §2.4: of two equal names two readers may see different ones. Python keeps the last.
    ("a header twice", "a name twice"),
    ("a header twice, once escaped", "a name twice"),
    ("a claim twice", "a name twice"),
    ("a claim twice, once escaped", "a name twice"),
    ("a claim twice within another", "a name twice"),
    // RFC 8259, RFC 7519 §7.2: JSON in UTF-8 without a mark before it. Python's reader guesses the encoding and knows NaN and infinity.
    ("NaN", "no JSON"),
    ("a number beyond all numbers", "no number"),
    ("claims in UTF-16", "not in UTF-8"),
    ("claims after a byte order mark", "not in UTF-8 alone"),
    // RFC 7515 §2, RFC 4648 §3.5: one text for the same bytes, else a token has many names. PyJWT takes padding off.
    ("a signature with padding", "padding"),
    ("padding after the header", "padding"),
    // Our own bounds: what is read is limited before it is read.
    ("longer than is read", "8 KiB are enough for anybody's roles"),
    ("claims too deep", "128 levels are enough"),
    ("sub too long", "255 characters (OpenID Connect Core 1.0 §2)"),
    // A time is whole seconds of this age of the world; PyJWT makes an integer of whatever is there.
    ("exp a fraction", "not whole"),
    ("exp a text", "no number"),
    ("exp in powers of ten", "not written as a whole number"),
    ("exp of 64 bits", "for ever"),
    ("exp beyond 64 bits", "for ever"),
    ("exp past the year 9999", "for ever"),
    ("iat negative", "before 1970"),
    ("nbf a fraction", "not whole"),
    ("nbf a text", "no number"),
    // What names a person is one line of text.
    ("sub empty", "nobody"),
    ("sub with a NUL", "a sign that hides what follows"),
    ("sub with a line's end", "two lines in a log"),
    // Claims of ours, which PyJWT can't know.
    ("provider a name", "no identifier"),
    ("roles an object", "no list of roles"),
];

fn town(forge: &Forge) -> Town {
    let issuer = format!("{0}={0}/keys", forge.issuer);
    let town = Town::found_with(sqlite(), &["--issuer", &issuer, "--insecure-loopback-issuers", "--rate-limit-failures", "0"]);
    town.bind(&forge.issuer, "mallory", &[json!({"role": "auditor"})]);
    town
}

#[test]
fn every_hostile_token_is_refused_by_its_code() {
    let forge = Forge::open(None);
    let town = town(&forge);
    town.get(&forge.good(), "/v1/me").expect(200);
    let hostile = all(&forge);
    assert!(hostile.len() >= 60, "only {}", hostile.len());
    for Hostile { name, token, code } in &hostile {
        let answer = town.server.get("/v1/me", Some(token), &[]);
        assert_eq!((answer.status, answer.json["code"].as_str()), (401, Some(code.slug())), "{name}: {}", answer.text);
        carries_all(*code, &answer);
        // Found bad once, it is not remembered as good.
        assert_eq!(town.server.get("/v1/me", Some(token), &[]).json["code"], code.slug(), "{name}, again");
    }
    town.get(&forge.good(), "/v1/me").expect(200);

    // One issuer does not speak for another, though both are trusted.
    let ours = town.get(&town.staff.admin, "/v1/me").expect(200).json["issuer"].clone();
    let claims = json!({"iss": ours, "sub": "admin", "aud": "almoner", "jti": "1", "nbf": 0, "exp": forge.now + 60, "roles": ["admin"]});
    for (header, code) in [(Forge::header("EdDSA", "ed"), Code::TokenIssuerUnknown), (json!({"alg": "EdDSA"}), Code::TokenSignatureInvalid)]
    {
        let token = forge.sign(By::Ed, &header.to_string(), &claims.to_string());
        carries_all(code, &town.server.get("/v1/me", Some(&token), &[]));
    }
}

#[test]
fn no_name_stands_twice() {
    let hostile = all(&Forge::open(None));
    let names: std::collections::BTreeSet<&str> = hostile.iter().map(|hostile| hostile.name).collect();
    assert_eq!(names.len(), hostile.len());
}

/// Runs the judge of tests/tools on these questions.
fn judge(python: &Path, question: &Value) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/judge.py");
    let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the judge starts");
    child.stdin.take().expect("a pipe").write_all(question.to_string().as_bytes()).expect("a question");
    let said = child.wait_with_output().expect("a verdict");
    assert!(said.status.success(), "the judge failed");
    serde_json::from_slice(&said.stdout).expect("JSON")
}

/// A Python that has PyJWT: that of `.tools`, or the one on the path.
fn python() -> Option<std::path::PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/venv/bin/python");
    let python = if own.is_file() { own } else { tool("python3")? };
    let has = Command::new(&python).args(["-c", "import jwt, cryptography"]).stderr(Stdio::null()).status().expect("Python runs");
    if !has.success() {
        skipped("with PyJWT", "it is not installed; tests/run installs it");
        return None;
    }
    Some(python)
}

#[test]
fn another_implementation_accepts_nothing_of_it_unless_we_know_why() {
    let Some(python) = python() else { return };
    let forge = Forge::open(None);
    let mut tokens: BTreeMap<&str, String> = all(&forge).into_iter().map(|hostile| (hostile.name, hostile.token)).collect();
    tokens.insert("good", forge.good());
    let question = json!({"keys": forge.keys(), "issuer": forge.issuer, "audience": "almoner", "tokens": tokens});
    let verdicts = judge(&python, &question);
    let accepted: Vec<&str> = tokens.keys().copied().filter(|name| verdicts[*name] == "accepted").collect();
    let mut expected: Vec<&str> = STRICTER.iter().map(|(name, _)| *name).chain(["good"]).collect();
    expected.sort_unstable();
    assert_eq!(accepted, expected, "{verdicts:#}");
}

#[test]
fn a_key_of_1024_bits_is_not_taken() {
    let Some(python) = python() else { return };
    let made = judge(&python, &json!({"weak": true}));
    let forge = Forge::open(Some(&made["key"]));
    let town = town(&forge);
    let question = json!({"weak": made["private"], "header": Forge::header("RS256", "weak"), "claims": forge.claims()});
    let token = judge(&python, &question)["token"].as_str().expect("a token").to_owned();
    carries_all(Code::TokenIssuerUnknown, &town.get(&token, "/v1/me"));
    assert!(town.server.log().contains("2048 bits"), "it is said that the key was passed over: {}", town.server.log());
    town.get(&forge.good(), "/v1/me").expect(200);
    let question = json!({"keys": [made["key"]], "issuer": forge.issuer, "audience": "almoner", "tokens": {"weak": token}});
    assert_eq!(judge(&python, &question)["weak"], "accepted", "PyJWT only warns of it: the signature is good");
}
