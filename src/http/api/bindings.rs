//! Role bindings, and what auditors read, over HTTP.

use actix_web::HttpRequest;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::actor::Role;
use crate::directory::binding::{self, Binding, Of, Right, State, store};
use crate::directory::reading::{self, Reading};
use crate::directory::unknown;
use crate::donations;
use crate::fields::{Fields, Units};
use crate::http::body::{Json, PathId};
use crate::http::permit::Permit;
use crate::http::query::{Form, Param, Query};
use crate::id::{self, BindingId, PersonId};
use crate::refusal::FieldCode;
use crate::store::{Conn, Page};

use super::door::{Answered, App, created, expect_empty, stamps};
use super::scope::Scope;
use super::view::{Money, MoneyIn, instant};

/// A role that a person has, had, or is to have.
#[derive(Serialize, ToSchema)]
#[schema(as = RoleBinding)]
pub struct BindingView {
    object: &'static str,
    id: String,
    created_at: String,
    person: String,
    role: &'static str,
    /// Of a donor: whose donations.
    donor: Option<String>,
    /// Of a researcher: which project, beside those of which they are a member.
    project: Option<String>,
    /// Of a provider: for which organisation.
    provider: Option<String>,
    /// Of an officer: how much they approve at most; anything if absent.
    limit: Option<Money>,
    /// `proposed`, `active` or `revoked`.
    state: &'static str,
    proposed_by: String,
    confirmed_by: Option<String>,
    revoked_by: Option<String>,
}

/// What a binding is bound to: donor, project, provider, limit.
type Bounds = (Option<String>, Option<String>, Option<String>, Option<Money>);

/// What a right is bound to, on the wire.
fn bounds(right: Right) -> Bounds {
    match right {
        Right::Donor(id) => (Some(id.to_string()), None, None, None),
        Right::Researcher(id) => (None, id.map(|id| id.to_string()), None, None),
        Right::Provider(id) => (None, None, Some(id.to_string()), None),
        Right::Officer(limit) => (None, None, None, limit.map(Money::from)),
        Right::Auditor | Right::Admin => (None, None, None, None),
    }
}

impl From<Binding> for BindingView {
    fn from(binding: Binding) -> BindingView {
        let (donor, project, provider, limit) = bounds(binding.right);
        let name = |person: PersonId| person.to_string();
        BindingView {
            object: "role_binding",
            id: binding.id.to_string(),
            created_at: instant(binding.id.created_at()),
            person: binding.person.to_string(),
            role: binding.right.role().word(),
            donor,
            project,
            provider,
            limit,
            state: binding.state.word(),
            proposed_by: name(binding.proposed_by),
            confirmed_by: binding.confirmed_by.map(name),
            revoked_by: binding.revoked_by.map(name),
        }
    }
}

/// A role that is bound to who asks.
#[derive(Serialize, ToSchema)]
#[schema(as = OwnRole)]
pub struct OwnBinding {
    id: String,
    role: &'static str,
    donor: Option<String>,
    project: Option<String>,
    provider: Option<String>,
    limit: Option<Money>,
}

impl From<&Binding> for OwnBinding {
    fn from(binding: &Binding) -> OwnBinding {
        let (donor, project, provider, limit) = bounds(binding.right);
        OwnBinding { id: binding.id.to_string(), role: binding.right.role().word(), donor, project, provider, limit }
    }
}

/// A role to be bound to a person.
#[derive(ToSchema)]
#[schema(as = NewRoleBinding)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct BindingBody {
    #[schema(pattern = "^prs_[0-9a-hjkmnp-tv-z]{26}$")]
    person: String,
    #[schema(pattern = "^(donor|officer|researcher|provider|auditor|admin)$")]
    role: String,
    /// Required of a donor.
    #[schema(pattern = "^dnr_[0-9a-hjkmnp-tv-z]{26}$")]
    donor: Option<String>,
    /// Of a researcher; without it those projects of which they are a member.
    #[schema(pattern = "^prj_[0-9a-hjkmnp-tv-z]{26}$")]
    project: Option<String>,
    /// Required of a provider.
    #[schema(pattern = "^ins_[0-9a-hjkmnp-tv-z]{26}$")]
    provider: Option<String>,
    /// Of an officer, who approves without a limit if there is none.
    limit: Option<MoneyIn>,
}

/// Filters of the list of role bindings.
pub const BINDINGS: &[Param] = &[
    Param::any("person", Form::Id("prs")),
    Param::any("role", Form::OneOf(&["donor", "officer", "researcher", "provider", "auditor", "admin"])),
    Param::any("state", Form::OneOf(State::WORDS)),
];

/// Lists role bindings.
pub async fn list_role_bindings<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let persons = stamps(query.ids::<id::Person>("person")?);
    let of = Of { persons, roles: query.texts("role"), states: query.texts("state"), ..Of::default() };
    let look = move |conn: &mut Conn, _: &Scope, page| store::bindings(conn, &of, page);
    app.list(&who, &request, &query, look, |_, binding| Ok((binding.id.stamp(), BindingView::from(binding)))).await
}

/// Shows one role binding.
pub async fn get_role_binding<const R: u8>(_who: Permit<R>, PathId(id): PathId<id::Binding>, app: Data<App>) -> Answered {
    app.show(move |conn| Ok(BindingView::from(binding::binding(conn, id)?))).await
}

/// Reads whose and what is to be bound.
fn read(f: &mut Fields<'_, '_>, units: Units<'_>) -> Option<(PersonId, Right)> {
    let person = f.id("person");
    let role = f.one_of("role", &Role::ALL.map(Role::word)).and_then(|word| word.parse::<Role>().ok());
    let (donor, project, provider) = (f.optional().id("donor"), f.optional().id("project"), f.optional().id("provider"));
    let limit = f.optional().amount("limit", units);
    let role = role?;
    let places = [("donor", Role::Donor), ("project", Role::Researcher), ("provider", Role::Provider), ("limit", Role::Officer)];
    for (name, _) in places.into_iter().filter(|(_, own)| *own != role) {
        if f.given(name) {
            f.refuse(name, FieldCode::NotAllowed, format!("The role {} is not bound to that.", role.word()));
        }
    }
    let required = match role {
        Role::Donor if !f.given("donor") => Some("donor"),
        Role::Provider if !f.given("provider") => Some("provider"),
        _ => None,
    };
    if let Some(name) = required {
        f.refuse(name, FieldCode::Required, format!("The role {} is of one {name}.", role.word()));
    }
    let right = match role {
        Role::Donor => Right::Donor(donor?),
        Role::Officer => Right::Officer(limit),
        Role::Researcher => Right::Researcher(project),
        Role::Provider => Right::Provider(provider?),
        Role::Auditor => Right::Auditor,
        Role::Admin => Right::Admin,
    };
    Some((person?, right))
}

/// Binds a role to a person: at once, or for officers, auditors and administrators once another confirms it.
pub async fn create_role_binding<const R: u8>(who: Permit<R>, request: HttpRequest, body: Json, app: Data<App>) -> Answered {
    let units = app.units().await?;
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let new = read(&mut f, &|code| units.get(code).copied());
    let (person, right) = f.make(|| new)?;
    app.once_for_rights(&who, &request, &body.raw, move |work, by| {
        if let Right::Donor(donor) = right {
            let of = donations::Of { ids: Some(vec![donor.stamp()]), ..donations::Of::default() };
            donations::store::donors(work.sql()?, &of, Page::ALL)?.pop().ok_or_else(|| unknown("/donor", donor))?;
        }
        let binding = binding::propose(work, by, person, right)?;
        created("role-bindings", binding.id, &BindingView::from(binding))
    })
    .await
}

/// Confirms a role that another proposed.
pub async fn confirm_role_binding<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Binding>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    expect_empty(&body)?;
    app.once_for_rights(&who, &request, &body.raw, move |work, by| shown(binding::confirm(work, by, id)?)).await
}

/// Takes a role away, or a proposal back: one administrator, at once.
pub async fn revoke_role_binding<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Binding>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    expect_empty(&body)?;
    app.once_for_rights(&who, &request, &body.raw, move |work, by| shown(binding::revoke(work, by, id)?)).await
}

fn shown(binding: Binding) -> Result<crate::store::answers::Answer, crate::store::Fault> {
    let id: BindingId = binding.id;
    super::door::made(format!("/v1/role-bindings/{id}"), &BindingView::from(binding))
}

/// What an auditor read of what tells of persons or jobs.
#[derive(Serialize, ToSchema)]
#[schema(as = Reading)]
pub struct ReadingView {
    object: &'static str,
    created_at: String,
    person: String,
    /// The operation of the API.
    operation: String,
    /// The identifier in the address, if it has one.
    read: Option<String>,
}

impl From<Reading> for ReadingView {
    fn from(reading: Reading) -> ReadingView {
        ReadingView {
            object: "reading",
            created_at: instant(reading.id.created_at()),
            person: reading.person.to_string(),
            operation: reading.operation,
            read: reading.object,
        }
    }
}

/// Filters of the list of readings.
pub const READINGS: &[Param] = &[Param::any("person", Form::Id("prs"))];

/// Lists what auditors read.
pub async fn list_readings<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let persons = stamps(query.ids::<id::Person>("person")?);
    let look = move |conn: &mut Conn, _: &Scope, page| reading::store::readings(conn, &persons, page);
    app.list(&who, &request, &query, look, |_, found| Ok((found.id.stamp(), ReadingView::from(found)))).await
}
