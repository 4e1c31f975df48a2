//! Checks for which another mostly stands in: bundles that only the one refuses, or refuses for its own reason.

use std::collections::BTreeMap;

use super::super::{Checkpoint, Kept, Reason};
use super::{Forger, ORIGIN, honest};
use crate::tlog::tree::root_of;

/// The log once more, with nothing new.
fn quiet() -> Forger {
    let mut log = honest();
    log.seal();
    log
}

#[test]
pub fn a_seal_more_is_none() {
    let log = honest();
    let mut more = log.bundle(&["a", "b"], true);
    more.seals.push(more.seals[1].clone());
    log.refused(&more, None, Reason::Malformed);
    let mut more = log.bundle(&["a", "b"], false);
    more.seals.push(log.bundle(&["a"], true).seals[1].clone());
    log.refused(&more, None, Reason::Malformed);
}

#[test]
pub fn the_previous_seal_is_the_last_leaf_too() {
    let log = honest();
    let mut other = log.bundle(&["a", "b"], true);
    other.seals[1].index = "1".into();
    log.refused(&other, None, Reason::Inclusion);
}

#[test]
pub fn a_lot_without_lines_is_told_once() {
    let log = quiet();
    let mut twice = log.bundle(&["a", "b"], true);
    assert!(log.check(&twice, None).is_ok());
    twice.lots.push(twice.lots[0].clone());
    log.refused(&twice, None, Reason::DuplicateUsage);
}

#[test]
pub fn a_lot_goes_on_in_its_own_unit() {
    let mut log = honest();
    log.lots.values_mut().for_each(|lot| lot.unit = "EUR".into());
    log.seal();
    log.refused(&log.bundle(&["a", "b"], true), None, Reason::Gap);
}

#[test]
pub fn a_line_is_of_its_leafs_kind() {
    let mut log = Forger::new();
    log.post("a", "delivery", 10_000);
    log.post("b", "delivery", 10_000);
    let both = vec![log.line("a", "award", 0), log.line("b", "refund", 5)];
    let both = both.into_iter().map(|line| super::Forged { handle: format!("{}{}", line.handle, line.lot), ..line }).collect();
    log.write(both);
    log.seal();
    assert!(log.check(&log.bundle(&["a"], false), None).is_ok());
    log.refused(&log.bundle(&["b"], false), None, Reason::Inclusion);
}

#[test]
pub fn a_line_is_its_own_leafs_and_its_own_lots() {
    let log = honest();
    let mut other = log.bundle(&["a"], false);
    other.lots[0].lines[1].disclosure = other.lots[0].lines[3].disclosure.clone();
    log.refused(&other, None, Reason::Inclusion);
    let mut strange = log.bundle(&["a"], false);
    strange.lots[0].lines[1] = log.bundle(&["b"], false).lots[0].lines[1].clone();
    log.refused(&strange, None, Reason::Gap);
}

#[test]
pub fn a_hash_has_32_bytes() {
    let log = honest();
    let mut longer = log.bundle(&["a"], false);
    longer.cover[0] = "A".repeat(44);
    log.refused(&longer, None, Reason::Malformed);
}

#[test]
pub fn a_leaf_is_in_the_log() {
    let log = honest();
    let mut beyond = log.bundle(&["a"], false);
    if let Some(last) = beyond.lots[0].lines.last_mut() {
        last.index = "999".into();
    }
    log.refused(&beyond, None, Reason::Gap);
}

#[test]
pub fn an_orphan_line_is_seen() {
    // In the log, in its leaf, but not in the sub-log that is sealed.
    let mut log = Forger::new();
    log.post("a", "delivery", 10_000);
    let before = log.lots["a"].clone();
    log.post("a", "charge", -2_500);
    log.lots.insert("a", before);
    log.seal();
    log.refused(&log.bundle(&["a"], false), None, Reason::Gap);
    // Told without it, it is not seen here: the seal does not know it. Whoever had it told before sees it.
    let mut hidden = log.bundle(&["a"], false);
    hidden.lots[0].lines.pop();
    let told = Kept {
        checkpoint: Checkpoint::new(ORIGIN, 3, root_of(3, &mut log.tree(3)).expect("a root")).expect("one"),
        lots: BTreeMap::from([("a".into(), (2, [0; 32]))]),
    };
    log.refused(&hidden, Some(&told), Reason::Stale);
}

#[test]
pub fn a_line_since_the_last_seal_is_in_a_leaf_since_then() {
    // A line that was logged before the first seal, kept out of it, and told after the second.
    let mut log = Forger::new();
    log.post("a", "delivery", 10_000);
    let before = log.lots["a"].clone();
    log.post("a", "charge", -2_500);
    let after = log.lots.insert("a", before).expect("there");
    log.seal();
    log.lots.insert("a", after);
    log.seal();
    log.refused(&log.bundle(&["a"], true), None, Reason::Gap);
}
