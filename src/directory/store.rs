//! The directory's SQL: institutions, projects, members, account mappings, resources.

use diesel::prelude::*;

use super::{AccountMapping, Institution, Member, NewInstitution, NewProject, NewResource, Project, Resource};
use crate::id::{Id, InstitutionId, PersonId, ProjectId, ResourceId};
use crate::store::{Conn, Fault, Page, narrowed, on, paged};

mod tables {
    diesel::table! {
        institutions (id) {
            id -> BigInt, name -> Text, kind -> Nullable<Text>, ror -> Nullable<Text>, country -> Nullable<Text>,
            external_id -> Nullable<Text>,
        }
    }
    diesel::table! {
        persons (id) { id -> BigInt, name -> Text, }
    }
    diesel::table! {
        projects (id) {
            id -> BigInt, title -> Text, institution -> BigInt, field_of_science -> Text, pi_name -> Text, pi_orcid -> Nullable<Text>,
            external_id -> Nullable<Text>,
        }
    }
    diesel::table! {
        members (id) { id -> BigInt, project -> BigInt, person -> BigInt, role -> Text, }
    }
    diesel::table! {
        resources (id) { id -> BigInt, name -> Text, kind -> Nullable<Text>, provider -> BigInt, external_id -> Nullable<Text>, }
    }
    diesel::table! {
        account_mappings (id) { id -> BigInt, project -> BigInt, cluster -> Text, account -> Text, resource -> BigInt, }
    }
    diesel::joinable!(members -> persons (person));
    diesel::allow_tables_to_appear_in_same_query!(members, persons);
}
use tables::{account_mappings, institutions, members, persons, projects, resources};

pub use super::person::store::person;

/// Which objects to list: `None` means any, an empty list none.
#[derive(Clone, Default, Debug)]
pub struct Of {
    /// Only these.
    pub ids: Option<Vec<i64>>,
    /// Only those with one of these external ids.
    pub external_ids: Option<Vec<String>>,
    /// Only those of these institutions or providers.
    pub institutions: Option<Vec<i64>>,
}

type InstitutionRow = (i64, String, Option<String>, Option<String>, Option<String>, Option<String>);

/// Institutions, a page.
pub fn institutions(conn: &mut Conn, of: &Of, page: Page) -> Result<Vec<Institution>, Fault> {
    let rows: Vec<InstitutionRow> = on!(conn, c => {
        let mut query = institutions::table.into_boxed();
        narrowed!(query, institutions::id => of.ids, institutions::external_id => of.external_ids);
        paged!(query, institutions::id, page, c)
    })?;
    let noun = |(id, name, kind, ror, country, external_id): InstitutionRow| Institution {
        id: InstitutionId::from_stamp(id),
        about: NewInstitution { name, kind, ror, country, external_id },
    };
    Ok(rows.into_iter().map(noun).collect())
}

pub(super) fn insert_institution(conn: &mut Conn, id: i64, new: &NewInstitution) -> Result<(), Fault> {
    let row = (
        institutions::id.eq(id),
        institutions::name.eq(&new.name),
        institutions::kind.eq(&new.kind),
        institutions::ror.eq(&new.ror),
        institutions::country.eq(&new.country),
        institutions::external_id.eq(&new.external_id),
    );
    on!(conn, c => diesel::insert_into(institutions::table).values(row).execute(c))?;
    Ok(())
}

type ProjectRow = (i64, String, i64, String, String, Option<String>, Option<String>);

/// Projects, a page.
pub fn projects(conn: &mut Conn, of: &Of, page: Page) -> Result<Vec<Project>, Fault> {
    let rows: Vec<ProjectRow> = on!(conn, c => {
        let mut query = projects::table.into_boxed();
        narrowed!(query, projects::id => of.ids, projects::external_id => of.external_ids, projects::institution => of.institutions);
        paged!(query, projects::id, page, c)
    })?;
    let noun = |(id, title, institution, field_of_science, pi_name, pi_orcid, external_id): ProjectRow| Project {
        id: ProjectId::from_stamp(id),
        about: NewProject { title, institution: InstitutionId::from_stamp(institution), field_of_science, pi_name, pi_orcid, external_id },
    };
    Ok(rows.into_iter().map(noun).collect())
}

pub(super) fn insert_project(conn: &mut Conn, id: i64, new: &NewProject) -> Result<(), Fault> {
    let row = (
        projects::id.eq(id),
        projects::title.eq(&new.title),
        projects::institution.eq(new.institution.stamp()),
        projects::field_of_science.eq(&new.field_of_science),
        projects::pi_name.eq(&new.pi_name),
        projects::pi_orcid.eq(&new.pi_orcid),
        projects::external_id.eq(&new.external_id),
    );
    on!(conn, c => diesel::insert_into(projects::table).values(row).execute(c))?;
    Ok(())
}

/// The members of a project, a page.
pub fn members(conn: &mut Conn, project: Option<ProjectId>, page: Page) -> Result<Vec<Member>, Fault> {
    let columns = (members::id, members::project, members::person, persons::name, members::role);
    let rows: Vec<(i64, i64, i64, String, String)> = on!(conn, c => {
        let mut query = members::table.inner_join(persons::table).select(columns).into_boxed();
        if let Some(project) = project { query = query.filter(members::project.eq(project.stamp())); }
        paged!(query, members::id, page, c)
    })?;
    let noun = |(id, project, person, name, role)| {
        let (project, person) = (ProjectId::from_stamp(project), PersonId::from_stamp(person));
        Member { id: Id::from_stamp(id), project, person, name, role }
    };
    Ok(rows.into_iter().map(noun).collect())
}

/// The projects a person is a member of.
pub fn memberships(conn: &mut Conn, person: PersonId) -> Result<Vec<ProjectId>, Fault> {
    let found = members::table.filter(members::person.eq(person.stamp())).select(members::project);
    let ids: Vec<i64> = on!(conn, c => found.load(c))?;
    Ok(ids.into_iter().map(ProjectId::from_stamp).collect())
}

pub(super) fn insert_member(conn: &mut Conn, id: i64, project: ProjectId, person: PersonId, role: &str) -> Result<(), Fault> {
    let row = (members::id.eq(id), members::project.eq(project.stamp()), members::person.eq(person.stamp()), members::role.eq(role));
    on!(conn, c => diesel::insert_into(members::table).values(row).execute(c))?;
    Ok(())
}

type ResourceRow = (i64, String, Option<String>, i64, Option<String>);

/// Resources, a page.
pub fn resources(conn: &mut Conn, of: &Of, page: Page) -> Result<Vec<Resource>, Fault> {
    let rows: Vec<ResourceRow> = on!(conn, c => {
        let mut query = resources::table.into_boxed();
        narrowed!(query, resources::id => of.ids, resources::external_id => of.external_ids, resources::provider => of.institutions);
        paged!(query, resources::id, page, c)
    })?;
    let noun = |(id, name, kind, provider, external_id): ResourceRow| Resource {
        id: ResourceId::from_stamp(id),
        about: NewResource { name, kind, provider: InstitutionId::from_stamp(provider), external_id },
    };
    Ok(rows.into_iter().map(noun).collect())
}

pub(super) fn insert_resource(conn: &mut Conn, id: i64, new: &NewResource) -> Result<(), Fault> {
    let row = (
        resources::id.eq(id),
        resources::name.eq(&new.name),
        resources::kind.eq(&new.kind),
        resources::provider.eq(new.provider.stamp()),
        resources::external_id.eq(&new.external_id),
    );
    on!(conn, c => diesel::insert_into(resources::table).values(row).execute(c))?;
    Ok(())
}

type MappingRow = (i64, i64, String, String, i64);

/// The account mappings of a project, a page.
pub fn mappings(conn: &mut Conn, project: Option<ProjectId>, page: Page) -> Result<Vec<AccountMapping>, Fault> {
    let rows: Vec<MappingRow> = on!(conn, c => {
        let mut query = account_mappings::table.into_boxed();
        if let Some(project) = project { query = query.filter(account_mappings::project.eq(project.stamp())); }
        paged!(query, account_mappings::id, page, c)
    })?;
    Ok(rows.into_iter().map(mapping_of).collect())
}

fn mapping_of((id, project, cluster, account, resource): MappingRow) -> AccountMapping {
    AccountMapping {
        id: Id::from_stamp(id),
        project: ProjectId::from_stamp(project),
        cluster: Some(cluster).filter(|c| !c.is_empty()),
        account,
        resource: (resource != 0).then(|| ResourceId::from_stamp(resource)),
    }
}

/// All mappings of a scheduler's account, whatever the cluster or resource.
pub fn mappings_of_account(conn: &mut Conn, account: &str) -> Result<Vec<AccountMapping>, Fault> {
    let rows: Vec<MappingRow> = on!(conn, c => account_mappings::table.filter(account_mappings::account.eq(account)).load(c))?;
    Ok(rows.into_iter().map(mapping_of).collect())
}

pub(super) fn insert_mapping(conn: &mut Conn, mapping: &AccountMapping) -> Result<(), Fault> {
    let row = (
        account_mappings::id.eq(mapping.id.stamp()),
        account_mappings::project.eq(mapping.project.stamp()),
        account_mappings::cluster.eq(mapping.cluster.as_deref().unwrap_or("")),
        account_mappings::account.eq(&mapping.account),
        account_mappings::resource.eq(mapping.resource.map_or(0, ResourceId::stamp)),
    );
    on!(conn, c => diesel::insert_into(account_mappings::table).values(row).execute(c))?;
    Ok(())
}
