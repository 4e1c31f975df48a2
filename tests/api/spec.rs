//! The description of the API: what is checked in is what the routes say, it is sound in itself, and the running server keeps to it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use almoner::actor::{Actor, Role};
use almoner::http::api::routes::routes;
use almoner::http::openapi::document;
use almoner::id::Id;
use serde_json::Value;

use crate::support::database::databases;
use crate::support::tool;
use crate::town::{Side, Town, actor};

const FILE: &str = "api-spec/openapi.json";

fn described() -> Value {
    document(&routes())
}

#[test]
fn the_description_is_checked_in() {
    let text = serde_json::to_string_pretty(&described()).expect("JSON") + "\n";
    crate::golden(FILE, &text);
}

/// Every member of that name anywhere in the document.
fn members<'v>(value: &'v Value, name: &str, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get(name));
            map.values().for_each(|inner| members(inner, name, found));
        }
        Value::Array(list) => list.iter().for_each(|inner| members(inner, name, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_its_own_name() {
    let description = described();
    let (mut references, mut operations) = (Vec::new(), Vec::new());
    members(&description, "$ref", &mut references);
    members(&description, "operationId", &mut operations);
    let mut used = BTreeSet::new();
    for reference in references {
        let pointer = reference.as_str().and_then(|text| text.strip_prefix('#')).expect("a reference into the document");
        assert!(description.pointer(pointer).is_some(), "{pointer} leads nowhere");
        used.insert(pointer.to_owned());
    }
    let names: BTreeSet<&str> = operations.iter().filter_map(|name| name.as_str()).collect();
    assert_eq!((names.len(), operations.len()), (routes().len(), routes().len()), "operations share a name");
    let schemas = description["components"]["schemas"].as_object().expect("schemas");
    let idle: Vec<&String> = schemas.keys().filter(|name| !used.contains(&format!("/components/schemas/{name}"))).collect();
    assert!(idle.is_empty(), "schemas that nothing uses: {idle:?}");
}

#[test]
fn what_has_no_version_is_described_together() {
    let description = described();
    for (path, operations) in description["paths"].as_object().expect("paths") {
        let tag = path.strip_prefix("/v1/").map_or("service", |rest| rest.split('/').next().unwrap_or_default());
        for operation in operations.as_object().expect("operations").values() {
            assert_eq!(operation["tags"], serde_json::json!([tag]), "{path}");
        }
    }
}

#[test]
fn a_name_of_a_schema_means_one_type() {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for shape in routes().iter().flat_map(|route| [route.body, route.answer]).flatten() {
        let mut all = vec![((shape.name)().into_owned(), (shape.schema)())];
        (shape.others)(&mut all);
        for (name, schema) in all {
            let text = serde_json::to_string(&schema).expect("JSON");
            let first = known.entry(name.clone()).or_insert_with(|| text.clone());
            assert_eq!(*first, text, "two types are called {name}");
        }
    }
}

#[test]
fn the_server_shows_its_description() {
    let town = Town::found(crate::support::database::sqlite());
    assert_eq!(town.server.get("/openapi.json", None, &[]).expect(200).json, described());
    let page = town.server.get("/docs/", None, &[]).expect(200);
    assert!(page.header("content-type").starts_with("text/html"), "{}", page.header("content-type"));
    assert!(!page.text.contains("https://"), "the page fetches nothing from elsewhere");
    assert_eq!(town.server.get("/docs", None, &[]).status, 308);
}

/// schemathesis, from the path or from where `tests/run` puts it.
fn schemathesis() -> Option<PathBuf> {
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/venv/bin/schemathesis");
    if own.is_file() { Some(own) } else { tool("schemathesis") }
}

/// Somebody with every role, and both sides' objects.
fn everybody(own: &Side) -> Actor {
    Actor {
        donor: Id::parse(&own.donor).ok(),
        projects: vec![Id::parse(&own.project).expect("a project")],
        provider: Id::parse(&own.centre).ok(),
        ..actor("everybody", &Role::ALL)
    }
}

/// The description narrowed to identifiers of real objects and the units there are, so that the tool gets past 404 and 422.
fn narrowed(own: &Side) -> Value {
    let mut description = described();
    let real = [
        ("dnr", &own.donor),
        ("dnt", &own.donation),
        ("lot", &own.lot),
        ("ins", &own.centre),
        ("prj", &own.project),
        ("res", &own.resource),
        ("rate", &own.rate),
        ("grt", &own.grant),
        ("dec", &own.decision),
        ("hld", &own.hold),
        ("rfd", &own.refund),
        ("usg", &own.usage),
        ("chg", &own.charge),
        ("whk", &own.webhook),
        ("evt", &own.event),
        ("amd", &own.amendment),
        ("pol", &own.policy),
        ("prs", &own.person),
        ("bnd", &own.binding),
        ("stm", &own.statement),
        ("era", &own.erasure),
    ];
    narrow(&mut description, &real);
    description
}

fn narrow(value: &mut Value, real: &[(&str, &String)]) {
    match value {
        Value::Object(map) => {
            let pattern = map.get("pattern").and_then(Value::as_str).unwrap_or_default().to_owned();
            let id = real.iter().find(|(prefix, _)| pattern.starts_with(&format!("^{prefix}_")));
            let unit = pattern.starts_with("^[A-Z][A-Z0-9'").then_some("USD");
            if let Some(only) = id.map(|(_, id)| id.as_str()).or(unit) {
                let absent = map.get("type").is_some_and(Value::is_array).then_some(Value::Null);
                map.insert("enum".into(), std::iter::once(only.into()).chain(absent).collect());
            }
            map.values_mut().for_each(|inner| narrow(inner, real));
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| narrow(inner, real)),
        _ => {}
    }
}

/// Sends what schemathesis makes of a description; how many operations it tried, and what it generated, in its words.
fn try_all(program: &PathBuf, town: &Town, token: &str, which: [&str; 2]) -> (usize, String) {
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    let run = Command::new(program)
        .args(["run", "openapi.json", "--url", &town.server.address, "--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", checks, "--phases", "examples,coverage,fuzzing", "--max-examples", "15", "--seed", "7"])
        // One worker: two that read Python's own source at once trip over a fault of CPython 3.11.
        .args(["--workers", "1", "--no-color", "--continue-on-failure", "--suppress-health-check", "all"])
        .args(which)
        .current_dir(town.folder())
        .output()
        .expect("schemathesis runs");
    let told = String::from_utf8_lossy(&run.stdout);
    let kind = town.database.kind;
    assert!(run.status.success(), "on {kind}:\n{told}\n{}", String::from_utf8_lossy(&run.stderr));
    let line = |word: &str| told.lines().find(|line| line.contains(word)).unwrap_or_default().trim().to_owned();
    let tried = line("Tested: ").rsplit(' ').next().and_then(|count| count.parse().ok());
    (tried.unwrap_or_else(|| panic!("on {kind}, it is not told what was tried:\n{told}")), line(" generated, "))
}

/// What signs the asker out; it is tried last.
const LAST: &str = "/v1/tokens/revocation";

#[test]
fn the_server_keeps_to_its_description() {
    let Some(program) = schemathesis() else { return };
    for database in databases() {
        let (town, own, _) = Town::settled(database);
        let token = town.token(&everybody(&own));
        std::fs::write(town.folder().join("openapi.json"), narrowed(&own).to_string()).expect("a file");
        let (tried, told) = try_all(&program, &town, &token, ["--exclude-path", LAST]);
        println!("on {}: {told}", town.database.kind);
        town.server.get("/v1/me", Some(&token), &[]).expect(200);
        let (last, _) = try_all(&program, &town, &token, ["--include-path", LAST]);
        assert_eq!((tried, last), (routes().len() - 1, 1), "not every operation was tried");
        let audit = town.get(&town.staff.auditor, "/v1/audit").expect(200).json;
        assert_eq!(audit["holds"], true, "{audit}");
    }
}
