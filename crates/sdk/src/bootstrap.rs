//! Configurations that wait for devices, and what devices fetch (reference 04 §3).

use kernel::{ChannelId, ClientId, ConfigId, DomainId, Metadata, ProfileId, Secret, Status};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::api::{Api, Request};
use crate::clients::exposed;
use crate::error::Result;
use crate::page::Page;

/// Operations on the configurations of a domain.
#[derive(Clone, Copy, Debug)]
pub struct Configs<'a> {
    api: &'a Api,
    domain: DomainId,
}

/// What it takes to make a configuration. One with channels or a client knows its client and begins disabled.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewConfig {
    /// What the device calls itself.
    pub external_id: String,
    /// What it proves itself with.
    #[serde(serialize_with = "exposed")]
    pub external_key: Option<Secret<String>>,
    /// What people call it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What the device gets where there is no profile.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub content: String,
    /// The client that the device is; made where only channels are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
    /// The channels to connect it to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<ChannelId>>,
    /// The profile whose template is rendered for the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile_id: Option<ProfileId>,
    /// Values for the template.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub render_context: Metadata,
}

/// What replaces name and content of a configuration, and the values for the template where they are given.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConfigChange {
    /// The name from now on.
    pub name: String,
    /// The content from now on.
    pub content: String,
    /// The values from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub render_context: Option<Metadata>,
}

/// Which configurations are wanted; what is absent has the API's default.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConfigQuery {
    /// Rows to pass over.
    pub offset: Option<u64>,
    /// Rows on a page, 1 to 100.
    pub limit: Option<u64>,
    /// `enabled`, `disabled` or `all`; without it the enabled ones.
    pub status: Option<String>,
    /// Exactly this device.
    pub external_id: Option<String>,
    /// Part of the name.
    pub name: Option<String>,
}

/// A channel of a configuration.
#[derive(Clone, Debug, Deserialize)]
pub struct ConfigChannel {
    /// The channel.
    pub id: ChannelId,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// The user's own data.
    #[serde(default)]
    pub metadata: Metadata,
}

/// A configuration as it is shown.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// Its id; the client's, where it knows one.
    pub id: ConfigId,
    /// What the device calls itself.
    pub external_id: String,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// What the device gets where there is no profile.
    #[serde(default)]
    pub content: String,
    /// Whether it is in use.
    #[serde(default)]
    pub status: Status,
    /// The profile whose template is rendered.
    #[serde(default)]
    pub profile_id: Option<ProfileId>,
    /// Values for the template.
    #[serde(default)]
    pub render_context: Metadata,
    /// The client that the device is.
    #[serde(default)]
    pub client_id: Option<ClientId>,
    /// The client's channels.
    #[serde(default)]
    pub channels: Vec<ConfigChannel>,
}

/// What a device gets.
#[derive(Clone, Debug, Deserialize)]
pub struct DeviceConfig {
    /// The client that it is.
    #[serde(default)]
    pub client_id: Option<ClientId>,
    /// That client's secret.
    #[serde(default)]
    pub client_secret: Option<Secret<String>>,
    /// That client's channels.
    #[serde(default)]
    pub channels: Vec<ConfigChannel>,
    /// What it was configured with, usually JSON.
    #[serde(default)]
    pub content: String,
    /// Its certificate in PEM.
    #[serde(default)]
    pub client_cert: Option<String>,
    /// The private key of it in PEM.
    #[serde(default)]
    pub client_key: Option<Secret<String>>,
    /// The authorities in PEM.
    #[serde(default)]
    pub ca_cert: Option<String>,
}

impl<'a> Configs<'a> {
    pub(crate) const fn new(api: &'a Api, domain: DomainId) -> Self {
        Self { api, domain }
    }

    /// Makes one.
    pub async fn create(&self, new: &NewConfig) -> Result<Config> {
        self.request(Method::POST, "/configs").json(new).answer().await
    }

    /// Lists them, without secrets.
    pub async fn list(&self, query: &ConfigQuery) -> Result<Page<Config>> {
        self.request(Method::GET, "/configs").query(query).page("configs").await
    }

    /// Views one.
    pub async fn view(&self, id: ConfigId) -> Result<Config> {
        self.request(Method::GET, &format!("/configs/{id}")).answer().await
    }

    /// Replaces name and content of one.
    pub async fn update(&self, id: ConfigId, change: &ConfigChange) -> Result<()> {
        self.request(Method::PATCH, &format!("/configs/{id}")).json(change).done().await
    }

    /// Replaces the channels of one that knows its client.
    pub async fn update_connections(&self, id: ConfigId, channels: &[ChannelId]) -> Result<()> {
        let body = json!({ "channels": channels });
        self.request(Method::PUT, &format!("/configs/connections/{id}")).json(&body).done().await
    }

    /// Takes one into use and connects the client that it knows.
    pub async fn enable(&self, id: ConfigId) -> Result<Config> {
        self.request(Method::POST, &format!("/configs/{id}/enable")).answer().await
    }

    /// Takes one out of use and disconnects the client that it knows.
    pub async fn disable(&self, id: ConfigId) -> Result<Config> {
        self.request(Method::POST, &format!("/configs/{id}/disable")).answer().await
    }

    /// Removes one; its client stays.
    pub async fn delete(&self, id: ConfigId) -> Result<()> {
        self.request(Method::DELETE, &format!("/configs/{id}")).done().await
    }

    fn request(&self, method: Method, below: &str) -> Request {
        let path = format!("/{}/clients{below}", self.domain);
        self.api.request(method, &self.api.remotes().bootstrap, &path)
    }
}

/// What devices do that know nothing but where the platform is, what they call themselves and their key.
#[derive(Clone, Copy, Debug)]
pub struct Devices<'a>(pub(crate) &'a Api);

impl Devices<'_> {
    /// Fetches what waits for a device.
    pub async fn fetch(&self, external_id: &str, external_key: &Secret<String>) -> Result<DeviceConfig> {
        self.request("", external_id, external_key).answer().await
    }

    /// The same encrypted: `credential` is the encrypted key in hexadecimal digits, the answer is encrypted, too.
    pub async fn fetch_secure(&self, external_id: &str, credential: &Secret<String>) -> Result<Vec<u8>> {
        self.request("secure/", external_id, credential).bytes().await
    }

    fn request(&self, kind: &str, external_id: &str, credential: &Secret<String>) -> Request {
        let path = format!("/clients/bootstrap/{kind}{}", segment(external_id));
        self.0
            .request(Method::GET, &self.0.remotes().bootstrap, &path)
            .authorization(&Secret::new(format!("Client {}", credential.expose())))
    }
}

/// A text as one segment of a path.
fn segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                segment.push(byte.into());
            }
            _ => segment.push_str(&format!("%{byte:02X}")),
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_external_id_is_one_segment_whatever_is_in_it() {
        assert_eq!(segment("33:52:77:99:43"), "33:52:77:99:43");
        assert_eq!(segment("sn/17 ?ä"), "sn%2F17%20%3F%C3%A4");
    }
}
