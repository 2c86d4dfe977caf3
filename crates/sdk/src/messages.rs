//! Publishing over HTTP (reference 05 §5.1).

use std::fmt::Display;

use kernel::Secret;
use reqwest::Method;

use crate::api::Api;
use crate::error::Result;

/// Operations on messages.
#[derive(Clone, Copy, Debug)]
pub struct Messages<'a>(pub(crate) &'a Api);

impl Messages<'_> {
    /// Publishes as the client with this secret. `domain` and `channel` are ids or routes; `subtopic` has slashes between its levels and may be empty;
    /// `content_type` is `application/json`, `application/senml+json` or `application/senml+cbor`.
    pub async fn publish(
        &self,
        domain: impl Display,
        channel: impl Display,
        subtopic: &str,
        secret: &Secret<String>,
        content_type: &str,
        payload: Vec<u8>,
    ) -> Result<()> {
        let slash = if subtopic.is_empty() { "" } else { "/" };
        let path = format!("/m/{domain}/c/{channel}{slash}{subtopic}");
        self.0
            .request(Method::POST, &self.0.remotes().messages, &path)
            .authorization(&Secret::new(format!("Client {}", secret.expose())))
            .payload(content_type, payload)
            .done()
            .await
    }
}
