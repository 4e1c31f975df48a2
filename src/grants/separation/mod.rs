//! Separation of duties: who may not decide, because they have a part in what is decided.
//!
//! Nobody decides what they asked for or wrote; nor what concerns a project of which they are a member, that belongs to an institution of
//! theirs, or with which they declared a conflict of interest; nor what they stood back from. It holds for persons, whatever token they
//! come with, and no setting turns it off.

pub mod store;

use serde_json::json;

use crate::directory::{self, unknown};
use crate::id::{ConflictId, GrantId, Id, InstitutionId, PersonId, ProjectId};
use crate::ledger::{self, Draft, Kind};
use crate::refusal::{Code, Refusal};
use crate::store::{Conn, Fault, Page, Work};

use super::life::Step;
use super::{Decision, Grant};

/// With what an officer has a conflict of interest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Party {
    /// With every project of an institution.
    Institution(InstitutionId),
    /// With one project.
    Project(ProjectId),
}

/// A conflict of interest that an officer declared. It is never taken back: whoever had a part in something had it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// Its identifier.
    pub id: ConflictId,
    /// Whose.
    pub person: PersonId,
    /// With what.
    pub with: Party,
    /// Why.
    pub reason: String,
}

/// Declares a conflict of interest of one's own. Errors: `unknown` institution or project.
pub fn declare(work: &mut Work<'_>, who: PersonId, with: Party, reason: &str) -> Result<Conflict, Fault> {
    let body = match with {
        Party::Institution(id) => {
            directory::institution(work.sql()?, id)?.ok_or_else(|| unknown("/institution", id))?;
            json!({"institution": id})
        }
        Party::Project(id) => {
            directory::project(work.sql()?, id)?.ok_or_else(|| unknown("/project", id))?;
            json!({"project": id})
        }
    };
    let birth = ledger::post(work, Draft::note(Kind::Conflict, who, work.now(), &body).about(who.stamp()))?;
    let conflict = Conflict { id: Id::from_stamp(birth.stamp), person: who, with, reason: reason.into() };
    store::insert(work.sql_mut()?, &conflict)?;
    Ok(conflict)
}

fn conflict(detail: &str) -> Refusal {
    Refusal::new(Code::ConflictOfInterest, detail)
}

/// Refuses who has a part in one of the grants concerned or in their projects.
///
/// `authors` are those who asked for what is decided. Errors: `self_approval`, `conflict_of_interest`.
pub fn may_decide(conn: &mut Conn, who: PersonId, concerned: &[&Grant], authors: &[PersonId], declares_none: bool) -> Result<(), Fault> {
    if authors.contains(&who) {
        return Err(Refusal::new(Code::SelfApproval, Code::SelfApproval.title()).into());
    }
    if !declares_none {
        return Err(conflict("Who decides declares to have no part in it: send no_conflict true, or record a recusal.").into());
    }
    for grant in concerned {
        stood_back(conn, who, grant.id)?;
    }
    let (declared, own) = (store::conflicts(conn, Some(who), Page::ALL)?, directory::affiliations(conn, who)?);
    for id in concerned.iter().map(|grant| &grant.about.project) {
        let missing = || Fault::Internal(format!("{id} is missing"));
        let project = directory::project(conn, *id)?.ok_or_else(missing)?;
        if directory::store::members(conn, Some(*id), Page::ALL)?.iter().any(|member| member.person == who) {
            return Err(conflict("You are a member of the project.").with("project", id).into());
        }
        if own.contains(&project.about.institution) {
            return Err(conflict("The project belongs to an institution of yours.").with("institution", project.about.institution).into());
        }
        let with = [Party::Project(*id), Party::Institution(project.about.institution)];
        if let Some(found) = declared.iter().find(|conflict| with.contains(&conflict.with)) {
            return Err(conflict("You declared a conflict of interest.").with("conflict", found.id).into());
        }
    }
    Ok(())
}

/// Leaves of earlier approvals those that still count: who has come to have a part in it since, or may not approve so much any more, does not
/// decide it, whatever was said before.
pub(super) fn standing(
    conn: &mut Conn,
    approvals: Vec<Decision>,
    concerned: &[&Grant],
    authors: &[PersonId],
) -> Result<Vec<Decision>, Fault> {
    let mut standing = Vec::with_capacity(approvals.len());
    for approval in approvals {
        let may = may_decide(conn, approval.officer, concerned, authors, true);
        match may.and_then(|()| super::policy::within_limit(conn, approval.officer, approval.awarded)) {
            Ok(()) => standing.push(approval),
            Err(Fault::Refused(_)) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(standing)
}

fn stood_back(conn: &mut Conn, who: PersonId, grant: GrantId) -> Result<(), Fault> {
    let steps = super::store::steps(conn, Some(grant), Page::ALL)?;
    match steps.iter().any(|step| step.person == who && step.step == Step::Recusal.word()) {
        true => Err(conflict("You stood back from this request.").with("grant", grant).into()),
        false => Ok(()),
    }
}
