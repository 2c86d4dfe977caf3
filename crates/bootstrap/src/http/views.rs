//! Configurations as they are shown: with the members of both generations side by side.

use kernel::{ChannelId, ClientId, ConfigId, Metadata, Name, Page, ProfileId, Secret, Status};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    model::{BoundChannel, Client, Config, Device},
    service::{Made, Shown},
};

fn is_empty(text: &str) -> bool {
    text.is_empty()
}

fn exposed(secret: &Secret<String>) -> String {
    secret.expose().clone()
}

/// A channel of a configuration's client.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChannelView {
    id: ChannelId,
    #[serde(skip_serializing_if = "Name::is_empty")]
    name: Name,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: Metadata,
}

impl From<BoundChannel> for ChannelView {
    fn from(channel: BoundChannel) -> Self {
        Self { id: channel.id, name: channel.name, metadata: channel.metadata }
    }
}

impl From<ChannelId> for ChannelView {
    fn from(id: ChannelId) -> Self {
        Self { id, name: Name::default(), metadata: Metadata::default() }
    }
}

/// A configuration.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConfigView {
    id: ConfigId,
    domain_id: kernel::DomainId,
    external_id: String,
    #[serde(skip_serializing_if = "Name::is_empty")]
    name: Name,
    #[serde(skip_serializing_if = "is_empty")]
    content: String,
    /// `enabled` or `disabled`.
    status: Status,
    /// The same as a number: 1 is enabled.
    state: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile_id: Option<ProfileId>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    render_context: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<ClientId>,
    /// Shown to those who may view the client, never in a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<ChannelView>,
    #[serde(skip_serializing_if = "is_empty")]
    client_cert: String,
    /// Shown when it is made, nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_key: Option<String>,
    #[serde(skip_serializing_if = "is_empty")]
    ca_cert: String,
}

impl From<Config> for ConfigView {
    fn from(config: Config) -> Self {
        Self {
            id: config.id,
            domain_id: config.domain,
            external_id: config.external_id.as_str().to_owned(),
            name: config.name,
            content: config.content,
            status: config.status,
            state: u8::from(config.status == Status::Enabled),
            profile_id: config.profile,
            render_context: config.render_context,
            client_id: config.client,
            client_secret: None,
            channels: config.channels.into_iter().map(ChannelView::from).collect(),
            client_cert: String::new(),
            client_key: None,
            ca_cert: String::new(),
        }
    }
}

fn secret_of(client: Option<&Client>) -> Option<String> {
    client.map(|client| exposed(&client.secret))
}

impl From<Made> for ConfigView {
    fn from(made: Made) -> Self {
        let (client_cert, ca_cert) = (made.config.client_cert.clone(), made.config.ca_cert.clone());
        Self {
            client_cert,
            ca_cert,
            client_key: made.client_key.as_ref().map(exposed),
            client_secret: secret_of(made.client.as_ref()),
            ..Self::from(made.config)
        }
    }
}

impl From<Shown> for ConfigView {
    fn from(shown: Shown) -> Self {
        Self {
            client_secret: secret_of(shown.client.as_ref()),
            channels: shown.channels.into_iter().map(ChannelView::from).collect(),
            ..Self::from(shown.config)
        }
    }
}

/// The certificates that were put into a configuration.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CertificatesView {
    id: ConfigId,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<ClientId>,
    #[serde(skip_serializing_if = "is_empty")]
    ca_cert: String,
    #[serde(skip_serializing_if = "is_empty")]
    client_cert: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_key: Option<String>,
}

impl From<Made> for CertificatesView {
    fn from(made: Made) -> Self {
        Self {
            id: made.config.id,
            client_id: made.config.client,
            ca_cert: made.config.ca_cert,
            client_cert: made.config.client_cert,
            client_key: made.client_key.as_ref().map(exposed),
        }
    }
}

/// A page of configurations.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConfigPageView {
    total: u64,
    offset: u64,
    limit: u64,
    configs: Vec<ConfigView>,
}

impl From<Page<Config>> for ConfigPageView {
    fn from(page: Page<Config>) -> Self {
        Self {
            total: page.total,
            offset: page.request.offset,
            limit: page.request.limit,
            configs: page.items.into_iter().map(ConfigView::from).collect(),
        }
    }
}

/// What a device gets, as the agents of all generations expect it (reference 04 §3.4, §5.1).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeviceView {
    id: ConfigId,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<ClientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<ChannelView>,
    #[serde(skip_serializing_if = "is_empty")]
    content: String,
    #[serde(skip_serializing_if = "is_empty")]
    client_cert: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_key: Option<String>,
    #[serde(skip_serializing_if = "is_empty")]
    ca_cert: String,
}

impl From<Device> for DeviceView {
    fn from(device: Device) -> Self {
        Self {
            id: device.config.id,
            client_id: device.config.client,
            client_secret: secret_of(device.client.as_ref()),
            channels: device.channels.into_iter().map(ChannelView::from).collect(),
            content: device.content,
            client_cert: device.config.client_cert,
            client_key: device.client_key.as_ref().map(exposed),
            ca_cert: device.config.ca_cert,
        }
    }
}
