//! `almoner verify`: every law of the books, recomputed from the journal. What an audit of the service has stopped goes on by it.

use std::io::{self, Write};

use super::exit::{Exit, Failure};
use super::place::Place;
use super::table::{self, count};
use crate::reports::audit;
use crate::reports::verify::{Verification, verify};
use crate::time::Clock;

/// Findings shown for each law; the rest is counted.
const SHOWN: usize = 5;

/// Verifies and prints law by law; `Broken` unless all hold. Where writing was stopped and all laws hold, it goes on.
pub fn run(place: &Place) -> Result<Exit, Failure> {
    let mut conn = place.books()?;
    let ran_at = Clock::system().now();
    let (found, stopped) = conn.snapshot(|conn| Ok((verify(conn)?, conn.stopped()?)))?;
    match place.json {
        true => writeln!(io::stdout(), "{:#}", as_json(&found))?,
        false => print(&found)?,
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

fn print(found: &Verification) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{} journal entries, {} postings\n", count(found.entries), count(found.postings))?;
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

fn as_json(found: &Verification) -> serde_json::Value {
    let laws: Vec<serde_json::Value> = found
        .laws
        .iter()
        .map(|law| {
            serde_json::json!({
                "law": law.number, "title": law.title, "checked": law.checked, "broken": law.broken, "findings": law.findings,
            })
        })
        .collect();
    serde_json::json!({"holds": found.holds(), "entries": found.entries, "postings": found.postings, "laws": laws})
}
