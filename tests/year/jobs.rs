//! What operators do about jobs: reports, holds, refunds, and reports that could not be charged.

use serde_json::{Value, json};

use super::stage::{Stage, Who};
use super::sums::{Sum, Use};
use super::year::{By, Deed, Hold, Year};

/// Jobs of one grant on one resource, about to be reported.
pub struct Report<'y> {
    year: &'y mut Year,
    who: Who,
    grant: &'static str,
    resource: &'static str,
    uses: Vec<Use>,
    words: &'static str,
    ended: i64,
    high: bool,
    called: Option<&'static str>,
}

impl<'y> By<'y> {
    /// Reports jobs that ended today, an hour ago.
    pub fn reports(self, grant: &'static str, resource: &'static str, used: &'static str) -> Report<'y> {
        let By { year, who } = self;
        let ended = year.today();
        Report { year, who, grant, resource, uses: Use::read_all(used), words: used, ended, high: false, called: None }
    }

    /// Sets credits aside for a job until the beginning of a day.
    pub fn sets_aside(self, name: &'static str, (grant, resource): (&'static str, &'static str), used: &str, until: i64) -> Deed<'y> {
        let (used, today) = (Use::read_all(used)[0], self.year.today());
        let unit = self.year.sheet.grant(grant).unit;
        let minor = used.price(self.year.sheet.rate(resource, unit, today));
        let body = json!({
            "grant": self.year.stage.id("grant", grant), "resource": self.year.stage.id("resource", resource),
            "quantities": used.quantities(), "expires_at": Stage::time(until, 0).to_string(),
        });
        let words = format!("sets {} of {grant} aside for {name}, until day {until:03}", Sum { minor, unit });
        self.deed("/v1/holds", body, words).makes("hold", name).then(move |year, answer| {
            let held = year.sheet.hold(grant, resource, minor, until);
            assert_eq!(year.parts_of(&answer["lots"]), held.parts, "{answer}");
            year.holds.insert(name, Hold { held, resource, until });
            String::new()
        })
    }

    /// Ends a hold with what was used.
    pub fn settles(self, name: &'static str, used: &str) -> Deed<'y> {
        let hold = self.year.holds.remove(name).expect("a hold");
        let (words, used, today, resource) = (used.to_owned(), Use::read_all(used)[0], self.year.today(), hold.resource);
        let unit = self.year.sheet.grant(&hold.held.grant.clone()).unit;
        let price = used.price(self.year.sheet.rate(resource, unit, today));
        let body = json!({
            "external_id": self.year.stage.fresh("job"), "resource": self.year.stage.id("resource", resource),
            "quantities": used.quantities(), "ended_at": self.year.ago(60),
        });
        let path = format!("/v1/holds/{}/settle", self.year.stage.id("hold", name));
        let told = format!("reports {name}: {words} cost {}", Sum { minor: price, unit });
        self.deed(path, body, told).makes("charge", name).then(move |year, answer| {
            let place = year.sheet.settle(&hold.held, resource, price, today);
            year.check_charge(answer, place, price);
            year.jobs.insert(name, place);
            "; what else was set aside is free again".into()
        })
    }

    pub fn releases(self, name: &'static str) -> Deed<'y> {
        let hold = self.year.holds.remove(name).expect("a hold");
        let path = format!("/v1/holds/{}/release", self.year.stage.id("hold", name));
        self.deed(path, json!({}), format!("lets go what was set aside for {name}: it never ran")).then(move |year, _| {
            year.sheet.release(&hold.held);
            String::new()
        })
    }

    /// Gives back part of what a job cost.
    pub fn refunds(self, job: &'static str, sum: &str, reason: &str) -> Deed<'y> {
        let sum = Sum::read(sum);
        let path = format!("/v1/charges/{}/refunds", self.year.stage.id("charge", job));
        let body = json!({"amount": sum.json(), "reason": reason});
        self.deed(path, body, format!("gives back {sum} of {job}: \"{reason}\"")).then(move |year, _| {
            year.sheet.refund(year.jobs[job], sum.minor);
            String::new()
        })
    }

    /// Charges a report that was kept aside.
    pub fn charges_after_all(self, name: &'static str) -> Deed<'y> {
        let (grant, resource, price, ended) = self.year.kept[name];
        let path = format!("/v1/usage/quarantine/{}/resolve", self.year.stage.id("usage", name));
        let deed = self.deed(path, json!({"action": "charge"}), format!("has {name} charged after all")).makes("charge", name);
        deed.then(move |year, answer| {
            let place = year.sheet.charge(grant, resource, price, ended);
            year.check_charge(answer, place, price);
            year.jobs.insert(name, place);
            format!(", {}", Year::sum_of(&answer["amount"]))
        })
    }

    pub fn dismisses(self, name: &'static str, reason: &str) -> Deed<'y> {
        let path = format!("/v1/usage/quarantine/{}/resolve", self.year.stage.id("usage", name));
        self.deed(path, json!({"action": "dismiss", "reason": reason}), format!("dismisses the report of {name}: \"{reason}\""))
    }
}

impl Report<'_> {
    pub fn called(mut self, name: &'static str) -> Self {
        self.called = Some(name);
        self
    }

    /// They ended on an earlier day.
    pub fn ended(mut self, day: i64) -> Self {
        self.ended = day;
        self
    }

    /// They ran with high priority, at twice the price.
    pub fn with_high_priority(mut self) -> Self {
        self.high = true;
        self
    }

    fn records(&self) -> Vec<Value> {
        let late = self.ended < self.year.today();
        let at = |hours: i64| if late { Stage::time(self.ended, 23 * 60 - hours * 60).to_string() } else { self.year.ago(60 + hours * 60) };
        let one = |used: &Use| {
            let mut record = json!({
                "external_id": self.year.stage.fresh("job"), "grant": self.year.stage.id("grant", self.grant),
                "resource": self.year.stage.id("resource", self.resource), "quantities": used.quantities(),
                "started_at": at(3), "ended_at": at(0),
            });
            if self.high {
                record["qos"] = json!("high");
            }
            record
        };
        self.uses.iter().map(one).collect()
    }

    fn prices(&mut self) -> Vec<i64> {
        let unit = self.year.sheet.grant(self.grant).unit;
        let rate = self.year.sheet.rate(self.resource, unit, self.ended) * if self.high { 2 } else { 1 };
        self.uses.iter().map(|used| used.price(rate)).collect()
    }

    fn told(&self) -> String {
        let jobs = if self.uses.len() == 1 { "a job".to_owned() } else { format!("{} jobs", self.uses.len()) };
        let high = if self.high { ", with high priority" } else { "" };
        let late = if self.ended < self.year.today() { format!(", ended on day {:03}", self.ended) } else { String::new() };
        let called = self.called.map(|name| format!(", {name}")).unwrap_or_default();
        format!("{} reports {jobs} of {} on {}{called} ({}{high}{late})", self.who, self.grant, self.resource, self.words)
    }

    /// One by one or as a batch; what was charged, as the API shows it.
    fn send(&self, records: &[Value]) -> Vec<Value> {
        if let [one] = records {
            return vec![self.year.stage.post(self.who, "/v1/usage", &[], one).expect(201).json];
        }
        let answer = self.year.stage.post(self.who, "/v1/usage/batch", &[], &json!({"records": records})).expect(207).json;
        let results = answer["results"].as_array().expect("results").clone();
        results.into_iter().map(|result| result["charge"].clone()).collect()
    }

    /// They are charged; told once more, they are not charged twice.
    pub fn done(self) {
        self.charged(0);
    }

    /// They are charged, and so much of the last one goes beyond the grant.
    pub fn overdrawn(self, beyond: &str) {
        let beyond = Sum::read(beyond);
        self.charged(beyond.minor);
    }

    fn charged(mut self, beyond: i64) {
        self.year.tick();
        let (prices, records) = (self.prices(), self.records());
        let (charges, told) = (self.send(&records), self.told());
        assert_eq!(charges.len(), prices.len());
        let unit = self.year.sheet.grant(self.grant).unit;
        let mut owed = 0;
        for (charge, price) in charges.iter().zip(&prices) {
            let place = self.year.sheet.charge(self.grant, self.resource, *price, self.ended);
            owed += self.year.sheet.jobs[place].owed;
            self.year.check_charge(charge, place, *price);
            if let Some(name) = self.called {
                self.year.jobs.insert(name, place);
                self.year.stage.name("charge", name, charge["id"].as_str().expect("an id"));
            }
        }
        assert_eq!(owed, beyond, "beyond {}", self.grant);
        let again = self.year.stage.post(self.who, "/v1/usage/batch", &[], &json!({"records": records})).expect(207).json;
        assert_eq!(again["summary"]["duplicate"], json!(records.len()), "{again}");
        let sum = |minor| Sum { minor, unit };
        let mut line = format!("{told}: {}", sum(prices.iter().sum()));
        if beyond > 0 {
            line.push_str(&format!(", {} of it beyond the grant", sum(beyond)));
        }
        self.year.tell(&line);
    }

    /// The report can't be charged, and is kept aside for this reason.
    pub fn kept(mut self, code: &str) {
        self.year.tick();
        let (price, name) = (self.prices()[0], self.called.expect("a name"));
        let answer = self.year.stage.post(self.who, "/v1/usage", &[], &self.records()[0]);
        assert_eq!(answer.json["code"].as_str(), Some(code), "{}", answer.text);
        let kept = answer.json["params"]["quarantine"].as_str().expect("what was kept");
        self.year.stage.name("usage", name, kept);
        self.year.kept.insert(name, (self.grant, self.resource, price, self.ended));
        let title = answer.json["title"].as_str().expect("a title").trim_end_matches('.').to_owned();
        let line = format!("KEPT ASIDE ({code}: {title}): {}", self.told());
        self.year.tell(&line);
    }
}

impl Year {
    /// What a charge says is what the spreadsheet has of it.
    fn check_charge(&self, charge: &Value, place: usize, price: i64) {
        let job = &self.sheet.jobs[place];
        let owed = if charge["overdraft"].is_null() { 0 } else { Year::sum_of(&charge["overdraft"]).minor };
        let parts: Vec<(String, i64)> = job.parts.iter().filter(|(_, part)| *part > 0).cloned().collect();
        assert_eq!((Year::sum_of(&charge["amount"]).minor, owed), (price, job.owed), "{charge}");
        assert_eq!(self.parts_of(&charge["lots"]), parts, "{charge}");
    }
}
