//! Events: what happened that somebody follows, once each; alerts among them; and the webhooks that carry them.
//!
//! Two things make events. `follow` reads the journal in order from a saved sequence and tells what officers, researchers and donors
//! follow; charges and holds are no events. `alert` compares the books with thresholds and the clock. Both look first, in a snapshot,
//! and take the writer's turn only for what is new; the event and the saved place are one commit, and each event has a mark that is
//! in the table once, so any number of processes may do it and any of them may be killed. An event holds identifiers and figures,
//! no person and no job. It may not know HTTP but as a client (`webhook`).
//!
//! An event's identifier is no stamp of the journal: it is the begin of its day and a running number, since donors see it too. They see
//! an event when its day (UTC) is over, so that no answer tells them a finer time either.

pub mod alert;
pub mod follow;
mod kinds;
mod sight;
mod store;
pub mod webhook;

use serde_json::{Value, json};

use crate::amount::Amount;
use crate::id::EventId;
use crate::store::{Conn, Fault, Page, Work};
use crate::time::{DAY, Time};

pub use kinds::{KINDS, Rule};
pub use sight::Sight;
pub use store::Of;

/// An event about to be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewEvent {
    /// `grant.awarded`.
    pub kind: String,
    /// The identifier of what it is about.
    pub subject: String,
    /// Says which event it is: there is one of each.
    pub mark: String,
    /// The sequence of the journal entry that it comes from.
    pub seq: Option<i64>,
    /// Whom it concerns.
    pub concerns: Concerns,
    /// When it happened.
    pub at: Time,
    /// Identifiers and figures.
    pub body: Value,
}

/// Whom an event concerns, by stamps. Officers, auditors and administrators see every event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Concerns {
    /// This donor.
    pub donor: Option<i64>,
    /// The researchers of this project.
    pub project: Option<i64>,
    /// This provider.
    pub provider: Option<i64>,
    /// This person.
    pub owner: Option<i64>,
}

/// An event as it was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Its identifier; identifiers grow with each event.
    pub id: EventId,
    /// What it tells.
    pub told: NewEvent,
}

/// The day of a moment, at its begin.
pub fn day_of(at: Time) -> Time {
    Time::from_micros(at.micros().div_euclid(DAY) * DAY)
}

/// An amount in a body.
pub fn figure(amount: Amount) -> Value {
    json!({"value": amount.to_string(), "unit": amount.unit.code()})
}

/// Events that can be seen, a page.
pub fn events(conn: &mut Conn, sight: &Sight, of: &Of, page: Page) -> Result<Vec<Event>, Fault> {
    store::events(conn, sight, of, page)
}

/// The identifier of the newest event that can be seen.
pub fn newest(conn: &mut Conn, sight: &Sight, of: &Of) -> Result<Option<EventId>, Fault> {
    Ok(store::events(conn, sight, of, Page { after: None, limit: 1, descending: true })?.first().map(|event| event.id))
}

/// Tells those events whose marks are new; how many. Identifiers grow, whatever the clock does.
fn tell(work: &mut Work<'_>, events: &[NewEvent]) -> Result<usize, Fault> {
    let marks: Vec<&str> = events.iter().map(|event| event.mark.as_str()).collect();
    let known = store::known(work.sql()?, &marks)?;
    let mut last = store::last_id(work.sql()?)?;
    let mut told = 0;
    for event in events.iter().filter(|event| !known.contains(&event.mark)) {
        last = day_of(event.at).micros().max(last + 1);
        store::insert(work.sql_beside()?, last, event)?;
        told += 1;
    }
    Ok(told)
}
