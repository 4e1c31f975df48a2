//! Each rule, broken on purpose: a rule that cannot fail keeps nothing. Beside each violation stands its lawful neighbour.

use crate::Rule;
use crate::rules;
use crate::source::House;

/// The rule finds exactly so many violations in this one file.
fn finds(rule: Rule, path: &str, text: &str, wanted: usize) {
    let found = rule(&House::of(&[(path, text)]));
    assert_eq!(found.len(), wanted, "{path}: {text}\nfound {found:?}");
}

#[test]
fn imports_that_point_down_are_found() {
    let rule = rules::rooms_import_upwards_only;
    let ledger = |text: &str, wanted| finds(rule, "src/ledger/mod.rs", text, wanted);
    ledger("use crate::grants::Grant;", 1);
    ledger("use crate::{amount::Amount, grants::{self, Grant}, store, http};", 2);
    ledger("fn f() { crate::usage::charge() }", 1);
    ledger("fn f() { log!(crate::usage::charge()) }", 1);
    ledger("use super::reports;", 1);
    ledger("mod tests { use super::super::reports; use super::post; }", 1);
    ledger("use crate::*;", 1);
    ledger("use crate::cellar::Wine;", 1);
    ledger("use crate::{amount::Amount, store::Work}; pub(crate) fn f() {} // crate::http", 0);
    finds(rule, "src/ledger/posting.rs", "use super::super::cli;", 1);
    finds(rule, "src/ledger/posting.rs", "use super::cli;", 0);
    finds(rule, "src/cellar.rs", "", 1);
    finds(rule, "src/main.rs", "use almoner::cellar;", 1);
    finds(rule, "src/main.rs", "use almoner::cli;", 0);
    finds(rule, "src/amount.rs", "use crate::time::Time;", 1);
}

#[test]
fn sql_outside_the_stores_is_found() {
    let rule = rules::sql_stays_in_the_stores;
    let verb = |text: &str, wanted| finds(rule, "src/grants/mod.rs", text, wanted);
    verb("use diesel::prelude::*;", 1);
    verb("use diesel_migrations::embed_migrations;", 1);
    verb("fn f() { q.execute(conn) }", 1);
    verb("const Q: &str = \"SELECT 1\";", 1);
    verb("const Q: &str = r#\"INSERT INTO grants\"#;", 1);
    verb("fn f() { on!(conn, c => rows(c)) }", 1);
    verb("/// SELECT 1 by diesel\nfn f() { let update = \"Updated.\"; }", 0);
    verb("#[cfg(test)] mod tests { use diesel::prelude::*; }", 0);
    finds(rule, "src/grants/store.rs", "use diesel::prelude::*;", 0);
    finds(rule, "src/store/conn.rs", "use diesel::prelude::*;", 0);
}

#[test]
fn floats_are_found() {
    let rule: Rule = |house| rules::floats_outside(house, &[]);
    let amount = |text: &str, wanted| finds(rule, "src/amount.rs", text, wanted);
    amount("fn f(x: f64) {}", 1);
    amount("fn f() { x as f32 }", 1);
    amount("fn f() { 1.5 + 1e3 + 2f64 + 3. }", 4);
    amount("fn f() { format!(\"{}\", n.as_f64()) }", 1);
    amount("fn f() { pair.0.1 + 1usize + 0xe5 + 1.max(2) + sum(0..3) + \"1.5\" } // f64", 0);
}

#[test]
fn permits_for_floats_are_held_to() {
    let house = House::of(&[("src/cli/bar.rs", "fn f(x: f64) {}"), ("src/amount.rs", "fn f(x: i64) {}")]);
    let outside = |permits: &[(&str, &str)]| rules::floats_outside(&house, permits).len();
    assert_eq!(outside(&[("src/cli/bar.rs", "a progress bar")]), 0);
    assert_eq!(outside(&[("src/cli/bar.rs", "a progress bar"), ("src/amount.rs", "not needed")]), 1);
    assert_eq!(outside(&[]), 1);
}

#[test]
fn long_files_and_functions_are_found() {
    let rule = rules::files_and_functions_are_short;
    let of_lines = |lines: usize| format!("fn f(x: [u8; 3]) {{\n{}}}\n", "    step();\n".repeat(lines - 2));
    finds(rule, "src/amount.rs", &of_lines(71), 1);
    finds(rule, "tests/api.rs", &of_lines(71), 1);
    finds(rule, "src/amount.rs", &of_lines(70), 0);
    finds(rule, "src/amount.rs", &format!("impl X {{ {} }}", of_lines(71)), 1);
    finds(rule, "src/amount.rs", &format!("make! {{ {} }}", of_lines(71)), 1);
    finds(rule, "src/amount.rs", &format!("trait X {{ fn g(); }}\nfn h() {{ let c = \"{{\"; }}\n{}", of_lines(70)), 0);
    finds(rule, "src/amount.rs", &"//! line\n".repeat(501), 1);
    finds(rule, "src/amount.rs", &"//! line\n".repeat(500), 0);
}

#[test]
fn dead_and_missing_files_are_found() {
    let found = |files: &[(&str, &str)]| rules::no_file_is_dead(&House::of(files));
    let root = ("src/lib.rs", "pub mod amount; mod grants { pub mod terms; } mod usage;");
    let whole = [root, ("src/amount.rs", ""), ("src/grants/terms.rs", ""), ("src/usage/mod.rs", "mod rate;"), ("src/usage/rate.rs", "")];
    assert_eq!(found(&whole), Vec::<String>::new());
    let with_dead = [&whole[..], &[("src/usage/old.rs", "mod older;")]].concat();
    assert_eq!(found(&with_dead), ["src/usage/old.rs:1: no module declares this file"]);
    assert_eq!(found(&whole[..4]), ["src/usage/mod.rs:1: there is no file for the module src/usage/rate"]);
}

#[test]
fn silent_modules_are_found() {
    finds(rules::modules_say_what_they_are, "src/amount.rs", "// Amounts.\nfn f() {}", 1);
    finds(rules::modules_say_what_they_are, "src/amount.rs", "fn f() {}", 1);
    finds(rules::modules_say_what_they_are, "src/amount.rs", "//! Amounts.\nfn f() {}", 0);
}

#[test]
fn unfinished_work_is_found() {
    let rule = rules::nothing_is_left_unfinished;
    let mark = ["TO", "DO"].concat();
    finds(rule, "src/amount.rs", &format!("// {mark}: later\nfn f() {{}}"), 1);
    finds(rule, "tests/api.rs", &format!("fn f() {{ say(\"{mark}\") }}"), 1);
    finds(rule, "src/amount.rs", "// a todo list, MASTODON\nfn f() {}", 0);
}

#[test]
fn planned_panics_are_found() {
    let rule = rules::the_program_never_panics_by_design;
    let amount = |text: &str, wanted| finds(rule, "src/amount.rs", text, wanted);
    amount("fn f() { x.unwrap() }", 1);
    amount("fn f() { x.expect(\"there\") }", 1);
    amount("fn f() { xs.map(Option::unwrap) }", 1);
    amount("fn f() { panic!(\"no\") }", 1);
    amount("fn f() { vec![todo!(), x.y().unwrap()] }", 2);
    amount("#[cfg(test)] mod tests { fn f() { x.unwrap() } }\nfn g() { x.unwrap() }", 1);
    amount("#[cfg(test)] use a::b;\nfn g() { x.unwrap() }", 1);
    amount("#[test] fn f() { x.unwrap() }", 0);
    amount("/// never panic!\nfn f() { x.unwrap_or_default() } // x.unwrap()", 0);
    finds(rule, "tests/api.rs", "fn f() { x.unwrap() }", 0);
}
