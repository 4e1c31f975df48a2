//! What somebody with a good token may really do: the token's roles, cut down to what the ledger has bound to the person.
//!
//! The local issuer is the operator's own hand: who is known only by it and has no binding may what the token says, unless bindings are
//! required. Who has ever had a binding may only what is bound to them now, and so may everybody of another issuer. Requests are judged
//! by a [`Register`] in memory; the writer judges again, in its transaction, by what it has read itself. It may not know how a token was
//! proved. Bounds: a register holds the identities of persons with bindings, and the tokens revoked before their time.

mod store;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::json;

use super::binding::{Binding, Right, State};
use super::erasure;
use crate::actor::{Actor, Role, Roles};
use crate::id::{PersonId, ProjectId};
use crate::ledger::handle::Identities;
use crate::ledger::{self, Draft, Kind};
use crate::refusal::{Code, Refusal};
use crate::store::{Conn, Fault, Room, Work};
use crate::time::Time;
pub use store::seq;

/// Whose tokens are believed without a binding.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// The operator's own issuer.
    pub local: Option<String>,
    /// Nobody's.
    pub require_bindings: bool,
}

impl Rule {
    fn believes(&self, issuer: &str) -> bool {
        !self.require_bindings && self.local.as_deref() == Some(issuer)
    }
}

/// A token that was shown, as far as the ledger judges it, and the roles that are let in where it was shown.
#[derive(Clone, Debug)]
pub struct Warrant {
    /// Who asks, with the rights that the request was let in with.
    pub actor: Actor,
    /// The token's own id.
    pub token: String,
    /// When it was issued.
    pub issued_at: Time,
    /// The roles let in.
    pub admitted: Roles,
}

/// What the ledger says of a person.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Standing {
    /// Whether any role is or ever was bound to them.
    bound: bool,
    /// What is bound to them now.
    rights: Vec<Right>,
    /// All who vouch for them.
    issuers: Vec<String>,
    /// Tokens issued before are refused.
    not_before: Option<Time>,
}

impl Standing {
    fn new(bindings: &[Binding], issuers: Vec<String>, not_before: Option<Time>) -> Standing {
        let rights = bindings.iter().filter(|binding| binding.state == State::Active).map(|binding| binding.right);
        Standing { bound: bindings.iter().any(|b| b.state != State::Proposed), rights: rights.collect(), issuers, not_before }
    }

    fn believed(&self, rule: &Rule) -> bool {
        !self.bound && self.issuers.iter().all(|issuer| rule.believes(issuer))
    }

    /// The actor with what is bound to the person: never more than the token allows. Where the token names a donor, an organisation or
    /// projects, only bindings to these count; where it names none and several donors or organisations are bound, it says too little.
    fn narrow(&self, token: &Actor) -> Actor {
        let bound = |role: Role| self.rights.iter().filter(move |right| right.role() == role);
        let donor = only(token.donor, bound(Role::Donor).filter_map(|right| if let Right::Donor(id) = right { Some(*id) } else { None }));
        let provider =
            only(token.provider, bound(Role::Provider).filter_map(|right| if let Right::Provider(id) = right { Some(*id) } else { None }));
        let named = |project: &ProjectId| token.projects.is_empty() || token.projects.contains(project);
        let of_project = |right: &Right| if let Right::Researcher(id) = right { *id } else { None };
        let mut projects: Vec<ProjectId> = self.rights.iter().filter_map(of_project).filter(named).collect();
        let of_any = self.rights.contains(&Right::Researcher(None));
        let may = |role: Role| match role {
            Role::Donor => donor.is_some(),
            Role::Provider => provider.is_some(),
            Role::Researcher => of_any || !projects.is_empty(),
            Role::Officer | Role::Auditor | Role::Admin => bound(role).next().is_some(),
        };
        let roles: Roles = Role::ALL.into_iter().filter(|role| token.has(*role) && may(*role)).collect();
        projects.sort();
        projects.dedup();
        if !roles.has(Role::Researcher) {
            projects.clear();
        }
        let (issuer, subject) = (token.issuer.clone(), token.subject.clone());
        let (donor, provider) = (donor.filter(|_| roles.has(Role::Donor)), provider.filter(|_| roles.has(Role::Provider)));
        Actor { issuer, subject, roles, donor, projects, provider }
    }
}

/// The one that is named among those bound, or the only one bound where none is named.
fn only<T: Copy + PartialEq>(named: Option<T>, mut bound: impl Iterator<Item = T> + Clone) -> Option<T> {
    match named {
        Some(named) => bound.find(|one| *one == named),
        None => {
            let first = bound.next()?;
            bound.all(|other| other == first).then_some(first)
        }
    }
}

/// Judges a token: refused, believed as it is (`None`), or with the rights that are bound to the person.
///
/// Errors: `token_revoked`.
fn judge(rule: &Rule, standing: Option<&Standing>, revoked: bool, actor: &Actor, issued_at: Time) -> Result<Option<Actor>, Refusal> {
    if revoked {
        return Err(Refusal::new(Code::TokenRevoked, Code::TokenRevoked.title()));
    }
    if let Some(from) = standing.and_then(|standing| standing.not_before)
        && issued_at < from
    {
        return Err(Refusal::new(Code::TokenRevoked, format!("All tokens issued to this person before {from} were revoked.")));
    }
    let believed = rule.believes(&actor.issuer) && standing.is_none_or(|standing| standing.believed(rule));
    if believed {
        return Ok(None);
    }
    let nothing = Standing::default();
    Ok(Some(standing.unwrap_or(&nothing).narrow(actor)))
}

/// What requests are judged by: all that can make a good token say less than it seems to.
#[derive(Debug, Default)]
pub struct Register {
    seq: i64,
    /// By issuer and subject: those of whom the ledger says anything but that they exist.
    standings: HashMap<String, HashMap<String, Arc<Standing>>>,
    /// By issuer.
    revoked: HashMap<String, Vec<String>>,
    /// Identities of persons who were erased, by the hashes that the first of both makes; nothing as long as there are none.
    erased: Option<(Identities, HashSet<Vec<u8>>)>,
}

impl Register {
    /// Reads all of it.
    pub fn read(conn: &mut Conn) -> Result<Register, Fault> {
        let mut register = Register { seq: seq(conn)?, ..Register::default() };
        for (standing, identities) in store::standings(conn)? {
            let standing = Arc::new(standing);
            for identity in identities {
                register.standings.entry(identity.issuer).or_default().insert(identity.subject, Arc::clone(&standing));
            }
        }
        for (issuer, token) in store::revoked_tokens(conn)? {
            register.revoked.entry(issuer).or_default().push(token);
        }
        register.revoked.values_mut().for_each(|tokens| tokens.sort_unstable());
        let erased = erasure::store::identities(conn)?;
        if !erased.is_empty() {
            register.erased = Some((Identities::read(conn)?, erased.into_iter().collect()));
        }
        Ok(register)
    }

    /// The entry with which it last changed: while that is the last one there is, nothing has changed.
    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// Judges a token: refused, believed as it is (`None`), or with the rights that are bound to the person. Neither waits nor asks the
    /// database. Errors: `token_revoked`.
    pub fn judge(&self, rule: &Rule, actor: &Actor, token: &str, issued_at: Time) -> Result<Option<Actor>, Refusal> {
        let standing = self.standings.get(&actor.issuer).and_then(|subjects| subjects.get(&actor.subject));
        let revoked = self.revoked.get(&actor.issuer).is_some_and(|tokens| tokens.binary_search_by(|t| t.as_str().cmp(token)).is_ok());
        let erased =
            self.erased.as_ref().is_some_and(|(identities, known)| known.contains(&identities.digest(&actor.issuer, &actor.subject)));
        judge(rule, standing.map(Arc::as_ref), revoked || erased, actor, issued_at)
    }
}

/// What the writer has read of those whose commands it decided.
#[derive(Default)]
struct Known {
    standings: HashMap<(String, String), Option<Standing>>,
    revoked: HashMap<(String, String), bool>,
}

impl Room for Known {
    fn held(&self) -> usize {
        self.standings.len() + self.revoked.len()
    }
}

/// Judges a token again where nothing can change any more: within the writer's transaction. What it reads it remembers until anybody's
/// rights change. Errors: `token_revoked`; `forbidden` where a right that the request was let in with is gone.
pub fn recheck(work: &mut Work<'_>, rule: &Rule, warrant: &Warrant) -> Result<(), Fault> {
    let (known, link) = work.room_and_link::<Known>()?;
    let actor = &warrant.actor;
    let shown = (actor.issuer.clone(), warrant.token.clone());
    let revoked = match known.revoked.get(&shown) {
        Some(revoked) => *revoked,
        None => {
            let revoked = store::is_revoked(link.conn()?, &shown.0, &shown.1)?
                || erasure::store::has_identity(link.conn()?, &actor.issuer, &actor.subject)?;
            known.revoked.insert(shown, revoked);
            revoked
        }
    };
    let identity = (actor.issuer.clone(), actor.subject.clone());
    if !known.standings.contains_key(&identity) {
        let standing = store::standing(link.conn()?, &identity.0, &identity.1)?;
        known.standings.insert(identity.clone(), standing);
    }
    let standing = known.standings.get(&identity).and_then(Option::as_ref);
    match judge(rule, standing, revoked, actor, warrant.issued_at)? {
        Some(now) if !keeps(&now, warrant) => {
            Err(Refusal::new(Code::Forbidden, "Your rights have changed since the request was let in.").into())
        }
        _ => Ok(()),
    }
}

/// What somebody may at present who was let in at some time before: with the rights of then, as far as the ledger still has them.
pub fn at_present(conn: &mut Conn, rule: &Rule, was: &Actor) -> Result<Actor, Fault> {
    let standing = store::standing(conn, &was.issuer, &was.subject)?;
    // It is not a token that is judged, so none can have been issued too early.
    let now = judge(rule, standing.as_ref(), false, was, Time::from_micros(i64::MAX))?;
    Ok(now.unwrap_or_else(|| was.clone()))
}

/// Whether all that a request was let in with is still there.
fn keeps(now: &Actor, warrant: &Warrant) -> bool {
    let was = &warrant.actor;
    let counts = |role: Role| was.has(role) && warrant.admitted.has(role);
    Role::ALL.into_iter().all(|role| !counts(role) || now.has(role))
        && (!counts(Role::Donor) || now.donor == was.donor)
        && (!counts(Role::Provider) || now.provider == was.provider)
        && (!counts(Role::Researcher) || was.projects.iter().all(|project| now.projects.contains(project)))
}

/// Says that somebody's rights changed with this entry: to other processes, and to the writer itself.
pub(super) fn moved(work: &mut Work<'_>, seq: i64) -> Result<(), Fault> {
    store::set_seq(work.sql_mut()?, seq)?;
    *work.room::<Known>()? = Known::default();
    Ok(())
}

/// Refuses a token by its own id from now on, until it would have expired; those long expired are forgotten on the way.
pub fn revoke_token(work: &mut Work<'_>, who: PersonId, issuer: &str, token: &str, expires_at: Time) -> Result<Time, Fault> {
    let now = work.now();
    let body = json!({"expires_at": expires_at.to_string()});
    let birth = ledger::post(work, Draft::note(Kind::TokenRevocation, who, now, &body))?;
    store::revoke_token(work.sql_mut()?, issuer, token, expires_at, now)?;
    moved(work, birth.seq)?;
    Ok(Time::from_micros(birth.stamp))
}

#[cfg(test)]
mod tests;
