//! Plain comma-separated values with a header line, and a map that says which column means what.
//!
//! One record a line: a quoted cell can't hold a line break, so that one stray quote costs one line and not the rest of the file.
//! Quantities are plain decimals, taken as they are.

use std::borrow::Cow;
use std::io::{self, BufRead};

use super::lines::{Line, Lines};
use super::moment::{moment, one_reading};
use super::tres::plain;
use super::{Job, Options, Read, filled, unusable};
use crate::refusal::{FieldCode, Refusal};

/// What a column can mean, besides a meter.
const FIELDS: [&str; 11] =
    ["external_id", "account", "started_at", "ended_at", "submitted_at", "user", "cluster", "partition", "qos", "state", "job_id"];
/// How many of them, from the first, are needed.
const NEEDED: usize = 4;

/// Which column means what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Map {
    /// For each of the fields its column.
    fields: Vec<Option<String>>,
    meters: Vec<(String, String)>,
}

impl Map {
    /// Reads `external_id=JobID,account=Project,started_at=Start,ended_at=End,gpu-hour=GPUh,user=User`. What has a hyphen in its
    /// name is a meter; there must be one.
    pub fn parse(text: &str) -> Result<Map, Refusal> {
        let malformed = |code, detail: String| Refusal::field("/map", code, detail);
        let mut map = Map { fields: vec![None; FIELDS.len()], meters: Vec::new() };
        for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
            let parts = pair.split_once('=').map(|(name, column)| (name.trim(), column.trim()));
            let Some((name, column)) = parts.filter(|(_, column)| !column.is_empty()) else {
                return Err(malformed(FieldCode::Malformed, format!("{pair:?} is not of the form field=Column.")));
            };
            let twice = || malformed(FieldCode::Malformed, format!("{name} is given twice."));
            if let Some((_, place)) = FIELDS.iter().zip(&mut map.fields).find(|(field, _)| **field == name) {
                if place.replace(column.to_owned()).is_some() {
                    return Err(twice());
                }
            } else if meter_like(name) {
                if map.meters.iter().any(|(meter, _)| meter == name) {
                    return Err(twice());
                }
                map.meters.push((name.to_owned(), column.to_owned()));
            } else {
                let known = FIELDS.join(", ");
                return Err(malformed(
                    FieldCode::UnknownField,
                    format!("{name:?} is neither a meter such as gpu-hour nor one of {known}."),
                ));
            }
        }
        let fields = FIELDS.iter().zip(&map.fields).take(NEEDED);
        let mut missing: Vec<&str> = fields.filter(|(_, column)| column.is_none()).map(|(field, _)| *field).collect();
        if map.meters.is_empty() {
            missing.push("a meter such as gpu-hour");
        }
        if !missing.is_empty() {
            return Err(malformed(FieldCode::Required, format!("These are missing: {}.", missing.join(", "))));
        }
        Ok(map)
    }
}

fn meter_like(name: &str) -> bool {
    let start = name.starts_with(|c: char| c.is_ascii_lowercase());
    start && name.contains('-') && !name.ends_with('-') && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Reads row after row.
pub struct Rows<R> {
    lines: Lines<R>,
    width: usize,
    fields: [Option<usize>; FIELDS.len()],
    meters: Vec<(String, usize)>,
    options: Options,
}

impl<R: BufRead> Rows<R> {
    /// The first line names the columns.
    pub fn open(mut lines: Lines<R>, map: &Map, options: &Options) -> io::Result<Rows<R>> {
        let header: Vec<String> = match lines.next()? {
            Some((_, Line::Text(text))) => cells(text).map_err(unusable)?.into_iter().map(|cell| cell.trim().to_owned()).collect(),
            Some((_, Line::Unreadable(reason, _))) => return Err(unusable(format!("The header can't be read. {reason}"))),
            None => return Err(unusable("The file is empty: there is no line that names the columns.")),
        };
        let place = |column: &str| {
            let mut places = header.iter().enumerate().filter(|(_, name)| *name == column).map(|(place, _)| place);
            match (places.next(), places.next()) {
                (Some(place), None) => Ok(place),
                (None, _) => Err(unusable(format!("There is no column {column:?}."))),
                _ => Err(unusable(format!("There is more than one column {column:?}."))),
            }
        };
        let mut fields = [None; FIELDS.len()];
        for (found, column) in fields.iter_mut().zip(&map.fields) {
            *found = column.as_deref().map(place).transpose()?;
        }
        let meters = map.meters.iter().map(|(meter, column)| Ok((meter.clone(), place(column)?))).collect::<io::Result<_>>()?;
        Ok(Rows { lines, width: header.len(), fields, meters, options: options.clone() })
    }
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = io::Result<Read>;

    fn next(&mut self) -> Option<io::Result<Read>> {
        let (line, text) = match self.lines.next().transpose()? {
            Ok((line, Line::Text(text))) => (line, text),
            Ok((line, Line::Unreadable(reason, original))) => {
                return Some(Ok(Read::Rejected { line, reason: reason.to_owned(), original }));
            }
            Err(fault) => return Some(Err(fault)),
        };
        let row = Row { line, width: self.width, fields: &self.fields, meters: &self.meters, options: &self.options };
        let judged = row.judge(text);
        Some(Ok(judged.unwrap_or_else(|reason| Read::Rejected { line, reason, original: text.to_owned() })))
    }
}

/// One row against the layout of its table.
struct Row<'t> {
    line: u64,
    width: usize,
    fields: &'t [Option<usize>],
    meters: &'t [(String, usize)],
    options: &'t Options,
}

impl Row<'_> {
    fn judge(&self, text: &str) -> Result<Read, String> {
        let cells = cells(text)?;
        if cells.len() != self.width {
            return Err(format!("The line has {} cells, and there are {} columns.", cells.len(), self.width));
        }
        let places = FIELDS.iter().zip(self.fields);
        let place = |name: &str| places.clone().find(|(field, _)| **field == name).and_then(|(_, place)| *place);
        let cell = |name: &str| place(name).and_then(|place| cells.get(place)).map_or("", |cell| cell.trim());
        let time = |name: &str| moment(cell(name), &self.options.timezone);
        let line = self.line;
        let job_id = if cell("job_id").is_empty() { cell("external_id") } else { cell("job_id") }.to_owned();
        if cell("external_id").is_empty() || cell("account").is_empty() {
            return Err("It has no external_id, or no account.".to_owned());
        }
        let Some(start) = time("started_at")? else {
            return Ok(Read::NeverStarted { line, job_id });
        };
        let Some(end) = time("ended_at")? else {
            return Ok(Read::Running { line, job_id });
        };
        let (submitted_at, started_at, ended_at) = one_reading(time("submitted_at")?, start, end, None)?;
        Ok(Read::Job(Job {
            line,
            external_id: cell("external_id").to_owned(),
            cluster: filled(cell("cluster")).or_else(|| self.options.cluster.clone()),
            account: cell("account").to_owned(),
            user: filled(cell("user")),
            partition: filled(cell("partition")),
            qos: filled(cell("qos")),
            state: cell("state").split_whitespace().next().unwrap_or_default().to_owned(),
            job_id,
            submitted_at,
            started_at,
            ended_at,
            quantities: self.quantities(&cells)?,
        }))
    }

    /// Meters with an empty cell are left out.
    fn quantities(&self, cells: &[Cow<'_, str>]) -> Result<Vec<(String, rust_decimal::Decimal)>, String> {
        let mut quantities = Vec::with_capacity(self.meters.len());
        for (meter, place) in self.meters {
            match cells.get(*place).map_or("", |cell| cell.trim()) {
                "" => {}
                text => quantities.push((meter.clone(), plain(text).ok_or_else(|| format!("{text:?} is no quantity of {meter}."))?)),
            }
        }
        if quantities.is_empty() { Err("It has no quantity.".to_owned()) } else { Ok(quantities) }
    }
}

/// The cells of one record: quoted ones may hold commas, and quotes written twice.
fn cells(text: &str) -> Result<Vec<Cow<'_, str>>, String> {
    let mut cells = Vec::new();
    let mut rest = Some(text);
    while let Some(text) = rest {
        let Some(inner) = text.strip_prefix('"') else {
            let (cell, behind) = text.split_once(',').map_or((text, None), |(cell, behind)| (cell, Some(behind)));
            cells.push(Cow::Borrowed(cell));
            rest = behind;
            continue;
        };
        let (cell, behind) = quoted(inner)?;
        cells.push(Cow::Owned(cell));
        rest = match behind.strip_prefix(',') {
            Some(behind) => Some(behind),
            None if behind.is_empty() => None,
            None => return Err("Something follows a closing quote.".to_owned()),
        };
    }
    Ok(cells)
}

/// The cell whose opening quote is taken off, and what follows its closing quote.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut cell = String::new();
    let mut rest = text;
    loop {
        let (part, behind) = rest.split_once('"').ok_or("A quote is not closed in its line.")?;
        cell.push_str(part);
        match behind.strip_prefix('"') {
            Some(behind) => {
                cell.push('"');
                rest = behind;
            }
            None => return Ok((cell, behind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        let got = |text: &str| cells(text).map(|cells| cells.join("~"));
        assert_eq!(got("a,b,").as_deref(), Ok("a~b~"));
        assert_eq!(got("\"a,b\",5\" disk,\"say \"\"x\"\"\"").as_deref(), Ok("a,b~5\" disk~say \"x\""));
        assert!(got("\"a").is_err());
        assert!(got("\"a\"b").is_err());
    }

    #[test]
    fn maps() {
        let good = "external_id=JobID,account=Project,ended_at=End,started_at=Start,gpu-hour=GPUh,user=User";
        assert!(Map::parse(good).is_ok());
        let bad = ["", "account=A", "external_id=I,account=A,ended_at=E,started_at=S", "usr=U", "user", "user=", "user=A,user=B"];
        for text in bad {
            assert!(Map::parse(text).is_err(), "{text}");
        }
        let missing = Map::parse("account=A,gpu-hour=G").expect_err("incomplete").errors;
        assert_eq!(missing.first().map(|e| e.detail.as_str()), Some("These are missing: external_id, started_at, ended_at."));
    }
}
