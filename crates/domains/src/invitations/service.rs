//! What can be done with invitations: one function per use case.

use std::sync::Arc;

use access::{
    Context, Object,
    gates::Gate,
    membership,
    roles::{self, members},
};
use db::{BoxFuture, Tx};
use kernel::{DomainId, Error, Kind, Page, Result, UserId};
use serde_json::{Value, json};

use super::{
    events,
    model::{Invitation, Named, NewInvitation, Query},
    store,
};
use crate::{Domains, operations};

impl Domains {
    /// Invites a user into a role of the domain, or sends the invitation again, with the role that is named now. Emits
    /// `invitation.send`.
    ///
    /// Denied to all but administrators of the domain. NotFound where the domain has no such role, or where there is
    /// nothing to send again; Unprocessable where there is no such user; Conflict where the user is a member, or was
    /// invited before, or has accepted (reference 02 §2.1, §13 item 9).
    pub async fn invite(&self, cx: &Context, domain: DomainId, new: NewInvitation) -> Result<()> {
        let payload = || {
            let invitation = json!({
                "invitee_user_id": new.invitee, "role_id": new.role, "domain_id": domain, "resend": new.resend,
            });
            json!({ "entity_id": domain, "invitation": invitation })
        };
        let permit = cx.authorize_with(operations::SEND_INVITATION, Object::domain(domain), payload).await?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let object = Object::domain(domain);
                membership::hold(tx, domain).await?;
                roles::get(tx, object, &new.role).await?.ok_or_else(Error::not_found)?;
                if !membership::is_registered(tx, new.invitee).await? {
                    return Err(Error::unprocessable("there is no user with the id `invitee_user_id`"));
                }
                if new.resend {
                    let mut named =
                        store::held(tx, domain, new.invitee).await?.ok_or_else(Error::not_found)?;
                    named.invitation.resend(new.role, permit.actor(), permit.at())?;
                    store::update(tx, &named.invitation).await?;
                } else {
                    if membership::holds_role(tx, object, new.invitee).await? {
                        return Err(Error::conflict("the user is a member of the domain already"));
                    }
                    let invitation = Invitation {
                        id: access.rng().uuid(),
                        invitee: new.invitee,
                        domain,
                        role: new.role,
                        invited_by: permit.actor(),
                        created_at: permit.at(),
                        updated_at: None,
                        confirmed_at: None,
                        rejected_at: None,
                    };
                    store::insert(tx, &invitation).await?;
                }
                let sent = store::get(tx, domain, new.invitee).await?.ok_or_else(Error::not_found)?;
                access.emit(tx, events::changed(events::SEND, &sent, &permit, &request)).await
            })
        })
        .await
    }

    /// The invitations to a domain, newest first. Denied without `list_domain_invitation` on it.
    pub async fn invitations_of_domain(
        &self,
        cx: &Context,
        domain: DomainId,
        query: Query,
    ) -> Result<Page<Named>> {
        let payload = || json!({ "entity_id": domain, "page": page(&query) });
        cx.authorize_with(operations::LIST_DOMAIN_INVITATION, Object::domain(domain), payload).await?;
        let query = Query { domain: Some(domain), ..query };
        cx.scan(move |tx| Box::pin(async move { store::list(tx, &query).await })).await
    }

    /// The caller's own invitations, newest first.
    pub async fn own_invitations(&self, cx: &Context, query: Query) -> Result<Page<Named>> {
        let payload = || json!({ "page": page(&query) });
        let permit = cx.authorize_own_with(operations::LIST_INVITATION, None, payload).await?;
        let query = Query { invitee: Some(permit.actor()), ..query };
        cx.scan(move |tx| Box::pin(async move { store::list(tx, &query).await })).await
    }

    /// One invitation: the invitee's own, or any with `list_domain_invitation` on the domain.
    pub async fn invitation(&self, cx: &Context, domain: DomainId, invitee: UserId) -> Result<Named> {
        let payload = || json!({ "entity_id": domain, "invitee_user_id": invitee });
        let operation = operations::LIST_DOMAIN_INVITATION;
        if invitee == cx.caller().user {
            cx.authorize_own_with(operation, Some(domain), payload).await?;
        } else {
            cx.authorize_with(operation, Object::domain(domain), payload).await?;
        }
        let found = cx.read(move |tx| Box::pin(async move { store::get(tx, domain, invitee).await })).await?;
        found.ok_or_else(Error::not_found)
    }

    /// Accepts an invitation: the caller holds its role from now on. Emits `domain.role.members.add` and
    /// `invitation.accept`.
    ///
    /// NotFound where there is no invitation, or its role is gone; Conflict where it is not pending, or the caller is a
    /// member; Unprocessable while the domain is closed.
    pub async fn accept(&self, cx: &Context, domain: DomainId) -> Result<()> {
        let permit = cx.authorize_own(operations::ACCEPT_INVITATION, Some(domain)).await?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                membership::hold(tx, domain).await?;
                let mut named =
                    store::held(tx, domain, permit.actor()).await?.ok_or_else(Error::not_found)?;
                named.invitation.pending()?;
                open(tx, domain).await?;
                let (object, role) = (Object::domain(domain), named.invitation.role.clone());
                let me = [permit.actor()];
                let gone = "the role of the invitation is gone, ask for a new invitation";
                roles::get(tx, object, &role).await?.ok_or_else(|| Error::new(Kind::NotFound, gone))?;
                members::add(tx, &access, &permit, object, &role, &me).await?;
                named.invitation.confirmed_at = Some(permit.at());
                store::update(tx, &named.invitation).await?;
                let joined =
                    roles::events::members_added(roles::DOMAINS, object, &role, &me, &permit, &request);
                access.emit(tx, joined).await?;
                access.emit(tx, events::changed(events::ACCEPT, &named, &permit, &request)).await
            })
        })
        .await
    }

    /// Rejects an invitation. Emits `invitation.reject`. NotFound where there is none; Conflict where it is not pending.
    pub async fn reject(&self, cx: &Context, domain: DomainId) -> Result<()> {
        let permit = cx.authorize_own(operations::REJECT_INVITATION, Some(domain)).await?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut named =
                    store::held(tx, domain, permit.actor()).await?.ok_or_else(Error::not_found)?;
                named.invitation.pending()?;
                named.invitation.rejected_at = Some(permit.at());
                store::update(tx, &named.invitation).await?;
                access.emit(tx, events::changed(events::REJECT, &named, &permit, &request)).await
            })
        })
        .await
    }

    /// Removes an invitation: the invitee's own in any state, another's with `delete_invitation` on the domain and only
    /// while it is pending. Emits `invitation.delete`.
    pub async fn delete_invitation(&self, cx: &Context, domain: DomainId, invitee: UserId) -> Result<()> {
        let payload = || json!({ "entity_id": domain, "invitee_user_id": invitee });
        let (operation, own) = (operations::DELETE_INVITATION, invitee == cx.caller().user);
        let permit = if own {
            cx.authorize_own_with(operation, Some(domain), payload).await?
        } else {
            cx.authorize_with(operation, Object::domain(domain), payload).await?
        };
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let named = store::held(tx, domain, invitee).await?.ok_or_else(Error::not_found)?;
                if !own {
                    named.invitation.pending()?;
                }
                store::delete(tx, domain, &[invitee]).await?;
                access.emit(tx, events::deleted(domain, invitee, &permit, &request)).await
            })
        })
        .await
    }
}

/// Removes the invitations of users who leave a domain, and those that they sent and nobody has answered, in the
/// transaction in which they leave (reference 02 §4.3).
pub fn on_leave<'t>(tx: &'t mut Tx, domain: DomainId, users: &'t [UserId]) -> BoxFuture<'t, Result<()>> {
    Box::pin(async move {
        store::delete(tx, domain, users).await?;
        store::delete_pending_by(tx, domain, users).await
    })
}

/// Removes the invitations of a user who is removed, also those to domains that the user never joined.
pub fn on_purge(tx: &mut Tx, user: UserId) -> BoxFuture<'_, Result<()>> {
    Box::pin(async move { store::delete_of(tx, user).await })
}

/// Fails unless the domain is open to its members, and keeps it so until the transaction ends.
async fn open(tx: &mut Tx, domain: DomainId) -> Result<()> {
    let found = crate::store::get_for_share(tx, domain).await?.ok_or_else(Error::not_found)?;
    match found.status.0 {
        Gate::Enabled => Ok(()),
        Gate::Disabled | Gate::Frozen | Gate::Deleted => Err(Error::unprocessable(
            "the domain is closed, ask its administrators to enable it and accept again",
        )),
    }
}

/// What callouts are told of a list.
fn page(query: &Query) -> Value {
    json!({
        "offset": query.page.offset,
        "limit": query.page.limit,
        "invitee_user_id": query.invitee,
        "invited_by": query.invited_by,
        "role_id": query.role,
        "domain_id": query.domain,
    })
}
