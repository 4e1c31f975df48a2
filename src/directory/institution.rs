//! Institutions: universities, centres, clouds; what projects belong to and what providers report for.

use crate::id::InstitutionId;

/// An organisation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Institution {
    /// Its identifier.
    pub id: InstitutionId,
    /// What describes it.
    pub about: NewInstitution,
}

/// What describes an organisation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NewInstitution {
    /// Its name.
    pub name: String,
    /// `university`, `centre`, `cloud`, …: what donors' terms may ask for.
    pub kind: Option<String>,
    /// Its identifier in the Research Organization Registry.
    pub ror: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// The caller's name for it.
    pub external_id: Option<String>,
}
