//! Attestation: what the journal says, as leaves of a verifiable log; sub-logs of lots, seals, checkpoints, disclosures, bundles that prove
//! themselves, and what checks them.
//!
//! It reads the books and writes only the log, but that it lets go of what the books kept for it of erased records. It may not know about HTTP.

pub mod file;
pub mod canon;
pub mod disclosure;
pub mod leaf;
pub mod line;
pub mod entry;
pub mod sublog;
pub mod seal;
pub mod compose;
pub mod store;
pub mod signer;
pub mod keep;
pub mod integrate;
pub mod cosigning;
pub mod bundle;
pub mod check;
pub mod audit;
pub mod receipt;
pub mod memory;
pub mod served;
pub mod witness;
pub mod watch;
