//! Bundles with something changed in them: whatever it is, both verifiers refuse it for the same reason, and neither panics.

use std::collections::BTreeMap;

use almoner::attest::bundle::{Bundle, Donor};
use almoner::attest::check::{Kept, Trust, check};
use almoner::attest::memory::Memory;
use almoner::tlog::{Note, Verifier};
use serde_json::Value;

use crate::scene::Scene;
use crate::support::database::sqlite;
use crate::support::dice::Dice;
use crate::verifier::{Asked, script, verdicts};

/// Changes that are tried unless `ALMONER_MUTATIONS` says another number.
const MUTATIONS: usize = 20_000;
/// The second verifier runs in so many processes.
const RUNS: usize = 2;

/// A bundle that holds.
struct Good {
    value: Value,
    meaning: Meaning,
    kept: Kept,
    places: Vec<String>,
}

/// What a bundle says, apart from how it is written: words that nothing proves, the order of the lots, and signatures that nobody asked for,
/// are no part of it.
#[derive(PartialEq)]
struct Meaning {
    rest: Value,
    lots: Vec<Value>,
}

impl Meaning {
    fn of(text: &str, trust: &Trust) -> Option<Meaning> {
        let mut bundle: Bundle = serde_json::from_str(text).ok()?;
        (bundle.donor, bundle.period) = (Donor { id: String::new(), name: String::new() }, None);
        for note in std::iter::once(&mut bundle.checkpoint).chain(&mut bundle.previous) {
            let known = Note::parse(note).ok().filter(|read| trust.policy.judge(read, &trust.keys).is_ok());
            *note = known.map_or_else(|| note.clone(), |read| read.text().to_owned());
        }
        let mut lots: Vec<Value> = bundle.lots.drain(..).map(|lot| serde_json::to_value(lot).expect("JSON")).collect();
        lots.sort_by_key(Value::to_string);
        Some(Meaning { rest: serde_json::to_value(bundle).expect("JSON"), lots })
    }

    /// Whether lots are left out, and nothing else is changed.
    fn is_part_of(&self, whole: &Meaning) -> bool {
        self.rest == whole.rest && self.lots.len() < whole.lots.len() && self.lots.iter().all(|lot| whole.lots.contains(lot))
    }
}

/// The places of everything within a document, as paths.
fn places(value: &Value, path: String, found: &mut Vec<String>) {
    match value {
        Value::Array(list) => list.iter().enumerate().for_each(|(at, one)| places(one, format!("{path}/{at}"), found)),
        Value::Object(fields) => fields.iter().for_each(|(name, one)| places(one, format!("{path}/{name}"), found)),
        _ => {}
    }
    if !path.is_empty() {
        found.push(path);
    }
}

/// Ways to change a bundle.
const WAYS: &[(usize, Way)] = &[
    (3, Way::Bit),
    (3, Way::Letter),
    (3, Way::Digit),
    (2, Way::Drop),
    (2, Way::Double),
    (2, Way::Swap),
    (2, Way::Other),
    (2, Way::Neighbour),
    (2, Way::Recode),
    (1, Way::Retype),
    (1, Way::Cut),
    (1, Way::Respell),
];

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Way {
    /// A bit of the whole text.
    Bit,
    /// A character of a text.
    Letter,
    /// A digit of a number.
    Digit,
    /// A field or a member less.
    Drop,
    /// A field or a member twice.
    Double,
    /// Two values of the same kind change places.
    Swap,
    /// What another bundle has in that place.
    Other,
    /// Two neighbours change places.
    Neighbour,
    /// Another text for the same bytes, or the same number.
    Recode,
    /// Something of another type.
    Retype,
    /// The text ends early, or goes on.
    Cut,
    /// Other JSON for the same, which changes nothing.
    Respell,
}

/// The text with one thing changed; nothing where that way does not fit there.
fn mutate(good: &Good, others: &[Good], dice: &mut Dice, way: Way) -> Option<String> {
    let (text, place) = (good.value.to_string(), &good.places[dice.below(good.places.len())]);
    let (parent, name) = place.rsplit_once('/')?;
    let mut changed = good.value.clone();
    let old = good.value.pointer(place)?;
    match way {
        Way::Bit => {
            let mut bytes = text.into_bytes();
            let at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
            return String::from_utf8(bytes).ok();
        }
        Way::Cut => {
            let end = dice.below(text.len());
            return Some(if dice.chance(80) { text.get(..end)?.into() } else { text.clone() + text.get(end..)? });
        }
        Way::Respell => {
            let escaped: String = name.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
            let spelt = text.replacen(&format!("\"{name}\":"), &format!("\"{escaped}\" : "), 1);
            return Some(if dice.chance(50) { spelt } else { format!("{:#}", good.value) });
        }
        Way::Double if good.value.pointer(parent)?.is_object() => {
            let field = format!("\"{name}\":{old}");
            return Some(text.replacen(&field, &format!("{field},{field}"), 1));
        }
        Way::Letter => *changed.pointer_mut(place)? = letter(old.as_str()?, dice)?.into(),
        Way::Digit => *changed.pointer_mut(place)? = digit(old.as_str()?, dice)?.into(),
        Way::Recode => *changed.pointer_mut(place)? = recode(old.as_str()?, dice)?.into(),
        Way::Retype => *changed.pointer_mut(place)? = retyped(old, dice),
        Way::Other => {
            let other = others[dice.below(others.len())].value.pointer(place)?;
            *changed.pointer_mut(place)? = other.clone();
        }
        Way::Swap => {
            let alike: Vec<&String> = good.places.iter().filter(|other| other.rsplit('/').next() == place.rsplit('/').next()).collect();
            let other = alike[dice.below(alike.len())];
            *changed.pointer_mut(place)? = good.value.pointer(other)?.clone();
            *changed.pointer_mut(other)? = old.clone();
        }
        Way::Drop | Way::Double | Way::Neighbour => match changed.pointer_mut(parent)? {
            Value::Object(fields) if way == Way::Drop => drop(fields.remove(name)),
            Value::Array(list) => {
                let at: usize = name.parse().ok()?;
                match way {
                    Way::Drop => drop(list.remove(at)),
                    Way::Double => list.insert(dice.below(list.len()), old.clone()),
                    _ => list.swap(at, (at + 1) % good.value.pointer(parent)?.as_array()?.len()),
                }
            }
            _ => return None,
        },
    }
    Some(changed.to_string())
}

fn letter(text: &str, dice: &mut Dice) -> Option<String> {
    let mut letters: Vec<char> = text.chars().collect();
    let at = dice.below(letters.len().max(1));
    match dice.below(3) {
        0 => *letters.get_mut(at)? = ['A', 'B', '"', ' ', '\n', '=', '\u{e9}', '\u{0}'][dice.below(8)],
        1 => letters.insert(at, ['A', '0', '-', '+', '\t', '.'][dice.below(6)]),
        _ if letters.is_empty() => return None,
        _ => drop(letters.remove(at)),
    }
    Some(letters.into_iter().collect())
}

fn digit(text: &str, dice: &mut Dice) -> Option<String> {
    let places: Vec<usize> = text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()).map(|(at, _)| at).collect();
    let at = *places.get(dice.below(places.len().max(1)))?;
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = b'0' + (bytes[at] - b'0' + 1 + dice.below(9) as u8) % 10;
    String::from_utf8(bytes).ok()
}

fn recode(text: &str, dice: &mut Dice) -> Option<String> {
    let other = match dice.below(7) {
        0 => format!("{text}="),
        1 => text.trim_end_matches('=').to_owned(),
        2 => text.replace('-', "+").replace('_', "/"),
        3 => text.replace('+', "-").replace('/', "_"),
        4 => format!("0{text}"),
        5 => text.replacen(',', ", ", 1),
        _ => format!("{text}\n"),
    };
    (other != text).then_some(other)
}

fn retyped(old: &Value, dice: &mut Dice) -> Value {
    match dice.below(6) {
        0 => Value::Null,
        1 => Value::String(String::new()),
        2 => Value::Array(vec![old.clone()]),
        3 => Value::Object(serde_json::Map::new()),
        4 => old.as_str().and_then(|text| text.parse::<u64>().ok()).map_or(Value::Bool(true), Value::from),
        _ => Value::Array(Vec::new()),
    }
}

/// A bundle that was changed, and what ours says of it without and with what is kept.
struct Changed {
    way: Way,
    text: String,
    of: usize,
    verdicts: [&'static str; 2],
}

fn verdict(text: &str, trust: &Trust, kept: Option<&Kept>) -> &'static str {
    check(text, trust, kept).map_or_else(|refused| refused.reason.word(), |_| "holds")
}

/// So many changed bundles, all of them refused by ours; and some that are only written otherwise, which it accepts.
fn changed(goods: &[Good], trust: &Trust, count: usize) -> (Vec<Changed>, Vec<Changed>) {
    let (mut refused, mut same, mut dice) = (Vec::new(), Vec::new(), Dice::new(7));
    while refused.len() < count {
        let (of, way) = (dice.below(goods.len()), dice.weighted(WAYS));
        let good = &goods[of];
        let Some(text) = mutate(good, goods, &mut dice, way) else { continue };
        let meaning = Meaning::of(&text, trust);
        let one = Changed { way, verdicts: [verdict(&text, trust, None), verdict(&text, trust, Some(&good.kept))], text, of };
        if meaning.as_ref() == Some(&good.meaning) {
            assert_eq!(one.verdicts, ["holds"; 2], "{way:?}: {}", one.text);
            same.push(one);
            continue;
        }
        // Which lots there are is known to who was told of them alone.
        let fewer = meaning.is_some_and(|meaning| meaning.is_part_of(&good.meaning));
        let accepted = one.verdicts[1] == "holds" || (one.verdicts[0] == "holds" && !fewer);
        assert!(!accepted, "{way:?}, {:?}: {}", one.verdicts, one.text);
        refused.push(one);
    }
    (refused, same)
}

/// What the second verifier says of them: of every other one with what is kept.
fn theirs(all: &[&Changed], goods: &[Good], trust: &Trust) -> Vec<String> {
    let keys: Vec<String> = trust.keys.iter().map(Verifier::text).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let mut said = vec![String::new(); all.len()];
    for (of, good) in goods.iter().enumerate() {
        let (path, mut memory) = (folder.path().join(of.to_string()), Memory::default());
        memory.keep(&good.kept, Vec::new());
        memory.write(&path).expect("written");
        for kept in [None, Some(path.as_path())] {
            let some: Vec<usize> = (0..all.len()).filter(|at| all[*at].of == of && (at % 2 == 1) == kept.is_some()).collect();
            let texts: Vec<String> = some.iter().map(|at| all[*at].text.clone()).collect();
            let asked = Asked { keys: &keys, kept, ..Asked::default() };
            some.into_iter().zip(verdicts(&asked, &texts)).for_each(|(at, word)| said[at] = word);
        }
    }
    said
}

#[test]
fn whatever_is_changed_both_verifiers_refuse_alike() {
    let scene = Scene::play(sqlite());
    let (trust, lots) = (scene.trust(), &scene.lots);
    let asked = [(&lots[2..5], None), (&lots[1..3], Some(scene.signed[2])), (&lots[3..5], None), (&lots[2..4], Some(scene.signed[1]))];
    let good = |(lots, since): (&[_], Option<u64>)| {
        let text = serde_json::to_string(&scene.bundle_of(lots, since)).expect("written");
        let (value, mut all) = (serde_json::from_str(&text).expect("JSON"), Vec::new());
        places(&value, String::new(), &mut all);
        let kept = check(&text, &trust, None).expect("holds").keep();
        Good { value, meaning: Meaning::of(&text, &trust).expect("a bundle"), kept, places: all }
    };
    let goods = asked.map(good);
    let tries = std::env::var("ALMONER_MUTATIONS").ok().and_then(|number| number.parse().ok()).unwrap_or(MUTATIONS);
    let (refused, same) = changed(&goods, &trust, tries);
    let all: Vec<&Changed> = refused.iter().chain(&same).collect();
    let found: Vec<String> = std::thread::scope(|scope| {
        let share = all.len().div_ceil(2 * RUNS) * 2;
        let runs: Vec<_> = all.chunks(share).map(|some| scope.spawn(|| theirs(some, &goods, &trust))).collect();
        runs.into_iter().flat_map(|run| run.join().expect("verdicts")).collect()
    });
    let (mut reasons, mut ways) = (BTreeMap::new(), BTreeMap::new());
    let mut other = Vec::new();
    for (at, (one, theirs)) in all.iter().zip(&found).enumerate() {
        let ours = one.verdicts[at % 2];
        if ours != theirs {
            other.push(format!("{:?}: ours says {ours}, theirs {theirs}: {}", one.way, one.text));
        }
        *reasons.entry(ours).or_insert(0) += 1;
        *ways.entry(one.way).or_insert(0) += 1;
    }
    assert!(other.is_empty(), "{} of {}: {:#?}", other.len(), all.len(), &other[..other.len().min(5)]);
    let expected = ["duplicate usage", "fork", "gap", "holds", "inclusion", "malformed", "non-canonical", "signature"];
    assert!(
        expected.iter().all(|reason| reasons.contains_key(reason)) && ways.len() == WAYS.len() && same.len() > tries / 100,
        "{reasons:?} {ways:?} {}",
        same.len()
    );
}

#[test]
fn cut_bundles_and_noise_are_refused() {
    let scene = Scene::play(sqlite());
    let (trust, text) = (scene.trust(), serde_json::to_string(&scene.bundle(scene.donors[0], None)).expect("JSON"));
    assert!(check(&text, &trust, None).is_ok());
    for end in (0..text.len()).step_by(997) {
        assert!(check(&text[..end], &trust, None).is_err());
    }
    let deep = "[".repeat(100_000);
    for noise in ["", "null", "[]", "{}", "\"\"", "0", "{\"format\":\"almoner-statement/1\"}", &deep] {
        assert!(check(noise, &trust, None).is_err(), "{noise:.80}");
    }
}

#[test]
fn the_second_verifier_is_short_enough_to_read() {
    let text = std::fs::read_to_string(script()).expect("a script");
    assert!(text.lines().count() <= 250, "{} lines", text.lines().count());
    let imports: Vec<&str> = text.lines().filter(|line| line.starts_with("import ") || line.starts_with("from ")).collect();
    assert_eq!(imports, ["import argparse, base64, bisect, contextlib, functools, hashlib, json, re, sys"]);
}
