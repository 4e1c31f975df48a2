//! Bundles with something changed in them: whatever it is, they are refused, and nothing panics.

use almoner::attest::check::check;
use serde_json::Value;

use almoner::attest::check::Kept;
use almoner::attest::memory::Memory;

use crate::scene::Scene;
use crate::support::database::sqlite;
use crate::verifier::{Asked, script, verdicts};

/// Changes tried on each bundle unless `ALMONER_MUTATIONS` says another number.
const MUTATIONS: u64 = 4_000;

/// A step of a deterministic shuffle.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

fn pick(seed: &mut u64, from: usize) -> usize {
    usize::try_from(next(seed)).unwrap_or(0) % from.max(1)
}

/// The places of everything within a document, as paths.
fn places(value: &Value, path: String, found: &mut Vec<String>) {
    found.push(path.clone());
    match value {
        Value::Array(list) => list.iter().enumerate().for_each(|(at, one)| places(one, format!("{path}/{at}"), found)),
        Value::Object(fields) => fields.iter().for_each(|(name, one)| places(one, format!("{path}/{name}"), found)),
        _ => {}
    }
}

/// Words for who it is for and about, which nothing proves.
fn unproved(place: &str) -> bool {
    place.starts_with("/donor") || place.starts_with("/period")
}

/// Changes one thing; nothing where that kind of change does not fit there.
fn mutate(bundle: &Value, place: &str, seed: &mut u64) -> Option<Value> {
    let mut changed = bundle.clone();
    let (parent, name) = place.rsplit_once('/').filter(|_| bundle.pointer(place).is_some_and(|old| !old.is_null()))?;
    let other = bundle.pointer(&parent.replace("/lots/0/", "/lots/1/")).and_then(|part| part.get(name)).cloned();
    match (changed.pointer_mut(place)?, next(seed) % 8) {
        (Value::String(text), 0..=3) => {
            let mut bytes = text.clone().into_bytes();
            let at = pick(seed, bytes.len());
            match (bytes.get_mut(at), next(seed) % 3) {
                (Some(byte), 0) => *byte = if *byte == b'A' { b'B' } else { b'A' },
                (Some(byte), 1) => *byte = if byte.is_ascii_digit() { b'0' + (*byte - b'0' + 1) % 10 } else { b' ' },
                _ => {
                    bytes.remove(at);
                }
            }
            *text = String::from_utf8(bytes).ok()?;
        }
        (Value::Array(list), 0..=2) if !list.is_empty() => {
            list.remove(pick(seed, list.len()));
        }
        (Value::Array(list), 3) if list.len() > 1 => {
            let at = pick(seed, list.len() - 1);
            list.swap(at, at + 1);
        }
        (Value::Array(list), _) if !list.is_empty() => {
            let one = list[pick(seed, list.len())].clone();
            list.insert(pick(seed, list.len()), one);
        }
        (value, 4) => *value = Value::Null,
        (value, 5) => *value = Value::String(String::new()),
        (value, 6) => *value = other?,
        (_, _) => {
            changed.pointer_mut(parent)?.as_object_mut()?.remove(name);
        }
    }
    (changed != *bundle).then_some(changed)
}

#[test]
fn whatever_is_changed_is_refused() {
    let scene = Scene::play(sqlite());
    let (trust, mut seed) = (scene.trust(), 7);
    let tries = std::env::var("ALMONER_MUTATIONS").ok().and_then(|number| number.parse().ok()).unwrap_or(MUTATIONS);
    for (donor, since) in [(0, None), (0, Some(scene.signed[1])), (1, Some(scene.signed[2]))] {
        let bundle = serde_json::to_value(scene.bundle(scene.donors[donor], since)).expect("JSON");
        let kept = check(&bundle.to_string(), &trust, None).expect("holds").keep();
        let mut all = Vec::new();
        places(&bundle, String::new(), &mut all);
        let (mut refused, mut reasons) = (0u64, std::collections::BTreeMap::new());
        while refused < tries {
            let place = &all[pick(&mut seed, all.len())];
            let Some(changed) = (!unproved(place)).then(|| mutate(&bundle, place, &mut seed)).flatten() else { continue };
            // With and without what is kept: what is kept must not be what alone refuses it.
            let found = check(&changed.to_string(), &trust, None);
            let again = check(&changed.to_string(), &trust, Some(&kept));
            // Which lots there are is known to who was told of them alone.
            assert!(found.is_err() || (place == "/lots" && again.is_err()), "{place}: {changed}");
            refused += 1;
            *reasons.entry(found.err().map(|refused| refused.reason)).or_insert(0u64) += 1;
        }
        assert!(reasons.len() > 5, "{reasons:?}");
    }
}

#[test]
fn cut_bundles_and_noise_are_refused() {
    let scene = Scene::play(sqlite());
    let (trust, text) = (scene.trust(), serde_json::to_string(&scene.bundle(scene.donors[0], None)).expect("JSON"));
    assert!(check(&text, &trust, None).is_ok());
    for end in (0..text.len()).step_by(97) {
        assert!(check(&text[..end], &trust, None).is_err());
    }
    for noise in ["", "null", "[]", "{}", "\"\"", "0", "{\"format\":\"almoner-statement/1\"}"] {
        assert!(check(noise, &trust, None).is_err(), "{noise}");
    }
}

/// Changes one character of the text.
fn scratch(text: &str, seed: &mut u64) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let at = pick(seed, bytes.len());
    let others = b" \"\\,:[]{}0129AZaz-_=+/.\n";
    bytes[at] = others[pick(seed, others.len())];
    String::from_utf8(bytes).unwrap_or_default()
}

/// What ours says of each bundle, by the words of the reasons.
fn ours(scene: &Scene, kept: Option<&Kept>, bundles: &[String]) -> Vec<String> {
    let word = |text: &String| check(text, &scene.trust(), kept).map_or_else(|refused| refused.reason.word(), |_| "holds");
    bundles.iter().map(|text| word(text).to_owned()).collect()
}

#[test]
fn the_second_verifier_says_the_same_of_every_bundle() {
    let scene = Scene::play(sqlite());
    let (keys, folder, mut seed) = (vec![scene.keeper().verifier().text()], scene.database.folder().join("kept"), 11);
    let tries = std::env::var("ALMONER_MUTATIONS").ok().and_then(|number| number.parse().ok()).unwrap_or(MUTATIONS);
    // Most on bundles with few lines: the same checks, sooner.
    for (donor, since, share) in [(0, None, 40), (1, None, 10), (0, Some(scene.signed[2]), 2), (1, Some(scene.signed[2]), 2)] {
        let bundle = serde_json::to_value(scene.bundle(scene.donors[donor], since)).expect("JSON");
        let mut memory = Memory::default();
        let kept = check(&bundle.to_string(), &scene.trust(), None).expect("holds").keep();
        memory.keep(&kept, Vec::new());
        memory.write(&folder).expect("written");
        let (mut all, mut changed) = (Vec::new(), vec![bundle.to_string()]);
        places(&bundle, String::new(), &mut all);
        while (changed.len() as u64) < tries / share {
            let place = &all[pick(&mut seed, all.len())];
            changed.extend(mutate(&bundle, place, &mut seed).map(|changed| changed.to_string()));
            changed.push(scratch(&changed[0], &mut seed));
        }
        for kept in [None, Some(&kept)] {
            let asked = Asked { keys: &keys, kept: kept.map(|_| folder.as_path()), ..Asked::default() };
            let (ours, theirs) = (ours(&scene, kept, &changed), verdicts(&asked, &changed));
            for ((ours, theirs), text) in ours.iter().zip(&theirs).zip(&changed) {
                assert_eq!(ours, theirs, "{text}");
            }
            assert_eq!(theirs[0], "holds");
        }
    }
}

#[test]
fn the_second_verifier_is_short_enough_to_read() {
    let text = std::fs::read_to_string(script()).expect("a script");
    assert!(text.lines().count() <= 250, "{} lines", text.lines().count());
    let imports: Vec<&str> = text.lines().filter(|line| line.starts_with("import ") || line.starts_with("from ")).collect();
    assert_eq!(imports, ["import argparse, base64, bisect, contextlib, functools, hashlib, json, re, sys"]);
}
