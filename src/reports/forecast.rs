//! Forecasts: how long a grant's credits will last, and what of a lot will be left unused at its end.
//!
//! The pace is that of the last full days (UTC), by the day on which each job ended, net of refunds. The band comes from the spread of the
//! sums of seven days running among them, so that weekends do not count as a change of pace. Whole numbers only. Where there is too
//! little history the answer says so and has no figure. It may not know who reads it: a donor gets the same figures.

mod method;
mod pace;

use std::collections::HashMap;

use crate::amount::Amount;
use crate::donations::{Lot, OnExpiry};
use crate::grants::{self, Grant};
use crate::id::LotId;
use crate::ledger::store::Of;
use crate::ledger::{self, Bucket};
use crate::store::{Conn, Fault, Page};
use crate::time::{DAY, Time};

use super::balance::{self, GrantBalance, Moment, Share};
use super::used::each_use;
pub use pace::{Pace, Span};

/// Full days looked back on, unless asked otherwise.
pub const WINDOW: i64 = 28;
/// Full days without which nothing is foretold.
pub const LEAST_DAYS: i64 = 14;
/// Days with use without which nothing is foretold.
pub const LEAST_DAYS_OF_USE: i64 = 3;

/// What was seen of a grant's use.
#[derive(Clone, Debug)]
pub struct Window {
    /// The first full day, at its begin.
    pub from: Time,
    /// The end of the last full day.
    pub to: Time,
    /// Full days.
    pub days: i64,
    /// Days among them on which anything was used.
    pub days_of_use: i64,
    /// Used in them, overdraft included.
    pub used: Amount,
}

/// How long what is available lasts, in whole days from now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Runway {
    /// At the pace of the window.
    pub days: i64,
    /// At the fast pace.
    pub low: i64,
    /// At the slow pace; `None` where that is no use at all.
    pub high: Option<i64>,
}

/// What becomes of what is left of a lot at its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// It is lost.
    Lapses,
    /// It goes back to the donor.
    Returns,
    /// It goes back to its lot, for other grants.
    Frees,
    /// Nothing: the lot has no end.
    Stays,
}

impl Then {
    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Then::Lapses => "lapses",
            Then::Returns => "returns_to_donor",
            Then::Frees => "goes_back_to_lot",
            Then::Stays => "stays",
        }
    }

    fn of(lot: &Lot) -> Then {
        match (lot.expires_at, lot.on_expiry) {
            (None, _) => Then::Stays,
            (_, OnExpiry::Return) => Then::Returns,
            (_, OnExpiry::Lapse) => Then::Lapses,
        }
    }
}

/// What will have been used of something at its end, and what not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Left {
    /// Used until then at the pace of the window.
    pub used: Amount,
    /// Not used.
    pub unused: Amount,
    /// Not used at the fast pace.
    pub unused_low: Amount,
    /// Not used at the slow pace.
    pub unused_high: Amount,
}

/// What is foretold of a grant's part of one lot.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// Which lot.
    pub lot: LotId,
    /// Free now.
    pub available: Amount,
    /// Until when: the lot's expiry or the grant's end, whichever is sooner.
    pub ends_at: Time,
    /// What becomes of the rest then.
    pub then: Then,
    /// `None` where there is too little history.
    pub left: Option<Left>,
}

/// What is foretold of a grant.
#[derive(Clone, Debug)]
pub struct GrantForecast {
    /// As it stands.
    pub balance: GrantBalance,
    /// What was looked back on; `None` for a grant that is not active.
    pub window: Option<Window>,
    /// The pace; `None` where there is too little history.
    pub pace: Option<Pace>,
    /// `None` where there is too little history.
    pub runway: Option<Runway>,
    /// In draw-down order.
    pub lots: Vec<Outlook>,
    /// How this was arrived at, with its figures.
    pub method: String,
}

/// What is foretold of a lot, over all grants that draw on it.
#[derive(Clone, Debug)]
pub struct LotForecast {
    /// The lot.
    pub lot: Lot,
    /// By which clock.
    pub as_of: Time,
    /// Delivered and not granted.
    pub available: Amount,
    /// Granted and free there.
    pub granted: Amount,
    /// Granted to grants with too little history: nothing is foretold of that part.
    pub without_history: Amount,
    /// Until its end; what is not granted counts as unused. `None` for a lot without an end, or where no part has enough history.
    pub left: Option<Left>,
    /// What becomes of the rest then.
    pub then: Then,
    /// How this was arrived at, with its figures.
    pub method: String,
}

/// Foretells a grant from so many full days at most.
pub fn grant_forecast(conn: &mut Conn, grant: Grant, now: Time, window: i64) -> Result<GrantForecast, Fault> {
    let balance = balance::grant_balance(conn, grant, Moment::Now(now))?;
    let grant = &balance.grant;
    let active = grant.state.word() == "active" && grant.about.period.contains(now);
    let seen = if active { Some(look_back(conn, &balance, window)?) } else { None };
    let enough = |window: &Window| window.days >= LEAST_DAYS && window.days_of_use >= LEAST_DAYS_OF_USE;
    let pace = seen.as_ref().filter(|(window, _)| enough(window)).and_then(|(_, days)| Pace::of(days));
    let shares: Vec<&Share> = balance.lots.iter().filter(|share| share.available > 0).collect();
    let lots = outlooks(&balance, &shares, pace.as_ref());
    let runway = pace.as_ref().and_then(|pace| {
        let free = balance.available.minor;
        Some(Runway { days: pace.usual.lasts(free)?, low: pace.fast.lasts(free)?, high: pace.slow.lasts(free) })
    });
    let window = seen.map(|(window, _)| window);
    let mut found = GrantForecast { balance, window, pace, runway, lots, method: String::new() };
    found.method = method::of_grant(&found);
    Ok(found)
}

/// The full days before today, newest last, with what was used on each; a grant younger than the window is looked at from its begin.
fn look_back(conn: &mut Conn, balance: &GrantBalance, window: i64) -> Result<(Window, Vec<i64>), Fault> {
    let (now, grant) = (balance.as_of, &balance.grant);
    let today = now.micros().div_euclid(DAY);
    let begun = grant.about.period.from.micros();
    let first_day = begun.div_euclid(DAY) + i64::from(begun.rem_euclid(DAY) > 0);
    let days = (today - first_day).clamp(0, window);
    let (from, to) = (Time::from_micros((today - days) * DAY), Time::from_micros(today * DAY));
    let mut by_day: HashMap<i64, i64> = HashMap::new();
    each_use(conn, grant.id, Some(from), |one| {
        if one.ended_at < to {
            let sum = by_day.entry(one.ended_at.micros().div_euclid(DAY)).or_default();
            *sum = sum.checked_add(one.amount).ok_or_else(crate::amount::out_of_range)?;
        }
        Ok(())
    })?;
    let used = ledger::journal::total(by_day.values().copied())?;
    let list: Vec<i64> = (today - days..today).map(|day| by_day.get(&day).copied().unwrap_or(0).max(0)).collect();
    let days_of_use = list.iter().fold(0, |count, used| count + i64::from(*used > 0));
    Ok((Window { from, to, days, days_of_use, used: Amount::new(used, grant.awarded.unit) }, list))
}

fn outlooks(balance: &GrantBalance, shares: &[&Share], pace: Option<&Pace>) -> Vec<Outlook> {
    let (now, grant) = (balance.as_of, &balance.grant);
    let end = grant.about.period.to;
    let spans: Vec<Span> =
        shares.iter().map(|share| Span { free: share.available, ends_at: share.lot.expires_at.map_or(end, |e| e.min(end)) }).collect();
    let used = pace.map(|pace| [&pace.usual, &pace.fast, &pace.slow].map(|rate| rate.draws(&spans, now)));
    let money = |minor| Amount::new(minor, grant.awarded.unit);
    let outlook = |(place, share): (usize, &&Share)| {
        let free = share.available;
        let left = used.as_ref().and_then(|[usual, fast, slow]| {
            let (usual, fast, slow) = (*usual.get(place)?, *fast.get(place)?, *slow.get(place)?);
            // In draw-down order a faster pace may reach a lot that a slower one does not, never the other way round.
            let (least, most) = ((free - fast).min(free - slow), (free - slow).max(free - fast));
            Some(Left { used: money(usual), unused: money(free - usual), unused_low: money(least), unused_high: money(most) })
        });
        let ends_at = share.lot.expires_at.map_or(end, |e| e.min(end));
        let then = if grant.gives_back(&share.lot) { Then::Frees } else { Then::of(&share.lot) };
        Outlook { lot: share.lot.id, available: money(free), ends_at, then, left }
    };
    shares.iter().enumerate().map(outlook).collect()
}

/// Foretells a lot: what its grants will have used of it at its end, and what will be left.
pub fn lot_forecast(conn: &mut Conn, lot: Lot, now: Time) -> Result<LotForecast, Fault> {
    let whereabouts = balance::lot_whereabouts(conn, &lot, now)?;
    let unit = lot.amount.unit;
    let accounts = ledger::store::accounts(conn, Of { lot: Some(lot.id.stamp()), ..Of::default() }, Page::ALL)?;
    let drawing = accounts.iter().filter(|account| account.key.bucket == Bucket::Granted && account.balance > 0);
    let ids: Vec<i64> = drawing.map(|account| account.key.grant).collect();
    let of = grants::Of { ids: Some(ids), ..grants::Of::default() };
    let free = whereabouts.available;
    let mut left = Left { used: Amount::zero(unit), unused: free, unused_low: free, unused_high: free };
    let (mut without, mut with) = (Amount::zero(unit), 0);
    for grant in grants::store::grants(conn, &of, Page::ALL)? {
        let forecast = grant_forecast(conn, grant, now, WINDOW)?;
        let Some(part) = forecast.lots.iter().find(|outlook| outlook.lot == lot.id) else { continue };
        match &part.left {
            None => without = without.plus(part.available)?,
            Some(own) => {
                with += 1;
                left = Left {
                    used: left.used.plus(own.used)?,
                    unused: left.unused.plus(own.unused)?,
                    unused_low: left.unused_low.plus(own.unused_low)?,
                    unused_high: left.unused_high.plus(own.unused_high)?,
                };
            }
        }
    }
    let told = lot.expires_at.is_some_and(|end| now < end) && (with > 0 || without.minor == 0);
    let then = Then::of(&lot);
    let mut found = LotForecast {
        lot,
        as_of: now,
        available: free,
        granted: whereabouts.granted,
        without_history: without,
        left: told.then_some(left),
        then,
        method: String::new(),
    };
    found.method = method::of_lot(&found);
    Ok(found)
}
