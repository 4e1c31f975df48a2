//! `almoner statement`: makes a statement, or finds it made, and writes its text.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::exit::Failure;
use super::place::Place;
use super::token::id;
use crate::actor::Actor;
use crate::directory;
use crate::http::api::statements::table;
use crate::id::{DonorId, InstitutionId, ProjectId};
use crate::reports::statement::{self, Asked, Made, Whom, jobs, page};
use crate::time::{Period, Time};

/// Of whom, over which days, in which form.
#[derive(Args, Debug)]
pub struct Options {
    #[command(flatten)]
    whom: OfWhom,
    /// The first day, UTC
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: Time,
    /// The last day
    #[arg(long, value_name = "DAY", value_parser = day)]
    until: Time,
    /// json (canonical: what the hash is of), html (for print) or csv
    #[arg(long, value_name = "FORM", default_value = "json", value_parser = ["json", "html", "csv"])]
    format: String,
    /// File to write [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// One of the three.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct OfWhom {
    /// What became of a donor's credits
    #[arg(long, value_name = "ID", value_parser = id::<crate::id::Donor>)]
    donor: Option<DonorId>,
    /// What a project's grants had and its jobs cost
    #[arg(long, value_name = "ID", value_parser = id::<crate::id::Project>)]
    project: Option<ProjectId>,
    /// What a provider charged and metered
    #[arg(long, value_name = "ID", value_parser = id::<crate::id::Institution>)]
    provider: Option<InstitutionId>,
}

impl OfWhom {
    fn whom(&self) -> Option<Whom> {
        self.donor.map(Whom::Donor).or(self.project.map(Whom::Project)).or(self.provider.map(Whom::Provider))
    }
}

/// Reads `2026-03-31` as the begin of that day.
fn day(text: &str) -> Result<Time, String> {
    let begin = Time::parse(&format!("{text}T00:00:00Z")).filter(|begin| begin.day() == text);
    begin.ok_or_else(|| "write a day like 2026-03-31".to_owned())
}

/// Writes the text to standard output or a file, and says on standard error which statement it is.
pub fn run(place: &Place, options: &Options) -> Result<(), Failure> {
    let store = place.open()?;
    let whom = options.whom.whom().ok_or_else(|| Failure::error("Name one of --donor, --project and --provider."))?;
    let end = Time::from_micros(options.until.micros() + crate::time::DAY);
    let period = Period::new(options.from, end).ok_or_else(|| Failure::error("--until must not come before --from."))?;
    let asked = Asked::new(whom, period, store.clock().now())?;
    let drawn = store.read(|conn| statement::draw(conn, &asked))?;
    let (seq, sha256) = (drawn.text.seq, drawn.sha256.clone());
    let (made, _) = store.write(move |work| {
        let person = directory::person_for(work, &Actor::operator("statement"))?;
        statement::record(work, person, &asked, seq, &sha256)
    })?;
    let lines = drawn.text.lines();
    let bytes = match options.format.as_str() {
        "json" => drawn.canonical,
        form => {
            let jobs = store.read(|conn| jobs::jobs(conn, &drawn.text))?;
            if form == "csv" { table(&drawn.text, &jobs) } else { page::page(&drawn, &jobs).into_bytes() }
        }
    };
    write(options, &bytes)?;
    say(place, &made, lines);
    Ok(())
}

fn write(options: &Options, bytes: &[u8]) -> Result<(), Failure> {
    match &options.output {
        Some(path) => fs::write(path, bytes).map_err(|e| Failure::file(path, &e)),
        None => {
            let mut out = io::stdout().lock();
            out.write_all(bytes)?;
            Ok(out.flush()?)
        }
    }
}

fn say(place: &Place, made: &Made, lines: usize) {
    let Made { id, asked, seq, sha256, .. } = made;
    let (from, until) = (asked.period.from.day(), asked.period.to.plus(-1).day());
    match place.json {
        true => eprintln!(
            "{}",
            serde_json::json!({
                "statement": id, "kind": asked.whom.kind(), "whom": asked.whom.id(), "from": from, "until": until, "seq": seq,
                "lines": lines, "sha256": sha256,
            })
        ),
        false => eprintln!(
            "{id}: {} {}, {from} to {until}, {lines} lines, frozen at entry {seq} of the journal.\nSHA-256 {sha256}",
            asked.whom.kind(),
            asked.whom.id(),
        ),
    }
}
