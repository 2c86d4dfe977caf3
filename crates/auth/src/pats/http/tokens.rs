//! The tokens themselves: made, listed, renamed, given a new secret, revoked, removed.

use std::time::Duration;

use access::pats::{
    model::{Description, PatName, PatStatus, StatusFilter},
    store::Query,
};
use axum::extract::State;
use http::StatusCode;
use kernel::{Error, PatId, Result, Secret, Timestamp, UserId, duration, page::PageRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use web::{Empty, Json, Path, Route, Routes};

use super::{OWN, Owner};
use crate::{
    Auth,
    pats::{NewPat, Shown},
};

pub(super) fn routes() -> Routes<Auth> {
    tokens().merge(secrets())
}

fn tokens() -> Routes<Auth> {
    Routes::new("auth")
        .add(
            Route::post("/pats", create)
                .named("create_pat")
                .rule(OWN)
                .summary("Make a personal access token")
                .description(
                    "It can do nothing until scopes are added to it. The answer shows the secret, which is not shown \
                     again. Changing your password suspends your tokens until their secrets are reset.",
                )
                .takes::<NewToken>()
                .answers::<PatView>(201),
        )
        .add(
            Route::get("/pats", list)
                .named("list_pats")
                .rule(OWN)
                .summary("List your personal access tokens")
                .queries::<ListQuery>()
                .answers::<PatPage>(200),
        )
        .add(
            Route::delete("/pats", delete_all)
                .named("clear_all_pat")
                .rule(OWN)
                .summary("Remove all of your personal access tokens")
                .answers_empty(200),
        )
        .add(
            Route::get("/pats/{pat}", view)
                .named("retrieve_pat")
                .rule(OWN)
                .summary("View a personal access token")
                .answers::<PatView>(200),
        )
        .add(
            Route::patch("/pats/{pat}/name", rename)
                .named("update_pat_name")
                .rule(OWN)
                .summary("Rename a personal access token")
                .takes::<NewName>()
                .answers::<PatView>(202),
        )
        .add(
            Route::patch("/pats/{pat}/description", describe)
                .named("update_pat_description")
                .rule(OWN)
                .summary("Describe a personal access token anew")
                .takes::<NewDescription>()
                .answers::<PatView>(202),
        )
        .add(
            Route::delete("/pats/{pat}", delete)
                .named("delete_pat")
                .rule(OWN)
                .summary("Remove a personal access token")
                .answers_empty(204),
        )
}

fn secrets() -> Routes<Auth> {
    Routes::new("auth")
        .add(
            Route::patch("/pats/{pat}/secret/reset", reset)
                .named("reset_pat_secret")
                .rule(OWN)
                .summary("Give a personal access token a new secret, also after it was revoked")
                .takes::<NewDuration>()
                .answers::<PatView>(200),
        )
        .add(
            Route::patch("/pats/{pat}/reset", reset)
                .named("reset_pat_secret_short")
                .rule(OWN)
                .summary("The older form of `/pats/{pat}/secret/reset`")
                .takes::<NewDuration>()
                .answers::<PatView>(200),
        )
        .add(
            Route::patch("/pats/{pat}/secret/revoke", revoke)
                .named("revoke_pat_secret")
                .rule(OWN)
                .summary("Void a personal access token until its secret is reset")
                .answers_empty(204),
        )
        .add(
            Route::patch("/pats/{pat}/revoke", revoke)
                .named("revoke_pat_secret_short")
                .rule(OWN)
                .summary("The older form of `/pats/{pat}/secret/revoke`")
                .answers_empty(204),
        )
}

/// What it takes to make a token.
#[derive(Debug, Deserialize, ToSchema)]
struct NewToken {
    /// What you call it.
    #[serde(default)]
    name: String,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// How long it is valid: `720h`, `30d`, `1y`.
    #[serde(default)]
    duration: String,
}

impl NewToken {
    fn parse(self) -> web::Result<NewPat> {
        Ok(NewPat {
            name: self.name.parse()?,
            description: Description::bounded(self.description)?,
            life: life(&self.duration)?,
        })
    }
}

/// The longest life of a token.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// How long a token is to live, in the words of the contract where that cannot be read.
fn life(text: &str) -> web::Result<Duration> {
    let life = duration::parse_long(text).filter(|life| !life.is_zero() && *life <= LONGEST);
    life.ok_or_else(|| {
        web::Error::from(Error::invalid("request body is not a valid JSON, expecting a valid JSON")).detail(
            "`duration`: give how long the token is valid, up to 100 years, such as `12h`, `30d`, `1h30m`",
        )
    })
}

/// A token's new name.
#[derive(Debug, Deserialize, ToSchema)]
struct NewName {
    #[serde(default)]
    name: String,
}

/// A token's new description.
#[derive(Debug, Deserialize, ToSchema)]
struct NewDescription {
    #[serde(default)]
    description: String,
}

/// How long the new secret is valid.
#[derive(Debug, Deserialize, ToSchema)]
struct NewDuration {
    /// `720h`, `30d`, `1y`.
    #[serde(default)]
    duration: String,
}

/// A personal access token as it is shown.
#[derive(Debug, Serialize, ToSchema)]
struct PatView {
    id: PatId,
    user_id: UserId,
    name: PatName,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    /// Shown when the token is made and when its secret is reset, nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    issued_at: Timestamp,
    expires_at: Timestamp,
    #[serde(with = "kernel::time::or_never")]
    #[schema(value_type = Timestamp)]
    updated_at: Option<Timestamp>,
    #[serde(with = "kernel::time::or_never")]
    #[schema(value_type = Timestamp)]
    last_used_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    revoked: bool,
    #[serde(with = "kernel::time::or_never")]
    #[schema(value_type = Timestamp)]
    revoked_at: Option<Timestamp>,
    status: PatStatus,
}

impl PatView {
    fn new(shown: Shown, now: Timestamp) -> Self {
        let status = shown.status(now);
        let pat = shown.pat;
        Self {
            id: pat.id,
            user_id: pat.user,
            name: pat.name,
            description: pat.description.as_str().to_owned(),
            secret: None,
            issued_at: pat.issued_at,
            expires_at: pat.expires_at,
            updated_at: pat.updated_at,
            last_used_at: pat.last_used_at,
            revoked: status == PatStatus::Revoked,
            revoked_at: pat.revoked_at,
            status,
        }
    }

    fn with_secret((shown, secret): (Shown, Secret<String>), now: Timestamp) -> Self {
        Self { secret: Some(secret.expose().clone()), ..Self::new(shown, now) }
    }
}

/// A page of personal access tokens.
#[derive(Debug, Serialize, ToSchema)]
struct PatPage {
    total: u64,
    offset: u64,
    limit: u64,
    pats: Vec<PatView>,
}

/// Which tokens to list.
#[derive(Debug, Deserialize, IntoParams)]
struct ListQuery {
    /// Rows to pass over.
    offset: Option<u64>,
    /// Rows on a page, 1 to 100.
    limit: Option<u64>,
    /// Part of the name.
    name: Option<String>,
    /// The id.
    id: Option<String>,
    /// `active`, `revoked`, `expired` or `all`.
    status: Option<String>,
}

impl ListQuery {
    fn parse(self) -> Result<Query> {
        let status: StatusFilter = self.status.as_deref().unwrap_or_default().parse()?;
        Ok(Query {
            page: PageRequest::new(self.offset, self.limit, false)?,
            name: self.name.filter(|name| !name.is_empty()),
            id: self.id.filter(|id| !id.is_empty()).map(|id| id.parse()).transpose()?,
            status,
        })
    }
}

async fn create(
    State(auth): State<Auth>,
    Owner(cx): Owner,
    Json(body): Json<NewToken>,
) -> web::Result<Json<PatView>> {
    let made = auth.create_pat(&cx, body.parse()?).await?;
    Ok(Json(PatView::with_secret(made, cx.now())))
}

async fn list(
    State(auth): State<Auth>,
    Owner(cx): Owner,
    web::Query(query): web::Query<ListQuery>,
) -> web::Result<Json<PatPage>> {
    let page = auth.list_pats(&cx, query.parse()?).await?;
    let now = cx.now();
    Ok(Json(PatPage {
        total: page.total,
        offset: page.request.offset,
        limit: page.request.limit,
        pats: page.items.into_iter().map(|shown| PatView::new(shown, now)).collect(),
    }))
}

async fn delete_all(State(auth): State<Auth>, Owner(cx): Owner) -> web::Result<Empty> {
    auth.delete_pats(&cx).await?;
    Ok(Empty(StatusCode::OK))
}

async fn view(
    State(auth): State<Auth>,
    Owner(cx): Owner,
    Path(pat): Path<PatId>,
) -> web::Result<Json<PatView>> {
    let shown = auth.view_pat(&cx, pat).await?;
    Ok(Json(PatView::new(shown, cx.now())))
}

async fn rename(
    State(auth): State<Auth>,
    Owner(cx): Owner,
    Path(pat): Path<PatId>,
    Json(body): Json<NewName>,
) -> web::Result<Json<PatView>> {
    let shown = auth.rename_pat(&cx, pat, body.name.parse()?).await?;
    Ok(Json(PatView::new(shown, cx.now())))
}

async fn describe(
    State(auth): State<Auth>,
    Owner(cx): Owner,
    Path(pat): Path<PatId>,
    Json(body): Json<NewDescription>,
) -> web::Result<Json<PatView>> {
    let shown = auth.describe_pat(&cx, pat, body.description.parse()?).await?;
    Ok(Json(PatView::new(shown, cx.now())))
}

async fn delete(State(auth): State<Auth>, Owner(cx): Owner, Path(pat): Path<PatId>) -> web::Result<Empty> {
    auth.delete_pat(&cx, pat).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

async fn reset(
    State(auth): State<Auth>,
    Owner(cx): Owner,
    Path(pat): Path<PatId>,
    Json(body): Json<NewDuration>,
) -> web::Result<Json<PatView>> {
    let reset = auth.reset_pat(&cx, pat, life(&body.duration)?).await?;
    Ok(Json(PatView::with_secret(reset, cx.now())))
}

async fn revoke(State(auth): State<Auth>, Owner(cx): Owner, Path(pat): Path<PatId>) -> web::Result<Empty> {
    auth.revoke_pat(&cx, pat).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}
