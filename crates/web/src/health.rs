//! Is it alive, is it ready, how is it doing: the routes that every service has besides its own.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use http::{StatusCode, header};
use serde::Serialize;

use crate::{AppInfo, Connection, Json, Metrics, Route, Routes, Rule, docs};

/// What the routes of this file show.
#[derive(Clone)]
pub(crate) struct Platform {
    pub(crate) info: Arc<AppInfo>,
    pub(crate) checks: Arc<[ReadinessCheck]>,
    pub(crate) draining: Arc<AtomicBool>,
    pub(crate) metrics: Option<Metrics>,
    pub(crate) openapi: Bytes,
}

type Ask = dyn Fn() -> BoxFuture<'static, kernel::Result<()>> + Send + Sync;

/// One part without which the program cannot serve, and how to ask for it.
#[derive(Clone)]
pub struct ReadinessCheck {
    name: &'static str,
    ask: Arc<Ask>,
}

impl ReadinessCheck {
    /// The part's name, as `/ready` shows it, and how to ask; the log has the error.
    pub fn new<F, A>(name: &'static str, ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = kernel::Result<()>> + Send + 'static,
    {
        Self { name, ask: Arc::new(move || ask().boxed()) }
    }
}

impl fmt::Debug for ReadinessCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The routes that every service has.
pub(crate) fn routes(with_metrics: bool) -> Routes<Platform> {
    let routes = Routes::new("platform")
        .add(
            Route::get("/health", health)
                .named("health")
                .rule(Rule::Public("a probe has no account"))
                .summary("Say that the process is alive")
                .description("Never asks the database; add `?ready` or call `/ready` for that.")
                .answers::<Health>(200),
        )
        .add(
            Route::get("/ready", ready)
                .named("ready")
                .rule(Rule::Public("a probe has no account"))
                .summary("Say whether requests can be served now")
                .description(
                    "503 while a part that is needed is out of reach, or while the process shuts down.",
                )
                .answers::<Readiness>(200),
        )
        .add(
            Route::get("/openapi.json", openapi)
                .named("openapi")
                .rule(Rule::Public("the API itself is no secret"))
                .summary("This document")
                .answers_bytes(200, "application/json"),
        )
        .add(
            Route::get("/", docs::door)
                .named("door")
                .rule(Rule::Public("the API itself is no secret"))
                .summary("Lead to the documentation page")
                .answers_empty(303),
        )
        .add(
            Route::get("/docs", docs::page)
                .named("docs")
                .rule(Rule::Public("the API itself is no secret"))
                .summary("This document as a page")
                .answers_bytes(200, "text/html"),
        )
        .add(
            Route::get("/docs/docs.js", docs::script)
                .named("docs_script")
                .rule(Rule::Public("the API itself is no secret"))
                .summary("The script of the documentation page")
                .answers_bytes(200, "text/javascript"),
        )
        .add(
            Route::get("/docs/docs.css", docs::style)
                .named("docs_style")
                .rule(Rule::Public("the API itself is no secret"))
                .summary("The style of the documentation page")
                .answers_bytes(200, "text/css"),
        );
    if !with_metrics {
        return routes;
    }
    routes.add(
        Route::get("/metrics", metrics)
            .named("metrics")
            .rule(Rule::Public("counts only; keep the port away from strangers"))
            .summary("Show what the process counts, as Prometheus text")
            .answers_bytes(200, "text/plain"),
    )
}

// The six fields of reference 07 §7.1.
/// The process is alive.
#[derive(Serialize, utoipa::ToSchema)]
struct Health<'a> {
    /// Always `pass`.
    status: &'static str,
    /// The program's version.
    version: &'a str,
    /// The commit it was built from.
    commit: &'a str,
    /// The service whose port was asked: `clients service`.
    description: String,
    /// When it was built.
    build_time: &'a str,
    /// The id of this process.
    instance_id: &'a str,
}

async fn health(State(platform): State<Platform>, from: Connection, RawQuery(query): RawQuery) -> Response {
    let wants_ready =
        |query: &str| query.split('&').any(|part| part == "ready" || part.starts_with("ready="));
    if query.as_deref().is_some_and(wants_ready) {
        return ready(State(platform)).await;
    }
    let info = &*platform.info;
    let health = Health {
        status: "pass",
        version: &info.version,
        commit: &info.commit,
        description: format!("{} service", from.service),
        build_time: &info.build_time,
        instance_id: &info.instance_id,
    };
    let mut response = Json(health).into_response();
    let kind = http::HeaderValue::from_static("application/health+json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Whether requests can be served now.
#[derive(Serialize, utoipa::ToSchema)]
struct Readiness {
    /// `ready`, `not ready`, or `draining` while the process shuts down.
    status: &'static str,
    /// The parts that are out of reach.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<&'static str>,
}

async fn ready(State(platform): State<Platform>) -> Response {
    if platform.draining.load(Ordering::Relaxed) {
        let answer = Readiness { status: "draining", missing: Vec::new() };
        return (StatusCode::SERVICE_UNAVAILABLE, Json(answer)).into_response();
    }
    let asked = platform.checks.iter().map(|check| async { ((check.ask)().await, check.name) });
    let mut missing = Vec::new();
    for (answer, name) in futures_util::future::join_all(asked).await {
        if let Err(error) = answer {
            tracing::warn!(part = name, error = %error, cause = error.chain(), "not ready");
            missing.push(name);
        }
    }
    let (code, status) = if missing.is_empty() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    (code, Json(Readiness { status, missing })).into_response()
}

async fn metrics(State(platform): State<Platform>) -> Response {
    let text = platform.metrics.as_ref().map(Metrics::render).unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn openapi(State(platform): State<Platform>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], platform.openapi).into_response()
}
