//! The settings of who signs in: identity providers, and what their tokens mean here.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::exit::{Exit, Failure};
use super::place::Place;
use crate::actor::Role;
use crate::http::issuers::{FRESH, Issuers, RoleRules, Setting, Terms};
use crate::http::keys::Keys;
use crate::http::login::{Login, Settings};
use crate::time::Clock;

/// A provider's word for one of our roles: `ledger-officers=officer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped(String, Role);

impl FromStr for Mapped {
    type Err = String;

    fn from_str(text: &str) -> Result<Mapped, String> {
        // What stands before the last sign is the provider's, whatever it is.
        let (theirs, ours) = text.rsplit_once('=').filter(|(theirs, _)| !theirs.is_empty()).ok_or("write it like theirs=officer")?;
        Ok(Mapped(theirs.into(), ours.parse()?))
    }
}

/// Identity providers, and how they are trusted.
#[derive(Args, Clone, Debug)]
// Part of several commands' options.
#[group(skip)]
#[command(next_help_heading = "Who signs in")]
pub struct SignIn {
    /// An identity provider to trust, by its issuer; its keys are discovered, or fetched from ISSUER=JWKS_URL; may be repeated
    #[arg(long = "issuer", value_name = "ISSUER", env = "ALMONER_ISSUERS", value_delimiter = ',')]
    issuers: Vec<Setting>,
    /// What the providers' tokens must name as audience
    #[arg(long, value_name = "TEXT", env = "ALMONER_ISSUER_AUDIENCE", default_value = super::place::AUDIENCE)]
    issuer_audience: String,
    /// The claim in which the providers' tokens name roles, such as realm_access.roles
    #[arg(long, value_name = "PATH", env = "ALMONER_ROLE_CLAIM", default_value = "roles")]
    role_claim: String,
    /// The providers' words for roles, as THEIRS=ROLE; without any, their words are the roles' own; may be repeated
    #[arg(long, value_name = "THEIRS=ROLE", env = "ALMONER_ROLE_MAP", value_delimiter = ',')]
    role_map: Vec<Mapped>,
    /// The least time between two questions to one provider, in seconds, whatever keys tokens name
    #[arg(long, value_name = "SECONDS", env = "ALMONER_ISSUER_PAUSE", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    issuer_pause: u64,
    /// How long keys that are out of date stay good while their provider can't be reached, in seconds
    #[arg(long, value_name = "SECONDS", env = "ALMONER_ISSUER_STALE", default_value_t = 86_400, value_parser = clap::value_parser!(u64).range(..=604_800))]
    issuer_stale: u64,
    /// Accept http for providers on this machine, to try things out
    #[arg(long, env = "ALMONER_INSECURE_LOOPBACK_ISSUERS")]
    insecure_loopback_issuers: bool,
    /// Our name at the first issuer, by which browsers sign in at /login; its secret is read from ALMONER_LOGIN_CLIENT_SECRET alone
    #[arg(long, value_name = "NAME", env = "ALMONER_LOGIN_CLIENT_ID", requires = "issuers", requires = "login_redirect")]
    login_client_id: Option<String>,
    /// Where that issuer sends browsers back to: https://…/login/callback, as they see it
    #[arg(long, value_name = "URL", env = "ALMONER_LOGIN_REDIRECT", requires = "login_client_id")]
    login_redirect: Option<String>,
}

impl SignIn {
    /// The providers, if there are any. Fails with `Configuration` where one may not be asked.
    pub fn issuers(&self) -> Result<Option<Arc<Issuers>>, Failure> {
        if self.issuers.is_empty() {
            return Ok(None);
        }
        let map = self.role_map.iter().map(|Mapped(theirs, ours)| (theirs.clone(), *ours)).collect();
        let terms = Terms {
            audience: self.issuer_audience.clone(),
            roles: RoleRules { claim: self.role_claim.clone(), map },
            loopback: self.insecure_loopback_issuers,
            fresh: FRESH,
            pause: Duration::from_secs(self.issuer_pause),
            stale: Duration::from_secs(self.issuer_stale),
        };
        Issuers::new(&self.issuers, terms).map(Some).map_err(|why| Failure::new(Exit::Configuration, why))
    }

    /// What browsers sign in by, if they do. The secret is never an argument, which others on the machine could read.
    pub fn login(&self, keys: &Keys, clock: Clock) -> Result<Option<Login>, Failure> {
        let (Some(client), Some(redirect), Some(issuers)) = (&self.login_client_id, &self.login_redirect, keys.providers()) else {
            return Ok(None);
        };
        let secret = std::env::var("ALMONER_LOGIN_CLIENT_SECRET").ok().filter(|secret| !secret.is_empty());
        let settings = Settings { client: client.clone(), secret, redirect: redirect.clone() };
        Login::new(settings, issuers, clock).map(Some).map_err(|why| Failure::new(Exit::Configuration, why))
    }

    /// All keys there are: those in the data folder, and the providers'.
    pub fn keys(&self, place: &Place) -> Result<Keys, Failure> {
        let keys = place.keys()?;
        match self.issuers()? {
            Some(providers) => keys.with_providers(providers).map_err(|why| Failure::new(Exit::Configuration, why)),
            None => Ok(keys),
        }
    }

    /// The settings in force, by name.
    pub fn shown(&self) -> Vec<(&'static str, serde_json::Value)> {
        let named = |setting: &Setting| setting.keys.as_ref().map_or(setting.issuer.clone(), |keys| format!("{}={keys}", setting.issuer));
        let mapped = |Mapped(theirs, ours): &Mapped| format!("{theirs}={}", ours.word());
        vec![
            ("issuers", self.issuers.iter().map(named).collect()),
            ("issuer_audience", self.issuer_audience.clone().into()),
            ("role_claim", self.role_claim.clone().into()),
            ("role_map", self.role_map.iter().map(mapped).collect()),
            ("issuer_pause", self.issuer_pause.into()),
            ("issuer_stale", self.issuer_stale.into()),
            ("login_client_id", self.login_client_id.clone().into()),
            ("login_redirect", self.login_redirect.clone().into()),
            ("insecure_loopback_issuers", self.insecure_loopback_issuers.into()),
        ]
    }
}
