//! `almoner statement` as a stranger uses it.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::books::Books;
use crate::support::database::databases;
use crate::support::{Run, almoner};

fn run(books: &Books, args: &[&str]) -> Run {
    let data = books.keys();
    let place = ["--data", data.to_str().expect("UTF-8"), "--database", &books.database.url];
    almoner([&["statement"], args, &place].concat())
}

#[test]
fn a_statement_is_written_in_three_forms() {
    for database in databases() {
        let books = Books::of_four_months(database);
        let donor = books.donors[0].to_string();
        let days = ["--donor", &donor, "--from", "2026-01-01", "--until", "2026-03-31"];
        let text = run(&books, &days).ok();
        let hash: String = Sha256::digest(text.stdout.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(text.stderr.contains(&hash) && text.stderr.starts_with("stm_"), "what the hash is of is what was written: {}", text.stderr);
        let read: Value = serde_json::from_str(&text.stdout).expect("JSON");
        assert_eq!(
            (&read["period"]["from"], &read["period"]["to"]),
            (&"2026-01-01".into(), &"2026-04-01".into()),
            "the last day is within"
        );
        let again = run(&books, &[&days[..], &["--json"]].concat()).ok();
        let said: Value = serde_json::from_str(&again.stderr).expect("JSON");
        assert_eq!((said["sha256"].as_str(), said["until"].as_str()), (Some(hash.as_str()), Some("2026-03-31")));
        assert_eq!(again.stdout, text.stdout);
        let file = books.database.folder().join("statement.html");
        let page = run(&books, &[&days[..], &["--format", "html", "-o", file.to_str().expect("UTF-8")]].concat()).ok();
        assert_eq!(page.stdout, "");
        let page = std::fs::read_to_string(file).expect("a page");
        assert!(page.starts_with("<!DOCTYPE html>") && page.contains(&hash) && page.contains("Donor A &amp; &lt;Sons&gt;"), "{page}");
        let project = books.projects[0].to_string();
        let table = run(&books, &["--project", &project, "--from", "2026-01-01", "--until", "2026-03-31", "--format", "csv"]).ok().stdout;
        let mut rows = csv::Reader::from_reader(table.as_bytes());
        let head = rows.headers().expect("a head").clone();
        let at = |name: &str| head.iter().position(|column| column == name).unwrap_or_else(|| panic!("no {name} in {head:?}"));
        let (kind, job, spent) = (at("row"), at("job"), at("spent"));
        let rows: Vec<csv::StringRecord> = rows.records().map(|row| row.expect("a row")).collect();
        let charged = rows.iter().find(|row| &row[kind] == "charge").expect("a charge");
        assert_eq!((&charged[job], &charged[spent]), ("secret-cluster secret-job-first-0", "10.00"), "{charged:?}");
        let provider = books.provider.to_string();
        run(&books, &["--provider", &provider, "--from", "2026-02-01", "--until", "2026-02-28", "--format", "html"]).ok();
    }
}

#[test]
fn what_can_not_be_read_is_said() {
    let books = Books::of_four_months(crate::support::database::sqlite());
    let donor = books.donors[0].to_string();
    let project = books.projects[0].to_string();
    for (args, code, says) in [
        (&["--from", "2026-01-01", "--until", "2026-03-31"][..], 2, "--donor"),
        (&["--donor", &donor, "--project", &project, "--from", "2026-01-01", "--until", "2026-03-31"], 2, "cannot be used with"),
        (&["--donor", &project, "--from", "2026-01-01", "--until", "2026-03-31"], 2, "dnr_"),
        (&["--donor", &donor, "--from", "2026-1-1", "--until", "2026-03-31"], 2, "2026-03-31"),
        (&["--donor", &donor, "--from", "2026-03-31", "--until", "2026-03-01"], 1, "--until must not come before --from"),
        (&["--donor", &donor, "--from", "2026-03-31", "--until", "2999-03-01"], 1, "not over"),
        (&["--project", "prj_01kb257200e1x8j5qrqswh0ccp", "--from", "2026-03-01", "--until", "2026-03-01"], 2, "prj_"),
    ] {
        let run = run(&books, args);
        assert_eq!(run.code, Some(code), "{args:?}: {run:#?}");
        assert!(run.stderr.contains(says) && run.stdout.is_empty(), "{args:?}: {run:#?}");
    }
}
