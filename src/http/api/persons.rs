//! Persons, their identities and affiliations, and the end of their tokens, over HTTP.

use actix_web::HttpRequest;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::actor::{Actor, Role};
use crate::directory::person::{self, Affiliation, Identity, NewPerson, Of, Revision, store};
use crate::directory::{self, Person, standing};
use crate::fields::Fields;
use crate::http::body::{Json, PathId};
use crate::http::header::version_read;
use crate::http::permit::Permit;
use crate::http::problem::Problem;
use crate::http::query::{Form, Param, Query};
use crate::id::{self, InstitutionId, PersonId};
use crate::json::Value;
use crate::refusal::{Code, FieldCode, Refusal};
use crate::store::{Conn, Fault};
use crate::time::Time;

use super::door::{Answered, App, changed, created, expect_empty, made, ok, stamps};
use super::scope::Scope;
use super::sight;
use super::view::instant;

/// A person.
#[derive(Serialize, ToSchema)]
#[schema(as = Person)]
pub struct PersonView {
    object: &'static str,
    id: String,
    created_at: String,
    /// Nothing where it was erased.
    name: Option<String>,
    institution: Option<String>,
    identities: Vec<IdentityView>,
    /// Tokens issued before are refused.
    tokens_from: Option<String>,
    /// Whether who the person was is erased.
    erased: bool,
    version: i32,
}

/// Who vouches for a person, and under what name.
#[derive(Serialize, ToSchema)]
#[schema(as = Identity)]
pub struct IdentityView {
    issuer: String,
    subject: String,
}

impl From<Person> for PersonView {
    fn from(person: Person) -> PersonView {
        let erased = person.is_erased();
        let NewPerson { name, institution, identities } = person.about;
        let identities = identities.into_iter().map(|Identity { issuer, subject }| IdentityView { issuer, subject }).collect();
        PersonView {
            object: "person",
            id: person.id.to_string(),
            created_at: instant(person.id.created_at()),
            name: (!erased).then_some(name),
            institution: institution.map(|id| id.to_string()),
            identities,
            tokens_from: person.not_before.map(instant),
            erased,
            version: person.version,
        }
    }
}

/// A person to be recorded.
#[derive(ToSchema)]
#[schema(as = NewPerson)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct PersonBody {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(pattern = "^ins_[0-9a-hjkmnp-tv-z]{26}$")]
    institution: Option<String>,
    #[schema(min_items = 1, max_items = 20)]
    identities: Vec<IdentityBody>,
}

/// Who vouches for a person, and under what name: the claims `iss` and `sub` of their tokens.
#[derive(ToSchema)]
#[schema(as = NewIdentity)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct IdentityBody {
    #[schema(min_length = 1, max_length = 255)]
    issuer: String,
    #[schema(min_length = 1, max_length = 255)]
    subject: String,
}

fn identity(f: &mut Fields<'_, '_>) -> Option<Identity> {
    let (issuer, subject) = (f.text("issuer", 255).map(String::from), f.text("subject", 255).map(String::from));
    Some(Identity { issuer: issuer?, subject: subject? })
}

/// Filters of the list of persons.
pub const PERSONS: &[Param] = &[Param::any("institution", Form::Id("ins")), Param::any("subject", Form::Text)];

/// Lists persons.
pub async fn list_persons<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let institutions = stamps(query.ids::<id::Institution>("institution")?);
    let of = Of { institutions, subjects: query.texts("subject"), ..Of::default() };
    let look = move |conn: &mut Conn, _: &Scope, page| store::persons(conn, &of, page);
    app.list(&who, &request, &query, look, |_, person| Ok((person.id.stamp(), PersonView::from(person)))).await
}

/// Shows one person.
pub async fn get_person<const R: u8>(_who: Permit<R>, PathId(id): PathId<id::Person>, app: Data<App>) -> Answered {
    app.show_versioned(move |conn| {
        let person = person::person(conn, id)?.ok_or_else(Refusal::not_found)?;
        Ok((person.version, PersonView::from(person)))
    })
    .await
}

/// Records a person with all their identities.
pub async fn create_person<const R: u8>(who: Permit<R>, request: HttpRequest, body: Json, app: Data<App>) -> Answered {
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let name = f.text("name", 200).map(String::from);
    let institution = f.optional().id("institution");
    let identities = f.array_of("identities", 20, identity);
    if identities.as_ref().is_some_and(Vec::is_empty) {
        f.refuse("identities", FieldCode::Required, "A person has at least one identity.");
    }
    let new = f.make(|| Some(NewPerson { name: name?, institution, identities: identities? }))?;
    app.once_for_rights(&who, &request, &body.raw, move |work, by| {
        let person = person::add_person(work, by, &new)?;
        created("persons", person.id, &PersonView::from(person))
    })
    .await
}

/// Records that a further identity is the same person's.
pub async fn link_identity<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Person>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let new = identity(&mut f);
    let new = f.make(|| new)?;
    app.once_for_rights(&who, &request, &body.raw, move |work, by| {
        let person = person::link_identity(work, by, id, &new)?;
        changed(format!("/v1/persons/{id}"), person.version, &PersonView::from(person))
    })
    .await
}

/// What changes of a person; what is absent stays.
#[derive(ToSchema)]
#[schema(as = NewRevision)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct RevisionBody {
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    #[schema(pattern = "^ins_[0-9a-hjkmnp-tv-z]{26}$")]
    institution: Option<String>,
}

/// Gives a person a new name or institution: `If-Match` names the version that was read.
pub async fn revise_person<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Person>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    let version = version_read(&request)?;
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let name = f.optional().text("name", 200).map(String::from);
    let institution: Option<InstitutionId> = f.optional().id("institution");
    if !f.given("name") && !f.given("institution") {
        f.refuse("name", FieldCode::Required, "A revision gives a name, an institution or both.");
    }
    let revision = f.make(|| Some(Revision { name, institution }))?;
    app.once(&who, &request, &body.raw, move |work, by| {
        let person = person::revise_person(work, by, id, version, &revision)?;
        changed(format!("/v1/persons/{id}"), person.version, &PersonView::from(person))
    })
    .await
}

/// Refuses all tokens of a person that were issued before now.
pub async fn revoke_person<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Person>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    expect_empty(&body)?;
    app.once_for_rights(&who, &request, &body.raw, move |work, by| {
        let person = person::revoke_person(work, by, id)?;
        changed(format!("/v1/persons/{id}"), person.version, &PersonView::from(person))
    })
    .await
}

/// An institution that a person declared to belong to.
#[derive(Serialize, ToSchema)]
#[schema(as = Affiliation)]
pub struct AffiliationView {
    object: &'static str,
    created_at: String,
    person: String,
    institution: String,
    since: String,
}

impl From<Affiliation> for AffiliationView {
    fn from(affiliation: Affiliation) -> AffiliationView {
        AffiliationView {
            object: "affiliation",
            created_at: instant(affiliation.id.created_at()),
            person: affiliation.person.to_string(),
            institution: affiliation.institution.to_string(),
            since: instant(affiliation.since),
        }
    }
}

/// An institution that a person belongs to.
#[derive(ToSchema)]
#[schema(as = NewAffiliation)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct AffiliationBody {
    #[schema(pattern = "^ins_[0-9a-hjkmnp-tv-z]{26}$")]
    institution: String,
    #[schema(format = DateTime)]
    since: String,
}

/// Lets in who sees everybody's, and the person themselves; to others the person is not there.
fn own(conn: &mut Conn, who: &Actor, all: bool, id: PersonId) -> Result<(), Fault> {
    let own = directory::store::person(conn, &who.issuer, &who.subject)? == Some(id);
    if all || own { Ok(()) } else { Err(Refusal::not_found().into()) }
}

/// Lists the institutions that a person declared to belong to.
pub async fn list_affiliations<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Person>,
    request: HttpRequest,
    query: Query,
    app: Data<App>,
) -> Answered {
    let actor = Actor::clone(&who);
    let all = sight::shown_by("list_affiliations").is_some_and(|row| row.overseers().meets(actor.roles));
    let look = move |conn: &mut Conn, _: &Scope, page| {
        own(conn, &actor, all, id)?;
        person::person(conn, id)?.ok_or_else(Refusal::not_found)?;
        store::affiliations(conn, Some(id), page)
    };
    app.list(&who, &request, &query, look, |_, found| Ok((found.id.stamp(), AffiliationView::from(found)))).await
}

/// Declares that a person belongs to an institution: an administrator for anybody, everybody for themselves.
pub async fn declare_affiliation<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Person>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let (institution, since) = (f.id("institution"), f.time("since"));
    let (institution, since) = f.make(|| Some((institution?, since?)))?;
    let actor = Actor::clone(&who);
    app.once(&who, &request, &body.raw, move |work, by| {
        own(work.sql()?, &actor, actor.has(Role::Admin), id)?;
        let affiliation = person::declare_affiliation(work, by, id, institution, since)?;
        made(format!("/v1/persons/{id}/affiliations"), &AffiliationView::from(affiliation))
    })
    .await
}

/// A token that is refused from now on.
#[derive(Serialize, ToSchema)]
#[schema(as = TokenRevocation)]
pub struct TokenRevocationView {
    object: &'static str,
    created_at: String,
    issuer: String,
    jti: String,
    /// Until then it is remembered.
    expires_at: String,
}

/// The token to be refused: without fields the one that is shown; another only by an administrator.
#[derive(ToSchema)]
#[schema(as = NewTokenRevocation)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct TokenRevocationBody {
    /// The caller's own issuer if absent.
    #[schema(min_length = 1, max_length = 255)]
    issuer: Option<String>,
    #[schema(min_length = 1, max_length = 255)]
    jti: Option<String>,
    /// When it would have expired.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// Refuses a token by its own id from now on.
pub async fn revoke_token<const R: u8>(who: Permit<R>, request: HttpRequest, body: Json, app: Data<App>) -> Answered {
    let shown = who.bearer();
    let (issuer, jti, expires_at) = match &body.parse()? {
        Value::Object(fields) if fields.is_empty() => (shown.actor.issuer.clone(), shown.token.clone(), shown.expires_at),
        named => {
            let named = named_token(named, &shown.actor.issuer)?;
            if !who.has(Role::Admin) {
                let detail = "Only an administrator revokes other tokens than the one they show; send {} for that one.";
                return Err(Problem::new(Code::Forbidden, detail));
            }
            named
        }
    };
    app.once_for_rights(&who, &request, &body.raw, move |work, by| {
        let at = standing::revoke_token(work, by, &issuer, &jti, expires_at)?;
        let (created_at, issuer, jti, expires_at) = (instant(at), issuer.clone(), jti.clone(), instant(expires_at));
        ok(&TokenRevocationView { object: "token_revocation", created_at, issuer, jti, expires_at })
    })
    .await
}

fn named_token(body: &Value<'_>, own: &str) -> Result<(String, String, Time), Refusal> {
    let mut f = Fields::of(body)?;
    let issuer = f.optional().text("issuer", 255).unwrap_or(own).to_owned();
    let jti = f.text("jti", 255).map(String::from);
    let expires_at = f.time("expires_at");
    f.make(|| Some((issuer, jti?, expires_at?)))
}
