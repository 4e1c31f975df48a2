//! Webhooks by the Standard Webhooks scheme (standardwebhooks.com, 1.0): events sent to addresses, signed, until they are taken.
//!
//! Each webhook follows the events in their order and has a delivery made for each one that its owner may see at that moment. A delivery
//! is tried at once and then by a schedule of growing waits, each with some jitter; any answer from 200 to 299 ends it. Whoever tries
//! takes it for a while first (`LEASE`), so several processes do not send the same thing at the same time, and what a process that was
//! killed had taken is tried again: at least once, so receivers go by `webhook-id`. The order of deliveries is not promised. An
//! address that says 410, or that took nothing in all the tries of a delivery, is switched off, and its owner is told by an event.
//!
//! Secrets lie in a table of their own and appear in one answer only; they go with the webhook's revocation.

pub mod guard;
pub mod send;
pub mod sign;
mod store;

use std::time::Duration;

use serde_json::{Value, json};

use crate::actor::{Actor, Role, Roles};
use crate::directory::standing::{self, Rule};
use crate::id::{EventId, Id, PersonId, WebhookId};
use crate::ledger::{self, Draft, Kind};
use crate::refusal::{Code, FieldCode, Refusal};
use crate::store::{Conn, Fault, Page, Work, answers};
use crate::time::{DAY, SECOND, Time};

use super::{Concerns, Event, NewEvent, Sight, tell};
pub use guard::Target;
pub use sign::Secret;
pub use store::{Delivery, Of};

/// How long a delivery that was taken to be tried belongs to who took it (µs): longer than a try may last.
pub const LEASE: i64 = 25 * SECOND;
/// How long the secret before a rotation still signs (µs).
pub const OVERLAP: i64 = DAY;
/// Events looked at for one webhook at a time.
const STRIDE: i64 = 500;
/// Webhooks that one person may have at a time.
pub const MOST: usize = 20;

/// When a delivery is tried, and within what.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The waits before the second, third, … try.
    pub waits: Vec<Duration>,
    /// How long an answer may take.
    pub patience: Duration,
}

impl Default for Schedule {
    /// The schedule that the scheme recommends: some three days in all.
    fn default() -> Schedule {
        let hours = [2, 5, 10, 14, 20, 24].map(|hours| hours * 3600);
        let waits = [5, 300, 1800].into_iter().chain(hours).map(Duration::from_secs).collect();
        Schedule { waits, patience: Duration::from_secs(15) }
    }
}

impl Schedule {
    /// The moment of the next try after so many; `None` after the last. The jitter is up to a tenth of the wait.
    fn next(&self, tries: i32, now: Time) -> Option<Time> {
        let wait = self.waits.get(usize::try_from(tries).ok()?.checked_sub(1)?)?;
        let wait = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
        Some(now.plus(wait).plus(now.micros() % (wait / 10 + 1)))
    }
}

/// A webhook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Webhook {
    /// Its identifier.
    pub id: WebhookId,
    /// Whose it is.
    pub owner: PersonId,
    /// The owner as their token said.
    pub actor: Actor,
    /// Where events are sent to.
    pub url: String,
    /// Which kinds; all where empty.
    pub kinds: Vec<String>,
    /// `active`, `switched_off` or `revoked`.
    pub state: String,
    /// The last event that was looked at for it.
    followed: i64,
    /// When something was last taken.
    pub succeeded_at: Option<Time>,
}

/// The owner as kept beside the webhook.
fn actor_text(actor: &Actor) -> String {
    json!({
        "issuer": actor.issuer, "subject": actor.subject, "roles": actor.roles.0, "donor": actor.donor.map(Id::stamp),
        "projects": actor.projects.iter().map(|project| project.stamp()).collect::<Vec<i64>>(), "provider": actor.provider.map(Id::stamp),
    })
    .to_string()
}

/// The owner again.
fn actor_of(text: &str) -> Option<Actor> {
    let read: Value = serde_json::from_str(text).ok()?;
    let stamp = |name: &str| read.get(name).and_then(Value::as_i64);
    Some(Actor {
        issuer: read.get("issuer")?.as_str()?.into(),
        subject: read.get("subject")?.as_str()?.into(),
        roles: Roles(u8::try_from(stamp("roles")?).ok()?),
        donor: stamp("donor").map(Id::from_stamp),
        projects: read.get("projects")?.as_array()?.iter().filter_map(Value::as_i64).map(Id::from_stamp).collect(),
        provider: stamp("provider").map(Id::from_stamp),
    })
}

/// Registers a webhook; events from now on are sent there.
///
/// Errors: `validation_failed` for an address that may not be asked (by its form; what its name stands for is looked at at each try), or
/// for one webhook too many.
pub fn add(
    work: &mut Work<'_>,
    actor: &Actor,
    owner: PersonId,
    target: &Target,
    kinds: &[String],
    secret: &Secret,
) -> Result<Webhook, Fault> {
    let of = Of { owners: Some(vec![owner.stamp()]), states: Some(vec!["active".into()]), ..Of::default() };
    if store::webhooks(work.sql()?, &of, Page::ALL)?.len() >= MOST {
        return Err(Refusal::field("/url", FieldCode::NotAllowed, format!("You have {MOST} webhooks already; revoke one first.")).into());
    }
    let birth = ledger::post(work, Draft::note(Kind::Webhook, owner, work.now(), &json!({"kinds": kinds})))?;
    let followed = super::store::last_id(work.sql()?)?;
    let webhook = Webhook {
        id: Id::from_stamp(birth.stamp),
        owner,
        actor: actor.clone(),
        url: target.url().to_owned(),
        kinds: kinds.to_vec(),
        state: "active".into(),
        followed,
        succeeded_at: None,
    };
    store::insert_webhook(work.sql_mut()?, &webhook)?;
    store::insert_secret(work.sql_mut()?, birth.stamp, webhook.id, secret)?;
    Ok(webhook)
}

/// One webhook. Errors: `not_found`.
pub fn webhook(conn: &mut Conn, id: WebhookId) -> Result<Webhook, Fault> {
    let of = Of { ids: Some(vec![id.stamp()]), ..Of::default() };
    store::webhooks(conn, &of, Page::ALL)?.pop().ok_or_else(|| Refusal::not_found().into())
}

/// Webhooks, a page.
pub fn webhooks(conn: &mut Conn, of: &Of, page: Page) -> Result<Vec<Webhook>, Fault> {
    store::webhooks(conn, of, page)
}

/// Webhooks that an actor may see: their own, and an administrator or auditor everybody's.
pub fn seen_by(conn: &mut Conn, actor: &Actor) -> Result<Of, Fault> {
    if actor.has(Role::Admin) || actor.has(Role::Auditor) {
        return Ok(Of::default());
    }
    let person = crate::directory::store::person(conn, &actor.issuer, &actor.subject)?;
    Ok(Of { owners: Some(person.map(|person| person.stamp()).into_iter().collect()), ..Of::default() })
}

/// Gives a webhook up: nothing is sent any more, and its secrets are removed. Errors: `already_decided` for one that was given up.
pub fn revoke(work: &mut Work<'_>, who: PersonId, id: WebhookId) -> Result<Webhook, Fault> {
    let mut found = webhook(work.sql()?, id)?;
    if found.state == "revoked" {
        return Err(Refusal::new(Code::AlreadyDecided, "The webhook was revoked before.").with("state", "revoked").into());
    }
    ledger::post(work, Draft::note(Kind::WebhookRevocation, who, work.now(), &json!({"webhook": id})).about(id.stamp()))?;
    found.state = "revoked".into();
    store::end(work.sql_mut()?, &found)?;
    store::remove_secrets(work.sql_mut()?, id)?;
    Ok(found)
}

/// Refuses, with `forbidden`, where a person has webhooks that were not given up.
pub fn given_up(conn: &mut Conn, owner: PersonId) -> Result<(), Fault> {
    let theirs = store::webhooks(conn, &Of { owners: Some(vec![owner.stamp()]), ..Of::default() }, Page::ALL)?;
    match theirs.iter().find(|webhook| webhook.state != "revoked") {
        Some(webhook) => {
            Err(Refusal::new(Code::Forbidden, "The person has a webhook; revoke it first.").with("webhook", webhook.id).into())
        }
        None => Ok(()),
    }
}

/// Forgets whose the webhooks of a person were who is erased, and where they pointed.
pub fn forget(work: &mut Work<'_>, owner: PersonId) -> Result<(), Fault> {
    let nobody =
        Actor { issuer: String::new(), subject: String::new(), roles: Roles::default(), donor: None, projects: Vec::new(), provider: None };
    let theirs = store::webhooks(work.sql()?, &Of { owners: Some(vec![owner.stamp()]), ..Of::default() }, Page::ALL)?;
    let places: Vec<String> = theirs.iter().map(|webhook| format!("/v1/webhooks/{}", webhook.id)).collect();
    work.sql_beside()?.overwriting(|conn| {
        store::forget(conn, owner, &nobody)?;
        answers::forget(conn, &places)
    })
}

/// Gives a webhook a new secret; the one before signs beside it for another day. Errors: `already_decided` unless it is active.
pub fn rotate(work: &mut Work<'_>, who: PersonId, id: WebhookId, secret: &Secret) -> Result<Webhook, Fault> {
    let found = active(work.sql()?, id)?;
    let now = work.now();
    let birth = ledger::post(work, Draft::note(Kind::WebhookRotation, who, now, &json!({"webhook": id})).about(id.stamp()))?;
    store::retire_secrets(work.sql_mut()?, id, now, now.plus(OVERLAP))?;
    store::insert_secret(work.sql_mut()?, birth.stamp, id, secret)?;
    Ok(found)
}

fn active(conn: &mut Conn, id: WebhookId) -> Result<Webhook, Fault> {
    let found = webhook(conn, id)?;
    if found.state == "active" {
        return Ok(found);
    }
    let detail = format!("The webhook is {}.", found.state.replace('_', " "));
    Err(Refusal::new(Code::AlreadyDecided, detail).with("state", &found.state).into())
}

/// An event that is about a webhook itself and concerns its owner alone.
fn own_event(webhook: &Webhook, kind: &str, mark: String, now: Time, why: Option<&str>) -> NewEvent {
    let concerns = Concerns { owner: Some(webhook.owner.stamp()), ..Concerns::default() };
    let body = json!({"webhook": webhook.id, "reason": why});
    NewEvent { kind: kind.into(), subject: webhook.id.to_string(), mark, seq: None, concerns, at: now, body }
}

/// Makes an event of its own for a webhook and has it delivered there, whatever kinds it follows. Errors: `already_decided`.
pub fn test(work: &mut Work<'_>, id: WebhookId) -> Result<Delivery, Fault> {
    let (found, now) = (active(work.sql()?, id)?, work.now());
    let last = super::store::last_id(work.sql()?)?;
    tell(work, &[own_event(&found, "webhook.test", format!("test:{id}:{last}"), now, None)])?;
    let event = EventId::from_stamp(super::store::last_id(work.sql()?)?);
    store::insert_delivery(work.sql_beside()?, id, event, now)?;
    delivery(work.sql()?, id, event)
}

/// Deliveries of a webhook, a page by event.
pub fn deliveries(conn: &mut Conn, id: WebhookId, page: Page) -> Result<Vec<Delivery>, Fault> {
    store::deliveries(conn, id, page)
}

/// One delivery. Errors: `not_found`.
pub fn delivery(conn: &mut Conn, id: WebhookId, event: EventId) -> Result<Delivery, Fault> {
    store::delivery(conn, id, event)?.ok_or_else(|| Refusal::not_found().into())
}

/// Has an event delivered again from the start, whatever became of it. Errors: `not_found`, `already_decided` unless the webhook is active.
pub fn redeliver(work: &mut Work<'_>, id: WebhookId, event: EventId) -> Result<Delivery, Fault> {
    delivery(work.sql()?, id, event)?;
    active(work.sql()?, id)?;
    let now = work.now();
    store::begin_again(work.sql_beside()?, id, event, now)?;
    delivery(work.sql()?, id, event)
}

/// What is to be laid out for one webhook.
#[derive(Clone, Debug)]
pub struct Plan {
    webhook: WebhookId,
    /// The last event that had been looked at.
    from: i64,
    /// The last that is looked at by this.
    to: i64,
    events: Vec<EventId>,
}

/// What is to be laid out: for each active webhook the new events that its owner sees now and that it follows.
pub fn plans(conn: &mut Conn, rule: &Rule, now: Time) -> Result<Vec<Plan>, Fault> {
    let of = Of { states: Some(vec!["active".into()]), ..Of::default() };
    let mut plans = Vec::new();
    for webhook in store::webhooks(conn, &of, Page::ALL)? {
        let owner = standing::at_present(conn, rule, &webhook.actor)?;
        let sight = Sight::of(conn, &owner, now)?;
        let everything = Sight { all: true, ..sight.clone() };
        let page = Page { after: Some(webhook.followed), limit: STRIDE, descending: false };
        let new = super::store::events(conn, &everything, &super::Of::default(), page)?;
        // What a donor may see when its day is over is not passed by before.
        let waits = |event: &&Event| event.told.concerns.donor.is_some() && event.told.concerns.donor == sight.donor && !sight.sees(event);
        let first_waiting = new.iter().position(|event| waits(&event)).unwrap_or(new.len());
        let passed = new.get(..first_waiting).unwrap_or_default();
        let Some(last) = passed.last() else { continue };
        let events = passed.iter().filter(|event| webhook.follows(event) && sight.sees(event)).map(|event| event.id).collect();
        plans.push(Plan { webhook: webhook.id, from: webhook.followed, to: last.id.stamp(), events });
    }
    Ok(plans)
}

/// Makes the deliveries that were planned, unless another process has, or the webhook has ended; how many.
pub fn lay_out(work: &mut Work<'_>, plans: &[Plan]) -> Result<usize, Fault> {
    let now = work.now();
    let mut made = 0;
    for plan in plans {
        let found = webhook(work.sql()?, plan.webhook)?;
        if found.followed != plan.from || found.state != "active" {
            continue;
        }
        for event in &plan.events {
            store::insert_delivery(work.sql_beside()?, plan.webhook, *event, now)?;
            made += 1;
        }
        store::follow_to(work.sql_beside()?, plan.webhook, plan.to)?;
    }
    Ok(made)
}

impl Webhook {
    /// Whether it wants events of this kind. A test is sent by itself.
    fn follows(&self, event: &Event) -> bool {
        event.told.kind != "webhook.test" && (self.kinds.is_empty() || self.kinds.contains(&event.told.kind))
    }
}

/// What is sent: type, moment and data, as the scheme has it. Who sees an event only as its donor is told its day.
pub fn payload(sight: &Sight, event: &Event) -> Value {
    let at = if sight.in_full(event) { event.told.at } else { super::day_of(event.told.at) };
    json!({"type": event.told.kind, "timestamp": at.to_string(), "data": event.told.body})
}
