//! What can be done with domains: one function per use case.

use std::sync::Arc;

use access::{Access, Context, Object, Permit, callouts, gates::Gate, roles, standing};
use db::Tx;
use kernel::{Change, DomainId, Error, Page, Result, Route};
use serde_json::json;

use crate::{
    events,
    model::{self, Domain, Listed, NewDomain, Query, Status, Viewed},
    operations, store,
};

/// The domains service.
#[derive(Clone)]
pub struct Domains {
    pub(crate) access: Access,
}

impl axum::extract::FromRef<Domains> for Access {
    fn from_ref(domains: &Domains) -> Self {
        domains.access.clone()
    }
}

impl Domains {
    /// The service on top of `access`.
    pub const fn new(access: Access) -> Self {
        Self { access }
    }

    /// Creates a domain; the caller holds its `admin` role. Emits `domain.create`.
    ///
    /// Conflict where the id or the route is taken.
    pub async fn create(&self, cx: &Context, new: NewDomain) -> Result<Domain> {
        let payload = || json!({ "entity_id": new.id });
        let permit = cx.authorize_own_with(operations::CREATE, None, payload).await?;
        let new = new.checked()?;
        let domain = Domain {
            id: new.id.unwrap_or_else(|| DomainId::generate(self.access.rng())),
            name: new.name,
            route: new.route,
            tags: new.tags,
            metadata: new.metadata,
            status: Status(Gate::Enabled),
            created_by: permit.actor(),
            created_at: permit.at(),
            updated_by: None,
            updated_at: None,
        };
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                store::insert(tx, &domain).await?;
                access.gates().set(tx, domain.id, Gate::Enabled).await?;
                let role = roles::provision(tx, &access, &permit, Object::domain(domain.id)).await?;
                access.emit(tx, events::created(&domain, &role, &permit, &request)).await?;
                Ok(domain)
            })
        })
        .await
    }

    /// One domain, and the roles by which the caller comes to it if they are asked for. Denied without `read` on it.
    pub async fn view(&self, cx: &Context, id: DomainId, with_roles: bool) -> Result<Viewed> {
        let payload = || json!({ "entity_id": id, "with_roles": with_roles });
        let permit = cx.authorize_with(operations::READ, Object::domain(id), payload).await?;
        cx.read(move |tx| {
            Box::pin(async move {
                let domain = store::get(tx, id).await?.ok_or_else(Error::not_found)?;
                let member = match with_roles {
                    true => {
                        let user = permit.actor();
                        Some((user, standing::roles_of(tx, user, Object::domain(id)).await?))
                    }
                    false => None,
                };
                Ok(Viewed { domain, member })
            })
        })
        .await
    }

    /// The domains in which the caller holds a role that allows anything, each with that role; all of them for an administrator of the platform.
    pub async fn list(&self, cx: &Context, query: Query) -> Result<Page<Listed>> {
        let payload = || callouts::page_of("page", &query.listing);
        let visible = cx.visible_domains(operations::LIST, payload).await?;
        cx.scan(move |tx| Box::pin(async move { store::list(tx, &query, visible).await })).await
    }

    /// Changes name, tags or metadata. Emits `domain.update`.
    pub async fn update(&self, cx: &Context, id: DomainId, change: Change) -> Result<Domain> {
        let told = || json!({ "name": change.name, "tags": change.tags, "metadata": change.metadata });
        let payload = || json!({ "entity_id": id, "domain_req": told() });
        let permit = cx.authorize_with(operations::UPDATE, Object::domain(id), payload).await?;
        let change = model::checked(change)?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut domain = held(tx, id, &permit).await?;
                domain.change(change, permit.actor(), permit.at());
                store::update(tx, &domain).await?;
                access.emit(tx, events::updated(&domain, &permit, &request)).await?;
                Ok(domain)
            })
        })
        .await
    }

    /// Opens a domain. Emits `domain.enable`. Enabling an enabled domain changes nothing (reference 02 §1.2).
    pub async fn enable(&self, cx: &Context, id: DomainId) -> Result<()> {
        let permit = cx.authorize(operations::ENABLE, Object::domain(id)).await?;
        self.set_status(cx, id, Gate::Enabled, permit).await
    }

    /// Closes a domain to all but its administrators, and to messages. Emits `domain.disable`.
    pub async fn disable(&self, cx: &Context, id: DomainId) -> Result<()> {
        let permit = cx.authorize(operations::DISABLE, Object::domain(id)).await?;
        self.set_status(cx, id, Gate::Disabled, permit).await
    }

    /// Closes a domain to all but the platform's administrators. Emits `domain.freeze`.
    pub async fn freeze(&self, cx: &Context, id: DomainId) -> Result<()> {
        let permit = cx.authorize_platform_admin_to(operations::FREEZE, Object::domain(id)).await?;
        self.set_status(cx, id, Gate::Frozen, permit).await
    }

    async fn set_status(&self, cx: &Context, id: DomainId, gate: Gate, permit: Permit) -> Result<()> {
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut domain = held(tx, id, &permit).await?;
                if domain.status.0 == gate {
                    return Ok(());
                }
                domain.status = Status(gate);
                domain.updated_by = Some(permit.actor());
                domain.updated_at = Some(permit.at());
                store::update(tx, &domain).await?;
                access.gates().set(tx, id, gate).await?;
                access.emit(tx, events::status_changed(&domain, &permit, &request)).await
            })
        })
        .await
    }

    /// The domain that topics call `route`; for the message plane, which authorizes by itself.
    pub async fn by_route(&self, route: Route) -> Result<Option<DomainId>> {
        self.access.db().read(move |tx| Box::pin(async move { store::by_route(tx, &route).await })).await
    }
}

/// The domain, held until the transaction ends. The gate was passed before it, so it is asked again: a domain that was
/// frozen in between is for administrators of the platform.
async fn held(tx: &mut Tx, id: DomainId, permit: &Permit) -> Result<Domain> {
    let domain = store::get_for_update(tx, id).await?.ok_or_else(Error::not_found)?;
    match domain.status.0 {
        Gate::Enabled | Gate::Disabled => Ok(domain),
        Gate::Frozen if permit.is_platform_admin() => Ok(domain),
        Gate::Frozen | Gate::Deleted => Err(Error::denied()),
    }
}
