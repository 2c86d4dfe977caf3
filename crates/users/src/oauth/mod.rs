//! Logging in by way of another provider (reference 01 §5.7; RFC 6749 §4.1, RFC 7636).
//!
//! A login starts at `/oauth/authorize/google`, which sends the browser to the provider with a *state* of this one login,
//! bound to the browser by a sealed cookie ([`challenge`]). The provider sends it back to `/oauth/callback/google` with a
//! code, which is exchanged for a profile ([`provider`]). The profile's address must be verified there; it decides which
//! account it is. A state that is the same for all logins is accepted only where an operator has set one.

pub(crate) mod challenge;
mod profile;
mod provider;

use std::sync::Arc;

use access::{Permit, RequestInfo, identity::accounts::Accounts, platform};
use db::{Tx, params};
use kernel::{Error, Kind, Metadata, Result, Secret, Status, Tags, Timestamp, UserId};

pub use provider::{Provider, ProviderSettings};

use crate::{
    Users, events,
    login::TokenPair,
    model::{Recovery, Role, User},
    store,
};
use challenge::Challenge;
use profile::Profile;

/// What an operator can set.
#[derive(Debug, Clone)]
pub struct OAuthSettings {
    /// Google; none where it is not set up.
    pub google: Option<Provider>,
    /// Where the browser goes with its new cookies.
    pub redirect_url: String,
    /// Where the browser goes with `?error=`.
    pub error_url: String,
}

/// What the provider sent the browser back with.
#[derive(Debug)]
pub(crate) struct ProviderAnswer {
    pub(crate) state: Option<String>,
    pub(crate) code: Option<Secret<String>>,
    /// Why the provider has let nobody in.
    pub(crate) error: Option<String>,
    /// The cookie of the browser that started the login.
    pub(crate) cookie: Option<String>,
}

impl Users {
    /// Where to send the browser to log in, and the cookie that it must come back with.
    pub(crate) fn start_oauth(&self, now: Timestamp) -> Result<(String, String)> {
        let google = self.google()?;
        let challenge = Challenge::new(now)?;
        Ok((google.authorize_url(&challenge)?, challenge.seal(&self.access)?))
    }

    /// Logs in whoever the provider vouches for; registers who is not known yet. Emits `user.oauth_callback`, and
    /// `user.create` or not, and `user.issue_token`.
    ///
    /// Denied where the account is disabled or deleted, and where the provider says no, by the word that it says.
    pub(crate) async fn finish_oauth(
        &self,
        request: &RequestInfo,
        answer: ProviderAnswer,
    ) -> Result<TokenPair> {
        let google = self.google()?;
        let verifier = self.check_state(google, &answer, request.at).await?;
        if let Some(word) = answer.error.filter(|word| !word.is_empty()) {
            return Err(provider::refusal(&word));
        }
        let code = answer.code.filter(|code| !code.expose().is_empty());
        let code = code.ok_or_else(|| Error::invalid("empty code"))?;
        let profile = Profile::parse(&google.profile(&code, verifier.as_ref()).await?)?;
        let (user, account) = self.admit(request, profile).await?;
        self.start_session(request, user, account, google.name().to_owned()).await
    }

    fn google(&self) -> Result<&Provider> {
        let google = self.settings.oauth.as_ref().and_then(|oauth| oauth.google.as_ref());
        google.ok_or_else(|| Error::unprocessable("oauth provider is disabled"))
    }

    /// The verifier of the login that this is the answer to; none where the state is the operator's own.
    async fn check_state(
        &self,
        google: &Provider,
        answer: &ProviderAnswer,
        now: Timestamp,
    ) -> Result<Option<Secret<String>>> {
        let invalid = || Error::invalid("invalid state");
        let state = Secret::new(answer.state.clone().filter(|state| !state.is_empty()).ok_or_else(invalid)?);
        if google.fixed_state().is_some_and(|fixed| *fixed == state) {
            return Ok(None);
        }
        let cookie = answer.cookie.as_deref().ok_or_else(invalid)?;
        let challenge = Challenge::open(&self.access, cookie, now).map_err(|error| invalid().cause(error))?;
        if challenge.nonce != state {
            return Err(invalid());
        }
        let (nonce, expires_at) = (state, challenge.expires_at);
        let first = self
            .access
            .db()
            .write(move |tx| Box::pin(async move { answered(tx, &nonce, expires_at, now).await }))
            .await?;
        if first { Ok(Some(challenge.verifier)) } else { Err(invalid()) }
    }

    /// The account with the profile's address, made if there is none.
    async fn admit(
        &self,
        request: &RequestInfo,
        profile: Profile,
    ) -> Result<(User, access::identity::accounts::Account)> {
        let (access, at, name) = (self.access.clone(), request.at, Arc::clone(&request.id));
        let new = profile.to_user(UserId::generate(access.rng()), access::crypto::random()?, at)?;
        self.access
            .db()
            .write(move |tx| {
                Box::pin(async move {
                    let user = match store::id_by_login(tx, &new.email.key()).await? {
                        Some(id) => {
                            let mut user =
                                store::get_for_update(tx, id).await?.ok_or_else(Error::not_found)?;
                            user.settle(at);
                            Self::link(tx, &access, user, at, &name).await?
                        }
                        None => {
                            let permit = Permit::of_oneself(new.id, at);
                            Self::insert_in(tx, &access, &new, None, &permit, &name).await?;
                            new
                        }
                    };
                    access.emit(tx, events::oauth_callback(&user, &profile.id, at, &name)).await?;
                    let account = Accounts::read(tx, user.id).await?.ok_or_else(Error::unauthenticated)?;
                    Ok((user, account))
                })
            })
            .await
    }

    /// Lets the provider vouch for an account that is there already.
    ///
    /// Whoever made it has not shown that the address was theirs, unless it is verified. So that nobody can wait in an
    /// account that they made for another's address, the password of an unverified one is dropped and its sessions end;
    /// administrators, who need not verify, keep theirs. An address that a lost password cannot be set anew by does not
    /// lead into the account this way either. Emits `user.reset_secret` then, which ends its connections, too.
    async fn link(
        tx: &mut Tx,
        access: &access::Access,
        mut user: User,
        at: Timestamp,
        request: &str,
    ) -> Result<User> {
        if user.status != Status::Enabled {
            return Err(Error::new(Kind::Denied, "the account is disabled, ask an administrator"));
        }
        // Whoever has entered this address may not be the user.
        if !user.is_settled() {
            return Err(Error::new(
                Kind::Denied,
                "the address of the account was changed lately, log in with its user name and password",
            ));
        }
        let permit = Permit::of_oneself(user.id, at);
        if user.verified_at.is_none() {
            if user.role == Role::User {
                store::drop_password(tx, user.id).await?;
                access.accounts().end_sessions(tx, user.id).await?;
                access.emit(tx, events::reset(&user, &permit, request)).await?;
            }
            user.verified_at = Some(at);
            store::update(tx, &user).await?;
            access.accounts().set_verified(tx, user.id, true).await?;
        }
        platform::admit(tx, access, &permit, user.id, user.role.claimed()).await?;
        Ok(user)
    }
}

impl Profile {
    /// The account of who is not known yet; `random` tells apart whose names are alike.
    fn to_user(&self, id: UserId, random: [u8; 5], at: Timestamp) -> Result<User> {
        let metadata = serde_json::Map::from_iter([("oauth_provider".to_owned(), provider::GOOGLE.into())]);
        Ok(User {
            id,
            username: self.username(random)?,
            recovery: Recovery::by(self.email.clone()),
            email: self.email.clone(),
            first_name: self.first_name.clone(),
            last_name: self.last_name.clone(),
            tags: Tags::default(),
            metadata: Metadata::from(metadata),
            private_metadata: Metadata::default(),
            picture: self.picture.clone(),
            provider: Some(provider::GOOGLE.parse()?),
            role: Role::User,
            status: Status::Enabled,
            verified_at: Some(at),
            created_at: at,
            updated_by: None,
            updated_at: None,
        })
    }
}

/// Notes that the answer to a login came in; false where it had come in before.
async fn answered(
    tx: &mut Tx,
    nonce: &Secret<String>,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<bool> {
    tx.execute("DELETE FROM oauth_answers WHERE expires_at <= $1", params![now]).await?;
    let inserted = tx
        .execute(
            "INSERT INTO oauth_answers (nonce, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            params![nonce.expose().as_str(), expires_at],
        )
        .await?;
    Ok(inserted == 1)
}
