//! Composing: an entry of the journal becomes a leaf, with the lines of the lots it touched.
//!
//! The same for who writes the log and for who checks a database against it: the one draws salts, the other has them. Bound: the sub-log of
//! every lot is held in memory, an edge of some hashes each.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::canon::{text, url64};
use super::disclosure::{Desk, Salt, digest, disclose};
use super::entry::{self, Names};
use super::leaf::{self, Leaf};
use super::line::{self, Line, Touch};
use super::sublog::SubLog;
use crate::directory;
use crate::id::{Id, InstitutionId, LotId};
use crate::ledger::handle::{Handles, Of};
use crate::ledger::{Entry, Kind};
use crate::store::{Conn, Fault, Page, SharedText};
use crate::usage::store::ChargeRow;
use crate::usage::{self, Rate};

/// Where the salts of entries and jobs come from.
pub trait Salting {
    /// That of an entry's disclosure.
    fn entry(&mut self) -> Result<Salt, Fault>;
    /// That of a job's, or what its leaf has where it was erased.
    fn job(&mut self) -> Result<Job, Fault>;
}

/// Where the salts of lines come from.
pub trait LineSalting {
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

/// What shuts entries and their jobs in: it needs nothing that came before, so that it may be done apart.
#[derive(Default)]
pub struct Shutter {
    names: Names,
    desk: Desk,
}

/// An entry and its job, shut in.
pub struct Shut {
    entry: Salt,
    /// The digests of both.
    sd: Vec<String>,
    /// The salt of the job, if it has one.
    job: Option<Salt>,
    /// The name of its record, if that can be read.
    record: Option<String>,
    /// Where the job was erased, the nullifier that its leaf has.
    erased: Option<Option<String>>,
}

impl Shutter {
    /// Shuts an entry in.
    pub fn shut(&mut self, entry: &Entry, charge: Option<&ChargeRow>, salts: &mut impl Salting) -> Result<Shut, Fault> {
        let salt = salts.entry()?;
        entry::write_whole(self.desk.open(&salt, entry::ENTRY), entry, charge, &mut self.names);
        let mut shut = Shut { entry: salt, sd: vec![self.desk.shut()], job: None, record: None, erased: None };
        let Some(row) = charge else { return Ok(shut) };
        match salts.job()? {
            Job::Salt(salt) => {
                shut.record = entry::write_job(self.desk.open(&salt, entry::JOB), row).map(Cow::into_owned);
                shut.sd.push(self.desk.shut());
                shut.job = Some(salt);
            }
            Job::Erased(digests, nul) => {
                // Beside the entry's it is the only one.
                let job = digests.into_iter().find(|digest| !shut.sd.contains(digest));
                shut.sd.extend(job);
                shut.erased = Some(nul);
            }
        }
        Ok(shut)
    }
}

/// Lists of rates that are remembered.
const PRICED: usize = 10_000;

/// What leaves are composed with.
pub struct Composer {
    handles: Handles,
    shutter: Shutter,
    desk: Desk,
    resources: FxHashMap<i64, String>,
    rates: FxHashMap<i64, String>,
    /// What lists of rates say together, by the lists as charges have them.
    priced: FxHashMap<SharedText, Option<String>>,
    providers: FxHashMap<i64, Salt>,
    lots: FxHashMap<i64, SubLog>,
    changed: BTreeSet<i64>,
}

impl Composer {
    /// With the handles of the books, and nothing else yet.
    pub fn new(handles: Handles) -> Composer {
        Composer {
            handles,
            shutter: Shutter::default(),
            desk: Desk::default(),
            resources: FxHashMap::default(),
            rates: FxHashMap::default(),
            priced: FxHashMap::default(),
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
            self.priced.clear();
            let of = usage::store::Of { ids: Some(rates), ..Default::default() };
            self.rates.extend(usage::store::rates(conn, &of, Page::ALL)?.into_iter().map(worded));
        }
        Ok(())
    }

    /// Reads from the books what the lines of any charge will say.
    pub fn prepare_all(&mut self, conn: &mut Conn) -> Result<(), Fault> {
        let resources = directory::store::resources(conn, &Default::default(), Page::ALL)?;
        self.resources.extend(resources.into_iter().map(|resource| (resource.id.stamp(), resource.about.name)));
        let rates = usage::store::rates(conn, &Default::default(), Page::ALL)?;
        self.rates.extend(rates.into_iter().map(worded));
        Ok(())
    }

    /// Composes the leaf of an entry, and moves on the sub-logs of its lots.
    pub fn compose<S: Salting + LineSalting>(
        &mut self,
        entry: &Entry,
        charge: Option<&ChargeRow>,
        salts: &mut S,
    ) -> Result<Composed, Fault> {
        let shut = self.shutter.shut(entry, charge, salts)?;
        self.compose_shut(entry, charge, line::touches(entry), shut, salts)
    }

    /// The same of an entry that was shut in, and of which is known what it did to each lot.
    pub fn compose_shut(
        &mut self,
        entry: &Entry,
        charge: Option<&ChargeRow>,
        touches: Option<Vec<Touch>>,
        shut: Shut,
        salts: &mut impl LineSalting,
    ) -> Result<Composed, Fault> {
        let beyond = || Fault::Internal(format!("entry {} is more than 64 bits", entry.seq));
        let rate = charge.and_then(|row| self.rate(row));
        let mut lines = Vec::new();
        let mut digests = Vec::new();
        for touch in touches.ok_or_else(beyond)? {
            let (disclosed, digest) = self.line(entry, charge, rate.as_deref(), touch, salts)?;
            digests.push(digest);
            lines.push(disclosed);
        }
        let Shut { entry: salt, sd, job, record, erased } = shut;
        let nul = match (charge, erased) {
            (_, Some(was)) => was,
            (None, None) => None,
            (Some(row), None) => {
                let known = self.providers.get(&row.provider).zip(record).map(|(secret, record)| entry::nullifier_of(row, &record, secret));
                Some(known.ok_or_else(|| Fault::Internal(format!("{} has no usage record that can be read", row.id())))?)
            }
        };
        let leaf = Leaf::new(entry.kind.word(), sd, digests, nul).text();
        if leaf.len() > leaf::LONGEST {
            return Err(Fault::Internal(format!("entry {} makes a leaf of {} bytes", entry.seq, leaf.len())));
        }
        Ok(Composed { leaf, entry: salt, job, lines })
    }

    /// What priced a charge, in words, as far as it is known.
    fn rate(&mut self, row: &ChargeRow) -> Option<String> {
        if let Some(known) = self.priced.get(&row.rates) {
            return known.clone();
        }
        let stamps = row.rates();
        let rates: Vec<&str> = stamps.iter().filter_map(|id| self.rates.get(&id.stamp())).map(String::as_str).collect();
        let told = (!rates.is_empty()).then(|| rates.join(", "));
        if self.priced.len() < PRICED {
            self.priced.insert(row.rates.clone(), told.clone());
        }
        told
    }

    /// A line of a lot, and its digest.
    fn line(
        &mut self,
        entry: &Entry,
        charge: Option<&ChargeRow>,
        rate: Option<&str>,
        touch: Touch,
        salts: &mut impl LineSalting,
    ) -> Result<(Disclosed, String), Fault> {
        let Touch { lot, change, unit } = touch;
        let handles = &self.handles;
        let log = self.lots.entry(lot).or_insert_with(|| SubLog::new(handles.name(Of::Lot(lot)), unit));
        let unbalanced = |_| Fault::Internal(format!("entry {} leaves {} with less than nothing", entry.seq, LotId::from_stamp(lot)));
        let (n, balance) = log.take(change.into()).map_err(unbalanced)?;
        let (day, effective) = (entry.recorded_at.day(), entry.effective_at.day());
        let line = Line {
            amount: change.into(),
            balance,
            class: entry.kind.word(),
            effective: (effective != day).then_some(effective),
            day,
            handle: handles.name(Of::Line(lot, entry.seq)),
            lot: &log.handle,
            n,
            rate,
            resource: charge.and_then(|row| self.resources.get(&row.resource)).map(String::as_str),
            unit: &unit,
        };
        line.write(self.desk.open(&salts.line(lot, n)?, line::NAME));
        let digest = self.desk.shut();
        log.add(&digest);
        self.changed.insert(lot);
        Ok((Disclosed { lot, n, disclosure: self.desk.text().to_owned() }, digest))
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

/// A rate in the words of lines, by its stamp.
fn worded(rate: Rate) -> (i64, String) {
    (rate.id.stamp(), format!("{} {}", rate.about.meter, rate.about.price))
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
