//! Usage: rates, charges, refunds, quarantine; readers of others' formats.
//!
//! A provider's record becomes one charge, whatever the door and however often it is sent; what can't be charged is kept. It may not
//! know about statements or about HTTP.

pub mod charge;
pub mod erase;
pub mod hold;
mod met;
pub mod price;
pub mod quote;
pub mod rate;
pub mod readers;
pub mod record;
pub mod refund;
pub mod said;
mod settle;
pub mod store;
pub mod totals;

use serde_json::json;

use crate::directory::{self, unknown};
use crate::donations;
use crate::grants::sweep;
use crate::id::{GrantId, Id, InstitutionId, PersonId, RateId, TransactionId, UsageId};
use crate::json;
use crate::ledger::{self, Bucket, Draft, Entry, Kind};
use crate::refusal::{Code, FieldCode, Refusal};
use crate::store::{Conn, Fault, Page, Work};
use crate::time::Time;
pub use charge::{Charge, Outcome, charge};
pub use met::Blocks;
pub use rate::{NewRate, Rate};
pub use record::{Incoming, Job, Record, Used};
pub use refund::{Refunded, refund};
pub use store::{ChargeRow, Of, QuarantineRow, RefundRow};

/// Sets a rate. The first of its resource, meter and unit stands at once; later or back-dated ones are proposed until another person
/// confirms them. Errors: `unknown` resource; `not_allowed` for what is no meter.
pub fn add_rate(work: &mut Work<'_>, who: PersonId, new: &NewRate) -> Result<Rate, Fault> {
    if directory::resource(work.sql()?, new.resource)?.is_none() {
        return Err(unknown("/resource", new.resource).into());
    }
    if !record::is_meter(&new.meter) {
        return Err(Refusal::field("/meter", FieldCode::Malformed, "A meter is named like gpu-hour.").into());
    }
    let of = Of { resources: Some(vec![new.resource.stamp()]), ..Of::default() };
    let same = |rate: &Rate| rate.about.price.unit == new.price.unit && rate::ratio(&new.meter, &rate.about.meter).is_some();
    let first = !store::rates(work.sql()?, &of, Page::ALL)?.iter().any(same);
    let now = work.now();
    let factors: std::collections::BTreeMap<_, _> = new.qos.iter().map(|(qos, factor)| (qos, factor.to_string())).collect();
    let body = json!({
        "resource": new.resource, "meter": new.meter, "price": new.price.to_string(), "unit": new.price.unit.code(),
        "from": new.from.to_string(), "qos": factors, "state": if first { "in_force" } else { "proposed" },
    });
    let birth = ledger::post(work, Draft::note(Kind::Rate, who, now, &body).about(new.resource.stamp()))?;
    let confirmed_at = first.then_some(now);
    let rate = Rate { id: Id::from_stamp(birth.stamp), about: new.clone(), proposed_by: who, confirmed_by: None, confirmed_at };
    store::insert_rate(work.sql_mut()?, &rate)?;
    Ok(rate)
}

/// One rate. Errors: `not_found`.
pub fn find_rate(conn: &mut Conn, id: RateId) -> Result<Rate, Fault> {
    let of = Of { ids: Some(vec![id.stamp()]), ..Of::default() };
    store::rates(conn, &of, Page::ALL)?.pop().ok_or_else(|| Refusal::not_found().into())
}

/// Confirms a proposed rate. Errors: `already_decided`, `self_approval` by who proposed it.
pub fn confirm_rate(work: &mut Work<'_>, who: PersonId, id: RateId) -> Result<Rate, Fault> {
    let rate = find_rate(work.sql()?, id)?;
    if rate.confirmed_at.is_some() {
        return Err(Refusal::new(Code::AlreadyDecided, "The rate is in force.").into());
    }
    if rate.proposed_by == who {
        return Err(Refusal::new(Code::SelfApproval, "Who proposed a rate can't confirm it.").into());
    }
    let now = work.now();
    ledger::post(work, Draft::note(Kind::RateConfirmation, who, now, &json!({"rate": id})).about(id.stamp()))?;
    store::confirm_rate(work.sql_mut()?, id, who, now)?;
    find_rate(work.sql()?, id)
}

/// What a sweep has booked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Holds that expired.
    pub holds: usize,
    /// Grants that ended.
    pub grants: usize,
    /// Lots with credits that lapsed or went back to their donor.
    pub lots: usize,
}

/// Whether the clock has decided anything that is not booked: a look that takes no turn, so that sweeping idle books costs nothing.
pub fn is_due(conn: &mut Conn, now: Time) -> Result<bool, Fault> {
    Ok(hold::is_due(conn, now)? || sweep::is_due(conn, now)?)
}

/// Books everything that the clock has decided: holds that have expired, then ends of grants and lots. Running it again books nothing
/// more.
pub fn sweep(work: &mut Work<'_>) -> Result<Swept, Fault> {
    sweep_some(work, usize::MAX)
}

/// Books so many things that are due at most, so that no commit is long.
pub fn sweep_some(work: &mut Work<'_>, most: usize) -> Result<Swept, Fault> {
    let holds = hold::book_some_expired(work, most)?;
    let sweep::Swept { grants, lots } = sweep::sweep_some(work, most.saturating_sub(holds))?;
    Ok(Swept { holds, grants, lots })
}

/// Books the holds that have expired and the grants that have ended: what is decided about a lot's free credits comes after this.
pub fn book_ends(work: &mut Work<'_>) -> Result<usize, Fault> {
    Ok(hold::book_expired(work)? + sweep::book_ends(work)?)
}

/// How a record in quarantine is resolved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// Charged: to this grant, or to the one that is found now.
    Charge(Option<GrantId>),
    /// Never to be charged, for this reason.
    Dismiss(String),
}

/// One record of the quarantine. Errors: `not_found`.
pub fn quarantined(conn: &mut Conn, id: UsageId) -> Result<QuarantineRow, Fault> {
    let of = Of { ids: Some(vec![id.stamp()]), ..Of::default() };
    store::quarantine(conn, &of, Page::ALL)?.pop().ok_or_else(|| Refusal::not_found().into())
}

/// Resolves a record in quarantine; the charge, unless it was dismissed.
///
/// Errors: `already_decided`; whatever still keeps the record from being charged.
pub fn resolve(work: &mut Work<'_>, who: PersonId, id: UsageId, how: &Resolution) -> Result<Option<Charge>, Fault> {
    let row = quarantined(work.sql()?, id)?;
    if row.state != "open" {
        let detail = format!("The record is {}.", row.state);
        return Err(Refusal::new(Code::AlreadyDecided, detail).with("state", row.state).into());
    }
    match how {
        Resolution::Dismiss(reason) => {
            let note = Draft::note(Kind::Dismissal, who, work.now(), &json!({"reason": reason})).about(id.stamp());
            let birth = ledger::post(work, note)?;
            store::close_quarantine(work.sql_mut()?, row.id, birth.seq, None)?;
            Ok(None)
        }
        Resolution::Charge(grant) => {
            let units = ledger::units(work)?;
            let kept = json::parse(row.record.as_bytes()).map_err(|_| charge::unreadable(id))?;
            let mut record = Record::read(&kept, &|code| units.get(code).copied()).map_err(|_| charge::unreadable(id))?;
            let named = grant.or(record.grant);
            // Whoever names the grant now decides who pays, whatever became of the hold.
            record.hold = record.hold.filter(|_| grant.is_none());
            let provider = InstitutionId::from_stamp(row.provider);
            let charged = charge::retry(work, who, provider, &Incoming::new(provider, record), named)?;
            store::close_quarantine(work.sql_mut()?, row.id, charged.row.seq, Some(charged.row.id()))?;
            Ok(Some(charged))
        }
    }
}

/// The entry of a transaction. Errors: `not_found`.
pub fn transaction(conn: &mut Conn, id: TransactionId) -> Result<Entry, Fault> {
    let seq = ledger::store::seq_of(conn, id.stamp())?.ok_or_else(Refusal::not_found)?;
    let found = ledger::store::entries(conn, seq, seq)?.pop().filter(|entry| entry.kind.moves());
    found.ok_or_else(|| Refusal::not_found().into())
}

/// Reverses a transaction by its exact mirror: a delivery, a return, or a charge nothing of which was refunded or covered.
///
/// Errors: `not_reversible` for the other kinds, which their own verbs undo; `self_approval` by who booked it; `already_reversed`;
/// `insufficient_credits` when what the transaction brought is no longer there.
pub fn reverse(work: &mut Work<'_>, who: PersonId, id: TransactionId, reason: &str) -> Result<Entry, Fault> {
    let entry = transaction(work.sql()?, id)?;
    let allowed = match entry.kind {
        Kind::Delivery => true,
        // What the clock has given back is not an officer's to take again.
        Kind::Return => entry.actor.is_some(),
        Kind::Charge => {
            let row = refund::charge(work.sql()?, id.seen_as())?;
            let grant = crate::grants::funded(work, row.grant())?;
            // What the clock has freed may have covered it.
            hold::book_due(work, &grant.grant)?;
            // The mirror of what a hold paid would set credits aside for a hold that has ended.
            let of_hold = entry.lines.iter().any(|line| line.account.bucket == Bucket::Held);
            let untouched = refund::parts(work.sql()?, &row)?.total()? == row.amount && store::covers(work.sql()?, row.id())?.is_empty();
            let reversed = ledger::store::reversal_of(work.sql()?, row.seq)?.is_some();
            reversed || (untouched && !of_hold && grant.grant.pays_for(grant.grant.about.period.from, row.ended_at(), work.now()).is_ok())
        }
        _ => false,
    };
    if !allowed {
        return Err(Refusal::new(Code::NotReversible, Code::NotReversible.title()).with("kind", entry.kind.word()).into());
    }
    if entry.kind == Kind::Delivery {
        // Whether the lot still has it all is for the clock to say, swept or not.
        sweep(work)?;
    }
    let birth = ledger::reverse(work, who, &entry, reason)?;
    match (entry.kind, entry.subject) {
        (Kind::Charge, _) => {
            let row = refund::charge(work.sql()?, id.seen_as())?;
            let now = work.now();
            refund::cover(work, row.grant(), now)?;
        }
        (Kind::Delivery, Some(donation)) => donations::delivery_reversed(work, who, Id::from_stamp(donation))?,
        _ => {}
    }
    transaction(work.sql()?, Id::from_stamp(birth.stamp))
}
