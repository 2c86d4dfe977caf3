//! The sessions of a user: listed, named, ended, by their owner and by nobody else.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use db::{both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::plant::{Caller, PASSWORD, Plant};

/// A session: its holder by access token, and by refresh token.
async fn begin(plant: &Plant, name: &str, description: &str) -> (Caller, Caller) {
    let login = json!({"username": name, "password": PASSWORD, "description": description});
    let pair = plant.nobody().post("/users/tokens/issue", login).await.expect(201);
    let holder = |token: &Value| plant.nobody().with_token(token.as_str().unwrap());
    (holder(&pair["access_token"]), holder(&pair["refresh_token"]))
}

/// The claim `jti` of the caller's token.
fn jti(holder: &Caller) -> String {
    let token = holder.token.as_deref().unwrap();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice::<Value>(&claims).unwrap()["jti"].as_str().unwrap().to_owned()
}

async fn listed(holder: &Caller) -> Vec<(String, String)> {
    let answer = holder.get("/users/tokens/refresh-tokens").await.expect(200);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let sessions = answer["refresh_tokens"].as_array().unwrap();
    sessions.iter().map(|session| (text(&session["id"]), text(&session["description"]))).collect()
}

both_databases! {
    async fn a_session_is_ended_by_its_owner_and_by_nobody_else(db: TestDb) {
        let plant = Plant::new(db).await;
        plant.register("ann").await;
        let (ann, refresh) = begin(&plant, "ann", "laptop").await;
        let (bob, _) = begin(&plant, "admin", "").await;
        let [(id, description)] = listed(&ann).await.try_into().unwrap();
        assert_eq!(description, "laptop");
        plant.events().await;
        for token_id in [id.clone(), jti(&refresh)] {
            bob.post("/users/tokens/revoke", json!({"token_id": token_id})).await.expect(204);
        }
        assert!(plant.events().await.is_empty(), "it is not the administrator's either");
        let next = refresh.post("/users/tokens/refresh", json!({})).await.expect(201);
        assert_eq!(listed(&ann).await, [(id.clone(), "laptop".to_owned())], "the same session with the same name");

        let next = plant.nobody().with_token(next["refresh_token"].as_str().unwrap());
        plant.events().await;
        ann.post("/users/tokens/revoke", json!({"token_id": jti(&next)})).await.expect(204);
        let events = plant.events().await;
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0].0, "user.revoke_refresh_token");
        assert_eq!(next.post("/users/tokens/refresh", json!({})).await.refused(401), "token is revoked");
        assert_eq!(ann.get("/users/tokens/refresh-tokens").await.expect(200), json!({"refresh_tokens": []}));
        assert_eq!(ann.post("/users/tokens/revoke", json!({})).await.refused(400), "missing entity id");
    }

    async fn nothing_of_a_user_who_was_deleted_refreshes_or_lists_sessions(db: TestDb) {
        let plant = Plant::new(db).await;
        let user = plant.user("ann").await;
        let (ann, refresh) = begin(&plant, "ann", "").await;
        plant.admin.delete(&format!("/users/{}", user.id)).await.expect(204);
        refresh.post("/users/tokens/refresh", json!({})).await.refused(401);
        ann.get("/users/tokens/refresh-tokens").await.refused(401);
        ann.post("/users/tokens/revoke", json!({"token_id": "x"})).await.refused(401);
    }
}
