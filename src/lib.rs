//! Almoner keeps the books of donated compute: what donors gave, what a programme granted, what each job used.
//!
//! The modules are listed in their order of import: each may use those above it, none below. A test keeps it so.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod refusal;
pub mod amount;
pub mod time;
pub mod id;
pub mod actor;
pub mod json;
pub mod fields;
pub mod store;
pub mod tlog;
pub mod ledger;
pub mod directory;
pub mod donations;
pub mod grants;
pub mod usage;
pub mod attest;
pub mod reports;
pub mod events;
pub mod demo;
pub mod metrics;
pub mod http;
pub mod server;
pub mod cli;
