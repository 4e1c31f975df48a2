//! A donor's statement: what became of every credit they gave, lot by lot, and of no person, job or hour.
//!
//! Lines stand under handles; what jobs have in common is told only where enough projects share it. It may not read what tells of a job but
//! its day, resource and project, and tells none of these of a line.

use std::collections::{BTreeMap, HashMap};

use crate::amount::{Amount, Unit};
use crate::directory;
use crate::donations::{self, Donation, Donor, Lot};
use crate::grants;
use crate::id::{DonorId, GrantId, ProjectId, ResourceId};
use crate::ledger::handle::{Handles, Of as Handle};
use crate::ledger::store::Of;
use crate::ledger::{self, Bucket, Key, Kind};
use crate::refusal::Refusal;
use crate::store::{Conn, Fault, Page};
use crate::time::Period;

use super::cells::{Cell, Cells};
use super::figures::{Column, Figures, OF_DONATION, OF_LOT, of_lot};
use super::gather::{self, Gather, Roll, Span};
use super::text::{Line, Named, Section, Text, UsedBy, UsedCell};

/// The text over a period. Errors: `not_found`, `too_large`.
pub fn text(conn: &mut Conn, id: DonorId, period: Period) -> Result<Text, Fault> {
    let of = donations::Of { donors: Some(vec![id.stamp()]), ..donations::Of::default() };
    let donor: Donor = donations::store::donors(conn, &of, Page::ALL)?.pop().ok_or_else(Refusal::not_found)?;
    let donations = donations::store::donations(conn, &of, Page::ALL)?;
    let lots = donations::store::lots(conn, &of, Page::ALL)?;
    let handles = Handles::read(conn)?;
    let mut gather = Gather::begin(conn, period)?;
    let span = gather.span;
    let mut sections = Vec::new();
    let mut rolls: Vec<(Lot, Roll)> = Vec::new();
    for donation in donations.iter().filter(|donation| span.knows(donation.id.created_at())) {
        sections.extend(pledge(gather.conn, &span, donation, &handles)?);
    }
    for lot in lots.into_iter().filter(|lot| span.knows(lot.id.created_at())) {
        let title = donations.iter().find(|donation| donation.id == lot.donation).map_or("", |donation| donation.about.title.as_str());
        let roll = Roll::new(lot.amount.unit, OF_LOT, format!("/v1/lots/{}/entries", lot.id));
        let mut roll = roll.of_donation(lot.donation, title).of_lot(&lot, Some(handles.name(Handle::Lot(lot.id.stamp()))));
        for account in ledger::store::accounts(gather.conn, Of { lot: Some(lot.id.stamp()), ..Of::default() }, Page::ALL)? {
            gather.follow(&mut roll, &account, of_lot(account.key.bucket))?;
        }
        rolls.push((lot, roll));
    }
    gather.know(rolls.iter().map(|(_, roll)| roll))?;
    let mut uses = Vec::new();
    for (lot, roll) in rolls {
        sections.push(gather.section(roll, |entry, line| {
            let spent = line.figures.minor(Column::Spent);
            if spent != 0 {
                let row =
                    gather.charge_of(entry).ok_or_else(|| Fault::Internal(format!("entry {} used {} for no job", entry.seq, lot.id)))?;
                uses.push(Use {
                    unit: lot.amount.unit,
                    grant: row.grant(),
                    resource: row.resource(),
                    month: month(&row.ended_at().day()),
                    spent,
                });
            }
            Ok(Line { handle: Some(handles.name(Handle::Line(lot.id.stamp(), entry.seq))), ..line })
        })?);
    }
    let whom = Named { id: id.to_string(), name: donor.about.name };
    let text = gather::text("donor", whom, &span, sections)?;
    Ok(if whole_months(period) { Text { used: used(conn, &uses)?, ..text } } else { text })
}

/// Whether a period is whole months. What jobs have in common is told of no other: two statements that differ by a day would tell by their
/// difference what was hidden in both.
fn whole_months(period: Period) -> bool {
    [period.from, period.to].into_iter().all(|end| end.day().ends_with("-01"))
}

fn month(day: &str) -> String {
    day.get(..7).unwrap_or(day).to_owned()
}

/// What was promised with a donation, and what of it was cancelled: deliveries draw on the promise and leave it as it is.
fn pledge(conn: &mut Conn, span: &Span, donation: &Donation, handles: &Handles) -> Result<Option<Section>, Fault> {
    let Some(receivable) = ledger::store::account(conn, &Key::donation(donation.id, Bucket::Receivable))? else { return Ok(None) };
    let lines = ledger::store::lines(conn, &[receivable], Page::ALL)?;
    let mut moves: BTreeMap<i64, i64> = BTreeMap::new();
    for (posting, line) in lines {
        *moves.entry(ledger::store::seq_of_posting(posting)).or_default() += line.amount;
    }
    let seqs: Vec<i64> = moves.range(..=span.last).map(|(seq, _)| *seq).collect();
    let mut entries = ledger::store::entries_of(conn, &seqs)?;
    entries.retain(|entry| matches!(entry.kind, Kind::Pledge | Kind::Cancellation));
    entries.sort_by_key(|entry| entry.seq);
    let minor = |seq: i64| moves.get(&seq).copied().unwrap_or(0);
    let sum = |last: i64| ledger::journal::total(entries.iter().filter(|entry| entry.seq <= last).map(|entry| minor(entry.seq)));
    let mut roll =
        Roll::new(receivable.unit, OF_DONATION, format!("/v1/donations/{}", donation.id)).of_donation(donation.id, &donation.about.title);
    roll.stands(OF_DONATION, sum(span.before)?, sum(span.last)?)?;
    for entry in entries.iter().filter(|entry| entry.seq > span.before) {
        let mut figures = Figures::none(receivable.unit, &[]);
        figures.add(Column::Pledged, minor(entry.seq))?;
        roll.line(Line {
            handle: Some(handles.name(Handle::Line(donation.id.stamp(), entry.seq))),
            kind: entry.kind.word(),
            recorded_on: entry.recorded_at.day(),
            effective_on: entry.effective_at.day(),
            late: entry.effective_at < span.period.from,
            charge: None,
            charge_seq: None,
            link: None,
            figures,
        });
    }
    Ok((!roll.is_idle()).then(|| roll.into_section()))
}

/// So much used of a lot, or given back to it, for a job.
struct Use {
    unit: Unit,
    grant: GrantId,
    resource: ResourceId,
    month: String,
    spent: i64,
}

/// What jobs may have in common, in the order in which it is told.
const BY: [&str; 4] = ["field_of_science", "institution", "resource", "month"];

/// What was used by each thing that jobs have in common.
fn used(conn: &mut Conn, uses: &[Use]) -> Result<Vec<UsedBy>, Fault> {
    let places = Places::read(conn, uses)?;
    let mut by_unit: BTreeMap<Unit, [Cells; 4]> = BTreeMap::new();
    for one in uses {
        let cells = by_unit.entry(one.unit).or_default();
        let (project, field, institution) = places.of(one.grant)?;
        let resource = places.resources.get(&one.resource).cloned().unwrap_or_default();
        let shared = [
            (field.clone(), field, None),
            (institution.0.clone(), institution.1, Some(institution.0)),
            (one.resource.to_string(), resource, Some(one.resource.to_string())),
            (one.month.clone(), one.month.clone(), None),
        ];
        for (cells, (key, name, id)) in cells.iter_mut().zip(shared) {
            cells.add(&key, project, one.spent, || (name, id))?;
        }
    }
    let mut told = Vec::new();
    for (unit, cells) in by_unit {
        for (by, cells) in BY.into_iter().zip(cells) {
            let (cells, other) = cells.grouped()?;
            let cell = |cell: Cell| UsedCell { name: cell.name, id: cell.id, spent: Amount::new(cell.spent, unit) };
            let other = other.map(|cell| Amount::new(cell.spent, unit));
            told.push(UsedBy { by, unit, cells: cells.into_iter().map(cell).collect(), other });
        }
    }
    Ok(told)
}

/// Where jobs belong to: each grant's project, with its field and institution, and the names of resources.
struct Places {
    grants: HashMap<GrantId, ProjectId>,
    projects: HashMap<ProjectId, (String, (String, String))>,
    resources: HashMap<ResourceId, String>,
}

impl Places {
    fn read(conn: &mut Conn, uses: &[Use]) -> Result<Places, Fault> {
        let distinct = |stamps: &mut dyn Iterator<Item = i64>| {
            let mut all: Vec<i64> = stamps.collect();
            all.sort_unstable();
            all.dedup();
            Some(all)
        };
        let of = grants::Of { ids: distinct(&mut uses.iter().map(|one| one.grant.stamp())), ..grants::Of::default() };
        let found = grants::store::grants(conn, &of, Page::ALL)?;
        let grants: HashMap<GrantId, ProjectId> = found.iter().map(|grant| (grant.id, grant.about.project)).collect();
        let of = directory::Of { ids: distinct(&mut grants.values().map(|project| project.stamp())), ..directory::Of::default() };
        let found = directory::store::projects(conn, &of, Page::ALL)?;
        let of =
            directory::Of { ids: distinct(&mut found.iter().map(|project| project.about.institution.stamp())), ..directory::Of::default() };
        let institutions: HashMap<_, _> =
            directory::store::institutions(conn, &of, Page::ALL)?.into_iter().map(|one| (one.id, one.about.name)).collect();
        let projects = found.into_iter().map(|project| {
            let institution = project.about.institution;
            let name = institutions.get(&institution).cloned().unwrap_or_default();
            (project.id, (project.about.field_of_science, (institution.to_string(), name)))
        });
        let projects = projects.collect();
        let of = directory::Of { ids: distinct(&mut uses.iter().map(|one| one.resource.stamp())), ..directory::Of::default() };
        let resources = directory::store::resources(conn, &of, Page::ALL)?.into_iter().map(|one| (one.id, one.about.name)).collect();
        Ok(Places { grants, projects, resources })
    }

    /// A grant's project, field, and institution by identifier and name.
    fn of(&self, grant: GrantId) -> Result<(ProjectId, String, (String, String)), Fault> {
        let project = self.grants.get(&grant);
        let found = project.and_then(|project| self.projects.get(project).map(|(field, place)| (*project, field.clone(), place.clone())));
        found.ok_or_else(|| Fault::Internal(format!("{grant} is of no project")))
    }
}
