//! The SQL of declared conflicts of interest.

use diesel::prelude::*;

use super::{Conflict, Party};
use crate::id::{ConflictId, InstitutionId, PersonId, ProjectId};
use crate::store::{Conn, Fault, Page, narrowed, on, paged};

mod tables {
    diesel::table! {
        conflicts (id) {
            id -> BigInt, person -> BigInt, institution -> Nullable<BigInt>, project -> Nullable<BigInt>, reason -> Text,
        }
    }
}
use tables::conflicts;

type Row = (i64, i64, Option<i64>, Option<i64>, String);

/// The conflicts that a person declared, or all, a page.
pub fn conflicts(conn: &mut Conn, person: Option<PersonId>, page: Page) -> Result<Vec<Conflict>, Fault> {
    let asked = person.map(|person| vec![person.stamp()]);
    let rows: Vec<Row> = on!(conn, c => {
        let mut query = conflicts::table.into_boxed();
        narrowed!(query, conflicts::person => asked);
        paged!(query, conflicts::id, page, c)
    })?;
    let noun = |(id, person, institution, project, reason): Row| {
        let institution = institution.map(|id| Party::Institution(InstitutionId::from_stamp(id)));
        let with = institution.or(project.map(|id| Party::Project(ProjectId::from_stamp(id))));
        let with = with.ok_or_else(|| Fault::Internal(format!("conflict {id} in the database names nothing")))?;
        Ok(Conflict { id: ConflictId::from_stamp(id), person: PersonId::from_stamp(person), with, reason })
    };
    rows.into_iter().map(noun).collect()
}

pub(super) fn insert(conn: &mut Conn, conflict: &Conflict) -> Result<(), Fault> {
    let (institution, project) = match conflict.with {
        Party::Institution(id) => (Some(id.stamp()), None),
        Party::Project(id) => (None, Some(id.stamp())),
    };
    let row = (
        conflicts::id.eq(conflict.id.stamp()),
        conflicts::person.eq(conflict.person.stamp()),
        conflicts::institution.eq(institution),
        conflicts::project.eq(project),
        conflicts::reason.eq(&conflict.reason),
    );
    on!(conn, c => diesel::insert_into(conflicts::table).values(row).execute(c))?;
    Ok(())
}
