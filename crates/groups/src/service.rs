//! What can be done with groups: one function per use case.

use std::sync::Arc;

use access::{Access, Context, Listing, Object, Permit, callouts, hierarchy, hierarchy::MAX_DEPTH, roles};
use db::Tx;
use kernel::{DomainId, Error, GroupId, Page, Result, Status, Tags, UserId};
use serde_json::json;

use crate::{
    events,
    model::{Change, Group, Listed, NewGroup, Placed, Query},
    operations, store,
};

/// The groups service.
#[derive(Clone)]
pub struct Groups {
    pub(crate) access: Access,
}

impl axum::extract::FromRef<Groups> for Access {
    fn from_ref(groups: &Groups) -> Self {
        groups.access.clone()
    }
}

/// Lets something be put into a group: the group is in the domain and enabled, and both stay so until the transaction
/// ends. Invalid where not.
pub async fn enabled_in(tx: &mut Tx, domain: DomainId, group: GroupId) -> Result<()> {
    match store::held_status(tx, domain, group).await? {
        Some(Status::Enabled) => Ok(()),
        Some(Status::Disabled | Status::Deleted) => {
            Err(Error::invalid("malformed entity specification, the parent group is not enabled"))
        }
        None => Err(Error::invalid("malformed entity specification, the parent group is not in the domain")),
    }
}

impl Groups {
    /// The service on top of `access`.
    pub const fn new(access: Access) -> Self {
        Self { access }
    }

    /// Creates a group, in a parent or in none; the caller holds its `admin` role. Emits `group.create`.
    ///
    /// Invalid where the parent is disabled, or as deep as groups may be.
    pub async fn create(&self, cx: &Context, domain: DomainId, new: NewGroup) -> Result<Placed> {
        let permit = cx.authorize_all(&asked_to_create(domain, &new), || described(&new)).await?;
        let new = new.checked()?;
        let id = GroupId::generate(self.access.rng());
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let parent = new.parent;
                let above = match parent {
                    Some(parent) => room_below(tx, domain, parent, 1).await?,
                    None => Vec::new(),
                };
                let placed = Placed { group: new.build(id, domain, permit.at()), above };
                let object = Object::group(domain, id);
                store::insert(tx, &placed.group).await?;
                let role = roles::provision(tx, &access, &permit, object).await?;
                if let Some(parent) = parent {
                    hierarchy::set_parent(tx, &access, &permit, object, parent).await?;
                }
                store::count(tx, domain, id, vec![(placed.group.status, 1)]).await?;
                access.emit(tx, events::created(&placed, &role, &permit, &request)).await?;
                Ok(placed)
            })
        })
        .await
    }

    /// One group. Denied without `view` on it.
    pub async fn view(&self, cx: &Context, domain: DomainId, id: GroupId) -> Result<Placed> {
        cx.authorize(operations::VIEW, Object::group(domain, id)).await?;
        cx.read(move |tx| Box::pin(async move { store::get(tx, domain, id).await }))
            .await?
            .ok_or_else(Error::not_found)
    }

    /// The groups of a domain that the caller may see, or that `user` may see: others than oneself are for
    /// administrators of the platform to ask about.
    pub async fn list(
        &self,
        cx: &Context,
        domain: DomainId,
        user: Option<UserId>,
        query: Query,
    ) -> Result<Page<Listed>> {
        let payload = || callouts::page_meta(&query.listing);
        // One's own list is no other's, whoever one is.
        let other = user.filter(|user| *user != cx.caller().user);
        let listing =
            Listing { kind: GroupId::KIND, own: operations::LIST, of_user: operations::LIST_OF_USER };
        let sight = cx.sight(&listing, domain, other, payload).await?;
        cx.scan(move |tx| Box::pin(async move { store::list(tx, domain, &query, sight).await })).await
    }

    /// Changes name, description or metadata of an enabled group. Emits `group.update`.
    pub async fn update(
        &self,
        cx: &Context,
        domain: DomainId,
        id: GroupId,
        change: Change,
    ) -> Result<Placed> {
        let object = Object::group(domain, id);
        let group = || {
            let shared = &change.shared;
            json!({ "name": shared.name, "description": change.description, "metadata": shared.metadata })
        };
        let permit = cx
            .authorize_with(operations::UPDATE, object, || json!({ "entity_id": id, "group": group() }))
            .await?;
        self.change(cx, domain, id, change, permit, events::UPDATE).await
    }

    /// Replaces the tags of an enabled group. Emits `group.update_tags`.
    pub async fn update_tags(
        &self,
        cx: &Context,
        domain: DomainId,
        id: GroupId,
        tags: Tags,
    ) -> Result<Placed> {
        let permit = cx
            .authorize_with(
                operations::UPDATE_TAGS,
                Object::group(domain, id),
                || json!({ "entity_id": id, "tags": tags }),
            )
            .await?;
        let shared = kernel::Change { tags: Some(tags), ..kernel::Change::default() };
        let change = Change { shared, ..Change::default() };
        self.change(cx, domain, id, change, permit, events::UPDATE_TAGS).await
    }

    /// Lets things be put into a group again. Emits `group.enable`. Conflict where it is enabled already.
    pub async fn enable(&self, cx: &Context, domain: DomainId, id: GroupId) -> Result<Placed> {
        let permit = cx.authorize(operations::ENABLE, Object::group(domain, id)).await?;
        self.set_status(cx, domain, id, Status::Enabled, permit).await
    }

    /// Lets nothing be put into a group; what is in it stays. Emits `group.disable`. Conflict where it is disabled.
    pub async fn disable(&self, cx: &Context, domain: DomainId, id: GroupId) -> Result<Placed> {
        let permit = cx.authorize(operations::DISABLE, Object::group(domain, id)).await?;
        self.set_status(cx, domain, id, Status::Disabled, permit).await
    }

    /// Removes a group with its roles; what was in it stays, in no group. Emits `group.remove`.
    ///
    /// Its clients, channels and groups may be very many, so they are let go by one statement, and no cache is told of
    /// each: what is remembered of them names a group of which nothing is known any more, so it grants nothing, and
    /// the id is never given again.
    pub async fn delete(&self, cx: &Context, domain: DomainId, id: GroupId) -> Result<()> {
        let object = Object::group(domain, id);
        let permit = cx.authorize(operations::DELETE, object).await?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                hierarchy::hold(tx, domain).await?;
                store::delete(tx, domain, id).await?;
                roles::remove_all(tx, &access, &permit, object).await?;
                access.emit(tx, events::plain(events::REMOVE, domain, id, &permit, &request)).await
            })
        })
        .await
    }

    async fn change(
        &self,
        cx: &Context,
        domain: DomainId,
        id: GroupId,
        change: Change,
        permit: Permit,
        operation: &'static str,
    ) -> Result<Placed> {
        let change = change.checked()?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut group = held(tx, domain, id).await?;
                if group.status != Status::Enabled {
                    return Err(Error::not_found());
                }
                change.apply(&mut group);
                touch(&mut group, &permit);
                store::update(tx, &group).await?;
                let placed = store::place(tx, group).await?;
                access.emit(tx, events::changed(operation, &placed, &permit, &request)).await?;
                Ok(placed)
            })
        })
        .await
    }

    async fn set_status(
        &self,
        cx: &Context,
        domain: DomainId,
        id: GroupId,
        status: Status,
        permit: Permit,
    ) -> Result<Placed> {
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut group = held(tx, domain, id).await?;
                if group.status == status {
                    return Err(Error::conflict("status already assigned"));
                }
                let was = std::mem::replace(&mut group.status, status);
                touch(&mut group, &permit);
                store::update(tx, &group).await?;
                store::count(tx, domain, id, vec![(was, -1), (status, 1)]).await?;
                access.emit(tx, events::status_changed(&group, &permit, &request)).await?;
                store::place(tx, group).await
            })
        })
        .await
    }
}

/// The group, held against other writers. NotFound where it has gone since the caller was allowed.
async fn held(tx: &mut Tx, domain: DomainId, id: GroupId) -> Result<Group> {
    store::get_for_update(tx, domain, id).await?.ok_or_else(Error::not_found)
}

fn touch(group: &mut Group, permit: &Permit) {
    group.updated_by = Some(permit.actor());
    group.updated_at = Some(permit.at());
}

/// The domain must allow it, and so must the parent.
fn asked_to_create(domain: DomainId, new: &NewGroup) -> Vec<(kernel::Operation, Object)> {
    let parent = new.parent.map(|parent| (operations::ADD_CHILDREN, Object::group(domain, parent)));
    std::iter::once((operations::CREATE, Object::domain(domain))).chain(parent).collect()
}

/// What callouts are told of a new group (reference 02 §6).
fn described(new: &NewGroup) -> serde_json::Value {
    json!({
        "entities": [{
            "name": new.name,
            "description": new.description,
            "tags": new.tags,
            "metadata": new.metadata,
            "status": new.status,
            "parent_id": new.parent,
        }],
        "count": 1,
    })
}

/// Holds the hierarchy of the domain and makes sure that `parent` takes groups of so many `levels`; returns the groups
/// above what is put there, the topmost first.
pub(crate) async fn room_below(
    tx: &mut Tx,
    domain: DomainId,
    parent: GroupId,
    levels: usize,
) -> Result<Vec<GroupId>> {
    hierarchy::hold(tx, domain).await?;
    enabled_in(tx, domain, parent).await?;
    let mut above = hierarchy::paths(tx, &[parent]).await?.remove(&parent).unwrap_or_default();
    above.push(parent);
    if above.len() + levels > MAX_DEPTH {
        return Err(Error::invalid(format!(
            "malformed entity specification, groups nest at most {MAX_DEPTH} levels deep"
        )));
    }
    Ok(above)
}
