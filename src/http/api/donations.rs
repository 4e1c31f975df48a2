//! Donors, donations and lots over HTTP.

use actix_web::HttpRequest;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::actor::Roles;
use crate::amount::Amount;
use crate::donations::{self, Donation, Donor, Lot, NewDonation, NewDonor, NewLot, Of, OnExpiry, Terms, donor};
use crate::fields::Fields;
use crate::http::body::{Json, PathId};
use crate::http::permit::Permit;
use crate::http::query::{Form, Param, Query};
use crate::id;
use crate::ledger;
use crate::refusal::{FieldCode, Refusal};
use crate::reports::balance::{self, Whereabouts};
use crate::store::Page;

use super::decisions::no_donor;
use super::door::{Answered, App, changed, created, expect_empty, stamps};
use super::scope::{Scope, within};
use super::view::{Money, MoneyIn, instant};

/// A donor.
#[derive(Serialize, ToSchema)]
#[schema(as = Donor)]
pub struct DonorView {
    object: &'static str,
    id: String,
    created_at: String,
    name: String,
    kind: String,
    ror: Option<String>,
    external_id: Option<String>,
}

impl From<Donor> for DonorView {
    fn from(donor: Donor) -> DonorView {
        let NewDonor { name, kind, ror, external_id } = donor.about;
        let created_at = instant(donor.id.created_at());
        DonorView { object: "donor", id: donor.id.to_string(), created_at, name, kind, ror, external_id }
    }
}

/// A donor to be registered.
#[derive(ToSchema)]
#[schema(as = NewDonor)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct DonorBody {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(pattern = "^(industry|government|nonprofit|university)$")]
    kind: String,
    #[schema(min_length = 1, max_length = 60)]
    ror: Option<String>,
    #[schema(min_length = 1, max_length = 180)]
    external_id: Option<String>,
}

/// Filters of the list of donors.
pub const DONORS: &[Param] = &[Param::any("external_id", Form::Text)];

/// Lists donors; a donor sees itself.
pub async fn list_donors<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let external_ids = query.texts("external_id");
    let look = move |conn: &mut _, scope: &Scope, page| {
        donations::store::donors(conn, &Of { donors: scope.donors(), external_ids: external_ids.clone(), ..Of::default() }, page)
    };
    app.list(&who, &request, &query, look, |_, donor| Ok((donor.id.stamp(), DonorView::from(donor)))).await
}

/// Shows one donor.
pub async fn get_donor<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Donor>, app: Data<App>) -> Answered {
    app.show(move |conn| {
        Scope::of(conn, &who, Roles(R))?.donor_is(id.stamp())?;
        let of = Of { ids: Some(vec![id.stamp()]), ..Of::default() };
        let found = donations::store::donors(conn, &of, Page::ALL)?.pop().ok_or_else(Refusal::not_found)?;
        Ok(DonorView::from(found))
    })
    .await
}

/// Registers a donor.
pub async fn create_donor<const R: u8>(who: Permit<R>, request: HttpRequest, body: Json, app: Data<App>) -> Answered {
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let name = f.text("name", 200);
    let kind = f.one_of("kind", donor::KINDS);
    let ror = f.optional().text("ror", 60).map(String::from);
    let external_id = f.optional().text("external_id", 180).map(String::from);
    let new = f.make(|| Some(NewDonor { name: name?.into(), kind: kind?.into(), ror, external_id }))?;
    app.once(&who, &request, &body.raw, move |work, person| {
        let donor = donations::add_donor(work, person, &new)?;
        created("donors", donor.id, &DonorView::from(donor))
    })
    .await
}

/// Where credits are, in one unit.
#[derive(Serialize, ToSchema)]
#[schema(as = Whereabouts)]
pub struct WhereaboutsView {
    unit: String,
    pledged: Money,
    delivered: Money,
    available: Money,
    granted: Money,
    held: Money,
    spent: Money,
    lapsed: Money,
    returned: Money,
}

impl From<Whereabouts> for WhereaboutsView {
    fn from(w: Whereabouts) -> WhereaboutsView {
        WhereaboutsView {
            unit: w.unit.code().into(),
            pledged: w.pledged.into(),
            delivered: w.delivered.into(),
            available: w.available.into(),
            granted: w.granted.into(),
            held: w.held.into(),
            spent: w.spent.into(),
            lapsed: w.lapsed.into(),
            returned: w.returned.into(),
        }
    }
}

/// What became of everything a donor gave.
#[derive(Serialize, ToSchema)]
pub struct DonorSummary {
    object: &'static str,
    donor: String,
    as_of: String,
    units: Vec<WhereaboutsView>,
}

/// Sums up, per unit, where all of a donor's credits are.
pub async fn donor_summary<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Donor>, app: Data<App>) -> Answered {
    let now = app.store.clock().now();
    app.show(move |conn| {
        Scope::of(conn, &who, Roles(R))?.donor_is(id.stamp())?;
        let of = Of { ids: Some(vec![id.stamp()]), ..Of::default() };
        donations::store::donors(conn, &of, Page::ALL)?.pop().ok_or_else(Refusal::not_found)?;
        let units = balance::donor_whereabouts(conn, id, now)?.into_iter().map(WhereaboutsView::from).collect();
        Ok(DonorSummary { object: "donor_summary", donor: id.to_string(), as_of: instant(now), units })
    })
    .await
}

/// A donation.
#[derive(Serialize, ToSchema)]
#[schema(as = Donation)]
pub struct DonationView {
    object: &'static str,
    id: String,
    created_at: String,
    donor: String,
    title: String,
    unit: String,
    pledged: Money,
    terms: TermsView,
    draw_priority: i32,
    on_expiry: &'static str,
    external_id: Option<String>,
    state: String,
    version: i32,
}

/// What the donor allows; an absent condition admits everything.
#[derive(Serialize, ToSchema)]
#[schema(as = Terms)]
pub struct TermsView {
    fields_of_science: Option<Vec<String>>,
    institution_kinds: Option<Vec<String>>,
    resources: Option<Vec<String>>,
    purpose: Option<String>,
}

impl From<Donation> for DonationView {
    fn from(donation: Donation) -> DonationView {
        let new = donation.about;
        let Terms { fields_of_science, institution_kinds, resources, purpose } = new.terms;
        DonationView {
            object: "donation",
            id: donation.id.to_string(),
            created_at: instant(donation.id.created_at()),
            donor: new.donor.to_string(),
            title: new.title,
            unit: new.unit.code().into(),
            pledged: new.pledged.into(),
            terms: TermsView { fields_of_science, institution_kinds, resources, purpose },
            draw_priority: new.draw_priority,
            on_expiry: new.on_expiry.word(),
            external_id: new.external_id,
            state: donation.state,
            version: donation.version,
        }
    }
}

/// A donation to be proposed.
#[derive(ToSchema)]
#[schema(as = NewDonation)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct DonationBody {
    #[schema(pattern = "^dnr_[0-9a-hjkmnp-tv-z]{26}$")]
    donor: String,
    #[schema(min_length = 1, max_length = 300)]
    title: String,
    /// The unit, where nothing is pledged.
    #[schema(pattern = r"^[A-Z][A-Z0-9'._-]{0,22}[A-Z0-9]$")]
    unit: Option<String>,
    pledged: Option<MoneyIn>,
    terms: Option<TermsBody>,
    #[schema(minimum = -1000, maximum = 1000)]
    draw_priority: Option<i32>,
    #[schema(pattern = "^(lapse|return)$")]
    on_expiry: String,
    #[schema(min_length = 1, max_length = 180)]
    external_id: Option<String>,
}

/// What the donor allows.
#[derive(ToSchema)]
#[schema(as = NewTerms)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct TermsBody {
    fields_of_science: Option<Vec<String>>,
    institution_kinds: Option<Vec<String>>,
    resources: Option<Vec<String>>,
    purpose: Option<String>,
}

/// Filters of the list of donations.
pub const DONATIONS: &[Param] = &[
    Param::any("donor", Form::Id("dnr")),
    Param::any("unit", Form::Text),
    Param::any("state", Form::OneOf(&["proposed", "accepted", "cancelled"])),
    Param::any("external_id", Form::Text),
];

/// Lists donations; a donor sees its own.
pub async fn list_donations<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let donors = stamps(query.ids::<id::Donor>("donor")?);
    let of = Of { units: query.texts("unit"), states: query.texts("state"), external_ids: query.texts("external_id"), ..Of::default() };
    let look = move |conn: &mut _, scope: &Scope, page| {
        donations::store::donations(conn, &Of { donors: within(donors.clone(), scope.donors()), ..of.clone() }, page)
    };
    app.list(&who, &request, &query, look, |_, donation| Ok((donation.id.stamp(), DonationView::from(donation)))).await
}

/// Shows one donation.
pub async fn get_donation<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Donation>, app: Data<App>) -> Answered {
    app.show_versioned(move |conn| {
        let donation = donations::donation(conn, id)?;
        Scope::of(conn, &who, Roles(R))?.donation(&donation)?;
        Ok((donation.version, DonationView::from(donation)))
    })
    .await
}

/// Proposes a donation; another person accepts it.
pub async fn create_donation<const R: u8>(who: Permit<R>, request: HttpRequest, body: Json, app: Data<App>) -> Answered {
    let units = app.units().await?;
    let known = |code: &str| units.get(code).copied();
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let donor = f.id("donor");
    let title = f.text("title", 300);
    let unit = f.optional().text("unit", 24).map(|code| ledger::find_unit(&units, code, "/unit")).transpose()?;
    let pledged = f.optional().amount("pledged", &known);
    if let (Some(unit), Some(pledged)) = (unit, pledged)
        && unit != pledged.unit
    {
        f.refuse("unit", FieldCode::UnitMismatch, format!("The pledge is in {}.", pledged.unit.code()));
    }
    if unit.is_none() && pledged.is_none() && !f.given("pledged") {
        f.refuse("unit", FieldCode::Required, "A donation names its unit or pledges an amount.");
    }
    let terms = f.optional().object("terms", |t| Some(read_terms(t))).unwrap_or_default();
    let draw_priority = f.optional().whole("draw_priority", -1000..=1000).unwrap_or(0);
    let on_expiry = f.one_of("on_expiry", OnExpiry::WORDS).map(OnExpiry::of);
    let external_id = f.optional().text("external_id", 180).map(String::from);
    let new = f.make(|| {
        let pledged = pledged.or(unit.map(Amount::zero))?;
        let (title, draw_priority) = (title?.into(), i32::try_from(draw_priority).ok()?);
        Some(NewDonation { donor: donor?, title, unit: pledged.unit, pledged, terms, draw_priority, on_expiry: on_expiry?, external_id })
    })?;
    app.once(&who, &request, &body.raw, move |work, person| {
        let donation = donations::propose(work, person, &new)?;
        created("donations", donation.id, &DonationView::from(donation))
    })
    .await
}

fn read_terms(t: &mut Fields<'_, '_>) -> Terms {
    let mut list = |name: &str| {
        let texts = t.optional().list_of_texts(name, 100, 180);
        texts.map(|list| list.into_iter().map(String::from).collect::<Vec<_>>())
    };
    let (fields_of_science, institution_kinds, resources) = (list("fields_of_science"), list("institution_kinds"), list("resources"));
    let purpose = t.optional().text("purpose", 180).map(String::from);
    let wrong = resources.iter().flatten().any(|text| id::ResourceId::parse(text).is_err());
    if wrong {
        t.refuse("resources", FieldCode::WrongIdType, "Resources are named by identifiers such as res_….");
    }
    Terms { fields_of_science, institution_kinds, resources, purpose }
}

/// Accepts a proposed donation and books its pledge.
pub async fn accept_donation<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Donation>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    no_donor(&who)?;
    expect_empty(&body)?;
    app.once(&who, &request, &body.raw, move |work, person| {
        let donation = donations::accept(work, person, id)?;
        changed(format!("/v1/donations/{id}"), donation.version, &DonationView::from(donation))
    })
    .await
}

/// Cancels what is undelivered of a pledge.
pub async fn cancel_donation<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Donation>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    expect_empty(&body)?;
    app.once(&who, &request, &body.raw, move |work, person| {
        let donation = donations::cancel(work, person, id)?;
        changed(format!("/v1/donations/{id}"), donation.version, &DonationView::from(donation))
    })
    .await
}

/// A lot.
#[derive(Serialize, ToSchema)]
#[schema(as = Lot)]
pub struct LotView {
    object: &'static str,
    id: String,
    created_at: String,
    donation: String,
    donor: String,
    amount: Money,
    delivered_at: String,
    expires_at: Option<String>,
    draw_priority: i32,
    on_expiry: &'static str,
    whereabouts: WhereaboutsView,
}

fn lot_view(lot: Lot, whereabouts: Whereabouts) -> LotView {
    LotView {
        object: "lot",
        id: lot.id.to_string(),
        created_at: instant(lot.id.created_at()),
        donation: lot.donation.to_string(),
        donor: lot.donor.to_string(),
        amount: lot.amount.into(),
        delivered_at: instant(lot.delivered_at),
        expires_at: lot.expires_at.map(instant),
        draw_priority: lot.draw_priority,
        on_expiry: lot.on_expiry.word(),
        whereabouts: whereabouts.into(),
    }
}

/// A delivery to be booked.
#[derive(ToSchema)]
#[schema(as = NewDelivery)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct DeliveryBody {
    amount: MoneyIn,
    #[schema(format = DateTime)]
    delivered_at: String,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// Lists the deliveries of a donation: its lots.
pub async fn list_deliveries<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Donation>,
    request: HttpRequest,
    query: Query,
    app: Data<App>,
) -> Answered {
    let now = app.store.clock().now();
    let look = move |conn: &mut _, scope: &Scope, page| {
        scope.donation(&donations::donation(conn, id)?)?;
        donations::store::lots(conn, &Of { donations: Some(vec![id.stamp()]), ..Of::default() }, page)
    };
    let show = move |conn: &mut _, lot: Lot| {
        let whereabouts = balance::lot_whereabouts(conn, &lot, now)?;
        Ok((lot.id.stamp(), lot_view(lot, whereabouts)))
    };
    app.list(&who, &request, &query, look, show).await
}

/// Books a delivery: a lot.
pub async fn create_delivery<const R: u8>(
    who: Permit<R>,
    PathId(donation): PathId<id::Donation>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    let units = app.units().await?;
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let amount = f.amount("amount", &|code| units.get(code).copied());
    let delivered_at = f.time("delivered_at");
    let expires_at = f.optional().time("expires_at");
    let new = f.make(|| Some(NewLot { donation, amount: amount?, delivered_at: delivered_at?, expires_at }))?;
    app.once(&who, &request, &body.raw, move |work, person| {
        let lot = donations::deliver(work, person, &new)?;
        let now = work.now();
        let whereabouts = balance::lot_whereabouts(work.sql()?, &lot, now)?;
        created("lots", lot.id, &lot_view(lot, whereabouts))
    })
    .await
}

/// Filters of the list of lots.
pub const LOTS: &[Param] = &[Param::any("donor", Form::Id("dnr")), Param::any("donation", Form::Id("dnt")), Param::any("unit", Form::Text)];

/// Lists lots; a donor sees its own.
pub async fn list_lots<const R: u8>(who: Permit<R>, request: HttpRequest, query: Query, app: Data<App>) -> Answered {
    let now = app.store.clock().now();
    let (donors, donations) = (stamps(query.ids::<id::Donor>("donor")?), stamps(query.ids::<id::Donation>("donation")?));
    let units = query.texts("unit");
    let look = move |conn: &mut _, scope: &Scope, page| {
        let of = Of { donors: within(donors.clone(), scope.donors()), donations: donations.clone(), units: units.clone(), ..Of::default() };
        donations::store::lots(conn, &of, page)
    };
    let show = move |conn: &mut _, lot: Lot| {
        let whereabouts = balance::lot_whereabouts(conn, &lot, now)?;
        Ok((lot.id.stamp(), lot_view(lot, whereabouts)))
    };
    app.list(&who, &request, &query, look, show).await
}

/// Shows one lot and where its credits are.
pub async fn get_lot<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Lot>, app: Data<App>) -> Answered {
    let now = app.store.clock().now();
    app.show(move |conn| {
        let lot = donations::lot(conn, id)?;
        Scope::of(conn, &who, Roles(R))?.lot(&lot)?;
        let whereabouts = balance::lot_whereabouts(conn, &lot, now)?;
        Ok(lot_view(lot, whereabouts))
    })
    .await
}

/// Credits to be given back to the donor.
#[derive(ToSchema)]
#[schema(as = NewReturn)]
#[allow(dead_code, reason = "describes the body; the strict reader reads it")]
pub struct ReturnBody {
    /// All that is free, if absent.
    amount: Option<MoneyIn>,
}

/// Gives a lot's free credits back to its donor.
pub async fn return_lot<const R: u8>(
    who: Permit<R>,
    PathId(id): PathId<id::Lot>,
    request: HttpRequest,
    body: Json,
    app: Data<App>,
) -> Answered {
    let units = app.units().await?;
    let sent = body.parse()?;
    let mut f = Fields::of(&sent)?;
    let amount = f.optional().amount("amount", &|code| units.get(code).copied());
    f.finish()?;
    app.once(&who, &request, &body.raw, move |work, person| {
        crate::usage::book_ends(work)?;
        let (lot, _) = donations::return_lot(work, person, id, amount)?;
        let now = work.now();
        let whereabouts = balance::lot_whereabouts(work.sql()?, &lot, now)?;
        created("lots", lot.id, &lot_view(lot, whereabouts))
    })
    .await
}
