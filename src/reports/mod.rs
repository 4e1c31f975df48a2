//! Reports: balances, whereabouts of credits, trial balance, verification, exports. Reads everything, writes nothing.

pub mod balance;
pub mod export;
pub mod verify;
