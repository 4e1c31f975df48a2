//! A whole year in a programme, told as a story: three donors with different terms, twelve projects, forty requests, and everything that may
//! come of them, played over HTTP against the running service on every database.
//!
//! The script is `winter`, `spring`, `summer`, `autumn`; what it says is kept word for word in `year.txt`, to be read by anybody. Beside the
//! service the test keeps a spreadsheet of what it asked for; at each quarter's end, and at the year's, both must agree to the last digit.

mod autumn;
mod gifts;
mod grants;
mod jobs;
mod sheet;
mod spring;
mod stage;
mod summer;
mod sums;
#[path = "../support/mod.rs"]
mod support;
mod tables;
#[path = "../tools/mod.rs"]
mod tools;
mod winter;
mod year;

use support::database::databases;
use year::Year;

/// The story as it was told last.
const TOLD: &str = "tests/year/year.txt";

#[test]
fn a_year_in_a_programme() {
    let mut stories: Vec<(&str, String)> = Vec::new();
    for database in databases() {
        let kind = database.kind;
        let mut year = Year::begin(database);
        winter::play(&mut year);
        spring::play(&mut year);
        summer::play(&mut year);
        autumn::play(&mut year);
        year.audit();
        stories.push((kind, year.story().to_owned()));
    }
    for (kind, story) in &stories {
        assert!(story == &stories[0].1, "{kind} tells another story than {}", stories[0].0);
        compare(story, kind);
    }
}

/// Compares the story with the one that is kept, or keeps it where `UPDATE_GOLDEN` is set.
fn compare(story: &str, kind: &str) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(TOLD);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, story).unwrap_or_else(|e| panic!("{TOLD}: {e}"));
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = kept.lines().zip(story.lines()).enumerate().find(|(_, (kept, told))| kept != told);
    assert!(kept == story, "{kind} tells another story, first at {differs:?}; UPDATE_GOLDEN=1 rewrites {TOLD}");
}
