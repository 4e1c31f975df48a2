//! Asking a provider: its description and its keys, within limits of time and size, and nowhere but where it was sent.
//!
//! Bounds: 10 s a question, 64 KiB a description, 512 KiB and 100 keys a set. No redirect is followed.

use std::time::Duration;

use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::http::{client, keys};
use crate::json;

use super::address;
use super::{Endpoints, Held, Issuer};

const PATIENCE: Duration = Duration::from_secs(10);
const DESCRIPTION: u64 = 64 << 10;
const KEYS: u64 = 512 << 10;
/// How long keys are fresh where the provider says nothing, and at most.
const USUALLY: Duration = Duration::from_secs(3600);
const AT_MOST: Duration = Duration::from_secs(86_400);

/// Asks providers.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    near: Agent,
    loopback: bool,
}

/// What a provider answered.
pub struct Found {
    /// Its keys.
    pub held: Held,
    /// What else stood among its keys, and why it was not taken.
    pub passed_over: Vec<String>,
    /// How long that need not be asked again.
    pub fresh: Duration,
}

impl Client {
    /// A client; `loopback` is whether providers on this machine may be asked in the clear.
    pub fn new(loopback: bool) -> Client {
        let config = || client::config(PATIENCE).max_idle_connections(0).https_only(!loopback);
        // What is on this machine is not asked by way of a proxy.
        Client { agent: config().build().new_agent(), near: config().proxy(None).build().new_agent(), loopback }
    }

    /// Asks a provider for its keys.
    pub fn ask(&self, issuer: &Issuer) -> Result<Found, String> {
        let (address, endpoints) = match &issuer.keys {
            Some(address) => (address.clone(), None),
            None => self.discover(issuer.name())?,
        };
        let (document, fresh) = self.get(&address, KEYS)?;
        let (keys, passed_over) = keys::read_set(&document).map_err(|why| format!("{address}: {why}"))?;
        Ok(Found { held: Held { keys, endpoints, source: document }, passed_over, fresh })
    }

    /// Where the provider says its keys are, and where browsers sign in (OpenID Connect Discovery 1.0 §4). Its description must name it to the letter (§4.3), so that
    /// nobody speaks for another.
    fn discover(&self, name: &str) -> Result<(String, Option<Endpoints>), String> {
        let address = format!("{}/.well-known/openid-configuration", name.trim_end_matches('/'));
        let (description, _) = self.get(&address, DESCRIPTION)?;
        let said = description.get("issuer").and_then(Value::as_str).unwrap_or_default();
        if said != name {
            return Err(format!("{address} describes the issuer {said:?}, not {name:?}"));
        }
        let named = |name: &str| description.get(name).and_then(Value::as_str).map(str::to_owned);
        let keys = named("jwks_uri").ok_or_else(|| format!("{address} names no jwks_uri"))?;
        address::may_ask(&keys, self.loopback)?;
        let endpoints = named("authorization_endpoint").zip(named("token_endpoint")).map(|(authorization, token)| Endpoints {
            authorization,
            token,
            names_itself: description.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
        });
        for address in endpoints.iter().flat_map(|endpoints| [&endpoints.authorization, &endpoints.token]) {
            address::may_ask(address, self.loopback)?;
        }
        Ok((keys, endpoints))
    }

    fn agent(&self, address: &str) -> &Agent {
        if address::is_loopback(address) { &self.near } else { &self.agent }
    }

    /// Sends a form, with a name and secret that are joined and encoded already, and reads the document that is answered.
    pub fn post(&self, address: &str, form: &str, basic: Option<&str>) -> Result<Value, String> {
        address::may_ask(address, self.loopback)?;
        let request = self.agent(address).post(address).header("accept", "application/json");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let request = basic.into_iter().fold(request, |request, basic| request.header("authorization", format!("Basic {basic}")));
        let answer = request.send(form).map_err(|e| format!("{address}: {e}"))?;
        Ok(read(address, answer, DESCRIPTION)?.0)
    }

    /// One document, and how long it is fresh.
    fn get(&self, address: &str, limit: u64) -> Result<(Value, Duration), String> {
        address::may_ask(address, self.loopback)?;
        let request = self.agent(address).get(address).header("accept", "application/json");
        read(address, request.call().map_err(|e| format!("{address}: {e}"))?, limit)
    }
}

/// The document that was answered, and how long it is fresh.
fn read(address: &str, mut answer: Response<Body>, limit: u64) -> Result<(Value, Duration), String> {
    let failed = |why: &dyn std::fmt::Display| format!("{address}: {why}");
    if answer.status() != 200 {
        return Err(failed(&format_args!("it answers {}", answer.status())));
    }
    let cached = answer.headers().get("cache-control").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let fresh = freshness(cached);
    let text = answer.body_mut().with_config().limit(limit).read_to_vec().map_err(|e| failed(&e))?;
    let document = json::parse(&text).map_err(|refusal| failed(&refusal.detail))?;
    Ok((document.into(), fresh))
}

/// How long an answer with this `Cache-Control` (RFC 9111 §5.2.2) is fresh.
fn freshness(control: &str) -> Duration {
    let said = control.split(',').find_map(|part| {
        let (name, value) = part.trim().split_once('=')?;
        name.eq_ignore_ascii_case("max-age").then(|| value.trim_matches('"').parse().ok()).flatten()
    });
    said.map_or(USUALLY, Duration::from_secs).min(AT_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freshness_is_as_said_within_bounds() {
        let cases = [
            ("", 3600),
            ("no-store", 3600),
            ("max-age=0", 0),
            ("public, Max-Age=\"1200\", must-revalidate", 1200),
            ("max-age=1200", 1200),
            ("max-age=99999999", 86_400),
            ("s-maxage=5, max-age=soon", 3600),
        ];
        for (control, seconds) in cases {
            assert_eq!(freshness(control).as_secs(), seconds, "{control}");
        }
    }
}
