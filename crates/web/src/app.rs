//! All routes of a process as one service.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, response::Response};
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};

use crate::{
    Cors, Metrics, Routes, SocketOrigins, TrustedProxies,
    health::{self, Platform, ReadinessCheck},
    openapi,
    routes::{RouteFacts, Row},
};

/// Which build this is and which process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppInfo {
    /// The program's version: `0.1.0`.
    pub version: String,
    /// The commit it was built from.
    pub commit: String,
    /// When it was built: `2026-11-24_18:00:00` (reference 07 §7.1).
    pub build_time: String,
    /// The id of this process.
    pub instance_id: String,
}

/// What a request may cost and who may ask; the defaults are those of the contract.
#[derive(Debug, Clone)]
pub struct AppOptions {
    /// The largest request body in bytes; 5 MiB (reference 07 §5.1). Above it 413.
    pub body_limit: usize,
    /// How long an answer may take; 30 s. Then 503. An upgraded connection (WebSocket) is not bounded by it.
    pub request_timeout: Duration,
    /// Which other origins browsers may call from.
    pub cors: Cors,
    /// Which pages may open a WebSocket.
    pub socket_origins: SocketOrigins,
    /// The proxies whose word is taken for where a request came from.
    pub trusted_proxies: TrustedProxies,
    /// What `/metrics` shows; without it the path does not exist.
    pub metrics: Option<Metrics>,
    /// The parts without which requests cannot be served; `/ready` asks each of them. See [`AppOptions::needs`].
    pub checks: Vec<ReadinessCheck>,
    /// Paths that are no table of [`Routes`], for example gRPC. They are bounded and logged, but neither guarded nor
    /// counted nor documented.
    pub others: Router,
}

impl Default for AppOptions {
    fn default() -> Self {
        Self {
            body_limit: 5 * 1024 * 1024,
            request_timeout: Duration::from_secs(30),
            cors: Cors::default(),
            socket_origins: SocketOrigins::default(),
            trusted_proxies: TrustedProxies::default(),
            metrics: None,
            checks: Vec::new(),
            others: Router::new(),
        }
    }
}

impl AppOptions {
    /// Names a part without which requests cannot be served, and how to ask whether it is there. The log has the error.
    #[must_use]
    pub fn needs<F, A>(mut self, name: &'static str, ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = kernel::Result<()>> + Send + 'static,
    {
        self.checks.push(ReadinessCheck::new(name, ask));
        self
    }
}

/// All routes of a process with everything around them; cheap to clone. It is a [`tower::Service`], so that a test needs
/// no socket, and what [`crate::Listener`] serves.
#[derive(Clone)]
pub struct App(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) router: Router,
    pub(crate) body_limit: usize,
    pub(crate) request_timeout: Duration,
    pub(crate) cors: Cors,
    pub(crate) socket_origins: SocketOrigins,
    pub(crate) trusted_proxies: TrustedProxies,
    routes: Vec<Arc<RouteFacts>>,
    draining: Arc<AtomicBool>,
}

impl App {
    /// All these routes, with `/health`, `/ready`, `/openapi.json` and `/docs`, under the default options. A table that has
    /// one of these paths itself replaces it.
    ///
    /// Two routes with the same method and path stop the start: the router panics and names them.
    pub fn new(routes: Vec<Routes>, info: AppInfo) -> Self {
        Self::with_options(routes, info, AppOptions::default())
    }

    /// The same under other options.
    pub fn with_options(routes: Vec<Routes>, info: AppInfo, options: AppOptions) -> Self {
        let AppOptions {
            body_limit,
            request_timeout,
            cors,
            socket_origins,
            trusted_proxies,
            metrics,
            checks,
            others,
        } = options;
        let mut rows: Vec<Row<()>> = routes.into_iter().flat_map(Routes::into_rows).collect();
        let replaced = |path| rows.iter().any(|row| row.facts.path == path);
        let own = health::routes(metrics.is_some()).without(replaced);
        let openapi = Bytes::from(document(&rows, &own, &info.version));
        let draining = Arc::new(AtomicBool::new(false));
        let platform = Platform {
            info: Arc::new(info),
            checks: checks.into(),
            draining: Arc::clone(&draining),
            metrics,
            openapi,
        };
        rows.extend(own.with(platform).into_rows());

        let mut router = others;
        let mut facts = Vec::with_capacity(rows.len());
        for Row { facts: route, handlers, .. } in rows {
            router = router.route(route.path, handlers);
            facts.push(route);
        }
        Self(Arc::new(Inner {
            router,
            body_limit,
            request_timeout,
            cors,
            socket_origins,
            trusted_proxies,
            routes: facts,
            draining,
        }))
    }

    /// Every route, for the test that calls them all.
    pub fn routes(&self) -> impl Iterator<Item = &RouteFacts> {
        self.0.routes.iter().map(Arc::as_ref)
    }

    /// From now on `/ready` says no, so that a load balancer stops sending. [`crate::Listener`] calls it on shutdown.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }
}

fn document(rows: &[Row<()>], own: &Routes<Platform>, version: &str) -> Vec<u8> {
    let rows = rows.iter().map(|row| (row.facts.as_ref(), &row.document));
    let document = openapi::document(rows.chain(own.documents()), version);
    serde_json::to_vec(&document).unwrap_or_default()
}

impl tower::Service<Request<Body>> for App {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let app = self.clone();
        async move { Ok(app.answer(request).await) }.boxed()
    }
}
