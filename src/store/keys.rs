//! Keys found without an index of them: a block for some thousands, in the order of their hashes, and a sieve in memory.
//!
//! An index over keys that come in no order is written all over; a block is written once, in one place, and never changed. The sieve
//! keeps 48 bits of each key's hash and in which block it stands, so that a key never met before is known to be new without a look at
//! the database, and another costs one look. A look in vain costs more than its reading: the writer waits for the commit under way. Of ten
//! million keys one new key in thirty million is looked for in vain. What is found *may* be the key: only who keeps the whole key knows. Keys
//! younger than the last block are for the room to remember that keeps them. Bounds: about eight bytes of memory a key; blocks are read once
//! by each process.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;
use rustc_hash::FxHashMap;

use super::{Conn, Fault, bulk, on, varint};

mod tables {
    diesel::table! {
        key_blocks (block) { block -> BigInt, upto -> BigInt, }
    }
    diesel::table! {
        key_rows (id) { id -> BigInt, entries -> Binary, }
    }
}
use tables::{key_blocks, key_rows};

/// Rows of a block: one for each first byte of a hash.
const ROWS: i64 = 256;
/// Bits of a hash that are kept in a row beside its first byte.
const KEPT: u32 = 40;
/// The bits that are kept of a hash beside its first byte, all of them set.
const KEPT_BITS: u64 = (1 << KEPT) - 1;

/// A hash as a block has it: its first 48 bits.
pub const fn kept(hash: u64) -> u64 {
    hash >> (64 - 8 - KEPT)
}

/// Which blocks a key may stand in.
#[derive(Default)]
pub struct Sieve {
    /// By the first 16 bits of the hash.
    buckets: Vec<Bucket>,
    /// Up to which member each block reaches, from block 1 on.
    upto: Vec<i64>,
    /// How many of the blocks are known to be written.
    sure: usize,
}

/// Keys whose hashes begin with the same 16 bits. Apart, so that what is compared lies together.
#[derive(Clone, Default)]
struct Bucket {
    /// The next 32 bits of each.
    tags: Vec<u32>,
    /// The last 16 bits of the number of each one's block.
    blocks: Vec<u16>,
}

const BUCKETS: usize = 1 << 16;

impl Sieve {
    /// Forgets the blocks that were made here and never written, and reads those that others have written; whether any was forgotten.
    pub fn follow(&mut self, conn: &mut Conn) -> Result<bool, Fault> {
        let written = blocks(conn, self.sure as i64)?;
        let own = self.upto.get(self.sure..).unwrap_or_default();
        // Blocks of the same bounds hold the same keys, whoever wrote them.
        let same = own.iter().zip(&written).take_while(|(own, (_, upto))| *own == upto).count();
        let forgotten = same < own.len();
        // What a forgotten block left in the sieve does no harm but a look in vain.
        self.upto.truncate(self.sure + same);
        let fresh = written.get(same..).unwrap_or_default();
        let mut from = (self.upto.len() as i64 + 1) * ROWS;
        while !fresh.is_empty() {
            let some = key_rows::table.filter(key_rows::id.ge(from)).order(key_rows::id).limit(4 * ROWS);
            let rows: Vec<Row> = on!(conn, c => some.load(c))?;
            let Some(last) = rows.last() else { break };
            from = last.id + 1;
            for row in &rows {
                let keys = row.keys()?;
                keys.into_iter().for_each(|(kept, _)| self.note(kept << (64 - 8 - KEPT), row.block()));
            }
        }
        self.upto.extend(fresh.iter().map(|(_, upto)| *upto));
        self.sure = self.upto.len();
        Ok(forgotten)
    }

    fn note(&mut self, hash: u64, block: i64) {
        if self.buckets.is_empty() {
            self.buckets.resize(BUCKETS, Bucket::default());
        }
        if let Some(bucket) = self.buckets.get_mut((hash >> 48) as usize) {
            bucket.tags.push((hash >> 16) as u32);
            bucket.blocks.push(block as u16);
        }
    }

    /// The blocks in which a key of this hash may stand.
    pub fn blocks(&self, hash: u64) -> impl Iterator<Item = i64> {
        let tag = (hash >> 16) as u32;
        let blocks = self.upto.len() as i64;
        let all = self.buckets.get((hash >> 48) as usize).into_iter().flat_map(|bucket| bucket.tags.iter().zip(&bucket.blocks));
        let meant = all.filter(move |(other, _)| **other == tag);
        // Block 65,537 looks like block 1.
        meant.flat_map(move |(_, block)| (i64::from(*block)..=blocks).step_by(BUCKETS)).filter(|block| *block > 0)
    }

    /// The same of many keys, each block with the hash that may stand in it. The buckets lie all over memory: they are asked for one after the
    /// other, without waiting for any, before they are looked through.
    pub fn blocks_of(&self, hashes: impl Iterator<Item = u64> + Clone) -> Vec<(i64, u64)> {
        let buckets = hashes.clone().filter_map(|hash| self.buckets.get((hash >> 48) as usize));
        std::hint::black_box(buckets.filter_map(|bucket| bucket.tags.last()).fold(0, |sum: u32, tag| sum.wrapping_add(*tag)));
        hashes.flat_map(|hash| self.blocks(hash).map(move |block| (block, hash))).collect()
    }

    /// The member up to which keys stand in blocks.
    pub fn upto(&self) -> i64 {
        self.upto.last().copied().unwrap_or(0)
    }

    /// Makes the next block of keys' hashes and members, the greatest of which is `upto`. It is to be written in the commit under way.
    pub fn seal(&mut self, upto: i64, keys: Vec<(u64, i64)>) -> Block {
        let number = self.upto.len() as i64 + 1;
        keys.iter().for_each(|(hash, _)| self.note(*hash, number));
        self.upto.push(upto);
        Block { number, upto, keys }
    }
}

/// A block about to be written.
pub struct Block {
    number: i64,
    upto: i64,
    keys: Vec<(u64, i64)>,
}

impl Block {
    /// Writes it.
    pub fn write(mut self, conn: &mut Conn) -> Result<(), Fault> {
        self.keys.sort_unstable();
        let rows: Vec<Row> = self.keys.chunk_by(|a, b| a.0 >> 56 == b.0 >> 56).filter_map(|keys| Row::of(self.number, keys)).collect();
        bulk::insert(conn, &rows)?;
        let block = (key_blocks::block.eq(self.number), key_blocks::upto.eq(self.upto));
        on!(conn, c => diesel::insert_into(key_blocks::table).values(block).execute(c))?;
        Ok(())
    }
}

/// The blocks after this one: each one's number and the member up to which it reaches.
pub fn blocks(conn: &mut Conn, after: i64) -> Result<Vec<(i64, i64)>, Fault> {
    Ok(on!(conn, c => key_blocks::table.filter(key_blocks::block.gt(after)).order(key_blocks::block).load(c))?)
}

/// All keys of a block in order, as they are kept.
pub fn read(conn: &mut Conn, block: i64) -> Result<Vec<(u64, i64)>, Fault> {
    let own = key_rows::table.filter(key_rows::id.between(block * ROWS, block * ROWS + ROWS - 1)).order(key_rows::id);
    let rows: Vec<Row> = on!(conn, c => own.load(c))?;
    let mut keys = Vec::new();
    for row in &rows {
        keys.extend(row.keys()?);
    }
    Ok(keys)
}

/// The numbers of blocks that are none, though rows are there for them.
pub fn stray(conn: &mut Conn) -> Result<Vec<i64>, Fault> {
    #[derive(QueryableByName)]
    struct Number {
        #[diesel(sql_type = BigInt)]
        block: i64,
    }
    const STRAY: &str = "SELECT DISTINCT id / $1 AS block FROM key_rows WHERE id / $1 NOT IN (SELECT block FROM key_blocks) ORDER BY 1";
    let found: Vec<Number> = on!(conn, c => sql_query(STRAY).bind::<BigInt, _>(ROWS).load(c))?;
    Ok(found.into_iter().map(|number| number.block).collect())
}

/// Rows that are looked up by one statement.
const LOOKUP: usize = 500;

/// The members under keys of these hashes in these blocks, as far as a hash can tell.
pub fn find(conn: &mut Conn, asked: &[(i64, u64)]) -> Result<Vec<i64>, Fault> {
    let mut by_row: FxHashMap<i64, Vec<u64>> = FxHashMap::default();
    for (block, hash) in asked {
        by_row.entry(block * ROWS + (hash >> 56) as i64).or_default().push(kept(*hash));
    }
    let ids: Vec<i64> = by_row.keys().copied().collect();
    let mut found = Vec::new();
    for some in ids.chunks(LOOKUP) {
        let rows: Vec<Row> = on!(conn, c => key_rows::table.filter(key_rows::id.eq_any(some)).load(c))?;
        for row in &rows {
            let wanted = by_row.get(&row.id).map_or(&[][..], Vec::as_slice);
            found.extend(row.keys()?.into_iter().filter(|(kept, _)| wanted.contains(kept)).map(|(_, member)| member));
        }
    }
    Ok(found)
}

/// Keys of a block that begin with the same byte: the least member, then for each key how far its hash is from the last one's, and its
/// member from the least.
#[derive(Queryable)]
struct Row {
    id: i64,
    entries: Vec<u8>,
}

bulk! { Row => key_rows { id, entries } }

impl Row {
    /// The row of keys in the order of their hashes; none for no keys.
    fn of(block: i64, keys: &[(u64, i64)]) -> Option<Row> {
        let (first, least) = (keys.first()?, keys.iter().map(|(_, member)| *member).min()?);
        let mut entries = Vec::with_capacity(8 + keys.len() * 8);
        varint::push(&mut entries, least as u64);
        let mut last = 0;
        for (hash, member) in keys {
            let place = kept(*hash) & KEPT_BITS;
            varint::push(&mut entries, place - last);
            varint::push(&mut entries, member.abs_diff(least));
            last = place;
        }
        Some(Row { id: block * ROWS + (first.0 >> 56) as i64, entries })
    }

    fn block(&self) -> i64 {
        self.id / ROWS
    }

    fn keys(&self) -> Result<Vec<(u64, i64)>, Fault> {
        self.decode().ok_or_else(|| Fault::Internal(format!("the row {} of keys is broken", self.id)))
    }

    fn decode(&self) -> Option<Vec<(u64, i64)>> {
        let mut rest = self.entries.as_slice();
        let least = varint::take(&mut rest)? as i64;
        let (first, mut place) = (((self.id % ROWS) as u64) << KEPT, 0u64);
        let mut keys = Vec::with_capacity(rest.len() / 6);
        while !rest.is_empty() {
            place = place.checked_add(varint::take(&mut rest)?).filter(|place| *place <= KEPT_BITS)?;
            keys.push((first | place, least.checked_add_unsigned(varint::take(&mut rest)?)?));
        }
        Some(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Database, migrate};

    /// Spread over all 64 bits, and no two the same.
    fn hash(n: u64) -> u64 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn books(folder: &std::path::Path) -> Conn {
        let mut conn = Database::in_folder(folder).connect().expect("a database");
        migrate::up(&mut conn).expect("a schema");
        conn
    }

    fn look(sieve: &Sieve, conn: &mut Conn, n: u64) -> Vec<i64> {
        let asked: Vec<(i64, u64)> = sieve.blocks(hash(n)).map(|block| (block, hash(n))).collect();
        find(conn, &asked).expect("a look")
    }

    #[test]
    fn what_is_in_blocks_is_found_by_who_wrote_them_and_by_who_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut conn = books(folder.path());
        let mut sieve = Sieve::default();
        for block in 0..3u64 {
            let keys = (block * 1000..block * 1000 + 1000).map(|n| (hash(n), 5_000_000 + n as i64)).collect();
            sieve.seal(5_000_000 + block as i64 * 1000 + 999, keys).write(&mut conn).expect("a block");
        }
        let mut other = Sieve::default();
        assert!(!other.follow(&mut conn).expect("followed"));
        for sieve in [&sieve, &other] {
            assert_eq!(sieve.upto(), 5_002_999);
            assert_eq!([0, 999, 1000, 2999].map(|n| look(sieve, &mut conn, n)), [0, 999, 1000, 2999].map(|n| vec![5_000_000 + n]));
            let strangers = (3000..13_000).filter(|n| sieve.blocks(hash(*n)).next().is_some()).count();
            assert_eq!(strangers, 0, "new keys are thought to be old");
            assert!((3000..13_000).all(|n| look(sieve, &mut conn, n).is_empty()));
        }
    }

    #[test]
    fn a_block_that_was_never_committed_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut conn = books(folder.path());
        let (mut mine, mut theirs) = (Sieve::default(), Sieve::default());
        mine.seal(10, vec![(hash(1), 10)]).write(&mut conn).expect("a block");
        let _never_written = mine.seal(20, vec![(hash(2), 20)]);
        theirs.follow(&mut conn).expect("followed");
        theirs.seal(30, vec![(hash(3), 30)]).write(&mut conn).expect("a block");
        assert!(mine.follow(&mut conn).expect("followed"));
        assert_eq!(mine.upto(), 30);
        assert_eq!([1, 2, 3].map(|n| look(&mine, &mut conn, n)), [vec![10], vec![], vec![30]]);
        assert!(!mine.follow(&mut conn).expect("followed"));
        let _never_written = mine.seal(40, vec![(hash(4), 40)]);
        assert!(mine.follow(&mut conn).expect("followed"));
        assert_eq!(mine.upto(), 30, "whether or not what it held is committed");
    }

    #[test]
    fn a_row_that_was_cut_is_told() {
        let mut row = Row::of(7, &[(5, 1_000), (6, 2_000)]).expect("a row");
        assert_eq!(row.keys().expect("whole").len(), 2);
        row.entries.pop();
        assert!(row.keys().is_err());
    }
}
