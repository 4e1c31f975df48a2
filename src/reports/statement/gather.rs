//! Gathers what the journal says of accounts in a period: balances before and after, and what was posted between.
//!
//! Balances are those stored with the postings, read at both ends apart from the lines between, so that a line that is missing shows. Bounds:
//! [`MOST`] lines; entries and charges behind them are looked up a thousand at a time.

use std::collections::{BTreeMap, HashMap};

use crate::amount::Unit;
use crate::donations::Lot;
use crate::id::{ChargeId, DonationId, ResourceId};
use crate::ledger::store::Account;
use crate::ledger::{self, Entry, Kind};
use crate::refusal::{Code, Refusal};
use crate::store::{Conn, Fault, Page, Pages};
use crate::time::{Period, Time};
use crate::usage::{self, ChargeRow};

use super::figures::{Column, Figures};
use super::text::{Days, Line, LotNamed, Named, Section, Text, Total};

/// Lines that a statement may have: beyond, a shorter period must be asked for.
pub const MOST: usize = 250_000;
/// Postings read at a time.
const PAGE: i64 = 1000;
/// Rows that are looked up by one statement.
const LOOKUP: usize = 1000;

/// A period as a span of the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The last entry before it.
    pub before: i64,
    /// The last entry within it.
    pub last: i64,
    /// The period.
    pub period: Period,
}

impl Span {
    /// Finds where a period lies in the journal.
    pub fn read(conn: &mut Conn, period: Period) -> Result<Span, Fault> {
        let before = ledger::store::first_at(conn, period.from.micros())? - 1;
        let last = ledger::store::first_at(conn, period.to.micros())? - 1;
        Ok(Span { before, last, period })
    }

    /// Its days.
    pub fn days(&self) -> Days {
        Days { from: self.period.from.day(), to: self.period.to.day() }
    }

    /// Whether an object that was recorded then was there by the end of the period.
    pub fn knows(&self, created_at: Time) -> bool {
        created_at < self.period.to
    }
}

/// A section that is being gathered: its figures at both ends, and what each entry moved.
pub struct Roll {
    section: Section,
    moves: BTreeMap<i64, Figures>,
}

impl Roll {
    /// Of nothing yet.
    pub fn new(unit: Unit, columns: &[Column], entries: String) -> Roll {
        let none = Figures::none(unit, columns);
        let section = Section {
            donation: None,
            lot: None,
            grant: None,
            resource: None,
            unit,
            entries,
            opening: none.clone(),
            set_aside: Figures::none(unit, &[]),
            lines: Vec::new(),
            closing: none,
        };
        Roll { section, moves: BTreeMap::new() }
    }

    /// Of this donation.
    pub fn of_donation(mut self, id: DonationId, title: &str) -> Roll {
        self.section.donation = Some(Named { id: id.to_string(), name: title.to_owned() });
        self
    }

    /// Of this lot; with the handle that donors know it by in proofs.
    pub fn of_lot(mut self, lot: &Lot, handle: Option<String>) -> Roll {
        self.section.lot = Some(LotNamed {
            id: lot.id.to_string(),
            handle,
            delivered_on: lot.delivered_at.day(),
            expires_on: lot.expires_at.map(Time::day),
        });
        self
    }

    /// Of this grant.
    pub fn of_grant(mut self, grant: impl std::fmt::Display) -> Roll {
        self.section.grant = Some(grant.to_string());
        self
    }

    /// Of this resource.
    pub fn of_resource(mut self, id: ResourceId, name: &str) -> Roll {
        self.section.resource = Some(Named { id: id.to_string(), name: name.to_owned() });
        self
    }

    /// Counts so much at both ends.
    pub fn stands(&mut self, columns: &[Column], opening: i64, closing: i64) -> Result<(), Refusal> {
        for column in columns {
            self.section.opening.add(*column, opening)?;
            self.section.closing.add(*column, closing)?;
        }
        Ok(())
    }

    /// Counts what an entry moved.
    pub fn moved(&mut self, seq: i64, columns: &[Column], minor: i64) -> Result<(), Refusal> {
        let figures = self.moves.entry(seq).or_insert_with(|| Figures::none(self.section.unit, &[]));
        columns.iter().try_for_each(|column| figures.add(*column, minor))
    }

    /// Adds a line as it is to be shown.
    pub fn line(&mut self, line: Line) {
        self.section.lines.push(line);
    }

    /// Whether nothing was there and nothing has moved.
    pub fn is_idle(&self) -> bool {
        let Section { opening, closing, lines, .. } = &self.section;
        opening.is_nothing() && closing.is_nothing() && self.moves.is_empty() && lines.is_empty()
    }

    /// The entries that moved anything.
    pub fn seqs(&self) -> impl Iterator<Item = i64> {
        self.moves.keys().copied()
    }

    /// The section as far as it was gathered, for what has lines of its own already.
    pub fn into_section(self) -> Section {
        self.section
    }
}

/// Reads for one statement.
pub struct Gather<'c> {
    /// The books.
    pub conn: &'c mut Conn,
    /// The period.
    pub span: Span,
    lines: usize,
    entries: HashMap<i64, Entry>,
    charges: HashMap<i64, ChargeRow>,
}

impl<'c> Gather<'c> {
    /// Begins a statement over a period.
    pub fn begin(conn: &'c mut Conn, period: Period) -> Result<Gather<'c>, Fault> {
        let span = Span::read(conn, period)?;
        Ok(Gather { conn, span, lines: 0, entries: HashMap::new(), charges: HashMap::new() })
    }

    /// Counts lines. Errors: `too_large` beyond what a statement may have.
    pub fn count(&mut self, lines: usize) -> Result<(), Refusal> {
        self.lines += lines;
        if self.lines <= MOST {
            return Ok(());
        }
        let detail = format!("A statement has {MOST} lines at most; ask for a shorter period.");
        Err(Refusal::new(Code::TooLarge, detail))
    }

    /// Follows an account through the period, in these columns of a roll.
    pub fn follow(&mut self, roll: &mut Roll, account: &Account, columns: &[Column]) -> Result<(), Fault> {
        let opening = ledger::store::balance_at(self.conn, account, self.span.before)?.unwrap_or(0);
        let closing = ledger::store::balance_at(self.conn, account, self.span.last)?.unwrap_or(0);
        roll.stands(columns, opening, closing)?;
        let after = ledger::store::posting(self.span.before + 1, 0);
        let mut pages = Pages::from(Page { after: Some(after), limit: PAGE, descending: false });
        let own = std::slice::from_ref(account);
        while let Some(lines) = pages.next(|page| ledger::store::lines(self.conn, own, page), |(posting, _)| *posting)? {
            for (posting, line) in lines {
                let seq = ledger::store::seq_of_posting(posting);
                if seq > self.span.last {
                    return Ok(());
                }
                self.count(1)?;
                roll.moved(seq, columns, line.amount)?;
            }
        }
        Ok(())
    }

    /// Reads the entries behind rolls, and the charges that these post, cover or give back.
    pub fn know<'r>(&mut self, rolls: impl Iterator<Item = &'r Roll>) -> Result<(), Fault> {
        let mut seqs: Vec<i64> = rolls.flat_map(Roll::seqs).collect();
        seqs.sort_unstable();
        seqs.dedup();
        for some in seqs.chunks(LOOKUP) {
            self.entries.extend(ledger::store::entries_of(self.conn, some)?.into_iter().map(|entry| (entry.seq, entry)));
        }
        let own = self.entries.values().filter(|entry| entry.kind == Kind::Charge).map(|entry| entry.seq);
        let mut seqs: Vec<i64> = own.collect();
        let about: Vec<i64> = self.entries.values().filter(|entry| entry.kind != Kind::Charge).filter_map(charged).collect();
        seqs.extend(ledger::store::seqs_of(self.conn, &about)?);
        seqs.sort_unstable();
        seqs.dedup();
        self.charges.extend(usage::store::charges_of_entries(self.conn, &seqs)?.into_iter().map(|row| (row.id, row)));
        Ok(())
    }

    /// An entry that is known.
    pub fn entry(&self, seq: i64) -> Result<&Entry, Fault> {
        self.entries.get(&seq).ok_or_else(|| Fault::Internal(format!("entry {seq} is missing")))
    }

    /// The charge that an entry posts, covers or gives back.
    pub fn charge_of(&self, entry: &Entry) -> Option<&ChargeRow> {
        charged(entry).and_then(|id| self.charges.get(&id))
    }

    /// A roll as a section, with a line for each entry but those that only set credits aside.
    pub fn section(&self, roll: Roll, mut line: impl FnMut(&Entry, Line) -> Result<Line, Fault>) -> Result<Section, Fault> {
        let Roll { mut section, moves } = roll;
        for (seq, figures) in moves {
            let entry = self.entry(seq)?;
            if entry.kind.sets_aside() {
                section.set_aside.plus(&figures)?;
                continue;
            }
            let bare = Line {
                handle: None,
                kind: entry.kind.word(),
                recorded_on: entry.recorded_at.day(),
                effective_on: entry.effective_at.day(),
                late: entry.effective_at < self.span.period.from,
                charge: None,
                charge_seq: None,
                link: None,
                figures: figures.trimmed(),
            };
            section.lines.push(line(entry, bare)?);
        }
        section.set_aside = section.set_aside.trimmed();
        Ok(section)
    }
}

/// The stamp of the charge that an entry posts, covers or gives back; of a reversal, what would be the charge if it reverses one.
fn charged(entry: &Entry) -> Option<i64> {
    match entry.kind {
        Kind::Charge => Some(entry.recorded_at.micros()),
        Kind::Refund | Kind::Cover | Kind::Reversal => entry.subject,
        _ => None,
    }
}

/// What a section's figures come to by its lines, from its opening on.
fn summed(section: &Section) -> Result<Figures, Refusal> {
    let mut sum = section.opening.clone();
    sum.plus(&section.set_aside)?;
    section.lines.iter().try_for_each(|line| sum.plus(&line.figures))?;
    Ok(sum)
}

/// All sections together, by unit. Errors: internal where a section's opening and lines do not make its closing.
fn totals(sections: &[Section]) -> Result<Vec<Total>, Fault> {
    let mut totals: BTreeMap<Unit, Total> = BTreeMap::new();
    for section in sections {
        if summed(section)?.trimmed() != section.closing.clone().trimmed() {
            let of = [&section.lot.as_ref().map(|lot| lot.id.clone()), &section.grant].map(|id| id.clone().unwrap_or_default());
            return Err(Fault::Internal(format!("a statement does not add up: {} {of:?}", section.entries)));
        }
        let none = Figures::none(section.unit, &[]);
        let total = totals.entry(section.unit).or_insert_with(|| Total {
            unit: section.unit,
            opening: none.clone(),
            change: none.clone(),
            closing: none,
        });
        total.opening.plus(&section.opening)?;
        total.closing.plus(&section.closing)?;
        total.change.plus(&section.set_aside)?;
        section.lines.iter().try_for_each(|line| total.change.plus(&line.figures))?;
        // Every column has a change, if only of nothing.
        total.change.plus(&Figures::none(section.unit, &section.opening.columns().collect::<Vec<_>>()))?;
    }
    Ok(totals.into_values().collect())
}

/// The text that every kind of statement begins as: its sections, which must add up, and their totals.
pub fn text(kind: &'static str, whom: Named, span: &Span, sections: Vec<Section>) -> Result<Text, Fault> {
    Ok(Text {
        object: "statement_text",
        version: 1,
        kind,
        whom,
        period: span.days(),
        opening_seq: span.before,
        seq: span.last,
        totals: totals(&sections)?,
        sections,
        used: Vec::new(),
        thanks: Vec::new(),
        decisions: Vec::new(),
        metered: Vec::new(),
        quarantine: None,
    })
}

/// The address of a charge.
pub fn link(charge: ChargeId) -> String {
    format!("/v1/charges/{charge}")
}
