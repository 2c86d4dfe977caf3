//! Requests that meet: nobody waits for ever, and nothing is left half done.

use std::{collections::BTreeSet, sync::Arc};

use db::{both_databases, testing::TestDb};
use kernel::Rng;
use serde_json::{Value, json};

use crate::plant::{Plant, Shared, at_once};

/// Rows that name a client or a channel that is not there.
const ORPHANS: &str = "connections k WHERE NOT EXISTS (SELECT 1 FROM clients c WHERE c.id = k.client_id)
                         OR NOT EXISTS (SELECT 1 FROM channels h WHERE h.id = k.channel_id)";

fn id(group: u8, n: usize) -> String {
    format!("00000000-0000-4000-8{group:03}-{n:012}")
}

/// Sends the same body, and every other time reversed.
async fn there_and_back(plant: &Plant, path: &str, items: Vec<Value>) -> Vec<u16> {
    let caller: Shared = Arc::new(plant.admin.clone());
    let forwards = Value::from(items.clone());
    let backwards = Value::from(items.into_iter().rev().collect::<Vec<_>>());
    let answers = at_once(8, |n| {
        let (caller, path) = (Arc::clone(&caller), path.to_owned());
        let body = if n % 2 == 0 { forwards.clone() } else { backwards.clone() };
        async move { caller.post(&path, body).await }
    })
    .await;
    answers.iter().map(|answer| answer.status.as_u16()).collect()
}

both_databases! {
    async fn reversed_lists_of_new_things_do_not_block_each_other(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let with_ids = |group| (0..30).map(|n| json!({"id": id(group, n)})).collect::<Vec<_>>();
        let with_secrets = (0..30).map(|n| json!({"credentials": {"secret": format!("s{n}")}})).collect();
        for (path, items, table) in [
            ("clients", with_ids(1), "clients"),
            ("clients", with_secrets, "clients"),
            ("channels", with_ids(2), "channels"),
        ] {
            let before = plant.count(table).await;
            let statuses = there_and_back(&plant, &format!("/{domain}/{path}/bulk"), items).await;
            assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
            assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 7, "{statuses:?}");
            assert_eq!(plant.count(table).await, before + 30);
        }
    }

    async fn connecting_and_removing_do_not_block_each_other(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let (mut clients, mut channels) = (Vec::new(), Vec::new());
        for n in 0..6 {
            clients.push(plant.admin.client(&domain, &format!("c{n}")).await);
            channels.push(plant.admin.channel(&domain, &format!("h{n}")).await);
        }
        let caller: Shared = Arc::new(plant.admin.clone());
        let answers = at_once(36, |n| {
            let (caller, domain) = (Arc::clone(&caller), domain.clone());
            let (mut clients, mut channels) = (clients.clone(), channels.clone());
            if n % 2 == 1 {
                clients.reverse();
                channels.reverse();
            }
            async move {
                let all = json!({"client_ids": clients, "channel_ids": channels, "types": ["publish", "subscribe"]});
                match n {
                    20 | 24 => caller.delete(&format!("/{domain}/clients/{}", clients[n / 20])).await,
                    22 | 26 => caller.delete(&format!("/{domain}/channels/{}", channels[n / 22])).await,
                    _ if n % 3 == 0 => caller.post(&format!("/{domain}/channels/disconnect"), all).await,
                    _ => caller.post(&format!("/{domain}/channels/connect"), all).await,
                }
            }
        })
        .await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        assert!(statuses.iter().all(|status| *status < 500), "{statuses:?}");
        assert_eq!(plant.count(ORPHANS).await, 0);
    }

    async fn whatever_is_done_a_connection_has_both_its_ends(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let rng = Rng::seeded(20_261_124);
        let dice = |sides: usize| usize::try_from(rng.uuid().as_u128() % 1_000_003).unwrap() % sides;
        // What must be there: the model that every step is compared with.
        let (mut clients, mut channels): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        let mut connected: BTreeSet<(String, String, &str)> = BTreeSet::new();
        for step in 0..60 {
            if clients.len() < 2 {
                clients.push(plant.admin.client(&domain, &format!("c{step}")).await);
            }
            if channels.len() < 2 {
                channels.push(plant.admin.channel(&domain, &format!("h{step}")).await);
            }
            let (client, channel) = (clients[dice(clients.len())].clone(), channels[dice(channels.len())].clone());
            let kind = ["publish", "subscribe"][dice(2)];
            let body = json!({"client_ids": [client], "channel_ids": [channel], "types": [kind]});
            match dice(8) {
                0..=3 => {
                    let answer = plant.admin.post(&format!("/{domain}/channels/connect"), body).await;
                    let fresh = connected.insert((client, channel, kind));
                    assert_eq!(answer.status.as_u16(), if fresh { 201 } else { 409 });
                }
                4 | 5 => {
                    plant.admin.post(&format!("/{domain}/channels/disconnect"), body).await.expect(204);
                    connected.remove(&(client, channel, kind));
                }
                6 => {
                    plant.admin.delete(&format!("/{domain}/clients/{client}")).await.expect(204);
                    clients.retain(|other| *other != client);
                    connected.retain(|connection| connection.0 != client);
                }
                _ => {
                    plant.admin.delete(&format!("/{domain}/channels/{channel}")).await.expect(204);
                    channels.retain(|other| *other != channel);
                    connected.retain(|connection| connection.1 != channel);
                }
            }
            assert_eq!(plant.count("connections").await, i64::try_from(connected.len()).unwrap());
            assert_eq!(plant.count(ORPHANS).await, 0);
        }
    }

    async fn nobody_gets_more_tokens_or_keys_than_there_may_be(db: TestDb) {
        let plant = Plant::new(db).await;
        for n in 0..997 {
            for insert in [
                format!("INSERT INTO pats (id, user_id, name, description, digest, credential_generation, issued_at, expires_at)
                         SELECT 'p{n}', user_id, 'p', '', '', credential_generation, 0, 9000000000000000"),
                format!("INSERT INTO api_keys (id, user_id, credential_generation, issued_at)
                         SELECT 'k{n}', user_id, credential_generation, 0"),
            ] {
                plant.sql(&format!("{insert} FROM accounts WHERE user_id = '{}'", plant.admin.id)).await;
            }
        }
        let caller: Shared = Arc::new(plant.admin.clone());
        for (path, body, table) in [
            ("/pats", json!({"name": "p", "duration": "24h"}), "pats"),
            ("/keys", json!({"type": 3, "duration": 7200}), "api_keys"),
        ] {
            let answers = at_once(16, |_| {
                let (caller, body) = (Arc::clone(&caller), body.clone());
                async move { caller.post(path, body).await }
            })
            .await;
            let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
            assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 3, "{statuses:?}");
            assert_eq!(statuses.iter().filter(|status| **status == 422).count(), 13, "{statuses:?}");
            assert_eq!(plant.count(table).await, 1000);
        }
    }

    async fn the_events_of_a_channel_keep_their_order(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let client = plant.admin.client(&domain, "c").await;
        let channels = [plant.admin.channel(&domain, "a").await, plant.admin.channel(&domain, "b").await];
        plant.events().await;
        let body = json!({"client_ids": [client], "channel_ids": channels, "types": ["publish"]});
        plant.admin.post(&format!("/{domain}/channels/connect"), body.clone()).await.expect(201);
        let of_channels = format!(
            "outbox WHERE operation = 'channel.connect' AND entity IN ('channel:{}', 'channel:{}')",
            channels[0], channels[1]
        );
        assert_eq!(plant.count(&of_channels).await, 2, "one event for each channel, in the order of that channel");
        let mut told: Vec<Value> = plant.events().await.into_iter().map(|event| event.1["channel_ids"][0].clone()).collect();
        told.sort_by_key(ToString::to_string);
        let mut expected: Vec<Value> = channels.iter().map(|channel| json!(channel)).collect();
        expected.sort_by_key(ToString::to_string);
        assert_eq!(told, expected);
    }
}
