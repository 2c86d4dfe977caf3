//! Counting: the recorder behind `/metrics`, and the handles that each route keeps.

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use http::StatusCode;
use kernel::{Error, Result};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

/// What the process counts, as Prometheus text. Whatever crate uses the `metrics` macros is in it.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    gather: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Metrics {
    /// Installs the recorder, once per process; later calls return the same. Routes that were made before it count
    /// nothing, so call it first.
    pub fn install() -> Result<Self> {
        static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = &*installed {
            return Ok(Self { handle: handle.clone(), gather: None });
        }
        // 0.5 ms to 10 s: from a cached view to the request timeout's neighbourhood.
        let buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        // 20 µs to 10 s: what passes a message on is far below what answers a request.
        let quick = [
            0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0,
            10.0,
        ];
        let handle = PrometheusBuilder::new()
            .set_quantiles(&[0.5, 0.9, 0.99])
            .and_then(|b| b.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &buckets))
            .and_then(|b| b.set_buckets_for_metric(Matcher::Prefix("messaging_".to_owned()), &quick))
            .and_then(PrometheusBuilder::install_recorder)
            .map_err(Error::internal)?;
        *installed = Some(handle.clone());
        Ok(Self { handle, gather: None })
    }

    /// Runs `gather` before each rendering: for numbers that somebody keeps for itself, because it counts too often to
    /// go through the recorder.
    #[must_use]
    pub fn gathering(mut self, gather: impl Fn() + Send + Sync + 'static) -> Self {
        self.gather = Some(Arc::new(gather));
        self
    }

    /// The text of `/metrics`.
    pub fn render(&self) -> String {
        if let Some(gather) = &self.gather {
            gather();
        }
        self.handle.render()
    }

    /// Folds what the histograms have collected, every five seconds until `shutdown`: without it they grow.
    pub async fn upkeep(self, shutdown: CancellationToken) {
        let mut every = tokio::time::interval(Duration::from_secs(5));
        while shutdown.run_until_cancelled(every.tick()).await.is_some() {
            self.handle.run_upkeep();
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// The handles of one route, so that a request looks no label up.
pub(crate) struct RouteMetrics {
    service: &'static str,
    operation_id: &'static str,
    requests: metrics::Counter,
    latency: metrics::Histogram,
    durations: [OnceLock<metrics::Histogram>; STATUSES.len()],
    other: OnceLock<metrics::Histogram>,
}

/// The statuses that the platform sends; any other is counted as `other`.
const STATUSES: [u16; 18] =
    [200, 201, 202, 204, 302, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 501, 503];

impl RouteMetrics {
    pub(crate) fn new(service: &'static str, operation_id: &'static str) -> Self {
        let space = service.replace('-', "_");
        // Both names and the unit of the second are upstream's (reference 07 §7.2).
        let requests = metrics::counter!(format!("{space}_api_request_count"), "method" => operation_id);
        let latency = metrics::histogram!(format!("{space}_api_request_latency_microseconds"), "method" => operation_id);
        let durations = [const { OnceLock::new() }; STATUSES.len()];
        Self { service, operation_id, requests, latency, durations, other: OnceLock::new() }
    }

    /// Counts one answered request.
    pub(crate) fn count(&self, status: StatusCode, duration: Duration) {
        let seconds = duration.as_secs_f64();
        self.requests.increment(1);
        self.latency.record(seconds);
        let place = STATUSES.iter().position(|known| *known == status.as_u16());
        let (cell, label) = match place.and_then(|place| self.durations.get(place)) {
            Some(cell) => (cell, status.as_str()),
            None => (&self.other, "other"),
        };
        cell.get_or_init(|| self.durations_with(label)).record(seconds);
    }

    fn durations_with(&self, status: &str) -> metrics::Histogram {
        metrics::histogram!(
            "http_request_duration_seconds",
            "service" => self.service,
            "method" => self.operation_id,
            "status" => status.to_owned(),
        )
    }
}

impl fmt::Debug for RouteMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RouteMetrics")
    }
}
