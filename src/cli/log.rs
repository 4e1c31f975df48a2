//! `almoner log`: the verifiable log of the books: brought up to date, and what others need to check it.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::exit::{Exit, Failure};
use super::place::Place;
use super::progress;
use super::table::count;
use crate::attest::cosigning::Published;
use crate::attest::integrate::{Integrator, Progress};
use crate::attest::signer::Keeper;
use crate::attest::{bundle, store};
use crate::http::issuers::check_address;
use crate::id::DonorId;
use crate::store::Fault;

/// What a new log is called.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct Origin {
    /// Name of the log where it is begun now, such as ledger.example.org/log; it stays for ever [default: one drawn at random]
    #[arg(long = "log-origin", value_name = "NAME", env = "ALMONER_LOG_ORIGIN")]
    origin: Option<String>,
}

impl Origin {
    /// The name, if one was given.
    pub fn name(&self) -> Option<&str> {
        self.origin.as_deref()
    }
}

/// Who is to see what is signed.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct Witnesses {
    /// Policy that the log is published under, in the form of C2SP tlog-policy: its witnesses with their addresses are asked to cosign
    #[arg(long = "log-policy", value_name = "FILE", env = "ALMONER_LOG_POLICY")]
    policy: Option<PathBuf>,
}

impl Witnesses {
    /// The policy, if there is one. Fails with `Configuration` where it can't be read, or a witness has no address of the web.
    pub fn policy(&self) -> Result<Option<Published>, Failure> {
        let Some(path) = &self.policy else { return Ok(None) };
        let wrong = |why: &dyn std::fmt::Display| Failure::new(Exit::Configuration, format!("{}: {why}", path.display()));
        let read = Published::parse(&fs::read(path).map_err(|error| wrong(&error))?).map_err(|why| wrong(&why))?;
        read.witnesses().try_for_each(|(_, url)| check_address(url)).map_err(|why| wrong(&why))?;
        Ok(Some(read))
    }
}

/// What to do with the log.
#[derive(Subcommand, Debug)]
pub enum Options {
    /// Take what is new in the journal, and sign it; serve does this by itself
    Integrate(Origin),
    /// Print the newest checkpoint: the small file by which a later log can be held to this one
    Checkpoint,
    /// Print the public keys that checkpoints are signed with, the newest first
    Vkey,
    /// Make a new key: the next leaf tells of it by the word of both, and the old one signs beside it
    Rotate,
    /// Write what a donor needs to check a statement offline, by almoner verify --bundle
    Bundle(Asked),
}

/// For whom, and from where on.
#[derive(Args, Debug)]
pub struct Asked {
    /// The donor
    #[arg(long, value_name = "ID")]
    donor: String,
    /// Size of the checkpoint that the donor keeps: only what came after it is told
    #[arg(long, value_name = "SIZE")]
    since: Option<u64>,
    /// File to write [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Does it; data goes to standard output.
pub fn run(place: &Place, options: &Options) -> Result<(), Failure> {
    let mut books = place.books()?;
    match options {
        Options::Bundle(asked) => {
            let donor = DonorId::parse(&asked.donor)?;
            let wanted = books.snapshot(|conn| bundle::asked(conn, donor, asked.since))?;
            let made = place.log(None)?.0.read(|conn| bundle::make(conn, &wanted))?;
            let text = serde_json::to_string(&made).map_err(|error| Failure::error(error.to_string()))?;
            match &asked.output {
                Some(path) => fs::write(path, text).map_err(|error| Failure::file(path, &error)),
                None => Ok(writeln!(io::stdout(), "{text}")?),
            }
        }
        Options::Integrate(origin) => {
            let progress = integrate(place, origin.name())?;
            eprintln!("The log has {} leaves; {} entries were new.", count(progress.size), count(progress.taken as u64));
            Ok(())
        }
        Options::Checkpoint => {
            let (log, _) = place.log(None)?;
            let (_, note) = log.read(store::last_checkpoint)?.ok_or_else(|| Failure::error("The log has no checkpoint yet."))?;
            Ok(write!(io::stdout(), "{note}")?)
        }
        Options::Vkey => {
            let keys = log_key(place)?.verifiers();
            keys.iter().try_for_each(|key| writeln!(io::stdout(), "{}", key.text()))?;
            Ok(())
        }
        Options::Rotate => {
            let next = log_key(place)?.rotate().map_err(Fault::from)?;
            writeln!(io::stdout(), "{}", next.verifier().text())?;
            integrate(place, None).map(drop)
        }
    }
}

/// The key that keeps the log.
fn log_key(place: &Place) -> Result<Keeper, Failure> {
    let elsewhere = || Failure::new(Exit::Configuration, "The log's key is in another data folder: only there it is kept.");
    place.log(None)?.1.ok_or_else(elsewhere)
}

/// Integrates all there is, and signs it.
pub fn integrate(place: &Place, name: Option<&str>) -> Result<Progress, Failure> {
    let (log, keeper) = place.log(name)?;
    let keeper =
        keeper.ok_or_else(|| Failure::new(Exit::Configuration, "The log's key is in another data folder: only there it is kept."))?;
    let mut integrator = Integrator::open(&place.database()?, &log, keeper)?;
    let bar = progress::things("writing the log", 0);
    let mut all = Progress::default();
    loop {
        let run = integrator.run()?;
        all = Progress { taken: all.taken + run.taken, ..run };
        bar.set_length(all.taken as u64 + run.behind.unsigned_abs());
        bar.set_position(all.taken as u64);
        if run.behind == 0 {
            bar.finish_and_clear();
            return Ok(all);
        }
    }
}
