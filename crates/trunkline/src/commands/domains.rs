//! `trunkline domains`.

use clap::{Args, Subcommand};
use kernel::DomainId;
use sdk::{Domain, DomainChange, NewDomain, Span};

use super::input::{self, Described};
use super::listing::{Filter, Paging};
use super::output::{Shape, harmless};
use super::resolve;
use super::session::{self, Proof, Session};
use super::store::{ChosenDomain, Store};

const SHAPE: Shape = Shape {
    list: "domains",
    id: "/id",
    columns: &[
        ("ID", "/id"),
        ("NAME", "/name"),
        ("ROUTE", "/route"),
        ("STATUS", "/status"),
        ("ROLE", "/role_name"),
        ("TAGS", "/tags"),
    ],
    fields: &[
        ("ID", "/id"),
        ("Name", "/name"),
        ("Route", "/route"),
        ("Status", "/status"),
        ("Tags", "/tags"),
        ("Metadata", "/metadata"),
        ("Created", "/created_at"),
        ("Created by", "/created_by"),
        ("Updated", "/updated_at"),
        ("Updated by", "/updated_by"),
    ],
};

/// What can be done with domains.
#[derive(Debug, Subcommand)]
pub(crate) enum DomainsCommand {
    /// Create a domain; you become its administrator
    #[command(after_help = "Example:\n  trunkline domains create 'My plant' --route plant --use")]
    Create(Create),
    /// List your domains
    List(List),
    /// Show a domain; without an argument the one that commands work in
    #[command(visible_alias = "get")]
    View {
        #[command(flatten)]
        which: Chosen,
        /// Also the roles that you have in it
        #[arg(long)]
        roles: bool,
    },
    /// Change the name, the tags or the metadata of a domain
    Update(Update),
    /// Let the next commands work in a domain
    Use {
        /// Domain by id, route or name
        #[arg(value_name = "DOMAIN")]
        domain: String,
    },
    /// Open a domain again
    Enable(Which),
    /// Close a domain to all but its administrators
    Disable(Which),
    /// Close a domain to all but the platform's administrators
    Freeze(Which),
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Domain by id, route or name
    #[arg(value_name = "DOMAIN")]
    named: String,
}

#[derive(Debug, Args)]
pub(crate) struct Chosen {
    /// Domain by id, route or name
    #[arg(value_name = "DOMAIN")]
    named: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Name
    #[arg(value_name = "NAME")]
    name: String,
    /// What topics call it; cannot be changed later. Without it the name in lower case with `-` for what does not fit
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    /// An id of your choice, a UUID
    #[arg(long, value_name = "UUID")]
    id: Option<DomainId>,
    /// Let the next commands work in it
    #[arg(long = "use")]
    choose: bool,
    #[command(flatten)]
    described: Described,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    filter: Filter,
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Change {
    /// Another name
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Replaces all tags; may be given more than once
    #[arg(long = "tag", value_name = "TAG")]
    tags: Option<Vec<String>>,
    /// Replaces the metadata: a JSON object, or @FILE
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
}

/// Does it.
pub(crate) async fn run(session: &Session, command: DomainsCommand) -> anyhow::Result<()> {
    let domains = session.api.domains();
    match command {
        DomainsCommand::Create(new) => create(session, new).await,
        DomainsCommand::List(list) => {
            let query = list.filter.query(list.paging.span())?;
            let page = async |span: Span| {
                let query = sdk::Query { offset: span.offset, limit: span.limit, ..query.clone() };
                domains.list(&query).await
            };
            session.list(&SHAPE, &list.paging, page).await
        }
        DomainsCommand::View { which, roles } => {
            let id = match which.named {
                Some(named) => resolve::domain(&session.api, &named).await?,
                None => session.domain().await?,
            };
            aim(session, id, "read");
            if roles {
                domains.view_with_roles(id).await?;
            } else {
                domains.view(id).await?;
            }
            session.one(&SHAPE)
        }
        DomainsCommand::Update(Update { which, change }) => {
            let id = find(session, &which, "update").await?;
            let change = DomainChange {
                name: change.name,
                tags: change.tags.map(|tags| tags.into_iter().collect()),
                metadata: change.metadata.as_deref().map(input::metadata).transpose()?,
            };
            domains.update(id, &change).await?;
            session.one(&SHAPE)
        }
        DomainsCommand::Use { domain } => choose(session, &domain).await,
        DomainsCommand::Enable(which) => {
            domains.enable(find(session, &which, "enable").await?).await?;
            session.done("the domain is open")
        }
        DomainsCommand::Disable(which) => {
            domains.disable(find(session, &which, "disable").await?).await?;
            session.done("the domain is closed to all but its administrators")
        }
        DomainsCommand::Freeze(which) => {
            // Not a permission of the domain: there is nothing to explain about it.
            domains.freeze(resolve::domain(&session.api, &which.named).await?).await?;
            session.done("the domain is closed to all but the platform's administrators")
        }
    }
}

async fn find(session: &Session, which: &Which, operation: &'static str) -> anyhow::Result<DomainId> {
    let id = resolve::domain(&session.api, &which.named).await?;
    aim(session, id, operation);
    Ok(id)
}

fn aim(session: &Session, id: DomainId, operation: &'static str) {
    session.aim(("domains", operation), format!("domain:{id}"), Some(id));
}

async fn create(session: &Session, new: Create) -> anyhow::Result<()> {
    let domain = NewDomain {
        id: new.id,
        route: new.route.unwrap_or_else(|| route_of(&new.name)),
        tags: new.described.tags(),
        metadata: new.described.metadata()?,
        name: new.name,
    };
    let domain = session.api.domains().create(&domain).await?;
    session.one(&SHAPE)?;
    if new.choose { remember(session, &domain) } else { Ok(()) }
}

async fn choose(session: &Session, named: &str) -> anyhow::Result<()> {
    let domain = match named.parse() {
        Ok(id) => session.api.domains().view(id).await?,
        Err(_) => resolve::domain_named(&session.api, named).await?,
    };
    remember(session, &domain)?;
    session.done(&format!("commands work in the domain {} now", harmless(&domain.name)))
}

/// Keeps it with the login.
fn remember(session: &Session, domain: &Domain) -> anyhow::Result<()> {
    if session.proof != Proof::Stored {
        session::warn("only a stored login keeps its domain; set TRUNKLINE_DOMAIN, or log in")?;
        return Ok(());
    }
    Store::of_user()?.change(|logins| {
        if let Some(login) = logins.platforms.get_mut(&session.url) {
            login.domain = Some(ChosenDomain { id: domain.id, name: domain.name.clone() });
        }
    })
}

/// A route for a name: letters, digits and single `-`, beginning with a letter (reference 02 §1.3).
fn route_of(name: &str) -> String {
    let mut route = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            'a'..='z' => route.push(c),
            '0'..='9' if !route.is_empty() => route.push(c),
            _ if !route.is_empty() && !route.ends_with('-') => route.push('-'),
            _ => {}
        }
        if route.len() == 36 {
            break;
        }
    }
    route.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_made_of_a_name() {
        for (name, route) in [
            ("My plant", "my-plant"),
            ("2nd  floor (old)", "nd-floor-old"),
            ("Gerät__7", "ger-t-7"),
            ("東", ""),
            (&"x".repeat(50), &"x".repeat(36)),
        ] {
            assert_eq!(route_of(name), route, "{name}");
        }
    }
}
