//! A running server on a free port, and a client that hands back whatever was answered.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::http::{HeaderMap, Request};

use super::database::TestDatabase;
use super::program;

/// How long a server may take to listen and be ready, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The line by which the server says where it listens.
const LISTENING: &str = "listening on ";

/// A server process; killed when this is dropped.
pub struct Server {
    /// `http://127.0.0.1:PORT`
    pub address: String,
    child: Child,
    log: Arc<Mutex<String>>,
    client: ureq::Agent,
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// The body as it came.
    pub text: String,
    /// The body as JSON; null where it is none.
    pub json: Value,
}

impl Server {
    /// Starts the program's server on that database and waits until it is ready.
    pub fn start(database: &TestDatabase, data: &Path) -> Server {
        Server::start_with(database, data, |command| command)
    }

    /// As `start`, with more arguments or another environment.
    pub fn start_with(database: &TestDatabase, data: &Path, more: impl FnOnce(&mut Command) -> &mut Command) -> Server {
        let mut command = program();
        command.args(["serve", "--listen", "127.0.0.1:0", "--database", &database.url, "--data"]).arg(data);
        more(&mut command);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the server starts");
        let log = Arc::new(Mutex::new(String::new()));
        let (found, listening) = channel();
        follow(child.stdout.take(), &log, &found);
        follow(child.stderr.take(), &log, &found);
        // With the last sender gone, a server that ends at once is noticed at once.
        drop(found);
        // Killed by its Drop from here on, whatever goes wrong.
        let mut server = Server { address: String::new(), child, log, client: client() };
        server.address = server.await_address(&listening);
        server.await_ready();
        server
    }

    fn await_address(&self, listening: &Receiver<String>) -> String {
        listening.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("the server never said where it listens:\n{}", self.log()))
    }

    fn await_ready(&self) {
        let begun = Instant::now();
        let readyz = format!("{}/readyz", self.address);
        while !self.client.get(&readyz).call().is_ok_and(|answer| answer.status() == 200) {
            assert!(begun.elapsed() < PATIENCE, "the server never was ready:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that the server has printed.
    pub fn log(&self) -> String {
        self.log.lock().map(|log| log.clone()).unwrap_or_default()
    }

    /// Ends the server as a power cut would.
    pub fn kill9(mut self) {
        self.child.kill().expect("a server to kill");
        self.child.wait().expect("its end");
    }

    /// Asks the server to end, and waits for it.
    pub fn terminate(self) -> ExitStatus {
        self.ask_to_end();
        self.end()
    }

    /// Asks the server to end.
    pub fn ask_to_end(&self) {
        let asked = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().expect("kill runs");
        assert!(asked.success(), "the server had ended before it was asked to:\n{}", self.log());
    }

    /// Waits for the end of a server that was asked to end.
    pub fn end(mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the server does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// GET; `token` and `headers` as given.
    pub fn get(&self, path: &str, token: Option<&str>, headers: &[(&str, &str)]) -> Answer {
        self.call("GET", path, token, headers, None).unwrap_or_else(|e| panic!("GET {path}: {e}\n{}", self.log()))
    }

    /// POST of a JSON document.
    pub fn post(&self, path: &str, token: Option<&str>, headers: &[(&str, &str)], body: &Value) -> Answer {
        let sent = self.call("POST", path, token, headers, Some(&body.to_string()));
        sent.unwrap_or_else(|e| panic!("POST {path}: {e}\n{}", self.log()))
    }

    /// Any request, with the body's text as it is; an error only where no answer came, as after a kill.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<Answer, ureq::Error> {
        send(&self.client, &self.address, (method, path), token, headers, body)
    }
}

/// One request to a service at an address: method and path, token and headers as given, the body's text as it is. An error only where no
/// answer came.
pub fn send(
    client: &ureq::Agent,
    address: &str,
    (method, path): (&str, &str),
    token: Option<&str>,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Result<Answer, ureq::Error> {
    let mut request = Request::builder().method(method).uri(format!("{address}{path}"));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    if body.is_some() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = match body {
        Some(text) => client.run(request.body(text.to_owned())?)?,
        None => client.run(request.body(())?)?,
    };
    let (head, mut body) = answer.into_parts();
    // Tiles are bytes.
    let text = String::from_utf8_lossy(&body.with_config().limit(1 << 30).read_to_vec()?).into_owned();
    let json = serde_json::from_str(&text).unwrap_or_default();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, text, json })
}

impl Answer {
    /// The answer itself if it has that status; otherwise the test fails with what came.
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// A header's text; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that hands back every status as an answer.
pub fn client() -> ureq::Agent {
    let patience = Some(Duration::from_secs(120));
    ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).timeout_global(patience).build().new_agent()
}

/// Reads what the server prints to its end, so that it never waits for a reader; hands on the address once it is said.
fn follow(stream: Option<impl Read + Send + 'static>, log: &Arc<Mutex<String>>, found: &Sender<String>) {
    let (log, found) = (Arc::clone(log), found.clone());
    let lines = BufReader::new(stream.expect("a piped stream")).lines().map_while(Result::ok);
    std::thread::spawn(move || {
        let mut found = Some(found);
        for line in lines {
            let address = line.split_once(LISTENING).map(|(_, rest)| rest);
            let address =
                address.and_then(|rest| rest.split(|c: char| c.is_whitespace() || c == '"').next()).filter(|a| a.starts_with("http"));
            if let Some((address, found)) = address.zip(found.take_if(|_| address.is_some())) {
                let _ = found.send(address.trim_end_matches('/').to_owned());
            }
            if let Ok(mut log) = log.lock() {
                log.push_str(&line);
                log.push('\n');
            }
        }
    });
}
