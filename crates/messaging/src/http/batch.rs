//! Many messages in one request: a JSON list, or one JSON object per line.
//!
//! The caller is authenticated once, in the domain of the first topic, and then each message is authorized and
//! published by itself, in order. A message that is refused does not hold up those behind it; the answer says of each
//! how it went. So a batch is no transaction: what was accepted stays accepted.

use std::time::Duration;

use axum::extract::State;
use http::{HeaderMap, header};
use kernel::{Error, Kind};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;
use web::{Json, Payload, Route};

use super::RULE;
use super::caller::{Caller, address_of};
use super::send::Envelope;
use crate::engine::Engine;
use crate::protocol::Protocol;

/// Most messages of one request.
const MOST: usize = 1_000;

/// After this time the rest is left: the answer must come before the request is given up, which is after 30 s.
const PATIENCE: Duration = Duration::from_secs(8);

pub(super) fn route(path: &'static str, name: &'static str) -> Route<Engine> {
    Route::post(path, publish)
        .named(name)
        .rule(RULE)
        .summary("Publish up to 1,000 messages, each to a topic of its own")
        .description(
            "A JSON list of the bodies of `/publish`, or with `application/x-ndjson` one of them per line. The answer \
             has one result for each, in order: 202, or the status and the words with which it was refused. Messages \
             that are accepted stay so when others are not.",
        )
        .takes_list::<Envelope>()
        .answers::<Results>(200)
}

/// How a batch went.
#[derive(Debug, Serialize, ToSchema)]
struct Results {
    /// Messages that were accepted.
    accepted: usize,
    /// Messages that were not.
    refused: usize,
    /// One for each message, in order.
    results: Vec<Outcome>,
}

/// How one message went.
#[derive(Debug, Serialize, ToSchema)]
struct Outcome {
    /// 202, or the status that `/publish` would have answered.
    status: u16,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

async fn publish(
    State(engine): State<Engine>,
    caller: Caller,
    headers: HeaderMap,
    Payload(body): Payload,
) -> web::Result<Json<Results>> {
    let envelopes = envelopes(&headers, &body)?;
    let first = envelopes.iter().find_map(|envelope| envelope.as_ref().ok());
    let topic = first.map(|envelope| envelope.topic.as_str()).unwrap_or_default();
    let identity = caller.authenticate(&engine, &address_of(&engine, topic)?).await?;
    let started = Instant::now();
    let mut results = Vec::with_capacity(envelopes.len());
    for envelope in envelopes {
        let outcome = async {
            if started.elapsed() > PATIENCE {
                return Err(Error::unavailable("not tried, there was no time left"));
            }
            let message = envelope?.open(&engine)?;
            engine.publish(&identity, Protocol::Http, &message).await
        };
        results.push(Outcome::from(outcome.await));
    }
    let accepted = results.iter().filter(|outcome| outcome.message.is_none()).count();
    Ok(Json(Results { accepted, refused: results.len() - accepted, results }))
}

/// What the body holds. A list must be good as a whole, lines are looked at one by one.
fn envelopes(headers: &HeaderMap, body: &[u8]) -> kernel::Result<Vec<kernel::Result<Envelope>>> {
    let bad = |error: serde_json::Error| Error::invalid("invalid request body").cause(error);
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let envelopes: Vec<_> = match kind.split(';').next().unwrap_or_default().trim() {
        "application/x-ndjson" | "application/jsonl" => body
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.trim_ascii().is_empty())
            .take(MOST + 1)
            .map(|line| serde_json::from_slice(line).map_err(bad))
            .collect(),
        "application/json" => {
            let list: Vec<Envelope> = serde_json::from_slice(body).map_err(bad)?;
            list.into_iter().map(Ok).collect()
        }
        _ => return Err(Error::new(Kind::MediaType, "unsupported content type")),
    };
    match envelopes.len() {
        0 => Err(Error::invalid("empty batch: send at least one message")),
        count if count > MOST => Err(Error::invalid("a batch holds at most 1000 messages: send it in parts")),
        _ => Ok(envelopes),
    }
}

impl From<kernel::Result<()>> for Outcome {
    fn from(outcome: kernel::Result<()>) -> Self {
        match outcome {
            Ok(()) => Self { status: 202, message: None },
            Err(error) => {
                let message = Some(error.public().to_owned());
                Self { status: web::status(error.kind()).as_u16(), message }
            }
        }
    }
}
