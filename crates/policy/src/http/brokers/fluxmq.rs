//! The callout of FluxMQ, which suits any program that asks in two steps: a login gives a handle, and the handle is asked
//! about (reference 08 §12.4). The handle is unguessable and ends with the token. An answer other than 200 is asked for again.

use axum::extract::State;
use http::{HeaderMap, StatusCode, Uri};
use kernel::Rng;
use serde::Serialize;
use utoipa::ToSchema;
use web::{Connection, Guard, Json, Payload, Route, Routes};

use super::{Question, RULE, Served};
use crate::{
    Action,
    service::{Outcome, Shown},
};

pub(super) fn routes() -> Routes<Served> {
    Routes::new("policy")
        .add(
            Route::post("/auth/authenticate", authenticate)
                .named("callout_authenticate")
                .rule(RULE)
                .summary("Log a client in and give it a handle")
                .answers::<Login>(200),
        )
        .add(
            Route::post("/auth/authorize", authorize)
                .named("callout_authorize")
                .rule(RULE)
                .summary("Say whether the client behind a handle may use a topic")
                .answers::<Right>(200),
        )
}

/// A login.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Login {
    /// Whether the client may connect.
    authenticated: bool,
    /// The handle that later questions name.
    id: String,
    /// The reason code of MQTT 5.
    reason_code: u8,
    /// Why not.
    reason: &'static str,
}

/// A decision.
#[derive(Debug, Serialize, ToSchema)]
struct Right {
    /// Whether it may be done.
    authorized: bool,
    /// The reason code of MQTT 5.
    reason_code: u8,
    /// Why not.
    reason: &'static str,
}

/// Those who log in this way are the clients of one broker, whichever asks.
const BROKER: &str = "callout";
/// Where handles are known: a name of somebody who has logged in is none.
const HANDLES: &str = "handles";
/// "Not authorized", of MQTT 5.
const NOT_AUTHORIZED: u8 = 0x87;

async fn authenticate(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Result<Json<Login>, StatusCode> {
    let refused = Login { reason_code: NOT_AUTHORIZED, reason: "not authorized", ..Login::default() };
    let mut question = match Question::read(&served, &guard, from, "fluxmq", (&uri, &headers, &body)) {
        Ok(question) => question,
        Err(outcome) => return answer(&outcome, refused),
    };
    BROKER.clone_into(&mut question.broker);
    let outcome = question.log_in(&question.shown("client_id")).await;
    if !outcome.is_granted() {
        return answer(&outcome, refused);
    }
    let Some(identity) = question.identity(&question.shown("client_id")).await else {
        return Ok(Json(refused));
    };
    let handle = Rng::system().uuid().to_string();
    if !served.policy.hand_out(HANDLES, &handle, &identity) {
        return answer(&Outcome::Unavailable, refused);
    }
    Ok(Json(Login { authenticated: true, id: handle, ..Login::default() }))
}

/// The no, or the lack of an answer.
fn answer<T>(outcome: &Outcome, no: T) -> Result<Json<T>, StatusCode> {
    if outcome.is_decided() { Ok(Json(no)) } else { Err(StatusCode::SERVICE_UNAVAILABLE) }
}

async fn authorize(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Result<Json<Right>, StatusCode> {
    let refused = Right { authorized: false, reason_code: NOT_AUTHORIZED, reason: "not authorized" };
    let mut question = match Question::read(&served, &guard, from, "fluxmq", (&uri, &headers, &body)) {
        Ok(question) => question,
        Err(outcome) => return answer(&outcome, refused),
    };
    HANDLES.clone_into(&mut question.broker);
    let action = match question.get("action") {
        "publish" => Action::Publish,
        "subscribe" => Action::Subscribe,
        _ => return Ok(Json(refused)),
    };
    // A handle is asked about under its own name and no client id.
    let shown = Shown { username: question.get("external_id"), ..Shown::default() };
    let outcome = question.may(&shown, action, question.get("topic")).await;
    if outcome.is_granted() {
        return Ok(Json(Right { authorized: true, reason_code: 0, reason: "" }));
    }
    answer(&outcome, refused)
}
