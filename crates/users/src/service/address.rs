//! A user's e-mail address, and the one that a lost password is set anew by.
//!
//! Whoever has got hold of an access token could enter an address of their own, verify it, and have a new password mailed
//! there. So mails with such a link go to the *recovery address*: the one that the user began with. A later address takes
//! its place once it is verified, and seven days have passed since the change; whoever gives the password with the change
//! need not wait, and an administrator decides for others. The address that was left is told of the change, and a password
//! that is set by it in the meantime brings it back (`recovery.rs`).

use std::time::Duration;

use access::{Context, Permit};
use db::Tx;
use kernel::{Error, Result, Secret, UserId};

use super::{authorize_in_person, is_ours};
use crate::{
    Users, events,
    mail::Notice,
    model::{Email, Recovery, User},
    store,
};

/// How long an address has to wait that was entered without the password: time enough to read the notice.
const WAIT: Duration = Duration::from_secs(7 * 24 * 3600);

/// How a change of the address came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// An administrator wants it.
    Administrator,
    /// The user has shown the password.
    Password,
    /// Somebody with the user's access token.
    Token,
}

impl Users {
    /// Replaces the address, which has to be verified anew; the user itself or an administrator. Emits
    /// `user.update_email`.
    ///
    /// Conflict where the address is taken; Unprocessable where a provider looks after it; Unauthenticated for a
    /// password that is given and wrong.
    pub async fn update_email(
        &self,
        cx: &Context,
        id: UserId,
        email: Email,
        password: Option<Secret<String>>,
    ) -> Result<User> {
        let permit = authorize_in_person(cx, id).await?;
        let trust = match password {
            _ if permit.actor() != id => Trust::Administrator,
            Some(password) => {
                self.prove(cx, id, password).await?;
                Trust::Password
            }
            None => Trust::Token,
        };
        let (users, at, request) = (self.clone(), permit.at(), cx.request().id.clone());
        self.change(cx, id, permit, events::UPDATE_EMAIL, move |tx, mut user| {
            Box::pin(async move {
                is_ours(&user)?;
                if user.email == email {
                    return Err(Error::invalid("new email is similar to the current email"));
                }
                user.settle(at);
                let left = user.recovery.email.clone();
                enter(tx, &mut user, email, trust, at).await?;
                users.access.accounts().set_verified(tx, user.id, false).await?;
                if left.key() != user.email.key() {
                    let notice = Notice { user: user.id, recipient: left };
                    users.leave_notice(tx, notice, &request, at).await?;
                }
                Ok(user)
            })
        })
        .await
    }
}

/// Gives the user another address, and says when a lost password is set anew by it.
async fn enter(
    tx: &mut Tx,
    user: &mut User,
    email: Email,
    trust: Trust,
    at: kernel::Timestamp,
) -> Result<()> {
    if store::id_by_recovery(tx, &email.key()).await?.is_some_and(|other| other != user.id) {
        return Err(Error::conflict("email id already registered"));
    }
    user.email = email;
    user.verified_at = None;
    if user.is_settled() || trust == Trust::Administrator {
        user.recovery = Recovery::by(user.email.clone());
    } else {
        user.recovery.due = Some(if trust == Trust::Password { at } else { at.after(WAIT) });
    }
    Ok(())
}

/// Makes the recovery address the user's address again, which a mail to it has just been read at. True where it was another.
pub(super) fn bring_back(user: &mut User, permit: &Permit) -> bool {
    if user.is_settled() {
        return false;
    }
    user.email = user.recovery.email.clone();
    user.recovery.due = None;
    user.verified_at = Some(permit.at());
    true
}
