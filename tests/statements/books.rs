//! Books of four months, by a clock that the test holds: two donors, five projects of three fields at two universities, two resources, and
//! whatever can happen to credits: late and partial reports, holds, refunds, covers, a reversal, lapse and return, amendments, quarantine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use almoner::amount::{Amount, Unit};
use almoner::directory::{self, NewInstitution, NewProject, NewResource};
use almoner::donations::{self, NewDonation, NewDonor, NewLot, OnExpiry, Terms};
use almoner::grants::amend::{self, Change};
use almoner::grants::{Overdraft, Ruling, Verdict};
use almoner::id::{DonorId, GrantId, InstitutionId, LotId, ProjectId, ResourceId};
use almoner::ledger;
use almoner::reports::statement::{self, Asked, Drawn, Made, Whom};
use almoner::store::{Conn, Database, Fault, Page, Store, Work};
use almoner::time::{Clock, Period};
use almoner::usage::hold::{self, NewHold};
use almoner::usage::{self, ChargeRow, Incoming, NewRate, Outcome, Record, Used};
use serde_json::{Value, json};

use crate::support::almoner;
use crate::support::books::{Pair, period, time};
use crate::support::database::TestDatabase;

/// Names that a donor must never read.
pub const SECRETS: [&str; 6] = ["Secret Title", "Example Investigator", "secret-job", "secret-user", "secret-cluster", "secret-account"];

/// A title that a spreadsheet would run.
pub const FORMULA: &str = "=1+1";

pub struct Books {
    pub store: Store,
    pub clock: Clock,
    pub unit: Unit,
    pub donors: [DonorId; 2],
    pub lots: Vec<LotId>,
    pub projects: Vec<ProjectId>,
    pub grants: Vec<GrantId>,
    pub provider: InstitutionId,
    pub resources: [ResourceId; 2],
    pub charges: Vec<ChargeRow>,
    // Last, so that it outlives the store.
    pub database: TestDatabase,
}

type Places = (InstitutionId, [ResourceId; 2], Vec<ProjectId>);

fn places(work: &mut Work<'_>, pair: Pair, unit: Unit) -> Result<Places, Fault> {
    let who = pair.first;
    ledger::add_unit(work, who, unit, "credit of a GPU-hour")?;
    let institution = |work: &mut Work<'_>, name: &str| {
        let new = NewInstitution { name: name.into(), ..NewInstitution::default() };
        directory::add_institution(work, who, &new).map(|made| made.id)
    };
    let (provider, near, far) =
        (institution(work, "Example Centre")?, institution(work, "Near University")?, institution(work, "Far University")?);
    let resource = |work: &mut Work<'_>, name: &str| {
        let new = NewResource { name: name.into(), kind: None, provider, external_id: None };
        let resource = directory::add_resource(work, who, &new)?.id;
        let (price, from) = (Amount::new(100, unit), time("2020-01-01T00:00:00Z"));
        usage::add_rate(work, who, &NewRate { resource, meter: "gpu-hour".into(), price, from, qos: BTreeMap::new() })?;
        Ok::<ResourceId, Fault>(resource)
    };
    let resources = [resource(work, "Common cluster")?, resource(work, "Rare cluster")?];
    let mut projects = Vec::new();
    for (at, (field, institution)) in
        [("Physics", near), ("Physics", near), ("Physics", near), ("Rare Studies", far), ("Biology", near)].into_iter().enumerate()
    {
        let project = NewProject {
            title: format!("Secret Title {at}"),
            institution,
            field_of_science: field.into(),
            pi_name: "Example Investigator".into(),
            pi_orcid: None,
            external_id: None,
        };
        projects.push(directory::add_project(work, who, &project)?.id);
    }
    Ok((provider, resources, projects))
}

impl Books {
    /// Books in which all of that has happened, the clock standing at the begin of May.
    pub fn of_four_months(database: TestDatabase) -> Books {
        let mut books = Books::begin(database);
        books.january();
        books.february();
        books.march();
        books.april();
        books
    }

    fn begin(database: TestDatabase) -> Books {
        let clock = Clock::held(time("2026-01-02T09:30:00Z"));
        let store = Store::open(&Database::parse(&database.url).expect("a URL"), clock.clone()).expect("books");
        let unit = Unit::new("CREDIT", 2).expect("a unit");
        let (provider, resources, projects) =
            store.write(move |work| Pair::of(work).and_then(|pair| places(work, pair, unit))).expect("places");
        let donor = |name: &'static str| {
            let new = NewDonor { name: name.into(), kind: "industry".into(), ror: None, external_id: None };
            store.write(move |work| Pair::of(work).and_then(|pair| donations::add_donor(work, pair.first, &new))).expect("a donor").id
        };
        let donors = [donor("Donor A & <Sons>"), donor("Donor B")];
        let (lots, grants, charges) = (Vec::new(), Vec::new(), Vec::new());
        Books { store, clock, unit, donors, lots, projects, grants, provider, resources, charges, database }
    }

    pub fn set(&self, at: &str) {
        self.clock.set(time(at));
    }

    pub fn write<T: Send + 'static>(&self, verb: impl Fn(&mut Work<'_>, Pair) -> Result<T, Fault> + Send + 'static) -> T {
        self.store.write(move |work| Pair::of(work).and_then(|pair| verb(work, pair))).expect("what was to be written")
    }

    pub fn look<T>(&self, look: impl FnOnce(&mut Conn) -> Result<T, Fault>) -> T {
        self.store.read(look).expect("a look at the books")
    }

    fn amount(&self, credits: i64) -> Amount {
        Amount::new(credits * 100, self.unit)
    }

    fn gift(&mut self, donor: DonorId, pledged: i64, delivered: i64, expires: Option<&str>, on_expiry: OnExpiry) {
        let (pledged, amount, now, expires_at) = (self.amount(pledged), self.amount(delivered), self.clock.now(), expires.map(time));
        let lot = self.write(move |work, pair| {
            let new = NewDonation {
                donor,
                title: FORMULA.into(),
                unit: amount.unit,
                pledged,
                terms: Terms::default(),
                draw_priority: 0,
                on_expiry,
                external_id: None,
            };
            let donation = donations::propose(work, pair.first, &new)?.id;
            donations::accept(work, pair.second, donation)?;
            donations::deliver(work, pair.first, &NewLot { donation, amount, delivered_at: now, expires_at })
        });
        self.lots.push(lot.id);
    }

    fn grant(&mut self, project: usize, credits: i64, lot: Option<usize>) -> GrantId {
        let (project, amount, lot) = (self.projects[project], self.amount(credits), lot.map(|at| self.lots[at]));
        let period = period("2026-01-01T00:00:00Z", "2026-04-20T00:00:00Z");
        let grant = self.write(move |work, pair| pair.award(work, project, amount, period, Overdraft::Record, lot));
        self.grants.push(grant);
        grant
    }

    /// A record of so many GPU-hours on a resource that ended then, reported now.
    pub fn record(&self, grant: Option<GrantId>, name: &str, hours: &str, ended_at: &str, resource: usize, more: &Value) -> Outcome {
        let mut record = json!({
            "external_id": name, "resource": self.resources[resource].to_string(), "quantities": {"gpu-hour": hours}, "ended_at": ended_at,
            "user": "secret-user", "job": {"cluster": "secret-cluster", "id": name},
        });
        if let Some(grant) = grant {
            record["grant"] = json!(grant.to_string());
        }
        for (name, value) in more.as_object().into_iter().flatten() {
            record[name] = value.clone();
        }
        let (unit, provider) = (self.unit, self.provider);
        let record = Record::read(&almoner::json::parse(record.to_string().as_bytes()).expect("JSON"), &|_| Some(unit)).expect("a record");
        let mut outcomes =
            self.write(move |work, pair| usage::charge(work, pair.first, provider, &[Incoming::new(provider, record.clone())]));
        outcomes.pop().expect("an outcome")
    }

    pub fn job(&mut self, grant: GrantId, name: &str, hours: &str, ended_at: &str, resource: usize) -> ChargeRow {
        match self.record(Some(grant), &format!("secret-job-{name}"), hours, ended_at, resource, &json!({})) {
            Outcome::Charged(charge) => {
                self.charges.push((*charge.row).clone());
                (*charge.row).clone()
            }
            other => panic!("{name}: {other:?}"),
        }
    }

    pub fn refund(&self, charge: &ChargeRow, credits: i64) {
        let (id, amount) = (charge.id(), self.amount(credits));
        self.write(move |work, pair| usage::refund(work, pair.first, id, Some(amount), "A node failed."));
    }

    /// A grant of each project, on lots of both donors; jobs of all but one field, some of them reported days later.
    fn january(&mut self) {
        let [a, b] = self.donors;
        self.gift(a, 2000, 1000, Some("2026-03-20T00:00:00Z"), OnExpiry::Lapse);
        self.gift(b, 0, 500, Some("2026-03-25T00:00:00Z"), OnExpiry::Return);
        self.gift(a, 300, 300, None, OnExpiry::Lapse);
        for (project, lot) in [(0, Some(0)), (1, Some(0)), (2, Some(0)), (3, Some(0)), (4, Some(2))] {
            self.grant(project, 100, lot);
        }
        self.set("2026-01-20T10:11:12Z");
        for (at, grant) in self.grants.clone().into_iter().take(4).enumerate() {
            self.job(grant, &format!("first-{at}"), "10", "2026-01-15T03:04:05Z", usize::from(at == 3));
        }
    }

    /// January's jobs reported in February, a refund, a hold that is used in part, an overdraft, parts of a job.
    fn february(&mut self) {
        let [first, second, third, ..] = self.grants[..] else { panic!("no grants") };
        self.set("2026-02-03T08:00:00Z");
        let late = self.job(first, "late", "20", "2026-01-31T23:59:59Z", 0);
        self.refund(&late, 5);
        let (provider, resource, wanted) = (self.provider, self.resources[0], self.amount(30));
        let expires_at = time("2026-02-20T00:00:00Z");
        let hold = self.write(move |work, pair| {
            let wanted = Used::Priced(wanted);
            let new = NewHold { grant: second, resource: Some(resource), wanted, qos: None, job: None, expires_at, external_id: None };
            hold::create(work, pair.first, provider, &new)
        });
        let settled = json!({"hold": hold.id.to_string()});
        assert!(matches!(self.record(None, "secret-job-held", "12", "2026-02-03T07:00:00Z", 0, &settled), Outcome::Charged(_)));
        for part in [1, 2] {
            let outcome = self.record(Some(third), "secret-job-parts", "3", "2026-02-02T00:00:00Z", 0, &json!({"part": part}));
            assert!(matches!(outcome, Outcome::Charged(_)), "{outcome:?}");
        }
        let wide = self.job(third, "wide", "120", "2026-02-02T12:00:00Z", 0);
        assert!(wide.overdraft > 0, "it goes beyond the grant");
        let stray = self.record(None, "secret-job-stray", "1", "2026-02-02T12:00:00Z", 0, &json!({"account": "secret-account"}));
        assert!(matches!(stray, Outcome::Quarantined(..)), "{stray:?}");
    }

    /// The total of the job in parts, a supplement that covers the overdraft, a reversal, a cancelled pledge, a record dismissed, a hold that
    /// stays open.
    fn march(&mut self) {
        let [_, second, third, ..] = self.grants[..] else { panic!("no grants") };
        self.set("2026-03-02T08:00:00Z");
        let total = self.record(Some(third), "secret-job-parts", "8", "2026-02-02T00:00:00Z", 0, &json!({}));
        assert!(matches!(total, Outcome::Charged(_)), "{total:?}");
        let more = self.amount(60);
        self.write(move |work, pair| {
            let asked = amend::propose(work, pair.first, third, Change::Supplement(more), "More was used.")?;
            let verdict = Verdict::Approve { awarded: None, overdraft: None, lots: None };
            amend::decide(work, pair.second, asked.id, &Ruling::new(verdict, asked.version, "It was."), false)?;
            let now = work.now();
            usage::refund::cover(work, third, now)
        });
        let wrong = self.job(second, "wrong", "2", "2026-03-01T12:00:00Z", 0);
        self.write(move |work, pair| usage::reverse(work, pair.second, wrong.id().seen_as(), "The wrong grant."));
        let (a, provider, resource, wanted) = (self.donors[0], self.provider, self.resources[0], self.amount(7));
        let stray = self.look(|conn| usage::store::quarantine(conn, &usage::Of::default(), Page::ALL)).remove(0).id();
        let (fifth, expires_at) = (self.grants[4], time("2026-03-18T00:00:00Z"));
        self.write(move |work, pair| {
            usage::resolve(work, pair.first, stray, &usage::Resolution::Dismiss("Nobody's.".into()))?;
            let of = donations::Of { donors: Some(vec![a.stamp()]), ..donations::Of::default() };
            let gift = donations::store::donations(work.sql()?, &of, Page::ALL)?.remove(0).id;
            donations::cancel(work, pair.first, gift)?;
            let wanted = Used::Priced(wanted);
            let new = NewHold { grant: fifth, resource: Some(resource), wanted, qos: None, job: None, expires_at, external_id: None };
            hold::create(work, pair.first, provider, &new)
        });
        self.job(fifth, "other", "4", "2026-03-01T00:00:00Z", 1);
    }

    /// What has expired is booked, and the grants' end; then a refund of January's job comes too late for its lot.
    fn april(&mut self) {
        self.set("2026-04-02T08:00:00Z");
        self.write(|work, _| usage::sweep(work));
        let first = self.charges[0].clone();
        self.refund(&first, 3);
        self.set("2026-04-28T08:00:00Z");
        self.write(|work, _| usage::sweep(work));
        self.set("2026-05-01T06:00:00Z");
    }

    /// Further gifts, grants and jobs.
    pub fn january_again(&mut self) {
        let a = self.donors[0];
        self.gift(a, 10, 400, None, OnExpiry::Lapse);
        let (project, amount) = (self.projects[0], self.amount(50));
        let period = period("2026-05-01T00:00:00Z", "2026-09-01T00:00:00Z");
        let grant = self.write(move |work, pair| pair.award(work, project, amount, period, Overdraft::Record, None));
        self.job(grant, "afterwards", "5", "2026-05-02T05:00:00Z", 0);
    }

    /// Of whom statements can be made.
    pub fn everybody(&self) -> Vec<Whom> {
        let donors = self.donors.iter().copied().map(Whom::Donor);
        let projects = self.projects.iter().copied().map(Whom::Project);
        donors.chain(projects).chain([Whom::Provider(self.provider)]).collect()
    }

    /// A statement as it is asked for, from one day until before another.
    pub fn asked(&self, whom: Whom, from: &str, to: &str) -> Asked {
        let at = |day: &str| time(&format!("{day}T00:00:00Z"));
        Asked::new(whom, Period::new(at(from), at(to)).expect("in order"), self.clock.now()).expect("whole days that are over")
    }

    pub fn draw(&self, asked: &Asked) -> Drawn {
        self.look(|conn| statement::draw(conn, asked))
    }

    /// Draws a statement and records it.
    pub fn make(&self, asked: Asked) -> (Made, bool) {
        let drawn = self.draw(&asked);
        self.write(move |work, pair| statement::record(work, pair.first, &asked, drawn.text.seq, &drawn.sha256))
    }

    /// A folder with keys, for commands and a server over these books.
    pub fn keys(&self) -> PathBuf {
        let data = self.database.folder().join("keys-of");
        if !data.exists() {
            almoner(["init", "--data", data.to_str().expect("UTF-8")]).ok();
        }
        data
    }

    /// A token of that role.
    pub fn token(&self, role: &str, name: &str, more: &[&str]) -> String {
        let data = self.keys();
        let place = ["token", "--data", data.to_str().expect("UTF-8"), "--role", role, "--as", name];
        almoner(place.iter().chain(more)).ok().stdout.trim().to_owned()
    }
}
