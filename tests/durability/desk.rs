//! Small books to be fought over: one lot, one grant drawing on it alone, one resource at one credit for a GPU-hour.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use almoner::amount::{Amount, Unit};
use almoner::directory::{self, NewInstitution, NewResource};
use almoner::donations::OnExpiry;
use almoner::grants::{self, Overdraft};
use almoner::id::{GrantId, InstitutionId, ProjectId, ResourceId};
use almoner::ledger;
use almoner::reports::balance::{GrantBalance, Moment, grant_balance};
use almoner::store::{Conn, Database, Fault, Page, Store, Work};
use almoner::time::{Clock, DAY};
use almoner::usage::{self, ChargeRow, NewRate};
use serde_json::{Value, json};

use crate::support::books::{Pair, period, time};
use crate::support::database::TestDatabase;
use crate::support::server::{Answer, Server};
use crate::support::{Run, program};

/// When every job ended.
pub const ENDED: &str = "2026-01-15T12:00:00Z";

/// Books that were made by the program, with a grant in them and tokens for those who use them.
pub struct Desk<'d> {
    pub database: &'d TestDatabase,
    pub grant: GrantId,
    pub project: ProjectId,
    pub resource: ResourceId,
    pub provider_id: InstitutionId,
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
    project: ProjectId,
    grant: GrantId,
}

impl Desk<'_> {
    /// Makes books whose grant holds that many credits; beyond them usage is recorded or rejected.
    pub fn open(database: &TestDatabase, credits: i64, overdraft: Overdraft) -> Desk<'_> {
        let data = database.folder().join("data");
        let run = |args: &[&str]| Run::from(command(database, &data, args).output().expect("the program starts")).ok();
        run(&["init"]);
        let store = Store::open_as_is(&Database::parse(&database.url).expect("a URL"), Clock::system()).expect("books");
        let Made { provider, resource, project, grant } = store.write(move |work| fill(work, credits, overdraft)).expect("small books");
        let token = |args: &[&str]| run(&[&["token", "--ttl", "12h"], args].concat()).stdout.trim().to_owned();
        let reports = token(&["--role", "provider", "--as", "reporter", "--provider", &provider.to_string()]);
        Desk {
            database,
            grant,
            project,
            resource,
            provider_id: provider,
            provider: reports,
            officer: token(&["--role", "officer", "--as", "second"]),
            expires_at: Clock::system().now().plus(30 * DAY).to_string(),
            data,
        }
    }

    /// The program on these books.
    pub fn command(&self, args: &[&str]) -> Command {
        command(self.database, &self.data, args)
    }

    /// Starts one more server on these books.
    pub fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    /// As `serve`, with more arguments.
    pub fn serve_with(&self, args: &[&str]) -> Server {
        Server::start_with(self.database, &self.data, |command| command.args(["--log", "warn"]).args(args))
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
        self.look(|conn| {
            let grant = grants::grant(conn, self.grant)?;
            grant_balance(conn, grant, Moment::Now(Clock::system().now()))
        })
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

fn fill(work: &mut Work<'_>, credits: i64, overdraft: Overdraft) -> Result<Made, Fault> {
    let pair = Pair::of(work)?;
    let unit = Unit::new("CREDIT", 0).expect("a unit");
    ledger::add_unit(work, pair.first, unit, "credit of a GPU-hour")?;
    let new = NewInstitution { name: "Example Centre".into(), ..NewInstitution::default() };
    let provider = directory::add_institution(work, pair.first, &new)?.id;
    let credits = Amount::new(credits, unit);
    pair.give(work, credits, time("2025-06-01T00:00:00Z"), None, OnExpiry::Lapse)?;
    let new = NewResource { name: "Example cluster".into(), kind: None, provider, external_id: None };
    let resource = directory::add_resource(work, pair.first, &new)?.id;
    let price = Amount::new(1, unit);
    let from = time("2025-01-01T00:00:00Z");
    usage::add_rate(work, pair.first, &NewRate { resource, meter: "gpu-hour".into(), price, from, qos: BTreeMap::new() })?;
    let project = pair.project(work, provider, None)?;
    let period = period("2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z");
    let grant = pair.award(work, project, credits, period, overdraft, None)?;
    Ok(Made { provider, resource, project, grant })
}
