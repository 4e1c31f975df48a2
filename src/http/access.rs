//! What the ledger says of the bearers of good tokens, ready in memory: bindings, revoked tokens, persons whose tokens were revoked.
//!
//! A request is judged by it without a question to the database. A task asks twice a second whether anybody's rights have changed, and
//! whoever changes them here reads them anew at once. When that could not be asked for [`PATIENCE`] nobody is let in any more: the database
//! that keeps the rights keeps the books too, so there is little left that could be answered, and what was taken away must not come back
//! through a process that was cut off. Bounds: one register, read as a whole when it changed.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use actix_web::rt::time::sleep;

use crate::directory::standing::{self, Register, Rule};
use crate::directory::{person_for, reading};
use crate::refusal::{Code, Refusal};
use crate::store::{Fault, Store, Work};

use super::page::blocking;
use super::problem::Problem;
use super::token::Bearer;

/// How long it is believed without a look at the database.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked whether anything has changed.
const EVERY: Duration = Duration::from_millis(500);

/// Judges bearers by what the ledger says of them.
pub struct Access {
    store: Store,
    rule: Rule,
    known: RwLock<Known>,
}

#[derive(Clone)]
struct Known {
    register: Arc<Register>,
    read_at: Instant,
}

impl Access {
    /// Reads what the ledger says now. Blocks the calling thread.
    pub fn open(store: Store, rule: Rule) -> Result<Access, Fault> {
        let known = Known { read_at: Instant::now(), register: Arc::new(store.read(Register::read)?) };
        Ok(Access { store, rule, known: RwLock::new(known) })
    }

    /// Over empty books in a folder, believing these keys' own issuer.
    #[cfg(test)]
    pub fn over_empty_books(folder: &std::path::Path, keys: &super::keys::Keys) -> Access {
        let store = Store::open(&crate::store::Database::in_folder(folder), crate::time::Clock::system()).expect("a store");
        let rule = Rule { local: keys.local_issuer().map(String::from), require_bindings: false };
        Access::open(store, rule).expect("a register")
    }

    /// Whose tokens are believed without a binding.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The bearer with the rights that the ledger leaves them. Errors: `token_revoked`; `busy` where the ledger can't be asked.
    pub fn judge(&self, bearer: Arc<Bearer>) -> Result<Arc<Bearer>, Refusal> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        if known.read_at.elapsed() > PATIENCE {
            return Err(Refusal::new(Code::Busy, "The database does not answer, so nobody's rights are known."));
        }
        match known.register.judge(&self.rule, &bearer.actor, &bearer.token, bearer.issued_at)? {
            None => Ok(bearer),
            Some(actor) => Ok(Arc::new(bearer.with(actor))),
        }
    }

    /// Reads again what has changed since.
    pub async fn refresh(self: &Arc<Self>) -> Result<(), Problem> {
        let access = Arc::clone(self);
        Ok(blocking(move || access.read_changes()).await??)
    }

    fn read_changes(&self) -> Result<(), Fault> {
        let (read_at, seq) = (Instant::now(), self.known.read().unwrap_or_else(PoisonError::into_inner).register.seq());
        let changed = self.store.read(|conn| match standing::seq(conn)? == seq {
            true => Ok(None),
            false => Register::read(conn).map(Some),
        })?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match changed.map(Arc::new) {
            // Whoever read later wins: a slow look must not bring back what was taken away since.
            Some(register) if register.seq() >= known.register.seq() => *known = Known { register, read_at },
            _ => known.read_at = known.read_at.max(read_at),
        }
        Ok(())
    }

    /// Keeps up with what other processes change.
    pub async fn keep_fresh(self: Arc<Self>) {
        loop {
            sleep(EVERY).await;
            // The cause is in the log; what is known ages until it is too old.
            let _ = self.refresh().await;
        }
    }

    /// Records that this bearer reads what tells of persons or jobs; durable when it returns.
    pub async fn record(&self, bearer: &Bearer, operation: &'static str, object: Option<String>) -> Result<(), Problem> {
        let actor = bearer.actor.clone();
        let command = move |work: &mut Work<'_>| {
            let person = person_for(work, &actor)?;
            reading::record(work, person, operation, object.as_deref())
        };
        // Also where the books may not be written: what is read then is read of books that are being looked into.
        Ok(self.store.submit_beside(1, command)?.arrive().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::Actor;
    use crate::http::keys::Keys;
    use crate::http::token::Verifier;
    use crate::time::Clock;

    #[actix_web::test]
    async fn what_could_not_be_asked_for_too_long_lets_nobody_in() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("issuer.pk8");
        Keys::create_local(&path).expect("a key");
        let keys = Keys::new("almoner").with_local(&path, None).expect("the key");
        let token = keys.issue(&Actor::operator("root"), 60, Clock::system().now(), "1").expect("a token");
        let access = Arc::new(Access::over_empty_books(folder.path(), &keys));
        let bearer = Verifier::new(keys, Clock::system()).verify(&token).expect("good");
        let judged = || access.judge(Arc::clone(&bearer)).map(|found| found.actor.subject.clone()).map_err(|refusal| refusal.code);
        assert_eq!(judged(), Ok("root".to_owned()));
        let long_ago = Instant::now().checked_sub(PATIENCE + EVERY).expect("a machine that runs for longer");
        access.known.write().expect("nobody panicked").read_at = long_ago;
        assert_eq!(judged(), Err(Code::Busy));
        access.refresh().await.expect("the database answers");
        assert_eq!(judged(), Ok("root".to_owned()));
    }
}
