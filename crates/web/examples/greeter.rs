//! A whole service in one file: `cargo run -p trunkline-web --example greeter`, then open <http://127.0.0.1:9016/docs>.
//!
//! It is also what the cost of the layers around a handler is measured with: see `GET /greetings/{name}`.

use std::net::SocketAddr;

use axum::extract::State;
use kernel::{Name, Rng};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};
use web::{
    App, AppInfo, AppOptions, Created, Json, Listener, ListenerOptions, Metrics, Path, Query, Route, Routes,
    Rule,
};

/// How this greeter greets.
#[derive(Clone)]
struct Manners {
    word: &'static str,
}

/// Whom to greet.
#[derive(Deserialize, ToSchema)]
struct NewGreeting {
    /// The name of whoever is greeted.
    name: Name,
}

/// A greeting.
#[derive(Serialize, ToSchema)]
struct Greeting {
    /// The greeting's text.
    text: String,
}

#[derive(Deserialize, IntoParams)]
struct Tone {
    /// Whether to raise the voice.
    #[serde(default)]
    loud: bool,
}

fn routes(manners: Manners) -> Routes {
    const ANYONE: Rule = Rule::Public("greetings are free");
    Routes::new("greeter")
        .add(
            Route::get("/greetings/{name}", view)
                .named("view_greeting")
                .rule(ANYONE)
                .summary("View a greeting")
                .queries::<Tone>()
                .answers::<Greeting>(200),
        )
        .add(
            Route::post("/greetings", create)
                .named("create_greeting")
                .rule(ANYONE)
                .summary("Create a greeting")
                .takes::<NewGreeting>()
                .answers::<Greeting>(201),
        )
        .with(manners)
}

async fn view(
    State(manners): State<Manners>,
    Path(name): Path<Name>,
    Query(tone): Query<Tone>,
) -> Json<Greeting> {
    let end = if tone.loud { '!' } else { '.' };
    Json(Greeting { text: format!("{}, {name}{end}", manners.word) })
}

async fn create(State(manners): State<Manners>, Json(new): Json<NewGreeting>) -> Created<Greeting> {
    Created(format!("/greetings/{}", new.name), Greeting { text: format!("{}, {}.", manners.word, new.name) })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let shutdown = CancellationToken::new();
    let metrics = Metrics::install()?;
    tokio::spawn(metrics.clone().upkeep(shutdown.clone()));

    let info = AppInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: "unknown".to_owned(),
        build_time: "1970-01-01_00:00:00".to_owned(),
        instance_id: Rng::system().uuid().to_string(),
    };
    let options = AppOptions { metrics: Some(metrics), ..AppOptions::default() };
    let app = App::with_options(vec![routes(Manners { word: "Good morning" })], info, options);

    let address = SocketAddr::from(([127, 0, 0, 1], 9016));
    let listener =
        Listener::bind(address, ListenerOptions { service: "greeter", ..ListenerOptions::default() }).await?;
    let serving = tokio::spawn(listener.serve(app, shutdown.clone()));
    tokio::signal::ctrl_c().await?;
    shutdown.cancel();
    Ok(serving.await?)
}
