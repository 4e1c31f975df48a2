//! Erasures over HTTP: what tells of persons and of jobs goes, what was paid stays.

use std::collections::HashSet;

use actix_web::HttpRequest;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::directory::erasure::{self, Erasure, Ground};
use crate::directory::person;
use crate::events::webhook;
use crate::fields::Fields;
use crate::http::body::{Json, PathId};
use crate::http::header::version_read;
use crate::http::permit::Permit;
use crate::http::query::{Form, Param, Query};
use crate::http::route::Shape;
use crate::id::{self, ChargeId, UsageId};
use crate::refusal::{FieldCode, Refusal};
use crate::store::{Conn, Fault};
use crate::usage::erase::{self, Erased, OfUser, Wanted};

use super::door::{Answered, App, created, ok};
use super::scope::Scope;
use super::view::instant;

/// That something was erased.
#[derive(Serialize, ToSchema)]
#[schema(as = Erasure)]
pub struct ErasureView {
    object: &'static str,
    id: String,
    created_at: String,
    by: String,
    /// `asked`, `retention` or `mistake`.
    ground: &'static str,
    /// The person, where one was erased.
    person: Option<String>,
    /// How many charges lost their usage record.
    charges: i64,
    /// How many records of the quarantine are gone.
    records: i64,
    /// Whether the log needs nothing of it any more: until it has this entry, what it hashes is kept where nobody reads it.
    finished: bool,
}

fn erasure_view(made: &Erasure, waiting: bool) -> ErasureView {
    ErasureView {
        object: "erasure",
        id: made.id.to_string(),
        created_at: instant(made.id.created_at()),
        by: made.by.to_string(),
        ground: made.ground.word(),
        person: made.person.map(|person| person.to_string()),
        charges: made.charges,
        records: made.records,
        finished: !waiting,
    }
}

/// What an erasure takes, by name.
#[derive(Serialize, ToSchema)]
pub struct ErasurePlan {
    object: &'static str,
    charges: Vec<String>,
    /// Records of the quarantine.
    records: Vec<String>,
    /// Records of the user that are open in the quarantine, and stay: resolve or dismiss them first.
    open: u64,
    /// Whether the user has more than one erasure takes: ask again.
    more: bool,
}

/// What was erased.
#[derive(Serialize, ToSchema)]
pub struct ErasureMade {
    #[serde(flatten)]
    erasure: ErasureView,
    erased: ErasurePlan,
}

/// What is answered where nothing is erased: it was only tried, or all of it is gone already.
pub const PLANNED: Shape = Shape::of::<ErasurePlan>();

/// Whether an erasure is only tried.
pub const ERASE: &[Param] = &[Param::one("dry_run", Form::OneOf(&["true", "false"]))];

/// Usage records to be erased: those of named charges, or those of a user.
#[derive(ToSchema)]
#[schema(as = NewErasure)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct ErasureBody {
    #[schema(pattern = "^(asked|retention|mistake)$")]
    ground: String,
    #[schema(min_items = 1, max_items = 1000)]
    charges: Option<Vec<String>>,
    user: Option<UserBody>,
}

/// A user as a provider names them.
#[derive(ToSchema)]
#[schema(as = NewErasedUser)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct UserBody {
    #[schema(pattern = "^ins_[0-9a-hjkmnp-tv-z]{26}$")]
    provider: String,
    /// The user as the provider's records name them.
    #[schema(min_length = 1, max_length = 180)]
    name: String,
    /// Only of jobs that ended before.
    #[schema(format = DateTime)]
    ended_before: String,
}

/// Whose records are meant.
enum Meant {
    Charges(Vec<ChargeId>),
    User(OfUser),
}

fn ground(f: &mut Fields<'_, '_>) -> Option<Ground> {
    f.one_of("ground", Ground::WORDS).and_then(Ground::of)
}

fn meant(f: &mut Fields<'_, '_>) -> Option<Meant> {
    let named = f.optional().list_of_texts("charges", erase::MOST, 40);
    let user = f.optional().object("user", |u| {
        let (provider, user, ended_before) = (u.id("provider"), u.text("name", 180).map(String::from), u.time("ended_before"));
        Some(OfUser { provider: provider?, user: user?, ended_before: ended_before? })
    });
    if f.given("charges") == f.given("user") {
        f.refuse("charges", FieldCode::Required, "An erasure names charges, or a user of a provider.");
        return None;
    }
    let Some(named) = named else { return user.map(Meant::User) };
    let charges: Result<Vec<ChargeId>, _> = named.iter().map(|text| ChargeId::parse(text)).collect();
    if charges.is_err() {
        f.refuse("charges", FieldCode::WrongIdType, "Charges are named by identifiers such as chg_….");
    } else if named.is_empty() {
        f.refuse("charges", FieldCode::Required, "An erasure names one charge at least.");
    }
    charges.ok().filter(|charges| !charges.is_empty()).map(Meant::Charges)
}

/// Erases usage records, wherever they stand; with `dry_run` tells which they are.
pub async fn create_erasure<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, body: Json, app: Data<App>) -> Answered {
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let (ground, meant) = (ground(&mut f), meant(&mut f));
    let (ground, meant) = f.make(|| Some((ground?, meant?)))?;
    let wanted = match meant {
        Meant::Charges(charges) => Wanted { charges, ..Wanted::default() },
        // Found before the writer's turn is taken: all of the provider's records are read.
        Meant::User(of) => app.read(move |conn| erase::find(conn, &of)).await?,
    };
    let tried = query.is_true("dry_run");
    app.once(&who, &request, &body.raw, move |work, by| {
        let Erased { made, charges, records } = erase::erase(work, by, ground, &wanted, tried)?;
        let plan = ErasurePlan {
            object: "erasure_plan",
            charges: charges.into_iter().map(|stamp| ChargeId::from_stamp(stamp).to_string()).collect(),
            records: records.into_iter().map(|stamp| UsageId::from_stamp(stamp).to_string()).collect(),
            open: wanted.open,
            more: wanted.more,
        };
        match made {
            None => ok(&plan),
            Some(made) => created("erasures", made.id, &ErasureMade { erasure: erasure_view(&made, made.charges > 0), erased: plan }),
        }
    })
    .await
}

/// The ground on which a person is erased.
#[derive(ToSchema)]
#[schema(as = NewPersonErasure)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct PersonBody {
    #[schema(pattern = "^(asked|retention|mistake)$")]
    ground: String,
}

/// Erases who a person was, for whom no role is bound any more: `If-Match` names the version that was read.
pub async fn erase_person<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Person>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    let version = version_read(&request)?;
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let ground = ground(&mut f);
    let ground = f.make(|| ground)?;
    app.once_for_rights(&who, &request, &body.raw, move |work, by| {
        webhook::given_up(work.sql()?, id)?;
        let made = person::erase_person(work, by, id, version, ground)?;
        webhook::forget(work, id)?;
        created("erasures", made.id, &erasure_view(&made, false))
    })
    .await
}

/// The erasures of a page with whether the log still needs something of them.
fn with_waiting(conn: &mut Conn, made: Vec<Erasure>) -> Result<Vec<(i64, ErasureView)>, Fault> {
    let seqs: Vec<i64> = made.iter().map(|made| made.seq).collect();
    let waiting: HashSet<i64> = erase::store::waiting(conn, &seqs)?.into_iter().collect();
    Ok(made.iter().map(|made| (made.id.stamp(), erasure_view(made, waiting.contains(&made.seq)))).collect())
}

/// Lists erasures.
pub async fn list_erasures<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let look = |conn: &mut Conn, _: &Scope, page| erasure::store::erasures(conn, &None, page);
    app.list_together(&who, &request, &query, look, with_waiting).await
}

/// Shows one erasure.
pub async fn get_erasure<const R: u8>(_who: Permit<R>, PathId(id): PathId<id::Erasure>, app: Data<App>) -> Answered {
    app.show(move |conn| {
        let made = erasure::erasure(conn, id)?;
        let (_, view) = with_waiting(conn, vec![made])?.pop().ok_or_else(Refusal::not_found)?;
        Ok(view)
    })
    .await
}
