//! What other services of the installation do with connections. They act in nobody's name and have authorized by
//! themselves; what they change is announced as everybody's changes are.

use std::{collections::BTreeMap, sync::Arc};

use access::{Permit, RequestInfo};
use clients::{
    Clients,
    connections::{self, ConnectionType, Connections},
};
use db::{Filter, Tx};
use kernel::{ChannelId, ClientId, DomainId, Error, Result};

use crate::{Channels, events};

/// One connection of a client to a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// The domain of both.
    pub domain: DomainId,
    /// The channel.
    pub channel: ChannelId,
    /// The client.
    pub client: ClientId,
    /// What the client may do.
    pub kind: ConnectionType,
}

impl Channels {
    /// Makes these connections, all or none. Emits `channel.connect`.
    ///
    /// NotFound where a client or channel is not in the domain, Conflict where every connection is there already.
    pub async fn add_connections(&self, request: &RequestInfo, wanted: Vec<Connection>) -> Result<()> {
        let (access, grouped) = (self.entries().access().clone(), grouped(wanted)?);
        let (permit, request) = (Permit::of_service(request.at), Arc::clone(&request.id));
        self.entries()
            .access()
            .db()
            .write(move |tx| {
                Box::pin(async move {
                    let mut nothing_new = true;
                    for (domain, connections) in grouped {
                        there(tx, domain, &connections).await?;
                        for made in connections::connect(tx, domain, &connections).await? {
                            nothing_new = false;
                            access.emit(tx, events::connected(domain, &made, &permit, &request)).await?;
                        }
                    }
                    if nothing_new { Err(Error::conflict("entity already exists")) } else { Ok(()) }
                })
            })
            .await
    }

    /// Removes these connections, also on open connections. Emits `channel.disconnect`. What is not connected is passed
    /// over.
    pub async fn remove_connections(&self, request: &RequestInfo, wanted: Vec<Connection>) -> Result<()> {
        let (access, grouped) = (self.entries().access().clone(), grouped(wanted)?);
        let (permit, request) = (Permit::of_service(request.at), Arc::clone(&request.id));
        self.entries()
            .access()
            .db()
            .write(move |tx| {
                Box::pin(async move {
                    for (domain, connections) in grouped {
                        hold(tx, domain, connections.channels()).await?;
                        for (domain, taken) in connections::disconnect(tx, domain, &connections).await? {
                            access.emit(tx, events::disconnected(domain, &taken, &permit, &request)).await?;
                        }
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Disconnects every client from a channel. Emits `channel.disconnect`.
    pub async fn disconnect_all_from(&self, request: &RequestInfo, channel: ChannelId) -> Result<()> {
        self.take(request, Filter::new().and("channel_id = ?", channel)).await
    }

    /// Disconnects a client from every channel. Emits `channel.disconnect`.
    pub async fn disconnect_everywhere(&self, request: &RequestInfo, client: ClientId) -> Result<()> {
        self.take(request, Filter::new().and("client_id = ?", client)).await
    }

    async fn take(&self, request: &RequestInfo, filter: Filter) -> Result<()> {
        let access = self.entries().access().clone();
        let (permit, request) = (Permit::of_service(request.at), Arc::clone(&request.id));
        self.entries()
            .access()
            .db()
            .write(move |tx| {
                Box::pin(async move {
                    for (domain, channels) in connections::channels(tx, &filter).await? {
                        hold(tx, domain, &channels).await?;
                    }
                    for (domain, taken) in connections::take(tx, &filter).await? {
                        access.emit(tx, events::disconnected(domain, &taken, &permit, &request)).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

/// The clients of each domain, channel and type together, in order. Invalid for none, and for too many.
fn grouped(wanted: Vec<Connection>) -> Result<Vec<(DomainId, Connections)>> {
    if wanted.len() > Connections::MAX {
        return Err(Error::invalid(format!(
            "too many connections in one request, at most {}",
            Connections::MAX
        )));
    }
    if wanted.is_empty() {
        return Err(Error::invalid("missing connections"));
    }
    let mut groups: BTreeMap<(DomainId, ChannelId, ConnectionType), Vec<ClientId>> = BTreeMap::new();
    for Connection { domain, channel, client, kind } in wanted {
        groups.entry((domain, channel, kind)).or_default().push(client);
    }
    let groups = groups.into_iter().map(|((domain, channel, kind), clients)| {
        Ok((domain, Connections::new(vec![channel], clients, vec![kind])?))
    });
    groups.collect()
}

/// Fails unless all of them are in the domain; they stay there until the transaction ends.
async fn there(tx: &mut Tx, domain: DomainId, wanted: &Connections) -> Result<()> {
    let channels = hold(tx, domain, wanted.channels()).await?;
    let clients = Clients::statuses(tx, domain, wanted.clients()).await?.len();
    match channels == wanted.channels().len() && clients == wanted.clients().len() {
        true => Ok(()),
        false => Err(Error::not_found()),
    }
}

/// Holds those of these channels that are there, so that the events of each get their order; returns their number.
async fn hold(tx: &mut Tx, domain: DomainId, channels: &[ChannelId]) -> Result<usize> {
    Ok(registry::store::statuses(tx, domain, channels, true).await?.len())
}
