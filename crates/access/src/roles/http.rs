//! The routes of roles and their wire shapes, the same for every kind of thing (reference 02 §4.2).

use std::slice::from_ref;

use ::http::StatusCode;
use axum::extract::State;
use kernel::{Direction, DomainId, EntityId, Error, Page, PageRequest, Result, RoleId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use web::{Empty, Json, Path, Query, Route, Routes, Rule};

use super::{
    Actions, Entity, Members, NewRole, Provision, Role, Roles,
    entity::{Asks, Names, Paths},
};
use crate::{
    Access, Context, Object,
    standing::{AccessType, Member, MemberFilter, MemberOrder},
};

/// The table for one kind of thing.
pub fn routes(access: Access, entity: &'static Entity) -> Routes {
    let Entity { paths, names, asks, .. } = entity;
    let routes = Routes::new(entity.service).add(
        Route::get(paths.available_actions, available_actions)
            .named(names.available_actions)
            .rule(Rule::SignedIn("the same list for everybody"))
            .summary("List the actions that a role can hold")
            .answers::<AvailableActions>(200),
    );
    let routes = of_all_roles(routes, paths, names, asks);
    let routes = of_one_role(routes, paths, names, asks);
    let routes = of_actions(routes, paths, names, asks);
    of_members(routes, paths, names, asks).with(Roles::new(access, entity))
}

fn of_all_roles(routes: Routes<Roles>, paths: &Paths, names: &Names, asks: &'static Asks) -> Routes<Roles> {
    routes
        .add(
            Route::post(paths.roles, add)
                .named(names.add)
                .rule(Rule::Operations(&asks.add))
                .summary("Make a role")
                .description("Who names members needs the right to add members too.")
                .takes::<RoleToAdd>()
                .answers::<Provision>(201),
        )
        .add(
            Route::get(paths.roles, list)
                .named(names.list)
                .rule(Rule::Operations(from_ref(&asks.retrieve_all)))
                .summary("List the roles, the oldest first")
                .queries::<PageQuery>()
                .answers::<RolePage>(200),
        )
        .add(
            Route::get(paths.everybody, list_everybody)
                .named(names.list_everybody)
                .rule(Rule::Operations(from_ref(&asks.list_members)))
                .summary("List everybody who comes here by a role, with all of these roles")
                .description("The roles may be here, on a group above, or on the domain.")
                .queries::<MemberQuery>()
                .answers::<MemberPage>(200),
        )
        .add(
            Route::delete(paths.roles, remove_from_all)
                .named(names.remove_from_all)
                .rule(Rule::Operations(from_ref(&asks.remove_all_members)))
                .summary("Take from users whatever role they hold here")
                .description("From a domain they leave: their roles on everything in it end too.")
                .takes::<MemberIds>()
                .answers_empty(204),
        )
}

fn of_one_role(routes: Routes<Roles>, paths: &Paths, names: &Names, asks: &'static Asks) -> Routes<Roles> {
    routes
        .add(
            Route::get(paths.role, view)
                .named(names.view)
                .rule(Rule::Operations(from_ref(&asks.retrieve)))
                .summary("View a role")
                .answers::<Role>(200),
        )
        .add(
            Route::put(paths.role, update)
                .named(names.update)
                .rule(Rule::Operations(from_ref(&asks.update)))
                .summary("Rename a role")
                .takes::<NewName>()
                .answers::<Role>(200),
        )
        .add(
            Route::delete(paths.role, remove)
                .named(names.remove)
                .rule(Rule::Operations(from_ref(&asks.remove)))
                .summary("Remove a role")
                .description("Its members lose it; those of a domain's role leave the domain.")
                .answers_empty(204),
        )
}

fn of_actions(routes: Routes<Roles>, paths: &Paths, names: &Names, asks: &'static Asks) -> Routes<Roles> {
    routes
        .add(
            Route::post(paths.actions, add_actions)
                .named(names.add_actions)
                .rule(Rule::Operations(from_ref(&asks.add_actions)))
                .summary("Add actions to a role")
                .takes::<ActionNames>()
                .answers::<ActionNames>(200),
        )
        .add(
            Route::get(paths.actions, list_actions)
                .named(names.list_actions)
                .rule(Rule::Operations(from_ref(&asks.list_actions)))
                .summary("List the actions of a role")
                .answers::<ActionNames>(200),
        )
        .add(
            Route::post(paths.actions_delete, remove_actions)
                .named(names.remove_actions)
                .rule(Rule::Operations(from_ref(&asks.remove_actions)))
                .summary("Remove actions from a role")
                .takes::<ActionNames>()
                .answers_empty(204),
        )
        .add(
            Route::post(paths.actions_delete_all, remove_all_actions)
                .named(names.remove_all_actions)
                .rule(Rule::Operations(from_ref(&asks.remove_all_actions)))
                .summary("Remove all actions from a role")
                .answers_empty(204),
        )
}

fn of_members(routes: Routes<Roles>, paths: &Paths, names: &Names, asks: &'static Asks) -> Routes<Roles> {
    routes
        .add(
            Route::post(paths.members, add_members)
                .named(names.add_members)
                .rule(Rule::Operations(from_ref(&asks.add_members)))
                .summary("Give a role to users")
                .description(
                    "To a domain's role any registered user may be added, to others who is in the domain.",
                )
                .takes::<Users>()
                .answers::<Users>(200),
        )
        .add(
            Route::get(paths.members, list_members)
                .named(names.list_members)
                .rule(Rule::Operations(from_ref(&asks.list_members)))
                .summary("List the users who hold a role")
                .queries::<PageQuery>()
                .answers::<UserPage>(200),
        )
        .add(
            Route::post(paths.members_delete, remove_members)
                .named(names.remove_members)
                .rule(Rule::Operations(from_ref(&asks.remove_members)))
                .summary("Take a role from users")
                .description(
                    "From a domain's role they leave the domain: their roles on everything in it end too.",
                )
                .takes::<Users>()
                .answers_empty(204),
        )
        .add(
            Route::post(paths.members_delete_all, remove_all_members)
                .named(names.remove_all_members)
                .rule(Rule::Operations(from_ref(&asks.remove_all_members)))
                .summary("Take a role from everybody")
                .answers_empty(204),
        )
}

/// What the path names: the thing, by the name that its own routes give the segment, and mostly a role.
#[derive(Debug, Deserialize)]
struct Place {
    domain: DomainId,
    #[serde(alias = "group", alias = "client", alias = "channel")]
    thing: Option<EntityId>,
    role: Option<RoleId>,
}

impl Place {
    /// The thing: what the path names in the domain, or else the domain.
    fn object(&self, roles: &Roles) -> Object {
        match self.thing {
            Some(thing) => Object::of(roles.entity().kind, self.domain, thing.uuid()),
            None => Object::domain(self.domain),
        }
    }

    fn with_role(self, roles: &Roles) -> Result<(Object, RoleId)> {
        let object = self.object(roles);
        let role = self.role.ok_or_else(|| Error::internal("the path of this route names no role"))?;
        Ok((object, role))
    }
}

/// What it takes to make a role. The shorter names of older documents count where the longer are not given (reference 02
/// §12).
#[derive(Debug, Deserialize, ToSchema)]
struct RoleToAdd {
    /// 1 to 200 bytes, unique here.
    #[serde(default)]
    role_name: String,
    #[serde(default)]
    #[schema(ignore)]
    name: String,
    /// The actions that it is to hold.
    optional_actions: Option<Vec<String>>,
    #[schema(ignore)]
    actions: Option<Vec<String>>,
    /// The users who are to hold it.
    optional_members: Option<Vec<UserId>>,
    #[schema(ignore)]
    members: Option<Vec<UserId>>,
}

/// A role's new name.
#[derive(Debug, Deserialize, ToSchema)]
struct NewName {
    #[serde(default)]
    name: String,
}

/// Actions, at most 1000.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct ActionNames {
    #[serde(default)]
    actions: Vec<String>,
}

/// Users, at most 1000.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Users {
    #[serde(default)]
    members: Vec<UserId>,
}

/// The users who are to hold no role, at most 1000.
#[derive(Debug, Deserialize, ToSchema)]
struct MemberIds {
    #[serde(default)]
    member_ids: Vec<UserId>,
}

/// The actions that a role can hold.
#[derive(Debug, Serialize, ToSchema)]
struct AvailableActions {
    available_actions: &'static [&'static str],
}

/// Which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
struct PageQuery {
    /// Rows to pass over.
    offset: Option<u64>,
    /// Rows on a page, 1 to 100.
    limit: Option<u64>,
}

impl PageQuery {
    fn parse(self) -> Result<PageRequest> {
        PageRequest::new(self.offset, self.limit, false)
    }
}

/// A page of roles.
#[derive(Debug, Serialize, ToSchema)]
struct RolePage {
    total: u64,
    offset: u64,
    limit: u64,
    roles: Vec<Role>,
}

/// A page of everybody.
#[derive(Debug, Serialize, ToSchema)]
struct MemberPage {
    total: u64,
    offset: u64,
    limit: u64,
    members: Vec<Member>,
}

/// Which members, and in which order. A member is listed for a role of which all is true that is asked for.
#[derive(Debug, Deserialize, IntoParams)]
struct MemberQuery {
    /// Rows to pass over.
    offset: Option<u64>,
    /// Rows on a page, 1 to 100.
    limit: Option<u64>,
    /// `role_id`, `role_name`, `access_type`, `access_provider_id`; by the user's id otherwise.
    order: Option<String>,
    /// `asc` or `desc`.
    #[serde(default, deserialize_with = "web::parsed")]
    #[param(value_type = Option<String>)]
    dir: Option<Direction>,
    /// The role.
    role_id: Option<RoleId>,
    /// The role's name.
    role_name: Option<String>,
    /// Actions that the role holds, with commas between them.
    actions: Option<String>,
    /// `direct`, `direct_group`, `indirect_group` or `domain`.
    #[serde(default, deserialize_with = "web::parsed")]
    #[param(value_type = Option<String>)]
    access_type: Option<AccessType>,
    /// The group or the domain that the role is on.
    access_provider_id: Option<EntityId>,
}

/// A page of users.
#[derive(Debug, Serialize, ToSchema)]
struct UserPage {
    total: u64,
    offset: u64,
    limit: u64,
    members: Vec<UserId>,
}

async fn available_actions(State(roles): State<Roles>, _cx: Context) -> Json<AvailableActions> {
    Json(AvailableActions { available_actions: roles.entity().actions() })
}

async fn add(
    State(roles): State<Roles>,
    cx: Context,
    Path(place): Path<Place>,
    Json(body): Json<RoleToAdd>,
) -> web::Result<Json<Provision>> {
    let new = NewRole {
        name: if body.role_name.is_empty() { body.name } else { body.role_name }.parse()?,
        actions: body
            .optional_actions
            .or(body.actions)
            .map(|named| Actions::parse(roles.entity(), named))
            .transpose()?,
        members: body.optional_members.or(body.members).map(Members::parse).transpose()?,
    };
    Ok(Json(roles.add(&cx, place.object(&roles), new).await?))
}

async fn list(
    State(roles): State<Roles>,
    cx: Context,
    Path(place): Path<Place>,
    Query(page): Query<PageQuery>,
) -> web::Result<Json<RolePage>> {
    let Page { total, request, items } = roles.list(&cx, place.object(&roles), page.parse()?).await?;
    Ok(Json(RolePage { total, offset: request.offset, limit: request.limit, roles: items }))
}

async fn list_everybody(
    State(roles): State<Roles>,
    cx: Context,
    Path(place): Path<Place>,
    Query(asked): Query<MemberQuery>,
) -> web::Result<Json<MemberPage>> {
    let page = PageRequest::new(asked.offset, asked.limit, false)?;
    let order = asked.order.as_deref().map(MemberOrder::named).unwrap_or_default();
    let direction = asked.dir.unwrap_or(Direction::Ascending);
    let filter = MemberFilter {
        role_id: asked.role_id,
        role_name: asked.role_name,
        actions: asked.actions,
        access_type: asked.access_type,
        access_provider_id: asked.access_provider_id.map(|id| id.to_string()),
    };
    let Page { total, request, items } =
        roles.list_everybody(&cx, place.object(&roles), filter, (order, direction), page).await?;
    Ok(Json(MemberPage { total, offset: request.offset, limit: request.limit, members: items }))
}

async fn remove_from_all(
    State(roles): State<Roles>,
    cx: Context,
    Path(place): Path<Place>,
    Json(body): Json<MemberIds>,
) -> web::Result<Empty> {
    roles.remove_from_all(&cx, place.object(&roles), Members::some(body.member_ids)?).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

async fn view(State(roles): State<Roles>, cx: Context, Path(place): Path<Place>) -> web::Result<Json<Role>> {
    let (object, role) = place.with_role(&roles)?;
    Ok(Json(roles.view(&cx, object, role).await?))
}

async fn update(
    State(roles): State<Roles>,
    cx: Context,
    Path(place): Path<Place>,
    Json(body): Json<NewName>,
) -> web::Result<Json<Role>> {
    let (object, role) = place.with_role(&roles)?;
    Ok(Json(roles.update(&cx, object, role, body.name.parse()?).await?))
}

async fn remove(State(roles): State<Roles>, cx: Context, Path(place): Path<Place>) -> web::Result<Empty> {
    let (object, role) = place.with_role(&roles)?;
    roles.remove(&cx, object, role).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

async fn add_actions(
    State(roles): State<Roles>,
    cx: Context,
    Path(place): Path<Place>,
    Json(body): Json<ActionNames>,
) -> web::Result<Json<ActionNames>> {
    let (object, role) = place.with_role(&roles)?;
    let actions = Actions::some(roles.entity(), body.actions.clone())?;
    roles.add_actions(&cx, object, role, actions).await?;
    Ok(Json(body))
}

async fn list_actions(
    State(roles): State<Roles>,
    cx: Context,
    Path(place): Path<Place>,
) -> web::Result<Json<ActionNames>> {
    let (object, role) = place.with_role(&roles)?;
    Ok(Json(ActionNames { actions: roles.list_actions(&cx, object, role).await? }))
}

async fn remove_actions(
    State(roles): State<Roles>,
    cx: Context,
    Path(place): Path<Place>,
    Json(body): Json<ActionNames>,
) -> web::Result<Empty> {
    let (object, role) = place.with_role(&roles)?;
    let actions = Actions::some(roles.entity(), body.actions)?;
    roles.remove_actions(&cx, object, role, actions).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

async fn remove_all_actions(
    State(roles): State<Roles>,
    cx: Context,
    Path(place): Path<Place>,
) -> web::Result<Empty> {
    let (object, role) = place.with_role(&roles)?;
    roles.remove_all_actions(&cx, object, role).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

async fn add_members(
    State(roles): State<Roles>,
    cx: Context,
    Path(place): Path<Place>,
    Json(body): Json<Users>,
) -> web::Result<Json<Users>> {
    let (object, role) = place.with_role(&roles)?;
    let users = Members::some(body.members.clone())?;
    roles.add_members(&cx, object, role, users).await?;
    Ok(Json(body))
}

async fn list_members(
    State(roles): State<Roles>,
    cx: Context,
    Path(place): Path<Place>,
    Query(page): Query<PageQuery>,
) -> web::Result<Json<UserPage>> {
    let (object, role) = place.with_role(&roles)?;
    let Page { total, request, items } = roles.list_members(&cx, object, role, page.parse()?).await?;
    Ok(Json(UserPage { total, offset: request.offset, limit: request.limit, members: items }))
}

async fn remove_members(
    State(roles): State<Roles>,
    cx: Context,
    Path(place): Path<Place>,
    Json(body): Json<Users>,
) -> web::Result<Empty> {
    let (object, role) = place.with_role(&roles)?;
    roles.remove_members(&cx, object, role, Members::some(body.members)?).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

async fn remove_all_members(
    State(roles): State<Roles>,
    cx: Context,
    Path(place): Path<Place>,
) -> web::Result<Empty> {
    let (object, role) = place.with_role(&roles)?;
    roles.remove_all_members(&cx, object, role).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}
