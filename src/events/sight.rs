//! Who sees which events: judged whenever events are read or sent, by the roles and bonds of that moment.

use crate::actor::{Actor, Role};
use crate::directory;
use crate::store::{Conn, Fault};
use crate::time::Time;

use super::{Event, day_of};

/// What an actor can see now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Every event.
    pub(super) all: bool,
    /// Those of this donor, once their day is over.
    pub(super) donor: Option<i64>,
    /// Those of these projects.
    pub(super) projects: Vec<i64>,
    /// Those of this provider.
    pub(super) provider: Option<i64>,
    /// Those of this person.
    pub(super) person: Option<i64>,
    /// The begin of today: what a donor may not see yet.
    pub(super) today: i64,
}

impl Sight {
    /// What an actor can see at a moment.
    pub fn of(conn: &mut Conn, actor: &Actor, now: Time) -> Result<Sight, Fault> {
        let person = directory::store::person(conn, &actor.issuer, &actor.subject)?;
        let mut projects: Vec<i64> = Vec::new();
        if actor.has(Role::Researcher) {
            projects.extend(actor.projects.iter().map(|project| project.stamp()));
            if let Some(person) = person {
                projects.extend(directory::store::memberships(conn, person)?.iter().map(|project| project.stamp()));
            }
        }
        Ok(Sight {
            all: [Role::Officer, Role::Auditor, Role::Admin].into_iter().any(|role| actor.has(role)),
            donor: actor.donor.filter(|_| actor.has(Role::Donor)).map(|donor| donor.stamp()),
            projects,
            provider: actor.provider.filter(|_| actor.has(Role::Provider)).map(|provider| provider.stamp()),
            person: person.map(|person| person.stamp()),
            today: day_of(now).micros(),
        })
    }

    /// Whether it sees an event in full: not only as its donor.
    pub fn in_full(&self, event: &Event) -> bool {
        let concerns = &event.told.concerns;
        let own = |a: Option<i64>, b: Option<i64>| a.is_some() && a == b;
        let project = concerns.project.is_some_and(|project| self.projects.contains(&project));
        self.all || project || own(concerns.provider, self.provider) || own(concerns.owner, self.person)
    }

    /// Whether it sees an event at all.
    pub fn sees(&self, event: &Event) -> bool {
        let as_donor = event.told.concerns.donor.is_some() && event.told.concerns.donor == self.donor && event.id.stamp() < self.today;
        as_donor || self.in_full(event)
    }
}
