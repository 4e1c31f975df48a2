//! The readers from input to rows, on small made-up logs and on arbitrary bytes.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

const HEADER: &str =
    "Cluster|JobIDRaw|JobID|Account|User|Partition|QOS|State|Submit|Start|End|ElapsedRaw|AllocTRES|NodeList|JobName|Comment";
const RAN: &str =
    "lab|7|3_0|proj|u1|gpu|normal|CANCELLED by 12|2026-03-02T10:00:00|2026-03-02T10:00:05|2026-03-02T10:01:05|60|cpu=8,gres/gpu=2|n1|x|";

fn rows(input: &[u8], options: &Options) -> Vec<Read> {
    read(input, options).map(|row| row.expect("readable")).collect()
}

fn with(format: Format) -> Options {
    Options { format, ..Options::default() }
}

fn fault(input: &str, options: &Options) -> String {
    let last = read(input.as_bytes(), options).last().expect("one item");
    last.expect_err("a fault").to_string()
}

fn one(row: &str) -> Read {
    rows(format!("{HEADER}\n{row}\n").as_bytes(), &Options::default()).remove(0)
}

fn job(row: Read) -> Job {
    match row {
        Read::Job(job) => job,
        other => panic!("not a job: {other:?}"),
    }
}

fn reason(row: Read) -> String {
    match row {
        Read::Rejected { reason, .. } => reason,
        other => panic!("not rejected: {other:?}"),
    }
}

fn used(job: &Job) -> String {
    job.quantities.iter().map(|(meter, q)| format!("{meter}={q}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_job_row_by_row() {
    let ran = job(one(RAN));
    assert_eq!(ran.external_id, "lab:7:2026-03-02T10:00:00Z");
    assert_eq!((ran.line, ran.job_id.as_str(), ran.state.as_str(), ran.account.as_str()), (2, "3_0", "CANCELLED", "proj"));
    assert_eq!((ran.user.as_deref(), ran.partition.as_deref(), ran.qos.as_deref()), (Some("u1"), Some("gpu"), Some("normal")));
    assert_eq!(used(&ran), "gpu-second=120 cpu-second=480");
    assert_eq!(ran.submitted_at.map(|t| t.to_string()).as_deref(), Some("2026-03-02T10:00:00.000000Z"));
}

#[test]
fn what_is_not_a_job() {
    assert_eq!(one(&RAN.replace("|7|3_0|", "|7.batch|3_0.batch|")), Read::Step { line: 2 });
    let never = Read::NeverStarted { line: 2, job_id: "3_0".to_owned() };
    assert_eq!(one(&RAN.replace("2026-03-02T10:00:05", "Unknown")), never);
    assert_eq!(one(&RAN.replace("2026-03-02T10:00:05", "None")), never);
    assert_eq!(one(&RAN.replace("2026-03-02T10:00:05", "")), never);
    assert_eq!(one(&RAN.replace("10:01:05", "10:00:05").replace("|n1|", "|None assigned|")), never);
    let running = Read::Running { line: 2, job_id: "3_0".to_owned() };
    assert_eq!(one(&RAN.replace("2026-03-02T10:01:05", "Unknown")), running);
    // sacct --truncate gives running jobs the end of its window.
    assert_eq!(one(&RAN.replace("CANCELLED by 12", "RUNNING")), running);
}

#[test]
fn jobs_of_no_length_are_jobs() {
    let short = RAN.replace("10:01:05", "10:00:05");
    assert_eq!(used(&job(one(&short))), "gpu-second=0 cpu-second=0");
    assert_eq!(used(&job(one(&short.replace("cpu=8,gres/gpu=2", "")))), "gpu-second=0");
}

#[test]
fn what_is_rejected_keeps_its_line_and_reason() {
    let cases = [
        ("10:01:05", "09:01:05", "ends before"),
        ("|n1|", "|None assigned|", "No nodes"),
        ("cpu=8,gres/gpu=2", "", "does not say"),
        ("cpu=8", "cpu=x", "no readable count"),
        ("|proj|", "||", "no account"),
        ("|7|", "|seven|", "no job id"),
        ("2026-03-02T10:00:05", "soon", "no time"),
        ("2026-03-02T10:00:00", "Unknown", "no submit time"),
        ("lab|", "", "15 cells"),
    ];
    for (from, to, want) in cases {
        let row = RAN.replace(from, to);
        let got = one(&row);
        assert!(matches!(&got, Read::Rejected { line: 2, original, .. } if *original == row), "{got:?}");
        let got = reason(got);
        assert!(got.contains(want), "{got}");
    }
}

#[test]
fn bars_in_free_text() {
    assert_eq!(job(one(&RAN.replace("|x|", "|a|b||c|"))).external_id, "lab:7:2026-03-02T10:00:00Z");
    let columns = columns("JobName,JobIDRaw,Account,User,State,Submit,Start,End,AllocTRES").expect("names");
    let options = Options { cluster: Some("lab".to_owned()), ..with(Format::SlurmColumns(columns)) };
    let row = b"7|other|u2|FAILED|7|proj|u1|COMPLETED|2026-03-02T10:00:00|2026-03-02T10:00:05|2026-03-02T10:01:05|cpu=8\n";
    assert_eq!(job(rows(row, &options).remove(0)).account, "proj");
}

#[test]
fn identity_and_cluster() {
    let header = "SLUID|JobIDRaw|Account|User|State|Submit|Start|End|AllocTRES|";
    let row = "s1A|7|proj||COMPLETED|2026-03-02T10:00:00|2026-03-02T10:00:05|2026-03-02T10:01:05|node=1|";
    let got = job(rows(format!("{header}\n{row}").as_bytes(), &with(Format::Slurm)).remove(0));
    assert_eq!((got.external_id.as_str(), got.cluster, got.user, got.job_id.as_str()), ("s1A", None, None, "7"));
    let named = Options { cluster: Some("lab".to_owned()), ..Options::default() };
    let got = rows(format!("{header}\n{}", row.replace("s1A", "")).as_bytes(), &named).remove(0);
    assert_eq!(job(got).external_id, "lab:7:2026-03-02T10:00:00Z");
    assert!(fault(&header.replace("SLUID|", ""), &Options::default()).contains("--cluster"));
}

#[test]
fn headers_that_can_not_be_worked_with() {
    assert!(fault("", &Options::default()).contains("empty"));
    assert!(fault("Cluster|JobIDRaw|User|State|Submit|Start|End", &Options::default()).contains("missing: Account, AllocTRES."));
    assert!(fault(RAN, &Options::default()).contains("--columns"));
    assert!(fault("\u{feff}{\"meta\":{}}", &Options::default()).contains("jobs"));
}

#[test]
fn local_times_marks_and_line_ends() {
    let zone = TimeZone::get("Europe/Berlin").expect("bundled");
    let options = Options { timezone: zone, ..Options::default() };
    let log = format!("\u{feff}{HEADER}\r\n\r\n{RAN}\r\n{}\r\n", RAN.replace("03-02", "03-29").replace("T10:01", "T02:01"));
    let got = rows(log.as_bytes(), &options);
    assert_eq!(job(got[0].clone()).external_id, "lab:7:2026-03-02T09:00:00Z");
    assert!(reason(got[1].clone()).contains("does not exist"));
    let mut log = format!("{HEADER}\n").into_bytes();
    log.extend_from_slice(b"lab|\xff|\n");
    log.extend_from_slice(RAN.as_bytes());
    let got = rows(&log, &Options::default());
    assert!(matches!(&got[0], Read::Rejected { line: 2, .. }));
    assert_eq!(job(got[1].clone()).line, 3);
}

#[test]
fn json_of_several_versions() {
    let old = r#"{"meta":{},"jobs":[{"job_id":7,"cluster":"lab","account":"proj","user":"u1","partition":"gpu","qos":"normal",
        "array":{"job_id":3,"task_id":0},"state":{"current":"FAILED"},"time":{"submission":1772445600,"start":1772445605,"end":1772445665},
        "tres":{"allocated":[{"type":"cpu","name":null,"count":8},{"type":"gres","name":"gpu:h100","count":2},{"type":"energy","count":null}]}}]}"#;
    let got = job(rows(old.as_bytes(), &Options::default()).remove(0));
    assert_eq!((got.external_id.as_str(), got.job_id.as_str(), got.state.as_str()), ("lab:7:2026-03-02T10:00:00Z", "3_0", "FAILED"));
    assert_eq!(used(&got), "gpu-second=120 cpu-second=480");
    let new = old
        .replace("\"FAILED\"", "[\"FAILED\",\"POWER_UP_NODE\"]")
        .replace("\"task_id\":0", "\"task_id\":{\"set\":true,\"infinite\":false,\"number\":0}")
        .replace("1772445605", "{\"set\":true,\"number\":1772445605}");
    assert_eq!(job(rows(new.as_bytes(), &with(Format::SlurmJson)).remove(0)), got);
    let pending = new.replace("{\"set\":true,\"number\":1772445605}", "{\"set\":false,\"number\":0}");
    assert_eq!(rows(pending.as_bytes(), &Options::default()), [Read::NeverStarted { line: 1, job_id: "3_0".to_owned() }]);
    let bad = old.replace("\"count\":8", "\"count\":-8");
    assert!(reason(rows(bad.as_bytes(), &Options::default()).remove(0)).contains("negative"));
    // What came before a break is handed out before the error.
    let broken = format!("{},", old.strip_suffix("]}").expect("the end of the list"));
    let all: Vec<_> = read(broken.as_bytes(), &Options::default()).collect();
    assert!(matches!(all.as_slice(), [Ok(Read::Job(_)), Err(_)]), "{all:?}");
}

#[test]
fn a_table_with_a_map() {
    let map =
        Map::parse("external_id=JobID,account=Project,ended_at=End,started_at=Start,gpu-hour=GPUh,cpu-hour=CPUh,user=User").expect("a map");
    let table = "JobID,Project,User,Start,End,GPUh,CPUh\r\n\
                 1,\"proj, a\",u1,2026-03-02 10:00:00,2026-03-02T12:00:00+01:00,1.50,\r\n\
                 2,proj,u1,2026-03-02 10:00:00,2026-03-02 11:00:00,-1,0\n\
                 3,proj,u1,2026-03-02 10:00:00,2026-03-02 11:00:00,,\n\
                 4,proj,u1,2026-03-02 10:00:00,,1,1\n\
                 5,proj,u1,2026-03-02 10:00:00,2026-03-02 11:00:00,1\n";
    let options = with(Format::Csv(map.clone()));
    let got = rows(table.as_bytes(), &options);
    let first = job(got[0].clone());
    assert_eq!(
        (first.account.as_str(), used(&first).as_str(), first.ended_at.since(first.started_at)),
        ("proj, a", "gpu-hour=1.50", 3_600_000_000)
    );
    assert!(reason(got[1].clone()).contains("no quantity of gpu-hour"));
    assert!(reason(got[2].clone()).contains("no quantity"));
    assert_eq!(got[3], Read::Running { line: 5, job_id: "4".to_owned() });
    assert!(reason(got[4].clone()).contains("6 cells"));
    assert!(fault("JobID,Project,End,Start,GPUh,User\n", &options).contains("no column \"CPUh\""));
    assert!(fault("JobID,JobID,Project,End,Start,GPUh,CPUh,User\n", &options).contains("more than one"));
}

#[test]
fn meters_are_chosen_by_name() {
    for name in ["gpu", "gpu-hour", "gpu-second"] {
        assert_eq!(Meter::parse(name), Ok(Meter::Gpu));
    }
    assert!(Meter::parse("power").is_err());
    let options = Options { meters: vec![Meter::Cpu], ..Options::default() };
    assert_eq!(used(&job(rows(format!("{HEADER}\n{RAN}").as_bytes(), &options).remove(0))), "cpu-second=480");
}

fn every_format() -> Vec<Options> {
    let map = Map::parse("external_id=JobIDRaw,account=Account,ended_at=End,started_at=Start,gpu-hour=ElapsedRaw").expect("a map");
    let formats =
        [Format::Detect, Format::Slurm, Format::SlurmColumns(columns("xdmod").expect("known")), Format::SlurmJson, Format::Csv(map)];
    let zone = TimeZone::get("America/New_York").expect("bundled");
    formats.into_iter().map(|f| Options { timezone: zone.clone(), meters: Meter::ALL.to_vec(), ..with(f) }).collect()
}

/// Lets every format read the input; rows come in the order of their lines, and nothing follows an error.
fn survives(input: &[u8]) {
    for options in every_format() {
        let mut last = 0;
        let mut failed = false;
        for row in read(input, &options) {
            assert!(!failed);
            let line = match row {
                Ok(Read::Job(job)) => {
                    assert!(job.started_at <= job.ended_at && !job.quantities.is_empty());
                    job.line
                }
                Ok(Read::NeverStarted { line, .. } | Read::Running { line, .. } | Read::Step { line } | Read::Rejected { line, .. }) => {
                    line
                }
                Err(_) => {
                    failed = true;
                    u64::MAX
                }
            };
            assert!(line > last);
            last = line;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        survives(&bytes);
    }

    #[test]
    fn arbitrary_rows_never_panic(text in "[ -~é\n\\|,=:\"-]{0,400}", cut in 0usize..200, at in 0usize..200, byte in any::<u8>()) {
        let mut log = format!("{HEADER}\n{RAN}\n{text}\n{RAN}\n").into_bytes();
        let place = HEADER.len() + 1 + at % RAN.len();
        log[place] = byte;
        log.truncate(log.len() - cut);
        survives(&log);
        survives(String::from_utf8_lossy(&log).replace('|', ",").as_bytes());
        survives(&log[HEADER.len() + 1..]);
    }

    #[test]
    fn arbitrary_json_never_panics(text in "[\\[\\]{}\":,a-z0-9.-]{0,60}", number in any::<i64>(), place in 0usize..12) {
        let value = if text.len() % 2 == 0 { format!("{text:?}") } else { number.to_string() };
        let mut values: Vec<String> = vec!["7".into(), "1772445605".into(), "1772445665".into(), "\"FAILED\"".into(), "8".into()];
        let count = values.len();
        values[place % count] = value;
        let [id, start, end, state, cpus] = values.as_slice() else { unreachable!() };
        survives(format!(
            "{{\"jobs\":[{{\"job_id\":{id},\"cluster\":\"lab\",\"account\":\"p\",\"state\":{{\"current\":{state}}},\"time\":{{\"submission\":5,\
             \"start\":{start},\"end\":{end}}},\"tres\":{{\"allocated\":[{{\"type\":\"cpu\",\"count\":{cpus}}}]}}}}]}}{}",
            if place == 11 { text.as_str() } else { "" }
        ).as_bytes());
    }

    #[test]
    fn bars_in_a_name_change_nothing(name in "[a-z|]{0,30}", comment in "[a-z ]{0,9}") {
        let row = RAN.replace("|x|", &format!("|{name}|{comment}"));
        prop_assert_eq!(job(one(&row)), job(one(RAN)));
    }
}
