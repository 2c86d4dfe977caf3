//! What can be done with clients: one function per use case.

use std::sync::Arc;

use access::{Access, Context, Object, Permit, callouts, crypto, roles};
use db::tally;
use kernel::{ClientId, DomainId, Error, Page, Result, Secret, Status, Tags};

use crate::{
    events,
    model::{Change, Client, Credentials, NewClient, Query, WithSecret, parse_secret},
    operations,
    store::{self, Stored},
};

/// The clients service.
#[derive(Clone)]
pub struct Clients {
    access: Access,
}

impl axum::extract::FromRef<Clients> for Access {
    fn from_ref(clients: &Clients) -> Self {
        clients.access.clone()
    }
}

/// The most clients that one request creates (reference 03 §13 item 18).
pub const BULK_MAX: usize = 1000;

impl Clients {
    /// The service on top of `access`.
    pub const fn new(access: Access) -> Self {
        Self { access }
    }

    /// Creates clients, all or none; the caller holds the `admin` role of each. Emits `client.create` for each.
    ///
    /// Conflict where an id is taken, or a secret is in use in the domain.
    pub async fn create(
        &self,
        cx: &Context,
        domain: DomainId,
        new: Vec<NewClient>,
    ) -> Result<Vec<WithSecret>> {
        let permit = cx.authorize(operations::CREATE, Object::domain(domain)).await?;
        if new.is_empty() {
            return Err(Error::invalid("empty list provided"));
        }
        if new.len() > BULK_MAX {
            return Err(Error::invalid(format!("too many clients in one request, at most {BULK_MAX}")));
        }
        let stored =
            new.into_iter().map(|new| self.build(domain, new, &permit)).collect::<Result<Vec<Stored>>>()?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut created = Vec::with_capacity(stored.len());
                for stored in stored {
                    store::insert(tx, &stored).await?;
                    let object = Object::client(domain, stored.client.id);
                    let role = roles::provision(tx, &access, &permit, object).await?;
                    access.emit(tx, events::created(&stored.client, &role, &permit, &request)).await?;
                    created.push(WithSecret { client: stored.client, secret: stored.secret });
                }
                if let Some(first) = created.first() {
                    let came = tally::per_status(created.iter().map(|created| created.client.status));
                    store::count(tx, domain, first.client.id, came).await?;
                }
                Ok(created)
            })
        })
        .await
    }

    /// One client with its secret. Denied without `view` on it.
    pub async fn view(&self, cx: &Context, domain: DomainId, id: ClientId) -> Result<WithSecret> {
        cx.authorize(operations::VIEW, Object::client(domain, id)).await?;
        let (client, sealed) = cx
            .read(move |tx| Box::pin(async move { store::get_sealed(tx, domain, id).await }))
            .await?
            .ok_or_else(Error::not_found)?;
        let secret = self.access.sealer().open_text(&seal_context(id), &sealed)?;
        Ok(WithSecret { client, secret })
    }

    /// The clients of a domain that the caller may see.
    pub async fn list(&self, cx: &Context, domain: DomainId, query: Query) -> Result<Page<Client>> {
        let visible = cx
            .visible(operations::LIST, domain, ClientId::KIND, || callouts::page_meta(&query.listing))
            .await?;
        cx.scan(move |tx| Box::pin(async move { store::list(tx, domain, &query, visible).await })).await
    }

    /// Changes name or metadata of an enabled client. Emits `client.update`.
    pub async fn update(
        &self,
        cx: &Context,
        domain: DomainId,
        id: ClientId,
        change: Change,
    ) -> Result<Client> {
        let permit = cx.authorize(operations::UPDATE, Object::client(domain, id)).await?;
        self.change(cx, domain, id, change, permit, events::UPDATE).await
    }

    /// Replaces the tags of an enabled client. Emits `client.update_tags`.
    pub async fn update_tags(
        &self,
        cx: &Context,
        domain: DomainId,
        id: ClientId,
        tags: Tags,
    ) -> Result<Client> {
        let permit = cx.authorize(operations::UPDATE_TAGS, Object::client(domain, id)).await?;
        let change = Change { tags: Some(tags), ..Change::default() };
        self.change(cx, domain, id, change, permit, events::UPDATE_TAGS).await
    }

    /// Replaces the secret of an enabled client; open connections with the old one end. Emits `client.update_secret`.
    ///
    /// Conflict where the secret is in use in the domain.
    pub async fn update_secret(
        &self,
        cx: &Context,
        domain: DomainId,
        id: ClientId,
        secret: Secret<String>,
    ) -> Result<Client> {
        let permit = cx.authorize(operations::UPDATE_SECRET, Object::client(domain, id)).await?;
        let secret = parse_secret(secret)?;
        let digest = self.access.digester().digest(&domain.to_string(), secret.expose());
        let sealed = self.access.sealer().seal(&seal_context(id), secret.expose().as_bytes())?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut client = store::get_enabled(tx, domain, id).await?.ok_or_else(Error::not_found)?;
                touch(&mut client, &permit);
                store::update_secret(tx, &client, digest, sealed).await?;
                access.emit(tx, events::changed(events::UPDATE_SECRET, &client, &permit, &request)).await?;
                Ok(client)
            })
        })
        .await
    }

    /// Lets a client connect again. Emits `client.enable`. Conflict where it is enabled already.
    pub async fn enable(&self, cx: &Context, domain: DomainId, id: ClientId) -> Result<Client> {
        let permit = cx.authorize(operations::ENABLE, Object::client(domain, id)).await?;
        self.set_status(cx, domain, id, Status::Enabled, permit).await
    }

    /// Keeps a client from connecting and ends its connections. Emits `client.disable`. Conflict where it is disabled.
    pub async fn disable(&self, cx: &Context, domain: DomainId, id: ClientId) -> Result<Client> {
        let permit = cx.authorize(operations::DISABLE, Object::client(domain, id)).await?;
        self.set_status(cx, domain, id, Status::Disabled, permit).await
    }

    /// Removes a client with its roles and relations, and ends its connections. Emits `client.remove`.
    pub async fn delete(&self, cx: &Context, domain: DomainId, id: ClientId) -> Result<()> {
        let object = Object::client(domain, id);
        let permit = cx.authorize(operations::DELETE, object).await?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                store::delete(tx, domain, id).await?;
                roles::remove_all(tx, &access, &permit, object).await?;
                access.emit(tx, events::removed(domain, id, &permit, &request)).await
            })
        })
        .await
    }

    /// Who shows these credentials: the client's id and its secret. None where they do not hold.
    pub async fn authenticate(&self, id: ClientId, secret: &Secret<String>) -> Result<Option<Credentials>> {
        let found = self
            .access
            .db()
            .read(move |tx| Box::pin(async move { store::credentials_by_id(tx, id).await }))
            .await?;
        Ok(found.and_then(|(credentials, digest)| {
            let shown = self.access.digester().digest(&credentials.domain.to_string(), secret.expose());
            shown.matches(&digest).then_some(credentials)
        }))
    }

    /// Who shows this secret in this domain. None where nobody has it.
    pub async fn authenticate_in(
        &self,
        domain: DomainId,
        secret: &Secret<String>,
    ) -> Result<Option<Credentials>> {
        let digest = self.access.digester().digest(&domain.to_string(), secret.expose());
        self.access
            .db()
            .read(move |tx| Box::pin(async move { store::credentials_by_digest(tx, domain, digest).await }))
            .await
    }

    /// Of these clients, those that are in `domain`, with their status, which stays until the transaction of the use
    /// case that asks ends.
    pub async fn statuses(
        tx: &mut db::Tx,
        domain: DomainId,
        ids: &[ClientId],
    ) -> Result<Vec<(ClientId, Status)>> {
        store::statuses(tx, domain, ids).await
    }

    fn build(&self, domain: DomainId, new: NewClient, permit: &Permit) -> Result<Stored> {
        if new.status == Status::Deleted {
            return Err(Error::invalid("invalid status"));
        }
        let id = new.id.unwrap_or_else(|| ClientId::generate(self.access.rng()));
        let secret = match new.secret.filter(|secret| !secret.expose().is_empty()) {
            Some(secret) => parse_secret(secret)?,
            None => crypto::fresh_secret()?,
        };
        Ok(Stored {
            digest: self.access.digester().digest(&domain.to_string(), secret.expose()),
            sealed: self.access.sealer().seal(&seal_context(id), secret.expose().as_bytes())?,
            secret,
            client: Client {
                id,
                domain,
                name: new.name,
                identity: new.identity,
                tags: new.tags.checked()?,
                metadata: new.metadata.checked()?,
                private_metadata: new.private_metadata.checked()?,
                status: new.status,
                created_by: permit.actor(),
                created_at: permit.at(),
                updated_by: None,
                updated_at: None,
            },
        })
    }

    async fn change(
        &self,
        cx: &Context,
        domain: DomainId,
        id: ClientId,
        change: Change,
        permit: Permit,
        operation: &'static str,
    ) -> Result<Client> {
        let change = change.checked()?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut client = store::get_enabled(tx, domain, id).await?.ok_or_else(Error::not_found)?;
                change.apply(&mut client);
                touch(&mut client, &permit);
                store::update(tx, &client).await?;
                access.emit(tx, events::changed(operation, &client, &permit, &request)).await?;
                Ok(client)
            })
        })
        .await
    }

    async fn set_status(
        &self,
        cx: &Context,
        domain: DomainId,
        id: ClientId,
        status: Status,
        permit: Permit,
    ) -> Result<Client> {
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut client = store::get_for_update(tx, domain, id).await?.ok_or_else(Error::not_found)?;
                if client.status == status {
                    return Err(Error::conflict("status already assigned"));
                }
                let was = std::mem::replace(&mut client.status, status);
                touch(&mut client, &permit);
                store::update(tx, &client).await?;
                store::count(tx, domain, id, vec![(was, -1), (status, 1)]).await?;
                access.emit(tx, events::status_changed(&client, &permit, &request)).await?;
                Ok(client)
            })
        })
        .await
    }
}

fn touch(client: &mut Client, permit: &Permit) {
    client.updated_by = Some(permit.actor());
    client.updated_at = Some(permit.at());
}

/// A sealed secret opens only for the client it was sealed for.
fn seal_context(id: ClientId) -> String {
    format!("client:{id}")
}
