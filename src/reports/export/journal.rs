//! The journal for hledger and for ledger: one text that `hledger check --strict` and `ledger --pedantic` both accept.
//!
//! Every posting carries the balance after it. ledger checks these in the order of the file, hledger in the order of days and then
//! of the file: the same, as recorded time only grows. Units and accounts are declared just before they are first used. A
//! unit is declared without an amount: ledger's strict mode wants it bare, and hledger takes the decimals of a declared amount as leave to round.

use std::io::Write;

use super::chart::Chart;
use super::{Entry, Line, Shape, Stop, Summary};
use crate::amount::Unit;

/// ledger knows no years before this one.
const FIRST_YEAR: &str = "1400";

pub(super) struct Journal<W> {
    out: W,
    chart: Chart,
}

impl<W: Write> Journal<W> {
    pub fn new(out: W) -> Journal<W> {
        Journal { out, chart: Chart::default() }
    }

    fn declare(&mut self, lines: &[Line]) -> Result<(), Stop> {
        let mut gap = "\n";
        for line in lines {
            if self.chart.meet_unit(line.account.unit)? {
                writeln!(self.out, "{gap}commodity {}", commodity(line.account.unit))?;
                gap = "";
            }
            if let Some(known) = self.chart.meet(line)? {
                writeln!(self.out, "{gap}account {}", known.path)?;
                gap = "";
            }
        }
        Ok(())
    }
}

impl<W: Write> Shape for Journal<W> {
    fn begin(&mut self) -> Result<(), Stop> {
        writeln!(self.out, "; The journal in the order it was recorded; debit is positive. The second date is the day it happened.")?;
        writeln!(self.out, "; Check it with: hledger -f FILE check --strict, or: ledger -f FILE --pedantic balance")?;
        writeln!(self.out, "tag seq\ntag effective")?;
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Stop> {
        self.declare(&entry.lines)?;
        let (day, effective) = (entry.recorded_at.day(), entry.effective_at.day());
        write!(self.out, "\n{day}")?;
        if effective != day && effective.as_str() >= FIRST_YEAR {
            write!(self.out, "={effective}")?;
        }
        writeln!(self.out, " * ({}) {}", entry.id, entry.kind)?;
        writeln!(self.out, "    ; seq: {}\n    ; effective: {}", entry.seq, entry.effective_at)?;
        for line in &entry.lines {
            let (path, unit) = (&self.chart.moved(line)?.path, commodity(line.account.unit));
            writeln!(self.out, "    {path}  {} {unit} = {} {unit}", line.amount, line.balance)?;
        }
        Ok(())
    }

    fn end(&mut self, summary: &Summary) -> Result<(), Stop> {
        writeln!(self.out, "\n; Complete: {summary}.")?;
        Ok(self.out.flush()?)
    }
}

/// The unit as a commodity: in quotes unless it is of letters only.
fn commodity(unit: Unit) -> String {
    let code = unit.code();
    if code.bytes().all(|b| b.is_ascii_alphabetic()) { code.to_owned() } else { format!("\"{code}\"") }
}
