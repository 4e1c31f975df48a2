//! `almoner witness` as a process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use almoner::attest::witness::name_of;
use almoner::tlog::Verifier;
use almoner::tlog::witness::Request;

use super::program;
use super::server::{Answer, client, send};

/// A witness that runs; killed when this is dropped.
pub struct Running {
    /// `http://127.0.0.1:PORT`
    pub address: String,
    /// Its public key.
    pub key: Verifier,
    child: Child,
}

impl Running {
    /// Starts the witness of a data folder for the log with that key, under that name if it is new.
    pub fn start(data: &Path, log: &str, name: Option<&str>) -> Running {
        Running::start_at("127.0.0.1:0", data, log, name)
    }

    /// As `start`, at an address.
    pub fn start_at(listen: &str, data: &Path, log: &str, name: Option<&str>) -> Running {
        let mut command = program();
        command.args(["witness", "--listen", listen, "--vkey", log, "--data"]).arg(data);
        command.args(name.iter().flat_map(|name| ["--name", name]));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut key = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut key).expect("a line");
        let said = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let address = said.filter_map(|line| Some(line.split_once("listening on ")?.1.to_owned())).next().expect("an address");
        Running { child, address, key: Verifier::parse(key.trim_end()).expect("a key") }
    }

    /// Sends it a checkpoint.
    pub fn send(&self, request: &Request) -> Answer {
        let headers = [("content-type", "text/plain")];
        send(&client(), &self.address, ("POST", "/add-checkpoint"), None, &headers, Some(&request.body())).expect("an answer")
    }

    /// The last checkpoint that it cosigned of a log.
    pub fn last(&self, origin: &str) -> Answer {
        send(&client(), &self.address, ("GET", &format!("/{}/checkpoint", name_of(origin))), None, &[], None).expect("an answer")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
