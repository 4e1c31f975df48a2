//! The handlers: one file per noun, each with what it takes, what it shows and who may see it.
//!
//! A handler reads its request, calls one verb and shows the noun that comes back. The common steps are in `door`, the question of
//! whose an object is in `scope`.

pub mod amendments;
pub mod audit;
pub mod batch;
pub mod bindings;
pub mod books;
pub mod decisions;
pub mod disclosure;
pub mod donations;
pub mod door;
pub mod erasures;
pub mod events;
pub mod forecast;
pub mod grants;
pub mod holds;
pub mod log;
pub mod meta;
pub mod persons;
pub mod policies;
pub mod projects;
pub mod quarantine;
pub mod resources;
pub mod routes;
pub mod scope;
pub mod sight;
pub mod statements;
pub mod usage;
pub mod view;
pub mod webhooks;
