//! Ruining books and log as who may do anything in the database, and looking at what is found; in transactions that are taken back, so that
//! one set of books serves every attempt.

use std::collections::BTreeSet;

use almoner::attest::audit::Evidence;
use almoner::attest::store;
use almoner::reports::verify::{Verification, verify_logged};
use almoner::store::keys::Sieve;
use almoner::store::{Conn, Database, Page, on};
use almoner::tlog::{Checkpoint, Signer, note};
use almoner::usage::{self, store::ChargeRow};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Text};

use crate::kinds::another;
use crate::scene::{Scene, signer};
use crate::support::database::TestDatabase;
use crate::support::dice::Dice;

/// Where something is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    Books,
    Log,
}

/// What is broken then.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Law {
    /// One of the books' own, by its number.
    Books(u8),
    /// Every entry of the journal is the leaf that was logged of it.
    Leaves,
    /// Each lot's lines are those of its entries.
    Lots,
    /// Tiles and edge are the tree's.
    Tree,
    /// Checkpoints are signed and are the tree's.
    Checkpoints,
    /// What was kept of the log elsewhere is its beginning.
    Kept,
    /// They can't be read at all.
    Unreadable,
}

/// What the log adds to the books' laws, in its order.
const OF_LOG: [Law; 5] = [Law::Leaves, Law::Lots, Law::Tree, Law::Checkpoints, Law::Kept];

/// How it is done.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// By statements: `{row}` stands for a row that is picked, `{other}` for another, `{by}` for a number, `{word}` for a word.
    Sql(&'static str),
    /// A bit of what stands in a column where a condition holds.
    Bit(&'static str, &'static str, &'static str),
    /// A character of it.
    Letter(&'static str, &'static str, &'static str),
    /// An older copy takes the place of the books, of the log, of what the signer remembers.
    Older { books: bool, log: bool, state: bool },
    /// A kept checkpoint is signed anew: for another tree by the log's own key, or for the same by another key.
    Forged { own: bool },
    /// What is known beside the database is another.
    Known(fn(&mut Evidence, &mut Dice)),
}

/// A kind of tampering.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub what: &'static str,
    pub at: At,
    /// Where the rows are found that it may be done to, as `n`; empty if it does not ask for one.
    pub rows: &'static str,
    pub act: Act,
    /// A law that is broken then.
    pub law: Law,
}

/// One tampering of a kind.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Deed {
    /// Statements.
    Sql(Vec<String>),
    /// A bit or a character of a column, at a place that is taken modulo its length.
    Change { table: &'static str, column: &'static str, which: String, text: bool, place: u64 },
    /// That older copy.
    Older(usize),
    /// What is known is changed by this seed.
    Known(u64),
}

/// What came of one.
pub struct Found {
    /// Rows that were changed.
    pub rows: usize,
    /// Those that are broken.
    pub laws: BTreeSet<Law>,
    /// Some of the findings, in words.
    pub words: Vec<String>,
}

/// Books and log that are ruined again and again.
pub struct Ground {
    books: Conn,
    log: Conn,
    pub evidence: Evidence,
    /// What the signer had signed when each older copy was taken.
    older: Vec<Checkpoint>,
    scene: Scene,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
pub struct Name {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    sql: String,
}

#[derive(QueryableByName)]
struct Bytes {
    #[diesel(sql_type = Binary)]
    value: Vec<u8>,
}

#[derive(QueryableByName)]
struct Words {
    #[diesel(sql_type = Text)]
    value: String,
}

impl Ground {
    /// Plays the books, and copies their tables wherever an older copy of them could have been taken.
    pub fn play(database: TestDatabase) -> Ground {
        let mut older = Vec::new();
        let scene = Scene::play_watched(database, &mut |scene| {
            // Once there are charges in the log, and once there are records in quarantine.
            let erased = match older.len() {
                2 => scene.erase_some("2026-01-20T00:00:00Z", 12) + 12,
                4 => scene.erase_some("2026-01-20T00:00:00Z", 0),
                _ => 0,
            };
            if erased > 0 {
                scene.log_beside();
            }
            for at in [At::Books, At::Log] {
                let mut conn = connect(scene, at);
                for table in tables(&mut conn, at) {
                    conn.batch(&format!("CREATE TABLE older{}_{table} AS SELECT * FROM {table}", older.len())).expect("a copy");
                }
            }
            older.push(scene.keeper().signed().expect("a state"));
        });
        cosign(&scene);
        let keeper = scene.keeper();
        let kept = scene.checkpoints().into_iter().map(|kept| (format!("who keeps {} leaves", kept.size), kept)).collect();
        let evidence = Evidence { keys: keeper.verifiers(), signer: Some(keeper.signed().expect("a state")), kept };
        let (mut books, mut log) = (connect(&scene, At::Books), connect(&scene, At::Log));
        [&mut books, &mut log].into_iter().for_each(unchecked);
        write_keys(&mut books);
        Ground { books, log, evidence, older, scene }
    }

    pub fn database(&self) -> &'static str {
        self.scene.database.kind
    }

    fn conn(&mut self, at: At) -> &mut Conn {
        match at {
            At::Books => &mut self.books,
            At::Log => &mut self.log,
        }
    }

    /// So many tamperings of a kind, no two the same.
    pub fn deeds(&mut self, kind: &Kind, count: usize, dice: &mut Dice) -> Vec<Deed> {
        let rows: Vec<i64> = match kind.rows {
            "" => vec![0],
            sql => {
                on!(self.conn(kind.at), c => diesel::sql_query(sql).load::<Row>(c)).expect(kind.what).into_iter().map(|row| row.n).collect()
            }
        };
        assert!(!rows.is_empty(), "{}: there is nothing to do it to", kind.what);
        let mut deeds = BTreeSet::new();
        for _ in 0..50 * count {
            if deeds.len() == count {
                break;
            }
            let row = rows[dice.below(rows.len())];
            let others: Vec<i64> = rows.iter().copied().filter(|other| *other != row).collect();
            let other = others.get(dice.below(others.len().max(1))).copied().unwrap_or(row);
            let word: String = (0..6).map(|_| char::from(b'a' + dice.below(26) as u8)).collect();
            let by = dice.within(1, 997);
            let said = |text: &str| {
                let numbers = [("{row}", row), ("{other}", other), ("{by}", by)];
                numbers.iter().fold(text.replace("{word}", &word), |text, (name, number)| text.replace(name, &number.to_string()))
            };
            deeds.insert(match kind.act {
                Act::Sql(text) => Deed::Sql(text.split(';').map(said).collect()),
                Act::Bit(table, column, which) => Deed::Change { table, column, which: said(which), text: false, place: dice.next() },
                Act::Letter(table, column, which) => Deed::Change { table, column, which: said(which), text: true, place: dice.next() },
                Act::Forged { own } => Deed::Sql(vec![self.forged(row, own, dice)]),
                Act::Older { .. } => Deed::Older(dice.below(self.older.len())),
                Act::Known(_) => Deed::Known(dice.next()),
            });
        }
        deeds.into_iter().collect()
    }

    /// The statement that puts another note in the place of the checkpoint of that size.
    fn forged(&self, size: i64, own: bool, dice: &mut Dice) -> String {
        let (_, kept) = self.evidence.kept.iter().find(|(_, kept)| kept.size == size.unsigned_abs()).expect("a checkpoint");
        let mut forged = kept.clone();
        let key = match own {
            true => signer(&self.scene.keys),
            false => another(&kept.origin),
        };
        if own {
            forged.root[dice.below(32)] ^= 1 << dice.below(8);
        }
        let note = forged.sign(&[key]).expect("signed").signed();
        format!("UPDATE log_checkpoints SET note = '{note}' WHERE size = {size}")
    }

    /// Does it, with the guards taken off and put back, verifies, and takes it back.
    pub fn found(&mut self, kind: &Kind, deed: &Deed) -> Found {
        for at in [At::Books, At::Log] {
            self.conn(at).batch("BEGIN").expect("a transaction");
        }
        let mut evidence = self.evidence.clone();
        let rows = match (kind.act, deed) {
            (Act::Older { books, log, state }, Deed::Older(copy)) => {
                if state {
                    evidence.signer = Some(self.older[*copy].clone());
                }
                let places = [(At::Books, books), (At::Log, log)].into_iter().filter(|(_, is)| *is);
                places.map(|(at, _)| self.restore(at, *copy)).sum()
            }
            (Act::Known(change), Deed::Known(seed)) => {
                change(&mut evidence, &mut Dice::new(*seed));
                1
            }
            _ => self.change(kind.at, deed),
        };
        let found = verify_logged(&mut self.books, &mut self.log, &evidence).map(|(found, _)| found);
        for at in [At::Books, At::Log] {
            self.conn(at).batch("ROLLBACK").expect("taken back");
        }
        let (laws, words) = match found {
            Ok(found) => (broken(&found), found.laws.into_iter().flat_map(|law| law.findings).take(3).collect()),
            Err(fault) => (BTreeSet::from([Law::Unreadable]), vec![fault.to_string()]),
        };
        Found { rows, laws, words }
    }

    /// An older copy of all tables.
    fn restore(&mut self, at: At, copy: usize) -> usize {
        let tables = tables(self.conn(at), at);
        let sql = tables.iter().flat_map(|t| [format!("DELETE FROM {t}"), format!("INSERT INTO {t} SELECT * FROM older{copy}_{t}")]);
        self.change(at, &Deed::Sql(sql.collect()))
    }

    fn change(&mut self, at: At, deed: &Deed) -> usize {
        let conn = self.conn(at);
        let posts = matches!(deed, Deed::Sql(all) if all.iter().any(|sql| sql.contains(" posted ")));
        let journal = posts || format!("{deed:?}").contains(" journal ");
        let guards = off(conn, &format!("{deed:?}{}", if journal { " entries charges" } else { "" }));
        let mut run = |all: &[String]| -> usize {
            let mut run = |sql: &String| on!(&mut *conn, c => diesel::sql_query(sql).execute(c)).unwrap_or_else(|e| panic!("{sql}: {e}"));
            all.iter().flat_map(|sql| of_tables(sql)).map(|sql| run(&sql)).sum()
        };
        let done = match deed {
            Deed::Sql(all) if posts => {
                run(&["CREATE TEMPORARY TABLE posted AS SELECT * FROM postings".to_owned()]);
                run(all);
                write_back(conn)
            }
            Deed::Sql(all) => run(all),
            Deed::Change { table, column, which, text, place } => alter(conn, table, column, which, *text, *place),
            Deed::Older(_) | Deed::Known(_) => 0,
        };
        back(conn, &guards);
        done
    }
}

/// Has a witness sign every checkpoint.
fn cosign(scene: &Scene) {
    let (witness, mut log) = (Signer::generate("witness.example", note::Kind::Cosignature).expect("a key"), connect(scene, At::Log));
    for one in scene.checkpoints() {
        let line = witness.sign(&one.text(), 1_700_000_000).line();
        store::insert_cosignature(&mut log, one.size.cast_signed(), &witness.verifier().text(), line.trim_end()).expect("kept");
    }
}

/// Puts the keys of what is charged in blocks, as is done where there are very many.
fn write_keys(books: &mut Conn) {
    let rows = usage::store::charges(books, &usage::Of::default(), Page::ALL).expect("charges");
    let mut sieve = Sieve::default();
    for some in rows.chunks(50) {
        let key = |row: &ChargeRow| row.usage_key.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
        let keys = some.iter().filter(|row| row.part == 0).map(|row| (key(row), row.seq)).collect();
        sieve.seal(some[some.len() - 1].seq, keys).write(books).expect("a block");
    }
}

fn connect(scene: &Scene, at: At) -> Conn {
    let books = Database::parse(&scene.database.url).expect("a URL");
    let of = if at == At::Books { books } else { books.beside("log") };
    of.connect().expect("a connection")
}

/// Takes off what the schema itself would refuse, as who owns the database may.
fn unchecked(conn: &mut Conn) {
    const DROP: &str = "DO $$ DECLARE one record; BEGIN
        FOR one IN SELECT conrelid::regclass AS of, conname FROM pg_constraint
            WHERE contype = 'c' AND conrelid <> 0 AND connamespace = current_schema()::regnamespace LOOP
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', one.of, one.conname);
        END LOOP;
    END $$";
    let checks = match conn {
        Conn::Sqlite(_) => "PRAGMA foreign_keys=OFF; PRAGMA ignore_check_constraints=ON",
        Conn::Postgres(_) => DROP,
    };
    conn.batch(checks).expect("a superuser");
}

/// The tables of books or log, without the older copies.
fn tables(conn: &mut Conn, at: At) -> Vec<String> {
    const SQLITE: &str = "SELECT name, '' AS sql FROM sqlite_master WHERE type = 'table'";
    const POSTGRES: &str = "SELECT tablename::text AS name, '' AS sql FROM pg_tables WHERE schemaname = current_schema()";
    let found: Vec<Name> = match conn {
        Conn::Sqlite(c) => diesel::sql_query(SQLITE).load(c),
        Conn::Postgres(c) => diesel::sql_query(POSTGRES).load(c),
    }
    .expect("tables");
    let own = |name: &String| !name.starts_with("older") && !name.starts_with("sqlite") && name.starts_with("log_") == (at == At::Log);
    found.into_iter().map(|row| row.name).filter(own).collect()
}

/// Takes off the guards of the tables that are named.
pub fn off(conn: &mut Conn, deed: &str) -> Vec<Name> {
    match conn {
        Conn::Postgres(_) => {
            conn.batch("SET LOCAL session_replication_role = replica").expect("a superuser");
            Vec::new()
        }
        Conn::Sqlite(c) => {
            let all = diesel::sql_query("SELECT tbl_name AS name, sql FROM sqlite_master WHERE type = 'trigger'").load::<Name>(c);
            let guards: Vec<Name> = all.expect("guards").into_iter().filter(|guard| deed.contains(&guard.name)).collect();
            for guard in &guards {
                let name = guard.sql.split_whitespace().nth(2).expect("a name");
                diesel::sql_query(format!("DROP TRIGGER {name}")).execute(c).expect("taken off");
            }
            guards
        }
    }
}

/// Puts them back.
pub fn back(conn: &mut Conn, guards: &[Name]) {
    if let Conn::Postgres(_) = conn {
        conn.batch("SET LOCAL session_replication_role = origin").expect("a superuser");
    }
    guards.iter().for_each(|guard| conn.batch(&guard.sql).expect("put back"));
}

/// What is done to the journal, in the words of each of the two tables that it is made of; charges have no kind and no words.
fn of_tables(sql: &str) -> Vec<String> {
    let sql = sql.trim();
    let Some((verb, rest)) = sql.split_once("journal").filter(|(verb, _)| matches!(*verb, "UPDATE " | "DELETE FROM ")) else {
        return vec![sql.to_owned()];
    };
    let names = [("recorded_at", "id"), ("effective_at", "ended_at"), ("subject", "award")];
    let of_charges = names.iter().fold(rest.to_owned(), |text, (name, own)| text.replace(name, own));
    vec![format!("{verb}entries{rest}"), format!("{verb}charges{of_charges}")]
}

/// Writes the lists of the entries whose postings were changed; how many there are.
fn write_back(conn: &mut Conn) -> usize {
    let list = match conn {
        Conn::Sqlite(_) => "json_group_array(json_array(account, amount, nth, balance))",
        Conn::Postgres(_) => "json_agg(json_build_array(account, amount, nth, balance))::text",
    };
    let sql = format!(
        "UPDATE journal SET lines = (SELECT {list} FROM (SELECT * FROM posted WHERE id / 1024 = seq ORDER BY id) AS own)
        WHERE seq IN (SELECT id / 1024 FROM (SELECT * FROM posted EXCEPT SELECT * FROM postings) AS now
        UNION SELECT id / 1024 FROM (SELECT * FROM postings EXCEPT SELECT * FROM posted) AS before)"
    );
    let mut run = |sql: String| on!(&mut *conn, c => diesel::sql_query(&sql).execute(c)).unwrap_or_else(|e| panic!("{sql}: {e}"));
    of_tables(&sql).into_iter().map(&mut run).sum()
}

/// Changes a bit, or a character, of what stands in a column; how many rows have it.
fn alter(conn: &mut Conn, table: &str, column: &str, which: &str, text: bool, place: u64) -> usize {
    let read = diesel::sql_query(format!("SELECT {column} AS value FROM {table} WHERE {which} LIMIT 1"));
    let write = diesel::sql_query(format!("UPDATE {table} SET {column} = $1 WHERE {which}"));
    if !text {
        let mut bytes = on!(&mut *conn, c => read.get_result::<Bytes>(c)).expect(which).value;
        let bit = (place % (bytes.len() as u64 * 8)) as usize;
        bytes[bit / 8] ^= 1 << (bit % 8);
        return on!(conn, c => write.bind::<Binary, _>(bytes).execute(c)).expect("changed");
    }
    let mut letters: Vec<char> = on!(&mut *conn, c => read.get_result::<Words>(c)).expect(which).value.chars().collect();
    let at = (place % letters.len() as u64) as usize;
    letters[at] = if letters[at] == 'x' { 'y' } else { 'x' };
    on!(conn, c => write.bind::<Text, _>(letters.into_iter().collect::<String>()).execute(c)).expect("changed")
}

/// Does what the guards forbid, for good; they stand again afterwards.
pub fn ruin(conn: &mut Conn, sql: &str) {
    conn.batch("BEGIN").expect("a transaction");
    let guards = off(conn, sql);
    conn.batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    back(conn, &guards);
    conn.batch("COMMIT").expect("done");
}

/// Takes a log back to a size that was signed, as a restored copy of it is.
pub fn cut_back(conn: &mut Conn, size: u64) {
    for sql in [
        format!("DELETE FROM log_leaves WHERE idx >= {size}"),
        format!("DELETE FROM log_heads WHERE seal >= {size}"),
        format!("DELETE FROM log_jobs WHERE idx >= {size}"),
        format!("DELETE FROM log_lines WHERE idx >= {size}"),
        format!("DELETE FROM log_cosignatures WHERE size > {size}"),
        format!("DELETE FROM log_checkpoints WHERE size > {size}"),
    ] {
        ruin(conn, &sql);
    }
}

/// The laws that were found broken.
pub fn broken(found: &Verification) -> BTreeSet<Law> {
    let of_log = found.laws.len() - OF_LOG.len();
    let law = |at: usize, number: u8| at.checked_sub(of_log).map_or(Law::Books(number), |at| OF_LOG[at]);
    found.laws.iter().enumerate().filter(|(_, law)| law.broken > 0).map(|(at, one)| law(at, one.number)).collect()
}
