//! The journal for beancount 3.
//!
//! beancount sorts by day and can assert a balance only at the start of one. So every account that moved is asserted at each
//! month's end (dated the first of the next), and every account on the day after the last entry. It accepts sums that are off by
//! part of the last digit unless told otherwise: both ways of telling it are used, since the option is lost when the file is
//! included from another one.

use std::io::Write;

use jiff::civil::Date;

use super::chart::{Chart, Known};
use super::{Entry, Line, Shape, Stop, Summary};
use crate::time::Time;

/// Commodities of the right form that beancount reads as values.
const READ_AS_VALUES: [&str; 3] = ["TRUE", "FALSE", "NULL"];

pub(super) struct Beancount<W> {
    out: W,
    chart: Chart,
    day: Option<Date>,
}

impl<W: Write> Beancount<W> {
    pub fn new(out: W) -> Beancount<W> {
        Beancount { out, chart: Chart::default(), day: None }
    }

    fn declare(&mut self, day: Date, lines: &[Line]) -> Result<(), Stop> {
        let mut gap = "\n";
        for line in lines {
            let unit = line.account.unit;
            if READ_AS_VALUES.contains(&unit.code()) {
                return Err(Stop::Unwritable(format!("beancount can't count {}: it reads that word as a value", unit.code())));
            }
            if self.chart.meet_unit(unit)? {
                writeln!(self.out, "{gap}{day} commodity {}\n  decimals: {}", unit.code(), unit.scale())?;
                gap = "";
            }
            if let Some(known) = self.chart.meet(line)? {
                writeln!(self.out, "{gap}{day} open {} {}", known.path, unit.code())?;
                gap = "";
            }
        }
        Ok(())
    }

    /// States the balances at the start of `day`.
    fn assert_at(&mut self, day: Date, all: bool) -> Result<(), Stop> {
        writeln!(self.out)?;
        for Known { path, balance, .. } in self.chart.settle(all) {
            writeln!(self.out, "{day} balance {path}  {balance} ~ 0 {}", balance.unit.code())?;
        }
        Ok(())
    }
}

impl<W: Write> Shape for Beancount<W> {
    fn begin(&mut self) -> Result<(), Stop> {
        writeln!(self.out, "; The journal in the order it was recorded; debit is positive. Check it with: bean-check FILE")?;
        writeln!(self.out, "option \"title\" \"Almoner\"\noption \"tolerance_multiplier\" \"0\"")?;
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Stop> {
        let day = day_of(entry.recorded_at)?;
        if let Some(month_ended) = self.day.filter(|before| before.first_of_month() != day.first_of_month()) {
            self.assert_at(after(month_ended.last_of_month())?, false)?;
        }
        self.day = Some(day);
        self.declare(day, &entry.lines)?;
        writeln!(self.out, "\n{day} * \"{}\" ^{}", entry.kind, entry.id)?;
        writeln!(self.out, "  seq: {}\n  effective: \"{}\"", entry.seq, entry.effective_at)?;
        for line in &entry.lines {
            let path = &self.chart.moved(line)?.path;
            writeln!(self.out, "  {path}  {} {}", line.amount, line.amount.unit.code())?;
        }
        Ok(())
    }

    fn end(&mut self, summary: &Summary) -> Result<(), Stop> {
        if let Some(last) = self.day {
            self.assert_at(after(last)?, true)?;
        }
        writeln!(self.out, "\n; Complete: {summary}.")?;
        Ok(self.out.flush()?)
    }
}

fn day_of(time: Time) -> Result<Date, Stop> {
    time.day().parse().map_err(|_| Stop::Unwritable(format!("{time} is not on the calendar")))
}

fn after(day: Date) -> Result<Date, Stop> {
    day.tomorrow().map_err(|_| Stop::Unwritable(format!("the calendar ends at {day}")))
}
