//! What programs ask about other things than topics: datasets, pipelines, digital twins, data of users
//! (reference 08 §10). A decision is always 200; its `allowed` says what it is.

mod caller;
mod decisions;
mod refusal;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use web::{Connection, Guard, Payload, Route, Routes, Rule};

use super::Served;
use caller::Caller;
use decisions::{Ruling, Userdata};
use refusal::{Refusal, decoded, known};

const RULE: Rule = Rule::Public("the decision is about the caller's own token; without one about a stranger");

pub(super) fn routes() -> Routes<Served> {
    let describe =
        |route: web::Unruled<Served>, summary| route.rule(RULE).summary(summary).answers::<Answer>(200);
    Routes::new("policy")
        .add(
            describe(Route::post("/authorize", authorize).named("authorize"), "Decide about any resource")
                .takes::<Authorize>(),
        )
        .add(
            describe(
                Route::post("/dataset/access", dataset).named("dataset_access"),
                "Decide about a dataset",
            )
            .takes::<Dataset>(),
        )
        .add(
            Route::post("/dataset/filters", filters)
                .named("dataset_filters")
                .rule(RULE)
                .summary("Say which rows of a dataset may be seen")
                .takes::<Dataset>()
                .answers::<Filters>(200),
        )
        .add(
            describe(
                Route::post("/pipeline/transition", pipeline).named("pipeline_transition"),
                "Decide about a pipeline",
            )
            .takes::<Pipeline>(),
        )
        .add(
            describe(Route::post("/dt/access", twin).named("dt_access"), "Decide about a digital twin")
                .takes::<Twin>(),
        )
        .add(
            describe(
                Route::post("/dt/event", twin_event).named("dt_event"),
                "Decide about an event of a digital twin",
            )
            .takes::<TwinEvent>(),
        )
        .add(
            describe(
                Route::post("/userdata/access", userdata).named("userdata_access"),
                "Decide about a user's data",
            )
            .takes::<UserdataAccess>(),
        )
}

/// A decision.
#[derive(Debug, Serialize, ToSchema)]
struct Answer {
    /// Whether it may be done.
    allowed: bool,
    /// Why.
    reason: String,
    /// The id of the request.
    request_id: String,
}

/// Which rows may be seen.
#[derive(Debug, Serialize, ToSchema)]
struct Filters {
    /// Always true: the filters say the rest.
    allowed: bool,
    /// Always empty.
    reason: &'static str,
    /// The id of the request.
    request_id: String,
    /// All of them must hold for a row.
    filters: Vec<Value>,
}

/// A question about any resource.
#[derive(Debug, Deserialize, ToSchema)]
struct Authorize {
    /// The resource.
    resource: Resource,
    /// What is to be done with it.
    action: Verb,
    /// What else is known.
    #[serde(default)]
    #[schema(value_type = Object)]
    context: Map<String, Value>,
}

/// A resource.
#[derive(Debug, Deserialize, ToSchema)]
struct Resource {
    /// `dataset`, `pipeline`, `dt`, `topic` or `userdata`.
    r#type: Type,
    /// Its id; the topic or filter of a `topic`.
    id: String,
    /// What the decision depends on.
    #[serde(default)]
    #[schema(value_type = Object)]
    attributes: Map<String, Value>,
}

/// What can be decided about.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Type {
    /// A dataset.
    Dataset,
    /// A pipeline.
    Pipeline,
    /// A digital twin.
    Dt,
    /// A topic of MQTT.
    Topic,
    /// A user's data.
    Userdata,
}

impl Type {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Dataset => "dataset",
            Self::Pipeline => "pipeline",
            Self::Dt => "dt",
            Self::Topic => "topic",
            Self::Userdata => "userdata",
        }
    }
}

/// What is to be done.
#[derive(Debug, Deserialize, ToSchema)]
struct Verb {
    /// Its name.
    name: String,
    /// What else is known of it.
    #[serde(default)]
    #[schema(value_type = Object)]
    context: Map<String, Value>,
}

/// Access to a dataset.
#[derive(Debug, Deserialize, ToSchema)]
struct Dataset {
    /// Which one.
    dataset_id: String,
    /// `open`, `internal` or `restricted`.
    access_level: AccessLevel,
    /// `read`, `write` or `admin`.
    #[serde(default)]
    action: DatasetAction,
}

/// How open a dataset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum AccessLevel {
    /// To everybody.
    Open,
    /// To those inside.
    Internal,
    /// To few.
    Restricted,
}

/// What is done with a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum DatasetAction {
    /// Look.
    #[default]
    Read,
    /// Change.
    Write,
    /// Administer.
    Admin,
}

/// A step of a pipeline.
#[derive(Debug, Deserialize, ToSchema)]
struct Pipeline {
    /// Which one.
    pipeline_id: String,
    /// Its state.
    from_state: String,
    /// The state it is to have.
    to_state: String,
}

/// Access to a digital twin.
#[derive(Debug, Deserialize, ToSchema)]
struct Twin {
    /// Which one.
    dt_id: String,
    /// `read`, `write`, `simulate` or `admin`.
    #[serde(default)]
    action: TwinAction,
}

/// What is done with a digital twin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum TwinAction {
    /// Look.
    #[default]
    Read,
    /// Change.
    Write,
    /// Simulate.
    Simulate,
    /// Administer.
    Admin,
    /// Announce something.
    EmitEvent,
}

/// An event of a digital twin.
#[derive(Debug, Deserialize, ToSchema)]
struct TwinEvent {
    /// Which one.
    dt_id: String,
    /// What happened.
    #[serde(rename = "event_type")]
    _event_type: String,
}

/// Access to a user's data.
#[derive(Debug, Deserialize, ToSchema)]
struct UserdataAccess {
    /// What kind of thing.
    resource_type: String,
    /// Which one.
    resource_id: String,
    /// Whose.
    owner_id: String,
    /// `read`, `write`, `delete` or `share`.
    #[serde(default)]
    action: UserdataAction,
}

/// What is done with a user's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum UserdataAction {
    /// Look.
    #[default]
    Read,
    /// Change.
    Write,
    /// Remove.
    Delete,
    /// Let others look.
    Share,
}

type Handled = Result<Response, Refusal>;

async fn authorize(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Handled {
    let caller = Caller::of(&served, &guard, from, &headers).await?;
    let Authorize { resource, action, context } = decoded(&body)?;
    let (kind, name) = (resource.r#type, action.name.as_str());
    let attribute = |name: &str| {
        let found =
            resource.attributes.get(name).or_else(|| action.context.get(name)).or_else(|| context.get(name));
        found.and_then(Value::as_str).unwrap_or_default()
    };
    let subject = caller.subject();
    let ruling = match kind {
        Type::Topic => {
            let outcome = caller.topic(&resource.id, name).await?;
            return Ok(caller.answer(&outcome, (kind.as_str(), &resource.id, name)).await);
        }
        Type::Dataset => {
            let level = known(attribute("access_level"), "access_level")?;
            decisions::dataset(subject, level, known(name, "action.name")?)
        }
        Type::Pipeline if name == "transition" => {
            decisions::transition(subject, attribute("from_state"), attribute("to_state"))
        }
        Type::Pipeline if name == "read" => decisions::pipeline_read(subject),
        Type::Pipeline => Ruling::no("insufficient privileges"),
        Type::Dt => decisions::twin(subject, known(name, "action.name")?),
        Type::Userdata => {
            let list = |name: &str| resource.attributes.get(name).map(texts).unwrap_or_default();
            let facts = Userdata {
                owner: attribute("owner_id"),
                resource_type: attribute("resource_type"),
                visibility: attribute("visibility"),
                shared_with: list("shared_with"),
                shared_with_groups: list("shared_with_groups"),
            };
            decisions::userdata(subject, &facts, known(name, "action.name")?)
        }
    };
    Ok(caller.rule(ruling, (kind.as_str(), &resource.id, name)).await)
}

async fn dataset(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Handled {
    let caller = Caller::of(&served, &guard, from, &headers).await?;
    let Dataset { dataset_id, access_level, action } = decoded(&body)?;
    let ruling = decisions::dataset(caller.subject(), access_level, action);
    Ok(caller.rule(ruling, ("dataset", &dataset_id, "access")).await)
}

async fn filters(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Handled {
    let caller = Caller::of(&served, &guard, from, &headers).await?;
    let Dataset { access_level, .. } = decoded(&body)?;
    let filters = decisions::filters(caller.subject(), access_level);
    let request_id = guard.request_id().as_str().to_owned();
    Ok(web::Json(Filters { allowed: true, reason: "", request_id, filters }).into_response())
}

async fn pipeline(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Handled {
    let caller = Caller::of(&served, &guard, from, &headers).await?;
    let Pipeline { pipeline_id, from_state, to_state } = decoded(&body)?;
    let ruling = decisions::transition(caller.subject(), &from_state, &to_state);
    Ok(caller.rule(ruling, ("pipeline", &pipeline_id, "transition")).await)
}

async fn twin(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Handled {
    let caller = Caller::of(&served, &guard, from, &headers).await?;
    let Twin { dt_id, action } = decoded(&body)?;
    Ok(caller.rule(decisions::twin(caller.subject(), action), ("dt", &dt_id, "access")).await)
}

async fn twin_event(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Handled {
    let caller = Caller::of(&served, &guard, from, &headers).await?;
    let TwinEvent { dt_id, .. } = decoded(&body)?;
    let ruling = decisions::twin(caller.subject(), TwinAction::EmitEvent);
    Ok(caller.rule(ruling, ("dt", &dt_id, "emit_event")).await)
}

async fn userdata(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Handled {
    let caller = Caller::of(&served, &guard, from, &headers).await?;
    let UserdataAccess { resource_type, resource_id, owner_id, action } = decoded(&body)?;
    let facts = Userdata { owner: &owner_id, resource_type: &resource_type, ..Userdata::default() };
    let ruling = decisions::userdata(caller.subject(), &facts, action);
    Ok(caller.rule(ruling, ("userdata", &resource_id, "access")).await)
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
