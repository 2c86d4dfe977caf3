//! What a token is good for.

use access::pats::{Scope, model::StoredScope};
use axum::extract::State;
use http::StatusCode;
use kernel::{Error, Page, PatId, Result, page::PageRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use web::{Empty, Json, Path, Route, Routes};

use super::{OWN, Owner};
use crate::{Auth, pats::MOST_SCOPES};

pub(super) fn routes() -> Routes<Auth> {
    Routes::new("auth")
        .add(
            Route::patch("/pats/{pat}/scope/add", add_scopes)
                .named("add_pat_scope")
                .rule(OWN)
                .summary("Say what a personal access token is good for")
                .description(
                    "`*` as entity_id is any thing of that kind in the domain. A request needs the scope and your own \
                     right.",
                )
                .takes::<NewScopes>()
                .answers_empty(200),
        )
        .add(
            Route::get("/pats/{pat}/scope", list_scopes)
                .named("list_scopes")
                .rule(OWN)
                .summary("List what a personal access token is good for")
                .queries::<PageQuery>()
                .answers::<ScopePage>(200),
        )
        .add(
            Route::get("/pats/{pat}/scopes", list_scopes)
                .named("list_scopes_plural")
                .rule(OWN)
                .summary("The older form of `/pats/{pat}/scope`")
                .queries::<PageQuery>()
                .answers::<ScopePage>(200),
        )
        .add(
            Route::patch("/pats/{pat}/scope/remove", remove_scopes)
                .named("remove_pat_scope")
                .rule(OWN)
                .summary("Remove some of a personal access token's scopes")
                .takes::<ScopeIds>()
                .answers_empty(200),
        )
        .add(
            Route::delete("/pats/{pat}/scope", clear_scopes)
                .named("clear_pat_all_scope")
                .rule(OWN)
                .summary("Remove all of a personal access token's scopes")
                .answers_empty(200),
        )
}

/// What to add.
#[derive(Debug, Deserialize, ToSchema)]
struct NewScopes {
    #[serde(default)]
    scopes: Vec<NewScope>,
}

/// One thing that a token is to be good for.
#[derive(Debug, Deserialize, ToSchema)]
struct NewScope {
    /// The domain; `*` for creating and listing domains and for invitations.
    #[serde(default)]
    domain_id: String,
    /// The older name of `domain_id`, which counts where that is not given (reference 02 §12).
    #[serde(default)]
    #[schema(ignore)]
    optional_domain_id: String,
    /// `groups`, `channels`, `clients`, `bootstrap`, `dashboards`, `messages`, `domains`, `rules` or `reports`.
    #[serde(default)]
    entity_type: String,
    /// The thing's id, or `*` for any.
    #[serde(default)]
    entity_id: String,
    /// What may be done: `view`, `update`, `create_clients`, …
    #[serde(default)]
    operation: String,
}

impl NewScopes {
    fn parse(self) -> Result<Vec<Scope>> {
        if self.scopes.is_empty() {
            return Err(Error::invalid("something went wrong with the request"));
        }
        let scope = |new: &NewScope| {
            let domain = if new.domain_id.is_empty() { &new.optional_domain_id } else { &new.domain_id };
            Scope::new(domain, &new.entity_type, &new.entity_id, &new.operation)
        };
        self.scopes.iter().map(scope).collect()
    }
}

/// What to remove.
#[derive(Debug, Deserialize, ToSchema)]
struct ScopeIds {
    /// The ids of scopes.
    #[serde(default)]
    scopes_id: Vec<String>,
}

/// Which part of a list.
#[derive(Debug, Deserialize, IntoParams)]
struct PageQuery {
    /// Rows to pass over.
    offset: Option<u64>,
    /// Rows on a page, 1 to 100.
    limit: Option<u64>,
}

/// A page of scopes.
#[derive(Debug, Serialize, ToSchema)]
struct ScopePage {
    total: u64,
    offset: u64,
    limit: u64,
    scopes: Vec<ScopeView>,
}

/// One thing that a token is good for.
#[derive(Debug, Serialize, ToSchema)]
struct ScopeView {
    id: String,
    pat_id: PatId,
    domain_id: String,
    entity_type: &'static str,
    entity_id: String,
    operation: &'static str,
}

impl ScopeView {
    fn new(pat: PatId, stored: StoredScope) -> Self {
        let StoredScope { id, scope } = stored;
        Self {
            id,
            pat_id: pat,
            domain_id: scope.domain(),
            entity_type: scope.entity_type().word(),
            entity_id: scope.entity(),
            operation: scope.operation(),
        }
    }
}

impl ScopePage {
    fn new(pat: PatId, page: Page<StoredScope>) -> Self {
        Self {
            total: page.total,
            offset: page.request.offset,
            limit: page.request.limit,
            scopes: page.items.into_iter().map(|stored| ScopeView::new(pat, stored)).collect(),
        }
    }
}

async fn add_scopes(
    State(auth): State<Auth>,
    Owner(cx): Owner,
    Path(pat): Path<PatId>,
    Json(body): Json<NewScopes>,
) -> web::Result<Empty> {
    auth.add_scopes(&cx, pat, body.parse()?).await?;
    Ok(Empty(StatusCode::OK))
}

async fn list_scopes(
    State(auth): State<Auth>,
    Owner(cx): Owner,
    Path(pat): Path<PatId>,
    web::Query(query): web::Query<PageQuery>,
) -> web::Result<Json<ScopePage>> {
    let page = PageRequest::new(query.offset, query.limit, false)?;
    Ok(Json(ScopePage::new(pat, auth.list_scopes(&cx, pat, page).await?)))
}

async fn remove_scopes(
    State(auth): State<Auth>,
    Owner(cx): Owner,
    Path(pat): Path<PatId>,
    Json(body): Json<ScopeIds>,
) -> web::Result<Empty> {
    if body.scopes_id.is_empty() || body.scopes_id.len() > MOST_SCOPES {
        return Err(Error::invalid("something went wrong with the request").into());
    }
    auth.remove_scopes(&cx, pat, body.scopes_id).await?;
    Ok(Empty(StatusCode::OK))
}

async fn clear_scopes(
    State(auth): State<Auth>,
    Owner(cx): Owner,
    Path(pat): Path<PatId>,
) -> web::Result<Empty> {
    auth.clear_scopes(&cx, pat).await?;
    Ok(Empty(StatusCode::OK))
}
