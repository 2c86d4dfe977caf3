//! Who administers the platform.

use std::sync::Arc;

use access::{Context, platform};
use kernel::{Error, Kind, Result, UserId};

use super::{status::keeps_an_admin, touch};
use crate::{
    Users, events,
    model::{Role, User},
    store,
};

impl Users {
    /// Makes an enabled user an administrator of the platform, or an ordinary user; administrators only. Emits
    /// `user.update_role`.
    ///
    /// The relations change with the row, so a demoted administrator has lost its rights when this returns, whatever its
    /// tokens claim. Conflict for the last enabled administrator.
    pub async fn update_role(&self, cx: &Context, id: UserId, role: Role) -> Result<User> {
        cx.authorize_in_person()?;
        let permit = cx.authorize_platform_admin().await.map_err(|error| match error.kind() {
            Kind::Denied => Error::new(Kind::Denied, "not authorized to perform admin action").cause(error),
            _ => error,
        })?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                platform::hold(tx).await?;
                let admins = store::enabled_admins(tx).await?;
                let mut user = store::get_enabled(tx, id).await?.ok_or_else(Error::not_found)?;
                match role {
                    Role::Admin => platform::admit(tx, &access, &permit, id, role.claimed()).await?,
                    Role::User => {
                        keeps_an_admin(&user, admins)?;
                        platform::demote(tx, &access, &permit, id).await?;
                    }
                }
                user.role = role;
                touch(&mut user, &permit);
                store::update(tx, &user).await?;
                access.emit(tx, events::changed(events::UPDATE_ROLE, &user, &permit, &request)).await?;
                Ok(user)
            })
        })
        .await
    }
}
