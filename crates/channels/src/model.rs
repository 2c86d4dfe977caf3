//! What a channel is.

use clients::connections::ConnectionType;
use kernel::{
    ChannelId, ClientId, DomainId, Listing, Metadata, Name, Result, Route, Status, Tags, Timestamp, UserId,
    status::StatusFilter,
};

/// A stream of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// The domain it belongs to.
    pub domain: DomainId,
    /// What people call it.
    pub name: Name,
    /// What topics may call it instead of its id; never changes.
    pub route: Option<Route>,
    /// The user's tags.
    pub tags: Tags,
    /// The user's own data.
    pub metadata: Metadata,
    /// Whether messages pass.
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

/// What a caller gives to make a channel.
#[derive(Debug, Clone, Default)]
pub struct NewChannel {
    /// An id of the caller's choice.
    pub id: Option<ChannelId>,
    /// What people call it.
    pub name: Name,
    /// What topics may call it.
    pub route: Option<Route>,
    /// The user's tags.
    pub tags: Tags,
    /// The user's own data.
    pub metadata: Metadata,
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
}

impl Change {
    /// Fails where tags or metadata are too large.
    pub fn checked(self) -> Result<Self> {
        let tags = self.tags.map(Tags::checked).transpose()?;
        let metadata = self.metadata.map(Metadata::checked).transpose()?;
        Ok(Self { tags, metadata, ..self })
    }

    /// Applies the change.
    pub fn apply(self, channel: &mut Channel) {
        if let Some(name) = self.name.filter(|name| !name.is_empty()) {
            channel.name = name;
        }
        if let Some(tags) = self.tags {
            channel.tags = tags;
        }
        if let Some(metadata) = self.metadata {
            channel.metadata = metadata;
        }
    }
}

/// Which channels are asked for, and in which order.
#[derive(Debug, Clone)]
pub struct Query {
    /// What all lists can be asked for.
    pub listing: Listing,
    /// The status.
    pub status: StatusFilter,
    /// Exactly this one.
    pub id: Option<ChannelId>,
    /// Only channels to which this client is connected.
    pub client: Option<ClientId>,
    /// With `client`: connected with this type.
    pub connection_type: Option<ConnectionType>,
}
