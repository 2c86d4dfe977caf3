//! Logging in, refreshing, logging out.

use std::sync::Arc;

use access::{
    Context, RequestInfo,
    identity::{
        self,
        sessions::{self, Exchange, Session},
        tokens::{Grant, Purpose},
    },
};
use kernel::{Error, Kind, Result, Secret, Status, Timestamp, UserId};

use crate::{
    Users, events,
    model::{Role, User},
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
        if description.len() > DESCRIPTION_MAX_LEN {
            return Err(Error::invalid("invalid description, at most 254 bytes"));
        }
        let failures = self.access.failures();
        let account = login.to_lowercase();
        failures.admit(&account, request.peer, request.at)?;
        let key = login.to_owned();
        let found =
            self.access.db().read(move |tx| Box::pin(async move { store::by_login(tx, &key).await })).await?;
        let (user, hash) = found.map_or((None, None), |found| (Some(found.user), found.hash));
        let matches = self.access.passwords().verify(password, hash).await?;
        let user = match user {
            Some(user) if matches && user.status == Status::Enabled => user,
            _ => {
                failures.failed(&account, request.peer, request.at);
                return Err(Error::new(Kind::Unauthenticated, "invalid credentials"));
            }
        };
        failures.succeeded(&account, request.peer);
        self.start_session(request, user, description).await
    }

    async fn start_session(
        &self,
        request: &RequestInfo,
        user: User,
        description: String,
    ) -> Result<TokenPair> {
        let access = self.access.clone();
        let id = access.rng().uuid().to_string();
        let expires_at = request.at.after(access.settings().refresh_token_life);
        let pair = self.tokens(&user, &id, request.at, expires_at).await?;
        let (at, request) = (request.at, Arc::clone(&request.id));
        self.access
            .db()
            .write(move |tx| {
                Box::pin(async move {
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
        let user = verified.caller.user;
        let shown = verified.id.clone().ok_or_else(Error::unauthenticated)?;
        let next = self.access.rng().uuid().to_string();
        let (access, at, name) = (self.access.clone(), request.at, Arc::clone(&request.id));
        let exchanged = self
            .access
            .db()
            .write(move |tx| {
                Box::pin(async move {
                    let exchange = sessions::exchange(tx, &shown, next, user, at).await?;
                    let Exchange::Continued { id, expires_at } = exchange else { return Ok(None) };
                    let user = store::get(tx, user).await?.ok_or_else(Error::unauthenticated)?;
                    access.emit(tx, events::refreshed(&user, at, &name)).await?;
                    Ok(Some((user, id, expires_at)))
                })
            })
            .await?;
        let (user, id, expires_at) =
            exchanged.ok_or_else(|| Error::new(Kind::Unauthenticated, "token is revoked"))?;
        self.tokens(&user, &id, request.at, expires_at).await
    }

    /// Ends one of the caller's sessions. Emits `user.revoke_refresh_token`.
    pub async fn log_out(&self, cx: &Context, session: String) -> Result<()> {
        let permit = cx.authorize_self();
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                sessions::revoke(tx, &session, permit.actor()).await?;
                access.emit(tx, events::logged_out(&session, &permit, &request)).await
            })
        })
        .await
    }

    /// The caller's open sessions.
    pub async fn sessions(&self, cx: &Context) -> Result<Vec<Session>> {
        let (user, now) = (cx.authorize_self().actor(), cx.now());
        cx.read(move |tx| Box::pin(async move { sessions::list(tx, user, now).await })).await
    }

    async fn tokens(
        &self,
        user: &User,
        session: &str,
        now: Timestamp,
        session_ends: Timestamp,
    ) -> Result<TokenPair> {
        let access = &self.access;
        let account =
            access.accounts().get(access.db(), user.id).await?.ok_or_else(Error::unauthenticated)?;
        let role = self.claimed_role(user.id, user.role).await?;
        let grant = Grant {
            user: user.id,
            role,
            verified: account.verified,
            generation: account.generation,
            id: None,
        };
        let tokens = access.tokens();
        let refresh = Grant { id: Some(session), ..grant };
        Ok(TokenPair {
            access: tokens.issue(Purpose::Access, grant, now, access.settings().access_token_life)?,
            refresh: tokens.issue(Purpose::Refresh, refresh, now, session_ends.since(now))?,
        })
    }

    /// A user who is no longer an administrator of the platform does not claim to be one.
    async fn claimed_role(&self, user: UserId, role: Role) -> Result<identity::Role> {
        let admin = role == Role::Admin && self.access.graph().is_platform_admin(user).await?;
        Ok(if admin { identity::Role::Admin } else { identity::Role::User })
    }
}
