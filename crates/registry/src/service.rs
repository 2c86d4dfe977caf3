//! What can be done with any thing of the registry: one function per use case.

use std::sync::Arc;

use access::{Access, Context, Listing, Object, Permit, Sight, callouts, hierarchy, roles};
use db::{BoxFuture, Tx, Val, tally};
use kernel::{Change, DomainId, Error, GroupId, Kind, Result, Status, Tags};
use serde_json::json;

use crate::{EntryId, New, Query, Registered, events, store};

/// The most things that one request makes (reference 03 §13 item 18).
const BULK_MAX: usize = 1000;

/// Drops what a cache knows of a thing.
type Forget<I> = Arc<dyn Fn(&mut Tx, I) + Send + Sync>;

/// Does more in the transaction that removes a thing: it is given the thing's id, who removes it, and the request.
pub type OnRemove<I> =
    Arc<dyn for<'t> Fn(&'t mut Tx, I, Permit, Arc<str>) -> BoxFuture<'t, Result<()>> + Send + Sync>;

/// The use cases of one kind of thing; cheap to clone.
pub struct Entries<T: Registered> {
    access: Access,
    forget: Option<Forget<T::Id>>,
    on_remove: Vec<OnRemove<T::Id>>,
}

impl<T: Registered> Clone for Entries<T> {
    fn clone(&self) -> Self {
        let Self { access, forget, on_remove } = self;
        Self { access: access.clone(), forget: forget.clone(), on_remove: on_remove.clone() }
    }
}

impl<T: Registered> Entries<T> {
    /// The use cases on top of `access`.
    pub const fn new(access: Access) -> Self {
        Self { access, forget: None, on_remove: Vec::new() }
    }

    /// Calls `forget` in each transaction that changes or removes the row of a thing, for a cache of such rows.
    #[must_use]
    pub fn forgetting(self, forget: impl Fn(&mut Tx, T::Id) + Send + Sync + 'static) -> Self {
        Self { forget: Some(Arc::new(forget)), ..self }
    }

    /// Calls `hook`, after those that were given before, in the transaction that removes a thing.
    #[must_use]
    pub fn removing(mut self, hook: OnRemove<T::Id>) -> Self {
        self.on_remove.push(hook);
        self
    }

    /// Says that this transaction changes the row of a thing; whoever writes one calls it.
    pub fn changed(&self, tx: &mut Tx, id: T::Id) {
        if let Some(forget) = &self.forget {
            forget(tx, id);
        }
    }

    /// Who may do what.
    pub const fn access(&self) -> &Access {
        &self.access
    }
}

impl<T: Registered> Entries<T> {
    /// Lets the caller make these things in a domain, and put them into the groups that they name.
    ///
    /// Denied without the right to make them, or to add to one of the groups. Invalid for none and for too many.
    pub async fn authorize_create<N: New<T::Id> + Sync>(
        &self,
        cx: &Context,
        domain: DomainId,
        new: &[N],
    ) -> Result<Permit> {
        let mut parents: Vec<GroupId> = new.iter().filter_map(|new| new.entry().parent).collect();
        parents.sort_unstable();
        parents.dedup();
        let on_groups =
            parents.into_iter().map(|group| (T::OPERATIONS.set_child, Object::group(domain, group)));
        let mut wanted = vec![(T::OPERATIONS.create, Object::domain(domain))];
        wanted.extend(on_groups);
        // So many that they cannot be made are not told either.
        let told = || new.iter().take(BULK_MAX).map(New::told).collect::<Vec<_>>();
        let permit = cx.authorize_all(&wanted, || json!({ "entities": told(), "count": new.len() })).await?;
        match new.len() {
            0 => Err(Error::invalid("empty list provided")),
            1..=BULK_MAX => Ok(permit),
            _ => Err(Error::invalid(format!("too many {} in one request, at most {BULK_MAX}", T::Id::TABLE))),
        }
    }

    /// Makes things, all or none, each with the columns of its own; the caller holds the `admin` role of each.
    pub async fn create(
        &self,
        cx: &Context,
        domain: DomainId,
        permit: Permit,
        new: Vec<(T, Vec<(&'static str, Val)>)>,
    ) -> Result<Vec<T>> {
        let (entries, request) = (self.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move { entries.create_in(tx, domain, &permit, new, &request).await })
        })
        .await
    }

    /// As [`Entries::create`], in the transaction of a use case that makes other things, too.
    pub async fn create_in(
        &self,
        tx: &mut Tx,
        domain: DomainId,
        permit: &Permit,
        new: Vec<(T, Vec<(&'static str, Val)>)>,
        request: &str,
    ) -> Result<Vec<T>> {
        if new.len() > 1 {
            // Each row takes places in several unique indexes, so that there is no order in which two requests
            // with the same ids and secrets could not wait for each other in a circle. They take turns.
            hierarchy::hold(tx, domain).await?;
        }
        let mut created = Vec::with_capacity(new.len());
        for (thing, own) in new {
            add(tx, &self.access, permit, &thing, own, request).await?;
            created.push(thing);
        }
        if let Some(first) = created.first() {
            let came = tally::per_status(created.iter().map(|thing| thing.entry().status));
            store::count(tx, domain, first.entry().id, came).await?;
        }
        Ok(created)
    }

    /// One thing. Denied without `view` on it.
    pub async fn view(&self, cx: &Context, domain: DomainId, id: T::Id) -> Result<T> {
        cx.authorize(T::OPERATIONS.view, id.object(domain)).await?;
        cx.read(move |tx| Box::pin(async move { store::get::<T>(tx, domain, id).await }))
            .await?
            .ok_or_else(Error::not_found)
    }

    /// Which things of a domain a list may show; to an administrator of the platform also as another user sees it.
    pub async fn sight(&self, cx: &Context, domain: DomainId, query: &Query<T::Id>) -> Result<Sight> {
        let payload = || callouts::page_meta(&query.listing);
        let listing =
            Listing { kind: T::Id::KIND, own: T::OPERATIONS.list, of_user: T::OPERATIONS.list_of_user };
        cx.sight(&listing, domain, query.user, payload).await
    }

    /// Changes name or metadata of an enabled thing.
    pub async fn update(&self, cx: &Context, domain: DomainId, id: T::Id, change: Change) -> Result<T> {
        let permit = cx.authorize(T::OPERATIONS.update, id.object(domain)).await?;
        let change = change.checked()?;
        self.change(cx, domain, id, permit, T::WORDS.update, |thing| thing.entry_mut().change(change)).await
    }

    /// Replaces the tags of an enabled thing.
    pub async fn update_tags(&self, cx: &Context, domain: DomainId, id: T::Id, tags: Tags) -> Result<T> {
        let permit = cx.authorize(T::OPERATIONS.update_tags, id.object(domain)).await?;
        let tags = tags.checked()?;
        self.change(cx, domain, id, permit, T::WORDS.update_tags, |thing| thing.entry_mut().tags = tags).await
    }

    /// Changes an enabled thing in a way that `permit` was given for, and announces it as `operation`. NotFound for a
    /// disabled one.
    pub async fn change(
        &self,
        cx: &Context,
        domain: DomainId,
        id: T::Id,
        permit: Permit,
        operation: &'static str,
        apply: impl FnOnce(&mut T) + Send + 'static,
    ) -> Result<T> {
        let (entries, request) = (self.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut thing =
                    store::get_enabled::<T>(tx, domain, id).await?.ok_or_else(Error::not_found)?;
                apply(&mut thing);
                thing.entry_mut().touch(&permit);
                store::update(tx, &thing).await?;
                entries.changed(tx, id);
                entries.access.emit(tx, events::changed(operation, &thing, &permit, &request)).await?;
                Ok(thing)
            })
        })
        .await
    }

    /// Announces, in the transaction that makes it, a change that a capability writes by itself.
    pub async fn announce(
        tx: &mut Tx,
        access: &Access,
        operation: &'static str,
        thing: &T,
        permit: &Permit,
        request: &str,
    ) -> Result<()> {
        access.emit(tx, events::changed(operation, thing, permit, request)).await
    }

    /// Puts a thing back into use. Conflict where it is in use already.
    pub async fn enable(&self, cx: &Context, domain: DomainId, id: T::Id) -> Result<T> {
        let permit = cx.authorize(T::OPERATIONS.enable, id.object(domain)).await?;
        self.set_status(cx, domain, id, Status::Enabled, permit).await
    }

    /// Takes a thing out of use. Conflict where it is not in use already.
    pub async fn disable(&self, cx: &Context, domain: DomainId, id: T::Id) -> Result<T> {
        let permit = cx.authorize(T::OPERATIONS.disable, id.object(domain)).await?;
        self.set_status(cx, domain, id, Status::Disabled, permit).await
    }

    async fn set_status(
        &self,
        cx: &Context,
        domain: DomainId,
        id: T::Id,
        status: Status,
        permit: Permit,
    ) -> Result<T> {
        let (entries, request) = (self.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut thing =
                    store::get_for_update::<T>(tx, domain, id).await?.ok_or_else(Error::not_found)?;
                let entry = thing.entry_mut();
                if entry.status == status {
                    return Err(Error::conflict("status already assigned"));
                }
                let was = std::mem::replace(&mut entry.status, status);
                entry.touch(&permit);
                store::update(tx, &thing).await?;
                entries.changed(tx, id);
                store::count(tx, domain, id, vec![(was, -1), (status, 1)]).await?;
                entries.access.emit(tx, events::status_changed(&thing, &permit, &request)).await?;
                Ok(thing)
            })
        })
        .await
    }

    /// Puts a thing into a group. Conflict where it is in one already; Unprocessable where the group is not in use.
    pub async fn set_parent(&self, cx: &Context, domain: DomainId, id: T::Id, group: GroupId) -> Result<()> {
        let object = id.object(domain);
        let wanted =
            [(T::OPERATIONS.set_parent, object), (T::OPERATIONS.set_child, Object::group(domain, group))];
        let permit =
            cx.authorize_all(&wanted, || json!({ "entity_id": id, T::PARENT_IN_CALLOUTS: group })).await?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let thing = store::get_for_update::<T>(tx, domain, id).await?.ok_or_else(Error::not_found)?;
                match hierarchy::parent(tx, object).await? {
                    Some(now) if now == group => return Err(Error::conflict(T::REFUSALS.same_parent)),
                    Some(_) => return Err(Error::conflict(T::REFUSALS.other_parent)),
                    None => {}
                }
                hold_group::<T>(tx, domain, group).await?;
                hierarchy::set_parent(tx, &access, &permit, object, group).await?;
                access.emit(tx, events::parent_set(&thing, group, &permit, &request)).await
            })
        })
        .await
    }

    /// Takes a thing out of its group; nothing happens where it is in none.
    ///
    /// The group must allow it too (reference 03 §5.2).
    pub async fn remove_parent(&self, cx: &Context, domain: DomainId, id: T::Id) -> Result<()> {
        let object = id.object(domain);
        // Read ahead to know whom to ask; the answer is not used for anything else.
        let parent = cx.read(move |tx| Box::pin(hierarchy::parent(tx, object))).await?;
        let above = parent.map(|group| (T::OPERATIONS.remove_child, Object::group(domain, group)));
        let wanted: Vec<_> = std::iter::once((T::OPERATIONS.remove_parent, object)).chain(above).collect();
        let permit =
            cx.authorize_all(&wanted, || json!({ "entity_id": id, T::PARENT_IN_CALLOUTS: parent })).await?;
        let Some(group) = parent else { return Ok(()) };
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let thing = store::get_for_update::<T>(tx, domain, id).await?.ok_or_else(Error::not_found)?;
                match hierarchy::parent(tx, object).await? {
                    None => return Ok(()),
                    Some(now) if now == group => {}
                    Some(_) => return Err(Error::conflict("the group has changed meanwhile, try again")),
                }
                hierarchy::clear_parent(tx, &access, &permit, object).await?;
                access.emit(tx, events::parent_removed(&thing, &permit, &request)).await
            })
        })
        .await
    }

    /// Removes a thing with its roles and relations, and what goes with it.
    pub async fn delete(&self, cx: &Context, domain: DomainId, id: T::Id) -> Result<()> {
        let object = id.object(domain);
        let permit = cx.authorize(T::OPERATIONS.delete, object).await?;
        let (entries, request) = (self.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                store::delete::<T>(tx, domain, id).await?;
                entries.changed(tx, id);
                for hook in &entries.on_remove {
                    hook(tx, id, permit.clone(), Arc::clone(&request)).await?;
                }
                roles::remove_all(tx, &entries.access, &permit, object).await?;
                entries.access.emit(tx, events::removed::<T>(domain, id, &permit, &request)).await
            })
        })
        .await
    }
}

/// One new thing: its row, its place, its role, its event.
async fn add<T: Registered>(
    tx: &mut Tx,
    access: &Access,
    permit: &Permit,
    thing: &T,
    own: Vec<(&'static str, Val)>,
    request: &str,
) -> Result<()> {
    let entry = thing.entry();
    let object = entry.id.object(entry.domain);
    store::insert(tx, thing, own).await?;
    let role = roles::provision(tx, access, permit, object).await?;
    if let Some(group) = entry.parent {
        hold_group::<T>(tx, entry.domain, group).await?;
        hierarchy::set_parent(tx, access, permit, object, group).await?;
    }
    access.emit(tx, events::created(thing, &role, permit, request)).await
}

/// Lets a thing be put into a group, which stays as it is until the transaction ends.
async fn hold_group<T: Registered>(tx: &mut Tx, domain: DomainId, group: GroupId) -> Result<()> {
    if !store::is_group_in(tx, domain, group).await? {
        return Err(Error::unprocessable(T::REFUSALS.foreign_group));
    }
    T::hold_group(tx, domain, group).await.map_err(|error| match error.kind() {
        Kind::Invalid => Error::unprocessable(T::REFUSALS.group_not_enabled).cause(error),
        _ => error,
    })
}
