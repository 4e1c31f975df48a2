//! Readers of others' job logs: each turns a file into the same neutral rows.
//!
//! Pure: they know neither grants nor rates nor any database, and what they can't read they hand back with the reason and the
//! original, so that nothing that arrives is lost. Text is read line by line in flat memory; a line longer than 1 MiB is
//! rejected. JSON is read job by job, but its rows are gathered before the first is handed out.

mod align;
mod columns;
mod entry;
mod json;
mod lines;
mod moment;
mod slurm;
mod table;
mod tres;

use std::io::{self, BufRead, Cursor};

use jiff::tz::TimeZone;
use rust_decimal::Decimal;

use crate::refusal::{FieldCode, Refusal};
use crate::time::Time;

pub use columns::columns;
pub use table::Map;

/// One job that ran to its end, whatever the log it came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// Its line in the file, from 1; in JSON its place in the list.
    pub line: u64,
    /// What makes it the same job when it is read again. Slurm: the SLUID, else `cluster:JobIDRaw:Submit` with the time in UTC.
    pub external_id: String,
    /// The cluster it ran on.
    pub cluster: Option<String>,
    /// The account it names.
    pub account: String,
    /// Who ran it.
    pub user: Option<String>,
    /// The partition (queue).
    pub partition: Option<String>,
    /// The quality of service.
    pub qos: Option<String>,
    /// How it ended, one word: `CANCELLED by 1000` is `CANCELLED`. Empty where the log does not say.
    pub state: String,
    /// Its id as people write it: `4711`, `3_1`, `12+0`.
    pub job_id: String,
    /// When it was handed in.
    pub submitted_at: Option<Time>,
    /// When it began.
    pub started_at: Time,
    /// When it ended; never before it began.
    pub ended_at: Time,
    /// What it used, exactly: the meter's name and how much. At least one.
    pub quantities: Vec<(String, Decimal)>,
}

/// What one line of a log turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Read {
    /// A job that ran, if only for 0 s.
    Job(Job),
    /// A job that used nothing because it did not start (yet).
    NeverStarted {
        /// Its line.
        line: u64,
        /// Its id.
        job_id: String,
    },
    /// A job that has not ended: to be read again later.
    Running {
        /// Its line.
        line: u64,
        /// Its id.
        job_id: String,
    },
    /// A step, which repeats what its job was given.
    Step {
        /// Its line.
        line: u64,
    },
    /// What could not be read.
    Rejected {
        /// Its line.
        line: u64,
        /// Why, for a person.
        reason: String,
        /// The line as it came (of an overlong one, its beginning).
        original: String,
    },
}

/// How the input is laid out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// Slurm's JSON or its text with a header, whichever the first bytes show.
    #[default]
    Detect,
    /// `sacct --parsable` or `--parsable2`, with the header line.
    Slurm,
    /// The same without a header: the columns' names in their order, as [`columns`] reads them.
    SlurmColumns(Vec<String>),
    /// `sacct --json`.
    SlurmJson,
    /// Comma-separated, with a header line, and which of its columns mean what.
    Csv(Map),
}

/// What of a Slurm allocation is metered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meter {
    /// GPUs, typed or not, each counted once.
    Gpu,
    /// CPUs as the scheduler counts them.
    Cpu,
    /// Whole nodes.
    Node,
    /// Memory, in MiB.
    Memory,
}

impl Meter {
    /// Every meter there is.
    pub const ALL: [Meter; 4] = [Meter::Gpu, Meter::Cpu, Meter::Node, Meter::Memory];

    /// Its name in usage records; quantities are in seconds.
    pub const fn name(self) -> &'static str {
        match self {
            Meter::Gpu => "gpu-second",
            Meter::Cpu => "cpu-second",
            Meter::Node => "node-second",
            Meter::Memory => "mib-second",
        }
    }

    /// The meter of that name; `gpu`, `gpu-hour` and `gpu-second` are the same one.
    pub fn parse(text: &str) -> Result<Meter, Refusal> {
        let stem = |name: &'static str| name.strip_suffix("-second").unwrap_or(name);
        let wanted = text.strip_suffix("-hour").or(text.strip_suffix("-second")).unwrap_or(text);
        let found = Meter::ALL.into_iter().find(|m| stem(m.name()) == wanted);
        found.ok_or_else(|| Refusal::field("/meters", FieldCode::NotAllowed, format!("{text:?} is none of gpu, cpu, node, mib.")))
    }
}

/// What the reader can't learn from the file.
#[derive(Clone, Debug)]
pub struct Options {
    /// How the input is laid out.
    pub format: Format,
    /// The cluster of rows that name none.
    pub cluster: Option<String>,
    /// The zone of times that name none.
    pub timezone: TimeZone,
    /// What of a Slurm allocation is metered, in the order of the quantities; what an allocation does not name is left out.
    pub meters: Vec<Meter>,
}

impl Default for Options {
    fn default() -> Options {
        let meters = vec![Meter::Gpu, Meter::Cpu, Meter::Node];
        Options { format: Format::Detect, cluster: None, timezone: TimeZone::UTC, meters }
    }
}

/// The rows of a log, in its order.
pub type Rows<'a> = Box<dyn Iterator<Item = io::Result<Read>> + 'a>;

/// Reads a log row by row. An error (of the input, or a header that can't be worked with) is the last item.
pub fn read<'a, R: BufRead + 'a>(input: R, options: &Options) -> Rows<'a> {
    match open(input, options) {
        Ok(rows) => Box::new(until_error(rows)),
        Err(fault) => Box::new(std::iter::once(Err(fault))),
    }
}

fn open<'a, R: BufRead + 'a>(mut input: R, options: &Options) -> io::Result<Rows<'a>> {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    let mut head = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(&mut input, 512), &mut head)?;
    let marked = head.starts_with(MARK);
    let shows_json = head.get(if marked { MARK.len() } else { 0 }..).is_some_and(|rest| rest.trim_ascii_start().starts_with(b"{"));
    let mut start = Cursor::new(head);
    start.set_position(if marked { MARK.len() as u64 } else { 0 });
    let input = io::Read::chain(start, input);
    let lines = |input| lines::Lines::new(input);
    match &options.format {
        Format::SlurmJson => Ok(Box::new(json::read(input, options))),
        Format::Detect if shows_json => Ok(Box::new(json::read(input, options))),
        Format::Detect | Format::Slurm => Ok(Box::new(slurm::Rows::with_header(lines(input), options)?)),
        Format::SlurmColumns(names) => Ok(Box::new(slurm::Rows::with_columns(lines(input), names, options)?)),
        Format::Csv(map) => Ok(Box::new(table::Rows::open(lines(input), map, options)?)),
    }
}

/// Ends after the first error: behind it nothing can be trusted.
fn until_error(rows: Rows<'_>) -> impl Iterator<Item = io::Result<Read>> {
    rows.scan(false, |failed, row| {
        let ended = std::mem::replace(failed, row.is_err());
        (!ended).then_some(row)
    })
}

/// An input that can't be worked with at all.
fn unusable(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

/// `None` for a cell that says nothing.
fn filled(cell: &str) -> Option<String> {
    (!cell.is_empty()).then(|| cell.to_owned())
}

#[cfg(test)]
mod tests;
