//! The verifiable log, looked at for what is wrong: its key and its signer, how far it has come, its witnesses.

use std::path::Path;
use std::time::SystemTime;

use super::{Findings, OTHER_SCHEMA, mode};
use crate::attest::cosigning::Published;
use crate::attest::keep::{self, Log};
use crate::attest::signer::Keeper;
use crate::attest::store;
use crate::cli::exit::Exit;
use crate::cli::log::Witnesses;
use crate::cli::place::Place;
use crate::cli::table::count;
use crate::ledger;
use crate::server::cosigning::Address;
use crate::store::{Conn, Fault};
use crate::time::{Clock, SECOND};
use crate::tlog::{Checkpoint, Note};

/// For how long entries may wait for the log before it is worth a word, in seconds.
const LATE: u64 = 600;

/// How far a log has come.
struct Extent {
    leaves: u64,
    /// Entries of the journal that are not in it, and for how long the first has waited, in seconds.
    behind: i64,
    waits: u64,
    /// The newest checkpoint.
    last: Option<(u64, String)>,
}

/// Looks at the log of books.
pub(super) fn log(found: &mut Findings, place: &Place, witnesses: &Witnesses, books: &mut Conn) -> Result<(), Fault> {
    let keeper = key(found, &place.key_folder());
    let signed = keeper.as_ref().and_then(|keeper| state(found, keeper));
    let log = match place.database().map(|database| Log::find(&database)) {
        Err(_) => return Ok(()),
        Ok(Err(Fault::Schema(words))) => {
            found.bad("log", Exit::Database, words, OTHER_SCHEMA);
            return Ok(());
        }
        Ok(log) => log?,
    };
    let Some(log) = log else {
        match signed {
            Some(signed) if signed.size > 0 => {
                found.bad("log", Exit::Broken, format!("there is none, and {} leaves were signed", count(signed.size)), LOST)
            }
            _ => found.odd("log", "there is none yet", "almoner serve begins it; until then nobody can check a statement."),
        }
        return Ok(());
    };
    let extent = log.read(|log| extent(log, books))?;
    length(found, &extent);
    if let Some(signed) = &signed {
        continued(found, &log, signed, extent.leaves)?;
    }
    if keeper.is_none() && extent.leaves > 0 {
        found.odd("log key", format!("it is not in {}", place.key_folder().display()), ELSEWHERE);
    }
    checkpoint(found, &extent, &place.key_folder(), signed.is_some());
    match witnesses.policy() {
        Err(failure) => {
            found.bad("witness", failure.exit, failure.words, "Mend the file of --log-policy; until then serve does not start.")
        }
        Ok(policy) => policy.iter().try_for_each(|policy| asked(found, policy, &log, &extent))?,
    }
    Ok(())
}

const LOST: &str = "Restore the log that belongs to these books from the newest backup; never make another key or an older state.";
const ELSEWHERE: &str =
    "Only the folder that has it goes on with the log. If no process elsewhere does, put log.key and log.state back there, the newest.";
const SILENT: &str = "Check its address, and that it runs; checkpoints are without its cosignature until then.";
const UNHEARD: &str = "Is it told the log's key (almoner log vkey)? What it answered is in the service's own log.";
const UNREADABLE: &str = "Put the file back from where it is kept besides; until then the log is not signed.";

/// The signer's key, if it is here.
fn key(found: &mut Findings, folder: &Path) -> Option<Keeper> {
    const WHAT: &str = "log key";
    let keeper = match Keeper::find(folder) {
        Ok(keeper) => keeper?,
        Err(why) => {
            found.bad(WHAT, Exit::Configuration, why.to_string(), UNREADABLE);
            return None;
        }
    };
    let path = Keeper::key_file(folder);
    match mode(&path) {
        Ok(bits) if bits & 0o077 != 0 => found.bad(
            WHAT,
            Exit::Configuration,
            format!("others than its owner may read {}", path.display()),
            "Set its mode to 600. Who has read it can sign another log: make a new key with almoner log rotate.",
        ),
        _ => found.fine(WHAT, keeper.verifiers().iter().map(|key| key.text()).collect::<Vec<_>>().join(", and before it ")),
    }
    Some(keeper)
}

/// What the signer signed last.
fn state(found: &mut Findings, keeper: &Keeper) -> Option<Checkpoint> {
    keeper.signed().map_err(|why| found.bad("log signer", Exit::Configuration, why.to_string(), UNREADABLE)).ok()
}

fn extent(log: &mut Conn, books: &mut Conn) -> Result<Extent, Fault> {
    let (leaves, followed) = store::extent(log)?;
    let last = store::last_checkpoint(log)?.map(|(size, note)| (size.unsigned_abs(), note));
    let (head, first) =
        books.snapshot(|books| Ok((ledger::store::head(books)?, ledger::store::entries(books, followed + 1, followed + 1)?.pop())))?;
    let waits = first.map_or(0, |first| Clock::system().now().since(first.recorded_at).div_euclid(SECOND));
    Ok(Extent { leaves, behind: head - followed, waits: u64::try_from(waits).unwrap_or(0), last })
}

fn length(found: &mut Findings, extent: &Extent) {
    const WHAT: &str = "log";
    let (leaves, behind) = (count(extent.leaves), count(extent.behind.unsigned_abs()));
    match extent.behind {
        0 => found.fine(WHAT, format!("{leaves} leaves, every entry of the journal among them")),
        ..0 => found.bad(
            WHAT,
            Exit::Broken,
            format!("it has {behind} entries that the journal has not"),
            "These books are an older copy than their log. Run almoner verify.",
        ),
        _ if extent.waits < LATE => found.fine(WHAT, format!("{leaves} leaves, {behind} entries behind")),
        _ => {
            let detail = format!("{leaves} leaves; {behind} entries wait, the first for {}", span(extent.waits));
            found.odd(
                WHAT,
                detail,
                "Does almoner serve run with the log's key? Its own log says why if it does; or run almoner log integrate.",
            );
        }
    }
}

/// That the log is the one that was signed last, or goes on from it.
fn continued(found: &mut Findings, log: &Log, signed: &Checkpoint, leaves: u64) -> Result<(), Fault> {
    const WHAT: &str = "log signer";
    let size = count(signed.size);
    if signed.size > leaves {
        found.bad(WHAT, Exit::Broken, format!("it signed {size} leaves, and the log has {}: an older copy", count(leaves)), LOST);
    } else if signed.size > 0 && log.read(|log| keep::root(log, signed.size))? != signed.root {
        found.bad(
            WHAT,
            Exit::Broken,
            format!("it signed {size} leaves that are not these"),
            "Run almoner verify, and find out who changed the log.",
        );
    } else {
        found.fine(WHAT, format!("it signed {size} leaves of this log last"));
    }
    Ok(())
}

fn checkpoint(found: &mut Findings, extent: &Extent, keys: &Path, signs: bool) {
    const WHAT: &str = "checkpoint";
    const UNSIGNED: &str = "The service's own log says why nothing is signed; almoner log integrate tries it at once.";
    let age = std::fs::metadata(Keeper::state_file(keys)).and_then(|about| about.modified()).ok().filter(|_| signs);
    let age = age.and_then(|at| SystemTime::now().duration_since(at).ok()).map(|age| format!(", signed {} ago", span(age.as_secs())));
    match extent.last.as_ref().map(|(size, _)| *size) {
        _ if extent.leaves == 0 => {}
        None => found.odd(WHAT, "nothing is signed yet", UNSIGNED),
        Some(size) if size < extent.leaves => {
            found.odd(
                WHAT,
                format!("{} leaves{}; {} more are not", count(size), age.unwrap_or_default(), count(extent.leaves - size)),
                UNSIGNED,
            );
        }
        Some(size) => found.fine(WHAT, format!("{} leaves{}", count(size), age.unwrap_or_default())),
    }
}

/// Whether each witness answers, has seen the newest checkpoint, and whether they are enough.
fn asked(found: &mut Findings, policy: &Published, log: &Log, extent: &Extent) -> Result<(), Fault> {
    const WHAT: &str = "witness";
    let newest = extent.last.as_ref().map_or(0, |(size, _)| *size);
    for (key, url) in policy.witnesses() {
        let saw = log.read(|log| store::last_cosigned(log, &key.text()))?.map_or(0, i64::unsigned_abs);
        let late = if saw < newest { ", not the newest checkpoint" } else { "" };
        let says = |words: &str| format!("{} {words}; it cosigned {} leaves last{late}", key.name(), count(saw));
        match Address::new(url).answers() {
            Err(why) => found.odd(WHAT, says(&format!("does not answer ({why})")), SILENT),
            Ok(()) if saw < newest => found.odd(WHAT, says("answers"), UNHEARD),
            Ok(()) => found.fine(WHAT, says("answers")),
        }
    }
    let Some(note) = extent.last.as_ref().and_then(|(_, note)| Note::parse(note).ok()) else { return Ok(()) };
    match policy.judge(&note, &log.read(keep::verifiers)?) {
        Err(why) => found.bad("quorum", Exit::Broken, format!("the newest checkpoint: {why}"), "Run almoner verify."),
        Ok(judged) if !judged.quorum => {
            let detail = format!("{} witnesses cosigned the newest checkpoint, not enough by the policy", judged.witnesses.len());
            found.odd("quorum", detail, "Who goes by this policy refuses statements until enough witnesses answer.");
        }
        Ok(judged) => found.fine("quorum", format!("{} witnesses cosigned the newest checkpoint", judged.witnesses.len())),
    }
    Ok(())
}

/// A time in words.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", count(seconds / 86_400)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn what_waits_for_long_is_worth_a_word() {
        let verdict = |behind, waits| {
            let mut found = Findings::default();
            length(&mut found, &Extent { leaves: 9, behind, waits, last: None });
            found.0.pop().map(|finding| (finding.verdict.word(), finding.detail))
        };
        let said = |word, detail: &str| Some((word, detail.to_owned()));
        assert_eq!(verdict(0, 0), said(Verdict::Fine.word(), "9 leaves, every entry of the journal among them"));
        assert_eq!(verdict(2, LATE - 1), said(Verdict::Fine.word(), "9 leaves, 2 entries behind"));
        assert_eq!(verdict(2, LATE), said(Verdict::Odd.word(), "9 leaves; 2 entries wait, the first for 10 min"));
        assert_eq!(verdict(-2, 0).map(|(word, _)| word), Some(Verdict::Bad(Exit::Broken).word()));
        assert_eq!([119, 120, 7200, 172_800].map(span), ["119 s", "2 min", "2 h", "2 days"]);
    }
}
