//! Rows written together: by COPY on PostgreSQL, on SQLite by cached statements of fifty rows or eight, which take half as many rows
//! again as statements of one.
//!
//! A statement for any number of rows would be planned anew each time. What a row binds is said by [`bulk!`](crate::bulk) and handed on
//! value by value: diesel's own insert of many rows walks each of them three times over. A statement fails at the row that the database
//! does not take and leaves the rows before it, since nobody goes on after that: undoing them alone would have SQLite keep a copy of every
//! page that it touches. It may not know what rows hold.

use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sqlite::Sqlite;
use diesel::{PgConnection, QueryResult, RunQueryDsl, SqliteConnection};

use super::{Conn, Fault};

/// A row of one table, which `bulk!` declares.
pub trait Bulk: Sized + 'static {
    /// The table and its columns, as an insert names them.
    const INTO: &'static str;
    /// Binds the columns in that order.
    fn bind<'b>(&'b self, out: &mut AstPass<'_, 'b, Sqlite>) -> QueryResult<()>;
    /// Copies rows into the table.
    fn copy(rows: &[Self], conn: &mut PgConnection) -> QueryResult<usize>;
}

/// Says into which columns of a table, as diesel knows it, the fields of the same names of an `Insertable` row are written.
#[macro_export]
macro_rules! bulk {
    ($row:ty => $table:ident { $first:ident $(, $column:ident)* $(,)? }) => {
        impl $crate::store::Bulk for $row {
            const INTO: &'static str = concat!(stringify!($table), " (", stringify!($first), $(", ", stringify!($column),)* ")");

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

            fn copy(rows: &[Self], conn: &mut diesel::PgConnection) -> diesel::QueryResult<usize> {
                diesel::copy_from($table::table).from_insertable(rows).execute(conn)
            }
        }
    };
}

/// Rows of one statement.
struct Together<'r, R, const N: usize>(&'r [R; N]);

impl<R: Bulk, const N: usize> QueryId for Together<'_, R, N> {
    type QueryId = Together<'static, R, N>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<R: Bulk, const N: usize> QueryFragment<Sqlite> for Together<'_, R, N> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("INSERT OR FAIL INTO ");
        out.push_sql(R::INTO);
        let mut before = " VALUES (";
        for row in self.0 {
            out.push_sql(before);
            row.bind(&mut out)?;
            before = "), (";
        }
        out.push_sql(")");
        Ok(())
    }
}

impl<R, const N: usize> RunQueryDsl<SqliteConnection> for Together<'_, R, N> {}

/// Inserts rows. Errors: whatever the database does not take; the transaction is then to be rolled back.
pub fn insert<R: Bulk>(conn: &mut Conn, rows: &[R]) -> Result<(), Fault> {
    match conn {
        Conn::Sqlite(c) => {
            let (fifties, rest) = rows.as_chunks::<50>();
            let (eights, rest) = rest.as_chunks::<8>();
            fifties.iter().try_for_each(|some| Together(some).execute(c).map(drop))?;
            eights.iter().try_for_each(|some| Together(some).execute(c).map(drop))?;
            rest.iter().try_for_each(|row| Together(std::array::from_ref(row)).execute(c).map(drop))?;
        }
        Conn::Postgres(c) if !rows.is_empty() => _ = R::copy(rows, c)?,
        Conn::Postgres(_) => {}
    }
    Ok(())
}
