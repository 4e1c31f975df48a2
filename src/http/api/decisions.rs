//! Decisions on requests and on amendments over HTTP, tried or taken.

use actix_web::HttpRequest;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::actor::{Actor, Role, Roles};
use crate::fields::Fields;
use crate::grants::amend::Amended;
use crate::grants::{self, Approvals, Decided, Decision, Overdraft, Plan, Ruling, Verdict};
use crate::http::body::{Json, PathId};
use crate::http::header::version_read;
use crate::http::permit::Permit;
use crate::http::query::{Form, Param, Query};
use crate::http::route::Shape;
use crate::id::{self, PersonId};
use crate::ledger::{Bucket, Key};
use crate::refusal::{Code, FieldCode, Refusal};
use crate::store::{Conn, Fault, Page, Work, answers::Answer};
use crate::usage::refund::{self, Cover};

use super::amendments::AmendmentView;
use super::door::{Answered, App, changed, ok};
use super::grants::{GrantView, own_grant};
use super::scope::Scope;
use super::view::{LotPart, Money, MoneyIn, instant, lot_parts};

/// A decision.
#[derive(Serialize, ToSchema)]
#[schema(as = Decision)]
pub struct DecisionView {
    object: &'static str,
    id: String,
    created_at: String,
    grant: String,
    /// On which amendment; absent for the request itself.
    amendment: Option<String>,
    verdict: String,
    /// What is awarded, moved or taken back.
    awarded: Money,
    officer: String,
    reason: String,
    lots: Vec<LotPart>,
    /// False for an approval that waits for another.
    effective: bool,
    /// SHA-256 of what was decided.
    bound: String,
    /// The transaction of what moved.
    transaction: Option<String>,
}

impl From<Decision> for DecisionView {
    fn from(decision: Decision) -> DecisionView {
        let moved = decision.effective && !decision.lots.is_empty();
        DecisionView {
            object: "decision",
            id: decision.id.to_string(),
            created_at: instant(decision.id.created_at()),
            grant: decision.grant.to_string(),
            amendment: decision.amendment.map(|id| id.to_string()),
            verdict: decision.verdict,
            awarded: decision.awarded.into(),
            officer: decision.officer.to_string(),
            reason: decision.reason,
            lots: lot_parts(&decision.lots),
            effective: decision.effective,
            bound: decision.bound,
            transaction: moved.then(|| decision.id.seen_as::<id::Transaction>().to_string()),
        }
    }
}

/// How many of the approvals that are needed there are.
#[derive(Serialize, ToSchema)]
#[schema(as = Approvals)]
pub struct ApprovalsView {
    given: usize,
    needed: usize,
}

fn approvals(of: Option<Approvals>) -> Option<ApprovalsView> {
    of.map(|of| ApprovalsView { given: of.given, needed: of.needed })
}

/// One line of what moves.
#[derive(Serialize, ToSchema)]
pub struct PlannedPosting {
    account: String,
    amount: Money,
}

fn postings(lines: &[(Key, i64)], unit: crate::amount::Unit) -> Vec<PlannedPosting> {
    let posting =
        |(key, minor): &(Key, i64)| PlannedPosting { account: key.name(), amount: crate::amount::Amount::new(*minor, unit).into() };
    lines.iter().map(posting).collect()
}

/// What a decision did, or with `dry_run` would do.
#[derive(Serialize, ToSchema)]
pub struct DecisionTaken {
    object: &'static str,
    dry_run: bool,
    decision: DecisionView,
    grant: GrantView,
    /// Of an approval.
    approvals: Option<ApprovalsView>,
    /// What moves: from each lot's free credits to the grant's; of an approval that waits for another, what will.
    postings: Vec<PlannedPosting>,
    /// What a renewal takes along from the grant that it follows.
    carried: Vec<LotPart>,
    /// Lots that expire before the grant ends: what is left in them then lapses.
    will_lapse: Vec<String>,
}

fn taken(decided: Decided, dry_run: bool) -> DecisionTaken {
    let (grant, unit) = (decided.grant.id, decided.grant.awarded.unit);
    let shift = |plan: &Plan, from: &dyn Fn(id::LotId) -> Key| -> Vec<(Key, i64)> {
        let pair = |(lot, part): &(id::LotId, crate::amount::Amount)| {
            [(from(*lot), -part.minor), (Key::grant(grant, *lot, Bucket::Granted), part.minor)]
        };
        plan.iter().flat_map(pair).collect()
    };
    let mut lines = shift(&decided.decision.lots, &|lot| Key::lot(lot, Bucket::Available));
    if let Some(before) = decided.grant.about.renews {
        lines.extend(shift(&decided.carried, &|lot| Key::grant(before, lot, Bucket::Granted)));
    }
    DecisionTaken {
        object: "decision_taken",
        dry_run,
        approvals: approvals(decided.approvals),
        postings: postings(&lines, unit),
        carried: lot_parts(&decided.carried),
        will_lapse: decided.will_lapse.iter().map(ToString::to_string).collect(),
        decision: decided.decision.into(),
        grant: decided.grant.into(),
    }
}

/// A verdict on a request or an amendment.
#[derive(ToSchema)]
#[schema(as = NewDecision)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct DecisionBody {
    /// An amendment is not returned.
    #[schema(pattern = "^(approve|reject|return)$")]
    verdict: String,
    /// All that was asked for, if absent.
    awarded: Option<MoneyIn>,
    /// What happens to usage beyond the grant; `record` if absent. Of a request only.
    #[schema(pattern = "^(record|reject)$")]
    overdraft: Option<String>,
    /// Lots and amounts; in draw-down order if absent.
    lots: Option<Vec<LotPartBody>>,
    #[schema(min_length = 1, max_length = 4000)]
    reason: String,
    /// Who decides declares to have no conflict of interest; whoever has one records a recusal instead.
    #[schema(example = true)]
    no_conflict: bool,
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
/// What a dry run of a decision on an amendment is answered with.
pub const TRIED_AMENDMENT: Shape = Shape::of::<AmendmentDecided>();
/// Parameters of a decision.
pub const DECIDE: &[Param] = &[Param::one("dry_run", Form::OneOf(&["true", "false"]))];

/// Reads a verdict on the version that `If-Match` names.
async fn ruling(request: &HttpRequest, body: &Json, app: &App) -> Result<Ruling, crate::http::problem::Problem> {
    let version = version_read(request)?;
    let units = app.units().await?;
    let known = |code: &str| units.get(code).copied();
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let word = f.one_of("verdict", Verdict::WORDS);
    let awarded = f.optional().amount("awarded", &known);
    let overdraft = f.optional().one_of("overdraft", Overdraft::WORDS).map(Overdraft::of);
    let lots = f.optional().array_of("lots", 500, |l| {
        let (lot, amount) = (l.id("lot"), l.amount("amount", &known));
        Some((lot?, amount?))
    });
    let reason = f.text("reason", 4000).map(String::from);
    let no_conflict = f.flag("no_conflict");
    if word.is_some_and(|word| word != "approve") {
        for name in ["awarded", "overdraft", "lots"].into_iter().filter(|name| f.given(name)).collect::<Vec<_>>() {
            f.refuse(name, FieldCode::NotAllowed, "Only an approval awards something.");
        }
    }
    let read = f.make(|| {
        let verdict = match word? {
            "reject" => Verdict::Reject,
            "return" => Verdict::Return,
            _ => Verdict::Approve { awarded, overdraft, lots },
        };
        Some(Ruling { verdict, version, reason: reason?, no_conflict: no_conflict? })
    })?;
    Ok(read)
}

/// Nobody who comes as a donor agrees to anything here: `conflict_of_interest`.
pub fn no_donor(who: &Actor) -> Result<(), Refusal> {
    match who.has(Role::Donor) {
        true => Err(Refusal::new(Code::ConflictOfInterest, "Who comes as a donor decides nothing in this ledger.")),
        false => Ok(()),
    }
}

/// Decides a request: `If-Match` names the version that was read.
pub async fn decide_grant<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Grant>,
    request: HttpRequest,
    query: Query,
    body: Json,
    app: Data<App>,
) -> Answered {
    no_donor(&who)?;
    let ruling = ruling(&request, &body, &app).await?;
    let dry_run = query.is_true("dry_run");
    let decide = move |work: &mut Work<'_>, person: PersonId| {
        crate::usage::hold::book_expired(work)?;
        let decided = grants::decide(work, person, id, &ruling, dry_run)?;
        let (version, place) = (decided.grant.version, format!("/v1/decisions/{}", decided.decision.id));
        answer(dry_run, place, version, &taken(decided, dry_run))
    };
    app.once(&who, &request, &body.raw, decide).await
}

fn answer(dry_run: bool, place: String, version: i32, taken: &impl Serialize) -> Result<Answer, Fault> {
    if dry_run { ok(taken) } else { changed(place, version, taken) }
}

/// What a decision on an amendment did, or with `dry_run` would do.
#[derive(Serialize, ToSchema)]
pub struct AmendmentDecided {
    object: &'static str,
    dry_run: bool,
    decision: DecisionView,
    amendment: AmendmentView,
    grant: GrantView,
    /// The grant to which a transfer went.
    target: Option<GrantView>,
    /// Of an approval.
    approvals: Option<ApprovalsView>,
    /// What moves, an overdraft that is covered at once included; of an approval that waits for another nothing yet.
    postings: Vec<PlannedPosting>,
}

/// Decides an amendment: `If-Match` names the version that was read.
pub async fn decide_amendment<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Amendment>,
    request: HttpRequest,
    query: Query,
    body: Json,
    app: Data<App>,
) -> Answered {
    no_donor(&who)?;
    let ruling = ruling(&request, &body, &app).await?;
    let dry_run = query.is_true("dry_run");
    let decide = move |work: &mut Work<'_>, person: PersonId| {
        crate::usage::hold::book_expired(work)?;
        let amended = grants::amend::decide(work, person, id, &ruling, dry_run)?;
        let covers = covers(work, &amended, dry_run)?;
        let lines: Vec<(Key, i64)> =
            amended.draft.lines.iter().chain(covers.iter().flat_map(|cover| &cover.draft.lines)).copied().collect();
        let (version, place) = (amended.amendment.version, format!("/v1/decisions/{}", amended.decision.id));
        let view = AmendmentDecided {
            object: "amendment_decided",
            dry_run,
            approvals: approvals(amended.approvals),
            postings: postings(&lines, amended.grant.awarded.unit),
            decision: amended.decision.into(),
            amendment: amended.amendment.into(),
            grant: amended.grant.into(),
            target: amended.target.map(GrantView::from),
        };
        answer(dry_run, place, version, &view)
    };
    app.once(&who, &request, &body.raw, decide).await
}

/// What comes in covers first what is owed; where the decision is only tried, what it would cover.
fn covers(work: &mut Work<'_>, amended: &Amended, dry_run: bool) -> Result<Vec<Cover>, Fault> {
    let now = work.now();
    let to = match amended.amendment.change {
        grants::Change::Supplement(_) => amended.grant.id,
        grants::Change::Transfer(_, to) => to,
        _ => return Ok(Vec::new()),
    };
    match dry_run {
        false => refund::cover(work, to, now),
        true if amended.approvals.is_some_and(Approvals::complete) => refund::covers(work, to, &amended.decision.lots, now),
        true => Ok(Vec::new()),
    }
}

/// Lists the decisions on a grant and its amendments.
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
        grants::store::decisions(conn, Some(id), page)
    };
    app.list(&who, &request, &query, look, |_, decision| Ok((decision.id.stamp(), DecisionView::from(decision)))).await
}

/// Shows one decision.
pub async fn get_decision<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Decision>, app: Data<App>) -> Answered {
    app.show(move |conn| {
        let grant = grants::store::grant_of_decision(conn, id)?.ok_or_else(Refusal::not_found)?;
        own_grant(conn, &who, Roles(R), grant)?;
        let one = grants::store::decisions(conn, Some(grant), Page::ALL)?.into_iter().find(|decision| decision.id == id);
        Ok(DecisionView::from(one.ok_or_else(Refusal::not_found)?))
    })
    .await
}
