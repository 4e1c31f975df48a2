//! Fetching a log that is served elsewhere.
//!
//! What comes is believed by nobody here. Bounds: 16 MiB a file, 60 s a request, no redirect.

use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

use crate::attest::served::Served;

const PATIENCE: Duration = Duration::from_secs(60);
/// The most bytes of a file: a bundle of 256 leaves of 64 KiB.
const FILE: u64 = 16 << 20;

/// Where a log lies below the address of the service.
const LOG: &str = "/v1/log";

/// A log at an address.
pub struct Remote {
    agent: Agent,
    address: String,
}

impl Remote {
    /// The log of a service, or at an address that ends in `/v1/log`.
    pub fn new(url: &str) -> Remote {
        let tls = TlsConfig::builder().provider(TlsProvider::Rustls).root_certs(RootCerts::WebPki);
        let tls = tls.unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider())).build();
        let config = Agent::config_builder().tls_config(tls).timeout_global(Some(PATIENCE)).max_redirects(0).http_status_as_error(false);
        let base = url.trim_end_matches('/');
        let address = if base.ends_with(LOG) { base.to_owned() } else { format!("{base}{LOG}") };
        Remote { agent: config.build().new_agent(), address }
    }
}

impl Served for Remote {
    fn get(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        let address = format!("{}/{path}", self.address);
        let failed = |why: &dyn std::fmt::Display| format!("{address}: {why}");
        let mut answer = self.agent.get(&address).call().map_err(|error| failed(&error))?;
        match answer.status().as_u16() {
            200 => answer.body_mut().with_config().limit(FILE).read_to_vec().map(Some).map_err(|error| failed(&error)),
            404 => Ok(None),
            status => Err(failed(&format_args!("it answers {status}"))),
        }
    }
}
