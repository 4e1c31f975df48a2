//! Tiles (C2SP tlog-tiles): the tree's hashes in pieces of 256, where each is found, how they come about and how any hash is read from them;
//! and bundles of the leaves themselves.
//!
//! A tile of level 0 holds the hashes of 256 leaves, one of level `l` those of 256 full tiles of the level below. What lies at the right edge
//! is partial. Full tiles never change.

use std::collections::HashMap;
use std::ops::Range;

use super::hash::{self, Hash};
use super::tree::{Frontier, Hashes, MOST, Node};

/// Hashes in a full tile.
pub const FULL: u16 = 256;
/// Levels of tiles that a tree of 2^63 leaves has.
const LEVELS: u8 = 8;

/// The most bytes of a leaf that a bundle can hold.
pub const LEAF_BYTES: usize = u16::MAX as usize;

/// Where a tile or a bundle is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Tile {
    /// Of which level.
    pub level: u8,
    /// Which it is of its level, from the left.
    pub index: u64,
    /// How many hashes it holds: `FULL`, or fewer at the right edge.
    pub width: u16,
}

impl Tile {
    /// The tile of that level and index in a tree of that size, as wide as it is there; nothing if there is none.
    pub fn of(level: u8, index: u64, size: u64) -> Option<Tile> {
        let total = if level < LEVELS { size >> (8 * level) } else { 0 };
        let width = total.checked_sub(index.checked_mul(u64::from(FULL))?)?.min(u64::from(FULL));
        Some(Tile { level, index, width: u16::try_from(width).ok()? }).filter(|tile| tile.width > 0)
    }

    /// The partial tiles of a tree of that size, from the lowest level up.
    pub fn partial(size: u64) -> impl Iterator<Item = Tile> {
        (0..LEVELS).filter_map(move |level| {
            let total = size >> (8 * level);
            Tile::of(level, total / u64::from(FULL), size)
        })
    }

    /// The tiles of each level that become full as a tree grows from one size to another.
    pub fn filled(from: u64, to: u64) -> impl Iterator<Item = (u8, Range<u64>)> {
        let full = |level: u8, size: u64| if level + 1 < LEVELS { size >> (8 * (level + 1)) } else { 0 };
        (0..LEVELS).map(move |level| (level, full(level, from)..full(level, to))).filter(|(_, indices)| !indices.is_empty())
    }

    /// Whether it is full.
    pub fn is_full(self) -> bool {
        self.width == FULL
    }

    /// Its path below the log's address: `tile/0/x001/234`, `tile/1/000.p/17`.
    pub fn path(self) -> String {
        format!("tile/{}/{}", self.level, numbers(self.index, self.width))
    }

    /// The path of its leaves, if it is of level 0: `tile/entries/x001/234`.
    pub fn bundle_path(self) -> String {
        format!("tile/entries/{}", numbers(self.index, self.width))
    }

    /// Reads what follows `tile/` in a path: the place, and whether the leaves are asked for. Only the one way to write it is read.
    pub fn parse(path: &str) -> Option<(Tile, bool)> {
        let (level, rest) = path.split_once('/')?;
        let leaves = level == "entries";
        let level = if leaves { 0 } else { hash::decimal(level).and_then(|level| u8::try_from(level).ok()).filter(|l| *l < 64)? };
        let (index, width) = match rest.split_once(".p/") {
            None => (rest, FULL),
            Some((index, width)) => {
                let width = hash::decimal(width).and_then(|width| u16::try_from(width).ok());
                (index, width.filter(|width| (1..FULL).contains(width))?)
            }
        };
        let digits: String = index.split('/').map(|part| part.trim_start_matches('x')).collect();
        let index = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i64>().ok())?;
        let tile = Tile { level, index: u64::try_from(index?).ok()?, width };
        // Written again it must be the same: that refuses missing `x`, groups of another length and needless zeros.
        (numbers(tile.index, width) == rest).then_some((tile, leaves))
    }
}

/// The index in groups of three digits, all but the last after an `x`, and the width if it is partial.
fn numbers(index: u64, width: u16) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    if width < FULL { format!("{path}.p/{width}") } else { path }
}

/// A tile's hashes as they are served: one after the other.
pub fn encode(hashes: &[Hash]) -> Vec<u8> {
    hashes.as_flattened().to_vec()
}

/// A tile's hashes as they came; nothing unless there are that many.
pub fn decode(bytes: &[u8], width: u16) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    (rest.is_empty() && hashes.len() == usize::from(width)).then(|| hashes.to_vec())
}

/// A bundle of leaves, each after its length in two bytes; nothing if one is longer than `LEAF_BYTES`.
pub fn encode_bundle<'a>(leaves: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for leaf in leaves {
        bytes.extend(u16::try_from(leaf.len()).ok()?.to_be_bytes());
        bytes.extend(leaf);
    }
    Some(bytes)
}

/// The leaves of a bundle; nothing unless there are exactly that many.
pub fn decode_bundle(bytes: &[u8], width: u16) -> Option<Vec<&[u8]>> {
    let mut leaves = Vec::with_capacity(usize::from(width));
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first_chunk() {
        let (leaf, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        leaves.push(leaf);
        rest = after;
    }
    (rest.is_empty() && leaves.len() == usize::from(width)).then_some(leaves)
}

/// The right edge of a tree in tiles: the partial tile of each level. From it the tree grows, and full tiles come out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Edge {
    size: u64,
    partial: Vec<Vec<Hash>>,
}

impl Edge {
    /// Of the tree without leaves.
    pub fn new() -> Edge {
        Edge::default()
    }

    /// From the partial tiles of a tree of that size, in the order of `Tile::partial`. Nothing unless they fit.
    pub fn from_parts(size: u64, tiles: Vec<Vec<Hash>>) -> Option<Edge> {
        let mut given = tiles.into_iter();
        let mut partial = Vec::new();
        for tile in Tile::partial(size).filter(|_| size <= MOST) {
            let hashes = given.next().filter(|hashes| hashes.len() == usize::from(tile.width))?;
            partial.resize(usize::from(tile.level), Vec::new());
            partial.push(hashes);
        }
        (size <= MOST && given.next().is_none()).then_some(Edge { size, partial })
    }

    /// How many leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The partial tiles, from the lowest level up.
    pub fn parts(&self) -> impl Iterator<Item = (Tile, &[Hash])> {
        let at = |tile: &Tile| self.partial.get(usize::from(tile.level)).map(Vec::as_slice).unwrap_or_default();
        Tile::partial(self.size).map(move |tile| (tile, at(&tile)))
    }

    /// Adds a leaf by its hash; `full` is handed each tile that this completes.
    pub fn push(&mut self, leaf: Hash, mut full: impl FnMut(Tile, Vec<Hash>)) {
        self.size += 1;
        let mut next = leaf;
        for level in 0..LEVELS {
            if self.partial.len() <= usize::from(level) {
                self.partial.push(Vec::with_capacity(usize::from(FULL)));
            }
            let Some(tile) = self.partial.get_mut(usize::from(level)) else { return };
            tile.push(next);
            if tile.len() < usize::from(FULL) {
                return;
            }
            let hashes = std::mem::take(tile);
            next = above(&hashes);
            full(Tile { level, index: (self.size >> (8 * level)) / u64::from(FULL) - 1, width: FULL }, hashes);
        }
    }

    /// The tree's right edge, from which its root is told.
    pub fn frontier(&self) -> Frontier {
        let mut edge = Vec::new();
        for (_, hashes) in self.parts().collect::<Vec<_>>().into_iter().rev() {
            let mut rest = hashes;
            while !rest.is_empty() {
                let (first, after) = rest.split_at(1 << rest.len().ilog2());
                edge.push(above(first));
                rest = after;
            }
        }
        // The bits of the size are those of the widths, so it fits.
        Frontier::from_parts(self.size, edge).unwrap_or_default()
    }

    /// The root (RFC 6962 §2.1).
    pub fn root(&self) -> Hash {
        self.frontier().root()
    }
}

/// The hash above a power of two of hashes.
fn above(hashes: &[Hash]) -> Hash {
    let mut frontier = Frontier::new();
    hashes.iter().for_each(|hash| frontier.push(*hash));
    frontier.root()
}

/// Who keeps tiles.
pub trait Tiles {
    /// Why they can't be had.
    type Error;

    /// The hashes of each tile that is asked for, in that order. More than asked for, as of the full tile, are as well.
    fn tiles(&mut self, wanted: &[Tile]) -> Result<Vec<Vec<Hash>>, Self::Error>;
}

/// Why a hash can't be read from tiles.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unread<E> {
    /// Whoever keeps them can't.
    Keeper(E),
    /// The tile is narrower than a tree of that size has it, or was not given.
    Short(Tile),
    /// The tree has no such subtree.
    Beyond(Node),
}

/// The hashes of a tree's subtrees, read from tiles, each tile once.
#[derive(Debug)]
pub struct Reader<K> {
    keeper: K,
    size: u64,
    /// By level and index: the tile's hashes, and above them those of its inner nodes.
    read: HashMap<(u8, u64), Vec<Vec<Hash>>>,
}

impl<K: Tiles> Reader<K> {
    /// For the tree of that size.
    pub fn new(keeper: K, size: u64) -> Reader<K> {
        Reader { keeper, size, read: HashMap::new() }
    }

    /// The tile that holds a subtree's hash or what it is made of, and the subtree's place within: how far above the tile's hashes, which of them.
    fn place(&self, node: Node) -> Result<(Tile, u8, usize), Unread<K::Error>> {
        let (level, rise) = (node.level / 8, node.level % 8);
        let first = node.index.checked_shl(u32::from(rise)).filter(|first| first >> rise == node.index);
        let found = first.and_then(|first| {
            let tile = Tile::of(level, first / u64::from(FULL), self.size)?;
            let within = u16::try_from(first % u64::from(FULL)).ok()?;
            (within + (1 << rise) <= tile.width).then_some((tile, rise, usize::from(within >> rise)))
        });
        found.ok_or(Unread::Beyond(node))
    }

    fn fetch(&mut self, mut tiles: Vec<Tile>) -> Result<(), Unread<K::Error>> {
        tiles.retain(|tile| !self.read.contains_key(&(tile.level, tile.index)));
        tiles.sort_unstable();
        tiles.dedup();
        if tiles.is_empty() {
            return Ok(());
        }
        let mut given = self.keeper.tiles(&tiles).map_err(Unread::Keeper)?.into_iter();
        for tile in tiles {
            let mut hashes = given.next().unwrap_or_default();
            if hashes.len() < usize::from(tile.width) {
                return Err(Unread::Short(tile));
            }
            hashes.truncate(usize::from(tile.width));
            self.read.insert((tile.level, tile.index), vec![hashes]);
        }
        Ok(())
    }
}

impl<K: Tiles> Hashes for Reader<K> {
    type Error = Unread<K::Error>;

    fn prepare(&mut self, nodes: &[Node]) -> Result<(), Self::Error> {
        let tiles: Result<Vec<Tile>, Self::Error> = nodes.iter().map(|node| self.place(*node).map(|(tile, ..)| tile)).collect();
        self.fetch(tiles?)
    }

    fn hash(&mut self, node: Node) -> Result<Hash, Self::Error> {
        let (tile, rise, within) = self.place(node)?;
        self.fetch(vec![tile])?;
        let levels = self.read.entry((tile.level, tile.index)).or_default();
        while levels.len() <= usize::from(rise) {
            let pairs = levels.last().map(|below| below.as_chunks::<2>().0).unwrap_or_default();
            levels.push(pairs.iter().map(|[left, right]| hash::node(left, right)).collect());
        }
        let found = levels.get(usize::from(rise)).and_then(|level| level.get(within));
        found.copied().ok_or(Unread::Short(tile))
    }
}

#[cfg(test)]
mod tests;
