//! Who and what the books are about: persons and what they may, institutions, projects, resources.
//!
//! Names of persons stand here and never in the journal, which holds identifiers only. It may not know about credits.

pub mod binding;
pub mod erasure;
mod institution;
pub mod person;
mod project;
pub mod reading;
mod resource;
pub mod standing;
pub mod store;

use serde_json::json;

use crate::id::{Id, InstitutionId, PersonId, ProjectId, ResourceId};
use crate::ledger::{self, Draft, Kind};
use crate::refusal::{Code, FieldCode, Refusal};
use crate::store::{Conn, Fault, Page, Work};
pub use binding::{ApprovalLimit, Binding, approval_limit};
pub use institution::{Institution, NewInstitution};
pub use person::{Person, affiliations, person_for};
pub use project::{AccountMapping, Member, NewProject, Project};
pub use resource::{NewResource, Resource};
pub use store::Of;

/// The refusal for an external id that is in use.
pub fn taken(external_id: &str) -> Refusal {
    let detail = format!("external_id {external_id:?} is in use for another object of this kind.");
    Refusal::new(Code::DuplicateExternalId, detail).with("external_id", external_id)
}

/// The refusal for an identifier in a field that names nothing.
pub fn unknown(pointer: &str, id: impl std::fmt::Display) -> Refusal {
    Refusal::field(pointer, FieldCode::Unknown, format!("There is no {id}."))
}

fn of_external_id(external_id: &Option<String>) -> Option<Of> {
    external_id.as_ref().map(|name| Of { external_ids: Some(vec![name.clone()]), ..Of::default() })
}

fn of_id(id: i64) -> Of {
    Of { ids: Some(vec![id]), ..Of::default() }
}

/// One institution.
pub fn institution(conn: &mut Conn, id: InstitutionId) -> Result<Option<Institution>, Fault> {
    Ok(store::institutions(conn, &of_id(id.stamp()), Page::ALL)?.pop())
}

/// One project.
pub fn project(conn: &mut Conn, id: ProjectId) -> Result<Option<Project>, Fault> {
    Ok(store::projects(conn, &of_id(id.stamp()), Page::ALL)?.pop())
}

/// One resource.
pub fn resource(conn: &mut Conn, id: ResourceId) -> Result<Option<Resource>, Fault> {
    Ok(store::resources(conn, &of_id(id.stamp()), Page::ALL)?.pop())
}

/// Registers an institution. Errors: `duplicate_external_id`.
pub fn add_institution(work: &mut Work<'_>, who: PersonId, new: &NewInstitution) -> Result<Institution, Fault> {
    if let (Some(of), Some(name)) = (of_external_id(&new.external_id), &new.external_id)
        && !store::institutions(work.sql()?, &of, Page::ALL)?.is_empty()
    {
        return Err(taken(name).into());
    }
    let birth = ledger::post(work, Draft::note(Kind::Institution, who, work.now(), &json!({"kind": new.kind})))?;
    store::insert_institution(work.sql_mut()?, birth.stamp, new)?;
    Ok(Institution { id: Id::from_stamp(birth.stamp), about: new.clone() })
}

/// Registers a project. Errors: `duplicate_external_id`, `unknown` for the institution.
pub fn add_project(work: &mut Work<'_>, who: PersonId, new: &NewProject) -> Result<Project, Fault> {
    if institution(work.sql()?, new.institution)?.is_none() {
        return Err(unknown("/institution", new.institution).into());
    }
    if let (Some(of), Some(name)) = (of_external_id(&new.external_id), &new.external_id)
        && !store::projects(work.sql()?, &of, Page::ALL)?.is_empty()
    {
        return Err(taken(name).into());
    }
    let body = json!({"institution": new.institution, "field_of_science": new.field_of_science});
    let birth = ledger::post(work, Draft::note(Kind::Project, who, work.now(), &body))?;
    store::insert_project(work.sql_mut()?, birth.stamp, new)?;
    Ok(Project { id: Id::from_stamp(birth.stamp), about: new.clone() })
}

/// Makes a person a member of a project, as `pi` or `member`; a person who is one stays as they are.
pub fn add_member(work: &mut Work<'_>, who: PersonId, project: ProjectId, person: PersonId, role: &str) -> Result<Member, Fault> {
    let known = store::members(work.sql()?, Some(project), Page::ALL)?;
    if let Some(member) = known.into_iter().find(|m| m.person == person) {
        return Ok(member);
    }
    let body = json!({"project": project, "person": person, "role": role});
    let birth = ledger::post(work, Draft::note(Kind::Member, who, work.now(), &body).about(project.stamp()))?;
    store::insert_member(work.sql_mut()?, birth.stamp, project, person, role)?;
    let added = store::members(work.sql()?, Some(project), Page::ALL)?.into_iter().find(|m| m.person == person);
    added.ok_or_else(|| Fault::Internal("a new member is missing".into()))
}

/// Lets a scheduler's account stand for a project. Errors: `unknown` for the resource, `duplicate_external_id` if it does already.
pub fn add_account_mapping(work: &mut Work<'_>, who: PersonId, mut mapping: AccountMapping) -> Result<AccountMapping, Fault> {
    if let Some(id) = mapping.resource
        && resource(work.sql()?, id)?.is_none()
    {
        return Err(unknown("/resource", id).into());
    }
    let same = |m: &AccountMapping| (m.project, &m.cluster, m.resource) == (mapping.project, &mapping.cluster, mapping.resource);
    if store::mappings_of_account(work.sql()?, &mapping.account)?.iter().any(same) {
        return Err(taken(&mapping.account).into());
    }
    let body = json!({"project": mapping.project, "resource": mapping.resource, "account": mapping.named()});
    let birth = ledger::post(work, Draft::note(Kind::AccountMapping, who, work.now(), &body).about(mapping.project.stamp()))?;
    mapping.id = Id::from_stamp(birth.stamp);
    store::insert_mapping(work.sql_mut()?, &mapping)?;
    Ok(mapping)
}

/// Registers a resource. Errors: `duplicate_external_id` among the provider's, `unknown` for the provider.
pub fn add_resource(work: &mut Work<'_>, who: PersonId, new: &NewResource) -> Result<Resource, Fault> {
    if institution(work.sql()?, new.provider)?.is_none() {
        return Err(unknown("/provider", new.provider).into());
    }
    if let (Some(of), Some(name)) = (of_external_id(&new.external_id), &new.external_id) {
        let of = Of { institutions: Some(vec![new.provider.stamp()]), ..of };
        if !store::resources(work.sql()?, &of, Page::ALL)?.is_empty() {
            return Err(taken(name).into());
        }
    }
    let birth = ledger::post(work, Draft::note(Kind::Resource, who, work.now(), &json!({"provider": new.provider})))?;
    store::insert_resource(work.sql_mut()?, birth.stamp, new)?;
    Ok(Resource { id: Id::from_stamp(birth.stamp), about: new.clone() })
}
