//! Certificates are looked at.

use access::{Context, Listing, Object};
use db::Tx;
use kernel::{ClientId, DomainId, Page, Result};
use serde_json::json;

use super::Certs;
use crate::{
    model::{Certificate, Query, Serial},
    operations, store,
};

impl Certs {
    /// One certificate. Denied without the right to view its client.
    pub async fn view(&self, cx: &Context, domain: DomainId, serial: Serial) -> Result<Certificate> {
        self.permitted(cx, operations::VIEW, domain, &serial).await.map(|(_, found)| found)
    }

    /// One certificate of a domain, for a use case that has asked whether it may be seen.
    pub async fn view_in(
        &self,
        tx: &mut Tx,
        domain: DomainId,
        serial: &Serial,
    ) -> Result<Option<Certificate>> {
        let found = store::certificates::find(tx, serial).await?;
        Ok(found.filter(|found| found.domain == domain))
    }

    /// The certificates of a domain whose clients the caller may see, the newest first.
    pub async fn list(&self, cx: &Context, domain: DomainId, query: Query) -> Result<Page<Certificate>> {
        let listing = Listing { kind: ClientId::KIND, own: operations::LIST, of_user: operations::LIST };
        let payload = || json!({ "entity_id": query.client });
        let sight = cx.sight(&listing, domain, None, payload).await?;
        cx.scan(move |tx| {
            Box::pin(async move { store::certificates::list(tx, Some(domain), &query, Some(&sight)).await })
        })
        .await
    }

    /// The certificates of one client.
    pub async fn list_of(
        &self,
        cx: &Context,
        domain: DomainId,
        query: Query,
        client: ClientId,
    ) -> Result<Page<Certificate>> {
        cx.authorize(operations::VIEW, Object::client(domain, client)).await?;
        let query = Query { client: Some(client), ..query };
        cx.scan(move |tx| {
            Box::pin(async move { store::certificates::list(tx, Some(domain), &query, None).await })
        })
        .await
    }

    /// The certificates of all domains; for administrators of the platform.
    pub async fn list_all(&self, cx: &Context, query: Query) -> Result<Page<Certificate>> {
        cx.authorize_platform_admin().await?;
        cx.scan(move |tx| Box::pin(async move { store::certificates::list(tx, None, &query, None).await }))
            .await
    }
}
