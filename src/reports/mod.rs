//! Reports: balances, statements, whereabouts of credits, forecasts, disclosure of funding, trial balance, verification, exports. Reads
//! everything, writes nothing but that a statement was made, whether a project's disclosure is public, and what audits found.

pub mod audit;
pub mod balance;
pub mod export;
pub mod under_used;
pub mod disclosure;
pub mod forecast;
pub mod statement;
pub mod used;
pub mod verify;
