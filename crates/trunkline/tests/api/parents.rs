//! Clients and channels in groups: the same routes and rules for both.

use db::{both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::plant::{Caller, Plant};

const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

/// The two kinds, and what each calls being in that group, or in another, already.
const KINDS: [(&str, &str, &str); 2] = [
    ("client", "client already assigned to the parent group", "client already have parent"),
    ("channel", "entity already exists", "entity already exists"),
];

async fn made(caller: &Caller, domain: &str, kind: &str, body: Value) -> String {
    caller.post(&format!("/{domain}/{kind}s"), body).await.expect(201)["id"].as_str().unwrap().to_owned()
}

both_databases! {
    async fn a_thing_is_put_into_a_group_and_taken_out(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let one = plant.admin.group(&domain, "one", None).await;
        let two = plant.admin.group(&domain, "two", None).await;
        for (kind, same, other) in KINDS {
            let id = made(&plant.admin, &domain, kind, json!({})).await;
            let path = format!("/{domain}/{kind}s/{id}");
            let parent = format!("{path}/parent");
            plant.events().await;

            plant.admin.post(&parent, json!({"parent_group_id": one})).await.expect(200);

            assert_eq!(plant.admin.get(&path).await.expect(200)["parent_group_id"], json!(one));
            let events = plant.events().await;
            assert_eq!(events[0].0, format!("{kind}.set_parent"));
            assert_eq!((&events[0].1["id"], &events[0].1["parent_group_id"]), (&json!(id), &json!(one)));
            assert_eq!(plant.admin.post(&parent, json!({"parent_id": one})).await.refused(409), same);
            assert_eq!(plant.admin.post(&parent, json!({"parent_group": two})).await.refused(409), other);
            for empty in [json!({}), json!({"parent_group_id": ""})] {
                assert_eq!(plant.admin.post(&parent, empty).await.refused(400), "missing parent group id");
            }
            let renamed = plant.admin.patch(&path, json!({"name": "x"})).await.expect(200);
            assert_eq!(renamed["parent_group_id"], json!(one));
            plant.events().await;

            plant.admin.delete(&parent).await.expect(204);
            plant.admin.delete(&parent).await.expect(204);

            assert!(plant.admin.get(&path).await.expect(200).get("parent_group_id").is_none());
            let events: Vec<String> = plant.events().await.into_iter().map(|event| event.0).collect();
            assert_eq!(events, [format!("{kind}.remove_parent")]);
        }
        assert_eq!(plant.count("relations WHERE relation = 'parent_group'").await, 0);
    }

    async fn a_new_thing_goes_into_a_group_at_once(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let root = plant.admin.group(&domain, "root", None).await;
        let one = plant.admin.group(&domain, "one", Some(&root)).await;
        for (kind, ..) in KINDS {
            let body = json!({"parent_group_id": one, "created_at": "0001-01-01T00:00:00Z"});
            let id = made(&plant.admin, &domain, kind, body).await;
            let row = format!(
                "relations WHERE object_id = '{id}' AND relation = 'parent_group' AND subject_id = '{one}'"
            );
            assert_eq!(plant.count(&row).await, 1);
            let bulk = json!([{"parent_group_id": one}, {"parent_group_id": ""}]);
            let made = plant.admin.post(&format!("/{domain}/{kind}s/bulk"), bulk).await.expect(200);
            assert_eq!(made[format!("{kind}s")][0]["parent_group_id"], json!(one));
            assert!(made[format!("{kind}s")][1].get("parent_group_id").is_none());

            for group in [&root, &one] {
                let list = plant.admin.get(&format!("/{domain}/{kind}s?group={group}")).await.expect(200);
                assert_eq!(list["total"], 2);
                assert_eq!(list[format!("{kind}s")][0]["parent_group_path"], json!(format!("{root}.{one}")));
            }
            let list = plant.admin.get(&format!("/{domain}/{kind}s?group=")).await.expect(200);
            assert_eq!(list["total"], 1);

            let bad = json!({"created_at": "yesterday"});
            let message = plant.admin.post(&format!("/{domain}/{kind}s"), bad).await.refused(400);
            assert!(message.starts_with("request body is not a valid JSON"), "{message}");
        }
    }

    async fn who_may_not_add_to_a_group_puts_nothing_into_it(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let (of_admin, of_ann) = (plant.admin.domain("one").await, ann.domain("two").await);
        let foreign = plant.admin.group(&of_admin, "foreign", None).await;
        for (kind, ..) in KINDS {
            let id = made(&ann, &of_ann, kind, json!({})).await;
            let path = format!("/{of_ann}/{kind}s");
            // The administrator may add to the foreign group, but not from another domain.
            for (caller, group, status) in
                [(&ann, foreign.as_str(), 404), (&ann, UNKNOWN, 404), (&plant.admin, UNKNOWN, 404), (&plant.admin, &foreign, 422)]
            {
                let body = json!({"parent_group_id": group});
                caller.post(&format!("{path}/{id}/parent"), body.clone()).await.refused(status);
                caller.post(&path, body.clone()).await.refused(status);
                caller.post(&format!("{path}/bulk"), json!([{}, body])).await.refused(status);
            }
            let elsewhere = format!("/{of_admin}/{kind}s");
            ann.post(&format!("{elsewhere}/{id}/parent"), json!({"parent_group_id": foreign})).await.refused(403);
            ann.delete(&format!("{elsewhere}/{id}/parent")).await.refused(403);
            assert_eq!(plant.count(&format!("{kind}s")).await, 1);
        }
        assert_eq!(plant.count("relations WHERE relation = 'parent_group'").await, 0);
    }

    async fn nothing_is_put_into_a_disabled_group(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let group = plant.admin.group(&domain, "closed", None).await;
        plant.admin.post(&format!("/{domain}/groups/{group}/disable"), json!({})).await.expect(200);
        for (kind, message) in [("client", "parent group is not enabled"), ("channel", "update entity failed")] {
            let id = made(&plant.admin, &domain, kind, json!({})).await;
            let body = json!({"parent_group_id": group});
            let parent = format!("/{domain}/{kind}s/{id}/parent");
            assert_eq!(plant.admin.post(&parent, body.clone()).await.refused(422), message);
            plant.admin.post(&format!("/{domain}/{kind}s"), body).await.refused(422);
            assert_eq!(plant.count(&format!("{kind}s")).await, 1);
        }
        assert_eq!(plant.count("relations WHERE relation = 'parent_group'").await, 0);
    }

    async fn lists_and_views_say_how_the_caller_comes_to_a_thing(db: TestDb) {
        let plant = Plant::new(db).await;
        let (ann, bob) = (plant.user("ann").await, plant.user("bob").await);
        let domain = ann.domain("one").await;
        let guests = json!({"role_name": "guests", "optional_actions": ["read"], "optional_members": [bob.id]});
        ann.post(&format!("/domains/{domain}/roles"), guests).await.expect(201);
        for (kind, ..) in KINDS {
            let id = made(&ann, &domain, kind, json!({})).await;
            made(&ann, &domain, kind, json!({})).await;
            let (list, view) = (format!("/{domain}/{kind}s"), format!("/{domain}/{kind}s/{id}"));
            let key = format!("{kind}s");
            let readers = json!({"role_name": "readers", "optional_actions": ["read"], "optional_members": [bob.id]});
            ann.post(&format!("{view}/roles"), readers).await.expect(201);

            let seen = bob.get(&list).await.expect(200);
            assert_eq!(seen["total"], 1);
            let row = &seen[&key][0];
            assert_eq!((&row["access_type"], &row["role_name"], &row["actions"]), (&json!("direct"), &json!("readers"), &json!(["read"])));
            for (query, total) in [
                ("access_type=direct", 1), ("access_type=domain", 0), ("role_name=readers", 1), ("role_name=admin", 0),
                ("actions=read", 1), ("actions=read,delete", 0),
            ] {
                assert_eq!(bob.get(&format!("{list}?{query}")).await.expect(200)["total"], total, "{query}");
            }
            assert_eq!(ann.get(&list).await.expect(200)["total"], 2);
            assert_eq!(ann.get(&list).await.expect(200)[&key][0]["access_type"], "direct");
            let as_bob = plant.admin.get(&format!("{list}?user={}", bob.id)).await.expect(200);
            assert_eq!((&as_bob["total"], &as_bob[&key][0]["role_name"]), (&json!(1), &json!("readers")));
            let all = plant.admin.get(&list).await.expect(200);
            assert_eq!(all["total"], 2);
            assert!(all[&key][0].get("access_type").is_none());

            let roles = bob.get(&format!("{view}?roles=true")).await.expect(200)["roles"].clone();
            assert_eq!((&roles[0]["role_name"], &roles[0]["access_type"]), (&json!("readers"), &json!("direct")));
            assert_eq!(plant.admin.get(&format!("{view}?roles=true")).await.expect(200)["roles"], json!([]));
            assert!(bob.get(&view).await.expect(200).get("roles").is_none());
        }
    }
}
