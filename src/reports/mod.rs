//! What is read out of the books: reads every room above it, writes nothing.

pub mod export;
