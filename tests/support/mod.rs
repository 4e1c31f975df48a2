//! What the integration tests share: a fresh database of each kind, the built program, a running server and a small client.
//!
//! A test that can't have what it needs says `SKIPPED` on standard error, past the test runner's capture, and fails where `CI` is
//! set: nothing is left out in silence. It may not know what is tested.

#![allow(dead_code, reason = "each test crate uses its own part of this")]

pub mod books;
pub mod database;
pub mod dice;
pub mod log;
pub mod oidc;
pub mod server;
pub mod witness;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Says that something is left out; fails where nothing may be.
pub fn skipped(what: &str, why: &str) {
    // Not `eprintln!`, which the runner swallows when the test passes.
    let said = writeln!(std::io::stderr(), "SKIPPED {what}: {why}");
    let in_ci = std::env::var_os("CI").is_some_and(|v| !v.is_empty());
    assert!(said.is_ok() && !in_ci, "{what} must be tested here, but {why}");
}

/// The built program, in an environment without settings of ours.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_almoner"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ALMONER_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs the built program to its end.
pub fn almoner<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Run {
    let output = program().args(args).output().expect("the program starts");
    Run::from(output)
}

/// What a run of a program left behind.
#[derive(Debug)]
pub struct Run {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// The run itself if it ended well; otherwise the test fails with all that was said.
    pub fn ok(self) -> Run {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Run {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program speaks UTF-8");
        Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// Where a tool of others is: `hledger`, `ledger`, `bean-check`, `schemathesis`. `tests/run` installs them.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        skipped(&format!("with {name}"), "it is not installed; tests/run installs it");
    }
    found
}

/// A file of the real data that is not part of the project, by its path under the folder named in `ALMONER_REAL_DATA`.
pub fn real_data(path: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("ALMONER_REAL_DATA") else {
        // Not everybody has this data, so its absence alone fails nowhere.
        let _ = writeln!(std::io::stderr(), "SKIPPED with {path}: ALMONER_REAL_DATA names no folder of real job logs");
        return None;
    };
    let file = Path::new(&folder).join(path);
    assert!(file.exists(), "{} is missing", file.display());
    Some(file)
}
