//! Who may what: every route, tried by nobody and by each role, on objects of its own and of another, against a checked-in table.

use std::fmt::Write;
use std::time::{Duration, Instant};

use almoner::actor::{Role, Roles};
use almoner::http::api::routes::routes;
use almoner::http::api::sight::{self, Sight};
use almoner::http::route::Route;
use almoner::id::{ChargeId, Transaction};
use serde_json::{Value, json};

use crate::golden;
use crate::support::database::databases;
use crate::town::{Side, Town, day, job, text, usd};

const FILE: &str = "tests/api/rights.txt";

const HEAD: &str = "\
# Who may what. UPDATE_GOLDEN=1 tests/run --test api rewrites this file; read what changed before you keep it.
#
# A cell is the status that was answered: for an own object / for another's where that differs, and behind a colon how many rows a list
# showed. 409 and 422 are refusals by the books behind the door: whoever sees them was let in.
";

#[test]
fn everybody_may_what_the_table_says() {
    for database in databases() {
        let (town, own, foreign) = Town::settled(database);
        for side in [&own, &foreign] {
            await_receipt(&town, side);
        }
        // Reading first, so that what is written does not change what is read.
        let (reading, writing): (Vec<Route>, Vec<Route>) = routes().into_iter().partition(|route| route.method == "get");
        let mut table = HEAD.to_owned();
        let columns = std::iter::once("nobody").chain(Role::ALL.map(Role::word));
        let _ = writeln!(table, "{}", line("#", "operation", columns.map(str::to_owned)));
        for route in reading.iter().chain(&writing) {
            let (method, path, _, operation) = route.right();
            let who = std::iter::once(None).chain(Role::ALL.map(Some));
            let cells = who.map(|role| cell(&town, route, role, &own, &foreign));
            let _ = writeln!(table, "{}", line(&format!("{method:<4} {path}"), operation, cells));
        }
        golden(FILE, &table);
    }
}

/// The log follows the books a moment later.
pub fn await_receipt(town: &Town, side: &Side) {
    let (path, begun) = (format!("/v1/charges/{}/receipt", side.charge), Instant::now());
    while town.get(&town.staff.officer, &path).status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{path}: no receipt");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn line(route: &str, operation: &str, cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.map(|cell| format!("{cell:<10}")).collect();
    format!("{route:<46} {operation:<24} {}", cells.join(" ")).trim_end().to_owned()
}

fn cell(town: &Town, route: &Route, role: Option<Role>, own: &Side, foreign: &Side) -> String {
    let token = role.map(|role| match role {
        Role::Donor => &own.as_donor,
        Role::Officer => &town.staff.officer,
        Role::Researcher => &own.as_researcher,
        Role::Provider => &own.as_provider,
        Role::Auditor => &town.staff.auditor,
        Role::Admin => &town.staff.admin,
    });
    let [mine, theirs] = [own, foreign].map(|side| ask(town, route, token.map(String::as_str), side));
    check(route, role, &mine);
    check(route, role, &theirs);
    sees(route, role, &mine, &theirs);
    if mine == theirs { mine } else { format!("{mine}/{theirs}") }
}

/// What the row itself says must be so, whatever is in the file.
fn check(route: &Route, role: Option<Role>, cell: &str) {
    let right = route.right();
    let let_in = route.roles == Roles::default() || role.is_some_and(|role| route.roles.has(role));
    let expected = if let_in {
        ""
    } else if role.is_none() {
        "401"
    } else {
        "403"
    };
    assert!(cell.starts_with(expected), "{right:?} for {role:?}: {cell}");
    assert!(
        !let_in || !["401", "403", "400", "405", "415", "428", "5"].iter().any(|status| cell.starts_with(status)),
        "{right:?} for {role:?}: {cell}"
    );
}

/// What the table of sights says must be what is seen.
fn sees(route: &Route, role: Option<Role>, mine: &str, theirs: &str) {
    let Some((row, role)) = sight::shown_by(route.operation).zip(role) else { return };
    let of_an_object = route.path_params().next().is_some();
    match row.sight(role) {
        Sight::Nothing => assert!(mine.starts_with("403") && theirs.starts_with("403"), "{}: {mine}/{theirs}", route.operation),
        Sight::Own => assert!(!of_an_object || theirs.starts_with("404"), "{}: {mine}/{theirs}", route.operation),
        Sight::All | Sight::Open => assert!(mine.starts_with("200") && theirs.starts_with("200"), "{}: {mine}/{theirs}", route.operation),
    }
}

fn ask(town: &Town, route: &Route, token: Option<&str>, side: &Side) -> String {
    let path = path(town, route, side);
    if route.method == "get" {
        let limit = if route.lists { "?limit=200" } else { "" };
        let answer = town.server.get(&format!("{path}{limit}"), token, &[]);
        let rows = answer.json["data"].as_array().filter(|_| route.lists).map(|rows| format!(":{}", rows.len()));
        return format!("{}{}", answer.status, rows.unwrap_or_default());
    }
    let key = town.fresh("right");
    let headers = [("idempotency-key", key.as_str()), ("if-match", "\"v1\"")];
    town.server.post(&path, token, &headers, &body(town, route.operation, side)).status.to_string()
}

/// The route's address, with identifiers of what is the side's.
pub fn path(town: &Town, route: &Route, side: &Side) -> String {
    let account = || {
        let listed = town.get(&town.staff.auditor, &format!("/v1/accounts?lot={}", side.lot)).expect(200).json;
        text(&listed["data"][0], "id")
    };
    route.path_params().fold(route.path(), |path, (name, prefix)| {
        let id = match prefix {
            Some("dnr") => side.donor.clone(),
            Some("dnt") => side.donation.clone(),
            Some("lot") => side.lot.clone(),
            Some("ins") => side.centre.clone(),
            Some("prj") => side.project.clone(),
            Some("res") => side.resource.clone(),
            Some("rate") => side.rate.clone(),
            Some("grt") => side.grant.clone(),
            Some("dec") => side.decision.clone(),
            Some("amd") => side.amendment.clone(),
            Some("pol") => side.policy.clone(),
            Some("rfd") => side.refund.clone(),
            Some("hld") => side.hold.clone(),
            Some("prs") => side.person.clone(),
            Some("bnd") => side.binding.clone(),
            Some("usg") => side.usage.clone(),
            Some("chg") => side.charge.clone(),
            Some("whk") => side.webhook.clone(),
            Some("evt") => side.event.clone(),
            // A charge and its transaction are one entry of the journal.
            Some("txn") => ChargeId::parse(&side.charge).expect("a charge").seen_as::<Transaction>().to_string(),
            None if name == "slug" => "not_found".into(),
            None if name == "level" => "0".into(),
            None if name == "index" => "999".into(),
            None if route.pattern.starts_with("/v1/accounts/") => account(),
            other => panic!("{}: no example of {name}, {other:?}", route.pattern),
        };
        path.replace(&format!("{{{name}}}"), &id)
    })
}

/// A request that gets as far as the scope of the object, and where it can be had changes nothing.
fn body(town: &Town, operation: &str, side: &Side) -> Value {
    let too_much = usd("999999999");
    match operation {
        "return_lot" => json!({"amount": too_much}),
        "create_refund" => json!({"amount": too_much, "reason": "To be refused."}),
        "resolve_quarantine" => json!({"action": "charge"}),
        "create_rate" => json!({"meter": "No Meter", "price": usd("1"), "from": day(0)}),
        "create_resource" => json!({"name": "Cluster", "provider": side.centre}),
        "add_member" => json!({"subject": "colleague", "role": "member"}),
        "create_account_mapping" => json!({"account": town.fresh("account")}),
        "create_usage" => job(&town.fresh("right"), &side.resource, &json!({"grant": side.grant, "quantities": {"gpu-hour": "0"}})),
        "charge_batch" => json!({"records": []}),
        "create_quote" => json!({"grant": side.grant, "resource": side.resource, "amount": usd("1")}),
        "create_hold" => json!({"grant": side.grant, "amount": too_much, "expires_at": day(1)}),
        "settle_hold" => job(&town.fresh("right"), &side.resource, &json!({"quantities": {"gpu-hour": "0"}})),
        "extend_hold" => json!({"expires_at": day(-1)}),
        "revise_grant" => json!({"requested": usd("1"), "period": {"from": day(-1), "to": day(1)}, "justification": "To be seen."}),
        "withdraw_grant" | "suspend_grant" | "resume_grant" | "close_grant" | "recuse_from_grant" | "withdraw_amendment" => {
            json!({"reason": "To be seen."})
        }
        "create_amendment" => json!({"kind": "closing", "reason": "To be seen."}),
        "revoke_token" => json!({"jti": 1}),
        "declare_affiliation" => json!({"institution": side.centre, "since": day(-1)}),
        "publish_disclosure" => json!({"public": false}),
        "create_grant" => json!({
            "project": side.project, "requested": usd("1"), "period": {"from": day(-1), "to": day(1)}, "justification": "To be seen.",
        }),
        _ => json!({}),
    }
}

/// Where the checked-in table and the roles of the routes disagree.
fn disagreements(table: &str, routes: &[Route]) -> Vec<String> {
    let mut found = Vec::new();
    for route in routes {
        let (method, path, roles, operation) = route.right();
        let row = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find(|row| row.starts_with(&[&method, &path]));
        let Some(cells) = row.as_deref().and_then(|row| row.get(3..)) else {
            found.push(format!("{operation}: no row"));
            continue;
        };
        let open = roles == Roles::default();
        let answers = std::iter::once((None, "401")).chain(Role::ALL.map(|role| (Some(role), "403")));
        for ((role, refused), cell) in answers.zip(cells) {
            let let_in = open || role.is_some_and(|role| roles.has(role));
            if cell.starts_with(refused) == let_in {
                found.push(format!("{operation} for {role:?}: {cell}"));
            }
        }
    }
    found
}

#[test]
fn a_role_more_or_less_on_any_route_is_seen() {
    let table = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE)).expect("the table");
    assert_eq!(disagreements(&table, &routes()), Vec::<String>::new());
    let mut planted = 0;
    for place in 0..routes().len() {
        for role in Role::ALL {
            let mut routes = routes();
            routes[place].roles = Roles(routes[place].roles.0 ^ role as u8);
            planted += 1;
            assert!(!disagreements(&table, &routes).is_empty(), "{} {role:?}", routes[place].operation);
        }
    }
    assert!(planted > 500, "{planted} mutations were planted");
}
