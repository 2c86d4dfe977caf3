//! Taking configurations into and out of use, with the connections of the clients that they know.

use std::sync::Arc;

use access::{Context, Object, Permit};
use db::Tx;
use kernel::{ChannelId, ClientId, ConfigId, DomainId, Error, Result, Status};
use serde_json::json;

use super::{Bootstrap, both_ways, held, unchanged};
use crate::{events, model::Config, operations, store};

impl Bootstrap {
    /// Takes a configuration into use or out of it: its client is connected to its channels to publish and subscribe, or
    /// disconnected from them, also on open connections. Emits `bootstrap.config.enable` or `.disable`, and what happens
    /// to the connections. Nothing happens where it is in that state.
    ///
    /// Denied unless the caller may connect, or disconnect, both ends.
    pub async fn set_status(
        &self,
        cx: &Context,
        domain: DomainId,
        id: ConfigId,
        status: Status,
    ) -> Result<Config> {
        let known =
            cx.read(move |tx| Box::pin(async move { store::configs::get(tx, domain, id).await })).await?;
        let mut wanted = vec![(operations::CHANGE_STATE, Object::config(domain, id))];
        if let Some(config) = &known
            && let Some(client) = config.client
        {
            match status {
                Status::Enabled => to_connect(&mut wanted, domain, client, &config.channels),
                Status::Disabled | Status::Deleted => {
                    to_disconnect(&mut wanted, domain, client, &config.channels);
                }
            }
        }
        let permit = cx.authorize_all(&wanted, || json!({ "entity_id": id })).await?;
        let was = known.ok_or_else(Error::not_found)?;
        let (bootstrap, request) = (self.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let config = held(tx, domain, id).await?;
                unchanged(&was, &config)?;
                bootstrap.set_status_in(tx, config, status, &permit, &request).await
            })
        })
        .await
    }

    /// As [`Bootstrap::set_status`], in the transaction of a use case that has authorized it and holds the configuration,
    /// or has just made it.
    pub async fn set_status_in(
        &self,
        tx: &mut Tx,
        mut config: Config,
        status: Status,
        permit: &Permit,
        request: &str,
    ) -> Result<Config> {
        if config.status == status {
            return Ok(config);
        }
        config.status = status;
        config.updated_at = Some(permit.at());
        store::configs::update(tx, &config).await?;
        let operation = match status {
            Status::Enabled => events::ENABLE,
            Status::Disabled | Status::Deleted => events::DISABLE,
        };
        self.access.emit(tx, events::changed(operation, &config, permit, request)).await?;
        let Some(client) = config.client else { return Ok(config) };
        if let Some(connections) = both_ways(client, &config.channels)? {
            match status {
                Status::Enabled => {
                    self.channels.connect_in(tx, config.domain, &connections, permit, request).await?;
                }
                Status::Disabled | Status::Deleted => {
                    self.channels.disconnect_in(tx, config.domain, &connections, permit, request).await?;
                }
            }
        }
        Ok(config)
    }

    /// Replaces the channels of a configuration that knows its client; while it is in use, connects those that come and
    /// disconnects those that go. Emits `bootstrap.client.update_connections`.
    ///
    /// Unprocessable for a configuration that knows no client.
    pub async fn update_connections(
        &self,
        cx: &Context,
        domain: DomainId,
        id: ConfigId,
        mut new: Vec<ChannelId>,
    ) -> Result<()> {
        new.sort_unstable();
        new.dedup();
        let known =
            cx.read(move |tx| Box::pin(async move { store::configs::get(tx, domain, id).await })).await?;
        let mut wanted = vec![(operations::UPDATE, Object::config(domain, id))];
        wanted.extend(new.iter().map(|id| (channels::operations::VIEW, Object::channel(domain, *id))));
        if let Some(config) = &known
            && let Some(client) = config.client
        {
            wanted.push((clients::operations::UPDATE, Object::client(domain, client)));
            let (came, went) = difference(&config.channels, &new);
            if config.status == Status::Enabled {
                to_connect(&mut wanted, domain, client, &came);
                to_disconnect(&mut wanted, domain, client, &went);
            }
        }
        let permit = cx.authorize_all(&wanted, || json!({ "entity_id": id, "channels": new })).await?;
        let was = known.ok_or_else(Error::not_found)?;
        let Some(client) = was.client else {
            return Err(Error::unprocessable(
                "the configuration knows no client, bind channels to its slots",
            ));
        };
        if new.is_empty() {
            return Err(Error::invalid("empty list provided"));
        }
        let (bootstrap, request) = (self.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut config = held(tx, domain, id).await?;
                unchanged(&was, &config)?;
                let (came, went) = difference(&config.channels, &new);
                store::configs::set_channels(tx, id, &new).await?;
                config.channels = new;
                let event = events::changed(events::UPDATE_CONNECTIONS, &config, &permit, &request);
                bootstrap.access.emit(tx, event).await?;
                if config.status != Status::Enabled {
                    return Ok(());
                }
                if let Some(connections) = both_ways(client, &came)? {
                    bootstrap.channels.connect_in(tx, domain, &connections, &permit, &request).await?;
                }
                if let Some(connections) = both_ways(client, &went)? {
                    bootstrap.channels.disconnect_in(tx, domain, &connections, &permit, &request).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

type Wanted = Vec<(kernel::Operation, Object)>;

fn to_connect(wanted: &mut Wanted, domain: DomainId, client: ClientId, channels: &[ChannelId]) {
    at_both_ends(
        wanted,
        domain,
        client,
        channels,
        (channels::operations::CONNECT, clients::operations::CONNECT),
    );
}

fn to_disconnect(wanted: &mut Wanted, domain: DomainId, client: ClientId, channels: &[ChannelId]) {
    let operations = (channels::operations::DISCONNECT, clients::operations::DISCONNECT);
    at_both_ends(wanted, domain, client, channels, operations);
}

fn at_both_ends(
    wanted: &mut Wanted,
    domain: DomainId,
    client: ClientId,
    channels: &[ChannelId],
    (on_channel, on_client): (kernel::Operation, kernel::Operation),
) {
    if channels.is_empty() {
        return;
    }
    wanted.extend(channels.iter().map(|id| (on_channel, Object::channel(domain, *id))));
    wanted.push((on_client, Object::client(domain, client)));
}

/// What comes and what goes.
fn difference(was: &[ChannelId], is: &[ChannelId]) -> (Vec<ChannelId>, Vec<ChannelId>) {
    let without = |some: &[ChannelId], others: &[ChannelId]| {
        some.iter().filter(|id| !others.contains(id)).copied().collect::<Vec<_>>()
    };
    (without(is, was), without(was, is))
}
