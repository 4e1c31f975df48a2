//! Four eyes past the program: what its own role may not do to the tables, and what verification finds where the tables can't tell.

use almoner::amount::{Amount, Unit};
use almoner::directory::{self, NewInstitution};
use almoner::donations::{self, NewDonation, NewDonor, OnExpiry, Terms};
use almoner::grants::separation::{self, Party};
use almoner::grants::{self, Change, NewGrant, Overdraft, Ruling, Verdict, amend, policy};
use almoner::id::{GrantId, PersonId};
use almoner::ledger::{self, Kind};
use almoner::reports::verify::{self, Law};
use almoner::store::{Conn, Database, Fault, Store, Work};
use almoner::time::Clock;

use crate::support::books::{Pair, period, time};
use crate::support::database::{TestDatabase, databases};
use crate::support::{Run, program};

/// A grant awarded by two, a request that one has approved, an amendment, a policy and a donation that wait for another person.
struct Made {
    awarded: GrantId,
    waiting: GrantId,
    pair: Pair,
    third: PersonId,
}

fn fill(work: &mut Work<'_>) -> Result<Made, Fault> {
    let pair = Pair::of(work)?;
    let third = directory::person_for(work, &almoner::actor::Actor::operator("third"))?;
    let unit = Unit::new("CREDIT", 0).expect("a unit");
    ledger::add_unit(work, pair.first, unit, "credit")?;
    let amount = |minor| Amount::new(minor, unit);
    pair.give(work, amount(1000), time("2025-06-01T00:00:00Z"), None, OnExpiry::Lapse)?;
    let place = NewInstitution { name: "Example University".into(), ..NewInstitution::default() };
    let place = directory::add_institution(work, pair.first, &place)?.id;
    let project = pair.project(work, place, None)?;
    let rule = |two| policy::NewPolicy { unit, two_above: Some(amount(two)), three_above: None, carry_over: 0, refund_alone: None };
    policy::set(work, pair.second, &rule(150))?;
    policy::set(work, pair.second, &rule(900))?;
    let donor =
        donations::add_donor(work, pair.first, &NewDonor { name: "Donor".into(), kind: "industry".into(), ror: None, external_id: None })?;
    let (terms, on_expiry) = (Terms::default(), OnExpiry::Lapse);
    let title = "More".into();
    let more = NewDonation { donor: donor.id, title, unit, pledged: amount(5), terms, draw_priority: 0, on_expiry, external_id: None };
    donations::propose(work, pair.first, &more)?;
    let span = period("2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z");
    let awarded = pair.award(work, project, amount(100), span, Overdraft::Record, None)?;
    let new = NewGrant {
        project,
        requested: amount(200),
        period: span,
        justification: "For the test.".into(),
        purpose: None,
        resources: Vec::new(),
        renews: None,
        external_id: None,
    };
    let waiting = grants::request(work, pair.first, &new)?.id;
    grants::decide(work, pair.second, waiting, &Ruling::new(Verdict::APPROVE, 1, "First."), false)?;
    amend::propose(work, pair.first, awarded, Change::Supplement(amount(10)), "Some more.")?;
    separation::declare(work, third, Party::Institution(place), "Taught there.")?;
    Ok(Made { awarded, waiting, pair, third })
}

fn books(database: &TestDatabase) -> (Store, Made) {
    let store = Store::open(&Database::parse(&database.url).expect("a URL"), Clock::system()).expect("books");
    let made = store.write(fill).expect("small books");
    (store, made)
}

fn connect(database: &TestDatabase) -> Conn {
    Database::parse(&database.url).expect("a URL").connect().expect("a connection")
}

/// The decisions with one more, like the newest but for what is said here of its columns.
fn like_the_newest(id: i64, said: &[(&str, &str)]) -> String {
    const COLUMNS: [&str; 17] = [
        "id",
        "award",
        "amendment",
        "project",
        "unit",
        "round",
        "verdict",
        "overdraft",
        "awarded",
        "raised",
        "effective",
        "plan",
        "bound",
        "requester",
        "officer",
        "reason",
        "seq",
    ];
    let value =
        |column: &&str| said.iter().find(|(name, _)| name == column).map_or_else(|| (*column).to_owned(), |(_, value)| (*value).into());
    let values: Vec<String> = COLUMNS.iter().map(|column| if *column == "id" { id.to_string() } else { value(column) }).collect();
    let newest = "FROM decisions WHERE id = (SELECT MAX(id) FROM decisions)";
    format!("INSERT INTO decisions ({}) SELECT {} {newest}", COLUMNS.join(", "), values.join(", "))
}

/// What must be refused, and with which word of the database's own.
fn attempts(third: PersonId) -> Vec<(&'static str, String, &'static str)> {
    let other = third.stamp();
    let asked = "append-only";
    vec![
        ("a decision by who asked", like_the_newest(1, &[("officer", "requester")]), "check"),
        ("the same officer twice in a round", like_the_newest(1, &[]), "unique"),
        ("another asked for the grant", format!("UPDATE grants SET requester = {other}"), asked),
        ("another asked for the amendment", format!("UPDATE amendments SET requester = {other}"), asked),
        ("the amendment asked for more", "UPDATE amendments SET amount = amount + 1".into(), asked),
        ("the amendment was never asked for", "DELETE FROM amendments".into(), asked),
        ("another decided", format!("UPDATE decisions SET officer = {other}"), asked),
        ("the decision was never taken", "DELETE FROM decisions".into(), asked),
        ("another took the step", format!("UPDATE grant_steps SET person = {other}"), asked),
        ("the step was never taken", "DELETE FROM grant_steps".into(), asked),
        ("the conflict was another's", format!("UPDATE conflicts SET person = {other}"), asked),
        ("the conflict was never declared", "DELETE FROM conflicts".into(), asked),
        ("a policy confirmed by its proposer", "UPDATE policies SET confirmed_by = proposed_by".into(), "check"),
        ("a donation accepted by its proposer", "UPDATE donations SET accepted_by = proposed_by".into(), "check"),
    ]
}

#[test]
fn the_database_keeps_four_eyes_by_itself() {
    for database in databases() {
        let (store, made) = books(&database);
        let mut conn = connect(&database);
        for (what, sql, word) in attempts(made.third) {
            let why = conn.batch(&sql).expect_err(what).to_string().to_lowercase();
            assert!(why.contains(word), "{}, {what}: {why}", database.kind);
        }
        assert!(store.read(verify::verify).expect("a verification").holds(), "{}: nothing was changed", database.kind);
        // The same with nothing forged is let through: it is for what they say that those were refused.
        conn.batch(&like_the_newest(1, &[("officer", &made.third.stamp().to_string())])).expect("a row that no constraint speaks against");
    }
}

/// A guard taken away lets through what it kept out, and verification finds both: that it is gone, and what was done.
#[test]
fn a_guard_that_is_gone_is_missed() {
    for database in databases() {
        let (store, made) = books(&database);
        let mut conn = connect(&database);
        let gone = if matches!(conn, Conn::Sqlite(_)) { "" } else { " ON amendments" };
        conn.batch(&format!("DROP TRIGGER amendments_keep_requester{gone}")).expect("a trigger to take away");
        conn.batch(&format!("UPDATE amendments SET requester = {}", made.third.stamp())).expect("nothing stands before it");
        let found = store.read(verify::verify).expect("a verification");
        let broken: Vec<&String> = found.laws.iter().flat_map(|law| &law.findings).collect();
        assert_eq!(broken.len(), 2, "{}: {broken:?}", database.kind);
        assert!(broken[0].contains("guard of table amendments") && broken[1].contains("was asked for by"), "{}: {broken:?}", database.kind);
    }
}

fn duties(store: &Store) -> Law {
    let found = store.read(verify::verify).expect("a verification");
    found.laws.into_iter().find(|law| law.number == 10).expect("law 10")
}

/// Appends an entry to the journal, as the program's own role can.
fn entry(kind: Kind, actor: PersonId, about: GrantId) -> String {
    let (kind, actor, about) = (kind as i32, actor.stamp(), about.stamp());
    format!(
        "INSERT INTO entries (seq, recorded_at, effective_at, kind, actor, subject, body)
             SELECT seq + 1, stamp + 1, stamp + 1, {kind}, {actor}, {about}, '{{\"round\":1}}' FROM head;
         UPDATE head SET seq = seq + 1, stamp = stamp + 1"
    )
}

type Forge = fn(&Made) -> String;

/// What no constraint can refuse, since every row by itself might be true.
const FORGED: &[(&str, Forge, &str)] = &[
    (
        "a decision of who asked, said to be asked for by another, with its entry",
        |made| {
            let (first, third) = (made.pair.first.stamp().to_string(), made.third.stamp().to_string());
            let row = like_the_newest(1, &[("officer", &first), ("requester", &third), ("seq", "(SELECT seq FROM head)")]);
            let id = row.replacen("SELECT 1,", "SELECT (SELECT stamp FROM head),", 1);
            format!("{}; {id}", entry(Kind::Rejection, made.pair.first, made.waiting))
        },
        "who asked for it",
    ),
    (
        "the same without an entry of its own",
        |made| {
            let (first, third) = (made.pair.first.stamp().to_string(), made.third.stamp().to_string());
            like_the_newest(1, &[("officer", &first), ("requester", &third)])
        },
        "is no decision in the journal",
    ),
    ("an approval that nobody gave", |made| like_the_newest(1, &[("officer", &made.third.stamp().to_string())]), "entry"),
    ("an entry without its row", |made| entry(Kind::Rejection, made.third, made.awarded), "is not in its table"),
    (
        "a policy confirmed by nobody who said so",
        |made| format!("UPDATE policies SET confirmed_by = {}, confirmed_at = 1 WHERE confirmed_at IS NULL", made.third.stamp()),
        "is confirmed by",
    ),
    (
        "a donation proposed by another, accepted by its proposer",
        |made| {
            let (first, third) = (made.pair.first.stamp(), made.third.stamp());
            format!("UPDATE donations SET proposed_by = {third}, accepted_by = {first}, state = 'accepted' WHERE accepted_by IS NULL")
        },
        "was asked for by",
    ),
];

#[test]
fn what_slips_past_the_constraints_is_found() {
    for (what, forge, word) in FORGED {
        for database in databases() {
            let (store, made) = books(&database);
            let before = duties(&store);
            assert!(before.broken == 0 && before.checked > 0, "{}, before {what}: {before:?}", database.kind);
            connect(&database).batch(&forge(&made)).unwrap_or_else(|fault| panic!("{}, {what}: {fault}", database.kind));
            let found = duties(&store).findings;
            assert!(found.iter().any(|finding| finding.contains(word)), "{}, {what}: {found:?}", database.kind);
            if word.contains("entry") || what.contains("entry") {
                assert!(found.iter().any(|finding| finding.starts_with("entry ")), "{}, {what}: {found:?}", database.kind);
            }
        }
    }
}

/// The demo's year was decided by other persons than asked, and verification says so of each decision.
#[test]
fn a_clean_year_has_no_finding() {
    for database in databases() {
        let data = database.folder().join("data");
        let mut demo = program();
        demo.args(["demo", "--no-serve", "--data"]).arg(&data).args(["--database", &database.url]);
        Run::from(demo.output().expect("the program starts")).ok();
        let store = Store::open_as_is(&Database::parse(&database.url).expect("a URL"), Clock::system()).expect("books");
        let law = duties(&store);
        assert!(law.broken == 0 && law.checked > 50, "{}: {law:?}", database.kind);
    }
}
