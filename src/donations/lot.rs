//! Lots: deliveries that never lose their identity; when they are usable and which pays first.
//!
//! Pure. The clock decides what a lot is worth, whether or not a sweep has booked it.

use std::cmp::Ordering;

use super::donation::{OnExpiry, Terms};
use crate::amount::Amount;
use crate::id::{DonationId, DonorId, LotId};
use crate::ledger::Few;
use crate::refusal::Refusal;
use crate::time::{DAY, Period, Time};

/// How long after a lot's or a grant's end usage may still be reported (µs).
pub const GRACE: i64 = 7 * DAY;

/// One delivery of a donation, with what it inherits from it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lot {
    /// Its identifier.
    pub id: LotId,
    /// Of which donation.
    pub donation: DonationId,
    /// Of which donor.
    pub donor: DonorId,
    /// What was delivered.
    pub amount: Amount,
    /// Usable from here.
    pub delivered_at: Time,
    /// Usable until here; `None` for ever.
    pub expires_at: Option<Time>,
    /// The donation's terms.
    pub terms: Terms,
    /// The donation's draw priority: lower pays first.
    pub draw_priority: i32,
    /// The donation's rule for what is left at expiry.
    pub on_expiry: OnExpiry,
}

/// What the clock says of a lot or a grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Open for use now.
    Usable,
    /// Past its end, but usage until then may still be reported.
    Lapsing,
    /// Past the reporting grace.
    Lapsed,
}

/// The phase of something that ends at `end`, by the clock.
pub fn phase(end: Option<Time>, now: Time) -> Phase {
    match end {
        Some(end) if now >= end.plus(GRACE) => Phase::Lapsed,
        Some(end) if now >= end => Phase::Lapsing,
        _ => Phase::Usable,
    }
}

impl Lot {
    /// Whether a job that ended then may draw on it, reported now.
    pub fn pays_for(&self, ended_at: Time, now: Time) -> bool {
        let open = self.delivered_at <= ended_at && self.expires_at.is_none_or(|end| ended_at < end);
        open && phase(self.expires_at, now) != Phase::Lapsed
    }

    /// Whether it is usable during some part of a period and not past its expiry now.
    pub fn usable_within(&self, period: Period, now: Time) -> bool {
        let overlaps = self.delivered_at < period.to && self.expires_at.is_none_or(|end| period.from < end);
        overlaps && phase(self.expires_at, now) == Phase::Usable
    }

    /// Draw-down order: priority (lower first), soonest expiry (none last), earliest delivery, id.
    pub fn draw_order(&self, other: &Lot) -> Ordering {
        let expiry = |lot: &Lot| lot.expires_at.map_or(i64::MAX, Time::micros);
        let key = |lot: &Lot| (lot.draw_priority, expiry(lot), lot.delivered_at, lot.id);
        key(self).cmp(&key(other))
    }
}

/// What each lot pays of `wanted`, in the order given, each at most what it has free; and what nobody pays.
pub fn draw<L: Copy>(free: impl IntoIterator<Item = (L, i64)>, wanted: i64) -> Result<(Few<(L, i64)>, i64), Refusal> {
    let mut rest = wanted;
    let mut plan = Few::new();
    for (lot, free) in free {
        let part = free.min(rest);
        if part > 0 {
            plan.push((lot, part));
            rest = rest.checked_sub(part).ok_or_else(crate::amount::out_of_range)?;
        }
    }
    Ok((plan, rest))
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::amount::Unit;
    use crate::id::Id;

    fn lot(id: i64, priority: i32, delivered: i64, expires: Option<i64>) -> Lot {
        let unit = Unit::new("USD", 6).expect("a unit");
        Lot {
            id: Id::from_stamp(id),
            donation: Id::from_stamp(1),
            donor: Id::from_stamp(1),
            amount: Amount::new(1, unit),
            delivered_at: Time::from_micros(delivered),
            expires_at: expires.map(Time::from_micros),
            terms: Terms::default(),
            draw_priority: priority,
            on_expiry: OnExpiry::Lapse,
        }
    }

    #[test]
    fn priority_then_expiry_then_delivery_then_id() {
        let mut lots = [
            lot(6, 1, 0, None),
            lot(5, 0, 0, None),
            lot(4, 0, 5, Some(90)),
            lot(3, 0, 4, Some(90)),
            lot(2, 0, 4, Some(90)),
            lot(1, 0, 9, Some(80)),
        ];
        lots.sort_by(Lot::draw_order);
        assert_eq!(lots.map(|l| l.id.stamp()), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_late_report_is_paid_until_the_grace_is_over() {
        let t = Time::from_micros;
        let lot = lot(1, 0, 10, Some(100));
        assert!(lot.pays_for(t(10), t(20)) && lot.pays_for(t(99), t(100 + GRACE - 1)));
        assert!(!lot.pays_for(t(9), t(20)), "before its delivery");
        assert!(!lot.pays_for(t(100), t(101)), "at its expiry");
        assert!(!lot.pays_for(t(99), t(100 + GRACE)), "after the grace");
    }

    #[test]
    fn drawing_takes_what_is_free_and_says_what_is_missing() {
        assert_eq!(draw([('a', 5), ('b', 0), ('c', 7)], 9), Ok((smallvec![('a', 5), ('c', 4)], 0)));
        assert_eq!(draw([('a', 5)], 9), Ok((smallvec![('a', 5)], 4)));
    }
}
