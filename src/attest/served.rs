//! A log as it is served (C2SP tlog-tiles), from the side of who fetches it and trusts nothing of it.
//!
//! It may not know how it is fetched.

use crate::tlog::tile::{Tile, Tiles, decode, decode_bundle};
use crate::tlog::{Hash, Note};

/// Who fetches a log's files.
pub trait Served {
    /// The file at that path below the log's address; nothing where the log has none there.
    fn get(&self, path: &str) -> Result<Option<Vec<u8>>, String>;
}

/// A log's newest checkpoint.
pub fn checkpoint(log: &impl Served) -> Result<Note, String> {
    let bytes = log.get("checkpoint")?.ok_or("the log has no checkpoint yet")?;
    let text = String::from_utf8(bytes).map_err(|_| "the checkpoint is no text")?;
    Note::parse(&text).map_err(|why| format!("the checkpoint: {why}"))
}

/// Tiles of a log.
pub struct Files<'l, L>(pub &'l L);

impl<L: Served> Tiles for Files<'_, L> {
    type Error = String;

    fn tiles(&mut self, wanted: &[Tile]) -> Result<Vec<Vec<Hash>>, String> {
        let read = |tile: &Tile| {
            let (bytes, width) = wide(self.0, *tile, Tile::path)?;
            decode(&bytes, width).ok_or_else(|| format!("{} is no tile", tile.path()))
        };
        wanted.iter().map(read).collect()
    }
}

/// The leaves of a bundle, as many as the tile is wide. Nothing where it is not in its form.
pub fn leaves(log: &impl Served, tile: Tile) -> Result<Option<Vec<Vec<u8>>>, String> {
    let (bytes, width) = wide(log, tile, Tile::bundle_path)?;
    let found = decode_bundle(&bytes, width);
    Ok(found.map(|leaves| leaves.into_iter().take(usize::from(tile.width)).map(<[u8]>::to_vec).collect()))
}

/// A file of that width, or the full one: a log need not keep the partial when it has the full (C2SP tlog-tiles, "Partial Tiles").
fn wide(log: &impl Served, tile: Tile, path: impl Fn(Tile) -> String) -> Result<(Vec<u8>, u16), String> {
    let full = Tile { width: crate::tlog::tile::FULL, ..tile };
    for tile in [tile, full] {
        if let Some(bytes) = log.get(&path(tile))? {
            return Ok((bytes, tile.width));
        }
    }
    Err(format!("the log does not serve {}", path(tile)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::attest::leaf::{Leaf, seal};
    use crate::tlog::hash;
    use crate::tlog::note::Kind;
    use crate::tlog::tile::{Edge, Reader, encode, encode_bundle};
    use crate::tlog::tree::root_of;
    use crate::tlog::{Checkpoint, Signer};

    /// The log's name.
    pub const ORIGIN: &str = "log.example/books";

    /// A log in memory, whose keeper may serve anything.
    #[derive(Clone)]
    pub struct Fake {
        pub key: Signer,
        /// What signs beside the key, while keys change.
        pub before: Option<Signer>,
        pub leaves: Vec<String>,
        /// Served instead of what should be.
        pub instead: Vec<(String, Option<Vec<u8>>)>,
    }

    impl Fake {
        pub fn new() -> Fake {
            let key = Signer::generate(ORIGIN, Kind::Text).expect("a key");
            Fake { key, before: None, leaves: Vec::new(), instead: Vec::new() }
        }

        /// Adds charges up to that size, the last leaf being a seal.
        pub fn grow(&mut self, size: u64) {
            while (self.leaves.len() as u64) + 1 < size {
                let nul = format!("nul{}", self.leaves.len());
                self.leaves.push(Leaf::new("charge", vec![nul.clone()], Vec::new(), Some(nul)).text());
            }
            if (self.leaves.len() as u64) < size {
                self.leaves.push(seal(&[1; 32], 0));
            }
        }

        /// Forgets what came after so many leaves but for a seal.
        pub fn cut(&mut self, size: u64) {
            self.leaves.truncate(size as usize - 1);
            self.grow(size);
        }

        pub fn note(&self) -> Note {
            let head = Checkpoint::new(ORIGIN, self.leaves.len() as u64, self.edge().0.root()).expect("a checkpoint");
            let keys: Vec<Signer> = std::iter::once(&self.key).chain(&self.before).cloned().collect();
            head.sign(&keys).expect("signed")
        }

        fn edge(&self) -> (Edge, Vec<(Tile, Vec<Hash>)>) {
            let (mut edge, mut full) = (Edge::new(), Vec::new());
            for leaf in &self.leaves {
                edge.push(hash::leaf(leaf.as_bytes()), |tile, hashes| full.push((tile, hashes)));
            }
            (edge, full)
        }
    }

    impl Served for Fake {
        fn get(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
            if let Some((_, other)) = self.instead.iter().find(|(of, _)| of == path) {
                return Ok(other.clone());
            }
            let Some(place) = path.strip_prefix("tile/") else {
                return Ok((path == "checkpoint").then(|| self.note().signed().into_bytes()));
            };
            let Some((tile, leaves)) = Tile::parse(place) else { return Ok(None) };
            let Some(there) = Tile::of(tile.level, tile.index, self.leaves.len() as u64).filter(|there| there.width >= tile.width) else {
                return Ok(None);
            };
            if leaves {
                let from = there.index as usize * 256;
                return Ok(encode_bundle(self.leaves[from..from + usize::from(tile.width)].iter().map(String::as_bytes)));
            }
            let (edge, full) = self.edge();
            let partial = edge.parts().map(|(tile, hashes)| (tile, hashes.to_vec()));
            let found = full.into_iter().chain(partial).find(|(one, _)| (one.level, one.index) == (tile.level, tile.index));
            Ok(found.map(|(_, hashes)| encode(&hashes[..usize::from(tile.width)])))
        }
    }

    #[test]
    fn partial_files_may_be_gone_where_the_full_are_there() {
        let mut log = Fake::new();
        log.grow(600);
        let root = root_of(600, &mut Reader::new(Files(&log), 600)).expect("a root");
        assert_eq!(root, log.edge().0.root());
        let partial = Tile { level: 0, index: 1, width: 9 };
        log.instead = vec![(partial.path(), None), (partial.bundle_path(), None)];
        assert_eq!(Files(&log).tiles(&[partial]).map(|found| found[0].len()), Ok(256));
        assert_eq!(leaves(&log, partial).map(|found| found.map(|leaves| leaves.len())), Ok(Some(9)));
        let beyond = Tile { level: 0, index: 2, width: 100 };
        assert!(leaves(&log, beyond).is_err() && Files(&log).tiles(&[beyond]).is_err());
        log.instead = vec![(partial.bundle_path(), Some(b"\0".to_vec()))];
        assert_eq!(leaves(&log, partial), Ok(None));
    }
}
