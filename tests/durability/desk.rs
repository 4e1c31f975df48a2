//! Small books to be fought over: one lot, one grant drawing on it alone, one resource at one credit for a GPU-hour.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use almoner::actor::Actor;
use almoner::amount::{Amount, Unit};
use almoner::directory::{self, NewInstitution, NewProject, NewResource};
use almoner::donations::{self, NewDonation, NewDonor, NewLot, OnExpiry, Terms};
use almoner::grants::{self, NewGrant, Overdraft, Verdict};
use almoner::id::{GrantId, InstitutionId, PersonId, ResourceId};
use almoner::ledger;
use almoner::reports::balance::{GrantBalance, Moment, grant_balance};
use almoner::store::{Conn, Database, Fault, Page, Store, Work};
use almoner::time::{Clock, DAY, Period, Time};
use almoner::usage::{self, ChargeRow, NewRate};
use serde_json::{Value, json};

use crate::support::database::TestDatabase;
use crate::support::server::{Answer, Server};
use crate::support::{Run, program};

/// When every job ended.
pub const ENDED: &str = "2026-01-15T12:00:00Z";

/// Books that were made by the program, with a grant in them and tokens for those who use them.
pub struct Desk<'d> {
    pub database: &'d TestDatabase,
    pub grant: GrantId,
    pub resource: ResourceId,
    /// The provider's token.
    pub provider: String,
    /// The officer's token.
    pub officer: String,
    /// When every hold ends: the same whenever it is asked for again.
    pub expires_at: String,
    data: PathBuf,
}

struct Made {
    provider: InstitutionId,
    resource: ResourceId,
    grant: GrantId,
}

impl Desk<'_> {
    /// Makes books whose grant holds that many credits; beyond them usage is recorded or rejected.
    pub fn open(database: &TestDatabase, credits: i64, overdraft: Overdraft) -> Desk<'_> {
        let data = database.folder().join("data");
        let run = |args: &[&str]| Run::from(command(database, &data, args).output().expect("the program starts")).ok();
        run(&["init"]);
        let store = Store::open_as_is(&Database::parse(&database.url).expect("a URL"), Clock::system()).expect("books");
        let Made { provider, resource, grant } = store.write(move |work| fill(work, credits, overdraft)).expect("small books");
        let token = |args: &[&str]| run(&[&["token", "--ttl", "12h"], args].concat()).stdout.trim().to_owned();
        let reports = token(&["--role", "provider", "--as", "reporter", "--provider", &provider.to_string()]);
        let officer = token(&["--role", "officer", "--as", "second"]);
        let expires_at = Clock::system().now().plus(30 * DAY).to_string();
        Desk { database, grant, resource, provider: reports, officer, expires_at, data }
    }

    /// The program on these books.
    pub fn command(&self, args: &[&str]) -> Command {
        command(self.database, &self.data, args)
    }

    /// Starts one more server on these books.
    pub fn serve(&self) -> Server {
        Server::start_with(self.database, &self.data, |command| command.args(["--log", "warn"]))
    }

    /// All laws hold, recomputed by the program itself.
    pub fn verify(&self) -> Run {
        Run::from(self.command(&["verify"]).output().expect("the program starts"))
    }

    /// A usage record of so many GPU-hours.
    pub fn record(&self, external_id: &str, hours: i64) -> Value {
        json!({
            "external_id": external_id, "grant": self.grant.to_string(), "resource": self.resource.to_string(),
            "quantities": {"gpu-hour": hours.to_string()}, "ended_at": ENDED,
        })
    }

    /// Posts one usage record.
    pub fn use_hours(&self, server: &Server, external_id: &str, hours: i64) -> Answer {
        server.post("/v1/usage", Some(&self.provider), &[], &self.record(external_id, hours))
    }

    /// A look at the books.
    pub fn look<T>(&self, look: impl FnOnce(&mut Conn) -> Result<T, Fault>) -> T {
        self.connect().snapshot(look).expect("a look at the books")
    }

    /// A connection past all rules of the program.
    pub fn connect(&self) -> Conn {
        Database::parse(&self.database.url).expect("a URL").connect().expect("a connection")
    }

    /// Every charge, oldest first.
    pub fn charges(&self) -> Vec<ChargeRow> {
        self.look(|conn| usage::store::charges(conn, &usage::Of::default(), Page::ALL))
    }

    /// What the grant has left.
    pub fn balance(&self) -> GrantBalance {
        self.look(|conn| grant_balance(conn, self.grant, Moment::Now(Clock::system().now())))
    }
}

/// The provider's own name in a record that was kept.
pub fn external_id(record: &str) -> String {
    let record: Value = serde_json::from_str(record).expect("a record");
    record["external_id"].as_str().expect("an external id").to_owned()
}

/// A step of a deterministic shuffle: the same tests run the same way every time, as far as the machine lets them.
pub fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// So many milliseconds.
pub fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn command(database: &TestDatabase, data: &Path, args: &[&str]) -> Command {
    let mut command = program();
    command.args(args).arg("--data").arg(data).args(["--database", &database.url]);
    command
}

fn time(text: &str) -> Time {
    Time::parse(text).expect("a time")
}

fn fill(work: &mut Work<'_>, credits: i64, overdraft: Overdraft) -> Result<Made, Fault> {
    let first = directory::person_for(work, &Actor::operator("first"))?;
    let second = directory::person_for(work, &Actor::operator("second"))?;
    let unit = Unit::new("CREDIT", 0).expect("a unit");
    ledger::add_unit(work, first, unit, "credit of a GPU-hour")?;
    let new = NewInstitution { name: "Example Centre".into(), ..NewInstitution::default() };
    let provider = directory::add_institution(work, first, &new)?.id;
    deliver(work, first, second, Amount::new(credits, unit))?;
    let new = NewResource { name: "Example cluster".into(), kind: None, provider, external_id: None };
    let resource = directory::add_resource(work, first, &new)?.id;
    let price = Amount::new(1, unit);
    let from = time("2025-01-01T00:00:00Z");
    usage::add_rate(work, first, &NewRate { resource, meter: "gpu-hour".into(), price, from, qos: BTreeMap::new() })?;
    let grant = award(work, (first, second), provider, Amount::new(credits, unit), overdraft)?;
    Ok(Made { provider, resource, grant })
}

fn deliver(work: &mut Work<'_>, first: PersonId, second: PersonId, amount: Amount) -> Result<(), Fault> {
    let new = NewDonor { name: "Example Donor".into(), kind: "industry".into(), ror: None, external_id: None };
    let donor = donations::add_donor(work, first, &new)?.id;
    let donation = NewDonation {
        donor,
        title: "Credits".into(),
        unit: amount.unit,
        pledged: amount,
        terms: Terms::default(),
        draw_priority: 0,
        on_expiry: OnExpiry::Lapse,
        external_id: None,
    };
    let donation = donations::propose(work, first, &donation)?.id;
    donations::accept(work, second, donation)?;
    donations::deliver(work, first, &NewLot { donation, amount, delivered_at: time("2025-06-01T00:00:00Z"), expires_at: None })?;
    Ok(())
}

fn award(
    work: &mut Work<'_>,
    (asks, decides): (PersonId, PersonId),
    institution: InstitutionId,
    amount: Amount,
    overdraft: Overdraft,
) -> Result<GrantId, Fault> {
    let project = NewProject {
        title: "Example project".into(),
        institution,
        field_of_science: "Physics".into(),
        pi_name: "Example Investigator".into(),
        pi_orcid: None,
        external_id: None,
    };
    let new = NewGrant {
        project: directory::add_project(work, asks, &project)?.id,
        requested: amount,
        period: Period::new(time("2026-01-01T00:00:00Z"), time("2036-01-01T00:00:00Z")).expect("a period"),
        justification: "For the test.".into(),
        purpose: None,
        resources: Vec::new(),
        external_id: None,
    };
    let asked = grants::request(work, asks, &new)?;
    let verdict = Verdict::Approve { awarded: None, overdraft, lots: None };
    Ok(grants::decide(work, decides, asked.id, asked.version, &verdict, "Granted.", false)?.grant.id)
}
