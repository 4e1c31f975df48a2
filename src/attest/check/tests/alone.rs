//! Checks that another would stand in for in most cases, each where it stands alone.

use super::*;

/// The edge of a lot's tree, as bundles have it.
fn edge(lot: &SubLog) -> Vec<String> {
    lot.tree.parts().1.iter().map(to_base64).collect()
}

/// A log of two lots, of three lines each at the first seal.
fn three() -> Forger {
    let mut log = Forger::new();
    for lot in ["a", "b"] {
        log.post(lot, "delivery", 10_000);
        log.post(lot, "charge", -100);
        log.post(lot, "award", 0);
    }
    log.seal();
    log
}

#[test]
pub fn a_history_that_was_rewritten_between_two_seals_is_seen() {
    let mut log = three();
    // As many lines and the same sums, but others.
    let lot = log.lots.get_mut("a").expect("there");
    lot.tree = crate::tlog::Frontier::new();
    ["x", "y", "z"].iter().for_each(|digest| lot.add(digest));
    let rewritten = edge(lot);
    log.post("a", "charge", -1);
    log.seal();
    let mut bundle = log.bundle(&["a"], true);
    if let Some(before) = &mut bundle.lots[0].before {
        before.frontier = rewritten;
    }
    log.refused(&bundle, None, Reason::Gap);
}

#[test]
pub fn a_history_that_was_taken_from_another_lot_is_seen() {
    let mut log = three();
    let taken = SubLog { handle: "a".into(), ..log.lots["b"].clone() };
    log.lots.insert("a", taken);
    log.post("a", "charge", -1);
    log.seal();
    let mut bundle = log.bundle(&["a"], true);
    bundle.lots[0].before = log.bundle(&["b"], true).lots[0].before.clone();
    log.refused(&bundle, None, Reason::Gap);
}

#[test]
pub fn an_edge_has_as_many_hashes_as_its_count_says() {
    let mut log = three();
    log.post("a", "charge", -1);
    log.seal();
    let mut bundle = log.bundle(&["a"], true);
    if let Some(before) = &mut bundle.lots[0].before {
        // The root alone folds to the root.
        before.frontier = vec![to_base64(&log.sealed[0].lots["a"].1.tree.root())];
    }
    log.refused(&bundle, None, Reason::Gap);
}

#[test]
pub fn a_lot_that_continues_needs_a_statement_that_does() {
    let log = honest();
    let bundle = log.bundle(&["a"], true);
    let alone = Bundle { previous: None, seals: bundle.seals[..1].to_vec(), previous_cover: Vec::new(), consistency: Vec::new(), ..bundle };
    log.refused(&alone, None, Reason::Malformed);
}

#[test]
pub fn a_lot_without_new_lines_is_told_once() {
    let mut log = three();
    log.seal();
    let mut bundle = log.bundle(&["a"], true);
    assert!(log.check(&bundle, None).is_ok());
    bundle.lots.push(bundle.lots[0].clone());
    log.refused(&bundle, None, Reason::DuplicateUsage);
}

#[test]
pub fn places_lie_within_and_seals_say_their_own() {
    let log = honest();
    let bundle = log.bundle(&["a", "b"], true);
    let mut beyond = bundle.clone();
    beyond.lots[1].place = "7".into();
    log.refused(&beyond, None, Reason::Inclusion);
    for index in ["0", "18446744073709551615"] {
        let mut seal = bundle.clone();
        seal.seals[0].index = index.into();
        log.refused(&seal, None, Reason::Inclusion);
    }
    let mut large = bundle.clone();
    large.lots[0].lines[0].index = "18446744073709551616".into();
    log.refused(&large, None, Reason::NonCanonical);
}

#[test]
pub fn a_leaf_of_the_same_kind_holds_another_line() {
    let mut log = three();
    let line = log.line("a", "charge", -7);
    let (index, disclosure) = (log.leaves.len() as u64, disclose(&[4; 16], NAME, &text_of(&line)));
    let lot = log.lots.get_mut("a").expect("there");
    lot.take(line.amount).expect("not less than nothing");
    lot.add(&digest(&disclosure));
    log.leaves.push(Leaf::new("charge", vec!["entry".into()], vec!["another".into()], line.nul.clone()).text());
    log.lines.push(Forged { index, disclosure, ..line });
    log.seal();
    log.refused(&log.bundle(&["a"], true), None, Reason::Inclusion);
}

#[test]
pub fn a_signature_of_the_known_key_must_be_its_own() {
    let log = honest();
    let bundle = log.bundle(&["a"], true);
    let text = Note::parse(&bundle.checkpoint).expect("a note").text().to_owned();
    let checkpoint = format!("{text}\n{}", log.key.sign("another text\n", 0).line());
    log.refused(&Bundle { checkpoint, ..bundle }, None, Reason::Signature);
}
