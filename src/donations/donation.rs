//! Donations: a pledge with the donor's terms.
//!
//! Pure. The terms are never edited; a donation on other terms is another donation.

use serde::{Deserialize, Serialize};

use crate::amount::{Amount, Unit};
use crate::id::{DonationId, DonorId, PersonId, ResourceId};

/// What the donor allows the credits to be used for. An absent condition admits everything.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Terms {
    /// Only projects in one of these fields of science.
    pub fields_of_science: Option<Vec<String>>,
    /// Only projects at one of these kinds of institution.
    pub institution_kinds: Option<Vec<String>>,
    /// Only jobs on one of these resources.
    pub resources: Option<Vec<String>>,
    /// Only grants for this purpose.
    pub purpose: Option<String>,
}

/// What credits would be used for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Purpose {
    /// The project's field of science.
    pub field_of_science: String,
    /// The kind of the project's institution.
    pub institution_kind: Option<String>,
    /// What the grant is for.
    pub purpose: Option<String>,
}

impl Terms {
    /// Whether a grant may draw on the donation at all: field, kind of institution, purpose.
    pub fn admit_grant(&self, of: &Purpose) -> bool {
        let among = |allowed: &Option<Vec<String>>, value: Option<&String>| {
            allowed.as_ref().is_none_or(|list| value.is_some_and(|v| list.contains(v)))
        };
        among(&self.fields_of_science, Some(&of.field_of_science))
            && among(&self.institution_kinds, of.institution_kind.as_ref())
            && (self.purpose.is_none() || self.purpose == of.purpose)
    }

    /// Whether a job on this resource may be paid.
    pub fn admit_resource(&self, resource: ResourceId) -> bool {
        self.resources.as_ref().is_none_or(|list| list.contains(&resource.to_string()))
    }

    /// Whether any of the resources a grant is limited to may be paid; a grant without a limit may use any.
    pub fn admit_any(&self, resources: &[ResourceId]) -> bool {
        resources.is_empty() || resources.iter().any(|r| self.admit_resource(*r))
    }
}

/// What becomes of credits past their expiry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnExpiry {
    /// They are void.
    Lapse,
    /// They go back to the donor.
    Return,
}

impl OnExpiry {
    /// Both words, on the wire and in the database.
    pub const WORDS: &'static [&'static str] = &["lapse", "return"];

    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            OnExpiry::Lapse => "lapse",
            OnExpiry::Return => "return",
        }
    }

    /// From the word; anything but `return` lapses.
    pub fn of(word: &str) -> OnExpiry {
        if word == "return" { OnExpiry::Return } else { OnExpiry::Lapse }
    }
}

/// A gift as it is proposed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewDonation {
    /// Who gives.
    pub donor: DonorId,
    /// Its title.
    pub title: String,
    /// What it counts.
    pub unit: Unit,
    /// What is promised; zero for a gift that is delivered without a pledge.
    pub pledged: Amount,
    /// What it may be used for.
    pub terms: Terms,
    /// Lower pays first.
    pub draw_priority: i32,
    /// What becomes of credits past their expiry.
    pub on_expiry: OnExpiry,
    /// The caller's name for it.
    pub external_id: Option<String>,
}

/// A gift.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Donation {
    /// Its identifier.
    pub id: DonationId,
    /// What it is.
    pub about: NewDonation,
    /// `proposed`, `accepted` or `cancelled`.
    pub state: String,
    /// Who proposed it.
    pub proposed_by: PersonId,
    /// Who accepted it.
    pub accepted_by: Option<PersonId>,
    /// Counts its changes, for `ETag`.
    pub version: i32,
}
