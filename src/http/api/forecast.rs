//! Forecasts over HTTP: how long a grant lasts, and what of a lot will be left.

use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::actor::Roles;
use crate::amount::Amount;
use crate::donations;
use crate::http::body::PathId;
use crate::http::permit::Permit;
use crate::http::query::{Form, Param, Query};
use crate::id;
use crate::reports::forecast::{self, GrantForecast, Left, LotForecast, Outlook, Runway, Window};
use crate::time::{DAY, Time};

use super::door::{Answered, App};
use super::grants::own_grant;
use super::scope::Scope;
use super::view::{Money, instant};

/// What a grant's forecast is made from.
#[derive(Serialize, ToSchema)]
pub struct ForecastWindow {
    /// First full day.
    from_on: String,
    /// Last full day.
    to_on: String,
    days: i64,
    days_of_use: i64,
    used: Money,
}

/// How long the available credits last, in whole days.
#[derive(Serialize, ToSchema)]
pub struct RunwayView {
    /// At the pace of the window.
    days: i64,
    /// At the fast pace.
    days_low: i64,
    /// At the slow pace; null where that is no use at all.
    days_high: Option<i64>,
    used_up_on: String,
    used_up_on_earliest: String,
    used_up_on_latest: Option<String>,
    /// Whether the grant's end comes first.
    beyond_end: bool,
}

/// The pace, a day.
#[derive(Serialize, ToSchema)]
pub struct PaceView {
    per_day: Money,
    per_day_slow: Money,
    per_day_fast: Money,
}

/// What will have been used until the end, and what not.
#[derive(Serialize, ToSchema)]
pub struct LeftView {
    used: Money,
    unused: Money,
    /// At the fast pace.
    unused_low: Money,
    /// At the slow pace.
    unused_high: Money,
}

/// What is foretold of a grant's part of one lot.
#[derive(Serialize, ToSchema)]
pub struct LotOutlook {
    lot: String,
    available: Money,
    ends_at: String,
    /// `lapses`, `returns_to_donor` or `goes_back_to_lot`: what becomes of the rest.
    then: &'static str,
    /// Null where there is too little history.
    projection: Option<LeftView>,
}

/// What is foretold of a grant.
#[derive(Serialize, ToSchema)]
#[schema(as = GrantForecast)]
pub struct GrantForecastView {
    object: &'static str,
    grant: String,
    as_of: String,
    available: Money,
    held: Money,
    ends_at: String,
    window: Option<ForecastWindow>,
    /// Null where there is too little history.
    pace: Option<PaceView>,
    /// Null where there is too little history.
    runway: Option<RunwayView>,
    lots: Vec<LotOutlook>,
    /// How this was arrived at, in words and figures.
    method: String,
}

fn window_view(window: Window) -> ForecastWindow {
    ForecastWindow {
        from_on: window.from.day(),
        to_on: window.to.plus(-DAY).day(),
        days: window.days,
        days_of_use: window.days_of_use,
        used: window.used.into(),
    }
}

fn runway_view(runway: Runway, now: Time, ends_at: Time) -> RunwayView {
    // Some thousands of years are as good as for ever, and still dates.
    let on = |days: i64| now.plus(days.min(1_000_000).saturating_mul(DAY));
    RunwayView {
        days: runway.days,
        days_low: runway.low,
        days_high: runway.high,
        used_up_on: on(runway.days).day(),
        used_up_on_earliest: on(runway.low).day(),
        used_up_on_latest: runway.high.map(|days| on(days).day()),
        beyond_end: on(runway.days) >= ends_at,
    }
}

fn left_view(left: Left) -> LeftView {
    LeftView {
        used: left.used.into(),
        unused: left.unused.into(),
        unused_low: left.unused_low.into(),
        unused_high: left.unused_high.into(),
    }
}

fn outlook_view(outlook: Outlook) -> LotOutlook {
    LotOutlook {
        lot: outlook.lot.to_string(),
        available: outlook.available.into(),
        ends_at: instant(outlook.ends_at),
        then: outlook.then.word(),
        projection: outlook.left.map(left_view),
    }
}

impl From<GrantForecast> for GrantForecastView {
    fn from(forecast: GrantForecast) -> GrantForecastView {
        let (balance, unit) = (forecast.balance, forecast.window.as_ref().map(|window| window.used.unit));
        let ends_at = balance.grant.about.period.to;
        let pace = forecast.pace.zip(unit).map(|(pace, unit)| {
            let money = |minor| Money::from(Amount::new(minor, unit));
            let [per_day, per_day_slow, per_day_fast] = [pace.usual, pace.slow, pace.fast].map(|rate| money(rate.per_day()));
            PaceView { per_day, per_day_slow, per_day_fast }
        });
        GrantForecastView {
            object: "grant_forecast",
            grant: balance.grant.id.to_string(),
            as_of: instant(balance.as_of),
            available: balance.available.into(),
            held: balance.held.into(),
            ends_at: instant(ends_at),
            window: forecast.window.map(window_view),
            pace,
            runway: forecast.runway.map(|runway| runway_view(runway, balance.as_of, ends_at)),
            lots: forecast.lots.into_iter().map(outlook_view).collect(),
            method: forecast.method,
        }
    }
}

/// How many full days are looked back on.
pub const FORECAST: &[Param] = &[Param::one("window", Form::Number(forecast::LEAST_DAYS, 366))];

/// Foretells how long a grant's credits last, and what of its lots will be left.
pub async fn grant_forecast<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Grant>, query: Query, app: Data<App>) -> Answered {
    let (now, window) = (app.store.clock().now(), query.number("window").unwrap_or(forecast::WINDOW));
    app.show(move |conn| {
        let grant = own_grant(conn, &who, Roles(R), id)?;
        Ok(GrantForecastView::from(forecast::grant_forecast(conn, grant, now, window)?))
    })
    .await
}

/// What is foretold of a lot: figures over all grants that draw on it.
#[derive(Serialize, ToSchema)]
#[schema(as = LotForecast)]
pub struct LotForecastView {
    object: &'static str,
    lot: String,
    as_of: String,
    expires_at: Option<String>,
    available: Money,
    granted: Money,
    /// In grants with too little history: not in the projection.
    without_history: Money,
    /// `lapses`, `returns_to_donor` or `stays`: what becomes of the rest.
    then: &'static str,
    /// Null for a lot without an end, or where there is too little history.
    projection: Option<LeftView>,
    /// How this was arrived at, in words and figures.
    method: String,
}

impl From<LotForecast> for LotForecastView {
    fn from(forecast: LotForecast) -> LotForecastView {
        LotForecastView {
            object: "lot_forecast",
            lot: forecast.lot.id.to_string(),
            // A donor asks too, so the day is enough for all.
            as_of: forecast.as_of.day(),
            expires_at: forecast.lot.expires_at.map(instant),
            available: forecast.available.into(),
            granted: forecast.granted.into(),
            without_history: forecast.without_history.into(),
            then: forecast.then.word(),
            projection: forecast.left.map(left_view),
            method: forecast.method,
        }
    }
}

/// Foretells what of a lot will have been used at its end, and what will be left.
pub async fn lot_forecast<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Lot>, app: Data<App>) -> Answered {
    let now = app.store.clock().now();
    app.show(move |conn| {
        let lot = donations::lot(conn, id)?;
        Scope::of(conn, &who, Roles(R))?.lot(&lot)?;
        Ok(LotForecastView::from(forecast::lot_forecast(conn, lot, now)?))
    })
    .await
}
