//! What a client is.

use std::str::FromStr;

use kernel::{
    ChannelId, ClientId, DomainId, Error, Listing, Metadata, Name, Result, Secret, Status, Tags, Timestamp,
    UserId, status::StatusFilter,
};
use serde::Serialize;

use crate::connections::ConnectionType;

/// A device or an application.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its id, which is also its user name in MQTT.
    pub id: ClientId,
    /// The domain it belongs to.
    pub domain: DomainId,
    /// What people call it.
    pub name: Name,
    /// A label of the user's own, for example a serial number.
    pub identity: Identity,
    /// The user's tags.
    pub tags: Tags,
    /// The user's own data.
    pub metadata: Metadata,
    /// The user's own data that lists do not show.
    pub private_metadata: Metadata,
    /// Whether it may connect.
    pub status: Status,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
    /// Who changed it last.
    pub updated_by: Option<UserId>,
    /// When it was changed last.
    pub updated_at: Option<Timestamp>,
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
#[derive(Debug, Clone, Default)]
pub struct NewClient {
    /// An id of the caller's choice.
    pub id: Option<ClientId>,
    /// What people call it.
    pub name: Name,
    /// A label of the user's own.
    pub identity: Identity,
    /// The secret; made where absent.
    pub secret: Option<Secret<String>>,
    /// The user's tags.
    pub tags: Tags,
    /// The user's own data.
    pub metadata: Metadata,
    /// The user's own data that lists do not show.
    pub private_metadata: Metadata,
    /// Enabled or disabled.
    pub status: Status,
}

/// What a caller changes; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// A new name; an empty one is no change.
    pub name: Option<Name>,
    /// New tags, replacing all.
    pub tags: Option<Tags>,
    /// New data, replacing the whole object.
    pub metadata: Option<Metadata>,
    /// New private data, replacing the whole object.
    pub private_metadata: Option<Metadata>,
}

impl Change {
    /// Fails where tags or metadata are too large.
    pub fn checked(self) -> Result<Self> {
        let tags = self.tags.map(Tags::checked).transpose()?;
        let metadata = self.metadata.map(Metadata::checked).transpose()?;
        let private_metadata = self.private_metadata.map(Metadata::checked).transpose()?;
        Ok(Self { tags, metadata, private_metadata, ..self })
    }

    /// Applies the change.
    pub fn apply(self, client: &mut Client) {
        if let Some(name) = self.name.filter(|name| !name.is_empty()) {
            client.name = name;
        }
        if let Some(tags) = self.tags {
            client.tags = tags;
        }
        if let Some(metadata) = self.metadata {
            client.metadata = metadata;
        }
        if let Some(metadata) = self.private_metadata {
            client.private_metadata = metadata;
        }
    }
}

/// Which clients are asked for, and in which order.
#[derive(Debug, Clone)]
pub struct Query {
    /// What all lists can be asked for.
    pub listing: Listing,
    /// The status.
    pub status: StatusFilter,
    /// Part of the identity, whatever the case.
    pub identity: Option<String>,
    /// Exactly this one.
    pub id: Option<ClientId>,
    /// Only clients that are connected to this channel.
    pub channel: Option<ChannelId>,
    /// With `channel`: connected with this type.
    pub connection_type: Option<ConnectionType>,
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
