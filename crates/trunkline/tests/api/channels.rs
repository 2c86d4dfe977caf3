use channels::Channels;
use clients::connections::ConnectionType;
use db::{both_databases, testing::TestDb};
use serde_json::json;

use crate::plant::Plant;

/// A domain with a client and a channel; their ids.
async fn furnished(plant: &Plant) -> (String, String, String) {
    let domain = plant.admin.domain("one").await;
    let client = plant.admin.client(&domain, "sensor").await;
    let channel = plant.admin.channel(&domain, "temperatures").await;
    plant.events().await;
    (domain, client, channel)
}

async fn may(channels: &Channels, client: &str, domain: &str, channel: &str, kind: ConnectionType) -> bool {
    let (client, domain) = (client.parse().unwrap(), domain.parse().unwrap());
    channels.may_client(client, domain, channel.parse().unwrap(), kind).await.unwrap()
}

both_databases! {
    async fn a_channel_is_made_whole(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        plant.events().await;
        let body = json!({"name": "temperatures", "route": "temps", "tags": ["t"], "metadata": {"a": 1}});
        let answer = plant.admin.post(&format!("/{domain}/channels"), body.clone()).await;
        let location = answer.header("location").to_owned();
        let channel = answer.expect(201);
        let id = channel["id"].as_str().unwrap();
        assert_eq!(location, format!("/channels/{id}"));
        assert_eq!(
            channel,
            json!({
                "id": id, "name": "temperatures", "route": "temps", "tags": ["t"], "domain_id": domain,
                "metadata": {"a": 1}, "created_by": plant.admin.id, "created_at": "2026-01-02T03:04:05Z",
                "updated_at": "0001-01-01T00:00:00Z", "status": "enabled",
            })
        );
        assert_eq!(plant.admin.get(&format!("/{domain}/channels/{id}")).await.expect(200), channel);
        let events = plant.events().await;
        assert_eq!(events[0].0, "channel.create");
        assert_eq!(events[0].1["roles_provisioned"][0]["optional_actions"].as_array().unwrap().len(), 11);
        assert_eq!(plant.admin.post(&format!("/{domain}/channels"), body).await.refused(409), "route not available");
        let bad = json!({"route": "a--b"});
        assert_eq!(plant.admin.post(&format!("/{domain}/channels"), bad).await.refused(400), "invalid route format");
    }

    async fn a_client_may_what_it_is_connected_for_and_nothing_else(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, client, channel) = furnished(&plant).await;
        let channels = &plant.registry.channels;
        let publish = json!({"channel_ids": [channel], "client_ids": [client], "types": ["publish"]});
        assert!(!may(channels, &client, &domain, &channel, ConnectionType::Publish).await);

        plant.admin.post(&format!("/{domain}/channels/connect"), publish.clone()).await.expect(201);
        assert!(may(channels, &client, &domain, &channel, ConnectionType::Publish).await);
        assert!(!may(channels, &client, &domain, &channel, ConnectionType::Subscribe).await);
        assert_eq!(
            plant.admin.post(&format!("/{domain}/channels/connect"), publish.clone()).await.refused(409),
            "entity already exists"
        );

        let both = json!({"client_ids": [client], "types": ["Publish", "SUBSCRIBE"]});
        plant.admin.post(&format!("/{domain}/channels/{channel}/connect"), both).await.expect(201);
        assert!(may(channels, &client, &domain, &channel, ConnectionType::Subscribe).await);

        let path = format!("/{domain}/channels/disconnect");
        plant.admin.post(&path, publish.clone()).await.expect(204);
        plant.admin.post(&path, publish).await.expect(204);
        assert!(!may(channels, &client, &domain, &channel, ConnectionType::Publish).await);
        assert!(may(channels, &client, &domain, &channel, ConnectionType::Subscribe).await);

        let events = plant.events().await;
        let operations: Vec<&str> = events.iter().map(|event| event.0.as_str()).collect();
        assert_eq!(operations, ["channel.connect", "channel.connect", "channel.disconnect"]);
        assert_eq!(events[0].1["types"], json!(["Publish"]));
    }

    async fn nothing_passes_a_disabled_channel_or_domain(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, client, channel) = furnished(&plant).await;
        let channels = &plant.registry.channels;
        let connect = json!({"channel_ids": [channel], "client_ids": [client], "types": ["subscribe"]});
        plant.admin.post(&format!("/{domain}/channels/connect"), connect).await.expect(201);
        for thing in [format!("/{domain}/channels/{channel}"), format!("/domains/{domain}")] {
            assert!(may(channels, &client, &domain, &channel, ConnectionType::Subscribe).await);
            plant.admin.post(&format!("{thing}/disable"), json!({})).await.expect(200);
            assert!(!may(channels, &client, &domain, &channel, ConnectionType::Subscribe).await, "{thing}");
            plant.admin.post(&format!("{thing}/enable"), json!({})).await.expect(200);
        }
    }

    async fn only_what_is_in_the_domain_and_enabled_is_connected(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, client, channel) = furnished(&plant).await;
        let other = plant.admin.domain("two").await;
        let foreign = plant.admin.client(&other, "foreign").await;
        let path = format!("/{domain}/channels/connect");
        let body = |client: &str| json!({"channel_ids": [channel], "client_ids": [client], "types": ["publish"]});
        plant.admin.post(&path, body(&foreign)).await.refused(404);
        plant.admin.post(&path, body("00000000-0000-4000-8000-000000000000")).await.refused(404);
        plant.admin.post(&format!("/{domain}/clients/{client}/disable"), json!({})).await.expect(200);
        plant.admin.post(&path, body(&client)).await.refused(422);
        assert_eq!(plant.count("connections").await, 0);
        for (body, message) in [
            (json!({}), "missing entity id"),
            (json!({"channel_ids": [channel], "types": ["publish"]}), "missing entity id"),
            (json!({"channel_ids": [channel], "client_ids": [client]}), "missing connection type"),
            (json!({"channel_ids": ["x"], "client_ids": [client], "types": ["publish"]}), "invalid id format provided"),
        ] {
            assert_eq!(plant.admin.post(&path, body).await.refused(400), message);
        }
    }

    async fn both_ends_must_allow_a_connection(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, client, channel) = furnished(&plant).await;
        let ann = plant.user("ann").await;
        let body = json!({"channel_ids": [channel], "client_ids": [client], "types": ["publish"]});
        ann.post(&format!("/{domain}/channels/connect"), body.clone()).await.refused(403);
        let of_ann = ann.domain("ann-1").await;
        ann.post(&format!("/{of_ann}/channels/connect"), body).await.refused(404);
        assert_eq!(plant.count("connections").await, 0);
    }

    async fn lists_follow_the_connections(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, client, channel) = furnished(&plant).await;
        plant.admin.channel(&domain, "unconnected").await;
        let connect = json!({"channel_ids": [channel], "client_ids": [client], "types": ["subscribe"]});
        plant.admin.post(&format!("/{domain}/channels/connect"), connect).await.expect(201);
        let total = async |path: String| plant.admin.get(&path).await.expect(200)["total"].clone();
        assert_eq!(total(format!("/{domain}/channels")).await, 2);
        assert_eq!(total(format!("/{domain}/channels?client={client}")).await, 1);
        assert_eq!(total(format!("/{domain}/channels?client={client}&connection_type=publish")).await, 0);
        assert_eq!(total(format!("/{domain}/clients?channel={channel}&connection_type=subscribe")).await, 1);
        assert_eq!(total(format!("/{domain}/clients?channel={channel}&connection_type=publish")).await, 0);
    }

    async fn a_removed_channel_leaves_nothing_behind(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, client, channel) = furnished(&plant).await;
        let connect = json!({"channel_ids": [channel], "client_ids": [client], "types": ["publish", "subscribe"]});
        plant.admin.post(&format!("/{domain}/channels/connect"), connect).await.expect(201);
        plant.admin.delete(&format!("/{domain}/channels/{channel}")).await.expect(204);
        for table in [
            format!("channels WHERE id = '{channel}'"),
            format!("connections WHERE channel_id = '{channel}'"),
            format!("relations WHERE object_id = '{channel}'"),
            format!("roles WHERE entity_id = '{channel}'"),
        ] {
            assert_eq!(plant.count(&table).await, 0, "{table}");
        }
        plant.admin.get(&format!("/{domain}/channels/{channel}")).await.refused(404);
    }

    async fn a_client_that_goes_while_it_is_connected_leaves_no_connection(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, _, channel) = furnished(&plant).await;
        for round in 0..20 {
            let client = plant.admin.client(&domain, &format!("c{round}")).await;
            let (deleter, connector) = (plant.admin.clone(), plant.admin.clone());
            let (path, connect) = (format!("/{domain}/clients/{client}"), format!("/{domain}/channels/{channel}/connect"));
            let body = json!({"client_ids": [client], "types": ["publish", "subscribe"]});
            let delete = tokio::spawn(async move { deleter.delete(&path).await });
            let connected = connector.post(&connect, body).await;
            assert!([201, 404].contains(&connected.status.as_u16()), "{}", connected.status);
            delete.await.unwrap().expect(204);
        }
        assert_eq!(plant.count("connections").await, 0);
    }

    async fn rows_of_a_list_by_connection_say_how_they_are_connected(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, client, channel) = furnished(&plant).await;
        let connect = json!({"client_ids": [client], "types": ["subscribe", "publish"]});
        plant.admin.post(&format!("/{domain}/channels/{channel}/connect"), connect).await.expect(201);
        for (path, key) in [
            (format!("/{domain}/channels?client={client}"), "channels"),
            (format!("/{domain}/clients?channel={channel}"), "clients"),
        ] {
            let list = plant.admin.get(&path).await.expect(200);
            assert_eq!(list[key][0]["connection_types"], json!(["Publish", "Subscribe"]));
        }
        let list = plant.admin.get(&format!("/{domain}/channels")).await.expect(200);
        assert!(list["channels"][0].get("connection_types").is_none());
    }

    async fn a_type_that_is_none_makes_the_body_invalid(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, client, channel) = furnished(&plant).await;
        let body = json!({"client_ids": [client], "channel_ids": [channel], "types": ["read"]});
        for path in ["connect", "disconnect"] {
            let message = plant.admin.post(&format!("/{domain}/channels/{path}"), body.clone()).await.refused(400);
            assert_eq!(message, "request body is not a valid JSON, expecting a valid JSON");
        }
    }
}
