//! Usage records, charges, refunds and quarantine over HTTP.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

use crate::actor::{Actor, Roles};
use crate::amount::Amount;
use crate::directory::{self, standing};
use crate::fields::Fields;
use crate::grants;
use crate::http::body::{Json, PathId};
use crate::http::grain;
use crate::http::permit::Permit;
use crate::http::problem::Problem;
use crate::http::query::{Form, Param, Query};
use crate::http::route::Shape;
use crate::id::{self, InstitutionId};
use crate::refusal::{Code, Refusal};
use crate::store::{Conn, Fault, Page};
use crate::time::Time;
use crate::usage::{self, Charge, ChargeRow, Incoming, Of, Outcome, Record, Refunded, charge, refund};

use super::door::{Answered, App, created, stamps};
use super::grants::grants_asked;
use super::quarantine::quarantined_usage;
use super::scope::Scope;
use super::view::{LotPart, Money, MoneyIn, instant, lot_parts};

/// A charge.
#[derive(Serialize, ToSchema)]
#[schema(as = Charge)]
pub struct ChargeView {
    object: &'static str,
    #[schema(value_type = String)]
    id: id::ChargeId,
    #[schema(value_type = String)]
    created_at: Time,
    /// The provider's name for it; nothing where the record was erased.
    external_id: Option<String>,
    /// Whether the usage record was erased: what it cost stays.
    erased: bool,
    /// Which increment of the job it states; nothing for the job's total, which is charged the difference to its parts.
    part: Option<i32>,
    #[schema(value_type = String)]
    grant: id::GrantId,
    #[schema(value_type = String)]
    resource: id::ResourceId,
    amount: Money,
    #[schema(value_type = Option<String>)]
    rate: Option<id::RateId>,
    /// Every rate that made the price, where several meters were used.
    #[schema(value_type = Vec<String>)]
    rates: Vec<id::RateId>,
    rounding: &'static str,
    lots: Vec<LotPart>,
    /// What went beyond the grant.
    overdraft: Option<Money>,
    balance_after: Money,
    #[schema(value_type = String)]
    transaction: id::TransactionId,
    #[schema(value_type = String)]
    ended_at: Time,
    #[schema(value_type = String)]
    recorded_at: Time,
}

impl From<&Charge> for ChargeView {
    fn from(charge: &Charge) -> ChargeView {
        let row = &charge.row;
        let rates = row.rates();
        let recorded_at = grain::told(row.id().created_at());
        ChargeView {
            object: "charge",
            id: row.id(),
            created_at: recorded_at,
            external_id: external_id(&row.said),
            erased: row.is_erased(),
            part: (row.part > 0).then_some(row.part),
            grant: row.grant(),
            resource: row.resource(),
            amount: charge.amount().into(),
            rate: rates.first().copied(),
            rates,
            rounding: "half_even",
            lots: lot_parts(&charge.lots()),
            overdraft: (row.overdraft > 0).then(|| charge.overdraft().into()),
            balance_after: charge.balance_after().into(),
            transaction: row.id().seen_as(),
            ended_at: grain::told(row.ended_at()),
            recorded_at,
        }
    }
}

fn external_id(record: &str) -> Option<String> {
    /// All that is wanted here of what is kept of a record; the rest is passed over.
    #[derive(Deserialize)]
    struct Named {
        external_id: String,
    }
    serde_json::from_str(record).ok().map(|Named { external_id }| external_id)
}

/// A usage record: what a provider says of one job.
#[derive(ToSchema)]
#[schema(as = NewUsage)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct UsageBody {
    /// The provider's name for it, for ever.
    #[schema(min_length = 1, max_length = 180)]
    external_id: String,
    #[schema(pattern = "^grt_[0-9a-hjkmnp-tv-z]{26}$")]
    grant: Option<String>,
    /// The scheduler's account or the project's external id, by which the grant is found where none is named.
    #[schema(min_length = 1, max_length = 180)]
    account: Option<String>,
    #[schema(pattern = "^res_[0-9a-hjkmnp-tv-z]{26}$")]
    resource: String,
    /// By meter: `{"gpu-hour": "12.5"}`. Either this or `amount`.
    quantities: Option<BTreeMap<String, String>>,
    amount: Option<MoneyIn>,
    #[schema(min_length = 1, max_length = 60)]
    qos: Option<String>,
    #[schema(format = DateTime)]
    started_at: Option<String>,
    #[schema(format = DateTime)]
    ended_at: String,
    #[schema(min_length = 1, max_length = 180)]
    user: Option<String>,
    /// The hold that it draws on; found by the job where none is named.
    #[schema(pattern = "^hld_[0-9a-hjkmnp-tv-z]{26}$")]
    hold: Option<String>,
    /// Which increment of the job it states, from 1. A record without it states the job's total, and is charged the difference.
    #[schema(minimum = 1, maximum = 2147483647)]
    part: Option<i32>,
    job: Option<JobBody>,
}

/// How the provider's scheduler knows the job.
#[derive(ToSchema)]
#[schema(as = NewJob)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct JobBody {
    #[schema(min_length = 1, max_length = 180)]
    cluster: Option<String>,
    #[schema(min_length = 1, max_length = 180)]
    id: Option<String>,
    #[schema(min_length = 1, max_length = 60)]
    state: Option<String>,
}

/// What a repeat of a record is answered with: the charge that it made the first time.
pub const REPEATED: Shape = Shape::of::<ChargeView>();

/// The organisation that a provider's token reports for.
pub fn provider_of(who: &Actor) -> Result<InstitutionId, Refusal> {
    who.provider.ok_or_else(|| Refusal::new(Code::Forbidden, "Your token names no organisation to report for."))
}

/// Charges one usage record.
pub async fn create_usage<const R: u8>(who: Permit<R>, body: Json, app: Data<App>) -> Answered {
    let provider = provider_of(&who)?;
    let units = app.units().await?;
    let record = Record::read(&body.parse()?, &|code| units.get(code).copied())?;
    let incoming = [Incoming::new(provider, record)];
    let (rule, warrant) = (app.access.rule().clone(), who.warrant());
    let command = move |work: &mut crate::store::Work<'_>| {
        standing::recheck(work, &rule, &warrant)?;
        let person = directory::person_for(work, &warrant.actor)?;
        usage::charge(work, person, provider, &incoming)
    };
    let outcome = app.store.submit(1, command)?.arrive().await?.pop();
    answer_of(&app, outcome).await
}

/// The answer to one record.
pub async fn answer_of(app: &App, outcome: Option<Outcome>) -> Answered {
    match outcome.ok_or_else(|| Problem::internal("a record without an outcome"))? {
        Outcome::Charged(charge) => Ok(charged(&charge)),
        Outcome::Duplicate(id) => {
            let charge = app.read(move |conn| refund::charge(conn, id).and_then(|row| charge::recall(conn, row))).await?;
            Ok(HttpResponse::Ok().insert_header(("Idempotency-Replayed", "true")).json(ChargeView::from(&charge)))
        }
        Outcome::Conflict(id) => Err(charge::conflict(id).into()),
        Outcome::Quarantined(id, refusal) => Err(refusal.with("quarantine", id).into()),
        Outcome::Rejected(refusal) => Err(refusal.into()),
    }
}

fn charged(charge: &Charge) -> HttpResponse {
    let view = ChargeView::from(charge);
    HttpResponse::Created().insert_header(("Location", format!("/v1/charges/{}", view.id))).json(view)
}

/// A usage record as it was sent, and what became of it.
#[derive(Serialize, ToSchema)]
#[schema(as = Usage)]
pub struct UsageView {
    pub(super) object: &'static str,
    pub(super) id: String,
    pub(super) created_at: String,
    pub(super) provider: String,
    /// `charged`, or the state of its quarantine.
    pub(super) state: String,
    pub(super) charge: Option<String>,
    /// Whether the record was erased.
    pub(super) erased: bool,
    /// The record in its canonical form; nothing where it was erased.
    pub(super) record: Value,
}

fn charged_usage(row: &ChargeRow) -> UsageView {
    UsageView {
        object: "usage",
        id: row.id().seen_as::<id::Usage>().to_string(),
        created_at: instant(row.id().created_at()),
        provider: row.provider().to_string(),
        state: "charged".into(),
        charge: Some(row.id().to_string()),
        erased: row.is_erased(),
        record: row.record(),
    }
}

/// Filters of the lists of usage and charges.
pub const CHARGES: &[Param] =
    &[Param::any("grant", Form::Id("grt")), Param::any("resource", Form::Id("res")), Param::any("provider", Form::Id("ins"))];

/// What a query asks for of the charges, as far as the scope goes: a provider's own reports, a researcher's own grants.
fn charges_asked(query: &Query) -> Result<Of, Refusal> {
    let resources = stamps(query.ids::<id::Resource>("resource")?);
    let providers = stamps(query.ids::<id::Institution>("provider")?);
    Ok(Of { grants: grants_asked(query)?, resources, providers, ..Of::default() })
}

fn charges_within(conn: &mut Conn, scope: &Scope, asked: &Of, page: Page) -> Result<Vec<ChargeRow>, Fault> {
    let (grants, providers) = scope.of_jobs(conn, asked.grants.clone(), asked.providers.clone())?;
    usage::store::charges(conn, &Of { grants, providers, ..asked.clone() }, page)
}

/// Lists the usage records that were charged.
pub async fn list_usage<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let asked = charges_asked(&query)?;
    let look = move |conn: &mut Conn, scope: &Scope, page| charges_within(conn, scope, &asked, page);
    app.list(&who, &request, &query, look, |_, row| Ok((row.id, charged_usage(&row)))).await
}

/// Shows one usage record.
pub async fn get_usage<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Usage>, app: Data<App>) -> Answered {
    app.show(move |conn| {
        let scope = Scope::of(conn, &who, Roles(R))?;
        let of = Of { ids: Some(vec![id.stamp()]), ..Of::default() };
        match usage::store::charges(conn, &of, Page::ALL)?.pop() {
            Some(row) => {
                scope.charge(&row, grants::grant(conn, row.grant())?.about.project)?;
                Ok(charged_usage(&row))
            }
            None => {
                let row = usage::quarantined(conn, id)?;
                scope.admits(scope.providers().is_some_and(|own| own.contains(&row.provider)))?;
                Ok(quarantined_usage(&row))
            }
        }
    })
    .await
}

/// Lists charges.
pub async fn list_charges<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let asked = charges_asked(&query)?;
    let look = move |conn: &mut Conn, scope: &Scope, page| charges_within(conn, scope, &asked, page);
    let show = |conn: &mut Conn, rows: Vec<ChargeRow>| {
        Ok(charge::recall_all(conn, rows)?.iter().map(|charge| (charge.row.id, ChargeView::from(charge))).collect())
    };
    app.list_together(&who, &request, &query, look, show).await
}

/// A charge, if the actor may see it.
pub(super) fn own_charge(conn: &mut Conn, who: &Actor, roles: Roles, id: id::ChargeId) -> Result<ChargeRow, Fault> {
    let row = refund::charge(conn, id)?;
    let project = grants::grant(conn, row.grant())?.about.project;
    Scope::of(conn, who, roles)?.charge(&row, project)?;
    Ok(row)
}

/// Shows one charge.
pub async fn get_charge<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Charge>, app: Data<App>) -> Answered {
    app.show(move |conn| {
        let row = own_charge(conn, &who, Roles(R), id)?;
        Ok(ChargeView::from(&charge::recall(conn, row)?))
    })
    .await
}

/// A refund.
#[derive(Serialize, ToSchema)]
#[schema(as = Refund)]
pub struct RefundView {
    object: &'static str,
    id: String,
    created_at: String,
    charge: String,
    amount: Money,
    reason: String,
    transaction: String,
}

/// A refund just posted, with what each lot gets back.
#[derive(Serialize, ToSchema)]
pub struct RefundPosted {
    #[serde(flatten)]
    refund: RefundView,
    lots: Vec<LotPart>,
    /// What was taken off the overdraft.
    overdraft: Option<Money>,
}

fn refund_view(row: &usage::RefundRow, amount: Amount) -> RefundView {
    RefundView {
        object: "refund",
        id: row.id().to_string(),
        created_at: instant(row.id().created_at()),
        charge: id::ChargeId::from_stamp(row.charge).to_string(),
        amount: amount.into(),
        reason: row.reason.clone(),
        transaction: row.id().seen_as::<id::Transaction>().to_string(),
    }
}

/// What is to be given back.
#[derive(ToSchema)]
#[schema(as = NewRefund)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct RefundBody {
    /// All that is left of the charge, if absent.
    amount: Option<MoneyIn>,
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
}

/// Gives back part or all of a charge: a provider of own charges, an officer of any.
pub async fn create_refund<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Charge>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    let units = app.units().await?;
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let amount = f.optional().amount("amount", &|code| units.get(code).copied());
    let reason = f.text("reason", 1000).map(String::from);
    let reason = f.make(|| reason)?;
    let actor = Actor::clone(&who);
    app.once(&who, &request, &body.raw, move |work, person| {
        own_charge(work.sql()?, &actor, Roles(R), id)?;
        let Refunded { row, amount, lots, overdraft } = refund::refund(work, person, id, amount, &reason)?;
        let overdraft = (overdraft.minor > 0).then(|| overdraft.into());
        created("refunds", row.id(), &RefundPosted { refund: refund_view(&row, amount), lots: lot_parts(&lots), overdraft })
    })
    .await
}

/// Lists the refunds of a charge.
pub async fn list_refunds<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Charge>,
    request: HttpRequest,
    query: Query,
    app: Data<App>,
) -> Answered {
    let actor = Actor::clone(&who);
    let look = move |conn: &mut Conn, _: &Scope, page| {
        let row = own_charge(conn, &actor, Roles(R), id)?;
        let unit = grants::grant(conn, row.grant())?.awarded.unit;
        let refunds = usage::store::refunds(conn, id, page)?;
        Ok(refunds.into_iter().map(|refund| (unit, refund)).collect())
    };
    let show = |_: &mut Conn, (unit, row): (_, usage::RefundRow)| Ok((row.id, refund_view(&row, Amount::new(row.amount, unit))));
    app.list(&who, &request, &query, look, show).await
}

/// Shows one refund.
pub async fn get_refund<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Refund>, app: Data<App>) -> Answered {
    app.show(move |conn| {
        let row = usage::store::refund(conn, id)?.ok_or_else(Refusal::not_found)?;
        let charge = own_charge(conn, &who, Roles(R), id::ChargeId::from_stamp(row.charge))?;
        let unit = grants::grant(conn, charge.grant())?.awarded.unit;
        Ok(refund_view(&row, Amount::new(row.amount, unit)))
    })
    .await
}

/// Metered quantities of all charges that fit, apart from what they cost.
#[derive(Serialize, ToSchema)]
pub struct UsageTotals {
    object: &'static str,
    records: u64,
    /// Records that used nothing.
    empty: u64,
    meters: BTreeMap<String, String>,
    accounts: Vec<AccountTotals>,
}

/// The same of one scheduler account.
#[derive(Serialize, ToSchema)]
pub struct AccountTotals {
    account: String,
    records: u64,
    empty: u64,
    meters: BTreeMap<String, String>,
}

/// Sums up metered quantities exactly, by scheduler account.
pub async fn usage_totals<const R: u8>(who: Permit<R>, query: Query, app: Data<App>) -> Answered {
    let asked = charges_asked(&query)?;
    app.show(move |conn| {
        let scope = Scope::of(conn, &who, Roles(R))?;
        let by_account = usage::totals::totals(conn, |conn, page| charges_within(conn, &scope, &asked, page))?;
        let texts = |totals: &usage::totals::Totals| {
            let pairs = totals.meters.iter().map(|(meter, sum)| (meter.clone(), sum.normalize().to_string()));
            pairs.collect::<BTreeMap<_, _>>()
        };
        let mut all = usage::totals::Totals::default();
        by_account.values().try_for_each(|part| all.plus(part))?;
        let one = |(account, totals): (&String, &usage::totals::Totals)| AccountTotals {
            account: account.clone(),
            records: totals.records,
            empty: totals.empty,
            meters: texts(totals),
        };
        let accounts = by_account.iter().map(one).collect();
        Ok(UsageTotals { object: "usage_totals", records: all.records, empty: all.empty, meters: texts(&all), accounts })
    })
    .await
}
