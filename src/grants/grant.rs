//! Grants: what was asked for, what was awarded, and when it may be used.
//!
//! Pure. Requested and awarded amounts are kept apart; the clock decides whether a grant is active, booked or not.

use crate::amount::Amount;
use crate::donations::{Lot, Phase, Purpose, phase};
use crate::id::{GrantId, PersonId, ProjectId, ResourceId};
use crate::refusal::{Code, Refusal};
use crate::time::{Period, Time};

/// What happens to usage beyond the grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overdraft {
    /// It is charged and owed.
    Record,
    /// It is refused and kept in quarantine.
    Reject,
}

impl Overdraft {
    /// Both words.
    pub const WORDS: &'static [&'static str] = &["record", "reject"];

    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Overdraft::Record => "record",
            Overdraft::Reject => "reject",
        }
    }

    /// From the word; anything but `reject` records.
    pub fn of(word: &str) -> Overdraft {
        if word == "reject" { Overdraft::Reject } else { Overdraft::Record }
    }
}

/// Where a grant stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Waiting for a decision.
    Requested,
    /// Awarded.
    Active,
    /// Refused.
    Rejected,
    /// Past its end, its unused credits gone back.
    Ended,
}

impl State {
    /// All words.
    pub const WORDS: &'static [&'static str] = &["requested", "active", "rejected", "ended"];

    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            State::Requested => "requested",
            State::Active => "active",
            State::Rejected => "rejected",
            State::Ended => "ended",
        }
    }

    /// From the word.
    pub fn of(word: &str) -> Option<State> {
        [State::Requested, State::Active, State::Rejected, State::Ended].into_iter().find(|s| s.word() == word)
    }
}

/// A request for credits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewGrant {
    /// For which project.
    pub project: ProjectId,
    /// How much is asked for.
    pub requested: Amount,
    /// From when to when.
    pub period: Period,
    /// Why.
    pub justification: String,
    /// What for, as donors' terms may ask.
    pub purpose: Option<String>,
    /// Only on these resources; empty for any.
    pub resources: Vec<ResourceId>,
    /// The caller's name for it.
    pub external_id: Option<String>,
}

/// A grant, from its request on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// Its identifier.
    pub id: GrantId,
    /// What was asked for.
    pub about: NewGrant,
    /// Who asked.
    pub requester: PersonId,
    /// What was awarded; zero before.
    pub awarded: Amount,
    /// Where it stands.
    pub state: State,
    /// What happens to usage beyond it.
    pub overdraft: Overdraft,
    /// Counts its changes, for `ETag`.
    pub version: i32,
}

impl Grant {
    /// Refuses to pay for a job that ended then, reported now: `grant_not_active`.
    pub fn pays_for(&self, ended_at: Time, now: Time) -> Result<(), Refusal> {
        let awarded = matches!(self.state, State::Active | State::Ended);
        if awarded && self.about.period.contains(ended_at) && phase(Some(self.about.period.to), now) != Phase::Lapsed {
            return Ok(());
        }
        let Period { from, to } = self.about.period;
        let detail = format!("The grant is {}, from {from} to {to}; the job ended at {ended_at}.", self.state.word());
        Err(Refusal::new(Code::GrantNotActive, detail).with("grant", self.id))
    }

    /// Whether the clock has ended it, the reporting grace included, booked or not.
    pub fn is_over(&self, now: Time) -> bool {
        phase(Some(self.about.period.to), now) == Phase::Lapsed
    }

    /// Whether its end gives what it has left of a lot back to the lot; what had expired by then follows the donation's rule.
    pub fn gives_back(&self, lot: &Lot) -> bool {
        lot.expires_at.is_none_or(|end| end > self.about.period.to)
    }

    /// Whether jobs on this resource may be charged to it at all.
    pub fn admits(&self, resource: ResourceId) -> bool {
        self.about.resources.is_empty() || self.about.resources.contains(&resource)
    }

    /// Whether its award may draw on a lot: `terms_not_met` or `lot_expired`.
    pub fn may_draw(&self, lot: &Lot, purpose: &Purpose, now: Time) -> Result<(), Refusal> {
        if !lot.usable_within(self.about.period, now) {
            let detail = format!("{} is not usable during any part of the grant's period.", lot.id);
            return Err(Refusal::new(Code::LotExpired, detail).with("lot", lot.id));
        }
        if !lot.terms.admit_grant(purpose) || !lot.terms.admit_any(&self.about.resources) {
            let detail = format!("The donor's terms for {} do not admit this grant.", lot.id);
            return Err(Refusal::new(Code::TermsNotMet, detail).with("lot", lot.id));
        }
        Ok(())
    }
}
