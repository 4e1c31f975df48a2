//! A small town: staff, and two sides of donor, researcher and provider, each with a donation, a project, a resource, a grant and a
//! charge of its own. Everything is made over HTTP by those whose work it is.

use std::cell::Cell;
use std::path::PathBuf;

use almoner::actor::{Actor, Role};
use almoner::http::keys::Keys;
use almoner::id::Id;
use almoner::time::{Clock, SECOND, Time};
use serde_json::{Value, json};

use crate::support::almoner;
use crate::support::database::TestDatabase;
use crate::support::server::{Answer, Server};

/// A running server with its books, and the key to make tokens for it.
pub struct Town {
    pub server: Server,
    pub staff: Staff,
    data: PathBuf,
    count: Cell<u32>,
    // Last, so that it outlives the server.
    pub database: TestDatabase,
}

/// Tokens of those who work here.
pub struct Staff {
    pub admin: String,
    pub officer: String,
    pub officer2: String,
    pub auditor: String,
}

/// One donor, researcher and provider, and what is theirs.
pub struct Side {
    pub as_donor: String,
    pub as_researcher: String,
    pub as_provider: String,
    pub donor: String,
    pub donation: String,
    pub lot: String,
    pub centre: String,
    pub project: String,
    pub resource: String,
    pub rate: String,
    /// Active, for the side's resource, without overdraft.
    pub grant: String,
    /// The award of that grant.
    pub decision: String,
    /// Of one dollar more, not yet decided.
    pub amendment: String,
    /// Of node hours; both sides have the same.
    pub policy: String,
    pub charge: String,
    /// Of one dollar of that charge.
    pub refund: String,
    /// A record in quarantine.
    pub usage: String,
    /// Of one dollar on that grant.
    pub hold: String,
    /// Somebody whom another issuer vouches for, bound to the donor.
    pub person: String,
    /// That binding.
    pub binding: String,
    /// The researcher's, with an event that is to be delivered.
    pub webhook: String,
    pub event: String,
    /// Of the donor, over the three days before yesterday.
    pub statement: String,
    /// Of a person who never had a role.
    pub erasure: String,
}

/// The moment so many days from now, on the wire.
pub fn day(days: i64) -> String {
    Clock::system().now().plus(days * 86_400 * SECOND).to_string()
}

/// The begin of the day so many days from now.
pub fn midnight(days: i64) -> String {
    format!("{}T00:00:00Z", day(days).split('T').next().expect("a day"))
}

pub fn usd(value: &str) -> Value {
    json!({"value": value, "unit": "USD"})
}

/// A text member of an answer.
pub fn text(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer}")).to_owned()
}

pub fn actor(subject: &str, roles: &[Role]) -> Actor {
    Actor { roles: roles.iter().copied().collect(), ..Actor::operator(subject) }
}

/// The only key pair of the books, as seen by an issuer and for an audience.
pub fn keys(data: &std::path::Path, audience: &str, issuer: Option<&str>) -> Keys {
    Keys::new(audience).with_local(&data.join("keys/local.pk8"), issuer).expect("the key that init made")
}

impl Town {
    /// Empty books with a server before them.
    pub fn found(database: TestDatabase) -> Town {
        Town::found_with(database, &[])
    }

    /// As `found`, with more arguments for the server.
    pub fn found_with(database: TestDatabase, more: &[&str]) -> Town {
        Town::found_with_env(database, more, &[])
    }

    /// As `found_with`, with these variables in the server's environment too.
    pub fn found_with_env(database: TestDatabase, more: &[&str], env: &[(&str, &str)]) -> Town {
        let data = database.folder().join("data");
        let place = ["init", "--data", data.to_str().expect("UTF-8"), "--database", &database.url];
        almoner(place).ok();
        // What is told and sent in the background is tested elsewhere; here nothing comes of itself unless it is asked for.
        let quiet: &[&str] = if more.contains(&"--events-every") { &[] } else { &["--events-every", "0"] };
        let server = Server::start_with(&database, &data, |command| {
            command.args(["--audit-every", "0", "--log-every", "1"]).args(quiet).args(more).envs(env.iter().copied())
        });
        let keys = keys(&data, "almoner", None);
        let sign = |name: &str, role| keys.issue(&actor(name, &[role]), 3600, Clock::system().now(), name).expect("a token");
        let staff = Staff {
            admin: sign("admin", Role::Admin),
            officer: sign("officer", Role::Officer),
            officer2: sign("officer2", Role::Officer),
            auditor: sign("auditor", Role::Auditor),
        };
        Town { server, staff, data, count: Cell::new(0), database }
    }

    /// The books of two sides.
    pub fn settled(database: TestDatabase) -> (Town, Side, Side) {
        Town::settled_with(database, &[])
    }

    /// As `settled`, with more arguments for the server.
    pub fn settled_with(database: TestDatabase, more: &[&str]) -> (Town, Side, Side) {
        let town = Town::found_with(database, more);
        town.make("admin", "/v1/units", &json!({"code": "USD", "scale": 6, "name": "US dollar of cloud credit"}));
        town.make("admin", "/v1/units", &json!({"code": "NHR", "scale": 2, "name": "Node hour"}));
        let (own, foreign) = (town.side("a"), town.side("b"));
        (town, own, foreign)
    }

    pub fn folder(&self) -> &std::path::Path {
        &self.data
    }

    pub fn token(&self, who: &Actor) -> String {
        let name = self.fresh("token");
        keys(&self.data, "almoner", None).issue(who, 3600, Clock::system().now(), &name).expect("a token")
    }

    /// A name that was not given before.
    pub fn fresh(&self, kind: &str) -> String {
        self.count.set(self.count.get() + 1);
        format!("{kind}-{}", self.count.get())
    }

    /// POST under a new idempotency key.
    pub fn post(&self, token: &str, path: &str, body: &Value) -> Answer {
        self.post_with(token, path, &[], body)
    }

    /// As `post`, with more headers.
    pub fn post_with(&self, token: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let key = self.fresh("key");
        self.server.post(path, Some(token), &[&[("idempotency-key", key.as_str())], headers].concat(), body)
    }

    pub fn get(&self, token: &str, path: &str) -> Answer {
        self.server.get(path, Some(token), &[])
    }

    /// POST that must make something, by one of the staff or a token.
    pub fn make(&self, who: &str, path: &str, body: &Value) -> Value {
        let token = match who {
            "admin" => &self.staff.admin,
            "officer" => &self.staff.officer,
            "officer2" => &self.staff.officer2,
            token => token,
        };
        let made = self.post(token, path, body);
        assert_eq!(made.status, 201, "POST {path} {body}: {}", made.text);
        made.json
    }

    fn id(&self, who: &str, path: &str, body: &Value) -> String {
        text(&self.make(who, path, body), "id")
    }

    /// A donor's accepted donation; the terms as given.
    pub fn donation(&self, donor: &str, pledged: &str, terms: &Value) -> String {
        let new = json!({"donor": donor, "title": "Credits", "pledged": usd(pledged), "terms": terms, "on_expiry": "lapse"});
        let donation = self.id("officer", "/v1/donations", &new);
        self.make("officer2", &format!("/v1/donations/{donation}/acceptance"), &json!({}));
        donation
    }

    pub fn lot(&self, donation: &str, amount: &str, expires_at: Option<String>) -> String {
        let new = json!({"amount": usd(amount), "delivered_at": day(-60), "expires_at": expires_at});
        self.id("officer", &format!("/v1/donations/{donation}/deliveries"), &new)
    }

    /// A request for a grant over the months around now.
    pub fn request(&self, researcher: &str, project: &str, amount: &str, more: &Value) -> Value {
        let mut new = json!({
            "project": project, "requested": usd(amount), "period": {"from": day(-50), "to": day(50)}, "justification": "For the test.",
        });
        merge(&mut new, more);
        self.make(researcher, "/v1/grants", &new)
    }

    /// A verdict by the officer on the version that was made first.
    pub fn decide(&self, grant: &str, verdict: &Value) -> Answer {
        let mut declared = json!({"no_conflict": true});
        merge(&mut declared, verdict);
        self.post_with(&self.staff.officer, &format!("/v1/grants/{grant}/decisions"), &[("if-match", "\"v1\"")], &declared)
    }

    /// Binds roles to somebody for whom an issuer vouches, by two administrators where it takes two.
    pub fn bind(&self, issuer: &str, subject: &str, bindings: &[Value]) {
        let identity = json!({"issuer": issuer, "subject": subject});
        let person = self.id("admin", "/v1/persons", &json!({"name": "Example Person", "identities": [identity]}));
        let other = self.token(&actor("admin2", &[Role::Admin]));
        for binding in bindings {
            let mut new = json!({"person": person});
            merge(&mut new, binding);
            let made = self.make("admin", "/v1/role-bindings", &new);
            if made["state"] == "proposed" {
                self.make(&other, &format!("/v1/role-bindings/{}/confirmation", text(&made, "id")), &json!({}));
            }
        }
    }

    /// The token of an officer who may approve so much.
    pub fn officer_with_limit(&self, subject: &str, limit: &str) -> String {
        let token = self.token(&actor(subject, &[Role::Officer]));
        let issuer = text(&self.get(&token, "/v1/me").expect(200).json, "issuer");
        self.bind(&issuer, subject, &[json!({"role": "officer", "limit": usd(limit)})]);
        token
    }

    /// An active grant.
    pub fn grant(&self, researcher: &str, project: &str, amount: &str, more: &Value, overdraft: &str) -> String {
        let grant = text(&self.request(researcher, project, amount, more), "id");
        self.decide(&grant, &json!({"verdict": "approve", "overdraft": overdraft, "reason": "Sound."})).expect(201);
        grant
    }

    fn statement(&self, donor: &str) -> String {
        let period = json!({"from": midnight(-4), "to": midnight(-1)});
        self.id("officer", "/v1/statements", &json!({"donor": donor, "period": period}))
    }

    fn side(&self, name: &str) -> Side {
        let donor = self.id("officer", "/v1/donors", &json!({"name": format!("Example Donor {name}"), "kind": "industry"}));
        let donation = self.donation(&donor, "2000", &json!({}));
        let lot = self.lot(&donation, "1000", None);
        let institution =
            |kind: &str| self.id("admin", "/v1/institutions", &json!({"name": format!("Example {kind} {name}"), "kind": kind}));
        let (university, centre) = (institution("university"), institution("centre"));
        let provider = Actor { provider: Id::parse(&centre).ok(), ..actor(&format!("provider-{name}"), &[Role::Provider]) };
        let as_provider = self.token(&provider);
        let resource =
            self.id(&as_provider, "/v1/resources", &json!({"name": format!("Cluster {name}"), "external_id": format!("cluster-{name}")}));
        let rate = json!({"meter": "gpu-hour", "price": usd("2.5"), "from": day(-60), "multipliers": {"qos": {"high": "2"}}});
        let rate = self.id(&as_provider, &format!("/v1/resources/{resource}/rates"), &rate);
        let as_researcher = self.token(&actor(&format!("researcher-{name}"), &[Role::Researcher]));
        let project = json!({
            "title": format!("Project {name}"), "institution": university, "field_of_science": "Physics",
            "principal_investigator": {"name": "Example Investigator"}, "external_id": format!("project-{name}"),
        });
        let project = self.id(&as_researcher, "/v1/projects", &project);
        let grant = self.grant(&as_researcher, &project, "100", &json!({"resources": [resource]}), "reject");
        let charge = self.id(&as_provider, "/v1/usage", &job(&format!("first-{name}"), &resource, &json!({"grant": grant})));
        let decisions = self.get(&self.staff.officer, &format!("/v1/grants/{grant}/decisions")).expect(200).json;
        let decision = text(&decisions["data"][0], "id");
        let more = json!({"kind": "supplement", "amount": usd("1"), "reason": "For the test."});
        let amendment = self.id(&as_researcher, &format!("/v1/grants/{grant}/amendments"), &more);
        let policies = self.get(&self.staff.admin, "/v1/policies").expect(200).json;
        let policy = match policies["data"][0]["id"].as_str() {
            Some(known) => known.to_owned(),
            None => self.id("admin", "/v1/policies", &json!({"unit": "NHR", "two_above": {"value": "1000", "unit": "NHR"}})),
        };
        let refund = self.id(&as_provider, &format!("/v1/charges/{charge}/refunds"), &json!({"amount": usd("1"), "reason": "A fault."}));
        let lost =
            self.post(&as_provider, "/v1/usage", &job(&format!("lost-{name}"), &resource, &json!({"account": "nobody"}))).expect(409);
        let usage = text(&lost.json["params"], "quarantine");
        let hold = self.id(&as_provider, "/v1/holds", &json!({"grant": grant, "amount": usd("1"), "expires_at": day(1)}));
        let helper =
            json!({"name": "Example Helper", "identities": [{"issuer": "https://idp.example", "subject": format!("helper-{name}")}]});
        let person = self.id("admin", "/v1/persons", &helper);
        let binding = self.id("admin", "/v1/role-bindings", &json!({"person": person, "role": "donor", "donor": donor}));
        let webhook = self.make(&as_researcher, "/v1/webhooks", &json!({"url": format!("https://{name}.example.org/hooks")}));
        let webhook = text(&webhook["webhook"], "id");
        let event = text(&self.make(&as_researcher, &format!("/v1/webhooks/{webhook}/test"), &json!({})), "event");
        let as_donor = self.token(&Actor { donor: Id::parse(&donor).ok(), ..actor(&format!("donor-{name}"), &[Role::Donor]) });
        Side {
            statement: self.statement(&donor),
            as_donor,
            as_researcher,
            as_provider,
            donor,
            donation,
            lot,
            centre,
            project,
            resource,
            rate,
            grant,
            decision,
            amendment,
            policy,
            charge,
            refund,
            usage,
            hold,
            person,
            binding,
            webhook,
            event,
            erasure: self.erasure(name),
        }
    }

    fn erasure(&self, name: &str) -> String {
        let leaver =
            json!({"name": "Example Leaver", "identities": [{"issuer": "https://idp.example", "subject": format!("leaver-{name}")}]});
        let path = format!("/v1/persons/{}/erasure", self.id("admin", "/v1/persons", &leaver));
        let made = self.post_with(&self.staff.admin, &path, &[("if-match", "\"v1\"")], &json!({"ground": "asked"}));
        text(&made.expect(201).json, "id")
    }
}

/// A usage record of four GPU-hours yesterday, 10 USD at the town's rate; told twice it is told in the same words.
pub fn job(external_id: &str, resource: &str, more: &Value) -> Value {
    let at = |days: i64, time: &str| format!("{}T{time}Z", day(days).split('T').next().expect("a day"));
    let mut record = json!({
        "external_id": external_id, "resource": resource, "quantities": {"gpu-hour": "4"},
        "started_at": at(-2, "22:00:00"), "ended_at": at(-1, "02:00:00"),
    });
    merge(&mut record, more);
    record
}

/// Sets or, by `null`, keeps as null the members of another object.
pub fn merge(object: &mut Value, more: &Value) {
    for (name, value) in more.as_object().expect("an object") {
        object[name] = value.clone();
    }
}

/// Whether it is an instant that the API could have written.
pub fn is_instant(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.ends_with('Z') && Time::parse(text).is_some())
}
