//! What can be done with clients: one function per use case. What they share with channels is
//! [`registry::Entries`].

use std::sync::Arc;

use access::{Access, Context, Permit, crypto};
use db::{Filter, Tx, Val};
use kernel::{ClientId, DomainId, Error, Page, Result, Secret, Status};
use registry::{Entries, OnRemove};

use crate::{
    connections, events,
    known::{Known, Stored},
    model::{Change, Client, Credentials, ListedClient, NewClient, Query, WithSecret, parse_secret},
    operations, store,
};

/// The clients service.
#[derive(Clone)]
pub struct Clients {
    entries: Entries<Client>,
    known: Arc<Known>,
}

impl axum::extract::FromRef<Clients> for Access {
    fn from_ref(clients: &Clients) -> Self {
        clients.access().clone()
    }
}

impl Clients {
    /// The service on top of `access`.
    pub fn new(access: Access) -> Self {
        let known = Arc::new(Known::new(access.db()));
        let changed = Arc::clone(&known);
        Self { entries: Entries::new(access).forgetting(move |tx, id| changed.changed(tx, id)), known }
    }

    /// Calls `hook`, after those that were given before, in the transaction that removes a client.
    #[must_use]
    pub fn on_remove(self, hook: OnRemove<ClientId>) -> Self {
        Self { entries: self.entries.removing(hook), ..self }
    }

    const fn access(&self) -> &Access {
        self.entries.access()
    }

    /// What clients share with other things: enabling, groups, removal.
    pub const fn entries(&self) -> &Entries<Client> {
        &self.entries
    }

    /// Creates clients, all or none; the caller holds the `admin` role of each. Emits `client.create` for each.
    ///
    /// Conflict where an id is taken, or a secret is in use in the domain. Denied also where one is to be put into a
    /// group that the caller may not add to.
    pub async fn create(
        &self,
        cx: &Context,
        domain: DomainId,
        new: Vec<NewClient>,
    ) -> Result<Vec<WithSecret>> {
        let permit = self.entries.authorize_create(cx, domain, &new).await?;
        let (rows, secrets) = self.built(domain, &permit, new)?;
        let created = self.entries.create(cx, domain, permit, rows).await?;
        Ok(together(created, secrets))
    }

    /// As [`Clients::create`], in the transaction of a use case that makes other things, too, and has authorized this.
    pub async fn create_in(
        &self,
        tx: &mut Tx,
        domain: DomainId,
        permit: &Permit,
        new: Vec<NewClient>,
        request: &str,
    ) -> Result<Vec<WithSecret>> {
        let (rows, secrets) = self.built(domain, permit, new)?;
        let created = self.entries.create_in(tx, domain, permit, rows, request).await?;
        Ok(together(created, secrets))
    }

    /// New clients with their columns, and their secrets in the same order.
    fn built(
        &self,
        domain: DomainId,
        permit: &Permit,
        new: Vec<NewClient>,
    ) -> Result<(Vec<Rowed>, Vec<Secret<String>>)> {
        let mut secrets = Vec::with_capacity(new.len());
        let mut rows = Vec::with_capacity(new.len());
        for new in new {
            let secret = match new.secret.filter(|secret| !secret.expose().is_empty()) {
                Some(secret) => parse_secret(secret)?,
                None => crypto::fresh_secret()?,
            };
            let client = Client {
                entry: new.entry.build(domain, permit, self.access().rng())?,
                identity: new.identity,
                private_metadata: new.private_metadata.checked()?,
            };
            let own = self.own_columns(&client, &secret)?;
            rows.push((client, own));
            secrets.push(secret);
        }
        Ok((rows, secrets))
    }

    /// A client of the domain with its secret, for a use case that has authorized viewing it.
    pub async fn view_in(&self, tx: &mut Tx, domain: DomainId, id: ClientId) -> Result<Option<WithSecret>> {
        let client = registry::store::get::<Client>(tx, domain, id).await?;
        let Some((client, sealed)) = client.zip(store::sealed(tx, domain, id).await?) else {
            return Ok(None);
        };
        let secret = self.access().sealer().open_text(&seal_context(id), &sealed)?;
        Ok(Some(WithSecret { client, secret }))
    }

    /// One client with its secret. Denied without `view` on it.
    pub async fn view(&self, cx: &Context, domain: DomainId, id: ClientId) -> Result<WithSecret> {
        cx.authorize(operations::VIEW, access::Object::client(domain, id)).await?;
        let clients = self.clone();
        let found = cx.read(move |tx| Box::pin(async move { clients.view_in(tx, domain, id).await })).await?;
        found.ok_or_else(Error::not_found)
    }

    /// The clients of a domain that the caller may see.
    pub async fn list(&self, cx: &Context, domain: DomainId, query: Query) -> Result<Page<ListedClient>> {
        let sight = self.entries.sight(cx, domain, &query.entries).await?;
        cx.scan(move |tx| {
            Box::pin(async move {
                let own = |filter| own_conditions(filter, &query);
                let page = registry::store::list::<Client>(tx, domain, &query.entries, &sight, own).await?;
                let ids: Vec<ClientId> = page.items.iter().map(|listed| listed.item.entry.id).collect();
                let mut types = match query.channel {
                    Some(channel) => connections::types_on_channel(tx, channel, &ids).await?,
                    None => std::collections::HashMap::new(),
                };
                Ok(page.map(|listed| {
                    let connection_types = types.remove(&listed.item.entry.id).unwrap_or_default();
                    ListedClient { listed, connection_types }
                }))
            })
        })
        .await
    }

    /// Changes name or metadata of an enabled client. Emits `client.update`.
    pub async fn update(
        &self,
        cx: &Context,
        domain: DomainId,
        id: ClientId,
        change: Change,
    ) -> Result<Client> {
        let permit = cx.authorize(operations::UPDATE, access::Object::client(domain, id)).await?;
        let change = change.checked()?;
        let apply = |client: &mut Client| change.apply(client);
        self.entries.change(cx, domain, id, permit, events::WORDS.update, apply).await
    }

    /// Replaces the secret of an enabled client, by a fresh one where none is given; open connections with the old one
    /// end. Emits `client.update_secret`.
    ///
    /// Conflict where the secret is in use in the domain.
    pub async fn update_secret(
        &self,
        cx: &Context,
        domain: DomainId,
        id: ClientId,
        secret: Option<Secret<String>>,
    ) -> Result<WithSecret> {
        let permit = cx.authorize(operations::UPDATE_SECRET, access::Object::client(domain, id)).await?;
        let secret = secret.map_or_else(crypto::fresh_secret, parse_secret)?;
        let (digest, sealed) = self.protected(domain, id, &secret)?;
        let (entries, request) = (self.entries.clone(), Arc::clone(&cx.request().id));
        let client = cx
            .write(move |tx| {
                Box::pin(async move {
                    let client = registry::store::get_enabled::<Client>(tx, domain, id).await?;
                    let mut client = client.ok_or_else(Error::not_found)?;
                    client.entry.touch(&permit);
                    store::update_secret(tx, &client, digest, sealed).await?;
                    entries.changed(tx, id);
                    let operation = events::UPDATE_SECRET;
                    Entries::announce(tx, entries.access(), operation, &client, &permit, &request).await?;
                    Ok(client)
                })
            })
            .await?;
        Ok(WithSecret { client, secret })
    }

    /// A client that has proven otherwise who it is, by a certificate. None where there is no such client.
    pub async fn credentials(&self, id: ClientId) -> Result<Option<Credentials>> {
        let stored = self.known.of_client(self.access().db(), id).await?;
        Ok(stored.map(|stored| stored.credentials))
    }

    /// Who shows these credentials: the client's id and its secret. None where they do not hold.
    pub async fn authenticate(&self, id: ClientId, secret: &Secret<String>) -> Result<Option<Credentials>> {
        let stored = self.known.of_client(self.access().db(), id).await?;
        Ok(stored.and_then(|Stored { credentials, digest }| {
            let shown = self.access().digester().digest(&credentials.domain.to_string(), secret.expose());
            shown.matches(&digest).then_some(credentials)
        }))
    }

    /// A client's credentials with its secret itself, for a protocol in which it is proven without being shown. None where
    /// there is no such client.
    pub async fn shared_secret(&self, id: ClientId) -> Result<Option<(Credentials, Secret<String>)>> {
        let Some(stored) = self.known.of_client(self.access().db(), id).await? else { return Ok(None) };
        let domain = stored.credentials.domain;
        let sealed = self
            .access()
            .db()
            .read(move |tx| Box::pin(async move { store::sealed(tx, domain, id).await }))
            .await?;
        sealed
            .map(|sealed| {
                let secret = self.access().sealer().open_text(&seal_context(id), &sealed)?;
                Ok((stored.credentials, secret))
            })
            .transpose()
    }

    /// Who shows this secret in this domain. None where nobody has it.
    pub async fn authenticate_in(
        &self,
        domain: DomainId,
        secret: &Secret<String>,
    ) -> Result<Option<Credentials>> {
        let digest = self.access().digester().digest(&domain.to_string(), secret.expose());
        self.known.holder(self.access().db(), domain, digest).await
    }

    /// Of these clients, those that are in `domain`, with their status, which stays until the transaction of the use
    /// case that asks ends.
    pub async fn statuses(
        tx: &mut Tx,
        domain: DomainId,
        ids: &[ClientId],
    ) -> Result<Vec<(ClientId, Status)>> {
        registry::store::statuses(tx, domain, ids, false).await
    }

    /// What the table keeps of a client beside what all things have.
    fn own_columns(&self, client: &Client, secret: &Secret<String>) -> Result<Vec<(&'static str, Val)>> {
        let (digest, sealed) = self.protected(client.entry.domain, client.entry.id, secret)?;
        Ok(vec![
            ("identity", client.identity.as_str().into()),
            ("private_metadata", (&client.private_metadata).into()),
            ("secret_digest", digest.to_vec().into()),
            ("secret_sealed", sealed.into()),
        ])
    }

    /// A secret as it is found, and as it is shown again.
    fn protected(
        &self,
        domain: DomainId,
        id: ClientId,
        secret: &Secret<String>,
    ) -> Result<(crypto::Digest, Vec<u8>)> {
        let digest = self.access().digester().digest(&domain.to_string(), secret.expose());
        let sealed = self.access().sealer().seal(&seal_context(id), secret.expose().as_bytes())?;
        Ok((digest, sealed))
    }
}

/// A new client with the columns of its own.
type Rowed = (Client, Vec<(&'static str, Val)>);

fn together(clients: Vec<Client>, secrets: Vec<Secret<String>>) -> Vec<WithSecret> {
    clients.into_iter().zip(secrets).map(|(client, secret)| WithSecret { client, secret }).collect()
}

fn own_conditions(filter: Filter, query: &Query) -> Filter {
    let filter = filter.and_opt("name_contains(identity, ?)", query.identity.as_deref());
    match query.channel {
        Some(channel) => connections::of_channel(filter, "id", channel, query.connection_type),
        None => filter,
    }
}

/// A sealed secret opens only for the client it was sealed for.
fn seal_context(id: ClientId) -> String {
    format!("client:{id}")
}
