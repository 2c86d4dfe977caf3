//! What groups, clients and channels have in common: the same verbs.

use std::fmt::Display;
use std::str::FromStr;

use anyhow::ensure;
use clap::{Args, Subcommand};
use kernel::{DomainId, GroupId};
use sdk::{Api, Groups, Kind, Registry};

use super::listing::{Filter, Paging};
use super::output::Shape;
use super::resolve;
use super::session::Session;
use super::terminal;

/// A kind of thing that a domain has.
pub(crate) trait Thing: Kind<Id: FromStr + Display> {
    /// What one is called.
    const NOUN: &'static str;
    /// How it is shown.
    const SHAPE: Shape;
    /// The operation that makes one in a domain.
    const CREATE: &'static str;
    /// The operation that puts one into a group.
    const SET_PARENT: &'static str;

    /// Those of a domain.
    fn of(api: &Api, domain: DomainId) -> Registry<'_, Self>
    where
        Self: Sized;

    /// The id of one.
    fn id(view: &Self::View) -> Self::Id;

    /// The name of one.
    fn name(view: &Self::View) -> &str;

    /// The group that one is in.
    fn parent(view: &Self::View) -> Option<GroupId>;
}

/// What can be done with each of them.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show one with all that is known about it
    #[command(visible_alias = "get")]
    View {
        #[command(flatten)]
        which: Which,
        /// Also the roles through which you reach it
        #[arg(long)]
        roles: bool,
    },
    /// Replace the tags
    Tags {
        #[command(flatten)]
        which: Which,
        /// The tags from now on; none removes them all
        #[arg(value_name = "TAG")]
        tags: Vec<String>,
    },
    /// Let it be used again
    Enable(Which),
    /// Switch it off, at once and everywhere
    Disable(Which),
    /// Put it into a group, or take it out of its group
    #[command(visible_alias = "move")]
    Parent {
        #[command(flatten)]
        which: Which,
        /// The group that it belongs to from now on
        #[arg(value_name = "GROUP", required_unless_present = "none")]
        group: Option<String>,
        /// It belongs to no group
        #[arg(long, conflicts_with = "group")]
        none: bool,
    },
    /// Remove for good
    Delete(Doomed),
}

/// One of them.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Id, or the name if only one has it
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

/// Those that are to be removed.
#[derive(Debug, Args)]
pub(crate) struct Doomed {
    /// Ids, or names that only one has
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Does it.
pub(crate) async fn run<K: Thing>(session: &Session, verb: Verb) -> anyhow::Result<()> {
    let domain = session.domain().await?;
    let things = K::of(&session.api, domain);
    let one = async |which: &Which, operation| find::<K>(session, domain, &which.id, operation).await;
    match verb {
        Verb::View { which, roles } => {
            let id = one(&which, "view").await?;
            if roles {
                things.view_with_roles(id).await?;
            } else {
                things.view(id).await?;
            }
        }
        Verb::Tags { which, tags } => {
            let id = one(&which, "update_tags").await?;
            things.update_tags(id, &tags).await?;
        }
        Verb::Enable(which) => {
            let id = one(&which, "enable").await?;
            things.enable(id).await?;
        }
        Verb::Disable(which) => {
            let id = one(&which, "disable").await?;
            things.disable(id).await?;
        }
        Verb::Parent { which, group, none: _ } => {
            let id = one(&which, K::SET_PARENT).await?;
            return set_parent::<K>(session, domain, id, group.as_deref()).await;
        }
        Verb::Delete(doomed) => return delete::<K>(session, domain, doomed).await,
    }
    session.one(&K::SHAPE)
}

/// The id of one, and what is about to be done with it.
pub(crate) async fn find<K: Thing>(
    session: &Session,
    domain: DomainId,
    named: &str,
    operation: &'static str,
) -> anyhow::Result<K::Id> {
    let id = resolve::thing::<K>(&session.api, domain, named).await?;
    session.aim((K::PLURAL, operation), format!("{}:{id}", K::NOUN), Some(domain));
    Ok(id)
}

/// Lists them; `narrow` adds the filters of their own.
pub(crate) async fn list<K: Thing>(
    session: &Session,
    domain: DomainId,
    paging: &Paging,
    filter: &Filter,
    narrow: impl Fn(&mut sdk::Query),
) -> anyhow::Result<()> {
    let mut query = filter.query(paging.span())?;
    narrow(&mut query);
    let things = K::of(&session.api, domain);
    let page = async |span: sdk::Span| {
        things.list(&sdk::Query { offset: span.offset, limit: span.limit, ..query.clone() }).await
    };
    session.list(&K::SHAPE, paging, page).await
}

/// Puts one into another group, or into none. A thing that is in a group already leaves it first; if it is not let into the
/// other, it is put back.
async fn set_parent<K: Thing>(
    session: &Session,
    domain: DomainId,
    id: K::Id,
    group: Option<&str>,
) -> anyhow::Result<()> {
    let things = K::of(&session.api, domain);
    let Some(named) = group else {
        things.remove_parent(id).await?;
        return session.done(&format!("the {} is in no group now", K::NOUN));
    };
    let group = resolve::thing::<Groups>(&session.api, domain, named).await?;
    match K::parent(&things.view(id).await?) {
        Some(before) if before != group => {
            things.remove_parent(id).await?;
            if let Err(error) = things.set_parent(id, group).await {
                things.set_parent(id, before).await?;
                return Err(error.into());
            }
        }
        _ => things.set_parent(id, group).await?,
    }
    session.done(&format!("the {} is in the group {group} now", K::NOUN))
}

async fn delete<K: Thing>(session: &Session, domain: DomainId, doomed: Doomed) -> anyhow::Result<()> {
    let mut ids = Vec::with_capacity(doomed.ids.len());
    for named in &doomed.ids {
        ids.push(resolve::thing::<K>(&session.api, domain, named).await?);
    }
    confirm(K::NOUN, &doomed.ids, doomed.yes)?;
    for id in ids {
        session.aim((K::PLURAL, "delete"), format!("{}:{id}", K::NOUN), Some(domain));
        K::of(&session.api, domain).delete(id).await?;
        session.done(&format!("the {} {id} is deleted", K::NOUN))?;
    }
    Ok(())
}

/// Asks before something is removed.
pub(crate) fn confirm(noun: &str, named: &[String], yes: bool) -> anyhow::Result<()> {
    ensure!(!named.is_empty(), "nothing to delete");
    match (yes, named) {
        (true, _) => Ok(()),
        (false, [one]) => terminal::confirm(&format!("Delete the {noun} {one} for good?")),
        (false, many) => terminal::confirm(&format!("Delete {} {noun}s for good?", many.len())),
    }
}
