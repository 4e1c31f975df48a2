//! Usage met before: which natural keys are charged or in quarantine already, as the writer remembers it.
//!
//! Totals charged lately are remembered themselves, older ones stand in blocks of keys with a sieve before them; a key that is in neither is
//! known to be new without a look at the database. Parts, and what is in quarantine, are rare: the database is asked where a key may have
//! any. What is remembered is brought up to date when another process has written, and never read as a whole again. Bounds: some
//! [`BLOCK`] keys as they are, six bytes for each older one, and the keys of jobs that have parts or stand in quarantine.

mod store;

use rustc_hash::{FxHashMap, FxHashSet};

use super::record::Incoming;
use super::store::ChargeRow;
use crate::store::keys::{self, Block, Sieve};
use crate::store::{Birth, Conn, Fault, Room, Rows, Work};

/// The narrow natural key of a job.
type Key = [u8; 16];
/// The natural key of a record: that of its job, and which part of it, 0 for the total.
type Natural = (Key, i32);

/// Keys that are made a block: so many that blocks are few, so few that writing one is no pause.
const BLOCK: usize = 16_384;

/// A key that was met before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub digest: [u8; 16],
    pub id: i64,
    /// The entry of a charge.
    pub seq: i64,
    pub charged: bool,
}

/// What the writer remembers of usage met before.
#[derive(Default)]
struct Met {
    /// Totals that are charged and in no block yet, or in one that this batch has made.
    totals: FxHashMap<Key, Known>,
    /// Whether one was charged since rows were last handed out, so that the journal has an entry of this batch.
    fresh: bool,
    /// Whether a block was made of them.
    blocked: bool,
    /// Keys that may be in quarantine or have parts.
    rare: FxHashSet<Key>,
    sieve: Sieve,
    /// Whether all of this is known to stand; if not, only what is not younger than `committed` is.
    sound: bool,
    committed: Birth,
}

impl Room for Met {
    fn take_rows(&mut self) -> Option<Rows> {
        if !std::mem::take(&mut self.fresh) || self.blocked || self.totals.len() < BLOCK {
            return None;
        }
        let block = self.make_block();
        Some(Box::new(move |conn| block.write(conn)))
    }

    fn forget(&mut self) {
        (self.sound, self.fresh, self.blocked) = (false, false, false);
    }

    fn held(&self) -> usize {
        // What forgetting would not give up does not count.
        0
    }
}

/// A key's hash: keys are hashes themselves.
pub fn hash(key: &Key) -> u64 {
    key.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

impl Met {
    /// Makes a block of the totals remembered. They stay as they are as long as the batch lasts, which may ask for them again.
    fn make_block(&mut self) -> Block {
        let upto = self.totals.values().map(|known| known.seq).max().unwrap_or_default();
        self.blocked = true;
        self.sieve.seal(upto, self.totals.iter().map(|(key, known)| (hash(key), known.seq)).collect())
    }

    /// Brings what is remembered up to date with what is committed.
    fn follow(&mut self, conn: &mut Conn) -> Result<(), Fault> {
        let first = self.sieve.upto() == 0 && self.committed == Birth::default();
        let mut sure = self.committed;
        if self.sieve.follow(conn)? {
            // Those that had gone into a block that was never written are to be read again.
            self.totals.clear();
            sure.seq = self.sieve.upto();
        }
        let upto = self.sieve.upto();
        self.totals.retain(|_, known| upto < known.seq && known.seq <= sure.seq);
        for met in store::charged_after(conn, upto.max(sure.seq))? {
            match met.part {
                0 => _ = self.totals.insert(met.usage_key, known(&met)),
                _ => _ = self.rare.insert(met.usage_key),
            }
        }
        let parted = if first { store::parted(conn, None)? } else { Vec::new() };
        let waiting = store::waiting_after(conn, if first { 0 } else { sure.stamp })?;
        self.rare.extend(parted.into_iter().chain(waiting));
        self.sound = true;
        Ok(())
    }
}

fn known(met: &store::Met) -> Known {
    Known { digest: met.digest, id: met.id, seq: met.seq, charged: met.charged == 1 }
}

/// Which natural keys of a batch were met before, beside the totals that are remembered, and which of its jobs have parts.
#[derive(Default)]
pub(super) struct Before {
    known: FxHashMap<Natural, Known>,
    parted: FxHashSet<Key>,
}

impl Before {
    /// What is known of a record, and of the total of its job if that is charged.
    pub fn of(&self, work: &mut Work<'_>, record: &Incoming) -> Result<(Option<Known>, Option<Known>), Fault> {
        let lately = work.room::<Met>()?.totals.get(&record.key).copied();
        let total = lately.or_else(|| self.known.get(&(record.key, 0)).copied());
        let own = if record.part() == 0 { total } else { self.known.get(&(record.key, record.part())).copied() };
        Ok((own, total.filter(|total| total.charged)))
    }

    /// Whether the record's job has parts that are charged.
    pub fn has_parts(&self, record: &Incoming) -> bool {
        self.parted.contains(&record.key)
    }

    /// Learns what became of a record of the batch, unless it was a total that is charged: that is remembered.
    pub fn learn(&mut self, record: &Incoming, id: i64, charged: bool) {
        if record.part() > 0 || !charged {
            self.add((record.key, record.part()), Known { digest: record.digest, id, seq: 0, charged });
        }
    }

    fn add(&mut self, (key, part): Natural, known: Known) {
        // A key may be in both once its quarantine is being resolved; the charge is what counts.
        if known.charged || !self.known.contains_key(&(key, part)) {
            self.known.insert((key, part), known);
        }
        if part > 0 && known.charged {
            self.parted.insert(key);
        }
    }

    fn found(&mut self, found: &[store::Met]) {
        found.iter().for_each(|met| self.add((met.usage_key, met.part), known(met)));
    }
}

/// What was met before of these records: in the database, or staged and not yet written.
pub(super) fn before(work: &mut Work<'_>, records: &[Incoming]) -> Result<Before, Fault> {
    let (met, link) = work.room_and_link::<Met>()?;
    if !met.sound {
        met.follow(link.conn()?)?;
    }
    met.committed = link.committed();
    if std::mem::take(&mut met.blocked) {
        let upto = met.sieve.upto();
        met.totals.retain(|_, known| known.seq > upto);
    }
    let blocks = met.sieve.blocks_of(records.iter().map(|record| hash(&record.key)));
    let (mut rare, mut parts) = (Vec::new(), Vec::new());
    for record in records {
        let (key, part) = (record.key, record.part());
        if part > 0 {
            parts.push((key, part));
        } else if met.rare.contains(&key) {
            rare.push(key);
        }
    }
    let mut before = Before::default();
    if !blocks.is_empty() {
        let conn = work.sql()?;
        let seqs = keys::find(conn, &blocks)?;
        before.found(&store::charged(conn, &seqs)?);
    }
    if !rare.is_empty() {
        let conn = work.sql()?;
        before.found(&store::waiting(conn, &rare)?);
        before.parted.extend(store::parted(conn, Some(&rare))?);
    }
    if !parts.is_empty() {
        before.found(&store::met_parts(work.sql()?, &parts)?);
    }
    Ok(before)
}

/// Remembers a record that is charged from now on.
pub(super) fn charged(work: &mut Work<'_>, record: &Incoming, row: &ChargeRow) -> Result<(), Fault> {
    let met = work.room::<Met>()?;
    if record.part() == 0 {
        met.totals.insert(record.key, Known { digest: record.digest, id: row.id, seq: row.seq, charged: true });
        met.fresh = true;
    } else {
        met.rare.insert(record.key);
    }
    Ok(())
}

/// Remembers a record that is in quarantine from now on.
pub(super) fn set_aside(work: &mut Work<'_>, record: &Incoming) -> Result<(), Fault> {
    work.room::<Met>()?.rare.insert(record.key);
    Ok(())
}

/// The blocks of keys, compared with the charges whose keys they are to hold.
pub struct Blocks {
    /// Those not reached yet, the next one last.
    ahead: Vec<(i64, i64)>,
    /// The keys that the next one must hold.
    keys: Vec<(u64, i64)>,
}

impl Blocks {
    /// All blocks that there are.
    pub fn new(conn: &mut Conn) -> Result<Blocks, Fault> {
        let mut ahead = keys::blocks(conn, 0)?;
        ahead.reverse();
        Ok(Blocks { ahead, keys: Vec::new() })
    }

    /// Passes the next charge; the blocks that end before it, each with whether it is as it should be.
    pub fn pass(&mut self, conn: &mut Conn, row: &ChargeRow) -> Result<Vec<(i64, bool)>, Fault> {
        let ended = self.end_before(conn, row.seq)?;
        if row.part == 0 {
            self.keys.push((keys::kept(hash(&row.usage_key)), row.seq));
        }
        Ok(ended)
    }

    /// After the last charge: the blocks that are left, and those of which only rows are there.
    pub fn end(&mut self, conn: &mut Conn) -> Result<Vec<(i64, bool)>, Fault> {
        let mut ended = self.end_before(conn, i64::MAX)?;
        ended.extend(keys::stray(conn)?.into_iter().map(|block| (block, false)));
        Ok(ended)
    }

    fn end_before(&mut self, conn: &mut Conn, seq: i64) -> Result<Vec<(i64, bool)>, Fault> {
        let mut ended = Vec::new();
        while let Some((block, _)) = self.ahead.pop_if(|(_, upto)| *upto < seq) {
            self.keys.sort_unstable();
            let mut found = keys::read(conn, block).unwrap_or_default();
            found.sort_unstable();
            ended.push((block, found == std::mem::take(&mut self.keys)));
        }
        Ok(ended)
    }
}
