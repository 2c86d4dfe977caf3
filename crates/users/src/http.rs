//! The users' routes and wire shapes (reference 01 §3–5).

use access::{Access, Context, RequestInfo, identity::keys::KeySet};
use axum::{
    extract::{FromRef, FromRequestParts, State},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header, request::Parts};
use kernel::{
    Error, Kind, Metadata, Page, Result, Secret, Status, Tags, Timestamp, UserId, page::PageRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use web::{Bearer, Created, Empty, Json, Path, Query, Route, Routes, Rule};

use crate::{
    Users,
    login::TokenPair,
    model::{self, Role, User},
};

/// Users and their sessions.
pub fn routes(users: Users) -> Routes {
    registry().merge(sessions()).with(users)
}

/// The keys that verify tokens.
pub fn key_routes(users: Users) -> Routes {
    keys().with(users)
}

fn registry() -> Routes<Users> {
    Routes::new("users")
        .add(
            Route::post("/users", register)
                .named("register_user")
                .rule(Rule::Public(
                    "the use case takes an administrator's token, or none where anyone may register",
                ))
                .summary("Register a user")
                .takes::<NewUser>()
                .answers::<UserView>(201),
        )
        .add(
            Route::get("/users", list)
                .named("list_users")
                .rule(Rule::SignedIn("administrators of the platform only"))
                .summary("List users")
                .queries::<ListQuery>()
                .answers::<UserPage>(200),
        )
        .add(
            Route::get("/users/profile", profile)
                .named("view_profile")
                .rule(Rule::SignedIn("the caller's own profile"))
                .summary("View your own profile")
                .answers::<UserView>(200),
        )
        .add(
            Route::get("/users/{user}", view)
                .named("view_user")
                .rule(Rule::SignedIn("others than the user and administrators see id and names only"))
                .summary("View a user")
                .answers::<UserView>(200),
        )
        .add(
            Route::patch("/users/secret", change_password)
                .named("update_user_secret")
                .rule(Rule::SignedIn("the caller's own password, with the old one"))
                .summary("Change your password and end all of your sessions")
                .takes::<PasswordChange>()
                .answers::<UserView>(200),
        )
        .add(
            Route::post("/users/{user}/enable", enable)
                .named("enable_user")
                .rule(Rule::SignedIn("administrators of the platform only"))
                .summary("Let a user log in again")
                .answers::<UserView>(200),
        )
        .add(
            Route::post("/users/{user}/disable", disable)
                .named("disable_user")
                .rule(Rule::SignedIn("the user itself and administrators of the platform"))
                .summary("End a user's sessions and keep it from logging in")
                .answers::<UserView>(200),
        )
}

fn sessions() -> Routes<Users> {
    Routes::new("users")
        .add(
            Route::post("/users/tokens/issue", log_in)
                .named("issue_token")
                .rule(Rule::Public("this is how callers get their credentials"))
                .summary("Log in")
                .takes::<Login>()
                .answers::<Tokens>(201),
        )
        .add(
            Route::post("/users/tokens/refresh", refresh)
                .named("refresh_token")
                .rule(Rule::Public("the use case takes the refresh token"))
                .summary("Exchange a refresh token, sent as the bearer token, for a new pair")
                .answers::<Tokens>(201),
        )
        .add(
            Route::post("/users/tokens/revoke", log_out)
                .named("revoke_refresh_token")
                .rule(Rule::SignedIn("the caller's own sessions"))
                .summary("End one of your sessions")
                .takes::<Revocation>()
                .answers_empty(204),
        )
        .add(
            Route::get("/users/tokens/refresh-tokens", list_sessions)
                .named("list_active_refresh_tokens")
                .rule(Rule::SignedIn("the caller's own sessions"))
                .summary("List your sessions")
                .answers::<Sessions>(200),
        )
}

fn keys() -> Routes<Users> {
    Routes::new("auth").add(
        Route::get("/keys/.well-known/jwks.json", public_keys)
            .named("retrieve_jwks")
            .rule(Rule::Public("public keys"))
            .summary("The public keys that verify tokens")
            .answers::<KeySet>(200),
    )
}

/// What it takes to register.
#[derive(Debug, Deserialize, ToSchema)]
struct NewUser {
    #[serde(default)]
    first_name: String,
    #[serde(default)]
    last_name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    credentials: NewCredentials,
    #[serde(default)]
    tags: Option<Tags>,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    private_metadata: Metadata,
    /// `enabled` or `disabled`; an administrator's wish only.
    #[serde(default)]
    status: Status,
    /// `user` or `admin`; an administrator's wish only.
    #[serde(default)]
    role: Role,
}

/// How a new user logs in.
#[derive(Debug, Default, Deserialize, ToSchema)]
struct NewCredentials {
    #[serde(default)]
    username: String,
    /// The password.
    #[schema(value_type = String)]
    secret: Option<Secret<String>>,
}

impl NewUser {
    /// The order of the checks is the contract's (reference 01 §5.4).
    fn parse(self) -> Result<model::NewUser> {
        let first_name = self.first_name.parse()?;
        let last_name = self.last_name.parse()?;
        required(&self.first_name, "missing first name")?;
        required(&self.last_name, "missing last name")?;
        required(&self.credentials.username, "missing username")?;
        let username = self.credentials.username.parse()?;
        required(&self.email, "missing email")?;
        let email = self.email.parse()?;
        let password = self.credentials.secret.filter(|secret| !secret.expose().is_empty());
        Ok(model::NewUser {
            username,
            email,
            first_name,
            last_name,
            password: password.ok_or_else(|| Error::invalid("missing password"))?,
            tags: self.tags.unwrap_or_default(),
            metadata: self.metadata,
            private_metadata: self.private_metadata,
            role: self.role,
            status: self.status,
        })
    }
}

fn required(text: &str, message: &'static str) -> Result<()> {
    if text.is_empty() { Err(Error::invalid(message)) } else { Ok(()) }
}

/// The old password and the new one.
#[derive(Debug, Deserialize, ToSchema)]
struct PasswordChange {
    #[schema(value_type = String)]
    old_secret: Option<Secret<String>>,
    #[schema(value_type = String)]
    new_secret: Option<Secret<String>>,
}

/// User name or e-mail address, and password. The older names of both are understood.
#[derive(Debug, Deserialize, ToSchema)]
struct Login {
    #[serde(default, alias = "identity")]
    username: String,
    #[serde(alias = "secret")]
    #[schema(value_type = String)]
    password: Option<Secret<String>>,
    /// What to call the session in the list of sessions.
    #[serde(default)]
    description: String,
}

/// The session to end.
#[derive(Debug, Deserialize, ToSchema)]
struct Revocation {
    /// Its id, as the list of sessions shows it.
    #[serde(default)]
    token_id: String,
}

/// A pair of tokens.
#[derive(Debug, Serialize, ToSchema)]
struct Tokens {
    /// Goes into `Authorization: Bearer …`.
    access_token: String,
    /// Goes to `/users/tokens/refresh` before the session ends.
    refresh_token: String,
}

impl From<TokenPair> for Tokens {
    fn from(pair: TokenPair) -> Self {
        Self { access_token: pair.access.expose().clone(), refresh_token: pair.refresh.expose().clone() }
    }
}

/// The caller's sessions.
#[derive(Debug, Serialize, ToSchema)]
struct Sessions {
    refresh_tokens: Vec<SessionView>,
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
struct SessionView {
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
}

/// A user as it is shown.
#[derive(Debug, Serialize, ToSchema)]
struct UserView {
    id: UserId,
    first_name: model::PersonName,
    last_name: model::PersonName,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<model::Email>,
    #[serde(skip_serializing_if = "Tags::is_empty")]
    tags: Tags,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: Metadata,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    private_metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    credentials: CredentialsView,
    #[serde(with = "kernel::time::or_never")]
    #[schema(value_type = Timestamp)]
    created_at: Option<Timestamp>,
    #[serde(with = "kernel::time::or_never")]
    #[schema(value_type = Timestamp)]
    updated_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_by: Option<UserId>,
    #[serde(with = "kernel::time::or_never")]
    #[schema(value_type = Timestamp)]
    verified_at: Option<Timestamp>,
}

/// How a user logs in; the password is never shown.
#[derive(Debug, Serialize, ToSchema)]
struct CredentialsView {
    username: model::Username,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            first_name: user.first_name,
            last_name: user.last_name,
            email: Some(user.email),
            tags: user.tags,
            metadata: user.metadata,
            private_metadata: user.private_metadata,
            status: Some(user.status),
            role: Some(user.role),
            credentials: CredentialsView { username: user.username },
            created_at: Some(user.created_at),
            updated_at: user.updated_at,
            updated_by: user.updated_by,
            verified_at: user.verified_at,
        }
    }
}

impl UserView {
    /// What other users may see: id, names, public metadata (reference 01 §5.4).
    fn for_others(user: User) -> Self {
        Self {
            email: None,
            tags: Tags::default(),
            private_metadata: Metadata::default(),
            status: None,
            role: None,
            created_at: None,
            updated_at: None,
            updated_by: None,
            verified_at: None,
            ..Self::from(user)
        }
    }
}

/// A page of users.
#[derive(Debug, Serialize, ToSchema)]
struct UserPage {
    total: u64,
    offset: u64,
    limit: u64,
    users: Vec<UserView>,
}

impl From<Page<User>> for UserPage {
    fn from(page: Page<User>) -> Self {
        let listed = |user| UserView { private_metadata: Metadata::default(), ..UserView::from(user) };
        Self {
            total: page.total,
            offset: page.request.offset,
            limit: page.request.limit,
            users: page.items.into_iter().map(listed).collect(),
        }
    }
}

/// Which users to list.
#[derive(Debug, Deserialize, IntoParams)]
struct ListQuery {
    /// Rows to pass over.
    offset: Option<u64>,
    /// Rows on a page, 1 to 100.
    limit: Option<u64>,
    /// `asc` or `desc`, by the time of the last change.
    dir: Option<String>,
    /// `enabled`, `disabled`, `deleted` or `all`.
    status: Option<String>,
    /// Part of the user name.
    username: Option<String>,
    /// Part of the e-mail address.
    email: Option<String>,
    /// Only the number of users.
    #[serde(default)]
    only_total: bool,
}

impl ListQuery {
    fn parse(self) -> Result<model::Query> {
        Ok(model::Query {
            page: PageRequest::new(self.offset, self.limit, self.only_total)?,
            direction: self.dir.as_deref().unwrap_or_default().parse()?,
            status: self.status.as_deref().unwrap_or_default().parse()?,
            username: self.username.filter(|part| !part.is_empty()),
            email: self.email.filter(|part| !part.is_empty()),
        })
    }
}

/// The caller where the request names one: a bad token is still refused.
struct MaybeCaller(Option<Context>);

impl<S: Send + Sync> FromRequestParts<S> for MaybeCaller
where
    Access: FromRef<S>,
{
    type Rejection = web::Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> web::Result<Self> {
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(Self(None));
        }
        Context::from_request_parts(parts, state).await.map(Some).map(Self)
    }
}

async fn register(
    State(users): State<Users>,
    MaybeCaller(cx): MaybeCaller,
    request: RequestInfo,
    Json(body): Json<NewUser>,
) -> web::Result<Created<UserView>> {
    let user = users.register(cx.as_ref(), &request, body.parse()?).await?;
    Ok(Created(format!("/users/{}", user.id), user.into()))
}

async fn list(
    State(users): State<Users>,
    cx: Context,
    Query(query): Query<ListQuery>,
) -> web::Result<Json<UserPage>> {
    Ok(Json(users.list(&cx, query.parse()?).await?.into()))
}

async fn profile(State(users): State<Users>, cx: Context) -> web::Result<Json<UserView>> {
    Ok(Json(users.profile(&cx).await?.into()))
}

async fn view(
    State(users): State<Users>,
    cx: Context,
    Path(id): Path<UserId>,
) -> web::Result<Json<UserView>> {
    let (user, whole) = users.view(&cx, id).await?;
    Ok(Json(if whole { user.into() } else { UserView::for_others(user) }))
}

async fn change_password(
    State(users): State<Users>,
    cx: Context,
    Json(body): Json<PasswordChange>,
) -> web::Result<Json<UserView>> {
    let missing = || Error::invalid("missing secret");
    let (old, new) = (body.old_secret.ok_or_else(missing)?, body.new_secret.ok_or_else(missing)?);
    Ok(Json(users.change_password(&cx, old, new).await?.into()))
}

async fn enable(
    State(users): State<Users>,
    cx: Context,
    Path(id): Path<UserId>,
) -> web::Result<Json<UserView>> {
    Ok(Json(users.enable(&cx, id).await?.into()))
}

async fn disable(
    State(users): State<Users>,
    cx: Context,
    Path(id): Path<UserId>,
) -> web::Result<Json<UserView>> {
    Ok(Json(users.disable(&cx, id).await?.into()))
}

async fn log_in(
    State(users): State<Users>,
    request: RequestInfo,
    Json(body): Json<Login>,
) -> web::Result<Json<Tokens>> {
    let password = body.password.unwrap_or_else(|| Secret::new(String::new()));
    Ok(Json(users.log_in(&request, &body.username, password, body.description).await?.into()))
}

async fn refresh(
    State(users): State<Users>,
    request: RequestInfo,
    Bearer(token): Bearer,
) -> web::Result<Json<Tokens>> {
    let token =
        token.ok_or_else(|| Error::new(Kind::Unauthenticated, "missing or invalid bearer user token"))?;
    Ok(Json(users.refresh(&request, &token).await?.into()))
}

async fn log_out(
    State(users): State<Users>,
    cx: Context,
    Json(body): Json<Revocation>,
) -> web::Result<Empty> {
    required(&body.token_id, "missing entity id")?;
    users.log_out(&cx, body.token_id).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

async fn list_sessions(State(users): State<Users>, cx: Context) -> web::Result<Json<Sessions>> {
    let sessions = users.sessions(&cx).await?;
    let views = sessions.into_iter().map(|s| SessionView { id: s.id, description: s.description });
    Ok(Json(Sessions { refresh_tokens: views.collect() }))
}

async fn public_keys(State(users): State<Users>) -> Response {
    // Others may keep the keys for a while (reference 01 §2.3): a retiring key verifies longer than that.
    let cached = HeaderValue::from_static("public, max-age=900, stale-while-revalidate=60");
    ([(header::CACHE_CONTROL, cached)], Json(users.access.tokens().public_keys())).into_response()
}
