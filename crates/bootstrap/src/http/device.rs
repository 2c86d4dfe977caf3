//! What devices ask over HTTP (reference 04 §3.3).

use access::RequestInfo;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, header};
use kernel::{Error, Kind, Result, Secret};
use web::{Json, Path, Route, Routes, Rule};

use super::views::DeviceView;
use crate::Bootstrap;

const BY_KEY: Rule = Rule::Public("a device shows the external key of its configuration");

pub(super) fn routes() -> Routes<Bootstrap> {
    Routes::new("bootstrap")
        .add(
            Route::get("/clients/bootstrap", without_id)
                .named("bootstrap_without_id")
                .rule(Rule::Public("says that the external id is missing"))
                .summary("Say that the external id is missing"),
        )
        .add(
            Route::get("/clients/bootstrap/{external_id}", fetch)
                .named("bootstrap")
                .rule(BY_KEY)
                .summary("Fetch the configuration of a device, with `Authorization: Client <external key>`")
                .answers::<DeviceView>(200),
        )
        .add(
            Route::get("/clients/bootstrap/secure/{external_id}", fetch_secure)
                .named("bootstrap_secure")
                .rule(BY_KEY)
                .summary("Fetch the configuration of a device, encrypted")
                .description("The key is shown as hexadecimal digits of `IV ‖ AES-CFB128(key)`; so is the answer, as bytes.")
                .answers_bytes(200, "application/octet-stream"),
        )
}

/// What follows `Client `, or `Thing ` of agents before 2026.
fn shown(headers: &HeaderMap) -> Result<Secret<String>> {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let key = header.strip_prefix("Client ").or_else(|| header.strip_prefix("Thing "));
    match key.filter(|key| !key.is_empty()) {
        Some(key) => Ok(Secret::new(key.to_owned())),
        None => Err(Error::new(Kind::Unauthenticated, "missing or invalid bearer entity key")),
    }
}

async fn without_id() -> web::Result<Response> {
    Err(Error::invalid("missing entity id").into())
}

async fn fetch(
    State(bootstrap): State<Bootstrap>,
    request: RequestInfo,
    Path(external_id): Path<String>,
    headers: HeaderMap,
) -> web::Result<Json<DeviceView>> {
    let device = bootstrap.fetch(&request, &external_id, &shown(&headers)?).await?;
    Ok(Json(device.into()))
}

async fn fetch_secure(
    State(bootstrap): State<Bootstrap>,
    request: RequestInfo,
    Path(external_id): Path<String>,
    headers: HeaderMap,
) -> web::Result<Response> {
    let key = shown(&headers)?;
    let device = bootstrap.fetch_secure(&request, &external_id, key.expose()).await?;
    let answer = serde_json::to_vec(&DeviceView::from(device)).map_err(Error::internal)?;
    let bytes = bootstrap.encrypt(&answer)?;
    let kind = HeaderValue::from_static("application/octet-stream");
    Ok(([(header::CONTENT_TYPE, kind)], bytes).into_response())
}
