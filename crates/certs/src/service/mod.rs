//! What can be done with certificates: one function per use case.
//!
//! Upstream lets any member of any domain see and renew every certificate, and any administrator of a domain revoke every
//! one. Here a certificate is a credential of its client: whoever may view the client may view it, whoever may change the
//! client may have one made, renewed and revoked, and nothing reaches across domains.

mod answering;
mod download;
mod issuing;
mod outside;
mod recording;
mod revoking;
mod serving;
mod viewing;
mod watching;

use std::sync::{Arc, Mutex};

use access::{Access, Context, Object};
use clients::Clients;
use kernel::{ClientId, DomainId, Error, Result, Secret};
use tokio::sync::Semaphore;

use crate::{Authority, Revoked, model::Serial, openbao::OpenBao, operations, store};

pub use recording::on_client_removed;
pub use revoking::Keep;

/// What an operator can set of the service.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// What programs of the operator show to have keys certified without a user; without it none can.
    pub agent_secret: Option<Secret<String>>,
    /// How long before its end a certificate is announced.
    pub warn_before: std::time::Duration,
}

/// The certificates service; cheap to clone.
#[derive(Clone)]
pub struct Certs {
    access: Access,
    clients: Clients,
    authority: Authority,
    revoked: Revoked,
    settings: Arc<Settings>,
    /// What signs in place of our authority.
    outside: Option<OpenBao>,
    /// RSA keys that are made at a time: each takes a core for tenths of a second.
    slow: Arc<Semaphore>,
    lists: Arc<Mutex<answering::Lists>>,
}

/// RSA keys that are made at a time, and that wait for it.
const SLOW_KEYS: usize = 2;

impl axum::extract::FromRef<Certs> for Access {
    fn from_ref(certs: &Certs) -> Self {
        certs.access.clone()
    }
}

impl Certs {
    /// The service on top of `access`, with the authority that signs and the place where handshakes look.
    pub fn new(
        access: Access,
        clients: Clients,
        authority: Authority,
        revoked: Revoked,
        settings: Settings,
    ) -> Self {
        Self {
            access,
            clients,
            authority,
            revoked,
            settings: Arc::new(settings),
            outside: None,
            slow: Arc::new(Semaphore::new(SLOW_KEYS)),
            lists: Arc::default(),
        }
    }

    /// The same with something else that signs.
    #[must_use]
    pub fn signed_outside(self, outside: Option<OpenBao>) -> Self {
        if outside.is_some() {
            self.authority.await_outside();
        }
        Self { outside, ..self }
    }

    /// What signs.
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Which certificates were revoked.
    pub const fn revoked(&self) -> &Revoked {
        &self.revoked
    }

    /// The domain of a client, for the routes that name none. Denied for one that nobody knows: whether it is there is
    /// for its domain to say.
    pub async fn domain_of(&self, client: ClientId) -> Result<DomainId> {
        let known = self.clients.credentials(client).await?;
        known.map(|known| known.domain).ok_or_else(Error::denied)
    }

    /// The domain of a certificate, likewise.
    pub async fn domain_of_certificate(&self, serial: Serial) -> Result<DomainId> {
        let found = self
            .access
            .db()
            .read(move |tx| Box::pin(async move { store::certificates::find(tx, &serial).await }));
        found.await?.map(|found| found.domain).ok_or_else(Error::denied)
    }

    /// The certificate with this serial in this domain, to a caller who may do `operation` with its client; of a client
    /// that is no more, to one who may look for any.
    async fn permitted(
        &self,
        cx: &Context,
        operation: kernel::Operation,
        domain: DomainId,
        serial: &Serial,
    ) -> Result<(access::Permit, crate::model::Certificate)> {
        // Read ahead to know whom to ask about; it is shown to nobody who may not see it.
        let wanted = serial.clone();
        let found =
            cx.read(move |tx| Box::pin(async move { store::certificates::find(tx, &wanted).await })).await?;
        let Some(found) = found.filter(|found| found.domain == domain) else {
            cx.authorize(operations::FIND, Object::domain(domain)).await?;
            return Err(Error::not_found());
        };
        let exists =
            self.clients.credentials(found.client).await?.is_some_and(|known| known.domain == domain);
        let permit = if exists {
            cx.authorize(operation, Object::client(domain, found.client)).await?
        } else {
            cx.authorize(operations::FIND, Object::domain(domain)).await?
        };
        Ok((permit, found))
    }
}
