//! The callout of FluxMQ, which suits any program that asks in two steps: a login gives a handle, and the handle is asked
//! about (reference 08 §12.4). The handle is unguessable and ends with the token.

use axum::extract::State;
use http::{HeaderMap, Uri};
use kernel::Rng;
use serde::Serialize;
use utoipa::ToSchema;
use web::{Connection, Guard, Json, Payload, Route, Routes};

use super::{Question, RULE, Served};
use crate::{Action, service::Shown};

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

/// All handles are of one kind, whichever broker asks.
const BROKER: &str = "callout";
/// "Not authorized", of MQTT 5.
const NOT_AUTHORIZED: u8 = 0x87;

async fn authenticate(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Json<Login> {
    let refused = Login { reason_code: NOT_AUTHORIZED, reason: "not authorized", ..Login::default() };
    let Some(mut question) = Question::read(&served, &guard, from, "fluxmq", (&uri, &headers, &body)) else {
        return Json(refused);
    };
    BROKER.clone_into(&mut question.broker);
    if !question.log_in(&question.shown("client_id")).await.is_granted() {
        return Json(refused);
    }
    let Some(identity) = question.identity(&question.shown("client_id")).await else { return Json(refused) };
    let handle = Rng::system().uuid().to_string();
    if !served.policy.hand_out(BROKER, &handle, &identity) {
        return Json(refused);
    }
    Json(Login { authenticated: true, id: handle, ..Login::default() })
}

async fn authorize(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Json<Right> {
    let refused = Right { authorized: false, reason_code: NOT_AUTHORIZED, reason: "not authorized" };
    let Some(mut question) = Question::read(&served, &guard, from, "fluxmq", (&uri, &headers, &body)) else {
        return Json(refused);
    };
    BROKER.clone_into(&mut question.broker);
    let action = match question.get("action") {
        "publish" => Action::Publish,
        "subscribe" => Action::Subscribe,
        _ => return Json(refused),
    };
    // A handle is asked about under its own name and no client id.
    let shown = Shown { username: question.get("external_id"), ..Shown::default() };
    let granted = question.may(&shown, action, question.get("topic")).await.is_granted();
    Json(if granted { Right { authorized: true, reason_code: 0, reason: "" } } else { refused })
}
