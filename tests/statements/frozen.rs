//! A statement that was made reads the same for ever, and a text that does not is not shown.

use almoner::directory::erasure::Ground;
use almoner::ledger::{self, Kind};
use almoner::refusal::Code;
use almoner::reports::statement::{self, Asked, Made, Whom};
use almoner::store::{Fault, Page};
use almoner::time::{DAY, Period};
use almoner::usage;
use almoner::usage::erase::{self, Wanted};
use diesel::connection::SimpleConnection;

use crate::books::Books;
use crate::support::database::databases;

#[test]
fn what_comes_later_changes_nothing() {
    for database in databases() {
        let mut books = Books::of_four_months(database);
        let asked: Vec<Asked> = books
            .everybody()
            .into_iter()
            .flat_map(|whom| [("2026-01-01", "2026-02-01"), ("2026-02-01", "2026-04-29")].map(|(from, to)| books.asked(whom, from, to)))
            .collect();
        let made: Vec<_> = asked.iter().map(|one| books.make(*one)).collect();
        assert!(made.iter().all(|(_, new)| *new));
        let texts: Vec<Vec<u8>> = asked.iter().map(|one| books.draw(one).canonical).collect();
        // Late usage, refunds, an end that moves, new gifts.
        books.set("2026-05-02T06:00:00Z");
        let later = books.charges[1].clone();
        books.refund(&later, 2);
        books.january_again();
        for ((one, (made, _)), text) in asked.iter().zip(&made).zip(&texts) {
            let read = books.look(|conn| statement::read(conn, made));
            assert_eq!(&read.canonical, text, "{one:?}");
            let (again, new) = books.make(*one);
            assert_eq!((&again, new), (made, false), "the same statement is made once");
            let listed = books.look(|conn| statement::statement(conn, made.id));
            assert_eq!(&listed, made);
        }
        let (first, _) = &made[0];
        let entry = books.look(|conn| {
            let seq = ledger::store::seq_of(conn, first.id.stamp())?.expect("an entry");
            ledger::store::entries(conn, seq, seq)
        });
        assert_eq!(entry[0].kind, Kind::Statement);
        assert!(entry[0].body.as_ref().is_some_and(|body| body.contains(&first.sha256)), "the journal says what it hashes to");
    }
}

#[test]
fn what_is_erased_changes_no_text_and_its_jobs_are_told_as_erased() {
    for database in databases() {
        let books = Books::of_four_months(database);
        let asked: Vec<Asked> = books.everybody().into_iter().map(|whom| books.asked(whom, "2026-01-01", "2026-04-29")).collect();
        let made: Vec<_> = asked.iter().map(|one| books.make(*one).0).collect();
        let named = |made: &Made| -> Vec<String> {
            let drawn = books.look(|conn| statement::read(conn, made));
            books.look(|conn| statement::jobs::jobs(conn, &drawn.text)).into_values().collect()
        };
        assert!(made.iter().flat_map(&named).any(|name| name.contains("secret")), "jobs are named");
        let erased = books.write(|work, pair| {
            let all = usage::store::charges(work.sql()?, &usage::Of::default(), Page::ALL)?;
            let wanted = Wanted { charges: all.iter().map(|row| row.id()).collect(), ..Wanted::default() };
            erase::erase(work, pair.first, Ground::Retention, &wanted, false)
        });
        assert!(erased.charges.len() > 10);
        let names: Vec<String> = made.iter().flat_map(&named).collect();
        assert!(names.len() > 10 && names.iter().all(|name| name == "erased"), "{names:?}");
        for (one, made) in asked.iter().zip(&made) {
            assert_eq!(books.draw(one).sha256, made.sha256, "{one:?}");
        }
    }
}

#[test]
fn a_text_that_is_not_the_one_that_was_hashed_is_not_shown() {
    for database in databases() {
        let books = Books::of_four_months(database);
        let (made, _) = books.make(books.asked(Whom::Project(books.projects[0]), "2026-01-01", "2026-03-01"));
        let mut conn = almoner::store::Database::parse(&books.database.url).expect("a URL").connect().expect("a connection");
        // Titles stand in no guard's way, and in the text.
        let change = "UPDATE projects SET title = 'Another'";
        almoner::store::on!(&mut conn, c => c.batch_execute(change)).expect("a change");
        let shown = books.store.read(|conn| statement::read(conn, &made));
        assert!(matches!(&shown, Err(Fault::Internal(why)) if why.contains(&made.id.to_string())), "{shown:?}");
        let drawn = books.draw(&made.asked);
        let asked = made.asked;
        let again = books.store.write(move |work| {
            let who = crate::support::books::Pair::of(work)?.first;
            statement::record(work, who, &asked, drawn.text.seq, &drawn.sha256)
        });
        assert!(matches!(again, Err(Fault::Internal(_))), "{again:?}");
    }
}

#[test]
fn what_does_not_add_up_is_not_drawn() {
    for database in databases() {
        let books = Books::of_four_months(database);
        let asked = books.asked(Whom::Donor(books.donors[0]), "2026-02-01", "2026-03-01");
        books.draw(&asked);
        let mut conn = almoner::store::Database::parse(&books.database.url).expect("a URL").connect().expect("a connection");
        let off = match &conn {
            almoner::store::Conn::Sqlite(_) => "DROP TRIGGER charges_refuse_update",
            almoner::store::Conn::Postgres(_) => "DROP TRIGGER charges_refuse_update ON charges",
        };
        let after = books.draw(&asked).text.opening_seq;
        let change = format!("{off}; UPDATE charges SET lines = replace(lines, ',-', ',-1') WHERE seq > {after}");
        almoner::store::on!(&mut conn, c => c.batch_execute(&change)).expect("a change");
        let drawn = books.store.read(|conn| statement::draw(conn, &asked));
        assert!(matches!(&drawn, Err(Fault::Internal(why)) if why.contains("does not add up")), "{:?}", drawn.map(|drawn| drawn.sha256));
    }
}

#[test]
fn a_period_is_whole_days_that_are_over() {
    let books = Books::of_four_months(crate::support::database::sqlite());
    let (whom, today) = (Whom::Donor(books.donors[0]), crate::support::books::time("2026-05-01T00:00:00Z"));
    let ask = |from: i64, to: i64| {
        let period = Period::new(today.plus(from), today.plus(to)).expect("in order");
        Asked::new(whom, period, books.clock.now()).map(|_| ()).map_err(|refusal| (refusal.code, refusal.errors[0].code.slug()))
    };
    assert_eq!(ask(-DAY, 0), Ok(()));
    assert_eq!(ask(-DAY, DAY), Err((Code::ValidationFailed, "time_in_future")), "today is not over");
    for (from, to) in [(-DAY, -1), (-DAY + 1, 0)] {
        assert_eq!(ask(from, to), Err((Code::ValidationFailed, "malformed")));
    }
}
