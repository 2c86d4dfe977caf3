//! Clients: devices and applications (reference 03 §5).

use kernel::{ClientId, DomainId, GroupId, Metadata, Secret, Status, Tags, Timestamp, UserId};
use reqwest::Method;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

use crate::access::Standing;
use crate::api::Api;
use crate::channels::ConnectionType;
use crate::error::Result;
use crate::registry::{Bulk, Kind, Registry};

/// The kind of thing.
#[derive(Clone, Copy, Debug)]
pub struct Clients;

impl Kind for Clients {
    const PLURAL: &'static str = "clients";
    type Id = ClientId;
    type View = Client;
    type New = NewClient;
    type Change = ClientChange;

    fn base(api: &Api) -> &str {
        &api.remotes().clients
    }
}

/// How a client is known.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Credentials {
    /// A label of your own, for example a serial number.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub identity: String,
    /// Its password. The platform makes one where a new client has none, and shows it only when the client is created or
    /// viewed.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub secret: Option<Secret<String>>,
}

/// A secret on its way to the platform.
pub(crate) fn exposed<S: Serializer>(
    secret: &Option<Secret<String>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}

/// What it takes to make a client; everything is optional.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewClient {
    /// An id of your choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<ClientId>,
    /// What people call it.
    pub name: String,
    /// Tags.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// The group that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_group_id: Option<GroupId>,
    /// Label and secret.
    pub credentials: Credentials,
    /// For everyone who may view it.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// Not shown in lists.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub private_metadata: Metadata,
    /// Enabled or disabled.
    pub status: Status,
}

impl NewClient {
    /// A client with a name and a secret that the platform makes.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

/// What can be changed; what is absent stays.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClientChange {
    /// Another name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Replaces the whole object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// Replaces the whole object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_metadata: Option<Metadata>,
}

/// A client as it is shown.
#[derive(Clone, Debug, Deserialize)]
pub struct Client {
    /// Its id, which is also its user name in MQTT.
    pub id: ClientId,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
    /// The domain it belongs to.
    pub domain_id: DomainId,
    /// The group it belongs to.
    #[serde(default)]
    pub parent_group_id: Option<GroupId>,
    /// Label and, where it is shown, secret.
    #[serde(default)]
    pub credentials: Credentials,
    /// Metadata.
    #[serde(default)]
    pub metadata: Metadata,
    /// Metadata that lists do not show.
    #[serde(default)]
    pub private_metadata: Metadata,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    #[serde(default, with = "kernel::time::or_never")]
    pub updated_at: Option<Timestamp>,
    /// Who changed it last.
    #[serde(default)]
    pub updated_by: Option<UserId>,
    /// Whether it may connect.
    #[serde(default)]
    pub status: Status,
    /// What it may do on the channel that the list is limited to.
    #[serde(default)]
    pub connection_types: Vec<ConnectionType>,
    /// How the caller reaches it.
    #[serde(flatten)]
    pub standing: Standing,
}

impl Bulk for Clients {}

impl Registry<'_, Clients> {
    /// Replaces the secret of a client and ends its open connections.
    pub async fn update_secret(&self, id: ClientId, secret: &Secret<String>) -> Result<Client> {
        let body = json!({"secret": secret.expose()});
        self.request(Method::PATCH, &format!("/{id}/secret")).json(&body).answer().await
    }

    /// Has the platform make another secret for a client, shows it, and ends the client's open connections.
    pub async fn rotate_secret(&self, id: ClientId) -> Result<Client> {
        self.request(Method::PATCH, &format!("/{id}/secret")).answer().await
    }
}
