//! Go's transparency log reads what we write, and we what it writes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::folder::{check, files, make};
use crate::support::{Run, skipped, tool};

/// Where Debian's package golang-golang-x-mod-dev puts the sources.
const SOURCES: &str = "/usr/share/gocode";

/// Sizes at which tiles begin and end, with three levels of them.
const SIZES: [u64; 7] = [1, 2, 255, 256, 257, 65_536, 70_000];

/// The program in `go/`; nothing where there is no Go or not its library.
fn program() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT.get_or_init(build).as_deref()
}

/// Builds it, without a network.
fn build() -> Option<PathBuf> {
    let go = tool("go")?;
    if !Path::new(SOURCES).join("src/golang.org/x/mod/sumdb/tlog/tlog.go").is_file() {
        skipped("with Go's sumdb", "its source is not installed; tests/run installs it");
        return None;
    }
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tlog/go/main.go");
    let mut command = Command::new(go);
    command.env("GO111MODULE", "off").env("GOPATH", SOURCES).env("GOFLAGS", "");
    command.env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-cache"));
    command.arg("build").arg("-o").arg(&built).arg(source);
    Run::from(command.output().expect("go runs")).ok();
    Some(built)
}

fn go(program: &Path, args: &[&str], folders: &[&Path]) -> Run {
    Run::from(Command::new(program).args(args).args(folders).output().expect("the program runs"))
}

#[test]
fn go_accepts_our_logs_and_refuses_them_with_a_bit_flipped() {
    let Some(program) = program() else { return };
    let folders = SIZES.map(|size| {
        let folder = tempfile::tempdir().expect("a folder");
        make(folder.path(), size);
        folder
    });
    let paths: Vec<&Path> = folders.iter().map(tempfile::TempDir::path).collect();
    go(program, &["check"], &paths).ok();
    let flipped = paths[4];
    for file in files(flipped) {
        let good = std::fs::read(&file).expect("read");
        let mut wrong = good.clone();
        wrong[good.len() / 2] ^= 1;
        std::fs::write(&file, wrong).expect("written");
        assert_eq!(go(program, &["check"], &[flipped]).code, Some(1), "{}", file.display());
        std::fs::write(&file, good).expect("written");
    }
}

#[test]
fn we_accept_the_logs_of_go_and_refuse_them_with_a_bit_flipped() {
    let Some(program) = program() else { return };
    for size in SIZES {
        let folder = tempfile::tempdir().expect("a folder");
        go(program, &["make", &size.to_string()], &[folder.path()]).ok();
        assert_eq!(check(folder.path()), Ok(()), "of {size}");
        let signed = folder.path().join("checkpoint");
        let good = std::fs::read_to_string(&signed).expect("read");
        std::fs::write(&signed, good.replace(&format!("\n{size}\n"), &format!("\n{}\n", size + 1))).expect("written");
        assert!(check(folder.path()).is_err_and(|why| why.contains("Signature")), "of {size}");
    }
}
