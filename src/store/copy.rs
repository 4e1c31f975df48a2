//! Copies of whole databases: every table, row by row, from one snapshot, from either database into either.
//!
//! Which tables and columns there are the catalogue of the database says, so nothing here knows what they hold. A row travels as one JSON
//! array, which both databases make and read themselves: whole numbers of 64 bits, texts, bytes as hexadecimal digits. Bounds: so many rows
//! are in memory at a time.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Integer, Text};
use sha2::{Digest, Sha256};

use super::{Conn, Fault};

/// Rows that travel together.
const ROWS: usize = 1000;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Whole,
    Words,
    Bytes,
    Flag,
}

impl Form {
    /// From the type's name in either database.
    fn of(name: &str) -> Option<Form> {
        Some(match name.to_ascii_uppercase().as_str() {
            "BIGINT" | "INTEGER" | "SMALLINT" => Form::Whole,
            "TEXT" => Form::Words,
            "BLOB" | "BYTEA" => Form::Bytes,
            "BOOLEAN" => Form::Flag,
            _ => return None,
        })
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Column {
    name: String,
    form: Form,
}

/// A table as the catalogue describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    columns: Vec<Column>,
    /// The columns of its primary key, in their order.
    key: Vec<String>,
}

#[derive(QueryableByName)]
struct ColumnRow {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    column_name: String,
    #[diesel(sql_type = Text)]
    form: String,
    /// From 1; 0 for a column that is not in the primary key.
    #[diesel(sql_type = Integer)]
    place_in_key: i32,
}

/// What keeps track of the schema itself is made with the schema.
const OF_SCHEMA: [&str; 2] = ["steps", "__diesel_schema_migrations"];

/// Every table, in the order of their making: one that refers to another comes after it.
pub fn tables(conn: &mut Conn) -> Result<Vec<Table>, Fault> {
    const SQLITE: &str = "SELECT m.name AS table_name, p.name AS column_name, p.type AS form, p.pk AS place_in_key
        FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
        ORDER BY m.rowid, p.cid";
    const POSTGRES: &str = "SELECT c.relname::text AS table_name, a.attname::text AS column_name, format_type(a.atttypid, NULL) AS form,
        COALESCE(array_position(i.indkey::int2[], a.attnum) + 1, 0) AS place_in_key
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema()
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
        WHERE c.relkind = 'r' ORDER BY c.oid, a.attnum";
    let rows: Vec<ColumnRow> = match conn {
        Conn::Sqlite(c) => sql_query(SQLITE).load(c)?,
        Conn::Postgres(c) => sql_query(POSTGRES).load(c)?,
    };
    let mut tables: Vec<Table> = Vec::new();
    let mut keys: Vec<Vec<(i32, String)>> = Vec::new();
    for row in rows.into_iter().filter(|row| !OF_SCHEMA.contains(&row.table_name.as_str())) {
        if tables.last().is_none_or(|last| last.name != row.table_name) {
            tables.push(Table { name: row.table_name.clone(), columns: Vec::new(), key: Vec::new() });
            keys.push(Vec::new());
        }
        let unknown = || Fault::Internal(format!("{}.{} is {}, which is not copied", row.table_name, row.column_name, row.form));
        let form = Form::of(&row.form).ok_or_else(unknown)?;
        if let Some((table, key)) = tables.last_mut().zip(keys.last_mut()) {
            if row.place_in_key > 0 {
                key.push((row.place_in_key, row.column_name.clone()));
            }
            table.columns.push(Column { name: row.column_name, form });
        }
    }
    for (table, mut key) in tables.iter_mut().zip(keys) {
        key.sort();
        table.key = key.into_iter().map(|(_, name)| name).collect();
    }
    Ok(tables)
}

/// A name in a statement: from the catalogue, and quoted all the same.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Table {
    fn listed(&self, column: impl Fn(usize, &Column) -> String) -> String {
        self.columns.iter().enumerate().map(|(at, one)| column(at, one)).collect::<Vec<_>>().join(", ")
    }

    /// The statement that reads all of it in the order of its key, a JSON array for each row.
    fn reading(&self, sqlite: bool) -> String {
        let column = |_, column: &Column| {
            let name = quoted(&column.name);
            match (column.form, sqlite) {
                (Form::Bytes, true) => format!("CASE WHEN {name} IS NULL THEN NULL ELSE lower(hex({name})) END"),
                (Form::Bytes, false) => format!("encode({name}, 'hex')"),
                (Form::Flag, false) => format!("{name}::int"),
                _ => name,
            }
        };
        let (made, order) = (self.listed(column), self.key.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", "));
        let (array, order) = (
            if sqlite { format!("json_array({made})") } else { format!("json_build_array({made})::text") },
            if order.is_empty() { String::new() } else { format!(" ORDER BY {order}") },
        );
        format!("SELECT {array} AS row FROM {}{order}", quoted(&self.name))
    }

    /// The statement that takes an array of such rows.
    fn writing(&self, sqlite: bool) -> String {
        let read = |at: usize, column: &Column| match (column.form, sqlite) {
            (Form::Bytes, true) => format!("unhex(json_extract(value, '$[{at}]'))"),
            (_, true) => format!("json_extract(value, '$[{at}]')"),
            (Form::Whole, false) => format!("(value->>{at})::bigint"),
            (Form::Words, false) => format!("value->>{at}"),
            (Form::Bytes, false) => format!("decode(value->>{at}, 'hex')"),
            (Form::Flag, false) => format!("(value->>{at})::int::boolean"),
        };
        let (names, values) = (self.listed(|_, column| quoted(&column.name)), self.listed(read));
        let from = if sqlite { "json_each($1)" } else { "json_array_elements($1::json) AS rows(value)" };
        format!("INSERT INTO {} ({names}) SELECT {values} FROM {from}", quoted(&self.name))
    }
}

#[derive(QueryableByName)]
struct RowText {
    #[diesel(sql_type = Text)]
    row: String,
}

/// Hands on all rows of a table in the order of its key, some at a time. The connection must be in a transaction.
fn each_batch(conn: &mut Conn, table: &Table, mut take: impl FnMut(&[String]) -> Result<(), Fault>) -> Result<u64, Fault> {
    let mut count = 0;
    match conn {
        Conn::Sqlite(c) => {
            let mut batch = Vec::with_capacity(ROWS);
            for row in sql_query(table.reading(true)).load_iter::<RowText, _>(c)? {
                batch.push(row?.row);
                if batch.len() == ROWS {
                    count += ROWS as u64;
                    take(&batch)?;
                    batch.clear();
                }
            }
            count += batch.len() as u64;
            take(&batch)?;
        }
        Conn::Postgres(c) => {
            c.batch_execute(&format!("DECLARE copied NO SCROLL CURSOR FOR {}", table.reading(false)))?;
            loop {
                let rows: Vec<RowText> = sql_query(format!("FETCH {ROWS} FROM copied")).load(c)?;
                let batch: Vec<String> = rows.into_iter().map(|row| row.row).collect();
                count += batch.len() as u64;
                if batch.is_empty() {
                    break;
                }
                take(&batch)?;
            }
            c.batch_execute("CLOSE copied")?;
        }
    }
    Ok(count)
}

/// What was copied.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Copied {
    /// Tables.
    pub tables: usize,
    /// Rows of all of them.
    pub rows: u64,
    digests: Digests,
}

impl Copied {
    /// The same with what was copied besides.
    pub fn and(mut self, more: Copied) -> Copied {
        self.digests.0.extend(more.digests.0);
        Copied { tables: self.tables + more.tables, rows: self.rows + more.rows, digests: self.digests }
    }

    /// SHA-256 of all of it, in hexadecimal digits: the same for the same rows in either database.
    pub fn digest(&self) -> String {
        self.digests.all()
    }
}

/// SHA-256 of the rows of each of some tables.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Digests(Vec<(String, [u8; 32])>);

impl Digests {
    /// Takes the rows of a table as they pass.
    fn table(&mut self, name: &str, pass: impl FnOnce(&mut Sha256) -> Result<u64, Fault>) -> Result<u64, Fault> {
        let mut hash = Sha256::new();
        let rows = pass(&mut hash)?;
        self.0.push((name.to_owned(), hash.finalize().into()));
        Ok(rows)
    }

    /// Of all together, whatever the order in which the tables came.
    fn all(&self) -> String {
        let mut tables: Vec<_> = self.0.iter().collect();
        tables.sort();
        let mut hash = Sha256::new();
        for (name, rows) in tables {
            hash.update(name);
            hash.update(rows);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Takes rows into a hash. Two databases write the same array with and without spaces.
fn hash_rows(hash: &mut Sha256, rows: &[String]) -> Result<(), Fault> {
    for row in rows {
        let value: serde_json::Value =
            serde_json::from_str(row).map_err(|error| Fault::Internal(format!("a row that is no JSON: {error}")))?;
        hash.update(value.to_string());
        hash.update("\n");
    }
    Ok(())
}

/// Copies those tables of a database that are wanted into it from another, empty as they are but for what its schema begins with, and reads it
/// all back. Both connections must be in a transaction: the source's is the snapshot.
///
/// Errors: `Fault::Internal` for a table that the source has not or has otherwise, and where other rows are read back than were copied.
pub fn copy(from: &mut Conn, to: &mut Conn, wanted: impl Fn(&str) -> bool) -> Result<Copied, Fault> {
    let there = tables(from)?;
    let here: Vec<Table> = tables(to)?.into_iter().filter(|table| wanted(&table.name)).collect();
    let sqlite = matches!(to, Conn::Sqlite(_));
    let mut copied = Copied::default();
    for table in &here {
        let names = |table: &Table| table.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
        let same = |other: &&Table| other.name == table.name && names(other) == names(table);
        let source = there.iter().find(same).ok_or_else(|| Fault::Internal(format!("the table {} is not in both alike", table.name)))?;
        begin_anew(to, table)?;
        let writing = table.writing(sqlite);
        copied.tables += 1;
        copied.rows += copied.digests.table(&table.name, |hash| {
            each_batch(from, source, |batch| {
                hash_rows(hash, batch)?;
                let rows = format!("[{}]", batch.join(","));
                match to {
                    Conn::Sqlite(c) => sql_query(&writing).bind::<Text, _>(rows).execute(c)?,
                    Conn::Postgres(c) => sql_query(&writing).bind::<Text, _>(rows).execute(c)?,
                };
                Ok(())
            })
        })?;
    }
    match read(to, wanted)? == copied {
        true => Ok(copied),
        false => Err(Fault::Internal("what was written is not what was read".into())),
    }
}

/// Reads those tables that are wanted, as if they had been copied. The connection must be in a transaction.
pub fn read(conn: &mut Conn, wanted: impl Fn(&str) -> bool) -> Result<Copied, Fault> {
    let mut read = Copied::default();
    for table in tables(conn)?.iter().filter(|table| wanted(&table.name)) {
        read.tables += 1;
        read.rows += read.digests.table(&table.name, |hash| each_batch(conn, table, |batch| hash_rows(hash, batch)))?;
    }
    Ok(read)
}

/// Takes away what the schema itself put into a table. One that refuses that has nothing in it.
fn begin_anew(to: &mut Conn, table: &Table) -> Result<(), Fault> {
    match count(to, table)? {
        0 => Ok(()),
        _ => to.batch(&format!("DELETE FROM {}", quoted(&table.name))),
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

fn count(conn: &mut Conn, table: &Table) -> Result<i64, Fault> {
    let sql = format!("SELECT count(*) AS rows FROM {}", quoted(&table.name));
    let found: Count = match conn {
        Conn::Sqlite(c) => sql_query(sql).get_result(c)?,
        Conn::Postgres(c) => sql_query(sql).get_result(c)?,
    };
    Ok(found.rows)
}
