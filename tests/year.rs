//! The books in other people's tools: the demo's whole year, and the real log of a university cluster. beancount, hledger and ledger
//! must accept each export and agree with the API on every account's balance to the last digit.

#[path = "cli/books.rs"]
mod books;
mod support;
mod tools;

use std::collections::HashMap;
use std::path::Path;

use almoner::amount::{Amount, Unit};
use serde_json::Value;

use support::database::{TestDatabase, databases};
use support::server::Server;
use support::{Run, program, real_data};
use tools::{Balances, Tool};

fn run(database: &TestDatabase, data: &Path, args: &[&str]) -> Run {
    let mut command = program();
    command.args(args).arg("--data").arg(data).args(["--database", &database.url]);
    Run::from(command.output().expect("the program starts")).ok()
}

/// Every account's balance, as the API tells an auditor.
fn balances(database: &TestDatabase, data: &Path) -> Balances {
    let token = run(database, data, &["token", "--role", "auditor", "--as", "tester"]).stdout.trim().to_owned();
    let server = Server::start(database, data);
    let scales = server.get("/v1/units", None, &[]).expect(200).json;
    let scales = scales["data"].as_array().expect("units").iter();
    let units: HashMap<String, Unit> = scales
        .map(|unit| {
            let (code, scale) = (unit["code"].as_str().expect("a code"), unit["scale"].as_u64().expect("a scale"));
            (code.to_owned(), Unit::new(code, u8::try_from(scale).expect("small")).expect("a unit"))
        })
        .collect();
    let rows = server.get("/v1/accounts", Some(&token), &[("Accept", "application/x-ndjson")]).expect(200).text;
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).expect("a row");
        let (unit, text) = (units[row["unit"].as_str().expect("a unit")], row["balance"]["value"].as_str().expect("a value"));
        let minor: i64 = text.replace('.', "").parse().expect("digits");
        (row["id"].as_str().expect("a name").to_owned(), Amount::new(minor, unit))
    };
    rows.lines().map(row).collect()
}

fn check_with_tools(database: &TestDatabase, data: &Path) {
    run(database, data, &["verify"]);
    let ours = balances(database, data);
    assert!(ours.len() > 5, "{} accounts", ours.len());
    for tool in Tool::ALL {
        let file = data.join(tool.format().word());
        run(database, data, &["export", "--format", tool.format().word(), "-o", file.to_str().expect("a path in UTF-8")]);
        tools::verify(tool, &file, &ours);
    }
}

#[test]
fn the_demos_year_holds_in_the_auditors_own_tools() {
    for database in databases() {
        let data = database.folder().join("demo");
        run(&database, &data, &["demo", "--no-serve", "--seed", "11"]);
        check_with_tools(&database, &data);
    }
}

#[test]
fn a_real_log_holds_in_the_auditors_own_tools() {
    let Some(log) = real_data("slurm-hpc/phillips.log") else { return };
    for database in databases() {
        let data = database.folder().join("data");
        run(&database, &data, &["init"]);
        let books = books::fill(&database);
        let grant = format!("{}={}", books::UNKNOWN, books.grants[books::UNKNOWN]);
        let log = log.to_str().expect("a path in UTF-8");
        run(&database, &data, &["import", log, "--columns", "xdmod", "--resource", "chestnut", "--map-account", &grant]);
        check_with_tools(&database, &data);
    }
}
