//! The clients' routes and wire shapes (reference 03 §5).

use access::{
    Context, Object,
    standing::{RoleFilter, Viewed, Viewing},
};
use axum::extract::State;
use kernel::{
    ChannelId, ClientId, DomainId, GroupId, Metadata, Name, Page, Result, Secret, Status, Tags, Timestamp,
};
use registry::{
    Entries, NewEntry,
    http::{self as shared, Asked, EntryView, ListedView, NewParent, NewTags, Parameters, group_or_none},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use web::{Created, Json, JsonList, Path, Query, Route, Routes, Rule};

use crate::{
    Clients,
    connections::ConnectionType,
    model::{self, Client, ListedClient, WithSecret},
    operations,
};

/// Into a group at once, if the caller says so.
const CREATE: Rule = Rule::Operations(&[operations::CREATE, operations::SET_CHILD]);

/// The table.
pub fn routes(clients: Clients) -> Routes {
    Routes::new("clients")
        .add(
            Route::post("/{domain}/clients", create)
                .named("register_clients")
                .rule(CREATE)
                .summary("Create a client")
                .description("Without a secret one is made. The answer shows the secret.")
                .takes::<NewClient>()
                .answers::<ClientView>(201),
        )
        .add(
            Route::post("/{domain}/clients/bulk", create_bulk)
                .named("register_clients_bulk")
                .rule(CREATE)
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
                .queries::<Parameters>()
                .queries::<RoleFilter>()
                .queries::<Filter>()
                .answers::<ClientPage>(200),
        )
        .add(
            Route::get("/{domain}/clients/{client}", view)
                .named("view_client")
                .rule(Rule::Operations(&[operations::VIEW]))
                .summary("View a client and its secret")
                .queries::<Viewing>()
                .answers::<Viewed<ClientView>>(200),
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
            Route::patch("/{domain}/clients/{client}/tags", shared::update_tags::<Clients>)
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
                .description("Without a body a fresh one is made, which this answer alone shows.")
                .takes::<NewSecret>()
                .answers::<ClientView>(200),
        )
        .add(
            Route::post("/{domain}/clients/{client}/enable", shared::enable::<Clients>)
                .named("enable_client")
                .rule(Rule::Operations(&[operations::ENABLE]))
                .summary("Let a client connect again")
                .answers::<ClientView>(200),
        )
        .add(
            Route::post("/{domain}/clients/{client}/disable", shared::disable::<Clients>)
                .named("disable_client")
                .rule(Rule::Operations(&[operations::DISABLE]))
                .summary("Keep a client from connecting and end its open connections")
                .answers::<ClientView>(200),
        )
        .add(
            Route::post("/{domain}/clients/{client}/parent", shared::set_parent::<Clients>)
                .named("set_client_parent_group")
                .rule(Rule::Operations(&[operations::SET_PARENT, operations::SET_CHILD]))
                .summary("Put a client into a group")
                .takes::<NewParent>()
                .answers_empty(200),
        )
        .add(
            Route::delete("/{domain}/clients/{client}/parent", shared::remove_parent::<Clients>)
                .named("remove_client_parent_group")
                .rule(Rule::Operations(&[operations::REMOVE_PARENT, operations::REMOVE_CHILD]))
                .summary("Take a client out of its group")
                .answers_empty(204),
        )
        .add(
            Route::delete("/{domain}/clients/{client}", shared::delete::<Clients>)
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
    /// A group to put it into.
    #[serde(default, alias = "parent_id", alias = "parent_group", deserialize_with = "group_or_none")]
    parent_group_id: Option<GroupId>,
    /// Read and ignored, as is `updated_at`: clients that send back what they were shown send them.
    #[serde(default, rename = "created_at")]
    _created_at: Option<Timestamp>,
    #[serde(default, rename = "updated_at")]
    _updated_at: Option<Timestamp>,
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
            entry: NewEntry {
                id: self.id,
                name: self.name,
                tags: self.tags.unwrap_or_default(),
                metadata: self.metadata,
                status: self.status,
                parent: self.parent_group_id,
            },
            identity: self.credentials.identity.parse()?,
            secret: self.credentials.secret,
            private_metadata: self.private_metadata,
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

/// The secret that replaces the present one.
#[derive(Debug, Deserialize, ToSchema)]
struct NewSecret {
    #[schema(value_type = String, required = true)]
    secret: Option<Secret<String>>,
}

/// A client as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClientView {
    #[serde(flatten)]
    entry: EntryView<ClientId>,
    credentials: Credentials,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    private_metadata: Metadata,
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
            entry: client.entry.into(),
            credentials: Credentials { identity: client.identity, secret: None },
            private_metadata: client.private_metadata,
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

/// A client in a list.
#[derive(Debug, Serialize, ToSchema)]
struct ListedClientView {
    #[serde(flatten)]
    listed: ListedView<ClientView>,
    /// How it is connected to the channel that the list was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    connection_types: Vec<ConnectionType>,
}

impl From<ListedClient> for ListedClientView {
    fn from(client: ListedClient) -> Self {
        let view = |client| ClientView { private_metadata: Metadata::default(), ..ClientView::from(client) };
        Self { listed: ListedView::new(client.listed, view), connection_types: client.connection_types }
    }
}

/// A page of clients.
#[derive(Debug, Serialize, ToSchema)]
struct ClientPage {
    total: u64,
    offset: u64,
    limit: u64,
    clients: Vec<ListedClientView>,
}

impl From<Page<ListedClient>> for ClientPage {
    fn from(page: Page<ListedClient>) -> Self {
        Self {
            total: page.total,
            offset: page.request.offset,
            limit: page.request.limit,
            clients: page.items.into_iter().map(Into::into).collect(),
        }
    }
}

/// Which clients to list, beyond what all things of the registry can be asked for.
#[derive(Debug, Deserialize, IntoParams)]
struct Filter {
    /// Part of the identity.
    identity: Option<String>,
    /// Only clients that are connected to this channel.
    channel: Option<ChannelId>,
    /// With `channel`: `publish` or `subscribe`.
    connection_type: Option<ConnectionType>,
}

impl Filter {
    fn of(self, entries: registry::Query<ClientId>) -> model::Query {
        model::Query {
            entries,
            identity: self.identity.filter(|identity| !identity.is_empty()),
            channel: self.channel,
            connection_type: self.connection_type,
        }
    }
}

impl shared::Service for Clients {
    type Thing = Client;
    type View = ClientView;

    fn entries(&self) -> &Entries<Client> {
        Self::entries(self)
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
    Ok(Created(format!("/clients/{}", client.client.entry.id), client.into()))
}

async fn create_bulk(
    State(clients): State<Clients>,
    cx: Context,
    Path(domain): Path<DomainId>,
    JsonList(body): JsonList<NewClient>,
) -> web::Result<Json<CreatedClients>> {
    let new = body.into_iter().map(NewClient::parse).collect::<Result<Vec<_>>>()?;
    let created = clients.create(&cx, domain, new).await?;
    Ok(Json(CreatedClients { total: created.len(), clients: created.into_iter().map(Into::into).collect() }))
}

async fn list(
    State(clients): State<Clients>,
    cx: Context,
    Path(domain): Path<DomainId>,
    Asked(entries): Asked<ClientId>,
    Query(filter): Query<Filter>,
) -> web::Result<Json<ClientPage>> {
    Ok(Json(clients.list(&cx, domain, filter.of(entries)).await?.into()))
}

async fn view(
    State(clients): State<Clients>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ClientId)>,
    Query(asked): Query<Viewing>,
) -> web::Result<Json<Viewed<ClientView>>> {
    let view = clients.view(&cx, domain, id).await?.into();
    Ok(Json(Viewed::of(view, &cx, Object::client(domain, id), asked).await?))
}

async fn update(
    State(clients): State<Clients>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ClientId)>,
    Json(body): Json<ClientChange>,
) -> web::Result<Json<ClientView>> {
    let change = model::Change {
        entry: kernel::Change { name: body.name, metadata: body.metadata, tags: None },
        private_metadata: body.private_metadata,
    };
    Ok(Json(clients.update(&cx, domain, id, change).await?.into()))
}

async fn update_secret(
    State(clients): State<Clients>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ClientId)>,
    body: Option<Json<NewSecret>>,
) -> web::Result<Json<ClientView>> {
    // Only no body at all asks for a fresh one: a misspelt field must not lock a device out.
    let given = match body {
        Some(Json(body)) => Some(body.secret.ok_or_else(|| kernel::Error::invalid("missing secret"))?),
        None => None,
    };
    let rotates = given.is_none();
    let changed = clients.update_secret(&cx, domain, id, given).await?;
    // A secret that the caller has sent need not travel back.
    Ok(Json(if rotates { changed.into() } else { changed.client.into() }))
}
