//! Sending: what is due is taken for a while, tried, and what came of it is written down.
//!
//! Between taking and writing down nothing is held but the lease in the table. A try reads at most a few KB of the answer and keeps only its
//! status: what an address answers is never shown to anybody.

use std::io::Read;
use std::sync::Arc;

use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, config::Config};

use super::guard::Guard;
use super::{Delivery, LEASE, Schedule, Secret, Target, Webhook, own_event, payload, sign, store};
use crate::directory::standing::{self, Rule};
use crate::events::{Sight, tell};
use crate::id::{EventId, Id, WebhookId};
use crate::store::{Conn, Fault, Page, Work};
use crate::time::{SECOND, Time};

/// Deliveries taken at a time.
pub const AT_ONCE: usize = 16;
/// How much of an answer is read, so that the connection ends in order.
const ANSWER: u64 = 4096;

/// A delivery that was taken, with all that a try needs.
#[derive(Clone, Debug)]
pub struct Parcel {
    row: Delivery,
    url: String,
    body: String,
    secrets: Vec<Secret>,
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this status.
    Answered(u16),
    /// No answer, and why, in a word.
    Failed(&'static str),
}

/// Whether anything is due: a look that takes nobody's turn.
pub fn is_due(conn: &mut Conn, now: Time) -> Result<bool, Fault> {
    Ok(!store::due(conn, now, 1)?.is_empty())
}

/// Takes some of what is due, for `LEASE`; what its owner may not see any more is dropped.
pub fn take(work: &mut Work<'_>, rule: &Rule) -> Result<Vec<Parcel>, Fault> {
    let now = work.now();
    let mut parcels = Vec::new();
    for mut row in store::due(work.sql()?, now, AT_ONCE as i64)? {
        match parcel(work.sql()?, rule, &row, now)? {
            Some((url, body, secrets)) => {
                (row.attempts, row.due_at, row.last_attempt_at) = (row.attempts + 1, now.plus(LEASE).micros(), Some(now.micros()));
                parcels.push(Parcel { row: row.clone(), url, body, secrets });
            }
            None => row.state = "dropped".into(),
        }
        store::update_delivery(work.sql_beside()?, &row)?;
    }
    Ok(parcels)
}

/// Address, body and secrets of a delivery, judged by what its owner may see now.
fn parcel(conn: &mut Conn, rule: &Rule, row: &Delivery, now: Time) -> Result<Option<(String, String, Vec<Secret>)>, Fault> {
    let webhook = super::webhook(conn, WebhookId::from_stamp(row.webhook))?;
    let owner = standing::at_present(conn, rule, &webhook.actor)?;
    let sight = Sight::of(conn, &owner, now)?;
    let of = crate::events::Of { ids: Some(vec![row.event]), ..crate::events::Of::default() };
    let seen = crate::events::events(conn, &sight, &of, Page::ALL)?.pop();
    let secrets = store::secrets(conn, webhook.id, now)?;
    Ok(seen.filter(|_| webhook.state == "active").map(|event| (webhook.url, payload(&sight, &event).to_string(), secrets)))
}

/// What asks the addresses: no redirects, no proxy, no address that was not checked.
pub struct Sender {
    agent: Agent,
    loopback: bool,
}

impl Sender {
    /// A client that waits so long; with `loopback` (for tests) it may ask this machine.
    pub fn new(schedule: &Schedule, loopback: bool) -> Sender {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::WebPki)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let config: Config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(schedule.patience))
            .max_idle_connections(0)
            .max_response_header_size(16 * 1024)
            .user_agent(concat!("almoner/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build();
        Sender { agent: Agent::with_parts(config, DefaultConnector::default(), Guard { loopback }), loopback }
    }

    /// Tries one delivery. Blocks the calling thread.
    pub fn send(&self, parcel: &Parcel, now: Time) -> Outcome {
        // The rules may have grown stricter since the address was registered.
        if Target::read(&parcel.url, self.loopback).is_err() {
            return Outcome::Failed("address_not_allowed");
        }
        let (id, timestamp) = (EventId::from_stamp(parcel.row.event).to_string(), now.micros().div_euclid(SECOND));
        let request = self
            .agent
            .post(&parcel.url)
            .header("content-type", "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", timestamp.to_string())
            .header("webhook-signature", sign::signatures(&parcel.secrets, &id, timestamp, &parcel.body));
        match request.send(parcel.body.as_str()) {
            Ok(mut answer) => {
                // What it says is nobody's business, and how it ends does not matter.
                let _ = std::io::copy(&mut answer.body_mut().as_reader().take(ANSWER), &mut std::io::sink());
                Outcome::Answered(answer.status().as_u16())
            }
            Err(error) => Outcome::Failed(problem(&error)),
        }
    }
}

/// Why there was no answer, in a word that says nothing of what lies behind the address.
fn problem(error: &ureq::Error) -> &'static str {
    match error {
        ureq::Error::Timeout(_) => "timeout",
        ureq::Error::HostNotFound => "host_not_found",
        ureq::Error::Other(why) if why.to_string() == "address_not_public" => "address_not_public",
        ureq::Error::Other(_) => "host_not_found",
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => "tls",
        ureq::Error::Io(_) | ureq::Error::ConnectionFailed => "connection_failed",
        _ => "no_answer",
    }
}

/// Writes down what came of tries; how many were taken.
pub fn settle(work: &mut Work<'_>, tried: &[(Parcel, Outcome)], schedule: &Schedule) -> Result<usize, Fault> {
    let mut delivered = 0;
    for (parcel, outcome) in tried {
        delivered += usize::from(settle_one(work, &parcel.row, outcome, schedule)?);
    }
    Ok(delivered)
}

fn settle_one(work: &mut Work<'_>, taken: &Delivery, outcome: &Outcome, schedule: &Schedule) -> Result<bool, Fault> {
    let (now, id) = (work.now(), WebhookId::from_stamp(taken.webhook));
    let Some(mut row) = store::delivery(work.sql()?, id, EventId::from_stamp(taken.event))? else { return Ok(false) };
    // Begun again or taken by another since: what came of this try says nothing about that one.
    if (row.state.as_str(), row.attempts, row.last_attempt_at) != ("waiting", taken.attempts, taken.last_attempt_at) {
        return Ok(false);
    }
    (row.last_status, row.last_problem) = match outcome {
        Outcome::Answered(status) => (Some(i32::from(*status)), None),
        Outcome::Failed(why) => (None, Some((*why).to_owned())),
    };
    let webhook = super::webhook(work.sql()?, id)?;
    let (taken, gone) = (matches!(outcome, Outcome::Answered(200..=299)), *outcome == Outcome::Answered(410));
    match schedule.next(row.attempts, now) {
        _ if taken => row.state = "delivered".into(),
        Some(next) if !gone => row.due_at = next.micros(),
        _ => row.state = "failed".into(),
    }
    store::update_delivery(work.sql_beside()?, &row)?;
    if taken {
        store::succeeded(work.sql_beside()?, row.webhook, now)?;
    }
    let silent = webhook.succeeded_at.is_none_or(|at| at < Time::from_micros(row.made_at));
    if row.state == "failed" && webhook.state == "active" && (gone || silent) {
        switch_off(work, webhook, if gone { "gone" } else { "nothing_taken" }, &row)?;
    }
    Ok(taken)
}

fn switch_off(work: &mut Work<'_>, mut webhook: Webhook, why: &str, row: &Delivery) -> Result<(), Fault> {
    let now = work.now();
    webhook.state = "switched_off".into();
    store::end(work.sql_beside()?, &webhook)?;
    let mark = format!("off:{}:{}", Id::<crate::id::Webhook>::from_stamp(row.webhook), row.event);
    tell(work, &[own_event(&webhook, "webhook.switched_off", mark, now, Some(why))])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;

    /// Whatever name an address had when it was registered: what asks it goes nowhere but where the guard lets it.
    #[test]
    fn the_client_itself_asks_no_address_that_is_not_public() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener that does not wait");
        let port = listener.local_addr().expect("an address").port();
        let schedule = Schedule { patience: Duration::from_secs(1), ..Schedule::default() };
        for host in ["localhost", "127.0.0.1", "127.1", "2130706433", "[::ffff:127.0.0.1]", "[::1]"] {
            for scheme in ["http", "https"] {
                let asked = Sender::new(&schedule, false).agent.post(format!("{scheme}://{host}:{port}/")).send("{}");
                let why = asked.map(|answer| answer.status()).map_err(|error| problem(&error));
                assert!(matches!(why, Err("address_not_public" | "host_not_found")), "{scheme}://{host}: {why:?}");
            }
        }
        assert!(listener.accept().is_err(), "nobody knocked");
        let let_in = Sender::new(&schedule, true).agent.post(format!("https://127.0.0.1:{port}/")).send("{}");
        assert!(let_in.is_err() && listener.accept().is_ok(), "where it may, it knocks");
    }
}
