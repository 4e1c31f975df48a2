//! The second verifier, `verify.py`, asked about bundles: what it says of each, to be held against what ours says.
//!
//! It knows files and texts only, so that the library's own tests can use it too.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What to hold bundles to.
#[derive(Default)]
pub struct Asked<'a> {
    /// Keys of the log.
    pub keys: &'a [String],
    /// Keys of witnesses.
    pub witnesses: &'a [String],
    /// How many of them must have cosigned.
    pub quorum: usize,
    /// What is kept, as `almoner verify` writes it.
    pub kept: Option<&'a Path>,
}

/// Bundles in one run of the script, which remembers the signatures it has checked.
const AT_ONCE: usize = 500;

/// Where the script is.
pub fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifier/verify.py")
}

/// Its verdict on each bundle: `holds`, or the reason's name.
pub fn verdicts(asked: &Asked, bundles: &[String]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut found = Vec::new();
    for some in bundles.chunks(AT_ONCE) {
        // Isolated and without what is installed beside it: the standard library must do.
        let mut command = Command::new("python3");
        command.args(["-I", "-S"]).arg(script());
        for (option, keys) in [("--key", asked.keys), ("--witness", asked.witnesses)] {
            command.args(keys.iter().flat_map(|key| [option, key]));
        }
        command.args(["--quorum", &asked.quorum.to_string()]);
        if let Some(path) = asked.kept {
            command.arg("--kept").arg(path);
        }
        for (at, bundle) in some.iter().enumerate() {
            let path = folder.path().join(at.to_string());
            std::fs::write(&path, bundle).expect("written");
            command.arg(path);
        }
        let done = command.output().expect("Python 3 is needed here");
        let (said, complaint) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        let words: Vec<String> = said.lines().filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect();
        let code = if words.iter().all(|word| word == "holds") { 0 } else { 4 };
        assert_eq!((words.len(), done.status.code()), (some.len(), Some(code)), "{said}\n{complaint}");
        found.extend(words);
    }
    found
}
