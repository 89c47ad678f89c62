//! How many connections one address may have at the same time, so that one client cannot take them all. This machine itself
//! may have any number: whoever is on it is trusted, or is a proxy.

use crate::sync::lock;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

pub(super) struct Addresses {
    /// 0 is unlimited.
    most: u32,
    open: Mutex<HashMap<IpAddr, OpenConnections>>,
}

#[derive(Default)]
struct OpenConnections {
    count: u32,
    /// Whether the log has it that there were too many.
    is_reported: bool,
}

/// A connection's part of what its address may have, for as long as it lives. None where nothing is counted.
pub(super) struct Share {
    of: Option<(Arc<Addresses>, IpAddr)>,
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some((addresses, address)) = &self.of {
            let mut open = lock(&addresses.open);
            if let Some(here) = open.get_mut(address) {
                here.count -= 1;
                if here.count == 0 {
                    open.remove(address);
                }
            }
        }
    }
}

impl Addresses {
    pub fn new(most: u32) -> Self {
        Self {
            most,
            open: Mutex::default(),
        }
    }

    /// Room for one more connection from an address; none when it has as many as it may.
    pub fn enter(self: &Arc<Self>, from: IpAddr) -> Option<Share> {
        let address = network(from);
        if self.most == 0 || address.is_loopback() {
            return Some(Share { of: None });
        }
        let mut open = lock(&self.open);
        let here = open.entry(address).or_default();
        if here.count >= self.most {
            if !std::mem::replace(&mut here.is_reported, true) {
                tracing::warn!(%address, most = self.most, "an address has too many connections; more are closed");
            }
            return None;
        }
        here.count += 1;
        Some(Share {
            of: Some((Arc::clone(self), address)),
        })
    }
}

/// What counts as one address: of IPv6 a client has a whole network of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn address_share_is_per_address() {
        let addresses = Arc::new(Addresses::new(2));
        let one = addresses.enter(at("192.0.2.1")).unwrap();
        let _two = addresses.enter(at("::ffff:192.0.2.1")).unwrap();
        assert!(addresses.enter(at("192.0.2.1")).is_none());
        let _other = addresses.enter(at("192.0.2.2")).unwrap();
        drop(one);
        let _three = addresses.enter(at("192.0.2.1")).unwrap();
        assert!(addresses.enter(at("192.0.2.1")).is_none());
    }

    #[test]
    fn address_share_of_an_ipv6_network_is_one() {
        let addresses = Arc::new(Addresses::new(1));
        let _one = addresses.enter(at("2001:db8::1")).unwrap();
        assert!(addresses.enter(at("2001:db8::ffff:2")).is_none());
        assert!(addresses.enter(at("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn address_share_does_not_count_this_machine_or_without_a_limit() {
        let addresses = Arc::new(Addresses::new(1));
        let unlimited = Arc::new(Addresses::new(0));
        let shares: Vec<_> = (0..100)
            .flat_map(|_| {
                [
                    addresses.enter(at("127.0.0.1")),
                    addresses.enter(at("::1")),
                    addresses.enter(at("::ffff:127.0.0.1")),
                    unlimited.enter(at("192.0.2.1")),
                ]
            })
            .collect();
        assert!(shares.iter().all(Option::is_some));
    }

    #[test]
    fn address_share_of_an_address_without_requests_is_forgotten() {
        let addresses = Arc::new(Addresses::new(5));
        for last in 0..=255 {
            let _share = addresses.enter(IpAddr::from([192, 0, 2, last])).unwrap();
        }
        assert!(addresses.open.lock().unwrap().is_empty());
    }
}
