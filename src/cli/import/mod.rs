//! `almoner import`: charges the jobs of a scheduler's log, each once, however often it is imported.

mod feed;
mod originals;
mod plan;
mod tally;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;

use super::exit::{Exit, Failure};
use super::place::Place;
use super::progress::{self, Counted};
use super::table::count;
use super::token::id;
use crate::id::GrantId;
use crate::refusal::Refusal;
use crate::store::Fault;
use crate::usage::Incoming;
use crate::usage::readers::{self, Format, Map, Meter, Read as Row, columns};
use feed::Feed;
use originals::Originals;
use plan::{Plan, Wish};
use tally::{Failed, Tally};

/// Records that are committed together.
const BATCH: usize = 2000;

/// How the log is laid out.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Layout {
    /// Slurm's text with a header line, or its JSON, as the first bytes show
    Auto,
    /// sacct --parsable or --parsable2, with the header line unless --columns names the columns
    Slurm,
    /// sacct --json
    SlurmJson,
    /// Comma-separated with a header line; --map says which column means what
    Csv,
}

/// What to import, and how to read it.
#[derive(Args, Debug)]
pub struct Options {
    /// The log; - reads standard input
    file: PathBuf,
    /// How the log is laid out
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "auto")]
    format: Layout,
    /// The columns of a log without a header: their names as in sacct, separated by commas, or xdmod
    #[arg(long, value_name = "LIST", value_parser = |text: &str| columns(text).map(Columns).map_err(said))]
    columns: Option<Columns>,
    /// Which column means what: external_id=JobID,account=Project,started_at=Start,ended_at=End,gpu-hour=GPUh
    #[arg(long, value_name = "FIELD=COLUMN,…", value_parser = |text: &str| Map::parse(text).map_err(said))]
    map: Option<Map>,
    /// The resource that the jobs ran on: its identifier or external_id
    #[arg(long, value_name = "ID")]
    resource: String,
    /// The resource's provider, where two resources have one external_id
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// The cluster of lines that name none
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// The zone of times that name none, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = |text: &str| TimeZone::get(text).map_err(|e| e.to_string()))]
    timezone: TimeZone,
    /// What of a Slurm allocation is charged: gpu, cpu, node, mib [default: those for which the resource has a rate]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = |text: &str| Meter::parse(text).map_err(said))]
    meters: Vec<Meter>,
    /// Charge every job to this grant, whatever account it names
    #[arg(long, value_name = "ID", value_parser = id::<crate::id::Grant>)]
    grant: Option<GrantId>,
    /// Charge the jobs of an account to this grant; may be repeated
    #[arg(long = "map-account", value_name = "ACCOUNT=GRANT", value_parser = account_grant)]
    map_accounts: Vec<(String, GrantId)>,
    /// Decide everything and write nothing; nobody else can write meanwhile
    #[arg(long)]
    dry_run: bool,
    /// Write what was not charged here: line number, reason and the original line, separated by tabs
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
}

/// The names of columns; of one type for clap, which would take a `Vec` for a repeated option.
#[derive(Clone, Debug)]
struct Columns(Vec<String>);

fn said(refusal: Refusal) -> String {
    refusal.errors.first().map_or(refusal.detail.clone(), |error| error.detail.clone())
}

fn account_grant(text: &str) -> Result<(String, GrantId), String> {
    let (account, grant) = text.rsplit_once('=').ok_or("write it like ACCOUNT=grt_…")?;
    Ok((account.to_owned(), id(grant)?))
}

impl Options {
    fn layout(&self) -> Result<Format, Failure> {
        let usage = |words: &str| Err(Failure::new(Exit::Usage, words));
        match (self.format, &self.columns, &self.map) {
            (_, Some(_), Some(_)) => usage("--columns is for Slurm's text and --map for CSV: give one of them."),
            (Layout::Auto | Layout::Slurm, Some(Columns(names)), _) => Ok(Format::SlurmColumns(names.clone())),
            (Layout::Auto | Layout::Csv, _, Some(map)) => Ok(Format::Csv(map.clone())),
            (Layout::Csv, ..) => usage("Say with --map which column of the CSV means what."),
            (_, Some(_), _) => usage("--columns is for Slurm's text."),
            (_, _, Some(_)) => usage("--map is for CSV."),
            (Layout::Auto, ..) => Ok(Format::Detect),
            (Layout::Slurm, ..) => Ok(Format::Slurm),
            (Layout::SlurmJson, ..) => Ok(Format::SlurmJson),
        }
    }

    fn plan(&self, conn: &mut crate::store::Conn) -> Result<Plan, Failure> {
        let (resource, provider) = (&self.resource, self.provider.as_deref());
        Plan::new(conn, &Wish { resource, provider, meters: &self.meters, grant: self.grant, by_account: &self.map_accounts })
    }

    fn name(&self) -> String {
        if self.is_stdin() { "standard input".into() } else { self.file.display().to_string() }
    }

    fn is_stdin(&self) -> bool {
        self.file == Path::new("-")
    }

    /// The log, and its length where that is known.
    fn open(&self) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
        if self.is_stdin() {
            return Ok((Box::new(io::stdin().lock()), None));
        }
        let failed = |error: io::Error| Failure::file(&self.file, &error);
        let file = File::open(&self.file).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if about.is_dir() {
            return Err(Failure::error(format!("{} is a folder, not a log.", self.file.display())));
        }
        Ok((Box::new(file), about.is_file().then_some(about.len())))
    }
}

/// Imports and prints what became of every line; `Rejected` if some records are not in the books as they were sent.
pub fn run(place: &Place, options: &Options) -> Result<Exit, Failure> {
    let format = options.layout()?;
    let (input, length) = options.open()?;
    let store = place.open()?;
    let plan = store.read(|conn| Ok(options.plan(conn)))??;
    if plan.meters.is_empty() && !matches!(format, Format::Csv(_)) {
        let words = format!("{} has no rate in force for gpu, cpu, node or mib, so nothing could be charged.", plan.resource.about.name);
        return Err(Failure::error(words));
    }
    introduce(options, &plan, &format);
    let bar = progress::bytes("Importing", length);
    let read =
        readers::Options { format, cluster: options.cluster.clone(), timezone: options.timezone.clone(), meters: plan.meters.clone() };
    let rejects = options.rejects.as_deref().map(Rejects::create).transpose()?;
    let provider = plan.provider_id();
    let feed = if options.dry_run { Feed::dry(&store, provider)? } else { Feed::real(store, provider) };
    let mut import = Import { plan, feed, tally: Tally::default(), rejects, batch: Batch::default(), sent: None };
    let ended = import.all(Counted::new(input, bar.clone()), &read);
    bar.finish_and_clear();
    let Import { feed, tally, rejects, .. } = import;
    feed.close();
    report(place, options, &tally)?;
    rejects.map_or(Ok(()), Rejects::finish)?;
    ended.map_err(|failure| Failure { words: format!("The import broke off. {failure}"), ..failure })?;
    let troubled = tally.troubled();
    if troubled > 0 {
        let seen = if options.rejects.is_some() { "" } else { "; --rejects FILE says which and why" };
        let which = if troubled == 1 { "1 record is".to_owned() } else { format!("{} records are", count(troubled)) };
        eprintln!("{which} not in the books as sent{seen}.");
    }
    Ok(if troubled > 0 { Exit::Rejected } else { Exit::Done })
}

/// Says what is going to be done, and what is not.
fn introduce(options: &Options, plan: &Plan, format: &Format) {
    let resource = &plan.resource;
    let dry = if options.dry_run { "Trying (nothing is written)" } else { "Importing" };
    eprintln!("{dry} {} as usage of {} ({}), reported by {}.", options.name(), resource.about.name, resource.id, plan.provider);
    if let Format::Csv(_) = format {
        eprintln!("Times without a zone are read as {}.", options.timezone.iana_name().unwrap_or("given"));
        return;
    }
    let names = |meters: &[Meter]| meters.iter().map(|meter| meter.name()).collect::<Vec<_>>().join(", ");
    let left_out = match plan.left_out.as_slice() {
        [] => String::new(),
        meters => format!(", not {}, for which the resource has no rate", names(meters)),
    };
    eprintln!(
        "Metered: {}{left_out}. Times without a zone are read as {}.",
        names(&plan.meters),
        options.timezone.iana_name().unwrap_or("given")
    );
}

fn report(place: &Place, options: &Options, tally: &Tally) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let printed = match place.json {
        true => tally.json().map_err(Failed::from).and_then(|mut summary| {
            summary["file"] = options.name().into();
            summary["dry_run"] = options.dry_run.into();
            Ok(writeln!(out, "{summary:#}")?)
        }),
        false => tally.print(&mut out),
    };
    match printed {
        Ok(()) => Ok(out.flush()?),
        Err(Failed::Sum(fault)) => Err(fault.into()),
        Err(Failed::Output(error)) => Err(error.into()),
    }
}

/// Records that wait to be sent, each with its line.
#[derive(Default)]
struct Batch {
    records: Vec<Incoming>,
    lines: Vec<(u64, Option<String>)>,
}

/// Records that were sent, with their lines.
struct Sent {
    records: feed::Records,
    lines: Vec<(u64, Option<String>)>,
}

/// One import under way.
struct Import {
    plan: Plan,
    feed: Feed,
    tally: Tally,
    rejects: Option<Rejects>,
    batch: Batch,
    sent: Option<Sent>,
}

impl Import {
    /// Reads the log to its end and charges its jobs. What was sent before something broke is settled all the same.
    fn all(&mut self, input: impl Read, read: &readers::Options) -> Result<(), Failure> {
        let originals = Originals::default();
        let mut input: Box<dyn BufRead + '_> = match self.rejects {
            Some(_) => Box::new(BufReader::with_capacity(1 << 16, originals.of(input))),
            None => Box::new(BufReader::with_capacity(1 << 16, input)),
        };
        let start = input.fill_buf().map_err(|error| Failure::error(error.to_string()))?;
        let json = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start().starts_with(b"{");
        // A line of JSON is no job; the record that was made of the job says more.
        let json = read.format == Format::SlurmJson || (read.format == Format::Detect && json);
        let originals = self.rejects.as_ref().filter(|_| !json).map(|_| originals);
        let mut broken = None;
        for row in readers::read(input, read) {
            match row {
                Ok(row) => self.row(row, originals.as_ref())?,
                Err(error) => broken = Some(Failure::error(error.to_string())),
            }
        }
        self.send()?;
        self.settle()?;
        broken.map_or(Ok(()), Err)
    }

    fn row(&mut self, row: Row, originals: Option<&Originals>) -> Result<(), Failure> {
        self.tally.lines += 1;
        match row {
            Row::NeverStarted { .. } => self.tally.never_started += 1,
            Row::Running { .. } => self.tally.running += 1,
            Row::Step { .. } => self.tally.steps += 1,
            Row::Rejected { line, reason, original } => {
                self.tally.rejected += 1;
                self.set_aside(line, &format!("rejected: {reason}"), &original)?;
            }
            Row::Job(job) => {
                let line = job.line;
                let original = originals.map(|originals| originals.line(line));
                match self.plan.record(job) {
                    Ok(record) => {
                        self.batch.records.push(Incoming::new(self.plan.provider_id(), record));
                        self.batch.lines.push((line, original));
                    }
                    Err(refusal) => {
                        let reason = self.tally.reject(&refusal);
                        self.set_aside(line, &reason, &original.unwrap_or_default())?;
                    }
                }
                if self.batch.records.len() >= BATCH {
                    self.send()?;
                }
            }
        }
        Ok(())
    }

    /// Sends the batch, and settles the one before it while the writer writes.
    fn send(&mut self) -> Result<(), Failure> {
        let Batch { records, lines } = std::mem::take(&mut self.batch);
        if records.is_empty() {
            return Ok(());
        }
        let records = Arc::new(records);
        self.feed.send(records.clone())?;
        self.settle()?;
        self.sent = Some(Sent { records, lines });
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Failure> {
        let Some(Sent { records, lines }) = self.sent.take() else { return Ok(()) };
        let outcomes = self.feed.receive()?;
        if outcomes.len() != records.len() {
            return Err(Fault::Internal("the writer lost records".into()).into());
        }
        for ((incoming, (line, original)), outcome) in records.iter().zip(lines).zip(&outcomes) {
            if let Some(reason) = self.tally.add(incoming, outcome)? {
                self.set_aside(line, &reason, &original.map_or_else(|| incoming.record.canonical(), Into::into))?;
            }
        }
        Ok(())
    }

    fn set_aside(&mut self, line: u64, reason: &str, original: &str) -> Result<(), Failure> {
        self.rejects.as_mut().map_or(Ok(()), |rejects| rejects.add(line, reason, original))
    }
}

/// The file of what was not charged.
struct Rejects {
    path: PathBuf,
    out: BufWriter<File>,
}

impl Rejects {
    fn create(path: &Path) -> Result<Rejects, Failure> {
        let file = File::create(path).map_err(|error| Failure::file(path, &error))?;
        Ok(Rejects { path: path.to_owned(), out: BufWriter::new(file) })
    }

    fn add(&mut self, line: u64, reason: &str, original: &str) -> Result<(), Failure> {
        let reason = reason.replace(['\t', '\n', '\r'], " ");
        let original = original.replace(['\n', '\r'], " ");
        writeln!(self.out, "{line}\t{reason}\t{original}").map_err(|error| Failure::file(&self.path, &error))
    }

    fn finish(mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| Failure::file(&self.path, &error))
    }
}
