//! Statements: for a donor, a project or a provider, what the period opened with, what was recorded in it, what it closed with.
//!
//! A period is whole days that are over, so the journal up to its last entry says all that there is to say of it: the text is a function of
//! that, whoever asks and whenever, and its hash is kept when the statement is made. It is made again to be read and is never shown if it
//! hashes to something else. What does not add up is never shown either. It may not read what is ever changed or erased: states, persons,
//! names of jobs; these are looked up beside it, as they are known now (`jobs`). Bounds: 250,000 lines.

mod cells;
mod donor;
pub mod figures;
mod gather;
pub mod jobs;
pub mod page;
mod project;
mod provider;
pub mod rows;
pub mod store;
pub mod text;

use serde_json::json;

use crate::id::{DonorId, Id, InstitutionId, PersonId, ProjectId, StatementId};
use crate::ledger::{self, Draft, Kind};
use crate::refusal::{Code, FieldCode, Refusal};
use crate::store::{Conn, Fault, Page, Work};
use crate::time::{DAY, Period, Time};
pub use gather::Span;
pub use text::Text;

/// Of whom a statement is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whom {
    /// Who gave.
    Donor(DonorId),
    /// Who was granted.
    Project(ProjectId),
    /// Who reported usage.
    Provider(InstitutionId),
}

impl Whom {
    /// The words of the three kinds.
    pub const KINDS: &'static [&'static str] = &["donor", "project", "provider"];

    /// The kind's word.
    pub const fn kind(self) -> &'static str {
        match self {
            Whom::Donor(_) => "donor",
            Whom::Project(_) => "project",
            Whom::Provider(_) => "provider",
        }
    }

    /// From the kind's word and the stamp.
    pub fn of(kind: &str, stamp: i64) -> Option<Whom> {
        match kind {
            "donor" => Some(Whom::Donor(Id::from_stamp(stamp))),
            "project" => Some(Whom::Project(Id::from_stamp(stamp))),
            "provider" => Some(Whom::Provider(Id::from_stamp(stamp))),
            _ => None,
        }
    }

    /// The stamp.
    pub const fn stamp(self) -> i64 {
        match self {
            Whom::Donor(id) => id.stamp(),
            Whom::Project(id) => id.stamp(),
            Whom::Provider(id) => id.stamp(),
        }
    }

    /// The identifier.
    pub fn id(self) -> String {
        match self {
            Whom::Donor(id) => id.to_string(),
            Whom::Project(id) => id.to_string(),
            Whom::Provider(id) => id.to_string(),
        }
    }
}

/// A statement as it is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    /// Of whom.
    pub whom: Whom,
    /// Over which days.
    pub period: Period,
}

impl Asked {
    /// Of somebody over a period. Errors: `malformed` unless it is whole days, since finer ones would tell when each job was recorded;
    /// `time_in_future` unless they are over, since what is recorded later would not be in it.
    pub fn new(whom: Whom, period: Period, now: Time) -> Result<Asked, Refusal> {
        let whole = |time: Time| time.micros().rem_euclid(DAY) == 0;
        if !whole(period.from) || !whole(period.to) {
            return Err(Refusal::field(
                "/period",
                FieldCode::Malformed,
                "A statement's period begins and ends at the begin of a day, UTC.",
            ));
        }
        if period.to > now {
            let detail = format!("The period ends {}, which is not over; it is {} now, UTC.", period.to.plus(-1).day(), now.day());
            return Err(Refusal::field("/period/to", FieldCode::TimeInFuture, detail));
        }
        Ok(Asked { whom, period })
    }
}

/// A statement that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Made {
    /// Its identifier.
    pub id: StatementId,
    /// Of whom and over which days.
    pub asked: Asked,
    /// The last entry of the journal that it tells of.
    pub seq: i64,
    /// What its text hashes to.
    pub sha256: String,
    /// Who had it made first.
    pub made_by: PersonId,
}

/// A statement's text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drawn {
    /// What it says.
    pub text: Text,
    /// The same as bytes, by RFC 8785.
    pub canonical: Vec<u8>,
    /// Their SHA-256, in hexadecimal digits.
    pub sha256: String,
}

/// Draws a statement from the journal. Errors: `not_found`, `too_large`; internal where it does not add up.
pub fn draw(conn: &mut Conn, asked: &Asked) -> Result<Drawn, Fault> {
    let text = match asked.whom {
        Whom::Donor(id) => donor::text(conn, id, asked.period)?,
        Whom::Project(id) => project::text(conn, id, asked.period)?,
        Whom::Provider(id) => provider::text(conn, id, asked.period)?,
    };
    let canonical = text.canonical()?;
    let sha256 = text::sha256(&canonical);
    Ok(Drawn { text, canonical, sha256 })
}

/// Records that a statement was made, once for the same days of the same; whether this was the first time.
///
/// Errors: `busy` where the journal's clocks disagreed and the period was not over for all of them when the text was drawn.
pub fn record(work: &mut Work<'_>, who: PersonId, asked: &Asked, seq: i64, sha256: &str) -> Result<(Made, bool), Fault> {
    let span = Span::read(work.sql()?, asked.period)?;
    if span.last != seq {
        return Err(Refusal::new(Code::Busy, "Something was recorded on the period's last day just now.").into());
    }
    if let Some(made) = store::made(work.sql()?, asked)? {
        return match made.sha256 == sha256 {
            true => Ok((made, false)),
            false => Err(differs(made.id)),
        };
    }
    let body = json!({
        "kind": asked.whom.kind(), "whom": asked.whom.id(), "from": asked.period.from.day(), "to": asked.period.to.day(), "at": seq,
        "sha256": sha256,
    });
    let birth = ledger::post(work, Draft::note(Kind::Statement, who, work.now(), &body).about(asked.whom.stamp()))?;
    let made = Made { id: Id::from_stamp(birth.stamp), asked: *asked, seq, sha256: sha256.to_owned(), made_by: who };
    store::insert(work.sql_mut()?, &made)?;
    Ok((made, true))
}

/// One statement. Errors: `not_found`.
pub fn statement(conn: &mut Conn, id: StatementId) -> Result<Made, Fault> {
    let of = store::Of { ids: Some(vec![id.stamp()]), ..store::Of::default() };
    store::statements(conn, &of, Page::ALL)?.pop().ok_or_else(|| Refusal::not_found().into())
}

/// The text of a statement that was made, made again. Errors: internal where it is not the same.
pub fn read(conn: &mut Conn, made: &Made) -> Result<Drawn, Fault> {
    let drawn = draw(conn, &made.asked)?;
    match (drawn.text.seq, &drawn.sha256) == (made.seq, &made.sha256) {
        true => Ok(drawn),
        false => Err(differs(made.id)),
    }
}

fn differs(id: StatementId) -> Fault {
    Fault::Internal(format!("the text of {id} is not the one that was hashed when it was made"))
}
