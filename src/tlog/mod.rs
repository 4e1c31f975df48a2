//! The verifiable log's own arithmetic: a Merkle tree over leaves (RFC 6962), its proofs, tiles, signed notes and checkpoints (C2SP).
//!
//! It may know bytes and hashes; not a database, not a ledger, not JSON. Whoever keeps the tiles hands them in.
