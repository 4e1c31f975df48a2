//! A disclosure in words: a sentence for an acknowledgements section, and a page with all figures. Pure.

use std::fmt::Write;

use crate::amount::Amount;
use crate::time::Time;

use super::{DONORS_ROLE, Disclosure, UnitPart};

/// `62.50 %` of hundredths of a percent.
pub fn percent(share: i64) -> String {
    format!("{}.{:02} %", share / 100, share % 100)
}

fn money(amount: Amount) -> String {
    format!("{amount} {}", amount.unit.code())
}

/// On one line, whatever the name has in it.
fn plain(name: &str) -> String {
    name.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Which jobs are meant.
fn span(from: Option<Time>, to: Option<Time>) -> String {
    match (from, to) {
        (Some(from), Some(to)) => format!(" for jobs that ended from {from} until before {to}"),
        (Some(from), None) => format!(" for jobs that ended from {from} on"),
        (None, Some(to)) => format!(" for jobs that ended before {to}"),
        (None, None) => String::new(),
    }
}

fn shares_of(unit: &UnitPart) -> String {
    let parts: Vec<String> =
        unit.donors.iter().map(|part| format!("{} ({})", plain(&part.donor.about.name), percent(part.share))).collect();
    listed(&parts)
}

/// One sentence for each unit, ready for an acknowledgements section.
pub fn short(disclosure: &Disclosure) -> String {
    if disclosure.units.is_empty() {
        return "No donated compute was used.\n".into();
    }
    let several = disclosure.units.len() > 1;
    let sentence = |unit: &UnitPart| {
        let counted = if several { format!(" counted in {}", unit.unit.code()) } else { String::new() };
        let uncovered = unit.uncovered.map(|(_, share)| format!("; {} of it was not covered by any donation", percent(share)));
        match unit.donors.is_empty() {
            true => format!("The compute used for this work{counted} was not covered by any donation."),
            false => {
                let rest = uncovered.unwrap_or_default();
                format!("The compute used for this work{counted} was donated by {}{rest}.", shares_of(unit))
            }
        }
    };
    disclosure.units.iter().map(sentence).collect::<Vec<_>>().join(" ") + "\n"
}

/// All figures, one a line, and the sentence that is offered.
pub fn long(disclosure: &Disclosure) -> String {
    let mut out = format!(
        "Funding of compute for the project \"{}\"{}, as of {}.\n",
        plain(&disclosure.project.about.title),
        span(disclosure.from, disclosure.to),
        disclosure.as_of.day(),
    );
    for unit in &disclosure.units {
        let _ = writeln!(out, "\nUsed, net of refunds: {}", money(unit.used));
        for part in &unit.donors {
            let _ = writeln!(out, "- {}: {} ({})", plain(&part.donor.about.name), money(part.amount), percent(part.share));
            for donation in &part.donations {
                let _ = writeln!(out, "    {}: {}", plain(&donation.donation.about.title), money(donation.amount));
            }
        }
        if let Some((amount, share)) = unit.uncovered {
            let _ = writeln!(out, "- not covered by any donation: {} ({})", money(amount), percent(share));
        }
    }
    if disclosure.units.is_empty() {
        out.push_str("\nNo donated compute was used.\n");
    }
    let _ = write!(out, "\nOffered, not asserted; add it only where it is true:\n[ ] {DONORS_ROLE}\n");
    out
}
