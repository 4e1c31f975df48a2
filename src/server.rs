//! The running service: HTTP over the store, the sweep in the background, an orderly end.
//!
//! On SIGTERM or SIGINT no new request is taken, those accepted are finished (30 s at most), then the writer commits what it holds.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Compress, Next, from_fn};
use actix_web::rt::task::JoinHandle;
use actix_web::rt::time::sleep;
use actix_web::web::{self, Data};
use actix_web::{App, Error, HttpServer};
use tracing::Instrument;
use tracing_actix_web::TracingLogger;

use crate::attest::cosigning::Published;
use crate::attest::keep::Log;
use crate::attest::signer::Keeper;
use crate::directory::standing::Rule;
use crate::http::access::Access;
use crate::http::api::door::{self, Logged};
use crate::http::api::routes::routes;
use crate::http::api::webhooks::Addresses;
use crate::http::issuers::Client;
use crate::http::keys::Keys;
use crate::http::limits::{self, Limits};
use crate::http::login::{self, Login};
use crate::http::token::Verifier;
use crate::http::{openapi, request, route};
use crate::metrics;
use crate::reports::verify::Auditor;
use crate::store::{Fault, Store, Work, answers};
use crate::usage::{Swept, is_due, sweep_some};

pub mod cosigning;
mod errands;
pub mod witness;
mod logging;

pub use errands::Errands;
pub use logging::Logging;

/// How many things that the clock has decided one commit books at most: other commands come between.
const SWEEP_SOME: usize = 100;
/// How long accepted requests may take to finish when the service stops, in seconds.
const FINISH_WITHIN: u64 = 30;

/// How long the start waits for the first answers of identity providers; later they are waited for no more.
const ISSUERS_WITHIN: Duration = Duration::from_secs(5);

/// How to serve.
pub struct Manner {
    /// Where to listen.
    pub listen: SocketAddr,
    /// How often what the clock has decided is booked; `None` for never.
    pub sweep_every: Option<Duration>,
    /// Whether tokens of the local issuer too open only what is bound to their persons.
    pub require_bindings: bool,
    /// How often somebody may ask.
    pub limits: limits::Settings,
    /// How browsers sign in, if they do.
    pub login: Option<Login>,
    /// How events are told and sent.
    pub errands: Errands,
    /// How often the books verify themselves; `None` for never.
    pub audit_every: Option<Duration>,
    /// The verifiable log.
    pub log: Log,
    /// The log's key, if this process has it: by what its signer remembers the log is verified too.
    pub keeper: Option<Keeper>,
    /// The policy it is published under, if it asks for witnesses.
    pub policy: Option<Published>,
    /// How it is kept, if this process keeps it.
    pub logging: Option<Logging>,
}

/// Serves until a signal; `announce` is told the address once requests are taken.
pub fn serve(store: Store, keys: Keys, manner: Manner, announce: impl FnOnce(SocketAddr)) -> Result<(), Fault> {
    let Manner { listen, sweep_every, require_bindings, limits, login, errands, audit_every, log, keeper, policy, logging } = manner;
    let rule = Rule { local: keys.local_issuer().map(String::from), require_bindings };
    let access = Arc::new(Access::open(store.clone(), rule.clone())?);
    let failed = |e: std::io::Error| Fault::Internal(format!("can't serve on {listen}: {e}"));
    let listener = TcpListener::bind(listen).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    if let Some(providers) = keys.providers() {
        providers.keep(&Client::new(providers.terms().loopback), ISSUERS_WITHIN).map_err(Fault::Internal)?;
    }
    let pages = login.map(Data::new);
    actix_web::rt::System::new()
        .block_on(async {
            let auditor = Auditor::new(store.database(), &log, keeper);
            let app = Data::new(door::App::new(store.clone(), access.clone(), Logged { log, policy, auditor: auditor.clone() }));
            let judge = Data::from(access.clone());
            let verifier = Data::new(Verifier::new(keys, store.clock().clone()));
            let limits = Data::new(Limits::new(limits));
            let addresses = Data::new(Addresses { loopback: errands.loopback });
            let (table, document) = (routes(), openapi::document(&routes()));
            let server = HttpServer::new(move || {
                App::new()
                    .app_data(app.clone())
                    .app_data(verifier.clone())
                    .app_data(addresses.clone())
                    .app_data(judge.clone())
                    .app_data(limits.clone())
                    .wrap(from_fn(limits::guard))
                    .wrap(from_fn(request::named))
                    .wrap(TracingLogger::<request::Span>::new())
                    .wrap(from_fn(measure))
                    .wrap(Compress::default())
                    .configure(|config| {
                        if let Some(pages) = &pages {
                            login::configure(config.app_data(pages.clone()));
                        }
                    })
                    .configure(|config| openapi::configure(document.clone(), config))
                    .configure(|config| route::configure(&table, config))
            });
            let server = server.shutdown_timeout(FINISH_WITHIN).listen(listener)?.run();
            let sweeper = sweep_every.map(|every| actix_web::rt::spawn(sweep_for_ever(store.clone(), every)));
            let keeper = actix_web::rt::spawn(access.keep_fresh());
            let mut errands = errands::run(&store, &errands, &rule);
            errands.extend(audit_every.map(|every| actix_web::rt::spawn(errands::audit_for_ever(store.clone(), auditor.clone(), every))));
            errands.extend(logging.map(|logging| actix_web::rt::spawn(logging::keep_for_ever(logging))));
            announce(address);
            let ended = server.await;
            keeper.abort();
            sweeper.iter().chain(&errands).for_each(JoinHandle::abort);
            ended
        })
        .map_err(failed)
}

/// Counts and times every answer by its route, so that identifiers do not become labels.
async fn measure(request: ServiceRequest, next: Next<impl MessageBody>) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let began = Instant::now();
    let response = next.call(request).await?;
    let route = response.request().match_pattern().unwrap_or_else(|| "unmatched".into());
    metrics::answered(response.request().method().as_str(), &route, response.status().as_u16(), began.elapsed());
    Ok(response)
}

/// Books what is due at once and then again and again. The books are right without it.
async fn sweep_for_ever(store: Store, every: Duration) {
    loop {
        let swept = sweep_all(&store).instrument(tracing::info_span!("sweep")).await;
        let booked = |swept: &Swept| [("holds", swept.holds), ("grants", swept.grants), ("lots", swept.lots)];
        metrics::swept(swept.as_ref().ok().map(booked), store.clock().now());
        sleep(every).await;
    }
}

/// Books all that is due, some of it in each commit.
async fn sweep_all(store: &Store) -> Result<Swept, Fault> {
    let mut all = Swept::default();
    let ended = loop {
        match sweep_once(store).await {
            Ok(None) => break Ok(all),
            // What was due is booked by another process, or can't be booked yet.
            Ok(Some(some)) if some == Swept::default() => break Ok(all),
            Ok(Some(some)) => {
                all = Swept { holds: all.holds + some.holds, grants: all.grants + some.grants, lots: all.lots + some.lots };
            }
            Err(fault) => break Err(fault),
        }
    };
    if all != Swept::default() {
        tracing::info!(holds = all.holds, grants = all.grants, lots = all.lots, "booked what had ended");
    }
    ended.inspect_err(|fault| tracing::error!(%fault, "the sweep failed; it is tried again"))
}

/// Books some of what is due; `None` where nothing is, for which nobody's turn is taken.
async fn sweep_once(store: &Store) -> Result<Option<Swept>, Fault> {
    let (look, now) = (store.clone(), store.clock().now());
    let due = web::block(move || look.read(|conn| Ok(answers::is_old(conn, now)? || is_due(conn, now)?)));
    if !due.await.map_err(|error| Fault::Internal(error.to_string()))?? {
        return Ok(None);
    }
    let book = |work: &mut Work<'_>| {
        answers::purge(work)?;
        sweep_some(work, SWEEP_SOME)
    };
    store.submit(SWEEP_SOME, book)?.arrive().await.map(Some)
}
