//! Changing a user.

use access::{Context, context::Unverified};
use axum::extract::State;
use kernel::{Error, Metadata, Secret, Tags, UserId};
use serde::Deserialize;
use utoipa::ToSchema;
use web::{Json, Path, Route, Routes, Rule};

use super::{required, views::UserView};
use crate::{
    Users,
    model::{self, Role},
};

const SELF_OR_ADMIN: Rule = Rule::SignedIn("the user itself and administrators of the platform");

pub(super) fn routes() -> Routes<Users> {
    Routes::new("users")
        .add(
            Route::patch("/users/{user}", update)
                .named("update_user")
                .rule(SELF_OR_ADMIN)
                .summary("Change a user's names and metadata")
                .takes::<ProfileChange>()
                .answers::<UserView>(200),
        )
        .add(
            Route::patch("/users/{user}/tags", update_tags)
                .named("update_user_tags")
                .rule(SELF_OR_ADMIN)
                .summary("Replace a user's tags")
                .takes::<NewTags>()
                .answers::<UserView>(200),
        )
        .add(
            Route::patch("/users/{user}/picture", update_picture)
                .named("update_profile_picture")
                .rule(SELF_OR_ADMIN)
                .summary("Replace a user's picture, or take it away")
                .takes::<NewPicture>()
                .answers::<UserView>(200),
        )
        .add(
            Route::patch("/users/{user}/email", update_email)
                .named("update_user_email")
                .rule(SELF_OR_ADMIN)
                .summary("Replace a user's e-mail address, which has to be verified anew")
                .takes::<NewEmail>()
                .answers::<UserView>(200),
        )
        .add(
            Route::patch("/users/{user}/username", update_username)
                .named("update_usernames")
                .rule(SELF_OR_ADMIN)
                .summary("Replace a user's name to log in with")
                .takes::<NewUsername>()
                .answers::<UserView>(200),
        )
        .add(
            Route::patch("/users/{user}/role", update_role)
                .named("update_user_role")
                .rule(Rule::SignedIn("administrators of the platform only"))
                .summary("Make a user an administrator of the platform, or an ordinary user")
                .takes::<NewRole>()
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
}

/// What can be changed; what is absent or an empty name stays. Metadata is replaced as a whole.
#[derive(Debug, Deserialize, ToSchema)]
struct ProfileChange {
    #[serde(default)]
    first_name: String,
    #[serde(default)]
    last_name: String,
    metadata: Option<Metadata>,
    private_metadata: Option<Metadata>,
}

/// The tags that replace the present ones.
#[derive(Debug, Deserialize, ToSchema)]
struct NewTags {
    #[serde(default)]
    tags: Option<Tags>,
}

/// The picture that replaces the present one; an empty one takes it away.
#[derive(Debug, Deserialize, ToSchema)]
struct NewPicture {
    #[serde(default)]
    profile_picture: String,
}

/// The address that replaces the present one.
#[derive(Debug, Deserialize, ToSchema)]
struct NewEmail {
    #[serde(default)]
    email: String,
    /// The password. With it a lost password can be set anew by the address as soon as that is verified; without it only
    /// after seven days.
    #[schema(value_type = Option<String>)]
    secret: Option<Secret<String>>,
}

/// The name to log in with that replaces the present one.
#[derive(Debug, Deserialize, ToSchema)]
struct NewUsername {
    #[serde(default)]
    username: String,
}

/// The role that replaces the present one.
#[derive(Debug, Deserialize, ToSchema)]
struct NewRole {
    /// `user` or `admin`.
    #[serde(default)]
    role: Role,
}

/// The old password and the new one.
#[derive(Debug, Deserialize, ToSchema)]
struct PasswordChange {
    #[schema(value_type = String)]
    old_secret: Option<Secret<String>>,
    #[schema(value_type = String)]
    new_secret: Option<Secret<String>>,
}

async fn update(
    State(users): State<Users>,
    cx: Context,
    Path(id): Path<UserId>,
    Json(body): Json<ProfileChange>,
) -> web::Result<Json<UserView>> {
    let name = |text: String| Some(text).filter(|text| !text.is_empty()).map(|text| text.parse()).transpose();
    let change = model::Change {
        first_name: name(body.first_name)?,
        last_name: name(body.last_name)?,
        metadata: body.metadata,
        private_metadata: body.private_metadata,
        ..model::Change::default()
    };
    Ok(Json(users.update(&cx, id, change).await?.into()))
}

async fn update_tags(
    State(users): State<Users>,
    cx: Context,
    Path(id): Path<UserId>,
    Json(body): Json<NewTags>,
) -> web::Result<Json<UserView>> {
    Ok(Json(users.update_tags(&cx, id, body.tags.unwrap_or_default()).await?.into()))
}

async fn update_picture(
    State(users): State<Users>,
    cx: Context,
    Path(id): Path<UserId>,
    Json(body): Json<NewPicture>,
) -> web::Result<Json<UserView>> {
    Ok(Json(users.update_picture(&cx, id, body.profile_picture.parse()?).await?.into()))
}

async fn update_email(
    State(users): State<Users>,
    Unverified(cx): Unverified,
    Path(id): Path<UserId>,
    Json(body): Json<NewEmail>,
) -> web::Result<Json<UserView>> {
    required(&body.email, "missing email")?;
    Ok(Json(
        users
            .update_email(
                &cx,
                id,
                body.email.parse()?,
                body.secret.filter(|secret| !secret.expose().is_empty()),
            )
            .await?
            .into(),
    ))
}

async fn update_username(
    State(users): State<Users>,
    cx: Context,
    Path(id): Path<UserId>,
    Json(body): Json<NewUsername>,
) -> web::Result<Json<UserView>> {
    required(&body.username, "missing username")?;
    Ok(Json(users.update_username(&cx, id, body.username.parse()?).await?.into()))
}

async fn update_role(
    State(users): State<Users>,
    cx: Context,
    Path(id): Path<UserId>,
    Json(body): Json<NewRole>,
) -> web::Result<Json<UserView>> {
    Ok(Json(users.update_role(&cx, id, body.role).await?.into()))
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
