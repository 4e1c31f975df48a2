//! One sequence's own corner of a ledger: a unit, a donor, persons, projects and resources that no other sequence has.

use almoner::actor::{Actor, Role, Roles};
use almoner::amount::{Amount, Unit};
use almoner::directory::{self, AccountMapping, NewInstitution, NewProject, NewResource};
use almoner::donations::{self, NewDonor};
use almoner::id::{DonorId, Id, InstitutionId, PersonId, ProjectId, ResourceId};
use almoner::ledger;
use almoner::store::{Fault, Work};
use almoner::time::Time;
use almoner::usage::{self, NewRate};

use crate::command::{DAY, MEMBERS, PERSONS, PROJECTS, RATED, RESOURCES};
use crate::model::{Rate, owner};

pub const FIELDS: [&str; PROJECTS] = ["physics", "biology"];

#[derive(Clone)]
pub struct World {
    pub unit: Unit,
    pub other_unit: Unit,
    pub persons: Vec<PersonId>,
    pub donor: DonorId,
    pub providers: Vec<InstitutionId>,
    pub resources: Vec<ResourceId>,
    pub projects: Vec<ProjectId>,
    pub rates: Vec<Id<almoner::id::Rate>>,
}

/// The rates that stand from the beginning: (resource, meter, price). The second resource has none for cpu.
const RATES: &[(usize, usize, i64)] = &[(0, 0, 3), (0, 1, 40), (1, 1, 55), (2, 1, 25), (2, 0, 1)];
/// Since when, before the sequence begins.
const STANDING: i64 = 60 * DAY;

/// The same rates in the model's words.
pub fn rates(now: i64) -> Vec<Rate> {
    let rate = |(resource, meter, price): &(usize, usize, i64)| Rate {
        resource: *resource,
        meter: *meter,
        price: *price,
        from: now - STANDING,
        proposed_by: 0,
        stands: true,
    };
    RATES.iter().map(rate).collect()
}

/// Registers everything that the commands take for granted.
pub fn set_up(work: &mut Work<'_>, tag: &str) -> Result<World, Fault> {
    let persons = (0..PERSONS).map(|n| directory::person_for(work, &actor(&format!("{tag}-{n}")))).collect::<Result<Vec<_>, _>>()?;
    let who = persons[0];
    let upper = tag.to_uppercase();
    let (unit, other_unit) = (make_unit(work, who, &format!("U{upper}"))?, make_unit(work, who, &format!("V{upper}"))?);
    let providers = ["centre", "cloud"].map(|name| NewInstitution {
        name: name.into(),
        kind: Some("university".into()),
        ror: None,
        country: None,
        external_id: Some(format!("{tag}-{name}")),
    });
    let providers = providers.iter().map(|new| Ok(directory::add_institution(work, who, new)?.id)).collect::<Result<Vec<_>, Fault>>()?;
    let resources = (0..RESOURCES).map(|n| add_resource(work, who, &providers, n)).collect::<Result<Vec<_>, Fault>>()?;
    let projects = (0..PROJECTS).map(|n| add_project(work, who, tag, providers[0], n)).collect::<Result<Vec<_>, Fault>>()?;
    for (project, person) in MEMBERS {
        directory::add_member(work, who, projects[*project], persons[*person], "pi")?;
    }
    let mapped = [("alias", 0, None), ("both", 0, None), ("both", 1, None), ("only", 1, Some(resources[1]))];
    for (account, project, resource) in mapped {
        let account = format!("{tag}-{account}");
        let mapping = AccountMapping { id: Id::from_stamp(0), project: projects[project], cluster: None, account, resource };
        directory::add_account_mapping(work, who, mapping)?;
    }
    let donor =
        donations::add_donor(work, who, &NewDonor { name: "a donor".into(), kind: "industry".into(), ror: None, external_id: None })?.id;
    let from = work.now().plus(-STANDING);
    let rates = RATES.iter().map(|(resource, meter, price)| {
        let qos = [("high".to_owned(), rust_decimal::Decimal::TWO)].into();
        let new = NewRate { resource: resources[*resource], meter: RATED[*meter].into(), price: Amount::new(*price, unit), from, qos };
        Ok(usage::add_rate(work, who, &new)?.id)
    });
    let rates = rates.collect::<Result<Vec<_>, Fault>>()?;
    Ok(World { unit, other_unit, persons, donor, providers, resources, projects, rates })
}

fn actor(subject: &str) -> Actor {
    let roles = Roles::default().with(Role::Officer);
    Actor { issuer: "laws".into(), subject: subject.into(), roles, donor: None, projects: Vec::new(), provider: None }
}

fn make_unit(work: &mut Work<'_>, who: PersonId, code: &str) -> Result<Unit, Fault> {
    let unit = Unit::new(code, 2).ok_or_else(|| Fault::Internal(format!("{code} is no unit")))?;
    ledger::add_unit(work, who, unit, "a unit")?;
    Ok(unit)
}

fn add_resource(work: &mut Work<'_>, who: PersonId, providers: &[InstitutionId], n: usize) -> Result<ResourceId, Fault> {
    let provider = providers[owner(n).unwrap_or(0)];
    let new = NewResource { name: format!("resource {n}"), kind: None, provider, external_id: None };
    Ok(directory::add_resource(work, who, &new)?.id)
}

fn add_project(work: &mut Work<'_>, who: PersonId, tag: &str, institution: InstitutionId, n: usize) -> Result<ProjectId, Fault> {
    let new = NewProject {
        title: format!("project {n}"),
        institution,
        field_of_science: FIELDS[n].into(),
        pi_name: "a researcher".into(),
        pi_orcid: None,
        external_id: Some(format!("{tag}-p{n}")),
    };
    Ok(directory::add_project(work, who, &new)?.id)
}

/// The moment at which every ledger here begins.
pub const DAWN: Time = Time::from_micros(1_700_000_000_000_000);
