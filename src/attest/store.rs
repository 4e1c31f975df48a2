//! The SQL of the log: leaves, lines, tiles, heads, checkpoints and what they are salted and keyed with.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;
use rustc_hash::FxHashMap;

use super::compose::Disclosed;
use super::disclosure::Salt;
use crate::store::{Conn, Fault, bulk, looked_up, on};
use crate::tlog::hash::Hash;
use crate::tlog::tile::{Edge, FULL, Tile, Tiles, decode, encode};

mod tables {
    diesel::table! {
        log_leaves (idx) { idx -> BigInt, seq -> Nullable<BigInt>, leaf -> Text, salt -> Nullable<Binary>, }
    }
    diesel::table! {
        log_jobs (idx) { idx -> BigInt, salt -> Binary, }
    }
    diesel::table! {
        log_lines (lot, n) { lot -> BigInt, n -> BigInt, idx -> BigInt, disclosure -> Text, }
    }
    diesel::table! {
        log_lots (lot) { lot -> BigInt, handle -> Text, }
    }
    diesel::table! {
        log_providers (provider) { provider -> BigInt, idx -> BigInt, secret -> Binary, }
    }
    diesel::table! {
        log_keys (idx) { idx -> BigInt, vkey -> Text, }
    }
    diesel::table! {
        log_tiles (level, idx) { level -> Integer, idx -> BigInt, hashes -> Binary, }
    }
    diesel::table! {
        log_edge (level) { level -> BigInt, hashes -> Binary, }
    }
    diesel::table! {
        log_heads (lot, seal) { lot -> BigInt, seal -> BigInt, head -> Text, edge -> Binary, }
    }
    diesel::table! {
        log_checkpoints (size) { size -> BigInt, note -> Text, }
    }
    diesel::table! {
        log_cosignatures (size, witness) { size -> BigInt, witness -> Text, line -> Text, }
    }
}
use tables::{
    log_checkpoints, log_cosignatures, log_edge, log_heads, log_jobs, log_keys, log_leaves, log_lines, log_lots, log_providers, log_tiles,
};

/// A leaf as it is kept.
#[derive(Queryable, Clone, PartialEq, Eq, Debug)]
pub struct LeafRow {
    /// Its place in the log.
    pub idx: i64,
    /// The journal entry it was made from; `None` for the log's own.
    pub seq: Option<i64>,
    /// As it was hashed.
    pub leaf: String,
    /// Salt of the disclosure of the entry, or of a provider's secret.
    pub salt: Option<Vec<u8>>,
}

#[derive(Queryable, Clone)]
struct JobRow {
    idx: i64,
    salt: Vec<u8>,
}

/// A lot's line as it is kept.
#[derive(Queryable, Clone, PartialEq, Eq, Debug)]
pub struct LineRow {
    /// Stamp of the lot.
    pub lot: i64,
    /// Its number there.
    pub n: i64,
    /// The leaf that holds its digest.
    pub idx: i64,
    /// As its donor is told it.
    pub disclosure: String,
}

#[derive(Queryable)]
struct TileRow {
    level: i32,
    idx: i64,
    hashes: Vec<u8>,
}

/// A lot's head as it is kept, from the seal on whose leaf that is.
#[derive(Queryable, QueryableByName, Clone, PartialEq, Eq, Debug)]
#[diesel(table_name = log_heads)]
pub struct HeadRow {
    /// Stamp of the lot.
    pub lot: i64,
    /// Place of the first seal that commits to it.
    pub seal: i64,
    /// As it was hashed.
    pub head: String,
    /// The right edge of the sub-log's tree.
    pub edge: Vec<u8>,
}

/// A provider's secret as it is kept.
#[derive(Queryable, Clone, PartialEq, Eq, Debug)]
pub struct ProviderRow {
    /// Stamp of the institution.
    pub provider: i64,
    /// The leaf that commits to it.
    pub idx: i64,
    /// What its nullifiers are salted with.
    pub secret: Vec<u8>,
}

bulk! { LeafRow => log_leaves { idx, seq, leaf, salt } }
bulk! { JobRow => log_jobs { idx, salt } }
bulk! { LineRow => log_lines { lot, n, idx, disclosure } }
bulk! { TileRow => log_tiles { level, idx, hashes } }
bulk! { HeadRow => log_heads { lot, seal, head, edge } }
bulk! { ProviderRow => log_providers { provider, idx, secret } }

/// Rows to be written together.
#[derive(Default)]
pub struct Staged {
    leaves: Vec<LeafRow>,
    jobs: Vec<JobRow>,
    lines: Vec<LineRow>,
    tiles: Vec<TileRow>,
    heads: Vec<HeadRow>,
    providers: Vec<ProviderRow>,
    lots: Vec<(i64, String)>,
    keys: Vec<(i64, String)>,
    unsalted: Vec<i64>,
}

impl Staged {
    /// How many leaves.
    pub fn leaves(&self) -> usize {
        self.leaves.len()
    }

    /// Adds a leaf, with the salt of its job if it tells of one.
    pub fn leaf(&mut self, row: LeafRow, job: Option<Salt>) {
        self.jobs.extend(job.map(|salt| JobRow { idx: row.idx, salt: salt.to_vec() }));
        self.leaves.push(row);
    }

    /// Adds a line of a lot.
    pub fn line(&mut self, idx: i64, line: Disclosed) -> Result<(), Fault> {
        self.lines.push(LineRow { lot: line.lot, n: whole(line.n)?, idx, disclosure: line.disclosure });
        Ok(())
    }

    /// Adds a full tile.
    pub fn tile(&mut self, tile: Tile, hashes: &[Hash]) -> Result<(), Fault> {
        self.tiles.push(TileRow { level: tile.level.into(), idx: whole(tile.index)?, hashes: encode(hashes) });
        Ok(())
    }

    /// Adds a lot's new head; of a lot that had none its handle too.
    pub fn head(&mut self, row: HeadRow, handle: Option<String>) {
        self.lots.extend(handle.map(|handle| (row.lot, handle)));
        self.heads.push(row);
    }

    /// Adds a provider's secret.
    pub fn provider(&mut self, row: ProviderRow) {
        self.providers.push(row);
    }

    /// Adds a key that signs from its leaf on.
    pub fn key(&mut self, idx: i64, vkey: String) {
        self.keys.push((idx, vkey));
    }

    /// Takes away the salts of the jobs of these entries of the journal, whichever transaction they came in.
    pub fn unsalt(&mut self, seqs: &[i64]) {
        self.unsalted.extend(seqs);
    }

    /// Writes all, and the edge of the tree as it then is.
    pub fn write(mut self, conn: &mut Conn, edge: &Edge) -> Result<(), Fault> {
        // In the order of the table: a batch has many lines of few lots.
        self.lines.sort_unstable_by_key(|row| (row.lot, row.n));
        bulk::insert(conn, &self.leaves)?;
        bulk::insert(conn, &self.jobs)?;
        bulk::insert(conn, &self.lines)?;
        bulk::insert(conn, &self.tiles)?;
        bulk::insert(conn, &self.heads)?;
        bulk::insert(conn, &self.providers)?;
        for (lot, handle) in &self.lots {
            let row = (log_lots::lot.eq(lot), log_lots::handle.eq(handle));
            on!(conn, c => diesel::insert_into(log_lots::table).values(row).execute(c))?;
        }
        for (idx, vkey) in &self.keys {
            let row = (log_keys::idx.eq(idx), log_keys::vkey.eq(vkey));
            on!(conn, c => diesel::insert_into(log_keys::table).values(row).execute(c))?;
        }
        if !self.unsalted.is_empty() {
            conn.overwriting(|conn| remove_salts(conn, &self.unsalted))?;
        }
        on!(conn, c => diesel::delete(log_edge::table).execute(c))?;
        for (tile, hashes) in edge.parts() {
            let row = (log_edge::level.eq(i64::from(tile.level)), log_edge::hashes.eq(encode(hashes)));
            on!(conn, c => diesel::insert_into(log_edge::table).values(row).execute(c))?;
        }
        Ok(())
    }
}

/// A whole number as the database keeps it.
pub fn whole(number: u64) -> Result<i64, Fault> {
    i64::try_from(number).map_err(|_| Fault::Internal(format!("{number} is more than a log can hold")))
}

/// How many leaves there are, and the last journal sequence among them.
pub fn extent(conn: &mut Conn) -> Result<(u64, i64), Fault> {
    let idx: Option<i64> = on!(conn, c => log_leaves::table.select(diesel::dsl::max(log_leaves::idx)).first(c))?;
    let seq: Option<i64> = on!(conn, c => log_leaves::table.select(diesel::dsl::max(log_leaves::seq)).first(c))?;
    Ok((idx.map_or(0, |idx| idx.unsigned_abs() + 1), seq.unwrap_or(0)))
}

/// Leaves from one place up to, not including, another.
pub fn leaves(conn: &mut Conn, from: u64, to: u64) -> Result<Vec<LeafRow>, Fault> {
    let some = log_leaves::table.filter(log_leaves::idx.ge(whole(from)?).and(log_leaves::idx.lt(whole(to)?)));
    Ok(on!(conn, c => some.order(log_leaves::idx).load(c))?)
}

/// The salts of jobs of leaves from one place up to, not including, another.
pub fn jobs(conn: &mut Conn, from: u64, to: u64) -> Result<FxHashMap<i64, Vec<u8>>, Fault> {
    let some = log_jobs::table.filter(log_jobs::idx.ge(whole(from)?).and(log_jobs::idx.lt(whole(to)?)));
    let rows: Vec<(i64, Vec<u8>)> = on!(conn, c => some.load(c))?;
    Ok(rows.into_iter().collect())
}

fn remove_salts(conn: &mut Conn, seqs: &[i64]) -> Result<(), Fault> {
    for some in seqs.chunks(LOOKUP) {
        let theirs = log_leaves::table.filter(log_leaves::seq.eq_any(some)).select(log_leaves::idx);
        let places: Vec<i64> = on!(conn, c => theirs.load(c))?;
        on!(conn, c => diesel::delete(log_jobs::table.filter(log_jobs::idx.eq_any(&places))).execute(c))?;
    }
    Ok(())
}

/// Rows that are looked up by one statement.
const LOOKUP: usize = 1000;

/// The texts of these leaves.
pub fn texts(conn: &mut Conn, places: &[i64]) -> Result<HashMap<i64, String>, Fault> {
    Ok(looked_up!(conn, log_leaves, idx => leaf, places))
}

/// The place of the leaf of a journal entry.
pub fn place_of(conn: &mut Conn, seq: i64) -> Result<Option<i64>, Fault> {
    Ok(on!(conn, c => log_leaves::table.filter(log_leaves::seq.eq(seq)).select(log_leaves::idx).first(c).optional())?)
}

/// Lines of a lot by number, both included.
pub fn lines(conn: &mut Conn, lot: i64, from: u64, to: u64) -> Result<Vec<LineRow>, Fault> {
    let some = log_lines::table.filter(log_lines::lot.eq(lot).and(log_lines::n.between(whole(from)?, whole(to)?)));
    Ok(on!(conn, c => some.order(log_lines::n).load(c))?)
}

/// How many rows stand in the tables that grow with the journal: leaves, lines, salts of jobs, tiles, heads.
pub fn counts(conn: &mut Conn) -> Result<[i64; 5], Fault> {
    Ok([
        on!(conn, c => log_leaves::table.count().get_result(c))?,
        on!(conn, c => log_lines::table.count().get_result(c))?,
        on!(conn, c => log_jobs::table.count().get_result(c))?,
        on!(conn, c => log_tiles::table.count().get_result(c))?,
        on!(conn, c => log_heads::table.count().get_result(c))?,
    ])
}

/// The handles of lots.
pub fn lots(conn: &mut Conn) -> Result<Vec<(i64, String)>, Fault> {
    Ok(on!(conn, c => log_lots::table.order(log_lots::lot).load(c))?)
}

/// Every provider's secret.
pub fn providers(conn: &mut Conn) -> Result<Vec<ProviderRow>, Fault> {
    Ok(on!(conn, c => log_providers::table.order(log_providers::provider).load(c))?)
}

/// The keys that the log was signed with, in their order, each with the place of its leaf.
pub fn keys(conn: &mut Conn) -> Result<Vec<(i64, String)>, Fault> {
    Ok(on!(conn, c => log_keys::table.order(log_keys::idx).load(c))?)
}

/// The heads of all lots as the seal at a place commits to them.
pub fn heads_at(conn: &mut Conn, seal: u64) -> Result<Vec<HeadRow>, Fault> {
    const NEWEST: &str = "SELECT h.lot, h.seal, h.head, h.edge FROM log_lots l JOIN log_heads h ON h.lot = l.lot
        AND h.seal = (SELECT max(seal) FROM log_heads WHERE lot = l.lot AND seal <= $1)";
    let query = sql_query(NEWEST).bind::<BigInt, _>(whole(seal)?);
    Ok(on!(conn, c => query.load(c))?)
}

/// The heads of these lots that changed at seals from one place up to, not including, another, in the order of the lots.
pub fn heads_changed(conn: &mut Conn, lots: &[i64], from: u64, to: u64) -> Result<Vec<HeadRow>, Fault> {
    let (from, to) = (whole(from)?, whole(to)?);
    let mut found = Vec::new();
    for some in lots.chunks(LOOKUP) {
        let theirs = log_heads::table.filter(log_heads::lot.eq_any(some).and(log_heads::seal.ge(from)).and(log_heads::seal.lt(to)));
        let rows: Vec<HeadRow> = on!(conn, c => theirs.order((log_heads::lot, log_heads::seal)).load(c))?;
        found.extend(rows);
    }
    Ok(found)
}

/// Who keeps the tiles of a tree of some size.
pub struct Kept<'c> {
    /// The log.
    pub conn: &'c mut Conn,
}

impl Tiles for Kept<'_> {
    type Error = Fault;

    fn tiles(&mut self, wanted: &[Tile]) -> Result<Vec<Vec<Hash>>, Fault> {
        let mut by_level: BTreeMap<u8, Vec<i64>> = BTreeMap::new();
        for tile in wanted {
            by_level.entry(tile.level).or_default().push(whole(tile.index)?);
        }
        let mut full: HashMap<(u8, i64), Vec<u8>> = HashMap::new();
        for (level, places) in by_level {
            for some in places.chunks(LOOKUP) {
                let of_level = log_tiles::table.filter(log_tiles::level.eq(i32::from(level)).and(log_tiles::idx.eq_any(some)));
                let rows: Vec<(i64, Vec<u8>)> = on!(self.conn, c => of_level.select((log_tiles::idx, log_tiles::hashes)).load(c))?;
                full.extend(rows.into_iter().map(|(idx, hashes)| ((level, idx), hashes)));
            }
        }
        // What is partial now was partial then, and began with the same hashes.
        let edge: HashMap<i64, Vec<u8>> =
            if wanted.iter().all(|tile| tile.is_full()) { HashMap::new() } else { edge_tiles(self.conn)?.into_iter().collect() };
        let bytes = |tile: &Tile| {
            let of_edge = || edge.get(&i64::from(tile.level)).filter(|_| !tile.is_full());
            full.get(&(tile.level, tile.index.cast_signed())).or_else(of_edge).and_then(|bytes| cut(bytes, *tile))
        };
        wanted.iter().map(|tile| bytes(tile).ok_or_else(|| Fault::Internal(format!("{} of the log is missing", tile.path())))).collect()
    }
}

/// As many hashes of a tile, or of one that it has grown to, as it is wide.
fn cut(bytes: &[u8], tile: Tile) -> Option<Vec<Hash>> {
    decode(bytes.get(..usize::from(tile.width) * size_of::<Hash>())?, tile.width)
}

/// The partial tiles by level, as they are kept.
pub fn edge_tiles(conn: &mut Conn) -> Result<Vec<(i64, Vec<u8>)>, Fault> {
    Ok(on!(conn, c => log_edge::table.order(log_edge::level).load(c))?)
}

/// The tiles, as they are kept, that a tree fills as it grows from one size to another.
pub fn tiles_filled(conn: &mut Conn, from: u64, to: u64) -> Result<FxHashMap<Tile, Vec<u8>>, Fault> {
    let mut found = FxHashMap::default();
    for (level, indices) in Tile::filled(from, to) {
        let (first, end) = (whole(indices.start)?, whole(indices.end)?);
        let theirs = log_tiles::level.eq(i32::from(level)).and(log_tiles::idx.ge(first)).and(log_tiles::idx.lt(end));
        let rows: Vec<(i64, Vec<u8>)> =
            on!(conn, c => log_tiles::table.filter(theirs).select((log_tiles::idx, log_tiles::hashes)).load(c))?;
        found.extend(rows.into_iter().map(|(index, hashes)| (Tile { level, index: index.unsigned_abs(), width: FULL }, hashes)));
    }
    Ok(found)
}

/// The edge of the tree of that size.
pub fn edge(conn: &mut Conn, size: u64) -> Result<Edge, Fault> {
    let by_level: HashMap<i64, Vec<u8>> = edge_tiles(conn)?.into_iter().collect();
    let tiles = Tile::partial(size).map(|tile| by_level.get(&i64::from(tile.level)).and_then(|bytes| decode(bytes, tile.width)));
    let tiles: Option<Vec<Vec<Hash>>> = tiles.collect();
    tiles.and_then(|tiles| Edge::from_parts(size, tiles)).ok_or_else(|| Fault::Internal("the edge of the log's tree is broken".into()))
}

/// The newest checkpoint, with what witnesses said of it.
pub fn last_checkpoint(conn: &mut Conn) -> Result<Option<(i64, String)>, Fault> {
    let last: Option<(i64, String)> = on!(conn, c => log_checkpoints::table.order(log_checkpoints::size.desc()).first(c).optional())?;
    last.map(|(size, note)| Ok((size, with_cosignatures(conn, size, note)?))).transpose()
}

/// The checkpoint of that size, with what witnesses said of it.
pub fn checkpoint(conn: &mut Conn, size: u64) -> Result<Option<String>, Fault> {
    let size = whole(size)?;
    let note: Option<String> = on!(conn, c => log_checkpoints::table.find(size).select(log_checkpoints::note).first(c).optional())?;
    note.map(|note| with_cosignatures(conn, size, note)).transpose()
}

fn with_cosignatures(conn: &mut Conn, size: i64, note: String) -> Result<String, Fault> {
    let of_size = log_cosignatures::table.filter(log_cosignatures::size.eq(size)).order(log_cosignatures::witness);
    let lines: Vec<String> = on!(conn, c => of_size.select(log_cosignatures::line).load(c))?;
    Ok(lines.iter().fold(note, |note, line| note + line + "\n"))
}

/// All checkpoints as they were signed, the smallest first.
pub fn checkpoints(conn: &mut Conn) -> Result<Vec<(i64, String)>, Fault> {
    Ok(on!(conn, c => log_checkpoints::table.order(log_checkpoints::size).load(c))?)
}

/// Keeps a checkpoint.
pub fn insert_checkpoint(conn: &mut Conn, size: u64, note: &str) -> Result<(), Fault> {
    let row = (log_checkpoints::size.eq(whole(size)?), log_checkpoints::note.eq(note));
    on!(conn, c => diesel::insert_into(log_checkpoints::table).values(row).execute(c))?;
    Ok(())
}

/// All cosignatures: of which size, by which witness's key, and the line.
pub fn cosignatures(conn: &mut Conn) -> Result<Vec<(i64, String, String)>, Fault> {
    Ok(on!(conn, c => log_cosignatures::table.order((log_cosignatures::size, log_cosignatures::witness)).load(c))?)
}

/// Whether a witness has cosigned the checkpoint of that size.
pub fn is_cosigned(conn: &mut Conn, size: i64, witness: &str) -> Result<bool, Fault> {
    let found: Option<i64> =
        on!(conn, c => log_cosignatures::table.find((size, witness)).select(log_cosignatures::size).first(c).optional())?;
    Ok(found.is_some())
}

/// The largest size that a witness has cosigned.
pub fn last_cosigned(conn: &mut Conn, witness: &str) -> Result<Option<i64>, Fault> {
    let of_witness = log_cosignatures::table.filter(log_cosignatures::witness.eq(witness)).order(log_cosignatures::size.desc());
    Ok(on!(conn, c => of_witness.select(log_cosignatures::size).first(c).optional())?)
}

/// Keeps a cosignature.
pub fn insert_cosignature(conn: &mut Conn, size: i64, witness: &str, line: &str) -> Result<(), Fault> {
    let row = (log_cosignatures::size.eq(size), log_cosignatures::witness.eq(witness), log_cosignatures::line.eq(line));
    on!(conn, c => diesel::insert_into(log_cosignatures::table).values(row).execute(c))?;
    Ok(())
}
