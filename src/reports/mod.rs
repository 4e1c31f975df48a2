//! Reports: balances, whereabouts of credits, forecasts, disclosure of funding, trial balance, verification, exports. Reads everything,
//! writes nothing but whether a project's disclosure is public.

mod aside;
pub mod balance;
mod duties;
pub mod export;
pub mod under_used;
pub mod disclosure;
pub mod forecast;
pub mod used;
pub mod verify;
