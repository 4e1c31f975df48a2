//! Where a request comes from: the other end of the connection, or what proxies that are trusted say of it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use actix_web::HttpRequest;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Addresses that begin alike: `10.0.0.0/8`, or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u32,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let wrong = || format!("{text:?} is neither an address nor a network such as 10.0.0.0/8");
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let first: IpAddr = address.parse().map_err(|_| wrong())?;
        let all = width(first);
        let bits = bits.map_or(Ok(all), str::parse).ok().filter(|bits| *bits <= all).ok_or_else(wrong)?;
        Ok(Network { first, bits })
    }
}

impl Network {
    fn has(&self, address: IpAddr) -> bool {
        let shift = width(address) - self.bits.min(width(address));
        let head = |address: IpAddr| number(address).checked_shr(shift).unwrap_or(0);
        self.first.is_ipv4() == address.is_ipv4() && head(self.first) == head(address)
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// Whom the request counts against: one address, or of IPv6 the network of 64 bits that one customer has. Proxies are gone through from the
/// nearest one, as long as each is trusted; what stands further out may be anybody's invention.
pub fn of(request: &HttpRequest, proxies: &[Network]) -> Option<IpAddr> {
    let mut address = request.peer_addr()?.ip().to_canonical();
    let said: Vec<&str> = request.headers().get_all(FORWARDED_FOR).filter_map(|value| value.to_str().ok()).collect();
    for hop in said.iter().flat_map(|line| line.split(',')).rev() {
        if !proxies.iter().any(|proxy| proxy.has(address)) {
            break;
        }
        let Some(further) = read(hop.trim()) else { break };
        address = further.to_canonical();
    }
    Some(match address {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & (u128::MAX << 64)).into(),
        v4 => v4,
    })
}

/// An address, alone or with a port.
fn read(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| hop.parse().ok().map(|socket: SocketAddr| socket.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn seen(peer: &str, said: &[&str]) -> String {
        let proxies = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network"));
        let peer = SocketAddr::new(peer.parse().expect("an address"), 999);
        let request =
            said.iter().fold(TestRequest::default().peer_addr(peer), |request, line| request.append_header((FORWARDED_FOR, *line)));
        of(&request.to_http_request(), &proxies).expect("an address").to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(seen("192.0.2.7", &["198.51.100.1"]), "192.0.2.7", "a stranger says what it likes");
        assert_eq!(seen("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(seen("127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("127.0.0.1", &["203.0.113.9, 198.51.100.1"]), "198.51.100.1", "the rest is the stranger's own words");
        assert_eq!(seen("127.0.0.1", &["203.0.113.9, 198.51.100.1:4711, 10.1.2.3"]), "198.51.100.1");
        assert_eq!(seen("127.0.0.1", &["203.0.113.9", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("127.0.0.1", &["nonsense"]), "127.0.0.1");
        assert_eq!(seen("fd00::1", &["[2001:db8:1:2:3:4:5:6]:443"]), "2001:db8:1:2::");
        assert_eq!(seen("::ffff:127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn networks_are_read_strictly() {
        assert_eq!("0.0.0.0/0".parse::<Network>().map(|all| all.has([1, 2, 3, 4].into())), Ok(true));
        for bad in ["", "10", "10.0.0.0/33", "10.0.0.0/", "::/129", "localhost"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
