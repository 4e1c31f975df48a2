//! The books under violence, on both databases: servers killed in the middle of a load, four servers racing for the last credit of one
//! lot, the same usage sent to all of them, tables that refuse to be rewritten, streams without end, processes that take turns, and what they book when its time has come.

mod audit;
mod backup;
mod desk;
mod duties;
mod holds;
mod kill;
mod migrations;
mod once;
mod plans;
mod race;
mod readers;
mod rows;
mod stream;
#[path = "../support/mod.rs"]
mod support;
mod sweeps;
mod turns;
