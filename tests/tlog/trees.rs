//! A thousand random trees: all inclusion and all consistency proofs of each against the definitions of RFC 6962 written down here once more,
//! covers of random leaves, and one mutation of each kind refused.

use almoner::tlog::hash::{empty, leaf, node};
use almoner::tlog::proof::{extends, includes, prove_consistency, prove_inclusion};
use almoner::tlog::tree::Grown;
use almoner::tlog::{Frontier, Hash, cover};

/// Numbers that are the same in every run (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// MTH of RFC 6962 §2.1 of every beginning of the leaves: `roots[n]` of the first `n`.
fn roots(leaves: &[Hash]) -> Vec<Hash> {
    fn mth(d: &[Hash]) -> Hash {
        match d {
            [] => empty(),
            [one] => *one,
            _ => {
                let k = d.len().next_power_of_two() / 2;
                node(&mth(&d[..k]), &mth(&d[k..]))
            }
        }
    }
    (0..=leaves.len()).map(|n| mth(&leaves[..n])).collect()
}

/// Whether a tree of one shape in memory proves all there is to prove of it.
fn all_proofs_hold(leaves: &[Hash], dice: &mut Dice) -> (u64, u64) {
    let (size, roots) = (leaves.len() as u64, roots(leaves));
    let root = roots[leaves.len()];
    let mut tree = Grown::new(leaves.to_vec());
    let (mut proofs, mut refused) = (0, 0);
    let mut mutate = |proof: &[Hash], dice: &mut Dice, holds: &dyn Fn(&[Hash]) -> bool| {
        let mut wrong = proof.to_vec();
        match (dice.below(4), wrong.len()) {
            (0, 1..) => wrong[dice.below(proof.len() as u64) as usize][dice.below(32) as usize] ^= 1 << dice.below(8),
            (1, 1..) => drop(wrong.remove(dice.below(proof.len() as u64) as usize)),
            (2, 2..) => wrong.swap(0, 1),
            _ => wrong.push(leaf(b"more")),
        }
        assert!(!holds(&wrong), "a mutated proof holds in a tree of {size}");
        refused += 1;
    };
    for (index, leaf) in (0..size).zip(leaves) {
        let proof = prove_inclusion(index, size, &mut tree).expect("a proof");
        assert!(includes(index, leaf, size, &root, &proof), "{index} of {size}");
        mutate(&proof, dice, &|wrong| includes(index, leaf, size, &root, wrong));
        proofs += 1;
    }
    for from in 0..=size {
        let proof = prove_consistency(from, size, &mut tree).expect("a proof");
        let old = roots[from as usize];
        assert!(extends(from, &old, size, &root, &proof), "{from} to {size}");
        mutate(&proof, dice, &|wrong| extends(from, &old, size, &root, wrong));
        proofs += 1;
    }
    let wanted: Vec<u64> = (0..size).filter(|_| dice.below(5) == 0).collect();
    let shown: Vec<(u64, Hash)> = wanted.iter().map(|index| (*index, leaves[*index as usize])).collect();
    let proof = cover::prove(&wanted, size, &mut tree).expect("a cover");
    assert!(cover::includes(&shown, size, &root, &proof), "{wanted:?} of {size}");
    mutate(&proof, dice, &|wrong| cover::includes(&shown, size, &root, wrong));
    (proofs, refused)
}

#[test]
fn a_thousand_random_trees_prove_all_their_leaves_and_all_their_beginnings() {
    let mut dice = Dice(6962);
    let edges = (0..=8u32).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
    let mut sizes: Vec<u64> = edges.collect();
    while sizes.len() < 1000 {
        sizes.push(dice.below(72));
    }
    let (mut proofs, mut refused) = (0, 0);
    for size in &sizes {
        let seed = dice.next();
        let leaves: Vec<Hash> = (0..*size).map(|n| leaf(&[seed.to_be_bytes(), n.to_be_bytes()].concat())).collect();
        let mut frontier = Frontier::new();
        leaves.iter().for_each(|leaf| frontier.push(*leaf));
        assert_eq!(Some(&frontier.root()), roots(&leaves).last(), "the root of {size}");
        let (held, not) = all_proofs_hold(&leaves, &mut dice);
        proofs += held;
        refused += not;
    }
    assert!(sizes.contains(&0) && sizes.len() == 1000);
    assert!(proofs > 50_000 && refused == proofs + 1000, "{proofs} proofs, {refused} mutations");
}
