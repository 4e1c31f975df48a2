//! Bearer tokens: JSON Web Tokens (RFC 7519), read strictly (RFC 8725).
//!
//! A token is refused for the first thing wrong with it, in this order: form, algorithm, issuer and key, signature, claims, audience, time.
//! What a good token says is remembered by its SHA-256, since checking a signature costs more than a charge; times are checked on every use.
//! What is remembered counts no longer once any provider's keys have changed, so it never outlives the key it was found good by.
//! Bounds: 8 KiB a token, twice [`MEMO`] remembered tokens.

mod claims;

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, crypto};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::actor::Actor;
use crate::json;
use crate::refusal::{Code, Refusal};
use crate::time::{Clock, SECOND, Time};

use super::keys::{ALGORITHMS, Key, Keys};
use super::memo::Memo;
pub(super) use claims::Wanted;
use claims::{bearer, name};

/// The longest token read, in bytes.
const LENGTH: usize = 8192;
/// How far clocks may disagree.
const LEEWAY: i64 = 5 * SECOND;
/// Tokens remembered in each of two generations.
const MEMO: usize = 4096;
/// Headers that would have us take the key from the token itself or from an address it names.
const FOREIGN_KEYS: [&str; 4] = ["jku", "jwk", "x5u", "x5c"];

/// A token's bearer, whose signature was found good.
#[derive(Debug, PartialEq)]
pub struct Bearer {
    /// Who asks.
    pub actor: Actor,
    /// The token's own id, by which it can be revoked; where a provider gives none, one made from what was signed.
    pub token: String,
    /// When it was issued: what is revoked for a person as a whole is older.
    pub issued_at: Time,
    /// When it ends.
    pub expires_at: Time,
    /// When it begins, which is not before it was issued.
    pub valid_from: Time,
}

impl Bearer {
    /// The same bearer with other rights.
    pub fn with(&self, actor: Actor) -> Bearer {
        let Bearer { token, issued_at, expires_at, valid_from, .. } = self;
        Bearer { actor, token: token.clone(), issued_at: *issued_at, expires_at: *expires_at, valid_from: *valid_from }
    }
}

/// Who bears a token, and the epoch of the keys when that was found.
type Found = (u64, Arc<Bearer>);

/// Checks tokens.
pub struct Verifier {
    keys: Keys,
    clock: Clock,
    /// By a token's SHA-256.
    memo: Mutex<Memo<[u8; 32], Found>>,
}

impl Verifier {
    /// Checks with these keys and by this clock.
    pub fn new(keys: Keys, clock: Clock) -> Verifier {
        Verifier { keys, clock, memo: Mutex::new(Memo::new(MEMO)) }
    }

    /// Who bears the token. Each cause of refusal has its own code.
    pub fn verify(&self, token: &str) -> Result<Arc<Bearer>, Refusal> {
        self.verify_if(token, || Ok(()))
    }

    /// As `verify`, where one that is not remembered is looked at only if it `may` be.
    pub fn verify_if(&self, token: &str, may: impl FnOnce() -> Result<(), Refusal>) -> Result<Arc<Bearer>, Refusal> {
        if token.len() > LENGTH {
            return Err(malformed("It is longer than 8 KiB."));
        }
        let digest: [u8; 32] = Sha256::digest(token).into();
        // Before the keys are looked at: if they change meanwhile, what is remembered is of an epoch that is past.
        let epoch = self.keys.epoch();
        let known = self.memo.lock().unwrap_or_else(PoisonError::into_inner).get(&digest);
        let bearer = match known.filter(|(of, _)| *of == epoch) {
            Some((_, bearer)) => bearer,
            None => {
                may()?;
                let bearer = Arc::new(read(token, &self.keys)?);
                self.memo.lock().unwrap_or_else(PoisonError::into_inner).put(digest, (epoch, Arc::clone(&bearer)));
                bearer
            }
        };
        bearer.check_times(self.clock.now())?;
        Ok(bearer)
    }
}

impl Bearer {
    /// Whether it may be used now. Errors: `token_expired`, `token_not_yet_valid`.
    pub(super) fn check_times(&self, now: Time) -> Result<(), Refusal> {
        if now >= self.expires_at.plus(LEEWAY) {
            return Err(Refusal::new(Code::TokenExpired, format!("It expired at {}.", self.expires_at)));
        }
        if self.valid_from > now.plus(LEEWAY) {
            return Err(Refusal::new(Code::TokenNotYetValid, format!("It is valid from {}.", self.valid_from)));
        }
        Ok(())
    }
}

fn malformed(detail: impl Into<String>) -> Refusal {
    Refusal::new(Code::TokenMalformed, detail)
}

/// All that does not depend on the time: form, signature and claims.
fn read(token: &str, keys: &Keys) -> Result<Bearer, Refusal> {
    let parts = Parts::of(token)?;
    let issuer = name(&parts.claims, "iss")?;
    let Some((all, provider)) = keys.provider(issuer) else {
        parts.check_signature(keys.of(issuer))?;
        return parts.bearer(issuer, &Wanted { audience: keys.audience(), roles: None, signs_in: false });
    };
    parts.check_signature(&provider.held().keys).inspect_err(|refusal| {
        // It may be a new key of theirs. The answer does not wait for it.
        if refusal.code == Code::TokenIssuerUnknown {
            provider.want();
        }
    })?;
    let terms = all.terms();
    parts.bearer(issuer, &Wanted { audience: &terms.audience, roles: Some(&terms.roles), signs_in: false })
}

/// A token taken apart; what it says is not to be believed yet.
pub(super) struct Parts<'t> {
    header: Map<String, Value>,
    /// What it says it is signed by.
    pub algorithm: Algorithm,
    /// What it says.
    pub claims: Map<String, Value>,
    signed: &'t str,
    signature: &'t str,
}

impl<'t> Parts<'t> {
    /// Takes a token apart. Errors: `token_malformed`, `token_alg_not_allowed`.
    pub fn of(token: &'t str) -> Result<Parts<'t>, Refusal> {
        let parts: Vec<&str> = token.split('.').collect();
        let (&[header, payload, signature], Some((signed, _))) = (parts.as_slice(), token.rsplit_once('.')) else {
            return Err(malformed("It must have three parts."));
        };
        let header = object(header)?;
        let algorithm = check_header(&header)?;
        Ok(Parts { header, algorithm, claims: object(payload)?, signed, signature })
    }

    /// Whether one of these keys signed it. Errors: `token_issuer_unknown`, `token_alg_not_allowed`, `token_signature_invalid`.
    pub fn check_signature(&self, keys: &[Key]) -> Result<(), Refusal> {
        let key = find_key(keys, &self.header)?;
        if key.algorithm != self.algorithm {
            return Err(Refusal::new(Code::TokenAlgNotAllowed, "Its key is pinned to another algorithm."));
        }
        let good = crypto::verify(self.signature, self.signed.as_bytes(), &key.public, self.algorithm).unwrap_or(false);
        good.then_some(()).ok_or_else(|| Refusal::new(Code::TokenSignatureInvalid, Code::TokenSignatureInvalid.title()))
    }

    /// Who bears it, once its signature was found good.
    pub fn bearer(&self, issuer: &str, wanted: &Wanted<'_>) -> Result<Bearer, Refusal> {
        bearer(&self.claims, issuer, wanted, self.signed)
    }
}

fn object(part: &str) -> Result<Map<String, Value>, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed("Its parts must be base64url without padding."))?;
    match json::parse(&bytes).map(Value::from) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(malformed("Its header and claims must be JSON objects.")),
        Err(refusal) => Err(malformed(refusal.detail)),
    }
}

fn check_header(header: &Map<String, Value>) -> Result<Algorithm, Refusal> {
    let name = header.get("alg").and_then(Value::as_str).ok_or_else(|| malformed("Its header must name an alg."))?;
    let algorithm = Algorithm::from_str(name).ok().filter(|algorithm| ALGORITHMS.contains(algorithm));
    let algorithm =
        algorithm.ok_or_else(|| Refusal::new(Code::TokenAlgNotAllowed, "Only public-key signatures are accepted: EdDSA, ES, RS, PS."))?;
    if header.contains_key("crit") {
        return Err(malformed("Its header has critical extensions, and none is understood here."));
    }
    if header.contains_key("b64") {
        return Err(malformed("Its header must not say how its payload is encoded (RFC 7797)."));
    }
    if FOREIGN_KEYS.iter().any(|name| header.contains_key(*name)) {
        return Err(malformed("Its header must not bring or point to a key."));
    }
    let accepted = |kind: &str| ["JWT", "at+jwt", "application/at+jwt"].iter().any(|known| known.eq_ignore_ascii_case(kind));
    match header.get("typ") {
        None => Ok(algorithm),
        Some(Value::String(kind)) if accepted(kind) => Ok(algorithm),
        Some(_) => Err(malformed("Its typ must be JWT or at+jwt, or absent.")),
    }
}

fn find_key<'k>(keys: &'k [Key], header: &Map<String, Value>) -> Result<&'k Key, Refusal> {
    let unknown = || Refusal::new(Code::TokenIssuerUnknown, Code::TokenIssuerUnknown.title());
    match (header.get("kid"), keys) {
        (_, []) => Err(unknown()),
        (None, [only]) => Ok(only),
        (None, _) => Err(malformed("Its issuer has several keys, so its header must name a kid.")),
        (Some(Value::String(id)), keys) => keys.iter().find(|key| key.id.as_ref() == Some(id)).ok_or_else(unknown),
        (Some(_), _) => Err(malformed("Its kid must be a string.")),
    }
}

#[cfg(test)]
mod tests;
