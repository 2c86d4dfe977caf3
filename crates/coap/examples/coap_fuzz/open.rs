//! A gate with one client, which may do everything.

use std::net::IpAddr;

use kernel::{ChannelId, ClientId, DomainId, Error, Result, Rng};
use messaging::{Action, Credentials, Gate, Identity};

type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The secret of the client.
pub(crate) const SECRET: &str = "open-sesame";

/// Lets in whoever knows the secret.
pub(crate) struct Open;

impl Open {
    fn domain() -> DomainId {
        DomainId::generate(&Rng::seeded(1))
    }
}

impl Gate for Open {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
        _peer: IpAddr,
    ) -> BoxFuture<'a, Result<Identity>> {
        let shown = match credentials {
            Credentials::Secret { secret, .. } | Credentials::Basic { secret, .. } => secret,
            Credentials::Bearer { token, .. } => token,
            Credentials::Password { .. } | Credentials::Certificate { .. } => "",
        };
        let client = ClientId::generate(&Rng::seeded(2));
        let identity = Identity::Client { client, domain: Self::domain() };
        let outcome = if shown == SECRET { Ok(identity) } else { Err(Error::unauthenticated()) };
        Box::pin(std::future::ready(outcome))
    }

    fn resolve<'a>(
        &'a self,
        _domain: &'a str,
        channel: &'a str,
    ) -> BoxFuture<'a, Result<Option<(DomainId, ChannelId)>>> {
        let found = (channel == "c").then(|| (Self::domain(), ChannelId::generate(&Rng::seeded(3))));
        Box::pin(std::future::ready(Ok(found)))
    }

    fn resolve_domain<'a>(&'a self, _domain: &'a str) -> BoxFuture<'a, Result<Option<DomainId>>> {
        Box::pin(std::future::ready(Ok(Some(Self::domain()))))
    }

    fn authorize<'a>(
        &'a self,
        _identity: &'a Identity,
        _domain: DomainId,
        _channel: ChannelId,
        _action: Action,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(std::future::ready(Ok(true)))
    }
}
