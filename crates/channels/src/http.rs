//! The channels' routes and wire shapes (reference 03 §6).

use access::{
    Context, Object,
    standing::{RoleFilter, Viewed, Viewing},
};
use axum::extract::State;
use clients::connections::{ConnectionType, Connections};
use http::StatusCode;
use kernel::{
    Change, ChannelId, ClientId, DomainId, GroupId, Metadata, Name, Page, Result, Status, Tags, Timestamp,
    UserId,
};
use registry::{
    Entries, NewEntry,
    http::{self as shared, Asked, EntryView, ListedView, NewParent, NewTags, Parameters, group_or_none},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use web::{Created, Empty, Json, JsonList, Path, Query, Route, Routes, Rule};

use crate::{
    Channels,
    model::{self, Channel, ListedChannel},
    operations,
};

/// Into a group at once, if the caller says so.
const CREATE: Rule = Rule::Operations(&[operations::CREATE, operations::SET_CHILD]);

/// The table.
pub fn routes(channels: Channels) -> Routes {
    registry().merge(connecting()).with(channels)
}

fn registry() -> Routes<Channels> {
    Routes::new("channels")
        .add(
            Route::post("/{domain}/channels", create)
                .named("register_channels")
                .rule(CREATE)
                .summary("Create a channel")
                .takes::<NewChannel>()
                .answers::<ChannelView>(201),
        )
        .add(
            Route::post("/{domain}/channels/bulk", create_bulk)
                .named("register_channels_bulk")
                .rule(CREATE)
                .summary("Create up to 1000 channels, all or none")
                .takes_list::<NewChannel>()
                .answers::<CreatedChannels>(200),
        )
        .add(
            Route::get("/{domain}/channels", list)
                .named("list_channels")
                .rule(Rule::Operations(&[operations::LIST]))
                .summary("List the channels that you may see")
                .lists()
                .queries::<Parameters>()
                .queries::<RoleFilter>()
                .queries::<Filter>()
                .answers::<ChannelPage>(200),
        )
        .add(
            Route::get("/{domain}/channels/{channel}", view)
                .named("view_channel")
                .rule(Rule::Operations(&[operations::VIEW]))
                .summary("View a channel")
                .queries::<Viewing>()
                .answers::<Viewed<ChannelView>>(200),
        )
        .add(
            Route::patch("/{domain}/channels/{channel}", update)
                .named("update_channel")
                .rule(Rule::Operations(&[operations::UPDATE]))
                .summary("Change a channel's name or metadata")
                .takes::<ChannelChange>()
                .answers::<ChannelView>(200),
        )
        .add(
            Route::patch("/{domain}/channels/{channel}/tags", shared::update_tags::<Channels>)
                .named("update_channel_tags")
                .rule(Rule::Operations(&[operations::UPDATE_TAGS]))
                .summary("Replace a channel's tags")
                .takes::<NewTags>()
                .answers::<ChannelView>(200),
        )
        .add(
            Route::post("/{domain}/channels/{channel}/enable", shared::enable::<Channels>)
                .named("enable_channel")
                .rule(Rule::Operations(&[operations::ENABLE]))
                .summary("Let messages pass again")
                .answers::<ChannelView>(200),
        )
        .add(
            Route::post("/{domain}/channels/{channel}/disable", shared::disable::<Channels>)
                .named("disable_channel")
                .rule(Rule::Operations(&[operations::DISABLE]))
                .summary("Let no message pass")
                .answers::<ChannelView>(200),
        )
        .add(
            Route::post("/{domain}/channels/{channel}/parent", shared::set_parent::<Channels>)
                .named("set_channel_parent_group")
                .rule(Rule::Operations(&[operations::SET_PARENT, operations::SET_CHILD]))
                .summary("Put a channel into a group")
                .takes::<NewParent>()
                .answers_empty(200),
        )
        .add(
            Route::delete("/{domain}/channels/{channel}/parent", shared::remove_parent::<Channels>)
                .named("remove_channel_parent_group")
                .rule(Rule::Operations(&[operations::REMOVE_PARENT, operations::REMOVE_CHILD]))
                .summary("Take a channel out of its group")
                .answers_empty(204),
        )
        .add(
            Route::delete("/{domain}/channels/{channel}", shared::delete::<Channels>)
                .named("delete_channel")
                .rule(Rule::Operations(&[operations::DELETE]))
                .summary("Remove a channel and its connections")
                .answers_empty(204),
        )
}

const CONNECT: Rule = Rule::Operations(&[operations::CONNECT, clients::operations::CONNECT]);
const DISCONNECT: Rule = Rule::Operations(&[operations::DISCONNECT, clients::operations::DISCONNECT]);

fn connecting() -> Routes<Channels> {
    Routes::new("channels")
        .add(
            Route::post("/{domain}/channels/connect", connect)
                .named("connect")
                .rule(CONNECT)
                .summary("Connect clients to channels")
                .description(
                    "Every client to every channel with every type; what is connected already stays.",
                )
                .takes::<ManyConnections>()
                .answers_empty(201),
        )
        .add(
            Route::post("/{domain}/channels/disconnect", disconnect)
                .named("disconnect")
                .rule(DISCONNECT)
                .summary("Disconnect clients from channels")
                .description("Takes effect on open connections within a second.")
                .takes::<ManyConnections>()
                .answers_empty(204),
        )
        .add(
            Route::post("/{domain}/channels/{channel}/connect", connect_one)
                .named("connect_channel")
                .rule(CONNECT)
                .summary("Connect clients to a channel")
                .takes::<ChannelConnections>()
                .answers_empty(201),
        )
        .add(
            Route::post("/{domain}/channels/{channel}/disconnect", disconnect_one)
                .named("disconnect_channel")
                .rule(DISCONNECT)
                .summary("Disconnect clients from a channel")
                .takes::<ChannelConnections>()
                .answers_empty(204),
        )
}

/// What it takes to make a channel; everything is optional.
#[derive(Debug, Deserialize, ToSchema)]
struct NewChannel {
    /// An id of your choice; made where absent.
    id: Option<ChannelId>,
    /// What people call it.
    #[serde(default)]
    name: Name,
    /// What topics may call it instead of its id; cannot be changed later.
    #[serde(default)]
    route: Option<String>,
    #[serde(default)]
    tags: Option<Tags>,
    #[serde(default)]
    metadata: Metadata,
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

impl NewChannel {
    fn parse(self) -> Result<model::NewChannel> {
        Ok(model::NewChannel {
            entry: NewEntry {
                id: self.id,
                name: self.name,
                tags: self.tags.unwrap_or_default(),
                metadata: self.metadata,
                status: self.status,
                parent: self.parent_group_id,
            },
            route: self.route.filter(|route| !route.is_empty()).map(|route| route.parse()).transpose()?,
        })
    }
}

/// What can be changed; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
struct ChannelChange {
    name: Option<Name>,
    metadata: Option<Metadata>,
}

/// Clients, channels and what to let the clients do there.
#[derive(Debug, Deserialize, ToSchema)]
struct ManyConnections {
    #[serde(default)]
    channel_ids: Vec<ChannelId>,
    #[serde(default)]
    client_ids: Vec<ClientId>,
    /// `publish`, `subscribe` or both.
    #[serde(default)]
    types: Vec<ConnectionType>,
}

/// Clients, and what to let them do on the channel.
#[derive(Debug, Deserialize, ToSchema)]
struct ChannelConnections {
    #[serde(default)]
    client_ids: Vec<ClientId>,
    /// `publish`, `subscribe` or both.
    #[serde(default)]
    types: Vec<ConnectionType>,
}

/// A channel as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChannelView {
    #[serde(flatten)]
    entry: EntryView<ChannelId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<kernel::Route>,
    created_by: UserId,
}

impl From<Channel> for ChannelView {
    fn from(channel: Channel) -> Self {
        let created_by = channel.entry.created_by;
        Self { entry: channel.entry.into(), route: channel.route, created_by }
    }
}

/// The channels that one request created.
#[derive(Debug, Serialize, ToSchema)]
struct CreatedChannels {
    total: usize,
    channels: Vec<ChannelView>,
}

/// A channel in a list.
#[derive(Debug, Serialize, ToSchema)]
struct ListedChannelView {
    #[serde(flatten)]
    listed: ListedView<ChannelView>,
    /// How the client that the list was asked for is connected to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    connection_types: Vec<ConnectionType>,
}

impl From<ListedChannel> for ListedChannelView {
    fn from(channel: ListedChannel) -> Self {
        Self {
            listed: ListedView::new(channel.listed, ChannelView::from),
            connection_types: channel.connection_types,
        }
    }
}

/// A page of channels.
#[derive(Debug, Serialize, ToSchema)]
struct ChannelPage {
    total: u64,
    offset: u64,
    limit: u64,
    channels: Vec<ListedChannelView>,
}

impl From<Page<ListedChannel>> for ChannelPage {
    fn from(page: Page<ListedChannel>) -> Self {
        Self {
            total: page.total,
            offset: page.request.offset,
            limit: page.request.limit,
            channels: page.items.into_iter().map(Into::into).collect(),
        }
    }
}

/// Which channels to list, beyond what all things of the registry can be asked for.
#[derive(Debug, Deserialize, IntoParams)]
struct Filter {
    /// Only channels to which this client is connected.
    client: Option<ClientId>,
    /// With `client`: `publish` or `subscribe`.
    connection_type: Option<ConnectionType>,
}

impl Filter {
    fn of(self, entries: registry::Query<ChannelId>) -> model::Query {
        model::Query { entries, client: self.client, connection_type: self.connection_type }
    }
}

impl shared::Service for Channels {
    type Thing = Channel;
    type View = ChannelView;

    fn entries(&self) -> &Entries<Channel> {
        Self::entries(self)
    }
}

async fn create(
    State(channels): State<Channels>,
    cx: Context,
    Path(domain): Path<DomainId>,
    Json(body): Json<NewChannel>,
) -> web::Result<Created<ChannelView>> {
    let created = channels.create(&cx, domain, vec![body.parse()?]).await?;
    let channel =
        created.into_iter().next().ok_or_else(|| kernel::Error::internal("no channel was created"))?;
    Ok(Created(format!("/channels/{}", channel.entry.id), channel.into()))
}

async fn create_bulk(
    State(channels): State<Channels>,
    cx: Context,
    Path(domain): Path<DomainId>,
    JsonList(body): JsonList<NewChannel>,
) -> web::Result<Json<CreatedChannels>> {
    let new = body.into_iter().map(NewChannel::parse).collect::<Result<Vec<_>>>()?;
    let created = channels.create(&cx, domain, new).await?;
    Ok(Json(CreatedChannels {
        total: created.len(),
        channels: created.into_iter().map(Into::into).collect(),
    }))
}

async fn list(
    State(channels): State<Channels>,
    cx: Context,
    Path(domain): Path<DomainId>,
    Asked(entries): Asked<ChannelId>,
    Query(filter): Query<Filter>,
) -> web::Result<Json<ChannelPage>> {
    Ok(Json(channels.list(&cx, domain, filter.of(entries)).await?.into()))
}

async fn view(
    State(channels): State<Channels>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ChannelId)>,
    Query(asked): Query<Viewing>,
) -> web::Result<Json<Viewed<ChannelView>>> {
    let view = channels.entries().view(&cx, domain, id).await?.into();
    Ok(Json(Viewed::of(view, &cx, Object::channel(domain, id), asked).await?))
}

async fn update(
    State(channels): State<Channels>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ChannelId)>,
    Json(body): Json<ChannelChange>,
) -> web::Result<Json<ChannelView>> {
    let change = Change { name: body.name, metadata: body.metadata, tags: None };
    Ok(Json(channels.entries().update(&cx, domain, id, change).await?.into()))
}

async fn connect(
    State(channels): State<Channels>,
    cx: Context,
    Path(domain): Path<DomainId>,
    Json(body): Json<ManyConnections>,
) -> web::Result<Empty> {
    let connections = Connections::new(body.channel_ids, body.client_ids, body.types)?;
    channels.connect(&cx, domain, connections).await?;
    Ok(Empty(StatusCode::CREATED))
}

async fn disconnect(
    State(channels): State<Channels>,
    cx: Context,
    Path(domain): Path<DomainId>,
    Json(body): Json<ManyConnections>,
) -> web::Result<Empty> {
    let connections = Connections::new(body.channel_ids, body.client_ids, body.types)?;
    channels.disconnect(&cx, domain, connections).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

async fn connect_one(
    State(channels): State<Channels>,
    cx: Context,
    Path((domain, channel)): Path<(DomainId, ChannelId)>,
    Json(body): Json<ChannelConnections>,
) -> web::Result<Empty> {
    let connections = Connections::new(vec![channel], body.client_ids, body.types)?;
    channels.connect(&cx, domain, connections).await?;
    Ok(Empty(StatusCode::CREATED))
}

async fn disconnect_one(
    State(channels): State<Channels>,
    cx: Context,
    Path((domain, channel)): Path<(DomainId, ChannelId)>,
    Json(body): Json<ChannelConnections>,
) -> web::Result<Empty> {
    let connections = Connections::new(vec![channel], body.client_ids, body.types)?;
    channels.disconnect(&cx, domain, connections).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}
