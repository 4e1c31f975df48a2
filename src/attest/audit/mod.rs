//! Auditing: a database against its log, and the log against itself and against what others kept of it.
//!
//! Every leaf is composed again from journal, postings and usage records with the salts that are kept, every line, head, seal, tile and root
//! made again and compared with what is stored. It believes nothing that it can recompute; a job can't be told any more only where an entry that
//! erases names it. One thread reads the log beside the entries that it is handed, another makes it again. Bounds: one pass over both, a few
//! pages at a time; the edge of each lot's sub-log in memory.

mod pages;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::mpsc::sync_channel;
use std::thread;

use rustc_hash::FxHashMap;

use super::compose::{Composed, Composer, LineSalting, has_job, provider};
use super::cosigning;
use super::disclosure::{self, Salt};
use super::leaf;
use super::seal::Heads;
use super::signer::{Keeper, Unsigned};
use super::store::{self, HeadRow, LeafRow, LineRow, ProviderRow};
use crate::directory::erasure::Named;
use crate::id::{ChargeId, Id, LotId};
use crate::ledger::Entry;
use crate::ledger::handle::Handles;
use crate::store::{Conn, Fault};
use crate::tlog::hash::{self, Hash};
use crate::tlog::tile::{Edge, Tile, encode};
use crate::tlog::{Checkpoint, Note, Verifier};
use crate::usage::store::ChargeRow;
use pages::{Page, Read, salt};

/// What is checked of a log. Each is a law of the books once there is a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    /// Every entry of the journal is the leaf that was logged of it.
    Leaves,
    /// Each lot's lines are those of its entries, counted, summed and sealed.
    Lots,
    /// Tiles and edge are the tree's.
    Tree,
    /// Checkpoints are signed and are the tree's; what witnesses are said to have signed they did.
    Checkpoints,
    /// What was kept of the log elsewhere is its beginning.
    Kept,
}

/// What is known of a log beside its database.
#[derive(Clone, Default, Debug)]
pub struct Evidence {
    /// The keys it is signed with.
    pub keys: Vec<Verifier>,
    /// What the signer signed last. It may have been stopped before that was kept here.
    pub signer: Option<Checkpoint>,
    /// Checkpoints that were kept elsewhere, and by whom: they were handed out from here.
    pub kept: Vec<(String, Checkpoint)>,
}

impl Evidence {
    /// What a signer knows: its keys, and what it signed last.
    pub fn of(keeper: Option<&Keeper>) -> Result<Evidence, Unsigned> {
        let signer = keeper.map(Keeper::signed).transpose()?;
        Ok(Evidence { keys: keeper.map(Keeper::verifiers).unwrap_or_default(), signer, kept: Vec::new() })
    }

    /// Whether there was a log.
    pub fn signed(&self) -> bool {
        self.signer.iter().chain(self.kept.iter().map(|(_, kept)| kept)).any(|one| one.size > 0)
    }
}

/// How far the log was found to have come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extent {
    /// Leaves.
    pub leaves: u64,
    /// Entries of the journal that are not in it yet.
    pub behind: i64,
}

/// Who is told what was checked: whether it holds, and if not, what was found.
pub type Tell<'t> = dyn FnMut(Check, Result<(), String>) + Send + 't;

/// An entry of the journal, with its usage record if it is a charge that has one.
pub struct Passed {
    /// The entry.
    pub entry: Entry,
    /// The record, as long as it can be told.
    pub charge: Option<ChargeRow>,
}

/// What leaves are made of besides the entries.
pub struct Books {
    composer: Composer,
    head: i64,
}

impl Books {
    /// Reads it, and where the journal ends.
    pub fn read(conn: &mut Conn) -> Result<Books, Fault> {
        let mut composer = Composer::new(Handles::read(conn)?);
        composer.prepare_all(conn)?;
        Ok(Books { composer, head: crate::ledger::store::head(conn)? })
    }
}

/// Pages that are read ahead of what is made again.
const AHEAD: usize = 8;

/// Audits a log against the entries of its books, in their order from the first. `Err` only where it can't be read at all.
pub fn audit(
    books: Books,
    entries: impl Iterator<Item = Passed>,
    log: &mut Conn,
    evidence: &Evidence,
    tell: &mut Tell<'_>,
) -> Result<Extent, Fault> {
    let (size, _) = store::extent(log)?;
    let head = books.head;
    let mut audit = Audit::new(books.composer, log, evidence, tell)?;
    let (pages, coming) = sync_channel::<Page>(AHEAD);
    let (read, audited) = thread::scope(|scope| {
        let auditor = scope.spawn(move || {
            coming.iter().for_each(|page| audit.page(page));
            audit
        });
        let read = pages::read(log, size, entries, |page| pages.send(page).is_ok());
        drop(pages);
        (read, auditor.join())
    });
    read?;
    audit = audited.map_err(|_| Fault::Internal("the audit of the log broke off".into()))?;
    let followed = audit.followed;
    audit.law(Check::Leaves, followed <= head, || format!("the log has {followed} entries and the journal {head}"));
    audit.law(Check::Leaves, size == 0 || audit.sealed, || "the log does not end in a seal".into());
    audit.salts();
    audit.tables(log, size)?;
    audit.checkpoints(log, evidence)?;
    for (table, guarded) in crate::store::guards::standing_of(log, crate::store::guards::LOG)? {
        audit.law(Check::Leaves, guarded, || format!("the guard of table {table} is missing"));
    }
    let unseen: Vec<(u64, Root)> =
        audit.roots.iter().filter(|(at, _)| **at > size).flat_map(|(at, some)| some.iter().map(|one| (*at, one.clone()))).collect();
    for (at, root) in unseen {
        audit.law(root.check, false, || format!("{}: it has {at} leaves, and the log has {size}", root.what));
    }
    Ok(Extent { leaves: size, behind: head - followed })
}

/// A root that the tree must have at some size.
#[derive(Clone, Debug)]
struct Root {
    check: Check,
    what: String,
    root: Hash,
}

struct Audit<'t, 'f> {
    tell: &'t mut Tell<'f>,
    composer: Composer,
    heads: Heads,
    edge: Edge,
    followed: i64,
    /// Whether the last leaf was a seal.
    sealed: bool,
    /// Whether entries can still be composed: what does not add up can't be followed.
    lost: bool,
    /// The keys that the log says it is signed with, as its leaves tell them one after the other.
    keys: Vec<Verifier>,
    providers: HashMap<i64, ProviderRow>,
    /// By size what roots are to be found there.
    roots: BTreeMap<u64, Vec<Root>>,
    /// Charges whose job has no salt, and those that an erasure names, by their stamps: the same.
    unsalted: BTreeSet<i64>,
    erased: BTreeSet<i64>,
    lines: i64,
    jobs: i64,
    tiles: i64,
    changed: i64,
}

impl<'t, 'f> Audit<'t, 'f> {
    fn new(composer: Composer, log: &mut Conn, evidence: &Evidence, tell: &'t mut Tell<'f>) -> Result<Audit<'t, 'f>, Fault> {
        let mut roots: BTreeMap<u64, Vec<Root>> = BTreeMap::new();
        let signed = evidence.signer.iter().map(|signed| ("what the signer signed last".to_owned(), signed));
        let elsewhere = evidence.kept.iter().map(|(who, kept)| (format!("the checkpoint of {who}"), kept));
        for (what, kept) in signed.chain(elsewhere) {
            roots.entry(kept.size).or_default().push(Root { check: Check::Kept, what, root: kept.root });
        }
        for (at, note) in store::checkpoints(log)? {
            let read = Note::parse(&note).and_then(|note| Checkpoint::parse(note.text()));
            if let Ok(read) = read {
                let what = format!("the kept checkpoint of {at} leaves");
                roots.entry(read.size).or_default().push(Root { check: Check::Checkpoints, what, root: read.root });
            }
        }
        let mut audit = Audit {
            tell,
            composer,
            heads: Heads::default(),
            edge: Edge::new(),
            followed: 0,
            sealed: false,
            lost: false,
            keys: Vec::new(),
            providers: store::providers(log)?.into_iter().map(|row| (row.idx, row)).collect(),
            roots,
            unsalted: BTreeSet::new(),
            erased: BTreeSet::new(),
            lines: 0,
            jobs: 0,
            tiles: 0,
            changed: 0,
        };
        audit.roots_at(0);
        Ok(audit)
    }

    fn law(&mut self, check: Check, holds: bool, finding: impl FnOnce() -> String) {
        (self.tell)(check, if holds { Ok(()) } else { Err(finding()) });
    }

    /// Compares the root of the tree so far with those that are known of this size.
    fn roots_at(&mut self, size: u64) {
        let Some(known) = self.roots.get(&size).cloned() else { return };
        for known in known {
            let same = self.edge.root() == known.root;
            self.law(known.check, same, || format!("{}: the tree of {size} leaves has another root", known.what));
        }
    }

    fn page(&mut self, page: Page) {
        let Page { from, to, rows, entries, lines: mut kept, mut heads, tiles } = page;
        let mut entries = entries.into_iter();
        for (place, row) in (from.cast_signed()..).zip(&rows) {
            let whole = rows.len() as u64 == to - from && row.idx == place;
            self.law(Check::Leaves, whole, || format!("leaf {place} is missing"));
            self.tree(row, &tiles);
            self.sealed = false;
            match (row.seq, row.seq.and_then(|_| entries.next())) {
                (None, _) => self.own(row, heads.remove(&row.idx).unwrap_or_default()),
                (Some(_), Some(read)) => self.entry(row, read, Kept(&mut kept)),
                (Some(seq), None) => self.law(Check::Leaves, false, || format!("leaf {}: the journal has no entry {seq}", row.idx)),
            }
        }
        let orphans = kept.len();
        self.law(Check::Lots, orphans == 0, || format!("{orphans} lines belong to none of the leaves {from} to {to}"));
    }

    /// Adds a leaf to the tree, and compares the tiles that it completes.
    fn tree(&mut self, row: &LeafRow, kept: &FxHashMap<Tile, Vec<u8>>) {
        let mut full = Vec::new();
        self.edge.push(hash::leaf(row.leaf.as_bytes()), |tile, hashes| full.push((tile, hashes)));
        for (tile, hashes) in full {
            self.tiles += 1;
            let same = kept.get(&tile).is_some_and(|kept| *kept == encode(&hashes));
            self.law(Check::Tree, same, || format!("{} is not the tree's", tile.path()));
        }
        self.roots_at(self.edge.size());
    }

    /// A leaf of a journal entry: the one that is composed of it.
    fn entry(&mut self, row: &LeafRow, read: Read, mut lines: Kept<'_>) {
        let Read { passed: Passed { entry, charge }, touches, shut, salted } = read;
        self.jobs += i64::from(salted);
        let follows = row.seq == Some(self.followed + 1) && entry.seq == self.followed + 1;
        self.law(Check::Leaves, follows, || format!("leaf {} does not follow entry {}", row.idx, entry.seq - 1));
        self.followed += 1;
        if self.lost {
            return;
        }
        let charge = charge.as_ref().filter(|_| has_job(&entry));
        self.unsalted.extend(charge.filter(|_| !salted).map(|row| row.id));
        self.erased.extend(Named::of(&entry).into_iter().flat_map(|named| named.charges));
        let Composed { leaf, lines: made, .. } = match self.composer.compose_shut(&entry, charge, touches, shut, &mut lines) {
            Ok(composed) => composed,
            Err(fault) => {
                self.lost = true;
                return self.law(Check::Leaves, false, || format!("no leaf can be made from here on: {fault}"));
            }
        };
        self.law(Check::Leaves, leaf == row.leaf, || format!("entry {} is not what was logged of it at {}", entry.seq, row.idx));
        for line in made {
            self.lines += 1;
            let kept = lines.0.remove(&(line.lot, line.n));
            let same = kept.is_some_and(|kept| kept.idx == row.idx && kept.disclosure == line.disclosure);
            self.law(Check::Lots, same, || {
                format!("line {} of {} is not that of entry {}", line.n, LotId::from_stamp(line.lot), entry.seq)
            });
        }
    }

    /// That the jobs that can't be told any more are those that an erasure names.
    fn salts(&mut self) {
        let other: Vec<i64> = self.unsalted.symmetric_difference(&self.erased).copied().collect();
        for stamp in other {
            let (charge, named) = (ChargeId::from_stamp(stamp), self.erased.contains(&stamp));
            let why = if named { "is kept, and an erasure names it" } else { "is missing, and no erasure names it" };
            self.law(Check::Leaves, self.lost, || format!("the salt of the job of {charge} {why}"));
        }
    }

    /// A leaf of the log's own.
    fn own(&mut self, row: &LeafRow, heads: Vec<HeadRow>) {
        if row.idx == 0 || row.leaf.contains("\"t\":\"key\"") {
            let next = self.next_key(row);
            self.law(Check::Leaves, next.is_some(), || format!("leaf {} names no key that follows the one before", row.idx));
            self.keys.extend(next);
        } else if let Some(kept) = self.providers.remove(&row.idx) {
            let salts = salt(row.salt.as_deref()).zip(salt(Some(&kept.secret)));
            let same = salts.is_some_and(|(salt, secret)| row.leaf == provider(Id::from_stamp(kept.provider), &secret, &salt));
            self.law(Check::Leaves, same, || format!("leaf {} does not commit to its provider's secret", row.idx));
            self.composer.meet(kept.provider, salts.map_or([0; 16], |(_, secret)| secret));
        } else {
            self.seal(row, &heads);
        }
    }

    /// The key that a leaf names: the first, or one that follows by the word of both.
    fn next_key(&self, row: &LeafRow) -> Option<Verifier> {
        if row.idx == 0 {
            let named = super::canon::read(&row.leaf)?;
            let key = Verifier::parse(named.get("key")?.as_str()?).ok()?;
            return (leaf::origin(key.name(), &key.text()) == row.leaf).then_some(key);
        }
        leaf::successor(&row.leaf, self.keys.last()?)
    }

    /// A seal: over the heads of all lots as they are now.
    fn seal(&mut self, row: &LeafRow, kept: &[HeadRow]) {
        self.sealed = true;
        let changed = self.composer.take_changed();
        self.changed += kept.len() as i64;
        let same = self.lost || kept.iter().map(|head| head.lot).eq(changed);
        self.law(Check::Lots, same, || format!("the heads at seal {} are not of the lots that moved", row.idx));
        for head in kept {
            self.head(head);
        }
        let seal = self.heads.seal();
        self.law(Check::Lots, seal == row.leaf, || format!("leaf {} is not the seal over the lots' heads", row.idx));
    }

    fn head(&mut self, head: &HeadRow) {
        let read = head.sub_log();
        let same = self.lost || read.as_ref().is_some_and(|read| Some(read) == self.composer.lot(head.lot));
        self.law(Check::Lots, same, || {
            format!("the head of {} at seal {} is not that of its lines", LotId::from_stamp(head.lot), head.seal)
        });
        let handle = self.composer.lot_handle(LotId::from_stamp(head.lot));
        self.heads.set(&handle, &head.head);
    }

    /// That the tables have nothing that was not met on the way.
    fn tables(&mut self, log: &mut Conn, size: u64) -> Result<(), Fault> {
        let [leaves, lines, jobs, tiles, heads] = store::counts(log)?;
        let met = [("leaves", leaves, size.cast_signed()), ("lines", lines, self.lines), ("salts of jobs", jobs, self.jobs)];
        let more = [("tiles", tiles, self.tiles), ("heads", heads, self.changed)];
        for (what, there, met) in met.into_iter().chain(more) {
            let check = if what == "tiles" { Check::Tree } else { Check::Lots };
            self.law(check, there == met || self.lost, || format!("{there} {what} are kept, and {met} belong to the log"));
        }
        let handles = store::lots(log)?;
        let same = handles.iter().all(|(lot, handle)| *handle == self.composer.lot_handle(LotId::from_stamp(*lot)));
        let all = handles.len() == self.composer.lots() || self.lost;
        self.law(Check::Lots, same && all, || "the handles of lots are not those of their lines".into());
        let unused = self.providers.len();
        self.law(Check::Leaves, unused == 0, || format!("{unused} secrets of providers belong to no leaf"));
        let keys: Vec<String> = store::keys(log)?.into_iter().map(|(_, key)| key).collect();
        let same = keys.iter().eq(self.keys.iter().map(Verifier::text).collect::<Vec<_>>().iter());
        self.law(Check::Leaves, same, || "the keys of the log are not those of its leaves".into());
        let kept = store::edge_tiles(log)?;
        let edge: Vec<(i64, Vec<u8>)> =
            self.edge.parts().map(|(tile, hashes): (Tile, &[Hash])| (tile.level.into(), encode(hashes))).collect();
        self.law(Check::Tree, kept == edge, || "the edge of the tree is not the tree's".into());
        Ok(())
    }

    /// That checkpoints are signed by the log's key, are of the sizes they are kept under, that cosignatures are theirs, and that those that
    /// were handed out are there.
    fn checkpoints(&mut self, log: &mut Conn, evidence: &Evidence) -> Result<(), Fault> {
        let known = self.keys.last().is_none_or(|key| evidence.keys.is_empty() || evidence.keys.contains(key));
        self.law(Check::Checkpoints, known, || "the log is signed with another key than is known".into());
        let (mut sizes, mut notes) = (BTreeSet::new(), HashMap::new());
        for (size, note) in store::checkpoints(log)? {
            let note = Note::parse(&note);
            let read = note.clone().and_then(|note| Checkpoint::open(&note, &self.keys));
            let fits = read.as_ref().is_ok_and(|read| read.size == size.unsigned_abs());
            let why = read.err().map_or_else(|| "it is of another size".to_owned(), |why| why.to_string());
            self.law(Check::Checkpoints, fits, || format!("the kept checkpoint of {size} leaves: {why}"));
            sizes.insert(size.unsigned_abs());
            notes.extend(note.ok().map(|note| (size, note)));
        }
        for (size, witness, line) in store::cosignatures(log)? {
            let holds = notes.get(&size).is_some_and(|note| cosigning::holds(note, &witness, &line));
            self.law(Check::Checkpoints, holds, || format!("a cosignature of {size} leaves: it is not that of {witness} for what is kept"));
        }
        for (who, kept) in &evidence.kept {
            let known = kept.size == 0 || sizes.contains(&kept.size);
            self.law(Check::Kept, known, || format!("the checkpoint of {who}: none of {} leaves is kept here", kept.size));
        }
        Ok(())
    }
}

/// The salts of lines as they are kept. One that is missing is told as zeros, which make another line.
struct Kept<'p>(&'p mut FxHashMap<(i64, u64), LineRow>);

impl LineSalting for Kept<'_> {
    fn line(&mut self, lot: i64, n: u64) -> Result<Salt, Fault> {
        // Whether the rest of the text is as it should be tells its comparison with the one that is made with this salt.
        Ok(self.0.get(&(lot, n)).and_then(|row| disclosure::salt_of(&row.disclosure)).unwrap_or_default())
    }
}
