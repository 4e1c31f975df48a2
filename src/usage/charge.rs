//! Charging: a batch of usage records against the grants behind them.
//!
//! For each record: met before? whose resource? which grant? what price? which lots? Each question may refuse; what is refused
//! for want of something that an officer or provider can still supply is kept in quarantine. Everything is decided from the writer's
//! memory; rows are staged. Bound: a batch of 10,000 records looks up its keys in a few queries, and none for keys never met before.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::met::{self, Before, Known};
use super::price;
use super::rate::Rate;
use super::record::{Incoming, Record};
use super::settle;
use super::store::{self, ChargeRow, QuarantineRow};
use crate::amount::{Amount, Unit};
use crate::directory;
use crate::donations;
use crate::grants::{self, Funded};
use crate::id::{ChargeId, GrantId, InstitutionId, LotId, PersonId, RateId, ResourceId, UsageId};
use crate::ledger::{self, Bucket, Draft, Few, Kind};
use crate::refusal::{Code, FieldCode, Refusal};
use crate::store::{Conn, Fault, Page, Room, Rows, SharedText, Work};

/// Usage, priced and posted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Charge {
    /// Its row.
    pub row: Arc<ChargeRow>,
    /// What its amounts count.
    pub unit: Unit,
    /// What each lot pays, in draw-down order, in the unit's smallest part.
    paid: Paid,
}

/// The parts of a price: mostly there is one, and thousands of charges wait for their commit.
type Paid = SmallVec<[(LotId, i64); 1]>;

impl Charge {
    pub(super) fn new(row: Arc<ChargeRow>, unit: Unit, paid: impl IntoIterator<Item = (LotId, i64)>) -> Charge {
        Charge { row, unit, paid: paid.into_iter().collect() }
    }

    /// The whole price.
    pub fn amount(&self) -> Amount {
        Amount::new(self.row.amount, self.unit)
    }

    /// How much of the price went beyond the grant.
    pub fn overdraft(&self) -> Amount {
        Amount::new(self.row.overdraft, self.unit)
    }

    /// What the grant has free afterwards.
    pub fn balance_after(&self) -> Amount {
        Amount::new(self.row.balance_after, self.unit)
    }

    /// What each lot pays, in draw-down order.
    pub fn lots(&self) -> Vec<(LotId, Amount)> {
        self.paid.iter().map(|(lot, part)| (*lot, Amount::new(*part, self.unit))).collect()
    }
}

/// What became of one record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Charged; `overdrawn` if part of it went beyond the grant.
    Charged(Charge),
    /// The same was charged before.
    Duplicate(ChargeId),
    /// Other content was charged under the same key; nothing changed.
    Conflict(ChargeId),
    /// Kept until resolved, for this reason.
    Quarantined(UsageId, Refusal),
    /// Not kept: it can't be right, whoever looks at it.
    Rejected(Refusal),
}

impl Outcome {
    /// The word on the wire.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Charged(charge) if charge.row.overdraft > 0 => "overdrawn",
            Outcome::Charged(_) => "charged",
            Outcome::Duplicate(_) => "duplicate",
            Outcome::Conflict(_) => "conflict",
            Outcome::Quarantined(..) => "quarantined",
            Outcome::Rejected(_) => "rejected",
        }
    }
}

/// What the writer remembers of usage.
#[derive(Default)]
pub(super) struct Desk {
    staged: store::Staged,
    epoch: u64,
    rates: FxHashMap<ResourceId, Arc<Priced>>,
    /// The rates of the last charge and their text: the next one's are mostly the same.
    rated: Option<(Few<RateId>, SharedText)>,
}

/// A resource with its rates.
#[derive(Debug)]
pub(super) struct Priced {
    pub provider: InstitutionId,
    pub rates: Vec<Rate>,
}

impl Room for Desk {
    fn take_rows(&mut self) -> Option<Rows> {
        if self.staged.is_empty() {
            return None;
        }
        Some(Box::new(self.staged.take()))
    }

    fn held(&self) -> usize {
        self.rates.len()
    }
}

/// The text of the rates that made a price.
pub(super) fn rated(work: &mut Work<'_>, rates: &Few<RateId>) -> Result<SharedText, Fault> {
    let desk = work.room::<Desk>()?;
    if let Some((_, text)) = desk.rated.as_ref().filter(|(last, _)| last == rates) {
        return Ok(text.clone());
    }
    let stamps: Few<i64> = rates.iter().map(|rate| rate.stamp()).collect();
    let text = serde_json::to_string(&stamps[..]).map_err(|e| Fault::Internal(format!("rates of a charge: {e}")))?;
    Ok(desk.rated.insert((rates.clone(), text.into())).1.clone())
}

/// Has a charge written.
pub(super) fn stage(work: &mut Work<'_>, incoming: &Incoming, row: Arc<ChargeRow>) -> Result<(), Fault> {
    met::charged(work, incoming, &row)?;
    work.room::<Desk>()?.staged.add(row);
    Ok(())
}

/// Charges records of one provider, each on its own, in order.
pub fn charge(work: &mut Work<'_>, who: PersonId, provider: InstitutionId, records: &[Incoming]) -> Result<Vec<Outcome>, Fault> {
    let mut before = met::before(work, records)?;
    let mut outcomes = Vec::with_capacity(records.len());
    for record in records {
        let outcome = charge_one(work, who, provider, record, &before)?;
        match &outcome {
            Outcome::Charged(charge) => before.learn(record, charge.row.id, true),
            Outcome::Quarantined(id, _) => before.learn(record, id.stamp(), false),
            _ => {}
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

fn charge_one(work: &mut Work<'_>, who: PersonId, provider: InstitutionId, incoming: &Incoming, before: &Before) -> Result<Outcome, Fault> {
    let (known, total) = before.of(work, incoming)?;
    match known {
        Some(Known { charged: true, digest, id, .. }) if digest == incoming.digest => {
            return Ok(Outcome::Duplicate(ChargeId::from_stamp(id)));
        }
        Some(Known { charged: true, id, .. }) => return Ok(Outcome::Conflict(ChargeId::from_stamp(id))),
        Some(Known { digest, id, .. }) if digest != incoming.digest => {
            let detail = "The same usage is in quarantine with other content; dismiss that to report it anew.";
            return Ok(Outcome::Rejected(Refusal::new(Code::UsageConflict, detail).with("usage", UsageId::from_stamp(id))));
        }
        _ => {}
    }
    // A total ends its job: no part comes after it.
    if let Some(total) = total {
        return Ok(Outcome::Conflict(ChargeId::from_stamp(total.id)));
    }
    let waiting = known.map(|known| UsageId::from_stamp(known.id));
    let parted = incoming.part() == 0 && before.has_parts(incoming);
    match attempt(work, who, provider, incoming, incoming.record.grant, parted) {
        Ok(charge) => {
            if let Some(entry) = waiting {
                store::close_quarantine(work.sql_mut()?, entry.stamp(), charge.row.seq, Some(charge.row.id()))?;
            }
            Ok(Outcome::Charged(charge))
        }
        Err(Fault::Refused(refusal)) if refusal.code == Code::ValidationFailed || refusal.code == Code::NotFound => {
            Ok(Outcome::Rejected(*refusal))
        }
        Err(Fault::Refused(refusal)) => match waiting {
            Some(entry) => Ok(Outcome::Quarantined(entry, *refusal)),
            None => Ok(Outcome::Quarantined(set_aside(work, who, provider, incoming, &refusal)?, *refusal)),
        },
        Err(fault) => Err(fault),
    }
}

/// Charges one record to the grant named here or found, or refuses.
///
/// Errors that quarantine answers: `unattributed`, `grant_not_active`, `terms_not_met`, `rate_missing`, `insufficient_credits`,
/// `hold_not_open`, and `usage_conflict` where a job's parts were charged to another grant.
fn attempt(
    work: &mut Work<'_>,
    who: PersonId,
    provider: InstitutionId,
    incoming: &Incoming,
    named: Option<GrantId>,
    parted: bool,
) -> Result<Charge, Fault> {
    let record = &incoming.record;
    let now = work.now();
    donations::not_ahead(record.ended_at, now, "/ended_at")?;
    let priced = priced(work, record.resource)?;
    if priced.provider != provider {
        return Err(directory::unknown("/resource", record.resource).into());
    }
    let (funded, hold) = settle::payer(work, provider, record, named)?;
    // A job whose credits were set aside before a suspension may run.
    let began_at = hold.as_ref().map_or(record.began_at(), |hold| hold.id.created_at().min(record.began_at()));
    funded.grant.pays_for(began_at, record.ended_at, now)?;
    if !funded.grant.admits(record.resource) {
        return Err(Refusal::new(Code::TermsNotMet, "The grant is not for this resource.").with("grant", funded.grant.id).into());
    }
    let price = price::price(record, &priced.rates, funded.grant.awarded.unit)?;
    let earlier = if parted { settle::Earlier::of(work, incoming, funded.grant.id)? } else { settle::Earlier::default() };
    settle::post(work, settle::Priced { who, provider, incoming, funded: &funded, price, hold, earlier: &earlier })
}

/// Charges a record that was set aside, to the grant named here or found.
///
/// Errors: whatever still keeps it from being charged; `usage_conflict` for a part of a job whose total was charged meanwhile.
pub(super) fn retry(
    work: &mut Work<'_>,
    who: PersonId,
    provider: InstitutionId,
    incoming: &Incoming,
    named: Option<GrantId>,
) -> Result<Charge, Fault> {
    let before = met::before(work, std::slice::from_ref(incoming))?;
    if let (_, Some(total)) = before.of(work, incoming)? {
        return Err(conflict(ChargeId::from_stamp(total.id)).into());
    }
    let parted = incoming.part() == 0 && before.has_parts(incoming);
    attempt(work, who, provider, incoming, named, parted)
}

pub(super) fn unattributed(detail: &str) -> Refusal {
    Refusal::new(Code::Unattributed, detail)
}

/// The one grant that the record's account stands for, active when the job ended and open to its resource.
pub(super) fn find_grant(work: &mut Work<'_>, record: &Record) -> Result<Arc<Funded>, Fault> {
    let now = work.now();
    let account = record.account.as_deref().ok_or_else(|| unattributed("The record names neither a grant nor an account."))?;
    let candidates = grants::grants_of_account(work, account, record.job.cluster.as_deref(), record.resource)?;
    let mut fitting = Vec::new();
    let mut refusal = None;
    for id in candidates {
        let funded = grants::funded(work, id)?;
        match funded.grant.pays_for(record.began_at(), record.ended_at, now) {
            Ok(()) if funded.grant.admits(record.resource) => fitting.push(funded),
            Ok(()) => {}
            Err(why) => refusal = Some(why),
        }
    }
    match (fitting.len(), refusal) {
        (1, _) => fitting.pop().ok_or_else(|| Fault::Internal("a grant is missing".into())),
        (0, Some(why)) => Err(why.into()),
        (0, None) => Err(unattributed(&format!("No grant for this resource belongs to the account {account:?}.")).into()),
        (many, _) => Err(unattributed(&format!("{many} grants fit the account {account:?}; name one.")).into()),
    }
}

/// A resource with its rates, remembered. Errors: `unknown` resource.
pub(super) fn priced(work: &mut Work<'_>, id: ResourceId) -> Result<Arc<Priced>, Fault> {
    let epoch = work.epoch();
    let desk = work.room::<Desk>()?;
    if desk.epoch != epoch {
        desk.rates.clear();
        desk.epoch = epoch;
    }
    if let Some(priced) = desk.rates.get(&id) {
        return Ok(priced.clone());
    }
    let (_, link) = work.room_and_link::<Desk>()?;
    let conn = link.conn()?;
    let resource = directory::resource(conn, id)?.ok_or_else(|| directory::unknown("/resource", id))?;
    let of = store::Of { resources: Some(vec![id.stamp()]), ..store::Of::default() };
    let found = Arc::new(Priced { provider: resource.about.provider, rates: store::rates(conn, &of, Page::ALL)? });
    work.room::<Desk>()?.rates.insert(id, found.clone());
    Ok(found)
}

/// Keeps a record that can't be charged, with the reason.
fn set_aside(
    work: &mut Work<'_>,
    who: PersonId,
    provider: InstitutionId,
    incoming: &Incoming,
    refusal: &Refusal,
) -> Result<UsageId, Fault> {
    let body = serde_json::json!({"reason": refusal.code.slug(), "provider": provider});
    let birth = ledger::post(work, Draft::note(Kind::Quarantine, who, incoming.record.ended_at, &body))?;
    let row = QuarantineRow {
        id: birth.stamp,
        usage_key: incoming.key.to_vec(),
        part: incoming.part(),
        digest: incoming.digest.to_vec(),
        provider: provider.stamp(),
        reason: refusal.code.slug().into(),
        detail: refusal.detail.clone(),
        record: incoming.record.canonical(),
        state: "open".into(),
        charge: None,
        closed: None,
    };
    store::insert_quarantine(work.sql_mut()?, &row)?;
    met::set_aside(work, incoming)?;
    Ok(row.id())
}

/// A charge that was posted before, with the parts that its transaction names. Errors: none of its own.
pub fn recall(conn: &mut Conn, row: ChargeRow) -> Result<Charge, Fault> {
    recall_all(conn, vec![row])?.pop().ok_or_else(|| Fault::Internal("a charge was not recalled".into()))
}

/// Charges that were posted before, in the order given: read in few queries, however many they are. Errors: none of its own.
pub fn recall_all(conn: &mut Conn, rows: Vec<ChargeRow>) -> Result<Vec<Charge>, Fault> {
    let mut awards: Vec<i64> = rows.iter().map(|row| row.award).collect();
    awards.sort_unstable();
    awards.dedup();
    let awarded = grants::store::grants(conn, &grants::Of { ids: Some(awards), ..grants::Of::default() }, Page::ALL)?;
    let units: FxHashMap<GrantId, Unit> = awarded.iter().map(|grant| (grant.id, grant.awarded.unit)).collect();
    let texts: Vec<(i64, Option<&str>)> = rows.iter().map(|row| (row.seq, row.lines.as_deref())).collect();
    let lines = ledger::store::lines_of_texts(conn, &texts)?;
    let one = |row: ChargeRow| {
        let unit = *units.get(&row.grant()).ok_or_else(|| Fault::Internal(format!("{} is charged to no grant", row.id())))?;
        let spent = lines.get(&row.seq).into_iter().flatten().filter(|line| line.account.bucket == Bucket::Spent);
        let paid = spent.filter_map(|line| line.account.lot_id().map(|lot| (lot, line.amount)));
        Ok(Charge::new(Arc::new(row), unit, paid))
    };
    rows.into_iter().map(one).collect()
}

/// What is charged, as the parameters of a refusal to charge it again.
pub fn conflict(charge: ChargeId) -> Refusal {
    Refusal::new(Code::UsageConflict, Code::UsageConflict.title()).with("charge", charge)
}

/// The refusal of a field of a stored record, which can only mean that the record was made by other rules.
pub(super) fn unreadable(id: UsageId) -> Fault {
    Refusal::field("", FieldCode::Malformed, format!("{id} can't be read any more.")).into()
}
