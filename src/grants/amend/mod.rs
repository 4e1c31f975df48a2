//! Amendments: changes to a grant that counts, each asked for by one person and decided by another.
//!
//! A supplement adds credits, an extension moves the end, a reduction gives unused credits back to their lots, a transfer passes them on to
//! another grant whose project the donors' terms must admit, a closing ends the grant now. What was asked for is never edited: an
//! amendment on other terms is another amendment.

pub mod store;

use serde_json::json;

use crate::amount::Amount;
use crate::directory::unknown;
use crate::id::{AmendmentId, GrantId, Id, PersonId};
use crate::ledger::{self, Draft, Kind};
use crate::refusal::{Code, FieldCode, Refusal};
use crate::store::{Conn, Fault, Page, Work};
use crate::time::Time;

use super::approve::again;
use super::decision::{self, Approvals, Decision, Ruling, Verdict};
use super::funding::{self, Plan};
use super::grant::{Grant, State as GrantState, expect_version};
use super::life::{self, Step, Taken};
use super::store::{self as grants, Outflow};
use super::{grant, policy, separation, sweep};

/// What is to change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// More credits.
    Supplement(Amount),
    /// A later end.
    Extension(Time),
    /// Unused credits back to their lots.
    Reduction(Amount),
    /// Unused credits to another grant.
    Transfer(Amount, GrantId),
    /// An end now.
    Closing,
}

impl Change {
    /// The words on the wire.
    pub const WORDS: &'static [&'static str] = &["supplement", "extension", "reduction", "transfer", "closing"];

    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Change::Supplement(_) => "supplement",
            Change::Extension(_) => "extension",
            Change::Reduction(_) => "reduction",
            Change::Transfer(..) => "transfer",
            Change::Closing => "closing",
        }
    }

    /// How much it is about.
    pub const fn amount(self) -> Option<Amount> {
        match self {
            Change::Supplement(amount) | Change::Reduction(amount) | Change::Transfer(amount, _) => Some(amount),
            Change::Extension(_) | Change::Closing => None,
        }
    }

    /// The same about so much.
    fn of(self, amount: Amount) -> Change {
        match self {
            Change::Supplement(_) => Change::Supplement(amount),
            Change::Reduction(_) => Change::Reduction(amount),
            Change::Transfer(_, to) => Change::Transfer(amount, to),
            other => other,
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Change::Supplement(_) => Kind::Supplement,
            Change::Extension(_) => Kind::Extension,
            Change::Reduction(_) => Kind::Reduction,
            Change::Transfer(..) => Kind::Transfer,
            Change::Closing => Kind::Closing,
        }
    }
}

/// Words for where an amendment stands.
pub const STATES: &[&str] = &["requested", "awaiting_second_approval", "approved", "rejected", "withdrawn"];
/// Those in which it is not decided yet.
pub const OPEN: &[&str] = &["requested", "awaiting_second_approval"];

/// A change to a grant, from its request on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Amendment {
    /// Its identifier.
    pub id: AmendmentId,
    /// Of which grant.
    pub grant: GrantId,
    /// What is to change.
    pub change: Change,
    /// Who asked.
    pub requester: PersonId,
    /// Why.
    pub reason: String,
    /// One of [`STATES`].
    pub state: String,
    /// Counts its changes, for `ETag`.
    pub version: i32,
}

/// One amendment. Errors: `not_found`.
pub fn amendment(conn: &mut Conn, id: AmendmentId) -> Result<Amendment, Fault> {
    let of = store::Of { ids: Some(vec![id.stamp()]), ..store::Of::default() };
    store::amendments(conn, &of, Page::ALL)?.pop().ok_or_else(|| Refusal::not_found().into())
}

/// Asks for a change. Errors: `already_decided` unless the grant runs; `unit_mismatch`, `period_inverted`, `unknown` target.
pub fn propose(work: &mut Work<'_>, who: PersonId, id: GrantId, change: Change, reason: &str) -> Result<Amendment, Fault> {
    let about = grant(work.sql()?, id)?;
    about.must_run(GrantState::RUNNING, work.now())?;
    if let Some(amount) = change.amount()
        && amount.unit != about.awarded.unit
    {
        let detail = crate::amount::unit_mismatch(about.awarded.unit, amount.unit).detail;
        return Err(Refusal::field("/amount/unit", FieldCode::UnitMismatch, detail).into());
    }
    match change {
        Change::Extension(to) if to <= about.about.period.to || to <= work.now() => {
            return Err(Refusal::field("/ends_at", FieldCode::PeriodInverted, "An extension moves the end to a later time.").into());
        }
        Change::Transfer(_, to) => expect_target(work, &about, to)?,
        _ => {}
    }
    let (now, (amount, ends_at, to)) = (work.now(), parts(change));
    let body = json!({
        "kind": change.word(), "amount": amount.map(|a| a.to_string()), "ends_at": ends_at.map(|t| t.to_string()), "to": to,
        "reason": decision::hash(&json!(reason)),
    });
    let birth = ledger::post(work, Draft::note(Kind::Amendment, who, now, &body).about(id.stamp()))?;
    let amendment = Amendment {
        id: Id::from_stamp(birth.stamp),
        grant: id,
        change,
        requester: who,
        reason: reason.into(),
        state: "requested".into(),
        version: 1,
    };
    store::insert(work.sql_mut()?, &amendment)?;
    note(work, birth.stamp, who, Step::Amendment, &amendment, Some(reason))?;
    Ok(amendment)
}

/// What a change is about, as rows and journal keep it: amount, end, target.
fn parts(change: Change) -> (Option<Amount>, Option<Time>, Option<GrantId>) {
    match change {
        Change::Extension(to) => (None, Some(to), None),
        Change::Transfer(amount, to) => (Some(amount), None, Some(to)),
        other => (other.amount(), None, None),
    }
}

fn note(work: &mut Work<'_>, id: i64, person: PersonId, step: Step, of: &Amendment, reason: Option<&str>) -> Result<(), Fault> {
    let (step, reason) = (step.word().into(), reason.map(String::from));
    let row = Taken { id, grant: of.grant, amendment: Some(of.id), step, person, reason, version: of.version };
    grants::insert_step(work.sql_mut()?, &row)
}

/// Refuses a transfer to anything but another grant that runs, in the same unit.
fn expect_target(work: &mut Work<'_>, from: &Grant, to: GrantId) -> Result<(), Fault> {
    let none = |fault: Fault| fault.refused_as(|_| unknown("/to", to));
    let target = grant(work.sql()?, to).map_err(none)?;
    Ok(fits(from, &target, work.now())?)
}

fn fits(from: &Grant, target: &Grant, now: Time) -> Result<(), Refusal> {
    let same = target.id != from.id && target.awarded.unit == from.awarded.unit;
    if same && target.must_run(GrantState::RUNNING, now).is_ok() {
        return Ok(());
    }
    let detail = "A transfer goes to another grant in the same unit that is active.";
    Err(Refusal::field("/to", FieldCode::NotAllowed, detail))
}

fn expect_open(of: &Amendment) -> Result<(), Refusal> {
    match OPEN.contains(&of.state.as_str()) {
        true => Ok(()),
        false => Err(Refusal::new(Code::AlreadyDecided, format!("The amendment is {}.", of.state)).with("state", &of.state)),
    }
}

/// Takes an amendment back. Errors: `already_decided`.
pub fn withdraw(work: &mut Work<'_>, who: PersonId, id: AmendmentId, reason: &str) -> Result<Amendment, Fault> {
    let mut changed = amendment(work.sql()?, id)?;
    expect_open(&changed)?;
    (changed.state, changed.version) = ("withdrawn".into(), changed.version + 1);
    let body = json!({"amendment": id, "state": changed.state, "reason": decision::hash(&json!(reason))});
    let birth = ledger::post(work, Draft::note(Kind::Withdrawal, who, work.now(), &body).about(changed.grant.stamp()))?;
    store::update(work.sql_mut()?, &changed)?;
    note(work, birth.stamp, who, Step::Withdrawal, &changed, Some(reason))?;
    Ok(changed)
}

/// What a decision on an amendment did, or would do.
#[derive(Clone, Debug)]
pub struct Amended {
    /// The grant afterwards.
    pub grant: Grant,
    /// When the grant was to end before.
    pub from_end: Time,
    /// The grant that a transfer went to, afterwards.
    pub target: Option<Grant>,
    /// The amendment afterwards.
    pub amendment: Amendment,
    /// The decision.
    pub decision: Decision,
    /// Approvals, where it is one.
    pub approvals: Option<Approvals>,
    /// What moves.
    pub draft: Draft,
}

/// Decides an amendment. As of a request, what was approved first binds whoever approves after.
///
/// Who asked for the amendment or for the grant, and who has a part in either project of a transfer, does not decide. Credits that a supplement
/// or a transfer brings cover an overdraft first: the door sees to that, since this room knows no charges. Errors: as those of a decision
/// on a request; `holds_open` for a closing.
pub fn decide(work: &mut Work<'_>, who: PersonId, id: AmendmentId, ruling: &Ruling, dry_run: bool) -> Result<Amended, Fault> {
    let asked = amendment(work.sql()?, id)?;
    expect_open(&asked)?;
    let about = grant(work.sql()?, asked.grant)?;
    let target = match asked.change {
        Change::Transfer(_, to) => Some(grant(work.sql()?, to)?),
        _ => None,
    };
    let concerned: Vec<&Grant> = [Some(&about), target.as_ref()].into_iter().flatten().collect();
    let mut authors = vec![asked.requester];
    for grant in &concerned {
        authors.extend(life::authors(work.sql()?, grant)?);
    }
    separation::may_decide(work.sql()?, who, &concerned, &authors, ruling.no_conflict)?;
    expect_version(asked.version, ruling.version)?;
    let before = grants::decisions_of(work.sql()?, about.id, Some(asked.id))?;
    again(&before, who)?;
    let mut amended = match &ruling.verdict {
        Verdict::Approve { .. } => {
            let before = separation::standing(work.sql()?, before, &concerned, &authors)?;
            approve(work, who, asked, about, target, ruling, &before)?
        }
        Verdict::Reject => reject(work, who, asked, about, ruling),
        Verdict::Return => {
            let detail = "An amendment is approved or rejected; one on other terms is another amendment.";
            return Err(Refusal::field("/verdict", FieldCode::NotAllowed, detail).into());
        }
    };
    amended.amendment.version += 1;
    if !dry_run {
        book(work, &amended)?;
    }
    Ok(amended)
}

fn reject(work: &Work<'_>, who: PersonId, mut asked: Amendment, about: Grant, ruling: &Ruling) -> Amended {
    let mut decision = decision::taken(work.birth().stamp, &about, ruling, who);
    (decision.amendment, decision.round, decision.bound) = (Some(asked.id), 1, bound(&asked, &about, &Vec::new()));
    asked.state = "rejected".into();
    let draft = Draft::moving(Kind::Rejection, Some(who), work.now(), about.awarded.unit);
    let from_end = about.about.period.to;
    Amended { grant: about, from_end, target: None, amendment: asked, decision, approvals: None, draft }
}

fn approve(
    work: &mut Work<'_>,
    who: PersonId,
    mut asked: Amendment,
    mut about: Grant,
    mut target: Option<Grant>,
    ruling: &Ruling,
    before: &[Decision],
) -> Result<Amended, Fault> {
    let Verdict::Approve { awarded, overdraft, lots } = &ruling.verdict else {
        return Err(Fault::Internal("an approval that approves nothing".into()));
    };
    let moves = asked.change.amount().is_some();
    if let Some(field) = [("/awarded", awarded.is_some()), ("/lots", lots.is_some())].into_iter().find_map(|(f, named)| named.then_some(f))
        && !moves
    {
        return Err(Refusal::field(field, FieldCode::NotAllowed, "This change moves no credits that an officer could name.").into());
    }
    if overdraft.is_some() {
        return Err(Refusal::field("/overdraft", FieldCode::NotAllowed, "The award said what happens beyond it.").into());
    }
    about.must_run(GrantState::RUNNING, work.now())?;
    let from_end = about.about.period.to;
    if let Some(to) = &target {
        fits(&about, to, work.now())?;
    }
    let first = before.first();
    let change = match asked.change.amount() {
        None => asked.change,
        Some(amount) => asked.change.of(decision::awarded(amount, first.map(|f| f.awarded).or(*awarded))?),
    };
    if let Some(first) = first {
        decision::same_as_first(first, *awarded, None, lots.as_deref())?;
    }
    if let Some(amount) = change.amount() {
        policy::within_limit(work.sql()?, who, amount)?;
    }
    sweep::book_ends(work)?;
    let named = first.map(|f| f.lots.as_slice()).or(lots.as_deref());
    let plan = plan(work, &about, target.as_ref(), change, named)?;
    let bound = bound(&asked, &about, &plan);
    if before.iter().any(|first| first.bound != bound) {
        return Err(Refusal::new(Code::VersionMismatch, "What was approved first is not what would change now.").into());
    }
    let approvals = Approvals { given: before.len() + 1, needed: needed(work, &about, target.as_ref(), change)? };
    let mut decision = decision::taken(work.birth().stamp, &about, ruling, who);
    (decision.amendment, decision.round, decision.bound, decision.effective) = (Some(asked.id), 1, bound, approvals.complete());
    decision.awarded = change.amount().unwrap_or(decision.awarded);
    asked.state = if approvals.complete() { "approved" } else { "awaiting_second_approval" }.into();
    let kind = if approvals.complete() { change.kind() } else { Kind::Approval };
    let mut draft = Draft::moving(kind, Some(who), work.now(), about.awarded.unit);
    if approvals.complete() {
        carry_out(work, &mut about, target.as_mut(), change, &plan, &mut draft)?;
    }
    decision.lots = plan;
    Ok(Amended { grant: about, from_end, target, amendment: asked, decision, approvals: Some(approvals), draft })
}

/// Supplements and transfers count like awards to the project that gets them; what only takes needs one other person.
fn needed(work: &mut Work<'_>, about: &Grant, target: Option<&Grant>, change: Change) -> Result<usize, Fault> {
    match (change, target) {
        (Change::Supplement(amount), _) => policy::approvers(work, about.about.project, amount),
        (Change::Transfer(amount, _), Some(target)) => policy::approvers(work, target.about.project, amount),
        _ => Ok(1),
    }
}

fn plan(
    work: &mut Work<'_>,
    about: &Grant,
    target: Option<&Grant>,
    change: Change,
    named: Option<&[(crate::id::LotId, Amount)]>,
) -> Result<Plan, Fault> {
    match change {
        Change::Supplement(amount) => funding::fund(work, about, amount, named),
        Change::Reduction(amount) | Change::Transfer(amount, _) => funding::unfund(work, about.id, amount, named, target),
        Change::Closing => life::closable(work, about.id).map(|_| Vec::new()),
        Change::Extension(to) if to > about.about.period.to => Ok(Vec::new()),
        Change::Extension(_) => {
            Err(Refusal::new(Code::AlreadyDecided, format!("The grant ends at {} already.", about.about.period.to)).into())
        }
    }
}

/// Makes the change to the nouns and drafts what moves.
fn carry_out(
    work: &Work<'_>,
    about: &mut Grant,
    target: Option<&mut Grant>,
    change: Change,
    plan: &Plan,
    draft: &mut Draft,
) -> Result<(), Fault> {
    about.version += 1;
    match (change, target) {
        (Change::Supplement(amount), _) => {
            funding::award(draft, about.id, plan);
            about.awarded = about.awarded.plus(amount)?;
        }
        (Change::Extension(to), _) => about.about.period.to = to,
        (Change::Reduction(_), _) => funding::give_back(draft, about.id, plan),
        (Change::Transfer(amount, to), Some(target)) => {
            funding::pass_on(draft, about.id, to, plan);
            (target.awarded, target.version) = (target.awarded.plus(amount)?, target.version + 1);
        }
        (Change::Transfer(..), None) => return Err(Fault::Internal("a transfer to nowhere".into())),
        (Change::Closing, _) => life::shut(work, about),
    }
    Ok(())
}

/// The SHA-256 of an amendment, of the grant as it was read, and of the lots concerned: what an approval binds.
fn bound(asked: &Amendment, about: &Grant, plan: &Plan) -> String {
    let (amount, ends_at, to) = parts(asked.change);
    decision::hash(&json!({
        "amendment": asked.id, "grant": about.id, "kind": asked.change.word(), "amount": amount.map(|a| a.to_string()),
        "ends_at": ends_at.map(|t| t.to_string()), "to": to, "reason": asked.reason, "lots": decision::named(plan),
        "from_end": about.about.period.to.to_string(),
    }))
}

fn book(work: &mut Work<'_>, amended: &Amended) -> Result<(), Fault> {
    let Amended { grant, target, amendment, decision, draft, .. } = amended;
    let mut draft = draft.clone().about(grant.id.stamp());
    let body = json!({
        "amendment": amendment.id, "verdict": decision.verdict, "kind": amendment.change.word(), "awarded": decision.awarded.to_string(),
        "to": target.as_ref().map(|target| target.id), "ends_at": grant.about.period.to.to_string(), "from_end": amended.from_end.to_string(),
        "lots": decision::named(&decision.lots), "bound": decision.bound, "reason": decision::hash(&json!(decision.reason)),
    });
    draft.body = Some(body.to_string());
    let birth = ledger::post(work, draft)?;
    let (outflow, raises) = match amendment.change {
        Change::Reduction(_) => (Some("deobligation"), None),
        Change::Transfer(..) => (Some("transfer"), target.as_ref()),
        Change::Supplement(_) => (None, Some(grant)),
        Change::Extension(_) | Change::Closing => (None, None),
    };
    if decision.effective && decision.verdict == "approve" {
        for (lot, part) in decision.lots.iter().filter(|_| outflow.is_some()) {
            let kind = outflow.unwrap_or_default().to_owned();
            let outflow = Outflow { seq: birth.seq, grant: grant.id, lot: *lot, kind, amount: part.minor };
            grants::insert_outflow(work.sql_mut()?, &outflow)?;
        }
        for changed in [Some(grant), target.as_ref()].into_iter().flatten() {
            grants::update_grant(work.sql_mut()?, changed)?;
        }
    }
    store::update(work.sql_mut()?, amendment)?;
    let raises = raises.filter(|_| decision.effective && decision.verdict == "approve");
    let raised = raises.map_or(0, |_| decision.awarded.minor);
    let project = raises.unwrap_or(grant).about.project;
    let beside = grants::Beside { requester: amendment.requester, project, raised, seq: birth.seq };
    grants::insert_decision(work.sql_mut()?, decision, &beside)
}

/// The entries of the journal in which an amendment moved the end of a grant.
pub(super) fn ends_moved(conn: &mut Conn, id: GrantId) -> Result<Vec<i64>, Fault> {
    let of = store::Of { grants: Some(vec![id.stamp()]), states: Some(vec!["approved".into()]), ..store::Of::default() };
    let mut moving = store::amendments(conn, &of, Page::ALL)?;
    moving.retain(|amendment| matches!(amendment.change, Change::Extension(_) | Change::Closing));
    if moving.is_empty() {
        return Ok(Vec::new());
    }
    let decided = grants::signed(conn, Some(id))?;
    let by = |row: &&grants::Signed| moving.iter().any(|amendment| amendment.id.stamp() == row.amendment);
    Ok(decided.iter().filter(by).map(|row| row.seq).collect())
}
