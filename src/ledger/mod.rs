//! Double entry: journal, accounts, transactions, balances. The only writer of postings.
//!
//! Verbs prepare lines, load the accounts they touch, decide in memory and stage rows; nothing is written for what is refused. Every
//! transaction sums to zero in one unit, no asset falls below zero, each line carries its number in its account and the balance
//! after it. It may not know what a donation or a job is. Bounds: 1,023 accounts a transaction, 2^53 entries.

pub mod account;
pub mod handle;
mod books;
pub mod journal;
pub mod store;

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::amount::Unit;
use crate::id::PersonId;
use crate::refusal::{Code, Refusal};
use crate::store::{Birth, Fault, Work};
pub use account::{Bucket, Class, Key};
use books::Books;
pub use journal::{Draft, Entry, Kind, Line};

/// What there is mostly one or two of, in place as long as it is no more than four: lines of a transaction, lots behind a grant.
pub type Few<T> = SmallVec<[T; 4]>;

/// Posts an entry; its place in the journal. The draft may name the birth beforehand, as an object born in the entry must.
///
/// Errors: `insufficient_credits` (with `shortfall`) when an asset would fall below zero; `validation_failed` beyond 64 bits.
pub fn post(work: &mut Work<'_>, draft: Draft) -> Result<Birth, Fault> {
    let (birth, lines) = post_apart(work, &draft)?;
    work.room::<Books>()?.enter(birth, draft, lines);
    Ok(birth)
}

/// As `post`, for whoever writes the entry's row as part of a row of its own, where the journal finds it: the place, and the text of the
/// postings, which nothing else keeps.
pub fn post_apart(work: &mut Work<'_>, draft: &Draft) -> Result<(Birth, Option<String>), Fault> {
    let (books, link) = work.room_and_link::<Books>()?;
    let lines = books.decide(link, draft)?;
    let birth = work.take();
    let (books, link) = work.room_and_link::<Books>()?;
    let lines = books.stage(link, birth, draft.unit, lines)?;
    Ok((birth, lines))
}

/// The balance of one account as this writer knows it.
pub fn balance(work: &mut Work<'_>, key: Key) -> Result<i64, Fault> {
    let (books, link) = work.room_and_link::<Books>()?;
    books.balance(link, key)
}

/// The balances of several accounts, in the order of the keys.
pub fn balances(work: &mut Work<'_>, keys: impl IntoIterator<Item = Key>) -> Result<Few<i64>, Fault> {
    let (books, link) = work.room_and_link::<Books>()?;
    keys.into_iter().map(|key| books.balance(link, key)).collect()
}

/// All accounts of a grant that have ever been posted to. Anything staged is written first.
pub fn accounts_of_grant(work: &mut Work<'_>, grant: i64) -> Result<Vec<Key>, Fault> {
    work.sql()?;
    let (books, link) = work.room_and_link::<Books>()?;
    books.load_grant(link, grant)
}

/// The unit of a code among those known. Errors: `validation_failed` with `unit_unknown` at the pointer.
pub fn find_unit(units: &HashMap<String, Unit>, code: &str, pointer: &str) -> Result<Unit, Refusal> {
    let unknown = || Refusal::field(pointer, crate::refusal::FieldCode::UnitUnknown, format!("There is no unit {code:?}."));
    units.get(code).copied().ok_or_else(unknown)
}

/// Every unit by its code.
pub fn units(work: &mut Work<'_>) -> Result<HashMap<String, Unit>, Fault> {
    let (books, link) = work.room_and_link::<Books>()?;
    Ok(books.units(link)?.clone())
}

/// Defines a unit. Errors: `duplicate_external_id` when its code is taken.
pub fn add_unit(work: &mut Work<'_>, who: PersonId, unit: Unit, name: &str) -> Result<Birth, Fault> {
    if units(work)?.contains_key(unit.code()) {
        let detail = format!("The unit {} exists; its scale and name stay as they are.", unit.code());
        return Err(Refusal::new(Code::DuplicateExternalId, detail).into());
    }
    let now = work.now();
    let body = serde_json::json!({"code": unit.code(), "scale": unit.scale(), "name": name});
    let birth = post(work, Draft::note(Kind::Unit, who, now, &body))?;
    store::insert_unit(work.sql_mut()?, unit, name, birth.stamp)?;
    work.room::<Books>()?.learn(unit);
    Ok(birth)
}

/// Posts the exact mirror of a transaction, once, naming it. An adjustment takes two persons: who booked and who takes it back.
///
/// Errors: `self_approval` by who booked it; `already_reversed`; `not_reversible` for an entry that moved nothing, that the clock booked or
/// that is itself a reversal; `insufficient_credits` when an asset would fall below zero. Whether the kind may be reversed at all is for the
/// room that posted it to say.
pub fn reverse(work: &mut Work<'_>, who: PersonId, entry: &Entry, reason: &str) -> Result<Birth, Fault> {
    let Some((first, booked_by)) = entry.lines.first().zip(entry.actor).filter(|_| entry.kind != Kind::Reversal) else {
        return Err(Refusal::new(Code::NotReversible, Code::NotReversible.title()).into());
    };
    if booked_by == who {
        return Err(Refusal::new(Code::SelfApproval, "Who booked a transaction can't reverse it; another person can.").into());
    }
    if let Some(seq) = store::reversal_of(work.sql()?, entry.seq)? {
        return Err(Refusal::new(Code::AlreadyReversed, Code::AlreadyReversed.title()).with("reversal_seq", seq).into());
    }
    let mut draft = Draft::moving(Kind::Reversal, Some(who), entry.effective_at, first.unit).about(entry.recorded_at.micros());
    draft.lines = entry.lines.iter().map(|line| (line.account, -line.amount)).collect();
    let birth = post(work, draft)?;
    let row = store::Reversal { seq: birth.seq, reverses: entry.seq, booked_by, reversed_by: who };
    store::insert_reversal(work.sql_mut()?, &row, reason)?;
    Ok(birth)
}
