//! The SQL of audits.

use diesel::prelude::*;

use super::super::verify::{Law, Verification, titles};
use crate::store::{Conn, Fault, on};
use crate::time::Time;

mod tables {
    diesel::table! {
        audits (law) {
            law -> BigInt, ran_at -> BigInt, entries -> BigInt, postings -> BigInt, checked -> BigInt, broken -> BigInt, findings -> Text,
        }
    }
}
use tables::audits;

type Row = (i64, i64, i64, i64, i64, i64, String);

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Keeps what was found in the place of what was found before.
pub(super) fn replace(conn: &mut Conn, found: &Verification, ran_at: Time) -> Result<(), Fault> {
    on!(conn, c => diesel::delete(audits::table).execute(c))?;
    for law in &found.laws {
        let findings = serde_json::json!(law.findings).to_string();
        let row = (
            audits::law.eq(i64::from(law.number)),
            audits::ran_at.eq(ran_at.micros()),
            audits::entries.eq(whole(found.entries)),
            audits::postings.eq(whole(found.postings)),
            audits::checked.eq(whole(law.checked)),
            audits::broken.eq(whole(law.broken)),
            audits::findings.eq(findings),
        );
        on!(conn, c => diesel::insert_into(audits::table).values(row).execute(c))?;
    }
    Ok(())
}

/// What was found last, and when.
pub(super) fn last(conn: &mut Conn) -> Result<Option<(Time, Verification)>, Fault> {
    let rows: Vec<Row> = on!(conn, c => audits::table.order(audits::law).load(c))?;
    let Some((_, ran_at, entries, postings, ..)) = rows.first() else { return Ok(None) };
    let (ran_at, entries, postings) = (Time::from_micros(*ran_at), entries.unsigned_abs(), postings.unsigned_abs());
    let mut laws = Vec::with_capacity(rows.len());
    for ((law, _, _, _, checked, broken, findings), (number, title)) in rows.into_iter().zip(titles()) {
        let findings = serde_json::from_str(&findings).map_err(|_| Fault::Internal(format!("the findings of law {law} can't be read")))?;
        laws.push(Law { number, title, checked: checked.unsigned_abs(), broken: broken.unsigned_abs(), findings });
    }
    Ok(Some((ran_at, Verification { entries, postings, laws })))
}
