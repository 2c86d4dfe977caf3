//! Lists and searches.

use access::Context;
use kernel::{Page, Result, UserId};

use crate::{
    Users,
    model::{Query, Search, User},
    store,
};

impl Users {
    /// All users, for administrators of the platform.
    pub async fn list(&self, cx: &Context, query: Query) -> Result<Page<User>> {
        cx.authorize_platform_admin().await?;
        cx.scan(move |tx| Box::pin(async move { store::list(tx, &query).await })).await
    }

    /// The user with this e-mail address or name; for other services, which authorize by themselves.
    pub async fn find(&self, login: &str) -> Result<Option<UserId>> {
        let login = login.to_owned();
        self.access.db().read(move |tx| Box::pin(async move { store::id_by_login(tx, &login).await })).await
    }

    /// The enabled, ordinary users that are called like this, for any user: to invite them, for example.
    pub async fn search(&self, cx: &Context, search: Search) -> Result<Page<User>> {
        cx.authorize_self()?;
        cx.scan(move |tx| Box::pin(async move { store::search(tx, search).await })).await
    }
}
