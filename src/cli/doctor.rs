//! `almoner doctor`: looks for what is wrong with an installation, and says what to do about it.
//!
//! It mends nothing and writes nothing. Identity providers are asked for their keys, as `serve` would, and witnesses whether they answer.

mod log;

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::exit::{Exit, Failure, OTHER_SCHEMA};
use super::log::Witnesses;
use super::place::Place;
use super::signin::SignIn;
use super::table;
use crate::http::issuers::Client;
use crate::ledger;
use crate::store::{Conn, Fault, guards, migrate};
use crate::time::{Clock, SECOND, Time};

/// Less free space than this is too little to go on with, and than that worth a word.
const FULL: u64 = 100 << 20;
const TIGHT: u64 = 1 << 30;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Fine,
    Odd,
    /// With the code that the program ends with.
    Bad(Exit),
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Verdict::Fine => "OK",
            Verdict::Odd => "WARN",
            Verdict::Bad(_) => "FAIL",
        }
    }
}

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    verdict: Verdict,
    detail: String,
    remedy: &'static str,
}

/// What was looked at so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn fine(&mut self, what: &'static str, detail: impl Into<String>) {
        self.0.push(Finding { what, verdict: Verdict::Fine, detail: detail.into(), remedy: "" });
    }

    fn odd(&mut self, what: &'static str, detail: impl Into<String>, remedy: &'static str) {
        self.0.push(Finding { what, verdict: Verdict::Odd, detail: detail.into(), remedy });
    }

    fn bad(&mut self, what: &'static str, exit: Exit, detail: impl Into<String>, remedy: &'static str) {
        self.0.push(Finding { what, verdict: Verdict::Bad(exit), detail: detail.into(), remedy });
    }

    /// Broken books weigh most, then the database, then the settings.
    fn exit(&self) -> Exit {
        let has = |wanted: Exit| self.0.iter().any(|finding| finding.verdict == Verdict::Bad(wanted));
        [Exit::Broken, Exit::Database, Exit::Configuration].into_iter().find(|exit| has(*exit)).unwrap_or(Exit::Done)
    }
}

/// What to look at beside the data folder.
#[derive(clap::Args, Debug)]
pub struct Options {
    #[command(flatten)]
    signin: SignIn,
    #[command(flatten)]
    witnesses: Witnesses,
}

/// Looks at everything and prints what was found.
pub fn run(place: &Place, options: &Options) -> Result<Exit, Failure> {
    let mut found = Findings::default();
    folder(&mut found, place);
    keys(&mut found, place);
    issuers(&mut found, place, &options.signin);
    space(&mut found, &place.data);
    database(&mut found, place, &options.witnesses);
    print(&found, place.json)?;
    Ok(found.exit())
}

fn print(found: &Findings, as_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        let rows: Vec<serde_json::Value> =
            found.0.iter().map(|f| json!({"check": f.what, "verdict": f.verdict.word(), "detail": f.detail, "remedy": f.remedy})).collect();
        return writeln!(out, "{:#}", json!(rows));
    }
    let mut rows = Vec::with_capacity(found.0.len());
    for finding in &found.0 {
        rows.push(vec![finding.verdict.word().to_owned(), finding.what.to_owned(), finding.detail.clone()]);
        if !finding.remedy.is_empty() {
            rows.push(vec![String::new(), String::new(), format!("→ {}", finding.remedy)]);
        }
    }
    table::lines(&rows, &[]).iter().try_for_each(|line| writeln!(out, "{line}"))
}

fn folder(found: &mut Findings, place: &Place) {
    const WHAT: &str = "data folder";
    let path = place.data.display();
    match mode(&place.data) {
        Err(error) => {
            found.bad(WHAT, Exit::Configuration, format!("{path}: {error}"), "Make it with almoner init, or name another with --data.")
        }
        Ok(mode) if mode & 0o077 != 0 => {
            found.odd(WHAT, format!("others than its owner may enter {path}"), "Set its mode to 700; keys and books lie in it.");
        }
        Ok(_) => found.fine(WHAT, path.to_string()),
    }
}

/// The permission bits of a file; none where files have none.
fn mode(path: &Path) -> io::Result<u32> {
    let about = std::fs::metadata(path)?;
    #[cfg(unix)]
    let bits = std::os::unix::fs::PermissionsExt::mode(&about.permissions());
    #[cfg(not(unix))]
    let bits = if about.is_dir() { 0 } else { return Err(io::ErrorKind::NotADirectory.into()) };
    Ok(bits)
}

fn keys(found: &mut Findings, place: &Place) {
    const WHAT: &str = "keys";
    let others = match place.provider_keys().len() {
        0 => String::new(),
        1 => "an identity provider's".into(),
        more => format!("those of {more} identity providers"),
    };
    match place.keys() {
        Err(failure) => found.bad(WHAT, Exit::Configuration, failure.words, "Until the key files are mended nobody can sign in."),
        Ok(_) if place.local_key().exists() => {
            found.fine(WHAT, format!("the local issuer's{}{others}", if others.is_empty() { "" } else { " and " }))
        }
        Ok(_) if !others.is_empty() => found.fine(WHAT, format!("{others}; there is no local issuer")),
        Ok(_) => {
            let remedy = "Make books with almoner init, or put an identity provider's keys there as a .json file.";
            found.bad(WHAT, Exit::Configuration, format!("there are none in {}", place.key_folder().display()), remedy);
        }
    }
}

fn issuers(found: &mut Findings, place: &Place, signin: &SignIn) {
    const WHAT: &str = "issuers";
    let remedy = "Mend the settings of --issuer; until then serve does not start.";
    let named = match signin.keys(place) {
        Ok(keys) => keys.providers().cloned(),
        Err(failure) => return found.bad(WHAT, failure.exit, failure.words, remedy),
    };
    let Some(named) = named else { return };
    let client = Client::new(named.terms().loopback);
    for issuer in named.all() {
        match client.ask(issuer) {
            Err(why) => found.bad(
                WHAT,
                Exit::Configuration,
                why,
                "Check the address, and that the provider runs; its tokens are refused until it answers.",
            ),
            Ok(answer) if answer.held.keys.is_empty() => {
                let detail = format!("{} gives no key that is accepted: {}", issuer.name(), answer.passed_over.join("; "));
                found.bad(
                    WHAT,
                    Exit::Configuration,
                    detail,
                    "Have the provider sign with Ed25519, P-256, P-384 or RSA of 2048 bits or more.",
                );
            }
            Ok(answer) => {
                let others = match answer.passed_over.len() {
                    0 => String::new(),
                    more => format!(", {more} passed over ({})", answer.passed_over.join("; ")),
                };
                found.fine(WHAT, format!("{}: {} keys{others}", issuer.name(), answer.held.keys.len()));
            }
        }
    }
}

fn space(found: &mut Findings, folder: &Path) {
    const WHAT: &str = "disk space";
    let Some(free) = free_bytes(folder) else { return };
    let detail = format!("{} MiB free under {}", table::count(free >> 20), folder.display());
    match free {
        free if free < FULL => found.bad(WHAT, Exit::Configuration, detail, "Make room: a full disk stops every write."),
        free if free < TIGHT => found.odd(WHAT, detail, "Make room soon: a full disk stops every write."),
        _ => found.fine(WHAT, detail),
    }
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(folder).ok()?;
    about.f_bavail.checked_mul(about.f_frsize)
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

fn database(found: &mut Findings, place: &Place, witnesses: &Witnesses) {
    const WHAT: &str = "database";
    let mut conn = match place.connect(false) {
        Ok(conn) => conn,
        Err(failure) => {
            return found.bad(WHAT, failure.exit, failure.words.replace('\n', " "), "Check --database, and that its server runs.");
        }
    };
    found.fine(WHAT, place.database().map(|database| database.to_string()).unwrap_or_default());
    let looked = books(found, &mut conn).and_then(|there| {
        if there {
            log::log(found, place, witnesses, &mut conn)?;
            // Last, as the connection is good for nothing afterwards.
            writer(found, &mut conn)?;
        }
        Ok(())
    });
    if let Err(fault) = looked {
        found.bad("books", Exit::Database, fault.to_string(), "The database does not answer as it should; look into its own log.");
    }
}

/// Whether there are books to look at, and what of them.
fn books(found: &mut Findings, conn: &mut Conn) -> Result<bool, Fault> {
    if !conn.has_table("head")? {
        found.bad("schema", Exit::Database, "there are no books in this database", "Make them with almoner init.");
        return Ok(false);
    }
    match migrate::check(conn) {
        Err(Fault::Schema(words)) => {
            found.bad("schema", Exit::Database, words, OTHER_SCHEMA);
            return Ok(false);
        }
        checked => checked?,
    }
    match migrate::pending(conn)?.as_slice() {
        [] => found.fine("schema", "up to date"),
        steps => {
            found.bad("schema", Exit::Database, format!("it lacks {}", steps.join(", ")), "Run almoner migrate.");
            return Ok(false);
        }
    }
    head(found, conn)?;
    let bare: Vec<&str> = guards::standing(conn)?.into_iter().filter(|(_, guarded)| !guarded).map(|(table, _)| table).collect();
    match bare.as_slice() {
        [] => found.fine("guards", "the journal's tables refuse to be changed"),
        _ => {
            let detail = format!("these tables can be changed: {}", bare.join(", "));
            found.bad("guards", Exit::Broken, detail, "Somebody removed their triggers. Run almoner verify, and find out who.");
        }
    }
    match conn.stopped()? {
        None => found.fine("writing", "goes on"),
        Some(why) => found.bad(
            "writing",
            Exit::Broken,
            format!("it is stopped: {why}"),
            "Run almoner verify, which lets it go on once all laws hold.",
        ),
    }
    Ok(true)
}

fn writer(found: &mut Findings, conn: &mut Conn) -> Result<(), Fault> {
    match conn.try_turn() {
        Ok(()) => found.fine("writer", "its turn can be had"),
        Err(fault) => found.odd("writer", fault.to_string(), "Another process has it, as a dry run does; if none should, end that one."),
    }
    Ok(())
}

fn head(found: &mut Findings, conn: &mut Conn) -> Result<(), Fault> {
    let (last, recorded) = conn.snapshot(|conn| Ok((ledger::store::head(conn)?, ledger::store::recorded_head(conn)?)))?;
    if last == recorded.0 {
        found.fine("journal", format!("{} entries, as its head says", table::count(last.unsigned_abs())));
    } else {
        let detail = format!("it ends at {last}, and its head says {}", recorded.0);
        found.bad("journal", Exit::Broken, detail, "Stop writing; run almoner verify.");
    }
    let (now, stamped) = (Clock::system().now(), Time::from_micros(recorded.1));
    match stamped.since(now) {
        ahead if ahead > SECOND => {
            let detail = format!("this machine's clock says {now}, and the last entry is of {stamped}");
            found.odd("clock", detail, "Set the clock; until then new entries are stamped just after the last one.");
        }
        _ => found.fine("clock", format!("{now}, after the last entry")),
    }
    Ok(())
}
