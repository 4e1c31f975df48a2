//! The steps that handlers share: reading in a snapshot, writing once under an idempotency key, showing what came of it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use crate::actor::{Actor, Roles};
use crate::amount::Unit;
use crate::attest::cosigning::Published;
use crate::attest::keep::Log;
use crate::directory;
use crate::directory::standing;
use crate::http::access::Access;
use crate::http::body::Json;
use crate::http::grain;
use crate::http::header::{etag, idempotency_key};
use crate::http::page;
use crate::http::permit::Permit;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::id::{Id, Kind, PersonId};
use crate::ledger;
use crate::refusal::Refusal;
use crate::reports::verify::Auditor;
use crate::store::answers::{self, Answer, Question};
use crate::store::{Conn, Fault, Page, Store, Work};
use crate::time::{SECOND, Time};

use super::scope::Scope;

/// What the handlers work with.
pub struct App {
    /// The ledger's database.
    pub store: Store,
    /// What the ledger says of those who ask.
    pub access: Arc<Access>,
    /// The verifiable log.
    pub logged: Logged,
    units: RwLock<(Time, Arc<HashMap<String, Unit>>)>,
}

/// The verifiable log, with what belongs to it.
pub struct Logged {
    /// Where it is kept.
    pub log: Log,
    /// The policy it is published under, if it asks for witnesses.
    pub policy: Option<Published>,
    /// Who verifies it with its books.
    pub auditor: Auditor,
}

/// A handler's answer.
pub type Answered = Result<HttpResponse, Problem>;

impl App {
    /// An application over a store, for those whom the ledger knows.
    pub fn new(store: Store, access: Arc<Access>, logged: Logged) -> App {
        App { store, access, logged, units: RwLock::new((Time::from_micros(i64::MIN), Arc::default())) }
    }

    /// Every unit by its code, at most a second old: units are defined once and never change.
    pub async fn units(&self) -> Result<Arc<HashMap<String, Unit>>, Problem> {
        let now = self.store.clock().now();
        let (read_at, units) = self.units.read().unwrap_or_else(PoisonError::into_inner).clone();
        if now.since(read_at) < SECOND {
            return Ok(units);
        }
        let fresh = Arc::new(self.read(ledger::store::units).await?);
        *self.units.write().unwrap_or_else(PoisonError::into_inner) = (now, fresh.clone());
        Ok(fresh)
    }

    /// Reads in one snapshot, where it may block.
    pub async fn read<T: Send + 'static>(&self, look: impl FnOnce(&mut Conn) -> Result<T, Fault> + Send + 'static) -> Result<T, Problem> {
        let (store, by_day) = (self.store.clone(), grain::asked());
        Ok(page::blocking(move || grain::with(by_day, || store.read(look))).await??)
    }

    /// Reads the log in one snapshot, where it may block.
    pub async fn read_log<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Conn) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Problem> {
        let log = self.logged.log.clone();
        Ok(page::blocking(move || log.read(look)).await??)
    }

    /// Shows what a look at the books finds.
    pub async fn show<V>(&self, look: impl FnOnce(&mut Conn) -> Result<V, Fault> + Send + 'static) -> Answered
    where
        V: Serialize + Send + 'static,
    {
        Ok(HttpResponse::Ok().json(self.read(look).await?))
    }

    /// Shows an object with the `ETag` of its version.
    pub async fn show_versioned<V>(&self, look: impl FnOnce(&mut Conn) -> Result<(i32, V), Fault> + Send + 'static) -> Answered
    where
        V: Serialize + Send + 'static,
    {
        let (version, view) = self.read(look).await?;
        Ok(HttpResponse::Ok().insert_header((header::ETAG, etag(version.into()))).json(view))
    }

    /// Lists what an actor may see: `look` reads a page within the scope, `view` shows a row, `key` orders it.
    pub async fn list<const R: u8, N, V, L, S>(&self, who: &Permit<R>, request: &HttpRequest, query: &Query, look: L, show: S) -> Answered
    where
        V: Serialize + Send + 'static,
        L: Fn(&mut Conn, &Scope, Page) -> Result<Vec<N>, Fault> + Send + 'static,
        S: Fn(&mut Conn, N) -> Result<(i64, V), Fault> + Send + 'static,
    {
        let show = move |conn: &mut Conn, nouns: Vec<N>| nouns.into_iter().map(|noun| show(conn, noun)).collect();
        self.list_together(who, request, query, look, show).await
    }

    /// As `list`, where showing a row takes further reading: `show` is handed a whole page and reads for all its rows at once.
    pub async fn list_together<const R: u8, N, V, L, S>(
        &self,
        who: &Permit<R>,
        request: &HttpRequest,
        query: &Query,
        look: L,
        show: S,
    ) -> Answered
    where
        V: Serialize + Send + 'static,
        L: Fn(&mut Conn, &Scope, Page) -> Result<Vec<N>, Fault> + Send + 'static,
        S: Fn(&mut Conn, Vec<N>) -> Result<Vec<(i64, V)>, Fault> + Send + 'static,
    {
        let (store, actor, by_day) = (self.store.clone(), Actor::clone(who), grain::asked());
        let fetch = move |page| {
            let read = |conn: &mut Conn| {
                let scope = Scope::of(conn, &actor, Roles(R))?;
                let nouns = look(conn, &scope, page)?;
                show(conn, nouns)
            };
            grain::with(by_day, || store.read(read))
        };
        page::list(request, query, fetch).await
    }

    /// Carries out a verb once under the request's idempotency key, and answers with what was saved.
    pub async fn once<const R: u8, F>(&self, who: &Permit<R>, request: &HttpRequest, body: &[u8], verb: F) -> Answered
    where
        F: Fn(&mut Work<'_>, PersonId) -> Result<Answer, Fault> + Send + 'static,
    {
        let key = idempotency_key(request)?;
        let path = request.uri().path_and_query().map_or(request.path(), |p| p.as_str());
        let question = Question::new(who, key, request.method().as_str(), path, body);
        let (rule, warrant) = (self.access.rule().clone(), who.warrant());
        let command = move |work: &mut Work<'_>| {
            standing::recheck(work, &rule, &warrant)?;
            answers::once(work, &question, |work| {
                let person = directory::person_for(work, &warrant.actor)?;
                verb(work, person)
            })
        };
        let (answer, replayed) = self.store.submit(1, command)?.arrive().await?;
        Ok(respond(answer, replayed))
    }

    /// As `once`, for a verb that changes who may what: this process judges by it before it answers.
    pub async fn once_for_rights<const R: u8, F>(&self, who: &Permit<R>, request: &HttpRequest, body: &[u8], verb: F) -> Answered
    where
        F: Fn(&mut Work<'_>, PersonId) -> Result<Answer, Fault> + Send + 'static,
    {
        let answered = self.once(who, request, body, verb).await?;
        self.access.refresh().await?;
        Ok(answered)
    }
}

fn respond(answer: Answer, replayed: bool) -> HttpResponse {
    let status = u16::try_from(answer.status).ok().and_then(|s| StatusCode::from_u16(s).ok());
    let mut response = HttpResponse::build(status.unwrap_or(StatusCode::OK));
    if let Some(location) = answer.location {
        response.insert_header((header::LOCATION, location));
    }
    if let Some(etag) = answer.etag {
        response.insert_header((header::ETAG, etag));
    }
    if replayed {
        response.insert_header(("Idempotency-Replayed", "true"));
    }
    response.content_type("application/json").body(answer.body)
}

/// 201 with the object made and where it is.
pub fn created<K: Kind>(collection: &str, id: Id<K>, view: &impl Serialize) -> Result<Answer, Fault> {
    answer(201, Some(format!("/v1/{collection}/{id}")), None, view)
}

/// 201 with the record of a change, and the version of what it changed.
pub fn changed(location: String, version: i32, view: &impl Serialize) -> Result<Answer, Fault> {
    answer(201, Some(location), Some(etag(version.into())), view)
}

/// 200 with a view.
pub fn ok(view: &impl Serialize) -> Result<Answer, Fault> {
    answer(200, None, None, view)
}

/// 200 with something that was there before, and where it is.
pub fn stands(place: String, view: &impl Serialize) -> Result<Answer, Fault> {
    answer(200, Some(place), None, view)
}

fn answer(status: i32, location: Option<String>, etag: Option<String>, view: &impl Serialize) -> Result<Answer, Fault> {
    let body = serde_json::to_string(view).map_err(|e| Fault::Internal(e.to_string()))?;
    Ok(Answer { status, location, etag, body })
}

/// Whether a body was sent with only what is expected of an empty one.
pub fn expect_empty(body: &Json) -> Result<(), Refusal> {
    crate::fields::Fields::of(&body.parse()?)?.finish()
}

/// The stamps of identifiers.
pub fn stamps<K: Kind>(ids: Option<Vec<Id<K>>>) -> Option<Vec<i64>> {
    ids.map(|ids| ids.iter().map(|id| id.stamp()).collect())
}

/// 201 with something that has no address of its own, and the list it stands in.
pub fn made(list: String, view: &impl Serialize) -> Result<Answer, Fault> {
    answer(201, Some(list), None, view)
}
