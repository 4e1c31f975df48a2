//! Institutions, projects, members and account mappings over HTTP.

use actix_web::HttpRequest;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::actor::{Actor, Roles};
use crate::directory::{self, AccountMapping, Institution, Member, NewInstitution, NewProject, Of, Project};
use crate::fields::Fields;
use crate::http::body::{Json, PathId};
use crate::http::permit::Permit;
use crate::http::query::{Form, Param, Query};
use crate::id::{self, Id};
use crate::refusal::Refusal;
use crate::store::Conn;

use super::door::{Answered, App, created, stamps};
use super::scope::{Scope, within};
use super::view::instant;

/// An institution.
#[derive(Serialize, ToSchema)]
#[schema(as = Institution)]
pub struct InstitutionView {
    object: &'static str,
    id: String,
    created_at: String,
    name: String,
    kind: Option<String>,
    ror: Option<String>,
    country: Option<String>,
    external_id: Option<String>,
}

impl From<Institution> for InstitutionView {
    fn from(institution: Institution) -> InstitutionView {
        let NewInstitution { name, kind, ror, country, external_id } = institution.about;
        let id = institution.id;
        InstitutionView {
            object: "institution",
            id: id.to_string(),
            created_at: instant(id.created_at()),
            name,
            kind,
            ror,
            country,
            external_id,
        }
    }
}

/// An institution to be registered.
#[derive(ToSchema)]
#[schema(as = NewInstitution)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct InstitutionBody {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(min_length = 1, max_length = 60)]
    kind: Option<String>,
    #[schema(min_length = 1, max_length = 60)]
    ror: Option<String>,
    #[schema(min_length = 2, max_length = 2)]
    country: Option<String>,
    #[schema(min_length = 1, max_length = 180)]
    external_id: Option<String>,
}

/// Filters of the list of institutions.
pub const INSTITUTIONS: &[Param] = &[Param::any("external_id", Form::Text)];

/// Lists institutions.
pub async fn list_institutions<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let of = Of { external_ids: query.texts("external_id"), ..Of::default() };
    let look = move |conn: &mut _, _: &Scope, page| directory::store::institutions(conn, &of, page);
    app.list(&who, &request, &query, look, |_, found| Ok((found.id.stamp(), InstitutionView::from(found)))).await
}

/// Shows one institution.
pub async fn get_institution<const R: u8>(_who: Permit<R>, PathId(id): PathId<id::Institution>, app: Data<App>) -> Answered {
    app.show(move |conn| Ok(InstitutionView::from(directory::institution(conn, id)?.ok_or_else(Refusal::not_found)?))).await
}

/// Registers an institution.
pub async fn create_institution<const R: u8>(who: Permit<R>, request: HttpRequest, body: Json, app: Data<App>) -> Answered {
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let name = f.text("name", 200).map(String::from);
    let kind = f.optional().text("kind", 60).map(String::from);
    let ror = f.optional().text("ror", 60).map(String::from);
    let country = f.optional().text("country", 2).map(String::from);
    let external_id = f.optional().text("external_id", 180).map(String::from);
    let new = f.make(|| Some(NewInstitution { name: name?, kind, ror, country, external_id }))?;
    app.once(&who, &request, &body.raw, move |work, person| {
        let made = directory::add_institution(work, person, &new)?;
        created("institutions", made.id, &InstitutionView::from(made))
    })
    .await
}

/// A project.
#[derive(Serialize, ToSchema)]
#[schema(as = Project)]
pub struct ProjectView {
    object: &'static str,
    id: String,
    created_at: String,
    title: String,
    institution: String,
    field_of_science: String,
    principal_investigator: InvestigatorView,
    external_id: Option<String>,
}

/// Who leads a project.
#[derive(Serialize, ToSchema)]
#[schema(as = PrincipalInvestigator)]
pub struct InvestigatorView {
    name: String,
    orcid: Option<String>,
}

impl From<Project> for ProjectView {
    fn from(project: Project) -> ProjectView {
        let NewProject { title, institution, field_of_science, pi_name, pi_orcid, external_id } = project.about;
        ProjectView {
            object: "project",
            id: project.id.to_string(),
            created_at: instant(project.id.created_at()),
            title,
            institution: institution.to_string(),
            field_of_science,
            principal_investigator: InvestigatorView { name: pi_name, orcid: pi_orcid },
            external_id,
        }
    }
}

/// A project to be registered.
#[derive(ToSchema)]
#[schema(as = NewProject)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct ProjectBody {
    #[schema(min_length = 1, max_length = 300)]
    title: String,
    #[schema(pattern = "^ins_[0-9a-hjkmnp-tv-z]{26}$")]
    institution: String,
    #[schema(min_length = 1, max_length = 120)]
    field_of_science: String,
    principal_investigator: InvestigatorBody,
    #[schema(min_length = 1, max_length = 180)]
    external_id: Option<String>,
}

/// Who leads a project; the subject of their token makes them a member.
#[derive(ToSchema)]
#[schema(as = NewPrincipalInvestigator)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct InvestigatorBody {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(min_length = 1, max_length = 40)]
    orcid: Option<String>,
    #[schema(min_length = 1, max_length = 255)]
    subject: Option<String>,
}

/// Filters of the list of projects.
pub const PROJECTS: &[Param] = &[Param::any("institution", Form::Id("ins")), Param::any("external_id", Form::Text)];

/// Lists projects; a researcher sees own ones.
pub async fn list_projects<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let institutions = stamps(query.ids::<id::Institution>("institution")?);
    let external_ids = query.texts("external_id");
    let look = move |conn: &mut _, scope: &Scope, page| {
        let of = Of { ids: scope.projects(), external_ids: external_ids.clone(), institutions: institutions.clone() };
        directory::store::projects(conn, &of, page)
    };
    app.list(&who, &request, &query, look, |_, project| Ok((project.id.stamp(), ProjectView::from(project)))).await
}

/// Shows one project.
pub async fn get_project<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Project>, app: Data<App>) -> Answered {
    app.show(move |conn| own_project(conn, &who, Roles(R), id).map(ProjectView::from)).await
}

fn own_project(conn: &mut Conn, who: &Actor, roles: Roles, id: id::ProjectId) -> Result<Project, crate::store::Fault> {
    Scope::of(conn, who, roles)?.project(id)?;
    directory::project(conn, id)?.ok_or_else(|| Refusal::not_found().into())
}

/// Registers a project. A researcher who does so becomes its principal investigator.
pub async fn create_project<const R: u8>(who: Permit<R>, request: HttpRequest, body: Json, app: Data<App>) -> Answered {
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let title = f.text("title", 300).map(String::from);
    let institution = f.id("institution");
    let field_of_science = f.text("field_of_science", 120).map(String::from);
    let pi = f.object("principal_investigator", |p| {
        let name = p.text("name", 200).map(String::from);
        let orcid = p.optional().text("orcid", 40).map(String::from);
        let subject = p.optional().text("subject", 255).map(String::from);
        Some((name?, orcid, subject))
    });
    let external_id = f.optional().text("external_id", 180).map(String::from);
    let (new, subject) = f.make(|| {
        let (pi_name, pi_orcid, subject) = pi?;
        let (title, institution, field_of_science) = (title?, institution?, field_of_science?);
        Some((NewProject { title, institution, field_of_science, pi_name, pi_orcid, external_id }, subject))
    })?;
    let actor = Actor::clone(&who);
    app.once(&who, &request, &body.raw, move |work, person| {
        let project = directory::add_project(work, person, &new)?;
        let named = subject.clone().map(|subject| Actor { subject, ..actor.clone() });
        let own = actor.has(crate::actor::Role::Researcher).then(|| actor.clone());
        for member in [named, own].into_iter().flatten() {
            let member = directory::person_for(work, &member)?;
            directory::add_member(work, person, project.id, member, "pi")?;
        }
        created("projects", project.id, &ProjectView::from(project))
    })
    .await
}

/// A person's part in a project.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub struct MemberView {
    object: &'static str,
    created_at: String,
    project: String,
    person: String,
    /// Nothing where it was erased.
    name: Option<String>,
    role: String,
}

impl From<Member> for MemberView {
    fn from(member: Member) -> MemberView {
        MemberView {
            object: "member",
            created_at: instant(member.id.created_at()),
            project: member.project.to_string(),
            person: member.person.to_string(),
            name: Some(member.name).filter(|name| !name.is_empty()),
            role: member.role,
        }
    }
}

/// A member to be added: the subject of their token.
#[derive(ToSchema)]
#[schema(as = NewMember)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct MemberBody {
    #[schema(min_length = 1, max_length = 255)]
    subject: String,
    /// Who vouches for the subject; the caller's own issuer if absent.
    #[schema(min_length = 1, max_length = 255)]
    issuer: Option<String>,
    #[schema(pattern = "^(pi|member)$")]
    role: String,
}

/// Lists the members of a project.
pub async fn list_members<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Project>,
    request: HttpRequest,
    query: Query,
    app: Data<App>,
) -> Answered {
    let look = move |conn: &mut _, scope: &Scope, page| {
        scope.project(id)?;
        directory::project(conn, id)?.ok_or_else(Refusal::not_found)?;
        directory::store::members(conn, Some(id), page)
    };
    app.list(&who, &request, &query, look, |_, member| Ok((member.id.stamp(), MemberView::from(member)))).await
}

/// Adds a member to a project.
pub async fn add_member<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Project>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let subject = f.text("subject", 255).map(String::from);
    let issuer = f.optional().text("issuer", 255).map(String::from).unwrap_or_else(|| who.issuer.clone());
    let role = f.one_of("role", &["pi", "member"]);
    let actor = Actor::clone(&who);
    let (added, role) = f.make(|| Some((Actor { issuer, subject: subject?, ..actor.clone() }, role?)))?;
    app.once(&who, &request, &body.raw, move |work, person| {
        own_project(work.sql()?, &actor, Roles(R), id)?;
        let member = directory::person_for(work, &added)?;
        let member = directory::add_member(work, person, id, member, role)?;
        super::door::made(format!("/v1/projects/{id}/members"), &MemberView::from(member))
    })
    .await
}

/// A scheduler's account that stands for a project.
#[derive(Serialize, ToSchema)]
#[schema(as = AccountMapping)]
pub struct MappingView {
    object: &'static str,
    created_at: String,
    project: String,
    cluster: Option<String>,
    account: String,
    resource: Option<String>,
}

impl From<AccountMapping> for MappingView {
    fn from(mapping: AccountMapping) -> MappingView {
        MappingView {
            object: "account_mapping",
            created_at: instant(mapping.id.created_at()),
            project: mapping.project.to_string(),
            cluster: mapping.cluster,
            account: mapping.account,
            resource: mapping.resource.map(|r| r.to_string()),
        }
    }
}

/// An account to be mapped.
#[derive(ToSchema)]
#[schema(as = NewAccountMapping)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct MappingBody {
    #[schema(min_length = 1, max_length = 180)]
    cluster: Option<String>,
    #[schema(min_length = 1, max_length = 180)]
    account: String,
    #[schema(pattern = "^res_[0-9a-hjkmnp-tv-z]{26}$")]
    resource: Option<String>,
}

/// Lists the scheduler accounts that stand for a project.
pub async fn list_account_mappings<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Project>,
    request: HttpRequest,
    query: Query,
    app: Data<App>,
) -> Answered {
    let look = move |conn: &mut _, scope: &Scope, page| {
        scope.project(id)?;
        directory::project(conn, id)?.ok_or_else(Refusal::not_found)?;
        directory::store::mappings(conn, Some(id), page)
    };
    app.list(&who, &request, &query, look, |_, mapping| Ok((mapping.id.stamp(), MappingView::from(mapping)))).await
}

/// Lets a scheduler's account stand for a project.
pub async fn create_account_mapping<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Project>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let cluster = f.optional().text("cluster", 180).map(String::from);
    let account = f.text("account", 180).map(String::from);
    let resource = f.optional().id("resource");
    let mapping = f.make(|| Some(AccountMapping { id: Id::from_stamp(0), project: id, cluster, account: account?, resource }))?;
    let actor = Actor::clone(&who);
    app.once(&who, &request, &body.raw, move |work, person| {
        own_project(work.sql()?, &actor, Roles(R), id)?;
        let made = directory::add_account_mapping(work, person, mapping.clone())?;
        super::door::made(format!("/v1/projects/{id}/account-mappings"), &MappingView::from(made))
    })
    .await
}

/// The projects asked for, as far as the scope goes.
pub fn projects_within(asked: Option<Vec<id::ProjectId>>, scope: &Scope) -> Option<Vec<i64>> {
    within(stamps(asked), scope.projects())
}
