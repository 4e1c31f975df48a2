//! Usage records by the batch: one JSON document in one commit, or a stream of NDJSON committed chunk by chunk.
//!
//! Each record is judged on its own and in order; the answer is 207 unless the whole request is unreadable. Bounds: 10,000 records
//! and 16 MiB a document; of a stream, [`CHUNK`] records and one line of [`LINE`] bytes are in memory at a time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, BytesMut, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

use crate::directory;
use crate::directory::standing::{self, Warrant};
use crate::fields::Fields;
use crate::http::body::{broken_off, gather, media_type, stated_length};
use crate::http::page::blocking;
use crate::http::permit::Permit;
use crate::http::problem::Problem;
use crate::http::query::{Form, Param, Query};
use crate::id::InstitutionId;
use crate::json;
use crate::refusal::{Code, FieldCode, Refusal};
use crate::store::{Fault, Work};
use crate::usage::{self, Incoming, Outcome, Record};

use super::door::{Answered, App};
use super::usage::{ChargeView, UsageBody, provider_of};

/// Records in one JSON document.
const RECORDS: usize = 10_000;
/// Bytes of one JSON document.
const DOCUMENT: usize = 16 << 20;
/// Records of a stream in one commit.
const CHUNK: usize = 1000;
/// Bytes of one line of a stream.
const LINE: usize = 64 << 10;

/// Usage records to be charged, each on its own.
#[derive(ToSchema)]
#[schema(as = NewUsageBatch)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct BatchBody {
    #[schema(max_items = 10000)]
    records: Vec<UsageBody>,
}

/// What became of a batch.
#[derive(Serialize, ToSchema)]
pub struct UsageBatch {
    object: &'static str,
    summary: Summary,
    results: Vec<RecordResult>,
}

/// How many records had which outcome.
#[derive(Serialize, ToSchema, Default, Clone)]
pub struct Summary {
    records: u64,
    charged: u64,
    duplicate: u64,
    conflict: u64,
    overdrawn: u64,
    rejected: u64,
    quarantined: u64,
    unprocessed: u64,
    dry_run: bool,
    atomic: bool,
}

impl Summary {
    fn count(&mut self, outcome: &str) {
        self.records += 1;
        let place = match outcome {
            "charged" => &mut self.charged,
            "duplicate" => &mut self.duplicate,
            "conflict" => &mut self.conflict,
            "overdrawn" => &mut self.overdrawn,
            "rejected" => &mut self.rejected,
            "quarantined" => &mut self.quarantined,
            _ => &mut self.unprocessed,
        };
        *place += 1;
    }
}

/// What became of one record.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageResult)]
pub struct RecordResult {
    /// Its place in the batch, from 0.
    index: u64,
    external_id: Option<String>,
    /// `charged`, `duplicate`, `conflict`, `overdrawn`, `rejected`, `quarantined` or `unprocessed`.
    outcome: &'static str,
    /// The charge, if it was made now.
    #[serde(skip_serializing_if = "Option::is_none")]
    charge: Option<ChargeView>,
    /// The charge that was made before, or the record in quarantine.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RecordError>,
}

/// Why a record was not charged.
#[derive(Serialize, ToSchema)]
pub struct RecordError {
    code: &'static str,
    detail: String,
    params: BTreeMap<&'static str, String>,
    errors: Vec<RecordFieldError>,
}

/// One field of a record at fault.
#[derive(Serialize, ToSchema)]
pub struct RecordFieldError {
    pointer: String,
    code: &'static str,
    detail: String,
}

impl From<Refusal> for RecordError {
    fn from(refusal: Refusal) -> RecordError {
        let field = |e: crate::refusal::FieldError| RecordFieldError { pointer: e.pointer, code: e.code.slug(), detail: e.detail };
        RecordError {
            code: refusal.code.slug(),
            detail: refusal.detail,
            params: refusal.params.into_iter().collect(),
            errors: refusal.errors.into_iter().map(field).collect(),
        }
    }
}

/// Parameters of a batch.
pub const BATCH: &[Param] =
    &[Param::one("atomic", Form::OneOf(&["true", "false"])), Param::one("dry_run", Form::OneOf(&["true", "false"]))];

/// How a batch is carried out.
#[derive(Clone, Copy)]
struct Manner {
    atomic: bool,
    dry_run: bool,
    minimal: bool,
}

/// A record as it was read.
type Read = (Option<String>, Result<Incoming, Refusal>);

/// Charges a batch of usage records.
pub async fn charge_batch<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, payload: Payload, app: Data<App>) -> Answered {
    let provider = provider_of(&who)?;
    let minimal = prefers_minimal(request.headers());
    let manner = Manner { atomic: query.is_true("atomic"), dry_run: query.is_true("dry_run"), minimal };
    let sender = Sender { warrant: who.warrant(), provider, manner, app };
    if media_type(&request, "application/x-ndjson").is_ok() {
        if manner.atomic {
            return Err(Problem::new(
                Code::InvalidParameter,
                "A stream is committed in chunks and can't be atomic; send one JSON document.",
            ));
        }
        return Ok(stream_answer(sender, payload));
    }
    media_type(&request, "application/json")?;
    let too_large = || "A batch is at most 16 MiB; a stream of NDJSON has no limit.".into();
    let body = gather(payload, stated_length(&request), DOCUMENT, too_large).await?;
    let units = sender.app.units().await?;
    let records = blocking(move || read_document(&body, provider, &|code| units.get(code).copied())).await??;
    let mut summary = Summary { dry_run: manner.dry_run, atomic: manner.atomic, ..Summary::default() };
    let results = sender.charge(records, 0, &mut summary).await?;
    Ok(HttpResponse::build(StatusCode::MULTI_STATUS).json(UsageBatch { object: "usage_batch", summary, results }))
}

fn prefers_minimal(headers: &HeaderMap) -> bool {
    let given = headers.get_all("prefer").filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).any(|preference| preference.trim().eq_ignore_ascii_case("return=minimal"))
}

fn read_document(body: &[u8], provider: InstitutionId, units: crate::fields::Units<'_>) -> Result<Vec<Read>, Refusal> {
    let sent = json::parse(body)?;
    let mut f = Fields::of(&sent)?;
    let records = f.list("records", RECORDS);
    let records = f.make(|| records)?;
    Ok(records.iter().map(|record| read_record(record, provider, units)).collect())
}

fn read_record(sent: &json::Value<'_>, provider: InstitutionId, units: crate::fields::Units<'_>) -> Read {
    let external_id = sent.get("external_id").and_then(json::Value::as_text).map(|text| text.chars().take(180).collect());
    (external_id, Record::read(sent, units).map(|record| Incoming::new(provider, record)))
}

/// Who sends records, and how they are to be charged.
struct Sender {
    warrant: Warrant,
    provider: InstitutionId,
    manner: Manner,
    app: Data<App>,
}

impl Sender {
    /// Charges records in one commit; `first` is the index of the first.
    async fn charge(&self, records: Vec<Read>, first: u64, summary: &mut Summary) -> Result<Vec<RecordResult>, Problem> {
        let mut incoming = Vec::with_capacity(records.len());
        let mut refused = |(external_id, read): Read| (external_id, read.map(|record| incoming.push(record)).err());
        let records: Vec<(Option<String>, Option<Refusal>)> = records.into_iter().map(&mut refused).collect();
        let unreadable = incoming.len() < records.len();
        let mut outcomes = match self.manner.atomic && unreadable {
            true => VecDeque::new(),
            false => self.commit(incoming).await?.into(),
        };
        let undone = self.manner.atomic && (unreadable || outcomes.iter().any(is_culprit));
        let mut results = Vec::with_capacity(records.len());
        for (index, (external_id, refusal)) in (first..).zip(records) {
            let outcome = match refusal {
                None => outcomes.pop_front(),
                Some(refusal) => Some(Outcome::Rejected(refusal)),
            };
            let result = self.result(index, external_id, outcome.filter(|outcome| !undone || is_culprit(outcome)));
            summary.count(result.outcome);
            if !self.manner.minimal || !matches!(result.outcome, "charged" | "duplicate") {
                results.push(result);
            }
        }
        Ok(results)
    }

    /// Charges what could be read; leaves nothing behind for a dry run, or if one culprit spoils an atomic batch.
    async fn commit(&self, incoming: Vec<Incoming>) -> Result<Vec<Outcome>, Problem> {
        let (rule, warrant, provider, manner) = (self.app.access.rule().clone(), self.warrant.clone(), self.provider, self.manner);
        let seen: Arc<Mutex<Vec<Outcome>>> = Arc::default();
        let seen_here = seen.clone();
        let weight = incoming.len().max(1);
        let command = move |work: &mut Work<'_>| {
            standing::recheck(work, &rule, &warrant)?;
            let person = directory::person_for(work, &warrant.actor)?;
            let outcomes = usage::charge(work, person, provider, &incoming)?;
            if manner.dry_run || (manner.atomic && outcomes.iter().any(is_culprit)) {
                *seen_here.lock().unwrap_or_else(PoisonError::into_inner) = outcomes;
                return Err(Fault::Undone);
            }
            Ok(outcomes)
        };
        match self.app.store.submit(weight, command)?.arrive().await {
            Err(Fault::Undone) => Ok(std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner))),
            outcomes => Ok(outcomes?),
        }
    }

    fn result(&self, index: u64, external_id: Option<String>, outcome: Option<Outcome>) -> RecordResult {
        let word = outcome.as_ref().map_or("unprocessed", Outcome::word);
        let mut result = RecordResult { index, external_id, outcome: word, charge: None, id: None, error: None };
        match outcome {
            Some(Outcome::Charged(charge)) if !self.manner.minimal => result.charge = Some(ChargeView::from(charge.as_ref())),
            Some(Outcome::Duplicate(id)) => result.id = Some(id.to_string()),
            Some(Outcome::Conflict(id)) => {
                result.id = Some(id.to_string());
                result.error = Some(usage::charge::conflict(id).into());
            }
            Some(Outcome::Quarantined(id, refusal)) => {
                result.id = Some(id.to_string());
                result.error = Some(refusal.into());
            }
            Some(Outcome::Rejected(refusal)) => result.error = Some(refusal.into()),
            _ => {}
        }
        result
    }
}

/// Whether a record keeps an atomic batch from being committed.
fn is_culprit(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Conflict(_) | Outcome::Quarantined(..) | Outcome::Rejected(_))
}

/// A stream of NDJSON between two chunks.
struct Incomings {
    sender: Sender,
    payload: Payload,
    buffer: BytesMut,
    /// The rest of a line that is too long is passed over.
    skipping: bool,
    ended: bool,
    next: u64,
    summary: Summary,
}

fn stream_answer(sender: Sender, payload: Payload) -> HttpResponse {
    let summary = Summary { dry_run: sender.manner.dry_run, ..Summary::default() };
    let start = Incomings { sender, payload, buffer: BytesMut::new(), skipping: false, ended: false, next: 0, summary };
    let parts = stream::unfold(Some(start), |state| async {
        let mut state = state?;
        match state.step().await {
            Ok(bytes) if state.ended && state.buffer.is_empty() => Some((Ok(bytes), None)),
            Ok(bytes) => Some((Ok(bytes), Some(state))),
            // What was answered is committed; the cut tells the client that the rest is not known.
            Err(problem) => Some((Err(problem.0), None)),
        }
    });
    HttpResponse::build(StatusCode::MULTI_STATUS).insert_header((header::CONTENT_TYPE, "application/x-ndjson")).streaming(parts)
}

impl Incomings {
    /// Charges one chunk and gives its result lines; at the end of the stream the summary line too.
    async fn step(&mut self) -> Result<Bytes, Problem> {
        let lines = self.lines().await?;
        let units = self.sender.app.units().await?;
        let provider = self.sender.provider;
        let read = move || lines.iter().map(|line| read_line(line, provider, &|code| units.get(code).copied())).collect::<Vec<_>>();
        let records = blocking(read).await?;
        let (first, count) = (self.next, records.len() as u64);
        let mut summary = std::mem::take(&mut self.summary);
        let results = self.sender.charge(records, first, &mut summary).await?;
        (self.summary, self.next) = (summary, first + count);
        let mut out = Vec::with_capacity(results.len() * 200);
        for result in &results {
            write_line(&mut out, result)?;
        }
        if self.ended && self.buffer.is_empty() {
            write_line(&mut out, &serde_json::json!({"object": "usage_batch", "summary": self.summary}))?;
        }
        Ok(out.into())
    }

    /// The next lines, at most a chunk; blank ones are passed over.
    async fn lines(&mut self) -> Result<Vec<Bytes>, Problem> {
        let mut lines = Vec::with_capacity(CHUNK);
        while lines.len() < CHUNK {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1).freeze();
                let skipped = std::mem::take(&mut self.skipping);
                if !skipped && !line.trim_ascii().is_empty() {
                    lines.push(line);
                }
            } else if self.ended {
                let rest = std::mem::take(&mut self.buffer).freeze();
                if !self.skipping && !rest.trim_ascii().is_empty() {
                    lines.push(rest);
                }
                break;
            } else {
                if self.buffer.len() > LINE {
                    if !std::mem::replace(&mut self.skipping, true) {
                        lines.push(self.buffer.clone().freeze());
                    }
                    self.buffer.clear();
                }
                self.fill().await?;
            }
        }
        Ok(lines)
    }

    async fn fill(&mut self) -> Result<(), Problem> {
        match self.payload.next().await {
            Some(Ok(part)) => self.buffer.extend_from_slice(&part),
            Some(Err(_)) => return Err(broken_off()),
            None => self.ended = true,
        }
        Ok(())
    }
}

fn read_line(line: &[u8], provider: InstitutionId, units: crate::fields::Units<'_>) -> Read {
    if line.len() > LINE {
        return (None, Err(Refusal::field("", FieldCode::TooLong, "A line is at most 64 KiB.")));
    }
    match json::parse(line) {
        Ok(sent) => read_record(&sent, provider, units),
        Err(refusal) => (None, Err(refusal)),
    }
}

fn write_line(out: &mut Vec<u8>, line: &impl Serialize) -> Result<(), Problem> {
    serde_json::to_writer(&mut *out, line).map_err(Problem::internal)?;
    out.push(b'\n');
    Ok(())
}
