//! Donations: pledge → lots, with terms and expiry.
//!
//! A donation is proposed by one person and accepted by another; each delivery makes a lot. It may not know about grants: what a lot
//! has left is an account of the ledger.

pub mod donation;
pub mod donor;
pub mod lot;
pub mod store;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;

use crate::amount::{Amount, unit_mismatch};
use crate::directory::{taken, unknown};
use crate::id::{DonationId, Id, LotId, PersonId};
use crate::ledger::store::Account;
use crate::ledger::{self, Bucket, Draft, Key, Kind};
use crate::refusal::{Code, FieldCode, Refusal};
use crate::store::{Conn, Fault, Page, Room, Work};
use crate::time::{TOLERATED_LEAD, Time};
pub use donation::{Donation, NewDonation, OnExpiry, Purpose, Terms};
pub use donor::{Donor, NewDonor};
pub use lot::{GRACE, Lot, Phase, draw, phase};
pub use store::Of;

/// Registers a donor. Errors: `duplicate_external_id`.
pub fn add_donor(work: &mut Work<'_>, who: PersonId, new: &NewDonor) -> Result<Donor, Fault> {
    if let Some(name) = &new.external_id {
        let of = Of { external_ids: Some(vec![name.clone()]), ..Of::default() };
        if !store::donors(work.sql()?, &of, Page::ALL)?.is_empty() {
            return Err(taken(name).into());
        }
    }
    let birth = ledger::post(work, Draft::note(Kind::Donor, who, work.now(), &json!({"kind": new.kind})))?;
    store::insert_donor(work.sql_mut()?, birth.stamp, new)?;
    Ok(Donor { id: Id::from_stamp(birth.stamp), about: new.clone() })
}

/// Proposes a donation with its terms; nothing moves until another person accepts it.
///
/// Errors: `unknown` donor, `duplicate_external_id`.
pub fn propose(work: &mut Work<'_>, who: PersonId, new: &NewDonation) -> Result<Donation, Fault> {
    let of = Of { ids: Some(vec![new.donor.stamp()]), ..Of::default() };
    if store::donors(work.sql()?, &of, Page::ALL)?.is_empty() {
        return Err(unknown("/donor", new.donor).into());
    }
    if let Some(name) = &new.external_id {
        let of = Of { external_ids: Some(vec![name.clone()]), ..Of::default() };
        if !store::donations(work.sql()?, &of, Page::ALL)?.is_empty() {
            return Err(taken(name).into());
        }
    }
    let body = json!({
        "donor": new.donor, "pledged": new.pledged.to_string(), "unit": new.unit.code(), "terms": new.terms,
        "draw_priority": new.draw_priority, "on_expiry": new.on_expiry.word(),
    });
    let birth = ledger::post(work, Draft::note(Kind::Donation, who, work.now(), &body))?;
    let id = Id::from_stamp(birth.stamp);
    let donation = Donation { id, about: new.clone(), state: "proposed".into(), proposed_by: who, accepted_by: None, version: 1 };
    store::insert_donation(work.sql_mut()?, &donation)?;
    Ok(donation)
}

/// One donation.
pub fn donation(conn: &mut Conn, id: DonationId) -> Result<Donation, Fault> {
    let of = Of { ids: Some(vec![id.stamp()]), ..Of::default() };
    store::donations(conn, &of, Page::ALL)?.pop().ok_or_else(|| Refusal::not_found().into())
}

/// One lot.
pub fn lot(conn: &mut Conn, id: LotId) -> Result<Lot, Fault> {
    let of = Of { ids: Some(vec![id.stamp()]), ..Of::default() };
    store::lots(conn, &of, Page::ALL)?.pop().ok_or_else(|| Refusal::not_found().into())
}

/// The lots of these identifiers, as far as there are such, asked for together.
pub fn lots(conn: &mut Conn, ids: impl IntoIterator<Item = LotId>) -> Result<HashMap<LotId, Lot>, Fault> {
    let mut ids: Vec<i64> = ids.into_iter().map(LotId::stamp).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut found = HashMap::with_capacity(ids.len());
    for some in ids.chunks(1000) {
        let of = Of { ids: Some(some.to_vec()), ..Of::default() };
        found.extend(store::lots(conn, &of, Page::ALL)?.into_iter().map(|lot| (lot.id, lot)));
    }
    Ok(found)
}

/// The lots whose credits these accounts hold.
pub fn lots_of<'a>(conn: &mut Conn, accounts: impl IntoIterator<Item = &'a Account>) -> Result<HashMap<LotId, Lot>, Fault> {
    lots(conn, accounts.into_iter().filter_map(|account| account.key.lot_id()))
}

fn expect_state(donation: &Donation, wanted: &str) -> Result<(), Refusal> {
    if donation.state == wanted {
        return Ok(());
    }
    let detail = format!("The donation is {}, not {wanted}.", donation.state);
    Err(Refusal::new(Code::AlreadyDecided, detail).with("state", &donation.state))
}

/// Accepts a proposed donation and books its pledge. Errors: `self_approval` by the proposer, `already_decided`.
pub fn accept(work: &mut Work<'_>, who: PersonId, id: DonationId) -> Result<Donation, Fault> {
    let mut donation = donation(work.sql()?, id)?;
    expect_state(&donation, "proposed")?;
    if donation.proposed_by == who {
        return Err(Refusal::new(Code::SelfApproval, "Who proposed a donation can't accept it.").into());
    }
    let mut draft = Draft::moving(Kind::Pledge, Some(who), work.now(), donation.about.unit).about(id.stamp());
    draft.shift(Key::donation(id, Bucket::Given), Key::donation(id, Bucket::Receivable), donation.about.pledged.minor);
    ledger::post(work, draft)?;
    donation.state = "accepted".into();
    donation.accepted_by = Some(who);
    donation.version += 1;
    store::update_donation(work.sql_mut()?, &donation)?;
    Ok(donation)
}

/// Cancels what is undelivered of a pledge; nothing more is delivered. Errors: `already_decided`.
pub fn cancel(work: &mut Work<'_>, who: PersonId, id: DonationId) -> Result<Donation, Fault> {
    let mut donation = donation(work.sql()?, id)?;
    if donation.state == "cancelled" {
        expect_state(&donation, "accepted")?;
    }
    cancel_undelivered(work, who, &donation)?;
    donation.state = "cancelled".into();
    donation.version += 1;
    store::update_donation(work.sql_mut()?, &donation)?;
    Ok(donation)
}

fn cancel_undelivered(work: &mut Work<'_>, who: PersonId, donation: &Donation) -> Result<(), Fault> {
    let (receivable, given) = (Key::donation(donation.id, Bucket::Receivable), Key::donation(donation.id, Bucket::Given));
    let undelivered = ledger::balance(work, receivable)?;
    let mut draft = Draft::moving(Kind::Cancellation, Some(who), work.now(), donation.about.unit).about(donation.id.stamp());
    draft.shift(receivable, given, undelivered);
    ledger::post(work, draft)?;
    Ok(())
}

/// After the reversal of a delivery: what is undelivered again of a cancelled pledge is cancelled too, since nobody will deliver it.
pub fn delivery_reversed(work: &mut Work<'_>, who: PersonId, id: DonationId) -> Result<(), Fault> {
    let donation = donation(work.sql()?, id)?;
    let undelivered = ledger::balance(work, Key::donation(id, Bucket::Receivable))?;
    if donation.state == "cancelled" && undelivered > 0 {
        cancel_undelivered(work, who, &donation)?;
    }
    Ok(())
}

/// A delivery as it is reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewLot {
    /// Of which donation.
    pub donation: DonationId,
    /// How much.
    pub amount: Amount,
    /// Usable from here.
    pub delivered_at: Time,
    /// Usable until here; `None` for ever.
    pub expires_at: Option<Time>,
}

/// Takes a delivery into the books: a lot, out of the pledge as far as it goes and given beyond it.
///
/// Errors: `already_decided` unless the donation is accepted; `unit_mismatch`, `time_in_future`, `period_inverted`.
pub fn deliver(work: &mut Work<'_>, who: PersonId, new: &NewLot) -> Result<Lot, Fault> {
    let donation = donation(work.sql()?, new.donation)?;
    expect_state(&donation, "accepted")?;
    if new.amount.unit != donation.about.unit {
        let detail = unit_mismatch(donation.about.unit, new.amount.unit).detail;
        return Err(Refusal::field("/amount/unit", FieldCode::UnitMismatch, detail).into());
    }
    not_ahead(new.delivered_at, work.now(), "/delivered_at")?;
    if new.expires_at.is_some_and(|end| end <= new.delivered_at) {
        return Err(Refusal::field("/expires_at", FieldCode::PeriodInverted, "A lot expires after its delivery.").into());
    }
    let id = LotId::from_stamp(work.birth().stamp);
    let pledged = ledger::balance(work, Key::donation(donation.id, Bucket::Receivable))?.min(new.amount.minor);
    let mut draft = Draft::moving(Kind::Delivery, Some(who), new.delivered_at, donation.about.unit).about(donation.id.stamp());
    draft.shift(Key::donation(donation.id, Bucket::Receivable), Key::lot(id, Bucket::Available), pledged);
    draft.shift(Key::donation(donation.id, Bucket::Given), Key::lot(id, Bucket::Available), new.amount.minor - pledged);
    draft.body = Some(json!({"expires_at": new.expires_at.map(|end| end.to_string())}).to_string());
    ledger::post(work, draft)?;
    let lot = Lot {
        id,
        donation: donation.id,
        donor: donation.about.donor,
        amount: new.amount,
        delivered_at: new.delivered_at,
        expires_at: new.expires_at,
        terms: donation.about.terms,
        draw_priority: donation.about.draw_priority,
        on_expiry: donation.about.on_expiry,
    };
    store::insert_lot(work.sql_mut()?, &lot)?;
    Ok(lot)
}

/// Refuses a time more than five minutes ahead of the clock.
pub fn not_ahead(at: Time, now: Time, pointer: &str) -> Result<(), Refusal> {
    if at <= now.plus(TOLERATED_LEAD) {
        return Ok(());
    }
    Err(Refusal::field(pointer, FieldCode::TimeInFuture, format!("{at} lies ahead of the ledger's clock, {now}.")))
}

/// Gives a lot's free credits back to its donor: so much, or all.
///
/// Errors: `lot_expired` by the clock, swept or not; `insufficient_credits`, `unit_mismatch`. Grants that have ended give back what they
/// have left only when that is booked, which this room can't do: the door books it first.
pub fn return_lot(work: &mut Work<'_>, who: PersonId, id: LotId, amount: Option<Amount>) -> Result<(Lot, Amount), Fault> {
    let lot = known_lot(work, id)?;
    if phase(lot.expires_at, work.now()) != Phase::Usable {
        return Err(Refusal::new(Code::LotExpired, "What is left of the lot follows its terms of expiry.").with("lot", id).into());
    }
    let free = Amount::new(ledger::balance(work, Key::lot(id, Bucket::Available))?, lot.amount.unit);
    let amount = amount.unwrap_or(free);
    lot.amount.same_unit(amount)?;
    if amount.minor == 0 {
        return Err(Refusal::new(Code::InsufficientCredits, "Nothing of the lot is free.").into());
    }
    let mut draft = Draft::moving(Kind::Return, Some(who), work.now(), lot.amount.unit).about(id.stamp());
    draft.shift(Key::lot(id, Bucket::Available), Key::lot(id, Bucket::Returned), amount.minor);
    ledger::post(work, draft)?;
    Ok((Lot::clone(&lot), amount))
}

/// The lots that the writer has met. What they say never changes, so they stay true as long as they are remembered.
#[derive(Default)]
struct Lots(HashMap<LotId, Arc<Lot>>);

impl Room for Lots {
    fn held(&self) -> usize {
        self.0.len()
    }
}

/// One lot, remembered. Errors: `not_found`.
pub fn known_lot(work: &mut Work<'_>, id: LotId) -> Result<Arc<Lot>, Fault> {
    let (lots, link) = work.room_and_link::<Lots>()?;
    if let Some(known) = lots.0.get(&id) {
        return Ok(known.clone());
    }
    let found = Arc::new(lot(link.conn()?, id)?);
    lots.0.insert(id, found.clone());
    Ok(found)
}
