//! The SQL of erasures, and of the identities that are known by their hash alone.

use diesel::prelude::*;

use super::{Erasure, Ground};
use crate::id::{Id, PersonId};
use crate::ledger::handle::Identities;
use crate::store::{Conn, Fault, Page, narrowed, on, paged};

mod tables {
    diesel::table! {
        erasures (id) {
            id -> BigInt, seq -> BigInt, erased_by -> BigInt, ground -> Text, person -> Nullable<BigInt>, charges -> BigInt,
            records -> BigInt,
        }
    }
    diesel::table! {
        erased_identities (digest) { digest -> Binary, person -> BigInt, }
    }
}
use tables::{erased_identities, erasures};

type Row = (i64, i64, i64, String, Option<i64>, i64, i64);

/// Erasures, these or all, a page.
pub fn erasures(conn: &mut Conn, ids: &Option<Vec<i64>>, page: Page) -> Result<Vec<Erasure>, Fault> {
    let rows: Vec<Row> = on!(conn, c => {
        let mut query = erasures::table.into_boxed();
        narrowed!(query, erasures::id => *ids);
        paged!(query, erasures::id, page, c)
    })?;
    rows.into_iter().map(noun).collect()
}

fn noun((id, seq, by, ground, person, charges, records): Row) -> Result<Erasure, Fault> {
    let ground = Ground::of(&ground).ok_or_else(|| Fault::Internal(format!("erasure {id} in the database: ground {ground:?}")))?;
    let (by, person) = (PersonId::from_stamp(by), person.map(PersonId::from_stamp));
    Ok(Erasure { id: Id::from_stamp(id), seq, by, ground, person, charges, records })
}

pub(super) fn insert(conn: &mut Conn, made: &Erasure) -> Result<(), Fault> {
    let row = (
        erasures::id.eq(made.id.stamp()),
        erasures::seq.eq(made.seq),
        erasures::erased_by.eq(made.by.stamp()),
        erasures::ground.eq(made.ground.word()),
        erasures::person.eq(made.person.map(PersonId::stamp)),
        erasures::charges.eq(made.charges),
        erasures::records.eq(made.records),
    );
    on!(conn, c => diesel::insert_into(erasures::table).values(row).execute(c))?;
    Ok(())
}

/// Keeps an identity by its hash alone.
pub(in crate::directory) fn insert_identity(conn: &mut Conn, person: PersonId, issuer: &str, subject: &str) -> Result<(), Fault> {
    let digest = Identities::read(conn)?.digest(issuer, subject);
    let row = (erased_identities::digest.eq(digest), erased_identities::person.eq(person.stamp()));
    on!(conn, c => diesel::insert_into(erased_identities::table).values(row).execute(c))?;
    Ok(())
}

/// Whether an identity is that of a person who was erased.
pub fn has_identity(conn: &mut Conn, issuer: &str, subject: &str) -> Result<bool, Fault> {
    let digest = Identities::read(conn)?.digest(issuer, subject);
    let found = erased_identities::table.find(digest);
    Ok(on!(conn, c => diesel::select(diesel::dsl::exists(found)).get_result(c))?)
}

/// The hashes of all identities of persons who were erased.
pub(in crate::directory) fn identities(conn: &mut Conn) -> Result<Vec<Vec<u8>>, Fault> {
    Ok(on!(conn, c => erased_identities::table.select(erased_identities::digest).load(c))?)
}
