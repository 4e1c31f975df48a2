//! Who funded a project's compute: to the credit, and in forms that other people's parsers accept, whatever the donors are called.

use std::path::PathBuf;
use std::process::Command;

use almoner::reports::disclosure::{Disclosure, disclose, markup, publish, records, words};
use serde_json::Value;

use crate::support::database::databases;
use crate::support::skipped;
use crate::world::{Giver, World, named};

fn disclosed(world: &World, from: Option<&str>, to: Option<&str>) -> Disclosure {
    let at = |text: Option<&str>| text.map(crate::support::books::time);
    world.look(|conn, now| disclose(conn, world.project, at(from), at(to), now))
}

fn shares(disclosure: &Disclosure) -> Vec<(String, i64, i64)> {
    let donors = disclosure.units.iter().flat_map(|unit| &unit.donors);
    donors.map(|part| (part.donor.about.name.clone(), part.amount.minor, part.share)).collect()
}

#[test]
fn refunds_covers_and_overdraft_are_where_they_belong() {
    for database in databases() {
        let world = World::begin(database, "2026-01-01T00:00:00Z");
        let a = world.lot(&named("Donor A"), 30, Some("2026-05-01T00:00:00Z"));
        let grant = world.grant(30, "2026-01-01T00:00:00Z", "2026-07-01T00:00:00Z", Some(a));
        world.set("2026-02-02T00:00:00Z");
        let first = world.job(grant, "first", 20, "2026-01-10T00:00:00Z");
        world.job(grant, "second", 25, "2026-02-01T00:00:00Z");
        let before = disclosed(&world, None, None);
        let unit = &before.units[0];
        assert_eq!((unit.used.minor, unit.uncovered.map(|(amount, share)| (amount.minor, share))), (45, Some((15, 3333))));
        assert_eq!(shares(&before), [("Donor A".into(), 30, 6667)]);
        // Five come back and pay for the overdraft at once: a cover, which counts with the second job.
        world.set("2026-03-01T00:00:00Z");
        world.refund(&first, 5);
        let after = disclosed(&world, None, None);
        assert_eq!((after.units[0].used.minor, after.units[0].uncovered.map(|(amount, _)| amount.minor)), (40, Some(10)));
        let january = disclosed(&world, None, Some("2026-02-01T00:00:00Z"));
        assert_eq!((shares(&january), january.units[0].uncovered), (vec![("Donor A".into(), 15, 10_000)], None));
        let february = disclosed(&world, Some("2026-02-01T00:00:00Z"), None);
        assert_eq!((february.units[0].used.minor, shares(&february)), (25, vec![("Donor A".into(), 15, 6000)]));
        assert!(disclosed(&world, Some("2026-02-02T00:00:00Z"), None).units.is_empty());
        assert_eq!(
            words::short(&after),
            "The compute used for this work was donated by Donor A (75.00 %); 25.00 % of it was not covered by any donation.\n"
        );
    }
}

#[test]
fn thirds_add_up_and_each_credit_is_followed_to_its_donation() {
    for database in databases() {
        let world = World::begin(database, "2026-01-01T00:00:00Z");
        for name in ["Donor A", "Donor B", "Donor C"] {
            world.lot(&Giver { name, ror: Some("02mhbdp94"), award: Some(&format!("AWARD-{name}")) }, 7, None);
        }
        let grant = world.grant(21, "2026-01-01T00:00:00Z", "2026-07-01T00:00:00Z", None);
        world.set("2026-02-02T00:00:00Z");
        world.job(grant, "all of it", 21, "2026-02-01T00:00:00Z");
        let found = disclosed(&world, None, None);
        assert_eq!(shares(&found).iter().map(|(_, _, share)| *share).collect::<Vec<_>>(), [3334, 3333, 3333]);
        assert!(found.units[0].donors.iter().all(|part| part.donations.len() == 1 && part.donations[0].lots.len() == 1));
        let project = world.project;
        for public in [true, true, false] {
            world.write(move |work, pair| publish(work, pair.first, project, public));
            assert_eq!(world.look(|conn, _| almoner::reports::disclosure::is_public(conn, project)), public);
        }
    }
}

/// Names that have broken out of markup elsewhere.
const HOSTILE: [&str; 6] = [
    "A & B <b>\"Labs\"</b> 'Ltd'",
    "]]> <!-- --> <?pi?> &amp; &#x0;",
    "{ } } @misc{x, \\input{y} $a_b^c~d# 100% \"q\"",
    "\"}, \"@type\": \"Person\", \"x\": \"",
    "Müller–日本語 😀 \u{202e}gpj",
    "and, and, others",
];

/// The Python that has the parsers, from where `tests/run` puts it.
fn python() -> Option<PathBuf> {
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/venv/bin/python");
    if !own.is_file() {
        skipped("disclosures with lxml and pybtex", "they are not installed; tests/run installs them");
        return None;
    }
    Some(own)
}

const PARSE: &str = r#"
import json, sys
from lxml import etree
from pybtex.database import parse_string
from pylatexenc.latex2text import LatexNodes2Text
told = json.load(sys.stdin)
jats = etree.fromstring(told["jats"])
names = [e.text for e in jats.iterfind("award-group/funding-source/institution-wrap/institution")]
rors = [e.text for e in jats.iterfind("award-group/funding-source/institution-wrap/institution-id[@institution-id-type='ror']")]
order = ["funding-source", "award-id", "award-name", "award-desc"]
for group in jats.iterfind("award-group"):
    tags = [e.tag for e in group]
    assert tags == sorted(tags, key=order.index), tags
assert [e.tag for e in jats][-1] == "funding-statement"
fr = {"fr": "http://www.crossref.org/fundref.xsd"}
crossref = etree.fromstring(told["crossref"])
assert crossref.tag == "{http://www.crossref.org/fundref.xsd}program" and crossref.get("name") == "fundref"
groups = crossref.findall("fr:assertion[@name='fundgroup']", fr)
funders = [[(a.get("name"), a.text) for a in g] for g in groups]
bib = parse_string(told["bibtex"], "bibtex")
(entry,) = bib.entries.values()
plain = LatexNodes2Text()
authors = [plain.latex_to_text(str(p)) for p in entry.persons["author"]]
print(json.dumps({"names": names, "rors": rors, "funders": funders, "authors": authors, "entries": len(bib.entries), "type": entry.type}))
"#;

fn parsed(python: &PathBuf, disclosure: &Disclosure) -> Value {
    use std::io::Write;
    let told = serde_json::json!({
        "jats": markup::jats(disclosure), "crossref": markup::crossref(disclosure), "bibtex": records::bibtex(disclosure),
    });
    let mut child = Command::new(python)
        .args(["-c", PARSE])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("python starts");
    child.stdin.take().expect("a pipe").write_all(told.to_string().as_bytes()).expect("the forms");
    let done = child.wait_with_output().expect("its end");
    assert!(done.status.success(), "{}\n{told:#}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).expect("JSON")
}

#[test]
fn hostile_names_stay_names_in_every_form() {
    let database = crate::support::database::sqlite();
    let world = World::begin(database, "2026-01-01T00:00:00Z");
    for (place, name) in HOSTILE.into_iter().enumerate() {
        let ror = (place % 2 == 0).then_some("https://ror.org/02mhbdp94");
        world.lot(&Giver { name, ror, award: Some(&format!("A&<{place}>\"")) }, 10, None);
    }
    let grant = world.grant(60, "2026-01-01T00:00:00Z", "2026-07-01T00:00:00Z", None);
    world.set("2026-02-02T00:00:00Z");
    world.job(grant, "all of it", 60, "2026-02-01T00:00:00Z");
    let found = disclosed(&world, None, None);
    let datacite = records::datacite(&found);
    for (place, name) in HOSTILE.into_iter().enumerate() {
        let reference = &datacite["fundingReferences"][place];
        assert_eq!((&reference["funderName"], reference["funderIdentifierType"] == "ROR"), (&Value::from(name), place % 2 == 0));
        assert_eq!(records::schema_org(&found)["funding"][place]["funder"]["name"], name);
    }
    assert_eq!(records::schema_org(&found)["funding"][0]["@type"], "Grant", "CREDIT is no currency");
    assert!(words::long(&found).contains("[ ] The donors"), "offered, not ticked");
    assert!(!words::short(&found).contains("no role") && !markup::jats(&found).contains("no role"), "never asserted");
    let Some(python) = python() else { return };
    let parsed = parsed(&python, &found);
    assert_eq!(parsed["names"], serde_json::json!(HOSTILE));
    assert_eq!((parsed["rors"].as_array().map(Vec::len), &parsed["entries"], &parsed["type"]), (Some(3), &1.into(), &"misc".into()));
    assert_eq!(parsed["authors"].as_array().map(Vec::len), Some(HOSTILE.len()), "{parsed:#}");
    assert_eq!(parsed["funders"][0], serde_json::json!([["ror", "https://ror.org/02mhbdp94"], ["award_number", "A&<0>\""]]));
    assert_eq!(parsed["funders"][1][0], serde_json::json!(["funder_name", HOSTILE[1]]));
}
