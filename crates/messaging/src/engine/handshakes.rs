//! Room for connections that have not got their CONNACK yet.
//!
//! Whoever opens connections and says nothing takes up this room for the length of a handshake. The race it must win is
//! that for the last place: those of one address may take a part of the room only, so that others still find some. An
//! address of IPv6 counts as its network of 64 bits, of which a single host usually has all.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use hashbrown::HashMap;

use crate::lock::Lock;

/// The places, and who has them.
#[derive(Debug)]
pub(crate) struct Handshakes {
    most: usize,
    most_of_one: usize,
    taken: Lock<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    handshakes: Arc<Handshakes>,
    /// `None`: the peer is a proxy that has not said yet whom it connects for.
    address: Option<IpAddr>,
}

impl Handshakes {
    /// `most`: places in all; `most_of_one`: those of one address.
    pub(crate) fn new(most: usize, most_of_one: usize) -> Self {
        Self { most, most_of_one, taken: Lock::default() }
    }

    /// A place for a connection of which nobody knows yet where it comes from.
    pub(crate) fn begin_unnamed(self: &Arc<Self>) -> Option<Place> {
        let mut taken = self.taken.lock();
        if taken.all >= self.most {
            return None;
        }
        taken.all += 1;
        Some(Place { handshakes: Arc::clone(self), address: None })
    }

    /// A place for a connection from `peer`; `None`: there is none for it.
    pub(crate) fn begin(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let address = network(peer);
        let mut taken = self.taken.lock();
        if taken.all >= self.most {
            return None;
        }
        let of_one = taken.by_address.entry(address).or_insert(0);
        if *of_one >= self.most_of_one {
            return None;
        }
        *of_one += 1;
        taken.all += 1;
        Some(Place { handshakes: Arc::clone(self), address: Some(address) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.handshakes.taken.lock();
        taken.all -= 1;
        let Some(address) = &self.address else { return };
        if let Some(of_one) = taken.by_address.get_mut(address) {
            *of_one -= 1;
            if *of_one == 0 {
                taken.by_address.remove(address);
            }
        }
    }
}

/// What counts as one address.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_room_for_others_and_places_come_back() {
        let handshakes = Arc::new(Handshakes::new(3, 2));
        let [one, other] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let first = handshakes.begin(one).unwrap();
        let _second = handshakes.begin(one).unwrap();
        assert!(handshakes.begin(one).is_none(), "its part of the room is taken");
        let _third = handshakes.begin(other).unwrap();
        assert!(handshakes.begin(other).is_none(), "all of the room is taken");
        assert!(handshakes.begin_unnamed().is_none());
        drop(first);
        assert!(handshakes.begin(other).is_some());
        assert_eq!(handshakes.taken.lock().by_address.len(), 2);
    }

    #[test]
    fn an_address_of_version_6_counts_as_its_network() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
        assert_ne!(network("10.0.0.1"), network("10.0.0.2"));
    }
}
