//! Moves: what a group is put into, and what is put into it.
//!
//! Both ends must allow it. The race to win: two moves at once could close a circle, or nest deeper than is allowed,
//! without either seeing it; so each holds the hierarchy of the domain before it looks.

use std::sync::Arc;

use access::{Context, Object, Permit, hierarchy};
use db::Tx;
use kernel::{DomainId, Error, GroupId, Result};
use serde_json::json;

use crate::{Groups, events, operations, service::room_below, store};

/// The most children that one request names.
pub const CHILDREN_MAX: usize = 1000;

/// The groups that a request puts into a group or takes out of it: at least one, each once, and not the group itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Children(Vec<GroupId>);

impl Children {
    /// Fails where there is none, too many, or the group is its own child (reference 02 §3.6).
    pub fn new(group: GroupId, mut ids: Vec<GroupId>) -> Result<Self> {
        ids.sort_unstable();
        ids.dedup();
        match ids.len() {
            0 => Err(Error::invalid("missing children group ids")),
            _ if ids.contains(&group) => Err(Error::invalid("self parenting not allowed")),
            1..=CHILDREN_MAX => Ok(Self(ids)),
            _ => Err(Error::invalid(format!("too many children in one request, at most {CHILDREN_MAX}"))),
        }
    }
}

impl Groups {
    /// Puts a group, with all below it, into `parent`. Emits `group.add_parent_group`.
    ///
    /// Conflict where it is in a group already; Invalid where `parent` is the group itself or lies below it, is
    /// disabled, or would have more levels below it than are allowed.
    pub async fn add_parent(
        &self,
        cx: &Context,
        domain: DomainId,
        id: GroupId,
        parent: GroupId,
    ) -> Result<()> {
        let wanted = [
            (operations::ADD_PARENT, Object::group(domain, id)),
            (operations::ADD_CHILDREN, Object::group(domain, parent)),
        ];
        let permit = cx.authorize_all(&wanted, || json!({ "entity_id": id, "parent_id": parent })).await?;
        if id == parent {
            return Err(Error::invalid("self parenting not allowed"));
        }
        let (groups, request) = (self.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                groups.put(tx, &permit, domain, &[id], parent, "entity already exists").await?;
                let event = events::parent_added(domain, id, parent, &permit, &request);
                groups.access.emit(tx, event).await
            })
        })
        .await
    }

    /// Puts groups, with all below them, into a group, all or none. Emits `group.add_children_groups`.
    ///
    /// Fails as [`Groups::add_parent`] does.
    pub async fn add_children(
        &self,
        cx: &Context,
        domain: DomainId,
        id: GroupId,
        Children(children): Children,
    ) -> Result<()> {
        let each = children.iter().map(|child| (operations::ADD_PARENT, Object::group(domain, *child)));
        let wanted: Vec<_> =
            std::iter::once((operations::ADD_CHILDREN, Object::group(domain, id))).chain(each).collect();
        let permit =
            cx.authorize_all(&wanted, || json!({ "entity_id": id, "children_group_ids": children })).await?;
        let (groups, request) = (self.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                groups.put(tx, &permit, domain, &children, id, "group already have parent").await?;
                let about = (domain, id);
                let event =
                    events::children_changed(events::ADD_CHILDREN, about, &children, &permit, &request);
                groups.access.emit(tx, event).await
            })
        })
        .await
    }

    /// Takes a group, with all below it, out of its parent; in none already, nothing happens. Emits
    /// `group.remove_parent_group`.
    ///
    /// The parent must allow it too (reference 02 §3.2).
    pub async fn remove_parent(&self, cx: &Context, domain: DomainId, id: GroupId) -> Result<()> {
        let object = Object::group(domain, id);
        // Read ahead to know whom to ask; the answer is not used for anything else.
        let parent = cx.read(move |tx| Box::pin(hierarchy::parent(tx, object))).await?;
        let above = parent.map(|parent| (operations::REMOVE_PARENT, Object::group(domain, parent)));
        let wanted: Vec<_> = std::iter::once((operations::REMOVE_PARENT, object)).chain(above).collect();
        let permit = cx.authorize_all(&wanted, || json!({ "entity_id": id, "parent_id": parent })).await?;
        if parent.is_none() {
            return Ok(());
        }
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                hierarchy::hold(tx, domain).await?;
                match hierarchy::parent(tx, object).await? {
                    None => return Ok(()),
                    now if now == parent => hierarchy::clear_parent(tx, &access, &permit, object).await?,
                    Some(_) => {
                        return Err(Error::conflict("the group was moved in the meantime, try again"));
                    }
                };
                let event = events::plain(events::REMOVE_PARENT, domain, id, &permit, &request);
                access.emit(tx, event).await
            })
        })
        .await
    }

    /// Takes groups out of a group, all or none. Emits `group.remove_children_groups`.
    ///
    /// Invalid where one of them is not in this group.
    pub async fn remove_children(
        &self,
        cx: &Context,
        domain: DomainId,
        id: GroupId,
        Children(children): Children,
    ) -> Result<()> {
        let permit = cx
            .authorize_with(
                operations::REMOVE_CHILDREN,
                Object::group(domain, id),
                || json!({ "entity_id": id, "children_group_ids": children }),
            )
            .await?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                hierarchy::hold(tx, domain).await?;
                let parents = hierarchy::parents(tx, &children).await?;
                if children.iter().any(|child| parents.get(child) != Some(&id)) {
                    return Err(Error::invalid("groups have different parent"));
                }
                for child in &children {
                    hierarchy::clear_parent(tx, &access, &permit, Object::group(domain, *child)).await?;
                }
                let about = (domain, id);
                let event =
                    events::children_changed(events::REMOVE_CHILDREN, about, &children, &permit, &request);
                access.emit(tx, event).await
            })
        })
        .await
    }

    /// Takes all groups out of a group. Emits `group.remove_all_children_groups`. NotFound where there is none in it.
    pub async fn remove_all_children(&self, cx: &Context, domain: DomainId, id: GroupId) -> Result<()> {
        let permit = cx.authorize(operations::REMOVE_ALL_CHILDREN, Object::group(domain, id)).await?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                hierarchy::hold(tx, domain).await?;
                if hierarchy::clear_children(tx, &access, &permit, domain, id).await? == 0 {
                    return Err(Error::not_found());
                }
                let event = events::plain(events::REMOVE_ALL_CHILDREN, domain, id, &permit, &request);
                access.emit(tx, event).await
            })
        })
        .await
    }

    /// Puts groups that are in none into `parent`; `taken` says that one of them is in a group.
    async fn put(
        &self,
        tx: &mut Tx,
        permit: &Permit,
        domain: DomainId,
        children: &[GroupId],
        parent: GroupId,
        taken: &'static str,
    ) -> Result<()> {
        hierarchy::hold(tx, domain).await?;
        if store::known(tx, domain, children).await? < children.len() {
            return Err(Error::not_found());
        }
        if !hierarchy::parents(tx, children).await?.is_empty() {
            return Err(Error::conflict(taken));
        }
        let levels = 1 + hierarchy::levels_below(tx, children).await?;
        let above = hierarchy::ancestors(tx, parent).await?;
        if above.iter().any(|group| children.contains(group)) {
            return Err(Error::invalid("cyclic parent, group is parent of requested group"));
        }
        room_below(tx, domain, parent, levels).await?;
        for child in children {
            hierarchy::set_parent(tx, &self.access, permit, Object::group(domain, *child), parent).await?;
        }
        Ok(())
    }
}
