//! A provider's statement: what it charged and gave back, resource by resource and grant by grant, what it metered, and what could not be
//! charged.
//!
//! What was charged until either end of the period is summed by the database, apart from the lines between.

use std::collections::{BTreeMap, HashMap};

use crate::amount::Unit;
use crate::directory::{self, Resource};
use crate::grants;
use crate::id::{ChargeId, GrantId, InstitutionId, RefundId, ResourceId};
use crate::refusal::Refusal;
use crate::store::{Conn, Fault, Page, Pages};
use crate::time::{Period, Time};
use crate::usage::store::QuarantineRow;
use crate::usage::totals::store::{Back, backs, sums};
use crate::usage::totals::{Totals, totals_by};
use crate::usage::{self, ChargeRow};

use super::figures::{Column, Figures, OF_RESOURCE};
use super::gather::{self, Gather, Roll, Span, link};
use super::text::{Line, Metered, Named, Quarantine, Section, Text};

/// Charges read at a time.
const PAGE: i64 = 2000;

/// The text over a period. Errors: `not_found`, `too_large`.
pub fn text(conn: &mut Conn, id: InstitutionId, period: Period) -> Result<Text, Fault> {
    let institution = directory::institution(conn, id)?.ok_or_else(Refusal::not_found)?;
    let of = directory::Of { institutions: Some(vec![id.stamp()]), ..directory::Of::default() };
    let resources: BTreeMap<ResourceId, Resource> =
        directory::store::resources(conn, &of, Page::ALL)?.into_iter().map(|resource| (resource.id, resource)).collect();
    let mut gather = Gather::begin(conn, period)?;
    let span = gather.span;
    let mut rolls = Rolls::of(gather.conn, id, &span, &resources)?;
    charges(&mut gather, id, |row| rolls.charge(&row, &span))?;
    let backs = backs(gather.conn, id, span.before, span.last)?;
    gather.count(backs.len())?;
    for back in &backs {
        rolls.back(back, &span)?;
    }
    let sections = rolls.sections();
    let whom = Named { id: id.to_string(), name: institution.about.name };
    let text = gather::text("provider", whom, &span, sections)?;
    let metered = metered(gather.conn, id, &resources, &span)?;
    Ok(Text { metered, quarantine: Some(quarantine(gather.conn, id, &span)?), ..text })
}

/// Tells each of a provider's charges in the period, in order.
fn charges(gather: &mut Gather<'_>, id: InstitutionId, mut tell: impl FnMut(ChargeRow) -> Result<(), Fault>) -> Result<(), Fault> {
    let of = usage::Of { providers: Some(vec![id.stamp()]), ..usage::Of::default() };
    let mut pages = Pages::from(Page { after: Some(gather.span.period.from.micros() - 1), limit: PAGE, descending: false });
    while let Some(rows) = pages.next(|page| usage::store::charges(gather.conn, &of, page), |row| row.id)? {
        for row in rows {
            if row.seq > gather.span.last {
                return Ok(());
            }
            gather.count(1)?;
            tell(row)?;
        }
    }
    Ok(())
}

/// The sections of a provider, by resource and grant.
struct Rolls {
    by: BTreeMap<(i64, i64), Roll>,
    units: HashMap<i64, Unit>,
    /// By the stamp of the entry, with the section: charges and what came back of them are read apart.
    lines: BTreeMap<i64, ((i64, i64), Line)>,
}

impl Rolls {
    /// All that the provider ever charged to, as it stands at both ends of the period.
    fn of(conn: &mut Conn, id: InstitutionId, span: &Span, resources: &BTreeMap<ResourceId, Resource>) -> Result<Rolls, Fault> {
        let (opening, closing) = (sums(conn, id, span.before)?, sums(conn, id, span.last)?);
        let of = grants::Of { ids: Some(closing.iter().map(|sum| sum.award).collect()), ..grants::Of::default() };
        let grants = grants::store::grants(conn, &of, Page::ALL)?;
        let units: HashMap<i64, Unit> = grants.iter().map(|grant| (grant.id.stamp(), grant.awarded.unit)).collect();
        let mut by = BTreeMap::new();
        for sum in closing {
            let unit = units.get(&sum.award).ok_or_else(|| Fault::Internal(format!("{} is charged and does not exist", sum.award)))?;
            let (resource, grant) = (ResourceId::from_stamp(sum.resource), GrantId::from_stamp(sum.award));
            let name = resources.get(&resource).map_or("", |resource| resource.about.name.as_str());
            let entries = format!("/v1/charges?resource={resource}&grant={grant}");
            let mut roll = Roll::new(*unit, OF_RESOURCE, entries).of_resource(resource, name).of_grant(grant);
            let before = opening.iter().find(|one| (one.resource, one.award) == (sum.resource, sum.award));
            roll.stands(&[Column::Charged], before.map_or(0, |sum| sum.charged), sum.charged)?;
            roll.stands(&[Column::Refunded], before.map_or(0, |sum| sum.refunded), sum.refunded)?;
            by.insert((sum.resource, sum.award), roll);
        }
        Ok(Rolls { by, units, lines: BTreeMap::new() })
    }

    /// The sections, each with its lines in the journal's order.
    fn sections(mut self) -> Vec<Section> {
        for (at, line) in self.lines.into_values() {
            if let Some(roll) = self.by.get_mut(&at) {
                roll.line(line);
            }
        }
        self.by.into_values().map(Roll::into_section).collect()
    }

    fn charge(&mut self, row: &ChargeRow, span: &Span) -> Result<(), Fault> {
        let line = ((row.id(), row.seq), "charge", row.id, row.ended_at(), link(row.id()));
        self.line((row.resource, row.award), line, Column::Charged, row.amount, span)
    }

    fn back(&mut self, back: &Back, span: &Span) -> Result<(), Fault> {
        let charge = ChargeId::from_stamp(back.charge);
        let (kind, place) = match back.kind.as_str() {
            "refund" => ("refund", format!("/v1/refunds/{}", RefundId::from_stamp(back.id))),
            _ => ("reversal", link(charge)),
        };
        let line = ((charge, back.charge_seq), kind, back.id, Time::from_micros(back.effective_at), place);
        self.line((back.resource, back.award), line, Column::Refunded, back.amount, span)
    }

    fn line(
        &mut self,
        at: (i64, i64),
        ((charge, charge_seq), kind, stamp, effective_at, link): ((ChargeId, i64), &'static str, i64, Time, String),
        column: Column,
        minor: i64,
        span: &Span,
    ) -> Result<(), Fault> {
        let missing = || Fault::Internal(format!("{charge} is of no resource and grant that the provider charged to"));
        let unit = self.units.get(&at.1).filter(|_| self.by.contains_key(&at)).ok_or_else(missing)?;
        let mut figures = Figures::none(*unit, &[]);
        figures.add(column, minor)?;
        let line = Line {
            handle: None,
            kind,
            recorded_on: Time::from_micros(stamp).day(),
            effective_on: effective_at.day(),
            late: effective_at < span.period.from,
            charge: Some(charge),
            charge_seq: Some(charge_seq),
            link: Some(link),
            figures,
        };
        self.lines.insert(stamp, (at, line));
        Ok(())
    }
}

/// What was metered on each resource: until the period, in it, and until its end. Reads all of the provider's records.
fn metered(conn: &mut Conn, id: InstitutionId, resources: &BTreeMap<ResourceId, Resource>, span: &Span) -> Result<Vec<Metered>, Fault> {
    let (opening, closing) = (until(conn, id, span.before)?, until(conn, id, span.last)?);
    let mut found = Vec::new();
    for (id, resource) in resources {
        let before = opening.get(&id.stamp());
        for (meter, closing) in closing.get(&id.stamp()).into_iter().flat_map(|totals| &totals.meters) {
            let opening = before.and_then(|totals| totals.meters.get(meter)).copied().unwrap_or_default();
            let change = closing.checked_sub(opening).ok_or_else(|| Fault::Internal("metered quantities leave 96 bits".into()))?;
            let [opening, change, closing] = [opening, change, *closing].map(|quantity| quantity.normalize().to_string());
            let resource = Named { id: id.to_string(), name: resource.about.name.clone() };
            found.push(Metered { resource, meter: meter.clone(), opening, change, closing });
        }
    }
    Ok(found)
}

/// All that a provider metered by entries up to one of the journal, by resource.
fn until(conn: &mut Conn, id: InstitutionId, last: i64) -> Result<BTreeMap<i64, Totals>, Fault> {
    let of = usage::Of { providers: Some(vec![id.stamp()]), ..usage::Of::default() };
    let look = |conn: &mut Conn, page: Page| {
        let mut rows = usage::store::charges(conn, &of, page)?;
        rows.retain(|row| row.seq <= last);
        Ok(rows)
    };
    totals_by(conn, look, |row, _| row.resource)
}

/// What became of records that could not be charged.
fn quarantine(conn: &mut Conn, id: InstitutionId, span: &Span) -> Result<Quarantine, Fault> {
    let of = usage::Of { providers: Some(vec![id.stamp()]), ..usage::Of::default() };
    let mut found = Quarantine::default();
    let mut pages = Pages::of(PAGE);
    while let Some(rows) = pages.next(|page| usage::store::quarantine(conn, &of, page), |row| row.id)? {
        rows.iter().for_each(|row| found.count(row, span));
    }
    match found.opening + found.set_aside == found.charged + found.dismissed + found.closing {
        true => Ok(found),
        false => Err(Fault::Internal(format!("the quarantine of {id} does not add up: {found:?}"))),
    }
}

impl Quarantine {
    fn count(&mut self, row: &QuarantineRow, span: &Span) {
        let set_aside = row.id().created_at();
        let within = row.closed.is_some_and(|closed| closed > span.before && closed <= span.last);
        self.opening += u64::from(set_aside < span.period.from && row.closed.is_none_or(|closed| closed > span.before));
        self.closing += u64::from(set_aside < span.period.to && row.closed.is_none_or(|closed| closed > span.last));
        self.set_aside += u64::from(span.period.contains(set_aside));
        self.charged += u64::from(within && row.charge.is_some());
        self.dismissed += u64::from(within && row.charge.is_none());
    }
}
