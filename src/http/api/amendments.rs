//! Amendments over HTTP: what is to change about a grant that runs.

use actix_web::HttpRequest;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::actor::{Actor, Role, Roles};
use crate::fields::Fields;
use crate::grants::amend::{self, STATES, store::Of};
use crate::grants::{Amendment, Change};
use crate::http::body::{Json, PathId};
use crate::http::permit::Permit;
use crate::http::query::{Form, Param, Query};
use crate::id;
use crate::store::Conn;

use super::door::{Answered, App, changed, created};
use super::grants::{own_grant, reason};
use super::scope::Scope;
use super::view::{Money, MoneyIn, instant};

/// A change to a grant, from its request on.
#[derive(Serialize, ToSchema)]
#[schema(as = Amendment)]
pub struct AmendmentView {
    object: &'static str,
    id: String,
    created_at: String,
    grant: String,
    kind: &'static str,
    /// Of a supplement, a reduction or a transfer.
    amount: Option<Money>,
    /// Of an extension: the new end.
    ends_at: Option<String>,
    /// Of a transfer: the grant that gets the credits.
    to: Option<String>,
    requester: String,
    reason: String,
    state: String,
    version: i32,
}

impl From<Amendment> for AmendmentView {
    fn from(amendment: Amendment) -> AmendmentView {
        let (ends_at, to) = match amendment.change {
            Change::Extension(end) => (Some(instant(end)), None),
            Change::Transfer(_, to) => (None, Some(to.to_string())),
            _ => (None, None),
        };
        AmendmentView {
            object: "amendment",
            id: amendment.id.to_string(),
            created_at: instant(amendment.id.created_at()),
            grant: amendment.grant.to_string(),
            kind: amendment.change.word(),
            amount: amendment.change.amount().map(Money::from),
            ends_at,
            to,
            requester: amendment.requester.to_string(),
            reason: amendment.reason,
            state: amendment.state,
            version: amendment.version,
        }
    }
}

/// A change to be asked for.
#[derive(ToSchema)]
#[schema(as = NewAmendment)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct AmendmentBody {
    #[schema(pattern = "^(supplement|extension|reduction|transfer|closing)$")]
    kind: String,
    /// Of a supplement, a reduction or a transfer.
    amount: Option<MoneyIn>,
    /// Of an extension: the new end.
    #[schema(format = DateTime)]
    ends_at: Option<String>,
    /// Of a transfer: the grant that gets the credits.
    #[schema(pattern = "^grt_[0-9a-hjkmnp-tv-z]{26}$")]
    to: Option<String>,
    #[schema(min_length = 1, max_length = 4000)]
    reason: String,
}

/// Filters of the list of amendments.
pub const AMENDMENTS: &[Param] = &[Param::any("state", Form::OneOf(STATES))];

/// Asks for a change to a grant.
pub async fn create_amendment<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Grant>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    let units = app.units().await?;
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let kind = f.one_of("kind", Change::WORDS);
    // Fields of other kinds are left unread, and so refused as unknown.
    let moves = matches!(kind, Some("supplement" | "reduction" | "transfer"));
    let amount = if moves { f.amount("amount", &|code| units.get(code).copied()) } else { None };
    let ends_at = if kind == Some("extension") { f.time("ends_at") } else { None };
    let to = if kind == Some("transfer") { f.id("to") } else { None };
    let why = f.text("reason", 4000).map(String::from);
    let (change, why) = f.make(|| {
        let change = match kind? {
            "supplement" => Change::Supplement(amount?),
            "reduction" => Change::Reduction(amount?),
            "transfer" => Change::Transfer(amount?, to?),
            "extension" => Change::Extension(ends_at?),
            _ => Change::Closing,
        };
        Some((change, why?))
    })?;
    let actor = Actor::clone(&who);
    app.once(&who, &request, &body.raw, move |work, person| {
        own_grant(work.sql()?, &actor, Roles(R), id)?;
        let amendment = amend::propose(work, person, id, change, &why)?;
        created("amendments", amendment.id, &AmendmentView::from(amendment))
    })
    .await
}

/// Lists the amendments of a grant.
pub async fn list_amendments<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Grant>,
    request: HttpRequest,
    query: Query,
    app: Data<App>,
) -> Answered {
    let of = Of { grants: Some(vec![id.stamp()]), states: query.texts("state"), ..Of::default() };
    let look = move |conn: &mut Conn, scope: &Scope, page| {
        let grant = crate::grants::grant(conn, id)?;
        scope.grant(&grant, &[])?;
        amend::store::amendments(conn, &of, page)
    };
    app.list(&who, &request, &query, look, |_, amendment| Ok((amendment.id.stamp(), AmendmentView::from(amendment)))).await
}

/// Shows one amendment.
pub async fn get_amendment<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Amendment>, app: Data<App>) -> Answered {
    app.show_versioned(move |conn| {
        let amendment = amend::amendment(conn, id)?;
        own_grant(conn, &who, Roles(R), amendment.grant)?;
        Ok((amendment.version, AmendmentView::from(amendment)))
    })
    .await
}

/// Takes an amendment back.
pub async fn withdraw_amendment<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Amendment>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    let why = reason(&body)?;
    let actor = Actor::clone(&who);
    app.once(&who, &request, &body.raw, move |work, person| {
        let asked = amend::amendment(work.sql()?, id)?;
        let grant = own_grant(work.sql()?, &actor, Roles(R), asked.grant)?;
        if asked.requester != person {
            // What another asked for is the project's to take back.
            Scope::of(work.sql()?, &actor, Roles::default().with(Role::Researcher))?.project(grant.about.project)?;
        }
        let amendment = amend::withdraw(work, person, id, &why)?;
        changed(format!("/v1/amendments/{id}"), amendment.version, &AmendmentView::from(amendment))
    })
    .await
}
