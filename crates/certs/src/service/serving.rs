//! What other services of the installation ask, in nobody's name.

use std::sync::Arc;

use access::{Permit, RequestInfo};
use kernel::{ClientId, Error, Result};

use super::Certs;
use crate::{
    model::{Reason, Serial},
    store,
};

impl Certs {
    /// The client that has the certificate with this serial number. NotFound for one that was never given.
    pub async fn owner(&self, serial: Serial) -> Result<ClientId> {
        let read = self
            .access
            .db()
            .read(move |tx| Box::pin(async move { store::certificates::find(tx, &serial).await }));
        read.await?.map(|found| found.client).ok_or_else(Error::not_found)
    }

    /// The client whose certificate a peer has proven to own, where the platform keeps that very certificate.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn owner_of(&self, shown: &tls::Certificate) -> Result<Option<ClientId>> {
        let Ok(serial) = shown.serial.parse::<Serial>() else { return Ok(None) };
        let read = self
            .access
            .db()
            .read(move |tx| Box::pin(async move { store::certificates::find(tx, &serial).await }));
        // Others may give the same number.
        let found = read.await?.filter(|found| found.fingerprint == shown.fingerprint);
        Ok(found.filter(|found| found.revoked.is_none()).map(|found| found.client))
    }

    /// Takes all certificates of a client back; nothing where that was done already. Emits `certificate.revoke` for each.
    ///
    /// NotFound where the client never had any.
    pub async fn revoke_for_service(&self, info: &RequestInfo, client: ClientId) -> Result<()> {
        let (certs, permit, request) = (self.clone(), Permit::of_service(info.at), Arc::clone(&info.id));
        let write = self.access.db().write(move |tx| {
            Box::pin(async move {
                if !store::certificates::has_any(tx, client).await? {
                    return Err(Error::not_found());
                }
                let revoked = certs.revoke_of_client(tx, &permit, &request, client, Reason::Unspecified);
                revoked.await.map(drop)
            })
        });
        write.await
    }
}
