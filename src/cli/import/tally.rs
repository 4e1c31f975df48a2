//! What became of the lines of a log: counts, amounts and metered totals, for people and as JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::super::table::{self, count};
use crate::amount::Amount;
use crate::refusal::Refusal;
use crate::store::Fault;
use crate::usage::totals::Totals;
use crate::usage::{Charge, Incoming, Outcome, Used};

/// Counts of lines and jobs, by what became of them.
#[derive(Default)]
pub struct Tally {
    /// Lines read; of JSON, jobs.
    pub lines: u64,
    /// Jobs that are charged now.
    pub charged: u64,
    /// Those of them that ran for 0 s.
    pub of_zero_seconds: u64,
    /// Those of them that went beyond their grant.
    pub overdrawn: u64,
    /// Jobs that were charged before.
    pub duplicates: u64,
    /// Those of them that stand in this file more than once.
    pub repeated: u64,
    /// Jobs that were charged before with other content.
    pub conflicts: u64,
    /// Jobs set aside, by reason.
    pub quarantined: BTreeMap<&'static str, u64>,
    /// Lines that can't be read or hold what no record may.
    pub rejected: u64,
    /// Jobs that did not start.
    pub never_started: u64,
    /// Jobs that have not ended.
    pub running: u64,
    /// Lines of steps, which repeat their job's.
    pub steps: u64,
    /// Of each unit what was charged, and how much of it beyond the grants.
    amounts: BTreeMap<String, (Amount, Amount)>,
    /// What the jobs of this file used that are in the books, by account.
    metered: BTreeMap<String, Totals>,
    /// The first charge made now: later ones under another line are repetitions.
    first_charge: Option<i64>,
}

impl Tally {
    /// Counts what became of one record; the reason if it is not in the books as it was sent.
    pub fn add(&mut self, incoming: &Incoming, outcome: &Outcome) -> Result<Option<String>, Fault> {
        match outcome {
            Outcome::Charged(charge) => {
                self.charge(incoming, charge)?;
                Ok(None)
            }
            Outcome::Duplicate(id) => {
                self.duplicates += 1;
                match self.first_charge.is_some_and(|first| id.stamp() >= first) {
                    true => self.repeated += 1,
                    false => self.meter(incoming)?,
                }
                Ok(None)
            }
            Outcome::Conflict(id) => {
                self.conflicts += 1;
                Ok(Some(format!("conflict: {} was charged before with other content, as {id}.", incoming.record.external_id)))
            }
            Outcome::Quarantined(_, refusal) => {
                *self.quarantined.entry(refusal.code.slug()).or_default() += 1;
                Ok(Some(format!("quarantined: {refusal}")))
            }
            Outcome::Rejected(refusal) => Ok(Some(self.reject(refusal))),
        }
    }

    /// Counts a record that the ledger does not take; the reason.
    pub fn reject(&mut self, refusal: &Refusal) -> String {
        self.rejected += 1;
        let fields: Vec<String> = refusal.errors.iter().map(|e| format!("{}: {}", e.pointer.trim_start_matches('/'), e.detail)).collect();
        format!("rejected: {}", if fields.is_empty() { refusal.detail.clone() } else { fields.join("; ") })
    }

    fn charge(&mut self, incoming: &Incoming, charge: &Charge) -> Result<(), Fault> {
        self.charged += 1;
        self.of_zero_seconds += u64::from(incoming.record.started_at == Some(incoming.record.ended_at));
        self.overdrawn += u64::from(charge.row.overdraft > 0);
        self.first_charge.get_or_insert(charge.row.id);
        let zero = Amount::zero(charge.unit);
        let (all, beyond) = self.amounts.entry(zero.unit.code().to_owned()).or_insert((zero, zero));
        (*all, *beyond) = (all.plus(charge.amount())?, beyond.plus(charge.overdraft())?);
        self.meter(incoming)
    }

    fn meter(&mut self, incoming: &Incoming) -> Result<(), Fault> {
        let account = incoming.record.account.clone().unwrap_or_default();
        if let Used::Metered(quantities) = &incoming.record.used {
            self.metered.entry(account).or_default().meter(quantities)?;
        }
        Ok(())
    }

    /// Records that are not in the books as they were sent.
    pub fn troubled(&self) -> u64 {
        self.rejected + self.conflicts + self.quarantined.values().sum::<u64>()
    }

    fn all(&self) -> Result<Totals, Fault> {
        let mut all = Totals::default();
        self.metered.values().try_for_each(|totals| all.plus(totals))?;
        Ok(all)
    }

    /// Prints it for people.
    pub fn print(&self, out: &mut impl Write) -> Result<(), Failed> {
        let quarantined: u64 = self.quarantined.values().sum();
        let reasons: Vec<String> = self.quarantined.iter().map(|(reason, n)| format!("{} {reason}", count(*n))).collect();
        let reasons = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) };
        let rows = [
            (self.lines, "lines read".to_owned()),
            (self.charged, format!("jobs charged once, {} of them of 0 s, charged 0", count(self.of_zero_seconds))),
            (self.overdrawn, "of these overdrawn: they went beyond their grant".into()),
            (self.duplicates, format!("duplicates, charged before and not again ({} of them twice in this file)", count(self.repeated))),
            (self.conflicts, "conflicts: charged before with other content, nothing changed".into()),
            (quarantined, format!("quarantined until resolved{reasons}")),
            (self.rejected, "rejected".into()),
            (self.never_started, "never started".into()),
            (self.running, "still running, not charged yet".into()),
            (self.steps, "steps skipped: they repeat their job".into()),
        ];
        let rows: Vec<Vec<String>> = rows.into_iter().map(|(n, words)| vec![count(n), words]).collect();
        for line in table::lines(&rows, &[0]) {
            writeln!(out, "{line}")?;
        }
        writeln!(out)?;
        for (code, (amount, beyond)) in &self.amounts {
            writeln!(out, "Charged {amount} {code}, of which {beyond} beyond the grants")?;
        }
        self.print_metered(out)
    }

    fn print_metered(&self, out: &mut impl Write) -> Result<(), Failed> {
        let all = self.all()?;
        if all.records == 0 {
            return Ok(());
        }
        let mut heads = vec!["account".to_owned(), "jobs".into()];
        for meter in all.meters.keys() {
            heads.push(meter.clone());
            heads.extend(hours_of(meter));
        }
        let right: Vec<usize> = (1..heads.len()).collect();
        let mut rows = vec![heads];
        for (account, totals) in self.metered.iter().map(|(account, totals)| (account.as_str(), totals)).chain([("in all", &all)]) {
            let mut row = vec![account.to_owned(), count(totals.records)];
            for meter in all.meters.keys() {
                let quantity = totals.meters.get(meter).copied().unwrap_or_default();
                row.push(quantity.normalize().to_string());
                row.extend(hours_of(meter).map(|_| hours(quantity)));
            }
            rows.push(row);
        }
        writeln!(out, "\nMetered: the jobs of this file that are in the books")?;
        for line in table::lines(&rows, &right) {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    /// The same as JSON.
    pub fn json(&self) -> Result<Value, Fault> {
        let amounts = |pick: fn(&(Amount, Amount)) -> Amount| -> Vec<Value> {
            self.amounts.iter().map(|(code, both)| json!({"value": pick(both).to_string(), "unit": code})).collect()
        };
        let accounts: serde_json::Map<String, Value> =
            self.metered.iter().map(|(account, used)| (account.clone(), used_json(used))).collect();
        Ok(json!({
            "lines": self.lines, "charged": self.charged, "of_zero_seconds": self.of_zero_seconds, "overdrawn": self.overdrawn,
            "duplicates": self.duplicates, "repeated": self.repeated, "conflicts": self.conflicts, "quarantined": self.quarantined,
            "rejected": self.rejected, "never_started": self.never_started, "running": self.running, "steps": self.steps,
            "amounts": amounts(|both| both.0), "beyond_grants": amounts(|both| both.1),
            "metered": {"accounts": accounts, "all": used_json(&self.all()?)},
        }))
    }
}

/// Why a summary was not printed.
pub enum Failed {
    /// The totals don't fit.
    Sum(Fault),
    /// Nobody takes the output.
    Output(io::Error),
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Failed {
        Failed::Sum(fault)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        Failed::Output(error)
    }
}

fn used_json(used: &Totals) -> Value {
    let meter = |(meter, quantity): (&String, &Decimal)| {
        let mut shown = json!({"quantity": quantity.normalize().to_string()});
        if hours_of(meter).is_some() {
            shown["hours"] = json!(hours(*quantity));
        }
        (meter.clone(), shown)
    };
    json!({"jobs": used.records, "meters": used.meters.iter().map(meter).collect::<serde_json::Map<_, _>>()})
}

/// `gpu-hour` for `gpu-second`; nothing for a meter that does not count seconds.
fn hours_of(meter: &str) -> Option<String> {
    meter.strip_suffix("-second").map(|stem| format!("{stem}-hour"))
}

/// Seconds as hours with 4 decimals, half to even.
fn hours(seconds: Decimal) -> String {
    let mut hours = (seconds / Decimal::from(3600)).round_dp(4);
    hours.rescale(4);
    hours.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_rounded_half_to_even() {
        let shown = |text: &str| hours(text.parse().expect("a decimal"));
        assert_eq!(["0", "3600", "42364758", "0.18", "0.54"].map(shown), ["0.0000", "1.0000", "11767.9883", "0.0000", "0.0002"]);
    }
}
