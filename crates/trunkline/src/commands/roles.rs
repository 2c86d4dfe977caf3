//! `trunkline roles`: who may do what on a domain, group, client or channel.

use clap::{Args, Subcommand, ValueEnum};
use kernel::{DomainId, RoleId, UserId};
use sdk::{Channels, Clients, Groups, MemberQuery, NewRole, Roles, Span};

use super::listing::Paging;
use super::output::Shape;
use super::resolve;
use super::session::Session;
use super::things::{Thing, confirm};

const SHAPE: Shape = Shape {
    list: "roles",
    id: "/id",
    columns: &[("ID", "/id"), ("NAME", "/name"), ("CREATED", "/created_at")],
    fields: &[
        ("ID", "/id"),
        ("Name", "/name"),
        ("On", "/entity_id"),
        ("Actions", "/optional_actions"),
        ("Members", "/optional_members"),
        ("Created", "/created_at"),
        ("Created by", "/created_by"),
        ("Updated", "/updated_at"),
        ("Updated by", "/updated_by"),
    ],
};

/// Who has one role.
const USERS: Shape = Shape { list: "members", id: "", columns: &[("ID", "")], fields: &[] };

/// Who reaches a thing, and through what.
const MEMBERS: Shape = Shape {
    list: "members",
    id: "/member_id",
    columns: &[("ID", "/member_id"), ("ROLES", "/roles")],
    fields: &[],
};

/// What can be done with roles.
#[derive(Debug, Subcommand)]
pub(crate) enum RolesCommand {
    /// List the roles on something
    List {
        #[command(flatten)]
        on: On,
        #[command(flatten)]
        paging: Paging,
    },
    /// Create a role
    #[command(
        after_help = "Example:\n  trunkline roles create client boiler operators --action read --action update \
                            --member olga"
    )]
    Create {
        #[command(flatten)]
        on: On,
        /// Name of the role
        #[arg(value_name = "NAME")]
        name: String,
        /// What its members may do; may be given more than once
        #[arg(long = "action", value_name = "ACTION")]
        actions: Vec<String>,
        /// Who has it: id or name of a user; may be given more than once
        #[arg(long = "member", value_name = "USER")]
        members: Vec<String>,
    },
    /// Show a role
    #[command(visible_alias = "get")]
    View(OneRole),
    /// Give a role another name
    Rename {
        #[command(flatten)]
        role: OneRole,
        /// The new name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Remove a role; its members lose what it let them do
    Delete {
        #[command(flatten)]
        role: OneRole,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// What the members of a role may do
    #[command(subcommand)]
    Actions(ActionsCommand),
    /// Who has a role, or reaches something at all
    #[command(subcommand)]
    Members(MembersCommand),
}

/// What can be done with the actions of a role.
#[derive(Debug, Subcommand)]
pub(crate) enum ActionsCommand {
    /// List all actions that a role on such a thing may have
    Available {
        /// What the role is on
        #[arg(value_name = "KIND")]
        kind: Kind,
    },
    /// List those of a role
    List(OneRole),
    /// Add some to a role
    Add(SomeActions),
    /// Take some from a role
    Remove(SomeActions),
    /// Take all from a role
    RemoveAll(OneRole),
}

/// What can be done with the members of a role.
#[derive(Debug, Subcommand)]
pub(crate) enum MembersCommand {
    /// List the members of a role; without one, everybody who reaches the thing and through what
    List {
        #[command(flatten)]
        on: On,
        /// Id or name of the role
        #[arg(value_name = "ROLE")]
        role: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Give a role to users
    Add(SomeMembers),
    /// Take a role from users
    Remove(SomeMembers),
    /// Take a role from all users
    RemoveAll(OneRole),
    /// Take all roles on something from users
    Expel {
        #[command(flatten)]
        on: On,
        /// Ids or names of the users
        #[arg(value_name = "USER", required = true)]
        users: Vec<String>,
    },
}

/// What a role is on.
#[derive(Debug, Args)]
pub(crate) struct On {
    /// Kind of thing
    #[arg(value_name = "KIND")]
    kind: Kind,
    /// Id or name of the thing; for a domain its route too, and `.` is the one that commands work in
    #[arg(value_name = "ON")]
    id: String,
}

/// One role.
#[derive(Debug, Args)]
pub(crate) struct OneRole {
    #[command(flatten)]
    on: On,
    /// Id or name of the role
    #[arg(value_name = "ROLE")]
    role: String,
}

#[derive(Debug, Args)]
pub(crate) struct SomeActions {
    #[command(flatten)]
    role: OneRole,
    /// The actions
    #[arg(value_name = "ACTION", required = true)]
    actions: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SomeMembers {
    #[command(flatten)]
    role: OneRole,
    /// Ids or names of the users
    #[arg(value_name = "USER", required = true)]
    users: Vec<String>,
}

/// Kinds of things that have roles.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// A domain
    Domain,
    /// A group
    Group,
    /// A client
    Client,
    /// A channel
    Channel,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::Group => Groups::NOUN,
            Self::Client => Clients::NOUN,
            Self::Channel => Channels::NOUN,
        }
    }

    const fn plural(self) -> &'static str {
        match self {
            Self::Domain => "domains",
            Self::Group => "groups",
            Self::Client => "clients",
            Self::Channel => "channels",
        }
    }
}

/// Does it.
pub(crate) async fn run(session: &Session, command: RolesCommand) -> anyhow::Result<()> {
    match command {
        RolesCommand::List { on, paging } => {
            let roles = roles(session, &on, "role_retrieve_all").await?;
            session.list(&SHAPE, &paging, async |span: Span| roles.list(span).await).await
        }
        RolesCommand::Create { on, name, actions, members } => {
            let optional_members = users(session, &members).await?;
            let new = NewRole { role_name: name, optional_actions: actions, optional_members };
            roles(session, &on, "role_add").await?.create(&new).await?;
            session.one(&SHAPE)
        }
        RolesCommand::View(role) => {
            let (roles, id) = one(session, &role, "role_retrieve").await?;
            roles.view(&id).await?;
            session.one(&SHAPE)
        }
        RolesCommand::Rename { role, name } => {
            let (roles, id) = one(session, &role, "role_update").await?;
            roles.rename(&id, &name).await?;
            session.one(&SHAPE)
        }
        RolesCommand::Delete { role, yes } => {
            let (roles, id) = one(session, &role, "role_remove").await?;
            confirm("role", &[role.role], yes)?;
            roles.delete(&id).await?;
            session.done("the role is deleted")
        }
        RolesCommand::Actions(command) => actions(session, command).await,
        RolesCommand::Members(command) => members(session, command).await,
    }
}

async fn actions(session: &Session, command: ActionsCommand) -> anyhow::Result<()> {
    let words = match command {
        ActionsCommand::Available { kind } => available(session, kind).await?,
        ActionsCommand::List(role) => {
            let (roles, id) = one(session, &role, "role_list_actions").await?;
            roles.actions(&id).await?
        }
        ActionsCommand::Add(SomeActions { role, actions }) => {
            let (roles, id) = one(session, &role, "role_add_actions").await?;
            roles.add_actions(&id, &actions).await?;
            return session.done("the role lets its members do more");
        }
        ActionsCommand::Remove(SomeActions { role, actions }) => {
            let (roles, id) = one(session, &role, "role_remove_actions").await?;
            roles.remove_actions(&id, &actions).await?;
            return session.done("the role lets its members do less");
        }
        ActionsCommand::RemoveAll(role) => {
            let (roles, id) = one(session, &role, "role_remove_all_actions").await?;
            roles.remove_all_actions(&id).await?;
            return session.done("the role lets its members do nothing");
        }
    };
    session.words(&words)
}

async fn available(session: &Session, kind: Kind) -> anyhow::Result<Vec<String>> {
    let api = &session.api;
    Ok(match kind {
        Kind::Domain => api.domains().available_actions().await?,
        Kind::Group => api.groups(session.domain().await?).available_actions().await?,
        Kind::Client => api.clients(session.domain().await?).available_actions().await?,
        Kind::Channel => api.channels(session.domain().await?).available_actions().await?,
    })
}

async fn members(session: &Session, command: MembersCommand) -> anyhow::Result<()> {
    match command {
        MembersCommand::List { on, role: None, paging } => {
            let roles = roles(session, &on, "role_list_members").await?;
            let page = async |span: Span| {
                let query = MemberQuery { offset: span.offset, limit: span.limit, ..MemberQuery::default() };
                roles.members(&query).await
            };
            session.list(&MEMBERS, &paging, page).await
        }
        MembersCommand::List { on, role: Some(role), paging } => {
            let (roles, id) = one(session, &OneRole { on, role }, "role_list_members").await?;
            session.list(&USERS, &paging, async |span: Span| roles.role_members(&id, span).await).await
        }
        MembersCommand::Add(SomeMembers { role, users: named }) => {
            let members = users(session, &named).await?;
            let (roles, id) = one(session, &role, "role_add_members").await?;
            roles.add_members(&id, &members).await?;
            session.done("they have the role now")
        }
        MembersCommand::Remove(SomeMembers { role, users: named }) => {
            let members = users(session, &named).await?;
            let (roles, id) = one(session, &role, "role_remove_members").await?;
            roles.remove_members(&id, &members).await?;
            session.done("they no longer have the role")
        }
        MembersCommand::RemoveAll(role) => {
            let (roles, id) = one(session, &role, "role_remove_all_members").await?;
            roles.remove_all_members(&id).await?;
            session.done("nobody has the role now")
        }
        MembersCommand::Expel { on, users: named } => {
            let members = users(session, &named).await?;
            roles(session, &on, "role_remove_all_members").await?.expel(&members).await?;
            session.done("they no longer have a role here")
        }
    }
}

/// The roles on something, and what is about to be done with them.
async fn roles<'a>(session: &'a Session, on: &On, operation: &'static str) -> anyhow::Result<Roles<'a>> {
    let api = &session.api;
    let (roles, id, domain) = match on.kind {
        Kind::Domain => {
            let id = match on.id.as_str() {
                "." => session.domain().await?,
                named => resolve::domain(api, named).await?,
            };
            (api.domains().roles(id), id.to_string(), id)
        }
        Kind::Group => of::<Groups>(session, &on.id).await?,
        Kind::Client => of::<Clients>(session, &on.id).await?,
        Kind::Channel => of::<Channels>(session, &on.id).await?,
    };
    session.aim((on.kind.plural(), operation), format!("{}:{id}", on.kind.word()), Some(domain));
    Ok(roles)
}

async fn of<'a, K: Thing + 'a>(
    session: &'a Session,
    named: &str,
) -> anyhow::Result<(Roles<'a>, String, DomainId)> {
    let domain = session.domain().await?;
    let id = resolve::thing::<K>(&session.api, domain, named).await?;
    let shown = id.to_string();
    Ok((K::of(&session.api, domain).roles(id), shown, domain))
}

/// A role by id or name. An id need not be looked up: whoever may not list roles may still be allowed to use one.
async fn one<'a>(
    session: &'a Session,
    role: &OneRole,
    operation: &'static str,
) -> anyhow::Result<(Roles<'a>, RoleId)> {
    let roles = roles(session, &role.on, operation).await?;
    let prefix = format!("{}_", role.on.kind.word());
    let id = match role.role.parse() {
        Ok(id) if role.role.starts_with(&prefix) => id,
        _ => resolve::role(&roles, &role.role).await?,
    };
    Ok((roles, id))
}

async fn users(session: &Session, named: &[String]) -> anyhow::Result<Vec<UserId>> {
    let mut ids = Vec::with_capacity(named.len());
    for user in named {
        ids.push(resolve::user(&session.api, user).await?);
    }
    Ok(ids)
}
