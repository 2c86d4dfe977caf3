//! Removing users who were deleted a while ago, with everything of theirs (reference 01 §5.8).

use std::sync::Arc;

use access::{Permit, pats, platform, roles};
use db::{BoxFuture, Tx};
use kernel::{Result, Status, Timestamp, UserId};

use crate::{Users, events, store, verifications};

/// Removes what another crate keeps of a user, in the transaction that removes the user.
pub type OnPurge = for<'t> fn(&'t mut Tx, UserId) -> BoxFuture<'t, Result<()>>;

/// How many users are looked up at a time.
const ROUND: u64 = 100;

impl Users {
    /// Lets another crate remove what it keeps of a user, when the user is removed.
    #[must_use]
    pub fn on_purge(mut self, hook: OnPurge) -> Self {
        Arc::make_mut(&mut self.on_purge).push(hook);
        self
    }

    /// Removes all users who were deleted long enough ago, each in a transaction of its own; returns how many. Emits
    /// `user.purge`.
    ///
    /// One that cannot be removed is reported and passed over until the next time.
    pub async fn purge(&self) -> Result<u64> {
        let now = self.access.clock().now();
        let latest = now.before(self.settings.delete_after);
        let (mut removed, mut last) = (0, None);
        loop {
            let due = self
                .access
                .db()
                .read(move |tx| Box::pin(async move { store::deleted_before(tx, latest, last, ROUND).await }))
                .await?;
            let Some(&end) = due.last() else { return Ok(removed) };
            last = Some(end);
            for (_, user) in due {
                match self.remove(user, latest, now).await {
                    Ok(true) => removed += 1,
                    Ok(false) => {}
                    Err(error) => {
                        tracing::error!(%error, cause = error.chain(), user.id = %user, "a deleted user could not be removed");
                    }
                }
            }
        }
    }

    /// False where the user has been brought back, or removed, in the meantime.
    async fn remove(&self, id: UserId, latest: Timestamp, now: Timestamp) -> Result<bool> {
        let (access, hooks) = (self.access.clone(), Arc::clone(&self.on_purge));
        self.access
            .db()
            .write(move |tx| {
                Box::pin(async move {
                    let user = store::get_for_update(tx, id).await?.filter(|user| {
                        user.status == Status::Deleted && user.updated_at.is_some_and(|at| at <= latest)
                    });
                    let Some(user) = user else { return Ok(false) };
                    let permit = Permit::of_oneself(id, now);
                    roles::members::leave_everywhere(tx, &access, &permit, id).await?;
                    platform::expel(tx, &access, &permit, id).await?;
                    // From here on nothing new can be made for the user: whoever does so holds that it is registered.
                    for hook in hooks.iter() {
                        hook(tx, id).await?;
                    }
                    pats::forget_user(tx, id).await?;
                    access.accounts().remove(tx, id).await?;
                    verifications::delete_of(tx, id).await?;
                    store::delete(tx, id).await?;
                    access.emit(tx, events::purged(&user, now)).await?;
                    Ok(true)
                })
            })
            .await
    }

    /// Removes who is due at every interval for as long as the program runs.
    pub(crate) async fn purge_for_ever(self) {
        loop {
            match self.purge().await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "users who were deleted are removed"),
                Err(error) => {
                    tracing::warn!(%error, cause = error.chain(), "deleted users could not be looked after");
                }
            }
            tokio::time::sleep(self.settings.delete_interval).await;
        }
    }
}
