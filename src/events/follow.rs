//! Follows the journal: the entries that somebody follows become events, in the journal's order, each once.
//!
//! A look reads a stretch in a snapshot; a turn of the writer is taken only where the stretch has events, or when so much of the
//! journal has gone by without any that a restart should not read it again. Whoever has the turn first books the stretch; the others
//! find that the saved sequence has moved, and look again.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use crate::amount::Amount;
use crate::donations::{self, Lot};
use crate::grants;
use crate::id::{ChargeId, DonationId, GrantId, LotId};
use crate::ledger::{self, Bucket, Entry, Kind, Line};
use crate::store::{Conn, Fault, Page, Work};
use crate::usage;

use super::kinds::{About, Rule};
use super::{Concerns, NewEvent, figure, store, tell};

/// Entries looked at in one look.
const STRETCH: i64 = 5000;
/// Entries without events after which the place is saved all the same.
const SAVE_EVERY: i64 = 100_000;

/// What a look found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The saved sequence when it was looked.
    saved: i64,
    /// How far it was looked.
    pub to: i64,
    /// Whether there was more.
    pub more: bool,
    /// In the journal's order.
    pub events: Vec<NewEvent>,
}

impl Found {
    /// Whether it is worth a turn of the writer.
    pub fn is_new(&self) -> bool {
        !self.events.is_empty() || self.to - self.saved >= SAVE_EVERY
    }
}

/// Looks at the next stretch. `seen` is how far this process has looked before and found nothing.
pub fn look(conn: &mut Conn, seen: i64) -> Result<Found, Fault> {
    let saved = store::followed_to(conn)?;
    let head = ledger::store::head(conn)?;
    let from = saved.max(seen.min(head)) + 1;
    let to = (from + STRETCH - 1).min(head);
    let kinds: Vec<i32> = Kind::ALL.iter().filter(|kind| Rule::of(**kind).is_some()).map(|kind| *kind as i32).collect();
    let seqs = if from <= to { store::entries_of_kinds(conn, &kinds, from, to)? } else { Vec::new() };
    let mut entries = ledger::store::entries_with_lines(conn, &seqs)?;
    entries.sort_by_key(|entry| entry.seq);
    let mut events = Vec::new();
    for entry in entries {
        events.extend(events_of(conn, &entry)?);
    }
    Ok(Found { saved, to: to.max(from - 1), more: to < head, events })
}

/// Tells what a look found, and saves how far it looked; nothing if another process came first.
pub fn book(work: &mut Work<'_>, found: &Found) -> Result<Option<usize>, Fault> {
    if store::followed_to(work.sql()?)? != found.saved {
        return Ok(None);
    }
    let told = tell(work, &found.events)?;
    store::follow_to(work.sql_beside()?, found.to)?;
    Ok(Some(told))
}

/// The events of one entry: the one of its rule, and one for each grant whose part of a lot went with the lot.
fn events_of(conn: &mut Conn, entry: &Entry) -> Result<Vec<NewEvent>, Fault> {
    let Some(rule) = Rule::of(entry.kind) else { return Ok(Vec::new()) };
    let stamp = entry.subject.unwrap_or(entry.recorded_at.micros());
    let about = match rule.about {
        About::Donation => of_donation(conn, stamp)?,
        About::Lot => of_lot(conn, stamp)?,
        About::NewLot => of_lot(conn, entry.recorded_at.micros())?,
        About::Grant => of_grant(conn, entry, stamp)?,
        About::Charge => of_charge(conn, stamp)?,
    };
    let mut events = Vec::new();
    if let Some((subject, concerns, mut body)) = about {
        if let Some(amount) = rule.measure.and_then(|bucket| measured(&entry.lines, bucket)) {
            body["amount"] = figure(amount);
        }
        events.push(told(entry, rule.kind(entry.kind.word()), subject, concerns, body, 0));
    }
    if rule.about == About::Lot {
        events.extend(of_shares(conn, entry)?);
    }
    Ok(events)
}

fn told(entry: &Entry, kind: String, subject: String, concerns: Concerns, body: Value, part: i64) -> NewEvent {
    let mark = format!("journal:{}:{part}", entry.seq);
    NewEvent { kind, subject, mark, seq: Some(entry.seq), concerns, at: entry.recorded_at, body }
}

type Subject = Option<(String, Concerns, Value)>;

/// How much all accounts of a bucket changed together, without its sign; of what was spent, beyond the grant too.
fn measured(lines: &[Line], bucket: Bucket) -> Option<Amount> {
    let counts = |line: &&Line| line.account.bucket == bucket || (bucket == Bucket::Spent && line.account.bucket == Bucket::OverdraftSpent);
    let of: Vec<&Line> = lines.iter().filter(counts).collect();
    let unit = of.first()?.unit;
    let sum = of.iter().try_fold(0i64, |sum, line| sum.checked_add(line.amount))?;
    Some(Amount::new(sum.saturating_abs(), unit))
}

fn of_donation(conn: &mut Conn, stamp: i64) -> Result<Subject, Fault> {
    let donation = donations::donation(conn, DonationId::from_stamp(stamp))?;
    let concerns = Concerns { donor: Some(donation.about.donor.stamp()), ..Concerns::default() };
    Ok(Some((donation.id.to_string(), concerns, json!({"donation": donation.id, "donor": donation.about.donor}))))
}

/// A lot in an event: whose it is and what it is.
pub(super) fn of_known_lot(lot: &Lot) -> (String, Concerns, Value) {
    let concerns = Concerns { donor: Some(lot.donor.stamp()), ..Concerns::default() };
    (lot.id.to_string(), concerns, json!({"lot": lot.id, "donation": lot.donation, "expires_on": lot.expires_at.map(|end| end.day())}))
}

fn of_lot(conn: &mut Conn, stamp: i64) -> Result<Subject, Fault> {
    Ok(Some(of_known_lot(&donations::lot(conn, LotId::from_stamp(stamp))?)))
}

/// The grant of a stamp, or else the one whose credits the entry moves: an amendment names itself.
fn of_grant(conn: &mut Conn, entry: &Entry, stamp: i64) -> Result<Subject, Fault> {
    let named: Option<Value> = entry.body.as_deref().and_then(|body| serde_json::from_str(body).ok());
    let named = named.and_then(|body| GrantId::parse(body.get("grant")?.as_str()?).ok());
    let moved = entry.lines.iter().find_map(|line| line.account.grant_id());
    let ids: Vec<i64> = [Some(GrantId::from_stamp(stamp)), named, moved].into_iter().flatten().map(|id| id.stamp()).collect();
    let of = grants::Of { ids: Some(ids.clone()), ..grants::Of::default() };
    let found = grants::store::grants(conn, &of, Page::ALL)?;
    let first = ids.iter().find_map(|id| found.iter().find(|grant| grant.id.stamp() == *id));
    Ok(first.map(|grant| {
        let concerns = Concerns { project: Some(grant.about.project.stamp()), ..Concerns::default() };
        (grant.id.to_string(), concerns, json!({"grant": grant.id, "project": grant.about.project}))
    }))
}

fn of_charge(conn: &mut Conn, stamp: i64) -> Result<Subject, Fault> {
    let row = usage::refund::charge(conn, ChargeId::from_stamp(stamp))?;
    let grant = grants::grant(conn, row.grant())?;
    let concerns = Concerns { project: Some(grant.about.project.stamp()), provider: Some(row.provider), ..Concerns::default() };
    Ok(Some((row.id().to_string(), concerns, json!({"charge": row.id(), "grant": grant.id, "project": grant.about.project}))))
}

/// What grants lost with a lot that expired.
fn of_shares(conn: &mut Conn, entry: &Entry) -> Result<Vec<NewEvent>, Fault> {
    let mut lost: BTreeMap<i64, Amount> = BTreeMap::new();
    for line in entry.lines.iter().filter(|line| line.account.bucket == Bucket::Granted && line.amount < 0) {
        lost.insert(line.account.grant, Amount::new(line.amount.saturating_neg(), line.unit));
    }
    if lost.is_empty() {
        return Ok(Vec::new());
    }
    let of = grants::Of { ids: Some(lost.keys().copied().collect()), ..grants::Of::default() };
    let projects: HashMap<i64, i64> =
        grants::store::grants(conn, &of, Page::ALL)?.iter().map(|grant| (grant.id.stamp(), grant.about.project.stamp())).collect();
    let lot = entry.subject.map(LotId::from_stamp);
    let event = |(grant, amount): (&i64, &Amount)| {
        let concerns = Concerns { project: projects.get(grant).copied(), ..Concerns::default() };
        let id = GrantId::from_stamp(*grant);
        let body = json!({"grant": id, "lot": lot, "amount": figure(*amount)});
        told(entry, "grant.lapsed".into(), id.to_string(), concerns, body, *grant)
    };
    Ok(lost.iter().map(event).collect())
}
