//! A service verified from outside, by who has its log's key and nothing else: the log as it is served, held to what was kept of it; and with
//! a token a donor's statement, held to that log.

use std::io::{self, Write};
use std::thread::sleep;
use std::time::Duration;

use super::{Options, held_as_json, kept, keys_of, refuse, told, trust, unwitnessed};
use crate::attest::check::{Held, Kept, Reason, Refused, Trust, check};
use crate::attest::memory::Memory;
use crate::attest::served;
use crate::attest::watch::{Ended, Seen, Watch};
use crate::cli::exit::{Exit, Failure};
use crate::cli::place::Place;
use crate::cli::remote::Remote;
use crate::cli::table::count;
use crate::id::DonorId;
use crate::tlog::Checkpoint;

/// Where the token is; never an argument, which others on the machine could read.
const TOKEN: &str = "ALMONER_TOKEN";

/// How often it is looked again where only cosignatures are missing, and after which wait: they come a moment after the checkpoint.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_secs(2);

/// How it ended where it did not hold.
enum Stopped {
    /// Something contradicts itself: what, and why.
    Broken(&'static str, Refused),
    /// It could not be looked at.
    Failed(Failure),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Stopped {
        Stopped::Failed(failure)
    }
}

impl From<Ended> for Stopped {
    fn from(ended: Ended) -> Stopped {
        match ended {
            Ended::Broken(refused) => Stopped::Broken("LOG", refused),
            Ended::Failed(why) => Stopped::Failed(Failure::error(why)),
        }
    }
}

/// Verifies the service at an address; `Broken` unless all holds, of which then is kept what the next look is held to.
pub fn run(place: &Place, options: &Options, url: &str) -> Result<Exit, Failure> {
    let remote = Remote::new(url);
    let mut memory = Memory::read(&options.kept).map_err(Failure::error)?;
    let newest = served::checkpoint(&remote).map_err(Failure::error)?;
    let origin = Checkpoint::parse(newest.text()).map_err(|why| Failure::error(format!("the checkpoint: {why}")))?.origin;
    let trust = trust(options, &memory, &origin)?;
    let kept = kept(options, &memory, &origin, &trust.logs())?;
    let asked = statement(options, &remote)?;
    let mut watch = Watch::anew(trust.policy.clone(), trust.keys);
    let marks = memory.seen(&origin).map_err(Failure::error)?.into_iter().chain(kept.iter().map(|kept| kept.checkpoint.clone()));
    marks.for_each(|mark| watch.hold_to(mark));
    let asked = asked.as_ref().map(|(donor, token)| (*donor, token.as_str()));
    let (seen, held) = match look(&remote, &mut watch, kept.as_ref(), asked) {
        Ok(found) => found,
        Err(Stopped::Broken(what, refused)) => return refuse(place, what, &refused),
        Err(Stopped::Failed(failure)) => return Err(failure),
    };
    let keys = keys_of(&watch.keys(), &seen.checkpoint.origin);
    memory.see(&seen.checkpoint, keys.clone());
    if let Some(held) = &held {
        memory.keep(&held.keep(), keys);
    }
    memory.write(&options.kept).map_err(Failure::error)?;
    tell(place, &seen, held.as_ref())?;
    Ok(Exit::Done)
}

/// Whose statement to ask for, and by which token, if there is one.
fn statement(options: &Options, remote: &Remote) -> Result<Option<(DonorId, String)>, Failure> {
    let usage = |words: &str| Failure::new(Exit::Usage, words);
    let named = options.donor.as_deref().map(DonorId::parse).transpose()?;
    let Some(token) = std::env::var(TOKEN).ok().filter(|token| !token.is_empty()) else {
        let words = "A donor's statement is shown to who may see it: put a token into ALMONER_TOKEN.";
        return if named.is_some() { Err(usage(words)) } else { Ok(None) };
    };
    let donor = match named {
        Some(donor) => donor,
        None => {
            let own = remote.donor(&token).map_err(Failure::error)?.map_err(|status| refused("who the token is for", status))?;
            let own = own.ok_or_else(|| usage("The token speaks for no donor: say by --donor ID whose statement is to be verified."))?;
            DonorId::parse(&own)?
        }
    };
    Ok(Some((donor, token)))
}

fn refused(what: &str, status: u16) -> Failure {
    let why = match status {
        401 => "the token in ALMONER_TOKEN is not accepted",
        403 => "the token in ALMONER_TOKEN does not open it",
        404 => "there is none for this token, or none since the checkpoint that is kept",
        _ => "it is not answered",
    };
    Failure::error(format!("The service does not tell {what}: {why} ({status})."))
}

/// Looks at the whole log; then, where a statement is asked for, at that, and at how the log came from what was seen to what it says.
fn look(remote: &Remote, watch: &mut Watch, kept: Option<&Kept>, asked: Option<(DonorId, &str)>) -> Result<(Seen, Option<Held>), Stopped> {
    let seen = patiently(PAUSE, || Ok(watch.look(remote, &[])?))?;
    let Some((donor, token)) = asked else { return Ok((seen, None)) };
    let since = kept.map(|kept| format!("?since={}", kept.checkpoint.size)).unwrap_or_default();
    let trust = Trust { policy: watch.policy().clone(), keys: watch.keys() };
    let held = patiently(PAUSE, || {
        let answer = remote.ask(&format!("/v1/donors/{donor}/proof{since}"), token).map_err(Failure::error)?;
        let text = answer.map_err(|status| refused("the donor's statement", status))?;
        check(&text, &trust, kept).map_err(|refused| Stopped::Broken("STATEMENT", refused))
    })?;
    watch.hold_to(held.judged.checkpoint.clone());
    let later = patiently(PAUSE, || Ok(watch.look(remote, &[])?))?;
    Ok((later, Some(held)))
}

/// Looks again for a while where only cosignatures are missing.
fn patiently<T>(pause: Duration, mut look: impl FnMut() -> Result<T, Stopped>) -> Result<T, Stopped> {
    for _ in 1..TRIES {
        match look() {
            Err(Stopped::Broken(_, refused)) if refused.reason == Reason::Quorum => sleep(pause),
            found => return found,
        }
    }
    look()
}

fn tell(place: &Place, seen: &Seen, held: Option<&Held>) -> Result<(), Failure> {
    let Seen { checkpoint, witnesses, charges, .. } = seen;
    if place.json {
        let told = serde_json::json!({
            "holds": true, "origin": checkpoint.origin, "size": checkpoint.size, "charges": charges, "witnesses": witnesses,
            "statement": held.map(held_as_json),
        });
        return Ok(writeln!(io::stdout(), "{told:#}")?);
    }
    let (size, charges) = (count(checkpoint.size), count(*charges));
    eprintln!("The log {} holds: {size} leaves, each in its place; {charges} charges, none twice.", checkpoint.origin);
    match held {
        Some(held) => told(held),
        None => {
            unwitnessed(witnesses.len());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosignatures_are_waited_for_and_nothing_else_is() {
        let refused = |reason| Stopped::Broken("LOG", Refused { reason, detail: String::new() });
        let tried = |reason, holds_at| {
            let mut tries = 0;
            let found = patiently(Duration::ZERO, || {
                tries += 1;
                if tries == holds_at { Ok(()) } else { Err(refused(reason)) }
            });
            (found.is_ok(), tries)
        };
        assert_eq!(tried(Reason::Quorum, 3), (true, 3));
        assert_eq!(tried(Reason::Quorum, TRIES + 1), (false, TRIES));
        assert_eq!(tried(Reason::Fork, 2), (false, 1));
        assert!(matches!(patiently(Duration::ZERO, || Err::<(), _>(Stopped::from(Ended::Failed("gone".into())))), Err(Stopped::Failed(_))));
    }
}
