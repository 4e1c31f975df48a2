//! The pace of use and what it leads to. Pure; whole numbers, rounded down.

use crate::time::{DAY, Time};

/// So much in so many days.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// In the smallest part of a unit.
    pub amount: i64,
    /// In so many days.
    pub days: i64,
}

/// The pace of a window: its mean, and a band around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// The whole window.
    pub usual: Rate,
    /// One in ten stretches of seven days used so little or less.
    pub slow: Rate,
    /// One in ten stretches of seven days used so much or more.
    pub fast: Rate,
    /// How many stretches there were.
    pub stretches: usize,
}

/// Something that can be used until its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// How much, in the smallest part of a unit.
    pub free: i64,
    /// Until when.
    pub ends_at: Time,
}

/// Days of a stretch: a whole week, whatever day it begins on.
const STRETCH: usize = 7;

impl Pace {
    /// The pace of daily uses; `None` for fewer days than a stretch, for no use at all, or beyond 64 bits.
    pub fn of(days: &[i64]) -> Option<Pace> {
        let total = sum(days)?;
        let mut sums: Vec<i64> = days.windows(STRETCH).map(sum).collect::<Option<_>>()?;
        sums.sort_unstable();
        let last = sums.len().checked_sub(1)?;
        let (tenth, ninth) = (*sums.get(last / 10)?, *sums.get(last - last / 10)?);
        if total == 0 {
            return None;
        }
        let length = i64::try_from(days.len()).ok()?;
        // The window's own mean belongs to the band, also where its first or last days make it an odd one.
        let mean = i64::try_from(i128::from(total) * STRETCH as i128 / i128::from(length)).ok()?;
        let rate = |amount| Rate { amount, days: STRETCH as i64 };
        let (slow, fast) = (rate(tenth.min(mean)), rate(ninth.max(mean.saturating_add(1))));
        Some(Pace { usual: Rate { amount: total, days: length }, slow, fast, stretches: sums.len() })
    }
}

fn sum(days: &[i64]) -> Option<i64> {
    days.iter().try_fold(0i64, |sum, day| sum.checked_add(*day))
}

impl Rate {
    /// What is used in one day, in the smallest part of a unit.
    pub fn per_day(&self) -> i64 {
        self.amount / self.days.max(1)
    }

    /// For how many whole days so much lasts; `None` at no pace at all.
    pub fn lasts(&self, free: i64) -> Option<i64> {
        let days = (i128::from(free) * i128::from(self.days)).checked_div(i128::from(self.amount))?;
        Some(i64::try_from(days).unwrap_or(i64::MAX))
    }

    /// What would be used until a moment.
    fn until(&self, now: Time, end: Time) -> i128 {
        let whole = i128::from(self.days.max(1)) * i128::from(DAY);
        i128::from(self.amount) * i128::from(end.since(now).max(0)) / whole
    }

    /// What is used of each of these, given in draw-down order, until its end. What would be used when nothing is left is nobody's.
    pub fn draws(&self, spans: &[Span], now: Time) -> Vec<i64> {
        let mut used = vec![0i64; spans.len()];
        let mut ends: Vec<Time> = spans.iter().map(|span| span.ends_at).collect();
        ends.sort_unstable();
        ends.dedup();
        let mut before = 0;
        for end in ends {
            let until = self.until(now, end);
            let mut wanted = until - before;
            before = until;
            for (span, used) in spans.iter().zip(&mut used).filter(|(span, _)| span.ends_at >= end) {
                let part = wanted.clamp(0, i128::from(span.free - *used));
                wanted -= part;
                // At most what is free, so it fits.
                *used += i64::try_from(part).unwrap_or(0);
            }
        }
        used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(n: i64) -> Time {
        Time::from_micros(n * DAY)
    }

    #[test]
    fn an_even_pace_has_a_narrow_band() {
        let pace = Pace::of(&[100; 28]).expect("a pace");
        assert_eq!((pace.usual, pace.slow.amount, pace.fast.amount), (Rate { amount: 2800, days: 28 }, 700, 701));
        assert_eq!((pace.usual.per_day(), pace.usual.lasts(1050), pace.stretches), (100, Some(10), 22));
    }

    #[test]
    fn weekends_are_no_change_of_pace_but_a_burst_is() {
        let week = [100, 100, 100, 100, 100, 0, 0];
        let even = Pace::of(&week.repeat(4)).expect("a pace");
        assert_eq!((even.slow.amount, even.fast.amount), (500, 501));
        let mut burst = vec![10; 28];
        burst[20] = 10_000;
        let burst = Pace::of(&burst).expect("a pace");
        assert_eq!((burst.slow.amount, burst.fast.amount), (70, 10_060));
    }

    #[test]
    fn without_use_or_a_week_there_is_no_pace() {
        assert_eq!((Pace::of(&[0; 28]), Pace::of(&[5; 6]), Pace::of(&[])), (None, None, None));
        assert_eq!(Pace::of(&[i64::MAX; 8]), None);
        let idle_weeks: Vec<i64> = [[0; 7], [70; 7], [0; 7]].concat();
        assert_eq!(Pace::of(&idle_weeks).expect("a pace").slow.lasts(5), None);
    }

    #[test]
    fn lots_are_drawn_in_order_each_until_its_end() {
        let span = |free, end| Span { free, ends_at: day(end) };
        let rate = Rate { amount: 10, days: 1 };
        assert_eq!(rate.draws(&[span(50, 3), span(100, 20)], day(0)), [30, 100], "the first ends with 20 unused");
        assert_eq!(rate.draws(&[span(20, 3), span(100, 5)], day(0)), [20, 30]);
        // A lot that pays later by priority but ends sooner is hardly reached.
        assert_eq!(rate.draws(&[span(100, 20), span(50, 12)], day(0)), [100, 20]);
        assert_eq!(rate.draws(&[span(7, -1)], day(0)), [0], "what has ended is not used any more");
        assert_eq!(Rate { amount: i64::MAX, days: 1 }.draws(&[span(5, 900_000)], day(0)), [5]);
    }
}
