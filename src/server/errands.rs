//! What the service does beside answering: it follows the journal, looks for alerts, sends what webhooks are to be told, and verifies its own
//! books with their log.
//!
//! Each step looks in a snapshot first and takes the writer's turn only where there is something new. Any number of processes may do
//! this over the same books.

use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::spawn;
use actix_web::rt::task::JoinHandle;
use actix_web::rt::time::sleep;
use actix_web::web;
use futures_util::future::join_all;

use crate::directory::standing::Rule;
use crate::events::webhook::{self, Schedule, send};
use crate::events::{alert, follow};
use crate::ledger;
use crate::reports::audit;
use crate::reports::verify::Auditor;
use crate::store::{Conn, Fault, Store};
use crate::time::{SECOND, Time};

/// How events are told and sent.
#[derive(Clone, Debug)]
pub struct Errands {
    /// How often; `None` for never.
    pub every: Option<Duration>,
    /// When webhooks are tried.
    pub schedule: Schedule,
    /// Whether webhooks may point at this machine; for tests.
    pub loopback: bool,
}

/// How long alerts that come by the clock alone may wait (µs).
const ALERTS_WITHIN: i64 = 60 * SECOND;
/// How long those of the books may wait (µs): every account is read for them, which busy books should not ask for all the time.
const ALERTS_APART: i64 = 10 * SECOND;

/// Begins to run the errands; two tasks, so that slow addresses hold up no event.
pub(super) fn run(store: &Store, errands: &Errands, rule: &Rule) -> Vec<JoinHandle<()>> {
    let Some(every) = errands.every else { return Vec::new() };
    let sender = Arc::new(send::Sender::new(&errands.schedule, errands.loopback));
    let (told, sent) = (Arc::new(rule.clone()), Arc::new(rule.clone()));
    let sending = send_for_ever(store.clone(), every, sender, errands.schedule.clone(), sent);
    vec![spawn(tell_for_ever(store.clone(), every, told)), spawn(sending)]
}

/// How far this process has come.
struct Place {
    /// The last sequence looked at.
    followed: i64,
    /// The head of the journal when alerts were last looked for, and when that was.
    alerts: (i64, Time),
}

async fn tell_for_ever(store: Store, every: Duration, rule: Arc<Rule>) {
    let mut place = Place { followed: 0, alerts: (-1, Time::from_micros(0)) };
    loop {
        if let Err(fault) = tell(&store, &mut place, &rule).await {
            tracing::error!(%fault, "events could not be told; it is tried again");
        }
        sleep(every).await;
    }
}

/// Looks where it may block.
async fn look<T: Send + 'static>(store: &Store, look: impl FnOnce(&mut Conn) -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    let store = store.clone();
    web::block(move || store.read(look)).await.map_err(|error| Fault::Internal(error.to_string()))?
}

async fn tell(store: &Store, place: &mut Place, rule: &Arc<Rule>) -> Result<(), Fault> {
    loop {
        let seen = place.followed;
        let found = look(store, move |conn| follow::look(conn, seen)).await?;
        let (to, more) = (found.to, found.more);
        if found.is_new() {
            let booked = store.submit(1 + found.events.len(), move |work| follow::book(work, &found))?.arrive().await?;
            if booked.is_none() {
                // Another process went on meanwhile, maybe not as far: what it left is looked at again from where it stopped.
                place.followed = 0;
                continue;
            }
        }
        place.followed = to;
        if !more {
            break;
        }
    }
    let now = store.clock().now();
    let head = look(store, ledger::store::head).await?;
    let apart = now.since(place.alerts.1);
    if apart >= ALERTS_WITHIN || (head != place.alerts.0 && apart >= ALERTS_APART) {
        let due = look(store, move |conn| alert::due(conn, now)).await?;
        if !due.is_empty() {
            store.submit(due.len(), move |work| alert::raise(work, &due))?.arrive().await?;
        }
        place.alerts = (head, now);
    }
    let rule = Arc::clone(rule);
    let plans = look(store, move |conn| webhook::plans(conn, &rule, now)).await?;
    if !plans.is_empty() {
        store.submit(1 + plans.len(), move |work| webhook::lay_out(work, &plans))?.arrive().await?;
    }
    Ok(())
}

async fn send_for_ever(store: Store, every: Duration, sender: Arc<send::Sender>, schedule: Schedule, rule: Arc<Rule>) {
    loop {
        match send_some(&store, &sender, &schedule, &rule).await {
            // As long as something is due there is no rest.
            Ok(true) => continue,
            Ok(false) => {}
            Err(fault) => tracing::error!(%fault, "webhooks could not be served; it is tried again"),
        }
        sleep(every).await;
    }
}

/// Takes some of what is due, tries it, and writes down what came of it; whether there was anything.
async fn send_some(store: &Store, sender: &Arc<send::Sender>, schedule: &Schedule, rule: &Arc<Rule>) -> Result<bool, Fault> {
    let now = store.clock().now();
    if !look(store, move |conn| send::is_due(conn, now)).await? {
        return Ok(false);
    }
    let rule = Arc::clone(rule);
    let parcels = store.submit(send::AT_ONCE, move |work| send::take(work, &rule))?.arrive().await?;
    let tries = parcels.into_iter().map(|parcel| {
        let (sender, clock) = (Arc::clone(sender), store.clock().clone());
        web::block(move || {
            let outcome = sender.send(&parcel, clock.now());
            (parcel, outcome)
        })
    });
    // A try that could not even be made is tried again when its lease is over.
    let tried: Vec<_> = join_all(tries).await.into_iter().filter_map(Result::ok).collect();
    let any = !tried.is_empty();
    if any {
        let schedule = schedule.clone();
        store.submit(tried.len(), move |work| send::settle(work, &tried, &schedule))?.arrive().await?;
    }
    Ok(any)
}

/// Verifies the books and their log at once and then again and again. Where a law is broken the writing of every process stops.
pub(super) async fn audit_for_ever(store: Store, auditor: Auditor, every: Duration) {
    loop {
        if let Err(fault) = audit_once(&store, &auditor).await {
            tracing::error!(%fault, "the books could not be verified; it is tried again");
        }
        sleep(every).await;
    }
}

async fn audit_once(store: &Store, auditor: &Auditor) -> Result<(), Fault> {
    let (ran_at, auditor) = (store.clock().now(), auditor.clone());
    let found = web::block(move || auditor.verify()).await.map_err(|error| Fault::Internal(error.to_string()))??.found;
    for law in found.laws.iter().filter(|law| law.broken > 0) {
        tracing::error!(law = law.number, broken = law.broken, findings = ?law.findings, "THE BOOKS DO NOT HOLD: {}", law.title);
    }
    if store.submit_beside(1, move |work| audit::record(work, &found, ran_at))?.arrive().await? {
        tracing::error!("nothing is written any more until almoner verify finds that all laws hold");
    }
    Ok(())
}
