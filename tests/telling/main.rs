//! What the books tell of themselves: forecasts, who funded what, events and alerts, and the webhooks that carry them.

mod disclosure;
mod forecast;
#[path = "../support/mod.rs"]
mod support;
mod world;
