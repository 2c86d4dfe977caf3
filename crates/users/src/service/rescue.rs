//! Letting an administrator in again who has lost the password, from the machine that the platform runs on.

use std::sync::Arc;

use access::{Permit, crypto, platform};
use kernel::{Error, Kind, Result, Secret, Status};

use super::{is_ours, touch};
use crate::{
    Users, events,
    model::{Role, Username},
    store,
};

impl Users {
    /// Gives an administrator a new password, which is returned, and ends all of its sessions; enables it if need be.
    /// Emits `user.reset_secret`.
    ///
    /// Whoever can open the database asks, so nothing is authorized. NotFound where no administrator has this name.
    pub async fn rescue_admin(&self, username: Username) -> Result<Secret<String>> {
        let password = crypto::fresh_secret()?;
        let hash = self.access.passwords().hash(password.clone()).await?;
        let (access, now) = (self.access.clone(), self.access.clock().now());
        let request: Arc<str> = Arc::from("rescue");
        self.access
            .db()
            .write(move |tx| {
                Box::pin(async move {
                    let nobody = || {
                        Error::new(
                            Kind::NotFound,
                            format!("no administrator is called `{username}`, name another with --username"),
                        )
                    };
                    let id = store::id_by_login(tx, username.as_str()).await?.ok_or_else(nobody)?;
                    let user = store::get_for_update(tx, id).await?.filter(|user| user.role == Role::Admin);
                    let mut user = user.ok_or_else(nobody)?;
                    is_ours(&user)?;
                    let permit = Permit::of_oneself(id, now);
                    user.status = Status::Enabled;
                    touch(&mut user, &permit);
                    store::update(tx, &user).await?;
                    store::update_password(tx, &user, &hash).await?;
                    platform::admit(tx, &access, &permit, id, user.role.claimed()).await?;
                    access.accounts().set_enabled(tx, id, true).await?;
                    access.accounts().end_sessions(tx, id).await?;
                    access.emit(tx, events::reset(&user, &permit, &request)).await
                })
            })
            .await?;
        Ok(password)
    }
}
