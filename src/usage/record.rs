//! Usage records: what a provider says of one job, as it was sent.
//!
//! Pure. A record's natural key is the provider and the `external_id`; whether a repeat is equal is judged on what was sent, in a
//! canonical form in which `12.5` and `12.50` are the same, never on the price.

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::said::Said;
use crate::amount::Amount;
use crate::fields::{Fields, Units};
use crate::id::{GrantId, HoldId, InstitutionId, ResourceId};
use crate::json;
use crate::refusal::{FieldCode, Refusal};
use crate::store::SharedText;
use crate::time::Time;

/// What a provider says of one job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The provider's name for it, for ever.
    pub external_id: String,
    /// The grant, if it is named.
    pub grant: Option<GrantId>,
    /// The scheduler's account, or the project's external id, by which the grant is found.
    pub account: Option<String>,
    /// What it ran on.
    pub resource: ResourceId,
    /// What was used.
    pub used: Used,
    /// Quality of service, as rates may ask.
    pub qos: Option<String>,
    /// When it began.
    pub started_at: Option<Time>,
    /// When it ended: the moment that decides grant, lots and rate.
    pub ended_at: Time,
    /// The provider's name for the user.
    pub user: Option<String>,
    /// The hold that it draws on, if it is named.
    pub hold: Option<HoldId>,
    /// Which increment of the job it states, from 1; `None` for the job's total.
    pub part: Option<i32>,
    /// The job.
    pub job: Job,
}

/// What was used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Used {
    /// So much of each meter, sorted by meter; priced by the rates in force.
    Metered(Vec<(String, Decimal)>),
    /// An amount that the provider has priced.
    Priced(Amount),
}

/// How the provider's scheduler knows the job.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Job {
    /// The cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The job's number there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// How it ended: `COMPLETED`, `NODE_FAIL`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// The most meters one record may have.
const METERS: usize = 32;

impl Record {
    /// When the job began, as far as the record says.
    pub fn began_at(&self) -> Time {
        self.started_at.unwrap_or(self.ended_at)
    }

    /// Reads a record in the form of the API. Errors: `validation_failed` with every field at fault.
    pub fn read(sent: &json::Value<'_>, units: Units<'_>) -> Result<Record, Refusal> {
        let mut f = Fields::of(sent)?;
        let external_id = f.text("external_id", 180);
        let grant = f.optional().id("grant");
        let account = f.optional().text("account", 180);
        let resource = f.id("resource");
        let used = used(&mut f, units);
        let qos = f.optional().text("qos", 60);
        let started_at = f.optional().time("started_at");
        let ended_at = f.time("ended_at");
        let user = f.optional().text("user", 180);
        let hold = f.optional().id("hold");
        let part = f.optional().whole("part", 1..=i64::from(i32::MAX)).and_then(|number| i32::try_from(number).ok());
        let job = f.optional().object("job", |j| {
            let cluster = j.optional().text("cluster", 180).map(String::from);
            let id = j.optional().text("id", 180).map(String::from);
            let state = j.optional().text("state", 60).map(String::from);
            Some(Job { cluster, id, state })
        });
        if let (Some(start), Some(end)) = (started_at, ended_at)
            && end < start
        {
            f.refuse("ended_at", FieldCode::PeriodInverted, "A job ends after it has started.");
        }
        f.make(|| {
            Some(Record {
                external_id: external_id?.into(),
                grant,
                account: account.map(String::from),
                resource: resource?,
                used: used?,
                qos: qos.map(String::from),
                started_at,
                ended_at: ended_at?,
                user: user.map(String::from),
                hold,
                part,
                job: job.unwrap_or_default(),
            })
        })
    }

    /// The record as JSON in one form only: fixed order, normal decimals, nothing that is absent.
    pub fn canonical(&self) -> String {
        self.text(&|form| form)
    }

    /// The same without what a charge has in columns of its own: what it ran on, when it ended, and, where that is what was charged, the
    /// grant that it names.
    fn beside_columns(&self, charged: Option<GrantId>) -> String {
        let grant = self.grant.map(|grant| if Some(grant) == charged { Named::Charged } else { Named::Other(grant) });
        self.text(&|form| Canonical { grant: grant.clone(), resource: None, ended_at: None, ..form })
    }

    fn text<'r>(&'r self, form: &dyn Fn(Canonical<'r>) -> Canonical<'r>) -> String {
        let (quantities, amount) = match &self.used {
            Used::Metered(meters) => (Some(Quantities(meters)), None),
            Used::Priced(amount) => (None, Some(Priced { value: amount.to_string(), unit: amount.unit.code() })),
        };
        let text = serde_json::to_string(&form(Canonical {
            external_id: &self.external_id,
            part: self.part,
            grant: self.grant.map(Named::Other),
            account: self.account.as_deref(),
            hold: self.hold,
            resource: Some(self.resource),
            quantities,
            amount,
            qos: self.qos.as_deref(),
            started_at: self.started_at,
            ended_at: Some(self.ended_at),
            user: self.user.as_deref(),
            job: (self.job != Job::default()).then_some(&self.job),
        }));
        // Nothing in it can fail to be written: texts, and maps with texts for keys.
        text.unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Canonical<'r> {
    external_id: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<HoldId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<ResourceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantities: Option<Quantities<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Priced<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qos: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'r Job>,
}

/// The grant that a record names: told, or `true` for the one that it was charged to.
#[derive(Clone)]
enum Named {
    Other(GrantId),
    Charged,
}

impl Serialize for Named {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Named::Other(grant) => grant.serialize(serializer),
            Named::Charged => serializer.serialize_bool(true),
        }
    }
}

/// The record of a charge as it was sent, from what is kept of it and the charge's own columns.
pub(super) fn whole(said: &str, grant: GrantId, resource: ResourceId, ended_at: Time) -> Value {
    let mut whole: Value = serde_json::from_str(said).unwrap_or_default();
    if let Some(fields) = whole.as_object_mut() {
        if let Some(named) = fields.get_mut("grant").filter(|named| named.is_boolean()) {
            *named = grant.to_string().into();
        }
        fields.insert("resource".into(), resource.to_string().into());
        fields.insert("ended_at".into(), ended_at.to_string().into());
    }
    whole
}

#[derive(Serialize)]
struct Priced<'r> {
    value: String,
    unit: &'r str,
}

struct Quantities<'r>(&'r [(String, Decimal)]);

impl Serialize for Quantities<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(meter, quantity)| (meter, quantity.normalize().to_string())))
    }
}

/// Reads `quantities` or `amount`, of which one must be there.
pub fn used(f: &mut Fields<'_, '_>, units: Units<'_>) -> Option<Used> {
    match (f.given("quantities"), f.given("amount")) {
        (true, true) => {
            f.optional().decimals("quantities", METERS);
            f.optional().amount("amount", units);
            f.refuse("amount", FieldCode::NotAllowed, "A record has quantities or an amount, not both.");
            None
        }
        (_, true) => {
            // `null` beside it says nothing; it is read so that the field counts as known.
            f.optional().decimals("quantities", METERS);
            f.amount("amount", units).map(Used::Priced)
        }
        _ => {
            f.optional().amount("amount", units);
            let mut meters: Vec<(String, Decimal)> =
                f.decimals("quantities", METERS)?.into_iter().map(|(meter, quantity)| (meter.to_owned(), quantity)).collect();
            meters.sort();
            match meters.iter().find(|(meter, _)| !is_meter(meter)) {
                Some((meter, _)) => {
                    let shown: String = meter.chars().take(40).collect();
                    f.refuse("quantities", FieldCode::Malformed, format!("{shown:?} is no meter; one is named like gpu-hour."));
                    None
                }
                None => Some(Used::Metered(meters)),
            }
        }
    }
}

/// Whether a text names a meter: 1–40 of `a-z 0-9 - _ .`, beginning with a letter.
pub fn is_meter(text: &str) -> bool {
    let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    (1..=40).contains(&text.len()) && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(rest)
}

/// The provider's name for a record, of what is kept of it.
pub(super) fn external_id(said: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Named<'r> {
        #[serde(borrow)]
        external_id: Cow<'r, str>,
    }
    match Said::read(said) {
        Some(said) => Some(Cow::Borrowed(said.external_id())),
        None => serde_json::from_str(said).ok().map(|named: Named<'_>| named.external_id),
    }
}

/// The same, and which part of the job it states, 0 for the total.
pub(super) fn named(said: &str) -> Option<(Cow<'_, str>, i32)> {
    #[derive(Deserialize)]
    struct Named<'r> {
        #[serde(borrow)]
        external_id: Cow<'r, str>,
        part: Option<i32>,
    }
    match Said::read(said) {
        Some(said) => Some((Cow::Borrowed(said.external_id()), said.part().map_or(Some(0), |part| part.parse().ok())?)),
        None => serde_json::from_str(said).ok().map(|named: Named<'_>| (named.external_id, named.part.unwrap_or(0))),
    }
}

/// A record made ready for the writer: everything that needs no look at the books.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// What was sent.
    pub record: Record,
    /// The narrow form of the natural key: see [`key`].
    pub key: [u8; 16],
    /// SHA-256 of all that was sent but the hold, cut to 128 bits.
    pub digest: [u8; 16],
    /// What a charge keeps of it, as long as it is charged to the grant that it names.
    said: SharedText,
}

impl Incoming {
    /// Makes a record of a provider ready.
    pub fn new(provider: InstitutionId, mut record: Record) -> Incoming {
        let key = key(provider, &record.external_id);
        // Which hold pays is no part of what was used: the same record is the same whichever door it comes through.
        let hold = record.hold.take();
        let mut said: SharedText = record.beside_columns(record.grant).into();
        let columns = [record.grant.map_or(0, GrantId::stamp), record.resource.stamp(), record.ended_at.micros()];
        let hash = columns.iter().fold(Sha256::new(), |hash, column| hash.chain_update(column.to_be_bytes()));
        let digest = short(hash.chain_update(said.as_bytes()));
        if hold.is_some() {
            record.hold = hold;
            said = record.beside_columns(record.grant).into();
        }
        Incoming { record, key, digest, said }
    }

    /// What a charge to a grant keeps of it beside its other columns.
    pub fn said(&self, charged: GrantId) -> SharedText {
        match self.record.grant {
            Some(named) if named != charged => self.record.beside_columns(Some(charged)).into(),
            _ => self.said.clone(),
        }
    }

    /// Which record of the job it is, as the database has it: 0 for the total.
    pub fn part(&self) -> i32 {
        self.record.part.unwrap_or(0)
    }
}

/// The narrow natural key of a provider's record: 128 bits of a hash of both.
pub fn key(provider: InstitutionId, external_id: &str) -> [u8; 16] {
    short(Sha256::new().chain_update(provider.stamp().to_be_bytes()).chain_update(external_id))
}

fn short(hash: Sha256) -> [u8; 16] {
    let mut cut = [0; 16];
    cut.copy_from_slice(&hash.finalize()[..16]);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Unit;
    use crate::id::Id;
    use serde_json::json;

    fn usd(code: &str) -> Option<Unit> {
        (code == "USD").then(|| Unit::new("USD", 6)).flatten()
    }

    fn read(value: &Value) -> Result<Record, Refusal> {
        Record::read(&json::parse(value.to_string().as_bytes())?, &usd)
    }

    fn sample() -> Value {
        json!({"external_id": "lab:1", "resource": ResourceId::from_stamp(7_000), "quantities": {"gpu-hour": "12.50"},
               "ended_at": "2026-03-02T10:00:00Z", "job": {"id": "1"}})
    }

    #[test]
    fn what_is_written_reads_back_as_the_same_record() {
        let record = read(&sample()).expect("readable");
        let written = serde_json::from_str(&record.canonical()).expect("JSON");
        assert_eq!(read(&written), Ok(record));
    }

    #[test]
    fn equal_numbers_are_equal_records_and_other_content_is_not() {
        let made = |v: &Value| Incoming::new(Id::from_stamp(1), read(v).expect("readable"));
        let first = made(&sample());
        let (mut same, mut other) = (sample(), sample());
        same["quantities"]["gpu-hour"] = "12.5".into();
        other["user"] = "u1".into();
        assert_eq!((made(&same).key, made(&same).digest), (first.key, first.digest));
        assert_eq!(made(&other).key, first.key);
        assert_ne!(made(&other).digest, first.digest);
    }

    #[test]
    fn parts_are_records_of_their_own_and_the_hold_is_none_of_the_content() {
        let made = |v: &Value| Incoming::new(Id::from_stamp(1), read(v).expect("readable"));
        let (mut part, mut held) = (sample(), sample());
        part["part"] = 2.into();
        held["hold"] = serde_json::to_value(HoldId::from_stamp(9_000)).expect("a text");
        assert_eq!((made(&part).key, made(&part).part()), (made(&sample()).key, 2));
        assert_ne!(made(&part).digest, made(&sample()).digest);
        assert_eq!(made(&held).digest, made(&sample()).digest);
        let held = made(&held);
        let again = whole(&held.said(GrantId::from_stamp(1)), GrantId::from_stamp(1), held.record.resource, held.record.ended_at);
        assert_eq!(read(&again), Ok(held.record));
        part["part"] = 0.into();
        assert!(read(&part).is_err());
    }

    #[test]
    fn what_a_charge_keeps_and_its_columns_are_the_record() {
        let [named, other] = [5_000, 6_000].map(GrantId::from_stamp);
        for grant in [None, Some(named)] {
            let mut sent = sample();
            if let Some(grant) = grant {
                sent["grant"] = grant.to_string().into();
            }
            let record = read(&sent).expect("readable");
            let incoming = Incoming::new(Id::from_stamp(1), record.clone());
            for charged in [named, other] {
                let again = whole(&incoming.said(charged), charged, record.resource, record.ended_at);
                assert_eq!(read(&again).as_ref(), Ok(&record));
                assert_eq!(again, serde_json::from_str::<Value>(&record.canonical()).expect("JSON"));
            }
        }
    }

    #[test]
    fn what_stands_in_columns_is_content_too() {
        let made = |v: &Value| Incoming::new(Id::from_stamp(1), read(v).expect("readable")).digest;
        for (field, other) in [
            ("resource", ResourceId::from_stamp(8_000).to_string()),
            ("ended_at", "2026-03-02T10:00:01Z".into()),
            ("grant", GrantId::from_stamp(5_000).to_string()),
        ] {
            let mut changed = sample();
            changed[field] = other.into();
            assert_ne!(made(&changed), made(&sample()), "{field}");
        }
    }

    #[test]
    fn every_error_is_reported_at_once() {
        let bad = json!({"external_id": "", "quantities": {"gpu-hour": 12.5}, "ended_at": "yesterday", "extra": 1});
        let refusal = read(&bad).expect_err("unreadable");
        let mut pointers: Vec<&str> = refusal.errors.iter().map(|e| e.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, ["/ended_at", "/external_id", "/extra", "/quantities/gpu-hour", "/resource"]);
    }
}
