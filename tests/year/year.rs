//! The year as it is played: the day, the story told so far, the spreadsheet beside it, and how a deed ends.
//!
//! A deed is one request over HTTP. It ends as the script says: `done`, it `waits` for another approval, or it is `refused` with a code.
//! Only then is it told, and only what was done gets rows in the spreadsheet.

use std::collections::BTreeMap;

use serde_json::Value;

use super::sheet::{Held, Rate, Sheet};
use super::stage::{Stage, Who};
use super::sums::{Sum, Unit};
use crate::support::database::TestDatabase;
use crate::support::server::Answer;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub sum: Sum,
    pub ends: i64,
    pub renews: Option<String>,
}

/// A change to a grant that was asked for.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    Supplement(&'static str),
    Reduction(&'static str),
    Transfer(&'static str, &'static str),
    Extension(&'static str, i64),
    Closing(&'static str),
}

/// Credits set aside, until the beginning of a day.
pub struct Hold {
    pub held: Held,
    pub resource: &'static str,
    pub until: i64,
}

pub struct Year {
    pub stage: Stage,
    pub sheet: Sheet,
    pub asked: BTreeMap<&'static str, Asked>,
    pub changes: BTreeMap<&'static str, Change>,
    pub holds: BTreeMap<&'static str, Hold>,
    /// Places in the spreadsheet's list of jobs.
    pub jobs: BTreeMap<&'static str, usize>,
    /// Reports in quarantine: the grant, the resource, the price, the day.
    pub kept: BTreeMap<&'static str, (&'static str, &'static str, i64, i64)>,
    /// Promised in donations that are not accepted yet, by title.
    pub pledges: BTreeMap<&'static str, i64>,
    pub donors: Vec<&'static str>,
    /// A price that waits for an officer.
    pub proposed: Option<Rate>,
    /// How much of what it has left a renewal takes along, in hundredths.
    pub carry_over: BTreeMap<Unit, i64>,
    /// A policy's unit and carry-over, while it waits for another person.
    pub proposed_policy: Option<(Unit, i64)>,
    /// What was read of the books at some place in the journal, by its address: it must stay so.
    pub said: Vec<(String, Value)>,
    story: String,
    minute: i64,
}

/// When the working day begins, in minutes after midnight.
const MORNING: i64 = 9 * 60;

impl Year {
    pub fn begin(database: TestDatabase) -> Year {
        let stage = Stage::open(database);
        stage.turn_to(1, MORNING);
        Year {
            stage,
            sheet: Sheet { today: 1, ..Sheet::default() },
            asked: BTreeMap::new(),
            changes: BTreeMap::new(),
            holds: BTreeMap::new(),
            jobs: BTreeMap::new(),
            kept: BTreeMap::new(),
            pledges: BTreeMap::new(),
            donors: Vec::new(),
            proposed: None,
            carry_over: BTreeMap::new(),
            proposed_policy: None,
            said: Vec::new(),
            story: String::new(),
            minute: MORNING,
        }
    }

    pub fn today(&self) -> i64 {
        self.sheet.today
    }

    /// A moment of today on the wire, so many minutes before now.
    pub fn ago(&self, minutes: i64) -> String {
        Stage::time(self.today(), self.minute - minutes).to_string()
    }

    pub fn story(&self) -> &str {
        &self.story
    }

    pub fn write(&mut self, text: &str) {
        self.story.push_str(text);
        self.story.push('\n');
    }

    pub fn chapter(&mut self, title: &str) {
        let gap = if self.story.is_empty() { "" } else { "\n\n" };
        self.write(&format!("{gap}{title}\n{}\n", "=".repeat(title.chars().count())));
    }

    pub fn tell(&mut self, line: &str) {
        let end = if line.ends_with(['.', ':', '"', '?']) { "" } else { "." };
        let told = wrapped(&format!("{line}{end}"));
        self.write(&format!("day {:03}  {told}", self.today()));
    }

    /// Lets the days pass until the morning of that one. Each night what the clock has decided is booked, and nothing else is.
    pub fn on(&mut self, day: i64) {
        assert!(day > self.today(), "day {day} is past");
        for next in self.today() + 1..=day {
            self.night(next);
        }
        self.minute = MORNING;
        self.stage.turn_to(day, MORNING);
    }

    fn night(&mut self, day: i64) {
        self.sheet.today = day;
        self.stage.turn_to(day, 10);
        let mut lines = Vec::new();
        let expired: Vec<&str> = self.holds.iter().filter(|(_, hold)| hold.until <= day).map(|(name, _)| *name).collect();
        for name in &expired {
            let hold = self.holds.remove(name).expect("a hold");
            self.sheet.release(&hold.held);
            lines.push(format!("what was held for {name} is free again: its time is over"));
        }
        let night = self.sheet.night();
        lines.extend(night.lines);
        // By the clock the books are right before it is booked, and no other when it is.
        let due = !lines.is_empty();
        if due {
            self.compare_donors();
        }
        let swept = self.stage.sweep();
        assert_eq!((swept.holds, swept.grants, swept.lots), (expired.len(), night.grants, night.lots), "the night before day {day}");
        if due {
            self.compare_donors();
        }
        lines.iter().for_each(|line| self.tell(&format!("(night) {line}")));
    }

    /// The next minute of the day: nothing happens at the same moment as another thing.
    pub fn tick(&mut self) {
        self.minute += 1;
        assert!(self.minute < 24 * 60, "the day is over");
        self.stage.turn_to(self.today(), self.minute);
    }

    pub fn by(&mut self, who: Who) -> By<'_> {
        By { year: self, who }
    }

    /// What somebody may read.
    pub fn read(&self, who: Who, path: &str) -> Value {
        self.stage.get(who, path).expect(200).json
    }

    /// The sum in the API's words.
    pub fn sum_of(value: &Value) -> Sum {
        let text = |name: &str| value[name].as_str().unwrap_or_else(|| panic!("no amount in {value}"));
        Sum::read(&format!("{} {}", text("value"), text("unit")))
    }

    /// Lots and parts in the API's words.
    pub fn parts_of(&self, lots: &Value) -> Vec<(String, i64)> {
        let one = |part: &Value| (self.stage.named("lot", part["lot"].as_str().expect("a lot")), Year::sum_of(&part["amount"]).minor);
        lots.as_array().expect("a list of lots").iter().map(one).collect()
    }
}

/// Somebody about to do something.
pub struct By<'y> {
    pub year: &'y mut Year,
    pub who: Who,
}

/// What follows in the spreadsheet from a deed that was done, and what is told of it beyond its own words.
pub type Then = Box<dyn FnOnce(&mut Year, &Value) -> String>;

/// One request over HTTP, not yet sent.
pub struct Deed<'y> {
    pub year: &'y mut Year,
    who: Who,
    path: String,
    pub body: Value,
    words: String,
    version: Option<Version>,
    tried: bool,
    twice: bool,
    makes: Option<(&'static str, String)>,
    then: Then,
}

enum Version {
    /// The one that stands at this address now.
    Of(String),
    Read(i64),
}

impl<'y> By<'y> {
    pub fn deed(self, path: impl Into<String>, body: Value, words: impl Into<String>) -> Deed<'y> {
        let By { year, who } = self;
        let (path, words) = (path.into(), words.into());
        Deed { year, who, path, body, words, version: None, tried: false, twice: false, makes: None, then: Box::new(|_, _| String::new()) }
    }
}

impl Deed<'_> {
    /// What the script calls what is made.
    pub fn makes(mut self, kind: &'static str, name: &str) -> Self {
        self.makes = Some((kind, name.to_owned()));
        self
    }

    pub fn then(mut self, then: impl FnOnce(&mut Year, &Value) -> String + 'static) -> Self {
        self.then = Box::new(then);
        self
    }

    /// It is on the version that was just read.
    pub fn on_version_of(mut self, path: String) -> Self {
        self.version = Some(Version::Of(path));
        self
    }

    /// It is on a version that was read some time ago.
    pub fn having_read(mut self, version: i64) -> Self {
        self.version = Some(Version::Read(version));
        self
    }

    /// It is tried first: the preview must say what then happens.
    pub fn tried_first(mut self) -> Self {
        self.tried = true;
        self
    }

    /// The answer is lost, and it is sent again under the same key.
    pub fn sent_twice(mut self) -> Self {
        self.twice = true;
        self.words(" (sent twice under one key, booked once)")
    }

    /// A field more.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body[name] = value.into();
        self
    }

    pub fn words(mut self, more: &str) -> Self {
        self.words.push_str(more);
        self
    }

    fn send(&mut self, query: &str) -> Answer {
        let version = match &self.version {
            None => None,
            Some(Version::Read(version)) => Some(format!("\"v{version}\"")),
            Some(Version::Of(path)) => Some(self.year.stage.get(self.who, path).expect(200).header("etag").to_owned()),
        };
        let headers: Vec<(&str, &str)> = version.iter().map(|version| ("if-match", version.as_str())).collect();
        self.year.tick();
        let (stage, path) = (&self.year.stage, format!("{}{query}", self.path));
        let key = stage.fresh("key");
        let headers = [&[("idempotency-key", key.as_str())], headers.as_slice()].concat();
        let answer = stage.post(self.who, &path, &headers, &self.body);
        if self.twice {
            let again = stage.post(self.who, &path, &headers, &self.body);
            assert_eq!((again.header("idempotency-replayed"), &again.text), ("true", &answer.text));
        }
        answer
    }

    /// Sends it, after its preview where it has one; the two must agree.
    fn carry_out(&mut self) -> Value {
        let tried = self.tried.then(|| self.send("?dry_run=true").expect(200).json);
        let answer = self.send("");
        assert!(matches!(answer.status, 200 | 201), "{} {}: {}", self.who, self.words, answer.text);
        if let Some(tried) = tried {
            for name in ["postings", "approvals"] {
                assert_eq!(tried[name], answer.json[name], "the preview of: {} {}", self.who, self.words);
            }
        }
        answer.json
    }

    pub fn done(mut self) {
        let answer = self.carry_out();
        if let Some((kind, name)) = self.makes.take() {
            self.year.stage.name(kind, &name, answer["id"].as_str().expect("an id"));
        }
        let more = (self.then)(self.year, &answer);
        self.year.tell(&format!("{} {}{more}", self.who, self.words));
    }

    /// An approval that needs others beside it.
    pub fn waits(mut self) {
        let answer = self.carry_out();
        let (given, needed) = (answer["approvals"]["given"].as_i64(), answer["approvals"]["needed"].as_i64());
        let (given, needed) = given.zip(needed).expect("approvals");
        assert!(given < needed && answer["decision"]["effective"] == Value::Bool(false), "{answer}");
        self.year.tell(&format!("{} {} (approval {given} of {needed}; nothing moves yet)", self.who, self.words));
    }

    pub fn refused(mut self, code: &str) {
        let tried = self.tried.then(|| self.send("?dry_run=true"));
        let answer = self.send("");
        for answer in tried.iter().chain([&answer]) {
            assert_eq!(answer.json["code"].as_str(), Some(code), "{} {}: {}", self.who, self.words, answer.text);
        }
        let title = answer.json["title"].as_str().expect("a title").trim_end_matches('.');
        self.year.tell(&format!("REFUSED ({code}: {title}): {} {}", self.who, self.words));
    }
}

/// The story's lines are this long, and go on under their beginnings.
const LINE: usize = 120;
const INDENT: &str = "         ";

/// Breaks a line between words, never within an amount.
fn wrapped(text: &str) -> String {
    let within = |before: &str, after: &str| {
        let units = ["USD", "GPU-HOUR", "h", "s", "%"];
        before.ends_with(|c: char| c.is_ascii_digit())
            && (after.starts_with(|c: char| c.is_ascii_digit()) || units.iter().any(|unit| after.starts_with(unit)))
    };
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match words.last_mut() {
            Some(last) if within(last, word) => last.push_str(&format!(" {word}")),
            _ => words.push(word.to_owned()),
        }
    }
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in words {
        if line.chars().count() + word.chars().count() >= LINE - INDENT.len() {
            lines.push(std::mem::take(&mut line));
        }
        line.push_str(if line.is_empty() { "" } else { " " });
        line.push_str(&word);
    }
    lines.push(line);
    lines.join(&format!("\n{INDENT}"))
}

#[test]
fn lines_break_between_words_and_not_within_amounts() {
    let told = wrapped(&format!("{} of 1 234.500000 USD, and more", "x".repeat(100)));
    assert_eq!(told, format!("{} of\n{INDENT}1 234.500000 USD, and more", "x".repeat(100)));
}
