//! The SQL of rates, charges, refunds, covers and quarantine.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::rate::{NewRate, Rate};
use super::record;
use crate::amount::Amount;
use crate::id::{ChargeId, GrantId, Id, InstitutionId, PersonId, RateId, ResourceId, UsageId};
use crate::ledger::store::{unit_of, units};
use crate::ledger::{self, Entry, Kind, Line};
use crate::store::runs::{self, Growing, List, Trails};
use crate::store::{Conn, Fault, Page, SharedText, Sixteen, bulk, narrowed, on, paged};
use crate::time::Time;

pub(super) mod tables {
    diesel::table! {
        rates (id) {
            id -> BigInt, resource -> BigInt, meter -> Text, unit -> Text, price -> BigInt, from_at -> BigInt, multipliers -> Text,
            proposed_by -> BigInt, confirmed_by -> Nullable<BigInt>, confirmed_at -> Nullable<BigInt>,
        }
    }
    diesel::table! {
        charges (seq) {
            seq -> BigInt, id -> BigInt, ended_at -> BigInt, actor -> BigInt, award -> BigInt, lines -> Nullable<Text>,
            usage_key -> Binary, part -> Integer, digest -> Binary, provider -> BigInt, resource -> BigInt, amount -> BigInt,
            overdraft -> BigInt, balance_after -> BigInt, rates -> Text, said -> Text,
        }
    }
    diesel::table! {
        refunds (id) {
            id -> BigInt, seq -> BigInt, charge -> BigInt, charge_seq -> BigInt, award -> BigInt, amount -> BigInt, reason -> Text,
        }
    }
    diesel::table! {
        covers (id) { id -> BigInt, seq -> BigInt, charge -> BigInt, lot -> BigInt, amount -> BigInt, }
    }
    diesel::table! {
        quarantine (id) {
            id -> BigInt, usage_key -> Binary, part -> Integer, digest -> Binary, provider -> BigInt, reason -> Text, detail -> Text,
            record -> Text, state -> Text, charge -> Nullable<BigInt>, closed -> Nullable<BigInt>,
        }
    }
}
use tables::{charges, quarantine, rates};

diesel::joinable!(rates -> units (unit));
diesel::allow_tables_to_appear_in_same_query!(rates, units);

mod back;

pub use back::{CoverRow, RefundRow, all_covers, all_refunds, refund, refunds, refunds_of_grant};
pub(super) use back::{covers, insert_cover, insert_refund};

/// Which records to list: `None` means any, an empty list none.
#[derive(Clone, Default, Debug)]
pub struct Of {
    /// Only these.
    pub ids: Option<Vec<i64>>,
    /// Only those charged to these grants.
    pub grants: Option<Vec<i64>>,
    /// Only those on these resources.
    pub resources: Option<Vec<i64>>,
    /// Only those of these providers.
    pub providers: Option<Vec<i64>>,
    /// Only those in one of these states of quarantine.
    pub states: Option<Vec<String>>,
}

type RateRow = ((i64, i64, String, String, i64, i64, String, i64, Option<i64>, Option<i64>), Option<i32>);

/// Rates, a page.
pub fn rates(conn: &mut Conn, of: &Of, page: Page) -> Result<Vec<Rate>, Fault> {
    let rows: Vec<RateRow> = on!(conn, c => {
        let mut query = rates::table.left_join(units::table).select((rates::all_columns, units::scale.nullable())).into_boxed();
        narrowed!(query, rates::id => of.ids, rates::resource => of.resources);
        paged!(query, rates::id, page, c)
    })?;
    rows.into_iter().map(rate_of).collect()
}

fn rate_of((row, scale): RateRow) -> Result<Rate, Fault> {
    let (id, resource, meter, unit, price, from, multipliers, proposed_by, confirmed_by, confirmed_at) = row;
    let broken = |what: &str| Fault::Internal(format!("rate {id} in the database: {what}"));
    let texts: HashMap<String, String> = serde_json::from_str(&multipliers).map_err(|_| broken("multipliers"))?;
    let qos = texts.into_iter().map(|(qos, factor)| Ok((qos, factor.parse().map_err(|_| broken("factor"))?)));
    let about = NewRate {
        resource: ResourceId::from_stamp(resource),
        meter,
        price: Amount::new(price, unit_of(&unit, scale)?),
        from: Time::from_micros(from),
        qos: qos.collect::<Result<_, Fault>>()?,
    };
    let confirmed_by = confirmed_by.map(PersonId::from_stamp);
    let confirmed_at = confirmed_at.map(Time::from_micros);
    Ok(Rate { id: RateId::from_stamp(id), about, proposed_by: PersonId::from_stamp(proposed_by), confirmed_by, confirmed_at })
}

pub(super) fn insert_rate(conn: &mut Conn, rate: &Rate) -> Result<(), Fault> {
    let new = &rate.about;
    let factors: HashMap<&String, String> = new.qos.iter().map(|(qos, factor)| (qos, factor.to_string())).collect();
    let row = (
        rates::id.eq(rate.id.stamp()),
        rates::resource.eq(new.resource.stamp()),
        rates::meter.eq(&new.meter),
        rates::unit.eq(new.price.unit.code()),
        rates::price.eq(new.price.minor),
        rates::from_at.eq(new.from.micros()),
        rates::multipliers.eq(serde_json::json!(factors).to_string()),
        rates::proposed_by.eq(rate.proposed_by.stamp()),
        rates::confirmed_by.eq(rate.confirmed_by.map(PersonId::stamp)),
        rates::confirmed_at.eq(rate.confirmed_at.map(Time::micros)),
    );
    on!(conn, c => diesel::insert_into(rates::table).values(row).execute(c))?;
    Ok(())
}

pub(super) fn confirm_rate(conn: &mut Conn, id: RateId, who: PersonId, at: Time) -> Result<(), Fault> {
    let changes = (rates::confirmed_by.eq(who.stamp()), rates::confirmed_at.eq(at.micros()));
    on!(conn, c => diesel::update(rates::table.find(id.stamp())).set(changes).execute(c))?;
    Ok(())
}

/// A charge's row: its entry in the journal, the record as it arrived and what became of it.
#[derive(Queryable, Clone, PartialEq, Eq, Debug)]
pub struct ChargeRow {
    /// Sequence of its transaction.
    pub seq: i64,
    /// Stamp of the charge, its usage record and its transaction.
    pub id: i64,
    /// When the job ended.
    pub ended_at: i64,
    /// Who reported it, as a person.
    pub actor: i64,
    /// What it was charged to.
    pub award: i64,
    /// Its postings, as the ledger writes them; none where it cost nothing.
    pub lines: Option<String>,
    /// The narrow natural key.
    #[diesel(deserialize_as = Sixteen)]
    pub usage_key: [u8; 16],
    /// Which part of the job; 0 for its total.
    pub part: i32,
    /// What was sent, hashed.
    #[diesel(deserialize_as = Sixteen)]
    pub digest: [u8; 16],
    /// Whose usage it is.
    pub provider: i64,
    /// What it ran on.
    pub resource: i64,
    /// The price, in the grant's unit.
    pub amount: i64,
    /// How much of it went beyond the grant.
    pub overdraft: i64,
    /// What the grant had free afterwards.
    pub balance_after: i64,
    /// The rates that made the price: stamps as a JSON list.
    pub rates: SharedText,
    /// What was sent, without what the other columns say; empty where it was erased.
    pub said: SharedText,
}

bulk! {
    ChargeRow => charges {
        seq, id, ended_at, award, lines, usage_key, digest, amount, balance_after, said,
    } alike { actor, provider, resource, part, overdraft, rates }
}

impl ChargeRow {
    /// Whether what was sent was erased.
    pub fn is_erased(&self) -> bool {
        self.said.is_empty()
    }

    /// What was sent, in its canonical form; `null` where it was erased.
    pub fn record(&self) -> serde_json::Value {
        record::whole(&self.said, self.grant(), self.resource(), self.ended_at())
    }

    /// The provider's name for it; `None` where it was erased, or has none that can be read.
    pub fn external_id(&self) -> Option<Cow<'_, str>> {
        record::external_id(&self.said)
    }

    /// Whether what was sent has the key, and states the part, under which it is kept.
    pub fn has_own_key(&self) -> bool {
        let own = |(external_id, part): (Cow<'_, str>, i32)| (record::key(self.provider(), &external_id), part);
        record::named(&self.said).map(own) == Some((self.usage_key, self.part))
    }

    /// Its entry in the journal, which has these lines.
    pub fn entry(&self, lines: Vec<Line>) -> Entry {
        Entry {
            seq: self.seq,
            recorded_at: Time::from_micros(self.id),
            effective_at: self.ended_at(),
            kind: Kind::Charge,
            actor: Some(PersonId::from_stamp(self.actor)),
            subject: Some(self.award),
            body: None,
            lines,
        }
    }

    /// The charge.
    pub fn id(&self) -> ChargeId {
        ChargeId::from_stamp(self.id)
    }

    /// The grant.
    pub fn grant(&self) -> GrantId {
        GrantId::from_stamp(self.award)
    }

    /// The provider.
    pub fn provider(&self) -> InstitutionId {
        InstitutionId::from_stamp(self.provider)
    }

    /// The resource.
    pub fn resource(&self) -> ResourceId {
        ResourceId::from_stamp(self.resource)
    }

    /// When the job ended.
    pub fn ended_at(&self) -> Time {
        Time::from_micros(self.ended_at)
    }

    /// The rates that made the price.
    pub fn rates(&self) -> Vec<RateId> {
        let stamps: Vec<i64> = serde_json::from_str(&self.rates).unwrap_or_default();
        stamps.into_iter().map(Id::from_stamp).collect()
    }
}

/// The runs that say which charges a grant has.
const CHARGES: List = List(2);

/// Charges to be written together.
pub(super) struct Staged {
    charges: Vec<Arc<ChargeRow>>,
    of_grants: Growing,
}

impl Default for Staged {
    fn default() -> Staged {
        Staged { charges: Vec::new(), of_grants: Growing::new(CHARGES) }
    }
}

impl Staged {
    pub fn add(&mut self, row: Arc<ChargeRow>) {
        self.of_grants.add(row.award, row.seq);
        self.charges.push(row);
    }

    pub fn is_empty(&self) -> bool {
        self.charges.is_empty()
    }

    /// Hands out what writes them. As many are expected the next time.
    pub fn take(&mut self) -> impl FnOnce(&mut Conn) -> Result<(), Fault> + Send + use<> {
        let next = Vec::with_capacity(self.charges.len());
        let (charges, listed) = (std::mem::replace(&mut self.charges, next), self.of_grants.take());
        move |conn| {
            bulk::insert(conn, &charges)?;
            listed.write(conn)
        }
    }
}

/// Charges, a page by stamp.
pub fn charges(conn: &mut Conn, of: &Of, page: Page) -> Result<Vec<ChargeRow>, Fault> {
    let page = by_sequence(conn, page)?;
    let seqs = of.ids.as_ref().map(|ids| ledger::store::seqs_of(conn, ids)).transpose()?;
    match &of.grants {
        Some(grants) => charges_of_grants(conn, of, grants, seqs.as_deref(), page),
        None => some_charges(conn, of, seqs.as_deref(), page),
    }
}

/// The charges of these entries, in their order.
pub fn charges_of_entries(conn: &mut Conn, seqs: &[i64]) -> Result<Vec<ChargeRow>, Fault> {
    let mut found = Vec::with_capacity(seqs.len());
    for some in seqs.chunks(LOOKUP as usize) {
        found.extend(some_charges(conn, &Of::default(), Some(some), Page::ALL)?);
    }
    Ok(found)
}

/// A page of charges as one of their sequences.
fn by_sequence(conn: &mut Conn, page: Page) -> Result<Page, Fault> {
    let Some(stamp) = page.after else { return Ok(page) };
    let after = match page.descending {
        false => ledger::store::first_at(conn, stamp.saturating_add(1))? - 1,
        true => ledger::store::first_at(conn, stamp)?,
    };
    Ok(Page { after: Some(after), ..page })
}

/// Charges of grants: the runs say which they are, the other conditions choose among them.
fn charges_of_grants(conn: &mut Conn, of: &Of, grants: &[i64], seqs: Option<&[i64]>, page: Page) -> Result<Vec<ChargeRow>, Fault> {
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    // With other conditions a page may be far apart among the grant's.
    let narrowed = seqs.is_some() || of.resources.is_some() || of.providers.is_some();
    let mut next = Page { limit: if narrowed { LOOKUP } else { page.limit.clamp(1, LOOKUP) }, ..page };
    while found.len() < limit {
        let own = runs::members_of(conn, CHARGES, grants, next)?;
        let Some(last) = own.last() else { break };
        next.after = Some(*last);
        let among: Vec<i64> = own.into_iter().filter(|seq| seqs.is_none_or(|some| some.binary_search(seq).is_ok())).collect();
        found.extend(some_charges(conn, of, Some(&among), Page { after: None, ..next })?);
    }
    found.truncate(limit);
    Ok(found)
}

/// The charges that each grant is said to have, by the grant's stamp.
pub fn trails(conn: &mut Conn) -> Result<Trails, Fault> {
    runs::trails(conn, CHARGES)
}

/// Charges that are looked up by one statement.
const LOOKUP: i64 = 1000;

/// The charges of these entries, or of all, a page by sequence.
fn some_charges(conn: &mut Conn, of: &Of, seqs: Option<&[i64]>, page: Page) -> Result<Vec<ChargeRow>, Fault> {
    Ok(on!(conn, c => {
        let mut query = charges::table.into_boxed();
        if let Some(seqs) = seqs { query = query.filter(charges::seq.eq_any(seqs)); }
        narrowed!(query, charges::resource => of.resources, charges::provider => of.providers);
        paged!(query, charges::seq, page, c)
    })?)
}

/// Charges after one entry and up to another, the oldest first, at most so many.
pub fn charges_between(conn: &mut Conn, after: i64, upto: i64, limit: i64) -> Result<Vec<ChargeRow>, Fault> {
    let some = charges::table.filter(charges::seq.gt(after).and(charges::seq.le(upto))).order(charges::seq).limit(limit);
    Ok(on!(conn, c => some.load(c))?)
}

/// The charges that resolved records of the quarantine, by their stamps.
pub fn charges_of_quarantine(conn: &mut Conn) -> Result<Vec<i64>, Fault> {
    let named = quarantine::table.filter(quarantine::charge.is_not_null()).select(quarantine::charge.assume_not_null());
    Ok(on!(conn, c => named.load(c))?)
}

/// The charges of a grant that went beyond it, oldest first.
pub(super) fn overdrawn(conn: &mut Conn, grant: GrantId) -> Result<Vec<ChargeRow>, Fault> {
    let own = charges::table.filter(charges::award.eq(grant.stamp()).and(charges::overdraft.gt(0))).order(charges::seq);
    Ok(on!(conn, c => own.load(c))?)
}

/// Said outright: with a bound number no database would see that the index of parts is meant.
pub(super) fn is_part() -> SqlLiteral<Bool> {
    sql("part > 0")
}

/// The parts of a job that were charged and not reversed, oldest first.
pub(super) fn parts_of(conn: &mut Conn, key: &[u8; 16]) -> Result<Vec<ChargeRow>, Fault> {
    let own = charges::table.filter(charges::usage_key.eq(key.as_slice()).and(is_part())).order(charges::seq);
    let rows: Vec<ChargeRow> = on!(conn, c => own.load(c))?;
    let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    let reversed = ledger::store::reversals_of(conn, &seqs)?;
    Ok(rows.into_iter().filter(|row| !reversed.contains_key(&row.seq)).collect())
}

/// A record that could not be charged.
#[derive(Queryable, Insertable, Clone, PartialEq, Eq, Debug)]
#[diesel(table_name = quarantine)]
pub struct QuarantineRow {
    /// Stamp of the usage record.
    pub id: i64,
    /// The narrow natural key.
    pub usage_key: Vec<u8>,
    /// Which part of the job; 0 for its total.
    pub part: i32,
    /// What was sent, hashed.
    pub digest: Vec<u8>,
    /// Who reported it.
    pub provider: i64,
    /// The refusal's code.
    pub reason: String,
    /// The refusal's particulars.
    pub detail: String,
    /// The canonical text of what was sent; empty where it was erased.
    pub record: String,
    /// `open`, `charged` or `dismissed`.
    pub state: String,
    /// Stamp of the charge that resolved it.
    pub charge: Option<i64>,
    /// Sequence of the entry that charged or dismissed it.
    pub closed: Option<i64>,
}

impl QuarantineRow {
    /// Whether what was sent was erased.
    pub fn is_erased(&self) -> bool {
        self.record.is_empty()
    }

    /// The usage record.
    pub fn id(&self) -> UsageId {
        UsageId::from_stamp(self.id)
    }
}

/// The quarantine, a page.
pub fn quarantine(conn: &mut Conn, of: &Of, page: Page) -> Result<Vec<QuarantineRow>, Fault> {
    Ok(on!(conn, c => {
        let mut query = quarantine::table.into_boxed();
        narrowed!(query, quarantine::id => of.ids, quarantine::provider => of.providers, quarantine::state => of.states);
        paged!(query, quarantine::id, page, c)
    })?)
}

pub(super) fn insert_quarantine(conn: &mut Conn, row: &QuarantineRow) -> Result<(), Fault> {
    on!(conn, c => diesel::insert_into(quarantine::table).values(row).execute(c))?;
    Ok(())
}

/// Closes a record of the quarantine by the entry of the journal that charged it, and made a charge of it, or dismissed it.
pub(super) fn close_quarantine(conn: &mut Conn, id: i64, seq: i64, charge: Option<ChargeId>) -> Result<(), Fault> {
    let state = if charge.is_some() { "charged" } else { "dismissed" };
    let changes = (quarantine::state.eq(state), quarantine::charge.eq(charge.map(ChargeId::stamp)), quarantine::closed.eq(seq));
    on!(conn, c => diesel::update(quarantine::table.find(id)).set(changes).execute(c))?;
    Ok(())
}
