//! Reports: balances, whereabouts of credits, trial balance, verification, exports. Reads everything, writes nothing.

pub mod balance;
mod duties;
pub mod export;
pub mod under_used;
pub mod verify;
