//! Composing: an entry of the journal becomes a leaf, with the lines of the lots it touched.
//!
//! The same for who writes the log and for who checks a database against it: the one draws salts, the other has them. Bound: the sub-log of
//! every lot is held in memory, an edge of some hashes each.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::canon::{decimal, text, url64};
use super::disclosure::{Salt, digest, disclose};
use super::entry::{self, Names};
use super::leaf::{self, Leaf};
use super::line::{self, Line, Touch};
use super::sublog::SubLog;
use crate::directory;
use crate::id::{Id, InstitutionId, LotId};
use crate::ledger::handle::{Handles, Of};
use crate::ledger::{Entry, Kind};
use crate::store::{Conn, Fault, Page};
use crate::usage;
use crate::usage::store::ChargeRow;

/// Where salts come from.
pub trait Salting {
    /// That of an entry's disclosure.
    fn entry(&mut self) -> Result<Salt, Fault>;
    /// That of a job's, or what its leaf has where it was erased.
    fn job(&mut self) -> Result<Job, Fault>;
    /// That of a line of a lot.
    fn line(&mut self, lot: i64, n: u64) -> Result<Salt, Fault>;
}

/// What is known of a job's disclosure.
pub enum Job {
    /// Its salt.
    Salt(Salt),
    /// It was erased: the digests of its leaf, and the nullifier of its usage.
    Erased(Vec<String>, Option<String>),
}

/// A leaf, and what it shuts in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Composed {
    /// The leaf as it is hashed.
    pub leaf: String,
    /// Salt of the entry's disclosure.
    pub entry: Salt,
    /// That of the job's, if it has one.
    pub job: Option<Salt>,
    /// The lines of lots.
    pub lines: Vec<Disclosed>,
}

/// A line of a lot as its donor is told it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Disclosed {
    /// Stamp of the lot.
    pub lot: i64,
    /// Its number there.
    pub n: u64,
    /// The text.
    pub disclosure: String,
}

/// What leaves are composed with.
pub struct Composer {
    handles: Handles,
    names: Names,
    resources: FxHashMap<i64, String>,
    rates: FxHashMap<i64, String>,
    providers: FxHashMap<i64, Salt>,
    lots: FxHashMap<i64, SubLog>,
    changed: BTreeSet<i64>,
}

impl Composer {
    /// With the handles of the books, and nothing else yet.
    pub fn new(handles: Handles) -> Composer {
        Composer {
            handles,
            names: Names::default(),
            resources: FxHashMap::default(),
            rates: FxHashMap::default(),
            providers: FxHashMap::default(),
            lots: FxHashMap::default(),
            changed: BTreeSet::new(),
        }
    }

    /// The handle of a lot.
    pub fn lot_handle(&self, lot: LotId) -> String {
        self.handles.name(Of::Lot(lot.stamp()))
    }

    /// Takes up the sub-log of a lot as it stood.
    pub fn resume(&mut self, lot: i64, log: SubLog) {
        self.lots.insert(lot, log);
    }

    /// Takes up the secret of a provider's nullifiers.
    pub fn meet(&mut self, provider: i64, secret: Salt) {
        self.providers.insert(provider, secret);
    }

    /// Whether a provider's secret is known.
    pub fn knows(&self, provider: i64) -> bool {
        self.providers.contains_key(&provider)
    }

    /// Reads from the books what these charges' lines will say.
    pub fn prepare(&mut self, conn: &mut Conn, charges: &[ChargeRow]) -> Result<(), Fault> {
        let missing = |known: &FxHashMap<i64, String>, stamps: BTreeSet<i64>| -> Vec<i64> {
            stamps.into_iter().filter(|stamp| !known.contains_key(stamp)).collect()
        };
        let resources = missing(&self.resources, charges.iter().map(|row| row.resource).collect());
        if !resources.is_empty() {
            let of = directory::store::Of { ids: Some(resources), ..Default::default() };
            let found = directory::store::resources(conn, &of, Page::ALL)?;
            self.resources.extend(found.into_iter().map(|resource| (resource.id.stamp(), resource.about.name)));
        }
        let rates = missing(&self.rates, charges.iter().flat_map(ChargeRow::rates).map(Id::stamp).collect());
        if !rates.is_empty() {
            let of = usage::store::Of { ids: Some(rates), ..Default::default() };
            for rate in usage::store::rates(conn, &of, Page::ALL)? {
                self.rates.insert(rate.id.stamp(), format!("{} {}", rate.about.meter, rate.about.price));
            }
        }
        Ok(())
    }

    /// Composes the leaf of an entry, and moves on the sub-logs of its lots.
    pub fn compose(&mut self, entry: &Entry, charge: Option<&ChargeRow>, salts: &mut impl Salting) -> Result<Composed, Fault> {
        let beyond = || Fault::Internal(format!("entry {} is more than 64 bits", entry.seq));
        let mut lines = Vec::new();
        let mut digests = Vec::new();
        for touch in line::touches(entry).ok_or_else(beyond)? {
            let disclosed = self.line(entry, charge, touch, salts)?;
            digests.push(digest(&disclosed.disclosure));
            lines.push(disclosed);
        }
        let salt = salts.entry()?;
        let mut sd = vec![digest(&disclose(&salt, entry::ENTRY, &entry::whole(entry, charge, &mut self.names)))];
        let (mut job, mut nul) = (None, None);
        if let Some(row) = charge {
            match salts.job()? {
                Job::Salt(salt) => {
                    sd.push(digest(&disclose(&salt, entry::JOB, &entry::job(row))));
                    let secret = self.providers.get(&row.provider);
                    let known = secret.and_then(|secret| entry::nullifier(row, secret));
                    nul = Some(known.ok_or_else(|| Fault::Internal(format!("{} has no usage record that can be read", row.id())))?);
                    job = Some(salt);
                }
                Job::Erased(digests, was) => {
                    // Beside the entry's it is the only one.
                    sd.extend(digests.into_iter().find(|digest| !sd.contains(digest)));
                    nul = was;
                }
            }
        }
        let leaf = Leaf::new(entry.kind.word(), sd, digests, nul).text();
        if leaf.len() > leaf::LONGEST {
            return Err(Fault::Internal(format!("entry {} makes a leaf of {} bytes", entry.seq, leaf.len())));
        }
        Ok(Composed { leaf, entry: salt, job, lines })
    }

    fn line(&mut self, entry: &Entry, charge: Option<&ChargeRow>, touch: Touch, salts: &mut impl Salting) -> Result<Disclosed, Fault> {
        let Touch { lot, change, unit } = touch;
        let line_handle = self.handles.name(Of::Line(lot, entry.seq));
        let new = (!self.lots.contains_key(&lot)).then(|| self.lot_handle(LotId::from_stamp(lot)));
        let log = self.lots.entry(lot).or_insert_with(|| SubLog::new(new.unwrap_or_default(), unit));
        let unbalanced = |_| Fault::Internal(format!("entry {} leaves {} with less than nothing", entry.seq, LotId::from_stamp(lot)));
        let (n, balance) = log.take(change.into()).map_err(unbalanced)?;
        let rates: Vec<&str> =
            charge.iter().flat_map(|row| row.rates()).filter_map(|id| self.rates.get(&id.stamp())).map(String::as_str).collect();
        let rate = (!rates.is_empty()).then(|| rates.join(", "));
        let (day, effective) = (entry.recorded_at.day(), entry.effective_at.day());
        let line = Line {
            amount: decimal(change.into(), unit.scale()),
            balance: decimal(balance, unit.scale()),
            class: entry.kind.word(),
            effective: (effective != day).then_some(effective),
            day,
            handle: line_handle,
            lot: &log.handle,
            n: n.to_string(),
            rate: rate.as_deref(),
            resource: charge.and_then(|row| self.resources.get(&row.resource)).map(String::as_str),
            unit: unit.code(),
        };
        let disclosure = disclose(&salts.line(lot, n)?, line::NAME, &line.text());
        log.add(&digest(&disclosure));
        self.changed.insert(lot);
        Ok(Disclosed { lot, n, disclosure })
    }

    /// The lots whose sub-logs moved on since this was last asked, in order.
    pub fn take_changed(&mut self) -> Vec<i64> {
        std::mem::take(&mut self.changed).into_iter().collect()
    }

    /// The sub-log of a lot.
    pub fn lot(&self, lot: i64) -> Option<&SubLog> {
        self.lots.get(&lot)
    }

    /// How many lots have lines.
    pub fn lots(&self) -> usize {
        self.lots.len()
    }
}

/// The leaf that commits to a provider's secret, and the disclosure's value.
pub fn provider(provider: InstitutionId, secret: &Salt, salt: &Salt) -> String {
    #[derive(serde::Serialize)]
    struct Secret {
        id: InstitutionId,
        salt: String,
    }
    let value = text(&Secret { id: provider, salt: url64(secret) });
    Leaf::new(leaf::PROVIDER, vec![digest(&disclose(salt, leaf::PROVIDER, &value))], Vec::new(), None).text()
}

/// Whether entries of a kind have a usage record.
pub fn has_job(entry: &Entry) -> bool {
    entry.kind == Kind::Charge
}
