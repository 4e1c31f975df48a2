//! Books whose clock a test holds: two donors, a resource at one credit for a GPU-hour, a project, and whatever is done with them.

use std::collections::BTreeMap;

use almoner::amount::{Amount, Unit};
use almoner::directory::{self, NewInstitution, NewResource};
use almoner::donations::{self, NewDonation, NewDonor, NewLot, OnExpiry, Terms};
use almoner::grants::Overdraft;
use almoner::id::{GrantId, InstitutionId, LotId, ProjectId, ResourceId};
use almoner::ledger;
use almoner::store::{Conn, Database, Fault, Store, Work};
use almoner::time::{Clock, Time};
use almoner::usage::{self, Charge, Incoming, NewRate, Outcome, Record};
use serde_json::json;

use crate::support::almoner;
use crate::support::books::{Pair, period, time};
use crate::support::database::TestDatabase;
use crate::support::server::Server;

pub struct World {
    pub store: Store,
    pub clock: Clock,
    pub unit: Unit,
    pub provider: InstitutionId,
    pub resource: ResourceId,
    pub project: ProjectId,
    // Last, so that it outlives the store.
    pub database: TestDatabase,
}

/// What a donor is called, and where it is registered.
pub struct Giver<'g> {
    pub name: &'g str,
    pub ror: Option<&'g str>,
    pub award: Option<&'g str>,
}

impl World {
    /// Books that begin at that moment.
    pub fn begin(database: TestDatabase, at: &str) -> World {
        World::by(database, Clock::held(time(at)))
    }

    /// Books by the machine's clock, with the keys that a server needs.
    pub fn to_serve(database: TestDatabase) -> World {
        let data = database.folder().join("data");
        almoner(["init", "--data", data.to_str().expect("UTF-8"), "--database", &database.url]).ok();
        World::by(database, Clock::system())
    }

    fn by(database: TestDatabase, clock: Clock) -> World {
        let store = Store::open(&Database::parse(&database.url).expect("a URL"), clock.clone()).expect("books");
        let unit = Unit::new("CREDIT", 0).expect("a unit");
        let made = store.write(move |work| {
            let pair = Pair::of(work)?;
            ledger::add_unit(work, pair.first, unit, "credit of a GPU-hour")?;
            let new = NewInstitution { name: "Example Centre".into(), ..NewInstitution::default() };
            let provider = directory::add_institution(work, pair.first, &new)?.id;
            let new = NewResource { name: "Example cluster".into(), kind: None, provider, external_id: None };
            let resource = directory::add_resource(work, pair.first, &new)?.id;
            let (price, from) = (Amount::new(1, unit), time("2020-01-01T00:00:00Z"));
            usage::add_rate(work, pair.first, &NewRate { resource, meter: "gpu-hour".into(), price, from, qos: BTreeMap::new() })?;
            Ok((provider, resource, pair.project(work, provider, None)?))
        });
        let (provider, resource, project) = made.expect("small books");
        World { store, clock, unit, provider, resource, project, database }
    }

    /// A server that looks every second, tries again at once, and may send to this machine.
    pub fn serve(&self) -> Server {
        let args = ["--events-every", "1", "--webhook-waits", "1,1,1", "--webhooks-to-loopback", "--log", "warn"];
        Server::start_with(&self.database, &self.database.folder().join("data"), |command| command.args(args))
    }

    /// A token of that role.
    pub fn token(&self, role: &str, name: &str, more: &[&str]) -> String {
        let data = self.database.folder().join("data");
        let place = ["token", "--data", data.to_str().expect("UTF-8"), "--database", &self.database.url, "--role", role, "--as", name];
        almoner(place.iter().chain(more)).ok().stdout.trim().to_owned()
    }

    pub fn set(&self, at: &str) {
        self.clock.set(time(at));
    }

    pub fn amount(&self, minor: i64) -> Amount {
        Amount::new(minor, self.unit)
    }

    pub fn write<T: Send + 'static>(&self, verb: impl Fn(&mut Work<'_>, Pair) -> Result<T, Fault> + Send + 'static) -> T {
        let written = self.store.write(move |work| {
            let pair = Pair::of(work)?;
            verb(work, pair)
        });
        written.expect("what was to be written")
    }

    pub fn look<T>(&self, look: impl FnOnce(&mut Conn, Time) -> Result<T, Fault>) -> T {
        let now = self.clock.now();
        self.store.read(|conn| look(conn, now)).expect("a look at the books")
    }

    /// A lot of a donor, delivered whole, usable from now on.
    pub fn lot(&self, giver: &Giver<'_>, amount: i64, expires: Option<&str>) -> LotId {
        let (amount, now, expires_at) = (self.amount(amount), self.clock.now(), expires.map(time));
        let (name, ror, award) = (giver.name.to_owned(), giver.ror.map(str::to_owned), giver.award.map(str::to_owned));
        self.write(move |work, pair| {
            let new = NewDonor { name: name.clone(), kind: "industry".into(), ror: ror.clone(), external_id: None };
            let donation = NewDonation {
                donor: donations::add_donor(work, pair.first, &new)?.id,
                title: format!("Credits of {name}"),
                unit: amount.unit,
                pledged: amount,
                terms: Terms::default(),
                draw_priority: 0,
                on_expiry: OnExpiry::Lapse,
                external_id: award.clone(),
            };
            let donation = donations::propose(work, pair.first, &donation)?.id;
            donations::accept(work, pair.second, donation)?;
            Ok(donations::deliver(work, pair.first, &NewLot { donation, amount, delivered_at: now, expires_at })?.id)
        })
    }

    /// A grant in draw-down order, or on one lot.
    pub fn grant(&self, amount: i64, from: &str, to: &str, lot: Option<LotId>) -> GrantId {
        let (amount, period, project) = (self.amount(amount), period(from, to), self.project);
        self.write(move |work, pair| pair.award(work, project, amount, period, Overdraft::Record, lot))
    }

    /// A job of so many GPU-hours that ended then, reported now.
    pub fn job(&self, grant: GrantId, name: &str, hours: i64, ended_at: &str) -> Charge {
        let (provider, unit) = (self.provider, self.unit);
        let record = json!({
            "external_id": name, "grant": grant.to_string(), "resource": self.resource.to_string(),
            "quantities": {"gpu-hour": hours.to_string()}, "ended_at": ended_at,
        });
        let record = Record::read(&almoner::json::parse(record.to_string().as_bytes()).expect("JSON"), &|_| Some(unit)).expect("a record");
        let charged = self.write(move |work, pair| usage::charge(work, pair.first, provider, &[Incoming::new(provider, record.clone())]));
        match charged.into_iter().next() {
            Some(Outcome::Charged(charge)) => charge,
            other => panic!("{name}: {other:?}"),
        }
    }

    pub fn refund(&self, charge: &Charge, amount: i64) {
        let (id, amount) = (charge.row.id(), self.amount(amount));
        self.write(move |work, pair| usage::refund(work, pair.first, id, Some(amount), "A node failed."));
    }
}

/// A donor of that name alone.
pub fn named(name: &str) -> Giver<'_> {
    Giver { name, ror: None, award: None }
}
