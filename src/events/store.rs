//! The SQL of events, and of how far the journal has been followed.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use serde_json::Value;

use super::{Concerns, Event, NewEvent, Sight};
use crate::id::EventId;
use crate::store::{Conn, Fault, Page, narrowed, on, paged};
use crate::time::Time;

mod tables {
    diesel::table! {
        events (id) {
            id -> BigInt, kind -> Text, subject -> Text, mark -> Text, seq -> Nullable<BigInt>, donor -> Nullable<BigInt>,
            project -> Nullable<BigInt>, provider -> Nullable<BigInt>, owner -> Nullable<BigInt>, at -> BigInt, body -> Text,
        }
    }
    diesel::table! {
        followers (name) { name -> Text, seq -> BigInt, }
    }
    // Of the ledger's journal only what chooses among its entries.
    diesel::table! {
        journal (seq) { seq -> BigInt, kind -> Integer, }
    }
}
use tables::{events, followers, journal};

/// Which events to list: `None` means any.
#[derive(Clone, Default, Debug)]
pub struct Of {
    /// Only these.
    pub ids: Option<Vec<i64>>,
    /// Only these kinds.
    pub kinds: Option<Vec<String>>,
    /// Only what is about one of these.
    pub subjects: Option<Vec<String>>,
    /// Only those after this one.
    pub after: Option<i64>,
}

type Scopes = (Option<i64>, Option<i64>, Option<i64>, Option<i64>);
type Row = (i64, String, String, String, Option<i64>, Scopes, i64, String);

/// No object has this stamp.
const NOBODY: i64 = -1;

pub(super) fn events(conn: &mut Conn, sight: &Sight, of: &Of, page: Page) -> Result<Vec<Event>, Fault> {
    let scopes = (events::donor, events::project, events::provider, events::owner);
    let columns = (events::id, events::kind, events::subject, events::mark, events::seq, scopes, events::at, events::body);
    let rows: Vec<Row> = on!(conn, c => {
        let mut query = events::table.select(columns).into_boxed();
        narrowed!(query, events::id => of.ids, events::kind => of.kinds, events::subject => of.subjects);
        if let Some(after) = of.after { query = query.filter(events::id.gt(after)); }
        if !sight.all {
            let as_donor = events::donor.eq(sight.donor.unwrap_or(NOBODY)).and(events::id.lt(sight.today));
            let own = events::provider.eq(sight.provider.unwrap_or(NOBODY)).or(events::owner.eq(sight.person.unwrap_or(NOBODY)));
            query = query.filter(as_donor.or(own).or(events::project.eq_any(&sight.projects)));
        }
        paged!(query, events::id, page, c)
    })?;
    rows.into_iter().map(event_of).collect()
}

fn event_of((id, kind, subject, mark, seq, (donor, project, provider, owner), at, body): Row) -> Result<Event, Fault> {
    let body: Value = serde_json::from_str(&body).map_err(|e| Fault::Internal(format!("event {id} in the database: {e}")))?;
    let concerns = Concerns { donor, project, provider, owner };
    Ok(Event { id: EventId::from_stamp(id), told: NewEvent { kind, subject, mark, seq, concerns, at: Time::from_micros(at), body } })
}

pub(super) fn last_id(conn: &mut Conn) -> Result<i64, Fault> {
    let last: Option<i64> = on!(conn, c => events::table.select(diesel::dsl::max(events::id)).first(c))?;
    Ok(last.unwrap_or(0))
}

/// Which of these marks are taken; asked in parts, since a statement takes only so many of them.
pub(super) fn known(conn: &mut Conn, marks: &[&str]) -> Result<HashSet<String>, Fault> {
    let mut found = HashSet::new();
    for some in marks.chunks(500) {
        let taken = events::table.filter(events::mark.eq_any(some)).select(events::mark);
        let taken: Vec<String> = on!(conn, c => taken.load(c))?;
        found.extend(taken);
    }
    Ok(found)
}

/// The marks of all events that come from no entry of the journal.
pub(super) fn alerts(conn: &mut Conn) -> Result<HashSet<String>, Fault> {
    let marks: Vec<String> = on!(conn, c => events::table.filter(events::seq.is_null()).select(events::mark).load(c))?;
    Ok(marks.into_iter().collect())
}

/// When an entry of the journal was last told about each of these.
pub(super) fn last_told(conn: &mut Conn, subjects: &[String]) -> Result<HashMap<String, Time>, Fault> {
    let mut found = HashMap::new();
    for some in subjects.chunks(500) {
        let told = events::table.filter(events::subject.eq_any(some).and(events::seq.is_not_null()));
        let rows: Vec<(String, i64)> = on!(conn, c => told.select((events::subject, events::at)).order(events::id).load(c))?;
        found.extend(rows.into_iter().map(|(subject, at)| (subject, Time::from_micros(at))));
    }
    Ok(found)
}

pub(super) fn insert(conn: &mut Conn, id: i64, event: &NewEvent) -> Result<(), Fault> {
    let row = (
        events::id.eq(id),
        events::kind.eq(&event.kind),
        events::subject.eq(&event.subject),
        events::mark.eq(&event.mark),
        events::seq.eq(event.seq),
        events::donor.eq(event.concerns.donor),
        events::project.eq(event.concerns.project),
        events::provider.eq(event.concerns.provider),
        events::owner.eq(event.concerns.owner),
        events::at.eq(event.at.micros()),
        events::body.eq(event.body.to_string()),
    );
    on!(conn, c => diesel::insert_into(events::table).values(row).execute(c))?;
    Ok(())
}

/// Who follows the journal here.
const FOLLOWER: &str = "events";

/// The last sequence of the journal whose events are told.
pub(super) fn followed_to(conn: &mut Conn) -> Result<i64, Fault> {
    Ok(on!(conn, c => followers::table.find(FOLLOWER).select(followers::seq).first(c))?)
}

pub(super) fn follow_to(conn: &mut Conn, seq: i64) -> Result<(), Fault> {
    on!(conn, c => diesel::update(followers::table.find(FOLLOWER)).set(followers::seq.eq(seq)).execute(c))?;
    Ok(())
}

/// The sequences of entries of these kinds in a stretch of the journal, both ends included.
pub(super) fn entries_of_kinds(conn: &mut Conn, kinds: &[i32], from: i64, to: i64) -> Result<Vec<i64>, Fault> {
    let wanted = journal::table.filter(journal::seq.between(from, to).and(journal::kind.eq_any(kinds)));
    Ok(on!(conn, c => wanted.select(journal::seq).order(journal::seq).load(c))?)
}
