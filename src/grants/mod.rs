//! Grants: request → decision → active → amendments → end.
//!
//! A researcher asks, officers who are other persons decide; an award moves credits from lots to the grant, lot by lot. Nouns and pure rules
//! are in `grant`, `decision`; verbs in `life`, `approve`, `amend`, `policy`, `separation`, `sweep`. It may not know about jobs.

pub mod amend;
mod approve;
pub mod decision;
mod funding;
pub mod grant;
pub mod life;
pub mod policy;
pub mod separation;
pub mod store;
pub mod sweep;

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::directory;
use crate::donations::{self, Lot};
use crate::id::{GrantId, ProjectId, ResourceId};
use crate::ledger::{self, Bucket};
use crate::refusal::Refusal;
use crate::store::{Conn, Fault, Page, Room, Work};
pub use amend::{Amendment, Change};
pub use approve::{Decided, decide};
pub use decision::{Approvals, Decision, Ruling, Verdict};
pub use funding::Plan;
pub use grant::{Grant, NewGrant, Overdraft, State};
pub use life::request;
pub use store::Of;

/// One grant. Errors: `not_found`.
pub fn grant(conn: &mut Conn, id: GrantId) -> Result<Grant, Fault> {
    let of = Of { ids: Some(vec![id.stamp()]), ..Of::default() };
    store::grants(conn, &of, Page::ALL)?.pop().ok_or_else(|| Refusal::not_found().into())
}

/// A grant with the lots behind it, in draw-down order.
#[derive(Debug)]
pub struct Funded {
    /// The grant.
    pub grant: Grant,
    /// Every lot it has ever drawn from.
    pub lots: Vec<Arc<Lot>>,
}

/// What the writer remembers of grants, until a direct write may have changed it.
#[derive(Default)]
struct Grants {
    epoch: u64,
    funded: FxHashMap<GrantId, Arc<Funded>>,
    by_account: HashMap<(String, Option<String>, ResourceId), Vec<GrantId>>,
}

impl Room for Grants {
    fn held(&self) -> usize {
        self.funded.len() + self.by_account.len()
    }
}

fn remembered<'w>(work: &'w mut Work<'_>) -> Result<&'w mut Grants, Fault> {
    let epoch = work.epoch();
    let grants = work.room::<Grants>()?;
    if grants.epoch != epoch {
        *grants = Grants { epoch, ..Grants::default() };
    }
    Ok(grants)
}

/// A grant and its lots, remembered. Errors: `not_found`.
pub fn funded(work: &mut Work<'_>, id: GrantId) -> Result<Arc<Funded>, Fault> {
    if let Some(known) = remembered(work)?.funded.get(&id) {
        return Ok(known.clone());
    }
    let grant = grant(work.sql()?, id)?;
    let mut lots = Vec::new();
    for key in ledger::accounts_of_grant(work, id.stamp())? {
        if let (Bucket::Granted, Some(lot)) = (key.bucket, key.lot_id()) {
            lots.push(donations::known_lot(work, lot)?);
        }
    }
    lots.sort_by(|a, b| a.draw_order(b));
    let found = Arc::new(Funded { grant, lots });
    remembered(work)?.funded.insert(id, found.clone());
    Ok(found)
}

/// The awarded grants of the projects that a scheduler's account stands for: by the project's external id, or by a mapping that fits
/// the cluster and the resource.
pub fn grants_of_account(work: &mut Work<'_>, account: &str, cluster: Option<&str>, resource: ResourceId) -> Result<Vec<GrantId>, Fault> {
    let key = (account.to_owned(), cluster.map(str::to_owned), resource);
    if let Some(known) = remembered(work)?.by_account.get(&key) {
        return Ok(known.clone());
    }
    let conn = work.sql()?;
    let named = directory::Of { external_ids: Some(vec![account.into()]), ..directory::Of::default() };
    let mut projects: Vec<ProjectId> = directory::store::projects(conn, &named, Page::ALL)?.iter().map(|p| p.id).collect();
    for mapping in directory::store::mappings_of_account(conn, account)? {
        let cluster_fits = mapping.cluster.is_none() || mapping.cluster.as_deref() == cluster;
        if cluster_fits && mapping.resource.is_none_or(|r| r == resource) {
            projects.push(mapping.project);
        }
    }
    let stamps = projects.iter().map(|p| p.stamp()).collect();
    let of = Of { projects: Some(stamps), states: Some(State::words(State::AWARDED)), ..Of::default() };
    let found: Vec<GrantId> = store::grants(conn, &of, Page::ALL)?.iter().map(|g| g.id).collect();
    remembered(work)?.by_account.insert(key, found.clone());
    Ok(found)
}
