//! What can be done with configurations and profiles, one function per use case: [`configs`], [`state`], [`profiles`],
//! [`bindings`], and what devices do ([`device`]).

mod bindings;
mod configs;
mod device;
mod profiles;
mod state;

use std::sync::Arc;

use access::{Access, Context, Object, Permit};
use certs::Certs;
use channels::Channels;
use clients::{
    Clients,
    connections::{ConnectionType, Connections},
};
use db::Tx;
use kernel::{ChannelId, ClientId, ConfigId, DomainId, Error, Operation, Result};
use serde_json::json;

use crate::{Cipher, model::Config, store};

pub use configs::{Made, Shown};
pub use profiles::Sample;

/// The bootstrap service; cheap to clone.
#[derive(Clone)]
pub struct Bootstrap {
    access: Access,
    clients: Clients,
    channels: Channels,
    certs: Certs,
    cipher: Arc<Cipher>,
}

impl axum::extract::FromRef<Bootstrap> for Access {
    fn from_ref(bootstrap: &Bootstrap) -> Self {
        bootstrap.access.clone()
    }
}

impl Bootstrap {
    /// The service over clients, channels and certificates, with the cipher of secure bootstrap.
    pub fn new(access: Access, clients: Clients, channels: Channels, certs: Certs, cipher: Cipher) -> Self {
        Self { access, clients, channels, certs, cipher: Arc::new(cipher) }
    }

    /// Lets the caller do something with one configuration, and with its client where it knows one.
    ///
    /// The configuration is read ahead to know whom to ask; what was read says nothing to a caller who is refused.
    async fn authorize_on(
        &self,
        cx: &Context,
        domain: DomainId,
        id: ConfigId,
        (operation, on_client): (Operation, Operation),
    ) -> Result<(Permit, Option<Config>)> {
        let known =
            cx.read(move |tx| Box::pin(async move { store::configs::get(tx, domain, id).await })).await?;
        let mut wanted = vec![(operation, Object::config(domain, id))];
        if let Some(client) = known.as_ref().and_then(|config| config.client) {
            wanted.push((on_client, Object::client(domain, client)));
        }
        let permit = cx.authorize_all(&wanted, || json!({ "entity_id": id })).await?;
        Ok((permit, known))
    }
}

/// The configuration, held. NotFound where it is not there.
async fn held(tx: &mut Tx, domain: DomainId, id: ConfigId) -> Result<Config> {
    store::configs::get_for_update(tx, domain, id).await?.ok_or_else(Error::not_found)
}

/// Fails where what was asked for is no longer what is there: the rights were asked for something else.
fn unchanged(was: &Config, is: &Config) -> Result<()> {
    match was.client == is.client && was.channels == is.channels {
        true => Ok(()),
        false => Err(Error::conflict("the configuration has changed meanwhile, try again")),
    }
}

/// A client on channels, both ways; none where there is no channel.
fn both_ways(client: ClientId, channels: &[ChannelId]) -> Result<Option<Connections>> {
    if channels.is_empty() {
        return Ok(None);
    }
    let types = vec![ConnectionType::Publish, ConnectionType::Subscribe];
    Connections::new(channels.to_vec(), vec![client], types).map(Some)
}
