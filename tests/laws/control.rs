//! Controls: a check that can't fail is worth nothing. Every law is broken once in books made by hand, and must be found; the guards
//! are taken away, and that must be found; a model that is wrong must differ.

use almoner::ledger::{Bucket, Kind};
use almoner::store::Database;

use crate::audit::{ASSET, Audit, LAWS, LEDGER, LOT, MIRROR, ONCE, ORDER, OUTFLOW, OVERDRAFT_FIRST, REFUND, RUNNING, SHARE, STORED, SUM};
use crate::command::{Command, DAY, Gift, NewPolicy, Request, Ruling, Verdict};
use crate::dice::Dice;
use crate::model::Model;
use crate::play::{Ledger, Session};
use crate::rows::{self, AccountRow, ChargeRow, EntryRow, HeadRow, OutflowRow, PostingRow, RefundRow, Rows};
use crate::support;
use crate::tally::Tally;

const DONATION: i64 = 10;
const LOT_ID: i64 = 12;
const GRANT: i64 = 13;

/// An account: bucket, donation, grant, lot.
type Where = (Bucket, i64, i64, i64);
const RECEIVABLE: Where = (Bucket::Receivable, DONATION, 0, 0);
const GIVEN: Where = (Bucket::Given, DONATION, 0, 0);
const AVAILABLE: Where = (Bucket::Available, 0, 0, LOT_ID);
const LAPSED: Where = (Bucket::Lapsed, 0, 0, LOT_ID);
const FREE: Where = (Bucket::Granted, 0, GRANT, LOT_ID);
const SPENT: Where = (Bucket::Spent, 0, GRANT, LOT_ID);
const BEYOND: Where = (Bucket::OverdraftSpent, 0, GRANT, 0);
const OWED: Where = (Bucket::OverdraftOwed, 0, GRANT, 0);
const OTHER: Where = (Bucket::Granted, 0, 15, LOT_ID);

/// One transaction of books made by hand.
#[derive(Clone)]
struct Made {
    kind: Kind,
    stamp: i64,
    subject: i64,
    lines: Vec<(Where, i64, &'static str)>,
}

fn made(kind: Kind, stamp: i64, subject: i64, moves: &[(Where, Where, i64)]) -> Made {
    let lines = moves.iter().flat_map(|(from, to, amount)| [(*from, -amount, "USD"), (*to, *amount, "USD")]).collect();
    Made { kind, stamp, subject, lines }
}

/// A pledge of 100, a lot of 100, an award of 60; a charge of 75 that goes 15 beyond the grant; 20 refunded; a charge of 5, reversed;
/// a supplement of 4, of which 3 go to another grant and 2 back; the end of the grant; the lapse of the lot.
fn sound() -> Vec<Made> {
    vec![
        made(Kind::Pledge, 11, DONATION, &[(GIVEN, RECEIVABLE, 100)]),
        made(Kind::Delivery, LOT_ID, DONATION, &[(RECEIVABLE, AVAILABLE, 100)]),
        made(Kind::Award, 14, GRANT, &[(AVAILABLE, FREE, 60)]),
        made(Kind::Charge, 20, GRANT, &[(FREE, SPENT, 60), (OWED, BEYOND, 15)]),
        made(Kind::Refund, 21, 20, &[(BEYOND, OWED, 15), (SPENT, FREE, 5)]),
        made(Kind::Charge, 22, GRANT, &[(FREE, SPENT, 5)]),
        made(Kind::Reversal, 23, 22, &[(SPENT, FREE, 5)]),
        made(Kind::Supplement, 24, GRANT, &[(AVAILABLE, FREE, 4)]),
        made(Kind::Transfer, 25, GRANT, &[(FREE, OTHER, 3)]),
        made(Kind::Reduction, 26, GRANT, &[(FREE, AVAILABLE, 2)]),
        made(Kind::End, 27, GRANT, &[(FREE, AVAILABLE, 4)]),
        made(Kind::Lapse, 28, LOT_ID, &[(AVAILABLE, LAPSED, 42)]),
    ]
}

/// The rows of books made by hand, with running and stored balances that agree with their lines.
fn rows_of(entries: &[Made]) -> Rows {
    let mut rows = Rows::default();
    for (seq, entry) in (1i64..).zip(entries) {
        rows.entries.push(EntryRow { seq, recorded_at: entry.stamp, kind: entry.kind as i64, actor: None, subject: Some(entry.subject) });
        for (place, ((bucket, donation, award, lot), amount, unit)) in (1i64..).zip(&entry.lines) {
            let account = account(&mut rows.accounts, (*bucket, *donation, *award, *lot));
            account.balance += amount;
            account.postings += 1;
            let (no, nth, balance) = (account.no, account.postings, account.balance);
            let (bucket, award, lot, unit) = (*bucket as i64, *award, *lot, (*unit).to_owned());
            rows.postings.push(PostingRow { id: seq * 1024 + place, no, amount: *amount, nth, balance, bucket, award, lot, unit });
        }
        rows.head = HeadRow { seq, stamp: entry.stamp };
    }
    rows.charges.push(ChargeRow { id: 20, usage_key: "a".into(), amount: 75, overdraft: 15 });
    rows.charges.push(ChargeRow { id: 22, usage_key: "b".into(), amount: 5, overdraft: 0 });
    rows.refunds.push(RefundRow { id: 21, charge: 20, amount: 20 });
    for (seq, amount) in [(9, 3), (10, 2), (11, 4)] {
        rows.outflows.push(OutflowRow { seq, award: GRANT, lot: LOT_ID, amount });
    }
    rows
}

fn account(accounts: &mut Vec<AccountRow>, (bucket, donation, award, lot): Where) -> &mut AccountRow {
    let same = |row: &AccountRow| (row.bucket, row.donation, row.award, row.lot) == (bucket as i64, donation, award, lot);
    let place = accounts.iter().position(same).unwrap_or_else(|| {
        let no = accounts.len() as i64 + 1;
        accounts.push(AccountRow { no, bucket: bucket as i64, donation, award, lot, balance: 0, postings: 0, unit: "USD".into() });
        accounts.len() - 1
    });
    &mut accounts[place]
}

/// The law that the audit finds broken.
fn broken(rows: &Rows) -> Option<&'static str> {
    let why = Audit::default().feed(rows, &mut Tally::default()).err()?;
    LAWS.into_iter().find(|law| why.starts_with(law))
}

#[test]
fn books_made_by_hand_are_sound() {
    assert_eq!(Audit::default().feed(&rows_of(&sound()), &mut Tally::default()), Ok(()));
}

#[test]
fn every_law_broken_in_the_entries_is_found() {
    type Tamper = fn(&mut Vec<Made>);
    let tampered: [(&str, Tamper); 10] = [
        (SUM, |books| books[3].lines[1].1 += 1),
        (LOT, |books| books[1].kind = Kind::Pledge),
        (SHARE, |books| books[2].kind = Kind::Cancellation),
        (SHARE, |books| books[7].kind = Kind::Cancellation),
        (SHARE, |books| books[8].kind = Kind::Cancellation),
        (ASSET, |books| books[2].lines.iter_mut().for_each(|line| line.1 *= 2)),
        (REFUND, |books| books[4].subject = 22),
        (OVERDRAFT_FIRST, |books| books[4] = made(Kind::Refund, 21, 20, &[(SPENT, FREE, 20)])),
        (MIRROR, |books| books.push(made(Kind::Reversal, 29, 28, &[(LAPSED, AVAILABLE, 41)]))),
        (ORDER, |books| books[5].stamp = 21),
    ];
    for (law, tamper) in tampered {
        let mut books = sound();
        tamper(&mut books);
        assert_eq!(broken(&rows_of(&books)), Some(law), "tampered with: {law}");
    }
}

#[test]
fn every_law_broken_in_the_rows_is_found() {
    type Tamper = fn(&mut Rows);
    let tampered: [(&str, Tamper); 13] = [
        (RUNNING, |rows| rows.postings[4].balance += 1),
        (RUNNING, |rows| rows.postings[4].nth += 1),
        (LEDGER, |rows| rows.accounts[2].balance += 1),
        (STORED, |rows| {
            rows.accounts[2].balance += 1;
            rows.accounts[3].balance -= 1
        }),
        (STORED, |rows| rows.accounts[2].postings += 1),
        (STORED, |rows| rows.accounts.retain(|row| row.balance != 0)),
        (ONCE, |rows| rows.charges[1].usage_key = "a".into()),
        (ONCE, |rows| rows.charges[1].amount += 1),
        (REFUND, |rows| rows.refunds[0].amount += 1),
        (OUTFLOW, |rows| _ = rows.outflows.pop()),
        (OUTFLOW, |rows| rows.outflows[0].amount += 1),
        (ORDER, |rows| _ = rows.entries.remove(4)),
        (ORDER, |rows| rows.head.seq += 1),
    ];
    for (law, tamper) in tampered {
        let mut rows = rows_of(&sound());
        tamper(&mut rows);
        assert_eq!(broken(&rows), Some(law), "tampered with: {law}");
    }
}

/// Books of one donation, accepted.
fn begun(ledger: &mut Ledger) -> Session<'_> {
    let mut tally = Tally::default();
    let mut session = Session::open(ledger, &mut tally).expect("a corner of the ledger");
    let gift = Gift { pledged: 100, field: None, resource: None, teaching: false, priority: 0, returns: false, name: None };
    let delivered_at = session.model.now - DAY;
    let deliver = Command::Deliver { who: 0, donation: 0, amount: 70, delivered_at, expires_at: None, wrong_unit: false };
    for command in [Command::Propose { who: 0, gift }, Command::Accept { who: 1, donation: 0 }, deliver] {
        session.step(&command, &mut tally).expect("the books and the model agree");
    }
    session
}

#[test]
fn a_wrong_model_differs_from_the_books() {
    let mut ledger = Ledger::in_memory();
    let mut session = begun(&mut ledger);
    session.look(&mut Tally::default()).expect("all is well");
    session.model.now += 1;
    session.model.apply(&Command::Return { who: 0, lot: 0, amount: Some(1) });
    let why = session.look(&mut Tally::default()).expect_err("a return that the books know nothing of");
    assert!(why.contains("equals the model's"), "{why}");
    let why = session.step(&Command::Return { who: 0, lot: 0, amount: Some(70) }, &mut Tally::default());
    assert!(why.is_err_and(|why| why.contains("the model")), "an answer that the model does not give");
}

/// Books in which an award above 10 takes two, and 50 are asked for.
fn asked(session: &mut Session<'_>) -> Command {
    let policy = NewPolicy { two_above: Some(10), three_above: None, carry_over: 0 };
    let (from, to) = (session.model.now - DAY, session.model.now + 30 * DAY);
    let request = Request { project: 1, amount: 50, from, to, teaching: false, resources: Vec::new(), renews: None, name: None };
    for command in [Command::SetPolicy { who: 0, policy }, Command::Request { who: 1, request, draft: false }] {
        session.step(&command, &mut Tally::default()).expect("the books and the model agree");
    }
    let verdict = Verdict::Approve { awarded: None, reject_overdraft: None, lots: None };
    Command::Decide { who: 2, grant: 0, ruling: Ruling { version: 1, verdict, no_conflict: true } }
}

/// Each rule is taken out of the model; what the books say then is not what it says.
///
/// Guards of the program were taken out by hand too, one at a time, and the sequences in memory failed each time. What was seen:
/// - `must_run` that does not look at the clock: the books take a step where the model says `already_decided` (seed 20260337);
/// - `unfund` that finds lapsed credits free: a reduction approved where the model has `insufficient_credits` (seed 20260805);
/// - `standing` that keeps the approvals of those who stood back: an award made too soon (seed 20260328);
/// - `shut` that lifts the suspension: a job begun during it is refused for another reason once the grant is closed (seed 20260976);
/// - `end_at` that says the end as it is now: what was available at an entry of the journal is lapsing there later (seed 20260302).
///
/// Before whoever had approved was kept from being heard again, seed 20261675 ended in a fault of the database instead of a refusal.
#[test]
fn a_model_that_lacks_a_rule_of_granting_differs_from_the_books() {
    type Lack = fn(&mut Model);
    let rules: [(&str, Lack); 3] = [
        ("what takes two", |model| model.policies.clear()),
        ("who asked does not decide", |model| model.grants[0].writers = vec![2]),
        ("a version is the one that was read", |model| model.grants[0].version += 1),
    ];
    for (rule, lack) in rules {
        let mut ledger = Ledger::in_memory();
        let mut session = begun(&mut ledger);
        let decide = asked(&mut session);
        lack(&mut session.model);
        let why = session.step(&decide, &mut Tally::default()).expect_err(rule);
        assert!(why.contains("the books say Approved { effective: false") && why.contains("the model"), "{rule}: {why}");
    }
}

#[test]
fn a_missing_guard_of_the_journal_is_found() {
    for database in support::database::databases() {
        let at = Database::parse(&database.url).expect("a database's URL");
        let kind = database.kind;
        let mut ledger = Ledger::on(database, 1);
        begun(&mut ledger);
        rows::try_to_change(&at).unwrap_or_else(|why| panic!("{kind}: {why}"));
        let mut conn = at.connect().expect("a connection");
        let unguarded = match kind {
            "SQLite" => "DROP TRIGGER entries_refuses_update",
            _ => "DROP TRIGGER entries_refuses_change ON entries",
        };
        conn.batch(unguarded).unwrap_or_else(|fault| panic!("{kind}: {fault}"));
        let why = rows::try_to_change(&at).expect_err("a guard that is gone");
        assert!(why.contains("UPDATE entries"), "{kind}: {why}");
    }
}

#[test]
fn the_same_seed_gives_the_same_sequence() {
    let numbers = |seed| {
        let mut dice = Dice::new(seed);
        [dice.next(), dice.next(), dice.next()]
    };
    assert_eq!(numbers(7), numbers(7));
    assert_ne!(numbers(7), numbers(8));
}
