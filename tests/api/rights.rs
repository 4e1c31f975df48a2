//! Who may what: every route, tried by nobody and by each role in every relation to the object, against a checked-in table and against
//! what the routes and the table of sights say must be so.

use std::fmt::Write;
use std::time::{Duration, Instant};

use almoner::actor::{Actor, Role, Roles};
use almoner::http::api::routes::routes;
use almoner::http::api::sight::{self, Sight};
use almoner::http::route::Route;
use almoner::id::{ChargeId, Id, Transaction};
use serde_json::{Value, json};

use crate::golden;
use crate::support::database::databases;
use crate::town::{Side, Town, actor, day, job, midnight, text, usd};

const FILE: &str = "tests/api/rights.txt";

const HEAD: &str = "\
# Who may what. UPDATE_GOLDEN=1 tests/run --test api rewrites this file; read what changed before you keep it.
#
# A cell is what was answered: to those whose the object is, to another person of the same organisation (of the same donor or provider; a
# researcher or an officer at the same institution), to those of another, to those with the role and nothing else; once where all four are the
# same. Behind a colon stands how many rows a list showed. 409 and 422 are refusals by the books behind the door: whoever sees them was let in.
";

/// The relations to an object.
const RELATIONS: usize = 4;
const SAME: usize = 1;
const OTHERS: [usize; 2] = [2, 3];

#[test]
fn everybody_may_what_the_table_says() {
    for database in databases() {
        let (town, own, foreign) = Town::settled(database);
        for side in [&own, &foreign] {
            await_receipt(&town, side);
        }
        let tokens = Role::ALL.map(|role| tokens(&town, role, &own));
        // Reading first, so that what is written does not change what is read.
        let (reading, writing): (Vec<Route>, Vec<Route>) = routes().into_iter().partition(|route| route.method == "get");
        let mut rows = vec![["#", "operation", "nobody"].into_iter().chain(Role::ALL.map(Role::word)).map(String::from).collect()];
        for route in reading.iter().chain(&writing) {
            let (method, path, _, operation) = route.right();
            let mut row = vec![format!("{method:<4} {path}"), operation.to_owned(), ask(&town, route, None, &own)];
            for [mine, same, none] in &tokens {
                let cells = [(mine, &own), (same, &own), (mine, &foreign), (none, &own)];
                row.push(cell(cells.map(|(token, side)| ask(&town, route, Some(token), side))));
            }
            rows.push(row);
        }
        let table = HEAD.to_owned() + &laid_out(&rows);
        let found = disagreements(&table, &routes());
        assert!(found.is_empty(), "{}: {found:#?}", town.database.kind);
        golden(FILE, &table);
    }
}

/// The same four times is said once.
fn cell(told: [String; RELATIONS]) -> String {
    if told.iter().all(|one| *one == told[0]) { told[0].clone() } else { told.join("/") }
}

/// The log follows the books a moment later.
pub fn await_receipt(town: &Town, side: &Side) {
    let (path, begun) = (format!("/v1/charges/{}/receipt", side.charge), Instant::now());
    while town.get(&town.staff.officer, &path).status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{path}: no receipt");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn laid_out(rows: &[Vec<String>]) -> String {
    let widest = |place: usize| rows.iter().filter_map(|row| row.get(place)).map(String::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(widest).collect();
    let mut table = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(table, "{}", cells.join("  ").trim_end());
    }
    table
}

/// Three persons with this role: whose the side's objects are, another of the same organisation, one of none.
fn tokens(town: &Town, role: Role, own: &Side) -> [String; 3] {
    let named = |name: &str| town.token(&actor(&format!("{name}-{}", role.word()), &[role]));
    let none = named("unrelated");
    match role {
        Role::Donor => [own.as_donor.clone(), town.token(&Actor { donor: Id::parse(&own.donor).ok(), ..actor("donor-a2", &[role]) }), none],
        Role::Provider => {
            [own.as_provider.clone(), town.token(&Actor { provider: Id::parse(&own.centre).ok(), ..actor("provider-a2", &[role]) }), none]
        }
        Role::Researcher => {
            let same = named("same");
            let beside = json!({
                "title": "Beside", "institution": institution(town, own), "field_of_science": "Physics",
                "principal_investigator": {"name": "Example Investigator"},
            });
            town.make(&same, "/v1/projects", &beside);
            [own.as_researcher.clone(), same, none]
        }
        Role::Officer => {
            let same = named("same");
            let issuer = text(&town.get(&same, "/v1/me").expect(200).json, "issuer");
            let identities = json!([{"issuer": issuer, "subject": "same-officer"}]);
            let new = json!({"name": "Example Colleague", "institution": institution(town, own), "identities": identities});
            town.make("admin", "/v1/persons", &new);
            [town.staff.officer.clone(), same, none]
        }
        Role::Auditor => [town.staff.auditor.clone(), named("same"), none],
        Role::Admin => [town.staff.admin.clone(), named("same"), none],
    }
}

fn institution(town: &Town, own: &Side) -> Value {
    town.get(&town.staff.officer, &format!("/v1/projects/{}", own.project)).expect(200).json["institution"].clone()
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
            Some("stm") => side.statement.clone(),
            Some("era") => side.erasure.clone(),
            // A charge and its transaction are one entry of the journal.
            Some("txn") => ChargeId::parse(&side.charge).expect("a charge").seen_as::<Transaction>().to_string(),
            None if name == "slug" => "not_found".into(),
            None if name == "level" => "0".into(),
            None if name == "index" => "000.p/1".into(),
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
        "revise_grant" => {
            json!({"requested": usd("1"), "period": {"from": day(-1), "to": day(1)}, "justification": "To be seen.", "reason": "To be seen."})
        }
        "submit_grant" | "review_grant" | "withdraw_grant" | "suspend_grant" | "resume_grant" | "close_grant" | "recuse_from_grant"
        | "withdraw_amendment" => {
            json!({"reason": "To be seen."})
        }
        "create_amendment" => json!({"kind": "closing", "reason": "To be seen."}),
        "revoke_token" => json!({"jti": 1}),
        "declare_affiliation" => json!({"institution": side.centre, "since": day(-1)}),
        "create_statement" => json!({"donor": side.donor, "period": {"from": midnight(-3), "to": midnight(-2)}}),
        "publish_disclosure" => json!({"public": false}),
        "create_grant" => json!({
            "project": side.project, "requested": usd("1"), "period": {"from": day(-1), "to": day(1)}, "justification": "To be seen.",
        }),
        _ => json!({}),
    }
}

/// Batches answer record by record, and an empty one concerns nobody.
const OF_NOBODY: [&str; 1] = ["charge_batch"];
const MINE_TO_SEE: &[Role] = &[Role::Donor, Role::Officer, Role::Provider];
const NOT_STAFF: &[Role] = &[Role::Donor, Role::Officer, Role::Researcher, Role::Provider];
const MINE_TO_CHANGE: &[Role] = &[Role::Donor, Role::Officer, Role::Provider, Role::Auditor];
/// What is there for none of those with a role, whoever's the object is: the sides' usage record is in quarantine and so of no project; their person
/// is none of those who ask; their webhook and amendment are the researcher's, their statement (and the one that is asked for) the donor's; their disclosure is not public.
const HIDDEN: &[(&str, &[Role])] = &[
    ("get_usage", &[Role::Researcher]),
    ("get_statement", &[Role::Researcher, Role::Provider]),
    ("create_statement", &[Role::Researcher, Role::Provider]),
    ("list_affiliations", NOT_STAFF),
    ("declare_affiliation", &[Role::Donor, Role::Officer, Role::Researcher, Role::Provider, Role::Auditor]),
    ("get_webhook", MINE_TO_SEE),
    ("list_webhook_deliveries", MINE_TO_SEE),
    ("revoke_webhook", MINE_TO_CHANGE),
    ("test_webhook", MINE_TO_CHANGE),
    ("redeliver_event", MINE_TO_CHANGE),
    ("rotate_webhook", &[Role::Donor, Role::Officer, Role::Provider, Role::Auditor, Role::Admin]),
    ("withdraw_amendment", &[Role::Officer]),
    ("public_disclosure", &Role::ALL),
];
/// What is a person's own, and not their organisation's.
const PERSONAL: [&str; 3] = ["oneself", "affiliations", "webhooks"];

/// Where a table and what the routes and the sights say disagree.
fn disagreements(table: &str, routes: &[Route]) -> Vec<String> {
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let of = |route: &Route| {
        let (method, path, _, operation) = route.right();
        let row = rows.iter().find(|row| row.starts_with(&[&method, &path]));
        row.map_or_else(|| vec![format!("{operation}: no row")], |row| wrong(route, row.get(3..).unwrap_or_default()))
    };
    routes.iter().flat_map(of).collect()
}

/// Where a row's cells, nobody's first, and what its route and the sights say disagree.
fn wrong(route: &Route, cells: &[&str]) -> Vec<String> {
    let [nobody, cells @ ..] = cells else { return vec![format!("{}: an empty row", route.operation)] };
    let (mut found, open) = (Vec::new(), route.roles == Roles::default());
    if nobody.starts_with("401") == open {
        found.push(format!("{} for nobody: {nobody}", route.operation));
    }
    for (role, cell) in Role::ALL.into_iter().zip(cells) {
        let told: Vec<&str> = cell.split('/').collect();
        let told: [&str; RELATIONS] = if let [one] = told[..] { [one; RELATIONS] } else { told.try_into().unwrap_or([""; RELATIONS]) };
        let wrong = if open || route.roles.has(role) { let_in(route, role, &told) } else { kept_out(&told) };
        found.extend(wrong.map(|why| format!("{} for {}: {cell}: {why}", route.operation, role.word())));
    }
    found
}

fn kept_out(told: &[&str; RELATIONS]) -> Option<&'static str> {
    (!told.iter().all(|one| *one == "403")).then_some("the route does not admit the role")
}

/// What must be so for a role that the route admits.
fn let_in(route: &Route, role: Role, told: &[&str; RELATIONS]) -> Option<&'static str> {
    let kept_out = |one: &str| one.is_empty() || ["401", "403", "400", "405", "415", "428", "5"].iter().any(|bad| one.starts_with(bad));
    // A provider whose token names no organisation has nothing to report for.
    let for_nobody = role == Role::Provider && route.method == "post" && told[OTHERS[1]] == "403";
    let asked = if for_nobody { &told[..OTHERS[1]] } else { &told[..] };
    if asked.iter().any(|one| kept_out(one)) {
        return Some("the route admits the role");
    }
    if HIDDEN.iter().any(|(operation, roles)| *operation == route.operation && roles.contains(&role)) {
        return (!told.iter().all(|one| *one == "404")).then_some("it is not there for them");
    }
    let of_an_object = route.path_params().next().is_some();
    let hidden = |one: &str| one == "404";
    match sight::shown_by(route.operation) {
        Some(row) if row.sight(role) == Sight::Own && of_an_object => {
            // At the same institution is not in the same project.
            let own_alone = role == Role::Researcher || PERSONAL.contains(&row.data);
            let others = OTHERS.iter().all(|place| hidden(told[*place])) && hidden(told[SAME]) == own_alone;
            (!others || (hidden(told[0]) && !PERSONAL.contains(&row.data))).then_some("what is another's is as if it were not there")
        }
        Some(row) if row.sight(role) == Sight::Own => {
            let empty = !route.lists || told[OTHERS[1]] == "200:0";
            (!empty || !told.iter().all(|one| one.starts_with("200"))).then_some("who has nothing sees nothing")
        }
        Some(_) => (!told.iter().all(|one| one.starts_with("200"))).then_some("it is shown whole"),
        None if route.method == "post" && [Role::Donor, Role::Researcher, Role::Provider].contains(&role) => {
            // Of a provider or a donor another person may the same, of a project's institution not.
            let others: &[usize] = if role == Role::Researcher { &[1, 2, 3] } else { &OTHERS };
            let refused = |place: &usize| ["404", "422"].contains(&told[*place]) || (for_nobody && *place == OTHERS[1]);
            let right = if OF_NOBODY.contains(&route.operation) { for_nobody } else { others.iter().all(refused) };
            (!right).then_some("nobody changes what is another's")
        }
        None => None,
    }
}

/// The table as it is kept.
fn kept() -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE)).expect("the table")
}

#[test]
fn a_role_more_or_less_on_any_route_is_seen() {
    let table = kept();
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

/// The cell with one answer exchanged.
fn exchanged(cell: &str, relation: usize, answer: &str) -> String {
    let told: Vec<&str> = cell.split('/').collect();
    let mut told: [&str; RELATIONS] = std::array::from_fn(|place| told.get(place).copied().unwrap_or(told[0]));
    told[relation] = answer;
    told.join("/")
}

/// A door opened to a role, to the same organisation, to others or to those who have nothing, and a door closed to those it is for: each is
/// seen in the answers, whatever table is kept.
#[test]
fn a_door_opened_or_closed_to_anybody_is_seen() {
    let kept = kept();
    let (mut planted, mut unseen) = (0, Vec::new());
    for route in routes() {
        let (method, path, _, operation) = route.right();
        let row = kept.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find(|row| row.starts_with(&[&method, &path]));
        let cells = row.expect("a row").split_off(3);
        assert_eq!(cells.len(), 1 + Role::ALL.len(), "{operation}");
        for (place, role) in Role::ALL.into_iter().enumerate() {
            for relation in 0..RELATIONS {
                let cell = cells[place + 1];
                let told = cell.split('/').nth(relation).unwrap_or(cell);
                // What is another's is refused by 422 where a body names it.
                let named = told == "422" && OTHERS.contains(&relation) && [Role::Donor, Role::Researcher, Role::Provider].contains(&role);
                let closed = ["403", "404"].contains(&told) || named;
                let mutant = exchanged(cell, relation, if closed { "200:9" } else { "403" });
                let mut all = cells.clone();
                all[place + 1] = &mutant;
                planted += 1;
                if wrong(&route, &all).is_empty() {
                    unseen.push(format!("{operation} for {}, {relation}: {told}", role.word()));
                }
            }
        }
    }
    assert!(planted > 2500 && unseen.is_empty(), "of {planted} mutations: {unseen:#?}");
}
