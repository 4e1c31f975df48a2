//! What the writer remembers of holds: those of a grant that may yet be settled, by their expiry and by their job, and the rows not yet
//! written.
//!
//! Holds are changed here alone, so what is remembered stays true whatever else is written. Bound: the open holds of the grants in
//! use, and those that expired within [`LATE`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rustc_hash::FxHashMap;

use super::store;
use super::{HeldJob, Hold, LATE, State};
use crate::amount::Unit;
use crate::id::{GrantId, HoldId, InstitutionId, ResourceId};
use crate::store::{Fault, Room, Rows, Work};
use crate::time::{TOLERATED_LEAD, Time};

/// Holds in the writer's memory.
#[derive(Default)]
pub(super) struct Holds {
    grants: FxHashMap<GrantId, Own>,
    known: FxHashMap<HoldId, GrantId>,
    staged: BTreeMap<HoldId, (bool, Hold)>,
}

/// Those of one grant.
#[derive(Default)]
pub(super) struct Own {
    holds: HashMap<HoldId, Hold>,
    due: BTreeSet<(Time, HoldId)>,
    jobs: HashMap<(InstitutionId, String, String), BTreeSet<HoldId>>,
}

/// A job as a record tells of it.
pub(super) struct OfJob<'r> {
    pub provider: InstitutionId,
    pub cluster: &'r str,
    pub job: &'r str,
    pub resource: ResourceId,
    pub ended_at: Time,
}

impl Own {
    fn put(&mut self, hold: Hold) {
        self.take(hold.id);
        if hold.state == State::Open {
            self.due.insert((hold.expires_at, hold.id));
        }
        if let Some(job) = &hold.job {
            self.jobs.entry((hold.provider, job.cluster.clone(), job.id.clone())).or_default().insert(hold.id);
        }
        self.holds.insert(hold.id, hold);
    }

    fn take(&mut self, id: HoldId) {
        let Some(hold) = self.holds.remove(&id) else { return };
        self.due.remove(&(hold.expires_at, id));
        if let Some(job) = hold.job {
            let key = (hold.provider, job.cluster, job.id);
            let left = self.jobs.get_mut(&key).map_or(0, |ids| {
                ids.remove(&id);
                ids.len()
            });
            if left == 0 {
                self.jobs.remove(&key);
            }
        }
    }

    /// Whether there is nothing to settle.
    pub fn is_empty(&self) -> bool {
        self.holds.is_empty()
    }

    /// The next hold that has expired by a moment.
    pub fn next_due(&self, by: Time) -> Option<Hold> {
        let (_, id) = self.due.first().filter(|(expires_at, _)| *expires_at <= by)?;
        self.holds.get(id).cloned()
    }

    /// The open hold that was made for exactly this job.
    pub fn open_for(&self, provider: InstitutionId, job: &HeldJob, now: Time) -> Option<&Hold> {
        let ids = self.jobs.get(&(provider, job.cluster.clone(), job.id.clone()))?;
        let same = |hold: &&Hold| hold.state_at(now) == State::Open && hold.job.as_ref() == Some(job);
        ids.iter().filter_map(|id| self.holds.get(id)).find(same)
    }

    /// The oldest hold for a job on a resource that had not ended before the hold was made, as far as clocks agree; an open one before an
    /// expired one.
    pub fn for_job(&self, of: &OfJob<'_>, now: Time) -> Option<Hold> {
        let ids = self.jobs.get(&(of.provider, of.cluster.to_owned(), of.job.to_owned()))?;
        let late = |hold: &Hold| hold.state != State::Open && hold.expires_at <= now.plus(-LATE);
        let in_time = |hold: &Hold| hold.id.created_at() <= of.ended_at.plus(TOLERATED_LEAD);
        let fits = |hold: &&Hold| hold.resource == of.resource && in_time(hold) && !late(hold);
        let fitting = ids.iter().filter_map(|id| self.holds.get(id)).filter(fits);
        fitting.min_by_key(|hold| (hold.state != State::Open, hold.id)).cloned()
    }
}

impl Room for Holds {
    fn take_rows(&mut self) -> Option<Rows> {
        if self.staged.is_empty() {
            return None;
        }
        let staged = std::mem::take(&mut self.staged);
        Some(Box::new(move |conn| {
            for (_, hold) in staged.values().filter(|(fresh, _)| *fresh) {
                store::insert(conn, hold)?;
            }
            let changed: Vec<&Hold> = staged.values().filter(|(fresh, _)| !*fresh).map(|(_, hold)| hold).collect();
            if changed.is_empty() { Ok(()) } else { store::update(conn, &changed) }
        }))
    }

    fn held(&self) -> usize {
        self.grants.len() + self.known.len()
    }
}

/// The holds of a grant, read once.
pub(super) fn own<'w>(work: &'w mut Work<'_>, grant: GrantId, unit: Unit) -> Result<&'w mut Own, Fault> {
    let now = work.now();
    let (room, link) = work.room_and_link::<Holds>()?;
    if !room.grants.contains_key(&grant) {
        let mut own = Own::default();
        for hold in store::unsettled(link.conn()?, grant, unit, now.plus(-LATE))? {
            room.known.insert(hold.id, grant);
            own.put(hold);
        }
        room.grants.insert(grant, own);
    }
    room.grants.get_mut(&grant).ok_or_else(unread)
}

fn unread() -> Fault {
    Fault::Internal("the holds of a grant are not remembered".into())
}

/// Remembers a hold as it is now, and has it written. The grant's holds must be remembered already.
pub(super) fn put(work: &mut Work<'_>, hold: &Hold) -> Result<(), Fault> {
    let room = work.room::<Holds>()?;
    let own = room.grants.get_mut(&hold.grant).ok_or_else(unread)?;
    match hold.state {
        State::Open | State::Expired => {
            own.put(hold.clone());
            room.known.insert(hold.id, hold.grant);
        }
        State::Settled | State::Released => {
            own.take(hold.id);
            room.known.remove(&hold.id);
        }
    }
    let fresh = hold.version == 1 || room.staged.get(&hold.id).is_some_and(|(fresh, _)| *fresh);
    room.staged.insert(hold.id, (fresh, hold.clone()));
    Ok(())
}

/// A hold as remembered.
pub(super) fn remembered(work: &mut Work<'_>, id: HoldId) -> Result<Option<Hold>, Fault> {
    let room = work.room::<Holds>()?;
    let own = room.known.get(&id).and_then(|grant| room.grants.get(grant));
    Ok(own.and_then(|own| own.holds.get(&id)).cloned())
}
