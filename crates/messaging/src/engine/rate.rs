//! Rates: how many messages and bytes somebody may publish in a second.
//!
//! A [`Meter`] is a leaky bucket (GCRA) per quantity, which holds a second's worth and is one number: the time at
//! which it is empty again. A message is taken while the bucket is not full, whatever its own size, so that one that is
//! larger than a second's worth passes, too, and is paid for afterwards. Who is over its rate: with QoS 0, and where
//! nobody can be made to wait, the message is refused; with QoS 1 and 2 it is taken on credit and the publisher must
//! wait, which TCP tells the client. A client of MQTT 5 that would have to wait for long is told so (0x97).
//!
//! A connection has a meter of its own, what comes without a connection one per identity, and each domain one that
//! all of its publishers share. The race it must win: publishers of one domain that charge at once. Each takes its part
//! in one atomic step.

use std::{
    hash::Hash,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use hashbrown::HashMap;
use tokio::time::Instant;

use crate::limits::Rate;
use crate::lock::Lock;

const SECOND: u64 = 1_000_000_000;

/// What a bucket holds, in nanoseconds of its rate.
const BURST: u64 = SECOND;

/// Meters of a table before those that are not used are looked for.
const FEW: usize = 1_024;

/// A rate that is being used up.
#[derive(Debug)]
pub(crate) struct Meter {
    begun: Instant,
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    per_second: NonZeroU64,
    /// When it is empty again, in nanoseconds since the meter has begun.
    empty_at: AtomicU64,
}

impl Meter {
    /// A meter that nothing has been charged to; `None` where there is no limit.
    pub(crate) fn new(rate: Rate, now: Instant) -> Option<Self> {
        let bucket = |rate: Option<NonZeroU64>| {
            rate.map(|per_second| Bucket { per_second, empty_at: AtomicU64::new(0) })
        };
        let (messages, bytes) = (bucket(rate.messages), bucket(rate.bytes));
        (messages.is_some() || bytes.is_some()).then_some(Self { begun: now, messages, bytes })
    }

    /// Charges one message of `bytes`. Returns the moment before which the next should not be taken, `None` if that is
    /// now.
    ///
    /// # Errors
    ///
    /// How long it takes until a message may be charged, where that is longer than `patience`. Nothing is charged.
    pub(crate) fn charge(
        &self,
        bytes: usize,
        now: Instant,
        patience: Duration,
    ) -> Result<Option<Instant>, Duration> {
        let at = nanos(now.saturating_duration_since(self.begun));
        let latest = at.saturating_add(BURST).saturating_add(nanos(patience));
        let charge = |bucket: &Option<Bucket>, amount: u64| match bucket {
            None => Ok(0),
            Some(bucket) => bucket.charge(amount, at, latest),
        };
        let first = charge(&self.messages, 1);
        let full_until = match first {
            Err(full_until) => Err(full_until),
            Ok(first) => match charge(&self.bytes, bytes as u64) {
                Ok(second) => Ok(first.max(second)),
                Err(full_until) => {
                    if let Some(messages) = &self.messages {
                        messages.give_back(1);
                    }
                    Err(full_until)
                }
            },
        };
        let wait =
            |full_until: u64| Duration::from_nanos(full_until.saturating_sub(at.saturating_add(BURST)));
        match full_until {
            Ok(full_until) => {
                Ok(Some(wait(full_until)).filter(|wait| !wait.is_zero()).map(|wait| now + wait))
            }
            Err(full_until) => Err(wait(full_until)),
        }
    }

    /// Takes back what was charged for one message.
    fn give_back(&self, bytes: usize) {
        for (bucket, amount) in [(&self.messages, 1), (&self.bytes, bytes as u64)] {
            if let Some(bucket) = bucket {
                bucket.give_back(amount);
            }
        }
    }

    fn is_empty(&self, now: Instant) -> bool {
        let at = nanos(now.saturating_duration_since(self.begun));
        [&self.messages, &self.bytes].into_iter().flatten().all(|bucket| bucket.empty_at.load(Relaxed) <= at)
    }
}

impl Bucket {
    /// When it is empty after this; `Err`: when it is empty, if that is later than `latest`.
    fn charge(&self, amount: u64, at: u64, latest: u64) -> Result<u64, u64> {
        let cost = self.cost(amount);
        let next = |empty_at: u64| empty_at.max(at).saturating_add(cost);
        let charged = self
            .empty_at
            .fetch_update(Relaxed, Relaxed, |empty_at| (empty_at <= latest).then(|| next(empty_at)));
        charged.map(next)
    }

    fn give_back(&self, amount: u64) {
        let cost = self.cost(amount);
        // Always succeeds.
        let _ = self.empty_at.fetch_update(Relaxed, Relaxed, |empty_at| Some(empty_at.saturating_sub(cost)));
    }

    fn cost(&self, amount: u64) -> u64 {
        let nanos = u128::from(amount) * u128::from(SECOND) / u128::from(self.per_second.get());
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

/// Charges several meters, or none of them.
///
/// # Errors
///
/// As [`Meter::charge`].
pub(crate) fn charge_all(
    meters: [Option<&Meter>; 2],
    bytes: usize,
    now: Instant,
    patience: Duration,
) -> Result<Option<Instant>, Duration> {
    let [first, second] = meters;
    let charge = |meter: Option<&Meter>| meter.map_or(Ok(None), |meter| meter.charge(bytes, now, patience));
    let until = charge(first)?;
    match charge(second) {
        Ok(other) => Ok(until.max(other)),
        Err(wait) => {
            if let Some(first) = first {
                first.give_back(bytes);
            }
            Err(wait)
        }
    }
}

/// A meter for each of many, as long as it is used.
#[derive(Debug)]
pub(crate) struct Meters<K> {
    rate: Rate,
    table: Lock<Table<K>>,
}

#[derive(Debug)]
struct Table<K> {
    meters: HashMap<K, Arc<Meter>>,
    /// With so many, unused ones are looked for.
    most: usize,
}

impl<K: Eq + Hash> Meters<K> {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, table: Lock::new(Table { meters: HashMap::new(), most: FEW }) }
    }

    /// The meter of one; `None` where there is no limit.
    pub(crate) fn of(&self, key: K, now: Instant) -> Option<Arc<Meter>> {
        if self.rate == Rate::default() {
            return None;
        }
        let mut table = self.table.lock();
        if let Some(meter) = table.meters.get(&key) {
            return Some(Arc::clone(meter));
        }
        let meter = Arc::new(Meter::new(self.rate, now)?);
        if table.meters.len() >= table.most {
            // An empty one that nobody holds is as good as a new one.
            table.meters.retain(|_, meter| Arc::strong_count(meter) > 1 || !meter.is_empty(now));
            table.most = FEW.max(table.meters.len() * 2);
        }
        table.meters.insert(key, Arc::clone(&meter));
        Some(meter)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(messages: u64, bytes: u64) -> Rate {
        Rate { messages: NonZeroU64::new(messages), bytes: NonZeroU64::new(bytes) }
    }

    const NONE: Duration = Duration::ZERO;

    #[test]
    fn without_a_limit_there_is_no_meter() {
        assert!(Meter::new(Rate::default(), Instant::now()).is_none());
        assert!(Meters::new(Rate::default()).of(1, Instant::now()).is_none());
    }

    #[test]
    fn a_second_worth_is_taken_at_once_and_then_as_fast_as_the_rate() {
        let now = Instant::now();
        let meter = Meter::new(rate(10, 0), now).unwrap();
        // The last one is taken because the bucket was not over full when it came.
        for _ in 0..11 {
            assert!(meter.charge(1, now, NONE).is_ok());
        }
        assert_eq!(meter.charge(1, now, NONE), Err(Duration::from_millis(100)));
        let later = now + Duration::from_millis(100);
        assert!(meter.charge(1, later, NONE).is_ok());
        assert!(meter.charge(1, later, NONE).is_err());
    }

    #[test]
    fn who_can_wait_is_told_for_how_long_and_within_its_patience_only() {
        let now = Instant::now();
        let meter = Meter::new(rate(0, 1_000), now).unwrap();
        assert_eq!(meter.charge(1_000, now, NONE), Ok(None));
        assert_eq!(
            meter.charge(5_000, now, NONE),
            Ok(Some(now + Duration::from_secs(5))),
            "larger than a second"
        );
        assert_eq!(meter.charge(1, now, Duration::from_secs(4)), Err(Duration::from_secs(5)));
        assert!(meter.charge(1, now, Duration::from_secs(5)).is_ok());
    }

    #[test]
    fn a_message_that_one_meter_refuses_is_charged_to_none() {
        let now = Instant::now();
        let [own, shared] = [rate(100, 100), rate(1, 0)].map(|rate| Meter::new(rate, now).unwrap());
        let both = [Some(&own), Some(&shared)];
        assert!(charge_all(both, 10, now, NONE).is_ok());
        assert!(charge_all(both, 10, now, NONE).is_ok());
        for _ in 0..1_000 {
            assert_eq!(charge_all(both, 10, now, NONE), Err(Duration::from_secs(1)));
        }
        assert!(own.charge(10, now, NONE).is_ok());
    }

    #[test]
    fn meters_that_nobody_uses_are_forgotten() {
        let now = Instant::now();
        let meters = Meters::new(rate(1, 0));
        let held = meters.of(0, now).unwrap();
        for key in 1..20_000 {
            let meter = meters.of(key, now).unwrap();
            if key == 1 {
                assert!(meter.charge(1, now, NONE).is_ok());
            }
        }
        let table = meters.table.lock();
        assert!(table.meters.len() <= 2 * FEW, "{}", table.meters.len());
        assert!(Arc::ptr_eq(&held, &table.meters[&0]));
        assert!(table.meters.contains_key(&1), "it is not empty yet");
    }

    proptest! {
        /// In any time of `t` seconds at most `rate * (t + 1)` messages pass, and one more.
        #[test]
        fn no_sequence_of_messages_is_faster_than_the_rate(
            pauses in prop::collection::vec(0_u64..300, 1..200),
            per_second in 1_u64..50,
        ) {
            let start = Instant::now();
            let meter = Meter::new(rate(per_second, 0), start).unwrap();
            let (mut now, mut passed) = (start, 0_u64);
            for pause in pauses {
                now += Duration::from_millis(pause);
                passed += u64::from(meter.charge(1, now, NONE).is_ok());
                let nanos = u64::try_from((now - start).as_nanos()).unwrap();
                prop_assert!(passed <= per_second + 1 + nanos * per_second / SECOND + 1);
            }
        }
    }
}
