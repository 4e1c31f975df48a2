//! Lists kept by runs: which members belong to an owner, in one row for all that an owner was given one after the other.
//!
//! An index row for each member would be written in a place of its own each time; a run is one place for thousands. What small commits add
//! waits in a tail, one row for all owners, until there is enough of it to make runs of: otherwise a commit of fifty records of fifty owners
//! would touch as many pages. Members are identifiers that only grow, written as differences; a run is never changed, a tail is taken away
//! when runs are made of it. Bounds: members of a list must be added in rising order; a tail is [`TAIL_ROWS`] rows long at most and holds
//! [`TAIL_MEMBERS`] members, which every reader of the list reads.

use std::collections::BTreeMap;

use diesel::prelude::*;
use rustc_hash::FxHashMap;

use super::{Conn, Fault, Page, bulk, on, varint};

mod tables {
    diesel::table! {
        runs (list, owner, first) { list -> Integer, owner -> BigInt, first -> BigInt, members -> Binary, }
    }
    diesel::table! {
        run_tails (list, first) { list -> Integer, first -> BigInt, members -> Binary, }
    }
}
use tables::{run_tails, runs};

/// Which list: each room that keeps one has a number of its own for it, which is kept in the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct List(pub i32);

#[derive(Queryable)]
struct Row {
    list: i32,
    owner: i64,
    first: i64,
    members: Vec<u8>,
}

bulk! { Row => runs { list, owner, first, members } }

/// The most commits that wait in a tail before runs are made of it, and the most members.
const TAIL_ROWS: usize = 64;
const TAIL_MEMBERS: usize = 8192;

/// A list as the writer remembers it: what was added and not yet written, and how long the tail is, where that is known.
pub struct Growing {
    list: List,
    added: Vec<Member>,
    tail: Option<(usize, usize)>,
}

/// A member and whose it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Member {
    owner: i64,
    id: i64,
}

impl Growing {
    /// Nothing added yet, and a tail of any length.
    pub const fn new(list: List) -> Growing {
        Growing { list, added: Vec::new(), tail: None }
    }

    /// Adds a member, which must be greater than all that the list has.
    pub fn add(&mut self, owner: i64, member: i64) {
        self.added.push(Member { owner, id: member });
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty()
    }

    /// Hands out what was added, to be written.
    pub fn take(&mut self) -> Grown {
        // As many are expected the next time.
        let next = Vec::with_capacity(self.added.len());
        let added = std::mem::replace(&mut self.added, next);
        if added.is_empty() {
            return Grown { list: self.list, added, into_runs: false };
        }
        let longer = self.tail.map(|(rows, members)| (rows + 1, members + added.len()));
        let stays = longer.filter(|(rows, members)| *rows <= TAIL_ROWS && *members <= TAIL_MEMBERS);
        self.tail = Some(stays.unwrap_or_default());
        Grown { list: self.list, added, into_runs: stays.is_none() }
    }
}

/// What was added to a list, on its way into the database.
pub struct Grown {
    list: List,
    added: Vec<Member>,
    into_runs: bool,
}

impl Grown {
    /// Writes it: as the next row of the tail, or as runs, with the tail before it.
    pub fn write(self, conn: &mut Conn) -> Result<(), Fault> {
        let Grown { list, added, into_runs } = self;
        let Some(first) = added.first().map(|member| member.id) else { return Ok(()) };
        if !into_runs {
            let row = (run_tails::list.eq(list.0), run_tails::first.eq(first), run_tails::members.eq(encode(&added)));
            on!(conn, c => diesel::insert_into(run_tails::table).values(row).execute(c))?;
            return Ok(());
        }
        let mut all = tail(conn, list)?;
        if !all.is_empty() {
            on!(conn, c => diesel::delete(run_tails::table.filter(run_tails::list.eq(list.0))).execute(c))?;
        }
        all.extend(added);
        let rows: Vec<Row> = by_owner(all).into_iter().filter_map(|(owner, members)| Row::of(list, owner, &members)).collect();
        bulk::insert(conn, &rows)
    }
}

/// Members by their owners, each one's in the order in which they came: thousands of few owners, which are sooner grouped than sorted.
fn by_owner(members: Vec<Member>) -> BTreeMap<i64, Vec<i64>> {
    let mut found: FxHashMap<i64, Vec<i64>> = FxHashMap::default();
    members.into_iter().for_each(|member| found.entry(member.owner).or_default().push(member.id));
    found.into_iter().collect()
}

/// A row of a tail: the first member is told by the row's key, of each other one how far it is from the one before, and of each its owner.
fn encode(members: &[Member]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(members.len() * 4);
    let mut last = None;
    for member in members {
        if let Some(last) = last.replace(member.id) {
            varint::push(&mut bytes, member.id.abs_diff(last));
        }
        varint::push(&mut bytes, member.owner.unsigned_abs());
    }
    bytes
}

fn decode(first: i64, mut bytes: &[u8]) -> Option<Vec<Member>> {
    let mut members = Vec::new();
    let mut id = first;
    while !bytes.is_empty() {
        if !members.is_empty() {
            id = id.checked_add_unsigned(varint::take(&mut bytes)?)?;
        }
        members.push(Member { owner: i64::try_from(varint::take(&mut bytes)?).ok()?, id });
    }
    Some(members)
}

/// What waits in the tail of a list, in its order.
fn tail(conn: &mut Conn, list: List) -> Result<Vec<Member>, Fault> {
    let rows = run_tails::table.filter(run_tails::list.eq(list.0)).order(run_tails::first);
    let rows: Vec<(i64, Vec<u8>)> = on!(conn, c => rows.select((run_tails::first, run_tails::members)).load(c))?;
    let mut members = Vec::new();
    for (first, bytes) in rows {
        let broken = || Fault::Internal(format!("the tail {first} of list {} is broken", list.0));
        members.extend(decode(first, &bytes).ok_or_else(broken)?);
    }
    Ok(members)
}

/// Rows of an owner that are read at a time.
const STRIDE: i64 = 16;

/// An owner's members, a page, of which some may wait in the tail. Takes as long as the page is, however many members there are.
fn members(conn: &mut Conn, list: List, owner: i64, tail: &[Member], page: Page) -> Result<Vec<i64>, Fault> {
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let waiting = tail.iter().filter(|member| member.owner == owner).map(|member| member.id);
    if !page.descending {
        let mut found = in_runs(conn, list, owner, limit, page)?;
        found.extend(waiting.filter(|id| page.after.is_none_or(|after| *id > after)));
        found.truncate(limit);
        return Ok(found);
    }
    let mut found: Vec<i64> = waiting.rev().filter(|id| page.after.is_none_or(|after| *id < after)).take(limit).collect();
    if found.len() < limit {
        found.extend(in_runs(conn, list, owner, limit - found.len(), page)?);
    }
    Ok(found)
}

fn in_runs(conn: &mut Conn, list: List, owner: i64, limit: usize, page: Page) -> Result<Vec<i64>, Fault> {
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
    let (tail, mut found) = (tail(conn, list)?, Vec::new());
    for owner in owners {
        found.extend(members(conn, list, *owner, &tail, page)?);
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
    Ok(members_of(conn, list, &[owner], Page { after: Some(bound), limit: 1, descending: true })?.pop())
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
        let Some(last) = rows.last() else { break };
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
    match tail(conn, list) {
        Ok(tail) => tail.into_iter().for_each(|member| found.entry(member.owner).or_default().pass(member.id)),
        Err(Fault::Internal(_)) => found.values_mut().for_each(|trail| trail.pass(i64::MIN)),
        Err(fault) => return Err(fault),
    }
    Ok(found)
}

impl Row {
    /// The run of an owner's members, in rising order; none for none.
    fn of(list: List, owner: i64, members: &[i64]) -> Option<Row> {
        let first = *members.first()?;
        let mut bytes = Vec::with_capacity(members.len() * 3);
        members.windows(2).for_each(|two| varint::push(&mut bytes, two[1].abs_diff(two[0])));
        Some(Row { list: list.0, owner, first, members: bytes })
    }

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

    const IDS: [i64; 7] = [5, 6, 133, 134, 70_000, 1 << 40, i64::MAX];

    #[test]
    fn what_was_gathered_reads_back() {
        let row = Row::of(List(1), 1, &IDS).expect("a run");
        assert_eq!(row.decode().expect("whole"), IDS);
        let cut = Row { members: row.members[..row.members.len() - 1].to_vec(), ..row };
        assert!(cut.decode().is_err(), "a run that was cut is told");
    }

    #[test]
    fn a_tail_reads_back_with_whose_each_is() {
        let mut owners = [3, 1 << 50, 3, 1, i64::MAX, 1, 2].into_iter();
        let members = IDS.map(|id| Member { owner: owners.next().expect("as many"), id });
        let bytes = encode(&members);
        assert_eq!(decode(5, &bytes), Some(members.to_vec()));
        assert_eq!(decode(5, &bytes[..bytes.len() - 1]), None, "a tail that was cut is told");
    }

    /// Commits of one record, of some and of very many, in an order of chance: whatever waits in the tail and whatever is in runs, every page
    /// is that of a plain list.
    #[test]
    fn pages_are_those_of_a_plain_list_whether_members_wait_or_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = crate::store::Database::in_folder(folder.path());
        crate::store::migrate::up(&mut database.connect().expect("a database")).expect("a schema");
        let mut conn = database.connect().expect("a connection");
        let (list, mut growing, mut plain, mut dice) = (List(9), Growing::new(List(9)), Vec::new(), 7u64);
        let mut next = |below: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % below
        };
        let (mut id, mut longest) = (0, 0);
        for _ in 0..300 {
            let many = [1, 1, 2, 40, 700, 9000][next(6) as usize];
            for _ in 0..=next(many) {
                id += 1 + next(300) as i64;
                let owner = 1 + next(5) as i64;
                growing.add(owner, id);
                plain.push(Member { owner, id });
            }
            if next(50) == 0 {
                let added = std::mem::take(&mut growing.added);
                growing = Growing { added, ..Growing::new(list) };
            }
            growing.take().write(&mut conn).expect("written");
            longest = longest.max(tail(&mut conn, list).expect("a tail").len());
            let owner = 1 + next(5) as i64;
            let (after, limit) = ((next(3) > 0).then(|| next(id as u64 + 2) as i64), 1 + next(40) as i64);
            let page = Page { after, limit, descending: next(2) == 0 };
            assert_eq!(members_of(&mut conn, list, &[owner], page).expect("a page"), page_of(&plain, owner, page));
        }
        assert!((500..=TAIL_MEMBERS).contains(&longest), "the tail was {longest} long");
        let mut trails = Trails::default();
        plain.iter().for_each(|member| trails.entry(member.owner).or_default().pass(member.id));
        assert_eq!(super::trails(&mut conn, list).expect("trails"), trails);
    }

    fn page_of(plain: &[Member], owner: i64, page: Page) -> Vec<i64> {
        let mut ids: Vec<i64> = plain.iter().filter(|member| member.owner == owner).map(|member| member.id).collect();
        if page.descending {
            ids.reverse();
        }
        ids.retain(|id| page.after.is_none_or(|after| if page.descending { *id < after } else { *id > after }));
        ids.truncate(page.limit as usize);
        ids
    }
}
