//! Bearer tokens: JSON Web Tokens (RFC 7519), read strictly (RFC 8725).
//!
//! A token is refused for the first thing wrong with it, in this order: form, algorithm, issuer and key, signature, claims, audience, time.
//! What a good token says is remembered by its SHA-256, since checking a signature costs more than a charge; times are checked on every use.
//! The memo needs no clearing, since the key set is fixed while the process runs. Bounds: 8 KiB a token, twice [`MEMO`] remembered tokens.

use std::collections::HashMap;
use std::mem;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, crypto};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::actor::{Actor, Role, Roles};
use crate::id::{Id, Kind};
use crate::json;
use crate::refusal::{Code, Refusal};
use crate::time::{Clock, SECOND, Time};

use super::keys::{ALGORITHMS, Key, Keys};

/// The longest token read, in bytes.
const LENGTH: usize = 8192;
/// How far clocks may disagree.
const LEEWAY: i64 = 5 * SECOND;
/// Tokens remembered in each of two generations.
const MEMO: usize = 4096;
/// The longest subject or token id, in characters.
const NAME: usize = 255;
/// Headers that would have us take the key from the token itself or from an address it names.
const FOREIGN_KEYS: [&str; 4] = ["jku", "jwk", "x5u", "x5c"];

/// A token's bearer, whose signature was found good.
#[derive(Debug, PartialEq)]
pub struct Bearer {
    /// Who asks.
    pub actor: Actor,
    /// The token's own id, by which it can be revoked.
    pub token: String,
    /// When it was issued: what is revoked for a person as a whole is older.
    pub issued_at: Time,
    /// When it ends.
    pub expires_at: Time,
    valid_from: Time,
}

impl Bearer {
    /// The same bearer with other rights.
    pub fn with(&self, actor: Actor) -> Bearer {
        let Bearer { token, issued_at, expires_at, valid_from, .. } = self;
        Bearer { actor, token: token.clone(), issued_at: *issued_at, expires_at: *expires_at, valid_from: *valid_from }
    }
}

/// Checks tokens.
pub struct Verifier {
    keys: Keys,
    clock: Clock,
    memo: Mutex<Memo>,
}

/// Two generations: when the young one is full it becomes the old one, and what is not asked for again is forgotten with it.
#[derive(Default)]
struct Memo {
    young: HashMap<[u8; 32], Arc<Bearer>>,
    old: HashMap<[u8; 32], Arc<Bearer>>,
}

impl Memo {
    fn get(&mut self, digest: &[u8; 32]) -> Option<Arc<Bearer>> {
        if let Some(found) = self.young.get(digest) {
            return Some(Arc::clone(found));
        }
        let found = self.old.remove(digest)?;
        self.put(*digest, Arc::clone(&found));
        Some(found)
    }

    fn put(&mut self, digest: [u8; 32], bearer: Arc<Bearer>) {
        if self.young.len() >= MEMO {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(digest, bearer);
    }
}

impl Verifier {
    /// Checks with these keys and by this clock.
    pub fn new(keys: Keys, clock: Clock) -> Verifier {
        Verifier { keys, clock, memo: Mutex::default() }
    }

    /// Who bears the token. Each cause of refusal has its own code.
    pub fn verify(&self, token: &str) -> Result<Arc<Bearer>, Refusal> {
        if token.len() > LENGTH {
            return Err(malformed("It is longer than 8 KiB."));
        }
        let digest: [u8; 32] = Sha256::digest(token).into();
        let known = self.memo.lock().unwrap_or_else(PoisonError::into_inner).get(&digest);
        let bearer = match known {
            Some(bearer) => bearer,
            None => {
                let bearer = Arc::new(read(token, &self.keys)?);
                self.memo.lock().unwrap_or_else(PoisonError::into_inner).put(digest, Arc::clone(&bearer));
                bearer
            }
        };
        let now = self.clock.now();
        if now >= bearer.expires_at.plus(LEEWAY) {
            return Err(Refusal::new(Code::TokenExpired, format!("It expired at {}.", bearer.expires_at)));
        }
        if bearer.valid_from > now.plus(LEEWAY) {
            return Err(Refusal::new(Code::TokenNotYetValid, format!("It is valid from {}.", bearer.valid_from)));
        }
        Ok(bearer)
    }
}

fn malformed(detail: impl Into<String>) -> Refusal {
    Refusal::new(Code::TokenMalformed, detail)
}

/// All that does not depend on the time: form, signature and claims.
fn read(token: &str, keys: &Keys) -> Result<Bearer, Refusal> {
    let parts: Vec<&str> = token.split('.').collect();
    let &[header, payload, signature] = parts.as_slice() else {
        return Err(malformed("It must have three parts."));
    };
    let header = object(header)?;
    let algorithm = check_header(&header)?;
    let claims = object(payload)?;
    let issuer = name(&claims, "iss")?;
    let key = find_key(keys.of(issuer), &header)?;
    if key.algorithm != algorithm {
        return Err(Refusal::new(Code::TokenAlgNotAllowed, "Its key is pinned to another algorithm."));
    }
    let signed = token.rsplit_once('.').map(|(message, _)| message).unwrap_or_default();
    if !crypto::verify(signature, signed.as_bytes(), &key.public, algorithm).unwrap_or(false) {
        return Err(Refusal::new(Code::TokenSignatureInvalid, Code::TokenSignatureInvalid.title()));
    }
    bearer(&claims, issuer, keys.audience())
}

fn object(part: &str) -> Result<Map<String, Value>, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed("Its parts must be base64url without padding."))?;
    match json::parse(&bytes) {
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

/// Reads the claims of a token with a good signature.
fn bearer(claims: &Map<String, Value>, issuer: &str, audience: &str) -> Result<Bearer, Refusal> {
    let (subject, token) = (name(claims, "sub")?, name(claims, "jti")?);
    let (expires_at, not_before) = (time(claims, "exp")?, time(claims, "nbf")?);
    let issued_at = if claims.contains_key("iat") { time(claims, "iat")? } else { not_before };
    let actor = Actor {
        issuer: issuer.into(),
        subject: subject.into(),
        roles: words(claims, "roles")?.into_iter().map(Role::from_str).collect::<Result<Roles, String>>().map_err(malformed)?,
        donor: id(claims, "donor")?,
        projects: match claims.get("projects") {
            None => Vec::new(),
            Some(_) => words(claims, "projects")?.into_iter().map(parse_id).collect::<Result<_, _>>()?,
        },
        provider: id(claims, "provider")?,
    };
    if actor.roles == Roles::default() {
        return Err(malformed("Its claim roles must name a role."));
    }
    check_audience(claims, audience)?;
    // A token from the future is as little to be trusted as one for the future.
    Ok(Bearer { actor, token: token.into(), issued_at, expires_at, valid_from: not_before.max(issued_at) })
}

fn check_audience(claims: &Map<String, Value>, ours: &str) -> Result<(), Refusal> {
    let named = match claims.get("aud") {
        Some(Value::String(one)) => vec![one.as_str()],
        _ => words(claims, "aud")?,
    };
    let wrong = || Refusal::new(Code::TokenAudienceInvalid, format!("Its claim aud must name {ours:?}."));
    named.contains(&ours).then_some(()).ok_or_else(wrong)
}

fn name<'c>(claims: &'c Map<String, Value>, claim: &str) -> Result<&'c str, Refusal> {
    let text = claims.get(claim).and_then(Value::as_str).filter(|text| (1..=NAME).contains(&text.chars().count()));
    let sound = text.filter(|text| !text.contains(char::is_control));
    sound.ok_or_else(|| malformed(format!("Its claim {claim} must be a text of 1 to {NAME} characters.")))
}

fn words<'c>(claims: &'c Map<String, Value>, claim: &str) -> Result<Vec<&'c str>, Refusal> {
    let listed = claims.get(claim).and_then(Value::as_array).and_then(|list| list.iter().map(Value::as_str).collect());
    listed.ok_or_else(|| malformed(format!("Its claim {claim} must be a list of texts.")))
}

fn time(claims: &Map<String, Value>, claim: &str) -> Result<Time, Refusal> {
    // The last second of the year 9999: the end of what RFC 3339 can say.
    let seconds = claims.get(claim).and_then(Value::as_i64).filter(|seconds| (0..=253_402_300_799).contains(seconds));
    let micros = seconds.map(|seconds| Time::from_micros(seconds * SECOND));
    micros.ok_or_else(|| malformed(format!("Its claim {claim} must be whole seconds since 1970.")))
}

fn id<K: Kind>(claims: &Map<String, Value>, claim: &str) -> Result<Option<Id<K>>, Refusal> {
    claims.contains_key(claim).then(|| name(claims, claim).and_then(parse_id)).transpose()
}

fn parse_id<K: Kind>(text: &str) -> Result<Id<K>, Refusal> {
    Id::parse(text).map_err(|refusal| malformed(refusal.detail))
}

#[cfg(test)]
mod tests;
