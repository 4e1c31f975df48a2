//! The demo: a believable year of books, played through the same verbs as everybody's, with the clock held and moved along.
//!
//! Deterministic: the same seed, issuer and end give the same journal to the last byte. What is public and what is invented is said
//! in the titles of donations and in every reason; nobody in it is a real person. Bounds: it is played into empty books, once.

mod givers;
mod jobs;
mod places;
mod programme;
mod random;
mod reporting;
mod stage;

use crate::actor::{Actor, Role};
use crate::grants;
use crate::id::{DonationId, GrantId, LotId, UsageId};
use crate::store::{Fault, Page, Store};
use crate::time::Time;
use crate::usage;
use givers::Givers;
use places::{ACCELERATOR, Place, SITES};
use programme::{LIVELY, OVERDRAWN, Plan, Programme};
use random::Random;
use reporting::Reporting;
use stage::{DAYS, Stage, missing};

/// Jobs that run within the year, about.
const JOBS: i64 = 65_000;
/// The days on which the accelerator cloud's lower price is proposed, is confirmed and begins.
const RATE_PROPOSED: i64 = 190;
const RATE_CONFIRMED: i64 = 192;
const RATE_BEGINS: i64 = 200;

/// The day on which more is asked for, and not decided before the year ends.
const LAST_WISH: i64 = 360;

/// How much there is of everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Donors.
    pub donors: u64,
    /// Donations, one of which waits for acceptance.
    pub donations: u64,
    /// Deliveries, one of which was reversed.
    pub lots: u64,
    /// Institutions, the sites included.
    pub institutions: u64,
    /// Projects.
    pub projects: u64,
    /// Requests for credits.
    pub requests: u64,
    /// Grants: requests that were awarded.
    pub grants: u64,
    /// Grants that have ended, their unused credits gone back.
    pub ended: u64,
    /// Charges.
    pub charges: u64,
    /// Charges that went beyond their grant.
    pub overdrawn: u64,
    /// Refunds.
    pub refunds: u64,
    /// Records that were set aside, one of which is still open.
    pub quarantined: u64,
}

/// What the demo has made: who may sign in, how much there is, and what is worth opening.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Made {
    /// Audits own donations: those of “Example Cloud”.
    pub donor: Actor,
    /// Decides.
    pub officer: Actor,
    /// Decides what the first may not.
    pub officer2: Actor,
    /// Leads the first two projects.
    pub researcher: Actor,
    /// Reports for “Example Cloud East”.
    pub provider: Actor,
    /// Reads everything.
    pub auditor: Actor,
    /// Runs the service.
    pub admin: Actor,
    /// How much there is.
    pub counts: Counts,
    /// The researcher's grant, in full use.
    pub lively: GrantId,
    /// The researcher's grant that was used beyond its end.
    pub overdrawn: GrantId,
    /// A lot of which a part lapsed.
    pub lapsed: LotId,
    /// A lot of which a part went back to its donor.
    pub returned: LotId,
    /// A donation that waits for acceptance by the second officer.
    pub proposed: DonationId,
    /// Requests that wait for a decision; the second is the researcher's.
    pub waiting: [GrantId; 2],
    /// The request that was rejected.
    pub rejected: GrantId,
    /// The usage record that no grant fits.
    pub stray: UsageId,
}

/// Plays the year that ends at `until` into empty books. The store must have been opened with a held clock; it stands at `until`
/// afterwards. `issuer` is who will vouch for the actors; `progress` is told the days done and all there are.
///
/// Errors: `duplicate_external_id` where the books are not empty.
pub fn make(store: &Store, issuer: &str, seed: u64, until: Time, progress: &mut dyn FnMut(u64, u64)) -> Result<Made, Fault> {
    play(store, issuer, seed, until, JOBS, progress)
}

fn play(store: &Store, issuer: &str, seed: u64, until: Time, jobs: i64, progress: &mut dyn FnMut(u64, u64)) -> Result<Made, Fault> {
    let mut random = Random::new(seed);
    let plan = Plan::draw(&mut random);
    let stage = Stage::open(store, issuer, until)?;
    let units = places::units(&stage)?;
    let campuses = places::campuses(&stage)?;
    let mut sites: Vec<Place> = Vec::with_capacity(SITES.len());
    for (at, site) in SITES.iter().enumerate() {
        sites.push(places::site(&stage, at, *units.get(site.unit).ok_or_else(|| missing("a unit"))?)?);
    }
    Programme::begin(&stage, &units)?;
    let givers = Givers::arrive(&stage)?;
    let reporting = Reporting::new(random, &plan, jobs);
    let mut year = Year { stage, sites, givers, programme: Programme::new(plan), reporting, proposed_rate: None };
    for day in 0..DAYS {
        year.stage.turn_to(day, 490)?;
        year.givers.play(&year.stage, day, &units, &year.sites)?;
        year.programme.welcome(&year.stage, day, &campuses, &year.sites)?;
        year.day(day)?;
        progress(day.unsigned_abs() + 1, DAYS.unsigned_abs());
    }
    year.stage.turn_to(DAYS, 0)?;
    year.made()
}

/// The year as it goes.
struct Year<'s> {
    stage: Stage<'s>,
    sites: Vec<Place>,
    givers: Givers,
    programme: Programme,
    reporting: Reporting,
    proposed_rate: Option<crate::id::RateId>,
}

impl Year<'_> {
    /// A day from its late morning to the reports of the next.
    fn day(&mut self, day: i64) -> Result<(), Fault> {
        let Year { stage, sites, programme, reporting, .. } = self;
        stage.turn_to(day, 600)?;
        programme.ask(stage, day, sites)?;
        if let Some(home) = programme.grant_of(LIVELY, false).ok().filter(|_| day > 100) {
            reporting.stray(stage, day, sites, home)?;
        }
        if day == LAST_WISH {
            programme.wish(stage)?;
        }
        stage.turn_to(day, 840)?;
        for award in programme.decide(stage, day)? {
            reporting.begin(&programme.plan, &award)?;
        }
        self.reprice(day)?;
        self.stage.turn_to(day, 960)?;
        self.reporting.refund(&self.stage, day, &self.sites)?;
        if self.stage.weekday(day) == 6 {
            self.stage.turn_to(day, 1380)?;
            self.stage.store.write(usage::sweep)?;
        }
        self.reporting.work(&self.stage, day);
        self.reporting.report(&self.stage, day, &self.sites)
    }

    /// The accelerator cloud's rate falls: proposed by its own person, confirmed by an officer before it begins.
    fn reprice(&mut self, day: i64) -> Result<(), Fault> {
        match (day, self.proposed_rate) {
            (RATE_PROPOSED, _) => {
                let site = self.sites.get(ACCELERATOR).ok_or_else(|| missing("a site"))?;
                self.proposed_rate = Some(places::propose_lower_rate(&self.stage, site, self.stage.at(RATE_BEGINS, 0))?);
                Ok(())
            }
            (RATE_CONFIRMED, Some(rate)) => places::confirm_rate(&self.stage, rate),
            _ => Ok(()),
        }
    }

    fn made(self) -> Result<Made, Fault> {
        let Year { stage, sites, givers, programme, reporting, .. } = self;
        // An award books ends too, not the sweep alone, so they are counted in the books.
        let of = grants::Of { states: Some(vec![grants::State::Ended.word().into()]), ..grants::Of::default() };
        let ended = stage.store.read(|conn| grants::store::grants(conn, &of, Page::ALL))?.len() as u64;
        let (waiting, rejected) = programme.undecided()?;
        let mut researcher = stage.actor("demo-researcher", Role::Researcher);
        researcher.projects = vec![programme.project(LIVELY)?, programme.project(OVERDRAWN)?];
        let mut provider = stage.actor(&places::provider_subject(places::EAST), Role::Provider);
        provider.provider = sites.get(places::EAST).map(|site| site.institution);
        let mut donor = stage.actor("demo-donor", Role::Donor);
        donor.donor = Some(givers.speaker()?);
        let ((donors, donations, lots), (projects, requests), tally) = (givers.counts(), programme.counts(), reporting.tally);
        Ok(Made {
            donor,
            officer: stage.actor("demo-officer", Role::Officer),
            officer2: stage.actor("demo-officer2", Role::Officer),
            researcher,
            provider,
            auditor: stage.actor("demo-auditor", Role::Auditor),
            admin: stage.actor("demo-admin", Role::Admin),
            counts: Counts {
                donors,
                donations,
                lots,
                institutions: (places::CAMPUSES + sites.len()) as u64,
                projects,
                requests,
                grants: programme.awarded,
                ended,
                charges: tally.charges,
                overdrawn: tally.overdrawn,
                refunds: tally.refunds,
                quarantined: tally.quarantined,
            },
            lively: programme.grant_of(LIVELY, false)?,
            overdrawn: programme.grant_of(OVERDRAWN, false)?,
            lapsed: givers.lapsed()?,
            returned: givers.returned()?,
            proposed: givers.undecided()?,
            waiting,
            rejected,
            stray: reporting.unresolved()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::ledger;
    use crate::store::Database;
    use crate::time::Clock;

    /// A year with fewer jobs in a fresh database, and the digest of its journal.
    fn played(seed: u64) -> (Made, Vec<u8>) {
        let folder = tempfile::tempdir().expect("a folder");
        let until = Time::parse("2026-03-02T00:00:00Z").expect("a time");
        let store = Store::open(&Database::in_folder(folder.path()), Clock::held(until)).expect("opens");
        let made = play(&store, "https://demo.example", seed, until, 1_500, &mut |_, _| ()).expect("plays");
        assert_eq!(store.clock().now(), until);
        let digest = store.read(|conn| {
            let head = ledger::store::head(conn)?;
            let entries = ledger::store::entries(conn, 1, head)?;
            assert!(entries.iter().all(|entry| entry.recorded_at < until));
            Ok(Sha256::digest(format!("{entries:?}")).to_vec())
        });
        (made, digest.expect("reads"))
    }

    #[test]
    fn the_same_seed_makes_the_same_books() {
        let (first, again, other) = (played(7), played(7), played(8));
        assert_eq!(first, again);
        assert_ne!(first.1, other.1);
    }
}
