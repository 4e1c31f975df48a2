//! A real OpenID provider: oidc-provider, run by node on a free port of this machine. `tests/run` installs both.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;
use ureq::http::Request;

use super::{skipped, tool};

/// A provider process; ends when this is dropped.
pub struct Provider {
    /// The issuer: `http://127.0.0.1:PORT`.
    pub issuer: String,
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Provider {
    /// Starts it; `None` where it can't be had, which is said.
    pub fn start() -> Option<Provider> {
        let node = tool("node")?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let installed = root.join(".tools/oidc");
        if !installed.join("node_modules/oidc-provider").is_dir() {
            skipped("with a real OpenID provider", "oidc-provider is not in .tools/oidc; tests/run installs it");
            return None;
        }
        let mut command = Command::new(node);
        command.arg(root.join("tests/tools/oidc/provider.mjs")).arg(&installed);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("node starts");
        let (input, output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let mut output = BufReader::new(output).lines();
        let issuer = output.next().expect("the provider says where it listens").expect("a line");
        Some(Provider { issuer, child, input, output })
    }

    fn tell(&mut self, command: &str) {
        writeln!(self.input, "{command}").expect("the provider listens");
        // It has notices of its own to give before.
        assert!(self.output.any(|line| line.is_ok_and(|line| line == "done")), "the provider ended");
    }

    /// Has it put these claims into every access token from now on.
    pub fn claim(&mut self, claims: &Value) {
        self.tell(&format!("claims {claims}"));
    }

    /// Has it sign with new keys and forget those of before.
    pub fn rotate(&mut self) {
        self.tell("rotate");
    }

    /// Has it refuse whoever wants to sign in from now on.
    pub fn refuse(&mut self) {
        self.tell("nobody");
    }

    /// A token by client credentials, for this audience and signed by this algorithm.
    pub fn token(&self, audience: &str, algorithm: &str) -> String {
        let form = format!("grant_type=client_credentials&scope=usage&resource=urn:{audience}:{algorithm}");
        let request = Request::post(format!("{}/token", self.issuer))
            .header("content-type", "application/x-www-form-urlencoded")
            // cluster:for-the-tests
            .header("authorization", "Basic Y2x1c3Rlcjpmb3ItdGhlLXRlc3Rz");
        let mut answer = ureq::run(request.body(form).expect("a request")).expect("a token");
        let answer: Value = answer.body_mut().read_json().expect("JSON");
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    /// Ends it, as when its machine is down.
    pub fn stop(mut self) {
        self.child.kill().expect("a provider to stop");
        self.child.wait().expect("its end");
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // It may have been stopped: then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
