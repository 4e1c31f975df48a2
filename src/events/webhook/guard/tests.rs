//! Addresses that lead inwards in every form they have been written in, and some that do not.

use super::*;

/// Refused when they are registered.
const HOSTILE: &[&str] = &[
    "http://example.org/",
    "ftp://example.org/",
    "file:///etc/passwd",
    "gopher://example.org:443/",
    "https:///path",
    "//example.org/",
    "/hooks",
    "example.org",
    "",
    "https://",
    "https://user@example.org/",
    "https://user:secret@example.org/",
    "https://example.org@127.0.0.1/",
    "https://example.org:22/",
    "https://example.org:80/",
    "https://example.org:8080/",
    "https://example.org:0/",
    "https://example.org:99999/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://api.localhost/",
    "https://printer.local/",
    "https://metadata.google.internal/",
    "https://intranet/",
    "https://db.corp/",
    "https://1.0.0.127.in-addr.arpa/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://2130706433/",
    "https://017700000001/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://127.0.0.1./",
    "https://0.0.0.0/",
    "https://0/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://172.31.255.255:8443/",
    "https://192.168.1.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.64.0.1/",
    "https://100.100.100.200/",
    "https://168.63.129.16/",
    "https://192.0.2.1/",
    "https://198.51.100.7/",
    "https://203.0.113.9/",
    "https://198.18.0.1/",
    "https://192.0.0.192/",
    "https://192.88.99.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://240.0.0.1/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b:1::a00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2002:c0a8:101::1]/",
    "https://[2001:0:7f00:1::]/",
    "https://[2001:db8::1]/",
    "https://[3fff::1]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fec0::1]/",
    "https://[fc00::1]/",
    "https://[fd00:ec2::254]/",
    "https://[ff02::1]/",
    "https://[100::1]/",
    "https://exa mple.org/",
    "https://exam_ple.org/",
    "https://-a.example.org/",
    "https://example..org/",
    "https://ⓛocalhost/",
    "https://example.org:443:443/",
];

#[test]
fn what_leads_inwards_is_refused() {
    for url in HOSTILE {
        let refused = Target::read(url, false).map_err(|refusal| refusal.errors.first().map(|error| error.code));
        assert_eq!(refused.map(|target| target.0), Err(Some(FieldCode::NotAllowed)), "{url}");
    }
}

#[test]
fn what_is_public_is_taken_and_loopback_only_for_tests() {
    for url in [
        "https://example.org/hooks?x=1",
        "https://example.org",
        "https://hooks.example.org:8443/a",
        "https://1e100.net/",
        "https://93.184.216.34/",
        "https://[2606:2800:220:1:248:1893:25c8:1946]/",
        "https://xn--bcher-kva.example/",
        "https://0x7f.com/",
    ] {
        assert!(Target::read(url, false).is_ok(), "{url}");
    }
    for url in ["http://127.0.0.1:9/", "http://[::1]:8080/x", "https://127.0.0.1:1/"] {
        assert!(Target::read(url, true).is_ok() && Target::read(url, false).is_err(), "{url}");
    }
    for url in ["http://localhost/", "http://10.0.0.1/", "http://user@127.0.0.1/", "ftp://127.0.0.1/"] {
        assert!(Target::read(url, true).is_err(), "{url}");
    }
}

#[test]
fn what_a_name_stands_for_is_judged_when_it_is_asked() {
    let (strict, lenient) = (Guard { loopback: false }, Guard { loopback: true });
    // This machine's own name for itself, as a hostile DNS answer would have it; and forms that only the resolver understands.
    for host in ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::1]", "::ffff:127.0.0.1", "10.1.2.3", "169.254.169.254"]
    {
        assert!(strict.resolve_host(host, 443).is_err(), "{host}");
    }
    assert!(lenient.resolve_host("127.0.0.1", 80).is_ok_and(|found| found.iter().all(|address| address.ip().is_loopback())));
    assert!(lenient.resolve_host("10.1.2.3", 80).is_err() && lenient.resolve_host("::ffff:10.0.0.1", 80).is_err());
    assert!(strict.resolve_host("93.184.216.34", 443).is_ok());
}
