//! What `/metrics` shows of decisions (reference 08 §9). Handles are kept, so that a decision looks no label up.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use http::StatusCode;
use metrics::{Counter, Histogram};

/// The counters of decisions.
pub(crate) struct Counts {
    allowed: Counter,
    denied: Counter,
    hits: Counter,
    misses: Counter,
    hit: AtomicU64,
    missed: AtomicU64,
    requests: [[Counter; STATUSES.len()]; Endpoint::ALL.len()],
    durations: Histogram,
    evaluations: Histogram,
}

/// What brokers ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    User,
    Acl,
    Superuser,
}

impl Endpoint {
    const ALL: [Self; 3] = [Self::User, Self::Acl, Self::Superuser];

    const fn path(self) -> &'static str {
        match self {
            Self::User => "/mqtt/user",
            Self::Acl => "/mqtt/acl",
            Self::Superuser => "/mqtt/superuser",
        }
    }
}

/// The statuses of these endpoints.
const STATUSES: [StatusCode; 5] = [
    StatusCode::OK,
    StatusCode::BAD_REQUEST,
    StatusCode::FORBIDDEN,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::INTERNAL_SERVER_ERROR,
];

impl Counts {
    pub(crate) fn new(policy: &'static str) -> Self {
        let decisions = |allowed: &'static str| metrics::counter!("policy_decisions_total", "policy" => policy, "allowed" => allowed);
        Self {
            allowed: decisions("true"),
            denied: decisions("false"),
            hits: metrics::counter!("policy_cache_hits_total"),
            misses: metrics::counter!("policy_cache_misses_total"),
            hit: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            requests: Endpoint::ALL.map(|endpoint| {
                STATUSES.map(|status| {
                    let status = status.as_u16().to_string();
                    metrics::counter!("policy_requests_total", "endpoint" => endpoint.path(), "status" => status)
                })
            }),
            durations: metrics::histogram!("policy_request_duration_seconds"),
            evaluations: metrics::histogram!("policy_evaluation_duration_seconds"),
        }
    }

    pub(crate) fn decision(&self, allowed: bool) {
        if allowed { self.allowed.increment(1) } else { self.denied.increment(1) }
    }

    /// A decision that was remembered.
    pub(crate) fn hit(&self, allowed: bool) {
        self.decision(allowed);
        self.hits.increment(1);
        self.hit.fetch_add(1, Ordering::Relaxed);
    }

    /// A question of a broker that was answered.
    pub(crate) fn request(&self, endpoint: Endpoint, status: StatusCode, took: Duration) {
        let place = STATUSES.iter().position(|known| *known == status);
        let row =
            Endpoint::ALL.iter().position(|known| *known == endpoint).and_then(|row| self.requests.get(row));
        if let Some(counter) = row.zip(place).and_then(|(row, place)| row.get(place)) {
            counter.increment(1);
        }
        self.durations.record(took.as_secs_f64());
    }

    /// A decision that was made, and how long that took.
    pub(crate) fn miss(&self, allowed: bool, took: Duration) {
        self.decision(allowed);
        self.evaluations.record(took.as_secs_f64());
        self.misses.increment(1);
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    /// Hits and misses since the start.
    pub(crate) fn of_cache(&self) -> (u64, u64) {
        (self.hit.load(Ordering::Relaxed), self.missed.load(Ordering::Relaxed))
    }
}
