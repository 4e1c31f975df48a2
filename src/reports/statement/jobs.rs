//! The names of the jobs behind a statement's charges, as they are known now: beside the text, since they may have to be erased.

use std::collections::HashMap;

use serde_json::Value;

use crate::id::ChargeId;
use crate::store::{Conn, Fault};
use crate::usage;

use super::text::Text;

/// Names of jobs by their charges.
pub type Jobs = HashMap<ChargeId, String>;

/// What stands for the name of a job whose record was erased.
const ERASED: &str = "erased";

/// Rows that are looked up by one statement.
const LOOKUP: usize = 1000;

/// The names of the jobs that a text's lines are about; none for a donor, whose lines name no charge.
pub fn jobs(conn: &mut Conn, text: &Text) -> Result<Jobs, Fault> {
    let mut seqs: Vec<i64> = text.sections.iter().flat_map(|section| &section.lines).filter_map(|line| line.charge_seq).collect();
    seqs.sort_unstable();
    seqs.dedup();
    let mut found = Jobs::with_capacity(seqs.len());
    for some in seqs.chunks(LOOKUP) {
        let rows = usage::store::charges_of_entries(conn, some)?;
        found.extend(rows.iter().filter_map(|row| Some((row.id(), if row.is_erased() { ERASED.into() } else { name(&row.said)? }))));
    }
    Ok(found)
}

/// A job by its scheduler's name for it, else by the provider's.
fn name(record: &str) -> Option<String> {
    let record: Value = serde_json::from_str(record).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let (cluster, id) = (text(&record["job"]["cluster"]), text(&record["job"]["id"]));
    match (cluster, id) {
        (Some(cluster), Some(id)) => Some(format!("{cluster} {id}")),
        (None, Some(id)) => Some(id),
        _ => text(&record["external_id"]),
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_job_goes_by_its_schedulers_name() {
        let named = |record: &str| name(record);
        assert_eq!(named(r#"{"external_id":"x","job":{"cluster":"lab","id":"47"}}"#).as_deref(), Some("lab 47"));
        assert_eq!(named(r#"{"external_id":"x","job":{"id":"47"}}"#).as_deref(), Some("47"));
        assert_eq!(named(r#"{"external_id":"x"}"#).as_deref(), Some("x"));
        assert_eq!(named("erased"), None);
    }
}
