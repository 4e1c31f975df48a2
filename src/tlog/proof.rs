//! Proofs that a leaf is in a tree and that one tree is the beginning of another: made (RFC 6962 §2.1.1, §2.1.2) and verified (RFC 9162
//! §2.1.3.2, §2.1.4.2).
//!
//! A proof is the list of hashes and nothing else. Whoever verifies says all numbers and both roots; what the maker says of them counts for
//! nothing. Bound: 63 hashes an inclusion, 64 a consistency.

use super::hash::{self, Hash};
use super::tree::{Hashes, MOST, Span};

/// Whose hashes prove that leaf `index` is in the tree of `size`, from the leaf's neighbour up (RFC 6962 §2.1.1). Nothing if it is not.
pub fn inclusion_spans(index: u64, size: u64) -> Option<Vec<Span>> {
    let mut at = Span::whole(size).filter(|_| index < size)?;
    let mut path = Vec::new();
    while let Some((left, right)) = at.halves() {
        let (next, other) = if index < left.to { (left, right) } else { (right, left) };
        path.push(other);
        at = next;
    }
    path.reverse();
    Some(path)
}

/// Whose hashes prove that the tree of `from` leaves is the beginning of that of `to` (RFC 6962 §2.1.2); none where `from` is 0 or `to`,
/// where there is nothing to prove. Nothing if `from` is the larger.
pub fn consistency_spans(from: u64, to: u64) -> Option<Vec<Span>> {
    if from > to {
        return None;
    }
    let Some(mut at) = Span::whole(to).filter(|_| from > 0) else { return Some(Vec::new()) };
    let mut path = Vec::new();
    // Whether the old tree is all that has been descended into, so that its root is known already.
    let mut known = true;
    while from != at.to {
        let Some((left, right)) = at.halves() else { break };
        if from <= left.to {
            path.push(right);
            at = left;
        } else {
            path.push(left);
            at = right;
            known = false;
        }
    }
    if !known {
        path.push(at);
    }
    path.reverse();
    Some(path)
}

/// Why a proof can't be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unmade<E> {
    /// There is no such leaf or no such beginning.
    Nothing,
    /// The hashes can't be had.
    Hashes(E),
}

/// Makes the proof that leaf `index` is in the tree of `size` (RFC 6962 §2.1.1).
pub fn prove_inclusion<H: Hashes>(index: u64, size: u64, source: &mut H) -> Result<Vec<Hash>, Unmade<H::Error>> {
    let spans = inclusion_spans(index, size).ok_or(Unmade::Nothing)?;
    super::tree::hashes_of(&spans, source).map_err(Unmade::Hashes)
}

/// Makes the proof that the tree of `from` leaves is the beginning of that of `to` (RFC 6962 §2.1.2).
pub fn prove_consistency<H: Hashes>(from: u64, to: u64, source: &mut H) -> Result<Vec<Hash>, Unmade<H::Error>> {
    let spans = consistency_spans(from, to).ok_or(Unmade::Nothing)?;
    super::tree::hashes_of(&spans, source).map_err(Unmade::Hashes)
}

/// Whether the proof shows that leaf `index` has this hash in the tree with this size and root (RFC 9162 §2.1.3.2).
#[must_use]
pub fn includes(index: u64, leaf: &Hash, size: u64, root: &Hash, proof: &[Hash]) -> bool {
    if index >= size || size > MOST {
        return false;
    }
    let (mut own, mut last, mut hash) = (index, size - 1, *leaf);
    for other in proof {
        if last == 0 {
            return false;
        }
        if own & 1 == 1 || own == last {
            hash = hash::node(other, &hash);
            // Where the leaf's subtree is the last of its level and has no neighbour, it stands for itself further up.
            while own & 1 == 0 && own != 0 {
                own >>= 1;
                last >>= 1;
            }
        } else {
            hash = hash::node(&hash, other);
        }
        own >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether the proof shows that the tree of `from` leaves with this root is the beginning of that of `to` leaves (RFC 9162 §2.1.4.2). The
/// empty tree is the beginning of every tree, and a tree of itself, by no hashes at all.
#[must_use]
pub fn extends(from: u64, from_root: &Hash, to: u64, to_root: &Hash, proof: &[Hash]) -> bool {
    if from > to || to > MOST {
        return false;
    }
    if from == 0 {
        return proof.is_empty() && *from_root == hash::empty() && (to > 0 || *to_root == hash::empty());
    }
    if from == to {
        return proof.is_empty() && from_root == to_root;
    }
    let (mut own, mut last) = (from - 1, to - 1);
    while own & 1 == 1 {
        own >>= 1;
        last >>= 1;
    }
    // The old tree is a perfect one exactly where nothing is left of it: its root begins the proof, unsaid.
    let (begin, rest) = match proof.split_first() {
        _ if from.is_power_of_two() => (from_root, proof),
        Some((first, rest)) => (first, rest),
        None => return false,
    };
    let (mut old, mut new) = (*begin, *begin);
    for other in rest {
        if last == 0 {
            return false;
        }
        if own & 1 == 1 || own == last {
            old = hash::node(other, &old);
            new = hash::node(other, &new);
            while own & 1 == 0 && own != 0 {
                own >>= 1;
                last >>= 1;
            }
        } else {
            new = hash::node(&new, other);
        }
        own >>= 1;
        last >>= 1;
    }
    last == 0 && old == *from_root && new == *to_root
}

#[cfg(test)]
mod tests {
    use super::super::tree::Grown;
    use super::super::tree::tests::{leaves, naive, reference, sizes};
    use super::*;

    fn hex(hashes: &[Hash]) -> Vec<String> {
        hashes.iter().map(|hash| hash.iter().map(|byte| format!("{byte:02x}")).collect()).collect()
    }

    /// PATH of RFC 6962 §2.1.1 by its words.
    fn path(m: usize, d: &[Hash]) -> Vec<Hash> {
        if d.len() <= 1 {
            return Vec::new();
        }
        let k = d.len().next_power_of_two() / 2;
        let (mut found, other) = if m < k { (path(m, &d[..k]), naive(&d[k..])) } else { (path(m - k, &d[k..]), naive(&d[..k])) };
        found.push(other);
        found
    }

    /// SUBPROOF of RFC 6962 §2.1.2 by its words.
    fn subproof(m: usize, d: &[Hash], b: bool) -> Vec<Hash> {
        if m == d.len() {
            return if b { Vec::new() } else { vec![naive(d)] };
        }
        let k = d.len().next_power_of_two() / 2;
        let (mut found, other) =
            if m <= k { (subproof(m, &d[..k], b), naive(&d[k..])) } else { (subproof(m - k, &d[k..], false), naive(&d[..k])) };
        found.push(other);
        found
    }

    #[test]
    fn the_known_proofs_come_out() {
        // As the reference tests of Certificate Transparency have them; they count leaves from 1.
        let mut tree = Grown::new(reference());
        let known = [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ];
        assert_eq!(hex(&prove_inclusion(0, 8, &mut tree).expect("a proof")), known);
        let known = [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ];
        assert_eq!(hex(&prove_inclusion(5, 8, &mut tree).expect("a proof")), known);
        let known = [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ];
        assert_eq!(hex(&prove_consistency(6, 8, &mut tree).expect("a proof")), known);
        let known = [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ];
        assert_eq!(hex(&prove_consistency(2, 5, &mut tree).expect("a proof")), known);
    }

    #[test]
    fn all_proofs_of_small_trees_are_the_words_of_the_rfc_and_verify() {
        let all = leaves(66);
        for size in 0..=all.len() {
            let (leaves, root) = (&all[..size], naive(&all[..size]));
            let mut tree = Grown::new(leaves.to_vec());
            for index in 0..size {
                let proof = prove_inclusion(index as u64, size as u64, &mut tree).expect("a proof");
                assert_eq!(proof, path(index, leaves), "{index} of {size}");
                assert!(includes(index as u64, &leaves[index], size as u64, &root, &proof), "{index} of {size}");
            }
            for from in 0..=size {
                let proof = prove_consistency(from as u64, size as u64, &mut tree).expect("a proof");
                let known = if from == 0 { Vec::new() } else { subproof(from, leaves, true) };
                assert_eq!(proof, known, "{from} to {size}");
                assert!(extends(from as u64, &naive(&all[..from]), size as u64, &root, &proof), "{from} to {size}");
            }
        }
    }

    #[test]
    fn what_is_not_there_has_no_proof() {
        let mut tree = Grown::new(leaves(3));
        assert_eq!(prove_inclusion(3, 3, &mut tree), Err(Unmade::Nothing));
        assert_eq!(prove_inclusion(0, 0, &mut tree), Err(Unmade::Nothing));
        assert_eq!(prove_consistency(4, 3, &mut tree), Err(Unmade::Nothing));
        assert!(matches!(prove_inclusion(1, 4, &mut tree), Err(Unmade::Hashes(_))));
    }

    /// Every change of one hash, of the length and of the order.
    fn mutations(proof: &[Hash]) -> Vec<Vec<Hash>> {
        let mut all = Vec::new();
        for at in 0..proof.len() {
            let mut flipped = proof.to_vec();
            flipped[at][at % 32] ^= 1 << (at % 8);
            let mut shorter = proof.to_vec();
            shorter.remove(at);
            let mut longer = proof.to_vec();
            longer.insert(at, proof[at]);
            all.extend([flipped, shorter, longer]);
            if at > 0 {
                let mut swapped = proof.to_vec();
                swapped.swap(at - 1, at);
                all.push(swapped);
            }
        }
        let mut longer = proof.to_vec();
        longer.push(hash::empty());
        all.push(longer);
        all
    }

    #[test]
    fn no_mutated_proof_verifies() {
        let all = leaves(600);
        for size in sizes() {
            let (root, count) = (naive(&all[..size]), size as u64);
            let mut tree = Grown::new(all[..size].to_vec());
            for index in [0, size / 3, size / 2, size.saturating_sub(1)].into_iter().filter(|index| *index < size) {
                let (leaf, at) = (all[index], index as u64);
                let proof = prove_inclusion(at, count, &mut tree).expect("a proof");
                assert!(mutations(&proof).iter().all(|wrong| !includes(at, &leaf, count, &root, wrong)), "{index} of {size}");
                assert!(!includes(at, &hash::empty(), count, &root, &proof) && !includes(at, &leaf, count, &leaf, &[root]));
                assert!(!includes(at, &leaf, at, &root, &proof) && !includes(count, &leaf, count, &root, &proof));
                assert!((0..count).all(|other| other == at || !includes(other, &leaf, count, &root, &proof)), "{index} of {size}");
            }
            for from in [0, 1, size / 3, size / 2, size.saturating_sub(1), size].into_iter().filter(|from| *from <= size) {
                let (old, begin) = (naive(&all[..from]), from as u64);
                let proof = prove_consistency(begin, count, &mut tree).expect("a proof");
                assert!(mutations(&proof).iter().all(|wrong| !extends(begin, &old, count, &root, wrong)), "{from} to {size}");
                let other = hash::leaf(b"another root");
                assert!(!extends(begin, &other, count, &root, &proof), "{from} to {size}");
                assert!(from == 0 && size > 0 || !extends(begin, &old, count, &other, &proof), "{from} to {size}");
                assert!(from == size || !extends(count, &root, begin, &old, &proof), "{from} to {size}");
            }
        }
    }
}
