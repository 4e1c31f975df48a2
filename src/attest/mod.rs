//! Attestation: what the journal says, as leaves of a verifiable log; sub-logs of lots, seals, checkpoints, disclosures, bundles that prove
//! themselves, and what checks them.
//!
//! It reads the books and writes only the log. It may not know about HTTP.
