//! Audits over HTTP: each law, when it was last verified and what was found, and whether anything is written still.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::page;
use crate::http::permit::Permit;
use crate::http::query::{Form, Param, Query};
use crate::reports::audit::{self, Audit};
use crate::reports::verify::{Law, Whole};

use super::door::{Answered, App};
use super::view::instant;

/// Every law of the books and of their verifiable log, recomputed from the journal.
#[derive(Serialize, ToSchema)]
#[schema(as = Audit)]
pub struct AuditView {
    object: &'static str,
    /// When the laws were verified.
    ran_at: String,
    holds: bool,
    entries: u64,
    postings: u64,
    laws: Vec<LawView>,
    /// Whether nothing is written any more, because an audit found a law broken.
    read_only: bool,
    /// What it found then, and what to do.
    stopped_because: Option<String>,
}

/// One law and what was found.
#[derive(Serialize, ToSchema)]
#[schema(as = Law)]
pub struct LawView {
    number: u8,
    title: String,
    /// When it was verified.
    ran_at: String,
    checked: u64,
    broken: u64,
    findings: Vec<String>,
}

fn audit_view(audit: Audit) -> AuditView {
    let ran_at = instant(audit.ran_at);
    let law = |law: Law| LawView {
        number: law.number,
        title: law.title.into(),
        ran_at: ran_at.clone(),
        checked: law.checked,
        broken: law.broken,
        findings: law.findings,
    };
    let (holds, entries, postings) = (audit.found.holds(), audit.found.entries, audit.found.postings);
    let laws = audit.found.laws.into_iter().map(law).collect();
    let stopped_because =
        audit.stopped.map(|why| format!("{why}; an operator looks at almoner verify, which lets the writing go on once all laws hold"));
    AuditView { object: "audit", holds, entries, postings, laws, read_only: stopped_because.is_some(), stopped_because, ran_at }
}

/// Parameters of an audit.
pub const AUDIT: &[Param] = &[Param::one("now", Form::OneOf(&["true", "false"]))];

/// Tells what the last audit found; with `now`, and where there was none yet, the laws are verified now.
pub async fn audit<const R: u8>(_who: Permit<R>, query: Query, app: Data<App>) -> Answered {
    let (anew, now) = (query.is_true("now"), app.store.clock().now());
    let last = if anew { None } else { app.read(audit::last).await? };
    let audit = match last {
        Some(audit) => audit,
        None => {
            let auditor = app.logged.auditor.clone();
            let Whole { found, stopped, .. } = page::blocking(move || auditor.verify()).await??;
            Audit { ran_at: now, found, stopped }
        }
    };
    Ok(HttpResponse::Ok().json(audit_view(audit)))
}
