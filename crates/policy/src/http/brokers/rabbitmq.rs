//! RabbitMQ with `rabbitmq_auth_backend_http` and its MQTT plugin (reference 08 §12.2).
//!
//! Tags are never answered: each distinct one would stay in the broker's memory for ever.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, Uri};
use web::{Connection, Guard, Payload, Route, Routes};

use super::{Question, RULE, Served};
use crate::{
    Action,
    service::{Outcome, Shown},
};

/// One path for both methods that the broker can be set to.
macro_rules! path {
    ($routes:expr, $handler:ident, $path:literal, $name:literal, $summary:literal) => {{
        let describe =
            |route: web::Unruled<Served>| route.rule(RULE).summary($summary).answers_bytes(200, "text/plain");
        $routes
            .add(describe(Route::post($path, $handler).named($name)))
            .add(describe(Route::get($path, $handler).named(concat!($name, "_get"))))
    }};
}

pub(super) fn routes() -> Routes<Served> {
    let routes = Routes::new("policy");
    let routes = path!(routes, user, "/rabbitmq/user", "rabbitmq_user", "Say to RabbitMQ who may log in");
    let routes = path!(
        routes,
        vhost,
        "/rabbitmq/vhost",
        "rabbitmq_vhost",
        "Say to RabbitMQ who may use a virtual host"
    );
    let routes = path!(
        routes,
        resource,
        "/rabbitmq/resource",
        "rabbitmq_resource",
        "Say to RabbitMQ who may use a queue"
    );
    path!(routes, topic, "/rabbitmq/topic", "rabbitmq_topic", "Say to RabbitMQ who may use a topic")
}

/// Text, with the status that makes it count; what nobody can say is an error, which refuses.
fn answer(outcome: &Outcome) -> Response {
    match outcome {
        Outcome::Granted(_) => "allow".into_response(),
        Outcome::Unavailable | Outcome::Limited { .. } => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Outcome::Denied(_) | Outcome::Malformed(_) => "deny".into_response(),
    }
}

fn deny() -> Response {
    answer(&Outcome::denied("denied"))
}

async fn user(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Response {
    match Question::read(&served, &guard, from, "rabbitmq", (&uri, &headers, &body)) {
        Ok(question) => answer(&question.log_in(&question.shown("client_id")).await),
        Err(outcome) => answer(&outcome),
    }
}

async fn vhost(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Response {
    let question = match Question::read(&served, &guard, from, "rabbitmq", (&uri, &headers, &body)) {
        Ok(question) => question,
        Err(outcome) => return answer(&outcome),
    };
    let known = question.identity(&question.shown("client_id")).await.is_some();
    if known { answer(&Outcome::Granted("known")) } else { deny() }
}

async fn resource(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Response {
    let question = match Question::read(&served, &guard, from, "rabbitmq", (&uri, &headers, &body)) {
        Ok(question) => question,
        Err(outcome) => return answer(&outcome),
    };
    let shown = question.shown("client_id");
    if question.identity(&shown).await.is_none() {
        return deny();
    }
    let (name, permission) = (question.get("name"), question.get("permission"));
    let fits = match question.get("resource") {
        "queue" => is_own_queue(name, shown.clientid),
        "exchange" => name == "amq.topic" && matches!(permission, "read" | "write"),
        // What a topic may be used for is asked at its own path.
        "topic" => name == "amq.topic",
        _ => false,
    };
    if fits { answer(&Outcome::Granted("own")) } else { deny() }
}

/// The queues that the plugin makes for a client's subscriptions and will.
fn is_own_queue(name: &str, clientid: &str) -> bool {
    let own = name.strip_prefix("mqtt-subscription-").or_else(|| name.strip_prefix("mqtt-will-"));
    let Some(rest) = own.and_then(|rest| rest.strip_prefix(clientid)).filter(|_| !clientid.is_empty()) else {
        return false;
    };
    matches!(rest, "" | "qos0" | "qos1")
}

async fn topic(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Response {
    let question = match Question::read(&served, &guard, from, "rabbitmq", (&uri, &headers, &body)) {
        Ok(question) => question,
        Err(outcome) => return answer(&outcome),
    };
    let action = match question.get("permission") {
        "write" => Action::Publish,
        "read" => Action::Subscribe,
        _ => return deny(),
    };
    let (exchange, key) = (question.get("name"), question.get("routing_key"));
    // A slash stands for a dot of the topic, which another topic could have become, too.
    if exchange != "amq.topic" || key.is_empty() || key.contains('/') {
        return deny();
    }
    let topic = key.replace('.', "/").replace('*', "+");
    let clientid = question.get("variable_map.client_id");
    let shown = Shown { username: question.get("username"), clientid, ..Shown::default() };
    answer(&question.may(&shown, action, &topic).await)
}

#[cfg(test)]
mod tests {
    use super::is_own_queue;

    #[test]
    fn a_queue_is_its_clients_alone() {
        for own in ["mqtt-subscription-c1qos0", "mqtt-subscription-c1qos1", "mqtt-will-c1"] {
            assert!(is_own_queue(own, "c1"), "{own}");
        }
        for other in ["mqtt-subscription-c12qos0", "mqtt-subscription-", "other", "mqtt-subscription-c1x"] {
            assert!(!is_own_queue(other, "c1"), "{other}");
        }
        assert!(!is_own_queue("mqtt-subscription-qos0", ""));
    }
}
