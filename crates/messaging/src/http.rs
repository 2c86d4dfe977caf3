//! Publishing over HTTP: the paths of both generations of upstream, each also under `/http` (reference 05 §5).
//!
//! Everything is checked before anything is published: topic, credentials, content type, payload, and then, in the
//! engine, the right to publish. A message is accepted (202) when it is with its subscribers.

use axum::extract::State;
use base64::{Engine as _, engine::general_purpose};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri, header};
use kernel::{Error, Kind};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use web::{Connection, Empty, Guard, Json, Payload, Query, Route, Routes, Rule};

use crate::engine::Engine;
use crate::gate::{Credentials, Identity};
use crate::topic::Address;
use crate::wire::{MessageProperties, MessageProperty, Publish, QoS, Text};

/// What the bus calls messages that came this way.
const PROTOCOL: &str = "http";

/// Content types of the message paths (reference 05 §5.1), and the one that the SDK lets its callers choose.
const CONTENT_TYPES: [&str; 4] =
    ["application/json", "application/senml+json", "application/senml+cbor", "application/octet-stream"];

const RULE: Rule =
    Rule::SignedIn("the engine asks its gate whether the caller may publish on the channel of the topic");

/// Paths whose text is the topic.
const MESSAGE_PATHS: [(&str, &str); 8] = [
    ("/m/{domain}/c/{channel}", "send_message"),
    ("/m/{domain}/c/{channel}/{*subtopic}", "send_message_below"),
    ("/channels/{channel}/messages", "send_legacy_message"),
    ("/channels/{channel}/messages/{*subtopic}", "send_legacy_message_below"),
    ("/http/m/{domain}/c/{channel}", "http_send_message"),
    ("/http/m/{domain}/c/{channel}/{*subtopic}", "http_send_message_below"),
    ("/http/channels/{channel}/messages", "http_send_legacy_message"),
    ("/http/channels/{channel}/messages/{*subtopic}", "http_send_legacy_message_below"),
];

/// The routes of the HTTP adapter.
pub fn routes(engine: Engine) -> Routes {
    let mut routes = Routes::new("http-adapter");
    for (path, name) in MESSAGE_PATHS {
        let route = Route::post(path, send)
            .named(name)
            .rule(RULE)
            .summary("Publish the body as a message")
            .description("The path is the topic. The content type must be one of JSON, SenML or octets.")
            .takes_bytes("application/octet-stream")
            .queries::<Delivery>()
            .answers_empty(202);
        routes = routes.add(route);
    }
    for (path, name) in [("/publish", "publish"), ("/http/publish", "http_publish")] {
        let route = Route::post(path, publish)
            .named(name)
            .rule(RULE)
            .summary("Publish a message to the topic in the body")
            .takes::<PublishRequest>()
            .answers::<Published>(200);
        routes = routes.add(route);
    }
    for (path, name) in [("/hc/{domain}", "health_message"), ("/http/hc/{domain}", "http_health_message")] {
        let route = Route::post(path, health)
            .named(name)
            .rule(RULE)
            .summary("See whether the credentials hold in a domain; nothing is published")
            .answers_empty(200);
        routes = routes.add(route);
    }
    routes.with(engine)
}

/// How a message is delivered.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct Delivery {
    /// 0, 1 or 2.
    qos: u8,
    /// Keep it for subscribers to come.
    retain: bool,
}

/// Body of `POST /publish`.
#[derive(Debug, Deserialize, ToSchema)]
struct PublishRequest {
    /// The topic: `m/<domain>/c/<channel>[/<subtopic>]`.
    #[serde(default)]
    topic: String,
    /// The payload in base64.
    #[serde(default)]
    payload: Option<String>,
    /// 0, 1 or 2.
    #[serde(default)]
    qos: u8,
    /// Keep it for subscribers to come.
    #[serde(default)]
    retain: bool,
}

/// Answer of `POST /publish`.
#[derive(Debug, Serialize, ToSchema)]
struct Published {
    /// Always `ok`.
    status: &'static str,
}

async fn send(
    State(engine): State<Engine>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
    Query(delivery): Query<Delivery>,
    Payload(payload): Payload,
) -> web::Result<Empty> {
    let topic = topic_of(&uri);
    let identity = authenticate(&engine, &guard, from, topic, &headers).await?;
    let content_type = content_type(&headers)?;
    if payload.is_empty() {
        return Err(Error::invalid("empty message").into());
    }
    let properties = MessageProperties::new([MessageProperty::ContentType(content_type)]);
    let message = message(&engine, topic, payload, delivery.qos, delivery.retain, properties)?;
    engine.publish(&identity, PROTOCOL, &message).await?;
    Ok(Empty(StatusCode::ACCEPTED))
}

async fn publish(
    State(engine): State<Engine>,
    guard: Guard,
    from: Connection,
    headers: HeaderMap,
    Payload(body): Payload,
) -> web::Result<Json<Published>> {
    let request: PublishRequest =
        serde_json::from_slice(&body).map_err(|error| Error::invalid("invalid request body").cause(error))?;
    if request.topic.is_empty() {
        return Err(Error::invalid("topic is required").into());
    }
    let identity = authenticate(&engine, &guard, from, &request.topic, &headers).await?;
    let payload = general_purpose::STANDARD
        .decode(request.payload.unwrap_or_default())
        .map_err(|error| Error::invalid("invalid request body").cause(error))?;
    let properties = MessageProperties::default();
    let message = message(&engine, &request.topic, payload.into(), request.qos, request.retain, properties)?;
    engine.publish(&identity, PROTOCOL, &message).await?;
    Ok(Json(Published { status: "ok" }))
}

async fn health(
    State(engine): State<Engine>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
) -> web::Result<Empty> {
    let topic = topic_of(&uri);
    let identity = authenticate(&engine, &guard, from, topic, &headers).await?;
    let message = message(&engine, topic, Bytes::new(), 0, false, MessageProperties::default())?;
    engine.publish(&identity, PROTOCOL, &message).await?;
    Ok(Empty(StatusCode::OK))
}

/// The path as a topic. The query is no part of it.
fn topic_of(uri: &Uri) -> &str {
    let path = uri.path();
    path.strip_prefix("/http/").unwrap_or(path)
}

fn message(
    engine: &Engine,
    topic: &str,
    payload: Bytes,
    qos: u8,
    retain: bool,
    properties: MessageProperties,
) -> kernel::Result<Publish> {
    let qos = QoS::from_bits(qos).ok_or_else(|| Error::invalid("qos must be 0, 1, or 2"))?;
    let largest = usize::try_from(engine.limits().packet_bytes).unwrap_or(usize::MAX);
    if payload.len().saturating_add(topic.len()) > largest {
        return Err(Error::new(Kind::TooLarge, "the message is too large"));
    }
    Ok(Publish { qos, retain, topic: Text::from(topic), payload, properties, ..Publish::default() })
}

/// The content type without its parameters, if it is one that messages have.
fn content_type(headers: &HeaderMap) -> kernel::Result<&'static str> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    let known = CONTENT_TYPES.into_iter().find(|known| known.eq_ignore_ascii_case(essence));
    known.ok_or_else(|| Error::new(Kind::MediaType, "unsupported content type"))
}

/// Who is calling (reference 05 §3.3 and §17.2). A secret may be unique in a domain only, so the topic is looked at
/// first.
async fn authenticate(
    engine: &Engine,
    guard: &Guard,
    from: Connection,
    topic: &str,
    headers: &HeaderMap,
) -> kernel::Result<Identity> {
    let address =
        Address::of_topic(topic).map_err(|error| Error::invalid(format!("failed to publish : {error}")))?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let authorization = header("authorization").trim();
    if authorization.is_empty() {
        return Err(Error::unauthenticated());
    }
    let domain = domain_of(engine, &address).await?;
    // Schemes are written in any case (RFC 9110 §11.1).
    let (scheme, value) = authorization.split_once(' ').unwrap_or(("", authorization));
    let pair;
    let credentials = match scheme.to_ascii_lowercase().as_str() {
        "basic" => {
            pair = decode_pair(value).ok_or_else(Error::unauthenticated)?;
            let (id, secret) = pair.split_once(':').ok_or_else(Error::unauthenticated)?;
            Credentials::Basic { id, secret, domain: &domain }
        }
        "bearer" => {
            let user_name = header("x-fluxmq-username");
            Credentials::Bearer { token: value, user_name, domain: &domain }
        }
        "client" | "thing" => Credentials::Secret { secret: value, domain: &domain },
        _ => Credentials::Secret { secret: authorization, domain: &domain },
    };
    let identity = engine.gate().authenticate(credentials, from.peer.ip()).await?;
    guard.mark_signed_in();
    Ok(identity)
}

/// The domain of a topic. Legacy topics do not name it: there it is that of the channel, or none.
async fn domain_of(engine: &Engine, address: &Address<'_>) -> kernel::Result<String> {
    match address {
        Address::Channel(legacy) if legacy.domain.is_empty() => {
            let found = engine.gate().resolve("", legacy.channel).await?;
            Ok(found.map(|(domain, _)| domain.to_string()).unwrap_or_default())
        }
        named => Ok(named.domain().to_owned()),
    }
}

/// `id:secret` in either base64 alphabet (reference 03 §7.1).
fn decode_pair(encoded: &str) -> Option<String> {
    let bytes = general_purpose::STANDARD
        .decode(encoded)
        .or_else(|_| general_purpose::URL_SAFE.decode(encoded))
        .ok()?;
    String::from_utf8(bytes).ok()
}
