//! The SQL of statements that were made.

use diesel::prelude::*;

use super::{Asked, Made, Whom};
use crate::id::{PersonId, StatementId};
use crate::store::{Conn, Fault, Page, narrowed, on, paged};
use crate::time::{Period, Time};

mod tables {
    diesel::table! {
        statements (id) {
            id -> BigInt, kind -> Text, whom -> BigInt, from_at -> BigInt, to_at -> BigInt, seq -> BigInt, sha256 -> Text, made_by -> BigInt,
        }
    }
}
use tables::statements;

/// Which statements to list: `None` means any, an empty list none.
#[derive(Clone, Default, Debug)]
pub struct Of {
    /// Only these.
    pub ids: Option<Vec<i64>>,
    /// Only those of one of these kinds.
    pub kinds: Option<Vec<String>>,
    /// Only those of these donors, projects or providers.
    pub whom: Option<Vec<i64>>,
}

type Row = (i64, String, i64, i64, i64, i64, String, i64);

/// Statements, a page.
pub fn statements(conn: &mut Conn, of: &Of, page: Page) -> Result<Vec<Made>, Fault> {
    let rows: Vec<Row> = on!(conn, c => {
        let mut query = statements::table.into_boxed();
        narrowed!(query, statements::id => of.ids, statements::kind => of.kinds, statements::whom => of.whom);
        paged!(query, statements::id, page, c)
    })?;
    rows.into_iter().map(made_of).collect()
}

fn made_of((id, kind, whom, from, to, seq, sha256, made_by): Row) -> Result<Made, Fault> {
    let broken = || Fault::Internal(format!("statement {id} in the database: {kind} {from} {to}"));
    let whom = Whom::of(&kind, whom).ok_or_else(broken)?;
    let period = Period::new(Time::from_micros(from), Time::from_micros(to)).ok_or_else(broken)?;
    Ok(Made { id: StatementId::from_stamp(id), asked: Asked { whom, period }, seq, sha256, made_by: PersonId::from_stamp(made_by) })
}

/// The statement of somebody over a period, if it was made.
pub(super) fn made(conn: &mut Conn, asked: &Asked) -> Result<Option<Made>, Fault> {
    let same = statements::whom.eq(asked.whom.stamp()).and(statements::kind.eq(asked.whom.kind()));
    let days = statements::from_at.eq(asked.period.from.micros()).and(statements::to_at.eq(asked.period.to.micros()));
    let row: Option<Row> = on!(conn, c => statements::table.filter(same.and(days)).first(c).optional())?;
    row.map(made_of).transpose()
}

pub(super) fn insert(conn: &mut Conn, made: &Made) -> Result<(), Fault> {
    let row = (
        statements::id.eq(made.id.stamp()),
        statements::kind.eq(made.asked.whom.kind()),
        statements::whom.eq(made.asked.whom.stamp()),
        statements::from_at.eq(made.asked.period.from.micros()),
        statements::to_at.eq(made.asked.period.to.micros()),
        statements::seq.eq(made.seq),
        statements::sha256.eq(&made.sha256),
        statements::made_by.eq(made.made_by.stamp()),
    );
    on!(conn, c => diesel::insert_into(statements::table).values(row).execute(c))?;
    Ok(())
}
