//! What is set aside, recomputed from the journal: credits for jobs, and records that nobody pays for; the tables must say the same.
//!
//! What tells of a job stands in the tables alone and is held to its own hash. Bounds: what the entry of every hold says, and a few numbers of
//! every record in quarantine, are held in memory.

use std::collections::HashMap;
use std::fmt;

use rustc_hash::FxHashMap;
use serde_json::Value;

use super::erased::Erased;
use crate::amount::Unit;
use crate::id::{HoldId, InstitutionId, UsageId};
use crate::json;
use crate::ledger::{self, Bucket, Entry, Kind};
use crate::refusal::Code;
use crate::store::{Conn, Fault, Pages};
use crate::usage::hold::{self, Hold, State};
use crate::usage::store::QuarantineRow;
use crate::usage::{self, Incoming, Record};

/// What the journal says is set aside.
#[derive(Default)]
pub(super) struct Aside {
    holds: FxHashMap<i64, Held>,
    lost: FxHashMap<i64, Lost>,
    /// The charges that rows of both name, by stamp, each with its entry if there is one.
    charges: FxHashMap<i64, Option<Paid>>,
}

/// The entry of a charge: its sequence, and the grant.
#[derive(Clone, Copy)]
struct Paid {
    seq: i64,
    grant: Option<i64>,
}

/// A hold as the journal tells it.
struct Held {
    grant: i64,
    amount: i128,
    body: Value,
    ended: Option<(State, i64)>,
}

/// A record in quarantine as the journal tells it: there may be millions of them.
struct Lost {
    reason: Option<Code>,
    provider: Option<InstitutionId>,
    dismissed: bool,
}

/// Rows read at a time.
const PAGE: i64 = 1000;

fn body(entry: &Entry) -> Value {
    entry.body.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

impl Aside {
    /// Reads which charges the rows name.
    pub fn read(conn: &mut Conn) -> Result<Aside, Fault> {
        let named = hold::store::charges(conn)?.into_iter().chain(usage::store::charges_of_quarantine(conn)?);
        Ok(Aside { charges: named.map(|stamp| (stamp, None)).collect(), ..Aside::default() })
    }

    /// Takes the entries in their order.
    pub fn pass(&mut self, entry: &Entry) {
        let (own, subject) = (entry.recorded_at.micros(), entry.subject.unwrap_or_default());
        match entry.kind {
            Kind::Hold => {
                let held = entry.lines.iter().filter(|line| line.account.bucket == Bucket::Held);
                let amount = held.map(|line| i128::from(line.amount)).sum();
                self.holds.insert(own, Held { grant: subject, amount, body: body(entry), ended: None });
            }
            Kind::HoldExtension => {
                if let Some(held) = self.holds.get_mut(&subject) {
                    held.body["expires_at"] = body(entry)["expires_at"].take();
                }
            }
            Kind::Release | Kind::HoldExpiry => {
                let state = if entry.kind == Kind::Release { State::Released } else { State::Expired };
                if let Some(held) = self.holds.get_mut(&subject) {
                    held.ended = Some((state, entry.seq));
                }
            }
            Kind::Charge => {
                if let Some(paid) = self.charges.get_mut(&own) {
                    *paid = Some(Paid { seq: entry.seq, grant: entry.subject });
                }
            }
            Kind::Quarantine => drop(self.lost.insert(own, Lost::of(&body(entry)))),
            Kind::Dismissal => {
                if let Some(lost) = self.lost.get_mut(&subject) {
                    lost.dismissed = true;
                }
            }
            _ => {}
        }
    }

    fn paid(&self, charge: i64) -> Option<Paid> {
        self.charges.get(&charge).copied().flatten()
    }

    /// Whether each hold's row says what the journal says, once all of it has passed.
    pub fn holds(&mut self, conn: &mut Conn, tell: &mut impl FnMut(Result<(), String>)) -> Result<(), Fault> {
        let mut pages = Pages::of(PAGE);
        while let Some(rows) = pages.next(|page| hold::store::holds(conn, &hold::Of::default(), page), |row| row.id.stamp())? {
            for row in rows {
                let paid = row.charge.and_then(|charge| self.paid(charge.stamp()));
                let told = self.holds.remove(&row.id.stamp());
                tell(said(told.is_some_and(|told| told.terms(&row) && told.state(&row, paid)), row.id));
            }
        }
        self.holds.drain().for_each(|(stamp, _)| tell(missing(HoldId::from_stamp(stamp))));
        Ok(())
    }

    /// The same of records in quarantine, whose own hash and key must fit too, unless an entry erased them.
    pub fn records(&mut self, conn: &mut Conn, erased: &mut Erased, tell: &mut impl FnMut(Result<(), String>)) -> Result<(), Fault> {
        let units = ledger::store::units(conn)?;
        let mut pages = Pages::of(PAGE);
        while let Some(rows) = pages.next(|page| usage::store::quarantine(conn, &usage::Of::default(), page), |row| row.id)? {
            for row in rows {
                let paid = row.charge.and_then(|charge| self.paid(charge));
                let told = self.lost.remove(&row.id);
                let whole = erased.record(&row).unwrap_or_else(|| is_whole(&row, &units));
                tell(said(whole && told.is_some_and(|told| told.is(&row, paid)), row.id()));
            }
        }
        self.lost.drain().for_each(|(stamp, _)| tell(missing(UsageId::from_stamp(stamp))));
        Ok(())
    }
}

fn said(same: bool, id: impl fmt::Display) -> Result<(), String> {
    if same { Ok(()) } else { Err(format!("{id} is not in its row what it is in the journal")) }
}

fn missing(id: impl fmt::Display) -> Result<(), String> {
    Err(format!("{id} is in the journal, and not in its table"))
}

/// Whether a record is what its own key and hash say.
fn is_whole(row: &QuarantineRow, units: &HashMap<String, Unit>) -> bool {
    let read = json::parse(row.record.as_bytes()).ok().and_then(|kept| Record::read(&kept, &|code| units.get(code).copied()).ok());
    read.map(|record| Incoming::new(InstitutionId::from_stamp(row.provider), record)).is_some_and(|read| {
        (read.key.as_slice(), read.digest.as_slice(), read.part()) == (row.usage_key.as_slice(), row.digest.as_slice(), row.part)
    })
}

impl Held {
    fn terms(&self, row: &Hold) -> bool {
        let said = |name: &str| self.body[name].as_str().unwrap_or_default().to_owned();
        (self.grant, self.amount) == (row.grant.stamp(), row.amount.minor.into())
            && said("provider") == row.provider.to_string()
            && said("resource") == row.resource.to_string()
            && said("expires_at") == row.expires_at.to_string()
    }

    fn state(&self, row: &Hold, paid: Option<Paid>) -> bool {
        let ended = self.ended.map(|(_, seq)| seq);
        match row.state {
            State::Open => (self.ended, row.closed, row.charge) == (None, None, None),
            State::Released | State::Expired => self.ended == row.closed.map(|seq| (row.state, seq)) && row.charge.is_none(),
            // One that had expired was closed then, and may still have been settled.
            State::Settled => {
                let released = self.ended.is_some_and(|(state, _)| state == State::Released);
                let closed = ended.or(paid.map(|paid| paid.seq));
                !released && paid.is_some_and(|paid| paid.grant == Some(self.grant)) && row.closed == closed
            }
        }
    }
}

impl Lost {
    fn of(body: &Value) -> Lost {
        let (reason, provider) = (body["reason"].as_str(), body["provider"].as_str());
        Lost { reason: reason.and_then(Code::of_slug), provider: provider.and_then(|id| InstitutionId::parse(id).ok()), dismissed: false }
    }

    fn is(&self, row: &QuarantineRow, paid: Option<Paid>) -> bool {
        let said =
            self.reason.is_some_and(|reason| reason.slug() == row.reason) && self.provider == Some(InstitutionId::from_stamp(row.provider));
        let state = match (row.state.as_str(), row.charge) {
            ("open", None) => !self.dismissed,
            ("dismissed", None) => self.dismissed,
            ("charged", Some(_)) => !self.dismissed && paid.is_some(),
            _ => false,
        };
        said && state
    }
}
