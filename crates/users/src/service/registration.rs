//! How users come to be: the first administrator, and registrations.

use std::sync::Arc;

use access::{
    Access, Context, Permit, RequestInfo,
    crypto::{self, PasswordHash},
    identity::accounts,
    limits::Account,
    platform,
};
use db::Tx;
use kernel::{Error, Kind, Result, Secret, Status, UserId};

use crate::{
    Users, events,
    model::{Email, NewUser, PersonName, Picture, Recovery, Role, User, Username},
    store,
};

/// The administrator that the first start makes.
#[derive(Debug, Clone)]
pub struct FirstAdmin {
    /// What the administrator logs in with.
    pub username: Username,
    /// The e-mail address; a user that has it is left as it is.
    pub email: Email,
    /// The first name.
    pub first_name: PersonName,
    /// The last name.
    pub last_name: PersonName,
    /// The password; one is made where there is none.
    pub password: Option<Secret<String>>,
}

impl Users {
    /// Makes the administrator where the platform has none at all, whatever the name and whether enabled or not. Emits
    /// `user.create`.
    ///
    /// Returns the password that was made, if one was. Nobody is made where the user name or the address is in use.
    pub async fn ensure_admin(&self, admin: FirstAdmin) -> Result<Option<Secret<String>>> {
        let db = self.access.db();
        let (known, started_before) =
            db.read(|tx| Box::pin(async move { store::any_admin_or_user(tx).await })).await?;
        if known {
            if admin.password.is_some() {
                tracing::info!("the administrator is there already, so the given password changes nothing");
            }
            return Ok(None);
        }
        let (password, made) = match admin.password {
            Some(password) => (password, None),
            None => {
                let made = crypto::fresh_secret()?;
                (made.clone(), Some(made))
            }
        };
        self.check_password(&password)?;
        let hash = self.access.passwords().hash(password).await?;
        let id = UserId::generate(self.access.rng());
        let permit = Permit::of_oneself(id, self.access.clock().now());
        let user = User {
            id,
            username: admin.username,
            recovery: Recovery::by(admin.email.clone()),
            email: admin.email,
            first_name: admin.first_name,
            last_name: admin.last_name,
            tags: kernel::Tags::default(),
            metadata: kernel::Metadata::default(),
            private_metadata: kernel::Metadata::default(),
            picture: Picture::none(),
            provider: None,
            role: Role::Admin,
            status: Status::Enabled,
            verified_at: None,
            created_at: permit.at(),
            updated_by: None,
            updated_at: None,
        };
        match self.insert(user, Some(hash), permit, Arc::from("start")).await {
            Ok(_) => {
                if started_before {
                    tracing::warn!("the platform had users and no administrator: one was made");
                }
                Ok(made)
            }
            Err(error) if error.kind() == Kind::Conflict => {
                tracing::warn!(
                    %error,
                    "the platform has no administrator: its user name and address are another user's, set others"
                );
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Registers a user. Emits `user.create`.
    ///
    /// An administrator may make any user; anyone else only an ordinary, enabled one, and only where self-registration
    /// is switched on (reference 01 §13 item 1). Conflict where the user name or the address is taken.
    pub async fn register(&self, cx: Option<&Context>, request: &RequestInfo, new: NewUser) -> Result<User> {
        let id = UserId::generate(self.access.rng());
        let (permit, role, status, provider) = match cx {
            Some(cx) if cx.is_platform_admin().await? => {
                if new.role == Role::Admin {
                    cx.authorize_in_person()?;
                }
                (cx.authorize_platform_admin().await?, new.role, new.status, new.provider)
            }
            _ if self.settings.self_register => {
                // Each takes a hash, and with it a place that logins wait for.
                self.access.failures().admit(Account::Registration, request.peer, request.at)?;
                (Permit::of_oneself(id, request.at), Role::User, Status::Enabled, None)
            }
            Some(_) => return Err(Error::denied()),
            None => {
                return Err(Error::new(Kind::Unauthenticated, "missing or invalid bearer user token"));
            }
        };
        if status == Status::Deleted {
            return Err(Error::invalid("invalid status"));
        }
        self.check_password(&new.password)?;
        // Whoever logs in at a provider has no password here.
        let hash = match provider {
            None => Some(self.access.passwords().hash(new.password).await?),
            Some(_) => None,
        };
        let user = User {
            id,
            username: new.username,
            recovery: Recovery::by(new.email.clone()),
            email: new.email,
            first_name: new.first_name,
            last_name: new.last_name,
            tags: new.tags.checked()?,
            metadata: new.metadata.checked()?,
            private_metadata: new.private_metadata.checked()?,
            picture: new.picture,
            provider,
            role,
            status,
            verified_at: None,
            created_at: permit.at(),
            updated_by: None,
            updated_at: None,
        };
        self.insert(user, hash, permit, Arc::clone(&request.id)).await
    }

    pub(crate) async fn insert(
        &self,
        user: User,
        hash: Option<PasswordHash>,
        permit: Permit,
        request: Arc<str>,
    ) -> Result<User> {
        let access = self.access.clone();
        self.access
            .db()
            .write(move |tx| {
                Box::pin(async move {
                    Self::insert_in(tx, &access, &user, hash.as_ref(), &permit, &request).await?;
                    Ok(user)
                })
            })
            .await
    }

    /// Inserts a user with its account and its relations, and announces it.
    pub(crate) async fn insert_in(
        tx: &mut Tx,
        access: &Access,
        user: &User,
        hash: Option<&PasswordHash>,
        permit: &Permit,
        request: &str,
    ) -> Result<()> {
        store::insert(tx, user, hash).await?;
        let account = accounts::Account {
            enabled: user.status == Status::Enabled,
            verified: user.verified_at.is_some(),
            generation: 0,
            credential_generation: 0,
        };
        access.accounts().create(tx, user.id, account).await?;
        platform::admit(tx, access, permit, user.id, user.role.claimed()).await?;
        access.emit(tx, events::created(user, permit, request)).await
    }
}
