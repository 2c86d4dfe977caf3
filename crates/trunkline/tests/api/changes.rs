//! Events name what a request has really changed, and nothing else.

use db::{both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::plant::{Caller, Plant};

/// A member of the domain without a role on the thing that it is about.
async fn member(plant: &Plant, owner: &Caller, domain: &str, name: &str) -> Caller {
    let user = plant.user(name).await;
    owner.grants(&format!("/domains/{domain}"), name, &["read"], &user).await;
    user
}

async fn connections(plant: &Plant) -> Vec<(String, Value, Value, Value)> {
    let events = plant.events().await.into_iter();
    events
        .map(|(operation, event)| {
            (operation, event["channel_ids"].clone(), event["client_ids"].clone(), event["types"].clone())
        })
        .collect()
}

both_databases! {
    async fn only_members_who_lost_a_role_are_named(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let domain = ann.domain("ann-1").await;
        let (bob, carl) = (member(&plant, &ann, &domain, "bob").await, member(&plant, &ann, &domain, "carl").await);
        let roles = format!("/{domain}/clients/{}/roles", ann.client(&domain, "sensor").await);
        let role = ann.post(&roles, json!({"role_name": "r", "optional_members": [bob.id]})).await.expect(201);
        let role = format!("{roles}/{}", role["id"].as_str().unwrap());
        plant.events().await;

        let both = json!({"members": [carl.id, bob.id]});
        ann.post(&format!("{role}/members/delete"), both.clone()).await.expect(204);
        let events = plant.events().await;
        assert_eq!((events.len(), events[0].0.as_str()), (1, "client.role.members.remove"));
        assert_eq!(events[0].1["members"], json!([bob.id]));
        ann.post(&format!("{role}/members/delete"), both).await.expect(204);
        assert_eq!(plant.events().await, [], "nobody lost it");

        ann.post(&format!("{role}/members"), json!({"members": [bob.id]})).await.expect(200);
        plant.events().await;
        let both = json!({"member_ids": [carl.id, bob.id]});
        for named in [Some(json!([bob.id])), None] {
            let path = format!("{roles}?x=1");
            ann.send(http::Method::DELETE, &path, Some(both.clone())).await.expect(204);
            let events: Vec<_> = plant.events().await.into_iter().map(|(_, event)| event["members"].clone()).collect();
            assert_eq!(events, Vec::from_iter(named));
        }
    }

    async fn only_actions_that_a_role_lost_are_named(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let roles = format!("/domains/{domain}/roles");
        let body = json!({"role_name": "r", "optional_actions": ["read", "update"]});
        let role = plant.admin.post(&roles, body).await.expect(201);
        let path = format!("{roles}/{}/actions/delete", role["id"].as_str().unwrap());
        plant.events().await;
        for named in [Some(json!(["read"])), None] {
            plant.admin.post(&path, json!({"actions": ["delete", "read"]})).await.expect(204);
            let events: Vec<_> = plant.events().await.into_iter().map(|(_, event)| event["actions"].clone()).collect();
            assert_eq!(events, Vec::from_iter(named));
        }
    }

    async fn only_connections_that_came_or_went_are_named(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let (mut clients, mut channels) = (Vec::new(), Vec::new());
        for n in 0..2 {
            clients.push(plant.admin.client(&domain, &format!("c{n}")).await);
            channels.push(plant.admin.channel(&domain, &format!("h{n}")).await);
        }
        clients.sort();
        channels.sort();
        let body = |types: Value| json!({"channel_ids": channels, "client_ids": clients, "types": types});
        let one = json!({"channel_ids": [channels[0]], "client_ids": [clients[0]], "types": ["publish"]});
        let (connect, disconnect) = (format!("/{domain}/channels/connect"), format!("/{domain}/channels/disconnect"));
        plant.events().await;
        let said = |operation: &str, channel: usize, who: &[usize], types: Value| {
            let who: Vec<_> = who.iter().map(|n| &clients[*n]).collect();
            (format!("channel.{operation}"), json!([channels[channel]]), json!(who), types)
        };
        let (publish, subscribe, each) = (json!(["Publish"]), json!(["Subscribe"]), json!(["Publish", "Subscribe"]));

        plant.admin.post(&connect, one.clone()).await.expect(201);
        assert_eq!(connections(&plant).await, [said("connect", 0, &[0], publish.clone())]);
        plant.admin.post(&connect, body(each.clone())).await.expect(201);
        assert_eq!(
            connections(&plant).await,
            [
                said("connect", 0, &[1], each.clone()),
                said("connect", 0, &[0], subscribe.clone()),
                said("connect", 1, &[0, 1], each.clone()),
            ]
        );
        assert_eq!(plant.count("connections").await, 8);

        plant.admin.post(&disconnect, one).await.expect(204);
        assert_eq!(connections(&plant).await, [said("disconnect", 0, &[0], publish.clone())]);
        plant.admin.post(&disconnect, body(publish.clone())).await.expect(204);
        assert_eq!(
            connections(&plant).await,
            [said("disconnect", 0, &[1], publish.clone()), said("disconnect", 1, &[0, 1], publish.clone())]
        );
        plant.admin.post(&disconnect, body(publish)).await.expect(204);
        assert_eq!(connections(&plant).await, [], "nothing was connected");
        assert_eq!(plant.count("connections").await, 4);
    }
}
