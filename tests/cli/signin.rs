//! The settings of who signs in, as the command line shows and checks them.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use serde_json::json;

use crate::Desk;
use crate::support::database::sqlite;

/// A provider that answers everything with one key.
fn provider() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let issuer = format!("http://{}", listener.local_addr().expect("an address"));
    let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"});
    let body = json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys"), "keys": [key, {"kty": "oct", "k": "AA"}]}).to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).expect("an answer");
        }
    });
    issuer
}

#[test]
fn issuers_are_shown_and_asked() {
    let database = sqlite();
    let (desk, _) = Desk::filled(&database);
    let issuer = provider();
    let near = ["--issuer", &issuer, "--insecure-loopback-issuers"];
    let (shown, _) = desk.json(&[&["config", "show"], &near[..], &["--role-map", "staff=officer,a=b=auditor"]].concat());
    assert_eq!((&shown["issuers"], &shown["role_claim"]), (&json!([issuer]), &json!("roles")));
    assert_eq!((&shown["role_map"], &shown["insecure_loopback_issuers"]), (&json!(["staff=officer", "a=b=auditor"]), &json!(true)));
    let healthy = desk.run(&[&["doctor"], &near[..]].concat()).ok();
    assert!(healthy.stdout.contains(&format!("{issuer}: 1 keys, 1 passed over")), "{healthy:#?}");
    let absent = "http://127.0.0.1:9";
    let found = desk.run(&["doctor", "--issuer", absent, "--insecure-loopback-issuers"]);
    assert_eq!(found.code, Some(5), "{found:#?}");
    assert!(found.stdout.contains("FAIL") && found.stdout.contains(absent), "{found:#?}");
}

#[test]
fn an_issuer_that_may_not_be_asked_stops_the_start() {
    let database = sqlite();
    let (desk, _) = Desk::filled(&database);
    let cases: [(&[&str], i32, &str); 7] = [
        (&["--issuer", "http://127.0.0.1:9"], 5, "only https"),
        (&["--issuer", "http://idp.example", "--insecure-loopback-issuers"], 5, "this machine only"),
        (&["--issuer", "https://idp.example", "--issuer", "https://idp.example"], 5, "twice"),
        (&["--issuer", "idp.example"], 2, "https://"),
        (&["--role-map", "staff=king"], 2, "king"),
        (&["--rate-limit-person", "many"], 2, "100:500"),
        (&["--trusted-proxy", "10.0.0.0/99"], 2, "10.0.0.0/8"),
    ];
    for (args, code, words) in cases {
        let run = desk.run(&[&["serve", "--listen", "127.0.0.1:0"], args].concat());
        assert_eq!(run.code, Some(code), "{run:#?}");
        assert!(run.stderr.contains(words), "{words}: {run:#?}");
    }
    let keys = json!({"issuer": "https://idp.example", "keys": [{"kty": "OKP", "crv": "Ed25519", "x": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"}]});
    std::fs::write(desk.data.join("keys/idp.json"), keys.to_string()).expect("a key file");
    let run = desk.run(&["serve", "--issuer", "https://idp.example"]);
    assert_eq!(run.code, Some(5), "{run:#?}");
    assert!(run.stderr.contains("key file"), "{run:#?}");
}
