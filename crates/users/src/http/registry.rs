//! Registering, finding and viewing users, and whether they may log in.

use access::{Context, RequestInfo, context::Unverified};
use axum::extract::State;
use http::StatusCode;
use kernel::{
    Error, Metadata, Result, Secret, Status, Tags, Timestamp, UserId,
    metadata::TagFilter,
    page::{Direction, PageRequest},
    status::StatusFilter,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use web::{Created, Empty, Json, Path, Query, Route, Routes, Rule};

use super::{
    MaybeCaller, required,
    views::{UserPage, UserView},
};
use crate::{
    Users,
    model::{self, Order, Role, Search},
};

pub(super) fn routes() -> Routes<Users> {
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
                .queries::<Listing>()
                .queries::<Filter>()
                .answers::<UserPage>(200),
        )
        .add(
            Route::get("/users/search", search)
                .named("search_users")
                .rule(Rule::SignedIn(
                    "finds enabled, ordinary users, and shows names and public metadata only",
                ))
                .summary("Search users by what they are called")
                .queries::<Listing>()
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
            Route::post("/users/{user}/enable", enable)
                .named("enable_user")
                .rule(Rule::SignedIn("administrators of the platform only"))
                .summary("Let a user log in again")
                .answers::<UserView>(200),
        )
        .add(
            Route::patch("/users/{user}/enable", set_enabled)
                .named("set_user_enabled")
                .rule(Rule::SignedIn("as enabling and disabling"))
                .summary("Enable or disable a user, as older clients say it")
                .takes::<Enabled>()
                .answers::<UserView>(200),
        )
        .add(
            Route::post("/users/{user}/disable", disable)
                .named("disable_user")
                .rule(Rule::SignedIn("the user itself and administrators of the platform"))
                .summary("End a user's sessions and keep it from logging in")
                .answers::<UserView>(200),
        )
        .add(
            Route::delete("/users/{user}", delete)
                .named("delete_user")
                .rule(Rule::SignedIn("the user itself and administrators of the platform"))
                .summary("Mark a user as deleted and end its sessions; it is removed later")
                .answers_empty(204),
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
    #[serde(default)]
    profile_picture: String,
    /// Who vouches for the account; an administrator's wish only.
    #[serde(default)]
    auth_provider: String,
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
            picture: self.profile_picture.parse()?,
            provider: Some(self.auth_provider)
                .filter(|name| !name.is_empty())
                .map(|name| name.parse())
                .transpose()?,
            role: self.role,
            status: self.status,
        })
    }
}

/// Which page of the users, in which order, and parts of what they are called.
#[derive(Debug, Deserialize, IntoParams)]
struct Listing {
    /// Rows to pass over.
    offset: Option<u64>,
    /// Rows on a page, 1 to 100.
    limit: Option<u64>,
    /// `created_at`, `updated_at`, `first_name`, `last_name`, `username` or `email`.
    #[serde(default, deserialize_with = "web::parsed")]
    #[param(value_type = Option<String>)]
    order: Option<Order>,
    /// `asc` or `desc`.
    #[serde(default, deserialize_with = "web::parsed")]
    #[param(value_type = Option<String>)]
    dir: Option<Direction>,
    /// Part of the user name.
    username: Option<String>,
    /// Part of the first name.
    first_name: Option<String>,
    /// Part of the last name.
    last_name: Option<String>,
    /// Part of the id.
    id: Option<String>,
    /// Only the number of users.
    #[serde(default)]
    only_total: bool,
}

impl Listing {
    fn parse(self) -> Result<model::Listing> {
        Ok(model::Listing {
            page: PageRequest::new(self.offset, self.limit, self.only_total)?,
            order: self.order.unwrap_or_default(),
            direction: self.dir.unwrap_or_default(),
            username: given(self.username),
            first_name: given(self.first_name),
            last_name: given(self.last_name),
            id: given(self.id),
        })
    }
}

fn given(part: Option<String>) -> Option<String> {
    part.filter(|part| !part.is_empty())
}

/// Which users to list, beyond what they are called.
#[derive(Debug, Deserialize, IntoParams)]
struct Filter {
    /// `enabled`, `disabled`, `deleted` or `all`.
    #[serde(default, deserialize_with = "web::parsed")]
    #[param(value_type = Option<String>)]
    status: Option<StatusFilter>,
    /// Part of the e-mail address.
    email: Option<String>,
    /// `a,b`: any of the tags; `a+b` (the plus sent as %2B): all of them.
    tags: Option<String>,
    /// A JSON object that the metadata contains.
    #[serde(default, deserialize_with = "web::json_value")]
    #[param(value_type = Option<String>)]
    metadata: Option<Metadata>,
    /// Made at this instant (RFC 3339) or later.
    created_from: Option<Timestamp>,
    /// Made at this instant (RFC 3339) or earlier.
    created_to: Option<Timestamp>,
}

impl Filter {
    fn of(self, listing: model::Listing) -> Result<model::Query> {
        Ok(model::Query {
            listing,
            status: self.status.unwrap_or_default(),
            email: given(self.email),
            tags: self.tags.as_deref().and_then(TagFilter::parse),
            metadata: self.metadata.map(Metadata::checked).transpose()?,
            created_from: self.created_from,
            created_to: self.created_to,
        })
    }
}

/// Whether a user may log in.
#[derive(Debug, Deserialize, ToSchema)]
struct Enabled {
    enabled: bool,
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
    Query(listing): Query<Listing>,
    Query(filter): Query<Filter>,
) -> web::Result<Json<UserPage>> {
    Ok(Json(UserPage::listed(users.list(&cx, filter.of(listing.parse()?)?).await?)))
}

async fn search(
    State(users): State<Users>,
    cx: Context,
    Query(listing): Query<Listing>,
) -> web::Result<Json<UserPage>> {
    Ok(Json(UserPage::found(users.search(&cx, Search::new(listing.parse()?)?).await?)))
}

async fn profile(State(users): State<Users>, Unverified(cx): Unverified) -> web::Result<Json<UserView>> {
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

async fn enable(
    State(users): State<Users>,
    cx: Context,
    Path(id): Path<UserId>,
) -> web::Result<Json<UserView>> {
    Ok(Json(users.enable(&cx, id).await?.into()))
}

async fn set_enabled(
    State(users): State<Users>,
    cx: Context,
    Path(id): Path<UserId>,
    Json(body): Json<Enabled>,
) -> web::Result<Json<UserView>> {
    let user = if body.enabled { users.enable(&cx, id).await? } else { users.disable(&cx, id).await? };
    Ok(Json(user.into()))
}

async fn disable(
    State(users): State<Users>,
    cx: Context,
    Path(id): Path<UserId>,
) -> web::Result<Json<UserView>> {
    Ok(Json(users.disable(&cx, id).await?.into()))
}

async fn delete(State(users): State<Users>, cx: Context, Path(id): Path<UserId>) -> web::Result<Empty> {
    users.delete(&cx, id).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}
