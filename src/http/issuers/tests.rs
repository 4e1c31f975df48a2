//! Providers as they should not be: each answer of a small server on this machine, and what is made of it.

use super::*;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

/// A server that answers by path, until it is told to stop.
struct Provider {
    address: String,
    asked: Arc<AtomicUsize>,
    down: Arc<AtomicBool>,
}

/// The status line's end, further headers, and the body, for the path and the server's own address.
type Answer = (&'static str, String, String);

fn provider(answer: impl Fn(&str, &str) -> Answer + Send + 'static) -> Provider {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let (asked, down) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let provider = Provider { address: address.clone(), asked: Arc::clone(&asked), down: Arc::clone(&down) };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            asked.fetch_add(1, Ordering::Relaxed);
            if !down.load(Ordering::Relaxed) {
                serve(stream, |path| answer(path, &address));
            }
        }
    });
    provider
}

fn serve(mut stream: TcpStream, answer: impl Fn(&str) -> Answer) {
    let lines: Vec<String> = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let (status, headers, body) = answer(path);
    // A client that had enough of a long answer hangs up.
    let _ = write!(stream, "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
}

const OK: &str = "200 OK";

fn plain(body: Value) -> Answer {
    (OK, String::new(), body.to_string())
}

fn set(kid: &str) -> Value {
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": URL_SAFE_NO_PAD.encode([7; 32])}, {"kty": "odd"}]})
}

fn terms() -> Terms {
    Terms {
        audience: "almoner".into(),
        roles: RoleRules { claim: "roles".into(), map: Vec::new() },
        loopback: true,
        fresh: Duration::ZERO,
        pause: Duration::from_millis(50),
        stale: Duration::from_secs(3600),
    }
}

fn of(setting: &str, terms: Terms) -> Arc<Issuers> {
    Issuers::new(&[setting.parse().expect("a setting")], terms).expect("issuers")
}

fn ask(setting: &str) -> Result<(usize, usize), String> {
    let found = Client::new(true).ask(&of(setting, terms()).all()[0])?;
    Ok((found.held.keys.len(), found.passed_over.len()))
}

#[test]
fn settings_name_an_issuer_and_perhaps_its_keys() {
    let read = |text: &str| text.parse::<Setting>().map(|setting| (setting.issuer, setting.keys));
    assert_eq!(read("https://idp.example/realm"), Ok(("https://idp.example/realm".into(), None)));
    assert_eq!(
        read("https://idp.example=https://keys.example/k?v=1"),
        Ok(("https://idp.example".into(), Some("https://keys.example/k?v=1".into())))
    );
    for bad in ["", "idp.example", "https://idp.example=keys.example", "https://idp.example?x=1", "https://idp.example=http://"] {
        assert!(read(bad).is_err(), "{bad}");
    }
    let strict = Terms { loopback: false, ..terms() };
    let near: Setting = "http://127.0.0.1:1".parse().expect("a setting");
    assert!(Issuers::new(std::slice::from_ref(&near), strict).is_err_and(|why| why.contains("only https")));
    assert!(Issuers::new(&[near.clone(), near], terms()).is_err_and(|why| why.contains("twice")));
}

#[test]
fn words_become_roles() {
    let rules =
        |map: &[(&str, Role)]| RoleRules { claim: "roles".into(), map: map.iter().map(|(word, role)| ((*word).into(), *role)).collect() };
    let own = rules(&[]);
    assert_eq!(own.roles(["officer", "uma_authorization", "auditor"].into_iter()).to_string(), "officer auditor");
    let mapped = rules(&[("staff", Role::Officer), ("staff", Role::Auditor), ("root", Role::Admin)]);
    assert_eq!(mapped.roles(["staff", "admin"].into_iter()).to_string(), "officer auditor", "a word that is not mapped means nothing");
}

#[test]
fn a_provider_is_discovered_by_its_own_name() {
    let good = provider(|path, address| match path {
        "/.well-known/openid-configuration" => plain(json!({"issuer": address, "jwks_uri": format!("{address}/keys")})),
        "/keys" => plain(set("a")),
        _ => ("404 Not Found", String::new(), String::new()),
    });
    assert_eq!(ask(&good.address), Ok((1, 1)));
    assert_eq!(ask(&format!("{0}={0}/keys", good.address)), Ok((1, 1)));
    assert!(ask(&format!("{}/realm", good.address)).is_err_and(|why| why.contains("404")));
}

#[test]
fn a_provider_that_misleads_is_not_followed() {
    let elsewhere = provider(|_, _| plain(set("stolen")));
    let away = elsewhere.address.clone();
    let liar = provider(move |path, address| match path {
        "/other/.well-known/openid-configuration" => plain(json!({"issuer": "https://idp.example", "jwks_uri": format!("{address}/keys")})),
        "/slash/.well-known/openid-configuration" => {
            plain(json!({"issuer": format!("{address}/slash/"), "jwks_uri": format!("{address}/keys")}))
        }
        "/clear/.well-known/openid-configuration" => {
            plain(json!({"issuer": format!("{address}/clear"), "jwks_uri": "http://idp.example/keys"}))
        }
        "/none/.well-known/openid-configuration" => plain(json!({"issuer": format!("{address}/none")})),
        "/twice/.well-known/openid-configuration" => {
            (OK, String::new(), format!("{{\"issuer\":\"https://idp.example\",\"issuer\":\"{address}/twice\"}}"))
        }
        "/away/.well-known/openid-configuration" => ("302 Found", format!("location: {away}\r\n"), String::new()),
        "/long/.well-known/openid-configuration" => plain(json!({"issuer": format!("{address}/long"), "pad": "x".repeat(70 << 10)})),
        "/page/.well-known/openid-configuration" => (OK, String::new(), "<html>".into()),
        _ => ("500 Internal Server Error", String::new(), String::new()),
    });
    let cases = [
        ("other", "describes the issuer"),
        ("slash", "describes the issuer"),
        ("clear", "this machine only"),
        ("none", "no jwks_uri"),
        ("twice", "twice"),
        ("away", "302"),
        ("long", "limit"),
        ("page", "can't be read"),
        ("down", "500"),
    ];
    for (path, why) in cases {
        let refused = ask(&format!("{}/{path}", liar.address)).expect_err(path);
        assert!(refused.contains(why), "{path}: {refused}");
    }
    assert_eq!(elsewhere.asked.load(Ordering::Relaxed), 0, "no redirect is followed");
}

/// Waits until something holds.
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn keys_are_kept_while_their_provider_is_away_and_not_for_ever() {
    let idp = provider(|_, _| (OK, "cache-control: max-age=0\r\n".into(), set("a").to_string()));
    let issuers = of(&format!("{0}={0}/keys", idp.address), Terms { stale: Duration::from_millis(1500), ..terms() });
    issuers.keep(&Client::new(true), Duration::from_secs(30)).expect("threads");
    let issuer = &issuers.all()[0];
    assert_eq!((issuer.held().keys.len(), issuers.epoch()), (1, 1), "the first answer is waited for");
    idp.down.store(true, Ordering::Relaxed);
    let before = idp.asked.load(Ordering::Relaxed);
    eventually("it is asked in vain", || idp.asked.load(Ordering::Relaxed) > before + 2);
    assert_eq!((issuer.held().keys.len(), issuers.epoch()), (1, 1), "stale keys are good for a time, and nothing has changed");
    eventually("they are dropped", || issuer.held().keys.is_empty());
    assert_eq!(issuers.epoch(), 2);
    idp.down.store(false, Ordering::Relaxed);
    eventually("they are back", || issuer.held().keys.len() == 1);
}

#[test]
fn however_often_keys_are_wanted_a_provider_is_asked_once_in_every_pause() {
    let idp = provider(|_, _| plain(set("a")));
    let issuers = of(&format!("{0}={0}/keys", idp.address), Terms { pause: Duration::from_millis(400), ..terms() });
    issuers.keep(&Client::new(true), Duration::from_secs(30)).expect("threads");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1000) {
        issuers.all()[0].want();
        std::thread::sleep(Duration::from_millis(1));
    }
    let asked = idp.asked.load(Ordering::Relaxed);
    // At 0, 400 and 800 ms, or later where the machine is busy.
    assert!((2..=3 + begun.elapsed().as_millis() as usize / 400).contains(&asked), "{asked}");
    assert_eq!(issuers.epoch(), 1, "the same keys change nothing");
}
