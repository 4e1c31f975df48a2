//! What donors, operators and the administrator do: registers, rates, policies, donations, deliveries, returns.

use serde_json::{Value, json};

use super::sheet::{Donation, Lot, Rate};
use super::stage::{Stage, Who};
use super::sums::{Sum, Unit};
use super::year::{By, Deed};

/// A donor's terms, in the words of the API; resources by the script's names.
#[derive(Clone, Copy, Default)]
pub struct Terms {
    pub fields: &'static [&'static str],
    pub kinds: &'static [&'static str],
    pub only_on: Option<&'static str>,
    pub purpose: Option<&'static str>,
    /// Lower pays first.
    pub priority: i64,
    /// What is left at expiry goes back.
    pub returns: bool,
}

impl<'y> By<'y> {
    pub fn defines(self, unit: Unit, name: &str) -> Deed<'y> {
        let body = json!({"code": unit.code(), "scale": unit.scale(), "name": name});
        self.deed("/v1/units", body, format!("defines the unit {} with {} decimals: {name}", unit.code(), unit.scale()))
    }

    pub fn registers(self, name: &'static str, kind: &str) -> Deed<'y> {
        let deed = self.deed("/v1/institutions", json!({"name": name, "kind": kind}), format!("registers {name} ({kind})"));
        deed.makes("institution", name)
    }

    pub fn offers(self, resource: &'static str) -> Deed<'y> {
        self.deed("/v1/resources", json!({"name": resource}), format!("offers {resource}")).makes("resource", resource)
    }

    /// The price of a GPU-hour on a resource from a day on.
    pub fn asks_a_price(self, called: &'static str, resource: &'static str, price: &str, from: i64) -> Deed<'y> {
        let price = Sum::read(price);
        let path = format!("/v1/resources/{}/rates", self.year.stage.id("resource", resource));
        let from_at = Stage::time(from, 0).to_string();
        let body = json!({"meter": "gpu-hour", "price": price.json(), "from": from_at, "multipliers": {"qos": {"high": "2"}}});
        let words = format!("asks {price} for a GPU-hour on {resource} from day {from:03} on, twice that for high priority");
        let deed = self.deed(path, body, words).makes("rate", called);
        deed.then(move |year, answer| {
            let rate = Rate { resource: resource.into(), unit: price.unit, from, minor: price.minor };
            match answer["state"].as_str() {
                Some("in_force") => year.sheet.rates.push(rate),
                _ => year.proposed = Some(rate),
            }
            let state = answer["state"].as_str().expect("a state").replace('_', " ");
            format!(" ({state})")
        })
    }

    pub fn confirms_the_price(self, called: &'static str) -> Deed<'y> {
        let path = format!("/v1/rates/{}/confirmation", self.year.stage.id("rate", called));
        self.deed(path, json!({}), format!("confirms {called}")).then(|year, _| {
            let rate = year.proposed.take().expect("a proposed rate");
            year.sheet.rates.push(rate);
            String::new()
        })
    }

    /// More than so much to one project within 30 days needs two approvers, or three.
    pub fn sets_policy(self, called: &'static str, two: &str, three: Option<&str>, carry_over: i64) -> Deed<'y> {
        let (two, three) = (Sum::read(two), three.map(Sum::read));
        let mut body = json!({"unit": two.unit.code(), "two_above": two.json(), "carry_over_percent": carry_over});
        let mut words = format!("sets {called}: above {two} to one project within 30 days two officers approve");
        if let Some(three) = three {
            body["three_above"] = three.json();
            words.push_str(&format!(", above {three} three"));
        }
        if carry_over > 0 {
            words.push_str(&format!("; a renewal takes along {carry_over} % of what is left"));
        }
        self.deed("/v1/policies", body, words).makes("policy", called).then(move |year, answer| match answer["state"].as_str() {
            Some("in_force") => {
                year.carry_over.insert(two.unit, carry_over);
                String::new()
            }
            _ => {
                year.proposed_policy = Some((two.unit, carry_over));
                " (proposed)".into()
            }
        })
    }

    pub fn confirms_the_policy(self, called: &'static str) -> Deed<'y> {
        let path = format!("/v1/policies/{}/confirmation", self.year.stage.id("policy", called));
        self.deed(path, json!({}), format!("confirms {called}")).then(|year, _| {
            let (unit, carry_over) = year.proposed_policy.take().expect("a proposed policy");
            year.carry_over.insert(unit, carry_over);
            String::new()
        })
    }

    pub fn registers_donor(self, name: &'static str, kind: &str) -> Deed<'y> {
        let deed = self.deed("/v1/donors", json!({"name": name, "kind": kind}), format!("registers {name} as a donor"));
        deed.makes("donor", name).then(move |year, _| {
            year.donors.push(name);
            String::new()
        })
    }

    pub fn proposes(self, title: &'static str, donor: &'static str, pledged: &str, terms: Terms) -> Deed<'y> {
        let pledged = Sum::read(pledged);
        let mut wanted = json!({});
        let mut words = vec![format!("writes down that {donor} promises {pledged}, \"{title}\"")];
        let list = |names: &[&str]| names.join(" or ");
        if !terms.fields.is_empty() {
            wanted["fields_of_science"] = json!(terms.fields);
            words.push(format!("only for the field of {}", list(terms.fields)));
        }
        if !terms.kinds.is_empty() {
            wanted["institution_kinds"] = json!(terms.kinds);
            words.push(format!("only at institutions of the kind {}", list(terms.kinds)));
        }
        if let Some(resource) = terms.only_on {
            wanted["resources"] = json!([self.year.stage.id("resource", resource)]);
            words.push(format!("only on {resource}"));
        }
        if let Some(purpose) = terms.purpose {
            wanted["purpose"] = json!(purpose);
            words.push(format!("only for {purpose}"));
        }
        words.push(if terms.returns { "what is unused at expiry goes back" } else { "what is unused at expiry lapses" }.into());
        let body = json!({
            "donor": self.year.stage.id("donor", donor), "title": title, "pledged": pledged.json(), "terms": wanted,
            "draw_priority": terms.priority, "on_expiry": if terms.returns { "return" } else { "lapse" },
        });
        let donation = Donation {
            title: title.into(),
            donor: donor.into(),
            unit: pledged.unit,
            priority: terms.priority,
            returns: terms.returns,
            only_on: terms.only_on.map(String::from),
        };
        let deed = self.deed("/v1/donations", body, words.join(", ")).makes("donation", title);
        deed.then(move |year, _| {
            year.sheet.donations.push(donation);
            year.pledges.insert(title, pledged.minor);
            String::new()
        })
    }

    pub fn accepts(self, title: &'static str) -> Deed<'y> {
        let path = format!("/v1/donations/{}/acceptance", self.year.stage.id("donation", title));
        self.deed(path, json!({}), format!("accepts \"{title}\"")).then(move |year, _| {
            year.sheet.pledge(title, year.pledges[title]);
            String::new()
        })
    }

    pub fn cancels(self, title: &'static str) -> Deed<'y> {
        let path = format!("/v1/donations/{}/cancellation", self.year.stage.id("donation", title));
        self.deed(path, json!({}), format!("cancels what is undelivered of \"{title}\"")).then(move |year, _| {
            year.sheet.cancel(title);
            String::new()
        })
    }

    /// Books a delivery of today, usable from this morning until the beginning of a day.
    pub fn books_delivery(self, lot: &'static str, title: &'static str, amount: &str, expires: Option<i64>) -> Deed<'y> {
        let (sum, today) = (Sum::read(amount), self.year.today());
        let path = format!("/v1/donations/{}/deliveries", self.year.stage.id("donation", title));
        let mut body = json!({"amount": sum.json(), "delivered_at": Stage::time(today, 0).to_string()});
        let until = match expires {
            Some(day) => {
                body["expires_at"] = json!(Stage::time(day, 0).to_string());
                format!("good until day {day:03}")
            }
            None => "good for ever".into(),
        };
        let words = format!("books the delivery of {sum} of \"{title}\" as {lot}, {until}");
        self.deed(path, body, words).makes("lot", lot).then(move |year, _| {
            let donation = year.sheet.donation(title).clone();
            year.sheet.deliver(Lot { name: lot.into(), donation, delivered: today, expires }, sum.minor);
            String::new()
        })
    }

    /// Reverses the transaction that brought a lot.
    pub fn reverses_delivery(self, lot: &'static str, reason: &str) -> Deed<'y> {
        let lines = self.year.read(Who::Auditor, &format!("/v1/lots/{}/entries", self.year.stage.id("lot", lot)));
        let born = lines["data"].as_array().expect("lines").iter().find(|line| line["kind"] == "delivery").expect("a delivery");
        let path = format!("/v1/transactions/{}/reversal", born["transaction"].as_str().expect("an auditor is told"));
        self.deed(path, json!({"reason": reason}), format!("reverses the delivery of {lot}: \"{reason}\"")).then(move |year, _| {
            year.sheet.undo_delivery(lot);
            String::new()
        })
    }

    pub fn gives_back_to_donor(self, lot: &'static str, amount: &str) -> Deed<'y> {
        let sum = Sum::read(amount);
        let path = format!("/v1/lots/{}/return", self.year.stage.id("lot", lot));
        let words = format!("gives {sum} of {lot} back to {}", self.year.sheet.lot(lot).donation.donor);
        self.deed(path, json!({"amount": sum.json()}), words).then(move |year, answer: &Value| {
            assert_eq!(answer["id"].as_str(), Some(year.stage.id("lot", lot).as_str()));
            year.sheet.return_to_donor(lot, sum.minor);
            String::new()
        })
    }
}
