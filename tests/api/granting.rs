//! A grant's whole life over HTTP: draft, questions, review, approvals above thresholds, amendments, and everybody who may not decide.

use almoner::actor::Role;
use serde_json::{Value, json};

use crate::support::database::databases;
use crate::support::server::Answer;
use crate::town::{Side, Town, actor, day, job, merge, text, usd};

#[test]
fn grants_are_written_asked_decided_amended_and_closed() {
    for database in databases() {
        let (town, own, foreign) = Town::settled(database);
        drafts_are_written_and_questions_answered(&town, &own);
        thresholds_need_more_persons_however_a_sum_is_split(&town, &own);
        whoever_has_a_part_does_not_decide(&town, &own, &foreign);
        amendments_have_decisions_of_their_own(&town, &own, &foreign);
        a_preview_shows_what_pays_an_overdraft(&town, &own);
        large_refunds_take_another_person(&town, &own);
        suspended_grants_take_no_new_job(&town, &own);
        renewals_take_along_what_the_policy_says(&town, &own);
        little_used_grants_are_reported(&town, &own);
        let audit = town.get(&town.staff.auditor, "/v1/audit").expect(200).json;
        assert_eq!(audit["holds"], json!(true), "{audit}");
        let four_eyes = audit["laws"].as_array().and_then(|laws| laws.iter().find(|law| law["number"] == 10)).expect("laws");
        assert!(four_eyes["checked"].as_u64().is_some_and(|checked| checked >= 30), "{four_eyes}");
    }
}

/// An officer's token beside those of the town.
fn officer(town: &Town, name: &str) -> String {
    town.token(&actor(name, &[Role::Officer]))
}

/// A verdict on a grant or an amendment, on the version it has now.
fn rule(town: &Town, token: &str, place: &str, more: &Value) -> Answer {
    let read = town.get(&town.staff.officer, place).expect(200);
    let mut verdict = json!({"verdict": "approve", "reason": "Sound.", "no_conflict": true});
    merge(&mut verdict, more);
    town.post_with(token, &format!("{place}/decisions"), &[("if-match", read.header("etag"))], &verdict)
}

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.json["code"].as_str()), (status, Some(code)), "{}", answer.text);
}

fn state(town: &Town, grant: &str) -> Value {
    town.get(&town.staff.officer, &format!("/v1/grants/{grant}")).expect(200).json["state"].clone()
}

/// A request of the side's project, at its address.
fn request(town: &Town, own: &Side, amount: &str, more: &Value) -> String {
    format!("/v1/grants/{}", text(&town.request(&own.as_researcher, &own.project, amount, more), "id"))
}

fn amendment(town: &Town, token: &str, grant: &str, more: &Value) -> String {
    let mut new = json!({"reason": "It is needed."});
    merge(&mut new, more);
    format!("/v1/amendments/{}", text(&town.make(token, &format!("{grant}/amendments"), &new), "id"))
}

fn balance(town: &Town, grant: &str) -> Value {
    town.get(&town.staff.officer, &format!("{grant}/balance")).expect(200).json
}

fn drafts_are_written_and_questions_answered(town: &Town, own: &Side) {
    let (researcher, officer) = (&own.as_researcher, &town.staff.officer);
    let grant = request(town, own, "9", &json!({"draft": true}));
    refused(&rule(town, officer, &grant, &json!({})), 409, "already_decided");
    let revised = json!({"requested": usd("8"), "period": {"from": day(-1), "to": day(40)}, "justification": "Better said.", "reason": "It was not clear."});
    let revise = |version: &str, body: &Value| town.post_with(researcher, &format!("{grant}/revision"), &[("if-match", version)], body);
    refused(&revise("\"v9\"", &revised), 412, "version_mismatch");
    assert_eq!(revise("\"v1\"", &revised).expect(201).json["requested"], usd("8.000000"));
    let step = |token: &str, verb: &str| town.post(token, &format!("{grant}/{verb}"), &json!({"reason": "It is time."}));
    assert_eq!(step(researcher, "submit").expect(201).json["state"], "requested");
    refused(&step(researcher, "submit"), 409, "already_decided");
    assert_eq!(step(officer, "review").expect(201).json["state"], "in_review");
    let returned = rule(town, officer, &grant, &json!({"verdict": "return", "reason": "Which data?"})).expect(201);
    assert_eq!((&returned.json["grant"]["state"], &returned.json["postings"]), (&json!("returned"), &json!([])));
    refused(&rule(town, officer, &grant, &json!({})), 409, "already_decided");
    assert_eq!(step(researcher, "submit").expect(201).json["state"], "requested");
    // The officer who asked the questions may decide: a return approves nothing.
    let awarded = rule(town, officer, &grant, &json!({"awarded": usd("5")})).expect(201).json;
    let figures = (&awarded["grant"]["state"], &awarded["grant"]["requested"], &awarded["grant"]["awarded"]);
    assert_eq!(figures, (&json!("active"), &usd("8.000000"), &usd("5.000000")));
    assert_eq!(awarded["approvals"], json!({"given": 1, "needed": 1}));
    refused(&step(researcher, "withdraw"), 409, "already_decided");
    let steps = town.get(researcher, &format!("{grant}/steps")).expect(200).json;
    let taken = steps["data"].as_array().expect("steps");
    let words: Vec<&str> = taken.iter().filter_map(|s| s["step"].as_str()).collect();
    let told = |step: &Value| ["person", "reason", "created_at"].iter().all(|name| step[name].is_string());
    assert!(taken.iter().all(|step| told(step) || (step["step"] == "request" && step["person"].is_string())), "{steps}");
    assert_eq!(sorted(words), ["request", "review", "revision", "submission", "submission"]);
    let gone = request(town, own, "1", &json!({}));
    assert_eq!(town.post(researcher, &format!("{gone}/withdraw"), &json!({"reason": "Not now."})).expect(201).json["state"], "withdrawn");
    for verb in ["submit", "withdraw", "close"] {
        refused(&town.post(researcher, &format!("{gone}/{verb}"), &json!({})), 422, "validation_failed");
    }
}

fn sorted(mut words: Vec<&str>) -> Vec<&str> {
    words.sort_unstable();
    words
}

fn thresholds_need_more_persons_however_a_sum_is_split(town: &Town, own: &Side) {
    let (first, second, third) = (&town.staff.officer, &town.staff.officer2, officer(town, "officer3"));
    // The side's own grants already came to 105 within 30 days.
    let policy = json!({"unit": "USD", "two_above": usd("150"), "three_above": usd("200"), "carry_over_percent": 50});
    assert_eq!(town.make("admin", "/v1/policies", &policy)["state"], "in_force");
    let looser = json!({"unit": "USD", "two_above": usd("100000")});
    let looser = town.make("admin", "/v1/policies", &looser);
    assert_eq!(looser["state"], "proposed", "a later policy binds nobody before another person confirms it");
    let confirm = format!("/v1/policies/{}/confirmation", text(&looser, "id"));
    refused(&town.post(&town.staff.admin, &confirm, &json!({})), 403, "self_approval");
    // 40 alone is far below the threshold; with what the project was given this month it is not.
    let split: Vec<String> = (0..2).map(|_| request(town, own, "40", &json!({}))).collect();
    assert_eq!(rule(town, first, &split[0], &json!({})).expect(201).json["approvals"], json!({"given": 1, "needed": 1}));
    let waits = rule(town, first, &split[1], &json!({"overdraft": "reject"})).expect(201).json;
    assert_eq!((&waits["grant"]["state"], &waits["approvals"]["needed"]), (&json!("awaiting_second_approval"), &json!(2)));
    assert_eq!((&waits["grant"]["awarded"], &waits["decision"]["effective"]), (&usd("0.000000"), &json!(false)));
    refused(&rule(town, first, &split[1], &json!({})), 403, "same_approver_twice");
    refused(&rule(town, first, &split[1], &json!({"verdict": "reject"})), 403, "same_approver_twice");
    let other = rule(town, second, &split[1], &json!({"awarded": usd("39")}));
    assert_eq!(other.expect(422).json["errors"][0]["pointer"], "/awarded");
    // Any edit voids the first approval.
    let body = json!({"requested": usd("41"), "period": {"from": day(-1), "to": day(40)}, "justification": "A little more.", "reason": "Prices rose."});
    let read = town.get(first, &split[1]).expect(200);
    let revised = town.post_with(&own.as_researcher, &format!("{}/revision", split[1]), &[("if-match", read.header("etag"))], &body);
    assert_eq!(revised.expect(201).json["state"], "in_review");
    assert_eq!(rule(town, second, &split[1], &json!({})).expect(201).json["approvals"], json!({"given": 1, "needed": 2}));
    let both = rule(town, first, &split[1], &json!({})).expect(201).json;
    assert_eq!((&both["grant"]["state"], &both["grant"]["awarded"]), (&json!("active"), &usd("41.000000")));
    let large = request(town, own, "20", &json!({}));
    for (place, token) in [first.as_str(), second, &third].into_iter().enumerate() {
        let given = rule(town, token, &large, &json!({})).expect(201).json;
        assert_eq!(given["approvals"], json!({"given": place + 1, "needed": 3}));
    }
    assert_eq!(state(town, large.trim_start_matches("/v1/grants/")), "active");
    // From here on the tests are about something else.
    town.post(first, &confirm, &json!({})).expect(201);
}

fn whoever_has_a_part_does_not_decide(town: &Town, own: &Side, foreign: &Side) {
    let grant = request(town, own, "1", &json!({}));
    let undeclared = rule(town, &town.staff.officer, &grant, &json!({"no_conflict": false}));
    refused(&undeclared, 403, "conflict_of_interest");
    let missing = town.post_with(
        &town.staff.officer,
        &format!("{grant}/decisions"),
        &[("if-match", "\"v1\"")],
        &json!({"verdict": "reject", "reason": "No."}),
    );
    assert_eq!(missing.expect(422).json["errors"][0]["pointer"], "/no_conflict");
    let member = officer(town, "member");
    town.make(&own.as_researcher, &format!("/v1/projects/{}/members", own.project), &json!({"subject": "member", "role": "member"}));
    refused(&rule(town, &member, &grant, &json!({})), 403, "conflict_of_interest");
    let partial = officer(town, "partial");
    let project = town.get(&partial, &format!("/v1/projects/{}", own.project)).expect(200).json;
    let conflict = json!({"institution": project["institution"], "reason": "I taught there."});
    town.make(&partial, "/v1/conflicts", &conflict);
    refused(&rule(town, &partial, &grant, &json!({"verdict": "reject"})), 403, "conflict_of_interest");
    let elsewhere = format!("/v1/grants/{}", text(&town.request(&foreign.as_researcher, &foreign.project, "1", &json!({})), "id"));
    rule(town, &partial, &elsewhere, &json!({"verdict": "reject"})).expect(201);
    let recused = officer(town, "recused");
    town.make(&recused, &format!("{grant}/recusal"), &json!({"reason": "A friend asks."}));
    refused(&rule(town, &recused, &grant, &json!({})), 403, "conflict_of_interest");
    let donor = town
        .token(&almoner::actor::Actor { donor: almoner::id::Id::parse(&own.donor).ok(), ..actor("both", &[Role::Officer, Role::Donor]) });
    refused(&rule(town, &donor, &grant, &json!({})), 403, "conflict_of_interest");
    // Whoever changed what is asked for has asked for it, and only those who ask may change it.
    let author = town.token(&actor("author", &[Role::Officer, Role::Researcher]));
    let body = json!({"requested": usd("2"), "period": {"from": day(-1), "to": day(40)}, "justification": "On their behalf.", "reason": "They asked me to."});
    let read = town.get(&author, &grant).expect(200);
    let revise = || town.post_with(&author, &format!("{grant}/revision"), &[("if-match", read.header("etag"))], &body);
    refused(&revise(), 404, "not_found");
    refused(&town.post(&author, &format!("{grant}/withdraw"), &json!({"reason": "Not theirs."})), 404, "not_found");
    town.make(&own.as_researcher, &format!("/v1/projects/{}/members", own.project), &json!({"subject": "author", "role": "member"}));
    revise().expect(201);
    refused(&rule(town, &author, &grant, &json!({})), 403, "self_approval");
    rule(town, &town.staff.officer, &grant, &json!({})).expect(201);
}

fn amendments_have_decisions_of_their_own(town: &Town, own: &Side, foreign: &Side) {
    let (first, second) = (&town.staff.officer, &town.staff.officer2);
    let grant = request(town, own, "10", &json!({}));
    rule(town, first, &grant, &json!({})).expect(201);
    let more = amendment(town, &own.as_researcher, &grant, &json!({"kind": "supplement", "amount": usd("6")}));
    let tried = town.post_with(
        first,
        &format!("{more}/decisions?dry_run=true"),
        &[("if-match", "\"v1\"")],
        &json!({"verdict": "approve", "reason": "Sound.", "no_conflict": true}),
    );
    let tried = tried.expect(200).json;
    let done = rule(town, first, &more, &json!({})).expect(201).json;
    assert_eq!((&tried["postings"], &done["grant"]["awarded"]), (&done["postings"], &usd("16.000000")));
    refused(&rule(town, second, &more, &json!({})), 409, "already_decided");
    let own_wish = amendment(town, first, &grant, &json!({"kind": "reduction", "amount": usd("4")}));
    refused(&rule(town, first, &own_wish, &json!({})), 403, "self_approval");
    assert_eq!(rule(town, second, &own_wish, &json!({})).expect(201).json["amendment"]["state"], "approved");
    assert_eq!(balance(town, &grant)["deobligated"], usd("4.000000"));
    let too_much = amendment(town, first, &grant, &json!({"kind": "reduction", "amount": usd("400")}));
    let answer = rule(town, second, &too_much, &json!({}));
    refused(&answer, 409, "insufficient_credits");
    assert_eq!(answer.json["params"]["shortfall"], "388.000000");
    rule(town, second, &too_much, &json!({"verdict": "reject"})).expect(201);
    let later = amendment(town, &own.as_researcher, &grant, &json!({"kind": "extension", "ends_at": day(80)}));
    let extended = rule(town, first, &later, &json!({})).expect(201).json;
    assert_eq!(extended["grant"]["period"]["to"].as_str().map(|to| to[..10].to_owned()), Some(day(80)[..10].to_owned()));
    transfers_ask_the_donors_again(town, own, foreign, &grant);
    let open = amendment(town, &own.as_researcher, &grant, &json!({"kind": "supplement", "amount": usd("1")}));
    town.post(&own.as_researcher, &format!("{open}/withdraw"), &json!({"reason": "Not needed."})).expect(201);
    refused(&rule(town, first, &open, &json!({})), 409, "already_decided");
    let wrong = town.post(first, &format!("{grant}/amendments"), &json!({"kind": "extension", "amount": usd("1"), "reason": "Mixed up."}));
    let wrong = wrong.expect(422).json;
    let pointers = wrong["errors"].as_array().expect("errors").iter().filter_map(|e| e["pointer"].as_str()).collect();
    assert_eq!(sorted(pointers), ["/amount", "/ends_at"]);
    assert_eq!(town.post(&own.as_researcher, &format!("{grant}/close"), &json!({"reason": "Done."})).expect(201).json["state"], "closed");
    refused(
        &town.post(&own.as_researcher, &format!("{grant}/amendments"), &json!({"kind": "closing", "reason": "Again."})),
        409,
        "already_decided",
    );
}

fn transfers_ask_the_donors_again(town: &Town, own: &Side, foreign: &Side, grant: &str) {
    let (first, second) = (&town.staff.officer, &town.staff.officer2);
    let moved = amendment(town, first, grant, &json!({"kind": "transfer", "amount": usd("3"), "to": foreign.grant}));
    let before = balance(town, &format!("/v1/grants/{}", foreign.grant))["available"].clone();
    let done = rule(town, second, &moved, &json!({})).expect(201).json;
    assert_eq!(done["target"]["awarded"], usd("103.000000"));
    assert_ne!(balance(town, &format!("/v1/grants/{}", foreign.grant))["available"], before);
    assert_eq!(balance(town, grant)["transferred"], usd("3.000000"));
    // Credits for biology don't become credits for physics by way of another grant.
    let gift = town.donation(&own.donor, "50", &json!({"fields_of_science": ["Biology"]}));
    let lot = town.lot(&gift, "50", None);
    let biology = json!({
        "title": "Leaves", "institution": town.get(first, &format!("/v1/projects/{}", own.project)).expect(200).json["institution"],
        "field_of_science": "Biology", "principal_investigator": {"name": "Example Investigator"},
    });
    let biology = text(&town.make(&own.as_researcher, "/v1/projects", &biology), "id");
    let leaves = format!("/v1/grants/{}", text(&town.request(&own.as_researcher, &biology, "50", &json!({})), "id"));
    rule(town, first, &leaves, &json!({"lots": [{"lot": lot, "amount": usd("50")}]})).expect(201);
    let wish =
        amendment(town, first, &leaves, &json!({"kind": "transfer", "amount": usd("5"), "to": grant.trim_start_matches("/v1/grants/")}));
    refused(&rule(town, second, &wish, &json!({})), 409, "terms_not_met");
    refused(&rule(town, second, &wish, &json!({"lots": [{"lot": lot, "amount": usd("5")}]})), 409, "terms_not_met");
    rule(town, second, &wish, &json!({"verdict": "reject"})).expect(201);
}

/// A provider gives back so much of its own charges alone, however it is split.
fn large_refunds_take_another_person(town: &Town, own: &Side) {
    let policies = town.get(&town.staff.officer, "/v1/policies?limit=200").expect(200).json;
    let in_force =
        policies["data"].as_array().expect("policies").iter().find(|policy| policy["unit"] == "USD" && policy["state"] == "in_force");
    let mut same = json!({"unit": "USD", "refund_alone": usd("3")});
    for name in ["two_above", "three_above", "carry_over_percent"] {
        same[name] = in_force.expect("a policy")[name].clone();
    }
    let limited = text(&town.make("officer", "/v1/policies", &same), "id");
    town.make("admin", &format!("/v1/policies/{limited}/confirmation"), &json!({}));
    let grant = request(town, own, "20", &json!({"resources": [own.resource]}));
    rule(town, &town.staff.officer, &grant, &json!({})).expect(201);
    let id = grant.trim_start_matches("/v1/grants/");
    let used = job(&town.fresh("large"), &own.resource, &json!({"grant": id}));
    let charge = text(&town.server.post("/v1/usage", Some(&own.as_provider), &[], &used).expect(201).json, "id");
    let refund = |token: &str, more: &Value| {
        let mut body = json!({"reason": "A node failed."});
        merge(&mut body, more);
        town.post(token, &format!("/v1/charges/{charge}/refunds"), &body)
    };
    refused(&refund(&own.as_provider, &json!({})), 403, "approval_limit_exceeded");
    refund(&own.as_provider, &json!({"amount": usd("2")})).expect(201);
    refused(&refund(&own.as_provider, &json!({"amount": usd("2")})), 403, "approval_limit_exceeded");
    refund(&own.as_provider, &json!({"amount": usd("1")})).expect(201);
    refund(&town.staff.officer, &json!({"amount": usd("4")})).expect(201);
    let open = text(&town.make("officer", "/v1/policies", &json!({"unit": "USD", "carry_over_percent": 0})), "id");
    town.make("admin", &format!("/v1/policies/{open}/confirmation"), &json!({}));
}

/// What a supplement would post is shown to the last line, what is owed and covered at once included.
fn a_preview_shows_what_pays_an_overdraft(town: &Town, own: &Side) {
    let officer = &town.staff.officer;
    let grant = request(town, own, "10", &json!({"resources": [own.resource]}));
    rule(town, officer, &grant, &json!({"overdraft": "record"})).expect(201);
    let id = grant.trim_start_matches("/v1/grants/");
    let beyond = job(&town.fresh("beyond"), &own.resource, &json!({"grant": id, "quantities": {"gpu-hour": "5"}}));
    let owed = town.server.post("/v1/usage", Some(&own.as_provider), &[], &beyond).expect(201).json;
    assert_eq!(owed["overdraft"], usd("2.500000"));
    let more = amendment(town, &own.as_researcher, &grant, &json!({"kind": "supplement", "amount": usd("6")}));
    let verdict = json!({"verdict": "approve", "reason": "Sound.", "no_conflict": true});
    let tried = town.post_with(officer, &format!("{more}/decisions?dry_run=true"), &[("if-match", "\"v1\"")], &verdict).expect(200).json;
    let before = town.get(&town.staff.auditor, "/v1/transactions?order=desc&limit=1").expect(200).json["data"][0]["seq"].as_i64();
    let done = rule(town, officer, &more, &json!({})).expect(201).json;
    let posted = town.get(&town.staff.auditor, "/v1/transactions?order=desc&limit=10").expect(200).json;
    let new = posted["data"].as_array().expect("entries").iter().filter(|entry| entry["seq"].as_i64() > before);
    let lines = |from: &Value| -> Vec<String> {
        let lines = from.as_array().expect("lines").iter();
        lines.map(|line| format!("{} {}", line["account"], line["amount"]["value"])).collect()
    };
    let mut booked: Vec<String> = new.flat_map(|entry| lines(&entry["postings"])).collect();
    let (mut foretold, mut told) = (lines(&tried["postings"]), lines(&done["postings"]));
    [&mut booked, &mut foretold, &mut told].into_iter().for_each(|lines| lines.sort());
    assert_eq!((&foretold, foretold.len()), (&booked, 6), "a supplement of two lines and a cover of four");
    assert_eq!(told, booked);
}

fn suspended_grants_take_no_new_job(town: &Town, own: &Side) {
    let grant = request(town, own, "20", &json!({"resources": [own.resource]}));
    rule(town, &town.staff.officer, &grant, &json!({"overdraft": "reject"})).expect(201);
    let id = grant.trim_start_matches("/v1/grants/").to_owned();
    let hold = json!({"grant": id, "amount": usd("2"), "expires_at": day(1)});
    let held = text(&town.make(&own.as_provider, "/v1/holds", &hold), "id");
    town.make(&town.staff.officer, &format!("{grant}/suspend"), &json!({"reason": "A question of security."}));
    refused(&town.post(&own.as_provider, "/v1/holds", &hold), 409, "grant_not_active");
    let late = job(&town.fresh("ran-before"), &own.resource, &json!({"grant": id, "quantities": {"gpu-hour": "1"}}));
    town.server.post("/v1/usage", Some(&own.as_provider), &[], &late).expect(201);
    refused(&town.post(&own.as_researcher, &format!("{grant}/close"), &json!({"reason": "Done."})), 409, "holds_open");
    town.post(&own.as_provider, &format!("/v1/holds/{held}/release"), &json!({})).expect(201);
    town.make(&town.staff.officer2, &format!("{grant}/resume"), &json!({"reason": "Answered."}));
    town.make(&own.as_provider, "/v1/holds", &hold);
}

fn renewals_take_along_what_the_policy_says(town: &Town, own: &Side) {
    let first = request(town, own, "30", &json!({}));
    rule(town, &town.staff.officer, &first, &json!({})).expect(201);
    let policy = town.make("officer", "/v1/policies", &json!({"unit": "USD", "carry_over_percent": 50}));
    town.post(&town.staff.admin, &format!("/v1/policies/{}/confirmation", text(&policy, "id")), &json!({})).expect(201);
    let renewal = request(town, own, "7", &json!({"renews": first.trim_start_matches("/v1/grants/")}));
    let done = rule(town, &town.staff.officer, &renewal, &json!({})).expect(201).json;
    assert_eq!((&done["grant"]["awarded"], &done["carried"][0]["amount"]), (&usd("22.000000"), &usd("15.000000")));
    assert_eq!(balance(town, &first)["transferred"], usd("15.000000"));
    let stranger = json!({
        "project": own.project, "requested": usd("1"), "period": {"from": day(-1), "to": day(1)}, "justification": "Not mine.",
        "renews": "grt_0dz3z3cw4afy7s5zyp3s31mxk5",
    });
    town.post(&own.as_researcher, "/v1/grants", &stranger).expect(422);
}

fn little_used_grants_are_reported(town: &Town, own: &Side) {
    let grant = request(town, own, "40", &json!({"period": {"from": day(-60), "to": day(30)}}));
    rule(town, &town.staff.officer, &grant, &json!({})).expect(201);
    let report = |query: &str| town.get(&town.staff.officer, &format!("/v1/under-used-grants{query}")).expect(200).json;
    let found = |report: &Value| {
        let rows = report["data"].as_array().expect("rows").clone();
        rows.into_iter().find(|row| grant.ends_with(row["grant"].as_str().expect("a grant")))
    };
    let row = found(&report("")).expect("the grant");
    assert_eq!((&row["elapsed_percent"], &row["used_percent"], &row["proposed"]), (&json!(66), &json!(0), &usd("8.000000")));
    assert!(report("")["rules"].as_str().is_some_and(|words| words.contains("at least 50 %")));
    assert!(
        found(&report("?elapsed_at_least=67")).is_none()
            && found(&report("?take=10")).is_some_and(|row| row["proposed"] == usd("4.000000"))
    );
}
