//! The verifiable log, kept while the service runs: what the journal has is integrated, sealed and signed again and again.
//!
//! It works on threads that may block and on connections of its own. Where it can't go on it says so and tries again; the books go on.

use std::time::Duration;

use actix_web::rt::time::sleep;
use actix_web::web;

use super::cosigning::{self, Address, Bells};
use crate::attest::cosigning::Asker;
use crate::attest::integrate::{Integrator, Progress};
use crate::metrics;
use crate::store::Fault;

/// How the log is kept.
pub struct Logging {
    /// Who integrates.
    pub integrator: Integrator,
    /// How often what is new is taken.
    pub every: Duration,
    /// Who asks the witnesses for their cosignatures, each at its address.
    pub askers: Vec<(Asker, Address)>,
}

/// Integrates at once and then again and again; as long as something is left there is no rest.
pub(super) async fn keep_for_ever(logging: Logging) {
    let Logging { mut integrator, every, askers } = logging;
    let bells = match cosigning::begin(askers, every) {
        Ok(bells) => bells,
        Err(fault) => {
            tracing::error!(%fault, "the log is kept without its witnesses");
            Bells::default()
        }
    };
    let mut signed = None;
    loop {
        let worked = web::block(move || {
            let done = integrator.run();
            (integrator, done)
        });
        let (back, done) = match worked.await {
            Ok(worked) => worked,
            Err(error) => return tracing::error!(%error, "the log is kept no more: its thread has ended"),
        };
        integrator = back;
        let size = done.as_ref().ok().map(|progress| progress.size);
        if size.is_some() && size != signed {
            bells.ring();
            signed = size;
        }
        if rest(done) {
            sleep(every).await;
        }
    }
}

/// Tells what came of a run; whether it may rest now.
fn rest(done: Result<Progress, Fault>) -> bool {
    match done {
        Ok(progress) => {
            metrics::logged(progress.size, progress.behind);
            progress.behind == 0
        }
        Err(fault) => {
            tracing::error!(%fault, "the log could not be kept; it is tried again");
            true
        }
    }
}
