//! Audits: what the last verification by the service found, law by law, and what follows from it.
//!
//! The service verifies its own books again and again. Where a law is broken it stops the writing of every process, since what is built on
//! books that do not hold only hides the fault; reads go on. What it stopped only an operator starts again, by verifying the books once
//! more when they hold. It may not know how the laws are verified.

pub mod store;

use crate::store::{Conn, Fault, Work};
use crate::time::Time;

use super::verify::{Law, Verification};

/// What the last audit found.
#[derive(Clone, Debug)]
pub struct Audit {
    /// When it ran.
    pub ran_at: Time,
    /// What it found.
    pub found: Verification,
    /// Why nothing is written any more, if that is so.
    pub stopped: Option<String>,
}

/// What was found of the first law that is broken, for those whose writing is stopped by it.
fn words(law: &Law) -> String {
    format!("law {} is broken ({})", law.number, law.title)
}

/// Keeps what a verification found, and stops all writing where a law is broken; whether it did so now. What began before the last one that
/// is known says nothing any more: the books may have been mended since.
pub fn record(work: &mut Work<'_>, found: &Verification, ran_at: Time) -> Result<bool, Fault> {
    let conn = work.sql_beside()?;
    if store::last(conn)?.is_some_and(|(known, _)| known > ran_at) {
        return Ok(false);
    }
    store::replace(conn, found, ran_at)?;
    let Some(law) = found.laws.iter().find(|law| law.broken > 0) else { return Ok(false) };
    if conn.stopped()?.is_some() {
        return Ok(false);
    }
    conn.set_stopped(Some(&words(law)))?;
    Ok(true)
}

/// Lets the writing go on, where a verification has found that all laws hold; whether it was stopped.
pub fn clear(work: &mut Work<'_>, found: &Verification, ran_at: Time) -> Result<bool, Fault> {
    let conn = work.sql_beside()?;
    let stopped = conn.stopped()?.is_some();
    if stopped && found.holds() {
        store::replace(conn, found, ran_at)?;
        conn.set_stopped(None)?;
    }
    Ok(stopped && found.holds())
}

/// The last audit, if there was one.
pub fn last(conn: &mut Conn) -> Result<Option<Audit>, Fault> {
    let stopped = conn.stopped()?;
    Ok(store::last(conn)?.map(|(ran_at, found)| Audit { ran_at, found, stopped }))
}
