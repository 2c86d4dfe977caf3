//! `trunkline pats`: personal access tokens.

use clap::{Args, Subcommand, ValueEnum};
use kernel::PatId;
use sdk::{NewPat, NewScope, PatQuery, Span};

use super::listing::Paging;
use super::output::Shape;
use super::resolve;
use super::session::Session;
use super::things::confirm;

const SHAPE: Shape = Shape {
    list: "pats",
    id: "/id",
    columns: &[
        ("ID", "/id"),
        ("NAME", "/name"),
        ("STATUS", "/status"),
        ("EXPIRES", "/expires_at"),
        ("LAST USED", "/last_used_at"),
    ],
    fields: &[
        ("ID", "/id"),
        ("Name", "/name"),
        ("Description", "/description"),
        ("Token", "/secret"),
        ("Of", "/user_id"),
        ("Status", "/status"),
        ("Issued", "/issued_at"),
        ("Expires", "/expires_at"),
        ("Last used", "/last_used_at"),
        ("Revoked", "/revoked_at"),
        ("Updated", "/updated_at"),
    ],
};

const SCOPES: Shape = Shape {
    list: "scopes",
    id: "/id",
    columns: &[
        ("ID", "/id"),
        ("DOMAIN", "/domain_id"),
        ("TYPE", "/entity_type"),
        ("OPERATION", "/operation"),
        ("ON", "/entity_id"),
    ],
    fields: &[],
};

/// What can be done with personal access tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum PatsCommand {
    /// Create a token; it is shown this once, and can do nothing until it has scopes
    #[command(
        after_help = "Example:\n  trunkline pats create ci --expires 30d\n  trunkline pats scope add ci clients view '*'"
    )]
    Create {
        /// Name
        #[arg(value_name = "NAME")]
        name: String,
        /// How long it is good: 12h, 30d, 1y
        #[arg(long, value_name = "TIME", default_value = "30d")]
        expires: String,
        /// What it is for
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        description: String,
    },
    /// List your tokens
    List {
        #[command(flatten)]
        paging: Paging,
        /// Part of the name
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        /// Status; without it the active ones
        #[arg(long, value_name = "STATUS")]
        status: Option<StatusWord>,
    },
    /// Show a token, but not what it is
    #[command(visible_alias = "get")]
    View(Which),
    /// Give a token another name
    Rename {
        #[command(flatten)]
        which: Which,
        /// The new name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Say anew what a token is for
    Describe {
        #[command(flatten)]
        which: Which,
        /// What it is for
        #[arg(value_name = "TEXT")]
        description: String,
    },
    /// What a token may be used for
    #[command(subcommand)]
    Scope(ScopeCommand),
    /// Make a token good for nothing until it is reset
    Revoke(Which),
    /// Replace what a token is and when it ends; the new one is shown this once
    Reset {
        #[command(flatten)]
        which: Which,
        /// How long it is good: 12h, 30d, 1y
        #[arg(long, value_name = "TIME", default_value = "30d")]
        expires: String,
    },
    /// Remove tokens
    Delete {
        /// Ids, or names that only one has
        #[arg(value_name = "PAT", required_unless_present = "all")]
        pats: Vec<String>,
        /// All of yours
        #[arg(long, conflicts_with = "pats")]
        all: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// What can be done with the scopes of a token.
#[derive(Debug, Subcommand)]
pub(crate) enum ScopeCommand {
    /// List them
    List {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        paging: Paging,
    },
    /// Let a token be used for more, in the domain that commands work in
    Add {
        #[command(flatten)]
        which: Which,
        /// Kind of thing: clients, channels, groups, domains, messages, dashboards, …
        #[arg(value_name = "TYPE")]
        entity_type: String,
        /// What may be done: view, update, create, delete, publish, …
        #[arg(value_name = "OPERATION")]
        operation: String,
        /// Ids of the things; `*` for any
        #[arg(value_name = "ON", default_value = "*")]
        on: Vec<String>,
        /// In every domain; for what belongs to none, for example to create and list domains
        #[arg(long)]
        any_domain: bool,
    },
    /// Let a token be used for less
    Remove {
        #[command(flatten)]
        which: Which,
        /// Ids of the scopes
        #[arg(value_name = "SCOPE", required = true)]
        scopes: Vec<String>,
    },
    /// Let a token be used for nothing
    RemoveAll(Which),
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Id, or the name if only one has it
    #[arg(value_name = "PAT")]
    pat: String,
}

/// Whether a token is good.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StatusWord {
    /// It is
    Active,
    /// Not until it is reset
    Revoked,
    /// Not any more
    Expired,
    /// Whatever it is
    All,
}

impl StatusWord {
    const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::All => "all",
        }
    }
}

/// Does it.
pub(crate) async fn run(session: &Session, command: PatsCommand) -> anyhow::Result<()> {
    let pats = session.api.pats();
    match command {
        PatsCommand::Create { name, expires, description } => {
            pats.create(&NewPat { name, description, duration: expires }).await?;
        }
        PatsCommand::List { paging, name, status } => {
            let status = status.map(|status| status.word().to_owned());
            let page = async |span: Span| {
                let (offset, limit) = (span.offset, span.limit);
                pats.list(&PatQuery { offset, limit, name: name.clone(), status: status.clone() }).await
            };
            return session.list(&SHAPE, &paging, page).await;
        }
        PatsCommand::View(which) => {
            pats.view(id(session, &which.pat).await?).await?;
        }
        PatsCommand::Rename { which, name } => {
            pats.rename(id(session, &which.pat).await?, &name).await?;
        }
        PatsCommand::Describe { which, description } => {
            pats.describe(id(session, &which.pat).await?, &description).await?;
        }
        PatsCommand::Scope(command) => return scope(session, command).await,
        PatsCommand::Revoke(which) => {
            pats.revoke(id(session, &which.pat).await?).await?;
            return session.done("the token is good for nothing until it is reset");
        }
        PatsCommand::Reset { which, expires } => {
            pats.reset(id(session, &which.pat).await?, &expires).await?;
        }
        PatsCommand::Delete { pats, all, yes } => return delete(session, &pats, all, yes).await,
    }
    session.one(&SHAPE)
}

async fn scope(session: &Session, command: ScopeCommand) -> anyhow::Result<()> {
    let pats = session.api.pats();
    match command {
        ScopeCommand::List { which, paging } => {
            let id = id(session, &which.pat).await?;
            session.list(&SCOPES, &paging, async |span: Span| pats.scopes(id, span).await).await
        }
        ScopeCommand::Add { which, entity_type, operation, on, any_domain } => {
            let id = id(session, &which.pat).await?;
            let domain = if any_domain { "*".to_owned() } else { session.domain().await?.to_string() };
            let scopes = on.into_iter().map(|entity_id| NewScope {
                domain_id: domain.clone(),
                entity_type: entity_type.clone(),
                entity_id,
                operation: operation.clone(),
            });
            pats.add_scopes(id, &scopes.collect::<Vec<_>>()).await?;
            session.done("the token may be used for it")
        }
        ScopeCommand::Remove { which, scopes } => {
            pats.remove_scopes(id(session, &which.pat).await?, &scopes).await?;
            session.done("the token may no longer be used for it")
        }
        ScopeCommand::RemoveAll(which) => {
            pats.remove_all_scopes(id(session, &which.pat).await?).await?;
            session.done("the token may be used for nothing")
        }
    }
}

async fn delete(session: &Session, named: &[String], all: bool, yes: bool) -> anyhow::Result<()> {
    let pats = session.api.pats();
    if all {
        if !yes {
            super::terminal::confirm("Delete all of your tokens for good?")?;
        }
        pats.delete_all().await?;
        return session.done("you have no token any more");
    }
    let mut ids = Vec::with_capacity(named.len());
    for pat in named {
        ids.push(id(session, pat).await?);
    }
    confirm("token", named, yes)?;
    for id in ids {
        pats.delete(id).await?;
        session.done(&format!("the token {id} is deleted"))?;
    }
    Ok(())
}

/// The token with this id, or with this name if only one has it.
async fn id(session: &Session, named: &str) -> anyhow::Result<PatId> {
    if let Ok(id) = named.parse() {
        return Ok(id);
    }
    let all = Some(StatusWord::All.word().to_owned());
    let query =
        PatQuery { limit: Some(100), name: Some(named.to_owned()), status: all, ..PatQuery::default() };
    let found = session.api.pats().list(&query).await?.items.into_iter().filter(|pat| pat.name == named);
    let ids: Vec<_> = found.map(|pat| pat.id).collect();
    let shown: Vec<_> = ids.iter().map(ToString::to_string).collect();
    resolve::one("token", "trunkline pats list --status all", named, ids, &shown)
}
