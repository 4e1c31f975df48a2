//! Role bindings: what a person may here, whatever a token says.
//!
//! A token's roles are a ceiling; a binding is what the programme itself decided. Of officers, auditors and administrators two others
//! decide together; taking a role away takes one administrator and no waiting. Who stands for a donor approves nothing here.

pub mod store;

use serde_json::json;

use super::{person, standing, unknown};
use crate::actor::{Actor, Role};
use crate::amount::{Amount, Unit};
use crate::id::{BindingId, DonorId, InstitutionId, PersonId, ProjectId};
use crate::ledger::{self, Draft, Kind};
use crate::refusal::{Code, Refusal};
use crate::store::{Conn, Fault, Page, Work};
pub use store::Of;

/// A role with what it is bound to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Right {
    /// Of this donor.
    Donor(DonorId),
    /// Approves up to so much; without a limit if there is none.
    Officer(Option<Amount>),
    /// Of this project; of those only of which they are a member, if there is none.
    Researcher(Option<ProjectId>),
    /// Reports for this organisation.
    Provider(InstitutionId),
    /// Reads everything.
    Auditor,
    /// Runs the service.
    Admin,
}

impl Right {
    /// Its role.
    pub const fn role(self) -> Role {
        match self {
            Right::Donor(_) => Role::Donor,
            Right::Officer(_) => Role::Officer,
            Right::Researcher(_) => Role::Researcher,
            Right::Provider(_) => Role::Provider,
            Right::Auditor => Role::Auditor,
            Right::Admin => Role::Admin,
        }
    }

    /// Whether it takes two persons to bind it.
    pub const fn takes_two(self) -> bool {
        matches!(self, Right::Officer(_) | Right::Auditor | Right::Admin)
    }

    /// Whether nobody may have both.
    const fn excludes(self, other: Right) -> bool {
        matches!((self, other), (Right::Donor(_), Right::Officer(_)) | (Right::Officer(_), Right::Donor(_)))
    }
}

/// Where a binding stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Waits for a second person.
    Proposed,
    /// In force.
    Active,
    /// Taken away, or never confirmed.
    Revoked,
}

impl State {
    /// All three, as words.
    pub const WORDS: &[&str] = &["proposed", "active", "revoked"];

    /// The state's word.
    pub const fn word(self) -> &'static str {
        match self {
            State::Proposed => "proposed",
            State::Active => "active",
            State::Revoked => "revoked",
        }
    }

    fn of(word: &str) -> Option<State> {
        [State::Proposed, State::Active, State::Revoked].into_iter().find(|state| state.word() == word)
    }
}

/// A role that a person has, had, or is to have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Binding {
    /// Its identifier.
    pub id: BindingId,
    /// Whose.
    pub person: PersonId,
    /// What.
    pub right: Right,
    /// Where it stands.
    pub state: State,
    /// Who proposed or bound it.
    pub proposed_by: PersonId,
    /// Who confirmed it.
    pub confirmed_by: Option<PersonId>,
    /// Who took it away.
    pub revoked_by: Option<PersonId>,
}

impl Binding {
    /// What the journal is told of it.
    pub fn told(&self) -> serde_json::Value {
        let mut body = json!({"person": self.person, "role": self.right.role().word(), "state": self.state.word()});
        match self.right {
            Right::Donor(donor) => body["donor"] = json!(donor),
            Right::Researcher(Some(project)) => body["project"] = json!(project),
            Right::Provider(provider) => body["provider"] = json!(provider),
            Right::Officer(Some(limit)) => body["limit"] = json!({"value": limit.to_string(), "unit": limit.unit.code()}),
            Right::Officer(None) | Right::Researcher(None) | Right::Auditor | Right::Admin => {}
        }
        body
    }
}

/// How much a person may approve in one unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ApprovalLimit {
    /// Nothing.
    Nothing,
    /// At most so much, in the unit's smallest part.
    UpTo(i64),
    /// Any amount.
    Unlimited,
}

impl ApprovalLimit {
    /// Whether so much may be approved.
    pub const fn admits(self, minor: i64) -> bool {
        match self {
            ApprovalLimit::Nothing => false,
            ApprovalLimit::UpTo(most) => minor <= most,
            ApprovalLimit::Unlimited => true,
        }
    }

    /// What a person's bindings say of a unit. Several limits do not add up: the highest counts.
    fn by(bindings: &[Binding], unit: Unit) -> ApprovalLimit {
        if bindings.iter().all(|binding| binding.state == State::Proposed) {
            return ApprovalLimit::Unlimited;
        }
        let active = bindings.iter().filter(|binding| binding.state == State::Active);
        let said = active.filter_map(|binding| match binding.right {
            Right::Officer(None) => Some(ApprovalLimit::Unlimited),
            Right::Officer(Some(most)) if most.unit == unit => Some(ApprovalLimit::UpTo(most.minor)),
            _ => None,
        });
        said.fold(ApprovalLimit::Nothing, |best, next| match (best, next) {
            (ApprovalLimit::Unlimited, _) | (_, ApprovalLimit::Nothing) => best,
            (ApprovalLimit::UpTo(one), ApprovalLimit::UpTo(other)) => ApprovalLimit::UpTo(one.max(other)),
            _ => next,
        })
    }
}

/// How much a person may approve in this unit. A person without any binding has no limit here: only the operator's own token lets such
/// a person in at all, and where bindings are required not even that.
pub fn approval_limit(conn: &mut Conn, person: PersonId, unit: Unit) -> Result<ApprovalLimit, Fault> {
    Ok(ApprovalLimit::by(&of_person(conn, person)?, unit))
}

/// All bindings that a person has or had.
pub fn of_person(conn: &mut Conn, person: PersonId) -> Result<Vec<Binding>, Fault> {
    store::bindings(conn, &Of { persons: Some(vec![person.stamp()]), ..Of::default() }, Page::ALL)
}

/// One binding. Error: `not_found`.
pub fn binding(conn: &mut Conn, id: BindingId) -> Result<Binding, Fault> {
    let of = Of { ids: Some(vec![id.stamp()]), ..Of::default() };
    store::bindings(conn, &of, Page::ALL)?.pop().ok_or_else(|| Refusal::not_found().into())
}

/// Binds a role to a person: at once where it takes one, as a proposal where it takes two.
///
/// Errors: `unknown` for the person or the project; `self_approval` for oneself; `conflict_of_interest` for an officer who is a donor's,
/// or a donor's who is an officer. Whether the donor exists is for the caller to say.
pub fn propose(work: &mut Work<'_>, who: PersonId, person: PersonId, right: Right) -> Result<Binding, Fault> {
    if person::person(work.sql()?, person)?.is_none() {
        return Err(unknown("/person", person).into());
    }
    if let Right::Researcher(Some(id)) = right
        && super::project(work.sql()?, id)?.is_none()
    {
        return Err(unknown("/project", id).into());
    }
    if let Right::Provider(id) = right
        && super::institution(work.sql()?, id)?.is_none()
    {
        return Err(unknown("/provider", id).into());
    }
    if who == person {
        return Err(Refusal::new(Code::SelfApproval, "Nobody gives themselves a role.").into());
    }
    if of_person(work.sql()?, person)?.iter().any(|other| other.state != State::Revoked && right.excludes(other.right)) {
        let detail = "Nobody may stand for a donor and approve in the same ledger; revoke the other role first.";
        return Err(Refusal::new(Code::ConflictOfInterest, detail).into());
    }
    bind(work, new(who, person, right), None)
}

/// Binds the administrators with whom new books begin, by the operator's hand alone. The database lets that happen to two: as many as it
/// takes to bind others.
///
/// Error: `already_decided` once anybody has a binding.
pub fn found(work: &mut Work<'_>, admins: &[Actor]) -> Result<(), Fault> {
    if !store::bindings(work.sql()?, &Of::default(), Page { limit: 1, ..Page::ALL })?.is_empty() {
        return Err(Refusal::new(Code::AlreadyDecided, "These books have their first administrators.").into());
    }
    let who = person::person_for(work, &Actor::operator("init"))?;
    for (founding, admin) in (1..).zip(admins) {
        let person = person::person_for(work, admin)?;
        bind(work, Binding { state: State::Active, ..new(who, person, Right::Admin) }, Some(founding))?;
    }
    Ok(())
}

fn new(who: PersonId, person: PersonId, right: Right) -> Binding {
    let state = if right.takes_two() { State::Proposed } else { State::Active };
    Binding { id: BindingId::from_stamp(0), person, right, state, proposed_by: who, confirmed_by: None, revoked_by: None }
}

fn bind(work: &mut Work<'_>, binding: Binding, founding: Option<i32>) -> Result<Binding, Fault> {
    let draft = Draft::note(Kind::Binding, binding.proposed_by, work.now(), &binding.told()).about(binding.person.stamp());
    let birth = ledger::post(work, draft)?;
    let made = Binding { id: BindingId::from_stamp(birth.stamp), ..binding };
    store::insert_binding(work.sql_mut()?, &made, founding)?;
    standing::moved(work, birth.seq)?;
    Ok(made)
}

/// Confirms a proposed binding.
///
/// Errors: `not_found`; `already_decided`; `self_approval` for who proposed it and for the person bound.
pub fn confirm(work: &mut Work<'_>, who: PersonId, id: BindingId) -> Result<Binding, Fault> {
    let found = binding(work.sql()?, id)?;
    if found.state != State::Proposed {
        return Err(Refusal::new(Code::AlreadyDecided, format!("The binding is {}.", found.state.word())).into());
    }
    if who == found.proposed_by {
        return Err(Refusal::new(Code::SelfApproval, "Who proposed a role can't confirm it.").into());
    }
    if who == found.person {
        return Err(Refusal::new(Code::SelfApproval, "Nobody confirms a role of their own.").into());
    }
    let change = Change { state: State::Active, confirmed_by: Some(who), revoked_by: None };
    decide(work, who, found, Kind::BindingConfirmation, change)
}

/// Takes a role away, or a proposal back: one administrator, at once, whoever it is. Errors: `not_found`, `already_decided`.
pub fn revoke(work: &mut Work<'_>, who: PersonId, id: BindingId) -> Result<Binding, Fault> {
    let found = binding(work.sql()?, id)?;
    if found.state == State::Revoked {
        return Err(Refusal::new(Code::AlreadyDecided, "The binding is revoked.").into());
    }
    let change = Change { state: State::Revoked, confirmed_by: found.confirmed_by, revoked_by: Some(who) };
    decide(work, who, found, Kind::BindingRevocation, change)
}

/// What of a binding moves on.
pub(super) struct Change {
    state: State,
    confirmed_by: Option<PersonId>,
    revoked_by: Option<PersonId>,
}

fn decide(work: &mut Work<'_>, who: PersonId, found: Binding, kind: Kind, change: Change) -> Result<Binding, Fault> {
    let body = json!({"binding": found.id, "person": found.person, "role": found.right.role().word()});
    let birth = ledger::post(work, Draft::note(kind, who, work.now(), &body).about(found.id.stamp()))?;
    store::change(work.sql_mut()?, found.id, &change)?;
    standing::moved(work, birth.seq)?;
    Ok(Binding { state: change.state, confirmed_by: change.confirmed_by, revoked_by: change.revoked_by, ..found })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn officer(state: State, limit: Option<Amount>) -> Binding {
        let person = PersonId::from_stamp;
        let right = Right::Officer(limit);
        let id = BindingId::from_stamp(9);
        Binding { id, person: person(1), right, state, proposed_by: person(2), confirmed_by: Some(person(3)), revoked_by: None }
    }

    #[test]
    fn the_highest_limit_in_the_unit_counts() {
        let unit = |code| Unit::new(code, 2).expect("a unit");
        let (usd, eur) = (unit("USD"), unit("EUR"));
        let up_to = |minor, unit| officer(State::Active, Some(Amount::new(minor, unit)));
        let limit = |bindings: &[Binding]| ApprovalLimit::by(bindings, usd);
        assert_eq!(limit(&[]), ApprovalLimit::Unlimited, "unbound: the operator's own hand");
        assert_eq!(limit(&[officer(State::Proposed, None)]), ApprovalLimit::Unlimited, "a proposal binds nothing");
        assert_eq!(limit(&[officer(State::Revoked, None)]), ApprovalLimit::Nothing);
        assert_eq!(limit(&[up_to(500, eur)]), ApprovalLimit::Nothing, "a limit in another unit only");
        assert_eq!(limit(&[up_to(500, usd), up_to(900, usd), up_to(9000, eur)]), ApprovalLimit::UpTo(900));
        assert_eq!(limit(&[up_to(500, usd), officer(State::Active, None)]), ApprovalLimit::Unlimited);
        assert_eq!(limit(&[officer(State::Active, None), up_to(500, usd)]), ApprovalLimit::Unlimited);
        assert!(ApprovalLimit::UpTo(900).admits(900) && !ApprovalLimit::UpTo(900).admits(901) && !ApprovalLimit::Nothing.admits(1));
    }

    #[test]
    fn roles_that_decide_take_two_and_a_donor_never_decides() {
        let donor = Right::Donor(DonorId::from_stamp(1));
        let all = [
            donor,
            Right::Officer(None),
            Right::Researcher(None),
            Right::Provider(InstitutionId::from_stamp(1)),
            Right::Auditor,
            Right::Admin,
        ];
        let two: Vec<&str> = all.iter().filter(|right| right.takes_two()).map(|right| right.role().word()).collect();
        assert_eq!(two, ["officer", "auditor", "admin"]);
        let excluded = all.iter().flat_map(|one| all.iter().filter(|other| one.excludes(**other)));
        assert_eq!(excluded.map(|right| right.role().word()).collect::<Vec<_>>(), ["officer", "donor"]);
    }
}
