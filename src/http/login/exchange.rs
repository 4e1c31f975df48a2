//! The code for the ID token, and what the ID token must say (OpenID Connect Core 1.0 §3.1.3).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::http::issuers::Endpoints;
use crate::http::token::{Bearer, Parts, Wanted};
use crate::refusal::{Code, Refusal};

use super::{Begun, Login};

/// Trades the code for the tokens and says who signed in. It asks the provider, so it may block.
pub fn redeem(login: &Login, endpoints: &Endpoints, begun: &Begun, code: &str) -> Result<Bearer, Refusal> {
    let settings = &login.settings;
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &settings.redirect),
        ("code_verifier", &begun.verifier),
    ];
    // RFC 6749 §2.3.1: name and secret are encoded like a form before they are joined.
    let basic = settings.secret.as_ref().map(|secret| STANDARD.encode(format!("{}:{}", encode(&settings.client), encode(secret))));
    if basic.is_none() {
        fields.push(("client_id", &settings.client));
    }
    let answer = login.client.post(&endpoints.token, &form(&fields), basic.as_deref()).map_err(|why| {
        tracing::warn!(%why, "the code of a sign-in could not be redeemed");
        Refusal::new(Code::Forbidden, "The identity provider did not confirm the sign-in. Begin again at /login.")
    })?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let token = text("id_token").ok_or_else(|| wrong("The provider sent no ID token."))?;
    identify(login, begun, token, text("access_token"))
}

fn wrong(detail: &str) -> Refusal {
    Refusal::new(Code::TokenMalformed, detail)
}

/// Who the ID token says signed in, if it was made for us, for this sign-in, and by a key of the provider.
fn identify(login: &Login, begun: &Begun, token: &str, access: Option<&str>) -> Result<Bearer, Refusal> {
    let parts = Parts::of(token)?;
    let (name, client) = (login.issuer.name(), login.settings.client.as_str());
    if parts.claims.get("iss").and_then(Value::as_str) != Some(name) {
        return Err(Refusal::new(Code::TokenIssuerUnknown, "The ID token is of another issuer."));
    }
    parts.check_signature(&login.issuer.held().keys).inspect_err(|_| login.issuer.want())?;
    check(&parts.claims, client, &begun.nonce)?;
    if let Some(hash) = parts.claims.get("at_hash")
        && hash.as_str() != access.map(|access| half_hash(parts.algorithm, access)).as_deref()
    {
        return Err(wrong("The ID token's at_hash is not that of the access token."));
    }
    let roles = Some(&login.issuers.terms().roles);
    let bearer = parts.bearer(name, &Wanted { audience: client, roles, signs_in: true })?;
    bearer.check_times(login.clock.now())?;
    Ok(bearer)
}

fn check(claims: &Map<String, Value>, client: &str, nonce: &str) -> Result<(), Refusal> {
    let said = |name: &str| claims.get(name).and_then(Value::as_str);
    if said("nonce") != Some(nonce) {
        return Err(wrong("The ID token is not of this sign-in."));
    }
    let several = claims.get("aud").and_then(Value::as_array).is_some_and(|list| list.len() > 1);
    let party = claims.get("azp");
    if (several || party.is_some()) && party.and_then(Value::as_str) != Some(client) {
        return Err(Refusal::new(Code::TokenAudienceInvalid, "The ID token was made for another client."));
    }
    Ok(())
}

/// The first half of the token's hash, by the hash of the signature's algorithm.
fn half_hash(algorithm: Algorithm, token: &str) -> String {
    let hash = match algorithm {
        Algorithm::ES384 | Algorithm::RS384 | Algorithm::PS384 => Sha384::digest(token).to_vec(),
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => Sha512::digest(token).to_vec(),
        _ => Sha256::digest(token).to_vec(),
    };
    URL_SAFE_NO_PAD.encode(hash.split_at(hash.len() / 2).0)
}

/// Fields as `application/x-www-form-urlencoded`.
pub fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    pairs.join("&")
}

fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_encoded() {
        assert_eq!(form(&[("a", "b c&d=é/~"), ("e", "-._9")]), "a=b%20c%26d%3D%C3%A9%2F%7E&e=-._9");
    }

    #[test]
    fn hashes_are_those_of_the_standard() {
        // OpenID Connect Core 1.0, appendix A.3.
        assert_eq!(half_hash(Algorithm::RS256, "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), "77QmUPtjPfzWtF2AnpK9RQ");
    }

    #[test]
    fn an_id_token_is_for_one_client_and_one_sign_in() {
        let verdict = |claims: Value| check(claims.as_object().expect("claims"), "pages", "n-1").map_err(|refusal| refusal.code);
        assert_eq!(verdict(json!({"nonce": "n-1", "aud": "pages"})), Ok(()));
        assert_eq!(verdict(json!({"nonce": "n-1", "aud": ["pages", "x"], "azp": "pages"})), Ok(()));
        assert_eq!(verdict(json!({"aud": "pages"})), Err(Code::TokenMalformed));
        assert_eq!(verdict(json!({"nonce": "n-2", "aud": "pages"})), Err(Code::TokenMalformed));
        assert_eq!(verdict(json!({"nonce": "n-1", "aud": ["pages", "x"]})), Err(Code::TokenAudienceInvalid));
        assert_eq!(verdict(json!({"nonce": "n-1", "aud": "pages", "azp": "x"})), Err(Code::TokenAudienceInvalid));
    }
}
