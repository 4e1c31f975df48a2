//! What researchers and officers do about grants: projects, requests, their lives, decisions, amendments.

use serde_json::{Value, json};

use super::sheet::Grant;
use super::stage::{Stage, Who};
use super::sums::{Plan, Sum};
use super::year::{Asked, By, Change, Deed, Year};

fn period((from, to): (i64, i64)) -> Value {
    json!({"from": Stage::time(from, 0).to_string(), "to": Stage::time(to, 0).to_string()})
}

impl<'y> By<'y> {
    pub fn founds(self, project: &'static str, institution: &str, field: &str) -> Deed<'y> {
        let body = json!({
            "title": project, "institution": self.year.stage.id("institution", institution), "field_of_science": field,
            "principal_investigator": {"name": format!("Leader of {project}")}, "external_id": project.to_lowercase().replace(' ', "-"),
        });
        self.deed("/v1/projects", body, format!("register their project, {field} at {institution}")).makes("project", project)
    }

    pub fn takes_in(self, project: &str, member: Who) -> Deed<'y> {
        let path = format!("/v1/projects/{}/members", self.year.stage.id("project", project));
        self.deed(path, json!({"subject": member.subject(), "role": "member"}), format!("take {member} in as a member"))
    }

    /// Asks for credits for a project from the beginning of a day to that of another.
    pub fn asks(self, name: &'static str, project: &str, sum: &str, days: (i64, i64), why: &str) -> Deed<'y> {
        let sum = Sum::read(sum);
        let body = json!({
            "project": self.year.stage.id("project", project), "requested": sum.json(), "period": period(days), "justification": why,
        });
        let verb = if matches!(self.who, Who::Of(_)) { "ask" } else { "asks" };
        let words = format!("{verb} for {sum} as {name}, day {:03} to day {:03}: \"{why}\"", days.0, days.1);
        self.deed("/v1/grants", body, words).makes("grant", name).then(move |year, answer| {
            let renews = answer["renews"].as_str().map(|id| year.stage.named("grant", id));
            year.asked.insert(name, Asked { sum, ends: days.1, renews });
            if answer["state"] == "draft" { " (a draft)".into() } else { String::new() }
        })
    }

    /// Changes what is asked for.
    pub fn revises(self, name: &'static str, sum: &str, days: (i64, i64), why: &str) -> Deed<'y> {
        let (sum, path) = (Sum::read(sum), self.grant(name));
        let body = json!({"requested": sum.json(), "period": period(days), "justification": why, "reason": "As we now see it."});
        let words = format!("change {name} to {sum}, day {:03} to day {:03}: \"{why}\"", days.0, days.1);
        self.deed(format!("{path}/revision"), body, words).on_version_of(path).then(move |year, _| {
            let asked = year.asked.get_mut(name).expect("a request");
            (asked.sum, asked.ends) = (sum, days.1);
            String::new()
        })
    }

    pub fn grant(&self, name: &str) -> String {
        format!("/v1/grants/{}", self.year.stage.id("grant", name))
    }

    fn step(self, name: &str, step: &str, words: &str, reason: &str) -> Deed<'y> {
        let path = format!("{}/{step}", self.grant(name));
        self.deed(path, json!({"reason": reason}), format!("{words} {name}: \"{reason}\""))
    }

    pub fn submits(self, name: &str, reason: &str) -> Deed<'y> {
        self.step(name, "submit", "hand in", reason)
    }

    pub fn takes_up(self, name: &str, reason: &str) -> Deed<'y> {
        self.step(name, "review", "takes up", reason)
    }

    pub fn withdraws(self, name: &str, reason: &str) -> Deed<'y> {
        self.step(name, "withdraw", "withdraw", reason)
    }

    pub fn suspends(self, name: &str, reason: &str) -> Deed<'y> {
        self.step(name, "suspend", "suspends", reason)
    }

    pub fn resumes(self, name: &str, reason: &str) -> Deed<'y> {
        self.step(name, "resume", "resumes", reason)
    }

    pub fn stands_back_from(self, name: &str, reason: &str) -> Deed<'y> {
        self.step(name, "recusal", "stands back from", reason)
    }

    pub fn closes(self, name: &'static str, reason: &str) -> Deed<'y> {
        self.step(name, "close", "close", reason).then(move |year, _| closed(year, name))
    }

    pub fn declares_conflict_with(self, institution: &str, reason: &str) -> Deed<'y> {
        let body = json!({"institution": self.year.stage.id("institution", institution), "reason": reason});
        self.deed("/v1/conflicts", body, format!("declares a conflict of interest with {institution}: \"{reason}\""))
    }

    // Decisions.

    fn decides(self, path: String, verdict: &str, words: String, reason: &str) -> Deed<'y> {
        let body = json!({"verdict": verdict, "reason": reason, "no_conflict": true});
        self.deed(format!("{path}/decisions"), body, format!("{words}: \"{reason}\"")).on_version_of(path)
    }

    /// Approves what a plan names in words, after a look at the preview.
    pub fn approves(self, name: &'static str, plan: &str, reason: &str) -> Deed<'y> {
        let (plan, asked, path) = (Plan::read(plan), self.year.asked[name].clone(), self.grant(name));
        let words = match plan.sum() == asked.sum {
            true => format!("approves {name} in full, {plan}"),
            false => format!("approves {name} in part, {plan} where {} were asked for", asked.sum),
        };
        let deed = self.decides(path, "approve", words, reason).with("awarded", plan.sum().json()).tried_first();
        deed.then(move |year, answer| award(year, name, &asked, &plan, answer))
    }

    pub fn rejects(self, name: &str, reason: &str) -> Deed<'y> {
        let path = self.grant(name);
        self.decides(path, "reject", format!("rejects {name}"), reason)
    }

    pub fn sends_back(self, name: &str, question: &str) -> Deed<'y> {
        let path = self.grant(name);
        self.decides(path, "return", format!("sends {name} back"), question)
    }

    // Amendments.

    /// Asks for a change to a grant; the sum where there is one.
    pub fn wants(self, name: &'static str, change: Change, sum: Option<&str>, reason: &str) -> Deed<'y> {
        let sum = sum.map(Sum::read);
        let shown = sum.map(|sum| sum.to_string()).unwrap_or_default();
        let verb = if matches!(self.who, Who::Of(_)) { "ask" } else { "asks" };
        let (grant, kind, words) = match change {
            Change::Supplement(grant) => (grant, "supplement", format!("{verb} for {shown} more for {grant}")),
            Change::Reduction(grant) => (grant, "reduction", format!("{verb} to take {shown} back from {grant}")),
            Change::Transfer(from, to) => (from, "transfer", format!("{verb} to pass {shown} on from {from} to {to}")),
            Change::Extension(grant, day) => (grant, "extension", format!("{verb} that {grant} end on day {day:03}")),
            Change::Closing(grant) => (grant, "closing", format!("{verb} that {grant} be closed")),
        };
        let mut body = json!({"kind": kind, "reason": reason});
        if let Some(sum) = sum {
            body["amount"] = sum.json();
        }
        match change {
            Change::Transfer(_, to) => body["to"] = json!(self.year.stage.id("grant", to)),
            Change::Extension(_, day) => body["ends_at"] = json!(Stage::time(day, 0).to_string()),
            _ => {}
        }
        let path = format!("{}/amendments", self.grant(grant));
        self.deed(path, body, format!("{words}: \"{reason}\"")).makes("amendment", name).then(move |year, _| {
            year.changes.insert(name, change);
            String::new()
        })
    }

    fn amendment(&self, name: &str) -> String {
        format!("/v1/amendments/{}", self.year.stage.id("amendment", name))
    }

    /// Agrees to a change; the plan in words where credits move.
    pub fn agrees_to(self, name: &'static str, plan: Option<&str>, reason: &str) -> Deed<'y> {
        let (change, path, plan) = (self.year.changes[name], self.amendment(name), plan.map(Plan::read));
        let words = match &plan {
            Some(plan) => format!("agrees to {name}, {plan}"),
            None => format!("agrees to {name}"),
        };
        let mut deed = self.decides(path, "approve", words, reason).tried_first();
        if let Some(plan) = &plan {
            deed = deed.with("awarded", plan.sum().json());
        }
        deed.then(move |year, answer| amend(year, change, plan.as_ref(), answer))
    }

    pub fn declines(self, name: &str, reason: &str) -> Deed<'y> {
        let path = self.amendment(name);
        self.decides(path, "reject", format!("declines {name}"), reason)
    }
}

impl Deed<'_> {
    /// The officer names the lots, instead of leaving them to the draw-down order.
    pub fn naming_lots(mut self, plan: &str) -> Self {
        let plan = Plan::read(plan);
        let lot = |(name, part): &(String, i64)| json!({"lot": self.year.stage.id("lot", name), "amount": Sum { minor: *part, unit: plan.unit }.json()});
        self.body["lots"] = plan.parts.iter().map(lot).collect();
        self
    }

    pub fn for_purpose(self, purpose: &str) -> Self {
        self.with("purpose", purpose).words(&format!(" (for {purpose})"))
    }

    pub fn renewing(self, name: &str) -> Self {
        let id = self.year.stage.id("grant", name);
        self.with("renews", id).words(&format!(" (it follows {name})"))
    }

    /// Usage beyond the grant is refused and kept aside.
    pub fn without_overdraft(self) -> Self {
        self.with("overdraft", "reject").words(" (nothing beyond it)")
    }

    pub fn still_a_draft(self) -> Self {
        self.with("draft", true)
    }
}

/// How many approvals there are, where one is not enough.
fn approvals(answer: &Value) -> String {
    let (given, needed) = (&answer["approvals"]["given"], &answer["approvals"]["needed"]);
    assert_eq!(given, needed, "{answer}");
    if needed == 1 { String::new() } else { format!(" (approval {given} of {needed})") }
}

fn award(year: &mut Year, name: &'static str, asked: &Asked, plan: &Plan, answer: &Value) -> String {
    assert_eq!(year.parts_of(&answer["decision"]["lots"]), plan.parts, "the funding of {name}");
    let before = asked.renews.as_deref();
    let carried = before.map(|before| year.sheet.share_of_free(before, year.carry_over[&plan.unit])).unwrap_or_default();
    assert_eq!(year.parts_of(&answer["carried"]), carried, "what {name} takes along");
    let grant = Grant { name: name.into(), unit: plan.unit, ends: asked.ends, closed: false, booked: false };
    year.sheet.grants.push(grant);
    year.sheet.award(name, &plan.parts);
    let mut more = approvals(answer);
    if let Some(before) = before {
        year.sheet.pass_on(before, name, &carried);
        let sum = Sum { minor: carried.iter().map(|(_, part)| part).sum(), unit: plan.unit };
        more.push_str(&format!(" ({sum} are taken along from {before})"));
    }
    let lapsing = answer["will_lapse"].as_array().expect("lots").iter();
    let lapsing: Vec<String> = lapsing.map(|id| year.stage.named("lot", id.as_str().expect("a lot"))).collect();
    if !lapsing.is_empty() {
        more.push_str(&format!(" (warned: {} expires before the grant ends)", lapsing.join(" and ")));
    }
    assert_eq!(answer["grant"]["state"], "active");
    more
}

fn amend(year: &mut Year, change: Change, plan: Option<&Plan>, answer: &Value) -> String {
    let parts = plan.map(|plan| plan.parts.clone()).unwrap_or_default();
    assert_eq!(year.parts_of(&answer["decision"]["lots"]), parts, "{answer}");
    let more = approvals(answer);
    match change {
        Change::Supplement(grant) => year.sheet.award(grant, &parts),
        Change::Reduction(grant) => year.sheet.give_back(grant, &parts),
        Change::Transfer(from, to) => year.sheet.pass_on(from, to, &parts),
        Change::Extension(grant, day) => year.sheet.grant(grant).ends = day,
        Change::Closing(grant) => return more + &closed(year, grant),
    }
    more
}

fn closed(year: &mut Year, name: &str) -> String {
    let today = year.today();
    let grant = year.sheet.grant(name);
    (grant.ends, grant.closed) = (today, true);
    String::new()
}

impl Year {
    /// The report on grants that have used little names one, and proposes this.
    pub fn finds_little_used(&mut self, name: &str, proposed: &str) {
        let proposed = Sum::read(proposed);
        let report = self.read(Who::Officer(1), "/v1/under-used-grants?elapsed_at_least=40");
        let id = self.stage.id("grant", name);
        let row = report["data"].as_array().expect("rows").iter().find(|row| row["grant"] == id.as_str()).cloned().expect("the grant");
        let free = self.sheet.share_of_free(name, 20);
        assert_eq!(Year::sum_of(&row["proposed"]).minor, free.iter().map(|(_, part)| part).sum::<i64>(), "a fifth of what is free");
        let (elapsed, used) = (&row["elapsed_percent"], &row["used_percent"]);
        self.tell(&format!(
            "the report on little-used grants names {name}: {elapsed} % of its time has passed, {used} % of its credits are used; {} might go \
             back, and the officers settle on {proposed}",
            Year::sum_of(&row["proposed"]),
        ));
    }
}
