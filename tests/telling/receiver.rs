//! A receiver of webhooks: a small HTTP server that writes down what it was sent and answers as it is told to.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Sent {
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Sent {
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }
}

/// The status of an answer by the number of the request, from 0, and how long it takes.
type Script = Box<dyn Fn(usize) -> (u16, Duration) + Send + Sync>;

pub struct Receiver {
    pub url: String,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Receiver {
    pub fn start(script: impl Fn(usize) -> (u16, Duration) + Send + Sync + 'static) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/hooks", listener.local_addr().expect("an address"));
        let sent = Arc::new(Mutex::new(Vec::new()));
        let (list, script): (_, Arc<Script>) = (Arc::clone(&sent), Arc::new(Box::new(script)));
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (list, script) = (Arc::clone(&list), Arc::clone(&script));
                std::thread::spawn(move || answer(stream, &list, &script));
            }
        });
        Receiver { url, sent }
    }

    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().expect("the list").clone()
    }

    /// Waits until so many requests have come.
    pub fn wait_for(&self, count: usize) -> Vec<Sent> {
        let begun = Instant::now();
        while self.sent().len() < count {
            assert!(begun.elapsed() < Duration::from_secs(60), "{} of {count} came", self.sent().len());
            std::thread::sleep(Duration::from_millis(20));
        }
        self.sent()
    }
}

fn answer(stream: TcpStream, list: &Mutex<Vec<Sent>>, script: &Script) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    assert!(line.starts_with("POST /hooks HTTP/1.1"), "{line}");
    let mut headers = HashMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let number = {
        let mut list = list.lock().ok()?;
        list.push(Sent { headers, body: String::from_utf8(body).ok()? });
        list.len() - 1
    };
    let (status, after) = script(number);
    std::thread::sleep(after);
    let location = if status == 302 { "location: http://127.0.0.1:1/\r\n" } else { "" };
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 6\r\n{location}connection: close\r\n\r\nsecret").ok()
}
