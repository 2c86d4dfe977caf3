//! One message: its topic in the path, or topic and payload in an envelope.

use axum::extract::State;
use base64::{Engine as _, engine::general_purpose};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri, header};
use kernel::{Error, Kind};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use web::{Empty, Json, Payload, Query, Route};

use super::caller::{Caller, address_of};
use super::{RULE, topic_of};
use crate::engine::Engine;
use crate::protocol::Protocol;
use crate::wire::{MessageProperties, MessageProperty, Publish, QoS, Text};

/// Content types of the message paths (reference 05 §5.1), and the one that the SDK lets its callers choose.
const CONTENT_TYPES: [&str; 4] =
    ["application/json", "application/senml+json", "application/senml+cbor", "application/octet-stream"];

pub(super) fn route(path: &'static str, name: &'static str) -> Route<Engine> {
    Route::post(path, send)
        .named(name)
        .rule(RULE)
        .summary("Publish the body as a message")
        .description("The path is the topic. The content type must be one of JSON, SenML or octets.")
        .takes_bytes("application/octet-stream")
        .queries::<Delivery>()
        .answers_empty(202)
}

pub(super) fn envelope_route(path: &'static str, name: &'static str) -> Route<Engine> {
    Route::post(path, publish)
        .named(name)
        .rule(RULE)
        .summary("Publish a message to the topic in the body")
        .takes::<Envelope>()
        .answers::<Published>(200)
}

pub(super) fn health_route(path: &'static str, name: &'static str) -> Route<Engine> {
    Route::post(path, health)
        .named(name)
        .rule(RULE)
        .summary("See whether the credentials hold in a domain; nothing is published")
        .answers_empty(200)
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
pub(super) struct Envelope {
    /// The topic: `m/<domain>/c/<channel>[/<subtopic>]`.
    #[serde(default)]
    pub(super) topic: String,
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

impl Envelope {
    /// The message inside.
    pub(super) fn open(self, engine: &Engine) -> kernel::Result<Publish> {
        let payload = general_purpose::STANDARD
            .decode(self.payload.unwrap_or_default())
            .map_err(|error| Error::invalid("invalid request body").cause(error))?;
        let properties = MessageProperties::default();
        message(engine, &self.topic, payload.into(), self.qos, self.retain, properties)
    }
}

/// Answer of `POST /publish`.
#[derive(Debug, Serialize, ToSchema)]
struct Published {
    /// Always `ok`.
    status: &'static str,
}

async fn send(
    State(engine): State<Engine>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    Query(delivery): Query<Delivery>,
    Payload(payload): Payload,
) -> web::Result<Empty> {
    let topic = topic_of(&uri);
    let identity = caller.authenticate(&engine, &address_of(&engine, topic)?).await?;
    let content_type = content_type(&headers)?;
    if payload.is_empty() {
        return Err(Error::invalid("empty message").into());
    }
    let properties = MessageProperties::new([MessageProperty::ContentType(content_type)]);
    let message = message(&engine, topic, payload, delivery.qos, delivery.retain, properties)?;
    engine.publish(&identity, Protocol::Http, &message).await?;
    Ok(Empty(StatusCode::ACCEPTED))
}

async fn publish(
    State(engine): State<Engine>,
    caller: Caller,
    Payload(body): Payload,
) -> web::Result<Json<Published>> {
    let envelope: Envelope =
        serde_json::from_slice(&body).map_err(|error| Error::invalid("invalid request body").cause(error))?;
    if envelope.topic.is_empty() {
        return Err(Error::invalid("topic is required").into());
    }
    let identity = caller.authenticate(&engine, &address_of(&engine, &envelope.topic)?).await?;
    engine.publish(&identity, Protocol::Http, &envelope.open(&engine)?).await?;
    Ok(Json(Published { status: "ok" }))
}

async fn health(State(engine): State<Engine>, caller: Caller, uri: Uri) -> web::Result<Empty> {
    let topic = topic_of(&uri);
    let identity = caller.authenticate(&engine, &address_of(&engine, topic)?).await?;
    let message = message(&engine, topic, Bytes::new(), 0, false, MessageProperties::default())?;
    engine.publish(&identity, Protocol::Http, &message).await?;
    Ok(Empty(StatusCode::OK))
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
