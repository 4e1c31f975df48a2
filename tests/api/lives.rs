//! Who may do what to each kind of object in each of its states, and with which relation to it: every combination tried against the
//! running server, against a checked-in table and against the rules below, which are written from the design and not from the server.
//!
//! A grant's own life, with all who may have a part in it, is told in `states`.

use std::collections::BTreeMap;
use std::fmt::Write;

use almoner::actor::{Actor, Role};
use almoner::id::{ChargeId, Id, Transaction};
use serde_json::{Value, json};

use crate::golden;
use crate::support::database::databases;
use crate::support::server::Answer;
use crate::town::{Side, Town, actor, day, job, merge, text, usd};

const FILE: &str = "tests/api/lives.txt";

const HEAD: &str = "\
# What becomes of each step in each state of an object. UPDATE_GOLDEN=1 tests/run --test api rewrites this file; read what changed before you keep it.
#
# Donors, researchers and providers: whose the object is; another person of the same donor, of the same institution with another project, of the
# same provider; those of another; those who have the role and nothing else. officer and admin made it or asked for it, where officers or
# administrators do; researcher and provider where they do; both is an officer who is also a donor's. A cell is the status.
";

/// Who tries it.
const ASKERS: [&str; 19] = [
    "nobody", "donor", "donor+", "donor-", "donor0", "officer", "officer2", "resear", "resear+", "resear-", "resear0", "provid", "provid+",
    "provid-", "provid0", "auditor", "admin", "admin2", "both",
];

/// Kinds of objects and their states.
const KINDS: &[(&str, &[&str])] = &[
    ("donation", &["proposed", "accepted", "cancelled"]),
    ("lot", &["free", "returned", "expired"]),
    ("rate", &["proposed", "in_force"]),
    ("policy", &["proposed", "in_force"]),
    ("binding", &["proposed", "active", "revoked"]),
    ("amendment", &["requested", "awaiting_second_approval", "approved", "rejected", "withdrawn"]),
    ("hold", &["open", "settled", "released", "expired"]),
    ("record", &["open", "charged", "dismissed"]),
    ("charge", &["whole", "refunded_in_part", "refunded", "reversed"]),
    ("webhook", &["active", "revoked"]),
    ("disclosure", &["private", "public"]),
];

/// Every state.
const ANY: &[&str] = &["*"];
/// Who may agree: nobody who is also a donor's.
const OFFICERS: &[&str] = &["officer", "officer2"];
const STAFF: &[&str] = &["officer", "officer2", "both"];
const READERS: &[&str] = &["officer", "officer2", "both", "auditor"];
const SIGNED_IN: &[&str] = &[
    "donor", "donor+", "donor-", "donor0", "officer", "officer2", "resear", "resear+", "resear-", "resear0", "provid", "provid+",
    "provid-", "provid0", "auditor", "admin", "admin2", "both",
];
const EVERYBODY: &[&str] = &["nobody"];
const DONORS: &[&str] = &["donor", "donor+"];
const REPORTERS: &[&str] = &["provid", "provid+"];

/// Of which kind, which step, in which states, to whom.
type Rule = (&'static str, &'static str, &'static [&'static str], &'static [&'static [&'static str]]);

/// What the design allows. All else must be refused.
const RULES: &[Rule] = &[
    // Who proposed it does not accept it.
    ("donation", "acceptance", &["proposed"], &[&["officer2"]]),
    ("donation", "cancellation", &["proposed", "accepted"], &[STAFF]),
    ("donation", "deliveries", &["accepted"], &[STAFF]),
    ("donation", "read", ANY, &[DONORS, READERS, &["admin", "admin2"]]),
    ("lot", "return", &["free"], &[STAFF]),
    ("lot", "read", ANY, &[DONORS, READERS]),
    ("rate", "confirmation", &["proposed"], &[OFFICERS]),
    ("rate", "read", ANY, &[SIGNED_IN]),
    ("policy", "confirmation", &["proposed"], &[OFFICERS, &["admin2"]]),
    ("policy", "read", ANY, &[SIGNED_IN]),
    ("binding", "confirmation", &["proposed"], &[&["admin2"]]),
    ("binding", "revocation", &["proposed", "active"], &[&["admin", "admin2"]]),
    ("binding", "read", ANY, &[&["auditor", "admin", "admin2"]]),
    ("amendment", "withdraw", &["requested", "awaiting_second_approval"], &[&["resear"]]),
    ("amendment", "approve", &["requested"], &[OFFICERS]),
    // By another officer than approved first.
    ("amendment", "approve", &["awaiting_second_approval"], &[&["officer"]]),
    ("amendment", "reject", &["requested"], &[OFFICERS]),
    ("amendment", "reject", &["awaiting_second_approval"], &[&["officer"]]),
    ("amendment", "read", ANY, &[&["resear"], READERS]),
    ("hold", "settle", &["open", "expired"], &[REPORTERS]),
    ("hold", "release", &["open"], &[REPORTERS]),
    ("hold", "extend", &["open"], &[REPORTERS]),
    ("hold", "read", ANY, &[&["resear"], REPORTERS, READERS]),
    ("record", "charge", &["open"], &[REPORTERS, STAFF]),
    ("record", "dismiss", &["open"], &[REPORTERS, STAFF]),
    ("record", "read", ANY, &[REPORTERS, READERS]),
    ("charge", "refund", &["whole", "refunded_in_part"], &[REPORTERS, STAFF]),
    ("charge", "reverse", &["whole"], &[STAFF]),
    ("charge", "read", ANY, &[&["resear"], REPORTERS, READERS]),
    ("webhook", "revocation", &["active"], &[&["resear", "admin", "admin2"]]),
    // Whose it is alone is told its secret.
    ("webhook", "rotation", &["active"], &[&["resear"]]),
    ("webhook", "test", &["active"], &[&["resear", "admin", "admin2"]]),
    ("webhook", "read", ANY, &[&["resear", "auditor", "admin", "admin2"]]),
    ("disclosure", "publication", ANY, &[&["resear"]]),
    ("disclosure", "inside", ANY, &[&["resear"], READERS]),
    ("disclosure", "outside", &["public"], &[EVERYBODY, SIGNED_IN]),
];

/// The steps of a kind, each once, in the order of the rules.
fn steps(kind: &str) -> Vec<&'static str> {
    let mut found: Vec<&'static str> = RULES.iter().filter(|rule| rule.0 == kind).map(|rule| rule.1).collect();
    found.dedup();
    found
}

fn allowed(kind: &str, step: &str, state: &str, asker: &str) -> bool {
    RULES.iter().any(|(of, what, states, whom)| {
        let here = *states == ANY || states.contains(&state);
        (*of, *what) == (kind, step) && here && whom.iter().any(|some| some.contains(&asker))
    })
}

/// Where a row and the rules disagree.
fn wrong(kind: &str, state: &str, words: &[&str]) -> Vec<String> {
    let [step, cells @ ..] = words else { return vec![format!("{kind} {state}: an empty row")] };
    let differs = |(asker, cell): (&&str, &&str)| {
        let told = cell.starts_with('2') != allowed(kind, step, state, asker);
        told.then(|| format!("{kind} {state}: {step} by {asker}: {cell}"))
    };
    let mut found: Vec<String> = ASKERS.iter().zip(cells).filter_map(differs).collect();
    if cells.len() != ASKERS.len() {
        found.push(format!("{kind} {state}: {step} is not tried by all"));
    }
    found
}

/// The rows of a table: kind, state, words.
fn rows(table: &str) -> Vec<(&str, &str, Vec<&str>)> {
    let (mut rows, mut heading) = (Vec::new(), ("", ""));
    for line in table.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match line.starts_with(' ') {
            true => rows.push((heading.0, heading.1, words)),
            false => heading = (words[0], words[1]),
        }
    }
    rows
}

/// Where a table and the rules disagree.
fn disagreements(table: &str) -> Vec<String> {
    let rows = rows(table);
    let mut found: Vec<String> = rows.iter().flat_map(|(kind, state, words)| wrong(kind, state, words)).collect();
    let wanted: usize = KINDS.iter().map(|(kind, states)| states.len() * steps(kind).len()).sum();
    if rows.len() != wanted {
        found.push(format!("{} rows, not {wanted}", rows.len()));
    }
    found
}

#[test]
fn each_step_is_for_some_in_some_states() {
    for database in databases() {
        let scene = Scene::set(database);
        let mut table = HEAD.to_owned();
        for (kind, states) in KINDS {
            for state in *states {
                let _ = writeln!(table, "\n{}", line(&format!("{kind} {state}"), ASKERS.iter().map(|name| (*name).to_owned())));
                for step in steps(kind) {
                    let _ = writeln!(table, "{}", line(&format!("  {step}"), scene.row(kind, state, step).into_iter()));
                }
            }
        }
        let found = disagreements(&table);
        assert!(found.is_empty(), "{}: {found:#?}", scene.town.database.kind);
        golden(FILE, &table);
    }
}

fn line(first: &str, cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.map(|cell| format!("{cell:<9}")).collect();
    format!("{first:<36}{}", cells.join("")).trim_end().to_owned()
}

/// Whoever is let through where they were not, or kept out where they were let through, is seen by the rules, whatever file is kept.
#[test]
fn every_cell_that_changes_sides_is_seen() {
    let kept = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE)).expect("the table");
    assert_eq!(disagreements(&kept), Vec::<String>::new());
    let mut planted = 0;
    for (kind, state, words) in rows(&kept) {
        for place in 1..words.len() {
            let mut mutant = words.clone();
            mutant[place] = if mutant[place].starts_with('2') { "403" } else { "201" };
            planted += 1;
            assert!(!wrong(kind, state, &mutant).is_empty(), "{kind} {state}: {} by {}", words[0], ASKERS[place - 1]);
        }
    }
    assert!(planted >= 1500, "{planted} mutations were planted");
}

struct Scene {
    town: Town,
    own: Side,
    tokens: BTreeMap<&'static str, String>,
    /// Active, with more than anybody needs, for the side's resource.
    grant: String,
}

impl Scene {
    fn set(database: crate::support::database::TestDatabase) -> Scene {
        let (town, own, foreign) = Town::settled(database);
        town.make("admin", "/v1/policies", &json!({"unit": "USD", "two_above": usd("10000")}));
        town.lot(&own.donation, "100000", None);
        let grant = town.grant(&own.as_researcher, &own.project, "5000", &json!({"resources": [own.resource]}), "reject");
        let tokens = askers(&town, &own, &foreign);
        Scene { town, own, tokens, grant }
    }

    fn token(&self, asker: &str) -> Option<&str> {
        self.tokens.get(asker).map(String::as_str)
    }

    /// One step tried by all; whenever somebody was let through, on another object.
    fn row(&self, kind: &str, state: &str, step: &str) -> Vec<String> {
        let (mut object, mut cells) = (None, Vec::new());
        for asker in ASKERS {
            let place = object.take().unwrap_or_else(|| self.made(kind, state));
            let answer = self.tried(asker, kind, &place, step);
            cells.push(answer.status.to_string());
            let reads = matches!(step, "read" | "inside" | "outside");
            object = Some(place).filter(|_| reads || !(200..300).contains(&answer.status));
        }
        cells
    }

    fn tried(&self, asker: &str, kind: &str, place: &str, step: &str) -> Answer {
        let (town, token) = (&self.town, self.token(asker));
        let key = town.fresh("try");
        let post = |path: String, headers: &[(&str, &str)], body: &Value| {
            town.server.post(&path, token, &[&[("idempotency-key", key.as_str())], headers].concat(), body)
        };
        let why = json!({"reason": "To be seen."});
        match (kind, step) {
            ("disclosure", "outside") => town.server.get(&place.replace("/v1/", "/v1/public/"), token, &[]),
            // Records are read where usage is, charged or not.
            (_, "read" | "inside") => town.server.get(&place.replace("/quarantine", ""), token, &[]),
            ("donation", "deliveries") => post(format!("{place}/deliveries"), &[], &json!({"amount": usd("1"), "delivered_at": day(-1)})),
            ("amendment", "approve" | "reject") => {
                let read = town.get(&town.staff.officer, place).expect(200);
                let tries = if step == "approve" { "?dry_run=true" } else { "" };
                let verdict = json!({"verdict": step, "reason": "To be seen.", "no_conflict": true});
                post(format!("{place}/decisions{tries}"), &[("if-match", read.header("etag"))], &verdict)
            }
            ("amendment", "withdraw") => post(format!("{place}/withdraw"), &[], &why),
            ("hold", "settle") => post(
                format!("{place}/settle"),
                &[],
                &job(&town.fresh("job"), &self.own.resource, &json!({"quantities": {"gpu-hour": "0"}})),
            ),
            ("hold", "extend") => post(format!("{place}/extend"), &[], &json!({"expires_at": day(3)})),
            ("record", "charge") => post(format!("{place}/resolve"), &[], &json!({"action": "charge", "grant": self.grant})),
            ("record", "dismiss") => post(format!("{place}/resolve"), &[], &json!({"action": "dismiss", "reason": "To be seen."})),
            ("charge", "refund") => post(format!("{place}/refunds"), &[], &json!({"amount": usd("0.5"), "reason": "To be seen."})),
            ("charge", "reverse") => post(reversal(place), &[], &why),
            ("disclosure", _) => post(format!("{place}/publication"), &[], &json!({"public": !self.is_public(place)})),
            (_, step) => post(format!("{place}/{step}"), &[], &json!({})),
        }
    }

    fn is_public(&self, place: &str) -> bool {
        self.town.server.get(&place.replace("/v1/", "/v1/public/"), None, &[]).status == 200
    }

    /// An object of the own side in this state, at its address.
    fn made(&self, kind: &str, state: &str) -> String {
        let (town, own) = (&self.town, &self.own);
        match kind {
            "donation" => self.donation(state),
            "lot" => {
                let place = format!("/v1/lots/{}", town.lot(&own.donation, "1", (state == "expired").then(|| day(-1))));
                if state == "returned" {
                    town.make("officer", &format!("{place}/return"), &json!({}));
                }
                place
            }
            "rate" => {
                let rates = format!("/v1/resources/{}/rates", own.resource);
                let new = json!({"meter": town.fresh("meter"), "price": usd("1"), "from": day(-1)});
                let first = town.make(&own.as_provider, &rates, &new);
                let rate = if state == "in_force" { first } else { town.make(&own.as_provider, &rates, &new) };
                format!("/v1/rates/{}", text(&rate, "id"))
            }
            "policy" => {
                let made = town.make("admin", "/v1/policies", &json!({"unit": "NHR", "carry_over_percent": 1}));
                self.confirmed(&format!("/v1/policies/{}", text(&made, "id")), &town.staff.officer, state == "in_force")
            }
            "binding" => self.binding(state),
            "amendment" => self.amendment(state),
            "hold" => self.hold(state),
            "record" => self.record(state),
            "charge" => self.charge(state),
            "webhook" => {
                let made = town.make(&own.as_researcher, "/v1/webhooks", &json!({"url": "https://example.org/hooks"}));
                let place = format!("/v1/webhooks/{}", text(&made["webhook"], "id"));
                if state == "revoked" {
                    town.make(&own.as_researcher, &format!("{place}/revocation"), &json!({}));
                }
                place
            }
            _ => {
                let place = format!("/v1/projects/{}/disclosure", own.project);
                town.make(&own.as_researcher, &format!("{place}/publication"), &json!({"public": state == "public"}));
                place
            }
        }
    }

    fn confirmed(&self, place: &str, by: &str, wanted: bool) -> String {
        if wanted {
            self.town.make(by, &format!("{place}/confirmation"), &json!({}));
        }
        place.to_owned()
    }

    fn donation(&self, state: &str) -> String {
        let (town, own) = (&self.town, &self.own);
        let new = json!({"donor": own.donor, "title": "Credits", "pledged": usd("1"), "terms": {}, "on_expiry": "lapse"});
        let place = format!("/v1/donations/{}", text(&town.make("officer", "/v1/donations", &new), "id"));
        if state != "proposed" {
            town.make("officer2", &format!("{place}/acceptance"), &json!({}));
        }
        if state == "cancelled" {
            town.make("officer", &format!("{place}/cancellation"), &json!({}));
        }
        place
    }

    fn binding(&self, state: &str) -> String {
        let (town, name) = (&self.town, self.town.fresh("person"));
        let new = json!({"name": name, "identities": [{"issuer": "https://idp.example", "subject": name}]});
        let person = text(&town.make("admin", "/v1/persons", &new), "id");
        let made = town.make("admin", "/v1/role-bindings", &json!({"person": person, "role": "auditor"}));
        let place = self.confirmed(&format!("/v1/role-bindings/{}", text(&made, "id")), &self.tokens["admin2"], state != "proposed");
        if state == "revoked" {
            town.make("admin", &format!("{place}/revocation"), &json!({}));
        }
        place
    }

    fn amendment(&self, state: &str) -> String {
        let (town, own) = (&self.town, &self.own);
        let amount = if state == "awaiting_second_approval" { "20000" } else { "1" };
        let new = json!({"kind": "supplement", "amount": usd(amount), "reason": "For the test."});
        let made = town.make(&own.as_researcher, &format!("/v1/grants/{}/amendments", self.grant), &new);
        let place = format!("/v1/amendments/{}", text(&made, "id"));
        let verdict = match state {
            "withdrawn" => {
                town.make(&own.as_researcher, &format!("{place}/withdraw"), &json!({"reason": "Not needed."}));
                return place;
            }
            "requested" => return place,
            "rejected" => "reject",
            _ => "approve",
        };
        let ruling = json!({"verdict": verdict, "reason": "For the test.", "no_conflict": true});
        town.post_with(&town.staff.officer2, &format!("{place}/decisions"), &[("if-match", "\"v1\"")], &ruling).expect(201);
        assert_eq!(town.get(&town.staff.officer, &place).expect(200).json["state"], state);
        place
    }

    fn hold(&self, state: &str) -> String {
        let (town, own) = (&self.town, &self.own);
        let soon = almoner::time::Clock::system().now().plus(almoner::time::SECOND / 2).to_string();
        let until = if state == "expired" { soon } else { day(1) };
        let new = json!({"grant": self.grant, "amount": usd("1"), "resource": own.resource, "expires_at": until});
        let place = format!("/v1/holds/{}", text(&town.make(&own.as_provider, "/v1/holds", &new), "id"));
        match state {
            "settled" => {
                let used = job(&town.fresh("job"), &own.resource, &json!({"quantities": {"gpu-hour": "0"}}));
                town.server.post(&format!("{place}/settle"), Some(&own.as_provider), &[], &used).expect(201);
            }
            "released" => _ = town.make(&own.as_provider, &format!("{place}/release"), &json!({})),
            "expired" => std::thread::sleep(std::time::Duration::from_millis(600)),
            _ => {}
        }
        place
    }

    fn record(&self, state: &str) -> String {
        let (town, own) = (&self.town, &self.own);
        let unknown = job(&town.fresh("lost"), &own.resource, &json!({"account": "nobody", "quantities": {"gpu-hour": "0"}}));
        let lost = town.server.post("/v1/usage", Some(&own.as_provider), &[], &unknown).expect(409);
        let id = text(&lost.json["params"], "quarantine");
        let how = match state {
            "charged" => json!({"action": "charge", "grant": self.grant}),
            "dismissed" => json!({"action": "dismiss", "reason": "For the test."}),
            _ => Value::Null,
        };
        let place = format!("/v1/usage/quarantine/{id}");
        if !how.is_null() {
            let done = town.post(&own.as_provider, &format!("{place}/resolve"), &how);
            assert!(done.status < 300, "{}", done.text);
        }
        place
    }

    fn charge(&self, state: &str) -> String {
        let (town, own) = (&self.town, &self.own);
        let used = job(&town.fresh("job"), &own.resource, &json!({"grant": self.grant, "quantities": {"gpu-hour": "0.4"}}));
        let charged = town.server.post("/v1/usage", Some(&own.as_provider), &[], &used).expect(201);
        let place = format!("/v1/charges/{}", text(&charged.json, "id"));
        let mut more = json!({"reason": "For the test."});
        match state {
            "whole" => {}
            "reversed" => _ = town.make("officer", &reversal(&place), &more),
            state => {
                merge(&mut more, &if state == "refunded" { json!({}) } else { json!({"amount": usd("0.25")}) });
                town.make(&own.as_provider, &format!("{place}/refunds"), &more);
            }
        }
        place
    }
}

/// Where a charge is reversed: it and its transaction are one entry of the journal.
fn reversal(charge: &str) -> String {
    let id = ChargeId::parse(charge.trim_start_matches("/v1/charges/")).expect("a charge").seen_as::<Transaction>();
    format!("/v1/transactions/{id}/reversal")
}

/// Tokens of all who try.
fn askers(town: &Town, own: &Side, foreign: &Side) -> BTreeMap<&'static str, String> {
    let plain = |name: &str, role| town.token(&actor(name, &[role]));
    let donor = |name: &str, donor: &str| town.token(&Actor { donor: Id::parse(donor).ok(), ..actor(name, &[Role::Donor]) });
    let provider = |name: &str, centre: &str| town.token(&Actor { provider: Id::parse(centre).ok(), ..actor(name, &[Role::Provider]) });
    let neighbour = plain("neighbour", Role::Researcher);
    let institution = town.get(&town.staff.officer, &format!("/v1/projects/{}", own.project)).expect(200).json["institution"].clone();
    let beside = json!({
        "title": "Beside", "institution": institution, "field_of_science": "Physics",
        "principal_investigator": {"name": "Example Investigator"},
    });
    town.make(&neighbour, "/v1/projects", &beside);
    let both = Actor { donor: Id::parse(&foreign.donor).ok(), ..actor("both", &[Role::Officer, Role::Donor]) };
    BTreeMap::from([
        ("donor", own.as_donor.clone()),
        ("donor+", donor("donor-a2", &own.donor)),
        ("donor-", foreign.as_donor.clone()),
        ("donor0", plain("donor-0", Role::Donor)),
        ("officer", town.staff.officer.clone()),
        ("officer2", town.staff.officer2.clone()),
        ("resear", own.as_researcher.clone()),
        ("resear+", neighbour),
        ("resear-", foreign.as_researcher.clone()),
        ("resear0", plain("researcher-0", Role::Researcher)),
        ("provid", own.as_provider.clone()),
        ("provid+", provider("provider-a2", &own.centre)),
        ("provid-", foreign.as_provider.clone()),
        ("provid0", plain("provider-0", Role::Provider)),
        ("auditor", town.staff.auditor.clone()),
        ("admin", town.staff.admin.clone()),
        ("admin2", plain("admin2", Role::Admin)),
        ("both", town.token(&both)),
    ])
}
