//! Personal access tokens: one function per use case (reference 01 §4.3).
//!
//! Whoever makes a token must still be logged in when it is stored: the account's row is held, so that a token cannot
//! slip in behind a change of password. Changes of one token wait for each other at its row.

mod events;
pub mod http;
mod scopes;

use std::time::Duration;

use access::{
    Context, Permit,
    identity::{Credential, accounts::Accounts},
    pats::{
        model::{Description, Pat, PatName},
        secret,
        store::{self, Query},
    },
};
use db::Tx;
use kernel::{Error, Page, PatId, Result, Secret, Timestamp, UserId};

use crate::{Auth, logged_in};

/// The most tokens that one user has.
pub const MOST_PATS: u64 = 1000;

/// The most scopes that one token has.
pub const MOST_SCOPES: usize = 1000;

/// What it takes to make a token.
#[derive(Debug, Clone)]
pub struct NewPat {
    /// What the user calls it.
    pub name: PatName,
    /// What it is for.
    pub description: Description,
    /// How long it is valid.
    pub life: Duration,
}

/// A token, and the generation of its owner's credentials by which its status is told.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The token.
    pub pat: Pat,
    /// The generation.
    pub generation: i64,
}

/// Who manages tokens: a user that has logged in.
fn owner(cx: &Context) -> Result<Permit> {
    match cx.caller().credential {
        Credential::Pat(_) => Err(Error::invalid("unsupported content token type")),
        _ => logged_in(cx),
    }
}

/// The present generation of the credentials of an account, which is held as it was when the request came in, so that
/// the tokens and keys of one user are made and counted in turns.
pub(crate) async fn held_generation(tx: &mut Tx, user: UserId, generation: i64) -> Result<i64> {
    Accounts::hold_alone(tx, user, generation).await?;
    credential_generation(tx, user).await
}

pub(crate) async fn credential_generation(tx: &mut Tx, user: UserId) -> Result<i64> {
    let account = Accounts::read(tx, user).await?.ok_or_else(Error::unauthenticated)?;
    Ok(account.credential_generation)
}

impl Auth {
    /// Makes a token without any scope; its secret is in the answer and nowhere else.
    ///
    /// Unprocessable for a user who has [`MOST_PATS`].
    pub async fn create_pat(&self, cx: &Context, new: NewPat) -> Result<(Shown, Secret<String>)> {
        let permit = owner(cx)?;
        let (user, generation) = (permit.actor(), cx.verified().generation);
        let id = PatId::generate(self.access.rng());
        let secret = secret::fresh(user, id)?;
        let digest = secret::digest(self.access.digester(), id, &secret);
        let access = self.access.clone();
        let shown = cx
            .write(move |tx| {
                Box::pin(async move {
                    let generation = held_generation(tx, user, generation).await?;
                    if store::count(tx, user).await? >= MOST_PATS {
                        return Err(Error::unprocessable(format!(
                            "a user has at most {MOST_PATS} personal access tokens, remove those that are not needed"
                        )));
                    }
                    let pat = Pat {
                        id,
                        user,
                        name: new.name,
                        description: new.description,
                        issued_at: permit.at(),
                        expires_at: permit.at().after(new.life),
                        updated_at: None,
                        revoked_at: None,
                        last_used_at: None,
                        generation,
                    };
                    store::insert(tx, &pat, digest).await?;
                    access.pats().changed(tx, id);
                    Ok(Shown { pat, generation })
                })
            })
            .await?;
        Ok((shown, secret))
    }

    /// A token of the caller's.
    pub async fn view_pat(&self, cx: &Context, id: PatId) -> Result<Shown> {
        let user = owner(cx)?.actor();
        cx.read(move |tx| {
            Box::pin(async move {
                let pat = store::get(tx, user, id).await?.ok_or_else(Error::not_found)?;
                Ok(Shown { pat, generation: credential_generation(tx, user).await? })
            })
        })
        .await
    }

    /// The caller's tokens, the newest first.
    pub async fn list_pats(&self, cx: &Context, query: Query) -> Result<Page<Shown>> {
        let (user, now) = (owner(cx)?.actor(), cx.now());
        cx.read(move |tx| {
            Box::pin(async move {
                let generation = credential_generation(tx, user).await?;
                let page = store::list(tx, user, generation, &query, now).await?;
                Ok(page.map(|pat| Shown { pat, generation }))
            })
        })
        .await
    }

    /// Gives a token another name.
    pub async fn rename_pat(&self, cx: &Context, id: PatId, name: PatName) -> Result<Shown> {
        self.change_pat(cx, id, |pat| pat.name = name).await
    }

    /// Gives a token another description.
    pub async fn describe_pat(&self, cx: &Context, id: PatId, description: Description) -> Result<Shown> {
        self.change_pat(cx, id, |pat| pat.description = description).await
    }

    async fn change_pat(
        &self,
        cx: &Context,
        id: PatId,
        change: impl FnOnce(&mut Pat) + Send + 'static,
    ) -> Result<Shown> {
        let permit = owner(cx)?;
        cx.write(move |tx| {
            Box::pin(async move {
                let mut pat = held(tx, permit.actor(), id).await?;
                change(&mut pat);
                pat.updated_at = Some(permit.at());
                store::update(tx, &pat).await?;
                Ok(Shown { pat, generation: credential_generation(tx, permit.actor()).await? })
            })
        })
        .await
    }

    /// Gives a token a new secret that is valid for `life` from now; the old one ends, and so does a revocation. Name,
    /// description and scopes stay. Emits `pat.revoke` for the old secret.
    pub async fn reset_pat(
        &self,
        cx: &Context,
        id: PatId,
        life: Duration,
    ) -> Result<(Shown, Secret<String>)> {
        let permit = owner(cx)?;
        let (user, generation) = (permit.actor(), cx.verified().generation);
        let secret = secret::fresh(user, id)?;
        let digest = secret::digest(self.access.digester(), id, &secret);
        let (access, request) = (self.access.clone(), cx.request().id.clone());
        let shown = cx
            .write(move |tx| {
                Box::pin(async move {
                    let generation = held_generation(tx, user, generation).await?;
                    let mut pat = held(tx, user, id).await?;
                    pat.generation = generation;
                    pat.revoked_at = None;
                    pat.updated_at = Some(permit.at());
                    pat.expires_at = permit.at().after(life);
                    store::update(tx, &pat).await?;
                    store::update_secret(tx, id, digest).await?;
                    access.pats().changed(tx, id);
                    access.emit(tx, events::revoked(id, &permit, &request)).await?;
                    Ok(Shown { pat, generation })
                })
            })
            .await?;
        Ok((shown, secret))
    }

    /// Voids a token until its secret is reset. Emits `pat.revoke`. A token that is revoked stays so.
    pub async fn revoke_pat(&self, cx: &Context, id: PatId) -> Result<()> {
        let permit = owner(cx)?;
        let (access, request) = (self.access.clone(), cx.request().id.clone());
        cx.write(move |tx| {
            Box::pin(async move {
                let mut pat = held(tx, permit.actor(), id).await?;
                if pat.revoked_at.is_some() {
                    return Ok(());
                }
                pat.revoked_at = Some(permit.at());
                pat.updated_at = Some(permit.at());
                store::update(tx, &pat).await?;
                access.pats().changed(tx, id);
                access.emit(tx, events::revoked(id, &permit, &request)).await
            })
        })
        .await
    }

    /// Removes a token and its scopes. Emits `pat.revoke`.
    pub async fn delete_pat(&self, cx: &Context, id: PatId) -> Result<()> {
        let permit = owner(cx)?;
        let (access, request) = (self.access.clone(), cx.request().id.clone());
        cx.write(move |tx| {
            Box::pin(async move {
                if !store::delete(tx, permit.actor(), id).await? {
                    return Err(Error::not_found());
                }
                access.pats().changed(tx, id);
                access.emit(tx, events::revoked(id, &permit, &request)).await
            })
        })
        .await
    }

    /// Removes every token of the caller's. Emits a `pat.revoke` for each.
    pub async fn delete_pats(&self, cx: &Context) -> Result<()> {
        let permit = owner(cx)?;
        let (access, request) = (self.access.clone(), cx.request().id.clone());
        cx.write(move |tx| {
            Box::pin(async move {
                for id in store::delete_all(tx, permit.actor()).await? {
                    access.pats().changed(tx, id);
                    access.emit(tx, events::revoked(id, &permit, &request)).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

/// The caller's token, held until the transaction ends.
async fn held(tx: &mut Tx, user: UserId, id: PatId) -> Result<Pat> {
    store::get_for_update(tx, user, id).await?.ok_or_else(Error::not_found)
}

impl Shown {
    /// The status at `now`.
    pub fn status(&self, now: Timestamp) -> access::pats::model::PatStatus {
        self.pat.status(self.generation, now)
    }
}
