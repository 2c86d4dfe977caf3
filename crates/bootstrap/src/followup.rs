//! What follows when clients and channels go: configurations of a client go with it, channels and what stood in slots are
//! let go of. The events of the registry say so; doing it twice does no harm.

use access::Access;
use events::{Event, Received, Subscription};
use kernel::{ChannelId, ClientId, Result};

use crate::{Bootstrap, events as told, store};

/// Follows the events of the registry until the bus closes.
pub async fn run(mut registry: Subscription, bootstrap: Bootstrap) {
    loop {
        let event = match registry.recv().await {
            Received::Event(event) => event,
            Received::Missed(_) => {
                tracing::warn!("events were missed: configurations of removed clients may stay");
                continue;
            }
            Received::Closed => return,
        };
        if let Err(error) = after(bootstrap.access(), &event).await {
            tracing::error!(operation = event.operation(), cause = %error.chain(), "bootstrap could not follow an event");
        }
    }
}

async fn after(access: &Access, event: &Event) -> Result<()> {
    let id = event.entity().split_once(':').map_or("", |(_, id)| id).to_owned();
    match event.operation() {
        "client.remove" => {
            let (client, access_in) = (id.parse::<ClientId>()?, access.clone());
            let at = event.at();
            access
                .db()
                .write(move |tx| {
                    Box::pin(async move {
                        store::configs::forget_client(tx, client).await?;
                        for (domain, config) in store::configs::of_client(tx, client).await? {
                            store::configs::delete(tx, domain, config).await?;
                            access_in.emit(tx, told::removed_with_client(domain, config, at)).await?;
                        }
                        Ok(())
                    })
                })
                .await
        }
        "channel.remove" => {
            let channel = id.parse::<ChannelId>()?;
            access
                .db()
                .write(move |tx| Box::pin(async move { store::configs::forget_channel(tx, channel).await }))
                .await
        }
        _ => Ok(()),
    }
}
