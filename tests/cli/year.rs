//! The books in other people's tools: the demo's whole year, and the real log of a university cluster. beancount, hledger and ledger
//! must accept each export and agree with the API on every account's balance to the last digit.

use std::collections::HashMap;

use almoner::amount::{Amount, Unit};
use serde_json::Value;

use crate::Desk;
use crate::books;
use crate::support::database::databases;
use crate::support::real_data;
use crate::support::server::Server;
use crate::tools::{self, Balances, Tool};

/// Every account's balance, as the API tells an auditor.
fn balances(desk: &Desk<'_>) -> Balances {
    let token = desk.run(&["token", "--role", "auditor", "--as", "tester"]).ok().stdout.trim().to_owned();
    // The books must stay as they are until they are exported.
    let server = Server::start_with(desk.database, &desk.data, |command| command.args(["--sweep-every", "0"]));
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

fn check_with_tools(desk: &Desk<'_>) {
    desk.run(&["verify"]).ok();
    let ours = balances(desk);
    assert!(ours.len() > 5, "{} accounts", ours.len());
    for tool in Tool::ALL {
        let file = desk.data.join(tool.format().word());
        desk.run(&["export", "--format", tool.format().word(), "-o", file.to_str().expect("a path in UTF-8")]).ok();
        tools::verify(tool, &file, &ours);
    }
}

#[test]
fn the_demos_year_holds_in_the_auditors_own_tools() {
    for database in databases() {
        let desk = Desk::new(&database);
        desk.run(&["demo", "--no-serve", "--seed", "11"]).ok();
        check_with_tools(&desk);
    }
}

#[test]
fn a_real_log_holds_in_the_auditors_own_tools() {
    let Some(log) = real_data("slurm-hpc/phillips.log") else { return };
    for database in databases() {
        let (desk, books) = Desk::filled(&database);
        let grant = format!("{}={}", books::UNKNOWN, books.grants[books::UNKNOWN]);
        desk.run(&crate::import(&log, &grant, &[])).ok();
        check_with_tools(&desk);
    }
}
