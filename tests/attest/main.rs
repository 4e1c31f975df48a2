//! The verifiable log over books of every kind of entry, on both databases: what is clean holds, what was killed goes on, what was tampered
//! with is found, what a donor is handed proves itself and tells of nobody.

#[path = "../support/mod.rs"]
mod support;

mod clean;
mod erased;
mod kill;
mod kinds;
mod mutated;
mod outside;
mod ruin;
mod scene;
mod served;
mod tampered;
mod witnessed;
#[path = "../verifier/mod.rs"]
mod verifier;
