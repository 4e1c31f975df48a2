//! Charging: a batch of usage records against the grants behind them.
//!
//! For each record: met before? whose resource? which grant? what price? which lots? Each question may refuse; what is refused
//! for want of something that an officer or provider can still supply is kept in quarantine. Everything is decided from the writer's
//! memory; rows are staged. Bound: a batch of 10,000 records looks up its keys in one query.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::price::{self, Price};
use super::rate::Rate;
use super::record::Incoming;
use super::store::{self, ChargeRow, QuarantineRow};
use crate::amount::{Amount, Unit};
use crate::directory;
use crate::donations::{self, Lot, draw};
use crate::grants::{self, Funded, Overdraft};
use crate::id::{ChargeId, GrantId, InstitutionId, LotId, PersonId, ResourceId, UsageId};
use crate::ledger::{self, Bucket, Draft, Key, Kind};
use crate::refusal::{Code, FieldCode, Refusal};
use crate::store::{Conn, Fault, Page, Room, Work};

/// Usage, priced and posted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Charge {
    /// Its row.
    pub row: ChargeRow,
    /// The whole price.
    pub amount: Amount,
    /// What each lot pays, in draw-down order.
    pub lots: Vec<(LotId, Amount)>,
    /// How much of the price went beyond the grant.
    pub overdraft: Amount,
    /// What the grant has free afterwards.
    pub balance_after: Amount,
}

/// What became of one record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Charged; `overdrawn` if part of it went beyond the grant.
    Charged(Box<Charge>),
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
            Outcome::Charged(charge) if charge.overdraft.minor > 0 => "overdrawn",
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
    /// Keys that are charged: those that the command at work has met, and those whose rows are not written yet.
    charged: FxHashMap<[u8; 16], Known>,
    /// Keys in quarantine that the command at work has met.
    waiting: FxHashMap<[u8; 16], Known>,
    epoch: u64,
    rates: FxHashMap<ResourceId, Arc<Priced>>,
}

/// A resource with its rates.
#[derive(Debug)]
struct Priced {
    provider: InstitutionId,
    rates: Vec<Rate>,
}

/// A key that was met before.
#[derive(Clone, Copy, Debug)]
struct Known {
    digest: [u8; 16],
    id: i64,
    charged: bool,
}

impl Desk {
    /// A key may be in both once its quarantine is being resolved; the charge is what counts.
    fn known(&self, key: &[u8; 16]) -> Option<Known> {
        self.charged.get(key).or_else(|| self.waiting.get(key)).copied()
    }

    fn remember(&mut self, key: [u8; 16], known: Known) {
        let keys = if known.charged { &mut self.charged } else { &mut self.waiting };
        keys.insert(key, known);
    }
}

impl Room for Desk {
    fn flush(&mut self, conn: &mut Conn) -> Result<(), Fault> {
        self.staged.write(conn)
    }

    fn held(&self) -> usize {
        self.rates.len()
    }
}

/// Charges records of one provider, each on its own, in order.
pub fn charge(work: &mut Work<'_>, who: PersonId, provider: InstitutionId, records: &[Incoming]) -> Result<Vec<Outcome>, Fault> {
    meet(work, records)?;
    let mut outcomes = Vec::with_capacity(records.len());
    for record in records {
        let known = work.room::<Desk>()?.known(&record.key);
        let outcome = charge_one(work, who, provider, record, known)?;
        let desk = work.room::<Desk>()?;
        match &outcome {
            Outcome::Charged(charge) => desk.remember(record.key, Known { digest: record.digest, id: charge.row.id, charged: true }),
            Outcome::Quarantined(id, _) => desk.remember(record.key, Known { digest: record.digest, id: id.stamp(), charged: false }),
            _ => {}
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// Remembers which of the keys the database has met before; what is staged and not yet written is remembered already.
fn meet(work: &mut Work<'_>, records: &[Incoming]) -> Result<(), Fault> {
    let keys: Vec<[u8; 16]> = records.iter().map(|record| record.key).collect();
    let (desk, conn) = work.room_and_sql::<Desk>()?;
    if desk.staged.is_empty() {
        desk.charged.clear();
    }
    desk.waiting.clear();
    let cut = |bytes: Vec<u8>| <[u8; 16]>::try_from(bytes).map_err(|_| Fault::Internal("a usage key in the database is cut".into()));
    for met in store::met(conn, &keys)? {
        desk.remember(cut(met.usage_key)?, Known { digest: cut(met.digest)?, id: met.id, charged: met.charged == 1 });
    }
    Ok(())
}

fn charge_one(
    work: &mut Work<'_>,
    who: PersonId,
    provider: InstitutionId,
    incoming: &Incoming,
    known: Option<Known>,
) -> Result<Outcome, Fault> {
    match known {
        Some(Known { charged: true, digest, id }) if digest == incoming.digest => return Ok(Outcome::Duplicate(ChargeId::from_stamp(id))),
        Some(Known { charged: true, id, .. }) => return Ok(Outcome::Conflict(ChargeId::from_stamp(id))),
        Some(Known { digest, id, .. }) if digest != incoming.digest => {
            let detail = "The same usage is in quarantine with other content; dismiss that to report it anew.";
            return Ok(Outcome::Rejected(Refusal::new(Code::UsageConflict, detail).with("usage", UsageId::from_stamp(id))));
        }
        _ => {}
    }
    let waiting = known.map(|known| UsageId::from_stamp(known.id));
    match attempt(work, who, provider, incoming, incoming.record.grant) {
        Ok(charge) => {
            if let Some(entry) = waiting {
                store::close_quarantine(work.sql_mut()?, entry.stamp(), "charged", Some(charge.row.id()))?;
            }
            Ok(Outcome::Charged(Box::new(charge)))
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
/// Errors that quarantine answers: `unattributed`, `grant_not_active`, `terms_not_met`, `rate_missing`, `insufficient_credits`.
pub(super) fn attempt(
    work: &mut Work<'_>,
    who: PersonId,
    provider: InstitutionId,
    incoming: &Incoming,
    named: Option<GrantId>,
) -> Result<Charge, Fault> {
    let record = &incoming.record;
    let now = work.now();
    donations::not_ahead(record.ended_at, now, "/ended_at")?;
    let priced = priced(work, record.resource)?;
    if priced.provider != provider {
        return Err(directory::unknown("/resource", record.resource).into());
    }
    let funded = match named {
        Some(id) => grants::funded(work, id).map_err(|_| unattributed("There is no grant of that identifier."))?,
        None => find_grant(work, incoming)?,
    };
    funded.grant.pays_for(record.ended_at, now)?;
    if !funded.grant.admits(record.resource) {
        return Err(Refusal::new(Code::TermsNotMet, "The grant is not for this resource.").with("grant", funded.grant.id).into());
    }
    let price = price::price(record, &priced.rates, funded.grant.awarded.unit)?;
    post(work, who, provider, incoming, &funded, price)
}

fn unattributed(detail: &str) -> Refusal {
    Refusal::new(Code::Unattributed, detail)
}

/// The one grant that the record's account stands for, active when the job ended and open to its resource.
fn find_grant(work: &mut Work<'_>, incoming: &Incoming) -> Result<Arc<Funded>, Fault> {
    let record = &incoming.record;
    let now = work.now();
    let account = record.account.as_deref().ok_or_else(|| unattributed("The record names neither a grant nor an account."))?;
    let candidates = grants::grants_of_account(work, account, record.job.cluster.as_deref(), record.resource)?;
    let mut fitting = Vec::new();
    let mut refusal = None;
    for id in candidates {
        let funded = grants::funded(work, id)?;
        match funded.grant.pays_for(record.ended_at, now) {
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
fn priced(work: &mut Work<'_>, id: ResourceId) -> Result<Arc<Priced>, Fault> {
    let epoch = work.epoch();
    let desk = work.room::<Desk>()?;
    if desk.epoch != epoch {
        desk.rates.clear();
        desk.epoch = epoch;
    }
    if let Some(priced) = desk.rates.get(&id) {
        return Ok(priced.clone());
    }
    let (_, conn) = work.room_and_sql::<Desk>()?;
    let resource = directory::resource(conn, id)?.ok_or_else(|| directory::unknown("/resource", id))?;
    let of = store::Of { resources: Some(vec![id.stamp()]), ..store::Of::default() };
    let found = Arc::new(Priced { provider: resource.about.provider, rates: store::rates(conn, &of, Page::ALL)? });
    work.room::<Desk>()?.rates.insert(id, found.clone());
    Ok(found)
}

/// Draws the price from the grant's lots and posts it.
fn post(
    work: &mut Work<'_>,
    who: PersonId,
    provider: InstitutionId,
    incoming: &Incoming,
    funded: &Funded,
    price: Price,
) -> Result<Charge, Fault> {
    let (grant, unit, now) = (funded.grant.id, price.amount.unit, work.now());
    let record = &incoming.record;
    let keys: Vec<Key> = funded.lots.iter().map(|lot| Key::grant(grant, lot.id, Bucket::Granted)).collect();
    let free = ledger::balances(work, &keys)?;
    let pays = |lot: &Lot| lot.pays_for(record.ended_at, now) && lot.terms.admit_resource(record.resource);
    let usable = funded.lots.iter().zip(&free).filter(|(lot, _)| pays(lot)).map(|(lot, free)| (lot.id, *free));
    let (plan, beyond) = draw(usable, price.amount.minor)?;
    if beyond > 0 && funded.grant.overdraft == Overdraft::Reject {
        let shortfall = Amount::new(beyond, unit);
        let detail = format!("The grant lacks {shortfall} {} for this job.", unit.code());
        return Err(Refusal::new(Code::InsufficientCredits, detail).with("shortfall", shortfall).with("grant", grant).into());
    }
    let mut draft = Draft::moving(Kind::Charge, Some(who), record.ended_at, unit).about(grant.stamp());
    for (lot, part) in &plan {
        draft.shift(Key::grant(grant, *lot, Bucket::Granted), Key::grant(grant, *lot, Bucket::Spent), *part);
    }
    draft.shift(Key::overdraft(grant, Bucket::OverdraftOwed), Key::overdraft(grant, Bucket::OverdraftSpent), beyond);
    let birth = ledger::post(work, draft)?;
    let still_free = funded.lots.iter().zip(&free).filter(|(lot, _)| lot.pays_for(now, now)).map(|(lot, free)| {
        let drawn = plan.iter().find(|(drawn, _)| *drawn == lot.id).map_or(0, |(_, part)| *part);
        free - drawn
    });
    let balance_after = ledger::journal::total(still_free)?;
    let rates: Vec<i64> = price.rates.iter().map(|rate| rate.stamp()).collect();
    let row = ChargeRow {
        id: birth.stamp,
        seq: birth.seq,
        usage_key: incoming.key.to_vec(),
        digest: incoming.digest.to_vec(),
        provider: provider.stamp(),
        award: grant.stamp(),
        resource: record.resource.stamp(),
        amount: price.amount.minor,
        overdraft: beyond,
        balance_after,
        ended_at: record.ended_at.micros(),
        rates: serde_json::json!(rates).to_string(),
        record: incoming.text.clone(),
    };
    let desk = work.room::<Desk>()?;
    desk.staged.add(row.clone());
    let lots = plan.into_iter().map(|(lot, part)| (lot, Amount::new(part, unit))).collect();
    let (overdraft, balance_after) = (Amount::new(beyond, unit), Amount::new(balance_after, unit));
    Ok(Charge { row, amount: price.amount, lots, overdraft, balance_after })
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
        digest: incoming.digest.to_vec(),
        provider: provider.stamp(),
        reason: refusal.code.slug().into(),
        detail: refusal.detail.clone(),
        record: incoming.text.clone(),
        state: "open".into(),
        charge: None,
    };
    store::insert_quarantine(work.sql_mut()?, &row)?;
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
    let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    let lines = ledger::store::lines_of_entries(conn, &seqs)?;
    let one = |row: ChargeRow| {
        let unit = *units.get(&row.grant()).ok_or_else(|| Fault::Internal(format!("{} is charged to no grant", row.id())))?;
        let amount = |minor| Amount::new(minor, unit);
        let spent = lines.get(&row.seq).into_iter().flatten().filter(|line| line.account.bucket == Bucket::Spent);
        let lots = spent.filter_map(|line| line.account.lot_id().map(|lot| (lot, amount(line.amount)))).collect();
        Ok(Charge { amount: amount(row.amount), lots, overdraft: amount(row.overdraft), balance_after: amount(row.balance_after), row })
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
