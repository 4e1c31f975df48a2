//! Every bundle that ours is asked about is shown to the second verifier too.

#[path = "../../../../tests/verifier/mod.rs"]
mod verifier;

use super::super::{Held, Kept, Refused, Trust, check};
use crate::attest::memory::Memory;
use crate::tlog::Verifier;

/// What ours says of a bundle, and that the second verifier says the same.
#[track_caller]
pub fn both(text: &str, trust: &Trust, kept: Option<&Kept>) -> Result<Held, Refused> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kept");
    match kept {
        Some(kept) if kept.lots.is_empty() => std::fs::write(&path, kept.checkpoint.text()).expect("written"),
        Some(kept) => {
            let mut memory = Memory::default();
            memory.keep(kept, Vec::new());
            memory.write(&path).expect("written");
        }
        None => {}
    }
    let keys: Vec<String> = trust.policy.logs.iter().map(|log| &log.key).chain(&trust.keys).map(Verifier::text).collect();
    let witnesses: Vec<String> = trust.policy.witnesses.iter().map(|witness| witness.key.text()).collect();
    let asked = verifier::Asked { keys: &keys, witnesses: &witnesses, quorum: witnesses.len(), kept: kept.map(|_| path.as_path()) };
    let (ours, theirs) = (check(text, trust, kept), verifier::verdicts(&asked, &[text.to_owned()]));
    assert_eq!(ours.as_ref().map_or_else(|refused| refused.reason.word(), |_| "holds"), theirs[0], "{ours:?}");
    ours
}
