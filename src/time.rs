//! Instants, days, periods and the clock.
//!
//! Every instant is UTC and cut to whole microseconds, the finest PostgreSQL and SQLite agree on, so that what is written reads
//! back equal. Periods are half-open. The clock is handed in, never asked for globally: tests and the demo set it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use jiff::fmt::StdFmtWrite;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::TimeZone;

/// An instant in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Time(i64);

/// Microseconds in a second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds in a day.
pub const DAY: i64 = 86_400 * SECOND;
/// How far ahead of the clock a reported time may lie before it is refused (`books.md`, order and time).
pub const TOLERATED_LEAD: i64 = 300 * SECOND;

impl Time {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Time {
        Time(micros)
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Reads RFC 3339 with any offset; finer than a microsecond is cut. `None` outside years 1–9999 or if out of form.
    pub fn parse(text: &str) -> Option<Time> {
        // RFC 3339 wants a full time and an offset; jiff alone would take more (weeks, missing seconds, annotations).
        let bytes = text.as_bytes();
        let offset = text.ends_with(['Z', 'z']) || (text.len() > 6 && matches!(bytes[text.len() - 6], b'+' | b'-'));
        let form = text.len() >= 20 && bytes[4] == b'-' && bytes[7] == b'-' && bytes[10] == b'T' && bytes[16] == b':';
        if !text.is_ascii() || !form || !offset {
            return None;
        }
        let parsed: Timestamp = text.parse().ok()?;
        (parsed.as_microsecond() > -62_135_596_800 * SECOND).then(|| Time(parsed.as_microsecond()))
    }

    /// Later (or earlier) by so many microseconds, held at the ends of the range.
    pub fn plus(self, micros: i64) -> Time {
        Time(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to here.
    pub fn since(self, earlier: Time) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The UTC calendar day, `2026-03-02`.
    pub fn day(self) -> String {
        match self.text() {
            Some(text) => String::from_utf8_lossy(&text[..10]).into_owned(),
            None => self.zoned().map(|z| z.date().to_string()).unwrap_or_default(),
        }
    }

    /// Writes the instant, as `Display` does, at the end of another text.
    pub fn push_to(self, out: &mut String) {
        match self.text() {
            Some(text) => out.push_str(std::str::from_utf8(&text).unwrap_or_default()),
            None => out.push_str(&self.to_string()),
        }
    }

    /// The instant as `Display` writes it; `None` outside of the years that are usual. Every entry of the journal is written so to be hashed, and
    /// whole numbers are enough for that.
    fn text(self) -> Option<[u8; 27]> {
        if !USUAL.contains(&self.0) {
            return None;
        }
        let (second, micro) = (self.0.rem_euclid(DAY) / SECOND, self.0.rem_euclid(SECOND));
        let (year, month, day) = civil(self.0.div_euclid(DAY));
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let parts = [(3, year), (6, month), (9, day), (12, second / 3600), (15, second / 60 % 60), (18, second % 60), (25, micro)];
        for (last, mut number) in parts {
            for byte in text[..=last].iter_mut().rev() {
                if number == 0 {
                    break;
                }
                *byte = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        Some(text)
    }

    fn zoned(self) -> Option<jiff::Zoned> {
        Timestamp::from_microsecond(self.0).ok().map(|t| t.to_zoned(TimeZone::UTC))
    }
}

/// Years 1 to 9998.
const USUAL: std::ops::Range<i64> = -62_135_596_800 * SECOND..253_370_764_800 * SECOND;

/// Year, month and day of a day since 1970-01-01. Years are counted from March, so that a leap day is the last of its year; 146,097 days are
/// 400 years.
fn civil(days: i64) -> (i64, i64, i64) {
    let since = days + 719_468;
    let (era, day) = (since.div_euclid(146_097), since.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    (400 * era + year + i64::from(month <= 2), month, day)
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Time, String> {
        Time::parse(text).ok_or_else(|| format!("{text:?} is not an RFC 3339 time such as 2026-03-02T10:00:00Z"))
    }
}

impl serde::Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl fmt::Display for Time {
    /// RFC 3339, UTC, always six decimals: `2026-03-02T10:00:00.000000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        static PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
        if let Some(text) = self.text() {
            return f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?);
        }
        match Timestamp::from_microsecond(self.0) {
            Ok(instant) => PRINTER.print_timestamp(&instant, StdFmtWrite(f)).map_err(|_| fmt::Error),
            Err(_) => write!(f, "{}µs", self.0),
        }
    }
}

/// A half-open span of time, `[from, to)`, never empty or inverted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Period {
    /// First instant within.
    pub from: Time,
    /// First instant after.
    pub to: Time,
}

impl Period {
    /// The period, if `from` comes before `to`.
    pub fn new(from: Time, to: Time) -> Option<Period> {
        (from < to).then_some(Period { from, to })
    }

    /// Whether the instant lies within.
    pub fn contains(&self, at: Time) -> bool {
        self.from <= at && at < self.to
    }
}

/// Where "now" comes from: the system, or a hand that tests and the demo move.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    held: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Clock {
        Clock { held: None }
    }

    /// A clock that stands at `start` until it is set; its clones move with it.
    pub fn held(start: Time) -> Clock {
        Clock { held: Some(Arc::new(AtomicI64::new(start.0))) }
    }

    /// The current instant, cut to microseconds.
    pub fn now(&self) -> Time {
        match &self.held {
            Some(hand) => Time(hand.load(Ordering::SeqCst)),
            None => Time(Timestamp::now().as_microsecond()),
        }
    }

    /// Moves a held clock; the system's clock is left alone.
    pub fn set(&self, to: Time) {
        if let Some(hand) = &self.held {
            hand.store(to.0, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rfc_3339_only_and_cuts_to_microseconds() {
        let at = |s: &str| Time::parse(s).map(|t| t.to_string());
        assert_eq!(at("2026-03-02T10:00:00Z").as_deref(), Some("2026-03-02T10:00:00.000000Z"));
        assert_eq!(at("2026-03-02T10:00:00.123456789+02:00").as_deref(), Some("2026-03-02T08:00:00.123456Z"));
        let bad =
            ["", "2026-03-02", "2026-03-02T10:00:00", "2026-03-02 10:00:00Z", "20260302T100000Z", "2026-02-30T10:00:00Z", "yesterday"];
        for text in bad {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn instants_are_written_as_jiff_writes_them() {
        let printer = DateTimePrinter::new().precision(Some(6));
        let mut at = Time(USUAL.start);
        let mut seen = 0;
        while USUAL.contains(&at.0) {
            let jiffs = Timestamp::from_microsecond(at.0).expect("an instant");
            assert_eq!(at.to_string(), printer.timestamp_to_string(&jiffs));
            let mut text = String::new();
            at.push_to(&mut text);
            assert_eq!(text, at.to_string());
            assert_eq!(at.day(), jiffs.to_zoned(TimeZone::UTC).date().to_string());
            // A prime of seconds and some: every hour, day and month comes by.
            at = at.plus(29_999_999 * SECOND + 123_457);
            seen += 1;
        }
        assert!(seen > 10_000, "{seen}");
        for (micros, text) in [(-1, "1969-12-31T23:59:59.999999Z"), (951_782_400 * SECOND, "2000-02-29T00:00:00.000000Z")] {
            assert_eq!(Time(micros).to_string(), text);
        }
        assert_eq!(Time(USUAL.end).to_string(), "9999-01-01T00:00:00.000000Z");
    }

    #[test]
    fn periods_are_half_open() {
        let p = Period::new(Time(1), Time(3)).expect("in order");
        assert_eq!([0, 1, 2, 3].map(|t| p.contains(Time(t))), [false, true, true, false]);
        assert_eq!(Period::new(Time(3), Time(3)), None);
    }

    #[test]
    fn a_held_clock_moves_for_all_its_clones() {
        let clock = Clock::held(Time(5));
        clock.clone().set(Time(9));
        assert_eq!(clock.now(), Time(9));
    }
}
