//! EMQX 5, EMQX 4 with NanoMQ, and RMQTT.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use serde::Serialize;
use utoipa::ToSchema;
use web::{Connection, Guard, Json, Payload, Route, Routes};

use super::{Question, RULE, Served};
use crate::{Action, rules::Granted, service::Outcome};

pub(super) fn routes() -> Routes<Served> {
    let answers =
        |route: web::Unruled<Served>, summary| route.rule(RULE).summary(summary).answers::<Answer>(200);
    let words = |route: web::Unruled<Served>, summary| {
        route.rule(RULE).summary(summary).answers_bytes(200, "text/plain")
    };
    Routes::new("policy")
        .add(answers(Route::post("/emqx/authn", authn).named("emqx_authn"), "Say to EMQX 5 who may connect"))
        .add(answers(
            Route::get("/emqx/authn", authn).named("emqx_authn_get"),
            "Say to EMQX 5 who may connect",
        ))
        .add(answers(
            Route::post("/emqx/authz", authz).named("emqx_authz"),
            "Say to EMQX 5 who may use a topic",
        ))
        .add(answers(
            Route::get("/emqx/authz", authz).named("emqx_authz_get"),
            "Say to EMQX 5 who may use a topic",
        ))
        .add(words(
            Route::post("/emqx4/auth", auth4).named("emqx4_auth"),
            "Say to EMQX 4 or NanoMQ who may connect",
        ))
        .add(words(
            Route::post("/emqx4/superuser", superuser4).named("emqx4_superuser"),
            "Say to EMQX 4 who may do everything",
        ))
        .add(words(Route::post("/emqx4/acl", acl4).named("emqx4_acl"), "Say to EMQX 4 who may use a topic"))
        .add(words(
            Route::post("/rmqtt/auth", rmqtt_auth).named("rmqtt_auth"),
            "Say to RMQTT who may connect",
        ))
        .add(words(
            Route::post("/rmqtt/acl", rmqtt_acl).named("rmqtt_acl"),
            "Say to RMQTT who may use a topic",
        ))
}

/// The answer to EMQX 5.
#[derive(Debug, Serialize, ToSchema)]
struct Answer {
    /// `allow` or `deny`.
    result: &'static str,
    /// Whether topics need not be asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_superuser: Option<bool>,
    /// When the login ends, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_at: Option<i64>,
    /// What need not be asked about; only where `?acl=true` asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    acl: Option<Vec<Entry>>,
}

/// Something that EMQX need not ask about.
#[derive(Debug, Serialize, ToSchema)]
struct Entry {
    /// `allow`.
    permission: &'static str,
    /// `publish` or `subscribe`.
    action: &'static str,
    /// The topic; after `eq ` just this filter.
    topic: String,
}

impl From<Granted> for Entry {
    fn from(Granted { action, topic, is_literal }: Granted) -> Self {
        let topic = if is_literal { format!("eq {topic}") } else { topic };
        Self { permission: "allow", action: action.as_str(), topic }
    }
}

impl Answer {
    const DENY: Self = Self { result: "deny", is_superuser: None, expire_at: None, acl: None };
}

async fn authn(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Json<Answer> {
    let Ok(question) = Question::read(&served, &guard, from, "emqx", (&uri, &headers, &body)) else {
        return Json(Answer::DENY);
    };
    let shown = question.shown("clientid");
    if !question.log_in(&shown).await.is_granted() {
        return Json(Answer::DENY);
    }
    let Some(identity) = question.identity(&shown).await else { return Json(Answer::DENY) };
    let ends = identity.expires_at();
    Json(Answer {
        result: "allow",
        is_superuser: Some(served.policy.is_superuser(&identity)),
        expire_at: (ends.micros() < i64::MAX).then_some(ends.seconds()),
        acl: (question.get("acl") == "true")
            .then(|| served.policy.compiled(&identity, &shown).into_iter().map(Entry::from).collect()),
    })
}

async fn authz(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Json<Answer> {
    let Ok(question) = Question::read(&served, &guard, from, "emqx", (&uri, &headers, &body)) else {
        return Json(Answer::DENY);
    };
    let action = match question.get("action") {
        "publish" => Action::Publish,
        "subscribe" => Action::Subscribe,
        _ => return Json(Answer::DENY),
    };
    let outcome = question.may(&question.shown("clientid"), action, filter(question.get("topic"))).await;
    Json(if outcome.is_granted() { Answer { result: "allow", ..Answer::DENY } } else { Answer::DENY })
}

/// Without the mark of a queue, which is a subscription that its subscribers share.
fn filter(topic: &str) -> &str {
    topic.strip_prefix("$queue/").unwrap_or(topic)
}

async fn auth4(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Response {
    match Question::read(&served, &guard, from, "emqx4", (&uri, &headers, &body)) {
        Ok(question) => by_status(&question.log_in(&question.shown("clientid")).await),
        Err(outcome) => by_status(&outcome),
    }
}

async fn superuser4(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Response {
    let question = match Question::read(&served, &guard, from, "emqx4", (&uri, &headers, &body)) {
        Ok(question) => question,
        Err(outcome) => return by_status(&outcome),
    };
    by_status(&served.policy.superuser(&question.asking(), &question.shown("clientid")).await)
}

async fn acl4(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Response {
    by_status(&by_access(&served, &guard, from, "emqx4", (&uri, &headers, &body)).await)
}

/// EMQX 4 and RMQTT: 1 is to subscribe, 2 to publish.
async fn by_access(
    served: &Served,
    guard: &Guard,
    from: Connection,
    source: &'static str,
    request: (&Uri, &HeaderMap, &[u8]),
) -> Outcome {
    let question = match Question::read(served, guard, from, source, request) {
        Ok(question) => question,
        Err(outcome) => return outcome,
    };
    let action = match question.get("access") {
        "1" => Action::Subscribe,
        "2" => Action::Publish,
        _ => return Outcome::denied("invalid access"),
    };
    question.may(&question.shown("clientid"), action, filter(question.get("topic"))).await
}

/// 200 is a yes, and everything else a no.
fn by_status(outcome: &Outcome) -> Response {
    super::super::mqtt::rendered(outcome, false)
}

async fn rmqtt_auth(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Response {
    let Ok(question) = Question::read(&served, &guard, from, "rmqtt", (&uri, &headers, &body)) else {
        return "deny".into_response();
    };
    let shown = question.shown("clientid");
    if !question.log_in(&shown).await.is_granted() {
        return "deny".into_response();
    }
    let mut response = "allow".into_response();
    if question.identity(&shown).await.is_some_and(|identity| served.policy.is_superuser(&identity)) {
        response
            .headers_mut()
            .insert(HeaderName::from_static("x-superuser"), HeaderValue::from_static("true"));
    }
    response
}

async fn rmqtt_acl(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
    Payload(body): Payload,
) -> (StatusCode, &'static str) {
    let outcome = by_access(&served, &guard, from, "rmqtt", (&uri, &headers, &body)).await;
    (StatusCode::OK, if outcome.is_granted() { "allow" } else { "deny" })
}
