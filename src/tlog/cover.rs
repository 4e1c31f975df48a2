//! One proof for many leaves of one tree: a cover.
//!
//! The tree is walked from its root by the splitting of RFC 6962 §2.1, left before right. A span without a wanted leaf gives its hash to the
//! list and is not entered; a span of one leaf, a wanted one, gives nothing. Whoever verifies walks the same way, takes the next hash of the
//! list for each span without wanted leaves, and must end with the list used up and the root in hand. Far smaller than a path for each
//! leaf, and one hash a node to verify.

use super::hash::{self, Hash};
use super::proof::Unmade;
use super::tree::{Hashes, MOST, Span, hashes_of};

/// Whether the leaves are in order, each once, and in the tree.
fn in_order(mut indices: impl Iterator<Item = u64>, size: u64) -> bool {
    let mut next = 0;
    size <= MOST && indices.all(|index| (next..size).contains(&index) && std::mem::replace(&mut next, index + 1) <= index)
}

/// Whose hashes cover all but the wanted leaves, in their order. Nothing unless these are in ascending order, each once, and in the tree.
pub fn spans(wanted: &[u64], size: u64) -> Option<Vec<Span>> {
    fn walk(span: Span, wanted: &[u64], found: &mut Vec<Span>) {
        if wanted.is_empty() {
            found.push(span);
        } else if let Some((left, right)) = span.halves() {
            let (first, rest) = wanted.split_at(wanted.partition_point(|index| *index < left.to));
            walk(left, first, found);
            walk(right, rest, found);
        }
    }
    in_order(wanted.iter().copied(), size).then(|| {
        let mut found = Vec::new();
        if let Some(whole) = Span::whole(size) {
            walk(whole, wanted, &mut found);
        }
        found
    })
}

/// Makes the cover of the wanted leaves, which are in ascending order, each once.
pub fn prove<H: Hashes>(wanted: &[u64], size: u64, source: &mut H) -> Result<Vec<Hash>, Unmade<H::Error>> {
    let spans = spans(wanted, size).ok_or(Unmade::Nothing)?;
    hashes_of(&spans, source).map_err(Unmade::Hashes)
}

/// Whether the cover shows that these leaves, by index and hash in ascending order, are in the tree with this size and root.
#[must_use]
pub fn includes(leaves: &[(u64, Hash)], size: u64, root: &Hash, cover: &[Hash]) -> bool {
    fn walk(span: Span, leaves: &[(u64, Hash)], cover: &mut std::slice::Iter<Hash>) -> Option<Hash> {
        let Some((first, _)) = leaves.split_first() else { return cover.next().copied() };
        let Some((left, right)) = span.halves() else { return Some(first.1) };
        let (first, rest) = leaves.split_at(leaves.partition_point(|(index, _)| *index < left.to));
        let left = walk(left, first, cover)?;
        Some(hash::node(&left, &walk(right, rest, cover)?))
    }
    if !in_order(leaves.iter().map(|(index, _)| *index), size) {
        return false;
    }
    let mut rest = cover.iter();
    let found = match Span::whole(size) {
        Some(whole) => walk(whole, leaves, &mut rest),
        None => Some(hash::empty()),
    };
    rest.as_slice().is_empty() && found.as_ref() == Some(root)
}

#[cfg(test)]
mod tests {
    use super::super::tree::Grown;
    use super::super::tree::tests::{leaves, naive, sizes};
    use super::*;

    #[test]
    fn every_set_of_leaves_of_every_small_tree_is_covered() {
        let all = leaves(9);
        for size in 0..=all.len() {
            let root = naive(&all[..size]);
            let mut tree = Grown::new(all[..size].to_vec());
            for set in 0..1u64 << size {
                let wanted: Vec<u64> = (0..size as u64).filter(|index| set >> index & 1 == 1).collect();
                let cover = prove(&wanted, size as u64, &mut tree).expect("a cover");
                let shown: Vec<(u64, Hash)> = wanted.iter().map(|index| (*index, all[*index as usize])).collect();
                assert!(includes(&shown, size as u64, &root, &cover), "{wanted:?} of {size}");
                for at in 0..shown.len() {
                    let mut wrong = shown.clone();
                    wrong[at].1[0] ^= 1;
                    assert!(!includes(&wrong, size as u64, &root, &cover), "{wanted:?} of {size}");
                    wrong.remove(at);
                    assert!(!includes(&wrong, size as u64, &root, &cover), "{wanted:?} of {size}");
                }
                for at in 0..cover.len() {
                    let mut wrong = cover.clone();
                    wrong[at][31] ^= 1;
                    assert!(!includes(&shown, size as u64, &root, &wrong), "{wanted:?} of {size}");
                    wrong.remove(at);
                    assert!(!includes(&shown, size as u64, &root, &wrong), "{wanted:?} of {size}");
                }
                let longer = [cover.as_slice(), &[root]].concat();
                assert!(!includes(&shown, size as u64, &root, &longer), "{wanted:?} of {size}");
            }
        }
    }

    #[test]
    fn a_cover_of_one_leaf_is_its_path_in_another_order() {
        let all = leaves(600);
        for size in sizes() {
            let mut tree = Grown::new(all[..size].to_vec());
            for index in [0, size / 2, size.saturating_sub(1)].into_iter().filter(|index| *index < size) {
                let mut cover = prove(&[index as u64], size as u64, &mut tree).expect("a cover");
                let mut path = super::super::proof::prove_inclusion(index as u64, size as u64, &mut tree).expect("a path");
                cover.sort_unstable();
                path.sort_unstable();
                assert_eq!(cover, path, "{index} of {size}");
            }
        }
    }

    #[test]
    fn leaves_out_of_order_twice_or_beyond_are_refused() {
        let all = leaves(4);
        let (root, mut tree) = (naive(&all), Grown::new(all.clone()));
        for wrong in [vec![1, 0], vec![1, 1], vec![4]] {
            assert_eq!(prove(&wrong, 4, &mut tree), Err(Unmade::Nothing), "{wrong:?}");
        }
        assert!(includes(&[], 4, &root, &[root]) && includes(&[], 0, &hash::empty(), &[]));
        assert!(!includes(&[(1, all[1]), (1, all[1])], 4, &root, &[all[0], hash::node(&all[2], &all[3])]));
        assert!(!includes(&[(0, root)], 0, &root, &[]) && !includes(&[], u64::MAX, &root, &[root]));
    }
}
