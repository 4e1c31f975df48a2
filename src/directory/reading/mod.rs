//! What auditors read of what tells of persons and jobs: who reads everything is seen reading.

pub mod store;

use serde_json::json;

use crate::id::{Id, Person as PersonKind, PersonId};
use crate::ledger::{self, Draft, Kind};
use crate::store::{Fault, Work};

/// One reading.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reading {
    /// When and in which entry it was recorded.
    pub id: Id<PersonKind>,
    /// Who read.
    pub person: PersonId,
    /// What was asked for: the operation of the API.
    pub operation: String,
    /// The identifier in the address, if it has one. What was searched for is not kept, since it may name persons.
    pub object: Option<String>,
}

/// Records a reading, before what was read is handed out.
pub fn record(work: &mut Work<'_>, who: PersonId, operation: &str, object: Option<&str>) -> Result<(), Fault> {
    let body = json!({"operation": operation, "object": object});
    let birth = ledger::post(work, Draft::note(Kind::Reading, who, work.now(), &body))?;
    let made = Reading { id: Id::from_stamp(birth.stamp), person: who, operation: operation.into(), object: object.map(String::from) };
    store::insert_reading(work.sql_beside()?, &made)
}
