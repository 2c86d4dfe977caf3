//! Making, viewing, changing and removing configurations.

use std::sync::Arc;

use access::{Context, Object, Permit};
use clients::model::NewClient;
use db::Tx;
use kernel::{ClientId, ConfigId, DomainId, Error, Metadata, Name, Result, Secret, Status, Tags};
use registry::NewEntry;
use serde_json::json;

use super::{Bootstrap, held};
use crate::{
    events,
    model::{BoundChannel, Certificates, Client, Config, ConfigPage, ConfigQuery, NewConfig, external_key},
    operations, store,
};

/// A configuration that was just made.
#[derive(Debug, Clone)]
pub struct Made {
    /// The configuration.
    pub config: Config,
    /// Its private key, which is shown this once.
    pub client_key: Option<Secret<String>>,
    /// Its client, where it knows one.
    pub client: Option<Client>,
}

/// A configuration with what it knows.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The configuration.
    pub config: Config,
    /// Its client, where it knows one.
    pub client: Option<Client>,
    /// The channels of the client.
    pub channels: Vec<BoundChannel>,
}

impl Bootstrap {
    /// Makes a configuration. Emits `bootstrap.config.create`, and `client.create` where it makes its client.
    ///
    /// One that knows a client begins disabled, every other one enabled (reference 04 §3.4). Conflict where the external
    /// id, the name or the client is taken. Denied unless the caller may view the client and the channels, or make the
    /// client. NotFound where the profile is not in the domain.
    pub async fn create(&self, cx: &Context, domain: DomainId, new: NewConfig) -> Result<Made> {
        let mut wanted = vec![(operations::CREATE, Object::domain(domain))];
        if let Some(device) = &new.device {
            wanted.push(match device.client {
                Some(client) => (clients::operations::VIEW, Object::client(domain, client)),
                None => (clients::operations::CREATE, Object::domain(domain)),
            });
            let channels = device.channels.iter();
            wanted.extend(channels.map(|id| (channels::operations::VIEW, Object::channel(domain, *id))));
        }
        let told = json!({ "name": new.name, "external_id": new.external_id.as_str() });
        let permit = cx.authorize_all(&wanted, || told).await?;
        let (bootstrap, request) = (self.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move { bootstrap.create_in(tx, domain, &permit, new, &request).await })
        })
        .await
    }

    /// As [`Bootstrap::create`], in the transaction of a use case that makes other things, too, and has authorized this.
    pub async fn create_in(
        &self,
        tx: &mut Tx,
        domain: DomainId,
        permit: &Permit,
        new: NewConfig,
        request: &str,
    ) -> Result<Made> {
        let key = external_key(new.external_key)?;
        let certificates = new.certificates.checked()?;
        if let Some(profile) = new.profile
            && store::profiles::get_held(tx, domain, profile).await?.is_none()
        {
            return Err(Error::not_found());
        }
        let (client, channels) = match new.device {
            None => (None, Vec::new()),
            Some(device) => {
                if device.channels.is_empty() {
                    return Err(Error::invalid("empty list provided"));
                }
                let client = self.client(tx, domain, permit, device.client, request).await?;
                (Some(client), device.channels)
            }
        };
        let config = Config {
            id: client.as_ref().map_or_else(
                || ConfigId::generate(self.access.rng()),
                |client| ConfigId::from_uuid(client.id.uuid()),
            ),
            domain,
            name: new.name,
            external_id: new.external_id,
            content: crate::model::text("content", new.content)?,
            client_cert: certificates.client_cert,
            ca_cert: certificates.ca_cert,
            status: if client.is_some() { Status::Disabled } else { Status::Enabled },
            profile: new.profile,
            render_context: new.render_context.checked()?,
            client: client.as_ref().map(|client| client.id),
            channels,
            created_at: permit.at(),
            updated_at: None,
        };
        let digest = self.access.digester().digest(&scope(config.external_id.as_str()), key.expose());
        let sealed = self.sealed(config.id, certificates.client_key.as_ref())?;
        store::configs::insert(tx, &config, digest, sealed).await?;
        self.access.emit(tx, events::changed(events::CREATE, &config, permit, request)).await?;
        Ok(Made { config, client_key: certificates.client_key, client })
    }

    /// The client that a new configuration is for.
    async fn client(
        &self,
        tx: &mut Tx,
        domain: DomainId,
        permit: &Permit,
        given: Option<ClientId>,
        request: &str,
    ) -> Result<Client> {
        if let Some(id) = given {
            let known = self.clients.view_in(tx, domain, id).await?.ok_or_else(Error::not_found)?;
            return Ok(Client { id, secret: known.secret });
        }
        let entry = NewEntry {
            id: None,
            name: format!("Bootstrapped Client {}", self.access.rng().uuid()).parse()?,
            tags: Tags::default(),
            metadata: Metadata::default(),
            status: Status::Enabled,
            parent: None,
        };
        let new = NewClient {
            entry,
            identity: clients::model::Identity::default(),
            secret: None,
            private_metadata: Metadata::default(),
        };
        let made = self.clients.create_in(tx, domain, permit, vec![new], request).await?;
        let made = made.into_iter().next().ok_or_else(|| Error::internal("no client was created"))?;
        Ok(Client { id: made.client.entry.id, secret: made.secret })
    }

    /// Whether an external id is taken, before anything is made.
    pub async fn is_taken(&self, tx: &mut Tx, external_id: &str) -> Result<bool> {
        store::configs::is_taken(tx, external_id).await
    }

    /// One configuration; with its client's secret to those who may view the client, and to nobody else.
    pub async fn view(&self, cx: &Context, domain: DomainId, id: ConfigId) -> Result<Shown> {
        self.authorize_on(cx, domain, id, (operations::VIEW, clients::operations::VIEW)).await?;
        let bootstrap = self.clone();
        cx.read(move |tx| {
            Box::pin(async move {
                let config = store::configs::get(tx, domain, id).await?.ok_or_else(Error::not_found)?;
                bootstrap.with_what_it_knows(tx, config).await
            })
        })
        .await
    }

    /// The client and the channels of a configuration, as they are now.
    pub(crate) async fn with_what_it_knows(&self, tx: &mut Tx, config: Config) -> Result<Shown> {
        let mut channels = Vec::with_capacity(config.channels.len());
        for id in &config.channels {
            let channel = registry::store::get::<channels::model::Channel>(tx, config.domain, *id).await?;
            channels.extend(channel.map(|channel| BoundChannel {
                id: *id,
                name: channel.entry.name,
                metadata: channel.entry.metadata,
            }));
        }
        let client = match config.client {
            None => None,
            Some(id) => {
                let known = self.clients.view_in(tx, config.domain, id).await?;
                known.map(|known| Client { id, secret: known.secret })
            }
        };
        Ok(Shown { config, client, channels })
    }

    /// The configurations of a domain; no secrets.
    pub async fn list(&self, cx: &Context, domain: DomainId, query: ConfigQuery) -> Result<ConfigPage> {
        let told = json!({ "pagemeta": { "offset": query.page.offset, "limit": query.page.limit } });
        cx.authorize_with(operations::LIST, Object::domain(domain), || told).await?;
        cx.scan(move |tx| Box::pin(async move { store::configs::list(tx, domain, &query).await })).await
    }

    /// Replaces name and content, and the values for the template where they are given. Emits `bootstrap.config.update`.
    pub async fn update(
        &self,
        cx: &Context,
        domain: DomainId,
        id: ConfigId,
        (name, content, values): (Name, String, Option<Metadata>),
    ) -> Result<Config> {
        let (permit, _) =
            self.authorize_on(cx, domain, id, (operations::UPDATE, clients::operations::UPDATE)).await?;
        let content = crate::model::text("content", content)?;
        let values = values.map(Metadata::checked).transpose()?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut config = held(tx, domain, id).await?;
                config.name = name;
                config.content = content;
                config.render_context = values.unwrap_or(config.render_context);
                config.updated_at = Some(permit.at());
                store::configs::update(tx, &config).await?;
                access.emit(tx, events::changed(events::UPDATE, &config, &permit, &request)).await?;
                Ok(config)
            })
        })
        .await
    }

    /// Replaces the certificates. Emits `bootstrap.cert.update`.
    pub async fn update_certificates(
        &self,
        cx: &Context,
        domain: DomainId,
        id: ConfigId,
        new: Certificates,
    ) -> Result<Made> {
        let (permit, _) =
            self.authorize_on(cx, domain, id, (operations::UPDATE_CERT, clients::operations::UPDATE)).await?;
        let new = new.checked()?;
        let sealed = self.sealed(id, new.client_key.as_ref())?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut config = held(tx, domain, id).await?;
                config.client_cert = new.client_cert;
                config.ca_cert = new.ca_cert;
                config.updated_at = Some(permit.at());
                store::configs::update_certificates(tx, &config, sealed).await?;
                access.emit(tx, events::changed(events::UPDATE_CERT, &config, &permit, &request)).await?;
                Ok(Made { config, client_key: new.client_key, client: None })
            })
        })
        .await
    }

    /// Removes a configuration; its client stays. Emits `bootstrap.config.remove`. Nothing happens where there is none.
    pub async fn remove(&self, cx: &Context, domain: DomainId, id: ConfigId) -> Result<()> {
        let (permit, _) =
            self.authorize_on(cx, domain, id, (operations::REMOVE, clients::operations::DELETE)).await?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                if store::configs::delete(tx, domain, id).await? {
                    access.emit(tx, events::removed(domain, id, &permit, &request)).await?;
                }
                Ok(())
            })
        })
        .await
    }

    fn sealed(&self, id: ConfigId, key: Option<&Secret<String>>) -> Result<Option<Vec<u8>>> {
        key.map(|key| self.access.sealer().seal(&seal_context(id), key.expose().as_bytes())).transpose()
    }
}

/// A sealed key opens only for the configuration it was sealed for.
pub(super) fn seal_context(id: ConfigId) -> String {
    format!("bootstrap:{id}")
}

/// An external key is worth something with its external id alone.
pub(super) fn scope(external_id: &str) -> String {
    format!("bootstrap:{external_id}")
}
