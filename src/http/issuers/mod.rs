//! Identity providers: whom we trust to say who asks, and the keys they sign with at present.
//!
//! A provider is named by its issuer, an address; its keys come by discovery (OpenID Connect Discovery 1.0 §4) or from an address given
//! outright. Each provider is asked on a thread of its own, never on the way of a request: a token whose key is not known is refused, and
//! the thread is told to look. Keys that were fetched stay good while the provider can't be reached, up to a bound. It may not know what a
//! token says beyond issuer and key id.

mod address;
mod fetch;
mod keeper;

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::Duration;

use serde_json::Value;

use crate::actor::{Role, Roles};

use super::keys::Key;

pub use address::{check as check_address, is_loopback, may_ask, may_come_back};
pub use fetch::Client;

/// What `--issuer` takes: `ISSUER` to discover its keys, or `ISSUER=URL` with the address of its JWKS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The issuer as its tokens name it, to the letter.
    pub issuer: String,
    /// Where its keys are, if that is not to be discovered.
    pub keys: Option<String>,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Setting, String> {
        // An issuer has no query, so this is where the second address begins.
        let (issuer, keys) = match text.split_once("=http") {
            Some((issuer, rest)) => (issuer, Some(format!("http{rest}"))),
            None => (text, None),
        };
        address::check_issuer(issuer)?;
        keys.as_deref().map(address::check).transpose()?;
        Ok(Setting { issuer: issuer.into(), keys })
    }
}

/// Where a provider's tokens name roles, and what its names mean here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRules {
    /// The claim: its name, or where there is none of that name the way to it, as `realm_access.roles`.
    pub claim: String,
    /// The provider's words and our roles; where empty its words are our roles' own.
    pub map: Vec<(String, Role)>,
}

impl RoleRules {
    /// The claim that is read unless another is set.
    pub const USUAL: &str = "roles";

    /// What a token may that lacks the claim. Where nobody said how roles are named the token sets no ceiling, and what is bound to its
    /// person decides alone; where somebody did, it is none.
    pub fn unsaid(&self) -> Roles {
        match self.map.is_empty() && self.claim == RoleRules::USUAL {
            true => Role::ALL.into_iter().collect(),
            false => Roles::default(),
        }
    }

    /// The roles that these words of a provider mean. Words that mean nothing here are for other services.
    pub fn roles<'w>(&self, words: impl Iterator<Item = &'w str>) -> Roles {
        words.flat_map(|word| self.roles_of(word)).collect()
    }

    fn roles_of(&self, word: &str) -> Vec<Role> {
        if self.map.is_empty() {
            return word.parse().into_iter().collect();
        }
        self.map.iter().filter(|(theirs, _)| theirs == word).map(|(_, role)| *role).collect()
    }
}

/// How providers are trusted and asked.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What their tokens must name as audience.
    pub audience: String,
    /// How their tokens name roles.
    pub roles: RoleRules,
    /// Whether a provider on this machine may be asked in the clear.
    pub loopback: bool,
    /// How long keys count as fresh at least, whatever the provider says.
    pub fresh: Duration,
    /// The least time between two questions to one provider.
    pub pause: Duration,
    /// How long keys stay good beyond their freshness while their provider can't be reached.
    pub stale: Duration,
}

/// How long keys count as fresh at least, unless it is set otherwise.
pub const FRESH: Duration = Duration::from_secs(300);

/// Where a provider lets browsers sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Where the browser is sent.
    pub authorization: String,
    /// Where a code is traded for tokens.
    pub token: String,
    /// Whether it names itself when it sends the browser back (RFC 9207 §3).
    pub names_itself: bool,
}

/// What is known of a provider at one time.
#[derive(Default)]
pub struct Held {
    /// The keys that its tokens are checked with.
    pub keys: Vec<Key>,
    /// Where browsers sign in by it, if it was discovered and says so.
    pub endpoints: Option<Endpoints>,
    /// The document that the keys were read from.
    source: Value,
}

/// One provider.
pub struct Issuer {
    name: String,
    keys: Option<String>,
    held: RwLock<Arc<Held>>,
    wanted: Mutex<bool>,
    bell: Condvar,
}

impl Issuer {
    /// The issuer, as its tokens name it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether where its keys are is discovered.
    pub fn is_discovered(&self) -> bool {
        self.keys.is_none()
    }

    /// What is known of it now.
    pub fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has its keys looked at again, as soon as it may be asked. Does not wait.
    pub fn want(&self) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_one();
    }
}

/// All providers there are.
pub struct Issuers {
    all: Vec<Arc<Issuer>>,
    terms: Terms,
    epoch: AtomicU64,
    /// How many have not been asked at all yet.
    unasked: Mutex<usize>,
    asked: Condvar,
}

impl Issuers {
    /// The providers of these settings, with no keys yet. Errors: an address that may not be asked, an issuer named twice.
    pub fn new(settings: &[Setting], terms: Terms) -> Result<Arc<Issuers>, String> {
        let mut all: Vec<Arc<Issuer>> = Vec::with_capacity(settings.len());
        for Setting { issuer, keys } in settings {
            if all.iter().any(|known| known.name == *issuer) {
                return Err(format!("the issuer {issuer} is named twice"));
            }
            for address in [Some(issuer), keys.as_ref()].into_iter().flatten() {
                address::may_ask(address, terms.loopback)?;
            }
            let (held, wanted, bell) = (RwLock::default(), Mutex::new(false), Condvar::new());
            all.push(Arc::new(Issuer { name: issuer.clone(), keys: keys.clone(), held, wanted, bell }));
        }
        let unasked = Mutex::new(all.len());
        Ok(Arc::new(Issuers { all, terms, epoch: AtomicU64::new(0), unasked, asked: Condvar::new() }))
    }

    /// The provider of that name.
    pub fn find(&self, name: &str) -> Option<&Arc<Issuer>> {
        self.all.iter().find(|issuer| issuer.name == name)
    }

    /// All of them, in the order they were named.
    pub fn all(&self) -> &[Arc<Issuer>] {
        &self.all
    }

    /// How they are trusted.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Moves whenever the keys of a provider change: what was found good before must be looked at again.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Puts what is known of a provider in place of what was.
    fn replace(&self, issuer: &Issuer, held: Held) {
        *issuer.held.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(held);
        // After the keys: whoever sees the new number sees the new keys.
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Begins to ask every provider, each on a thread of its own that lives as long as the process, and waits so long for their first answers.
    pub fn keep(self: &Arc<Issuers>, client: &Client, patience: Duration) -> Result<(), String> {
        for issuer in &self.all {
            let (issuers, issuer, client) = (Arc::clone(self), Arc::clone(issuer), client.clone());
            let spawned = std::thread::Builder::new().name("issuer".into()).spawn(move || keeper::keep(&issuers, &issuer, &client));
            spawned.map_err(|error| format!("no thread for the issuers: {error}"))?;
        }
        let unasked = self.unasked.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.asked.wait_timeout_while(unasked, patience, |unasked| *unasked > 0));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
