//! Usage records by the batch: one JSON document in one commit, or a stream of NDJSON committed chunk by chunk.
//!
//! Each record is judged on its own and in order; the answer is 207 unless the whole request is unreadable. Bounds: 10,000 records
//! and 16 MiB a document; of a stream, [`CHUNK`] records and one line of [`LINE`] bytes are in memory at a time.

use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, BytesMut, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{StreamExt, stream};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use utoipa::ToSchema;

use crate::directory;
use crate::directory::standing::{self, Warrant};
use crate::fields::{Fields, Units};
use crate::http::body::{broken_off, gather, media_type, stated_length};
use crate::http::page::blocking;
use crate::http::permit::Permit;
use crate::http::problem::Problem;
use crate::http::query::{Form, Param, Query};
use crate::id::InstitutionId;
use crate::json;
use crate::refusal::{Code, FieldCode, FieldError, Refusal};
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
/// Bytes that a charge usually takes when it is shown: room asked for beforehand is not copied while it grows.
const SHOWN: usize = 1200;

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
    #[schema(value_type = Vec<RecordResult>)]
    results: Judged,
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
pub struct RecordResult<'r> {
    /// Its place in the batch, from 0.
    index: u64,
    external_id: Option<&'r str>,
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

impl<'r> RecordResult<'r> {
    fn bare(index: u64, external_id: Option<&'r str>, outcome: &'static str) -> RecordResult<'r> {
        RecordResult { index, external_id, outcome, charge: None, id: None, error: None }
    }
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

impl From<&Refusal> for RecordError {
    fn from(refusal: &Refusal) -> RecordError {
        let field = |e: &FieldError| RecordFieldError { pointer: e.pointer.clone(), code: e.code.slug(), detail: e.detail.clone() };
        RecordError {
            code: refusal.code.slug(),
            detail: refusal.detail.clone(),
            params: refusal.params.iter().cloned().collect(),
            errors: refusal.errors.iter().map(field).collect(),
        }
    }
}

/// Parameters of a batch.
pub const BATCH: &[Param] =
    &[Param::one("atomic", Form::OneOf(&["true", "false"])), Param::one("dry_run", Form::OneOf(&["true", "false"]))];

/// How a stream is to be sent: commits are of [`CHUNK`] records. `Prefer` is RFC 7240's.
pub const STREAM: &str = "NDJSON is taken in as it comes and answered as it is committed, 1,000 lines at a time: read the answer while you send, \
    or each side waits for the other. Where a stream breaks off, what was answered stands; send the rest again, and what was committed is a \
    duplicate. `Prefer: return=minimal` leaves out of the answer what was charged within its grant and what had been before.";

/// How a batch is carried out.
#[derive(Clone, Copy)]
struct Manner {
    atomic: bool,
    dry_run: bool,
    minimal: bool,
}

/// Records as they were read.
struct Records {
    /// Those that could be read, in order.
    incoming: Vec<Incoming>,
    /// Of each record in order: why it could not be read, or nothing.
    unread: Vec<Option<Box<Unread>>>,
}

/// A record that could not be read, under the name that it gives itself.
struct Unread {
    external_id: Option<String>,
    refusal: Refusal,
}

impl Records {
    fn with_room_for(count: usize) -> Records {
        Records { incoming: Vec::with_capacity(count), unread: Vec::with_capacity(count) }
    }

    fn add(&mut self, read: Result<Incoming, Unread>) {
        self.unread.push(read.map(|record| self.incoming.push(record)).err().map(Box::new));
    }
}

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
    let mut answer = Vec::with_capacity(results.room() + 400);
    serde_json::to_writer(&mut answer, &UsageBatch { object: "usage_batch", summary, results }).map_err(Problem::internal)?;
    Ok(HttpResponse::build(StatusCode::MULTI_STATUS).content_type("application/json").body(answer))
}

fn prefers_minimal(headers: &HeaderMap) -> bool {
    let given = headers.get_all("prefer").filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).any(|preference| preference.trim().eq_ignore_ascii_case("return=minimal"))
}

fn read_document(body: &[u8], provider: InstitutionId, units: Units<'_>) -> Result<Records, Refusal> {
    let sent = json::parse(body)?;
    let mut f = Fields::of(&sent)?;
    let records = f.list("records", RECORDS);
    let listed = f.make(|| records)?;
    let mut records = Records::with_room_for(listed.len());
    listed.iter().for_each(|record| records.add(read_record(record, provider, units)));
    Ok(records)
}

fn read_record(sent: &json::Value<'_>, provider: InstitutionId, units: Units<'_>) -> Result<Incoming, Unread> {
    match Record::read(sent, units) {
        Ok(record) => Ok(Incoming::new(provider, record)),
        Err(refusal) => {
            let external_id = sent.get("external_id").and_then(json::Value::as_text).map(|text| text.chars().take(180).collect());
            Err(Unread { external_id, refusal })
        }
    }
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
    async fn charge(&self, records: Records, first: u64, summary: &mut Summary) -> Result<Judged, Problem> {
        let unreadable = records.unread.iter().any(Option::is_some);
        // Kept here too: so the writer, for whom everybody waits, has no texts to give back.
        let incoming = Arc::new(records.incoming);
        let outcomes = match self.manner.atomic && unreadable {
            true => Vec::new(),
            false => self.commit(incoming.clone()).await?,
        };
        let undone = self.manner.atomic && (unreadable || outcomes.iter().any(is_culprit));
        let mut outcomes = outcomes.into_iter();
        let judge = |unread| match unread {
            Some(unread) => Verdict::Unread(unread),
            None => Verdict::Read(outcomes.next().filter(|outcome| !undone || is_culprit(outcome))),
        };
        let verdicts: Vec<Verdict> = records.unread.into_iter().map(judge).collect();
        verdicts.iter().for_each(|verdict| summary.count(verdict.word()));
        Ok(Judged { first, incoming, verdicts, minimal: self.manner.minimal })
    }

    /// Charges what could be read; leaves nothing behind for a dry run, or if one culprit spoils an atomic batch.
    async fn commit(&self, incoming: Arc<Vec<Incoming>>) -> Result<Vec<Outcome>, Problem> {
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
}

/// What became of one record.
enum Verdict {
    /// The next of those that could be read; nothing if it was not processed.
    Read(Option<Outcome>),
    Unread(Box<Unread>),
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Verdict::Read(Some(outcome)) => outcome.word(),
            Verdict::Read(None) => "unprocessed",
            Verdict::Unread(_) => "rejected",
        }
    }
}

/// What became of the records of one commit. A result is made when it is written, so that they are never all there at once.
struct Judged {
    first: u64,
    incoming: Arc<Vec<Incoming>>,
    verdicts: Vec<Verdict>,
    minimal: bool,
}

impl Judged {
    /// The results that are to be shown, in order.
    fn results(&self) -> impl Iterator<Item = RecordResult<'_>> {
        let mut incoming = self.incoming.iter();
        let all = (self.first..).zip(&self.verdicts).map(move |(index, verdict)| match verdict {
            Verdict::Read(outcome) => self.result(index, incoming.next(), outcome.as_ref()),
            Verdict::Unread(unread) => RecordResult {
                error: Some(RecordError::from(&unread.refusal)),
                ..RecordResult::bare(index, unread.external_id.as_deref(), verdict.word())
            },
        });
        all.filter(|result| !self.minimal || !matches!(result.outcome, "charged" | "duplicate"))
    }

    fn result<'r>(&self, index: u64, incoming: Option<&'r Incoming>, outcome: Option<&Outcome>) -> RecordResult<'r> {
        let word = outcome.map_or("unprocessed", Outcome::word);
        let mut result = RecordResult::bare(index, incoming.map(|incoming| incoming.record.external_id.as_str()), word);
        match outcome {
            Some(Outcome::Charged(charge)) if !self.minimal => result.charge = Some(ChargeView::from(charge)),
            Some(Outcome::Duplicate(id)) => result.id = Some(id.to_string()),
            Some(Outcome::Conflict(id)) => {
                result.id = Some(id.to_string());
                result.error = Some(RecordError::from(&usage::charge::conflict(*id)));
            }
            Some(Outcome::Quarantined(id, refusal)) => {
                result.id = Some(id.to_string());
                result.error = Some(RecordError::from(refusal));
            }
            Some(Outcome::Rejected(refusal)) => result.error = Some(RecordError::from(refusal)),
            _ => {}
        }
        result
    }

    /// About how long the results are when they are written.
    fn room(&self) -> usize {
        self.verdicts.len() * if self.minimal { 8 } else { SHOWN }
    }
}

impl Serialize for Judged {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.results())
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
        let read = move || {
            let mut records = Records::with_room_for(lines.len());
            lines.iter().for_each(|line| records.add(read_line(line, provider, &|code| units.get(code).copied())));
            records
        };
        let records = blocking(read).await?;
        let (first, count) = (self.next, records.unread.len() as u64);
        let mut summary = std::mem::take(&mut self.summary);
        let judged = self.sender.charge(records, first, &mut summary).await?;
        (self.summary, self.next) = (summary, first + count);
        let mut out = Vec::with_capacity(judged.room() + 400);
        for result in judged.results() {
            write_line(&mut out, &result)?;
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

fn read_line(line: &[u8], provider: InstitutionId, units: Units<'_>) -> Result<Incoming, Unread> {
    if line.len() > LINE {
        let refusal = Refusal::field("", FieldCode::TooLong, "A line is at most 64 KiB.");
        return Err(Unread { external_id: None, refusal });
    }
    match json::parse(line) {
        Ok(sent) => read_record(&sent, provider, units),
        Err(refusal) => Err(Unread { external_id: None, refusal }),
    }
}

fn write_line(out: &mut Vec<u8>, line: &impl Serialize) -> Result<(), Problem> {
    serde_json::to_writer(&mut *out, line).map_err(Problem::internal)?;
    out.push(b'\n');
    Ok(())
}
