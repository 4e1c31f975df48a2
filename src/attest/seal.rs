//! Seals: the heads of all lots' sub-logs under one root, in the order of the lots' handles.
//!
//! Pure. Every checkpoint ends in a seal, so that who has a checkpoint has a commitment to how many lines each lot has and what they come to.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::leaf;
use crate::tlog::hash::{self, Hash};
use crate::tlog::tree::{Frontier, Grown};

/// The heads of all lots.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Heads(BTreeMap<String, Hash>);

impl Heads {
    /// Takes a lot's newest head.
    pub fn set(&mut self, handle: &str, head: &str) {
        let hash = hash::leaf(head.as_bytes());
        match self.0.get_mut(handle) {
            Some(known) => *known = hash,
            None => {
                self.0.insert(handle.into(), hash);
            }
        }
    }

    /// Whether the lot has a head.
    pub fn knows(&self, handle: &str) -> bool {
        self.0.contains_key(handle)
    }

    /// The root over them.
    pub fn root(&self) -> Hash {
        let mut tree = Frontier::new();
        self.0.values().for_each(|hash| tree.push(*hash));
        tree.root()
    }

    /// The leaf that commits to them.
    pub fn seal(&self) -> String {
        leaf::seal(&self.root(), self.0.len())
    }

    /// The whole tree, to prove that a head is in it.
    pub fn tree(&self) -> Grown {
        Grown::new(self.0.values().copied().collect())
    }

    /// Which leaf of that tree a lot's head is.
    pub fn place(&self, handle: &str) -> Option<u64> {
        self.knows(handle).then(|| self.0.range::<str, _>((Bound::Unbounded, Bound::Excluded(handle))).count() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tlog::proof::{includes, prove_inclusion};

    #[test]
    fn heads_stand_in_the_order_of_their_handles_and_are_proved() {
        let mut heads = Heads::default();
        for (handle, head) in [("c", "3"), ("a", "0"), ("b", "2"), ("a", "1")] {
            heads.set(handle, head);
        }
        let root = heads.root();
        assert_eq!(leaf::read_seal(&heads.seal()), Some((root, 3)));
        for (place, handle, head) in [(0, "a", "1"), (1, "b", "2"), (2, "c", "3")] {
            assert_eq!(heads.place(handle), Some(place));
            let path = prove_inclusion(place, 3, &mut heads.tree()).expect("a path");
            assert!(includes(place, &hash::leaf(head.as_bytes()), 3, &root, &path));
        }
        assert_eq!(heads.place("d"), None);
    }
}
