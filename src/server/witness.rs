//! A witness over HTTP (C2SP tlog-witness): it cosigns what it is sent if that continues what it saw, and shows what it cosigned last.
//!
//! It needs no books. Bounds: 1 MiB a request; one request at a time decides.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, Path, PayloadConfig};
use actix_web::{App, HttpResponse, HttpServer};

use crate::attest::witness::Witness;
use crate::store::Fault;
use crate::time::{Clock, SECOND};
use crate::tlog::witness::Declined;

/// The most bytes of a request.
const REQUEST: usize = 1 << 20;

/// What the size of the last checkpoint is sent as.
const SIZE: &str = "text/x.tlog.size";

/// The witness, and the time it says.
struct Desk {
    witness: Mutex<Witness>,
    clock: Clock,
}

/// Serves until a signal; `announce` is told the address once requests are taken.
pub fn serve(witness: Witness, listen: SocketAddr, announce: impl FnOnce(SocketAddr)) -> Result<(), Fault> {
    let failed = |e: std::io::Error| Fault::Internal(format!("can't serve on {listen}: {e}"));
    let listener = TcpListener::bind(listen).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let desk = Data::new(Desk { witness: Mutex::new(witness), clock: Clock::system() });
    let served = actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(move || {
            App::new()
                .app_data(desk.clone())
                .app_data(PayloadConfig::new(REQUEST))
                .route("/add-checkpoint", web::post().to(add_checkpoint))
                .route("/{log}/checkpoint", web::get().to(checkpoint))
        });
        let server = server.workers(1).listen(listener)?.run();
        announce(address);
        server.await
    });
    served.map_err(failed)
}

/// Something of the witness, on a thread that may wait for the disk.
async fn ask<T: Send + 'static>(desk: Data<Desk>, what: impl FnOnce(&mut Witness, u64) -> Result<T, String> + Send + 'static) -> Option<T> {
    let asked = web::block(move || {
        let time = u64::try_from(desk.clock.now().micros().div_euclid(SECOND)).unwrap_or(0);
        // A thread that panicked left nothing half done: what is remembered is in files.
        what(&mut desk.witness.lock().unwrap_or_else(PoisonError::into_inner), time)
    });
    match asked.await {
        Ok(Ok(found)) => Some(found),
        Ok(Err(why)) => {
            tracing::error!(why, "the witness can't answer");
            None
        }
        Err(error) => {
            tracing::error!(%error, "the witness's thread has ended");
            None
        }
    }
}

async fn add_checkpoint(body: Bytes, desk: Data<Desk>) -> HttpResponse {
    let Ok(body) = String::from_utf8(body.to_vec()) else { return HttpResponse::BadRequest().finish() };
    match ask(desk, move |witness, time| witness.add_checkpoint(&body, time)).await {
        Some(Ok(line)) => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(line),
        Some(Err(declined)) => decline(declined),
        None => HttpResponse::InternalServerError().finish(),
    }
}

fn decline(why: Declined) -> HttpResponse {
    let status = match why {
        Declined::Seen(size) => return HttpResponse::Conflict().content_type(SIZE).body(format!("{size}\n")),
        Declined::Malformed => StatusCode::BAD_REQUEST,
        Declined::Unknown => StatusCode::NOT_FOUND,
        Declined::Signature => StatusCode::FORBIDDEN,
        Declined::Inconsistent => StatusCode::UNPROCESSABLE_ENTITY,
    };
    HttpResponse::build(status).finish()
}

async fn checkpoint(log: Path<String>, desk: Data<Desk>) -> HttpResponse {
    match ask(desk, move |witness, _| witness.last(&log)).await {
        Some(Some(note)) => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(note),
        Some(None) => HttpResponse::NotFound().finish(),
        None => HttpResponse::InternalServerError().finish(),
    }
}
