//! The rules, one function each: what breaks it, as `path:line: why`. Nothing broken, nothing returned.

use std::collections::BTreeMap;

use crate::source::{House, Kind, Source, Token};

/// The rooms in their order of import: each may use those before it.
const ORDER: &[&str] = &[
    "refusal",
    "amount",
    "time",
    "id",
    "actor",
    "json",
    "fields",
    "store",
    "tlog",
    "ledger",
    "directory",
    "donations",
    "grants",
    "usage",
    "attest",
    "reports",
    "events",
    "demo",
    "metrics",
    "http",
    "server",
    "cli",
    "main",
];

/// Macros that are exported at the crate's root: no rooms.
const ROOT_MACROS: &[&str] = &["on", "bulk", "looked_up", "paged", "narrowed", "roles", "routes"];

/// Files that may use floats, each with its reason: never one that an amount passes through.
const FLOAT_PERMITS: &[(&str, &str)] = &[
    ("src/fields.rs", "a test sends the JSON number that must be refused"),
    ("src/http/token/tests.rs", "a test sends times that are no whole numbers, to be refused"),
    ("src/json.rs", "hands a JSON number on, to be refused by name; every amount is a string"),
    ("src/metrics.rs", "Prometheus speaks floats; it counts requests and seconds, never credits"),
    ("src/usage/record.rs", "a test sends the JSON number that must be refused"),
];

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

/// Words that mark unfinished work; in pieces, as this file is read too.
const UNFINISHED: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

fn broken(file: &Source, line: usize, why: impl std::fmt::Display) -> String {
    format!("{}:{line}: {why}", file.path)
}

/// `src/grants/store.rs` stands in the room `grants`, `src/time.rs` in `time`; `src/lib.rs` only lists the rooms.
fn room(path: &str) -> Option<&str> {
    let name = path.strip_prefix("src/")?.split('/').next()?.trim_end_matches(".rs");
    match name {
        "lib" => None,
        "bin" => Some("main"),
        _ => Some(name),
    }
}

/// How deep below the crate's root the file's own module is.
fn depth(path: &str) -> usize {
    let parts = path.split('/').count() - 1;
    let is_root = matches!(path, "src/lib.rs" | "src/main.rs");
    if is_root || path.ends_with("/mod.rs") { parts - 1 } else { parts }
}

/// A room imports only rooms above it in `ORDER`.
pub fn rooms_import_upwards_only(house: &House) -> Vec<String> {
    let mut found = Vec::new();
    for file in house.program() {
        let Some(own) = room(&file.path) else { continue };
        let Some(place) = ORDER.iter().position(|r| *r == own) else {
            found.push(broken(file, 1, format_args!("the room {own} has no place in the order of import")));
            continue;
        };
        for (line, other) in imports(file) {
            match ORDER.iter().position(|r| *r == other) {
                Some(its) if its > place => found.push(broken(file, line, format_args!("{own} stands above {other} and may not use it"))),
                None if !ROOT_MACROS.contains(&other) => found.push(broken(file, line, format_args!("`{other}` is not a room"))),
                _ => {}
            }
        }
    }
    found
}

/// The rooms a file names, by `crate::`, by the library's name in the program, or by `super::` up to the root.
fn imports(file: &Source) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (at, token) in file.tokens.iter().enumerate() {
        let from_outside = token.text == "almoner" && room(&file.path) == Some("main");
        if (token.text == "crate" || from_outside) && file.reads(at + 1, &[":", ":"]) {
            targets(file, at + 3, &mut found);
        }
        let chained = at >= 3 && file.reads(at - 3, &["super", ":", ":"]);
        if token.text == "super" && !chained {
            let mut ups = 0;
            while file.reads(at + 3 * ups, &["super", ":", ":"]) {
                ups += 1;
            }
            if ups > 0 && ups == depth(&file.path) + token.modules.len() {
                targets(file, at + 3 * ups, &mut found);
            }
        }
    }
    found
}

/// What stands after `crate::`: one name, or the first names within braces.
fn targets<'a>(file: &'a Source, at: usize, found: &mut Vec<(usize, &'a str)>) {
    let mut named = |t: &'a Token| found.push((t.line, t.text.as_str()));
    match file.tokens.get(at) {
        Some(t) if t.text == "{" => {
            let mut level = 0;
            for pair in file.tokens[at..file.closing(at)].windows(2) {
                match pair[0].kind {
                    Kind::Open => level += 1,
                    Kind::Close => level -= 1,
                    _ => {}
                }
                if level == 1 && matches!(pair[0].text.as_str(), "{" | ",") && pair[1].text != "self" {
                    named(&pair[1]);
                }
            }
        }
        Some(t) => named(t),
        None => {}
    }
}

/// Whether SQL belongs in this file.
fn is_store(path: &str) -> bool {
    path.starts_with("src/store/") || path == "src/store.rs" || path.ends_with("/store.rs") || path.contains("/store/")
}

/// SQL and its library are found in `store/` and in each room's `store.rs`, nowhere else.
pub fn sql_stays_in_the_stores(house: &House) -> Vec<String> {
    let verbs = ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "CREATE TABLE ", "WITH RECURSIVE "];
    let mut found = Vec::new();
    for file in house.program().filter(|f| !is_store(&f.path)) {
        for (at, token) in file.tokens.iter().enumerate().filter(|(_, t)| !t.test) {
            let library = token.kind == Kind::Ident && (token.text.starts_with("diesel") || token.text == "sql_query");
            let macro_used = file.reads(at, &["on", "!"]);
            let call = file.reads(at, &[".", "execute", "("]) || file.reads(at, &[".", "get_result", "("]);
            let words = token.text.trim_start_matches(['r', '#', '"', '\\', 'n', ' ']);
            let text = token.kind == Kind::Literal && verbs.iter().any(|v| words.starts_with(v));
            if library || macro_used || call || text {
                found.push(broken(file, token.line, format_args!("SQL belongs in a store: {}", token.text)));
            }
        }
    }
    found
}

/// No float, and nothing that makes one, outside the permitted files; no permit that is not needed.
pub fn floats_stay_away(house: &House) -> Vec<String> {
    floats_outside(house, FLOAT_PERMITS)
}

/// As above, with the permits given.
pub fn floats_outside(house: &House, permits: &[(&str, &str)]) -> Vec<String> {
    let mut used: BTreeMap<&str, usize> = permits.iter().map(|(path, _)| (*path, 0)).collect();
    let mut found = Vec::new();
    for file in house.program() {
        for at in (0..file.tokens.len()).filter(|at| is_float(file, *at)) {
            match used.get_mut(file.path.as_str()) {
                Some(count) => *count += 1,
                None => found.push(broken(file, file.tokens[at].line, format_args!("a float: {}", file.tokens[at].text))),
            }
        }
    }
    found.extend(used.iter().filter(|(_, n)| **n == 0).map(|(path, _)| format!("{path}: needs no permit for floats")));
    found
}

fn is_float(file: &Source, at: usize) -> bool {
    let token = &file.tokens[at];
    let text = token.text.as_str();
    match token.kind {
        Kind::Ident => ["f32", "f64"].iter().any(|f| text == *f || text.ends_with(&format!("_{f}"))),
        Kind::Literal => {
            // `pair.0.1` reads as the literal `0.1` behind a full stop.
            let field = at >= 2 && file.tokens[at - 1].text == "." && file.tokens[at - 2].text != ".";
            let rest = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
            rest.len() < text.len() && rest.starts_with(['.', 'e', 'E', 'f']) && !field
        }
        _ => false,
    }
}

/// No file and no function is longer than fits the eye.
pub fn files_and_functions_are_short(house: &House) -> Vec<String> {
    let mut found = Vec::new();
    for file in &house.files {
        let lines = file.text.lines().count();
        if lines > FILE_LINES {
            found.push(broken(file, lines, format_args!("{lines} lines, more than {FILE_LINES}")));
        }
        for at in 0..file.tokens.len() {
            if let Some((name, lines)) = function(file, at).filter(|(_, lines)| *lines > FUNCTION_LINES) {
                let why = format_args!("fn {name} has {lines} lines, more than {FUNCTION_LINES}");
                found.push(broken(file, file.tokens[at].line, why));
            }
        }
    }
    found
}

/// The name and length of the function that begins at this token, if one with a body does.
fn function(file: &Source, at: usize) -> Option<(&str, usize)> {
    let name = file.tokens.get(at + 1).filter(|n| file.tokens[at].text == "fn" && n.kind == Kind::Ident)?;
    let mut next = at + 2;
    loop {
        let token = file.tokens.get(next)?;
        match token.text.as_str() {
            "{" => return Some((&name.text, file.tokens[file.closing(next)].line + 1 - file.tokens[at].line)),
            ";" => return None,
            _ if token.kind == Kind::Open => next = file.closing(next) + 1,
            _ if token.kind == Kind::Close => return None,
            _ => next += 1,
        }
    }
}

/// Every file under `src` is reached by `mod` from the library's or the program's root.
pub fn no_file_is_dead(house: &House) -> Vec<String> {
    let mut reached: Vec<String> = Vec::new();
    let is_root = |path: &str| matches!(path, "src/lib.rs" | "src/main.rs") || path.starts_with("src/bin/");
    let mut waiting: Vec<&Source> = house.program().filter(|f| is_root(&f.path)).collect();
    let mut found = Vec::new();
    while let Some(file) = waiting.pop() {
        reached.push(file.path.clone());
        for (line, stem) in declared(file) {
            let paths = [format!("{stem}.rs"), format!("{stem}/mod.rs")];
            match house.files.iter().find(|f| paths.contains(&f.path)) {
                Some(next) if !reached.contains(&next.path) => waiting.push(next),
                Some(_) => {}
                None => found.push(broken(file, line, format_args!("there is no file for the module {stem}"))),
            }
        }
    }
    found.extend(house.program().filter(|f| !reached.contains(&f.path)).map(|f| broken(f, 1, "no module declares this file")));
    found
}

/// Where the modules declared in a file lie, without the ending.
fn declared(file: &Source) -> Vec<(usize, String)> {
    let own = file.path.trim_end_matches(".rs");
    let root = matches!(own, "src/lib" | "src/main") || own.starts_with("src/bin/");
    let folder = match own.rsplit_once('/') {
        Some((folder, "mod")) => folder,
        Some((folder, _)) if root => folder,
        _ => own,
    };
    let mut found = Vec::new();
    for (at, three) in file.tokens.windows(3).enumerate() {
        // `#[path = "…/tests/…"]`: a file that tests in the source share with those beside it, which is none of the source.
        let shared = at >= 4 && file.reads(at - 4, &["path", "="]) && file.tokens[at - 2].text.contains("/tests/");
        if !shared && three[0].text == "mod" && three[1].kind == Kind::Ident && three[2].text == ";" {
            let parts = [folder].into_iter().chain(three[0].modules.iter().map(String::as_str)).chain([three[1].text.as_str()]);
            found.push((three[0].line, parts.collect::<Vec<_>>().join("/")));
        }
    }
    found
}

/// Every file opens by saying what it is.
pub fn modules_say_what_they_are(house: &House) -> Vec<String> {
    let silent = house.files.iter().filter(|f| !f.text.starts_with("//! "));
    silent.map(|f| broken(f, 1, "opens without `//!` and what it is")).collect()
}

/// No mark of unfinished work, in code or in comments.
pub fn nothing_is_left_unfinished(house: &House) -> Vec<String> {
    let mut found = Vec::new();
    for file in &house.files {
        for (number, line) in file.text.lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_alphanumeric());
            if let Some(word) = words.find(|w| UNFINISHED.contains(w)) {
                found.push(broken(file, number + 1, format_args!("unfinished: {word}")));
            }
        }
    }
    found
}

/// Outside tests nothing under `src` panics on purpose.
pub fn the_program_never_panics_by_design(house: &House) -> Vec<String> {
    let methods = ["unwrap", "expect", "unwrap_err", "expect_err", "unwrap_unchecked"];
    let macros = ["panic", "todo", "unimplemented", "unreachable", "dbg"];
    let mut found = Vec::new();
    for file in house.program() {
        let of_tests = file.path.ends_with("/tests.rs") || file.path.contains("/tests/");
        for (at, token) in file.tokens.iter().enumerate().filter(|(_, t)| !t.test && !of_tests) {
            let method = methods.iter().any(|m| file.reads(at, &[".", m, "("]) || file.reads(at, &[":", ":", m]));
            let called = macros.iter().any(|m| file.reads(at, &[m, "!"]));
            if method || called {
                let what = &file.tokens[if called { at } else { at + 1 }].text;
                found.push(broken(file, token.line, format_args!("may panic: {what}")));
            }
        }
    }
    found
}
