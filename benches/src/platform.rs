//! What a benchmark needs on the platform: a domain, clients with secrets, and a channel that connects them.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::http::Http;

/// The administrator that a server under test is started with.
pub(crate) const ADMIN: [(&str, &str); 3] = [
    ("TRUNKLINE_ADMIN_USERNAME", "admin"),
    ("TRUNKLINE_ADMIN_PASSWORD", "Bench-marks-4-all"),
    ("TRUNKLINE_ADMIN_EMAIL", "admin@example.com"),
];

/// Clients that share the load's connections.
const CLIENTS: usize = 128;

/// A platform with everything in place.
pub(crate) struct Platform {
    /// Where its HTTP interface listens.
    pub(crate) http: SocketAddr,
    /// An access token of the administrator.
    pub(crate) token: String,
    /// The domain.
    pub(crate) domain: String,
    /// The channel that all [`clients`](Self::clients) may publish to and subscribe on.
    pub(crate) channel: String,
    /// Clients of the domain: id and secret.
    pub(crate) clients: Vec<(String, String)>,
}

impl Platform {
    /// Logs in and creates what is missing, through the HTTP interface alone.
    ///
    /// # Errors
    /// When a request is refused.
    pub(crate) async fn prepare(http: SocketAddr) -> Result<Self> {
        let mut connection = Http::open(http).await?;
        let [(_, username), (_, password), _] = ADMIN;
        let login = json!({"username": username, "password": password});
        let answer = connection.call("POST", "/users/tokens/issue", None, Some(&login)).await?;
        let token = text(&answer, "/access_token")?;
        let domain = json!({"name": "bench", "route": "bench"});
        let domain = text(&connection.call("POST", "/domains", Some(&token), Some(&domain)).await?, "/id")?;
        let mut platform = Self { http, token, domain, channel: String::new(), clients: Vec::new() };
        platform.clients = platform.create_clients(&mut connection, "device", CLIENTS).await?;
        platform.channel = platform.create_connected_channel(&mut connection).await?;
        Ok(platform)
    }

    /// The path of something in the domain: `rest` starts with a slash.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/{}{rest}", self.domain)
    }

    /// Creates `count` clients in one request and returns their ids and secrets.
    ///
    /// # Errors
    /// When the request is refused.
    pub(crate) async fn create_clients(
        &self,
        connection: &mut Http,
        name: &str,
        count: usize,
    ) -> Result<Vec<(String, String)>> {
        let wanted: Vec<_> = (0..count).map(|number| json!({"name": format!("{name}-{number}")})).collect();
        let path = self.path("/clients/bulk");
        let answer = connection.call("POST", &path, Some(&self.token), Some(&wanted.into())).await?;
        let created = answer.pointer("/clients").and_then(Value::as_array).context("no clients created")?;
        ensure!(created.len() == count, "{} clients created instead of {count}", created.len());
        created
            .iter()
            .map(|client| Ok((text(client, "/id")?, text(client, "/credentials/secret")?)))
            .collect()
    }

    async fn create_connected_channel(&self, connection: &mut Http) -> Result<String> {
        let channel = json!({"name": "bench", "route": "telemetry"});
        let path = self.path("/channels");
        let channel = text(&connection.call("POST", &path, Some(&self.token), Some(&channel)).await?, "/id")?;
        let clients: Vec<_> = self.clients.iter().map(|(id, _)| id.as_str()).collect();
        let grant =
            json!({"channel_ids": [channel], "client_ids": clients, "types": ["publish", "subscribe"]});
        connection.call("POST", &self.path("/channels/connect"), Some(&self.token), Some(&grant)).await?;
        Ok(channel)
    }
}

/// The text at `pointer` of an answer.
///
/// # Errors
/// When there is none.
pub(crate) fn text(answer: &Value, pointer: &str) -> Result<String> {
    let value = answer.pointer(pointer).and_then(Value::as_str);
    Ok(value.with_context(|| format!("an answer without {pointer}"))?.to_owned())
}
