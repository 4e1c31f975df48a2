//! A witness in a folder: its key, and for each log it knows the checkpoint it cosigned last.
//!
//! Of what it cosigned it forgets nothing: a checkpoint is in its file for good before the cosignature is handed out. One process at a time
//! uses the folder. It may not know how it is asked. Bound: a file for each log.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::file::replace;
use super::served::{self, Served};
use crate::tlog::note::Kind;
use crate::tlog::proof::prove_consistency;
use crate::tlog::tile::Reader;
use crate::tlog::witness::{self, Declined, Failed, Memory, Request};
use crate::tlog::{Checkpoint, Note, Signer, Verifier};

/// The private key.
const KEY: &str = "witness.key";
/// What says that a process uses the folder.
const LOCK: &str = "witness.lock";

/// A witness.
#[derive(Debug)]
pub struct Witness {
    folder: PathBuf,
    key: Signer,
    logs: Vec<Verifier>,
    /// Held as long as the witness is.
    _turn: File,
}

/// Checkpoints by log, in files.
struct Files<'f>(&'f Path);

impl Files<'_> {
    fn path(&self, origin: &str) -> PathBuf {
        self.0.join(format!("{}.checkpoint", name_of(origin)))
    }
}

impl Memory for Files<'_> {
    type Error = String;

    fn last(&self, origin: &str) -> Result<Option<Note>, String> {
        let path = self.path(origin);
        let named = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => Note::parse(&read.map_err(|error| named(&error))?).map(Some).map_err(|why| named(&why)),
        }
    }

    fn keep(&mut self, origin: &str, note: &Note) -> Result<(), String> {
        let path = self.path(origin);
        replace(&path, note.signed().as_bytes()).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// What a log's name is asked for by (C2SP tlog-witness, "Monitor Retrieval Mechanism"): its SHA-256 in hexadecimal digits.
pub fn name_of(origin: &str) -> String {
    Sha256::digest(origin).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Witness {
    /// The witness of a folder, made under that name where there is none; it cosigns checkpoints of these logs.
    pub fn open(folder: &Path, name: Option<&str>, logs: Vec<Verifier>) -> Result<Witness, String> {
        let named = |path: &Path, why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        fs::create_dir_all(folder).map_err(|error| named(folder, &error))?;
        let path = folder.join(LOCK);
        let turn = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(|error| named(&path, &error))?;
        turn.try_lock().map_err(|_| named(&path, &"another process is this witness"))?;
        let path = folder.join(KEY);
        if let (Some(name), false) = (name, path.exists()) {
            let key = Signer::generate(name, Kind::Cosignature).map_err(|why| format!("a witness can't be named {name:?}: {why}"))?;
            replace(&path, format!("{}\n", key.secret()).as_bytes()).map_err(|error| named(&path, &error))?;
        }
        let text = fs::read_to_string(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "There is no witness here yet: name it, such as --name witness.example.org/ours".to_owned(),
            _ => named(&path, &error),
        })?;
        let key = Signer::parse(text.trim_end()).map_err(|why| named(&path, &why))?;
        if name.is_some_and(|name| name != key.name()) {
            return Err(named(&path, &format_args!("the witness here is {}, and a name stays", key.name())));
        }
        Ok(Witness { folder: folder.into(), key, logs, _turn: turn })
    }

    /// Its public key.
    pub fn verifier(&self) -> Verifier {
        self.key.verifier()
    }

    /// Answers a request to cosign, at `time` in seconds since 1970: the signature's line, or why there is none.
    pub fn add_checkpoint(&mut self, body: &str, time: u64) -> Result<Result<String, Declined>, String> {
        let answer = witness::add_checkpoint(body, &self.logs, &mut Files(&self.folder), &self.key, time);
        let answer = answer.map_err(|failed| match failed {
            Failed::Memory(why) => why,
            Failed::Remembered(why) => format!("what is remembered can't be read: {why}"),
        });
        Ok(answer?.map(|signature| signature.line()))
    }

    /// The last checkpoint cosigned of the log with that `name_of`, with the signatures.
    pub fn last(&self, name: &str) -> Result<Option<String>, String> {
        let known = self.logs.iter().find(|log| name_of(log.name()) == name);
        Ok(known.map(|log| Files(&self.folder).last(log.name())).transpose()?.flatten().map(|note| note.signed()))
    }

    /// Fetches a log's newest checkpoint and the tiles that show how it grew, and answers as if it had been asked: the checkpoint with the
    /// answer.
    pub fn follow(&mut self, log: &impl Served, time: u64) -> Result<(Checkpoint, Result<String, Declined>), String> {
        let note = served::checkpoint(log)?;
        let new = Checkpoint::parse(note.text()).map_err(|why| why.to_string())?;
        let last = Files(&self.folder).last(&new.origin)?;
        let last = last.map(|note| Checkpoint::parse(note.text())).transpose().map_err(|why| why.to_string())?;
        let old = last.map_or(0, |last| last.size);
        // What can't be proved is declined below.
        let proof = prove_consistency(old, new.size, &mut Reader::new(served::Files(log), new.size)).unwrap_or_default();
        let answer = self.add_checkpoint(&Request { old: old.min(new.size), proof, checkpoint: note }.body(), time)?;
        Ok((new, answer))
    }
}

#[cfg(test)]
mod tests {
    use super::super::served::tests::{Fake, ORIGIN};
    use super::*;

    fn open(folder: &Path, log: &Fake) -> Witness {
        Witness::open(folder, Some("witness.example/ours"), vec![log.key.verifier()]).expect("a witness")
    }

    #[test]
    fn it_follows_a_log_and_never_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = Fake::new();
        let mut witness = open(folder.path(), &log);
        for size in [3, 300, 300, 900] {
            log.grow(size);
            let (seen, answer) = witness.follow(&log, 1_700_000_000).expect("an answer");
            assert!(answer.is_ok_and(|line| line.starts_with("— witness.example/ours ")) && seen.size == size);
            let kept = witness.last(&name_of(ORIGIN)).expect("readable").expect("kept");
            let kept = Note::parse(&kept).expect("a note");
            let keys = [log.key.verifier(), witness.verifier()];
            assert_eq!(kept.verify(&keys).map(|found| found.len()), Ok(2));
        }
        assert!(Witness::open(folder.path(), None, Vec::new()).is_err_and(|why| why.contains("another process")));
        drop(witness);
        // As another process, after the log forgot its last leaves, and after it wrote others.
        let mut witness = open(folder.path(), &log);
        let mut shorter = log.clone();
        shorter.cut(400);
        assert_eq!(witness.follow(&shorter, 1).expect("an answer").1, Err(Declined::Seen(900)));
        shorter.leaves[7] = "another".into();
        shorter.grow(1000);
        assert_eq!(witness.follow(&shorter, 1).expect("an answer").1, Err(Declined::Inconsistent));
        log.grow(1000);
        assert!(witness.follow(&log, 1).expect("an answer").1.is_ok());
    }

    #[test]
    fn it_is_named_once() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Witness::open(folder.path(), None, Vec::new()).is_err_and(|why| why.contains("--name")));
        assert!(Witness::open(folder.path(), Some("two words"), Vec::new()).is_err());
        let made = Witness::open(folder.path(), Some("witness.example/ours"), Vec::new()).expect("a witness").verifier();
        assert_eq!(Witness::open(folder.path(), None, Vec::new()).map(|again| again.verifier()), Ok(made));
        assert!(Witness::open(folder.path(), Some("witness.example/other"), Vec::new()).is_err_and(|why| why.contains("stays")));
    }
}
