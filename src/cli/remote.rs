//! Asking a service elsewhere: for its log, and by a token for what concerns who asks.
//!
//! What comes is believed by nobody here. Bounds: 16 MiB a file of the log, 256 MiB a statement, 60 s a request, no redirect. A token is sent
//! over https alone, or to this machine.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

use crate::attest::served::Served;
use crate::http::{client, issuers};

const PATIENCE: Duration = Duration::from_secs(60);
/// The most bytes of a file: a bundle of 256 leaves of 64 KiB.
const FILE: u64 = 16 << 20;
/// The most bytes of a statement.
const STATEMENT: u64 = 256 << 20;

/// Where a log lies below the address of the service.
const LOG: &str = "/v1/log";

/// A service at an address.
pub struct Remote {
    agent: Agent,
    address: String,
}

impl Remote {
    /// A service, by its address or that of its log, which ends in `/v1/log`.
    pub fn new(url: &str) -> Remote {
        let base = url.trim_end_matches('/');
        let address = base.strip_suffix(LOG).unwrap_or(base);
        Remote { agent: client::agent(address, PATIENCE), address: address.to_owned() }
    }

    /// What is at a path for the bearer of a token; the status where it is none of theirs.
    pub fn ask(&self, path: &str, token: &str) -> Result<Result<String, u16>, String> {
        issuers::may_ask(&self.address, true)?;
        let address = format!("{}{path}", self.address);
        let failed = |why: &dyn std::fmt::Display| format!("{address}: {why}");
        let request = self.agent.get(&address).header("authorization", format!("Bearer {token}"));
        let mut answer = request.call().map_err(|error| failed(&error))?;
        match answer.status().as_u16() {
            200 => answer.body_mut().with_config().limit(STATEMENT).read_to_string().map(Ok).map_err(|error| failed(&error)),
            status => Ok(Err(status)),
        }
    }

    /// The donor that a token speaks for, if it does for one.
    pub fn donor(&self, token: &str) -> Result<Result<Option<String>, u16>, String> {
        let me = self.ask("/v1/me", token)?;
        let read = |text: String| -> Result<Option<String>, String> {
            let me: Value = serde_json::from_str(&text).map_err(|_| format!("{}/v1/me is not what was asked for", self.address))?;
            Ok(me.get("donor").and_then(Value::as_str).map(str::to_owned))
        };
        me.map(read).map_or_else(|status| Ok(Err(status)), |donor| donor.map(Ok))
    }
}

impl Served for Remote {
    fn get(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        let address = format!("{}{LOG}/{path}", self.address);
        let failed = |why: &dyn std::fmt::Display| format!("{address}: {why}");
        let mut answer = self.agent.get(&address).call().map_err(|error| failed(&error))?;
        match answer.status().as_u16() {
            200 => answer.body_mut().with_config().limit(FILE).read_to_vec().map(Some).map_err(|error| failed(&error)),
            404 => Ok(None),
            status => Err(failed(&format_args!("it answers {status}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail once without the rule in `ask`.
    #[test]
    fn a_token_goes_to_nobody_in_the_clear_but_on_this_machine() {
        for address in ["http://ledger.invalid", "http://ledger.invalid/v1/log", "ftp://ledger.invalid"] {
            let refused = Remote::new(address).donor("a token").expect_err("not asked");
            assert!(!refused.contains("/v1/me"), "{address} was asked: {refused}");
        }
        // Asked, and nobody is there.
        for address in ["https://ledger.invalid", "http://127.0.0.1:9"] {
            let failed = Remote::new(address).donor("a token").expect_err("nobody is there");
            assert!(failed.contains("/v1/me"), "{address} was not asked: {failed}");
        }
    }
}
