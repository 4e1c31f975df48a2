//! The SQL of persons: who they are, under which identities, where they belong.

use std::collections::HashMap;

use diesel::prelude::*;

use super::{Affiliation, Identity, NewPerson, Person};
use crate::id::{Id, InstitutionId, PersonId};
use crate::store::{Conn, Fault, Page, narrowed, on, paged};
use crate::time::Time;

mod tables {
    diesel::table! {
        persons (id) {
            id -> BigInt, name -> Text, institution -> Nullable<BigInt>, not_before -> Nullable<BigInt>, version -> Integer,
        }
    }
    diesel::table! {
        person_revisions (id) { id -> BigInt, person -> BigInt, name -> Text, institution -> Nullable<BigInt>, }
    }
    diesel::table! {
        identities (issuer, subject) { issuer -> Text, subject -> Text, person -> BigInt, }
    }
    diesel::table! {
        affiliations (id) { id -> BigInt, person -> BigInt, institution -> BigInt, since -> BigInt, declared_by -> BigInt, }
    }
    diesel::allow_tables_to_appear_in_same_query!(persons, identities);
}
use tables::{affiliations, identities, person_revisions, persons};

/// Which persons to list: `None` means any, an empty list none.
#[derive(Clone, Default, Debug)]
pub struct Of {
    /// Only these.
    pub ids: Option<Vec<i64>>,
    /// Only those of these institutions.
    pub institutions: Option<Vec<i64>>,
    /// Only those with an identity under one of these names.
    pub subjects: Option<Vec<String>>,
}

type PersonRow = (i64, String, Option<i64>, Option<i64>, i32);

/// Persons, a page, with their identities.
pub fn persons(conn: &mut Conn, of: &Of, page: Page) -> Result<Vec<Person>, Fault> {
    let rows: Vec<PersonRow> = on!(conn, c => {
        let mut query = persons::table.into_boxed();
        narrowed!(query, persons::id => of.ids, persons::institution => of.institutions);
        if let Some(subjects) = &of.subjects {
            query = query.filter(persons::id.eq_any(identities::table.filter(identities::subject.eq_any(subjects)).select(identities::person)));
        }
        paged!(query, persons::id, page, c)
    })?;
    let mut names = identities_of(conn, &rows.iter().map(|row| row.0).collect::<Vec<_>>())?;
    let noun = |(id, name, institution, not_before, version): PersonRow| Person {
        id: PersonId::from_stamp(id),
        about: NewPerson {
            name,
            institution: institution.map(InstitutionId::from_stamp),
            identities: names.remove(&id).unwrap_or_default(),
        },
        not_before: not_before.map(Time::from_micros),
        version,
    };
    Ok(rows.into_iter().map(noun).collect())
}

/// The identities of these persons, in the order of their names.
fn identities_of(conn: &mut Conn, persons: &[i64]) -> Result<HashMap<i64, Vec<Identity>>, Fault> {
    let mut found: HashMap<i64, Vec<Identity>> = HashMap::new();
    for some in persons.chunks(1000) {
        let rows: Vec<(String, String, i64)> = on!(conn, c => {
            let theirs = identities::table.filter(identities::person.eq_any(some));
            theirs.order((identities::issuer, identities::subject)).load(c)
        })?;
        for (issuer, subject, person) in rows {
            found.entry(person).or_default().push(Identity { issuer, subject });
        }
    }
    Ok(found)
}

/// The person behind an identity.
pub fn person(conn: &mut Conn, issuer: &str, subject: &str) -> Result<Option<PersonId>, Fault> {
    let found = identities::table.find((issuer, subject)).select(identities::person);
    let id: Option<i64> = on!(conn, c => found.first(c).optional())?;
    Ok(id.map(PersonId::from_stamp))
}

pub(super) fn insert_person(conn: &mut Conn, id: i64, new: &NewPerson) -> Result<(), Fault> {
    let institution = new.institution.map(InstitutionId::stamp);
    let row = (persons::id.eq(id), persons::name.eq(&new.name), persons::institution.eq(institution), persons::version.eq(1));
    on!(conn, c => diesel::insert_into(persons::table).values(row).execute(c))?;
    new.identities.iter().try_for_each(|identity| insert_identity(conn, id, identity))
}

pub(super) fn insert_identity(conn: &mut Conn, person: i64, identity: &Identity) -> Result<(), Fault> {
    let row = (identities::issuer.eq(&identity.issuer), identities::subject.eq(&identity.subject), identities::person.eq(person));
    on!(conn, c => diesel::insert_into(identities::table).values(row).execute(c))?;
    Ok(())
}

/// Keeps what a person was until the entry with this stamp.
pub(super) fn insert_revision(conn: &mut Conn, id: i64, was: &Person) -> Result<(), Fault> {
    let row = (
        person_revisions::id.eq(id),
        person_revisions::person.eq(was.id.stamp()),
        person_revisions::name.eq(&was.about.name),
        person_revisions::institution.eq(was.about.institution.map(InstitutionId::stamp)),
    );
    on!(conn, c => diesel::insert_into(person_revisions::table).values(row).execute(c))?;
    Ok(())
}

pub(super) fn rename(conn: &mut Conn, id: PersonId, name: &str, institution: Option<InstitutionId>) -> Result<(), Fault> {
    let change = (persons::name.eq(name), persons::institution.eq(institution.map(InstitutionId::stamp)));
    on!(conn, c => diesel::update(persons::table.find(id.stamp())).set(change).execute(c))?;
    Ok(())
}

/// Takes away who a person was and what they were called before.
pub(super) fn erase(conn: &mut Conn, id: PersonId) -> Result<(), Fault> {
    let (own, before) = (persons::table.find(id.stamp()), person_revisions::table.filter(person_revisions::person.eq(id.stamp())));
    on!(conn, c => diesel::update(own).set((persons::name.eq(""), persons::version.eq(persons::version + 1))).execute(c))?;
    on!(conn, c => diesel::update(before).set(person_revisions::name.eq("")).execute(c))?;
    on!(conn, c => diesel::delete(identities::table.filter(identities::person.eq(id.stamp()))).execute(c))?;
    Ok(())
}

/// Moves the version on.
pub(super) fn touch(conn: &mut Conn, id: PersonId) -> Result<(), Fault> {
    on!(conn, c => diesel::update(persons::table.find(id.stamp())).set(persons::version.eq(persons::version + 1)).execute(c))?;
    Ok(())
}

pub(super) fn set_not_before(conn: &mut Conn, id: PersonId, at: Time) -> Result<(), Fault> {
    let change = persons::not_before.eq(at.micros());
    on!(conn, c => diesel::update(persons::table.find(id.stamp())).set(change).execute(c))?;
    Ok(())
}

/// The affiliations that a person declared, a page.
pub fn affiliations(conn: &mut Conn, person: Option<PersonId>, page: Page) -> Result<Vec<Affiliation>, Fault> {
    let rows: Vec<(i64, i64, i64, i64, i64)> = on!(conn, c => {
        let mut query = affiliations::table.into_boxed();
        if let Some(person) = person { query = query.filter(affiliations::person.eq(person.stamp())); }
        paged!(query, affiliations::id, page, c)
    })?;
    let noun = |(id, person, institution, since, declared_by)| Affiliation {
        id: Id::from_stamp(id),
        person: PersonId::from_stamp(person),
        institution: InstitutionId::from_stamp(institution),
        since: Time::from_micros(since),
        declared_by: PersonId::from_stamp(declared_by),
    };
    Ok(rows.into_iter().map(noun).collect())
}

pub(super) fn insert_affiliation(conn: &mut Conn, made: &Affiliation) -> Result<(), Fault> {
    let row = (
        affiliations::id.eq(made.id.stamp()),
        affiliations::person.eq(made.person.stamp()),
        affiliations::institution.eq(made.institution.stamp()),
        affiliations::since.eq(made.since.micros()),
        affiliations::declared_by.eq(made.declared_by.stamp()),
    );
    on!(conn, c => diesel::insert_into(affiliations::table).values(row).execute(c))?;
    Ok(())
}
