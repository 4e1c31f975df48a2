//! `almoner demo`: a believable year of books in the data folder, a token for every role, then the service.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use clap::Args;

use super::exit::Failure;
use super::log;
use super::place::Place;
use super::progress;
use super::serve;
use super::token;
use crate::actor::Actor;
use crate::demo::{self, Made};
use crate::http::keys::Keys;
use crate::server;
use crate::store::{Store, migrate};
use crate::time::{Clock, DAY, Time};

/// How long the demo's tokens are good for, in seconds.
const TOKENS: i64 = 30 * 24 * 3600;

/// What to play, and how to serve it.
#[derive(Args, Debug)]
pub struct Options {
    /// The year to play: the same seed on the same day gives the same books
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Stop once the books are made
    #[arg(long)]
    no_serve: bool,
    #[command(flatten)]
    serve: serve::Options,
}

/// Makes the demo's books unless they are there, says what is in them, and serves them.
pub fn run(place: &Place, options: &Options) -> Result<(), Failure> {
    let (database, tokens) = (place.database()?, place.data.join("tokens.json"));
    super::init::make_folders(place)?;
    match place.connect(true)?.has_table("head")? {
        true if tokens.exists() => eprintln!("The demo's books are at {database} already; remove the data folder to play another year."),
        true => return Err(Failure::error(format!("There are books at {database} that are no demo.\nName another folder with --data."))),
        false => {
            make(place, options.seed, &tokens)?;
            log::integrate(place, options.serve.log_origin.name())?;
        }
    }
    if options.no_serve {
        return Ok(());
    }
    serve::start_log(&options.serve)?;
    let (store, keys) = (place.open()?, options.serve.signin.keys(place)?);
    let words = guide(&tokens)?;
    let manner = options.serve.manner(place, &keys, store.clock().clone())?;
    Ok(server::serve(store, keys, manner, |address| eprintln!("{}", words.replace("{address}", &address.to_string())))?)
}

fn make(place: &Place, seed: u64, tokens: &Path) -> Result<(), Failure> {
    migrate::up(&mut place.connect(true)?)?;
    Keys::create_local(&place.local_key()).map_err(Failure::error)?;
    let began = Instant::now();
    let today = Time::from_micros(Clock::system().now().micros() / DAY * DAY);
    let store = Store::open_as_is(&place.database()?, Clock::held(today.plus(-365 * DAY)))?;
    let bar = progress::things("playing a year", 1);
    let keys = place.keys()?;
    let issuer = keys.local_issuer().ok_or_else(|| Failure::error("The demo's key was not made."))?;
    let made = demo::make(&store, issuer, seed, today, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    write_tokens(place, &made, tokens)?;
    eprintln!(
        "Played a year of books in {:.1?} (seed {seed}); figures of Microsoft, NVIDIA and NSF are public, all else is invented:",
        began.elapsed()
    );
    describe(&made);
    Ok(())
}

fn describe(made: &Made) {
    let c = made.counts;
    eprintln!(
        "  {} donors, {} donations, {} lots; {} institutions, {} projects",
        c.donors, c.donations, c.lots, c.institutions, c.projects
    );
    eprintln!(
        "  {} requests, {} grants ({} ended); {} charges ({} overdrawn), {} refunds, {} records in quarantine",
        c.requests, c.grants, c.ended, c.charges, c.overdrawn, c.refunds, c.quarantined
    );
}

/// A token for every role, in a file that only its owner may read.
fn write_tokens(place: &Place, made: &Made, path: &Path) -> Result<(), Failure> {
    let roles: [(&str, &Actor); 7] = [
        ("donor", &made.donor),
        ("officer", &made.officer),
        ("officer2", &made.officer2),
        ("researcher", &made.researcher),
        ("provider", &made.provider),
        ("auditor", &made.auditor),
        ("admin", &made.admin),
    ];
    let mut tokens = serde_json::Map::new();
    for (name, actor) in roles {
        tokens.insert(name.into(), token::issue(place, actor, TOKENS)?.text.into());
    }
    tokens.insert("grant".into(), made.lively.to_string().into());
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|e| Failure::file(path, &e))?;
    writeln!(file, "{:#}", serde_json::Value::Object(tokens)).map_err(|e| Failure::file(path, &e))
}

/// What to open, with a line that works when pasted.
fn guide(tokens: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(tokens).map_err(|e| Failure::file(tokens, &e))?;
    let read: serde_json::Value = serde_json::from_str(&text).map_err(|e| Failure::error(format!("{}: {e}", tokens.display())))?;
    let text = |name: &str| read.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    Ok(format!(
        "\nTokens for every role are in {}. Try what a researcher sees of a grant:\n\n  curl -s -H 'Authorization: Bearer {}' http://{{address}}/v1/grants/{}/balance\n\n\
         The API is described at http://{{address}}/docs. Stop with Ctrl-C.\nlistening on http://{{address}}",
        tokens.display(),
        text("researcher"),
        text("grant"),
    ))
}
