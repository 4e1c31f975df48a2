//! The verifiable log's own arithmetic: a Merkle tree over leaves (RFC 6962), its proofs, tiles, signed notes and checkpoints (C2SP).
//!
//! It may know bytes and hashes; not a database, not a ledger, not JSON. Whoever keeps the tiles hands them in. What comes from outside is
//! read strictly (one text for one meaning), and nothing panics on it. Bound: trees of up to 2^63 − 1 leaves, as other implementations count
//! in signed integers.

pub mod hash;
pub mod tree;
pub mod proof;
pub mod cover;
pub mod tile;
pub mod note;
pub mod cosign;
pub mod checkpoint;
pub mod policy;
pub mod receipt;
pub mod witness;

pub use checkpoint::Checkpoint;
pub use hash::Hash;
pub use note::{Note, Signer, Verifier};
pub use policy::Policy;
pub use tree::Frontier;
