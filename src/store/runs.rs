//! Lists kept by runs: which members belong to an owner, in one row for all that an owner was given together.
//!
//! An index row for each member would be written in a place of its own each time; a batch of thousands of members of a few owners
//! is a few rows here. Members are identifiers that only grow, written as differences; a run is never changed. Bounds: members of one
//! owner must be added in rising order.

use diesel::prelude::*;
use rustc_hash::FxHashMap;

use super::{Conn, Fault, Page, insert_rows, on, varint};

mod tables {
    diesel::table! {
        runs (list, owner, first) { list -> Integer, owner -> BigInt, first -> BigInt, members -> Binary, }
    }
}
use tables::runs;

/// Which list: each room that keeps one has a number of its own for it, which is kept in the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct List(pub i32);

#[derive(Insertable, Queryable)]
#[diesel(table_name = runs, treat_none_as_default_value = false)]
struct Row {
    list: i32,
    owner: i64,
    first: i64,
    members: Vec<u8>,
}

/// A run that is being gathered: its first and last member, and the differences between.
struct Open {
    first: i64,
    last: i64,
    members: Vec<u8>,
}

/// Members that are not yet written.
pub struct Staged {
    list: List,
    open: FxHashMap<i64, Open>,
}

impl Staged {
    /// Nothing yet, for one list.
    pub fn new(list: List) -> Staged {
        Staged { list, open: FxHashMap::default() }
    }

    /// Adds a member, which must be greater than all the owner has.
    pub fn add(&mut self, owner: i64, member: i64) {
        let open = self.open.entry(owner).or_insert_with(|| Open { first: member, last: member, members: Vec::new() });
        if member > open.last {
            varint::push(&mut open.members, member.abs_diff(open.last));
            open.last = member;
        }
    }

    /// Writes what was gathered, one row for each owner.
    pub fn write(self, conn: &mut Conn) -> Result<(), Fault> {
        let list = self.list.0;
        let mut rows: Vec<Row> =
            self.open.into_iter().map(|(owner, open)| Row { list, owner, first: open.first, members: open.members }).collect();
        rows.sort_unstable_by_key(|row| row.owner);
        insert_rows!(conn, runs::table, &rows);
        Ok(())
    }
}

/// Rows of an owner that are read at a time.
const STRIDE: i64 = 16;

/// An owner's members, a page. Takes as long as the page is, however many members there are.
pub fn members(conn: &mut Conn, list: List, owner: i64, page: Page) -> Result<Vec<i64>, Fault> {
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let own = || runs::table.filter(runs::list.eq(list.0).and(runs::owner.eq(owner)));
    let mut found = Vec::new();
    let mut from = match (page.descending, page.after) {
        (true, after) => after.unwrap_or(i64::MAX),
        (false, None) => i64::MIN,
        // The run that holds the last member seen may hold more.
        (false, Some(after)) => {
            let holds = own().filter(runs::first.le(after)).order(runs::first.desc()).select(runs::first);
            on!(conn, c => holds.first(c).optional())?.unwrap_or(after)
        }
    };
    while found.len() < limit {
        let rows: Vec<Row> = match page.descending {
            true => on!(conn, c => own().filter(runs::first.lt(from)).order(runs::first.desc()).limit(STRIDE).load(c))?,
            false => on!(conn, c => own().filter(runs::first.ge(from)).order(runs::first).limit(STRIDE).load(c))?,
        };
        let Some(last) = rows.last() else { break };
        from = if page.descending { last.first } else { last.first.saturating_add(1) };
        for row in &rows {
            if found.len() >= limit {
                break;
            }
            let run = row.decode()?;
            match page.descending {
                true => found.extend(run.iter().rev().filter(|id| page.after.is_none_or(|after| **id < after))),
                false => found.extend(run.iter().filter(|id| page.after.is_none_or(|after| **id > after))),
            }
        }
    }
    found.truncate(limit);
    Ok(found)
}

/// The members of several owners, a page in the members' order.
pub fn members_of(conn: &mut Conn, list: List, owners: &[i64], page: Page) -> Result<Vec<i64>, Fault> {
    let mut found = Vec::new();
    for owner in owners {
        found.extend(members(conn, list, *owner, page)?);
    }
    match page.descending {
        true => found.sort_unstable_by(|a, b| b.cmp(a)),
        false => found.sort_unstable(),
    }
    found.truncate(usize::try_from(page.limit).unwrap_or(usize::MAX));
    Ok(found)
}

/// The greatest member of an owner that is less than a bound.
pub fn last_below(conn: &mut Conn, list: List, owner: i64, bound: i64) -> Result<Option<i64>, Fault> {
    Ok(members(conn, list, owner, Page { after: Some(bound), limit: 1, descending: true })?.pop())
}

/// How many members came by in which order, in few bytes: equal for equal lists, and for no others that come about by a fault.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Trail {
    members: u64,
    print: u64,
}

impl Trail {
    /// Passes a member.
    pub fn pass(&mut self, member: i64) {
        self.members += 1;
        // FNV-1a over 64-bit words.
        self.print = (self.print ^ member as u64).wrapping_mul(0x0000_0100_0000_01b3);
    }
}

/// Trails by owner.
pub type Trails = FxHashMap<i64, Trail>;

/// The trail of each owner's members in a list. Reads the whole list.
pub fn trails(conn: &mut Conn, list: List) -> Result<Trails, Fault> {
    let mut found = Trails::default();
    let (mut owner, mut first) = (i64::MIN, i64::MIN);
    loop {
        let next = runs::owner.gt(owner).or(runs::owner.eq(owner).and(runs::first.gt(first)));
        let some = runs::table.filter(runs::list.eq(list.0).and(runs::owner.ge(owner)).and(next));
        let rows: Vec<Row> = on!(conn, c => some.order((runs::owner, runs::first)).limit(5000).load(c))?;
        let Some(last) = rows.last() else { return Ok(found) };
        (owner, first) = (last.owner, last.first);
        for row in &rows {
            let trail = found.entry(row.owner).or_default();
            match row.decode() {
                Ok(run) => run.into_iter().for_each(|member| trail.pass(member)),
                // No member is so small: the trail is like no other's.
                Err(_) => trail.pass(i64::MIN),
            }
        }
    }
}

impl Row {
    fn decode(&self) -> Result<Vec<i64>, Fault> {
        let (mut id, mut rest) = (self.first, self.members.as_slice());
        let mut ids = vec![id];
        while !rest.is_empty() {
            id = varint::take(&mut rest).and_then(|difference| id.checked_add_unsigned(difference)).ok_or_else(|| self.broken())?;
            ids.push(id);
        }
        Ok(ids)
    }

    fn broken(&self) -> Fault {
        Fault::Internal(format!("the run {} of {} in list {} is broken", self.first, self.owner, self.list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_gathered_reads_back() {
        let ids = [5, 6, 133, 134, 70_000, 1 << 40, i64::MAX];
        let mut staged = Staged::new(List(1));
        ids.iter().for_each(|id| staged.add(1, *id));
        let open = staged.open.remove(&1).expect("a run");
        let row = Row { list: 1, owner: 1, first: open.first, members: open.members };
        assert_eq!(row.decode().expect("whole"), ids);
        let cut = Row { members: row.members[..row.members.len() - 1].to_vec(), ..row };
        assert!(cut.decode().is_err(), "a run that was cut is told");
    }
}
