//! What a token with a good signature must say, and of whom.
//!
//! | claim | own issuer, issuers from key files | providers that are asked for their keys |
//! |---|---|---|
//! | `iss` `sub` `aud` `exp` | wanted | wanted |
//! | `iat` | may be left out | wanted (RFC 9068 §2.2, OpenID Connect Core 1.0 §2) |
//! | `nbf` `jti` | wanted | may be left out, as most do; the id is then made from what was signed |
//! | `roles` | a list of our roles, not empty | a list, or words in one text, at the claim that was set; other words are passed over; without the claim, and with none set, the token sets no ceiling and bindings decide alone |
//! | `at_hash` `c_hash` `events` | passed over | refused: the token is an ID token or an event, and not made for this door (RFC 8725 §3.12) |
//!
//! A provider of usage that signs in as itself (`client_credentials`) has its client id as `sub`, and no person.

use std::str::FromStr;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::actor::{Actor, Role, Roles};
use crate::http::issuers::RoleRules;
use crate::id::{Id, Kind};
use crate::refusal::{Code, Refusal};
use crate::time::{SECOND, Time};

use super::{Bearer, malformed};

/// The longest subject or token id, in characters.
const NAME: usize = 255;
/// Claims by which a provider's other kinds of token are known.
const OF_OTHERS: [&str; 3] = ["at_hash", "c_hash", "events"];

/// What is wanted of a token's claims.
pub struct Wanted<'w> {
    /// The audience it must name.
    pub audience: &'w str,
    /// How a provider names roles; `None` of our own issuer and of key files.
    pub roles: Option<&'w RoleRules>,
    /// Whether it is an ID token, by which somebody signs in.
    pub signs_in: bool,
}

/// Reads the claims of a token with a good signature over `signed`.
pub fn bearer(claims: &Map<String, Value>, issuer: &str, wanted: &Wanted<'_>, signed: &str) -> Result<Bearer, Refusal> {
    let asked = wanted.roles.is_some();
    if let Some(other) = OF_OTHERS.iter().find(|other| asked && !wanted.signs_in && claims.contains_key(**other)) {
        return Err(malformed(format!("Its claim {other} says that it is no access token.")));
    }
    let subject = name(claims, "sub")?;
    let token = if asked && !claims.contains_key("jti") { made_from(signed) } else { name(claims, "jti")?.into() };
    let expires_at = time(claims, "exp")?;
    let (issued_at, not_before) = match wanted.roles {
        Some(_) => (time(claims, "iat")?, optional_time(claims, "nbf")?),
        None => (optional_time(claims, "iat")?.unwrap_or(time(claims, "nbf")?), Some(time(claims, "nbf")?)),
    };
    let actor = Actor {
        issuer: issuer.into(),
        subject: subject.into(),
        roles: roles(claims, wanted)?,
        donor: id(claims, "donor")?,
        projects: match claims.get("projects") {
            None => Vec::new(),
            Some(_) => words(claims, "projects")?.into_iter().map(parse_id).collect::<Result<_, _>>()?,
        },
        provider: id(claims, "provider")?,
    };
    check_audience(claims, wanted.audience)?;
    // A token from the future is as little to be trusted as one for the future.
    Ok(Bearer { actor, token, issued_at, expires_at, valid_from: not_before.unwrap_or(issued_at).max(issued_at) })
}

/// An id for a token that has none. Of what was signed, not of the whole: of some algorithms one message has several good signatures.
fn made_from(signed: &str) -> String {
    Sha256::digest(signed).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn roles(claims: &Map<String, Value>, wanted: &Wanted<'_>) -> Result<Roles, Refusal> {
    if let Some(rules) = wanted.roles {
        return match find(claims, &rules.claim) {
            None => Ok(rules.unsaid()),
            Some(Value::String(text)) => Ok(rules.roles(text.split_ascii_whitespace())),
            Some(Value::Array(list)) if list.iter().all(Value::is_string) => Ok(rules.roles(list.iter().filter_map(Value::as_str))),
            Some(_) => Err(malformed(format!("Its claim {} must be a list of texts.", rules.claim))),
        };
    }
    let roles = words(claims, "roles")?.into_iter().map(Role::from_str).collect::<Result<Roles, String>>().map_err(malformed)?;
    if roles == Roles::default() {
        return Err(malformed("Its claim roles must name a role."));
    }
    Ok(roles)
}

/// The claim of that name, or where there is none the one its dots lead to.
fn find<'c>(claims: &'c Map<String, Value>, path: &str) -> Option<&'c Value> {
    claims.get(path).or_else(|| {
        let (first, rest) = path.split_once('.')?;
        rest.split('.').try_fold(claims.get(first)?, |value, name| value.get(name))
    })
}

fn check_audience(claims: &Map<String, Value>, ours: &str) -> Result<(), Refusal> {
    let named = match claims.get("aud") {
        Some(Value::String(one)) => vec![one.as_str()],
        _ => words(claims, "aud")?,
    };
    let wrong = || Refusal::new(Code::TokenAudienceInvalid, format!("Its claim aud must name {ours:?}."));
    named.contains(&ours).then_some(()).ok_or_else(wrong)
}

/// A claim that is one plain text of some length.
pub fn name<'c>(claims: &'c Map<String, Value>, claim: &str) -> Result<&'c str, Refusal> {
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

fn optional_time(claims: &Map<String, Value>, claim: &str) -> Result<Option<Time>, Refusal> {
    claims.contains_key(claim).then(|| time(claims, claim)).transpose()
}

fn id<K: Kind>(claims: &Map<String, Value>, claim: &str) -> Result<Option<Id<K>>, Refusal> {
    claims.contains_key(claim).then(|| name(claims, claim).and_then(parse_id)).transpose()
}

fn parse_id<K: Kind>(text: &str) -> Result<Id<K>, Refusal> {
    Id::parse(text).map_err(|refusal| malformed(refusal.detail))
}
