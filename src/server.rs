//! The running service: HTTP over the store, the sweep in the background, an orderly end.
//!
//! On SIGTERM or SIGINT no new request is taken, those accepted are finished (30 s at most), then the writer commits what it holds.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Compress, Next, from_fn};
use actix_web::web::Data;
use actix_web::{App, Error, HttpServer};
use tracing_actix_web::TracingLogger;

use crate::grants::sweep::Swept;
use crate::http::api::door;
use crate::http::api::routes::routes;
use crate::http::keys::Keys;
use crate::http::token::Verifier;
use crate::http::{openapi, request, route};
use crate::metrics;
use crate::store::{Fault, Store, answers};
use crate::usage::sweep;

/// How often what the clock has decided is booked.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How long accepted requests may take to finish when the service stops, in seconds.
const FINISH_WITHIN: u64 = 30;

/// Serves until a signal; `announce` is told the address once requests are taken.
pub fn serve(store: Store, keys: Keys, listen: SocketAddr, announce: impl FnOnce(SocketAddr)) -> Result<(), Fault> {
    let failed = |e: std::io::Error| Fault::Internal(format!("can't serve on {listen}: {e}"));
    let listener = TcpListener::bind(listen).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    actix_web::rt::System::new()
        .block_on(async {
            let app = Data::new(door::App::new(store.clone()));
            let verifier = Data::new(Verifier::new(keys, store.clock().clone()));
            let (table, document) = (routes(), openapi::document(&routes()));
            let server = HttpServer::new(move || {
                App::new()
                    .app_data(app.clone())
                    .app_data(verifier.clone())
                    .wrap(from_fn(request::named))
                    .wrap(TracingLogger::<request::Span>::new())
                    .wrap(from_fn(measure))
                    .wrap(Compress::default())
                    .configure(|config| openapi::configure(document.clone(), config))
                    .configure(|config| route::configure(&table, config))
            });
            let server = server.shutdown_timeout(FINISH_WITHIN).listen(listener)?.run();
            let sweeper = actix_web::rt::spawn(sweep_for_ever(store.clone()));
            announce(address);
            let ended = server.await;
            sweeper.abort();
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
async fn sweep_for_ever(store: Store) {
    let mut turns = actix_web::rt::time::interval(SWEEP_EVERY);
    loop {
        turns.tick().await;
        match sweep_once(&store).await {
            Ok(swept) if swept != Swept::default() => tracing::info!(?swept, "booked what had ended"),
            Ok(_) => {}
            Err(fault) => tracing::error!(%fault, "the sweep failed; it is tried again"),
        }
    }
}

async fn sweep_once(store: &Store) -> Result<Swept, Fault> {
    let reply = store.submit(1, |work| {
        answers::purge(work)?;
        sweep(work)
    })?;
    reply.arrive().await
}
