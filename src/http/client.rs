//! Asking others over HTTP: one set of rules for whom is asked on behalf of who runs the program.
//!
//! Bounds: those that are asked for; no redirect is followed. Webhooks, whose addresses others name, are sent by `events::webhook::send`.

use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::config::ConfigBuilder;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::typestate::AgentScope;

use super::issuers::is_loopback;

/// The rules, for who adds to them: so long for a whole request, no redirect, every status an answer.
pub fn config(patience: Duration) -> ConfigBuilder<AgentScope> {
    let tls = TlsConfig::builder().provider(TlsProvider::Rustls).root_certs(RootCerts::WebPki);
    let tls = tls.unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider())).build();
    Agent::config_builder().tls_config(tls).timeout_global(Some(patience)).max_redirects(0).http_status_as_error(false)
}

/// Who asks at an address by these rules. What is on this machine is not asked by way of a proxy.
pub fn agent(address: &str, patience: Duration) -> Agent {
    let config = config(patience);
    let config = if is_loopback(address) { config.proxy(None) } else { config };
    config.build().new_agent()
}
