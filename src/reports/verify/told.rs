//! What the journal says of everything that has a row of its own beside it: donations and their terms, lots, rates, grants, decisions,
//! policies, bindings, amendments, members, mappings, refunds and more.
//!
//! Each entry tells some fields of some objects, or changes them; once all of it has passed, each row must say the same. So a row that was
//! changed past the program is found, whatever guards were taken away. Words that may have to be erased are in the journal by their SHA-256
//! at most. Bounds: the fields of every object but charges, holds and records are held in memory.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde_json::{Value, json};

use crate::id::{
    AmendmentId, BindingId, DecisionId, DonationId, DonorId, ErasureId, GrantId, Id, InstitutionId, LotId, PersonId, PolicyId, ProjectId,
    RateId, RefundId, ResourceId,
};
use crate::ledger::{Bucket, Entry, Kind, Line};
use crate::time::Time;

/// The fields of one object.
pub(super) type Fields = BTreeMap<&'static str, Value>;
/// Objects by name.
pub(super) type Objects = FxHashMap<String, Fields>;

/// What the journal has told so far.
#[derive(Default)]
pub(super) struct Told(Objects);

/// A name for what has no identifier of its own.
pub(super) fn named(kind: &str, stamp: i64) -> String {
    format!("{kind} {stamp}")
}

/// The name of what left a grant in one entry, of one lot.
pub(super) fn outflow(seq: i64, grant: i64, lot: i64) -> String {
    format!("outflow {seq} of {}, {}", GrantId::from_stamp(grant), LotId::from_stamp(lot))
}

/// An instant as the journal writes it.
pub(super) fn instant(at: Time) -> Value {
    at.to_string().into()
}

/// What is told of an object when it is born: the members of the entry's body of these names, `null` where they are not there.
fn of_body(body: &Value, names: &[&'static str]) -> Fields {
    names.iter().map(|name| (*name, body.get(*name).cloned().unwrap_or_default())).collect()
}

fn body(entry: &Entry) -> Value {
    entry.body.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn actor(entry: &Entry) -> Value {
    json!(entry.actor)
}

fn sum(lines: &[Line], counts: impl Fn(&Line) -> bool) -> i128 {
    lines.iter().filter(|line| counts(line)).map(|line| i128::from(line.amount)).sum()
}

/// A whole number as rows and journal both write it: as text, since it may be larger than a number in JSON is for everybody.
pub(super) fn whole(number: impl Into<i128>) -> Value {
    number.into().to_string().into()
}

/// A person as they begin.
const PERSON: [(&str, Value); 2] = [("not_before", Value::Null), ("erased", Value::Bool(false))];

impl Told {
    fn born(&mut self, name: impl ToString, fields: Fields, more: &[(&'static str, Value)]) {
        let object = self.0.entry(name.to_string()).or_default();
        object.extend(fields);
        object.extend(more.iter().cloned());
    }

    fn change(&mut self, name: impl ToString, fields: &[(&'static str, Value)]) {
        self.0.entry(name.to_string()).or_default().extend(fields.iter().cloned());
    }

    fn get(&self, name: &str, field: &str) -> Value {
        self.0.get(name).and_then(|fields| fields.get(field)).cloned().unwrap_or_default()
    }

    /// Counts a field up.
    fn add(&mut self, name: &str, field: &'static str, more: i128) {
        let before = self.get(name, field).as_str().and_then(|text| text.parse::<i128>().ok()).unwrap_or(0);
        self.change(name, &[(field, whole(before.saturating_add(more)))]);
    }

    /// Takes the entries in their order.
    pub fn pass(&mut self, entry: &Entry) {
        use Kind::*;
        match entry.kind {
            // Of these there are too many, and laws of their own.
            Charge | Hold | HoldExtension | Release | HoldExpiry | Quarantine | Dismissal => {}
            Reversal => self.born(named("reversal", entry.seq), Fields::new(), &[("reversed_by", actor(entry))]),
            Unit | Person | PersonRevision | PersonRevocation | Institution | Project | Member | AccountMapping | Resource
            | Affiliation | Binding | BindingConfirmation | BindingRevocation | Conflict | Reading | Erasure => self.directory(entry),
            Donor | Donation | Pledge | Cancellation | Delivery | Rate | RateConfirmation | Policy | PolicyConfirmation => {
                self.terms(entry);
            }
            Refund | Cover => self.given_back(entry),
            DisclosurePublication => {
                let body = body(entry);
                let seq = whole(entry.seq);
                self.change(named("publication", entry.subject.unwrap_or_default()), &[("public", body["public"].clone()), ("seq", seq)]);
            }
            Statement | Identity | TokenRevocation | Webhook | WebhookRevocation | WebhookRotation => {}
            _ => self.grants(entry),
        }
    }

    fn directory(&mut self, entry: &Entry) {
        let (body, stamp, subject) = (body(entry), entry.recorded_at.micros(), entry.subject.unwrap_or_default());
        match entry.kind {
            Kind::Unit => {
                let code = body["code"].as_str().unwrap_or_default().to_owned();
                self.born(format!("unit {code}"), of_body(&body, &["scale", "name"]), &[]);
            }
            Kind::Person => self.born(PersonId::from_stamp(stamp), of_body(&body, &["institution"]), &PERSON),
            Kind::PersonRevision => self.change(PersonId::from_stamp(subject), &[("institution", body["institution"].clone())]),
            Kind::PersonRevocation => self.change(PersonId::from_stamp(subject), &[("not_before", instant(entry.effective_at))]),
            Kind::Institution => self.born(InstitutionId::from_stamp(stamp), of_body(&body, &["kind"]), &[]),
            Kind::Project => self.born(ProjectId::from_stamp(stamp), of_body(&body, &["institution", "field_of_science"]), &[]),
            Kind::Member => self.born(named("member", stamp), of_body(&body, &["project", "person", "role"]), &[]),
            Kind::AccountMapping => self.born(named("mapping", stamp), of_body(&body, &["project", "resource", "account"]), &[]),
            Kind::Resource => self.born(ResourceId::from_stamp(stamp), of_body(&body, &["provider"]), &[]),
            Kind::Affiliation => {
                let by = [("declared_by", actor(entry))];
                self.born(named("affiliation", stamp), of_body(&body, &["person", "institution", "since"]), &by);
            }
            Kind::Conflict => {
                let whose = [("person", actor(entry))];
                self.born(named("conflict", stamp), of_body(&body, &["institution", "project"]), &whose);
            }
            Kind::Reading => {
                let whose = [("person", actor(entry))];
                self.born(named("reading", stamp), of_body(&body, &["operation", "object"]), &whose);
            }
            Kind::Erasure => {
                let count = |name: &str| whole(body[name].as_array().map_or(0, Vec::len) as i64);
                let more =
                    [("erased_by", actor(entry)), ("charges", count("charges")), ("records", count("records")), ("seq", whole(entry.seq))];
                self.born(ErasureId::from_stamp(stamp), of_body(&body, &["ground", "person"]), &more);
                if body["person"].is_string() {
                    self.change(PersonId::from_stamp(subject), &[("erased", true.into())]);
                }
            }
            Kind::Binding => {
                let said = of_body(&body, &["person", "role", "state", "donor", "project", "provider", "limit"]);
                let by = [("proposed_by", actor(entry)), ("confirmed_by", Value::Null), ("revoked_by", Value::Null)];
                self.born(BindingId::from_stamp(stamp), said, &by);
            }
            Kind::BindingConfirmation => {
                self.change(BindingId::from_stamp(subject), &[("state", "active".into()), ("confirmed_by", actor(entry))]);
            }
            _ => self.change(BindingId::from_stamp(subject), &[("state", "revoked".into()), ("revoked_by", actor(entry))]),
        }
    }

    fn terms(&mut self, entry: &Entry) {
        let (body, stamp, subject) = (body(entry), entry.recorded_at.micros(), entry.subject.unwrap_or_default());
        // What stands at once is not confirmed by anybody.
        let since = || if body["state"] == "in_force" { instant(entry.effective_at) } else { Value::Null };
        match entry.kind {
            Kind::Donor => self.born(DonorId::from_stamp(stamp), of_body(&body, &["kind"]), &[]),
            Kind::Donation => {
                let said = of_body(&body, &["donor", "pledged", "unit", "terms", "draw_priority", "on_expiry"]);
                self.born(DonationId::from_stamp(stamp), said, &[("state", "proposed".into())]);
            }
            Kind::Pledge => self.change(DonationId::from_stamp(subject), &[("state", "accepted".into())]),
            Kind::Cancellation => self.change(DonationId::from_stamp(subject), &[("state", "cancelled".into())]),
            Kind::Delivery => {
                let amount = sum(&entry.lines, |line| line.account.bucket == Bucket::Available);
                let more = [
                    ("donation", json!(DonationId::from_stamp(subject))),
                    ("amount", whole(amount)),
                    ("delivered_at", instant(entry.effective_at)),
                ];
                self.born(LotId::from_stamp(stamp), of_body(&body, &["expires_at"]), &more);
            }
            Kind::Rate => {
                let said = of_body(&body, &["resource", "meter", "price", "unit", "from", "qos"]);
                self.born(RateId::from_stamp(stamp), said, &[("confirmed_at", since())]);
            }
            Kind::RateConfirmation => self.change(RateId::from_stamp(subject), &[("confirmed_at", instant(entry.effective_at))]),
            Kind::Policy => {
                let said = of_body(&body, &["unit", "two_above", "three_above", "carry_over", "refund_alone"]);
                self.born(PolicyId::from_stamp(stamp), said, &[("confirmed_at", since())]);
            }
            _ => self.change(PolicyId::from_stamp(subject), &[("confirmed_at", instant(entry.effective_at))]),
        }
    }

    fn given_back(&mut self, entry: &Entry) {
        let (stamp, charge) = (entry.recorded_at.micros(), whole(entry.subject.unwrap_or_default()));
        let spent = |line: &Line| matches!(line.account.bucket, Bucket::Spent | Bucket::OverdraftSpent);
        if entry.kind == Kind::Refund {
            let amount = whole(-sum(&entry.lines, spent));
            self.change(RefundId::from_stamp(stamp), &[("charge", charge), ("amount", amount), ("seq", whole(entry.seq))]);
        } else if let Some(line) = entry.lines.iter().find(|line| line.account.bucket == Bucket::Spent) {
            let paid = [("charge", charge), ("amount", whole(line.amount)), ("lot", whole(line.account.lot)), ("seq", whole(entry.seq))];
            self.change(named("cover", stamp), &paid);
        }
        self.outflows(entry);
    }

    /// What left grants otherwise than by use, and what that is called.
    fn outflows(&mut self, entry: &Entry) {
        let passed_on = |line: &&Line| matches!(line.account.bucket, Bucket::Available | Bucket::Lapsed) && line.amount > 0;
        for line in &entry.lines {
            let of =
                |bucket: Bucket| entry.lines.iter().any(|other| (other.account.bucket, other.account.lot) == (bucket, line.account.lot));
            let kind = match (entry.kind, line.account.bucket) {
                (Kind::Award | Kind::Transfer, Bucket::Granted) if line.amount < 0 => "transfer",
                (Kind::Reduction, Bucket::Granted) => "deobligation",
                (Kind::Lapse, Bucket::Granted) => "lapse",
                (Kind::Return, Bucket::Granted) => "return",
                (Kind::End, Bucket::Granted) if of(Bucket::Available) => "deobligation",
                (Kind::End, Bucket::Granted) if of(Bucket::Lapsed) => "lapse",
                (Kind::End, Bucket::Granted) => "return",
                _ => continue,
            };
            let (grant, lot) = (line.account.grant, line.account.lot);
            self.change(outflow(entry.seq, grant, lot), &[("kind", kind.into()), ("amount", whole(-i128::from(line.amount)))]);
        }
        if entry.kind == Kind::Refund {
            for line in entry.lines.iter().filter(passed_on) {
                let lot = line.account.lot;
                let from = entry.lines.iter().find(|other| (other.account.bucket, other.account.lot) == (Bucket::Spent, lot));
                let kind = if line.account.bucket == Bucket::Lapsed { "lapse" } else { "deobligation" };
                let name = outflow(entry.seq, from.map_or(0, |from| from.account.grant), lot);
                self.change(name, &[("kind", kind.into()), ("amount", whole(line.amount))]);
            }
        }
    }

    /// Where the rows say something that the journal does not, or the other way round: for each object and field whether it holds, in words
    /// where it does not.
    pub fn compare(mut self, rows: Vec<(String, Fields)>) -> Vec<Result<(), String>> {
        let mut found = Vec::new();
        for (name, fields) in rows {
            let Some(told) = self.0.remove(&name) else {
                found.push(Err(format!("{name} is in its table, and the journal does not say so")));
                continue;
            };
            for (field, here) in fields {
                let there = told.get(field).cloned().unwrap_or_default();
                found.push(match here == there {
                    true => Ok(()),
                    false => Err(format!("{name}: {field} is {here} in its row, {there} in the journal")),
                });
            }
        }
        let mut lost: Vec<String> = self.0.into_keys().collect();
        lost.sort();
        found.extend(lost.into_iter().map(|name| Err(format!("{name} is in the journal, and not in its table"))));
        found
    }
}

/// The life of grants and amendments.
impl Told {
    fn grants(&mut self, entry: &Entry) {
        let (body, subject) = (body(entry), entry.subject.unwrap_or_default());
        self.outflows(entry);
        let amendment = body["amendment"].as_str().map(str::to_owned);
        match (entry.kind, amendment) {
            (Kind::Lapse | Kind::Return, _) => {}
            (Kind::Request, _) => self.request(entry, &body),
            (Kind::Amendment, _) => self.amendment(entry, &body),
            (Kind::Withdrawal, Some(amendment)) => {
                self.add(&amendment, "version", 1);
                self.change(&amendment, &[("state", "withdrawn".into())]);
                self.step(entry, &body, Some(&amendment));
            }
            (_, Some(amendment)) => self.amended(entry, &body, &amendment),
            (Kind::End, None) => self.ended(entry),
            (Kind::Approval | Kind::Award | Kind::Rejection | Kind::Questions, None) => self.decided(entry, &body),
            _ => self.moved_on(entry, &body, &GrantId::from_stamp(subject).to_string()),
        }
    }

    /// What is asked for.
    fn asked(body: &Value) -> Fields {
        of_body(body, &["project", "requested", "unit", "from", "to", "resources", "renews", "purpose", "justification", "state"])
    }

    fn request(&mut self, entry: &Entry, body: &Value) {
        let id = GrantId::from_stamp(entry.recorded_at.micros());
        let more = [
            ("awarded", whole(0)),
            ("overdraft", "record".into()),
            ("suspended_at", Value::Null),
            ("booked", Value::Null),
            ("round", whole(1)),
            ("version", whole(1)),
        ];
        self.born(id, Told::asked(body), &more);
        self.step(entry, body, None);
    }

    /// A step that is no decision.
    fn moved_on(&mut self, entry: &Entry, body: &Value, grant: &str) {
        self.add(grant, "version", 1);
        match entry.kind {
            Kind::Revision => {
                self.add(grant, "round", 1);
                self.born(grant, Told::asked(body), &[]);
            }
            Kind::Review => self.add(grant, "round", 1),
            Kind::Suspension => self.change(grant, &[("suspended_at", instant(entry.effective_at))]),
            Kind::Resumption => self.change(grant, &[("suspended_at", Value::Null)]),
            Kind::Closing => self.change(grant, &[("to", body["ends_at"].clone())]),
            _ => {}
        }
        self.change(grant, &[("state", body["state"].clone())]);
        self.step(entry, body, None);
    }

    fn step(&mut self, entry: &Entry, body: &Value, amendment: Option<&str>) {
        let stamp = entry.recorded_at.micros();
        let grant = if entry.kind == Kind::Request { stamp } else { entry.subject.unwrap_or_default() };
        let grant = GrantId::from_stamp(grant).to_string();
        let version = self.get(amendment.unwrap_or(&grant), "version");
        let taken = [
            ("grant", grant.into()),
            ("amendment", json!(amendment)),
            ("step", entry.kind.word().into()),
            ("person", actor(entry)),
            ("version", version),
            ("reason", body["reason"].clone()),
        ];
        self.change(named("step", stamp), &taken);
    }

    fn granted(entry: &Entry, to: &str) -> i128 {
        let more = |line: &Line| {
            let of = line.account.grant_id().is_some_and(|grant| grant.to_string() == to);
            of && line.account.bucket == Bucket::Granted && line.amount > 0
        };
        sum(&entry.lines, more)
    }

    fn decided(&mut self, entry: &Entry, body: &Value) {
        let grant = GrantId::from_stamp(entry.subject.unwrap_or_default()).to_string();
        self.add(&grant, "version", 1);
        let state = match entry.kind {
            Kind::Award => "active",
            Kind::Approval => "awaiting_second_approval",
            Kind::Questions => "returned",
            _ => "rejected",
        };
        // In which round it was decided is told before a return begins another.
        self.decision(entry, body, &grant, None, entry.kind == Kind::Award);
        if entry.kind == Kind::Questions {
            self.add(&grant, "round", 1);
        }
        self.add(&grant, "awarded", Told::granted(entry, &grant));
        self.change(&grant, &[("state", state.into()), ("overdraft", body["overdraft"].clone())]);
    }

    fn decision(&mut self, entry: &Entry, body: &Value, grant: &str, amendment: Option<&str>, raises: bool) {
        let of = of_body(body, &["verdict", "awarded", "lots", "bound", "reason"]);
        let round = if amendment.is_some() { whole(1) } else { self.get(grant, "round") };
        let more = [
            ("grant", grant.into()),
            ("amendment", json!(amendment)),
            ("officer", actor(entry)),
            ("effective", (entry.kind != Kind::Approval).into()),
            ("round", round),
            ("raises", raises.into()),
        ];
        self.born(DecisionId::from_stamp(entry.recorded_at.micros()), of, &more);
    }

    fn ended(&mut self, entry: &Entry) {
        let grant = GrantId::from_stamp(entry.subject.unwrap_or_default()).to_string();
        // A grant of very many lots ends in several entries, of which the last is kept.
        if self.get(&grant, "booked").is_null() {
            self.add(&grant, "version", 1);
        }
        if self.get(&grant, "state") != "closed" {
            self.change(&grant, &[("state", "ended".into()), ("suspended_at", Value::Null)]);
        }
        self.change(&grant, &[("booked", whole(entry.seq))]);
    }

    fn amendment(&mut self, entry: &Entry, body: &Value) {
        let stamp = entry.recorded_at.micros();
        let id = AmendmentId::from_stamp(stamp).to_string();
        let more = [
            ("grant", json!(GrantId::from_stamp(entry.subject.unwrap_or_default()))),
            ("state", "requested".into()),
            ("version", whole(1)),
        ];
        self.born(&id, of_body(body, &["kind", "amount", "ends_at", "to", "reason"]), &more);
        self.step(entry, body, Some(&id));
    }

    /// A decision on an amendment, and what it made of the grants.
    fn amended(&mut self, entry: &Entry, body: &Value, amendment: &str) {
        let grant = GrantId::from_stamp(entry.subject.unwrap_or_default()).to_string();
        self.add(amendment, "version", 1);
        let state = match entry.kind {
            Kind::Approval => "awaiting_second_approval",
            Kind::Rejection => "rejected",
            _ => "approved",
        };
        self.change(amendment, &[("state", state.into())]);
        self.decision(entry, body, &grant, Some(amendment), matches!(entry.kind, Kind::Supplement | Kind::Transfer));
        if state != "approved" {
            return;
        }
        self.add(&grant, "version", 1);
        match entry.kind {
            Kind::Supplement => self.add(&grant, "awarded", Told::granted(entry, &grant)),
            Kind::Extension => self.change(&grant, &[("to", body["ends_at"].clone())]),
            Kind::Closing => self.change(&grant, &[("to", body["ends_at"].clone()), ("state", "closed".into())]),
            Kind::Transfer => {
                let to = body["to"].as_str().unwrap_or_default().to_owned();
                self.add(&to, "version", 1);
                self.add(&to, "awarded", Told::granted(entry, &to));
            }
            _ => {}
        }
    }
}

/// The identifier of what was born in an entry with this stamp, as text.
pub(super) fn id<K: crate::id::Kind>(stamp: i64) -> String {
    Id::<K>::from_stamp(stamp).to_string()
}
