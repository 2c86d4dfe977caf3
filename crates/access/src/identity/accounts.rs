//! What authentication must know of a user at every request; kept in memory, dropped at each change.

use std::sync::Arc;

use db::{Tx, params};
use kernel::{Error, Result, UserId};

use crate::cache::Fresh;

/// The account of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Whether the user may act at all.
    pub enabled: bool,
    /// Whether the e-mail address is verified.
    pub verified: bool,
    /// Tokens of an older generation are void.
    pub generation: i64,
    /// Personal access tokens and API keys of an older one are void; only a change of password raises it, so that they
    /// outlive the user's being disabled and enabled again.
    pub credential_generation: i64,
}

/// Accounts by user, read through a cache.
#[derive(Clone)]
pub struct Accounts(Arc<Fresh<UserId, Option<Account>>>);

/// How many accounts are kept in memory; about 100 bytes each.
const CAPACITY: usize = 20_000;

impl Accounts {
    pub(crate) fn new(db: &db::Db) -> Self {
        Self(Fresh::new(CAPACITY).hearing(db, "account"))
    }

    /// The account of `user`, if there is such a user.
    pub async fn get(&self, db: &db::Db, user: UserId) -> Result<Option<Account>> {
        self.0.get_or_load(user, || load(db, user)).await
    }

    /// Fails unless the account stands as it was when `generation` was read, and keeps it so until the transaction
    /// ends: what is made for it cannot outlive a change of password that came in between.
    pub async fn hold(tx: &mut Tx, user: UserId, generation: i64) -> Result<()> {
        let lock = tx.for_share();
        hold_with(tx, user, generation, lock).await
    }

    /// As [`Accounts::hold`], and whoever else holds the account waits: for what a user may have only so many of.
    pub async fn hold_alone(tx: &mut Tx, user: UserId, generation: i64) -> Result<()> {
        let lock = tx.for_update();
        hold_with(tx, user, generation, lock).await
    }

    /// The account as the transaction sees it.
    pub async fn read(tx: &mut Tx, user: UserId) -> Result<Option<Account>> {
        select(tx, user).await
    }

    /// Makes the account of a new user.
    pub async fn create(&self, tx: &mut Tx, user: UserId, account: Account) -> Result<()> {
        tx.execute(
            "INSERT INTO accounts (user_id, enabled, verified, generation, credential_generation)
             VALUES ($1, $2, $3, $4, $5)",
            params![
                user,
                i64::from(account.enabled),
                i64::from(account.verified),
                account.generation,
                account.credential_generation
            ],
        )
        .await?;
        self.forget(tx, user);
        Ok(())
    }

    /// Enables or disables; either voids every session and its tokens. Personal access tokens and API keys rest while
    /// the user is disabled.
    pub async fn set_enabled(&self, tx: &mut Tx, user: UserId, enabled: bool) -> Result<()> {
        tx.execute(
            "UPDATE accounts SET enabled = $2, generation = generation + 1 WHERE user_id = $1",
            params![user, i64::from(enabled)],
        )
        .await?;
        super::sessions::delete_of(tx, user).await?;
        self.forget(tx, user);
        Ok(())
    }

    /// Says whether the user's e-mail address is verified; tokens say so from the next login or refresh on.
    pub async fn set_verified(&self, tx: &mut Tx, user: UserId, verified: bool) -> Result<()> {
        tx.execute(
            "UPDATE accounts SET verified = $2 WHERE user_id = $1",
            params![user, i64::from(verified)],
        )
        .await?;
        self.forget(tx, user);
        Ok(())
    }

    /// Ends every session and voids every token of the user, as a change of password does: personal access tokens work
    /// again with a new secret, API keys do not.
    pub async fn end_sessions(&self, tx: &mut Tx, user: UserId) -> Result<()> {
        tx.execute(
            "UPDATE accounts SET generation = generation + 1, credential_generation = credential_generation + 1
              WHERE user_id = $1",
            params![user],
        )
        .await?;
        super::sessions::delete_of(tx, user).await?;
        self.forget(tx, user);
        Ok(())
    }

    /// Removes the account with its sessions.
    pub async fn remove(&self, tx: &mut Tx, user: UserId) -> Result<()> {
        tx.execute("DELETE FROM accounts WHERE user_id = $1", params![user]).await?;
        super::sessions::delete_of(tx, user).await?;
        self.forget(tx, user);
        Ok(())
    }

    fn forget(&self, tx: &mut Tx, user: UserId) {
        self.0.changed(tx, user);
    }
}

async fn hold_with(tx: &mut Tx, user: UserId, generation: i64, lock: &str) -> Result<()> {
    let sql = format!(
        "SELECT 1 AS stands FROM accounts WHERE user_id = $1 AND enabled = 1 AND generation = $2{lock}"
    );
    let stands = tx.one_or_none(&sql, params![user, generation]).await?;
    stands.map(drop).ok_or_else(Error::unauthenticated)
}

/// Boxed, so that it is compiled once and takes no room in the futures of those who find an account in memory.
fn load(db: &db::Db, user: UserId) -> db::BoxFuture<'_, Result<Option<Account>>> {
    Box::pin(db.read(move |tx| Box::pin(select(tx, user))))
}

async fn select(tx: &mut Tx, user: UserId) -> Result<Option<Account>> {
    let row = tx
        .one_or_none(
            "SELECT enabled, verified, generation, credential_generation FROM accounts WHERE user_id = $1",
            params![user],
        )
        .await?;
    row.map(|row| {
        Ok(Account {
            enabled: row.get::<i64>("enabled")? == 1,
            verified: row.get::<i64>("verified")? == 1,
            generation: row.get("generation")?,
            credential_generation: row.get("credential_generation")?,
        })
    })
    .transpose()
}
