//! What a witness does (C2SP tlog-witness): it sees a log grow, and cosigns each checkpoint that is consistent with all it saw before.
//!
//! It remembers one checkpoint a log, durably, before it answers. It may not know how it was asked nor where its memory is kept.

use super::checkpoint::Checkpoint;
use super::hash::{self, Hash};
use super::note::{Note, NoteError, Signature, Signer, Verifier};
use super::proof;

/// The most hashes of a request's proof.
const PROOF: usize = 63;

/// A request to cosign: what the asker believes was seen last, and the proof from there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The size of the checkpoint that was cosigned last; 0 for none.
    pub old: u64,
    /// That the new tree extends that one.
    pub proof: Vec<Hash>,
    /// The new checkpoint, signed by its log.
    pub checkpoint: Note,
}

impl Request {
    /// The body (C2SP tlog-witness, "add-checkpoint").
    pub fn body(&self) -> String {
        let proof: String = self.proof.iter().map(|hash| hash::to_base64(hash) + "\n").collect();
        format!("old {}\n{proof}\n{}", self.old, self.checkpoint.signed())
    }

    /// Reads the body.
    pub fn parse(body: &str) -> Result<Request, NoteError> {
        let wrong = NoteError::Malformed("the request can't be read");
        let (head, note) = body.split_once("\n\n").ok_or(wrong)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(hash::decimal).ok_or(wrong)?;
        let proof: Option<Vec<Hash>> = lines.map(hash::from_base64).collect();
        let proof = proof.filter(|proof| proof.len() <= PROOF).ok_or(wrong)?;
        Ok(Request { old, proof, checkpoint: Note::parse(note)? })
    }
}

/// Why a witness does not cosign; each is one status of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Declined {
    /// The request can't be read, or claims to begin beyond its end (400).
    Malformed,
    /// No key of that log is known (404).
    Unknown,
    /// No known key of the log signed it, or a signature is wrong (403).
    Signature,
    /// Another checkpoint was seen last: its size (409).
    Seen(u64),
    /// The trees are not consistent, or it was not shown that they are (422).
    Inconsistent,
}

/// What a witness remembers, for each log the checkpoint it cosigned last.
pub trait Memory {
    /// Why it can't be read or written.
    type Error;

    /// The note kept for a log, with the log's signature and the witness's.
    fn last(&self, origin: &str) -> Result<Option<Note>, Self::Error>;

    /// Keeps that note instead of the former: durable when this returns.
    fn keep(&mut self, origin: &str, note: &Note) -> Result<(), Self::Error>;
}

/// Why there is no answer at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failed<E> {
    /// The memory.
    Memory(E),
    /// What is remembered is no checkpoint: the witness must not go on.
    Remembered(NoteError),
}

/// Decides on a request and, if nothing speaks against it, remembers the checkpoint and cosigns it, at `time` in seconds since 1970. Nobody
/// else may use the memory meanwhile: comparing and keeping are one step.
pub fn add_checkpoint<M: Memory>(
    body: &str,
    logs: &[Verifier],
    memory: &mut M,
    key: &Signer,
    time: u64,
) -> Result<Result<Signature, Declined>, Failed<M::Error>> {
    let read = Request::parse(body).and_then(|request| Ok((Checkpoint::parse(request.checkpoint.text())?, request)));
    let Ok((new, request)) = read else { return Ok(Err(Declined::Malformed)) };
    if !logs.iter().any(|log| log.name() == new.origin) {
        return Ok(Err(Declined::Unknown));
    }
    if Checkpoint::open(&request.checkpoint, logs).is_err() {
        return Ok(Err(Declined::Signature));
    }
    let last = memory.last(&new.origin).map_err(Failed::Memory)?;
    let last = last.map(|note| Checkpoint::parse(note.text())).transpose().map_err(Failed::Remembered)?;
    if let Err(declined) = consistent(&request, &new, last.as_ref()) {
        return Ok(Err(declined));
    }
    let signature = key.sign(request.checkpoint.text(), time);
    let kept = cosigned(&request.checkpoint, logs, &signature).map_err(Failed::Remembered)?;
    memory.keep(&new.origin, &kept).map_err(Failed::Memory)?;
    Ok(Ok(signature))
}

/// Whether the new checkpoint extends the one seen last, in the order of the protocol's refusals.
fn consistent(request: &Request, new: &Checkpoint, last: Option<&Checkpoint>) -> Result<(), Declined> {
    if request.old > new.size {
        return Err(Declined::Malformed);
    }
    let (size, root) = last.map_or((0, hash::empty()), |last| (last.size, last.root));
    if request.old != size {
        return Err(Declined::Seen(size));
    }
    let extends = proof::extends(size, &root, new.size, &new.root, &request.proof);
    if extends { Ok(()) } else { Err(Declined::Inconsistent) }
}

/// The checkpoint with the signatures that were verified and the witness's: signatures of others are not handed on.
fn cosigned(note: &Note, logs: &[Verifier], own: &Signature) -> Result<Note, NoteError> {
    let mut kept = Note::new(note.text())?;
    let known = |signature: &&Signature| logs.iter().any(|log| log.name() == signature.name && log.id() == signature.id);
    note.signatures().iter().filter(known).for_each(|signature| kept.add(signature.clone()));
    kept.add(own.clone());
    Ok(kept)
}

#[cfg(test)]
mod tests;
