//! A provider of accounts for one test, over a real socket: it exchanges a code for a token, and a token for a profile.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, extract::State, routing};
use http::{HeaderMap, StatusCode};
use kernel::Secret;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use users::oauth::{OAuthSettings, Provider, ProviderSettings};

#[derive(Default)]
struct Says {
    profile: Value,
    /// What came to the token endpoint last.
    form: String,
}

pub(crate) struct Stand {
    address: String,
    says: Arc<Mutex<Says>>,
}

impl Stand {
    pub(crate) async fn open() -> Self {
        let says = Arc::new(Mutex::new(Says::default()));
        let router = Router::new()
            .route("/token", routing::post(token))
            .route("/profile", routing::get(profile))
            .with_state(Arc::clone(&says));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, says }
    }

    pub(crate) fn settings(&self, state: Option<&str>) -> OAuthSettings {
        let google = Provider::new(ProviderSettings {
            client_id: "our-id".to_owned(),
            client_secret: Secret::new("our-secret".to_owned()),
            redirect_url: "http://platform.example.com/oauth/callback/google".to_owned(),
            state: state.map(|state| Secret::new(state.to_owned())),
            authorize_url: format!("{}/authorize", self.address),
            token_url: format!("{}/token", self.address),
            userinfo_url: format!("{}/profile", self.address),
        });
        OAuthSettings {
            google: Some(google.unwrap()),
            redirect_url: "http://ui.example.com/domains".to_owned(),
            error_url: "http://ui.example.com/error".to_owned(),
        }
    }

    /// Who logs in from now on.
    pub(crate) fn vouches_for(&self, profile: Value) {
        self.says.lock().unwrap().profile = profile;
    }

    /// A field of the form that came to the token endpoint last; empty where it was not there.
    pub(crate) fn asked(&self, field: &str) -> String {
        let form = self.says.lock().unwrap().form.clone();
        let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .into_iter()
            .find(|(key, _)| *key == field)
            .map(|(_, value)| value.to_owned())
            .unwrap_or_default()
    }
}

async fn token(State(says): State<Arc<Mutex<Says>>>, form: String) -> Result<Json<Value>, StatusCode> {
    says.lock().unwrap().form.clone_from(&form);
    if form.contains("code=good") && form.contains("client_secret=our-secret") {
        Ok(Json(json!({"access_token": "a-token", "token_type": "Bearer"})))
    } else {
        Err(StatusCode::BAD_REQUEST)
    }
}

async fn profile(
    State(says): State<Arc<Mutex<Says>>>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    let shown = headers.get("authorization").and_then(|value| value.to_str().ok());
    if shown == Some("Bearer a-token") {
        Ok(Json(says.lock().unwrap().profile.clone()))
    } else {
        Err(StatusCode::UNAUTHORIZED)
    }
}
