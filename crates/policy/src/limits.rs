//! How much one broker may ask in a second, and how many credentials may fail there (reference 08 §13, 10).
//!
//! Both are counted per address, each by a bucket that holds a second's worth. Above the first rate questions are refused
//! unread. Credentials count when they have failed. While too many have, a new one is not looked at, but all that is known
//! goes on: tokens that were verified, and logins. So whoever tries tokens through a broker takes a bounded part of our time,
//! and nothing from those who are connected.
//!
//! The answer is never a no that a broker would remember.

use std::{
    net::IpAddr,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use kernel::Timestamp;
use metrics::Counter;
use quick_cache::sync::Cache;
use web::Network;

use crate::service::Outcome;

/// What a bucket holds, in nanoseconds of its rate.
const BURST: i64 = 1_000_000_000;
/// How many addresses are remembered, about 100 bytes each; the least used go first.
const REMEMBERED: usize = 10_000;

/// What one address may do in a second; `None`: as much as it likes.
#[derive(Debug, Clone, Copy)]
pub struct LimitOptions {
    /// Questions. 50,000: several times what a busy broker asks.
    pub questions: Option<NonZeroU64>,
    /// Credentials that fail. 1,000: verifying so many takes some hundredths of a core.
    pub failures: Option<NonZeroU64>,
}

impl Default for LimitOptions {
    fn default() -> Self {
        Self { questions: NonZeroU64::new(50_000), failures: NonZeroU64::new(1_000) }
    }
}

/// The rates of all addresses.
pub(crate) struct Limits {
    questions: Rate,
    failures: Rate,
}

struct Rate {
    /// Nanoseconds that one takes; none: no limit.
    each: Option<i64>,
    meters: Cache<IpAddr, Arc<Meter>>,
    refused: Counter,
    words: &'static str,
}

/// When the bucket is empty again, in nanoseconds since 1970.
#[derive(Debug, Default)]
struct Meter(AtomicI64);

impl Limits {
    pub(crate) fn new(options: LimitOptions) -> Self {
        let rate = |per_second: Option<NonZeroU64>, limit: &'static str, words| Rate {
            each: per_second.map(|per_second| BURST / i64::try_from(per_second.get()).unwrap_or(BURST)),
            meters: Cache::new(REMEMBERED),
            refused: metrics::counter!("policy_limited_total", "limit" => limit),
            words,
        };
        Self {
            questions: rate(options.questions, "questions", "too many questions"),
            failures: rate(options.failures, "failures", "too many failed attempts"),
        }
    }

    /// Takes one question from this address, or refuses it.
    pub(crate) fn question(&self, from: IpAddr, now: Timestamp) -> Result<(), Outcome> {
        self.questions.take(from, now)
    }

    /// Whether a credential from this address may be looked at.
    pub(crate) fn attempt(&self, from: IpAddr, now: Timestamp) -> Result<(), Outcome> {
        self.failures.look(from, now)
    }

    /// Counts a credential from this address that has failed.
    pub(crate) fn failed(&self, from: IpAddr, now: Timestamp) {
        // One that began before others failed may come late; it has had its look.
        let _ = self.failures.charge(from, now);
    }
}

impl Rate {
    fn take(&self, from: IpAddr, now: Timestamp) -> Result<(), Outcome> {
        self.charge(from, now).map_err(|wait| self.refusal(wait))
    }

    fn look(&self, from: IpAddr, now: Timestamp) -> Result<(), Outcome> {
        let Some(each) = self.each else { return Ok(()) };
        let Some(meter) = self.meters.get(&Network::of_caller(from)) else { return Ok(()) };
        let at = nanos(now);
        next(meter.0.load(Ordering::Relaxed), at, each).map(drop).map_err(|wait| self.refusal(wait))
    }

    fn charge(&self, from: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let Some(each) = self.each else { return Ok(()) };
        let fresh = || Ok::<_, std::convert::Infallible>(Arc::default());
        let Ok(meter) = self.meters.get_or_insert_with(&Network::of_caller(from), fresh);
        let at = nanos(now);
        let charged = |empty_at| next(empty_at, at, each).ok();
        match meter.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, charged) {
            Ok(_) => Ok(()),
            Err(empty_at) => next(empty_at, at, each).map(drop),
        }
    }

    fn refusal(&self, wait: Duration) -> Outcome {
        self.refused.increment(1);
        Outcome::limited(self.words, wait)
    }
}

fn nanos(now: Timestamp) -> i64 {
    now.micros().saturating_mul(1000)
}

/// When the bucket is empty after one more; `Err`: how long until there is room for one.
fn next(empty_at: i64, at: i64, each: i64) -> Result<i64, Duration> {
    let full_at = at.saturating_add(BURST);
    // A bucket that is fuller than it can be was filled before the clock was set back.
    let empty_at = if empty_at > full_at { at } else { empty_at.max(at) };
    let after = empty_at.saturating_add(each);
    if after <= full_at {
        return Ok(after);
    }
    Err(Duration::from_nanos(after.saturating_sub(full_at).unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn limits(questions: u64, failures: u64) -> Limits {
        Limits::new(LimitOptions {
            questions: NonZeroU64::new(questions),
            failures: NonZeroU64::new(failures),
        })
    }

    fn granted(limits: &Limits, from: IpAddr, now: Timestamp, asked: usize) -> usize {
        (0..asked).filter(|_| limits.question(from, now).is_ok()).count()
    }

    #[test]
    fn an_address_gets_its_rate_and_a_second_of_it_at_once() {
        let limits = limits(5_000, 0);
        assert_eq!(granted(&limits, HERE, NOW, 6_000), 5_000);
        let refused = limits.question(HERE, NOW).unwrap_err();
        assert_eq!(refused.words(), "too many questions, try again in 1 seconds");
        assert_eq!(granted(&limits, "10.0.0.1".parse().unwrap(), NOW, 6_000), 5_000, "others have their own");
        let later = NOW.after(Duration::from_millis(100));
        assert_eq!(granted(&limits, HERE, later, 6_000), 500);
        assert_eq!(granted(&limits, HERE, NOW.after(Duration::from_secs(60)), 6_000), 5_000);
    }

    #[test]
    fn a_broker_below_its_rate_is_never_refused() {
        let limits = limits(5_000, 0);
        for asked in 0..20_000 {
            limits.question(HERE, NOW.after(Duration::from_micros(200 * asked))).unwrap();
        }
    }

    #[test]
    fn a_clock_that_is_set_back_holds_up_nobody() {
        let limits = limits(10, 0);
        assert_eq!(granted(&limits, HERE, NOW, 20), 10);
        assert_eq!(granted(&limits, HERE, NOW.before(Duration::from_secs(3600)), 20), 10);
    }

    #[test]
    fn only_credentials_that_fail_count() {
        let limits = limits(0, 3);
        for _ in 0..100 {
            limits.attempt(HERE, NOW).unwrap();
        }
        for _ in 0..5 {
            limits.failed(HERE, NOW);
        }
        let refused = limits.attempt(HERE, NOW).unwrap_err();
        assert_eq!(refused.words(), "too many failed attempts, try again in 1 seconds");
        limits.attempt(HERE, NOW.after(Duration::from_millis(334))).unwrap();
        limits.question(HERE, NOW).unwrap();
    }

    #[test]
    fn a_flood_of_addresses_costs_bounded_memory() {
        let limits = limits(1, 0);
        for number in 0..100_000_u32 {
            let _ = limits.question(IpAddr::from(number.to_be_bytes()), NOW);
        }
        assert!(limits.questions.meters.len() <= REMEMBERED);
    }
}
