//! Statements: they add up and follow on one another, read the same for ever, and tell a donor nothing that is not a donor's.

mod books;
mod cli;
mod frozen;
mod http;
mod meet;
#[path = "../support/mod.rs"]
mod support;
