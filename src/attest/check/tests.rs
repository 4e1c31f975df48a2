//! Each check alone: logs that are forged, sealed and signed as an operator could, right in everything but the one thing.

use std::collections::{BTreeMap, BTreeSet};

use super::super::bundle::{Before, Bundle, Donor, FORMAT, LinePart, LotPart, Placed};
use super::super::disclosure::{digest, disclose};
use super::super::leaf::Leaf;
use super::super::line::{Line, NAME};
use super::super::seal::Heads;
use super::*;
use crate::amount::Unit;
use crate::tlog::Signer;
use crate::tlog::hash::to_base64;
use crate::tlog::note::Kind;
use crate::tlog::tree::{Grown, root_of};

mod alone;
mod apart;
mod forms;
pub mod left_out;

const ORIGIN: &str = "ledger.example/log";

/// The tests of single checks.
const ALL: &[fn()] = &[
    what_is_honest_holds,
    who_signed_and_who_saw_is_checked,
    what_is_kept_must_be_continued,
    seals_are_the_last_leaves_of_their_checkpoints,
    heads_are_those_that_were_sealed,
    a_line_that_is_left_out_doubled_or_moved_is_seen,
    apart::an_orphan_line_is_seen,
    apart::a_line_since_the_last_seal_is_in_a_leaf_since_then,
    amounts_add_up,
    the_same_usage_is_seen_even_between_two_lots,
    leaves_and_lines_are_in_their_forms_and_belong_together,
    apart::a_seal_more_is_none,
    apart::the_previous_seal_is_the_last_leaf_too,
    apart::a_lot_without_lines_is_told_once,
    apart::a_lot_goes_on_in_its_own_unit,
    apart::a_line_is_of_its_leafs_kind,
    apart::a_leaf_is_in_the_log,
    apart::a_hash_has_32_bytes,
    apart::a_line_is_its_own_leafs_and_its_own_lots,
    alone::a_history_that_was_rewritten_between_two_seals_is_seen,
    alone::a_history_that_was_taken_from_another_lot_is_seen,
    alone::an_edge_has_as_many_hashes_as_its_count_says,
    alone::a_lot_that_continues_needs_a_statement_that_does,
    alone::a_lot_without_new_lines_is_told_once,
    alone::places_lie_within_and_seals_say_their_own,
    alone::a_leaf_of_the_same_kind_holds_another_line,
    alone::a_signature_of_the_known_key_must_be_its_own,
    alone::paths_are_as_long_as_their_trees_ask,
    alone::a_checkpoint_continues_the_previous_by_a_proof_of_its_own_length,
    alone::a_lot_has_no_more_lines_than_a_tree_has_leaves,
    alone::the_key_of_another_log_signs_nothing_of_this_one,
    alone::nothing_continues_a_tree_of_nothing,
    alone::a_seal_has_no_more_lots_than_a_tree_has_leaves,
    forms::lines_are_written_in_one_way,
    forms::disclosures_are_written_in_one_way,
    forms::leaves_are_written_in_one_way,
    forms::heads_and_seals_are_written_in_one_way,
    forms::numbers_and_hashes_outside_leaves_have_one_form_too,
    forms::notes_are_read_as_they_are_signed,
];

/// What is said of a bundle. It is remembered: the second verifier is asked too, and both without each of their checks.
fn judged(text: &str, trust: &Trust, kept: Option<&Kept>) -> Result<Held, Refused> {
    left_out::remember(text, trust, kept);
    check(text, trust, kept)
}

/// One line as it is forged: its lot, its number, class, amount and balance as told, in cents.
#[derive(Clone)]
struct Forged {
    lot: &'static str,
    n: u64,
    class: &'static str,
    amount: i128,
    balance: i128,
    handle: String,
    nul: Option<String>,
    index: u64,
    disclosure: String,
}

/// A log in memory, whose keeper may write what they like.
#[derive(Clone)]
struct Forger {
    key: Signer,
    leaves: Vec<String>,
    lots: BTreeMap<&'static str, SubLog>,
    lines: Vec<Forged>,
    /// At each seal: the checkpoint, and the lots as they were.
    sealed: Vec<Sealed>,
}

#[derive(Clone)]
struct Sealed {
    size: u64,
    note: String,
    heads: Heads,
    lots: BTreeMap<&'static str, (String, SubLog)>,
}

impl Forger {
    fn new() -> Forger {
        let key = Signer::generate(ORIGIN, Kind::Text).expect("a key");
        Forger { key, leaves: vec!["origin".into()], lots: BTreeMap::new(), lines: Vec::new(), sealed: Vec::new() }
    }

    /// The next line of a lot as it should be.
    fn line(&self, lot: &'static str, class: &'static str, amount: i128) -> Forged {
        let log = self.lots.get(lot);
        let (n, balance) = (log.map_or(0, |log| log.tree.size()) + 1, log.map_or(0, |log| log.balance) + amount);
        let at = self.leaves.len();
        let nul = (class == "charge").then(|| format!("nul{at}"));
        Forged { lot, n, class, amount, balance, handle: format!("h{at}"), nul, index: 0, disclosure: String::new() }
    }

    /// Writes lines into one leaf, whatever they say.
    fn write(&mut self, lines: Vec<Forged>) {
        let index = self.leaves.len() as u64;
        let (class, nul) = (lines[0].class, lines[0].nul.clone());
        let mut digests = Vec::new();
        for line in lines {
            let disclosure = disclose(&[index as u8; 16], NAME, &text_of(&line));
            digests.push(digest(&disclosure));
            let usd = Unit::new("USD", 2).expect("a unit");
            let log = self.lots.entry(line.lot).or_insert_with(|| SubLog::new(line.lot.into(), usd));
            // What the head says is the sum of what was written, so that each line alone is wrong where one is.
            log.take(line.amount).expect("not less than nothing");
            log.add(&digest(&disclosure));
            self.lines.push(Forged { index, disclosure, ..line });
        }
        self.leaves.push(Leaf::new(class, vec!["entry".into()], digests, nul).text());
    }

    fn post(&mut self, lot: &'static str, class: &'static str, amount: i128) {
        let line = self.line(lot, class, amount);
        self.write(vec![line]);
    }

    fn tree(&self, size: u64) -> Grown {
        Grown::new(self.leaves[..size as usize].iter().map(|leaf| hash::leaf(leaf.as_bytes())).collect())
    }

    fn seal(&mut self) {
        let (mut heads, mut lots) = (Heads::default(), BTreeMap::new());
        for (name, log) in &self.lots {
            let head = log.head(&[9; 16]);
            heads.set(&log.handle, &head);
            lots.insert(*name, (head, log.clone()));
        }
        self.leaves.push(heads.seal());
        let size = self.leaves.len() as u64;
        let root = root_of(size, &mut self.tree(size)).expect("a root");
        let note =
            Checkpoint::new(ORIGIN, size, root).expect("a checkpoint").sign(std::slice::from_ref(&self.key)).expect("signed").signed();
        self.sealed.push(Sealed { size, note, heads, lots });
    }

    fn place(sealed: &Sealed, lot: &str) -> (String, Vec<String>) {
        let (place, mut tree) = (sealed.heads.place(lot).expect("there"), sealed.heads.tree());
        let path = proof::prove_inclusion(place, tree.size(), &mut tree).expect("a path");
        (place.to_string(), path.iter().map(to_base64).collect())
    }

    /// The bundle of lots at the last seal, since the one before it if so asked.
    fn bundle(&self, lots: &[&'static str], since: bool) -> Bundle {
        let now = self.sealed.last().expect("sealed");
        let before = since.then(|| &self.sealed[self.sealed.len() - 2]);
        let mut places = BTreeSet::from([now.size - 1]);
        let mut parts = Vec::new();
        for lot in lots {
            let told = before.and_then(|before| before.lots.get(lot).map(|old| (before, old)));
            let from = told.map_or(0, |(_, (_, log))| log.tree.size());
            let lines: Vec<&Forged> =
                self.lines.iter().filter(|line| line.lot == *lot && line.index < now.size).skip(from as usize).collect();
            places.extend(lines.iter().map(|line| line.index));
            let (place, path) = Forger::place(now, lot);
            let before = told.map(|(sealed, (head, log))| {
                let (place, path) = Forger::place(sealed, lot);
                Before { head: head.clone(), place, path, frontier: log.tree.parts().1.iter().map(to_base64).collect() }
            });
            let lines = lines.into_iter().map(|line| LinePart {
                index: line.index.to_string(),
                leaf: self.leaves[line.index as usize].clone(),
                disclosure: line.disclosure.clone(),
            });
            parts.push(LotPart { head: now.lots[lot].0.clone(), place, path, before, lines: lines.collect() });
        }
        let texts = |hashes: Vec<Hash>| hashes.iter().map(to_base64).collect::<Vec<_>>();
        let wanted: Vec<u64> = places.into_iter().collect();
        let seal = |sealed: &Sealed| Placed { index: (sealed.size - 1).to_string(), leaf: self.leaves[sealed.size as usize - 1].clone() };
        let consistency = before.map(|old| proof::prove_consistency(old.size, now.size, &mut self.tree(now.size)).expect("a proof"));
        let previous_cover = before.map(|old| cover::prove(&[old.size - 1], old.size, &mut self.tree(old.size)).expect("a cover"));
        Bundle {
            format: FORMAT.into(),
            origin: ORIGIN.into(),
            donor: Donor { id: "dnr".into(), name: "Example".into() },
            period: None,
            checkpoint: now.note.clone(),
            previous: before.map(|before| before.note.clone()),
            consistency: texts(consistency.unwrap_or_default()),
            seals: [Some(now), before].into_iter().flatten().map(seal).collect(),
            previous_cover: texts(previous_cover.unwrap_or_default()),
            lots: parts,
            cover: texts(cover::prove(&wanted, now.size, &mut self.tree(now.size)).expect("a cover")),
        }
    }

    fn trust(&self) -> Trust {
        Trust { policy: Policy::none(), keys: vec![self.key.verifier()] }
    }

    fn check(&self, bundle: &Bundle, kept: Option<&Kept>) -> Result<Held, Refused> {
        judged(&serde_json::to_string(bundle).expect("written"), &self.trust(), kept)
    }

    /// Whether the bundle is refused for this reason.
    #[track_caller]
    fn refused(&self, bundle: &Bundle, kept: Option<&Kept>, reason: Reason) {
        let found = self.check(bundle, kept).map(|held| held.lines);
        assert!(found.as_ref().is_err_and(|refused| refused.reason == reason), "{reason:?}: {found:?}");
    }
}

fn text_of(line: &Forged) -> String {
    let unit = &Unit::new("USD", 2).expect("a unit");
    let (amount, balance, n) = (line.amount, line.balance, line.n);
    let (day, handle) = ("2026-03-02".into(), line.handle.clone());
    let mut text = String::new();
    Line { amount, balance, class: line.class, day, effective: None, handle, lot: line.lot, n, rate: None, resource: None, unit }
        .write(&mut text);
    text
}

/// A log of two lots over two seals.
fn honest() -> Forger {
    let mut log = Forger::new();
    log.post("a", "delivery", 10_000);
    log.post("b", "delivery", 5_000);
    log.post("a", "charge", -2_500);
    log.seal();
    log.post("a", "award", 0);
    let both = vec![log.line("a", "charge", -100), log.line("b", "charge", -5_000)];
    let both = both.into_iter().map(|line| Forged { handle: format!("{}{}", line.handle, line.lot), ..line }).collect();
    log.write(both);
    log.post("a", "refund", 50);
    log.seal();
    log
}

/// A log of one lot: the first line honest, the second as forged.
fn with(forge: impl FnOnce(&mut Forged)) -> Forger {
    let mut log = Forger::new();
    log.post("a", "delivery", 10_000);
    let mut line = log.line("a", "charge", -2_500);
    forge(&mut line);
    log.write(vec![line]);
    log.seal();
    log
}

#[test]
fn what_is_honest_holds() {
    let log = honest();
    let all = log.bundle(&["a", "b"], false);
    let held = log.check(&all, None).expect("holds");
    let sums: Vec<(i128, i128, i128)> = held.lots.iter().map(|lot| (lot.came, lot.went, lot.balance)).collect();
    assert_eq!((held.lines, sums), (7, vec![(10_050, 2_600, 7_450), (5_000, 5_000, 0)]));
    let mut first = log.clone();
    first.sealed.truncate(1);
    let kept = log.check(&first.bundle(&["a", "b"], false), None).expect("holds").keep();
    assert_eq!(log.check(&log.bundle(&["a", "b"], true), Some(&kept)).map(|held| held.lines), Ok(4));
    // The same once more, and from its beginning once it was told whole.
    let kept = held.keep();
    for again in [&all, &log.bundle(&["a", "b"], true)] {
        assert!(log.check(again, Some(&kept)).is_ok());
    }
    let one = with(|_| ());
    assert_eq!(one.check(&one.bundle(&["a"], false), None).map(|held| held.lines), Ok(2));
}

#[test]
fn who_signed_and_who_saw_is_checked() {
    let log = honest();
    let bundle = log.bundle(&["a"], true);
    let mut other = log.clone();
    other.key = Signer::generate(ORIGIN, Kind::Text).expect("a key");
    other.refused(&bundle, None, Reason::Signature);
    // The previous checkpoint too must be the log's.
    let mut mixed = other;
    mixed.seal();
    log.refused(&Bundle { previous: Some(mixed.sealed[2].note.clone()), ..bundle.clone() }, None, Reason::Signature);
    log.refused(&Bundle { origin: "other.example".into(), ..bundle.clone() }, None, Reason::Signature);
    let witness = Signer::generate("witness.example", Kind::Cosignature).expect("a key");
    let policy = format!("log {}\nwitness w {}\nquorum w\n", log.key.verifier().text(), witness.verifier().text());
    let trust = Trust { policy: Policy::parse(policy.as_bytes()).expect("a policy"), keys: Vec::new() };
    let seen = |bundle: &Bundle| judged(&serde_json::to_string(bundle).expect("written"), &trust, None);
    assert_eq!(seen(&bundle).map_err(|refused| refused.reason).err(), Some(Reason::Quorum));
    let mut note = Note::parse(&bundle.checkpoint).expect("a note");
    note.add(witness.sign(note.text(), 1_772_000_000));
    assert!(seen(&Bundle { checkpoint: note.signed(), ..bundle }).is_ok());
}

#[test]
fn what_is_kept_must_be_continued() {
    let log = honest();
    let (bundle, now) = (log.bundle(&["a", "b"], true), &log.sealed[1]);
    let kept = |size, root: Hash| Kept { checkpoint: Checkpoint::new(ORIGIN, size, root).expect("a checkpoint"), lots: BTreeMap::new() };
    let root = |size| root_of(size, &mut log.tree(size)).expect("a root");
    log.refused(&bundle, Some(&kept(now.size + 1, [0; 32])), Reason::Rollback);
    log.refused(&bundle, Some(&kept(now.size, [0; 32])), Reason::Fork);
    log.refused(&bundle, Some(&kept(log.sealed[0].size, [0; 32])), Reason::Fork);
    log.refused(&bundle, Some(&kept(now.size - 1, root(now.size - 1))), Reason::Stale);
    log.refused(
        &bundle,
        Some(&Kept { checkpoint: Checkpoint::new("other", 1, [0; 32]).expect("one"), lots: BTreeMap::new() }),
        Reason::Fork,
    );
    let told = |lot: &str, count, over| Kept { lots: BTreeMap::from([(lot.to_owned(), (count, over))]), ..kept(now.size, root(now.size)) };
    let (_, a) = &log.sealed[0].lots["a"];
    assert!(log.check(&bundle, Some(&told("a", 2, a.tree.root()))).is_ok());
    log.refused(&bundle, Some(&told("a", 2, [0; 32])), Reason::Fork);
    log.refused(&bundle, Some(&told("a", 1, [0; 32])), Reason::Gap);
    log.refused(&bundle, Some(&told("a", 6, [0; 32])), Reason::Gap);
    log.refused(&bundle, Some(&told("c", 1, [0; 32])), Reason::Gap);
    // Another log with the same beginning told of: the proof between the two is not one.
    let mut fork = Bundle { consistency: vec![to_base64(&[0; 32])], ..bundle.clone() };
    log.refused(&fork, None, Reason::Fork);
    fork.consistency.clear();
    log.refused(&fork, None, Reason::Fork);
    log.refused(&Bundle { previous: None, seals: bundle.seals[..1].to_vec(), previous_cover: Vec::new(), ..bundle }, None, Reason::Fork);
}

#[test]
fn seals_are_the_last_leaves_of_their_checkpoints() {
    let log = honest();
    let bundle = log.bundle(&["a", "b"], true);
    // An older seal, whose heads are older too: a stale head.
    let mut stale = bundle.clone();
    stale.seals[0] = stale.seals[1].clone();
    log.refused(&stale, None, Reason::Inclusion);
    stale.seals[0].index = bundle.seals[0].index.clone();
    log.refused(&stale, None, Reason::Inclusion);
    let mut other = bundle.clone();
    other.previous_cover[0] = to_base64(&[0; 32]);
    log.refused(&other, None, Reason::Inclusion);
    let mut none = bundle.clone();
    none.seals.pop();
    log.refused(&none, None, Reason::Malformed);
    let mut spaced = bundle;
    spaced.seals[0].leaf.push(' ');
    log.refused(&spaced, None, Reason::NonCanonical);
}

#[test]
fn heads_are_those_that_were_sealed() {
    let log = honest();
    let bundle = log.bundle(&["a", "b"], true);
    let mut changed = bundle.clone();
    changed.lots[0].head = changed.lots[0].head.replace("74.50", "74.60");
    log.refused(&changed, None, Reason::Inclusion);
    changed.lots[0].head = bundle.lots[0].head.replace(',', ", ");
    log.refused(&changed, None, Reason::NonCanonical);
    let mut moved = bundle.clone();
    moved.lots[0].place = "1".into();
    log.refused(&moved, None, Reason::Inclusion);
    let mut before = bundle.clone();
    if let Some(told) = &mut before.lots[0].before {
        told.head = told.head.replace("75.00", "75.10");
    }
    log.refused(&before, None, Reason::Inclusion);
    let mut edge = bundle.clone();
    if let Some(told) = &mut edge.lots[0].before {
        told.frontier[0] = to_base64(&[0; 32]);
    }
    log.refused(&edge, None, Reason::Gap);
    let mut swapped = bundle.clone();
    swapped.lots[0].before = bundle.lots[1].before.clone();
    log.refused(&swapped, None, Reason::Gap);
    let mut twice = log.bundle(&["a"], true);
    twice.lots.push(twice.lots[0].clone());
    assert!(log.check(&twice, None).is_err());
}

#[test]
fn a_line_that_is_left_out_doubled_or_moved_is_seen() {
    let log = honest();
    let bundle = log.bundle(&["a"], false);
    for at in 0..bundle.lots[0].lines.len() {
        let mut out = bundle.clone();
        out.lots[0].lines.remove(at);
        log.refused(&out, None, Reason::Gap);
        let mut twice = bundle.clone();
        let line = twice.lots[0].lines[at].clone();
        twice.lots[0].lines.insert(at, line);
        log.refused(&twice, None, Reason::Gap);
    }
    let mut swapped = bundle.clone();
    swapped.lots[0].lines.swap(1, 2);
    log.refused(&swapped, None, Reason::Gap);
    // Numbers that leave one out, although sealed so.
    let skipping = with(|line| line.n = 3);
    skipping.refused(&skipping.bundle(&["a"], false), None, Reason::Gap);
    // A line in a leaf before the one it follows.
    let mut late = bundle.clone();
    late.lots[0].lines[2].index = "1".into();
    log.refused(&late, None, Reason::Gap);
    // A line of another lot in this one's story.
    let foreign = with(|line| line.class = "charge");
    let mut strange = foreign.bundle(&["a"], false);
    strange.lots[0].lines[1] = honest().bundle(&["b"], false).lots[0].lines[1].clone();
    foreign.refused(&strange, None, Reason::Gap);
}

#[test]
fn amounts_add_up() {
    let inflated = with(|line| line.balance = 7_501);
    inflated.refused(&inflated.bundle(&["a"], false), None, Reason::Balance);
    // Less than nothing, and told so consistently.
    let mut log = with(|_| ());
    let mut line = log.line("a", "charge", -7_501);
    line.balance = -1;
    let index = log.leaves.len() as u64;
    let disclosure = disclose(&[1; 16], NAME, &text_of(&line));
    log.leaves.push(Leaf::new("charge", vec!["entry".into()], vec![digest(&disclosure)], line.nul.clone()).text());
    if let Some(lot) = log.lots.get_mut("a") {
        (lot.balance, lot.went) = (-1, 10_001);
        lot.add(&digest(&disclosure));
    }
    log.lines.push(Forged { index, disclosure, ..line });
    log.seal();
    log.refused(&log.bundle(&["a"], false), None, Reason::Balance);
    // A head whose sums are not those of its lines.
    for wrong in [|lot: &mut SubLog| lot.balance += 1, |lot: &mut SubLog| lot.came += 1, |lot: &mut SubLog| lot.went += 1] {
        let mut log = with(|_| ());
        log.lots.values_mut().for_each(wrong);
        log.seal();
        log.refused(&log.bundle(&["a"], false), None, Reason::Balance);
    }
    let mut other = with(|_| ());
    other.lots.values_mut().for_each(|lot| lot.unit = "EUR".into());
    other.seal();
    other.refused(&other.bundle(&["a"], false), None, Reason::Balance);
}

#[test]
fn the_same_usage_is_seen_even_between_two_lots() {
    let mut log = Forger::new();
    log.post("a", "delivery", 10_000);
    log.post("b", "delivery", 10_000);
    for lot in ["a", "b"] {
        let line = Forged { nul: Some("the same".into()), ..log.line(lot, "charge", -1) };
        log.write(vec![line]);
    }
    log.seal();
    log.refused(&log.bundle(&["a", "b"], false), None, Reason::DuplicateUsage);
    assert!(log.check(&log.bundle(&["a"], false), None).is_ok());
    let same = with(|line| line.handle = "h1".into());
    same.refused(&same.bundle(&["a"], false), None, Reason::DuplicateUsage);
}

#[test]
fn leaves_and_lines_are_in_their_forms_and_belong_together() {
    let bare = with(|line| line.nul = None);
    bare.refused(&bare.bundle(&["a"], false), None, Reason::NonCanonical);
    let log = honest();
    let bundle = log.bundle(&["a"], false);
    let mut other = bundle.clone();
    other.lots[0].lines[1].disclosure = bundle.lots[0].lines[0].disclosure.clone();
    log.refused(&other, None, Reason::Inclusion);
    other.lots[0].lines[1].disclosure = format!("{}=", bundle.lots[0].lines[1].disclosure);
    log.refused(&other, None, Reason::NonCanonical);
    let mut spaced = bundle.clone();
    spaced.lots[0].lines[1].leaf = bundle.lots[0].lines[1].leaf.replace(':', ": ");
    log.refused(&spaced, None, Reason::NonCanonical);
    let mut renamed = bundle.clone();
    renamed.lots[0].lines[1].leaf = bundle.lots[0].lines[1].leaf.replace("charge", "refund");
    log.refused(&renamed, None, Reason::Inclusion);
    // A leaf that holds the line, and is not the one in the tree.
    let mut forged = bundle.clone();
    forged.lots[0].lines[1].leaf = bundle.lots[0].lines[1].leaf.replace("entry", "other");
    log.refused(&forged, None, Reason::Inclusion);
    // Two texts of one leaf, of which only the first is in the tree.
    let mut two = log.bundle(&["a", "b"], false);
    two.lots[1].lines[1].leaf = two.lots[1].lines[1].leaf.replace("entry", "other");
    log.refused(&two, None, Reason::Inclusion);
    let mut cut = bundle.clone();
    cut.cover.pop();
    log.refused(&cut, None, Reason::Inclusion);
    let mut longer = bundle.clone();
    longer.cover.push(to_base64(&[0; 32]));
    log.refused(&longer, None, Reason::Inclusion);
    log.refused(&Bundle { format: "almoner-statement/2".into(), ..bundle.clone() }, None, Reason::Malformed);
    log.refused(&Bundle { cover: vec!["x".into()], ..bundle }, None, Reason::Malformed);
    assert!(judged("{", &log.trust(), None).is_err_and(|refused| refused.reason == Reason::Malformed));
}
