//! The API against the running server, on every database: who may what, every code, the story of the three users, and the description.

mod access;
mod books;
mod codes;
mod decisions;
mod erasing;
mod fields;
mod flows;
mod granting;
mod holds;
mod hostile;
mod independence;
mod issuers;
mod limits;
mod lives;
mod lists;
mod login;
mod outlook;
mod rights;
mod sight;
mod spec;
mod states;
#[path = "../support/mod.rs"]
mod support;
mod town;
mod usage;

/// Compares with a checked-in file, or writes it where `UPDATE_GOLDEN` is set.
fn golden(path: &str, found: &str) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let folder = file.parent().expect("a folder");
        std::fs::create_dir_all(folder).expect("the folder");
        std::fs::write(&file, found).unwrap_or_else(|e| panic!("{path}: {e}"));
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = kept.lines().zip(found.lines()).enumerate().find(|(_, (kept, found))| kept != found);
    let (lines, others) = (kept.lines().count(), found.lines().count());
    assert!(kept == found, "{path} differs ({lines} lines, now {others}), first at {differs:?}; UPDATE_GOLDEN=1 rewrites it");
}
