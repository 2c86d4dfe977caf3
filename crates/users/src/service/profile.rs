//! What a user is called and shows of itself.

use std::sync::Arc;

use access::{Context, Permit};
use db::BoxFuture;
use kernel::{Error, Result, Tags, UserId};

use super::{authorize_in_person, authorize_over, is_ours, touch};
use crate::{
    Users, events,
    model::{Change, Picture, User, Username},
    store,
};

impl Users {
    /// The caller's own profile.
    pub async fn profile(&self, cx: &Context) -> Result<User> {
        let permit = cx.authorize_self()?;
        self.get(permit.actor()).await
    }

    /// A user, and whether the caller may see all of it: its own, or any for an administrator.
    pub async fn view(&self, cx: &Context, id: UserId) -> Result<(User, bool)> {
        let permit = cx.authorize_self()?;
        let whole = permit.actor() == id || cx.is_platform_admin().await?;
        Ok((self.get(id).await?, whole))
    }

    /// Changes names and metadata; the user itself or an administrator. Emits `user.update`.
    ///
    /// Unprocessable where a provider looks after the name.
    pub async fn update(&self, cx: &Context, id: UserId, change: Change) -> Result<User> {
        let permit = authorize_over(cx, id).await?;
        self.apply(cx, id, change, permit, events::UPDATE).await
    }

    /// Replaces the tags; the user itself or an administrator. Emits `user.update_tags`.
    pub async fn update_tags(&self, cx: &Context, id: UserId, tags: Tags) -> Result<User> {
        let permit = authorize_over(cx, id).await?;
        let change = Change { tags: Some(tags), ..Change::default() };
        self.apply(cx, id, change, permit, events::UPDATE_TAGS).await
    }

    /// Replaces the picture, or takes it away; the user itself or an administrator. Emits
    /// `user.update_profile_picture`. Unprocessable where a provider looks after it.
    pub async fn update_picture(&self, cx: &Context, id: UserId, picture: Picture) -> Result<User> {
        let permit = authorize_over(cx, id).await?;
        let change = Change { picture: Some(picture), ..Change::default() };
        self.apply(cx, id, change, permit, events::UPDATE_PICTURE).await
    }

    /// Replaces the user name; the user itself or an administrator. Emits `user.update_username`.
    ///
    /// Conflict where it is taken.
    pub async fn update_username(&self, cx: &Context, id: UserId, username: Username) -> Result<User> {
        let permit = authorize_in_person(cx, id).await?;
        self.change(cx, id, permit, events::UPDATE_USERNAME, move |_, mut user| {
            Box::pin(async move {
                user.username = username;
                Ok(user)
            })
        })
        .await
    }

    async fn apply(
        &self,
        cx: &Context,
        id: UserId,
        change: Change,
        permit: Permit,
        operation: &'static str,
    ) -> Result<User> {
        let change = change.checked()?;
        self.change(cx, id, permit, operation, move |_, mut user| {
            Box::pin(async move {
                if change.is_the_providers() {
                    is_ours(&user)?;
                }
                change.apply(&mut user);
                Ok(user)
            })
        })
        .await
    }

    /// Changes an enabled user and announces it; others are not found.
    pub(super) async fn change(
        &self,
        cx: &Context,
        id: UserId,
        permit: Permit,
        operation: &'static str,
        change: impl for<'t> FnOnce(&'t mut db::Tx, User) -> BoxFuture<'t, Result<User>> + Send + 'static,
    ) -> Result<User> {
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let user = store::get_enabled(tx, id).await?.ok_or_else(Error::not_found)?;
                let mut user = change(tx, user).await?;
                touch(&mut user, &permit);
                store::update(tx, &user).await?;
                access.emit(tx, events::changed(operation, &user, &permit, &request)).await?;
                Ok(user)
            })
        })
        .await
    }
}
