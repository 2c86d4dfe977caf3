//! Requests: logged in, bounded, and with errors that say what to do.

use std::{fmt, time::Duration};

use kernel::{Error, Kind, Result, Secret};
use reqwest::{Certificate, Method, RequestBuilder, Response, StatusCode, redirect::Policy};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{sync::Mutex, time::Instant};

use super::{Options, SecretId};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is read: a revocation list of some hundred thousand entries.
const MAX_ANSWER: usize = 16 << 20;
/// How long a token is used that never ends.
const FOR_EVER: u64 = 3600;

/// Our side of the API.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    options: Options,
    token: Mutex<Option<Token>>,
}

struct Token {
    value: Secret<String>,
    /// Another one is asked for from then on.
    until: Instant,
}

#[derive(Deserialize)]
struct Login {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: Secret<String>,
    #[serde(default)]
    lease_duration: u64,
}

impl Client {
    pub(super) fn new(options: Options) -> Result<Self> {
        let host = options.host.trim_end_matches('/');
        if !host.starts_with("http://") && !host.starts_with("https://") {
            return Err(Error::invalid("`certs.openbao_host` is no `http://` or `https://` address"));
        }
        // What it answers must come from itself: no redirects, no proxy.
        let mut http = reqwest::Client::builder().timeout(PATIENCE).redirect(Policy::none()).no_proxy();
        if let Some(path) = &options.authorities {
            let wrong = |error: &dyn fmt::Display| {
                Error::invalid(format!("`certs.openbao_ca_certs`: `{}`: {error}", path.display()))
            };
            let pem = std::fs::read(path).map_err(|error| wrong(&error))?;
            let authorities = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(&error))?;
            http = http.tls_certs_merge(authorities);
        }
        let http = http.build().map_err(Error::internal)?;
        Ok(Self { http, base: format!("{host}/v1"), options, token: Mutex::default() })
    }

    /// Asks as who we are; what stands under `data` in the answer.
    pub(super) async fn data<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T> {
        #[derive(Deserialize)]
        struct Answer<T> {
            data: T,
        }
        let ask = async |token: &Secret<String>| {
            let mut request = self.request(method.clone(), path).header("X-Vault-Token", token.expose());
            if let Some(body) = body {
                request = request.json(body);
            }
            sent(request).await
        };
        let mut response = ask(&self.token().await?).await?;
        if response.status() == StatusCode::FORBIDDEN {
            // The token may have been taken back before its end.
            *self.token.lock().await = None;
            response = ask(&self.token().await?).await?;
        }
        let bytes = good(response).await?;
        let answer: Answer<T> = serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))?;
        Ok(answer.data)
    }

    /// Asks for what anybody may have.
    pub(super) async fn bytes(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<Vec<u8>> {
        let mut request = self.request(method, path);
        if let Some((kind, body)) = body {
            request = request.header("Content-Type", kind).body(body);
        }
        good(sent(request).await?).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/{path}", self.base));
        match &self.options.namespace {
            Some(namespace) => request.header("X-Vault-Namespace", namespace),
            None => request,
        }
    }

    /// The token of the moment; one login for all who wait for it.
    async fn token(&self) -> Result<Secret<String>> {
        let mut held = self.token.lock().await;
        if let Some(token) = held.as_ref().filter(|token| Instant::now() < token.until) {
            return Ok(token.value.clone());
        }
        let secret_id = match &self.options.secret_id {
            SecretId::Given(secret) => secret.clone(),
            SecretId::File(path) => {
                let text = tokio::fs::read_to_string(path).await.map_err(|error| {
                    refused("the secret id cannot be read, see `certs.openbao_secret_id_path`").cause(error)
                })?;
                Secret::new(text.trim().to_owned())
            }
        };
        let body = json!({"role_id": self.options.role_id.expose(), "secret_id": secret_id.expose()});
        let response = sent(self.request(Method::PUT, "auth/approle/login").json(&body)).await?;
        let bytes = good(response).await.map_err(|error| match error.kind() {
            Kind::Unprocessable => {
                refused("OpenBao does not let the platform in, see `certs.openbao_app_role`").cause(error)
            }
            _ => error,
        })?;
        let login: Login = serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))?;
        let Auth { client_token: value, lease_duration } = login.auth;
        let lasts = if lease_duration == 0 { FOR_EVER } else { lease_duration };
        let until = Instant::now() + Duration::from_secs(lasts) * 2 / 3;
        *held = Some(Token { value: value.clone(), until });
        Ok(value)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("openbao::Client").field(&self.base).finish()
    }
}

/// Something for the operator to mend; nothing was done.
fn refused(why: &'static str) -> Error {
    Error::new(Kind::Unavailable, why)
}

fn unreadable(error: &serde_json::Error) -> Error {
    Error::unavailable(format!("OpenBao has answered in a way that is not understood: {error}"))
}

async fn sent(request: RequestBuilder) -> Result<Response> {
    request.send().await.map_err(|error| {
        let why = "the certificate authority (OpenBao) cannot be reached, try again in a moment";
        Error::new(Kind::Unavailable, why).cause(error.without_url())
    })
}

/// The body of an answer that says yes.
async fn good(mut response: Response) -> Result<Vec<u8>> {
    let status = response.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Error::unavailable(error.without_url()))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_ANSWER {
            return Err(Error::unavailable("OpenBao has answered with more than 16 MiB"));
        }
    }
    if status.is_success() {
        return Ok(bytes);
    }
    let said = said(&bytes);
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        let why = "the certificate authority (OpenBao) is sealed or not ready, try again in a moment";
        return Err(Error::new(Kind::Unavailable, why).cause(format!("{status}: {said}")));
    }
    let public = format!("failed to create certificate: OpenBao refuses: {said}");
    Err(Error::unprocessable(public).cause(status.to_string()))
}

/// Its own words, bounded.
fn said(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<String>,
    }
    let errors = serde_json::from_slice(body).map(|Errors { errors }| errors.join("; ")).unwrap_or_default();
    let plain: String = errors.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    if plain.trim().is_empty() { "it does not say why".to_owned() } else { plain }
}
