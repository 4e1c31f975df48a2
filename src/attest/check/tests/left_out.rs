//! Every check left out once, here and in the second verifier: of the bundles in the tests beside this, one at least must be judged otherwise.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use super::super::{Held, Kept, Refused, Trust, check};
use super::ALL;
use crate::attest::memory::Memory;
use crate::tlog::Verifier;

thread_local! {
    /// The line of the check that is left out.
    static OUT: Cell<u32> = const { Cell::new(0) };
    /// The lines of all that were met.
    static MET: RefCell<BTreeSet<u32>> = const { RefCell::new(BTreeSet::new()) };
    /// The bundles that were judged, if they are to be remembered.
    static JUDGED: RefCell<Option<Vec<Case>>> = const { RefCell::new(None) };
}

/// Whether the check in this line is left out.
pub fn is(line: u32) -> bool {
    MET.with_borrow_mut(|met| met.insert(line));
    OUT.get() == line
}

/// A bundle with what it is held to.
#[derive(Clone)]
struct Case {
    text: String,
    trust: Trust,
    kept: Option<Kept>,
}

impl Case {
    fn verdict(&self) -> &'static str {
        word(&check(&self.text, &self.trust, self.kept.as_ref()))
    }
}

fn word(judged: &Result<Held, Refused>) -> &'static str {
    judged.as_ref().map_or_else(|refused| refused.reason.word(), |_| "holds")
}

/// Remembers a bundle that a test is about.
pub fn remember(text: &str, trust: &Trust, kept: Option<&Kept>) {
    let case = || Case { text: text.to_owned(), trust: trust.clone(), kept: kept.cloned() };
    JUDGED.with_borrow_mut(|judged| judged.iter_mut().for_each(|all| all.push(case())));
}

/// All bundles of the tests beside this.
fn cases() -> Vec<Case> {
    JUDGED.set(Some(Vec::new()));
    ALL.iter().for_each(|test| test());
    let cases = JUDGED.take().unwrap_or_default();
    assert!(cases.len() > 70, "{}", cases.len());
    cases
}

#[test]
fn no_check_can_be_left_out() {
    let cases = cases();
    let written =
        include_str!("../../check.rs").lines().zip(1u32..).filter(|(line, _)| line.contains("need(") && !line.contains("fn need"));
    let written: BTreeSet<u32> = written.map(|(_, number)| number).collect();
    MET.take();
    let verdicts: Vec<&str> = cases.iter().map(Case::verdict).collect();
    assert_eq!(MET.take(), written, "each check is met");
    assert!(written.len() > 30, "{written:?}");
    let missed = |line: &u32| {
        OUT.set(*line);
        let missed = cases.iter().zip(&verdicts).any(|(case, verdict)| case.verdict() != *verdict);
        OUT.set(0);
        missed
    };
    let unmissed: Vec<u32> = written.into_iter().filter(|line| !missed(line)).collect();
    assert!(unmissed.is_empty(), "nobody misses the checks in lines {unmissed:?}");
}

#[test]
fn no_check_of_the_second_verifier_can_be_left_out() {
    let kept = |kept: &Kept| {
        let mut memory = Memory::default();
        memory.keep(kept, Vec::new());
        if kept.lots.is_empty() { kept.checkpoint.text() } else { serde_json::to_string(&memory).expect("JSON") }
    };
    let told = cases().into_iter().map(|case| {
        let keys: Vec<String> = case.trust.policy.logs.iter().map(|log| &log.key).chain(&case.trust.keys).map(Verifier::text).collect();
        let witnesses: Vec<String> = case.trust.policy.witnesses.iter().map(|witness| witness.key.text()).collect();
        let kept = case.kept.as_ref().map(kept);
        json!({"text": case.text, "keys": keys, "quorum": witnesses.len(), "witnesses": witnesses, "kept": kept, "verdict": case.verdict()})
            .to_string()
    });
    let told = told.collect::<Vec<_>>().join("\n");
    if let Some(path) = std::env::var_os("ALMONER_CASES") {
        // To try the script alone.
        std::fs::write(path, &told).expect("written");
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verifier/left_out.py");
    let mut child =
        Command::new("python3").args(["-I", "-S", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python 3");
    child.stdin.take().expect("a pipe").write_all(told.as_bytes()).expect("read");
    let done = child.wait_with_output().expect("an end");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}
