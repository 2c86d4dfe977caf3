use db::{both_databases, testing::TestDb};
use serde_json::json;

use crate::plant::{PASSWORD, Plant};

const USER: &str = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11";
const DOMAIN: &str = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a12";
const TOKEN: &str = "a token that nobody guesses";

both_databases! {
    async fn the_one_user_works_in_any_domain_without_logins(db: TestDb) {
        let (plant, edge) = Plant::standalone(db, USER, TOKEN).await;
        let (client, channel) = (edge.client(DOMAIN, "pump").await, edge.channel(DOMAIN, "boiler").await);
        let path = format!("/{DOMAIN}/clients/{client}");
        assert_eq!(edge.get(&path).await.expect(200)["domain_id"], DOMAIN);
        edge.patch(&path, json!({"name": "pump 2"})).await.expect(200);
        let connect = json!({"channel_ids": [channel], "client_ids": [client], "types": ["publish"]});
        edge.post(&format!("/{DOMAIN}/channels/connect"), connect).await.expect(201);
        assert_eq!(edge.get(&format!("/{DOMAIN}/clients")).await.expect(200)["total"], 1);
        let created = plant.events().await.into_iter().find(|event| event.0 == "client.create").unwrap();
        assert_eq!(created.1["user_id"], USER);

        let (client, channel) = (client.parse().unwrap(), channel.parse().unwrap());
        let (domain, publish) = (DOMAIN.parse().unwrap(), clients::connections::ConnectionType::Publish);
        assert!(plant.registry.channels.may_client(client, domain, channel, publish).await.unwrap());
        edge.delete(&path).await.expect(204);
        edge.get(&path).await.refused(404);
    }

    async fn every_other_token_is_refused(db: TestDb) {
        let (plant, edge) = Plant::standalone(db, USER, TOKEN).await;
        let list = format!("/{DOMAIN}/clients");
        edge.get(&list).await.expect(200);
        for other in ["a token that nobody guesse", "a token that nobody guesses ", "A token that nobody guesses", "x"] {
            edge.with_token(other).get(&list).await.refused(401);
        }
        plant.nobody().get(&list).await.refused(401);
        let login = json!({"username": "admin", "password": PASSWORD});
        plant.nobody().post("/users/tokens/issue", login).await.refused(422);
        edge.post("/users/tokens/refresh", json!({})).await.refused(401);
        edge.post("/pats", json!({"name": "x", "duration": "1h"})).await.refused(422);
        edge.post("/keys", json!({"type": 3})).await.refused(422);
    }
}
