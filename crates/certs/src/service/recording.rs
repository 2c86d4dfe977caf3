//! Certificates come and go: the parts that other capabilities use in transactions of their own.

use std::sync::Arc;

use access::{Access, Permit};
use clients::OnRemove;
use db::Tx;
use kernel::{ClientId, DomainId, Result};

use super::Certs;
use crate::{
    Revoked, events,
    model::{Certificate, Issued, Reason, Revocation, Serial},
    store,
};

impl Certs {
    /// Keeps a certificate that was signed, with its key if it was made here, and announces it. Emits
    /// `certificate.issue`.
    ///
    /// The caller has authorized it, and holds or has just made the client.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn record(
        &self,
        tx: &mut Tx,
        permit: &Permit,
        request: &str,
        domain: DomainId,
        issued: &Issued,
    ) -> Result<()> {
        let sealer = self.access.sealer();
        let seal = |key: &kernel::Secret<String>| {
            sealer.seal(&seal_context(&issued.serial), key.expose().as_bytes())
        };
        let key = issued.private_key.as_ref().map(seal).transpose()?;
        store::certificates::insert(tx, domain, issued, key, (permit.actor(), permit.at())).await?;
        self.access.emit(tx, events::issued(domain, issued, permit, request)).await
    }

    /// Takes back every certificate of a client that still holds; which ones these were. Emits `certificate.revoke` for
    /// each.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn revoke_of_client(
        &self,
        tx: &mut Tx,
        permit: &Permit,
        request: &str,
        client: ClientId,
        reason: Reason,
    ) -> Result<Vec<Certificate>> {
        Taking { access: &self.access, revoked: &self.revoked, permit, request }
            .all_of(tx, client, reason)
            .await
    }
}

/// Takes back all certificates of a client in the transaction that removes it: for [`Clients::on_remove`].
///
/// [`Clients::on_remove`]: clients::Clients::on_remove
pub fn on_client_removed(access: Access, revoked: Revoked) -> OnRemove<ClientId> {
    Arc::new(move |tx, client, permit, request| {
        let (access, revoked) = (access.clone(), revoked.clone());
        Box::pin(async move {
            let taking = Taking { access: &access, revoked: &revoked, permit: &permit, request: &request };
            taking.all_of(tx, client, Reason::CessationOfOperation).await.map(drop)
        })
    })
}

/// Certificates that are taken back, in whose name and where that becomes known.
pub(super) struct Taking<'a> {
    pub(super) access: &'a Access,
    pub(super) revoked: &'a Revoked,
    pub(super) permit: &'a Permit,
    pub(super) request: &'a str,
}

impl Taking<'_> {
    /// All of a client that still hold.
    async fn all_of(&self, tx: &mut Tx, client: ClientId, reason: Reason) -> Result<Vec<Certificate>> {
        let standing = store::certificates::standing_of(tx, client).await?;
        self.these(tx, &standing, reason).await?;
        Ok(standing)
    }

    /// These; those that were revoked already stay as they are.
    pub(super) async fn these(
        &self,
        tx: &mut Tx,
        certificates: &[Certificate],
        reason: Reason,
    ) -> Result<()> {
        let mut gone = Vec::with_capacity(certificates.len());
        for certificate in certificates {
            let revocation = Revocation { at: self.permit.at(), reason };
            if store::certificates::revoke(tx, &certificate.serial, revocation).await? {
                self.access.emit(tx, events::revoked(certificate, self.permit, self.request)).await?;
                gone.push((certificate.serial.clone(), certificate.not_after));
            }
        }
        if !gone.is_empty() {
            self.revoked.add_on_commit(tx, gone);
        }
        Ok(())
    }
}

/// A sealed key opens only for the certificate it was sealed for.
pub(super) fn seal_context(serial: &Serial) -> String {
    format!("certificate:{}", serial.digits())
}
