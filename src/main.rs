//! The `almoner` program.

fn main() {}
