//! Rows changed past the program: every field that the journal tells too is changed once, rows are taken away and made up, and verification
//! finds each.

use std::collections::BTreeMap;

use almoner::actor::Actor;
use almoner::amount::{Amount, Unit};
use almoner::directory::person::{NewPerson, Revision};
use almoner::directory::{self, AccountMapping, NewInstitution, NewResource, binding, person, reading};
use almoner::donations::{self, NewDonation, NewDonor, NewLot, OnExpiry, Terms};
use almoner::grants::life::{self, Revised};
use almoner::grants::separation::{self, Party};
use almoner::grants::{self, Change, NewGrant, Overdraft, Ruling, Verdict, amend, policy};
use almoner::id::Id;
use almoner::ledger;
use almoner::reports::{disclosure, verify};
use almoner::store::{Conn, Database, Fault, Store, Work};
use almoner::time::{Clock, DAY};
use almoner::usage::{self, Incoming, NewRate, Record};
use serde_json::json;

use crate::support::books::{Pair, period, time};
use crate::support::database::{TestDatabase, databases};

/// One of everything that has a row of its own.
fn fill(work: &mut Work<'_>) -> Result<(), Fault> {
    let pair = Pair::of(work)?;
    let third = directory::person_for(work, &Actor::operator("third"))?;
    let (unit, other) = (Unit::new("CREDIT", 0).expect("a unit"), Unit::new("HOUR", 0).expect("a unit"));
    ledger::add_unit(work, pair.first, unit, "credit")?;
    ledger::add_unit(work, pair.first, other, "hour")?;
    let amount = |minor| Amount::new(minor, unit);
    let institution = |work: &mut Work<'_>, kind: &str| {
        let new = NewInstitution { name: format!("Example {kind}"), kind: Some(kind.into()), ..NewInstitution::default() };
        directory::add_institution(work, pair.first, &new).map(|made| made.id)
    };
    let (centre, university) = (institution(work, "centre")?, institution(work, "university")?);
    let resource = |work: &mut Work<'_>, name: &str| {
        let new = NewResource { name: name.into(), kind: None, provider: centre, external_id: None };
        directory::add_resource(work, pair.first, &new).map(|made| made.id)
    };
    let (cluster, _) = (resource(work, "one")?, resource(work, "two")?);
    for price in [1, 2] {
        let (qos, from) =
            (BTreeMap::from([("high".to_owned(), 2.into())]), time("2025-01-01T00:00:00Z").plus(i64::from(price) * 1000 * DAY));
        let from = if price == 1 { time("2025-01-01T00:00:00Z") } else { from };
        let rate = NewRate { resource: cluster, meter: "gpu-hour".into(), price: amount(price.into()), from, qos };
        let rate = usage::add_rate(work, pair.first, &rate)?;
        if price == 2 {
            usage::confirm_rate(work, pair.second, rate.id)?;
        }
    }
    persons(work, pair, third, university)?;
    let donation = gifts(work, pair, unit)?;
    let (project, beside) = (pair.project(work, university, None)?, pair.project(work, centre, None)?);
    directory::add_member(work, pair.first, project, third, "member")?;
    let mapping =
        AccountMapping { id: Id::from_stamp(0), project, cluster: Some("c".into()), account: "a".into(), resource: Some(cluster) };
    directory::add_account_mapping(work, pair.first, mapping)?;
    separation::declare(work, third, Party::Institution(centre), "Taught there.")?;
    disclosure::publish(work, pair.first, project, true)?;
    for (two, three) in [(10_000, 20_000), (20_000, 40_000)] {
        let rule = policy::NewPolicy {
            unit,
            two_above: Some(amount(two)),
            three_above: Some(amount(three)),
            carry_over: 50,
            refund_alone: Some(amount(two)),
        };
        let made = policy::set(work, pair.first, &rule)?;
        if made.confirmed_at.is_none() {
            policy::confirm(work, pair.second, made.id)?;
        }
    }
    donations::deliver(
        work,
        pair.first,
        &NewLot { donation, amount: amount(1000), delivered_at: time("2025-06-01T00:00:00Z"), expires_at: None },
    )?;
    lives(work, pair, (project, beside), amount)?;
    jobs(work, pair, project, (centre, cluster), unit)
}

fn persons(work: &mut Work<'_>, pair: Pair, third: Id<almoner::id::Person>, at: Id<almoner::id::Institution>) -> Result<(), Fault> {
    let new = NewPerson { name: "Example Person".into(), institution: None, identities: Vec::new() };
    let person = person::add_person(work, pair.first, &new)?;
    person::revise_person(work, pair.first, person.id, person.version, &Revision { name: None, institution: Some(at) })?;
    person::declare_affiliation(work, third, third, at, time("2025-01-01T00:00:00Z"))?;
    person::revoke_person(work, pair.first, person.id)?;
    let limit = Amount::new(5000, Unit::new("CREDIT", 0).expect("a unit"));
    for right in [binding::Right::Officer(Some(limit)), binding::Right::Auditor, binding::Right::Researcher(None)] {
        let proposed = binding::propose(work, pair.first, person.id, right)?;
        if right != binding::Right::Auditor {
            let _ = binding::confirm(work, pair.second, proposed.id);
        }
        if right == binding::Right::Researcher(None) {
            binding::revoke(work, pair.second, proposed.id)?;
        }
    }
    reading::record(work, third, "get_person", Some(&person.id.to_string()))
}

fn gifts(work: &mut Work<'_>, pair: Pair, unit: Unit) -> Result<Id<almoner::id::Donation>, Fault> {
    let donor = NewDonor { name: "Example Donor".into(), kind: "industry".into(), ror: None, external_id: None };
    let donor = donations::add_donor(work, pair.first, &donor)?.id;
    donations::add_donor(work, pair.first, &NewDonor { name: "Another".into(), kind: "nonprofit".into(), ror: None, external_id: None })?;
    let terms = Terms { fields_of_science: Some(vec!["Physics".into(), "Biology".into()]), ..Terms::default() };
    let new = |title: &str, priority| NewDonation {
        donor,
        title: title.into(),
        unit,
        pledged: Amount::new(5000, unit),
        terms: terms.clone(),
        draw_priority: priority,
        on_expiry: OnExpiry::Lapse,
        external_id: None,
    };
    donations::propose(work, pair.first, &new("Waits", 3))?;
    let gift = donations::propose(work, pair.first, &new("Credits", 1))?.id;
    donations::accept(work, pair.second, gift)?;
    let (delivered_at, expires_at) = (time("2025-06-01T00:00:00Z"), Some(time("2035-06-01T00:00:00Z")));
    donations::deliver(work, pair.first, &NewLot { donation: gift, amount: Amount::new(3000, unit), delivered_at, expires_at })?;
    Ok(gift)
}

type Projects = (Id<almoner::id::Project>, Id<almoner::id::Project>);

/// Requests and grants in several states, with amendments of every kind.
fn lives(work: &mut Work<'_>, pair: Pair, projects: Projects, amount: impl Fn(i64) -> Amount) -> Result<(), Fault> {
    let span = period("2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z");
    let awarded = pair.award(work, projects.0, amount(500), span, Overdraft::Record, None)?;
    let other = pair.award(work, projects.1, amount(50), span, Overdraft::Reject, None)?;
    let renewal = NewGrant {
        project: projects.0,
        requested: amount(20),
        period: span,
        justification: "For the test.".into(),
        purpose: Some("teaching".into()),
        resources: Vec::new(),
        renews: Some(awarded),
        external_id: None,
    };
    let asked = life::draft(work, pair.first, &renewal)?;
    let revised = Revised {
        requested: amount(30),
        period: span,
        justification: "Better said.".into(),
        purpose: Some("teaching".into()),
        resources: Vec::new(),
    };
    life::revise(work, pair.first, asked.id, asked.version, &revised, "It was not clear.")?;
    life::submit(work, pair.first, asked.id, "Ready.")?;
    let read = life::review(work, pair.second, asked.id, "Taken up.")?;
    grants::decide(work, pair.second, asked.id, &Ruling::new(Verdict::APPROVE, read.version, "Sound."), false)?;
    let returned = grants::request(work, pair.first, &NewGrant { renews: None, ..renewal.clone() })?;
    grants::decide(work, pair.second, returned.id, &Ruling::new(Verdict::Return, 1, "Which data?"), false)?;
    for (kind, change) in [
        ("supplement", Change::Supplement(amount(10))),
        ("extension", Change::Extension(time("2037-01-01T00:00:00Z"))),
        ("reduction", Change::Reduction(amount(5))),
        ("transfer", Change::Transfer(amount(7), other)),
    ] {
        let made = amend::propose(work, pair.first, awarded, change, kind)?;
        amend::decide(work, pair.second, made.id, &Ruling::new(Verdict::APPROVE, 1, "Sound."), false)?;
    }
    let taken_back = amend::propose(work, pair.first, awarded, Change::Supplement(amount(1)), "Once more.")?;
    amend::withdraw(work, pair.first, taken_back.id, "Not needed.")?;
    let suspended = pair.award(work, projects.1, amount(5), span, Overdraft::Record, None)?;
    life::suspend(work, pair.second, suspended, "A question.")?;
    let closed = pair.award(work, projects.1, amount(5), span, Overdraft::Record, None)?;
    life::close(work, pair.first, closed, "Done.")?;
    let ended = period("2025-07-01T00:00:00Z", "2025-08-01T00:00:00Z");
    pair.award(work, projects.1, amount(5), ended, Overdraft::Record, None)?;
    grants::sweep::sweep(work).map(|_| ())
}

/// A charge beyond a grant, covered by a refund of another; a reversal.
fn jobs(
    work: &mut Work<'_>,
    pair: Pair,
    project: Id<almoner::id::Project>,
    (centre, cluster): (Id<almoner::id::Institution>, Id<almoner::id::Resource>),
    unit: Unit,
) -> Result<(), Fault> {
    let span = period("2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z");
    let grant = pair.award(work, project, Amount::new(10, unit), span, Overdraft::Record, None)?;
    let mut charges = Vec::new();
    for (name, hours) in [("first", 8), ("second", 5), ("third", 1)] {
        let record = json!({
            "external_id": name, "grant": grant.to_string(), "resource": cluster.to_string(),
            "quantities": {"gpu-hour": hours.to_string()}, "ended_at": "2026-02-01T00:00:00Z",
        });
        let record = Record::read(&almoner::json::parse(record.to_string().as_bytes()).expect("JSON"), &|_| Some(unit)).expect("a record");
        let outcome = usage::charge(work, pair.first, centre, &[Incoming::new(centre, record)])?;
        charges.extend(outcome.into_iter().filter_map(|outcome| match outcome {
            usage::Outcome::Charged(charge) => Some(charge.row.id()),
            _ => None,
        }));
    }
    usage::refund(work, pair.second, charges[0], Some(Amount::new(2, unit)), "A node failed.")?;
    usage::reverse(work, pair.second, charges[2].seen_as(), "A mistake.").map(|_| ())
}

fn books(database: &TestDatabase) -> Store {
    let store = Store::open(&Database::parse(&database.url).expect("a URL"), Clock::system()).expect("books");
    store.write(fill).expect("books of everything");
    store
}

/// Another person, institution, project, lot, donation than the row has.
fn another(table: &str, column: &str) -> String {
    format!("(SELECT MIN(o.id) FROM {table} o WHERE o.id <> {column})")
}

/// What is changed: table, column, and what the first row that is otherwise is made.
const CHANGES: &[(&str, &str, &str)] = &[
    ("units", "name", "'x'"),
    ("units", "scale", "scale + 1"),
    ("institutions", "kind", "'x'"),
    ("persons", "not_before", "1"),
    ("projects", "field_of_science", "'x'"),
    ("members", "role", "'pi2'"),
    ("account_mappings", "account", "'x'"),
    ("account_mappings", "cluster", "'x'"),
    ("account_mappings", "resource", "0"),
    ("donors", "kind", "'x'"),
    ("role_bindings", "limit_minor", "limit_minor + 1"),
    ("role_bindings", "role", "'officer'"),
    ("readings", "operation", "'x'"),
    ("readings", "object", "'x'"),
    ("donations", "pledged", "pledged + 1"),
    ("donations", "terms", r#"'{"fields_of_science":null,"institution_kinds":null,"resources":null,"purpose":null}'"#),
    ("donations", "draw_priority", "draw_priority + 1"),
    ("donations", "on_expiry", "'return'"),
    ("donations", "state", "'cancelled'"),
    ("donations", "unit", "'HOUR'"),
    ("lots", "amount", "amount + 1"),
    ("lots", "delivered_at", "delivered_at - 1"),
    ("lots", "expires_at", "delivered_at + 1"),
    ("lots", "expires_at", "NULL"),
    ("rates", "price", "price + 1"),
    ("rates", "meter", "'cpu-hour'"),
    ("rates", "from_at", "from_at + 1"),
    ("rates", "multipliers", r#"'{"high":"3"}'"#),
    ("rates", "confirmed_at", "confirmed_at + 1"),
    ("rates", "unit", "'HOUR'"),
    ("policies", "two_above", "0"),
    ("policies", "two_above", "NULL"),
    ("policies", "three_above", "NULL"),
    ("policies", "carry_over", "100"),
    ("policies", "refund_alone", "NULL"),
    ("policies", "confirmed_at", "NULL"),
    ("policies", "unit", "'HOUR'"),
    ("grants", "requested", "requested + 1"),
    ("grants", "awarded", "awarded + 1"),
    ("grants", "starts_at", "starts_at - 1"),
    ("grants", "ends_at", "ends_at + 1"),
    ("grants", "justification", "'x'"),
    ("grants", "purpose", "'x'"),
    ("grants", "renews", "NULL"),
    ("grants", "state", "'rejected'"),
    ("grants", "overdraft", "CASE WHEN overdraft = 'record' THEN 'reject' ELSE 'record' END"),
    ("grants", "suspended_at", "1"),
    ("grants", "booked", "1"),
    ("grants", "round", "round + 1"),
    ("grants", "version", "version + 1"),
    ("amendments", "amount", "amount + 1"),
    ("amendments", "ends_at", "ends_at + 1"),
    ("amendments", "reason", "'x'"),
    ("amendments", "state", "'requested'"),
    ("amendments", "version", "version + 1"),
    ("decisions", "awarded", "awarded + 1"),
    ("decisions", "raised", "0"),
    ("decisions", "effective", "1 - effective"),
    ("decisions", "plan", "'[]'"),
    ("decisions", "bound", "'x'"),
    ("decisions", "round", "round + 5"),
    ("decisions", "verdict", "'reject'"),
    ("decisions", "reason", "'x'"),
    ("grant_steps", "step", "'x'"),
    ("grant_steps", "reason", "'x'"),
    ("grant_steps", "version", "version + 1"),
    ("affiliations", "since", "since + 1"),
    ("refunds", "amount", "amount + 1"),
    ("refunds", "charge", "charge + 1"),
    ("refunds", "charge_seq", "charge_seq + 1"),
    ("refunds", "seq", "seq + 1"),
    ("covers", "amount", "amount + 1"),
    ("covers", "charge", "charge + 1"),
    ("outflows", "amount", "amount + 1"),
    ("outflows", "kind", "'lapse'"),
    ("publications", "public", "NOT public"),
    ("publications", "seq", "seq + 1"),
    ("charges", "award", "award + 1"),
    ("charges", "amount", "amount + 1"),
    ("affiliations", "declared_by", "(SELECT id FROM persons WHERE name = 'first')"),
    ("conflicts", "person", "(SELECT id FROM persons WHERE name = 'first')"),
    ("members", "person", "(SELECT id FROM persons WHERE name = 'first')"),
    ("readings", "person", "(SELECT id FROM persons WHERE name = 'first')"),
    ("role_bindings", "confirmed_by", "(SELECT id FROM persons WHERE name = 'third')"),
    ("decisions", "officer", "(SELECT id FROM persons WHERE name = 'third')"),
    ("grant_steps", "person", "(SELECT id FROM persons WHERE name = 'third')"),
    ("reversals", "booked_by", "(SELECT id FROM persons WHERE name = 'third')"),
    ("reversals", "reversed_by", "(SELECT id FROM persons WHERE name = 'third')"),
];

/// Columns that name another object, which is made the first of its table that it is not.
const NAMES: &[(&str, &str, &str)] = &[
    ("persons", "institution", "institutions"),
    ("projects", "institution", "institutions"),
    ("resources", "provider", "institutions"),
    ("affiliations", "institution", "institutions"),
    ("conflicts", "institution", "institutions"),
    ("members", "project", "projects"),
    ("account_mappings", "project", "projects"),
    ("donations", "donor", "donors"),
    ("lots", "donation", "donations"),
    ("rates", "resource", "resources"),
    ("grants", "project", "projects"),
    ("amendments", "target", "grants"),
    ("covers", "lot", "lots"),
];

/// Rows that nobody wrote.
const MADE_UP: &[&str] = &[
    "INSERT INTO members (id, project, person, role) SELECT id + 1, project, (SELECT MAX(id) FROM persons), role FROM members",
    "INSERT INTO lots (id, donation, amount, delivered_at, expires_at) SELECT id + 1, donation, amount, delivered_at, expires_at FROM lots",
    "INSERT INTO refunds (id, seq, charge, charge_seq, award, amount, reason)
        SELECT id + 1, seq, charge, charge_seq, award, amount, reason FROM refunds",
    "INSERT INTO account_mappings (id, project, cluster, account, resource) SELECT id + 1, project, cluster, 'b', resource FROM account_mappings",
    "INSERT INTO grant_steps (id, award, amendment, step, person, version) SELECT id + 1, award, amendment, step, person, version FROM grant_steps
        WHERE id = (SELECT MAX(id) FROM grant_steps)",
];

/// All that is tried, as statements.
fn attempts(tables: &[&str]) -> Vec<String> {
    let changed = |table: &str, column: &str, value: &str| {
        let id = key(table);
        // Where a column may be empty the last row is as good as any.
        let row = match column {
            "suspended_at" | "not_before" | "booked" => format!("(SELECT MAX({id}) FROM {table})"),
            _ => {
                let otherwise = format!("CAST({column} AS TEXT) <> COALESCE(CAST({value} AS TEXT), '')");
                format!("(SELECT MIN({id}) FROM {table} WHERE {column} IS NOT NULL AND {otherwise})")
            }
        };
        format!("UPDATE {table} SET {column} = {value} WHERE {id} = {row}")
    };
    let mut all: Vec<String> = CHANGES.iter().map(|(table, column, value)| changed(table, column, value)).collect();
    all.extend(NAMES.iter().map(|(table, column, of)| changed(table, column, &another(of, column))));
    let taken_away = |table: &&str| {
        let id = key(table);
        format!("DELETE FROM {table} WHERE {id} = (SELECT MAX({id}) FROM {table})")
    };
    // The books can't be read at all without these.
    all.extend(tables.iter().filter(|table| !["units", "institutions", "donors"].contains(table)).map(taken_away));
    all.extend(MADE_UP.iter().map(|sql| (*sql).to_owned()));
    all
}

/// A table that has no key of its own but this.
fn key(table: &str) -> &'static str {
    match table {
        "units" => "code",
        "outflows" => "award * 1000 + lot + seq",
        "publications" => "project",
        "reversals" => "seq",
        _ => "id",
    }
}

/// Lets a superuser do what the guards refuse.
fn unguarded(conn: &mut Conn, tables: &[&str]) {
    let sql = match conn {
        Conn::Postgres(_) => "SET session_replication_role = replica".to_owned(),
        Conn::Sqlite(_) => {
            let triggers = include_str!("../../migrations/0001_books/guards.sqlite.sql").lines().filter_map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let of = words.iter().position(|word| *word == "ON").and_then(|at| words.get(at + 1)).copied();
                (words.starts_with(&["CREATE", "TRIGGER"]) && of.is_none_or(|of| tables.contains(&of)))
                    .then(|| format!("DROP TRIGGER {}", words[2]))
            });
            triggers.collect::<Vec<_>>().join("; ")
        }
    };
    conn.batch(&sql).expect("guards taken away");
}

/// Everything that law 11 or another one finds after a change that is taken back again.
fn found(conn: &mut Conn, sql: &str) -> Result<Vec<String>, Fault> {
    conn.batch("BEGIN")?;
    let changed = conn.batch(sql);
    let seen = changed.and_then(|()| verify::verify(conn));
    conn.batch("ROLLBACK")?;
    // Where a row can't even be read, that is seen too.
    let fault = |fault: Fault| if matches!(fault, Fault::Internal(_)) { Ok(vec![fault.to_string()]) } else { Err(fault) };
    let words = |seen: verify::Verification| seen.laws.into_iter().flat_map(|law| law.findings).collect();
    seen.map(words).or_else(fault)
}

#[test]
fn a_row_that_says_something_else_than_the_journal_is_found() {
    for database in databases() {
        let store = books(&database);
        let clean = store.read(verify::verify).expect("a verification");
        assert!(clean.holds(), "{}: {:#?}", database.kind, clean.laws);
        let law = clean.laws.last().expect("laws");
        assert!(law.number == 11 && law.checked > 300, "{law:?}");
        drop(store);
        let mut conn = Database::parse(&database.url).expect("a URL").connect().expect("a connection");
        if let Conn::Sqlite(_) = conn {
            conn.batch("PRAGMA foreign_keys=OFF").expect("a superuser's connection");
        }
        let mut tables: Vec<&str> = CHANGES.iter().chain(NAMES).map(|(table, ..)| *table).collect();
        tables.sort_unstable();
        tables.dedup();
        unguarded(&mut conn, &tables);
        let guards = found(&mut conn, "SELECT 1").expect("a verification");
        let (attempts, mut unseen) = (attempts(&tables), Vec::new());
        for sql in &attempts {
            match found(&mut conn, sql) {
                Ok(words) if words != guards => {}
                Ok(_) => unseen.push(sql.clone()),
                Err(fault) => unseen.push(format!("{sql}: {fault}")),
            }
        }
        let planted = attempts.len();
        assert!(planted > 115 && unseen.is_empty(), "{}: {} of {planted} were not seen: {unseen:#?}", database.kind, unseen.len());
    }
}
