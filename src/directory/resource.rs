//! Resources: what jobs run on, each of one provider.

use crate::id::{InstitutionId, ResourceId};

/// What jobs run on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource {
    /// Its identifier.
    pub id: ResourceId,
    /// What describes it.
    pub about: NewResource,
}

/// What describes a resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewResource {
    /// Its name.
    pub name: String,
    /// `gpu-cluster`, `cloud`, …
    pub kind: Option<String>,
    /// Whose it is.
    pub provider: InstitutionId,
    /// The provider's name for it, unique among the provider's.
    pub external_id: Option<String>,
}
