//! Units, resources and rates over HTTP.

use actix_web::HttpRequest;
use actix_web::web::Data;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

use crate::actor::{Actor, Role};
use crate::amount::Unit;
use crate::directory::{self, NewResource, Of, Resource};
use crate::fields::Fields;
use crate::http::body::{Json, PathId};
use crate::http::permit::Permit;
use crate::http::query::{Form, Param, Query};
use crate::id;
use crate::ledger;
use crate::refusal::{FieldCode, Refusal};
use crate::store::Fault;
use crate::time::Time;
use crate::usage::{self, NewRate, Rate};

use super::decisions::no_donor;
use super::door::{Answered, App, changed, created, expect_empty, made, stamps};
use super::scope::Scope;
use super::view::{Money, MoneyIn, instant};

/// A unit.
#[derive(Serialize, ToSchema)]
#[schema(as = Unit)]
pub struct UnitView {
    object: &'static str,
    code: String,
    created_at: String,
    scale: u8,
    name: String,
}

fn unit_view(unit: Unit, name: String, created_at: Time) -> UnitView {
    UnitView { object: "unit", code: unit.code().into(), created_at: instant(created_at), scale: unit.scale(), name }
}

/// A unit to be defined.
#[derive(ToSchema)]
#[schema(as = NewUnit)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct UnitBody {
    #[schema(pattern = r"^[A-Z][A-Z0-9'._-]{0,22}[A-Z0-9]$")]
    code: String,
    #[schema(minimum = 0, maximum = 9)]
    scale: u8,
    #[schema(min_length = 1, max_length = 200)]
    name: String,
}

/// All units.
#[derive(Serialize, ToSchema)]
pub struct Units {
    object: &'static str,
    data: Vec<UnitView>,
    has_more: bool,
    next_cursor: Option<String>,
}

/// Lists all units; there are few.
pub async fn list_units(app: Data<App>) -> Answered {
    app.show(|conn| {
        let units = ledger::store::named_units(conn)?;
        let data = units.into_iter().map(|(unit, name, at)| unit_view(unit, name, at)).collect();
        Ok(Units { object: "list", data, has_more: false, next_cursor: None })
    })
    .await
}

/// Defines a unit, for ever.
pub async fn create_unit<const R: u8>(who: Permit<R>, request: HttpRequest, body: Json, app: Data<App>) -> Answered {
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let code = f.text("code", 24);
    let scale = f.whole("scale", 0..=9).and_then(|s| u8::try_from(s).ok());
    let name = f.text("name", 200).map(String::from);
    let unit = code.zip(scale).and_then(|(code, scale)| Unit::new(code, scale));
    if code.is_some() && scale.is_some() && unit.is_none() {
        f.refuse(
            "code",
            FieldCode::Malformed,
            "A code is 2 to 24 of A-Z 0-9 ' . _ -, begins with a letter and ends with a letter or digit.",
        );
    }
    let (unit, name) = f.make(|| Some((unit?, name?)))?;
    app.once(&who, &request, &body.raw, move |work, person| {
        let birth = ledger::add_unit(work, person, unit, &name)?;
        made("/v1/units".into(), &unit_view(unit, name.clone(), Time::from_micros(birth.stamp)))
    })
    .await
}

/// A resource.
#[derive(Serialize, ToSchema)]
#[schema(as = Resource)]
pub struct ResourceView {
    object: &'static str,
    id: String,
    created_at: String,
    name: String,
    kind: Option<String>,
    provider: String,
    external_id: Option<String>,
}

impl From<Resource> for ResourceView {
    fn from(resource: Resource) -> ResourceView {
        let NewResource { name, kind, provider, external_id } = resource.about;
        let (id, created_at) = (resource.id.to_string(), instant(resource.id.created_at()));
        ResourceView { object: "resource", id, created_at, name, kind, provider: provider.to_string(), external_id }
    }
}

/// A resource to be registered.
#[derive(ToSchema)]
#[schema(as = NewResource)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct ResourceBody {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(min_length = 1, max_length = 60)]
    kind: Option<String>,
    /// Whose it is: the caller's own organisation if absent.
    #[schema(pattern = "^ins_[0-9a-hjkmnp-tv-z]{26}$")]
    provider: Option<String>,
    #[schema(min_length = 1, max_length = 180)]
    external_id: Option<String>,
}

/// Filters of the list of resources.
pub const RESOURCES: &[Param] = &[Param::any("provider", Form::Id("ins")), Param::any("external_id", Form::Text)];

/// Lists resources.
pub async fn list_resources<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let institutions = stamps(query.ids::<id::Institution>("provider")?);
    let of = Of { external_ids: query.texts("external_id"), institutions, ..Of::default() };
    let look = move |conn: &mut _, _: &Scope, page| directory::store::resources(conn, &of, page);
    app.list(&who, &request, &query, look, |_, found| Ok((found.id.stamp(), ResourceView::from(found)))).await
}

/// Shows one resource.
pub async fn get_resource<const R: u8>(_who: Permit<R>, PathId(id): PathId<id::Resource>, app: Data<App>) -> Answered {
    app.show(move |conn| Ok(ResourceView::from(directory::resource(conn, id)?.ok_or_else(Refusal::not_found)?))).await
}

/// Registers a resource: a provider its own, an administrator anybody's.
pub async fn create_resource<const R: u8>(who: Permit<R>, request: HttpRequest, body: Json, app: Data<App>) -> Answered {
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let name = f.text("name", 200).map(String::from);
    let kind = f.optional().text("kind", 60).map(String::from);
    let named = f.optional().id("provider");
    let provider = named.or(who.provider);
    if provider.is_none() && !f.given("provider") {
        f.refuse("provider", FieldCode::Required, "Your token names no organisation, so the provider must be named.");
    }
    if let Some(named) = named
        && !who.has(Role::Admin)
        && who.provider != Some(named)
    {
        f.refuse("provider", FieldCode::Unknown, "A provider registers its own resources.");
    }
    let external_id = f.optional().text("external_id", 180).map(String::from);
    let new = f.make(|| Some(NewResource { name: name?, kind, provider: provider?, external_id }))?;
    app.once(&who, &request, &body.raw, move |work, person| {
        let resource = directory::add_resource(work, person, &new)?;
        created("resources", resource.id, &ResourceView::from(resource))
    })
    .await
}

/// A rate.
#[derive(Serialize, ToSchema)]
#[schema(as = Rate)]
pub struct RateView {
    object: &'static str,
    id: String,
    created_at: String,
    resource: String,
    meter: String,
    price: Money,
    from: String,
    multipliers: Multipliers,
    /// `in_force` or `proposed`.
    state: &'static str,
}

/// Factors on the price.
#[derive(Serialize, ToSchema)]
pub struct Multipliers {
    /// By quality of service.
    qos: BTreeMap<String, String>,
}

impl From<Rate> for RateView {
    fn from(rate: Rate) -> RateView {
        let state = rate.state();
        let qos = rate.about.qos.iter().map(|(qos, factor)| (qos.clone(), factor.normalize().to_string())).collect();
        RateView {
            object: "rate",
            id: rate.id.to_string(),
            created_at: instant(rate.id.created_at()),
            resource: rate.about.resource.to_string(),
            meter: rate.about.meter,
            price: rate.about.price.into(),
            from: instant(rate.about.from),
            multipliers: Multipliers { qos },
            state,
        }
    }
}

/// A rate to be set.
#[derive(ToSchema)]
#[schema(as = NewRate)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct RateBody {
    #[schema(pattern = "^[a-z][a-z0-9_.-]{0,39}$", example = "gpu-hour")]
    meter: String,
    /// For one of the meter; may be zero.
    price: MoneyIn,
    #[schema(format = DateTime)]
    from: String,
    multipliers: Option<MultipliersBody>,
}

/// Factors on the price.
#[derive(ToSchema)]
#[schema(as = NewMultipliers)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct MultipliersBody {
    qos: Option<BTreeMap<String, String>>,
}

/// Lists the rates of a resource.
pub async fn list_rates<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Resource>,
    request: HttpRequest,
    query: Query,
    app: Data<App>,
) -> Answered {
    let look = move |conn: &mut _, _: &Scope, page| {
        directory::resource(conn, id)?.ok_or_else(Refusal::not_found)?;
        usage::store::rates(conn, &usage::Of { resources: Some(vec![id.stamp()]), ..usage::Of::default() }, page)
    };
    app.list(&who, &request, &query, look, |_, rate| Ok((rate.id.stamp(), RateView::from(rate)))).await
}

/// Shows one rate.
pub async fn get_rate<const R: u8>(_who: Permit<R>, PathId(id): PathId<id::Rate>, app: Data<App>) -> Answered {
    app.show(move |conn| Ok(RateView::from(usage::find_rate(conn, id)?))).await
}

/// Sets the first rate of a meter, or proposes a later one.
pub async fn create_rate<const R: u8>(
    who: Permit<R>,
    PathId(resource): PathId<id::Resource>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    let units = app.units().await?;
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let meter = f.text("meter", 40).map(String::from);
    let price = f.price("price", &|code| units.get(code).copied());
    let from = f.time("from");
    let qos = f.optional().object("multipliers", |m| Some(m.optional().decimals("qos", 32).unwrap_or_default())).unwrap_or_default();
    let qos = qos.into_iter().map(|(name, factor)| (name.to_owned(), factor)).collect();
    let new = f.make(|| Some(NewRate { resource, meter: meter?, price: price?, from: from?, qos }))?;
    let actor = Actor::clone(&who);
    app.once(&who, &request, &body.raw, move |work, person| {
        let resource = directory::resource(work.sql()?, resource)?.ok_or_else(Refusal::not_found)?;
        own(&actor, &resource)?;
        let rate = usage::add_rate(work, person, &new)?;
        created("rates", rate.id, &RateView::from(rate))
    })
    .await
}

fn own(actor: &Actor, resource: &Resource) -> Result<(), Fault> {
    let own = actor.has(Role::Provider) && actor.provider == Some(resource.about.provider);
    if own || actor.has(Role::Admin) { Ok(()) } else { Err(Refusal::not_found().into()) }
}

/// Confirms a proposed rate.
pub async fn confirm_rate<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Rate>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    no_donor(&who)?;
    expect_empty(&body)?;
    app.once(&who, &request, &body.raw, move |work, person| {
        let rate = usage::confirm_rate(work, person, id)?;
        changed(format!("/v1/rates/{id}"), 1, &RateView::from(rate))
    })
    .await
}
