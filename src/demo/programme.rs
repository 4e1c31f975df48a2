//! The demo's programme: 212 projects, what they ask for, and what two officers decide.
//!
//! The plan is pure and made beforehand from the seed; the verbs then play it day by day. Everything here is invented: project
//! identifiers, titles and reasons. No person is named: who leads a project is called after it.

use super::givers::whole;
use super::places::{ACCELERATOR, CAMPUSES, EAST, NATIONAL, Place, REGIONAL, SITES};
use super::random::Random;
use super::stage::{Cast, DAYS, Stage, missing};
use crate::actor::Role;
use crate::amount::{Amount, Unit};
use crate::directory::{self, AccountMapping, NewProject};
use crate::grants::policy::NewPolicy;
use crate::grants::{self, Change, NewGrant, Overdraft, Ruling, Verdict};
use crate::id::{GrantId, Id, InstitutionId, PersonId, ProjectId};
use crate::refusal::Code;
use crate::store::{Fault, Work};
use crate::time::Period;

/// Projects in the programme.
pub(super) const PROJECTS: usize = 212;
/// Of these, how many are there from the first day of the programme.
const FIRST_WAVE: usize = 60;
/// The project of the researcher who signs in.
pub(super) const LIVELY: usize = 0;
/// The project that uses more than it was granted; the same researcher's.
pub(super) const OVERDRAWN: usize = 1;
/// The project whose request is rejected, and the one whose request waits beside one of the lively project.
const REJECTED: usize = 40;
const WAITING: usize = 211;

/// Field of science and what is studied in it.
const FIELDS: [(&str, [&str; 4]); 11] = [
    ("computer science", ["language models for rare languages", "verified machine learning", "graph learning", "efficient training"]),
    ("climate science", ["regional climate ensembles", "sea ice", "cloud formation", "extreme rainfall"]),
    ("earth science", ["earthquake early warning", "groundwater", "coastal erosion", "volcanic ash"]),
    ("biology", ["protein folding", "single-cell atlases", "plant genomes", "microbial communities"]),
    ("physics", ["lattice field theory", "plasma turbulence", "detector simulation", "quantum materials"]),
    ("chemistry", ["catalyst search", "reaction networks", "molecular dynamics of water", "battery electrolytes"]),
    ("materials science", ["alloys for turbines", "porous frameworks", "thin films", "glass transitions"]),
    ("medicine", ["retinal images", "sepsis forecasts", "drug interactions", "speech after stroke"]),
    ("astronomy", ["galaxy surveys", "gravitational waves", "exoplanet spectra", "radio transients"]),
    ("social science", ["historical newspapers", "census linkage", "traffic and air", "court records"]),
    ("engineering", ["wind farm wakes", "bridge monitoring", "robot grasping", "power grid planning"]),
];

const METHODS: [&str; 5] = ["Foundation models for", "Surrogate models of", "Open data on", "Uncertainty in", "Scaling studies of"];

/// From which amount on two officers decide, for each of the units, in whole units.
const TWO_ABOVE: [i64; 3] = [200_000, 25_000, 1_000_000];

/// What is asked for at each site, in whole units, with weights.
const SIZES: [(&[i64], &[i64]); 4] = [
    (&[10_000, 25_000, 60_000, 120_000, 250_000, 500_000], &[20, 30, 25, 15, 7, 3]),
    (&[20_000, 50_000, 120_000, 300_000, 800_000], &[20, 35, 25, 15, 5]),
    (&[2_000, 5_000, 12_000, 30_000, 80_000], &[20, 35, 25, 15, 5]),
    (&[400_000, 1_500_000, 3_000_000], &[60, 30, 10]),
];

/// What happens to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// So many parts in a hundred are awarded.
    Awarded(i64),
    Rejected,
    Waits,
}

/// One request, planned.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub project: usize,
    pub site: usize,
    requested: i64,
    purpose: &'static str,
    asked: i64,
    decided: i64,
    /// First day and number of days of the period.
    pub starts: i64,
    pub days: i64,
    fate: Fate,
    overdraft: Overdraft,
    /// Its part of all jobs of a day, relative to the others'.
    pub weight: i64,
    /// How much of the award would be used by the end, in a hundred parts.
    pub used: i64,
}

impl Ask {
    /// Days of the period within the year; 0 for what is not awarded.
    pub fn active_days(&self) -> i64 {
        match self.fate {
            Fate::Awarded(_) => (self.starts + self.days).min(DAYS) - self.starts,
            _ => 0,
        }
    }
}

/// The whole plan.
pub(super) struct Plan {
    joined: Vec<i64>,
    pub asks: Vec<Ask>,
}

impl Plan {
    /// Draws a plan.
    pub fn draw(random: &mut Random) -> Plan {
        let late = (PROJECTS - FIRST_WAVE) as i64;
        // The first wave at once, the others week by week until a month before the end.
        let week = |place: i64| (place - FIRST_WAVE as i64 + 1).max(0) * 46 / late;
        let joined: Vec<i64> = (0..PROJECTS as i64).map(|place| 8 + week(place) * 7).collect();
        let mut asks: Vec<Ask> = joined.iter().enumerate().map(|(place, day)| ask(random, place, *day)).collect();
        for place in (2..=60).step_by(2).filter(|place| *place != REJECTED) {
            let day = 120 + random.below(200);
            let mut again = ask(random, place, day);
            again.site = asks.get(place).map_or(EAST, |first| other_site(first.site, place));
            again.requested = size(random, again.site).0;
            if again.site == EAST && again.decided > 215 {
                again.purpose = "open-science";
            }
            asks.push(again);
        }
        let mut plan = Plan { joined, asks };
        plan.cast_specials();
        plan
    }

    /// The requests that must turn out as promised whatever the seed says.
    fn cast_specials(&mut self) {
        let special = |project: usize, site: usize, requested: i64, asked: i64, fate: Fate| Ask {
            project,
            site,
            requested,
            purpose: "research",
            asked,
            decided: asked + 5,
            starts: asked + 6,
            days: 365,
            fate,
            overdraft: Overdraft::Record,
            weight: 12_000,
            used: 70,
        };
        let specials = [
            (LIVELY, special(LIVELY, EAST, 250_000, 9, Fate::Awarded(80))),
            (OVERDRAWN, special(OVERDRAWN, ACCELERATOR, 50_000, 10, Fate::Awarded(100))),
            (REJECTED, special(REJECTED, EAST, 2_000_000, 40, Fate::Rejected)),
            (WAITING, special(WAITING, NATIONAL, 12_000, 361, Fate::Waits)),
        ];
        for (place, ask) in specials {
            if let Some(planned) = self.asks.get_mut(place) {
                *planned = ask;
            }
        }
        self.asks.push(special(LIVELY, NATIONAL, 12_000, 130, Fate::Awarded(100)));
        self.asks.push(special(LIVELY, REGIONAL, 1_500_000, 363, Fate::Waits));
    }
}

/// A first request: its site follows the project's campus, as some donors ask for kinds of institution.
fn ask(random: &mut Random, project: usize, joined: i64) -> Ask {
    let hospital = project % CAMPUSES % 10 == 9;
    let site = random.weighted(if hospital { &[4, 3, 3, 0] } else { &[36, 22, 24, 18] });
    let (requested, tier) = size(random, site);
    let asked = joined + random.between(1, 5);
    let decided = asked + random.between(3, 12);
    let fate = Fate::Awarded([100, 80, 75, 60, 50][random.weighted(&[70, 10, 8, 7, 5])]);
    Ask {
        project,
        site,
        requested,
        purpose: if site == EAST && random.in_thousand(350) { "education" } else { "research" },
        asked,
        decided,
        starts: decided + 1,
        days: [90, 180, 365][random.weighted(&[15, 35, 50])],
        fate,
        overdraft: if site == REGIONAL && random.in_thousand(300) { Overdraft::Reject } else { Overdraft::Record },
        weight: random.tail().clamp(200, 6_000) * (1 + tier),
        used: [5, 20, 45, 70, 90, 98][random.weighted(&[10, 15, 25, 25, 15, 10])],
    }
}

/// An amount usual at a site, and how far up its table it stands.
fn size(random: &mut Random, site: usize) -> (i64, i64) {
    let (sizes, weights) = SIZES[site % SIZES.len()];
    let tier = random.weighted(weights);
    (sizes.get(tier).copied().unwrap_or(1), tier as i64)
}

/// Another site than the first request's, never one whose donors would not have the campus.
fn other_site(first: usize, project: usize) -> usize {
    match first {
        EAST => NATIONAL,
        NATIONAL => EAST,
        ACCELERATOR if project % CAMPUSES % 10 != 9 => REGIONAL,
        _ => EAST,
    }
}

/// The identifier that everybody uses for a project.
pub(super) fn external_id(project: usize) -> String {
    format!("NAIRR-DEMO-{:03}", project + 1)
}

/// The account that stands for a project on a centre's cluster.
pub(super) fn account(project: usize) -> String {
    format!("demo{:03}", project + 1)
}

fn subject(project: usize) -> String {
    if project <= OVERDRAWN { "demo-researcher".into() } else { format!("demo-pi-{:03}", project + 1) }
}

fn described(place: usize, institution: InstitutionId) -> NewProject {
    let (field, topics) = FIELDS[place % FIELDS.len()];
    let (method, topic) = (METHODS[place / 3 % METHODS.len()], topics[place / FIELDS.len() % topics.len()]);
    let external_id = external_id(place);
    NewProject {
        title: format!("{method} {topic} (example project)"),
        institution,
        field_of_science: field.into(),
        pi_name: format!("Principal investigator of {external_id}"),
        pi_orcid: None,
        external_id: Some(external_id),
    }
}

/// A request in the books.
#[derive(Clone, Copy, Debug)]
struct Request {
    ask: usize,
    grant: GrantId,
}

/// An award in the books.
#[derive(Clone, Copy, Debug)]
pub(super) struct Award {
    pub ask: usize,
    pub grant: GrantId,
    pub period: Period,
    pub awarded: Amount,
}

/// The programme in the books.
pub(super) struct Programme {
    pub plan: Plan,
    projects: Vec<(ProjectId, PersonId)>,
    requests: Vec<Request>,
    pub awarded: u64,
}

impl Programme {
    pub fn new(plan: Plan) -> Programme {
        Programme { plan, projects: Vec::new(), requests: Vec::new(), awarded: 0 }
    }

    /// The programme's first day: from which amounts on two officers must agree.
    pub fn begin(stage: &Stage<'_>, units: &[Unit]) -> Result<(), Fault> {
        let policy = |(unit, above): (&Unit, i64)| NewPolicy {
            unit: *unit,
            two_above: Some(whole(above, *unit)),
            three_above: None,
            carry_over: 0,
            refund_alone: None,
        };
        let policies: Vec<NewPolicy> = units.iter().zip(TWO_ABOVE).map(policy).collect();
        let admin = stage.cast.admin;
        stage.store.write(move |work| policies.iter().try_for_each(|new| grants::policy::set(work, admin, new).map(|_| ())))
    }

    /// A wish that waits at the year's end: more for the lively project.
    pub fn wish(&self, stage: &Stage<'_>) -> Result<(), Fault> {
        let (grant, person) = (self.grant_of(LIVELY, false)?, self.projects.get(LIVELY).ok_or_else(|| missing("a project"))?.1);
        stage.store.write(move |work| {
            let unit = grants::grant(work.sql()?, grant)?.awarded.unit;
            let change = Change::Supplement(whole(20_000, unit));
            grants::amend::propose(work, person, grant, change, "The last experiment needs more (invented for the demo).").map(|_| ())
        })
    }

    /// Registers the projects that join on a day, with who leads them and the accounts that stand for them.
    pub fn welcome(&mut self, stage: &Stage<'_>, day: i64, campuses: &[InstitutionId], places: &[Place]) -> Result<(), Fault> {
        let first = self.projects.len();
        let joining = self.plan.joined.iter().skip(first).take_while(|on| **on <= day).count();
        if joining == 0 {
            return Ok(());
        }
        let officer = stage.cast.officer;
        let mut new = Vec::with_capacity(joining);
        for place in first..first + joining {
            let campus = campuses.get(place % CAMPUSES).ok_or_else(|| missing("a campus"))?;
            new.push((place, stage.actor(&subject(place), Role::Researcher), described(place, *campus)));
        }
        let centres: Vec<_> = SITES.iter().zip(places).filter(|(site, _)| site.own_accounts).map(|(site, _)| site.cluster).collect();
        let made = stage.store.write(move |work| {
            let mut made = Vec::with_capacity(new.len());
            for (place, leader, about) in &new {
                let person = directory::person_for(work, leader)?;
                let project = directory::add_project(work, officer, about)?.id;
                directory::add_member(work, officer, project, person, "pi")?;
                for cluster in &centres {
                    let (cluster, account) = (Some((*cluster).to_owned()), account(*place));
                    let mapping = AccountMapping { id: Id::from_stamp(0), project, cluster, account, resource: None };
                    directory::add_account_mapping(work, officer, mapping)?;
                }
                made.push((project, person));
            }
            Ok(made)
        })?;
        self.projects.extend(made);
        Ok(())
    }

    /// Files the requests of a day.
    pub fn ask(&mut self, stage: &Stage<'_>, day: i64, places: &[Place]) -> Result<(), Fault> {
        let mut new = Vec::new();
        for (place, ask) in self.plan.asks.iter().enumerate().filter(|(_, ask)| ask.asked == day) {
            let site = places.get(ask.site).ok_or_else(|| missing("a site"))?;
            let (project, person) = *self.projects.get(ask.project).ok_or_else(|| missing("a project"))?;
            let (from, to) = (stage.at(ask.starts, 0), stage.at(ask.starts + ask.days, 0));
            let about = NewGrant {
                project,
                requested: whole(ask.requested, site.unit),
                period: Period::new(from, to).ok_or_else(|| missing("a period"))?,
                justification: format!("{} for {} days of {} (invented for the demo).", ask.requested, ask.days, ask.purpose),
                purpose: Some(ask.purpose.into()),
                resources: site.resources.clone(),
                renews: None,
                external_id: Some(format!("{}-REQUEST-{}", external_id(ask.project), place + 1)),
            };
            new.push((place, person, about));
        }
        if new.is_empty() {
            return Ok(());
        }
        let made = stage.store.write(move |work| {
            let file = |(ask, person, about): &(usize, PersonId, NewGrant)| {
                Ok(Request { ask: *ask, grant: grants::request(work, *person, about)?.id })
            };
            new.iter().map(file).collect::<Result<Vec<_>, Fault>>()
        })?;
        self.requests.extend(made);
        Ok(())
    }

    /// Decides the requests that are due on a day, the two officers in turn; the awards.
    pub fn decide(&mut self, stage: &Stage<'_>, day: i64) -> Result<Vec<Award>, Fault> {
        let mut due = Vec::new();
        for Request { ask: place, grant } in &self.requests {
            let ask = self.plan.asks.get(*place).ok_or_else(|| missing("a request"))?;
            if ask.decided == day && ask.fate != Fate::Waits {
                let Cast { officer, officer2, .. } = stage.cast;
                let officers = if place % 2 == 0 { [officer, officer2] } else { [officer2, officer] };
                due.push((*place, *grant, officers, ask.fate, ask.overdraft));
            }
        }
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let made = stage.store.write(move |work| {
            let mut made = Vec::with_capacity(due.len());
            for (place, grant, officers, fate, overdraft) in &due {
                match fate {
                    Fate::Awarded(percent) => made.push(award(work, *officers, *place, *grant, *percent, *overdraft)?),
                    _ => _ = grants::decide(work, officers[0], *grant, &Ruling::new(Verdict::Reject, 1, TOO_MUCH), false)?,
                }
            }
            Ok(made)
        })?;
        self.awarded += made.len() as u64;
        Ok(made)
    }

    /// The grant of a special request: the first of its project, or the last.
    pub fn grant_of(&self, project: usize, last: bool) -> Result<GrantId, Fault> {
        let of = |r: &&Request| self.plan.asks.get(r.ask).is_some_and(|ask| ask.project == project);
        let mut found = self.requests.iter().filter(of);
        let request = if last { found.next_back() } else { found.next() };
        request.map(|r| r.grant).ok_or_else(|| missing("a request"))
    }

    /// The requests that wait, and the one that was rejected.
    pub fn undecided(&self) -> Result<([GrantId; 2], GrantId), Fault> {
        Ok(([self.grant_of(WAITING, false)?, self.grant_of(LIVELY, true)?], self.grant_of(REJECTED, false)?))
    }

    /// A project.
    pub fn project(&self, place: usize) -> Result<ProjectId, Fault> {
        self.projects.get(place).map(|(project, _)| *project).ok_or_else(|| missing("a project"))
    }

    /// How many projects and requests there are.
    pub fn counts(&self) -> (u64, u64) {
        (self.projects.len() as u64, self.requests.len() as u64)
    }
}

const TOO_MUCH: &str = "Far beyond what the programme can give one project (invented for the demo).";
const IN_FULL: &str = "As asked for (invented for the demo).";
const SECOND: &str = "Read and agreed (invented for the demo).";
const IN_PART: &str = "In part (invented for the demo).";

/// Awards a part of a request; less where the lots whose terms match have less. The second officer approves too where the policy asks.
fn award(
    work: &mut Work<'_>,
    officers: [PersonId; 2],
    ask: usize,
    grant: GrantId,
    percent: i64,
    overdraft: Overdraft,
) -> Result<Award, Fault> {
    let [officer, second] = officers;
    let requested = grants::grant(work.sql()?, grant)?.about.requested;
    let mut percent = percent;
    loop {
        let reason = if percent == 100 { IN_FULL } else { IN_PART };
        let awarded = Some(Amount::new(requested.minor / 100 * percent, requested.unit));
        let verdict = Verdict::Approve { awarded, overdraft: Some(overdraft), lots: None };
        // A refusal is decided before anything is written, so asking again for less is safe.
        let mut done = match grants::decide(work, officer, grant, &Ruling::new(verdict, 1, reason), false) {
            Err(fault) if fault.code() == Some(Code::InsufficientCredits) && percent > 5 => {
                percent /= 2;
                continue;
            }
            done => done?,
        };
        if done.approvals.is_some_and(|approvals| !approvals.complete()) {
            done = grants::decide(work, second, grant, &Ruling::new(Verdict::APPROVE, done.grant.version, SECOND), false)?;
        }
        return Ok(Award { ask, grant, period: done.grant.about.period, awarded: done.grant.awarded });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_has_what_was_promised() {
        for seed in 0..200 {
            let plan = Plan::draw(&mut Random::new(seed));
            let fates = |wanted: fn(&Fate) -> bool| plan.asks.iter().filter(|ask| wanted(&ask.fate)).count();
            assert_eq!((plan.joined.len(), fates(|f| *f == Fate::Waits), fates(|f| *f == Fate::Rejected)), (PROJECTS, 2, 1));
            assert!(fates(|f| matches!(f, Fate::Awarded(part) if *part < 100)) > 20);
            assert!(plan.joined.is_sorted());
            for ask in &plan.asks {
                assert!(ask.asked > plan.joined[ask.project] && ask.decided < ask.starts && ask.asked < DAYS, "seed {seed}: {ask:?}");
                assert!(ask.fate == Fate::Waits || ask.starts < DAYS, "seed {seed}: {ask:?}");
            }
        }
    }

    #[test]
    fn no_account_ever_stands_for_two_grants_of_one_site() {
        for seed in 0..200 {
            let plan = Plan::draw(&mut Random::new(seed));
            let mut met = std::collections::HashSet::new();
            assert!(plan.asks.iter().all(|ask| met.insert((ask.project, ask.site))), "seed {seed}");
        }
    }
}
