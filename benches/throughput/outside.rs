//! Over HTTP: the release program as a process of its own, asked by a client that costs next to nothing.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::scene::Scene;
use super::support::database::TestDatabase;
use super::support::server::Server;
use super::{Sample, drive, timed};

/// Connections that send batches.
const BATCH_LANES: usize = 3;

/// A server and what it is sent.
pub struct Outside {
    server: Server,
    scene: Scene,
    provider: String,
    officer: String,
}

impl Outside {
    /// Makes the books and starts the server.
    pub fn start(made: &TestDatabase) -> Outside {
        let (scene, store) = Scene::set(made);
        drop(store);
        let provider = Scene::token(made, "provider", &["--provider", &scene.provider.to_string()]);
        let officer = Scene::token(made, "officer", &[]);
        Outside { server: Server::start(made, made.folder()), scene, provider, officer }
    }

    /// Charges records in batches.
    pub fn charge(&self, records: usize, batch: usize, minimal: bool) -> Sample {
        let each = records / batch / BATCH_LANES;
        let request = |_| {
            let records: Vec<String> = (0..batch).map(|_| self.scene.record()).collect();
            let prefer = if minimal { "Prefer: return=minimal\r\n" } else { "" };
            post("/v1/usage/batch", &self.provider, prefer, &format!("{{\"records\":[{}]}}", records.join(",")))
        };
        let lanes = self.lanes(BATCH_LANES, |_| (0..each).map(request).collect());
        let charged = format!("\"charged\":{batch},");
        drive(each * BATCH_LANES * batch, lanes, |lane| lane.run(207, &charged))
    }

    /// Charges records one by one over so many connections.
    pub fn charge_singly(&self, records: usize, connections: usize) -> Sample {
        let each = records / connections;
        let lanes = self.lanes(connections, |_| (0..each).map(|_| post("/v1/usage", &self.provider, "", &self.scene.record())).collect());
        drive(each * connections, lanes, |lane| lane.run(201, "\"object\":\"charge\""))
    }

    /// Reads balances, one grant after the other.
    pub fn read_balances(&self, reads: usize) -> Sample {
        let get = |grant| {
            let token = &self.officer;
            format!("GET /v1/grants/{grant}/balance HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n").into_bytes()
        };
        let lanes = self.lanes(1, |_| self.scene.grants.iter().cycle().take(reads).map(get).collect());
        drive(reads, lanes, |lane| lane.run(200, "\"object\""))
    }

    fn lanes(&self, count: usize, requests: impl Fn(usize) -> Vec<Vec<u8>>) -> Vec<Lane> {
        let address = self.server.address.trim_start_matches("http://");
        (0..count).map(|lane| Lane { connection: Connection::open(address), requests: requests(lane) }).collect()
    }
}

fn post(path: &str, token: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// A connection and what it will send, made beforehand.
struct Lane {
    connection: Connection,
    requests: Vec<Vec<u8>>,
}

impl Lane {
    /// Asks one after the other; each answer must have this status, and this text near its beginning.
    fn run(mut self, status: u16, text: &str) -> Vec<std::time::Duration> {
        let ask = |request: &Vec<u8>| {
            let (took, (found, start)) = timed(|| self.connection.ask(request));
            assert!(found == status && start.contains(text), "{found}: {start}");
            took
        };
        self.requests.iter().map(ask).collect()
    }
}

/// A kept HTTP/1.1 connection: one question, one answer of stated length.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(address: &str) -> Connection {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        Connection { stream, buffer: vec![0; 1 << 16] }
    }

    /// The status and the beginning of the body; the rest is read and thrown away.
    fn ask(&mut self, request: &[u8]) -> (u16, String) {
        self.stream.write_all(request).expect("a question sent");
        let mut held = 0;
        let head = loop {
            held += self.read(held);
            if let Some(end) = self.buffer[..held].windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = std::str::from_utf8(&self.buffer[..head]).expect("a head in ASCII");
        let status = text.get(9..12).and_then(|code| code.parse().ok()).expect("a status");
        let length = text.lines().filter_map(|line| line.split_once(": ")).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length: usize = length.and_then(|(_, value)| value.parse().ok()).expect("a length");
        let mut missing = (head + length).saturating_sub(held);
        let start = String::from_utf8_lossy(&self.buffer[head..held.min(head + 400)]).into_owned();
        while missing > 0 {
            missing -= self.read(0);
        }
        (status, start)
    }

    fn read(&mut self, at: usize) -> usize {
        let count = self.stream.read(&mut self.buffer[at..]).expect("an answer");
        assert!(count > 0, "the server hung up");
        count
    }
}
