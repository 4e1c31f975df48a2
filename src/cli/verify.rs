//! `almoner verify`: every law of the books and of their log, recomputed from the journal; a statement that proves itself, offline; or a
//! service, from outside. What an audit of the service has stopped goes on by it.

mod served;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::{Exit, Failure};
use super::place::Place;
use super::table::{self, count};
use crate::attest::audit::{Evidence, Extent};
use crate::attest::bundle::Bundle;
use crate::attest::canon;
use crate::attest::check::{Held, Kept, Refused, Trust, check};
use crate::attest::keep::Log;
use crate::attest::memory::Memory;
use crate::attest::signer::{Keeper, Unsigned};
use crate::attest::sublog::SubLog;
use crate::reports::audit;
use crate::reports::verify::{Verification, Whole, verify_whole};
use crate::time::Clock;
use crate::tlog::{Checkpoint, Note, Policy, Verifier};

/// Findings shown for each law; the rest is counted.
const SHOWN: usize = 5;

/// What to verify, and what to hold it to.
#[derive(Args, Debug)]
pub struct Options {
    /// A service to verify from outside, by its address: its log, and where ALMONER_TOKEN holds a token a donor's statement
    #[arg(value_name = "URL", conflicts_with = "bundle")]
    url: Option<String>,
    /// Whose statement to ask the service for [default: the donor that the token speaks for]
    #[arg(long, value_name = "ID", requires = "url")]
    donor: Option<String>,
    /// A statement that proves itself, instead of the books: checked offline
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    trusted: Trusted,
    /// A checkpoint that was kept: the log must continue it
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Where to keep what statements said of a log, to hold the next one to it
    #[arg(long, value_name = "FILE", env = "ALMONER_KEPT", default_value = "almoner-kept.json")]
    kept: PathBuf,
}

/// Whose word is taken.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Trusted {
    /// The public key of a log, as almoner log vkey prints it; may be repeated
    #[arg(long = "vkey", value_name = "KEY")]
    keys: Vec<String>,
    /// Policy of logs and witnesses, in the form of C2SP tlog-policy
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl Trusted {
    /// The keys that were named.
    pub fn keys(&self) -> Result<Vec<Verifier>, Failure> {
        let read = |key: &String| Verifier::parse(key).map_err(|why| Failure::new(Exit::Usage, format!("--vkey {key}: {why}")));
        self.keys.iter().map(read).collect()
    }

    /// The policy; one that knows no log and asks for no witness, where none was named.
    pub fn policy(&self) -> Result<Policy, Failure> {
        let Some(path) = &self.policy else { return Ok(Policy::none()) };
        let bytes = fs::read(path).map_err(|error| Failure::file(path, &error))?;
        Policy::parse(&bytes).map_err(|why| Failure::new(Exit::Configuration, format!("{}: {why}", path.display())))
    }

    /// All keys of logs.
    pub fn logs(&self) -> Result<Vec<Verifier>, Failure> {
        Ok(self.policy()?.logs.into_iter().map(|log| log.key).chain(self.keys()?).collect())
    }
}

/// Verifies; `Broken` unless all holds.
pub fn run(place: &Place, options: &Options) -> Result<Exit, Failure> {
    match (&options.url, &options.bundle) {
        (Some(url), _) => served::run(place, options, url),
        (None, Some(file)) => bundle(place, options, file),
        (None, None) => books(place, options),
    }
}

/// The books law by law, and their log. Where writing was stopped and all laws hold, it goes on.
fn books(place: &Place, options: &Options) -> Result<Exit, Failure> {
    let mut conn = place.books()?;
    let ran_at = Clock::system().now();
    let evidence = evidence(place, options)?;
    let log = Log::find(&place.database()?)?;
    if log.is_none() && evidence.signed() {
        return Err(Failure::new(Exit::Broken, "There is no log, and one was signed."));
    }
    let Whole { found, extent, stopped } = verify_whole(&mut conn, log.as_ref(), &evidence)?;
    match place.json {
        true => writeln!(io::stdout(), "{:#}", as_json(&found, extent))?,
        false => print(&found, extent)?,
    }
    if let Some(why) = stopped {
        if found.holds() {
            let clean = found.clone();
            place.open()?.write_beside(move |work| audit::clear(work, &clean, ran_at))?;
            eprintln!("Writing was stopped because {why}. It goes on now.");
        } else {
            eprintln!("Writing was stopped because {why}. It stays so until all laws hold.");
        }
    }
    let broken: Vec<String> = found.laws.iter().filter(|law| law.broken > 0).map(|law| law.number.to_string()).collect();
    match broken.as_slice() {
        [] => eprintln!("The books hold."),
        [one] => eprintln!("THE BOOKS DO NOT HOLD: law {one} is broken. Stop writing to them and look at the findings."),
        more => eprintln!("THE BOOKS DO NOT HOLD: laws {} are broken. Stop writing to them and look at the findings.", more.join(", ")),
    }
    Ok(if found.holds() { Exit::Done } else { Exit::Broken })
}

/// What is known of the log beside the database: its key, what was signed last, what was kept.
fn evidence(place: &Place, options: &Options) -> Result<Evidence, Failure> {
    let wrong = |why: Unsigned| Failure::new(Exit::Configuration, why.to_string());
    let keeper = Keeper::find(&place.key_folder()).map_err(wrong)?;
    let mut evidence = Evidence::of(keeper.as_ref()).map_err(wrong)?;
    evidence.keys.extend(options.trusted.keys()?);
    if let Some(path) = &options.checkpoint {
        evidence.kept.push((path.display().to_string(), checkpoint(path, &evidence.keys)?));
    }
    Ok(evidence)
}

/// Reads a kept checkpoint, signed by one of the keys if there are any.
fn checkpoint(path: &Path, keys: &[Verifier]) -> Result<Checkpoint, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    let read =
        Note::parse(&text).and_then(|note| if keys.is_empty() { Checkpoint::parse(note.text()) } else { Checkpoint::open(&note, keys) });
    read.map_err(|why| Failure::new(Exit::Broken, format!("signature: {}: {why}", path.display())))
}

/// Whose word is taken of a log: whose it is said to be, or was before. Says how to say so where nothing is known.
fn trust(options: &Options, memory: &Memory, origin: &str) -> Result<Trust, Failure> {
    let mut trust = Trust { policy: options.trusted.policy()?, keys: options.trusted.keys()? };
    if trust.logs().is_empty() {
        trust.keys = memory.keys(origin).iter().filter_map(|key| Verifier::parse(key).ok()).collect();
    }
    if trust.logs().is_empty() {
        let words = "Whose log is it? Say so by --vkey KEY or --policy FILE the first time; ask for the key by another way than the statement came.";
        return Err(Failure::new(Exit::Usage, words));
    }
    Ok(trust)
}

/// What is kept of a log: the checkpoint that is named, or what the statements before said.
fn kept(options: &Options, memory: &Memory, origin: &str, logs: &[Verifier]) -> Result<Option<Kept>, Failure> {
    match &options.checkpoint {
        Some(path) => Ok(Some(Kept { checkpoint: checkpoint(path, logs)?, lots: BTreeMap::new() })),
        None => memory.of(origin).map_err(Failure::error),
    }
}

/// A statement that proves itself.
fn bundle(place: &Place, options: &Options, file: &Path) -> Result<Exit, Failure> {
    let text = fs::read_to_string(file).map_err(|error| Failure::file(file, &error))?;
    let mut memory = Memory::read(&options.kept).map_err(Failure::error)?;
    let origin = serde_json::from_str::<Bundle>(&text).map(|bundle| bundle.origin).unwrap_or_default();
    let trust = trust(options, &memory, &origin)?;
    let kept = kept(options, &memory, &origin, &trust.logs())?;
    let held = match check(&text, &trust, kept.as_ref()) {
        Ok(held) => held,
        Err(refused) => return refuse(place, "STATEMENT", &refused),
    };
    memory.keep(&held.keep(), keys_of(&trust.logs(), &origin));
    memory.write(&options.kept).map_err(Failure::error)?;
    if place.json {
        writeln!(io::stdout(), "{:#}", held_as_json(&held))?;
    } else {
        told(&held)?;
    }
    Ok(Exit::Done)
}

/// Says why something does not hold.
pub fn refuse(place: &Place, what: &str, refused: &Refused) -> Result<Exit, Failure> {
    if place.json {
        let told = serde_json::json!({"holds": false, "reason": refused.reason.word(), "detail": refused.detail});
        writeln!(io::stdout(), "{told}")?;
    }
    eprintln!("THE {what} DOES NOT HOLD: {refused}");
    Ok(Exit::Broken)
}

/// The keys of that log, as they are kept.
fn keys_of(logs: &[Verifier], origin: &str) -> Vec<String> {
    logs.iter().filter(|key| key.name() == origin).map(Verifier::text).collect()
}

/// The figures of a lot: what came, what went, what is left.
fn figures(lot: &SubLog) -> [String; 3] {
    [lot.came, lot.went, lot.balance].map(|minor| canon::decimal(minor, lot.scale))
}

fn held_as_json(held: &Held) -> serde_json::Value {
    let lot = |lot: &SubLog| {
        let [came, went, left] = figures(lot);
        serde_json::json!({"lot": lot.handle, "unit": lot.unit, "lines": lot.tree.size(), "in": came, "out": went, "balance": left})
    };
    let (checkpoint, lots): (_, Vec<serde_json::Value>) = (&held.judged.checkpoint, held.lots.iter().map(lot).collect());
    let witnesses: Vec<&str> = held.judged.witnesses.iter().map(|(name, _)| name.as_str()).collect();
    serde_json::json!({
        "holds": true, "origin": checkpoint.origin, "size": checkpoint.size, "witnesses": witnesses, "lines": held.lines, "lots": lots,
    })
}

/// What holds of a statement, lot by lot.
fn told(held: &Held) -> Result<(), Failure> {
    let mut rows = vec![["lot", "lines", "in", "out", "left", ""].map(String::from).to_vec()];
    rows.extend(held.lots.iter().map(|lot| {
        let [came, went, left] = figures(lot);
        vec![lot.handle.clone(), count(lot.tree.size()), came, went, left, lot.unit.clone()]
    }));
    for line in table::lines(&rows, &[1, 2, 3, 4]) {
        writeln!(io::stdout(), "{line}")?;
    }
    let Checkpoint { origin, size, .. } = &held.judged.checkpoint;
    eprintln!("The statement holds: {} lines, in the log {origin} at {} leaves.", count(held.lines), count(*size));
    unwitnessed(held.judged.witnesses.len());
    Ok(())
}

/// Says so where nobody but the log says what its newest checkpoint is.
fn unwitnessed(witnesses: usize) {
    if witnesses == 0 {
        eprintln!("Unwitnessed: no witness that is named here saw this checkpoint. Compare it with one that came another way.");
    }
}

fn print(found: &Verification, extent: Option<Extent>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let log = match extent {
        None => "no log".to_owned(),
        Some(Extent { leaves, behind: 0 }) => format!("{} leaves", count(leaves)),
        Some(Extent { leaves, behind }) => format!("{} leaves, {} entries behind", count(leaves), count(behind.unsigned_abs())),
    };
    writeln!(out, "{} journal entries, {} postings, {log}\n", count(found.entries), count(found.postings))?;
    let mut rows = vec![["law", "", "checked", "broken", ""].map(String::from).to_vec()];
    for law in &found.laws {
        let verdict = if law.broken == 0 { "holds" } else { "BROKEN" };
        rows.push(vec![law.number.to_string(), verdict.into(), count(law.checked), count(law.broken), law.title.into()]);
    }
    for line in table::lines(&rows, &[0, 2, 3]) {
        writeln!(out, "{line}")?;
    }
    for law in found.laws.iter().filter(|law| law.broken > 0) {
        writeln!(out, "\nLaw {}: {}", law.number, law.title)?;
        for finding in law.findings.iter().take(SHOWN) {
            writeln!(out, "  {finding}")?;
        }
        let more = law.broken.saturating_sub(law.findings.len().min(SHOWN) as u64);
        if more > 0 {
            writeln!(out, "  and {} more", count(more))?;
        }
    }
    out.flush()
}

fn as_json(found: &Verification, extent: Option<Extent>) -> serde_json::Value {
    let laws: Vec<serde_json::Value> = found
        .laws
        .iter()
        .map(|law| {
            serde_json::json!({
                "law": law.number, "title": law.title, "checked": law.checked, "broken": law.broken, "findings": law.findings,
            })
        })
        .collect();
    let log = extent.map(|extent| serde_json::json!({"leaves": extent.leaves, "behind": extent.behind}));
    serde_json::json!({"holds": found.holds(), "entries": found.entries, "postings": found.postings, "log": log, "laws": laws})
}
