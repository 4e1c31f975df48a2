//! The API door: parse, authorise, call one verb, answer.
//!
//! It may not decide anything about credits, and no room but `server` may know it.

pub mod access;
pub mod api;
pub mod body;
pub mod client;
mod csv;
pub mod grain;
pub mod header;
pub mod issuers;
pub mod keys;
pub mod limits;
pub mod login;
mod memo;
pub mod openapi;
pub mod page;
pub mod permit;
pub mod problem;
pub mod query;
pub mod request;
pub mod route;
mod schema;
pub mod token;
