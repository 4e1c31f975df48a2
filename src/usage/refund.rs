//! Refunds and covers: what a charge still costs, part by part, and how that is given back or paid later.
//!
//! A charge's parts are what each lot pays for it (its own lines and later covers) and the overdraft that nobody has paid yet, each
//! less what was refunded. A refund takes the overdraft part first, then the lots in reverse draw-down order. Whatever it frees
//! first pays the grant's overdrafts, oldest charge first, also past the grant's end.

use std::collections::HashMap;
use std::sync::Arc;

use super::hold;
use super::store::{self, ChargeRow, RefundRow};
use crate::amount::Amount;
use crate::donations::{self, Lot, Phase, draw, phase};
use crate::grants::store::Outflow;
use crate::grants::{self, Funded};
use crate::id::{ChargeId, GrantId, LotId, PersonId};
use crate::ledger::store::Account;
use crate::ledger::{self, Bucket, Draft, Key, Kind};
use crate::refusal::{Code, Refusal};
use crate::store::{Conn, Fault, Page, Work};
use crate::time::Time;

/// What a charge still costs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Parts {
    /// By lot, net of refunds.
    pub lots: HashMap<LotId, i64>,
    /// Owed beyond the grant, net of covers and refunds.
    pub overdraft: i64,
}

impl Parts {
    /// All that can still be refunded.
    pub fn total(&self) -> Result<i64, Refusal> {
        ledger::journal::total(self.lots.values().copied().chain([self.overdraft]))
    }
}

/// One charge. Errors: `not_found`.
pub fn charge(conn: &mut Conn, id: ChargeId) -> Result<ChargeRow, Fault> {
    let of = store::Of { ids: Some(vec![id.stamp()]), ..store::Of::default() };
    store::charges(conn, &of, Page::ALL)?.pop().ok_or_else(|| Refusal::not_found().into())
}

/// The parts of a charge as they stand, from the postings of all that touched it.
pub fn parts(conn: &mut Conn, row: &ChargeRow) -> Result<Parts, Fault> {
    let mut seqs = vec![row.seq];
    seqs.extend(store::covers(conn, row.id())?);
    seqs.extend(store::refunds(conn, row.id(), Page::ALL)?.iter().map(|refund| refund.seq));
    seqs.extend(ledger::store::reversal_of(conn, row.seq)?);
    let mut parts = Parts::default();
    for seq in seqs {
        for line in ledger::store::entries(conn, seq, seq)?.iter().flat_map(|entry| &entry.lines) {
            match (line.account.bucket, line.account.lot_id()) {
                (Bucket::Spent, Some(lot)) => *parts.lots.entry(lot).or_default() += line.amount,
                (Bucket::OverdraftSpent, _) => parts.overdraft += line.amount,
                _ => {}
            }
        }
    }
    Ok(parts)
}

/// A refund as it was posted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refunded {
    /// Its row.
    pub row: RefundRow,
    /// How much.
    pub amount: Amount,
    /// What each lot gets back.
    pub lots: Vec<(LotId, Amount)>,
    /// What is taken off the overdraft.
    pub overdraft: Amount,
}

/// Gives back part of a charge, or all that is left of it. Of more than the policy says another person gives it back than reported it.
///
/// Errors: `approval_limit_exceeded`; `refund_exceeds_charge` with `refundable`; `unit_mismatch`.
pub fn refund(work: &mut Work<'_>, who: PersonId, id: ChargeId, amount: Option<Amount>, reason: &str) -> Result<Refunded, Fault> {
    let row = charge(work.sql()?, id)?;
    let unit = grants::funded(work, row.grant())?.grant.awarded.unit;
    if let Some(most) = grants::policy::in_force(work.sql()?, unit)?.and_then(|policy| policy.about.refund_alone) {
        let reporter = ledger::store::entries(work.sql()?, row.seq, row.seq)?.pop().and_then(|entry| entry.actor);
        let before: Vec<i64> = store::refunds(work.sql()?, id, Page::ALL)?.iter().map(|refund| refund.amount).collect();
        let asked = amount.map_or_else(|| parts(work.sql()?, &row)?.total().map_err(Fault::from), |amount| Ok(amount.minor))?;
        if reporter == Some(who) && ledger::journal::total(before.into_iter().chain([asked]))? > most.minor {
            let detail = format!("Who reported a charge gives back {most} {} of it alone; another person can give back more.", unit.code());
            return Err(Refusal::new(Code::ApprovalLimitExceeded, detail).with("limit", most).into());
        }
    }
    give_back(work, who, id, amount, reason)
}

/// As `refund`, whoever it is: what a job's total says is no favour.
pub(super) fn give_back(work: &mut Work<'_>, who: PersonId, id: ChargeId, amount: Option<Amount>, reason: &str) -> Result<Refunded, Fault> {
    let row = charge(work.sql()?, id)?;
    let funded = grants::funded(work, row.grant())?;
    hold::book_due(work, &funded.grant)?;
    let unit = funded.grant.awarded.unit;
    let parts = parts(work.sql()?, &row)?;
    let refundable = Amount::new(parts.total()?, unit);
    let amount = amount.unwrap_or(refundable);
    refundable.same_unit(amount)?;
    if amount.minor > refundable.minor || amount.minor == 0 {
        let detail = format!("{refundable} {} of the charge can still be refunded.", unit.code());
        return Err(Refusal::new(Code::RefundExceedsCharge, detail).with("refundable", refundable).into());
    }
    let owed = parts.overdraft.min(amount.minor);
    let mut lots: Vec<(&Arc<Lot>, i64)> =
        funded.lots.iter().rev().filter_map(|lot| parts.lots.get(&lot.id).map(|part| (lot, *part))).collect();
    lots.retain(|(_, part)| *part > 0);
    let (plan, missing) = draw(lots, amount.minor - owed)?;
    if missing > 0 {
        return Err(Fault::Internal(format!("{id} was paid by lots that its grant does not have")));
    }
    let mut draft = Draft::moving(Kind::Refund, Some(who), work.now(), unit).about(id.stamp());
    draft.shift(Key::overdraft(funded.grant.id, Bucket::OverdraftSpent), Key::overdraft(funded.grant.id, Bucket::OverdraftOwed), owed);
    let stays = stays(work, &funded, &row, &plan)?;
    let stays = |lot: &Lot| stays.get(&lot.id).copied().unwrap_or(0);
    for (lot, part) in &plan {
        let spent = Key::grant(funded.grant.id, lot.id, Bucket::Spent);
        draft.shift(spent, Key::grant(funded.grant.id, lot.id, Bucket::Granted), stays(lot));
        draft.shift(spent, home(work, &funded, lot), part - stays(lot));
    }
    let birth = ledger::post(work, draft)?;
    let refund = RefundRow {
        id: birth.stamp,
        seq: birth.seq,
        charge: row.id,
        charge_seq: row.seq,
        award: row.award,
        amount: amount.minor,
        reason: reason.into(),
    };
    store::insert_refund(work.sql_mut()?, &refund)?;
    for (lot, part) in &plan {
        pass_on(work, &funded, lot, part - stays(lot), birth.seq)?;
    }
    let now = work.now();
    cover(work, funded.grant.id, now)?;
    let lots = plan.into_iter().map(|(lot, part)| (lot.id, Amount::new(part, unit))).collect();
    Ok(Refunded { row: refund, amount, lots, overdraft: Amount::new(owed, unit) })
}

/// Whether a grant's end has passed, the reporting grace included, booked or not.
fn has_ended(work: &Work<'_>, funded: &Funded) -> bool {
    funded.grant.booked.is_some() || funded.grant.is_over(work.now())
}

/// What of freed credits stays with a grant that has ended, lot by lot: as much as its overdrafts take. The rest goes on to the lot.
fn stays(work: &mut Work<'_>, funded: &Funded, refunded: &ChargeRow, freed: &[(&Arc<Lot>, i64)]) -> Result<HashMap<LotId, i64>, Fault> {
    let mut stays: HashMap<LotId, i64> = HashMap::new();
    let (grant, now) = (funded.grant.id, work.now());
    if !has_ended(work, funded) || ledger::balance(work, Key::overdraft(grant, Bucket::OverdraftSpent))? == 0 {
        return Ok(stays);
    }
    let mut owed = owed(work.sql()?, grant)?;
    // Where a refund frees credits it has taken its own charge's overdraft away.
    owed.retain(|(row, _)| row.id != refunded.id);
    let free = freed.iter().map(|(lot, part)| (lot.id, *part)).collect();
    for (_, lot, part) in (Debts { owed, lots: funded.lots.clone(), free }).cover(now)? {
        *stays.entry(lot).or_default() += part;
    }
    Ok(stays)
}

/// Where credits go that come back to a grant from a job: to its share of the lot; past the grant's end on to the lot; past the lot's
/// expiry to what lapsed.
fn home(work: &Work<'_>, funded: &Funded, lot: &Lot) -> Key {
    match (phase(lot.expires_at, work.now()), has_ended(work, funded)) {
        (Phase::Lapsed, _) => Key::lot(lot.id, Bucket::Lapsed),
        (_, true) => Key::lot(lot.id, Bucket::Available),
        _ => Key::grant(funded.grant.id, lot.id, Bucket::Granted),
    }
}

/// Records what a refund gives back past its grant: it left the grant otherwise than by use.
fn pass_on(work: &mut Work<'_>, funded: &Funded, lot: &Lot, amount: i64, seq: i64) -> Result<(), Fault> {
    let kind = match home(work, funded, lot).bucket {
        Bucket::Lapsed => "lapse",
        Bucket::Available => "deobligation",
        _ => return Ok(()),
    };
    if amount == 0 {
        return Ok(());
    }
    let outflow = Outflow { seq, grant: funded.grant.id, lot: lot.id, kind: kind.into(), amount };
    grants::store::insert_outflow(work.sql_mut()?, &outflow)
}

/// What a grant owes charge by charge, oldest first, and what its lots have free to pay it.
#[derive(Default)]
pub(super) struct Debts {
    owed: Vec<(ChargeRow, i64)>,
    /// In draw-down order.
    lots: Vec<Arc<Lot>>,
    free: HashMap<LotId, i64>,
}

impl Debts {
    /// The debts as these accounts of a grant have them.
    pub fn of(conn: &mut Conn, grant: GrantId, accounts: &[Account]) -> Result<Debts, Fault> {
        let mut debts = Debts::default();
        let granted = || accounts.iter().filter(|account| account.key.bucket == Bucket::Granted);
        debts.lots.extend(donations::lots_of(conn, granted())?.into_values().map(Arc::new));
        debts.free.extend(granted().filter_map(|account| account.key.lot_id().map(|lot| (lot, account.balance))));
        debts.lots.sort_by(|a, b| a.draw_order(b));
        debts.owed = owed(conn, grant)?;
        Ok(debts)
    }

    /// More of a lot is free.
    pub fn free(&mut self, lot: LotId, part: i64) {
        *self.free.entry(lot).or_default() += part;
    }

    /// Pays the oldest first, only from lots that fit the charge by the rules of a moment; what is paid by which lot, in order.
    pub fn cover(&mut self, at: Time) -> Result<Vec<(ChargeRow, LotId, i64)>, Refusal> {
        let mut covers = Vec::new();
        for (row, owed) in self.owed.iter_mut().filter(|(_, owed)| *owed > 0) {
            let fits = |lot: &&Arc<Lot>| lot.pays_for(row.ended_at(), at) && lot.terms.admit_resource(row.resource());
            let free = self.lots.iter().filter(fits).map(|lot| (lot.id, self.free.get(&lot.id).copied().unwrap_or(0)));
            let (plan, left) = draw(free, *owed)?;
            for (lot, part) in plan {
                *self.free.entry(lot).or_default() -= part;
                covers.push((row.clone(), lot, part));
            }
            *owed = left;
        }
        Ok(covers)
    }
}

/// What each charge of a grant still owes beyond it, oldest first.
fn owed(conn: &mut Conn, grant: GrantId) -> Result<Vec<(ChargeRow, i64)>, Fault> {
    let rows = store::overdrawn(conn, grant)?;
    rows.into_iter().map(|row| parts(conn, &row).map(|parts| (row, parts.overdraft))).collect()
}

/// Pays what a grant owes beyond its credits out of what it has free: oldest charge first, only from lots that fit that charge, as of the
/// moment from which it is free.
pub fn cover(work: &mut Work<'_>, grant: GrantId, at: Time) -> Result<Vec<Cover>, Fault> {
    let covers = covers(work, grant, &[], at)?;
    for cover in &covers {
        let birth = ledger::post(work, cover.draft.clone())?;
        store::insert_cover(work.sql_mut()?, birth.stamp, birth.seq, cover.charge, cover.lot.stamp(), cover.part)?;
    }
    Ok(covers)
}

/// One lot's payment of what a charge owes.
#[derive(Clone, Debug)]
pub struct Cover {
    charge: ChargeId,
    lot: LotId,
    part: i64,
    /// What it posts.
    pub draft: Draft,
}

/// What would be paid of what a grant owes, were so much more of some lots free. Nothing is posted.
pub fn covers(work: &mut Work<'_>, grant: GrantId, more: &[(LotId, Amount)], at: Time) -> Result<Vec<Cover>, Fault> {
    if ledger::balance(work, Key::overdraft(grant, Bucket::OverdraftSpent))? == 0 {
        return Ok(Vec::new());
    }
    let funded = grants::funded(work, grant)?;
    let mut lots = funded.lots.clone();
    for (id, _) in more {
        if lots.iter().all(|lot| lot.id != *id) {
            lots.push(donations::known_lot(work, *id)?);
        }
    }
    lots.sort_by(|a, b| a.draw_order(b));
    let free = ledger::balances(work, lots.iter().map(|lot| Key::grant(grant, lot.id, Bucket::Granted)))?;
    let free = lots.iter().map(|lot| lot.id).zip(free).collect();
    let mut debts = Debts { owed: owed(work.sql()?, grant)?, lots, free };
    more.iter().for_each(|(lot, part)| debts.free(*lot, part.minor));
    let cover = |(row, lot, part): (ChargeRow, LotId, i64)| {
        let mut draft = Draft::moving(Kind::Cover, None, at, funded.grant.awarded.unit).about(row.id);
        draft.shift(Key::grant(grant, lot, Bucket::Granted), Key::grant(grant, lot, Bucket::Spent), part);
        draft.shift(Key::overdraft(grant, Bucket::OverdraftSpent), Key::overdraft(grant, Bucket::OverdraftOwed), part);
        Cover { charge: row.id(), lot, part, draft }
    };
    Ok(debts.cover(at)?.into_iter().map(cover).collect())
}
