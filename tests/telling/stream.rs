//! The stream of events, read as a browser would read it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::database::databases;
use crate::support::server::Server;
use crate::world::{World, named};

struct Reader(BufReader<TcpStream>);

impl Reader {
    fn open(server: &Server, token: &str, more: &str) -> Reader {
        let host = server.address.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let head =
            format!("GET /v1/events HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\naccept: text/event-stream\r\n{more}\r\n");
        stream.write_all(head.as_bytes()).expect("a request");
        let mut reader = Reader(BufReader::new(stream));
        assert!(reader.until("HTTP/1.1 ").starts_with("HTTP/1.1 200"));
        reader.until("content-type: text/event-stream");
        reader
    }

    /// The next line that begins so.
    fn until(&mut self, begin: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).expect("a line in time") > 0, "the stream ended before {begin}");
            if line.starts_with(begin) {
                return line.trim_end().to_owned();
            }
        }
    }
}

#[test]
fn events_arrive_as_they_happen_and_go_on_from_the_last_one_seen() {
    for database in databases() {
        let world = World::to_serve(database);
        let (server, officer) = (world.serve(), world.token("officer", "second", &[]));
        let mut reader = Reader::open(&server, &officer, "accept-encoding: gzip\r\n");
        reader.until("retry: ");
        world.lot(&named("Donor A"), 10, None);
        let ids: Vec<String> = ["donation.proposed", "donation.accepted", "lot.delivered"]
            .iter()
            .map(|kind| {
                let id = reader.until("id: ");
                assert_eq!(reader.until("event: "), format!("event: {kind}"));
                let data = reader.until("data: ");
                assert!(data.contains(kind) && data.contains("\"object\":\"event\""), "{data}");
                id
            })
            .collect();
        let last = ids[0].trim_start_matches("id: ");
        let mut again = Reader::open(&server, &officer, &format!("last-event-id: {last}\r\n"));
        assert_eq!([again.until("id: "), again.until("id: ")], [ids[1].clone(), ids[2].clone()]);
        let refused = server.get("/v1/events", Some(&officer), &[("accept", "text/event-stream"), ("last-event-id", "7")]);
        assert_eq!(refused.expect(400).json["code"], "wrong_id_type");
        let listed = server.get(&format!("/v1/events?after={last}&kind=lot.delivered"), Some(&officer), &[]).expect(200).json;
        assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
    }
}
