//! The SQL of donors, donations and lots.

use diesel::prelude::*;

use super::{Donation, Donor, Lot, NewDonation, NewDonor, OnExpiry, Terms};
use crate::amount::Amount;
use crate::id::{DonationId, DonorId, LotId, PersonId};
use crate::ledger::store::{unit_of, units};
use crate::store::{Conn, Fault, Page, narrowed, on, paged};
use crate::time::Time;

mod tables {
    diesel::table! {
        donors (id) { id -> BigInt, name -> Text, kind -> Text, ror -> Nullable<Text>, external_id -> Nullable<Text>, }
    }
    diesel::table! {
        donations (id) {
            id -> BigInt, donor -> BigInt, title -> Text, unit -> Text, pledged -> BigInt, terms -> Text, draw_priority -> Integer,
            on_expiry -> Text, external_id -> Nullable<Text>, state -> Text, proposed_by -> BigInt, accepted_by -> Nullable<BigInt>,
            version -> Integer,
        }
    }
    diesel::table! {
        lots (id) { id -> BigInt, donation -> BigInt, amount -> BigInt, delivered_at -> BigInt, expires_at -> Nullable<BigInt>, }
    }
}
use tables::{donations, donors, lots};

diesel::joinable!(lots -> donations (donation));
diesel::joinable!(donations -> units (unit));
diesel::allow_tables_to_appear_in_same_query!(lots, donations, units);

/// Which objects to list: `None` means any, an empty list none.
#[derive(Clone, Default, Debug)]
pub struct Of {
    /// Only these.
    pub ids: Option<Vec<i64>>,
    /// Only those of these donors.
    pub donors: Option<Vec<i64>>,
    /// Only lots of these donations.
    pub donations: Option<Vec<i64>>,
    /// Only those with one of these external ids.
    pub external_ids: Option<Vec<String>>,
    /// Only donations in one of these states.
    pub states: Option<Vec<String>>,
    /// Only those in one of these units.
    pub units: Option<Vec<String>>,
}

type DonorRow = (i64, String, String, Option<String>, Option<String>);

/// Donors, a page.
pub fn donors(conn: &mut Conn, of: &Of, page: Page) -> Result<Vec<Donor>, Fault> {
    let rows: Vec<DonorRow> = on!(conn, c => {
        let mut query = donors::table.into_boxed();
        narrowed!(query, donors::id => of.ids, donors::id => of.donors, donors::external_id => of.external_ids);
        paged!(query, donors::id, page, c)
    })?;
    let noun = |(id, name, kind, ror, external_id)| Donor { id: DonorId::from_stamp(id), about: NewDonor { name, kind, ror, external_id } };
    Ok(rows.into_iter().map(noun).collect())
}

pub(super) fn insert_donor(conn: &mut Conn, id: i64, new: &NewDonor) -> Result<(), Fault> {
    let row = (
        donors::id.eq(id),
        donors::name.eq(&new.name),
        donors::kind.eq(&new.kind),
        donors::ror.eq(&new.ror),
        donors::external_id.eq(&new.external_id),
    );
    on!(conn, c => diesel::insert_into(donors::table).values(row).execute(c))?;
    Ok(())
}

type DonationRow = ((i64, i64, String, String, i64, String, i32, String, Option<String>, String, i64, Option<i64>, i32), Option<i32>);

/// Donations, a page.
pub fn donations(conn: &mut Conn, of: &Of, page: Page) -> Result<Vec<Donation>, Fault> {
    let rows: Vec<DonationRow> = on!(conn, c => {
        let columns = (donations::all_columns, units::scale.nullable());
        let mut query = donations::table.left_join(units::table).select(columns).into_boxed();
        narrowed!(query, donations::id => of.ids, donations::donor => of.donors, donations::external_id => of.external_ids,
                  donations::state => of.states, donations::unit => of.units);
        paged!(query, donations::id, page, c)
    })?;
    rows.into_iter().map(donation_of).collect()
}

fn donation_of((row, scale): DonationRow) -> Result<Donation, Fault> {
    let (id, donor, title, unit, pledged, terms, draw_priority, on_expiry, external_id, state, proposed_by, accepted_by, version) = row;
    let unit = unit_of(&unit, scale)?;
    let about = NewDonation {
        donor: DonorId::from_stamp(donor),
        title,
        unit,
        pledged: Amount::new(pledged, unit),
        terms: terms_of(&terms)?,
        draw_priority,
        on_expiry: OnExpiry::of(&on_expiry),
        external_id,
    };
    let accepted_by = accepted_by.map(PersonId::from_stamp);
    Ok(Donation { id: DonationId::from_stamp(id), about, state, proposed_by: PersonId::from_stamp(proposed_by), accepted_by, version })
}

fn terms_of(text: &str) -> Result<Terms, Fault> {
    serde_json::from_str(text).map_err(|e| Fault::Internal(format!("terms in the database: {e}")))
}

pub(super) fn insert_donation(conn: &mut Conn, donation: &Donation) -> Result<(), Fault> {
    let new = &donation.about;
    let terms = serde_json::to_string(&new.terms).map_err(|e| Fault::Internal(e.to_string()))?;
    let row = (
        donations::id.eq(donation.id.stamp()),
        donations::donor.eq(new.donor.stamp()),
        donations::title.eq(&new.title),
        donations::unit.eq(new.unit.code()),
        donations::pledged.eq(new.pledged.minor),
        donations::terms.eq(terms),
        donations::draw_priority.eq(new.draw_priority),
        donations::on_expiry.eq(new.on_expiry.word()),
        donations::external_id.eq(&new.external_id),
        donations::state.eq(&donation.state),
        donations::proposed_by.eq(donation.proposed_by.stamp()),
        donations::version.eq(donation.version),
    );
    on!(conn, c => diesel::insert_into(donations::table).values(row).execute(c))?;
    Ok(())
}

pub(super) fn update_donation(conn: &mut Conn, donation: &Donation) -> Result<(), Fault> {
    let changes = (
        donations::state.eq(&donation.state),
        donations::accepted_by.eq(donation.accepted_by.map(PersonId::stamp)),
        donations::version.eq(donation.version),
    );
    on!(conn, c => diesel::update(donations::table.find(donation.id.stamp())).set(changes).execute(c))?;
    Ok(())
}

type LotRow = ((i64, i64, i64, Option<i64>), (i64, i64, String, String, i32, String), Option<i32>);

/// Lots, a page.
pub fn lots(conn: &mut Conn, of: &Of, page: Page) -> Result<Vec<Lot>, Fault> {
    let columns = (
        (lots::id, lots::amount, lots::delivered_at, lots::expires_at),
        (donations::id, donations::donor, donations::unit, donations::terms, donations::draw_priority, donations::on_expiry),
        units::scale.nullable(),
    );
    let rows: Vec<LotRow> = on!(conn, c => {
        let mut query = lots::table.inner_join(donations::table.left_join(units::table)).select(columns).into_boxed();
        narrowed!(query, lots::id => of.ids, donations::donor => of.donors, donations::id => of.donations, donations::unit => of.units);
        paged!(query, lots::id, page, c)
    })?;
    rows.into_iter().map(lot_of).collect()
}

fn lot_of(row: LotRow) -> Result<Lot, Fault> {
    let ((id, amount, delivered_at, expires_at), (donation, donor, unit, terms, draw_priority, on_expiry), scale) = row;
    Ok(Lot {
        id: LotId::from_stamp(id),
        donation: DonationId::from_stamp(donation),
        donor: DonorId::from_stamp(donor),
        amount: Amount::new(amount, unit_of(&unit, scale)?),
        delivered_at: Time::from_micros(delivered_at),
        expires_at: expires_at.map(Time::from_micros),
        terms: terms_of(&terms)?,
        draw_priority,
        on_expiry: OnExpiry::of(&on_expiry),
    })
}

/// The lots that expired at a moment or before it.
pub fn expired(conn: &mut Conn, by: Time) -> Result<Vec<LotId>, Fault> {
    let past = lots::table.filter(lots::expires_at.le(by.micros())).select(lots::id).order(lots::id);
    let ids: Vec<i64> = on!(conn, c => past.load(c))?;
    Ok(ids.into_iter().map(LotId::from_stamp).collect())
}

pub(super) fn insert_lot(conn: &mut Conn, lot: &Lot) -> Result<(), Fault> {
    let row = (
        lots::id.eq(lot.id.stamp()),
        lots::donation.eq(lot.donation.stamp()),
        lots::amount.eq(lot.amount.minor),
        lots::delivered_at.eq(lot.delivered_at.micros()),
        lots::expires_at.eq(lot.expires_at.map(Time::micros)),
    );
    on!(conn, c => diesel::insert_into(lots::table).values(row).execute(c))?;
    Ok(())
}
