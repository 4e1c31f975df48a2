//! What every scene of the demo needs: the books, the moment, and who acts.

use crate::actor::{Actor, Role, Roles};
use crate::directory;
use crate::id::PersonId;
use crate::store::{Fault, Store};
use crate::time::{DAY, SECOND, Time};

/// Days that are played.
pub(super) const DAYS: i64 = 365;

/// Who decides and registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cast {
    pub admin: PersonId,
    pub officer: PersonId,
    pub officer2: PersonId,
}

/// The stage of the whole play.
pub(super) struct Stage<'s> {
    pub store: &'s Store,
    issuer: String,
    start: Time,
    pub cast: Cast,
}

impl<'s> Stage<'s> {
    /// Sets the clock to the first morning and brings on those who decide. The store's clock must be a held one.
    pub fn open(store: &'s Store, issuer: &str, until: Time) -> Result<Stage<'s>, Fault> {
        let nobody = PersonId::from_stamp(0);
        let cast = Cast { admin: nobody, officer: nobody, officer2: nobody };
        let mut stage = Stage { store, issuer: issuer.to_owned(), start: until.plus(-DAYS * DAY), cast };
        stage.turn_to(0, 480)?;
        let [admin, officer, officer2] = ["demo-admin", "demo-officer", "demo-officer2"].map(|subject| stage.person(subject));
        stage.cast = Cast { admin: admin?, officer: officer?, officer2: officer2? };
        Ok(stage)
    }

    /// So many minutes after a day's midnight; the days count from 0.
    pub fn at(&self, day: i64, minutes: i64) -> Time {
        self.start.plus(day * DAY + minutes * 60 * SECOND)
    }

    /// Moves the clock there.
    pub fn turn_to(&self, day: i64, minutes: i64) -> Result<(), Fault> {
        let moment = self.at(day, minutes);
        self.store.clock().set(moment);
        match self.store.clock().now() == moment {
            true => Ok(()),
            false => Err(Fault::Internal("the demo is played with a held clock".into())),
        }
    }

    /// The day of the week, Monday 0.
    pub fn weekday(&self, day: i64) -> usize {
        // 1970-01-01 was a Thursday.
        usize::try_from((self.at(day, 0).micros().div_euclid(DAY) + 3).rem_euclid(7)).unwrap_or(0)
    }

    /// An actor of the demo, with one role.
    pub fn actor(&self, subject: &str, role: Role) -> Actor {
        let (issuer, subject, roles) = (self.issuer.clone(), subject.to_owned(), Roles::default().with(role));
        Actor { issuer, subject, roles, donor: None, projects: Vec::new(), provider: None }
    }

    /// The person behind a subject; recorded when first seen.
    pub fn person(&self, subject: &str) -> Result<PersonId, Fault> {
        // The person is known by issuer and subject alone.
        let actor = self.actor(subject, Role::Researcher);
        self.store.write(move |work| directory::person_for(work, &actor))
    }
}

/// The fault for what the demo itself must have made before.
pub(super) fn missing(what: &str) -> Fault {
    Fault::Internal(format!("the demo lacks {what}"))
}
