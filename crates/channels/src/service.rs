//! What can be done with channels: one function per use case.

use std::sync::Arc;

use access::{Access, Context, Object, Permit, callouts, gates::Gate, graph::Subject, roles};
use clients::{
    Clients,
    connections::{self, ConnectionType, Connections},
};
use db::tally;
use kernel::{ChannelId, ClientId, DomainId, Error, Page, Result, Route, Status, Tags};
use serde_json::json;

use crate::{
    events,
    model::{Change, Channel, NewChannel, Query},
    operations, store,
};

/// The channels service.
#[derive(Clone)]
pub struct Channels {
    access: Access,
}

impl axum::extract::FromRef<Channels> for Access {
    fn from_ref(channels: &Channels) -> Self {
        channels.access.clone()
    }
}

/// The most channels that one request creates (reference 03 §13 item 18).
pub const BULK_MAX: usize = 1000;

impl Channels {
    /// The service on top of `access`.
    pub const fn new(access: Access) -> Self {
        Self { access }
    }

    /// Creates channels, all or none; the caller holds the `admin` role of each. Emits `channel.create` for each.
    ///
    /// Conflict where an id is taken, or a route is taken in the domain.
    pub async fn create(&self, cx: &Context, domain: DomainId, new: Vec<NewChannel>) -> Result<Vec<Channel>> {
        let permit = cx.authorize(operations::CREATE, Object::domain(domain)).await?;
        if new.is_empty() {
            return Err(Error::invalid("empty list provided"));
        }
        if new.len() > BULK_MAX {
            return Err(Error::invalid(format!("too many channels in one request, at most {BULK_MAX}")));
        }
        let channels =
            new.into_iter().map(|new| self.build(domain, new, &permit)).collect::<Result<Vec<Channel>>>()?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                for channel in &channels {
                    store::insert(tx, channel).await?;
                    let object = Object::channel(domain, channel.id);
                    let role = roles::provision(tx, &access, &permit, object).await?;
                    access.emit(tx, events::created(channel, &role, &permit, &request)).await?;
                }
                if let Some(first) = channels.first() {
                    let came = tally::per_status(channels.iter().map(|channel| channel.status));
                    store::count(tx, domain, first.id, came).await?;
                }
                Ok(channels)
            })
        })
        .await
    }

    /// One channel. Denied without `view` on it.
    pub async fn view(&self, cx: &Context, domain: DomainId, id: ChannelId) -> Result<Channel> {
        cx.authorize(operations::VIEW, Object::channel(domain, id)).await?;
        cx.read(move |tx| Box::pin(async move { store::get(tx, domain, id).await }))
            .await?
            .ok_or_else(Error::not_found)
    }

    /// The channels of a domain that the caller may see.
    pub async fn list(&self, cx: &Context, domain: DomainId, query: Query) -> Result<Page<Channel>> {
        let visible = cx
            .visible(operations::LIST, domain, ChannelId::KIND, || callouts::page_meta(&query.listing))
            .await?;
        cx.scan(move |tx| Box::pin(async move { store::list(tx, domain, &query, visible).await })).await
    }

    /// Changes name or metadata of an enabled channel. Emits `channel.update`.
    pub async fn update(
        &self,
        cx: &Context,
        domain: DomainId,
        id: ChannelId,
        change: Change,
    ) -> Result<Channel> {
        let permit = cx.authorize(operations::UPDATE, Object::channel(domain, id)).await?;
        self.change(cx, domain, id, change, permit, events::UPDATE).await
    }

    /// Replaces the tags of an enabled channel. Emits `channel.update_tags`.
    pub async fn update_tags(
        &self,
        cx: &Context,
        domain: DomainId,
        id: ChannelId,
        tags: Tags,
    ) -> Result<Channel> {
        let permit = cx.authorize(operations::UPDATE_TAGS, Object::channel(domain, id)).await?;
        let change = Change { tags: Some(tags), ..Change::default() };
        self.change(cx, domain, id, change, permit, events::UPDATE_TAGS).await
    }

    /// Lets messages pass again. Emits `channel.enable`. Conflict where they do already.
    pub async fn enable(&self, cx: &Context, domain: DomainId, id: ChannelId) -> Result<Channel> {
        let permit = cx.authorize(operations::ENABLE, Object::channel(domain, id)).await?;
        self.set_status(cx, domain, id, Status::Enabled, permit).await
    }

    /// Lets no message pass, on open connections either. Emits `channel.disable`. Conflict where none does already.
    pub async fn disable(&self, cx: &Context, domain: DomainId, id: ChannelId) -> Result<Channel> {
        let permit = cx.authorize(operations::DISABLE, Object::channel(domain, id)).await?;
        self.set_status(cx, domain, id, Status::Disabled, permit).await
    }

    /// Removes a channel with its connections, roles and relations. Emits `channel.remove`.
    pub async fn delete(&self, cx: &Context, domain: DomainId, id: ChannelId) -> Result<()> {
        let object = Object::channel(domain, id);
        let permit = cx.authorize(operations::DELETE, object).await?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                store::delete(tx, domain, id).await?;
                roles::remove_all(tx, &access, &permit, object).await?;
                access.emit(tx, events::removed(domain, id, &permit, &request)).await
            })
        })
        .await
    }

    /// Connects clients to channels. Emits `channel.connect`.
    ///
    /// NotFound where one of them is not in the domain, Unprocessable where one is disabled, Conflict where every
    /// connection is there already; otherwise the missing ones are made (reference 03 §13 item 12).
    pub async fn connect(&self, cx: &Context, domain: DomainId, wanted: Connections) -> Result<()> {
        let permit = self
            .authorize_both(cx, domain, &wanted, operations::CONNECT, clients::operations::CONNECT)
            .await?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let channels = store::statuses(tx, domain, wanted.channels()).await?;
                let clients = Clients::statuses(tx, domain, wanted.clients()).await?;
                if channels.len() < wanted.channels().len() || clients.len() < wanted.clients().len() {
                    return Err(Error::not_found());
                }
                let mut statuses = channels.iter().map(|c| c.1).chain(clients.iter().map(|c| c.1));
                if statuses.any(|status| status != Status::Enabled) {
                    return Err(Error::unprocessable(
                        "failed to create entity, a channel or client is not enabled",
                    ));
                }
                if connections::connect(tx, domain, &wanted).await? == 0 {
                    return Err(Error::conflict("entity already exists"));
                }
                access.emit(tx, events::connected(domain, &wanted, &permit, &request)).await
            })
        })
        .await
    }

    /// Disconnects clients from channels, also on open connections. Emits `channel.disconnect`. What is not connected
    /// is passed over.
    pub async fn disconnect(&self, cx: &Context, domain: DomainId, wanted: Connections) -> Result<()> {
        let permit = self
            .authorize_both(cx, domain, &wanted, operations::DISCONNECT, clients::operations::DISCONNECT)
            .await?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                if connections::disconnect(tx, domain, &wanted).await? == 0 {
                    return Ok(());
                }
                access.emit(tx, events::disconnected(domain, &wanted, &permit, &request)).await
            })
        })
        .await
    }

    /// The channel that topics of this domain call `route`; for the message plane, which authorizes by itself.
    pub async fn by_route(&self, domain: DomainId, route: Route) -> Result<Option<ChannelId>> {
        self.access
            .db()
            .read(move |tx| Box::pin(async move { store::by_route(tx, domain, &route).await }))
            .await
    }

    /// The domain of a channel, for topics that name no domain.
    pub async fn domain_of(&self, id: ChannelId) -> Result<Option<DomainId>> {
        self.access.db().read(move |tx| Box::pin(async move { store::domain_of(tx, id).await })).await
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
        self.access
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
                .access
                .graph()
                .check(subject, kind.permission(), Object::channel(domain, channel))
                .await?)
    }

    /// Whether domain and channel are enabled, and the channel is in the domain.
    async fn passes_messages(&self, domain: DomainId, channel: ChannelId) -> Result<bool> {
        if self.access.gates().get(self.access.db(), domain).await? != Some(Gate::Enabled) {
            return Ok(false);
        }
        let db = self.access.db();
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

    fn build(&self, domain: DomainId, new: NewChannel, permit: &Permit) -> Result<Channel> {
        if new.status == Status::Deleted {
            return Err(Error::invalid("invalid status"));
        }
        Ok(Channel {
            id: new.id.unwrap_or_else(|| ChannelId::generate(self.access.rng())),
            domain,
            name: new.name,
            route: new.route,
            tags: new.tags.checked()?,
            metadata: new.metadata.checked()?,
            status: new.status,
            created_by: permit.actor(),
            created_at: permit.at(),
            updated_by: None,
            updated_at: None,
        })
    }

    async fn change(
        &self,
        cx: &Context,
        domain: DomainId,
        id: ChannelId,
        change: Change,
        permit: Permit,
        operation: &'static str,
    ) -> Result<Channel> {
        let change = change.checked()?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut channel = store::get_enabled(tx, domain, id).await?.ok_or_else(Error::not_found)?;
                change.apply(&mut channel);
                touch(&mut channel, &permit);
                store::update(tx, &channel).await?;
                access.emit(tx, events::changed(operation, &channel, &permit, &request)).await?;
                Ok(channel)
            })
        })
        .await
    }

    async fn set_status(
        &self,
        cx: &Context,
        domain: DomainId,
        id: ChannelId,
        status: Status,
        permit: Permit,
    ) -> Result<Channel> {
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut channel =
                    store::get_for_update(tx, domain, id).await?.ok_or_else(Error::not_found)?;
                if channel.status == status {
                    return Err(Error::conflict("status already assigned"));
                }
                let was = std::mem::replace(&mut channel.status, status);
                touch(&mut channel, &permit);
                store::update(tx, &channel).await?;
                store::count(tx, domain, id, vec![(was, -1), (status, 1)]).await?;
                access.emit(tx, events::status_changed(&channel, &permit, &request)).await?;
                Ok(channel)
            })
        })
        .await
    }
}

fn touch(channel: &mut Channel, permit: &Permit) {
    channel.updated_by = Some(permit.actor());
    channel.updated_at = Some(permit.at());
}
