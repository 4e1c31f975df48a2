//! Disclosure of funding: which donors paid for the compute that a project really used, and what share of it.
//!
//! Counted are jobs that ended in the period, net of refunds; a cover's lots count as the charge's; what was used beyond the grants
//! and nobody has paid stands apart. A credit's path is lot, donation, donor. Shares of a unit add up to 100 % (largest remainder). The
//! donors' role is nobody's to assert here: the sentence about it is offered, unticked. Forms for papers and registries are in
//! `words`, `markup` and `records`; every name in them is escaped. It may not know persons or jobs.

pub mod markup;
pub mod records;
mod store;
pub mod words;

use std::collections::BTreeMap;

use serde_json::json;

use crate::amount::{Amount, Unit};
use crate::directory::{self, Project};
use crate::donations::{self, Donation, Donor};
use crate::grants;
use crate::id::{DonationId, DonorId, LotId, PersonId, ProjectId};
use crate::ledger::{self, Draft, Kind};
use crate::refusal::Refusal;
use crate::store::{Conn, Fault, Page, Work};
use crate::time::Time;

use super::used::each_use;

/// Shares are counted in hundredths of a percent.
pub const WHOLE: i64 = 10_000;

/// A sentence that authors may add where it is true. Nothing here says that it is.
pub const DONORS_ROLE: &str = "The donors of the compute had no role in the design of the study, in the collection, analysis and \
    interpretation of data, in the writing of the report, or in the decision to publish it.";

/// What one lot paid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LotPart {
    /// Which lot.
    pub lot: LotId,
    /// How much.
    pub amount: Amount,
}

/// What one donation paid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DonationPart {
    /// Which donation.
    pub donation: Donation,
    /// How much.
    pub amount: Amount,
    /// Lot by lot.
    pub lots: Vec<LotPart>,
}

/// What one donor paid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DonorPart {
    /// Which donor.
    pub donor: Donor,
    /// How much.
    pub amount: Amount,
    /// In hundredths of a percent of what was used in the unit.
    pub share: i64,
    /// Donation by donation.
    pub donations: Vec<DonationPart>,
}

/// What was used in one unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnitPart {
    /// Which unit.
    pub unit: Unit,
    /// All that was used.
    pub used: Amount,
    /// By donor, who paid most first.
    pub donors: Vec<DonorPart>,
    /// Used beyond the grants and not paid by anybody, with its share.
    pub uncovered: Option<(Amount, i64)>,
}

/// Who funded a project's compute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Disclosure {
    /// Which project.
    pub project: Project,
    /// Jobs that ended at this moment or later.
    pub from: Option<Time>,
    /// Jobs that ended before this moment.
    pub to: Option<Time>,
    /// When it was made.
    pub as_of: Time,
    /// By unit.
    pub units: Vec<UnitPart>,
}

impl Disclosure {
    /// The same with one part for each donor: what everybody may read names no donation and no lot.
    pub fn by_donor(mut self) -> Disclosure {
        for part in self.units.iter_mut().flat_map(|unit| &mut unit.donors) {
            part.donations.truncate(1);
            if let Some(all) = part.donations.first_mut() {
                all.donation.about.title = format!("Compute credits of {}", part.donor.about.name);
                all.donation.about.external_id = None;
                (all.amount, all.lots) = (part.amount, Vec::new());
            }
        }
        self
    }

    /// Every donor once, who paid most of the first unit first.
    pub fn donors(&self) -> Vec<&Donor> {
        let mut found: Vec<&Donor> = Vec::new();
        for part in self.units.iter().flat_map(|unit| &unit.donors) {
            if !found.iter().any(|donor| donor.id == part.donor.id) {
                found.push(&part.donor);
            }
        }
        found
    }

    /// Every donation once, with its donor.
    pub fn donations(&self) -> Vec<(&Donor, &DonationPart)> {
        let parts = self.units.iter().flat_map(|unit| &unit.donors);
        parts.flat_map(|part| part.donations.iter().map(|donation| (&part.donor, donation))).collect()
    }
}

/// A donor's identifier in the Research Organization Registry as a URL, if it has one of the right form.
pub fn ror(donor: &Donor) -> Option<String> {
    let given = donor.about.ror.as_deref()?;
    let code = given.strip_prefix("https://ror.org/").unwrap_or(given);
    let form = code.len() == 9 && code.starts_with('0') && code.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
    form.then(|| format!("https://ror.org/{code}"))
}

/// Shares that add up to `WHOLE`: each rounded down, what is missing goes to the largest remainders, the first of equal ones first.
/// None where all parts are nothing.
pub fn shares(parts: &[i64]) -> Vec<i64> {
    let total: i128 = parts.iter().map(|part| i128::from(*part)).sum();
    if total <= 0 {
        return vec![0; parts.len()];
    }
    let exact: Vec<i128> = parts.iter().map(|part| i128::from(*part) * i128::from(WHOLE)).collect();
    // At most WHOLE, so it fits.
    let mut shares: Vec<i64> = exact.iter().map(|whole| i64::try_from(whole / total).unwrap_or(0)).collect();
    let missing = usize::try_from(WHOLE - shares.iter().sum::<i64>()).unwrap_or(0);
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(exact.get(*place).map(|whole| whole % total)));
    for place in order.into_iter().take(missing) {
        if let Some(share) = shares.get_mut(place) {
            *share += 1;
        }
    }
    shares
}

/// What was paid in one unit: by lot, and beyond all lots.
#[derive(Default)]
pub struct Paid {
    lots: BTreeMap<LotId, i64>,
    uncovered: i64,
}

impl Paid {
    /// Counts so much more, paid by a lot or by nobody.
    pub fn add(&mut self, lot: Option<LotId>, minor: i64) -> Result<(), Refusal> {
        let sum = lot.map_or(&mut self.uncovered, |lot| self.lots.entry(lot).or_default());
        *sum = sum.checked_add(minor).ok_or_else(crate::amount::out_of_range)?;
        Ok(())
    }
}

/// Who funded a project's compute, by jobs that ended from one moment until before another. Errors: `not_found`.
pub fn disclose(conn: &mut Conn, id: ProjectId, from: Option<Time>, to: Option<Time>, now: Time) -> Result<Disclosure, Fault> {
    let project = directory::project(conn, id)?.ok_or_else(Refusal::not_found)?;
    let of = grants::Of { projects: Some(vec![id.stamp()]), ..grants::Of::default() };
    let mut by_unit: BTreeMap<Unit, Paid> = BTreeMap::new();
    for grant in grants::store::grants(conn, &of, Page::ALL)? {
        let paid = by_unit.entry(grant.about.requested.unit).or_default();
        each_use(conn, grant.id, from, |one| {
            if to.is_none_or(|to| one.ended_at < to) {
                paid.add(one.lot, one.amount)?;
            }
            Ok(())
        })?;
    }
    let units = unit_parts(conn, by_unit)?;
    Ok(Disclosure { project, from, to, as_of: now, units })
}

/// Who paid what in each unit, from what was paid lot by lot; nothing of a unit in which nothing was used.
pub fn unit_parts(conn: &mut Conn, paid: BTreeMap<Unit, Paid>) -> Result<Vec<UnitPart>, Fault> {
    let mut units = Vec::new();
    for (unit, paid) in paid {
        units.extend(unit_part(conn, unit, paid)?);
    }
    Ok(units)
}

fn unit_part(conn: &mut Conn, unit: Unit, mut paid: Paid) -> Result<Option<UnitPart>, Fault> {
    paid.lots.retain(|_, amount| *amount > 0);
    let uncovered = paid.uncovered.max(0);
    let used = ledger::journal::total(paid.lots.values().copied().chain([uncovered]))?;
    if used == 0 {
        return Ok(None);
    }
    let mut donors = donor_parts(conn, unit, &paid.lots)?;
    donors.sort_by_key(|part| (std::cmp::Reverse(part.amount.minor), part.donor.id));
    let amounts: Vec<i64> = donors.iter().map(|part| part.amount.minor).chain([uncovered]).collect();
    let shares = shares(&amounts);
    donors.iter_mut().zip(&shares).for_each(|(part, share)| part.share = *share);
    let rest = shares.last().copied().unwrap_or(0);
    let uncovered = (uncovered > 0).then(|| (Amount::new(uncovered, unit), rest));
    Ok(Some(UnitPart { unit, used: Amount::new(used, unit), donors, uncovered }))
}

fn donor_parts(conn: &mut Conn, unit: Unit, paid: &BTreeMap<LotId, i64>) -> Result<Vec<DonorPart>, Fault> {
    let lots = donations::lots(conn, paid.keys().copied())?;
    let mut found: BTreeMap<DonorId, BTreeMap<DonationId, Vec<LotPart>>> = BTreeMap::new();
    for (id, minor) in paid {
        let lot = lots.get(id).ok_or_else(|| Fault::Internal(format!("{id} paid and does not exist")))?;
        let part = LotPart { lot: *id, amount: Amount::new(*minor, unit) };
        found.entry(lot.donor).or_default().entry(lot.donation).or_default().push(part);
    }
    let sum = |parts: &[LotPart]| ledger::journal::total(parts.iter().map(|part| part.amount.minor));
    let mut donors = Vec::new();
    for (id, given) in found {
        let of = donations::Of { ids: Some(vec![id.stamp()]), ..donations::Of::default() };
        let donor = donations::store::donors(conn, &of, Page::ALL)?.pop().ok_or_else(Refusal::not_found)?;
        let mut parts = Vec::new();
        for (donation, lots) in given {
            let amount = Amount::new(sum(&lots)?, unit);
            parts.push(DonationPart { donation: donations::donation(conn, donation)?, amount, lots });
        }
        let amount = Amount::new(ledger::journal::total(parts.iter().map(|part| part.amount.minor))?, unit);
        donors.push(DonorPart { donor, amount, share: 0, donations: parts });
    }
    Ok(donors)
}

/// Whether a project has made its disclosure public.
pub fn is_public(conn: &mut Conn, project: ProjectId) -> Result<bool, Fault> {
    store::is_public(conn, project)
}

/// What every project has said of it last, and in which entry of the journal.
pub fn publications(conn: &mut Conn) -> Result<Vec<(ProjectId, bool, i64)>, Fault> {
    store::publications(conn)
}

/// Makes a project's disclosure public, or takes that back. What is so already stays as it is.
pub fn publish(work: &mut Work<'_>, who: PersonId, project: ProjectId, public: bool) -> Result<(), Fault> {
    if store::is_public(work.sql()?, project)? == public {
        return Ok(());
    }
    let body = json!({"project": project, "public": public});
    let birth = ledger::post(work, Draft::note(Kind::DisclosurePublication, who, work.now(), &body).about(project.stamp()))?;
    store::publish(work.sql_mut()?, project, public, birth.seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_whole() {
        assert_eq!(shares(&[1, 1, 1]), [3334, 3333, 3333]);
        assert_eq!(shares(&[625, 375]), [6250, 3750]);
        assert_eq!(shares(&[i64::MAX, 1, 0]), [10_000, 0, 0]);
        assert_eq!(shares(&[0, 0]), [0, 0]);
        for seed in 1..200i64 {
            let parts: Vec<i64> = (1..=seed % 17 + 1).map(|n| (n * seed * 7919) % 1013).collect();
            let whole = if parts.iter().all(|part| *part == 0) { 0 } else { WHOLE };
            assert_eq!(shares(&parts).iter().sum::<i64>(), whole, "{parts:?}");
        }
    }
}
