//! `almoner serve`: the books over HTTP, until a signal.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use super::exit::{Exit, Failure};
use super::log::{Origin, Witnesses};
use super::place::Place;
use super::signin::SignIn;
use crate::attest::cosigning::{Asker, Published};
use crate::attest::integrate::Integrator;
use crate::events::webhook::Schedule;
use crate::http::keys::Keys;
use crate::http::limits::{Limit, Network, Settings};
use crate::server::cosigning::Address;
use crate::server::{self, Errands, Logging, Manner};
use crate::time::Clock;
use crate::tlog::Verifier;

/// How log lines look.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For a terminal.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Where to listen, and how to log.
#[derive(Args, Debug)]
// Part of the demo's options too, whose group has the same name.
#[group(skip)]
pub struct Options {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", env = "ALMONER_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// How often what the clock has decided (ends, expiries) is booked, in seconds; 0 for never: the books are right without it
    #[arg(long, value_name = "SECONDS", env = "ALMONER_SWEEP_EVERY", default_value_t = 60, value_parser = clap::value_parser!(u64).range(..=86_400))]
    pub sweep_every: u64,
    /// Let tokens of the books' own issuer too open only what is bound to their persons here
    #[arg(long, env = "ALMONER_REQUIRE_BINDINGS", value_parser = clap::builder::BoolishValueParser::new())]
    pub require_bindings: bool,
    /// How often events are told, alerts looked for and webhooks served, in seconds; 0 for never
    #[arg(long, value_name = "SECONDS", env = "ALMONER_EVENTS_EVERY", default_value_t = 5, value_parser = clap::value_parser!(u64).range(..=3600))]
    pub events_every: u64,
    /// How often the books and their log verify themselves, in seconds, the first time at the start; 0 for never. Where a law is broken nothing more is written
    #[arg(long, value_name = "SECONDS", env = "ALMONER_AUDIT_EVERY", default_value_t = 21_600, value_parser = clap::value_parser!(u64).range(..=2_592_000))]
    pub audit_every: u64,
    /// Waits before a webhook's second, third, … try, in seconds; by default those of the Standard Webhooks scheme, some three days in all
    #[arg(long, value_name = "SECONDS", env = "ALMONER_WEBHOOK_WAITS", value_delimiter = ',')]
    pub webhook_waits: Vec<u64>,
    /// Lets webhooks point at this machine, also by http; for trying them out
    #[arg(long, env = "ALMONER_WEBHOOKS_TO_LOOPBACK")]
    pub webhooks_to_loopback: bool,
    /// How often the verifiable log takes what is new in the journal, in seconds; 0 for never
    #[arg(long, value_name = "SECONDS", env = "ALMONER_LOG_EVERY", default_value_t = 5, value_parser = clap::value_parser!(u64).range(..=3600))]
    pub log_every: u64,
    #[command(flatten)]
    pub log_origin: Origin,
    #[command(flatten)]
    log_witnesses: Witnesses,
    /// Log lines on standard error
    #[arg(long, value_name = "FORMAT", env = "ALMONER_LOG_FORMAT", default_value = "pretty")]
    pub log_format: LogFormat,
    /// What to log: error, warn, info, debug, trace, or by module
    #[arg(long, value_name = "FILTER", env = "ALMONER_LOG", default_value = "info,actix_server=warn")]
    pub log: String,
    #[command(flatten)]
    pub signin: SignIn,
    #[command(flatten)]
    limits: Limits,
}

/// How often somebody may ask.
#[derive(Args, Clone, Debug)]
#[group(skip)]
#[command(next_help_heading = "How often")]
struct Limits {
    /// Requests a second by one person, as RATE or RATE:BURST; 0 for no limit
    #[arg(long, value_name = "RATE", env = "ALMONER_RATE_LIMIT_PERSON", default_value = "100000")]
    rate_limit_person: Limit,
    /// Requests a second from one address
    #[arg(long, value_name = "RATE", env = "ALMONER_RATE_LIMIT_ADDRESS", default_value = "100000")]
    rate_limit_address: Limit,
    /// Refused tokens a second from one address, after which no more signatures are checked for it
    #[arg(long, value_name = "RATE", env = "ALMONER_RATE_LIMIT_FAILURES", default_value = "20:200")]
    rate_limit_failures: Limit,
    /// An address or network whose X-Forwarded-For is believed; may be repeated
    #[arg(long = "trusted-proxy", value_name = "ADDRESS", env = "ALMONER_TRUSTED_PROXIES", value_delimiter = ',')]
    proxies: Vec<Network>,
}

/// Serves the books until SIGTERM or SIGINT, then finishes what was accepted.
pub fn run(place: &Place, options: &Options) -> Result<(), Failure> {
    start_log(options)?;
    let (store, keys) = (place.open()?, options.signin.keys(place)?);
    let database = place.database()?;
    let announce = |address| eprintln!("almoner serves {database}; listening on http://{address}");
    let manner = options.manner(place, &keys, store.clock().clone())?;
    Ok(server::serve(store, keys, manner, announce)?)
}

impl Options {
    /// How to serve.
    pub fn manner(&self, place: &Place, keys: &Keys, clock: Clock) -> Result<Manner, Failure> {
        let sweep_every = (self.sweep_every > 0).then(|| Duration::from_secs(self.sweep_every));
        let Limits { rate_limit_person: person, rate_limit_address: address, rate_limit_failures: failures, proxies } = self.limits.clone();
        let limits = Settings { person, address, failures, proxies };
        let login = self.signin.login(keys, clock)?;
        let errands = self.errands();
        let audit_every = (self.audit_every > 0).then(|| Duration::from_secs(self.audit_every));
        let (log, keeper) = place.log(self.log_origin.name())?;
        let policy = self.log_witnesses.policy()?;
        let logging = keeper.clone().filter(|_| self.log_every > 0).map(|keeper| -> Result<Logging, Failure> {
            let integrator = Integrator::open(&place.database()?, &log, keeper)?;
            let asker = |(key, url): (&Verifier, &str)| Ok((Asker::open(&log, key.clone())?, Address::new(url)));
            let askers = policy.iter().flat_map(Published::witnesses).map(asker).collect::<Result<_, Failure>>()?;
            Ok(Logging { integrator, every: Duration::from_secs(self.log_every), askers })
        });
        let logging = logging.transpose()?;
        let (listen, require_bindings) = (self.listen, self.require_bindings);
        Ok(Manner { listen, sweep_every, require_bindings, limits, login, errands, audit_every, log, keeper, policy, logging })
    }

    /// How events are told and sent.
    fn errands(&self) -> Errands {
        let mut schedule = Schedule::default();
        if !self.webhook_waits.is_empty() {
            schedule.waits = self.webhook_waits.iter().copied().map(Duration::from_secs).collect();
        }
        let every = (self.events_every > 0).then(|| Duration::from_secs(self.events_every));
        Errands { every, schedule, loopback: self.webhooks_to_loopback }
    }
}

/// Begins to log as asked.
pub fn start_log(options: &Options) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&options.log).map_err(|e| Failure::new(Exit::Usage, format!("--log: {e}")))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    match options.log_format {
        LogFormat::Pretty => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}
