//! Whose an object is: what an actor may see of it, and 404 for everything else.
//!
//! A route's roles open the door; the scope decides what lies behind it. Only roles that the route admits count, so a role that may
//! see all of one kind of object opens nothing of another.

use crate::actor::{Actor, Role, Roles};
use crate::directory;
use crate::donations::{Donation, Lot};
use crate::grants::{self, Grant};
use crate::id::ProjectId;
use crate::refusal::Refusal;
use crate::reports::statement::Whom;
use crate::store::{Conn, Fault, Page};
use crate::usage::ChargeRow;

use super::sight;

/// What an actor may see through a route.
#[derive(Debug)]
pub struct Scope {
    roles: Roles,
    donor: Option<i64>,
    projects: Vec<i64>,
    provider: Option<i64>,
}

impl Scope {
    /// The scope of an actor behind a route that admits these roles: what the token binds, and memberships in the ledger.
    pub fn of(conn: &mut Conn, actor: &Actor, admitted: Roles) -> Result<Scope, Fault> {
        let roles = Roles(actor.roles.0 & admitted.0);
        let mut projects: Vec<i64> = actor.projects.iter().map(|p| p.stamp()).collect();
        if roles.has(Role::Researcher)
            && let Some(person) = directory::store::person(conn, &actor.issuer, &actor.subject)?
        {
            projects.extend(directory::store::memberships(conn, person)?.iter().map(|p| p.stamp()));
        }
        Ok(Scope { roles, donor: actor.donor.map(|d| d.stamp()), projects, provider: actor.provider.map(|p| p.stamp()) })
    }

    /// Whether every object is in it.
    pub fn all(&self) -> bool {
        self.roles.meets(sight::overseers())
    }

    /// The donors in it; `None` for all.
    pub fn donors(&self) -> Option<Vec<i64>> {
        (!self.all()).then(|| self.donor.filter(|_| self.roles.has(Role::Donor)).into_iter().collect())
    }

    /// The projects in it; `None` for all.
    pub fn projects(&self) -> Option<Vec<i64>> {
        (!self.all()).then(|| if self.roles.has(Role::Researcher) { self.projects.clone() } else { Vec::new() })
    }

    /// The providers in it; `None` for all.
    pub fn providers(&self) -> Option<Vec<i64>> {
        (!self.all()).then(|| self.provider.filter(|_| self.roles.has(Role::Provider)).into_iter().collect())
    }

    /// Of the grants and providers asked for, those whose jobs are in it: what a provider reports itself, else what concerns the
    /// researcher's projects.
    pub fn of_jobs(&self, conn: &mut Conn, grants: Asked, providers: Asked) -> Result<(Asked, Asked), Fault> {
        match (self.providers(), self.projects()) {
            (Some(own), Some(projects)) if own.is_empty() => {
                let of_projects = grants::Of { projects: Some(projects), ..grants::Of::default() };
                let own = grants::store::grants(conn, &of_projects, Page::ALL)?.iter().map(|grant| grant.id.stamp()).collect();
                Ok((within(grants, Some(own)), providers))
            }
            (own, _) => Ok((grants, within(providers, own))),
        }
    }

    /// Refuses what is another's as if it were not there.
    pub fn admits(&self, own: bool) -> Result<(), Refusal> {
        if self.all() || own { Ok(()) } else { Err(Refusal::not_found()) }
    }

    /// A donation of the donor.
    pub fn donation(&self, donation: &Donation) -> Result<(), Refusal> {
        self.donor_is(donation.about.donor.stamp())
    }

    /// A lot of the donor.
    pub fn lot(&self, lot: &Lot) -> Result<(), Refusal> {
        self.donor_is(lot.donor.stamp())
    }

    /// The donor itself.
    pub fn donor_is(&self, donor: i64) -> Result<(), Refusal> {
        self.admits(self.roles.has(Role::Donor) && self.donor == Some(donor))
    }

    /// The provider itself.
    pub fn provider_is(&self, provider: i64) -> Result<(), Refusal> {
        self.admits(self.roles.has(Role::Provider) && self.provider == Some(provider))
    }

    /// A statement of the donor, of the researcher's project or of the provider.
    pub fn statement(&self, whom: Whom) -> Result<(), Refusal> {
        match whom {
            Whom::Donor(id) => self.donor_is(id.stamp()),
            Whom::Project(id) => self.project(id),
            Whom::Provider(id) => self.provider_is(id.stamp()),
        }
    }

    /// The donors, projects and providers in it; `None` for all.
    pub fn concerned(&self) -> Asked {
        let all = [self.donors()?, self.projects()?, self.providers()?];
        Some(all.into_iter().flatten().collect())
    }

    /// A project of the researcher.
    pub fn project(&self, project: ProjectId) -> Result<(), Refusal> {
        self.admits(self.roles.has(Role::Researcher) && self.projects.contains(&project.stamp()))
    }

    /// A grant of the researcher's project, or one that the provider's jobs were or may be charged to.
    pub fn grant(&self, grant: &Grant, own_resources: &[i64]) -> Result<(), Refusal> {
        let named = grant.about.resources.iter().any(|r| own_resources.contains(&r.stamp()));
        if self.roles.has(Role::Provider) && self.provider.is_some() && named {
            return Ok(());
        }
        self.project(grant.about.project)
    }

    /// A charge to the researcher's project, or reported by the provider.
    pub fn charge(&self, charge: &ChargeRow, project: ProjectId) -> Result<(), Refusal> {
        self.reported(charge.provider, project)
    }

    /// What a provider reports or asks for its own resources, or what concerns the researcher's project.
    pub fn reported(&self, provider: i64, project: ProjectId) -> Result<(), Refusal> {
        if self.roles.has(Role::Provider) && self.provider == Some(provider) {
            return Ok(());
        }
        self.project(project)
    }
}

/// Stamps of what is asked for; `None` for all.
pub type Asked = Option<Vec<i64>>;

/// What is asked for, as far as it lies in the scope: `None` means all on either side.
pub fn within(asked: Asked, scope: Asked) -> Asked {
    match (asked, scope) {
        (Some(asked), Some(scope)) => Some(asked.into_iter().filter(|id| scope.contains(id)).collect()),
        (asked, scope) => asked.or(scope),
    }
}
