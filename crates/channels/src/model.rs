//! What a channel is.

use ::events::Event;
use clients::connections::{self, ConnectionType};
use db::{BoxFuture, Row, Tx};
use kernel::{ChannelId, ClientId, DomainId, GroupId, Result, Route};
use registry::{Entry, Listed, New, NewEntry, Operations, Refusals, Registered, Words};

use crate::{events, operations};

/// A stream of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// What it shares with other things.
    pub entry: Entry<ChannelId>,
    /// What topics may call it instead of its id; never changes.
    pub route: Option<Route>,
}

impl Registered for Channel {
    type Id = ChannelId;

    const OPERATIONS: Operations = operations::SHARED;
    const WORDS: Words = events::WORDS;
    const REFUSALS: Refusals = Refusals {
        same_parent: "entity already exists",
        other_parent: "entity already exists",
        foreign_group: "update entity failed",
        group_not_enabled: "update entity failed",
        id_taken: "channel id already exists",
    };
    const PARENT_IN_CALLOUTS: &'static str = "parent_group_id";
    const OWN_COLUMNS: &'static str = ", route";

    fn entry(&self) -> &Entry<ChannelId> {
        &self.entry
    }

    fn entry_mut(&mut self) -> &mut Entry<ChannelId> {
        &mut self.entry
    }

    fn read(entry: Entry<ChannelId>, row: &Row) -> Result<Self> {
        Ok(Self { entry, route: row.get("route")? })
    }

    fn describe(&self, event: Event) -> Event {
        event.with_some("route", self.route.as_ref())
    }

    fn taken(index: &str) -> Option<&'static str> {
        (index == "channels_route").then_some("route not available")
    }

    fn hold_group(tx: &mut Tx, domain: DomainId, group: GroupId) -> BoxFuture<'_, Result<()>> {
        Box::pin(groups::enabled_in(tx, domain, group))
    }

    fn forget(tx: &mut Tx, id: ChannelId) -> BoxFuture<'_, Result<()>> {
        Box::pin(connections::forget_channel(tx, id))
    }
}

/// What a caller gives to make a channel.
#[derive(Debug, Clone)]
pub struct NewChannel {
    /// What it shares with other things.
    pub entry: NewEntry<ChannelId>,
    /// What topics may call it.
    pub route: Option<Route>,
}

impl New<ChannelId> for NewChannel {
    fn entry(&self) -> &NewEntry<ChannelId> {
        &self.entry
    }

    fn own(&self) -> serde_json::Map<String, serde_json::Value> {
        let route = self.route.iter().map(|route| ("route".to_owned(), serde_json::json!(route)));
        route.collect()
    }
}

/// Which channels are asked for, and in which order.
#[derive(Debug, Clone)]
pub struct Query {
    /// What all lists of the registry can be asked for.
    pub entries: registry::Query<ChannelId>,
    /// Only channels to which this client is connected.
    pub client: Option<ClientId>,
    /// With `client`: connected with this type.
    pub connection_type: Option<ConnectionType>,
}

/// A row of a list of channels.
#[derive(Debug, Clone)]
pub struct ListedChannel {
    /// The channel.
    pub listed: Listed<Channel>,
    /// How the client that the list was asked for is connected to it.
    pub connection_types: Vec<ConnectionType>,
}
