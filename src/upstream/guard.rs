//! Which addresses a provider's URL may lead to: public ones.
//!
//! A name is resolved once and the connection goes to an address that was checked, so a name cannot change its mind in
//! between (DNS rebinding). An IPv6 address that carries an IPv4 address is judged by that.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Resolves by the system, and hands out public addresses only.
pub(super) struct PublicOnly;

/// The name has addresses, none of them public.
#[derive(Debug, thiserror::Error)]
#[error("the name has no public address")]
pub(super) struct Blocked;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(Blocked.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is of the public internet (the IANA special-purpose registries, RFC 6890).
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = match (a, b, c) {
        (0 | 10 | 127, ..) => true,             // this network, private, loopback
        (100, 64..=127, _) => true,             // carrier-grade NAT
        (169, 254, _) | (192, 168, _) => true,  // link-local (the cloud's metadata), private
        (172, 16..=31, _) => true,              // private
        (192, 0, 0 | 2) => true,                // protocol assignments, documentation
        (192, 88, 99) => true,                  // 6to4 relays
        (198, 18 | 19, _) => true,              // benchmarks
        (198, 51, 100) | (203, 0, 113) => true, // documentation
        (224.., ..) => true,                    // multicast, reserved, broadcast
        _ => false,
    };
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b) {
        (0, 0) if [c, d, e, f] == [0, 0, 0, 0xffff] => v4(g, h), // IPv4-mapped
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => v4(g, h),    // NAT64
        (0x2002, _) => v4(b, c),                                 // 6to4
        (0x2001, 0..=0x1ff | 0xdb8) => false,                    // Teredo and other assignments, documentation
        (0x3fff, 0..=0xfff) => false,                            // documentation
        _ => a & 0xe000 == 0x2000,                               // global unicast
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::is_public;

    #[test]
    fn only_public_addresses_are_public() {
        let public = |text: &str| is_public(text.parse::<IpAddr>().unwrap());

        for good in
            ["8.8.8.8", "172.15.0.1", "100.63.0.1", "192.0.1.1", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8"]
        {
            assert!(public(good), "{good}");
        }
        assert!(public("64:ff9b::808:808") && public("2002:808:808::1"));
        for bad in [
            "0.0.0.0",
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "192.88.99.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::7f00:1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "3fff::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::808:808",
            "fec0::1",
        ] {
            assert!(!public(bad), "{bad}");
        }
    }
}
