//! The signer: the log's key, and what it signed last, in files of their own.
//!
//! It signs what continues the tree it signed before, and nothing else: not a smaller tree, not another of the same size, and a larger one
//! only with the proof that the last is its beginning. So books that were restored from an older copy can't be signed again from there; the
//! state must never be copied back with them. Several processes take turns by a lock on a file.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::file;
use super::leaf;
use crate::store::Fault;
use crate::tlog::hash;
use crate::tlog::note::Kind;
use crate::tlog::proof::extends;
use crate::tlog::{Checkpoint, Hash, Signer, Verifier};

/// The private key.
const KEY: &str = "log.key";
/// What was signed last: a checkpoint's text.
const STATE: &str = "log.state";
/// What processes take turns by.
const LOCK: &str = "log.lock";

/// The log's key in its folder.
#[derive(Clone, Debug)]
pub struct Keeper {
    folder: PathBuf,
    key: Signer,
    /// The key before, which signs too as long as it is kept.
    before: Option<Signer>,
}

/// Why nothing was signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unsigned {
    /// The tree is smaller than the one that was signed last.
    Smaller {
        /// Its size.
        size: u64,
        /// That of the last.
        signed: u64,
    },
    /// The tree is not a continuation of the one that was signed last.
    Fork {
        /// The size of the last.
        signed: u64,
    },
    /// A file of the signer can't be read or written.
    File(String),
}

impl std::fmt::Display for Unsigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unsigned::Smaller { size, signed } => {
                write!(f, "the log has {size} leaves, and {signed} were signed: these books are an older copy, or leaves were taken away")
            }
            Unsigned::Fork { signed } => write!(f, "the log does not continue the {signed} leaves that were signed last"),
            Unsigned::File(why) => f.write_str(why),
        }
    }
}

impl From<Unsigned> for Fault {
    fn from(why: Unsigned) -> Fault {
        Fault::Internal(format!("the log is not signed: {why}"))
    }
}

impl Keeper {
    /// Makes a new key and a state that has signed nothing, for a log of that name, or one made of the key. What is there stays as it is.
    pub fn create(folder: &Path, name: Option<&str>) -> Result<Keeper, Unsigned> {
        let drawn = |name| Signer::generate(name, Kind::Text).map_err(|why| Unsigned::File(format!("the log's key: {why}")));
        let key = match name {
            Some(name) => drawn(name)?,
            // Nobody else's log has the name then, whoever made it where.
            None => drawn(&format!("almoner/{:016x}", u64::from_be_bytes(random()?)))?,
        };
        let keeper = Keeper { folder: folder.into(), key, before: None };
        let _turn = keeper.turn()?;
        // The key last: what was not finished is begun anew.
        if !folder.join(KEY).exists() {
            keeper.write_state(&keeper.nothing()?)?;
        }
        keeper.write_key(false)?;
        Ok(keeper)
    }

    /// The key in a folder, if one was made there.
    pub fn find(folder: &Path) -> Result<Option<Keeper>, Unsigned> {
        let path = folder.join(KEY);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| unreadable(&path, &error))?,
        };
        let wrong = |why: &dyn std::fmt::Display| Unsigned::File(format!("{}: {why}", path.display()));
        let mut keys = text.lines().map(Signer::parse).collect::<Result<Vec<Signer>, _>>().map_err(|why| wrong(&why))?.into_iter();
        match (keys.next(), keys.next(), keys.next()) {
            (Some(key), before, None) if before.as_ref().is_none_or(|before| before.name() == key.name()) => {
                Ok(Some(Keeper { folder: folder.into(), key, before }))
            }
            _ => Err(wrong(&"it must hold the log's key, and at most the one before")),
        }
    }

    /// The key as it is in its folder now: another process may have made a new one.
    pub fn again(&self) -> Result<Keeper, Unsigned> {
        Keeper::find(&self.folder)?.ok_or_else(|| Unsigned::File(format!("{} is gone", Keeper::key_file(&self.folder).display())))
    }

    /// The file of the key in a folder.
    pub fn key_file(folder: &Path) -> PathBuf {
        folder.join(KEY)
    }

    /// The file of what was signed last.
    pub fn state_file(folder: &Path) -> PathBuf {
        folder.join(STATE)
    }

    /// A new key in place of this one, which goes on signing beside it.
    pub fn rotate(&self) -> Result<Keeper, Unsigned> {
        let _turn = self.turn()?;
        let key = Signer::generate(self.origin(), Kind::Text).map_err(|why| Unsigned::File(format!("the log's key: {why}")))?;
        let next = Keeper { folder: self.folder.clone(), key, before: Some(self.key.clone()) };
        next.write_key(true)?;
        Ok(next)
    }

    /// The leaf by which the newest key follows one that is kept too; `None` if that one is not.
    pub fn succeeds(&self, old: &str) -> Option<String> {
        let before = self.before.as_ref().filter(|before| before.verifier().text() == old)?;
        let new = self.verifier().text();
        let text = leaf::succession(old, &new);
        Some(leaf::key(old, &new, &[before.sign(&text, 0).bytes, self.key.sign(&text, 0).bytes]))
    }

    /// The public keys, the newest first.
    pub fn verifiers(&self) -> Vec<Verifier> {
        std::iter::once(&self.key).chain(&self.before).map(Signer::verifier).collect()
    }

    /// The newest public key.
    pub fn verifier(&self) -> Verifier {
        self.key.verifier()
    }

    /// Whose log it is.
    pub fn origin(&self) -> &str {
        self.key.name()
    }

    /// What was signed last.
    pub fn signed(&self) -> Result<Checkpoint, Unsigned> {
        let path = self.folder.join(STATE);
        let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
        let wrong = |why: &dyn std::fmt::Display| Unsigned::File(format!("{}: {why}", path.display()));
        let read = Checkpoint::parse(&text).map_err(|why| wrong(&why))?;
        if read.origin == self.origin() { Ok(read) } else { Err(wrong(&"it is the state of another log")) }
    }

    /// Signs a tree, whose `proof` shows that it continues one of that size; the signed note's text. Remembered before it is handed out.
    pub fn sign(&self, size: u64, root: Hash, proof: impl FnOnce(u64) -> Result<Vec<Hash>, Fault>) -> Result<String, Fault> {
        let _turn = self.turn()?;
        let last = self.signed()?;
        if size < last.size {
            return Err(Unsigned::Smaller { size, signed: last.size }.into());
        }
        let fork = Unsigned::Fork { signed: last.size };
        let continues = match last.size {
            0 => true,
            signed if signed == size => last.root == root,
            signed => extends(signed, &last.root, size, &root, &proof(signed)?),
        };
        if !continues {
            return Err(fork.into());
        }
        let next = Checkpoint::new(self.origin(), size, root).ok_or_else(|| Fault::Internal("the log's name can't be signed".into()))?;
        if next != last {
            self.write_state(&next)?;
        }
        let keys: Vec<Signer> = std::iter::once(&self.key).chain(&self.before).cloned().collect();
        let note = next.sign(&keys);
        Ok(note.map_err(|why| Fault::Internal(format!("the log's checkpoint: {why}")))?.signed())
    }

    fn nothing(&self) -> Result<Checkpoint, Unsigned> {
        Checkpoint::new(self.origin(), 0, hash::empty()).ok_or_else(|| Unsigned::File("a log can't have this name".into()))
    }

    /// Waits until no other process signs; until the file is closed none will.
    fn turn(&self) -> Result<File, Unsigned> {
        let path = self.folder.join(LOCK);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(|error| unreadable(&path, &error))?;
        lock.lock().map_err(|error| unreadable(&path, &error))?;
        Ok(lock)
    }

    fn write_state(&self, state: &Checkpoint) -> Result<(), Unsigned> {
        self.replace(STATE, &state.text())
    }

    /// Writes the keys; unless they may replace others only where there are none.
    fn write_key(&self, replacing: bool) -> Result<(), Unsigned> {
        let path = self.folder.join(KEY);
        if !replacing && path.exists() {
            return Err(Unsigned::File(format!("{} exists, and a log's key is never overwritten", path.display())));
        }
        let keys: String = std::iter::once(&self.key).chain(&self.before).map(|key| key.secret() + "\n").collect();
        self.replace(KEY, &keys)
    }

    fn replace(&self, name: &str, text: &str) -> Result<(), Unsigned> {
        let path = self.folder.join(name);
        file::replace(&path, text.as_bytes()).map_err(|error| unreadable(&path, &error))
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Unsigned {
    Unsigned::File(format!("{}: {error}", path.display()))
}

fn random() -> Result<[u8; 8], Unsigned> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Unsigned::File("the system gives no randomness".into()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tlog::Note;
    use crate::tlog::proof::prove_consistency;
    use crate::tlog::tree::{Grown, root_of};

    fn leaves(count: u8) -> Vec<Hash> {
        (0..count).map(|n| hash::leaf(&[n])).collect()
    }

    fn sign(keeper: &Keeper, leaves: &[Hash]) -> Result<String, Fault> {
        let (size, mut tree) = (leaves.len() as u64, Grown::new(leaves.to_vec()));
        let root = root_of(size, &mut tree).expect("a root");
        keeper.sign(size, root, |from| Ok(prove_consistency(from, size, &mut tree).unwrap_or_default()))
    }

    #[test]
    fn it_signs_what_continues_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let keeper = Keeper::create(folder.path(), Some("example.org/log")).expect("made");
        assert!(Keeper::create(folder.path(), None).is_err(), "a key is never replaced");
        let all = leaves(9);
        let first = sign(&keeper, &all[..5]).expect("signed");
        assert_eq!(sign(&keeper, &all[..5]).ok().as_ref(), Some(&first), "the same again is no other");
        sign(&keeper, &all[..7]).expect("signed");
        // As another process finds it.
        let again = Keeper::find(folder.path()).expect("readable").expect("there");
        assert_eq!(again.signed().map(|last| last.size), Ok(7));
        let mut other = all.clone();
        other[2] = hash::leaf(b"other");
        for refused in [&all[..6], &other[..7], &other[..9], &all[..0]] {
            assert!(sign(&again, refused).is_err(), "{} leaves", refused.len());
        }
        assert_eq!(keeper.signed().map(|last| last.size), Ok(7), "what was refused left nothing");
        let root = root_of(9, &mut Grown::new(all.clone())).expect("a root");
        assert!(again.sign(9, root, |_| Ok(Vec::new())).is_err(), "without a proof");
        sign(&again, &all).expect("signed");
    }

    #[test]
    fn a_new_key_follows_the_old_by_the_word_of_both() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Keeper::create(folder.path(), Some("example.org/log")).expect("made");
        let note = sign(&first, &leaves(3)).expect("signed");
        first.rotate().expect("a new key");
        let second = Keeper::find(folder.path()).expect("readable").expect("there");
        let (old, new) = (first.verifier(), second.verifier());
        assert_eq!(second.verifiers(), [new.clone(), old.clone()]);
        let signed = Note::parse(&sign(&second, &leaves(5)).expect("signed")).expect("a note");
        for key in [&old, &new] {
            assert_eq!(Checkpoint::open(&signed, std::slice::from_ref(key)).map(|read| read.size), Ok(5));
        }
        assert!(Checkpoint::open(&Note::parse(&note).expect("a note"), std::slice::from_ref(&new)).is_err());
        let (from, to, by) = leaf::read_key(&second.succeeds(&old.text()).expect("a leaf")).expect("readable");
        let text = leaf::succession(&from, &to);
        assert_eq!((from, to), (old.text(), new.text()));
        assert!(old.verify(&text, &by[0]).is_ok() && new.verify(&text, &by[1]).is_ok() && new.verify(&text, &by[0]).is_err());
        assert_eq!(second.succeeds(&new.text()), None);
    }

    #[test]
    fn without_its_state_it_signs_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let keeper = Keeper::create(folder.path(), None).expect("made");
        sign(&keeper, &leaves(3)).expect("signed");
        fs::write(folder.path().join(STATE), "example.org/other\n3\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n").expect("written");
        assert!(matches!(keeper.signed(), Err(Unsigned::File(_))));
        fs::remove_file(folder.path().join(STATE)).expect("removed");
        assert!(sign(&keeper, &leaves(4)).is_err());
    }
}
