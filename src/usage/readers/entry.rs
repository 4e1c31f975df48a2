//! One Slurm accounting entry, whatever it was written in, and what it is: a job that ran, one that did not, a step.

use jiff::Timestamp;

use super::moment::{Moment, one_reading};
use super::tres::Tres;
use super::{Job, Meter, Read, filled};
use crate::time::{SECOND, Time};

/// States in which a job may still use something, whatever is given as its end.
const UNFINISHED: [&str; 8] = ["PENDING", "RUNNING", "SUSPENDED", "CONFIGURING", "COMPLETING", "STOPPED", "SIGNALING", "STAGE_OUT"];

/// The entry as read.
pub struct Entry<'a> {
    pub line: u64,
    pub sluid: &'a str,
    pub cluster: &'a str,
    /// As people write it: `3_1`, `12+0`, `4.batch`.
    pub job_id: &'a str,
    /// As the accounting counts it.
    pub raw_id: &'a str,
    pub account: &'a str,
    pub user: &'a str,
    pub partition: &'a str,
    pub qos: &'a str,
    pub state: &'a str,
    pub nodes: &'a str,
    pub submit: Option<Moment>,
    pub start: Option<Moment>,
    pub end: Option<Moment>,
    pub elapsed: Option<i64>,
    pub allocated: Result<Tres, String>,
}

impl Entry<'_> {
    /// What the entry is, or why it can't be told.
    pub fn judge(self, meters: &[Meter]) -> Result<Read, String> {
        let line = self.line;
        let job_id = if self.job_id.is_empty() { self.raw_id } else { self.job_id }.to_owned();
        if job_id.contains('.') || self.raw_id.contains('.') {
            return Ok(Read::Step { line });
        }
        let state = self.state.split_whitespace().next().unwrap_or_default();
        let Some(start) = self.start else {
            return Ok(Read::NeverStarted { line, job_id });
        };
        if UNFINISHED.contains(&state) {
            return Ok(Read::Running { line, job_id });
        }
        let Some(end) = self.end else {
            return Ok(Read::Running { line, job_id });
        };
        let (submitted, started_at, ended_at) = one_reading(self.submit, start, end, self.elapsed)?;
        let seconds = whole_seconds(started_at, ended_at)?;
        if self.nodes == "None assigned" {
            let never = (seconds == 0).then_some(Read::NeverStarted { line, job_id });
            return never.ok_or_else(|| format!("No nodes were assigned, yet {seconds} s lie between start and end."));
        }
        let quantities = quantities(&self.allocated?, seconds, meters)?;
        if self.account.is_empty() {
            return Err("It names no account.".to_owned());
        }
        Ok(Read::Job(Job {
            line,
            external_id: identity(self.sluid, self.cluster, self.raw_id, submitted)?,
            cluster: filled(self.cluster),
            account: self.account.to_owned(),
            user: filled(self.user),
            partition: filled(self.partition),
            qos: filled(self.qos),
            state: state.to_owned(),
            job_id,
            submitted_at: submitted,
            started_at,
            ended_at,
            quantities,
        }))
    }
}

fn quantities(allocated: &Tres, seconds: u64, meters: &[Meter]) -> Result<Vec<(String, rust_decimal::Decimal)>, String> {
    if allocated.is_empty() && seconds > 0 {
        return Err("It ran, but AllocTRES does not say on what.".to_owned());
    }
    allocated.over(seconds, meters)
}

fn whole_seconds(from: Time, to: Time) -> Result<u64, String> {
    let micros = u64::try_from(to.since(from)).map_err(|_| "It ends before it starts.".to_owned())?;
    let second = SECOND.unsigned_abs();
    if micros % second == 0 { Ok(micros / second) } else { Err("Its start and end are not whole seconds apart.".to_owned()) }
}

/// The SLUID, else cluster, raw id and submit time: ids alone wrap, and a requeued job keeps its id.
fn identity(sluid: &str, cluster: &str, raw_id: &str, submitted: Option<Time>) -> Result<String, String> {
    if !sluid.is_empty() {
        return Ok(sluid.to_owned());
    }
    if cluster.is_empty() {
        return Err("It names no cluster, and none was given for the file.".to_owned());
    }
    let numbered = raw_id.starts_with(|c: char| c.is_ascii_digit()) && raw_id.bytes().all(|b| b.is_ascii_digit() || b == b'_' || b == b'+');
    if !numbered {
        return Err(format!("{raw_id:?} is no job id."));
    }
    let submitted = submitted.ok_or("It has no submit time.")?;
    let stamp = Timestamp::from_microsecond(submitted.micros()).map_err(|_| "Its submit time is out of range.")?;
    Ok(format!("{cluster}:{raw_id}:{}", stamp.strftime("%Y-%m-%dT%H:%M:%SZ")))
}
