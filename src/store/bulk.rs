//! Rows written together: by COPY on PostgreSQL unless there is only one, on SQLite by cached statements of fifty rows or eight, which take
//! half as many rows again as statements of one.
//!
//! A statement for any number of rows would be planned anew each time. What a row binds is said by [`bulk!`](crate::bulk) and handed on
//! value by value: diesel's own insert of many rows walks each of them three times over, and its own COPY asks for the type of every value
//! and goes to the network in small pieces. A statement fails at the row that the database does not take and leaves the rows before it, since
//! nobody goes on after that: undoing them alone would have SQLite keep a copy of every page that it touches. It may not know what rows hold.

use std::io::Write;
use std::sync::Arc;

use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sqlite::Sqlite;
use diesel::{PgConnection, QueryResult, RunQueryDsl, SqliteConnection};

use super::{Conn, Fault, SharedText};

/// A row of one table, which `bulk!` declares.
pub trait Bulk: Sized + 'static {
    /// The table and its columns, as an insert names them: first those that are mostly alike in rows written together.
    const INTO: &'static str;
    /// How many of the columns those are.
    const ALIKE: usize;
    /// Whether those are alike in both.
    fn is_like(&self, other: &Self) -> bool;
    /// Binds those columns in that order.
    fn bind_alike<'b>(&'b self, out: &mut AstPass<'_, 'b, Sqlite>) -> QueryResult<()>;
    /// Binds the other columns in that order.
    fn bind<'b>(&'b self, out: &mut AstPass<'_, 'b, Sqlite>) -> QueryResult<()>;
    /// Writes the row as PostgreSQL's binary COPY has it.
    fn put(&self, out: &mut Vec<u8>);
    /// Inserts the row alone.
    fn insert(&self, conn: &mut PgConnection) -> QueryResult<usize>;
    /// Copies into the table whatever `rows` writes.
    fn copy(conn: &mut PgConnection, rows: &dyn Fn(&mut dyn Write) -> std::io::Result<()>) -> QueryResult<usize>;
}

/// A row that others look at meanwhile.
impl<R: Bulk> Bulk for Arc<R> {
    const INTO: &'static str = R::INTO;
    const ALIKE: usize = R::ALIKE;

    fn is_like(&self, other: &Self) -> bool {
        R::is_like(self, other)
    }

    fn bind_alike<'b>(&'b self, out: &mut AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        R::bind_alike(self, out)
    }

    fn bind<'b>(&'b self, out: &mut AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        R::bind(self, out)
    }

    fn put(&self, out: &mut Vec<u8>) {
        R::put(self, out);
    }

    fn insert(&self, conn: &mut PgConnection) -> QueryResult<usize> {
        R::insert(self, conn)
    }

    fn copy(conn: &mut PgConnection, rows: &dyn Fn(&mut dyn Write) -> std::io::Result<()>) -> QueryResult<usize> {
        R::copy(conn, rows)
    }
}

/// A value as PostgreSQL's binary COPY has it: how many bytes, or -1 for none, and the bytes (PostgreSQL's documentation, COPY, "Binary
/// Format"; numbers with the highest byte first).
pub trait Value {
    /// Writes it behind what is there.
    fn put(&self, out: &mut Vec<u8>);
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    // A longer value is no value of PostgreSQL's: it refuses the row.
    out.extend_from_slice(&i32::try_from(bytes.len()).unwrap_or(i32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

macro_rules! values {
    ($($kind:ty: $value:ident => $bytes:expr;)*) => {
        $(impl Value for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                let $value = self;
                put_bytes($bytes, out);
            }
        })*
    };
}

values! {
    i32: number => &number.to_be_bytes();
    i64: number => &number.to_be_bytes();
    String: text => text.as_bytes();
    SharedText: text => text.as_bytes();
    Vec<u8>: bytes => bytes;
    [u8; 16]: bytes => bytes;
}

impl<V: Value> Value for Option<V> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.put(out),
            None => out.extend_from_slice(&(-1i32).to_be_bytes()),
        }
    }
}

/// Bytes that go to the server at once.
const PIECE: usize = 128 * 1024;

/// Writes what a binary COPY is sent: a head, the rows, an end.
fn copy_rows<R: Bulk>(rows: &[R], to: &mut dyn Write) -> std::io::Result<()> {
    let mut out = Vec::with_capacity(PIECE + PIECE / 8);
    out.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
    for row in rows {
        row.put(&mut out);
        if out.len() >= PIECE {
            to.write_all(&out)?;
            out.clear();
        }
    }
    out.extend_from_slice(&(-1i16).to_be_bytes());
    to.write_all(&out)
}

/// Says into which columns of a table, as diesel knows it, the fields of the same names of a row are written, and which of them are mostly
/// alike in rows written together.
#[macro_export]
macro_rules! bulk {
    ($row:ty => $table:ident { $first:ident $(, $column:ident)* $(,)? } $(alike { $($alike:ident),* $(,)? })?) => {
        impl $crate::store::Bulk for $row {
            const INTO: &'static str =
                concat!(stringify!($table), " (", $($(stringify!($alike), ", ",)*)? stringify!($first), $(", ", stringify!($column),)* ")");
            const ALIKE: usize = { const NAMES: &[&str] = &[$($(stringify!($alike)),*)?]; NAMES.len() };

            fn is_like(&self, _other: &Self) -> bool {
                true $($(&& self.$alike == _other.$alike)*)?
            }

            fn bind_alike<'b>(
                &'b self,
                _out: &mut diesel::query_builder::AstPass<'_, 'b, diesel::sqlite::Sqlite>,
            ) -> diesel::QueryResult<()> {
                $($(
                    _out.push_bind_param::<<$table::$alike as diesel::Expression>::SqlType, _>(&self.$alike)?;
                    _out.push_sql(", ");
                )*)?
                Ok(())
            }

            fn bind<'b>(
                &'b self,
                out: &mut diesel::query_builder::AstPass<'_, 'b, diesel::sqlite::Sqlite>,
            ) -> diesel::QueryResult<()> {
                out.push_bind_param::<<$table::$first as diesel::Expression>::SqlType, _>(&self.$first)?;
                $(
                    out.push_sql(", ");
                    out.push_bind_param::<<$table::$column as diesel::Expression>::SqlType, _>(&self.$column)?;
                )*
                Ok(())
            }

            fn put(&self, out: &mut Vec<u8>) {
                const COLUMNS: i16 = [$($(stringify!($alike),)*)? stringify!($first), $(stringify!($column)),*].len() as i16;
                out.extend_from_slice(&COLUMNS.to_be_bytes());
                $($($crate::store::bulk::Value::put(&self.$alike, out);)*)?
                $crate::store::bulk::Value::put(&self.$first, out);
                $($crate::store::bulk::Value::put(&self.$column, out);)*
            }

            fn insert(&self, conn: &mut diesel::PgConnection) -> diesel::QueryResult<usize> {
                let row =
                    ($($($table::$alike.eq(&self.$alike),)*)? $table::$first.eq(&self.$first), $($table::$column.eq(&self.$column)),*);
                diesel::insert_into($table::table).values(row).execute(conn)
            }

            fn copy(
                conn: &mut diesel::PgConnection,
                rows: &dyn Fn(&mut dyn std::io::Write) -> std::io::Result<()>,
            ) -> diesel::QueryResult<usize> {
                let failed = |e| diesel::result::Error::SerializationError(Box::new(e));
                let columns = ($($($table::$alike,)*)? $table::$first, $($table::$column),*);
                let copy = diesel::copy_from($table::table).from_raw_data(columns, |to| rows(to).map_err(failed));
                copy.with_format(diesel::pg::CopyFormat::Binary).execute(conn)
            }
        }
    };
}

/// Rows of one statement; what they have in common is bound once.
struct Together<'r, R, const N: usize, const ALIKE: bool>(&'r [R; N]);

/// The first columns of a row, where they are those of the statement's first row: binding is a third of the scribe's time. SQLite gives a plain
/// `?` the number after the greatest so far, so that values and places still go together.
const AS_FIRST: [&str; 7] =
    ["", "?1, ", "?1, ?2, ", "?1, ?2, ?3, ", "?1, ?2, ?3, ?4, ", "?1, ?2, ?3, ?4, ?5, ", "?1, ?2, ?3, ?4, ?5, ?6, "];

impl<R: Bulk, const N: usize, const ALIKE: bool> QueryId for Together<'_, R, N, ALIKE> {
    type QueryId = Together<'static, R, N, ALIKE>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<R: Bulk, const N: usize, const ALIKE: bool> QueryFragment<Sqlite> for Together<'_, R, N, ALIKE> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("INSERT OR FAIL INTO ");
        out.push_sql(R::INTO);
        let mut before = " VALUES (";
        for (place, row) in self.0.iter().enumerate() {
            out.push_sql(before);
            match ALIKE && place > 0 {
                true => out.push_sql(const { AS_FIRST[R::ALIKE] }),
                false => row.bind_alike(&mut out)?,
            }
            row.bind(&mut out)?;
            before = "), (";
        }
        out.push_sql(")");
        Ok(())
    }
}

impl<R, const N: usize, const ALIKE: bool> RunQueryDsl<SqliteConnection> for Together<'_, R, N, ALIKE> {}

/// Writes so many rows, telling what they have in common once.
fn together<R: Bulk, const N: usize>(rows: &[R; N], c: &mut SqliteConnection) -> QueryResult<()> {
    match R::ALIKE > 0 && rows.iter().all(|row| row.is_like(&rows[0])) {
        true => Together::<R, N, true>(rows).execute(c).map(drop),
        false => Together::<R, N, false>(rows).execute(c).map(drop),
    }
}

/// Inserts rows. Errors: whatever the database does not take; the transaction is then to be rolled back.
pub fn insert<R: Bulk>(conn: &mut Conn, rows: &[R]) -> Result<(), Fault> {
    match conn {
        Conn::Sqlite(c) => {
            let (fifties, rest) = rows.as_chunks::<50>();
            let (eights, rest) = rest.as_chunks::<8>();
            fifties.iter().try_for_each(|some| together(some, c))?;
            eights.iter().try_for_each(|some| together(some, c))?;
            rest.iter().try_for_each(|row| Together::<R, 1, false>(std::array::from_ref(row)).execute(c).map(drop))?;
        }
        // A COPY is planned anew each time and takes two exchanges: too much for one row, which a lone charge is.
        Conn::Postgres(c) => match rows {
            [] => {}
            [row] => _ = row.insert(c)?,
            rows => _ = R::copy(c, &|to| copy_rows(rows, to))?,
        },
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use diesel::prelude::*;

    use super::*;
    use crate::store::Database;

    diesel::table! {
        things (id) { id -> BigInt, whose -> BigInt, kind -> Text, size -> Integer, }
    }

    #[derive(Queryable, Clone, PartialEq, Debug)]
    struct Thing {
        id: i64,
        whose: i64,
        kind: String,
        size: i32,
    }

    bulk! { Thing => things { id, size } alike { whose, kind } }

    /// Statements of fifty, eight and one rows; all alike, and one that differs: the first, in the middle and the last of each.
    /// Seen to fail where rows were taken for alike without a look.
    #[test]
    fn rows_are_written_as_they_are_whether_alike_or_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut conn = Database::in_folder(folder.path()).connect().expect("a connection");
        conn.batch("CREATE TABLE things (id INTEGER PRIMARY KEY, whose INTEGER, kind TEXT, size INTEGER)").expect("a table");
        for other in [None, Some(0), Some(30), Some(49), Some(50), Some(55), Some(57), Some(58)] {
            let one = |n: i64| Thing { id: n, whose: 7, kind: "same".into(), size: 2 * n as i32 };
            let mut rows: Vec<Thing> = (0..59).map(one).collect();
            if let Some(place) = other {
                rows[place].kind = "other".into();
            }
            insert(&mut conn, &rows).expect("written");
            let columns = (things::id, things::whose, things::kind, things::size);
            let asked = things::table.select(columns).order(things::id);
            let read: Vec<Thing> = crate::on!(&mut conn, c => asked.load(c)).expect("read");
            assert_eq!(read, rows, "{other:?} differs");
            conn.batch("DELETE FROM things").expect("emptied");
        }
    }
}
