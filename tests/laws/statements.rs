//! Statements over random books: each adds up, and begins where the one before it ended.

use std::collections::BTreeMap;

use almoner::directory;
use almoner::donations;
use almoner::reports::statement::figures::{Column, Figures};
use almoner::reports::statement::{Asked, Text, Whom, draw};
use almoner::store::{Conn, Fault, Page};
use almoner::time::{DAY, Period, Time};

use crate::world::DAWN;

/// Of some of everybody, over the days until now in two periods. How many statements were drawn, which fails where one does not add up.
pub fn meet(conn: &mut Conn, now: Time) -> Result<u64, String> {
    let day = |time: Time| Time::from_micros(time.micros().div_euclid(DAY) * DAY);
    let (first, last) = (day(DAWN), day(now));
    let middle = day(first.plus(last.since(first) / 2));
    let mut drawn = 0;
    for whom in everybody(conn).map_err(|fault| fault.to_string())? {
        let mut before: Option<Text> = None;
        for (from, to) in [(first, middle), (middle, last)] {
            let Some(period) = Period::new(from, to) else { continue };
            let text = draw(conn, &Asked { whom, period }).map_err(|fault| format!("a statement of {}: {fault}", whom.id()))?.text;
            drawn += 1;
            if before.as_ref().is_some_and(|before| ends(before, false) != ends(&text, true)) {
                return Err(format!("a statement of {} does not begin where the one before it ended", whom.id()));
            }
            before = Some(text);
        }
    }
    Ok(drawn)
}

/// Every donor, some projects and some providers.
fn everybody(conn: &mut Conn) -> Result<Vec<Whom>, Fault> {
    let donors = donations::store::donors(conn, &donations::Of::default(), Page::ALL)?;
    let projects = directory::store::projects(conn, &directory::Of::default(), Page::ALL)?;
    let resources = directory::store::resources(conn, &directory::Of::default(), Page::ALL)?;
    let projects = projects.into_iter().step_by(5).map(|project| Whom::Project(project.id));
    let providers = resources.into_iter().step_by(7).map(|resource| Whom::Provider(resource.about.provider));
    Ok(donors.into_iter().map(|donor| Whom::Donor(donor.id)).chain(projects).chain(providers).collect())
}

/// What stands at one end of a statement, section by section, where anything does.
fn ends(text: &Text, opening: bool) -> BTreeMap<String, Vec<(Column, i64)>> {
    let standing = |figures: &Figures| {
        let all = figures.columns().map(|column| (column, figures.minor(column)));
        all.filter(|(_, minor)| *minor != 0).collect::<Vec<_>>()
    };
    let sections = text.sections.iter().map(|section| {
        let lot = section.lot.as_ref().map(|lot| lot.id.as_str()).unwrap_or_default();
        (format!("{} {lot} {:?}", section.entries, section.grant), standing(if opening { &section.opening } else { &section.closing }))
    });
    sections.filter(|(_, standing)| !standing.is_empty()).collect()
}
