//! Verifying an address and getting a new password, by way of mails.

use access::{RequestInfo, context::Unverified};
use axum::{
    extract::State,
    response::{Html, IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use kernel::{Error, Kind, Secret};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use web::{Bearer, Empty, Json, Query, Route, Routes, Rule};

use super::required;
use crate::Users;

pub(super) fn routes() -> Routes<Users> {
    Routes::new("users")
        .add(
            Route::post("/users/send-verification", send_verification)
                .named("send_verification")
                .rule(Rule::SignedIn("the caller's own address"))
                .summary("Ask for a mail that verifies your e-mail address")
                .answers_empty(200),
        )
        .add(
            Route::get("/verify-email", verify_email)
                .named("verify_email")
                .rule(Rule::Public("the token from the mail is what it takes"))
                .summary("Verify an e-mail address with the token from the mail")
                .queries::<Verification>()
                .answers_empty(200),
        )
        .add(
            Route::post("/password/reset-request", request_reset)
                .named("send_password_reset")
                .rule(Rule::Public("whoever has lost the password; the answer is the same for every address"))
                .summary("Ask for a mail with a link to a new password")
                .takes::<ResetRequest>()
                .answers::<ResetRequested>(201),
        )
        .add(
            Route::put("/password/reset", reset)
                .named("reset_secret")
                .rule(Rule::Public("the recovery token from the mail is what it takes"))
                .summary("Set a new password with the token from the mail, sent as the bearer token")
                .takes::<Reset>()
                .answers::<Done>(201),
        )
}

/// What the link in the mail holds.
#[derive(Debug, Deserialize, IntoParams)]
struct Verification {
    /// The token.
    #[param(value_type = Option<String>)]
    token: Option<Secret<String>>,
}

/// Whose password is lost.
#[derive(Debug, Deserialize, ToSchema)]
struct ResetRequest {
    #[serde(default)]
    email: String,
}

/// The same for every address.
#[derive(Debug, Serialize, ToSchema)]
struct ResetRequested {
    msg: &'static str,
}

/// The new password, twice.
#[derive(Debug, Deserialize, ToSchema)]
struct Reset {
    /// The recovery token, where it is not sent as the bearer token.
    #[schema(value_type = Option<String>)]
    token: Option<Secret<String>>,
    #[schema(value_type = String)]
    password: Option<Secret<String>>,
    #[schema(value_type = String)]
    confirm_password: Option<Secret<String>>,
}

/// Nothing more to say.
#[derive(Debug, Serialize, ToSchema)]
struct Done {}

async fn send_verification(State(users): State<Users>, Unverified(cx): Unverified) -> web::Result<Empty> {
    users.send_verification(&cx).await?;
    Ok(Empty(StatusCode::OK))
}

async fn verify_email(
    State(users): State<Users>,
    request: RequestInfo,
    headers: HeaderMap,
    Query(asked): Query<Verification>,
) -> web::Result<Response> {
    let token = asked.token.unwrap_or_else(|| Secret::new(String::new()));
    let outcome = users.verify_email(&request, &token).await;
    if !is_a_browser(&headers) {
        outcome?;
        return Ok(Empty(StatusCode::OK).into_response());
    }
    Ok(match outcome {
        Ok(()) => page(StatusCode::OK, "Your e-mail address is verified. You may close this page."),
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Unprocessable) => page(
            web::status(error.kind()),
            "This link is not valid, was used already or has expired. Log in and ask for another mail.",
        ),
        Err(error) => return Err(error.into()),
    })
}

/// Browsers ask for HTML first; programs do not ask for it at all.
fn is_a_browser(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.split(',').next().is_some_and(|first| first.trim().starts_with("text/html"))
}

/// A page with a fixed sentence.
fn page(status: StatusCode, sentence: &'static str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>E-mail address</title></head>\
         <body style=\"font-family: sans-serif; margin: 3em\"><p>{sentence}</p></body></html>"
    );
    (status, Html(html)).into_response()
}

async fn request_reset(
    State(users): State<Users>,
    request: RequestInfo,
    Json(body): Json<ResetRequest>,
) -> web::Result<Json<ResetRequested>> {
    required(&body.email, "missing email")?;
    users.request_reset(&request, &body.email.parse()?).await?;
    Ok(Json(ResetRequested { msg: "Email with reset link is sent" }))
}

async fn reset(
    State(users): State<Users>,
    request: RequestInfo,
    Bearer(bearer): Bearer,
    Json(body): Json<Reset>,
) -> web::Result<Json<Done>> {
    let given = |text: Option<Secret<String>>, message| {
        text.filter(|text| !text.expose().is_empty()).ok_or_else(|| Error::invalid(message))
    };
    let token = bearer
        .or(body.token)
        .filter(|token| !token.expose().is_empty())
        .ok_or_else(|| Error::new(Kind::Unauthenticated, "missing or invalid bearer user token"))?;
    let password = given(body.password, "missing password")?;
    let confirmed = given(body.confirm_password, "missing conf password")?;
    if password != confirmed {
        return Err(Error::invalid("invalid reset password").into());
    }
    users.reset_password(&request, &token, password).await?;
    Ok(Json(Done {}))
}
