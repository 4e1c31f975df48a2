//! The journal as rows, one posting each, in CSV and NDJSON: every identifier, and amounts as exact text.
//!
//! Nothing here is free text (kinds, identifiers, account names, amounts), so no cell can be taken for a formula; a leading minus is
//! an amount's sign.

use std::io::{self, Write};

use serde::Serialize;

use super::{Entry, Line, Shape, Stop, Summary};
use crate::amount::Amount;

const COLUMNS: [&str; 11] =
    ["seq", "transaction", "kind", "recorded_at", "effective_at", "line", "account", "class", "unit", "amount", "balance"];

pub(super) struct Csv<W: Write> {
    out: csv::Writer<W>,
}

impl<W: Write> Csv<W> {
    pub fn new(out: W) -> Csv<W> {
        Csv { out: csv::Writer::from_writer(out) }
    }
}

impl<W: Write> Shape for Csv<W> {
    fn begin(&mut self) -> Result<(), Stop> {
        self.out.write_record(COLUMNS).map_err(as_io)
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Stop> {
        let (seq, recorded_at, effective_at) = (entry.seq.to_string(), entry.recorded_at.to_string(), entry.effective_at.to_string());
        for (place, line) in entry.lines.iter().enumerate() {
            let Line { account, amount, balance } = line;
            let (place, amount, balance) = ((place + 1).to_string(), amount.to_string(), balance.to_string());
            let of_entry = [seq.as_str(), &entry.id, entry.kind, &recorded_at, &effective_at];
            let of_line = [place.as_str(), &account.name, account.class.word(), account.unit.code(), &amount, &balance];
            self.out.write_record(of_entry.iter().chain(&of_line)).map_err(as_io)?;
        }
        Ok(())
    }

    fn end(&mut self, _: &Summary) -> Result<(), Stop> {
        Ok(self.out.flush()?)
    }
}

fn as_io(error: csv::Error) -> Stop {
    Stop::Output(io::Error::other(error))
}

pub(super) struct Ndjson<W> {
    out: W,
}

impl<W: Write> Ndjson<W> {
    pub fn new(out: W) -> Ndjson<W> {
        Ndjson { out }
    }
}

#[derive(Serialize)]
struct Row<'a> {
    seq: i64,
    transaction: &'a str,
    kind: &'a str,
    recorded_at: &'a str,
    effective_at: &'a str,
    line: usize,
    account: &'a str,
    class: &'a str,
    amount: Value<'a>,
    balance: Value<'a>,
}

#[derive(Serialize)]
struct Value<'a> {
    value: String,
    unit: &'a str,
}

fn value(amount: &Amount) -> Value<'_> {
    Value { value: amount.to_string(), unit: amount.unit.code() }
}

impl<W: Write> Shape for Ndjson<W> {
    fn begin(&mut self) -> Result<(), Stop> {
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Stop> {
        let (recorded_at, effective_at) = (entry.recorded_at.to_string(), entry.effective_at.to_string());
        for (place, line) in entry.lines.iter().enumerate() {
            let row = Row {
                seq: entry.seq,
                transaction: &entry.id,
                kind: entry.kind,
                recorded_at: &recorded_at,
                effective_at: &effective_at,
                line: place + 1,
                account: &line.account.name,
                class: line.account.class.word(),
                amount: value(&line.amount),
                balance: value(&line.balance),
            };
            serde_json::to_writer(&mut self.out, &row).map_err(|e| Stop::Output(e.into()))?;
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn end(&mut self, _: &Summary) -> Result<(), Stop> {
        Ok(self.out.flush()?)
    }
}
