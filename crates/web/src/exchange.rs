//! One request and its answer: what happens around every handler.

use std::{panic::AssertUnwindSafe, time::Duration};

use axum::{
    body::Body,
    extract::{OriginalUri, Request},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http::{HeaderValue, Method, StatusCode, Uri, header, uri::PathAndQuery};
use http_body_util::{BodyExt, Limited};
use hyper::body::Body as _;
use kernel::Kind;
use tokio::time::Instant;
use tower::Service;
use tracing::Instrument;

use crate::{
    App, Connection, Error, Guard, RequestId,
    error::{Report, write_body},
    extract, request_id,
};

/// A body that is too large, by no more than so many times, is read and dropped before it is refused.
const DISCARDED: u64 = 4;
/// And for no longer than this.
const DISCARDED_WITHIN: Duration = Duration::from_secs(5);

impl App {
    /// Answers one request. It never fails: whatever goes wrong inside becomes an answer.
    pub async fn answer(&self, mut request: Request) -> Response {
        let started = Instant::now();
        let guard = Guard::new(RequestId::of(request.headers()));
        let method = request.method().clone();
        let mut connection = request.extensions().get::<Connection>().copied().unwrap_or_default();
        connection.peer = self.0.trusted_proxies.origin(connection.peer, request.headers());
        request.extensions_mut().insert(connection);
        let encrypted = connection.tls;
        let origin =
            if self.0.cors.needs_origin() { request.headers().get(header::ORIGIN).cloned() } else { None };
        let span = tracing::info_span!("request", request_id = %guard.request_id());

        let answered = if method == Method::OPTIONS {
            Ok(preflight())
        } else {
            request.extensions_mut().insert(guard.clone());
            self.dispatch(request).instrument(span).await
        };
        let mut response = answered.unwrap_or_else(IntoResponse::into_response);
        let report = settle(&guard, &mut response);
        if method == Method::HEAD {
            empty(&mut response);
        }
        self.add_headers(&guard, &method, origin.as_ref(), encrypted, &mut response);
        let duration = started.elapsed();
        if let Some(route) = guard.route() {
            route.metrics.count(response.status(), duration);
        }
        log(&guard, &method, response.status(), duration, report.as_ref());
        response
    }

    /// Bounds the request and hands it to the router.
    async fn dispatch(&self, mut request: Request) -> Result<Response, Error> {
        if !self.0.socket_origins.admit(request.uri(), request.headers()) {
            let text =
                "a page of another host opens no WebSocket here unless its origin is named by the operator";
            return Err(kernel::Error::new(Kind::Denied, text).into());
        }
        strip_trailing_slash(&mut request);
        let request = self.bound_body(request).await?;
        let limit = self.0.request_timeout;
        let answer = AssertUnwindSafe(self.0.router.clone().call(request)).catch_unwind();
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(Ok(response))) => Ok(response),
            Ok(Err(panic)) => Err(kernel::Error::internal(panic_text(panic.as_ref())).into()),
            Err(_) => {
                let text =
                    format!("the answer took longer than {} seconds and was given up", limit.as_secs());
                Err(kernel::Error::new(Kind::Unavailable, text).into())
            }
        }
    }

    /// Refuses a body that says it is too large, and counts one that does not say.
    async fn bound_body(&self, request: Request) -> Result<Request, Error> {
        let limit = self.0.body_limit;
        let hint = request.body().size_hint();
        let most = u64::try_from(limit).unwrap_or(u64::MAX);
        if hint.lower() > most {
            let is_on_its_way = !request.headers().contains_key(header::EXPECT);
            if is_on_its_way && hint.lower() <= most.saturating_mul(DISCARDED) {
                discard(request.into_body()).await;
            }
            return Err(extract::too_large(limit));
        }
        // hyper holds a body to the length that it announced.
        Ok(if hint.exact().is_some() {
            request
        } else {
            request.map(|body| Body::new(Limited::new(body, limit)))
        })
    }

    /// The headers of reference 07 §5.1, on every answer.
    fn add_headers(
        &self,
        guard: &Guard,
        method: &Method,
        origin: Option<&HeaderValue>,
        encrypted: bool,
        response: &mut Response,
    ) {
        let headers = response.headers_mut();
        headers.insert(request_id::HEADER, guard.request_id().header().clone());
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        if encrypted {
            let two_years = HeaderValue::from_static("max-age=63072000; includeSubdomains");
            headers.insert(header::STRICT_TRANSPORT_SECURITY, two_years);
        }
        self.0.cors.allow(origin, method == Method::OPTIONS, headers);
    }
}

/// Reads a body to its end and keeps nothing of it: who is still sending when the connection closes does not get to read
/// the answer.
async fn discard(mut body: Body) {
    let read = async { while let Some(Ok(_)) = body.frame().await {} };
    let _in_time = tokio::time::timeout(DISCARDED_WITHIN, read).await;
}

/// Any `OPTIONS` is a 200 without a body (reference 07 §5.1).
fn preflight() -> Response {
    (StatusCode::OK, [(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))]).into_response()
}

/// A path with a trailing slash is the path without it (reference 07 §8.2). The original stays as [`OriginalUri`].
fn strip_trailing_slash(request: &mut Request) {
    let uri = request.uri();
    let Some(path) = uri.path().strip_suffix('/').filter(|path| !path.is_empty()) else { return };
    let shorter = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path.to_owned()),
    };
    let Ok(shorter) = shorter else { return };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(shorter);
    let Ok(shorter) = Uri::from_parts(parts) else { return };
    let original = std::mem::replace(request.uri_mut(), shorter);
    request.extensions_mut().insert(OriginalUri(original));
}

/// Makes the answer what it has to be: proof of authorization, the declared status, a body for every error.
fn settle(guard: &Guard, response: &mut Response) -> Option<Report> {
    let failed = |status: StatusCode| status.is_client_error() || status.is_server_error();
    if !failed(response.status()) && !guard.holds() {
        let unproven = "the handler answered without the authorization that its route declares";
        *response = Error::from(kernel::Error::internal(unproven)).into_response();
    }
    if response.status() == StatusCode::OK
        && let Some(route) = guard.route()
    {
        *response.status_mut() = route.status;
    }
    let report = response.extensions_mut().remove::<Report>();
    let id = guard.request_id().as_str();
    match &report {
        Some(Report(error)) => error.render(id, response),
        None if failed(response.status()) && lacks_body(response) => {
            let (message, detail) = bare_words(guard, response.status());
            write_body(message, detail, id, response);
        }
        None => {}
    }
    report
}

/// Errors of the router and of handlers that answer a bare status: no body, or plain text.
fn lacks_body(response: &Response) -> bool {
    response.headers().get(header::CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"))
}

fn bare_words(guard: &Guard, status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::NOT_FOUND if guard.route().is_none() => ("page not found", "no such path, see /docs"),
        StatusCode::METHOD_NOT_ALLOWED => {
            ("method not allowed", "see the Allow header for what this path takes")
        }
        other => {
            let words = other.canonical_reason().unwrap_or("error");
            (words, words)
        }
    }
}

/// An answer to `HEAD` says how long its body would be, and has none.
fn empty(response: &mut Response) {
    let body = std::mem::take(response.body_mut());
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the handler panicked: {}", text.unwrap_or("no message"))
}

/// The one line per request, outside its span so that the id stands in it once. Never the query, a header or a body: they
/// may hold secrets.
fn log(guard: &Guard, method: &Method, status: StatusCode, duration: Duration, report: Option<&Report>) {
    let route = guard.route().map_or("-", |route| route.path);
    let request_id = guard.request_id().as_str();
    let duration_ms = duration.as_secs_f64() * 1000.0;
    let status = status.as_u16();
    let Some(Report(error)) = report else {
        tracing::info!(%method, route, status, duration_ms, request_id, "request");
        return;
    };
    let chain = error.chain();
    let (error, cause) = (error.public(), Some(chain.as_str()).filter(|chain| !chain.is_empty()));
    if status >= 500 {
        tracing::error!(%method, route, status, duration_ms, request_id, error, cause, "request");
    } else {
        tracing::info!(%method, route, status, duration_ms, request_id, error, cause, "request");
    }
}
