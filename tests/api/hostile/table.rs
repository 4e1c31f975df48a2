//! The table of hostile tokens. Each differs from a good one by what its name says, and is signed anew wherever its attacker could.

use almoner::refusal::Code::{self, *};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::forge::{By, Forge, encode};

/// A token and the code that must come of it.
pub struct Hostile {
    pub name: &'static str,
    pub token: String,
    pub code: Code,
}

/// All of them.
pub fn all(forge: &Forge) -> Vec<Hostile> {
    let rows = [algorithms(forge), keys(forge), headers(forge), signatures(forge), forms(forge), texts(forge), people(forge), times(forge)];
    rows.into_iter().flatten().map(|(name, token, code)| Hostile { name, token, code }).collect()
}

type Row = (&'static str, String, Code);

/// The object with one member set, or removed by `null`.
fn with(mut object: Value, name: &str, value: Value) -> String {
    match value {
        Value::Null => drop(object.as_object_mut().and_then(|map| map.remove(name))),
        value => object[name] = value,
    }
    object.to_string()
}

/// One more member, written before all others: the same name may stand there twice.
fn before(object: &Value, member: &str) -> String {
    object.to_string().replacen('{', &format!("{{{member},"), 1)
}

/// The same bytes in base64url with bits at the end that mean nothing and are not zero. Only where the last sign carries two bits.
fn strayed(text: &str) -> String {
    let (head, last) = text.split_at(text.len() - 1);
    let at = "AQgw".find(last).expect("an end with bits to spare");
    format!("{head}{}", ["B", "R", "h", "x"][at])
}

fn good_header() -> Value {
    Forge::header("EdDSA", "ed")
}

fn algorithms(forge: &Forge) -> Vec<Row> {
    let claims = forge.claims().to_string();
    let named = |by, alg: Value| forge.sign(by, &with(good_header(), "alg", alg), &claims);
    let unsigned = |alg: &str| named(By::Bytes(&[]), json!(alg));
    let secret = |kid: &'static str| forge.sign(By::Hmac(kid), &Forge::header("HS256", kid).to_string(), &claims);
    vec![
        ("alg none", unsigned("none"), TokenAlgNotAllowed),
        ("alg None", unsigned("None"), TokenAlgNotAllowed),
        ("alg NONE", unsigned("NONE"), TokenAlgNotAllowed),
        ("alg nOnE", unsigned("nOnE"), TokenAlgNotAllowed),
        ("alg none after a space", unsigned(" none"), TokenAlgNotAllowed),
        ("alg none before a NUL", unsigned("none\0"), TokenAlgNotAllowed),
        ("alg empty", unsigned(""), TokenAlgNotAllowed),
        ("alg none with a good signature", named(By::Ed, json!("none")), TokenAlgNotAllowed),
        ("alg in other letters", named(By::Ed, json!("eddsa")), TokenAlgNotAllowed),
        ("alg in full-width letters", named(By::Ed, json!("ＥｄＤＳＡ")), TokenAlgNotAllowed),
        ("alg before a space", named(By::Ed, json!("EdDSA ")), TokenAlgNotAllowed),
        ("alg missing", named(By::Ed, json!(null)), TokenMalformed),
        ("alg a list", named(By::Ed, json!(["EdDSA"])), TokenMalformed),
        ("alg a number", named(By::Ed, json!(256)), TokenMalformed),
        ("alg of encryption", named(By::Ed, json!("RSA-OAEP")), TokenAlgNotAllowed),
        ("alg of another curve", named(By::Ed, json!("ES256K")), TokenAlgNotAllowed),
        ("alg with SHA-1", named(By::Ed, json!("RS1")), TokenAlgNotAllowed),
        ("HS256 with the public RSA key as secret", secret("rsa"), TokenAlgNotAllowed),
        ("HS256 with the public P-256 key as secret", secret("ec"), TokenAlgNotAllowed),
        ("HS256 with the public Ed25519 key as secret", secret("ed"), TokenAlgNotAllowed),
        ("HS256 with an empty secret", named(By::Zeros(32), json!("HS256")), TokenAlgNotAllowed),
    ]
}

fn keys(forge: &Forge) -> Vec<Row> {
    let claims = forge.claims().to_string();
    let of = |by, alg: &str, kid: &str| forge.sign(by, &Forge::header(alg, kid).to_string(), &claims);
    let kid = |kid: Value| forge.sign(By::Ed, &with(good_header(), "kid", kid), &claims);
    vec![
        ("an RSA signature under the Ed25519 key's name", of(By::Rsa, "RS256", "ed"), TokenAlgNotAllowed),
        ("an Ed25519 signature under the RSA key's name", of(By::Ed, "EdDSA", "rsa"), TokenAlgNotAllowed),
        ("a P-256 signature under the RSA key's name", of(By::Es256, "ES256", "rsa"), TokenAlgNotAllowed),
        ("PS256 with a key pinned to RS256", of(By::RsaPss, "PS256", "rsa"), TokenAlgNotAllowed),
        ("RS384 with a key pinned to RS256", of(By::Rsa, "RS384", "rsa"), TokenAlgNotAllowed),
        ("a PSS signature said to be RS256", of(By::RsaPss, "RS256", "rsa"), TokenSignatureInvalid),
        ("ES384 with the P-256 key's name", of(By::Es384, "ES384", "ec"), TokenAlgNotAllowed),
        ("a P-384 signature said to be ES256", of(By::Es384, "ES256", "ec"), TokenSignatureInvalid),
        ("a stranger's key", of(By::Stranger, "EdDSA", "ed"), TokenSignatureInvalid),
        ("kid of nobody", kid(json!("other")), TokenIssuerUnknown),
        ("kid empty", kid(json!("")), TokenIssuerUnknown),
        ("kid a path", kid(json!("../../../../dev/null")), TokenIssuerUnknown),
        ("kid a query", kid(json!("x' UNION SELECT 'AAAA' --")), TokenIssuerUnknown),
        ("kid a command", kid(json!("ed|/bin/true")), TokenIssuerUnknown),
        ("kid an address", kid(json!("http://169.254.169.254/keys")), TokenIssuerUnknown),
        ("kid before a NUL", kid(json!("ed\0")), TokenIssuerUnknown),
        ("kid in other letters", kid(json!("ED")), TokenIssuerUnknown),
        ("kid a number", kid(json!(0)), TokenMalformed),
        ("kid a list", kid(json!(["ed"])), TokenMalformed),
        ("kid missing among several keys", kid(json!(null)), TokenMalformed),
    ]
}

fn headers(forge: &Forge) -> Vec<Row> {
    let claims = forge.claims().to_string();
    let said = |name: &str, value: Value| forge.sign(By::Ed, &with(good_header(), name, value), &claims);
    let own = json!({"kty": "OKP", "crv": "Ed25519", "x": encode([9; 32])});
    let brought = with(good_header(), "jwk", own);
    let unencoded = with(good_header(), "b64", json!(false));
    let critical = with(serde_json::from_str(&unencoded).expect("a header"), "crit", json!(["b64"]));
    vec![
        ("jwk brings the stranger's key", forge.sign(By::Stranger, &brought, &claims), TokenMalformed),
        ("jku", said("jku", json!("https://evil.example/keys")), TokenMalformed),
        ("jku at the issuer", said("jku", json!(format!("{}/keys", forge.issuer))), TokenMalformed),
        ("x5u", said("x5u", json!("https://evil.example/cert")), TokenMalformed),
        ("x5c", said("x5c", json!(["MIIB"])), TokenMalformed),
        ("crit of what nobody knows", said("crit", json!(["exp2"])), TokenMalformed),
        ("crit empty", said("crit", json!([])), TokenMalformed),
        ("crit of a registered name", said("crit", json!(["alg"])), TokenMalformed),
        ("b64 false, as critical", forge.sign(By::Ed, &critical, &claims), TokenMalformed),
        ("b64 false, unsaid to be critical", forge.sign(By::Ed, &unencoded, &claims), TokenMalformed),
        ("typ of a logout token", said("typ", json!("logout+jwt")), TokenMalformed),
        ("typ of an event", said("typ", json!("secevent+jwt")), TokenMalformed),
        ("typ of a proof of possession", said("typ", json!("dpop+jwt")), TokenMalformed),
        ("typ JOSE", said("typ", json!("JOSE")), TokenMalformed),
        ("typ a list", said("typ", json!(["JWT"])), TokenMalformed),
        ("a header twice", forge.sign(By::Ed, &before(&good_header(), r#""alg":"none""#), &claims), TokenMalformed),
        ("a header twice, once escaped", forge.sign(By::Ed, &before(&good_header(), r#""\u0061lg":"none""#), &claims), TokenMalformed),
    ]
}

fn signatures(forge: &Forge) -> Vec<Row> {
    let (good, claims) = (forge.good(), forge.claims().to_string());
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let of = |by, alg: &str, kid: &str| forge.sign(by, &Forge::header(alg, kid).to_string(), &claims);
    let raised = encode(with(forge.claims(), "roles", json!(["admin"])));
    let parts: Vec<&str> = good.split('.').collect();
    let plain = STANDARD.encode([0xfb; 64]);
    vec![
        ("ES256 with r and s zero", of(By::Zeros(64), "ES256", "ec"), TokenSignatureInvalid),
        ("ES256 with an ASN.1 signature", of(By::Es256Der, "ES256", "ec"), TokenSignatureInvalid),
        ("ES256 with an ASN.1 signature of zeros", of(By::Bytes(&[0x30, 6, 2, 1, 0, 2, 1, 0]), "ES256", "ec"), TokenSignatureInvalid),
        ("RS256 with zeros", of(By::Zeros(256), "RS256", "rsa"), TokenSignatureInvalid),
        ("EdDSA with zeros", of(By::Zeros(64), "EdDSA", "ed"), TokenSignatureInvalid),
        ("no signature", format!("{message}."), TokenSignatureInvalid),
        ("a signature cut short", format!("{message}.{}", &signature[..40]), TokenSignatureInvalid),
        ("a signature and one more sign", format!("{message}.{signature}A"), TokenSignatureInvalid),
        ("a signature with padding", format!("{message}.{signature}=="), TokenSignatureInvalid),
        ("a signature with stray bits at its end", format!("{message}.{}", strayed(signature)), TokenSignatureInvalid),
        ("a signature in the other alphabet", format!("{message}.{plain}"), TokenSignatureInvalid),
        ("a signature with a space in it", format!("{message}.{} {}", &signature[..8], &signature[8..]), TokenSignatureInvalid),
        ("claims exchanged", format!("{}.{raised}.{}", parts[0], parts[2]), TokenSignatureInvalid),
        (
            "the signature of another token",
            format!("{message}.{}", forge.sign(By::Ed, "{}", "{}").split('.').next_back().expect("one")),
            TokenSignatureInvalid,
        ),
    ]
}

fn forms(forge: &Forge) -> Vec<Row> {
    let (good, header) = (forge.good(), good_header().to_string());
    let parts: Vec<&str> = good.split('.').collect();
    let claims = forge.claims().to_string();
    let seal = |header: &str, claims: &str| forge.seal(By::Ed, &format!("{header}.{claims}"));
    // Spaces within JSON mean nothing, so that a length can be had whose last sign has bits to spare.
    let odd = (0..3).map(|n| format!("{header}{}", " ".repeat(n))).find(|text| text.len() % 3 == 1).expect("a length");
    let nested = forge.sign(By::Ed, &with(good_header(), "cty", json!("JWT")), &good);
    let sealed = encode(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#);
    let flattened = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]}).to_string();
    let utf16: Vec<u8> = claims.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        ("one part", "AAAA".into(), TokenMalformed),
        ("two parts", format!("{}.{}", parts[0], parts[1]), TokenMalformed),
        ("four parts", format!("{good}.AAAA"), TokenMalformed),
        ("five parts: an encrypted token", format!("{sealed}.AAAA.AAAA.AAAA.AAAA"), TokenMalformed),
        ("only dots", "..".into(), TokenMalformed),
        ("the claims left out", format!("{}..{}", parts[0], parts[2]), TokenMalformed),
        ("the JSON form", flattened, TokenMalformed),
        ("a token within a token", nested, TokenMalformed),
        ("longer than is read", forge.sign(By::Ed, &header, &with(forge.claims(), "pad", json!("x".repeat(9000)))), TokenMalformed),
        ("a space before", format!(" {good}"), TokenMalformed),
        ("a space in the header", seal(&format!("{} {}", &parts[0][..8], &parts[0][8..]), parts[1]), TokenMalformed),
        ("padding after the header", seal(&format!("{}==", encode(&odd)), parts[1]), TokenMalformed),
        ("stray bits after the header", seal(&strayed(&encode(&odd)), parts[1]), TokenMalformed),
        ("a sign of no alphabet in the claims", seal(parts[0], &format!("{}*{}", &parts[1][..8], &parts[1][8..])), TokenMalformed),
        ("claims in UTF-16", seal(parts[0], &encode(utf16)), TokenMalformed),
        ("claims after a byte order mark", seal(parts[0], &encode(format!("\u{feff}{claims}"))), TokenMalformed),
        (
            "claims in broken UTF-8",
            seal(
                parts[0],
                &encode(claims.replace("mallory", "m@llory").bytes().map(|b| if b == b'@' { 0xff } else { b }).collect::<Vec<u8>>()),
            ),
            TokenMalformed,
        ),
    ]
}

fn texts(forge: &Forge) -> Vec<Row> {
    let claims = forge.claims();
    let sign = |claims: &str| forge.sign(By::Ed, &good_header().to_string(), claims);
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    vec![
        ("claims a list", sign("[]"), TokenMalformed),
        ("claims null", sign("null"), TokenMalformed),
        ("claims no JSON", sign("{\"iss\":"), TokenMalformed),
        ("claims and more", sign(&format!("{claims}{{}}")), TokenMalformed),
        ("a header that is a list", forge.sign(By::Ed, "[]", &claims.to_string()), TokenMalformed),
        ("a claim twice", sign(&before(&claims, r#""sub":"root""#)), TokenMalformed),
        ("a claim twice, once escaped", sign(&before(&claims, r#""\u0073ub":"root""#)), TokenMalformed),
        ("a claim twice within another", sign(&before(&claims, r#""act":{"sub":"a","sub":"b"}"#)), TokenMalformed),
        ("NaN", sign(&before(&claims, r#""x":NaN"#)), TokenMalformed),
        ("a number beyond all numbers", sign(&before(&claims, r#""x":1e999"#)), TokenMalformed),
        ("claims too deep", sign(&before(&claims, &format!("\"x\":{deep}"))), TokenMalformed),
    ]
}

fn people(forge: &Forge) -> Vec<Row> {
    let said = |name: &str, value: Value| forge.sign(By::Ed, &good_header().to_string(), &with(forge.claims(), name, value));
    vec![
        ("iss missing", said("iss", json!(null)), TokenMalformed),
        ("iss a list", said("iss", json!([forge.issuer])), TokenMalformed),
        ("iss of nobody", said("iss", json!("https://evil.example")), TokenIssuerUnknown),
        ("iss and a slash", said("iss", json!(format!("{}/", forge.issuer))), TokenIssuerUnknown),
        ("iss before a NUL", said("iss", json!(format!("{}\0", forge.issuer))), TokenMalformed),
        ("iss with a letter that looks alike", said("iss", json!(forge.issuer.replace('t', "\u{442}"))), TokenIssuerUnknown),
        ("aud missing", said("aud", json!(null)), TokenMalformed),
        ("aud of another", said("aud", json!("other")), TokenAudienceInvalid),
        ("aud of others", said("aud", json!(["other", "another"])), TokenAudienceInvalid),
        ("aud of nobody", said("aud", json!([])), TokenAudienceInvalid),
        ("aud in other letters", said("aud", json!("Almoner")), TokenAudienceInvalid),
        ("aud that begins like ours", said("aud", json!("almoner.evil.example")), TokenAudienceInvalid),
        ("aud two in one text", said("aud", json!("other almoner")), TokenAudienceInvalid),
        ("aud an object", said("aud", json!({"almoner": true})), TokenMalformed),
        ("aud a list with a number", said("aud", json!(["almoner", 1])), TokenMalformed),
        ("sub missing", said("sub", json!(null)), TokenMalformed),
        ("sub a number", said("sub", json!(7)), TokenMalformed),
        ("sub empty", said("sub", json!("")), TokenMalformed),
        ("sub too long", said("sub", json!("a".repeat(256))), TokenMalformed),
        ("sub with a NUL", said("sub", json!("root\0x")), TokenMalformed),
        ("sub with a line's end", said("sub", json!("root\nx")), TokenMalformed),
        ("jti a number", said("jti", json!(1)), TokenMalformed),
        ("an ID token", said("at_hash", json!("77QmUPtjPfzWtF2AnpK9RQ")), TokenMalformed),
        ("an event", said("events", json!({"http://schemas.openid.net/event/backchannel-logout": {}})), TokenMalformed),
        ("roles an object", said("roles", json!({"admin": true})), TokenMalformed),
        ("provider a name", said("provider", json!("root")), TokenMalformed),
    ]
}

fn times(forge: &Forge) -> Vec<Row> {
    let now = forge.now;
    let said = |name: &str, value: &str| {
        let object = forge.claims();
        let text = with(object, name, json!("@")).replace("\"@\"", value);
        forge.sign(By::Ed, &good_header().to_string(), &text)
    };
    let without = |name: &str| forge.sign(By::Ed, &good_header().to_string(), &with(forge.claims(), name, json!(null)));
    vec![
        ("exp missing", without("exp"), TokenMalformed),
        ("exp past", said("exp", &(now - 60).to_string()), TokenExpired),
        ("exp in 1970", said("exp", "0"), TokenExpired),
        ("exp negative", said("exp", "-1"), TokenMalformed),
        ("exp a text", said("exp", &format!("\"{}\"", now + 3600)), TokenMalformed),
        ("exp a fraction", said("exp", &format!("{}.5", now + 3600)), TokenMalformed),
        ("exp in powers of ten", said("exp", "9e9"), TokenMalformed),
        ("exp of 64 bits", said("exp", &u64::MAX.to_string()), TokenMalformed),
        ("exp beyond 64 bits", said("exp", "184467440737095516150"), TokenMalformed),
        ("exp past the year 9999", said("exp", "253402300800"), TokenMalformed),
        ("exp null", said("exp", "null"), TokenMalformed),
        ("exp true", said("exp", "true"), TokenMalformed),
        ("exp a list", said("exp", &format!("[{}]", now + 3600)), TokenMalformed),
        ("nbf in the future", said("nbf", &(now + 3600).to_string()), TokenNotYetValid),
        ("nbf a text", said("nbf", "\"0\""), TokenMalformed),
        ("nbf a fraction", said("nbf", &format!("{now}.5")), TokenMalformed),
        ("iat missing", without("iat"), TokenMalformed),
        ("iat in the future", said("iat", &(now + 3600).to_string()), TokenNotYetValid),
        ("iat a text", said("iat", "\"now\""), TokenMalformed),
        ("iat negative", said("iat", "-1"), TokenMalformed),
    ]
}
