//! `almoner witness`: sees logs grow, and cosigns what continues what it saw. It needs no books: anybody can run one.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use tracing_subscriber::EnvFilter;

use super::exit::{Exit, Failure};
use super::place::Place;
use super::remote::Remote;
use super::verify::Trusted;
use crate::attest::witness::Witness;
use crate::server;
use crate::time::{Clock, SECOND};
use crate::tlog::witness::Declined;

/// Whose checkpoints to cosign, and how they come.
#[derive(Args, Debug)]
pub struct Options {
    /// Name of a new witness, such as witness.example.org/ours; it stays for ever
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    trusted: Trusted,
    /// Fetch a log's newest checkpoint, cosign it if it continues the last, and end
    #[arg(long, value_name = "URL", conflicts_with = "listen")]
    follow: Option<String>,
    /// Address to take checkpoints at (C2SP tlog-witness); port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8082")]
    listen: SocketAddr,
}

/// Prints the witness's key, then serves; or follows once, and prints the checkpoint with the signatures.
pub fn run(place: &Place, options: &Options) -> Result<Exit, Failure> {
    let folder: PathBuf = place.data.join("witness");
    let configured = |why: String| Failure::new(Exit::Configuration, why);
    let logs = options.trusted.logs()?;
    if logs.is_empty() {
        return Err(Failure::new(Exit::Usage, "Whose checkpoints are to be cosigned? Name the logs' keys by --vkey KEY or --policy FILE."));
    }
    let mut witness = Witness::open(&folder, options.name.as_deref(), logs).map_err(configured)?;
    let key = witness.verifier().text();
    let Some(url) = &options.follow else {
        let lines = tracing_subscriber::fmt().with_env_filter(EnvFilter::new("info,actix_server=warn"));
        lines.with_ansi(io::stderr().is_terminal()).with_writer(io::stderr).init();
        writeln!(io::stdout(), "{key}")?;
        io::stdout().flush()?;
        server::witness::serve(witness, options.listen, |address| eprintln!("almoner is a witness; listening on http://{address}"))?;
        return Ok(Exit::Done);
    };
    let time = u64::try_from(Clock::system().now().micros().div_euclid(SECOND)).unwrap_or(0);
    let (head, answer) = witness.follow(&Remote::new(url), time).map_err(Failure::error)?;
    let why = match answer {
        Ok(line) => {
            let name = crate::attest::witness::name_of(&head.origin);
            write!(io::stdout(), "{}", witness.last(&name).map_err(Failure::error)?.unwrap_or(line))?;
            eprintln!("Cosigned by {key}");
            return Ok(Exit::Done);
        }
        Err(Declined::Seen(size)) => format!("rollback: the log had {size} leaves and has {} now", head.size),
        Err(Declined::Inconsistent) => format!("fork: the tree of {} leaves does not continue the one that was cosigned", head.size),
        Err(Declined::Unknown) => {
            return Err(Failure::new(Exit::Usage, format!("The log is {}: name its key by --vkey or --policy.", head.origin)));
        }
        Err(Declined::Signature | Declined::Malformed) => "signature: no key that is trusted signed the checkpoint".to_owned(),
    };
    eprintln!("THE LOG DOES NOT HOLD: {why}");
    Ok(Exit::Broken)
}
