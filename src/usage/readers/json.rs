//! `sacct --json`: its list `jobs`, in the shapes of several versions.
//!
//! A state is a word in old versions and a list of words in new ones, a number is plain or `{set, infinite, number}`. One job at a
//! time is held as JSON; of all of them only the rows are kept.

use std::fmt;
use std::io::{self, BufRead};

use rust_decimal::Decimal;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::entry::Entry;
use super::moment::{Moment, from_epoch};
use super::tres::Tres;
use super::{Options, Read, unusable};

/// The rows of the document; if it breaks off, those before the break and then the error.
pub fn read<R: BufRead>(input: R, options: &Options) -> impl Iterator<Item = io::Result<Read>> + use<R> {
    let mut rows = Vec::new();
    let mut text = serde_json::Deserializer::from_reader(input);
    let document = Document { options, rows: &mut rows };
    let done = text.deserialize_map(document).and_then(|()| text.end());
    let fault = done.err().map(|fault| Err(unusable(format!("The JSON can't be read: {fault}."))));
    rows.into_iter().map(Ok).chain(fault)
}

struct Document<'o, 'r> {
    options: &'o Options,
    rows: &'r mut Vec<Read>,
}

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a list \"jobs\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            if key == "jobs" && !found {
                found = true;
                map.next_value_seed(Jobs { options: self.options, rows: &mut *self.rows })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if found { Ok(()) } else { Err(A::Error::custom("there is no list \"jobs\"")) }
    }
}

struct Jobs<'o, 'r> {
    options: &'o Options,
    rows: &'r mut Vec<Read>,
}

impl<'de> DeserializeSeed<'de> for Jobs<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, list: D) -> Result<(), D::Error> {
        list.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Jobs<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of jobs")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut line = 0;
        while let Some(job) = list.next_element::<Value>()? {
            line += 1;
            let judged = judge(line, &job, self.options);
            self.rows.push(judged.unwrap_or_else(|reason| Read::Rejected { line, reason, original: job.to_string() }));
        }
        Ok(())
    }
}

fn judge(line: u64, job: &Value, options: &Options) -> Result<Read, String> {
    let text = |path: &str| job.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let either = |path: &str, other: &str| {
        if text(path).is_empty() { text(other).to_owned() } else { text(path).to_owned() }
    };
    let cluster = match text("/cluster") {
        "" => options.cluster.clone().unwrap_or_default(),
        named => named.to_owned(),
    };
    let raw_id = at(job, "/job_id").map(|id| id.to_string()).ok_or("It has no job_id.")?;
    let entry = Entry {
        line,
        sluid: text("/sluid"),
        cluster: &cluster,
        job_id: &written_id(job, &raw_id),
        raw_id: &raw_id,
        account: &either("/account", "/association/account"),
        user: &either("/user", "/association/user"),
        partition: text("/partition"),
        qos: text("/qos"),
        state: state(job),
        nodes: text("/nodes"),
        submit: time(job, "/time/submission")?,
        start: time(job, "/time/start")?,
        end: time(job, "/time/end")?,
        elapsed: at(job, "/time/elapsed"),
        allocated: allocated(job),
    };
    entry.judge(&options.meters)
}

/// A number in either shape; `None` if it is absent, unset or infinite.
fn number(value: &Value) -> Option<i64> {
    let flag = |name: &str| value.get(name).and_then(Value::as_bool);
    match value {
        Value::Object(_) if flag("set") != Some(false) && flag("infinite") != Some(true) => value.get("number")?.as_i64(),
        Value::Object(_) => None,
        plain => plain.as_i64(),
    }
}

fn at(job: &Value, path: &str) -> Option<i64> {
    job.pointer(path).and_then(number)
}

/// 0 is how an absent time is written.
fn time(job: &Value, path: &str) -> Result<Option<Moment>, String> {
    match at(job, path) {
        None | Some(0) => Ok(None),
        Some(seconds) => from_epoch(seconds).map(Some).ok_or_else(|| format!("{seconds} is no time.")),
    }
}

fn state(job: &Value) -> &str {
    let current = job.pointer("/state/current").unwrap_or(&Value::Null);
    current.as_str().or_else(|| current.get(0)?.as_str()).unwrap_or_default()
}

/// `3_1` for a task of an array, `12+0` for a part of a heterogeneous job.
fn written_id(job: &Value, raw_id: &str) -> String {
    let part = |whole: &str, part: &str| Some((at(job, whole).filter(|id| *id != 0)?, at(job, part)?));
    if let Some((array, task)) = part("/array/job_id", "/array/task_id") {
        return format!("{array}_{task}");
    }
    part("/het/job_id", "/het/job_offset").map_or_else(|| raw_id.to_owned(), |(whole, offset)| format!("{whole}+{offset}"))
}

fn allocated(job: &Value) -> Result<Tres, String> {
    let mut tres = Tres::default();
    for item in job.pointer("/tres/allocated").and_then(Value::as_array).into_iter().flatten() {
        let word = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
        let Some(count) = item.get("count").and_then(number) else {
            continue;
        };
        let key = match word("name") {
            "" => word("type").to_owned(),
            name => format!("{}/{name}", word("type")),
        };
        let count = u64::try_from(count).map_err(|_| format!("The count of {key} is negative."))?;
        tres.add(&key, Decimal::from(count))?;
    }
    Ok(tres)
}
