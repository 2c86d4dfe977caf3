//! Where the platform is, who is asking, and one way to ask.

use std::fmt;
use std::time::Duration;

use kernel::{DomainId, Secret};
use reqwest::{Method, RequestBuilder, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::channels::Channels;
use crate::clients::Clients;
use crate::domains::Domains;
use crate::error::{Error, Result};
use crate::health::Health;
use crate::messages::Messages;
use crate::registry::Registry;
use crate::tokens::Tokens;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The base URL of each service, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remotes {
    /// Users and tokens.
    pub users: String,
    /// Domains.
    pub domains: String,
    /// Clients.
    pub clients: String,
    /// Channels.
    pub channels: String,
    /// Publishing over HTTP.
    pub messages: String,
}

impl Remotes {
    /// All services behind one front door.
    pub fn one(url: &str) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        Self {
            users: url.clone(),
            domains: url.clone(),
            clients: url.clone(),
            channels: url.clone(),
            messages: url,
        }
    }

    /// The separate services of `host` on the ports of reference 07 §4.
    pub fn separate(host: &str) -> Self {
        let at = |port: u16| format!("http://{host}:{port}");
        Self { users: at(9002), domains: at(9003), clients: at(9006), channels: at(9005), messages: at(8008) }
    }
}

/// The platform's API, with the token of whoever is asking. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    remotes: Remotes,
    token: Option<Secret<String>>,
}

impl Api {
    /// The API at these addresses, without a token.
    pub fn new(remotes: Remotes) -> Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .user_agent(concat!("trunkline-sdk/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(Error::Setup)?;
        Ok(Self { http, remotes, token: None })
    }

    /// The same with a token: an access token or a personal access token.
    #[must_use]
    pub fn with_token(mut self, token: Secret<String>) -> Self {
        self.token = Some(token);
        self
    }

    /// Logging in.
    pub const fn tokens(&self) -> Tokens<'_> {
        Tokens(self)
    }

    /// Domains.
    pub const fn domains(&self) -> Domains<'_> {
        Domains(self)
    }

    /// The clients of a domain.
    pub const fn clients(&self, domain: DomainId) -> Registry<'_, Clients> {
        Registry::new(self, domain)
    }

    /// The channels of a domain.
    pub const fn channels(&self, domain: DomainId) -> Registry<'_, Channels> {
        Registry::new(self, domain)
    }

    /// Publishing.
    pub const fn messages(&self) -> Messages<'_> {
        Messages(self)
    }

    /// Whether the platform is alive, and which build it is.
    pub async fn health(&self) -> Result<Health> {
        self.request(Method::GET, &self.remotes.clients, "/health").answer().await
    }

    pub(crate) const fn remotes(&self) -> &Remotes {
        &self.remotes
    }

    /// A request with the token, if there is one; `path` begins with a slash.
    pub(crate) fn request(&self, method: Method, base: &str, path: &str) -> Request {
        let url = format!("{base}{path}");
        let mut builder = self.http.request(method, &url);
        if let Some(token) = &self.token {
            builder = builder.bearer_auth(token.expose());
        }
        Request { builder, url }
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("remotes", &self.remotes).field("token", &self.token).finish()
    }
}

/// A request in the making.
pub(crate) struct Request {
    builder: RequestBuilder,
    url: String,
}

impl Request {
    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        self.builder = self.builder.json(body);
        self
    }

    pub(crate) fn query(mut self, query: &impl Serialize) -> Self {
        self.builder = self.builder.query(query);
        self
    }

    /// A body of any type.
    pub(crate) fn payload(mut self, content_type: &str, body: Vec<u8>) -> Self {
        self.builder = self.builder.header(header::CONTENT_TYPE, content_type).body(body);
        self
    }

    /// `Authorization` in place of the token. A value that no header can carry makes the request fail unsent.
    pub(crate) fn authorization(mut self, value: &Secret<String>) -> Self {
        self.builder = match header::HeaderValue::from_str(value.expose()) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.builder.headers(header::HeaderMap::from_iter([(header::AUTHORIZATION, value)]))
            }
            Err(_) => self.builder.header(header::AUTHORIZATION, value.expose()),
        };
        self
    }

    /// Sends it and reads the JSON of the answer.
    pub(crate) async fn answer<T: DeserializeOwned>(self) -> Result<T> {
        let url = self.url.clone();
        let body = self.send().await?;
        serde_json::from_slice(&body).map_err(|cause| Error::Unexpected { url, cause })
    }

    /// Sends it; the answer has nothing to say but yes.
    pub(crate) async fn done(self) -> Result<()> {
        self.send().await.map(drop)
    }

    async fn send(self) -> Result<Vec<u8>> {
        let Self { builder, url } = self;
        let unreachable = |cause: reqwest::Error| Error::Unreachable { url, cause: cause.without_url() };
        let response = match builder.send().await {
            Ok(response) => response,
            Err(cause) => return Err(unreachable(cause)),
        };
        let status = response.status();
        let request_id = response.headers().get("x-request-id");
        let request_id = request_id.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = response.bytes().await.map_err(unreachable)?;
        if status.is_success() { Ok(body.to_vec()) } else { Err(Error::refused(status, request_id, &body)) }
    }
}
