//! What a Mosquitto with mosquitto-go-auth asks: `/mqtt/user`, `/mqtt/acl`, `/mqtt/superuser`, and the same at the root
//! (reference 08 §3.3).

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use serde::Serialize;
use utoipa::ToSchema;
use web::{Connection, Guard, Payload, Route, Routes, Rule};

use super::{
    Served,
    body::{Fields, bearer},
    broker, parameter,
};
use crate::{
    Actions,
    counts::Endpoint,
    service::{Asking, Outcome, Shown, seconds},
};

const RULE: Rule =
    Rule::Public("the answer is about the client whose token or login it names, and tells nothing else");

/// The answer to a broker.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Answer<'a> {
    /// Whether it may be done.
    ok: bool,
    /// Why.
    reason: &'a str,
    /// The same, where the answer is no.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// One endpoint under both of its paths and all methods that the plugin can be set to.
macro_rules! endpoint {
    ($routes:expr, $handler:ident, $summary:literal, $($path:literal $name:literal),+) => {{
        let routes = $routes;
        $(
            let describe = |route: web::Unruled<Served>| {
                route.rule(RULE).summary($summary).takes_bytes("application/json").answers::<Answer<'_>>(200)
            };
            let routes = routes
                .add(describe(Route::post($path, $handler).named($name)))
                .add(describe(Route::put($path, $handler).named(concat!($name, "_put"))))
                .add(describe(Route::get($path, $handler).named(concat!($name, "_get"))));
        )+
        routes
    }};
}

pub(super) fn routes() -> Routes<Served> {
    let routes = Routes::new("policy");
    let routes =
        endpoint!(routes, user, "Say whether a client may connect", "/mqtt/user" "mqtt_user", "/user" "user");
    let routes =
        endpoint!(routes, acl, "Say whether a client may use a topic", "/mqtt/acl" "mqtt_acl", "/acl" "acl");
    endpoint!(
        routes, superuser, "Say whether a client may do everything", "/mqtt/superuser" "mqtt_superuser",
        "/superuser" "superuser"
    )
}

async fn user(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Response {
    served.answer(Endpoint::User, &guard, from, &uri, &headers, &body).await
}

async fn acl(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Response {
    served.answer(Endpoint::Acl, &guard, from, &uri, &headers, &body).await
}

async fn superuser(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Response {
    served.answer(Endpoint::Superuser, &guard, from, &uri, &headers, &body).await
}

impl Served {
    async fn answer(
        &self,
        endpoint: Endpoint,
        guard: &Guard,
        from: Connection,
        uri: &Uri,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Response {
        let started = self.policy.now();
        let query = uri.query().unwrap_or_default();
        let peer = from.peer.ip();
        let outcome = match self.admits(peer, headers, query) {
            Ok(()) => {
                let broker = broker(query, peer);
                let request_id = guard.request_id().as_str();
                let asking = Asking { broker: &broker, peer, request_id, source: "mosquitto" };
                self.outcome(endpoint, &asking, headers, query, body).await
            }
            Err(outcome) => outcome,
        };
        let wants_text =
            self.options.text || parameter(query, "response").is_some_and(|response| response == "text");
        let response = rendered(&outcome, wants_text);
        let took = self.policy.now().since(started);
        self.policy.counts().request(endpoint, response.status(), took);
        response
    }

    async fn outcome(
        &self,
        endpoint: Endpoint,
        asking: &Asking<'_>,
        headers: &HeaderMap,
        query: &str,
        body: &[u8],
    ) -> Outcome {
        let bearer = bearer(headers);
        let fields = match Fields::read(headers, query, body) {
            Ok(fields) => fields,
            // The header says all that these two need.
            Err(_) if endpoint != Endpoint::Acl && bearer.is_some() => Fields::default(),
            Err(wrong) => return Outcome::Malformed(wrong.into()),
        };
        let shown = Shown {
            bearer,
            username: fields.username.as_deref().unwrap_or_default(),
            password: fields.password.as_deref().unwrap_or_default(),
            clientid: fields.clientid.as_deref().unwrap_or_default(),
        };
        match endpoint {
            Endpoint::User => self.policy.user(asking, &shown).await,
            Endpoint::Superuser => {
                // Of a password this question knows nothing.
                self.policy.superuser(asking, &Shown { password: "", ..shown }).await
            }
            Endpoint::Acl => {
                let Some(topic) = fields.topic.as_deref() else {
                    return Outcome::Malformed("`topic` is missing".into());
                };
                let Some(acc) = fields.acc else { return Outcome::Malformed("`acc` is missing".into()) };
                let Some(actions) = Actions::of_mask(acc) else { return Outcome::denied("invalid acc mask") };
                self.policy.acl(asking, &shown, topic, actions).await
            }
        }
    }
}

/// The answer as HTTP: 403 is a no that the broker may remember, 503 is none.
pub(super) fn rendered(outcome: &Outcome, wants_text: bool) -> Response {
    let json = |status, body: Bytes| {
        (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
    };
    let denial = |reason: &str| {
        serde_json::to_vec(&Answer { ok: false, reason, error: Some(reason) }).unwrap_or_default().into()
    };
    match outcome {
        Outcome::Granted(_) if wants_text => {
            (StatusCode::OK, [(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))], "ok")
                .into_response()
        }
        Outcome::Granted("authorized") => {
            json(StatusCode::OK, Bytes::from_static(br#"{"ok":true,"reason":"authorized"}"#))
        }
        Outcome::Granted(reason) => {
            let answer = Answer { ok: true, reason, error: None };
            json(StatusCode::OK, serde_json::to_vec(&answer).unwrap_or_default().into())
        }
        Outcome::Denied(reason) => json(StatusCode::FORBIDDEN, denial(reason)),
        Outcome::Malformed(reason) => json(StatusCode::BAD_REQUEST, denial(reason)),
        Outcome::Unavailable => json(StatusCode::SERVICE_UNAVAILABLE, denial("cannot decide now")),
        // 429 would be a no to the broker, and one that it remembers.
        Outcome::Limited { words, wait } => {
            let mut response = json(StatusCode::SERVICE_UNAVAILABLE, denial(words));
            response.headers_mut().insert(header::RETRY_AFTER, seconds(*wait).into());
            response
        }
    }
}
