//! Small books to import into: one donor, one lot, projects with a grant each, two resources with rates.

use std::collections::BTreeMap;

use almoner::actor::Actor;
use almoner::amount::{Amount, Unit};
use almoner::directory::{self, AccountMapping, NewInstitution, NewProject, NewResource};
use almoner::donations::{self, NewDonation, NewDonor, NewLot, OnExpiry, Terms};
use almoner::grants::{self, NewGrant, Overdraft, Verdict};
use almoner::id::{DonorId, GrantId, Id, InstitutionId, PersonId};
use almoner::ledger;
use almoner::store::{Conn, Database, Fault, Page, Store, Work};
use almoner::time::{Clock, Period, Time};
use almoner::usage::{self, NewRate};

use crate::support::database::TestDatabase;

/// Accounts whose project bears the account's name, stands for it by a mapping, or knows nothing of it.
pub const NAMED: [&str; 3] = ["chaff", "uni-a-proj1", "uni-b-proj2"];
pub const MAPPED: &str = "taifl";
pub const UNKNOWN: &str = "aytinis";

/// What was made.
pub struct Books {
    pub grants: BTreeMap<&'static str, GrantId>,
    pub donor: DonorId,
    pub provider: InstitutionId,
}

fn time(text: &str) -> Time {
    Time::parse(text).expect("a time")
}

fn institution(work: &mut Work<'_>, who: PersonId, name: &str) -> Result<InstitutionId, Fault> {
    let new = NewInstitution { name: name.into(), external_id: Some(name.into()), ..NewInstitution::default() };
    Ok(directory::add_institution(work, who, &new)?.id)
}

/// Fills empty books that `almoner init` made.
pub fn fill(database: &TestDatabase) -> Books {
    let store = Store::open_as_is(&Database::parse(&database.url).expect("a database"), Clock::system()).expect("books");
    store.write(write).expect("small books")
}

fn write(work: &mut Work<'_>) -> Result<Books, Fault> {
    let first = directory::person_for(work, &Actor::operator("first"))?;
    let second = directory::person_for(work, &Actor::operator("second"))?;
    let usd = Unit::new("USD", 6).expect("a unit");
    ledger::add_unit(work, first, usd, "US dollar of cloud credit")?;
    let provider = institution(work, first, "Example Centre")?;
    let university = institution(work, first, "Example University")?;
    let donor = lot(work, first, second, Amount::new(100_000_000_000, usd))?;
    for (name, gpu, cpu) in [("chestnut", 2_000_000, 50_000), ("lab", 1_000_000, 10_000)] {
        let new = NewResource { name: format!("Cluster {name}"), kind: None, provider, external_id: Some(name.into()) };
        let resource = directory::add_resource(work, first, &new)?.id;
        for (meter, price) in [("gpu-hour", gpu), ("cpu-hour", cpu)] {
            let (meter, price) = (meter.into(), Amount::new(price, usd));
            let rate = NewRate { resource, meter, price, from: time("2016-01-01T00:00:00Z"), qos: BTreeMap::new() };
            usage::add_rate(work, first, &rate)?;
        }
    }
    let mut granted = BTreeMap::new();
    for account in NAMED.into_iter().chain([MAPPED, UNKNOWN]) {
        granted.insert(account, grant(work, (first, second), university, account, Amount::new(20_000_000_000, usd))?);
    }
    Ok(Books { grants: granted, donor, provider })
}

fn lot(work: &mut Work<'_>, first: PersonId, second: PersonId, amount: Amount) -> Result<DonorId, Fault> {
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
    donations::deliver(work, first, &NewLot { donation, amount, delivered_at: time("2016-12-01T00:00:00Z"), expires_at: None })?;
    Ok(donor)
}

fn grant(
    work: &mut Work<'_>,
    (asks, decides): (PersonId, PersonId),
    institution: InstitutionId,
    account: &'static str,
    amount: Amount,
) -> Result<GrantId, Fault> {
    let project = NewProject {
        title: format!("Project {account}"),
        institution,
        field_of_science: "Physics".into(),
        pi_name: "Example Investigator".into(),
        pi_orcid: None,
        external_id: NAMED.contains(&account).then(|| account.into()),
    };
    let project = directory::add_project(work, asks, &project)?.id;
    if account == MAPPED {
        let mapping =
            AccountMapping { id: Id::from_stamp(0), project, cluster: Some("phillips".into()), account: account.into(), resource: None };
        directory::add_account_mapping(work, asks, mapping)?;
    }
    let period = Period::new(time("2016-12-01T00:00:00Z"), time("2036-01-01T00:00:00Z")).expect("a period");
    let new = NewGrant {
        project,
        requested: amount,
        period,
        justification: "For the test.".into(),
        purpose: None,
        resources: Vec::new(),
        external_id: None,
    };
    let asked = grants::request(work, asks, &new)?;
    let verdict = Verdict::Approve { awarded: None, overdraft: Overdraft::Record, lots: None };
    Ok(grants::decide(work, decides, asked.id, asked.version, &verdict, "Granted.", false)?.grant.id)
}

/// A look at the books.
pub fn look<T>(database: &TestDatabase, look: impl FnOnce(&mut Conn) -> Result<T, Fault>) -> T {
    let mut conn = Database::parse(&database.url).expect("a database").connect().expect("a connection");
    conn.snapshot(look).expect("a look at the books")
}

/// How many charges there are.
pub fn charges(database: &TestDatabase) -> usize {
    look(database, |conn| usage::store::charges(conn, &usage::Of::default(), Page::ALL)).len()
}

/// The last sequence of the journal.
pub fn head(database: &TestDatabase) -> i64 {
    look(database, ledger::store::head)
}
