//! Failed logins are limited, per account and per address, so that passwords cannot be tried in bulk.
//!
//! Only failures count: a device farm behind one address that logs in correctly is never held up. An account's limit
//! is tied to the address, so that a stranger cannot lock a user out; the address has a wider limit of its own.

use std::{net::IpAddr, sync::Arc, time::Duration};

use kernel::{Error, Kind, Result, Timestamp};
use quick_cache::sync::Cache;

/// How long failures are remembered.
const WINDOW: Duration = Duration::from_secs(60);
/// Failures of one account from one address within the window.
const PER_ACCOUNT: u32 = 10;
/// Failures from one address within the window, whatever the account.
const PER_ADDRESS: u32 = 100;
/// How many keys are remembered; the oldest go first, so that a flood of names costs bounded memory.
const REMEMBERED: usize = 100_000;

/// Counts failures of logins and of other secrets that people type.
#[derive(Clone)]
pub struct FailureLimit(Arc<Cache<Key, Failures>>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Account(IpAddr, Box<str>),
    Address(IpAddr),
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    since: Timestamp,
}

impl FailureLimit {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Cache::new(REMEMBERED)))
    }

    /// Fails with [`Kind::Limited`] where `account` or `address` has failed too often.
    pub fn admit(&self, account: &str, address: IpAddr, now: Timestamp) -> Result<()> {
        let over = |key: &Key, most: u32| {
            self.0.get(key).is_some_and(|f| now.since(f.since) < WINDOW && f.count >= most)
        };
        let account = Key::Account(address, account.into());
        if over(&account, PER_ACCOUNT) || over(&Key::Address(address), PER_ADDRESS) {
            return Err(Error::new(Kind::Limited, "too many failed attempts, try again in a minute"));
        }
        Ok(())
    }

    /// Counts one failure.
    pub fn failed(&self, account: &str, address: IpAddr, now: Timestamp) {
        for key in [Key::Account(address, account.into()), Key::Address(address)] {
            let failures = match self.0.get(&key) {
                Some(f) if now.since(f.since) < WINDOW => Failures { count: f.count.saturating_add(1), ..f },
                _ => Failures { count: 1, since: now },
            };
            self.0.insert(key, failures);
        }
    }

    /// Forgets an account's failures after it has logged in.
    pub fn succeeded(&self, account: &str, address: IpAddr) {
        self.0.remove(&Key::Account(address, account.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_count_and_only_for_a_minute() {
        let limit = FailureLimit::new();
        let (here, there) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let now = Timestamp::from_micros(0);
        for _ in 0..PER_ACCOUNT {
            limit.admit("alice", here, now).unwrap();
            limit.failed("alice", here, now);
        }
        assert_eq!(limit.admit("alice", here, now).unwrap_err().kind(), Kind::Limited);
        limit.admit("alice", there, now).unwrap();
        limit.admit("bob", here, now).unwrap();
        limit.admit("alice", here, now.after(WINDOW)).unwrap();
    }

    #[test]
    fn one_address_cannot_try_many_accounts() {
        let limit = FailureLimit::new();
        let here = IpAddr::from([127, 0, 0, 1]);
        let now = Timestamp::from_micros(0);
        for n in 0..PER_ADDRESS {
            limit.failed(&format!("user{n}"), here, now);
        }
        assert_eq!(limit.admit("fresh", here, now).unwrap_err().kind(), Kind::Limited);
    }
}
