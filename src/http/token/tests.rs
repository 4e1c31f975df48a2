//! Hostile tokens, each refused by its own code.

use super::*;
use crate::actor::{Actor, Role};
use crate::http::issuers::RoleRules;
use crate::id::{DonorId, ProjectId};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use serde_json::json;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://idp.example";

/// An identity provider with one key, or two.
struct Provider {
    pair: Ed25519KeyPair,
    verifier: Verifier,
    clock: Clock,
}

fn provider(kids: &[&str]) -> Provider {
    let pair = Ed25519KeyPair::generate().expect("a key");
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    let keys: Vec<Value> = kids.iter().map(|kid| json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x})).collect();
    let file = json!({"issuer": ISSUER, "keys": keys}).to_string();
    let keys = Keys::new("almoner").with_file(file.as_bytes()).expect("keys");
    let clock = Clock::held(Time::from_micros(NOW * SECOND));
    Provider { pair, verifier: Verifier::new(keys, clock.clone()), clock }
}

impl Provider {
    fn sign(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    fn code(&self, token: &str) -> Option<Code> {
        self.verifier.verify(token).err().map(|refusal| refusal.code)
    }
}

fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "JWT", "kid": "a"})
}

fn claims() -> Value {
    json!({"iss": ISSUER, "sub": "ada", "aud": "almoner", "jti": "1", "exp": NOW + 60, "nbf": NOW, "iat": NOW, "roles": ["officer", "auditor"]})
}

/// The object with one member set, or removed by `null`.
fn with(mut object: Value, name: &str, value: Value) -> String {
    match value {
        Value::Null => drop(object.as_object_mut().and_then(|map| map.remove(name))),
        value => object[name] = value,
    }
    object.to_string()
}

#[test]
fn a_good_token_tells_who_asks() {
    let idp = provider(&["a"]);
    let (donor, project) = (DonorId::from_stamp(3), ProjectId::from_stamp(4));
    let mut said = claims();
    said["donor"] = json!(donor);
    said["projects"] = json!([project]);
    let bearer = idp.verifier.verify(&idp.sign(&header().to_string(), &said.to_string())).expect("good");
    assert_eq!((bearer.actor.donor, bearer.actor.projects.as_slice()), (Some(donor), [project].as_slice()));
    assert_eq!((bearer.actor.issuer.as_str(), bearer.actor.subject.as_str(), bearer.token.as_str()), (ISSUER, "ada", "1"));
    assert_eq!(bearer.actor.roles.to_string(), "officer auditor");
}

#[test]
fn what_is_allowed_is_accepted() {
    let idp = provider(&["a"]);
    for (name, value) in [("typ", json!("at+jwt")), ("typ", json!(null)), ("kid", json!(null)), ("x5t", json!("AA"))] {
        assert_eq!(idp.code(&idp.sign(&with(header(), name, value.clone()), &claims().to_string())), None, "{name} {value}");
    }
    let good =
        [("aud", json!(["x", "almoner"])), ("exp", json!(NOW - 4)), ("nbf", json!(NOW + 5)), ("iat", json!(null)), ("email", json!("x"))];
    for (name, value) in good {
        assert_eq!(idp.code(&idp.sign(&header().to_string(), &with(claims(), name, value.clone()))), None, "{name} {value}");
    }
}

#[test]
fn hostile_headers_are_refused() {
    use Code::*;
    let idp = provider(&["a"]);
    let cases = [
        ("alg", json!("none"), TokenAlgNotAllowed),
        ("alg", json!("None"), TokenAlgNotAllowed),
        ("alg", json!("HS256"), TokenAlgNotAllowed),
        ("alg", json!("ES256K"), TokenAlgNotAllowed),
        ("alg", json!("ES256"), TokenAlgNotAllowed),
        ("alg", json!("RS256"), TokenAlgNotAllowed),
        ("alg", json!(null), TokenMalformed),
        ("alg", json!(["EdDSA"]), TokenMalformed),
        ("crit", json!(["exp"]), TokenMalformed),
        ("crit", json!([]), TokenMalformed),
        ("jku", json!("https://evil.example"), TokenMalformed),
        ("jwk", json!({"kty": "OKP"}), TokenMalformed),
        ("x5u", json!("https://evil.example"), TokenMalformed),
        ("x5c", json!(["AA"]), TokenMalformed),
        ("typ", json!("JOSE"), TokenMalformed),
        ("typ", json!(1), TokenMalformed),
        ("kid", json!("b"), TokenIssuerUnknown),
        ("kid", json!("../../dev/null"), TokenIssuerUnknown),
        ("kid", json!(1), TokenMalformed),
    ];
    for (name, value, code) in cases {
        assert_eq!(idp.code(&idp.sign(&with(header(), name, value.clone()), &claims().to_string())), Some(code), "{name} {value}");
    }
}

#[test]
fn hostile_claims_are_refused() {
    use Code::*;
    let idp = provider(&["a"]);
    let cases = [
        ("iss", json!("https://evil.example"), TokenIssuerUnknown),
        ("iss", json!(null), TokenMalformed),
        ("iss", json!(["https://idp.example"]), TokenMalformed),
        ("aud", json!("other"), TokenAudienceInvalid),
        ("aud", json!(["other"]), TokenAudienceInvalid),
        ("aud", json!([]), TokenAudienceInvalid),
        ("aud", json!(null), TokenMalformed),
        ("aud", json!({"almoner": true}), TokenMalformed),
        ("aud", json!(["almoner", 1]), TokenMalformed),
        ("exp", json!(NOW - 5), TokenExpired),
        ("exp", json!(null), TokenMalformed),
        ("exp", json!("1900000000"), TokenMalformed),
        ("exp", json!(1.9e9), TokenMalformed),
        ("exp", json!(u64::MAX), TokenMalformed),
        ("exp", json!(i64::MAX), TokenMalformed),
        ("exp", json!(-1), TokenMalformed),
        ("nbf", json!(NOW + 6), TokenNotYetValid),
        ("nbf", json!(null), TokenMalformed),
        ("iat", json!(NOW + 6), TokenNotYetValid),
        ("iat", json!("now"), TokenMalformed),
        ("sub", json!(null), TokenMalformed),
        ("sub", json!(""), TokenMalformed),
        ("sub", json!("a\u{0}b"), TokenMalformed),
        ("sub", json!("a".repeat(256)), TokenMalformed),
        ("jti", json!(null), TokenMalformed),
        ("jti", json!(7), TokenMalformed),
        ("roles", json!(null), TokenMalformed),
        ("roles", json!([]), TokenMalformed),
        ("roles", json!("admin"), TokenMalformed),
        ("roles", json!(["root"]), TokenMalformed),
        ("donor", json!(ProjectId::from_stamp(1)), TokenMalformed),
        ("projects", json!("prj_1"), TokenMalformed),
        ("provider", json!(1), TokenMalformed),
    ];
    for (name, value, code) in cases {
        assert_eq!(idp.code(&idp.sign(&header().to_string(), &with(claims(), name, value.clone()))), Some(code), "{name} {value}");
    }
}

#[test]
fn hostile_forms_are_refused() {
    use Code::*;
    let idp = provider(&["a"]);
    let good = idp.sign(&header().to_string(), &claims().to_string());
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let other = provider(&["a"]).sign(&header().to_string(), &claims().to_string());
    let raised =
        good.replacen(&URL_SAFE_NO_PAD.encode(claims().to_string()), &URL_SAFE_NO_PAD.encode(with(claims(), "roles", json!(["admin"]))), 1);
    let twice = |text: String, member: &str| text.replacen('{', &format!("{{{member},"), 1);
    let cases = [
        (String::new(), TokenMalformed),
        ("a.b".into(), TokenMalformed),
        (message.into(), TokenMalformed),
        (format!("{good}.x"), TokenMalformed),
        (format!("{message}."), TokenSignatureInvalid),
        (format!("{good}="), TokenSignatureInvalid),
        (format!("{message}.{}", signature.chars().rev().collect::<String>()), TokenSignatureInvalid),
        (format!("{message}.{}", &signature[..40]), TokenSignatureInvalid),
        (other, TokenSignatureInvalid),
        (raised, TokenSignatureInvalid),
        (format!(" {good}"), TokenMalformed),
        (good.replacen('.', "=.", 1), TokenMalformed),
        (idp.sign("[]", &claims().to_string()), TokenMalformed),
        (idp.sign("{", &claims().to_string()), TokenMalformed),
        (idp.sign(&header().to_string(), "null"), TokenMalformed),
        (idp.sign(&twice(header().to_string(), r#""alg":"none""#), &claims().to_string()), TokenMalformed),
        (idp.sign(&header().to_string(), &twice(claims().to_string(), r#""sub":"root""#)), TokenMalformed),
        (idp.sign(&header().to_string(), &with(claims(), "pad", json!("x".repeat(9000)))), TokenMalformed),
    ];
    for (token, code) in cases {
        assert_eq!(idp.code(&token), Some(code), "{token}");
    }
}

#[test]
fn several_keys_want_a_kid() {
    let idp = provider(&["a", "b"]);
    assert_eq!(idp.code(&idp.sign(&with(header(), "kid", json!("b")), &claims().to_string())), None);
    assert_eq!(idp.code(&idp.sign(&with(header(), "kid", json!(null)), &claims().to_string())), Some(Code::TokenMalformed));
}

#[test]
fn a_remembered_token_still_expires() {
    let idp = provider(&["a"]);
    let token = idp.sign(&header().to_string(), &claims().to_string());
    assert_eq!(idp.code(&token), None);
    for (second, code) in [(64, None), (65, Some(Code::TokenExpired)), (-5, None), (-6, Some(Code::TokenNotYetValid))] {
        idp.clock.set(Time::from_micros((NOW + second) * SECOND));
        assert_eq!(idp.code(&token), code, "{second}");
    }
}

/// What a token of a provider says, under rules that read `claim`.
fn of_provider(claims: &str, claim: &str) -> Result<Bearer, Code> {
    let roles = RoleRules { claim: claim.into(), map: Vec::new() };
    let wanted = Wanted { audience: "almoner", roles: Some(&roles), signs_in: false };
    let Ok(Value::Object(claims)) = json::parse(claims.as_bytes()).map(Value::from) else { panic!("no claims: {claims}") };
    bearer(&claims, ISSUER, &wanted, "header.payload").map_err(|refusal| refusal.code)
}

#[test]
fn a_provider_may_leave_out_what_most_leave_out() {
    let bare = json!({"iss": ISSUER, "sub": "cluster", "aud": "almoner", "exp": NOW + 60, "iat": NOW});
    let read = of_provider(&bare.to_string(), "roles").expect("good");
    assert_eq!(
        (read.actor.roles, read.actor.subject.as_str(), read.valid_from),
        (Role::ALL.into_iter().collect(), "cluster", Time::from_micros(NOW * SECOND))
    );
    assert_eq!(
        (read.token.len(), &read.token),
        (64, &of_provider(&bare.to_string(), "x").expect("good").token),
        "made from what was signed"
    );
    for (name, value, code) in [
        ("iat", json!(null), Code::TokenMalformed),
        ("exp", json!(null), Code::TokenMalformed),
        ("sub", json!(null), Code::TokenMalformed),
        ("aud", json!(null), Code::TokenMalformed),
        ("aud", json!("other"), Code::TokenAudienceInvalid),
        ("jti", json!(7), Code::TokenMalformed),
        ("nbf", json!("now"), Code::TokenMalformed),
        ("at_hash", json!("AA"), Code::TokenMalformed),
        ("events", json!({}), Code::TokenMalformed),
        ("roles", json!([1]), Code::TokenMalformed),
        ("roles", json!({"officer": true}), Code::TokenMalformed),
        ("provider", json!("idp"), Code::TokenMalformed),
    ] {
        assert_eq!(of_provider(&with(bare.clone(), name, value.clone()), "roles"), Err(code), "{name} {value}");
    }
}

#[test]
fn roles_are_found_where_the_provider_has_them() {
    let said = json!({
        "iss": ISSUER, "sub": "ada", "aud": "almoner", "exp": NOW + 60, "iat": NOW, "scope": "openid officer  auditor",
        "realm_access": {"roles": ["offline_access", "admin"]}, "https://idp.example/roles": ["donor"],
    });
    let cases = [
        // Not said, and nobody said where it would be: no ceiling.
        ("roles", "donor officer researcher provider auditor admin"),
        ("scope", "officer auditor"),
        ("realm_access.roles", "admin"),
        ("https://idp.example/roles", "donor"),
        ("realm_access.none", ""),
    ];
    for (claim, roles) in cases {
        assert_eq!(of_provider(&said.to_string(), claim).map(|bearer| bearer.actor.roles.to_string()), Ok(roles.into()), "{claim}");
    }
}

#[test]
fn the_local_issuer_is_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("issuer.pk8");
    Keys::create_local(&path).expect("a key");
    let keys = Keys::new("almoner").with_local(&path, None).expect("the key");
    let now = Time::from_micros(NOW * SECOND + 999_999);
    let actor = Actor { donor: Some(DonorId::from_stamp(9)), ..Actor::operator("root") };
    let token = keys.issue(&actor, 60, now, "t-1").expect("a token");
    let bearer = Verifier::new(keys, Clock::held(now)).verify(&token).expect("good");
    assert!(bearer.actor.issuer.starts_with("almoner-local:"));
    assert_eq!(bearer.actor, Actor { issuer: bearer.actor.issuer.clone(), ..actor });
}
