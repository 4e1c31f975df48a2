//! Projects, their members, and the scheduler accounts that stand for them.

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::id::{Id, InstitutionId, PersonId, Project as ProjectKind, ProjectId, ResourceId};

/// Who is granted credits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Project {
    /// Its identifier.
    pub id: ProjectId,
    /// What describes it.
    pub about: NewProject,
}

/// What describes a project.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewProject {
    /// Its title.
    pub title: String,
    /// Where it is carried out.
    pub institution: InstitutionId,
    /// What donors' terms may ask for.
    pub field_of_science: String,
    /// The principal investigator's name.
    pub pi_name: String,
    /// The principal investigator's ORCID iD.
    pub pi_orcid: Option<String>,
    /// The caller's name for it, as usage records may give it in `account`.
    pub external_id: Option<String>,
}

/// A person's part in a project.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// When and in which entry it was recorded.
    pub id: Id<ProjectKind>,
    /// Which project.
    pub project: ProjectId,
    /// Who.
    pub person: PersonId,
    /// The person's name.
    pub name: String,
    /// `pi` or `member`.
    pub role: String,
}

/// A scheduler's account that stands for a project.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountMapping {
    /// When and in which entry it was recorded.
    pub id: Id<ProjectKind>,
    /// Which project.
    pub project: ProjectId,
    /// Only on this cluster.
    pub cluster: Option<String>,
    /// The account's name.
    pub account: String,
    /// Only on this resource.
    pub resource: Option<ResourceId>,
}

impl AccountMapping {
    /// The SHA-256 of the cluster's and the account's names, in hexadecimal digits: what the journal keeps of them, since an account may be
    /// called as a person is.
    pub fn named(&self) -> String {
        Sha256::digest(json!([self.cluster, self.account]).to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
