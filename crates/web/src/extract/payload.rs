//! A body as it came, within the limit.

use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError};
use kernel::Kind;

use crate::Error;

/// The bytes of the body, of any content type; 413 above the limit of [`crate::AppOptions`].
#[derive(Debug, Clone)]
pub struct Payload(pub Bytes);

impl<S: Sync> FromRequest<S> for Payload {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        read(request.into_body()).await.map(Self)
    }
}

/// The error of a body over the limit.
pub(crate) fn too_large(limit: usize) -> Error {
    let error = kernel::Error::new(Kind::TooLarge, "the request body is too large");
    Error::from(error).detail(format!("at most {limit} bytes are accepted"))
}

pub(super) async fn read(body: Body) -> Result<Bytes, Error> {
    match body.collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if is_over_the_limit(&error) => {
            Err(kernel::Error::new(Kind::TooLarge, "the request body is too large").into())
        }
        Err(error) => {
            Err(kernel::Error::invalid("the request body did not arrive whole").cause(error).into())
        }
    }
}

fn is_over_the_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<LengthLimitError>() {
            return true;
        }
        next = error.source();
    }
    false
}
