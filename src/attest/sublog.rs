//! Sub-logs: the lines of one lot, counted and summed, as a tree of their own; and heads, by which a seal commits to them.
//!
//! Pure. The leaf of a sub-log's tree is the text of a line's digest. A head says how many lines there are, what they come to and the root
//! over them; whoever has all lines up to the head before and this head's lines can tell whether one is missing.

use serde::Serialize;
use serde_json::Value;

use super::canon::{decimal, read, read_decimal, read_whole, text, url64};
use super::disclosure::Salt;
use crate::amount::Unit;
use crate::tlog::hash::{self, Hash, from_base64, to_base64};
use crate::tlog::tree::Frontier;

/// The lines of one lot so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubLog {
    /// The lot's handle.
    pub handle: String,
    /// What is counted.
    pub unit: String,
    /// Decimals of its amounts.
    pub scale: u8,
    /// What is unspent.
    pub balance: i128,
    /// All that ever came in.
    pub came: i128,
    /// All that ever went out.
    pub went: i128,
    /// The tree over the lines' digests.
    pub tree: Frontier,
}

/// A head that can't be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unreadable;

/// A line that leaves less than nothing, or more than can be counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfBalance;

#[derive(Serialize)]
struct Head<'h> {
    balance: String,
    count: String,
    r#in: String,
    lot: &'h str,
    out: String,
    root: String,
    salt: String,
    unit: &'h str,
}

impl SubLog {
    /// A lot without lines.
    pub fn new(handle: String, unit: Unit) -> SubLog {
        SubLog { handle, unit: unit.code().into(), scale: unit.scale(), balance: 0, came: 0, went: 0, tree: Frontier::new() }
    }

    /// Takes a line's amount; its number and the balance after it. The line's digest must follow by [`SubLog::add`].
    pub fn take(&mut self, amount: i128) -> Result<(u64, i128), OutOfBalance> {
        let balance = self.balance.checked_add(amount).filter(|balance| *balance >= 0).ok_or(OutOfBalance)?;
        let side = if amount < 0 { &mut self.went } else { &mut self.came };
        *side = amount.checked_abs().and_then(|amount| side.checked_add(amount)).ok_or(OutOfBalance)?;
        self.balance = balance;
        Ok((self.tree.size() + 1, balance))
    }

    /// Adds the digest of the line that was taken.
    pub fn add(&mut self, digest: &str) {
        self.tree.push(hash::leaf(digest.as_bytes()));
    }

    /// The head as it stands now; canonical.
    pub fn head(&self, salt: &Salt) -> String {
        let figure = |minor| decimal(minor, self.scale);
        text(&Head {
            balance: figure(self.balance),
            count: self.tree.size().to_string(),
            r#in: figure(self.came),
            lot: &self.handle,
            out: figure(self.went),
            root: to_base64(&self.tree.root()),
            salt: url64(salt),
            unit: &self.unit,
        })
    }

    /// The sub-log that a head speaks of, with its edge. Errors: where the head is not in the one form, or the edge is not that of its root.
    pub fn read(head: &str, edge: Vec<Hash>) -> Result<SubLog, Unreadable> {
        let told = Told::read(head).ok_or(Unreadable)?;
        let tree = Frontier::from_parts(told.count, edge).filter(|tree| tree.root() == told.root).ok_or(Unreadable)?;
        Ok(SubLog { tree, ..told.sums })
    }
}

/// What a head says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// The sums, without the lines.
    sums: SubLog,
    /// How many lines there are.
    pub count: u64,
    /// The root over them.
    pub root: Hash,
}

impl Told {
    /// Reads a head. `None` where it is not in the one form.
    pub fn read(head: &str) -> Option<Told> {
        let value = read(head)?;
        let fields = value.as_object().filter(|fields| fields.len() == 8)?;
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let (balance, scale) = read_decimal(text("balance")?)?;
        let figure =
            |name: &str| text(name).and_then(read_decimal).filter(|(minor, its)| *minor >= 0 && *its == scale).map(|(minor, _)| minor);
        super::canon::read_url64(text("salt")?)?;
        let (came, went) = (figure("in")?, figure("out")?);
        let (handle, unit) = (text("lot")?.into(), text("unit")?.into());
        let sums = SubLog { handle, unit, scale, balance, came, went, tree: Frontier::new() };
        Some(Told { sums, count: read_whole(text("count")?)?, root: from_base64(text("root")?)? })
    }

    /// The lot's handle.
    pub fn handle(&self) -> &str {
        &self.sums.handle
    }

    /// The lot without lines.
    pub fn begin(&self) -> SubLog {
        SubLog { balance: 0, came: 0, went: 0, ..self.sums.clone() }
    }

    /// Whether it speaks of the same lot in the same unit.
    pub fn is_of(&self, log: &SubLog) -> bool {
        (&self.sums.handle, &self.sums.unit, self.sums.scale) == (&log.handle, &log.unit, log.scale)
    }

    /// Whether a sub-log sums to what is told; whether it has the same lines is the root's matter.
    pub fn sums_to(&self, log: &SubLog) -> bool {
        (self.sums.balance, self.sums.came, self.sums.went) == (log.balance, log.came, log.went)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> SubLog {
        let mut log = SubLog::new("L".into(), Unit::new("USD", 2).expect("a unit"));
        for (amount, digest) in [(10_000, "first"), (-2_500, "second"), (0, "third"), (500, "fourth"), (-1, "fifth")] {
            log.take(amount).expect("in balance");
            log.add(digest);
        }
        log
    }

    #[test]
    fn lines_are_counted_and_summed() {
        let log = some();
        assert_eq!((log.tree.size(), log.balance, log.came, log.went), (5, 7_999, 10_500, 2_501));
        let mut poor = log.clone();
        assert_eq!(poor.take(-8_000), Err(OutOfBalance));
        assert_eq!(poor.take(i128::MIN), Err(OutOfBalance));
        assert_eq!(poor, log, "what was refused left nothing");
    }

    #[test]
    fn a_head_is_canonical_and_reads_back_with_its_own_edge_alone() {
        let log = some();
        let head = log.head(&[1; 16]);
        let root = to_base64(&log.tree.root());
        let written = format!(
            r#"{{"balance":"79.99","count":"5","in":"105.00","lot":"L","out":"25.01","root":"{root}","salt":"AQEBAQEBAQEBAQEBAQEBAQ","unit":"USD"}}"#
        );
        assert_eq!(head, written);
        let edge = log.tree.parts().1.to_vec();
        assert_eq!(SubLog::read(&head, edge.clone()), Ok(log));
        assert_eq!(SubLog::read(&head, edge[1..].to_vec()), Err(Unreadable));
        assert_eq!(SubLog::read(&head, vec![[0; 32]; 2]), Err(Unreadable));
        assert_eq!(SubLog::read(&head.replace("105.00", "105.0"), edge), Err(Unreadable));
    }
}
