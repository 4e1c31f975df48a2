//! Statements over HTTP: made once for the same days of the same, read in three forms.

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use crate::actor::{Actor, Roles};
use crate::fields::Fields;
use crate::http::body::{Json, PathId};
use crate::http::csv;
use crate::http::grain;
use crate::http::page::{self, preferred};
use crate::http::permit::Permit;
use crate::http::query::{Form, Param, Query};
use crate::http::route::Shape;
use crate::id::{self, StatementId};
use crate::refusal::{FieldCode, Refusal};
use crate::reports::statement::{self, Asked, Made, Whom, jobs, rows, store};
use crate::store::{Conn, Fault};
use crate::time::Time;

use super::door::{Answered, App, created, ok, stamps};
use super::scope::{Scope, within};
use super::view::{Span, instant};

/// A statement that was made.
#[derive(Serialize, ToSchema)]
#[schema(as = Statement)]
pub struct StatementView {
    object: &'static str,
    id: String,
    created_at: String,
    /// `donor`, `project` or `provider`.
    kind: &'static str,
    /// Of whom.
    whom: String,
    period: Span,
    /// The last entry of the journal that it tells of.
    seq: i64,
    /// Of its text as `application/json`, byte by byte.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: String,
    /// Who had it made first; told to staff alone.
    made_by: Option<String>,
    /// Where its text is: canonical JSON (RFC 8785), for print, for a spreadsheet.
    json: String,
    html: String,
    csv: String,
}

fn view(made: Made, staff: bool) -> StatementView {
    let at = |form: &str| format!("/v1/statements/{}?format={form}", made.id);
    StatementView {
        object: "statement",
        id: made.id.to_string(),
        created_at: instant(made.id.created_at()),
        kind: made.asked.whom.kind(),
        whom: made.asked.whom.id(),
        period: made.asked.period.into(),
        seq: made.seq,
        made_by: staff.then(|| made.made_by.to_string()),
        json: at("json"),
        html: at("html"),
        csv: at("csv"),
        sha256: made.sha256,
    }
}

/// Filters of the list of statements.
pub const STATEMENTS: &[Param] =
    &[Param::any("donor", Form::Id("dnr")), Param::any("project", Form::Id("prj")), Param::any("provider", Form::Id("ins"))];

/// Lists statements in the order of their making.
pub async fn list_statements<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let asked = [
        stamps(query.ids::<id::Donor>("donor")?),
        stamps(query.ids::<id::Project>("project")?),
        stamps(query.ids::<id::Institution>("provider")?),
    ];
    // Stamps are unique among all objects, so those of all three kinds can stand in one list.
    let asked: Vec<i64> = asked.into_iter().flatten().flatten().collect();
    let asked = (!asked.is_empty()).then_some(asked);
    let look = move |conn: &mut Conn, scope: &Scope, page| {
        let of = store::Of { whom: within(asked.clone(), scope.concerned()), ..store::Of::default() };
        let staff = scope.all();
        Ok(store::statements(conn, &of, page)?.into_iter().map(|made| (made, staff)).collect())
    };
    app.list(&who, &request, &query, look, |_, (made, staff)| Ok((made.id.stamp(), view(made, staff)))).await
}

/// Of whom a statement is to be made, and over which days: one of the three.
#[derive(ToSchema)]
#[schema(as = NewStatement)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct StatementBody {
    #[schema(pattern = "^dnr_[0-9a-hjkmnp-tv-z]{26}$")]
    donor: Option<String>,
    #[schema(pattern = "^prj_[0-9a-hjkmnp-tv-z]{26}$")]
    project: Option<String>,
    /// An institution that reports usage.
    #[schema(pattern = "^ins_[0-9a-hjkmnp-tv-z]{26}$")]
    provider: Option<String>,
    /// Whole days, UTC, that are over.
    period: DaysIn,
}

/// A half-open span of whole days.
#[derive(ToSchema)]
#[schema(as = NewDays)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct DaysIn {
    /// The begin of the first day.
    #[schema(format = DateTime)]
    from: String,
    /// The begin of the first day after.
    #[schema(format = DateTime)]
    to: String,
}

/// What is answered where the same statement was made before.
pub const MADE_BEFORE: Shape = Shape::of::<StatementView>();

fn asked(body: &Json, now: Time) -> Result<Asked, Refusal> {
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let donor = f.optional().id("donor").map(Whom::Donor);
    let project = f.optional().id("project").map(Whom::Project);
    let provider = f.optional().id("provider").map(Whom::Provider);
    if Whom::KINDS.iter().filter(|kind| f.given(kind)).count() != 1 {
        f.refuse("", FieldCode::Required, "Name one of donor, project and provider.");
    }
    let period = f.period("period");
    let (whom, period) = f.make(|| donor.or(project).or(provider).zip(period))?;
    Asked::new(whom, period, now)
}

/// Makes a statement, unless it was made before.
pub async fn create_statement<const R: u8>(who: Permit<R>, request: HttpRequest, body: Json, app: Data<App>) -> Answered {
    let asked = asked(&body, app.store.clock().now())?;
    let (actor, by_day) = (Actor::clone(&who), grain::asked());
    let admitted = move |conn: &mut Conn, actor: &Actor| -> Result<bool, Fault> {
        let scope = Scope::of(conn, actor, Roles(R))?;
        scope.statement(asked.whom)?;
        Ok(scope.all())
    };
    let reader = actor.clone();
    // Drawn where it keeps nobody from writing; what is recorded then is that it was drawn from there.
    let look = move |conn: &mut Conn| {
        admitted(conn, &reader)?;
        let drawn = statement::draw(conn, &asked)?;
        Ok((drawn.text.seq, drawn.sha256))
    };
    let (seq, sha256) = app.read(look).await?;
    app.once(&who, &request, &body.raw, move |work, person| {
        let staff = admitted(work.sql()?, &actor)?;
        let (made, new) = statement::record(work, person, &asked, seq, &sha256)?;
        let id: StatementId = made.id;
        let view = grain::with(by_day, || view(made, staff));
        if new { created("statements", id, &view) } else { ok(&view) }
    })
    .await
}

/// In which form a statement is read; without it what `Accept` prefers.
pub const FORM: &[Param] = &[Param::one("format", Form::OneOf(&["json", "html", "csv"]))];
/// The media types beside JSON.
pub const FORMS: &[&str] = &[HTML, CSV];
const JSON: &str = "application/json";
const HTML: &str = "text/html";
const CSV: &str = "text/csv";

/// A page that asks for nothing from anywhere and runs nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Reads a statement's text in one of its forms.
pub async fn get_statement<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Statement>,
    request: HttpRequest,
    query: Query,
    app: Data<App>,
) -> Answered {
    let form = match query.text("format") {
        Some("json") => JSON,
        Some("html") => HTML,
        Some("csv") => CSV,
        _ => preferred(&request, "A statement", &[JSON, HTML, CSV])?,
    };
    let actor = Actor::clone(&who);
    let (body, tag) = app
        .read(move |conn| {
            let scope = Scope::of(conn, &actor, Roles(R))?;
            let made = statement::statement(conn, id)?;
            scope.statement(made.asked.whom)?;
            let drawn = statement::read(conn, &made)?;
            let body = match form {
                HTML => statement::page::page(&drawn, &jobs::jobs(conn, &drawn.text)?).into_bytes(),
                CSV => table(&drawn.text, &jobs::jobs(conn, &drawn.text)?),
                _ => drawn.canonical,
            };
            Ok((body, format!("\"{}\"", drawn.sha256)))
        })
        .await?;
    let mut response = HttpResponse::Ok();
    response.insert_header((header::VARY, "Accept"));
    match form {
        HTML => response.content_type("text/html; charset=utf-8").insert_header((header::CONTENT_SECURITY_POLICY, POLICY)),
        CSV => response
            .content_type(page::CSV_WITH_HEAD)
            .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{id}.csv\""))),
        _ => response.content_type(JSON).insert_header((header::ETAG, tag)),
    };
    Ok(response.body(body))
}

/// A statement as a spreadsheet reads it.
pub fn table(text: &statement::Text, jobs: &jobs::Jobs) -> Vec<u8> {
    let mut out = Vec::new();
    rows::rows(text, jobs).for_each(|row| csv::texts(&mut out, &row));
    out
}
