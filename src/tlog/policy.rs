//! Trust policies (C2SP tlog-policy): which logs and witnesses are known, and which of the witnesses must have cosigned.
//!
//! A policy is read whole or not at all. Names are bytes: what is not ASCII has no meaning of its own.

use std::collections::{HashMap, HashSet};

use super::checkpoint::Checkpoint;
use super::note::{Kind, Note, NoteError, Verifier};

/// Why a policy can't be read: the line, from 1 (0: the whole), and what is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyError {
    /// The line, from 1; 0 where it is the whole.
    pub line: usize,
    /// What is wrong.
    pub why: &'static str,
}

impl std::fmt::Display for PolicyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => f.write_str(self.why),
            line => write!(f, "line {line}: {}", self.why),
        }
    }
}

/// A log or a witness that is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// Its key.
    pub key: Verifier,
    /// Where it is found, if the policy says so.
    pub url: Option<String>,
}

/// What must have seen a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Rule {
    /// The witness at this place in the list.
    Witness(usize),
    /// So many of the members.
    Group(usize, Vec<Rule>),
}

impl Rule {
    fn holds(&self, seen: &[bool]) -> bool {
        match self {
            Rule::Witness(at) => seen.get(*at).copied().unwrap_or(false),
            Rule::Group(least, members) => members.iter().filter(|member| member.holds(seen)).count() >= *least,
        }
    }
}

/// A policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// The logs.
    pub logs: Vec<Known>,
    /// The witnesses.
    pub witnesses: Vec<Known>,
    /// What must hold of the witnesses; nothing need.
    quorum: Option<Rule>,
}

/// What a policy says of a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// The checkpoint, signed by its log.
    pub checkpoint: Checkpoint,
    /// Which witnesses cosigned it, by the names of their keys, and when, in seconds since 1970.
    pub witnesses: Vec<(String, u64)>,
    /// Whether they are enough.
    pub quorum: bool,
}

/// What was read of a policy so far.
#[derive(Default)]
struct Reading {
    logs: Vec<Known>,
    witnesses: Vec<Known>,
    /// What each name stands for.
    names: HashMap<Vec<u8>, Rule>,
    /// Which names are members of a group: each can be in one only.
    members: HashSet<Vec<u8>>,
    quorum: Option<Option<Rule>>,
}

impl Policy {
    /// The policy that asks for no witness and knows no log.
    pub fn none() -> Policy {
        Policy { logs: Vec::new(), witnesses: Vec::new(), quorum: None }
    }

    /// Reads a policy file (C2SP tlog-policy, "Policy file syntax and structure").
    pub fn parse(file: &[u8]) -> Result<Policy, PolicyError> {
        let mut read = Reading::default();
        for (at, line) in file.split(|byte| *byte == b'\n').enumerate() {
            let at_line = |why| PolicyError { line: at + 1, why };
            if line.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
                return Err(at_line("it has a control character"));
            }
            let words: Vec<&[u8]> = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty()).collect();
            if words.first().is_some_and(|word| !word.starts_with(b"#")) {
                read.line(&words).map_err(at_line)?;
            }
        }
        let quorum = read.quorum.ok_or(PolicyError { line: 0, why: "the policy has no line quorum" })?;
        Ok(Policy { logs: read.logs, witnesses: read.witnesses, quorum })
    }

    /// Judges a note by the policy's logs, and by further keys that are known to be their logs'. Refused where no log's key signed it, or
    /// where a signature of a known key does not verify; whether the witnesses are enough is told, not refused.
    pub fn judge(&self, note: &Note, further: &[Verifier]) -> Result<Judged, NoteError> {
        let logs: Vec<Verifier> = self.logs.iter().map(|log| &log.key).chain(further).cloned().collect();
        let checkpoint = Checkpoint::open(note, &logs)?;
        let found = note.verify(self.witnesses.iter().map(|witness| &witness.key))?;
        let seen: Vec<bool> = self.witnesses.iter().map(|witness| found.iter().any(|(key, _)| **key == witness.key)).collect();
        let witnesses = found.into_iter().filter_map(|(key, time)| Some((key.name().to_owned(), time?))).collect();
        Ok(Judged { checkpoint, witnesses, quorum: self.quorum.as_ref().is_none_or(|rule| rule.holds(&seen)) })
    }
}

impl Reading {
    fn line(&mut self, words: &[&[u8]]) -> Result<(), &'static str> {
        match words {
            [b"log", vkey] => self.log(vkey, None),
            [b"log", vkey, url] => self.log(vkey, Some(url)),
            [b"witness", name, vkey] => self.witness(name, vkey, None),
            [b"witness", name, vkey, url] => self.witness(name, vkey, Some(url)),
            [b"group", name, least, members @ ..] => self.group(name, least, members),
            [b"quorum", name] => self.set_quorum(name),
            _ => Err("it is none of log, witness, group and quorum with what belongs to it"),
        }
    }

    fn log(&mut self, vkey: &[u8], url: Option<&[u8]>) -> Result<(), &'static str> {
        let log = known(vkey, url, Kind::Text)?;
        unlike(&self.logs, &log)?;
        self.logs.push(log);
        Ok(())
    }

    fn witness(&mut self, name: &[u8], vkey: &[u8], url: Option<&[u8]>) -> Result<(), &'static str> {
        let witness = known(vkey, url, Kind::Cosignature)?;
        unlike(&self.witnesses, &witness)?;
        self.define(name, Rule::Witness(self.witnesses.len()))?;
        self.witnesses.push(witness);
        Ok(())
    }

    fn group(&mut self, name: &[u8], least: &[u8], members: &[&[u8]]) -> Result<(), &'static str> {
        let least = match least {
            b"any" => Some(1),
            b"all" => Some(members.len()),
            digits => std::str::from_utf8(digits).ok().and_then(super::hash::decimal).and_then(|least| usize::try_from(least).ok()),
        };
        let least = least.filter(|least| (1..=members.len()).contains(least)).ok_or("a group needs from 1 up to all of its members")?;
        let mut taken = Vec::with_capacity(members.len());
        for member in members {
            taken.push(self.names.get(*member).cloned().ok_or("a member is defined on no line above")?);
            if !self.members.insert(member.to_vec()) {
                return Err("a member is one already");
            }
        }
        self.define(name, Rule::Group(least, taken))
    }

    fn set_quorum(&mut self, name: &[u8]) -> Result<(), &'static str> {
        let rule = match name {
            b"none" => None,
            name => Some(self.names.get(name).cloned().ok_or("the quorum is defined on no line above")?),
        };
        if self.quorum.is_some() {
            return Err("there is a second line quorum");
        }
        self.quorum = Some(rule);
        Ok(())
    }

    fn define(&mut self, name: &[u8], rule: Rule) -> Result<(), &'static str> {
        if name == b"none" || self.names.contains_key(name) {
            return Err("the name is taken");
        }
        self.names.insert(name.to_vec(), rule);
        Ok(())
    }
}

fn known(vkey: &[u8], url: Option<&[u8]>, kind: Kind) -> Result<Known, &'static str> {
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8 where it must be");
    let key = Verifier::parse(text(vkey)?).map_err(|error| match error {
        NoteError::Malformed(why) => why,
        _ => "the key can't be read",
    })?;
    if key.kind() != kind {
        return Err("the key is of another kind: logs sign with 0x01, witnesses with 0x04");
    }
    Ok(Known { key, url: url.map(text).transpose()?.map(str::to_owned) })
}

/// Two keys of different names may be one.
fn unlike(others: &[Known], new: &Known) -> Result<(), &'static str> {
    let twice = others.iter().any(|other| other.key.bytes() == new.key.bytes());
    if twice { Err("its key stands on a line above") } else { Ok(()) }
}

#[cfg(test)]
mod tests;
