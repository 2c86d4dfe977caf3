//! Lists come in pages (reference 07 §8.4).

use kernel::{ChannelId, ClientId, UserId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Which rows of a list are wanted; what is absent has the API's default. Each list passes over what it does not know.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Query {
    /// Rows to pass over.
    pub offset: Option<u64>,
    /// Rows on a page, 1 to 100.
    pub limit: Option<u64>,
    /// `name`, `created_at` or `updated_at`.
    pub order: Option<String>,
    /// `asc` or `desc`.
    pub dir: Option<String>,
    /// Part of the name.
    pub name: Option<String>,
    /// `enabled`, `disabled`, `deleted` or `all`; `freezed` for domains.
    pub status: Option<String>,
    /// `a,b`: any of the tags; `a+b`: all of them.
    pub tags: Option<String>,
    /// A JSON object that the metadata has to contain.
    pub metadata: Option<String>,
    /// Clients: part of the identity.
    pub identity: Option<String>,
    /// Clients and channels: those in this group or below it; empty for those in no group.
    pub group: Option<String>,
    /// Clients: those connected to this channel.
    pub channel: Option<ChannelId>,
    /// Channels: those that this client is connected to.
    pub client: Option<ClientId>,
    /// With `channel` or `client`: `publish` or `subscribe`.
    pub connection_type: Option<String>,
    /// Groups: only those that are in no group.
    pub root_group: Option<bool>,
    /// As this user sees the list; for administrators of the platform.
    pub user: Option<UserId>,
    /// `direct`, `direct_group`, `indirect_group` or `domain`: how the caller reaches the thing.
    pub access_type: Option<String>,
    /// The role through which the caller reaches it.
    pub role_name: Option<String>,
    /// Actions that the role has, with commas between them.
    pub actions: Option<String>,
}

/// How many rows to pass over and how many there are on a page, for lists that know no more.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Span {
    /// Rows to pass over.
    pub offset: Option<u64>,
    /// Rows on a page, 1 to 100.
    pub limit: Option<u64>,
}

/// Some rows of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// How many rows the whole list has.
    pub total: u64,
    /// How many rows were passed over.
    pub offset: u64,
    /// How many rows a page has at the most; 0 where the platform does not say.
    pub limit: u64,
    /// The rows.
    pub items: Vec<T>,
}

/// The envelope as it is sent; the name of the list depends on what is listed.
#[derive(Deserialize)]
pub(crate) struct Envelope {
    #[serde(default)]
    total: u64,
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    limit: u64,
    #[serde(flatten)]
    lists: Map<String, Value>,
}

impl Envelope {
    /// The page whose rows stand under `list`. An empty list may be absent (reference 03 §5.3).
    pub(crate) fn page<T: DeserializeOwned>(mut self, list: &str) -> serde_json::Result<Page<T>> {
        let items = match self.lists.remove(list) {
            None | Some(Value::Null) => Vec::new(),
            Some(items) => serde_json::from_value(items)?,
        };
        Ok(Page { total: self.total, offset: self.offset, limit: self.limit, items })
    }
}
