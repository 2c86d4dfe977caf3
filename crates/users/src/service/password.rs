//! Changing a password.

use std::sync::Arc;

use access::{Context, limits::Account};
use kernel::{Error, Kind, Result, Secret, UserId};

use super::{is_ours, touch};
use crate::{Users, events, model::User, store};

impl Users {
    /// Changes the caller's password and ends all of its sessions. Emits `user.update_secret`.
    ///
    /// Unprocessable where a provider vouches for the account, which has no password here.
    pub async fn change_password(
        &self,
        cx: &Context,
        old: Secret<String>,
        new: Secret<String>,
    ) -> Result<User> {
        let permit = cx.authorize_in_person()?;
        let id = permit.actor();
        self.check_password(&new)?;
        self.prove(cx, id, old).await?;
        let hash = self.access.passwords().hash(new).await?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut user = store::get_enabled(tx, id).await?.ok_or_else(Error::not_found)?;
                touch(&mut user, &permit);
                store::update_password(tx, &user, &hash).await?;
                access.accounts().end_sessions(tx, id).await?;
                access.emit(tx, events::changed(events::UPDATE_SECRET, &user, &permit, &request)).await?;
                Ok(user)
            })
        })
        .await
    }

    /// Fails with Unauthenticated where this is not the user's password. Wrong ones count as failed logins.
    pub(super) async fn prove(&self, cx: &Context, id: UserId, password: Secret<String>) -> Result<()> {
        let known =
            cx.read(move |tx| Box::pin(async move { store::get_with_password(tx, id).await })).await?;
        let known = known.ok_or_else(Error::not_found)?;
        is_ours(&known.user)?;
        let account = Some(Account::User(id));
        let attempt = self.access.failures().attempt(account, cx.request().peer, cx.now()).await?;
        match self.access.passwords().verify(password, known.hash).await {
            Ok(true) => attempt.succeeded(),
            Ok(false) => return Err(Error::new(Kind::Unauthenticated, "invalid credentials")),
            Err(error) => {
                attempt.undecided();
                return Err(error);
            }
        }
        Ok(())
    }

    pub(crate) fn check_password(&self, password: &Secret<String>) -> Result<()> {
        if password.expose().is_empty() {
            return Err(Error::invalid("missing password"));
        }
        if !self.settings.password_rule.is_match(password.expose()) {
            return Err(Error::invalid("password does not meet the requirements"));
        }
        Ok(())
    }
}
