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

#[test]
pub fn paths_are_as_long_as_their_trees_ask() {
    // More than the way up from the only lot.
    let log = with(|_| ());
    let mut longer = log.bundle(&["a"], false);
    assert!(log.check(&longer, None).is_ok());
    longer.lots[0].path.push(to_base64(&[0; 32]));
    log.refused(&longer, None, Reason::Inclusion);
    // Two lots, of which one is all there is.
    let mut log = with(|_| ());
    let sealed = log.sealed[0].clone();
    log.leaves.pop();
    log.leaves.push(sealed.heads.seal().replace(r#""lots":"1""#, r#""lots":"2""#));
    let root = root_of(sealed.size, &mut log.tree(sealed.size)).expect("a root");
    log.sealed[0].note = signed(&log, sealed.size, root);
    log.refused(&log.bundle(&["a"], false), None, Reason::Inclusion);
}

/// A checkpoint by the log's key, of whatever is said.
fn signed(log: &Forger, size: u64, root: Hash) -> String {
    Checkpoint::new(ORIGIN, size, root).expect("a checkpoint").sign(std::slice::from_ref(&log.key)).expect("signed").signed()
}

#[test]
pub fn a_checkpoint_continues_the_previous_by_a_proof_of_its_own_length() {
    let log = honest();
    // The later one before the earlier.
    let bundle = log.bundle(&["a", "b"], true);
    let (now, before) = (log.sealed[1].note.clone(), log.sealed[0].note.clone());
    log.refused(&Bundle { checkpoint: before, previous: Some(now.clone()), ..bundle }, None, Reason::Fork);
    // The same twice, and a hash more.
    let mut same = log.bundle(&["a", "b"], false);
    let size = log.sealed[1].size;
    let own = cover::prove(&[size - 1], size, &mut log.tree(size)).expect("a cover");
    same.previous = Some(now);
    same.seals.push(same.seals[0].clone());
    same.previous_cover = own.iter().map(to_base64).collect();
    assert!(log.check(&same, None).is_ok());
    same.consistency.push(to_base64(&[0; 32]));
    log.refused(&same, None, Reason::Fork);
    // A smaller tree that is said to have the same root: what stands left of the seal is one hash in both.
    let mut log = Forger::new();
    log.post("a", "delivery", 10_000);
    log.post("a", "charge", -100);
    log.post("a", "award", 0);
    log.seal();
    let root = |size| root_of(size, &mut log.tree(size)).expect("a root");
    let mut small = log.bundle(&["a"], false);
    small.previous = Some(signed(&log, 3, root(5)));
    small.seals.push(Placed { index: "2".into(), leaf: small.seals[0].leaf.clone() });
    small.previous_cover = vec![to_base64(&root(4))];
    log.refused(&small, None, Reason::Fork);
}

#[test]
pub fn a_lot_has_no_more_lines_than_a_tree_has_leaves() {
    let mut log = three();
    let many = |head: &str| head.replace(r#""count":"3""#, r#""count":"9223372036854775808""#);
    log.leaves.clear();
    log.leaves.push("origin".into());
    log.sealed.clear();
    let lot = log.lots["a"].clone();
    let (head, lots) = (many(&lot.head(&[9; 16])), ["a"]);
    for _ in 0..2 {
        let mut heads = Heads::default();
        heads.set("a", &head);
        log.leaves.push(heads.seal());
        let size = log.leaves.len() as u64;
        let note = signed(&log, size, root_of(size, &mut log.tree(size)).expect("a root"));
        log.sealed.push(Sealed { size, note, heads, lots: BTreeMap::from([("a", (head.clone(), lot.clone()))]) });
    }
    log.lines.clear();
    let mut bundle = log.bundle(&lots, true);
    if let Some(before) = &mut bundle.lots[0].before {
        before.frontier = vec![to_base64(&lot.tree.root())];
    }
    log.refused(&bundle, None, Reason::Gap);
}

#[test]
pub fn the_key_of_another_log_signs_nothing_of_this_one() {
    let log = honest();
    let other = Signer::generate("other.example/log", Kind::Text).expect("a key");
    let size = log.sealed[1].size;
    let root = root_of(size, &mut log.tree(size)).expect("a root");
    let text = Checkpoint::new(ORIGIN, size, root).expect("a checkpoint").text();
    let checkpoint = format!("{text}\n{}", other.sign(&text, 0).line());
    let bundle = Bundle { checkpoint, ..log.bundle(&["a", "b"], false) };
    let trust = Trust { policy: Policy::none(), keys: vec![log.key.verifier(), other.verifier()] };
    let found = judged(&serde_json::to_string(&bundle).expect("written"), &trust, None);
    assert_eq!(found.map(|held| held.lines).map_err(|refused| refused.reason), Err(Reason::Signature));
}

#[test]
pub fn nothing_continues_a_tree_of_nothing() {
    let log = honest();
    let mut bundle = log.bundle(&["a", "b"], true);
    bundle.previous = Some(signed(&log, 0, hash::empty()));
    bundle.consistency = vec![to_base64(&[0; 32]); 20];
    log.refused(&bundle, None, Reason::Fork);
}

#[test]
pub fn a_seal_has_no_more_lots_than_a_tree_has_leaves() {
    let mut log = with(|_| ());
    let sealed = log.sealed[0].clone();
    let up = vec![[0; 32]; 63];
    let root = up.iter().fold(hash::leaf(sealed.lots["a"].0.as_bytes()), |below, beside| hash::node(&below, beside));
    log.leaves.pop();
    log.leaves.push(crate::attest::leaf::seal(&root, 1 << 63));
    let root = root_of(sealed.size, &mut log.tree(sealed.size)).expect("a root");
    log.sealed[0].note = signed(&log, sealed.size, root);
    let mut bundle = log.bundle(&["a"], false);
    bundle.lots[0].path = up.iter().map(to_base64).collect();
    log.refused(&bundle, None, Reason::Inclusion);
}
