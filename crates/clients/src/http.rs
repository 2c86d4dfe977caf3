//! The clients' routes and wire shapes (reference 03 §5).

use access::Context;
use axum::extract::State;
use http::StatusCode;
use kernel::{
    ChannelId, ClientId, DomainId, Listing, Metadata, Name, Page, Result, Secret, Status, Tags, Timestamp,
    UserId, status::StatusFilter,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use web::{Created, Empty, Json, List, Path, Query, Route, Routes, Rule};

use crate::{
    Clients,
    connections::ConnectionType,
    model::{self, Client, WithSecret},
    operations,
};

/// The table.
pub fn routes(clients: Clients) -> Routes {
    Routes::new("clients")
        .add(
            Route::post("/{domain}/clients", create)
                .named("register_clients")
                .rule(Rule::Operations(&[operations::CREATE]))
                .summary("Create a client")
                .description("Without a secret one is made. The answer shows the secret.")
                .takes::<NewClient>()
                .answers::<ClientView>(201),
        )
        .add(
            Route::post("/{domain}/clients/bulk", create_bulk)
                .named("register_clients_bulk")
                .rule(Rule::Operations(&[operations::CREATE]))
                .summary("Create up to 1000 clients, all or none")
                .takes_list::<NewClient>()
                .answers::<CreatedClients>(200),
        )
        .add(
            Route::get("/{domain}/clients", list)
                .named("list_clients")
                .rule(Rule::Operations(&[operations::LIST]))
                .summary("List the clients that you may see")
                .description("A list shows no secrets; view a client to see its own.")
                .lists()
                .queries::<Filter>()
                .answers::<ClientPage>(200),
        )
        .add(
            Route::get("/{domain}/clients/{client}", view)
                .named("view_client")
                .rule(Rule::Operations(&[operations::VIEW]))
                .summary("View a client and its secret")
                .answers::<ClientView>(200),
        )
        .add(
            Route::patch("/{domain}/clients/{client}", update)
                .named("update_client")
                .rule(Rule::Operations(&[operations::UPDATE]))
                .summary("Change a client's name or metadata")
                .takes::<ClientChange>()
                .answers::<ClientView>(200),
        )
        .add(
            Route::patch("/{domain}/clients/{client}/tags", update_tags)
                .named("update_client_tags")
                .rule(Rule::Operations(&[operations::UPDATE_TAGS]))
                .summary("Replace a client's tags")
                .takes::<NewTags>()
                .answers::<ClientView>(200),
        )
        .add(
            Route::patch("/{domain}/clients/{client}/secret", update_secret)
                .named("update_client_secret")
                .rule(Rule::Operations(&[operations::UPDATE_SECRET]))
                .summary("Replace a client's secret and end its open connections")
                .takes::<NewSecret>()
                .answers::<ClientView>(200),
        )
        .add(
            Route::post("/{domain}/clients/{client}/enable", enable)
                .named("enable_client")
                .rule(Rule::Operations(&[operations::ENABLE]))
                .summary("Let a client connect again")
                .answers::<ClientView>(200),
        )
        .add(
            Route::post("/{domain}/clients/{client}/disable", disable)
                .named("disable_client")
                .rule(Rule::Operations(&[operations::DISABLE]))
                .summary("Keep a client from connecting and end its open connections")
                .answers::<ClientView>(200),
        )
        .add(
            Route::delete("/{domain}/clients/{client}", delete)
                .named("delete_client")
                .rule(Rule::Operations(&[operations::DELETE]))
                .summary("Remove a client and end its open connections")
                .answers_empty(204),
        )
        .with(clients)
}

/// What it takes to make a client; everything is optional.
#[derive(Debug, Deserialize, ToSchema)]
struct NewClient {
    /// An id of your choice; made where absent.
    id: Option<ClientId>,
    /// What people call it.
    #[serde(default)]
    name: Name,
    #[serde(default)]
    tags: Option<Tags>,
    #[serde(default)]
    credentials: NewCredentials,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    private_metadata: Metadata,
    /// `enabled` or `disabled`.
    #[serde(default)]
    status: Status,
}

/// How a new client is known.
#[derive(Debug, Default, Deserialize, ToSchema)]
struct NewCredentials {
    /// A label of your own, for example a serial number.
    #[serde(default)]
    identity: String,
    /// The secret; made where absent or empty.
    #[schema(value_type = Option<String>)]
    secret: Option<Secret<String>>,
}

impl NewClient {
    fn parse(self) -> Result<model::NewClient> {
        Ok(model::NewClient {
            id: self.id,
            name: self.name,
            identity: self.credentials.identity.parse()?,
            secret: self.credentials.secret,
            tags: self.tags.unwrap_or_default(),
            metadata: self.metadata,
            private_metadata: self.private_metadata,
            status: self.status,
        })
    }
}

/// What can be changed; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
struct ClientChange {
    name: Option<Name>,
    metadata: Option<Metadata>,
    private_metadata: Option<Metadata>,
}

/// The tags that replace the present ones.
#[derive(Debug, Deserialize, ToSchema)]
struct NewTags {
    #[serde(default)]
    tags: Option<Tags>,
}

/// The secret that replaces the present one.
#[derive(Debug, Deserialize, ToSchema)]
struct NewSecret {
    #[schema(value_type = String)]
    secret: Option<Secret<String>>,
}

/// A client as it is shown.
#[derive(Debug, Serialize, ToSchema)]
struct ClientView {
    id: ClientId,
    #[serde(skip_serializing_if = "Name::is_empty")]
    name: Name,
    #[serde(skip_serializing_if = "Tags::is_empty")]
    tags: Tags,
    domain_id: DomainId,
    credentials: Credentials,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: Metadata,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    private_metadata: Metadata,
    created_at: Timestamp,
    #[serde(with = "kernel::time::or_never")]
    #[schema(value_type = Timestamp)]
    updated_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_by: Option<UserId>,
    status: Status,
}

/// How a client is known.
#[derive(Debug, Serialize, ToSchema)]
struct Credentials {
    #[serde(skip_serializing_if = "model::Identity::is_empty")]
    identity: model::Identity,
    /// Shown when a client is created or viewed, nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl From<Client> for ClientView {
    fn from(client: Client) -> Self {
        Self {
            id: client.id,
            name: client.name,
            tags: client.tags,
            domain_id: client.domain,
            credentials: Credentials { identity: client.identity, secret: None },
            metadata: client.metadata,
            private_metadata: client.private_metadata,
            created_at: client.created_at,
            updated_at: client.updated_at,
            updated_by: client.updated_by,
            status: client.status,
        }
    }
}

impl From<WithSecret> for ClientView {
    fn from(WithSecret { client, secret }: WithSecret) -> Self {
        let mut view = Self::from(client);
        view.credentials.secret = Some(secret.expose().clone());
        view
    }
}

/// The clients that one request created.
#[derive(Debug, Serialize, ToSchema)]
struct CreatedClients {
    total: usize,
    clients: Vec<ClientView>,
}

/// A page of clients.
#[derive(Debug, Serialize, ToSchema)]
struct ClientPage {
    total: u64,
    offset: u64,
    limit: u64,
    clients: Vec<ClientView>,
}

impl From<Page<Client>> for ClientPage {
    fn from(page: Page<Client>) -> Self {
        let listed = |client| {
            let mut view = ClientView::from(client);
            view.private_metadata = Metadata::default();
            view
        };
        Self {
            total: page.total,
            offset: page.request.offset,
            limit: page.request.limit,
            clients: page.items.into_iter().map(listed).collect(),
        }
    }
}

/// Which clients to list, beyond what all lists can be asked for.
#[derive(Debug, Deserialize, IntoParams)]
struct Filter {
    /// `enabled`, `disabled`, `deleted` or `all`.
    #[serde(default, deserialize_with = "web::parsed")]
    #[param(value_type = Option<String>)]
    status: Option<StatusFilter>,
    /// Part of the identity.
    identity: Option<String>,
    /// Exactly this client.
    id: Option<ClientId>,
    /// Only clients that are connected to this channel.
    channel: Option<ChannelId>,
    /// With `channel`: `publish` or `subscribe`.
    connection_type: Option<ConnectionType>,
}

impl Filter {
    fn of(self, listing: Listing) -> model::Query {
        model::Query {
            listing,
            status: self.status.unwrap_or_default(),
            identity: self.identity.filter(|identity| !identity.is_empty()),
            id: self.id,
            channel: self.channel,
            connection_type: self.connection_type,
        }
    }
}

async fn create(
    State(clients): State<Clients>,
    cx: Context,
    Path(domain): Path<DomainId>,
    Json(body): Json<NewClient>,
) -> web::Result<Created<ClientView>> {
    let created = clients.create(&cx, domain, vec![body.parse()?]).await?;
    let client =
        created.into_iter().next().ok_or_else(|| kernel::Error::internal("no client was created"))?;
    Ok(Created(format!("/clients/{}", client.client.id), client.into()))
}

async fn create_bulk(
    State(clients): State<Clients>,
    cx: Context,
    Path(domain): Path<DomainId>,
    Json(body): Json<Vec<NewClient>>,
) -> web::Result<Json<CreatedClients>> {
    let new = body.into_iter().map(NewClient::parse).collect::<Result<Vec<_>>>()?;
    let created = clients.create(&cx, domain, new).await?;
    Ok(Json(CreatedClients { total: created.len(), clients: created.into_iter().map(Into::into).collect() }))
}

async fn list(
    State(clients): State<Clients>,
    cx: Context,
    Path(domain): Path<DomainId>,
    List(listing): List,
    Query(filter): Query<Filter>,
) -> web::Result<Json<ClientPage>> {
    Ok(Json(clients.list(&cx, domain, filter.of(listing)).await?.into()))
}

async fn view(
    State(clients): State<Clients>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ClientId)>,
) -> web::Result<Json<ClientView>> {
    Ok(Json(clients.view(&cx, domain, id).await?.into()))
}

async fn update(
    State(clients): State<Clients>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ClientId)>,
    Json(body): Json<ClientChange>,
) -> web::Result<Json<ClientView>> {
    let change = model::Change {
        name: body.name,
        metadata: body.metadata,
        private_metadata: body.private_metadata,
        tags: None,
    };
    Ok(Json(clients.update(&cx, domain, id, change).await?.into()))
}

async fn update_tags(
    State(clients): State<Clients>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ClientId)>,
    Json(body): Json<NewTags>,
) -> web::Result<Json<ClientView>> {
    Ok(Json(clients.update_tags(&cx, domain, id, body.tags.unwrap_or_default()).await?.into()))
}

async fn update_secret(
    State(clients): State<Clients>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ClientId)>,
    Json(body): Json<NewSecret>,
) -> web::Result<Json<ClientView>> {
    let secret = body.secret.ok_or_else(|| kernel::Error::invalid("missing secret"))?;
    Ok(Json(clients.update_secret(&cx, domain, id, secret).await?.into()))
}

async fn enable(
    State(clients): State<Clients>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ClientId)>,
) -> web::Result<Json<ClientView>> {
    Ok(Json(clients.enable(&cx, domain, id).await?.into()))
}

async fn disable(
    State(clients): State<Clients>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ClientId)>,
) -> web::Result<Json<ClientView>> {
    Ok(Json(clients.disable(&cx, domain, id).await?.into()))
}

async fn delete(
    State(clients): State<Clients>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ClientId)>,
) -> web::Result<Empty> {
    clients.delete(&cx, domain, id).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}
