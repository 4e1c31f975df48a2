//! Byte strings of a known length out of a column: keys and digests, without an allocation each.

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::sql_types::Binary;

/// Sixteen bytes, as they are read.
#[derive(FromSqlRow, Clone, Copy, Debug)]
pub struct Sixteen([u8; 16]);

impl From<Sixteen> for [u8; 16] {
    fn from(read: Sixteen) -> [u8; 16] {
        read.0
    }
}

impl<DB: Backend> FromSql<Binary, DB> for Sixteen
where
    Vec<u8>: FromSql<Binary, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Sixteen> {
        let bytes = Vec::from_sql(bytes)?;
        Ok(Sixteen(bytes.as_slice().try_into()?))
    }
}
