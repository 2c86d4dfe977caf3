//! What goes when clients and channels go, in the transaction that removes them: configurations of a client go with it,
//! channels and what stood in slots are let go of.

use std::sync::Arc;

use access::Access;
use kernel::{ChannelId, ClientId};
use registry::OnRemove;

use crate::{events, store};

/// Removes the configurations that know a client and empties the slots it stood in: for [`Clients::on_remove`].
///
/// Emits `bootstrap.config.remove_handler` for each configuration.
///
/// [`Clients::on_remove`]: clients::Clients::on_remove
pub fn on_client_removed(access: Access) -> OnRemove<ClientId> {
    Arc::new(move |tx, client, permit, request| {
        let access = access.clone();
        Box::pin(async move {
            store::configs::forget_client(tx, client).await?;
            for (domain, config) in store::configs::of_client(tx, client).await? {
                store::configs::delete(tx, domain, config).await?;
                access.emit(tx, events::removed_with_client(domain, config, &permit, &request)).await?;
            }
            Ok(())
        })
    })
}

/// Takes a channel out of the configurations and slots that it stood in: for [`Channels::on_remove`].
///
/// [`Channels::on_remove`]: channels::Channels::on_remove
pub fn on_channel_removed() -> OnRemove<ChannelId> {
    Arc::new(|tx, channel, _, _| Box::pin(store::configs::forget_channel(tx, channel)))
}
