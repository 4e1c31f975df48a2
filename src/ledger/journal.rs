//! Journal entries: everything that matters, in one gapless order.
//!
//! Pure. An entry with lines is a transaction; one without records what moves nothing (terms, requests, decisions, rates).

use crate::amount::Unit;
use crate::id::{PersonId, TransactionId};
use crate::refusal::Refusal;
use crate::store::Fault;
use crate::time::Time;

use super::Few;
use super::account::Key;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $number:literal $word:literal;)*) => {
        /// What happened. The numbers are kept in the database.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
        #[repr(i32)]
        pub enum Kind { $($(#[$doc])* $kind = $number,)* }
        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Kind] = &[$(Kind::$kind),*];
            /// The kind's word on the wire.
            pub const fn word(self) -> &'static str {
                match self { $(Kind::$kind => $word,)* }
            }
        }
    };
}

kinds! {
    /// A unit was defined.
    Unit 1 "unit";
    /// A person was first seen.
    Person 2 "person";
    /// A donor was registered.
    Donor 3 "donor";
    /// An institution was registered.
    Institution 4 "institution";
    /// A project was registered.
    Project 5 "project";
    /// A person joined a project.
    Member 6 "member";
    /// An account of a scheduler was mapped to a project.
    AccountMapping 7 "account_mapping";
    /// A resource was registered.
    Resource 8 "resource";
    /// A rate was set or proposed.
    Rate 9 "rate";
    /// A proposed rate was confirmed.
    RateConfirmation 10 "rate_confirmation";
    /// A donation was proposed.
    Donation 20 "donation";
    /// A donation was accepted: its pledge.
    Pledge 21 "pledge";
    /// A lot was delivered.
    Delivery 22 "delivery";
    /// The undelivered part of a pledge was cancelled.
    Cancellation 23 "cancellation";
    /// A lot's free credits were given back to the donor.
    Return 24 "return";
    /// Unused credits passed their expiry.
    Lapse 25 "lapse";
    /// A grant was requested.
    Request 30 "request";
    /// A request was approved: the award.
    Award 31 "award";
    /// A request was rejected.
    Rejection 32 "rejection";
    /// A grant's end, with what goes back to its lots.
    End 33 "end";
    /// A draft was finished, or a returned request answered.
    Submission 34 "submission";
    /// What is asked for was changed before it was decided.
    Revision 35 "revision";
    /// Officers took up a request, or took it up again.
    Review 36 "review";
    /// A request was sent back with questions.
    Questions 37 "questions";
    /// A request or an amendment was approved by one of several who must.
    Approval 38 "approval";
    /// A request or an amendment was taken back by those who asked.
    Withdrawal 39 "withdrawal";
    /// Priced usage.
    Charge 40 "charge";
    /// Part or all of a charge given back.
    Refund 41 "refund";
    /// Part of an overdraft paid.
    Cover 42 "cover";
    /// A record that could not be charged was set aside.
    Quarantine 43 "quarantine";
    /// A record set aside was dismissed.
    Dismissal 44 "dismissal";
    /// Credits were set aside for a job.
    Hold 45 "hold";
    /// A hold was given a later end, and other lots where its own end sooner.
    HoldExtension 46 "hold_extension";
    /// A hold was given up unused.
    Release 47 "release";
    /// A hold passed its end.
    HoldExpiry 48 "hold_expiry";
    /// The mirror of an earlier transaction.
    Reversal 50 "reversal";
    /// A grant was suspended.
    Suspension 51 "suspension";
    /// A suspended grant was resumed.
    Resumption 52 "resumption";
    /// A grant was closed before its end.
    Closing 53 "closing";
    /// A change to a grant was asked for.
    Amendment 54 "amendment";
    /// More was awarded to a grant.
    Supplement 55 "supplement";
    /// A grant was given a later end.
    Extension 56 "extension";
    /// Part of a grant's unused credits went back to its lots.
    Reduction 57 "reduction";
    /// Part of a grant's unused credits went to another grant.
    Transfer 58 "transfer";
    /// What awards of a unit ask of approvers was set or proposed.
    Policy 59 "policy";
    /// A proposed policy was confirmed.
    PolicyConfirmation 80 "policy_confirmation";
    /// An officer declared a conflict of interest.
    Conflict 81 "conflict";
    /// An officer stood back from one request.
    Recusal 82 "recusal";
    /// A person was given a new name or institution.
    PersonRevision 60 "person_revision";
    /// A further identity was found to be the same person's.
    Identity 61 "identity";
    /// A person declared where they belong.
    Affiliation 62 "affiliation";
    /// A role was proposed for a person, or bound at once.
    Binding 63 "role_binding";
    /// A proposed role was confirmed.
    BindingConfirmation 64 "role_binding_confirmation";
    /// A role was taken away.
    BindingRevocation 65 "role_binding_revocation";
    /// A token was revoked.
    TokenRevocation 66 "token_revocation";
    /// All tokens of a person issued until then were revoked.
    PersonRevocation 67 "person_revocation";
    /// An auditor read what tells of persons or jobs.
    Reading 68 "reading";
    /// A project made its disclosure of funding public, or took that back.
    DisclosurePublication 70 "disclosure_publication";
    /// An address was registered that events are sent to.
    Webhook 71 "webhook";
    /// A webhook was given up.
    WebhookRevocation 72 "webhook_revocation";
    /// A webhook was given a new secret.
    WebhookRotation 73 "webhook_rotation";
    /// A statement was made.
    Statement 74 "statement";
    /// What tells of a person, or of jobs, was erased from the tables beside the journal.
    Erasure 75 "erasure";
}

impl Kind {
    /// Whether entries of this kind are transactions: they may have lines.
    pub const fn moves(self) -> bool {
        use Kind::*;
        let used = matches!(self, Charge | Refund | Cover | Reversal) || self.sets_aside();
        used || matches!(self, Pledge | Delivery | Cancellation | Return | Lapse | Award | End | Supplement | Reduction | Transfer)
    }

    /// Whether entries of this kind only move credits within a grant, between what is free and what is held.
    pub const fn sets_aside(self) -> bool {
        matches!(self, Kind::Hold | Kind::HoldExtension | Kind::Release | Kind::HoldExpiry)
    }

    /// The kind of a number in the database.
    pub fn of(number: i32) -> Result<Kind, Fault> {
        let found = Kind::ALL.iter().copied().find(|k| *k as i32 == number);
        found.ok_or_else(|| Fault::Internal(format!("journal kind {number} is unknown")))
    }
}

/// An entry about to be written.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What happened.
    pub kind: Kind,
    /// Who did it; `None` for the clock.
    pub actor: Option<PersonId>,
    /// When it happened.
    pub effective_at: Time,
    /// Stamp of the object it is about, where that is not the entry's own.
    pub subject: Option<i64>,
    /// What moves nothing: terms, a verdict, a price; JSON that holds ids, never names of persons or jobs.
    pub body: Option<String>,
    /// The unit of all its lines.
    pub unit: Option<Unit>,
    /// What moves: account and signed amount, debit positive. Lines on one account are added up, empty ones dropped.
    pub lines: Few<(Key, i64)>,
}

impl Draft {
    /// An entry that moves nothing.
    pub fn note(kind: Kind, actor: PersonId, at: Time, body: &serde_json::Value) -> Draft {
        let body = Some(body.to_string());
        Draft { kind, actor: Some(actor), effective_at: at, subject: None, body, unit: None, lines: Few::new() }
    }

    /// An entry that moves credits of one unit.
    pub fn moving(kind: Kind, actor: Option<PersonId>, at: Time, unit: Unit) -> Draft {
        Draft { kind, actor, effective_at: at, subject: None, body: None, unit: Some(unit), lines: Few::new() }
    }

    /// The same, about an object that exists.
    pub fn about(mut self, stamp: i64) -> Draft {
        self.subject = Some(stamp);
        self
    }

    /// Moves an amount from one account (credit) to another (debit).
    pub fn shift(&mut self, from: Key, to: Key, minor: i64) {
        if minor != 0 {
            self.lines.push((from, -minor));
            self.lines.push((to, minor));
        }
    }
}

/// An entry as the journal has it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place.
    pub seq: i64,
    /// When the ledger took it; unique, and the identifier of what was born here.
    pub recorded_at: Time,
    /// When it happened.
    pub effective_at: Time,
    /// What happened.
    pub kind: Kind,
    /// Who did it.
    pub actor: Option<PersonId>,
    /// What it is about, if not what was born here.
    pub subject: Option<i64>,
    /// What moves nothing.
    pub body: Option<String>,
    /// What moved.
    pub lines: Vec<Line>,
}

impl Entry {
    /// The entry as a transaction.
    pub fn id(&self) -> TransactionId {
        TransactionId::from_stamp(self.recorded_at.micros())
    }
}

/// One posting: a line of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// Which account.
    pub account: Key,
    /// Its unit.
    pub unit: Unit,
    /// Signed, debit positive, in the unit's smallest part.
    pub amount: i64,
    /// The line's number in its account, from 1.
    pub nth: i64,
    /// The account's balance after it.
    pub balance: i64,
}

/// The sum of signed amounts. Errors: `validation_failed` where it leaves 64 bits.
pub fn total(amounts: impl IntoIterator<Item = i64>) -> Result<i64, Refusal> {
    amounts.into_iter().try_fold(0i64, i64::checked_add).ok_or_else(crate::amount::out_of_range)
}
