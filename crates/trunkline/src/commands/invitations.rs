//! `trunkline invitations`.

use clap::{Args, Subcommand, ValueEnum};
use kernel::DomainId;
use sdk::{InvitationQuery, NewInvitation, Span};

use super::listing::Paging;
use super::output::Shape;
use super::resolve;
use super::session::Session;
use super::things::confirm;

/// The caller's own: what matters is where to.
const OWN: Shape = Shape {
    list: "invitations",
    id: "/domain_id",
    columns: &[
        ("ID", "/domain_id"),
        ("DOMAIN", "/domain_name"),
        ("ROLE", "/role_name"),
        ("INVITED BY", "/invited_by"),
        ("ACCEPTED", "/confirmed_at"),
        ("REJECTED", "/rejected_at"),
    ],
    fields: &[],
};

/// Those of a domain: what matters is whom.
const SENT: Shape = Shape {
    list: "invitations",
    id: "/invitee_user_id",
    columns: &[
        ("ID", "/invitee_user_id"),
        ("ROLE", "/role_name"),
        ("SENT", "/created_at"),
        ("ACCEPTED", "/confirmed_at"),
        ("REJECTED", "/rejected_at"),
    ],
    fields: &[],
};

/// What can be done with invitations.
#[derive(Debug, Subcommand)]
pub(crate) enum InvitationsCommand {
    /// Invite a user to a domain
    #[command(after_help = "Example:\n  trunkline invitations send olga --role admin --domain plant")]
    Send {
        /// Id or name of the user
        #[arg(value_name = "USER")]
        user: String,
        /// Id or name of the role in the domain that they get
        #[arg(long, value_name = "ROLE")]
        role: String,
        /// Send one again that is pending or was rejected
        #[arg(long)]
        resend: bool,
    },
    /// List your invitations; with --sent those to a domain
    List {
        /// Those that were sent for the domain that commands work in
        #[arg(long)]
        sent: bool,
        /// What has become of them
        #[arg(long, value_name = "STATE")]
        state: Option<State>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Join a domain that you are invited to
    Accept(Invited),
    /// Decline to join it
    Reject(Invited),
    /// Take back an invitation to a domain
    Delete {
        /// Id or name of the user
        #[arg(value_name = "USER")]
        user: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Invited {
    /// Id of the domain, or its name if only one of your invitations has it
    #[arg(value_name = "DOMAIN")]
    domain: String,
}

/// What has become of an invitation.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum State {
    /// Neither accepted nor rejected
    Pending,
    /// Accepted
    Accepted,
    /// Rejected
    Rejected,
    /// Whatever it is
    All,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::All => "all",
        }
    }
}

/// Does it.
pub(crate) async fn run(session: &Session, command: InvitationsCommand) -> anyhow::Result<()> {
    let invitations = session.api.invitations();
    match command {
        InvitationsCommand::Send { user, role, resend } => {
            let domain = aimed(session, "send_invitation").await?;
            let invitee_user_id = resolve::user(&session.api, &user).await?;
            let role_id = match role.parse() {
                Ok(id) if role.starts_with("domain_") => id,
                _ => resolve::role(&session.api.domains().roles(domain), &role).await?,
            };
            invitations.send(domain, &NewInvitation { invitee_user_id, role_id, resend }).await?;
            session.done(&format!("{user} is invited"))
        }
        InvitationsCommand::List { sent, state, paging } => {
            let domain = if sent { Some(aimed(session, "list_domain_invitation").await?) } else { None };
            let page = async |span: Span| {
                let state = state.map(|state| state.word().to_owned());
                let (offset, limit) = (span.offset, span.limit);
                let query = InvitationQuery { offset, limit, state, ..InvitationQuery::default() };
                match domain {
                    Some(domain) => invitations.list_of(domain, &query).await,
                    None => invitations.list(&query).await,
                }
            };
            session.list(if sent { &SENT } else { &OWN }, &paging, page).await
        }
        InvitationsCommand::Accept(to) => {
            invitations.accept(invited(session, &to).await?).await?;
            session.done("you are a member of the domain now")
        }
        InvitationsCommand::Reject(to) => {
            invitations.reject(invited(session, &to).await?).await?;
            session.done("the invitation is rejected")
        }
        InvitationsCommand::Delete { user, yes } => {
            let domain = aimed(session, "delete_invitation").await?;
            let invitee = resolve::user(&session.api, &user).await?;
            confirm("invitation of", std::slice::from_ref(&user), yes)?;
            invitations.delete(domain, invitee).await?;
            session.done("the invitation is taken back")
        }
    }
}

async fn aimed(session: &Session, operation: &'static str) -> anyhow::Result<DomainId> {
    let domain = session.domain().await?;
    session.aim(("domains", operation), format!("domain:{domain}"), Some(domain));
    Ok(domain)
}

/// The domain that the caller is invited to: they cannot list it, but their invitations name it.
async fn invited(session: &Session, to: &Invited) -> anyhow::Result<DomainId> {
    if let Ok(id) = to.domain.parse() {
        return Ok(id);
    }
    let state = Some(State::Pending.word().to_owned());
    let query = InvitationQuery { limit: Some(100), state, ..InvitationQuery::default() };
    let page = session.api.invitations().list(&query).await?;
    let mut named = page.items.iter().filter(|one| one.domain_name.as_deref() == Some(&to.domain));
    match (named.next(), named.next()) {
        (Some(one), None) => Ok(one.domain_id),
        (Some(_), Some(_)) => {
            anyhow::bail!("more than one invitation is to a domain `{}`, give its id", to.domain)
        }
        (None, _) => {
            anyhow::bail!("you are not invited to `{}`; `trunkline invitations list` shows yours", to.domain)
        }
    }
}
