//! `almoner export`: the journal for other people's tools, streamed from one snapshot of the books.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;

use super::exit::Failure;
use super::place::Place;
use super::progress;
use crate::ledger::{self, Entry};
use crate::reports::export::{self, Format, Summary};
use crate::store::{Conn, Fault};

/// Entries read at a time.
const PAGE: i64 = 2000;

/// What to write, and where.
#[derive(Args, Debug)]
pub struct Options {
    /// beancount, hledger, ledger, csv or ndjson
    #[arg(long, value_name = "FORMAT")]
    format: Format,
    /// File to write; it appears under this name once it is complete [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the export and says on standard error what it holds.
pub fn run(place: &Place, options: &Options) -> Result<(), Failure> {
    let mut conn = place.books()?;
    let (summary, whereto) = match &options.output {
        None => (write(&mut conn, options.format, io::stdout().lock())?, "standard output".to_owned()),
        Some(path) => (write_file(&mut conn, options.format, path)?, path.display().to_string()),
    };
    match place.json {
        true => eprintln!(
            "{}",
            serde_json::json!({"transactions": summary.transactions, "postings": summary.postings, "first": summary.first, "last": summary.last})
        ),
        false => eprintln!("Exported to {whereto}: {summary}."),
    }
    Ok(())
}

/// Writes under another name first, so that an export that broke off is never taken for a whole one.
fn write_file(conn: &mut Conn, format: Format, path: &Path) -> Result<Summary, Failure> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let failed = |error: io::Error| Failure::file(path, &error);
    let file = File::create(&partial).map_err(failed)?;
    let written = write(conn, format, &file).and_then(|summary| file.sync_all().map_err(failed).map(|()| summary));
    match written {
        Ok(summary) => fs::rename(&partial, path).map_err(failed).map(|()| summary),
        Err(failure) => {
            // What is wrong is being said already; a leftover is harmless.
            let _ = fs::remove_file(&partial);
            Err(failure)
        }
    }
}

fn write(conn: &mut Conn, format: Format, out: impl io::Write) -> Result<Summary, Failure> {
    let mut written = None;
    conn.snapshot(|conn| {
        let head = ledger::store::head(conn)?;
        let bar = progress::things("Exporting", head.unsigned_abs());
        let entries = Entries { conn, next: 1, head, page: Vec::new().into_iter(), bar: bar.clone() };
        written = Some(export::write(format, entries, out));
        bar.finish_and_clear();
        Ok(())
    })?;
    match written {
        Some(Ok(summary)) => Ok(summary),
        Some(Err(export::Failure::Source(fault))) => Err(fault.into()),
        Some(Err(failure)) => Err(Failure::error(failure.to_string())),
        None => Err(Failure::error("The books were not read.")),
    }
}

/// The journal's entries in their order, read page by page.
struct Entries<'c> {
    conn: &'c mut Conn,
    next: i64,
    head: i64,
    page: std::vec::IntoIter<Entry>,
    bar: ProgressBar,
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, Fault>;

    fn next(&mut self) -> Option<Result<Entry, Fault>> {
        loop {
            if let Some(entry) = self.page.next() {
                return Some(Ok(entry));
            }
            if self.next > self.head {
                return None;
            }
            let last = (self.next + PAGE - 1).min(self.head);
            match ledger::store::entries(self.conn, self.next, last) {
                Ok(entries) => self.page = entries.into_iter(),
                Err(fault) => {
                    self.next = self.head + 1;
                    return Some(Err(fault));
                }
            }
            self.next = last + 1;
            self.bar.set_position(last.unsigned_abs());
        }
    }
}
