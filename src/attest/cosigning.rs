//! Cosigning: the newest checkpoint is shown to each witness of the log's policy that has not seen it, and what it says of it is kept.
//!
//! What was signed never changes by it: cosignatures stand beside the checkpoint, whenever they come, and are shown with it. A witness is
//! believed nothing but what its key signed. It may not know how a witness is reached. Bounds: a policy of [`WITNESSES`]; a checkpoint is
//! shown to a witness [`TRIES`] times at a time.

use super::keep::{self, Log};
use super::store;
use crate::store::Fault;
use crate::tlog::note::{Kind, NoteError, Signature};
use crate::tlog::policy::Judged;
use crate::tlog::witness::Request;
use crate::tlog::{Note, Policy, Verifier};

/// The most witnesses of a policy: all their signatures must fit into one note.
const WITNESSES: usize = 64;
/// How often a witness may say that it saw another size before it is left alone.
const TRIES: usize = 3;

/// The policy that a log is published under: who is to see its checkpoints, and how many of them are enough.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Published {
    text: String,
    policy: Policy,
}

impl Published {
    /// Reads a policy file (C2SP tlog-policy); why it can't be, or can't be used for this.
    pub fn parse(file: &[u8]) -> Result<Published, String> {
        let policy = Policy::parse(file).map_err(|why| why.to_string())?;
        if policy.witnesses.len() > WITNESSES {
            return Err(format!("it has {} witnesses, and {WITNESSES} are the most", policy.witnesses.len()));
        }
        let mut text = std::str::from_utf8(file).map_err(|_| "it is not UTF-8")?.to_owned();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Ok(Published { text, policy })
    }

    /// The witnesses that can be asked, with their addresses.
    pub fn witnesses(&self) -> impl Iterator<Item = (&Verifier, &str)> {
        self.policy.witnesses.iter().filter_map(|witness| Some((&witness.key, witness.url.as_deref()?)))
    }

    /// What the policy says of a checkpoint, signed by one of these keys or of its own.
    pub fn judge(&self, note: &Note, keys: &[Verifier]) -> Result<Judged, NoteError> {
        self.policy.judge(note, keys)
    }

    /// As it is shown: with the key that the log is signed with now, if the file has it not.
    pub fn text(&self, newest: &str) -> String {
        let known = self.policy.logs.iter().any(|log| log.key.text() == newest);
        if known { self.text.clone() } else { format!("log {newest}\n{}", self.text) }
    }
}

/// What a witness answers to a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Lines of signatures.
    Cosigned(String),
    /// That it saw a checkpoint of this size last, not of the one it was told.
    Seen(u64),
    /// No cosignature, by this status of the protocol.
    Declined(u16),
}

/// A way to a witness.
pub trait Door {
    /// Sends it a request of C2SP tlog-witness; why there is no answer.
    fn add_checkpoint(&self, body: &str) -> Result<Answer, String>;
}

/// What came of asking a witness.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Came {
    /// There is no checkpoint that it has not cosigned.
    Nothing,
    /// It cosigned the checkpoint of this size.
    Cosigned(u64),
    /// It saw a log that this one does not continue.
    Contradicted(String),
    /// It answers nothing that helps, and why.
    Refused(String),
}

/// Who asks one witness.
pub struct Asker {
    log: Log,
    witness: Verifier,
    /// The size it saw last, as far as that is known here.
    seen: u64,
}

impl Asker {
    /// For that witness of a log.
    pub fn open(log: &Log, witness: Verifier) -> Result<Asker, Fault> {
        let seen = log.read(|conn| store::last_cosigned(conn, &witness.text()))?.map_or(0, i64::unsigned_abs);
        Ok(Asker { log: log.clone(), witness, seen })
    }

    /// The witness's name.
    pub fn name(&self) -> &str {
        self.witness.name()
    }

    /// Shows the witness the newest checkpoint, if it has not cosigned it, and keeps what it says.
    pub fn ask(&mut self, door: &impl Door) -> Result<Came, Fault> {
        let key = self.witness.text();
        let newest = self.log.read(|conn| {
            let Some((size, note)) = store::last_checkpoint(conn)? else { return Ok(None) };
            Ok(if store::is_cosigned(conn, size, &key)? { None } else { Some((size, note)) })
        })?;
        let Some((at, note)) = newest else { return Ok(Came::Nothing) };
        let (size, checkpoint) = (at.unsigned_abs(), Note::parse(&note).map_err(|why| Fault::Internal(format!("a checkpoint: {why}")))?);
        for _ in 0..TRIES {
            if self.seen > size {
                return Ok(Came::Contradicted(format!("it saw {} leaves, and the log has {size}", self.seen)));
            }
            let proof = self.log.read(|conn| keep::consistency(conn, self.seen, size))?.unwrap_or_default();
            let request = Request { old: self.seen, proof, checkpoint: checkpoint.clone() };
            match door.add_checkpoint(&request.body()) {
                Err(why) => return Ok(Came::Refused(why)),
                Ok(Answer::Cosigned(lines)) => return self.keep(at, &checkpoint, &lines),
                Ok(Answer::Seen(seen)) if seen != self.seen => self.seen = seen,
                Ok(Answer::Declined(422)) => {
                    return Ok(Came::Contradicted(format!("it saw {} leaves that those {size} do not continue", self.seen)));
                }
                Ok(Answer::Seen(seen)) => return Ok(Came::Refused(format!("it saw {seen} leaves, was told so, and says so again"))),
                Ok(Answer::Declined(status)) => return Ok(Came::Refused(format!("it answers {status}"))),
            }
        }
        Ok(Came::Refused("it says again and again that it saw another size".into()))
    }

    /// Keeps the witness's own signature among these lines, if it is one.
    fn keep(&mut self, at: i64, checkpoint: &Note, lines: &str) -> Result<Came, Fault> {
        let signatures = lines.lines().filter_map(|line| Signature::parse(line).ok());
        let key = self.witness.text();
        let Some(line) = signatures.map(|one| one.line()).find(|line| holds(checkpoint, &key, line.trim_end())) else {
            return Ok(Came::Refused("what it answers is no cosignature by its key".into()));
        };
        self.log.connect()?.alone(super::integrate::TURN, |conn| match store::is_cosigned(conn, at, &key)? {
            true => Ok(()),
            false => store::insert_cosignature(conn, at, &key, line.trim_end()),
        })?;
        self.seen = at.unsigned_abs();
        Ok(Came::Cosigned(self.seen))
    }
}

/// Whether the line of a note is this witness's cosignature of the checkpoint.
pub fn holds(checkpoint: &Note, witness: &str, line: &str) -> bool {
    let (Ok(key), Ok(signature)) = (Verifier::parse(witness), Signature::parse(line)) else { return false };
    let own = key.kind() == Kind::Cosignature && key.name() == signature.name && key.id() == signature.id;
    own && key.verify(checkpoint.text(), &signature.bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tlog::{Checkpoint, Signer};

    #[test]
    fn a_policy_is_shown_with_the_key_that_signs_now() {
        let [log, other, witness] =
            [Kind::Text, Kind::Text, Kind::Cosignature].map(|kind| Signer::generate("k.example", kind).expect("a key"));
        let [log, other, witness] = [log, other, witness].map(|key| key.verifier().text());
        let file = format!(
            "log {log}\nwitness w {witness} https://w.example\nwitness v {} \nquorum w",
            Signer::generate("v", Kind::Cosignature).expect("a key").verifier().text()
        );
        let read = Published::parse(file.as_bytes()).expect("a policy");
        assert_eq!(read.text(&log), format!("{file}\n"));
        assert_eq!(read.text(&other), format!("log {other}\n{file}\n"));
        for text in [read.text(&log), read.text(&other)] {
            assert!(Policy::parse(text.as_bytes()).is_ok());
        }
        assert_eq!(read.witnesses().map(|(key, url)| (key.text(), url)).collect::<Vec<_>>(), [(witness, "https://w.example")]);
        let many = |count: usize| {
            let key = |_| Signer::generate("w", Kind::Cosignature).expect("a key").verifier().text();
            let lines: String = (0..count).map(|n| format!("witness w{n} {}\n", key(n))).collect();
            Published::parse(format!("{lines}quorum none\n").as_bytes())
        };
        assert!(many(WITNESSES).is_ok() && many(WITNESSES + 1).is_err() && Published::parse(b"quorum w\n").is_err());
    }

    #[test]
    fn a_cosignature_is_of_one_key_and_one_checkpoint() {
        let [own, other] = ["w.example", "w.example"].map(|name| Signer::generate(name, Kind::Cosignature).expect("a key"));
        let log = Signer::generate("log.example", Kind::Text).expect("a key");
        let note =
            |size| Checkpoint::new("log.example", size, [7; 32]).expect("a checkpoint").sign(std::slice::from_ref(&log)).expect("signed");
        let (key, line) = (own.verifier().text(), own.sign(note(9).text(), 1_700_000_000).line());
        assert!(holds(&note(9), &key, line.trim_end()));
        assert!(!holds(&note(8), &key, line.trim_end()) && !holds(&note(9), &other.verifier().text(), line.trim_end()));
        let signed = log.sign(note(9).text(), 0).line();
        assert!(!holds(&note(9), &log.verifier().text(), signed.trim_end()) && !holds(&note(9), &key, "— w.example AAAA"));
    }
}
