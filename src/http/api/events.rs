//! Events over HTTP: a list, or a stream of server-sent events (WHATWG HTML §9.2) that goes on from the last one seen.
//!
//! Bounds: so many streams at a time ([`STREAMS`]), each for a quarter of an hour, after which a client comes back with its
//! `Last-Event-ID` and its token is looked at again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix_web::http::header;
use actix_web::rt::time::sleep;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::actor::{Actor, Roles};
use crate::events::{self, Event, Of, Sight, day_of};
use crate::http::access::Access;
use crate::http::page;
use crate::http::permit::Permit;
use crate::http::problem::Problem;
use crate::http::query::{Form, Param, Query};
use crate::http::token::Bearer;
use crate::id::{self, EventId};
use crate::refusal::{Code, Refusal};
use crate::store::{Conn, Fault, Page, Store};

use super::door::{Answered, App};
use super::view::instant;

/// Something that happened.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventView {
    object: &'static str,
    /// Grows with each event.
    id: String,
    /// For a donor the begin of its day.
    created_at: String,
    kind: String,
    /// The identifier of what it is about.
    subject: String,
    occurred_on: String,
    /// The entry of the journal that it comes from; null for a donor, and where it comes from none.
    seq: Option<i64>,
    /// Identifiers and figures.
    data: Value,
}

fn view(sight: &Sight, event: Event) -> EventView {
    let whole = sight.in_full(&event);
    let told = event.told;
    EventView {
        object: "event",
        id: event.id.to_string(),
        created_at: instant(if whole { told.at } else { day_of(told.at) }),
        kind: told.kind,
        subject: told.subject,
        occurred_on: told.at.day(),
        seq: told.seq.filter(|_| whole),
        data: told.body,
    }
}

/// Filters of the list of events.
pub const EVENTS: &[Param] = &[Param::any("kind", Form::Text), Param::any("subject", Form::Text), Param::one("after", Form::Id("evt"))];
/// The media types beside those of a list.
pub const FORMS: &[&str] = &["text/event-stream"];

fn read(conn: &mut Conn, store: &Store, actor: &Actor, of: &Of, page: Page) -> Result<Vec<(i64, EventView)>, Fault> {
    let sight = Sight::of(conn, actor, store.clock().now())?;
    let found = events::events(conn, &sight, of, page)?;
    Ok(found.into_iter().map(|event| (event.id.stamp(), view(&sight, event))).collect())
}

/// Lists events that concern whoever asks, or streams them as they happen.
pub async fn list_events<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let after = query.id::<id::Event>("after")?.map(EventId::stamp);
    let of = Of { kinds: query.texts("kind"), subjects: query.texts("subject"), after, ..Of::default() };
    let (store, actor) = (app.store.clone(), Actor::clone(&who));
    if streams(&request) {
        return stream_events(&app, &request, who.shared(), of).await;
    }
    page::list(&request, &query, move |page| store.read(|conn| read(conn, &store, &actor, &of, page))).await
}

/// Whether a stream is asked for.
fn streams(request: &HttpRequest) -> bool {
    let accepted = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|kind| kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream"))
}

/// Streams at a time.
pub const STREAMS: usize = 256;
/// How long a stream lasts at most.
const LASTS: Duration = Duration::from_secs(900);
/// How often the books are looked at for a stream.
const LOOK_EVERY: Duration = Duration::from_millis(1000);
/// How long nothing is sent at most: proxies cut what is silent.
const SILENCE: Duration = Duration::from_secs(15);
/// Events sent together at most.
const TOGETHER: i64 = 200;

/// A place among the streams; free again when it is dropped.
struct Seat;

static TAKEN: AtomicUsize = AtomicUsize::new(0);

impl Seat {
    fn take() -> Result<Seat, Refusal> {
        if TAKEN.fetch_add(1, Ordering::Relaxed) < STREAMS {
            return Ok(Seat);
        }
        TAKEN.fetch_sub(1, Ordering::Relaxed);
        Err(Refusal::new(Code::Busy, "As many streams of events as are taken on are open already."))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        TAKEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream between two looks.
struct Stream {
    store: Store,
    access: Arc<Access>,
    bearer: Arc<Bearer>,
    of: Of,
    began: Instant,
    spoke: Instant,
    _seat: Seat,
}

async fn stream_events(app: &App, request: &HttpRequest, bearer: Arc<Bearer>, mut of: Of) -> Answered {
    let seat = Seat::take()?;
    let last = request.headers().get("last-event-id").map(|value| EventId::parse(value.to_str().unwrap_or_default())).transpose()?;
    of.after = last.map(EventId::stamp).or(of.after);
    if of.after.is_none() {
        let (store, actor, all) = (app.store.clone(), bearer.actor.clone(), of.clone());
        let newest = move |conn: &mut Conn| {
            let sight = Sight::of(conn, &actor, store.clock().now())?;
            events::newest(conn, &sight, &all)
        };
        of.after = app.read(newest).await?.map(EventId::stamp);
    }
    let now = Instant::now();
    let state = Stream { store: app.store.clone(), access: app.access.clone(), bearer, of, began: now, spoke: now, _seat: seat };
    let greeting = stream::once(std::future::ready(Ok::<Bytes, Refusal>(Bytes::from_static(b"retry: 3000\n\n"))));
    let parts = futures_util::StreamExt::chain(greeting, stream::unfold(Some(state), |state| async { next(state?).await }));
    let mut response = HttpResponse::Ok();
    // Named identity, so that nothing holds parts back to compress them.
    response.insert_header((header::CONTENT_ENCODING, "identity")).insert_header((header::CACHE_CONTROL, "no-store"));
    Ok(response.content_type("text/event-stream").insert_header((header::VARY, "Accept")).streaming(parts))
}

/// The next part of a stream: events, or a comment that says it is alive.
async fn next(mut state: Stream) -> Option<(Result<Bytes, Refusal>, Option<Stream>)> {
    loop {
        if state.began.elapsed() >= LASTS {
            return None;
        }
        // Whoever asked is judged anew at every look: what was taken away since is gone here too.
        let actor = match state.access.judge(state.bearer.clone()) {
            Ok(bearer) if bearer.actor.roles != Roles::default() && state.store.clock().now() < bearer.expires_at => bearer.actor.clone(),
            Ok(_) => return None,
            Err(refusal) => return Some((Err(refusal), None)),
        };
        let (store, of) = (state.store.clone(), state.of.clone());
        let page = Page { after: None, limit: TOGETHER, descending: false };
        let found = page::blocking(move || store.read(|conn| read(conn, &store, &actor, &of, page))).await;
        match found.and_then(|rows| rows.map_err(Problem::from)) {
            Ok(rows) if !rows.is_empty() => {
                state.of.after = rows.last().map(|(id, _)| *id);
                state.spoke = Instant::now();
                return Some((frames(&rows), Some(state)));
            }
            Ok(_) if state.spoke.elapsed() >= SILENCE => {
                state.spoke = Instant::now();
                return Some((Ok(Bytes::from_static(b": alive\n\n")), Some(state)));
            }
            Ok(_) => sleep(LOOK_EVERY).await,
            // A fault cuts the stream; the client comes back and goes on from the last event it saw.
            Err(problem) => return Some((Err(problem.0), None)),
        }
    }
}

fn frames(rows: &[(i64, EventView)]) -> Result<Bytes, Refusal> {
    let mut out = String::new();
    for (_, event) in rows {
        let data = serde_json::to_string(event).map_err(|error| Problem::internal(error).0)?;
        out.push_str(&format!("id: {}\nevent: {}\ndata: {data}\n\n", event.id, event.kind));
    }
    Ok(out.into())
}
