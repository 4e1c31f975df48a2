//! The demo's whole year: as large as promised, with all that was promised in it, and every law holds.

use almoner::demo::{self, Made};
use almoner::grants::{self, State};
use almoner::ledger::{self, Bucket, Class};
use almoner::reports;
use almoner::store::{Conn, Database, Fault, Page, Store};
use almoner::time::{Clock, SECOND, Time};
use almoner::{directory, donations, usage};

fn balance(conn: &mut Conn, of: ledger::store::Of, bucket: Bucket) -> Result<i64, Fault> {
    let accounts = ledger::store::accounts(conn, of, Page::ALL)?;
    Ok(accounts.iter().filter(|account| account.key.bucket == bucket).map(|account| account.balance).sum())
}

fn lot(lot: almoner::id::LotId) -> ledger::store::Of {
    ledger::store::Of { lot: Some(lot.stamp()), ..ledger::store::Of::default() }
}

#[test]
fn a_year_of_books_is_made_and_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let until = Time::parse("2026-07-01T00:00:00Z").expect("a time");
    let store = Store::open(&Database::in_folder(folder.path()), Clock::held(until)).expect("opens");
    let mut steps = Vec::new();
    let made = demo::make(&store, "https://demo.example", 1, until, &mut |done, total| steps.push((done, total))).expect("plays");
    assert_eq!((steps.first(), steps.last(), steps.len()), (Some(&(1, 365)), Some(&(365, 365)), 365));
    store.read(|conn| the_counts_are_those_of_the_books(conn, &made)).expect("reads");
    store.read(|conn| what_is_worth_opening_is_there(conn, &made, until)).expect("reads");
    store.read(the_books_balance).expect("reads");
    let verification = store.read(reports::verify::verify).expect("reads");
    assert!(verification.holds(), "{:#?}", verification.laws);
    let again = demo::make(&store, "https://demo.example", 1, until, &mut |_, _| ()).expect_err("the books are not empty");
    assert_eq!(again.code(), Some(almoner::refusal::Code::DuplicateExternalId));
}

fn the_counts_are_those_of_the_books(conn: &mut Conn, made: &Made) -> Result<(), Fault> {
    let counts = made.counts;
    assert_eq!((counts.institutions, counts.projects, counts.donors), (88, 212, 7), "{counts:?}");
    assert!(counts.charges >= 50_000 && counts.refunds >= 20 && counts.overdrawn >= 1 && counts.ended >= 10, "{counts:?}");
    let of = directory::Of::default();
    assert_eq!(directory::store::institutions(conn, &of, Page::ALL)?.len() as u64, counts.institutions);
    assert_eq!(directory::store::projects(conn, &of, Page::ALL)?.len() as u64, counts.projects);
    assert_eq!(donations::store::lots(conn, &donations::Of::default(), Page::ALL)?.len() as u64, counts.lots);
    let all = grants::store::grants(conn, &grants::Of::default(), Page::ALL)?;
    let number = |wanted: &[State]| all.iter().filter(|grant| wanted.contains(&grant.state)).count() as u64;
    assert_eq!(all.len() as u64, counts.requests);
    assert_eq!(number(&[State::Active, State::Ended]), counts.grants);
    assert_eq!([State::Ended, State::Requested, State::Rejected].map(|state| number(&[state])), [counts.ended, 2, 1]);
    assert!(all.iter().any(|grant| grant.awarded.minor > 0 && grant.awarded != grant.about.requested), "none was awarded in part");
    let charges = usage::store::charges(conn, &usage::Of::default(), Page::ALL)?;
    assert_eq!(charges.len() as u64, counts.charges);
    assert_eq!(usage::store::all_refunds(conn)?.len() as u64, counts.refunds);
    let quarantine = usage::store::quarantine(conn, &usage::Of::default(), Page::ALL)?;
    let states: Vec<&str> = quarantine.iter().map(|row| row.state.as_str()).collect();
    assert_eq!(states, ["charged", "dismissed", "open"]);
    assert_eq!(quarantine.last().map(|row| row.id()), Some(made.stray));
    Ok(())
}

fn what_is_worth_opening_is_there(conn: &mut Conn, made: &Made, until: Time) -> Result<(), Fault> {
    let researcher = directory::store::person(conn, &made.researcher.issuer, &made.researcher.subject)?;
    for id in [made.lively, made.overdrawn, made.waiting[1]] {
        let grant = grants::grant(conn, id)?;
        assert!(made.researcher.projects.contains(&grant.about.project));
        assert_eq!(Some(grant.requester), researcher);
    }
    let of = |grant: almoner::id::GrantId| ledger::store::Of { grant: Some(grant.stamp()), ..ledger::store::Of::default() };
    let (left, spent) = (balance(conn, of(made.lively), Bucket::Granted)?, balance(conn, of(made.lively), Bucket::Spent)?);
    assert!(left > 0 && spent > left / 3, "left {left}, spent {spent}");
    assert!(balance(conn, of(made.overdrawn), Bucket::OverdraftSpent)? > 0);
    assert!(balance(conn, lot(made.lapsed), Bucket::Lapsed)? > 0);
    assert!(balance(conn, lot(made.returned), Bucket::Returned)? > 0);
    assert!(balance(conn, lot(made.returned), Bucket::Spent)? > 0);
    assert_eq!(grants::grant(conn, made.rejected)?.state, State::Rejected);
    assert_eq!(donations::donation(conn, made.proposed)?.state, "proposed");
    let donor = donations::Of { donors: Some(vec![made.donor.donor.expect("a donor").stamp()]), ..donations::Of::default() };
    let states: Vec<String> = donations::store::donations(conn, &donor, Page::ALL)?.into_iter().map(|d| d.state).collect();
    assert_eq!(states, ["accepted", "cancelled"]);
    // Believable moments: everything is recorded within the year, usage after it happened and within days.
    for row in usage::store::charges(conn, &usage::Of::default(), Page::ALL)? {
        let late = row.id().created_at().since(row.ended_at());
        assert!((0..6 * 86_400 * SECOND).contains(&late) && row.id().created_at() < until);
    }
    Ok(())
}

fn the_books_balance(conn: &mut Conn) -> Result<(), Fault> {
    let mut sums = std::collections::BTreeMap::new();
    for account in ledger::store::accounts(conn, ledger::store::Of::default(), Page::ALL)? {
        assert!(account.balance >= 0 || account.key.bucket.class() != Class::Asset, "{}", account.key.name());
        *sums.entry(account.unit.code().to_owned()).or_insert(0) += account.balance;
    }
    assert_eq!(sums.into_iter().collect::<Vec<_>>(), ["ACCESS-CREDIT", "GPU-HOUR", "USD"].map(|unit| (unit.to_owned(), 0)));
    Ok(())
}
