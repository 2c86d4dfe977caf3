//! Making a gateway with all that belongs to it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use access::{Access, Context, Object, Permit, RequestInfo};
use bootstrap::{
    Bootstrap,
    model::{Certificates, ExternalId, NewConfig, NewDevice},
};
use certs::{Certs, Issued, NewCertificate};
use channels::{
    Channels,
    model::{Channel, NewChannel},
};
use clients::{
    Clients,
    connections::{ConnectionType, Connections},
    model::{Identity, NewClient, WithSecret},
};
use db::Tx;
use kernel::{
    ChannelId, ClientId, DomainId, Error, Metadata, Name, Operation, Result, Secret, Status, Tags, Timestamp,
};
use registry::NewEntry;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use users::Users;

use crate::layout::{Layout, Part};

/// In whose name a request without a token is carried out.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// In nobody's: it is refused.
    None,
    /// A token that the operator has made: of a session, an API key or a personal access token.
    Token(Secret<String>),
    /// A user whom the platform logs in.
    Login(String, Secret<String>),
}

/// What provisioning stands on.
#[derive(Clone)]
pub struct Services {
    /// Who may do what.
    pub access: Access,
    /// Who logs in.
    pub users: Users,
    /// Devices.
    pub clients: Clients,
    /// Where they talk.
    pub channels: Channels,
    /// What they fetch.
    pub bootstrap: Bootstrap,
    /// Their certificates.
    pub certs: Certs,
}

/// The provision service; cheap to clone.
#[derive(Clone)]
pub struct Provision {
    on: Services,
    layout: Arc<Layout>,
    credentials: Arc<Credentials>,
    session: Arc<Mutex<Option<Session>>>,
}

/// A login that serves several requests: a password is slow to check.
struct Session {
    token: Secret<String>,
    since: Timestamp,
}

/// How long one login serves; shorter than any token lives.
const SESSION: Duration = Duration::from_secs(30);

impl axum::extract::FromRef<Provision> for Access {
    fn from_ref(provision: &Provision) -> Self {
        provision.on.access.clone()
    }
}

/// The gateway that a request asks for.
#[derive(Debug)]
pub struct Gateway {
    /// What people call it.
    pub name: Name,
    /// What it calls itself.
    pub external_id: ExternalId,
    /// What it proves itself with.
    pub external_key: Secret<String>,
    /// More about it: stands in its client's metadata, and is there for the template.
    pub metadata: Metadata,
    /// What it consists of, where that is not what the operator has laid out.
    pub layout: Option<Layout>,
}

/// What was made.
#[derive(Debug)]
pub struct Made {
    /// The clients with their secrets.
    pub clients: Vec<WithSecret>,
    /// The channels.
    pub channels: Vec<Channel>,
    /// The certificates with their private keys.
    pub certificates: Vec<Issued>,
    /// The clients that were connected.
    pub whitelisted: Vec<ClientId>,
}

/// What one gateway is made of, with ids, before anything is in the database.
struct Plan {
    layout: Arc<Layout>,
    clients: Vec<(ClientId, Part)>,
    channels: Vec<(ChannelId, Part)>,
    certificates: Vec<Issued>,
    gateway: Gateway,
}

impl Provision {
    /// The service; whoever sends a request without a token acts with `credentials`.
    pub fn new(on: Services, layout: Layout, credentials: Credentials) -> Self {
        Self { on, layout: Arc::new(layout), credentials: Arc::new(credentials), session: Arc::default() }
    }

    /// The same service with another layout and other credentials.
    #[must_use]
    pub fn laid_out(self, layout: Layout, credentials: Credentials) -> Self {
        Self::new(self.on, layout, credentials)
    }

    /// The token for a request without one. None where the operator has set nothing.
    pub(crate) async fn own_token(&self, request: &RequestInfo) -> Result<Option<Secret<String>>> {
        match &*self.credentials {
            Credentials::None => Ok(None),
            Credentials::Token(token) => Ok(Some(token.clone())),
            Credentials::Login(name, password) => {
                let mut session = self.session.lock().await;
                if let Some(known) = session.as_ref().filter(|known| request.at < known.since.after(SESSION))
                {
                    return Ok(Some(known.token.clone()));
                }
                let text = "provision".to_owned();
                let token = self.on.users.log_in(request, name, password.clone(), text).await?.access;
                *session = Some(Session { token: token.clone(), since: request.at });
                Ok(Some(token))
            }
        }
    }

    /// What the configurations of gateways hold. Denied to those who may not read the domain.
    pub async fn content(&self, cx: &Context, domain: DomainId) -> Result<Value> {
        cx.authorize(domains::operations::READ, Object::domain(domain)).await?;
        Ok(json!(self.layout.content))
    }

    /// A certificate for a client. As [`Certs::issue`].
    pub async fn certify(&self, cx: &Context, domain: DomainId, new: NewCertificate) -> Result<Issued> {
        self.on.certs.issue(cx, domain, new).await
    }

    /// Makes a gateway, all of it or nothing. Emits what making each thing by itself emits.
    ///
    /// Denied unless the caller may make clients, channels and, where the layout has one, a configuration in the domain;
    /// everything else happens to what the caller has made. Conflict where the external id or the name is taken.
    pub async fn provision(&self, cx: &Context, domain: DomainId, gateway: Gateway) -> Result<Made> {
        let told = json!({ "name": gateway.name, "external_id": gateway.external_id.as_str() });
        let (layout, gateway) = self.laid_out_as(gateway);
        let permit = cx.authorize_all(&wanted(&layout, domain), || told).await?;
        let plan = self.planned(layout, gateway, &permit).await?;
        let certificates = plan.certificates.clone();
        let (on, request) = (self.on.clone(), Arc::clone(&cx.request().id));
        let write = cx.write(move |tx| {
            Box::pin(async move {
                Making { on: &on, domain, permit: &permit, request: &request }.all(tx, plan).await
            })
        });
        let made = write.await;
        if made.is_err() {
            self.on.certs.abandon(&certificates).await;
        }
        made
    }

    fn laid_out_as(&self, mut gateway: Gateway) -> (Arc<Layout>, Gateway) {
        let own = gateway.layout.take().map(Arc::new);
        (own.unwrap_or_else(|| Arc::clone(&self.layout)), gateway)
    }

    /// Ids and certificates, outside of the transaction: signing takes longer than all the rest.
    async fn planned(&self, layout: Arc<Layout>, gateway: Gateway, permit: &Permit) -> Result<Plan> {
        layout.checked()?;
        let rng = self.on.access.rng();
        let clients: Vec<_> =
            layout.clients.iter().map(|part| (ClientId::generate(rng), part.clone())).collect();
        let channels = layout.channels.iter().map(|part| (ChannelId::generate(rng), part.clone())).collect();
        let mut certificates = Vec::new();
        for (id, _) in clients.iter().filter(|_| layout.certificates) {
            let new = NewCertificate::of_client(*id, Some(layout.ttl()));
            match self.on.certs.make(new, permit.at()).await {
                Ok(issued) => certificates.push(issued),
                Err(error) => {
                    self.on.certs.abandon(&certificates).await;
                    return Err(error);
                }
            }
        }
        Ok(Plan { layout, clients, channels, certificates, gateway })
    }
}

fn wanted(layout: &Layout, domain: DomainId) -> Vec<(Operation, Object)> {
    let mut wanted = vec![clients::operations::CREATE, channels::operations::CREATE];
    if layout.configuration {
        wanted.push(bootstrap::operations::CREATE);
    }
    wanted.into_iter().map(|operation| (operation, Object::domain(domain))).collect()
}

/// One transaction.
struct Making<'a> {
    on: &'a Services,
    domain: DomainId,
    permit: &'a Permit,
    request: &'a str,
}

impl Making<'_> {
    async fn all(&self, tx: &mut Tx, plan: Plan) -> Result<Made> {
        let external_id = plan.gateway.external_id.as_str();
        if plan.layout.configuration && self.on.bootstrap.is_taken(tx, external_id).await? {
            return Err(Error::conflict("entity already exists: the external id is taken"));
        }
        let new = plan.clients.iter().map(|(id, part)| plan.client(*id, part)).collect::<Result<_>>()?;
        let clients = self.on.clients.create_in(tx, self.domain, self.permit, new, self.request).await?;
        let new = plan.channels.iter().map(|(id, part)| plan.channel(*id, part)).collect::<Result<_>>()?;
        let channels = self.on.channels.create_in(tx, self.domain, self.permit, new, self.request).await?;
        for issued in &plan.certificates {
            self.on.certs.record(tx, self.permit, self.request, self.domain, issued).await?;
        }
        let whitelisted = self.configured(tx, &plan).await?;
        Ok(Made { clients, channels, certificates: plan.certificates, whitelisted })
    }

    /// Makes the configurations, and connects the clients.
    async fn configured(&self, tx: &mut Tx, plan: &Plan) -> Result<Vec<ClientId>> {
        let channels: Vec<ChannelId> = plan.channels.iter().map(|(id, _)| *id).collect();
        let mut whitelisted = Vec::new();
        for (id, part) in &plan.clients {
            let config = match plan.layout.configuration && part.is_gateway() {
                true => {
                    let new = plan.configuration(*id, channels.clone())?;
                    let (on, domain) = (&self.on.bootstrap, self.domain);
                    Some(on.create_in(tx, domain, self.permit, new, self.request).await?.config)
                }
                false => None,
            };
            if !plan.layout.whitelist {
                continue;
            }
            if let Some(config) = config {
                let on = &self.on.bootstrap;
                on.set_status_in(tx, config, Status::Enabled, self.permit, self.request).await?;
            } else {
                let types = vec![ConnectionType::Publish, ConnectionType::Subscribe];
                let wanted = Connections::new(channels.clone(), vec![*id], types)?;
                self.on.channels.connect_in(tx, self.domain, &wanted, self.permit, self.request).await?;
            }
            whitelisted.push(*id);
        }
        Ok(whitelisted)
    }
}

impl Plan {
    /// The gateway has the name of the request, everything else the name of its part behind it.
    fn client(&self, id: ClientId, part: &Part) -> Result<NewClient> {
        let (name, metadata) = match part.is_gateway() {
            true => (self.gateway.name.clone(), self.gateway_metadata(id, part)),
            false => (self.behind(part)?, part.metadata.clone()),
        };
        let (identity, private_metadata) = (Identity::default(), Metadata::default());
        Ok(NewClient { entry: entry(id, name, metadata), identity, secret: None, private_metadata })
    }

    fn channel(&self, id: ChannelId, part: &Part) -> Result<NewChannel> {
        Ok(NewChannel { entry: entry(id, self.behind(part)?, part.metadata.clone()), route: None })
    }

    fn behind(&self, part: &Part) -> Result<Name> {
        format!("{}_{}", self.gateway.name, part.name).parse()
    }

    /// What user interfaces look for in a gateway. Not the external key, which upstream writes here for everybody who may
    /// see the client.
    fn gateway_metadata(&self, id: ClientId, part: &Part) -> Metadata {
        let mut map = part.metadata.as_map().clone();
        map.extend(self.gateway.metadata.as_map().clone());
        map.insert("external_id".to_owned(), json!(self.gateway.external_id.as_str()));
        if !self.layout.configuration {
            return map.into();
        }
        // The last channel of a type wins.
        let of_type = |kind: &str| {
            let is = |part: &Part| part.metadata.as_map().get("type").and_then(Value::as_str) == Some(kind);
            let found = self.channels.iter().rev().find(|(_, part)| is(part));
            json!(found.map(|(id, _)| id.to_string()).unwrap_or_default())
        };
        map.insert("type".to_owned(), json!("gateway"));
        map.insert("cfg_id".to_owned(), json!(id));
        for kind in ["control", "data", "export"] {
            let short = if kind == "control" { "ctrl" } else { kind };
            map.insert(format!("{short}_channel_id"), of_type(kind));
        }
        map.into()
    }

    fn configuration(&self, client: ClientId, channels: Vec<ChannelId>) -> Result<NewConfig> {
        let issued = self.certificates.iter().find(|issued| issued.client == client);
        let certificates = issued.map_or_else(Certificates::default, |issued| Certificates {
            client_cert: issued.certificate.clone(),
            client_key: issued.private_key.clone(),
            ca_cert: issued.chain.clone(),
        });
        let mut values: Map<String, Value> = self.layout.render_context.as_map().clone();
        values.extend(self.gateway.metadata.as_map().clone());
        values.insert("external_id".to_owned(), json!(self.gateway.external_id.as_str()));
        values.insert("name".to_owned(), json!(self.gateway.name));
        Ok(NewConfig {
            name: self.gateway.name.clone(),
            external_id: self.gateway.external_id.clone(),
            external_key: self.gateway.external_key.clone(),
            content: self.layout.content_text()?,
            certificates,
            profile: self.layout.profile,
            render_context: values.into(),
            device: Some(NewDevice { client: Some(client), channels }),
        })
    }
}

fn entry<I>(id: I, name: Name, metadata: Metadata) -> NewEntry<I> {
    NewEntry { id: Some(id), name, tags: Tags::default(), metadata, status: Status::Enabled, parent: None }
}

impl Made {
    /// PEM by client: of the certificates, or of the keys.
    pub(crate) fn pem(&self, of: impl Fn(&Issued) -> Option<String>) -> BTreeMap<String, String> {
        let pair = |issued: &Issued| of(issued).map(|pem| (issued.client.to_string(), pem));
        self.certificates.iter().filter_map(pair).collect()
    }
}
