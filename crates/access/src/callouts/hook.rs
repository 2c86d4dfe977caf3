//! One service's callout: how it is set, and how it is asked.

use std::{collections::HashSet, path::Path, path::PathBuf, time::Duration};

use kernel::{DomainId, Error, Kind, Result, Timestamp, UserId};
use reqwest::{Certificate, Client, Identity, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Semaphore;

/// What an operator can set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The endpoints, asked in this order; none: no callout.
    pub urls: Vec<String>,
    /// Whether the question is the query of a GET rather than the body of a POST.
    pub get: bool,
    /// How long one endpoint may take.
    pub timeout: Duration,
    /// Whether the endpoint's certificate must hold.
    pub tls_verification: bool,
    /// An authority beyond those of the system, PEM.
    pub ca_cert: Option<PathBuf>,
    /// The certificate that we show, PEM; with `key`.
    pub cert: Option<PathBuf>,
    /// Its key, PEM.
    pub key: Option<PathBuf>,
    /// The operations about which the endpoints are asked; none: none.
    pub operations: Vec<String>,
}

/// Questions that wait for an answer at a time; more wait for their turn, and for `timeout` at the most.
const AT_ONCE: usize = 64;

/// As much of an answer is read; what is longer is no message.
const MAX_ANSWER: usize = 64 << 10;

/// A longer message is cut.
const MAX_MESSAGE: usize = 1024;

/// What an endpoint is told (reference 02 §6).
#[derive(Debug, Serialize)]
pub(super) struct Question<'a> {
    pub(super) operation: &'a str,
    pub(super) entity_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entity_id: Option<&'a str>,
    pub(super) caller_id: UserId,
    pub(super) caller_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) domain_id: Option<DomainId>,
    pub(super) time: Timestamp,
    #[serde(skip_serializing_if = "is_nothing")]
    pub(super) payload: Value,
}

fn is_nothing(payload: &Value) -> bool {
    payload.is_null() || payload.as_object().is_some_and(serde_json::Map::is_empty)
}

/// The callout of one service.
#[derive(Debug)]
pub(super) struct Hook {
    client: Client,
    urls: Vec<Url>,
    get: bool,
    timeout: Duration,
    operations: HashSet<String>,
    turns: Semaphore,
}

impl Hook {
    pub(super) fn open(service: &str, settings: &Settings) -> Result<Self> {
        let wrong = |what: String| Error::invalid(format!("the callout of {service}: {what}"));
        let urls = settings
            .urls
            .iter()
            .map(|text| match Url::parse(text) {
                Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
                _ => Err(wrong("one of the addresses is no `http://` or `https://` address".to_owned())),
            })
            .collect::<Result<Vec<Url>>>()?;
        // What is asked for must come from the endpoint itself: no redirects, no proxy.
        let mut client = Client::builder()
            .timeout(settings.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_danger_accept_invalid_certs(!settings.tls_verification);
        if let Some(path) = &settings.ca_cert {
            let authorities = Certificate::from_pem_bundle(&read(path).map_err(&wrong)?)
                .map_err(|_| wrong(format!("`{}` holds no certificate in PEM", path.display())))?;
            client = client.tls_certs_merge(authorities);
        }
        match (&settings.cert, &settings.key) {
            (Some(cert), Some(key)) => {
                let mut pem = read(cert).map_err(&wrong)?;
                pem.push(b'\n');
                pem.extend(read(key).map_err(&wrong)?);
                let identity = Identity::from_pem(&pem).map_err(|_| {
                    wrong(format!("`{}` and its key are not a certificate in PEM", cert.display()))
                })?;
                client = client.identity(identity);
            }
            (None, None) => {}
            _ => return Err(wrong("set both `cert` and `key`, or neither".to_owned())),
        }
        Ok(Self {
            client: client.build().map_err(|error| wrong(error.to_string()))?,
            urls,
            get: settings.get,
            timeout: settings.timeout,
            operations: settings.operations.iter().cloned().collect(),
            turns: Semaphore::new(AT_ONCE),
        })
    }

    pub(super) fn wants(&self, operation: &str) -> bool {
        self.operations.contains(operation)
    }

    /// Asks each endpoint in turn; the first that does not answer 200 refuses.
    pub(super) async fn ask(&self, question: &Question<'_>) -> Result<()> {
        let turn = tokio::time::timeout(self.timeout, self.turns.acquire()).await;
        let _turn = match turn {
            Ok(Ok(turn)) => turn,
            Ok(Err(error)) => return Err(Error::internal(error)),
            Err(_) => return Err(unavailable("too many questions wait for an answer")),
        };
        for url in &self.urls {
            let request = if self.get { self.query(url, question)? } else { self.body(url, question) };
            // The address may hold a secret of the operator's; errors go to the log.
            let answer = request.send().await.map_err(|error| unavailable(error.without_url()))?;
            if answer.status() != StatusCode::OK {
                return Err(refusal(answer).await);
            }
        }
        Ok(())
    }

    fn body(&self, url: &Url, question: &Question<'_>) -> RequestBuilder {
        self.client.request(Method::POST, url.clone()).json(question)
    }

    /// The members of the question and of its payload side by side; the question's own win.
    fn query(&self, url: &Url, question: &Question<'_>) -> Result<RequestBuilder> {
        let mut whole = serde_json::to_value(question).map_err(Error::internal)?;
        let payload = whole.as_object_mut().and_then(|members| members.remove("payload"));
        let mut members = match payload {
            Some(Value::Object(members)) => members,
            _ => serde_json::Map::new(),
        };
        if let Value::Object(own) = whole {
            members.extend(own);
        }
        let pairs: Vec<(String, String)> = members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| match value {
                Value::String(text) => (name, text),
                other => (name, other.to_string()),
            })
            .collect();
        Ok(self.client.request(Method::GET, url.clone()).query(&pairs))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()))
}

fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::unavailable(cause)
}

/// What the caller is told of an answer that is not 200.
async fn refusal(answer: Response) -> Error {
    let status = answer.status();
    let kind = match status {
        StatusCode::BAD_REQUEST => Kind::Invalid,
        StatusCode::UNAUTHORIZED => Kind::Unauthenticated,
        StatusCode::NOT_FOUND => Kind::NotFound,
        StatusCode::CONFLICT => Kind::Conflict,
        StatusCode::PAYLOAD_TOO_LARGE => Kind::TooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Kind::MediaType,
        StatusCode::UNPROCESSABLE_ENTITY => Kind::Unprocessable,
        StatusCode::TOO_MANY_REQUESTS => Kind::Limited,
        status if status.is_server_error() => {
            return unavailable(format!("a callout has answered {}", status.as_u16()));
        }
        _ => Kind::Denied,
    };
    match message(answer).await {
        Some(text) => Error::new(kind, text),
        None => Error::new(kind, "refused by a callout of this installation"),
    }
    .cause(format!("a callout has answered {}", status.as_u16()))
}

/// The answer's text, if it is text that a person can read.
async fn message(mut answer: Response) -> Option<String> {
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.ok()? {
        if body.len() + part.len() > MAX_ANSWER {
            return None;
        }
        body.extend_from_slice(&part);
    }
    let mut text = String::from_utf8(body).ok()?.trim().to_owned();
    text.truncate(text.floor_char_boundary(MAX_MESSAGE));
    let readable = !text.is_empty() && !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t');
    readable.then_some(text)
}
