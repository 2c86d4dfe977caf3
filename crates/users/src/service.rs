//! What can be done with users: one function per use case. Logging in is in [`crate::login`].

use std::sync::Arc;

use access::{
    Access, Context, Permit, RequestInfo,
    crypto::{self, PasswordHash},
    identity::accounts::Account,
    platform,
};
use kernel::{Error, Page, Result, Secret, Status, UserId};
use regex::Regex;

use crate::{
    events,
    model::{Email, NewUser, PersonName, Query, Role, User, Username},
    store,
};

/// What an operator can set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What a password must match.
    pub password_rule: Regex,
    /// Whether anyone may register; otherwise only administrators do.
    pub self_register: bool,
}

/// The users service.
#[derive(Clone)]
pub struct Users {
    pub(crate) access: Access,
    settings: Arc<Settings>,
}

impl axum::extract::FromRef<Users> for Access {
    fn from_ref(users: &Users) -> Self {
        users.access.clone()
    }
}

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
    /// The service on top of `access`.
    pub fn new(access: Access, settings: Settings) -> Self {
        Self { access, settings: Arc::new(settings) }
    }

    /// Makes the administrator where neither the user name nor the address is in use. Emits `user.create`.
    ///
    /// Returns the password that was made, if one was.
    pub async fn ensure_admin(&self, admin: FirstAdmin) -> Result<Option<Secret<String>>> {
        let (username, email) = (admin.username.clone(), admin.email.clone());
        let known = self
            .access
            .db()
            .read(move |tx| Box::pin(async move { store::is_taken(tx, &username, &email).await }))
            .await?;
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
            email: admin.email,
            first_name: admin.first_name,
            last_name: admin.last_name,
            tags: kernel::Tags::default(),
            metadata: kernel::Metadata::default(),
            private_metadata: kernel::Metadata::default(),
            role: Role::Admin,
            status: Status::Enabled,
            verified_at: None,
            created_at: permit.at(),
            updated_by: None,
            updated_at: None,
        };
        match self.insert(user, hash, permit, Arc::from("start")).await {
            Ok(_) => Ok(made),
            // Another node was first.
            Err(error) if error.kind() == kernel::Kind::Conflict => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Registers a user. Emits `user.create`.
    ///
    /// An administrator may make any user; anyone else only an ordinary, enabled one, and only where self-registration
    /// is switched on (reference 01 §13 item 1). Conflict where the user name or the address is taken.
    pub async fn register(&self, cx: Option<&Context>, request: &RequestInfo, new: NewUser) -> Result<User> {
        let id = UserId::generate(self.access.rng());
        let (permit, role, status) = match cx {
            Some(cx) if cx.is_platform_admin().await? => {
                (cx.authorize_platform_admin().await?, new.role, new.status)
            }
            _ if self.settings.self_register => {
                (Permit::of_oneself(id, request.at), Role::User, Status::Enabled)
            }
            Some(_) => return Err(Error::denied()),
            None => {
                return Err(Error::new(
                    kernel::Kind::Unauthenticated,
                    "missing or invalid bearer user token",
                ));
            }
        };
        if status == Status::Deleted {
            return Err(Error::invalid("invalid status"));
        }
        self.check_password(&new.password)?;
        let hash = self.access.passwords().hash(new.password).await?;
        let user = User {
            id,
            username: new.username,
            email: new.email,
            first_name: new.first_name,
            last_name: new.last_name,
            tags: new.tags.checked()?,
            metadata: new.metadata.checked()?,
            private_metadata: new.private_metadata.checked()?,
            role,
            status,
            verified_at: None,
            created_at: permit.at(),
            updated_by: None,
            updated_at: None,
        };
        self.insert(user, hash, permit, Arc::clone(&request.id)).await
    }

    async fn insert(
        &self,
        user: User,
        hash: PasswordHash,
        permit: Permit,
        request: Arc<str>,
    ) -> Result<User> {
        let access = self.access.clone();
        self.access
            .db()
            .write(move |tx| {
                Box::pin(async move {
                    store::insert(tx, &user, &hash).await?;
                    let enabled = user.status == Status::Enabled;
                    let account = Account { enabled, verified: false, generation: 0 };
                    access.accounts().create(tx, user.id, account).await?;
                    platform::admit(tx, &access, &permit, user.id, user.role.claimed()).await?;
                    access.emit(tx, events::created(&user, &permit, &request)).await?;
                    Ok(user)
                })
            })
            .await
    }

    /// The caller's own profile.
    pub async fn profile(&self, cx: &Context) -> Result<User> {
        let permit = cx.authorize_self()?;
        self.get(permit.actor()).await
    }

    /// A user, and whether the caller may see all of it: its own, or any for an administrator.
    pub async fn view(&self, cx: &Context, id: UserId) -> Result<(User, bool)> {
        let permit = cx.authorize_self()?;
        let whole = permit.actor() == id || cx.is_platform_admin().await?;
        Ok((self.get(id).await?, whole))
    }

    /// All users, for administrators of the platform.
    pub async fn list(&self, cx: &Context, query: Query) -> Result<Page<User>> {
        cx.authorize_platform_admin().await?;
        cx.scan(move |tx| Box::pin(async move { store::list(tx, &query).await })).await
    }

    /// Lets a user log in again; administrators only. Emits `user.enable`. Conflict where the user may already.
    pub async fn enable(&self, cx: &Context, id: UserId) -> Result<User> {
        let permit = cx.authorize_platform_admin().await?;
        self.set_status(cx, id, Status::Enabled, permit).await
    }

    /// Ends a user's sessions and keeps it from logging in; the user itself or an administrator. Emits `user.disable`.
    /// Conflict where it is disabled already, or is the last enabled administrator.
    pub async fn disable(&self, cx: &Context, id: UserId) -> Result<User> {
        let permit =
            if cx.caller().user == id { cx.authorize_self()? } else { cx.authorize_platform_admin().await? };
        self.set_status(cx, id, Status::Disabled, permit).await
    }

    /// Changes the caller's password and ends all of its sessions. Emits `user.update_secret`.
    pub async fn change_password(
        &self,
        cx: &Context,
        old: Secret<String>,
        new: Secret<String>,
    ) -> Result<User> {
        let permit = cx.authorize_self()?;
        let id = permit.actor();
        let account = id.to_string();
        let failures = self.access.failures();
        failures.admit(&account, cx.request().peer, cx.now())?;
        self.check_password(&new)?;
        let known =
            cx.read(move |tx| Box::pin(async move { store::get_with_password(tx, id).await })).await?;
        let known = known.ok_or_else(Error::not_found)?;
        if !self.access.passwords().verify(old, known.hash).await? {
            return Err(Error::new(kernel::Kind::Unauthenticated, "invalid credentials"));
        }
        failures.succeeded(&account, cx.request().peer);
        let hash = self.access.passwords().hash(new).await?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut user = store::get_for_update(tx, id).await?.ok_or_else(Error::not_found)?;
                touch(&mut user, &permit);
                store::update_password(tx, &user, &hash).await?;
                access.accounts().end_sessions(tx, id).await?;
                access.emit(tx, events::secret_updated(&user, &permit, &request)).await?;
                Ok(user)
            })
        })
        .await
    }

    async fn get(&self, id: UserId) -> Result<User> {
        let found =
            self.access.db().read(move |tx| Box::pin(async move { store::get(tx, id).await })).await?;
        found.ok_or_else(Error::not_found)
    }

    async fn set_status(&self, cx: &Context, id: UserId, status: Status, permit: Permit) -> Result<User> {
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                // Before the user's own row, so that two of them never wait for each other in a circle.
                let admins = store::enabled_admins(tx).await?;
                let mut user = store::get_for_update(tx, id).await?.ok_or_else(Error::not_found)?;
                if user.status == status {
                    return Err(Error::conflict("status already assigned"));
                }
                if status != Status::Enabled && user.role == Role::Admin && admins <= 1 {
                    return Err(Error::conflict("the platform must keep an enabled administrator"));
                }
                user.status = status;
                touch(&mut user, &permit);
                store::update_status(tx, &user).await?;
                access.accounts().set_enabled(tx, id, status == Status::Enabled).await?;
                access.emit(tx, events::status_changed(&user, &permit, &request)).await?;
                Ok(user)
            })
        })
        .await
    }

    fn check_password(&self, password: &Secret<String>) -> Result<()> {
        if password.expose().is_empty() {
            return Err(Error::invalid("missing password"));
        }
        if !self.settings.password_rule.is_match(password.expose()) {
            return Err(Error::invalid("password does not meet the requirements"));
        }
        Ok(())
    }
}

fn touch(user: &mut User, permit: &Permit) {
    user.updated_by = Some(permit.actor());
    user.updated_at = Some(permit.at());
}
