//! A grant's life beside the decisions on it: asked for, rewritten, submitted, taken up, taken back, suspended, resumed, closed.
//!
//! Every step is an entry of the journal and a row that says who took it and why; what counted is never edited. Steps that only hold things
//! back (suspension, recusal) need one person, always.

use serde_json::json;

use crate::amount::Amount;
use crate::directory::{self, taken, unknown};
use crate::id::{AmendmentId, GrantId, Id, PersonId};
use crate::ledger::{self, Bucket, Draft, Key, Kind};
use crate::refusal::{Code, FieldCode, Refusal};
use crate::store::{Conn, Fault, Page, Work};
use crate::time::{Period, Time};

use super::grant::{Grant, NewGrant, Overdraft, State};
use super::store::{self, Of};
use super::{amend, decision, grant};

/// A step of a grant's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// It was begun, as a draft or asked for at once.
    Request,
    /// What is asked for was changed.
    Revision,
    /// It was handed to the officers.
    Submission,
    /// Officers took it up, or took it up again.
    Review,
    /// Those who asked took it back.
    Withdrawal,
    /// An officer stood back from it.
    Recusal,
    /// It was suspended.
    Suspension,
    /// It was resumed.
    Resumption,
    /// It was closed before its end.
    Closing,
    /// A change to it was asked for.
    Amendment,
}

impl Step {
    /// The word.
    pub const fn word(self) -> &'static str {
        self.kind().word()
    }

    const fn kind(self) -> Kind {
        match self {
            Step::Request => Kind::Request,
            Step::Revision => Kind::Revision,
            Step::Submission => Kind::Submission,
            Step::Review => Kind::Review,
            Step::Withdrawal => Kind::Withdrawal,
            Step::Recusal => Kind::Recusal,
            Step::Suspension => Kind::Suspension,
            Step::Resumption => Kind::Resumption,
            Step::Closing => Kind::Closing,
            Step::Amendment => Kind::Amendment,
        }
    }

    /// Whether who takes it has written what is asked for.
    fn writes(word: &str) -> bool {
        [Step::Request, Step::Revision, Step::Submission].iter().any(|step| step.word() == word)
    }
}

/// A step that was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// Stamp of its entry.
    pub id: i64,
    /// In the life of which grant.
    pub grant: GrantId,
    /// On which amendment; `None` for the grant itself.
    pub amendment: Option<AmendmentId>,
    /// Its word.
    pub step: String,
    /// Who took it.
    pub person: PersonId,
    /// Why; of a request its justification says so.
    pub reason: Option<String>,
    /// The version to which it brought the grant or the amendment.
    pub version: i32,
}

/// Asks for credits. Errors: `unknown` project, resource or predecessor, `duplicate_external_id`.
pub fn request(work: &mut Work<'_>, who: PersonId, new: &NewGrant) -> Result<Grant, Fault> {
    begin(work, who, new, State::Requested)
}

/// Begins a request that nobody is asked to decide yet. Errors: as those of a request.
pub fn draft(work: &mut Work<'_>, who: PersonId, new: &NewGrant) -> Result<Grant, Fault> {
    begin(work, who, new, State::Draft)
}

fn begin(work: &mut Work<'_>, who: PersonId, new: &NewGrant, state: State) -> Result<Grant, Fault> {
    if directory::project(work.sql()?, new.project)?.is_none() {
        return Err(unknown("/project", new.project).into());
    }
    check_named(work, new)?;
    if let Some(name) = &new.external_id {
        let of = Of { external_ids: Some(vec![name.clone()]), ..Of::default() };
        if !store::grants(work.sql()?, &of, Page::ALL)?.is_empty() {
            return Err(taken(name).into());
        }
    }
    let mut made = Grant {
        id: Id::from_stamp(0),
        about: new.clone(),
        requester: who,
        awarded: Amount::zero(new.requested.unit),
        state,
        overdraft: Overdraft::Record,
        suspended_at: None,
        booked: None,
        round: 1,
        version: 1,
    };
    let body = asked(&made);
    let birth = ledger::post(work, Draft::note(Kind::Request, who, work.now(), &body))?;
    made.id = Id::from_stamp(birth.stamp);
    store::insert_grant(work.sql_mut()?, &made)?;
    let word = Step::Request.word().into();
    let step = Taken { id: birth.stamp, grant: made.id, amendment: None, step: word, person: who, reason: None, version: 1 };
    store::insert_step(work.sql_mut()?, &step)?;
    Ok(made)
}

/// What the journal keeps of what is asked for: the words only as their SHA-256, since they may have to be erased.
fn asked(grant: &Grant) -> serde_json::Value {
    let about = &grant.about;
    json!({
        "project": about.project, "requested": about.requested.to_string(), "unit": about.requested.unit.code(),
        "from": about.period.from.to_string(), "to": about.period.to.to_string(), "resources": about.resources, "renews": about.renews,
        "purpose": about.purpose, "justification": decision::hash(&json!(about.justification)), "state": grant.state.word(),
    })
}

fn check_named(work: &mut Work<'_>, new: &NewGrant) -> Result<(), Fault> {
    for (place, id) in new.resources.iter().enumerate() {
        if directory::resource(work.sql()?, *id)?.is_none() {
            return Err(unknown(&format!("/resources/{place}"), id).into());
        }
    }
    if let Some(id) = new.renews {
        let none = |fault: Fault| fault.refused_as(|_| unknown("/renews", id));
        let before = grant(work.sql()?, id).map_err(none)?;
        let follows = before.about.project == new.project && State::AWARDED.contains(&before.state);
        if !follows || before.awarded.unit != new.requested.unit {
            let detail = "A renewal names an awarded grant of the same project in the same unit.";
            return Err(Refusal::field("/renews", FieldCode::NotAllowed, detail).into());
        }
    }
    Ok(())
}

/// Records a step and saves what it made of the grant.
pub(super) fn record(work: &mut Work<'_>, who: PersonId, step: Step, changed: &mut Grant, reason: &str) -> Result<(), Fault> {
    changed.version += 1;
    let mut body = if step == Step::Revision { asked(changed) } else { json!({"state": changed.state.word(), "version": changed.version}) };
    if step == Step::Closing {
        body["from_end"] = json!(grant(work.sql()?, changed.id)?.about.period.to.to_string());
        body["ends_at"] = json!(changed.about.period.to.to_string());
    }
    body["reason"] = json!(decision::hash(&json!(reason)));
    let birth = ledger::post(work, Draft::note(step.kind(), who, work.now(), &body).about(changed.id.stamp()))?;
    let row = Taken {
        id: birth.stamp,
        grant: changed.id,
        amendment: None,
        step: step.word().into(),
        person: who,
        reason: Some(reason.into()),
        version: changed.version,
    };
    store::update_grant(work.sql_mut()?, changed)?;
    store::insert_step(work.sql_mut()?, &row)
}

/// Those who wrote what is asked for: who began it, changed it, handed it in.
pub fn authors(conn: &mut Conn, of: &Grant) -> Result<Vec<PersonId>, Fault> {
    let steps = store::steps(conn, Some(of.id), Page::ALL)?;
    let writers = steps.into_iter().filter(|taken| taken.amendment.is_none() && Step::writes(&taken.step)).map(|taken| taken.person);
    Ok(writers.chain([of.requester]).collect())
}

/// What a revision may change: everything but the project, the unit and the name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revised {
    /// How much is asked for.
    pub requested: Amount,
    /// From when to when.
    pub period: Period,
    /// Why.
    pub justification: String,
    /// What for.
    pub purpose: Option<String>,
    /// Only on these resources.
    pub resources: Vec<crate::id::ResourceId>,
}

/// Changes what is asked for, before it is decided; approvals given before are void.
///
/// Errors: `version_mismatch`, `already_decided`, `unknown` resource, `unit_mismatch`.
pub fn revise(work: &mut Work<'_>, who: PersonId, id: GrantId, version: i32, new: &Revised, reason: &str) -> Result<Grant, Fault> {
    let mut changed = grant(work.sql()?, id)?;
    changed.must_be(State::UNDECIDED)?;
    changed.expect_version(version)?;
    if new.requested.unit != changed.about.requested.unit {
        let detail = crate::amount::unit_mismatch(changed.about.requested.unit, new.requested.unit).detail;
        return Err(Refusal::field("/requested/unit", FieldCode::UnitMismatch, detail).into());
    }
    let Revised { requested, period, justification, purpose, resources } = new.clone();
    changed.about = NewGrant { requested, period, justification, purpose, resources, ..changed.about };
    check_named(work, &changed.about)?;
    void_approvals(&mut changed);
    record(work, who, Step::Revision, &mut changed, reason)?;
    Ok(changed)
}

/// Approvals are of what was read: what changes it, or sends it back, makes them void.
pub(super) fn void_approvals(of: &mut Grant) {
    of.round += 1;
    if of.state == State::AwaitingSecondApproval {
        of.state = State::InReview;
    }
}

/// Hands a draft to the officers, or answers their questions. Errors: `already_decided`.
pub fn submit(work: &mut Work<'_>, who: PersonId, id: GrantId, reason: &str) -> Result<Grant, Fault> {
    step(work, who, id, Step::Submission, &[State::Draft, State::Returned], State::Requested, reason)
}

/// Takes a request up, or up again where it waits for a second approval: the first is then void. Errors: `already_decided`.
pub fn review(work: &mut Work<'_>, who: PersonId, id: GrantId, reason: &str) -> Result<Grant, Fault> {
    let mut changed = grant(work.sql()?, id)?;
    changed.must_be(&[State::Requested, State::AwaitingSecondApproval])?;
    void_approvals(&mut changed);
    changed.state = State::InReview;
    record(work, who, Step::Review, &mut changed, reason)?;
    Ok(changed)
}

/// Takes a request back. Errors: `already_decided`.
pub fn withdraw(work: &mut Work<'_>, who: PersonId, id: GrantId, reason: &str) -> Result<Grant, Fault> {
    step(work, who, id, Step::Withdrawal, State::UNDECIDED, State::Withdrawn, reason)
}

/// Lets no new job begin. One person is enough, always. Errors: `already_decided`.
pub fn suspend(work: &mut Work<'_>, who: PersonId, id: GrantId, reason: &str) -> Result<Grant, Fault> {
    let mut changed = grant(work.sql()?, id)?;
    changed.must_run(&[State::Active], work.now())?;
    (changed.state, changed.suspended_at) = (State::Suspended, Some(work.now()));
    record(work, who, Step::Suspension, &mut changed, reason)?;
    Ok(changed)
}

/// Lets jobs begin again. Errors: `already_decided`.
pub fn resume(work: &mut Work<'_>, who: PersonId, id: GrantId, reason: &str) -> Result<Grant, Fault> {
    let mut changed = grant(work.sql()?, id)?;
    changed.must_run(&[State::Suspended], work.now())?;
    (changed.state, changed.suspended_at) = (State::Active, None);
    record(work, who, Step::Resumption, &mut changed, reason)?;
    Ok(changed)
}

/// Stands back from deciding on a request or its amendments, for good. One person is enough, always.
pub fn recuse(work: &mut Work<'_>, who: PersonId, id: GrantId, reason: &str) -> Result<Grant, Fault> {
    let mut found = grant(work.sql()?, id)?;
    record(work, who, Step::Recusal, &mut found, reason)?;
    Ok(found)
}

fn step(work: &mut Work<'_>, who: PersonId, id: GrantId, step: Step, from: &[State], to: State, reason: &str) -> Result<Grant, Fault> {
    let mut changed = grant(work.sql()?, id)?;
    changed.must_be(from)?;
    changed.state = to;
    record(work, who, step, &mut changed, reason)?;
    Ok(changed)
}

/// Ends a grant now, by those whose it is. What it has left goes back to its lots when the reporting grace is over: jobs that have ended
/// may still be reported.
///
/// Errors: `already_decided`, `holds_open` while credits are set aside.
pub fn close(work: &mut Work<'_>, who: PersonId, id: GrantId, reason: &str) -> Result<Grant, Fault> {
    let mut changed = closable(work, id)?;
    shut(work, &mut changed);
    record(work, who, Step::Closing, &mut changed, reason)?;
    Ok(changed)
}

/// The grant, if it may be closed now.
pub(super) fn closable(work: &mut Work<'_>, id: GrantId) -> Result<Grant, Fault> {
    let found = super::funded(work, id)?;
    found.grant.must_run(State::RUNNING, work.now())?;
    for lot in &found.lots {
        if ledger::balance(work, Key::grant(id, lot.id, Bucket::Held))? > 0 {
            return Err(Refusal::new(Code::HoldsOpen, Code::HoldsOpen.title()).with("grant", id).into());
        }
    }
    Ok(found.grant.clone())
}

/// When a grant was to end as the books stood at an entry of the journal: the extensions and the closing that came later are undone.
pub fn end_at(conn: &mut Conn, of: &Grant, seq: i64) -> Result<Time, Fault> {
    let mut moved = amend::ends_moved(conn, of.id)?;
    for closing in store::steps(conn, Some(of.id), Page::ALL)?.iter().filter(|taken| taken.step == Step::Closing.word()) {
        moved.extend(ledger::store::seq_of(conn, closing.id)?);
    }
    let Some(first) = moved.into_iter().filter(|moved| *moved > seq).min() else { return Ok(of.about.period.to) };
    let body = ledger::store::entries_of(conn, &[first])?.pop().and_then(|entry| entry.body).unwrap_or_default();
    let told = serde_json::from_str::<serde_json::Value>(&body).ok();
    let end = told.as_ref().and_then(|body| body["from_end"].as_str()).and_then(Time::parse);
    end.ok_or_else(|| Fault::Internal(format!("entry {first} does not say from when it moved the end of {}", of.id)))
}

/// Puts a grant's end here. One that has not begun keeps a moment of its period, in which no job can have ended; one that was suspended
/// stays so for the jobs that had not begun by then.
pub(super) fn shut(work: &Work<'_>, closing: &mut Grant) {
    let Period { from, to } = closing.about.period;
    closing.about.period.to = work.now().max(from.plus(1)).min(to);
    closing.state = State::Closed;
}
