//! What operators look at and do: health, readiness, reading the rules anew, and why a decision is what it is
//! (reference 08 §3.5).

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use kernel::Error;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Connection, Guard, Json, Route, Routes, Rule};

use super::{Served, body::bearer};
use crate::{
    Action, Reason, Subject, SubjectKind, Who,
    service::{Asking, Outcome, Shown},
};

const PROBE: Rule = Rule::Public("a probe has no account");
const OPERATOR: Rule =
    Rule::Public("the handler asks for the token of a superuser or platform administrator");

pub(super) fn routes() -> Routes<Served> {
    Routes::new("policy")
        .add(
            Route::get("/health", health)
                .named("policy_health")
                .rule(PROBE)
                .summary("Say that the process is alive")
                .answers::<Health>(200),
        )
        .add(
            Route::get("/ready", ready)
                .named("policy_ready")
                .rule(PROBE)
                .summary("Say whether questions can be answered now")
                .description("503 while the rules are not loaded or the keys of no issuer are known.")
                .answers::<Health>(200),
        )
        .add(
            Route::post("/reload", reload)
                .named("policy_reload")
                .rule(OPERATOR)
                .summary("Read the rules anew")
                .description("Broken rules change nothing: 422, and those before stay in force.")
                .answers::<Reloaded>(200),
        )
        .add(
            Route::post("/explain", explain)
                .named("policy_explain")
                .rule(OPERATOR)
                .summary("Say which rule decides about a subject")
                .takes::<Question>()
                .answers::<Explanation>(200),
        )
}

/// How the service is.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// `healthy` or `unhealthy`.
    status: &'static str,
    /// The program's version.
    version: String,
    /// Whether there is a policy.
    policies_loaded: bool,
    /// How many rules it has.
    policy_count: usize,
    /// The names of the policies.
    packages: Vec<&'static str>,
    /// More about it.
    details: Details,
}

/// More about the service.
#[derive(Debug, Serialize, ToSchema)]
struct Details {
    /// How many rules there are.
    policy_count: usize,
    /// Whether the files hold something broken, so that the rules before it are still in force.
    rules_outdated: bool,
    /// Whether tokens can be verified.
    keys_known: bool,
    /// The cache of decisions.
    cache: Cache,
}

/// The cache of decisions.
#[derive(Debug, Serialize, ToSchema)]
struct Cache {
    /// How many decisions it holds.
    size: usize,
    /// How many it may hold.
    maxsize: usize,
    /// Questions that it answered.
    hits: u64,
    /// Questions that it did not.
    misses: u64,
    /// The part that it answered, from 0 to 1.
    hit_rate: f64,
}

impl Health {
    fn of(served: &Served) -> Self {
        let policy = &served.policy;
        let (policy_count, keys_known) = (policy.loaded().engine.count(), policy.is_ready());
        let ((size, maxsize), (hits, misses)) = (policy.cache().size(), policy.counts().of_cache());
        let hit_rate = if hits + misses == 0 { 0.0 } else { ratio(hits, hits + misses) };
        Self {
            status: if keys_known { "healthy" } else { "unhealthy" },
            version: policy.version().to_owned(),
            policies_loaded: true,
            policy_count,
            packages: vec![policy.policy_name()],
            details: Details {
                policy_count,
                rules_outdated: policy.is_outdated(),
                keys_known,
                cache: Cache { size, maxsize, hits, misses, hit_rate },
            },
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share is no exact number")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

async fn health(State(served): State<Served>) -> Json<Health> {
    Json(Health::of(&served))
}

async fn ready(State(served): State<Served>) -> Response {
    let health = Health::of(&served);
    let status = if health.details.keys_known { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health)).into_response()
}

/// What came of reading the rules anew.
#[derive(Debug, Serialize, ToSchema)]
struct Reloaded {
    /// `success` or `error`.
    status: &'static str,
    /// How many rules count now.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_count: Option<usize>,
    /// What is wrong with them, by file, line and column.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Served {
    async fn authorize(&self, guard: &Guard, from: Connection, headers: &HeaderMap) -> kernel::Result<()> {
        if let Err(Outcome::Limited { words, wait }) = self.policy.takes_question(from.peer.ip()) {
            return Err(Error::limited(words, wait));
        }
        let asking =
            Asking { broker: "", peer: from.peer.ip(), request_id: guard.request_id().as_str(), source: "" };
        self.policy.administrator(&asking, bearer(headers)).await
    }
}

async fn reload(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    headers: HeaderMap,
) -> web::Result<Response> {
    served.authorize(&guard, from, &headers).await?;
    let policy = served.policy.clone();
    let outcome = tokio::task::spawn_blocking(move || policy.reload()).await.map_err(Error::internal)?;
    Ok(match outcome {
        Ok(count) => {
            Json(Reloaded { status: "success", policy_count: Some(count), error: None }).into_response()
        }
        Err(fault) => {
            let answer = Reloaded { status: "error", policy_count: None, error: Some(fault.to_string()) };
            (StatusCode::UNPROCESSABLE_ENTITY, Json(answer)).into_response()
        }
    })
}

/// A decision to be explained.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Question {
    /// About whom.
    subject: Asked,
    /// `subscribe`, `read`, `publish` or `superuser`.
    action: String,
    /// The topic or filter; not needed for `superuser`.
    #[serde(default)]
    topic: String,
    /// The name at the broker.
    #[serde(default)]
    username: String,
    /// The client's id at the broker.
    #[serde(default)]
    clientid: String,
}

/// A subject as it would come out of a token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// `user` or `service`.
    r#type: String,
    /// Its id.
    id: String,
    /// Its groups.
    #[serde(default)]
    groups: Vec<String>,
    /// Its scopes.
    #[serde(default)]
    scopes: Vec<String>,
}

/// Why a decision is what it is.
#[derive(Debug, Serialize, ToSchema)]
struct Explanation {
    /// Whether it is allowed.
    allowed: bool,
    /// The step that decided, in words.
    reason: String,
    /// The number of the rule that decided, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<usize>,
    /// The policy that decided.
    policy: &'static str,
}

async fn explain(
    State(served): State<Served>,
    guard: Guard,
    from: Connection,
    headers: HeaderMap,
    Json(question): Json<Question>,
) -> web::Result<Json<Explanation>> {
    served.authorize(&guard, from, &headers).await?;
    let Question { subject, action, topic, username, clientid } = question;
    let kind = match subject.r#type.as_str() {
        "user" => SubjectKind::User,
        "service" => SubjectKind::Service,
        _ => return Err(Error::invalid("`subject.type` must be `user` or `service`").into()),
    };
    let action = Action::ALL
        .into_iter()
        .find(|known| known.as_str() == action)
        .ok_or_else(|| Error::invalid("`action` must be `subscribe`, `read`, `publish` or `superuser`"))?;
    let texts = |list: &[String]| list.to_vec();
    let (groups, scopes) = (texts(&subject.groups), texts(&subject.scopes));
    let subject =
        Subject::new(kind, subject.id, groups.iter().map(String::as_str), scopes.iter().map(String::as_str));
    let shown = Shown { username: &username, clientid: &clientid, ..Shown::default() };
    let own = Some(shown.username).filter(|name| *name == subject.id && !name.is_empty());
    let who = Who { subject: &subject, username: own, clientid: shown.clientid };
    let loaded = served.policy.loaded();
    let policy = served.policy.policy_name();
    if action == Action::Superuser {
        let allowed = loaded.engine.is_superuser(&who);
        let reason = if allowed { "superuser" } else { "not superuser" };
        return Ok(Json(Explanation { allowed, reason: reason.to_owned(), rule: None, policy }));
    }
    let decision = loaded.engine.decide(&who, action, &topic);
    let rule = match decision.reason {
        Reason::AllowedBy(rule) | Reason::DeniedBy(rule) => Some(rule),
        Reason::InvalidTopic
        | Reason::MissingCapability(_)
        | Reason::NoRule
        | Reason::Said(_)
        | Reason::Told(_)
        | Reason::Unable(_) => None,
    };
    Ok(Json(Explanation { allowed: decision.allowed, reason: decision.reason.to_string(), rule, policy }))
}
