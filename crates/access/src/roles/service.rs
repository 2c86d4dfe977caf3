//! What can be done with the roles of one kind of thing: one function per use case.

use std::sync::Arc;

use db::{Filter, Tx, Val};
use kernel::{Direction, Error, Page, PageRequest, Result, RoleId, UserId};
use serde_json::json;

use super::{
    Entity, events,
    members::{self, held, keep_a_member, touch, users_of},
    model::{Actions, MAX_ROLES, Members, NewRole, Provision, Role, RoleName},
    store,
};
use crate::{
    Access, Context, Object, Permit,
    standing::{self, Member, MemberFilter, MemberOrder},
};

/// The roles on things of one kind.
#[derive(Clone)]
pub struct Roles {
    access: Access,
    entity: &'static Entity,
}

impl axum::extract::FromRef<Roles> for Access {
    fn from_ref(roles: &Roles) -> Self {
        roles.access.clone()
    }
}

impl Roles {
    /// The roles on things of a kind.
    pub const fn new(access: Access, entity: &'static Entity) -> Self {
        Self { access, entity }
    }

    /// The kind.
    pub const fn entity(&self) -> &'static Entity {
        self.entity
    }

    /// Makes a role, with actions and members. Emits `<kind>.role.add`.
    ///
    /// Whoever names members must also be allowed to add members. Conflict where the name is taken on the thing or a
    /// member holds a role on it; Denied where a member may not be let in.
    pub async fn add(&self, cx: &Context, object: Object, new: NewRole) -> Result<Provision> {
        let [add, add_members] = self.entity.asks.add;
        let adds_members = new.members.as_ref().is_some_and(|members| !members.as_slice().is_empty());
        let wanted = [(add, object), (add_members, object)];
        let wanted = if adds_members { &wanted[..] } else { &wanted[..1] };
        let payload = || {
            json!({
                "entity_id": object.id_text(),
                "role_name": new.name.as_str(),
                "optional_actions": new.actions.as_ref().map(Actions::as_slice),
                "optional_members": new.members.as_ref().map(Members::as_slice),
                "count": 1,
            })
        };
        let permit = cx.authorize_all(wanted, payload).await?;
        let (access, entity, request) = (self.access.clone(), self.entity, Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let made = make(tx, &access, &permit, object, new).await?;
                access.emit(tx, events::added(entity, object, &made, &permit, &request)).await?;
                Ok(made)
            })
        })
        .await
    }

    /// The roles of a thing, the oldest first.
    pub async fn list(&self, cx: &Context, object: Object, page: PageRequest) -> Result<Page<Role>> {
        let payload = || json!({ "entity_id": object.id_text(), "limit": page.limit, "offset": page.offset });
        cx.authorize_with(self.entity.asks.retrieve_all, object, payload).await?;
        cx.read(move |tx| Box::pin(async move { store::page(tx, object, page).await })).await
    }

    /// One role. NotFound where it is not on this thing.
    pub async fn view(&self, cx: &Context, object: Object, role: RoleId) -> Result<Role> {
        cx.authorize_with(self.entity.asks.retrieve, object, || about(object, &role)).await?;
        self.found(cx, object, role).await
    }

    /// Gives a role another name. Emits `<kind>.role.update`. Conflict where the name is taken on the thing.
    pub async fn update(&self, cx: &Context, object: Object, role: RoleId, name: RoleName) -> Result<Role> {
        let payload = || {
            json!({
                "entity_id": object.id_text(), "role_id": role, "new_role_name": name.as_str(),
            })
        };
        let permit = cx.authorize_with(self.entity.asks.update, object, payload).await?;
        let (access, entity, request) = (self.access.clone(), self.entity, Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut role = get_held(tx, object, &role).await?;
                if role.built_in && role.name != name.as_str() {
                    return Err(built_in("cannot be renamed, make another role"));
                }
                if store::name_taken(tx, object, &name, Some(&role.id)).await? {
                    return Err(name_is_taken(&name));
                }
                name.as_str().clone_into(&mut role.name);
                touch(&mut role, &permit);
                store::update(tx, &role).await?;
                access.emit(tx, events::updated(entity, object, &role, &permit, &request)).await?;
                Ok(role)
            })
        })
        .await
    }

    /// Removes a role; its members lose it, and leave the domain if it was the domain's. Emits `<kind>.role.remove`.
    pub async fn remove(&self, cx: &Context, object: Object, role: RoleId) -> Result<()> {
        let permit = cx.authorize_with(self.entity.asks.remove, object, || about(object, &role)).await?;
        let (access, entity, request) = (self.access.clone(), self.entity, Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let role = get_held(tx, object, &role).await?;
                if role.built_in {
                    return Err(built_in("cannot be removed"));
                }
                let removed = members::take_out(tx, &access, object, of_role(&role.id)).await?;
                store::delete(tx, &role.id).await?;
                let event = events::role(entity.events.remove, object, &role.id, &permit, &request);
                access.emit(tx, event.with("members", users_of(&removed))).await
            })
        })
        .await
    }

    /// Adds actions to a role. Emits `<kind>.role.actions.add`. Conflict where the role holds one of them.
    pub async fn add_actions(
        &self,
        cx: &Context,
        object: Object,
        role: RoleId,
        actions: Actions,
    ) -> Result<()> {
        let payload = || with_actions(object, &role, &actions);
        let permit = cx.authorize_with(self.entity.asks.add_actions, object, payload).await?;
        let operation = self.entity.events.add_actions;
        self.change_actions(cx, object, role, actions, permit, operation, |role, actions| {
            if let Some(held) = actions.iter().find(|action| role.actions.contains(action)) {
                return Err(Error::conflict(format!(
                    "failed to add policies: the role holds the action `{held}` already"
                )));
            }
            role.actions.extend_from_slice(actions);
            Ok(actions.to_vec())
        })
        .await
    }

    /// The actions of a role.
    pub async fn list_actions(&self, cx: &Context, object: Object, role: RoleId) -> Result<Vec<String>> {
        cx.authorize_with(self.entity.asks.list_actions, object, || about(object, &role)).await?;
        Ok(self.found(cx, object, role).await?.actions)
    }

    /// Removes actions from a role, whether it holds them or not. Emits `<kind>.role.actions.remove`.
    pub async fn remove_actions(
        &self,
        cx: &Context,
        object: Object,
        role: RoleId,
        actions: Actions,
    ) -> Result<()> {
        let payload = || with_actions(object, &role, &actions);
        let permit = cx.authorize_with(self.entity.asks.remove_actions, object, payload).await?;
        let operation = self.entity.events.remove_actions;
        self.change_actions(cx, object, role, actions, permit, operation, |role, actions| {
            let removed = actions.iter().filter(|action| role.actions.contains(action)).cloned().collect();
            role.actions.retain(|action| !actions.contains(action));
            if role.built_in && role.actions.is_empty() {
                return Err(built_in("must retain at least one action"));
            }
            Ok(removed)
        })
        .await
    }

    /// Removes all actions from a role. Emits `<kind>.role.actions.remove_all`.
    pub async fn remove_all_actions(&self, cx: &Context, object: Object, role: RoleId) -> Result<()> {
        let ask = self.entity.asks.remove_all_actions;
        let permit = cx.authorize_with(ask, object, || about(object, &role)).await?;
        let (access, entity, request) = (self.access.clone(), self.entity, Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut role = get_held(tx, object, &role).await?;
                if role.built_in {
                    return Err(built_in("must retain at least one action"));
                }
                role.actions.clear();
                touch(&mut role, &permit);
                store::update(tx, &role).await?;
                access.graph().changed(tx, object, &[])?;
                let operation = entity.events.remove_all_actions;
                access.emit(tx, events::role(operation, object, &role.id, &permit, &request)).await
            })
        })
        .await
    }

    /// Gives users a role. Emits `<kind>.role.members.add`. The errors are those of [`members::add`].
    pub async fn add_members(
        &self,
        cx: &Context,
        object: Object,
        role: RoleId,
        users: Members,
    ) -> Result<()> {
        let payload = || with_members(object, &role, users.as_slice());
        let permit = cx.authorize_with(self.entity.asks.add_members, object, payload).await?;
        let (access, entity, request) = (self.access.clone(), self.entity, Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                members::add(tx, &access, &permit, object, &role, users.as_slice()).await?;
                let event = events::members_added(entity, object, &role, users.as_slice(), &permit, &request);
                access.emit(tx, event).await
            })
        })
        .await
    }

    /// The users who hold a role, in the order of their ids.
    pub async fn list_members(
        &self,
        cx: &Context,
        object: Object,
        role: RoleId,
        page: PageRequest,
    ) -> Result<Page<UserId>> {
        let payload = || {
            json!({
                "entity_id": object.id_text(), "role_id": role, "limit": page.limit, "offset": page.offset,
            })
        };
        cx.authorize_with(self.entity.asks.list_members, object, payload).await?;
        cx.read(move |tx| {
            Box::pin(async move {
                let role = store::get(tx, object, &role).await?.ok_or_else(Error::not_found)?;
                store::page_of_members(tx, &role.id, page).await
            })
        })
        .await
    }

    /// Takes a role from users, whether they hold it or not; from a domain's role they leave the domain. Emits
    /// `<kind>.role.members.remove`. Invalid where the built-in role would have no member.
    pub async fn remove_members(
        &self,
        cx: &Context,
        object: Object,
        role: RoleId,
        users: Members,
    ) -> Result<()> {
        let payload = || with_members(object, &role, users.as_slice());
        let permit = cx.authorize_with(self.entity.asks.remove_members, object, payload).await?;
        let (access, entity, request) = (self.access.clone(), self.entity, Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let role = get_held(tx, object, &role).await?;
                let named = of_role(&role.id).and_in("member_id", users.as_slice().iter().map(Val::from));
                let removed = members::take_out(tx, &access, object, named).await?;
                keep_a_member(tx, object, &removed).await?;
                if removed.is_empty() {
                    return Ok(());
                }
                let (operation, users) = (entity.events.remove_members, users_of(&removed));
                let event = events::members(operation, object, &role.id, &users, &permit, &request);
                access.emit(tx, event).await
            })
        })
        .await
    }

    /// Takes a role from everybody. Emits `<kind>.role.members.remove_all`. Invalid for the built-in role.
    pub async fn remove_all_members(&self, cx: &Context, object: Object, role: RoleId) -> Result<()> {
        let ask = self.entity.asks.remove_all_members;
        let permit = cx.authorize_with(ask, object, || about(object, &role)).await?;
        let (access, entity, request) = (self.access.clone(), self.entity, Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let role = get_held(tx, object, &role).await?;
                if role.built_in {
                    return Err(Error::invalid("must retain at least one member"));
                }
                let removed = members::take_out(tx, &access, object, of_role(&role.id)).await?;
                let (operation, users) = (entity.events.remove_all_members, users_of(&removed));
                let event = events::members(operation, object, &role.id, &users, &permit, &request);
                access.emit(tx, event).await
            })
        })
        .await
    }

    /// Everybody who comes to a thing by a role on it, on a group above or on the domain, with all of these roles.
    pub async fn list_everybody(
        &self,
        cx: &Context,
        object: Object,
        filter: MemberFilter,
        (order, direction): (MemberOrder, Direction),
        page: PageRequest,
    ) -> Result<Page<Member>> {
        let payload = || {
            json!({
                "entity_id": object.id_text(), "page_query": { "offset": page.offset, "limit": page.limit },
            })
        };
        cx.authorize_with(self.entity.asks.list_members, object, payload).await?;
        cx.scan(move |tx| {
            Box::pin(async move { standing::everybody(tx, object, &filter, order, direction, page).await })
        })
        .await
    }

    /// Takes from users whatever role they hold on a thing; from a domain they leave. Emits `<kind>.members.remove`.
    /// Invalid where the built-in role would have no member.
    pub async fn remove_from_all(&self, cx: &Context, object: Object, users: Members) -> Result<()> {
        let payload = || json!({ "entity_id": object.id_text(), "members": users.as_slice() });
        let permit = cx.authorize_with(self.entity.asks.remove_all_members, object, payload).await?;
        let (access, entity, request) = (self.access.clone(), self.entity, Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let removed =
                    members::remove_from_all(tx, &access, &permit, object, users.as_slice()).await?;
                if removed.is_empty() {
                    return Ok(());
                }
                access.emit(tx, events::members_removed(entity, object, &removed, &permit, &request)).await
            })
        })
        .await
    }

    async fn found(&self, cx: &Context, object: Object, role: RoleId) -> Result<Role> {
        cx.read(move |tx| Box::pin(async move { store::get(tx, object, &role).await }))
            .await?
            .ok_or_else(Error::not_found)
    }

    /// `change` returns the actions that came or went; where there is none nothing is announced.
    #[expect(clippy::too_many_arguments, reason = "the two callers differ in the last two")]
    async fn change_actions(
        &self,
        cx: &Context,
        object: Object,
        role: RoleId,
        actions: Actions,
        permit: Permit,
        operation: &'static str,
        change: impl FnOnce(&mut Role, &[String]) -> Result<Vec<String>> + Send + 'static,
    ) -> Result<()> {
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut role = get_held(tx, object, &role).await?;
                let changed = change(&mut role, actions.as_slice())?;
                if changed.is_empty() {
                    return Ok(());
                }
                touch(&mut role, &permit);
                store::update(tx, &role).await?;
                access.graph().changed(tx, object, &[])?;
                let event = events::actions(operation, object, &role.id, &changed, &permit, &request);
                access.emit(tx, event).await
            })
        })
        .await
    }
}

/// Makes a role on a thing.
async fn make(
    tx: &mut Tx,
    access: &Access,
    permit: &Permit,
    object: Object,
    new: NewRole,
) -> Result<Provision> {
    held(tx, object).await?;
    if store::count(tx, object).await? >= MAX_ROLES {
        return Err(Error::unprocessable(format!(
            "too many roles here, at most {MAX_ROLES}; remove one before you add another"
        )));
    }
    if store::name_taken(tx, object, &new.name, None).await? {
        return Err(name_is_taken(&new.name));
    }
    let optional_actions = new.actions.map(Actions::into_vec);
    let role = Role {
        id: RoleId::generate(object.kind(), access.rng()),
        name: new.name.as_str().to_owned(),
        entity_id: object.id_text(),
        created_by: permit.actor(),
        created_at: permit.at(),
        updated_by: None,
        updated_at: None,
        actions: optional_actions.clone().unwrap_or_default(),
        built_in: false,
    };
    store::insert(tx, object, &role).await?;
    access.graph().changed(tx, object, &[])?;
    let optional_members = new.members.map(|users| users.as_slice().to_vec());
    if let Some(users) = optional_members.as_deref().filter(|users| !users.is_empty()) {
        members::let_in(tx, access, object, &role.id, users).await?;
    }
    Ok(Provision { role, optional_actions, optional_members })
}

/// The role of a thing whose roles are held from here on. NotFound where it is not on this thing.
async fn get_held(tx: &mut Tx, object: Object, role: &RoleId) -> Result<Role> {
    held(tx, object).await?;
    store::get(tx, object, role).await?.ok_or_else(Error::not_found)
}

fn of_role(role: &RoleId) -> Filter {
    Filter::new().and("role_id = ?", role.as_str())
}

fn built_in(what: &str) -> Error {
    Error::invalid(format!("the built-in role `admin` {what}"))
}

fn name_is_taken(name: &RoleName) -> Error {
    Error::conflict(format!(
        "failed to create entity: there is a role `{}` here already, choose another name",
        name.as_str()
    ))
}

fn about(object: Object, role: &RoleId) -> serde_json::Value {
    json!({ "entity_id": object.id_text(), "role_id": role })
}

fn with_actions(object: Object, role: &RoleId, actions: &Actions) -> serde_json::Value {
    json!({ "entity_id": object.id_text(), "role_id": role, "actions": actions.as_slice() })
}

fn with_members(object: Object, role: &RoleId, users: &[UserId]) -> serde_json::Value {
    json!({ "entity_id": object.id_text(), "role_id": role, "members": users })
}
