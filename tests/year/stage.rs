//! The running service before an empty ledger, with a clock that the script holds: tokens, requests over HTTP, names in place of
//! identifiers.
//!
//! The service is the program's own, started in this process so that its year can pass in seconds: the same routes, the same token checks,
//! the same writer; only the clock is held and the sweep is called by the script, each night. It ends as in operation, by SIGTERM.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use almoner::actor::{Actor, Role};
use almoner::attest::keep::Log;
use almoner::events::webhook::Schedule;
use almoner::http::keys::Keys;
use almoner::http::limits::Settings;
use almoner::id::Id;
use almoner::server::{self, Errands, Manner};
use almoner::store::{Database, Fault, Store};
use almoner::time::{Clock, DAY, SECOND, Time};
use almoner::usage::{self, Swept};
use serde_json::Value;

use crate::support::almoner;
use crate::support::database::TestDatabase;
use crate::support::server::{Answer, client, send};

/// The first day of the year, at midnight.
const NEW_YEAR: &str = "2025-01-01T00:00:00Z";
/// Whom tokens are made for, and how long they are good, in seconds.
const AUDIENCE: &str = "almoner";
const GOOD_FOR: i64 = 600;

/// Who acts. Persons have no names here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    Admin,
    Auditor,
    /// An officer by number.
    Officer(u8),
    /// The same officer with a token that says researcher, for a project of which the officer becomes a member.
    AsResearcher(u8),
    /// The researchers of a project.
    Of(&'static str),
    /// An organisation that runs a resource.
    Operator(&'static str),
    Donor(&'static str),
}

const NUMBERS: [&str; 5] = ["nought", "one", "two", "three", "four"];

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Admin => f.write_str("the administrator"),
            Who::Auditor => f.write_str("the auditor"),
            Who::Officer(number) => write!(f, "officer {}", NUMBERS[usize::from(*number)]),
            Who::AsResearcher(number) => write!(f, "officer {}, with a researcher's token,", NUMBERS[usize::from(*number)]),
            Who::Of(project) => write!(f, "the researchers of {project}"),
            Who::Operator(name) | Who::Donor(name) => f.write_str(name),
        }
    }
}

impl Who {
    /// The subject of the person's tokens: the same whatever role is claimed.
    pub fn subject(self) -> String {
        match self {
            Who::Admin => "admin".into(),
            Who::Auditor => "auditor".into(),
            Who::Officer(number) | Who::AsResearcher(number) => format!("officer-{number}"),
            Who::Of(name) | Who::Operator(name) | Who::Donor(name) => name.to_lowercase().replace(' ', "-"),
        }
    }

    fn role(self) -> Role {
        match self {
            Who::Admin => Role::Admin,
            Who::Auditor => Role::Auditor,
            Who::Officer(_) => Role::Officer,
            Who::AsResearcher(_) | Who::Of(_) => Role::Researcher,
            Who::Operator(_) => Role::Provider,
            Who::Donor(_) => Role::Donor,
        }
    }
}

/// The service, and what the script calls things by.
pub struct Stage {
    pub database: TestDatabase,
    pub data: PathBuf,
    clock: Clock,
    keys: Keys,
    store: Option<Store>,
    service: Option<JoinHandle<Result<(), Fault>>>,
    address: String,
    client: ureq::Agent,
    count: Cell<u32>,
    ids: BTreeMap<String, String>,
}

impl Stage {
    /// Makes empty books and opens the door on New Year's morning.
    pub fn open(database: TestDatabase) -> Stage {
        let data = database.folder().join("data");
        almoner(["init", "--data", data.to_str().expect("UTF-8"), "--database", &database.url]).ok();
        let keys = || Keys::new(AUDIENCE).with_local(&data.join("keys/local.pk8"), None).expect("the key that init made");
        let clock = Clock::held(Time::parse(NEW_YEAR).expect("a time"));
        let store = Store::open_as_is(&Database::parse(&database.url).expect("a URL"), clock.clone()).expect("books");
        let (served, known) = (store.clone(), keys());
        let none = || "0".parse().expect("no limit");
        let manner = Manner {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            sweep_every: None,
            require_bindings: false,
            limits: Settings { person: none(), address: none(), failures: none(), proxies: Vec::new() },
            login: None,
            errands: Errands { every: None, schedule: Schedule::default(), loopback: false },
            audit_every: None,
            log: Log::open(store.database()).expect("a log"),
            keeper: None,
            policy: None,
            logging: None,
        };
        let (said, heard) = channel();
        let service = std::thread::spawn(move || server::serve(served, known, manner, |address| said.send(address).expect("a listener")));
        let address = heard.recv_timeout(Duration::from_secs(60)).expect("the service listens");
        Stage {
            keys: keys(),
            database,
            data,
            clock,
            store: Some(store),
            service: Some(service),
            address: format!("http://{address}"),
            client: client(),
            count: Cell::new(0),
            ids: BTreeMap::new(),
        }
    }

    /// So many minutes after a day's midnight; New Year's Day is day 1.
    pub fn time(day: i64, minutes: i64) -> Time {
        Time::parse(NEW_YEAR).expect("a time").plus((day - 1) * DAY + minutes * 60 * SECOND)
    }

    pub fn turn_to(&self, day: i64, minutes: i64) {
        self.clock.set(Stage::time(day, minutes));
    }

    /// Books what the clock has decided, as the service does every minute in operation.
    pub fn sweep(&self) -> Swept {
        self.store.as_ref().expect("an open door").write(usage::sweep).expect("a sweep")
    }

    /// What the script calls something by, from now on.
    pub fn name(&mut self, kind: &str, name: &str, id: &str) {
        let fresh = self.ids.insert(format!("{kind} {name}"), id.to_owned()).is_none();
        assert!(fresh, "the {kind} {name} is made twice");
    }

    pub fn id(&self, kind: &str, name: &str) -> String {
        self.ids.get(&format!("{kind} {name}")).cloned().unwrap_or_else(|| panic!("there is no {kind} {name}"))
    }

    /// The name of what has this identifier.
    pub fn named(&self, kind: &str, id: &str) -> String {
        let found = self.ids.iter().find(|(name, known)| known.as_str() == id && name.starts_with(kind));
        found.map(|(name, _)| name[kind.len() + 1..].to_owned()).unwrap_or_else(|| panic!("{id} is no {kind} of the script"))
    }

    /// A fresh token: nobody ever shows the same one twice.
    fn token(&self, who: Who) -> String {
        let mut actor = Actor { roles: [who.role()].into_iter().collect(), ..Actor::operator(&who.subject()) };
        match who {
            Who::Operator(name) => actor.provider = Id::parse(&self.id("institution", name)).ok(),
            Who::Donor(name) => actor.donor = Id::parse(&self.id("donor", name)).ok(),
            _ => {}
        }
        self.keys.issue(&actor, GOOD_FOR, self.clock.now(), &self.fresh("token")).expect("a token")
    }

    /// A name that was not given before.
    pub fn fresh(&self, kind: &str) -> String {
        self.count.set(self.count.get() + 1);
        format!("{kind}-{}", self.count.get())
    }

    pub fn get(&self, who: Who, path: &str) -> Answer {
        self.call(who, "GET", path, &[], None)
    }

    /// A whole list, unpaged.
    pub fn get_lines(&self, who: Who, path: &str) -> Vec<Value> {
        let answer = self.call(who, "GET", path, &[("accept", "application/x-ndjson")], None).expect(200);
        answer.text.lines().map(|line| serde_json::from_str(line).expect("a row")).collect()
    }

    pub fn post(&self, who: Who, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.call(who, "POST", path, headers, Some(&body.to_string()))
    }

    fn call(&self, who: Who, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
        let token = self.token(who);
        let sent = send(&self.client, &self.address, (method, path), Some(&token), headers, body);
        sent.unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }

    /// Closes the door in good order: what was accepted is finished, and the writer has committed.
    pub fn close(&mut self) {
        let Some(service) = self.service.take() else { return };
        let asked = Command::new("kill").args(["-TERM", &std::process::id().to_string()]).status().expect("kill runs");
        assert!(asked.success(), "the service could not be asked to end");
        service.join().expect("a service that did not panic").expect("an orderly end");
        self.store = None;
    }
}
