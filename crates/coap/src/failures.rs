//! Wrong credentials from addresses that may be made up.
//!
//! The gate counts failed attempts by address, and refuses one that has failed too often. Over UDP anybody can fail in the
//! name of another. So an address that has failed a few times is asked whether it is there, and is let in front of the
//! gate again when it has answered: what is made up costs its victim no more than these few.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// Failures after which an address must show that it is there: well below what the gate takes.
const FEW: u32 = 3;
/// How long they count.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered; with more, all begin afresh.
const REMEMBERED: usize = 10_000;

/// Failures by address; for IPv6 by network, of which one caller has all addresses.
#[derive(Debug, Default)]
pub(crate) struct Failures(HashMap<IpAddr, (u32, Instant)>);

impl Failures {
    /// Remembers a failure.
    pub(crate) fn note(&mut self, address: IpAddr, now: Instant) {
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        let (count, since) = self.0.entry(network(address)).or_insert((0, now));
        if now.duration_since(*since) >= WINDOW {
            (*count, *since) = (0, now);
        }
        *count = count.saturating_add(1);
    }

    /// Whether an address must show that it is there before it may try again.
    pub(crate) fn are_too_many(&self, address: IpAddr, now: Instant) -> bool {
        let found = self.0.get(&network(address));
        found.is_some_and(|(count, since)| *count >= FEW && now.duration_since(*since) < WINDOW)
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_failures_of_a_network_count_for_a_minute() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        for _ in 0..FEW {
            assert!(!failures.are_too_many(at("2001:db8::1"), now));
            failures.note(at("2001:db8::2"), now);
        }
        assert!(failures.are_too_many(at("2001:db8::1"), now));
        assert!(!failures.are_too_many(at("2001:db8:0:1::1"), now));
        assert!(!failures.are_too_many(at("2001:db8::1"), now + WINDOW));
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for n in 0..50_000_u32 {
            failures.note(IpAddr::from(n.to_be_bytes()), now);
        }
        assert!(failures.0.len() <= REMEMBERED);
    }
}
