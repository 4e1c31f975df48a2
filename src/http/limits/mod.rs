//! How often a person and an address may ask, and how often an address may show a token that is refused.
//!
//! Every limit is a rate with a burst (the generic cell rate algorithm). What is left is told with every answer, in the structured fields of
//! draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy: "person";q=…;w=…` and `RateLimit: "person";r=…;t=…`. Once an address has used up its
//! refused tokens, no further signature is checked for it: tokens that were found good before still are. Health and figures of the service are
//! exempt. Bounds: [`SHARDS`] times twice [`SIZE`] persons, and as many addresses, of which one is an IPv4 address or the first half of an IPv6
//! address; the one not seen for longest is forgotten first. It may not know what is asked for.

mod address;

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpRequest};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::metrics;
use crate::refusal::{Code, Refusal};

use super::memo::Memo;
use super::problem::Problem;
use super::token::{Bearer, Verifier};

pub use address::Network;

/// Parts that are locked apart.
const SHARDS: usize = 16;
/// Remembered in each of two generations of each part.
const SIZE: usize = 2048;
/// What is asked by machines that watch the service.
pub const EXEMPT: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// So many a second, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    per_second: NonZeroU32,
    burst: NonZeroU32,
}

/// A rate, or none: `0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(pub Option<Rate>);

impl FromStr for Limit {
    type Err = String;

    /// Reads `100`, `100:500` or `0`.
    fn from_str(text: &str) -> Result<Limit, String> {
        let wrong = |_| "write it like 100, or 100:500 with a burst, and at most 1000000; 0 is for no limit".to_owned();
        let number = |text: &str| text.parse().ok().filter(|n| *n <= 1_000_000).ok_or(()).map_err(wrong);
        let (rate, burst) = text.split_once(':').unwrap_or((text, text));
        let (rate, burst) = (NonZeroU32::new(number(rate)?), NonZeroU32::new(number(burst)?));
        match (rate, burst) {
            (None, None) => Ok(Limit(None)),
            (Some(per_second), Some(burst)) => Ok(Limit(Some(Rate { per_second, burst }))),
            _ => Err(wrong(())),
        }
    }
}

/// The limits in force.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Of requests by one person, whatever tokens they use.
    pub person: Limit,
    /// Of requests from one address.
    pub address: Limit,
    /// Of refused tokens from one address.
    pub failures: Limit,
    /// Who is believed about the address of whom they ask for.
    pub proxies: Vec<Network>,
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// What one key has used.
struct Used {
    bucket: Bucket,
    /// Until when nothing is let through without being counted, in milliseconds since the limits were made.
    closed_until: AtomicU64,
}

/// What is left to somebody.
struct Left {
    policy: &'static str,
    remaining: u32,
    /// Seconds until all of it is there again.
    full_in: u32,
}

/// One policy, and what everybody has used of it.
struct Policy {
    name: &'static str,
    rate: Rate,
    hasher: RandomState,
    shards: [Mutex<Memo<u64, Arc<Used>>>; SHARDS],
    began: Instant,
}

impl Policy {
    fn new(name: &'static str, limit: Limit) -> Option<Policy> {
        let shards = std::array::from_fn(|_| Mutex::new(Memo::new(SIZE)));
        Some(Policy { name, rate: limit.0?, hasher: RandomState::new(), shards, began: Instant::now() })
    }

    fn used(&self, key: impl Hash) -> Arc<Used> {
        let key = self.hasher.hash_one(key);
        let shard = self.shards.get((key % SHARDS as u64) as usize);
        let Some(mut known) = shard.map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner)) else {
            return Arc::new(self.fresh());
        };
        known.get(&key).unwrap_or_else(|| {
            let fresh = Arc::new(self.fresh());
            known.put(key, Arc::clone(&fresh));
            fresh
        })
    }

    fn fresh(&self) -> Used {
        let quota = Quota::per_second(self.rate.per_second).allow_burst(self.rate.burst);
        Used { bucket: RateLimiter::direct(quota).with_middleware(), closed_until: AtomicU64::new(0) }
    }

    /// Takes one of what is left to the key.
    fn take(&self, key: impl Hash) -> Result<Left, Refusal> {
        self.take_from(&self.used(key)).map_err(|wait| self.refuse(wait))
    }

    fn take_from(&self, used: &Used) -> Result<Left, Duration> {
        let told = used.bucket.check().map_err(|not_until| not_until.wait_time_from(DefaultClock::default().now()))?;
        let remaining = told.remaining_burst_capacity();
        let full_in = self.rate.burst.get().saturating_sub(remaining).div_ceil(self.rate.per_second.get());
        Ok(Left { policy: self.name, remaining, full_in })
    }

    /// Whether anything is left to the key, without taking of it.
    fn is_open(&self, key: impl Hash) -> Result<(), Refusal> {
        let until = self.used(key).closed_until.load(Ordering::Relaxed);
        match until.checked_sub(self.elapsed()) {
            None | Some(0) => Ok(()),
            Some(wait) => Err(self.refuse(Duration::from_millis(wait))),
        }
    }

    /// Takes one; where nothing is left, the key is closed until something is.
    fn count(&self, key: impl Hash) {
        let used = self.used(key);
        if let Err(wait) = self.take_from(&used) {
            let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
            used.closed_until.store(self.elapsed().saturating_add(wait), Ordering::Relaxed);
        }
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn refuse(&self, wait: Duration) -> Refusal {
        metrics::limited(self.name);
        let seconds = wait.as_secs().saturating_add(1);
        let detail = format!("More than the policy {:?} allows. Repeat after {seconds} s.", self.name);
        Refusal::new(Code::RateLimited, detail).with("policy", self.name).with("retry_after", seconds)
    }

    /// As the header states it: so many in a window of so many seconds.
    fn stated(&self) -> String {
        let window = self.rate.burst.get().div_ceil(self.rate.per_second.get());
        format!("{:?};q={};w={window}", self.name, self.rate.burst)
    }
}

/// All limits of one process.
pub struct Limits {
    person: Option<Policy>,
    address: Option<Policy>,
    failures: Option<Policy>,
    proxies: Vec<Network>,
    stated: Option<HeaderValue>,
}

impl Limits {
    /// Nobody has used anything yet.
    pub fn new(settings: Settings) -> Limits {
        let (address, person) = (Policy::new("address", settings.address), Policy::new("person", settings.person));
        let stated: Vec<String> = address.iter().chain(&person).map(Policy::stated).collect();
        // Names and numbers are always good header text.
        let stated = HeaderValue::from_str(&stated.join(", ")).ok().filter(|value| !value.is_empty());
        Limits { person, address, failures: Policy::new("failures", settings.failures), proxies: settings.proxies, stated }
    }
}

/// Who asks from where, and what is left to them.
struct Visit {
    limits: Data<Limits>,
    address: IpAddr,
    left: Vec<Left>,
}

/// The middleware that counts requests and tells what is left.
pub async fn guard(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Result<ServiceResponse<BoxBody>, Error> {
    let limits = request.app_data::<Data<Limits>>().filter(|_| !EXEMPT.contains(&request.path())).cloned();
    let visit = limits.and_then(|limits| Some((address::of(request.request(), &limits.proxies)?, limits)));
    let Some((address, limits)) = visit else { return Ok(next.call(request).await?.map_into_boxed_body()) };
    let left = match limits.address.as_ref().map(|policy| policy.take(address)).transpose() {
        Ok(left) => left.into_iter().collect(),
        Err(refusal) => {
            let mut response = request.error_response(Problem(refusal));
            tell(response.headers_mut(), &limits, &[]);
            return Ok(response);
        }
    };
    request.extensions_mut().insert(Visit { limits: limits.clone(), address, left });
    let mut response = next.call(request).await?.map_into_boxed_body();
    let visit = response.request().extensions_mut().remove::<Visit>();
    tell(response.headers_mut(), &limits, &visit.map(|visit| visit.left).unwrap_or_default());
    Ok(response)
}

fn tell(headers: &mut HeaderMap, limits: &Limits, left: &[Left]) {
    if let Some(stated) = &limits.stated {
        headers.insert(POLICY, stated.clone());
    }
    let items: Vec<String> = left.iter().map(|left| format!("{:?};r={};t={}", left.policy, left.remaining, left.full_in)).collect();
    // Names and numbers are always good header text.
    if let Some(value) = HeaderValue::from_str(&items.join(", ")).ok().filter(|value| !value.is_empty()) {
        headers.insert(LEFT, value);
    }
}

/// Checks a token within the limits of whoever shows it: neither is its signature checked for an address with too many refused ones, nor
/// are more requests let through than its person may make.
pub fn verify(request: &HttpRequest, verifier: &Verifier, token: &str) -> Result<Arc<Bearer>, Refusal> {
    let mut extensions = request.extensions_mut();
    let Some(Visit { limits, address, left }) = extensions.get_mut() else { return verifier.verify(token) };
    let failures = limits.failures.as_ref();
    let found = verifier.verify_if(token, || failures.map_or(Ok(()), |policy| policy.is_open(*address)));
    if let (Err(refusal), Some(policy)) = (&found, failures)
        && refusal.code != Code::RateLimited
    {
        policy.count(*address);
    }
    let bearer = found?;
    count(limits, left, &bearer)?;
    Ok(bearer)
}

/// Counts a request of somebody who is signed in otherwise.
pub fn signed_in(request: &HttpRequest, bearer: &Bearer) -> Result<(), Refusal> {
    match request.extensions_mut().get_mut() {
        Some(Visit { limits, left, .. }) => count(limits, left, bearer),
        None => Ok(()),
    }
}

fn count(limits: &Limits, left: &mut Vec<Left>, bearer: &Bearer) -> Result<(), Refusal> {
    if let Some(policy) = &limits.person {
        left.push(policy.take((&bearer.actor.issuer, &bearer.actor.subject))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        Policy::new("person", text.parse().expect("a limit")).expect("a policy")
    }

    #[test]
    fn limits_are_read_strictly() {
        assert_eq!("0".parse(), Ok(Limit(None)));
        assert_eq!(policy("20:200").stated(), "\"person\";q=200;w=10");
        assert_eq!(policy("7").stated(), "\"person\";q=7;w=1");
        for bad in ["", "-1", "1:", ":1", "0:5", "5:0", "1.5", "1000001", "1:2:3"] {
            assert!(bad.parse::<Limit>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_burst_is_had_once_and_each_key_has_its_own() {
        let policy = policy("1:3");
        let left: Vec<Option<u32>> = (0..5).map(|_| policy.take("a").ok().map(|left| left.remaining)).collect();
        assert_eq!(left, [Some(2), Some(1), Some(0), None, None]);
        let refused = policy.take("a").map(|_| ()).expect_err("nothing left");
        assert_eq!((refused.code, refused.params), (Code::RateLimited, vec![("policy", "person".into()), ("retry_after", "1".into())]));
        assert!(policy.take("b").is_ok());
    }

    #[test]
    fn refused_tokens_close_the_door_for_a_while() {
        let policy = policy("1:3");
        for _ in 0..3 {
            assert!(policy.is_open("a").is_ok());
            policy.count("a");
        }
        assert!(policy.is_open("a").is_ok(), "looking takes nothing");
        policy.count("a");
        assert!(policy.is_open("a").is_err() && policy.is_open("b").is_ok());
    }

    #[test]
    fn many_keys_take_bounded_room() {
        let policy = policy("1:3");
        (0..200_000).for_each(|key: u32| drop(policy.take(key)));
        let held: usize = policy.shards.iter().map(|shard| shard.lock().expect("a shard").len()).sum();
        assert!(held <= SHARDS * SIZE * 2 && held > SIZE, "{held}");
    }
}
