//! Verifying an e-mail address (reference 01 §5.6).

use std::{sync::Arc, time::Duration};

use access::{Access, Context, Permit, RequestInfo, crypto, limits::Account};
use base64::{Engine, prelude::BASE64_URL_SAFE};
use kernel::{Error, Result, Secret, UserId};
use serde::Deserialize;

use crate::{
    Users, events,
    mail::Kind,
    model::{Email, User},
    store,
    verifications::{self, Verification},
};

/// How long the link of a mail is good for.
const LIFE: Duration = Duration::from_secs(24 * 3600);

/// The longest token: an address has at most 254 bytes.
const TOKEN_MAX_LEN: usize = 1024;

/// What the token in the link says.
#[derive(Deserialize)]
struct Claim {
    user_id: UserId,
    email: String,
    otp: Secret<String>,
}

/// Makes a token for the user's present address, and keeps the digest of its one-time password.
pub(crate) async fn issue(access: &Access, user: &User) -> Result<Secret<String>> {
    let otp = Secret::new(BASE64_URL_SAFE.encode(crypto::random::<32>()?));
    let now = access.clock().now();
    let verification = Verification {
        id: access.rng().uuid().to_string(),
        user: user.id,
        email_key: user.email.key(),
        expires_at: now.after(LIFE),
        used_at: None,
    };
    let digest = digest(access, &otp);
    access
        .db()
        .write(move |tx| Box::pin(async move { verifications::insert(tx, &verification, digest, now).await }))
        .await?;
    let claim = serde_json::json!({ "user_id": user.id, "email": user.email, "otp": otp.expose() });
    Ok(Secret::new(BASE64_URL_SAFE.encode(claim.to_string())))
}

fn digest(access: &Access, otp: &Secret<String>) -> Vec<u8> {
    access.digester().digest("email_verification", otp.expose()).to_vec()
}

fn invalid() -> Error {
    Error::unprocessable("invalid verification")
}

impl Users {
    /// Asks for a mail that verifies the caller's address. Emits `user.send_verification`, unless the address has been
    /// sent enough of them lately.
    ///
    /// Unprocessable where it is verified already, or the platform sends no mail.
    pub async fn send_verification(&self, cx: &Context) -> Result<()> {
        let permit = cx.authorize_self()?;
        let id = permit.actor();
        self.access.failures().admit(Account::Verification(id), cx.request().peer, cx.now())?;
        let user = self.get(id).await?;
        if user.verified_at.is_some() {
            return Err(Error::unprocessable("user already verified"));
        }
        if self.settings.mail.is_none() {
            self.say_once_that_there_is_no_mail();
            return Err(Error::unprocessable(
                "the platform sends no mail, ask its administrator to set it up",
            ));
        }
        let request = Arc::clone(&cx.request().id);
        if !self.leave_mail(Kind::Verification, user.email.key(), Arc::clone(&request)).await? {
            return Ok(());
        }
        let access = self.access.clone();
        cx.write(move |tx| {
            Box::pin(async move { access.emit(tx, events::verification_sent(&permit, &request)).await })
        })
        .await
    }

    /// Verifies the address that the token was mailed to, if the user still has it. Emits `user.verify_email`.
    pub async fn verify_email(&self, request: &RequestInfo, token: &Secret<String>) -> Result<()> {
        if token.expose().is_empty() {
            return Err(Error::invalid("invalid verification"));
        }
        let claim = parse(token).ok_or_else(invalid)?;
        let email: Email = claim.email.parse().map_err(|error| invalid().cause(error))?;
        let digest = digest(&self.access, &claim.otp);
        let (access, at, request) = (self.access.clone(), request.at, Arc::clone(&request.id));
        self.access
            .db()
            .write(move |tx| {
                Box::pin(async move {
                    // The user's row first, as in every other change of it.
                    let user = store::get_enabled(tx, claim.user_id).await?;
                    let known = verifications::by_otp(tx, digest).await?;
                    let (Some(mut user), Some(known)) = (user, known) else { return Err(invalid()) };
                    let key = user.email.key();
                    if known.user != user.id || known.email_key != key || email.key() != key {
                        return Err(invalid());
                    }
                    if known.used_at.is_some() || known.expires_at <= at {
                        return Err(Error::unprocessable(
                            "this verification was used already or has expired, ask for another",
                        ));
                    }
                    let permit = Permit::of_oneself(user.id, at);
                    user.verified_at = Some(at);
                    user.settle(at);
                    store::update(tx, &user).await?;
                    verifications::use_up(tx, user.id, &key, at).await?;
                    access.accounts().set_verified(tx, user.id, true).await?;
                    access.emit(tx, events::verified(&user, &permit, &request)).await
                })
            })
            .await
    }
}

fn parse(token: &Secret<String>) -> Option<Claim> {
    if token.expose().len() > TOKEN_MAX_LEN {
        return None;
    }
    let json = BASE64_URL_SAFE.decode(token.expose()).ok()?;
    serde_json::from_slice(&json).ok()
}
