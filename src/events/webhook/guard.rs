//! Where a webhook may be sent: https to public addresses on ports 443 and 8443, and nowhere else.
//!
//! The form of an address is judged when it is registered; what its name stands for at each try, by a resolver of our own that hands
//! out only addresses it has checked, and to those alone a connection is made. So a name that points inwards, now or only at the second
//! look, leads nowhere. Every form in which a private address can be written ends up as an address here and is judged as one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::refusal::{FieldCode, Refusal};

/// Ports that may be asked.
const PORTS: [u16; 2] = [443, 8443];
/// Characters of an address at most.
pub const LONGEST: usize = 500;
/// Addresses of one name that are tried at most.
const TRIED: usize = 4;
/// How long a look-up of a name may take.
const LOOK_UP: Duration = Duration::from_secs(5);

/// An address whose form is in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target(String);

fn refused(why: &str) -> Refusal {
    Refusal::field("/url", FieldCode::NotAllowed, why)
}

impl Target {
    /// Reads an address. With `loopback` (for tests) also http to 127.0.0.1 and [::1], on any port.
    ///
    /// Errors: `validation_failed` at `/url`.
    pub fn read(text: &str, loopback: bool) -> Result<Target, Refusal> {
        let uri: Uri = text.parse().map_err(|_| refused("It is not an absolute URL."))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(refused("It is not an absolute URL."));
        };
        if authority.as_str().contains('@') {
            return Err(refused("An address with a name or password in it is not accepted; deliveries are signed."));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let literal: Option<IpAddr> = host.parse().ok();
        if loopback && literal.is_some_and(|address| address.is_loopback()) && matches!(scheme, "http" | "https") {
            return Ok(Target(text.into()));
        }
        if scheme != "https" {
            return Err(refused("Only https is accepted."));
        }
        // By its text: a reader that finds no number there takes the usual port, and another may not.
        let port = authority.as_str().strip_prefix(authority.host()).unwrap_or(":");
        if !port.is_empty() && !PORTS.iter().any(|allowed| port == format!(":{allowed}")) {
            return Err(refused("Only the ports 443 and 8443 are accepted."));
        }
        match literal {
            Some(address) if !is_public(address) => Err(refused("The address is not a public one.")),
            None if !is_name(host) => Err(refused("The host is not a public name.")),
            _ => Ok(Target(text.into())),
        }
    }

    /// The address.
    pub fn url(&self) -> &str {
        &self.0
    }
}

/// A name of the public DNS: labels of letters, digits and hyphens, at least two, the last no number, which some readers take for a part
/// of an IPv4 address, and none of those that stand for this machine or its network.
fn is_name(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let label = |label: &str| {
        let plain = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        (1..=63).contains(&label.len()) && plain && !label.starts_with('-') && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    let inward = ["localhost", "local", "internal", "intranet", "lan", "home", "corp", "localdomain", "arpa", "onion", "test", "invalid"];
    name.len() <= 253 && name.contains('.') && name.split('.').all(label) && !number && !inward.contains(&last)
}

/// Whether an address belongs to a host on the public internet (IANA's special-purpose registries, RFC 6890 and after).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => is_public_v4(four),
        IpAddr::V6(six) => is_public_v6(six),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        // This network, private, loopback, multicast and all above it.
        (0 | 10 | 127 | 224.., ..) => true,
        // Shared by carriers (RFC 6598); link-local with the clouds' metadata; private.
        (100, 64..=127, _) | (169, 254, _) | (172, 16..=31, _) | (192, 168, _) => true,
        // Protocol assignments, documentation, 6to4 relays, AS112 and AMT.
        (192, 0, 0 | 2) | (198, 51, 100) | (203, 0, 113) | (192, 88, 99) | (192, 31, 196) | (192, 52, 193) | (192, 175, 48) => true,
        // Benchmarks.
        (198, 18..=19, _) => true,
        // A cloud's own services behind a public-looking address.
        (168, 63, 129) => true,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    // Global unicast is 2000::/3; all else is loopback, mapped and compatible IPv4, NAT64, unique local, link-local, multicast.
    let [first, second, third, ..] = parts;
    if first & 0xe000 != 0x2000 {
        return false;
    }
    match (first, second) {
        // Teredo, benchmarks, ORCHID and the other protocol assignments; documentation; 6to4, whatever it leads to.
        (0x2001, 0..=0x01ff) | (0x2001, 0x0db8) | (0x2002, _) => false,
        (0x2620, 0x004f) if third == 0x8000 => false,
        (0x3ffe | 0x3fff | 0x5f00, _) => false,
        _ => true,
    }
}

/// Looks names up and hands out only addresses that may be asked.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    /// Whether this machine itself may be asked; for tests.
    pub loopback: bool,
}

impl Guard {
    fn admits(self, address: IpAddr) -> bool {
        is_public(address) || (self.loopback && address.is_loopback())
    }

    /// The addresses of a host that may be asked. One that may not spoils them all: nobody has both by accident.
    pub fn resolve_host(self, host: &str, port: u16) -> Result<Vec<SocketAddr>, &'static str> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let found: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(|_| "host_not_found")?.collect();
        if found.is_empty() {
            return Err("host_not_found");
        }
        if !found.iter().all(|address| self.admits(address.ip())) {
            return Err("address_not_public");
        }
        Ok(found)
    }
}

impl Guard {
    /// As above, on a thread of its own, since the system's look-up can't be told to end.
    fn resolve_in_time(self, host: &str, port: u16) -> Result<Vec<SocketAddr>, &'static str> {
        let (host, (found, answer)) = (host.to_owned(), std::sync::mpsc::channel());
        std::thread::spawn(move || found.send(self.resolve_host(&host, port)));
        answer.recv_timeout(LOOK_UP).unwrap_or(Err("host_not_found"))
    }
}

impl Resolver for Guard {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        let checked = self.resolve_in_time(host, port).map_err(|why| ureq::Error::Other(why.into()))?;
        let mut addresses = self.empty();
        checked.into_iter().take(TRIED).for_each(|address| addresses.push(address));
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests;
