//! The SQL of who may what: the state of everybody's rights, revoked tokens, the sequence with which they last changed.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::Standing;
use crate::directory::binding::{self, Binding, Of};
use crate::directory::person::{self, Identity};
use crate::store::{Conn, Fault, Page, on};
use crate::time::{DAY, Time};

mod tables {
    diesel::table! {
        rights (one) { one -> BigInt, seq -> BigInt, }
    }
    diesel::table! {
        revoked_tokens (issuer, token) { issuer -> Text, token -> Text, expires_at -> BigInt, }
    }
}
use tables::{revoked_tokens, rights};

/// The sequence of the last entry that changed who may what.
pub fn seq(conn: &mut Conn) -> Result<i64, Fault> {
    Ok(on!(conn, c => rights::table.select(rights::seq).first(c))?)
}

pub(super) fn set_seq(conn: &mut Conn, seq: i64) -> Result<(), Fault> {
    on!(conn, c => diesel::update(rights::table).set(rights::seq.eq(seq)).execute(c))?;
    Ok(())
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    issuer: String,
    #[diesel(sql_type = Text)]
    subject: String,
    #[diesel(sql_type = BigInt)]
    person: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    not_before: Option<i64>,
}

/// The standings of all of whom there is more to say than that they exist, each with their identities: persons with bindings, with
/// revoked tokens, or with several identities.
pub(super) fn standings(conn: &mut Conn) -> Result<Vec<(Standing, Vec<Identity>)>, Fault> {
    const TOLD_OF: &str = "SELECT i.issuer, i.subject, i.person, p.not_before FROM identities i JOIN persons p ON p.id = i.person
        WHERE p.not_before IS NOT NULL OR p.id IN (SELECT person FROM role_bindings)
        OR p.id IN (SELECT person FROM identities GROUP BY person HAVING count(*) > 1) ORDER BY i.person";
    let rows: Vec<Named> = on!(conn, c => sql_query(TOLD_OF).load(c))?;
    let mut bindings: HashMap<i64, Vec<Binding>> = HashMap::new();
    for binding in binding::store::bindings(conn, &Of::default(), Page::ALL)? {
        bindings.entry(binding.person.stamp()).or_default().push(binding);
    }
    let mut found = Vec::new();
    for theirs in rows.chunk_by(|one, other| one.person == other.person) {
        let Some(first) = theirs.first() else { continue };
        let issuers = theirs.iter().map(|row| row.issuer.clone()).collect();
        let bound = bindings.get(&first.person).map(Vec::as_slice).unwrap_or_default();
        let identity = |row: &Named| Identity { issuer: row.issuer.clone(), subject: row.subject.clone() };
        let standing = Standing::new(bound, issuers, first.not_before.map(Time::from_micros));
        found.push((standing, theirs.iter().map(identity).collect()));
    }
    Ok(found)
}

/// The standing of who signs in under one identity; `None` where nobody is known by it.
pub(super) fn standing(conn: &mut Conn, issuer: &str, subject: &str) -> Result<Option<Standing>, Fault> {
    let Some(id) = person::store::person(conn, issuer, subject)? else { return Ok(None) };
    let found = person::person(conn, id)?.ok_or_else(|| Fault::Internal(format!("identity of {id}, who is not there")))?;
    let issuers = found.about.identities.into_iter().map(|identity| identity.issuer).collect();
    Ok(Some(Standing::new(&binding::of_person(conn, id)?, issuers, found.not_before)))
}

/// Every token that was revoked: issuer and its own id.
pub(super) fn revoked_tokens(conn: &mut Conn) -> Result<Vec<(String, String)>, Fault> {
    Ok(on!(conn, c => revoked_tokens::table.select((revoked_tokens::issuer, revoked_tokens::token)).load(c))?)
}

pub(super) fn is_revoked(conn: &mut Conn, issuer: &str, token: &str) -> Result<bool, Fault> {
    let found = revoked_tokens::table.find((issuer, token));
    Ok(on!(conn, c => diesel::select(diesel::dsl::exists(found)).get_result(c))?)
}

/// Clocks may disagree, so what has expired is kept for a day more.
pub(super) fn revoke_token(conn: &mut Conn, issuer: &str, token: &str, expires_at: Time, now: Time) -> Result<(), Fault> {
    let gone = revoked_tokens::table.filter(revoked_tokens::expires_at.lt(now.plus(-DAY).micros()));
    on!(conn, c => diesel::delete(gone).execute(c))?;
    on!(conn, c => diesel::delete(revoked_tokens::table.find((issuer, token))).execute(c))?;
    let row = (revoked_tokens::issuer.eq(issuer), revoked_tokens::token.eq(token), revoked_tokens::expires_at.eq(expires_at.micros()));
    on!(conn, c => diesel::insert_into(revoked_tokens::table).values(row).execute(c))?;
    Ok(())
}
