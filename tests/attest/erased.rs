//! Erasing usage records: what tells of a job is gone from books and log, every proof and every law holds as before, and whoever is killed
//! between the two leaves nothing that the next does not finish.

use almoner::attest::bundle::Bundle;
use almoner::attest::check::check;
use almoner::attest::integrate::Integrator;
use almoner::attest::{receipt, store as log_store};
use almoner::directory::erasure::Ground;
use almoner::id::ChargeId;
use almoner::store::{Conn, Database, Page, Store, on};
use almoner::tlog::receipt::Receipt;
use almoner::tlog::{Checkpoint, hash};
use almoner::usage::erase::{self, Wanted};
use almoner::usage::{self, ChargeRow, Incoming, Outcome, Record, Resolution};
use diesel::prelude::*;
use diesel::sql_types::Text;
use serde_json::{Value, json};

use crate::scene::{JOB, Scene, USER, of_user};
use crate::support::books::Pair;
use crate::support::database::databases;

#[derive(QueryableByName)]
struct Words {
    #[diesel(sql_type = Text)]
    value: String,
}

fn words(conn: &mut Conn, sql: &str) -> Vec<String> {
    on!(conn, c => diesel::sql_query(sql).load::<Words>(c))
        .unwrap_or_else(|e| panic!("{sql}: {e}"))
        .into_iter()
        .map(|row| row.value)
        .collect()
}

/// Whatever stands in any table of a database.
fn everything(conn: &mut Conn) -> String {
    let sqlite = matches!(conn, Conn::Sqlite(_));
    let tables = match sqlite {
        true => "SELECT name AS value FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
        false => "SELECT tablename::text AS value FROM pg_tables WHERE schemaname = current_schema()",
    };
    let mut all = String::new();
    for table in words(conn, tables) {
        let whole = match sqlite {
            true => {
                let columns =
                    format!("SELECT group_concat('quote(\"' || name || '\")', ' || '' '' || ') AS value FROM pragma_table_info('{table}')");
                format!("SELECT {} AS value FROM {table}", words(conn, &columns).pop().expect("columns"))
            }
            false => format!("SELECT t::text AS value FROM {table} t"),
        };
        all.extend(words(conn, &whole));
    }
    all
}

fn connect(scene: &Scene) -> [Conn; 2] {
    let books = Database::parse(&scene.database.url).expect("a URL");
    [books.connect().expect("books"), books.beside("log").connect().expect("a log")]
}

/// The rows that are kept for the log.
fn kept_apart(scene: &Scene) -> usize {
    words(&mut connect(scene)[0], "SELECT said AS value FROM erasing").len()
}

fn rows(scene: &Scene) -> Vec<ChargeRow> {
    usage::store::charges(&mut connect(scene)[0], &usage::Of::default(), Page::ALL).expect("charges")
}

fn receipt(scene: &Scene, row: &ChargeRow) -> Receipt {
    let values = receipt::values(&mut connect(scene)[0], row).expect("values");
    scene.log.read(|log| receipt::make(log, &values)).expect("a receipt")
}

/// The leaf that stands beside a receipt, and how many disclosures; the receipt proves it.
fn beside(receipt: &str) -> (String, usize) {
    let receipt = Receipt::parse(receipt).expect("a receipt");
    let extra: Value = serde_json::from_slice(receipt.extra.as_deref().expect("beside")).expect("JSON");
    let leaf = extra["leaf"].as_str().expect("a leaf").to_owned();
    let checkpoint = Checkpoint::parse(receipt.checkpoint.text()).expect("a checkpoint");
    assert!(receipt.proves(&hash::leaf(leaf.as_bytes()), &checkpoint));
    (leaf, extra["disclosures"].as_array().expect("disclosures").len())
}

/// Reports a job as the scene does; on the grant that lasts longest.
fn report(store: &Store, name: &str, hours: &str) -> Outcome {
    let (name, hours) = (name.to_owned(), hours.to_owned());
    let wrote = store.write(move |work| {
        let pair = Pair::of(work)?;
        let provider = of_user(work)?.provider;
        let resource = almoner::directory::store::resources(work.sql()?, &almoner::directory::Of::default(), Page::ALL)?[0].id;
        let grants = almoner::grants::store::grants(work.sql()?, &almoner::grants::Of::default(), Page::ALL)?;
        let grant = grants.iter().max_by_key(|grant| grant.about.period.to).expect("a grant");
        let value = json!({
            "external_id": format!("{JOB}{name}"), "grant": grant.id, "resource": resource, "quantities": {"gpu-hour": hours},
            "ended_at": "2026-01-15T12:34:56Z", "user": USER, "job": {"cluster": "lab", "id": name},
        });
        let record = Record::read(&almoner::json::parse(value.to_string().as_bytes())?, &|_| Some(grant.awarded.unit))?;
        Ok(usage::charge(work, pair.first, provider, &[Incoming::new(provider, record)])?.pop().expect("an outcome"))
    });
    wrote.expect("written")
}

fn erase(store: &Store, charges: Vec<ChargeId>) -> erase::Erased {
    store
        .write(move |work| {
            let pair = Pair::of(work)?;
            erase::erase(work, pair.second, Ground::Retention, &Wanted { charges: charges.clone(), ..Wanted::default() }, false)
        })
        .expect("erased")
}

fn holds(scene: &Scene, when: &str) {
    let found = scene.verify(Vec::new());
    let broken: Vec<_> = found.laws.iter().filter(|law| law.broken > 0).collect();
    assert!(broken.is_empty(), "{}, {when}: {broken:#?}", scene.database.kind);
}

/// Takes every entry of the journal into the log, and is killed before anything else is done.
fn log_and_die(scene: &Scene) {
    let books = Database::parse(&scene.database.url).expect("a URL");
    let mut integrator = Integrator::open(&books, &scene.log, scene.keeper()).expect("an integrator");
    while integrator.step().expect("a step").behind > 0 {}
}

/// Everything of the user, after the quarantine is closed.
fn erase_all(store: &Store) {
    let wrote = store.write(|work| {
        let pair = Pair::of(work)?;
        for row in
            usage::store::quarantine(work.sql()?, &usage::Of { states: Some(vec!["open".into()]), ..usage::Of::default() }, Page::ALL)?
        {
            usage::resolve(work, pair.second, row.id(), &Resolution::Dismiss("Nobody's.".into()))?;
        }
        let of = of_user(work)?;
        let wanted = erase::find(work.sql()?, &of)?;
        assert!(wanted.open == 0 && !wanted.more && wanted.records.len() == 8, "{wanted:?}");
        let tried = erase::erase(work, pair.second, Ground::Asked, &wanted, true)?;
        let done = erase::erase(work, pair.second, Ground::Asked, &wanted, false)?;
        assert_eq!((tried.made.is_none(), &tried.charges, &tried.records), (true, &done.charges, &done.records));
        let again = erase::erase(work, pair.second, Ground::Asked, &wanted, false)?;
        assert_eq!((again.made, again.charges.len(), again.records.len()), (None, 0, 0), "what is gone is not erased again");
        assert_eq!(erase::find(work.sql()?, &of)?, Wanted::default());
        Ok(())
    });
    wrote.expect("all is erased");
}

fn bundles(scene: &Scene) -> Vec<(almoner::id::DonorId, String)> {
    let text = |bundle: &Bundle| serde_json::to_string(bundle).expect("written");
    scene.donors.iter().map(|donor| (*donor, text(&scene.bundle(*donor, None)))).collect()
}

#[test]
fn what_is_erased_is_gone_and_everything_else_holds() {
    for database in databases() {
        let mut scene = Scene::play(database);
        let (told, first) = (bundles(&scene), rows(&scene));
        let receipts: Vec<String> = first.iter().take(3).map(|row| receipt(&scene, row).text()).collect();
        assert!(receipts.iter().all(|receipt| beside(receipt).1 == 2));
        let store = scene.store("2026-03-21T00:00:00Z");
        // One that the log has not met is erased before it is logged.
        let Outcome::Charged(fresh) = report(&store, "fresh", "1") else { panic!("not charged") };
        let some: Vec<ChargeId> = first.iter().take(3).map(ChargeRow::id).chain([fresh.row.id()]).collect();
        assert_eq!(erase(&store, some.clone()).charges.len(), 4);
        assert!(rows(&scene).iter().filter(|row| some.contains(&row.id())).all(|row| row.is_erased() && row.record().is_null()));
        assert_eq!((kept_apart(&scene), beside(&receipt(&scene, &rows(&scene)[0]).text()).1), (4, 1), "at once nobody reads it");
        holds(&scene, "before the log has it");
        log_and_die(&scene);
        assert_eq!(kept_apart(&scene), 4);
        holds(&scene, "between the two deletions");
        scene.log_it();
        assert_eq!(kept_apart(&scene), 0);
        holds(&scene, "once it is finished");

        erase_all(&store);
        holds(&scene, "all of it, before the log has it");
        scene.log_it();
        holds(&scene, "all of it");
        assert!(rows(&scene).iter().all(ChargeRow::is_erased));

        for (receipt_of, row) in receipts.iter().zip(rows(&scene)) {
            let (leaf, disclosures) = beside(&receipt(&scene, &row).text());
            assert_eq!((leaf, disclosures), (beside(receipt_of).0, 1), "the same leaf, and the job can't be told");
        }
        for (donor, before) in &told {
            let held = check(before, &scene.trust(), None).expect("what was handed out before");
            let since = serde_json::to_string(&scene.bundle(*donor, Some(held.keep().checkpoint.size))).expect("written");
            check(&since, &scene.trust(), Some(&held.keep())).expect("what comes since continues it");
        }
        let again = report(&store, "fresh", "1");
        assert!(matches!(again, Outcome::Duplicate(id) if id == fresh.row.id()), "{again:?}");
        assert!(matches!(report(&store, "fresh", "2"), Outcome::Conflict(_)));
        let totals = usage::totals::totals(&mut connect(&scene)[0], |conn, page| usage::store::charges(conn, &usage::Of::default(), page));
        assert!(totals.expect("totals").get("").is_some_and(|sum| sum.meters.contains_key("gpu-hour")), "what was metered is known still");
        for mut conn in connect(&scene) {
            let all = everything(&mut conn);
            let told = [USER, JOB].into_iter().find(|word| all.contains(word));
            assert_eq!(told, None, "{}: it stands there still", scene.database.kind);
        }
    }
}

/// What is put right by the guards of the database itself: of a charge its record may go, and nothing else.
#[test]
fn the_database_lets_records_go_and_nothing_else() {
    for database in databases() {
        let scene = Scene::play(database);
        let [mut books, _] = connect(&scene);
        let row = &rows(&scene)[0];
        let mut tried = |sql: &str| {
            books.batch("BEGIN").expect("a transaction");
            let done = books.batch(&sql.replace("{row}", &row.id.to_string()));
            books.batch("ROLLBACK").expect("taken back");
            done.is_ok()
        };
        assert!(tried("UPDATE charges SET said = '' WHERE id = {row}"));
        for sql in [
            "UPDATE charges SET said = 'x' WHERE id = {row}",
            "UPDATE charges SET said = '', amount = amount + 1 WHERE id = {row}",
            "UPDATE charges SET said = '', rates = '[]' WHERE id = {row}",
            "UPDATE charges SET balance_after = 0 WHERE id = {row}",
            "DELETE FROM charges WHERE id = {row}",
        ] {
            assert!(!tried(sql), "{}: {sql}", scene.database.kind);
        }
    }
}

/// Whoever may do anything in the database takes record and salt away, so that nothing of it can be compared: no entry names it.
#[test]
fn what_no_entry_names_is_missed() {
    for database in databases() {
        let mut scene = Scene::play(database);
        assert_eq!(scene.erase_some("2026-03-21T00:00:00Z", 12), 2);
        scene.log_it();
        holds(&scene, "what an entry names");
        let row = &rows(&scene)[0];
        let [mut books, mut log] = connect(&scene);
        let place = log_store::place_of(&mut log, row.seq).expect("readable").expect("a leaf");
        books.batch(&format!("UPDATE charges SET said = '' WHERE id = {}", row.id)).expect("the guards let it");
        log.batch(&format!("DELETE FROM log_jobs WHERE idx = {place}")).expect("the guards let it");
        let found = scene.verify(Vec::new());
        let broken: Vec<u8> = found.laws.iter().filter(|law| law.broken > 0).map(|law| law.number).collect();
        assert_eq!(broken, [6, 12], "{}: {:#?}", scene.database.kind, found.laws);
    }
}

/// How often a text stands in the files of a SQLite database.
fn in_files(scene: &Scene, word: &str) -> usize {
    for mut conn in connect(scene) {
        conn.batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("a checkpoint");
    }
    let files = std::fs::read_dir(scene.database.folder()).expect("a folder").map(|file| file.expect("a file").path());
    let bytes = files.filter(|path| path.is_file()).flat_map(|path| std::fs::read(path).expect("readable")).collect::<Vec<u8>>();
    bytes.windows(word.len()).filter(|some| *some == word.as_bytes()).count()
}

/// What SQLite moved about within its pages before may stand there still, in no row: rewriting the file ends that too.
#[test]
fn the_file_has_nothing_of_it_once_it_is_rewritten() {
    let mut scene = Scene::play(crate::support::database::sqlite());
    let before = in_files(&scene, USER);
    let store = scene.store("2026-03-21T00:00:00Z");
    erase_all(&store);
    scene.log_it();
    drop(store);
    let erased = in_files(&scene, USER);
    connect(&scene)[0].batch("VACUUM").expect("rewritten");
    assert!(before > 300 && erased < before / 4, "{before} before, {erased} after");
    assert_eq!(in_files(&scene, USER), 0);
}
