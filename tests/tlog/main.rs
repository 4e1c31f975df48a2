//! The verifiable log against other people's code: a thousand random trees against the words of RFC 6962, and checkpoints, proofs, tiles and
//! cosignatures, made here and checked there and the other way round, with Go's sumdb, `signed_note`, `tlog_tiles` and `doubleentry`.

mod crates;
mod folder;
mod go;
#[path = "../support/mod.rs"]
mod support;
mod trees;
mod witness;

use almoner::tlog::Hash;
use almoner::tlog::hash::leaf;

/// The leaf at that place in every log of these tests.
pub fn text(index: u64) -> String {
    format!("leaf {index}")
}

/// The hashes of the first leaves.
pub fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|index| leaf(text(index).as_bytes())).collect()
}
