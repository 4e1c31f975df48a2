//! Grants, the steps of their life and their balances over HTTP.

use actix_web::HttpRequest;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::actor::{Actor, Roles};
use crate::directory;
use crate::fields::{Fields, Units};
use crate::grants::life::{self, Revised};
use crate::grants::{self, Grant, NewGrant, Of, State};
use crate::http::body::{Json, PathId};
use crate::http::header::version_read;
use crate::http::permit::Permit;
use crate::http::query::{Form, Param, Query};
use crate::id::{self, PersonId};
use crate::refusal::{Code, FieldCode, Refusal};
use crate::reports::balance::{self, GrantBalance, Moment, Share};
use crate::store::{Conn, Fault, Page, Work};

use super::door::{Answered, App, changed, created, stamps};
use super::projects::projects_within;
use super::scope::Scope;
use super::view::{Money, MoneyIn, Span, instant};

/// A grant, from its request on.
#[derive(Serialize, ToSchema)]
#[schema(as = Grant)]
pub struct GrantView {
    object: &'static str,
    id: String,
    created_at: String,
    project: String,
    requester: String,
    requested: Money,
    awarded: Money,
    period: Span,
    justification: String,
    purpose: Option<String>,
    resources: Vec<String>,
    renews: Option<String>,
    external_id: Option<String>,
    state: &'static str,
    overdraft: &'static str,
    version: i32,
}

impl From<Grant> for GrantView {
    fn from(grant: Grant) -> GrantView {
        let new = grant.about;
        GrantView {
            object: "grant",
            id: grant.id.to_string(),
            created_at: instant(grant.id.created_at()),
            project: new.project.to_string(),
            requester: grant.requester.to_string(),
            requested: new.requested.into(),
            awarded: grant.awarded.into(),
            period: new.period.into(),
            justification: new.justification,
            purpose: new.purpose,
            resources: new.resources.iter().map(ToString::to_string).collect(),
            renews: new.renews.map(|id| id.to_string()),
            external_id: new.external_id,
            state: grant.state.word(),
            overdraft: grant.overdraft.word(),
            version: grant.version,
        }
    }
}

/// Credits to be asked for.
#[derive(ToSchema)]
#[schema(as = NewGrant)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct GrantBody {
    #[schema(pattern = "^prj_[0-9a-hjkmnp-tv-z]{26}$")]
    project: String,
    requested: MoneyIn,
    period: SpanBody,
    #[schema(min_length = 1, max_length = 4000)]
    justification: String,
    #[schema(min_length = 1, max_length = 180)]
    purpose: Option<String>,
    /// Only on these; on any if absent.
    resources: Option<Vec<String>>,
    /// The grant of the same project that this one follows.
    #[schema(pattern = "^grt_[0-9a-hjkmnp-tv-z]{26}$")]
    renews: Option<String>,
    #[schema(min_length = 1, max_length = 180)]
    external_id: Option<String>,
    /// Nobody is asked yet: it waits for `/submit`.
    draft: Option<bool>,
}

/// A half-open span of time.
#[derive(ToSchema)]
#[schema(as = NewSpan)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct SpanBody {
    #[schema(format = DateTime)]
    from: String,
    #[schema(format = DateTime)]
    to: String,
}

/// Filters of the list of grants.
pub const GRANTS: &[Param] = &[
    Param::any("project", Form::Id("prj")),
    Param::any("state", Form::OneOf(State::WORDS)),
    Param::any("unit", Form::Text),
    Param::any("external_id", Form::Text),
];

/// Lists grants; a researcher sees those of own projects.
pub async fn list_grants<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let projects = query.ids::<id::Project>("project")?;
    let of = Of { states: query.texts("state"), units: query.texts("unit"), external_ids: query.texts("external_id"), ..Of::default() };
    let look = move |conn: &mut _, scope: &Scope, page| {
        grants::store::grants(conn, &Of { projects: projects_within(projects.clone(), scope), ..of.clone() }, page)
    };
    app.list(&who, &request, &query, look, |_, grant| Ok((grant.id.stamp(), GrantView::from(grant)))).await
}

/// Shows one grant.
pub async fn get_grant<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Grant>, app: Data<App>) -> Answered {
    app.show_versioned(move |conn| {
        let grant = own_grant(conn, &who, Roles(R), id)?;
        Ok((grant.version, GrantView::from(grant)))
    })
    .await
}

/// A grant in the actor's scope, or 404.
pub fn own_grant(conn: &mut Conn, who: &Actor, roles: Roles, id: id::GrantId) -> Result<Grant, Fault> {
    let scope = Scope::of(conn, who, roles)?;
    let grant = grants::grant(conn, id)?;
    let own = match scope.providers() {
        Some(providers) if !providers.is_empty() => {
            let of = directory::Of { institutions: Some(providers), ..directory::Of::default() };
            directory::store::resources(conn, &of, Page::ALL)?.iter().map(|r| r.id.stamp()).collect()
        }
        _ => Vec::new(),
    };
    scope.grant(&grant, &own)?;
    Ok(grant)
}

/// What is asked for, but for the project and the names.
fn asked(f: &mut Fields<'_, '_>, units: Units<'_>) -> Option<Revised> {
    let requested = f.amount("requested", units);
    let period = f.period("period");
    let justification = f.text("justification", 4000).map(String::from);
    let purpose = f.optional().text("purpose", 180).map(String::from);
    let named = f.optional().list_of_texts("resources", 100, 40).unwrap_or_default();
    let resources: Result<Vec<_>, _> = named.iter().map(|text| id::ResourceId::parse(text)).collect();
    if resources.is_err() {
        f.refuse("resources", FieldCode::WrongIdType, "Resources are named by identifiers such as res_….");
    }
    Some(Revised { requested: requested?, period: period?, justification: justification?, purpose, resources: resources.ok()? })
}

/// Asks for credits for a project, or begins a draft.
pub async fn create_grant<const R: u8>(who: Permit<R>, request: HttpRequest, body: Json, app: Data<App>) -> Answered {
    let units = app.units().await?;
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let project = f.id("project");
    let asked = asked(&mut f, &|code| units.get(code).copied());
    let renews = f.optional().id("renews");
    let external_id = f.optional().text("external_id", 180).map(String::from);
    let draft = f.optional().flag("draft") == Some(true);
    let new = f.make(|| {
        let Revised { requested, period, justification, purpose, resources } = asked?;
        Some(NewGrant { project: project?, requested, period, justification, purpose, resources, renews, external_id })
    })?;
    let actor = Actor::clone(&who);
    app.once(&who, &request, &body.raw, move |work, person| {
        // A project that is another's is as unknown as one that is not there.
        let scope = Scope::of(work.sql()?, &actor, Roles(R))?;
        scope.project(new.project).map_err(|_| directory::unknown("/project", new.project))?;
        let grant = if draft { life::draft(work, person, &new) } else { life::request(work, person, &new) }?;
        created("grants", grant.id, &GrantView::from(grant))
    })
    .await
}

/// What of a request may be changed before it is decided.
#[derive(ToSchema)]
#[schema(as = GrantRevision)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct RevisionBody {
    requested: MoneyIn,
    period: SpanBody,
    #[schema(min_length = 1, max_length = 4000)]
    justification: String,
    #[schema(min_length = 1, max_length = 180)]
    purpose: Option<String>,
    /// Only on these; on any if absent.
    resources: Option<Vec<String>>,
    /// Why it is changed.
    #[schema(min_length = 1, max_length = 4000)]
    reason: String,
}

/// Changes what is asked for, before it is decided: `If-Match` names the version that was read. Approvals given before are void.
pub async fn revise_grant<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Grant>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    let version = version_read(&request)?;
    let units = app.units().await?;
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let asked = asked(&mut f, &|code| units.get(code).copied());
    let why = f.text("reason", 4000).map(String::from);
    let (revised, why) = f.make(|| Some((asked?, why?)))?;
    act(&app, who, &request, &body, id, move |work, person| life::revise(work, person, id, version, &revised, &why)).await
}

/// Why a step is taken.
#[derive(ToSchema)]
#[schema(as = Reason)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct ReasonBody {
    #[schema(min_length = 1, max_length = 4000)]
    reason: String,
}

/// Reads a body that says why.
pub fn reason(body: &Json) -> Result<String, Refusal> {
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let reason = f.text("reason", 4000).map(String::from);
    f.make(|| reason)
}

/// Takes one step of a grant in the actor's scope, and shows the grant that comes of it.
async fn act<const R: u8, V>(app: &App, who: Permit<R>, request: &HttpRequest, body: &Json, id: id::GrantId, verb: V) -> Answered
where
    V: Fn(&mut Work<'_>, PersonId) -> Result<Grant, Fault> + Send + 'static,
{
    let actor = Actor::clone(&who);
    let step = move |work: &mut Work<'_>, person| {
        own_grant(work.sql()?, &actor, Roles(R), id)?;
        crate::usage::hold::book_expired(work)?;
        let grant = verb(work, person)?;
        changed(format!("/v1/grants/{id}"), grant.version, &GrantView::from(grant))
    };
    app.once(&who, request, &body.raw, step).await
}

/// A step of a grant's life as a handler: what the body says of why, and the verb that takes it.
macro_rules! steps {
    ($($(#[$doc:meta])* $handler:ident $verb:ident;)*) => {$(
        $(#[$doc])*
        pub async fn $handler<const R: u8>(
            who: Permit<R>,
            PathId(id): PathId<id::Grant>,
            request: HttpRequest,
            body: Json,
            app: Data<App>,
        ) -> Answered {
            let why = reason(&body)?;
            act(&app, who, &request, &body, id, move |work, person| life::$verb(work, person, id, &why)).await
        }
    )*};
}

steps! {
    /// Hands a draft to the officers, or answers their questions.
    submit_grant submit;
    /// Takes a request up; approvals given before are void.
    review_grant review;
    /// Takes a request back.
    withdraw_grant withdraw;
    /// Lets no new job begin.
    suspend_grant suspend;
    /// Lets jobs begin again.
    resume_grant resume;
    /// Ends a grant now, by its project; officers propose an amendment.
    close_grant close;
    /// Stands back from deciding on a request and its amendments.
    recuse_from_grant recuse;
}

/// A step that was taken.
#[derive(Serialize, ToSchema)]
#[schema(as = GrantStep)]
pub struct StepView {
    object: &'static str,
    created_at: String,
    grant: String,
    amendment: Option<String>,
    step: String,
    person: String,
    reason: Option<String>,
    version: i32,
}

/// Lists the steps of a grant's life, those of its amendments included; decisions are a list of their own.
pub async fn list_grant_steps<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Grant>,
    request: HttpRequest,
    query: Query,
    app: Data<App>,
) -> Answered {
    let look = move |conn: &mut Conn, scope: &Scope, page| {
        let grant = grants::grant(conn, id)?;
        scope.grant(&grant, &[])?;
        grants::store::steps(conn, Some(id), page)
    };
    let show = move |_: &mut Conn, taken: life::Taken| {
        let created_at = instant(crate::time::Time::from_micros(taken.id));
        let view = StepView {
            object: "grant_step",
            created_at,
            grant: id.to_string(),
            amendment: taken.amendment.map(|id| id.to_string()),
            step: taken.step,
            person: taken.person.to_string(),
            reason: taken.reason,
            version: taken.version,
        };
        Ok((taken.id, view))
    };
    app.list(&who, &request, &query, look, show).await
}

/// What a grant has left.
#[derive(Serialize, ToSchema)]
#[schema(as = GrantBalance)]
pub struct BalanceView {
    object: &'static str,
    grant: String,
    awarded: Money,
    available: Money,
    held: Money,
    spent: Money,
    refunded: Money,
    lapsing: Money,
    lapsed: Money,
    deobligated: Money,
    transferred: Money,
    overdraft: Money,
    lots: Vec<ShareView>,
    as_of: String,
}

/// A grant's part of one lot.
#[derive(Serialize, ToSchema)]
#[schema(as = GrantShare)]
pub struct ShareView {
    lot: String,
    donation: String,
    expires_at: Option<String>,
    available: Money,
    lapsing: Money,
    held: Money,
    spent: Money,
}

fn share_view(share: Share) -> ShareView {
    let money = |minor| Money::from(crate::amount::Amount::new(minor, share.lot.amount.unit));
    ShareView {
        lot: share.lot.id.to_string(),
        donation: share.lot.donation.to_string(),
        expires_at: share.lot.expires_at.map(instant),
        available: money(share.available),
        lapsing: money(share.lapsing),
        held: money(share.held),
        spent: money(share.spent),
    }
}

impl From<GrantBalance> for BalanceView {
    fn from(b: GrantBalance) -> BalanceView {
        BalanceView {
            object: "grant_balance",
            grant: b.grant.id.to_string(),
            awarded: b.awarded.into(),
            available: b.available.into(),
            held: b.held.into(),
            spent: b.spent.into(),
            refunded: b.refunded.into(),
            lapsing: b.lapsing.into(),
            lapsed: b.lapsed.into(),
            deobligated: b.deobligated.into(),
            transferred: b.transferred.into(),
            overdraft: b.overdraft.into(),
            lots: b.lots.into_iter().map(share_view).collect(),
            as_of: instant(b.as_of),
        }
    }
}

/// Which books a balance is read from.
pub const MOMENT: &[Param] = &[Param::one("as_of", Form::Time), Param::one("at", Form::Number(1, i64::MAX))];

/// The moment a query asks for.
pub fn moment(query: &Query, app: &App) -> Result<Moment, Refusal> {
    match (query.time("as_of"), query.number("at")) {
        (Some(_), Some(_)) => Err(Refusal::new(Code::InvalidParameter, "as_of and at exclude each other.")),
        (Some(time), None) => Ok(Moment::AsOf(time)),
        (None, Some(seq)) => Ok(Moment::At(seq)),
        (None, None) => Ok(Moment::Now(app.store.clock().now())),
    }
}

/// What a grant has left: now, as of a time, or at a journal sequence.
pub async fn grant_balance<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Grant>, query: Query, app: Data<App>) -> Answered {
    let moment = moment(&query, &app)?;
    app.show(move |conn| {
        let grant = own_grant(conn, &who, Roles(R), id)?;
        Ok(BalanceView::from(balance::grant_balance(conn, grant, moment)?))
    })
    .await
}

/// The stamps of the grants asked for.
pub fn grants_asked(query: &Query) -> Result<Option<Vec<i64>>, Refusal> {
    Ok(stamps(query.ids::<id::Grant>("grant")?))
}
