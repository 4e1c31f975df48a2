//! The SQL of policies.

use diesel::prelude::*;

use super::{NewPolicy, Policy};
use crate::amount::{Amount, Unit};
use crate::id::{PersonId, PolicyId};
use crate::ledger::store::{unit_of, units};
use crate::store::{Conn, Fault, Page, narrowed, on, paged};
use crate::time::Time;

mod tables {
    diesel::table! {
        policies (id) {
            id -> BigInt, unit -> Text, two_above -> Nullable<BigInt>, three_above -> Nullable<BigInt>, carry_over -> Integer,
            refund_alone -> Nullable<BigInt>, proposed_by -> BigInt, confirmed_by -> Nullable<BigInt>, confirmed_at -> Nullable<BigInt>,
        }
    }
}
use tables::policies;

diesel::joinable!(policies -> units (unit));
diesel::allow_tables_to_appear_in_same_query!(policies, units);

type Row = ((i64, String, Option<i64>, Option<i64>, i32, Option<i64>, i64, Option<i64>, Option<i64>), Option<i32>);

/// Policies of a unit, or of all, a page.
pub fn policies(conn: &mut Conn, unit: Option<Unit>, page: Page) -> Result<Vec<Policy>, Fault> {
    let asked = unit.map(|unit| vec![unit.code().to_owned()]);
    let rows: Vec<Row> = on!(conn, c => {
        let columns = (policies::all_columns, units::scale.nullable());
        let mut query = policies::table.left_join(units::table).select(columns).into_boxed();
        narrowed!(query, policies::unit => asked);
        paged!(query, policies::id, page, c)
    })?;
    let noun = |((id, unit, two, three, carry_over, alone, proposed_by, confirmed_by, confirmed_at), scale): Row| {
        let unit = unit_of(&unit, scale)?;
        let amount = |minor: Option<i64>| minor.map(|minor| Amount::new(minor, unit));
        Ok(Policy {
            id: PolicyId::from_stamp(id),
            about: NewPolicy { unit, two_above: amount(two), three_above: amount(three), carry_over, refund_alone: amount(alone) },
            proposed_by: PersonId::from_stamp(proposed_by),
            confirmed_by: confirmed_by.map(PersonId::from_stamp),
            confirmed_at: confirmed_at.map(Time::from_micros),
        })
    };
    rows.into_iter().map(noun).collect()
}

pub(super) fn insert(conn: &mut Conn, policy: &Policy) -> Result<(), Fault> {
    let row = (
        policies::id.eq(policy.id.stamp()),
        policies::unit.eq(policy.about.unit.code()),
        policies::two_above.eq(policy.about.two_above.map(|a| a.minor)),
        policies::three_above.eq(policy.about.three_above.map(|a| a.minor)),
        policies::carry_over.eq(policy.about.carry_over),
        policies::refund_alone.eq(policy.about.refund_alone.map(|a| a.minor)),
        policies::proposed_by.eq(policy.proposed_by.stamp()),
        policies::confirmed_at.eq(policy.confirmed_at.map(Time::micros)),
    );
    on!(conn, c => diesel::insert_into(policies::table).values(row).execute(c))?;
    Ok(())
}

pub(super) fn confirm(conn: &mut Conn, id: PolicyId, by: PersonId, at: Time) -> Result<(), Fault> {
    let changes = (policies::confirmed_by.eq(by.stamp()), policies::confirmed_at.eq(at.micros()));
    on!(conn, c => diesel::update(policies::table.find(id.stamp())).set(changes).execute(c))?;
    Ok(())
}
