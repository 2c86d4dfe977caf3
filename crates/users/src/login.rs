//! Logging in, refreshing, logging out.

use std::sync::Arc;

use access::{
    Context, Permit, RequestInfo,
    identity::{
        self,
        accounts::{self, Accounts},
        sessions::{self, Exchange, Session, TokenId},
        tokens::{Grant, Purpose},
    },
    limits::Account,
};
use db::Tx;
use kernel::{Error, Kind, Result, Secret, Status, Timestamp, UserId};

use crate::{
    Users, events,
    model::{Role, User, WithPassword},
    service::{is_ours, recovery},
    store,
};

/// What a login or a refresh gives.
#[derive(Debug)]
pub struct TokenPair {
    /// Calls the API.
    pub access: Secret<String>,
    /// Is exchanged for the next pair.
    pub refresh: Secret<String>,
}

/// The longest user name or address, in bytes: no account has a longer one.
const LOGIN_MAX_LEN: usize = 254;

/// The longest description of a session, in bytes.
const DESCRIPTION_MAX_LEN: usize = 254;

impl Users {
    /// Logs in with user name or e-mail address. Emits `user.issue_token`.
    ///
    /// A wrong password and an unknown, disabled or deleted user get the same answer after the same work.
    pub async fn log_in(
        &self,
        request: &RequestInfo,
        login: &str,
        password: Secret<String>,
        description: String,
    ) -> Result<TokenPair> {
        if login.is_empty() {
            return Err(Error::invalid("missing username / email"));
        }
        if password.expose().is_empty() {
            return Err(Error::invalid("missing password"));
        }
        if login.len() > LOGIN_MAX_LEN {
            return Err(Error::new(Kind::Unauthenticated, "invalid credentials"));
        }
        if description.len() > DESCRIPTION_MAX_LEN {
            return Err(Error::invalid("invalid description, at most 254 bytes"));
        }
        let key = login.to_owned();
        let known = self.access.db().read(move |tx| Box::pin(async move { known(tx, &key).await })).await?;
        let hash = known.as_ref().and_then(|(found, _)| found.hash.clone());
        // One budget for a user, however it is called; a name of nobody's cannot touch it.
        let account =
            known.as_ref().map_or(Account::Nobody(login), |(found, _)| Account::User(found.user.id));
        let attempt = self.access.failures().attempt(Some(account), request.peer, request.at).await?;
        let matches = match self.access.passwords().verify(password, hash).await {
            Ok(matches) => matches,
            Err(error) => {
                attempt.undecided();
                return Err(error);
            }
        };
        match known {
            Some((found, account_was)) if matches && found.user.status == Status::Enabled => {
                attempt.succeeded();
                self.start_session(request, found.user, account_was, description).await
            }
            _ => Err(Error::new(Kind::Unauthenticated, "invalid credentials")),
        }
    }

    /// Who logs in has shown who it is, to the account as it was; a session is made only if it still is so.
    pub(crate) async fn start_session(
        &self,
        request: &RequestInfo,
        user: User,
        account: accounts::Account,
        description: String,
    ) -> Result<TokenPair> {
        let access = self.access.clone();
        let id = TokenId::first(access.rng());
        let expires_at = request.at.after(access.settings().refresh_token_life);
        let pair = self.tokens(&user, account, &id, request.at, expires_at).await?;
        let (at, request) = (request.at, Arc::clone(&request.id));
        self.access
            .db()
            .write(move |tx| {
                Box::pin(async move {
                    Accounts::hold(tx, user.id, account.generation).await?;
                    sessions::start(tx, &id, user.id, &description, at, expires_at).await?;
                    access.emit(tx, events::logged_in(&user, at, &request)).await
                })
            })
            .await?;
        Ok(pair)
    }

    /// Exchanges a refresh token for a new pair. Emits `user.refresh_token`.
    ///
    /// The role is read anew, so that a demotion does not survive (reference 01 §13 item 10).
    pub async fn refresh(&self, request: &RequestInfo, token: &Secret<String>) -> Result<TokenPair> {
        let verified = self.access.verify(token, Purpose::Refresh, request.at).await?;
        let (user, generation) = (verified.caller.user, verified.generation);
        let shown = verified.id.as_deref().and_then(TokenId::parse).ok_or_else(Error::unauthenticated)?;
        let next = shown.next(self.access.rng());
        let (access, at, name) = (self.access.clone(), request.at, Arc::clone(&request.id));
        let exchanged = self
            .access
            .db()
            .write(move |tx| {
                Box::pin(async move {
                    Accounts::hold(tx, user, generation).await?;
                    let exchange = sessions::exchange(tx, &shown, next, user, at).await?;
                    let Exchange::Continued { id, expires_at } = exchange else { return Ok(None) };
                    let account = Accounts::read(tx, user).await?.ok_or_else(Error::unauthenticated)?;
                    let user = store::get(tx, user).await?.ok_or_else(Error::unauthenticated)?;
                    access.emit(tx, events::refreshed(&user, at, &name)).await?;
                    Ok(Some((user, account, id, expires_at)))
                })
            })
            .await?;
        let (user, account, id, expires_at) =
            exchanged.ok_or_else(|| Error::new(Kind::Unauthenticated, "token is revoked"))?;
        self.tokens(&user, account, &id, request.at, expires_at).await
    }

    /// A session for a user, without password: for other services of the installation, which have authenticated the user
    /// by themselves. Emits `user.issue_token`.
    ///
    /// NotFound for a user who is not there, Denied for one who is not enabled or does not have that role.
    pub async fn issue(
        &self,
        request: &RequestInfo,
        user: UserId,
        role: identity::Role,
        description: String,
    ) -> Result<TokenPair> {
        if description.len() > DESCRIPTION_MAX_LEN {
            return Err(Error::invalid("invalid description, at most 254 bytes"));
        }
        let (user, account) = self.in_role(user, role).await?;
        self.start_session(request, user, account, description).await
    }

    /// A token that sets a new password once, as the mails have it: bound to the user's address, good for five minutes.
    /// For other services of the installation, which mail it by themselves.
    ///
    /// Errors as [`Self::issue`] has them, and Unprocessable for a user who logs in with another provider, or whose address
    /// cannot be used for that yet.
    pub async fn issue_recovery(
        &self,
        request: &RequestInfo,
        user: UserId,
        role: identity::Role,
    ) -> Result<Secret<String>> {
        let (user, account) = self.in_role(user, role).await?;
        is_ours(&user)?;
        if !user.is_settled() {
            return Err(Error::unprocessable(
                "the user's address was changed lately and cannot be mailed to yet",
            ));
        }
        let id = recovery::token_id(&self.access, &user.email);
        let grant = self.grant(&user, account, Some(&id)).await?;
        self.access.tokens().issue(Purpose::Recovery, grant, request.at, recovery::TOKEN_LIFE)
    }

    /// A token that invites a user, for other services of the installation: nothing here takes it. Errors as
    /// [`Self::issue`] has them.
    pub async fn issue_invitation(
        &self,
        request: &RequestInfo,
        user: UserId,
        role: identity::Role,
    ) -> Result<Secret<String>> {
        let (user, account) = self.in_role(user, role).await?;
        let grant = self.grant(&user, account, None).await?;
        let life = self.access.settings().invitation_life;
        self.access.tokens().issue(Purpose::Invitation, grant, request.at, life)
    }

    /// A user who may work, in a role of theirs: who asks for less gets less.
    async fn in_role(&self, user: UserId, role: identity::Role) -> Result<(User, accounts::Account)> {
        let known = self.access.db().read(move |tx| Box::pin(async move { by_id(tx, user).await })).await?;
        let (user, account) = known.ok_or_else(Error::not_found)?;
        let claimed = self.claimed_role(user.id, user.role).await?;
        if user.status != Status::Enabled || (role == identity::Role::Admin && claimed != role) {
            return Err(Error::denied());
        }
        let user = if role == identity::Role::User { User { role: Role::User, ..user } } else { user };
        Ok((user, account))
    }

    /// Ends a session of a user; one that is not there is passed over. For other services of the installation. Emits
    /// `user.revoke_refresh_token`.
    pub async fn end_session(&self, request: &RequestInfo, user: UserId, session: String) -> Result<()> {
        self.revoke(user, session, Permit::of_service(request.at), Arc::clone(&request.id)).await
    }

    async fn revoke(&self, user: UserId, session: String, permit: Permit, request: Arc<str>) -> Result<()> {
        let access = self.access.clone();
        self.access
            .db()
            .write(move |tx| {
                Box::pin(async move {
                    match sessions::revoke(tx, &session, user).await {
                        Ok(()) => {
                            let event = events::session_ended(user, &session, &permit, &request);
                            access.emit(tx, event).await
                        }
                        Err(error) if error.kind() == Kind::NotFound => Ok(()),
                        Err(error) => Err(error),
                    }
                })
            })
            .await
    }

    /// The open sessions of a user, the oldest first. For other services of the installation.
    pub async fn sessions_of(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>> {
        let db = self.access.db();
        db.read(move |tx| Box::pin(async move { sessions::list(tx, user, now).await })).await
    }

    /// Ends one of the caller's sessions; one that is not there is passed over. Emits `user.revoke_refresh_token`.
    pub async fn log_out(&self, cx: &Context, session: String) -> Result<()> {
        let permit = cx.authorize_self()?;
        self.revoke(permit.actor(), session, permit, Arc::clone(&cx.request().id)).await
    }

    /// The caller's open sessions.
    pub async fn sessions(&self, cx: &Context) -> Result<Vec<Session>> {
        let (user, now) = (cx.authorize_self()?.actor(), cx.now());
        cx.read(move |tx| Box::pin(async move { sessions::list(tx, user, now).await })).await
    }

    async fn tokens(
        &self,
        user: &User,
        account: accounts::Account,
        id: &TokenId,
        now: Timestamp,
        session_ends: Timestamp,
    ) -> Result<TokenPair> {
        let id = id.to_string();
        let grant = self.grant(user, account, None).await?;
        let (tokens, life) = (self.access.tokens(), self.access.settings().access_token_life);
        let refresh = Grant { id: Some(&id), ..grant };
        Ok(TokenPair {
            access: tokens.issue(Purpose::Access, grant, now, life)?,
            refresh: tokens.issue(Purpose::Refresh, refresh, now, session_ends.since(now))?,
        })
    }

    /// What a token of this user says; `id` is the token's own.
    async fn grant<'a>(
        &self,
        user: &User,
        account: accounts::Account,
        id: Option<&'a str>,
    ) -> Result<Grant<'a>> {
        Ok(Grant {
            user: user.id,
            role: self.claimed_role(user.id, user.role).await?,
            verified: account.verified,
            generation: account.generation,
            id,
        })
    }

    /// A user who is no longer an administrator of the platform does not claim to be one.
    async fn claimed_role(&self, user: UserId, role: Role) -> Result<identity::Role> {
        let admin = role == Role::Admin && self.access.graph().is_platform_admin(user).await?;
        Ok(if admin { identity::Role::Admin } else { identity::Role::User })
    }
}

/// A user, and the account as it was before.
async fn by_id(tx: &mut Tx, id: UserId) -> Result<Option<(User, accounts::Account)>> {
    let Some(account) = Accounts::read(tx, id).await? else { return Ok(None) };
    Ok(store::get(tx, id).await?.map(|user| (user, account)))
}

/// The user behind a login, and the account as it was *before* the password's hash was read: a change of password in
/// between leaves the account newer than this, and [`Accounts::hold`] notices.
async fn known(tx: &mut Tx, login: &str) -> Result<Option<(WithPassword, accounts::Account)>> {
    let Some(id) = store::id_by_login(tx, login).await? else { return Ok(None) };
    let Some(account) = Accounts::read(tx, id).await? else { return Ok(None) };
    Ok(store::get_with_password(tx, id).await?.map(|found| (found, account)))
}
