//! Numbers and days as people read them: thousands apart, as many decimals as the table needs, months by name.

use crate::amount::Amount;
use crate::reports::statement::figures::{Column, Figures};
use crate::time::Time;

/// How many decimals the amounts of one table are shown with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shown {
    decimals: usize,
}

impl Shown {
    /// As many as the amount with the most needs, and two where their unit has them.
    pub fn of(amounts: impl IntoIterator<Item = Amount>) -> Shown {
        let needed = |amount: Amount| {
            let text = amount.to_string();
            let decimals = text.split_once('.').map_or("", |(_, decimals)| decimals);
            decimals.trim_end_matches('0').len().max(decimals.len().min(2))
        };
        Shown { decimals: amounts.into_iter().map(needed).max().unwrap_or(0) }
    }

    /// An amount.
    pub fn amount(self, amount: Amount) -> String {
        let text = amount.to_string();
        let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
        match decimals.get(..self.decimals).unwrap_or(decimals) {
            "" => grouped(whole),
            shown => format!("{}.{shown}", grouped(whole)),
        }
    }

    /// What stands in a column: nothing for nothing, a true minus before what left.
    pub fn signed(self, figures: &Figures, column: Column) -> String {
        match figures.get(column) {
            Some(amount) if amount.minor != 0 => self.amount(amount),
            Some(_) => "–".into(),
            None => String::new(),
        }
    }
}

/// A decimal with its thousands set apart and a true minus: `−1,250.5`.
pub fn grouped(text: &str) -> String {
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("\u{2212}", rest));
    let (whole, decimals) = rest.split_once('.').map_or((rest, None), |(whole, decimals)| (whole, Some(decimals)));
    let mut out = String::from(sign);
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(decimals) = decimals {
        out.push('.');
        out.push_str(decimals);
    }
    out
}

/// A count with its thousands set apart.
pub fn count(number: i64) -> String {
    grouped(&number.to_string())
}

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

fn name(month: &str) -> &'static str {
    let number: usize = month.parse().unwrap_or(0);
    number.checked_sub(1).and_then(|at| MONTHS.get(at)).copied().unwrap_or_default()
}

/// `March 2026` of `2026-03`.
pub fn month(text: &str) -> String {
    text.split_once('-').map_or_else(|| text.to_owned(), |(year, month)| format!("{} {year}", name(month)))
}

/// `2 March 2026` of `2026-03-02`.
pub fn date(day: &str) -> String {
    match day.split('-').collect::<Vec<_>>().as_slice() {
        [year, month, day] => format!("{} {} {year}", day.trim_start_matches('0'), name(month)),
        _ => day.to_owned(),
    }
}

/// The day before.
pub fn day_before(day: &str) -> String {
    Time::parse(&format!("{day}T00:00:00Z")).map_or_else(|| day.to_owned(), |begin| begin.plus(-1).day())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Unit;

    #[test]
    fn numbers_are_exact_and_line_up() {
        let usd = |minor| Amount::new(minor, Unit::new("USD", 6).expect("a unit"));
        let round = Shown::of([usd(1_250_000_000_000), usd(-500_000)]);
        assert_eq!([usd(1_250_000_000_000), usd(-500_000), usd(0)].map(|a| round.amount(a)), ["1,250,000.00", "\u{2212}0.50", "0.00"]);
        let fine = Shown::of([usd(1_000_000), usd(1_234)]);
        assert_eq!([usd(1_000_000), usd(1_234)].map(|a| fine.amount(a)), ["1.000000", "0.001234"]);
        let whole = Amount::new(1234, Unit::new("NODE", 0).expect("a unit"));
        assert_eq!(Shown::of([whole]).amount(whole), "1,234");
    }

    #[test]
    fn days_are_read_out() {
        assert_eq!((date("2026-03-02").as_str(), month("2026-12").as_str()), ("2 March 2026", "December 2026"));
        assert_eq!([day_before("2026-03-01"), day_before("2024-03-01")], ["2026-02-28", "2024-02-29"]);
    }
}
