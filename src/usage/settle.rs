//! Settling: what a record costs, drawn first from the hold that was made for it and then from what the grant has free.
//!
//! A record that states the job's total ends the hold: what is left of it goes back to its lots in the same transaction. A part leaves the
//! hold open. A total that comes after parts posts the difference to them; where they came to more, they are refunded, newest first.

use std::sync::Arc;

use super::charge::{Charge, find_grant, rated, stage, unattributed};
use super::hold::{self, Hold, State};
use super::price::Price;
use super::record::{Incoming, Record};
use super::refund;
use super::store::{self, ChargeRow};
use crate::amount::Amount;
use crate::directory::unknown;
use crate::donations::{Lot, draw};
use crate::grants::{self, Funded, Overdraft};
use crate::id::{ChargeId, GrantId, InstitutionId, LotId, PersonId};
use crate::ledger::{self, Bucket, Draft, Few, Key, Kind};
use crate::refusal::{Code, FieldCode, Refusal};
use crate::store::{Birth, Fault, Work};

/// Who pays for a record: the grant it names or leads to, and the hold that was made for its job. What the clock has ended on that grant is
/// booked first.
///
/// Errors: `unattributed`; `unknown` hold; `hold_not_open` for one that was settled or released.
pub(super) fn payer(
    work: &mut Work<'_>,
    provider: InstitutionId,
    record: &Record,
    named: Option<GrantId>,
) -> Result<(Arc<Funded>, Option<Hold>), Fault> {
    if let Some(id) = record.hold {
        let hold = match hold::find(work, provider, id) {
            Err(Fault::Refused(refusal)) if refusal.code == Code::NotFound => Err(unknown("/hold", id).into()),
            found => found,
        }?;
        if named.is_some_and(|grant| grant != hold.grant) {
            return Err(Refusal::field("/grant", FieldCode::NotAllowed, "The hold is on another grant.").into());
        }
        if hold.state != State::Expired {
            hold.expect_open()?;
        }
        return Ok((grants::funded(work, hold.grant)?, Some(hold)));
    }
    let found = match named {
        Some(id) => {
            let unknown = |_| unattributed("There is no grant of that identifier.");
            grants::funded(work, id).map_err(|fault| fault.refused_as(unknown))
        }
        None => find_grant(work, record),
    };
    let funded = match found {
        Err(Fault::Refused(refusal)) if named.is_none() && matches!(refusal.code, Code::Unattributed | Code::GrantNotActive) => {
            held_by(work, provider, record, *refusal)?
        }
        found => found?,
    };
    if !hold::any(work, &funded.grant)? {
        return Ok((funded, None));
    }
    hold::book_due(work, &funded.grant)?;
    let hold = hold::of_job(work, &funded.grant, provider, record)?;
    Ok((funded, hold))
}

/// The one grant on which credits are held for a job that leads to none otherwise.
fn held_by(work: &mut Work<'_>, provider: InstitutionId, record: &Record, refusal: Refusal) -> Result<Arc<Funded>, Fault> {
    let mut found = Vec::new();
    for id in hold::grants_of_job(work, provider, &record.job)? {
        let funded = grants::funded(work, id)?;
        if hold::of_job(work, &funded.grant, provider, record)?.is_some() {
            found.push(funded);
        }
    }
    match found.len() {
        1 => found.pop().ok_or_else(|| refusal.into()),
        _ => Err(refusal.into()),
    }
}

/// What was charged of a job before its total.
#[derive(Default)]
pub(super) struct Earlier {
    parts: Vec<ChargeRow>,
}

impl Earlier {
    /// The parts of a record's job. Errors: `usage_conflict` where they were charged to another grant.
    pub fn of(work: &mut Work<'_>, incoming: &Incoming, grant: GrantId) -> Result<Earlier, Fault> {
        let parts = store::parts_of(work.sql()?, &incoming.key)?;
        if let Some(other) = parts.iter().find(|part| part.grant() != grant) {
            let detail = format!("Parts of the job were charged to {}.", other.grant());
            return Err(Refusal::new(Code::UsageConflict, detail).with("charge", other.id()).into());
        }
        Ok(Earlier { parts })
    }

    fn total(&self) -> Result<i64, Refusal> {
        ledger::journal::total(self.parts.iter().map(|part| part.amount))
    }

    /// Gives back so much of the parts, newest first, as far as they were not refunded before.
    fn give_back(&self, work: &mut Work<'_>, who: PersonId, amount: Amount) -> Result<(), Fault> {
        let mut rest = amount.minor;
        for part in self.parts.iter().rev() {
            let left = refund::parts(work.sql()?, part)?.total()?.min(rest);
            if left > 0 {
                refund::give_back(work, who, part.id(), Some(Amount::new(left, amount.unit)), "The job's total is less than its parts.")?;
                rest -= left;
            }
        }
        Ok(())
    }
}

/// Where a price is taken from, and what becomes of the hold.
struct Plan {
    /// From what is set aside.
    held: Few<(LotId, i64)>,
    /// From what is free.
    free: Few<(LotId, i64)>,
    /// What is left of the hold.
    rest: Few<(LotId, i64)>,
    /// What nobody pays.
    beyond: i64,
}

impl Plan {
    /// Draws on the hold first, then on what is free; both only on lots that pay for the record.
    fn draw(hold: Option<&Hold>, free: &[(&Arc<Lot>, i64)], pays: impl Fn(&Lot) -> bool, amount: i64) -> Result<Plan, Refusal> {
        let set_aside = hold.filter(|hold| hold.state == State::Open).map_or(&[][..], |hold| &hold.rest);
        let usable: Few<(LotId, i64)> = free.iter().filter(|(lot, _)| pays(lot)).map(|(lot, free)| (lot.id, *free)).collect();
        let of_usable = set_aside.iter().copied().filter(|(id, _)| usable.iter().any(|(lot, _)| lot == id));
        let (held, missing) = draw(of_usable, amount)?;
        let (free, beyond) = draw(usable.iter().copied(), missing)?;
        let used = |id: &LotId| held.iter().find(|(lot, _)| lot == id).map_or(0, |(_, part)| *part);
        let rest = set_aside.iter().map(|(lot, part)| (*lot, part - used(lot))).filter(|(_, part)| *part > 0).collect();
        Ok(Plan { held, free, rest, beyond })
    }

    /// Adds what it moves to a draft; a total gives back what is left of the hold.
    fn shift(&self, draft: &mut Draft, grant: GrantId, total: bool) {
        let left = if total { &self.rest[..] } else { &[] };
        let moves = [
            (&self.held[..], Bucket::Held, Bucket::Spent),
            (&self.free, Bucket::Granted, Bucket::Spent),
            (left, Bucket::Held, Bucket::Granted),
        ];
        for (parts, from, to) in moves {
            parts.iter().for_each(|(lot, part)| draft.shift(Key::grant(grant, *lot, from), Key::grant(grant, *lot, to), *part));
        }
        draft.shift(Key::overdraft(grant, Bucket::OverdraftOwed), Key::overdraft(grant, Bucket::OverdraftSpent), self.beyond);
    }
}

/// A record about to be posted: who pays what, and what came before.
pub(super) struct Priced<'a> {
    pub who: PersonId,
    pub provider: InstitutionId,
    pub incoming: &'a Incoming,
    pub funded: &'a Funded,
    pub price: Price,
    pub hold: Option<Hold>,
    pub earlier: &'a Earlier,
}

/// Draws the price from the hold and the grant's lots and posts it.
pub(super) fn post(work: &mut Work<'_>, of: Priced<'_>) -> Result<Charge, Fault> {
    let Priced { incoming, funded, ref price, .. } = of;
    let (grant, unit, now) = (funded.grant.id, price.amount.unit, work.now());
    let record = &incoming.record;
    let amount = price.amount.minor.saturating_sub(of.earlier.total()?).max(0);
    let free = ledger::balances(work, funded.lots.iter().map(|lot| Key::grant(grant, lot.id, Bucket::Granted)))?;
    let free: Few<(&Arc<Lot>, i64)> = funded.lots.iter().zip(free).collect();
    let pays = |lot: &Lot| lot.pays_for(record.ended_at, now) && lot.terms.admit_resource(record.resource);
    let plan = Plan::draw(of.hold.as_ref(), &free, pays, amount)?;
    if plan.beyond > 0 && funded.grant.overdraft == Overdraft::Reject {
        let shortfall = Amount::new(plan.beyond, unit);
        let detail = format!("The grant lacks {shortfall} {} for this job.", unit.code());
        return Err(Refusal::new(Code::InsufficientCredits, detail).with("shortfall", shortfall).with("grant", grant).into());
    }
    let mut draft = Draft::moving(Kind::Charge, Some(of.who), record.ended_at, unit).about(grant.stamp());
    plan.shift(&mut draft, grant, incoming.part() == 0);
    let (birth, lines) = ledger::post_apart(work, &draft)?;
    // The entry stands. A refusal from here on would keep the record aside as if nothing had been posted.
    conclude(work, of, plan, Posted { amount, birth, lines }).map_err(Fault::past_refusal)
}

/// A charge that was posted, and whose row is still to be written.
struct Posted {
    amount: i64,
    birth: Birth,
    lines: Option<String>,
}

/// What follows from a charge that was posted: the end of its hold, what the job's parts get back, and its row.
fn conclude(work: &mut Work<'_>, of: Priced<'_>, plan: Plan, posted: Posted) -> Result<Charge, Fault> {
    let Posted { amount, birth, lines } = posted;
    let Priced { incoming, funded, price, earlier, .. } = of;
    let (grant, unit, now) = (funded.grant.id, price.amount.unit, work.now());
    let mut lots = plan.free;
    if let Some(hold) = of.hold {
        lots = hold::merged(funded, plan.held.into_iter().chain(lots))?;
        end(work, hold, plan.rest.into_vec(), incoming.part() == 0, birth)?;
        refund::cover(work, grant, now)?;
    }
    let too_much = earlier.total()?.saturating_sub(price.amount.minor);
    if too_much > 0 {
        earlier.give_back(work, of.who, Amount::new(too_much, unit))?;
    }
    let usable = funded.lots.iter().filter(|lot| lot.pays_for(now, now));
    let keys = usable.map(|lot| Key::grant(grant, lot.id, Bucket::Granted));
    let balance_after = ledger::journal::total(ledger::balances(work, keys)?)?;
    let row = Arc::new(ChargeRow {
        seq: birth.seq,
        id: birth.stamp,
        ended_at: incoming.record.ended_at.micros(),
        actor: of.who.stamp(),
        award: grant.stamp(),
        lines,
        usage_key: incoming.key,
        part: incoming.part(),
        digest: incoming.digest,
        provider: of.provider.stamp(),
        resource: incoming.record.resource.stamp(),
        amount,
        overdraft: plan.beyond,
        balance_after,
        rates: rated(work, &price.rates)?,
        said: incoming.said(grant),
    });
    stage(work, incoming, row.clone())?;
    Ok(Charge::new(row, unit, lots))
}

/// Records what a charge has done to its hold: a part leaves it open, the total ends it. One that had expired has nothing left to take.
fn end(work: &mut Work<'_>, mut hold: Hold, rest: Vec<(LotId, i64)>, total: bool, birth: Birth) -> Result<(), Fault> {
    if hold.state == State::Open {
        hold.rest = rest;
    } else if !total {
        return Ok(());
    }
    hold::charged(work, hold, total.then_some((ChargeId::from_stamp(birth.stamp), birth.seq)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Unit;
    use crate::donations::{OnExpiry, Terms};
    use crate::id::Id;
    use crate::time::Time;

    fn lot(id: i64) -> Arc<Lot> {
        Arc::new(Lot {
            id: Id::from_stamp(id),
            donation: Id::from_stamp(1),
            donor: Id::from_stamp(1),
            amount: Amount::new(1000, Unit::new("USD", 2).expect("a unit")),
            delivered_at: Time::from_micros(0),
            expires_at: None,
            terms: Terms::default(),
            draw_priority: 0,
            on_expiry: OnExpiry::Lapse,
        })
    }

    fn hold(rest: &[(i64, i64)], state: State) -> Hold {
        Hold {
            id: Id::from_stamp(9),
            grant: Id::from_stamp(8),
            provider: Id::from_stamp(7),
            resource: Id::from_stamp(6),
            amount: Amount::new(50, Unit::new("USD", 2).expect("a unit")),
            rest: rest.iter().map(|(lot, part)| (Id::from_stamp(*lot), *part)).collect(),
            expires_at: Time::from_micros(100),
            state,
            job: None,
            external_id: None,
            closed: None,
            charge: None,
            version: 1,
        }
    }

    /// From what is held, from what is free, what is left of the hold, and what nobody pays; by the lots' numbers.
    fn drawn(hold: Option<&Hold>, free: [i64; 2], only: Option<i64>, amount: i64) -> [String; 4] {
        let lots = [lot(1), lot(2)];
        let free: Vec<(&Arc<Lot>, i64)> = lots.iter().zip(free).collect();
        let pays = |lot: &Lot| only.is_none_or(|only| lot.id.stamp() == only);
        let plan = Plan::draw(hold, &free, pays, amount).expect("a plan");
        let text = |parts: &[(LotId, i64)]| parts.iter().map(|(lot, part)| format!("{}:{part}", lot.stamp())).collect::<Vec<_>>().join(" ");
        [text(&plan.held), text(&plan.free), text(&plan.rest), plan.beyond.to_string()]
    }

    #[test]
    fn what_is_held_pays_first_then_what_is_free() {
        let open = hold(&[(1, 30), (2, 20)], State::Open);
        let cases = [
            (None, [5, 5], None, 12, ["", "1:5 2:5", "", "2"]),
            (Some(&open), [5, 5], None, 0, ["", "", "1:30 2:20", "0"]),
            (Some(&open), [5, 5], None, 35, ["1:30 2:5", "", "2:15", "0"]),
            (Some(&open), [5, 5], None, 50, ["1:30 2:20", "", "", "0"]),
            (Some(&open), [5, 5], None, 63, ["1:30 2:20", "1:5 2:5", "", "3"]),
            (Some(&open), [5, 5], Some(2), 30, ["2:20", "2:5", "1:30", "5"]),
        ];
        for (hold, free, only, amount, expected) in cases {
            assert_eq!(drawn(hold, free, only, amount), expected, "{amount}");
        }
        let expired = hold(&[(1, 30)], State::Expired);
        assert_eq!(drawn(Some(&expired), [5, 0], None, 8), ["", "1:5", "", "3"], "what went back is not there any more");
    }
}
