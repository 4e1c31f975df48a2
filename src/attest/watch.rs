//! Watching a log: each time it is looked at, everything that is new is hashed again, and it must be what the log signed; what it signed
//! before must be the beginning of that; and no usage may be charged twice.
//!
//! It trusts the log's keys to say whose word it is, and nothing else of it. What it saw is kept in a folder; where the log contradicts
//! itself, both checkpoints are kept as evidence. Who has no folder reads all of it at once, tiles too, and keeps nothing. It may not know how
//! the log is fetched. Bounds: a bundle of leaves in memory at a time, and for every charge 24 bytes in a file and some more in memory.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::check::{Reason, Refused, refuse};
use super::file::replace;
use super::leaf;
use super::served::{self, Served};
use crate::tlog::hash::{self, Hash, from_base64, to_base64};
use crate::tlog::proof::{extends, prove_consistency};
use crate::tlog::tile::{Edge, FULL, Reader, Tile, Tiles};
use crate::tlog::{Checkpoint, Frontier, Note, Policy, Verifier};

/// What was seen last.
const STATE: &str = "seen.json";
/// The nullifiers of all charges.
const NULLIFIERS: &str = "nullifiers";
/// Bytes of one there: half of its hash, and the place of its leaf.
const RECORD: usize = 24;

/// Why a look ended early.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The log is not what it should be.
    Broken(Refused),
    /// It could not be fetched, or what was seen can't be read or kept: this says nothing of the log.
    Failed(String),
}

impl From<Refused> for Ended {
    fn from(refused: Refused) -> Ended {
        Ended::Broken(refused)
    }
}

impl From<String> for Ended {
    fn from(why: String) -> Ended {
        Ended::Failed(why)
    }
}

/// What was seen of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// The newest checkpoint.
    pub checkpoint: Checkpoint,
    /// Which witnesses cosigned it.
    pub witnesses: Vec<String>,
    /// How many leaves are new.
    pub new: u64,
    /// How many charges there are.
    pub charges: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// The signed checkpoint.
    checkpoint: String,
    /// The tree's right edge.
    edge: Vec<String>,
    /// The keys that were trusted.
    keys: Vec<String>,
}

/// Who watches one log, with what was seen of it.
pub struct Watch {
    /// Where what was seen is kept.
    folder: Option<PathBuf>,
    policy: Policy,
    keys: Vec<Verifier>,
    tree: Frontier,
    /// What was signed, if anything was seen yet.
    note: Option<String>,
    /// By nullifier the place of its leaf.
    nullifiers: HashMap<[u8; 16], u64>,
    /// The tree in tiles, where those that are served are compared with it.
    tiles: Option<Edge>,
    /// Checkpoints that the log must have come by.
    marks: Vec<Checkpoint>,
}

impl Watch {
    /// Goes on from what the folder has. Keys and policy say whose word is taken; without both, the keys that were trusted before.
    pub fn open(folder: &Path, policy: Policy, mut keys: Vec<Verifier>) -> Result<Watch, String> {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let (mut tree, mut note) = (Frontier::new(), None);
        if let Some(state) = read_state(&folder.join(STATE))? {
            let broken = || format!("{}: it can't be read", folder.join(STATE).display());
            let head = Note::parse(&state.checkpoint).and_then(|note| Checkpoint::parse(note.text())).map_err(|_| broken())?;
            let edge: Option<Vec<Hash>> = state.edge.iter().map(|hash| from_base64(hash)).collect();
            tree =
                edge.and_then(|edge| Frontier::from_parts(head.size, edge)).filter(|tree| tree.root() == head.root).ok_or_else(broken)?;
            note = Some(state.checkpoint);
            if keys.is_empty() && policy.logs.is_empty() {
                keys = state.keys.iter().map(|key| Verifier::parse(key)).collect::<Result<_, _>>().map_err(|_| broken())?;
            }
        }
        if keys.is_empty() && policy.logs.is_empty() {
            return Err("Whose log is it? Say so by --vkey KEY or --policy FILE the first time; ask for the key by another way.".into());
        }
        let nullifiers = read_nullifiers(&folder.join(NULLIFIERS), tree.size())?;
        Ok(Watch { folder: Some(folder.into()), policy, keys, tree, note, nullifiers, tiles: None, marks: Vec::new() })
    }

    /// Begins with nothing: its first look reads every leaf and every tile, and what was seen ends with it.
    pub fn anew(policy: Policy, keys: Vec<Verifier>) -> Watch {
        let (tree, nullifiers) = (Frontier::new(), HashMap::new());
        Watch { folder: None, policy, keys, tree, note: None, nullifiers, tiles: Some(Edge::new()), marks: Vec::new() }
    }

    /// Holds the next look to a checkpoint whose word is taken already: the log must have come by it since the last.
    pub fn hold_to(&mut self, mark: Checkpoint) {
        self.marks.push(mark);
    }

    /// Whose word is taken beside them.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The keys that are trusted by now.
    pub fn keys(&self) -> Vec<Verifier> {
        self.policy.logs.iter().map(|log| &log.key).chain(&self.keys).cloned().collect()
    }

    /// Looks at the log as it is now. Further checkpoints, however they came here, must be of the same log.
    pub fn look(&mut self, log: &impl Served, further: &[Note]) -> Result<Seen, Ended> {
        let note = served::checkpoint(log)?;
        let judged = self.judge(&note)?;
        let now = judged.checkpoint;
        if !judged.quorum {
            return broken(
                Reason::Quorum,
                format!("{} witnesses cosigned the checkpoint, not enough by the policy", judged.witnesses.len()),
            );
        }
        for mark in &self.marks {
            apart(mark, &now).map_or(Ok(()), Err)?;
            if mark.size < self.tree.size() {
                return broken(Reason::Rollback, format!("the log had {} leaves, and told of {} later", self.tree.size(), mark.size));
            }
        }
        let kept = self.note.as_deref().map(Note::parse).transpose().map_err(|why| why.to_string())?;
        if let Some(kept) = &kept {
            self.grows(kept, &note, &now)?;
        }
        for other in further {
            self.judge(other)?;
            self.continues(log, other, &note, &now)?;
        }
        let new = now.size.saturating_sub(self.tree.size());
        self.take(log, kept.as_ref(), &note, &now)?;
        let witnesses = judged.witnesses.into_iter().map(|(name, _)| name).collect();
        Ok(Seen { checkpoint: now, witnesses, new, charges: self.nullifiers.len() as u64 })
    }

    fn judge(&self, note: &Note) -> Result<crate::tlog::policy::Judged, Refused> {
        self.policy.judge(note, &self.keys).or_else(|why| refuse(Reason::Signature, format!("a checkpoint: {why}")))
    }

    /// That the log is not smaller than it was, nor another of the same size; both checkpoints are evidence where it is.
    fn grows(&self, old: &Note, new: &Note, now: &Checkpoint) -> Result<Checkpoint, Ended> {
        let before = Checkpoint::parse(old.text()).map_err(|why| why.to_string())?;
        let Some(refused) = apart(&before, now) else { return Ok(before) };
        self.evidence(&[(old, &before), (new, now)])?;
        Err(refused.into())
    }

    /// That the log as its tiles are now goes on from a checkpoint; both checkpoints are evidence where it does not.
    fn continues(&self, log: &impl Served, old: &Note, new: &Note, now: &Checkpoint) -> Result<(), Ended> {
        let before = self.grows(old, new, now)?;
        let proof = prove_consistency(before.size, now.size, &mut Reader::new(served::Files(log), now.size));
        let proof = proof.map_err(|why| format!("the proof from {} leaves: {why:?}", before.size))?;
        if extends(before.size, &before.root, now.size, &now.root, &proof) {
            return Ok(());
        }
        self.evidence(&[(old, &before), (new, now)])?;
        Err(forked(before.size, now).into())
    }

    /// Hashes every leaf that is new; keeps what was seen if all is right.
    fn take(&mut self, log: &impl Served, kept: Option<&Note>, note: &Note, now: &Checkpoint) -> Result<(), Ended> {
        let (mut tree, mut fresh, mut keys, mut last) = (self.tree.clone(), HashMap::new(), Vec::new(), None);
        let (mut tiles, mut odd, mut missed) = (self.tiles.clone(), None, self.missed(&tree));
        while tree.size() < now.size {
            let (index, skipped) = (tree.size() / u64::from(FULL), tree.size() % u64::from(FULL));
            let tile = Tile::of(0, index, now.size).ok_or_else(|| format!("no leaf {}", tree.size()))?;
            let Some(leaves) = served::leaves(log, tile)? else {
                return broken(Reason::Inclusion, format!("{} is not in the form of bundles", tile.bundle_path()));
            };
            let mut full = Vec::new();
            for bytes in leaves.into_iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX)) {
                self.leaf(&bytes, tree.size(), &mut fresh)?;
                keys.extend(self.successor(&bytes, &keys));
                let hash = hash::leaf(&bytes);
                tree.push(hash);
                tiles.iter_mut().for_each(|tiles| tiles.push(hash, |tile, hashes| full.push((tile, hashes))));
                missed = missed.or(self.missed(&tree));
                last = Some(bytes);
            }
            odd = odd.or(other_tile(log, &full)?);
        }
        if tree.root() != now.root {
            // Is it the tree that does not go on, or are only these not its leaves?
            kept.map_or(Ok(()), |kept| self.continues(log, kept, note, now))?;
            return broken(Reason::Inclusion, format!("the {} leaves that are served are not those of the checkpoint", now.size));
        }
        missed.map_or(Ok(()), |size| Err(forked(size, now)))?;
        let edge: Vec<(Tile, Vec<Hash>)> =
            tiles.iter().flat_map(Edge::parts).map(|(tile, hashes): (Tile, &[Hash])| (tile, hashes.to_vec())).collect();
        odd = odd.or(other_tile(log, &edge)?);
        if let Some(tile) = odd {
            return broken(Reason::Inclusion, format!("{} is not that of the leaves that are served", tile.path()));
        }
        let sealed = |bytes: &Vec<u8>| std::str::from_utf8(bytes).is_ok_and(|text| leaf::read_seal(text).is_some());
        if last.as_ref().is_some_and(|last| !sealed(last)) {
            return broken(Reason::Inclusion, format!("the checkpoint of {} leaves does not end in a seal", now.size));
        }
        (self.tree, self.tiles) = (tree, tiles);
        self.keys.extend(keys);
        self.marks.clear();
        Ok(self.keep(note, fresh)?)
    }

    /// The size of a checkpoint that this tree should have come by, and has not.
    fn missed(&self, tree: &Frontier) -> Option<u64> {
        self.marks.iter().find(|mark| mark.size == tree.size() && mark.root != tree.root()).map(|mark| mark.size)
    }

    /// A key that is trusted from now on: one that follows a trusted one by the word of both.
    fn successor(&self, bytes: &[u8], fresh: &[Verifier]) -> Option<Verifier> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut trusted = self.policy.logs.iter().map(|log| &log.key).chain(&self.keys).chain(fresh);
        trusted.find_map(|before| leaf::successor(text, before))
    }

    /// Reads a leaf: in one of the forms, and no usage that was charged before.
    fn leaf(&self, bytes: &[u8], index: u64, fresh: &mut HashMap<[u8; 16], u64>) -> Result<(), Refused> {
        let Some(nul) = std::str::from_utf8(bytes).ok().and_then(leaf::read_public) else {
            return refuse(Reason::NonCanonical, format!("leaf {index} is not in the form of leaves"));
        };
        let Some(nul) = nul else { return Ok(()) };
        let key = half(&nul);
        match self.nullifiers.get(&key).copied().or_else(|| fresh.insert(key, index)) {
            None => Ok(()),
            Some(before) => refuse(Reason::DuplicateUsage, format!("leaves {before} and {index} charge the same usage")),
        }
    }

    /// Keeps what was seen: first the nullifiers, of which those beyond the state count for nothing.
    fn keep(&mut self, note: &Note, fresh: HashMap<[u8; 16], u64>) -> Result<(), String> {
        if let Some(folder) = &self.folder {
            let path = folder.join(NULLIFIERS);
            let records: Vec<u8> = fresh.iter().flat_map(|(key, index)| [key.as_slice(), &index.to_be_bytes()].concat()).collect();
            let written = || -> io::Result<()> {
                let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
                file.write_all(&records)?;
                file.sync_all()
            };
            written().map_err(|error| format!("{}: {error}", path.display()))?;
            let (_, edge) = self.tree.parts();
            let keys = self.keys().iter().map(Verifier::text).collect();
            let state = State { checkpoint: note.signed(), edge: edge.iter().map(to_base64).collect(), keys };
            let text = serde_json::to_string_pretty(&state).map_err(|error| error.to_string())?;
            let path = folder.join(STATE);
            replace(&path, text.as_bytes()).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        self.nullifiers.extend(fresh);
        self.note = Some(note.signed());
        Ok(())
    }

    /// Keeps checkpoints that contradict each other, each in a file that says its size and the beginning of its root.
    fn evidence(&self, notes: &[(&Note, &Checkpoint)]) -> Result<(), String> {
        let Some(folder) = &self.folder else { return Ok(()) };
        for (note, head) in notes {
            let root: String = head.root.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            let path = folder.join(format!("evidence-{}-{root}.checkpoint", head.size));
            replace(&path, note.signed().as_bytes()).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }
}

fn broken<T>(reason: Reason, detail: String) -> Result<T, Ended> {
    Ok(refuse(reason, detail)?)
}

/// What speaks against two checkpoints of one log, the one known before the other, without a look at their trees.
fn apart(before: &Checkpoint, now: &Checkpoint) -> Option<Refused> {
    let (reason, detail) = match before.size.cmp(&now.size) {
        _ if before.origin != now.origin => {
            (Reason::Fork, format!("one checkpoint is of {:?}, another of {:?}", before.origin, now.origin))
        }
        Ordering::Greater => (Reason::Rollback, format!("the log had {} leaves and has {} now", before.size, now.size)),
        Ordering::Equal if before.root != now.root => (Reason::Fork, format!("two trees of {} leaves were signed", now.size)),
        _ => return None,
    };
    Some(Refused { reason, detail })
}

fn forked(size: u64, now: &Checkpoint) -> Refused {
    let detail = format!("the tree of {size} leaves is not the beginning of that of {}", now.size);
    Refused { reason: Reason::Fork, detail }
}

/// The first of these tiles that is served otherwise.
fn other_tile(log: &impl Served, tiles: &[(Tile, Vec<Hash>)]) -> Result<Option<Tile>, String> {
    for (tile, hashes) in tiles {
        if served::Files(log).tiles(&[*tile])?.iter().any(|served| !served.starts_with(hashes)) {
            return Ok(Some(*tile));
        }
    }
    Ok(None)
}

/// What a nullifier is remembered by.
fn half(nul: &str) -> [u8; 16] {
    Sha256::digest(nul).first_chunk().copied().unwrap_or_default()
}

fn read_state(path: &Path) -> Result<Option<State>, String> {
    let named = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => serde_json::from_str(&read.map_err(|error| named(&error))?).map(Some).map_err(|error| named(&error)),
    }
}

/// The nullifiers of the leaves before `size`. What was written of later ones when a crash came is taken away.
fn read_nullifiers(path: &Path, size: u64) -> Result<HashMap<[u8; 16], u64>, String> {
    let named = |error: io::Error| format!("{}: {error}", path.display());
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read.map_err(named)?,
    };
    let (mut found, mut good) = (HashMap::new(), Vec::new());
    for record in bytes.as_chunks::<RECORD>().0 {
        let (key, index) = record.split_at(RECORD - 8);
        let index = index.try_into().map_or(u64::MAX, u64::from_be_bytes);
        if index < size {
            found.insert(key.try_into().unwrap_or_default(), index);
            good.extend(record);
        }
    }
    if good.len() < bytes.len() {
        replace(path, &good).map_err(named)?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
