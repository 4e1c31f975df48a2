//! Quotes and holds over HTTP.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

use crate::actor::Roles;
use crate::directory::{self, standing, unknown};
use crate::fields::{Fields, Units};
use crate::grants::{self, Overdraft};
use crate::http::body::{Json, PathId};
use crate::http::permit::Permit;
use crate::http::query::{Form, Param, Query};
use crate::id;
use crate::refusal::{FieldCode, Refusal};
use crate::store::{Conn, Fault, Page};
use crate::time::Time;
use crate::usage::hold::{self, HeldJob, Hold, NewHold, State};
use crate::usage::quote::{self, NewQuote, Quote};
use crate::usage::record::used;
use crate::usage::{self, Incoming, Record};

use super::door::{Answered, App, changed, expect_empty, stamps};
use super::grants::grants_asked;
use super::scope::Scope;
use super::usage::{answer_of, provider_of};
use super::view::{LotPart, Money, MoneyIn, instant, lot_parts};

/// Credits set aside for a job.
#[derive(Serialize, ToSchema)]
#[schema(as = Hold)]
pub struct HoldView {
    object: &'static str,
    id: String,
    created_at: String,
    grant: String,
    provider: String,
    resource: String,
    /// What was set aside at first.
    amount: Money,
    /// What is set aside now.
    held: Money,
    /// What is set aside now, lot by lot.
    lots: Vec<LotPart>,
    expires_at: String,
    /// `open`, `settled`, `released` or `expired`.
    state: &'static str,
    job: Option<HeldJobView>,
    external_id: Option<String>,
    /// The charge that settled it.
    charge: Option<String>,
    version: i32,
}

/// The job that credits are set aside for.
#[derive(Serialize, ToSchema)]
#[schema(as = HeldJob)]
pub struct HeldJobView {
    cluster: String,
    id: String,
    submitted_at: Option<String>,
}

/// A hold as the clock has it.
fn hold_view(hold: &Hold, now: Time) -> Result<HoldView, Refusal> {
    let state = hold.state_at(now);
    let rest = hold.rest.iter().filter(|_| state == State::Open);
    let lots: Vec<_> = rest.map(|(lot, part)| (*lot, crate::amount::Amount::new(*part, hold.amount.unit))).collect();
    let job = hold.job.as_ref();
    Ok(HoldView {
        object: "hold",
        id: hold.id.to_string(),
        created_at: instant(hold.id.created_at()),
        grant: hold.grant.to_string(),
        provider: hold.provider.to_string(),
        resource: hold.resource.to_string(),
        amount: hold.amount.into(),
        held: hold.held_at(now)?.into(),
        lots: lot_parts(&lots),
        expires_at: instant(hold.expires_at),
        state: state.word(),
        job: job.map(|job| HeldJobView { cluster: job.cluster.clone(), id: job.id.clone(), submitted_at: job.submitted_at.map(instant) }),
        external_id: hold.external_id.clone(),
        charge: hold.charge.map(|charge| charge.to_string()),
        version: hold.version,
    })
}

/// Credits to be set aside.
#[derive(ToSchema)]
#[schema(as = NewHold)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct HoldBody {
    #[schema(pattern = "^grt_[0-9a-hjkmnp-tv-z]{26}$")]
    grant: String,
    /// What the job will run on; may be left out where the grant is for one of the provider's resources alone.
    #[schema(pattern = "^res_[0-9a-hjkmnp-tv-z]{26}$")]
    resource: Option<String>,
    /// By meter, at the rates in force now: `{"gpu-hour": "12.5"}`. Either this or `amount`.
    quantities: Option<BTreeMap<String, String>>,
    amount: Option<MoneyIn>,
    #[schema(min_length = 1, max_length = 60)]
    qos: Option<String>,
    job: Option<HeldJobBody>,
    /// At most 90 days from now, and no later than the grant ends.
    #[schema(format = DateTime)]
    expires_at: String,
    #[schema(min_length = 1, max_length = 180)]
    external_id: Option<String>,
}

/// The job that credits are to be set aside for.
#[derive(ToSchema)]
#[schema(as = NewHeldJob)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct HeldJobBody {
    #[schema(min_length = 1, max_length = 180)]
    cluster: String,
    #[schema(min_length = 1, max_length = 180)]
    id: String,
    #[schema(format = DateTime)]
    submitted_at: Option<String>,
}

fn read_hold(body: &Json, units: Units<'_>) -> Result<NewHold, Refusal> {
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let grant = f.id("grant");
    let resource = f.optional().id("resource");
    let wanted = used(&mut f, units);
    let qos = f.optional().text("qos", 60).map(String::from);
    let job = f.optional().object("job", |j| {
        let (cluster, id) = (j.text("cluster", 180), j.text("id", 180));
        let submitted_at = j.optional().time("submitted_at");
        Some(HeldJob { cluster: cluster?.into(), id: id?.into(), submitted_at })
    });
    let expires_at = f.time("expires_at");
    let external_id = f.optional().text("external_id", 180).map(String::from);
    f.make(|| Some(NewHold { grant: grant?, resource, wanted: wanted?, qos, job, expires_at: expires_at?, external_id }))
}

/// Sets credits aside for a job about to run.
pub async fn create_hold<const R: u8>(who: Permit<R>, request: HttpRequest, body: Json, app: Data<App>) -> Answered {
    let provider = provider_of(&who)?;
    let units = app.units().await?;
    let new = read_hold(&body, &|code| units.get(code).copied())?;
    app.once(&who, &request, &body.raw, move |work, person| {
        let hold = hold::create(work, person, provider, &new)?;
        changed(format!("/v1/holds/{}", hold.id), hold.version, &hold_view(&hold, work.now())?)
    })
    .await
}

/// Filters of the list of holds.
pub const HOLDS: &[Param] = &[
    Param::any("grant", Form::Id("grt")),
    Param::any("provider", Form::Id("ins")),
    Param::any("state", Form::OneOf(State::WORDS)),
    Param::any("external_id", Form::Text),
];

fn holds_within(conn: &mut Conn, scope: &Scope, asked: &hold::Of, page: Page) -> Result<Vec<Hold>, Fault> {
    let (grants, providers) = scope.of_jobs(conn, asked.grants.clone(), asked.providers.clone())?;
    hold::store::holds(conn, &hold::Of { grants, providers, ..asked.clone() }, page)
}

/// Lists holds: a provider's own, a researcher's own grants'.
pub async fn list_holds<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let now = app.store.clock().now();
    let states = query.texts("state").map(|words| words.iter().filter_map(|word| State::of(word)).collect());
    let asked = hold::Of {
        grants: grants_asked(&query)?,
        providers: stamps(query.ids::<id::Institution>("provider")?),
        states: states.map(|states| (states, now)),
        external_ids: query.texts("external_id"),
        ..hold::Of::default()
    };
    let look = move |conn: &mut Conn, scope: &Scope, page| holds_within(conn, scope, &asked, page);
    app.list(&who, &request, &query, look, move |_, hold| Ok((hold.id.stamp(), hold_view(&hold, now)?))).await
}

/// Shows one hold.
pub async fn get_hold<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Hold>, app: Data<App>) -> Answered {
    let now = app.store.clock().now();
    app.show_versioned(move |conn| {
        let hold = hold::hold(conn, id)?;
        let project = grants::grant(conn, hold.grant)?.about.project;
        Scope::of(conn, &who, Roles(R))?.reported(hold.provider.stamp(), project)?;
        Ok((hold.version, hold_view(&hold, now)?))
    })
    .await
}

/// A later end for a hold.
#[derive(ToSchema)]
#[schema(as = NewHoldEnd)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct ExtendBody {
    /// At most 90 days from the hold's creation, and no later than the grant ends.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// Gives a hold a later end.
pub async fn extend_hold<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Hold>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    let provider = provider_of(&who)?;
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let expires_at = f.time("expires_at");
    let expires_at = f.make(|| expires_at)?;
    app.once(&who, &request, &body.raw, move |work, person| {
        let hold = hold::extend(work, person, provider, id, expires_at)?;
        changed(format!("/v1/holds/{id}"), hold.version, &hold_view(&hold, work.now())?)
    })
    .await
}

/// Ends a hold with nothing: its credits are free again.
pub async fn release_hold<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Hold>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    let provider = provider_of(&who)?;
    expect_empty(&body)?;
    app.once(&who, &request, &body.raw, move |work, person| {
        let hold = hold::release(work, person, provider, id)?;
        changed(format!("/v1/holds/{id}"), hold.version, &hold_view(&hold, work.now())?)
    })
    .await
}

/// Ends a hold with what was really used: a usage record that names the hold by the path.
pub async fn settle_hold<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Hold>, body: Json, app: Data<App>) -> Answered {
    let provider = provider_of(&who)?;
    let units = app.units().await?;
    let mut record = Record::read(&body.parse()?, &|code| units.get(code).copied())?;
    if record.hold.is_some_and(|named| named != id) {
        return Err(Refusal::field("/hold", FieldCode::NotAllowed, "The path names another hold.").into());
    }
    record.hold = Some(id);
    let is_total = record.part.is_none();
    let incoming = [Incoming::new(provider, record)];
    let (rule, warrant) = (app.access.rule().clone(), who.warrant());
    let command = move |work: &mut crate::store::Work<'_>| {
        standing::recheck(work, &rule, &warrant)?;
        let found = hold::find(work, provider, id)?;
        let person = directory::person_for(work, &warrant.actor)?;
        let outcomes = usage::charge(work, person, provider, &incoming)?;
        // The job was charged through another door, which did not know of the hold: nothing is left to hold for.
        let charged_before = matches!(outcomes.last(), Some(usage::Outcome::Duplicate(_)));
        if charged_before && is_total && found.state == hold::State::Open {
            hold::release(work, person, provider, id)?;
        }
        Ok(outcomes)
    };
    let outcome = app.store.submit(1, command)?.arrive().await?.pop();
    answer_of(&app, outcome).await
}

/// A job whose price is asked for.
#[derive(ToSchema)]
#[schema(as = NewQuote)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct QuoteBody {
    #[schema(pattern = "^grt_[0-9a-hjkmnp-tv-z]{26}$")]
    grant: String,
    #[schema(pattern = "^res_[0-9a-hjkmnp-tv-z]{26}$")]
    resource: String,
    /// By meter, at the rates in force now: `{"gpu-hour": "12.5"}`. Either this or `amount`.
    quantities: Option<BTreeMap<String, String>>,
    amount: Option<MoneyIn>,
    #[schema(min_length = 1, max_length = 60)]
    qos: Option<String>,
    /// Until when credits would be held; then only lots that last as long are planned with.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// What a job would cost and who would pay; nothing moves and nothing is promised.
#[derive(Serialize, ToSchema)]
#[schema(as = Quote)]
pub struct QuoteView {
    object: &'static str,
    grant: String,
    resource: String,
    amount: Money,
    rates: Vec<String>,
    rounding: &'static str,
    /// What each lot would pay, in draw-down order.
    lots: Vec<LotPart>,
    /// What no lot would pay.
    shortfall: Option<Money>,
    /// What happens to that: it is recorded as an overdraft, or the job is refused.
    on_shortfall: &'static str,
    /// What the grant owes beyond its credits; while it does, nothing new is held.
    overdraft: Option<Money>,
    /// What the lots that may pay have free.
    available: Money,
    as_of: String,
}

fn quote_view(quote: &Quote, new: &NewQuote, now: Time) -> QuoteView {
    let some = |amount: crate::amount::Amount| (amount.minor > 0).then(|| amount.into());
    QuoteView {
        object: "quote",
        grant: new.grant.to_string(),
        resource: new.resource.to_string(),
        amount: quote.amount.into(),
        rates: quote.rates.iter().map(ToString::to_string).collect(),
        rounding: "half_even",
        lots: lot_parts(&quote.lots),
        shortfall: some(quote.shortfall),
        on_shortfall: Overdraft::word(quote.grant.overdraft),
        overdraft: some(quote.overdraft),
        available: quote.available.into(),
        as_of: instant(now),
    }
}

/// Prices a job before it runs: researchers on grants of their own projects, providers on their own resources.
pub async fn create_quote<const R: u8>(who: Permit<R>, body: Json, app: Data<App>) -> Answered {
    let units = app.units().await?;
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let (grant, resource) = (f.id("grant"), f.id("resource"));
    let wanted = used(&mut f, &|code| units.get(code).copied());
    let qos = f.optional().text("qos", 60).map(String::from);
    let expires_at = f.optional().time("expires_at");
    let new = f.make(|| Some(NewQuote { grant: grant?, resource: resource?, wanted: wanted?, qos, expires_at }))?;
    let now = app.store.clock().now();
    let look = move |conn: &mut Conn| {
        let scope = Scope::of(conn, &who, Roles(R))?;
        let known = grants::grant(conn, new.grant)?;
        let provider = directory::resource(conn, new.resource)?.map(|resource| resource.about.provider.stamp());
        let provider = provider.ok_or_else(|| unknown("/resource", new.resource))?;
        scope.reported(provider, known.about.project)?;
        Ok(quote_view(&quote::quote(conn, &new, now)?, &new, now))
    };
    Ok(HttpResponse::Ok().json(app.read(look).await?))
}
