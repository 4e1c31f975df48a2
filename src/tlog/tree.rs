//! The tree's shape (RFC 6962 §2.1): where it is split, which perfect subtrees make up a span of leaves, and the right edge from which it
//! grows and is hashed without its leaves.
//!
//! Everything that is proved of a tree is a list of spans; a span's hash is folded from the hashes of its perfect subtrees.

use super::hash::{self, Hash};

/// The most leaves a tree may have.
pub const MOST: u64 = i64::MAX as u64;

/// A perfect subtree: the 2^`level` leaves from `index` · 2^`level` on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Node {
    /// How many levels it stands above the leaves.
    pub level: u8,
    /// Which it is of its level, from the left.
    pub index: u64,
}

/// Leaves `from` up to, not including, `to`, as a splitting of the tree makes them: never empty, and `from` is a multiple of a power of two
/// that is not less than their number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The first leaf.
    pub from: u64,
    /// The leaf after the last.
    pub to: u64,
}

/// Who knows the hashes of perfect subtrees.
pub trait Hashes {
    /// Why a hash can't be had.
    type Error;

    /// Says beforehand which will be asked for, so that they may be fetched at once.
    fn prepare(&mut self, nodes: &[Node]) -> Result<(), Self::Error>;

    /// The hash of one.
    fn hash(&mut self, node: Node) -> Result<Hash, Self::Error>;
}

/// The largest power of two below `n`: where a tree of `n` > 1 leaves is split (RFC 6962 §2.1).
pub(super) fn split(n: u64) -> u64 {
    1 << n.saturating_sub(1).max(1).ilog2()
}

impl Span {
    /// The whole tree, if it has leaves.
    pub fn whole(size: u64) -> Option<Span> {
        (size > 0).then_some(Span { from: 0, to: size })
    }

    /// How many leaves.
    pub fn size(self) -> u64 {
        self.to.saturating_sub(self.from)
    }

    /// The two spans it is split into, if it has more than one leaf (RFC 6962 §2.1).
    pub fn halves(self) -> Option<(Span, Span)> {
        (self.size() > 1).then(|| {
            let middle = self.from + split(self.size());
            (Span { to: middle, ..self }, Span { from: middle, ..self })
        })
    }

    /// Its perfect subtrees from the left, each smaller than the one before.
    pub fn nodes(self) -> impl DoubleEndedIterator<Item = Node> {
        let size = self.size();
        (0..64u8).rev().filter(move |level| size >> level & 1 == 1).map(move |level| {
            // What stands left of it are the larger ones.
            let before = size >> level & !1;
            Node { level, index: (self.from >> level) + before }
        })
    }
}

/// The hash above perfect subtrees that stand side by side, each smaller than the one before; of none, the empty tree's.
fn fold(hashes: impl DoubleEndedIterator<Item = Hash>) -> Hash {
    hashes.rev().reduce(|right, left| hash::node(&left, &right)).unwrap_or_else(hash::empty)
}

/// The hashes of spans (RFC 6962 §2.1), all asked for at once.
pub fn hashes_of<H: Hashes>(spans: &[Span], source: &mut H) -> Result<Vec<Hash>, H::Error> {
    let nodes: Vec<Node> = spans.iter().flat_map(|span| span.nodes()).collect();
    source.prepare(&nodes)?;
    let mut hashes = Vec::with_capacity(spans.len());
    for span in spans {
        let parts: Result<Vec<Hash>, H::Error> = span.nodes().map(|node| source.hash(node)).collect();
        hashes.push(fold(parts?.into_iter()));
    }
    Ok(hashes)
}

/// The root of the tree of that size (RFC 6962 §2.1).
pub fn root_of<H: Hashes>(size: u64, source: &mut H) -> Result<Hash, H::Error> {
    let spans: Vec<Span> = Span::whole(size).into_iter().collect();
    Ok(hashes_of(&spans, source)?.first().copied().unwrap_or_else(hash::empty))
}

/// A tree's right edge: its size and the hashes of its perfect subtrees from the left. It is all that is needed to add leaves and to tell the
/// root (RFC 6962 §2.1).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frontier {
    size: u64,
    edge: Vec<Hash>,
}

impl Frontier {
    /// The tree without leaves.
    pub fn new() -> Frontier {
        Frontier::default()
    }

    /// As `parts` gave it: nothing if a tree of that size has another number of perfect subtrees, or more leaves than may be.
    pub fn from_parts(size: u64, edge: Vec<Hash>) -> Option<Frontier> {
        (size <= MOST && edge.len() == size.count_ones() as usize).then_some(Frontier { size, edge })
    }

    /// Of the tree of that size, from what is known of its subtrees.
    pub fn read<H: Hashes>(size: u64, source: &mut H) -> Result<Frontier, H::Error> {
        let nodes: Vec<Node> = Span::whole(size).into_iter().flat_map(Span::nodes).collect();
        source.prepare(&nodes)?;
        let edge: Result<Vec<Hash>, H::Error> = nodes.iter().map(|node| source.hash(*node)).collect();
        Ok(Frontier { size, edge: edge? })
    }

    /// The size and the hashes of the perfect subtrees, from the left.
    pub fn parts(&self) -> (u64, &[Hash]) {
        (self.size, &self.edge)
    }

    /// How many leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut right = leaf;
        // Each perfect subtree that ends here and is as large as what is new becomes one with it.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.edge.pop() {
                right = hash::node(&left, &right);
            }
        }
        self.edge.push(right);
        self.size += 1;
    }

    /// The root (RFC 6962 §2.1).
    pub fn root(&self) -> Hash {
        fold(self.edge.iter().copied())
    }
}

/// A whole tree in memory, all levels of it: for trees that are made anew each time.
#[derive(Clone, Debug)]
pub struct Grown {
    levels: Vec<Vec<Hash>>,
}

impl Grown {
    /// Over leaves given by their hashes.
    pub fn new(leaves: Vec<Hash>) -> Grown {
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|below| below.len() > 1) {
            let above = below.as_chunks::<2>().0.iter().map(|[left, right]| hash::node(left, right)).collect();
            levels.push(above);
        }
        Grown { levels }
    }

    /// How many leaves.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }
}

/// A subtree that reaches beyond the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Beyond(pub Node);

impl Hashes for Grown {
    type Error = Beyond;

    fn prepare(&mut self, _: &[Node]) -> Result<(), Beyond> {
        Ok(())
    }

    fn hash(&mut self, node: Node) -> Result<Hash, Beyond> {
        let level = self.levels.get(usize::from(node.level));
        let found = level.zip(usize::try_from(node.index).ok()).and_then(|(level, index)| level.get(index));
        found.copied().ok_or(Beyond(node))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::tlog::hash::{leaf, node};

    /// The root by the words of RFC 6962 §2.1, without any of the above.
    pub fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => hash::empty(),
            [one] => *one,
            more => {
                let middle = more.len().next_power_of_two() / 2;
                node(&naive(&more[..middle]), &naive(&more[middle..]))
            }
        }
    }

    /// Leaves that differ.
    pub fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|n| leaf(format!("leaf {n}").as_bytes())).collect()
    }

    /// Sizes at which the shape changes, and some between.
    pub fn sizes() -> Vec<usize> {
        let edges = (0..=9).flat_map(|bit| [(1usize << bit) - 1, 1 << bit, (1 << bit) + 1]);
        let mut all: Vec<usize> = edges.chain([6, 21, 100, 300]).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The eight leaves of the reference tests of Certificate Transparency.
    pub fn reference() -> Vec<Hash> {
        let texts = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        let bytes = |text: &str| -> Vec<u8> {
            (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hexadecimal")).collect()
        };
        texts.map(|text| leaf(&bytes(text))).to_vec()
    }

    #[test]
    fn the_reference_trees_have_the_known_roots() {
        let known = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut frontier = Frontier::new();
        for (leaf, root) in reference().into_iter().zip(known) {
            frontier.push(leaf);
            let hex: String = frontier.root().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, root, "of {}", frontier.size());
        }
    }

    #[test]
    fn every_way_to_the_root_is_the_same() {
        let all = leaves(600);
        let mut frontier = Frontier::new();
        let wanted = sizes();
        for size in 0..=all.len() {
            if wanted.contains(&size) {
                let mut grown = Grown::new(all[..size].to_vec());
                let root = naive(&all[..size]);
                assert_eq!((frontier.root(), grown.size()), (root, size as u64));
                assert_eq!(root_of(size as u64, &mut grown), Ok(root), "of {size}");
                assert_eq!(Frontier::read(size as u64, &mut grown), Ok(frontier.clone()), "of {size}");
                let (told, edge) = frontier.parts();
                assert_eq!(Frontier::from_parts(told, edge.to_vec()), Some(frontier.clone()));
            }
            if let Some(leaf) = all.get(size) {
                frontier.push(*leaf);
            }
        }
    }

    #[test]
    fn an_edge_that_is_none_is_refused() {
        assert_eq!(Frontier::from_parts(3, leaves(1)), None);
        assert_eq!(Frontier::from_parts(0, leaves(1)), None);
        assert_eq!(Frontier::from_parts(u64::MAX, leaves(64)), None);
        assert_eq!(Grown::new(leaves(3)).hash(Node { level: 1, index: 1 }), Err(Beyond(Node { level: 1, index: 1 })));
    }
}
