//! What can be done with channels: one function per use case. What they share with clients is
//! [`registry::Entries`].

use std::sync::Arc;

use access::{Access, Context, Object, Permit, gates::Gate, graph::Subject};
use clients::{
    Clients,
    connections::{self, ConnectionType, Connections},
};
use db::{Filter, Tx, Val};
use kernel::{ChannelId, ClientId, DomainId, Error, Page, Result, Route, Status};
use registry::{Entries, OnRemove};
use serde_json::json;

use crate::{
    events,
    model::{Channel, ListedChannel, NewChannel, Query},
    operations, store,
};

/// The channels service.
#[derive(Clone)]
pub struct Channels {
    entries: Entries<Channel>,
}

impl axum::extract::FromRef<Channels> for Access {
    fn from_ref(channels: &Channels) -> Self {
        channels.access().clone()
    }
}

impl Channels {
    /// The service on top of `access`.
    pub const fn new(access: Access) -> Self {
        Self { entries: Entries::new(access) }
    }

    /// Calls `hook`, after those that were given before, in the transaction that removes a channel.
    #[must_use]
    pub fn on_remove(self, hook: OnRemove<ChannelId>) -> Self {
        Self { entries: self.entries.removing(hook) }
    }

    const fn access(&self) -> &Access {
        self.entries.access()
    }

    /// What channels share with other things: viewing, changing, enabling, groups, removal.
    pub const fn entries(&self) -> &Entries<Channel> {
        &self.entries
    }

    /// Creates channels, all or none; the caller holds the `admin` role of each. Emits `channel.create` for each.
    ///
    /// Conflict where an id is taken, or a route is taken in the domain. Denied also where one is to be put into a group
    /// that the caller may not add to.
    pub async fn create(&self, cx: &Context, domain: DomainId, new: Vec<NewChannel>) -> Result<Vec<Channel>> {
        let permit = self.entries.authorize_create(cx, domain, &new).await?;
        let rows = self.built(domain, &permit, new)?;
        self.entries.create(cx, domain, permit, rows).await
    }

    /// As [`Channels::create`], in the transaction of a use case that makes other things, too, and has authorized this.
    pub async fn create_in(
        &self,
        tx: &mut Tx,
        domain: DomainId,
        permit: &Permit,
        new: Vec<NewChannel>,
        request: &str,
    ) -> Result<Vec<Channel>> {
        let rows = self.built(domain, permit, new)?;
        self.entries.create_in(tx, domain, permit, rows, request).await
    }

    /// New channels with their columns.
    fn built(&self, domain: DomainId, permit: &Permit, new: Vec<NewChannel>) -> Result<Vec<Rowed>> {
        let build = |new: NewChannel| {
            let channel =
                Channel { entry: new.entry.build(domain, permit, self.access().rng())?, route: new.route };
            let route = channel.route.as_ref().map_or(Val::Null, Val::from);
            Ok((channel, vec![("route", route)]))
        };
        new.into_iter().map(build).collect()
    }

    /// The channels of a domain that the caller may see.
    pub async fn list(&self, cx: &Context, domain: DomainId, query: Query) -> Result<Page<ListedChannel>> {
        let sight = self.entries.sight(cx, domain, &query.entries).await?;
        cx.scan(move |tx| {
            Box::pin(async move {
                let own = |filter| own_conditions(filter, &query);
                let page = registry::store::list::<Channel>(tx, domain, &query.entries, &sight, own).await?;
                let ids: Vec<ChannelId> = page.items.iter().map(|listed| listed.item.entry.id).collect();
                let mut types = match query.client {
                    Some(client) => connections::types_of_client(tx, client, &ids).await?,
                    None => std::collections::HashMap::new(),
                };
                Ok(page.map(|listed| {
                    let connection_types = types.remove(&listed.item.entry.id).unwrap_or_default();
                    ListedChannel { listed, connection_types }
                }))
            })
        })
        .await
    }

    /// Connects clients to channels. Emits `channel.connect` for each channel, with what is new.
    ///
    /// NotFound where one of them is not in the domain, Unprocessable where one is disabled, Conflict where every
    /// connection is there already; otherwise the missing ones are made (reference 03 §13 item 12).
    pub async fn connect(&self, cx: &Context, domain: DomainId, wanted: Connections) -> Result<()> {
        let permit = self
            .authorize_both(cx, domain, &wanted, operations::CONNECT, clients::operations::CONNECT)
            .await?;
        let (channels, request) = (self.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                if channels.connect_in(tx, domain, &wanted, &permit, &request).await? {
                    return Ok(());
                }
                Err(Error::conflict("entity already exists"))
            })
        })
        .await
    }

    /// As [`Channels::connect`], in the transaction of a use case that has authorized it at both ends. Says whether
    /// anything is new.
    pub async fn connect_in(
        &self,
        tx: &mut Tx,
        domain: DomainId,
        wanted: &Connections,
        permit: &Permit,
        request: &str,
    ) -> Result<bool> {
        let channels = held(tx, domain, wanted).await?;
        let clients = Clients::statuses(tx, domain, wanted.clients()).await?;
        if channels.len() < wanted.channels().len() || clients.len() < wanted.clients().len() {
            return Err(Error::not_found());
        }
        let mut statuses = channels.iter().map(|c| c.1).chain(clients.iter().map(|c| c.1));
        if statuses.any(|status| status != Status::Enabled) {
            return Err(Error::unprocessable("failed to create entity, a channel or client is not enabled"));
        }
        let made = connections::connect(tx, domain, wanted).await?;
        for made in &made {
            self.access().emit(tx, events::connected(domain, made, permit, request)).await?;
        }
        Ok(!made.is_empty())
    }

    /// Disconnects clients from channels, also on open connections. Emits `channel.disconnect` for each channel, with what
    /// was connected; the rest is passed over.
    pub async fn disconnect(&self, cx: &Context, domain: DomainId, wanted: Connections) -> Result<()> {
        let permit = self
            .authorize_both(cx, domain, &wanted, operations::DISCONNECT, clients::operations::DISCONNECT)
            .await?;
        let (channels, request) = (self.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move { channels.disconnect_in(tx, domain, &wanted, &permit, &request).await })
        })
        .await
    }

    /// As [`Channels::disconnect`], in the transaction of a use case that has authorized it at both ends.
    pub async fn disconnect_in(
        &self,
        tx: &mut Tx,
        domain: DomainId,
        wanted: &Connections,
        permit: &Permit,
        request: &str,
    ) -> Result<()> {
        held(tx, domain, wanted).await?;
        for (domain, taken) in connections::disconnect(tx, domain, wanted).await? {
            self.access().emit(tx, events::disconnected(domain, &taken, permit, request)).await?;
        }
        Ok(())
    }

    /// The channel that topics of this domain call `route`; for the message plane, which authorizes by itself.
    pub async fn by_route(&self, domain: DomainId, route: Route) -> Result<Option<ChannelId>> {
        self.access()
            .db()
            .read(move |tx| Box::pin(async move { store::by_route(tx, domain, &route).await }))
            .await
    }

    /// The domain of a channel, for topics that name no domain.
    pub async fn domain_of(&self, id: ChannelId) -> Result<Option<DomainId>> {
        self.access().db().read(move |tx| Box::pin(async move { store::domain_of(tx, id).await })).await
    }

    /// Whether a client may publish to, or subscribe to, a channel now: it is connected with that right, and domain
    /// and channel and the client itself are enabled.
    pub async fn may_client(
        &self,
        client: ClientId,
        domain: DomainId,
        channel: ChannelId,
        kind: ConnectionType,
    ) -> Result<bool> {
        if !self.passes_messages(domain, channel).await? {
            return Ok(false);
        }
        self.access()
            .db()
            .read(move |tx| {
                Box::pin(async move { connections::is_connected(tx, client, domain, channel, kind).await })
            })
            .await
    }

    /// Whether a user may publish to, or subscribe to, a channel now.
    pub async fn may_user(
        &self,
        subject: Subject,
        domain: DomainId,
        channel: ChannelId,
        kind: ConnectionType,
    ) -> Result<bool> {
        Ok(self.passes_messages(domain, channel).await?
            && self
                .access()
                .graph()
                .check(subject, kind.permission(), Object::channel(domain, channel))
                .await?)
    }

    /// Whether domain and channel are enabled, and the channel is in the domain.
    pub async fn passes_messages(&self, domain: DomainId, channel: ChannelId) -> Result<bool> {
        if self.access().gates().get(self.access().db(), domain).await? != Some(Gate::Enabled) {
            return Ok(false);
        }
        let db = self.access().db();
        db.read(move |tx| Box::pin(async move { store::is_enabled(tx, domain, channel).await })).await
    }

    /// Both ends must agree: each channel, then each client.
    async fn authorize_both(
        &self,
        cx: &Context,
        domain: DomainId,
        wanted: &Connections,
        on_channel: kernel::Operation,
        on_client: kernel::Operation,
    ) -> Result<Permit> {
        let channels =
            wanted.channels().iter().map(|channel| (on_channel, Object::channel(domain, *channel)));
        let clients = wanted.clients().iter().map(|client| (on_client, Object::client(domain, *client)));
        let both: Vec<_> = channels.chain(clients).collect();
        cx.authorize_all(&both, || {
            json!({
                "channel_ids": wanted.channels(),
                "client_ids": wanted.clients(),
                "connection_types": wanted.types(),
            })
        })
        .await
    }
}

/// A new channel with the columns of its own.
type Rowed = (Channel, Vec<(&'static str, Val)>);

fn own_conditions(filter: Filter, query: &Query) -> Filter {
    match query.client {
        Some(client) => connections::of_client(filter, "id", client, query.connection_type),
        None => filter,
    }
}

/// Holds the channels, in the order of their ids, until the transaction ends: whoever changes the connections of one
/// waits, so that the events of each channel get their order. Returns those that are there, with their status.
async fn held(tx: &mut Tx, domain: DomainId, wanted: &Connections) -> Result<Vec<(ChannelId, Status)>> {
    registry::store::statuses(tx, domain, wanted.channels(), true).await
}
