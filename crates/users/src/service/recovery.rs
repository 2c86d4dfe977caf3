//! A new password for who has lost the old one, by way of a mail (reference 01 §5.6).

use std::{sync::Arc, time::Duration};

use access::{
    Access, Permit, RequestInfo,
    identity::{
        accounts::Accounts,
        tokens::{Purpose, RECOVERY_LIFE},
    },
    limits::Account,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use kernel::{Error, Result, Secret};

use super::{address, is_ours, touch};
use crate::{
    Users, events,
    mail::Kind,
    model::{Email, User},
    store,
};

/// How long the link of a mail is good for.
pub(crate) const TOKEN_LIFE: Duration = RECOVERY_LIFE;

/// What binds a recovery token to the address that it was mailed to.
pub(crate) fn token_id(access: &Access, email: &Email) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(access.digester().digest("recovery", &email.key()).to_vec())
}

impl Users {
    /// Asks for a mail with a link to a new password.
    ///
    /// Does the same for every address, whether it belongs to an account or not and however often it is asked for, so that
    /// nobody learns which do: the account is looked for when the mail is sent. `user.send_password_reset` is emitted then.
    pub async fn request_reset(&self, request: &RequestInfo, email: &Email) -> Result<()> {
        let key = email.key();
        self.access.failures().admit(Account::Reset(&key), request.peer, request.at)?;
        if self.settings.mail.is_none() {
            self.say_once_that_there_is_no_mail();
            return Ok(());
        }
        self.leave_mail(Kind::Reset, key, Arc::clone(&request.id)).await.map(drop)
    }

    /// Sets a new password and ends all sessions. Emits `user.reset_secret`.
    ///
    /// Takes a recovery token and no other. It is bound to the generation of the account, which this raises, and to the
    /// address: so it is good once, and not after a change of password or address (reference 01 §13 item 2). An address that
    /// was entered since then, and that may be a stranger's, is taken out again; emits `user.update_email` then.
    pub async fn reset_password(
        &self,
        request: &RequestInfo,
        token: &Secret<String>,
        password: Secret<String>,
    ) -> Result<User> {
        self.check_password(&password)?;
        let verified = self.access.verify(token, Purpose::Recovery, request.at).await?;
        let (id, generation) = (verified.caller.user, verified.generation);
        let shown = verified.id.clone();
        let hash = self.access.passwords().hash(password).await?;
        let permit = Permit::of_oneself(id, request.at);
        let (access, request) = (self.access.clone(), Arc::clone(&request.id));
        self.access
            .db()
            .write(move |tx| {
                Box::pin(async move {
                    Accounts::hold(tx, id, generation).await?;
                    let mut user = store::get_enabled(tx, id).await?.ok_or_else(Error::unauthenticated)?;
                    user.settle(permit.at());
                    // Only what was mailed to that address proves anything.
                    if shown != Some(token_id(&access, &user.recovery.email)) {
                        return Err(Error::unauthenticated());
                    }
                    is_ours(&user)?;
                    touch(&mut user, &permit);
                    if address::bring_back(&mut user, &permit) {
                        access.accounts().set_verified(tx, id, true).await?;
                        access
                            .emit(tx, events::changed(events::UPDATE_EMAIL, &user, &permit, &request))
                            .await?;
                    }
                    store::update(tx, &user).await?;
                    store::update_password(tx, &user, &hash).await?;
                    access.accounts().end_sessions(tx, id).await?;
                    access.emit(tx, events::reset(&user, &permit, &request)).await?;
                    Ok(user)
                })
            })
            .await
    }

    /// One line in the log for the operator, however many requests there are.
    pub(crate) fn say_once_that_there_is_no_mail(&self) {
        if !self.mail_missed.swap(true, std::sync::atomic::Ordering::Relaxed) {
            tracing::warn!("a mail was asked for, but none is sent until `mail.host` is set");
        }
    }
}
