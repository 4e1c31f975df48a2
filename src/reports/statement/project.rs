//! A project's statement: what its grants had, lot by lot, what each job cost and got back, and whom to thank.

use std::collections::BTreeMap;

use crate::amount::{Amount, Unit};
use crate::directory;
use crate::donations;
use crate::grants::{self, Grant};
use crate::id::{LotId, ProjectId, RefundId};
use crate::ledger::store::Of;
use crate::ledger::{self, Kind};
use crate::refusal::Refusal;
use crate::reports::disclosure::{self, Paid, words};
use crate::store::{Conn, Fault, Page};
use crate::time::Period;

use super::figures::{Column, OF_OVERDRAFT, OF_SHARE, of_share};
use super::gather::{self, Gather, Roll, Span, link};
use super::text::{Decided, Line, Named, Section, Text, Thanked};

/// The text over a period. Errors: `not_found`, `too_large`.
pub fn text(conn: &mut Conn, id: ProjectId, period: Period) -> Result<Text, Fault> {
    let project = directory::project(conn, id)?.ok_or_else(Refusal::not_found)?;
    let of = grants::Of { projects: Some(vec![id.stamp()]), ..grants::Of::default() };
    let grants = grants::store::grants(conn, &of, Page::ALL)?;
    let mut gather = Gather::begin(conn, period)?;
    let span = gather.span;
    let mut rolls: Vec<(Option<LotId>, Roll)> = Vec::new();
    for grant in grants.iter().filter(|grant| span.knows(grant.id.created_at())) {
        rolls.extend(shares(&mut gather, grant)?);
    }
    rolls.retain(|(_, roll)| !roll.is_idle());
    gather.know(rolls.iter().map(|(_, roll)| roll))?;
    let mut paid: BTreeMap<Unit, Paid> = BTreeMap::new();
    let mut sections: Vec<Section> = Vec::with_capacity(rolls.len());
    for (lot, roll) in rolls {
        let section = gather.section(roll, |entry, line| {
            let row = gather.charge_of(entry);
            let (charge, charge_seq) = (row.map(|row| row.id()), row.map(|row| row.seq));
            let refund = (entry.kind == Kind::Refund).then(|| format!("/v1/refunds/{}", RefundId::from_stamp(entry.recorded_at.micros())));
            Ok(Line { charge, charge_seq, link: refund.or(charge.map(link)), ..line })
        })?;
        let used = if lot.is_some() { Column::Spent } else { Column::Overdraft };
        let used = ledger::journal::total(section.lines.iter().map(|line| line.figures.minor(used)))?;
        paid.entry(section.unit).or_default().add(lot, used)?;
        sections.push(section);
    }
    let whom = Named { id: id.to_string(), name: project.about.title };
    let text = gather::text("project", whom, &span, sections)?;
    let (thanks, decisions) = (thanks(conn, paid)?, decisions(conn, &grants, &span)?);
    Ok(Text { thanks, decisions, ..text })
}

/// A grant's part of each lot, and its overdraft, followed through the period.
fn shares(gather: &mut Gather<'_>, grant: &Grant) -> Result<Vec<(Option<LotId>, Roll)>, Fault> {
    let accounts = ledger::store::accounts(gather.conn, Of { grant: Some(grant.id.stamp()), ..Of::default() }, Page::ALL)?;
    let lots = donations::lots_of(gather.conn, &accounts)?;
    let mut rolls: BTreeMap<Option<LotId>, Roll> = BTreeMap::new();
    for account in &accounts {
        let id = account.key.lot_id();
        let lot = id.and_then(|id| lots.get(&id));
        let columns = if lot.is_some() { OF_SHARE } else { OF_OVERDRAFT };
        let fresh = || {
            let roll = Roll::new(account.unit, columns, format!("/v1/grants/{}/entries", grant.id)).of_grant(grant.id);
            match lot {
                Some(lot) => roll.of_lot(lot, None),
                None => roll,
            }
        };
        gather.follow(rolls.entry(id).or_insert_with(fresh), account, of_share(account.key.bucket))?;
    }
    // In the order in which the lots pay; what nobody pays last.
    let mut rolls: Vec<(Option<LotId>, Roll)> = rolls.into_iter().collect();
    rolls.sort_by(|(a, _), (b, _)| match (a.and_then(|a| lots.get(&a)), b.and_then(|b| lots.get(&b))) {
        (Some(a), Some(b)) => a.draw_order(b),
        (a, b) => a.is_none().cmp(&b.is_none()),
    });
    Ok(rolls)
}

/// Whom to thank for what the lines of the statement used.
fn thanks(conn: &mut Conn, paid: BTreeMap<Unit, Paid>) -> Result<Vec<Thanked>, Fault> {
    let units = disclosure::unit_parts(conn, paid)?;
    let parts = units.iter().flat_map(|unit| unit.donors.iter().map(move |part| (unit.unit, part)));
    let donors = parts.map(|(unit, part)| Thanked {
        donor: part.donor.id.to_string(),
        name: part.donor.about.name.clone(),
        ror: disclosure::ror(&part.donor),
        unit,
        amount: part.amount,
        percent: words::percent(part.share).trim_end_matches(" %").to_owned(),
    });
    Ok(donors.collect())
}

/// What was decided in the period.
fn decisions(conn: &mut Conn, grants: &[Grant], span: &Span) -> Result<Vec<Decided>, Fault> {
    let mut found = Vec::new();
    for grant in grants {
        let within = grants::store::decisions(conn, Some(grant.id), Page::ALL)?;
        for decision in within.into_iter().filter(|decision| span.period.contains(decision.id.created_at())) {
            found.push(Decided {
                decision: decision.id.to_string(),
                decided_on: decision.id.created_at().day(),
                grant: decision.grant.to_string(),
                amendment: decision.amendment.map(|id| id.to_string()),
                verdict: decision.verdict,
                effective: decision.effective,
                unit: decision.awarded.unit,
                amount: Amount::new(decision.awarded.minor, decision.awarded.unit),
                link: format!("/v1/decisions/{}", decision.id),
            });
        }
    }
    found.sort_by(|a, b| a.decision.cmp(&b.decision));
    Ok(found)
}
