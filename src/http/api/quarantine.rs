//! Records that could not be charged, over HTTP.

use actix_web::HttpRequest;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::actor::{Actor, Role, Roles};
use crate::fields::Fields;
use crate::http::body::{Json, PathId};
use crate::http::permit::Permit;
use crate::http::query::{Form, Param, Query};
use crate::http::route::Shape;
use crate::id::{self, InstitutionId};
use crate::refusal::FieldCode;
use crate::store::Conn;
use crate::usage::{self, Of, QuarantineRow, Resolution};

use super::door::{Answered, App, created, stamps, stands};
use super::grants::own_grant;
use super::scope::{Scope, within};
use super::usage::{ChargeView, UsageView};
use super::view::instant;

/// A record that could not be charged.
#[derive(Serialize, ToSchema)]
#[schema(as = Quarantined)]
pub struct QuarantineView {
    #[serde(flatten)]
    usage: UsageView,
    /// The code of the reason.
    reason: String,
    detail: String,
}

/// What the dismissal of a record in quarantine is answered with.
pub const DISMISSED: Shape = Shape::of::<QuarantineView>();

/// The record as it was sent, and where it stands.
pub fn quarantined_usage(row: &QuarantineRow) -> UsageView {
    UsageView {
        object: "usage",
        id: row.id().to_string(),
        created_at: instant(row.id().created_at()),
        provider: InstitutionId::from_stamp(row.provider).to_string(),
        state: row.state.clone(),
        charge: row.charge.map(|stamp| id::ChargeId::from_stamp(stamp).to_string()),
        erased: row.is_erased(),
        record: serde_json::from_str(&row.record).unwrap_or_default(),
    }
}

fn quarantine_view(row: &QuarantineRow) -> QuarantineView {
    QuarantineView { usage: quarantined_usage(row), reason: row.reason.clone(), detail: row.detail.clone() }
}

/// Filters of the quarantine.
pub const QUARANTINE: &[Param] =
    &[Param::any("state", Form::OneOf(&["open", "charged", "dismissed"])), Param::any("provider", Form::Id("ins"))];

/// Lists the quarantine; a provider sees its own records.
pub async fn list_quarantine<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let providers = stamps(query.ids::<id::Institution>("provider")?);
    let states = query.texts("state");
    let look = move |conn: &mut Conn, scope: &Scope, page| {
        let of = Of { providers: within(providers.clone(), scope.providers()), states: states.clone(), ..Of::default() };
        usage::store::quarantine(conn, &of, page)
    };
    app.list(&who, &request, &query, look, |_, row| Ok((row.id, quarantine_view(&row)))).await
}

/// How a record in quarantine is resolved.
#[derive(ToSchema)]
#[schema(as = NewResolution)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct ResolutionBody {
    #[schema(pattern = "^(charge|dismiss)$")]
    action: String,
    /// To be charged to; the grant that is found if absent.
    #[schema(pattern = "^grt_[0-9a-hjkmnp-tv-z]{26}$")]
    grant: Option<String>,
    /// Why it is dismissed.
    #[schema(min_length = 1, max_length = 1000)]
    reason: Option<String>,
}

/// Charges a record in quarantine, or dismisses it.
pub async fn resolve_quarantine<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Usage>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let action = f.one_of("action", &["charge", "dismiss"]);
    let grant = f.optional().id("grant");
    let reason = f.optional().text("reason", 1000).map(String::from);
    if action == Some("dismiss") && reason.is_none() && !f.given("reason") {
        f.refuse("reason", FieldCode::Required, "A dismissal says why.");
    }
    if action == Some("dismiss") && grant.is_some() {
        f.refuse("grant", FieldCode::NotAllowed, "A dismissed record is charged to nothing.");
    }
    let dismissed = || reason.clone().map(Resolution::Dismiss);
    let how = f.make(|| if action? == "dismiss" { dismissed() } else { Some(Resolution::Charge(grant)) })?;
    let actor = Actor::clone(&who);
    app.once(&who, &request, &body.raw, move |work, person| {
        let row = usage::quarantined(work.sql()?, id)?;
        let scope = Scope::of(work.sql()?, &actor, Roles(R))?;
        scope.admits(scope.providers().is_some_and(|own| own.contains(&row.provider)))?;
        if let (Resolution::Charge(Some(grant)), false) = (&how, actor.has(Role::Officer)) {
            // A provider may only name a grant that its own resources are for.
            own_grant(work.sql()?, &actor, Roles(R), *grant)?;
        }
        match usage::resolve(work, person, id, &how)? {
            Some(charge) => created("charges", charge.row.id(), &ChargeView::from(&charge)),
            None => stands(format!("/v1/usage/{id}"), &quarantine_view(&usage::quarantined(work.sql()?, id)?)),
        }
    })
    .await
}
