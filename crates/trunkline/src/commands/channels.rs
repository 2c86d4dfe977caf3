//! `trunkline channels`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use kernel::{ChannelId, DomainId, GroupId, Status};
use sdk::{Api, Channel, ChannelChange, Channels, Clients, Connections, Groups, NewChannel, Registry};
use serde_json::{Map, Value};

use super::clients::Rights;
use super::input::{self, Described};
use super::listing::{Filter, Paging};
use super::output::Shape;
use super::resolve;
use super::session::Session;
use super::things::{self, Thing, Verb, Which};

/// Columns that a file of channels may have.
const COLUMNS: &str = "id, name, route, tags, metadata";

/// What can be done with channels.
#[derive(Debug, Subcommand)]
pub(crate) enum ChannelsCommand {
    /// Create one channel, or many at once: all or none
    #[command(after_help = "Examples:\n  trunkline channels create Temperatures --route temps\n  \
                            trunkline channels create --file channels.csv    # name,route,tags,metadata")]
    Create(Create),
    /// List channels
    List(List),
    /// Change the name or the metadata of a channel
    Update(Update),
    /// Let clients publish to a channel and subscribe there
    Connect(Connect),
    /// Take that right back, on open connections too
    Disconnect(Connect),
    #[command(flatten)]
    Verb(Verb),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Names; more than one makes a channel of each
    #[arg(value_name = "NAME", required_unless_present = "file")]
    names: Vec<String>,
    /// A JSON array, or CSV with a line of column names: id, name, route, tags, metadata
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "route", "id"])]
    file: Option<PathBuf>,
    /// What topics call it; cannot be changed later
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    /// An id of your choice, a UUID
    #[arg(long, value_name = "UUID")]
    id: Option<ChannelId>,
    /// The group that it belongs to
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// No message passes before it is enabled
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    described: Described,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    filter: Filter,
    /// Those in this group or in a group below it
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Those that this client is connected to
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    #[command(flatten)]
    which: Which,
    /// Another name
    #[arg(long, value_name = "TEXT", required_unless_present = "metadata")]
    name: Option<String>,
    /// Replaces the metadata: a JSON object, or @FILE
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Connect {
    #[command(flatten)]
    which: Which,
    /// Clients by id, or by name if only one has it
    #[arg(value_name = "CLIENT", required = true)]
    clients: Vec<String>,
    #[command(flatten)]
    rights: Rights,
}

impl Thing for Channels {
    const NOUN: &'static str = "channel";
    const SHAPE: Shape = Shape {
        list: "channels",
        id: "/id",
        columns: &[
            ("ID", "/id"),
            ("NAME", "/name"),
            ("ROUTE", "/route"),
            ("STATUS", "/status"),
            ("TAGS", "/tags"),
        ],
        fields: &[
            ("ID", "/id"),
            ("Name", "/name"),
            ("Route", "/route"),
            ("Status", "/status"),
            ("Tags", "/tags"),
            ("Domain", "/domain_id"),
            ("Group", "/parent_group_id"),
            ("Metadata", "/metadata"),
            ("Created", "/created_at"),
            ("Created by", "/created_by"),
            ("Updated", "/updated_at"),
            ("Updated by", "/updated_by"),
        ],
    };
    const CREATE: &'static str = "create_channels";
    const SET_PARENT: &'static str = "set_parent_group";

    fn of(api: &Api, domain: DomainId) -> Registry<'_, Self> {
        api.channels(domain)
    }

    fn id(view: &Channel) -> ChannelId {
        view.id
    }

    fn name(view: &Channel) -> &str {
        &view.name
    }

    fn parent(view: &Channel) -> Option<GroupId> {
        view.parent_group_id
    }
}

/// Does it.
pub(crate) async fn run(session: &Session, command: ChannelsCommand) -> anyhow::Result<()> {
    let command = match command {
        ChannelsCommand::Verb(verb) => return things::run::<Channels>(session, verb).await,
        other => other,
    };
    let domain = session.domain().await?;
    let channels = session.api.channels(domain);
    match command {
        ChannelsCommand::Create(new) => create(session, domain, new).await,
        ChannelsCommand::List(list) => show(session, domain, list).await,
        ChannelsCommand::Update(change) => {
            let id = things::find::<Channels>(session, domain, &change.which.id, "update").await?;
            let metadata = change.metadata.as_deref().map(input::metadata).transpose()?;
            channels.update(id, &ChannelChange { name: change.name, metadata }).await?;
            session.one(&Channels::SHAPE)
        }
        ChannelsCommand::Connect(connect) => {
            let connections = connections(session, domain, &connect, "connect_client").await?;
            channels.connect(&connections).await?;
            session.done("connected")
        }
        ChannelsCommand::Disconnect(connect) => {
            let connections = connections(session, domain, &connect, "disconnect_client").await?;
            channels.disconnect(&connections).await?;
            session.done("disconnected")
        }
        ChannelsCommand::Verb(_) => Ok(()),
    }
}

async fn create(session: &Session, domain: DomainId, new: Create) -> anyhow::Result<()> {
    session.aim(("domains", Channels::CREATE), format!("domain:{domain}"), Some(domain));
    let parent_group_id =
        resolve::thing_if_named::<Groups>(&session.api, domain, new.group.as_deref()).await?;
    let pattern = NewChannel {
        parent_group_id,
        tags: new.described.tags(),
        metadata: new.described.metadata()?,
        status: if new.disabled { Status::Disabled } else { Status::Enabled },
        ..NewChannel::default()
    };
    let channels = session.api.channels(domain);
    if let [name] = new.names.as_slice() {
        let channel = NewChannel { id: new.id, name: name.clone(), route: new.route, ..pattern };
        channels.create(&channel).await?;
        return session.one(&Channels::SHAPE);
    }
    anyhow::ensure!(
        new.route.is_none() && new.id.is_none(),
        "--route and --id are for one channel; a --file gives them to many"
    );
    let many: Vec<_> = match &new.file {
        Some(file) => {
            input::rows(file)?.into_iter().map(|row| from_row(row, &pattern)).collect::<Result<_, _>>()?
        }
        None => new.names.iter().map(|name| NewChannel { name: name.clone(), ..pattern.clone() }).collect(),
    };
    channels.create_bulk(&many).await?;
    session.many(&Channels::SHAPE)
}

/// A channel of a file; what the row does not say is as the flags say.
fn from_row(mut row: Map<String, Value>, pattern: &NewChannel) -> anyhow::Result<NewChannel> {
    let (tags, metadata) = (input::row_tags(&mut row)?, input::row_metadata(&mut row)?);
    let [id, name, route] = input::columns(&mut row, ["id", "name", "route"])?;
    input::nothing_left(&row, COLUMNS)?;
    Ok(NewChannel {
        id: id.map(|id| id.parse()).transpose()?,
        name: name.unwrap_or_default(),
        route,
        tags: if tags.is_empty() { pattern.tags.clone() } else { tags },
        metadata: if metadata.is_empty() { pattern.metadata.clone() } else { metadata },
        ..pattern.clone()
    })
}

async fn show(session: &Session, domain: DomainId, list: List) -> anyhow::Result<()> {
    let group = resolve::thing_if_named::<Groups>(&session.api, domain, list.group.as_deref()).await?;
    let group = group.map(|group| group.to_string());
    let client = resolve::thing_if_named::<Clients>(&session.api, domain, list.client.as_deref()).await?;
    things::list::<Channels>(session, domain, &list.paging, &list.filter, |query| {
        query.group.clone_from(&group);
        query.client = client;
    })
    .await
}

async fn connections(
    session: &Session,
    domain: DomainId,
    connect: &Connect,
    operation: &'static str,
) -> anyhow::Result<Connections> {
    let mut client_ids = Vec::new();
    for client in &connect.clients {
        client_ids.push(resolve::thing::<Clients>(&session.api, domain, client).await?);
    }
    let channel = things::find::<Channels>(session, domain, &connect.which.id, operation).await?;
    Ok(Connections { channel_ids: vec![channel], client_ids, types: connect.rights.types() })
}
