//! The books in which charges are measured: one provider's resource, 64 grants out of one lot, and job records without end.

use std::sync::atomic::{AtomicU64, Ordering};

use almoner::actor::Actor;
use almoner::amount::{Amount, Unit};
use almoner::directory::{self, NewInstitution, NewProject, NewResource};
use almoner::donations::{self, NewDonation, NewDonor, NewLot, OnExpiry, donation::Terms};
use almoner::grants::{self, NewGrant, Ruling, Verdict};
use almoner::id::{GrantId, InstitutionId, PersonId, ResourceId};
use almoner::ledger;
use almoner::store::{Database, Fault, Store, Work};
use almoner::time::{Clock, DAY, Period, SECOND, Time};
use almoner::usage::{self, NewRate};

use super::support::almoner;
use super::support::database::TestDatabase;

/// Grants that records are charged to in turn.
const GRANTS: usize = 64;

/// What records are made of.
pub struct Scene {
    /// Who reports.
    pub provider: InstitutionId,
    /// What is charged.
    pub grants: Vec<GrantId>,
    resource: ResourceId,
    ended_at: Time,
    next: AtomicU64,
}

impl Scene {
    /// Makes books in an empty database, and sets the scene.
    pub fn set(made: &TestDatabase) -> (Scene, Store) {
        let data = made.folder().to_string_lossy();
        almoner(["init", "--database", &made.url, "--data", &data]).ok();
        let database = Database::parse(&made.url).expect("a database");
        let store = Store::open(&database, Clock::system()).expect("books");
        let scene = store.write(set).expect("a scene");
        (scene, store)
    }

    /// A token for a role; more is what the role needs.
    pub fn token(made: &TestDatabase, role: &str, more: &[&str]) -> String {
        let data = made.folder().to_string_lossy();
        let asked = ["token", "--role", role, "--as", "bench", "--ttl", "7d", "--database", &made.url, "--data", &data];
        almoner(asked.iter().chain(more)).ok().stdout.trim().to_owned()
    }

    /// The next record, as JSON.
    pub fn record(&self) -> String {
        self.record_of(usize::try_from(self.next.load(Ordering::Relaxed)).expect("not that many"))
    }

    /// The next record, charged to one of the grants.
    pub fn record_of(&self, grant: usize) -> String {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let grant = self.grants[grant % self.grants.len()];
        let (resource, end) = (self.resource, self.ended_at);
        let (hours, start) = (n % 97, end.plus(-3600 * SECOND));
        format!(
            r#"{{"external_id":"bench:{n:012}","grant":"{grant}","resource":"{resource}","quantities":{{"gpu-hour":"{hours}.125"}},"started_at":"{start}","ended_at":"{end}","user":"u{hours}","job":{{"cluster":"bench","id":"{n}","state":"COMPLETED"}}}}"#
        )
    }
}

fn set(work: &mut Work<'_>) -> Result<Scene, Fault> {
    let [admin, officer] = ["bench-admin", "bench-officer"].map(|subject| directory::person_for(work, &Actor::operator(subject)));
    let (admin, officer) = (admin?, officer?);
    let unit = Unit::new("USD", 6).expect("a unit");
    ledger::add_unit(work, admin, unit, "US dollar")?;
    let site = NewInstitution { name: "Example site".into(), kind: None, ror: None, country: None, external_id: None };
    let provider = directory::add_institution(work, admin, &site)?.id;
    let resource = NewResource { name: "Example cluster".into(), kind: None, provider, external_id: None };
    let resource = directory::add_resource(work, admin, &resource)?.id;
    let now = work.now();
    let price = Amount::parse("1.25", unit).expect("a price");
    usage::add_rate(work, admin, &NewRate { resource, meter: "gpu-hour".into(), price, from: now.plus(-DAY), qos: Default::default() })?;
    give(work, admin, officer, Amount::parse("1000000000000", unit).expect("an amount"))?;
    let project = NewProject {
        title: "Example project".into(),
        institution: provider,
        field_of_science: "physics".into(),
        pi_name: "Example lead".into(),
        pi_orcid: None,
        external_id: None,
    };
    let project = directory::add_project(work, admin, &project)?.id;
    let ask = NewGrant {
        project,
        requested: Amount::parse("10000000000", unit).expect("an amount"),
        period: Period::new(now.plus(-DAY), now.plus(365 * DAY)).expect("a period"),
        justification: "To be measured.".into(),
        purpose: None,
        resources: Vec::new(),
        renews: None,
        external_id: None,
    };
    let mut made = Vec::with_capacity(GRANTS);
    for _ in 0..GRANTS {
        let grant = grants::request(work, admin, &ask)?;
        grants::decide(work, officer, grant.id, &Ruling::new(Verdict::APPROVE, grant.version, "To be measured."), false)?;
        made.push(grant.id);
    }
    Ok(Scene { provider, grants: made, resource, ended_at: now, next: AtomicU64::new(1) })
}

/// A donation, delivered as one lot.
fn give(work: &mut Work<'_>, admin: PersonId, officer: PersonId, amount: Amount) -> Result<(), Fault> {
    let donor = NewDonor { name: "Example donor".into(), kind: "industry".into(), ror: None, external_id: None };
    let donor = donations::add_donor(work, admin, &donor)?.id;
    let gift = NewDonation {
        donor,
        title: "Example gift".into(),
        unit: amount.unit,
        pledged: amount,
        terms: Terms::default(),
        draw_priority: 0,
        on_expiry: OnExpiry::Lapse,
        external_id: None,
    };
    let donation = donations::propose(work, admin, &gift)?.id;
    donations::accept(work, officer, donation)?;
    let delivered_at = work.now().plus(-DAY);
    donations::deliver(work, officer, &NewLot { donation, amount, delivered_at, expires_at: None })?;
    Ok(())
}
