//! The house test: what the design asks of the source itself, held by reading it.
//!
//! `source` turns each file into tokens, `rules` has one function per rule, `planted` breaks every rule on purpose to show that it
//! can fail. It reads text only: it may not know what the code does. `cargo test --test house` runs it alone.

mod planted;
mod rules;
mod source;

use source::House;

/// A rule by the name of its test.
type Rule = fn(&House) -> Vec<String>;

fn holds(rule: Rule) {
    let broken = rule(&House::load());
    assert!(broken.is_empty(), "\n  {}\n", broken.join("\n  "));
}

macro_rules! house {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            holds(rules::$name);
        })*
    };
}

house! {
    rooms_import_upwards_only
    sql_stays_in_the_stores
    floats_stay_away
    files_and_functions_are_short
    no_file_is_dead
    modules_say_what_they_are
    nothing_is_left_unfinished
    the_program_never_panics_by_design
}

#[test]
fn the_house_is_read_at_all() {
    let house = House::load();
    for wanted in ["src/lib.rs", "src/main.rs", "src/amount.rs", "tests/house/main.rs"] {
        assert!(house.files.iter().any(|f| f.path == wanted), "{wanted} was not read");
    }
    let tokens: usize = house.files.iter().map(|f| f.tokens.len()).sum();
    assert!(tokens > 1_000, "only {tokens} tokens were read");
}
