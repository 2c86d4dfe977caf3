//! The route of the explanation.

use access::Context;
use axum::extract::State;
use kernel::{DomainId, Error, PatId};
use serde::Deserialize;
use utoipa::IntoParams;
use web::{Json, Query, Route, Routes, Rule};

use super::{Explain, Explained, Inquiry};

/// The table.
pub fn routes(explain: Explain) -> Routes {
    Routes::new("auth")
        .add(
            Route::get("/authz/explain", why)
                .named("explain_authorization")
                .rule(Rule::SignedIn("about oneself; administrators about their domain or the platform"))
                .summary("Explain why somebody may do something, or why not")
                .description(
                    "Shows the path by which a request is allowed, or each condition that failed: account, scope of a \
                     personal access token, domain, permission, relations.",
                )
                .queries::<Parameters>()
                .answers::<Explained>(200),
        )
        .with(explain)
}

/// The question.
#[derive(Debug, Deserialize, IntoParams)]
struct Parameters {
    /// Who would do it: `user:<id, e-mail address or name>`.
    #[serde(default)]
    subject: String,
    /// With this personal access token of the user.
    pat: Option<PatId>,
    /// The operation, such as `clients.view`.
    operation: Option<String>,
    /// Or the permission, such as `read_permission`.
    permission: Option<String>,
    /// To what: `client:<id>`, `channel:<id>`, `group:<id>`, `domain:<id>` or `platform:magistrala`.
    #[serde(default)]
    object: String,
    /// The other thing of an operation on two: of a connection, of a move.
    with: Option<String>,
    /// The domain that it is said to be in; without it the domain that it is in.
    domain: Option<DomainId>,
}

async fn why(
    State(explain): State<Explain>,
    cx: Context,
    Query(asked): Query<Parameters>,
) -> web::Result<Json<Explained>> {
    let wanted = match (asked.operation, asked.permission) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid("name either an operation or a permission, not both").into());
        }
        (operation, permission) => operation.or(permission).unwrap_or_default(),
    };
    let inquiry = Inquiry {
        subject: asked.subject,
        pat: asked.pat,
        wanted,
        object: asked.object,
        with: asked.with,
        domain: asked.domain,
    };
    Ok(Json(explain.explain(&cx, inquiry).await?))
}
