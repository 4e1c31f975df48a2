//! Grants: request → decision → active → end.
//!
//! A researcher asks, an officer who is another person decides; an award moves credits from lots to the grant, lot by lot. It may not
//! know about jobs.

pub mod decision;
pub mod grant;
pub mod store;
pub mod sweep;

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::json;

use crate::amount::Amount;
use crate::directory::{self, taken, unknown};
use crate::donations::{self, Lot, Purpose};
use crate::id::{GrantId, Id, LotId, PersonId, ProjectId, ResourceId};
use crate::ledger::{self, Bucket, Draft, Key, Kind};
use crate::refusal::{Code, Refusal};
use crate::store::{Conn, Fault, Page, Room, Work};
pub use decision::{Decision, Verdict};
pub use grant::{Grant, NewGrant, Overdraft, State};
pub use store::Of;

/// One grant. Errors: `not_found`.
pub fn grant(conn: &mut Conn, id: GrantId) -> Result<Grant, Fault> {
    let of = Of { ids: Some(vec![id.stamp()]), ..Of::default() };
    store::grants(conn, &of, Page::ALL)?.pop().ok_or_else(|| Refusal::not_found().into())
}

/// Asks for credits. Errors: `unknown` project or resource, `duplicate_external_id`.
pub fn request(work: &mut Work<'_>, who: PersonId, new: &NewGrant) -> Result<Grant, Fault> {
    if directory::project(work.sql()?, new.project)?.is_none() {
        return Err(unknown("/project", new.project).into());
    }
    for (place, id) in new.resources.iter().enumerate() {
        if directory::resource(work.sql()?, *id)?.is_none() {
            return Err(unknown(&format!("/resources/{place}"), id).into());
        }
    }
    if let Some(name) = &new.external_id {
        let of = Of { external_ids: Some(vec![name.clone()]), ..Of::default() };
        if !store::grants(work.sql()?, &of, Page::ALL)?.is_empty() {
            return Err(taken(name).into());
        }
    }
    let body = json!({
        "project": new.project, "requested": new.requested.to_string(), "unit": new.requested.unit.code(),
        "from": new.period.from.to_string(), "to": new.period.to.to_string(), "resources": new.resources,
    });
    let birth = ledger::post(work, Draft::note(Kind::Request, who, work.now(), &body))?;
    let grant = Grant {
        id: Id::from_stamp(birth.stamp),
        about: new.clone(),
        requester: who,
        awarded: Amount::zero(new.requested.unit),
        state: State::Requested,
        overdraft: Overdraft::Record,
        version: 1,
    };
    store::insert_grant(work.sql_mut()?, &grant)?;
    Ok(grant)
}

/// What a grant's credits would be used for, as donors' terms ask.
fn purpose(conn: &mut Conn, grant: &Grant) -> Result<Purpose, Fault> {
    let missing = || Fault::Internal(format!("{} has no project", grant.id));
    let project = directory::project(conn, grant.about.project)?.ok_or_else(missing)?;
    let institution = directory::institution(conn, project.about.institution)?.ok_or_else(missing)?;
    Ok(Purpose {
        field_of_science: project.about.field_of_science,
        institution_kind: institution.about.kind,
        purpose: grant.about.purpose.clone(),
    })
}

/// The funding of an award: the lots the officer names, or those proposed in draw-down order.
fn fund(work: &mut Work<'_>, grant: &Grant, amount: Amount, named: Option<&[(LotId, Amount)]>) -> Result<Vec<(LotId, Amount)>, Fault> {
    let now = work.now();
    let purpose = purpose(work.sql()?, grant)?;
    if let Some(lots) = named {
        decision::check_named(lots, amount)?;
        for (place, (id, _)) in lots.iter().enumerate() {
            let lot = donations::known_lot(work, *id).map_err(|fault| fault.refused_as(|_| unknown(&format!("/lots/{place}/lot"), id)))?;
            lot.amount.same_unit(amount)?;
            grant.may_draw(&lot, &purpose, now)?;
        }
        return Ok(lots.to_vec());
    }
    let of = donations::Of { units: Some(vec![amount.unit.code().into()]), ..donations::Of::default() };
    let mut lots = donations::store::lots(work.sql()?, &of, Page::ALL)?;
    lots.retain(|lot| grant.may_draw(lot, &purpose, now).is_ok());
    let keys: Vec<Key> = lots.iter().map(|lot| Key::lot(lot.id, Bucket::Available)).collect();
    let free = ledger::balances(work, &keys)?;
    Ok(decision::propose(lots.iter().zip(free).collect(), amount)?)
}

/// What a decision did, or would do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decided {
    /// The grant afterwards.
    pub grant: Grant,
    /// The decision.
    pub decision: Decision,
    /// The lots of the award that expire before the grant ends: what is left in them then will lapse.
    pub will_lapse: Vec<LotId>,
}

/// Decides a request: the award is posted lot by lot.
///
/// With `dry_run` everything is decided and nothing written but the ends of grants that are due anyway; the decision then carries the identifier it would have taken.
/// Errors: `version_mismatch`, `already_decided`, `self_approval`, `insufficient_credits`, `terms_not_met`, `lot_expired`.
pub fn decide(
    work: &mut Work<'_>,
    who: PersonId,
    id: GrantId,
    version: i32,
    verdict: &Verdict,
    reason: &str,
    dry_run: bool,
) -> Result<Decided, Fault> {
    let mut grant = grant(work.sql()?, id)?;
    may_decide(&grant, who, version)?;
    let (amount, lots) = match verdict {
        Verdict::Reject => (grant.awarded, Vec::new()),
        Verdict::Approve { awarded, lots, .. } => {
            let amount = decision::awarded(&grant, *awarded)?;
            // By the clock, what ended grants have left is free again, swept or not.
            sweep::book_ends(work)?;
            (amount, fund(work, &grant, amount, lots.as_deref())?)
        }
    };
    let (word, kind) = match verdict {
        Verdict::Approve { overdraft, .. } => {
            (grant.state, grant.overdraft) = (State::Active, *overdraft);
            ("approve", Kind::Award)
        }
        Verdict::Reject => {
            grant.state = State::Rejected;
            ("reject", Kind::Rejection)
        }
    };
    (grant.awarded, grant.version) = (amount, grant.version + 1);
    let mut draft = Draft::moving(kind, Some(who), grant.about.period.from, amount.unit).about(id.stamp());
    draft.body = Some(json!({"verdict": word, "awarded": amount.to_string(), "overdraft": grant.overdraft.word()}).to_string());
    for (lot, part) in &lots {
        draft.shift(Key::lot(*lot, Bucket::Available), Key::grant(id, *lot, Bucket::Granted), part.minor);
    }
    let birth = if dry_run { work.birth() } else { ledger::post(work, draft)? };
    let id = Id::from_stamp(birth.stamp);
    let decision = Decision { id, grant: grant.id, verdict: word.into(), awarded: amount, officer: who, reason: reason.into(), lots };
    if !dry_run {
        store::update_grant(work.sql_mut()?, &grant)?;
        store::insert_decision(work.sql_mut()?, &decision, grant.requester, birth.seq)?;
    }
    let will_lapse = will_lapse(work, &grant, &decision.lots)?;
    Ok(Decided { grant, decision, will_lapse })
}

fn may_decide(grant: &Grant, who: PersonId, version: i32) -> Result<(), Refusal> {
    if grant.state != State::Requested {
        let detail = format!("The request is {}.", grant.state.word());
        return Err(Refusal::new(Code::AlreadyDecided, detail).with("state", grant.state.word()));
    }
    if grant.requester == who {
        return Err(Refusal::new(Code::SelfApproval, Code::SelfApproval.title()));
    }
    match grant.version == version {
        true => Ok(()),
        false => Err(Refusal::new(Code::VersionMismatch, Code::VersionMismatch.title()).with("version", grant.version)),
    }
}

fn will_lapse(work: &mut Work<'_>, grant: &Grant, lots: &[(LotId, Amount)]) -> Result<Vec<LotId>, Fault> {
    let mut found = Vec::new();
    for (id, _) in lots {
        let lot = donations::known_lot(work, *id)?;
        if lot.expires_at.is_some_and(|end| end < grant.about.period.to) {
            found.push(*id);
        }
    }
    Ok(found)
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
    fn flush(&mut self, _conn: &mut Conn) -> Result<(), Fault> {
        Ok(())
    }

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
    let states = vec![State::Active.word().into(), State::Ended.word().into()];
    let of = Of { projects: Some(stamps), states: Some(states), ..Of::default() };
    let found: Vec<GrantId> = store::grants(conn, &of, Page::ALL)?.iter().map(|g| g.id).collect();
    remembered(work)?.by_account.insert(key, found.clone());
    Ok(found)
}
