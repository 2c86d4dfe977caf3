//! What a client is.

use std::str::FromStr;

use ::events::Event;
use db::{BoxFuture, Row, Tx, Val};
use kernel::{ChannelId, ClientId, DomainId, Error, GroupId, Metadata, Result, Secret, Status};
use registry::{Entry, Listed, New, NewEntry, Operations, Refusals, Registered, Words};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    connections::{self, ConnectionType},
    events, operations,
};

/// A device or an application.
#[derive(Debug, Clone)]
pub struct Client {
    /// What it shares with other things; its id is also its user name in MQTT.
    pub entry: Entry<ClientId>,
    /// A label of the user's own, for example a serial number.
    pub identity: Identity,
    /// The user's own data that lists do not show.
    pub private_metadata: Metadata,
}

impl Registered for Client {
    type Id = ClientId;

    const OPERATIONS: Operations = operations::SHARED;
    const WORDS: Words = events::WORDS;
    const REFUSALS: Refusals = Refusals {
        same_parent: "client already assigned to the parent group",
        other_parent: "client already have parent",
        foreign_group: "parent group has invalid domain id",
        group_not_enabled: "parent group is not enabled",
        id_taken: "entity already exists",
    };
    const PARENT_IN_CALLOUTS: &'static str = "parent_id";
    const OWN_COLUMNS: &'static str = ", identity, private_metadata";

    fn entry(&self) -> &Entry<ClientId> {
        &self.entry
    }

    fn entry_mut(&mut self) -> &mut Entry<ClientId> {
        &mut self.entry
    }

    fn read(entry: Entry<ClientId>, row: &Row) -> Result<Self> {
        let identity = row.get::<String>("identity")?.parse()?;
        Ok(Self { entry, identity, private_metadata: row.get("private_metadata")? })
    }

    fn changed_values(&self) -> Vec<(&'static str, Val)> {
        vec![("private_metadata", (&self.private_metadata).into())]
    }

    fn describe(&self, event: Event) -> Event {
        events::describe(self, event)
    }

    fn taken(index: &str) -> Option<&'static str> {
        (index == "clients_secret").then_some("client key is not available")
    }

    fn hold_group(tx: &mut Tx, domain: DomainId, group: GroupId) -> BoxFuture<'_, Result<()>> {
        Box::pin(groups::enabled_in(tx, domain, group))
    }

    fn forget(tx: &mut Tx, id: ClientId) -> BoxFuture<'_, Result<()>> {
        Box::pin(connections::forget_client(tx, id))
    }
}

/// A client together with its secret, for those who may see it.
#[derive(Debug, Clone)]
pub struct WithSecret {
    /// The client.
    pub client: Client,
    /// Its secret.
    pub secret: Secret<String>,
}

/// A label of the user's own: at most 254 bytes, need not be unique (reference 03 §2).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct Identity(String);

impl Identity {
    /// The longest label in bytes.
    pub const MAX_LEN: usize = 254;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Identity {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() > Self::MAX_LEN || text.chars().any(char::is_control) {
            return Err(Error::invalid("invalid identity, at most 254 bytes without control characters"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The longest secret in bytes (reference 03 §2).
const SECRET_MAX_LEN: usize = 4096;

/// A secret as a caller gives it. There is no shortest one: devices in the field keep what they have (reference 03 §2).
pub fn parse_secret(secret: Secret<String>) -> Result<Secret<String>> {
    match secret.expose() {
        text if text.is_empty() => Err(Error::invalid("missing secret")),
        text if text.len() > SECRET_MAX_LEN => Err(Error::invalid("invalid secret, at most 4096 bytes")),
        _ => Ok(secret),
    }
}

/// What a caller gives to make a client.
#[derive(Debug, Clone)]
pub struct NewClient {
    /// What it shares with other things.
    pub entry: NewEntry<ClientId>,
    /// A label of the user's own.
    pub identity: Identity,
    /// The secret; made where absent.
    pub secret: Option<Secret<String>>,
    /// The user's own data that lists do not show.
    pub private_metadata: Metadata,
}

impl New<ClientId> for NewClient {
    fn entry(&self) -> &NewEntry<ClientId> {
        &self.entry
    }

    fn own(&self) -> Map<String, Value> {
        let own = [
            ("credentials", json!({ "identity": self.identity })),
            ("private_metadata", json!(self.private_metadata)),
        ];
        own.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
    }
}

/// What a caller changes; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// What clients share with other things.
    pub entry: kernel::Change,
    /// New private data, replacing the whole object.
    pub private_metadata: Option<Metadata>,
}

impl Change {
    /// Fails where tags or metadata are too large.
    pub fn checked(self) -> Result<Self> {
        let private_metadata = self.private_metadata.map(Metadata::checked).transpose()?;
        Ok(Self { entry: self.entry.checked()?, private_metadata })
    }

    /// Applies the change.
    pub fn apply(self, client: &mut Client) {
        client.entry.change(self.entry);
        if let Some(metadata) = self.private_metadata {
            client.private_metadata = metadata;
        }
    }
}

/// Which clients are asked for, and in which order.
#[derive(Debug, Clone)]
pub struct Query {
    /// What all lists of the registry can be asked for.
    pub entries: registry::Query<ClientId>,
    /// Part of the identity, whatever the case.
    pub identity: Option<String>,
    /// Only clients that are connected to this channel.
    pub channel: Option<ChannelId>,
    /// With `channel`: connected with this type.
    pub connection_type: Option<ConnectionType>,
}

/// A row of a list of clients.
#[derive(Debug, Clone)]
pub struct ListedClient {
    /// The client.
    pub listed: Listed<Client>,
    /// How it is connected to the channel that the list was asked for.
    pub connection_types: Vec<ConnectionType>,
}

/// What the message plane must know of a client that shows its credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// The client.
    pub id: ClientId,
    /// Its domain.
    pub domain: DomainId,
    /// Whether it may connect.
    pub status: Status,
}
