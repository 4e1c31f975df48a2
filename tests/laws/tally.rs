//! What was met how often, and the table printed at the end.

use std::collections::BTreeMap;
use std::fmt;

/// Counts by section and name.
#[derive(Clone, Default, Debug)]
pub struct Tally {
    counts: BTreeMap<(&'static str, String), u64>,
}

impl Tally {
    pub fn add(&mut self, section: &'static str, name: impl Into<String>, count: u64) {
        *self.counts.entry((section, name.into())).or_default() += count;
    }

    pub fn of(&self, section: &'static str, name: &str) -> u64 {
        self.counts.get(&(section, name.to_owned())).copied().unwrap_or(0)
    }

    pub fn merge(&mut self, other: Tally) {
        for (key, count) in other.counts {
            *self.counts.entry(key).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = "";
        for ((section, name), count) in &self.counts {
            if *section != last {
                writeln!(f, "  {section}")?;
                last = section;
            }
            writeln!(f, "    {count:>9}  {name}")?;
        }
        Ok(())
    }
}
