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

macro_rules! states {
    ($($(#[$doc:meta])* $state:ident $word:literal;)*) => {
        /// Where a grant stands.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum State { $($(#[$doc])* $state,)* }
        impl State {
            /// Every state.
            pub const ALL: &'static [State] = &[$(State::$state),*];
            /// All words.
            pub const WORDS: &'static [&'static str] = &[$($word),*];
            /// The word.
            pub const fn word(self) -> &'static str {
                match self { $(State::$state => $word,)* }
            }
        }
    };
}

states! {
    /// Being written; nobody is asked yet.
    Draft "draft";
    /// Waiting for officers.
    Requested "requested";
    /// Officers have taken it up.
    InReview "in_review";
    /// Sent back with questions.
    Returned "returned";
    /// Approved, but not yet by all who must.
    AwaitingSecondApproval "awaiting_second_approval";
    /// Awarded.
    Active "active";
    /// Awarded; no new job may begin.
    Suspended "suspended";
    /// Past its end, its unused credits gone back.
    Ended "ended";
    /// Ended before its time.
    Closed "closed";
    /// Refused.
    Rejected "rejected";
    /// Taken back by those who asked.
    Withdrawn "withdrawn";
}

impl State {
    /// States of grants that were awarded.
    pub const AWARDED: &'static [State] = &[State::Active, State::Suspended, State::Ended, State::Closed];
    /// States in which a request waits for those who asked or those who decide.
    pub const UNDECIDED: &'static [State] =
        &[State::Draft, State::Requested, State::InReview, State::Returned, State::AwaitingSecondApproval];
    /// States in which officers may decide.
    pub const DECIDABLE: &'static [State] = &[State::Requested, State::InReview, State::AwaitingSecondApproval];
    /// States in which credits may be added, taken or moved.
    pub const RUNNING: &'static [State] = &[State::Active, State::Suspended];

    /// From the word.
    pub fn of(word: &str) -> Option<State> {
        State::ALL.iter().copied().find(|s| s.word() == word)
    }

    /// Their words, as a query wants them.
    pub fn words(states: &[State]) -> Vec<String> {
        states.iter().map(|state| state.word().to_owned()).collect()
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
    /// The grant of the same project that it follows.
    pub renews: Option<GrantId>,
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
    /// What was awarded, supplements and transfers in included; zero before.
    pub awarded: Amount,
    /// Where it stands.
    pub state: State,
    /// What happens to usage beyond it.
    pub overdraft: Overdraft,
    /// Since when it is suspended.
    pub suspended_at: Option<Time>,
    /// The entry that booked its end.
    pub booked: Option<i64>,
    /// Counts what voids approvals: revisions, returns, reviews taken up again.
    pub round: i32,
    /// Counts its changes, for `ETag`.
    pub version: i32,
}

impl Grant {
    /// Refuses what another state would allow: `already_decided`.
    pub fn must_be(&self, allowed: &[State]) -> Result<(), Refusal> {
        if allowed.contains(&self.state) {
            return Ok(());
        }
        let words: Vec<&str> = allowed.iter().map(|state| state.word()).collect();
        let detail = format!("The grant is {}; this needs one that is {}.", self.state.word(), words.join(" or "));
        Err(Refusal::new(Code::AlreadyDecided, detail).with("state", self.state.word()))
    }

    /// Refuses a grant that the clock has ended, booked or not, and one that does not run otherwise: `already_decided`.
    pub fn must_run(&self, allowed: &[State], now: Time) -> Result<(), Refusal> {
        match State::RUNNING.contains(&self.state) && self.is_over(now) {
            true => Grant { state: State::Ended, ..self.clone() }.must_be(allowed),
            false => self.must_be(allowed),
        }
    }

    /// Refuses a version that was read before the last change: `version_mismatch`.
    pub fn expect_version(&self, read: i32) -> Result<(), Refusal> {
        expect_version(self.version, read)
    }

    /// Refuses to pay for a job that ran then, reported now: `grant_not_active`. A suspended grant pays for jobs that had begun before.
    pub fn pays_for(&self, began_at: Time, ended_at: Time, now: Time) -> Result<(), Refusal> {
        let begun_in_time = self.suspended_at.is_none_or(|since| began_at < since);
        let awarded = State::AWARDED.contains(&self.state) && begun_in_time;
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

/// Refuses a version that was read before the last change: `version_mismatch`.
pub fn expect_version(version: i32, read: i32) -> Result<(), Refusal> {
    match version == read {
        true => Ok(()),
        false => Err(Refusal::new(Code::VersionMismatch, Code::VersionMismatch.title()).with("version", version)),
    }
}
