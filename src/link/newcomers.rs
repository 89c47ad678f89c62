//! Machines that have not proved yet that they are nodes: how many connections they may have, and how often the log may name them. So
//! they keep neither the listener's room from nodes nor the disk from the server.

use crate::sync::lock;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Their connections at a time, and those of one network: an address of IPv4, or what one customer has of IPv6.
const CONNECTIONS: usize = 256;
const OF_NETWORK: usize = 32;

/// Lines of the log about them in a [`WINDOW`].
const LINES: u32 = 20;
const WINDOW: Duration = Duration::from_secs(60);

/// Those that are connected.
#[derive(Default)]
pub(super) struct Newcomers {
    by_network: Mutex<BTreeMap<IpAddr, usize>>,
    log: Mutex<Option<LogWindow>>,
}

struct LogWindow {
    since: Instant,
    lines: u32,
    left_out: u32,
}

/// A connection that counts, until it is dropped.
pub(super) struct Newcomer {
    all: Arc<Newcomers>,
    network: IpAddr,
}

impl Newcomers {
    /// Counts a connection; none if there are enough.
    pub fn register(self: &Arc<Self>, peer: IpAddr) -> Option<Newcomer> {
        let network = network_of(peer);
        let mut known = lock(&self.by_network);
        let here = known.get(&network).copied().unwrap_or(0);
        if here >= OF_NETWORK || known.values().sum::<usize>() >= CONNECTIONS {
            return None;
        }
        known.insert(network, here + 1);
        Some(Newcomer {
            all: Arc::clone(self),
            network,
        })
    }

    /// Whether one more line may be logged about them; with it, how many lines were left out since the last one.
    pub fn log_line(&self) -> Option<u32> {
        let mut log = lock(&self.log);
        let now = Instant::now();
        let window = log.get_or_insert(LogWindow {
            since: now,
            lines: 0,
            left_out: 0,
        });
        if now.duration_since(window.since) >= WINDOW {
            window.since = now;
            window.lines = 0;
        }
        if window.lines >= LINES {
            window.left_out = window.left_out.saturating_add(1);
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.left_out))
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        let mut known = lock(&self.all.by_network);
        if let Some(count) = known.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                known.remove(&self.network);
            }
        }
    }
}

fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newcomers_of_one_network_leave_room_for_others() {
        let all = Arc::new(Newcomers::default());
        let address = |number: u16| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, number));
        let mut known: Vec<_> = (0..32).map(|number| all.register(address(number)).unwrap()).collect();
        assert!(all.register(address(99)).is_none());
        let elsewhere: IpAddr = "192.0.2.8".parse().unwrap();
        assert!(all.register(elsewhere).is_some());
        known.pop();
        assert!(all.register(address(99)).is_some());
    }

    #[test]
    fn newcomers_are_few_whatever_their_networks() {
        let all = Arc::new(Newcomers::default());
        let registered = |number: u8| all.register(IpAddr::from([192, 0, 2, number]));
        let known: Vec<_> = (0..=255).map(|number| registered(number).unwrap()).collect();
        assert!(all.register(IpAddr::from([198, 51, 100, 1])).is_none());
        drop(known);
        assert!(lock(&all.by_network).is_empty());
    }

    #[test]
    fn newcomers_are_logged_with_a_limit() {
        let all = Newcomers::default();
        for _ in 0..LINES {
            assert_eq!(all.log_line(), Some(0));
        }
        assert_eq!((all.log_line(), all.log_line()), (None, None));
        lock(&all.log).as_mut().unwrap().since -= WINDOW;
        assert_eq!(all.log_line(), Some(2));
    }
}
