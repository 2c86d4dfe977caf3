//! `trunkline clients`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use kernel::{ClientId, DomainId, GroupId, Secret, Status};
use sdk::{
    Api, Channels, Client, ClientChange, Clients, Connections, Credentials, Groups, NewClient, Registry,
};
use serde_json::{Map, Value};

use super::input::{self, Described};
use super::listing::{Filter, Paging};
use super::output::Shape;
use super::resolve;
use super::session::Session;
use super::terminal;
use super::things::{self, Thing, Verb, Which};

/// Columns that a file of clients may have.
const COLUMNS: &str = "id, name, identity, secret, tags, metadata";

/// What can be done with clients.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientsCommand {
    /// Create one client, or many at once: all or none
    #[command(after_help = "Examples:\n  trunkline clients create boiler --identity sn-0017 --tag hot\n  \
                            trunkline clients create --file devices.csv    # name,identity,secret,tags,metadata")]
    Create(Create),
    /// List clients
    List(List),
    /// Change the name or the metadata of a client
    Update(Update),
    /// Replace the secret of a client and end its connections; the platform makes the new one
    Secret {
        #[command(flatten)]
        which: Which,
        /// Read the new secret from standard input
        #[arg(long)]
        stdin: bool,
    },
    /// Let a client publish to channels and subscribe there
    Connect(Connect),
    /// Take that right back, on open connections too
    Disconnect(Connect),
    #[command(flatten)]
    Verb(Verb),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Names; more than one makes a client of each
    #[arg(value_name = "NAME", required_unless_present = "file")]
    names: Vec<String>,
    /// A JSON array, or CSV with a line of column names: id, name, identity, secret, tags, metadata
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "identity", "secret_stdin", "id"])]
    file: Option<PathBuf>,
    /// A label of your own, for example a serial number
    #[arg(long, value_name = "TEXT")]
    identity: Option<String>,
    /// Read the secret from standard input; without it the platform makes one
    #[arg(long)]
    secret_stdin: bool,
    /// An id of your choice, a UUID
    #[arg(long, value_name = "UUID")]
    id: Option<ClientId>,
    /// The group that it belongs to
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// It may not connect before it is enabled
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
    /// Part of the identity
    #[arg(long, value_name = "TEXT")]
    identity: Option<String>,
    /// Those in this group or in a group below it
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Those that are connected to this channel
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    #[command(flatten)]
    which: Which,
    /// Another name
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["metadata", "private_metadata"])]
    name: Option<String>,
    /// Replaces the metadata: a JSON object, or @FILE
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    /// Replaces the metadata that lists do not show
    #[arg(long, value_name = "JSON")]
    private_metadata: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Connect {
    #[command(flatten)]
    which: Which,
    /// Channels by id, or by name if only one has it
    #[arg(value_name = "CHANNEL", required = true)]
    channels: Vec<String>,
    #[command(flatten)]
    rights: Rights,
}

/// What a connection is for.
#[derive(Debug, Args)]
pub(crate) struct Rights {
    /// Only this; without it both
    #[arg(long, value_name = "RIGHT")]
    only: Option<Right>,
}

/// What a connection lets a client do.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Right {
    /// Send messages
    Publish,
    /// Receive messages
    Subscribe,
}

impl Rights {
    /// As the API takes it.
    pub(crate) fn types(&self) -> Vec<sdk::ConnectionType> {
        match self.only {
            Some(Right::Publish) => vec![sdk::ConnectionType::Publish],
            Some(Right::Subscribe) => vec![sdk::ConnectionType::Subscribe],
            None => vec![sdk::ConnectionType::Publish, sdk::ConnectionType::Subscribe],
        }
    }
}

impl Thing for Clients {
    const NOUN: &'static str = "client";
    const SHAPE: Shape = Shape {
        list: "clients",
        id: "/id",
        columns: &[
            ("ID", "/id"),
            ("NAME", "/name"),
            ("IDENTITY", "/credentials/identity"),
            ("STATUS", "/status"),
            ("TAGS", "/tags"),
        ],
        fields: &[
            ("ID", "/id"),
            ("Name", "/name"),
            ("Status", "/status"),
            ("Identity", "/credentials/identity"),
            ("Secret", "/credentials/secret"),
            ("Tags", "/tags"),
            ("Domain", "/domain_id"),
            ("Group", "/parent_group_id"),
            ("Metadata", "/metadata"),
            ("Private metadata", "/private_metadata"),
            ("Created", "/created_at"),
            ("Updated", "/updated_at"),
            ("Updated by", "/updated_by"),
        ],
    };
    const CREATE: &'static str = "create_clients";
    const SET_PARENT: &'static str = "set_parent_group";

    fn of(api: &Api, domain: DomainId) -> Registry<'_, Self> {
        api.clients(domain)
    }

    fn id(view: &Client) -> ClientId {
        view.id
    }

    fn name(view: &Client) -> &str {
        &view.name
    }

    fn parent(view: &Client) -> Option<GroupId> {
        view.parent_group_id
    }
}

/// Clients that have just been made: their secrets are what is needed next.
const MADE: Shape = Shape {
    columns: &[
        ("ID", "/id"),
        ("NAME", "/name"),
        ("IDENTITY", "/credentials/identity"),
        ("SECRET", "/credentials/secret"),
    ],
    ..Clients::SHAPE
};

/// Does it.
pub(crate) async fn run(session: &Session, command: ClientsCommand) -> anyhow::Result<()> {
    let command = match command {
        ClientsCommand::Verb(verb) => return things::run::<Clients>(session, verb).await,
        other => other,
    };
    let domain = session.domain().await?;
    let clients = session.api.clients(domain);
    match command {
        ClientsCommand::Create(new) => create(session, domain, new).await,
        ClientsCommand::List(list) => show(session, domain, list).await,
        ClientsCommand::Update(change) => {
            let id = things::find::<Clients>(session, domain, &change.which.id, "update").await?;
            let metadata = |given: Option<String>| given.as_deref().map(input::metadata).transpose();
            let change = ClientChange {
                name: change.name,
                metadata: metadata(change.metadata)?,
                private_metadata: metadata(change.private_metadata)?,
            };
            clients.update(id, &change).await?;
            session.one(&Clients::SHAPE)
        }
        ClientsCommand::Secret { which, stdin } => {
            let id = things::find::<Clients>(session, domain, &which.id, "update_secret").await?;
            if stdin {
                clients.update_secret(id, &terminal::piped_secret("secret")?).await?;
            } else {
                clients.rotate_secret(id).await?;
            }
            session.one(&Clients::SHAPE)
        }
        ClientsCommand::Connect(connect) => {
            let connections = connections(session, domain, &connect, "connect_to_channel").await?;
            session.api.channels(domain).connect(&connections).await?;
            session.done("connected")
        }
        ClientsCommand::Disconnect(connect) => {
            let connections = connections(session, domain, &connect, "disconnect_from_channel").await?;
            session.api.channels(domain).disconnect(&connections).await?;
            session.done("disconnected")
        }
        ClientsCommand::Verb(_) => Ok(()),
    }
}

async fn create(session: &Session, domain: DomainId, new: Create) -> anyhow::Result<()> {
    session.aim(("domains", Clients::CREATE), format!("domain:{domain}"), Some(domain));
    let parent_group_id =
        resolve::thing_if_named::<Groups>(&session.api, domain, new.group.as_deref()).await?;
    let pattern = NewClient {
        parent_group_id,
        tags: new.described.tags(),
        metadata: new.described.metadata()?,
        status: if new.disabled { Status::Disabled } else { Status::Enabled },
        ..NewClient::default()
    };
    let clients = session.api.clients(domain);
    if let [name] = new.names.as_slice() {
        let secret = new.secret_stdin.then(|| terminal::piped_secret("secret")).transpose()?;
        let credentials = Credentials { identity: new.identity.unwrap_or_default(), secret };
        clients.create(&NewClient { id: new.id, name: name.clone(), credentials, ..pattern }).await?;
        return session.one(&Clients::SHAPE);
    }
    anyhow::ensure!(
        new.identity.is_none() && new.id.is_none() && !new.secret_stdin,
        "--identity, --id and --secret-stdin are for one client; a --file gives them to many"
    );
    let many: Vec<_> = match &new.file {
        Some(file) => {
            input::rows(file)?.into_iter().map(|row| from_row(row, &pattern)).collect::<Result<_, _>>()?
        }
        None => new.names.iter().map(|name| NewClient { name: name.clone(), ..pattern.clone() }).collect(),
    };
    clients.create_bulk(&many).await?;
    session.many(&MADE)
}

/// A client of a file; what the row does not say is as the flags say.
fn from_row(mut row: Map<String, Value>, pattern: &NewClient) -> anyhow::Result<NewClient> {
    // The API's own form is understood too.
    if let Some(Value::Object(credentials)) = row.remove("credentials") {
        row.extend(credentials);
    }
    let (tags, metadata) = (input::row_tags(&mut row)?, input::row_metadata(&mut row)?);
    let [id, name, identity, secret] = input::columns(&mut row, ["id", "name", "identity", "secret"])?;
    input::nothing_left(&row, COLUMNS)?;
    Ok(NewClient {
        id: id.map(|id| id.parse()).transpose()?,
        name: name.unwrap_or_default(),
        credentials: Credentials { identity: identity.unwrap_or_default(), secret: secret.map(Secret::new) },
        tags: if tags.is_empty() { pattern.tags.clone() } else { tags },
        metadata: if metadata.is_empty() { pattern.metadata.clone() } else { metadata },
        ..pattern.clone()
    })
}

async fn show(session: &Session, domain: DomainId, list: List) -> anyhow::Result<()> {
    let group = resolve::thing_if_named::<Groups>(&session.api, domain, list.group.as_deref()).await?;
    let group = group.map(|group| group.to_string());
    let channel = resolve::thing_if_named::<Channels>(&session.api, domain, list.channel.as_deref()).await?;
    things::list::<Clients>(session, domain, &list.paging, &list.filter, |query| {
        query.group.clone_from(&group);
        query.identity.clone_from(&list.identity);
        query.channel = channel;
    })
    .await
}

async fn connections(
    session: &Session,
    domain: DomainId,
    connect: &Connect,
    operation: &'static str,
) -> anyhow::Result<Connections> {
    let mut channel_ids = Vec::new();
    for channel in &connect.channels {
        channel_ids.push(resolve::thing::<Channels>(&session.api, domain, channel).await?);
    }
    let client = things::find::<Clients>(session, domain, &connect.which.id, operation).await?;
    Ok(Connections { channel_ids, client_ids: vec![client], types: connect.rights.types() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(row: Value) -> Map<String, Value> {
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn a_row_of_a_file_wins_over_the_flags() {
        let pattern = NewClient { tags: ["all"].into_iter().collect(), ..NewClient::default() };
        let made =
            from_row(row(json!({"name": "one", "secret": "s", "tags": "hot; big"})), &pattern).unwrap();
        assert_eq!(json!(made.tags), json!(["hot", "big"]));
        assert_eq!(made.credentials.secret.unwrap().expose(), "s");
        let made =
            from_row(row(json!({"name": "two", "credentials": {"identity": "sn"}})), &pattern).unwrap();
        assert_eq!((json!(made.tags), made.credentials.identity.as_str()), (json!(["all"]), "sn"));
    }

    #[test]
    fn a_column_that_is_not_known_is_an_error() {
        let error = from_row(row(json!({"name": "one", "secrte": "s"})), &NewClient::default()).unwrap_err();
        assert_eq!(error.to_string(), format!("there is no column `secrte`; there are: {COLUMNS}"));
    }
}
