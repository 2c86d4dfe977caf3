//! The commands that manage a running platform over its API: `trunkline clients list` and the like.
//!
//! [`session`] is their way there (address, token, domain), [`output`] shows answers, [`advice`] explains errors. Each noun
//! has its file; what groups, clients and channels share is in [`things`]. The requests themselves are the SDK's.

pub(crate) mod address;
mod advice;
pub(crate) mod agent;
mod authz;
pub(crate) mod certs_dev;
pub(crate) mod certs_import;
pub(crate) mod certs_manage;
mod channels;
mod clients;
mod domains;
mod groups;
mod input;
mod invitations;
mod keys;
mod listing;
mod login;
mod output;
mod pats;
pub(crate) mod policy;
mod provision;
mod resolve;
mod roles;
pub(crate) mod session;
mod store;
pub(crate) mod terminal;
mod things;
mod token;
mod users;

use clap::{Args, Subcommand};

use session::{InDomain, Remote, Session};

/// What can be done with a running platform.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Log in; later commands use it
    #[command(
        after_help = "The login is kept in $XDG_CONFIG_HOME/trunkline/login.toml, which only you may read, and is \
                            renewed by itself.\n\nExamples:\n  trunkline login --username admin\n  \
                            trunkline login --url https://iot.example.org -u olga --password-stdin < password"
    )]
    Login(login::LoginArgs),
    /// Log out: end the session and forget it
    Logout(Remote),
    /// Show who you are
    Whoami(Remote),
    /// Users: people and programs that manage things
    Users(OfPlatform<users::UsersCommand>),
    /// Domains: the tenants
    Domains(Noun<domains::DomainsCommand>),
    /// Groups of clients, channels and groups
    Groups(Noun<groups::GroupsCommand>),
    /// Clients: devices and applications
    Clients(Noun<clients::ClientsCommand>),
    /// Channels: where messages go
    Channels(Noun<channels::ChannelsCommand>),
    /// Roles: who may do what on a domain, group, client or channel
    Roles(Noun<roles::RolesCommand>),
    /// Who may do what, and why
    Authz(Noun<authz::AuthzCommand>),
    /// Invitations to domains
    Invitations(Noun<invitations::InvitationsCommand>),
    /// Personal access tokens: for programs, limited to what you say
    Pats(Noun<pats::PatsCommand>),
    /// Make gateways from a list: clients, channels, configurations and certificates, by the thousand
    #[command(
        after_help = "The file of results holds the secrets and private keys of the gateways; only you may read it. The \
                            same command goes on where it ended, and makes none twice.\n\nExamples:\n  \
                            trunkline provision --layout layout.toml --from gateways.csv --dry-run\n  \
                            trunkline provision --layout layout.toml --from gateways.csv --domain plant"
    )]
    Provision(provision::ProvisionArgs),
    /// API keys: for programs that may do all that you may
    Keys(OfPlatform<keys::KeysCommand>),
}

/// A noun of the whole platform.
#[derive(Debug, Args)]
pub(crate) struct OfPlatform<C: Subcommand> {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    command: C,
}

/// A noun of a domain.
#[derive(Debug, Args)]
pub(crate) struct Noun<C: Subcommand> {
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    domain: InDomain,
    #[command(subcommand)]
    command: C,
}

/// Runs a command to its end.
pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(execute(command))
}

async fn execute(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Login(args) => login::login(args).await,
        Command::Logout(remote) => login::logout(&remote).await,
        Command::Whoami(remote) => {
            let session = open(&remote, None).await?;
            advised(&session, login::whoami(&session).await).await
        }
        Command::Users(OfPlatform { remote, command }) => {
            let session = Session::open(&remote, None).await?;
            let session = if users::needs_login(&command) { session.logged_in()? } else { session };
            advised(&session, users::run(&session, command).await).await
        }
        Command::Provision(args) if provision::is_dry(&args) => provision::check(&args),
        Command::Provision(args) => {
            let session = open(&args.remote, Some(&args.domain)).await?;
            advised(&session, provision::run(&session, &args).await).await
        }
        Command::Keys(OfPlatform { remote, command }) => {
            let session = open(&remote, None).await?;
            advised(&session, keys::run(&session, command).await).await
        }
        Command::Domains(noun) => {
            noun.run(async |session, command| domains::run(session, command).await).await
        }
        Command::Groups(noun) => noun.run(async |session, command| groups::run(session, command).await).await,
        Command::Clients(noun) => {
            noun.run(async |session, command| clients::run(session, command).await).await
        }
        Command::Channels(noun) => {
            noun.run(async |session, command| channels::run(session, command).await).await
        }
        Command::Roles(noun) => noun.run(async |session, command| roles::run(session, command).await).await,
        Command::Invitations(noun) => {
            noun.run(async |session, command| invitations::run(session, command).await).await
        }
        Command::Authz(noun) => noun.run(async |session, command| authz::run(session, command).await).await,
        Command::Pats(noun) => noun.run(async |session, command| pats::run(session, command).await).await,
    }
}

impl<C: Subcommand> Noun<C> {
    async fn run(self, run: impl AsyncFn(&Session, C) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let session = open(&self.remote, Some(&self.domain)).await?;
        advised(&session, run(&session, self.command).await).await
    }
}

/// The way to the platform for somebody who is logged in.
async fn open(remote: &Remote, domain: Option<&InDomain>) -> anyhow::Result<Session> {
    Session::open(remote, domain).await?.logged_in()
}

async fn advised(session: &Session, outcome: anyhow::Result<()>) -> anyhow::Result<()> {
    match outcome {
        Ok(()) => Ok(()),
        Err(error) => Err(advice::with_advice(error, session).await),
    }
}
