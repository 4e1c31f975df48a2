//! Reports: balances, statements, whereabouts of credits, forecasts, disclosure of funding, trial balance, verification, exports. Reads
//! everything, writes nothing but that a statement was made and whether a project's disclosure is public.

pub mod balance;
mod duties;
pub mod export;
pub mod under_used;
pub mod disclosure;
pub mod forecast;
pub mod statement;
pub mod used;
pub mod verify;
