//! A statement as rows for a spreadsheet: each section from its opening through its lines to its closing.

use super::figures::Column;
use super::jobs::Jobs;
use super::text::{Line, Section, Text};

/// What stands before the figures.
const HEAD: [&str; 14] = [
    "donation",
    "donation_title",
    "lot",
    "grant",
    "resource",
    "unit",
    "row",
    "recorded_on",
    "effective_on",
    "late",
    "handle",
    "charge",
    "job",
    "link",
];

/// The columns of figures that any section has.
fn columns(text: &Text) -> Vec<Column> {
    let mut all: Vec<Column> = text.sections.iter().flat_map(|section| section.opening.columns()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// All rows, the head first. A statement without sections has its head alone.
pub fn rows<'t>(text: &'t Text, jobs: &'t Jobs) -> impl Iterator<Item = Vec<String>> + 't {
    let columns = columns(text);
    let head = HEAD.iter().map(|head| (*head).to_owned()).chain(columns.iter().map(|column| column.word().to_owned())).collect();
    std::iter::once(head).chain(text.sections.iter().flat_map(move |section| of_section(section, jobs, columns.clone())))
}

fn of_section<'t>(section: &'t Section, jobs: &'t Jobs, columns: Vec<Column>) -> impl Iterator<Item = Vec<String>> + 't {
    let ends = |row: &'static str| (row, None);
    let set_aside = (!section.set_aside.is_nothing()).then_some(("set_aside", None));
    let lines = section.lines.iter().map(|line| (line.kind, Some(line)));
    let all = std::iter::once(ends("opening")).chain(set_aside).chain(lines).chain(std::iter::once(ends("closing")));
    all.map(move |(row, line)| {
        let figures = match (row, line) {
            (_, Some(line)) => &line.figures,
            ("opening", None) => &section.opening,
            ("closing", None) => &section.closing,
            _ => &section.set_aside,
        };
        let amounts = columns.iter().map(|column| figures.get(*column).map(|amount| amount.to_string()).unwrap_or_default());
        before(section, row, line, jobs).into_iter().chain(amounts).collect()
    })
}

fn before(section: &Section, row: &str, line: Option<&Line>, jobs: &Jobs) -> [String; 14] {
    let of_line = |text: fn(&Line) -> Option<String>| line.and_then(text).unwrap_or_default();
    let donation = section.donation.as_ref();
    [
        donation.map(|donation| donation.id.clone()).unwrap_or_default(),
        donation.map(|donation| donation.name.clone()).unwrap_or_default(),
        section.lot.as_ref().map(|lot| lot.id.clone()).unwrap_or_default(),
        section.grant.clone().unwrap_or_default(),
        section.resource.as_ref().map(|resource| resource.name.clone()).unwrap_or_default(),
        section.unit.code().to_owned(),
        row.to_owned(),
        of_line(|line| Some(line.recorded_on.clone())),
        of_line(|line| Some(line.effective_on.clone())),
        of_line(|line| line.late.then(|| "late".to_owned())),
        of_line(|line| line.handle.clone()),
        of_line(|line| line.charge.map(|charge| charge.to_string())),
        line.and_then(|line| jobs.get(&line.charge?).cloned()).unwrap_or_default(),
        of_line(|line| line.link.clone()),
    ]
}
