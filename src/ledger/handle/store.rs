//! The SQL of the books' secrets.

use diesel::prelude::*;

use crate::store::{Conn, Fault, on};

mod tables {
    diesel::table! {
        secrets (name) { name -> Text, secret -> Binary, }
    }
}
use tables::secrets;

/// The secret of that name, which was made with the schema.
pub(super) fn secret(conn: &mut Conn, name: &str) -> Result<Vec<u8>, Fault> {
    let kept = secrets::table.find(name).select(secrets::secret);
    let found: Option<Vec<u8>> = on!(conn, c => kept.first(c).optional())?;
    found.ok_or_else(|| Fault::Internal(format!("the books have no secret {name:?}")))
}
