//! Erased records, held to the journal: what is gone is what an entry named, and what stays of it is what was there then.
//!
//! So a record that is blotted out past the program is found, and the key by which a job is never charged again stays bound. Bounds: what stays
//! of every erased record is held in memory until the end.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use crate::directory::erasure::Named;
use crate::id::ChargeId;
use crate::ledger::Entry;
use crate::store::{Conn, Fault};
use crate::usage::QuarantineRow;
use crate::usage::erase::{Kept, store};
use crate::usage::store::ChargeRow;

/// What the journal says is erased.
#[derive(Default)]
pub(super) struct Erased {
    /// By the sequences of the entries.
    entries: BTreeMap<i64, Named>,
    /// The entry that names a charge or a record, by its stamp.
    named: FxHashMap<i64, i64>,
    /// Key and hash of what was met, by its stamp.
    met: FxHashMap<i64, (Vec<u8>, Vec<u8>)>,
    /// Charges whose record is gone, by their stamps.
    gone: BTreeSet<i64>,
}

impl Erased {
    /// Takes the entries in their order.
    pub fn pass(&mut self, entry: &Entry) {
        if let Some(named) = Named::of(entry).filter(|named| named.person.is_none()) {
            self.named.extend(named.charges.iter().chain(&named.records).map(|stamp| (*stamp, entry.seq)));
            self.entries.insert(entry.seq, named);
        }
    }

    /// Whether a charge's record is gone. Entries that come later may name it: whether one does is told at the end.
    pub fn meets(&mut self, row: &ChargeRow) -> bool {
        if row.is_erased() {
            self.met.insert(row.id, (row.usage_key.to_vec(), row.digest.to_vec()));
            self.gone.insert(row.id);
        }
        row.is_erased()
    }

    /// Whether the records of charges that are gone are those that entries name, once all of both were met.
    pub fn charges(&self) -> Vec<Result<(), String>> {
        let named: BTreeSet<i64> = self.entries.values().flat_map(|named| &named.charges).copied().collect();
        let held = |stamp: &i64| match self.gone.contains(stamp) && named.contains(stamp) {
            true => Ok(()),
            false => Err(format!("the record of {} is not what the journal says was erased", ChargeId::from_stamp(*stamp))),
        };
        self.gone.union(&named).map(held).collect()
    }

    /// Whether a record of the quarantine is gone as the journal says, or there as it does not; `None` where it is there and nothing is said.
    pub fn record(&mut self, row: &QuarantineRow) -> Option<bool> {
        self.met(row.id, row.is_erased(), &row.usage_key, &row.digest)
    }

    fn met(&mut self, stamp: i64, gone: bool, key: &[u8], digest: &[u8]) -> Option<bool> {
        let named = self.named.contains_key(&stamp);
        if !gone && !named {
            return None;
        }
        self.met.insert(stamp, (key.to_vec(), digest.to_vec()));
        Some(gone && named)
    }

    /// Whether what stays is what stayed, erasure by erasure, once all rows were met.
    pub fn end(&mut self, conn: &mut Conn) -> Result<Vec<Result<(), String>>, Fault> {
        let mut metered: FxHashMap<i64, String> = FxHashMap::default();
        let mut found = Vec::new();
        for (stamp, seq, text) in store::all(conn)? {
            let told = self.named.get(&stamp) == Some(&seq);
            found.push(if told {
                Ok(())
            } else {
                Err(format!("{stamp} is in the table of what is erased, and entry {seq} does not name it"))
            });
            metered.insert(stamp, text);
        }
        for (seq, named) in &self.entries {
            let stays = |stamp: &i64| {
                let ((key, digest), metered) = self.met.get(stamp).zip(metered.get(stamp))?;
                Some(Kept { id: *stamp, key, digest, metered })
            };
            let all: Option<Vec<Kept<'_>>> = named.charges.iter().chain(&named.records).map(stays).collect();
            let same = all.is_some_and(|all| Kept::hash(all.into_iter()) == named.kept);
            found.push(if same { Ok(()) } else { Err(format!("what stays of what entry {seq} erased is not what stayed then")) });
        }
        Ok(found)
    }
}
