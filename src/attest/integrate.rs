//! Integrating: what the journal has and the log has not becomes leaves, sealed, then signed.
//!
//! Entries are read in their order from the books in batches; each batch with its seal is one transaction of the log, so that a process that
//! is killed leaves nothing half done and another goes on where it was. Neither waits for the books' writer nor makes it wait, but where usage
//! records were erased: such an entry takes the salts of their jobs away in the transaction that logs it; once that is durable, what the
//! books kept for the log is let go, in a short turn among the books' writers, by whoever comes next if this process is killed before.
//! Bounds: a batch of [`BATCH`] entries, and the edge of every lot's sub-log, in memory.

use std::collections::HashMap;
use std::path::Path;

use super::compose::{Composer, Job, LineSalting, Salting, has_job, provider};
use super::disclosure::{Salt, Salts};
use super::keep::{self, Log};
use super::leaf;
use super::seal::Heads;
use super::signer::Keeper;
use super::store::{self, HeadRow, LeafRow, ProviderRow, Staged, whole};
use super::sublog::SubLog;
use crate::directory::erasure::Named;
use crate::id::InstitutionId;
use crate::ledger::handle::Handles;
use crate::ledger::{self, Entry};
use crate::store::{Conn, Database, Fault};
use crate::tlog::hash;
use crate::tlog::tile::{Edge, encode};
use crate::usage;
use crate::usage::erase;
use crate::usage::store::ChargeRow;

/// Entries that one transaction takes.
pub const BATCH: i64 = 5000;
/// The number by which processes that integrate the same books into one PostgreSQL database take turns.
pub(super) const TURN: i64 = 4_775_108;

/// How far a log has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Leaves there are.
    pub size: u64,
    /// Entries of the journal that are in it.
    pub followed: i64,
    /// Entries that are not.
    pub behind: i64,
    /// Entries that this step took.
    pub taken: usize,
}

/// Entries of the journal with the usage records of those that are charges.
pub struct Batch {
    /// In their order.
    pub entries: Vec<Entry>,
    /// By stamp.
    pub charges: HashMap<i64, ChargeRow>,
    /// Sequences of charges whose usage record an entry among them erased.
    pub erased: Vec<i64>,
    /// The journal's end when they were read.
    pub head: i64,
}

/// Reads the entries after `followed`, some at a time, and what their leaves will say.
pub fn read_batch(conn: &mut Conn, followed: i64, limit: i64, composer: &mut Composer) -> Result<Batch, Fault> {
    let head = ledger::store::head(conn)?;
    let to = head.min(followed.saturating_add(limit));
    let entries = if followed < to { ledger::store::entries(conn, followed + 1, to)? } else { Vec::new() };
    let rows = usage::store::charges_between(conn, followed, to, limit)?;
    let charges = erase::with_erasing(conn, rows)?;
    let mut erased = Vec::new();
    for named in entries.iter().filter_map(Named::of) {
        erased.extend(ledger::store::seqs_of(conn, &named.charges)?);
    }
    composer.prepare(conn, &charges)?;
    Ok(Batch { entries, charges: charges.into_iter().map(|row| (row.id, row)).collect(), erased, head })
}

/// Fresh salts for everything.
impl Salting for Salts {
    fn entry(&mut self) -> Result<Salt, Fault> {
        self.fresh()
    }

    fn job(&mut self) -> Result<Job, Fault> {
        self.fresh().map(Job::Salt)
    }
}

impl LineSalting for Salts {
    fn line(&mut self, _: i64, _: u64) -> Result<Salt, Fault> {
        self.fresh()
    }
}

/// What is known of a log between two steps.
struct Memory {
    size: u64,
    followed: i64,
    edge: Edge,
    composer: Composer,
    heads: Heads,
    /// The key that the log says it is signed with; nothing in one that was not begun.
    key: Option<String>,
}

/// Who integrates. It holds its own connections.
pub struct Integrator {
    books: Conn,
    log: Conn,
    keeper: Keeper,
    memory: Option<Memory>,
    salts: Salts,
}

impl Integrator {
    /// For the log of books, by its signer's key.
    pub fn open(books: &Database, log: &Log, keeper: Keeper) -> Result<Integrator, Fault> {
        Ok(Integrator { books: books.connect()?, log: log.connect()?, keeper, memory: None, salts: Salts::default() })
    }

    /// Takes some of what is new, and seals it.
    pub fn step(&mut self) -> Result<Progress, Fault> {
        let mut memory = match self.memory.take() {
            Some(memory) => memory,
            None => {
                self.keeper = self.keeper.again()?;
                let composer = Composer::new(Handles::read(&mut self.books)?);
                self.log.snapshot(|conn| load(conn, &self.keeper, composer))?
            }
        };
        let followed = memory.followed;
        let batch = self.books.snapshot(|conn| read_batch(conn, followed, BATCH, &mut memory.composer))?;
        if followed > batch.head {
            let words = format!("the log has {followed} entries and the journal {}: these books are an older copy", batch.head);
            return Err(Fault::Internal(words));
        }
        let began = (memory.size, memory.followed);
        let taken = batch.entries.len();
        if taken > 0 || memory.key.as_ref() != Some(&self.keeper.verifier().text()) {
            let staged = memory.stage(&batch, &mut self.salts, &self.keeper)?;
            let edge = &memory.edge;
            self.log.alone(TURN, |conn| {
                if store::extent(conn)? != began {
                    // Another process went on meanwhile.
                    return Err(Fault::Undone);
                }
                staged.write(conn, edge)
            })?;
        }
        let progress = Progress { size: memory.size, followed: memory.followed, behind: batch.head - memory.followed, taken };
        self.memory = Some(memory);
        Ok(progress)
    }

    /// Takes what is new, at most so much that signing is not put off for long, and signs.
    pub fn run(&mut self) -> Result<Progress, Fault> {
        // Behind until it is seen otherwise.
        let mut all = Progress { behind: 1, ..Progress::default() };
        for _ in 0..STEPS {
            let step = match self.step() {
                // Another process went on meanwhile: what it left is taken from where it stopped.
                Err(Fault::Undone) => continue,
                step => step?,
            };
            all = Progress { taken: all.taken + step.taken, ..step };
            if step.behind == 0 {
                break;
            }
        }
        self.let_go()?;
        self.sign()?;
        Ok(all)
    }

    /// Lets the books let go of what they kept of erased records until the log had the entries that erased them.
    fn let_go(&mut self) -> Result<(), Fault> {
        let (_, followed) = self.log.snapshot(store::extent)?;
        if !erase::store::is_waiting(&mut self.books, followed)? {
            return Ok(());
        }
        self.books.alone(TURN, |conn| erase::store::let_go(conn, followed))
    }

    /// Signs the log as it is, unless that was done; the size that is signed.
    pub fn sign(&mut self) -> Result<u64, Fault> {
        let (size, last) = self.log.snapshot(|conn| Ok((store::extent(conn)?.0, store::last_checkpoint(conn)?)))?;
        if size == 0 || last.is_some_and(|(signed, _)| signed.unsigned_abs() == size) {
            return Ok(size);
        }
        let (root, keeper) = (keep::root(&mut self.log, size)?, &self.keeper);
        let conn = &mut self.log;
        let note = keeper.sign(size, root, |from| Ok(keep::consistency(conn, from, size)?.unwrap_or_default()))?;
        self.log.alone(TURN, |conn| match store::checkpoint(conn, size)? {
            Some(_) => Ok(()),
            None => store::insert_checkpoint(conn, size, &note),
        })?;
        Ok(size)
    }
}

/// The key that keeps a log, from its folder: made there now if the log has no leaves yet. `None` where another folder has it.
pub fn keeper(log: &Log, folder: &Path, name: Option<&str>) -> Result<Option<Keeper>, Fault> {
    match Keeper::find(folder)? {
        None if log.read(store::extent)?.0 == 0 => Ok(Some(Keeper::create(folder, name)?)),
        found => Ok(found),
    }
}

/// Steps that one run takes at most before it signs.
const STEPS: usize = 6;

/// Reads a log as it stands. Refuses one that is not what was signed: nothing may be built on it.
fn load(conn: &mut Conn, keeper: &Keeper, mut composer: Composer) -> Result<Memory, Fault> {
    let (size, followed) = store::extent(conn)?;
    let signed = keeper.signed()?;
    if size < signed.size {
        return Err(super::signer::Unsigned::Smaller { size, signed: signed.size }.into());
    }
    if signed.size > 0 && keep::root(conn, signed.size)? != signed.root {
        return Err(super::signer::Unsigned::Fork { signed: signed.size }.into());
    }
    let key = store::keys(conn)?.pop().map(|(_, key)| key);
    if key.as_ref().is_some_and(|key| *key != keeper.verifier().text() && keeper.succeeds(key).is_none()) {
        return Err(Fault::Internal("the log is signed with another key than the one in this data folder".into()));
    }
    let edge = store::edge(conn, size)?;
    for row in store::providers(conn)? {
        let secret = row.secret.try_into().map_err(|_| Fault::Internal("a provider's secret is cut".into()))?;
        composer.meet(row.provider, secret);
    }
    let mut heads = Heads::default();
    for row in store::heads_at(conn, size)? {
        let log = row.sub_log().ok_or_else(|| Fault::Internal("a lot's head in the log is broken".into()))?;
        heads.set(&log.handle, &row.head);
        composer.resume(row.lot, log);
    }
    Ok(Memory { size, followed, edge, composer, heads, key })
}

impl HeadRow {
    /// The sub-log it speaks of; `None` where head and edge do not belong together.
    pub fn sub_log(&self) -> Option<SubLog> {
        let (edge, rest) = self.edge.as_chunks::<32>();
        rest.is_empty().then(|| SubLog::read(&self.head, edge.to_vec()).ok()).flatten()
    }
}

impl Memory {
    /// Makes the leaves of a batch and the seal after them; they are in memory as if they were written.
    fn stage(&mut self, batch: &Batch, salts: &mut Salts, keeper: &Keeper) -> Result<Staged, Fault> {
        let mut staged = Staged::default();
        self.key(&mut staged, keeper)?;
        for entry in &batch.entries {
            let charge = batch.charges.get(&entry.recorded_at.micros()).filter(|_| has_job(entry));
            if has_job(entry) && charge.is_none() {
                return Err(Fault::Internal(format!("entry {} is a charge without a usage record", entry.seq)));
            }
            if let Some(row) = charge.filter(|row| !self.composer.knows(row.provider)) {
                self.provider(&mut staged, row.provider(), salts)?;
            }
            let made = self.composer.compose(entry, charge, salts)?;
            let idx = whole(self.size)?;
            self.leaf(&mut staged, LeafRow { idx, seq: Some(entry.seq), leaf: made.leaf, salt: Some(made.entry.to_vec()) }, made.job)?;
            made.lines.into_iter().try_for_each(|line| staged.line(idx, line))?;
            self.followed = entry.seq;
        }
        staged.unsalt(&batch.erased);
        self.seal(&mut staged, salts)?;
        Ok(staged)
    }

    fn leaf(&mut self, staged: &mut Staged, row: LeafRow, job: Option<Salt>) -> Result<(), Fault> {
        let mut full = Vec::new();
        self.edge.push(hash::leaf(row.leaf.as_bytes()), |tile, hashes| full.push((tile, hashes)));
        full.iter().try_for_each(|(tile, hashes)| staged.tile(*tile, hashes))?;
        staged.leaf(row, job);
        self.size += 1;
        Ok(())
    }

    /// The first leaf, or the one by which a new key follows, where the log does not say yet what it is signed with.
    fn key(&mut self, staged: &mut Staged, keeper: &Keeper) -> Result<(), Fault> {
        let new = keeper.verifier().text();
        let leaf = match &self.key {
            Some(key) if *key == new => return Ok(()),
            Some(key) => keeper.succeeds(key).ok_or_else(|| Fault::Internal("the log's key before is not kept".into()))?,
            None => leaf::origin(keeper.origin(), &new),
        };
        let idx = whole(self.size)?;
        staged.key(idx, new.clone());
        self.key = Some(new);
        self.leaf(staged, LeafRow { idx, seq: None, leaf, salt: None }, None)
    }

    fn provider(&mut self, staged: &mut Staged, id: InstitutionId, salts: &mut Salts) -> Result<(), Fault> {
        let (secret, salt) = (salts.fresh()?, salts.fresh()?);
        let idx = whole(self.size)?;
        self.leaf(staged, LeafRow { idx, seq: None, leaf: provider(id, &secret, &salt), salt: Some(salt.to_vec()) }, None)?;
        staged.provider(ProviderRow { provider: id.stamp(), idx, secret: secret.to_vec() });
        self.composer.meet(id.stamp(), secret);
        Ok(())
    }

    fn seal(&mut self, staged: &mut Staged, salts: &mut Salts) -> Result<(), Fault> {
        let seal = whole(self.size)?;
        for lot in self.composer.take_changed() {
            let Some(log) = self.composer.lot(lot) else { continue };
            let head = log.head(&salts.fresh()?);
            let new = (!self.heads.knows(&log.handle)).then(|| log.handle.clone());
            self.heads.set(&log.handle, &head);
            staged.head(HeadRow { lot, seal, head, edge: encode(log.tree.parts().1) }, new);
        }
        let leaf = self.heads.seal();
        self.leaf(staged, LeafRow { idx: seal, seq: None, leaf, salt: None }, None)
    }
}
