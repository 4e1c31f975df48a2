//! `sacct` in its parsable text: cells separated by `|`, columns by name, nothing escaped.
//!
//! The columns differ by version and site, so only those are asked for that a charge needs; a row shifted by a `|` in free
//! text is put right where that can be done in one way.

use std::io::{self, BufRead};

use super::align::align;
use super::columns::Look;
use super::entry::Entry;
use super::lines::{Line, Lines};
use super::moment::{elapsed_seconds, moment};
use super::tres::Tres;
use super::{Options, Read, unusable};

/// The columns that are read, if they are there.
#[derive(Clone, Copy)]
enum Column {
    Sluid,
    Cluster,
    JobId,
    JobIdRaw,
    Account,
    User,
    Partition,
    Qos,
    State,
    Submit,
    Start,
    End,
    ElapsedRaw,
    Elapsed,
    AllocTres,
    NodeList,
}

/// Their names, in the order of [`Column`].
const NAMES: [&str; 16] = [
    "SLUID",
    "Cluster",
    "JobID",
    "JobIDRaw",
    "Account",
    "User",
    "Partition",
    "QOS",
    "State",
    "Submit",
    "Start",
    "End",
    "ElapsedRaw",
    "Elapsed",
    "AllocTRES",
    "NodeList",
];

/// Without these no job can be charged.
const REQUIRED: [Column; 8] =
    [Column::JobIdRaw, Column::Account, Column::User, Column::State, Column::Submit, Column::Start, Column::End, Column::AllocTres];

/// Which cell is what.
struct Layout {
    looks: Vec<Look>,
    /// Places of the columns that are read.
    needed: Vec<usize>,
    /// For each [`Column`] its index in `needed`.
    slots: [Option<usize>; NAMES.len()],
}

impl Layout {
    fn new<'n>(names: impl Iterator<Item = &'n str>, options: &Options) -> io::Result<Layout> {
        let names: Vec<String> = names.map(|name| name.trim().to_ascii_lowercase()).collect();
        let mut layout =
            Layout { looks: names.iter().map(|name| Look::of(name)).collect(), needed: Vec::new(), slots: [None; NAMES.len()] };
        for (wanted, slot) in NAMES.iter().zip(&mut layout.slots) {
            if let Some(place) = names.iter().position(|name| name.eq_ignore_ascii_case(wanted)) {
                *slot = Some(layout.needed.len());
                layout.needed.push(place);
            }
        }
        let missing: Vec<&str> =
            REQUIRED.into_iter().filter(|c| !layout.has(*c)).map(|c| NAMES.get(c as usize).copied().unwrap_or_default()).collect();
        if !missing.is_empty() {
            return Err(unusable(format!(
                "These columns of sacct are missing: {}. The first line must name the columns; for a file without such a line, name them with --columns.",
                missing.join(", ")
            )));
        }
        if !layout.has(Column::Cluster) && !layout.has(Column::Sluid) && options.cluster.is_none() {
            return Err(unusable("The file does not name the cluster: name it with --cluster."));
        }
        Ok(layout)
    }

    fn slot(&self, column: Column) -> Option<usize> {
        self.slots.get(column as usize).copied().flatten()
    }

    fn has(&self, column: Column) -> bool {
        self.slot(column).is_some()
    }
}

/// Reads row after row.
pub struct Rows<R> {
    lines: Lines<R>,
    layout: Layout,
    options: Options,
}

impl<R: BufRead> Rows<R> {
    /// The first line names the columns.
    pub fn with_header(mut lines: Lines<R>, options: &Options) -> io::Result<Rows<R>> {
        let layout = match lines.next()? {
            Some((_, Line::Text(header))) => Layout::new(header.split('|'), options)?,
            Some((_, Line::Unreadable(reason, _))) => return Err(unusable(format!("The header can't be read. {reason}"))),
            None => return Err(unusable("The file is empty: there is no line that names the columns.")),
        };
        Ok(Rows { lines, layout, options: options.clone() })
    }

    /// The columns are named apart, every line is a row.
    pub fn with_columns(lines: Lines<R>, names: &[String], options: &Options) -> io::Result<Rows<R>> {
        let layout = Layout::new(names.iter().map(String::as_str), options)?;
        Ok(Rows { lines, layout, options: options.clone() })
    }
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = io::Result<Read>;

    fn next(&mut self) -> Option<io::Result<Read>> {
        let (line, text) = match self.lines.next().transpose()? {
            Ok((line, Line::Text(text))) => (line, text),
            Ok((line, Line::Unreadable(reason, original))) => {
                return Some(Ok(Read::Rejected { line, reason: reason.to_owned(), original }));
            }
            Err(fault) => return Some(Err(fault)),
        };
        let judged = judge(line, text, &self.layout, &self.options);
        Some(Ok(judged.unwrap_or_else(|reason| Read::Rejected { line, reason, original: text.to_owned() })))
    }
}

fn judge(line: u64, text: &str, layout: &Layout, options: &Options) -> Result<Read, String> {
    let cells: Vec<&str> = text.split('|').collect();
    let row = align(&layout.looks, &layout.needed, &cells)?;
    let cell = |column: Column| layout.slot(column).and_then(|slot| row.get(slot)).map_or("", |cell| cell.trim());
    let time = |column: Column| moment(cell(column), &options.timezone);
    let cluster = match cell(Column::Cluster) {
        "" => options.cluster.as_deref().unwrap_or_default(),
        named => named,
    };
    let entry = Entry {
        line,
        sluid: cell(Column::Sluid),
        cluster,
        job_id: cell(Column::JobId),
        raw_id: cell(Column::JobIdRaw),
        account: cell(Column::Account),
        user: cell(Column::User),
        partition: cell(Column::Partition),
        qos: cell(Column::Qos),
        state: cell(Column::State),
        nodes: cell(Column::NodeList),
        submit: time(Column::Submit)?,
        start: time(Column::Start)?,
        end: time(Column::End)?,
        elapsed: elapsed_seconds(cell(Column::ElapsedRaw)).or_else(|| elapsed_seconds(cell(Column::Elapsed))),
        allocated: Tres::parse(cell(Column::AllocTres)),
    };
    entry.judge(&options.meters)
}
