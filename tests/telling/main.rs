//! What the books tell of themselves: forecasts, who funded what, events and alerts, and the webhooks that carry them.

mod disclosure;
mod events;
mod forecast;
mod receiver;
mod stream;
#[path = "../support/mod.rs"]
mod support;
mod webhooks;
mod world;
