//! The SQL of role bindings.

use std::collections::HashMap;

use diesel::prelude::*;

use super::{Binding, Change, Right, State};
use crate::amount::{Amount, Unit};
use crate::id::{BindingId, DonorId, InstitutionId, PersonId, ProjectId};
use crate::ledger;
use crate::store::{Conn, Fault, Page, narrowed, on, paged};

mod tables {
    diesel::table! {
        role_bindings (id) {
            id -> BigInt, person -> BigInt, role -> Text, donor -> Nullable<BigInt>, project -> Nullable<BigInt>,
            provider -> Nullable<BigInt>, limit_minor -> Nullable<BigInt>, limit_unit -> Nullable<Text>, state -> Text,
            proposed_by -> BigInt, confirmed_by -> Nullable<BigInt>, revoked_by -> Nullable<BigInt>, founding -> Nullable<Integer>,
        }
    }
}
use tables::role_bindings;

/// Which bindings to list: `None` means any, an empty list none.
#[derive(Clone, Default, Debug)]
pub struct Of {
    /// Only these.
    pub ids: Option<Vec<i64>>,
    /// Only those of these persons.
    pub persons: Option<Vec<i64>>,
    /// Only those of these roles.
    pub roles: Option<Vec<String>>,
    /// Only those in one of these states.
    pub states: Option<Vec<String>>,
}

type Row =
    (i64, i64, String, (Option<i64>, Option<i64>, Option<i64>), (Option<i64>, Option<String>), String, (i64, Option<i64>, Option<i64>));

fn binding_of(row: Row, units: &HashMap<String, Unit>) -> Result<Binding, Fault> {
    let (id, person, role, (donor, project, provider), (minor, unit), state, (proposed_by, confirmed_by, revoked_by)) = row;
    let broken = |what: &str| Fault::Internal(format!("role binding {id} in the database: {what}"));
    let limit = match minor.zip(unit) {
        Some((minor, unit)) => Some(Amount::new(minor, *units.get(&unit).ok_or_else(|| broken("unit"))?)),
        None => None,
    };
    let right = match role.as_str() {
        "donor" => Right::Donor(donor.map(DonorId::from_stamp).ok_or_else(|| broken("donor"))?),
        "officer" => Right::Officer(limit),
        "researcher" => Right::Researcher(project.map(ProjectId::from_stamp)),
        "provider" => Right::Provider(provider.map(InstitutionId::from_stamp).ok_or_else(|| broken("provider"))?),
        "auditor" => Right::Auditor,
        "admin" => Right::Admin,
        _ => return Err(broken("role")),
    };
    Ok(Binding {
        id: BindingId::from_stamp(id),
        person: PersonId::from_stamp(person),
        right,
        state: State::of(&state).ok_or_else(|| broken("state"))?,
        proposed_by: PersonId::from_stamp(proposed_by),
        confirmed_by: confirmed_by.map(PersonId::from_stamp),
        revoked_by: revoked_by.map(PersonId::from_stamp),
    })
}

/// Bindings, a page.
pub fn bindings(conn: &mut Conn, of: &Of, page: Page) -> Result<Vec<Binding>, Fault> {
    let columns = (
        role_bindings::id,
        role_bindings::person,
        role_bindings::role,
        (role_bindings::donor, role_bindings::project, role_bindings::provider),
        (role_bindings::limit_minor, role_bindings::limit_unit),
        role_bindings::state,
        (role_bindings::proposed_by, role_bindings::confirmed_by, role_bindings::revoked_by),
    );
    let rows: Vec<Row> = on!(conn, c => {
        let mut query = role_bindings::table.select(columns).into_boxed();
        narrowed!(query, role_bindings::id => of.ids, role_bindings::person => of.persons, role_bindings::role => of.roles,
            role_bindings::state => of.states);
        paged!(query, role_bindings::id, page, c)
    })?;
    let units = match rows.iter().any(|row| row.4.0.is_some()) {
        true => ledger::store::units(conn)?,
        false => HashMap::new(),
    };
    rows.into_iter().map(|row| binding_of(row, &units)).collect()
}

pub(super) fn insert_binding(conn: &mut Conn, binding: &Binding, founding: Option<i32>) -> Result<(), Fault> {
    let (mut donor, mut project, mut provider, mut limit) = (None, None, None, None);
    match binding.right {
        Right::Donor(id) => donor = Some(id.stamp()),
        Right::Officer(most) => limit = most,
        Right::Researcher(id) => project = id.map(ProjectId::stamp),
        Right::Provider(id) => provider = Some(id.stamp()),
        Right::Auditor | Right::Admin => {}
    }
    let row = (
        (role_bindings::id.eq(binding.id.stamp()), role_bindings::person.eq(binding.person.stamp())),
        role_bindings::role.eq(binding.right.role().word()),
        (role_bindings::donor.eq(donor), role_bindings::project.eq(project), role_bindings::provider.eq(provider)),
        (role_bindings::limit_minor.eq(limit.map(|l| l.minor)), role_bindings::limit_unit.eq(limit.map(|l| l.unit.code().to_owned()))),
        role_bindings::state.eq(binding.state.word()),
        role_bindings::proposed_by.eq(binding.proposed_by.stamp()),
        role_bindings::founding.eq(founding),
    );
    on!(conn, c => diesel::insert_into(role_bindings::table).values(row).execute(c))?;
    Ok(())
}

pub(super) fn change(conn: &mut Conn, id: BindingId, change: &Change) -> Result<(), Fault> {
    let row = (
        role_bindings::state.eq(change.state.word()),
        role_bindings::confirmed_by.eq(change.confirmed_by.map(PersonId::stamp)),
        role_bindings::revoked_by.eq(change.revoked_by.map(PersonId::stamp)),
    );
    on!(conn, c => diesel::update(role_bindings::table.find(id.stamp())).set(row).execute(c))?;
    Ok(())
}
