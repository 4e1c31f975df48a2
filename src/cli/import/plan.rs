//! What an import is to charge: on which resource, by which meters, to which grants. Read from the books before the first line.

use std::collections::BTreeMap;

use super::super::exit::Failure;
use crate::directory::{self, Of, Resource};
use crate::grants;
use crate::id::{GrantId, Id, InstitutionId, ResourceId};
use crate::refusal::Refusal;
use crate::store::{Conn, Page};
use crate::usage::rate::ratio;
use crate::usage::readers::{Job, Meter};
use crate::usage::{self, Record, Used};

/// What is charged and to whom.
pub struct Plan {
    /// What the jobs ran on.
    pub resource: Resource,
    /// The name of its provider.
    pub provider: String,
    /// What of an allocation is metered.
    pub meters: Vec<Meter>,
    /// What could be and is not, for want of a rate.
    pub left_out: Vec<Meter>,
    /// The grant of every job, or of an account's.
    grant: Option<GrantId>,
    by_account: BTreeMap<String, GrantId>,
}

/// What the operator says of it.
pub struct Wish<'o> {
    /// The resource, by its identifier or external id.
    pub resource: &'o str,
    /// Its provider, by identifier or external id.
    pub provider: Option<&'o str>,
    /// The meters; those that have a rate if none are named.
    pub meters: &'o [Meter],
    /// The grant of every job.
    pub grant: Option<GrantId>,
    /// The grants of accounts.
    pub by_account: &'o [(String, GrantId)],
}

impl Plan {
    /// Finds everything that is named.
    pub fn new(conn: &mut Conn, wish: &Wish<'_>) -> Result<Plan, Failure> {
        let provider = wish.provider.map(|text| find_provider(conn, text)).transpose()?;
        let resource = find_resource(conn, wish.resource, provider)?;
        let owner = directory::institution(conn, resource.about.provider)?.map(|i| i.about.name).unwrap_or_default();
        for grant in wish.by_account.iter().map(|(_, grant)| *grant).chain(wish.grant) {
            grants::grant(conn, grant).map_err(|_| Failure::error(format!("There is no {grant}.")))?;
        }
        let of = usage::Of { resources: Some(vec![resource.id.stamp()]), ..usage::Of::default() };
        let rates = usage::store::rates(conn, &of, Page::ALL)?;
        let priced =
            |meter: &Meter| rates.iter().any(|rate| rate.confirmed_at.is_some() && ratio(meter.name(), &rate.about.meter).is_some());
        let (found, left_out): (Vec<Meter>, Vec<Meter>) = Meter::ALL.into_iter().partition(priced);
        let (meters, left_out) = if wish.meters.is_empty() { (found, left_out) } else { (wish.meters.to_vec(), Vec::new()) };
        let by_account = wish.by_account.iter().cloned().collect();
        Ok(Plan { resource, provider: owner, meters, left_out, grant: wish.grant, by_account })
    }

    /// Who reports: the resource's provider.
    pub fn provider_id(&self) -> InstitutionId {
        self.resource.about.provider
    }

    /// The job as a usage record; refused for what no record may hold.
    pub fn record(&self, job: Job) -> Result<Record, Refusal> {
        let mut quantities = job.quantities;
        quantities.sort();
        let state = (!job.state.is_empty()).then_some(job.state);
        let record = Record {
            external_id: job.external_id,
            grant: self.by_account.get(&job.account).copied().or(self.grant),
            account: Some(job.account),
            resource: self.resource.id,
            used: Used::Metered(quantities),
            qos: job.qos,
            started_at: Some(job.started_at),
            ended_at: job.ended_at,
            user: job.user,
            hold: None,
            part: None,
            job: usage::Job { cluster: job.cluster, id: Some(job.job_id), state },
        };
        // The API's own reader is the one judge of lengths and forms.
        Record::read(&crate::json::parse(record.canonical().as_bytes())?, &|_| None)
    }
}

fn find_provider(conn: &mut Conn, text: &str) -> Result<InstitutionId, Failure> {
    let of = match Id::parse(text) {
        Ok(id) => Of { ids: Some(vec![InstitutionId::stamp(id)]), ..Of::default() },
        Err(_) => Of { external_ids: Some(vec![text.to_owned()]), ..Of::default() },
    };
    let found = directory::store::institutions(conn, &of, Page::ALL)?.pop();
    found.map(|institution| institution.id).ok_or_else(|| Failure::error(format!("There is no institution {text:?}.")))
}

fn find_resource(conn: &mut Conn, text: &str, provider: Option<InstitutionId>) -> Result<Resource, Failure> {
    let institutions = provider.map(|id| vec![id.stamp()]);
    let of = match Id::parse(text) {
        Ok(id) => Of { ids: Some(vec![ResourceId::stamp(id)]), institutions, ..Of::default() },
        Err(_) => Of { external_ids: Some(vec![text.to_owned()]), institutions, ..Of::default() },
    };
    let mut found = directory::store::resources(conn, &of, Page::ALL)?;
    match (found.pop(), found.len()) {
        (Some(one), 0) => Ok(one),
        (Some(_), more) => Err(Failure::error(format!("{} resources are called {text:?}.\nSay whose it is with --provider.", more + 1))),
        (None, _) => Err(Failure::error(format!("There is no resource {text:?}.{}", known_resources(conn)?))),
    }
}

/// What `--resource` could have been.
fn known_resources(conn: &mut Conn) -> Result<String, Failure> {
    let page = Page { limit: 10, ..Page::ALL };
    let known = directory::store::resources(conn, &Of::default(), page)?;
    let names: Vec<String> = known.into_iter().map(|r| r.about.external_id.unwrap_or_else(|| r.id.to_string())).collect();
    Ok(if names.is_empty() { "\nNone is registered yet.".into() } else { format!("\nThere are: {}.", names.join(", ")) })
}
