//! One long stream of NDJSON: charged and answered as it arrives, while the server's memory stays as it was.
//!
//! `ALMONER_STREAM_RECORDS` says how many records are sent; a million is what the bound was set for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::Instant;

use almoner::grants::Overdraft;
use serde_json::{Value, json};

use crate::desk::{Desk, ENDED, millis};
use crate::support::database::databases;
use crate::support::server::Server;
use crate::support::skipped;

/// Records on each database, unless `ALMONER_STREAM_RECORDS` says another number.
const RECORDS: u64 = 100_000;
/// What the server may use at its peak.
const PEAK_MIB: u64 = 300;

fn records() -> u64 {
    std::env::var("ALMONER_STREAM_RECORDS").map_or(RECORDS, |text| text.parse().expect("ALMONER_STREAM_RECORDS is a number"))
}

/// The most memory that a process has had so far; `None` where there is no `/proc`.
fn peak_mib(server: &Server) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number of kB") / 1024)
}

/// A record of one GPU-hour; every one as long as the others.
fn line(desk: &Desk<'_>, number: u64) -> String {
    let (grant, resource) = (desk.grant, desk.resource);
    format!(
        "{{\"external_id\":\"job-{number:012}\",\"grant\":\"{grant}\",\"resource\":\"{resource}\",\
         \"quantities\":{{\"gpu-hour\":\"1\"}},\"ended_at\":\"{ENDED}\"}}\n"
    )
}

/// What was heard of an answer.
#[derive(Debug, Default)]
struct Heard {
    charged: u64,
    summary: Value,
    /// Whether results came while records were still being sent.
    before_the_end: bool,
}

/// Sends so many records and hears the results at the same time, as every client of a stream must.
fn send(desk: &Desk<'_>, server: &Server, count: u64) -> Heard {
    let address = server.address.strip_prefix("http://").expect("an address");
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(millis(120_000))).expect("a patient stream");
    let length = line(desk, 0).len() as u64 * count;
    let head = format!("Host: {address}\r\nAuthorization: Bearer {}\r\nContent-Type: application/x-ndjson", desk.provider);
    let mut sink = std::io::BufWriter::with_capacity(1 << 16, stream.try_clone().expect("the same connection"));
    write!(sink, "POST /v1/usage/batch HTTP/1.1\r\n{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n").expect("a head");
    let sent = AtomicBool::new(false);
    scope(|threads| {
        threads.spawn(|| {
            (0..count).for_each(|number| sink.write_all(line(desk, number).as_bytes()).expect("a record sent"));
            sent.store(true, Ordering::SeqCst);
            sink.flush().expect("the last records sent");
        });
        hear(BufReader::with_capacity(1 << 16, stream), &sent)
    })
}

/// Reads the result lines; what frames the parts of the body is passed over.
fn hear(answer: BufReader<impl Read>, sent: &AtomicBool) -> Heard {
    let mut lines = answer.lines().map(|line| line.expect("a line of the answer"));
    let status = lines.next().expect("a status");
    assert!(status.starts_with("HTTP/1.1 207 "), "{status}");
    let mut heard = Heard::default();
    for line in lines.filter(|line| line.starts_with('{')) {
        let result: Value = serde_json::from_str(&line).expect("JSON");
        if result["object"] == "usage_batch" {
            heard.summary = result["summary"].clone();
            continue;
        }
        assert!(heard.summary.is_null(), "the summary comes last");
        assert_eq!((&result["index"], &result["outcome"]), (&json!(heard.charged), &json!("charged")), "{line}");
        heard.before_the_end |= !sent.load(Ordering::SeqCst);
        heard.charged += 1;
    }
    heard
}

#[test]
fn a_long_stream_leaves_the_memory_as_it_was() {
    for database in databases() {
        let (count, desk) = (records(), Desk::open(&database, 1_000_000_000, Overdraft::Reject));
        let server = desk.serve();
        let Some(before) = peak_mib(&server) else { return skipped("memory", "there is no /proc here") };
        let begun = Instant::now();
        let heard = send(&desk, &server, count);
        let took = begun.elapsed();
        let peak = peak_mib(&server).expect("still there");
        assert_eq!((heard.charged, &heard.summary["records"], &heard.summary["charged"]), (count, &json!(count), &json!(count)));
        assert!(heard.before_the_end, "results are sent as records arrive");
        println!("{}: {count} records in {took:.1?}; the server's memory rose from {before} to {peak} MiB", database.kind);
        assert!(peak < PEAK_MIB, "{peak} MiB");
        assert_eq!(desk.balance().spent.minor, count as i64);
        desk.verify().ok();
    }
}
