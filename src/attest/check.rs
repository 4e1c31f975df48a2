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

/// Refuses unless something holds. Everything that is checked is checked by this, so that each can be left out in a test, which must fail.
#[track_caller]
fn need(holds: bool, reason: Reason, detail: impl FnOnce() -> String) -> Result<(), Refused> {
    #[cfg(test)]
    let holds = tests::left_out::is(std::panic::Location::caller().line()) || holds;
    if holds { Ok(()) } else { refuse(reason, detail()) }
}

/// What was read, or a refusal where it can't be.
fn found<T>(read: Option<T>, reason: Reason, detail: impl FnOnce() -> String) -> Result<T, Refused> {
    read.map_or_else(|| refuse(reason, detail()), Ok)
}

/// What the reader trusts.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Logs and witnesses that are known.
    pub policy: Policy,
    /// Further keys of logs.
    pub keys: Vec<Verifier>,
}

impl Trust {
    /// All keys of logs.
    pub fn logs(&self) -> Vec<Verifier> {
        self.policy.logs.iter().map(|log| &log.key).chain(&self.keys).cloned().collect()
    }
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
    let unread = |why: serde_json::Error| Refused { reason: Reason::Malformed, detail: format!("the bundle can't be read: {why}") };
    let bundle: Bundle = serde_json::from_str(text).map_err(unread)?;
    need(bundle.format == FORMAT, Reason::Malformed, || format!("the format {:?} is not known here", bundle.format))?;
    let judged = judge(&bundle.checkpoint, &bundle.origin, trust)?;
    let seen = judged.witnesses.len();
    need(judged.quorum, Reason::Quorum, || format!("{seen} witnesses cosigned the checkpoint, not enough by the policy"))?;
    let previous = bundle.previous.as_deref().map(|note| judge(note, &bundle.origin, trust)).transpose()?.map(|judged| judged.checkpoint);
    if let Some(kept) = kept {
        continues_kept(&judged.checkpoint, previous.as_ref(), &kept.checkpoint)?;
    }
    continues(&bundle, &judged.checkpoint, previous.as_ref())?;
    let seals = seals(&bundle, &judged.checkpoint, previous.as_ref())?;
    let mut walk = Walk { seals, since: previous.map_or(0, |previous| previous.size), ..Walk::new(&judged.checkpoint, kept) };
    let mut lots = Vec::new();
    for lot in &bundle.lots {
        lots.push(walk.lot(lot)?);
    }
    let told: HashSet<&str> = lots.iter().map(|lot| lot.handle.as_str()).collect();
    need(told.len() == lots.len(), Reason::DuplicateUsage, || "a lot is told twice".into())?;
    let missing = kept.and_then(|kept| kept.lots.keys().find(|lot| !told.contains(lot.as_str())));
    need(missing.is_none(), Reason::Gap, || format!("the lot {missing:?} was told before and is not told now"))?;
    let lines = walk.lines;
    walk.leaves(&bundle, &judged.checkpoint)?;
    Ok(Held { lines, judged, lots })
}

fn judge(note: &str, origin: &str, trust: &Trust) -> Result<Judged, Refused> {
    let note = found(Note::parse(note).ok(), Reason::Malformed, || "a checkpoint can't be read".into())?;
    let unsigned = |why| Refused { reason: Reason::Signature, detail: format!("a checkpoint: {why}") };
    let judged = trust.policy.judge(&note, &trust.keys).map_err(unsigned)?;
    let of = &judged.checkpoint.origin;
    need(of == origin, Reason::Signature, || format!("a checkpoint is of {of:?}, not of {origin:?}"))?;
    Ok(judged)
}

/// Reads hashes of a proof.
fn hashes(texts: &[String]) -> Result<Vec<Hash>, Refused> {
    let read = texts.iter().map(|text| from_base64(text)).collect();
    found(read, Reason::Malformed, || "a proof has something that is no hash".into())
}

fn whole(text: &str) -> Result<u64, Refused> {
    found(read_whole(text), Reason::NonCanonical, || format!("{text:?} is no whole number"))
}

/// That the checkpoint continues what is kept: as it is, or as the previous.
fn continues_kept(now: &Checkpoint, previous: Option<&Checkpoint>, kept: &Checkpoint) -> Result<(), Refused> {
    need(kept.origin == now.origin, Reason::Fork, || {
        format!("the checkpoint that is kept is of {:?}, not of {:?}", kept.origin, now.origin)
    })?;
    need(now.size >= kept.size, Reason::Rollback, || format!("the log had {} leaves and has {} now", kept.size, now.size))?;
    let same = [Some(now), previous].into_iter().flatten().find(|one| one.size == kept.size);
    need(same.is_some(), Reason::Stale, || format!("the statement does not continue the {} leaves that are kept", kept.size))?;
    let forked = same.is_some_and(|same| same.root != kept.root);
    need(!forked, Reason::Fork, || format!("the tree of {} leaves has another root than the one that is kept", kept.size))
}

/// That the checkpoint continues the previous.
fn continues(bundle: &Bundle, now: &Checkpoint, previous: Option<&Checkpoint>) -> Result<(), Refused> {
    let path = hashes(&bundle.consistency)?;
    let holds = match previous {
        None => path.is_empty(),
        Some(previous) => proof::extends(previous.size, &previous.root, now.size, &now.root, &path),
    };
    need(holds, Reason::Fork, || "the checkpoint does not continue the previous".into())
}

/// A seal's root over heads, and how many there are.
type Seal = (Hash, u64);

/// Reads the seals: each is the last leaf of its checkpoint. That of the previous is proved here, the other with the lines.
fn seals(bundle: &Bundle, now: &Checkpoint, previous: Option<&Checkpoint>) -> Result<(Seal, Option<Seal>), Refused> {
    let checkpoints: Vec<&Checkpoint> = [Some(now), previous].into_iter().flatten().collect();
    let each = || "there is not one seal for each checkpoint".to_owned();
    need(bundle.seals.len() == checkpoints.len(), Reason::Malformed, each)?;
    let mut read = Vec::new();
    for (at, checkpoint) in checkpoints.iter().enumerate() {
        let seal = found(bundle.seals.get(at), Reason::Malformed, each)?;
        let last = whole(&seal.index)?.checked_add(1) == Some(checkpoint.size);
        need(last, Reason::Inclusion, || "a seal is not the last leaf of its checkpoint".into())?;
        read.push(found(leaf::read_seal(&seal.leaf), Reason::NonCanonical, || "a seal is not in its form".into())?);
    }
    let path = hashes(&bundle.previous_cover)?;
    let proved = match (previous, bundle.seals.get(1)) {
        (Some(previous), Some(seal)) => {
            let leaf = (previous.size.saturating_sub(1), hash::leaf(seal.leaf.as_bytes()));
            cover::includes(&[leaf], previous.size, &previous.root, &path)
        }
        _ => path.is_empty(),
    };
    need(proved, Reason::Inclusion, || "the previous seal is not in the previous checkpoint's tree".into())?;
    let mut read = read.into_iter();
    Ok((found(read.next(), Reason::Malformed, each)?, read.next()))
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
        let told = found(Told::read(&part.head), Reason::NonCanonical, || "a lot's head is not in its form".into())?;
        in_seal(&part.head, &part.place, &part.path, self.seals.0)?;
        let name = told.handle().to_owned();
        let mut log = match &part.before {
            Some(before) => self.before(before, &told)?,
            None => told.begin(),
        };
        let known = self.kept.and_then(|kept| kept.lots.get(&name)).copied();
        let began = known.is_none_or(|(count, _)| log.tree.size() <= count);
        need(began, Reason::Gap, || format!("lot {name}: lines were left out since those that were told before"))?;
        let mut last = part.before.as_ref().and_then(|_| self.since.checked_sub(1));
        for line in &part.lines {
            passes(&log, known)?;
            last = Some(self.line(&mut log, line, last)?);
        }
        passes(&log, known)?;
        let reached = known.is_none_or(|(count, _)| log.tree.size() >= count);
        need(reached, Reason::Gap, || format!("lot {name}: there were more lines when it was told before"))?;
        let sealed = (told.count, told.root) == (log.tree.size(), log.tree.root());
        need(sealed, Reason::Gap, || format!("lot {name}: the lines are not those that were sealed"))?;
        let sums = told.sums_to(&log);
        need(sums, Reason::Balance, || format!("lot {name}: what came in, went out or is left is not what was sealed"))?;
        Ok(log)
    }

    /// The head before: in the previous seal, with its own edge, of the same lot.
    fn before(&self, before: &Before, told: &Told) -> Result<SubLog, Refused> {
        let seal = found(self.seals.1, Reason::Malformed, || "a lot continues, and the statement does not".into())?;
        in_seal(&before.head, &before.place, &before.path, seal)?;
        let read = SubLog::read(&before.head, hashes(&before.frontier)?).ok();
        let log = found(read, Reason::Gap, || format!("lot {}: the lines before are not those of the head before", told.handle()))?;
        need(told.is_of(&log), Reason::Gap, || format!("lot {}: the head before is another lot's", told.handle()))?;
        Ok(log)
    }

    /// Takes a line: in its leaf, next in its lot, in balance, and seen for the first time. The leaf's place.
    fn line(&mut self, log: &mut SubLog, part: &LinePart, last: Option<u64>) -> Result<u64, Refused> {
        let index = whole(&part.index)?;
        let name = format!("lot {}, line {}", log.handle, log.tree.size() + 1);
        let at = |what: &str| format!("{name}: {what}");
        let leaf = found(leaf::read_entry(&part.leaf), Reason::NonCanonical, || at("its leaf is not in the form of leaves"))?;
        let opened = disclosure::open(&part.disclosure, line::NAME).and_then(|(_, value)| line::read(&value));
        let line = found(opened, Reason::NonCanonical, || at("it is not in the form of lines"))?;
        let digest = disclosure::digest(&part.disclosure);
        need(leaf.lines.contains(&digest), Reason::Inclusion, || at("its leaf does not hold it"))?;
        need(leaf.kind == line.class, Reason::Inclusion, || at("its leaf is of another kind"))?;
        need(index < self.size, Reason::Gap, || at("its leaf is beyond the log"))?;
        need(last.is_none_or(|last| last < index), Reason::Gap, || at("its leaf does not come after the one before"))?;
        need(line.lot == log.handle, Reason::Gap, || at(&format!("a line of {} stands here", line.lot)))?;
        need(line.n == log.tree.size() + 1, Reason::Gap, || at(&format!("line {} stands here", line.n)))?;
        let same = (line.unit.as_str(), line.scale) == (log.unit.as_str(), log.scale);
        need(same, Reason::Balance, || at("it counts something else"))?;
        let left = found(log.take(line.amount).ok(), Reason::Balance, || at("it leaves less than nothing"))?.1;
        need(left == line.balance, Reason::Balance, || at("the balance is not that before and the amount"))?;
        need((line.class == "charge") == leaf.nul.is_some(), Reason::NonCanonical, || {
            at("a charge has a nullifier, and nothing else has")
        })?;
        let first = leaf.nul.is_none_or(|nul| *self.nullifiers.entry(nul).or_insert(index) == index);
        need(first, Reason::DuplicateUsage, || at("the same usage was told before"))?;
        need(self.handles.insert(line.handle), Reason::DuplicateUsage, || at("the same line was told before"))?;
        log.add(&digest);
        self.lines += 1;
        let hash = hash::leaf(part.leaf.as_bytes());
        let one = *self.leaves.entry(index).or_insert(hash) == hash;
        need(one, Reason::Inclusion, || format!("two leaves are said to stand at {index}"))?;
        Ok(index)
    }

    /// That the seal and all leaves that were met are in the checkpoint's tree.
    fn leaves(mut self, bundle: &Bundle, now: &Checkpoint) -> Result<(), Refused> {
        for seal in bundle.seals.iter().take(1) {
            self.leaves.insert(whole(&seal.index)?, hash::leaf(seal.leaf.as_bytes()));
        }
        let leaves: Vec<(u64, Hash)> = self.leaves.iter().map(|(index, hash)| (*index, *hash)).collect();
        let included = cover::includes(&leaves, now.size, &now.root, &hashes(&bundle.cover)?);
        need(included, Reason::Inclusion, || "the seal and the lines' leaves are not in the checkpoint's tree".into())
    }
}

/// Where a lot that was told before passes its old length, it must be what it was.
fn passes(log: &SubLog, known: Option<(u64, Hash)>) -> Result<(), Refused> {
    let same = known.is_none_or(|(count, root)| count != log.tree.size() || root == log.tree.root());
    let detail = || format!("lot {}: the first {} lines are not those that were told before", log.handle, log.tree.size());
    need(same, Reason::Fork, detail)
}

/// That a head is among those of a seal.
fn in_seal(head: &str, place: &str, path: &[String], (root, lots): Seal) -> Result<(), Refused> {
    let there = proof::includes(whole(place)?, &hash::leaf(head.as_bytes()), lots, &root, &hashes(path)?);
    need(there, Reason::Inclusion, || "a lot's head is not among those of its seal".into())
}

#[cfg(test)]
mod tests;
