//! The SQL of what projects have made public.

use diesel::prelude::*;

use crate::id::ProjectId;
use crate::store::{Conn, Fault, on};

mod tables {
    diesel::table! {
        publications (project) { project -> BigInt, public -> Bool, seq -> BigInt, }
    }
}
use tables::publications;

pub(super) fn is_public(conn: &mut Conn, project: ProjectId) -> Result<bool, Fault> {
    let said = publications::table.find(project.stamp()).select(publications::public);
    let found: Option<bool> = on!(conn, c => said.first(c).optional())?;
    Ok(found == Some(true))
}

/// What every project has said of it last, and in which entry.
pub(super) fn publications(conn: &mut Conn) -> Result<Vec<(ProjectId, bool, i64)>, Fault> {
    let rows: Vec<(i64, bool, i64)> = on!(conn, c => publications::table.order(publications::project).load(c))?;
    Ok(rows.into_iter().map(|(project, public, seq)| (ProjectId::from_stamp(project), public, seq)).collect())
}

pub(super) fn publish(conn: &mut Conn, project: ProjectId, public: bool, seq: i64) -> Result<(), Fault> {
    let row = (publications::project.eq(project.stamp()), publications::public.eq(public), publications::seq.eq(seq));
    let change = (publications::public.eq(public), publications::seq.eq(seq));
    on!(conn, c => {
        let insert = diesel::insert_into(publications::table).values(row);
        insert.on_conflict(publications::project).do_update().set(change).execute(c)
    })?;
    Ok(())
}
