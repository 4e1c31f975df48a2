//! Persons: one human or machine each, however many issuers vouch for them under however many names.
//!
//! Names stand in side tables, where they can be erased; the journal says only that they changed, and who had done it.

pub mod store;

use serde_json::json;

use super::erasure::{self, Erasure, Ground, Named};
use super::{binding, institution, unknown};
use crate::actor::Actor;
use crate::id::{Id, InstitutionId, Person as PersonKind, PersonId};
use crate::ledger::{self, Draft, Kind};
use crate::refusal::{Code, FieldCode, Refusal};
use crate::store::{Conn, Fault, Page, Work, answers};
use crate::time::Time;
pub use store::Of;

/// Who vouches for somebody, and under what name.
#[derive(Clone, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// Who vouches.
    pub issuer: String,
    /// The issuer's name for the person.
    pub subject: String,
}

/// A human or a machine that signs in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Person {
    /// Its identifier.
    pub id: PersonId,
    /// What describes it now.
    pub about: NewPerson,
    /// Tokens issued before are refused.
    pub not_before: Option<Time>,
    /// Moves with every change of name, institution or identities.
    pub version: i32,
}

impl Person {
    /// Whether who it was is erased: whoever is known has an identity.
    pub fn is_erased(&self) -> bool {
        self.about.name.is_empty() && self.about.identities.is_empty()
    }
}

/// What describes a person.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NewPerson {
    /// The name; empty where it was erased.
    pub name: String,
    /// Where the person belongs.
    pub institution: Option<InstitutionId>,
    /// All names under which the person signs in.
    pub identities: Vec<Identity>,
}

/// An institution that a person declared to belong to, beside their own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Affiliation {
    /// When and in which entry it was recorded.
    pub id: Id<PersonKind>,
    /// Who.
    pub person: PersonId,
    /// Where.
    pub institution: InstitutionId,
    /// Since when.
    pub since: Time,
    /// Who declared it: the person, or an administrator.
    pub declared_by: PersonId,
}

/// One person.
pub fn person(conn: &mut Conn, id: PersonId) -> Result<Option<Person>, Fault> {
    Ok(store::persons(conn, &Of { ids: Some(vec![id.stamp()]), ..Of::default() }, Page::ALL)?.pop())
}

fn known(conn: &mut Conn, id: PersonId) -> Result<Person, Fault> {
    person(conn, id)?.ok_or_else(|| Refusal::not_found().into())
}

/// The person, as long as they are at the version that was read.
fn at_version(conn: &mut Conn, id: PersonId, version: i32) -> Result<Person, Fault> {
    let found = known(conn, id)?;
    if found.version == version {
        return Ok(found);
    }
    let detail = format!("The person is at version {}.", found.version);
    Err(Refusal::new(Code::VersionMismatch, detail).with("version", found.version).into())
}

/// Records a person with all identities. Errors: `duplicate_external_id` where one is another's already, `unknown` for the institution.
pub fn add_person(work: &mut Work<'_>, who: PersonId, new: &NewPerson) -> Result<Person, Fault> {
    if let Some(id) = new.institution
        && institution(work.sql()?, id)?.is_none()
    {
        return Err(unknown("/institution", id).into());
    }
    let repeated = |(place, identity): (usize, &Identity)| new.identities.iter().take(place).any(|earlier| earlier == identity);
    if new.identities.iter().enumerate().any(repeated) {
        return Err(Refusal::field("/identities", FieldCode::NotAllowed, "An identity is named once.").into());
    }
    for identity in &new.identities {
        free(work.sql()?, identity)?;
    }
    let birth = ledger::post(work, Draft::note(Kind::Person, who, work.now(), &json!({"institution": new.institution})))?;
    store::insert_person(work.sql_mut()?, birth.stamp, new)?;
    super::standing::moved(work, birth.seq)?;
    known(work.sql()?, PersonId::from_stamp(birth.stamp))
}

/// Refuses an identity that is somebody's, or was.
fn free(conn: &mut Conn, identity: &Identity) -> Result<(), Fault> {
    if erasure::store::has_identity(conn, &identity.issuer, &identity.subject)? {
        let detail = "That identity was a person's who was erased; nobody signs in under it again.";
        return Err(Refusal::new(Code::DuplicateExternalId, detail).into());
    }
    match store::person(conn, &identity.issuer, &identity.subject)? {
        None => Ok(()),
        Some(other) => {
            let detail = "That identity is a person's already; two persons are never made one.";
            Err(Refusal::new(Code::DuplicateExternalId, detail).with("person", other).into())
        }
    }
}

/// Records that a further identity is the same person's.
///
/// Errors: `not_found`; `already_decided` for one who was erased; `duplicate_external_id` where it is somebody's already; `forbidden` for a
/// person with a role that takes two to bind, since one administrator would give that role to whoever has the identity.
pub fn link_identity(work: &mut Work<'_>, who: PersonId, id: PersonId, identity: &Identity) -> Result<Person, Fault> {
    if known(work.sql()?, id)?.is_erased() {
        return Err(Refusal::new(Code::AlreadyDecided, "The person was erased.").with("person", id).into());
    }
    free(work.sql()?, identity)?;
    let takes_two = |binding: &binding::Binding| binding.state != binding::State::Revoked && binding.right.takes_two();
    if binding::of_person(work.sql()?, id)?.iter().any(takes_two) {
        let detail = "Identities are linked before a role is bound that takes two persons; revoke it, link, and have it bound again.";
        return Err(Refusal::new(Code::Forbidden, detail).with("person", id).into());
    }
    let birth = ledger::post(work, Draft::note(Kind::Identity, who, work.now(), &json!({"person": id})).about(id.stamp()))?;
    let conn = work.sql_mut()?;
    store::insert_identity(conn, id.stamp(), identity)?;
    store::touch(conn, id)?;
    super::standing::moved(work, birth.seq)?;
    known(work.sql()?, id)
}

/// Gives a person a new name, a new institution or both; who the person was before is kept beside the journal.
///
/// Errors: `not_found`, `version_mismatch`, `already_decided` for one who was erased, `unknown` for the institution.
pub fn revise_person(work: &mut Work<'_>, who: PersonId, id: PersonId, version: i32, revision: &Revision) -> Result<Person, Fault> {
    let found = at_version(work.sql()?, id, version)?;
    if found.is_erased() {
        return Err(Refusal::new(Code::AlreadyDecided, "The person was erased.").with("person", id).into());
    }
    if let Some(new) = revision.institution
        && institution(work.sql()?, new)?.is_none()
    {
        return Err(unknown("/institution", new).into());
    }
    let now_at = revision.institution.or(found.about.institution);
    let name = revision.name.as_ref().unwrap_or(&found.about.name);
    let body = json!({"person": id, "renamed": revision.name.is_some(), "institution": now_at});
    let birth = ledger::post(work, Draft::note(Kind::PersonRevision, who, work.now(), &body).about(id.stamp()))?;
    let conn = work.sql_mut()?;
    store::insert_revision(conn, birth.stamp, &found)?;
    store::rename(conn, id, name, now_at)?;
    store::touch(conn, id)?;
    known(work.sql()?, id)
}

/// What changes of a person; what is `None` stays.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Revision {
    /// Another name.
    pub name: Option<String>,
    /// Another institution.
    pub institution: Option<InstitutionId>,
}

/// Declares that a person belongs to an institution too; it stands for ever, since what was decided meanwhile was decided under it.
///
/// Errors: `not_found`, `unknown` for the institution.
pub fn declare_affiliation(work: &mut Work<'_>, who: PersonId, id: PersonId, at: InstitutionId, since: Time) -> Result<Affiliation, Fault> {
    known(work.sql()?, id)?;
    if institution(work.sql()?, at)?.is_none() {
        return Err(unknown("/institution", at).into());
    }
    let body = json!({"person": id, "institution": at, "since": since.to_string()});
    let birth = ledger::post(work, Draft::note(Kind::Affiliation, who, work.now(), &body).about(id.stamp()))?;
    let made = Affiliation { id: Id::from_stamp(birth.stamp), person: id, institution: at, since, declared_by: who };
    store::insert_affiliation(work.sql_mut()?, &made)?;
    Ok(made)
}

/// Every institution that a person belongs to: their own and those declared. What conflicts of
/// interest are judged by.
pub fn affiliations(conn: &mut Conn, id: PersonId) -> Result<Vec<InstitutionId>, Fault> {
    let own = person(conn, id)?.and_then(|person| person.about.institution);
    let declared = store::affiliations(conn, Some(id), Page::ALL)?.into_iter().map(|affiliation| affiliation.institution);
    let mut all: Vec<InstitutionId> = own.into_iter().chain(declared).collect();
    all.sort();
    all.dedup();
    Ok(all)
}

/// Refuses all tokens of a person that were issued before now, whoever issued them. Error: `not_found`.
pub fn revoke_person(work: &mut Work<'_>, who: PersonId, id: PersonId) -> Result<Person, Fault> {
    known(work.sql()?, id)?;
    let now = work.now();
    let birth = ledger::post(work, Draft::note(Kind::PersonRevocation, who, now, &json!({"person": id})).about(id.stamp()))?;
    store::set_not_before(work.sql_mut()?, id, now)?;
    super::standing::moved(work, birth.seq)?;
    known(work.sql()?, id)
}

/// Erases who a person was: name, former names and identities go, and nobody signs in under these again. What remains is the identifier, where
/// the person belonged, and what they decided.
///
/// Errors: `not_found`, `version_mismatch`, `already_decided`; `forbidden` for oneself, or for who still has a role here.
pub fn erase_person(work: &mut Work<'_>, who: PersonId, id: PersonId, version: i32, ground: Ground) -> Result<Erasure, Fault> {
    let found = at_version(work.sql()?, id, version)?;
    if found.is_erased() {
        return Err(Refusal::new(Code::AlreadyDecided, "The person was erased before.").with("person", id).into());
    }
    if who == id {
        return Err(Refusal::new(Code::Forbidden, "Another administrator erases you.").with("person", id).into());
    }
    if binding::of_person(work.sql()?, id)?.iter().any(|binding| binding.state != binding::State::Revoked) {
        let detail = "The person still has a role here; revoke it first.";
        return Err(Refusal::new(Code::Forbidden, detail).with("person", id).into());
    }
    let projects = super::store::memberships(work.sql()?, id)?.into_iter().map(|project| format!("/v1/projects/{project}/members"));
    let places: Vec<String> = projects.chain([format!("/v1/persons/{id}")]).collect();
    let made = erasure::record(work, who, ground, &Named { person: Some(id), ..Named::default() })?;
    let conn = work.sql_mut()?;
    for Identity { issuer, subject } in &found.about.identities {
        erasure::store::insert_identity(conn, id, issuer, subject)?;
    }
    conn.overwriting(|conn| {
        store::erase(conn, id)?;
        answers::forget(conn, &places)
    })?;
    work.room::<People>()?.0.retain(|_, person| *person != id);
    super::standing::moved(work, made.seq)?;
    Ok(made)
}

/// The person behind an actor; recorded when first seen. Error: `token_revoked` for an identity that was erased.
pub fn person_for(work: &mut Work<'_>, actor: &Actor) -> Result<PersonId, Fault> {
    let (people, link) = work.room_and_link::<People>()?;
    let key = (actor.issuer.clone(), actor.subject.clone());
    if let Some(known) = people.0.get(&key) {
        return Ok(*known);
    }
    let person = match store::person(link.conn()?, &actor.issuer, &actor.subject)? {
        Some(person) => person,
        None => {
            if erasure::store::has_identity(link.conn()?, &actor.issuer, &actor.subject)? {
                return Err(Refusal::new(Code::TokenRevoked, "The person who signed in under this identity was erased.").into());
            }
            let now = work.now();
            let mut draft = Draft::note(Kind::Person, PersonId::from_stamp(0), now, &json!({}));
            (draft.actor, draft.body) = (None, None);
            let birth = ledger::post(work, draft)?;
            let identity = Identity { issuer: actor.issuer.clone(), subject: actor.subject.clone() };
            let new = NewPerson { name: actor.subject.clone(), institution: None, identities: vec![identity] };
            store::insert_person(work.sql_mut()?, birth.stamp, &new)?;
            PersonId::from_stamp(birth.stamp)
        }
    };
    work.room::<People>()?.0.insert(key, person);
    Ok(person)
}

/// The persons whom the writer has met, by issuer and subject.
#[derive(Default)]
struct People(std::collections::HashMap<(String, String), PersonId>);

impl crate::store::Room for People {
    fn held(&self) -> usize {
        self.0.len()
    }
}
