//! Webhooks over HTTP: where events are sent to, and what became of each.
//!
//! Making a webhook or rotating its secret takes no `Idempotency-Key`: the answer holds the secret, and an answer under a key is kept.
//! Whoever lost the answer makes another.

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use crate::actor::{Actor, Role};
use crate::directory::{self, standing};
use crate::events::KINDS;
use crate::events::webhook::{self, Delivery, Secret, Target, Webhook, guard};
use crate::fields::Fields;
use crate::http::body::{Json, PathId};
use crate::http::page;
use crate::http::permit::Permit;
use crate::http::query::Query;
use crate::id::{self, EventId, PersonId, WebhookId};
use crate::refusal::{FieldCode, Refusal};
use crate::store::{Conn, Fault, Work};
use crate::time::Time;

use super::door::{Answered, App, expect_empty, made};
use super::view::instant;

/// Which addresses webhooks may have here.
pub struct Addresses {
    /// Whether they may point at this machine; for tests.
    pub loopback: bool,
}

/// Where events are sent to.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub struct WebhookView {
    object: &'static str,
    id: String,
    created_at: String,
    owner: String,
    url: String,
    /// Which kinds of event; all that the owner sees where empty.
    kinds: Vec<String>,
    /// `active`, `switched_off` or `revoked`.
    state: String,
    succeeded_at: Option<String>,
}

impl From<Webhook> for WebhookView {
    fn from(webhook: Webhook) -> WebhookView {
        WebhookView {
            object: "webhook",
            id: webhook.id.to_string(),
            created_at: instant(webhook.id.created_at()),
            owner: webhook.owner.to_string(),
            url: webhook.url,
            kinds: webhook.kinds,
            state: webhook.state,
            succeeded_at: webhook.succeeded_at.map(instant),
        }
    }
}

/// A webhook with its secret, which is told this once.
#[derive(Serialize, ToSchema)]
pub struct WebhookSecret {
    object: &'static str,
    webhook: WebhookView,
    /// Verifies `webhook-signature` by the Standard Webhooks scheme.
    #[schema(pattern = "^whsec_[A-Za-z0-9+/]+=*$")]
    secret: String,
}

/// An address to be registered.
#[derive(ToSchema)]
#[schema(as = NewWebhook)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct WebhookBody {
    /// https, a public host, port 443 or 8443.
    #[schema(min_length = 1, max_length = 500)]
    url: String,
    /// Only these kinds of event.
    kinds: Option<Vec<String>>,
}

/// What became of one event for one webhook.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
pub struct DeliveryView {
    object: &'static str,
    webhook: String,
    event: String,
    /// `waiting`, `delivered`, `failed` or `dropped`.
    state: String,
    attempts: i32,
    /// When it is tried next.
    due_at: Option<String>,
    last_attempt_at: Option<String>,
    /// The status that was answered last.
    last_status: Option<i32>,
    /// Why there was no answer.
    last_problem: Option<String>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> DeliveryView {
        let at = |micros| instant(Time::from_micros(micros));
        let waits = delivery.state == "waiting";
        DeliveryView {
            object: "delivery",
            webhook: WebhookId::from_stamp(delivery.webhook).to_string(),
            event: EventId::from_stamp(delivery.event).to_string(),
            state: delivery.state,
            attempts: delivery.attempts,
            due_at: waits.then(|| at(delivery.due_at)),
            last_attempt_at: delivery.last_attempt_at.map(at),
            last_status: delivery.last_status,
            last_problem: delivery.last_problem,
        }
    }
}

/// A webhook that an actor may see, or 404; to change it, its owner or an administrator.
fn own(conn: &mut Conn, actor: &Actor, id: WebhookId, to_change: bool) -> Result<Webhook, Fault> {
    let found = webhook::webhook(conn, id)?;
    let person = directory::store::person(conn, &actor.issuer, &actor.subject)?;
    let staff = actor.has(Role::Admin) || (actor.has(Role::Auditor) && !to_change);
    if staff || person == Some(found.owner) { Ok(found) } else { Err(Refusal::not_found().into()) }
}

/// Lists webhooks: one's own; auditors and administrators see all.
pub async fn list_webhooks<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let (store, actor) = (app.store.clone(), Actor::clone(&who));
    let fetch = move |page| {
        store.read(|conn| {
            let of = webhook::seen_by(conn, &actor)?;
            let found = webhook::webhooks(conn, &of, page)?;
            Ok(found.into_iter().map(|webhook| (webhook.id.stamp(), WebhookView::from(webhook))).collect())
        })
    };
    page::list(&request, &query, fetch).await
}

/// Shows one webhook.
pub async fn get_webhook<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Webhook>, app: Data<App>) -> Answered {
    app.show(move |conn| Ok(WebhookView::from(own(conn, &who, id, false)?))).await
}

/// Registers an address; the answer alone tells the secret.
pub async fn create_webhook<const R: u8>(who: Permit<R>, body: Json, app: Data<App>, addresses: Data<Addresses>) -> Answered {
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let url = f.text("url", guard::LONGEST).map(String::from);
    let named = f.optional().list_of_texts("kinds", 50, 80).unwrap_or_default();
    let kinds: Vec<String> = named.into_iter().map(String::from).collect();
    if kinds.iter().any(|kind| !KINDS.contains(&kind.as_str()) && !kind.starts_with("grant.")) {
        f.refuse("kinds", FieldCode::NotAllowed, format!("Kinds are {}, and steps of a grant as grant.….", KINDS.join(", ")));
    }
    let url = f.make(|| url)?;
    let target = Target::read(&url, addresses.loopback)?;
    let (actor, secret) = (Actor::clone(&who), Secret::fresh()?);
    let told = secret.told();
    let (access, warrant) = (app.access.clone(), who.warrant());
    let register = move |work: &mut Work<'_>| {
        standing::recheck(work, access.rule(), &warrant)?;
        let person = directory::person_for(work, &actor)?;
        webhook::add(work, &actor, person, &target, &kinds, &secret)
    };
    let webhook = app.store.submit(1, register)?.arrive().await?;
    Ok(with_secret(webhook, told))
}

/// The answer that tells a secret; nobody on the way is to keep it.
fn with_secret(webhook: Webhook, secret: String) -> HttpResponse {
    let place = format!("/v1/webhooks/{}", webhook.id);
    let mut response = HttpResponse::Created();
    response.insert_header((header::LOCATION, place)).insert_header((header::CACHE_CONTROL, "no-store"));
    response.json(WebhookSecret { object: "webhook_secret", webhook: webhook.into(), secret })
}

/// Gives a webhook up.
pub async fn revoke_webhook<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Webhook>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    change(who, id, &request, &body, &app, move |work, person| {
        made(format!("/v1/webhooks/{id}"), &WebhookView::from(webhook::revoke(work, person, id)?))
    })
    .await
}

/// Carries out a change of one's own webhook once.
async fn change<const R: u8>(
    who: Permit<R>,
    id: WebhookId,
    request: &HttpRequest,
    body: &Json,
    app: &App,
    verb: impl Fn(&mut Work<'_>, PersonId) -> Result<crate::store::answers::Answer, Fault> + Send + 'static,
) -> Answered {
    expect_empty(body)?;
    let actor = Actor::clone(&who);
    app.once(&who, request, &body.raw, move |work, person| {
        own(work.sql()?, &actor, id, true)?;
        verb(work, person)
    })
    .await
}

/// Gives a webhook a new secret; the one before signs beside it for a day.
pub async fn rotate_webhook<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Webhook>, body: Json, app: Data<App>) -> Answered {
    expect_empty(&body)?;
    let (actor, secret) = (Actor::clone(&who), Secret::fresh()?);
    let told = secret.told();
    let (access, warrant) = (app.access.clone(), who.warrant());
    let rotate = move |work: &mut Work<'_>| {
        standing::recheck(work, access.rule(), &warrant)?;
        let found = own(work.sql()?, &actor, id, true)?;
        let person = directory::person_for(work, &actor)?;
        if person != found.owner {
            // An administrator may end it, and is told nobody's secret.
            return Err(Refusal::not_found().into());
        }
        webhook::rotate(work, person, id, &secret)
    };
    let webhook = app.store.submit(1, rotate)?.arrive().await?;
    Ok(with_secret(webhook, told))
}

/// Sends an event of its own to a webhook.
pub async fn test_webhook<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Webhook>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    change(who, id, &request, &body, &app, move |work, _| {
        made(format!("/v1/webhooks/{id}/deliveries"), &DeliveryView::from(webhook::test(work, id)?))
    })
    .await
}

/// Lists what became of the events of a webhook.
pub async fn list_webhook_deliveries<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Webhook>,
    request: HttpRequest,
    query: Query,
    app: Data<App>,
) -> Answered {
    let (store, actor) = (app.store.clone(), Actor::clone(&who));
    let fetch = move |page| {
        store.read(|conn| {
            own(conn, &actor, id, false)?;
            let found = webhook::deliveries(conn, id, page)?;
            Ok(found.into_iter().map(|delivery| (delivery.event, DeliveryView::from(delivery))).collect())
        })
    };
    page::list(&request, &query, fetch).await
}

/// Has an event sent again.
pub async fn redeliver_event<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Webhook>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    let event = EventId::parse(request.match_info().get("event").unwrap_or_default())?;
    change(who, id, &request, &body, &app, move |work, _| {
        made(format!("/v1/webhooks/{id}/deliveries"), &DeliveryView::from(webhook::redeliver(work, id, event)?))
    })
    .await
}
