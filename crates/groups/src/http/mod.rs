//! The groups' routes and wire shapes (reference 02 §3).

mod group;
mod lists;
mod members;
mod moves;

use access::standing::{RoleFilter, Viewed, Viewing};
use registry::http::NewTags;
use web::{Route, Routes, Rule};

use crate::{Groups, operations};
use group::{GroupChange, GroupView, NewGroup};
use lists::{ChildrenFilter, Filter, GroupPage, HierarchyFilter, HierarchyView};
use members::NamedMembers;
use moves::{NewChildren, NewParent};

/// The table.
pub fn routes(groups: Groups) -> Routes {
    let routes = of_one_group(of_groups(Routes::new("groups")));
    of_members(of_hierarchy(routes)).with(groups)
}

fn of_groups(routes: Routes<Groups>) -> Routes<Groups> {
    routes
        .add(
            Route::post("/{domain}/groups", group::create)
                .named("create_group")
                .rule(Rule::Operations(&[operations::CREATE, operations::ADD_CHILDREN]))
                .summary("Create a group, in a parent group or in none")
                .takes::<NewGroup>()
                .answers::<GroupView>(201),
        )
        .add(
            Route::get("/{domain}/groups", lists::list)
                .named("list_groups")
                .rule(Rule::Operations(&[operations::LIST]))
                .summary("List the groups that you may see")
                .lists()
                .queries::<Filter>()
                .queries::<RoleFilter>()
                .answers::<GroupPage>(200),
        )
}

fn of_one_group(routes: Routes<Groups>) -> Routes<Groups> {
    routes
        .add(
            Route::get("/{domain}/groups/{group}", group::view)
                .named("view_group")
                .rule(Rule::Operations(&[operations::VIEW]))
                .summary("View a group")
                .queries::<Viewing>()
                .answers::<Viewed<GroupView>>(200),
        )
        .add(
            Route::put("/{domain}/groups/{group}", group::update)
                .named("update_group")
                .rule(Rule::Operations(&[operations::UPDATE]))
                .summary("Change a group's name, description or metadata")
                .takes::<GroupChange>()
                .answers::<GroupView>(200),
        )
        .add(
            Route::patch("/{domain}/groups/{group}/tags", group::update_tags)
                .named("update_group_tags")
                .rule(Rule::Operations(&[operations::UPDATE_TAGS]))
                .summary("Replace a group's tags")
                .takes::<NewTags>()
                .answers::<GroupView>(200),
        )
        .add(
            Route::post("/{domain}/groups/{group}/enable", group::enable)
                .named("enable_group")
                .rule(Rule::Operations(&[operations::ENABLE]))
                .summary("Let things be put into a group again")
                .answers::<GroupView>(200),
        )
        .add(
            Route::post("/{domain}/groups/{group}/disable", group::disable)
                .named("disable_group")
                .rule(Rule::Operations(&[operations::DISABLE]))
                .summary("Let nothing be put into a group; what is in it stays")
                .answers::<GroupView>(200),
        )
        .add(
            Route::delete("/{domain}/groups/{group}", group::delete)
                .named("delete_group")
                .rule(Rule::Operations(&[operations::DELETE]))
                .summary("Remove a group")
                .description("What was in it stays, in no group.")
                .answers_empty(204),
        )
}

fn of_hierarchy(routes: Routes<Groups>) -> Routes<Groups> {
    routes
        .add(
            Route::get("/{domain}/groups/{group}/hierarchy", lists::hierarchy)
                .named("retrieve_group_hierarchy")
                .rule(Rule::Operations(&[operations::HIERARCHY]))
                .summary("The groups above or below a group that you may see")
                .queries::<HierarchyFilter>()
                .answers::<HierarchyView>(200),
        )
        .add(
            Route::post("/{domain}/groups/{group}/parent", moves::add_parent)
                .named("add_parent_group")
                .rule(Rule::Operations(&[operations::ADD_PARENT, operations::ADD_CHILDREN]))
                .summary("Put a group into a group")
                .takes::<NewParent>()
                .answers_empty(200),
        )
        .add(
            Route::delete("/{domain}/groups/{group}/parent", moves::remove_parent)
                .named("remove_parent_group")
                .rule(Rule::Operations(&[operations::REMOVE_PARENT]))
                .summary("Take a group out of its group")
                .answers_empty(204),
        )
        .add(
            Route::get("/{domain}/groups/{group}/children", lists::children)
                .named("list_children_groups")
                .rule(Rule::Operations(&[operations::LIST_CHILDREN]))
                .summary("List the groups below a group that you may see")
                .description(
                    "Without levels, what it contains. start_level 2: what that contains; end_level: down to there, \
                     -1: to the bottom; start_level 0 with end_level -1: everything, the group itself included.",
                )
                .lists()
                .queries::<ChildrenFilter>()
                .queries::<RoleFilter>()
                .answers::<GroupPage>(200),
        )
        .add(
            Route::post("/{domain}/groups/{group}/children", moves::add_children)
                .named("add_children_groups")
                .rule(Rule::Operations(&[operations::ADD_CHILDREN, operations::ADD_PARENT]))
                .summary("Put groups into a group, all or none")
                .takes::<NewChildren>()
                .answers_empty(200),
        )
        .add(
            Route::delete("/{domain}/groups/{group}/children", moves::remove_children)
                .named("remove_children_groups")
                .rule(Rule::Operations(&[operations::REMOVE_CHILDREN]))
                .summary("Take groups out of a group, all or none")
                .takes::<NewChildren>()
                .answers_empty(204),
        )
        .add(
            Route::delete("/{domain}/groups/{group}/children/all", moves::remove_all_children)
                .named("remove_all_children_groups")
                .rule(Rule::Operations(&[operations::REMOVE_ALL_CHILDREN]))
                .summary("Take all groups out of a group")
                .answers_empty(204),
        )
}

fn of_members(routes: Routes<Groups>) -> Routes<Groups> {
    const ASKED: Rule = Rule::Operations(&[
        operations::REMOVE_CLIENT,
        operations::REMOVE_CHILD_CLIENT,
        operations::REMOVE_MEMBERS,
    ]);
    routes
        .add(
            Route::delete("/{domain}/groups/{group}/members", members::remove)
                .named("remove_clients_and_users_of_group")
                .rule(ASKED)
                .summary("Take clients out of a group, and from users whatever role they hold on it")
                .takes::<NamedMembers>()
                .answers_empty(204),
        )
        .add(
            Route::delete("/groups/{group}/members", members::remove_without_domain)
                .named("remove_clients_and_users_of_group_without_domain")
                .rule(ASKED)
                .summary("The same, as older documents write it")
                .takes::<NamedMembers>()
                .answers_empty(204),
        )
}
