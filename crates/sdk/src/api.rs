//! Where the platform is, who is asking, and one way to ask.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kernel::{DomainId, Secret};
use reqwest::{Method, RequestBuilder, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::authz::Authz;
use crate::bootstrap::{Configs, Devices};
use crate::certs::{CertAuthority, Certs};
use crate::channels::Channels;
use crate::clients::Clients;
use crate::domains::Domains;
use crate::error::{Error, Result};
use crate::groups::Groups;
use crate::health::Health;
use crate::invitations::Invitations;
use crate::keys::Keys;
use crate::messages::Messages;
use crate::page::{Envelope, Page};
use crate::pats::Pats;
use crate::provision::Provision;
use crate::registry::Registry;
use crate::tokens::Tokens;
use crate::users::Users;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The base URL of each service, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remotes {
    /// Keys and personal access tokens.
    pub auth: String,
    /// Users and tokens.
    pub users: String,
    /// Domains and invitations.
    pub domains: String,
    /// Groups.
    pub groups: String,
    /// Clients.
    pub clients: String,
    /// Channels.
    pub channels: String,
    /// Configurations that wait for devices.
    pub bootstrap: String,
    /// Gateways.
    pub provision: String,
    /// Certificates.
    pub certs: String,
    /// Publishing over HTTP.
    pub messages: String,
}

impl Remotes {
    /// All services behind one front door.
    pub fn one(url: &str) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        Self {
            auth: url.clone(),
            users: url.clone(),
            domains: url.clone(),
            groups: url.clone(),
            clients: url.clone(),
            channels: url.clone(),
            bootstrap: url.clone(),
            provision: url.clone(),
            certs: url.clone(),
            messages: url,
        }
    }

    /// The separate services of `host` on the ports of reference 07 §4.
    pub fn separate(host: &str) -> Self {
        let at = |port: u16| format!("http://{host}:{port}");
        Self {
            auth: at(9001),
            users: at(9002),
            domains: at(9003),
            groups: at(9004),
            clients: at(9006),
            channels: at(9005),
            bootstrap: at(9013),
            provision: at(9016),
            certs: at(9019),
            messages: at(8008),
        }
    }
}

/// The platform's API, with the token of whoever is asking. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    remotes: Remotes,
    token: Option<Secret<String>>,
    answers: Option<Answers>,
}

/// Keeps the JSON of the last answer, for programs that show what the platform said word for word, with fields that this
/// version does not know.
#[derive(Clone, Default)]
pub struct Answers(Arc<Mutex<Option<Value>>>);

impl Answers {
    /// The last answer that had a body, once.
    pub fn take(&self) -> Option<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn keep(&self, body: &[u8]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = serde_json::from_slice(body).ok();
    }
}

impl fmt::Debug for Answers {
    /// Answers may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answers(…)")
    }
}

impl Api {
    /// The API at these addresses, without a token.
    pub fn new(remotes: Remotes) -> Result<Self> {
        Self::trusting(remotes, &[])
    }

    /// The same, trusting these authorities (PEM) besides those of the machine.
    pub fn trusting(remotes: Remotes, authorities: &[u8]) -> Result<Self> {
        let authorities = reqwest::Certificate::from_pem_bundle(authorities).map_err(Error::Setup)?;
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .user_agent(concat!("trunkline-sdk/", env!("CARGO_PKG_VERSION")))
            .tls_certs_merge(authorities)
            .build()
            .map_err(Error::Setup)?;
        Ok(Self { http, remotes, token: None, answers: None })
    }

    /// The same with a token: an access token or a personal access token.
    #[must_use]
    pub fn with_token(mut self, token: Secret<String>) -> Self {
        self.token = Some(token);
        self
    }

    /// The same with a place that keeps the JSON of each answer.
    #[must_use]
    pub fn kept_in(mut self, answers: &Answers) -> Self {
        self.answers = Some(answers.clone());
        self
    }

    /// Logging in.
    pub const fn tokens(&self) -> Tokens<'_> {
        Tokens(self)
    }

    /// Users.
    pub const fn users(&self) -> Users<'_> {
        Users(self)
    }

    /// The caller's personal access tokens.
    pub const fn pats(&self) -> Pats<'_> {
        Pats(self)
    }

    /// The caller's API keys.
    pub const fn keys(&self) -> Keys<'_> {
        Keys(self)
    }

    /// Invitations to domains.
    pub const fn invitations(&self) -> Invitations<'_> {
        Invitations(self)
    }

    /// Why somebody may do something.
    pub const fn authz(&self) -> Authz<'_> {
        Authz(self)
    }

    /// Domains.
    pub const fn domains(&self) -> Domains<'_> {
        Domains(self)
    }

    /// The groups of a domain.
    pub const fn groups(&self, domain: DomainId) -> Registry<'_, Groups> {
        Registry::new(self, domain)
    }

    /// The clients of a domain.
    pub const fn clients(&self, domain: DomainId) -> Registry<'_, Clients> {
        Registry::new(self, domain)
    }

    /// The channels of a domain.
    pub const fn channels(&self, domain: DomainId) -> Registry<'_, Channels> {
        Registry::new(self, domain)
    }

    /// The bootstrap configurations of a domain.
    pub const fn configs(&self, domain: DomainId) -> Configs<'_> {
        Configs::new(self, domain)
    }

    /// What devices fetch.
    pub const fn devices(&self) -> Devices<'_> {
        Devices(self)
    }

    /// The gateways of a domain.
    pub const fn provision(&self, domain: DomainId) -> Provision<'_> {
        Provision::new(self, domain)
    }

    /// The certificates of a domain's clients.
    pub const fn certs(&self, domain: DomainId) -> Certs<'_> {
        Certs { api: self, domain }
    }

    /// The authority that signs certificates.
    pub const fn cert_authority(&self) -> CertAuthority<'_> {
        CertAuthority(self)
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
        Request { builder, url, answers: self.answers.clone() }
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
    answers: Option<Answers>,
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

    /// Sends it and reads the page whose rows stand under `list`.
    pub(crate) async fn page<T: DeserializeOwned>(self, list: &str) -> Result<Page<T>> {
        let url = self.url.clone();
        let envelope: Envelope = self.answer().await?;
        envelope.page(list).map_err(|cause| Error::Unexpected { url, cause })
    }

    /// Sends it and reads one member of the answer; an absent one is its default (an empty list).
    pub(crate) async fn member<T: DeserializeOwned + Default>(self, name: &str) -> Result<T> {
        let url = self.url.clone();
        let mut answer: Value = self.answer().await?;
        match answer.get_mut(name).map(Value::take) {
            None | Some(Value::Null) => Ok(T::default()),
            Some(member) => serde_json::from_value(member).map_err(|cause| Error::Unexpected { url, cause }),
        }
    }

    /// Sends it; the answer has nothing to say but yes.
    pub(crate) async fn done(self) -> Result<()> {
        self.send().await.map(drop)
    }

    /// Sends it and gives the body of the answer.
    pub(crate) async fn bytes(self) -> Result<Vec<u8>> {
        self.send().await
    }

    async fn send(self) -> Result<Vec<u8>> {
        let Self { builder, url, answers } = self;
        let unreachable = |cause: reqwest::Error| Error::Unreachable { url, cause: cause.without_url() };
        let response = match builder.send().await {
            Ok(response) => response,
            Err(cause) => return Err(unreachable(cause)),
        };
        let status = response.status();
        let request_id = response.headers().get("x-request-id");
        let request_id = request_id.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = response.bytes().await.map_err(unreachable)?;
        if !status.is_success() {
            return Err(Error::refused(status, request_id, &body));
        }
        if let Some(answers) = answers {
            answers.keep(&body);
        }
        Ok(body.to_vec())
    }
}
