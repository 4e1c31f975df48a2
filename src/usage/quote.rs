//! Quotes: what a job would cost a grant and which lots would pay. Reads only; nothing is promised, which is what a hold is for.

use super::hold::{self, may_hold};
use super::price::price_of;
use super::record::Used;
use super::store;
use crate::amount::Amount;
use crate::directory::{self, unknown};
use crate::donations::{self, Lot, draw};
use crate::grants::{self, Grant};
use crate::id::{GrantId, LotId, RateId, ResourceId};
use crate::ledger::{self, Bucket, Few};
use crate::refusal::Refusal;
use crate::store::{Conn, Fault, Page};
use crate::time::Time;

/// A job whose price is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewQuote {
    /// Who would pay.
    pub grant: GrantId,
    /// What it would run on.
    pub resource: ResourceId,
    /// What it would use.
    pub wanted: Used,
    /// Quality of service, as rates may ask.
    pub qos: Option<String>,
    /// Until when credits would be held for it; without, only what is free now counts.
    pub expires_at: Option<Time>,
}

/// What a job would cost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quote {
    /// Who would pay.
    pub grant: Grant,
    /// The price at the rates in force now.
    pub amount: Amount,
    /// By which rates.
    pub rates: Few<RateId>,
    /// What each lot would pay, in draw-down order.
    pub lots: Vec<(LotId, Amount)>,
    /// What no lot would pay.
    pub shortfall: Amount,
    /// What the grant owes beyond its credits; while it does, nothing new is held.
    pub overdraft: Amount,
    /// What the lots that may pay have free.
    pub available: Amount,
}

/// Prices a job and plans its draw-down.
///
/// Errors: `not_found` grant, `unknown` resource, `grant_not_active`, `terms_not_met`, `rate_missing`.
pub fn quote(conn: &mut Conn, new: &NewQuote, now: Time) -> Result<Quote, Fault> {
    let grant = grants::grant(conn, new.grant)?;
    if directory::resource(conn, new.resource)?.is_none() {
        return Err(unknown("/resource", new.resource).into());
    }
    if let Some(end) = new.expires_at {
        hold::check_end(end, now, now)?;
    }
    let until = new.expires_at.unwrap_or(now);
    hold::check_grant(&grant, new.resource, until, now)?;
    let unit = grant.awarded.unit;
    let of = store::Of { resources: Some(vec![new.resource.stamp()]), ..store::Of::default() };
    let rates = store::rates(conn, &of, Page::ALL)?;
    let price = price_of(&new.wanted, new.qos.as_deref(), new.resource, now, &rates, unit)?;
    let accounts = ledger::store::accounts(conn, ledger::store::Of { grant: Some(new.grant.stamp()), ..Default::default() }, Page::ALL)?;
    let unbooked = hold::unbooked(conn, new.grant, &accounts, now, None)?;
    let granted = || accounts.iter().filter(|account| account.key.bucket == Bucket::Granted);
    let mut known = donations::lots_of(conn, granted())?;
    let mut lots: Vec<(Lot, i64)> = Vec::new();
    for account in granted() {
        if let Some(id) = account.key.lot_id() {
            let free = ledger::journal::total([account.balance, unbooked.moves(Bucket::Granted, id)])?;
            let lot = known.remove(&id).ok_or_else(|| Fault::Internal(format!("{id} has an account and does not exist")))?;
            lots.push((lot, free));
        }
    }
    lots.retain(|(lot, _)| may_hold(lot, new.resource, until, now) && lot.pays_for(now, now));
    lots.sort_by(|(a, _), (b, _)| a.draw_order(b));
    let (plan, missing) = draw(lots.iter().map(|(lot, free)| (lot.id, *free)), price.amount.minor)?;
    let owed = accounts.iter().filter(|account| account.key.bucket == Bucket::OverdraftSpent).map(|account| account.balance);
    let covered = unbooked.covered.values().map(|part| -part);
    let total = |parts: Vec<i64>| -> Result<Amount, Refusal> { Ok(Amount::new(ledger::journal::total(parts)?, unit)) };
    Ok(Quote {
        amount: price.amount,
        rates: price.rates,
        lots: plan.into_iter().map(|(lot, part)| (lot, Amount::new(part, unit))).collect(),
        shortfall: Amount::new(missing, unit),
        overdraft: total(owed.chain(covered).collect())?,
        available: total(lots.iter().map(|(_, free)| *free).collect())?,
        grant,
    })
}
