//! Reading what is audited: page by page what the log keeps, beside the entries of the journal that its leaves are of.
//!
//! It judges nothing, but shuts the entries in with the salts that are kept. Each table is read once, in its own order; of lots' lines and heads
//! those are read that the entries call for, and what is left over the counts of the tables tell. Bounds: a page, and a few pages of lines.

use std::collections::{BTreeSet, VecDeque};

use rustc_hash::FxHashMap;

use super::Passed;
use crate::attest::compose::{Job, Salting, Shut, Shutter, has_job};
use crate::attest::disclosure::Salt;
use crate::attest::leaf;
use crate::attest::line::{self, Touch};
use crate::attest::store::{self, HeadRow, LeafRow, LineRow};
use crate::store::{Conn, Fault};
use crate::tlog::tile::Tile;

/// Leaves read at a time: so many that few questions are asked, so few that they are still at hand when they are looked at.
const PAGE: u64 = 512;
/// Pages of a lot's lines read at a time.
const LINES: u64 = 4;

/// An entry that a leaf should be of.
pub(super) struct Read {
    pub passed: Passed,
    /// What it did to each lot.
    pub touches: Option<Vec<Touch>>,
    /// Shut in with the salts of the leaf.
    pub shut: Shut,
    /// Whether a salt of its job is kept.
    pub salted: bool,
}

/// Some leaves, with what the log keeps for them.
pub(super) struct Page {
    /// The first.
    pub from: u64,
    /// The one after the last.
    pub to: u64,
    pub rows: Vec<LeafRow>,
    /// The entries that the leaves of entries should be of.
    pub entries: Vec<Read>,
    /// By lot and number the lines that these entries should have.
    pub lines: FxHashMap<(i64, u64), LineRow>,
    /// By their seals the heads of the lots that moved, in the order of the lots.
    pub heads: FxHashMap<i64, Vec<HeadRow>>,
    pub tiles: FxHashMap<Tile, Vec<u8>>,
}

/// Reads a log of that size beside the entries of its books; `each` says whether to go on.
pub(super) fn read(
    log: &mut Conn,
    size: u64,
    mut entries: impl Iterator<Item = Passed>,
    mut each: impl FnMut(Page) -> bool,
) -> Result<(), Fault> {
    let (mut lots, mut shutter, mut from) = (Lots::default(), Shutter::default(), 0);
    while from < size {
        let to = (from + PAGE).min(size);
        let rows = store::leaves(log, from, to)?;
        let mut jobs = store::jobs(log, from, to)?;
        let tiles = store::tiles_filled(log, from, to)?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows.iter().filter(|row| row.seq.is_some()) {
            let Some(passed) = entries.next() else { break };
            let job = jobs.remove(&row.idx).filter(|_| has_job(&passed.entry));
            let (salted, charge) = (job.is_some(), passed.charge.as_ref().filter(|_| has_job(&passed.entry)));
            let shut = shutter.shut(&passed.entry, charge, &mut Stored { row, job })?;
            found.push(Read { touches: line::touches(&passed.entry), passed, shut, salted });
        }
        let lines = lots.lines(log, &found)?;
        let heads = lots.heads(log, &rows, from, to)?;
        if !each(Page { from, to, rows, entries: found, lines, heads, tiles }) {
            break;
        }
        from = to;
    }
    Ok(())
}

/// A salt as it is kept; `None` where it is cut.
pub(super) fn salt(bytes: Option<&[u8]>) -> Option<Salt> {
    bytes.and_then(|bytes| bytes.try_into().ok())
}

/// The salts of one leaf as they are kept. One that is missing is told as zeros, which make another leaf.
struct Stored<'r> {
    row: &'r LeafRow,
    job: Option<Vec<u8>>,
}

impl Salting for Stored<'_> {
    fn entry(&mut self) -> Result<Salt, Fault> {
        Ok(salt(self.row.salt.as_deref()).unwrap_or_default())
    }

    fn job(&mut self) -> Result<Job, Fault> {
        if let Some(salt) = salt(self.job.as_deref()) {
            return Ok(Job::Salt(salt));
        }
        let found = leaf::read_entry(&self.row.leaf);
        Ok(found.map_or(Job::Salt([0; 16]), |found| Job::Erased(found.sd, found.nul)))
    }
}

/// How far the lots have come.
#[derive(Default)]
struct Lots {
    lines: FxHashMap<i64, Lines>,
    /// Lots that moved within this page, and those that did before and may not be sealed yet.
    moved: BTreeSet<i64>,
    before: BTreeSet<i64>,
}

/// The kept lines of a lot.
#[derive(Default)]
struct Lines {
    /// How many the entries called for so far.
    called: u64,
    /// Up to which number they are read.
    read: u64,
    ahead: VecDeque<LineRow>,
}

impl Lots {
    /// The kept lines that these entries should have, by lot and number.
    fn lines(&mut self, log: &mut Conn, entries: &[Read]) -> Result<FxHashMap<(i64, u64), LineRow>, Fault> {
        let mut counts: FxHashMap<i64, u64> = FxHashMap::default();
        for touch in entries.iter().filter_map(|read| read.touches.as_ref()).flatten() {
            *counts.entry(touch.lot).or_default() += 1;
        }
        self.moved = counts.keys().copied().collect();
        let mut kept = FxHashMap::default();
        kept.reserve(entries.len());
        for (lot, count) in counts {
            let lines = self.lines.entry(lot).or_default();
            lines.called += count;
            if lines.read < lines.called {
                let upto = lines.called + (LINES - 1) * count;
                lines.ahead.extend(store::lines(log, lot, lines.read + 1, upto)?);
                lines.read = upto;
            }
            while let Some(row) = lines.ahead.pop_front_if(|row| row.n.unsigned_abs() <= lines.called) {
                kept.insert((lot, row.n.unsigned_abs()), row);
            }
        }
        Ok(kept)
    }

    /// The kept heads, by their seals, of the lots that moved before them.
    fn heads(&mut self, log: &mut Conn, rows: &[LeafRow], from: u64, to: u64) -> Result<FxHashMap<i64, Vec<HeadRow>>, Fault> {
        let mut heads: FxHashMap<i64, Vec<HeadRow>> = FxHashMap::default();
        self.before.append(&mut self.moved.clone());
        if rows.iter().all(|row| row.seq.is_some()) {
            return Ok(heads);
        }
        let lots: Vec<i64> = std::mem::replace(&mut self.before, std::mem::take(&mut self.moved)).into_iter().collect();
        for head in store::heads_changed(log, &lots, from, to)? {
            heads.entry(head.seal).or_default().push(head);
        }
        Ok(heads)
    }
}
