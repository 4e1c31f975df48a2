//! Who asks: the person behind a verified token, the roles it carries and the objects it is bound to.
//!
//! An actor is made by the API door from a token, or by the command line for its operator. It may not know how either was proved.

use std::fmt;
use std::str::FromStr;

use crate::id::{DonorId, InstitutionId, ProjectId};

/// One of the six roles.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    /// Audits own donations.
    Donor = 1,
    /// Decides on donations and grants.
    Officer = 2,
    /// Asks for grants, reads own projects.
    Researcher = 4,
    /// Reports usage of own resources.
    Provider = 8,
    /// Reads everything.
    Auditor = 16,
    /// Runs the service.
    Admin = 32,
}

impl Role {
    /// All six.
    pub const ALL: [Role; 6] = [Role::Donor, Role::Officer, Role::Researcher, Role::Provider, Role::Auditor, Role::Admin];

    /// The role's word.
    pub const fn word(self) -> &'static str {
        match self {
            Role::Donor => "donor",
            Role::Officer => "officer",
            Role::Researcher => "researcher",
            Role::Provider => "provider",
            Role::Auditor => "auditor",
            Role::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Role, String> {
        let found = Role::ALL.into_iter().find(|r| r.word() == text);
        found.ok_or_else(|| format!("{text:?} is not a role; roles are donor, officer, researcher, provider, auditor, admin"))
    }
}

/// A set of roles, usable as a const generic parameter by its bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Roles(pub u8);

impl Roles {
    /// The set with one more role.
    pub const fn with(self, role: Role) -> Roles {
        Roles(self.0 | role as u8)
    }

    /// Whether the role is in the set.
    pub const fn has(self, role: Role) -> bool {
        self.0 & role as u8 != 0
    }

    /// Whether the sets share a role.
    pub const fn meets(self, other: Roles) -> bool {
        self.0 & other.0 != 0
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Roles {
        roles.into_iter().fold(Roles::default(), Roles::with)
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = Role::ALL.into_iter().filter(|r| self.has(*r)).map(Role::word).collect();
        f.write_str(&words.join(" "))
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Who vouches for the subject.
    pub issuer: String,
    /// The issuer's name for the person or machine.
    pub subject: String,
    /// What the token allows at most.
    pub roles: Roles,
    /// The donor whose donations a donor may see.
    pub donor: Option<DonorId>,
    /// The projects a researcher acts for by token; memberships in the ledger add to them.
    pub projects: Vec<ProjectId>,
    /// The organisation a provider reports for.
    pub provider: Option<InstitutionId>,
}

impl Actor {
    /// The operator at the command line: all that an administrator and an officer may do, under a subject of its own.
    pub fn operator(subject: &str) -> Actor {
        Actor {
            issuer: "almoner".into(),
            subject: subject.into(),
            roles: Roles::default().with(Role::Admin).with(Role::Officer).with(Role::Auditor),
            donor: None,
            projects: Vec::new(),
            provider: None,
        }
    }

    /// Whether any of these roles is carried.
    pub fn has(&self, role: Role) -> bool {
        self.roles.has(role)
    }
}
