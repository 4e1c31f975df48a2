//! The command line as a person uses it: books are made, a real log is imported, again, in another order, with a kill in between; the
//! books are exported, verified, tampered with and found out.

mod books;
mod log;
mod signin;
#[path = "../support/mod.rs"]
mod support;
#[path = "../tools/mod.rs"]
mod tools;
mod year;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diesel::Connection;
use diesel::connection::SimpleConnection;
use serde_json::{Value, json};

use books::{Books, charges, fill, head};
use support::database::{TestDatabase, databases};
use support::{Run, program, real_data};

/// One database with a data folder.
struct Desk<'d> {
    database: &'d TestDatabase,
    data: PathBuf,
}

impl Desk<'_> {
    fn new(database: &TestDatabase) -> Desk<'_> {
        Desk { data: database.folder().join("data"), database }
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = program();
        command.args(args).arg("--data").arg(&self.data).args(["--database", &self.database.url]);
        command
    }

    fn run(&self, args: &[&str]) -> Run {
        Run::from(self.command(args).output().expect("the program starts"))
    }

    /// What the command prints as JSON, and its exit code.
    fn json(&self, args: &[&str]) -> (Value, Option<i32>) {
        let run = self.run(&[args, &["--json"]].concat());
        let read = serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:#?}"));
        (read, run.code)
    }

    /// Makes books and fills them.
    fn filled(database: &TestDatabase) -> (Desk<'_>, Books) {
        let desk = Desk::new(database);
        desk.run(&["init"]).ok();
        let books = fill(database);
        (desk, books)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.database.folder().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a payload");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64")).expect("claims")
}

#[test]
fn books_are_made_once_and_hand_out_tokens() {
    for database in databases() {
        let desk = Desk::new(&database);
        let early = desk.run(&["verify"]);
        assert_eq!(early.code, Some(5), "{early:#?}");
        assert!(early.stderr.contains("almoner init"), "{early:#?}");
        let made = desk.run(&["init"]).ok();
        let admin = claims(&made.stdout);
        assert_eq!((&admin["sub"], &admin["roles"]), (&json!("admin"), &json!(["admin"])));
        assert!(!made.stderr.contains(made.stdout.trim()), "the token is on standard output alone");
        #[cfg(unix)]
        for (path, mode) in [(desk.data.clone(), 0o700), (desk.data.join("keys"), 0o700), (desk.data.join("keys/local.pk8"), 0o600)] {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).expect("made").permissions().mode() & 0o777, mode, "{}", path.display());
        }
        let again = desk.run(&["init"]);
        assert_eq!((again.code, again.stdout.as_str()), (Some(1), ""), "{again:#?}");
        assert!(again.stderr.contains("never overwrites"), "{again:#?}");
        std::fs::rename(desk.data.join("keys"), desk.data.join("keys-away")).expect("renamed");
        let again = desk.run(&["init"]);
        assert_eq!(again.code, Some(1), "books without keys are not overwritten either: {again:#?}");
        std::fs::remove_dir_all(desk.data.join("keys")).expect("removed");
        std::fs::rename(desk.data.join("keys-away"), desk.data.join("keys")).expect("renamed");

        let books = fill(&database);
        let (donor, provider) = (books.donor.to_string(), books.provider.to_string());
        let two = desk
            .run(&[
                "token",
                "--role",
                "donor",
                "--role",
                "provider",
                "--as",
                "both",
                "--donor",
                &donor,
                "--provider",
                &provider,
                "--ttl",
                "2h",
            ])
            .ok();
        assert_eq!(two.stderr, "");
        let two = claims(&two.stdout);
        assert_eq!((&two["roles"], &two["donor"], &two["provider"]), (&json!(["donor", "provider"]), &json!(donor), &json!(provider)));
        assert_eq!(two["exp"].as_i64().zip(two["iat"].as_i64()).map(|(exp, iat)| exp - iat), Some(7200));
        for bad in [
            &["token", "--role", "donor", "--as", "d"][..],
            &["token", "--role", "king", "--as", "k"],
            &["token", "--role", "donor", "--as", "d", "--donor", &provider],
        ] {
            assert_eq!(desk.run(bad).code, Some(2), "{bad:?}");
        }
        assert_eq!(desk.json(&["migrate", "--status"]), (json!({"did": "missing", "steps": []}), Some(0)));
        assert_eq!(desk.run(&["migrate", "--down"]).code, Some(2), "not without --yes");
        let (settings, _) = desk.json(&["config", "show"]);
        assert_eq!(settings["data"], json!(desk.data));
        let healthy = desk.run(&["doctor"]).ok();
        assert!(!healthy.stdout.contains("FAIL"), "{healthy:#?}");
        desk.run(&["migrate", "--down", "--yes"]).ok();
        assert_eq!(desk.run(&["doctor"]).code, Some(6));
    }
}

/// The import of the university cluster's log, with more arguments.
fn import<'a>(log: &'a Path, grant: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let log = log.to_str().expect("a path in UTF-8");
    let mut args = vec!["import", log, "--columns", "xdmod", "--resource", "chestnut", "--map-account", grant];
    args.extend(more);
    args
}

/// What everybody who counts this log finds in it.
fn assert_known_totals(summary: &Value) {
    let hours = |of: &Value, meter: &str| of["meters"][meter]["hours"].as_str().unwrap_or("none").to_owned();
    let (all, accounts) = (&summary["metered"]["all"], &summary["metered"]["accounts"]);
    assert_eq!((hours(all, "gpu-second"), hours(all, "cpu-second")), ("506.9128".into(), "11767.9883".into()));
    assert_eq!(all["jobs"], 4046);
    for (account, jobs, gpu, cpu) in
        [("chaff", 31, "506.9128", "10880.2728"), ("aytinis", 16, "none", "610.7733"), ("taifl", 3999, "none", "276.9422")]
    {
        let of = &accounts[account];
        assert_eq!((of["jobs"].as_u64(), hours(of, "gpu-second"), hours(of, "cpu-second")), (Some(jobs), gpu.into(), cpu.into()));
        assert!(!of["meters"]["cpu-second"]["quantity"].as_str().expect("seconds").contains('.'), "whole seconds");
    }
    let counts = ["lines", "never_started", "running", "steps", "rejected", "conflicts", "overdrawn"].map(|name| summary[name].as_u64());
    assert_eq!(counts, [4285, 239, 0, 0, 0, 0, 0].map(Some));
}

#[test]
fn a_real_log_is_charged_once_however_often_it_is_imported() {
    let Some(log) = real_data("slurm-hpc/phillips.log") else { return };
    for database in databases() {
        let (desk, books) = Desk::filled(&database);
        let grant = format!("{}={}", books::UNKNOWN, books.grants[books::UNKNOWN]);
        let before = head(&database);
        let (tried, code) = desk.json(&import(&log, &grant, &["--dry-run"]));
        assert_eq!((head(&database), code), (before, Some(0)), "a dry run writes nothing");
        let (first, code) = desk.json(&import(&log, &grant, &[]));
        assert_eq!(code, Some(0));
        assert_known_totals(&first);
        assert_eq!((&first["charged"], &first["of_zero_seconds"], &first["duplicates"]), (&json!(4046), &json!(22), &json!(0)));
        let same = |summary: &Value| {
            let mut summary = summary.clone();
            summary["dry_run"] = Value::Null;
            summary
        };
        assert_eq!(same(&tried), same(&first), "{}: the dry run tells what will happen", database.kind);
        assert_eq!((charges(&database), head(&database) - before), (4046, 4047), "the operator is recorded once");
        let (again, _) = desk.json(&import(&log, &grant, &[]));
        assert_known_totals(&again);
        assert_eq!((&again["charged"], &again["duplicates"], &again["repeated"]), (&json!(0), &json!(4046), &json!(0)));
        let text = std::fs::read_to_string(&log).expect("the log");
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_by_key(|line| line.bytes().fold(0u32, |h, b| h.wrapping_mul(31).wrapping_add(b.into())));
        let shuffled = desk.file("shuffled.log", &lines.join("\n"));
        let (shuffled, _) = desk.json(&import(&shuffled, &grant, &[]));
        assert_known_totals(&shuffled);
        assert_eq!((&shuffled["charged"], &shuffled["duplicates"]), (&json!(0), &json!(4046)));
        let shown = desk.run(&import(&log, &grant, &[])).ok();
        for words in ["4,285  lines read", "506.9128", "11767.9883", "10880.2728"] {
            assert!(shown.stdout.contains(words), "{words}: {}", shown.stdout);
        }
        desk.run(&["verify"]).ok();
        exports_count_the_same(&desk);
    }
}

/// Whatever the format, the export holds every charge.
fn exports_count_the_same(desk: &Desk<'_>) {
    let csv = desk.run(&["export", "--format", "csv"]).ok();
    assert_eq!(csv.stdout.lines().filter(|line| line.split(',').nth(2) == Some("charge") && line.contains(":spent,")).count(), 4024);
    for format in ["beancount", "hledger", "ledger", "ndjson"] {
        let file = desk.database.folder().join(format);
        let run = desk.run(&["export", "--format", format, "-o", file.to_str().expect("a path")]).ok();
        assert_eq!(run.stdout, "");
        let text = std::fs::read_to_string(file).expect("an export");
        let wanted = format!("{} postings", csv.stdout.lines().count() - 1);
        assert!(run.stderr.contains(&wanted), "{run:#?}");
        match format {
            "ndjson" => assert_eq!(text.lines().count(), csv.stdout.lines().count() - 1),
            _ => assert!(text.trim_end().lines().last().is_some_and(|line| line.contains(&wanted))),
        }
    }
}

#[test]
fn an_import_that_was_killed_is_finished_by_another() {
    let Some(log) = real_data("slurm-hpc/phillips.log") else { return };
    let text = std::fs::read_to_string(&log).expect("the log");
    for database in databases() {
        let (desk, books) = Desk::filled(&database);
        let grant = format!("{}={}", books::UNKNOWN, books.grants[books::UNKNOWN]);
        let mut child = desk
            .command(&import(Path::new("-"), &grant, &[]))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("an import");
        let mut input = child.stdin.take().expect("a pipe");
        for line in text.lines().take(3000) {
            writeln!(input, "{line}").expect("a line");
        }
        input.flush().expect("lines");
        let begun = Instant::now();
        while charges(&database) == 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "nothing is charged");
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().expect("a process to kill");
        child.wait().expect("its end");
        let there = charges(&database);
        assert!((1..4046).contains(&there), "{there}");
        let (rest, code) = desk.json(&import(&log, &grant, &[]));
        assert_eq!(code, Some(0));
        assert_known_totals(&rest);
        assert_eq!((&rest["charged"], &rest["duplicates"]), (&json!(4046 - there), &json!(there)), "{}", database.kind);
        assert_eq!(charges(&database), 4046);
        desk.run(&["verify"]).ok();
    }
}

#[test]
fn a_small_cluster_agrees_with_its_own_report() {
    let (Some(log), Some(report)) =
        (real_data("slurm/sacct_format_ALL.psv"), real_data("slurm/sreport_AccountUtilizationByUser_seconds.psv"))
    else {
        return;
    };
    let report = std::fs::read_to_string(report).expect("the report");
    for database in databases() {
        let (desk, _) = Desk::filled(&database);
        let (summary, _) = desk.json(&["import", log.to_str().expect("a path"), "--resource", "lab"]);
        let mut compared = 0;
        for line in report.lines() {
            let cells: Vec<&str> = line.split('|').collect();
            let ["lab", account, "", "", tres, used] = cells.as_slice() else { continue };
            let meter = match *tres {
                "gres/gpu" => "gpu-second",
                "cpu" => "cpu-second",
                _ => continue,
            };
            if account.starts_with("uni-") {
                compared += 1;
                assert_eq!(
                    summary["metered"]["accounts"][account]["meters"][meter]["quantity"],
                    json!(used),
                    "{account} {tres}: {summary:#}"
                );
            }
        }
        assert_eq!(compared, 4);
        assert_eq!((&summary["charged"], &summary["never_started"], &summary["steps"]), (&json!(15), &json!(2), &json!(18)));
        let json_log = log.with_file_name("sacct.json");
        let (json, _) = desk.json(&["import", json_log.to_str().expect("a path"), "--resource", "lab"]);
        assert_eq!((&json["charged"], &json["duplicates"]), (&json!(0), &json!(15)), "the same jobs as JSON: {json:#}");
    }
}

const MAP: &str = "external_id=id,account=project,started_at=start,ended_at=end,gpu-hour=gpuh";

#[test]
fn what_is_not_charged_is_told_line_by_line() {
    for database in databases() {
        let (desk, _) = Desk::filled(&database);
        let rejects = database.folder().join("rejects.tsv");
        let import = |file: &Path| {
            let (file, rejects) = (file.to_str().expect("a path").to_owned(), rejects.to_str().expect("a path").to_owned());
            let (summary, code) = desk.json(&[
                "import",
                &file,
                "--resource",
                "chestnut",
                "--provider",
                "Example Centre",
                "--map",
                MAP,
                "--rejects",
                &rejects,
            ]);
            (summary, code, std::fs::read_to_string(&rejects).expect("the rejects"))
        };
        let heads = "id,project,start,end,gpuh\n";
        let good = "a,chaff,2026-03-01 10:00:00,2026-03-01 12:00:00,2.5\n";
        let nobody = "b,nobody,2026-03-01 10:00:00,2026-03-01 12:00:00,1\n";
        let (summary, code, _) = import(&desk.file("good.csv", &format!("{heads}{good}{good}")));
        assert_eq!((code, &summary["charged"], &summary["duplicates"], &summary["repeated"]), (Some(0), &json!(1), &json!(1), &json!(1)));
        assert_eq!(summary["amounts"], json!([{"value": "5.000000", "unit": "USD"}]));
        assert_eq!(summary["metered"]["all"]["meters"]["gpu-hour"]["quantity"], "2.5");

        let other = good.replace("2.5", "2.75");
        let future = "c,chaff,2026-03-01 10:00:00,2999-03-01 12:00:00,1\n";
        let long = format!("{},chaff,2026-03-01 10:00:00,2026-03-01 12:00:00,1\n", "x".repeat(181));
        let unreadable = "d,chaff,yesterday,2026-03-01 12:00:00,1\n";
        let (summary, code, rows) = import(&desk.file("bad.csv", &format!("{heads}{other}{nobody}{future}{long}{unreadable}{good}")));
        assert_eq!(code, Some(3));
        let counts = ["lines", "charged", "duplicates", "conflicts", "rejected"].map(|name| summary[name].as_u64());
        assert_eq!(counts, [6, 0, 1, 1, 3].map(Some), "{summary:#}");
        assert_eq!(summary["quarantined"], json!({"unattributed": 1}));
        let mut rows: Vec<(&str, &str, String)> = rows
            .lines()
            .map(|row| {
                let mut cells = row.splitn(3, '\t');
                (cells.next().expect("a number"), cells.next().expect("a reason"), format!("{}\n", cells.next().expect("the line")))
            })
            .collect();
        rows.sort();
        let wanted = [
            ("2", "conflict: a was", other),
            ("3", "quarantined: unattributed", nobody.into()),
            ("4", "rejected: ended_at", future.into()),
        ];
        let wanted = wanted.into_iter().chain([("5", "rejected: external_id", long), ("6", "rejected: \"yesterday\"", unreadable.into())]);
        for ((number, reason, line), (n, r, l)) in rows.iter().zip(wanted) {
            assert_eq!((*number, line.as_str()), (n, l.as_str()));
            assert!(reason.starts_with(r), "{reason}");
        }
        assert_eq!(rows.len(), 5);
    }
}

#[test]
fn a_wrong_command_line_says_what_is_wrong() {
    let database = support::database::sqlite();
    let (desk, _) = Desk::filled(&database);
    let log = desk.file("log", "JobIDRaw|Account\n");
    let log = log.to_str().expect("a path");
    let cases: [(&[&str], i32, &str); 8] = [
        (&["import", log, "--resource", "chestnut", "--format", "csv"], 2, "--map"),
        (&["import", log, "--resource", "chestnut", "--timezone", "Atlantis/Lost"], 2, "Atlantis"),
        (&["import", log, "--resource", "chestnut", "--meters", "tpu"], 2, "none of gpu"),
        (&["import", log, "--resource", "nowhere"], 1, "chestnut"),
        (&["import", log, "--resource", "chestnut"], 1, "broke off"),
        (&["import", "/nowhere/at-all", "--resource", "chestnut"], 1, "/nowhere/at-all"),
        (&["import", log, "--resource", "chestnut", "--map-account", "a=grt_x"], 2, "grt_"),
        (&["export", "--format", "spreadsheet"], 2, "beancount"),
    ];
    for (args, code, words) in cases {
        let run = desk.run(args);
        assert_eq!(run.code, Some(code), "{run:#?}");
        assert!(run.stderr.contains(words), "{words}: {run:#?}");
    }
    let elsewhere = Run::from(program().args(["verify", "--database", "postgre://x"]).output().expect("a run"));
    assert_eq!(elsewhere.code, Some(5), "{elsewhere:#?}");
    let completions = support::almoner(["completions", "bash"]).ok();
    assert!(completions.stdout.contains("almoner"));
}

#[test]
fn tampering_is_found_out() {
    for database in databases() {
        let (desk, _) = Desk::filled(&database);
        let log = desk.file("good.csv", "id,project,start,end,gpuh\na,chaff,2026-03-01 10:00:00,2026-03-01 12:00:00,2.5\n");
        desk.run(&["import", log.to_str().expect("a path"), "--resource", "chestnut", "--map", MAP]).ok();
        let (sound, code) = desk.json(&["verify"]);
        assert_eq!((&sound["holds"], code), (&json!(true), Some(0)));
        let last = "WHERE seq = (SELECT max(id) / 1024 FROM postings)";
        if let Some(path) = database.url.strip_prefix("sqlite:") {
            let change = format!("UPDATE charges SET lines = json_set(lines, '$[1][1]', lines ->> '$[1][1]' + 1) {last}");
            let mut conn = diesel::SqliteConnection::establish(path).expect("a connection");
            assert!(conn.batch_execute(&change).is_err(), "the guard refuses");
            conn.batch_execute(&format!("DROP TRIGGER charges_refuse_update; {change}")).expect("tampered");
        } else {
            let changed = "jsonb_set(lines::jsonb, '{1,1}', to_jsonb((lines::jsonb #>> '{1,1}')::bigint + 1))";
            let change = format!("UPDATE charges SET lines = {changed} {last}");
            let mut conn = diesel::PgConnection::establish(&database.url).expect("a connection");
            assert!(conn.batch_execute(&change).is_err(), "the guard refuses");
            conn.batch_execute(&format!("ALTER TABLE charges DISABLE TRIGGER charges_refuse_update; {change}")).expect("tampered");
        }
        let found = desk.run(&["verify"]);
        assert_eq!(found.code, Some(4), "{found:#?}");
        assert!(found.stderr.contains("laws 1"), "{found:#?}");
        assert!(found.stdout.contains("does not sum to zero") && found.stdout.contains("guard of table charges is missing"), "{found:#?}");
        let (found, _) = desk.json(&["verify"]);
        assert_eq!(found["laws"][0]["broken"], 2, "the transaction and the ledger: {found:#}");
        assert_eq!(desk.run(&["doctor"]).code, Some(4));
    }
}
