//! How a forecast was arrived at, in words with its figures. Pure.

use crate::amount::Amount;
use crate::time::{DAY, Time};

use super::{GrantForecast, LEAST_DAYS, LEAST_DAYS_OF_USE, LotForecast, Pace, Runway, Window};

fn money(minor: i64, like: Amount) -> String {
    format!("{} {}", Amount::new(minor, like.unit), like.unit.code())
}

/// The last day of a half-open span of days.
fn last_day(to: Time) -> String {
    to.plus(-DAY).day()
}

/// The words of a grant's forecast.
pub(super) fn of_grant(forecast: &GrantForecast) -> String {
    let grant = &forecast.balance.grant;
    let Some(window) = &forecast.window else {
        return format!("Nothing is foretold: the grant is {} or outside its period.", grant.state.word());
    };
    let Some(pace) = &forecast.pace else { return too_little(window) };
    let mut words = vec![looked_back(window, pace), lasts(forecast, pace)];
    if !forecast.lots.is_empty() {
        words.push(
            "What will be left unused is reckoned lot by lot: the lots are drawn in draw-down order, each until its expiry or the \
             grant's end, at each of the three paces; nothing is assumed of new awards or of credits set aside for jobs."
                .into(),
        );
    }
    words.join(" ")
}

fn too_little(window: &Window) -> String {
    let days = window.days;
    if days < LEAST_DAYS {
        return format!(
            "Too little history: {days} full days since the grant began, and at least {LEAST_DAYS} are needed. No figure is given."
        );
    }
    format!(
        "Too little history: in the {days} full days from {} to {} jobs ended on {} days, and at least {LEAST_DAYS_OF_USE} are needed. \
         No figure is given.",
        window.from.day(),
        last_day(window.to),
        window.days_of_use,
    )
}

fn looked_back(window: &Window, pace: &Pace) -> String {
    format!(
        "In the {} full days (UTC) from {} to {} jobs used {}, net of refunds and by the day on which each job ended: {} a day. Of the {} \
         stretches of seven days among them one in ten used {} or less (the slow pace), one in ten {} or more (the fast pace).",
        window.days,
        window.from.day(),
        last_day(window.to),
        money(window.used.minor, window.used),
        money(pace.usual.per_day(), window.used),
        pace.stretches,
        money(pace.slow.amount, window.used),
        money(pace.fast.amount, window.used),
    )
}

fn lasts(forecast: &GrantForecast, pace: &Pace) -> String {
    let available = forecast.balance.available;
    let Some(Runway { days, low, high }) = forecast.runway else { return String::new() };
    let slow = high.map_or("at the slow pace it is never used up".into(), |high| format!("at the slow pace {high} days"));
    format!(
        "{} is available: {} divided by the mean of {} in {} days lasts {days} days, at the fast pace {low} days, {slow}.",
        money(available.minor, available),
        available,
        money(pace.usual.amount, available),
        pace.usual.days,
    )
}

/// The words of a lot's forecast.
pub(super) fn of_lot(forecast: &LotForecast) -> String {
    let Some(end) = forecast.lot.expires_at else {
        return "The lot has no expiry, so nothing of it lapses.".into();
    };
    if forecast.as_of >= end {
        return format!("The lot expired on {}.", end.day());
    }
    let without = forecast.without_history;
    let unknown = match without.minor {
        0 => String::new(),
        _ => format!(" Of {} nothing is foretold: it lies in grants with too little history.", money(without.minor, without)),
    };
    match &forecast.left {
        None => format!("Too little history: no grant that draws on the lot has enough, so no figure is given.{unknown}"),
        Some(left) => format!(
            "Of {} granted and free, {} will be used until {} at the pace of each grant's last full days (28 at most, by the day on which each job \
             ended, net of refunds), in draw-down order. {} is not granted and counts as unused unless it is granted. The band \
             takes each grant at its fast and at its slow pace.{unknown}",
            money(forecast.granted.minor, forecast.granted),
            money(left.used.minor, left.used),
            end.day(),
            money(forecast.available.minor, forecast.available),
        ),
    }
}
