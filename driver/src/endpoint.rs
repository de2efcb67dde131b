//! Socket addresses as the core stores them: 16 bytes of IPv6 address, 2 of port.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use quorate_core::Endpoint;

/// The endpoint of a socket address; an IPv4 address is mapped into IPv6 (RFC 4291 §2.5.5.2).
#[must_use]
pub fn endpoint_of(address: SocketAddr) -> Endpoint {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(&ip.octets());
    bytes[16..].copy_from_slice(&address.port().to_be_bytes());
    Endpoint(bytes)
}

/// The socket address of an endpoint; a mapped IPv4 address comes back as IPv4. Scope and flow
/// label of an IPv6 address are not kept, so link-local addresses cannot be used.
#[must_use]
pub fn address_of(endpoint: Endpoint) -> SocketAddr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&endpoint.0[..16]);
    let ip = Ipv6Addr::from(octets).to_canonical();
    SocketAddr::new(ip, u16::from_be_bytes([endpoint.0[16], endpoint.0[17]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_come_back() {
        for text in ["127.0.0.1:9001", "10.1.2.3:1", "[::1]:65535", "[2001:db8::7]:80"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(address_of(endpoint_of(address)), address);
        }
    }

    #[test]
    fn endpoints_differ_by_port() {
        let one = endpoint_of("127.0.0.1:1".parse().unwrap());
        assert_ne!(one, endpoint_of("127.0.0.1:2".parse().unwrap()));
    }
}
