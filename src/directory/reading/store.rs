//! The SQL of readings.

use diesel::prelude::*;

use super::Reading;
use crate::id::{Id, PersonId};
use crate::store::{Conn, Fault, Page, narrowed, on, paged};

mod tables {
    diesel::table! {
        readings (id) { id -> BigInt, person -> BigInt, operation -> Text, object -> Nullable<Text>, }
    }
}
use tables::readings;

/// Readings by these persons, or by anybody, a page.
pub fn readings(conn: &mut Conn, persons: &Option<Vec<i64>>, page: Page) -> Result<Vec<Reading>, Fault> {
    let rows: Vec<(i64, i64, String, Option<String>)> = on!(conn, c => {
        let mut query = readings::table.into_boxed();
        narrowed!(query, readings::person => *persons);
        paged!(query, readings::id, page, c)
    })?;
    let noun =
        |(id, person, operation, object)| Reading { id: Id::from_stamp(id), person: PersonId::from_stamp(person), operation, object };
    Ok(rows.into_iter().map(noun).collect())
}

pub(super) fn insert_reading(conn: &mut Conn, made: &Reading) -> Result<(), Fault> {
    let row = (
        readings::id.eq(made.id.stamp()),
        readings::person.eq(made.person.stamp()),
        readings::operation.eq(&made.operation),
        readings::object.eq(&made.object),
    );
    on!(conn, c => diesel::insert_into(readings::table).values(row).execute(c))?;
    Ok(())
}
