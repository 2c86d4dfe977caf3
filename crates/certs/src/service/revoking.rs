//! Certificates are taken back.

use std::sync::Arc;

use access::{Context, Object};
use kernel::{ClientId, DomainId, Error, Result, Timestamp};

use super::{Certs, recording::Taking};
use crate::{
    model::{Certificate, Reason, Serial},
    operations, store,
};

/// Which of a client's certificates are not revoked with the others, so that a new one outlives a rotation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Keep {
    /// All are revoked.
    #[default]
    None,
    /// This one stays.
    One(Serial),
    /// The one that was made last stays.
    Latest,
}

impl Certs {
    /// Takes one certificate back; no handshake with it succeeds from the answer on. Emits `certificate.revoke`.
    ///
    /// Conflict where it was revoked already.
    pub async fn revoke(&self, cx: &Context, domain: DomainId, serial: Serial) -> Result<Timestamp> {
        let (permit, found) = self.permitted(cx, operations::REVOKE, domain, &serial).await?;
        let (certs, request) = (self.clone(), Arc::clone(&cx.request().id));
        let write = cx.write(move |tx| {
            Box::pin(async move {
                let now = store::certificates::find(tx, &found.serial).await?;
                if now.is_none_or(|now| now.revoked.is_some()) {
                    return Err(Error::conflict("the certificate is revoked already"));
                }
                certs.taking(&permit, &request).these(tx, &[found], Reason::Unspecified).await?;
                Ok(permit.at())
            })
        });
        write.await
    }

    /// Takes all certificates of a client back but those that are kept. None where there was nothing to take back.
    /// Emits `certificate.revoke` for each.
    ///
    /// NotFound where the client never had any.
    pub async fn revoke_all(
        &self,
        cx: &Context,
        domain: DomainId,
        client: ClientId,
        keep: Keep,
    ) -> Result<Option<Timestamp>> {
        let permit = cx.authorize(operations::REVOKE, Object::client(domain, client)).await?;
        let (certs, request) = (self.clone(), Arc::clone(&cx.request().id));
        let write = cx.write(move |tx| {
            Box::pin(async move {
                let mut standing = store::certificates::standing_of(tx, client).await?;
                if standing.is_empty() && !store::certificates::has_any(tx, client).await? {
                    return Err(Error::not_found());
                }
                leave(&mut standing, &keep);
                let reason = if keep == Keep::None { Reason::Unspecified } else { Reason::Superseded };
                certs.taking(&permit, &request).these(tx, &standing, reason).await?;
                Ok((!standing.is_empty()).then_some(permit.at()))
            })
        });
        write.await
    }

    /// As [`Certs::revoke_all`]; NotFound where there is nothing to take back.
    pub async fn delete_all(&self, cx: &Context, domain: DomainId, client: ClientId) -> Result<()> {
        let revoked = self.revoke_all(cx, domain, client, Keep::None).await?;
        revoked.map(drop).ok_or_else(Error::not_found)
    }

    fn taking<'a>(&'a self, permit: &'a access::Permit, request: &'a str) -> Taking<'a> {
        Taking { access: &self.access, revoked: &self.revoked, permit, request }
    }
}

fn leave(standing: &mut Vec<Certificate>, keep: &Keep) {
    let kept = match keep {
        Keep::None => None,
        Keep::One(serial) => Some(serial.clone()),
        Keep::Latest => {
            let latest =
                standing.iter().max_by_key(|certificate| (certificate.created_at, &certificate.serial));
            latest.map(|certificate| certificate.serial.clone())
        }
    };
    standing.retain(|certificate| Some(&certificate.serial) != kept.as_ref());
}
