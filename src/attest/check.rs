//! Checking a bundle: pure and offline, trusting nothing but the keys and the checkpoint that the reader brings.
//!
//! Each check has a reason of its own by which it refuses. What holds is told; what can't be told from a bundle, as usage that was never
//! logged, is no matter of it. Bounds: time and memory in proportion to the bundle.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use super::bundle::{Before, Bundle, FORMAT, LinePart, LotPart};
use super::canon::read_whole;
use super::disclosure;
use super::leaf;
use super::line;
use super::sublog::{SubLog, Told};
use crate::tlog::cover;
use crate::tlog::hash::{self, Hash, from_base64};
use crate::tlog::policy::Judged;
use crate::tlog::proof;
use crate::tlog::{Checkpoint, Note, Policy, Verifier};

/// Why a bundle is refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Reason {
    /// It can't be read.
    Malformed,
    /// Something in it is not written in the one way there is.
    NonCanonical,
    /// No known key signed the checkpoint, or a signature does not verify.
    Signature,
    /// Not enough of the witnesses saw the checkpoint.
    Quorum,
    /// The checkpoint is older than the one that is kept.
    Rollback,
    /// The checkpoint does not continue the one that is kept or the previous.
    Fork,
    /// The statement continues another checkpoint than the one that is kept.
    Stale,
    /// Something is not in the tree that it is said to be in.
    Inclusion,
    /// A line is missing, doubled, out of order, or none of those that were sealed.
    Gap,
    /// Amounts do not add up.
    Balance,
    /// The same usage or the same line stands twice.
    DuplicateUsage,
}

impl Reason {
    /// The reason's name.
    pub const fn word(self) -> &'static str {
        match self {
            Reason::Malformed => "malformed",
            Reason::NonCanonical => "non-canonical",
            Reason::Signature => "signature",
            Reason::Quorum => "quorum",
            Reason::Rollback => "rollback",
            Reason::Fork => "fork",
            Reason::Stale => "stale",
            Reason::Inclusion => "inclusion",
            Reason::Gap => "gap",
            Reason::Balance => "balance",
            Reason::DuplicateUsage => "duplicate usage",
        }
    }
}

/// A bundle that is refused: the reason, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// The reason.
    pub reason: Reason,
    /// Where, in words.
    pub detail: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.word(), self.detail)
    }
}

pub(super) fn refuse<T>(reason: Reason, detail: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { reason, detail: detail.into() })
}

/// What the reader trusts.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Logs and witnesses that are known.
    pub policy: Policy,
    /// Further keys of logs.
    pub keys: Vec<Verifier>,
}

/// What the reader keeps of a log between two statements.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// By handle the lots that were told, with how many lines each had and the root over them.
    pub lots: BTreeMap<String, (u64, Hash)>,
}

/// What holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// The checkpoint with its witnesses.
    pub judged: Judged,
    /// Lines that were checked.
    pub lines: u64,
    /// The lots as they stand now.
    pub lots: Vec<SubLog>,
}

impl Held {
    /// What to keep until the next statement.
    pub fn keep(&self) -> Kept {
        let lots = self.lots.iter().map(|lot| (lot.handle.clone(), (lot.tree.size(), lot.tree.root())));
        Kept { checkpoint: self.judged.checkpoint.clone(), lots: lots.collect() }
    }
}

/// Checks a bundle against what is trusted and kept.
pub fn check(text: &str, trust: &Trust, kept: Option<&Kept>) -> Result<Held, Refused> {
    let bundle: Bundle = match serde_json::from_str(text) {
        Ok(bundle) => bundle,
        Err(why) => return refuse(Reason::Malformed, format!("the bundle can't be read: {why}")),
    };
    if bundle.format != FORMAT {
        return refuse(Reason::Malformed, format!("the format {:?} is not known here", bundle.format));
    }
    let judged = judge(&bundle.checkpoint, &bundle.origin, trust)?;
    if !judged.quorum {
        return refuse(Reason::Quorum, format!("{} witnesses cosigned the checkpoint, not enough by the policy", judged.witnesses.len()));
    }
    let previous = bundle.previous.as_deref().map(|note| judge(note, &bundle.origin, trust)).transpose()?.map(|judged| judged.checkpoint);
    continues(&bundle, &judged.checkpoint, previous.as_ref(), kept)?;
    let seals = seals(&bundle, &judged.checkpoint, previous.as_ref())?;
    let mut walk = Walk { seals, since: previous.map_or(0, |previous| previous.size), ..Walk::new(&judged.checkpoint, kept) };
    let mut lots = Vec::new();
    for lot in &bundle.lots {
        lots.push(walk.lot(lot)?);
    }
    let told: HashSet<&str> = lots.iter().map(|lot| lot.handle.as_str()).collect();
    if told.len() < lots.len() {
        return refuse(Reason::DuplicateUsage, "a lot is told twice");
    }
    if let Some(missing) = kept.and_then(|kept| kept.lots.keys().find(|lot| !told.contains(lot.as_str()))) {
        return refuse(Reason::Gap, format!("the lot {missing} was told before and is not told now"));
    }
    let lines = walk.lines;
    walk.leaves(&bundle, &judged.checkpoint)?;
    Ok(Held { lines, judged, lots })
}

fn judge(note: &str, origin: &str, trust: &Trust) -> Result<Judged, Refused> {
    let Ok(note) = Note::parse(note) else { return refuse(Reason::Malformed, "a checkpoint can't be read") };
    let judged = match trust.policy.judge(&note, &trust.keys) {
        Ok(judged) => judged,
        Err(why) => return refuse(Reason::Signature, format!("a checkpoint: {why}")),
    };
    match judged.checkpoint.origin == origin {
        true => Ok(judged),
        false => refuse(Reason::Signature, format!("a checkpoint is of {:?}, not of {origin:?}", judged.checkpoint.origin)),
    }
}

/// Reads hashes of a proof.
fn hashes(texts: &[String]) -> Result<Vec<Hash>, Refused> {
    let read: Option<Vec<Hash>> = texts.iter().map(|text| from_base64(text)).collect();
    read.ok_or(()).or_else(|()| refuse(Reason::Malformed, "a proof has something that is no hash"))
}

fn whole(text: &str) -> Result<u64, Refused> {
    read_whole(text).ok_or(()).or_else(|()| refuse(Reason::NonCanonical, format!("{text:?} is no whole number")))
}

/// That the checkpoint continues what is kept, and the previous.
fn continues(bundle: &Bundle, now: &Checkpoint, previous: Option<&Checkpoint>, kept: Option<&Kept>) -> Result<(), Refused> {
    if let Some(Kept { checkpoint: kept, .. }) = kept {
        if kept.origin != now.origin {
            return refuse(Reason::Fork, format!("the checkpoint that is kept is of {:?}, not of {:?}", kept.origin, now.origin));
        }
        if now.size < kept.size {
            return refuse(Reason::Rollback, format!("the log had {} leaves and has {} now", kept.size, now.size));
        }
        match [Some(now), previous].into_iter().flatten().find(|one| one.size == kept.size) {
            Some(same) if same.root == kept.root => {}
            Some(_) => return refuse(Reason::Fork, format!("the tree of {} leaves has another root than the one that is kept", kept.size)),
            None => return refuse(Reason::Stale, format!("the statement does not continue the {} leaves that are kept", kept.size)),
        }
    }
    let path = hashes(&bundle.consistency)?;
    let holds = match previous {
        None => path.is_empty(),
        Some(previous) => proof::extends(previous.size, &previous.root, now.size, &now.root, &path),
    };
    if holds { Ok(()) } else { refuse(Reason::Fork, "the checkpoint does not continue the previous") }
}

/// A seal's root over heads, and how many there are.
type Seal = (Hash, u64);

/// Reads the seals: each is the last leaf of its checkpoint. That of the previous is proved here, the other with the lines.
fn seals(bundle: &Bundle, now: &Checkpoint, previous: Option<&Checkpoint>) -> Result<(Seal, Option<Seal>), Refused> {
    let checkpoints: Vec<&Checkpoint> = [Some(now), previous].into_iter().flatten().collect();
    if bundle.seals.len() != checkpoints.len() {
        return refuse(Reason::Malformed, "there is not one seal for each checkpoint");
    }
    let mut read = Vec::new();
    for (seal, checkpoint) in bundle.seals.iter().zip(&checkpoints) {
        if whole(&seal.index)?.checked_add(1) != Some(checkpoint.size) {
            return refuse(Reason::Inclusion, "a seal is not the last leaf of its checkpoint");
        }
        let found = leaf::read_seal(&seal.leaf);
        read.push(found.ok_or(()).or_else(|()| refuse(Reason::NonCanonical, "a seal is not in its form"))?);
    }
    let path = hashes(&bundle.previous_cover)?;
    let proved = match (previous, bundle.seals.get(1)) {
        (Some(previous), Some(seal)) => {
            let leaf = (previous.size.saturating_sub(1), hash::leaf(seal.leaf.as_bytes()));
            cover::includes(&[leaf], previous.size, &previous.root, &path)
        }
        _ => path.is_empty(),
    };
    match (proved, read.as_slice()) {
        (true, [now, rest @ ..]) => Ok((*now, rest.first().copied())),
        _ => refuse(Reason::Inclusion, "the previous seal is not in the previous checkpoint's tree"),
    }
}

/// What was met on the way through the lots.
struct Walk<'b> {
    size: u64,
    since: u64,
    seals: (Seal, Option<Seal>),
    kept: Option<&'b Kept>,
    /// The leaves by place, each with its hash.
    leaves: BTreeMap<u64, Hash>,
    handles: HashSet<String>,
    /// By nullifier the leaf that has it.
    nullifiers: HashMap<String, u64>,
    lines: u64,
}

impl<'b> Walk<'b> {
    fn new(now: &Checkpoint, kept: Option<&'b Kept>) -> Walk<'b> {
        let seals = ((hash::empty(), 0), None);
        let (leaves, handles, nullifiers) = (BTreeMap::new(), HashSet::new(), HashMap::new());
        Walk { size: now.size, since: 0, seals, kept, leaves, handles, nullifiers, lines: 0 }
    }

    /// Goes through a lot's lines, from the head before or from nothing, to the head that is sealed.
    fn lot(&mut self, part: &LotPart) -> Result<SubLog, Refused> {
        let Some(told) = Told::read(&part.head) else { return refuse(Reason::NonCanonical, "a lot's head is not in its form") };
        in_seal(&part.head, &part.place, &part.path, self.seals.0)?;
        let name = told.handle().to_owned();
        let mut log = match &part.before {
            Some(before) => self.before(before, &told)?,
            None => told.begin(),
        };
        let known = self.kept.and_then(|kept| kept.lots.get(&name)).copied();
        if known.is_some_and(|(count, _)| count < log.tree.size()) {
            return refuse(Reason::Gap, format!("lot {name}: lines were left out since those that were told before"));
        }
        let mut last = part.before.as_ref().and_then(|_| self.since.checked_sub(1));
        for line in &part.lines {
            passes(&log, known)?;
            last = Some(self.line(&mut log, line, last)?);
        }
        passes(&log, known)?;
        let shorter = known.is_some_and(|(count, _)| count > log.tree.size());
        if shorter || (told.count, told.root) != (log.tree.size(), log.tree.root()) {
            return refuse(Reason::Gap, format!("lot {name}: the lines are not those that were sealed"));
        }
        match told.sums_to(&log) {
            true => Ok(log),
            false => refuse(Reason::Balance, format!("lot {name}: what came in, went out or is left is not what was sealed")),
        }
    }

    /// The head before: in the previous seal, with its own edge, of the same lot.
    fn before(&self, before: &Before, told: &Told) -> Result<SubLog, Refused> {
        let Some(seal) = self.seals.1 else { return refuse(Reason::Malformed, "a lot continues, and the statement does not") };
        in_seal(&before.head, &before.place, &before.path, seal)?;
        let Ok(log) = SubLog::read(&before.head, hashes(&before.frontier)?) else {
            return refuse(Reason::Gap, format!("lot {}: the lines before are not those of the head before", told.handle()));
        };
        match told.is_of(&log) {
            true => Ok(log),
            false => refuse(Reason::Gap, format!("lot {}: the head before is another lot's", told.handle())),
        }
    }

    /// Takes a line: in its leaf, next in its lot, in balance, and seen for the first time. The leaf's place.
    fn line(&mut self, log: &mut SubLog, part: &LinePart, last: Option<u64>) -> Result<u64, Refused> {
        let index = whole(&part.index)?;
        let at = |what: &str| format!("lot {}, line {}: {what}", log.handle, log.tree.size() + 1);
        let Some(leaf) = leaf::read_entry(&part.leaf) else {
            return refuse(Reason::NonCanonical, at("its leaf is not in the form of leaves"));
        };
        let opened = disclosure::open(&part.disclosure, line::NAME).and_then(|(_, value)| line::read(&value));
        let Some(line) = opened else { return refuse(Reason::NonCanonical, at("it is not in the form of lines")) };
        let digest = disclosure::digest(&part.disclosure);
        if !leaf.lines.contains(&digest) || leaf.kind != line.class {
            return refuse(Reason::Inclusion, at("its leaf does not hold it"));
        }
        if index >= self.size || last.is_some_and(|last| index <= last) {
            return refuse(Reason::Gap, at("its leaf does not come after the one before"));
        }
        if line.lot != log.handle || line.n != log.tree.size() + 1 {
            return refuse(Reason::Gap, at(&format!("line {} of {} stands here", line.n, line.lot)));
        }
        if (line.unit.as_str(), line.scale) != (log.unit.as_str(), log.scale) {
            return refuse(Reason::Balance, at("it counts something else"));
        }
        let wrong = at("the balance is not that before and the amount, or less than nothing");
        let twice = at("the same usage or line was told before");
        let unnamed = at("a charge without a nullifier");
        if log.take(line.amount).map(|(_, balance)| balance) != Ok(line.balance) {
            return refuse(Reason::Balance, wrong);
        }
        if (line.class == "charge") != leaf.nul.is_some() {
            return refuse(Reason::NonCanonical, unnamed);
        }
        let used = leaf.nul.is_some_and(|nul| *self.nullifiers.entry(nul).or_insert(index) != index);
        if used || !self.handles.insert(line.handle) {
            return refuse(Reason::DuplicateUsage, twice);
        }
        log.add(&digest);
        self.lines += 1;
        let hash = hash::leaf(part.leaf.as_bytes());
        match *self.leaves.entry(index).or_insert(hash) == hash {
            true => Ok(index),
            false => refuse(Reason::Inclusion, format!("two leaves are said to stand at {index}")),
        }
    }

    /// That the seal and all leaves that were met are in the checkpoint's tree.
    fn leaves(mut self, bundle: &Bundle, now: &Checkpoint) -> Result<(), Refused> {
        for seal in bundle.seals.iter().take(1) {
            self.leaves.insert(whole(&seal.index)?, hash::leaf(seal.leaf.as_bytes()));
        }
        let leaves: Vec<(u64, Hash)> = self.leaves.iter().map(|(index, hash)| (*index, *hash)).collect();
        match cover::includes(&leaves, now.size, &now.root, &hashes(&bundle.cover)?) {
            true => Ok(()),
            false => refuse(Reason::Inclusion, "the seal and the lines' leaves are not in the checkpoint's tree"),
        }
    }
}

/// Where a lot that was told before passes its old length, it must be what it was.
fn passes(log: &SubLog, known: Option<(u64, Hash)>) -> Result<(), Refused> {
    match known {
        Some((count, root)) if count == log.tree.size() && root != log.tree.root() => {
            refuse(Reason::Fork, format!("lot {}: the first {count} lines are not those that were told before", log.handle))
        }
        _ => Ok(()),
    }
}

/// That a head is among those of a seal.
fn in_seal(head: &str, place: &str, path: &[String], (root, lots): Seal) -> Result<(), Refused> {
    match proof::includes(whole(place)?, &hash::leaf(head.as_bytes()), lots, &root, &hashes(path)?) {
        true => Ok(()),
        false => refuse(Reason::Inclusion, "a lot's head is not among those of its seal"),
    }
}

#[cfg(test)]
mod tests;
