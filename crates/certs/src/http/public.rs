//! Handlers of what anybody may ask.

use axum::extract::State;
use base64::{Engine, prelude::BASE64_STANDARD};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, HeaderName};
use kernel::{Error, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Json, Path, Payload};

use super::{
    shapes::{AuthorityView, Token},
    view::Archive,
};
use crate::{Certs, authority::serial_of, model::Serial};

/// Bytes of a content type.
type Bytes = ([(HeaderName, &'static str); 1], Vec<u8>);

const ANSWER: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "application/ocsp-response")];

/// A question in JSON, as the older SDKs ask it.
#[derive(Deserialize)]
struct Question {
    #[serde(default)]
    serial_number: String,
    /// PEM.
    #[serde(default)]
    certificate: String,
}

impl Question {
    fn serial(&self) -> Result<Serial> {
        match self.serial_number.as_str() {
            "" => serial_of(&self.certificate),
            serial => serial.parse(),
        }
    }
}

pub(super) async fn ask(
    State(certs): State<Certs>,
    headers: HeaderMap,
    Payload(body): Payload,
) -> web::Result<Bytes> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // DER begins with a SEQUENCE, JSON never does.
    if body.first() != Some(&0x30) && kind.contains("application/json") {
        let question: Question =
            serde_json::from_slice(&body).map_err(|error| Error::invalid("invalid request").cause(error))?;
        return Ok((ANSWER, certs.answer_about(&question.serial()?).await?));
    }
    Ok((ANSWER, certs.answer(&body).await?))
}

pub(super) async fn ask_by_path(
    State(certs): State<Certs>,
    Path(question): Path<String>,
) -> web::Result<Bytes> {
    let der = BASE64_STANDARD.decode(question.trim()).map_err(|error| {
        Error::invalid("malformed entity specification: the question in the path is not base64").cause(error)
    })?;
    Ok((ANSWER, certs.answer(&der).await?))
}

/// A revocation list within JSON.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct List {
    /// Base64 of DER.
    crl: String,
}

pub(super) async fn list(State(certs): State<Certs>) -> web::Result<Json<List>> {
    Ok(Json(List { crl: BASE64_STANDARD.encode(certs.revocation_list(None).await?) }))
}

pub(super) async fn list_of(State(certs): State<Certs>, Path(issuer): Path<String>) -> web::Result<Bytes> {
    let list = certs.revocation_list(Some(&issuer)).await?;
    Ok(([(CONTENT_TYPE, "application/pkix-crl")], list.to_vec()))
}

pub(super) async fn issuer(State(certs): State<Certs>, Path(issuer): Path<String>) -> web::Result<Bytes> {
    Ok(([(CONTENT_TYPE, "application/pkix-cert")], certs.issuer_certificate(&issuer)?))
}

pub(super) async fn authority(State(certs): State<Certs>) -> web::Result<Json<AuthorityView>> {
    let authority = certs.authority();
    let (certificate, expiry_time) = (authority.chain()?, authority.not_after()?);
    Ok(Json(AuthorityView { certificate, revoked: false, expiry_time }))
}

pub(super) async fn download(State(certs): State<Certs>) -> web::Result<Archive> {
    let name = "attachment; filename=ca.zip";
    let headers = [(CONTENT_TYPE, "application/zip"), (CONTENT_DISPOSITION, name)];
    Ok((headers, certs.authority_archive()?))
}

pub(super) async fn token() -> Json<Token> {
    Json(Token { token: "none-needed".to_owned() })
}
