//! VerneMQ's webhooks, MQTT 3 and 5 (reference 08 §12.3). Answers are not cached there, so that a changed rule counts at
//! once; `next` is never answered, since another plugin would then decide.

use axum::extract::State;
use http::{HeaderMap, Uri};
use serde_json::{Value, json};
use web::{Connection, Guard, Json, Payload, Route, Routes};

use super::{Question, RULE, Served};
use crate::Action;

pub(super) fn routes() -> Routes<Served> {
    Routes::new("policy").add(
        Route::post("/vernemq", hook)
            .named("vernemq")
            .rule(RULE)
            .summary("Answer a webhook of VerneMQ")
            .takes_bytes("application/json")
            .answers_bytes(200, "application/json"),
    )
}

/// More filters than one packet has.
const MAX_TOPICS: usize = 1000;

async fn hook(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    uri: Uri,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Json<Value> {
    let hook = headers.get("vernemq-hook").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Ok(mut question) = Question::read(&served, &guard, from, "vernemq", (&uri, &headers, &body)) else {
        return Json(refused());
    };
    // A client id is one client's at its mountpoint only.
    question.broker = format!("{}/{}", question.broker, question.get("mountpoint"));
    let shown = question.shown("client_id");
    let granted = match hook {
        "auth_on_register" | "auth_on_register_m5" => question.log_in(&shown).await.is_granted(),
        "auth_on_publish" | "auth_on_publish_m5" => {
            question.may(&shown, Action::Publish, question.get("topic")).await.is_granted()
        }
        "auth_on_subscribe" => {
            return Json(subscriptions(&question, 128).await.map_or_else(refused, |topics| {
                topics.map_or_else(ok, |topics| json!({"result": "ok", "topics": topics}))
            }));
        }
        "auth_on_subscribe_m5" => {
            return Json(subscriptions(&question, 135).await.map_or_else(refused, |topics| {
                topics.map_or_else(ok, |topics| json!({"result": "ok", "modifiers": {"topics": topics}}))
            }));
        }
        "on_client_gone" | "on_client_offline" => {
            served.policy.forget(&question.broker, shown.clientid);
            return Json(json!({}));
        }
        _ => false,
    };
    Json(if granted { ok() } else { refused() })
}

fn ok() -> Value {
    json!({"result": "ok"})
}

fn refused() -> Value {
    json!({"result": {"error": "not_allowed"}})
}

/// The filters with the refused ones marked, or nothing if none is; `None` if they cannot be read.
async fn subscriptions(question: &Question<'_>, refusal: u8) -> Option<Option<Vec<Value>>> {
    let topics = question.params.others.get("topics")?.as_array()?;
    if topics.len() > MAX_TOPICS {
        return None;
    }
    let shown = question.shown("client_id");
    let (mut answered, mut is_any_refused) = (Vec::new(), false);
    for asked in topics {
        let topic = asked.get("topic")?.as_str()?;
        let granted = question.may(&shown, Action::Subscribe, topic).await.is_granted();
        is_any_refused |= !granted;
        let qos = if granted { asked.get("qos").cloned().unwrap_or(json!(0)) } else { json!(refusal) };
        answered.push(json!({"topic": topic, "qos": qos}));
    }
    Some(is_any_refused.then_some(answered))
}
