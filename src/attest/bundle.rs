//! Bundles: what a donor needs to check a statement alone and offline, in one JSON text.
//!
//! A bundle is made from the log alone, in one snapshot of it: checkpoint, seal, the heads of the donor's lots with their place in the seal,
//! and every line since the seal before, with the leaf that holds it. One cover proves all the leaves. Nothing in it is secret from the
//! donor, and nothing in it tells of a person, a job or an hour. The same types are read by who checks: see `check`.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::keep;
use super::seal::Heads;
use super::store::{self, HeadRow, LineRow};
use super::sublog::SubLog;
use crate::donations;
use crate::id::{DonorId, LotId};
use crate::refusal::Refusal;
use crate::store::{Conn, Fault, Page};
use crate::tlog::Hash;
use crate::tlog::hash::to_base64;
use crate::tlog::proof::prove_inclusion;
use crate::tlog::tree::Grown;
use crate::tlog::{Checkpoint, Note};

/// What the first field of every bundle says.
pub const FORMAT: &str = "almoner-statement/1";

/// A statement that proves itself.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// `FORMAT`.
    pub format: String,
    /// Whose log it is.
    pub origin: String,
    /// Who the statement is for, in words; nothing proves it.
    pub donor: Donor,
    /// What the statement is about, in words; nothing proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Span>,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// The signed checkpoint that the statement continues; `None` where it begins with the lots.
    pub previous: Option<String>,
    /// That the one is the beginning of the other.
    pub consistency: Vec<String>,
    /// The last leaf of the checkpoint, and of the previous.
    pub seals: Vec<Placed>,
    /// The cover of the previous seal in the previous checkpoint's tree.
    pub previous_cover: Vec<String>,
    /// The donor's lots.
    pub lots: Vec<LotPart>,
    /// The cover of the seal and of all leaves of lines in the checkpoint's tree.
    pub cover: Vec<String>,
}

/// Who a statement is for.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub struct Donor {
    /// The donor's identifier.
    pub id: String,
    /// The donor's name.
    pub name: String,
}

/// A span of days.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// The first day.
    pub from: String,
    /// The day after the last.
    pub to: String,
}

/// A leaf at its place.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    /// Its place in the log.
    pub index: String,
    /// Its text.
    pub leaf: String,
}

/// What is told of a lot.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct LotPart {
    /// The head's text.
    pub head: String,
    /// Its place among the heads of the seal.
    pub place: String,
    /// That it is there.
    pub path: Vec<String>,
    /// The head at the previous seal; `None` where the lot's story is told from its first line.
    pub before: Option<Before>,
    /// The lines after that.
    pub lines: Vec<LinePart>,
}

/// A head that was told before.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Before {
    /// The head's text.
    pub head: String,
    /// Its place among the heads of the previous seal.
    pub place: String,
    /// That it is there.
    pub path: Vec<String>,
    /// The right edge of the sub-log's tree: the hashes of its perfect subtrees, from the left.
    pub frontier: Vec<String>,
}

/// A line with the leaf that holds its digest.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub struct LinePart {
    /// The leaf's place in the log.
    pub index: String,
    /// The leaf's text.
    pub leaf: String,
    /// The line's disclosure.
    pub disclosure: String,
}

/// For whom a bundle is made, and from where on.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The donor, as shown.
    pub donor: Donor,
    /// The donor's lots.
    pub lots: Vec<LotId>,
    /// What the statement is about, as shown.
    pub period: Option<Span>,
    /// The size of the checkpoint that it continues: the one the donor keeps.
    pub since: Option<u64>,
}

/// What a donor asks for. Errors: `not_found` where there is no such donor.
pub fn asked(books: &mut Conn, donor: DonorId, since: Option<u64>) -> Result<Asked, Fault> {
    let of = donations::store::Of { ids: Some(vec![donor.stamp()]), ..Default::default() };
    let found = donations::store::donors(books, &of, Page::ALL)?.pop().ok_or_else(Refusal::not_found)?;
    let of = donations::store::Of { donors: Some(vec![donor.stamp()]), ..Default::default() };
    let lots = donations::store::lots(books, &of, Page::ALL)?.into_iter().map(|lot| lot.id).collect();
    Ok(Asked { donor: Donor { id: donor.to_string(), name: found.about.name }, lots, period: None, since })
}

/// The heads that a seal commits to.
struct Sealed {
    size: u64,
    note: String,
    seal: Placed,
    heads: Heads,
    tree: Grown,
    of_lots: HashMap<i64, (HeadRow, SubLog)>,
}

impl Sealed {
    fn read(conn: &mut Conn, size: u64, note: String) -> Result<Sealed, Fault> {
        let index = size.checked_sub(1).ok_or_else(|| Fault::Internal("a checkpoint of nothing was kept".into()))?;
        let leaf = store::leaves(conn, index, size)?.pop().ok_or_else(|| Fault::Internal(format!("leaf {index} is missing")))?.leaf;
        let (mut heads, mut of_lots) = (Heads::default(), HashMap::new());
        for row in store::heads_at(conn, index)? {
            let log = row.sub_log().ok_or_else(|| Fault::Internal("a lot's head in the log is broken".into()))?;
            heads.set(&log.handle, &row.head);
            of_lots.insert(row.lot, (row, log));
        }
        let seal = Placed { index: index.to_string(), leaf };
        Ok(Sealed { size, note, seal, tree: heads.tree(), heads, of_lots })
    }

    /// Where a lot's head is, and that it is there.
    fn place(&mut self, handle: &str) -> Result<(String, Vec<String>), Fault> {
        let missing = || Fault::Internal("a lot's head is not among the heads".into());
        let place = self.heads.place(handle).ok_or_else(missing)?;
        let path = prove_inclusion(place, self.tree.size(), &mut self.tree).map_err(|_| missing())?;
        Ok((place.to_string(), texts(&path)))
    }
}

fn texts(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(to_base64).collect()
}

/// Makes a bundle. Errors: `not_found` where nothing was signed yet, or no checkpoint of the size it is to continue.
pub fn make(conn: &mut Conn, asked: &Asked) -> Result<Bundle, Fault> {
    let (size, note) = store::last_checkpoint(conn)?.ok_or_else(Refusal::not_found)?;
    let mut now = Sealed::read(conn, size.unsigned_abs(), note)?;
    let mut before = match asked.since {
        Some(since) => {
            let note = store::checkpoint(conn, since)?.ok_or_else(Refusal::not_found)?;
            Some(Sealed::read(conn, since, note)?)
        }
        None => None,
    };
    let unproved = || Fault::Internal("the log's own leaves are not in it".into());
    let (mut consistency, mut previous_cover) = (Vec::new(), Vec::new());
    if let Some(before) = &before {
        consistency = keep::consistency(conn, before.size, now.size)?.ok_or_else(unproved)?;
        previous_cover = keep::cover(conn, &[before.size - 1], before.size)?.ok_or_else(unproved)?;
    }
    let mut places = BTreeSet::from([now.size - 1]);
    let mut lots = Vec::new();
    for lot in &asked.lots {
        lots.extend(part(conn, lot.stamp(), &mut now, before.as_mut(), &mut places)?);
    }
    let wanted: Vec<u64> = places.into_iter().collect();
    let cover = keep::cover(conn, &wanted, now.size)?.ok_or_else(unproved)?;
    let origin = Note::parse(&now.note).and_then(|note| Checkpoint::parse(note.text()));
    let origin = origin.map_err(|why| Fault::Internal(format!("a kept checkpoint: {why}")))?.origin;
    let seals = [Some(now.seal), before.as_ref().map(|before| before.seal.clone())].into_iter().flatten().collect();
    Ok(Bundle {
        format: FORMAT.into(),
        origin,
        donor: asked.donor.clone(),
        period: asked.period.clone(),
        checkpoint: now.note,
        previous: before.map(|before| before.note),
        consistency: texts(&consistency),
        seals,
        previous_cover: texts(&previous_cover),
        lots,
        cover: texts(&cover),
    })
}

/// What is told of a lot, if it has lines.
fn part(
    conn: &mut Conn,
    lot: i64,
    now: &mut Sealed,
    before: Option<&mut Sealed>,
    places: &mut BTreeSet<u64>,
) -> Result<Option<LotPart>, Fault> {
    let Some((row, log)) = now.of_lots.remove(&lot) else { return Ok(None) };
    let (place, path) = now.place(&log.handle)?;
    let (mut told, mut from) = (None, 1);
    if let Some(before) = before
        && let Some((row, log)) = before.of_lots.remove(&lot)
    {
        let (place, path) = before.place(&log.handle)?;
        from = log.tree.size() + 1;
        told = Some(Before { head: row.head, place, path, frontier: texts(log.tree.parts().1) });
    }
    let rows = store::lines(conn, lot, from, log.tree.size())?;
    let indices: Vec<i64> = rows.iter().map(|row| row.idx).collect();
    let mut leaves = store::texts(conn, &indices)?;
    places.extend(indices.iter().map(|index| index.unsigned_abs()));
    let line = |row: LineRow| {
        let leaf = leaves.remove(&row.idx).ok_or_else(|| Fault::Internal(format!("leaf {} is missing", row.idx)))?;
        Ok(LinePart { index: row.idx.to_string(), leaf, disclosure: row.disclosure })
    };
    let lines = rows.into_iter().map(line).collect::<Result<_, Fault>>()?;
    Ok(Some(LotPart { head: row.head, place, path, before: told, lines }))
}
