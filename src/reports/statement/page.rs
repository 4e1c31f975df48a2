//! A statement as a page, for a screen and for paper: no script, nothing from elsewhere, every name escaped.
//!
//! Amounts are shown to the last digit that any of their table needs, never rounded. Lines of donors and providers are summed by month; all are in
//! the other forms. Pure.

mod number;

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Drawn;
use super::figures::{Column, Figures};
use super::jobs::Jobs;
use super::text::{Line, Section, Text, Total, UsedBy};
use crate::reports::disclosure::shares;
use crate::reports::disclosure::words::percent;
use number::{Shown, date, month};

const STYLE: &str = include_str!("page.css");

/// What the closing figures of a lot or a grant are drawn as, in order.
const DRAWN: [Column; 6] = [Column::Spent, Column::Held, Column::Granted, Column::Available, Column::Lapsed, Column::Returned];

/// The page of a statement.
pub fn page(drawn: &Drawn, jobs: &Jobs) -> String {
    let text = &drawn.text;
    let title = match text.kind {
        "donor" => "Statement of contribution",
        "project" => "Statement of grants",
        _ => "Statement of usage",
    };
    let span = span(text);
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · " (text.whom.name) " · " (span) }
                style { (PreEscaped(STYLE)) }
            }
            body { main {
                header {
                    p.kicker { (title) }
                    h1 { (text.whom.name) }
                    p.period { (span) }
                    p.soft { span.id { (text.whom.id) } " · frozen at entry " (number::count(text.seq)) " of the journal" }
                }
                h2 { "In total" }
                @if text.totals.is_empty() { p { "Nothing was there, and nothing was recorded." } }
                @for total in &text.totals { (total_of(total)) }
                (used(&text.used))
                (thanks(text))
                (decisions(text))
                (metered(text))
                @if !text.sections.is_empty() { h2 id="sections" { (heading(text.kind)) } }
                @for section in &text.sections { (section_of(section, text.kind, jobs)) }
                footer { (foot(drawn)) }
            } }
        }
    };
    markup.into_string()
}

fn heading(kind: &str) -> &'static str {
    match kind {
        "donor" => "Lot by lot",
        "project" => "Grant by grant",
        _ => "Resource by resource",
    }
}

/// `1 January 2026 – 31 March 2026`.
fn span(text: &Text) -> String {
    let last = number::day_before(&text.period.to);
    match text.period.from == last {
        true => date(&last),
        false => format!("{} – {}", date(&text.period.from), date(&last)),
    }
}

fn total_of(total: &Total) -> Markup {
    html! {
        section.of {
            h3 { (total.unit.code()) }
            p.soft { a href="#sections" { "what it is made of" } }
            (bar(&total.closing))
            (roll([("Opening", &total.opening), ("Change", &total.change), ("Closing", &total.closing)]))
        }
    }
}

/// Three sets of figures beside each other, a row for each column.
fn roll(of: [(&str, &Figures); 3]) -> Markup {
    let shown = Shown::of(of.iter().flat_map(|(_, figures)| figures.columns().filter_map(|column| figures.get(column))));
    let columns: Vec<Column> = of.iter().rev().take(1).flat_map(|(_, figures)| figures.columns()).collect();
    html! {
        div.wide { table.roll {
            thead { tr { td {} @for (head, _) in of { th.n scope="col" { (head) } } } }
            tbody {
                @for column in columns {
                    tr { th scope="row" { (column.head()) } @for (_, figures) in of { td.n { (shown.signed(figures, column)) } } }
                }
            }
        } }
    }
}

/// The closing figures as parts of their whole; nothing where there is no whole to be parts of.
fn bar(closing: &Figures) -> Markup {
    let parts: Vec<(Column, i64)> =
        DRAWN.into_iter().map(|column| (column, closing.minor(column))).filter(|(_, minor)| *minor > 0).collect();
    let shares = shares(&parts.iter().map(|(_, minor)| *minor).collect::<Vec<_>>());
    let parts: Vec<(Column, String)> = parts.iter().zip(shares).map(|((column, _), share)| (*column, percent(share))).collect();
    let width = |share: &str| share.trim_end_matches(" %").to_owned();
    html! {
        @if !parts.is_empty() {
            div.bar aria-hidden="true" { @for (column, share) in &parts { i class=(column.word()) style={ "width:" (width(share)) "%" } {} } }
            ul.key { @for (column, share) in &parts { li { i class=(column.word()) {} (column.head()) " " (share) } } }
        }
    }
}

fn used(used: &[UsedBy]) -> Markup {
    html! {
        @if !used.is_empty() {
            h2 { "What it was used for" }
            div.uses { @for one in used { (used_by(one)) } }
        }
    }
}

fn used_by(one: &UsedBy) -> Markup {
    let head = match one.by {
        "field_of_science" => "Field of science",
        "institution" => "Institution",
        "resource" => "Resource",
        _ => "Month",
    };
    let shown = Shown::of(one.cells.iter().map(|cell| cell.spent).chain(one.other));
    let name = |name: &str| if one.by == "month" { month(name) } else { name.to_owned() };
    html! {
        table {
            thead { tr { th scope="col" { (head) } th.n scope="col" { (one.unit.code()) " used" } } }
            tbody {
                @for cell in &one.cells { tr { td { (name(&cell.name)) } td.n { (shown.amount(cell.spent)) } } }
                @if let Some(other) = one.other { tr { td { i { "Other, grouped" } } td.n { (shown.amount(other)) } } }
            }
        }
    }
}

fn thanks(text: &Text) -> Markup {
    html! {
        @if !text.thanks.is_empty() {
            h2 { "Whom to thank" }
            div.wide { table {
                thead { tr { th scope="col" { "Donor" } th.n scope="col" { "Paid" } th.n scope="col" { "Of what was used" } } }
                tbody { @for one in &text.thanks { tr {
                    th scope="row" { (one.name) }
                    td.n { (Shown::of([one.amount]).amount(one.amount)) " " (one.unit.code()) }
                    td.n { (one.percent) " %" }
                } } }
            } }
            p.soft { a href={ "/v1/projects/" (text.whom.id) "/disclosure?format=text" } { "Words for a paper" } }
        }
    }
}

fn decisions(text: &Text) -> Markup {
    html! {
        @if !text.decisions.is_empty() {
            h2 { "Decided in the period" }
            div.wide { table {
                thead { tr { th scope="col" { "Day" } th scope="col" { "Verdict" } th scope="col" { "On" } th.n scope="col" { "Amount" } } }
                tbody { @for one in &text.decisions { tr {
                    td { (date(&one.decided_on)) }
                    td { a href=(one.link) { (one.verdict) } @if !one.effective && one.verdict == "approve" { ", waits for another" } }
                    td.id { (one.amendment.as_deref().unwrap_or(&one.grant)) }
                    td.n { (Shown::of([one.amount]).amount(one.amount)) " " (one.unit.code()) }
                } } }
            } }
        }
    }
}

fn metered(text: &Text) -> Markup {
    html! {
        @if !text.metered.is_empty() {
            h2 { "Metered quantities" }
            div.wide { table {
                thead { tr { th scope="col" { "Resource" } th scope="col" { "Meter" } th.n scope="col" { "Opening" } th.n scope="col" { "Metered" } th.n scope="col" { "Closing" } } }
                tbody { @for one in &text.metered { tr {
                    td { (one.resource.name) } td { (one.meter) }
                    @for quantity in [&one.opening, &one.change, &one.closing] { td.n { (number::grouped(quantity)) } }
                } } }
            } }
        }
        @if let Some(found) = text.quarantine {
            h2 { "Records that could not be charged" }
            p { (found.opening) " were open, " (found.set_aside) " were set aside, " (found.charged) " were charged after all, " (found.dismissed) " were dismissed; "
                a href="/v1/usage/quarantine?state=open" { (found.closing) " are open" } "." }
        }
    }
}

fn section_of(section: &Section, kind: &str, jobs: &Jobs) -> Markup {
    let about = html! {
        @if let Some(lot) = &section.lot {
            "Lot " span.id { (lot.id) } ", delivered " (date(&lot.delivered_on))
            @match &lot.expires_on { Some(day) => { ", expires " (date(day)) } None => { ", never expires" } }
            " · "
        }
        a href=(section.entries) { "entries" }
    };
    let title = match (kind, &section.donation, &section.resource, &section.grant, &section.lot) {
        ("donor", Some(donation), _, _, Some(_)) => donation.name.clone(),
        ("donor", Some(donation), ..) => format!("Pledge: {}", donation.name),
        (_, _, Some(resource), Some(grant), _) => format!("{} for {grant}", resource.name),
        (_, _, _, Some(grant), Some(_)) => grant.clone(),
        (_, _, _, Some(grant), None) => format!("Beyond {grant}"),
        _ => String::new(),
    };
    html! {
        section.of {
            h3 { (title) }
            p.soft { (about) }
            (bar(&section.closing))
            @if kind == "project" { (line_by_line(section, jobs)) } @else { (by_month(section)) }
        }
    }
}

/// The columns that a section's lines move, without the whole that others are parts of.
fn moving(section: &Section) -> Vec<Column> {
    let all = [&section.opening, &section.closing, &section.set_aside].into_iter().chain(section.lines.iter().map(|line| &line.figures));
    let mut columns: Vec<Column> = all.flat_map(|figures| figures.columns().filter(|column| figures.minor(*column) != 0)).collect();
    columns.sort_unstable();
    columns.dedup();
    columns.retain(|column| *column != Column::Delivered);
    columns
}

/// Lines summed by kind and the month in which they were recorded; late ones apart.
fn by_month(section: &Section) -> Markup {
    let mut sums: BTreeMap<(&str, usize, bool), (&'static str, usize, Figures)> = BTreeMap::new();
    let mut kinds: Vec<&str> = Vec::new();
    for line in &section.lines {
        let place = kinds.iter().position(|kind| *kind == line.kind).unwrap_or_else(|| {
            kinds.push(line.kind);
            kinds.len() - 1
        });
        let key = (line.recorded_on.get(..7).unwrap_or_default(), place, line.late);
        let sum = sums.entry(key).or_insert_with(|| (line.kind, 0, Figures::none(section.unit, &[])));
        sum.1 += 1;
        // The text was found to add up, so its parts can be added.
        let _ = sum.2.plus(&line.figures);
    }
    let rows = sums.into_iter().map(|((recorded, _, late), (kind, count, figures))| {
        let what = html! { (words(kind)) @if count > 1 { " " span.soft { "× " (number::count(count as i64)) } } @if late { " " span.late { "late" } } };
        (html! { td { (month(recorded)) } td { (what) } }, figures)
    });
    table(section, &["Recorded", "What"], rows.collect())
}

/// Every line, with the job behind it.
fn line_by_line(section: &Section, jobs: &Jobs) -> Markup {
    let job = |line: &Line| line.charge.and_then(|charge| jobs.get(&charge)).cloned().unwrap_or_default();
    let row = |line: &Line| {
        let what = html! { @match &line.link { Some(link) => { a href=(link) { (words(line.kind)) } } None => { (words(line.kind)) } } };
        let cells = html! { td { (line.recorded_on) } td { (line.effective_on) @if line.late { " " span.late { "late" } } } td { (what) } td { (job(line)) } };
        (cells, line.figures.clone())
    };
    table(section, &["Recorded", "Happened", "What", "Job"], section.lines.iter().map(row).collect())
}

/// A section from its opening through rows to its closing.
fn table(section: &Section, heads: &[&str], rows: Vec<(Markup, Figures)>) -> Markup {
    let columns = moving(section);
    let all = [&section.opening, &section.closing, &section.set_aside].into_iter().chain(rows.iter().map(|(_, figures)| figures));
    let shown = Shown::of(all.flat_map(|figures| figures.columns().filter_map(|column| figures.get(column))));
    let wide = heads.len();
    let figures = |figures: &Figures| html! { @for column in &columns { td.n { (shown.signed(figures, *column)) } } };
    html! {
        @if columns.is_empty() { p { "Nothing was there, and nothing was recorded." } } @else {
            div.wide { table {
                thead { tr { @for head in heads { th scope="col" { (head) } } @for column in &columns { th.n scope="col" { (column.head()) } } } }
                tbody {
                    tr { th scope="row" colspan=(wide) { a href=(section.entries) { "Opening" } ", " (section.unit.code()) } (figures(&section.opening)) }
                    @for (cells, moved) in &rows { tr { (cells) (figures(moved)) } }
                    @if !section.set_aside.is_nothing() { tr { td colspan=(wide) { "Set aside for jobs, less released" } (figures(&section.set_aside)) } }
                    tr.end { th scope="row" colspan=(wide) { a href=(section.entries) { "Closing" } ", " (section.unit.code()) } (figures(&section.closing)) }
                }
            } }
        }
    }
}

/// What a kind of entry is called on paper.
fn words(kind: &str) -> String {
    let plain = kind.replace('_', " ");
    let mut letters = plain.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// How a donor's statement is to be read.
const OF_DONORS: &[&str] = &[
    "Lines are those that the ledger recorded on the days of the period; what happened before it is marked late. Opening and lines make the closing.",
    "Delivered is all that was received, wherever it is: available, granted, held, used, lapsed or returned.",
    "Use is counted net of refunds. By month it stands under the month in which the job ended, whenever that was recorded.",
    "What jobs have in common is told of whole months only. What fewer than three projects have in common is grouped as other, with as much beside it as is needed to hide it.",
    "Persons, jobs and projects are not told. Each line has a handle, the same in every statement and proof.",
];

/// How a project's statement is to be read.
const OF_PROJECTS: &[&str] = &[
    "Lines are those that the ledger recorded on the days of the period; what happened before it is marked late. Opening and lines make the closing.",
    "Each grant is followed lot by lot, and what was used beyond it apart, under overdraft, until it is covered.",
    "Use is counted net of refunds. What is thanked for is what was paid, net, by the lines of this statement.",
];

/// How a provider's statement is to be read.
const OF_PROVIDERS: &[&str] = &[
    "Lines are those that the ledger recorded on the days of the period; what happened before it is marked late. Opening and lines make the closing.",
    "Charged and refunded are counted from the provider's first record on; reversals count as refunds.",
    "Quantities are metered totals as they were sent: prices, refunds and reversals leave them as they are.",
];

fn notes(kind: &str) -> &'static [&'static str] {
    match kind {
        "donor" => OF_DONORS,
        "project" => OF_PROJECTS,
        _ => OF_PROVIDERS,
    }
}

fn foot(drawn: &Drawn) -> Markup {
    let text = &drawn.text;
    html! {
        ul { @for note in notes(text.kind) { li { (note) } } }
        p { (number::count(text.lines() as i64)) " lines, each in the "
            a href="?format=json" { "text" } " and the " a href="?format=csv" { "table" } " of this statement. The text's SHA-256 is" }
        p.hash { (drawn.sha256) }
    }
}
