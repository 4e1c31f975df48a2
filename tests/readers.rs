//! The readers on real logs, which are not part of the project: they lie in the folder that `ALMONER_REAL_DATA` names.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::PathBuf;

use almoner::usage::readers::{Format, Job, Options, Read, columns, read};
use rust_decimal::Decimal;

/// The folder, or a line that says that the test was skipped.
fn real_data(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("ALMONER_REAL_DATA").map(PathBuf::from);
    if folder.is_none() {
        // Straight to the stream: what tests print the usual way is hidden while they pass.
        let said = writeln!(std::io::stderr(), "SKIPPED {test}: ALMONER_REAL_DATA names no folder of real logs");
        said.expect("a stream to say so");
    }
    folder
}

#[derive(Default)]
struct Log {
    jobs: Vec<Job>,
    never_started: usize,
    running: usize,
    steps: usize,
    rejected: Vec<(u64, String)>,
}

impl Log {
    fn read(path: PathBuf, format: Format) -> Log {
        let file = File::open(&path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        let mut log = Log::default();
        for row in read(BufReader::new(file), &Options { format, ..Options::default() }) {
            match row.expect("a readable log") {
                Read::Job(job) => log.jobs.push(job),
                Read::NeverStarted { .. } => log.never_started += 1,
                Read::Running { .. } => log.running += 1,
                Read::Step { .. } => log.steps += 1,
                Read::Rejected { line, reason, .. } => log.rejected.push((line, reason)),
            }
        }
        log
    }

    /// Seconds of a meter by account, and under "" in all.
    fn seconds(&self, meter: &str) -> BTreeMap<&str, Decimal> {
        let mut sums = BTreeMap::new();
        for job in &self.jobs {
            for (_, quantity) in job.quantities.iter().filter(|(name, _)| name == meter) {
                *sums.entry(job.account.as_str()).or_default() += *quantity;
                *sums.entry("").or_default() += *quantity;
            }
        }
        sums
    }
}

#[test]
fn a_university_cluster_without_header() {
    let Some(folder) = real_data("a_university_cluster_without_header") else {
        return;
    };
    let log = Log::read(folder.join("slurm-hpc/phillips.log"), Format::SlurmColumns(columns("xdmod").expect("known")));
    assert_eq!(log.rejected, []);
    assert_eq!((log.jobs.len(), log.never_started, log.running, log.steps), (4046, 239, 0, 0));
    assert_eq!(log.jobs.iter().filter(|job| job.started_at == job.ended_at).count(), 22);
    let hours = |meter: &str, account: &str| {
        let seconds = log.seconds(meter).get(account).copied().unwrap_or_default();
        assert_eq!(seconds.scale(), 0, "whole seconds");
        (seconds / Decimal::from(3600)).round_dp(4).to_string()
    };
    let jobs_of = |account: &str| log.jobs.iter().filter(|job| job.account == account).count();
    assert_eq!((hours("gpu-second", ""), hours("cpu-second", "")), ("506.9128".into(), "11767.9883".into()));
    assert_eq!(
        (hours("gpu-second", "chaff"), hours("cpu-second", "chaff"), jobs_of("chaff")),
        ("506.9128".into(), "10880.2728".into(), 31)
    );
    assert_eq!((hours("cpu-second", "aytinis"), jobs_of("aytinis")), ("610.7733".into(), 16));
    assert_eq!((hours("cpu-second", "taifl"), jobs_of("taifl")), ("276.9422".into(), 3999));
    let ids: std::collections::BTreeSet<&str> = log.jobs.iter().map(|job| job.external_id.as_str()).collect();
    assert_eq!(ids.len(), 4046);
}

#[test]
fn a_small_cluster_agrees_with_its_own_report() {
    let Some(folder) = real_data("a_small_cluster_agrees_with_its_own_report") else {
        return;
    };
    let log = Log::read(folder.join("slurm/sacct_format_ALL.psv"), Format::Detect);
    assert_eq!(log.rejected, []);
    assert_eq!((log.jobs.len(), log.never_started, log.running, log.steps), (15, 2, 0, 18));
    let report = std::fs::read_to_string(folder.join("slurm/sreport_AccountUtilizationByUser_seconds.psv")).expect("the report");
    let mut compared = 0;
    for line in report.lines() {
        let cells: Vec<&str> = line.split('|').collect();
        let ["lab", account, "", "", tres, used] = cells.as_slice() else {
            continue;
        };
        let meter = match *tres {
            "gres/gpu" => "gpu-second",
            "cpu" => "cpu-second",
            _ => continue,
        };
        if account.starts_with("uni-") {
            compared += 1;
            assert_eq!(log.seconds(meter).get(account).map(Decimal::to_string).as_deref(), Some(*used), "{account} {tres}");
        }
    }
    assert_eq!(compared, 4);
}

#[test]
fn json_and_text_of_one_cluster_agree() {
    let Some(folder) = real_data("json_and_text_of_one_cluster_agree") else {
        return;
    };
    let json = Log::read(folder.join("slurm/sacct.json"), Format::Detect);
    let text = Log::read(folder.join("slurm/sacct_format_ALL.psv"), Format::Detect);
    let sorted = |log: &Log| {
        let mut jobs: Vec<Job> = log.jobs.iter().map(|job| Job { line: 0, ..job.clone() }).collect();
        jobs.sort_by(|a, b| a.external_id.cmp(&b.external_id));
        jobs
    };
    assert_eq!(json.rejected, []);
    assert_eq!(json.never_started, text.never_started);
    assert_eq!(sorted(&json), sorted(&text));
}
