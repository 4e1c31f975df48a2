//! The thread that keeps one provider's keys: when they are no longer fresh, and when a token names a key that is not known.
//!
//! Bounds: a provider is asked at most once in every pause, whatever tokens say. While it can't be reached, its keys stay good until they
//! have been out of date for as long as the terms allow; then they are dropped, and its tokens with them.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::metrics;

use super::fetch::{Client, Found};
use super::{Held, Issuer, Issuers};

/// Asks for ever.
pub fn keep(issuers: &Issuers, issuer: &Issuer, client: &Client) {
    let terms = issuers.terms();
    // Until when what is held may be used.
    let mut good_until = None;
    let mut first = true;
    loop {
        let asked_at = Instant::now();
        let next = match client.ask(issuer) {
            Ok(found) => {
                let fresh = found.fresh.max(terms.fresh);
                good_until = Some(Instant::now() + fresh + terms.stale);
                take(issuers, issuer, found);
                fresh
            }
            Err(why) => {
                metrics::issuer_asked(issuer.name(), None);
                tracing::warn!(issuer = issuer.name(), %why, "the issuer's keys can't be had; those known stay good for a time");
                terms.pause
            }
        };
        if std::mem::take(&mut first) {
            *issuers.unasked.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
            issuers.asked.notify_all();
        }
        await_turn(issuer, asked_at + terms.pause, asked_at + next.max(terms.pause));
        if good_until.is_some_and(|until| Instant::now() >= until) {
            good_until = None;
            issuers.replace(issuer, Held::default());
            tracing::error!(issuer = issuer.name(), "the issuer was out of reach for too long; its keys are dropped");
        }
    }
}

/// Puts new keys in place; where they are those that are known, nothing changes.
fn take(issuers: &Issuers, issuer: &Issuer, found: Found) {
    metrics::issuer_asked(issuer.name(), Some((found.held.keys.len(), found.passed_over.len())));
    let held = issuer.held();
    if (&held.source, &held.endpoints) != (&found.held.source, &found.held.endpoints) {
        tracing::info!(issuer = issuer.name(), keys = found.held.keys.len(), "the issuer's keys are known");
        for why in &found.passed_over {
            tracing::warn!(issuer = issuer.name(), %why, "a key of the issuer was passed over");
        }
        issuers.replace(issuer, found.held);
    }
}

/// Waits until `at_latest`, or, where somebody wants the keys, until `at_earliest`.
fn await_turn(issuer: &Issuer, at_earliest: Instant, at_latest: Instant) {
    let mut wanted = issuer.wanted.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let now = Instant::now();
        let until = if *wanted { at_earliest } else { at_latest };
        let Some(left) = until.checked_duration_since(now).filter(|left| *left > Duration::ZERO) else { break };
        wanted = issuer.bell.wait_timeout(wanted, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    *wanted = false;
}
