//! `almoner monitor`: follows a log that is served elsewhere, and says at once when it contradicts itself.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use clap::Args;

use super::exit::{Exit, Failure};
use super::place::Place;
use super::remote::Remote;
use super::table::count;
use super::verify::{Trusted, refuse};
use crate::attest::watch::{Ended, Seen, Watch};
use crate::attest::witness::name_of;
use crate::tlog::Note;

/// What to follow, and what to hold it to.
#[derive(Args, Debug)]
pub struct Options {
    /// Address of the service, or of the log itself
    #[arg(value_name = "URL")]
    url: String,
    #[command(flatten)]
    trusted: Trusted,
    /// A checkpoint that came another way: it must be of the same log; may be repeated
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// Look again every so many seconds; 0 to look once
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    every: u64,
}

/// Looks once, or again and again; `Broken` as soon as the log is not what it should be.
pub fn run(place: &Place, options: &Options) -> Result<Exit, Failure> {
    // A folder for each address: what was seen of one log says nothing of another.
    let folder = place.data.join("monitor").join(&name_of(options.url.trim_end_matches('/'))[..16]);
    let (policy, keys) = (options.trusted.policy()?, options.trusted.keys()?);
    let mut watch = Watch::open(&folder, policy, keys).map_err(|why| Failure::new(Exit::Configuration, why))?;
    let further: Vec<Note> = options.checkpoints.iter().map(read).collect::<Result<_, _>>()?;
    let remote = Remote::new(&options.url);
    loop {
        match watch.look(&remote, &further) {
            Ok(seen) => told(place, &seen)?,
            Err(Ended::Broken(refused)) => {
                let ended = refuse(place, "LOG", &refused);
                eprintln!("What was seen, and the evidence if there is any, is in {}", folder.display());
                return ended;
            }
            // It is tried again: a log that can't be reached has not lied.
            Err(Ended::Failed(why)) if options.every > 0 => eprintln!("almoner: {why}"),
            Err(Ended::Failed(why)) => return Err(Failure::error(why)),
        }
        if options.every == 0 {
            return Ok(Exit::Done);
        }
        sleep(Duration::from_secs(options.every));
    }
}

fn read(path: &PathBuf) -> Result<Note, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    Note::parse(&text).map_err(|why| Failure::error(format!("{}: {why}", path.display())))
}

fn told(place: &Place, seen: &Seen) -> Result<(), Failure> {
    let Seen { checkpoint, witnesses, new, charges } = seen;
    if place.json {
        let told = serde_json::json!({
            "holds": true, "origin": checkpoint.origin, "size": checkpoint.size, "new": new, "charges": charges, "witnesses": witnesses,
        });
        writeln!(io::stdout(), "{told}")?;
    }
    let (size, new, charges) = (count(checkpoint.size), count(*new), count(*charges));
    eprintln!(
        "The log {} holds: {size} leaves, {new} of them new; {charges} charges, none twice; {} witnesses.",
        checkpoint.origin,
        witnesses.len()
    );
    Ok(())
}
