//! What a reader keeps between two statements: one small file, by log its key, its last checkpoint, and how far each lot was told.
//!
//! It is what makes a second view of a log, or a line that is left out later, show itself. It holds no secret.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::check::Kept;
use super::file::replace;
use crate::tlog::Checkpoint;
use crate::tlog::hash::{from_base64, to_base64};

/// What is kept of all logs, by origin.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug, Default)]
pub struct Memory(BTreeMap<String, Of>);

/// What is kept of one log.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug, Default)]
#[serde(deny_unknown_fields)]
struct Of {
    /// The keys that it was found to be signed with.
    keys: Vec<String>,
    /// The last statement's checkpoint, without signatures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint: Option<String>,
    /// The newest checkpoint that was seen where the log is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen: Option<String>,
    /// By handle: how many lines, and the root over them.
    #[serde(default)]
    lots: BTreeMap<String, (u64, String)>,
}

impl Memory {
    /// Reads the file; nothing is kept where there is none.
    pub fn read(path: &Path) -> Result<Memory, String> {
        let named = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Memory::default()),
            read => serde_json::from_str(&read.map_err(|error| named(&error))?).map_err(|error| named(&error)),
        }
    }

    /// The keys that are kept of a log.
    pub fn keys(&self, origin: &str) -> &[String] {
        self.0.get(origin).map_or(&[], |of| of.keys.as_slice())
    }

    /// What is kept of the statements of a log. Errors: where the file says something that can't be.
    pub fn of(&self, origin: &str) -> Result<Option<Kept>, String> {
        let Some(of) = self.0.get(origin) else { return Ok(None) };
        let Some(checkpoint) = read(origin, of.checkpoint.as_deref())? else { return Ok(None) };
        let lot = |(handle, (count, root)): (&String, &(u64, String))| Some((handle.clone(), (*count, from_base64(root)?)));
        let lots: Option<BTreeMap<_, _>> = of.lots.iter().map(lot).collect();
        Ok(Some(Kept { checkpoint, lots: lots.ok_or_else(|| broken(origin))? }))
    }

    /// The newest checkpoint that was seen of a log. Errors: as above.
    pub fn seen(&self, origin: &str) -> Result<Option<Checkpoint>, String> {
        read(origin, self.0.get(origin).and_then(|of| of.seen.as_deref()))
    }

    /// Keeps what holds; lots that are kept already and not told now stay.
    pub fn keep(&mut self, kept: &Kept, keys: Vec<String>) {
        let lots = kept.lots.iter().map(|(handle, (count, root))| (handle.clone(), (*count, to_base64(root))));
        let of = self.0.entry(kept.checkpoint.origin.clone()).or_default();
        of.checkpoint = Some(kept.checkpoint.text());
        of.lots.extend(lots);
        of.keys = keys;
    }

    /// Keeps a checkpoint that was seen. The next statement continues the last all the same.
    pub fn see(&mut self, seen: &Checkpoint, keys: Vec<String>) {
        let of = self.0.entry(seen.origin.clone()).or_default();
        of.seen = Some(seen.text());
        of.keys = keys;
    }

    /// Writes the file: at any moment the old is there or the new, whole.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        replace(path, text.as_bytes()).map_err(|error| format!("{}: {error}", path.display()))
    }
}

fn broken(origin: &str) -> String {
    format!("what is kept of {origin} can't be read")
}

fn read(origin: &str, text: Option<&str>) -> Result<Option<Checkpoint>, String> {
    text.map(Checkpoint::parse).transpose().map_err(|_| broken(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kept.json");
        let mut memory = Memory::read(&path).expect("nothing yet");
        let checkpoint = Checkpoint::new("example.org/log", 9, [7; 32]).expect("a checkpoint");
        let kept = Kept { checkpoint, lots: BTreeMap::from([("L".into(), (3, [5; 32]))]) };
        memory.keep(&kept, vec!["key".into()]);
        let seen = Checkpoint::new("example.org/seen", 11, [8; 32]).expect("a checkpoint");
        memory.see(&seen, Vec::new());
        memory.write(&path).expect("written");
        let again = Memory::read(&path).expect("readable");
        assert_eq!((again.of("example.org/log"), again.of("example.org/other")), (Ok(Some(kept)), Ok(None)));
        assert_eq!(again.keys("example.org/log"), ["key"]);
        assert_eq!((again.of("example.org/seen"), again.seen("example.org/seen")), (Ok(None), Ok(Some(seen))));
        fs::write(&path, "{").expect("written");
        assert!(Memory::read(&path).is_err());
    }
}
