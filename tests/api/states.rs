//! Who may do what to a grant in which state and with which part in it: every combination tried, against a checked-in table.

use std::fmt::Write;

use almoner::actor::Role;
use almoner::grants::State;
use serde_json::{Value, json};

use crate::golden;
use crate::support::database::databases;
use crate::support::server::Answer;
use crate::town::{Side, Town, actor, day, text, usd};

const FILE: &str = "tests/api/states.txt";

const HEAD: &str = "\
# What becomes of each step in each state of a grant. UPDATE_GOLDEN=1 tests/run --test api rewrites this file; read what changed before you keep it.
#
# Officers: a stranger to all of it; the reviewer, who took it up, decided it or approved it first; who asked; a member of the project; one of the
# project's institution; who declared a conflict. Researchers: of the project, of another project of the same institution, of another one.
# A cell is the status; behind 403 stands why: role, self (who asked decides), conflict (of interest), twice (approved before).
";

/// What is tried, and the verb or verdict that it is.
const STEPS: [&str; 13] = [
    "revision",
    "submit",
    "review",
    "withdraw",
    "approve",
    "reject",
    "return",
    "suspend",
    "resume",
    "close",
    "recusal",
    "amendments",
    "read",
];

/// Who tries it.
struct Cast {
    names: [&'static str; 9],
    tokens: [String; 9],
}

#[test]
fn each_step_is_for_some_in_some_states() {
    for database in databases() {
        let (town, own, foreign) = Town::settled(database);
        let cast = cast(&town, &own, &foreign);
        town.make("admin", "/v1/policies", &json!({"unit": "USD", "two_above": usd("10000")}));
        town.lot(&own.donation, "100000", None);
        let mut table = HEAD.to_owned();
        for state in State::ALL {
            let _ = writeln!(table, "\n{}", line(state.word(), cast.names.iter().map(|name| (*name).to_owned())));
            for step in STEPS {
                let _ = writeln!(table, "{}", line(&format!("  {step}"), row(&town, &own, &cast, *state, step).into_iter()));
            }
        }
        golden(FILE, &table);
    }
}

fn line(first: &str, cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.map(|cell| format!("{cell:<13}")).collect();
    format!("{first:<26}{}", cells.join("")).trim_end().to_owned()
}

/// One step tried by all on a grant in this state; whenever somebody was let through, on another one.
fn row(town: &Town, own: &Side, cast: &Cast, state: State, step: &str) -> Vec<String> {
    let mut grant = None;
    let mut cells = Vec::new();
    for token in &cast.tokens {
        let place = grant.take().unwrap_or_else(|| made(town, own, cast, state));
        let answer = tried(town, token, &place, step);
        cells.push(cell(&answer));
        grant = Some(place).filter(|_| answer.status != 201);
    }
    cells
}

fn cell(answer: &Answer) -> String {
    match answer.json["code"].as_str() {
        Some("forbidden") => "403 role".into(),
        Some("self_approval") => "403 self".into(),
        Some("conflict_of_interest") => "403 conflict".into(),
        Some("same_approver_twice") => "403 twice".into(),
        _ => answer.status.to_string(),
    }
}

fn tried(town: &Town, token: &str, place: &str, step: &str) -> Answer {
    if step == "read" {
        return town.get(token, place);
    }
    let read = town.get(&town.staff.officer, place).expect(200);
    let named = [("if-match", read.header("etag"))];
    let verdict = |word: &str| json!({"verdict": word, "reason": "To be seen.", "no_conflict": true});
    match step {
        // Tried only, so that no threshold is passed on the way.
        "approve" => town.post_with(token, &format!("{place}/decisions?dry_run=true"), &named, &verdict(step)),
        "reject" | "return" => town.post_with(token, &format!("{place}/decisions"), &named, &verdict(step)),
        "revision" => {
            let body = json!({"requested": usd("1"), "period": {"from": day(-5), "to": day(5)}, "justification": "To be seen.", "reason": "To be seen."});
            town.post_with(token, &format!("{place}/revision"), &named, &body)
        }
        "amendments" => town.post(token, &format!("{place}/amendments"), &json!({"kind": "closing", "reason": "To be seen."})),
        verb => town.post(token, &format!("{place}/{verb}"), &json!({"reason": "To be seen."})),
    }
}

fn cast(town: &Town, own: &Side, foreign: &Side) -> Cast {
    let officer = |name: &str| town.token(&actor(name, &[Role::Officer]));
    let institution = town.get(&town.staff.officer, &format!("/v1/projects/{}", own.project)).expect(200).json["institution"].clone();
    town.make(&own.as_researcher, &format!("/v1/projects/{}/members", own.project), &json!({"subject": "member", "role": "member"}));
    let colleague = officer("colleague");
    let issuer = text(&town.get(&colleague, "/v1/me").expect(200).json, "issuer");
    let identities = json!([{"issuer": issuer, "subject": "colleague"}]);
    town.make("admin", "/v1/persons", &json!({"name": "Example Colleague", "institution": institution, "identities": identities}));
    let declared = officer("declared");
    town.make(&declared, "/v1/conflicts", &json!({"project": own.project, "reason": "A friend."}));
    let neighbour = town.token(&actor("neighbour", &[Role::Researcher]));
    let beside = json!({
        "title": "Beside", "institution": institution, "field_of_science": "Physics",
        "principal_investigator": {"name": "Example Investigator"},
    });
    town.make(&neighbour, "/v1/projects", &beside);
    Cast {
        names: ["stranger", "reviewer", "asked", "member", "colleague", "declared", "researcher", "same org.", "foreign"],
        tokens: [
            officer("stranger"),
            town.staff.officer2.clone(),
            town.staff.officer.clone(),
            officer("member"),
            colleague,
            declared,
            own.as_researcher.clone(),
            neighbour,
            foreign.as_researcher.clone(),
        ],
    }
}

/// A grant in this state, asked for by the officer.
fn made(town: &Town, own: &Side, cast: &Cast, state: State) -> String {
    let over = json!({"period": {"from": day(-50), "to": day(-10)}});
    let (amount, more) = match state {
        State::Draft => ("1", json!({"draft": true})),
        State::AwaitingSecondApproval => ("20000", json!({})),
        State::Ended => ("1", over),
        _ => ("1", json!({})),
    };
    let place = format!("/v1/grants/{}", text(&town.request(&town.staff.officer, &own.project, amount, &more), "id"));
    let reviewer = &cast.tokens[1];
    let rule = |word: &str| {
        let verdict = json!({"verdict": word, "reason": "To be seen.", "no_conflict": true});
        town.post_with(reviewer, &format!("{place}/decisions"), &[("if-match", "\"v1\"")], &verdict).expect(201)
    };
    let step = |token: &str, verb: &str| town.make(token, &format!("{place}/{verb}"), &json!({"reason": "To be seen."}));
    match state {
        State::Draft | State::Requested => {}
        State::InReview => _ = step(reviewer, "review"),
        State::Returned => _ = rule("return"),
        State::Rejected => _ = rule("reject"),
        State::Withdrawn => _ = step(&own.as_researcher, "withdraw"),
        State::AwaitingSecondApproval | State::Active => _ = rule("approve"),
        State::Suspended => {
            rule("approve");
            step(reviewer, "suspend");
        }
        State::Closed => {
            rule("approve");
            step(&own.as_researcher, "close");
        }
        State::Ended => {
            rule("approve");
            // A decision, tried or taken, first books what has ended.
            let other = made(town, own, cast, State::Requested);
            tried(town, reviewer, &other, "approve").expect(200);
        }
    }
    let found: Value = town.get(reviewer, &place).expect(200).json["state"].clone();
    assert_eq!(found, state.word());
    place
}
