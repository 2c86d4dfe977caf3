//! Users as other services of the installation ask for them.

use kernel::{Page, Result, UserId, page::PageRequest};

use crate::{Users, model::User, store};

impl Users {
    /// Those of these users who are there and not marked as deleted, the oldest first. For callers that authorize by
    /// themselves.
    pub async fn present_among(&self, ids: Vec<UserId>, page: PageRequest) -> Result<Page<User>> {
        let db = self.access.db();
        db.read(move |tx| Box::pin(async move { store::present_among(tx, &ids, page).await })).await
    }
}
