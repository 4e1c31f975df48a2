//! Small books to import into: one donor, one lot, projects with a grant each, two resources with rates.

use std::collections::BTreeMap;

use almoner::amount::{Amount, Unit};
use almoner::directory::{self, AccountMapping, NewInstitution, NewResource};
use almoner::donations::OnExpiry;
use almoner::grants::Overdraft;
use almoner::id::{DonorId, GrantId, Id, InstitutionId, PersonId};
use almoner::ledger;
use almoner::store::{Conn, Database, Fault, Page, Store, Work};
use almoner::time::Clock;
use almoner::usage::{self, NewRate};

use crate::support::books::{Pair, period, time};
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
    let pair = Pair::of(work)?;
    let first = pair.first;
    let usd = Unit::new("USD", 6).expect("a unit");
    ledger::add_unit(work, first, usd, "US dollar of cloud credit")?;
    let provider = institution(work, first, "Example Centre")?;
    let university = institution(work, first, "Example University")?;
    let donor = pair.give(work, Amount::new(100_000_000_000, usd), time("2016-12-01T00:00:00Z"), None, OnExpiry::Lapse)?.donor;
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
        granted.insert(account, grant(work, pair, university, account, Amount::new(20_000_000_000, usd))?);
    }
    Ok(Books { grants: granted, donor, provider })
}

fn grant(work: &mut Work<'_>, pair: Pair, institution: InstitutionId, account: &'static str, amount: Amount) -> Result<GrantId, Fault> {
    let project = pair.project(work, institution, NAMED.contains(&account).then(|| account.into()))?;
    if account == MAPPED {
        let mapping =
            AccountMapping { id: Id::from_stamp(0), project, cluster: Some("phillips".into()), account: account.into(), resource: None };
        directory::add_account_mapping(work, pair.first, mapping)?;
    }
    pair.award(work, project, amount, period("2016-12-01T00:00:00Z", "2036-01-01T00:00:00Z"), Overdraft::Record, None)
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
