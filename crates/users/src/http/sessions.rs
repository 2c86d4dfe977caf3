//! Logging in and out.

use access::{RequestInfo, context::Unverified};
use axum::extract::State;
use http::StatusCode;
use kernel::{Error, Kind, Secret};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Bearer, Empty, Json, Route, Routes, Rule};

use super::required;
use crate::{Users, login::TokenPair};

pub(super) fn routes() -> Routes<Users> {
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

/// User name or e-mail address, and password. Their older names are understood where they themselves are not given
/// (reference 01 §11).
#[derive(Debug, Deserialize, ToSchema)]
struct Login {
    #[serde(default)]
    username: String,
    #[serde(default)]
    #[schema(ignore)]
    identity: String,
    #[schema(value_type = String)]
    password: Option<Secret<String>>,
    #[schema(ignore)]
    secret: Option<Secret<String>>,
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

async fn log_in(
    State(users): State<Users>,
    request: RequestInfo,
    Json(body): Json<Login>,
) -> web::Result<Json<Tokens>> {
    let username = if body.username.is_empty() { body.identity } else { body.username };
    let password = body.password.or(body.secret).unwrap_or_else(|| Secret::new(String::new()));
    Ok(Json(users.log_in(&request, &username, password, body.description).await?.into()))
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
    Unverified(cx): Unverified,
    Json(body): Json<Revocation>,
) -> web::Result<Empty> {
    required(&body.token_id, "missing entity id")?;
    users.log_out(&cx, body.token_id).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

async fn list_sessions(
    State(users): State<Users>,
    Unverified(cx): Unverified,
) -> web::Result<Json<Sessions>> {
    let sessions = users.sessions(&cx).await?;
    let views = sessions.into_iter().map(|s| SessionView { id: s.id, description: s.description });
    Ok(Json(Sessions { refresh_tokens: views.collect() }))
}
