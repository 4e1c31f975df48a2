//! Times as logs write them: mostly local and without a zone.
//!
//! Where clocks go forward a local time may not exist, where they go back it exists twice. What does not exist is refused; of what
//! exists twice, both instants are kept until submit, start, end and the elapsed time together leave one reading, or none is taken.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use crate::time::{SECOND, Time};

/// One written time: one instant, or the two of an hour that comes twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    first: Time,
    second: Option<Time>,
}

/// Reads a time; `None` where the log says that there is none (yet).
pub fn moment(text: &str, zone: &TimeZone) -> Result<Option<Moment>, String> {
    if matches!(text, "" | "Unknown" | "None") {
        return Ok(None);
    }
    let unreadable = || format!("{text:?} is no time.");
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let seconds: i64 = text.parse().map_err(|_| unreadable())?;
        return from_epoch(seconds).map(Some).ok_or_else(unreadable);
    }
    if !text.is_ascii() {
        return Err(unreadable());
    }
    if let Some(at) = Time::parse(text).or_else(|| with_short_offset(text)) {
        return Ok(Some(Moment::from(at)));
    }
    let local = local_time(text).ok_or_else(unreadable)?;
    in_zone(local, zone, text).map(Some)
}

/// The instant so many seconds after 1970 began; `None` outside the years 1970–9999.
pub fn from_epoch(seconds: i64) -> Option<Moment> {
    let sane = (0..253_402_300_800).contains(&seconds);
    sane.then(|| Moment::from(Time::from_micros(seconds * SECOND)))
}

impl From<Time> for Moment {
    fn from(at: Time) -> Moment {
        Moment { first: at, second: None }
    }
}

impl Moment {
    fn readings(self) -> impl Iterator<Item = Time> + Clone {
        std::iter::once(self.first).chain(self.second)
    }
}

/// `+0100`, as `%z` writes it.
fn with_short_offset(text: &str) -> Option<Time> {
    let (rest, minutes) = text.split_at_checked(text.len().checked_sub(2)?)?;
    Time::parse(&format!("{rest}:{minutes}"))
}

/// `2016-12-22T07:15:12`, also with a space, also with decimals; nothing shorter.
fn local_time(text: &str) -> Option<DateTime> {
    let bytes = text.as_bytes();
    let at = |place: usize, wanted: &[u8]| bytes.get(place).is_some_and(|b| wanted.contains(b));
    let marks = at(4, b"-") && at(7, b"-") && at(10, b"T ") && at(13, b":") && at(16, b":");
    let rest = bytes.get(19..)?;
    let decimals = rest.is_empty() || (rest.first() == Some(&b'.') && rest.len() > 1);
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    let others = if rest.is_empty() { 5 } else { 6 };
    if !marks || !decimals || digits + others != bytes.len() {
        return None;
    }
    let read: DateTime = text.parse().ok()?;
    (read.year() > 0).then_some(read)
}

fn in_zone(local: DateTime, zone: &TimeZone, text: &str) -> Result<Moment, String> {
    let instant = |offset: Offset| {
        let stamp = offset.to_timestamp(local).map_err(|_| format!("{text:?} is out of range."))?;
        Ok::<Time, String>(Time::from_micros(stamp.as_microsecond()))
    };
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => Ok(Moment::from(instant(offset)?)),
        AmbiguousOffset::Gap { .. } => Err(format!("{text} does not exist in the time zone: clocks went forward past it.")),
        AmbiguousOffset::Fold { before, after } => Ok(Moment { first: instant(before)?, second: Some(instant(after)?) }),
    }
}

/// Submit, start and end of a job.
pub type Span = (Option<Time>, Time, Time);

/// The one reading of a job's times. Only where an hour comes twice are they compared: `submit ≤ start ≤ end`, and the elapsed
/// seconds, if known.
pub fn one_reading(submit: Option<Moment>, start: Moment, end: Moment, elapsed: Option<i64>) -> Result<Span, String> {
    let submits: Vec<Option<Time>> = submit.map_or_else(|| vec![None], |m| m.readings().map(Some).collect());
    let mut spans: Vec<Span> = Vec::with_capacity(1);
    for submitted in submits {
        spans.extend(start.readings().flat_map(|s| end.readings().map(move |e| (submitted, s, e))));
    }
    if spans.len() > 1 {
        spans.retain(|(u, s, e)| s <= e && u.is_none_or(|u| u <= *s) && elapsed.is_none_or(|n| e.since(*s) == n.saturating_mul(SECOND)));
    }
    match spans.as_slice() {
        [(_, s, e)] if e < s => Err("It ends before it starts.".to_owned()),
        [one] => Ok(*one),
        [] => Err("No reading of its times in the hour that clocks went back fits together.".to_owned()),
        _ => Err("Its times lie in an hour that came twice when clocks went back, and nothing tells which is meant.".to_owned()),
    }
}

/// `[days-]hours:minutes:seconds` or whole seconds; `None` if it is neither.
pub fn elapsed_seconds(text: &str) -> Option<i64> {
    let (days, clock) = text.split_once('-').unwrap_or(("0", text));
    let mut seconds: i64 = 0;
    for part in clock.split(':') {
        if part.is_empty() || part.len() > 12 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        seconds = seconds.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    if days.len() > 9 || !days.bytes().all(|b| b.is_ascii_digit()) || clock.split(':').count() > 3 {
        return None;
    }
    seconds.checked_add(days.parse::<i64>().ok()?.checked_mul(86_400)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").expect("bundled")
    }

    fn at(text: &str, zone: &TimeZone) -> Result<Option<Moment>, String> {
        moment(text, zone)
    }

    fn span(submit: &str, start: &str, end: &str, elapsed: Option<i64>) -> Result<String, String> {
        let known = |text: &str| at(text, &berlin())?.ok_or("none".to_owned());
        let (u, s, e) = one_reading(at(submit, &berlin())?, known(start)?, known(end)?, elapsed)?;
        let shown = |t: Time| t.to_string().chars().skip(11).take(5).collect::<String>();
        Ok(format!("{} {} {}", u.map(shown).unwrap_or_default(), shown(s), shown(e)))
    }

    #[test]
    fn forms_of_time() {
        let want = Time::parse("2016-12-22T07:15:12Z").map(Moment::from);
        let forms = [
            "2016-12-22T07:15:12",
            "2016-12-22 07:15:12",
            "2016-12-22T07:15:12Z",
            "2016-12-22T08:15:12+0100",
            "2016-12-22T08:15:12+01:00",
            "1482390912",
            "2016-12-22T07:15:12.000",
        ];
        for text in forms {
            assert_eq!(at(text, &TimeZone::UTC), Ok(want), "{text}");
        }
        assert_eq!(at("2016-12-22T08:15:12", &berlin()), Ok(want));
        assert_eq!(at("Unknown", &berlin()), Ok(None));
        for bad in [
            "yesterday",
            "2016-12-22",
            "2016-02-30T00:00:00",
            "2016-12-22T07:15",
            "20161222T071512",
            "99999999999999999999",
            "2016-12-22T07:15:12é",
        ] {
            assert!(at(bad, &TimeZone::UTC).is_err(), "{bad}");
        }
    }

    #[test]
    fn hours_that_clocks_skip_or_repeat() {
        // On 2026-03-29 clocks went from 02:00 to 03:00; on 2026-10-25 from 03:00 back to 02:00.
        assert!(at("2026-03-29T02:30:00", &berlin()).is_err());
        let day = |time: &str| format!("2026-10-25T{time}:00");
        let read = |u: &str, s: &str, e: &str, n| span(&day(u), &day(s), &day(e), n);
        assert_eq!(read("01:00", "01:30", "04:00", None).as_deref(), Ok("23:00 23:30 03:00"));
        // Both readings of the end fit; the elapsed time tells.
        assert!(read("01:00", "01:30", "02:30", None).is_err());
        assert_eq!(read("01:00", "01:30", "02:30", Some(3600)).as_deref(), Ok("23:00 23:30 00:30"));
        assert_eq!(read("01:00", "01:30", "02:30", Some(7200)).as_deref(), Ok("23:00 23:30 01:30"));
        // Seemingly backwards: from the first 02:50 to the second 02:10.
        assert_eq!(read("01:00", "02:50", "02:10", None).as_deref(), Ok("23:00 00:50 01:10"));
        // Both in the same hour, which may be either.
        assert!(read("01:00", "02:10", "02:20", Some(600)).is_err());
        assert!(read("01:00", "02:10", "02:20", Some(60)).is_err());
        assert!(read("05:00", "06:00", "05:30", None).is_err());
    }

    #[test]
    fn elapsed_times() {
        assert_eq!(elapsed_seconds("10-13:27:06"), Some(912_426));
        assert_eq!(elapsed_seconds("00:00:24"), Some(24));
        assert_eq!(elapsed_seconds("66"), Some(66));
        for bad in ["", "1:2:3:4", "x", "1-", "-1", "9999999999999999999"] {
            assert_eq!(elapsed_seconds(bad), None, "{bad}");
        }
    }
}
