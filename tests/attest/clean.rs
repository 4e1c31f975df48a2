//! What is clean holds: books against their log, bundles against what donors keep; and what donors are handed tells of nobody.

use std::collections::BTreeSet;

use almoner::attest::bundle::Bundle;
use almoner::attest::canon::read_url64;
use almoner::attest::check::{Held, check};
use almoner::attest::{keep, store};
use almoner::id::is_formed;
use almoner::tlog::Checkpoint;

use crate::scene::{JOB, PERSON, Scene, USER};
use crate::support::database::databases;

fn text(bundle: &Bundle) -> String {
    serde_json::to_string(bundle).expect("written")
}

#[test]
fn clean_books_hold_and_so_does_what_donors_are_handed() {
    for database in databases() {
        let scene = Scene::play(database);
        let found = scene.verify(checkpoints(&scene));
        assert!(found.holds(), "{}: {:#?}", scene.database.kind, found.laws.iter().filter(|law| law.broken > 0).collect::<Vec<_>>());
        assert!(found.laws[11..].iter().all(|law| law.checked > 0) && found.laws.len() == 16, "{:?}", found.laws);
        for donor in &scene.donors {
            statements_hold_one_after_the_other(&scene, *donor);
        }
        lines_are_of_every_class(&scene);
        proofs_of_all_signed_sizes_are_made(&scene);
    }
}

fn checkpoints(scene: &Scene) -> Vec<(String, Checkpoint)> {
    let kept: Vec<_> = scene.checkpoints().into_iter().map(|kept| (format!("{} leaves", kept.size), kept)).collect();
    assert_eq!(kept.iter().map(|(_, kept)| kept.size).collect::<Vec<_>>(), scene.signed);
    kept
}

/// A donor who keeps what was told accepts each statement since, and the whole story too.
fn statements_hold_one_after_the_other(scene: &Scene, donor: almoner::id::DonorId) {
    let trust = scene.trust();
    let whole = check(&text(&scene.bundle(donor, None)), &trust, None).expect("holds");
    let mut lines = Vec::new();
    for since in &scene.signed[..scene.signed.len() - 1] {
        let told: Held = check(&text(&scene.bundle(donor, Some(*since))), &trust, None).expect("holds");
        assert_eq!(told.lots, whole.lots);
        lines.push(told.lines);
    }
    assert!(lines.is_sorted_by(|a, b| a >= b) && lines[0] == whole.lines && lines.last() < lines.first(), "{lines:?}");
    let kept = whole.keep();
    assert_eq!(check(&text(&scene.bundle(donor, Some(scene.signed[1]))), &trust, Some(&kept)).map(|held| held.lots), Ok(whole.lots));
}

fn lines_are_of_every_class(scene: &Scene) {
    let mut classes = BTreeSet::new();
    for (lot, _) in scene.log.read(store::lots).expect("lots") {
        for row in scene.log.read(|conn| store::lines(conn, lot, 1, 1_000)).expect("lines") {
            let (_, line) = almoner::attest::disclosure::open(&row.disclosure, "line").expect("a line");
            classes.insert(line["class"].as_str().expect("a class").to_owned());
        }
    }
    let wanted = ["award", "charge", "delivery", "end", "lapse", "refund", "return", "reversal"];
    assert!(wanted.iter().all(|class| classes.contains(*class)), "{classes:?}");
}

fn proofs_of_all_signed_sizes_are_made(scene: &Scene) {
    let to = *scene.signed.last().expect("signed");
    scene
        .log
        .read(|conn| {
            let root = keep::root(conn, to)?;
            for from in 1..=to {
                let (first, path) = (keep::root(conn, from)?, keep::consistency(conn, from, to)?.expect("a proof"));
                assert!(almoner::tlog::proof::extends(from, &first, to, &root, &path), "{from}");
            }
            Ok(())
        })
        .expect("proofs");
}

/// Everything that is said in a bundle: the text itself, the leaves, and what every disclosure opens to.
fn said(bundle: &Bundle) -> Vec<String> {
    let lines = bundle.lots.iter().flat_map(|lot| &lot.lines);
    let opened = lines.map(|line| String::from_utf8(read_url64(&line.disclosure).expect("base64")).expect("text"));
    opened.chain([text(bundle)]).collect()
}

#[test]
fn a_donor_is_told_of_no_person_job_or_hour() {
    for database in databases() {
        let scene = Scene::play(database);
        for donor in &scene.donors {
            for said in said(&scene.bundle(*donor, None)) {
                assert!(![PERSON, JOB, USER, "\"4711\""].iter().any(|secret| said.contains(secret)), "{said}");
                let words = said.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let ids: Vec<&str> = words.filter(|word| is_formed(word)).collect();
                assert!(ids.iter().all(|id| *id == donor.to_string()), "{ids:?}");
                let hours = said.as_bytes().windows(6).any(|six| {
                    let digit = |at: usize| six[at].is_ascii_digit();
                    six[0] == b'T' && digit(1) && digit(2) && six[3] == b':' && digit(4) && digit(5)
                });
                assert!(!hours, "{said}");
            }
        }
    }
}
