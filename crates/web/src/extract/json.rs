//! JSON, both ways.

use axum::{
    extract::{FromRequest, OptionalFromRequest, Request},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, header};
use kernel::Kind;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::error::Category;

use super::{loose::Loose, payload};
use crate::Error;

/// A JSON body. As an answer it is one document followed by a newline (reference 01 §1.3).
///
/// As a request it needs a content type that contains `application/json` (415); an empty body or anything that is not
/// the JSON of a `T` is a 400 whose `error` field says where and why. Where a type of the kernel refuses a value, its
/// own message comes first. Keys match in any case, `null` leaves a field at its default, unknown fields and bytes after
/// the first document are ignored (reference 01 §1.2); where a body is `null`, nothing was sent in it.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        body(request).await.map(Self)
    }
}

/// A JSON body that is a list; otherwise as [`Json`], which takes objects.
#[derive(Debug, Clone)]
pub struct JsonList<T>(pub Vec<T>);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for JsonList<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        body(request).await.map(Self)
    }
}

async fn body<T: DeserializeOwned>(request: Request) -> Result<T, Error> {
    if !is_json(request.headers()) {
        return Err(unsupported());
    }
    let bytes = payload::read(request.into_body()).await?;
    decode(&bytes)
}

/// A body that may be left out: nothing at all is `None`, whatever the content type says.
impl<T: DeserializeOwned, S: Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Option<Self>, Error> {
        let json = is_json(request.headers());
        let bytes = payload::read(request.into_body()).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if json { decode(&bytes).map(|value| Some(Self(value))) } else { Err(unsupported()) }
    }
}

fn unsupported() -> Error {
    let error = kernel::Error::new(Kind::MediaType, "unsupported content type");
    Error::from(error).detail("send the body as `Content-Type: application/json`")
}

fn not_json() -> kernel::Error {
    kernel::Error::invalid("request body is not a valid JSON, expecting a valid JSON")
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    Loose::first(bytes).and_then(T::deserialize).map_err(|_| explain::<T>(bytes))
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let mut text = Vec::with_capacity(256);
        if let Err(error) = serde_json::to_writer(&mut text, &self.0) {
            return Error::from(kernel::Error::internal(error)).into_response();
        }
        text.push(b'\n');
        ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
    }
}

/// Any of the header's occurrences will do: SDKs send it twice (reference 07 §10.1).
fn is_json(headers: &HeaderMap) -> bool {
    let wanted = b"application/json";
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    types.any(|value| value.as_bytes().windows(wanted.len()).any(|part| part.eq_ignore_ascii_case(wanted)))
}

/// Reads the body a second time, now with an eye on where it goes wrong. The good case need not pay for that.
fn explain<T: DeserializeOwned>(bytes: &[u8]) -> Error {
    if bytes.is_empty() {
        return Error::from(not_json()).detail("the body is empty");
    }
    let document = match Loose::first(bytes) {
        Ok(document) => document,
        Err(error) => return Error::from(not_json()).detail(error.to_string()),
    };
    let Err(error) = serde_path_to_error::deserialize::<_, T>(document) else {
        return not_json().into();
    };
    let path = error.path().to_string();
    let field = if path == "." { String::new() } else { format!("`{path}`: ") };
    let error = error.into_inner();
    let whole = error.to_string();
    // What follows counts from the start of a part of the body.
    let text = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(text, _)| text);
    if error.classify() == Category::Data && !is_serdes_own(text) {
        return Error::from(kernel::Error::invalid(text.to_owned())).detail(format!("{field}not accepted"));
    }
    Error::from(not_json()).detail(format!("{field}{}", without_type_names(text)))
}

/// Whether the text comes from serde itself rather than from a type's own check. Serde's texts are fixed by the default
/// methods of `serde::de::Error` and by serde_json; no message of the contract starts like one of them.
fn is_serdes_own(text: &str) -> bool {
    const STARTS: [&str; 13] = [
        "invalid type: ",
        "invalid value: ",
        "invalid length ",
        "missing field `",
        "unknown field `",
        "unknown variant `",
        "duplicate field `",
        "data did not match any variant",
        "number out of range",
        "recursion limit exceeded",
        "lone leading surrogate",
        "unexpected end of hex escape",
        "invalid unicode code point",
    ];
    STARTS.iter().any(|start| text.starts_with(start))
}

/// Serde says `expected struct NewClient`; callers know objects.
fn without_type_names(text: &str) -> String {
    for what in ["struct ", "enum ", "tuple struct ", "unit struct ", "newtype struct "] {
        let Some((before, after)) = text.split_once(&format!("expected {what}")) else { continue };
        let rest = after.find(' ').and_then(|end| after.get(end..)).unwrap_or_default();
        let better = if what == "struct " { "an object" } else { "one of the documented values" };
        return format!("{before}expected {better}{rest}");
    }
    text.to_owned()
}
