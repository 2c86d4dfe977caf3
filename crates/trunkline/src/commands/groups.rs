//! `trunkline groups`.

use clap::{Args, Subcommand};
use kernel::{DomainId, GroupId, Status};
use sdk::{Api, ChildrenQuery, Group, GroupChange, Groups, HierarchyQuery, NewGroup, Registry};

use super::input::{self, Described};
use super::listing::{Filter, Paging};
use super::output::{Shape, harmless};
use super::resolve;
use super::session::Session;
use super::things::{self, Thing, Verb, Which};

/// What can be done with groups.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupsCommand {
    /// Create a group
    #[command(
        after_help = "Examples:\n  trunkline groups create Hall --group Plant\n  trunkline groups tree Plant"
    )]
    Create(Create),
    /// List groups
    List(List),
    /// Change the name, the description or the metadata of a group
    Update(Update),
    /// Show the groups below a group as a tree
    Tree {
        #[command(flatten)]
        which: Which,
        /// The groups above it
        #[arg(long)]
        up: bool,
        /// How many levels
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=20))]
        levels: u32,
    },
    /// The groups in a group
    #[command(subcommand)]
    Children(ChildrenCommand),
    #[command(flatten)]
    Verb(Verb),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Name
    #[arg(value_name = "NAME")]
    name: String,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The group that it belongs to
    #[arg(long, value_name = "GROUP", visible_alias = "parent")]
    group: Option<String>,
    /// It is switched off until it is enabled
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
    /// Only those that are in no group that you may see
    #[arg(long)]
    roots: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    #[command(flatten)]
    which: Which,
    /// Another name
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["metadata", "description"])]
    name: Option<String>,
    /// Another description; may be empty
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Replaces the metadata: a JSON object, or @FILE
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
}

/// What can be done with the groups in a group.
#[derive(Debug, Subcommand)]
pub(crate) enum ChildrenCommand {
    /// List them
    List {
        #[command(flatten)]
        which: Which,
        /// Also those further down
        #[arg(long)]
        deep: bool,
        #[command(flatten)]
        paging: Paging,
    },
    /// Put groups that are in no group into it
    Add(Children),
    /// Take groups out of it
    Remove(Children),
    /// Take all groups out of it
    RemoveAll(Which),
}

#[derive(Debug, Args)]
pub(crate) struct Children {
    #[command(flatten)]
    which: Which,
    /// The groups, by id or name
    #[arg(value_name = "CHILD", required = true)]
    children: Vec<String>,
}

impl Thing for Groups {
    const NOUN: &'static str = "group";
    const SHAPE: Shape = Shape {
        list: "groups",
        id: "/id",
        columns: &[
            ("ID", "/id"),
            ("NAME", "/name"),
            ("STATUS", "/status"),
            ("PARENT", "/parent_id"),
            ("TAGS", "/tags"),
        ],
        fields: &[
            ("ID", "/id"),
            ("Name", "/name"),
            ("Description", "/description"),
            ("Status", "/status"),
            ("Tags", "/tags"),
            ("Domain", "/domain_id"),
            ("Parent", "/parent_id"),
            ("Level", "/level"),
            ("Path", "/path"),
            ("Metadata", "/metadata"),
            ("Created", "/created_at"),
            ("Updated", "/updated_at"),
            ("Updated by", "/updated_by"),
        ],
    };
    const CREATE: &'static str = "create_groups";
    const SET_PARENT: &'static str = "add_parent_group";

    fn of(api: &Api, domain: DomainId) -> Registry<'_, Self> {
        api.groups(domain)
    }

    fn id(view: &Group) -> GroupId {
        view.id
    }

    fn name(view: &Group) -> &str {
        &view.name
    }

    fn parent(view: &Group) -> Option<GroupId> {
        view.parent_id
    }
}

/// Does it.
pub(crate) async fn run(session: &Session, command: GroupsCommand) -> anyhow::Result<()> {
    let command = match command {
        GroupsCommand::Verb(verb) => return things::run::<Groups>(session, verb).await,
        other => other,
    };
    let domain = session.domain().await?;
    let groups = session.api.groups(domain);
    match command {
        GroupsCommand::Create(new) => create(session, domain, new).await,
        GroupsCommand::List(list) => {
            things::list::<Groups>(session, domain, &list.paging, &list.filter, |query| {
                query.root_group = list.roots.then_some(true);
            })
            .await
        }
        GroupsCommand::Update(change) => {
            let id = things::find::<Groups>(session, domain, &change.which.id, "update").await?;
            let metadata = change.metadata.as_deref().map(input::metadata).transpose()?;
            let change = GroupChange { name: change.name, description: change.description, metadata };
            groups.update(id, &change).await?;
            session.one(&Groups::SHAPE)
        }
        GroupsCommand::Tree { which, up, levels } => {
            let id = things::find::<Groups>(session, domain, &which.id, "retrieve_group_hierarchy").await?;
            let dir = if up { 1 } else { -1 };
            let query = HierarchyQuery { level: Some(levels), dir: Some(dir), tree: Some(true) };
            let hierarchy = groups.hierarchy(id, &query).await?;
            session.text(&drawn(&hierarchy.groups))
        }
        GroupsCommand::Children(command) => children(session, domain, command).await,
        GroupsCommand::Verb(_) => Ok(()),
    }
}

async fn create(session: &Session, domain: DomainId, new: Create) -> anyhow::Result<()> {
    session.aim(("domains", Groups::CREATE), format!("domain:{domain}"), Some(domain));
    let parent_id = resolve::thing_if_named::<Groups>(&session.api, domain, new.group.as_deref()).await?;
    let group = NewGroup {
        parent_id,
        description: new.description,
        tags: new.described.tags(),
        metadata: new.described.metadata()?,
        status: if new.disabled { Status::Disabled } else { Status::Enabled },
        name: new.name,
    };
    session.api.groups(domain).create(&group).await?;
    session.one(&Groups::SHAPE)
}

async fn children(session: &Session, domain: DomainId, command: ChildrenCommand) -> anyhow::Result<()> {
    let groups = session.api.groups(domain);
    let one =
        async |which: &Which, operation| things::find::<Groups>(session, domain, &which.id, operation).await;
    match command {
        ChildrenCommand::List { which, deep, paging } => {
            let id = one(&which, "list_children_groups").await?;
            let end_level = if deep { -1 } else { 0 };
            let page = async |span: sdk::Span| {
                let (start_level, end_level) = (Some(1), Some(end_level));
                let query = ChildrenQuery { start_level, end_level, offset: span.offset, limit: span.limit };
                groups.children(id, &query).await
            };
            session.list(&Groups::SHAPE, &paging, page).await
        }
        ChildrenCommand::Add(Children { which, children }) => {
            let children = many(session, domain, &children).await?;
            groups.add_children(one(&which, "add_children_groups").await?, &children).await?;
            session.done("the groups are in it now")
        }
        ChildrenCommand::Remove(Children { which, children }) => {
            let children = many(session, domain, &children).await?;
            groups.remove_children(one(&which, "remove_children_groups").await?, &children).await?;
            session.done("the groups are no longer in it")
        }
        ChildrenCommand::RemoveAll(which) => {
            groups.remove_all_children(one(&which, "remove_all_children_groups").await?).await?;
            session.done("no group is in it now")
        }
    }
}

async fn many(session: &Session, domain: DomainId, named: &[String]) -> anyhow::Result<Vec<GroupId>> {
    let mut ids = Vec::with_capacity(named.len());
    for group in named {
        ids.push(resolve::thing::<Groups>(&session.api, domain, group).await?);
    }
    Ok(ids)
}

/// Trees of groups, a line each. The platform nests no deeper than twenty levels.
fn drawn(groups: &[Group]) -> String {
    fn draw(text: &mut String, group: &Group, first: &str, rest: &str) {
        let status = if group.status == Status::Enabled { "" } else { ", disabled" };
        text.push_str(&format!("{first}{} ({}{status})\n", harmless(&group.name), group.id));
        // By name, as people look for them; the API's order is that of the ids.
        let mut children: Vec<&Group> = group.children.iter().collect();
        children.sort_by_key(|child| (child.name.as_str(), child.id));
        for (index, child) in children.iter().enumerate() {
            let (branch, below) =
                if index + 1 == children.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            draw(text, child, &format!("{rest}{branch}"), &format!("{rest}{below}"));
        }
    }
    let mut text = String::new();
    for group in groups {
        draw(&mut text, group, "", "");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_tree_is_drawn_with_a_line_for_each_group() {
        let group = |number: u8, name: &str, children: Value| {
            json!({"id": format!("00000000-0000-4000-8000-00000000000{number}"), "name": name,
                "created_at": "2026-01-01T00:00:00Z", "children": children})
        };
        let hall = group(2, "Hall", json!([group(3, "Left", json!([])), group(4, "Right", json!([]))]));
        let plant = group(1, "Plant", json!([hall, group(5, "Yard\n", json!([]))]));
        let groups: Vec<Group> = serde_json::from_value(json!([plant])).unwrap();
        insta::assert_snapshot!(drawn(&groups));
    }
}
