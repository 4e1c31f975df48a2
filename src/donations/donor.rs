//! Donors: who gives.

use crate::id::DonorId;

/// Who gives credits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Donor {
    /// Its identifier.
    pub id: DonorId,
    /// What describes it.
    pub about: NewDonor,
}

/// What describes a donor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewDonor {
    /// Its name.
    pub name: String,
    /// `industry`, `government`, `nonprofit` or `university`.
    pub kind: String,
    /// Its identifier in the Research Organization Registry.
    pub ror: Option<String>,
    /// The caller's name for it.
    pub external_id: Option<String>,
}

/// The kinds of donor.
pub const KINDS: &[&str] = &["industry", "government", "nonprofit", "university"];
