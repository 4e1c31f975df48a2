//! Cosigning while the service runs: each witness of the log's policy is asked on a thread of its own.
//!
//! So none that is slow or gone holds up another, nor signing, nor the books. Where a witness does not answer it is asked again after a while
//! that doubles. Bounds: 10 s a question, 64 KiB an answer, no redirect.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use ureq::Agent;

use crate::attest::cosigning::{Answer, Asker, Came, Door};
use crate::http::client;
use crate::store::Fault;

const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of an answer.
const ANSWER: u64 = 64 << 10;
/// The wait after the first question that was in vain, and the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// The way to a witness over HTTP (C2SP tlog-witness).
pub struct Address {
    agent: Agent,
    url: String,
}

impl Address {
    /// Of the witness that is found there.
    pub fn new(url: &str) -> Address {
        Address { agent: client::agent(url, PATIENCE), url: url.trim_end_matches('/').to_owned() }
    }

    /// Whether anything answers there at all; why not.
    pub fn answers(&self) -> Result<(), String> {
        self.agent.get(&self.url).call().map(drop).map_err(|error| format!("{}: {error}", self.url))
    }
}

impl Door for Address {
    fn add_checkpoint(&self, body: &str) -> Result<Answer, String> {
        let address = format!("{}/add-checkpoint", self.url);
        let failed = |error: ureq::Error| format!("{address}: {error}");
        let mut answer = self.agent.post(&address).header("content-type", "text/plain; charset=utf-8").send(body).map_err(failed)?;
        let status = answer.status().as_u16();
        if !matches!(status, 200 | 409) {
            return Ok(Answer::Declined(status));
        }
        let text = answer.body_mut().with_config().limit(ANSWER).read_to_string().map_err(failed)?;
        Ok(match status {
            200 => Answer::Cosigned(text),
            _ => text.trim_end_matches('\n').parse().map_or(Answer::Declined(status), Answer::Seen),
        })
    }
}

/// What wakes those who ask.
#[derive(Default)]
pub(super) struct Bells(Vec<SyncSender<()>>);

impl Bells {
    /// Something new was signed. Waits for nobody: one that is asking looks again afterwards.
    pub fn ring(&self) {
        for bell in &self.0 {
            // Full, it rings already.
            let _ = bell.try_send(());
        }
    }
}

/// Begins to ask each of these witnesses, at once, whenever the bell rings, and every so often. It ends with the bells.
pub(super) fn begin(askers: Vec<(Asker, Address)>, every: Duration) -> Result<Bells, Fault> {
    let mut bells = Vec::with_capacity(askers.len());
    for (asker, address) in askers {
        let (bell, rings) = sync_channel(1);
        let thread = std::thread::Builder::new().name("witness".into());
        let ask = move || ask_for_ever(asker, &address, &rings, every);
        thread.spawn(ask).map_err(|error| Fault::Internal(format!("no thread for a witness: {error}")))?;
        bells.push(bell);
    }
    Ok(Bells(bells))
}

fn ask_for_ever(mut asker: Asker, address: &Address, rings: &Receiver<()>, every: Duration) {
    let (mut failures, mut wait) = (0u32, Duration::ZERO);
    loop {
        if !rest(rings, wait, failures > 0) {
            return;
        }
        let came = asker.ask(address);
        failures = if tell(asker.name(), came) { 0 } else { failures.saturating_add(1) };
        wait = if failures == 0 { every } else { pause(failures) };
    }
}

/// The wait after so many questions in vain.
fn pause(failures: u32) -> Duration {
    FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST)
}

/// Waits so long, or, unless it was in vain last, until the bell rings; false where the bells are gone.
fn rest(rings: &Receiver<()>, wait: Duration, in_vain: bool) -> bool {
    let until = Instant::now() + wait;
    loop {
        match rings.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
            Ok(()) if !in_vain => return true,
            Ok(()) => {}
        }
    }
}

/// Tells what came of asking; whether it was not in vain.
fn tell(witness: &str, came: Result<Came, Fault>) -> bool {
    match came {
        Ok(Came::Nothing) => return true,
        Ok(Came::Cosigned(size)) => {
            tracing::debug!(witness, size, "the checkpoint is cosigned");
            return true;
        }
        Ok(Came::Contradicted(why)) => {
            tracing::error!(witness, why, "A WITNESS SAW ANOTHER LOG: these books or their signer are an older copy, or were written anew");
        }
        Ok(Came::Refused(why)) => tracing::warn!(witness, why, "the checkpoint is not cosigned; it is tried again"),
        Err(fault) => tracing::error!(witness, %fault, "the witness could not be asked; it is tried again"),
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_limit() {
        assert_eq!([1, 2, 3, 9, 10, 4_000_000].map(|failures| pause(failures).as_secs()), [1, 2, 4, 256, 300, 300]);
    }

    #[test]
    fn a_bell_wakes_who_rests_and_not_who_was_left_alone() {
        let (bell, rings) = sync_channel(1);
        let bells = Bells(vec![bell]);
        bells.ring();
        bells.ring();
        let began = Instant::now();
        assert!(rest(&rings, LONGEST, false) && began.elapsed() < FIRST);
        bells.ring();
        let wait = Duration::from_millis(50);
        assert!(rest(&rings, wait, true) && began.elapsed() >= wait);
        drop(bells);
        assert!(!rest(&rings, LONGEST, true));
    }
}
