//! Where the demo's science happens: units, institutions, sites that provide resources, and their rates.
//!
//! All of it is invented and named "Example …". It may not know who gives and who asks.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::stage::{Stage, missing};
use crate::amount::{Amount, Unit};
use crate::directory::{self, NewInstitution, NewResource};
use crate::id::{InstitutionId, PersonId, RateId, ResourceId};
use crate::ledger;
use crate::store::{Fault, Work};
use crate::time::Time;
use crate::usage::{self, NewRate};

/// What the demo counts: code, scale, name.
const UNITS: [(&str, u8, &str); 3] = [
    ("USD", 6, "US dollar of cloud credit"),
    ("GPU-HOUR", 6, "Hour of one GPU"),
    ("ACCESS-CREDIT", 3, "Credit of an example access programme"),
];

/// Place of a unit in [`UNITS`].
pub(super) const USD: usize = 0;
pub(super) const GPU_HOUR: usize = 1;
pub(super) const ACCESS_CREDIT: usize = 2;

/// An organisation whose machines are used.
pub(super) struct Site {
    name: &'static str,
    kind: &'static str,
    /// The cluster's name in its records.
    pub cluster: &'static str,
    /// Place in [`UNITS`].
    pub unit: usize,
    /// Reports every so many days.
    pub every: i64,
    /// Whether its records name the grant; otherwise an account stands for the project.
    pub names_grants: bool,
    /// Whether that account is its own; otherwise the project's external id.
    pub own_accounts: bool,
    pub machines: &'static [Machine],
}

/// A resource with its prices for an hour, in the smallest part of the site's unit.
pub(super) struct Machine {
    name: &'static str,
    external_id: &'static str,
    pub gpu_hour: i64,
    pub cpu_hour: i64,
    /// Processors that go with one GPU.
    pub cpus_per_gpu: i64,
    /// The largest job, in GPUs (in processors where there are none).
    pub widest: i64,
    /// How much of the site's work runs here.
    pub share: i64,
}

/// Place of a site in [`SITES`].
pub(super) const EAST: usize = 0;
pub(super) const ACCELERATOR: usize = 1;
pub(super) const NATIONAL: usize = 2;
pub(super) const REGIONAL: usize = 3;

pub(super) const SITES: [Site; 4] = [
    Site {
        name: "Example Cloud East",
        kind: "cloud",
        cluster: "cloud-east",
        unit: USD,
        every: 3,
        names_grants: true,
        own_accounts: false,
        machines: &[
            Machine {
                name: "Example Cloud East, 8 × H100",
                external_id: "east-h100",
                gpu_hour: 3_100_000,
                cpu_hour: 12_000,
                cpus_per_gpu: 12,
                widest: 512,
                share: 7,
            },
            Machine {
                name: "Example Cloud East, processors",
                external_id: "east-cpu",
                gpu_hour: 0,
                cpu_hour: 45_000,
                cpus_per_gpu: 0,
                widest: 4096,
                share: 3,
            },
        ],
    },
    Site {
        name: "Example Accelerator Cloud",
        kind: "cloud",
        cluster: "accelerator",
        unit: USD,
        every: 3,
        names_grants: false,
        own_accounts: false,
        machines: &[Machine {
            name: "Example Accelerator Cloud, H200",
            external_id: "acc-h200",
            gpu_hour: 3_600_000,
            cpu_hour: 9_000,
            cpus_per_gpu: 14,
            widest: 1024,
            share: 1,
        }],
    },
    Site {
        name: "Example National Computing Centre",
        kind: "centre",
        cluster: "national",
        unit: GPU_HOUR,
        every: 4,
        names_grants: false,
        own_accounts: true,
        machines: &[
            Machine {
                name: "Example National Computing Centre, A100 partition",
                external_id: "national-a100",
                gpu_hour: 1_000_000,
                cpu_hour: 0,
                cpus_per_gpu: 16,
                widest: 256,
                share: 6,
            },
            Machine {
                name: "Example National Computing Centre, H100 partition",
                external_id: "national-h100",
                gpu_hour: 2_000_000,
                cpu_hour: 0,
                cpus_per_gpu: 24,
                widest: 256,
                share: 4,
            },
        ],
    },
    Site {
        name: "Example Regional HPC Centre",
        kind: "centre",
        cluster: "regional",
        unit: ACCESS_CREDIT,
        every: 5,
        names_grants: false,
        own_accounts: true,
        machines: &[
            Machine {
                name: "Example Regional HPC Centre, processors",
                external_id: "regional-cpu",
                gpu_hour: 0,
                cpu_hour: 1_000,
                cpus_per_gpu: 0,
                widest: 8192,
                share: 6,
            },
            Machine {
                name: "Example Regional HPC Centre, GPU nodes",
                external_id: "regional-gpu",
                gpu_hour: 60_000,
                cpu_hour: 250,
                cpus_per_gpu: 8,
                widest: 64,
                share: 4,
            },
        ],
    },
];

/// A site as the books have it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub institution: InstitutionId,
    /// Who reports for it.
    pub person: PersonId,
    pub unit: Unit,
    /// In the order of its machines.
    pub resources: Vec<ResourceId>,
}

/// Universities and the like beside the four sites: 88 institutions in all.
pub(super) const CAMPUSES: usize = 84;

const SIDES: [&str; 8] = ["North", "South", "East", "West", "Upper", "Lower", "Old", "New"];
const LANDS: [&str; 11] = ["Harbour", "Lake", "Valley", "Ridge", "Plains", "Delta", "Mesa", "Forest", "Island", "Canyon", "Prairie"];
const KINDS: [(&str, &str); 4] = [
    ("university", "Example University of"),
    ("college", "Example College of"),
    ("institute", "Example Research Institute of"),
    ("hospital", "Example Teaching Hospital of"),
];
const COUNTRIES: [&str; 10] = ["US", "US", "US", "US", "US", "US", "CA", "MX", "DE", "JP"];

/// The n-th campus; six in ten are universities.
fn campus(place: usize) -> NewInstitution {
    let (kind, words) = match place % 10 {
        0..=5 => KINDS[0],
        6 | 7 => KINDS[1],
        8 => KINDS[2],
        _ => KINDS[3],
    };
    let name = format!("{words} {} {}", SIDES[place % SIDES.len()], LANDS[place % LANDS.len()]);
    let country = COUNTRIES[(place * 7 + place / 10) % COUNTRIES.len()];
    let external_id = Some(format!("example-campus-{:02}", place + 1));
    NewInstitution { name, kind: Some(kind.into()), ror: None, country: Some(country.into()), external_id }
}

/// Defines the units.
pub(super) fn units(stage: &Stage<'_>) -> Result<Vec<Unit>, Fault> {
    let admin = stage.cast.admin;
    stage.store.write(move |work| {
        let mut made = Vec::with_capacity(UNITS.len());
        for (code, scale, name) in UNITS {
            let unit = Unit::new(code, scale).ok_or_else(|| Fault::Internal(format!("unit {code}")))?;
            ledger::add_unit(work, admin, unit, name)?;
            made.push(unit);
        }
        Ok(made)
    })
}

/// Registers the campuses.
pub(super) fn campuses(stage: &Stage<'_>) -> Result<Vec<InstitutionId>, Fault> {
    let admin = stage.cast.admin;
    stage.store.write(move |work| (0..CAMPUSES).map(|place| Ok(directory::add_institution(work, admin, &campus(place))?.id)).collect())
}

/// Registers a site, its machines and their first rates. The rates are the site's own to set.
pub(super) fn site(stage: &Stage<'_>, place: usize, unit: Unit) -> Result<Place, Fault> {
    let site = &SITES[place];
    let (admin, from) = (stage.cast.admin, stage.at(0, 0));
    let person = stage.person(&provider_subject(place))?;
    stage.store.write(move |work| {
        let external_id = Some(site.cluster.to_owned());
        let (name, kind, country) = (site.name.to_owned(), Some(site.kind.to_owned()), Some("US".to_owned()));
        let institution = directory::add_institution(work, admin, &NewInstitution { name, kind, ror: None, country, external_id })?.id;
        let mut resources = Vec::with_capacity(site.machines.len());
        for machine in site.machines {
            let kind = Some(if machine.gpu_hour > 0 { "gpu-cluster" } else { "cpu-cluster" }.to_owned());
            let (name, external_id) = (machine.name.to_owned(), Some(machine.external_id.to_owned()));
            let resource = directory::add_resource(work, admin, &NewResource { name, kind, provider: institution, external_id })?.id;
            for (meter, minor) in [("gpu-hour", machine.gpu_hour), ("cpu-hour", machine.cpu_hour)] {
                // A machine without GPUs has no price for them; processors may be free of charge.
                if minor > 0 || meter == "cpu-hour" {
                    price(work, person, resource, meter, Amount::new(minor, unit), from)?;
                }
            }
            resources.push(resource);
        }
        Ok(Place { institution, person, unit, resources })
    })
}

/// The subject that reports for a site; the first one's is the demo's provider.
pub(super) fn provider_subject(place: usize) -> String {
    if place == EAST { "demo-provider".into() } else { format!("demo-provider-{}", place + 1) }
}

/// Sets a rate; high quality of service costs twice as much.
fn price(work: &mut Work<'_>, who: PersonId, resource: ResourceId, meter: &str, price: Amount, from: Time) -> Result<RateId, Fault> {
    let qos = BTreeMap::from([("high".to_owned(), Decimal::TWO)]);
    Ok(usage::add_rate(work, who, &NewRate { resource, meter: meter.into(), price, from, qos })?.id)
}

/// The accelerator cloud proposes to lower its price by a sixth from a day on.
pub(super) fn propose_lower_rate(stage: &Stage<'_>, place: &Place, from: Time) -> Result<RateId, Fault> {
    let resource = *place.resources.first().ok_or_else(|| missing("a resource"))?;
    let (person, unit) = (place.person, place.unit);
    let minor = SITES[ACCELERATOR].machines[0].gpu_hour / 6 * 5;
    stage.store.write(move |work| price(work, person, resource, "gpu-hour", Amount::new(minor, unit), from))
}

/// An officer confirms a proposed rate.
pub(super) fn confirm_rate(stage: &Stage<'_>, rate: RateId) -> Result<(), Fault> {
    let officer = stage.cast.officer;
    stage.store.write(move |work| usage::confirm_rate(work, officer, rate).map(|_| ()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_88_institutions_of_different_names() {
        let mut names: Vec<String> = (0..CAMPUSES).map(|place| campus(place).name).chain(SITES.map(|s| s.name.to_owned())).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 88);
        assert!(names.iter().all(|name| name.starts_with("Example ")));
    }
}
