//! What programs ask about other things than topics: datasets, pipelines, digital twins, data of users
//! (reference 08 §10). A decision is always 200; its `allowed` says what it is.

mod decisions;
mod refusal;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use web::{Connection, Guard, Payload, Route, Routes, Rule};

use super::Served;
use crate::{
    Action, Subject, SubjectKind,
    identity::Identity,
    service::{Asking, Outcome, Shown},
};
use decisions::{Ruling, Userdata};
use refusal::{Refusal, decoded, known, unauthorized, unavailable};

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

/// Who asks; nobody without a token.
struct Caller<'a> {
    served: &'a Served,
    asking: Asking<'a>,
    identity: Option<Identity>,
    /// A member of the platform as a subject.
    member: Option<Subject>,
    started: kernel::Timestamp,
}

impl<'a> Caller<'a> {
    async fn of(
        served: &'a Served,
        guard: &'a Guard,
        from: Connection,
        headers: &'a HeaderMap,
    ) -> Result<Self, Refusal> {
        let started = served.policy.now();
        let source =
            headers.get("x-source-service").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let request_id = guard.request_id().as_str();
        let asking = Asking { broker: "", peer: from.peer.ip(), request_id, source };
        let bearer = match headers.get(header::AUTHORIZATION) {
            None => None,
            Some(_) => match super::body::bearer(headers) {
                Some(token) => Some(token),
                None => return Err(unauthorized("Invalid authorization header format")),
            },
        };
        let identity = match bearer {
            None => None,
            Some(_) => match served.policy.shown(&asking, &Shown { bearer, ..Shown::default() }).await {
                Ok(identity) => identity,
                Err(Outcome::Unavailable) => return Err(unavailable()),
                Err(_) => return Err(unauthorized("Unauthorized")),
            },
        };
        let member = match &identity {
            Some(Identity::Member(member)) => Some(Subject::new(member.kind, member.id.clone(), [], [])),
            Some(Identity::Subject(_)) | None => None,
        };
        Ok(Self { served, asking, identity, member, started })
    }

    /// Nobody who is neither user nor service has any right.
    fn subject(&self) -> Option<&Subject> {
        let subject = match &self.identity {
            Some(Identity::Subject(principal)) => Some(&principal.subject),
            Some(Identity::Member(_)) | None => self.member.as_ref(),
        };
        subject.filter(|subject| subject.kind != SubjectKind::Anonymous)
    }

    async fn topic(&self, topic: &str, action: &str) -> Result<Outcome, Refusal> {
        let action =
            Action::ALL.into_iter().find(|known| known.as_str() == action && *known != Action::Superuser);
        let (Some(identity), Some(action)) = (&self.identity, action) else {
            return Ok(Outcome::denied(if self.identity.is_none() {
                "anonymous access denied"
            } else {
                "invalid action"
            }));
        };
        match self.served.policy.may(identity, &Shown::default(), action, topic).await.0 {
            Outcome::Unavailable => Err(unavailable()),
            outcome => Ok(outcome),
        }
    }

    async fn rule(&self, Ruling { allowed, reason }: Ruling, about: (&str, &str, &str)) -> Response {
        let outcome = if allowed { Outcome::Granted(reason) } else { Outcome::denied(reason) };
        self.answer(&outcome, about).await
    }

    async fn answer(&self, outcome: &Outcome, about: (&str, &str, &str)) -> Response {
        let policy = &self.served.policy;
        policy.record(&self.asking, self.started, self.identity.as_ref(), outcome, about, false).await;
        let reason = match outcome {
            Outcome::Granted(words) => (*words).to_owned(),
            Outcome::Denied(words) | Outcome::Malformed(words) => words.clone().into_owned(),
            Outcome::Unavailable => String::new(),
        };
        let request_id = self.asking.request_id.to_owned();
        web::Json(Answer { allowed: outcome.is_granted(), reason, request_id }).into_response()
    }
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
