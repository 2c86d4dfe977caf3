//! The documentation page: three embedded files that draw `/openapi.json`. Nothing is loaded from another host.

use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderName, HeaderValue, header};

/// Only our own files, and no script or style inside the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) async fn page() -> Response {
    let policy = (header::CONTENT_SECURITY_POLICY, POLICY);
    ([policy, (header::CONTENT_TYPE, "text/html; charset=utf-8")], include_str!("docs/index.html"))
        .into_response()
}

/// Whoever types the bare address into a browser wants to read.
pub(crate) async fn door() -> Redirect {
    Redirect::to("/docs")
}

pub(crate) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("docs/docs.js"))
}

pub(crate) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("docs/docs.css"))
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, text).into_response()
}
