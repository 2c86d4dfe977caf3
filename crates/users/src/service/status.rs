//! Whether a user may log in.

use std::sync::Arc;

use access::{Context, Permit, platform};
use kernel::{Error, Result, Status, UserId};

use super::{authorize_in_person, touch};
use crate::{
    Users, events,
    model::{Role, User},
    store,
};

impl Users {
    /// Lets a user log in again, also one that is marked as deleted; administrators only, since nobody else can log in.
    /// Emits `user.enable`. Conflict where the user may already.
    pub async fn enable(&self, cx: &Context, id: UserId) -> Result<User> {
        let permit = authorize_in_person(cx, id).await?;
        self.set_status(cx, id, Status::Enabled, permit).await
    }

    /// Ends a user's sessions and keeps it from logging in; the user itself or an administrator. Emits `user.disable`.
    /// Conflict where it is disabled already, or is the last enabled administrator.
    pub async fn disable(&self, cx: &Context, id: UserId) -> Result<User> {
        let permit = authorize_in_person(cx, id).await?;
        self.set_status(cx, id, Status::Disabled, permit).await
    }

    /// Marks a user as deleted and ends its sessions; the user itself or an administrator. Emits `user.delete`.
    ///
    /// What is marked is removed later, and can be enabled until then (reference 01 §5.8). Conflict where it is marked
    /// already, or is the last enabled administrator.
    pub async fn delete(&self, cx: &Context, id: UserId) -> Result<()> {
        let permit = authorize_in_person(cx, id).await?;
        self.set_status(cx, id, Status::Deleted, permit).await.map(drop)
    }

    async fn set_status(&self, cx: &Context, id: UserId, status: Status, permit: Permit) -> Result<User> {
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                platform::hold(tx).await?;
                let admins = store::enabled_admins(tx).await?;
                let mut user = store::get_for_update(tx, id).await?.ok_or_else(Error::not_found)?;
                if user.status == status {
                    return Err(Error::conflict("status already assigned"));
                }
                if status != Status::Enabled {
                    keeps_an_admin(&user, admins)?;
                }
                user.status = status;
                touch(&mut user, &permit);
                store::update(tx, &user).await?;
                access.accounts().set_enabled(tx, id, status == Status::Enabled).await?;
                access.emit(tx, events::status_changed(&user, &permit, &request)).await?;
                Ok(user)
            })
        })
        .await
    }
}

/// Fails where `user` is the last of the enabled administrators, who could not be replaced by anybody.
pub(super) fn keeps_an_admin(user: &User, enabled_admins: u64) -> Result<()> {
    if user.role == Role::Admin && user.status == Status::Enabled && enabled_admins <= 1 {
        return Err(Error::conflict("the platform must keep an enabled administrator"));
    }
    Ok(())
}
