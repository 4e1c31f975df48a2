//! Each statement begins where the one before it ended, adds up, and at the end says what the balances say.

use std::collections::BTreeMap;

use almoner::demo;
use almoner::directory;
use almoner::donations;
use almoner::reports::balance;
use almoner::reports::statement::figures::{Column, Figures};
use almoner::reports::statement::text::{Section, Text};
use almoner::reports::statement::{self, Asked, Whom};
use almoner::store::{Conn, Database, Fault, Page, Store};
use almoner::time::{Clock, Period, Time};

use crate::books::Books;
use crate::support::books::time;
use crate::support::database::databases;

/// What a section is about.
fn name(section: &Section) -> String {
    let of = |id: Option<&String>| id.cloned().unwrap_or_default();
    let lot = section.lot.as_ref().map(|lot| &lot.id);
    [section.donation.as_ref().map(|one| &one.id), lot, section.grant.as_ref(), section.resource.as_ref().map(|one| &one.id)]
        .map(of)
        .join(" ")
}

/// The opening and the lines of a section, added up here.
fn sum(section: &Section) -> BTreeMap<Column, i64> {
    let mut sums = BTreeMap::new();
    let mut add = |figures: &Figures| figures.columns().for_each(|column| *sums.entry(column).or_insert(0) += figures.minor(column));
    add(&section.opening);
    add(&section.set_aside);
    section.lines.iter().for_each(|line| add(&line.figures));
    sums.retain(|_, minor| *minor != 0);
    sums
}

fn standing(figures: &Figures) -> BTreeMap<Column, i64> {
    figures.columns().map(|column| (column, figures.minor(column))).filter(|(_, minor)| *minor != 0).collect()
}

/// Every section of a statement adds up, and so does each unit.
fn adds_up(text: &Text) {
    for section in &text.sections {
        assert_eq!(sum(section), standing(&section.closing), "{}", name(section));
    }
    for total in &text.totals {
        let mut all = BTreeMap::new();
        for section in text.sections.iter().filter(|section| section.unit == total.unit) {
            standing(&section.closing).into_iter().for_each(|(column, minor)| *all.entry(column).or_insert(0) += minor);
        }
        all.retain(|_, minor| *minor != 0);
        assert_eq!(all, standing(&total.closing));
        let mut sum = total.opening.clone();
        sum.plus(&total.change).expect("small");
        assert_eq!(standing(&sum), standing(&total.closing));
    }
}

/// The second begins where the first ended: what was there is there still, and what is new began with nothing.
fn meets(before: &Text, after: &Text) {
    assert_eq!((before.seq, &before.period.to), (after.opening_seq, &after.period.from));
    let closing: BTreeMap<String, _> = before.sections.iter().map(|section| (name(section), standing(&section.closing))).collect();
    let opening: BTreeMap<String, _> = after.sections.iter().map(|section| (name(section), standing(&section.opening))).collect();
    for of in closing.keys().chain(opening.keys()) {
        let at = |ends: &BTreeMap<String, BTreeMap<Column, i64>>| ends.get(of).cloned().unwrap_or_default();
        assert_eq!(at(&closing), at(&opening), "{of}");
    }
}

/// Statements of somebody over consecutive periods; the last one.
fn follow(conn: &mut Conn, whom: Whom, days: &[Time]) -> Result<Text, Fault> {
    let mut last: Option<Text> = None;
    let mut lines = 0;
    for pair in days.windows(2) {
        let asked = Asked { whom, period: Period::new(pair[0], pair[1]).expect("in order") };
        let text = statement::draw(conn, &asked)?.text;
        adds_up(&text);
        if let Some(before) = &last {
            meets(before, &text);
        }
        lines += text.lines();
        last = Some(text);
    }
    let (first, end) = (days.first().expect("a day"), days.last().expect("a day"));
    let whole = statement::draw(conn, &Asked { whom, period: Period::new(*first, *end).expect("in order") })?.text;
    adds_up(&whole);
    assert_eq!(whole.lines(), lines, "what is in one of the periods is in all of them together");
    Ok(whole)
}

#[test]
fn each_begins_where_the_one_before_it_ended() {
    for database in databases() {
        let books = Books::of_four_months(database);
        let days: Vec<Time> =
            ["2026-01-01", "2026-01-16", "2026-02-01", "2026-02-04", "2026-03-01", "2026-03-03", "2026-04-01", "2026-05-01"]
                .iter()
                .map(|day| time(&format!("{day}T00:00:00Z")))
                .collect();
        let mut kinds: Vec<&str> = Vec::new();
        for whom in books.everybody() {
            let text = books.look(|conn| follow(conn, whom, &days));
            kinds.extend(text.sections.iter().flat_map(|section| &section.lines).map(|line| line.kind));
            if let Whom::Donor(donor) = whom {
                says_what_the_lots_say(&books, donor, &text);
            }
        }
        kinds.sort_unstable();
        kinds.dedup();
        let all = [
            "award",
            "cancellation",
            "charge",
            "cover",
            "delivery",
            "end",
            "lapse",
            "pledge",
            "refund",
            "return",
            "reversal",
            "supplement",
        ];
        assert_eq!(kinds, all, "{}: everything that can happen did", books.database.kind);
    }
}

/// After everything is booked the clock has nothing to add, so the last closing is what the summary says.
fn says_what_the_lots_say(books: &Books, donor: almoner::id::DonorId, text: &Text) {
    let now = books.clock.now();
    let summary = books.look(|conn| balance::donor_whereabouts(conn, donor, now));
    let told: Vec<[i64; 8]> = summary
        .iter()
        .map(|one| [one.pledged, one.delivered, one.available, one.granted, one.held, one.spent, one.lapsed, one.returned].map(|a| a.minor))
        .collect();
    let columns = [
        Column::Pledged,
        Column::Delivered,
        Column::Available,
        Column::Granted,
        Column::Held,
        Column::Spent,
        Column::Lapsed,
        Column::Returned,
    ];
    let closing: Vec<[i64; 8]> = text.totals.iter().map(|total| columns.map(|column| total.closing.minor(column))).collect();
    assert_eq!(closing, told);
    assert!(told[0][5] > 0 || told[0][1] > 0);
}

#[test]
fn late_days_are_told_and_use_stands_under_the_months_of_the_jobs() {
    for database in databases() {
        let books = Books::of_four_months(database);
        let february = books.draw(&books.asked(Whom::Donor(books.donors[0]), "2026-02-01", "2026-03-01")).text;
        let late: Vec<_> = february.sections.iter().flat_map(|section| &section.lines).filter(|line| line.late).collect();
        assert_eq!(late.len(), 1, "the job of the last second of January");
        assert_eq!((late[0].recorded_on.as_str(), late[0].effective_on.as_str(), late[0].kind), ("2026-02-03", "2026-01-31", "charge"));
        let all = books.draw(&books.asked(Whom::Donor(books.donors[0]), "2026-01-01", "2026-05-01")).text;
        let spent: i64 = all.totals[0].change.minor(Column::Spent);
        for used in &all.used {
            let sum: i64 = used.cells.iter().map(|cell| cell.spent.minor).chain(used.other.map(|other| other.minor)).sum();
            assert_eq!(sum, spent, "by {}", used.by);
        }
        let by = |by: &str| all.used.iter().find(|used| used.by == by).unwrap_or_else(|| panic!("nothing by {by}"));
        let names = |of: &str| by(of).cells.iter().map(|cell| cell.name.clone()).collect::<Vec<_>>();
        // Two other fields have one project each, and would be told by what is left: with the third in the group there is nothing else.
        assert!(by("field_of_science").other.is_some() && !names("field_of_science").contains(&"Rare Studies".to_owned()));
        assert!(!names("institution").contains(&"Far University".to_owned()) && !names("resource").contains(&"Rare cluster".to_owned()));
        assert!(names("month").iter().all(|month| month.as_str() < "2026-04"), "jobs ended before, whatever was recorded later");
        let canonical = all.canonical().expect("text");
        assert!(!String::from_utf8_lossy(&canonical).contains("Rare"), "what is grouped is not named");
    }
}

#[test]
fn a_project_is_told_whom_to_thank_and_a_provider_what_was_metered() {
    for database in databases() {
        let books = Books::of_four_months(database);
        let project = books.draw(&books.asked(Whom::Project(books.projects[2]), "2026-01-01", "2026-04-01")).text;
        let paid: i64 = project.thanks.iter().map(|donor| donor.amount.minor).sum();
        assert_eq!(paid, project.totals[0].closing.minor(Column::Spent), "all of it was paid by donors");
        assert_eq!(project.thanks[0].name, "Donor A & <Sons>");
        let verdicts: Vec<(&str, bool)> = project.decisions.iter().map(|one| (one.verdict.as_str(), one.amendment.is_some())).collect();
        assert_eq!(verdicts, [("approve", false), ("approve", true)]);
        assert!(project.sections.iter().flat_map(|section| &section.lines).any(|line| line.kind == "cover" && line.charge.is_some()));

        let until = |to: &str| books.draw(&books.asked(Whom::Provider(books.provider), "2026-02-01", to)).text;
        // The job in parts was metered 6 in February and 8 in all: its total brings 2 more.
        let [february, march] = ["2026-03-01", "2026-04-01"].map(until);
        let metered = |text: &Text| text.metered.iter().find(|one| one.resource.name == "Common cluster").cloned().expect("metered");
        let (february, both) = (metered(&february), metered(&march));
        assert_eq!([february.opening, february.change], ["30", "158"]);
        assert_eq!(both.change, "162");
        let quarantine = march.quarantine.expect("counts");
        assert_eq!(
            [quarantine.opening, quarantine.set_aside, quarantine.charged, quarantine.dismissed, quarantine.closing],
            [0, 1, 0, 1, 0]
        );
        let total = &march.totals[0];
        assert_eq!(total.closing.minor(Column::Charged), books.look(|conn| charged(conn, &march)));
    }
}

/// All that was charged by the end of a statement, summed here.
fn charged(conn: &mut Conn, text: &Text) -> Result<i64, Fault> {
    let rows = almoner::usage::store::charges(conn, &almoner::usage::Of::default(), Page::ALL)?;
    Ok(rows.iter().filter(|row| row.seq <= text.seq).map(|row| row.amount).sum())
}

#[test]
fn a_whole_year_adds_up_month_by_month() {
    let folder = tempfile::tempdir().expect("a folder");
    let until = time("2026-07-01T00:00:00Z");
    let store = Store::open(&Database::in_folder(folder.path()), Clock::held(until)).expect("opens");
    demo::make(&store, "https://demo.example", 3, until, &mut |_, _| ()).expect("plays");
    let quarters = ["2025-07-01", "2025-10-01", "2026-01-01", "2026-04-01", "2026-07-01"];
    let days: Vec<Time> = quarters.iter().map(|day| time(&format!("{day}T00:00:00Z"))).collect();
    let mut lines = 0;
    store
        .read(|conn| {
            let mut everybody: Vec<Whom> =
                donations::store::donors(conn, &donations::Of::default(), Page::ALL)?.iter().map(|donor| Whom::Donor(donor.id)).collect();
            let of = directory::Of::default();
            everybody.extend(directory::store::projects(conn, &of, Page::ALL)?.iter().step_by(20).map(|project| Whom::Project(project.id)));
            let resources = directory::store::resources(conn, &of, Page::ALL)?;
            let mut providers: Vec<_> = resources.iter().map(|resource| resource.about.provider).collect();
            providers.dedup();
            everybody.extend(providers.into_iter().map(Whom::Provider));
            for whom in everybody {
                lines += follow(conn, whom, &days)?.lines();
            }
            Ok(())
        })
        .expect("statements");
    assert!(lines > 100_000, "{lines} lines");
}
