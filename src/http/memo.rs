//! What is remembered within bounds: two generations, so that forgetting costs nothing.
//!
//! When the young generation is full it becomes the old one, and what is not asked for again is forgotten with it. It may not know what it
//! remembers. Bound: twice the size it was made with.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;

/// A map that forgets.
pub struct Memo<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    size: usize,
}

impl<K: Hash + Eq + Clone, V: Clone> Memo<K, V> {
    /// Remembers nothing yet, and later so many in each generation.
    pub fn new(size: usize) -> Memo<K, V> {
        Memo { young: HashMap::new(), old: HashMap::new(), size }
    }

    /// How many are remembered.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// What is remembered under the key; it is young again.
    pub fn get(&mut self, key: &K) -> Option<V> {
        if let Some(found) = self.young.get(key) {
            return Some(found.clone());
        }
        let found = self.old.remove(key)?;
        self.put(key.clone(), found.clone());
        Some(found)
    }

    /// Forgets it, and hands it back.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let old = self.old.remove(key);
        self.young.remove(key).or(old)
    }

    /// Remembers it, in place of what was there.
    pub fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.size {
            self.old = mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_forgotten() {
        let mut memo = Memo::new(2);
        memo.put(0, "kept");
        for number in 1..100 {
            memo.put(number, "new");
            assert_eq!(memo.get(&0), Some("kept"), "{number}");
            assert!(memo.len() <= 4);
        }
        assert_eq!(memo.get(&1), None);
        memo.put(0, "other");
        assert_eq!(memo.get(&0), Some("other"));
        assert_eq!((memo.remove(&0), memo.get(&0)), (Some("other"), None));
    }
}
