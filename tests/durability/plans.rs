//! How the databases answer what is asked of the journal, which is a view of two tables: by the keys of both, and in their order.

use almoner::grants::Overdraft;
use almoner::store::Conn;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;

use crate::desk::Desk;
use crate::support::database::databases;

#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = Text)]
    detail: String,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    line: String,
}

/// How the database would answer a question, in its words; PostgreSQL as if the tables were large.
fn plan(conn: &mut Conn, question: &str) -> String {
    let words: Vec<String> = match conn {
        Conn::Sqlite(c) => {
            let steps: Vec<Step> = sql_query(format!("EXPLAIN QUERY PLAN {question}")).load(c).expect("a plan");
            steps.into_iter().map(|step| step.detail).collect()
        }
        Conn::Postgres(c) => {
            for way in ["seqscan", "bitmapscan", "sort"] {
                sql_query(format!("SET enable_{way}=off")).execute(c).expect("a setting");
            }
            let lines: Vec<Line> = sql_query(format!("EXPLAIN {question}")).load(c).expect("a plan");
            lines.into_iter().map(|line| line.line).collect()
        }
    };
    words.join("\n")
}

fn questions(journal: &str) -> [String; 5] {
    [
        format!("SELECT seq FROM {journal} ORDER BY seq DESC LIMIT 1"),
        format!("SELECT seq, kind FROM {journal} WHERE seq IN (3, 5)"),
        format!("SELECT seq, kind FROM {journal} WHERE seq BETWEEN 3 AND 9 ORDER BY seq"),
        format!("SELECT seq, kind FROM {journal} WHERE kind IN (22, 40) AND seq > 3 ORDER BY seq LIMIT 9"),
        format!("SELECT (SELECT recorded_at FROM {journal} AS own WHERE own.seq = e.seq / 2) FROM entries e WHERE e.seq = 9"),
    ]
}

/// Whether all of a table is read, or what was found is put in order.
fn is_slow(plan: &str) -> bool {
    ["SCAN journal", "SCAN untyped", "CO-ROUTINE", "TEMP B-TREE", "Seq Scan", "Sort  "].iter().any(|word| plan.contains(word))
}

#[test]
fn the_journal_is_read_by_its_sequence() {
    for database in databases() {
        let desk = Desk::open(&database, 100, Overdraft::Reject);
        let conn = &mut desk.connect();
        for question in questions("journal") {
            let plan = plan(conn, &question);
            assert!(!is_slow(&plan), "{}: {question}: {plan}", database.kind);
        }
        if let Conn::Sqlite(_) = conn {
            // The control: a number that stands there has no type.
            let view = "CREATE VIEW untyped AS SELECT seq, recorded_at, kind FROM entries UNION ALL SELECT seq, id, 40 FROM charges";
            conn.batch(view).expect("a view");
            assert!(questions("untyped").iter().any(|question| is_slow(&plan(conn, question))), "nothing would be seen");
        }
    }
}
