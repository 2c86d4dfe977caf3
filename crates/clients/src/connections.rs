//! Connections: which client may publish or subscribe on which channel.
//!
//! The rows live with the clients, so that a client and its connections go in one transaction; the rules for making
//! them are the channels crate's, which calls the functions below inside its own transactions.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    hash::Hash,
    str::FromStr,
};

use db::{Engine, Filter, FromVal, Row, Tx, Val, params};
use kernel::{ChannelId, ClientId, DomainId, Error, Result, Status};
use serde::{Deserialize, Deserializer, Serialize};

/// What a connection lets a client do (reference 03 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, utoipa::ToSchema)]
pub enum ConnectionType {
    /// Send messages to the channel.
    Publish,
    /// Receive the channel's messages.
    Subscribe,
}

impl ConnectionType {
    /// The number that the database and gRPC use.
    pub const fn code(self) -> i64 {
        match self {
            Self::Publish => 1,
            Self::Subscribe => 2,
        }
    }

    /// The type with this number.
    pub const fn from_code(code: i64) -> Option<Self> {
        match code {
            1 => Some(Self::Publish),
            2 => Some(Self::Subscribe),
            _ => None,
        }
    }

    /// The permission that a user needs for the same.
    pub const fn permission(self) -> &'static str {
        match self {
            Self::Publish => "publish_permission",
            Self::Subscribe => "subscribe_permission",
        }
    }
}

impl FromStr for ConnectionType {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        if word.eq_ignore_ascii_case("publish") {
            Ok(Self::Publish)
        } else if word.eq_ignore_ascii_case("subscribe") {
            Ok(Self::Subscribe)
        } else {
            Err(Error::invalid("invalid connection type, expected publish or subscribe"))
        }
    }
}

impl<'de> Deserialize<'de> for ConnectionType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        // A wrong word makes the body invalid as a whole (reference 03 §2).
        word.parse().map_err(|_| serde::de::Error::unknown_variant(&word, &["publish", "subscribe"]))
    }
}

/// Every one of the clients on every one of the channels, with every one of the types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connections {
    channels: Vec<ChannelId>,
    clients: Vec<ClientId>,
    types: Vec<ConnectionType>,
}

impl Connections {
    /// The most connections that one request changes.
    pub const MAX: usize = 10_000;

    /// Fails where one of the lists is empty, or there are too many connections. Repeated entries count once.
    pub fn new(
        mut channels: Vec<ChannelId>,
        mut clients: Vec<ClientId>,
        mut types: Vec<ConnectionType>,
    ) -> Result<Self> {
        if channels.is_empty() || clients.is_empty() {
            return Err(Error::invalid("missing entity id"));
        }
        if types.is_empty() {
            return Err(Error::invalid("missing connection type"));
        }
        channels.sort_unstable();
        channels.dedup();
        clients.sort_unstable();
        clients.dedup();
        types.sort_unstable_by_key(|kind| kind.code());
        types.dedup();
        if channels.len().saturating_mul(clients.len()).saturating_mul(types.len()) > Self::MAX {
            return Err(Error::invalid(format!(
                "too many connections in one request, at most {}",
                Self::MAX
            )));
        }
        Ok(Self { channels, clients, types })
    }

    /// The channels, each once, in order.
    pub fn channels(&self) -> &[ChannelId] {
        &self.channels
    }

    /// The clients, each once, in order.
    pub fn clients(&self) -> &[ClientId] {
        &self.clients
    }

    /// The types, each once.
    pub fn types(&self) -> &[ConnectionType] {
        &self.types
    }

    /// Each single connection.
    pub fn each(&self) -> impl Iterator<Item = (ChannelId, ClientId, ConnectionType)> {
        self.channels.iter().flat_map(move |channel| {
            self.clients
                .iter()
                .flat_map(move |client| self.types.iter().map(move |kind| (*channel, *client, *kind)))
        })
    }
}

/// Clients that came to one channel, or left it, each of them with each of the types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfChannel {
    /// The channel.
    pub channel: ChannelId,
    /// The clients, each once, in order.
    pub clients: Vec<ClientId>,
    /// The types, each once.
    pub types: Vec<ConnectionType>,
}

/// One connection.
type One = (ChannelId, ClientId, ConnectionType);

/// Makes the connections that are missing; returns these. The caller holds the channels.
pub async fn connect(tx: &mut Tx, domain: DomainId, wanted: &Connections) -> Result<Vec<OfChannel>> {
    let filter = named(domain, wanted);
    let sql = format!("SELECT channel_id, client_id, type FROM connections{}", filter.sql());
    let there = tx.all(&sql, filter.params()).await?.iter().map(read).collect::<Result<HashSet<One>>>()?;
    let missing: Vec<One> = wanted.each().filter(|one| !there.contains(one)).collect();
    let rows = missing
        .iter()
        .map(|(channel, client, kind)| vec![channel.into(), client.into(), kind.code().into(), domain.into()])
        .collect();
    tx.insert_many(
        "INSERT INTO connections (channel_id, client_id, type, domain_id) VALUES ON CONFLICT DO NOTHING",
        rows,
    )
    .await?;
    Ok(by_channel(missing))
}

/// Removes the connections that are there; returns these.
pub async fn disconnect(
    tx: &mut Tx,
    domain: DomainId,
    wanted: &Connections,
) -> Result<Vec<(DomainId, OfChannel)>> {
    take(tx, &named(domain, wanted)).await
}

fn named(domain: DomainId, connections: &Connections) -> Filter {
    Filter::new()
        .and("domain_id = ?", domain)
        .and_in("channel_id", connections.channels().iter().map(Val::from))
        .and_in("client_id", connections.clients().iter().map(Val::from))
        .and_in("type", connections.types().iter().map(|kind| Val::Int(kind.code())))
}

fn read(row: &Row) -> Result<One> {
    let code = row.get("type")?;
    let kind = ConnectionType::from_code(code)
        .ok_or_else(|| Error::internal(format!("connections.type is {code}")))?;
    Ok((row.get("channel_id")?, row.get("client_id")?, kind))
}

/// Those of a channel that have the same types together, in order.
fn by_channel(connections: impl IntoIterator<Item = One>) -> Vec<OfChannel> {
    let mut types: BTreeMap<(ChannelId, ClientId), BTreeSet<ConnectionType>> = BTreeMap::new();
    for (channel, client, kind) in connections {
        types.entry((channel, client)).or_default().insert(kind);
    }
    let mut clients: BTreeMap<(ChannelId, BTreeSet<ConnectionType>), Vec<ClientId>> = BTreeMap::new();
    for ((channel, client), types) in types {
        clients.entry((channel, types)).or_default().push(client);
    }
    let of_channel = |((channel, types), clients): ((_, BTreeSet<_>), _)| OfChannel {
        channel,
        clients,
        types: types.into_iter().collect(),
    };
    clients.into_iter().map(of_channel).collect()
}

/// The channels of the connections that `filter` names, in the order of their ids, by domain.
pub async fn channels(tx: &mut Tx, filter: &Filter) -> Result<BTreeMap<DomainId, Vec<ChannelId>>> {
    let sql =
        format!("SELECT DISTINCT domain_id, channel_id FROM connections{} ORDER BY channel_id", filter.sql());
    let mut channels: BTreeMap<DomainId, Vec<ChannelId>> = BTreeMap::new();
    for row in &tx.all(&sql, filter.params()).await? {
        channels.entry(row.get("domain_id")?).or_default().push(row.get("channel_id")?);
    }
    Ok(channels)
}

/// Removes every connection that `filter` names; returns them.
pub async fn take(tx: &mut Tx, filter: &Filter) -> Result<Vec<(DomainId, OfChannel)>> {
    hold(tx, filter).await?;
    let sql =
        format!("DELETE FROM connections{} RETURNING domain_id, channel_id, client_id, type", filter.sql());
    let mut taken: BTreeMap<DomainId, Vec<One>> = BTreeMap::new();
    for row in &tx.all(&sql, filter.params()).await? {
        taken.entry(row.get("domain_id")?).or_default().push(read(row)?);
    }
    let taken = taken
        .into_iter()
        .flat_map(|(domain, taken)| by_channel(taken).into_iter().map(move |taken| (domain, taken)));
    Ok(taken.collect())
}

/// Removes every connection of a channel.
pub async fn forget_channel(tx: &mut Tx, channel: ChannelId) -> Result<()> {
    remove(tx, &Filter::new().and("channel_id = ?", channel)).await
}

/// Removes every connection of a client.
pub(crate) async fn forget_client(tx: &mut Tx, client: ClientId) -> Result<()> {
    remove(tx, &Filter::new().and("client_id = ?", client)).await
}

async fn remove(tx: &mut Tx, filter: &Filter) -> Result<()> {
    hold(tx, filter).await?;
    tx.execute(&format!("DELETE FROM connections{}", filter.sql()), filter.params()).await.map(drop)
}

/// Holds connections that are about to be removed. Their rows are taken in one order whatever they are found by, so that
/// a client's and a channel's never wait for each other in a circle.
async fn hold(tx: &mut Tx, filter: &Filter) -> Result<()> {
    if tx.engine() == Engine::Postgres {
        let (condition, hold) = (filter.sql(), tx.for_update());
        let sql = format!(
            "SELECT 1 AS held FROM connections{condition} ORDER BY channel_id, client_id, type{hold}"
        );
        tx.all(&sql, filter.params()).await?;
    }
    Ok(())
}

/// Whether the client is enabled and connected to the channel with this right.
pub async fn is_connected(
    tx: &mut Tx,
    client: ClientId,
    domain: DomainId,
    channel: ChannelId,
    kind: ConnectionType,
) -> Result<bool> {
    let row = tx
        .one_or_none(
            "SELECT 1 AS connected
               FROM connections k
               JOIN clients c ON c.id = k.client_id
              WHERE k.channel_id = $1 AND k.client_id = $2 AND k.type = $3 AND k.domain_id = $4 AND c.status = $5",
            params![channel, client, kind.code(), domain, Status::Enabled],
        )
        .await?;
    Ok(row.is_some())
}

/// And the column that holds a channel's id names one to which `client` is connected, with `kind` where it is given.
pub fn of_client(filter: Filter, column: &str, client: ClientId, kind: Option<ConnectionType>) -> Filter {
    related(filter, column, ("channel_id", "client_id"), client.into(), kind)
}

/// And the column that holds a client's id names one that is connected to `channel`, with `kind` where it is given.
pub(crate) fn of_channel(
    filter: Filter,
    column: &str,
    channel: ChannelId,
    kind: Option<ConnectionType>,
) -> Filter {
    related(filter, column, ("client_id", "channel_id"), channel.into(), kind)
}

/// How each of these clients is connected to a channel.
pub(crate) async fn types_on_channel(
    tx: &mut Tx,
    channel: ChannelId,
    clients: &[ClientId],
) -> Result<HashMap<ClientId, Vec<ConnectionType>>> {
    types(tx, ("client_id", "channel_id"), channel.into(), clients.iter().map(Val::from)).await
}

/// How a client is connected to each of these channels.
pub async fn types_of_client(
    tx: &mut Tx,
    client: ClientId,
    channels: &[ChannelId],
) -> Result<HashMap<ChannelId, Vec<ConnectionType>>> {
    types(tx, ("channel_id", "client_id"), client.into(), channels.iter().map(Val::from)).await
}

async fn types<I: FromVal + Eq + Hash>(
    tx: &mut Tx,
    (wanted, by): (&str, &str),
    id: Val,
    ids: impl Iterator<Item = Val>,
) -> Result<HashMap<I, Vec<ConnectionType>>> {
    let filter = Filter::new().and(&format!("{by} = ?"), id).and_in(wanted, ids);
    let sql = format!("SELECT {wanted} AS id, type FROM connections{} ORDER BY type", filter.sql());
    let mut types: HashMap<I, Vec<ConnectionType>> = HashMap::new();
    for row in tx.all(&sql, filter.params()).await? {
        let code: i64 = row.get("type")?;
        let kind = ConnectionType::from_code(code)
            .ok_or_else(|| Error::internal(format!("connections.type is {code}")))?;
        types.entry(row.get("id")?).or_default().push(kind);
    }
    Ok(types)
}

fn related(
    filter: Filter,
    column: &str,
    (wanted, by): (&str, &str),
    id: Val,
    kind: Option<ConnectionType>,
) -> Filter {
    let rows = format!("SELECT {wanted} FROM connections WHERE {by} = ?");
    match kind {
        None => filter.and_among(column, &rows, [id]),
        Some(kind) => filter.and_among(column, &format!("{rows} AND type = ?"), [id, kind.code().into()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_entries_count_once() {
        let rng = kernel::Rng::seeded(1);
        let (channel, client) = (ChannelId::generate(&rng), ClientId::generate(&rng));
        let types = vec![ConnectionType::Subscribe, ConnectionType::Publish, ConnectionType::Subscribe];
        let connections = Connections::new(vec![channel, channel], vec![client], types).unwrap();
        assert_eq!(
            connections.each().collect::<Vec<_>>(),
            [(channel, client, ConnectionType::Publish), (channel, client, ConnectionType::Subscribe)]
        );
    }

    #[test]
    fn types_are_read_in_any_case() {
        assert_eq!("pubLISH".parse::<ConnectionType>().unwrap(), ConnectionType::Publish);
        assert!("read".parse::<ConnectionType>().is_err());
        assert_eq!(serde_json::to_string(&ConnectionType::Subscribe).unwrap(), "\"Subscribe\"");
    }
}
