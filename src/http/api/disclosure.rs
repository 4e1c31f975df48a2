//! Disclosure of a project's funding over HTTP, in the forms that papers and registries take.

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use crate::actor::{Actor, Roles};
use crate::directory;
use crate::fields::Fields;
use crate::http::body::{Json, PathId};
use crate::http::permit::Permit;
use crate::http::problem::Problem;
use crate::http::query::{Form, Param, Query};
use crate::id;
use crate::refusal::{Code, Refusal};
use crate::reports::disclosure::{self, DONORS_ROLE, Disclosure, DonationPart, DonorPart, UnitPart, markup, records, ror, words};

use crate::time::{DAY, Time};

use super::door::{Answered, App, made};
use super::scope::Scope;
use super::view::{Money, instant};

/// Which jobs count, and in what form it is told.
pub const DISCLOSURE: &[Param] = &[
    Param::one("from", Form::Time),
    Param::one("to", Form::Time),
    Param::one("format", Form::OneOf(&["json", "text", "text-long", "bibtex", "jats", "crossref", "datacite", "schema-org"])),
];
/// The media types beside JSON.
pub const FORMS: &[&str] = &["text/plain", "application/x-bibtex", "application/xml", "application/ld+json", DATACITE];
const DATACITE: &str = "application/vnd.datacite.datacite+json";

/// Who funded a project's compute.
#[derive(Serialize, ToSchema)]
#[schema(as = Disclosure)]
pub struct DisclosureView {
    object: &'static str,
    project: String,
    title: String,
    from: Option<String>,
    to: Option<String>,
    as_of_on: String,
    units: Vec<FundedUnit>,
    /// Ready for an acknowledgements section.
    text: String,
    /// Sentences that may be added where they are true. Nothing here says that they are.
    offered_statements: Vec<OfferedStatement>,
}

/// What was used in one unit, and who paid.
#[derive(Serialize, ToSchema)]
pub struct FundedUnit {
    unit: String,
    used: Money,
    donors: Vec<FundingDonor>,
    /// Used beyond the grants and paid by nobody.
    uncovered: Option<Uncovered>,
}

/// What one donor paid.
#[derive(Serialize, ToSchema)]
pub struct FundingDonor {
    donor: String,
    name: String,
    ror: Option<String>,
    amount: Money,
    /// Of all that was used in the unit; the shares of a unit add up to 100.00.
    #[schema(pattern = r"^[0-9]{1,3}\.[0-9]{2}$")]
    percent: String,
    /// Absent in what everybody may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    donations: Option<Vec<FundingDonation>>,
}

/// What one donation paid.
#[derive(Serialize, ToSchema)]
pub struct FundingDonation {
    donation: String,
    title: String,
    amount: Money,
    lots: Vec<FundingLot>,
}

/// What one lot paid.
#[derive(Serialize, ToSchema)]
pub struct FundingLot {
    lot: String,
    amount: Money,
}

/// What nobody paid.
#[derive(Serialize, ToSchema)]
pub struct Uncovered {
    amount: Money,
    #[schema(pattern = r"^[0-9]{1,3}\.[0-9]{2}$")]
    percent: String,
}

/// A sentence that is offered.
#[derive(Serialize, ToSchema)]
pub struct OfferedStatement {
    id: &'static str,
    text: &'static str,
    asserted: bool,
}

fn percent(share: i64) -> String {
    words::percent(share).trim_end_matches(" %").to_owned()
}

fn donation_view(part: DonationPart) -> FundingDonation {
    let lots = part.lots.into_iter().map(|lot| FundingLot { lot: lot.lot.to_string(), amount: lot.amount.into() });
    let (donation, title) = (part.donation.id.to_string(), part.donation.about.title);
    FundingDonation { donation, title, amount: part.amount.into(), lots: lots.collect() }
}

fn donor_view(part: DonorPart, whole: bool) -> FundingDonor {
    FundingDonor {
        donor: part.donor.id.to_string(),
        ror: ror(&part.donor),
        name: part.donor.about.name,
        amount: part.amount.into(),
        percent: percent(part.share),
        donations: whole.then(|| part.donations.into_iter().map(donation_view).collect()),
    }
}

fn unit_view(unit: UnitPart, whole: bool) -> FundedUnit {
    FundedUnit {
        unit: unit.unit.code().into(),
        used: unit.used.into(),
        donors: unit.donors.into_iter().map(|part| donor_view(part, whole)).collect(),
        uncovered: unit.uncovered.map(|(amount, share)| Uncovered { amount: amount.into(), percent: percent(share) }),
    }
}

fn view(disclosure: Disclosure, whole: bool) -> DisclosureView {
    DisclosureView {
        object: "disclosure",
        text: words::short(&disclosure).trim_end().into(),
        project: disclosure.project.id.to_string(),
        title: disclosure.project.about.title,
        from: disclosure.from.map(instant),
        to: disclosure.to.map(instant),
        as_of_on: disclosure.as_of.day(),
        units: disclosure.units.into_iter().map(|unit| unit_view(unit, whole)).collect(),
        offered_statements: vec![OfferedStatement { id: "donors_role", text: DONORS_ROLE, asserted: false }],
    }
}

/// The answer in the form asked for; `whole` with lots and donations.
fn told(disclosure: Disclosure, format: &str, whole: bool) -> Answered {
    let [text, bibtex, xml, json_ld] =
        ["text/plain; charset=utf-8", "application/x-bibtex; charset=utf-8", "application/xml", "application/ld+json"];
    let (kind, body) = match format {
        "text" => (text, words::short(&disclosure)),
        "text-long" => (text, words::long(&disclosure)),
        "bibtex" => (bibtex, records::bibtex(&disclosure)),
        "jats" => (xml, markup::jats(&disclosure)),
        "crossref" => (xml, markup::crossref(&disclosure)),
        "datacite" => (DATACITE, records::datacite(&disclosure).to_string()),
        "schema-org" => (json_ld, records::schema_org(&disclosure).to_string()),
        _ => ("application/json", serde_json::to_string(&view(disclosure, whole)).map_err(Problem::internal)?),
    };
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, kind)).body(body))
}

/// A span as everybody may ask for it: whole days that are over, since a finer one would tell when each job ended.
fn by_day(from: Option<Time>, to: Option<Time>, now: Time) -> Result<(Option<Time>, Option<Time>), Refusal> {
    if [from, to].into_iter().flatten().any(|time| time.micros().rem_euclid(DAY) != 0) {
        return Err(Refusal::new(Code::InvalidParameter, "from and to must be the begin of a day, UTC."));
    }
    let today = Time::from_micros(now.micros() - now.micros().rem_euclid(DAY));
    Ok((from, Some(to.map_or(today, |to| to.min(today)))))
}

async fn disclose(app: &App, id: id::ProjectId, query: &Query, who: Option<(Actor, Roles)>) -> Answered {
    let (from, to, now) = (query.time("from"), query.time("to"), app.store.clock().now());
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        return Err(Problem::new(Code::InvalidParameter, "to must come after from."));
    }
    let whole = who.is_some();
    let (from, to) = if whole { (from, to) } else { by_day(from, to, now)? };
    let found = app.read(move |conn| {
        match who {
            Some((actor, roles)) => Scope::of(conn, &actor, roles)?.project(id)?,
            None if disclosure::is_public(conn, id)? => {}
            None => return Err(Refusal::not_found().into()),
        }
        disclosure::disclose(conn, id, from, to, now)
    });
    let found = found.await?;
    told(if whole { found } else { found.by_donor() }, query.text("format").unwrap_or("json"), whole)
}

/// Discloses who funded a project's compute.
pub async fn project_disclosure<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Project>, query: Query, app: Data<App>) -> Answered {
    disclose(&app, id, &query, Some((Actor::clone(&who), Roles(R)))).await
}

/// Discloses it to everybody, once the project has said so.
pub async fn public_disclosure(PathId(id): PathId<id::Project>, query: Query, app: Data<App>) -> Answered {
    disclose(&app, id, &query, None).await
}

/// Whether everybody may read it.
#[derive(ToSchema)]
#[schema(as = NewPublication)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct PublicationBody {
    public: bool,
}

/// Whether everybody may read a project's disclosure.
#[derive(Serialize, ToSchema)]
pub struct Publication {
    object: &'static str,
    project: String,
    public: bool,
    /// Where everybody may read it.
    address: Option<String>,
}

/// Makes a project's disclosure public, or takes that back.
pub async fn publish_disclosure<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Project>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let public = f.flag("public");
    let public = f.make(|| public)?;
    let actor = Actor::clone(&who);
    app.once(&who, &request, &body.raw, move |work, person| {
        Scope::of(work.sql()?, &actor, Roles(R))?.project(id)?;
        directory::project(work.sql()?, id)?.ok_or_else(Refusal::not_found)?;
        disclosure::publish(work, person, id, public)?;
        let address = format!("/v1/public/projects/{id}/disclosure");
        let view = Publication { object: "publication", project: id.to_string(), public, address: public.then(|| address.clone()) };
        made(format!("/v1/projects/{id}/disclosure"), &view)
    })
    .await
}
