//! Failed logins are limited, per account and per address, so that passwords cannot be tried in bulk.
//!
//! An attempt counts before the password is looked at, and is taken back when it was right: so many attempts at once
//! are no way around, and whoever logs in correctly is not held up by its own logins. An account's limit is tied to the
//! address, so that a stranger cannot lock a user out from elsewhere. The address has a wide limit of its own against
//! the trying of many accounts; while it is reached nobody behind that address logs in, which is why it is wide.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kernel::{Error, Kind, Result, Timestamp};
use quick_cache::sync::Cache;

/// How long attempts are remembered.
const WINDOW: Duration = Duration::from_secs(60);
/// Failed attempts for one account from one address within the window.
const PER_ACCOUNT: u32 = 10;
/// Failed attempts from one address within the window, whatever the account.
const PER_ADDRESS: u32 = 1000;
/// How many keys are remembered, about 100 bytes each; the least used go first, so that a flood of names costs bounded
/// memory.
const REMEMBERED: usize = 100_000;

/// Counts attempts at logins and at other secrets that people type.
#[derive(Clone)]
pub struct FailureLimit(Arc<Inner>);

struct Inner {
    counts: Cache<u128, Arc<Mutex<Attempts>>>,
    /// Two keyed hashes make the keys: short, whatever the name's length, and not to be collided on purpose.
    hashers: (RandomState, RandomState),
}

#[derive(Debug, Clone, Copy)]
struct Attempts {
    count: u32,
    since: Timestamp,
}

impl FailureLimit {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            counts: Cache::new(REMEMBERED),
            hashers: (RandomState::new(), RandomState::new()),
        }))
    }

    /// Counts an attempt; fails with [`Kind::Limited`] where `account` or `address` has failed too often.
    pub fn admit(&self, account: &str, address: IpAddr, now: Timestamp) -> Result<()> {
        let address = network(address);
        if self.count((Some(account), address), PER_ACCOUNT, now)
            && self.count((None, address), PER_ADDRESS, now)
        {
            return Ok(());
        }
        Err(Error::new(Kind::Limited, "too many failed attempts, try again in a minute"))
    }

    /// Takes an attempt back that was right; the account starts afresh.
    pub fn succeeded(&self, account: &str, address: IpAddr) {
        let address = network(address);
        self.0.counts.remove(&self.key((Some(account), address)));
        if let Some(attempts) = self.0.counts.get(&self.key((None, address))) {
            let mut attempts = attempts.lock().unwrap_or_else(PoisonError::into_inner);
            attempts.count = attempts.count.saturating_sub(1);
        }
    }

    /// One more attempt, if there may be one more.
    fn count(&self, of: (Option<&str>, IpAddr), most: u32, now: Timestamp) -> bool {
        let fresh =
            || Ok::<_, std::convert::Infallible>(Arc::new(Mutex::new(Attempts { count: 0, since: now })));
        let Ok(attempts) = self.0.counts.get_or_insert_with(&self.key(of), fresh);
        let mut attempts = attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(attempts.since) >= WINDOW {
            *attempts = Attempts { count: 0, since: now };
        }
        if attempts.count >= most {
            return false;
        }
        attempts.count += 1;
        true
    }

    fn key(&self, of: (Option<&str>, IpAddr)) -> u128 {
        let (high, low) = &self.0.hashers;
        (u128::from(high.hash_one(of)) << 64) | u128::from(low.hash_one(of))
    }
}

/// What one caller has of addresses: a whole /64 in IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn only_failures_count_and_only_for_a_minute() {
        let limit = FailureLimit::new();
        let there = IpAddr::from([127, 0, 0, 2]);
        let now = Timestamp::from_micros(0);
        for _ in 0..100 {
            limit.admit("alice", HERE, now).unwrap();
            limit.succeeded("alice", HERE);
        }
        for _ in 0..PER_ACCOUNT {
            limit.admit("alice", HERE, now).unwrap();
        }
        assert_eq!(limit.admit("alice", HERE, now).unwrap_err().kind(), Kind::Limited);
        limit.admit("alice", there, now).unwrap();
        limit.admit("bob", HERE, now).unwrap();
        limit.admit("alice", HERE, now.after(WINDOW)).unwrap();
    }

    #[test]
    fn one_address_cannot_try_many_accounts() {
        let limit = FailureLimit::new();
        let now = Timestamp::from_micros(0);
        for n in 0..PER_ADDRESS {
            limit.admit(&format!("user{n}"), HERE, now).unwrap();
        }
        assert_eq!(limit.admit("fresh", HERE, now).unwrap_err().kind(), Kind::Limited);
    }

    #[test]
    fn a_whole_network_is_one_address() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
