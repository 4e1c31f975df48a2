//! Which addresses a provider may have: `https`, or on this machine `http` where that is allowed outright.

use std::net::IpAddr;

use ureq::http::Uri;

/// Whether it is an absolute address of the web, without a password in it.
pub fn check(text: &str) -> Result<(), String> {
    parts(text).map(|_| ())
}

/// Whether it can be an issuer: as above, with neither query nor fragment (OpenID Connect Discovery 1.0 §2).
pub fn check_issuer(text: &str) -> Result<(), String> {
    let uri = parts(text)?;
    if uri.query().is_some() || text.contains('=') { Err(format!("{text:?}: an issuer has no query")) } else { Ok(()) }
}

/// Whether a provider may be asked there. In the clear it may be asked on this machine only, and where `loopback` allows it.
pub fn may_ask(text: &str, loopback: bool) -> Result<(), String> {
    let uri = parts(text)?;
    match uri.scheme_str() {
        Some("https") => Ok(()),
        _ if !loopback => Err(format!("{text}: only https is accepted (for trials on this machine see --insecure-loopback-issuers)")),
        _ if is_loopback(text) => Ok(()),
        _ => Err(format!("{text}: http is accepted on this machine only, not of another host")),
    }
}

/// Whether a browser may be sent back there after signing in: by https, or to this machine.
pub fn may_come_back(text: &str) -> Result<(), String> {
    let uri = parts(text)?;
    let near = uri.scheme_str() == Some("https") || is_loopback(text);
    if near { Ok(()) } else { Err(format!("{text}: browsers are sent back by https only, or to this machine")) }
}

/// Whether the host is this machine.
pub fn is_loopback(text: &str) -> bool {
    let Ok(uri) = parts(text) else { return false };
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn parts(text: &str) -> Result<Uri, String> {
    let wrong = |why: &str| format!("{text:?}: {why}");
    let uri: Uri = text.parse().map_err(|_| wrong("no address of the web"))?;
    let web = matches!(uri.scheme_str(), Some("https" | "http"));
    if !web || uri.host().is_none_or(str::is_empty) {
        return Err(wrong("an address must begin with https:// and name a host"));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) || text.contains('#') {
        return Err(wrong("an address has neither a user nor a fragment"));
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_this_machine_may_be_asked() {
        assert_eq!(may_ask("https://idp.example/realm", false), Ok(()));
        for local in ["http://127.0.0.1:99/a", "http://localhost:99", "http://[::1]:99/a", "http://127.9.9.9"] {
            assert_eq!(may_ask(local, true), Ok(()), "{local}");
            assert!(may_ask(local, false).is_err(), "{local}");
        }
        for other in ["http://idp.example", "http://127.0.0.1.idp.example", "http://localhost.example", "http://10.0.0.1", "http://0.0.0.0"]
        {
            assert!(may_ask(other, true).is_err(), "{other}");
        }
        for wrong in ["", "idp.example", "ftp://idp.example", "https://", "https://a@idp.example", "https://idp.example/#x", "/a"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert!(
            may_come_back("http://localhost:8080/login/callback").is_ok() && may_come_back("http://books.example/login/callback").is_err()
        );
        assert!(check("https://idp.example/keys?v=1").is_ok() && check_issuer("https://idp.example/keys?v=1").is_err());
    }
}
