//! Answers saved under idempotency keys, in the same commit as the effect they tell of.
//!
//! The key belongs to the caller (issuer, subject); a fingerprint of the question (method, path, body) tells a repeat from another
//! question under the same key. Refusals are not saved: nothing happened, so the question may be asked again.

use diesel::prelude::*;
use sha2::{Digest, Sha256};

use super::{Conn, Fault, Work, on};
use crate::actor::Actor;
use crate::refusal::{Code, Refusal};
use crate::time::{DAY, Time};

mod tables {
    diesel::table! {
        answers (asked) {
            asked -> Binary,
            fingerprint -> Binary,
            status -> Integer,
            location -> Nullable<Text>,
            etag -> Nullable<Text>,
            body -> Text,
            saved_at -> BigInt,
        }
    }
}
use tables::answers;

/// How long an answer is kept.
pub const KEPT: i64 = 90 * DAY;

/// What was asked, under whose key.
#[derive(Clone, Debug)]
pub struct Question {
    asked: Vec<u8>,
    fingerprint: Vec<u8>,
}

impl Question {
    /// A question of this actor under this key.
    pub fn new(actor: &Actor, key: &str, method: &str, path: &str, body: &[u8]) -> Question {
        let asked = digest(&[actor.issuer.as_bytes(), actor.subject.as_bytes(), key.as_bytes()]);
        Question { asked, fingerprint: digest(&[method.as_bytes(), path.as_bytes(), body]) }
    }
}

/// SHA-256 over the parts, each preceded by its length so that no two lists of parts give the same bytes.
fn digest(parts: &[&[u8]]) -> Vec<u8> {
    let hash = parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update((part.len() as u64).to_be_bytes()).chain_update(part));
    hash.finalize().to_vec()
}

/// What was answered.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Insertable)]
#[diesel(table_name = answers)]
pub struct Answer {
    /// HTTP status.
    pub status: i32,
    /// `Location` header.
    pub location: Option<String>,
    /// `ETag` header.
    pub etag: Option<String>,
    /// The JSON text.
    pub body: String,
}

/// Carries out the verb unless its answer is already there; says whether the answer is a replay.
///
/// Errors: `idempotency_key_reused` when the key was used for another question; whatever the verb refuses.
pub fn once(
    work: &mut Work<'_>,
    question: &Question,
    verb: impl FnOnce(&mut Work<'_>) -> Result<Answer, Fault>,
) -> Result<(Answer, bool), Fault> {
    if let Some((fingerprint, answer)) = find(work.sql()?, question)? {
        if fingerprint != question.fingerprint {
            return Err(Refusal::new(Code::IdempotencyKeyReused, Code::IdempotencyKeyReused.title()).into());
        }
        return Ok((answer, true));
    }
    let answer = verb(work)?;
    let now = work.now();
    let row =
        (answers::asked.eq(&question.asked), answers::fingerprint.eq(&question.fingerprint), &answer, answers::saved_at.eq(now.micros()));
    on!(work.sql_beside()?, c => diesel::insert_into(answers::table).values(row).execute(c))?;
    Ok((answer, false))
}

type Found = Option<(Vec<u8>, Answer)>;

fn find(conn: &mut Conn, question: &Question) -> Result<Found, Fault> {
    let columns = (answers::fingerprint, (answers::status, answers::location, answers::etag, answers::body));
    Ok(on!(conn, c => answers::table.find(&question.asked).select(columns).first(c).optional())?)
}

/// What an answer says that told of what was erased.
const ERASED: &str = r#"{"object":"erased"}"#;

/// Takes away what was answered about the objects at these places; that something was answered stays, so that nothing is done twice. Reads
/// all answers.
pub fn forget(conn: &mut Conn, places: &[String]) -> Result<(), Fault> {
    for some in places.chunks(1000) {
        let told = answers::table.filter(answers::location.eq_any(some));
        on!(conn, c => diesel::update(told).set(answers::body.eq(ERASED)).execute(c))?;
    }
    Ok(())
}

/// Whether any answer has been kept long enough.
pub fn is_old(conn: &mut Conn, now: Time) -> Result<bool, Fault> {
    let old = answers::table.filter(answers::saved_at.lt(now.plus(-KEPT).micros()));
    Ok(on!(conn, c => diesel::select(diesel::dsl::exists(old)).get_result(c))?)
}

/// Removes the answers that have been kept long enough; how many.
pub fn purge(work: &mut Work<'_>) -> Result<usize, Fault> {
    let now = work.now();
    if !is_old(work.sql()?, now)? {
        return Ok(0);
    }
    let old = answers::table.filter(answers::saved_at.lt(now.plus(-KEPT).micros()));
    Ok(on!(work.sql_mut()?, c => diesel::delete(old).execute(c))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Database, Store};
    use crate::time::Clock;

    #[test]
    fn an_answer_is_kept_and_leaves_what_is_remembered_true() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&Database::in_folder(folder.path()), Clock::system()).expect("a store");
        let ask = |key: &'static str| {
            let asked = store.write(move |work| {
                let question = Question::new(&Actor::operator("a"), key, "POST", "/v1/holds", b"{}");
                let before = work.epoch();
                let verb = |work: &mut Work<'_>| {
                    let body = work.take().seq.to_string();
                    Ok(Answer { status: 201, location: None, etag: None, body })
                };
                let (answer, replayed) = once(work, &question, verb)?;
                Ok((answer.body, replayed, work.epoch() - before))
            });
            asked.expect("an answer")
        };
        assert_eq!(ask("one"), ("1".into(), false, 0));
        assert_eq!(ask("two"), ("2".into(), false, 0));
        assert_eq!(ask("one"), ("1".into(), true, 0));
    }
}
