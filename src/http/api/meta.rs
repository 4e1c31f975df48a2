//! The service about itself: health, version, metrics, problem pages, who am I.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::actor::Role;
use crate::directory::{self, binding, binding::State};
use crate::http::permit::Permit;
use crate::http::problem::Problem;
use crate::ledger;
use crate::metrics;

use super::bindings::OwnBinding;
use super::door::{Answered, App};

/// Whether the service does its work.
#[derive(Serialize, ToSchema)]
pub struct Health {
    status: &'static str,
}

/// The process is alive.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(Health { status: "ok" })
}

/// The database answers and the writer takes commands.
pub async fn readyz(app: Data<App>) -> Answered {
    app.read(ledger::store::head).await.map_err(|_| Problem::new(crate::refusal::Code::Busy, "The database does not answer."))?;
    Ok(HttpResponse::Ok().json(Health { status: "ready" }))
}

/// Figures for Prometheus.
pub async fn metrics(app: Data<App>) -> Answered {
    let (head, stopped) = app.read(|conn| Ok((ledger::store::head(conn)?, conn.stopped()?))).await?;
    let text = metrics::render(&app.store, head, stopped.is_some()).map_err(Problem::internal)?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}

/// What runs here.
#[derive(Serialize, ToSchema)]
pub struct Version {
    name: &'static str,
    version: &'static str,
}

/// The version of the service.
pub async fn version() -> HttpResponse {
    HttpResponse::Ok().json(Version { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") })
}

/// Who asks.
#[derive(Serialize, ToSchema)]
pub struct Me {
    object: &'static str,
    issuer: String,
    subject: String,
    /// The person in the ledger, once they have written something.
    person: Option<String>,
    /// What may be done here: of the token's roles those that the ledger leaves.
    roles: Vec<&'static str>,
    /// The roles that are bound to the person in the ledger.
    bindings: Vec<OwnBinding>,
    donor: Option<String>,
    projects: Vec<String>,
    provider: Option<String>,
}

/// Says who the token stands for and what it opens.
pub async fn me<const R: u8>(who: Permit<R>, app: Data<App>) -> Answered {
    app.show(move |conn| {
        let person = directory::store::person(conn, &who.issuer, &who.subject)?;
        let mut projects = who.projects.clone();
        projects.extend(person.map(|p| directory::store::memberships(conn, p)).transpose()?.unwrap_or_default());
        let bindings = person.map(|p| binding::of_person(conn, p)).transpose()?.unwrap_or_default();
        projects.sort();
        projects.dedup();
        Ok(Me {
            object: "me",
            issuer: who.issuer.clone(),
            subject: who.subject.clone(),
            person: person.map(|p| p.to_string()),
            roles: Role::ALL.into_iter().filter(|role| who.has(*role)).map(Role::word).collect(),
            bindings: bindings.iter().filter(|binding| binding.state == State::Active).map(OwnBinding::from).collect(),
            donor: who.donor.map(|d| d.to_string()),
            projects: projects.iter().map(ToString::to_string).collect(),
            provider: who.provider.map(|p| p.to_string()),
        })
    })
    .await
}

/// Where to begin.
pub async fn index() -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "object": "service", "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION"),
        "docs": "/docs", "openapi": "/openapi.json", "health": "/healthz",
    }))
}
