//! Failed attempts at secrets are limited, per account and address and per address, so that none can be tried in bulk.
//!
//! An attempt takes one of the places that are left before the secret is looked at, and gives it back when it was right:
//! so many attempts at once are no way around, and whoever shows the right secret is not held up by its own attempts.
//! Where all places are taken by attempts that are still being looked at, the next one waits for their outcome; only
//! where they have failed is it refused. An account's limit is tied to the address, so that a stranger cannot lock
//! somebody out from elsewhere. The address has a wide limit of its own against the trying of many accounts; while it
//! is reached nobody behind that address gets in, which is why it is wide.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kernel::{ClientId, Error, Result, Timestamp, UserId};
use quick_cache::sync::Cache;
use tokio::sync::Notify;
use web::Network;

/// How long failures are remembered.
const WINDOW: Duration = Duration::from_secs(60);
/// Failed attempts for one account from one address within the window.
const PER_ACCOUNT: u32 = 10;
/// Failed attempts from one address within the window, whatever the account.
const PER_ADDRESS: u32 = 1000;
/// How many keys are remembered, about 150 bytes each; the least used go first, so that a flood of names costs bounded
/// memory.
const REMEMBERED: usize = 100_000;

/// Whose secret an attempt is at, or what is used that must not be used often. Each kind has its own names, so that
/// nothing that somebody chooses, such as a client's id, can be counted for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Account<'a> {
    /// A user, however it is called.
    User(UserId),
    /// A name that no user has.
    Nobody(&'a str),
    /// A client.
    Client(ClientId),
    /// A device that fetches its configuration by this id, whether there is one or not.
    Device(&'a str),
    /// The registration of users by themselves.
    Registration,
    /// Mails with a link to a new password, to this address in lower case.
    Reset(&'a str),
    /// Mails that verify the address of this user.
    Verification(UserId),
}

/// Counts attempts at logins and at other secrets.
#[derive(Clone)]
pub struct FailureLimit(Arc<Inner>);

struct Inner {
    counts: Cache<u128, Arc<Count>>,
    /// Two keyed hashes make the keys: short, whatever the name's length, and not to be collided on purpose.
    hashers: (RandomState, RandomState),
}

/// The attempts of one account from one address, or of one address.
struct Count {
    most: u32,
    state: Mutex<State>,
    settled: Notify,
}

#[derive(Debug, Clone, Copy)]
struct State {
    failed: u32,
    pending: u32,
    since: Timestamp,
}

/// What becomes of an attempt that asks for a place.
enum Turn {
    Taken,
    Wait,
    /// Too many have failed; until there is a place again.
    Refused(Duration),
}

impl Count {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, now: Timestamp) -> Turn {
        let mut state = self.state();
        if now.since(state.since) >= WINDOW {
            state.failed = 0;
            state.since = now;
        }
        if state.failed >= self.most {
            return Turn::Refused(WINDOW.saturating_sub(now.since(state.since)));
        }
        if state.failed + state.pending >= self.most {
            return Turn::Wait;
        }
        state.pending += 1;
        Turn::Taken
    }

    async fn take(self: &Arc<Self>, now: Timestamp) -> Result<Place> {
        loop {
            let settled = self.settled.notified();
            match self.turn(now) {
                Turn::Taken => return Ok(Place { count: Arc::clone(self), failed: true, afresh: false }),
                // A notice between the look and the wait is not lost: the future counts from its making.
                Turn::Wait => settled.await,
                Turn::Refused(wait) => return Err(refused(wait)),
            }
        }
    }

    fn spend(&self, now: Timestamp) -> Result<()> {
        match self.turn(now) {
            Turn::Taken => {
                let mut state = self.state();
                state.pending = state.pending.saturating_sub(1);
                state.failed = state.failed.saturating_add(1);
                Ok(())
            }
            Turn::Wait => Err(refused(Duration::from_secs(1))),
            Turn::Refused(wait) => Err(refused(wait)),
        }
    }
}

fn refused(wait: Duration) -> Error {
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    Error::limited(format!("too many failed attempts, try again in {seconds} seconds"), wait)
}

/// A place that is taken. It is given back with a failure unless said otherwise.
struct Place {
    count: Arc<Count>,
    failed: bool,
    afresh: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.count.state();
        state.pending = state.pending.saturating_sub(1);
        if self.afresh {
            state.failed = 0;
        }
        if self.failed {
            state.failed = state.failed.saturating_add(1);
        }
        drop(state);
        self.count.settled.notify_waiters();
    }
}

/// An attempt whose secret is being looked at. Dropped, it has failed.
#[must_use = "an attempt that is dropped at once counts as failed at once"]
pub struct Attempt {
    account: Option<Place>,
    address: Place,
}

impl Attempt {
    /// The secret was right: nothing is counted, and the account starts afresh.
    pub fn succeeded(mut self) {
        self.settle(false, true);
    }

    /// Nobody could say whether the secret was right: nothing is counted.
    pub fn undecided(mut self) {
        self.settle(false, false);
    }

    fn settle(&mut self, failed: bool, afresh: bool) {
        if let Some(place) = &mut self.account {
            (place.failed, place.afresh) = (failed, afresh);
        }
        self.address.failed = failed;
    }
}

impl FailureLimit {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            counts: Cache::new(REMEMBERED),
            hashers: (RandomState::new(), RandomState::new()),
        }))
    }

    /// Begins an attempt at the secret of `account`, or at one that names no account; waits while too many others are
    /// undecided. Fails with [`kernel::Kind::Limited`] where the account or the address has failed too often.
    pub async fn attempt(
        &self,
        account: Option<Account<'_>>,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Attempt> {
        let address = Network::of_caller(address);
        let account = match account {
            Some(account) => Some(self.place((Some(account), address), PER_ACCOUNT, now).await?),
            None => None,
        };
        match self.place((None, address), PER_ADDRESS, now).await {
            Ok(address) => Ok(Attempt { account, address }),
            Err(error) => {
                // It was not tried.
                if let Some(mut place) = account {
                    place.failed = false;
                }
                Err(error)
            }
        }
    }

    /// Counts one use of what must not be used often, such as a mail that is sent: as a failed attempt, and without
    /// waiting for others. Fails with [`kernel::Kind::Limited`] as [`FailureLimit::attempt`] does.
    pub fn admit(&self, account: Account<'_>, address: IpAddr, now: Timestamp) -> Result<()> {
        let address = Network::of_caller(address);
        self.count((Some(account), address), PER_ACCOUNT, now).spend(now)?;
        self.count((None, address), PER_ADDRESS, now).spend(now)
    }

    async fn place(&self, of: (Option<Account<'_>>, IpAddr), most: u32, now: Timestamp) -> Result<Place> {
        self.count(of, most, now).take(now).await
    }

    fn count(&self, of: (Option<Account<'_>>, IpAddr), most: u32, now: Timestamp) -> Arc<Count> {
        let fresh = || {
            let state = Mutex::new(State { failed: 0, pending: 0, since: now });
            Ok::<_, std::convert::Infallible>(Arc::new(Count { most, state, settled: Notify::new() }))
        };
        let Ok(count) = self.0.counts.get_or_insert_with(&self.key(of), fresh);
        count
    }

    fn key(&self, of: (Option<Account<'_>>, IpAddr)) -> u128 {
        let (high, low) = &self.0.hashers;
        (u128::from(high.hash_one(of)) << 64) | u128::from(low.hash_one(of))
    }
}

#[cfg(test)]
mod tests {
    use kernel::Kind;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const NOW: Timestamp = Timestamp::from_micros(0);

    #[tokio::test]
    async fn only_failures_count_and_only_for_a_minute() {
        let limit = FailureLimit::new();
        let there = IpAddr::from([127, 0, 0, 2]);
        let alice = |address, now| limit.attempt(Some(Account::Nobody("alice")), address, now);
        for _ in 0..100 {
            alice(HERE, NOW).await.unwrap().succeeded();
            alice(HERE, NOW).await.unwrap().undecided();
        }
        for _ in 0..PER_ACCOUNT {
            drop(alice(HERE, NOW).await.unwrap());
        }
        let later = NOW.after(Duration::from_secs(45));
        let refused = alice(HERE, later).await.err().unwrap();
        assert_eq!(refused.kind(), Kind::Limited);
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(15)));
        alice(there, NOW).await.unwrap().succeeded();
        limit.attempt(Some(Account::Nobody("bob")), HERE, NOW).await.unwrap().succeeded();
        alice(HERE, NOW.after(WINDOW)).await.unwrap().succeeded();
    }

    #[tokio::test]
    async fn one_address_cannot_try_many_accounts() {
        let limit = FailureLimit::new();
        for n in 0..PER_ADDRESS {
            drop(limit.attempt(Some(Account::Nobody(&format!("user{n}"))), HERE, NOW).await.unwrap());
        }
        for account in [Some(Account::Nobody("fresh")), None] {
            assert_eq!(limit.attempt(account, HERE, NOW).await.err().unwrap().kind(), Kind::Limited);
        }
    }

    #[tokio::test]
    async fn attempts_at_once_wait_for_each_other_and_the_right_ones_get_in() {
        let limit = FailureLimit::new();
        let mut open = Vec::new();
        for _ in 0..PER_ACCOUNT {
            open.push(limit.attempt(Some(Account::Nobody("device")), HERE, NOW).await.unwrap());
        }
        let mut next = Box::pin(limit.attempt(Some(Account::Nobody("device")), HERE, NOW));
        assert!(ready(next.as_mut()).is_none(), "all places are taken");
        open.pop().unwrap().succeeded();
        next.await.unwrap().succeeded();
    }

    /// The outcome, if it is there without waiting.
    fn ready<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(outcome) => Some(outcome),
            std::task::Poll::Pending => None,
        }
    }
}
