//! Many clients or channels in one request: all of them or none.

use std::collections::BTreeSet;

use db::{both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::plant::Plant;

const KINDS: [&str; 2] = ["clients", "channels"];

const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

both_databases! {
    async fn a_thousand_are_made_in_one_request_and_no_more(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        for kind in KINDS {
            let path = format!("/{domain}/{kind}/bulk");
            let many = |count: usize| Value::from((0..count).map(|n| json!({"name": format!("n{n}")})).collect::<Vec<_>>());
            let refused = plant.admin.post(&path, many(1001)).await.refused(400);
            assert_eq!(refused, format!("too many {kind} in one request, at most 1000"));
            assert_eq!(plant.count(kind).await, 0);
            plant.events().await;
            let made = plant.admin.post(&path, many(1000)).await.expect(200);
            assert_eq!(made["total"], 1000);
            let ids: BTreeSet<&str> = made[kind].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
            assert_eq!((ids.len(), plant.events().await.len()), (1000, 1000));
            let word = kind.trim_end_matches('s');
            for rows in [
                kind.to_owned(),
                format!("roles WHERE entity_kind = '{word}'"),
                format!("role_members WHERE entity_id IN (SELECT id FROM {kind})"),
                format!("relations WHERE object_kind = '{word}' AND relation = 'domain'"),
            ] {
                assert_eq!(plant.count(&rows).await, 1000, "{rows}");
            }
            assert_eq!(plant.admin.get(&format!("/{domain}/{kind}?only_total=true")).await.expect(200)["total"], 1000);
        }
    }

    async fn one_that_cannot_be_made_keeps_the_others_from_being_made(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let domain = ann.domain("one").await;
        let elsewhere = ann.domain("elsewhere").await;
        let foreign = ann.group(&elsewhere, "foreign", None).await;
        let closed = ann.group(&domain, "closed", None).await;
        ann.post(&format!("/{domain}/groups/{closed}/disable"), json!({})).await.expect(200);
        let id = "00000000-0000-4000-8000-000000000001";
        for kind in KINDS {
            let path = format!("/{domain}/{kind}");
            let unique = if kind == "clients" { json!({"credentials": {"secret": "taken"}}) } else { json!({"route": "taken"}) };
            ann.post(&path, unique.clone()).await.expect(201);
            let (before, roles) = (plant.count(kind).await, plant.count("roles").await);
            plant.events().await;
            for (wrong, status) in [
                (json!([{}, unique, {}]), 409),
                (json!([{"id": id}, {}, {"id": id}]), 409),
                (json!([{}, {"parent_group_id": UNKNOWN}]), 404),
                (json!([{}, {"parent_group_id": foreign}]), 404),
                (json!([{}, {"parent_group_id": closed}]), 422),
                (json!([{}, {"status": "deleted"}]), 400),
                (json!([{}, {"status": "gone"}]), 400),
                (json!([{}, {"name": "n".repeat(1025)}]), 400),
                (json!([{}, {"tags": vec!["t"; 129]}]), 400),
                (json!([{}, {"metadata": {"x": "y".repeat(64 * 1024)}}]), 400),
                (json!([{}, {"id": "x"}]), 400),
                (json!([{}, [], {}]), 400),
            ] {
                ann.post(&format!("{path}/bulk"), wrong.clone()).await.refused(status);
                assert_eq!((plant.count(kind).await, plant.count("roles").await), (before, roles), "{kind}: {wrong}");
                assert_eq!(plant.events().await, [], "{kind}: {wrong}");
            }
            assert_eq!(ann.get(&path).await.expect(200)["total"], 1);
        }
        assert_eq!(plant.count("relations WHERE relation = 'parent_group'").await, 0);
    }

    async fn a_connection_that_cannot_be_made_keeps_the_others_from_being_made(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let domain = ann.domain("one").await;
        let elsewhere = ann.domain("elsewhere").await;
        let (good, off) = (ann.client(&domain, "good").await, ann.client(&domain, "off").await);
        let (channel, quiet) = (ann.channel(&domain, "channel").await, ann.channel(&domain, "quiet").await);
        let foreign = ann.client(&elsewhere, "foreign").await;
        ann.post(&format!("/{domain}/clients/{off}/disable"), json!({})).await.expect(200);
        ann.post(&format!("/{domain}/channels/{quiet}/disable"), json!({})).await.expect(200);
        let path = format!("/{domain}/channels/connect");
        plant.events().await;
        for (clients, channels, types, status) in [
            (json!([good, off]), json!([channel]), json!(["publish"]), 422),
            (json!([good]), json!([channel, quiet]), json!(["publish"]), 422),
            (json!([good, foreign]), json!([channel]), json!(["publish"]), 404),
            (json!([good, UNKNOWN]), json!([channel]), json!(["publish"]), 404),
            (json!([good]), json!([channel, UNKNOWN]), json!(["publish"]), 404),
            (json!([good]), json!([channel]), json!(["publish", "read"]), 400),
        ] {
            let body = json!({"client_ids": clients, "channel_ids": channels, "types": types});
            ann.post(&path, body.clone()).await.refused(status);
            assert_eq!((plant.count("connections").await, plant.events().await.len()), (0, 0), "{body}");
        }
        // What is said twice counts once; what is there already stays, and only all of it again is a conflict.
        let twice = json!({"client_ids": [good, good], "channel_ids": [channel], "types": ["publish", "Publish"]});
        ann.post(&path, twice.clone()).await.expect(201);
        assert_eq!((plant.count("connections").await, plant.events().await.len()), (1, 1));
        assert_eq!(ann.post(&path, twice).await.refused(409), "entity already exists");
        let more = json!({"client_ids": [good], "channel_ids": [channel], "types": ["publish", "subscribe"]});
        ann.post(&path, more).await.expect(201);
        assert_eq!(plant.count("connections").await, 2);
    }
}
