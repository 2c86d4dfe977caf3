//! Channels, and which clients are connected to them (reference 03 §6).

use kernel::{ChannelId, ClientId, DomainId, GroupId, Metadata, Status, Tags, Timestamp, UserId};
use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::access::Standing;
use crate::api::Api;
use crate::error::Result;
use crate::registry::{Bulk, Kind, Registry};

/// The kind of thing.
#[derive(Clone, Copy, Debug)]
pub struct Channels;

impl Kind for Channels {
    const PLURAL: &'static str = "channels";
    type Id = ChannelId;
    type View = Channel;
    type New = NewChannel;
    type Change = ChannelChange;

    fn base(api: &Api) -> &str {
        &api.remotes().channels
    }
}

/// What it takes to make a channel; everything is optional.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewChannel {
    /// An id of your choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<ChannelId>,
    /// What people call it.
    pub name: String,
    /// What topics call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Tags.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// The group that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_group_id: Option<GroupId>,
    /// Metadata.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// Enabled or disabled.
    pub status: Status,
}

impl NewChannel {
    /// A channel with a name.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

/// What can be changed; what is absent stays.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ChannelChange {
    /// Another name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Replaces the whole object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// A channel as it is shown.
#[derive(Clone, Debug, Deserialize)]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// What topics call it.
    #[serde(default)]
    pub route: Option<String>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
    /// The domain it belongs to.
    pub domain_id: DomainId,
    /// The group it belongs to.
    #[serde(default)]
    pub parent_group_id: Option<GroupId>,
    /// Metadata.
    #[serde(default)]
    pub metadata: Metadata,
    /// Who made it.
    #[serde(default)]
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    #[serde(default, with = "kernel::time::or_never")]
    pub updated_at: Option<Timestamp>,
    /// Who changed it last.
    #[serde(default)]
    pub updated_by: Option<UserId>,
    /// Whether messages pass.
    #[serde(default)]
    pub status: Status,
    /// What the client that the list is limited to may do there.
    #[serde(default)]
    pub connection_types: Vec<ConnectionType>,
    /// How the caller reaches it.
    #[serde(flatten)]
    pub standing: Standing,
}

/// What a connection lets a client do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionType {
    /// Send messages to the channel.
    #[serde(alias = "Publish")]
    Publish,
    /// Receive messages of the channel.
    #[serde(alias = "Subscribe")]
    Subscribe,
}

/// Every client to every channel with every type.
#[derive(Clone, Debug, Serialize)]
pub struct Connections {
    /// The channels.
    pub channel_ids: Vec<ChannelId>,
    /// The clients.
    pub client_ids: Vec<ClientId>,
    /// What the clients may do there.
    pub types: Vec<ConnectionType>,
}

impl Bulk for Channels {}

impl Registry<'_, Channels> {
    /// Connects clients to channels.
    pub async fn connect(&self, connections: &Connections) -> Result<()> {
        self.request(Method::POST, "/connect").json(connections).done().await
    }

    /// Ends connections, also the running rights of open MQTT connections.
    pub async fn disconnect(&self, connections: &Connections) -> Result<()> {
        self.request(Method::POST, "/disconnect").json(connections).done().await
    }
}
