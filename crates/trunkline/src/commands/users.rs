//! `trunkline users`.

use clap::{Args, Subcommand, ValueEnum};
use kernel::UserId;
use sdk::{NewCredentials, NewUser, Span, UserChange, UserQuery, UserRole, UserSearch};

use super::input::{self, Described};
use super::listing::{self, Paging, StatusWord};
use super::output::Shape;
use super::session::Session;
use super::things::confirm;
use super::{resolve, terminal};

/// How users are shown.
pub(crate) const SHAPE: Shape = Shape {
    list: "users",
    id: "/id",
    columns: &[
        ("ID", "/id"),
        ("USERNAME", "/credentials/username"),
        ("EMAIL", "/email"),
        ("ROLE", "/role"),
        ("STATUS", "/status"),
    ],
    fields: &[
        ("ID", "/id"),
        ("Username", "/credentials/username"),
        ("First name", "/first_name"),
        ("Last name", "/last_name"),
        ("Email", "/email"),
        ("Verified", "/verified_at"),
        ("Role", "/role"),
        ("Status", "/status"),
        ("Tags", "/tags"),
        ("Picture", "/profile_picture"),
        ("Metadata", "/metadata"),
        ("Private metadata", "/private_metadata"),
        ("Created", "/created_at"),
        ("Updated", "/updated_at"),
        ("Updated by", "/updated_by"),
    ],
};

/// What the search shows: it tells less.
const FOUND: Shape = Shape {
    columns: &[
        ("ID", "/id"),
        ("USERNAME", "/credentials/username"),
        ("FIRST NAME", "/first_name"),
        ("LAST NAME", "/last_name"),
    ],
    ..SHAPE
};

/// How logins are shown.
const SESSIONS: Shape = Shape {
    list: "refresh_tokens",
    id: "/id",
    columns: &[("ID", "/id"), ("DESCRIPTION", "/description")],
    fields: &[],
};

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// Register a user; the password is asked for
    #[command(
        after_help = "Example:\n  trunkline users create olga --email olga@example.org --first-name Olga \
                            --last-name Owner"
    )]
    Create(Create),
    /// List users; for administrators of the platform
    List(List),
    /// Look for users by parts of their names
    Search(Search),
    /// Show a user
    #[command(visible_alias = "get")]
    View(Who),
    /// Change names or metadata
    Update(Update),
    /// Replace the tags
    Tags {
        #[command(flatten)]
        who: Who,
        /// The tags from now on; none removes them all
        #[arg(value_name = "TAG")]
        tags: Vec<String>,
    },
    /// Change the name to log in with
    Username {
        #[command(flatten)]
        who: Who,
        /// The new name
        #[arg(value_name = "NAME")]
        username: String,
    },
    /// Change the e-mail address; it has to be verified again
    Email {
        #[command(flatten)]
        who: Who,
        /// The new address
        #[arg(value_name = "ADDRESS")]
        email: String,
        /// Send your password along, so that the new address can replace a lost password once it is verified, and not
        /// only a week later; you are asked for it, or it is read from a pipe
        #[arg(long)]
        with_password: bool,
    },
    /// Change the picture
    Picture {
        #[command(flatten)]
        who: Who,
        /// Where the picture is; empty for none
        #[arg(value_name = "URL")]
        picture: String,
    },
    /// Make somebody an administrator of the platform, or no longer
    Role {
        #[command(flatten)]
        who: Who,
        /// What they are from now on
        #[arg(value_name = "ROLE")]
        role: RoleWord,
    },
    /// Change your password; ends your sessions
    Password {
        /// Read the old and the new password from standard input, a line each
        #[arg(long)]
        stdin: bool,
    },
    /// Have a mail sent with which a lost password is replaced
    ResetRequest {
        /// Address of the account
        #[arg(value_name = "ADDRESS")]
        email: String,
    },
    /// Replace a lost password with the token of that mail
    Reset {
        /// Read the token and the new password from standard input, a line each
        #[arg(long)]
        stdin: bool,
    },
    /// Have a mail sent that verifies your address
    SendVerification,
    /// Verify your address with the token of that mail
    Verify {
        /// The token
        #[arg(value_name = "TOKEN")]
        token: String,
    },
    /// List your logins
    Sessions,
    /// End one of your logins
    EndSession {
        /// Id of the login
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Let a user log in again
    Enable(Who),
    /// Shut a user out, at once
    Disable(Who),
    /// Mark a user for removal
    Delete {
        #[command(flatten)]
        who: Who,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// One user.
#[derive(Debug, Args)]
pub(crate) struct Who {
    /// Id or name; `me` is you
    #[arg(value_name = "USER")]
    user: String,
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Name to log in with
    #[arg(value_name = "USERNAME")]
    username: String,
    /// E-mail address
    #[arg(long, value_name = "ADDRESS")]
    email: String,
    /// First name
    #[arg(long, value_name = "NAME")]
    first_name: String,
    /// Last name
    #[arg(long, value_name = "NAME")]
    last_name: String,
    /// Make an administrator of the platform
    #[arg(long)]
    admin: bool,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    described: Described,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    paging: Paging,
    /// Part of the name to log in with
    #[arg(long, value_name = "TEXT", visible_alias = "name")]
    username: Option<String>,
    /// Part of the e-mail address
    #[arg(long, value_name = "TEXT")]
    email: Option<String>,
    /// Status; without it the enabled ones
    #[arg(long, value_name = "STATUS")]
    status: Option<StatusWord>,
    /// A tag that they have; more than one: all of them; `a,b`: one of the two
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// What they are sorted by
    #[arg(long, value_name = "FIELD", default_value = "updated-at")]
    order: Order,
    /// The smallest or earliest first
    #[arg(long)]
    ascending: bool,
}

/// What users are sorted by.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Order {
    /// The name to log in with
    Username,
    /// The e-mail address
    Email,
    /// The first name
    FirstName,
    /// The last name
    LastName,
    /// When they were registered
    CreatedAt,
    /// When they were last changed
    UpdatedAt,
}

#[derive(Debug, Args)]
#[group(id = "criteria", required = true, multiple = true, args = ["username", "first_name", "last_name"])]
pub(crate) struct Search {
    #[command(flatten)]
    paging: Paging,
    /// Part of the name to log in with, at least three characters
    #[arg(long, value_name = "TEXT")]
    username: Option<String>,
    /// Part of the first name
    #[arg(long, value_name = "TEXT")]
    first_name: Option<String>,
    /// Part of the last name
    #[arg(long, value_name = "TEXT")]
    last_name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Change {
    /// First name
    #[arg(long, value_name = "NAME")]
    first_name: Option<String>,
    /// Last name
    #[arg(long, value_name = "NAME")]
    last_name: Option<String>,
    /// Replaces the metadata: a JSON object, or @FILE
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    /// Replaces the metadata that only the user and administrators see
    #[arg(long, value_name = "JSON")]
    private_metadata: Option<String>,
}

/// What a user is on the whole platform.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RoleWord {
    /// Administrator of the platform
    Admin,
    /// Somebody with the rights that roles give
    User,
}

/// Whether a command works for somebody who is not logged in.
pub(crate) const fn needs_login(command: &UsersCommand) -> bool {
    !matches!(
        command,
        UsersCommand::Create(_)
            | UsersCommand::ResetRequest { .. }
            | UsersCommand::Reset { .. }
            | UsersCommand::Verify { .. }
    )
}

/// Does it.
pub(crate) async fn run(session: &Session, command: UsersCommand) -> anyhow::Result<()> {
    let users = session.api.users();
    match command {
        UsersCommand::Create(new) => create(session, new).await?,
        UsersCommand::List(list) => return show(session, list).await,
        UsersCommand::Search(search) => return look_for(session, search).await,
        UsersCommand::View(who) => {
            users.view(id(session, &who).await?).await?;
        }
        UsersCommand::Update(Update { who, change }) => {
            let metadata = |given: Option<String>| given.as_deref().map(input::metadata).transpose();
            let change = UserChange {
                first_name: change.first_name,
                last_name: change.last_name,
                metadata: metadata(change.metadata)?,
                private_metadata: metadata(change.private_metadata)?,
            };
            users.update(id(session, &who).await?, &change).await?;
        }
        UsersCommand::Tags { who, tags } => {
            users.update_tags(id(session, &who).await?, &tags).await?;
        }
        UsersCommand::Username { who, username } => {
            users.update_username(id(session, &who).await?, &username).await?;
        }
        UsersCommand::Email { who, email, with_password } => {
            let password = with_password.then(|| terminal::ask_secret("Your password")).transpose()?;
            users.update_email(id(session, &who).await?, &email, password.as_ref()).await?;
        }
        UsersCommand::Picture { who, picture } => {
            users.update_picture(id(session, &who).await?, &picture).await?;
        }
        UsersCommand::Role { who, role } => {
            let role = match role {
                RoleWord::Admin => UserRole::Admin,
                RoleWord::User => UserRole::User,
            };
            users.update_role(id(session, &who).await?, role).await?;
        }
        UsersCommand::Enable(who) => {
            users.enable(id(session, &who).await?).await?;
        }
        UsersCommand::Disable(who) => {
            users.disable(id(session, &who).await?).await?;
        }
        UsersCommand::Delete { who, yes } => return delete(session, &who, yes).await,
        UsersCommand::Sessions => {
            session.api.tokens().sessions().await?;
            return session.many(&SESSIONS);
        }
        UsersCommand::EndSession { id } => {
            session.api.tokens().revoke(&id).await?;
            return session.done("the login has ended");
        }
        other => return password(session, other).await,
    }
    session.one(&SHAPE)
}

/// The commands around a password and the address behind it.
async fn password(session: &Session, command: UsersCommand) -> anyhow::Result<()> {
    let users = session.api.users();
    match command {
        UsersCommand::Password { stdin } => {
            let (old, new) = two(stdin, ("Old password", "old password"), ("New password", "new password"))?;
            users.update_password(&old, &new).await?;
            session.done("the password is changed; log in again: trunkline login")
        }
        UsersCommand::ResetRequest { email } => {
            users.request_reset(&email).await?;
            session.done("if there is such an account, a mail is on its way")
        }
        UsersCommand::Reset { stdin } => {
            let (token, new) = two(stdin, ("Token of the mail", "token"), ("New password", "new password"))?;
            users.reset_password(&token, &new).await?;
            session.done("the password is changed; log in: trunkline login")
        }
        UsersCommand::SendVerification => {
            users.send_verification().await?;
            session.done("a mail is on its way")
        }
        UsersCommand::Verify { token } => {
            users.verify_email(&token.into()).await?;
            session.done("the address is verified")
        }
        _ => Ok(()),
    }
}

/// What replaces and what it is replaced by, from standard input or by asking.
fn two(
    stdin: bool,
    first: (&str, &str),
    second: (&str, &str),
) -> anyhow::Result<(kernel::Secret<String>, kernel::Secret<String>)> {
    if stdin {
        return Ok((terminal::piped_secret(first.1)?, terminal::piped_secret(second.1)?));
    }
    Ok((terminal::ask_secret(first.0)?, terminal::ask_new_secret(second.0)?))
}

async fn create(session: &Session, new: Create) -> anyhow::Result<()> {
    let secret = if new.password_stdin {
        terminal::piped_secret("password")?
    } else {
        terminal::ask_new_secret(&format!("Password of {}", new.username))?
    };
    let user = NewUser {
        first_name: new.first_name,
        last_name: new.last_name,
        email: new.email,
        tags: new.described.tags(),
        metadata: new.described.metadata()?,
        role: if new.admin { UserRole::Admin } else { UserRole::User },
        credentials: NewCredentials { username: new.username, secret: Some(secret) },
    };
    session.api.users().create(&user).await?;
    Ok(())
}

async fn show(session: &Session, list: List) -> anyhow::Result<()> {
    let order = match list.order {
        Order::Username => "username",
        Order::Email => "email",
        Order::FirstName => "first_name",
        Order::LastName => "last_name",
        Order::CreatedAt => "created_at",
        Order::UpdatedAt => "updated_at",
    };
    let query = UserQuery {
        order: Some(order.to_owned()),
        dir: Some(listing::direction(list.ascending).to_owned()),
        status: list.status.map(|status| status.word().to_owned()),
        username: list.username,
        email: list.email,
        tags: listing::tags(&list.tags),
        ..UserQuery::default()
    };
    let page = async |span: Span| {
        let query = UserQuery { offset: span.offset, limit: span.limit, ..query.clone() };
        session.api.users().list(&query).await
    };
    session.list(&SHAPE, &list.paging, page).await
}

async fn look_for(session: &Session, search: Search) -> anyhow::Result<()> {
    let query = UserSearch {
        username: search.username,
        first_name: search.first_name,
        last_name: search.last_name,
        ..UserSearch::default()
    };
    let page = async |span: Span| {
        let query = UserSearch { offset: span.offset, limit: span.limit, ..query.clone() };
        session.api.users().search(&query).await
    };
    session.list(&FOUND, &search.paging, page).await
}

async fn delete(session: &Session, who: &Who, yes: bool) -> anyhow::Result<()> {
    let id = id(session, who).await?;
    confirm("user", std::slice::from_ref(&who.user), yes)?;
    session.api.users().delete(id).await?;
    session.done(&format!("the user {id} is deleted"))
}

async fn id(session: &Session, who: &Who) -> anyhow::Result<UserId> {
    match who.user.as_str() {
        "me" => Ok(session.api.users().profile().await?.id),
        named => resolve::user(&session.api, named).await,
    }
}
