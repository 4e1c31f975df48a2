//! How finely times are told: to who reads as a donor, or unsigned, by the day; to everybody else to the microsecond.
//!
//! The route says so once for a request; what is shown on other threads for it is told so by whoever hands the work on.

use std::cell::Cell;

use crate::time::{DAY, Time};

tokio::task_local! {
    static ASKED: bool;
}

thread_local! {
    static HERE: Cell<bool> = const { Cell::new(false) };
}

/// Answers a request by the day, or not.
pub async fn answer<T>(by_day: bool, answering: impl Future<Output = T>) -> T {
    ASKED.scope(by_day, answering).await
}

/// Whether the request being answered is answered by the day.
pub fn asked() -> bool {
    ASKED.try_with(|by_day| *by_day).unwrap_or_default()
}

/// Does a piece of a request's work on this thread, with its times by the day or not.
pub fn with<T>(by_day: bool, work: impl FnOnce() -> T) -> T {
    let before = HERE.replace(by_day);
    let done = work();
    HERE.set(before);
    done
}

/// The time as it may be told here.
pub fn told(time: Time) -> Time {
    match HERE.get() || asked() {
        true => Time::from_micros(time.micros().div_euclid(DAY).saturating_mul(DAY)),
        false => time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn times_are_told_by_the_day_where_it_was_said() {
        let time = Time::parse("2026-03-02T10:11:12.000013Z").expect("a time");
        let day = Time::parse("2026-03-02T00:00:00Z").expect("a time");
        assert_eq!(told(time), time);
        assert_eq!(answer(true, async { (asked(), told(time)) }).await, (true, day));
        assert_eq!(with(true, || told(time)), day);
        assert_eq!(told(time), time, "and nowhere else");
    }
}
