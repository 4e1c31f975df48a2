//! Grants, decisions and balances over HTTP.

use actix_web::HttpRequest;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::actor::{Actor, Roles};
use crate::directory;
use crate::fields::Fields;
use crate::grants::{self, Decided, Decision, Grant, NewGrant, Of, Overdraft, State, Verdict};
use crate::http::body::{Json, PathId};
use crate::http::header::if_match;
use crate::http::permit::Permit;
use crate::http::problem::Problem;
use crate::http::query::{Form, Param, Query};
use crate::http::route::Shape;
use crate::id;
use crate::refusal::{Code, FieldCode, Refusal};
use crate::reports::balance::{self, GrantBalance, Moment, Share};
use crate::store::{Conn, Fault, Page};

use super::door::{Answered, App, changed, created, ok, stamps};
use super::projects::projects_within;
use super::scope::Scope;
use super::view::{LotPart, Money, MoneyIn, Span, instant, lot_parts};

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
    #[schema(min_length = 1, max_length = 180)]
    external_id: Option<String>,
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

/// Asks for credits for a project.
pub async fn create_grant<const R: u8>(who: Permit<R>, request: HttpRequest, body: Json, app: Data<App>) -> Answered {
    let units = app.units().await?;
    let mut f = Fields::of(&body.value)?;
    let project = f.id("project");
    let requested = f.amount("requested", &|code| units.get(code).copied());
    let period = f.period("period");
    let justification = f.text("justification", 4000).map(String::from);
    let purpose = f.optional().text("purpose", 180).map(String::from);
    let named = f.optional().list_of_texts("resources", 100, 40).unwrap_or_default();
    let resources: Result<Vec<_>, _> = named.iter().map(|text| id::ResourceId::parse(text)).collect();
    if resources.is_err() {
        f.refuse("resources", FieldCode::WrongIdType, "Resources are named by identifiers such as res_….");
    }
    let external_id = f.optional().text("external_id", 180).map(String::from);
    let new = f.make(|| {
        let (project, requested, period, justification) = (project?, requested?, period?, justification?);
        Some(NewGrant { project, requested, period, justification, purpose, resources: resources.ok()?, external_id })
    })?;
    let actor = Actor::clone(&who);
    app.once(&who, &request, &body.raw, move |work, person| {
        // A project that is another's is as unknown as one that is not there.
        let scope = Scope::of(work.sql()?, &actor, Roles(R))?;
        scope.project(new.project).map_err(|_| directory::unknown("/project", new.project))?;
        let grant = grants::request(work, person, &new)?;
        created("grants", grant.id, &GrantView::from(grant))
    })
    .await
}

/// A decision.
#[derive(Serialize, ToSchema)]
#[schema(as = Decision)]
pub struct DecisionView {
    object: &'static str,
    id: String,
    created_at: String,
    grant: String,
    verdict: String,
    awarded: Money,
    officer: String,
    reason: String,
    lots: Vec<LotPart>,
    /// The transaction of an award.
    transaction: Option<String>,
}

impl From<Decision> for DecisionView {
    fn from(decision: Decision) -> DecisionView {
        let awarded = decision.verdict == "approve";
        DecisionView {
            object: "decision",
            id: decision.id.to_string(),
            created_at: instant(decision.id.created_at()),
            grant: decision.grant.to_string(),
            verdict: decision.verdict,
            awarded: decision.awarded.into(),
            officer: decision.officer.to_string(),
            reason: decision.reason,
            lots: lot_parts(&decision.lots),
            transaction: awarded.then(|| decision.id.seen_as::<id::Transaction>().to_string()),
        }
    }
}

/// What a decision did, or with `dry_run` would do.
#[derive(Serialize, ToSchema)]
pub struct DecisionTaken {
    object: &'static str,
    dry_run: bool,
    decision: DecisionView,
    grant: GrantView,
    /// What moves: from each lot's free credits to the grant's.
    postings: Vec<PlannedPosting>,
    /// Lots that expire before the grant ends: what is left in them then lapses.
    will_lapse: Vec<String>,
}

/// One line of an award.
#[derive(Serialize, ToSchema)]
pub struct PlannedPosting {
    account: String,
    amount: Money,
}

fn taken(decided: Decided, dry_run: bool) -> DecisionTaken {
    use crate::ledger::{Bucket, Key};
    let grant = decided.grant.id;
    let postings = decided.decision.lots.iter().flat_map(|(lot, amount)| {
        let out = crate::amount::Amount::new(-amount.minor, amount.unit);
        let (from, to) = (Key::lot(*lot, Bucket::Available), Key::grant(grant, *lot, Bucket::Granted));
        [(from, out), (to, *amount)].map(|(key, amount)| PlannedPosting { account: key.name(), amount: amount.into() })
    });
    DecisionTaken {
        object: "decision_taken",
        dry_run,
        postings: postings.collect(),
        will_lapse: decided.will_lapse.iter().map(ToString::to_string).collect(),
        decision: decided.decision.into(),
        grant: decided.grant.into(),
    }
}

/// A verdict on a request.
#[derive(ToSchema)]
#[schema(as = NewDecision)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct DecisionBody {
    #[schema(pattern = "^(approve|reject)$")]
    verdict: String,
    /// All that was asked for, if absent.
    awarded: Option<MoneyIn>,
    /// What happens to usage beyond the grant; `record` if absent.
    #[schema(pattern = "^(record|reject)$")]
    overdraft: Option<String>,
    /// Lots and amounts; in draw-down order if absent.
    lots: Option<Vec<LotPartBody>>,
    #[schema(min_length = 1, max_length = 4000)]
    reason: String,
}

/// So much of one lot.
#[derive(ToSchema)]
#[schema(as = NewLotPart)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct LotPartBody {
    #[schema(pattern = "^lot_[0-9a-hjkmnp-tv-z]{26}$")]
    lot: String,
    amount: MoneyIn,
}

/// What a dry run is answered with: the decision as it would be taken.
pub const TRIED: Shape = Shape::of::<DecisionTaken>();
/// Parameters of a decision.
pub const DECIDE: &[Param] = &[Param::one("dry_run", Form::OneOf(&["true", "false"]))];

/// Decides a request: `If-Match` names the version that was read.
pub async fn decide_grant<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Grant>,
    request: HttpRequest,
    query: Query,
    body: Json,
    app: Data<App>,
) -> Answered {
    let version = i32::try_from(if_match(&request)?).map_err(|_| Problem::new(Code::VersionMismatch, Code::VersionMismatch.title()))?;
    let units = app.units().await?;
    let known = |code: &str| units.get(code).copied();
    let mut f = Fields::of(&body.value)?;
    let word = f.one_of("verdict", &["approve", "reject"]);
    let awarded = f.optional().amount("awarded", &known);
    let overdraft = f.optional().one_of("overdraft", Overdraft::WORDS).map_or(Overdraft::Record, Overdraft::of);
    let lots = f.optional().array_of("lots", 500, |l| {
        let (lot, amount) = (l.id("lot"), l.amount("amount", &known));
        Some((lot?, amount?))
    });
    let reason = f.text("reason", 4000).map(String::from);
    if word == Some("reject") {
        for name in ["awarded", "overdraft", "lots"].into_iter().filter(|name| f.given(name)).collect::<Vec<_>>() {
            f.refuse(name, FieldCode::NotAllowed, "A rejection awards nothing.");
        }
    }
    let (verdict, reason) = f.make(|| {
        let verdict = if word? == "reject" { Verdict::Reject } else { Verdict::Approve { awarded, overdraft, lots } };
        Some((verdict, reason?))
    })?;
    let dry_run = query.is_true("dry_run");
    let decide = move |work: &mut crate::store::Work<'_>, person| {
        crate::usage::hold::book_expired(work)?;
        let decided = grants::decide(work, person, id, version, &verdict, &reason, dry_run)?;
        let version = decided.grant.version;
        let place = format!("/v1/decisions/{}", decided.decision.id);
        let taken = taken(decided, dry_run);
        if dry_run { ok(&taken) } else { changed(place, version, &taken) }
    };
    app.once(&who, &request, &body.raw, decide).await
}

/// Lists the decisions on a grant.
pub async fn list_decisions<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Grant>,
    request: HttpRequest,
    query: Query,
    app: Data<App>,
) -> Answered {
    let look = move |conn: &mut Conn, scope: &Scope, page| {
        let grant = grants::grant(conn, id)?;
        scope.grant(&grant, &[])?;
        grants::store::decisions(conn, &grant, page)
    };
    app.list(&who, &request, &query, look, |_, decision| Ok((decision.id.stamp(), DecisionView::from(decision)))).await
}

/// Shows one decision.
pub async fn get_decision<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Decision>, app: Data<App>) -> Answered {
    app.show(move |conn| {
        let grant = grants::store::grant_of_decision(conn, id)?.ok_or_else(Refusal::not_found)?;
        let grant = own_grant(conn, &who, Roles(R), grant)?;
        let one = grants::store::decisions(conn, &grant, Page::ALL)?.into_iter().find(|decision| decision.id == id);
        Ok(DecisionView::from(one.ok_or_else(Refusal::not_found)?))
    })
    .await
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
            awarded: b.grant.awarded.into(),
            available: b.available.into(),
            held: b.held.into(),
            spent: b.spent.into(),
            refunded: b.refunded.into(),
            lapsing: b.lapsing.into(),
            lapsed: b.lapsed.into(),
            deobligated: b.deobligated.into(),
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
        own_grant(conn, &who, Roles(R), id)?;
        Ok(BalanceView::from(balance::grant_balance(conn, id, moment)?))
    })
    .await
}

/// The stamps of the grants asked for.
pub fn grants_asked(query: &Query) -> Result<Option<Vec<i64>>, Refusal> {
    Ok(stamps(query.ids::<id::Grant>("grant")?))
}
