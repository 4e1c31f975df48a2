//! The SQL of webhooks, their secrets and their deliveries.

use diesel::prelude::*;

use super::{Secret, Webhook, actor_of, actor_text};
use crate::actor::Actor;
use crate::id::{EventId, PersonId, WebhookId};
use crate::store::{Conn, Fault, Page, narrowed, on, paged};
use crate::time::Time;

mod tables {
    diesel::table! {
        webhooks (id) {
            id -> BigInt, owner -> BigInt, actor -> Text, url -> Text, kinds -> Text, state -> Text, followed -> BigInt,
            succeeded_at -> Nullable<BigInt>,
        }
    }
    diesel::table! {
        webhook_secrets (id) { id -> BigInt, webhook -> BigInt, secret -> Binary, valid_until -> Nullable<BigInt>, }
    }
    diesel::table! {
        deliveries (webhook, event) {
            webhook -> BigInt, event -> BigInt, state -> Text, attempts -> Integer, made_at -> BigInt, due_at -> BigInt,
            last_attempt_at -> Nullable<BigInt>, last_status -> Nullable<Integer>, last_problem -> Nullable<Text>,
        }
    }
}
use tables::{deliveries, webhook_secrets, webhooks};

/// Which webhooks to list: `None` means any, an empty list none.
#[derive(Clone, Default, Debug)]
pub struct Of {
    /// Only these.
    pub ids: Option<Vec<i64>>,
    /// Only those of these persons.
    pub owners: Option<Vec<i64>>,
    /// Only those in one of these states.
    pub states: Option<Vec<String>>,
}

type Row = (i64, i64, String, String, String, String, i64, Option<i64>);

pub(super) fn webhooks(conn: &mut Conn, of: &Of, page: Page) -> Result<Vec<Webhook>, Fault> {
    let rows: Vec<Row> = on!(conn, c => {
        let mut query = webhooks::table.into_boxed();
        narrowed!(query, webhooks::id => of.ids, webhooks::owner => of.owners, webhooks::state => of.states);
        paged!(query, webhooks::id, page, c)
    })?;
    rows.into_iter().map(webhook_of).collect()
}

fn webhook_of((id, owner, actor, url, kinds, state, followed, succeeded_at): Row) -> Result<Webhook, Fault> {
    let broken = |what: &str| Fault::Internal(format!("webhook {id} in the database: {what}"));
    Ok(Webhook {
        id: WebhookId::from_stamp(id),
        owner: PersonId::from_stamp(owner),
        actor: actor_of(&actor).ok_or_else(|| broken("actor"))?,
        url,
        kinds: serde_json::from_str(&kinds).map_err(|_| broken("kinds"))?,
        state,
        followed,
        succeeded_at: succeeded_at.map(Time::from_micros),
    })
}

pub(super) fn insert_webhook(conn: &mut Conn, webhook: &Webhook) -> Result<(), Fault> {
    let row = (
        webhooks::id.eq(webhook.id.stamp()),
        webhooks::owner.eq(webhook.owner.stamp()),
        webhooks::actor.eq(actor_text(&webhook.actor)),
        webhooks::url.eq(&webhook.url),
        webhooks::kinds.eq(serde_json::json!(webhook.kinds).to_string()),
        webhooks::state.eq(&webhook.state),
        webhooks::followed.eq(webhook.followed),
    );
    on!(conn, c => diesel::insert_into(webhooks::table).values(row).execute(c))?;
    Ok(())
}

/// Writes the state that ends a webhook; what was still to be delivered is dropped.
pub(super) fn end(conn: &mut Conn, webhook: &Webhook) -> Result<(), Fault> {
    let id = webhook.id.stamp();
    let waiting = deliveries::table.filter(deliveries::webhook.eq(id).and(deliveries::state.eq("waiting")));
    on!(conn, c => diesel::update(webhooks::table.find(id)).set(webhooks::state.eq(&webhook.state)).execute(c))?;
    on!(conn, c => diesel::update(waiting).set(deliveries::state.eq("dropped")).execute(c))?;
    Ok(())
}

/// Takes away who had a person's webhooks made, and where they pointed.
pub(super) fn forget(conn: &mut Conn, owner: PersonId, nobody: &Actor) -> Result<(), Fault> {
    let nothing = (webhooks::actor.eq(actor_text(nobody)), webhooks::url.eq(""));
    on!(conn, c => diesel::update(webhooks::table.filter(webhooks::owner.eq(owner.stamp()))).set(nothing).execute(c))?;
    Ok(())
}

pub(super) fn follow_to(conn: &mut Conn, id: WebhookId, event: i64) -> Result<(), Fault> {
    on!(conn, c => diesel::update(webhooks::table.find(id.stamp())).set(webhooks::followed.eq(event)).execute(c))?;
    Ok(())
}

pub(super) fn insert_secret(conn: &mut Conn, id: i64, webhook: WebhookId, secret: &Secret) -> Result<(), Fault> {
    let row = (webhook_secrets::id.eq(id), webhook_secrets::webhook.eq(webhook.stamp()), webhook_secrets::secret.eq(secret.bytes()));
    on!(conn, c => diesel::insert_into(webhook_secrets::table).values(row).execute(c))?;
    Ok(())
}

/// Lets the newest secret sign until a moment, and removes those that were retired before it.
pub(super) fn retire_secrets(conn: &mut Conn, webhook: WebhookId, now: Time, until: Time) -> Result<(), Fault> {
    let own = || webhook_secrets::webhook.eq(webhook.stamp());
    let retired = webhook_secrets::table.filter(own().and(webhook_secrets::valid_until.is_not_null()));
    let newest = webhook_secrets::table.filter(own().and(webhook_secrets::valid_until.is_null()));
    let until = until.max(now).micros();
    on!(conn, c => diesel::delete(retired).execute(c))?;
    on!(conn, c => diesel::update(newest).set(webhook_secrets::valid_until.eq(until)).execute(c))?;
    Ok(())
}

/// The secrets that sign at a moment, the newest first.
pub(super) fn secrets(conn: &mut Conn, webhook: WebhookId, now: Time) -> Result<Vec<Secret>, Fault> {
    let valid = webhook_secrets::valid_until.is_null().or(webhook_secrets::valid_until.gt(now.micros()));
    let own = webhook_secrets::table.filter(webhook_secrets::webhook.eq(webhook.stamp())).filter(valid);
    let found: Vec<Vec<u8>> = on!(conn, c => own.select(webhook_secrets::secret).order(webhook_secrets::id.desc()).load(c))?;
    Ok(found.into_iter().map(Secret::kept).collect())
}

pub(super) fn remove_secrets(conn: &mut Conn, webhook: WebhookId) -> Result<(), Fault> {
    let own = webhook_secrets::table.filter(webhook_secrets::webhook.eq(webhook.stamp()));
    on!(conn, c => diesel::delete(own).execute(c))?;
    Ok(())
}

/// What became of one event for one webhook.
#[derive(Queryable, Insertable, Clone, PartialEq, Eq, Debug)]
#[diesel(table_name = deliveries, treat_none_as_default_value = false)]
pub struct Delivery {
    /// Stamp of the webhook.
    pub webhook: i64,
    /// Number of the event.
    pub event: i64,
    /// `waiting`, `delivered`, `failed` or `dropped`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i32,
    /// When it was made (µs).
    pub made_at: i64,
    /// When it is to be tried next (µs); of one that is being tried, when somebody else may.
    pub due_at: i64,
    /// When it was last tried (µs).
    pub last_attempt_at: Option<i64>,
    /// What was answered last.
    pub last_status: Option<i32>,
    /// Why there was no answer, in a word.
    pub last_problem: Option<String>,
}

/// Makes a delivery that is due at once; one that is there stays.
pub(super) fn insert_delivery(conn: &mut Conn, webhook: WebhookId, event: EventId, now: Time) -> Result<(), Fault> {
    let row = Delivery {
        webhook: webhook.stamp(),
        event: event.stamp(),
        state: "waiting".into(),
        attempts: 0,
        made_at: now.micros(),
        due_at: now.micros(),
        last_attempt_at: None,
        last_status: None,
        last_problem: None,
    };
    on!(conn, c => diesel::insert_into(deliveries::table).values(&row).on_conflict_do_nothing().execute(c))?;
    Ok(())
}

pub(super) fn deliveries(conn: &mut Conn, webhook: WebhookId, page: Page) -> Result<Vec<Delivery>, Fault> {
    let own = deliveries::table.filter(deliveries::webhook.eq(webhook.stamp()));
    Ok(on!(conn, c => paged!(own, deliveries::event, page, c))?)
}

pub(super) fn delivery(conn: &mut Conn, webhook: WebhookId, event: EventId) -> Result<Option<Delivery>, Fault> {
    Ok(on!(conn, c => deliveries::table.find((webhook.stamp(), event.stamp())).first(c).optional())?)
}

pub(super) fn begin_again(conn: &mut Conn, webhook: WebhookId, event: EventId, now: Time) -> Result<(), Fault> {
    let changes = (
        deliveries::state.eq("waiting"),
        deliveries::attempts.eq(0),
        deliveries::made_at.eq(now.micros()),
        deliveries::due_at.eq(now.micros()),
    );
    on!(conn, c => diesel::update(deliveries::table.find((webhook.stamp(), event.stamp()))).set(changes).execute(c))?;
    Ok(())
}

/// Deliveries that are due, longest due first.
pub(super) fn due(conn: &mut Conn, now: Time, most: i64) -> Result<Vec<Delivery>, Fault> {
    let due = deliveries::table.filter(deliveries::state.eq("waiting").and(deliveries::due_at.le(now.micros())));
    Ok(on!(conn, c => due.order((deliveries::due_at, deliveries::event, deliveries::webhook)).limit(most).load(c))?)
}

/// Writes what became of a try, or that one begins.
pub(super) fn update_delivery(conn: &mut Conn, row: &Delivery) -> Result<(), Fault> {
    let changes = (
        deliveries::state.eq(&row.state),
        deliveries::attempts.eq(row.attempts),
        deliveries::due_at.eq(row.due_at),
        deliveries::last_attempt_at.eq(row.last_attempt_at),
        deliveries::last_status.eq(row.last_status),
        deliveries::last_problem.eq(&row.last_problem),
    );
    on!(conn, c => diesel::update(deliveries::table.find((row.webhook, row.event))).set(changes).execute(c))?;
    Ok(())
}

pub(super) fn succeeded(conn: &mut Conn, webhook: i64, at: Time) -> Result<(), Fault> {
    on!(conn, c => diesel::update(webhooks::table.find(webhook)).set(webhooks::succeeded_at.eq(at.micros())).execute(c))?;
    Ok(())
}
